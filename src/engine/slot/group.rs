//! The runs of one pattern in a slot, or of a family of them.

use thin_vec::ThinVec;

use crate::automaton::{Automaton, Pending, PlainStart, Run};
use crate::engine::family::Members;
use crate::event::{EventTime, SharedEvent};

/// The runs of one pattern, or of a family of them, under its first. With thousands of patterns a key has a dozen of these, most of which are one run that has begun and is over when its time is up; what an event
/// waits for is the memory that they lie in. So one is 32 bytes, half of what a processor fetches at a time.
#[derive(Debug)]
pub(in crate::engine) struct Group {
    pub pattern: u32,
    /// The patterns of which something is not yet told to the store; of a family more than the first.
    pub changed: Members,
    /// Those of which the store has a value.
    pub there: Members,
    pub runs: Together,
    /// The least of its runs; the end of time: none. While its runs are being stepped, as it was.
    pub(super) deadline: EventTime,
}

impl Group {
    pub(in crate::engine) fn of(pattern: u32, (changed, there): (Members, Members), runs: ThinVec<Run>) -> Self {
        let deadline = least_deadline(&runs);
        Self { pattern, changed, there, runs: Together::Runs(runs), deadline }
    }

    /// At the end of time all that has runs is.
    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.deadline <= instant && !self.runs.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.runs.is_empty() && self.there == 0
    }
}

pub(super) fn least_deadline(runs: &[Run]) -> EventTime {
    runs.iter().fold(EventTime::END, |least, run| least.min(run.deadline()))
}

/// The runs of a group, in two words.
#[derive(Debug)]
pub(in crate::engine) enum Together {
    /// In the order in which they came.
    Runs(ThinVec<Run>),
    /// One, of so many patterns, to which nothing has come since: its [event tells it](PlainStart::is_told_by_its_event). Before it is looked at or another comes beside it, it is [unfolded](Together::unfold).
    Begun { patterns: u8, event: SharedEvent },
}

impl Default for Together {
    fn default() -> Self {
        Self::Runs(ThinVec::new())
    }
}

impl Together {
    pub(in crate::engine) fn len(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.len(),
            Self::Begun { .. } => 1,
        }
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that are unfolded.
    pub(in crate::engine) fn runs(&self) -> &[Run] {
        match self {
            Self::Runs(runs) => runs,
            Self::Begun { .. } => unreachable!("a run that has begun is unfolded before it is looked at"),
        }
    }

    pub(in crate::engine) fn runs_mut(&mut self) -> &mut ThinVec<Run> {
        match self {
            Self::Runs(runs) => runs,
            Self::Begun { .. } => unreachable!("a run that has begun is unfolded before it is stepped, or another comes beside it"),
        }
    }

    /// From now on they lie there as runs. `start`: of their pattern, where it has one.
    pub(in crate::engine) fn unfold(&mut self, start: Option<PlainStart>) {
        if let Self::Begun { patterns, event } = self {
            *self = Self::Runs(one(begun(start, *patterns, event.clone())));
        }
    }

    pub(super) fn lying(&self) -> Lying<'_> {
        match self {
            Self::Runs(runs) => Lying::Runs(runs),
            Self::Begun { patterns, event } => Lying::Begun(*patterns, event),
        }
    }

    /// Takes all out, into runs before those that are there; the memory is used again.
    pub(super) fn move_before(&mut self, automaton: &Automaton, into: &mut Pending) {
        into.put_before(automaton, self.runs_mut().drain(..));
    }
}

/// Runs as they lie somewhere.
#[derive(Clone, Copy)]
pub(in crate::engine) enum Lying<'a> {
    Runs(&'a [Run]),
    /// As [`Together::Begun`].
    Begun(u8, &'a SharedEvent),
}

impl Lying<'_> {
    /// Whether some is one of that one of the patterns kept together.
    pub(in crate::engine) fn has_run_of(self, pattern: usize) -> bool {
        match self {
            Self::Runs(runs) => runs.iter().any(|run| run.is_of(pattern)),
            Self::Begun(patterns, _) => pattern < usize::from(patterns),
        }
    }

    /// Shows them as runs. `start`: of their pattern, where it has one.
    pub(in crate::engine) fn show<T>(self, start: Option<PlainStart>, look: impl FnOnce(&[Run]) -> T) -> T {
        match self {
            Self::Runs(runs) => look(runs),
            Self::Begun(patterns, event) => look(&[begun(start, patterns, event.clone())]),
        }
    }
}

fn begun(start: Option<PlainStart>, patterns: u8, event: SharedEvent) -> Run {
    start.expect("what has begun has begun plainly").begun(event).of_first(patterns)
}

/// In memory for no more.
pub(super) fn one(run: Run) -> ThinVec<Run> {
    let mut runs = ThinVec::with_capacity(1);
    runs.push(run);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_small() {
        assert_eq!((size_of::<Together>(), size_of::<Group>()), (16, 32));
    }
}
