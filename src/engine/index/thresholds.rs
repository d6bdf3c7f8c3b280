//! Bits that ask a field to be more, or less, than a number, in the order of how much they ask: those that an event may set are the first of them.
//!
//! So the ten thousandth pattern that asks for a great amount costs an event of a small one a step of a search by halves. The idea is that of the predicate indexes of
//! publish-subscribe systems (F. Fabret and others, SIGMOD 2001).

use std::cmp::Ordering;

use crate::engine::index::filed::{Posting, Postings};
use crate::event::Value;
use crate::pattern::{Comparison, Expression, FieldPath, order};

/// What is filed under the thresholds of one field, all of them to be exceeded, or to be undercut.
#[derive(Debug)]
pub(super) struct Thresholds {
    pub(super) path: FieldPath,
    direction: Direction,
    /// Numbers that a decimal holds, or floats: as the field's values are.
    are_floats: bool,
    /// Where one holds for a value, all before it do.
    thresholds: Vec<Threshold>,
}

#[derive(Debug)]
struct Threshold {
    comparison: Comparison,
    value: Value,
    postings: Postings,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Above,
    Below,
}

/// A comparison of a field with a number that has thresholds beside it.
#[derive(Clone, Copy)]
pub(in crate::engine) struct AskedFor<'a> {
    pub path: &'a FieldPath,
    direction: Direction,
    pub comparison: Comparison,
    pub value: &'a Value,
}

impl<'a> AskedFor<'a> {
    /// `None`: the conjunct is something else.
    pub(in crate::engine) fn by(conjunct: &'a Expression) -> Option<Self> {
        let (comparison, path, value) = conjunct.compares_with_constant()?;
        let direction = match comparison {
            Comparison::Greater | Comparison::GreaterOrEqual => Direction::Above,
            Comparison::Less | Comparison::LessOrEqual => Direction::Below,
            Comparison::Equal | Comparison::NotEqual => return None,
        };
        matches!(value, Value::Int(_) | Value::Decimal(_) | Value::Float(_)).then_some(Self { path, direction, comparison, value })
    }

    pub(in crate::engine) fn is_float(self) -> bool {
        matches!(self.value, Value::Float(_))
    }

    /// Less for who asks less, where both ask for more, or both for less.
    pub(in crate::engine) fn cmp(self, other: Self) -> Ordering {
        let is_strict = |asked: Self| matches!(asked.comparison, Comparison::Greater | Comparison::Less);
        let numbers = order(self.value, other.value).expect("numbers have an order");
        let numbers = if self.direction == Direction::Above { numbers } else { numbers.reverse() };
        numbers.then(is_strict(self).cmp(&is_strict(other)))
    }
}

impl Threshold {
    fn asks_for<'a>(&'a self, of: &'a Thresholds) -> AskedFor<'a> {
        AskedFor { path: &of.path, direction: of.direction, comparison: self.comparison, value: &self.value }
    }

    fn holds(&self, value: &Value) -> bool {
        self.comparison.holds(value, &self.value)
    }
}

impl Thresholds {
    pub(super) fn of(asked: AskedFor<'_>) -> Self {
        Self { path: asked.path.clone(), direction: asked.direction, are_floats: asked.is_float(), thresholds: Vec::new() }
    }

    pub(super) fn are_for(&self, asked: AskedFor<'_>) -> bool {
        self.path == *asked.path && self.direction == asked.direction && self.are_floats == asked.is_float()
    }

    pub(super) fn file(&mut self, asked: AskedFor<'_>, posting: Posting) {
        let place = self.thresholds.binary_search_by(|known| known.asks_for(self).cmp(asked)).unwrap_or_else(|place| {
            let new = Threshold { comparison: asked.comparison, value: asked.value.clone(), postings: Postings::default() };
            self.thresholds.insert(place, new);
            place
        });
        self.thresholds[place].postings.file(posting);
    }

    /// What is filed where the value is more, or less, than it has to be.
    pub(super) fn found(&self, value: &Value) -> impl Iterator<Item = &Postings> {
        // Rounded, numbers that differ by little may come to stand the other way round.
        let is_in_order = matches!(value, Value::Float(_)) == self.are_floats;
        let end = if is_in_order { self.thresholds.partition_point(|threshold| threshold.holds(value)) } else { self.thresholds.len() };
        let found = self.thresholds[..end].iter().filter(move |threshold| is_in_order || threshold.holds(value));
        found.map(|threshold| &threshold.postings)
    }

    pub(super) fn postings(&mut self) -> impl Iterator<Item = &mut Postings> {
        self.thresholds.iter_mut().map(|threshold| &mut threshold.postings)
    }
}
