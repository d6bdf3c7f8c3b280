//! How a log lies in a store: short ones as one entry, long ones in segments, so that an event that comes to a log of a hundred thousand does not write all of them again.
//!
//! | tag | then | is |
//! |---|---|---|
//! | 0 | entries | a log without segments |
//! | 1 | first segment, segments, entries gone of the first; entries | a log whose segments lie beside it: the entries are those behind them |
//! | 2 | the same | all of such a log |
//! | 3 | number; entries | a segment |
//!
//! Entries are their number, then of each the time (the first whole, then differences) and the value, where values are kept. Segments are numbered from 0 on, and from 0 again where there are none
//! any more. They are made when the store is told, of what is oldest, and never change; they are deleted once all their entries have left.

use std::collections::VecDeque;
use std::ops::Range;

use crate::engine::window_log::{LogPlan, WindowLog, last_end};
use crate::event::binary::{Malformed, Reader, write_signed, write_unsigned, write_value};
use crate::event::{EventTime, Value};

/// Entries of a segment. When a long log is told, as many at least, and less than twice as many, are no segment's: so many are written again each time. (In unit tests few.)
const SEGMENT_ENTRIES: usize = if cfg!(test) { 4 } else { 256 };

const PLAIN: u8 = 0;
const HEAD: u8 = 1;
const WHOLE: u8 = 2;
const SEGMENT: u8 = 3;

/// The segments of a log, which are its oldest entries.
#[derive(Clone, Default, Debug)]
pub(super) struct Segments {
    first: u64,
    count: u64,
    /// Entries of the first one that have left.
    gone: usize,
    /// Those that the store has.
    told: Range<u64>,
    /// Those that it has of before there were none.
    ended: Range<u64>,
}

/// What a log's entry of a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::engine) enum LogPart {
    /// The log, but for these segments.
    Log(Range<u64>),
    Segment(u64),
}

impl Segments {
    fn live(&self) -> Range<u64> {
        self.first..self.first + self.count
    }

    fn entries(&self) -> usize {
        self.count as usize * SEGMENT_ENTRIES - self.gone
    }

    /// So many entries of the log leave.
    pub(super) fn leave(&mut self, gone: usize) {
        self.gone += gone;
        let over = (self.gone / SEGMENT_ENTRIES) as u64;
        if over < self.count {
            self.first += over;
            self.count -= over;
            self.gone %= SEGMENT_ENTRIES;
        } else if self.count > 0 {
            *self = Self { ended: self.told.clone(), ..Self::default() };
        } else {
            self.gone = 0;
        }
    }
}

impl LogPart {
    /// Of bytes that were written here.
    pub(in crate::engine) fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(match reader.byte("tag of a log")? {
            SEGMENT => Self::Segment(number(&mut reader)?),
            HEAD => Self::Log(Segments::read(&mut reader)?.live()),
            _ => Self::Log(0..0),
        })
    }
}

impl Segments {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (first, count) = (number(reader)?, number(reader)?);
        let gone = reader.unsigned("entries gone")?;
        if count == 0 || count >= u64::from(u32::MAX) || first.checked_add(count).is_none() || gone >= SEGMENT_ENTRIES as u64 {
            return Err(reader.malformed("segments"));
        }
        Ok(Self { first, count, gone: gone as usize, told: first..first + count, ended: 0..0 })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_unsigned(self.first, out);
        write_unsigned(self.count, out);
        write_unsigned(self.gone as u64, out);
    }
}

fn number(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    reader.unsigned("number of a segment")
}

impl WindowLog {
    /// Tells what a store does not have yet: the log itself, `None` where it is empty, and segments by their numbers, `None` where they are to be deleted. It has them from now on.
    pub(in crate::engine) fn tell(&mut self, mut tell: impl FnMut(Option<u64>, Option<Vec<u8>>)) {
        self.make_segments();
        tell(None, (!self.is_empty()).then(|| self.head()));
        let Some(segments) = &self.segments else { return };
        let (live, told, ended, gone) = (segments.live(), segments.told.clone(), segments.ended.clone(), segments.gone);
        ended.chain(told.clone()).filter(|number| !live.contains(number)).for_each(|number| tell(Some(number), None));
        for number in live.clone().filter(|number| !told.contains(number)) {
            let begin = (number - live.start) as usize * SEGMENT_ENTRIES;
            assert!(begin >= gone, "a segment is told when it is made");
            let mut bytes = vec![SEGMENT];
            write_unsigned(number, &mut bytes);
            self.write_entries(begin - gone..begin - gone + SEGMENT_ENTRIES, &mut bytes);
            tell(Some(number), Some(bytes));
        }
        if let Some(segments) = &mut self.segments {
            (segments.told, segments.ended) = (live.clone(), 0..0);
        }
        if live.is_empty() {
            self.segments = None;
        }
    }

    fn make_segments(&mut self) {
        let others = self.times.len() - self.segments.as_ref().map_or(0, |segments| segments.entries());
        if others >= 2 * SEGMENT_ENTRIES {
            let segments = self.segments.get_or_insert_default();
            segments.count += (others / SEGMENT_ENTRIES - 1) as u64;
        }
    }

    /// As its entry of the store has it.
    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let begin = self.write_tag(HEAD, &mut bytes);
        self.write_entries(begin..self.times.len(), &mut bytes);
        bytes
    }

    /// All of it, in one piece.
    pub(in crate::engine) fn encode(&self, out: &mut Vec<u8>) {
        self.write_tag(WHOLE, out);
        self.write_entries(0..self.times.len(), out);
    }

    /// Returns how many entries are in segments.
    fn write_tag(&self, tag: u8, out: &mut Vec<u8>) -> usize {
        match self.segments.as_ref().filter(|segments| segments.count > 0) {
            None => {
                out.push(PLAIN);
                0
            }
            Some(segments) => {
                out.push(tag);
                segments.write(out);
                segments.entries()
            }
        }
    }

    fn write_entries(&self, places: Range<usize>, out: &mut Vec<u8>) {
        write_unsigned(places.len() as u64, out);
        let mut before = 0;
        for place in places {
            let time = self.times[place].micros();
            write_signed(time.wrapping_sub(before), out);
            before = time;
            if let Some(value) = self.values.get(place) {
                write_value(value, out);
            }
        }
    }

    /// Of what [`WindowLog::encode`] wrote; or of what was told, the log first and then its segments, all of them in their order.
    pub(in crate::engine) fn decode<'a>(plan: &LogPlan, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Malformed> {
        let mut parts = parts.into_iter();
        let mut reader = Reader::new(parts.next().unwrap_or_default());
        let tag = reader.byte("tag of a log")?;
        let mut log = Self::new();
        if tag == HEAD || tag == WHOLE {
            log.segments = Some(Box::new(Segments::read(&mut reader)?));
        } else if tag != PLAIN {
            return Err(reader.malformed("tag of a log"));
        }
        if let Some(segments) = log.segments.as_ref().filter(|_| tag == HEAD) {
            let (live, gone) = (segments.live(), segments.gone);
            for wanted in live {
                let mut segment = Reader::new(parts.next().unwrap_or_default());
                if segment.byte("tag of a segment")? != SEGMENT || number(&mut segment)? != wanted {
                    return Err(segment.malformed("the segment"));
                }
                let before = log.times.len();
                log.read_entries(plan, &mut segment)?;
                if log.times.len() != before + SEGMENT_ENTRIES {
                    return Err(segment.malformed("as many entries as a segment has"));
                }
            }
            log.times.drain(..gone.min(log.times.len()));
            log.values.drain(..gone.min(log.values.len()));
        }
        log.read_entries(plan, &mut reader)?;
        if log.segments.as_ref().is_some_and(|segments| segments.entries() > log.times.len()) || parts.next().is_some() {
            return Err(reader.malformed("as many entries as its segments have"));
        }
        if let Some(last) = log.times.back() {
            log.end = last_end(plan, *last);
        }
        Ok(log)
    }

    /// When the last event of what was told of the log is out of all views; `None`: it is a segment, or empty.
    pub(in crate::engine) fn end_of_part(plan: &LogPlan, bytes: &[u8]) -> Result<Option<EventTime>, Malformed> {
        let mut reader = Reader::new(bytes);
        let tag = reader.byte("tag of a log")?;
        match tag {
            PLAIN => {}
            HEAD => {
                Segments::read(&mut reader)?;
            }
            SEGMENT => {
                number(&mut reader)?;
            }
            _ => return Err(reader.malformed("tag of a log")),
        }
        let mut log = Self::new();
        log.read_entries(plan, &mut reader)?;
        Ok(log.times.back().filter(|_| tag != SEGMENT).map(|last| last_end(plan, *last)))
    }

    /// The last that are written there.
    pub(super) fn read_entries(&mut self, plan: &LogPlan, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let count = reader.count("events of a log")?;
        // What is not there is found out before much memory is taken for it.
        reserve(&mut self.times, count.min(SEGMENT_ENTRIES));
        reserve(&mut self.values, if plan.path.is_some() { count.min(SEGMENT_ENTRIES) } else { 0 });
        let mut before = 0_i64;
        for _ in 0..count {
            before = before.wrapping_add(reader.signed("time")?);
            let time = EventTime::from_micros(before);
            if self.times.back().is_some_and(|last| time < *last) {
                return Err(reader.malformed("time at or after the one before"));
            }
            self.times.push_back(time);
            if plan.path.is_some() {
                let value: Value = reader.value()?;
                self.values.push_back(value);
            }
        }
        if reader.is_at_end() { Ok(()) } else { Err(reader.malformed("end")) }
    }
}

/// Of a log that has nothing yet, mostly a few.
fn reserve<T>(queue: &mut VecDeque<T>, count: usize) {
    if queue.capacity() == 0 {
        queue.reserve_exact(count);
    }
}
