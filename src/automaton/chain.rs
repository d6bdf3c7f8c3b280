//! What a run has chosen: a list that shares its beginning with the runs it has in common.

use std::sync::Arc;

use crate::automaton::Choice;
use crate::event::{Event, EventTime, Place};
use crate::pattern::{Chosen, StepId};

/// What a run has chosen. Most have chosen one event, and need no link for it.
#[derive(Clone, Debug)]
pub(super) enum Chain {
    First(StepId, Arc<Event>),
    More(Arc<Link>),
}

/// The last event chosen, and all before it. Never empty, never changed.
#[derive(Debug)]
pub(super) struct Link {
    pub event: Arc<Event>,
    pub step: StepId,
    /// How many events its step has, this one included.
    count: u32,
    /// The time of the first event chosen.
    start: EventTime,
    pub parent: Option<Arc<Link>>,
}

impl Chain {
    /// The last event chosen.
    pub(super) fn event(&self) -> &Arc<Event> {
        match self {
            Self::First(_, event) => event,
            Self::More(link) => &link.event,
        }
    }

    /// The place of the first event chosen. Cost: the number of events.
    pub(super) fn start(&self) -> Place {
        match self {
            Self::First(_, event) => event.place(),
            Self::More(link) => link.start(),
        }
    }

    /// The first event chosen. Cost: the number of events.
    pub(super) fn first(&self) -> &Event {
        match self {
            Self::First(_, event) => event,
            Self::More(link) => link.links().last().map_or(&link.event, |first| &first.event),
        }
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
        match self {
            Self::First(step, event) => {
                let mut chosen = Choice::with_capacity(1 + many);
                chosen.push((*step, event.clone()));
                chosen
            }
            Self::More(link) => {
                let mut chosen = Choice::with_capacity(link.links().count() + many);
                chosen.extend(link.links().map(|link| (link.step, link.event.clone())));
                chosen.reverse();
                chosen
            }
        }
    }

    /// The same, where the chain is needed no more.
    pub(super) fn into_chosen(self, many: usize) -> Choice {
        match self {
            Self::First(step, event) => {
                let mut chosen = Choice::with_capacity(1 + many);
                chosen.push((step, event));
                chosen
            }
            more @ Self::More(_) => more.chosen(many),
        }
    }

    /// As a link, which those that go on from here have in common with it.
    pub(super) fn link(&mut self) -> &Arc<Link> {
        if let Self::First(step, event) = self {
            *self = Self::More(Link::new(*step, event.clone(), None));
        }
        let Self::More(link) = self else { unreachable!("it has just become a link") };
        link
    }
}

impl Chain {
    /// Lets go of the link of a first event, if nobody else has it.
    pub(super) fn unlink(&mut self) {
        if let Self::More(link) = self
            && let Some(link) = Arc::get_mut(link)
            && link.parent.is_none()
        {
            *self = Self::First(link.step, link.event.clone());
        }
    }
}

impl Chosen for Chain {
    fn nth(&self, step: StepId, place: usize) -> Option<&Event> {
        match self {
            Self::First(first, event) => (*first == step && place == 0).then_some(&**event),
            Self::More(link) => link.nth(step, place),
        }
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<&Event> {
        match self {
            Self::First(first, event) => (*first == step && place == 0).then_some(&**event),
            Self::More(link) => link.nth_last(step, place),
        }
    }

    fn count(&self, step: StepId) -> usize {
        match self {
            Self::First(first, _) => usize::from(*first == step),
            Self::More(link) => link.count(step),
        }
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(&Event)) {
        match self {
            Self::First(first, event) if *first == step => visit(event),
            Self::First(..) => {}
            Self::More(link) => link.for_each(step, visit),
        }
    }
}

impl Link {
    pub(super) fn new(step: StepId, event: Arc<Event>, parent: Option<Arc<Self>>) -> Arc<Self> {
        let before = parent.as_deref().and_then(|parent| parent.links().find(|link| link.step == step));
        let count = 1 + before.map_or(0, |link| link.count);
        let start = parent.as_deref().map_or(event.time, |parent| parent.start);
        Arc::new(Self { event, step, count, start, parent })
    }

    /// From the last back to the first.
    pub(super) fn links(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |link| link.parent.as_deref())
    }

    /// The place of the first event chosen.
    pub(super) fn start(&self) -> Place {
        self.links().last().map_or(Place::FIRST, |first| first.event.place())
    }
}

/// A long chain is let go link by link: dropping it the plain way would nest as deep as it is long.
impl Drop for Link {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut link) = parent.and_then(Arc::into_inner) {
            parent = link.parent.take();
        }
    }
}

impl Chosen for Link {
    fn nth(&self, step: StepId, place: usize) -> Option<&Event> {
        self.links().find(|link| link.step == step && link.count as usize == place + 1).map(|link| &*link.event)
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<&Event> {
        self.links().filter(|link| link.step == step).nth(place).map(|link| &*link.event)
    }

    fn count(&self, step: StepId) -> usize {
        self.links().find(|link| link.step == step).map_or(0, |link| link.count as usize)
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(&Event)) {
        let mut links: Vec<&Self> = self.links().filter(|link| link.step == step).collect();
        while let Some(link) = links.pop() {
            visit(&link.event);
        }
    }
}
