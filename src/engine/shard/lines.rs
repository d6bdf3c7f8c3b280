//! The lines of all patterns: what events and time do to what is held of their keys.

use std::cell;
use std::sync::Arc;

use crate::automaton::shared::Workspace;
use crate::automaton::{Automaton, Class, Limits, PlainStart, Stepped, Watch};
use crate::engine::compiled::{Compiled, CompiledPattern};
use crate::engine::counters::Counters;
use crate::engine::family::Family;
use crate::engine::index::Candidate;
use crate::engine::keys::{Address, Keys, Place};
use crate::engine::matched::Match;
use crate::engine::shard::EXPIRED_MAX;
use crate::engine::shard::hand::{FoundSlot, Hand, KeyAtHand, Whose};
use crate::engine::shard::logs::LogsAtHand;
use crate::engine::shard::packing::{Packing, UNPACKED_MAX, UNPACKING_COSTS};
use crate::engine::shard::spilling::Spilling;
use crate::engine::shard::step::{Standing, Step};
use crate::engine::shard::stored::NotRestored;
use crate::engine::slot::{Before, Cell, CellId, Kept, RUNS_MAX, SlotId};
use crate::event::{EventTime, SharedEvent};
use crate::pattern::Moment;

/// So many timers may be looked at for each key that may run out of time, most of which are of keys that are gone: that takes a third of the time at most.
const LOOKS_PER_KEY: usize = 4;

/// The lines of all patterns.
#[derive(Debug)]
pub(super) struct Lines {
    pub part: Part,
    pub limits: Limits,
    /// So many keys of a table are ready; what is more is packed if no event comes to it.
    pub ready_keys_max: usize,
    /// Whoever watches the runs of all patterns.
    pub watch: Option<Arc<dyn Watch>>,
    /// By table.
    pub keys: Vec<Keys>,
    pub stepped: Stepped,
    /// By pattern: so many of its runs may lie in the slot of a key.
    pub lie_in_slots: Vec<u8>,
    /// Where runs that lie in slots are stepped if they are watched, if more is to be done than to begin a run, or if something was lost to a limit.
    pub lifted: Cell,
    /// By pattern.
    pub workspaces: Vec<Workspace>,
    /// While a pattern that asks for windows is stepped.
    pub logs: LogsAtHand,
    /// Memory that is used again: logs that are due, the patterns that wait at the key of the event at hand, a key, and what ids are made of.
    pub due_logs: Vec<CellId>,
    pub waiting: Vec<u32>,
    pub key: Vec<u8>,
    pub scratch: Vec<u8>,
    pub packing: Packing,
    pub spilling: Spilling,
    /// While a store has more than was taken up.
    pub not_restored: Option<NotRestored>,
    pub due: Vec<Place>,
    /// As [`crate::engine::Shard::has_overdue`] has it.
    pub has_overdue: bool,
    pub counters: Counters,
    pub faults: cell::Cell<u64>,
    /// What every shard evaluates is counted by one; the others count it here.
    pub faults_elsewhere: cell::Cell<u64>,
}

/// Which part of the keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub shard: usize,
    pub shards: usize,
}

impl Lines {
    /// For what every shard evaluates.
    pub(super) fn faults_of_all(&self) -> &cell::Cell<u64> {
        if self.part.counts_for_all() { &self.faults } else { &self.faults_elsewhere }
    }

    /// The event matters to a pattern. True if a part of some key is null, so that there is no such line. (Inlined as what follows.)
    #[inline(always)]
    pub(super) fn step_candidate(&mut self, candidate: &Candidate, all: &Compiled, hand: &mut Hand, event: &SharedEvent, matches: &mut Vec<Match>) -> bool {
        let stream = &all.streams[usize::from(event.stream.0)];
        // Nothing has to be put together where it stands in one line, as it mostly does: 140 instructions less.
        let Some((keying, stands_as)) = stream.only_line(candidate.pattern) else {
            return self.step_in_lines(candidate, all, hand, event, matches);
        };
        let whose = hand.find(keying, &stream.keyings, event, self);
        if whose == Whose::Ours {
            self.step(candidate, all, hand, keying, Standing { event, stands_as }, matches);
        }
        whose == Whose::Nobody
    }

    /// The event comes in the line of a key. (Inlined: thirty instructions less for each pattern that it matters to.)
    #[inline(always)]
    pub(super) fn step(&mut self, candidate: &Candidate, all: &Compiled, hand: &mut Hand, keying: usize, standing: Standing<'_>, matches: &mut Vec<Match>) {
        let Candidate { pattern, class, .. } = *candidate;
        let glance = &all.glances[pattern as usize];
        let table = glance.table as usize;
        let (key, found) = self.find(table, all, hand, keying, standing.event.time, matches);
        let is_plain = self.watch.is_none() && found.slot.is_none_or(|slot| !self.keys[table].slot(slot).may_keep(pattern));
        if is_plain && (!class.meets(glance.acts) || glance.asks_windows_first && !self.windows_let_begin(all, pattern, found.slot, standing.event)) {
            return;
        }
        let address = Address { slot: found.slot, hash: key.hash, key: &key.bytes };
        found.slot = match glance.start {
            Some(start) if is_plain && self.lie_in_slots[pattern as usize] > 0 && (!glance.is_family || self.keeps_families_together()) => {
                let compiled = &all.patterns[pattern as usize];
                let begun = if glance.is_family { compiled.begun_by(standing.event.fields()) } else { 1 };
                Some(self.begin(address, (pattern, None), (table, &compiled.automaton), start, standing, begun))
            }
            _ => self.step_kept(address, candidate, all, standing, matches),
        };
    }

    /// The event may stand in several lines. Returns as [`Lines::step_candidate`] does.
    #[inline(never)]
    pub(super) fn step_in_lines(&mut self, candidate: &Candidate, all: &Compiled, hand: &mut Hand, event: &SharedEvent, matches: &mut Vec<Match>) -> bool {
        let has_null = self.stand(candidate, all, hand, event);
        for place in 0..hand.stands.len() {
            let (keying, stands_as) = hand.stands[place];
            self.step(candidate, all, hand, keying, Standing { event, stands_as }, matches);
        }
        has_null
    }

    /// Finds the lines of the candidate in which the event stands, of keys that are ours. Returns as [`Lines::step_candidate`] does.
    pub(super) fn stand(&self, candidate: &Candidate, all: &Compiled, hand: &mut Hand, event: &SharedEvent) -> bool {
        let stream = &all.streams[usize::from(event.stream.0)];
        let mut has_null = false;
        hand.stands.clear();
        for (keying, source) in stream.lines(candidate, event.fields(), &self.faults_elsewhere) {
            match hand.find(keying, &stream.keyings, event, self) {
                Whose::Ours => hand.stand(keying, source),
                Whose::Others => {}
                Whose::Nobody => has_null = true,
            }
        }
        has_null
    }

    /// The key at hand, and where it is in the table: the event comes to it, if it has not for another pattern.
    #[inline(always)]
    pub(super) fn find<'a>(
        &mut self,
        table: usize,
        all: &Compiled,
        hand: &'a mut Hand,
        keying: usize,
        now: EventTime,
        matches: &mut Vec<Match>,
    ) -> (&'a KeyAtHand, &'a mut FoundSlot) {
        let (key, found) = hand.at(table, keying);
        if !found.is_of(key, keying) {
            *found = FoundSlot { event_number: key.event_number, keying, slot: self.come_to(table, all, key, now, matches) };
        }
        (key, found)
    }

    /// The event comes to the key: what time has decided there until then is done. Returns its slot, if it has anything.
    #[inline(never)]
    fn come_to(&mut self, table: usize, all: &Compiled, key: &KeyAtHand, now: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        let slot = self.find_ready(table, all, (key.hash, &key.bytes))?;
        if self.keys[table].touch(slot, now) { self.expire_slot(table, slot, all, now, matches) } else { Some(slot) }
    }

    /// The event begins a run that lies in the slot: in the pattern's group, if that has a place already. `of_first`: of how many patterns of the family it is one. Returns the slot. (Its table
    /// is given, so that nothing of the pattern is fetched from memory: there may be thousands.)
    pub(super) fn begin(
        &mut self,
        address: Address<'_>,
        (pattern, group): (u32, Option<usize>),
        (table, automaton): (usize, &Automaton),
        start: PlainStart,
        standing: Standing<'_>,
        of_first: u8,
    ) -> SlotId {
        let keys = &mut self.keys[table];
        if let Some(slot) = address.slot
            && group.is_none()
            && start.is_told_by_its_event()
            && keys.begin(slot, pattern, start.deadline(standing.event.time), (of_first, standing.event), &mut self.counters)
        {
            return slot;
        }
        let moment = Moment { stands_as: standing.stands_as, ..Moment::plain(&self.faults) };
        let run = start.begin(automaton, standing.event, moment).of_first(of_first);
        keys.add_run(address, pattern, group, run, &mut self.counters)
    }

    /// Where the pattern may have something, or the event does more than to begin a run that waits.
    #[inline(never)]
    fn step_kept(&mut self, address: Address<'_>, candidate: &Candidate, all: &Compiled, standing: Standing<'_>, matches: &mut Vec<Match>) -> Option<SlotId> {
        let compiled = &all.patterns[candidate.pattern as usize];
        match &compiled.family {
            Some(family) if self.watch.is_none() => self.step_family(address, candidate, family, all, standing, matches),
            Some(_) | None => self.step_pattern(address, candidate, all, standing, matches),
        }
    }

    /// Returns the slot, if there is one afterwards; so do the others.
    pub(super) fn step_pattern(
        &mut self,
        address: Address<'_>,
        candidate: &Candidate,
        all: &Compiled,
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> Option<SlotId> {
        let compiled = &all.patterns[candidate.pattern as usize];
        self.take_logs(compiled, address.slot);
        match address.slot.map_or(Kept::Nothing, |slot| self.keys[compiled.table].look(slot, candidate.pattern, compiled.automaton.plain_start())) {
            Kept::Cell(cell) => self.step_cell(cell, candidate, all, address.key, standing, matches).then_some(address.slot).flatten(),
            Kept::Group(place) if self.watch.is_none() => self.step_group(address, place, (candidate.pattern, candidate.class), all, None, standing, matches),
            Kept::Group(_) | Kept::Nothing => self.step_slot(address, candidate, all, standing, matches),
        }
    }

    /// False if the slot is gone.
    fn step_cell(&mut self, id: CellId, candidate: &Candidate, all: &Compiled, key: &[u8], standing: Standing<'_>, matches: &mut Vec<Match>) -> bool {
        let (keys, _, mut step) = self.stepping(all, candidate.pattern, matches);
        let cell = keys.cell(id);
        let mut before = cell.before();
        if cell.is_due(standing.event.time) {
            step.expire(cell, key, standing.event.time);
            cell.forget_if_empty(&mut before, step.counters);
        }
        step.take(cell, key, candidate.class, standing);
        keys.settle_cell(id, before, step.counters)
    }

    /// Steps the runs of the group at that place, where they lie: of a pattern, or of all those of a family that is together. Returns the slot, if there is one afterwards.
    #[expect(clippy::too_many_arguments, reason = "each of another kind")]
    pub(super) fn step_group(
        &mut self,
        address: Address<'_>,
        place: usize,
        (pattern, class): (u32, Class),
        all: &Compiled,
        family: Option<&Family>,
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> Option<SlotId> {
        let compiled = &all.patterns[pattern as usize];
        let slot = address.slot.expect("a group lies in a slot");
        let runs_max = usize::from(self.lie_in_slots[pattern as usize]);
        let before = Before { runs: self.keys[compiled.table].slot(slot).runs_len(place), dropped: 0 };
        if !class.meets(compiled.automaton.awaited_somewhere())
            && before.runs < runs_max
            && compiled.automaton.may_begin(class)
            && let Some(start) = compiled.automaton.plain_start()
        {
            return Some(self.begin(address, (pattern, Some(place)), (compiled.table, &compiled.automaton), start, standing, 1));
        }
        let of = (pattern, family.map_or(1, Family::all));
        let (keys, held, mut step) = self.stepping(all, pattern, matches);
        step.family = family;
        let mut runs = keys.runs_at(slot, place, of);
        let dropped = step.take_lying(&mut runs, address.key, class, standing);
        if dropped == 0 && runs.len() <= runs_max {
            if let Some(place) = runs.changed_place() {
                return keys.settle_stepped(slot, (place, of.1), before, step.counters);
            }
            keys.note_step(slot, place, of.1);
            return Some(slot);
        }
        keys.lift(slot, pattern, &compiled.automaton, &mut held.pending);
        held.pending.hold_to_limits(&mut step.stepping, dropped, standing.event.time);
        keys.lay_down(address, of, (&compiled.automaton, runs_max), held, before, step.counters)
    }

    /// The pattern has nothing there, or a group, and somebody watches. Returns the slot, if there is one afterwards.
    fn step_slot(&mut self, address: Address<'_>, candidate: &Candidate, all: &Compiled, standing: Standing<'_>, matches: &mut Vec<Match>) -> Option<SlotId> {
        let Candidate { pattern, class, .. } = *candidate;
        let compiled = &all.patterns[pattern as usize];
        let automaton = &compiled.automaton;
        if !automaton.may_begin(class) && self.watch.is_none() {
            return address.slot;
        }
        let runs_max = self.room_for(pattern, address.slot, compiled.table);
        if let Some(start) = automaton.plain_start().filter(|_| runs_max > 0 && self.watch.is_none()) {
            return Some(self.begin(address, (pattern, None), (compiled.table, automaton), start, standing, 1));
        }
        let (keys, held, mut step) = self.stepping(all, pattern, matches);
        if let Some(slot) = address.slot {
            keys.lift(slot, pattern, automaton, &mut held.pending);
        }
        let before = held.before();
        step.take(held, address.key, class, standing);
        keys.lay_down(address, (pattern, 1), (automaton, runs_max), held, before, step.counters)
    }

    /// So many of the runs of a pattern may lie in a slot, in which it has no group so far.
    pub(super) fn room_for(&self, pattern: u32, slot: Option<SlotId>, table: usize) -> usize {
        let has_room = slot.is_none_or(|slot| self.keys[table].slot(slot).has_room());
        if has_room { usize::from(self.lie_in_slots[pattern as usize]) } else { 0 }
    }

    pub(super) fn stepping<'a>(&'a mut self, all: &'a Compiled, pattern: u32, matches: &'a mut Vec<Match>) -> (&'a mut Keys, &'a mut Cell, Step<'a>) {
        let Self { keys, lifted, limits, watch, stepped, workspaces, logs, counters, faults, scratch, .. } = self;
        let compiled = &all.patterns[pattern as usize];
        let stepping = compiled.stepping(limits, &mut workspaces[pattern as usize], watch.as_deref());
        let step = Step { all, compiled, family: None, stepping, stepped, logs, counters, faults, scratch, matches };
        (&mut keys[compiled.table], lifted, step)
    }

    /// Decides the deadlines at or before the instant, or notes that some are [left](crate::engine::Shard::has_overdue). `events`: how many have been stepped since the last time.
    pub(super) fn expire(&mut self, table: usize, compiled: &Compiled, instant: EventTime, events: usize, matches: &mut Vec<Match>) {
        let is_bounded = compiled.tables[table].ends_silently && self.watch.is_none() && instant < EventTime::END;
        // Each event begins few: what was left is caught up with.
        let mut left = if is_bounded { EXPIRED_MAX.max(2 * events) } else { usize::MAX };
        let mut looks = left.saturating_mul(LOOKS_PER_KEY);
        let mut due = std::mem::take(&mut self.due);
        loop {
            self.keys[table].take_due(instant, left, &mut looks, &mut due);
            self.keys[table].let_go();
            if due.is_empty() {
                // A few at a time, so that the memory of the ones is used again for the next.
                let unpacked = self.unpack_due(table, compiled, instant, UNPACKED_MAX.min(left / UNPACKING_COSTS), &mut looks);
                if unpacked == 0 {
                    break;
                }
                left -= UNPACKING_COSTS * unpacked;
                continue;
            }
            left -= due.len();
            for place in due.drain(..) {
                match place {
                    Place::Slot(slot) => {
                        self.expire_slot(table, slot, compiled, instant, matches);
                    }
                    Place::Cell(id) if self.is_log(table, place, compiled) => self.due_logs.push(id),
                    Place::Cell(id) => {
                        self.expire_cell(table, id, compiled, instant, matches);
                    }
                }
            }
        }
        self.due = due;
        // What was decided may have asked them.
        self.expire_logs(table, instant);
        self.has_overdue |= left < UNPACKING_COSTS || looks == 0;
    }

    /// Decides what is due in a cell of a pattern. False if the slot is gone.
    pub(super) fn expire_cell(&mut self, table: usize, id: CellId, all: &Compiled, instant: EventTime, matches: &mut Vec<Match>) -> bool {
        let cell = self.keys[table].cell_at(id);
        if !cell.is_due(instant) {
            self.keys[table].arm_cell(id);
            return true;
        }
        let (pattern, slot) = (cell.pattern, cell.slot);
        let key = self.take_key(table, Place::Cell(id));
        self.take_logs(&all.patterns[pattern as usize], Some(slot));
        let (keys, _, mut step) = self.stepping(all, pattern, matches);
        let cell = keys.cell(id);
        let before = cell.before();
        step.expire(cell, &key, instant);
        let is_there = keys.settle_cell(id, before, step.counters);
        self.put_logs_back();
        self.key = key;
        is_there
    }

    /// The key of a place, in memory that is to be put back.
    fn take_key(&mut self, table: usize, place: Place) -> Vec<u8> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(self.keys[table].key_of(place));
        key
    }

    /// Decides those of the runs that lie in a slot, pattern by pattern. `None` if the slot is gone.
    fn expire_slot(&mut self, table: usize, id: SlotId, compiled: &Compiled, instant: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        if compiled.tables[table].ends_silently && self.watch.is_none() {
            return self.keys[table].drop_due(id, instant, &mut self.counters);
        }
        let mut slot = Some(id);
        let mut from = 0;
        while let Some(pattern) = slot.and_then(|slot| self.keys[table].slot(slot).next_due(instant, from)) {
            from = pattern + 1;
            slot = self.expire_group(id, pattern, compiled, instant, matches);
        }
        if let Some(slot) = slot {
            self.keys[table].arm_slot(slot);
        }
        slot
    }

    fn expire_group(&mut self, id: SlotId, pattern: u32, all: &Compiled, instant: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        let compiled = &all.patterns[pattern as usize];
        let runs_max = usize::from(self.lie_in_slots[pattern as usize]);
        let key = self.take_key(compiled.table, Place::Slot(id));
        self.take_logs(compiled, Some(id));
        let (keys, held, mut step) = self.stepping(all, pattern, matches);
        let place = keys.slot(id).group(pattern).expect("what is due lies in a group");
        let before = Before { runs: keys.slot(id).runs_len(place), dropped: 0 };
        let dropped = step.expire_lying(&mut keys.runs_at(id, place, (pattern, 1)), &key, instant);
        let slot = if dropped == 0 {
            keys.settle_stepped(id, (place, 1), before, step.counters)
        } else {
            keys.lift(id, pattern, &compiled.automaton, &mut held.pending);
            held.pending.hold_to_limits(&mut step.stepping, dropped, instant);
            keys.lay_down(Address::known(id, &key), (pattern, 1), (&compiled.automaton, runs_max), held, before, step.counters)
        };
        self.put_logs_back();
        self.key = key;
        slot
    }
}

/// So many runs of the pattern may lie in the slot of a key.
pub(super) fn lie_in_slots(compiled: &CompiledPattern, limits: &Limits) -> u8 {
    let most = limits.runs_of(&compiled.pattern);
    let alone = compiled.evaluation.runs_alone_max(limits).min(RUNS_MAX);
    u8::try_from(most.min(alone)).expect("few lie in a slot")
}

impl Part {
    pub(super) fn owns(self, hash: u64) -> bool {
        self.shards == 1 || hash % self.shards as u64 == self.shard as u64
    }

    pub(super) fn counts_for_all(self) -> bool {
        self.shard == 0
    }
}
