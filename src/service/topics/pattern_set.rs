//! What decides which matches come out: the patterns' texts and the settings that they are evaluated under, under one name.
//!
//! The journal names the set of each epoch by its hash. A replay must evaluate as the original did, so each set is kept, as JSON, beside the state and the
//! checkpoints as long as they may be needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{Config, Strictness, TimestampUnit};
use crate::engine::{Compiled, READY_KEYS_MAX, WindowsSince};
use crate::event::{EventTime, StreamId, TimeSpan};
use crate::language::{Source, compile};
use crate::pattern::Program;
use crate::service::rekeying::Rekeying;
use crate::service::task::{SetAsideForm, StreamOptions, TaskOptions};
use crate::service::topics::stages::{Stage, part_of, rekeyed_stream};

/// A pattern set as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PatternSet {
    /// The texts of the pattern files, in order of their paths. The paths are left out: they differ from machine to machine.
    texts: Vec<String>,
    runs_per_key_max: u64,
    matches_per_event_max: u64,
    held_events_max: usize,
    ahead_max_us: i64,
    record_bytes_max: usize,
    streams: BTreeMap<String, StreamSettings>,
    /// Which outputs there are besides matches: they count among what an epoch put out.
    late: bool,
    rejected: bool,
    /// Where there are two stages: which of them this is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<Split>,
}

/// How patterns are divided between the stages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Split {
    pub stage: Stage,
    /// Those of the second stage.
    pub patterns: Vec<String>,
    /// Tasks of the first stage and of the second.
    pub upstreams: u32,
    pub tasks: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct StreamSettings {
    late_after_us: Option<i64>,
    idle_timeout_us: Option<i64>,
    idle_after_us: Option<i64>,
    timestamp_unit: String,
}

/// A set that was compiled, and can be run.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// Of the stage that the set is for.
    pub program: Arc<Program>,
    /// The patterns that events are handed on for.
    handed_on: Option<(Arc<Program>, Arc<Compiled>)>,
    pub set: PatternSet,
    pub hash: u128,
    /// As tasks have it, by which of its patterns came later than others: most often that is the same for all of them.
    compiled: Mutex<BTreeMap<WindowsSince, Arc<Compiled>>>,
}

impl PatternSet {
    pub(super) fn new(sources: &[Source], config: &Config) -> Self {
        let micros = |span: Option<TimeSpan>| span.map(TimeSpan::micros);
        let settings = |(name, stream): (&String, &crate::config::StreamConfig)| {
            let settings = StreamSettings {
                late_after_us: micros(stream.late_after),
                idle_timeout_us: micros(stream.idle_timeout),
                idle_after_us: micros(stream.idle_after),
                timestamp_unit: unit_word(stream.timestamp_unit).to_owned(),
            };
            (name.clone(), settings)
        };
        let kafka = config.kafka.as_ref();
        Self {
            texts: sources.iter().map(|source| source.text.clone()).collect(),
            runs_per_key_max: config.limits.runs_per_key_max,
            matches_per_event_max: config.limits.matches_per_event_max,
            held_events_max: config.limits.held_events_max,
            ahead_max_us: config.limits.ahead_max.micros(),
            record_bytes_max: config.limits.record_bytes_max,
            streams: config.streams.iter().map(settings).collect(),
            late: kafka.is_some_and(|kafka| kafka.late_topic.is_some()),
            rejected: kafka.is_some_and(|kafka| kafka.rejected_topic.is_some()),
            split: None,
        }
    }

    /// The set of one stage. What was handed on is never too long: it was read before.
    pub(super) fn of(self, split: Split) -> Self {
        let record_bytes_max = if split.stage == Stage::Rekeyed { usize::MAX } else { self.record_bytes_max };
        Self { record_bytes_max, split: Some(split), ..self }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data is JSON")
    }

    pub(super) fn hash(&self) -> u128 {
        xxh3_128(&self.to_json())
    }
}

impl Split {
    /// The names of the patterns of the second stage.
    pub(super) fn rekeyed(&self) -> BTreeSet<&str> {
        self.patterns.iter().map(String::as_str).collect()
    }
}

impl Evaluation {
    /// Of a set whose whole program is at hand.
    pub(super) fn new(program: &Arc<Program>, set: PatternSet) -> Self {
        let hash = set.hash();
        let part = |split: &Split| Arc::new(part_of(program, split));
        let handed_on = set.split.as_ref().filter(|split| split.stage == Stage::First).map(|split| {
            let rekeyed = split.rekeyed();
            let patterns = program.patterns.iter().filter(|pattern| rekeyed.contains(&*pattern.name));
            let program = Program { schema: program.schema.clone(), patterns: patterns.cloned().collect() };
            let compiled = Arc::new(Compiled::new(&program));
            (Arc::new(program), compiled)
        });
        Self { program: set.split.as_ref().map_or_else(|| program.clone(), part), handed_on, set, hash, compiled: Mutex::default() }
    }

    /// The program, ready to run. Cost: it is compiled once for all tasks of which the same patterns came later than others, and who asks meanwhile waits.
    pub(super) fn compiled(&self, since: &WindowsSince) -> Arc<Compiled> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.entry(since.clone()).or_insert_with(|| Arc::new(Compiled::since(&self.program, since))).clone()
    }

    /// As a task has it.
    pub(super) fn lateness(&self, stream: StreamId) -> TimeSpan {
        let stream = self.program.schema.stream(stream);
        stream.lateness_or(self.set.streams.get(&stream.name).and_then(|settings| settings.late_after_us).map(TimeSpan::from_micros))
    }

    /// Of a stored set. An error where it is not the set of this hash, or where this version of motif does not take its patterns any more.
    pub(super) fn restore(json: &[u8], hash: u128) -> Result<Self, String> {
        let set: PatternSet = serde_json::from_slice(json).map_err(|error| format!("the stored pattern set {hash:032x} cannot be read: {error}"))?;
        if xxh3_128(json) != hash {
            return Err(format!("the stored pattern set {hash:032x} is damaged"));
        }
        let sources: Vec<_> = (0..).zip(&set.texts).map(|(place, text)| Source { path: format!("{place:06}.motif"), text: text.clone() }).collect();
        let compiled = compile(&sources);
        if compiled.has_errors() {
            return Err(format!("the stored pattern set {hash:032x} does not compile with this version of motif"));
        }
        Ok(Self::new(&Arc::new(compiled.program), set))
    }

    /// How many tasks events are handed on to.
    pub(super) fn tasks_after(&self) -> u32 {
        self.set.split.as_ref().filter(|split| split.stage == Stage::First).map_or(0, |split| split.tasks)
    }

    fn rekeying(&self) -> Option<Rekeying> {
        let split = self.set.split.as_ref()?;
        Some(match &self.handed_on {
            Some((program, compiled)) => Rekeying::Upstream { program: program.clone(), compiled: compiled.clone(), tasks: split.tasks },
            None => Rekeying::Downstream { stream: rekeyed_stream(&self.program.schema), upstreams: split.upstreams, tasks: split.tasks },
        })
    }

    pub(super) fn has_late(&self) -> bool {
        self.set.late
    }

    pub(super) fn record_bytes_max(&self) -> usize {
        self.set.record_bytes_max
    }

    pub(super) fn has_rejected(&self) -> bool {
        self.set.rejected
    }

    /// How a task of this set is run, far-future times measured from `reference`.
    pub(super) fn task_options(&self, reference: EventTime, strictness: Strictness) -> TaskOptions {
        let span = |micros: Option<i64>| micros.map(TimeSpan::from_micros);
        let options = |(name, stream): (&String, &StreamSettings)| {
            let options = StreamOptions {
                late_after: span(stream.late_after_us),
                idle_timeout: span(stream.idle_timeout_us),
                idle_after: span(stream.idle_after_us),
                timestamp_unit: unit_of(&stream.timestamp_unit),
            };
            (name.clone(), options)
        };
        let rekeying = self.rekeying();
        // The first stage has judged how far ahead events may be.
        let reference = if matches!(rekeying, Some(Rekeying::Downstream { .. })) { EventTime::END } else { reference };
        TaskOptions {
            shards: 1,
            runs_per_key_max: self.set.runs_per_key_max,
            matches_per_event_max: self.set.matches_per_event_max,
            ready_keys_max: READY_KEYS_MAX,
            packed_keys_max: usize::MAX,
            scratch: None,
            held_events_max: self.set.held_events_max,
            reference,
            ahead_max: TimeSpan::from_micros(self.set.ahead_max_us),
            strictness,
            set_aside: SetAsideForm::Originals,
            streams: self.set.streams.iter().map(options).collect(),
            rekeying,
        }
    }
}

const UNITS: [(TimestampUnit, &str); 4] =
    [(TimestampUnit::Seconds, "s"), (TimestampUnit::Millis, "ms"), (TimestampUnit::Micros, "us"), (TimestampUnit::Nanos, "ns")];

fn unit_word(unit: TimestampUnit) -> &'static str {
    UNITS.into_iter().find(|(known, _)| *known == unit).expect("every unit has a word").1
}

fn unit_of(word: &str) -> TimestampUnit {
    UNITS.into_iter().find(|(_, known)| *known == word).map_or(TimestampUnit::Millis, |(unit, _)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, StreamConfig};

    const TEXT: &str = "stream clicks { k: string at: timestamp time at }\npattern two { from clicks by k match x: clicks then y: clicks within 1h }\n";

    fn set(text: &str, change: impl FnOnce(&mut Config)) -> PatternSet {
        let mut config = Config::one_shot(Vec::new());
        config.streams.insert("clicks".to_owned(), StreamConfig::from_origin(Origin::Topic("clicks".to_owned())));
        change(&mut config);
        PatternSet::new(&[Source { path: "/here/p.motif".to_owned(), text: text.to_owned() }], &config)
    }

    #[test]
    fn a_stored_set_runs_as_the_original() {
        let set = set(TEXT, |config| config.streams.get_mut("clicks").expect("there").late_after = TimeSpan::parse("3s"));
        let restored = Evaluation::restore(&set.to_json(), set.hash()).expect("restored");
        assert_eq!((&restored.set, restored.hash), (&set, set.hash()));
        assert_eq!(restored.program.patterns[0].name, "two");
        let options = restored.task_options(EventTime::from_micros(5), Strictness::SetAside);
        assert_eq!((options.streams["clicks"].late_after, options.shards), (TimeSpan::parse("3s"), 1));
    }

    #[test]
    fn what_is_ready_to_run_is_shared_by_the_tasks_whose_patterns_came_alike() {
        let windows = TEXT.to_owned() + "pattern many { from clicks by k match x: clicks where count(clicks over 1h) > 3 }\n";
        let set = set(&windows, |_| {});
        let evaluation = Evaluation::restore(&set.to_json(), set.hash()).expect("restored");
        let many = evaluation.program.patterns.iter().find(|pattern| pattern.name == "many").expect("one of them").version;
        let [together, later] = [WindowsSince::new(), WindowsSince::from([(many, 1)])];
        let of = |since: &WindowsSince| evaluation.compiled(since);
        assert!(Arc::ptr_eq(&of(&together), &of(&together)) && Arc::ptr_eq(&of(&later), &of(&later)));
        let logs = |since| of(since).log_versions().collect::<Vec<_>>();
        assert_ne!(logs(&together), logs(&later), "a pattern that came later has a log of its own");
    }

    #[test]
    fn what_changes_matches_changes_the_name_and_nothing_else_does() {
        let plain = set(TEXT, |_| {}).hash();
        assert_eq!(set(TEXT, |config| config.workers = 7).hash(), plain);
        for other in [
            set(&TEXT.replace("1h", "2h"), |_| {}),
            set(TEXT, |config| config.limits.runs_per_key_max = 3),
            set(TEXT, |config| config.limits.matches_per_event_max = 3),
            set(TEXT, |config| config.limits.record_bytes_max = 3),
            set(TEXT, |config| config.streams.get_mut("clicks").expect("there").timestamp_unit = TimestampUnit::Seconds),
        ] {
            assert_ne!(other.hash(), plain);
        }
    }

    #[test]
    fn a_set_of_two_stages_is_divided_as_it_was() {
        let both = TEXT.to_owned() + "pattern any { from clicks match x: clicks then y: clicks within 1h }\n";
        let split = |stage| Split { stage, patterns: vec!["any".to_owned()], upstreams: 3, tasks: 3 };
        let plain = set(&both, |_| {});
        for (stage, patterns, streams, tasks_after) in [(Stage::First, ["two"], 1, 3), (Stage::Rekeyed, ["any"], 2, 0)] {
            let set = plain.clone().of(split(stage));
            assert_ne!(set.hash(), plain.hash());
            let restored = Evaluation::restore(&set.to_json(), set.hash()).expect("restored");
            let names: Vec<&str> = restored.program.patterns.iter().map(|pattern| pattern.name.as_str()).collect();
            assert_eq!((names.as_slice(), restored.program.schema.streams.len(), restored.tasks_after()), (patterns.as_slice(), streams, tasks_after));
            assert_eq!(restored.set, set);
        }
        assert!(!String::from_utf8(plain.to_json()).expect("JSON").contains("split"), "sets without stages keep their names");
    }

    #[test]
    fn damaged_sets_are_refused() {
        let set = set(TEXT, |_| {});
        assert!(Evaluation::restore(&set.to_json(), 7).expect_err("another").contains("damaged"));
        assert!(Evaluation::restore(b"{}", xxh3_128(b"{}")).expect_err("no set").contains("cannot be read"));
    }
}
