//! `motif test`: runs the tests that stand beside the patterns, each folder as one program, and shows what differs, and what none of them has reached.

mod json;
mod junit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::args::{TestArguments, TestFormat};
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{counted, print, say_diagnostics};
use crate::language::{Diagnostic, Places, ReadSource, RenderStyle, Source, Span, Test, render};
use crate::pattern::Program;
use crate::service::program::{self, Loaded};
use crate::testing::{self, Coverage, CoverageReport, TestReport};

pub(super) fn test(arguments: &TestArguments) -> anyhow::Result<Outcome> {
    let filter = arguments.filter.as_deref();
    let (mut counts, mut shown) = (Counts::default(), Shown::of(arguments.format));
    for (folder, read) in programs(&arguments.patterns)? {
        let Loaded { sources, compiled } = program::compiled(read);
        if compiled.has_errors() {
            shown.broken(&folder, &compiled.diagnostics, &sources)?;
            counts.broken += 1;
            continue;
        }
        shown.folder(&folder);
        let places: Vec<Places<'_>> = sources.iter().map(Places::of).collect();
        let coverage = arguments.coverage.then(|| Coverage::new(&compiled.program, &sources));
        for test in &compiled.tests {
            counts.seen += 1;
            if is_wanted(test, &compiled.program, filter) {
                let report = match &coverage {
                    Some(coverage) => testing::run_covered(&compiled.program, test, coverage),
                    None => testing::run(&compiled.program, test),
                };
                shown.report(&report, &places)?;
                if report.passed { counts.passed += 1 } else { counts.failed += 1 }
            }
        }
        for report in coverage.iter().flat_map(Coverage::reports).filter(|report| report.tests > 0 || filter.is_none()) {
            shown.coverage(&report, &places)?;
            counts.points += report.points;
            counts.missed += report.missed.len();
        }
    }
    shown.end()?;
    counts.outcome(filter, arguments.coverage)
}

#[derive(Default)]
struct Counts {
    /// Tests that there are, wanted or not.
    seen: u64,
    passed: u64,
    failed: u64,
    /// Programs with errors, of which no test was run.
    broken: u64,
    /// What there was to be reached, where that was looked at.
    points: usize,
    missed: usize,
}

impl Counts {
    fn outcome(&self, filter: Option<&str>, coverage: bool) -> anyhow::Result<Outcome> {
        let Self { seen, passed, failed, broken, points, missed } = *self;
        match filter {
            Some(filter) if seen > 0 && passed + failed == 0 => {
                return Err(UserFault(format!("none of {} has `{filter}` in its name or its pattern's", counted(seen, "test", "tests"))).into());
            }
            _ if seen == 0 && broken == 0 => say("there are no tests in these files"),
            _ => {
                let broken = if broken > 0 { format!(", {} not run for errors", counted(broken, "folder", "folders")) } else { String::new() };
                let reached = if coverage { format!("; {} of {points} points reached", points - missed) } else { String::new() };
                say(&format!("{passed} passed, {failed} failed{broken}{reached}"));
            }
        }
        Ok(if failed + broken > 0 { Outcome::Wrong } else { Outcome::Fine })
    }
}

/// Folders by name, each with its files.
fn programs(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Vec<ReadSource>)>> {
    let mut folders: BTreeMap<PathBuf, Vec<ReadSource>> = BTreeMap::new();
    for read in program::read_sources(paths)? {
        let folder = Path::new(&read.source.path).parent().map(Path::to_owned).unwrap_or_default();
        folders.entry(folder).or_default().push(read);
    }
    let named = |(folder, sources): (PathBuf, Vec<ReadSource>)| {
        let name = folder.display().to_string();
        (if name.is_empty() { ".".to_owned() } else { name }, sources)
    };
    Ok(folders.into_iter().map(named).collect())
}

fn is_wanted(test: &Test, program: &Program, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| test.name.contains(filter) || program.patterns[test.pattern].name.contains(filter))
}

/// How results are put out: one by one, or all together at the end.
enum Shown {
    Text,
    Json,
    Junit(junit::Document),
}

impl Shown {
    fn of(format: TestFormat) -> Self {
        match format {
            TestFormat::Text => Self::Text,
            TestFormat::Json => Self::Json,
            TestFormat::Junit => Self::Junit(junit::Document::default()),
        }
    }

    fn folder(&mut self, name: &str) {
        if let Self::Junit(document) = self {
            document.begin_suite(name);
        }
    }

    /// The folder's tests are not run.
    fn broken(&mut self, folder: &str, diagnostics: &[Diagnostic], sources: &[Source]) -> std::io::Result<()> {
        match self {
            Self::Text => say_diagnostics(diagnostics, sources),
            Self::Json => return print(&render(diagnostics, sources, RenderStyle::Json)),
            Self::Junit(document) => {
                say_diagnostics(diagnostics, sources);
                document.begin_suite(folder);
                document.error(&render(diagnostics, sources, RenderStyle::Plain));
            }
        }
        Ok(())
    }

    fn report(&mut self, report: &TestReport, places: &[Places<'_>]) -> std::io::Result<()> {
        let (path, line) = place(report.span, places);
        match self {
            Self::Text if report.passed => print(&format!("{report}\n")),
            Self::Text => print(&format!("{report}\n      {path}:{line}\n")),
            Self::Json => print(&json::report(report, places)),
            Self::Junit(document) => {
                document.test(report, path, line);
                Ok(())
            }
        }
    }

    fn coverage(&mut self, report: &CoverageReport, places: &[Places<'_>]) -> std::io::Result<()> {
        match self {
            Self::Text => print(&coverage_text(report, places)),
            Self::Json => print(&json::coverage(report, places)),
            Self::Junit(document) => {
                document.note(&coverage_text(report, places));
                Ok(())
            }
        }
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Text | Self::Json => Ok(()),
            Self::Junit(document) => print(&document.finish()),
        }
    }
}

/// A line for the pattern, and one for each place that no test has reached.
fn coverage_text(report: &CoverageReport, places: &[Places<'_>]) -> String {
    let CoverageReport { pattern, tests, points, missed, .. } = report;
    let (path, line) = place(report.span, places);
    if *tests == 0 {
        return format!("{path}:{line} {pattern}: no tests\n");
    }
    let by = counted(*tests as u64, "test", "tests");
    let mut text = match missed.len() {
        0 => format!("{path}:{line} {pattern}: all of {points} points reached by {by}\n"),
        missed => format!("{path}:{line} {pattern}: {} of {points} points reached by {by}\n", points - missed),
    };
    for missed in missed {
        let (path, line) = place(missed.span, places);
        text += &format!("      {path}:{line} {}\n", missed.what);
    }
    text
}

/// The file, and the line from 1.
fn place<'a>(span: Span, places: &[Places<'a>]) -> (&'a str, usize) {
    let places = &places[usize::from(span.source.0)];
    (&places.source.path, 1 + places.line(span.start as usize))
}
