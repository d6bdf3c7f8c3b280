//! Runs a pattern's `test` block on an [`Engine`], and says what differs.
//!
//! | file | holds |
//! |---|---|
//! | `compare` | which result answers which `expect` line |
//! | `report` | what a test found, and how it is shown |
//! | `coverage`, `points` | what no test has reached; what there is to be reached |
//!
//! Each stream is one partition. A stream without arrivals is not open, so it holds nothing back; the end closes all windows. Of a stream whose watermark a
//! line says, only what lines say counts. Limits are the defaults; what the configuration says does not matter.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod compare;
mod coverage;
mod points;
mod report;

use std::sync::Arc;

use crate::automaton::Watch;
use crate::engine::{Effect, Engine, EngineOptions, Input};
use crate::event::{Event, EventTime};
use crate::language::{Arrival, Test};
use crate::pattern::Program;

use coverage::Sheet;

pub use coverage::{Coverage, CoverageReport, Missed};
pub use report::{Failure, TestReport};

/// The one of each stream.
const PARTITION: u32 = 0;

/// Runs the test on its pattern alone.
pub fn run(program: &Program, test: &Test) -> TestReport {
    run_watched(program, test, None)
}

/// The same, and takes down what it reaches of its pattern.
pub fn run_covered(program: &Program, test: &Test, coverage: &Coverage) -> TestReport {
    run_watched(program, test, Some(coverage.sheet(test)))
}

fn run_watched(program: &Program, test: &Test, sheet: Option<&Arc<Sheet>>) -> TestReport {
    let pattern = &program.patterns[test.pattern];
    let alone = Program { schema: program.schema.clone(), patterns: vec![Arc::clone(pattern)] };
    let mut engine = Engine::new(&alone, EngineOptions::default());
    engine.keep_whole_events();
    if let Some(sheet) = sheet {
        let watch: Arc<dyn Watch> = sheet.clone();
        engine.watch(&watch);
    }
    let mut effects = Vec::new();
    // Before anything arrives: or else the first event of a stream could be late by another stream's, and by a watermark that lines say themselves.
    engine.apply_batch(test.arrivals.iter().map(opening), &mut effects);
    for input in test.arrivals.iter().map(input).chain([Input::End]) {
        engine.apply(input, &mut effects);
    }
    let results: Vec<compare::Outcome> = effects.into_iter().filter_map(outcome).collect();
    if let Some(sheet) = sheet {
        sheet.note(test, &results, engine.counters().suppressed);
    }
    let failures = compare::failures(test, &results, &program.schema);
    TestReport { name: test.name.clone(), pattern: pattern.name.clone(), span: test.span, passed: failures.is_empty(), failures }
}

fn opening(arrival: &Arrival) -> Input {
    match *arrival {
        Arrival::Event(Event { stream, partition, .. }) => Input::Open { stream, partition },
        Arrival::Watermark { stream, .. } => Input::Watermark { stream, partition: PARTITION, watermark: EventTime::BEGINNING },
    }
}

fn input(arrival: &Arrival) -> Input {
    match arrival {
        Arrival::Event(event) => Input::Arrive { position: event.offset, next_position: event.offset + 1, event: event.clone() },
        Arrival::Watermark { stream, watermark } => Input::Watermark { stream: *stream, partition: PARTITION, watermark: *watermark },
    }
}

fn outcome(effect: Effect) -> Option<compare::Outcome> {
    match effect {
        Effect::Matched(found) => Some(compare::Outcome::Decided(found)),
        Effect::Late { event, .. } => Some(compare::Outcome::Late(event)),
        Effect::TooFarAhead { .. } | Effect::HeldFull { .. } => None,
    }
}

#[cfg(test)]
mod tests;
