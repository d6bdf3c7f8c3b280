//! What a slot holds where that is of one pattern: most keys have one run of one pattern, and where there are several of it they are found in as few steps as can be.

use smallvec::SmallVec;

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::counters::Counters;
use crate::engine::slot::group::{Lying, least_deadline};
use crate::engine::slot::{CellId, Dropped, Held, Kept, Notes};
use crate::event::EventTime;

/// A group, or a cell. Of a family only what its first pattern alone has.
#[derive(Debug)]
pub(super) struct One {
    pub lone: Lone,
    pub pattern: u32,
    /// As a slot's groups have it: not yet told to the store; the store has a value.
    pub is_changed: bool,
    pub is_there: bool,
    pub notes: Notes,
}

#[derive(Debug)]
pub(super) enum Lone {
    Run(Run),
    Several(Several),
    /// It is being stepped, or the store still has a value.
    Gone,
    Cell(CellId),
}

/// Runs that have been more than one. There is at least one, unless they are being stepped.
#[derive(Debug)]
pub(super) struct Several {
    /// In the order in which they came.
    pub runs: Vec<Run>,
    /// The least of their deadlines; the end of time: none. While they are being stepped, as it was.
    least: EventTime,
}

impl One {
    pub(super) fn of(pattern: u32, run: Run) -> Self {
        Self { lone: Lone::Run(run), pattern, is_changed: true, is_there: false, notes: Notes::default() }
    }

    pub(super) fn of_cell(pattern: u32, id: CellId) -> Self {
        Self { lone: Lone::Cell(id), pattern, is_changed: false, is_there: false, notes: Notes::default() }
    }

    pub(super) fn runs(&self) -> &[Run] {
        match &self.lone {
            Lone::Run(run) => std::slice::from_ref(run),
            Lone::Several(several) => &several.runs,
            Lone::Gone | Lone::Cell(_) => &[],
        }
    }

    pub(super) fn is_group(&self) -> bool {
        !matches!(self.lone, Lone::Cell(_))
    }

    /// As [`super::Slot::kept`] has it.
    pub(super) fn kept(&self, pattern: u32) -> Kept {
        match &self.lone {
            _ if self.pattern != pattern => Kept::Nothing,
            Lone::Cell(id) => Kept::Cell(*id),
            Lone::Run(_) | Lone::Several(_) | Lone::Gone => Kept::Group(0),
        }
    }

    /// Whether it is of the pattern, and holds runs.
    pub(super) fn has_room_for(&self, pattern: u32) -> bool {
        self.pattern == pattern && self.is_group()
    }

    /// Where there is room: behind the others.
    pub(super) fn put(&mut self, run: Run) {
        self.is_changed = true;
        if let Lone::Several(several) = &mut self.lone {
            several.least = several.least.min(run.deadline());
            return several.runs.push(run);
        }
        self.lone = match self.take_lone() {
            Lone::Run(first) => Lone::Several(Several { least: first.deadline().min(run.deadline()), runs: vec![first, run] }),
            _ => Lone::Run(run),
        };
    }

    /// Asks in their order, and lets go of those for which the answer is no; then it is to be [settled](One::settle).
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Run) -> bool) {
        match &mut self.lone {
            Lone::Several(several) => several.runs.retain_mut(keep),
            Lone::Run(_) => {
                if let Lone::Run(mut run) = self.take_lone()
                    && keep(&mut run)
                {
                    self.put(run);
                }
            }
            Lone::Gone | Lone::Cell(_) => {}
        }
    }

    /// Its runs have been stepped.
    pub(super) fn settle(&mut self) {
        if let Lone::Several(several) = &mut self.lone {
            several.least = least_deadline(&several.runs);
            if several.runs.is_empty() {
                self.lone = Lone::Gone;
            }
        }
    }

    /// When time next decides something of the runs.
    pub(super) fn deadline(&self) -> EventTime {
        match &self.lone {
            Lone::Run(run) => run.deadline(),
            Lone::Several(several) => several.least,
            Lone::Gone | Lone::Cell(_) => EventTime::END,
        }
    }

    /// The runs are out of it.
    fn take_lone(&mut self) -> Lone {
        std::mem::replace(&mut self.lone, Lone::Gone)
    }

    /// Takes all runs out.
    pub(super) fn take(&mut self) -> SmallVec<[Run; 1]> {
        if !self.is_group() {
            return SmallVec::new();
        }
        match self.take_lone() {
            Lone::Run(run) => SmallVec::from_buf([run]),
            Lone::Several(several) => SmallVec::from_vec(several.runs),
            Lone::Gone | Lone::Cell(_) => SmallVec::new(),
        }
    }

    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        if self.pattern == pattern {
            into.put_before(automaton, self.take());
        }
    }

    /// As [`super::Slot::drop_due`] has it.
    pub(super) fn drop_due(&mut self, instant: EventTime, counters: &mut Counters, dropped: &mut Dropped) -> bool {
        if self.deadline() > instant || self.runs().is_empty() {
            return false;
        }
        let before = self.runs().len();
        match &mut self.lone {
            Lone::Several(several) => {
                dropped.runs.extend(several.runs.extract_if(.., |run| run.deadline() <= instant));
                self.settle();
            }
            Lone::Run(_) | Lone::Gone | Lone::Cell(_) => dropped.runs.extend(self.take()),
        }
        self.is_changed = true;
        counters.live_runs -= (before - self.runs().len()) as u64;
        counters.live_keys -= u64::from(self.runs().is_empty());
        true
    }

    /// As [`super::Slot::tell_changes`] has it.
    pub(super) fn tell_change(&mut self, key: &[u8], tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        match &self.lone {
            Lone::Run(_) | Lone::Several(_) => self.is_there = tell((self.pattern, 0), key, Held::Runs(Lying::Runs(self.runs()), 0)),
            Lone::Gone if self.is_there => {
                tell((self.pattern, 0), key, Held::Nothing);
                self.is_there = false;
            }
            Lone::Gone | Lone::Cell(_) => {}
        }
    }

    /// Nothing is held any more, and the store has nothing.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.lone, Lone::Gone) && !self.is_there
    }
}
