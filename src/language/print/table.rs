//! A `table`: its lines, and its cases in columns.

use crate::language::ast::{Case, Cell, Name, RecordValue, Table, TableLine, When};
use crate::language::print::items::{aligned_column, padded};
use crate::language::print::layout::Piece;
use crate::language::print::printer::{Blank, Printer, Words};

/// Widths up to which the cells of a column are filled up with blanks.
const BLANKS: &str = "                                                            ";

/// By column, the name of the case first: how wide it is, without comma and blank.
#[derive(Default)]
struct Widths(Vec<usize>);

impl Widths {
    fn note(&mut self, column: usize, width: usize) {
        if self.0.len() <= column {
            self.0.resize(column + 1, 0);
        }
        if width < BLANKS.len() {
            self.0[column] = self.0[column].max(width);
        }
    }

    /// What stands between something so wide in that column and the next one, on one line.
    fn gap(&self, column: usize, width: Option<usize>) -> Piece {
        let most = self.0.get(column).copied().unwrap_or(0);
        let missing = width.map_or(0, |width| most.saturating_sub(width));
        Piece::Line { flat: &BLANKS[..=missing] }
    }
}

impl Printer<'_> {
    pub(super) fn table(&mut self, table: &Table) {
        self.test_head("table", &table.name, &table.pattern, table.from.as_ref());
        let column = aligned_column(table.lines.iter().map(|line| self.when(&line.at).chars().count()));
        let widths = self.widths(&table.cases);
        self.nest(2, |printer| {
            printer.line_gap(table.columns_span.start, Blank::None);
            printer.columns(&table.columns);
            for line in &table.lines {
                printer.line_gap(line.span.start, Blank::Kept);
                printer.table_line(line, column);
            }
            for case in &table.cases {
                printer.line_gap(case.span.start, Blank::Kept);
                printer.case(case, &widths);
            }
            printer.comments_before(table.span.end, Blank::Kept);
        });
        self.pieces.push(Piece::Hard);
        self.text("}");
    }

    fn columns(&mut self, columns: &[Name]) {
        self.group(4, |printer| {
            printer.text("columns ");
            for (place, name) in columns.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                    printer.gap(Piece::Fill, name.span.start);
                }
                printer.text(printer.name(&name.node, Words::Reserved));
            }
        });
    }

    fn table_line(&mut self, line: &TableLine, column: usize) {
        let at = padded(self.when(&line.at), column);
        self.arriving(at, &line.stream, line.fields.as_ref());
    }

    fn when(&self, when: &When) -> String {
        match when {
            When::Said(at) => self.duration(at),
            // At the beginning of a line these would begin an item.
            When::Column(name) if matches!(name.node.as_str(), "stream" | "pattern") => format!("`{}`", name.node),
            When::Column(name) => self.name(&name.node, Words::Reserved),
        }
    }

    // Cases.

    /// Where they fit, cells stand below one another, and so does what is expected.
    fn case(&mut self, case: &Case, widths: &Widths) {
        self.group(4, |printer| {
            let head = printer.case_head(case);
            let mut gap = widths.gap(0, Some(head.chars().count()));
            printer.group(0, |printer| {
                printer.text(head);
                for (place, cell) in case.cells.iter().enumerate() {
                    if place > 0 {
                        printer.text(",");
                    }
                    printer.gap(gap.clone(), cell.span().start);
                    gap = widths.gap(place + 1, printer.cell(cell));
                }
            });
            for line in &case.expected {
                printer.gap(gap, line.span.start);
                printer.line(line, 0);
                gap = Piece::Line { flat: " " };
            }
        });
    }

    fn case_head(&self, case: &Case) -> String {
        format!("case {}:", self.text_literal(&case.name.node, case.name.span))
    }

    /// Prints it. How wide it is, if it is no record or list.
    fn cell(&mut self, cell: &Cell) -> Option<usize> {
        let before = self.pieces.len();
        match cell {
            Cell::None(_) => self.text("none"),
            Cell::Value(value) => self.value(value),
        }
        let width = |piece: &Piece| if let Piece::Text(text) = piece { Some(text.chars().count()) } else { None };
        self.pieces[before..].iter().map(width).sum()
    }

    fn widths(&mut self, cases: &[Case]) -> Widths {
        let mut widths = Widths::default();
        for case in cases {
            widths.note(0, self.case_head(case).chars().count());
            for (place, cell) in case.cells.iter().enumerate() {
                let is_one_word = !matches!(cell, Cell::Value(RecordValue::Record(_) | RecordValue::List(..)));
                let before = self.pieces.len();
                if let Some(width) = is_one_word.then(|| self.cell(cell)).flatten() {
                    widths.note(place + 1, width);
                }
                self.pieces.truncate(before);
            }
        }
        widths
    }
}
