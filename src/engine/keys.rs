//! The keys of the patterns that share them, in one shard: which have runs or events that a window counts, when time next decides something, and which changed
//! since the store was written.
//!
//! A *slot* is a key; it names a *cell* for each pattern that holds something of the key. Slots are found by the hash of the key's bytes; nothing iterates
//! the hash table. There is a cell only while it holds something, or while the store still has a value for it that the next flush deletes; and a slot
//! only while it has a cell.
//!
//! Timers: each cell knows the least that is set for it; others are stale, and a timer that comes too early is looked at and set again. A timer whose
//! cell is gone finds nothing to do, also where the cell is another key's by now.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::Pending;
use crate::engine::counters::Counters;
use crate::engine::timers::Timers;
use crate::engine::windowed::WindowedEvents;
use crate::event::{Directory, EventTime};

/// Place among the slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SlotId(u32);

/// Place among the cells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CellId(u32);

#[derive(Debug, Default)]
pub(super) struct Keys {
    found: Directory,
    slots: Blocks<Slot>,
    cells: Blocks<Cell>,
    timers: Timers<CellId>,
    /// Cells that changed; some may be gone.
    changed: Vec<CellId>,
}

#[derive(Debug, Default)]
struct Slot {
    key: SmallVec<[u8; 16]>,
    /// By pattern. None: vacant.
    cells: SmallVec<[(u32, CellId); 2]>,
}

/// What a pattern holds of a key.
#[derive(Debug)]
pub(super) struct Cell {
    slot: SlotId,
    pattern: u32,
    /// Among [`Keys::changed`].
    is_changed: bool,
    /// The store has a value for it.
    is_stored: bool,
    /// Its least timer; the end of time: none.
    timer: EventTime,
    pub pending: Pending,
    /// `None` where the pattern asks for no windows.
    pub windowed: Option<Box<WindowedEvents>>,
}

/// Of no slot: vacant, or not yet put into one.
impl Default for Cell {
    fn default() -> Self {
        Self { slot: SlotId(u32::MAX), pattern: 0, is_changed: false, is_stored: false, timer: EventTime::END, pending: Pending::default(), windowed: None }
    }
}

/// So many changes are noted without asking which of them are of cells that are gone.
const CHANGED_MIN: usize = 1024;

/// What a cell held before it was stepped.
#[derive(Clone, Copy)]
pub(super) struct Before {
    runs: usize,
    dropped: u64,
}

impl Cell {
    pub(super) fn pattern(&self) -> u32 {
        self.pattern
    }

    fn is_vacant(&self) -> bool {
        self.slot == SlotId(u32::MAX)
    }

    /// Neither runs nor events that a window counts.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.windowed.as_ref().is_none_or(|windowed| windowed.is_empty())
    }

    /// When time next decides or removes something.
    fn next_deadline(&self) -> EventTime {
        let windows = self.windowed.as_ref().map_or(EventTime::END, |windowed| windowed.end());
        self.pending.next_deadline().map_or(windows, |pending| pending.min(windows))
    }

    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.next_deadline() <= instant
    }

    /// What holds nothing is as good as new: what the limit dropped is forgotten.
    pub(super) fn forget_if_empty(&mut self, before: &mut Before, counters: &mut Counters) {
        if self.is_empty() {
            counters.runs_dropped += self.pending.runs_dropped().saturating_sub(before.dropped);
            self.pending.clear();
            self.windowed = None;
            before.dropped = 0;
        }
    }

    pub(super) fn before(&self) -> Before {
        Before { runs: self.pending.len(), dropped: self.pending.runs_dropped() }
    }
}

/// The hash by which keys are found and spread over shards.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl Keys {
    /// Allocates nothing.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<SlotId> {
        self.found.find(hash, |number| *self.slots.at(number).key == *key).map(SlotId)
    }

    /// The cell of a pattern.
    pub(super) fn find_cell(&self, id: SlotId, pattern: u32) -> Option<CellId> {
        let cells = &self.slots.at(id.0).cells;
        cells.binary_search_by_key(&pattern, |(of, _)| *of).ok().map(|place| cells[place].1)
    }

    pub(super) fn key_of(&self, id: CellId) -> &[u8] {
        &self.slots.at(self.cells.at(id.0).slot.0).key
    }

    pub(super) fn cell(&mut self, id: CellId) -> &mut Cell {
        self.cells.at_mut(id.0)
    }

    /// Puts a cell of a pattern into a slot, made for it if there is none.
    pub(super) fn put(&mut self, known: Option<SlotId>, hash: u64, key: &[u8], pattern: u32, cell: Cell, counters: &mut Counters) -> (SlotId, CellId) {
        counters.keys_made += 1;
        counters.live_keys += 1;
        let slot = known.unwrap_or_else(|| self.make(hash, key));
        let id = CellId(self.cells.add(Cell { slot, pattern, ..cell }));
        let cells = &mut self.slots.at_mut(slot.0).cells;
        let after = cells.partition_point(|(of, _)| *of < pattern);
        cells.insert(after, (pattern, id));
        (slot, id)
    }

    fn make(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let id = self.slots.add(Slot { key: SmallVec::from_slice(key), cells: SmallVec::new() });
        let Self { found, slots, .. } = self;
        found.insert(hash, id, |number| key_hash(&slots.at(number).key));
        SlotId(id)
    }

    /// A cell was stepped: notes the change and the next deadline, and lets go of what holds nothing. False if the slot is gone.
    pub(super) fn settle(&mut self, id: CellId, before: Before, counters: &mut Counters) -> bool {
        let cell = self.cell(id);
        counters.live_runs = counters.live_runs + cell.pending.len() as u64 - before.runs as u64;
        counters.runs_dropped += cell.pending.runs_dropped().saturating_sub(before.dropped);
        if cell.is_empty() {
            // Forgets what the limit dropped as well: whether the store still has the key must not show.
            cell.pending.clear();
            cell.windowed = None;
            if !cell.is_stored {
                return self.remove(id, counters);
            }
        }
        let was_changed = std::mem::replace(&mut cell.is_changed, true);
        if !was_changed {
            self.note_change(id);
        }
        self.arm(id);
        true
    }

    /// Where nobody takes the changes, there are still no more of them than twice the cells.
    fn note_change(&mut self, id: CellId) {
        if self.changed.len() >= CHANGED_MIN.max(2 * self.cells.len() as usize) {
            let Self { changed, cells, .. } = self;
            changed.retain(|id| std::mem::take(&mut cells.at_mut(id.0).is_changed));
            changed.iter().for_each(|id| cells.at_mut(id.0).is_changed = true);
            self.cell(id).is_changed = true;
        }
        self.changed.push(id);
    }

    /// The next cell with a deadline at or before `instant`; these are to be decided, and then it is to be [settled](Keys::settle).
    pub(super) fn next_due(&mut self, instant: EventTime) -> Option<CellId> {
        while let Some((at, id)) = self.timers.next_due(instant) {
            let cell = self.cell(id);
            if cell.timer != at || cell.is_vacant() {
                continue;
            }
            cell.timer = EventTime::END;
            if cell.is_due(instant) {
                return Some(id);
            }
            self.arm(id);
        }
        None
    }

    /// Forgets everything that is alive, at the end of time.
    pub(super) fn end(&mut self, counters: &mut Counters) {
        for id in (0..self.cells.len()).map(CellId) {
            let cell = self.cell(id);
            cell.timer = EventTime::END;
            if !cell.is_vacant() && !cell.is_empty() {
                let before = cell.before();
                cell.pending.clear();
                cell.windowed = None;
                self.settle(id, before, counters);
            }
        }
        self.timers.clear();
    }

    /// Visits what has changed since the last time, with the pattern and the key; `None` where the cell holds nothing any more and the store has something.
    pub(super) fn take_changed(&mut self, counters: &mut Counters, mut visit: impl FnMut(u32, &[u8], Option<&Cell>)) {
        for id in std::mem::take(&mut self.changed) {
            let cell = self.cell(id);
            if !std::mem::take(&mut cell.is_changed) {
                continue;
            }
            let is_empty = cell.is_empty();
            cell.is_stored = !is_empty;
            let cell = self.cells.at(id.0);
            visit(cell.pattern, self.key_of(id), (!is_empty).then_some(cell));
            if is_empty {
                self.remove(id, counters);
            }
        }
    }

    /// Lets the changes go unwritten, where nothing is kept.
    pub(super) fn discard_changed(&mut self, counters: &mut Counters) {
        let mut changed = std::mem::take(&mut self.changed);
        for id in changed.drain(..) {
            let cell = self.cell(id);
            if std::mem::take(&mut cell.is_changed) && cell.is_empty() {
                self.remove(id, counters);
            }
        }
        self.changed = changed;
    }

    /// Takes up what the store has for a key.
    pub(super) fn restore(&mut self, pattern: u32, key: &[u8], pending: Pending, windowed: Option<Box<WindowedEvents>>, counters: &mut Counters) {
        let hash = key_hash(key);
        let known = self.find(hash, key);
        let there = known.and_then(|slot| self.find_cell(slot, pattern));
        let id = there.unwrap_or_else(|| self.put(known, hash, key, pattern, Cell::default(), counters).1);
        let cell = self.cell(id);
        cell.is_stored = true;
        let before = cell.pending.len();
        cell.pending = pending;
        cell.windowed = windowed;
        counters.live_runs = counters.live_runs + cell.pending.len() as u64 - before as u64;
        self.arm(id);
    }

    #[cfg(test)]
    pub(super) fn changes_noted(&self) -> usize {
        self.changed.len()
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty() && self.changed.is_empty() && self.slots.is_empty() && self.cells.is_empty()
    }

    fn arm(&mut self, id: CellId) {
        let cell = self.cell(id);
        let deadline = cell.next_deadline();
        if deadline < cell.timer {
            cell.timer = deadline;
            self.timers.set(deadline, id);
        }
    }

    /// False if the slot is gone with it.
    fn remove(&mut self, id: CellId, counters: &mut Counters) -> bool {
        counters.live_keys -= 1;
        let Cell { slot: SlotId(slot_number), pattern, .. } = self.cells.remove(id.0);
        let slot = self.slots.at_mut(slot_number);
        let place = slot.cells.binary_search_by_key(&pattern, |(of, _)| *of).unwrap_or_else(|_| panic!("a cell is removed once"));
        slot.cells.remove(place);
        if !slot.cells.is_empty() {
            return true;
        }
        let Slot { key, .. } = self.slots.remove(slot_number);
        self.found.remove(key_hash(&key), slot_number);
        false
    }
}

/// Things that never move, by number. It grows block by block, and gives numbers out again.
#[derive(Debug)]
struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    vacant: Vec<u32>,
}

const BLOCK_BITS: u32 = 12;

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), vacant: Vec::new() }
    }
}

impl<T: Default> Blocks<T> {
    fn at(&self, number: u32) -> &T {
        &self.blocks[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    fn at_mut(&mut self, number: u32) -> &mut T {
        &mut self.blocks[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    /// Numbers given out so far, those of vacant places among them.
    fn len(&self) -> u32 {
        let before = self.blocks.len().saturating_sub(1) << BLOCK_BITS;
        u32::try_from(before + self.blocks.last().map_or(0, Vec::len)).expect("fewer keys than 32 bits count")
    }

    fn add(&mut self, thing: T) -> u32 {
        if let Some(number) = self.vacant.pop() {
            *self.at_mut(number) = thing;
            return number;
        }
        if self.blocks.last().is_none_or(|block| block.len() == 1 << BLOCK_BITS) {
            self.blocks.push(Vec::new());
        }
        let number = self.len();
        self.blocks.last_mut().expect("just made if there was none").push(thing);
        number
    }

    /// Its place is vacant from now on.
    fn remove(&mut self, number: u32) -> T {
        self.vacant.push(number);
        std::mem::take(self.at_mut(number))
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.vacant.len() == self.len() as usize
    }
}
