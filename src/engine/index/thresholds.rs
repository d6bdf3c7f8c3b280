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
    bound: Bound,
    postings: Postings,
}

/// What a field must be more, or less, than.
#[derive(Debug)]
pub(super) struct Bound {
    comparison: Comparison,
    value: Value,
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

    /// Whether this is the lower and the other the upper bound of one field, and both are floats or neither is: in each sort, bounds have an order that no rounding changes.
    pub(super) fn is_below(self, high: Self) -> bool {
        let bounds = self.direction == Direction::Above && high.direction == Direction::Below && self.path == high.path;
        bounds && self.is_float() == high.is_float()
    }

    pub(in crate::engine) fn is_float(self) -> bool {
        matches!(self.value, Value::Float(_))
    }

    /// Less for who asks less, where both ask for more, or both for less.
    pub(in crate::engine) fn cmp(self, other: Self) -> Ordering {
        Bound::of(self).cmp(&Bound::of(other))
    }
}

impl Bound {
    pub(super) fn of(asked: AskedFor<'_>) -> Self {
        Self { comparison: asked.comparison, value: asked.value.clone() }
    }

    /// As [`AskedFor::cmp`], with another in the same direction.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let is_strict = |bound: &Self| matches!(bound.comparison, Comparison::Greater | Comparison::Less);
        let numbers = order(&self.value, &other.value).expect("numbers have an order");
        let numbers = if matches!(self.comparison, Comparison::Greater | Comparison::GreaterOrEqual) { numbers } else { numbers.reverse() };
        numbers.then(is_strict(self).cmp(&is_strict(other)))
    }

    pub(super) fn holds(&self, value: &Value) -> bool {
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
        self.at(asked).file(posting);
    }

    /// What is filed under that threshold, which is there from now on.
    pub(super) fn at(&mut self, asked: AskedFor<'_>) -> &mut Postings {
        let bound = Bound::of(asked);
        let place = self.thresholds.binary_search_by(|known| known.bound.cmp(&bound)).unwrap_or_else(|place| {
            self.thresholds.insert(place, Threshold { bound, postings: Postings::default() });
            place
        });
        &mut self.thresholds[place].postings
    }

    /// What is filed where the value is more, or less, than it has to be.
    pub(super) fn found(&self, value: &Value) -> impl Iterator<Item = &Postings> {
        let is_in_order = self.are_in_order_for(value);
        let end = if is_in_order { self.thresholds.partition_point(|threshold| threshold.bound.holds(value)) } else { self.thresholds.len() };
        let found = self.thresholds[..end].iter().filter(move |threshold| is_in_order || threshold.bound.holds(value));
        found.map(|threshold| &threshold.postings)
    }

    /// Whether one of them holds.
    pub(super) fn any_holds(&self, value: &Value) -> bool {
        let mut bounds = self.thresholds.iter().map(|threshold| &threshold.bound);
        if self.are_in_order_for(value) { bounds.next().is_some_and(|least| least.holds(value)) } else { bounds.any(|bound| bound.holds(value)) }
    }

    /// Rounded, numbers that differ by little may come to stand the other way round.
    fn are_in_order_for(&self, value: &Value) -> bool {
        matches!(value, Value::Float(_)) == self.are_floats
    }

    pub(super) fn postings(&mut self) -> impl Iterator<Item = &mut Postings> {
        self.thresholds.iter_mut().map(|threshold| &mut threshold.postings)
    }
}
