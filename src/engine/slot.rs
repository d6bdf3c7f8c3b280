//! A key, and what the patterns that share it hold of it.
//!
//! Most keys have [runs of one pattern](one): a single one lies in the slot itself, several in a list beside it. Where they are of [several](many), of few mostly, they lie beside it in groups by
//! pattern: a start then makes little, and what an event must look at lies together.
//! What needs more has a *cell* of its own: very many runs, choices kept together, what a limit has dropped; and each [log](super::logs), under its number.
//!
//! A [family](super::family) has one group, unless its patterns are apart here.
//!
//! Invariants: a pattern has a group or a cell, never both; a group without runs is one that is being stepped, or of which the store still has a value; a slot is only there while it has a group or
//! a cell; what holds many things once does so until it is vacant.

mod group;
mod groups;
mod key;
mod many;
mod one;

use smallvec::SmallVec;

use crate::automaton::{Automaton, Pending, PlainStart, Run, RunList};
use crate::engine::counters::Counters;
use crate::engine::family::Members;
use crate::engine::slot::group::least_deadline;
use crate::engine::slot::key::StoredKey;
use crate::engine::slot::one::{Lone, One};
use crate::engine::timers;
use crate::engine::window_log::WindowLog;
use crate::event::{EventTime, SharedEvent};

pub(super) use crate::engine::slot::group::{Group, Lying};
pub(super) use crate::engine::slot::many::Many;

/// Place among the slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SlotId(pub u32);

/// Place among the cells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CellId(pub u32);

/// In 96 bytes, as long as it holds but one thing.
#[derive(Debug)]
pub(super) struct Slot {
    key: StoredKey,
    /// The least that is set; the end of time: none.
    timer: EventTime,
    holding: Holding,
}

impl Default for Slot {
    fn default() -> Self {
        Self::of(&[])
    }
}

#[derive(Debug, Default)]
enum Holding {
    #[default]
    Nothing,
    One(One),
    Many(Many),
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

/// What is noted of a slot, a bit each: so it takes no more than its contents.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes(u8);

impl Notes {
    /// It is among the changes.
    pub(super) const CHANGED: u8 = 1;
    /// An event has come to the key since it was last looked for keys to which none comes.
    pub(super) const TOUCHED: u8 = 2;

    pub(super) fn has(self, note: u8) -> bool {
        self.0 & note != 0
    }

    fn set(&mut self, note: u8, is_set: bool) -> bool {
        let before = self.has(note);
        self.0 = self.0 & !note | if is_set { note } else { 0 };
        before
    }
}

/// What is to be noted of a slot elsewhere.
#[derive(Clone, Copy)]
pub(super) struct News {
    /// Its timer is set, and has not been noted.
    pub is_armed: bool,
    /// It has changed, and is not among the changes.
    pub is_changed: bool,
}

/// What a pattern holds of a key, as the store is told.
pub(super) enum Held<'a> {
    Nothing,
    /// Those of that one of the patterns that are kept together.
    Runs(Lying<'a>, usize),
    Cell(&'a Cell),
    /// To be [told](WindowLog::tell), also where it is empty.
    Log(&'a mut WindowLog),
}

/// What a pattern has in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    Nothing,
    /// A group, at that place.
    Group(usize),
    Cell(CellId),
}

/// Runs whose time was up, until their memory is let go of.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    pub runs: Vec<Run>,
    /// Of those that had only begun.
    pub events: Vec<SharedEvent>,
}

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

/// What a pattern holds of a key that needs more than a group; or a log, which has no runs.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) slot: SlotId,
    pub(super) pattern: u32,
    pub(super) stored: Stored,
    /// Its least timer; the end of time: none.
    pub(super) timer: EventTime,
    pub pending: Pending,
    /// `None` where it is a pattern's.
    pub log: Option<Box<WindowLog>>,
}

/// What a cell held before it was stepped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) runs: usize,
    pub(super) dropped: u64,
}

impl Before {
    /// It was stepped, and holds so many runs.
    pub(super) fn count_runs(self, now: usize, counters: &mut Counters) {
        counters.live_runs = counters.live_runs + now as u64 - self.runs as u64;
    }

    /// It was stepped, and holds `now`.
    pub(super) fn count_step(self, now: &Pending, counters: &mut Counters) {
        self.count_runs(now.len(), counters);
        counters.runs_dropped += now.runs_dropped().saturating_sub(self.dropped);
    }
}

/// Of no slot: vacant, or not yet put into one.
impl Default for Cell {
    fn default() -> Self {
        Self { slot: SlotId(u32::MAX), pattern: 0, stored: Stored::default(), timer: EventTime::END, pending: Pending::default(), log: None }
    }
}

/// The runs of a group while they are stepped; then it is to be [settled](Slot::settle).
pub(super) struct SlotRuns<'a> {
    slot: &'a mut Slot,
    place: usize,
    of: (u32, Members),
    has_changed: bool,
}

impl SlotRuns<'_> {
    pub(super) fn len(&self) -> usize {
        self.slot.runs_len(self.place)
    }

    /// Where the group is now, if a run has come or gone, or waits until another time.
    pub(super) fn changed_place(&self) -> Option<usize> {
        self.has_changed.then_some(self.place)
    }
}

impl RunList for SlotRuns<'_> {
    fn next_deadline(&self) -> EventTime {
        least_deadline(self.slot.runs(self.place))
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Run) -> bool) {
        let Self { slot, place, has_changed, .. } = self;
        let keep = |run: &mut Run| {
            let deadline = run.deadline();
            let stays = keep(run);
            *has_changed |= !stays || run.deadline() != deadline;
            stays
        };
        match &mut slot.holding {
            Holding::Nothing => {}
            Holding::Many(many) => many.group_mut(*place).runs.runs_mut().retain_mut(keep),
            Holding::One(one) => one.retain(keep),
        }
    }

    fn add(&mut self, mut born: impl ExactSizeIterator<Item = Run>) {
        match born.len() {
            0 => return,
            1 => born.next().map(|run| self.slot.add_run(self.of, Some(self.place), run)),
            _ => Some(self.slot.add_runs(self.of, Some(self.place), born)),
        };
        self.has_changed = true;
        self.place = self.slot.group(self.of.0).expect("a group to which runs were added is there");
    }
}

impl Slot {
    pub(super) fn of(key: &[u8]) -> Self {
        Self { key: StoredKey::of(key), timer: EventTime::END, holding: Holding::Nothing }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.bytes()
    }

    pub(super) fn is_vacant(&self) -> bool {
        match &self.holding {
            Holding::Nothing => true,
            Holding::One(_) => false,
            Holding::Many(many) => many.is_vacant(),
        }
    }

    /// Whether its first group has no runs: what is asked to have it at hand.
    pub(super) fn first_is_bare(&self) -> bool {
        match &self.holding {
            Holding::Nothing => true,
            Holding::One(one) => one.runs().is_empty(),
            Holding::Many(many) => many.groups().next().is_some_and(|group| group.runs.is_empty()),
        }
    }

    pub(super) fn kept(&self, pattern: u32) -> Kept {
        match &self.holding {
            Holding::Nothing => Kept::Nothing,
            Holding::One(one) => one.kept(pattern),
            Holding::Many(many) => many.kept(pattern),
        }
    }

    /// The same, where its runs are to be looked at, or it is to be known from now on that the pattern has nothing.
    pub(super) fn look(&mut self, pattern: u32, start: Option<PlainStart>) -> Kept {
        if let Holding::Many(many) = &mut self.holding { many.look(pattern, start) } else { self.kept(pattern) }
    }

    /// False if neither the pattern nor, if it is the first of a family, any other of it has anything, and there is room for it. Cost: none.
    pub(super) fn may_keep(&self, pattern: u32) -> bool {
        match &self.holding {
            Holding::Nothing => false,
            Holding::One(one) => one.kept(pattern) != Kept::Nothing,
            Holding::Many(many) => many.may_keep(pattern),
        }
    }

    /// Whether the group of one more pattern may be added. What finds no room is to have a cell; families are few, and find some.
    pub(super) fn has_room(&self) -> bool {
        if let Holding::Many(many) = &self.holding { many.has_room() } else { true }
    }

    /// The place of the pattern's group.
    pub(super) fn group(&self, pattern: u32) -> Option<usize> {
        if let Kept::Group(place) = self.kept(pattern) { Some(place) } else { None }
    }

    /// Those of the group at that place, which has been [looked at](Slot::look).
    fn runs(&self, place: usize) -> &[Run] {
        match &self.holding {
            Holding::Nothing => &[],
            Holding::One(one) => one.runs(),
            Holding::Many(many) => many.group(place).runs.runs(),
        }
    }

    /// How many the group at that place has.
    pub(super) fn runs_len(&self, place: usize) -> usize {
        match &self.holding {
            Holding::Nothing => 0,
            Holding::One(one) => one.runs().len(),
            Holding::Many(many) => many.group(place).runs.len(),
        }
    }

    /// Those of the group at that place, to be stepped. `of`: as [`Slot::add_run`] has it.
    pub(super) fn runs_at(&mut self, place: usize, of: (u32, Members)) -> SlotRuns<'_> {
        SlotRuns { slot: self, place, of, has_changed: false }
    }

    /// Whether the store has a value of the group at that place.
    pub(super) fn is_there(&self, place: usize) -> bool {
        match &self.holding {
            Holding::Nothing => false,
            Holding::One(one) => one.is_there,
            Holding::Many(many) => many.group(place).there != 0,
        }
    }

    /// Something is to be told of so many of the patterns of the group at that place, a bit each.
    pub(super) fn note_step(&mut self, place: usize, patterns: Members) {
        match &mut self.holding {
            Holding::Nothing => {}
            // Where there is neither a run nor a value, there is nothing to tell of the others.
            Holding::One(one) => one.is_changed = true,
            Holding::Many(many) => many.group_mut(place).changed |= patterns,
        }
    }

    /// The runs of the group at that place have been stepped, and none was added again.
    pub(super) fn settle(&mut self, place: usize) {
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::One(one) => one.settle(),
            Holding::Many(many) => many.settle(place),
        }
    }

    pub(super) fn remove_group(&mut self, place: usize) {
        match &mut self.holding {
            Holding::Nothing | Holding::One(_) => self.holding = Holding::Nothing,
            Holding::Many(many) => many.remove_group(place),
        }
    }

    /// Takes the pattern's runs out, to be stepped.
    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::One(one) => one.lift(pattern, automaton, into),
            Holding::Many(many) => many.lift(pattern, automaton, into),
        }
    }

    /// Adds a run to those of the pattern's group, whose place is known if it has one. `patterns`: whom that concerns, a bit each. Returns its deadline.
    pub(super) fn add_run(&mut self, (pattern, patterns): (u32, Members), group: Option<usize>, run: Run) -> EventTime {
        let deadline = run.deadline();
        let is_of_one = run.patterns() == 1;
        match &mut self.holding {
            Holding::Nothing if is_of_one => self.holding = Holding::One(One::of(pattern, run)),
            Holding::One(one) if is_of_one && one.has_room_for(pattern) => one.put(run),
            _ => self.many().add_run((pattern, patterns), group, run),
        }
        deadline
    }

    /// The event begins a run of so many patterns, of one that has nothing here; its [event tells it](PlainStart::is_told_by_its_event). False: it is to be [added](Slot::add_run) as any other.
    #[inline]
    pub(super) fn begin(&mut self, pattern: u32, deadline: EventTime, begun: (u8, &SharedEvent)) -> bool {
        let Holding::Many(many) = &mut self.holding else { return false };
        many.begin(pattern, deadline, (begun.0, begun.1.clone()));
        true
    }

    /// The same for several. Returns the least of their deadlines.
    pub(super) fn add_runs(&mut self, of: (u32, Members), group: Option<usize>, runs: impl IntoIterator<Item = Run>) -> EventTime {
        if let Holding::Many(many) = &mut self.holding {
            return many.add_runs(of, group, runs);
        }
        runs.into_iter().fold(EventTime::END, |least, run| least.min(self.add_run(of, self.group(of.0), run)))
    }

    /// Lets go of the runs whose time is up, for which nothing comes out; true if there were any.
    pub(super) fn drop_due(&mut self, instant: EventTime, counters: &mut Counters, dropped: &mut Dropped) -> bool {
        match &mut self.holding {
            Holding::Nothing => false,
            Holding::Many(many) => many.drop_due(instant, counters, dropped),
            Holding::One(one) => {
                let has_changed = one.drop_due(instant, counters, dropped);
                if has_changed && one.is_over() {
                    self.holding = Holding::Nothing;
                }
                has_changed
            }
        }
    }

    /// Lets go of all runs. Returns the patterns that had some, and how many.
    pub(super) fn end(&mut self) -> SmallVec<[(u32, usize); 2]> {
        self.timer = EventTime::END;
        let mut alive = SmallVec::new();
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::One(one) => {
                let runs = one.take().len();
                alive.extend((runs > 0).then_some((one.pattern, runs)));
            }
            Holding::Many(many) => alive = many.end(),
        }
        alive
    }

    /// Tells what has changed of the groups, as [`Held::Nothing`] where the store has something and nothing is held any more; `tell` says whether the store knows from now on.
    pub(super) fn tell_changes(&mut self, tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        let key = self.key.bytes();
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::Many(many) => many.tell_changes(key, tell),
            Holding::One(one) => {
                one.tell_change(key, tell);
                if one.is_over() {
                    self.holding = Holding::Nothing;
                }
            }
        }
    }

    /// The store has what the group holds for so many of its patterns, a bit each. False if the pattern has no group.
    pub(super) fn set_stored(&mut self, pattern: u32, there: Members) -> bool {
        let Some(place) = self.group(pattern) else { return false };
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::One(one) => (one.is_changed, one.is_there) = (false, there != 0),
            Holding::Many(many) => {
                let group = many.group_mut(place);
                (group.changed, group.there) = (0, there);
            }
        }
        true
    }

    /// Of no group it matters any more whether the store has a value.
    pub(super) fn forget_stored(&mut self) {
        match &mut self.holding {
            Holding::Nothing => {}
            Holding::One(one) => one.is_there = false,
            Holding::Many(many) => many.forget_stored(),
        }
    }

    pub(super) fn cell(&self, pattern: u32) -> Option<CellId> {
        if let Kept::Cell(id) = self.kept(pattern) { Some(id) } else { None }
    }

    /// Of a pattern that has no cell here.
    pub(super) fn add_cell(&mut self, pattern: u32, id: CellId) {
        match &mut self.holding {
            Holding::Nothing => self.holding = Holding::One(One::of_cell(pattern, id)),
            Holding::One(_) | Holding::Many(_) => self.many().add_cell(pattern, id),
        }
    }

    /// Of a pattern that has a cell here.
    pub(super) fn remove_cell(&mut self, pattern: u32) {
        match &mut self.holding {
            Holding::Nothing | Holding::One(_) => self.holding = Holding::Nothing,
            Holding::Many(many) => many.remove_cell(pattern),
        }
    }

    /// When time next decides or removes some of its runs.
    pub(super) fn next_deadline(&self) -> EventTime {
        match &self.holding {
            Holding::Nothing => EventTime::END,
            Holding::One(one) => one.deadline(),
            Holding::Many(many) => many.next_deadline(),
        }
    }

    /// The first pattern from `from` on with a run whose deadline is at or before the instant.
    pub(super) fn next_due(&self, instant: EventTime, from: u32) -> Option<u32> {
        match &self.holding {
            Holding::Nothing => None,
            Holding::One(one) => (one.pattern >= from && one.deadline() <= instant && !one.runs().is_empty()).then_some(one.pattern),
            Holding::Many(many) => many.next_due(instant, from),
        }
    }

    /// The least timer that is set; the end of time: none.
    pub(super) fn timer(&self) -> EventTime {
        self.timer
    }

    /// Takes the timer, if it is due.
    pub(super) fn take_due_timer(&mut self, instant: EventTime) -> bool {
        let is_due = timers::is_due(self.timer, instant);
        if is_due {
            self.timer = EventTime::END;
        }
        is_due
    }

    /// Some run has this deadline, and none that came or stayed a lesser one. True if a timer is to be set for it, and counts as set from now on.
    pub(super) fn arm(&mut self, deadline: EventTime) -> bool {
        let is_sooner = deadline < self.timer;
        self.timer = self.timer.min(deadline);
        is_sooner
    }

    /// The least deadline of its runs, or of those that have come, is this; `has_changed`: so have they.
    pub(super) fn note_runs(&mut self, least: EventTime, has_changed: bool) -> News {
        News { is_armed: self.arm(least), is_changed: has_changed && !self.set_note(Notes::CHANGED, true) }
    }

    pub(super) fn notes(&self) -> Notes {
        match &self.holding {
            Holding::Nothing => Notes::default(),
            Holding::One(one) => one.notes,
            Holding::Many(many) => many.notes(),
        }
    }

    /// Returns whether it was noted before.
    pub(super) fn set_note(&mut self, note: u8, is_set: bool) -> bool {
        match &mut self.holding {
            Holding::Nothing => false,
            Holding::One(one) => one.notes.set(note, is_set),
            Holding::Many(many) => many.notes_mut().set(note, is_set),
        }
    }

    /// By pattern: the group's, of which of its patterns the store has a value, and its runs.
    pub(super) fn groups(&self) -> impl Iterator<Item = (u32, Members, Lying<'_>)> {
        let (one, many) = match &self.holding {
            Holding::Nothing => (None, None),
            Holding::One(one) => (one.is_group().then(|| (one.pattern, one.is_there.into(), Lying::Runs(one.runs()))), None),
            Holding::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flat_map(Many::groups).map(|group| (group.pattern, group.there, group.runs.lying())))
    }

    /// By pattern.
    pub(super) fn cells(&self) -> impl Iterator<Item = (u32, CellId)> {
        let (one, many) = match &self.holding {
            Holding::One(One { lone: Lone::Cell(id), pattern, .. }) => (Some((*pattern, *id)), &[][..]),
            Holding::Nothing | Holding::One(_) => (None, &[][..]),
            Holding::Many(many) => (None, many.cells()),
        };
        one.into_iter().chain(many.iter().copied())
    }

    pub(super) fn families(&self) -> Families {
        if let Holding::Many(many) = &self.holding { many.families() } else { Families::Together }
    }

    /// From now on it is one that may hold many things.
    #[inline(never)]
    pub(super) fn many(&mut self) -> &mut Many {
        if !matches!(self.holding, Holding::Many(_)) {
            let one = if let Holding::One(one) = std::mem::take(&mut self.holding) { Some(one) } else { None };
            self.holding = Holding::Many(Many::of(one));
        }
        let Holding::Many(many) = &mut self.holding else { unreachable!("it has just been made one") };
        many
    }
}

impl Cell {
    pub(super) fn is_vacant(&self) -> bool {
        self.slot == SlotId(u32::MAX)
    }

    /// Neither runs nor events that a window counts.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.log.as_ref().is_none_or(|log| log.is_empty())
    }

    /// When time next decides or removes something.
    pub(super) fn next_deadline(&self) -> EventTime {
        let end = self.log.as_ref().map_or(EventTime::END, |log| log.end());
        self.pending.next_deadline().map_or(end, |pending| pending.min(end))
    }

    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.next_deadline() <= instant
    }

    /// Takes the timer, if it is due.
    pub(super) fn take_due_timer(&mut self, instant: EventTime) -> bool {
        let is_due = timers::is_due(self.timer, instant);
        if is_due {
            self.timer = EventTime::END;
        }
        is_due
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
        if self.log.as_mut().is_some_and(|log| !log.forget()) {
            self.log = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot>(), 96);
    }
}
