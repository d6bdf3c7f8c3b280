//! When it is the turn of runs whose time runs out.
//!
//! Most run out of time in the order in which they come: their deadlines lie in a queue, and only what belongs before its end goes through a heap.
//!
//! An entry stays where its run goes, or comes to wait until another time: it is told from others by that, once it is the first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::event::EventTime;

/// Each with the number of its run.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    /// Ascending.
    in_order: VecDeque<(EventTime, u64)>,
    others: BinaryHeap<Reverse<(EventTime, u64)>>,
}

impl Deadlines {
    /// The end of time is none.
    pub(super) fn add(&mut self, deadline: EventTime, number: u64) {
        if deadline == EventTime::END {
            return;
        }
        if self.in_order.back().is_none_or(|(last, _)| *last <= deadline) {
            self.in_order.push_back((deadline, number));
        } else {
            self.others.push(Reverse((deadline, number)));
        }
    }

    /// Entries, those of runs that are gone included.
    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    /// The least deadline.
    pub(super) fn next(&self) -> Option<EventTime> {
        let other = self.others.peek().map(|Reverse((deadline, _))| *deadline);
        let first = self.in_order.front().map(|(deadline, _)| *deadline);
        first.into_iter().chain(other).min()
    }

    /// Takes out those at or before the instant, and adds the numbers of their runs to `due`.
    pub(super) fn take_until(&mut self, instant: EventTime, due: &mut Vec<u64>) {
        while let Some((_, number)) = self.in_order.pop_front_if(|(deadline, _)| *deadline <= instant) {
            due.push(number);
        }
        while self.others.peek().is_some_and(|Reverse((deadline, _))| *deadline <= instant) {
            due.extend(self.others.pop().map(|Reverse((_, number))| number));
        }
    }

    /// The first ones go, until one is of a run that has that deadline.
    pub(super) fn trim(&mut self, has: impl Fn(EventTime, u64) -> bool) {
        while self.in_order.front().is_some_and(|(deadline, number)| !has(*deadline, *number)) {
            self.in_order.pop_front();
        }
        while self.others.peek().is_some_and(|Reverse((deadline, number))| !has(*deadline, *number)) {
            self.others.pop();
        }
    }
}
