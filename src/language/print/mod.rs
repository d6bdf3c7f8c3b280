//! Tree to canonical text.
//!
//! [`fn@format`] makes a text canonical: one clause and one step a line, lines of [`layout::WIDTH`] columns, one blank line at most. It keeps
//! comments, blank lines between groups, and the spelling of texts and durations. [`print()`] writes a tree that has no text.
//!
//! Laws, held by tests: printing and parsing gives the same tree; formatting twice is formatting once; no comment is lost.
//!
//! Comments are not in the tree. The printer knows where in the text each part of the tree stood, and wherever it may break a line it
//! asks what comments stood before the next part ([`printer::Printer::gap`]). A comment where no line can be broken goes to the end of the line.

mod expression;
mod items;
mod layout;
mod pattern;
mod printer;
mod table;
mod test;

use crate::language::ast::{Expression, File};
use crate::language::diagnostic::Diagnostic;
use crate::language::parse::{not_utf8, parse};
use crate::language::span::{ReadSource, Source, SourceId};

use printer::Printer;

/// The canonical form of a text, or what keeps it from being read.
pub fn format(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source, SourceId::default());
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics);
    }
    Ok(Printer::of(&source.text, parsed.comments).file(&parsed.file))
}

/// The canonical text of what a file holds.
pub fn format_read(read: &ReadSource) -> Result<String, Vec<Diagnostic>> {
    match read.not_utf8 {
        Some(start) => Err(vec![not_utf8(start, SourceId::default())]),
        None => format(&read.source),
    }
}

/// The canonical text of an expression, on one line.
pub(super) fn one_line(expression: &Expression) -> String {
    let mut printer = Printer::default();
    printer.expression(expression);
    layout::on_one_line(&printer.pieces)
}

/// The canonical text of a tree; its places are not looked at.
pub fn print(file: &File) -> String {
    Printer::default().file(file)
}
