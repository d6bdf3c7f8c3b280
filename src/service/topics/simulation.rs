//! Workers on a simulated cluster that fails at every step, as seeds tell: what they deliver, what they set aside, and the state that they end with, is that of a run
//! that nothing disturbs.
//!
//! ```text
//! Cluster: topics, offsets, journals, groups, transactions ◀─ Simulated (one life of a worker's clients) ◀─ Worker, stepped: one for each stage of a process
//! ```
//!
//! Two processes with a machine each share the tasks of one stage or of two. At random, calls fail in every way that they can; a commit whose answer is lost has happened,
//! has not, or arrives later, also into the transaction after it, as do records whose delivery was given up, partition by partition; tasks move; members are expelled without
//! a word; processes are killed or stopped, and start again with the state that they had, an older one, one that cannot be read to its end, or none; checkpoints are damaged, or away. While a worker waits for
//! an answer, others may go on for so long that they have its tasks by then. Everything happens in one thread, so a seed tells everything.
//!
//! | file | holds |
//! |---|---|
//! | `scenario` | patterns, settings, and when which records come |
//! | `cluster`, `log` | what the brokers hold and decide |
//! | `transport` | one life of a worker's clients |
//! | `machine` | what lasts from one life of a process to the next |
//! | `processes` | whose turn it is |
//! | `one_stage`, `two_stages` | what must hold |
//! | `recoveries` | and where a recovery meets something that is not as it should be, one thing at a time |
//!
//! `MOTIF_TEST_SEED` names the first seed, `MOTIF_SIMULATION_SEEDS` how many; of one alone the log is told.

mod cluster;
mod log;
mod machine;
mod one_stage;
mod processes;
mod recoveries;
mod scenario;
mod transport;
mod two_stages;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use crate::config::Strictness;
use crate::engine::Decided;
use crate::event::{EventTime, ProcessingTime};
use crate::ports::RecordBatch;
use crate::service::task::Task;
use crate::service::topics::journal::OutputKind;
use crate::service::topics::metrics::MetricsSnapshot;
use crate::service::topics::outgoing::encode;
use crate::service::topics::stages::TaskName;

use cluster::Delivered;
use machine::Entries;
use processes::Simulation;
use scenario::{LATE, OUTPUT, REJECTED, Scenario};

const PROCESSES: usize = 2;

/// How much goes wrong, each of a thousand times that it could.
#[derive(Clone, Copy)]
struct Faults {
    call: u32,
    crash: u32,
    stop: u32,
    rebalance: u32,
    expel: u32,
    pause: u32,
}

const NO_FAULTS: Faults = Faults { call: 0, crash: 0, stop: 0, rebalance: 0, expel: 0, pause: 0 };
const FAULTS: Faults = Faults { call: 25, crash: 12, stop: 4, rebalance: 15, expel: 8, pause: 6 };

/// Topic, place where it stood first, key and value.
type SetAside = (&'static str, String, Option<Vec<u8>>, String);

/// By task: what is delivered; and the state at the end.
#[derive(Clone, PartialEq, Debug, Default)]
struct Outcome {
    /// In order.
    matches: BTreeMap<TaskName, Vec<String>>,
    /// Late events and rejected records. Where an epoch ends decides in which order they come.
    set_aside: BTreeMap<TaskName, Vec<SetAside>>,
    states: BTreeMap<TaskName, Entries>,
}

impl Outcome {
    fn new(delivered: BTreeMap<TaskName, Vec<Delivered>>, states: BTreeMap<TaskName, Entries>) -> Self {
        let mut outcome = Self { states, ..Self::default() };
        for output in delivered.into_values().flatten() {
            if output.topic == OUTPUT {
                outcome.matches.entry(output.task).or_default().push(output.value);
            } else {
                let from = output.from.expect("what is set aside says where it stood");
                outcome.set_aside.entry(output.task).or_default().push((output.topic, from, output.key, output.value));
            }
        }
        outcome.set_aside.values_mut().for_each(|set_aside| set_aside.sort());
        outcome
    }

    fn records(&self) -> usize {
        self.matches.values().map(Vec::len).chain(self.set_aside.values().map(Vec::len)).sum()
    }
}

/// A number under its name.
type Count = (&'static str, fn(&MetricsSnapshot) -> u64);

/// What was tested is told with the test; of one that succeeds, what `println` prints is kept back.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("somebody listens");
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// So many, unless others are asked for.
fn seeds(seeds: u64) -> Range<u64> {
    let (first, seeds) = (from_environment("MOTIF_TEST_SEED", 1), from_environment("MOTIF_SIMULATION_SEEDS", seeds));
    first..first + seeds
}

/// A record is set aside once, in the order of its input.
fn set_aside_once(seed: u64, simulation: &Simulation) {
    let mut last: BTreeMap<(TaskName, &str, String), u64> = BTreeMap::new();
    for output in simulation.cluster.delivered().into_values().flatten() {
        let Some(from) = output.from else { continue };
        let (input, offset) = from.rsplit_once('/').expect("stream, partition and offset");
        let offset = offset.parse().expect("a number");
        let before = last.insert((output.task, output.topic, input.to_owned()), offset);
        assert!(before.is_none_or(|before| before < offset), "MOTIF_TEST_SEED={seed}: {} has {from} after {before:?}", output.topic);
    }
}

/// Seeds of a scenario, each to its end, and what was met on the way in all.
fn simulate(scenario: Scenario, seeds: u64, check: impl Fn(u64, Outcome, &mut Simulation)) {
    let all = self::seeds(seeds);
    let (first, seeds) = (all.start, all.end - all.start);
    if seeds == 1 {
        // Whoever asks for one wants to know what happens. Another test may have been asked as well.
        drop(tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).without_time().try_init());
    }
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in all {
        let (outcome, mut simulation) = processes::run(scenario, seed, FAULTS, PROCESSES);
        set_aside_once(seed, &simulation);
        check(seed, outcome, &mut simulation);
        assert_eq!(simulation.total(|metrics| metrics.digest_differences), 0, "MOTIF_TEST_SEED={seed}");
        assert_eq!(simulation.total(|metrics| metrics.rejoins), simulation.cluster.rejoins(), "MOTIF_TEST_SEED={seed}");
        assert_eq!(simulation.cluster.accounts(), simulation.journal_accounts(), "MOTIF_TEST_SEED={seed}");
        let counts: [Count; 8] = [
            ("commits", |metrics| metrics.commits.count),
            ("aborts", |metrics| metrics.aborts),
            ("unknown outcomes", |metrics| metrics.unknown_outcomes),
            ("fences", |metrics| metrics.fences),
            ("expulsions", |metrics| metrics.expulsions),
            ("rejoins", |metrics| metrics.rejoins),
            ("replays", |metrics| metrics.replays),
            ("replayed epochs", |metrics| metrics.replayed_epochs),
        ];
        for (name, number) in counts {
            *totals.entry(name).or_default() += simulation.total(number);
        }
        *totals.entry("damaged states").or_default() += simulation.found_damaged();
        *totals.entry("lives").or_default() += simulation.lives as u64;
        *totals.entry("overtaken").or_default() += simulation.decided(|decided| !decided.overtaken.ranges().is_empty());
        *totals.entry("idle").or_default() += simulation.decided(|decided| decided.idle);
        *totals.entry("kept out").or_default() += simulation.decided(|decided| !decided.held_full.ranges().is_empty());
        *totals.entry("handed on in vain").or_default() += simulation.cluster.aborted();
    }
    say(&format!("{scenario:?}, {seeds} seeds from {first}: {totals:?}"));
    let is_met = |name: &str| match name {
        "overtaken" => scenario.is_sporadic(),
        "idle" => scenario == Scenario::Silent || scenario.is_sporadic(),
        "kept out" => scenario.has_few_held(),
        "handed on in vain" => scenario.is_rekeyed(),
        _ => true,
    };
    assert!(scenario.has_few_held() || totals.get("kept out") == Some(&0), "nothing is set aside for want of room: {totals:?}");
    if seeds >= 100 {
        assert!(totals.iter().all(|(name, number)| !is_met(name) || *number > seeds / 20), "every kind of failure is met: {totals:?}");
    }
}

/// The same of seeds that were found by search.
fn simulate_again(scenario: Scenario, seeds: &[u64], check: impl Fn(u64, Outcome, &mut Simulation)) {
    for &seed in seeds {
        let (outcome, mut simulation) = processes::run(scenario, seed, FAULTS, PROCESSES);
        check(seed, outcome, &mut simulation);
    }
}

fn undisturbed(scenario: Scenario) -> Outcome {
    let (outcome, simulation) = processes::run(scenario, 0, NO_FAULTS, 1);
    assert_eq!(simulation.lives, if scenario.is_bounded() { 1 } else { 2 }, "and one for the states");
    assert!(outcome.records() > 12 && !outcome.matches.is_empty(), "{outcome:?}");
    for topic in [LATE, REJECTED] {
        assert!(outcome.set_aside.values().flatten().filter(|(of, ..)| *of == topic).count() > 2, "{topic}: {outcome:?}");
    }
    let is_whole = outcome.states.len() == simulation.cluster.tasks().len() && outcome.states.values().all(|state| state.len() > 1);
    assert!(scenario.is_bounded() || is_whole, "{outcome:?}");
    outcome
}

/// What comes out where everything is read by one task, with its end.
fn found_by_one_task(scenario: Scenario) -> Vec<String> {
    let whole = scenario.whole();
    let inputs = scenario.inputs(0);
    let partitions: Vec<_> = inputs.keys().map(|input| (input.stream, input.partition)).collect();
    let mut task = Task::new(&whole.program, &whole.task_options(EventTime::from_micros(scenario::BEGINNING_US), Strictness::SetAside), &partitions);
    for (input, records) in inputs {
        let mut batch = RecordBatch::new(input.stream, input.partition);
        for (offset, arriving) in (0..).zip(&records) {
            let (record, original) = cluster::record(offset, Some(arriving.key.as_bytes()), arriving.value.as_bytes());
            batch.push_original(record, original);
        }
        task.apply(&batch, ProcessingTime::from_micros(0)).expect("not strict");
    }
    task.end();
    task.catch_up();
    let outputs = encode(&whole, 0, task.take_epoch().expect("in memory"), &|_| String::new());
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.expect("every output has one")).expect("text");
    let mut matches: Vec<_> = outputs.into_iter().filter(|output| output.kind == OutputKind::Match).map(|output| text(output.value)).collect();
    matches.sort();
    matches
}

/// Else what a search has found could not be looked at again.
#[test]
fn a_seed_tells_everything() {
    let journals = |scenario, seed| {
        let (_, simulation) = processes::run(scenario, seed, FAULTS, PROCESSES);
        let of_task = |task| simulation.cluster.lock().journal(task).to_vec();
        (simulation.cluster.tasks().into_iter().map(of_task).collect::<Vec<_>>(), simulation.lives)
    };
    for scenario in [Scenario::Sporadic, Scenario::RekeyedSporadic, Scenario::RekeyedBounded] {
        for seed in seeds(20).take(20) {
            assert_eq!(journals(scenario, seed), journals(scenario, seed), "{scenario:?}, MOTIF_TEST_SEED={seed}");
        }
    }
}

impl Simulation {
    /// By task and epoch: what the journal says of outputs; epochs without any are left out.
    fn journal_accounts(&self) -> BTreeMap<(TaskName, u64), (u64, u64)> {
        let records = self.cluster.tasks().into_iter().flat_map(|task| self.cluster.journal(task).into_iter().map(move |record| (task, record)));
        records.filter(|(_, record)| record.out_count > 0).map(|(task, record)| ((task, record.epoch), (record.out_count, record.out_digest))).collect()
    }

    /// How many epochs have decided so of an input.
    fn decided(&self, is_so: impl Fn(&Decided) -> bool) -> u64 {
        let records = self.cluster.tasks().into_iter().flat_map(|task| self.cluster.journal(task));
        records.flat_map(|record| record.inputs).filter_map(|input| input.decided).filter(is_so).count() as u64
    }

    fn total(&self, number: impl Fn(&MetricsSnapshot) -> u64) -> u64 {
        self.metrics.iter().map(|metrics| number(&metrics.snapshot(self.cluster.now()))).sum()
    }
}
