//! State that a store has and the shard has not taken up yet: after a restart events are stepped before all of it was read.
//!
//! Entries come one after the other, in the order of the store; where an event comes to a key before its entries do, they are [asked for](StoredKeys) first. So events find what they would
//! have found if all had been taken up before. What time decides has to wait until all is there, since nobody knows what there is of keys that were not read: so only tables of keys where
//! nothing comes out of that are *deferred* in this way.

use crate::engine::cold::{ColdKeysError, StoredKeys};
use crate::engine::compiled::{Compiled, Table};
use crate::engine::shard::lines::Lines;
use crate::engine::snapshot::{DamagedState, entry_key, segment_key};
use crate::engine::window_log::LogPart;
use crate::event::Lookup;
use crate::event::binary::Malformed;

/// For each event that comes to a new key, the store is asked so often at most, but for the segments of long logs: that takes less than a tenth of a millisecond.
const ASKED_MAX: usize = 32;

/// What of the store was not taken up.
#[derive(Debug)]
pub(super) struct NotRestored {
    stored: Box<dyn StoredKeys>,
    /// The last entry that has come in the order of the store: all before it have.
    reached: Vec<u8>,
    /// The entries that were asked for, whether there are such or not.
    asked: Lookup<Vec<u8>, ()>,
    /// By table.
    deferred: Vec<bool>,
}

impl NotRestored {
    pub(super) fn new(stored: Box<dyn StoredKeys>, compiled: &Compiled) -> Self {
        Self { stored, reached: Vec::new(), asked: Lookup::default(), deferred: compiled.tables.iter().map(Table::may_be_deferred).collect() }
    }

    pub(super) fn defers(&self, table: usize) -> bool {
        self.deferred[table]
    }

    /// An entry comes in the order of the store. False if it was taken up before.
    pub(super) fn reach(&mut self, entry: &[u8]) -> bool {
        self.reached.clear();
        self.reached.extend_from_slice(entry);
        self.asked.is_empty() || self.asked.get(entry).is_none()
    }

    /// The value of an entry that was not taken up, which it is from now on.
    fn ask(&mut self, entry: Vec<u8>) -> Result<Option<Vec<u8>>, ColdKeysError> {
        if entry <= self.reached || self.asked.get(&entry).is_some() {
            return Ok(None);
        }
        let value = self.stored.get(&entry)?;
        self.asked.insert(entry, ());
        Ok(value)
    }
}

impl Table {
    /// Whether events may be stepped before all of its keys are there.
    pub(super) fn may_be_deferred(&self) -> bool {
        self.ends_silently && self.patterns.len() + self.logs.len() <= ASKED_MAX
    }
}

impl Lines {
    /// An event comes to the key: what the store has of it is taken up now.
    #[cold]
    #[inline(never)]
    pub(super) fn restore_key(&mut self, table: usize, all: &Compiled, (hash, key): (u64, &[u8])) {
        let Some(mut rest) = self.not_restored.take() else { return };
        let Table { patterns, logs, .. } = &all.tables[table];
        for &number in patterns.iter().chain(logs) {
            let taken = rest.ask(entry_key(all.version(number), key)).and_then(|value| match value {
                Some(value) => self.restore(number, (hash, key), &value, all).map_err(|reason| damaged(all, number, reason)),
                None => Ok(()),
            });
            if let Err(error) = taken {
                self.spilling.fail(error);
            }
        }
        for &number in logs {
            if let Err(error) = self.restore_segments(&mut rest, table, all, number, (hash, key)) {
                self.spilling.fail(error);
            }
        }
        self.not_restored = Some(rest);
    }
    /// What the log of a packed key lacks; also of one that has come in the order of the store, where its segments have not.
    fn restore_segments(&mut self, rest: &mut NotRestored, table: usize, all: &Compiled, number: u32, key: (u64, &[u8])) -> Result<(), ColdKeysError> {
        let mut values = Vec::new();
        for segment in self.segments_left(table, number, key) {
            // Who makes the key ready says that one is missing.
            let Some(value) = rest.ask(segment_key(all.version(number), key.1, segment))? else { break };
            LogPart::of(&value).map_err(|reason| damaged(all, number, reason))?;
            values.push(value);
        }
        if !values.is_empty() {
            self.add_segments(table, number, key, values.iter().map(Vec::as_slice));
        }
        Ok(())
    }
}

/// What is stored of a pattern or log cannot be read.
pub(super) fn damaged(all: &Compiled, number: u32, reason: Malformed) -> ColdKeysError {
    ColdKeysError(DamagedState { pattern: all.name(number).to_owned(), reason }.to_string())
}
