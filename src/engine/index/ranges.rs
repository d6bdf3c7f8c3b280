//! Bits that ask a field to be between two numbers, found by both: with a thousand narrow ranges, those that an event may set are few, where one of the bounds alone would let half of them by.
//!
//! Ranges stand in the order of their lower bounds, and are looked through as a tree: the root is the middle one, and the halves before and after it are the trees below. Each knows which upper bound of
//! its tree asks least: where that does not hold, none does. This is the augmented search tree for intervals (T. Cormen and others, *Introduction to Algorithms*, section 14.3), laid out in an array.

use std::ops::Range;

use crate::engine::index::filed::{Posting, Postings};
use crate::engine::index::thresholds::{AskedFor, Bound};
use crate::event::Value;
use crate::pattern::FieldPath;

/// What is filed under the ranges of one field, all of them between bounds of one sort.
#[derive(Debug)]
pub(super) struct Ranges {
    pub(super) path: FieldPath,
    /// The bounds are floats; else numbers that a decimal holds.
    are_floats: bool,
    /// By lower bound, those that ask least first; then by upper bound, likewise.
    ranges: Vec<Between>,
}

#[derive(Debug)]
struct Between {
    low: Bound,
    high: Bound,
    /// Which range of its tree has the upper bound that asks least.
    widest: usize,
    postings: Postings,
}

impl Ranges {
    pub(super) fn of(low: AskedFor<'_>) -> Self {
        Self { path: low.path.clone(), are_floats: low.is_float(), ranges: Vec::new() }
    }

    /// Whether ranges with that lower bound are filed here.
    pub(super) fn are_for(&self, low: AskedFor<'_>) -> bool {
        self.path == *low.path && self.are_floats == low.is_float()
    }

    pub(super) fn file(&mut self, low: AskedFor<'_>, high: AskedFor<'_>, posting: Posting) {
        let (low, high) = (Bound::of(low), Bound::of(high));
        let place = self.ranges.binary_search_by(|known| known.low.cmp(&low).then_with(|| known.high.cmp(&high))).unwrap_or_else(|place| {
            self.ranges.insert(place, Between { low, high, widest: 0, postings: Postings::default() });
            place
        });
        self.ranges[place].postings.file(posting);
    }

    /// Visits what is filed where the value is between the bounds. Cost: a few comparisons for each doubling of the ranges, and as many for each that is found.
    pub(super) fn for_each_found<'a>(&'a self, value: &Value, visit: &mut impl FnMut(&'a Postings)) {
        if matches!(value, Value::Float(_)) != self.are_floats {
            // Rounded, numbers that differ by little may come to stand the other way round.
            let found = self.ranges.iter().filter(|range| range.low.holds(value) && range.high.holds(value));
            return found.for_each(|range| visit(&range.postings));
        }
        self.visit_tree(0..self.ranges.len(), value, visit);
    }

    fn visit_tree<'a>(&'a self, tree: Range<usize>, value: &Value, visit: &mut impl FnMut(&'a Postings)) {
        let Some((before, root, after)) = parts(tree) else { return };
        let range = &self.ranges[root];
        if !self.ranges[range.widest].high.holds(value) {
            return;
        }
        self.visit_tree(before, value, visit);
        if range.low.holds(value) {
            if range.high.holds(value) {
                visit(&range.postings);
            }
            self.visit_tree(after, value, visit);
        }
    }

    /// All are there. Returns what is filed.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = &mut Postings> {
        self.note_widest(0..self.ranges.len());
        self.ranges.iter_mut().map(|range| &mut range.postings)
    }

    fn note_widest(&mut self, tree: Range<usize>) -> Option<usize> {
        let (before, root, after) = parts(tree)?;
        let below = [self.note_widest(before), self.note_widest(after)];
        let widest = below.into_iter().flatten().fold(root, |widest, other| {
            let asks_less = self.ranges[other].high.cmp(&self.ranges[widest].high).is_lt();
            if asks_less { other } else { widest }
        });
        self.ranges[root].widest = widest;
        Some(widest)
    }
}

/// The trees below, and the root between them.
fn parts(tree: Range<usize>) -> Option<(Range<usize>, usize, Range<usize>)> {
    let root = tree.start + tree.len() / 2;
    (!tree.is_empty()).then(|| (tree.start..root, root, root + 1..tree.end))
}
