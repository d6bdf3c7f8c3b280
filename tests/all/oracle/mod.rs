//! Random patterns on random streams: the engine, its state written and read again after every event, partial matches kept together at once, soon or never, against a brute-force reading of the language.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many cases to try. What fails is shrunk and printed as a pattern file
//! with its events.

pub mod brute;
pub mod random;
mod rest;
pub mod sketch;

use std::collections::BTreeMap;
use std::fmt::Write;

use motif::automaton::DecidedKind;
use motif::engine::{Change, Effect, Engine, EngineOptions, Input, Positions};
use motif::event::{Event, StreamId, Value};
use motif::language::{Severity, Source, compile};
use motif::pattern::{OnTimeout, Program};

use brute::Decision;
use sketch::{Body, Condition, Element, Item, Loop, SCHEMA, Sketch, smaller};

use crate::random_cases::RandomCases;

const CASES: u64 = 2_000;
/// A case with more partial choices is passed over.
const CHOICES_MAX: usize = 4_000;

#[test]
fn the_engine_decides_what_the_brute_force_reading_decides() {
    let cases = RandomCases::asked_for(CASES);
    let RandomCases { seed, count } = cases;
    let mut tally = Tally::default();
    for case in 0..count {
        let mut random = cases.random_of(case);
        let sketch = random::sketch(&mut random);
        let events = random::events(&mut random);
        if let Verdict::Differs { .. } = tally.count(judge(&sketch, &events)) {
            let (sketch, events) = shrunk(sketch, events);
            panic!("seed {seed}, case {case}: {}", report(&sketch, &events));
        }
    }
    println!("{tally:?}");
    assert!(tally.refused * 10 <= count, "most random patterns are ones that the checker takes: {tally:?}");
    assert!(tally.matches > count / 4 && tally.timeouts > count / 20, "something happens: {tally:?}");
}

/// The loop may go on where `b` has been taken: what is compared then is not what `b` was compared with.
#[test]
fn a_run_that_has_lost_a_way_compares_with_what_it_still_waits_for() {
    let step = |name: &str, times: &str, conditions: [&str; 2]| {
        let body = Body::Step(name.to_owned(), Condition(conditions.map(str::to_owned).into()));
        Item::Element(Element { how: "", within_ms: None, body, loops: Loop { times: times.to_owned(), ..Loop::default() } })
    };
    let items = vec![step("s", "", ["t == \"C\"", "v > 0"]), step("a", "+", ["t == \"A\"", "v > s.v"]), step("b", "", ["t == \"B\"", "v > a.v"])];
    let sketch = Sketch { items, withouts: Vec::new(), within_ms: Some(20), skip: "none".to_owned(), on_timeout: false };
    let line = [("C", 2), ("A", 4), ("B", 5), ("A", 3), ("B", 4)];
    let events: Vec<Event> = (0..).zip(line).map(|(place, (kind, v))| random::event(place, place.cast_signed(), kind, v)).collect();
    let Verdict::Same(decisions) = judge(&sketch, &events) else { panic!("{}", report(&sketch, &events)) };
    assert_eq!(decisions.len(), 2, "{decisions:?}");
}

#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    too_much: u64,
    same: u64,
    matches: u64,
    timeouts: u64,
}

enum Verdict {
    /// By the checker.
    Refused,
    TooMuch,
    Same(Vec<Decision>),
    Differs {
        expected: Vec<Decision>,
        got: Vec<Decision>,
    },
}

impl Tally {
    fn count(&mut self, verdict: Verdict) -> Verdict {
        match &verdict {
            Verdict::Refused => self.refused += 1,
            Verdict::TooMuch => self.too_much += 1,
            Verdict::Same(decisions) => {
                self.same += 1;
                let timeouts = decisions.iter().filter(|decision| decision.kind == DecidedKind::Timeout).count() as u64;
                self.timeouts += timeouts;
                self.matches += decisions.len() as u64 - timeouts;
            }
            Verdict::Differs { .. } => {}
        }
        verdict
    }
}

fn judge(sketch: &Sketch, events: &[Event]) -> Verdict {
    let Some(program) = program_of(sketch) else { return Verdict::Refused };
    let pattern = &program.patterns[0];
    let Some(mut expected) = brute::decide(pattern, events, CHOICES_MAX) else { return Verdict::TooMuch };
    if matches!(pattern.on_timeout, OnTimeout::Silent) {
        expected.retain(|decision| decision.kind == DecidedKind::Match);
    }
    for (runs_alone_max, is_cut) in [0, 3, usize::MAX].into_iter().flat_map(|most| [(most, true), (most, false)]) {
        let got = decide(&program, events, runs_alone_max, is_cut);
        if got != expected {
            return Verdict::Differs { expected, got };
        }
    }
    Verdict::Same(expected)
}

fn program_of(sketch: &Sketch) -> Option<Program> {
    let source = Source { path: "p.motif".to_owned(), text: format!("{SCHEMA}{sketch}") };
    let compiled = compile(&[source]);
    let refused = compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (!refused).then_some(compiled.program)
}

/// What the engine decides on a line of events; if it `is_cut`, its state is written and read again by a new engine after every event.
fn decide(program: &Program, line: &[Event], runs_alone_max: usize, is_cut: bool) -> Vec<Decision> {
    let places: BTreeMap<u64, usize> = line.iter().enumerate().map(|(place, event)| (event.offset, place)).collect();
    let (mut store, mut positions, mut effects) = (BTreeMap::new(), Positions::default(), Vec::new());
    let made = |store: &_, positions: &_| engine(program, runs_alone_max, store, positions);
    let mut engine = made(&store, &positions);
    for (place, event) in line.iter().enumerate() {
        if is_cut {
            engine = made(&store, &positions);
        }
        // What is held at the watermark, of equal time, is read again.
        let rewind = positions.partitions.iter().find_map(|position| position.rewind.map(|rewind| rewind.offset)).filter(|_| is_cut);
        for before in line[..place].iter().filter(|before| rewind.is_some_and(|rewind| rewind <= before.offset)) {
            engine.apply(arrive(before), &mut effects);
        }
        engine.apply(arrive(event), &mut effects);
        if place + 1 == line.len() {
            engine.apply(Input::End, &mut effects);
        }
        let mut changes = Vec::new();
        engine.take_changes(&mut changes);
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(store.insert(key, value)),
                None => drop(store.remove(&key)),
            }
        }
        positions = engine.positions();
    }
    assert!(store.is_empty(), "at the end of time nothing is left");
    let decision = |effect| {
        let Effect::Matched(found) = effect else { panic!("nothing is set aside") };
        let chosen = found.chosen.iter().map(|(step, event)| (*step, places[&event.offset])).collect();
        Decision { kind: found.kind, at: found.at, chosen }
    };
    effects.into_iter().map(decision).collect()
}

fn engine(program: &Program, runs_alone_max: usize, store: &BTreeMap<Vec<u8>, Vec<u8>>, positions: &Positions) -> Engine {
    let mut engine =
        Engine::new(program, EngineOptions { runs_per_key_max: u64::MAX, runs_alone_max, matches_per_event_max: u64::MAX, ..EngineOptions::default() });
    engine.apply(Input::Open { stream: StreamId(0), partition: 0 }, &mut Vec::new());
    if !positions.partitions.is_empty() {
        let entries = store.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        engine.restore(positions, entries).expect("what was written can be read");
    }
    engine
}

fn arrive(event: &Event) -> Input {
    Input::Arrive { event: event.clone(), position: event.offset, next_position: event.offset + 1 }
}

/// Takes away whatever the difference does not need.
fn shrunk(mut sketch: Sketch, mut events: Vec<Event>) -> (Sketch, Vec<Event>) {
    let differs = |sketch: &Sketch, events: &[Event]| matches!(judge(sketch, events), Verdict::Differs { .. });
    loop {
        let fewer = (0..events.len()).map(|place| [&events[..place], &events[place + 1..]].concat());
        if let Some(found) = fewer.into_iter().find(|fewer| differs(&sketch, fewer)) {
            events = found;
        } else if let Some(found) = smaller(&sketch).into_iter().find(|smaller| differs(smaller, &events)) {
            sketch = found;
        } else {
            return (sketch, events);
        }
    }
}

fn report(sketch: &Sketch, events: &[Event]) -> String {
    let Verdict::Differs { expected, got } = judge(sketch, events) else { return "a difference that did not come again".to_owned() };
    let program = program_of(sketch).expect("it compiled before");
    let pattern = &program.patterns[0];
    let mut out = format!("\n{sketch}\n");
    for (place, event) in events.iter().enumerate() {
        let [_, Value::Text(kind), Value::Int(v), _] = &*event.fields else { unreachable!("events of `ev`") };
        writeln!(out, "  {place}: {}ms t {kind} v {v}", event.time.micros() / 1_000).expect("text takes all");
    }
    for (title, decisions) in [("expected", expected), ("got", got)] {
        writeln!(out, "{title}:").expect("text takes all");
        for Decision { kind, at, chosen } in decisions {
            let chosen: Vec<String> = chosen.iter().map(|(step, place)| format!("{}={place}", pattern.step(*step).name)).collect();
            writeln!(out, "  {kind:?} at {}ms: {}", at.micros() / 1_000, chosen.join(" ")).expect("text takes all");
        }
    }
    out
}
