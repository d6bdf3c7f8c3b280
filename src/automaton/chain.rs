//! What a run has chosen: a list that shares its beginning with the runs it has in common.

use std::sync::Arc;

use crate::event::{Event, Place};
use crate::pattern::{Chosen, StepId};

/// The last event chosen, and all before it. Never empty, never changed.
#[derive(Debug)]
pub(super) struct Link {
    pub event: Arc<Event>,
    pub step: StepId,
    /// How many events its step has, this one included.
    count: u32,
    pub parent: Option<Arc<Link>>,
}

impl Link {
    pub(super) fn new(step: StepId, event: Arc<Event>, parent: Option<Arc<Self>>) -> Arc<Self> {
        let before = parent.as_deref().and_then(|parent| parent.links().find(|link| link.step == step));
        let count = 1 + before.map_or(0, |link| link.count);
        Arc::new(Self { event, step, count, parent })
    }

    /// From the last back to the first.
    pub(super) fn links(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |link| link.parent.as_deref())
    }

    /// The place of the first event chosen.
    pub(super) fn start(&self) -> Place {
        self.links().last().map_or(Place::FIRST, |first| first.event.place())
    }

    /// In the order taken.
    pub(super) fn chosen(&self) -> Vec<(StepId, Arc<Event>)> {
        let mut chosen: Vec<_> = self.links().map(|link| (link.step, link.event.clone())).collect();
        chosen.reverse();
        chosen
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
