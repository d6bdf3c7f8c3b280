//! Random patterns on random streams: the runs of the automaton, cut and restored after every step, against a brute-force reading of the language.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many cases to try. What fails is shrunk and printed as a pattern file
//! with its events.

pub mod brute;
mod random;
mod rest;
mod sketch;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use motif::automaton::{Automaton, Decided, DecidedKind, Limits, Runs};
use motif::event::{Event, EventTime, Value};
use motif::language::{Severity, Source, compile};
use motif::pattern::{Moment, OnTimeout, Pattern};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use brute::Decision;
use sketch::{SCHEMA, Sketch, smaller};

const CASES: u64 = 2_000;
/// A case with more partial choices is passed over.
const CHOICES_MAX: usize = 4_000;

#[test]
fn runs_decide_what_the_brute_force_reading_decides() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("MOTIF_TEST_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let cases = number("MOTIF_TEST_CASES").unwrap_or(CASES);
    println!("MOTIF_TEST_SEED={seed}");
    let mut tally = Tally::default();
    for case in 0..cases {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let sketch = random::sketch(&mut random);
        let events = random::events(&mut random);
        if let Verdict::Differs { .. } = tally.count(judge(&sketch, &events)) {
            let (sketch, events) = shrunk(sketch, events);
            panic!("seed {seed}, case {case}: {}", report(&sketch, &events));
        }
    }
    println!("{tally:?}");
    assert!(tally.refused * 10 <= cases, "most random patterns are ones that the checker takes: {tally:?}");
    assert!(tally.matches > cases / 4 && tally.timeouts > cases / 20, "something happens: {tally:?}");
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
    Differs { expected: Vec<Decision>, got: Vec<Decision> },
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
    let Some(pattern) = pattern_of(sketch) else { return Verdict::Refused };
    let Some(mut expected) = brute::decide(&pattern, events, CHOICES_MAX) else { return Verdict::TooMuch };
    if matches!(pattern.on_timeout, OnTimeout::Silent) {
        expected.retain(|decision| decision.kind == DecidedKind::Match);
    }
    let got = decide(pattern, events);
    if got == expected { Verdict::Same(expected) } else { Verdict::Differs { expected, got } }
}

fn pattern_of(sketch: &Sketch) -> Option<Arc<Pattern>> {
    let source = Source { path: "p.motif".to_owned(), text: format!("{SCHEMA}{sketch}") };
    let compiled = compile(&[source]);
    let refused = compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (!refused).then(|| compiled.program.patterns[0].clone())
}

/// What the automaton decides on a line of events; its runs are written and read again after every step.
pub fn decide(pattern: Arc<Pattern>, line: &[Event]) -> Vec<Decision> {
    let automaton = Automaton::compile(pattern);
    let places: BTreeMap<u64, usize> = line.iter().enumerate().map(|(place, event)| (event.offset, place)).collect();
    let (limits, faults) = (Limits { runs_max: u64::MAX }, Cell::new(0));
    let (mut runs, mut decided) = (Runs::default(), Vec::new());
    for event in line {
        runs.expire(&automaton, event.time, &mut decided);
        runs = cut(&automaton, &runs);
        let event = Arc::new(event.clone());
        let idle = runs.is_empty() && !automaton.starts(&event, Moment::plain(&faults));
        runs.advance(&automaton, &limits, &event, Moment::plain(&faults), &mut decided);
        assert!(!idle || runs.is_empty(), "what cannot start a run starts none");
        runs = cut(&automaton, &runs);
    }
    // What is due is known beforehand, and nothing comes out between two deadlines.
    while let Some(deadline) = runs.next_deadline() {
        let before = decided.len();
        runs.expire(&automaton, EventTime::from_micros(deadline.micros() - 1), &mut decided);
        assert_eq!(decided.len(), before, "nothing is decided before its deadline");
        runs.expire(&automaton, deadline, &mut decided);
    }
    runs.expire(&automaton, EventTime::END, &mut decided);
    assert!(runs.is_empty(), "at the end of time nothing is left");
    let chosen = |decided: &Decided| decided.chosen.iter().map(|(step, event)| (*step, places[&event.offset])).collect();
    decided.iter().map(|decided| Decision { kind: decided.kind, at: decided.at, chosen: chosen(decided) }).collect()
}

/// The runs, written and read again; which writes the same bytes.
fn cut(automaton: &Automaton, runs: &Runs) -> Runs {
    let (mut once, mut again) = (Vec::new(), Vec::new());
    runs.encode(automaton, &mut once);
    let restored = Runs::decode(automaton, &once).expect("what was just written");
    restored.encode(automaton, &mut again);
    assert_eq!(once, again, "runs that were read are those that were written");
    assert_eq!(restored.next_deadline(), runs.next_deadline());
    restored
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
    let pattern = pattern_of(sketch).expect("it compiled before");
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
