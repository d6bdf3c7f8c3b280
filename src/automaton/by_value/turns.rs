//! When it is the turn of runs: by their deadlines, or by their starts.
//!
//! Most runs start, and run out of time, in the order in which they come: these lie in a queue, and only what belongs before its end goes through a heap.
//!
//! An entry stays where its run goes, or comes to wait until another time: it is told from others by that, once it is the first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Each with the number of its run; of equals the lesser number comes first.
#[derive(Clone, Debug)]
pub(super) struct Turns<T> {
    /// Ascending.
    in_order: VecDeque<(T, u64)>,
    others: BinaryHeap<Reverse<(T, u64)>>,
}

impl<T: Ord> Default for Turns<T> {
    fn default() -> Self {
        Self { in_order: VecDeque::new(), others: BinaryHeap::new() }
    }
}

impl<T: Copy + Ord> Turns<T> {
    pub(super) fn add(&mut self, turn: T, number: u64) {
        if self.in_order.back().is_none_or(|last| *last <= (turn, number)) {
            self.in_order.push_back((turn, number));
        } else {
            self.others.push(Reverse((turn, number)));
        }
    }

    /// Entries, those of runs that are gone included.
    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    pub(super) fn first(&self) -> Option<(T, u64)> {
        let other = self.others.peek().map(|Reverse(entry)| *entry);
        self.in_order.front().copied().into_iter().chain(other).min()
    }

    /// Takes out those up to that turn, and adds the numbers of their runs to `due`.
    pub(super) fn take_until(&mut self, last: T, due: &mut Vec<u64>) {
        while let Some((_, number)) = self.in_order.pop_front_if(|(turn, _)| *turn <= last) {
            due.push(number);
        }
        while self.others.peek().is_some_and(|Reverse((turn, _))| *turn <= last) {
            due.extend(self.others.pop().map(|Reverse((_, number))| number));
        }
    }

    /// The first ones go, until one is of a run that has that turn.
    pub(super) fn trim(&mut self, has: impl Fn(T, u64) -> bool) {
        while self.in_order.front().is_some_and(|(turn, number)| !has(*turn, *number)) {
            self.in_order.pop_front();
        }
        while self.others.peek().is_some_and(|Reverse((turn, number))| !has(*turn, *number)) {
            self.others.pop();
        }
    }
}
