//! Packed keys leave memory where more are packed than may be, and come back when an event or their time comes.
//!
//! Which of them leave goes around: a key that an event comes to is packed no longer, so those that are met have waited for about as long. While no key of a table
//! lies [elsewhere](ColdKeys) nothing is asked there, and none is asked for time before the least of their timers.

use std::mem;

use crate::engine::cold::{ColdKey, ColdKeys, ColdKeysError};
use crate::engine::compiled::Compiled;
use crate::engine::keys::key_hash;
use crate::engine::shard::lines::Lines;
use crate::engine::shard::packing::UNPACKED_MAX;
use crate::engine::slot::SlotId;
use crate::engine::timers;
use crate::event::EventTime;

/// So many leave together, where the limit allows it.
const SPILLED_MAX: usize = 256;

/// The keys of a shard that are not in memory.
#[derive(Debug)]
pub(super) struct Spilling {
    cold: Option<Box<dyn ColdKeys>>,
    /// So many keys of a table are packed; what is more is not in memory.
    packed_keys_max: usize,
    tables: Vec<TableSpilling>,
    /// The first that the outside has done.
    failure: Option<ColdKeysError>,
    /// Memory that is used again.
    moved: Vec<ColdKey>,
}

#[derive(Clone, Copy, Debug)]
struct TableSpilling {
    keys: u64,
    /// None of them has a timer before.
    least: EventTime,
}

impl Spilling {
    /// Nothing leaves memory.
    pub(super) fn none(tables: usize) -> Self {
        let tables = vec![TableSpilling { keys: 0, least: EventTime::END }; tables];
        Self { cold: None, packed_keys_max: usize::MAX, tables, failure: None, moved: Vec::new() }
    }

    pub(super) fn begin(&mut self, cold: Box<dyn ColdKeys>, packed_keys_max: usize) {
        (self.cold, self.packed_keys_max) = (Some(cold), packed_keys_max);
    }

    pub(super) fn failure(&self) -> Option<&ColdKeysError> {
        self.failure.as_ref()
    }

    /// No key of the table is elsewhere.
    pub(super) fn is_empty(&self, table: usize) -> bool {
        self.tables[table].keys == 0
    }

    /// No key of the table that is elsewhere is due before it.
    pub(super) fn none_due_before(&self, table: usize) -> EventTime {
        self.tables[table].least
    }

    fn is_due(&self, table: usize, instant: EventTime) -> bool {
        timers::is_due(self.tables[table].least, instant)
    }

    /// Once it has failed it is not asked again.
    pub(super) fn fail(&mut self, failure: ColdKeysError) {
        self.failure.get_or_insert(failure);
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut dyn ColdKeys) -> Result<T, ColdKeysError>) -> Option<T> {
        let cold = self.cold.as_deref_mut().filter(|_| self.failure.is_none())?;
        ask(cold).map_err(|failure| self.fail(failure)).ok()
    }

    fn put(&mut self, table: usize, keys: &[ColdKey]) {
        self.ask(|cold| cold.put(number(table), keys));
        let spilling = &mut self.tables[table];
        spilling.keys += keys.len() as u64;
        spilling.least = keys.iter().map(|key| key.timer).fold(spilling.least, EventTime::min);
    }

    fn take(&mut self, table: usize, key: &[u8]) -> Option<ColdKey> {
        let taken = self.ask(|cold| cold.take(number(table), key)).flatten();
        let spilling = &mut self.tables[table];
        spilling.keys -= u64::from(taken.is_some());
        if spilling.keys == 0 {
            spilling.least = EventTime::END;
        }
        taken
    }

    fn take_due(&mut self, table: usize, until: EventTime, most: usize, taken: &mut Vec<ColdKey>) {
        let from = self.tables[table].least.min(until);
        let least = self.ask(|cold| cold.take_due(number(table), from..=until, most, taken));
        // Also where that has failed nothing more is due: whoever asks comes to an end.
        let keys = least.map_or(0, |_| self.tables[table].keys - taken.len() as u64);
        self.tables[table] = TableSpilling { keys, least: least.unwrap_or(EventTime::END) };
    }
}

impl Lines {
    /// A key that is not in memory is ready from now on, if it is elsewhere.
    #[inline(never)]
    pub(super) fn fetch(&mut self, table: usize, all: &Compiled, key: &[u8]) -> Option<SlotId> {
        let taken = self.take_cold(table, key)?;
        Some(self.make_ready(table, &taken, all))
    }

    /// The same, without making it ready.
    pub(super) fn take_cold(&mut self, table: usize, key: &[u8]) -> Option<ColdKey> {
        let taken = self.spilling.take(table, key)?;
        self.counters.cold_keys -= 1;
        Some(taken)
    }

    /// Makes keys ready whose time has come, at most so many. Returns how many there were.
    pub(super) fn fetch_due(&mut self, table: usize, all: &Compiled, instant: EventTime, most: usize) -> usize {
        if most == 0 || !self.spilling.is_due(table, instant) {
            return 0;
        }
        // What no time decides stays.
        let until = instant.min(EventTime::from_micros(EventTime::END.micros() - 1));
        self.fetch_each(table, until, most, |lines, key| {
            lines.make_ready(table, key, all);
        })
    }

    /// Forgets everything that is elsewhere, at the end of time.
    pub(super) fn end_cold(&mut self, table: usize, all: &Compiled) {
        while !self.spilling.is_empty(table) {
            let ended = self.fetch_each(table, EventTime::END, UNPACKED_MAX, |lines, key| {
                let slot = lines.make_ready(table, key, all);
                lines.keys[table].end_key(slot, &mut lines.counters);
            });
            assert!(ended > 0 || self.spilling.is_empty(table), "what was laid down is given back");
        }
    }

    /// Where more keys are packed than may be, some leave memory.
    pub(super) fn spill(&mut self, table: usize) {
        let most = self.spilling.packed_keys_max;
        if self.keys[table].packed_len() <= most {
            return;
        }
        self.keys[table].enter_noted();
        let together = (1 + most / SPILLED_MAX).min(SPILLED_MAX);
        let mut spilled = mem::take(&mut self.spilling.moved);
        while self.keys[table].packed_len() > most {
            spilled.extend(std::iter::from_fn(|| self.keys[table].next_cold()).take(together));
            self.spilling.put(table, &spilled);
            self.counters.cold_keys += spilled.len() as u64;
            self.counters.keys_spilled += spilled.len() as u64;
            spilled.clear();
        }
        self.spilling.moved = spilled;
    }

    /// Returns how many there were.
    fn fetch_each(&mut self, table: usize, until: EventTime, most: usize, mut each: impl FnMut(&mut Self, &ColdKey)) -> usize {
        let mut taken = mem::take(&mut self.spilling.moved);
        self.spilling.take_due(table, until, most, &mut taken);
        let fetched = taken.len();
        self.counters.cold_keys -= fetched as u64;
        taken.drain(..).for_each(|key| each(self, &key));
        self.spilling.moved = taken;
        fetched
    }

    fn make_ready(&mut self, table: usize, cold: &ColdKey, all: &Compiled) -> SlotId {
        let key = cold.key();
        let slot = self.keys[table].make(key_hash(key), key);
        self.lay_out(table, slot, &cold.bytes, all);
        slot
    }
}

fn number(table: usize) -> u32 {
    u32::try_from(table).expect("there are no more tables than patterns, which are numbered by 32 bits")
}
