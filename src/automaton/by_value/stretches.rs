//! Stretches of neighbouring runs, and what those of each wait for together, in a word: their *bound*. An event that does not meet the bound concerns none of them.
//!
//! A bound may be that of a run that has gone since: then a look finds nobody, and puts the bound right.

use std::collections::VecDeque;
use std::ops::Range;

/// Numbers that share all but so many low bits are of one stretch.
const STRETCH_BITS: u32 = 5;

/// Of runs that wait for something of one kind. The default of a bound is what no event meets.
#[derive(Clone, Default, Debug)]
pub(super) struct Stretches<B> {
    /// How many runs.
    count: usize,
    /// The stretch of the first bound.
    first: u64,
    bounds: VecDeque<B>,
}

impl<B: Default> Stretches<B> {
    /// The run of that number waits for this from now on; there is none of a number before `first`. Returns the bound, which is to be widened.
    pub(super) fn note(&mut self, number: u64, first: u64) -> &mut B {
        self.trim(first);
        self.count += 1;
        let stretch = number >> STRETCH_BITS;
        if self.bounds.is_empty() {
            self.first = stretch;
        }
        while stretch < self.first {
            self.bounds.push_front(B::default());
            self.first -= 1;
        }
        let place = usize::try_from(stretch - self.first).expect("fewer stretches than runs");
        if place >= self.bounds.len() {
            self.bounds.resize_with(place + 1, B::default);
        }
        &mut self.bounds[place]
    }

    /// One of them does not any more.
    pub(super) fn leave(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            self.bounds.clear();
        }
    }

    /// Visits the stretches whose bounds an event meets, with the numbers of their runs from `first` on; the bound is to be made anew of those that are there.
    pub(super) fn visit_met(&mut self, first: u64, meets: impl Fn(&B) -> bool, mut visit: impl FnMut(Range<u64>, &mut B)) {
        self.trim(first);
        for (stretch, bound) in (self.first..).zip(&mut self.bounds) {
            if meets(bound) {
                *bound = B::default();
                visit((stretch << STRETCH_BITS).max(first)..(stretch + 1) << STRETCH_BITS, bound);
            }
        }
    }

    fn trim(&mut self, first: u64) {
        while self.first < first >> STRETCH_BITS && self.bounds.pop_front().is_some() {
            self.first += 1;
        }
    }
}
