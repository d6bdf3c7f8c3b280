//! The stages of a deployment: tasks that read the topics as they are, and tasks that read what those hand on.
//!
//! ```text
//! input topics ─▶ first stage: group G ─▶ matches                                      each stage: group, journal, states of its own,
//!                      └─ events of patterns with other keys ─▶ topic G.rekeyed        each epoch of each one transaction
//!                                                                  └─▶ second stage: group G.rekeyed ─▶ matches
//! ```
//!
//! A second stage is there only where some pattern is keyed by something else than what its topics are partitioned by, or by nothing. One topic serves all such keys: an event
//! goes to every task of the second stage that keeps one of its keys. Each stage is exactly once by itself, and what one writes the other reads committed: so the whole is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{Config, KafkaConfig};
use crate::event::{Schema, Stream, StreamId};
use crate::kafka::Link;
use crate::language::Source;
use crate::pattern::Program;
use crate::service::topics::deployment::input_topics;
use crate::service::topics::pattern_set::{Evaluation, PatternSet, Split};
use crate::service::upkeep;

/// How what was handed on is called among the streams: no stream of a pattern file can be, and it comes after all of them.
const REKEYED_STREAM: &str = "~rekeyed";

/// Which tasks are meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Those that read the input topics.
    First,
    /// Those that read what the first hand on.
    Rekeyed,
}

/// What a stage is made of.
pub(super) struct Plan {
    pub stage: Stage,
    pub evaluation: Arc<Evaluation>,
    /// With the group of the stage.
    pub link: Link,
    /// The topic of each stream that is read.
    pub inputs: BTreeMap<StreamId, String>,
    /// The topic that the events of each stream come from at first.
    pub sources: BTreeMap<StreamId, String>,
    pub journal: String,
    /// Written for the stage after it, if there is one.
    pub handed_on: Option<String>,
    /// As many as each of the inputs has partitions.
    pub tasks: u32,
}

impl Stage {
    /// Of the second stage's records the header `stage`; those of the first have none.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::First => None,
            Self::Rekeyed => Some("rekeyed"),
        }
    }

    /// A task, for people.
    pub fn task(self, number: u32) -> TaskName {
        TaskName { stage: self, number }
    }
}

/// Shown as `3`, or `3 (rekeyed)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskName {
    pub stage: Stage,
    pub number: u32,
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        self.stage.header().map_or(Ok(()), |stage| write!(f, " ({stage})"))
    }
}

/// The stages that a configuration needs, the first first. `tasks`: the partitions of each input topic.
pub(super) fn plan(program: Arc<Program>, sources: &[Source], config: &Config, kafka: &KafkaConfig, tasks: u32) -> Vec<Plan> {
    let link = upkeep::link(config, kafka);
    let inputs = input_topics(&program, config);
    let rekeyed = upkeep::rekeyed_patterns(&program, config, tasks);
    let set = || PatternSet::new(sources, config);
    let first = |set: PatternSet, handed_on| Plan {
        stage: Stage::First,
        evaluation: Arc::new(Evaluation::new(&program, set)),
        link: link.clone(),
        inputs: inputs.clone(),
        sources: inputs.clone(),
        journal: kafka.journal_topic.clone(),
        handed_on,
        tasks,
    };
    if rekeyed.is_empty() {
        return vec![first(set(), None)];
    }
    let split = |stage| Split { stage, patterns: rekeyed.clone(), upstreams: tasks, tasks };
    let topic = kafka.rekeyed_topic();
    let evaluation = Evaluation::new(&program, set().of(split(Stage::Rekeyed)));
    let second = Plan {
        stage: Stage::Rekeyed,
        // What the first stage has taken is not too long.
        link: Link { group: topic.clone(), record_bytes_max: usize::MAX, ..link.clone() },
        inputs: BTreeMap::from([(rekeyed_stream(&evaluation.program.schema), topic.clone())]),
        evaluation: Arc::new(evaluation),
        sources: inputs.clone(),
        journal: kafka.rekeyed_journal_topic(),
        handed_on: None,
        tasks,
    };
    vec![first(set().of(split(Stage::First)), Some(topic)), second]
}

/// The program of a stage. The streams keep their numbers.
pub(super) fn part_of(program: &Program, split: &Split) -> Program {
    let rekeyed = split.rekeyed();
    let is_here = |name: &str| rekeyed.contains(name) == (split.stage == Stage::Rekeyed);
    let mut schema = program.schema.clone();
    if split.stage == Stage::Rekeyed {
        let mut streams = schema.streams.clone();
        streams.push(Stream { name: REKEYED_STREAM.to_owned(), fields: Vec::new(), time_field: None, lateness: None });
        schema = Arc::new(Schema { streams });
    }
    Program { schema, patterns: program.patterns.iter().filter(|pattern| is_here(&pattern.name)).cloned().collect() }
}

pub(super) fn rekeyed_stream(schema: &Schema) -> StreamId {
    schema.find(REKEYED_STREAM).expect("the second stage's program has it")
}

#[cfg(test)]
mod tests;
