//! Results as JUnit's XML, which build servers read: a suite for each folder, a test case for each test.
//!
//! Times are not told: they would differ from run to run. A folder with errors is a suite with one case that is in error.

use std::fmt::Write;

use crate::testing::TestReport;

#[derive(Default)]
pub(super) struct Document {
    suites: Vec<Suite>,
}

#[derive(Default)]
struct Suite {
    name: String,
    tests: usize,
    failures: usize,
    errors: usize,
    /// Elements.
    cases: String,
    /// What there is to say beside the cases.
    notes: String,
}

impl Document {
    pub(super) fn begin_suite(&mut self, name: &str) {
        self.suites.push(Suite { name: name.to_owned(), ..Suite::default() });
    }

    pub(super) fn test(&mut self, report: &TestReport, path: &str, line: usize) {
        let suite = self.suite();
        suite.tests += 1;
        suite.open_case(&report.pattern, &report.name, path, Some(line));
        if report.passed {
            suite.cases += "/>\n";
            return;
        }
        suite.failures += 1;
        let first = report.failures.first().map(ToString::to_string).unwrap_or_default();
        let message = first.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let differences: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        suite.close_case("failure", &message, &format!("{}\n      {path}:{line}", differences.join("\n")));
    }

    /// What keeps the suite's tests from being run.
    pub(super) fn error(&mut self, diagnostics: &str) {
        let suite = self.suite();
        suite.tests += 1;
        suite.errors += 1;
        let name = suite.name.clone();
        suite.open_case(&name, "the patterns compile", &name, None);
        suite.close_case("error", diagnostics.lines().next().unwrap_or_default(), diagnostics);
    }

    pub(super) fn note(&mut self, text: &str) {
        self.suite().notes += text;
    }

    fn suite(&mut self) -> &mut Suite {
        self.suites.last_mut().expect("a suite is begun for each folder")
    }

    pub(super) fn finish(self) -> String {
        let sum = |count: fn(&Suite) -> usize| self.suites.iter().map(count).sum::<usize>();
        let (tests, failures, errors) = (sum(|suite| suite.tests), sum(|suite| suite.failures), sum(|suite| suite.errors));
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        push(&mut out, format_args!("<testsuites name=\"motif\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n"));
        for Suite { name, tests, failures, errors, cases, notes } in &self.suites {
            let name = attribute(name);
            push(&mut out, format_args!("  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">\n{cases}"));
            if !notes.is_empty() {
                push(&mut out, format_args!("    <system-out>{}</system-out>\n", escaped(notes)));
            }
            out += "  </testsuite>\n";
        }
        out += "</testsuites>\n";
        out
    }
}

impl Suite {
    fn open_case(&mut self, class: &str, name: &str, path: &str, line: Option<usize>) {
        let [class, name, path] = [class, name, path].map(attribute);
        push(&mut self.cases, format_args!("    <testcase classname=\"{class}\" name=\"{name}\" file=\"{path}\""));
        if let Some(line) = line {
            push(&mut self.cases, format_args!(" line=\"{line}\""));
        }
    }

    fn close_case(&mut self, element: &str, message: &str, text: &str) {
        let (message, text) = (attribute(message), escaped(text));
        push(&mut self.cases, format_args!(">\n      <{element} message=\"{message}\">{text}</{element}>\n    </testcase>\n"));
    }
}

/// Line ends and tabs would be read as blanks.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// For texts; what XML cannot say at all is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\r' => out += "&#13;",
            '\n' | '\t' => out.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            character => out.push(character),
        }
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("text takes all");
}
