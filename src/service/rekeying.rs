//! Events handed from task to task: those of patterns that are keyed by something else than what the topics are partitioned by.
//!
//! ```text
//! upstream tasks ── decide lateness ── each event, once to every task that keeps one of its keys ─▶ topic ─▶ downstream tasks ── hold, order, evaluate
//!                                   └─ with each epoch, how far they are, to every task ─────────▶
//! ```
//!
//! How far an upstream task is goes with the last event that a task gets of the epoch; only one that gets none is sent a record for it. With n tasks on either side that would else be
//! n² records an epoch.
//!
//! An event goes as its producer made it, with the place where it stood first: so it is ordered, named and set aside as if it came from there. What an upstream task hands on
//! after it has said that it is at t is later than t. So the least of what all upstream tasks have said is a watermark, below which nothing comes any more, and events
//! leave in the one order that they have, however those of different upstream tasks are interleaved in the topic. An upstream task that is idle is not waited for; what it hands on
//! then may be late here as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::{Compiled, Spread, UpstreamPosition};
use crate::event::binary::{Malformed, Reader, write_bytes, write_signed, write_unsigned};
use crate::event::{Event, EventTime, StreamId};
use crate::pattern::Program;
use crate::ports::{Original, Record};

const FORMAT: u8 = 1;
const EVENT: u8 = 0;
const ACTIVE: u8 = 1;
const IDLE: u8 = 2;
const EVENT_WITH_HEADERS: u8 = 3;
/// In front of an event: how far the task is behind it.
const ACTIVE_BEHIND: u8 = 4;
const IDLE_BEHIND: u8 = 5;

/// A longer key is left out, as are headers that are longer together with it: both only matter where the event is set aside.
const KEY_AND_HEADERS_BYTES_MAX: usize = 64 << 10;

/// What an event's record takes at most, beside value, key and headers of the original.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// A task's part in it.
#[derive(Clone, Debug)]
pub enum Rekeying {
    /// Hands events on that matter to these patterns, to so many tasks.
    Upstream { program: Arc<Program>, compiled: Arc<Compiled>, tasks: u32 },
    /// Reads what was handed on, as this stream, and takes the keys of one of so many tasks.
    Downstream { stream: StreamId, upstreams: u32, tasks: u32 },
}

/// How far a task is, as it says to those that go on with its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// What it hands on from now on is later.
    pub watermark: EventTime,
    /// Nothing comes that would move it: not to be waited for.
    pub is_idle: bool,
}

/// An event for another task. Within an epoch they are in order of their places: how the inputs of a task were interleaved is chance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HandedOn {
    pub stream: StreamId,
    pub offset: u64,
    /// The one that it is for.
    pub task: u32,
    pub bytes: Vec<u8>,
}

/// What one record holds, as it is read: one of these, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Handed<'a> {
    pub event: Option<HandedEvent<'a>>,
    /// Who says how far it is, behind the event.
    pub said: Option<(u32, Announced)>,
}

/// An event and where it stood first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HandedEvent<'a> {
    /// The name of its stream.
    pub stream: &'a str,
    pub partition: u32,
    pub offset: u64,
    pub timestamp: Option<EventTime>,
    pub key: Option<&'a [u8]>,
    /// As they were put together ([`crate::ports::read_headers`]).
    pub headers: &'a [u8],
    pub value: &'a [u8],
}

/// How long a record may become, where values have at most so many bytes.
pub fn handed_bytes_max(record_bytes_max: usize) -> usize {
    record_bytes_max.saturating_add(KEY_AND_HEADERS_BYTES_MAX + HEAD_BYTES_MAX)
}

/// An upstream task's hand: which tasks an event goes to.
#[derive(Debug)]
pub(super) struct HandingOn {
    spread: Spread,
    tasks: u32,
    /// By stream and task: how many of its events that has got.
    handed_on: BTreeMap<StreamId, Vec<u64>>,
}

impl HandingOn {
    pub(super) fn new(compiled: Arc<Compiled>, tasks: u32) -> Self {
        Self { spread: Spread::new(compiled, tasks), tasks, handed_on: BTreeMap::new() }
    }

    /// The tasks that keep a key of the event.
    pub(super) fn tasks_of(&mut self, event: &Event) -> &[u32] {
        self.spread.parts_of(event)
    }

    pub(super) fn count(&mut self, stream: StreamId, task: u32) {
        let tasks = place(self.tasks);
        self.handed_on.entry(stream).or_insert_with(|| vec![0; tasks])[place(task)] += 1;
    }

    pub(super) fn handed_on(&self, stream: StreamId) -> &[u64] {
        self.handed_on.get(&stream).map_or(&[], Vec::as_slice)
    }

    pub(super) fn null_keys(&self) -> u64 {
        self.spread.null_keys()
    }
}

/// What an epoch of a task sends to so many tasks after it, each record with the one that it is for: the events in their order, and to each task how far this one is behind them.
pub fn records_handed_on(mut events: Vec<HandedOn>, announced: Option<Announced>, upstream: u32, tasks: u32) -> Vec<(u32, Vec<u8>)> {
    events.sort_unstable();
    let mut untold: BTreeSet<u32> = announced.iter().flat_map(|_| 0..tasks).collect();
    if let Some(announced) = announced {
        for event in events.iter_mut().rev() {
            if untold.remove(&event.task) {
                event.bytes = announced.encode_behind(upstream, &event.bytes);
            }
        }
    }
    let mut records: Vec<_> = events.into_iter().map(|event| (event.task, event.bytes)).collect();
    records.extend(untold.into_iter().zip(announced.iter().cycle()).map(|(task, announced)| (task, announced.encode(upstream))));
    records
}

impl Announced {
    /// The bytes of a record that says so.
    fn encode(self, upstream: u32) -> Vec<u8> {
        let mut out = vec![FORMAT, if self.is_idle { IDLE } else { ACTIVE }];
        self.write(upstream, &mut out);
        out
    }

    /// The same behind the event of these bytes.
    fn encode_behind(self, upstream: u32, event: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(event.len() + 16);
        out.extend([FORMAT, if self.is_idle { IDLE_BEHIND } else { ACTIVE_BEHIND }]);
        self.write(upstream, &mut out);
        out.extend_from_slice(&event[1..]);
        out
    }

    fn write(self, upstream: u32, out: &mut Vec<u8>) {
        write_unsigned(u64::from(upstream), out);
        write_signed(self.watermark.micros(), out);
    }
}

/// The bytes of a record that holds an event.
pub(super) fn encode_event(stream: &str, partition: u32, record: &Record<'_>, original: Original<'_>) -> Vec<u8> {
    let key = original.key.filter(|key| key.len() <= KEY_AND_HEADERS_BYTES_MAX);
    let headers = Some(original.headers).filter(|headers| key.map_or(0, <[u8]>::len) + headers.len() <= KEY_AND_HEADERS_BYTES_MAX).unwrap_or_default();
    let mut out = Vec::with_capacity(record.bytes.len() + headers.len() + 48);
    out.extend([FORMAT, if headers.is_empty() { EVENT } else { EVENT_WITH_HEADERS }]);
    write_bytes(stream.as_bytes(), &mut out);
    write_unsigned(u64::from(partition), &mut out);
    write_unsigned(record.offset, &mut out);
    write_optional(record.timestamp, &mut out, |time, out| write_signed(time.micros(), out));
    write_optional(key, &mut out, write_bytes);
    if !headers.is_empty() {
        write_bytes(headers, &mut out);
    }
    out.extend_from_slice(original.value.unwrap_or_default());
    out
}

fn write_optional<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

impl<'a> Handed<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format")? != FORMAT {
            return Err(reader.malformed("known format"));
        }
        let mut kind = reader.byte("kind")?;
        let mut said = None;
        if matches!(kind, ACTIVE | IDLE | ACTIVE_BEHIND | IDLE_BEHIND) {
            let upstream = number(&mut reader)?;
            let watermark = EventTime::from_micros(reader.signed("watermark")?);
            said = Some((upstream, Announced { watermark, is_idle: matches!(kind, IDLE | IDLE_BEHIND) }));
            if matches!(kind, ACTIVE | IDLE) {
                return if reader.is_at_end() { Ok(Self { event: None, said }) } else { Err(reader.malformed("end")) };
            }
            kind = reader.byte("kind")?;
        }
        if !matches!(kind, EVENT | EVENT_WITH_HEADERS) {
            return Err(reader.malformed("known kind"));
        }
        Ok(Self { event: Some(HandedEvent::decode(&mut reader, kind)?), said })
    }
}

impl<'a> HandedEvent<'a> {
    fn decode(reader: &mut Reader<'a>, kind: u8) -> Result<Self, Malformed> {
        let stream = std::str::from_utf8(reader.bytes("stream")?).map_err(|_| reader.malformed("stream"))?;
        let (partition, offset) = (number(reader)?, reader.unsigned("offset")?);
        let timestamp = if reader.byte("timestamp")? == 1 { Some(EventTime::from_micros(reader.signed("timestamp")?)) } else { None };
        let key = if reader.byte("key")? == 1 { Some(reader.bytes("key")?) } else { None };
        let headers = if kind == EVENT_WITH_HEADERS { reader.bytes("headers")? } else { &[] };
        Ok(Self { stream, partition, offset, timestamp, key, headers, value: reader.rest() })
    }

    /// As its first reader had it; `place` tells how far the topic in between is read.
    pub(super) fn record(&self) -> Record<'a> {
        let bytes = self.value;
        Record { offset: self.offset, position: self.offset, next_position: self.offset + 1, timestamp: self.timestamp, bytes, full_bytes: bytes.len() as u64 }
    }

    pub(super) fn original(&self) -> Original<'a> {
        Original { key: self.key, value: Some(self.value), headers: self.headers }
    }
}

fn number(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(reader.unsigned("task")?).map_err(|_| reader.malformed("task"))
}

/// What all upstream tasks have said.
#[derive(Debug)]
pub(super) struct Upstreams {
    /// By task; `None`: nothing yet, so nothing is known of what is still to come.
    said: Vec<Option<Announced>>,
    /// All tasks in the order in which they hold back: those that are not idle first, and of them those that are least far.
    in_order: BTreeSet<(bool, EventTime, u32)>,
    /// Those that have said something since they were last asked for.
    news: BTreeSet<u32>,
}

impl Upstreams {
    pub(super) fn new(tasks: u32) -> Self {
        let mut upstreams = Self { said: Vec::new(), in_order: BTreeSet::new(), news: BTreeSet::new() };
        upstreams.add_up_to(tasks);
        upstreams
    }

    fn add_up_to(&mut self, tasks: u32) {
        for task in (0..tasks).skip(self.said.len()) {
            self.said.push(None);
            self.in_order.insert(in_order(task, None));
        }
    }

    /// Cost: a search among all tasks, in their order.
    pub(super) fn note(&mut self, upstream: u32, announced: Announced) {
        // Partitions may have been added to the topics since this task began.
        self.add_up_to(upstream + 1);
        let before = self.said[place(upstream)].replace(announced);
        self.in_order.remove(&in_order(upstream, before));
        self.in_order.insert(in_order(upstream, Some(announced)));
        self.news.insert(upstream);
    }

    /// Nothing at or before it comes any more, but what an idle task may bring. Where all are idle, those that were less far hold nobody back.
    pub(super) fn watermark(&self) -> EventTime {
        let least = self.in_order.first();
        let all_are_idle = least.is_some_and(|(is_idle, ..)| *is_idle);
        let counts = if all_are_idle { self.in_order.last() } else { least };
        counts.map_or(EventTime::BEGINNING, |(_, watermark, _)| *watermark)
    }

    pub(super) fn positions(&self) -> Vec<UpstreamPosition> {
        (0..).zip(&self.said).filter_map(|(task, said)| Some(position(task, (*said)?))).collect()
    }

    /// Of those that have said something since the last call: the last that they have.
    pub(super) fn take_news(&mut self) -> Vec<UpstreamPosition> {
        let news = std::mem::take(&mut self.news);
        news.into_iter().filter_map(|task| Some(position(task, self.said[place(task)]?))).collect()
    }

    pub(super) fn restore(&mut self, positions: &[UpstreamPosition]) {
        for &UpstreamPosition { task, watermark_us, idle } in positions {
            self.note(task, Announced { watermark: EventTime::from_micros(watermark_us), is_idle: idle });
        }
    }
}

/// Whoever has said nothing yet may be anywhere.
fn in_order(task: u32, said: Option<Announced>) -> (bool, EventTime, u32) {
    said.map_or((false, EventTime::BEGINNING, task), |said| (said.is_idle, said.watermark, task))
}

fn position(task: u32, Announced { watermark, is_idle }: Announced) -> UpstreamPosition {
    UpstreamPosition { task, watermark_us: watermark.micros(), idle: is_idle }
}

fn place(task: u32) -> usize {
    usize::try_from(task).expect("tasks are partitions, which Kafka counts in 31 bits")
}

#[cfg(test)]
mod tests;
