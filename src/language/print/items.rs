//! A file's items, except for patterns, tests and tables.

use crate::language::ast::{Define, EventSet, Field, File, Item, List, Stream, TimeClause, Type, TypeKind};
use crate::language::print::layout::{Piece, render};
use crate::language::print::printer::{ALIGNED_COLUMNS_MAX, Blank, Printer, Words};
use crate::language::span::Span;

/// A line of a stream.
enum StreamLine<'t> {
    Field(&'t Field),
    Time(&'t TimeClause),
}

impl Printer<'_> {
    pub(super) fn file(mut self, file: &File) -> String {
        for (place, item) in file.items.iter().enumerate() {
            let start = span(item).start;
            match place.checked_sub(1).map(|before| &file.items[before]) {
                None => self.first_comments(Some(start)),
                Some(before) if is_block(before) || is_block(item) => self.line_gap(start, Blank::Forced),
                Some(_) => self.line_gap(start, Blank::Kept),
            }
            self.item(item);
        }
        if file.items.is_empty() {
            self.first_comments(None);
        } else {
            self.comments_before(u32::MAX, Blank::Kept);
        }
        let text = render(&self.pieces);
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Stream(stream) => self.stream(stream),
            Item::List(list) => self.list(list),
            Item::Define(define) => self.define(define),
            Item::Pattern(pattern) => self.pattern(pattern),
            Item::Test(test) => self.test(test),
            Item::Table(table) => self.table(table),
        }
    }

    fn stream(&mut self, stream: &Stream) {
        let name = self.name(&stream.name.node, Words::Free);
        self.text(format!("stream {name} {{"));
        let mut lines: Vec<(u32, StreamLine<'_>)> = stream.fields.iter().map(|field| (field.name.span.start, StreamLine::Field(field))).collect();
        lines.extend(stream.times.iter().map(|time| (time.span.start, StreamLine::Time(time))));
        lines.sort_by_key(|(start, _)| *start);
        if lines.is_empty() && !self.comments_wait(stream.span.end) {
            return self.text("}");
        }
        let column = aligned_column(stream.fields.iter().map(|field| self.field_head(field).chars().count()));
        self.nest(2, |printer| {
            for (place, (start, line)) in lines.into_iter().enumerate() {
                printer.line_gap(start, if place == 0 { Blank::None } else { Blank::Kept });
                match line {
                    StreamLine::Field(field) => {
                        let head = padded(printer.field_head(field), column);
                        printer.text(head);
                        printer.field_type(field);
                    }
                    StreamLine::Time(time) => printer.time(time),
                }
            }
            printer.comments_before(stream.span.end, Blank::Kept);
        });
        self.pieces.push(Piece::Hard);
        self.text("}");
    }

    fn time(&mut self, time: &TimeClause) {
        let late = time.late_after.as_ref().map(|late| format!(", late after {}", self.duration(late)));
        let field = self.name(&time.field.node, Words::Free);
        self.text(format!("time {field}{}", late.unwrap_or_default()));
    }

    fn field_head(&self, field: &Field) -> String {
        format!("{}:", self.name(&field.name.node, Words::Free))
    }

    fn field_type(&mut self, field: &Field) {
        self.r#type(&field.r#type);
        if field.nullable {
            self.text("?");
        }
    }

    fn r#type(&mut self, r#type: &Type) {
        match &r#type.kind {
            TypeKind::Named(name) if name == "list" => self.text("`list`"),
            TypeKind::Named(name) => self.text(self.name(name, Words::Free)),
            TypeKind::List(inner) => {
                self.text("list of ");
                self.r#type(inner);
            }
            TypeKind::Record(fields) if fields.is_empty() => self.text("{}"),
            // On one line with commas, on lines of their own without.
            TypeKind::Record(fields) => self.brackets(["{", "}"], Piece::Line { flat: " " }, r#type.span.end, |printer| {
                for (place, field) in fields.iter().enumerate() {
                    printer.gap(Piece::Line { flat: if place == 0 { " " } else { ", " } }, field.name.span.start);
                    let head = printer.field_head(field);
                    printer.text(format!("{head} "));
                    printer.field_type(field);
                }
            }),
        }
    }

    fn list(&mut self, list: &List) {
        let name = self.name(&list.name.node, Words::Free);
        self.text(format!("list {name} = "));
        self.values(&list.items, list.span);
    }

    fn define(&mut self, define: &Define) {
        let name = self.name(&define.name.node, Words::Free);
        self.text(format!("define {name} = "));
        self.group(2, |printer| printer.events(&define.events));
    }

    /// `S where E`, broken before `where`.
    pub(super) fn events(&mut self, events: &EventSet) {
        self.text(self.name(&events.stream.node, Words::Reserved));
        if let Some(condition) = &events.condition {
            self.gap(Piece::Line { flat: " " }, condition.span.start);
            self.text("where ");
            self.expression(condition);
        }
    }
}

pub(super) fn aligned_column(widths: impl Iterator<Item = usize>) -> usize {
    widths.filter(|width| *width <= ALIGNED_COLUMNS_MAX).max().unwrap_or(0)
}

/// Filled up to `column`, and one blank.
pub(super) fn padded(head: String, column: usize) -> String {
    let missing = column.saturating_sub(head.chars().count());
    head + &" ".repeat(missing + 1)
}

fn span(item: &Item) -> Span {
    match item {
        Item::Stream(stream) => stream.span,
        Item::List(list) => list.span,
        Item::Define(define) => define.span,
        Item::Pattern(pattern) => pattern.span,
        Item::Test(test) => test.span,
        Item::Table(table) => table.span,
    }
}

/// Whether an item is a block of lines, set off by blank lines.
fn is_block(item: &Item) -> bool {
    matches!(item, Item::Stream(_) | Item::Pattern(_) | Item::Test(_) | Item::Table(_))
}
