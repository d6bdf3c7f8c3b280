//! Topics as the cluster describes them, and as they are to be made.

use std::collections::BTreeMap;

/// What is known of a topic that exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicFacts {
    pub partitions: u32,
    /// Copies of each partition; of the one that has the fewest.
    pub replicas: u32,
    /// By Kafka's names (`retention.ms`). Empty where we may not ask.
    pub settings: BTreeMap<String, String>,
    /// Partitions that hold records, but none that is younger than `retention.ms`: by their own times all of them are due to be deleted.
    pub outlived: u32,
}

impl TopicFacts {
    /// A setting that is a whole number.
    pub fn number(&self, setting: &str) -> Option<i64> {
        self.settings.get(setting)?.parse().ok()
    }

    pub fn is_compacted(&self) -> bool {
        self.settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"))
    }
}

/// A topic to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: u32,
    /// `None`: as the cluster does by default.
    pub replicas: Option<u32>,
    /// By Kafka's names; what is not named has the cluster's default.
    pub settings: Vec<(&'static str, String)>,
}
