//! The topics that a configuration needs, and what for.

use std::fmt;

use crate::config::{Config, KafkaConfig, Origin};
use crate::pattern::Program;

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
    /// What each task has done, epoch by epoch.
    Journal,
}

impl Need {
    pub fn is_input(&self) -> bool {
        self.purposes.iter().any(|purpose| matches!(purpose, Purpose::Input(_)))
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
            Self::Journal => f.write_str("journal"),
        }
    }
}

/// In order of the streams' names, then what is written.
pub(super) fn needs(program: &Program, config: &Config, kafka: &KafkaConfig) -> Vec<Need> {
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
    needs
}
