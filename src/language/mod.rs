//! The language: text to typed patterns, or to all that is wrong with the text at once.
//!
//! ```text
//! text --parse--> ast --resolve, check, lower--> pattern::Program
//!                  |                                 (or diagnostics)
//!                  '--print--> canonical text
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `span`, `ast` | places; the faithful tree |
//! | `parse/` | text to tree, going on after an error |
//! | `print/` | tree to canonical text, comments kept |
//! | `check/` | names, types, and the typed pattern |
//! | `diagnostic`, `codes`, `render` | what is wrong, its number, how it is shown |
//! | `pages` | what there is to say of each number |
//! | `nearest`, `spelling` | what a misspelt name was meant to be; how names are written in remedies |
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

pub mod ast;
mod check;
mod codes;
mod diagnostic;
mod nearest;
mod pages;
mod parse;
mod print;
mod render;
mod span;
mod spelling;

use crate::event::{Event, EventTime, StreamId, TimeSpan, Type, Value};
use crate::pattern::Program;

pub use check::{compile, compile_read};
pub use codes::Code;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use nearest::nearest;
pub use pages::page;
pub use parse::{Comment, Parsed, SOURCE_BYTES_MAX, parse};
pub use print::{format, format_read, print};
pub use render::{Places, RenderStyle, render};
pub use span::{ReadSource, Source, SourceId, Span, Spanned};

/// What became of a program's texts. With an error among the diagnostics the program is empty; warnings leave it whole.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    pub program: Program,
    pub tests: Vec<Test>,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// A `test` block, or a case of a `table`, resolved.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: String,
    pub span: Span,
    /// Place in [`Program::patterns`].
    pub pattern: usize,
    /// The instant that the lines' durations count from.
    pub start: EventTime,
    pub arrivals: Vec<Arrival>,
    pub expectations: Vec<Expectation>,
    /// `expect none`: nothing else may come out.
    pub nothing_else: bool,
}

/// What a test lets arrive, in this order.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// Offsets count from 0 in each stream, partition 0.
    Event(Event),
    /// How far the stream is: nothing at or before it is still to come. Of a stream with such a line no other watermark counts, from the test's start on.
    Watermark { stream: StreamId, watermark: EventTime },
}

/// One `expect` line.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub span: Span,
    pub kind: ExpectationKind,
    /// Absolute; for `late` the event's own time.
    pub at: Option<EventTime>,
    /// Some fields of the match.
    pub fields: Vec<ExpectedField>,
}

/// A field of a match as it must be.
#[derive(Clone, Debug)]
pub struct ExpectedField {
    pub name: String,
    /// What is not said of a record is null.
    pub value: Value,
    /// It names the fields of records.
    pub r#type: Type,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpectationKind {
    Match,
    Timeout,
    Late,
}

/// The longest `Duration` a text may say: about 292,000 years would overflow event time.
pub const DURATION_MAX: TimeSpan = TimeSpan::from_secs(3_155_760_000);
