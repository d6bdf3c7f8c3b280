//! Results as JSON, one object a line: a test has `result`, a pattern's coverage has `missed`. What is wrong with patterns has `code`, as in `motif check`.

use serde::Serialize;

use crate::cli::test::place;
use crate::language::Places;
use crate::testing::{CoverageReport, Failure, TestReport};

pub(super) fn report(report: &TestReport, places: &[Places<'_>]) -> String {
    let (path, line) = place(report.span, places);
    let result = if report.passed { "ok" } else { "failed" };
    let failures = report.failures.iter().map(|failure| JsonFailure::of(failure, places)).collect();
    written(&JsonReport { pattern: &report.pattern, test: &report.name, path, line, result, failures })
}

pub(super) fn coverage(report: &CoverageReport, places: &[Places<'_>]) -> String {
    let (path, line) = place(report.span, places);
    let missed: Vec<JsonMissed<'_>> = report.missed.iter().map(|missed| JsonMissed { line: place(missed.span, places).1, what: &missed.what }).collect();
    let reached = report.points - missed.len();
    written(&JsonCoverage { pattern: &report.pattern, path, line, tests: report.tests, points: report.points, reached, missed })
}

fn written(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("text and numbers are JSON") + "\n"
}

#[derive(Serialize)]
struct JsonReport<'a> {
    pattern: &'a str,
    test: &'a str,
    path: &'a str,
    line: usize,
    result: &'static str,
    failures: Vec<JsonFailure<'a>>,
}

/// `missing`: a line of the test that nothing answers; `unexpected`: came out against `expect none`; `also_found`: came out and may be what was meant.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum JsonFailure<'a> {
    Missing { line: usize, expected: &'a str },
    Unexpected { found: &'a str },
    AlsoFound { found: &'a str },
}

impl<'a> JsonFailure<'a> {
    fn of(failure: &'a Failure, places: &[Places<'_>]) -> Self {
        match failure {
            Failure::Missing { span, expected } => Self::Missing { line: place(*span, places).1, expected },
            Failure::Unexpected(found) => Self::Unexpected { found },
            Failure::AlsoFound(found) => Self::AlsoFound { found },
        }
    }
}

#[derive(Serialize)]
struct JsonCoverage<'a> {
    pattern: &'a str,
    path: &'a str,
    line: usize,
    tests: usize,
    points: usize,
    reached: usize,
    missed: Vec<JsonMissed<'a>>,
}

#[derive(Serialize)]
struct JsonMissed<'a> {
    line: usize,
    what: &'a str,
}
