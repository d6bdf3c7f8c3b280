//! An event and its place in the line.

use crate::event::{EventTime, Fields, StreamId, Value};

/// One event as the engine sees it: typed, timed, and with the address of the record it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub stream: StreamId,
    /// The partition of its source; a file is partition 0.
    pub partition: u32,
    /// The record's number in its partition; for a file the line, from 0.
    pub offset: u64,
    pub time: EventTime,
    /// As many as the stream declares fields, in that order.
    pub fields: Box<[Value]>,
}

/// Where an event stands among all events: by time, equal times by stream name, partition and offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub time: EventTime,
    pub stream: StreamId,
    pub partition: u32,
    pub offset: u64,
}

impl Place {
    /// Before every event.
    pub const FIRST: Self = Self { time: EventTime::BEGINNING, stream: StreamId(0), partition: 0, offset: 0 };
}

impl Event {
    /// Of no fields, for a decoder to fill.
    pub fn empty() -> Self {
        Self { stream: StreamId(0), partition: 0, offset: 0, time: EventTime::BEGINNING, fields: Box::default() }
    }

    /// All that the stream declares.
    pub fn all_fields(&self) -> Fields<'_> {
        (&*self.fields).into()
    }

    pub fn place(&self) -> Place {
        Place { time: self.time, stream: self.stream, partition: self.partition, offset: self.offset }
    }
}
