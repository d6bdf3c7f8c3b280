//! Records that go on as earlier ones did, read in one go; mostly that is the whole of them.
//!
//! While a label comes that is remembered ([`Shape`]), a value in a usual spelling ([`super::quick`]) and then at once a comma or the closing brace, nothing else has to be asked. Of fields
//! that nobody looks at no value is made, but it is read as far as it takes to know that it is one. At the first member that is anything else the reading stops, and
//! [`crate::codec::json`] goes on from there: what was read until then is what it would have read.

use crate::codec::quick::Digits;
use crate::codec::scalar::{self, TimeUnit};
use crate::codec::scan::{pass_plain_string, plain_string};
use crate::codec::shape::Shape;
use crate::codec::spelt::Spelt;
use crate::event::{EventTime, Field, Type, Value};

/// So many fields remember their texts: each takes a few kB to do so.
const SPELT_MAX: usize = 64;

/// Reads the records of a stream, as far as they are as usual.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// By field.
    fields: Box<[KnownField]>,
    unit: TimeUnit,
    minute: Minute,
    /// The fields that must be there, and those of which values are kept, a bit each.
    required: Box<[u64]>,
    kept: Box<[u64]>,
    /// Where the values of the fields that are not kept go.
    passed: Value,
    /// By field.
    spelt: Box<[Spelt]>,
}

#[derive(Clone, Copy, Debug)]
struct KnownField {
    kind: Kind,
    is_nullable: bool,
    is_kept: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    /// Text that nobody looks at.
    PassedText,
    Timestamp,
    /// Read the long way.
    Other,
}

/// How far a record was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    End,
    /// The next member begins at this byte; 0: nothing was read.
    Member(usize),
}

impl Known {
    /// `kept`: by field, whether its value is asked for.
    pub(super) fn new(fields: &[Field], kept: &[bool], unit: TimeUnit) -> Self {
        let known = |(field, is_kept): (&Field, &bool)| KnownField { kind: Kind::of(&field.r#type, *is_kept), is_nullable: field.nullable, is_kept: *is_kept };
        let known: Box<[KnownField]> = fields.iter().zip(kept).map(known).collect();
        let mut remembering = 0;
        let spelt = known.iter().map(|field| {
            remembering += usize::from(field.kind == Kind::Text);
            if remembering > SPELT_MAX { Spelt::given_up() } else { Spelt::default() }
        });
        Self {
            spelt: spelt.collect(),
            unit,
            minute: Minute::default(),
            required: bits(&known, |field| !field.is_nullable),
            kept: bits(&known, |field| field.is_kept),
            passed: Value::Null,
            fields: known,
        }
    }

    /// `seen`: a bit for each field that was read. `values`: one for each field; those that are not kept are let be. At the end of the record those of the fields that were
    /// not there are null.
    pub(super) fn read(&mut self, text: &str, shape: &mut Shape, seen: &mut [u64], values: &mut [Value]) -> Reached {
        shape.rewind();
        seen.fill(0);
        let bytes = text.as_bytes();
        if bytes.first() != Some(&b'{') {
            return Reached::Member(0);
        }
        let mut at = 1;
        while let Some((label, begin)) = shape.next_known(bytes, at) {
            let end = match label {
                Some(place) => {
                    seen[place / 64] |= 1 << (place % 64);
                    self.field(place, text, begin, values)
                }
                None => pass_undeclared(text, begin),
            };
            match end.map(|end| (end, bytes.get(end))) {
                Some((end, Some(b','))) => at = end + 1,
                Some((end, Some(b'}'))) if end + 1 == bytes.len() && self.has_required(seen) => {
                    self.clear(seen, values);
                    return Reached::End;
                }
                _ => {
                    // The member at hand is read again, or is no JSON: either way it does no harm that it was marked.
                    shape.step_back();
                    break;
                }
            }
        }
        Reached::Member(if at == 1 { 0 } else { at })
    }

    fn has_required(&self, seen: &[u64]) -> bool {
        self.required.iter().zip(seen).all(|(required, seen)| required & !seen == 0)
    }

    /// Makes null what was not seen.
    fn clear(&self, seen: &[u64], values: &mut [Value]) {
        for (word, (kept, seen)) in self.kept.iter().zip(seen).enumerate() {
            let mut cleared = kept & !seen;
            while cleared != 0 {
                values[word * 64 + cleared.trailing_zeros() as usize] = Value::Null;
                cleared &= cleared - 1;
            }
        }
    }

    /// Reads the value that begins at this byte; where it ends.
    #[inline]
    fn field(&mut self, place: usize, text: &str, at: usize, values: &mut [Value]) -> Option<usize> {
        let KnownField { kind, is_nullable, is_kept } = self.fields[place];
        let Self { unit, minute, passed, spelt, .. } = self;
        let into = if is_kept { &mut values[place] } else { passed };
        let bytes = text.as_bytes();
        let end = match kind {
            Kind::Text => spelt[place].read(text, at, into),
            Kind::PassedText => pass_plain_string(bytes, at),
            Kind::Timestamp => minute.time_of_value(text, at, *unit).map(|(time, end)| {
                *into = Value::Timestamp(time);
                end
            }),
            Kind::Int => Digits::read(&bytes[at..]).and_then(|number| Some((number.int()?, at + number.length))).map(|(number, end)| {
                *into = Value::Int(number);
                end
            }),
            Kind::Float => Digits::read(&bytes[at..]).and_then(|number| Some((number.float()?, at + number.length))).map(|(number, end)| {
                *into = Value::Float(number);
                end
            }),
            Kind::Decimal => Digits::read(&bytes[at..]).map(|number| {
                *into = Value::Decimal(number.decimal());
                at + number.length
            }),
            Kind::Bool => word(bytes, at, "true").map(|end| (true, end)).or_else(|| word(bytes, at, "false").map(|end| (false, end))).map(|(value, end)| {
                *into = Value::Bool(value);
                end
            }),
            Kind::Other => return None,
        };
        if end.is_some() || !is_nullable {
            return end;
        }
        let end = word(bytes, at, "null")?;
        *into = Value::Null;
        Some(end)
    }
}

/// A bit for each field, and none for what is more than that.
fn bits(fields: &[KnownField], is_set: impl Fn(&KnownField) -> bool) -> Box<[u64]> {
    let word = |fields: &[KnownField]| fields.iter().rev().fold(0, |word, field| word << 1 | u64::from(is_set(field)));
    fields.chunks(64).map(word).collect()
}

impl Kind {
    fn of(r#type: &Type, is_kept: bool) -> Self {
        match r#type {
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::Float => Self::Float,
            Type::Decimal => Self::Decimal,
            Type::String if is_kept => Self::Text,
            Type::String => Self::PassedText,
            Type::Timestamp => Self::Timestamp,
            Type::Duration | Type::List(_) | Type::Record(_) => Self::Other,
        }
    }
}

/// Where the word ends, if it comes at this byte.
#[inline]
fn word(bytes: &[u8], at: usize, word: &str) -> Option<usize> {
    bytes[at..].starts_with(word.as_bytes()).then_some(at + word.len())
}

/// Passes over the value of a member that no field declares.
fn pass_undeclared(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = pass_plain_string(bytes, at).or_else(|| ["true", "false", "null"].iter().find_map(|known| word(bytes, at, known)));
    end.or_else(|| Digits::read(&bytes[at..]).map(|number| at + number.length))
}

/// The minute of the last time that was read. Times of one stream are mostly near each other, so that the calendar has to be asked once a minute.
#[derive(Clone, Debug, Default)]
struct Minute {
    /// `2026-11-24T10:01`; before the first time, zeros.
    head: [u8; 16],
    micros: i64,
}

impl Minute {
    /// The time that is written at this byte, and where that ends.
    #[inline]
    fn time_of_value(&mut self, text: &str, at: usize, unit: TimeUnit) -> Option<(EventTime, usize)> {
        if let Some(found) = self.millis_of_minute(&text.as_bytes()[at..]) {
            return Some((found, at + QUOTED_MILLIS));
        }
        if let Some((spelt, end)) = plain_string(text, at) {
            return Some((self.time(spelt.as_bytes())?, end));
        }
        let number = Digits::read(&text.as_bytes()[at..])?;
        Some((scalar::time_of_int(number.int()?, unit).ok()?, at + number.length))
    }

    /// Of `"2026-11-24T10:01:09.119Z"`, in the minute that was read last: most are spelt so, and may be compared as numbers.
    #[inline]
    fn millis_of_minute(&self, bytes: &[u8]) -> Option<EventTime> {
        let (quoted, _) = bytes.split_first_chunk::<QUOTED_MILLIS>()?;
        let (head, tail) = quoted[1..].split_first_chunk::<16>()?;
        let is_here = quoted[0] == b'"' && quoted[QUOTED_MILLIS - 1] == b'"' && u128::from_le_bytes(*head) == u128::from_le_bytes(self.head);
        let micros = scalar::micros_of_millis(tail.first_chunk()?).filter(|_| is_here)?;
        Some(EventTime::from_micros(self.micros + micros))
    }

    fn time(&mut self, text: &[u8]) -> Option<EventTime> {
        let (head, tail) = text.split_first_chunk::<16>()?;
        if *head == self.head
            && let Some(micros) = scalar::micros_in_minute(tail)
        {
            return Some(EventTime::from_micros(self.micros + micros));
        }
        let time = scalar::utc_time(text)?;
        (self.head, self.micros) = (*head, time.micros() - scalar::micros_in_minute(tail)?);
        Some(time)
    }
}

/// A time to the millisecond, with its quotes, in bytes.
const QUOTED_MILLIS: usize = 26;
