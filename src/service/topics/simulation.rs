//! Workers on a simulated cluster that fails at every step, as seeds tell: what they deliver, what they set aside, and the state that they end with, is that of a run that
//! nothing disturbs.
//!
//! ```text
//! Cluster: topics, offsets, journal, group, transactions ◀─ Simulated (one life of a worker's clients) ◀─ Worker, stepped
//! ```
//!
//! Two workers with a machine each share the tasks. At random, calls fail in every way that they can; a commit whose answer is lost has happened, has not, or arrives
//! later, also into the transaction after it, as do records whose delivery was given up, partition by partition; tasks move; members are expelled without a word; processes
//! are killed, and start again with the state that they had, an older one, or none; checkpoints are damaged, or away. Everything happens in one thread, so a seed tells
//! everything.
//!
//! `MOTIF_TEST_SEED` names the first seed, `MOTIF_SIMULATION_SEEDS` how many.

mod cluster;
mod scenario;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Receiver;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::engine::Decided;
use crate::kafka::Written;
use crate::ports::{ObjectError, ObjectFault, StateStore, WriteBatch};
use crate::service::StopSignal;
use crate::service::state::Meta;
use crate::service::topics::bases::Bases;
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::deployment::{Deployment, OutputTopic, Outputs, Recoveries};
use crate::service::topics::journal::OutputKind;
use crate::service::topics::metrics::{Metrics, MetricsSnapshot};
use crate::service::topics::recover::{Recovered, recover};
use crate::service::topics::slot::Slot;
use crate::service::topics::stages::Stage;
use crate::service::topics::unowned::Rejoin;
use crate::service::topics::worker::Worker;
use crate::store::Memory;

use cluster::{SetAside, Shared, Simulated};
use scenario::{JOURNAL, LATE, OUTPUT, REJECTED, Scenario, TASKS};

const WORKERS: usize = 2;
const SEEDS: u64 = 5_000;
const SEEDS_OF_OTHERS: u64 = 500;
/// A cluster that needs more turns makes no progress.
const TURNS_MAX: usize = 100_000;

/// By task: what is delivered, in order, and what is set aside; and the state at the end.
#[derive(Clone, PartialEq, Debug, Default)]
struct Outcome {
    delivered: BTreeMap<u32, Vec<String>>,
    set_aside: SetAside,
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

fn without_meta(mut entries: Entries) -> Entries {
    entries.remove(Meta::KEY);
    entries
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

/// What lasts from one life of a worker to the next.
struct Place {
    machine: Arc<Mutex<Machine>>,
    slots: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { machine: Arc::default(), slots: tempfile::tempdir().expect("a folder") }
    }
}

/// One run of a cluster.
struct Simulation {
    scenario: Scenario,
    cluster: Shared,
    checkpoints: Arc<Mutex<BTreeMap<u32, Vec<Checkpoint>>>>,
    places: Vec<Place>,
    random: StdRng,
    metrics: Vec<Arc<Metrics>>,
    lives: usize,
}

impl Simulation {
    fn new(scenario: Scenario, seed: u64, faults: Faults, workers: usize) -> Self {
        Self {
            scenario,
            cluster: Shared::new(seed, faults, scenario),
            checkpoints: Arc::default(),
            places: (0..workers).map(|_| Place::new()).collect(),
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
        let transport = Simulated::join(&self.cluster, worker, &stop);
        (Worker::new(Arc::new(self.deployment(worker, metrics, &stop)), Box::new(transport)), stop)
    }

    fn deployment(&mut self, worker: usize, metrics: Arc<Metrics>, stop: &StopSignal) -> Deployment {
        let evaluation = self.scenario.evaluation();
        let machine = self.places[worker].machine.clone();
        let random = Mutex::new(StdRng::seed_from_u64(self.random.random()));
        let bases = SimulatedBases { machine, checkpoints: self.checkpoints.clone(), random, cluster: self.cluster.clone(), worker };
        // Without time a call is never asked again.
        let watchdog = if self.random.random_bool(0.5) { Duration::ZERO } else { Duration::from_secs(60) };
        let topic = |name: &str| OutputTopic { name: name.to_owned(), partitions: TASKS };
        let clock = self.cluster.clone();
        let inputs: BTreeMap<_, _> = evaluation.program.schema.ids().map(|id| (id, evaluation.program.schema.stream(id).name.clone())).collect();
        Deployment {
            stage: Stage::First,
            sources: inputs.clone(),
            inputs,
            tasks: TASKS,
            evaluation,
            config: self.scenario.config(),
            slot: Slot::take(self.places[worker].slots.path(), Some(0)).expect("one at a time").into(),
            bases: Box::new(bases),
            metrics,
            survey: Arc::new(self.cluster.clone()),
            outputs: Outputs { matches: topic(OUTPUT), late: Some(topic(LATE)), rejected: Some(topic(REJECTED)), handed_on: None, journal: JOURNAL.to_owned() },
            alignment: None,
            written: Written::default(),
            rejoin: Rejoin::default(),
            ends: (self.scenario == Scenario::Bounded).then(|| self.cluster.inputs()),
            stop: stop.clone(),
            clock: Arc::new(move || clock.now()),
            recoveries: Recoveries::InTurn,
            watchdog,
            revoke_max: watchdog,
        }
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
            if self.cluster.is_finished(self.scenario) {
                break;
            }
            let worker = self.random.random_range(0..workers.len());
            let Some((running, _)) = &mut workers[worker] else {
                self.cluster.gone(worker);
                workers[worker] = Some(self.start(worker));
                continue;
            };
            match running.turn() {
                Ok(None) => {}
                // It has no more to do.
                Ok(Some(_)) => workers[worker] = None,
                Err(error) => {
                    assert!(format!("{error:#}").contains("simulated"), "{error:#}");
                    workers[worker] = None;
                    self.crash(worker);
                    self.cluster.pass(self.random.random_range(0..500_000));
                }
            }
            self.copy_now_and_then(worker);
        }
        for (worker, running) in workers.into_iter().enumerate() {
            drop(running);
            self.cluster.gone(worker);
        }
        self.cluster.set_faults(NO_FAULTS);
        self.checkpoints.lock().expect("one thread").values_mut().flatten().for_each(|checkpoint| checkpoint.damaged = false);
        if self.scenario == Scenario::Bounded {
            return (Outcome { delivered: self.cluster.delivered(), set_aside: self.cluster.set_aside(), ..Outcome::default() }, self);
        }
        self.run_once_more(0);
        (Outcome { delivered: self.cluster.delivered(), set_aside: self.cluster.set_aside(), states: self.states() }, self)
    }

    /// A worker takes over all tasks, then is told to stop, which copies their states.
    fn run_once_more(&mut self, worker: usize) {
        let (mut last, stop) = self.start(worker);
        for _ in 0..60 {
            assert!(last.turn().expect("no faults").is_none());
        }
        stop.ask();
        last.turn().expect("no faults").expect("stopped");
        drop(last);
        self.cluster.gone(worker);
        let journal = |task| self.cluster.records(task).len() as u64;
        let copied = |of_task: &Vec<Checkpoint>| of_task.iter().map(|checkpoint| checkpoint.manifest.epoch).max().unwrap_or(0);
        let copies: Vec<_> = self.checkpoints.lock().expect("one thread").iter().map(|(task, of_task)| (*task, copied(of_task))).collect();
        assert_eq!(copies, (0..TASKS).map(|task| (task, journal(task))).collect::<Vec<_>>(), "every state is at the journal's end");
    }

    /// The states that a machine comes to which has nothing but the journal and the inputs. It must come to what was delivered, or says so.
    fn replayed(&mut self) -> BTreeMap<u32, Entries> {
        self.checkpoints.lock().expect("one thread").clear();
        self.places.push(Place::new());
        let metrics = Arc::new(Metrics::default());
        self.metrics.push(metrics.clone());
        let deployment = self.deployment(self.places.len() - 1, metrics, &StopSignal::default());
        let state = |task| match recover(&deployment, task, &AtomicBool::new(false)).expect("no faults") {
            Recovered::Ready(assigned, _) => entries(&*assigned.into_store()),
            Recovered::AlreadyEnded => panic!("it has no end"),
        };
        (0..TASKS).map(|task| (task, without_meta(state(task)))).collect()
    }

    /// By task and epoch: what the journal says of outputs; epochs without any are left out.
    fn journal_accounts(&self) -> BTreeMap<(u32, u64), (u64, u64)> {
        let records = (0..TASKS).flat_map(|task| self.cluster.records(task));
        records.filter(|record| record.out_count > 0).map(|record| ((record.task, record.epoch), (record.out_count, record.out_digest))).collect()
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
        checkpoints.iter().map(|(task, of_task)| (*task, without_meta(newest(of_task)))).collect()
    }

    /// How many epochs have decided so of an input.
    fn decided(&self, is_so: impl Fn(&Decided) -> bool) -> u64 {
        let records = (0..TASKS).flat_map(|task| self.cluster.records(task));
        records.flat_map(|record| record.inputs).filter_map(|input| input.decided).filter(is_so).count() as u64
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

/// Seeds of a scenario, each to its end, and what was met on the way in all.
fn simulate(scenario: Scenario, seeds: u64, check: impl Fn(u64, Outcome, &mut Simulation)) {
    let (first, seeds) = (from_environment("MOTIF_TEST_SEED", 1), from_environment("MOTIF_SIMULATION_SEEDS", seeds));
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + seeds {
        let (outcome, mut simulation) = Simulation::new(scenario, seed, FAULTS, WORKERS).run();
        let twice: Vec<_> = outcome.set_aside.iter().filter(|(_, records)| !records.is_sorted_by(|one, next| one.0 < next.0)).collect();
        assert!(twice.is_empty(), "a record is set aside once, in the order of its input: MOTIF_TEST_SEED={seed} {twice:?}");
        check(seed, outcome, &mut simulation);
        assert_eq!(simulation.total(|metrics| metrics.digest_differences), 0, "MOTIF_TEST_SEED={seed}");
        assert_eq!(simulation.cluster.accounts(), simulation.journal_accounts(), "MOTIF_TEST_SEED={seed}");
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
        *totals.entry("overtaken").or_default() += simulation.decided(|decided| !decided.overtaken.ranges().is_empty());
        *totals.entry("idle").or_default() += simulation.decided(|decided| decided.idle);
        *totals.entry("kept out").or_default() += simulation.decided(|decided| !decided.held_full.ranges().is_empty());
    }
    say(&format!("{scenario:?}, {seeds} seeds from {first}: {totals:?}"));
    let is_met = |name: &str| match name {
        "overtaken" => scenario == Scenario::Sporadic,
        "idle" => matches!(scenario, Scenario::Silent | Scenario::Sporadic),
        "kept out" => matches!(scenario, Scenario::Crowded | Scenario::Bounded),
        _ => true,
    };
    if seeds >= 100 {
        assert!(totals.iter().all(|(name, number)| !is_met(name) || *number > seeds / 20), "every kind of failure is met: {totals:?}");
    }
}

fn undisturbed(scenario: Scenario) -> Outcome {
    let (outcome, simulation) = Simulation::new(scenario, 0, NO_FAULTS, 1).run();
    assert_eq!(simulation.lives, 2, "and one for the states");
    assert!(outcome.delivered.values().map(Vec::len).sum::<usize>() > 12, "{outcome:?}");
    for kind in [OutputKind::Late, OutputKind::Rejected] {
        assert!(outcome.set_aside.iter().filter(|((.., of), _)| *of == kind).map(|(_, records)| records.len()).sum::<usize>() > 3, "{outcome:?}");
    }
    assert!(outcome.states.len() == TASKS as usize && outcome.states.values().all(|state| state.len() > 1), "{outcome:?}");
    outcome
}

#[test]
fn failures_at_every_step_neither_lose_nor_double_a_match() {
    let undisturbed = undisturbed(Scenario::Steady);
    simulate(Scenario::Steady, SEEDS, |seed, outcome, _| assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}"));
}

#[test]
fn a_log_that_holds_other_records_than_were_read_is_refused() {
    let mut sentences = Vec::new();
    for input in Simulation::new(Scenario::Steady, 0, NO_FAULTS, 1).cluster.inputs().into_keys() {
        let (_, mut simulation) = Simulation::new(Scenario::Steady, 0, NO_FAULTS, 1).run();
        simulation.cluster.elect_uncleanly(input);
        let (mut worker, _) = simulation.start(0);
        let refusal = (0..5).find_map(|_| worker.turn().err()).unwrap_or_else(|| panic!("{input:?} is not what was read"));
        sentences.push(format!("{refusal:#}"));
    }
    for found in ["are not those that epoch", "was written under leader epoch 0 when it was read, the one that is there now under 1"] {
        assert!(sentences.iter().any(|sentence| sentence.contains(found)), "{sentences:?}");
    }
}

/// Where one is only not read, because a task recovers or is somewhere else, it is not taken for silent.
#[test]
fn failures_beside_a_silent_input_neither_lose_nor_double_a_match() {
    let undisturbed = undisturbed(Scenario::Silent);
    simulate(Scenario::Silent, SEEDS_OF_OTHERS, |seed, outcome, _| assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}"));
}

/// What comes out hangs on the clock, and on what was read first; so it is compared with what the journal makes of the input.
fn comes_to_the_same_when_repeated(scenario: Scenario) {
    simulate(scenario, SEEDS_OF_OTHERS, |seed, outcome, simulation| {
        assert_eq!(simulation.replayed(), outcome.states, "MOTIF_TEST_SEED={seed}");
    });
}

#[test]
fn what_the_clock_has_decided_is_repeated_as_it_was() {
    comes_to_the_same_when_repeated(Scenario::Sporadic);
}

#[test]
fn what_a_full_buffer_has_kept_out_is_kept_out_when_it_is_repeated() {
    comes_to_the_same_when_repeated(Scenario::Crowded);
}

/// Which of the epochs they were is in the journal; each that a crash has had repeated has come to the same.
#[test]
fn what_a_bounded_run_has_let_out_at_the_ends_of_its_inputs_is_repeated_as_it_was() {
    simulate(Scenario::Bounded, SEEDS_OF_OTHERS, |seed, outcome, _| {
        let set_aside = outcome.set_aside.values().map(Vec::len).sum::<usize>();
        assert!(outcome.delivered.values().map(Vec::len).sum::<usize>() + set_aside > 12, "MOTIF_TEST_SEED={seed}");
    });
}
