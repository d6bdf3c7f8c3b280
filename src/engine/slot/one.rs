//! What a slot holds where that is of one pattern, and little: most keys have one run of one pattern.

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::counters::Counters;
use crate::engine::slot::{CellId, Held, Kept, Notes};
use crate::event::EventTime;

/// A group with at most one run, or a cell. Of a family only what its first pattern alone has.
#[derive(Debug)]
pub(super) struct One {
    pub lone: Lone,
    pub pattern: u32,
    /// The timer of the run is set.
    pub is_armed: bool,
    /// As a slot's groups have it: not yet told to the store; the store has a value.
    pub is_changed: bool,
    pub is_there: bool,
    pub notes: Notes,
}

#[derive(Debug)]
pub(super) enum Lone {
    Run(Run),
    /// It is being stepped, or the store still has a value; the timer that was set for it.
    Gone {
        timer: EventTime,
    },
    Cell(CellId),
}

impl One {
    /// Not yet armed.
    pub(super) fn of(pattern: u32, run: Run) -> Self {
        Self { lone: Lone::Run(run), pattern, is_armed: false, is_changed: true, is_there: false, notes: Notes::default() }
    }

    pub(super) fn of_cell(pattern: u32, id: CellId) -> Self {
        Self { lone: Lone::Cell(id), pattern, is_armed: false, is_changed: false, is_there: false, notes: Notes::default() }
    }

    pub(super) fn run(&self) -> Option<&Run> {
        if let Lone::Run(run) = &self.lone { Some(run) } else { None }
    }

    pub(super) fn runs(&self) -> &[Run] {
        self.run().map_or(&[], std::slice::from_ref)
    }

    pub(super) fn is_group(&self) -> bool {
        !matches!(self.lone, Lone::Cell(_))
    }

    /// As [`super::Slot::kept`] has it.
    pub(super) fn kept(&self, pattern: u32) -> Kept {
        match &self.lone {
            _ if self.pattern != pattern => Kept::Nothing,
            Lone::Cell(id) => Kept::Cell(*id),
            Lone::Run(_) | Lone::Gone { .. } => Kept::Group(0),
        }
    }

    pub(super) fn has_room_for(&self, pattern: u32) -> bool {
        self.pattern == pattern && matches!(self.lone, Lone::Gone { .. })
    }

    /// Where there is room.
    pub(super) fn put(&mut self, run: Run) {
        self.is_armed = matches!(self.lone, Lone::Gone { timer } if timer == run.deadline() && timer < EventTime::END);
        self.is_changed = true;
        self.lone = Lone::Run(run);
    }

    /// When time decides something of the run.
    pub(super) fn deadline(&self) -> EventTime {
        self.run().map_or(EventTime::END, Run::deadline)
    }

    pub(super) fn timer(&self) -> EventTime {
        match &self.lone {
            Lone::Run(run) if self.is_armed => run.deadline(),
            Lone::Gone { timer } => *timer,
            Lone::Run(_) | Lone::Cell(_) => EventTime::END,
        }
    }

    /// No timer is set from now on.
    pub(super) fn disarm(&mut self) {
        self.is_armed = false;
        if let Lone::Gone { timer } = &mut self.lone {
            *timer = EventTime::END;
        }
    }

    pub(super) fn take(&mut self) -> Option<Run> {
        let timer = self.timer();
        match std::mem::replace(&mut self.lone, Lone::Gone { timer }) {
            Lone::Run(run) => {
                self.is_armed = false;
                Some(run)
            }
            other => {
                self.lone = other;
                None
            }
        }
    }

    pub(super) fn lift(&mut self, pattern: u32, automaton: &Automaton, into: &mut Pending) {
        if self.pattern == pattern
            && let Some(run) = self.take()
        {
            into.put_before(automaton, Some(run));
        }
    }

    /// As [`super::Slot::drop_due`] has it.
    pub(super) fn drop_due(&mut self, instant: EventTime, counters: &mut Counters, dropped: &mut Vec<Run>) -> bool {
        let is_due = self.run().is_some_and(|run| run.deadline() <= instant);
        if is_due {
            dropped.extend(self.take());
            self.is_changed = true;
            counters.live_runs -= 1;
            counters.live_keys -= 1;
        }
        is_due
    }

    /// As [`super::Slot::tell_changes`] has it.
    pub(super) fn tell_change(&mut self, key: &[u8], tell: &mut impl FnMut((u32, usize), &[u8], Held<'_>) -> bool) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        match &self.lone {
            Lone::Run(run) => self.is_there = tell((self.pattern, 0), key, Held::Runs(std::slice::from_ref(run), 0)),
            Lone::Gone { .. } if self.is_there => {
                tell((self.pattern, 0), key, Held::Nothing);
                self.is_there = false;
            }
            Lone::Gone { .. } | Lone::Cell(_) => {}
        }
    }

    /// Nothing is held any more, and the store has nothing.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.lone, Lone::Gone { .. }) && !self.is_there
    }
}
