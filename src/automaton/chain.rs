//! What a run has chosen: a list that shares its beginning with the runs it has in common.

use std::sync::Arc;

use crate::automaton::Choice;
use crate::event::{EventTime, Place, SharedEvent, Value};
use crate::pattern::{Chosen, StepId};

/// What a run has chosen: never empty, never changed. Most have chosen one event, and need no link for it.
#[derive(Clone, Debug)]
pub(super) enum Chain {
    First(StepId, SharedEvent),
    More(Arc<Link>),
}

/// An event chosen after others.
#[derive(Debug)]
pub(super) struct Link {
    event: SharedEvent,
    step: StepId,
    /// How many events its step has, this one included.
    count: u32,
    /// The time of the first event chosen.
    start: EventTime,
    /// What was chosen before; `None` only while the link is let go.
    before: Option<Chain>,
}

impl Chain {
    /// With one more event at the end.
    pub(super) fn and(&self, step: StepId, event: SharedEvent) -> Self {
        let count = 1 + self.links().find(|link| link.step() == step).map_or(0, Self::count_of_step);
        Self::More(Arc::new(Link { event, step, count, start: self.start_time(), before: Some(self.clone()) }))
    }

    /// The step of the last event chosen.
    pub(super) fn step(&self) -> StepId {
        match self {
            Self::First(step, _) => *step,
            Self::More(link) => link.step,
        }
    }

    /// The last event chosen.
    pub(super) fn event(&self) -> &SharedEvent {
        match self {
            Self::First(_, event) => event,
            Self::More(link) => &link.event,
        }
    }

    /// What was chosen before the last event.
    pub(super) fn before(&self) -> Option<&Self> {
        match self {
            Self::First(..) => None,
            Self::More(link) => link.before.as_ref(),
        }
    }

    /// The same for what runs have in common, and for nothing else that is alive.
    pub(super) fn identity(&self) -> (usize, StepId) {
        let address = match self {
            Self::First(_, event) => event.address(),
            Self::More(link) => Arc::as_ptr(link).addr(),
        };
        (address, self.step())
    }

    /// The place of the first event chosen. Cost: the number of events.
    pub(super) fn start(&self) -> Place {
        self.first().place()
    }

    /// The first event chosen. Cost: the number of events.
    pub(super) fn first(&self) -> &SharedEvent {
        self.links().last().unwrap_or(self).event()
    }

    /// The time of the first event chosen.
    pub(super) fn start_time(&self) -> EventTime {
        match self {
            Self::First(_, event) => event.time,
            Self::More(link) => link.start,
        }
    }

    /// In the order taken, in memory for so `many` more.
    pub(super) fn chosen(&self, many: usize) -> Choice {
        let mut chosen = Choice::with_capacity(self.links().count() + many);
        chosen.extend(self.links().map(|link| (link.step(), link.event().clone())));
        chosen.reverse();
        chosen
    }

    /// From the last back to the first: each with all before it.
    fn links(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |link| link.before())
    }

    /// How many events the step of the last one has.
    fn count_of_step(&self) -> u32 {
        match self {
            Self::First(..) => 1,
            Self::More(link) => link.count,
        }
    }
}

/// A long chain is let go link by link: dropping it the plain way would nest as deep as it is long.
impl Drop for Link {
    fn drop(&mut self) {
        let mut before = self.before.take();
        while let Some(Chain::More(link)) = before {
            before = Arc::into_inner(link).and_then(|mut link| link.before.take());
        }
    }
}

impl Chosen for Chain {
    fn nth(&self, step: StepId, place: usize) -> Option<&[Value]> {
        self.links().find(|link| link.step() == step && link.count_of_step() as usize == place + 1).map(|link| link.event().fields())
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<&[Value]> {
        self.links().filter(|link| link.step() == step).nth(place).map(|link| link.event().fields())
    }

    fn count(&self, step: StepId) -> usize {
        self.links().find(|link| link.step() == step).map_or(0, |link| link.count_of_step() as usize)
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(&[Value])) {
        let mut links: Vec<&Self> = self.links().filter(|link| link.step() == step).collect();
        while let Some(link) = links.pop() {
            visit(link.event().fields());
        }
    }
}
