//! Bytes to lines.
//!
//! A line ends with `\n` or `\r\n`. Blank lines (nothing but white space) are counted and passed over. A line that is longer than the bound is read
//! over without being kept: its beginning is handed out, with its whole length. Memory: the bound and one chunk.

use std::io;

use crate::ports::{Record, RecordBatch};

/// What is read at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// What is handed out of a line that is too long, in bytes.
const CUT_BYTES: usize = 64 << 10;

/// Reads lines and knows their places.
#[derive(Debug)]
pub(super) struct Lines {
    record_bytes_max: usize,
    /// Bytes read and not yet handed out are `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// No line's end is before this place in the buffer.
    searched: usize,
    /// How many bytes of the line at hand were dropped, after the ones that are kept, and the last of them.
    dropped: u64,
    last_dropped: u8,
    /// The byte and the number of the line that begins the buffer.
    position: u64,
    offset: u64,
}

impl Lines {
    pub(super) fn new(record_bytes_max: usize) -> Self {
        Self { record_bytes_max, buffer: Vec::new(), start: 0, end: 0, searched: 0, dropped: 0, last_dropped: 0, position: 0, offset: 0 }
    }

    /// Forgets what was read and goes on from another place.
    pub(super) fn seek(&mut self, position: u64, offset: u64) {
        *self = Self { buffer: std::mem::take(&mut self.buffer), position, offset, ..Self::new(self.record_bytes_max) };
    }

    /// The byte that is to be read next.
    pub(super) fn read_position(&self) -> u64 {
        self.position + (self.end - self.start) as u64 + self.dropped
    }

    /// Whether the line after the batch begins beyond the next multiple of `bytes_max`. So where a batch ends depends on the places of its lines
    /// alone, and not on where reading began.
    pub(super) fn is_full(&self, batch: &RecordBatch, bytes_max: usize) -> bool {
        full_at(batch, bytes_max).is_some_and(|end| self.position >= end)
    }

    /// Appends the lines at hand to the batch, until that is full.
    pub(super) fn take(&mut self, batch: &mut RecordBatch, bytes_max: usize) {
        let mut end = full_at(batch, bytes_max);
        while end.is_none_or(|end| self.position < end) {
            let Some(found) = line_end(&self.buffer[self.searched..self.end]) else {
                self.searched = self.end;
                return;
            };
            let line_end = self.searched + found;
            self.push(line_end, 1, batch);
            self.start = line_end + 1;
            self.searched = self.start;
            end = end.or_else(|| full_at(batch, bytes_max));
        }
    }

    /// Appends what stands after the last line's end; blank, it is nothing.
    pub(super) fn take_unterminated(&mut self, batch: &mut RecordBatch) {
        if self.start < self.end {
            self.push(self.end, 0, batch);
            self.start = self.end;
            self.searched = self.end;
        }
    }

    /// Reads one chunk more; `false` where there is none.
    pub(super) fn fill(&mut self, mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        assert_eq!(self.searched, self.end, "the lines at hand are taken before more is read");
        self.drop_excess();
        self.make_room();
        let place = self.read_position();
        loop {
            match read(place, &mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.end += length;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.dropped > 0 {
            self.skip_to_line_end();
        }
        Ok(true)
    }

    /// `end`: where the line ends in the buffer; `mark_bytes`: how long its mark is.
    fn push(&mut self, end: usize, mark_bytes: u64, batch: &mut RecordBatch) {
        let (offset, position) = (self.offset, self.position);
        let whole_bytes = (end - self.start) as u64 + self.dropped;
        self.offset += 1;
        self.position += whole_bytes + mark_bytes;
        let line = &self.buffer[self.start..end];
        let last = if self.dropped > 0 { Some(self.last_dropped) } else { line.last().copied() };
        let full_bytes = whole_bytes - u64::from(last == Some(b'\r'));
        self.dropped = 0;
        let is_too_long = full_bytes > self.record_bytes_max as u64;
        let shown_max = if is_too_long { self.cut_bytes() as u64 } else { full_bytes };
        let bytes = &line[..line.len().min(usize::try_from(shown_max).expect("what is shown is in memory"))];
        if is_too_long || !bytes.trim_ascii().is_empty() {
            batch.push(Record { offset, position, next_position: self.position, timestamp: None, bytes, full_bytes });
        }
    }

    fn cut_bytes(&self) -> usize {
        CUT_BYTES.min(self.record_bytes_max)
    }

    /// Of a line that is already too long only the beginning is kept.
    fn drop_excess(&mut self) {
        let at_hand = self.end - self.start;
        // One byte more may be the `\r` of a line that is just short enough.
        if at_hand > self.record_bytes_max + 1 {
            let kept = self.cut_bytes();
            self.dropped += (at_hand - kept) as u64;
            self.last_dropped = self.buffer[self.end - 1];
            self.end = self.start + kept;
            self.searched = self.end;
        }
    }

    /// After part of a line was dropped: drops on, up to the line's end.
    fn skip_to_line_end(&mut self) {
        let kept = self.searched;
        let excess = line_end(&self.buffer[kept..self.end]).unwrap_or(self.end - kept);
        if excess > 0 {
            self.dropped += excess as u64;
            self.last_dropped = self.buffer[kept + excess - 1];
        }
        self.buffer.copy_within(kept + excess..self.end, kept);
        self.end -= excess;
        if self.buffer.get(kept) != Some(&b'\n') || self.end == kept {
            self.searched = self.end;
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.end + CHUNK_BYTES {
            self.buffer.resize(self.end + CHUNK_BYTES, 0);
        }
    }
}

/// A batch is full once the next line begins here or beyond; `None`: there is nothing in it.
fn full_at(batch: &RecordBatch, bytes_max: usize) -> Option<u64> {
    let block = bytes_max as u64;
    (!batch.is_empty()).then(|| (batch.get(0).position / block + 1).saturating_mul(block))
}

/// Where the first line's end stands.
fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;

    /// Offset, position, next position, bytes handed out, whole length.
    type Row = (u64, u64, u64, Vec<u8>, u64);

    /// Reads `text`, `chunk` bytes at a time, into batches of about `bytes_max` bytes.
    fn lines(text: &[u8], record_bytes_max: usize, chunk: usize, bytes_max: usize) -> Vec<Row> {
        let mut lines = Lines::new(record_bytes_max);
        let mut rows = Vec::new();
        loop {
            let mut batch = RecordBatch::new(StreamId(0), 0);
            lines.take(&mut batch, bytes_max);
            let mut ended = false;
            if batch.is_empty() {
                let read = |position: u64, buffer: &mut [u8]| {
                    let rest = &text[usize::try_from(position).expect("small")..];
                    let length = rest.len().min(buffer.len()).min(chunk);
                    buffer[..length].copy_from_slice(&rest[..length]);
                    Ok(length)
                };
                ended = !lines.fill(read).expect("memory");
                if ended {
                    lines.take_unterminated(&mut batch);
                }
            }
            rows.extend(batch.iter().map(|record| (record.offset, record.position, record.next_position, record.bytes.to_vec(), record.full_bytes)));
            if ended {
                assert_eq!(lines.read_position(), text.len() as u64);
                return rows;
            }
        }
    }

    /// The same by splitting the whole text.
    fn split(text: &[u8], record_bytes_max: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut position = 0;
        for (offset, whole) in (0..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
            let next_position = position + whole.len() as u64;
            let line = whole.strip_suffix(b"\n").unwrap_or(whole);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_too_long = line.len() > record_bytes_max;
            if is_too_long || !line.trim_ascii().is_empty() {
                let shown = if is_too_long { &line[..CUT_BYTES.min(record_bytes_max)] } else { line };
                rows.push((offset, position, next_position, shown.to_vec(), line.len() as u64));
            }
            position = next_position;
        }
        rows
    }

    #[test]
    fn lines_do_not_depend_on_how_they_are_read() {
        let long = "x".repeat(40);
        let blank = " ".repeat(20);
        let text = format!("a\r\n\n  \r\nbc\n\r\n{long}\n{long}\r\n{blank}\n{blank}\r\n12345678\n12345678\r\n123456789\n123456789\r\n\nend");
        for text in [text.as_str(), "", "\n", "\r\n", "x", "x\n", "\n\n\nx", " ", &long] {
            for record_bytes_max in [8, 1000] {
                let expected = split(text.as_bytes(), record_bytes_max);
                for (chunk, bytes_max) in [(1, 1), (2, 1000), (3, 4), (7, 1), (1000, 5), (1000, 1000)] {
                    let found = lines(text.as_bytes(), record_bytes_max, chunk, bytes_max);
                    assert_eq!(found, expected, "{text:?} in chunks of {chunk}, at most {record_bytes_max} a record");
                }
            }
        }
    }

    #[test]
    fn a_line_of_20_mb_is_cut_and_not_kept() {
        let mut text = b"before\n".to_vec();
        text.resize(text.len() + 20_000_000, b'x');
        text.extend_from_slice(b"\nafter\n");
        let mut lines = Lines::new(1 << 20);
        let mut batch = RecordBatch::new(StreamId(0), 0);
        loop {
            lines.take(&mut batch, usize::MAX);
            let read = |position: u64, buffer: &mut [u8]| {
                let rest = &text[usize::try_from(position).expect("small")..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            };
            if !lines.fill(read).expect("memory") {
                break;
            }
        }
        let found: Vec<_> = batch.iter().map(|record| (record.offset, record.bytes.len(), record.full_bytes)).collect();
        assert_eq!(found, [(0, 6, 6), (1, CUT_BYTES, 20_000_000), (2, 5, 5)]);
        assert!(batch.get(1).is_cut_off());
        assert!(lines.buffer.len() <= (2 << 20) + CHUNK_BYTES, "{} bytes are kept", lines.buffer.len());
    }
}
