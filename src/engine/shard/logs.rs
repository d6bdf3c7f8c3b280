//! The [logs](crate::engine::logs) of keys: events are taken into them before anything else is done with them, so that windows count the event at hand; and a pattern that asks for windows is
//! stepped with those of its key at hand.
//!
//! A log has a cell of its own in the slot of its key, under its number, as patterns have theirs: so it is found, packed, stored and let go of as these are.
//!
//! What is decided by a deadline sees its windows as of then. So everything that is due at a key is decided before an event is taken into a log there, and before time lets go of a log.

use std::cell::{self, RefCell};

use smallvec::SmallVec;

use crate::engine::compiled::{Compiled, CompiledPattern};
use crate::engine::index::{Waiting, number};
use crate::engine::keys::{Address, Place};
use crate::engine::logs::{Log, ViewOf};
use crate::engine::matched::Match;
use crate::engine::reorder::Wanted;
use crate::engine::shard::hand::{Hand, Whose};
use crate::engine::shard::lines::Lines;
use crate::engine::slot::{CellId, Held, SlotId};
use crate::engine::snapshot::{Change, SEGMENT_BYTES, entry_key, segment_key};
use crate::engine::window_log::{AsOf, LogPart, WindowLog};
use crate::event::binary::Malformed;
use crate::event::{EventTime, SharedEvent, Value};
use crate::pattern::{WindowId, Windows};

/// Logs of the key at hand, out of their cells as long as patterns are stepped there.
#[derive(Debug, Default)]
pub(super) struct LogsAtHand {
    /// The table, and the slot of the key.
    of: Option<(usize, SlotId)>,
    logs: RefCell<SmallVec<[LogAtHand; 2]>>,
    /// By number of a pattern or log: where the log is among them, if it is. Of others it means nothing, so that nothing is to be cleared.
    places: Vec<u32>,
}

#[derive(Debug)]
struct LogAtHand {
    number: u32,
    cell: CellId,
    log: Box<WindowLog>,
}

impl LogsAtHand {
    /// None so far, of so many numbers of patterns and logs.
    pub(super) fn of(numbers: usize) -> Self {
        Self { places: vec![0; numbers], ..Self::default() }
    }

    /// Where the log with this number is among them.
    fn place(&self, number: u32) -> Option<usize> {
        let place = self.places[number as usize] as usize;
        self.logs.borrow().get(place).is_some_and(|known| known.number == number).then_some(place)
    }

    fn add(&mut self, log: LogAtHand) {
        let logs = self.logs.get_mut();
        self.places[log.number as usize] = number(logs.len());
        logs.push(log);
    }
}

/// The windows of a pattern, as of an instant.
pub(super) struct WindowsAtHand<'a> {
    pub all: &'a Compiled,
    pub windows: &'a [ViewOf],
    pub logs: &'a LogsAtHand,
    pub as_of: AsOf,
}

impl Windows for WindowsAtHand<'_> {
    fn value(&self, id: WindowId, faults: &cell::Cell<u64>) -> Value {
        let ViewOf { log: number, view } = self.windows[usize::from(id.0)];
        let plan = &self.all.log(number).expect("a window is answered by a log").plan;
        match self.logs.place(number) {
            Some(place) => self.logs.logs.borrow_mut()[place].log.answer(plan, view, self.as_of, faults),
            None => plan.of_nothing(view),
        }
    }
}

/// Adds what a store does not have of the log of a key.
pub(super) fn tell_log(version: u128, key: &[u8], held: Held<'_>, out: &mut Vec<Change>) {
    match held {
        Held::Log(log) => log.tell(|segment, value| {
            let key = segment.map_or_else(|| entry_key(version, key), |segment| segment_key(version, key, segment));
            out.push(Change { key, value });
        }),
        Held::Nothing | Held::Runs(..) | Held::Cell(_) => out.push(Change { key: entry_key(version, key), value: None }),
    }
}

/// The key of what a store has of a log.
pub(super) fn without_segment<'a>(rest: &'a [u8], value: &[u8]) -> Result<&'a [u8], Malformed> {
    let LogPart::Segment(number) = LogPart::of(value)? else { return Ok(rest) };
    let (key, segment) = rest.split_last_chunk::<SEGMENT_BYTES>().ok_or(Malformed { what: "number of a segment", left: rest.len() })?;
    if u64::from_be_bytes(*segment) == number { Ok(key) } else { Err(Malformed { what: "number of a segment", left: rest.len() }) }
}

impl Lines {
    /// Takes the event into the logs that keep it. Returns as [`Lines::step_candidate`] does.
    #[inline(never)]
    pub(super) fn take_into_logs(&mut self, all: &Compiled, hand: &mut Hand, wanted: &Wanted, matches: &mut Vec<Match>) -> bool {
        let event = &wanted.event;
        let stream = &all.streams[usize::from(event.stream.0)];
        let mut has_null = false;
        for candidate in wanted.interest.candidates() {
            let Some(log) = all.log(candidate.pattern) else { continue };
            if let Some((keying, _)) = stream.only_line(candidate.pattern) {
                let whose = hand.find(keying, &stream.keyings, event, self);
                if whose == Whose::Ours {
                    self.take_into_log((candidate.pattern, log), all, hand, keying, event, matches);
                }
                has_null |= whose == Whose::Nobody;
                continue;
            }
            has_null |= self.stand(candidate, all, hand, event);
            for place in 0..hand.stands.len() {
                self.take_into_log((candidate.pattern, log), all, hand, hand.stands[place].0, event, matches);
            }
        }
        has_null
    }

    fn take_into_log(&mut self, (number, log): (u32, &Log), all: &Compiled, hand: &mut Hand, keying: usize, event: &SharedEvent, matches: &mut Vec<Match>) {
        let (key, found) = self.find(log.table, all, hand, keying, event.time, matches);
        let slot = found.slot.and_then(|slot| self.expire_cells(log.table, slot, all, event.time, matches));
        let address = Address { slot, hash: key.hash, key: &key.bytes };
        found.slot = Some(self.keys[log.table].take_into_log(address, (number, log), event, &mut self.counters));
    }

    /// Decides what is due in the cells of a key. `None`: the slot is gone.
    fn expire_cells(&mut self, table: usize, slot: SlotId, all: &Compiled, instant: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        if all.tables[table].ends_silently {
            return Some(slot);
        }
        let keys = &self.keys[table];
        let is_due = |(pattern, cell): &(u32, CellId)| all.log(*pattern).is_none() && keys.cell_at(*cell).is_due(instant);
        let due: SmallVec<[CellId; 2]> = keys.slot(slot).cells().filter(is_due).map(|(_, cell)| cell).collect();
        due.into_iter().try_fold(slot, |slot, cell| self.expire_cell(table, cell, all, instant, matches).then_some(slot))
    }

    /// Time lets go of logs whose events are all out, or they are looked at again when they are.
    pub(super) fn expire_logs(&mut self, table: usize, instant: EventTime) {
        let mut due = std::mem::take(&mut self.due_logs);
        for cell in due.drain(..) {
            self.keys[table].expire_log(cell, instant, &mut self.counters);
        }
        self.due_logs = due;
    }

    /// The pattern is about to be stepped at the key. Until they are [put back](Lines::put_logs_back) its logs stay at hand, for other patterns.
    pub(super) fn take_logs(&mut self, compiled: &CompiledPattern, slot: Option<SlotId>) {
        if compiled.windows.is_empty() {
            return;
        }
        let of = slot.map(|slot| (compiled.table, slot));
        if self.logs.of != of {
            self.put_logs_back();
            self.logs.of = of;
        }
        let Some(slot) = slot else { return };
        let (keys, logs) = (&mut self.keys[compiled.table], &mut self.logs);
        for &ViewOf { log: number, .. } in &compiled.windows {
            if logs.place(number).is_none()
                && let Some(cell) = keys.slot(slot).cell(number)
                && let Some(log) = keys.cell(cell).log.take()
            {
                logs.add(LogAtHand { number, cell, log });
            }
        }
    }

    /// Adds those who may wait for whom it holds what they ask of windows of the key for a first event, as of the event at hand, whose time that is. Cost: a step for each view that is asked for, an
    /// answer for each whose log the key has, and a search by halves among what is asked of it.
    pub(super) fn ask_windows(&mut self, waiting: &Waiting, all: &Compiled, (table, slot): (usize, Option<SlotId>), now: EventTime, out: &mut Vec<u32>) {
        let mut views = waiting.windows_of(table).iter().peekable();
        let Some(first) = views.peek().map(|asked| asked.view.log) else { return };
        // Each is asked where it is: to have it at hand costs more.
        self.put_logs_back();
        if let Some(slot) = slot {
            let faults = &self.faults;
            self.keys[table].for_each_log(slot, first, |number, log| {
                while let Some(asked) = views.next_if(|asked| asked.view.log < number) {
                    out.extend(asked.found_of_nothing());
                }
                while let Some(asked) = views.next_if(|asked| asked.view.log == number) {
                    let plan = &all.log(number).expect("a window is answered by a log").plan;
                    out.extend(asked.found(&log.answer(plan, asked.view.view, AsOf::Event(now), faults)));
                }
            });
        }
        views.for_each(|asked| out.extend(asked.found_of_nothing()));
    }

    /// All patterns that the event matters to were stepped.
    pub(super) fn put_logs_back(&mut self) {
        if let Some((table, _)) = self.logs.of.take() {
            let (keys, logs) = (&mut self.keys[table], self.logs.logs.get_mut());
            while let Some(LogAtHand { cell, log, .. }) = logs.pop() {
                keys.cell(cell).log = Some(log);
            }
        }
    }

    /// Whether the event can begin a run of the pattern as far as its windows decide.
    pub(super) fn windows_let_begin(&mut self, all: &Compiled, pattern: u32, slot: Option<SlotId>, event: &SharedEvent) -> bool {
        let compiled = &all.patterns[pattern as usize];
        self.take_logs(compiled, slot);
        let windows = WindowsAtHand { all, windows: &compiled.windows, logs: &self.logs, as_of: AsOf::Event(event.time) };
        compiled.asks_windows_first.iter().all(|asked| asked.holds(&windows, &self.faults))
    }

    /// Whether what is due at that place is a log.
    pub(super) fn is_log(&self, table: usize, place: Place, all: &Compiled) -> bool {
        if let Place::Cell(id) = place { all.log(self.keys[table].cell_at(id).pattern).is_some() } else { false }
    }
}
