//! One partition of a task: how far it is read, the newest time it has shown, and from where it would have to be read again.
//!
//! Its held records stand in a queue in order of arrival; what the watermark has let out is marked, and leaves when it is the oldest. So the
//! rewind place is the front of the queue, and keeping it costs a constant per record.

use std::collections::VecDeque;

use crate::engine::decided::{Decided, Notes};
use crate::engine::position::{PartitionPosition, RefusedBy, RefusedRange, Rewind};
use crate::event::{EventTime, ProcessingTime, StreamId, TimeSpan};

#[derive(Debug)]
pub(super) struct Partition {
    pub stream: StreamId,
    pub number: u32,
    /// Open: holds the watermark back unless idle.
    pub live: bool,
    pub idle: bool,
    /// The newest event time seen; the beginning of time: none.
    pub newest: EventTime,
    /// The greatest watermark said for it.
    pub said: EventTime,
    /// When it last showed an event; `None`: not since the machine's time is known.
    pub last_sign: Option<ProcessingTime>,
    /// For how long it had been silent before that.
    pub silent_before: TimeSpan,
    /// There is more of it to come: its silence does not count.
    pub awaited: bool,
    /// What is decided by chance, where that is to be noted.
    pub notes: Option<Notes>,
    /// What has been decided, where that is told.
    pub told: Option<Decided>,
    next_offset: u64,
    next_position: u64,
    waiting: VecDeque<Waiting>,
    /// The number of the first in the queue; they are numbered without gaps.
    first_number: u64,
    refused: VecDeque<RefusedRange>,
    rereading: Option<Rereading>,
}

/// A record whose event was held.
#[derive(Debug)]
struct Waiting {
    at: Rewind,
    released: bool,
}

/// After a restart, until all that was held is held again.
#[derive(Debug)]
struct Rereading {
    from: Rewind,
    /// The newest time and the idleness as they were stored.
    newest: EventTime,
    idle: bool,
}

/// Whether a record comes for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    First,
    /// And the last of those that were to be read again is gone from the source: with this one that is over.
    FirstSince,
    Again,
}

impl Partition {
    pub(super) fn new(stream: StreamId, number: u32) -> Self {
        Self {
            stream,
            number,
            live: false,
            idle: false,
            newest: EventTime::BEGINNING,
            said: EventTime::BEGINNING,
            last_sign: None,
            silent_before: TimeSpan::ZERO,
            awaited: false,
            notes: None,
            told: None,
            next_offset: 0,
            next_position: 0,
            waiting: VecDeque::new(),
            first_number: 0,
            refused: VecDeque::new(),
            rereading: None,
        }
    }

    /// Before a record is looked at.
    #[inline]
    pub(super) fn begin(&mut self, offset: u64) -> Reading {
        if offset < self.next_offset {
            return Reading::Again;
        }
        if self.is_rereading() {
            self.finish_rereading();
            return Reading::FirstSince;
        }
        Reading::First
    }

    /// After a record was looked at. True if it was the last of those that are read again: time may be further then.
    #[inline]
    pub(super) fn end(&mut self, offset: u64, next_position: u64) -> bool {
        if offset >= self.next_offset {
            self.next_offset = offset + 1;
            self.next_position = next_position;
            return false;
        }
        let is_last = offset + 1 == self.next_offset;
        if is_last {
            self.finish_rereading();
        }
        is_last
    }

    /// The record comes for the first time, and nothing of what happened before it is to be found again or ends with it.
    pub(super) fn goes_on(&self, offset: u64) -> bool {
        offset >= self.next_offset && self.rereading.is_none() && self.told.is_none() && !self.idle
    }

    /// [Begins](Partition::begin) and [ends](Partition::end) a record that [goes on](Partition::goes_on), with an event of no interest. (Inlined: six instructions less for
    /// most events.)
    #[inline(always)]
    pub(super) fn pass(&mut self, offset: u64, next_position: u64, now: Option<ProcessingTime>) {
        self.end(offset, next_position);
        self.sign(now);
        self.notes.iter_mut().for_each(Notes::of_no_interest);
    }

    /// Notes a record whose event is held from now on; gives its number.
    pub(super) fn hold(&mut self, at: Rewind) -> u64 {
        self.waiting.push_back(Waiting { at, released: false });
        self.first_number + self.waiting.len() as u64 - 1
    }

    /// The watermark has let it out.
    pub(super) fn release(&mut self, number: u64) {
        // Most are let out in order of arrival: those leave at once.
        if number > self.first_number {
            let place = usize::try_from(number - self.first_number).expect("a place in the queue");
            self.waiting[place].released = true;
            return;
        }
        self.waiting.pop_front();
        self.first_number += 1;
        while self.waiting.front().is_some_and(|waiting| waiting.released) {
            self.waiting.pop_front();
            self.first_number += 1;
        }
        self.forget_refused();
    }

    /// Notes a record that was kept out; `beyond`: whatever is later was, too, and nothing that is not.
    pub(super) fn refuse(&mut self, offset: u64, by: RefusedBy, beyond: EventTime) {
        let new = RefusedRange { first_offset: offset, last_offset: offset, by, beyond_us: beyond.micros() };
        // What came since and was not held takes no part either way, but for its time, which tells it apart: so the ranges are no more than the held records.
        let last_held = self.waiting.back().map_or(0, |waiting| waiting.at.offset);
        let goes_on = |range: &RefusedRange| (range.by, range.beyond_us) == (new.by, new.beyond_us) && range.last_offset >= last_held;
        match self.refused.back_mut().filter(|range| goes_on(range)) {
            Some(range) => range.last_offset = offset,
            None => self.refused.push_back(new),
        }
        self.forget_refused();
    }

    /// What kept a record with that time out when it came first.
    pub(super) fn was_refused(&self, offset: u64, time: EventTime) -> Option<RefusedBy> {
        let after = self.refused.partition_point(|range| range.first_offset <= offset);
        let range = self.refused.get(after.checked_sub(1)?)?;
        (range.last_offset >= offset && time.micros() > range.beyond_us).then_some(range.by)
    }

    /// It has shown an event.
    pub(super) fn sign(&mut self, now: Option<ProcessingTime>) {
        self.idle = false;
        (self.last_sign, self.silent_before) = (now, TimeSpan::ZERO);
    }

    /// When the silence began that lasts now.
    pub(super) fn silent_since(&mut self, now: ProcessingTime) -> ProcessingTime {
        if std::mem::take(&mut self.awaited) {
            self.sign(Some(now));
        }
        let before = self.silent_before;
        *self.last_sign.get_or_insert(ProcessingTime::from_micros(now.micros().saturating_sub(before.micros())))
    }

    /// For how long it has been silent.
    pub(super) fn silence(&self, now: Option<ProcessingTime>) -> TimeSpan {
        now.zip(self.last_sign).map_or(self.silent_before, |(now, sign)| now.since(sign))
    }

    pub(super) fn is_rereading(&self) -> bool {
        self.rereading.is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.rereading.as_ref().map_or(self.idle, |rereading| rereading.idle)
    }

    /// Takes over how silent it was.
    pub(super) fn be_silent(&mut self, told: &Decided, now: ProcessingTime) {
        self.idle = told.idle;
        (self.last_sign, self.silent_before) = (None, TimeSpan::from_micros(told.silent_us));
        self.silent_since(now);
    }

    /// The newest event time that it has shown, also before what is read again.
    pub(super) fn newest_ever(&self) -> EventTime {
        self.rereading.as_ref().map_or(self.newest, |rereading| self.newest.max(rereading.newest))
    }

    pub(super) fn position(&self, stream: &str, silence: TimeSpan) -> PartitionPosition {
        PartitionPosition {
            stream: stream.to_owned(),
            partition: self.number,
            next_offset: self.next_offset,
            next_position: self.next_position,
            newest_us: self.newest_ever().micros(),
            idle: self.is_idle(),
            silent_us: silence.micros(),
            rewind: self.rewind(),
            refused: self.refused.iter().copied().collect(),
        }
    }

    pub(super) fn restore(&mut self, position: &PartitionPosition) {
        self.next_offset = position.next_offset;
        self.next_position = position.next_position;
        self.refused = position.refused.iter().copied().collect();
        let newest = EventTime::from_micros(position.newest_us);
        // What is read again tells the time as it did at first; until all of it is there, the partition holds the watermark back, idle or not.
        self.newest = position.rewind.map_or(newest, |rewind| EventTime::from_micros(rewind.newest_us));
        self.idle = position.idle && position.rewind.is_none();
        self.silent_before = TimeSpan::from_micros(position.silent_us);
        self.rereading = position.rewind.map(|from| Rereading { from, newest, idle: position.idle });
    }

    /// Where reading would have to begin again. While that is under way it stays where it was.
    fn rewind(&self) -> Option<Rewind> {
        self.rereading.as_ref().map(|rereading| rereading.from).or_else(|| self.waiting.front().map(|waiting| waiting.at))
    }

    #[cold]
    fn finish_rereading(&mut self) {
        if let Some(rereading) = self.rereading.take() {
            self.newest = self.newest.max(rereading.newest);
            self.idle |= rereading.idle;
            self.forget_refused();
        }
    }

    /// What lies before the rewind place will not be read again.
    fn forget_refused(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        let from = self.rewind().map_or(u64::MAX, |rewind| rewind.offset);
        while self.refused.front().is_some_and(|range| range.last_offset < from) {
            self.refused.pop_front();
        }
    }
}
