//! What a slot holds where that is more than [one](super::one::One) thing.
//!
//! With a thousand patterns a key has a dozen groups of one run each; what an event or time must look at there is seldom near the processor. So few lines of memory are touched: whether a
//! pattern has anything is mostly told by a bit; groups and their runs stand in no order, so that one is added at the end and the last one takes the place of one that goes.

use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::counters::Counters;
use crate::engine::slot::one::{Lone, One};
use crate::engine::slot::{CellId, Families, Held, Kept, Notes};
use crate::event::EventTime;

/// In the order in which they came.
pub(in crate::engine) type RunsOfGroup = SmallVec<[Run; 1]>;

#[derive(Debug)]
pub(in crate::engine) struct Many {
    groups: ThinVec<Group>,
    /// Those of the group at the same place.
    runs: ThinVec<RunsOfGroup>,
    /// By pattern.
    pub cells: ThinVec<(u32, CellId)>,
    /// A bit for each pattern that has a group or a cell, and perhaps for some that have none: that of its number modulo 64.
    patterns: u64,
    /// Its least timer; the end of time: none.
    pub timer: EventTime,
    pub notes: Notes,
    pub families: Families,
}

/// What is known of the runs of one pattern, or of a family of them, under its first.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Group {
    pub pattern: u32,
    /// The patterns, a bit each, of which something is not yet told to the store; of a family more than the first.
    pub changed: u64,
    /// Those of which the store has a value.
    pub there: u64,
    /// The least of its runs, which lie elsewhere; the end of time: none.
    pub deadline: EventTime,
}

impl Group {
    /// Without runs so far.
    pub(in crate::engine) fn of(pattern: u32) -> Self {
        Self { pattern, changed: 0, there: 0, deadline: EventTime::END }
    }
}

fn bit_of(pattern: u32) -> u64 {
    1 << (pattern % 64)
}

impl Many {
    pub(super) fn of(one: Option<One>) -> Self {
        let mut many = Self {
            groups: ThinVec::new(),
            runs: ThinVec::new(),
            cells: ThinVec::new(),
            patterns: 0,
            timer: EventTime::END,
            notes: one.as_ref().map_or_else(Notes::default, |one| one.notes),
            families: Families::Together,
        };
        let Some(one) = one else { return many };
        many.timer = one.timer();
        let group = Group { changed: one.is_changed.into(), there: one.is_there.into(), deadline: one.deadline(), ..Group::of(one.pattern) };
        match one.lone {
            Lone::Cell(id) => many.add_cell(one.pattern, id),
            Lone::Run(run) => many.add_group(group, SmallVec::from_buf([run])),
            Lone::Gone { .. } => many.add_group(group, SmallVec::new()),
        }
        many
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.groups.is_empty() && self.cells.is_empty()
    }

    /// As [`super::Slot::may_keep`] has it.
    pub(super) fn may_keep(&self, pattern: u32) -> bool {
        self.patterns & bit_of(pattern) != 0 || self.families != Families::Together
    }

    /// Cost: mostly nothing where it has nothing, else a look at each group.
    pub(in crate::engine) fn kept(&self, pattern: u32) -> Kept {
        if self.patterns & bit_of(pattern) == 0 {
            return Kept::Nothing;
        }
        match self.groups.iter().position(|group| group.pattern == pattern) {
            Some(place) => Kept::Group(place),
            None => self.cells.binary_search_by_key(&pattern, |(of, _)| *of).map_or(Kept::Nothing, |place| Kept::Cell(self.cells[place].1)),
        }
    }

    /// Those without runs among them.
    pub(in crate::engine) fn groups(&self) -> impl Iterator<Item = (&Group, &[Run])> {
        self.groups.iter().zip(self.runs.iter().map(RunsOfGroup::as_slice))
    }

    pub(super) fn group(&self, place: usize) -> &Group {
        &self.groups[place]
    }

    pub(super) fn group_mut(&mut self, place: usize) -> &mut Group {
        &mut self.groups[place]
    }

    pub(super) fn runs(&self, place: usize) -> &[Run] {
        &self.runs[place]
    }

    pub(in crate::engine) fn runs_of(&self, pattern: u32) -> &[Run] {
        if let Kept::Group(place) = self.kept(pattern) { self.runs(place) } else { &[] }
    }

    /// Whether the first group has no runs, nor ever a deadline: what is asked to have both at hand.
    pub(super) fn first_is_bare(&self) -> bool {
        self.groups.first().is_some_and(|group| group.deadline == EventTime::END) & self.runs.first().is_some_and(SmallVec::is_empty)
    }

    /// Of a pattern that has nothing here.
    pub(in crate::engine) fn add_group(&mut self, group: Group, runs: RunsOfGroup) {
        self.patterns |= bit_of(group.pattern);
        self.groups.push(group);
        self.runs.push(runs);
    }

    pub(super) fn remove_group(&mut self, place: usize) {
        self.groups.swap_remove(place);
        self.runs.swap_remove(place);
    }

    /// Takes all groups out.
    pub(in crate::engine) fn take_groups(&mut self) -> impl Iterator<Item = (Group, RunsOfGroup)> + use<> {
        std::mem::take(&mut self.groups).into_iter().zip(std::mem::take(&mut self.runs))
    }

    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        if let Kept::Group(place) = self.kept(pattern) {
            self.groups[place].deadline = EventTime::END;
            into.put_before(automaton, self.runs[place].drain(..));
        }
    }

    /// Adds runs to those of the group at that place, or to a new one. Returns the least of their deadlines.
    pub(super) fn add_runs(&mut self, (pattern, patterns): (u32, u64), place: Option<usize>, new: impl IntoIterator<Item = Run>) -> EventTime {
        let place = place.unwrap_or_else(|| {
            self.add_group(Group::of(pattern), SmallVec::new());
            self.groups.len() - 1
        });
        let mut least = EventTime::END;
        self.runs[place].extend(new.into_iter().inspect(|run| least = least.min(run.deadline())));
        let group = &mut self.groups[place];
        group.changed |= patterns;
        group.deadline = group.deadline.min(least);
        least
    }

    /// As [`super::Slot::drop_due`] has it.
    pub(super) fn drop_due(&mut self, instant: EventTime, end_silently: impl Fn(u32) -> bool, counters: &mut Counters, dropped: &mut Vec<Run>) -> bool {
        let mut has_changed = false;
        let mut place = 0;
        while let Some(group) = self.groups.get_mut(place) {
            // At the end of time a group without runs is due as well.
            if group.deadline > instant || self.runs[place].is_empty() || !end_silently(group.pattern) {
                place += 1;
                continue;
            }
            let runs = &mut self.runs[place];
            let before = runs.len();
            group.deadline = EventTime::END;
            let mut at = 0;
            while at < runs.len() {
                let deadline = runs[at].deadline();
                if deadline <= instant {
                    let run = runs.remove(at);
                    group.changed |= run.patterns();
                    dropped.push(run);
                } else {
                    group.deadline = group.deadline.min(deadline);
                    at += 1;
                }
            }
            has_changed = true;
            counters.live_runs -= (before - runs.len()) as u64;
            counters.live_keys -= u64::from(runs.is_empty());
            if runs.is_empty() && group.there == 0 {
                self.remove_group(place);
            } else {
                place += 1;
            }
        }
        if has_changed {
            self.patterns = self.groups.iter().map(|group| group.pattern).chain(self.cells.iter().map(|(of, _)| *of)).fold(0, |bits, of| bits | bit_of(of));
        }
        has_changed
    }

    /// Lets go of all runs. Returns the patterns that had some, and how many.
    pub(super) fn end(&mut self) -> SmallVec<[(u32, usize); 2]> {
        self.timer = EventTime::END;
        let mut alive = SmallVec::new();
        for (group, runs) in self.groups.iter_mut().zip(&mut self.runs).filter(|(_, runs)| !runs.is_empty()) {
            alive.push((group.pattern, runs.len()));
            runs.clear();
            group.deadline = EventTime::END;
        }
        alive
    }

    /// When time next decides or removes some of the runs.
    pub(super) fn next_deadline(&self) -> EventTime {
        self.groups.iter().fold(EventTime::END, |next, group| next.min(group.deadline))
    }

    /// The first pattern from `from` on with a run whose deadline is at or before the instant. At the end of time all that has runs is due.
    pub(super) fn next_due(&self, instant: EventTime, from: u32) -> Option<u32> {
        let due = self.groups.iter().zip(&self.runs).filter(|(group, runs)| group.pattern >= from && group.deadline <= instant && !runs.is_empty());
        due.map(|(group, _)| group.pattern).min()
    }

    /// As [`super::Slot::tell_changes`] has it.
    pub(super) fn tell_changes(&mut self, key: &[u8], tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        let mut place = 0;
        while let Some(group) = self.groups.get_mut(place) {
            let runs = &self.runs[place];
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
            if runs.is_empty() && group.there == 0 { self.remove_group(place) } else { place += 1 }
        }
    }

    pub(super) fn add_cell(&mut self, pattern: u32, id: CellId) {
        self.patterns |= bit_of(pattern);
        let after = self.cells.partition_point(|(of, _)| *of < pattern);
        self.cells.insert(after, (pattern, id));
    }

    pub(super) fn remove_cell(&mut self, pattern: u32) {
        let place = self.cells.binary_search_by_key(&pattern, |(of, _)| *of).expect("a cell is removed once");
        self.cells.remove(place);
    }
}
