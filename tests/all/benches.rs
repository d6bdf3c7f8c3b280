//! What the benches measure, in small: the match counts are those of plain loops written by hand, and of the log that is repeated.

#[path = "../../benches/workloads/typed.rs"]
mod typed;
#[path = "../../benches/workloads/web_log.rs"]
mod web_log;

use std::collections::BTreeMap;
use std::path::Path;

use crate::workplace::Workplace;
use typed::{Fields, Workload, fields};

/// An event that waits for the next: its time and amount, and the time of the first.
#[derive(Clone, Copy)]
struct Waiting {
    began_ms: i64,
    at_ms: i64,
    amt: i64,
}

/// By key: what waits for `typ` 1, and what for `typ` 2.
type Lines = BTreeMap<i64, [Vec<Waiting>; 2]>;

fn count(events: u64, keys: u64, mut step: impl FnMut(Fields, &mut [Vec<Waiting>; 2]) -> usize) -> (u64, Lines) {
    let mut lines = Lines::new();
    let mut matches = 0;
    for number in 0..events {
        let event = fields(number, keys);
        matches += step(event, lines.entry(event.k).or_default()) as u64;
    }
    (matches, lines)
}

/// Takes out what waits for an event like this one, and forgets what began too long ago.
fn taken(waiting: &mut Vec<Waiting>, event: Fields, window_ms: i64) -> Vec<Waiting> {
    waiting.retain(|waiting| event.at_ms - waiting.began_ms < window_ms);
    waiting.extract_if(.., |waiting| event.amt > waiting.amt).collect()
}

fn by_hand(workload: Workload, events: u64, keys: u64) -> u64 {
    let begun = |event: Fields| Waiting { began_ms: event.at_ms, at_ms: event.at_ms, amt: event.amt };
    match workload {
        Workload::Pair => {
            let step = |event: Fields, [first, _]: &mut [Vec<Waiting>; 2]| match event.typ {
                0 => {
                    first.push(begun(event));
                    0
                }
                1 => taken(first, event, 10_000).len(),
                _ => 0,
            };
            count(events, keys, step).0
        }
        Workload::Triple => {
            let step = |event: Fields, [first, second]: &mut [Vec<Waiting>; 2]| match event.typ {
                0 => {
                    first.push(begun(event));
                    0
                }
                1 => {
                    let went_on = taken(first, event, 60_000);
                    second.extend(went_on.iter().map(|waiting| Waiting { at_ms: event.at_ms, amt: event.amt, ..*waiting }));
                    0
                }
                2 => taken(second, event, 60_000).len(),
                _ => 0,
            };
            count(events, keys, step).0
        }
        Workload::Absence => {
            let step = |event: Fields, [first, _]: &mut [Vec<Waiting>; 2]| {
                let before = first.len();
                first.retain(|waiting| event.at_ms < waiting.at_ms + 10_000);
                let decided = before - first.len();
                match event.typ {
                    0 => first.push(begun(event)),
                    1 => first.clear(),
                    _ => {}
                }
                decided
            };
            let (matches, lines) = count(events, keys, step);
            matches + lines.values().map(|[first, _]| first.len() as u64).sum::<u64>()
        }
    }
}

#[test]
fn the_engine_finds_what_loops_by_hand_find() {
    for workload in [Workload::Pair, Workload::Triple, Workload::Absence] {
        for (events, keys) in [(100_000, 10), (300_000, 1_000), (99_999, 100_000)] {
            let expected = by_hand(workload, events, keys);
            assert!(expected > 0, "the test asks for something");
            assert_eq!(workload.run(events, keys, |_| {}), expected, "{} of {events} events with {keys} keys", workload.name());
        }
    }
}

/// What two other engines find.
#[test]
fn loops_by_hand_find_what_other_engines_find() {
    for (workload, events, keys, matches) in
        [(Workload::Pair, 2_000_000, 10_000, 70_868), (Workload::Triple, 2_000_000, 10_000, 77_951), (Workload::Absence, 2_000_000, 10_000, 75_774)]
    {
        assert_eq!(by_hand(workload, events, keys), matches, "{}", workload.name());
    }
}

#[test]
fn the_repeated_web_log_has_its_matches_as_often_with_and_without_state() {
    const TIMES: u64 = 5;
    let place = Workplace::new();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    web_log::write(&project.join("tests/data/web_requests.jsonl"), TIMES, &place.path("requests.jsonl")).expect("written");
    let rules = project.join("patterns/web").display().to_string();
    place.must(&format!("run {rules} --input requests.jsonl --output without.jsonl"));
    place.must(&format!("run {rules} --input requests.jsonl --output with.jsonl --state state --workers 2"));
    let output = place.text("without.jsonl");
    assert_eq!(output.lines().count() as u64, TIMES * web_log::MATCHES);
    assert!(output == place.text("with.jsonl"));
}
