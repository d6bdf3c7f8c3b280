//! Which parts of the keys an event belongs to, where these are kept apart: by tasks that share nothing, say.
//!
//! The parts are those of shards: what belongs to part p of n is what [`crate::engine::Shard`] p of n takes. An event that stands in the lines of several keys may belong to
//! several parts, and each of them passes over the keys of the others.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::engine::compiled::{Compiled, Keying, StreamRoutes};
use crate::engine::index::{Candidate, Judge};
use crate::engine::keys::key_hash;
use crate::engine::reorder::Wanted;
use crate::event::Event;

/// Finds the parts of events, one after the other.
#[derive(Debug)]
pub struct Spread {
    compiled: Arc<Compiled>,
    judge: Judge,
    parts: u32,
    /// Memory that is used again.
    key: Vec<u8>,
    found: SmallVec<[u32; 2]>,
    null_keys: u64,
}

impl Spread {
    /// Over so many parts, at least 1.
    pub fn new(compiled: Arc<Compiled>, parts: u32) -> Self {
        assert!(parts > 0, "there is a part for every key");
        Self { judge: Judge::new(compiled.clone()), compiled, parts, key: Vec::new(), found: SmallVec::new(), null_keys: 0 }
    }

    /// Each part once, in ascending order; none where the event matters to no pattern, or holds a null in every key.
    pub fn parts_of(&mut self, event: &Event) -> &[u32] {
        let Self { compiled, judge, parts, key, found, null_keys } = self;
        found.clear();
        let stream = &compiled.streams[usize::from(event.stream.0)];
        let mut has_null = false;
        for_each_key(stream, judge.interest(event).candidates(), event, key, |_, hash| match hash {
            Some(hash) => {
                let part = u32::try_from(hash % u64::from(*parts)).expect("less than a number of 32 bits");
                if let Err(place) = found.binary_search(&part) {
                    found.insert(place, part);
                }
            }
            None => has_null = true,
        });
        *null_keys += u64::from(has_null && found.is_empty());
        found
    }

    /// Events that mattered to some pattern and belong to no part because their keys hold a null.
    pub fn null_keys(&self) -> u64 {
        self.null_keys
    }
}

/// The parts that have to be given an event: a bit for each, the last for all beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts(u64);

impl Parts {
    const LAST: usize = u64::BITS as usize - 1;

    /// Those of an event that matters to these patterns, among so many.
    pub(super) fn of(count: usize, stream: &StreamRoutes, candidates: &[Candidate], event: &Event, key: &mut Vec<u8>) -> Self {
        let bit = |part: usize| 1 << part.min(Self::LAST);
        let mut parts = 0;
        for_each_key(stream, candidates, event, key, |keying, hash| {
            parts |= hash.map_or(0, |hash| bit((hash % count as u64) as usize));
            // The first one counts, for all, what makes no key.
            if hash.is_none() || matches!(keying, Keying::Computed(_)) {
                parts |= bit(0);
            }
        });
        Self(parts)
    }

    fn contains(self, part: usize) -> bool {
        self.0 >> part.min(Self::LAST) & 1 == 1
    }

    /// The part, if it is a single one.
    fn only(self) -> Option<usize> {
        let first = self.0.trailing_zeros() as usize;
        (self.0.is_power_of_two() && first < Self::LAST).then_some(first)
    }
}

/// Events that an intake has let out, by shard: each is given to those whose keys it has.
#[derive(Debug)]
pub struct Shares(Vec<Vec<Wanted>>);

impl Shares {
    /// Of one shard for each of these, which are used as memory.
    pub fn new(memory: impl IntoIterator<Item = Vec<Wanted>>) -> Self {
        Self(memory.into_iter().collect())
    }

    pub fn add(&mut self, wanted: Wanted) {
        let parts = wanted.interest.parts();
        let by_shard = &mut self.0[..];
        match (parts.only(), by_shard) {
            (_, [all]) => all.push(wanted),
            (Some(shard), by_shard) => by_shard[shard].push(wanted),
            (None, by_shard) => {
                by_shard.iter_mut().enumerate().filter(|(shard, _)| parts.contains(*shard)).for_each(|(_, events)| events.push(wanted.clone()));
            }
        }
    }

    /// In the order of the shards.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[Wanted]> {
        self.0.iter().map(Vec::as_slice)
    }

    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(Vec::clear);
    }

    pub fn take(&mut self, shard: usize) -> Vec<Wanted> {
        std::mem::take(&mut self.0[shard])
    }
}

/// All of them, where it was not asked.
impl Default for Parts {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

/// Makes each key in whose line the event stands, once; gives its hash, or `None` where a part of it is null.
fn for_each_key(stream: &StreamRoutes, candidates: &[Candidate], event: &Event, key: &mut Vec<u8>, mut each: impl FnMut(&Keying, Option<u64>)) {
    // Counted where the event is stepped.
    let faults = Cell::new(0);
    let fields = event.all_fields();
    let mut made = 0_u64;
    let mut make = |place: usize| {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or(0);
        if made & bit == 0 {
            made |= bit;
            let keying = &stream.keyings[place];
            each(keying, keying.write(fields, &faults, key).then(|| key_hash(key)));
        }
    };
    for candidate in candidates {
        if let Some(waiting) = stream.index.waiting().filter(|waiting| waiting.number == candidate.pattern) {
            let keyings = waiting.lines.iter().map(|(keying, _)| *keying);
            keyings.filter(|keying| stream.concerns_who_waits(*keying, fields)).for_each(&mut make);
        } else {
            stream.lines(candidate, fields, &faults).for_each(|(keying, _)| make(keying));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_beyond_those_that_have_bits_are_not_told_apart() {
        let parts = Parts(1 << 5 | 1 << 63);
        let contained: Vec<usize> = (0..70).filter(|part| parts.contains(*part)).collect();
        assert_eq!(contained, [5, 63, 64, 65, 66, 67, 68, 69]);
        assert_eq!([Parts(1 << 5), parts, Parts(1 << 63), Parts::default()].map(Parts::only), [Some(5), None, None, None]);
    }
}
