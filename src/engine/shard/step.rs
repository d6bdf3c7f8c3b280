//! What an event or time does to what one pattern holds of one key, and the matches that come of it.

use std::cell;

use crate::automaton::{Arrival, Class, Decided, DecidedKind, RunList, Stepped, Stepping};
use crate::engine::compiled::{Compiled, CompiledPattern};
use crate::engine::counters::Counters;
use crate::engine::family::Family;
use crate::engine::matched::Match;
use crate::engine::shard::logs::{LogsAtHand, WindowsAtHand};
use crate::engine::slot::Cell;
use crate::engine::window_log::AsOf;
use crate::event::{EventTime, SharedEvent};
use crate::pattern::Moment;

/// An event, and the sources, a bit each, as which it stands in a line.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub event: &'a SharedEvent,
    pub stands_as: u64,
}

/// What an event or time does to one cell.
pub(super) struct Step<'a> {
    pub all: &'a Compiled,
    pub compiled: &'a CompiledPattern,
    /// What comes out does so for as many of its patterns as its first event can begin a run of.
    pub family: Option<&'a Family>,
    pub stepping: Stepping<'a>,
    pub stepped: &'a mut Stepped,
    /// What the windows of the pattern are answered from.
    pub logs: &'a LogsAtHand,
    pub counters: &'a mut Counters,
    pub faults: &'a cell::Cell<u64>,
    pub scratch: &'a mut Vec<u8>,
    pub matches: &'a mut Vec<Match>,
}

impl<'a> Step<'a> {
    pub(super) fn take(&mut self, cell: &mut Cell, key: &[u8], class: Class, standing: Standing<'_>) {
        let Standing { event, stands_as } = standing;
        let windows = self.windows(AsOf::Event(event.time));
        let moment = Moment { stands_as, windows: &windows, ..Moment::plain(self.faults) };
        cell.pending.advance(&mut self.stepping, Arrival { event, class, moment }, self.stepped);
        self.deliver(key, Some(event));
    }

    /// The same for runs that lie in a slot. Returns how often something was lost to a limit, as [`Stepping::advance`] has it.
    pub(super) fn take_lying(&mut self, runs: &mut impl RunList, key: &[u8], class: Class, standing: Standing<'_>) -> u64 {
        let Standing { event, stands_as } = standing;
        let windows = self.windows(AsOf::Event(event.time));
        let moment = Moment { stands_as, windows: &windows, ..Moment::plain(self.faults) };
        let dropped = self.stepping.advance(runs, Arrival { event, class, moment }, self.stepped);
        self.deliver(key, Some(event));
        dropped
    }

    pub(super) fn expire(&mut self, cell: &mut Cell, key: &[u8], instant: EventTime) {
        cell.pending.expire(&mut self.stepping, instant, self.stepped);
        self.deliver(key, None);
    }

    /// The same for runs that lie in a slot. Returns as [`Step::take_lying`] does.
    pub(super) fn expire_lying(&mut self, runs: &mut impl RunList, key: &[u8], instant: EventTime) -> u64 {
        let dropped = self.stepping.expire(runs, instant, self.stepped);
        self.deliver(key, None);
        dropped
    }

    fn windows(&self, as_of: AsOf) -> WindowsAtHand<'a> {
        WindowsAtHand { all: self.all, windows: &self.compiled.windows, logs: self.logs, as_of }
    }

    fn deliver(&mut self, key: &[u8], event: Option<&SharedEvent>) {
        if self.stepped.decided.is_empty() {
            return;
        }
        let Self { all, compiled, logs, .. } = *self;
        for decided in &mut self.stepped.decided {
            let as_of = if event.is_some() { AsOf::Event(decided.at) } else { AsOf::Deadline(decided.at) };
            let windows = WindowsAtHand { all, windows: &compiled.windows, logs, as_of };
            let moment = Moment { windows: &windows, ..Moment::plain(self.faults) };
            let mut deliver = |compiled: &CompiledPattern, decided: &mut Decided| {
                match decided.kind {
                    DecidedKind::Match => self.counters.matches += 1,
                    DecidedKind::Timeout => self.counters.timeouts += 1,
                }
                compiled.delivery.deliver(&compiled.pattern, key, decided, event, moment, self.scratch, self.matches);
            };
            if let Some(family) = self.family {
                let (_, first) = decided.chosen.first().expect("a match of no events is none");
                for pattern in &family.patterns[1..usize::from(family.begun_by(first.fields()))] {
                    deliver(&self.all.patterns[*pattern as usize], &mut decided.clone());
                }
            }
            deliver(self.compiled, decided);
        }
        self.stepped.decided.clear();
    }
}
