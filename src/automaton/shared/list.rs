//! All choices of one group as a short list of sets, in the order of their latest starts.

use crate::automaton::shared::sets::{Nth, SetId, Sets};

/// The head is no union and has the latest start; from the second on, latest starts strictly decrease: what is too old is at the end. Lists stay short: a set is added for each other
/// group that an event has moved here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub head: SetId,
    pub rest: Vec<SetId>,
}

impl List {
    /// Of a set that is no union.
    pub(super) fn of(head: SetId) -> Self {
        Self { head, rest: Vec::new() }
    }

    pub(super) fn latest(&self, sets: &Sets) -> Nth {
        sets.latest(self.head)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = SetId> {
        std::iter::once(self.head).chain(self.rest.iter().copied())
    }

    /// All of it as one set. Something in it starts at or after the cut.
    pub(super) fn merged(&self, sets: &mut Sets, cut: Nth) -> SetId {
        let alive = self.rest.iter().take_while(|set| sets.latest(**set) >= cut).count();
        let Some((last, others)) = self.rest[..alive].split_last() else { return self.head };
        let rest = others.iter().rev().fold(*last, |right, left| sets.pair(*left, right));
        sets.pair(self.head, rest)
    }

    /// Takes the choices of another list.
    pub(super) fn add(&mut self, mut other: Self, sets: &mut Sets, cut: Nth) {
        if other.latest(sets) > self.latest(sets) {
            std::mem::swap(self, &mut other);
        }
        let added = other.merged(sets, cut);
        let start = sets.latest(added);
        while self.rest.last().is_some_and(|set| sets.latest(*set) < cut) {
            self.rest.pop();
        }
        match self.rest.iter().position(|set| sets.latest(*set) <= start) {
            Some(place) if sets.latest(self.rest[place]) == start => self.rest[place] = sets.union(self.rest[place], added, cut),
            Some(place) => self.rest.insert(place, added),
            None => self.rest.push(added),
        }
    }
}
