//! The worker on a simulated cluster that fails at every step of a transaction, as seeds tell: what it delivers is what an undisturbed run delivers.
//!
//! A worker that gives up is started again with the state that it left, as an operator would.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{Config, KafkaConfig, Origin, StreamConfig};
use crate::language::{Source, compile};
use crate::pattern::Program;
use crate::ports::{Failure, Fetched, GroupChange, InputPartition, Membership, Original, OutputRecord, Record, TopicSurvey, Transport, TransportError};
use crate::service::StopSignal;
use crate::service::topics::commit::Step;
use crate::service::topics::deployment::{Deployment, OutputTopic, Outputs};
use crate::service::topics::pattern_set::{Evaluation, PatternSet};
use crate::service::topics::slot::Slot;
use crate::service::topics::worker::Worker;

const PATTERNS: &str = "
stream clicks { k: string at: timestamp time at, late after 2s }
stream orders { k: string at: timestamp time at, late after 2s }
pattern three {
  from clicks by k
  match x: clicks then y: clicks then z: clicks
  within 1h
}
";

const JOURNAL: &str = "journal";
const TASKS: u32 = 2;
const RECORDS: usize = 150;
const SEEDS: u64 = 25;
/// A worker that has to be started more often than this makes no progress.
const STARTS_MAX: usize = 200;

/// What the brokers hold.
#[derive(Default)]
struct Cluster {
    inputs: BTreeMap<InputPartition, Vec<String>>,
    offsets: BTreeMap<InputPartition, u64>,
    /// By task: what is committed, in order.
    delivered: BTreeMap<u32, Vec<String>>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Cluster>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().expect("no test thread has panicked")
    }
}

impl TopicSurvey for Shared {
    fn committed(&self, partitions: &[InputPartition]) -> Result<Vec<Option<u64>>, TransportError> {
        Ok(partitions.iter().map(|input| self.lock().offsets.get(input).copied()).collect())
    }

    fn retained(&self, partition: InputPartition) -> Result<Range<u64>, TransportError> {
        Ok(0..self.end(partition)?)
    }

    fn end(&self, partition: InputPartition) -> Result<u64, TransportError> {
        Ok(self.lock().inputs[&partition].len() as u64)
    }
}

/// One life of a worker's clients.
struct Simulated {
    cluster: Shared,
    random: StdRng,
    failures_per_thousand: u32,
    assigned: bool,
    reading: BTreeMap<InputPartition, u64>,
    records: Vec<(u32, String)>,
    offsets: Vec<(InputPartition, u64)>,
    open: bool,
    /// The commit has happened, though nobody has said so.
    happened: bool,
}

impl Simulated {
    fn fail(&mut self, step: Step) -> Result<(), TransportError> {
        if self.random.random_range(0..1_000) >= self.failures_per_thousand {
            return Ok(());
        }
        let possible: &[Failure] = match step {
            Step::Begin | Step::Guard => &[Failure::Retriable],
            Step::Send | Step::Drain => &[Failure::Abortable],
            Step::Abort => &[Failure::Retriable, Failure::Fatal],
            Step::Offsets | Step::Commit => &[Failure::Retriable, Failure::Unknown, Failure::Abortable, Failure::Expelled, Failure::Fatal],
        };
        let failure = possible[self.random.random_range(0..possible.len())];
        if step == Step::Commit && failure == Failure::Unknown && self.random.random_bool(0.5) {
            self.happen();
        }
        Err(TransportError { failure, reason: format!("simulated {failure:?} at {step:?}") })
    }

    fn happen(&mut self) {
        if std::mem::replace(&mut self.happened, true) {
            return;
        }
        let mut cluster = self.cluster.lock();
        for (task, value) in self.records.drain(..) {
            cluster.delivered.entry(task).or_default().push(value);
        }
        cluster.offsets.extend(self.offsets.drain(..));
    }
}

impl Transport for Simulated {
    fn poll(&mut self, _: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
        if !std::mem::replace(&mut self.assigned, true) {
            return Ok(Some(GroupChange::Assigned((0..TASKS).collect())));
        }
        let cluster = self.cluster.clone();
        let cluster = cluster.lock();
        for (&input, next) in &mut self.reading {
            let records = &cluster.inputs[&input];
            let take = self.random.random_range(0..12);
            for (offset, value) in (0..).zip(records).skip(usize::try_from(*next).expect("small")).take(take) {
                let bytes = value.as_bytes();
                let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 };
                fetched.push(input, record, Original { key: None, value: Some(bytes) }, None);
                *next = offset + 1;
            }
        }
        Ok(None)
    }

    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError> {
        self.reading.extend(from.iter().copied());
        Ok(())
    }

    fn pause(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        self.reading.retain(|input, _| !partitions.contains(input));
        Ok(())
    }

    fn resume(&mut self, _: &[InputPartition]) -> Result<(), TransportError> {
        Ok(())
    }

    fn release(&mut self, _: &[u32]) -> Result<(), TransportError> {
        Ok(())
    }

    fn membership(&mut self) -> Membership {
        let expelled = self.random.random_range(0..1_000) < self.failures_per_thousand;
        Membership { generation: if expelled { -1 } else { 1 }, lost: false }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        assert!(!self.open, "one transaction at a time");
        self.fail(Step::Begin)?;
        (self.open, self.happened) = (true, false);
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError> {
        self.fail(Step::Send)?;
        let task = record.headers[0].1;
        let task = std::str::from_utf8(task).expect("digits").parse().expect("a number");
        if record.topic != JOURNAL {
            self.records.push((task, String::from_utf8(record.value.expect("a match").to_vec()).expect("text")));
        }
        Ok(())
    }

    fn delivered_to(&self, _: &str, _: u32) -> Option<u64> {
        None
    }

    fn drain(&mut self, _: Duration) -> Result<(), TransportError> {
        self.fail(Step::Drain)
    }

    fn send_offsets(&mut self, next: &[(InputPartition, u64)], _: Duration) -> Result<(), TransportError> {
        self.fail(Step::Offsets)?;
        self.offsets = next.to_vec();
        Ok(())
    }

    fn commit(&mut self, _: Duration) -> Result<(), TransportError> {
        self.fail(Step::Commit)?;
        self.happen();
        self.open = false;
        Ok(())
    }

    fn abort(&mut self, _: Duration) -> Result<(), TransportError> {
        self.fail(Step::Abort)?;
        self.records.clear();
        self.offsets.clear();
        self.open = false;
        Ok(())
    }

    fn renew(&mut self) -> Result<(), TransportError> {
        self.records.clear();
        self.offsets.clear();
        self.open = false;
        Ok(())
    }
}

fn cluster() -> Shared {
    let mut cluster = Cluster::default();
    for place in 0..RECORDS {
        let key = (place * 7) % 10;
        let at = 1_700_000_000_000 + place * 100 - (place * 31) % 15 * 100;
        let stream = if place % 3 == 0 { "orders" } else { "clicks" };
        let stream = program().schema.find(stream).expect("declared");
        let partition = u32::try_from(key).expect("small") % TASKS;
        let input = InputPartition { stream, partition };
        cluster.inputs.entry(input).or_default().push(format!("{{\"k\":\"{key}\",\"at\":{at}}}"));
    }
    Shared(Arc::new(Mutex::new(cluster)))
}

fn program() -> Arc<Program> {
    let compiled = compile(&[Source { path: "p.motif".to_owned(), text: PATTERNS.to_owned() }]);
    Arc::new(compiled.program)
}

fn deployment(cluster: &Shared, state: &Path) -> Arc<Deployment> {
    let program = program();
    let mut config = Config::one_shot(Vec::new());
    config.durability = crate::config::Durability::Process;
    config.streams = ["clicks", "orders"].map(|name| (name.to_owned(), StreamConfig::from_origin(Origin::Topic(name.to_owned())))).into();
    // An epoch as often as the loop goes round.
    let (brokers, group, output_topic) = (String::new(), String::new(), "out".to_owned());
    let journal_topic = JOURNAL.to_owned();
    let (late_topic, rejected_topic, properties) = (None, None, BTreeMap::new());
    config.kafka = Some(KafkaConfig { brokers, group, output_topic, late_topic, rejected_topic, journal_topic, epoch_ms: 0, properties });
    let ends = cluster.lock().inputs.iter().map(|(input, records)| (*input, records.len() as u64)).collect();
    Arc::new(Deployment {
        inputs: program.schema.ids().map(|id| (id, program.schema.stream(id).name.clone())).collect(),
        evaluation: Arc::new(Evaluation::new(program, PatternSet::new(&[], &config))),
        config,
        slot: take_slot(state),
        survey: Arc::new(cluster.clone()),
        outputs: Outputs { matches: OutputTopic { name: "out".to_owned(), partitions: TASKS }, late: None, rejected: None, journal: JOURNAL.to_owned() },
        ends: Some(ends),
        stop: StopSignal::default(),
    })
}

/// The same each time. A thread of the worker before may hold it for a moment longer, which a process would not outlive.
fn take_slot(state: &Path) -> Slot {
    loop {
        match Slot::take(state, Some(0)) {
            Ok(slot) => return slot,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// Runs to the end, however often the worker has to be started, and gives what was delivered and how often it was started.
fn run(seed: u64, failures_per_thousand: u32) -> (BTreeMap<u32, Vec<String>>, usize) {
    let cluster = cluster();
    let state = tempfile::tempdir().expect("a folder");
    let mut random = StdRng::seed_from_u64(seed);
    for starts in 1..=STARTS_MAX {
        let transport = Simulated {
            cluster: cluster.clone(),
            random: StdRng::seed_from_u64(random.random()),
            failures_per_thousand,
            assigned: false,
            reading: BTreeMap::new(),
            records: Vec::new(),
            offsets: Vec::new(),
            open: false,
            happened: false,
        };
        let outcome = Worker::new(deployment(&cluster, state.path()), Box::new(transport)).work();
        match outcome {
            Ok(_) => return (std::mem::take(&mut cluster.lock().delivered), starts),
            Err(error) => assert!(format!("{error:#}").contains("simulated"), "seed {seed}: {error:#}"),
        }
    }
    panic!("seed {seed}: started {STARTS_MAX} times");
}

#[test]
fn failures_at_every_step_neither_lose_nor_double_a_match() {
    let first: u64 = std::env::var("MOTIF_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (undisturbed, starts) = run(0, 0);
    assert_eq!(starts, 1);
    assert!(undisturbed.values().map(Vec::len).sum::<usize>() > 20, "{undisturbed:?}");
    let mut restarts = 0;
    for seed in first..first + SEEDS {
        let (delivered, starts) = run(seed, 30);
        restarts += starts - 1;
        assert_eq!(delivered, undisturbed, "MOTIF_TEST_SEED={seed}");
    }
    assert!(restarts > 0, "some failures end the worker");
}
