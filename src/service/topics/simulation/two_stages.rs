//! What must hold where events go on to tasks that keep other keys: the whole is exactly once, as each stage is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::Delivered;
use super::processes::Simulation;
use super::scenario::{OUTPUT, REJECTED, Scenario, TASKS};
use super::{NO_FAULTS, Outcome, found_by_one_task, processes, simulate, simulate_again, undisturbed};

use crate::event::{EventTime, TimeSpan};
use crate::ports::InputPartition;
use crate::service::topics::stages::Stage;

const SEEDS: u64 = 600;
const SEEDS_OF_OTHERS: u64 = 200;

/// What becomes of a record of an input.
#[derive(Default, Debug)]
struct Fate {
    /// In matches of the patterns that every event is in.
    matches: usize,
    late: usize,
    rejected: usize,
}

/// Nothing hangs on the clock: whatever happens, this comes out.
fn comes_to_the_same(scenario: Scenario, seeds: u64) {
    let undisturbed = undisturbed(scenario);
    let set_aside = |stage| undisturbed.set_aside.iter().filter(|(task, _)| task.stage == stage).map(|(_, set_aside)| set_aside.len()).sum::<usize>();
    assert!(set_aside(Stage::First) > 5 && set_aside(Stage::Rekeyed) == 0, "what is late is found out by who reads it first: {:?}", undisturbed.set_aside);
    simulate(scenario, seeds, |seed, outcome, simulation| {
        assert_eq!(outcome, undisturbed, "MOTIF_TEST_SEED={seed}");
        each_event_comes_out_once(scenario, seed, simulation);
        if scenario.is_bounded() {
            assert!(simulation.cluster.closing_epochs() > 0, "MOTIF_TEST_SEED={seed}: the end comes in pieces");
        } else {
            assert_eq!(simulation.replayed(), outcome.states, "MOTIF_TEST_SEED={seed}");
        }
    });
}

/// What comes out hangs on chance, but each event does once, and the journals make the same of the input.
fn comes_to_the_same_when_repeated(scenario: Scenario, found_by_search: &[u64]) {
    let check = |seed: u64, outcome: Outcome, simulation: &mut Simulation| {
        each_event_comes_out_once(scenario, seed, simulation);
        assert_eq!(simulation.replayed(), outcome.states, "MOTIF_TEST_SEED={seed}");
    };
    simulate(scenario, SEEDS_OF_OTHERS, check);
    simulate_again(scenario, found_by_search, check);
}

/// Each record is evaluated, late or rejected, one of these and once; what is set aside is as its producer made it.
fn each_event_comes_out_once(scenario: Scenario, seed: u64, simulation: &Simulation) {
    let records = records(scenario, seed);
    let mut fates: BTreeMap<&str, Fate> = records.keys().map(|place| (place.as_str(), Fate::default())).collect();
    let places: BTreeMap<u64, &str> = records.iter().filter_map(|(place, record)| Some((number(&record.value)?, place.as_str()))).collect();
    for output in simulation.cluster.delivered().into_values().flatten() {
        if output.topic == OUTPUT {
            let found: Value = serde_json::from_str(&output.value).expect("a match is JSON");
            if let Some(n) = found["fields"]["n"].as_u64() {
                fates.get_mut(places[&n]).expect("of an input").matches += 1;
            }
            continue;
        }
        let Delivered { from: Some(from), topic, key, value, .. } = output else { panic!("MOTIF_TEST_SEED={seed}: it stood nowhere: {output:?}") };
        let record = &records[&from];
        assert_eq!((key.as_deref(), &value), (Some(record.key.as_bytes()), &record.value), "MOTIF_TEST_SEED={seed}: {topic} {from}");
        let fate = fates.get_mut(from.as_str()).expect("of an input");
        *(if topic == REJECTED { &mut fate.rejected } else { &mut fate.late }) += 1;
    }
    let decided = decided(simulation);
    for (place, fate) in fates {
        let record = &records[place];
        let times = fate.matches + fate.late + fate.rejected;
        let is_decided = record.time.is_none_or(|time| time <= decided);
        assert!(times == 1 || times == 0 && !is_decided, "MOTIF_TEST_SEED={seed}: {place}, {record:?}: {fate:?}, all is decided up to {decided}");
    }
}

/// A record, and its time where it is an event.
#[derive(Debug)]
struct Known {
    key: String,
    value: String,
    time: Option<EventTime>,
}

/// By place, as what is set aside tells it.
fn records(scenario: Scenario, seed: u64) -> BTreeMap<String, Known> {
    let mut known = BTreeMap::new();
    for (input, records) in scenario.inputs(seed) {
        let stream = ["clicks", "orders"].into_iter().find(|name| scenario.stream(name) == input.stream).expect("one of these");
        for (offset, record) in records.into_iter().enumerate() {
            let time = serde_json::from_str::<Value>(&record.value).ok().and_then(|event| event["at"].as_i64());
            let time = time.map(|millis| EventTime::from_micros(millis * 1_000));
            known.insert(format!("{stream}/{}/{offset}", input.partition), Known { key: record.key, value: record.value, time });
        }
    }
    known
}

fn number(event: &str) -> Option<u64> {
    serde_json::from_str::<Value>(event).ok()?["n"].as_u64()
}

/// Up to here no task of the second stage holds anything.
fn decided(simulation: &Simulation) -> EventTime {
    let tasks = simulation.cluster.tasks().into_iter().filter(|task| task.stage == Stage::Rekeyed);
    let watermarks = tasks.map(|task| simulation.cluster.journal(task).last().map_or(i64::MIN, |last| last.watermark_out_us));
    EventTime::from_micros(watermarks.min().expect("there are tasks"))
}

#[test]
fn failures_of_either_stage_neither_lose_nor_double_a_match_or_what_is_set_aside() {
    comes_to_the_same(Scenario::Rekeyed, SEEDS);
}

/// Kept together, the inputs bring no more than may be held until the slow one comes, whatever fails.
#[test]
fn beside_a_partition_that_lags_nothing_is_set_aside_for_want_of_room() {
    comes_to_the_same(Scenario::RekeyedLagging, SEEDS_OF_OTHERS);
}

#[test]
fn a_bounded_run_of_two_stages_finds_what_one_task_finds() {
    let Outcome { matches, .. } = undisturbed(Scenario::RekeyedBounded);
    let mut found: Vec<_> = matches.into_values().flatten().collect();
    found.sort();
    assert_eq!(found, found_by_one_task(Scenario::RekeyedBounded));
    comes_to_the_same(Scenario::RekeyedBounded, SEEDS_OF_OTHERS);
}

/// Which events are late hangs on the clock, in the second stage too, where an upstream task was idle; but none is lost, and none is late and evaluated.
#[test]
fn what_the_clock_has_decided_of_either_stage_is_repeated_as_it_was() {
    // A state was gone on with that had turned out damaged: an empty one was in its place by then.
    comes_to_the_same_when_repeated(Scenario::RekeyedSporadic, &[9_803_342]);
}

/// They stand at the end of what was handed on, and nobody ever reads them.
#[test]
fn markers_of_transactions_are_nothing_left_to_read() {
    let (_, mut simulation) = processes::run(Scenario::Rekeyed, 0, NO_FAULTS, 1);
    let stream = Scenario::Rekeyed.plan(Stage::Rekeyed).inputs.keys().next().copied().expect("what was handed on");
    let has_markers = |partition| {
        let (input, cluster) = (InputPartition { stream, partition }, simulation.cluster.lock());
        cluster.records_end(input) < cluster.end(input)
    };
    assert!((0..TASKS).all(has_markers), "the test asks for something");
    simulation.await_told(|task| task.lag_records == Some(0) && task.lag_event_time == Some(TimeSpan::ZERO));
}
