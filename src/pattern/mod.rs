//! The typed pattern: what the language hands to the automaton, with every name resolved and every type checked.
//!
//! Sugar is gone (`x+` is a [`Quantifier`], a `define` is part of the conditions that use it). Only the language's checker makes these
//! values, so evaluating a [`Condition`] cannot fail: what the data does (a division by zero, say) gives null and is counted.
//!
//! | file | holds |
//! |---|---|
//! | `steps` | the shape: sequences, groups, loops, absences |
//! | `expression` | the typed expression tree |
//! | `among` | the values of a list that is written out |
//! | `window` | what a condition asks of the key's recent events |
//! | `evaluate`, `functions`, `numbers` | what an expression is worth, given an event and what was chosen |
//! | `decimals` | arithmetic of decimals |
//! | `used` | which fields patterns look at |
//! | `display` | expressions as text again |
//! | `words` | what a pattern does, in words |
//! | `normal` | the pattern's normal form as text, whose hash is its version |
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod among;
mod decimals;
mod display;
mod evaluate;
mod expression;
mod functions;
mod normal;
mod numbers;
mod steps;
mod used;
mod window;
mod words;

use std::sync::Arc;

use crate::event::{Schema, StreamId, TimeSpan, Type, Value};

pub use among::Among;
pub use decimals::{DECIMAL_END, fits_decimal};
pub use display::{Names, write_value};
pub use evaluate::{Chosen, Moment, NothingChosen, Scope, at_path};
pub use expression::{Aggregate, Arithmetic, Comparison, Expression, FieldPath, Function, Occurrence};
pub use functions::{address, average};
pub use normal::{Versions, log_version, normal_form};
pub use numbers::{calculate, equal, float, order};
pub use steps::{Absence, Body, Connective, ContinuityInside, Element, Part, Quantifier, Sequence};
pub use used::FieldsUsed;
pub use window::{Measure, NoWindows, Window, WindowId, WindowSpan, Windows};

/// Everything that runs together: the streams and the patterns over them. Immutable; a task swaps the whole of it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub schema: Arc<Schema>,
    /// In order of their names.
    pub patterns: Vec<Arc<Pattern>>,
}

/// A step's name, as a place in [`Pattern::steps`] (text order).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StepId(pub u16);

/// A distinct condition of the pattern, as a place in [`Pattern::conditions`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConditionId(pub u16);

/// One pattern, resolved and checked.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub name: String,
    /// Hash of the normal form: equal for texts that differ only in layout, comments, file, or how defines and lists are spread.
    pub version: u128,
    /// At least one. An event stands in the line of every (distinct) key that a fitting source gives it.
    pub sources: Vec<Source>,
    /// Names of the key's parts, as the first source names them; empty: one key for all. Keys are of scalar types.
    pub key_names: Vec<String>,
    /// In text order. Absences and `without` have no entry: they choose nothing.
    pub steps: Vec<Step>,
    /// Each distinct condition once.
    pub conditions: Vec<Condition>,
    /// Each distinct window that conditions and fields ask for, once.
    pub windows: Vec<Window>,
    pub body: Sequence,
    pub without: Vec<Without>,
    /// Last event - first event is below this.
    pub within: Option<TimeSpan>,
    pub skip: Skip,
    /// `None`: the key, and every step's events whole.
    pub emit: Option<Vec<EmitField>>,
    pub on_timeout: OnTimeout,
    pub suppress: Option<Suppress>,
    /// `limit runs N`; `None`: as configured.
    pub runs_max: Option<u64>,
    pub meta: Vec<(String, Value)>,
}

/// Events of one stream that stand in the pattern's line, and their key.
#[derive(Clone, Debug)]
pub struct Source {
    pub stream: StreamId,
    /// What a `define` narrows the stream to.
    pub filter: Option<Expression>,
    /// As many for every source, of the same types.
    pub key: Vec<Expression>,
}

/// A named step that chooses events.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub stream: StreamId,
    /// May take more than one event: shown as a list.
    pub repeats: bool,
}

/// What an event must be to fit: of this stream, and with this true. A define's conditions are part of it.
#[derive(Clone, Debug)]
pub struct Condition {
    pub stream: StreamId,
    /// The sources, a bit each in their order (the last bit for all beyond), as one of which the event must stand in the line; 0: as any. Asked for only where sources of one stream
    /// have different keys, so that an event stands in the lines of two keys for different reasons.
    pub stands_as: u64,
    /// `None`: every event of the stream fits.
    pub expression: Option<Expression>,
}

/// No event that fits strictly between the first event of `from` and the last of `to`; `None`: the match's own ends (both or neither).
#[derive(Clone, Debug)]
pub struct Without {
    pub condition: ConditionId,
    pub from: Option<StepId>,
    pub to: Option<StepId>,
}

/// Which overlapping matches survive (language reference, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    None,
    ToNext,
    PastLast,
    ToFirst(StepId),
    ToLast(StepId),
}

/// `suppress D by E`: after a match delivered at t, those with equal E before t + D are counted instead.
#[derive(Clone, Debug)]
pub struct Suppress {
    /// Above zero.
    pub span: TimeSpan,
    /// E, part by part, evaluated as in `emit`; of scalar types.
    pub by: Vec<EmitValue>,
}

/// What becomes of partial matches that ran out of time.
#[derive(Clone, Debug)]
pub enum OnTimeout {
    Silent,
    /// `on timeout emit` with nothing after it: the same fields as a match.
    EmitAsMatch,
    Emit(Vec<EmitField>),
}

/// One field of a match.
#[derive(Clone, Debug)]
pub struct EmitField {
    pub name: String,
    pub value: EmitValue,
}

#[derive(Clone, Debug)]
pub enum EmitValue {
    /// The type names the fields of records where the value is shown.
    Expression { expression: Expression, r#type: Type },
    /// A bare step: its events, whole.
    Events(StepId),
    /// A part of the key, by place.
    Key(usize),
}

impl Pattern {
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[usize::from(id.0)]
    }

    pub fn condition(&self, id: ConditionId) -> &Condition {
        &self.conditions[usize::from(id.0)]
    }

    pub fn window(&self, id: WindowId) -> &Window {
        &self.windows[usize::from(id.0)]
    }
}
