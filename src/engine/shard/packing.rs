//! Keys are packed where there are many and no event comes to them, and made ready when an event or their time comes.
//!
//! A ready key takes several times the memory of what has to be known of it. A packed one is that, as [`crate::engine::keys`] keeps it:
//!
//! | bytes | |
//! |---|---|
//! | 1 | where it keeps what the patterns of families have |
//! | length, bytes | the key |
//! | for each pattern or log: its number | of a family that is together, the first's |
//! | … of which of the patterns kept together the store has a value | a bit each |
//! | … length, bytes | what it holds, as the store is told |
//! | … length, a byte for each run | of how many patterns it is one; nothing: each of one |
//!
//! Which keys are packed is decided by the second-chance algorithm (CLOCK; F. Corbató, *A paging experiment with the Multics system*, 1968). What was read from the store is packed at
//! first: so a task goes on before all of it has been taken up. Until keys of a second pattern come, nobody asks whether a key is there, since the store has each once. To pack a key and make
//! it ready again is what a restart does with it, and shows as little. Where very many are packed, some [leave memory](super::spilling).

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::automaton::Outline;
use crate::engine::compiled::Compiled;
use crate::engine::family::Members;
use crate::engine::keys::{Found, PackedId, begin_packed};
use crate::engine::shard::lines::Lines;
use crate::engine::shard::state::{decode_state, outline_log, outline_state};
use crate::engine::shard::stored::damaged;
use crate::engine::slot::{Families, SlotId};
use crate::engine::window_log::{LogPart, WindowLog};
use crate::event::EventTime;
use crate::event::binary::{Malformed, Reader, write_bytes, write_unsigned};

/// So many keys are looked at for each event, and for each call: more than events can make.
const LOOKS_PER_EVENT: usize = 4;
const LOOKS_PER_CALL: usize = 16;

/// To make a key ready takes as long as to let go of what so many ready ones hold.
pub(super) const UNPACKING_COSTS: usize = 4;

/// So many are made ready together when time goes on.
pub(super) const UNPACKED_MAX: usize = 1024;

const WHOLE: &str = "what is packed was written here";

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Packing {
    key: Vec<u8>,
    value: Vec<u8>,
    patterns: Vec<u8>,
}

/// What is packed of a log, which may be several entries.
struct PackedLog<'a> {
    number: u32,
    /// The store has it.
    is_there: bool,
    parts: SmallVec<[&'a [u8]; 1]>,
}

/// What a pattern, or a family that is together, has of a packed key; or a log, or a part of it.
struct Entry<'a> {
    /// Its number.
    pattern: u32,
    there: Members,
    value: &'a [u8],
    /// By run.
    patterns: &'a [u8],
}

impl Lines {
    /// Where the key is, if it has anything; it is ready then.
    pub(super) fn find_ready(&mut self, table: usize, all: &Compiled, (hash, key): (u64, &[u8])) -> Option<SlotId> {
        if self.not_restored.as_ref().is_some_and(|rest| rest.defers(table)) {
            self.restore_key(table, all, (hash, key));
        }
        match self.keys[table].find(hash, key) {
            Some(Found::Ready(slot)) => Some(slot),
            Some(Found::Packed(id)) => Some(self.unpack(table, id, all)),
            None if self.spilling.is_empty(table) => None,
            None => self.fetch(table, all, key),
        }
    }

    /// Makes keys ready whose time has come, at most so many, and as many as are found with these `looks`. Returns how many there were.
    pub(super) fn unpack_due(&mut self, table: usize, all: &Compiled, instant: EventTime, most: usize, looks: &mut usize) -> usize {
        let mut unpacked = 0;
        while unpacked < most
            && let Some(id) = self.keys[table].next_packed_due(instant, looks)
        {
            self.unpack(table, id, all);
            unpacked += 1;
        }
        unpacked + self.fetch_due(table, all, instant, most - unpacked)
    }

    pub(super) fn unpack_all(&mut self, table: usize, all: &Compiled) {
        for id in self.keys[table].all_packed() {
            self.unpack(table, id, all);
        }
    }

    fn unpack(&mut self, table: usize, id: PackedId, all: &Compiled) -> SlotId {
        let (slot, bytes) = self.keys[table].unpack(id);
        self.lay_out(table, slot, &bytes, all);
        slot
    }

    /// Puts what is packed of a key into its slot, which is empty.
    pub(super) fn lay_out(&mut self, table: usize, slot: SlotId, bytes: &[u8], all: &Compiled) {
        let mut reader = Reader::new(bytes);
        let families = Families::of_byte(reader.byte("families").expect(WHOLE));
        reader.bytes("key").expect(WHOLE);
        let mut logs: SmallVec<[PackedLog<'_>; 2]> = SmallVec::new();
        while !reader.is_at_end() {
            let Entry { pattern, there, value, patterns } = Entry::read(&mut reader).expect(WHOLE);
            if all.log(pattern).is_some() {
                match logs.iter_mut().find(|log| log.number == pattern) {
                    Some(log) => log.parts.push(value),
                    None => logs.push(PackedLog { number: pattern, is_there: there != 0, parts: smallvec![value] }),
                }
                continue;
            }
            let compiled = &all.patterns[pattern as usize];
            let stepping = compiled.stepping(&self.limits, &mut self.workspaces[pattern as usize], None);
            let mut held = decode_state(stepping, value).expect(WHOLE);
            if !patterns.is_empty() {
                let runs = held.pending.lean_runs().expect("the runs of a family are lean");
                runs.iter_mut().zip(patterns).for_each(|(run, patterns)| *run = run.clone().of_first(*patterns));
            }
            let runs_max = self.room_for(pattern, Some(slot).filter(|_| compiled.family.is_none()), table);
            self.keys[table].take_up(slot, (pattern, there), (&compiled.automaton, runs_max), &mut held);
        }
        for PackedLog { number, is_there, parts } in logs {
            let log = all.log(number).expect("it was found before");
            match WindowLog::decode(&log.plan, parts) {
                Ok(events) => self.keys[table].take_up_log(slot, (number, is_there), Box::new(events)),
                // Each part is what was written; that all were there nobody knew until now.
                Err(reason) => self.spilling.fail(damaged(all, number, reason)),
            }
        }
        self.keys[table].set_families(slot, families);
    }

    /// Packs keys to which no event comes, where more are ready than may be. `events`: how many have been stepped since the last time.
    pub(super) fn pack_idle(&mut self, all: &Compiled, events: usize) {
        for table in 0..self.keys.len() {
            let mut looks = LOOKS_PER_CALL + LOOKS_PER_EVENT * events;
            while looks > 0 && self.keys[table].ready() > self.ready_keys_max {
                looks -= 1;
                if let Some(slot) = self.keys[table].next_idle() {
                    self.pack(table, slot, all);
                }
            }
            self.spill(table);
        }
    }

    fn pack(&mut self, table: usize, id: SlotId, all: &Compiled) {
        let Self { keys, packing: Packing { key: bytes, value, patterns }, .. } = self;
        let keys = &mut keys[table];
        bytes.clear();
        let slot = keys.slot(id);
        begin_packed(slot.families().byte(), slot.key(), bytes);
        for (pattern, there, lying) in slot.groups() {
            value.clear();
            patterns.clear();
            let automaton = &all.patterns[pattern as usize].automaton;
            lying.show(automaton.plain_start(), |runs| {
                automaton.encode_runs(runs.iter(), value);
                if runs.iter().any(|run| run.patterns() != 1) {
                    patterns.extend(runs.iter().map(|run| u8::try_from(run.patterns().count_ones()).expect("few")));
                }
            });
            Entry { pattern, there, value, patterns }.write(bytes);
        }
        for (pattern, cell) in slot.cells() {
            let cell = keys.cell_at(cell);
            value.clear();
            match &cell.log {
                Some(log) => log.encode(value),
                None => cell.pending.encode(&all.patterns[pattern as usize].automaton, value),
            }
            Entry { pattern, there: cell.stored.is_there.into(), value, patterns: &[] }.write(bytes);
        }
        keys.pack(id, bytes);
    }

    /// Takes up what a store has of a key.
    pub(super) fn restore(&mut self, pattern: u32, (hash, key): (u64, &[u8]), value: &[u8], all: &Compiled) -> Result<(), Malformed> {
        let (table, outline, is_of_family) = match all.log(pattern) {
            Some(log) => {
                self.keys[log.table].enter_noted();
                let outline = outline_log(log, value)?;
                if let LogPart::Segment(segment) = LogPart::of(value)? {
                    // Else events have come to the key meanwhile: it had all that there was, or has made the segment itself.
                    if self.segments_left(log.table, pattern, (hash, key)).contains(&segment) {
                        self.add_segments(log.table, pattern, (hash, key), [value]);
                    }
                    return Ok(());
                }
                (log.table, outline, false)
            }
            None => {
                let compiled = &all.patterns[pattern as usize];
                let stepping = compiled.stepping(&self.limits, &mut self.workspaces[pattern as usize], None);
                (compiled.table, outline_state(stepping, value)?, compiled.first.is_some())
            }
        };
        let Some(Outline { runs, next }) = outline else { return Ok(()) };
        self.counters.key_made();
        self.counters.live_runs += runs as u64;
        let notes = self.keys[table].notes(pattern);
        self.bring_back(table, (hash, key));
        let keys = &mut self.keys[table];
        let families = if is_of_family { Families::AsStored } else { Families::Together };
        let entry = Entry { pattern, there: 1, value, patterns: &[] };
        let bytes = &mut self.packing.key;
        bytes.clear();
        let found = if notes { None } else { keys.find(hash, key) };
        match found {
            None => {
                begin_packed(families.byte(), key, bytes);
                entry.write(bytes);
                keys.add_packed(hash, bytes, next);
            }
            Some(Found::Packed(id)) => {
                let before = Families::of_byte(keys.packed(id)[0]);
                let families = if families == Families::Together { before } else { families };
                entry.write(bytes);
                keys.add_to_packed(id, families.byte(), bytes, next);
            }
            Some(Found::Ready(_)) => unreachable!("what a store has of a key is taken up before events come to it"),
        }
        self.spill(table);
        Ok(())
    }

    /// Of a packed key whose log lacks these, the next ones. (Together: to add them one by one would copy all of a long log for each.)
    pub(super) fn add_segments<'a>(&mut self, table: usize, number: u32, (hash, key): (u64, &[u8]), values: impl IntoIterator<Item = &'a [u8]>) {
        let Some(Found::Packed(id)) = self.keys[table].find(hash, key) else { unreachable!("segments are left of a packed key") };
        let bytes = &mut self.packing.key;
        bytes.clear();
        for value in values {
            Entry { pattern: number, there: 1, value, patterns: &[] }.write(bytes);
        }
        let families = self.keys[table].packed(id)[0];
        self.keys[table].add_to_packed(id, families, bytes, EventTime::END);
        self.spill(table);
    }

    /// A key that is elsewhere is packed here from now on.
    fn bring_back(&mut self, table: usize, (hash, key): (u64, &[u8])) {
        if !self.spilling.is_empty(table)
            && self.keys[table].find(hash, key).is_none()
            && let Some(cold) = self.take_cold(table, key)
        {
            self.keys[table].add_packed(hash, &cold.bytes, cold.timer);
        }
    }

    /// The segments of a log that a packed key does not have yet.
    pub(super) fn segments_left(&mut self, table: usize, number: u32, (hash, key): (u64, &[u8])) -> Range<u64> {
        self.bring_back(table, (hash, key));
        let Some(Found::Packed(id)) = self.keys[table].find(hash, key) else { return 0..0 };
        let mut reader = Reader::new(self.keys[table].packed(id));
        reader.byte("families").expect(WHOLE);
        reader.bytes("key").expect(WHOLE);
        let (mut all, mut known) = (0..0, 0);
        while !reader.is_at_end() {
            let entry = Entry::read(&mut reader).expect(WHOLE);
            if entry.pattern == number {
                match LogPart::of(entry.value).expect(WHOLE) {
                    LogPart::Log(segments) => all = segments,
                    LogPart::Segment(_) => known += 1,
                }
            }
        }
        all.start + known..all.end
    }
}

impl<'a> Entry<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        write_unsigned(self.pattern.into(), out);
        write_unsigned(self.there.into(), out);
        write_bytes(self.value, out);
        write_bytes(self.patterns, out);
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let pattern = u32::try_from(reader.unsigned("pattern")?).map_err(|_| reader.malformed("pattern"))?;
        let there = Members::try_from(reader.unsigned("bits")?).map_err(|_| reader.malformed("bits"))?;
        Ok(Self { pattern, there, value: reader.bytes("value")?, patterns: reader.bytes("patterns of runs")? })
    }
}

impl Families {
    fn byte(self) -> u8 {
        match self {
            Self::Together => 0,
            Self::AsStored => 1,
            Self::Apart => 2,
        }
    }

    fn of_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Together,
            1 => Self::AsStored,
            _ => Self::Apart,
        }
    }
}
