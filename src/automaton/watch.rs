//! What can be seen of runs at work. Watching is for tests of patterns; runs that nobody watches are stepped by code that has no trace of it.

use std::fmt::Debug;

use crate::event::{StreamId, TimeSpan};
use crate::pattern::{Chosen, ConditionId, Scope, StepId};

/// Is told what events and time do to runs, as it is found out; the same may be told several times. What is never asked is never told: conditions of a step
/// that no run waits for, say.
pub trait Watch: Debug + Send + Sync {
    /// Whether the event at hand, which is of that stream, fits a condition.
    fn asked(&self, role: Role, condition: ConditionId, stream: StreamId, scope: &Scope<'_>, fits: bool);
    /// The step takes an event, behind what has been chosen before.
    fn took(&self, step: StepId, chosen: &dyn Chosen);
    /// Time is up.
    fn ran_out(&self, deadline: Deadline);
    /// Whether it wants to be told at all: of runs that an event cannot change, too.
    fn watches(&self) -> bool {
        true
    }
}

/// Why a condition is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Whether the step takes the event.
    Step(StepId),
    /// Whether it closes a loop.
    Until,
    /// Whether it is what must not come: `then not`, `then next not`.
    Absent,
    /// The same of a `without`.
    Without,
    /// Whether a greedy loop could have taken it.
    Hunger,
}

/// What time takes from a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deadline {
    /// A way from an event to the next: the whole pattern's `within` is over.
    Within,
    /// The same: it took too long from the event before.
    Gap { from: StepId, to: StepId, span: TimeSpan },
    /// What must not come has not come for as long as it must not.
    Absence(ConditionId),
}

/// Nobody watches.
impl Watch for () {
    fn asked(&self, _: Role, _: ConditionId, _: StreamId, _: &Scope<'_>, _: bool) {}

    fn took(&self, _: StepId, _: &dyn Chosen) {}

    fn ran_out(&self, _: Deadline) {}

    fn watches(&self) -> bool {
        false
    }
}
