//! Whose turn it is: processes with a worker for each stage, started again where they have ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cluster::{Client, Shared};
use super::machine::{Checkpoint, Checkpoints, Entries, Machine, SimulatedBases, entries, without_meta};
use super::scenario::{LATE, OUTPUT, REJECTED, Scenario, TASKS};
use super::transport::{Connection, Simulated};
use super::{Faults, NO_FAULTS, Outcome};
use crate::kafka::Written;
use crate::service::topics::alignment::Alignment;
use crate::service::topics::bases::Bases;
use crate::service::topics::beside::Beside;
use crate::service::topics::deployment::{Deployment, OutputTopic, Outputs};
use crate::service::topics::metrics::{Metrics, TaskMetrics};
use crate::service::topics::recover::{Recovered, recover};
use crate::service::topics::slot::Slot;
use crate::service::topics::stages::{Plan, Stage, TaskName};
use crate::service::topics::stopwatch::Stopwatch;
use crate::service::topics::unowned::Rejoin;
use crate::service::topics::watch::Verdict;
use crate::service::topics::worker::Worker;
use crate::service::{StopSignal, Summary};

/// A cluster that needs more turns makes no progress.
const TURNS_MAX: usize = 100_000;

/// Of a process that takes over all tasks: then all that has been read has come out, of a stream that ended as well.
const LAST_TURNS: usize = 200;

/// Of a process for which nothing comes: some tens of seconds of the simulated clock.
const IDLE_TURNS_MAX: usize = 1_000;

/// No input that has more is silent for so long, and a process may live as long.
const STANDSTILL_MAX: Duration = Duration::from_secs(2);

/// What lasts from one life of a process to the next.
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
pub(super) struct Simulation {
    scenario: Scenario,
    pub cluster: Shared,
    pub checkpoints: Checkpoints,
    places: Vec<Place>,
    /// By place; `None`: not started.
    processes: Vec<Option<Process>>,
    random: StdRng,
    pub metrics: Vec<Arc<Metrics>>,
    pub lives: usize,
    /// Itself, for who waits.
    elsewhere: Weak<Mutex<Simulation>>,
}

/// A life of a process.
struct Process {
    stop: StopSignal,
    /// `None`: it waits for an answer.
    workers: BTreeMap<Stage, Option<Worker>>,
    is_dead: bool,
}

/// What the workers of a process share.
struct ProcessShared {
    slot: Arc<Slot>,
    alignment: Option<Arc<Alignment>>,
    stop: StopSignal,
    stopwatch: Stopwatch,
}

/// Until everything is committed, then once more without faults for the states.
pub(super) fn run(scenario: Scenario, seed: u64, faults: Faults, processes: usize) -> (Outcome, Simulation) {
    let mut simulation = run_until(scenario, seed, faults, processes, &|cluster| cluster.is_finished(scenario));
    if scenario.is_bounded() {
        return (Outcome::new(simulation.cluster.delivered(), BTreeMap::new()), simulation);
    }
    simulation.run_once_more(0);
    (Outcome::new(simulation.cluster.delivered(), simulation.states()), simulation)
}

/// Until so much is committed; then all processes are gone, and nothing fails any more.
pub(super) fn run_until(scenario: Scenario, seed: u64, faults: Faults, processes: usize, is_so: &dyn Fn(&Shared) -> bool) -> Simulation {
    let running = Simulation::new(scenario, seed, faults, processes);
    for turns in 0.. {
        assert!(turns < TURNS_MAX, "no progress, MOTIF_TEST_SEED={seed}: {}", lock(&running).cluster.standing());
        if is_so(&lock(&running).cluster) {
            break;
        }
        step(&running);
    }
    let mut simulation = Arc::into_inner(running).expect("whoever waited is done").into_inner().expect("one thread");
    simulation.end_all();
    simulation
}

fn lock(running: &Mutex<Simulation>) -> MutexGuard<'_, Simulation> {
    running.lock().expect("one thread")
}

/// Some worker takes a turn that does not wait for an answer.
fn step(running: &Mutex<Simulation>) {
    let Some((client, mut worker)) = lock(running).take_worker() else { return };
    let turn = worker.turn();
    if matches!(turn, Ok(None)) {
        let [here, shown] = worker.here_and_shown();
        assert_eq!(shown, here, "a task is known from when it is here until it is given up");
    }
    lock(running).put_back(client, worker, turn);
}

impl Simulation {
    fn new(scenario: Scenario, seed: u64, faults: Faults, processes: usize) -> Arc<Mutex<Self>> {
        let make = |elsewhere: &Weak<Mutex<Self>>| {
            Mutex::new(Self {
                scenario,
                cluster: Shared::new(seed, faults, scenario),
                checkpoints: Arc::default(),
                places: (0..processes).map(|_| Place::new()).collect(),
                processes: (0..processes).map(|_| None).collect(),
                random: StdRng::seed_from_u64(seed ^ 0x5eed),
                metrics: Vec::new(),
                lives: 0,
                elsewhere: elsewhere.clone(),
            })
        };
        Arc::new_cyclic(make)
    }

    /// A process starts on a machine.
    fn start(&mut self, process: usize) {
        self.lives += 1;
        let shared = self.shared(process);
        let workers = self.scenario.plans().iter().map(|plan| (plan.stage, Some(self.worker(plan, process, &shared))));
        let workers = workers.collect();
        self.processes[process] = Some(Process { stop: shared.stop, workers, is_dead: false });
    }

    fn shared(&self, process: usize) -> ProcessShared {
        let cluster = self.cluster.clone();
        let stopwatch = Stopwatch::by(move || cluster.look());
        let alignment = || Arc::new(Alignment::waiting(stopwatch.clone(), STANDSTILL_MAX));
        ProcessShared {
            slot: Slot::take(self.places[process].slots.path(), Some(0)).expect("one at a time").into(),
            alignment: self.scenario.is_rekeyed().then(alignment),
            stop: StopSignal::default(),
            stopwatch,
        }
    }

    fn worker(&mut self, plan: &Plan, process: usize, shared: &ProcessShared) -> Worker {
        let connection = self.connection(plan, process);
        let deployment = self.deployment(plan, &connection, shared);
        Worker::new(Arc::new(deployment), Box::new(Simulated::join(connection, &shared.stop)))
    }

    fn connection(&self, plan: &Plan, process: usize) -> Connection {
        let elsewhere = self.elsewhere.clone();
        let elsewhere = Arc::new(move || elsewhere.upgrade().iter().for_each(|running| step(running)));
        Connection { cluster: self.cluster.clone(), client: Client { process, stage: plan.stage }, journal: plan.journal.clone(), elsewhere }
    }

    fn deployment(&mut self, plan: &Plan, connection: &Connection, shared: &ProcessShared) -> Deployment {
        let metrics = Arc::new(Metrics::default());
        self.metrics.push(metrics.clone());
        // Without time a call is never asked again.
        let watchdog = if self.random.random_bool(0.5) { Duration::ZERO } else { Duration::from_secs(60) };
        let topic = |name: &str| OutputTopic { name: name.to_owned(), partitions: TASKS };
        let kafka = self.scenario.config().kafka.expect("all run on Kafka");
        let ends = self.scenario.is_bounded().then(|| if plan.stage == Stage::First { self.cluster.inputs() } else { BTreeMap::new() });
        let clock = self.cluster.clone();
        Deployment {
            stage: plan.stage,
            sources: plan.sources.clone(),
            inputs: plan.inputs.clone(),
            topic_ids: BTreeMap::new(),
            tasks: plan.tasks,
            evaluation: plan.evaluation.clone(),
            config: self.scenario.config(),
            slot: shared.slot.clone(),
            bases: Box::new(self.bases(connection.client)),
            metrics,
            survey: Arc::new(connection.clone()),
            outputs: Outputs {
                matches: topic(OUTPUT),
                late: kafka.late_topic.as_ref().map(|_| topic(LATE)),
                rejected: kafka.rejected_topic.as_ref().map(|_| topic(REJECTED)),
                handed_on: plan.handed_on.as_deref().map(topic),
                journal: plan.journal.clone(),
            },
            alignment: shared.alignment.clone(),
            written: Written::default(),
            rejoin: Rejoin::default(),
            verdict: Verdict::default(),
            ends,
            stop: shared.stop.clone(),
            clock: Arc::new(move || clock.now()),
            stopwatch: shared.stopwatch.clone(),
            beside: Beside::InTurn,
            watchdog,
            revoke_max: watchdog,
        }
    }

    pub(super) fn bases(&mut self, Client { process, stage }: Client) -> SimulatedBases {
        let machine = self.places[process].machine.clone();
        let random = Mutex::new(StdRng::seed_from_u64(self.random.random()));
        SimulatedBases { stage, process, machine, checkpoints: self.checkpoints.clone(), random, cluster: self.cluster.clone(), away: AtomicU32::new(0) }
    }

    /// One that is not at work; a process that is not there is started instead.
    fn take_worker(&mut self) -> Option<(Client, Worker)> {
        let process = self.random.random_range(0..self.processes.len());
        let Some(running) = &mut self.processes[process] else {
            self.cluster.gone(process);
            self.start(process);
            return None;
        };
        let faults = self.cluster.faults();
        if faults.stop > 0 && self.random.random_range(0..1_000) < faults.stop {
            running.stop.ask();
        }
        let mut idle: Vec<_> = running.workers.iter_mut().filter(|(_, worker)| worker.is_some()).collect();
        if idle.is_empty() {
            return None;
        }
        let chosen = if idle.len() > 1 { self.random.random_range(0..idle.len()) } else { 0 };
        let (stage, worker) = idle.swap_remove(chosen);
        Some((Client { process, stage: *stage }, worker.take().expect("those that are")))
    }

    fn put_back(&mut self, client: Client, worker: Worker, turn: anyhow::Result<Option<Summary>>) {
        let process = client.process;
        let running = self.processes[process].as_mut().expect("a process waits for its workers");
        match turn {
            Ok(None) => drop(running.workers.insert(client.stage, Some(worker))),
            // It has no more to do.
            Ok(Some(_)) => {
                running.workers.remove(&client.stage);
                drop(worker);
                self.cluster.leave(client);
            }
            Err(error) => {
                assert!(format!("{error:#}").contains("simulated"), "{error:#}");
                running.is_dead = true;
                running.workers.remove(&client.stage);
            }
        }
        if running.is_dead {
            running.workers.retain(|_, worker| worker.is_none());
        }
        if running.workers.is_empty() {
            if running.is_dead {
                self.places[process].machine.lock().expect("one thread").crash(&mut self.random);
                self.cluster.pass(self.random.random_range(0..500_000));
            }
            self.processes[process] = None;
        }
        self.copy_now_and_then(process);
    }

    /// The worker does this by the clock.
    fn copy_now_and_then(&mut self, process: usize) {
        if self.random.random_range(0..1_000) >= 60 {
            return;
        }
        let states = self.places[process].machine.lock().expect("one thread").states();
        for (TaskName { stage, number }, store) in states {
            drop(self.bases(Client { process, stage }).copy(number, store.clone()));
            // Also while the task goes on from it.
            if self.cluster.faults().call > 0 && self.random.random_range(0..20) == 0 {
                store.go_bad(&mut self.random);
            }
        }
    }

    /// From now on nothing goes wrong any more.
    fn end_all(&mut self) {
        for process in 0..self.processes.len() {
            self.processes[process] = None;
            self.cluster.gone(process);
        }
        self.cluster.set_faults(NO_FAULTS);
        self.cluster.end_transactions();
        self.checkpoints.lock().expect("one thread").values_mut().flatten().for_each(|checkpoint| checkpoint.damaged = false);
    }

    /// A process takes over all tasks, then is told to stop, which copies their states.
    fn run_once_more(&mut self, process: usize) {
        self.start(process);
        let Process { stop, workers, .. } = self.processes[process].take().expect("just started");
        let mut workers: Vec<Worker> = workers.into_values().flatten().collect();
        for _ in 0..LAST_TURNS {
            workers.iter_mut().for_each(|worker| assert!(worker.turn().expect("no faults").is_none()));
        }
        stop.ask();
        workers.iter_mut().for_each(|worker| drop(worker.turn().expect("no faults").expect("stopped")));
        drop(workers);
        self.cluster.gone(process);
        let journal = |task| (task, self.cluster.journal(task).len() as u64);
        let copied = |of_task: &Vec<Checkpoint>| of_task.iter().map(|checkpoint| checkpoint.manifest.epoch).max().unwrap_or(0);
        let copies: Vec<_> = self.checkpoints.lock().expect("one thread").iter().map(|(task, of_task)| (*task, copied(of_task))).collect();
        assert_eq!(copies, self.cluster.tasks().into_iter().map(journal).collect::<Vec<_>>(), "every state is at the journal's end");
    }

    /// A process takes over all tasks, and nothing is left for them but what it has read before: until it tells so much of each. Says how often it has committed by then.
    pub(super) fn await_told(&mut self, is_so: impl Fn(&TaskMetrics) -> bool) -> u64 {
        self.start(0);
        let Process { workers, .. } = self.processes[0].take().expect("just started");
        let metrics = self.metrics[self.metrics.len() - workers.len()..].to_vec();
        let mut workers: Vec<Worker> = workers.into_values().flatten().collect();
        let told = || metrics.iter().flat_map(|metrics| metrics.snapshot(self.cluster.now()).tasks.into_values()).collect::<Vec<_>>();
        for _ in 0..IDLE_TURNS_MAX {
            workers.iter_mut().for_each(|worker| assert!(worker.turn().expect("no faults").is_none()));
            let told = told();
            if told.len() == self.cluster.tasks().len() && told.iter().all(&is_so) {
                return metrics.iter().map(|metrics| metrics.snapshot(self.cluster.now()).commits.count).sum();
            }
        }
        panic!("told: {:?}", told());
    }

    fn states(&self) -> BTreeMap<TaskName, Entries> {
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let newest = |of_task: &Vec<Checkpoint>| of_task.iter().max_by_key(|checkpoint| checkpoint.manifest.epoch).expect("one").entries.clone();
        checkpoints.iter().map(|(task, of_task)| (*task, without_meta(newest(of_task)))).collect()
    }

    /// The states that a machine comes to which has nothing but the journals and the inputs. It must come to what was delivered, or says so.
    pub(super) fn replayed(&mut self) -> BTreeMap<TaskName, Entries> {
        self.checkpoints.lock().expect("one thread").clear();
        self.places.push(Place::new());
        let process = self.places.len() - 1;
        let shared = self.shared(process);
        let mut states = BTreeMap::new();
        for plan in self.scenario.plans() {
            let deployment = self.deployment(plan, &self.connection(plan, process), &shared);
            for number in 0..TASKS {
                let state = match recover(&deployment, number, &AtomicBool::new(false)).expect("no faults") {
                    Recovered::Ready(assigned, _) => entries(&*assigned.into_parts().0),
                    Recovered::AlreadyEnded => panic!("it has no end"),
                };
                states.insert(plan.stage.task(number), without_meta(state));
            }
        }
        states
    }

    /// What a worker of the first stage has that starts on the first machine.
    pub(super) fn first_deployment(&mut self) -> Deployment {
        let (shared, plan) = (self.shared(0), self.scenario.plan(Stage::First));
        self.deployment(plan, &self.connection(plan, 0), &shared)
    }

    pub(super) fn first_machine(&self) -> MutexGuard<'_, Machine> {
        self.places[0].machine.lock().expect("one thread")
    }

    /// How many states were found damaged.
    pub(super) fn found_damaged(&self) -> u64 {
        self.places.iter().map(|place| place.machine.lock().expect("one thread").found_damaged).sum()
    }

    /// A worker of the first stage, on a machine that was there before.
    pub(super) fn first_worker(&mut self) -> Worker {
        self.first_worker_with(&|_| {})
    }

    /// The same where something is otherwise than the scenario says.
    pub(super) fn first_worker_with(&mut self, change: &dyn Fn(&mut Deployment)) -> Worker {
        let (shared, plan) = (self.shared(0), self.scenario.plan(Stage::First));
        let connection = self.connection(plan, 0);
        let mut deployment = self.deployment(plan, &connection, &shared);
        change(&mut deployment);
        Worker::new(Arc::new(deployment), Box::new(Simulated::join(connection, &shared.stop)))
    }
}
