//! Windows: what a condition asks of the key's recent events, as in `count(payments over 10m)`.
//!
//! The pattern says which events count, over how long, and what is made of them; whoever keeps the events of a key answers through [`Windows`].

use std::cell::Cell;

use crate::event::{EventTime, TimeSpan, Value};
use crate::pattern::expression::{Aggregate, FieldPath};
use crate::pattern::{Condition, functions};

/// A window, as a place in [`crate::pattern::Pattern::windows`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WindowId(pub u16);

/// Events of the key, up to and including the one at hand, and what is made of them.
#[derive(Clone, Debug)]
pub struct Window {
    /// Which events of the line count. It looks neither back nor at windows.
    pub events: Condition,
    pub measure: Measure,
    pub span: WindowSpan,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Measure {
    Count,
    /// Over a field; null values are passed over.
    Aggregate {
        aggregate: Aggregate,
        path: FieldPath,
    },
}

/// Which events are in, seen from an instant t.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowSpan {
    /// Those in (t − D, t].
    Sliding(TimeSpan),
    /// Those in the bucket of t, counted from 1970 in UTC.
    Tumbling(TimeSpan),
    /// Those of the chain, each less than D after the one before, whose last is less than D before t.
    Session(TimeSpan),
}

/// The windows of one key, as of the event at hand or a deadline.
pub trait Windows {
    fn value(&self, window: WindowId, faults: &Cell<u64>) -> Value;
}

/// Where no window is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NoWindows;

impl Windows for NoWindows {
    fn value(&self, _: WindowId, _: &Cell<u64>) -> Value {
        Value::Null
    }
}

impl Measure {
    /// Of the values of the events that are in, in line order; for a count any value will do. Cost: linear, for `distinct` quadratic in how many differ.
    pub fn of(&self, values: impl ExactSizeIterator<Item = Value>, faults: &Cell<u64>) -> Value {
        match self {
            Self::Count => Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
            Self::Aggregate { aggregate, .. } => functions::aggregate(*aggregate, values.filter(|value| !value.is_null()).collect(), faults),
        }
    }
}

impl WindowSpan {
    /// Events before this instant are out, seen from `at`; a session has none, it breaks by its gaps.
    pub fn first(self, at: EventTime) -> EventTime {
        match self {
            Self::Sliding(span) => at.minus(span).plus(TimeSpan::TICK),
            Self::Tumbling(span) => bucket(at, span),
            Self::Session(_) => EventTime::BEGINNING,
        }
    }

    /// From this instant on an event at `time` is out, whatever comes; of a session: unless another came.
    pub fn end(self, time: EventTime) -> EventTime {
        match self {
            Self::Sliding(span) | Self::Session(span) => time.plus(span),
            Self::Tumbling(span) => bucket(time, span).plus(span),
        }
    }
}

/// The beginning of the bucket.
fn bucket(at: EventTime, span: TimeSpan) -> EventTime {
    EventTime::from_micros(at.micros().saturating_sub(at.micros().rem_euclid(span.micros())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_end_and_not_its_beginning() {
        let (second, at) = (TimeSpan::from_secs(1), EventTime::from_micros(-1_500_000));
        let table = [
            (WindowSpan::Sliding(second), -2_499_999, -500_000),
            (WindowSpan::Tumbling(second), -2_000_000, -1_000_000),
            (WindowSpan::Session(second), i64::MIN, -500_000),
        ];
        for (span, first, end) in table {
            assert_eq!((span.first(at).micros(), span.end(at).micros()), (first, end), "{span:?}");
        }
    }
}
