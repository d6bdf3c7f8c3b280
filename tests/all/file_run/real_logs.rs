//! The real logs: the counts that two unrelated engines agree on, and which events are late.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workplace::Workplace;

/// Of one pattern: matches, and the sums of the ids of their first and last events.
type Found = (usize, i64, i64);

const WEB: [Found; 2] = [(14, 82_840, 83_213), (249, 1_299_747, 1_300_195)];
const SSH: [Found; 2] = [(177, 150_239, 150_987), (1, 269, 417)];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn log(name: &str) -> PathBuf {
    project("tests/data").join(format!("{name}.jsonl"))
}

/// The file of matches that the shipped patterns of a folder give for a log.
fn matches(patterns: &str, log_name: &str, workers: usize) -> Vec<u8> {
    let work = Workplace::new();
    let arguments = ["run".into(), project(patterns), "--input".into(), log(log_name), "--output".into(), "matches.jsonl".into(), "--workers".into()];
    let ended = crate::workplace::start(work.motif_with(arguments).arg(workers.to_string())).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    work.read("matches.jsonl")
}

/// A file's line is an event's offset.
fn found(matches: &[u8], log_name: &str) -> BTreeMap<String, Found> {
    let lines = std::fs::read_to_string(log(log_name)).expect("the log");
    let ids: Vec<i64> = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_i64().expect("an id")).collect();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for line in std::str::from_utf8(matches).expect("text").lines() {
        let json: Value = serde_json::from_str(line).expect("JSON");
        let chosen: Vec<i64> = in_order_of_time(&json["events"], &lines).into_iter().map(|place| ids[place]).collect();
        let found = found.entry(json["pattern"].as_str().expect("a name").to_owned()).or_default();
        *found = (found.0 + 1, found.1 + chosen[0], found.2 + chosen[chosen.len() - 1]);
    }
    found
}

fn in_order_of_time(events: &Value, lines: &str) -> Vec<usize> {
    let lines: Vec<&str> = lines.lines().collect();
    let addresses = events.as_object().expect("by step").values().flat_map(|step| step.as_array().expect("a list"));
    let places = addresses.map(|address| {
        let (_, offset) = address.as_str().and_then(|address| address.split_once(':')).expect("partition:offset");
        offset.parse::<usize>().expect("a number")
    });
    let mut chosen: Vec<(String, usize)> = places.map(|place| (serde_json::from_str::<Value>(lines[place]).expect("JSON")["at"].to_string(), place)).collect();
    chosen.sort();
    chosen.into_iter().map(|(_, place)| place).collect()
}

#[test]
fn the_shipped_patterns_give_the_agreed_counts_with_any_number_of_workers() {
    for (patterns, log_name, expected) in [("patterns/web", "web_requests", WEB), ("patterns/ssh", "ssh_logins", SSH)] {
        let one = matches(patterns, log_name, 1);
        let found = found(&one, log_name);
        for expected in expected {
            assert!(found.values().any(|found| *found == expected), "{expected:?} is not among {found:?}");
        }
        for workers in [2, 3, 7] {
            assert!(matches(patterns, log_name, workers) == one, "{patterns} with {workers} workers");
        }
    }
}

/// The counts of `tests/data/README.md`.
#[test]
fn an_event_is_late_when_it_is_more_than_the_lateness_older_than_the_newest() {
    for (lateness, expected) in [(0, 9_448), (5, 8_685), (10, 7_813), (30, 4_500), (58, 99), (59, 0)] {
        let late_after = if lateness == 0 { String::new() } else { format!(", late after {lateness}s") };
        let work = Workplace::new();
        let pattern = format!(
            "stream requests {{\n  id: int\n  at: timestamp\n  ip: string\n  time at{late_after}\n}}\n\
             pattern one {{\n  from requests by ip\n  match r: requests\n  emit r.id\n}}\n"
        );
        work.write("one.motif", pattern);
        let arguments = ["run", "one.motif", "--output", "matches.jsonl", "--late", "late.jsonl", "--input"];
        let ended = crate::workplace::start(work.motif_with(arguments).arg(log("web_requests"))).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let late = work.text("late.jsonl");
        assert_eq!(late.lines().count(), expected, "{lateness} s");
        let summary = format!("10000 events, {} matches, {expected} late, 0 rejected\n", 10_000 - expected);
        assert_eq!(ended.stderr, summary, "{lateness} s");
        assert!(late.lines().all(|line| line.contains(r#""stream":"requests","partition":0,"offset":"#) && line.contains(r#""code":"late""#)));
    }
}
