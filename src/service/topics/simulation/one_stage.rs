//! What must hold of tasks that read the topics as they are.

use std::collections::BTreeMap;

use super::processes::Simulation;
use super::scenario::Scenario;
use super::{FAULTS, NO_FAULTS, Outcome, PROCESSES, found_by_one_task, processes, seeds, simulate, simulate_again, undisturbed};
use crate::event::TimeSpan;
use crate::service::topics::metrics::TaskMetrics;
use crate::service::waiting::MATCHES_WAITING_MAX;

const SEEDS: u64 = 5_000;
const SEEDS_OF_OTHERS: u64 = 500;

#[test]
fn failures_at_every_step_neither_lose_nor_double_a_match() {
    let undisturbed = undisturbed(Scenario::Steady);
    simulate(Scenario::Steady, SEEDS, |seed, outcome, _| assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}"));
}

#[test]
fn a_log_that_holds_other_records_than_were_read_is_refused() {
    let mut sentences = Vec::new();
    let run = || processes::run(Scenario::Steady, 0, NO_FAULTS, 1).1;
    for input in run().cluster.inputs().into_keys() {
        let mut simulation = run();
        simulation.cluster.elect_uncleanly(input);
        let mut worker = simulation.first_worker();
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
fn comes_to_the_same_when_repeated(scenario: Scenario, found_by_search: &[u64]) {
    let check = |seed: u64, outcome: Outcome, simulation: &mut Simulation| assert_eq!(simulation.replayed(), outcome.states, "MOTIF_TEST_SEED={seed}");
    simulate(scenario, SEEDS_OF_OTHERS, check);
    simulate_again(scenario, found_by_search, check);
}

#[test]
fn what_the_clock_has_decided_is_repeated_as_it_was() {
    // An event was late, and was taken after a restart.
    comes_to_the_same_when_repeated(Scenario::Sporadic, &[9_800_228]);
}

#[test]
fn what_a_full_buffer_has_kept_out_is_kept_out_when_it_is_repeated() {
    comes_to_the_same_when_repeated(Scenario::Crowded, &[]);
}

/// Which of the epochs they were is in the journal; each that a crash has had repeated has come to the same.
#[test]
fn what_a_bounded_run_has_let_out_at_the_ends_of_its_inputs_is_repeated_as_it_was() {
    simulate(Scenario::Bounded, SEEDS_OF_OTHERS, |seed, outcome, _| assert!(outcome.records() > 12, "MOTIF_TEST_SEED={seed}"));
}

#[test]
fn what_the_end_of_a_bounded_run_lets_out_comes_in_many_epochs_and_once_whatever_fails() {
    let undisturbed = undisturbed(Scenario::BoundedOpen);
    let mut found: Vec<_> = undisturbed.matches.values().flatten().cloned().collect();
    found.sort();
    assert_eq!(found, found_by_one_task(Scenario::BoundedOpen));
    simulate(Scenario::BoundedOpen, SEEDS_OF_OTHERS, |seed, outcome, simulation| {
        assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}");
        for record in simulation.cluster.tasks().into_iter().flat_map(|task| simulation.cluster.journal(task)) {
            assert!(record.out_count < 2 * MATCHES_WAITING_MAX as u64, "MOTIF_TEST_SEED={seed}: {record:?}");
        }
        assert!(simulation.cluster.closing_epochs() > 2, "MOTIF_TEST_SEED={seed}");
    });
}

/// What is added when some windows are closed cannot join them any more, so it is kept out of the others as well; and whoever would go on with it is told.
#[test]
fn an_end_that_was_begun_is_finished_whatever_was_added_since() {
    let undisturbed = undisturbed(Scenario::BoundedOpen);
    let mut met = [0; 3];
    for seed in seeds(200) {
        let epochs = usize::try_from(seed % 3).expect("small") + 1;
        let mut simulation = processes::run_until(Scenario::BoundedOpen, seed, FAULTS, PROCESSES, &|cluster| cluster.closing_epochs() >= epochs);
        let has_ended = |task| simulation.cluster.journal(task).last().is_some_and(|last| last.ended);
        let ended = simulation.cluster.tasks().into_iter().filter(|task| has_ended(*task)).count();
        met[ended] += 1;
        simulation.cluster.add_to_inputs();
        let is_bounded = seed % 2 == 0;
        let mut worker = if is_bounded { simulation.first_worker() } else { simulation.first_worker_with(&|deployment| deployment.ends = None) };
        match (0..1_000).find_map(|_| worker.turn().transpose()).expect("it comes to an end") {
            Ok(_) => assert!(is_bounded && ended == 0, "MOTIF_TEST_SEED={seed}"),
            Err(error) => {
                assert!(!is_bounded || ended > 0, "MOTIF_TEST_SEED={seed}: {error:#}");
                assert!(format!("{error:#}").contains("a run with --until-end has closed all windows"), "MOTIF_TEST_SEED={seed}: {error:#}");
            }
        }
        assert_eq!(Outcome::new(simulation.cluster.delivered(), BTreeMap::new()), undisturbed, "MOTIF_TEST_SEED={seed}");
    }
    assert!(met.iter().sum::<usize>() < 200 || met[0] > 20 && met[1] > 20, "all tasks are closing, and of one all windows are closed: {met:?}");
}

#[test]
fn an_epoch_ends_once_as_much_has_come_out_or_changed_as_may_wait() {
    const HOUR_MS: u64 = 3_600_000;
    let undisturbed = undisturbed(Scenario::BoundedOpen);
    let mut simulation = processes::run_until(Scenario::BoundedOpen, 0, NO_FAULTS, 1, &|_| true);
    let mut worker = simulation.first_worker_with(&|deployment| deployment.config.epoch_ms = HOUR_MS);
    (0..10_000).find_map(|_| worker.turn().transpose()).expect("it comes to an end").expect("no faults");
    assert_eq!(Outcome::new(simulation.cluster.delivered(), BTreeMap::new()), undisturbed);
    for task in simulation.cluster.tasks() {
        let journal = simulation.cluster.journal(task);
        let before_the_end = journal.iter().take_while(|record| !record.closing).filter(|record| record.out_count < MATCHES_WAITING_MAX as u64).count();
        assert!(before_the_end > 3, "{before_the_end} epochs of {task:?} have ended for what has changed");
        assert!(journal.iter().filter(|record| record.closing).count() > 2, "{task:?}");
    }
}

#[test]
fn a_task_for_which_nothing_comes_after_a_restart_is_told_to_have_nothing_left() {
    let (_, mut simulation) = processes::run(Scenario::Steady, 0, NO_FAULTS, 1);
    let has_nothing_left = |task: &TaskMetrics| task.lag_records == Some(0) && task.lag_event_time == Some(TimeSpan::ZERO);
    let commits = simulation.await_told(|task| task.epoch > 0 && task.newest.is_some() && has_nothing_left(task));
    assert_eq!(commits, 0, "without a commit");
}
