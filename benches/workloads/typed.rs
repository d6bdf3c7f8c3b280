//! Workloads that other engines are measured with as well: typed events in memory, their fields from a hash of their number.
//!
//! Event i, in 64-bit words:
//!
//! ```text
//! h = i * 0x9E3779B97F4A7C15;  h ^= h >> 29;  h *= 0xBF58476D1CE4E5B9;  h ^= h >> 32
//! k = (h >> 8 & 0x7fffffff) % keys    typ = (h >> 40 & 0xffff) % 10    amt = (h >> 3 & 0x3ff) % 1000
//! time = 1_700_000_000_000 + i / 10 ms: ten thousand events a second, in order
//! ```

use motif::engine::{Effect, Engine, EngineOptions, Input};
use motif::event::{Event, EventTime, StreamId, Value};
use motif::language::{Source, compile};
use motif::pattern::Program;

/// Events that are applied at a time.
const BATCH_EVENTS: u64 = 1_000;
const FIRST_MS: i64 = 1_700_000_000_000;
const TYPES: u64 = 10;

/// One pattern over the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    Pair,
    Triple,
    Absence,
}

/// The fields of one event.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub k: i64,
    pub typ: i64,
    pub amt: i64,
    pub at_ms: i64,
}

impl Workload {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Triple => "triple",
            Self::Absence => "absence",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Pair => {
                "match a: events where typ == 0
                  then b: events where typ == 1 and amt > a.amt
                 within 10s"
            }
            Self::Triple => {
                "match a: events where typ == 0
                  then b: events where typ == 1 and amt > a.amt
                  then c: events where typ == 2 and amt > b.amt
                 within 60s"
            }
            Self::Absence => {
                "match a: events where typ == 0
                  then not b: events where typ == 1 for 10s"
            }
        }
    }

    /// Every start counts.
    fn program(self) -> Program {
        let text = format!(
            "stream events {{ k: int  typ: int  amt: int }}\npattern {} {{\n from events by k\n {}\n skip none\n emit k\n}}\n",
            self.name(),
            self.text()
        );
        let compiled = compile(&[Source { path: "workload.motif".to_owned(), text }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        compiled.program
    }

    /// Runs the workload to its end and gives the number of matches. `reached` is told how many events were applied, after every batch.
    pub fn run(self, events: u64, keys: u64, mut reached: impl FnMut(u64)) -> u64 {
        let mut engine = Engine::new(&self.program(), EngineOptions::default());
        let mut effects = Vec::new();
        let mut matches = 0;
        for first in (0..events).step_by(usize::try_from(BATCH_EVENTS).expect("small")) {
            let last = (first + BATCH_EVENTS).min(events);
            engine.apply_batch((first..last).map(|number| arrival(number, keys)), &mut effects);
            matches += count(&mut effects);
            reached(last);
        }
        engine.apply(Input::End, &mut effects);
        matches + count(&mut effects)
    }
}

fn count(effects: &mut Vec<Effect>) -> u64 {
    effects.drain(..).map(|effect| u64::from(matches!(effect, Effect::Matched(_)))).sum()
}

fn arrival(number: u64, keys: u64) -> Input {
    let Fields { k, typ, amt, at_ms } = fields(number, keys);
    let event = Event {
        stream: StreamId(0),
        partition: 0,
        offset: number,
        time: EventTime::from_millis(at_ms).expect("this century"),
        fields: Box::new([Value::Int(k), Value::Int(typ), Value::Int(amt)]),
    };
    Input::Arrive { event, position: number, next_position: number + 1 }
}

pub fn fields(number: u64, keys: u64) -> Fields {
    let mut hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^= hash >> 32;
    let part = |shift: u32, mask: u64, modulus: u64| ((hash >> shift & mask) % modulus).cast_signed();
    let at_ms = FIRST_MS + (number / 10).cast_signed();
    Fields { k: part(8, 0x7fff_ffff, keys), typ: part(40, 0xffff, TYPES), amt: part(3, 0x3ff, 1000), at_ms }
}
