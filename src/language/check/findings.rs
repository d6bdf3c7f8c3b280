//! What the checker finds, gathered over all texts, and how a finding is put together.
//!
//! What is missing from the program altogether (a stream that no text declares) is said once, with the other places that name it beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::codes::Code;
use crate::language::diagnostic::{Diagnostic, Label, Severity};
use crate::language::nearest;
use crate::language::span::{SourceId, Span};

/// Errors that the checker reports of one text; a last one says that there are more.
const ERRORS_MAX: usize = 100;

/// Other places that one finding shows.
const PLACES_MAX: usize = 4;

impl Diagnostic {
    /// A finding; `label` says what is wrong right at the place.
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        let primary = Label { span, text: label.into() };
        Self { code, severity: code.severity(), message: message.into(), primary, secondary: Vec::new(), help: None }
    }

    /// What to write instead.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// "did you mean `amount`?", if one of the candidates is near; else what `otherwise` says.
    pub(super) fn help_nearest<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: impl FnOnce() -> Option<String>) -> Self {
        let help = nearest(name, candidates).map(|near| format!("did you mean `{near}`?")).or_else(otherwise);
        Self { help, ..self }
    }

    /// Another place that matters.
    pub(super) fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }
}

#[derive(Default)]
pub(super) struct Findings {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// By name: where a stream or define of that name is meant, and there is none.
    missing: BTreeMap<String, Vec<Span>>,
}

impl Findings {
    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.diagnostics.push(diagnostic);
    }

    /// A stream or define is named that there is not.
    pub(super) fn missing_stream(&mut self, name: &str, span: Span) {
        self.errors += 1;
        self.missing.entry(name.to_owned()).or_default().push(span);
    }

    /// To tell whether something was found wrong since.
    pub(super) fn error_count(&self) -> usize {
        self.errors
    }

    /// By file and place; `declared` are the names that could have been meant where a stream is missing.
    pub(super) fn into_diagnostics(mut self, declared: &BTreeSet<&str>) -> Vec<Diagnostic> {
        for (name, mut spans) in std::mem::take(&mut self.missing) {
            spans.sort_by_key(|span| place(*span));
            spans.dedup_by_key(|span| place(*span));
            let message = format!("unknown stream `{name}`");
            let mut diagnostic = Diagnostic::new(Code::UnknownStream, spans[0], message, "no stream or define of this name");
            diagnostic = diagnostic.help_nearest(&name, declared.iter().copied(), || Some(declared_streams(declared)));
            for span in spans.iter().skip(1).take(PLACES_MAX) {
                diagnostic = diagnostic.also(*span, "named here too");
            }
            self.diagnostics.push(diagnostic);
        }
        self.diagnostics.sort_by_key(|diagnostic| (place(diagnostic.primary.span), diagnostic.code));
        // A line of a table is looked at for every case.
        let said = |diagnostic: &Diagnostic| (place(diagnostic.primary.span), diagnostic.code);
        self.diagnostics.dedup_by(|next, before| said(next) == said(before) && next.message == before.message);
        bounded(self.diagnostics)
    }
}

fn declared_streams(declared: &BTreeSet<&str>) -> String {
    const SHOWN_MAX: usize = 8;
    if declared.is_empty() {
        return "declare it: `stream NAME { field: type … }`".to_owned();
    }
    let names: Vec<String> = declared.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    let more = if declared.len() > SHOWN_MAX { ", …" } else { "" };
    format!("declared are {}{more}", names.join(", "))
}

fn place(span: Span) -> (SourceId, u32, u32) {
    (span.source, span.start, span.end)
}

/// The first errors of each text, and all warnings among them.
fn bounded(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut shown: Vec<Diagnostic> = Vec::new();
    let mut counts: BTreeMap<SourceId, (usize, Span)> = BTreeMap::new();
    for diagnostic in diagnostics {
        let span = diagnostic.primary.span;
        let (count, last) = counts.entry(span.source).or_insert((0, span));
        *count += usize::from(diagnostic.severity == Severity::Error);
        if *count <= ERRORS_MAX {
            *last = span;
            shown.push(diagnostic);
        }
    }
    for (count, last) in counts.into_values().filter(|(count, _)| *count > ERRORS_MAX) {
        let hidden = count - ERRORS_MAX;
        let message = format!("{hidden} more errors are not shown");
        let diagnostic = Diagnostic::new(Code::TooManyErrors, last, message, format!("the last of the first {ERRORS_MAX}")).help("mend these first");
        let behind = shown.partition_point(|other| place(other.primary.span) <= place(last));
        shown.insert(behind, diagnostic);
    }
    shown
}
