//! A diagnostic as a JSON object, for editors and pipelines.

use serde::Serialize;

use crate::language::diagnostic::{Diagnostic, Label, Severity};
use crate::language::render::places::Places;

#[derive(Serialize)]
struct Line<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten)]
    primary: Marked<'a>,
    help: Option<&'a str>,
    secondary: Vec<Marked<'a>>,
}

/// A label and its place; the end is the place after the last character.
#[derive(Serialize)]
struct Marked<'a> {
    path: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    label: &'a str,
}

pub(super) fn line(diagnostic: &Diagnostic, places: &[Places<'_>]) -> String {
    let line = Line {
        code: diagnostic.code.text(),
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: &diagnostic.message,
        primary: marked(&diagnostic.primary, places),
        help: diagnostic.help.as_deref(),
        secondary: diagnostic.secondary.iter().map(|label| marked(label, places)).collect(),
    };
    serde_json::to_string(&line).expect("texts and numbers can be written as JSON")
}

fn marked<'a>(label: &'a Label, places: &'a [Places<'_>]) -> Marked<'a> {
    let places = &places[label.span.source.0 as usize];
    let (start, end) = places.bytes(label.span);
    let (start, end) = (places.place(start), places.place(end));
    Marked { path: &places.source.path, line: start.line, column: start.column, end_line: end.line, end_column: end.column, label: &label.text }
}
