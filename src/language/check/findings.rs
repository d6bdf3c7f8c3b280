//! What the checker finds, gathered over all texts, and how a finding is put together.
//!
//! What is missing from the program altogether (a stream that no text declares) is said once, with the other places that name it beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::codes::Code;
use crate::language::diagnostic::{Diagnostic, Label, Severity};
use crate::language::nearest;
use crate::language::span::{SourceId, Span};
use crate::language::spelling::{code, listed, named};

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

    /// "did you mean `amount`?", if one of the candidates is near; else what `otherwise` says. Not looked for if `findings` are enough without this one:
    /// with many misspelt names among many, each would be compared with all.
    pub(super) fn help_nearest<'a>(
        self,
        findings: &Findings,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
        otherwise: impl FnOnce() -> String,
    ) -> Self {
        self.help_nearest_or_word(findings, name, candidates, &[], otherwise)
    }

    /// The same where words of the language may have been meant as well.
    pub(super) fn help_nearest_or_word<'a>(
        self,
        findings: &Findings,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
        words: &[&'static str],
        otherwise: impl FnOnce() -> String,
    ) -> Self {
        if findings.hides(self.primary.span) {
            return self;
        }
        let near = nearest(name, candidates.into_iter().chain(words.iter().copied()));
        let meant = near.map(|near| if words.contains(&near) { code(near) } else { named(near) });
        Self { help: Some(meant.map_or_else(otherwise, |meant| format!("did you mean {meant}?"))), ..self }
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
    /// The first places of errors in each text, one more than errors are shown.
    first_places: BTreeMap<SourceId, BTreeSet<(u32, u32)>>,
    /// By name: where a stream or define of that name is meant, and there is none.
    missing: BTreeMap<String, Vec<Span>>,
}

impl Findings {
    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
            let Span { source, start, end } = diagnostic.primary.span;
            let places = self.first_places.entry(source).or_default();
            places.insert((start, end));
            if places.len() > ERRORS_MAX + 1 {
                places.pop_last();
            }
        }
        self.diagnostics.push(diagnostic);
    }

    /// A stream or define is named that there is not.
    pub(super) fn missing_stream(&mut self, name: &str, span: Span) {
        self.errors += 1;
        self.missing.entry(name.to_owned()).or_default().push(span);
    }

    /// Whether nothing that is found at this place will be shown: too many errors stand before it. Places are counted, as what is found twice at one is
    /// shown once.
    fn hides(&self, span: Span) -> bool {
        let places = self.first_places.get(&span.source);
        places.is_some_and(|places| places.len() > ERRORS_MAX && places.last().is_some_and(|last| *last < (span.start, span.end)))
    }

    /// To tell whether something was found wrong since.
    pub(super) fn error_count(&self) -> usize {
        self.errors
    }

    /// By file and place; `declared` are the names that could have been meant where a stream is missing.
    pub(super) fn into_diagnostics(mut self, declared: &BTreeSet<&str>) -> Vec<Diagnostic> {
        let mut missing: Vec<(String, Vec<Span>)> = std::mem::take(&mut self.missing).into_iter().collect();
        for (_, spans) in &mut missing {
            spans.sort_by_key(|span| place(*span));
            spans.dedup_by_key(|span| place(*span));
        }
        // By place, so that the first ones hide the others.
        missing.sort_by_key(|(_, spans)| place(spans[0]));
        for (name, spans) in missing {
            let message = format!("unknown stream `{name}`");
            let mut diagnostic = Diagnostic::new(Code::UnknownStream, spans[0], message, "no stream or define of this name");
            diagnostic = diagnostic.help_nearest(&self, &name, declared.iter().copied(), || declared_streams(declared));
            for span in spans.iter().skip(1).take(PLACES_MAX) {
                diagnostic = diagnostic.also(*span, "named here too");
            }
            self.add(diagnostic);
        }
        self.diagnostics.sort_by_key(|diagnostic| (place(diagnostic.primary.span), diagnostic.code));
        // A line of a table is looked at for every case.
        let said = |diagnostic: &Diagnostic| (place(diagnostic.primary.span), diagnostic.code);
        self.diagnostics.dedup_by(|next, before| said(next) == said(before) && next.message == before.message);
        bounded(self.diagnostics)
    }
}

fn declared_streams(declared: &BTreeSet<&str>) -> String {
    if declared.is_empty() {
        return "declare it: `stream NAME { field: type … }`".to_owned();
    }
    format!("declared are {}", listed(declared.iter().copied()))
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

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u32 = 1_000;

    /// At each of these places a name that is misspelt, in two texts; and how many names it was compared with.
    fn misspelt(places: impl IntoIterator<Item = u32>) -> (Vec<Diagnostic>, usize) {
        let (mut findings, mut compared) = (Findings::default(), 0);
        for start in places {
            for source in [SourceId(0), SourceId(1)] {
                let diagnostic = Diagnostic::new(Code::UnknownName, Span { source, start, end: start + 1 }, "unknown name `amout`", "");
                let diagnostic = diagnostic.help_nearest(&findings, "amout", ["amount"].into_iter().inspect(|_| compared += 1), String::new);
                findings.add(diagnostic);
            }
        }
        (findings.into_diagnostics(&BTreeSet::new()), compared)
    }

    #[test]
    fn all_that_is_shown_has_its_help() {
        let often = (0..MANY).flat_map(|_| 0..5).chain(0..MANY);
        let mixed = (0..MANY).map(|number| number * 7 % MANY);
        let orders: [Vec<u32>; 5] = [(0..MANY).collect(), (0..MANY).rev().collect(), often.collect(), mixed.collect(), (0..ERRORS_MAX as u32).collect()];
        for (order, places) in orders.into_iter().enumerate() {
            let (diagnostics, _) = misspelt(places);
            let (names, others): (Vec<_>, Vec<_>) = diagnostics.iter().partition(|diagnostic| diagnostic.code == Code::UnknownName);
            assert_eq!(names.len(), 2 * ERRORS_MAX, "order {order}");
            assert!(names.iter().all(|diagnostic| diagnostic.help.as_deref() == Some("did you mean `amount`?")), "order {order}");
            assert!(others.iter().all(|diagnostic| diagnostic.code == Code::TooManyErrors), "order {order}");
        }
    }

    #[test]
    fn no_help_is_looked_for_that_is_not_shown() {
        let (_, compared) = misspelt(0..MANY);
        assert!(compared <= 2 * (ERRORS_MAX + 1), "{compared}");
    }

    #[test]
    fn a_warning_behind_the_last_shown_error_has_its_help() {
        let mut findings = Findings::default();
        for start in 0..ERRORS_MAX as u32 {
            findings.add(Diagnostic::new(Code::UnknownName, Span { source: SourceId(0), start, end: start }, "", ""));
        }
        let place = Span { source: SourceId(0), start: ERRORS_MAX as u32, end: ERRORS_MAX as u32 };
        let warning = Diagnostic::new(Code::NotRead, place, "", "").help_nearest(&findings, "amout", ["amount"], String::new);
        findings.add(warning);
        let diagnostics = findings.into_diagnostics(&BTreeSet::new());
        let [.., last] = &diagnostics[..] else { panic!("nothing is shown") };
        assert_eq!((last.severity, last.help.is_some()), (Severity::Warning, true));
    }

    #[test]
    fn missing_streams_that_are_shown_have_their_help() {
        let mut findings = Findings::default();
        // By name, the last one comes first.
        for number in 0..MANY {
            let start = MANY - number;
            findings.missing_stream(&format!("paymants_{number:04}"), Span { source: SourceId(0), start, end: start + 1 });
        }
        let diagnostics = findings.into_diagnostics(&BTreeSet::from(["payments_0000"]));
        assert_eq!(diagnostics.len(), ERRORS_MAX + 1);
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.help.is_some()));
    }
}
