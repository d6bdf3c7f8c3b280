//! What a slot holds where that is more than [one](super::one::One) thing.
//!
//! With a thousand patterns a key has a dozen groups of one run each; what an event or time must look at there is seldom near the processor. So few lines of memory are touched: [tags](super::groups)
//! in the slot tell which patterns have one. Where a key has more groups than have tags, a map tells that, and the deadline of each, by which it is found.

use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::automaton::{Automaton, Pending, PlainStart, Run};
use crate::engine::counters::Counters;
use crate::engine::family::{Members, members};
use crate::engine::slot::group::{self, Group, Together, least_deadline};
use crate::engine::slot::groups::{Groups, TAGGED_MAX};
use crate::engine::slot::one::{Lone, One};
use crate::engine::slot::{CellId, Dropped, Families, Held, Kept, Notes};
use crate::event::{EventTime, Lookup, SharedEvent};

#[derive(Debug)]
pub(in crate::engine) struct Many {
    /// By deadline.
    groups: Groups,
    /// None has a later deadline: so what begins does not wait for the memory in which the last of them lies. (With a thousand patterns a tenth less time.)
    latest: EventTime,
    /// `None` where both are empty, as mostly.
    further: Option<Box<Further>>,
}

/// What few slots need.
#[derive(Debug, Default)]
struct Further {
    /// By pattern.
    cells: Vec<(u32, CellId)>,
    /// By pattern, the deadline of its group. Empty unless there are, or have just been, more groups than [`TAGGED_MAX`].
    deadlines: Lookup<u32, EventTime>,
}

/// With more of them, to make room for one among the others would take longer than a cell of its own does.
const GROUPS_MAX: usize = 256;

impl Many {
    pub(super) fn of(one: Option<One>) -> Self {
        // Of a family there is one; where there was something already, it is joined by what another pattern has.
        let groups = Groups::with_room(if one.is_some() { 2 } else { 1 });
        let mut many = Self { groups, latest: EventTime::BEGINNING, further: None };
        let Some(one) = one else { return many };
        *many.notes_mut() = one.notes;
        let of_one = |runs| Group::of(one.pattern, (one.is_changed.into(), one.is_there.into()), runs);
        match one.lone {
            Lone::Cell(id) => many.add_cell(one.pattern, id),
            Lone::Run(run) => many.add_group(of_one(group::one(run))),
            Lone::Several(several) => many.add_group(of_one(several.runs.into_iter().collect())),
            Lone::Gone => many.add_group(of_one(ThinVec::new())),
        }
        many
    }

    pub(super) fn notes(&self) -> Notes {
        self.groups.notes
    }

    pub(super) fn notes_mut(&mut self) -> &mut Notes {
        &mut self.groups.notes
    }

    pub(in crate::engine) fn families(&self) -> Families {
        self.groups.families
    }

    /// Returns how they were kept before.
    pub(in crate::engine) fn set_families(&mut self, families: Families) -> Families {
        std::mem::replace(&mut self.groups.families, families)
    }

    /// For the group of one more pattern.
    pub(super) fn has_room(&self) -> bool {
        self.groups.len() < GROUPS_MAX
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.groups.is_empty() && self.cells().is_empty()
    }

    /// As [`super::Slot::may_keep`] has it.
    pub(super) fn may_keep(&self, pattern: u32) -> bool {
        self.has(pattern) || self.families() != Families::Together || !self.has_room()
    }

    fn has(&self, pattern: u32) -> bool {
        match &self.further {
            None => self.groups.tagged(pattern).is_some(),
            Some(further) => further.deadlines.get(&pattern).is_some() || self.kept(pattern) != Kept::Nothing,
        }
    }

    /// Cost: mostly nothing where it has nothing; else a look at its group, and where there are more than have tags, one for each doubling.
    pub(in crate::engine) fn kept(&self, pattern: u32) -> Kept {
        let group = match self.deadlines() {
            None => self.groups.tagged(pattern),
            Some(deadlines) => deadlines.get(&pattern).map(|deadline| self.find(pattern, *deadline)),
        };
        let cell = || self.cells().binary_search_by_key(&pattern, |(of, _)| *of).map_or(Kept::Nothing, |place| Kept::Cell(self.cells()[place].1));
        group.map_or_else(cell, Kept::Group)
    }

    /// The place of the group of that pattern, which has that deadline.
    fn find(&self, pattern: u32, deadline: EventTime) -> usize {
        let first = self.groups.partition_point(|group| group.deadline < deadline);
        let place = self.groups.iter_from(first).position(|group| group.pattern == pattern);
        first + place.expect("a group stands where its deadline says")
    }

    /// The same, and its runs are to be looked at: they are unfolded.
    pub(super) fn look(&mut self, pattern: u32, start: Option<PlainStart>) -> Kept {
        let kept = self.kept(pattern);
        if let Kept::Group(place) = kept {
            self.groups[place].runs.unfold(start);
        }
        kept
    }

    /// Those without runs among them.
    pub(in crate::engine) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    pub(super) fn group(&self, place: usize) -> &Group {
        &self.groups[place]
    }

    pub(super) fn group_mut(&mut self, place: usize) -> &mut Group {
        &mut self.groups[place]
    }

    /// Which are unfolded.
    pub(in crate::engine) fn runs_of(&self, pattern: u32) -> &[Run] {
        if let Kept::Group(place) = self.kept(pattern) { self.groups[place].runs.runs() } else { &[] }
    }

    /// All runs are to be looked at.
    pub(in crate::engine) fn unfold(&mut self, start_of: impl Fn(u32) -> Option<PlainStart>) {
        self.groups.for_each_mut(|group| group.runs.unfold(start_of(group.pattern)));
    }

    /// Of a pattern that has nothing here.
    pub(in crate::engine) fn add_group(&mut self, group: Group) {
        if self.groups.len() >= TAGGED_MAX || self.further.is_some() {
            self.note_deadline(group.pattern, group.deadline);
        }
        if self.latest > group.deadline {
            self.latest = self.groups.back().map_or(group.deadline, |last| last.deadline);
        }
        if self.latest <= group.deadline {
            self.latest = group.deadline;
            return self.groups.push_back(group);
        }
        let place = self.groups.partition_point(|other| other.deadline <= group.deadline);
        self.groups.insert(place, group);
    }

    pub(super) fn remove_group(&mut self, place: usize) {
        let group = self.groups.remove(place);
        if self.further.is_some() {
            self.forget_deadline(group.pattern);
        }
    }

    /// Takes all groups out.
    pub(in crate::engine) fn take_groups(&mut self) -> impl Iterator<Item = Group> + use<> {
        self.forget_deadlines();
        self.groups.take()
    }

    /// The group's deadline may be another: finds it, and the place for it.
    pub(super) fn settle(&mut self, place: usize) {
        let group = &mut self.groups[place];
        let before = std::mem::replace(&mut group.deadline, least_deadline(group.runs.runs()));
        self.latest = self.latest.max(group.deadline);
        if group.deadline != before && self.groups.len() > 1 {
            let group = self.groups.remove(place);
            self.add_group(group);
        }
    }

    /// Those of all groups, if they are kept.
    fn deadlines(&self) -> Option<&Lookup<u32, EventTime>> {
        self.further.as_ref().map(|further| &further.deadlines).filter(|deadlines| !deadlines.is_empty())
    }

    /// Such a group is added, if they are to be kept.
    #[inline(never)]
    fn note_deadline(&mut self, pattern: u32, deadline: EventTime) {
        if self.groups.len() >= TAGGED_MAX && self.deadlines().is_none() {
            self.note_deadlines();
        }
        if let Some(further) = self.further.as_mut().filter(|further| !further.deadlines.is_empty()) {
            further.deadlines.insert(pattern, deadline);
        }
    }

    /// They are kept from now on.
    fn note_deadlines(&mut self) {
        let further = self.further.get_or_insert_default();
        for group in self.groups.iter() {
            further.deadlines.insert(group.pattern, group.deadline);
        }
    }

    /// The pattern's group is gone.
    #[cold]
    fn forget_deadline(&mut self, pattern: u32) {
        if let Some(further) = &mut self.further {
            further.deadlines.remove(&pattern);
            self.keep_deadlines_of_many();
        }
    }

    /// Groups are gone: where few are left, tags tell.
    fn keep_deadlines_of_many(&mut self) {
        if self.groups.len() <= TAGGED_MAX / 2 && self.deadlines().is_some() {
            self.forget_deadlines();
        }
    }

    fn forget_deadlines(&mut self) {
        self.further = self.further.take().filter(|further| !further.cells.is_empty());
        if let Some(further) = &mut self.further {
            further.deadlines = Lookup::default();
        }
    }

    /// Until runs are [added](Many::add_runs) or it is [settled](Many::settle), the group stays where it is.
    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        if let Kept::Group(place) = self.kept(pattern) {
            self.groups[place].runs.move_before(automaton, into);
        }
    }

    /// Adds a run to those of the group at that place, or to a new one.
    pub(super) fn add_run(&mut self, (pattern, patterns): (u32, Members), place: Option<usize>, run: Run) {
        let deadline = run.deadline();
        let Some(place) = place else {
            return self.add_group(Group { pattern, changed: patterns, there: 0, runs: Together::Runs(group::one(run)), deadline });
        };
        let group = &mut self.groups[place];
        let is_least = group.runs.is_empty() || deadline < group.deadline;
        group.runs.runs_mut().push(run);
        group.changed |= patterns;
        if is_least {
            self.settle(place);
        }
    }

    /// The event begins a run of so many patterns, of one that has nothing here.
    pub(super) fn begin(&mut self, pattern: u32, deadline: EventTime, (patterns, event): (u8, SharedEvent)) {
        self.add_group(Group { pattern, changed: members(patterns), there: 0, runs: Together::Begun { patterns, event }, deadline });
    }

    /// The same for several. Returns the least of their deadlines.
    pub(super) fn add_runs(&mut self, (pattern, patterns): (u32, Members), place: Option<usize>, new: impl IntoIterator<Item = Run>) -> EventTime {
        let Some(place) = place else {
            let group = Group::of(pattern, (patterns, 0), new.into_iter().collect());
            let least = group.deadline;
            self.add_group(group);
            return least;
        };
        let group = &mut self.groups[place];
        let runs = group.runs.runs_mut();
        let before = runs.len();
        runs.extend(new);
        let least = least_deadline(&runs[before..]);
        group.changed |= patterns;
        self.settle(place);
        least
    }

    /// As [`super::Slot::drop_due`] has it.
    pub(super) fn drop_due(&mut self, instant: EventTime, counters: &mut Counters, dropped: &mut Dropped) -> bool {
        let mut has_changed = false;
        let mut place = 0;
        while let Some(group) = self.groups.get_mut(place).filter(|group| group.deadline <= instant) {
            if !group.is_due(instant) {
                place += 1;
                continue;
            }
            has_changed = true;
            if group.there == 0 && group.runs.len() == 1 {
                // As mostly: the run goes with its group.
                let pattern = group.pattern;
                let group = if place == 0 { self.groups.pop_front() } else { Some(self.groups.remove(place)) };
                match group.map(|group| group.runs) {
                    Some(Together::Begun { event, .. }) => dropped.events.push(event),
                    Some(Together::Runs(runs)) => dropped.runs.extend(runs),
                    None => {}
                }
                if self.further.is_some() {
                    self.forget_deadline(pattern);
                }
                (counters.live_runs, counters.live_keys) = (counters.live_runs - 1, counters.live_keys - 1);
                continue;
            }
            let before = group.runs.len();
            match &mut group.runs {
                Together::Begun { .. } => {
                    if let Together::Begun { patterns, event } = std::mem::take(&mut group.runs) {
                        group.changed |= members(patterns);
                        dropped.events.push(event);
                    }
                }
                Together::Runs(runs) => {
                    for run in runs.extract_if(.., |run| run.deadline() <= instant) {
                        group.changed |= run.patterns();
                        dropped.runs.push(run);
                    }
                }
            }
            counters.live_runs -= (before - group.runs.len()) as u64;
            counters.live_keys -= u64::from(group.runs.is_empty());
            if group.is_over() {
                self.remove_group(place);
            } else {
                self.settle(place);
            }
        }
        has_changed
    }

    /// Lets go of all runs. Returns the patterns that had some, and how many.
    pub(super) fn end(&mut self) -> SmallVec<[(u32, usize); 2]> {
        self.latest = EventTime::END;
        let mut alive = SmallVec::new();
        self.groups.for_each_mut(|group| {
            if !group.runs.is_empty() {
                alive.push((group.pattern, group.runs.len()));
                group.runs = Together::default();
            }
            group.deadline = EventTime::END;
        });
        if self.deadlines().is_some() {
            self.note_deadlines();
        }
        alive
    }

    /// When time next decides or removes some of the runs.
    pub(super) fn next_deadline(&self) -> EventTime {
        self.groups.front().map_or(EventTime::END, |group| group.deadline)
    }

    /// The first pattern from `from` on with a run whose deadline is at or before the instant.
    pub(super) fn next_due(&self, instant: EventTime, from: u32) -> Option<u32> {
        let due = self.groups.iter().take_while(|group| group.deadline <= instant);
        due.filter(|group| group.pattern >= from && group.is_due(instant)).map(|group| group.pattern).min()
    }

    /// As [`super::Slot::tell_changes`] has it.
    pub(super) fn tell_changes(&mut self, key: &[u8], tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        let Self { groups, further, .. } = self;
        groups.retain_mut(|group| {
            let runs = group.runs.lying();
            let mut changed = std::mem::take(&mut group.changed);
            while changed != 0 {
                let pattern = changed.trailing_zeros();
                changed &= changed - 1;
                let (bit, of) = (1 << pattern, pattern as usize);
                let is_empty = !runs.has_run_of(of);
                if is_empty && group.there & bit == 0 {
                    continue;
                }
                let held = if is_empty { Held::Nothing } else { Held::Runs(runs, of) };
                let is_told = tell((group.pattern, of), key, held);
                group.there = group.there & !bit | if is_told && !is_empty { bit } else { 0 };
            }
            if let Some(further) = further.as_mut().filter(|_| group.is_over()) {
                further.deadlines.remove(&group.pattern);
            }
            !group.is_over()
        });
        self.keep_deadlines_of_many();
    }

    /// As [`super::Slot::forget_stored`] has it.
    pub(super) fn forget_stored(&mut self) {
        self.groups.for_each_mut(|group| group.there = 0);
    }

    /// By pattern.
    pub(in crate::engine) fn cells(&self) -> &[(u32, CellId)] {
        self.further.as_ref().map_or(&[], |further| &further.cells)
    }

    pub(super) fn add_cell(&mut self, pattern: u32, id: CellId) {
        let cells = &mut self.further.get_or_insert_default().cells;
        let after = cells.partition_point(|(of, _)| *of < pattern);
        cells.insert(after, (pattern, id));
    }

    pub(super) fn remove_cell(&mut self, pattern: u32) {
        let place = self.cells().binary_search_by_key(&pattern, |(of, _)| *of).expect("a cell is removed once");
        let further = self.further.as_mut().expect("it has just been found there");
        further.cells.remove(place);
        if self.deadlines().is_none() {
            self.further = self.further.take().filter(|further| !further.cells.is_empty());
        }
    }
}
