//! Values and events as bytes, for state that is kept: compact, the same bytes for the same content, and read without trust.
//!
//! Whole numbers are varints (seven bits a byte, lowest first; signed ones folded so that small ones stay short). A value is a tag and its
//! content. What reads is [`Reader`]: it never panics and never allocates more than the bytes at hand can fill.

use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::event::{EventTime, Kept, Place, SharedEvent, StreamId, TimeSpan, Value};

/// The bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What was being read.
    pub what: &'static str,
    /// How many bytes were left.
    pub left: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} where one should be, {} bytes before the end", self.what, self.left)
    }
}

impl std::error::Error for Malformed {}

/// Records and lists within each other, at most.
const DEPTH_MAX: u32 = 64;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const DECIMAL: u8 = 5;
const TEXT: u8 = 6;
const TIMESTAMP: u8 = 7;
const DURATION: u8 = 8;
const LIST: u8 = 9;
const RECORD: u8 = 10;

pub fn write_unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// 0, -1, 1, -2, … become 0, 1, 2, 3, …
pub fn write_signed(value: i64, out: &mut Vec<u8>) {
    write_unsigned((value << 1 ^ value >> 63).cast_unsigned(), out);
}

pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_unsigned(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
        Value::Int(value) => {
            out.push(INT);
            write_signed(*value, out);
        }
        Value::Float(value) => {
            out.push(FLOAT);
            out.extend(value.to_le_bytes());
        }
        Value::Decimal(value) => write_decimal(*value, out),
        Value::Text(text) => {
            out.push(TEXT);
            write_bytes(text.as_bytes(), out);
        }
        Value::Timestamp(time) => {
            out.push(TIMESTAMP);
            write_signed(time.micros(), out);
        }
        Value::Duration(span) => {
            out.push(DURATION);
            write_signed(span.micros(), out);
        }
        Value::List(values) => write_values(LIST, values, out),
        Value::Record(values) => write_values(RECORD, values, out),
    }
}

/// The event, its stream as `stream`: a number that means the same to who reads it, whatever the program's numbering is by then. Of its fields those that are `kept`; the others are null.
pub fn write_event(event: &SharedEvent, kept: Kept, stream: u64, out: &mut Vec<u8>) {
    write_unsigned(stream, out);
    write_unsigned(u64::from(event.partition), out);
    write_unsigned(event.offset, out);
    write_signed(event.time.micros(), out);
    write_unsigned(event.fields().len() as u64, out);
    for (field, value) in event.fields().iter().enumerate() {
        write_value(if kept.has(field) { value } else { &Value::Null }, out);
    }
}

fn write_values(tag: u8, values: &[Value], out: &mut Vec<u8>) {
    out.push(tag);
    write_unsigned(values.len() as u64, out);
    for value in values {
        write_value(value, out);
    }
}

/// Sign and scale in one byte, then the digits: `1.0` stays `1.0`.
fn write_decimal(value: Decimal, out: &mut Vec<u8>) {
    let scale = u8::try_from(value.scale()).expect("a decimal has at most 28 places");
    let digits = value.mantissa().unsigned_abs();
    out.extend([DECIMAL, scale | u8::from(value.is_sign_negative()) << 7]);
    write_unsigned(digits as u64, out);
    write_unsigned((digits >> 64) as u64, out);
}

/// Reads from the front of bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// For what the caller finds wrong with something just read.
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, left: self.rest.len() }
    }

    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.malformed(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<&'a [u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(|| self.malformed(what))?;
        self.rest = rest;
        Ok(array)
    }

    pub fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.take(1, what)?[0])
    }

    pub fn unsigned(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(self.malformed(what));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed(what))
    }

    pub fn signed(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let folded = self.unsigned(what)?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// A number below `bound`.
    pub fn index(&mut self, bound: usize, what: &'static str) -> Result<usize, Malformed> {
        let found = self.unsigned(what)?;
        usize::try_from(found).ok().filter(|found| *found < bound).ok_or_else(|| self.malformed(what))
    }

    /// How many things follow, each of at least one byte.
    pub fn count(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let found = self.unsigned(what)?;
        usize::try_from(found).ok().filter(|found| *found <= self.rest.len()).ok_or_else(|| self.malformed(what))
    }

    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.count(what)?;
        self.take(length, what)
    }

    pub fn value(&mut self) -> Result<Value, Malformed> {
        self.value_within(DEPTH_MAX)
    }

    /// An event written with [`write_event`]; `stream_of` knows what the number of its stream means.
    pub fn event(&mut self, stream_of: impl FnOnce(u64) -> Option<StreamId>) -> Result<SharedEvent, Malformed> {
        let stream = stream_of(self.unsigned("stream")?).ok_or_else(|| self.malformed("known stream"))?;
        let partition = u32::try_from(self.unsigned("partition")?).map_err(|_| self.malformed("partition"))?;
        let offset = self.unsigned("offset")?;
        let time = EventTime::from_micros(self.signed("time")?);
        Ok(SharedEvent::new(Place { time, stream, partition, offset }, self.values(DEPTH_MAX)?.into_iter()))
    }

    fn value_within(&mut self, depth: u32) -> Result<Value, Malformed> {
        Ok(match self.byte("value")? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(self.signed("int")?),
            FLOAT => Value::Float(f64::from_le_bytes(*self.array("float")?)),
            DECIMAL => Value::Decimal(self.decimal()?),
            TEXT => {
                let text = std::str::from_utf8(self.bytes("text")?).map_err(|_| self.malformed("text in UTF-8"))?;
                Value::text(text)
            }
            TIMESTAMP => Value::Timestamp(EventTime::from_micros(self.signed("timestamp")?)),
            DURATION => Value::Duration(TimeSpan::from_micros(self.signed("duration")?)),
            tag @ (LIST | RECORD) => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.malformed("value that is not nested too deep"))?;
                let values: Arc<[Value]> = self.values(depth)?.into();
                if tag == LIST { Value::List(values) } else { Value::Record(values) }
            }
            _ => return Err(self.malformed("value of a known kind")),
        })
    }

    fn values(&mut self, depth: u32) -> Result<Vec<Value>, Malformed> {
        let count = self.count("values")?;
        // What is not there is found out before much memory is taken for it.
        let mut values = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            values.push(self.value_within(depth)?);
        }
        Ok(values)
    }

    fn decimal(&mut self) -> Result<Decimal, Malformed> {
        let head = self.byte("decimal")?;
        let low = u128::from(self.unsigned("decimal")?);
        let digits = u128::from(self.unsigned("decimal")?) << 64 | low;
        let digits = i128::try_from(digits).map_err(|_| self.malformed("decimal"))?;
        let mut value = Decimal::try_from_i128_with_scale(digits, u32::from(head & 0x7f)).map_err(|_| self.malformed("decimal"))?;
        value.set_sign_negative(head & 0x80 != 0);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn samples() -> Vec<Value> {
        let mut values = vec![Value::Null, Value::Bool(false), Value::Bool(true), Value::text(""), Value::text("ä\0b")];
        values.extend([0, -1, 1, 63, 64, -64, -65, i64::MAX, i64::MIN].map(Value::Int));
        values.extend([0.0, -0.0, 1.5, f64::MIN_POSITIVE, f64::MAX].map(Value::Float));
        values.extend(
            ["0", "-0.5", "1.00", "-79228162514264337593543950335", "0.0000000000000000000000000001"]
                .map(|text| Value::Decimal(Decimal::from_str(text).expect(text))),
        );
        values.push(Value::Timestamp(EventTime::from_micros(-5)));
        values.push(Value::Duration(TimeSpan::from_secs(90)));
        values.push(Value::List(values.clone().into()));
        values.push(Value::Record(values.clone().into()));
        values
    }

    #[test]
    fn what_was_written_is_read() {
        for value in samples() {
            let mut bytes = Vec::new();
            write_value(&value, &mut bytes);
            let mut reader = Reader::new(&bytes);
            let read = reader.value().expect("what was just written");
            assert!(reader.is_at_end());
            assert_eq!(format!("{read:?}"), format!("{value:?}"), "to the sign of zero and the places of a decimal");
        }
    }

    #[test]
    fn an_event_keeps_its_place() {
        let place = Place { time: EventTime::from_micros(-1), stream: StreamId(7), partition: 3, offset: 1 << 40 };
        let event = SharedEvent::new(place, samples().into_iter());
        let mut bytes = Vec::new();
        write_event(&event, Kept::ALL, 2, &mut bytes);
        let read = Reader::new(&bytes).event(|number| (number == 2).then_some(StreamId(9))).expect("what was just written");
        assert_eq!(read, SharedEvent::new(Place { stream: StreamId(9), ..place }, samples().into_iter()));
        assert!(Reader::new(&bytes).event(|_| None).is_err());
    }

    #[test]
    fn bytes_cut_short_or_changed_are_refused_or_read_but_never_panic() {
        let mut bytes = Vec::new();
        write_value(&Value::List(samples().into()), &mut bytes);
        for length in 0..bytes.len() {
            assert!(Reader::new(&bytes[..length]).value().is_err(), "{length} bytes");
        }
        for place in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                drop(Reader::new(&changed).value());
            }
        }
        let nested: Vec<u8> = std::iter::repeat_n([LIST, 1], 100_000).flatten().collect();
        assert!(Reader::new(&nested).value().is_err());
    }
}
