//! A key, and what the patterns that share it hold of it.
//!
//! Most keys have a few runs of few patterns. These lie in the slot itself, in groups by pattern: a start then makes nothing, and what an event must look at lies together.
//! What needs more has a *cell* of its own: very many runs, choices kept together, windows, what a limit has dropped.
//!
//! A [family](super::family) has one group, unless its patterns are apart here.
//!
//! Invariants: a pattern has a group or a cell, never both; groups ascend by pattern, their runs stand in the order of the groups; a group without runs is one of which the store
//! still has a value; a slot is only there while it has a group or a cell.

use std::ops::Range;

use smallvec::SmallVec;

use crate::automaton::{Pending, Run};
use crate::engine::counters::Counters;
use crate::engine::windowed::WindowedEvents;
use crate::event::EventTime;

/// Place among the slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SlotId(pub u32);

/// Place among the cells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CellId(pub u32);

#[derive(Debug)]
pub(super) struct Slot {
    pub key: SmallVec<[u8; 16]>,
    pub groups: SmallVec<[Group; 1]>,
    pub runs: SmallVec<[Run; 1]>,
    /// By pattern; `None`: there is none.
    #[expect(clippy::box_collection, reason = "most slots have none, and are smaller so")]
    cells: Option<Box<Vec<(u32, CellId)>>>,
    /// Its least timer; the end of time: none.
    pub timer: EventTime,
    /// Among the changes: one of the groups is.
    pub is_changed: bool,
    pub families: Families,
}

/// Where a slot keeps what the patterns of families have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Families {
    /// In one group for each family.
    #[default]
    Together,
    /// Each pattern has its own group or cell, as it was read from the store: they may be put together.
    AsStored,
    /// Each pattern has its own group or cell.
    Apart,
}

/// The runs of one pattern, or of a family of them, under its first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub pattern: u32,
    pub runs: u16,
    /// The patterns, a bit each, of which something is not yet told to the store; of a family more than the first.
    pub changed: u64,
    /// Those of which the store has a value.
    pub there: u64,
    /// The least of its runs, which lie elsewhere; the end of time: none.
    pub deadline: EventTime,
}

impl Group {
    /// Without runs so far.
    pub(super) fn of(pattern: u32) -> Self {
        Self { pattern, runs: 0, changed: 0, there: 0, deadline: EventTime::END }
    }

    /// At the end of time all that has runs is.
    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.runs > 0 && self.deadline <= instant
    }
}

/// The place of a pattern's group, or where it would stand, and the places of its runs.
pub(super) type FoundGroup = (Result<usize, usize>, Range<usize>);

/// How a cell stands with the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    /// Not yet told.
    pub is_changed: bool,
    /// The store has a value.
    pub is_there: bool,
}

/// So many runs of a pattern may lie in a slot.
pub(super) const RUNS_MAX: usize = 64;

/// What a pattern holds of a key that needs more than a group.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) slot: SlotId,
    pub(super) pattern: u32,
    pub(super) stored: Stored,
    /// Its least timer; the end of time: none.
    pub(super) timer: EventTime,
    pub pending: Pending,
    /// `None` where the pattern asks for no windows.
    pub windowed: Option<Box<WindowedEvents>>,
}

/// What a cell held before it was stepped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) runs: usize,
    pub(super) dropped: u64,
}

impl Before {
    /// It was stepped, and holds `now`.
    pub(super) fn count_step(self, now: &Pending, counters: &mut Counters) {
        counters.live_runs = counters.live_runs + now.len() as u64 - self.runs as u64;
        counters.runs_dropped += now.runs_dropped().saturating_sub(self.dropped);
    }
}

/// Vacant.
impl Default for Slot {
    fn default() -> Self {
        let (key, groups, runs) = (SmallVec::new(), SmallVec::new(), SmallVec::new());
        Self { key, groups, runs, cells: None, timer: EventTime::END, is_changed: false, families: Families::Together }
    }
}

/// Of no slot: vacant, or not yet put into one.
impl Default for Cell {
    fn default() -> Self {
        Self { slot: SlotId(u32::MAX), pattern: 0, stored: Stored::default(), timer: EventTime::END, pending: Pending::default(), windowed: None }
    }
}

impl Slot {
    pub(super) fn of(key: &[u8]) -> Self {
        Self { key: SmallVec::from_slice(key), ..Self::default() }
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.groups.is_empty() && self.cells.is_none()
    }

    /// Cost: a look at each group.
    pub(super) fn group(&self, pattern: u32) -> FoundGroup {
        let mut first = 0;
        for (place, group) in self.groups.iter().enumerate() {
            let end = first + usize::from(group.runs);
            if group.pattern >= pattern {
                return if group.pattern == pattern { (Ok(place), first..end) } else { (Err(place), first..first) };
            }
            first = end;
        }
        (Err(self.groups.len()), first..first)
    }

    pub(super) fn patterns_with_cells(&self) -> impl Iterator<Item = u32> {
        self.cells.iter().flat_map(|cells| cells.iter()).map(|(pattern, _)| *pattern)
    }

    pub(super) fn cell(&self, pattern: u32) -> Option<CellId> {
        let cells = self.cells.as_ref()?;
        let place = cells.binary_search_by_key(&pattern, |(of, _)| *of).ok()?;
        Some(cells[place].1)
    }

    /// Of a pattern that has no cell here.
    pub(super) fn add_cell(&mut self, pattern: u32, id: CellId) {
        let cells = self.cells.get_or_insert_default();
        let after = cells.partition_point(|(of, _)| *of < pattern);
        cells.insert(after, (pattern, id));
    }

    /// Of a pattern that has a cell here.
    pub(super) fn remove_cell(&mut self, pattern: u32) {
        let cells = self.cells.as_mut().expect("a cell is in its slot");
        let place = cells.binary_search_by_key(&pattern, |(of, _)| *of).expect("a cell is removed once");
        cells.remove(place);
        if cells.is_empty() {
            self.cells = None;
        }
    }

    /// When time next decides or removes some of its runs.
    pub(super) fn next_deadline(&self) -> EventTime {
        self.groups.iter().fold(EventTime::END, |next, group| next.min(group.deadline))
    }

    /// The first pattern from `from` on with a run whose deadline is at or before the instant.
    pub(super) fn next_due(&self, instant: EventTime, from: u32) -> Option<u32> {
        self.groups.iter().find(|group| group.pattern >= from && group.is_due(instant)).map(|group| group.pattern)
    }
}

impl Cell {
    pub(super) fn is_vacant(&self) -> bool {
        self.slot == SlotId(u32::MAX)
    }

    /// Neither runs nor events that a window counts.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.windowed.as_ref().is_none_or(|windowed| windowed.is_empty())
    }

    /// When time next decides or removes something.
    pub(super) fn next_deadline(&self) -> EventTime {
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
            self.clear();
            before.dropped = 0;
        }
    }

    pub(super) fn before(&self) -> Before {
        Before { runs: self.pending.len(), dropped: self.pending.runs_dropped() }
    }

    /// Holds nothing any more, and remembers nothing: what the limit dropped is forgotten with it.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.windowed = None;
    }
}
