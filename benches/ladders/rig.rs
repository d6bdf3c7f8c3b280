//! An engine with numbered events.

use motif::engine::{Engine, EngineOptions, Match};
use motif::language::{Source, compile};

use super::super::measure::{cpu_ns, timed};
use super::super::workloads::typed::{self, Fields};

const BATCH_EVENTS: u64 = 1_000;

pub struct Rig {
    pub engine: Engine,
    found: Vec<Match>,
    next: u64,
    pub matches: u64,
    keeps_changes: bool,
}

/// A pattern file with these patterns over `events`, by `k`, every start counted. Each is a `match` with its `within`.
pub fn patterns(matches: impl IntoIterator<Item = String>) -> String {
    let mut text = "stream events { k: int  typ: int  amt: int }\n".to_owned();
    for (number, steps) in matches.into_iter().enumerate() {
        text += &format!("pattern rule_{number} {{\n from events by k\n {steps}\n skip none\n emit k\n}}\n");
    }
    text
}

impl Rig {
    pub fn new(text: &str, options: EngineOptions) -> Self {
        let compiled = compile(&[Source { path: "ladder.motif".to_owned(), text: text.to_owned() }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        Self { engine: Engine::new(&compiled.program, options), found: Vec::new(), next: 0, matches: 0, keeps_changes: false }
    }

    /// For who takes them; else they are not noted, as where nothing is stored.
    pub fn keeping_changes(self) -> Self {
        Self { keeps_changes: true, ..self }
    }

    pub fn of(steps: &str) -> Self {
        Self::new(&patterns([steps.to_owned()]), EngineOptions::default())
    }

    /// Applies so many more events; `fields` is given their numbers, which go on from call to call.
    pub fn feed(&mut self, events: u64, fields: impl Fn(u64) -> Fields) {
        self.feed_watched(events, fields, || {});
    }

    /// The same, and gives CPU nanoseconds per event.
    pub fn feed_timed(&mut self, events: u64, fields: impl Fn(u64) -> Fields) -> f64 {
        timed(|| self.feed(events, fields)).0 / events as f64
    }

    /// The same, and gives the CPU milliseconds of each batch.
    pub fn feed_by_batch(&mut self, events: u64, fields: impl Fn(u64) -> Fields) -> Vec<f64> {
        let mut batches = Vec::new();
        let mut before = cpu_ns();
        self.feed_watched(events, fields, || {
            let now = cpu_ns();
            batches.push((now - before) as f64 / 1e6);
            before = cpu_ns();
        });
        batches
    }

    /// Ends the input, and gives the number of all matches.
    pub fn end(mut self) -> u64 {
        self.matches + typed::end(&mut self.engine)
    }

    fn feed_watched(&mut self, events: u64, fields: impl Fn(u64) -> Fields, mut after_batch: impl FnMut()) {
        if !self.keeps_changes {
            self.engine.note_no_changes();
        }
        let end = self.next + events;
        while self.next < end {
            let last = (self.next + BATCH_EVENTS).min(end);
            typed::apply(&mut self.engine, self.next..last, &fields, &mut self.found);
            self.matches += typed::take_count(&mut self.found);
            self.next = last;
            after_batch();
        }
    }
}
