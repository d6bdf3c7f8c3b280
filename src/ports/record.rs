//! Records as a source hands them on: raw bytes with their address, many at once.

use std::ops::Range;

use crate::event::binary::{Malformed, Reader, write_bytes, write_unsigned};
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

/// Behind the bytes of its value, whole, stand those of its key, and then those of its headers.
#[derive(Clone, Copy, Debug)]
struct Whole {
    has_value: bool,
    value_bytes: usize,
    key_bytes: Option<usize>,
    headers_bytes: usize,
}

/// A record as its producer made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// As [`write_header`] puts them together; empty: it has none.
    pub headers: &'a [u8],
}

/// Records of a batch that were looked at together.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    batch: &'a RecordBatch,
    start: usize,
    /// `None`: what they lie in is not UTF-8, or not as a whole.
    all: Option<&'a str>,
}

impl<'a> Texts<'a> {
    /// The record, by its place in the batch. `None`: it is not known, or it begins or ends within a character.
    pub fn get(&self, place: usize) -> Option<&'a str> {
        let Range { start, end } = self.batch.entries[place].range;
        self.all?.get(start - self.start..end - self.start)
    }
}

/// A name, and what stands under it; nothing is another thing than empty.
pub type OwnedHeader = (String, Option<Vec<u8>>);

/// Adds a header to those of a record. A name is text to Kafka; what is none in it is made up.
pub fn write_header(name: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    write_bytes(String::from_utf8_lossy(name).as_bytes(), out);
    write_unsigned(value.map_or(0, |value| value.len() as u64 + 1), out);
    out.extend_from_slice(value.unwrap_or_default());
}

/// The headers that were put together so, in their order.
pub fn read_headers(bytes: &[u8]) -> Result<Vec<OwnedHeader>, Malformed> {
    let (mut reader, mut headers) = (Reader::new(bytes), Vec::new());
    while !reader.is_at_end() {
        let name = String::from_utf8_lossy(reader.bytes("header")?).into_owned();
        let value = match reader.unsigned("header")? {
            0 => None,
            longer => {
                let length = usize::try_from(longer - 1).unwrap_or(usize::MAX);
                Some(reader.take(length, "header")?.to_vec())
            }
        };
        headers.push((name, value));
    }
    Ok(headers)
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

    /// What its buffers take in memory, also while it holds nothing.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.data.capacity() + self.entries.capacity() * size_of::<Entry>()
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
        self.data.extend_from_slice(original.headers);
        let whole = Whole {
            has_value: original.value.is_some(),
            value_bytes: value.len(),
            key_bytes: original.key.map(<[u8]>::len),
            headers_bytes: original.headers.len(),
        };
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

    /// Some of the records as texts: cheaper to find out of all of them together than of each.
    pub fn texts(&self, places: Range<usize>) -> Texts<'_> {
        let start = self.entries.get(places.start).map_or(0, |entry| entry.range.start);
        let end = self.entries.get(places.end).map_or(self.data.len(), |entry| entry.range.start);
        Texts { batch: self, start, all: std::str::from_utf8(&self.data[start..end]).ok() }
    }

    /// What the producer gave; without a key where the source has none.
    pub fn original(&self, place: usize) -> Original<'_> {
        let entry = &self.entries[place];
        let Some(whole) = entry.original else { return Original { key: None, value: Some(&self.data[entry.range.clone()]), headers: &[] } };
        let key_start = entry.range.start + whole.value_bytes;
        let headers_start = key_start + whole.key_bytes.unwrap_or(0);
        Original {
            key: whole.key_bytes.map(|_| &self.data[key_start..headers_start]),
            value: whole.has_value.then(|| &self.data[entry.range.start..key_start]),
            headers: &self.data[headers_start..headers_start + whole.headers_bytes],
        }
    }

    /// Some of the records, with all that their producers gave. The last one's leader epoch is not known.
    pub fn part(&self, places: Range<usize>) -> Self {
        let mut part = Self::new(self.stream, self.partition);
        places.for_each(|place| part.push_original(self.get(place), self.original(place)));
        part
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
    fn a_record_that_ends_within_a_character_is_no_text() {
        let mut batch = RecordBatch::new(StreamId(0), 0);
        let whole = "ä,ö".as_bytes();
        for bytes in [&whole[..3], &whole[3..4], &whole[4..]] {
            batch.push(Record { offset: 0, position: 0, next_position: 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 });
        }
        assert_eq!([0, 1, 2].map(|place| batch.texts(0..3).get(place)), [Some("ä,"), None, None]);
        assert_eq!([batch.texts(0..1).get(0), batch.texts(1..3).get(2), batch.texts(2..3).get(2)], [Some("ä,"), None, None]);
    }

    #[test]
    fn headers_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for (name, value) in [("a", Some(b"1".as_slice())), ("", None), ("a", Some(b""))] {
            write_header(name.as_bytes(), value, &mut bytes);
        }
        write_header(b"\xff", Some(b"\xff"), &mut bytes);
        let expected = [("a", Some(b"1".to_vec())), ("", None), ("a", Some(Vec::new())), ("\u{fffd}", Some(vec![0xff]))];
        assert_eq!(read_headers(&bytes), Ok(expected.map(|(name, value)| (name.to_owned(), value)).into()));
        assert!((1..bytes.len()).filter(|length| read_headers(&bytes[..*length]).is_err()).count() > 4);
    }

    #[test]
    fn a_cut_off_record_still_has_all_that_its_producer_gave() {
        let mut batch = RecordBatch::new(StreamId(0), 0);
        let record = |bytes, full_bytes| Record { offset: 0, position: 0, next_position: 1, timestamp: None, bytes, full_bytes };
        let originals = [
            Original { key: Some(b"key".as_slice()), value: Some(b"abcdef".as_slice()), headers: b"headers" },
            Original { key: Some(b""), value: None, headers: b"h" },
            Original { key: None, value: Some(b""), headers: b"" },
        ];
        batch.push_original(record(b"abc", 6), originals[0]);
        batch.push_original(record(b"", 0), originals[1]);
        batch.push_original(record(b"", 0), originals[2]);
        batch.push(record(b"line", 4));
        for (place, original) in originals.iter().enumerate() {
            assert_eq!(batch.original(place), *original);
        }
        assert_eq!(batch.original(3), Original { key: None, value: Some(b"line"), headers: b"" });
        assert_eq!(batch.get(0).bytes, b"abc");
        assert!(batch.get(0).is_cut_off() && !batch.get(3).is_cut_off());
    }
}
