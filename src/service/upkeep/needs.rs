//! The topics that a configuration needs, and what for.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{Config, KafkaConfig, Origin};
use crate::kafka::Operation;
use crate::pattern::Program;
use crate::service::rekeying::handed_bytes_max;
use crate::service::upkeep::partitioning::rekeyed_patterns;

/// One topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    pub topic: String,
    /// Not empty.
    pub purposes: Vec<Purpose>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The events of this stream.
    Input(String),
    Matches,
    Late,
    Rejected,
    /// Events on their way to the tasks that keep other keys.
    Rekeyed {
        /// How long its records may be.
        record_bytes_max: u64,
    },
    /// What each task has done, epoch by epoch.
    Journal,
}

impl Need {
    pub fn is_input(&self) -> bool {
        self.purposes.iter().any(|purpose| matches!(purpose, Purpose::Input(_)))
    }

    /// How long the records of a topic for events by other keys may be.
    pub(super) fn rekeyed_bytes_max(&self) -> Option<u64> {
        self.purposes.iter().find_map(|purpose| match purpose {
            Purpose::Rekeyed { record_bytes_max } => Some(*record_bytes_max),
            _ => None,
        })
    }

    /// What a service does with it, as ACLs name it.
    pub(super) fn operations(&self) -> Vec<Operation> {
        let of_purpose = |purpose: &Purpose| match purpose {
            Purpose::Input(_) => [Operation::Read].as_slice(),
            Purpose::Matches | Purpose::Late | Purpose::Rejected => &[Operation::Write],
            Purpose::Rekeyed { .. } | Purpose::Journal => &[Operation::Read, Operation::Write],
        };
        let operations: BTreeSet<Operation> = self.purposes.iter().flat_map(of_purpose).copied().collect();
        operations.into_iter().collect()
    }

    pub fn is_for(&self, purpose: &Purpose) -> bool {
        self.purposes.contains(purpose)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(stream) => write!(f, "stream {stream}"),
            Self::Matches => f.write_str("matches"),
            Self::Late => f.write_str("late events"),
            Self::Rejected => f.write_str("rejected records"),
            Self::Rekeyed { .. } => f.write_str("events by other keys"),
            Self::Journal => f.write_str("journal"),
        }
    }
}

/// In order of the streams' names, then what is written. `tasks`: the partitions of each input, where that is known; without it, events are taken to meet.
pub(super) fn needs(program: &Program, config: &Config, kafka: &KafkaConfig, tasks: Option<u32>) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |topic: &str, purpose: Purpose| match needs.iter_mut().find(|need| need.topic == topic) {
        Some(need) => need.purposes.push(purpose),
        None => needs.push(Need { topic: topic.to_owned(), purposes: vec![purpose] }),
    };
    for (name, stream) in &config.streams {
        if let Origin::Topic(topic) = &stream.origin
            && program.schema.find(name).is_some()
        {
            add(topic, Purpose::Input(name.clone()));
        }
    }
    add(&kafka.output_topic, Purpose::Matches);
    for (topic, purpose) in [(&kafka.late_topic, Purpose::Late), (&kafka.rejected_topic, Purpose::Rejected)] {
        topic.iter().for_each(|topic| add(topic, purpose.clone()));
    }
    add(&kafka.journal_topic, Purpose::Journal);
    if tasks.is_some_and(|tasks| !rekeyed_patterns(program, config, tasks).is_empty()) {
        let record_bytes_max = handed_bytes_max(config.limits.record_bytes_max) as u64;
        add(&kafka.rekeyed_topic(), Purpose::Rekeyed { record_bytes_max });
        add(&kafka.rekeyed_journal_topic(), Purpose::Journal);
    }
    needs
}
