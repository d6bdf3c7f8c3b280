//! The benches in small: they run to their end, and what they measure finds what others find.

#[path = "../../benches/bench.rs"]
mod bench;

use std::path::Path;

use crate::workplace::Workplace;
use bench::table::Table;
use bench::workloads::typed::Workload;
use bench::workloads::web_log;
use bench::{Plan, kernels, peers::Peers};

#[test]
fn the_engine_finds_what_is_found_by_hand() {
    for workload in [Workload::Pair, Workload::Triple, Workload::Absence, Workload::Rules(1_000), Workload::Rules(2_000)] {
        for (events, keys) in [(100_000, 10), (200_000, 1_000), (99_999, 100_000)] {
            // Each of a thousand rules has its share of the events, and a partial match for each start.
            let events = if workload.patterns() > 1 { events / 50 } else { events };
            let expected = kernels::run(workload, events, keys, |_| {});
            assert!(expected > 0 || keys == 100_000, "the test asks for something");
            assert_eq!(workload.run(events, keys, |_| {}), expected, "{} of {events} events with {keys} keys", workload.name());
        }
    }
}

/// The counts that Esper and FlinkCEP agree on (Esper alone: `rules`).
#[test]
fn by_hand_is_found_what_other_engines_find() {
    for (workload, events, keys, matches) in [
        (Workload::Pair, 2_000_000, 10_000, 70_868),
        (Workload::Triple, 2_000_000, 10_000, 77_951),
        (Workload::Absence, 2_000_000, 10_000, 75_774),
        (Workload::Rules(100), 500_000, 10_000, 470),
        (Workload::Rules(1_000), 300_000, 10_000, 2_450),
    ] {
        assert_eq!(kernels::run(workload, events, keys, |_| {}), matches, "{}", workload.name());
    }
}

/// All sections, at a ten thousandth of their size, once. The goals are not looked at.
#[test]
fn every_bench_runs_to_its_end() {
    let mut printed = Vec::new();
    let mut table = Table::new(&mut printed);
    let plan = Plan { only: Vec::new(), runs: 1, peers: Peers::none(), part: 10_000, note: |_| {} };
    bench::run(&plan, &mut table);
    table.end();
    let text = String::from_utf8(printed).expect("text");
    for row in [
        "pair, 1,000 keys",
        "rules, 10,000 rules",
        "web rules, file to file, 2 workers, --state",
        "card rules, 10,000 keys",
        "pair, Kafka to Kafka",
        "what exactly once costs",
        "the journal's part of the traffic",
        "epochs repeated without any state",
        "from assignment to the first match",
        "moves to another machine",
        "memory, 1,000,000 live keys",
        "longest pause",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(text.lines().skip(2).filter(|line| line.starts_with('|')).all(|line| line.matches(" | ").count() == 3), "{text}");
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
