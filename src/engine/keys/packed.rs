//! Keys that no event has come to for a while: each as one string of bytes, until an event or its timer comes, or it leaves memory.
//!
//! A packed key has neither slot nor cells, and nothing of it is among the changes. What the bytes say of it is its owner's affair
//! (`engine::shard::packing`); here they begin with the key:
//!
//! | bytes | |
//! |---|---|
//! | 1 | free to use |
//! | length, bytes | the key |
//! | the rest | free to use |

use crate::engine::blocks::{Blocks, NUMBER_BITS};
use crate::engine::cold::ColdKey;
use crate::engine::keys::{Keys, hash_of, key_hash};
use crate::engine::slot::{CellId, Notes, Slot, SlotId};
use crate::engine::timers::{self, Timers};
use crate::event::EventTime;
use crate::event::binary::{Reader, write_bytes};

/// Place among the packed keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::engine) struct PackedId(pub u32);

/// Where a key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Found {
    Ready(SlotId),
    Packed(PackedId),
}

#[derive(Debug, Default)]
pub(super) struct PackedKeys {
    keys: Blocks<Packed>,
    timers: Timers,
    /// The one that is looked at next for whether it is to leave memory.
    cold_hand: u32,
}

#[derive(Debug)]
struct Packed {
    /// None: vacant.
    bytes: Box<[u8]>,
    /// The end of time: none.
    timer: EventTime,
}

/// How a store is taken up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Noting {
    #[default]
    Nothing,
    /// All keys are noted ones of this pattern.
    Of(u32),
    Over,
}

/// Vacant.
impl Default for Packed {
    fn default() -> Self {
        Self { bytes: Box::default(), timer: EventTime::END }
    }
}

/// Marks the numbers of packed keys in the directory.
const PACKED: u32 = 1 << NUMBER_BITS;

impl Found {
    pub(super) fn of_number(number: u32) -> Self {
        if number & PACKED == 0 { Self::Ready(SlotId(number)) } else { Self::Packed(PackedId(number & !PACKED)) }
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Self::Ready(id) => id.0,
            Self::Packed(id) => id.0 | PACKED,
        }
    }
}

impl PackedKeys {
    pub(super) fn key(&self, id: PackedId) -> &[u8] {
        packed_key(&self.keys.at(id.0).bytes)
    }

    pub(super) fn none_due_before(&self) -> EventTime {
        self.timers.none_before()
    }

    /// Without a timer.
    fn add(&mut self, bytes: &[u8]) -> PackedId {
        PackedId(self.keys.add(Packed { bytes: bytes.into(), timer: EventTime::END }))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.timers.is_empty()
    }
}

pub(in crate::engine) fn packed_key(bytes: &[u8]) -> &[u8] {
    Reader::new(&bytes[1..]).bytes("key").expect("a packed key begins with it")
}

/// What is packed of a key that has nothing yet.
pub(in crate::engine) fn begin_packed(first: u8, key: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    write_bytes(key, out);
}

impl Keys {
    /// Ready keys that are there.
    pub(in crate::engine) fn ready(&self) -> usize {
        self.slots.in_use() as usize
    }

    /// Goes on by one around the slots, and returns it if no event has come to it since the last time around and nothing of it has to be told to the store.
    pub(in crate::engine) fn next_idle(&mut self) -> Option<SlotId> {
        let id = SlotId(self.idle_hand);
        self.idle_hand = if id.0 + 1 < self.slots.len() { id.0 + 1 } else { 0 };
        let was_touched = self.slots.at_mut(id.0).set_note(Notes::TOUCHED, false);
        let slot = self.slots.at(id.0);
        let is_idle =
            !was_touched && !slot.is_vacant() && !slot.notes().has(Notes::CHANGED) && slot.cells().all(|(_, cell)| !self.cells.at(cell.0).stored.is_changed);
        is_idle.then_some(id)
    }

    /// The slot and its cells give way to bytes, which say all of them.
    pub(in crate::engine) fn pack(&mut self, id: SlotId, bytes: &[u8]) {
        let slot = self.slots.remove(id.0);
        let cells: Vec<CellId> = slot.cells().map(|(_, cell)| cell).collect();
        let timer = cells.into_iter().fold(slot.timer(), |least, cell| least.min(self.cells.remove(cell.0).timer));
        let packed = self.packed.add(bytes);
        self.found.renumber(key_hash(slot.key()), Found::Ready(id).number(), Found::Packed(packed).number());
        self.set_packed_timer(packed, timer);
    }

    /// Of a key that is not there. While keys are [noted](Keys::notes) it is not found before [`Keys::enter_noted`].
    pub(in crate::engine) fn add_packed(&mut self, hash: u64, bytes: &[u8], deadline: EventTime) {
        let id = self.packed.add(bytes);
        match self.noting {
            Noting::Of(_) => self.found.note(hash, Found::Packed(id).number()),
            Noting::Nothing | Noting::Over => self.enter(hash, Found::Packed(id)),
        }
        self.set_packed_timer(id, deadline);
    }

    /// Whether keys of this pattern are noted: they are sure not to be there, since no other's have been taken up. Else all keys are found from now on.
    pub(in crate::engine) fn notes(&mut self, pattern: u32) -> bool {
        if let Noting::Nothing = self.noting {
            self.noting = Noting::Of(pattern);
        }
        let notes = self.noting == Noting::Of(pattern);
        if !notes {
            self.enter_noted();
        }
        notes
    }

    /// From now on all keys are found.
    pub(in crate::engine) fn enter_noted(&mut self) {
        if self.noting != Noting::Over {
            self.noting = Noting::Over;
            let Self { found, slots, packed, .. } = self;
            found.enter_noted(|number| hash_of(slots, packed, number));
        }
    }

    pub(in crate::engine) fn packed(&self, id: PackedId) -> &[u8] {
        &self.packed.keys.at(id.0).bytes
    }

    /// There is more to be said of it.
    pub(in crate::engine) fn add_to_packed(&mut self, id: PackedId, first: u8, bytes: &[u8], deadline: EventTime) {
        let packed = &mut self.packed.keys.at_mut(id.0).bytes;
        let mut all = std::mem::take(packed).into_vec();
        all.reserve_exact(bytes.len());
        all[0] = first;
        all.extend_from_slice(bytes);
        *packed = all.into_boxed_slice();
        self.set_packed_timer(id, deadline);
    }

    /// The key is ready from now on, with an empty slot; what was said of it is the caller's to put there.
    pub(in crate::engine) fn unpack(&mut self, id: PackedId) -> (SlotId, Box<[u8]>) {
        let Packed { bytes, .. } = self.packed.keys.remove(id.0);
        let key = packed_key(&bytes);
        let slot = SlotId(self.slots.add(Slot::of(key)));
        self.found.renumber(key_hash(key), Found::Packed(id).number(), Found::Ready(slot).number());
        (slot, bytes)
    }

    /// Takes out a packed key whose timer is at or before the instant. `None`: there is none, or no `looks` are left.
    pub(in crate::engine) fn next_packed_due(&mut self, instant: EventTime, looks: &mut usize) -> Option<PackedId> {
        let PackedKeys { keys, timers: set, .. } = &mut self.packed;
        let when = |number| keys.at(number).timer;
        set.sweep(keys.len() as usize, when);
        std::iter::from_fn(|| set.next_due(instant, looks, when)).find(|number| timers::is_due(when(*number), instant)).map(PackedId)
    }

    pub(in crate::engine) fn packed_len(&self) -> usize {
        self.packed.keys.in_use() as usize
    }

    /// Goes on around the packed keys, and takes one out. `None`: there is none.
    pub(in crate::engine) fn next_cold(&mut self) -> Option<ColdKey> {
        let packed = &mut self.packed;
        if packed.keys.in_use() == 0 {
            return None;
        }
        loop {
            let id = packed.cold_hand;
            packed.cold_hand = if id + 1 < packed.keys.len() { id + 1 } else { 0 };
            if !packed.keys.at(id).bytes.is_empty() {
                let Packed { bytes, timer } = packed.keys.remove(id);
                self.found.remove(key_hash(packed_key(&bytes)), Found::Packed(PackedId(id)).number());
                return Some(ColdKey { timer, bytes });
            }
        }
    }

    pub(in crate::engine) fn all_packed(&self) -> Vec<PackedId> {
        (0..self.packed.keys.len()).map(PackedId).filter(|id| !self.packed(*id).is_empty()).collect()
    }

    fn set_packed_timer(&mut self, id: PackedId, deadline: EventTime) {
        let timer = &mut self.packed.keys.at_mut(id.0).timer;
        if deadline < *timer {
            *timer = deadline;
            self.packed.timers.set(deadline, id.0);
        }
    }
}
