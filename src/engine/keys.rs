//! The keys of the patterns that share them, in one shard: where each is found, when time next decides something of it, and what changed
//! since the store was written.
//!
//! [Slots](Slot) are found by the hash of the key's bytes; nothing iterates the hash table. A slot or a cell is there only while it holds something, or while the store
//! still has a value for it that the next flush deletes.
//!
//! Timers: each slot and each cell knows the least that is set for it; others are stale, and a timer that comes too early is looked at and set again. A timer whose
//! place is vacant finds nothing to do, also where the place is another key's by now.

mod families;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::blocks::{Blocks, NUMBER_BITS};
use crate::engine::compiled::Compiled;
use crate::engine::counters::Counters;
use crate::engine::slot::{Before, Cell, CellId, Families, FoundGroup, Group, Slot, SlotId, Stored};
use crate::engine::timers::Timers;
use crate::engine::windowed::WindowedEvents;
use crate::event::{Directory, EventTime};

#[derive(Debug, Default)]
pub(super) struct Keys {
    found: Directory,
    slots: Blocks<Slot>,
    cells: Blocks<Cell>,
    timers: Timers,
    /// What changed; some of it may be gone.
    changed: Vec<PlaceNumber>,
    /// Runs whose time was up, until they are [let go](Keys::let_go).
    dropped: Vec<Run>,
}

/// What timers and changes are noted for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    Slot(SlotId),
    Cell(CellId),
}

/// A place as it is noted: half as large.
type PlaceNumber = u32;

impl Place {
    /// Set where it is a cell's.
    const CELL: u32 = 1 << NUMBER_BITS;

    fn number(self) -> PlaceNumber {
        match self {
            Self::Slot(SlotId(number)) => number,
            Self::Cell(CellId(number)) => number | Self::CELL,
        }
    }

    fn of(number: PlaceNumber) -> Self {
        if number & Self::CELL == 0 { Self::Slot(SlotId(number)) } else { Self::Cell(CellId(number & !Self::CELL)) }
    }
}

/// What a pattern holds of a key, as the store is told.
pub(super) enum Held<'a> {
    Nothing,
    /// Those of that one of the patterns that are kept together.
    Runs(&'a [Run], usize),
    Cell(&'a Cell),
}

/// Where a key is found, or would be.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    pub slot: Option<SlotId>,
    pub hash: u64,
    pub key: &'a [u8],
}

impl<'a> Address<'a> {
    /// Where the slot is known nobody asks for the hash.
    pub(super) fn known(slot: SlotId, key: &'a [u8]) -> Self {
        Self { slot: Some(slot), hash: 0, key }
    }
}

/// So many places are looked at together when time goes on.
const DUE_MAX: usize = 64;

/// So many changes are noted without asking which of them are of places that are gone.
const CHANGED_MIN: usize = 1024;

/// The hash by which keys are found and spread over shards.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl Keys {
    /// Allocates nothing.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<SlotId> {
        self.found.find(hash, |number| *self.slots.at(number).key == *key).map(SlotId)
    }

    pub(super) fn slot(&self, id: SlotId) -> &Slot {
        self.slots.at(id.0)
    }

    pub(super) fn cell(&mut self, id: CellId) -> &mut Cell {
        self.cells.at_mut(id.0)
    }

    pub(super) fn key_of(&self, place: Place) -> &[u8] {
        let slot = match place {
            Place::Slot(id) => id,
            Place::Cell(id) => self.cells.at(id.0).slot,
        };
        &self.slot(slot).key
    }

    /// Takes the slot's timer, if it is due: then deadlines of its runs are to be decided, and the slot is to be [armed](Keys::arm_slot) again.
    pub(super) fn take_due_timer(&mut self, id: SlotId, instant: EventTime) -> bool {
        let timer = &mut self.slots.at_mut(id.0).timer;
        let is_due = *timer <= instant && *timer < EventTime::END;
        if is_due {
            *timer = EventTime::END;
        }
        is_due
    }

    /// Takes the pattern's runs out of the slot, to be stepped and [laid down](Keys::lay_down) again.
    pub(super) fn lift(&mut self, id: SlotId, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        let slot = self.slots.at_mut(id.0);
        let (place, runs) = slot.group(pattern);
        if let Ok(place) = place {
            let group = &mut slot.groups[place];
            (group.runs, group.deadline) = (0, EventTime::END);
            into.put_before(automaton, slot.runs.drain(runs));
        }
    }

    /// Puts away what a pattern holds of the key beside the runs of its group: with them, if so many of the pattern's runs may lie in a slot (`runs_max`), else
    /// in a cell. `held` is as new then. `before` is what was lifted; `patterns`: whom that concerns, a bit each. Returns the slot, if there is one now.
    pub(super) fn lay_down(
        &mut self,
        address: Address<'_>,
        (pattern, patterns): (u32, u64),
        (automaton, runs_max): (&Automaton, usize),
        held: &mut Cell,
        before: Before,
        counters: &mut Counters,
    ) -> Option<SlotId> {
        before.count_step(&held.pending, counters);
        if held.is_empty() {
            held.clear();
            return address.slot.and_then(|id| self.settle_group(id, (pattern, patterns), before, counters));
        }
        let id = address.slot.unwrap_or_else(|| self.make(address.hash, address.key));
        let group = self.slot(id).group(pattern);
        let there = group.1.len();
        if held.windowed.is_none()
            && let Some(lean) = held.pending.lean_runs().filter(|lean| there + lean.len() <= runs_max)
        {
            if before.runs == 0 && there == 0 {
                counters.keys_made += 1;
                counters.live_keys += 1;
            }
            match lean.len() {
                1 => self.add_runs(id, (pattern, patterns), group, lean.pop()),
                _ => self.add_runs(id, (pattern, patterns), group, lean.drain(..)),
            };
            held.clear();
            return Some(id);
        }
        self.move_to_cell(id, pattern, automaton, held, before, counters);
        Some(id)
    }

    /// Adds a run to those of the pattern that lie in the slot, which have room; `group`: as [`Slot::group`] has it. Returns the slot.
    pub(super) fn add_run(&mut self, address: Address<'_>, pattern: u32, group: FoundGroup, run: Run, counters: &mut Counters) -> SlotId {
        let id = address.slot.unwrap_or_else(|| self.make(address.hash, address.key));
        counters.live_runs += 1;
        if group.1.is_empty() {
            counters.keys_made += 1;
            counters.live_keys += 1;
        }
        self.add_runs(id, (pattern, run.patterns()), group, Some(run));
        id
    }

    fn add_runs(&mut self, id: SlotId, (pattern, patterns): (u32, u64), (place, runs): FoundGroup, new: impl IntoIterator<Item = Run>) {
        let slot = self.slots.at_mut(id.0);
        let place = place.unwrap_or_else(|place| {
            slot.groups.insert(place, Group::of(pattern));
            place
        });
        let before = slot.runs.len();
        let mut least = EventTime::END;
        slot.runs.insert_many(runs.end, new.into_iter().inspect(|run| least = least.min(run.deadline())));
        let group = &mut slot.groups[place];
        group.runs += u16::try_from(slot.runs.len() - before).expect("few runs of a pattern lie in a slot");
        group.changed |= patterns;
        group.deadline = group.deadline.min(least);
        self.set_timer(id, least);
        self.note_change(Place::Slot(id));
    }

    fn move_to_cell(&mut self, id: SlotId, pattern: u32, automaton: &Automaton, held: &mut Cell, before: Before, counters: &mut Counters) {
        let slot = self.slots.at_mut(id.0);
        let (place, runs) = slot.group(pattern);
        let had_runs = !runs.is_empty() || before.runs > 0;
        let mut cell = std::mem::take(held);
        cell.pending.put_before(automaton, slot.runs.drain(runs));
        (cell.slot, cell.pattern) = (id, pattern);
        if let Ok(place) = place {
            cell.stored = Stored { is_changed: false, is_there: slot.groups[place].there != 0 };
            slot.groups.remove(place);
        }
        if !had_runs {
            counters.keys_made += 1;
            counters.live_keys += 1;
        }
        let number = CellId(self.cells.add(cell));
        self.slots.at_mut(id.0).add_cell(pattern, number);
        self.note_change(Place::Cell(number));
        self.arm_cell(number);
    }

    /// An event has come to the runs of the group at that place, and concerns so many of its patterns, a bit each. That counts as a change, whatever it did: what is told to the store must not depend on where the runs lie and what is known
    /// of them, for that may be otherwise after a restart.
    pub(super) fn note_step(&mut self, id: SlotId, group: usize, patterns: u64) {
        self.slots.at_mut(id.0).groups[group].changed |= patterns;
        self.note_change(Place::Slot(id));
    }

    /// The group was stepped. `None` if the slot is gone with it.
    fn settle_group(&mut self, id: SlotId, (pattern, patterns): (u32, u64), before: Before, counters: &mut Counters) -> Option<SlotId> {
        let slot = self.slots.at_mut(id.0);
        if let (Ok(place), runs) = slot.group(pattern) {
            counters.live_keys -= u64::from(before.runs > 0 && runs.is_empty());
            if runs.is_empty() && slot.groups[place].there == 0 {
                slot.groups.remove(place);
            } else {
                self.note_step(id, place, patterns);
            }
        }
        if self.slot(id).is_vacant() {
            self.remove_slot(id);
            return None;
        }
        Some(id)
    }

    /// Lets go of the runs whose time is up, of the patterns that `end_silently`: nothing comes out for them. `None` if the slot is gone.
    pub(super) fn drop_due(&mut self, id: SlotId, instant: EventTime, end_silently: impl Fn(u32) -> bool, counters: &mut Counters) -> Option<SlotId> {
        let Self { slots, dropped, .. } = self;
        let slot = slots.at_mut(id.0);
        let Slot { groups, runs, .. } = slot;
        let mut has_changed = false;
        let (mut place, mut first) = (0, 0);
        while let Some(group) = groups.get_mut(place) {
            let mut end = first + usize::from(group.runs);
            if group.is_due(instant) && end_silently(group.pattern) {
                group.deadline = EventTime::END;
                let mut at = first;
                while at < end {
                    let deadline = runs[at].deadline();
                    if deadline <= instant {
                        let run = runs.remove(at);
                        group.changed |= run.patterns();
                        dropped.push(run);
                        end -= 1;
                    } else {
                        group.deadline = group.deadline.min(deadline);
                        at += 1;
                    }
                }
                counters.live_runs -= u64::from(group.runs) - (end - first) as u64;
                group.runs = u16::try_from(end - first).expect("no more than there were");
                has_changed = true;
                counters.live_keys -= u64::from(group.runs == 0);
                if group.runs == 0 && group.there == 0 {
                    groups.remove(place);
                    continue;
                }
            }
            (place, first) = (place + 1, end);
        }
        if slot.is_vacant() {
            self.remove_slot(id);
            return None;
        }
        if has_changed {
            self.note_change(Place::Slot(id));
        }
        Some(id)
    }

    /// A cell was stepped: notes the change and the next deadline, and lets go of what holds nothing. False if the slot is gone.
    pub(super) fn settle_cell(&mut self, id: CellId, before: Before, counters: &mut Counters) -> bool {
        let cell = self.cell(id);
        before.count_step(&cell.pending, counters);
        if cell.is_empty() {
            // Also where the store still has the key, which must not show.
            cell.clear();
            if !cell.stored.is_there {
                return self.remove_cell(id, counters);
            }
        }
        self.note_change(Place::Cell(id));
        self.arm_cell(id);
        true
    }

    /// Takes out places whose timers are at or before `instant`, at most `most` and none if there are no more; what is due there is to be decided, and then they are to be armed again.
    pub(super) fn take_due(&mut self, instant: EventTime, most: usize, due: &mut Vec<Place>) {
        due.clear();
        let Self { timers, slots, cells, .. } = self;
        // Nothing in this loop waits for what the one before has read: so the processor fetches several places at a time.
        while due.len() < most.min(DUE_MAX)
            && let Some(number) = timers.next_due(instant, |number| timer_of(slots, cells, number))
        {
            let place = Place::of(number);
            let timer = match place {
                Place::Slot(id) => &mut slots.at_mut(id.0).timer,
                Place::Cell(id) => &mut cells.at_mut(id.0).timer,
            };
            if *timer <= instant && *timer < EventTime::END {
                *timer = EventTime::END;
                due.push(place);
            }
        }
        timers.sweep((slots.len() + cells.len()) as usize, |number| timer_of(slots, cells, number));
        let groups_of = |place: &Place| if let Place::Slot(id) = place { &*slots.at(id.0).groups } else { &[] };
        std::hint::black_box(due.iter().filter(|place| groups_of(place).first().is_some_and(|group| group.runs == 0)).count());
    }

    /// Lets go of the events of the runs that were dropped.
    pub(super) fn let_go(&mut self) {
        // Asks for all of them before it waits for the first: they were last seen long ago.
        std::hint::black_box(self.dropped.iter().filter(|run| run.first_is_null()).count());
        self.dropped.clear();
    }

    /// Forgets everything that is alive, at the end of time.
    pub(super) fn end(&mut self, counters: &mut Counters) {
        for id in (0..self.cells.len()).map(CellId) {
            let cell = self.cell(id);
            cell.timer = EventTime::END;
            if !cell.is_vacant() && !cell.is_empty() {
                let before = cell.before();
                cell.clear();
                self.settle_cell(id, before, counters);
            }
        }
        for id in (0..self.slots.len()).map(SlotId) {
            let slot = self.slots.at_mut(id.0);
            slot.timer = EventTime::END;
            counters.live_runs -= slot.runs.len() as u64;
            slot.runs.clear();
            let alive: SmallVec<[u32; 2]> = slot.groups.iter().filter(|group| group.runs > 0).map(|group| group.pattern).collect();
            for pattern in alive {
                let slot = self.slots.at_mut(id.0);
                let Ok(place) = slot.group(pattern).0 else { unreachable!("a group goes when it is settled") };
                let before = Before { runs: usize::from(slot.groups[place].runs), dropped: 0 };
                let group = &mut slot.groups[place];
                (group.runs, group.deadline) = (0, EventTime::END);
                self.settle_group(id, (pattern, u64::MAX), before, counters);
            }
        }
        self.timers.clear();
    }

    /// Visits what has changed since the last time, with the pattern (a group's, and which of those that it is kept together with) and the key; [`Held::Nothing`] where nothing is held any more and the store has something.
    pub(super) fn take_changed(&mut self, counters: &mut Counters, mut visit: impl FnMut((u32, usize), &[u8], Held<'_>)) {
        self.drain_changed(counters, |pattern, key, held| {
            visit(pattern, key, held);
            true
        });
    }

    /// Lets the changes go unwritten, where nothing is kept.
    pub(super) fn discard_changed(&mut self, counters: &mut Counters) {
        self.drain_changed(counters, |_, _, _| false);
    }

    /// `tell`: whether the store knows from now on.
    fn drain_changed(&mut self, counters: &mut Counters, mut tell: impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        let mut changed = std::mem::take(&mut self.changed);
        for place in changed.drain(..) {
            match Place::of(place) {
                Place::Cell(id) => {
                    if !std::mem::take(&mut self.cell(id).stored.is_changed) {
                        continue;
                    }
                    let cell = self.cells.at(id.0);
                    let is_empty = cell.is_empty();
                    let held = if is_empty { Held::Nothing } else { Held::Cell(cell) };
                    let is_told = tell((cell.pattern, 0), self.key_of(Place::of(place)), held);
                    self.cell(id).stored.is_there = is_told && !is_empty;
                    if is_empty {
                        self.remove_cell(id, counters);
                    }
                }
                Place::Slot(id) => {
                    let slot = self.slots.at_mut(id.0);
                    if !std::mem::take(&mut slot.is_changed) {
                        continue;
                    }
                    let mut first = 0;
                    let Slot { groups, runs, key, .. } = slot;
                    groups.retain(|group| {
                        let runs = &runs[first..first + usize::from(group.runs)];
                        first += runs.len();
                        let mut changed = std::mem::take(&mut group.changed);
                        while changed != 0 {
                            let pattern = changed.trailing_zeros();
                            changed &= changed - 1;
                            let (bit, of) = (1 << pattern, pattern as usize);
                            let is_empty = !runs.iter().any(|run| run.is_of(of));
                            if is_empty && group.there & bit == 0 {
                                continue;
                            }
                            let held = if is_empty { Held::Nothing } else { Held::Runs(runs, of) };
                            let is_told = tell((group.pattern, of), key, held);
                            group.there = group.there & !bit | if is_told && !is_empty { bit } else { 0 };
                        }
                        !runs.is_empty() || group.there != 0
                    });
                    if slot.is_vacant() {
                        self.remove_slot(id);
                    }
                }
            }
        }
        self.changed = changed;
    }

    /// Takes up what the store has for a key, where patterns of families are [apart](Keys::part). `runs_max`: as [`Keys::lay_down`] has it.
    pub(super) fn restore(
        &mut self,
        pattern: u32,
        (hash, key): (u64, &[u8]),
        (compiled, runs_max): (&Compiled, usize),
        pending: Pending,
        windowed: Option<Box<WindowedEvents>>,
        counters: &mut Counters,
    ) {
        let has_family = compiled.family_of(pattern).is_some();
        let mut slot = self.find(hash, key);
        if let Some(id) = slot {
            if has_family {
                self.part_if_together(id, compiled, counters);
            }
            slot = self.forget(id, pattern, counters);
        }
        let of = (&compiled.patterns[pattern as usize].automaton, runs_max);
        let mut held = Cell { pending, windowed, ..Cell::default() };
        let before = Before { runs: 0, dropped: held.pending.runs_dropped() };
        let Some(id) = self.lay_down(Address { slot, hash, key }, (pattern, 1), of, &mut held, before, counters) else { return };
        let slot = self.slots.at_mut(id.0);
        if has_family && slot.families == Families::Together {
            slot.families = Families::AsStored;
        }
        match slot.group(pattern).0 {
            Ok(place) => (slot.groups[place].changed, slot.groups[place].there) = (0, 1),
            Err(_) => {
                if let Some(cell) = slot.cell(pattern) {
                    self.cell(cell).stored = Stored { is_changed: false, is_there: true };
                }
            }
        }
    }

    /// What a pattern holds of a key gives way to something else. `None` if the slot is gone with it.
    fn forget(&mut self, id: SlotId, pattern: u32, counters: &mut Counters) -> Option<SlotId> {
        let slot = self.slots.at_mut(id.0);
        if let Some(cell) = slot.cell(pattern) {
            counters.live_runs -= self.cell(cell).pending.len() as u64;
            return self.remove_cell(cell, counters).then_some(id);
        }
        let (place, runs) = slot.group(pattern);
        let Ok(place) = place else { return Some(id) };
        let before = Before { runs: runs.len(), dropped: 0 };
        counters.live_runs -= runs.len() as u64;
        slot.runs.drain(runs);
        slot.groups[place] = Group::of(pattern);
        self.settle_group(id, (pattern, 1), before, counters)
    }

    #[cfg(test)]
    pub(super) fn changes_noted(&self) -> usize {
        self.changed.len()
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty() && self.changed.is_empty() && self.slots.is_empty() && self.cells.is_empty()
    }

    fn make(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let id = self.slots.add(Slot::of(key));
        let Self { found, slots, .. } = self;
        found.insert(hash, id, |number| key_hash(&slots.at(number).key));
        SlotId(id)
    }

    fn remove_slot(&mut self, id: SlotId) {
        let Slot { key, .. } = self.slots.remove(id.0);
        self.found.remove(key_hash(&key), id.0);
    }

    /// False if the slot is gone with it.
    fn remove_cell(&mut self, id: CellId, counters: &mut Counters) -> bool {
        counters.live_keys -= 1;
        let Cell { slot, pattern, .. } = self.cells.remove(id.0);
        self.slots.at_mut(slot.0).remove_cell(pattern);
        let is_vacant = self.slot(slot).is_vacant();
        if is_vacant {
            self.remove_slot(slot);
        }
        !is_vacant
    }

    fn is_changed(&mut self, place: Place) -> &mut bool {
        match place {
            Place::Slot(id) => &mut self.slots.at_mut(id.0).is_changed,
            Place::Cell(id) => &mut self.cells.at_mut(id.0).stored.is_changed,
        }
    }

    /// Where nobody takes the changes, there are still no more of them than twice the places.
    fn note_change(&mut self, place: Place) {
        if std::mem::replace(self.is_changed(place), true) {
            return;
        }
        if self.changed.len() >= CHANGED_MIN.max(2 * (self.slots.len() + self.cells.len()) as usize) {
            let mut changed = std::mem::take(&mut self.changed);
            *self.is_changed(place) = false;
            changed.retain(|place| std::mem::take(self.is_changed(Place::of(*place))));
            changed.iter().chain([&place.number()]).for_each(|place| *self.is_changed(Place::of(*place)) = true);
            self.changed = changed;
        }
        self.changed.push(place.number());
    }

    /// The runs that were due have been decided. Until then the slot has no timer.
    pub(super) fn arm_slot(&mut self, id: SlotId) {
        let deadline = self.slot(id).next_deadline();
        self.set_timer(id, deadline);
    }

    fn set_timer(&mut self, id: SlotId, deadline: EventTime) {
        let slot = self.slots.at_mut(id.0);
        if deadline < slot.timer {
            slot.timer = deadline;
            self.timers.set(deadline, Place::Slot(id).number());
        }
    }

    pub(super) fn arm_cell(&mut self, id: CellId) {
        let cell = self.cell(id);
        let deadline = cell.next_deadline();
        if deadline < cell.timer {
            cell.timer = deadline;
            self.timers.set(deadline, Place::Cell(id).number());
        }
    }
}

/// The timer that is set for a place, or for what is there instead by now.
fn timer_of(slots: &Blocks<Slot>, cells: &Blocks<Cell>, number: PlaceNumber) -> EventTime {
    match Place::of(number) {
        Place::Slot(id) => slots.at(id.0).timer,
        Place::Cell(id) => cells.at(id.0).timer,
    }
}
