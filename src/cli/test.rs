//! `motif test`: runs the tests that stand beside the patterns, each folder as one program, and shows what differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::args::{Format, TestArguments};
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{counted, print, say_diagnostics};
use crate::language::{Source, Span, Test, compile};
use crate::pattern::Program;
use crate::service::program;
use crate::testing::{self, Failure, TestReport};

pub(super) fn test(arguments: &TestArguments) -> anyhow::Result<Outcome> {
    let mut counts = Counts::default();
    for sources in programs(&arguments.patterns)? {
        let compiled = compile(&sources);
        if compiled.has_errors() {
            say_diagnostics(&compiled.diagnostics, &sources);
            counts.broken += 1;
            continue;
        }
        for test in &compiled.tests {
            counts.seen += 1;
            if is_wanted(test, &compiled.program, arguments.filter.as_deref()) {
                let report = testing::run(&compiled.program, test);
                print(&shown(&report, &sources, arguments.format))?;
                if report.passed { counts.passed += 1 } else { counts.failed += 1 }
            }
        }
    }
    counts.outcome(arguments.filter.as_deref())
}

#[derive(Default)]
struct Counts {
    /// Tests that there are, wanted or not.
    seen: u64,
    passed: u64,
    failed: u64,
    /// Programs with errors, of which no test was run.
    broken: u64,
}

impl Counts {
    fn outcome(&self, filter: Option<&str>) -> anyhow::Result<Outcome> {
        let Self { seen, passed, failed, broken } = *self;
        match filter {
            Some(filter) if seen > 0 && passed + failed == 0 => {
                return Err(UserFault(format!("none of {} has `{filter}` in its name or its pattern's", counted(seen, "test", "tests"))).into());
            }
            _ if seen == 0 && broken == 0 => say("there are no tests in these files"),
            _ => {
                let broken = if broken > 0 { format!(", {} not run for errors", counted(broken, "folder", "folders")) } else { String::new() };
                say(&format!("{passed} passed, {failed} failed{broken}"));
            }
        }
        Ok(if failed + broken > 0 { Outcome::Wrong } else { Outcome::Fine })
    }
}

/// The files by folder, in order of the folders' paths.
fn programs(paths: &[PathBuf]) -> anyhow::Result<Vec<Vec<Source>>> {
    let mut folders: BTreeMap<PathBuf, Vec<Source>> = BTreeMap::new();
    for source in program::read_sources(paths)? {
        let folder = Path::new(&source.path).parent().map(Path::to_owned).unwrap_or_default();
        folders.entry(folder).or_default().push(source);
    }
    Ok(folders.into_values().collect())
}

fn is_wanted(test: &Test, program: &Program, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| test.name.contains(filter) || program.patterns[test.pattern].name.contains(filter))
}

fn shown(report: &TestReport, sources: &[Source], format: Format) -> String {
    let (path, line) = place(report.span, sources);
    match format {
        Format::Text if report.passed => format!("{report}\n"),
        Format::Text => format!("{report}\n      {path}:{line}\n"),
        Format::Json => {
            let result = if report.passed { "ok" } else { "failed" };
            let failures = report.failures.iter().map(|failure| JsonFailure::of(failure, sources)).collect();
            let shown = JsonReport { pattern: &report.pattern, test: &report.name, path, line, result, failures };
            serde_json::to_string(&shown).expect("text and numbers are JSON") + "\n"
        }
    }
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
    fn of(failure: &'a Failure, sources: &[Source]) -> Self {
        match failure {
            Failure::Missing { span, expected } => Self::Missing { line: place(*span, sources).1, expected },
            Failure::Unexpected(found) => Self::Unexpected { found },
            Failure::AlsoFound(found) => Self::AlsoFound { found },
        }
    }
}

/// The file, and the line from 1.
fn place(span: Span, sources: &[Source]) -> (&str, usize) {
    let source = &sources[usize::from(span.source.0)];
    let before = source.text.as_bytes().iter().take(span.start as usize);
    (&source.path, 1 + before.filter(|byte| **byte == b'\n').count())
}
