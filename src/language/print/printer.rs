//! What all of printing shares: the pieces so far, the comments to come, names and spellings.

use std::collections::VecDeque;

use crate::event::TimeSpan;
use crate::language::parse::{Comment, is_plain_name, is_reserved};
use crate::language::print::layout::Piece;
use crate::language::span::{Span, Spanned};

/// Columns up to which names are filled up with blanks so that what follows them stands in one column; longer ones are left out of account.
pub(super) const ALIGNED_COLUMNS_MAX: usize = 24;

#[derive(Default)]
pub(super) struct Printer<'a> {
    /// The text that the tree is from; without it, places mean nothing.
    text: Option<&'a str>,
    /// Those not printed yet.
    comments: VecDeque<Comment>,
    pub(super) pieces: Vec<Piece>,
}

/// Whether words of the language need back quotes as names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Free,
    Reserved,
}

/// Where blank lines may stand in a gap between lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    /// Nowhere before the first comment or line: a block has just begun, or ends.
    None,
    /// Where one was written.
    Kept,
    /// One at least.
    Forced,
}

impl<'a> Printer<'a> {
    pub(super) fn of(text: &'a str, comments: Vec<Comment>) -> Self {
        Self { text: Some(text), comments: comments.into(), pieces: Vec::new() }
    }

    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece::Text(text.into()));
    }

    /// Prints what `body` prints as a group.
    pub(super) fn group(&mut self, indent: usize, body: impl FnOnce(&mut Self)) {
        self.pieces.push(Piece::Open { indent });
        body(self);
        self.pieces.push(Piece::Close);
    }

    /// Prints what `body` prints, its new lines indented.
    pub(super) fn nest(&mut self, indent: usize, body: impl FnOnce(&mut Self)) {
        self.pieces.push(Piece::Nest { indent });
        body(self);
        self.pieces.push(Piece::Close);
    }

    /// Brackets around what `body` prints, which begins with a break; `line` is the one before the closing bracket, which stood before `end`.
    pub(super) fn brackets(&mut self, brackets: [&str; 2], line: Piece, end: u32, body: impl FnOnce(&mut Self)) {
        self.group(0, |printer| {
            printer.text(brackets[0]);
            printer.nest(2, body);
            printer.gap(line, end);
            printer.text(brackets[1]);
        });
    }

    /// A break before what stood at `next`, with the comments that stood before that.
    pub(super) fn gap(&mut self, line: Piece, next: u32) {
        let has_comments = self.comments.front().is_some_and(|comment| comment.span.start < next);
        if has_comments {
            self.comments_before(next, Blank::None);
        }
        self.pieces.push(if has_comments { Piece::Hard } else { line });
    }

    /// A new line before what stood at `next`, with comments and a blank line.
    pub(super) fn line_gap(&mut self, next: u32, blank: Blank) {
        let written = self.blank_in_gap(next);
        self.trailing_comment(next);
        let mut blank = blank;
        if blank == Blank::Forced {
            blank = Blank::Kept;
            if !written {
                self.pieces.push(Piece::Hard);
            }
        }
        let after_comment = self.comments_on_lines(next, blank);
        if (blank != Blank::None || after_comment) && self.blank_before(next) {
            self.pieces.push(Piece::Hard);
        }
        self.pieces.push(Piece::Hard);
    }

    /// Whether comments stood before `next` that are not printed yet.
    pub(super) fn comments_wait(&self, next: u32) -> bool {
        self.comments.front().is_some_and(|comment| comment.span.start < next)
    }

    /// Prints the comments before `next`, each on its own line but the first if it stood at the end of one.
    pub(super) fn comments_before(&mut self, next: u32, blank: Blank) {
        self.trailing_comment(next);
        self.comments_on_lines(next, blank);
    }

    /// Prints the comments before `next`, each on its own line. Whether there are any.
    fn comments_on_lines(&mut self, next: u32, blank: Blank) -> bool {
        let mut any = false;
        while let Some(comment) = self.comments.pop_front_if(|comment| comment.span.start < next) {
            if (any || blank != Blank::None) && self.blank_before(comment.span.start) {
                self.pieces.push(Piece::Hard);
            }
            self.pieces.push(Piece::Hard);
            self.text(comment.text);
            any = true;
        }
        any
    }

    fn trailing_comment(&mut self, next: u32) {
        if let Some(comment) = self.comments.pop_front_if(|comment| comment.span.start < next && !comment.own_line) {
            let column = self.kept_column(comment.span.start);
            self.pieces.push(Piece::Suffix { text: comment.text, column });
        }
    }

    /// The comments of the whole text's beginning, before the first item, and a blank line where one was written before it.
    pub(super) fn first_comments(&mut self, item: Option<u32>) {
        let next = item.unwrap_or(u32::MAX);
        let mut any = false;
        while let Some(comment) = self.comments.pop_front_if(|comment| comment.span.start < next) {
            if any && self.blank_before(comment.span.start) {
                self.pieces.push(Piece::Hard);
            }
            any = true;
            self.text(comment.text);
            self.pieces.push(Piece::Hard);
        }
        if any && item.is_some_and(|item| self.blank_before(item)) {
            self.pieces.push(Piece::Hard);
        }
    }

    /// Comments at the end of a line that were set off by more than two blanks keep their column: their author has aligned them.
    fn kept_column(&self, start: u32) -> Option<usize> {
        let before = &self.text?[..start as usize];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let blanks = line.len() - line.trim_end().len();
        (blanks > 2).then(|| line.chars().count())
    }

    fn blank_in_gap(&self, next: u32) -> bool {
        let mut starts = self.comments.iter().filter(|comment| comment.own_line).map(|comment| comment.span.start).take_while(|start| *start < next);
        starts.any(|start| self.blank_before(start)) || self.blank_before(next)
    }

    /// Whether a blank line was written before this place.
    fn blank_before(&self, start: u32) -> bool {
        let Some(text) = self.text else { return false };
        let before = &text[..start as usize];
        let blank = &before[before.trim_end_matches([' ', '\t', '\r', '\n']).len()..];
        blank.bytes().filter(|byte| *byte == b'\n').count() > 1
    }

    pub(super) fn name(&self, name: &str, words: Words) -> String {
        if is_plain_name(name) && !(words == Words::Reserved && is_reserved(name)) { name.to_owned() } else { format!("`{name}`") }
    }

    /// As it was written, if it was.
    pub(super) fn duration(&self, duration: &Spanned<TimeSpan>) -> String {
        self.written(duration.span).map_or_else(|| duration.node.to_string(), str::to_owned)
    }

    /// As it was written, if it was; else with the escapes it needs.
    pub(super) fn text_literal(&self, text: &str, span: Span) -> String {
        self.written(span).map_or_else(|| quoted(text), str::to_owned)
    }

    fn written(&self, span: Span) -> Option<&'a str> {
        Some(&self.text?[span.start as usize..span.end as usize])
    }
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    use std::fmt::Write;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            character if character.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(character)).expect("strings can be written to");
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
