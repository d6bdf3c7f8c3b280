//! What is simulated: patterns, settings, and when which records come.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{Config, KafkaConfig, Origin, StreamConfig};
use crate::event::TimeSpan;
use crate::language::{Source, compile};
use crate::ports::InputPartition;
use crate::service::topics::pattern_set::{Evaluation, PatternSet};

const PATTERNS: &str = "
stream clicks { k: string at: timestamp time at, late after 2s }
stream orders { k: string at: timestamp time at, late after 2s }
pattern three {
  from clicks by k
  match x: clicks then y: clicks then z: clicks
  within 1h
}
pattern both {
  from clicks, orders by k
  match x: clicks then y: orders
  within 3s
}
";

pub(super) const OUTPUT: &str = "out";
pub(super) const LATE: &str = "late";
pub(super) const REJECTED: &str = "rejected";
pub(super) const JOURNAL: &str = "journal";
pub(super) const TASKS: u32 = 2;
const RECORDS: usize = 90;

/// When the simulated clock begins, in microseconds; the records' times are near it.
pub(super) const BEGINNING_US: i64 = 1_700_000_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scenario {
    /// All records are there from the beginning, and every stream holds the others back.
    Steady,
    /// The same, but orders end early: from some time on they are idle.
    Silent,
    /// Records come now and then, some long after their time; both streams may be idle or quiet.
    Sporadic,
    /// Few events may wait for the watermark.
    Crowded,
    /// The same, and what is there is all there is: an input at its end holds the others back no more.
    Bounded,
}

/// A record of an input, and when it comes.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    pub at_us: i64,
    pub value: String,
    pub leader_epoch: u32,
}

impl Scenario {
    /// By chance the same is asked of all its runs.
    pub(super) fn evaluation(self) -> Arc<Evaluation> {
        static EVALUATIONS: [OnceLock<Arc<Evaluation>>; 5] = [const { OnceLock::new() }; 5];
        let make = || {
            let sources = [Source { path: "p.motif".to_owned(), text: PATTERNS.to_owned() }];
            let compiled = compile(&sources);
            assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
            Arc::new(Evaluation::new(&Arc::new(compiled.program), PatternSet::new(&sources, &self.config())))
        };
        EVALUATIONS[self as usize].get_or_init(make).clone()
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::one_shot(Vec::new());
        let mut stream = |name: &str, idle_timeout_ms: Option<i64>, idle_after_ms: Option<i64>| {
            let mut stream = StreamConfig::from_origin(Origin::Topic(name.to_owned()));
            stream.idle_timeout = idle_timeout_ms.map(TimeSpan::from_millis);
            stream.idle_after = idle_after_ms.map(TimeSpan::from_millis);
            config.streams.insert(name.to_owned(), stream);
        };
        let (clicks, orders) = match self {
            Self::Steady | Self::Crowded | Self::Bounded => ((None, None), (None, None)),
            Self::Silent => ((None, None), (Some(300), None)),
            Self::Sporadic => ((Some(400), None), (Some(200), Some(1_500))),
        };
        stream("clicks", clicks.0, clicks.1);
        stream("orders", orders.0, orders.1);
        if matches!(self, Self::Crowded | Self::Bounded) {
            config.limits.held_events_max = 5;
        }
        let (brokers, group, output_topic, journal_topic) = (String::new(), String::new(), OUTPUT.to_owned(), JOURNAL.to_owned());
        let [late_topic, rejected_topic] = [LATE, REJECTED].map(|name| Some(name.to_owned()));
        // An epoch with each turn.
        config.kafka = Some(KafkaConfig { brokers, group, output_topic, late_topic, rejected_topic, journal_topic, epoch_ms: 0, properties: BTreeMap::new() });
        config
    }

    pub(super) fn inputs(self, seed: u64) -> BTreeMap<InputPartition, Vec<Arriving>> {
        let mut random = StdRng::seed_from_u64(seed ^ 0xa771);
        let schema = self.evaluation().program.schema.clone();
        let mut inputs: BTreeMap<InputPartition, Vec<Arriving>> = BTreeMap::new();
        for place in 0..RECORDS {
            let key = (place * 7) % 10;
            let back_ms = if place % 11 == 8 { 60_000 } else { (place * 31) % 15 * 100 };
            let at = 1_700_000_000_000 + place * 100 - back_ms;
            let unread = if place % 17 == 5 { ", unreadable" } else { "" };
            let is_order = place.is_multiple_of(3);
            let stream = schema.find(if is_order { "orders" } else { "clicks" }).expect("declared");
            let input = InputPartition { stream, partition: u32::try_from(key).expect("small") % TASKS };
            let records = inputs.entry(input).or_default();
            if self == Self::Silent && is_order && place > RECORDS / 4 {
                continue;
            }
            let before_us = records.last().map_or(BEGINNING_US, |last: &Arriving| last.at_us);
            let pause_us = match self {
                Self::Sporadic if random.random_bool(0.1) => random.random_range(0..4_000_000),
                Self::Sporadic => random.random_range(0..100_000),
                _ => 0,
            };
            records.push(Arriving { at_us: before_us + pause_us, value: format!("{{\"k\":\"{key}\",\"at\":{at}{unread}}}"), leader_epoch: 0 });
        }
        inputs
    }
}
