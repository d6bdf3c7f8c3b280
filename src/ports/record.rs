//! Records as a source hands them on: raw bytes with their address, many at once.

use std::ops::Range;

use crate::event::{EventTime, StreamId};

/// Consecutive records of one partition. The bytes stand in one buffer, which is reused.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    pub stream: StreamId,
    pub partition: u32,
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// Of the last record, where the source tells it: which leader of its partition wrote it.
    pub leader_epoch: Option<u32>,
}

#[derive(Clone, Debug)]
struct Entry {
    offset: u64,
    position: u64,
    next_position: u64,
    timestamp: Option<EventTime>,
    full_bytes: u64,
    range: Range<usize>,
    original: Option<Whole>,
}

/// Behind the bytes of its value, whole, stand those of its key.
#[derive(Clone, Copy, Debug)]
struct Whole {
    has_value: bool,
    value_bytes: usize,
    key_bytes: Option<usize>,
}

/// A record as its producer made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
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
        Self { stream, partition, data: Vec::new(), entries: Vec::new(), leader_epoch: None }
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.entries.clear();
        self.leader_epoch = None;
    }

    pub fn push(&mut self, record: Record<'_>) {
        let start = self.data.len();
        self.data.extend_from_slice(record.bytes);
        self.add(record, start, None);
    }

    /// The record together with all that its producer gave: `record.bytes` is the beginning of the value.
    pub fn push_original(&mut self, record: Record<'_>, original: Original<'_>) {
        let start = self.data.len();
        let value = original.value.unwrap_or_default();
        assert!(value.starts_with(record.bytes), "a record shows the beginning of its value");
        self.data.extend_from_slice(value);
        self.data.extend_from_slice(original.key.unwrap_or_default());
        let whole = Whole { has_value: original.value.is_some(), value_bytes: value.len(), key_bytes: original.key.map(<[u8]>::len) };
        self.add(record, start, Some(whole));
    }

    fn add(&mut self, record: Record<'_>, start: usize, original: Option<Whole>) {
        self.entries.push(Entry {
            offset: record.offset,
            position: record.position,
            next_position: record.next_position,
            timestamp: record.timestamp,
            full_bytes: record.full_bytes,
            range: start..start + record.bytes.len(),
            original,
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

    /// What the producer gave; without a key where the source has none.
    pub fn original(&self, place: usize) -> Original<'_> {
        let entry = &self.entries[place];
        let Some(whole) = entry.original else { return Original { key: None, value: Some(&self.data[entry.range.clone()]) } };
        let key_start = entry.range.start + whole.value_bytes;
        Original {
            key: whole.key_bytes.map(|length| &self.data[key_start..key_start + length]),
            value: whole.has_value.then(|| &self.data[entry.range.start..key_start]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_record_still_has_all_that_its_producer_gave() {
        let mut batch = RecordBatch::new(StreamId(0), 0);
        let record = |bytes, full_bytes| Record { offset: 0, position: 0, next_position: 1, timestamp: None, bytes, full_bytes };
        let originals = [
            Original { key: Some(b"key".as_slice()), value: Some(b"abcdef".as_slice()) },
            Original { key: Some(b""), value: None },
            Original { key: None, value: Some(b"") },
        ];
        batch.push_original(record(b"abc", 6), originals[0]);
        batch.push_original(record(b"", 0), originals[1]);
        batch.push_original(record(b"", 0), originals[2]);
        batch.push(record(b"line", 4));
        for (place, original) in originals.iter().enumerate() {
            assert_eq!(batch.original(place), *original);
        }
        assert_eq!(batch.original(3), Original { key: None, value: Some(b"line") });
        assert_eq!(batch.get(0).bytes, b"abc");
        assert!(batch.get(0).is_cut_off() && !batch.get(3).is_cut_off());
    }
}
