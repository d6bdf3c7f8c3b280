//! What a slot holds where that is more than [one](super::one::One) thing.

use smallvec::SmallVec;

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::counters::Counters;
use crate::engine::slot::one::{Lone, One};
use crate::engine::slot::{CellId, Families, FoundGroup, Held, Notes};
use crate::event::EventTime;

#[derive(Debug)]
pub(in crate::engine) struct Many {
    pub groups: SmallVec<[Group; 2]>,
    pub runs: SmallVec<[Run; 2]>,
    /// By pattern.
    pub cells: Vec<(u32, CellId)>,
    /// Its least timer; the end of time: none.
    pub timer: EventTime,
    pub notes: Notes,
    pub families: Families,
}

/// The runs of one pattern, or of a family of them, under its first.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Group {
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
    pub(in crate::engine) fn of(pattern: u32) -> Self {
        Self { pattern, runs: 0, changed: 0, there: 0, deadline: EventTime::END }
    }

    /// At the end of time all that has runs is.
    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.runs > 0 && self.deadline <= instant
    }
}

impl Many {
    pub(super) fn of(one: Option<One>) -> Self {
        let mut many = Self {
            groups: SmallVec::new(),
            runs: SmallVec::new(),
            cells: Vec::new(),
            timer: EventTime::END,
            notes: one.as_ref().map_or_else(Notes::default, |one| one.notes),
            families: Families::Together,
        };
        let Some(one) = one else { return many };
        many.timer = one.timer();
        if let Lone::Cell(id) = one.lone {
            many.cells.push((one.pattern, id));
            return many;
        }
        let deadline = one.deadline();
        many.groups.push(Group { changed: one.is_changed.into(), there: one.is_there.into(), deadline, ..Group::of(one.pattern) });
        if let Lone::Run(run) = one.lone {
            many.groups[0].runs = 1;
            many.runs.push(run);
        }
        many
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

    pub(in crate::engine) fn runs_of(&self, pattern: u32) -> &[Run] {
        &self.runs[self.group(pattern).1]
    }

    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        let (place, runs) = self.group(pattern);
        if let Ok(place) = place {
            let group = &mut self.groups[place];
            (group.runs, group.deadline) = (0, EventTime::END);
            into.put_before(automaton, self.runs.drain(runs));
        }
    }

    /// Adds runs to those of the group. Returns the least of their deadlines.
    pub(super) fn add_runs(&mut self, (pattern, patterns): (u32, u64), (place, runs): FoundGroup, new: impl IntoIterator<Item = Run>) -> EventTime {
        let place = place.unwrap_or_else(|place| {
            self.groups.insert(place, Group::of(pattern));
            place
        });
        let before = self.runs.len();
        let mut least = EventTime::END;
        self.runs.insert_many(runs.end, new.into_iter().inspect(|run| least = least.min(run.deadline())));
        let group = &mut self.groups[place];
        group.runs += u16::try_from(self.runs.len() - before).expect("few runs of a pattern lie in a slot");
        group.changed |= patterns;
        group.deadline = group.deadline.min(least);
        least
    }

    /// As [`super::Slot::drop_due`] has it.
    pub(super) fn drop_due(&mut self, instant: EventTime, end_silently: impl Fn(u32) -> bool, counters: &mut Counters, dropped: &mut Vec<Run>) -> bool {
        let Self { groups, runs, .. } = self;
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
        has_changed
    }

    /// As [`super::Slot::tell_changes`] has it.
    pub(super) fn tell_changes(&mut self, key: &[u8], tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        let Self { groups, runs, .. } = self;
        let mut first = 0;
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
    }

    pub(super) fn add_cell(&mut self, pattern: u32, id: CellId) {
        let after = self.cells.partition_point(|(of, _)| *of < pattern);
        self.cells.insert(after, (pattern, id));
    }

    pub(in crate::engine) fn cell(&self, pattern: u32) -> Option<CellId> {
        let place = self.cells.binary_search_by_key(&pattern, |(of, _)| *of).ok()?;
        Some(self.cells[place].1)
    }

    pub(super) fn remove_cell(&mut self, pattern: u32) {
        let place = self.cells.binary_search_by_key(&pattern, |(of, _)| *of).expect("a cell is removed once");
        self.cells.remove(place);
    }
}
