//! Workloads that other engines are measured with as well: typed events in memory, their fields from a hash of their number.
//!
//! Event i, in 64-bit words; `types` is 10, and 1,000 for `rules`:
//!
//! ```text
//! h = i * 0x9E3779B97F4A7C15;  h ^= h >> 29;  h *= 0xBF58476D1CE4E5B9;  h ^= h >> 32
//! k = (h >> 8 & 0x7fffffff) % keys    typ = (h >> 40 & 0xffff) % types    amt = (h >> 3 & 0x3ff) % 1000
//! time = 1_700_000_000_000 + i / 10 ms: ten thousand events a second, in order
//! ```

use std::fmt::Write;
use std::ops::Range;

use motif::engine::{Engine, EngineOptions, Input, Match};
use motif::event::{Event, EventTime, StreamId, Value};
use motif::language::{Source, compile};
use motif::pattern::Program;

/// Events that are applied at a time, of so many.
pub fn batch_events(events: u64) -> u64 {
    if events < 100_000 { 100 } else { 1_000 }
}

pub const FIRST_MS: i64 = 1_700_000_000_000;

/// Patterns over the events, by `k`; every start counts, other events are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    Pair,
    /// `pair` with another window.
    PairWithin(u32),
    Triple,
    Absence,
    /// So many patterns of two steps.
    Rules(u32),
}

/// The fields of one event.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub k: i64,
    pub typ: i64,
    pub amt: i64,
    pub at_ms: i64,
}

/// One pattern of `rules`: the type and the least amount of its first step, the type of its second.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub first: i64,
    pub least: i64,
    pub second: i64,
}

impl Rule {
    pub fn numbered(number: u32) -> Self {
        let number = i64::from(number);
        Self { first: number % 1000, least: number / 1000 * 50 % 1000, second: (number * 7 + 1) % 1000 }
    }
}

impl Workload {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair | Self::PairWithin(_) => "pair",
            Self::Triple => "triple",
            Self::Absence => "absence",
            Self::Rules(_) => "rules",
        }
    }

    pub fn types(self) -> u64 {
        if matches!(self, Self::Rules(_)) { 1_000 } else { 10 }
    }

    pub fn window_s(self) -> u32 {
        match self {
            Self::Pair | Self::Absence | Self::Rules(_) => 10,
            Self::PairWithin(seconds) => seconds,
            Self::Triple => 60,
        }
    }

    pub fn patterns(self) -> u32 {
        if let Self::Rules(rules) = self { rules } else { 1 }
    }

    /// The pattern file.
    pub fn text(self) -> String {
        let mut text = "stream events { k: int  typ: int  amt: int }\n".to_owned();
        for number in 0..self.patterns() {
            let (name, steps) = (self.name(), self.steps(number));
            writeln!(text, "pattern {name}_{number} {{\n from events by k\n {steps}\n skip none\n emit k\n}}").expect("a string");
        }
        text
    }

    fn steps(self, number: u32) -> String {
        match self {
            Self::Pair | Self::PairWithin(_) => {
                format!("match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within {}s", self.window_s())
            }
            Self::Triple => "match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt \
                             then c: events where typ == 2 and amt > b.amt within 60s"
                .to_owned(),
            Self::Absence => "match a: events where typ == 0 then not b: events where typ == 1 for 10s".to_owned(),
            Self::Rules(_) => {
                let Rule { first, least, second } = Rule::numbered(number);
                format!("match a: events where typ == {first} and amt >= {least} then b: events where typ == {second} within 10s")
            }
        }
    }

    pub fn program(self) -> Program {
        let compiled = compile(&[Source { path: "workload.motif".to_owned(), text: self.text() }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        compiled.program
    }

    /// Runs the workload to its end and gives the number of matches. `reached` is told how many events were applied, after every batch.
    pub fn run(self, events: u64, keys: u64, mut reached: impl FnMut(u64)) -> u64 {
        let mut engine = Engine::new(&self.program(), EngineOptions::default());
        engine.note_no_changes();
        let (mut matches, mut count) = (Vec::new(), 0);
        let batch = batch_events(events);
        for first in (0..events).step_by(usize::try_from(batch).expect("small")) {
            let last = (first + batch).min(events);
            apply(&mut engine, first..last, |number| fields(number, keys, self.types()), &mut matches);
            count += take_count(&mut matches);
            reached(last);
        }
        count + end(&mut engine)
    }
}

/// Hands numbered events to the engine, in one batch: the one place that knows how.
pub fn apply(engine: &mut Engine, numbers: Range<u64>, fields: impl Fn(u64) -> Fields, matches: &mut Vec<Match>) {
    let mut set_aside = Vec::new();
    let mut event = Event { stream: StreamId(0), partition: 0, offset: 0, time: EventTime::BEGINNING, fields: Box::new([]) };
    for number in numbers {
        fill(&mut event, number, fields(number));
        engine.arrive(&mut event, number, number + 1, &mut set_aside);
    }
    assert!(set_aside.is_empty(), "events are in time");
    engine.decide(matches);
}

/// How many matches came out; lets go of them.
pub fn take_count(matches: &mut Vec<Match>) -> u64 {
    matches.drain(..).len() as u64
}

/// Ends the input; how many matches that brings out.
pub fn end(engine: &mut Engine) -> u64 {
    let mut effects = Vec::new();
    engine.apply(Input::End, &mut effects);
    effects.len() as u64
}

/// Uses the memory of the event before, where the engine has left it.
fn fill(event: &mut Event, number: u64, Fields { k, typ, amt, at_ms }: Fields) {
    event.offset = number;
    event.time = EventTime::from_millis(at_ms).expect("this century");
    let [first, second, third] = &mut *event.fields else {
        event.fields = Box::new([Value::Int(k), Value::Int(typ), Value::Int(amt)]);
        return;
    };
    for (field, number) in [(first, k), (second, typ), (third, amt)] {
        // In place: a whole value is put together elsewhere and copied while it is still being written, for which processors wait; it took as long as all that a kernel written by hand does.
        if let Value::Int(value) = field { *value = number } else { *field = Value::Int(number) }
    }
}

pub fn fields(number: u64, keys: u64, types: u64) -> Fields {
    let mut hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^= hash >> 32;
    let part = |shift: u32, mask: u64, modulus: u64| ((hash >> shift & mask) % modulus).cast_signed();
    let at_ms = FIRST_MS + (number / 10).cast_signed();
    Fields { k: part(8, 0x7fff_ffff, keys), typ: part(40, 0xffff, types), amt: part(3, 0x3ff, 1000), at_ms }
}
