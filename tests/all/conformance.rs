//! The conformance cases: a pattern as text, events as they arrive, and exactly what comes out (`tests/conformance/README.md`).
//!
//! Each case runs on the runs of the automaton alone, as they are and written and read again after every step. `MOTIF_CONFORMANCE` names another folder of
//! `*.jsonl` files to run instead of the project's own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use motif::automaton::{Automaton, Decided, DecidedKind, Limits, Runs};
use motif::event::{Event, EventTime, Value};
use motif::language::{Severity, Source, compile};
use motif::pattern::Pattern;
use serde::Deserialize;

use crate::oracle::brute;

/// As the README of the cases gives it.
const SCHEMA: &str = "stream ev {\n  id: int\n  t: string\n  v: int\n  ts: timestamp\n  time ts\n}\n\n";

/// Failures that are shown in full.
const SHOWN_MAX: usize = 3;

#[derive(Deserialize)]
pub struct Case {
    pub id: String,
    pub text: String,
    pub events: Vec<Line>,
    pub expect: Vec<Expected>,
}

/// What arrives: an event or a watermark.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub enum Line {
    Watermark { wm: i64 },
    Event { id: i64, ts: i64, t: Option<String>, v: Option<i64> },
}

/// What comes out, and when in milliseconds; steps without events are left out.
#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(untagged)]
pub enum Expected {
    Match { r#match: BTreeMap<String, Vec<i64>>, at: i64 },
    Timeout { timeout: BTreeMap<String, Vec<i64>>, at: i64 },
    Late { late: i64 },
}

#[test]
fn conformance() {
    let mut failures = Vec::new();
    let mut passed = 0;
    for case in cases() {
        match check(&case) {
            Ok(()) => passed += 1,
            Err(failure) => failures.push(failure),
        }
    }
    println!("{passed} passed, {} failed", failures.len());
    let shown: String = failures.iter().take(SHOWN_MAX).cloned().collect();
    assert!(failures.is_empty(), "{} of {} cases fail, the first ones:\n{shown}", failures.len(), passed + failures.len());
    assert!(passed > 0, "there are cases to run");
}

fn cases() -> Vec<Case> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let folder = std::env::var_os("MOTIF_CONFORMANCE").map_or_else(own, PathBuf::from);
    let listed = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let lines = files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect::<Vec<_>>()
    });
    lines.map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in case {line}"))).collect()
}

/// Runs a case in every way; an error is what there is to read about it.
fn check(case: &Case) -> Result<(), String> {
    let mut expected = case.expect.clone();
    expected.sort();
    let pattern = pattern_of(case).map_err(|problem| failure(case, "compiled", &expected, &problem))?;
    let ways: [(&str, &dyn Fn() -> Vec<Expected>); 3] = [
        ("run", &|| run(&pattern, case, Cut::Never)),
        ("cut and restored after every step", &|| run(&pattern, case, Cut::AfterEveryStep)),
        ("read by brute force", &|| read_by_brute_force(&pattern, case)),
    ];
    for (way, run) in ways {
        let mut got = run();
        got.sort();
        if got != expected {
            return Err(failure(case, way, &expected, &listed(&got)));
        }
    }
    Ok(())
}

fn pattern_of(case: &Case) -> Result<Arc<Pattern>, String> {
    let compiled = compile(&[Source { path: format!("{}.motif", case.id), text: format!("{SCHEMA}{}", case.text) }]);
    if compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(format!("{:#?}\n", compiled.diagnostics));
    }
    Ok(compiled.program.patterns[0].clone())
}

fn failure(case: &Case, way: &str, expected: &[Expected], got: &str) -> String {
    let mut out = format!("\ncase {}, {way}:\n{}\n", case.id, case.text);
    for line in &case.events {
        match line {
            Line::Watermark { wm } => writeln!(out, "  watermark {wm}"),
            Line::Event { id, ts, t, v } => writeln!(out, "  {id}: at {ts} t {} v {v:?}", t.as_deref().unwrap_or("null")),
        }
        .expect("text takes all");
    }
    write!(out, "expected:\n{}got:\n{got}", listed(expected)).expect("text takes all");
    out
}

fn listed(expected: &[Expected]) -> String {
    expected.iter().map(|one| format!("  {one:?}\n")).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Never,
    AfterEveryStep,
}

/// One key: what arrives is held until the watermark, then stands in line.
struct Key {
    automaton: Automaton,
    runs: Runs,
    cut: Cut,
    held: BTreeMap<i64, Vec<Arc<Event>>>,
    decided: Vec<Decided>,
}

fn run(pattern: &Arc<Pattern>, case: &Case, cut: Cut) -> Vec<Expected> {
    let automaton = Automaton::compile(pattern.clone());
    let mut key = Key { automaton, runs: Runs::default(), cut, held: BTreeMap::new(), decided: Vec::new() };
    let mut out = Vec::new();
    arrivals(case, &mut out, |arrival| match arrival {
        Ok(event) => key.held.entry(event.time.micros()).or_default().push(Arc::new(event)),
        Err(watermark) => key.release(watermark),
    });
    key.release(EventTime::END);
    assert!(key.runs.is_empty(), "at the end of time nothing is left");
    out.extend(key.decided.iter().map(|decided| {
        let chosen = decided.chosen.iter().map(|(step, event)| (pattern.step(*step).name.clone(), id(event)));
        comes_out(decided.kind, decided.at, chosen)
    }));
    out
}

impl Key {
    fn release(&mut self, watermark: EventTime) {
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= watermark.micros()) {
            for event in entry.remove() {
                self.runs.expire(&self.automaton, event.time, &mut self.decided);
                self.runs.advance(&self.automaton, &Limits { runs_max: 10_000 }, &event, &Cell::new(0), &mut self.decided);
                self.cut();
            }
        }
        self.runs.expire(&self.automaton, watermark, &mut self.decided);
        self.cut();
    }

    fn cut(&mut self) {
        if self.cut == Cut::AfterEveryStep {
            let mut bytes = Vec::new();
            self.runs.encode(&self.automaton, &mut bytes);
            self.runs = Runs::decode(&self.automaton, &bytes).expect("what was just written");
        }
    }
}

fn read_by_brute_force(pattern: &Pattern, case: &Case) -> Vec<Expected> {
    let (mut out, mut line) = (Vec::new(), Vec::new());
    arrivals(case, &mut out, |arrival| line.extend(arrival.ok()));
    line.sort_by_key(Event::place);
    let decisions = brute::decide(pattern, &line, usize::MAX).expect("the cases are small");
    out.extend(decisions.into_iter().map(|decision| {
        let chosen = decision.chosen.iter().map(|(step, place)| (pattern.step(*step).name.clone(), id(&line[*place])));
        comes_out(decision.kind, decision.at, chosen)
    }));
    out
}

/// Calls back with each event that is not late and each watermark, in order; late ones are added to what comes out.
fn arrivals(case: &Case, out: &mut Vec<Expected>, mut arrive: impl FnMut(Result<Event, EventTime>)) {
    let millis = |millis| EventTime::from_millis(millis).expect("small");
    let mut watermark = EventTime::BEGINNING;
    for (offset, line) in (0..).zip(&case.events) {
        match line {
            Line::Watermark { wm } => {
                watermark = watermark.max(millis(*wm));
                arrive(Err(watermark));
            }
            Line::Event { id, ts, .. } if millis(*ts) <= watermark => out.push(Expected::Late { late: *id }),
            Line::Event { id, ts, t, v } => {
                let text = t.as_deref().map_or(Value::Null, Value::text);
                let fields = [Value::Int(*id), text, v.map_or(Value::Null, Value::Int), Value::Timestamp(millis(*ts))];
                let stream = motif::event::StreamId(0);
                arrive(Ok(Event { stream, partition: 0, offset, time: millis(*ts), fields: fields.into() }));
            }
        }
    }
}

fn id(event: &Event) -> i64 {
    match event.fields[0] {
        Value::Int(id) => id,
        _ => unreachable!("the first field of `ev` is its id"),
    }
}

fn comes_out(kind: DecidedKind, at: EventTime, chosen: impl Iterator<Item = (String, i64)>) -> Expected {
    let mut steps: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (step, id) in chosen {
        steps.entry(step).or_default().push(id);
    }
    let at = at.micros() / 1_000;
    match kind {
        DecidedKind::Match => Expected::Match { r#match: steps, at },
        DecidedKind::Timeout => Expected::Timeout { timeout: steps, at },
    }
}
