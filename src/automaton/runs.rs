//! The runs of one pattern and key: the partial matches that are alive, stepped by events and by time.

use std::sync::Arc;

use crate::automaton::chain::Link;
use crate::automaton::moves::{Hand, Passed, Yield};
use crate::automaton::skip::{Instant, deliver};
use crate::automaton::watch::Watch;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::Automaton;
use crate::automaton::{Decided, DecidedBy};
use crate::event::{Event, EventTime, Place};
use crate::pattern::Moment;

/// For so many runs memory is kept where there is none any more.
const KEPT_RUNS: usize = 16;

/// What bounds the state of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Runs that one key of one pattern may hold, unless the pattern says so itself. Above it those that start first are dropped and counted.
    pub runs_max: u64,
}

/// One partial match.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub chain: Arc<Link>,
    /// The place of its first event.
    pub start: Place,
    pub ways: WaySet,
    /// The least deadline of its ways; the end of time if they have none.
    pub deadline: EventTime,
    /// The `without`s, a bit each, whose first end has been chosen.
    pub inside: u64,
    /// Those that forbid their second end from now on.
    pub broken: u64,
    /// No event of the key has come since the last one chosen.
    pub fresh: bool,
    /// Came out as a match: never again, nor as a timeout.
    pub matched: bool,
    /// Came out as a timeout, or would have if the pattern asked for it: never again, nor as a match. (One way to the choice may run out of time
    /// while another still waits for an absence.)
    pub timed_out: bool,
}

/// All runs of one pattern and key. Where there is none, nothing needs to be kept.
#[derive(Clone, Debug)]
pub struct Runs {
    /// In an order that the events alone decide.
    pub(super) alive: Vec<Run>,
    /// The least deadline of all.
    pub(super) next: EventTime,
    pub(super) dropped: u64,
}

/// What stepping brings out, and memory that it uses again.
#[derive(Debug, Default)]
pub struct Stepped {
    /// In the order of delivery; for the caller to take out.
    pub decided: Vec<Decided>,
    /// Empty between two steps.
    events: Yield,
}

impl Default for Runs {
    fn default() -> Self {
        Self { alive: Vec::new(), next: EventTime::END, dropped: 0 }
    }
}

impl Runs {
    /// The event comes in the key's line. Whatever it completes is added to what was decided, in the order of delivery.
    ///
    /// Deadlines at or before its time have been expired before. Cost: one look at each run.
    pub fn advance(&mut self, automaton: &Automaton, limits: &Limits, event: &Arc<Event>, moment: Moment<'_>, stepped: &mut Stepped) {
        self.advance_watched(automaton, limits, event, moment, stepped, &());
    }

    /// The same, watched.
    pub fn advance_watched<W: Watch + ?Sized>(
        &mut self,
        automaton: &Automaton,
        limits: &Limits,
        event: &Arc<Event>,
        moment: Moment<'_>,
        stepped: &mut Stepped,
        watch: &W,
    ) {
        assert!(event.time < self.next || self.next == EventTime::END, "deadlines at an instant come before its events");
        let hand = Hand::new(automaton, event, moment, watch);
        let Stepped { decided, events: out } = stepped;
        self.alive.retain_mut(|run| {
            let born_before = out.born.len();
            let passed = hand.come_by(run, out);
            // A run that moves on keeps its place, so that the order by start lasts where each run has one successor.
            if passed == Passed::Over && out.born.len() > born_before {
                *run = out.born.swap_remove(born_before);
                return true;
            }
            passed == Passed::On
        });
        hand.begin(out);
        self.alive.append(&mut out.born);

        let instant = Instant { at: event.time, by: DecidedBy::Event, runs_dropped: self.dropped };
        if let Some(floor) = deliver(automaton, &instant, &mut out.complete, decided) {
            self.alive.retain(|run| floor.spares(run.start));
        }
        out.complete.clear();
        self.hold_to(automaton.pattern.runs_max.unwrap_or(limits.runs_max));
        self.find_next();
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        (self.next < EventTime::END).then_some(self.next)
    }

    /// Forgets everything, but keeps the memory of a few runs for the next ones.
    pub fn clear(&mut self) {
        self.alive.clear();
        self.alive.shrink_to(KEPT_RUNS);
        self.next = EventTime::END;
        self.dropped = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// How many were dropped for the limit. Forgotten with the key, once it holds no run.
    pub fn runs_dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn find_next(&mut self) {
        self.next = self.alive.iter().map(|run| run.deadline).min().unwrap_or(EventTime::END);
    }

    /// Drops what starts first until no more than `most` are left; of those that start together, what is older in the list.
    fn hold_to(&mut self, most: u64) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let Some(surplus) = self.alive.len().checked_sub(most).filter(|surplus| *surplus > 0) else { return };
        let mut by_start: Vec<(Place, usize)> = self.alive.iter().enumerate().map(|(index, run)| (run.start, index)).collect();
        let (_, last, _) = by_start.select_nth_unstable(surplus - 1);
        let last = *last;
        let mut index = 0;
        self.alive.retain(|run| {
            let dropped = (run.start, index) <= last;
            index += 1;
            !dropped
        });
        self.dropped += surplus as u64;
    }
}
