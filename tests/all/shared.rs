//! Partial matches kept together, and those that are found by value, decide what plain runs decide: random patterns on random streams, side by side, event by event.
//!
//! And each way: cut after every event and taken up from stored bytes, with moves forgotten and memory compacted all the time; the bytes are those of a key that was never cut.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many cases to try. What fails is shrunk and printed.

use std::cell::Cell;

use motif::automaton::shared::Workspace;
use motif::automaton::{Arrival, Automaton, Decided, Evaluation, Limits, Pending, Runs, Stepped, Stepping};
use motif::event::{Event, EventTime, SharedEvent, StreamId, Value};
use motif::language::{Source, compile};
use motif::pattern::Moment;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;

use crate::oracle::random;
use crate::oracle::sketch::{SCHEMA, Sketch, smaller};
use crate::random_cases::RandomCases;

const CASES: u64 = 4_000;
const PLENTY: u64 = 1_000_000;
/// A case with more runs at a time is passed over.
const RUNS_MAX: usize = 3_000;

#[test]
fn choices_kept_together_decide_what_runs_decide() {
    let cases = RandomCases::asked_for(CASES);
    let RandomCases { seed, count } = cases;
    let mut same = 0;
    let mut decisions = 0;
    for case in 0..count {
        let mut random = cases.random_of(case);
        let (sketch, events) = (random::sketch(&mut random), random::events(&mut random));
        let matches_max = if random.random_bool(0.2) { random.random_range(0..5) } else { PLENTY };
        let runs_max = if matches_max == PLENTY && random.random_bool(0.3) { random.random_range(1..40) } else { PLENTY };
        let limits = Limits { runs_max, matches_max, runs_alone_max: random.random_range(0..6) };
        match judge(&sketch, &events, limits) {
            Verdict::NotTaken => {}
            Verdict::Same(decided) => {
                same += 1;
                decisions += decided;
            }
            Verdict::Differs(_) => panic!("seed {seed}, case {case}: {}", shrunk(sketch, events, &|sketch, events| judge(sketch, events, limits))),
        }
    }
    println!("{same} patterns, {decisions} decisions");
    assert!(same > count / 4 && decisions as u64 > count / 2, "something happens");
}

/// Each start has a choice of its own, and these share nothing: so many take far more sets than runs.
#[test]
fn nothing_is_lost_where_runs_are_within_their_limit() {
    const STARTS: u64 = 200;
    let mut line = vec!["A"; STARTS as usize];
    line.push("B");
    let events = typed_events(&line);
    let limits = Limits { runs_max: STARTS, matches_max: PLENTY, runs_alone_max: 5 };
    for (body, decisions) in [
        ("match x{150}: ev where t == \"A\" then y: ev where t == \"B\" within 1h skip none", 51),
        ("match x{1,150} greedy: ev where t == \"A\" then y: ev where t == \"B\" within 1h skip none", STARTS as usize),
        // What ends with its window is kept apart by its start. Each goes on beside its match, and runs out of time.
        ("match x+ greedy: ev where t == \"A\" then y: ev where t == \"B\" within 1h skip none on timeout emit", 2 * STARTS as usize),
    ] {
        match judge_body(body, &events, limits) {
            Verdict::NotTaken => panic!("{body}: not kept together"),
            Verdict::Same(decided) => assert_eq!(decided, decisions, "{body}"),
            Verdict::Differs(difference) => panic!("{body}: {difference}"),
        }
    }
}

/// Many choices in few sets: more runs than the limit says, but what they take is bounded by it.
#[test]
fn what_explodes_takes_no_more_than_its_limit_allows() {
    const RUNS_MAX: u64 = 10;
    /// Sets that a key may hold for each run, twice: it is looked at only once so many more were made.
    const SETS_MAX: u64 = 2 * 64 * RUNS_MAX;
    /// A set is three small numbers, an event its place and its fields: as bytes either takes less.
    const BYTES_MAX: usize = 40;
    let events = typed_events(&["A"; 3_000]);
    let limits = Limits { runs_max: RUNS_MAX, matches_max: PLENTY, runs_alone_max: 5 };
    for body in [
        "match x: ev where t == \"A\" then any y: ev where t == \"A\" then any z: ev where t == \"A\" then c: ev where t == \"B\" within 1h skip none",
        "match x{3,20} combinations: ev where t == \"A\" then c: ev where t == \"B\" within 1h skip none",
    ] {
        let (automaton, evaluation) = compiled(&format!("{SCHEMA}pattern p {{ from ev {body} }}")).expect(body);
        let rules = Rules { automaton: &automaton, evaluation: &evaluation, limits: &limits };
        let mut key = Key::new(Workspace::default(), false);
        for event in events.iter().cloned().map(SharedEvent::from) {
            key.comes(rules, event.time, Some(&event));
            let bytes = key.bytes(rules).len();
            assert!(bytes < 2 * SETS_MAX as usize * BYTES_MAX, "{body}: {bytes} bytes after event {}", event.offset);
        }
        assert!(key.pending.runs_dropped() > 0 && !key.pending.is_empty(), "{body}: the oldest are gone, the newest are there");
    }
}

/// One of each type, a millisecond apart.
fn typed_events(types: &[&str]) -> Vec<Event> {
    (0..).zip(types).map(|(place, kind): (u64, _)| random::event(place, place.cast_signed(), kind, 0)).collect()
}

/// Steps that must equal something of earlier ones, of whatever type; or be more or less, or by so much, or more than one thing. Events that must not come and ask for the same, or for something else:
/// between steps, at the end, and between any two; and what runs out of time.
#[test]
fn runs_found_by_value_decide_what_runs_decide() {
    const SCHEMA: &str = "stream ev {\n  id: int\n  t: string\n  v: int\n  d: decimal\n  f: float\n  s: string\n  b: bool\n  ts: timestamp\n  time ts\n}\n";
    const ASKED: [&str; 29] = [
        "v == a.v",
        "a.v == v",
        "d == a.v",
        "a.d == v",
        "d == a.d",
        "f == a.f",
        "v == a.f",
        "s == a.s",
        "b == a.b",
        "v == a.v + 1",
        "d > a.d and s == a.s",
        "s != a.s",
        "v > a.v",
        "v >= a.v",
        "d < a.d",
        "a.f >= f",
        "v > a.d + 0.5",
        "s <= a.s",
        "v - a.v > 1",
        "1.5 - d <= -a.d",
        "f - a.f >= float(1)",
        "ts - a.ts >= 3ms",
        "v - a.v != 0",
        "v == 2 * a.v",
        "v == sum(a.v)",
        "d == avg(a.d)",
        "d >= sum(a.d) - 1",
        "v < 2 * a.v - 1",
        "id > 2",
    ];
    let cases = RandomCases::asked_for(CASES);
    let (mut same, mut decisions) = (0, 0);
    for case in 0..cases.count {
        let mut random = cases.random_of(case);
        let mut steps = vec!["a: ev where t == \"A\"".to_owned()];
        let names = ["a", "b", "c", "e"];
        for (before, name) in (1..).zip(&names[1..=random.random_range(1..=3)]) {
            let mut asked = || ASKED.choose(&mut random).expect("not empty").replace("a.", &format!("{}.", names[random.random_range(0..before)]));
            let (guard, step) = (asked(), asked());
            if random.random_bool(0.25) {
                let guard = if random.random_bool(0.5) { &step } else { &guard };
                steps.push(format!("not n{name}: ev where t == \"N\" and {guard}"));
            }
            let times = ["", "", "", "{2}", "{3}"].choose(&mut random).expect("not empty");
            let soon = if random.random_bool(0.15) { format!("within {}ms ", random.random_range(1..20)) } else { String::new() };
            steps.push(format!("{soon}{name}{times}: ev where t == \"{}\" and {step}", if random.random_bool(0.6) { "B" } else { "C" }));
        }
        let of_any = |random: &mut ChaCha8Rng| {
            let step = names[random.random_range(0..steps.len().min(4))];
            ASKED.choose(random).expect("not empty").replace("a.", &format!("{step}."))
        };
        let last = if random.random_bool(0.35) {
            let hold = if random.random_bool(0.6) { format!(" for {}ms", random.random_range(1..60)) } else { String::new() };
            Some(format!("not last: ev where t == \"{}\" and {}{hold}", ["B", "N"][random.random_range(0..2)], of_any(&mut random)))
        } else {
            None
        };
        let without = if random.random_bool(0.25) {
            let between = if random.random_bool(0.3) { "  between a and b" } else { "" };
            format!("  without w: ev where t == \"N\" and {}{between}\n", of_any(&mut random))
        } else {
            String::new()
        };
        steps.extend(last);
        let timeout = if random.random_bool(0.25) { "  on timeout emit\n" } else { "" };
        let skip = *["none", "none", "to next", "past last"].choose(&mut random).expect("not empty");
        let within = if random.random_bool(0.8) { format!("  within {}ms\n", random.random_range(2..120)) } else { String::new() };
        let limit = if random.random_bool(0.2) { format!("  limit runs {}\n", random.random_range(1..6)) } else { String::new() };
        let text = format!("{SCHEMA}pattern p {{\n  from ev\n  match {}\n{without}{within}  skip {skip}\n{timeout}{limit}}}\n", steps.join("\n    then "));
        let events = valued_events(&mut random);
        let limits = Limits {
            runs_max: if random.random_bool(0.2) { random.random_range(1..6) } else { PLENTY },
            matches_max: if random.random_bool(0.1) { random.random_range(0..4) } else { PLENTY },
            runs_alone_max: random.random_range(0..6),
        };
        match judge_text(&text, &events, limits, &|evaluation| matches!(evaluation, Evaluation::ByValue(_))) {
            Verdict::NotTaken => {}
            Verdict::Same(decided) => (same, decisions) = (same + 1, decisions + decided),
            Verdict::Differs(difference) => {
                let listed: Vec<String> = events.iter().map(|event| format!("  {:?}", event.fields)).collect();
                panic!("seed {}, case {case}, {limits:?}:\n{text}\n{}\n{difference}", cases.seed, listed.join("\n"));
            }
        }
    }
    println!("{same} patterns, {decisions} decisions");
    assert!(same > cases.count / 4 && decisions as u64 > cases.count, "something happens");
}

/// The same however the steps follow each other: loops, what may be left out, one step or another, all in any order.
#[test]
fn runs_of_any_pattern_found_by_value_decide_what_runs_decide() {
    const EQUAL: [&str; 8] = ["v == x.v", "x.v == v", "v == x.v", "v == x.v", "v == first(x.v)", "v == x.v + 1", "v == sum(x.v)", "count(x) == v"];
    const ORDERED: [&str; 8] = ["v > x.v", "x.v >= v", "v < x.v + 1", "v > first(x.v)", "v - x.v <= 1", "v >= sum(x.v)", "count(x) < v", "ts - x.ts > 3ms"];
    let both = [EQUAL, ORDERED].concat();
    let cases = RandomCases::asked_for(CASES);
    let (mut same, mut decisions) = (0, 0);
    let is_found_by_value = |evaluation: &Evaluation| matches!(evaluation, Evaluation::ByValue(_));
    for case in 0..cases.count {
        let mut random = cases.random_of(case);
        let asked = *[EQUAL.as_slice(), &ORDERED, &both].choose(&mut random).expect("not empty");
        let sketch = random::sketch_asking(&mut random, asked);
        let events = random::events_up_to(&mut random, 40);
        let limits = Limits {
            runs_max: if random.random_bool(0.2) { random.random_range(1..12) } else { PLENTY },
            matches_max: if random.random_bool(0.1) { random.random_range(0..4) } else { PLENTY },
            runs_alone_max: random.random_range(0..6),
        };
        let differs = |sketch: &Sketch, events: &[Event]| judge_text(&format!("{SCHEMA}{sketch}"), events, limits, &is_found_by_value);
        match differs(&sketch, &events) {
            Verdict::NotTaken => {}
            Verdict::Same(decided) => (same, decisions) = (same + 1, decisions + decided),
            Verdict::Differs(_) => panic!("seed {}, case {case}, {limits:?}: {}", cases.seed, shrunk(sketch, events, &differs)),
        }
    }
    println!("{same} patterns, {decisions} decisions");
    assert!(same > cases.count / 8 && decisions as u64 > cases.count, "something happens");
}

fn valued_events(random: &mut ChaCha8Rng) -> Vec<Event> {
    let mut millis = 0;
    let events_max = if random.random_bool(0.1) { 400 } else { 80 };
    (0..random.random_range(1..=events_max))
        .map(|offset: u64| {
            millis += *[0, 0, 1, 1, 2, 3].choose(random).expect("not empty");
            let time = EventTime::from_millis(millis).expect("small");
            let id = Value::Int(offset.cast_signed());
            let fields = [
                id,
                Value::text(["A", "A", "A", "B", "B", "C", "N"].choose(random).expect("not empty")),
                Value::Int(random.random_range(0..3)),
                Value::Decimal(Decimal::new(random.random_range(0..6) * 5, 1)),
                Value::Float(random.random_range(0..3_i32).into()),
                Value::text(["x", "y", "a text that is longer than what lies in a value"][random.random_range(0..3)]),
                Value::Bool(random.random_bool(0.5)),
                Value::Timestamp(time),
            ];
            let fields =
                fields.into_iter().map(|value| if random.random_bool(0.03) && !matches!(value, Value::Timestamp(_)) { Value::Null } else { value }).collect();
            Event { stream: StreamId(0), partition: 0, offset, time, fields }
        })
        .collect()
}

enum Verdict {
    /// Not a pattern, or not one that this is for, or too much for runs.
    NotTaken,
    Same(usize),
    Differs(String),
}

fn judge(sketch: &Sketch, events: &[Event], limits: Limits) -> Verdict {
    judge_text(&format!("{SCHEMA}{sketch}"), events, limits, &|evaluation| matches!(evaluation, Evaluation::Together(_)))
}

fn judge_body(body: &str, events: &[Event], limits: Limits) -> Verdict {
    judge_text(&format!("{SCHEMA}pattern p {{ from ev {body} }}"), events, limits, &|evaluation| matches!(evaluation, Evaluation::Together(_)))
}

fn judge_text(text: &str, events: &[Event], limits: Limits, is_for: &dyn Fn(&Evaluation) -> bool) -> Verdict {
    let Some((automaton, evaluation)) = compiled(text) else { return Verdict::NotTaken };
    if !is_for(&evaluation) || !automaton.pattern().windows.is_empty() {
        return Verdict::NotTaken;
    }
    let events: Vec<SharedEvent> = events.iter().cloned().map(SharedEvent::from).collect();
    compare(Rules { automaton: &automaton, evaluation: &evaluation, limits: &limits }, &events)
}

/// The automaton of the text's one pattern; `None`: there are errors.
fn compiled(text: &str) -> Option<(Automaton, Evaluation)> {
    let compiled = compile(&[Source { path: "p.motif".to_owned(), text: text.to_owned() }]);
    if compiled.has_errors() {
        return None;
    }
    let automaton = Automaton::compile(compiled.program.patterns[0].clone());
    let evaluation = Evaluation::of(&automaton);
    Some((automaton, evaluation))
}

fn arrival<'a>(automaton: &Automaton, event: &'a SharedEvent, faults: &'a Cell<u64>) -> Arrival<'a> {
    Arrival { event, class: automaton.class_of(event.stream, event.fields(), faults), moment: Moment::plain(faults) }
}

/// What keys are stepped by.
#[derive(Clone, Copy)]
struct Rules<'a> {
    automaton: &'a Automaton,
    evaluation: &'a Evaluation,
    limits: &'a Limits,
}

impl<'a> Rules<'a> {
    fn stepping(self, workspace: &'a mut Workspace) -> Stepping<'a> {
        Stepping { automaton: self.automaton, evaluation: self.evaluation, limits: self.limits, workspace, watch: None }
    }
}

/// One key, in one of the ways.
struct Key {
    pending: Pending,
    workspace: Workspace,
    stepped: Stepped,
    is_cut: bool,
}

impl Key {
    fn new(workspace: Workspace, is_cut: bool) -> Self {
        Self { pending: Pending::default(), workspace, stepped: Stepped::default(), is_cut }
    }

    fn comes(&mut self, rules: Rules<'_>, instant: EventTime, event: Option<&SharedEvent>) {
        self.pending.expire(&mut rules.stepping(&mut self.workspace), instant, &mut self.stepped);
        if let Some(event) = event {
            let faults = Cell::new(0);
            self.pending.advance(&mut rules.stepping(&mut self.workspace), arrival(rules.automaton, event, &faults), &mut self.stepped);
        }
        if self.pending.is_empty() {
            self.pending.clear();
        }
        if self.is_cut {
            self.workspace = Workspace::cramped();
            let bytes = self.bytes(rules);
            self.pending = Pending::decode(&mut rules.stepping(&mut self.workspace), &bytes).expect("what was just written");
        }
    }

    fn bytes(&self, rules: Rules<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.pending.encode(rules.automaton, &mut bytes);
        bytes
    }
}

fn compare(rules: Rules<'_>, events: &[SharedEvent]) -> Verdict {
    let (mut runs, mut stepped) = (Runs::default(), Stepped::default());
    let at_once = Limits { runs_alone_max: 0, ..*rules.limits };
    let mut keys = [
        (Key::new(Workspace::default(), false), Rules { limits: &at_once, ..rules }),
        (Key::new(Workspace::cramped(), false), rules),
        (Key::new(Workspace::cramped(), true), rules),
    ];
    let mut count = 0;
    for event in events.iter().map(Some).chain([None]) {
        let instant = event.map_or(EventTime::END, |event| event.time);
        runs.expire(rules.automaton, rules.limits, instant, &mut stepped);
        if let Some(event) = event {
            runs.advance(rules.automaton, rules.limits, arrival(rules.automaton, event, &Cell::new(0)), &mut stepped);
        }
        if runs.len() > RUNS_MAX {
            return Verdict::NotTaken;
        }
        if matches!(rules.evaluation, Evaluation::Together(_)) && rules.limits.runs_max < PLENTY && runs.runs_dropped() > 0 {
            // From here on other ones are lost: together whole starts, and not after every event.
            return Verdict::Same(count);
        }
        if runs.is_empty() {
            runs.clear();
        }
        let expected: Vec<String> = stepped.decided.drain(..).map(|decided| told(&decided)).collect();
        count += expected.len();
        for (key, rules) in &mut keys {
            key.comes(*rules, instant, event);
            let got: Vec<String> = key.stepped.decided.drain(..).map(|decided| told(&decided)).collect();
            if got != expected {
                let at_ms = instant.micros() / 1_000;
                return Verdict::Differs(format!("at {at_ms}ms, cut {}: expected\n{}\ngot\n{}", key.is_cut, expected.join("\n"), got.join("\n")));
            }
            if !plainly_empty(&runs, key) {
                return Verdict::Differs(format!("at {}ms {} groups for {} runs", instant.micros() / 1_000, key.pending.len(), runs.len()));
            }
        }
        let [(at_once, at_once_rules), (plain, _), (cut, _)] = &keys;
        if matches!(rules.evaluation, Evaluation::ByValue(_)) {
            let mut expected = Vec::new();
            runs.encode(rules.automaton, &mut expected);
            if at_once.bytes(*at_once_rules) != expected {
                return Verdict::Differs(format!("at {}ms other bytes:\n{:?}\n{runs:?}", instant.micros() / 1_000, at_once.pending));
            }
        }
        if plain.bytes(rules) != cut.bytes(rules) {
            return Verdict::Differs(format!("at {}ms other bytes:\n{:?}\n{:?}", instant.micros() / 1_000, plain.pending, cut.pending));
        }
    }
    Verdict::Same(count)
}

/// Whoever has no runs has no choices, but for those that a cleaning at the end of the window is still to remove.
fn plainly_empty(runs: &Runs, key: &Key) -> bool {
    !runs.is_empty() || key.pending.is_empty() || key.pending.next_deadline().is_some()
}

fn told(decided: &Decided) -> String {
    let chosen: Vec<String> = decided.chosen.iter().map(|(step, event)| format!("{}={}", step.0, event.offset)).collect();
    format!("  {:?} {:?} at {}ms: {}, {} lost before", decided.kind, decided.by, decided.at.micros() / 1_000, chosen.join(" "), decided.runs_dropped)
}

fn shrunk(mut sketch: Sketch, mut events: Vec<Event>, judge: &dyn Fn(&Sketch, &[Event]) -> Verdict) -> String {
    let differs = |sketch: &Sketch, events: &[Event]| matches!(judge(sketch, events), Verdict::Differs { .. });
    loop {
        let fewer = (0..events.len()).map(|place| [&events[..place], &events[place + 1..]].concat());
        if let Some(found) = fewer.into_iter().find(|fewer| differs(&sketch, fewer)) {
            events = found;
        } else if let Some(found) = smaller(&sketch).into_iter().find(|smaller| differs(smaller, &events)) {
            sketch = found;
        } else {
            break;
        }
    }
    let Verdict::Differs(difference) = judge(&sketch, &events) else { unreachable!("it differed before") };
    let listed: Vec<String> = events.iter().map(|event| format!("  {}: {}ms {:?}", event.offset, event.time.micros() / 1_000, event.fields)).collect();
    format!("\n{sketch}\n{}\n{difference}", listed.join("\n"))
}
