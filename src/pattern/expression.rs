//! The typed expression tree. The checker has proven the types; see `evaluate` for what each node is worth.

use std::sync::Arc;

use chrono_tz::Tz;
use ipnet::IpNet;
use regex::Regex;

use crate::event::Value;
use crate::pattern::{Among, StepId, WindowId, numbers};

/// A field, and within records the fields below it: places, outermost first; never empty.
pub type FieldPath = Box<[u16]>;

/// An expression whose type is known.
#[derive(Clone, Debug)]
pub enum Expression {
    Constant(Value),
    /// Of the event at hand.
    Field(FieldPath),
    /// Of an event that a step has chosen; null if there is none at that place.
    Chosen {
        step: StepId,
        occurrence: Occurrence,
        path: FieldPath,
    },
    /// How many events a step has chosen so far.
    Count(StepId),
    /// Over a field of all events that a step has chosen so far.
    Aggregate {
        aggregate: Aggregate,
        step: StepId,
        path: FieldPath,
    },
    /// Over the recent events of the key.
    Window(WindowId),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Compare {
        comparison: Comparison,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// Is the first among the second, a list that an event holds or that is calculated. Null is in no list.
    In {
        item: Box<Expression>,
        list: Box<Expression>,
    },
    /// The same of a list that is written out.
    Among {
        item: Box<Expression>,
        among: Arc<Among>,
    },
    IsNull(Box<Expression>),
    Arithmetic {
        operation: Arithmetic,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Negate(Box<Expression>),
    /// An element of a list value; negative from the end; null out of range.
    Element {
        list: Box<Expression>,
        place: i64,
    },
    /// A field of a record that is no field of an event, such as an element of a list; null where the record is.
    Part {
        record: Box<Expression>,
        place: u16,
    },
    /// A list of calculated values.
    List(Vec<Expression>),
    If {
        condition: Box<Expression>,
        then: Box<Expression>,
        otherwise: Box<Expression>,
    },
    /// The first that is not null.
    Coalesce(Vec<Expression>),
    /// Found anywhere in the text.
    Matches {
        text: Box<Expression>,
        regex: Regex,
    },
    /// No bit of the network is set behind its prefix.
    InNetwork {
        address: Box<Expression>,
        network: IpNet,
    },
    Hour {
        time: Box<Expression>,
        zone: Tz,
    },
    /// 1 = Monday to 7 = Sunday.
    Weekday {
        time: Box<Expression>,
        zone: Tz,
    },
    /// A function of its arguments alone.
    Call {
        function: Function,
        arguments: Vec<Expression>,
    },
}

/// Which of a step's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occurrence {
    /// 0 is the first.
    FromFirst(u32),
    /// 0 is the last.
    FromLast(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregate {
    Sum,
    Average,
    Least,
    Most,
    /// How many different values.
    Distinct,
    /// All values, as a list.
    Collect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The same with its sides exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// False where either is null.
    #[inline]
    pub fn holds(self, left: &Value, right: &Value) -> bool {
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => self.holds_of(*left, *right),
            (Value::Text(left), Value::Text(right)) if self == Self::Equal => left.as_str() == right.as_str(),
            _ => numbers::compare(self, left, right),
        }
    }

    /// Of whole numbers.
    #[inline]
    pub fn holds_of(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Functions of values. `Float` and `Decimal` convert numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    Lower,
    Upper,
    Length,
    Contains,
    StartsWith,
    EndsWith,
    Absolute,
    Round,
    Floor,
    Ceiling,
    /// Metres between two places: latitude, longitude, latitude, longitude in degrees.
    Distance,
    Float,
    Decimal,
}
