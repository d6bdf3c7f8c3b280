//! The groups of a slot, in the order of their deadlines: in a ring, so that what begins mostly goes to the end, and what time removes is at the front.
//!
//! With a thousand patterns a key has a dozen groups, and what an event asks is mostly whether one of them is its pattern's, which none is. So a byte of each pattern's hash, its *tag*, lies in the
//! slot itself, in the order of the groups: that tells of nearly all patterns that they have none, and of the others which group to look at. The idea is that of the control bytes
//! of Swiss tables (abseil.io/about/design/swisstables).
//!
//! Invariant: the tags are those of the first [`TAGGED_MAX`] groups, then zeros.

use std::ops::{Index, IndexMut};

use crate::engine::slot::group::Group;
use crate::engine::slot::{Families, Notes};

#[derive(Debug)]
pub(super) struct Groups {
    /// As many as a power of two, or none.
    ring: Box<[Option<Group>]>,
    /// Where in the ring the first of them is, and how many there are.
    first: u32,
    len: u32,
    tags: Tags,
    /// Of the slot. (Beside the groups they would take eight bytes more of each key.)
    pub notes: Notes,
    pub families: Families,
}

/// So many have tags.
pub(super) const TAGGED_MAX: usize = 22;

#[derive(Clone, Copy, Debug, Default)]
struct Tags([u8; TAGGED_MAX]);

/// Of a pattern; never zero.
fn tag(pattern: u32) -> u8 {
    ((pattern.wrapping_mul(0x9E37_79B9) >> 24) as u8).max(1)
}

impl Tags {
    fn insert(&mut self, place: usize, pattern: u32) {
        if place < TAGGED_MAX {
            self.0.copy_within(place..TAGGED_MAX - 1, place + 1);
            self.0[place] = tag(pattern);
        }
    }

    /// The group at that place is gone; `last`: the pattern of the one that comes to have a tag, if there is one.
    fn remove(&mut self, place: usize, last: Option<u32>) {
        self.0.copy_within(place + 1.., place);
        self.0[TAGGED_MAX - 1] = last.map_or(0, tag);
    }

    /// The places that have it, mostly none: looked for eight at a time.
    #[inline]
    fn places(&self, tag: u8) -> impl Iterator<Item = usize> {
        const LOW: u64 = u64::from_le_bytes([0x01; 8]);
        const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
        let differ = [0, 8, 16].map(|from| {
            let bytes = std::array::from_fn(|place| self.0.get(from + place).copied().unwrap_or_default());
            u64::from_le_bytes(bytes) ^ u64::from_le_bytes([tag; 8])
        });
        // Some byte is zero where from one of them something has been borrowed.
        let has = differ.iter().fold(0, |has, differ| has | (differ.wrapping_sub(LOW) & !differ)) & HIGH != 0;
        let tags = if has { &self.0[..] } else { &[] };
        (0..).zip(tags).filter(move |(_, other)| **other == tag).map(|(place, _)| place)
    }
}

impl Groups {
    /// Without room for any.
    pub(super) fn new() -> Self {
        Self { ring: Box::default(), first: 0, len: 0, tags: Tags::default(), notes: Notes::default(), families: Families::default() }
    }

    /// `room`: a power of two.
    pub(super) fn with_room(room: usize) -> Self {
        Self { ring: std::iter::repeat_with(|| None).take(room).collect(), ..Self::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of the pattern's group, which is among those that have tags if there is one.
    #[inline]
    pub(super) fn tagged(&self, pattern: u32) -> Option<usize> {
        self.tags.places(tag(pattern)).find(|place| self[*place].pattern == pattern)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Group> {
        if place < self.len() { Some(&mut self[place]) } else { None }
    }

    pub(super) fn front(&self) -> Option<&Group> {
        (!self.is_empty()).then(|| &self[0])
    }

    pub(super) fn back(&self) -> Option<&Group> {
        self.len().checked_sub(1).map(|last| &self[last])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.iter_from(0)
    }

    /// Those from that place on.
    pub(super) fn iter_from(&self, place: usize) -> impl Iterator<Item = &Group> {
        (place..self.len()).map(|place| &self[place])
    }

    pub(super) fn for_each_mut(&mut self, mut change: impl FnMut(&mut Group)) {
        (0..self.len()).for_each(|place| change(&mut self[place]));
    }

    /// The first place at which it does not hold, if it holds of those before and of none from there on.
    pub(super) fn partition_point(&self, holds: impl Fn(&Group) -> bool) -> usize {
        let (mut from, mut until) = (0, self.len());
        while from < until {
            let middle = from.midpoint(until);
            if holds(&self[middle]) { from = middle + 1 } else { until = middle }
        }
        from
    }

    pub(super) fn push_back(&mut self, group: Group) {
        let place = self.len();
        if place == self.ring.len() {
            self.grow();
        }
        if place < TAGGED_MAX {
            self.tags.0[place] = tag(group.pattern);
        }
        self.len += 1;
        self.put(place, group);
    }

    pub(super) fn insert(&mut self, place: usize, group: Group) {
        if self.len() == self.ring.len() {
            self.grow();
        }
        self.tags.insert(place, group.pattern);
        // Those before or after it are moved, whichever are fewer.
        if place < self.len() / 2 {
            self.first = self.first.wrapping_sub(1) & self.mask();
            self.len += 1;
            (0..place).for_each(|place| self.move_one(place + 1, place));
        } else {
            self.len += 1;
            (place..self.len() - 1).rev().for_each(|place| self.move_one(place, place + 1));
        }
        self.put(place, group);
    }

    pub(super) fn pop_front(&mut self) -> Option<Group> {
        let group = self.ring.get_mut(self.first as usize)?.take()?;
        self.first = (self.first + 1) & self.mask();
        self.len -= 1;
        self.untag(0);
        Some(group)
    }

    pub(super) fn remove(&mut self, place: usize) -> Group {
        let group = self.at(place).take().expect("a group is at each place");
        if place < self.len() / 2 {
            (0..place).rev().for_each(|place| self.move_one(place, place + 1));
            self.first = (self.first + 1) & self.mask();
        } else {
            (place + 1..self.len()).for_each(|place| self.move_one(place, place - 1));
        }
        self.len -= 1;
        self.untag(place);
        group
    }

    pub(super) fn retain_mut(&mut self, mut keep: impl FnMut(&mut Group) -> bool) {
        let mut kept = 0;
        for place in 0..self.len() {
            if keep(&mut self[place]) {
                self.move_one(place, kept);
                kept += 1;
            } else {
                *self.at(place) = None;
            }
        }
        self.len = kept as u32;
        self.tags = Tags::default();
        for place in 0..kept.min(TAGGED_MAX) {
            self.tags.0[place] = tag(self[place].pattern);
        }
    }

    /// Takes all out, in their order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Group> + use<> {
        let Self { notes, families, .. } = *self;
        let mut all = std::mem::replace(self, Self { notes, families, ..Self::new() });
        std::iter::from_fn(move || all.pop_front())
    }

    /// The one at that place is gone.
    fn untag(&mut self, place: usize) {
        if place < TAGGED_MAX {
            let last = (self.len() >= TAGGED_MAX).then(|| self[TAGGED_MAX - 1].pattern);
            self.tags.remove(place, last);
        }
    }

    fn mask(&self) -> u32 {
        self.ring.len() as u32 - 1
    }

    fn lies_at(&self, place: usize) -> usize {
        (self.first as usize + place) & self.mask() as usize
    }

    fn at(&mut self, place: usize) -> &mut Option<Group> {
        &mut self.ring[self.lies_at(place)]
    }

    /// Where none is. (It is not even looked whether one is, so that nobody waits for the memory.)
    fn put(&mut self, place: usize, group: Group) {
        std::mem::forget(self.at(place).replace(group));
    }

    fn move_one(&mut self, from: usize, to: usize) {
        if from != to {
            *self.at(to) = self.at(from).take();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let room = (2 * self.ring.len()).max(1);
        assert!(u32::try_from(room).is_ok(), "there are fewer patterns than 32 bits count");
        self.ring.rotate_left(self.first as usize);
        let groups = std::mem::take(&mut self.ring).into_iter().chain(std::iter::repeat_with(|| None));
        (self.ring, self.first) = (groups.take(room).collect(), 0);
    }
}

impl Index<usize> for Groups {
    type Output = Group;

    fn index(&self, place: usize) -> &Group {
        self.ring[self.lies_at(place)].as_ref().expect("a group is at each place")
    }
}

impl IndexMut<usize> for Groups {
    fn index_mut(&mut self, place: usize) -> &mut Group {
        self.at(place).as_mut().expect("a group is at each place")
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::engine::slot::group::Together;
    use crate::event::EventTime;

    fn of(pattern: u32) -> Group {
        Group { pattern, changed: 0, there: 0, runs: Together::default(), deadline: EventTime::END }
    }

    /// Whatever comes and goes, wherever, they are as a plain list would have them, and each is found by its tag as long as it has one. (Many of the patterns have the same tags.)
    #[test]
    fn groups_stand_in_their_order_and_are_found_by_tag() {
        let mut random = StdRng::seed_from_u64(7);
        for most in [1, 3, 12, TAGGED_MAX, 100] {
            let (mut groups, mut model) = (Groups::new(), Vec::new());
            for step in 0..20_000 {
                let pattern = random.random_range(0..2_000);
                let place = random.random_range(0..=model.len());
                match random.random_range(0..7) {
                    0 | 1 if model.len() < most && !model.contains(&pattern) => {
                        groups.push_back(of(pattern));
                        model.push(pattern);
                    }
                    2 if model.len() < most && !model.contains(&pattern) => {
                        groups.insert(place, of(pattern));
                        model.insert(place, pattern);
                    }
                    3 => {
                        let first = if model.is_empty() { None } else { Some(model.remove(0)) };
                        assert_eq!(groups.pop_front().map(|group| group.pattern), first);
                    }
                    4 if place < model.len() => assert_eq!(groups.remove(place).pattern, model.remove(place)),
                    5 if step % 16 == 0 => {
                        groups.retain_mut(|group| group.pattern % 3 != 0);
                        model.retain(|pattern| pattern % 3 != 0);
                    }
                    6 if step % 512 == 0 => {
                        assert!(groups.take().map(|group| group.pattern).eq(model.drain(..)));
                    }
                    _ => {}
                }
                assert!(groups.iter().map(|group| group.pattern).eq(model.iter().copied()));
                assert_eq!(groups.back().map(|group| group.pattern), model.last().copied());
                let tagged = &model[..model.len().min(TAGGED_MAX)];
                assert!(tagged.iter().enumerate().all(|(place, pattern)| groups.tagged(*pattern) == Some(place)), "{tagged:?}");
                assert_eq!(groups.tagged(pattern), tagged.iter().position(|other| *other == pattern));
            }
        }
    }
}
