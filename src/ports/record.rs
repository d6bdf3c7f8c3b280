//! Records as a source hands them on: raw bytes with their address, many at once.

use std::ops::Range;

use crate::event::{EventTime, StreamId};

/// Consecutive records of one partition. The bytes stand in one buffer, which is reused.
#[derive(Debug)]
pub struct RecordBatch {
    pub stream: StreamId,
    pub partition: u32,
    data: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    offset: u64,
    position: u64,
    next_position: u64,
    timestamp: Option<EventTime>,
    full_bytes: u64,
    range: Range<usize>,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number in the partition; for a file the line, from 0.
    pub offset: u64,
    /// Where it begins in the source, and where the next one does (a file's bytes; on Kafka offsets).
    pub position: u64,
    pub next_position: u64,
    /// The time that the transport gives it, if it does.
    pub timestamp: Option<EventTime>,
    /// Without the line's end. Cut off where the record is longer than the source's bound.
    pub bytes: &'a [u8],
    /// How long the whole record is, in bytes.
    pub full_bytes: u64,
}

impl RecordBatch {
    pub fn new(stream: StreamId, partition: u32) -> Self {
        Self { stream, partition, data: Vec::new(), entries: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.entries.clear();
    }

    pub fn push(&mut self, record: Record<'_>) {
        let start = self.data.len();
        self.data.extend_from_slice(record.bytes);
        self.entries.push(Entry {
            offset: record.offset,
            position: record.position,
            next_position: record.next_position,
            timestamp: record.timestamp,
            full_bytes: record.full_bytes,
            range: start..self.data.len(),
        });
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all records together.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    pub fn get(&self, place: usize) -> Record<'_> {
        let entry = &self.entries[place];
        Record {
            offset: entry.offset,
            position: entry.position,
            next_position: entry.next_position,
            timestamp: entry.timestamp,
            bytes: &self.data[entry.range.clone()],
            full_bytes: entry.full_bytes,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|place| self.get(place))
    }
}

impl Record<'_> {
    /// The source cut it off because it is longer than its bound.
    pub fn is_cut_off(&self) -> bool {
        self.full_bytes > self.bytes.len() as u64
    }
}
