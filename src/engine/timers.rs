//! When keys are to be looked at again: instants, given out once time has reached them.
//!
//! Instants lie in buckets of 65 ms, which are taken out whole; only the bucket that time is in is put in order. So setting a timer costs a look-up among the
//! buckets, and no timer costs more however many there are. Which of those due comes first does not matter: keys share nothing, and what
//! their deadlines bring out is put in order later.
//!
//! The idea is that of a calendar queue (R. Brown, CACM 31(10), 1988), with the calendar in a tree.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::event::EventTime;

/// Instants of a bucket share all but so many low bits.
const BUCKET_BITS: u32 = 16;

#[derive(Debug)]
pub(super) struct Timers<T> {
    /// By bucket, later than that of `near`.
    far: BTreeMap<i64, Vec<(EventTime, T)>>,
    /// Up to the end of the bucket that time is in.
    near: BinaryHeap<Reverse<(EventTime, T)>>,
    /// The bucket that time is in.
    bucket: i64,
    /// All due: the rest of a bucket that time has passed.
    due: Vec<(EventTime, T)>,
}

impl<T> Default for Timers<T>
where
    T: Ord,
{
    fn default() -> Self {
        Self { far: BTreeMap::new(), near: BinaryHeap::new(), bucket: i64::MIN, due: Vec::new() }
    }
}

impl<T: Ord> Timers<T> {
    pub(super) fn set(&mut self, instant: EventTime, of: T) {
        let bucket = bucket_of(instant);
        if bucket <= self.bucket {
            self.near.push(Reverse((instant, of)));
        } else {
            self.far.entry(bucket).or_default().push((instant, of));
        }
    }

    /// Takes out one that is due at the instant.
    pub(super) fn next_due(&mut self, instant: EventTime) -> Option<(EventTime, T)> {
        loop {
            if let Some(due) = self.due.pop() {
                return Some(due);
            }
            if self.near.peek().is_some_and(|Reverse((at, _))| *at <= instant) {
                return self.near.pop().map(|Reverse(due)| due);
            }
            // A bucket is opened once the one before it is through.
            let first = self.far.first_entry().filter(|first| self.near.is_empty() && *first.key() <= bucket_of(instant))?;
            let (bucket, timers) = first.remove_entry();
            self.bucket = bucket;
            if bucket < bucket_of(instant) {
                self.due = timers;
            } else {
                self.near = timers.into_iter().map(Reverse).collect();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.far.is_empty() && self.due.is_empty()
    }
}

fn bucket_of(instant: EventTime) -> i64 {
    instant.micros() >> BUCKET_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instants near and far, set while time goes on, come out once each, when they are due and not before.
    #[test]
    fn timers_come_out_when_they_are_due() {
        let mut timers = Timers::default();
        let mut open: Vec<(EventTime, u64)> = Vec::new();
        let mut now = -5_000_000_i64;
        for number in 0..5_000_u64 {
            let ahead = (number * 7_919 % 300_000).cast_signed() * (number % 3).cast_signed();
            let at = EventTime::from_micros(now + 1 + ahead);
            timers.set(at, number);
            open.push((at, number));
            now += (number * 31 % 4_000).cast_signed();
            let (mut due, later): (Vec<_>, Vec<_>) = open.into_iter().partition(|(at, _)| *at <= EventTime::from_micros(now));
            open = later;
            let mut came: Vec<_> = std::iter::from_fn(|| timers.next_due(EventTime::from_micros(now))).collect();
            due.sort_unstable();
            came.sort_unstable();
            assert_eq!(came, due, "at {now}");
        }
        while timers.next_due(EventTime::END).is_some() {
            open.pop();
        }
        assert!(timers.is_empty() && open.is_empty());
    }
}
