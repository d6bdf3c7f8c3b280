//! From bytes to lines and columns.

use crate::language::span::{Source, Span};

/// A source and where its lines begin.
pub struct Places<'a> {
    pub source: &'a Source,
    starts: Vec<usize>,
}

/// Both count from 1; a column is a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl<'a> Places<'a> {
    pub fn of(source: &'a Source) -> Self {
        let after_ends = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(end, _)| end + 1);
        Self { source, starts: std::iter::once(0).chain(after_ends).collect() }
    }

    /// The bytes of a place, kept inside the text and to whole characters.
    pub(super) fn bytes(&self, span: Span) -> (usize, usize) {
        let text = &self.source.text;
        let start = text.floor_char_boundary(span.start as usize);
        (start, text.floor_char_boundary(span.end as usize).max(start))
    }

    /// The line of a byte, counted from 0.
    pub fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte) - 1
    }

    pub(super) fn line_start(&self, line: usize) -> usize {
        self.starts[line]
    }

    /// A line, counted from 0, without its end.
    pub(super) fn line_text(&self, line: usize) -> &'a str {
        let end = self.starts.get(line + 1).map_or(self.source.text.len(), |next| next - 1);
        let text = &self.source.text[self.starts[line]..end];
        text.strip_suffix('\r').unwrap_or(text)
    }

    pub(super) fn place(&self, byte: usize) -> Place {
        let line = self.line(byte);
        Place { line: line + 1, column: self.source.text[self.starts[line]..byte].chars().count() + 1 }
    }
}
