//! Which parts of the keys an event belongs to, where these are kept apart: by tasks that share nothing, say.
//!
//! The parts are those of shards: what belongs to part p of n is what [`crate::engine::Shard`] p of n takes. An event that stands in the lines of several keys may belong to
//! several parts, and each of them passes over the keys of the others.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::engine::compiled::Compiled;
use crate::engine::index::Judge;
use crate::engine::keys::key_hash;
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
        // Counted where the event is stepped.
        let faults = Cell::new(0);
        let mut has_null = false;
        for candidate in judge.interest(event).candidates() {
            for (keying, _) in stream.lines(candidate, event, &faults) {
                if stream.keyings[keying].write(event, &faults, key) {
                    let part = u32::try_from(key_hash(key) % u64::from(*parts)).expect("less than a number of 32 bits");
                    if let Err(place) = found.binary_search(&part) {
                        found.insert(place, part);
                    }
                } else {
                    has_null = true;
                }
            }
        }
        *null_keys += u64::from(has_null && found.is_empty());
        found
    }

    /// Events that mattered to some pattern and belong to no part because their keys hold a null.
    pub fn null_keys(&self) -> u64 {
        self.null_keys
    }
}
