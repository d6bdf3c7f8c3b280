//! The lines of a source that a diagnostic shows, short enough to be read.
//!
//! Labels of one source share an excerpt from the first to the last of their lines. Lines in between that are too long are cut, and
//! those that will be folded anyway are left empty. A label on a line that is too long itself gets an excerpt of its own: the part
//! of that line around it.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Snippet};

use crate::language::diagnostic::{Diagnostic, Label};
use crate::language::render::places::Places;

/// Bytes of a line that is shown whole.
const LINE_BYTES_MAX: usize = 240;
/// Bytes of a longer line that are shown before a label and from it on.
const BEFORE_BYTES: usize = 40;
const AFTER_BYTES: usize = 80;
/// Lines that far from any label's beginning or end are folded.
const NEAR_LINES: usize = 5;
const CUT: &str = "...";

pub(super) struct Excerpt<'a> {
    path: &'a str,
    /// The number of its first line, from 1.
    line: usize,
    text: String,
    marks: Vec<Mark<'a>>,
    /// Of an excerpt from a line: the column that its label has in the text of the excerpt, and its own.
    columns: Option<(usize, usize)>,
}

struct Mark<'a> {
    bytes: Range<usize>,
    label: &'a str,
    kind: AnnotationKind,
}

/// A label, the bytes it marks, line ends at their end left off, and the lines these reach over, counted from 0.
struct Marked<'a, 'p> {
    label: &'a Label,
    kind: AnnotationKind,
    places: &'p Places<'a>,
    bytes: Range<usize>,
    lines: Range<usize>,
}

impl<'a, 'p> Marked<'a, 'p> {
    fn of(label: &'a Label, kind: AnnotationKind, places: &'p [Places<'a>]) -> Self {
        let places = &places[label.span.source.0 as usize];
        let (start, end) = places.bytes(label.span);
        let end = start + places.source.text[start..end].trim_end_matches(['\r', '\n']).len();
        Self { label, kind, places, bytes: start..end, lines: places.line(start)..places.line(end) + 1 }
    }
}

/// The excerpt with the primary label first.
pub(super) fn excerpts<'a>(diagnostic: &'a Diagnostic, places: &[Places<'a>]) -> Vec<Excerpt<'a>> {
    let secondary = diagnostic.secondary.iter().map(|label| (label, AnnotationKind::Context));
    let labels = std::iter::once((&diagnostic.primary, AnnotationKind::Primary)).chain(secondary);
    let mut excerpts: Vec<(Option<u16>, Vec<Marked<'a, '_>>)> = Vec::new();
    for (label, kind) in labels {
        let marked = Marked::of(label, kind, places);
        let is_long = marked.lines.clone().any(|line| marked.places.line_text(line).len() > LINE_BYTES_MAX);
        let source = (!is_long).then_some(label.span.source.0);
        match excerpts.iter_mut().find(|(shared, _)| source.is_some() && *shared == source) {
            Some((_, together)) => together.push(marked),
            None => excerpts.push((source, vec![marked])),
        }
    }
    excerpts.into_iter().map(|(shared, marked)| if shared.is_some() { lines(&marked) } else { part_of_line(&marked[0]) }).collect()
}

/// From the first to the last line of these labels, which are of one source.
fn lines<'a>(labels: &[Marked<'a, '_>]) -> Excerpt<'a> {
    let places = labels[0].places;
    let first = labels.iter().map(|marked| marked.lines.start).min().expect("an excerpt has a label");
    let last = labels.iter().map(|marked| marked.lines.end).max().expect("an excerpt has a label");
    let is_near = |line: usize| labels.iter().any(|marked| line.abs_diff(marked.lines.start) < NEAR_LINES || line.abs_diff(marked.lines.end) < NEAR_LINES);
    let mut text = String::new();
    let mut starts = Vec::with_capacity(last - first);
    for line in first..last {
        starts.push(text.len());
        if is_near(line) {
            let whole = places.line_text(line);
            let shown = &whole[..whole.floor_char_boundary(LINE_BYTES_MAX)];
            text.push_str(shown);
            text.push_str(if shown.len() < whole.len() { CUT } else { "" });
        }
        text.push('\n');
    }
    text.pop();
    // A line's end belongs to the line: what begins there is marked behind its last character.
    let shown = |byte: usize| {
        let line = places.line(byte);
        starts[line - first] + (byte - places.line_start(line)).min(places.line_text(line).len())
    };
    let marks = labels.iter().map(|marked| Mark { bytes: shown(marked.bytes.start)..shown(marked.bytes.end), label: &marked.label.text, kind: marked.kind });
    Excerpt { path: &places.source.path, line: first + 1, marks: marks.collect(), text, columns: None }
}

/// What stands around a label's beginning on its line.
fn part_of_line<'a>(marked: &Marked<'a, '_>) -> Excerpt<'a> {
    let places = marked.places;
    let line = marked.lines.start;
    let whole = places.line_text(line);
    let start = (marked.bytes.start - places.line_start(line)).min(whole.len());
    let end = (marked.bytes.end - places.line_start(line)).min(whole.len());
    let from = whole.floor_char_boundary(start.saturating_sub(BEFORE_BYTES));
    let to = whole.floor_char_boundary(start + AFTER_BYTES);
    let before = if from > 0 { CUT } else { "" };
    let after = if to < whole.len() { CUT } else { "" };
    let marked_from = before.len() + start - from;
    let marked_to = before.len() + end.min(to) - from;
    let text = format!("{before}{}{after}", &whole[from..to]);
    let columns = (text[..marked_from].chars().count() + 1, whole[..start].chars().count() + 1);
    let mark = Mark { bytes: marked_from..marked_to, label: &marked.label.text, kind: marked.kind };
    Excerpt { path: &places.source.path, line: line + 1, text, marks: vec![mark], columns: Some(columns) }
}

impl<'a> Excerpt<'a> {
    pub(super) fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        let annotations = self.marks.iter().map(|mark| {
            let annotation = mark.kind.span(mark.bytes.clone());
            if mark.label.is_empty() { annotation } else { annotation.label(mark.label) }
        });
        Snippet::source(self.text.as_str()).line_start(self.line).path(self.path).annotations(annotations)
    }
}

/// The rendered text with the columns that labels have on their own lines: the library counts in what it was given.
pub(super) fn with_true_columns(mut rendered: String, excerpts: &[Excerpt<'_>]) -> String {
    let mut from = 0;
    for excerpt in excerpts {
        let Some((shown, own)) = excerpt.columns else { continue };
        let line = format!("{}:{}:", excerpt.path, excerpt.line);
        if let Some(found) = rendered[from..].find(&format!("{line}{shown}")) {
            from += found + line.len();
            rendered.replace_range(from..from + shown.to_string().len(), &own.to_string());
        }
    }
    rendered
}
