//! Runs a pattern's `test` block on an [`Engine`], and says what differs.
//!
//! | file | holds |
//! |---|---|
//! | `compare` | which result answers which `expect` line |
//! | `report` | what a test found, and how it is shown |
//!
//! Each stream is one partition, 0. A stream without arrivals is not open, so it holds nothing back; the end closes all windows. Limits are the
//! defaults; what the configuration says does not matter.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod compare;
mod report;

use std::sync::Arc;

use crate::engine::{Effect, Engine, EngineOptions, Input};
use crate::language::Test;
use crate::pattern::Program;

pub use report::{Failure, TestReport};

/// Runs the test on its pattern alone.
pub fn run(program: &Program, test: &Test) -> TestReport {
    let pattern = &program.patterns[test.pattern];
    let alone = Program { schema: program.schema.clone(), patterns: vec![Arc::clone(pattern)] };
    let mut engine = Engine::new(&alone, EngineOptions::default());
    let mut effects = Vec::new();
    // Opened before anything arrives: or else the first event of a stream could be late by another stream's.
    let open = test.arrivals.iter().map(|event| Input::Open { stream: event.stream, partition: event.partition });
    let arrive = test.arrivals.iter().map(|event| {
        let (position, event) = (event.offset, event.clone());
        Input::Arrive { event, position, next_position: position + 1 }
    });
    engine.apply_batch(open.collect::<Vec<_>>(), &mut effects);
    for input in arrive.chain([Input::End]) {
        engine.apply(input, &mut effects);
    }
    let results: Vec<compare::Outcome> = effects.into_iter().filter_map(outcome).collect();
    let failures = compare::failures(test, &results, &program.schema);
    TestReport { name: test.name.clone(), pattern: pattern.name.clone(), span: test.span, passed: failures.is_empty(), failures }
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
