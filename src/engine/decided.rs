//! What the records of a partition do not tell by themselves: what the machine's clock has decided, and the order in which partitions happened to be read.
//!
//! An idle partition holds nothing back, so that what it then shows may be overtaken; a full buffer keeps out whatever comes next. A shell that repeats epochs
//! has both noted ([`crate::engine::Intake::note_decisions`]), logs it, and says it again ([`crate::engine::Intake::follow`]): then the same records come to the
//! same, in whatever order partitions are read.

use std::ops::Range;

/// Of one partition, from one epoch's end to the next.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Decided {
    /// Silent for longer than the idle time-out, at the end.
    pub idle: bool,
    /// For how long it had been silent by then, in microseconds; 0 where that does not matter.
    pub silent_us: i64,
    /// In time by what the partition has shown, but at or before the task's watermark, which did not wait for it.
    pub overtaken: Offsets,
    /// In time, but as many events were held as may be.
    pub held_full: Offsets,
}

/// A set of offsets, as ascending ranges. Between those of one range there may be others to which the same would have happened, had it been asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Offsets(Vec<Range<u64>>);

impl Offsets {
    /// `None`: they are not ascending, or some are empty.
    pub fn new(ranges: Vec<Range<u64>>) -> Option<Self> {
        let ascending = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
        (ascending && ranges.iter().all(|range| !range.is_empty())).then_some(Self(ranges))
    }

    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    pub fn contains(&self, offset: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= offset);
        after.checked_sub(1).is_some_and(|place| self.0[place].contains(&offset))
    }

    fn add(&mut self, offset: u64, joins: bool) {
        match self.0.last_mut().filter(|_| joins) {
            Some(last) => last.end = offset + 1,
            None => self.0.push(offset..offset + 1),
        }
    }
}

/// Collects the two sets, with as few ranges as tell them.
#[derive(Debug, Default)]
pub(super) struct Notes {
    overtaken: Offsets,
    held_full: Offsets,
    /// Nothing to which something else has happened came since the last one.
    joins_overtaken: bool,
    joins_held_full: bool,
}

impl Notes {
    pub(super) fn overtaken(&mut self, offset: u64) {
        self.overtaken.add(offset, self.joins_overtaken);
        self.joins_overtaken = true;
    }

    /// Whether it was overtaken is looked at first, and whether it matters to anyone.
    pub(super) fn held_full(&mut self, offset: u64) {
        self.held_full.add(offset, self.joins_held_full);
        (self.joins_overtaken, self.joins_held_full) = (false, true);
    }

    pub(super) fn of_no_interest(&mut self) {
        self.joins_overtaken = false;
    }

    pub(super) fn held(&mut self) {
        (self.joins_overtaken, self.joins_held_full) = (false, false);
    }

    pub(super) fn take(&mut self) -> (Offsets, Offsets) {
        let Self { overtaken, held_full, .. } = std::mem::take(self);
        (overtaken, held_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_over_what_makes_no_difference() {
        let mut notes = Notes::default();
        notes.overtaken(3);
        notes.overtaken(5);
        notes.of_no_interest();
        notes.overtaken(7);
        notes.held_full(8);
        notes.of_no_interest();
        notes.overtaken(10);
        notes.held_full(11);
        notes.held();
        notes.held_full(13);
        let (overtaken, held_full) = notes.take();
        assert_eq!(overtaken.ranges(), [3..6, 7..8, 10..11]);
        assert_eq!(held_full.ranges(), [8..12, 13..14]);
        let inside: Vec<u64> = (0..20).filter(|offset| overtaken.contains(*offset)).collect();
        assert_eq!(inside, [3, 4, 5, 7, 10]);
        assert_eq!(notes.take(), (Offsets::default(), Offsets::default()));
    }

    #[test]
    fn only_ascending_ranges_are_a_set() {
        assert!(Offsets::new(vec![1..2, 2..4, 9..10]).is_some());
        for ranges in [vec![2..4, 3..5], vec![5..6, 1..2], vec![Range { start: 3, end: 3 }]] {
            assert_eq!(Offsets::new(ranges), None);
        }
    }
}
