//! A `test` block, one line a line.

use crate::language::ast::{Expected, Name, RecordLiteral, RecordValue, Test, TestLine, TestLineKind};
use crate::language::print::items::{aligned_column, padded};
use crate::language::print::layout::Piece;
use crate::language::print::printer::{Blank, Printer, Words};
use crate::language::span::Spanned;

const BREAK: Piece = Piece::Line { flat: " " };

impl Printer<'_> {
    pub(super) fn test(&mut self, test: &Test) {
        self.test_head("test", &test.name, &test.pattern, test.from.as_ref());
        if test.lines.is_empty() && !self.comments_wait(test.span.end) {
            return self.text("}");
        }
        let column = aligned_column(test.lines.iter().filter_map(|line| match &line.kind {
            TestLineKind::Event { at, .. } | TestLineKind::Watermark { at, .. } => Some(self.duration(at).len()),
            _ => None,
        }));
        self.nest(2, |printer| {
            for (place, line) in test.lines.iter().enumerate() {
                printer.line_gap(line.span.start, if place == 0 { Blank::None } else { Blank::Kept });
                printer.line(line, column);
            }
            printer.comments_before(test.span.end, Blank::Kept);
        });
        self.pieces.push(Piece::Hard);
        self.text("}");
    }

    /// To the brace before the lines.
    pub(super) fn test_head(&mut self, what: &str, name: &Spanned<String>, pattern: &Name, from: Option<&Spanned<String>>) {
        let (name, pattern) = (self.text_literal(&name.node, name.span), self.name(&pattern.node, Words::Free));
        let from = from.map(|from| format!("from {} ", self.text_literal(&from.node, from.span)));
        self.text(format!("{what} {name} of {pattern} {}{{", from.unwrap_or_default()));
    }

    pub(super) fn line(&mut self, line: &TestLine, column: usize) {
        match &line.kind {
            TestLineKind::Event { at, stream, fields } => self.arriving(padded(self.duration(at), column), stream, Some(fields)),
            TestLineKind::Watermark { at, stream } => self.arriving(padded(self.duration(at), column), stream, None),
            TestLineKind::Expect { what, at, fields } => {
                self.text(match what {
                    Expected::Match => "expect match",
                    Expected::Timeout => "expect timeout",
                });
                if let Some(at) = at {
                    self.text(format!(" at {}", self.duration(at)));
                }
                if let Some(fields) = fields {
                    self.text(" ");
                    self.record(fields);
                }
            }
            TestLineKind::ExpectLate { at } => self.text(format!("expect late at {}", self.duration(at))),
            TestLineKind::ExpectNone => self.text("expect none"),
        }
    }

    /// An event, or where the stream's watermark is.
    pub(super) fn arriving(&mut self, at: String, stream: &Name, fields: Option<&RecordLiteral>) {
        let stream = self.name(&stream.node, Words::Free);
        match fields {
            Some(fields) => {
                self.text(format!("{at}{stream} "));
                self.record(fields);
            }
            None => self.text(format!("{at}watermark {stream}")),
        }
    }

    fn record(&mut self, record: &RecordLiteral) {
        if record.fields.is_empty() {
            return self.text("{}");
        }
        self.brackets(["{", "}"], BREAK, record.span.end, |printer| {
            for (place, (name, value)) in record.fields.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                }
                printer.gap(BREAK, name.span.start);
                let name = printer.name(&name.node, Words::Free);
                printer.text(format!("{name}: "));
                printer.value(value);
            }
        });
    }

    pub(super) fn value(&mut self, value: &RecordValue) {
        match value {
            RecordValue::Column(name) => self.text(self.name(&name.node, Words::Reserved)),
            RecordValue::Expression(expression) => self.expression(expression),
            RecordValue::Record(record) => self.record(record),
            RecordValue::List(_, values) if values.is_empty() => self.text("[]"),
            RecordValue::List(span, values) => self.brackets(["[", "]"], Piece::Line { flat: "" }, span.end, |printer| {
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        printer.text(",");
                    }
                    // A value has no one place; comments inside stand before its first name or literal, or at the end.
                    printer.pieces.push(if place == 0 { Piece::Line { flat: "" } } else { Piece::Fill });
                    printer.value(value);
                }
            }),
        }
    }
}
