//! Which entries have equal values: of each, how far back the one before is and how far on the next. So views of any beginning and end can tell whether a value is new to them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::event::{Key, Lookup, Value};

/// Of all entries of a log.
#[derive(Clone, Debug)]
pub(super) struct Occurrences {
    /// The number of the first entry.
    front: u64,
    links: VecDeque<Links>,
    /// By value, as what the language calls equal has equal bytes.
    last: Lookup<Key, u64>,
    scratch: Vec<u8>,
}

/// Distances to entries of an equal value; 0: there is none.
#[derive(Clone, Copy, Default, Debug)]
struct Links {
    before: u32,
    after: u32,
    is_null: bool,
}

impl Occurrences {
    pub(super) fn of(front: u64, values: &VecDeque<Value>) -> Self {
        let mut occurrences = Self { front, links: VecDeque::with_capacity(values.len()), last: Lookup::default(), scratch: Vec::new() };
        values.iter().for_each(|value| occurrences.push(value));
        occurrences
    }

    pub(super) fn push(&mut self, value: &Value) {
        let number = self.front + self.links.len() as u64;
        self.scratch.clear();
        let is_null = !Key::push(value, &mut self.scratch);
        let mut links = Links { is_null, ..Links::default() };
        if is_null {
            // Equal to nothing.
        } else if let Some(last) = self.last.get_mut(self.scratch.as_slice()) {
            links.before = u32::try_from(number - *last).expect("a key's entries that memory has room for");
            self.links[(*last - self.front) as usize].after = links.before;
            *last = number;
        } else {
            self.last.insert(Key::from_bytes(&self.scratch), number);
        }
        self.links.push_back(links);
    }

    /// The first entry, of that value, leaves.
    pub(super) fn pop(&mut self, value: &Value) {
        let links = self.links.pop_front().expect("entries leave that came");
        self.front += 1;
        self.scratch.clear();
        if links.after == 0 && Key::push(value, &mut self.scratch) {
            self.last.remove(self.scratch.as_slice());
        }
    }

    /// The number of the last entry before that has an equal value, if there was one.
    pub(super) fn before(&self, number: u64) -> Option<u64> {
        let before = self.links(number).before;
        (before > 0).then(|| number - u64::from(before))
    }

    /// The number of the next entry that has an equal value, if there is one yet.
    pub(super) fn after(&self, number: u64) -> Option<u64> {
        let after = self.links(number).after;
        (after > 0).then(|| number + u64::from(after))
    }

    /// How many values differ, nulls aside. Walks.
    pub(super) fn different(&self, numbers: Range<u64>) -> usize {
        let is_new = |number: &u64| !self.links(*number).is_null && self.before(*number).is_none_or(|before| before < numbers.start);
        numbers.clone().filter(is_new).count()
    }

    fn links(&self, number: u64) -> Links {
        self.links[(number - self.front) as usize]
    }
}
