//! The keys of the patterns that share them, in one shard: where each is found, when time next decides something of it, and what changed
//! since the store was written.
//!
//! A key is *ready*: it has a [slot](Slot); or [packed]. Both are found by the hash of the key's bytes; nothing iterates the hash table. A slot or a cell is there only while it holds
//! something, or while the store still has a value for it that the next flush deletes. A key that has left memory ([`crate::engine::cold`]) is not known here.
//!
//! Timers: each slot and each cell knows the least that is set for it; others are stale, and a timer that comes too early is looked at and set again. A timer whose
//! place is vacant finds nothing to do, also where the place is another key's by now.

mod families;
mod packed;

use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::{Automaton, Pending, PlainStart, Run};
use crate::engine::blocks::{Blocks, NUMBER_BITS};
use crate::engine::counters::Counters;
use crate::engine::family::Members;
use crate::engine::keys::packed::{Noting, PackedKeys};
use crate::engine::logs::Log;
use crate::engine::slot::{Before, Cell, CellId, Dropped, Families, Held, Kept, News, Notes, Slot, SlotId, SlotRuns, Stored};
use crate::engine::timers::Timers;
use crate::engine::window_log::WindowLog;
use crate::event::{Directory, EventTime, SharedEvent};

pub(super) use packed::{Found, PackedId, begin_packed, packed_key};

#[derive(Debug, Default)]
pub(super) struct Keys {
    found: Directory,
    slots: Blocks<Slot>,
    cells: Blocks<Cell>,
    timers: Timers,
    /// What changed; some of it may be gone.
    changed: Vec<PlaceNumber>,
    /// Nobody takes it: it is not noted.
    tells_nobody: bool,
    /// Until they are [let go](Keys::let_go).
    dropped: Dropped,
    packed: PackedKeys,
    noting: Noting,
    /// The slot that is looked at next for whether an event has come to it.
    idle_hand: u32,
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
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Found> {
        let is_key = |number| match Found::of_number(number) {
            Found::Ready(id) => self.slots.at(id.0).key() == key,
            Found::Packed(id) => self.packed.key(id) == key,
        };
        self.found.find(hash, is_key).map(Found::of_number)
    }

    /// An event comes to the key at that time. True if the slot's timer is due, and taken: then deadlines of its runs are to be decided, and the slot is to be
    /// [armed](Keys::arm_slot) again.
    pub(super) fn touch(&mut self, id: SlotId, instant: EventTime) -> bool {
        let slot = self.slots.at_mut(id.0);
        slot.set_note(Notes::TOUCHED, true);
        slot.take_due_timer(instant)
    }

    pub(super) fn slot(&self, id: SlotId) -> &Slot {
        self.slots.at(id.0)
    }

    /// What the pattern has in the slot, to be stepped. `start`: the pattern's.
    pub(super) fn look(&mut self, id: SlotId, pattern: u32, start: Option<PlainStart>) -> Kept {
        self.slots.at_mut(id.0).look(pattern, start)
    }

    /// The place of the pattern's group in the slot.
    pub(super) fn find_group(&mut self, id: SlotId, pattern: u32, start: Option<PlainStart>) -> Option<usize> {
        if let Kept::Group(place) = self.look(id, pattern, start) { Some(place) } else { None }
    }

    pub(super) fn cell(&mut self, id: CellId) -> &mut Cell {
        self.cells.at_mut(id.0)
    }

    pub(super) fn cell_at(&self, id: CellId) -> &Cell {
        self.cells.at(id.0)
    }

    /// Visits the logs that are in cells of the key, in order of their numbers, of which `first` is the least.
    pub(super) fn for_each_log(&mut self, id: SlotId, first: u32, mut visit: impl FnMut(u32, &mut WindowLog)) {
        let Self { slots, cells, .. } = self;
        for (number, cell) in slots.at(id.0).cells().skip_while(|(number, _)| *number < first) {
            if let Some(log) = &mut cells.at_mut(cell.0).log {
                visit(number, log);
            }
        }
    }

    pub(super) fn set_families(&mut self, id: SlotId, families: Families) {
        if families != Families::Together {
            self.slots.at_mut(id.0).many().set_families(families);
        }
    }

    pub(super) fn key_of(&self, place: Place) -> &[u8] {
        let slot = match place {
            Place::Slot(id) => id,
            Place::Cell(id) => self.cells.at(id.0).slot,
        };
        self.slot(slot).key()
    }

    /// Takes the pattern's runs out of the slot, to be stepped and [laid down](Keys::lay_down) again.
    pub(super) fn lift(&mut self, id: SlotId, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        self.slots.at_mut(id.0).lift(pattern, automaton, into);
    }

    /// The runs of the group at that place, to be stepped where they lie and [settled](Keys::settle_stepped) then. `of`: the pattern, and whom that concerns, a bit each.
    pub(super) fn runs_at(&mut self, id: SlotId, place: usize, of: (u32, Members)) -> SlotRuns<'_> {
        self.slots.at_mut(id.0).runs_at(place, of)
    }

    /// The runs have been stepped where they lie; `before` they were stepped there were so many. `None` if the slot is gone.
    pub(super) fn settle_stepped(&mut self, id: SlotId, (place, patterns): (usize, Members), before: Before, counters: &mut Counters) -> Option<SlotId> {
        let now = self.slot(id).runs_len(place);
        before.count_runs(now, counters);
        if before.runs == 0 && now > 0 {
            counters.key_made();
        }
        let slot = self.settle_at(id, (place, patterns), before, counters)?;
        self.arm_slot(slot);
        Some(slot)
    }

    /// Puts away what a pattern holds of the key beside the runs of its group: with them, if so many of the pattern's runs may lie in a slot (`runs_max`), else
    /// in a cell. `held` is as new then. `before` is what was lifted; `patterns`: whom that concerns, a bit each. Returns the slot, if there is one now.
    pub(super) fn lay_down(
        &mut self,
        address: Address<'_>,
        (pattern, patterns): (u32, Members),
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
        let there = group.map_or(0, |place| self.slot(id).runs_len(place));
        if let Some(lean) = held.pending.lean_runs().filter(|lean| there + lean.len() <= runs_max) {
            if before.runs == 0 && there == 0 {
                counters.key_made();
            }
            let slot = self.slots.at_mut(id.0);
            let least = match lean.len() {
                1 => slot.add_run((pattern, patterns), group, lean.pop().expect("there is one")),
                _ => slot.add_runs((pattern, patterns), group, lean.drain(..)),
            };
            let news = slot.note_runs(least, !self.tells_nobody);
            self.note(id, least, news);
            held.clear();
            return Some(id);
        }
        self.move_to_cell(id, pattern, automaton, held, before, counters);
        Some(id)
    }

    /// Adds a run to those of the pattern that lie in the slot, which have room; `group`: as [`Slot::group`] has it. Returns the slot.
    pub(super) fn add_run(&mut self, address: Address<'_>, pattern: u32, group: Option<usize>, run: Run, counters: &mut Counters) -> SlotId {
        let id = address.slot.unwrap_or_else(|| self.make(address.hash, address.key));
        let slot = self.slots.at_mut(id.0);
        counters.live_runs += 1;
        if group.is_none_or(|place| slot.runs_len(place) == 0) {
            counters.key_made();
        }
        let deadline = slot.add_run((pattern, run.patterns()), group, run);
        let news = slot.note_runs(deadline, !self.tells_nobody);
        self.note(id, deadline, news);
        id
    }

    /// The event begins a run of so many patterns, of one that has nothing in the slot. False: it is to be [added](Keys::add_run) as any other.
    #[inline]
    pub(super) fn begin(&mut self, id: SlotId, pattern: u32, deadline: EventTime, begun: (u8, &SharedEvent), counters: &mut Counters) -> bool {
        let slot = self.slots.at_mut(id.0);
        if !slot.begin(pattern, deadline, begun) {
            return false;
        }
        counters.live_runs += 1;
        counters.key_made();
        let news = slot.note_runs(deadline, !self.tells_nobody);
        self.note(id, deadline, news);
        true
    }

    /// What the slot says of itself is noted where it is looked for; `deadline`: its timer, if that is new.
    fn note(&mut self, id: SlotId, deadline: EventTime, news: News) {
        if news.is_armed {
            self.timers.set(deadline, Place::Slot(id).number());
        }
        if news.is_changed {
            self.enter_change(Place::Slot(id));
        }
    }

    fn move_to_cell(&mut self, id: SlotId, pattern: u32, automaton: &Automaton, held: &mut Cell, before: Before, counters: &mut Counters) {
        let slot = self.slots.at_mut(id.0);
        let place = slot.group(pattern);
        let had_runs = before.runs > 0 || place.is_some_and(|place| slot.runs_len(place) > 0);
        let mut cell = std::mem::take(held);
        slot.lift(pattern, automaton, &mut cell.pending);
        cell.pattern = pattern;
        if let Some(place) = place {
            cell.stored = Stored { is_changed: false, is_there: slot.is_there(place) };
            slot.remove_group(place);
        }
        if !had_runs {
            counters.key_made();
        }
        let number = self.add_cell(id, cell);
        self.note_change(Place::Cell(number));
        self.arm_cell(number);
    }

    /// An event has come to the runs of the group at that place, and concerns so many of its patterns, a bit each. That counts as a change, whatever it did: what is told to the store must not depend on where the runs lie and what is known
    /// of them, for that may be otherwise after a restart.
    pub(super) fn note_step(&mut self, id: SlotId, group: usize, patterns: Members) {
        self.slots.at_mut(id.0).note_step(group, patterns);
        self.note_change(Place::Slot(id));
    }

    /// The group, if there is one, was stepped. `None` if the slot is gone with it.
    fn settle_group(&mut self, id: SlotId, (pattern, patterns): (u32, Members), before: Before, counters: &mut Counters) -> Option<SlotId> {
        match self.slot(id).group(pattern) {
            Some(place) => self.settle_at(id, (place, patterns), before, counters),
            None => self.remove_if_vacant(id),
        }
    }

    /// The same with the group at that place.
    fn settle_at(&mut self, id: SlotId, (place, patterns): (usize, Members), before: Before, counters: &mut Counters) -> Option<SlotId> {
        let slot = self.slots.at_mut(id.0);
        let is_empty = slot.runs_len(place) == 0;
        counters.live_keys -= u64::from(before.runs > 0 && is_empty);
        if is_empty && !slot.is_there(place) {
            slot.remove_group(place);
            return self.remove_if_vacant(id);
        }
        self.note_step(id, place, patterns);
        self.slots.at_mut(id.0).settle(place);
        Some(id)
    }

    fn remove_if_vacant(&mut self, id: SlotId) -> Option<SlotId> {
        if self.slot(id).is_vacant() {
            self.remove_slot(id);
            return None;
        }
        Some(id)
    }

    /// Lets go of the runs whose time is up, where nothing comes out for them; the slot is armed again. `None` if it is gone, also where it was before.
    pub(super) fn drop_due(&mut self, id: SlotId, instant: EventTime, counters: &mut Counters) -> Option<SlotId> {
        let Self { slots, dropped, .. } = self;
        let slot = slots.at_mut(id.0);
        // It may have gone with its last cell.
        if slot.is_vacant() {
            return None;
        }
        let has_changed = slot.drop_due(instant, counters, dropped);
        if slot.is_vacant() {
            self.remove_slot(id);
            return None;
        }
        let deadline = slot.next_deadline();
        let news = slot.note_runs(deadline, has_changed && !self.tells_nobody);
        self.note(id, deadline, news);
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

    /// Takes the event into a log of the key. Returns the slot.
    pub(super) fn take_into_log(&mut self, address: Address<'_>, (number, log): (u32, &Log), event: &SharedEvent, counters: &mut Counters) -> SlotId {
        let id = address.slot.unwrap_or_else(|| self.make(address.hash, address.key));
        let cell = self.slot(id).cell(number).unwrap_or_else(|| {
            counters.key_made();
            self.add_cell(id, Cell { pattern: number, ..Cell::default() })
        });
        self.cell(cell).log.get_or_insert_with(|| Box::new(WindowLog::new())).take(&log.plan, event);
        self.note_change(Place::Cell(cell));
        self.arm_cell(cell);
        id
    }

    /// Lets go of the log there if all its events are out at the instant; else it is looked at again when they are.
    pub(super) fn expire_log(&mut self, id: CellId, instant: EventTime, counters: &mut Counters) {
        let cell = self.cell(id);
        if !cell.is_due(instant) {
            return self.arm_cell(id);
        }
        if let Some(log) = &mut cell.log {
            log.expire(instant);
        }
        let before = cell.before();
        self.settle_cell(id, before, counters);
    }

    fn add_cell(&mut self, slot: SlotId, cell: Cell) -> CellId {
        let pattern = cell.pattern;
        let id = CellId(self.cells.add(Cell { slot, ..cell }));
        self.slots.at_mut(slot.0).add_cell(pattern, id);
        id
    }

    /// Nothing is due before it, as far as it is here: see [`Timers::none_before`].
    pub(super) fn none_due_before(&self) -> EventTime {
        self.timers.none_before().min(self.packed.none_due_before())
    }

    /// Takes out places whose timers are at or before `instant`, at most `most` and none if there are no more, or no `looks` are left; what is due there is to be decided, and then they are to be
    /// armed again.
    pub(super) fn take_due(&mut self, instant: EventTime, most: usize, looks: &mut usize, due: &mut Vec<Place>) {
        due.clear();
        let Self { timers, slots, cells, .. } = self;
        // Nothing in this loop waits for what the one before has read: so the processor fetches several places at a time.
        while due.len() < most.min(DUE_MAX)
            && let Some(number) = timers.next_due(instant, looks, |number| timer_of(slots, cells, number))
        {
            let place = Place::of(number);
            let is_due = match place {
                Place::Slot(id) => slots.at_mut(id.0).take_due_timer(instant),
                Place::Cell(id) => cells.at_mut(id.0).take_due_timer(instant),
            };
            if is_due {
                due.push(place);
            }
        }
        timers.sweep((slots.len() + cells.len()) as usize, |number| timer_of(slots, cells, number));
        std::hint::black_box(due.iter().filter(|place| if let Place::Slot(id) = place { slots.at(id.0).first_is_bare() } else { false }).count());
    }

    /// Lets go of the events of the runs that were dropped.
    pub(super) fn let_go(&mut self) {
        let Dropped { runs, events } = &mut self.dropped;
        // Asks for all of them before it waits for the first: they were last seen long ago.
        std::hint::black_box(runs.iter().filter(|run| run.first_is_null()).count());
        std::hint::black_box(events.iter().filter(|event| event.first_is_null()).count());
        runs.clear();
        events.clear();
    }

    /// Forgets everything that is alive, at the end of time.
    pub(super) fn end(&mut self, counters: &mut Counters) {
        (0..self.cells.len()).for_each(|id| self.end_cell(CellId(id), counters));
        (0..self.slots.len()).for_each(|id| self.end_groups(SlotId(id), counters));
        self.timers.clear();
    }

    /// Forgets what is alive of one key that is ready.
    pub(super) fn end_key(&mut self, id: SlotId, counters: &mut Counters) {
        let cells: Vec<CellId> = self.slot(id).cells().map(|(_, cell)| cell).collect();
        cells.into_iter().for_each(|cell| self.end_cell(cell, counters));
        self.end_groups(id, counters);
    }

    fn end_cell(&mut self, id: CellId, counters: &mut Counters) {
        let cell = self.cell(id);
        cell.timer = EventTime::END;
        if !cell.is_vacant() && !cell.is_empty() {
            let before = cell.before();
            cell.clear();
            self.settle_cell(id, before, counters);
        }
    }

    fn end_groups(&mut self, id: SlotId, counters: &mut Counters) {
        for (pattern, runs) in self.slots.at_mut(id.0).end() {
            counters.live_runs -= runs as u64;
            self.settle_group(id, (pattern, Members::MAX), Before { runs, dropped: 0 }, counters);
        }
    }

    /// Visits what has changed since the last time, with the pattern (a group's, and which of those that it is kept together with) and the key; [`Held::Nothing`] where nothing is held any more and the store has something.
    pub(super) fn take_changed(&mut self, counters: &mut Counters, mut visit: impl FnMut((u32, usize), &[u8], Held<'_>)) {
        self.drain_changed(counters, |pattern, key, held| {
            visit(pattern, key, held);
            true
        });
    }

    /// Nobody is told what changed, from now on: what was not yet is not either. So it does not matter any more of what the store has a value: what holds nothing goes at once. Cost: a look at each
    /// slot and cell, the first time.
    pub(super) fn note_no_changes(&mut self, counters: &mut Counters) {
        if std::mem::replace(&mut self.tells_nobody, true) {
            return;
        }
        self.drain_changed(counters, |_, _, _| false);
        (0..self.slots.len()).for_each(|id| self.slots.at_mut(id).forget_stored());
        (0..self.cells.len()).for_each(|id| self.cells.at_mut(id).stored = Stored::default());
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
                    let mut log = self.cell(id).log.take();
                    let cell = self.cells.at(id.0);
                    let is_empty = log.as_ref().map_or_else(|| cell.is_empty(), |log| log.is_empty());
                    let held = match &mut log {
                        Some(log) => Held::Log(log),
                        None if is_empty => Held::Nothing,
                        None => Held::Cell(cell),
                    };
                    let is_told = tell((cell.pattern, 0), self.key_of(Place::of(place)), held);
                    self.cell(id).log = log;
                    self.cell(id).stored.is_there = is_told && !is_empty;
                    if is_empty {
                        self.remove_cell(id, counters);
                    }
                }
                Place::Slot(id) => {
                    let slot = self.slots.at_mut(id.0);
                    if !slot.set_note(Notes::CHANGED, false) {
                        continue;
                    }
                    slot.tell_changes(&mut tell);
                    if slot.is_vacant() {
                        self.remove_slot(id);
                    }
                }
            }
        }
        self.changed = changed;
    }

    /// Puts into the slot what a pattern had of it before the key was packed or stored: `held`, for as many of the patterns kept together as the store has a value of
    /// (`there`, a bit each).
    pub(super) fn take_up(&mut self, id: SlotId, (pattern, there): (u32, Members), of: (&Automaton, usize), held: &mut Cell) {
        // It was counted when it came to be, or when it was read from the store.
        let mut counted = Counters::default();
        let address = Address { slot: Some(id), hash: 0, key: &[] };
        self.lay_down(address, (pattern, 0), of, held, Before { runs: 0, dropped: 0 }, &mut counted);
        let there = if self.tells_nobody { 0 } else { there };
        let slot = self.slots.at_mut(id.0);
        if !slot.set_stored(pattern, there) {
            let cell = slot.cell(pattern).expect("what is packed holds something");
            self.cell(cell).stored = Stored { is_changed: false, is_there: there != 0 };
        }
    }

    /// The same with a log.
    pub(super) fn take_up_log(&mut self, id: SlotId, (number, is_there): (u32, bool), log: Box<WindowLog>) {
        let stored = Stored { is_changed: false, is_there: is_there && !self.tells_nobody };
        let cell = self.add_cell(id, Cell { pattern: number, log: Some(log), stored, ..Cell::default() });
        self.arm_cell(cell);
    }

    /// Places that have changed since the last time, those that are gone among them.
    pub(super) fn changes_noted(&self) -> usize {
        self.changed.len()
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty() && self.changed.is_empty() && self.slots.is_empty() && self.cells.is_empty() && self.packed.is_empty()
    }

    /// Of a key that is not there: it holds nothing yet.
    pub(super) fn make(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let id = SlotId(self.slots.add(Slot::of(key)));
        self.enter(hash, Found::Ready(id));
        id
    }

    fn enter(&mut self, hash: u64, found: Found) {
        let Self { found: directory, slots, packed, .. } = self;
        directory.insert(hash, found.number(), |number| hash_of(slots, packed, number));
    }

    fn remove_slot(&mut self, id: SlotId) {
        let slot = self.slots.remove(id.0);
        self.found.remove(key_hash(slot.key()), id.0);
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

    /// Notes that the place is among the changes, or is not. Returns how it was.
    fn set_noted(&mut self, place: Place, is_noted: bool) -> bool {
        match place {
            Place::Slot(id) => self.slots.at_mut(id.0).set_note(Notes::CHANGED, is_noted),
            Place::Cell(id) => std::mem::replace(&mut self.cells.at_mut(id.0).stored.is_changed, is_noted),
        }
    }

    fn note_change(&mut self, place: Place) {
        if !self.tells_nobody && !self.set_noted(place, true) {
            self.enter_change(place);
        }
    }

    /// Of a place where it has just been noted that it is among them. Where nobody takes the changes, there are still no more of them than twice the places.
    fn enter_change(&mut self, place: Place) {
        if self.changed.len() >= CHANGED_MIN.max(2 * (self.slots.len() + self.cells.len()) as usize) {
            let mut changed = std::mem::take(&mut self.changed);
            self.set_noted(place, false);
            changed.retain(|place| self.set_noted(Place::of(*place), false));
            for place in changed.iter().copied().chain([place.number()]) {
                self.set_noted(Place::of(place), true);
            }
            self.changed = changed;
        }
        self.changed.push(place.number());
    }

    /// The runs that were due have been decided. Until then the slot has no timer.
    pub(super) fn arm_slot(&mut self, id: SlotId) {
        let slot = self.slots.at_mut(id.0);
        let deadline = slot.next_deadline();
        if slot.arm(deadline) {
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

fn hash_of(slots: &Blocks<Slot>, packed: &PackedKeys, number: u32) -> u64 {
    match Found::of_number(number) {
        Found::Ready(id) => key_hash(slots.at(id.0).key()),
        Found::Packed(id) => key_hash(packed.key(id)),
    }
}

/// The timer that is set for a place, or for what is there instead by now.
fn timer_of(slots: &Blocks<Slot>, cells: &Blocks<Cell>, number: PlaceNumber) -> EventTime {
    match Place::of(number) {
        Place::Slot(id) => slots.at(id.0).timer(),
        Place::Cell(id) => cells.at(id.0).timer,
    }
}
