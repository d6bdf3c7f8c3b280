//! What an event or time does to what one pattern holds of one key, and the matches that come of it.

use std::cell::{self, RefCell};

use crate::automaton::{Arrival, Class, Decided, DecidedKind, RunList, Stepped, Stepping};
use crate::engine::compiled::{Compiled, CompiledPattern};
use crate::engine::counters::Counters;
use crate::engine::family::Family;
use crate::engine::matched::Match;
use crate::engine::slot::Cell;
use crate::engine::windowed::{Answers, AsOf, WindowedEvents};
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
    pub compiled: &'a CompiledPattern,
    /// What comes out does so for as many of its patterns as its first event can begin a run of.
    pub family: Option<(&'a Family, &'a Compiled)>,
    pub stepping: Stepping<'a>,
    pub stepped: &'a mut Stepped,
    /// The windows that count the event at hand.
    pub counting: &'a [usize],
    pub answers: &'a RefCell<Answers>,
    pub counters: &'a mut Counters,
    pub faults: &'a cell::Cell<u64>,
    pub scratch: &'a mut Vec<u8>,
    pub matches: &'a mut Vec<Match>,
}

impl Step<'_> {
    pub(super) fn take(&mut self, cell: &mut Cell, key: &[u8], class: Class, standing: Standing<'_>) {
        let Standing { event, stands_as } = standing;
        let windows = self.compiled.pattern.windows.as_slice();
        if !self.counting.is_empty() {
            cell.windowed.get_or_insert_with(|| Box::new(WindowedEvents::new(windows))).take(windows, event, self.counting);
        }
        let plain = Moment { stands_as, ..Moment::plain(self.faults) };
        if windows.is_empty() {
            cell.pending.advance(&mut self.stepping, Arrival { event, class, moment: plain }, self.stepped);
        } else {
            let as_of = AsOf::new(windows, cell.windowed.as_deref(), event.time, self.answers);
            cell.pending.advance(&mut self.stepping, Arrival { event, class, moment: Moment { windows: &as_of, ..plain } }, self.stepped);
        }
        self.deliver(cell.windowed.as_deref(), key, Some(event));
    }

    /// The same for runs that lie in a slot, whose pattern asks for no windows. Returns how often something was lost to a limit, as [`Stepping::advance`] has it.
    pub(super) fn take_lying(&mut self, runs: &mut impl RunList, key: &[u8], class: Class, standing: Standing<'_>) -> u64 {
        let Standing { event, stands_as } = standing;
        let moment = Moment { stands_as, ..Moment::plain(self.faults) };
        let dropped = self.stepping.advance(runs, Arrival { event, class, moment }, self.stepped);
        self.deliver(None, key, Some(event));
        dropped
    }

    pub(super) fn expire(&mut self, cell: &mut Cell, key: &[u8], instant: EventTime) {
        cell.pending.expire(&mut self.stepping, instant, self.stepped);
        self.deliver(cell.windowed.as_deref(), key, None);
        if let Some(windowed) = &mut cell.windowed {
            windowed.expire(instant);
        }
    }

    /// The same for runs that lie in a slot. Returns as [`Step::take_lying`] does.
    pub(super) fn expire_lying(&mut self, runs: &mut impl RunList, key: &[u8], instant: EventTime) -> u64 {
        let dropped = self.stepping.expire(runs, instant, self.stepped);
        self.deliver(None, key, None);
        dropped
    }

    fn deliver(&mut self, windowed: Option<&WindowedEvents>, key: &[u8], event: Option<&SharedEvent>) {
        if self.stepped.decided.is_empty() {
            return;
        }
        let windows = self.compiled.pattern.windows.as_slice();
        for decided in &mut self.stepped.decided {
            let as_of;
            let plain = Moment::plain(self.faults);
            let moment = if windows.is_empty() {
                plain
            } else {
                as_of = AsOf::new(windows, windowed, decided.at, self.answers);
                Moment { windows: &as_of, ..plain }
            };
            let mut deliver = |compiled: &CompiledPattern, decided: &mut Decided| {
                match decided.kind {
                    DecidedKind::Match => self.counters.matches += 1,
                    DecidedKind::Timeout => self.counters.timeouts += 1,
                }
                compiled.delivery.deliver(&compiled.pattern, key, decided, event, moment, self.scratch, self.matches);
            };
            if let Some((family, all)) = self.family {
                let (_, first) = decided.chosen.first().expect("a match of no events is none");
                for pattern in &family.patterns[1..usize::from(family.begun_by(first.fields()))] {
                    deliver(&all.patterns[*pattern as usize], &mut decided.clone());
                }
            }
            deliver(self.compiled, decided);
        }
        self.stepped.decided.clear();
    }
}
