//! The conformance cases: a pattern as text, events as they arrive, and exactly what comes out (`tests/conformance/README.md`).
//!
//! Each case goes the way that a run goes: its text through the compiler into the engine. Event by event, in one batch, with partial matches kept together from the first on, cut at every position with its state
//! restored from stored bytes into a new engine, and with events in another order of arrival that the watermarks allow. `MOTIF_CONFORMANCE` names another folder of
//! `*.jsonl` files to run instead of the project's own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use motif::automaton::DecidedKind;
use motif::engine::{Change, Effect, Engine, EngineOptions, Input, Positions, RUNS_ALONE_MAX};
use motif::event::{Event, EventTime, StreamId, Value};
use motif::language::{Severity, Source, compile};
use motif::pattern::{Pattern, Program};
use serde::Deserialize;

use crate::oracle::brute;

const STREAM: StreamId = StreamId(0);

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
    let program = program_of(case).map_err(|problem| failure(case, "compiled", &expected, &problem))?;
    let ways: [(&str, &dyn Fn() -> Vec<Expected>); 7] = [
        ("one by one", &|| run(&program, &arrivals(case), RUNS_ALONE_MAX)),
        ("kept together", &|| run(&program, &arrivals(case), 0)),
        ("in one batch", &|| run_in_one_batch(&program, &arrivals(case))),
        ("cut and restored at every position", &|| run_with_cuts(case, RUNS_ALONE_MAX)),
        ("kept together, cut and restored at every position", &|| run_with_cuts(case, 0)),
        ("in another order that the watermarks allow", &|| run(&program, &reordered(case), RUNS_ALONE_MAX)),
        ("read by brute force", &|| read_by_brute_force(&program.patterns[0], case)),
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

fn program_of(case: &Case) -> Result<Program, String> {
    let compiled = compile(&[Source { path: format!("{}.motif", case.id), text: format!("{SCHEMA}{}", case.text) }]);
    if compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(format!("{:#?}\n", compiled.diagnostics));
    }
    Ok(compiled.program)
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

fn engine(program: &Program, runs_alone_max: usize) -> Engine {
    let mut engine = Engine::new(program, EngineOptions { runs_alone_max, ..EngineOptions::default() });
    engine.apply(Input::Open { stream: STREAM, partition: 0 }, &mut Vec::new());
    engine
}

fn run(program: &Program, inputs: &[Input], runs_alone_max: usize) -> Vec<Expected> {
    let (mut engine, mut effects) = (engine(program, runs_alone_max), Vec::new());
    for input in inputs {
        engine.apply(input.clone(), &mut effects);
    }
    engine.apply(Input::End, &mut effects);
    what_came_out(effects, inputs)
}

fn run_in_one_batch(program: &Program, inputs: &[Input]) -> Vec<Expected> {
    let mut effects = Vec::new();
    engine(program, RUNS_ALONE_MAX).apply_batch(inputs.iter().cloned().chain([Input::End]), &mut effects);
    what_came_out(effects, inputs)
}

/// After every input all that is left is the store's bytes and the positions: a program compiled anew takes them up in a new engine, and the source is read again.
fn run_with_cuts(case: &Case, runs_alone_max: usize) -> Vec<Expected> {
    let inputs = arrivals(case);
    let (mut store, mut effects) = (BTreeMap::new(), Vec::new());
    let mut positions = Positions::default();
    for (place, input) in inputs.iter().enumerate() {
        let program = program_of(case).expect("it compiled before");
        let mut engine = engine(&program, runs_alone_max);
        if place > 0 {
            take_up(&mut engine, &store, &positions, &inputs[..place]);
        }
        engine.apply(input.clone(), &mut effects);
        flush(&mut engine, &mut store);
        positions = engine.positions();
    }
    let program = program_of(case).expect("it compiled before");
    let mut engine = engine(&program, runs_alone_max);
    take_up(&mut engine, &store, &positions, &inputs);
    engine.apply(Input::End, &mut effects);
    flush(&mut engine, &mut store);
    assert!(store.is_empty(), "at the end of time nothing is left");
    what_came_out(effects, &inputs)
}

fn flush(engine: &mut Engine, store: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut changes = Vec::new();
    engine.take_changes(&mut changes);
    for Change { key, value } in changes {
        match value {
            Some(value) => drop(store.insert(key, value)),
            None => drop(store.remove(&key)),
        }
    }
}

/// What was held is read again from the rewind place on; the watermarks said so far are said again.
fn take_up(engine: &mut Engine, store: &BTreeMap<Vec<u8>, Vec<u8>>, positions: &Positions, before: &[Input]) {
    let entries = store.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    engine.restore(positions, entries).expect("what was written can be read");
    let rewind = positions.partitions.iter().find_map(|position| position.rewind.map(|rewind| rewind.offset));
    let mut effects = Vec::new();
    for input in before {
        match input {
            Input::Arrive { event, .. } if rewind.is_none_or(|rewind| event.offset < rewind) => {}
            input => engine.apply(input.clone(), &mut effects),
        }
    }
    assert!(effects.is_empty(), "what was decided before comes out once");
}

/// Events are told by their places: of those chosen no more is kept than patterns ask for.
fn what_came_out(effects: Vec<Effect>, inputs: &[Input]) -> Vec<Expected> {
    let id_at = |offset: u64| {
        let found = inputs.iter().find_map(|input| match input {
            Input::Arrive { event, .. } if event.offset == offset => Some(id(&event.fields)),
            _ => None,
        });
        found.expect("what is chosen has arrived")
    };
    let of = |effect| match effect {
        Effect::Matched(found) => {
            let chosen = found.chosen.iter().map(|(step, event)| (found.pattern.step(*step).name.clone(), id_at(event.offset)));
            comes_out(found.kind, found.at, chosen)
        }
        Effect::Late { event, .. } => Expected::Late { late: id(&event.fields) },
        other => panic!("no limit is reached: {other:?}"),
    };
    effects.into_iter().map(of).collect()
}

fn read_by_brute_force(pattern: &Pattern, case: &Case) -> Vec<Expected> {
    let (mut line, mut watermark) = (Vec::new(), EventTime::BEGINNING);
    let mut out = Vec::new();
    for input in arrivals(case) {
        match input {
            Input::Watermark { watermark: said, .. } => watermark = watermark.max(said),
            Input::Arrive { event, .. } if event.time <= watermark => out.push(Expected::Late { late: id(&event.fields) }),
            Input::Arrive { event, .. } => line.push(event),
            other => panic!("a case has events and watermarks: {other:?}"),
        }
    }
    line.sort_by_key(Event::place);
    let decisions = brute::decide(pattern, &line, usize::MAX).expect("the cases are small");
    out.extend(decisions.into_iter().map(|decision| {
        let chosen = decision.chosen.iter().map(|(step, place)| (pattern.step(*step).name.clone(), id(&line[*place].fields)));
        comes_out(decision.kind, decision.at, chosen)
    }));
    out
}

/// The case's lines. Without any watermark of its own the line has one before all events: so nothing is late, whatever the order of arrival.
fn arrivals(case: &Case) -> Vec<Input> {
    numbered(case.events.iter())
}

/// The events between two watermarks, the newest first; what is of equal time stays in its order.
fn reordered(case: &Case) -> Vec<Input> {
    let mut lines = Vec::new();
    for part in case.events.split_inclusive(|line| matches!(line, Line::Watermark { .. })) {
        let mut part: Vec<&Line> = part.iter().collect();
        part.sort_by_key(|line| match line {
            Line::Watermark { .. } => (1, 0),
            Line::Event { ts, .. } => (0, -ts),
        });
        lines.extend(part);
    }
    numbered(lines.into_iter())
}

fn numbered<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<Input> {
    let millis = |millis| EventTime::from_millis(millis).expect("small");
    let beginning = EventTime::from_micros(EventTime::BEGINNING.micros() + 1);
    let mut inputs = vec![Input::Watermark { stream: STREAM, partition: 0, watermark: beginning }];
    let mut offset = 0;
    for line in lines {
        inputs.push(match line {
            Line::Watermark { wm } => Input::Watermark { stream: STREAM, partition: 0, watermark: millis(*wm) },
            Line::Event { id, ts, t, v } => {
                let text = t.as_deref().map_or(Value::Null, Value::text);
                let fields = [Value::Int(*id), text, v.map_or(Value::Null, Value::Int), Value::Timestamp(millis(*ts))];
                let event = Event { stream: STREAM, partition: 0, offset, time: millis(*ts), fields: fields.into() };
                offset += 1;
                Input::Arrive { event, position: offset - 1, next_position: offset }
            }
        });
    }
    inputs
}

fn id(fields: &[Value]) -> i64 {
    match fields[0] {
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
