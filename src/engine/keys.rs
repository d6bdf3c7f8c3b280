//! The keys of the patterns that share them, in one shard: which have runs or events that a window counts, when time next decides something, and which changed
//! since the store was written.
//!
//! A *slot* is a key; in it lies a *cell* for each pattern that holds something of the key. Slots are found by the hash of the key's bytes; nothing iterates
//! the hash table. There is a cell only while it holds something, or while the store still has a value for it that the next flush deletes; and a slot
//! only while it has a cell.
//!
//! Timers: each cell knows the least that is set for it; others are stale, and a timer that comes too early is looked at and set again. A timer whose
//! cell is gone finds nothing.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::Runs;
use crate::engine::counters::Counters;
use crate::engine::timers::Timers;
use crate::engine::windowed::WindowedEvents;
use crate::event::{Directory, EventTime};

/// Place among the slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SlotId(u32);

/// Which cell: its key, and the pattern's place.
pub(super) type CellId = (SlotId, u32);

#[derive(Debug, Default)]
pub(super) struct Keys {
    found: Directory,
    slots: Slots,
    vacant: Vec<SlotId>,
    timers: Timers<CellId>,
    /// Cells that changed; some may be gone.
    changed: Vec<CellId>,
}

#[derive(Debug, Default)]
struct Slot {
    key: SmallVec<[u8; 16]>,
    /// None: vacant.
    cells: SmallVec<[Cell; 1]>,
}

/// What a pattern holds of a key.
#[derive(Debug)]
pub(super) struct Cell {
    pattern: u32,
    /// Among [`Keys::changed`].
    is_changed: bool,
    /// The store has a value for it.
    is_stored: bool,
    /// Its least timer; the end of time: none.
    timer: EventTime,
    pub runs: Runs,
    /// `None` where the pattern asks for no windows.
    pub windowed: Option<Box<WindowedEvents>>,
}

/// What a cell held before it was stepped.
#[derive(Clone, Copy)]
pub(super) struct Before {
    runs: usize,
    dropped: u64,
}

impl Cell {
    pub(super) fn new(pattern: u32) -> Self {
        Self { pattern, is_changed: false, is_stored: false, timer: EventTime::END, runs: Runs::default(), windowed: None }
    }

    /// Neither runs nor events that a window counts.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.windowed.as_ref().is_none_or(|windowed| windowed.is_empty())
    }

    /// When time next decides or removes something.
    fn next_deadline(&self) -> EventTime {
        let windows = self.windowed.as_ref().map_or(EventTime::END, |windowed| windowed.end());
        self.runs.next_deadline().map_or(windows, |runs| runs.min(windows))
    }

    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.next_deadline() <= instant
    }

    /// What holds nothing is as good as new: what the limit dropped is forgotten.
    pub(super) fn forget_if_empty(&mut self, before: &mut Before, counters: &mut Counters) {
        if self.is_empty() {
            counters.runs_dropped += self.runs.runs_dropped().saturating_sub(before.dropped);
            self.runs.clear();
            self.windowed = None;
            before.dropped = 0;
        }
    }

    pub(super) fn before(&self) -> Before {
        Before { runs: self.runs.len(), dropped: self.runs.runs_dropped() }
    }
}

/// The hash by which keys are found and spread over shards.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl Keys {
    /// Allocates nothing.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<SlotId> {
        self.found.find(hash, |number| *self.slots.at(SlotId(number)).key == *key).map(SlotId)
    }

    pub(super) fn key(&self, id: SlotId) -> &[u8] {
        &self.slots.at(id).key
    }

    pub(super) fn cell(&mut self, (id, pattern): CellId) -> Option<&mut Cell> {
        self.slots.at_mut(id).cells.iter_mut().find(|cell| cell.pattern == pattern)
    }

    /// Puts a cell that was not there into a slot, made for it if there is none.
    pub(super) fn put(&mut self, known: Option<SlotId>, hash: u64, key: &[u8], cell: Cell, counters: &mut Counters) -> CellId {
        counters.keys_made += 1;
        counters.live_keys += 1;
        let id = known.unwrap_or_else(|| self.make(hash, key));
        let of = (id, cell.pattern);
        self.slots.at_mut(id).cells.push(cell);
        of
    }

    fn make(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let id = self.vacant.pop().unwrap_or_else(|| self.slots.add());
        self.slots.at_mut(id).key = SmallVec::from_slice(key);
        let Self { found, slots, .. } = self;
        found.insert(hash, id.0, |number| key_hash(&slots.at(SlotId(number)).key));
        id
    }

    /// A cell was stepped: notes the change and the next deadline, and lets go of what holds nothing. False if the slot is gone.
    pub(super) fn settle(&mut self, of: CellId, before: Before, counters: &mut Counters) -> bool {
        let cell = self.cell(of).expect("a cell that was stepped is there");
        counters.live_runs = counters.live_runs + cell.runs.len() as u64 - before.runs as u64;
        counters.runs_dropped += cell.runs.runs_dropped().saturating_sub(before.dropped);
        if cell.is_empty() {
            // Forgets what the limit dropped as well: whether the store still has the key must not show.
            cell.runs.clear();
            cell.windowed = None;
            if !cell.is_stored {
                return self.remove(of, counters);
            }
        }
        let was_changed = std::mem::replace(&mut cell.is_changed, true);
        if !was_changed {
            self.changed.push(of);
        }
        self.arm(of);
        true
    }

    /// The next cell with a deadline at or before `instant`; these are to be decided, and then it is to be [settled](Keys::settle).
    pub(super) fn next_due(&mut self, instant: EventTime) -> Option<CellId> {
        while let Some((at, of)) = self.timers.next_due(instant) {
            let Some(cell) = self.cell(of).filter(|cell| cell.timer == at) else { continue };
            cell.timer = EventTime::END;
            if cell.is_due(instant) {
                return Some(of);
            }
            self.arm(of);
        }
        None
    }

    /// Forgets everything that is alive, at the end of time.
    pub(super) fn end(&mut self, counters: &mut Counters) {
        let ids: Vec<CellId> = self.slots.cells().collect();
        for of in ids {
            let cell = self.cell(of).expect("just listed");
            cell.timer = EventTime::END;
            if !cell.is_empty() {
                let before = cell.before();
                cell.runs = Runs::default();
                cell.windowed = None;
                self.settle(of, before, counters);
            }
        }
        self.timers.clear();
    }

    /// Visits what has changed since the last time, with the key; `None` where the cell holds nothing any more and the store has something.
    pub(super) fn take_changed(&mut self, counters: &mut Counters, mut visit: impl FnMut(u32, &[u8], Option<&Cell>)) {
        for of in std::mem::take(&mut self.changed) {
            let Some(cell) = self.cell(of).filter(|cell| cell.is_changed) else { continue };
            cell.is_changed = false;
            if cell.is_empty() {
                visit(of.1, self.key(of.0), None);
                self.remove(of, counters);
            } else {
                cell.is_stored = true;
                let slot = self.slots.at(of.0);
                visit(of.1, &slot.key, slot.cells.iter().find(|cell| cell.pattern == of.1));
            }
        }
    }

    /// Lets the changes go unwritten, where nothing is kept.
    pub(super) fn discard_changed(&mut self, counters: &mut Counters) {
        let mut changed = std::mem::take(&mut self.changed);
        for of in changed.drain(..) {
            let Some(cell) = self.cell(of).filter(|cell| cell.is_changed) else { continue };
            cell.is_changed = false;
            if cell.is_empty() {
                self.remove(of, counters);
            }
        }
        self.changed = changed;
    }

    /// Takes up what the store has for a key.
    pub(super) fn restore(&mut self, pattern: u32, key: &[u8], runs: Runs, windowed: Option<Box<WindowedEvents>>, counters: &mut Counters) {
        let hash = key_hash(key);
        let known = self.find(hash, key);
        let there = known.map(|id| (id, pattern)).filter(|of| self.cell(*of).is_some());
        let of = there.unwrap_or_else(|| self.put(known, hash, key, Cell::new(pattern), counters));
        let cell = self.cell(of).expect("just made, or there before");
        cell.is_stored = true;
        let before = cell.runs.len();
        cell.runs = runs;
        cell.windowed = windowed;
        counters.live_runs = counters.live_runs + cell.runs.len() as u64 - before as u64;
        self.arm(of);
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty() && self.changed.is_empty() && self.slots.cells().next().is_none()
    }

    fn arm(&mut self, of: CellId) {
        let cell = self.cell(of).expect("a cell is armed while it is there");
        let deadline = cell.next_deadline();
        if deadline < cell.timer {
            cell.timer = deadline;
            self.timers.set(deadline, of);
        }
    }

    /// False if the slot is gone with it.
    fn remove(&mut self, (id, pattern): CellId, counters: &mut Counters) -> bool {
        counters.live_keys -= 1;
        let slot = self.slots.at_mut(id);
        let place = slot.cells.iter().position(|cell| cell.pattern == pattern).expect("a cell is removed once");
        slot.cells.swap_remove(place);
        if !slot.cells.is_empty() {
            return true;
        }
        let hash = key_hash(&slot.key);
        *slot = Slot::default();
        self.found.remove(hash, id.0);
        self.vacant.push(id);
        false
    }
}

/// A list that grows block by block: what is there never moves.
#[derive(Debug, Default)]
struct Slots(Vec<Vec<Slot>>);

const BLOCK_BITS: u32 = 12;

impl Slots {
    fn at(&self, SlotId(number): SlotId) -> &Slot {
        &self.0[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    fn at_mut(&mut self, SlotId(number): SlotId) -> &mut Slot {
        &mut self.0[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    fn add(&mut self) -> SlotId {
        let is_full = |block: &Vec<Slot>| block.len() == 1 << BLOCK_BITS;
        if self.0.last().is_none_or(is_full) {
            self.0.push(Vec::new());
        }
        let before = (self.0.len() - 1) << BLOCK_BITS;
        let block = self.0.last_mut().expect("just made if there was none");
        block.push(Slot::default());
        SlotId(u32::try_from(before + block.len() - 1).expect("fewer keys than 32 bits count"))
    }

    fn cells(&self) -> impl Iterator<Item = CellId> {
        let numbered = (0..).zip(self.0.iter().flatten());
        numbered.flat_map(|(number, slot)| slot.cells.iter().map(move |cell| (SlotId(number), cell.pattern)))
    }
}
