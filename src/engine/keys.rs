//! The keys of one pattern in one shard: which have runs or events that a window counts, when time next decides something, and which changed since the store was written.
//!
//! Slots lie in a list and are found by the key's bytes; nothing iterates the hash map. A key has a slot only while it has either, or while the store still
//! has a value for it that the next flush deletes.
//!
//! Timers: a heap of (instant, slot). Each slot knows its least timer; others are stale, and a timer that comes too early is looked at and put again. A
//! vacant slot keeps its timer: since time goes on, the next key in the slot mostly has no need of another. So there are about as many timers as slots.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::automaton::Runs;
use crate::engine::counters::Counters;
use crate::engine::windowed::WindowedEvents;
use crate::event::{EventTime, Lookup};

/// Place in the list of slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SlotId(u32);

#[derive(Debug, Default)]
pub(super) struct Keys {
    found: Lookup<Arc<[u8]>, SlotId>,
    slots: Vec<Slot>,
    vacant: Vec<SlotId>,
    timers: BinaryHeap<Reverse<(EventTime, SlotId)>>,
    /// Slots that changed; vacant ones among them have nothing to tell.
    changed: Vec<SlotId>,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// `None`: vacant.
    key: Option<Arc<[u8]>>,
    pub runs: Runs,
    /// `None` where the pattern asks for no windows.
    pub windowed: Option<Box<WindowedEvents>>,
    /// Its least timer; the end of time: none.
    timer: EventTime,
    /// Among [`Keys::changed`].
    is_changed: bool,
    /// The store has a value for the key.
    is_stored: bool,
}

/// What a slot held before it was stepped.
#[derive(Clone, Copy)]
pub(super) struct Before {
    runs: usize,
    dropped: u64,
}

impl Slot {
    pub(super) fn key(&self) -> &Arc<[u8]> {
        self.key.as_ref().expect("a slot in use has a key")
    }

    /// Neither runs nor events that a window counts.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.windowed.as_ref().is_none_or(|windowed| windowed.is_empty())
    }

    /// When time next decides or removes something.
    pub(super) fn next_deadline(&self) -> Option<EventTime> {
        let windows = self.windowed.as_ref().map(|windowed| windowed.end()).filter(|end| *end < EventTime::END);
        [self.runs.next_deadline(), windows].into_iter().flatten().min()
    }

    pub(super) fn before(&self) -> Before {
        Before { runs: self.runs.len(), dropped: self.runs.runs_dropped() }
    }
}

impl Keys {
    /// Allocates nothing.
    pub(super) fn find(&self, key: &[u8]) -> Option<SlotId> {
        self.found.get(key).copied()
    }

    pub(super) fn at(&self, id: SlotId) -> &Slot {
        &self.slots[id.0 as usize]
    }

    pub(super) fn slot(&mut self, id: SlotId) -> &mut Slot {
        &mut self.slots[id.0 as usize]
    }

    pub(super) fn make(&mut self, key: &[u8], counters: &mut Counters) -> SlotId {
        counters.keys_made += 1;
        counters.live_keys += 1;
        let key: Arc<[u8]> = key.into();
        let id = self.vacant.pop().unwrap_or_else(|| {
            let id = SlotId(u32::try_from(self.slots.len()).expect("fewer keys than 32 bits count"));
            self.slots.push(Slot { key: None, runs: Runs::default(), windowed: None, timer: EventTime::END, is_changed: false, is_stored: false });
            id
        });
        self.slot(id).key = Some(key.clone());
        self.found.insert(key, id);
        id
    }

    /// The runs of a slot were stepped: notes the change and the next deadline, and lets go of a key without runs.
    pub(super) fn settle(&mut self, id: SlotId, before: Before, counters: &mut Counters) {
        let slot = &mut self.slots[id.0 as usize];
        counters.live_runs = counters.live_runs + slot.runs.len() as u64 - before.runs as u64;
        counters.runs_dropped += slot.runs.runs_dropped().saturating_sub(before.dropped);
        if slot.is_empty() {
            // Forgets what the limit dropped as well: whether the store still has the key must not show.
            slot.runs.clear();
            slot.windowed = None;
            if !slot.is_stored {
                self.vacate(id, counters);
                return;
            }
        }
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(id);
        }
        self.arm(id);
    }

    /// The slot with the next timer at or before `instant`; its deadlines up to there are to be decided, if it has any, and then it is to be
    /// [settled](Keys::settle).
    pub(super) fn next_due(&mut self, instant: EventTime) -> Option<SlotId> {
        while let Some(&Reverse((at, id))) = self.timers.peek().filter(|Reverse((at, _))| *at <= instant) {
            self.timers.pop();
            let slot = self.slot(id);
            if slot.timer != at {
                continue;
            }
            slot.timer = EventTime::END;
            if slot.next_deadline().is_some_and(|deadline| deadline <= instant) {
                return Some(id);
            }
            self.arm(id);
        }
        None
    }

    /// Forgets everything that is alive, at the end of time.
    pub(super) fn end(&mut self, counters: &mut Counters) {
        for place in 0..self.slots.len() {
            let id = SlotId(u32::try_from(place).expect("fewer keys than 32 bits count"));
            let before = self.slot(id).before();
            if !self.slot(id).is_empty() {
                self.slot(id).runs = Runs::default();
                self.slot(id).windowed = None;
                self.settle(id, before, counters);
            }
        }
        self.timers.clear();
        self.slots.iter_mut().for_each(|slot| slot.timer = EventTime::END);
    }

    /// Visits what has changed since the last time, with the runs of each key; `None` where it has none any more and the store has.
    pub(super) fn take_changed(&mut self, counters: &mut Counters, mut visit: impl FnMut(&[u8], Option<&Slot>)) {
        let changed = std::mem::take(&mut self.changed);
        for &id in &changed {
            let slot = self.slot(id);
            slot.is_changed = false;
            let Some(key) = slot.key.clone() else { continue };
            if slot.is_empty() {
                visit(&key, None);
                self.vacate(id, counters);
            } else {
                slot.is_stored = true;
                visit(&key, Some(slot));
            }
        }
        self.changed = changed;
        self.changed.clear();
    }

    /// Lets the changes go unwritten, where nothing is kept.
    pub(super) fn discard_changed(&mut self, counters: &mut Counters) {
        let changed = std::mem::take(&mut self.changed);
        for &id in &changed {
            let slot = self.slot(id);
            slot.is_changed = false;
            if slot.key.is_some() && slot.is_empty() {
                self.vacate(id, counters);
            }
        }
        self.changed = changed;
        self.changed.clear();
    }

    /// Takes up what the store has for a key.
    pub(super) fn restore(&mut self, key: &[u8], runs: Runs, windowed: Option<Box<WindowedEvents>>, counters: &mut Counters) {
        let id = self.find(key).unwrap_or_else(|| self.make(key, counters));
        let slot = self.slot(id);
        slot.is_stored = true;
        let before = slot.runs.len();
        slot.runs = runs;
        slot.windowed = windowed;
        counters.live_runs = counters.live_runs + slot.runs.len() as u64 - before as u64;
        self.arm(id);
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty() && self.changed.is_empty() && self.vacant.len() == self.slots.len()
    }

    fn arm(&mut self, id: SlotId) {
        let slot = &mut self.slots[id.0 as usize];
        if let Some(deadline) = slot.next_deadline().filter(|deadline| *deadline < slot.timer) {
            slot.timer = deadline;
            self.timers.push(Reverse((deadline, id)));
        }
    }

    fn vacate(&mut self, id: SlotId, counters: &mut Counters) {
        let slot = &mut self.slots[id.0 as usize];
        let key = slot.key.take().expect("a slot in use has a key");
        slot.is_stored = false;
        self.found.remove(&*key);
        self.vacant.push(id);
        counters.live_keys -= 1;
    }
}
