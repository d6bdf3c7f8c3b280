//! What a run has chosen: a list that shares its beginning with the runs it has in common.

use triomphe::{Arc, ThinArc};

use crate::automaton::Choice;
use crate::automaton::tally::{Answer, TallyPlan};
use crate::event::{EventTime, Fields, Place, SharedEvent};
use crate::pattern::{Chosen, StepId};

/// What a run has chosen: never empty, never changed. Most have chosen one event, and need no link for it.
#[derive(Clone, Debug)]
pub(super) enum Chain {
    First(StepId, SharedEvent),
    /// With what conditions ask of all that was chosen, as the pattern's plan has it.
    More(ThinArc<Link, Answer>),
}

/// An event chosen after others.
#[derive(Debug)]
pub(super) struct Link {
    event: SharedEvent,
    step: StepId,
    /// How many events its step has, this one included.
    count: u32,
    /// The place of the first event chosen. `None`: that is the one before, which says so itself: it may have been looked at last long ago.
    start: Option<Place>,
    /// What was chosen before; `None` only while the link is made or let go.
    before: Option<Chain>,
}

impl Chain {
    /// With one more event at the end. Cost: a look at each event since the last one of the step, and what the plan asks.
    pub(super) fn and(&self, step: StepId, event: &SharedEvent, plan: &TallyPlan) -> Self {
        let mut longer = self.clone();
        longer.push(step, event, plan);
        longer
    }

    /// The same where nobody goes on from what it has been: of two events, the first is not looked at then, which may have been last seen long ago.
    pub(super) fn push(&mut self, step: StepId, event: &SharedEvent, plan: &TallyPlan) {
        let count = 1 + self.links_of(step).next().map_or(0, Self::count_of_step);
        let start = if let Self::More(_) = self { Some(self.start()) } else { None };
        let link = Link { event: event.clone(), step, count, start, before: None };
        let link = Self::More(ThinArc::from_header_and_iter(link, plan.answers(self, step, event)));
        let before = std::mem::replace(self, link);
        if let Self::More(link) = self {
            link.with_arc_mut(|link| Arc::get_mut(link).expect("nobody has a link that is just being made").header_mut().before = Some(before));
        }
    }

    /// The step of the last event chosen.
    pub(super) fn step(&self) -> StepId {
        match self {
            Self::First(step, _) => *step,
            Self::More(link) => link.header.header.step,
        }
    }

    /// The last event chosen.
    pub(super) fn event(&self) -> &SharedEvent {
        match self {
            Self::First(_, event) => event,
            Self::More(link) => &link.header.header.event,
        }
    }

    /// What was chosen before the last event.
    pub(super) fn before(&self) -> Option<&Self> {
        match self {
            Self::First(..) => None,
            Self::More(link) => link.header.header.before.as_ref(),
        }
    }

    /// The same for what runs have in common, and for nothing else that is alive.
    pub(super) fn identity(&self) -> (usize, StepId) {
        let address = match self {
            Self::First(_, event) => event.address(),
            Self::More(link) => link.ptr().addr(),
        };
        (address, self.step())
    }

    /// The place of the first event chosen.
    pub(super) fn start(&self) -> Place {
        match self {
            Self::First(_, event) => event.place(),
            Self::More(link) => link.header.header.start(),
        }
    }

    /// The first event chosen. Cost: the number of events.
    pub(super) fn first(&self) -> &SharedEvent {
        self.links().last().unwrap_or(self).event()
    }

    /// The time of the first event chosen.
    pub(super) fn start_time(&self) -> EventTime {
        match self {
            Self::First(_, event) => event.time,
            Self::More(link) => link.header.header.start().time,
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

    /// Those of the step, likewise.
    pub(super) fn links_of(&self, step: StepId) -> impl Iterator<Item = &Self> {
        self.links().filter(move |link| link.step() == step)
    }

    /// What conditions ask of all that was chosen, as the pattern's plan has it; none of a first event.
    pub(super) fn answers(&self) -> &[Answer] {
        match self {
            Self::First(..) => &[],
            Self::More(link) => &link.slice,
        }
    }

    /// How many events the step of the last one has.
    fn count_of_step(&self) -> u32 {
        match self {
            Self::First(..) => 1,
            Self::More(link) => link.header.header.count,
        }
    }
}

impl Link {
    fn start(&self) -> Place {
        self.start.unwrap_or_else(|| self.before.as_ref().expect("a link is asked once it is made").event().place())
    }
}

/// A long chain is let go link by link: dropping it the plain way would nest as deep as it is long.
impl Drop for Link {
    fn drop(&mut self) {
        let mut before = self.before.take();
        while let Some(Chain::More(mut link)) = before {
            before = link.with_arc_mut(|link| Arc::get_mut(link)?.header_mut().before.take());
        }
    }
}

impl Chosen for Chain {
    fn nth(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.links_of(step).find(|link| link.count_of_step() as usize == place + 1).map(|link| link.event().fields())
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.links_of(step).nth(place).map(|link| link.event().fields())
    }

    fn count(&self, step: StepId) -> usize {
        self.links_of(step).next().map_or(0, |link| link.count_of_step() as usize)
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(Fields<'_>)) {
        let mut links: Vec<&Self> = self.links_of(step).collect();
        while let Some(link) = links.pop() {
            visit(link.event().fields());
        }
    }
}
