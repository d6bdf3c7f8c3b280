//! What is simulated: patterns, settings, and when which records come.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{Config, KafkaConfig, Origin, StreamConfig};
use crate::event::{StreamId, TimeSpan};
use crate::language::{Source, compile};
use crate::pattern::Program;
use crate::ports::InputPartition;
use crate::service::topics::pattern_set::{Evaluation, PatternSet};
use crate::service::topics::stages::{self, Plan, Stage};

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

/// What comes out of these is decided long after the last record.
const LONG_ABSENCES: &str = "
pattern no_order_in_1h { from clicks, orders by k match x: clicks then not y: orders where k == \"none\" for 1h skip none }
pattern no_order_in_2h { from clicks, orders by k match x: clicks then not y: orders where k == \"none\" for 2h skip none }
pattern no_click_in_3h { from clicks by k match x: clicks then not y: clicks where k == \"none\" for 3h skip none }
";

const LONG_REKEYED_ABSENCES: &str = "
pattern no_click_in_1h { from clicks by k match x: clicks then not y: clicks where k == \"none\" for 1h skip none }
pattern no_order_in_1h { from clicks, orders by u match x: clicks then not y: orders where u == \"none\" for 1h skip none }
pattern no_order_in_2h { from clicks, orders by u match x: clicks then not y: orders where u == \"none\" for 2h skip none }
";

/// The topics are partitioned by `k`. Every event that is evaluated by `u` is in one match of `click` or `order`.
const REKEYED_PATTERNS: &str = "
stream clicks { k: string u: string n: int at: timestamp time at, late after 1s }
stream orders { k: string u: string n: int at: timestamp time at, late after 1s }
pattern three {
  from clicks by k
  match x: clicks then y: clicks then z: clicks
  within 1h
}
pattern click { from clicks by u match x: clicks emit x.n as n }
pattern order { from orders by u match x: orders emit x.n as n }
pattern both {
  from clicks, orders by u
  match x: clicks then y: orders
  within 3s
}
pattern alone {
  from clicks by u
  match x: clicks then not y: clicks for 700ms
}
";

pub(super) const OUTPUT: &str = "out";
pub(super) const LATE: &str = "late";
pub(super) const REJECTED: &str = "rejected";
pub(super) const JOURNAL: &str = "journal";
pub(super) const TASKS: u32 = 2;
const RECORDS: usize = 90;

/// Of the two stages: so many may be held for the watermark, where the inputs are kept together.
const HELD_EVENTS_MAX: usize = 24;

/// When the simulated clock begins, in microseconds; the records' times are near it.
pub(super) const BEGINNING_US: i64 = 1_700_000_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scenario {
    /// All records are there from the beginning, some of them late or no JSON, and every stream holds the others back.
    Steady,
    /// The same, but orders end early: from some time on they are idle.
    Silent,
    /// Records come now and then, some long after their time; both streams may be idle or quiet.
    Sporadic,
    /// Few events may wait for the watermark.
    Crowded,
    /// The same, and what is there is all there is: an input at its end holds the others back no more.
    Bounded,
    /// All records are there from the beginning, what is there is all there is, and much of what comes out is decided by the end alone.
    BoundedOpen,
    /// Two stages: all records are there from the beginning, some of them late or no JSON.
    Rekeyed,
    /// The same, but one partition comes slowly, and few events may wait for it.
    RekeyedLagging,
    /// Two stages, and records come now and then: an upstream task may be idle.
    RekeyedSporadic,
    /// Two stages, what is there is all there is, and much of what comes out is decided by the end alone.
    RekeyedBounded,
}

/// A record of an input, and when it comes.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    pub at_us: i64,
    pub key: String,
    pub value: String,
    pub leader_epoch: u32,
}

impl Scenario {
    pub(super) fn is_rekeyed(self) -> bool {
        matches!(self, Self::Rekeyed | Self::RekeyedLagging | Self::RekeyedSporadic | Self::RekeyedBounded)
    }

    pub(super) fn is_bounded(self) -> bool {
        matches!(self, Self::Bounded | Self::BoundedOpen | Self::RekeyedBounded)
    }

    pub(super) fn is_sporadic(self) -> bool {
        matches!(self, Self::Sporadic | Self::RekeyedSporadic)
    }

    pub(super) fn has_few_held(self) -> bool {
        matches!(self, Self::Crowded | Self::Bounded)
    }

    /// The stages as a service would find them: the same for all runs of the scenario.
    pub(super) fn plans(self) -> &'static [Plan] {
        static PLANS: [OnceLock<Vec<Plan>>; 10] = [const { OnceLock::new() }; 10];
        PLANS[self as usize].get_or_init(|| {
            let config = self.config();
            let kafka = config.kafka.as_ref().expect("all run on Kafka");
            let plans = stages::plan(self.program(), &[self.source()], &config, kafka, TASKS);
            assert_eq!(plans.len(), 1 + usize::from(self.is_rekeyed()));
            plans
        })
    }

    pub(super) fn plan(self, stage: Stage) -> &'static Plan {
        self.plans().iter().find(|plan| plan.stage == stage).expect("a stage of the scenario")
    }

    /// Everything in one task, whatever its key is.
    pub(super) fn whole(self) -> Evaluation {
        Evaluation::new(&self.program(), PatternSet::new(&[self.source()], &self.config()))
    }

    /// The stream of a name.
    pub(super) fn stream(self, name: &str) -> StreamId {
        self.plan(Stage::First).evaluation.program.schema.find(name).expect("declared")
    }

    fn source(self) -> Source {
        let text = match self {
            Self::RekeyedBounded => format!("{REKEYED_PATTERNS}{LONG_REKEYED_ABSENCES}"),
            _ if self.is_rekeyed() => REKEYED_PATTERNS.to_owned(),
            Self::BoundedOpen => format!("{PATTERNS}{LONG_ABSENCES}"),
            _ => PATTERNS.to_owned(),
        };
        Source { path: "p.motif".to_owned(), text }
    }

    fn program(self) -> Arc<Program> {
        let compiled = compile(&[self.source()]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        Arc::new(compiled.program)
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::one_shot(Vec::new());
        let mut stream = |name: &str, idle_timeout_ms: Option<i64>, idle_after_ms: Option<i64>| {
            let mut stream = StreamConfig::from_origin(Origin::Topic(name.to_owned()));
            stream.key = vec!["k".to_owned()];
            stream.idle_timeout = idle_timeout_ms.map(TimeSpan::from_millis);
            stream.idle_after = idle_after_ms.map(TimeSpan::from_millis);
            config.streams.insert(name.to_owned(), stream);
        };
        let (clicks, orders) = match self {
            Self::Silent => ((None, None), (Some(300), None)),
            Self::Sporadic | Self::RekeyedSporadic => ((Some(400), None), (Some(200), Some(1_500))),
            _ => ((None, None), (None, None)),
        };
        stream("clicks", clicks.0, clicks.1);
        stream("orders", orders.0, orders.1);
        match self {
            _ if self.has_few_held() => config.limits.held_events_max = 5,
            Self::RekeyedLagging => config.limits.held_events_max = HELD_EVENTS_MAX,
            _ => {}
        }
        if self.is_sporadic() || self.is_bounded() {
            // Most keys are out of memory, most of the time.
            (config.limits.ready_keys_max, config.limits.packed_keys_max) = (0, 1);
        }
        let (brokers, group, output_topic, journal_topic) = (String::new(), "group".to_owned(), OUTPUT.to_owned(), JOURNAL.to_owned());
        let [late_topic, rejected_topic] = [LATE, REJECTED].map(|name| Some(name.to_owned()));
        // An epoch with each turn.
        config.epoch_ms = 0;
        config.kafka = Some(KafkaConfig { brokers, group, output_topic, late_topic, rejected_topic, journal_topic, properties: BTreeMap::new() });
        config
    }

    /// Their values are the same whatever the seed is, which tells when they come.
    pub(super) fn inputs(self, seed: u64) -> BTreeMap<InputPartition, Vec<Arriving>> {
        let mut random = StdRng::seed_from_u64(seed ^ 0xa771);
        let slow = random.random_range(0..TASKS * 2);
        let mut inputs: BTreeMap<InputPartition, Vec<Arriving>> = BTreeMap::new();
        for place in 0..RECORDS {
            let key = (place * 7) % 10;
            let is_order = place.is_multiple_of(3);
            let partition = u32::try_from(key).expect("small") % TASKS;
            let input = InputPartition { stream: self.stream(if is_order { "orders" } else { "clicks" }), partition };
            let records = inputs.entry(input).or_default();
            if self == Self::Silent && is_order && place > RECORDS / 4 {
                continue;
            }
            let before_us = records.last().map_or(BEGINNING_US, |last: &Arriving| last.at_us);
            let pause_us = match self {
                _ if self.is_sporadic() && random.random_bool(0.1) => random.random_range(0..4_000_000),
                _ if self.is_sporadic() => random.random_range(0..100_000),
                Self::RekeyedLagging if partition * 2 + u32::from(is_order) == slow => random.random_range(0..400_000),
                _ => 0,
            };
            let value = if self.is_rekeyed() { rekeyed_value(place, key) } else { value(place, key) };
            records.push(Arriving { at_us: before_us + pause_us, key: key.to_string(), value, leader_epoch: 0 });
        }
        inputs
    }
}

const BEGINNING_MS: usize = 1_700_000_000_000;

fn value(place: usize, key: usize) -> String {
    // Some long after the watermark of their partition.
    let back_ms = if place % 11 == 8 { 60_000 } else { (place * 31) % 15 * 100 };
    let at = BEGINNING_MS + place * 100 - back_ms;
    let end = if place % 17 == 5 { "" } else { "}" };
    format!("{{\"k\":\"{key}\",\"at\":{at}{end}")
}

fn rekeyed_value(place: usize, key: usize) -> String {
    let at = match place {
        // Long after the watermark of its partition.
        _ if place % 17 == 16 => BEGINNING_MS + place * 100 - 5_000,
        _ => BEGINNING_MS + place * 100 - (place * 31) % 7 * 100,
    };
    let user = place * 5 % 7;
    let end = if place % 29 == 28 { "" } else { "}" };
    format!("{{\"k\":\"{key}\",\"u\":\"{user}\",\"n\":{place},\"at\":{at}{end}")
}
