//! Workers on a simulated cluster that fails at every step, as seeds tell: what they deliver, and the state that they end with, is that of an undisturbed run.
//!
//! ```text
//! Cluster: topics, offsets, journal, group, transactions ◀─ Simulated (one life of a worker's clients) ◀─ Worker, stepped
//! ```
//!
//! Two workers with a machine each share the tasks. At random, calls fail in every way that they can; a commit whose answer is lost has happened, has not, or arrives
//! later, also into the transaction after it; tasks move; members are expelled without a word; processes are killed, and start again with the state that they had, an
//! older one, or none; checkpoints are damaged, or away. Everything happens in one thread, so a seed tells everything.
//!
//! `MOTIF_TEST_SEED` names the first seed, `MOTIF_SIMULATION_SEEDS` how many.

mod cluster;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crossbeam_channel::Receiver;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{Config, KafkaConfig, Origin, StreamConfig};
use crate::language::{Source, compile};
use crate::ports::{ObjectError, ObjectFault, StateStore, WriteBatch};
use crate::service::StopSignal;
use crate::service::state::Meta;
use crate::service::topics::bases::Bases;
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::deployment::{Deployment, OutputTopic, Outputs, Recoveries};
use crate::service::topics::metrics::{Metrics, MetricsSnapshot};
use crate::service::topics::pattern_set::{Evaluation, PatternSet};
use crate::service::topics::slot::Slot;
use crate::service::topics::worker::Worker;
use crate::store::Memory;

use cluster::{Shared, Simulated};

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

const JOURNAL: &str = "journal";
const TASKS: u32 = 2;
const RECORDS: usize = 90;
const WORKERS: usize = 2;
const SEEDS: u64 = 5_000;
/// A cluster that needs more turns makes no progress.
const TURNS_MAX: usize = 100_000;

/// By task: what is delivered, in order; and the state at the end.
#[derive(Clone, PartialEq, Debug, Default)]
struct Outcome {
    delivered: BTreeMap<u32, Vec<String>>,
    states: BTreeMap<u32, Entries>,
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// How much goes wrong, each of a thousand times that it could.
#[derive(Clone, Copy)]
struct Faults {
    call: u32,
    crash: u32,
    rebalance: u32,
    expel: u32,
}

const NO_FAULTS: Faults = Faults { call: 0, crash: 0, rebalance: 0, expel: 0 };
const FAULTS: Faults = Faults { call: 25, crash: 12, rebalance: 15, expel: 8 };

/// Where the states of a machine's tasks lie, and the checkpoints that all machines share.
struct SimulatedBases {
    machine: Arc<Mutex<Machine>>,
    checkpoints: Arc<Mutex<BTreeMap<u32, Vec<Checkpoint>>>>,
    random: Mutex<StdRng>,
    cluster: Shared,
    worker: usize,
}

#[derive(Default)]
struct Machine {
    states: BTreeMap<u32, Arc<Memory>>,
    /// Earlier ones, to which a loss of power may go back.
    earlier: BTreeMap<u32, Entries>,
}

#[derive(Clone)]
struct Checkpoint {
    manifest: Manifest,
    entries: Entries,
    damaged: bool,
}

fn entries(store: &dyn StateStore) -> Entries {
    let mut entries = Entries::new();
    let mut take = |key: &[u8], value: &[u8]| {
        entries.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.scan(&[], &[0xff], &mut take).expect("in memory");
    entries
}

fn store_of(entries: &Entries) -> Arc<Memory> {
    let store = Memory::default();
    store.write(WriteBatch { puts: entries.clone().into_iter().collect(), ..WriteBatch::default() }).expect("in memory");
    Arc::new(store)
}

impl SimulatedBases {
    fn chance(&self, of_thousand: u32) -> bool {
        self.random.lock().expect("one thread").random_range(0..1_000) < of_thousand
    }

    /// Now and then the checkpoints' store is.
    fn be_away(&self) -> anyhow::Result<()> {
        let is_away = self.cluster.faults().call > 0 && self.chance(150);
        let away = || ObjectError { at: "simulated".to_owned(), what: "away".to_owned(), fault: ObjectFault::Store };
        if is_away { Err(CheckpointError::from(away()).into()) } else { Ok(()) }
    }
}

impl Bases for SimulatedBases {
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        Ok(self.machine.lock().expect("one thread").states.entry(task).or_default().clone())
    }

    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        drop(store);
        self.machine.lock().expect("one thread").states.remove(&task);
        self.open(task)
    }

    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>> {
        self.be_away()?;
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let mut manifests: Vec<_> = checkpoints.get(&task).into_iter().flatten().map(|checkpoint| checkpoint.manifest.clone()).collect();
        manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.epoch));
        // A listing may be stale.
        let skip = usize::from(self.chance(100)).min(manifests.len().saturating_sub(1));
        Ok(manifests.split_off(skip))
    }

    fn load(&self, manifest: &Manifest) -> anyhow::Result<Option<Arc<dyn StateStore>>> {
        self.be_away()?;
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let found = checkpoints[&manifest.task].iter().find(|checkpoint| checkpoint.manifest == *manifest).filter(|checkpoint| !checkpoint.damaged);
        let Some(found) = found else { return Ok(None) };
        let store = store_of(&found.entries);
        self.machine.lock().expect("one thread").states.insert(manifest.task, store.clone());
        Ok(Some(store))
    }

    fn copy(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()> {
        let copied = entries(&*store);
        // A killed process copies nothing.
        if let Some(meta) = copied.get(Meta::KEY).filter(|_| !self.cluster.is_crashed(self.worker)) {
            let meta = Meta::decode(meta).expect("written by us");
            let damaged = self.chance(if self.cluster.faults().call > 0 { 100 } else { 0 });
            let checkpoint = Checkpoint { manifest: Manifest::of(task, &meta), entries: copied.clone(), damaged };
            self.checkpoints.lock().expect("one thread").entry(task).or_default().push(checkpoint);
        }
        self.machine.lock().expect("one thread").earlier.insert(task, copied);
        crossbeam_channel::bounded(0).1
    }

    fn keep_set(&self, _: u128, _: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    fn find_set(&self, _: u128) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

fn evaluation() -> Arc<Evaluation> {
    static EVALUATION: OnceLock<Arc<Evaluation>> = OnceLock::new();
    let make = || {
        let sources = [Source { path: "p.motif".to_owned(), text: PATTERNS.to_owned() }];
        let compiled = compile(&sources);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        Arc::new(Evaluation::new(Arc::new(compiled.program), PatternSet::new(&sources, &config())))
    };
    EVALUATION.get_or_init(make).clone()
}

fn config() -> Config {
    let mut config = Config::one_shot(Vec::new());
    config.streams = ["clicks", "orders"].map(|name| (name.to_owned(), StreamConfig::from_origin(Origin::Topic(name.to_owned())))).into();
    let (brokers, group, output_topic, journal_topic) = (String::new(), String::new(), "out".to_owned(), JOURNAL.to_owned());
    let (late_topic, rejected_topic, properties) = (None, None, BTreeMap::new());
    // An epoch with each turn.
    config.kafka = Some(KafkaConfig { brokers, group, output_topic, late_topic, rejected_topic, journal_topic, epoch_ms: 0, properties });
    config
}

/// What lasts from one life of a worker to the next.
struct Place {
    machine: Arc<Mutex<Machine>>,
    slots: tempfile::TempDir,
}

/// One run of a cluster.
struct Simulation {
    cluster: Shared,
    checkpoints: Arc<Mutex<BTreeMap<u32, Vec<Checkpoint>>>>,
    places: Vec<Place>,
    random: StdRng,
    metrics: Vec<Arc<Metrics>>,
    lives: usize,
}

impl Simulation {
    fn new(seed: u64, faults: Faults, workers: usize) -> Self {
        let place = |_| Place { machine: Arc::default(), slots: tempfile::tempdir().expect("a folder") };
        Self {
            cluster: Shared::new(seed, faults),
            checkpoints: Arc::default(),
            places: (0..workers).map(place).collect(),
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            metrics: Vec::new(),
            lives: 0,
        }
    }

    /// A process starts on a machine.
    fn start(&mut self, worker: usize) -> (Worker, StopSignal) {
        self.lives += 1;
        let stop = StopSignal::default();
        let metrics = Arc::new(Metrics::default());
        self.metrics.push(metrics.clone());
        let evaluation = evaluation();
        let transport = Simulated::join(&self.cluster, worker, &stop);
        let machine = self.places[worker].machine.clone();
        let random = Mutex::new(StdRng::seed_from_u64(self.random.random()));
        let bases = SimulatedBases { machine, checkpoints: self.checkpoints.clone(), random, cluster: self.cluster.clone(), worker };
        // Without time a call is never asked again.
        let watchdog = if self.random.random_bool(0.5) { Duration::ZERO } else { Duration::from_secs(60) };
        let deployment = Deployment {
            inputs: evaluation.program.schema.ids().map(|id| (id, evaluation.program.schema.stream(id).name.clone())).collect(),
            evaluation,
            config: config(),
            slot: Slot::take(self.places[worker].slots.path(), Some(0)).expect("one at a time"),
            bases: Box::new(bases),
            metrics,
            survey: Arc::new(self.cluster.clone()),
            outputs: Outputs { matches: OutputTopic { name: "out".to_owned(), partitions: TASKS }, late: None, rejected: None, journal: JOURNAL.to_owned() },
            ends: None,
            stop: stop.clone(),
            recoveries: Recoveries::InTurn,
            watchdog,
            revoke_max: watchdog,
        };
        (Worker::new(Arc::new(deployment), Box::new(transport)), stop)
    }

    /// What a killed process leaves on its machine.
    fn crash(&mut self, worker: usize) {
        let mut machine = self.places[worker].machine.lock().expect("one thread");
        let Machine { states, earlier } = &mut *machine;
        for (task, entries) in earlier.iter() {
            match self.random.random_range(0..4) {
                0 => drop(states.insert(*task, store_of(entries))),
                1 => drop(states.remove(task)),
                _ => {}
            }
        }
    }

    /// Until everything is committed, then once more without faults for the states.
    fn run(mut self) -> (Outcome, Self) {
        let mut workers: Vec<_> = (0..self.places.len()).map(|worker| Some(self.start(worker))).collect();
        for turns in 0.. {
            assert!(turns < TURNS_MAX, "no progress");
            if self.cluster.is_finished() {
                break;
            }
            let worker = self.random.random_range(0..workers.len());
            let Some((running, _)) = &mut workers[worker] else {
                self.cluster.gone(worker);
                workers[worker] = Some(self.start(worker));
                continue;
            };
            if let Err(error) = running.turn() {
                assert!(format!("{error:#}").contains("simulated"), "{error:#}");
                workers[worker] = None;
                self.crash(worker);
            }
            self.copy_now_and_then(worker);
        }
        for (worker, running) in workers.into_iter().enumerate() {
            drop(running);
            self.cluster.gone(worker);
        }
        self.cluster.set_faults(NO_FAULTS);
        self.checkpoints.lock().expect("one thread").values_mut().flatten().for_each(|checkpoint| checkpoint.damaged = false);
        let (mut last, stop) = self.start(0);
        // It takes over all tasks, then is told to stop, which copies their states.
        for _ in 0..20 {
            assert!(last.turn().expect("no faults").is_none());
        }
        stop.ask();
        last.turn().expect("no faults").expect("stopped");
        (Outcome { delivered: self.cluster.delivered(), states: self.states() }, self)
    }

    /// The worker does this by the clock.
    fn copy_now_and_then(&mut self, worker: usize) {
        if self.random.random_range(0..1_000) >= 60 {
            return;
        }
        let states = self.places[worker].machine.lock().expect("one thread").states.clone();
        let random = Mutex::new(StdRng::seed_from_u64(self.random.random()));
        let machine = self.places[worker].machine.clone();
        let bases = SimulatedBases { machine, checkpoints: self.checkpoints.clone(), random, cluster: self.cluster.clone(), worker };
        for (task, store) in states {
            drop(bases.copy(task, store));
        }
    }

    fn states(&self) -> BTreeMap<u32, Entries> {
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let newest = |of_task: &Vec<Checkpoint>| of_task.iter().max_by_key(|checkpoint| checkpoint.manifest.epoch).expect("one").entries.clone();
        let without_meta = |mut entries: Entries| {
            entries.remove(Meta::KEY);
            entries
        };
        checkpoints.iter().map(|(task, of_task)| (*task, without_meta(newest(of_task)))).collect()
    }

    fn total(&self, number: impl Fn(&MetricsSnapshot) -> u64) -> u64 {
        self.metrics.iter().map(|metrics| number(&metrics.snapshot())).sum()
    }
}

/// A number under its name.
type Count = (&'static str, fn(&MetricsSnapshot) -> u64);

#[expect(clippy::print_stdout, reason = "what was tested is told with the test")]
fn say(line: &str) {
    println!("{line}");
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn failures_at_every_step_neither_lose_nor_double_a_match() {
    let (undisturbed, simulation) = Simulation::new(0, NO_FAULTS, 1).run();
    assert_eq!(simulation.lives, 2, "and one for the states");
    assert!(undisturbed.delivered.values().map(Vec::len).sum::<usize>() > 20, "{undisturbed:?}");
    assert!(undisturbed.states.len() == TASKS as usize && undisturbed.states.values().all(|state| state.len() > 3), "{undisturbed:?}");
    let (first, seeds) = (from_environment("MOTIF_TEST_SEED", 1), from_environment("MOTIF_SIMULATION_SEEDS", SEEDS));
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + seeds {
        let (outcome, simulation) = Simulation::new(seed, FAULTS, WORKERS).run();
        assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}");
        assert_eq!(simulation.total(|metrics| metrics.digest_differences), 0, "MOTIF_TEST_SEED={seed}");
        let counts: [Count; 7] = [
            ("commits", |metrics| metrics.commits.count),
            ("aborts", |metrics| metrics.aborts),
            ("unknown outcomes", |metrics| metrics.unknown_outcomes),
            ("fences", |metrics| metrics.fences),
            ("expulsions", |metrics| metrics.expulsions),
            ("replays", |metrics| metrics.replays),
            ("replayed epochs", |metrics| metrics.replayed_epochs),
        ];
        for (name, number) in counts {
            *totals.entry(name).or_default() += simulation.total(number);
        }
        *totals.entry("lives").or_default() += simulation.lives as u64;
    }
    say(&format!("{seeds} seeds from {first}: {totals:?}"));
    if seeds >= 100 {
        assert!(totals.values().all(|number| *number > seeds / 20), "every kind of failure is met: {totals:?}");
    }
}
