//! Records that go on as earlier ones did, read in one go; mostly that is the whole of them.
//!
//! While a label comes that is remembered ([`Shape`]), a value in a usual spelling ([`quick`]) and then at once a comma or the closing brace, nothing else has to be asked. Of fields
//! that nobody looks at no value is made, but it is read as far as it takes to know that it is one. At the first member that is anything else the reading stops, and
//! [`crate::codec::json`] goes on from there: what was read until then is what it would have read.

use compact_str::CompactString;

use crate::codec::quick::{self, Digits};
use crate::codec::scalar::{self, TimeUnit};
use crate::codec::scan::Scanner;
use crate::codec::shape::Shape;
use crate::event::{EventTime, Field, Type, Value};

/// A bit for each field: with more of them records are read the long way.
const FIELDS_MAX: usize = 64;

/// Reads the records of a stream, as far as they are as usual.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// By field; none where there are too many.
    fields: Box<[KnownField]>,
    unit: TimeUnit,
    minute: Minute,
    /// The fields that must be there, and those of which values are kept, a bit each.
    required: u64,
    kept: u64,
    /// Where the values of the others go.
    passed: Value,
}

#[derive(Clone, Copy, Debug)]
struct KnownField {
    kind: Kind,
    is_nullable: bool,
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
    /// The next member begins at this byte; a bit for each field before it.
    Member {
        at: usize,
        seen: u64,
    },
}

impl Reached {
    pub(super) const NOTHING: Self = Self::Member { at: 0, seen: 0 };
}

impl Known {
    /// `kept`: by field, whether its value is asked for.
    pub(super) fn new(fields: &[Field], kept: &[bool], unit: TimeUnit) -> Self {
        let bits = |is_set: &dyn Fn(usize) -> bool| (0..fields.len().min(FIELDS_MAX)).filter(|place| is_set(*place)).map(|place| 1 << place).sum();
        let known = |(field, is_kept): (&Field, &bool)| KnownField { kind: Kind::of(&field.r#type, *is_kept), is_nullable: field.nullable };
        Self {
            fields: if fields.len() > FIELDS_MAX { Box::default() } else { fields.iter().zip(kept).map(known).collect() },
            unit,
            minute: Minute::default(),
            required: bits(&|place| !fields[place].nullable),
            kept: bits(&|place| kept[place]),
            passed: Value::Null,
        }
    }

    /// `values`: one for each field; those that are not kept are let be. At the end of the record those of the fields that were not there are null.
    pub(super) fn read(&mut self, text: &str, shape: &mut Shape, values: &mut [Value]) -> Reached {
        shape.rewind();
        let mut scanner = Scanner::new(text);
        if self.fields.is_empty() || !scanner.take_next(b'{') {
            return Reached::NOTHING;
        }
        let (mut at, mut seen) = (0, 0);
        while let Some(label) = shape.pass_known(&mut scanner) {
            let is_read = match label {
                Some(place) => {
                    seen |= 1 << place;
                    self.field(place, &mut scanner, values)
                }
                None => pass_undeclared(&mut scanner),
            };
            if is_read.is_some() && scanner.take_next(b',') {
                at = scanner.at();
                continue;
            }
            if is_read.is_some() && scanner.take_next(b'}') && scanner.bytes().is_empty() && seen & self.required == self.required {
                self.clear(seen, values);
                return Reached::End;
            }
            // The member at hand is read again.
            shape.step_back();
            break;
        }
        if at == 0 { Reached::NOTHING } else { Reached::Member { at, seen } }
    }

    /// Makes null what was not seen.
    fn clear(&self, seen: u64, values: &mut [Value]) {
        let mut cleared = self.kept & !seen;
        while cleared != 0 {
            values[cleared.trailing_zeros() as usize] = Value::Null;
            cleared &= cleared - 1;
        }
    }

    #[inline]
    fn field(&mut self, place: usize, scanner: &mut Scanner<'_>, values: &mut [Value]) -> Option<()> {
        let KnownField { kind, is_nullable } = self.fields[place];
        let Self { unit, minute, passed, kept, .. } = self;
        let into = if *kept >> place & 1 == 1 { &mut values[place] } else { passed };
        let is_read = match kind {
            Kind::Text => scanner.take_plain_string().map(|text| put_text(text, into)),
            Kind::PassedText => scanner.pass_plain_string(),
            Kind::Timestamp => minute.time_of_value(scanner, *unit).map(|time| *into = Value::Timestamp(time)),
            Kind::Int => Digits::whole(scanner).map(|number| *into = Value::Int(number)),
            Kind::Float => {
                let number = Digits::read(scanner.bytes());
                number.and_then(|number| Some((number.float()?, number.length))).map(|(number, length)| {
                    scanner.pass(length);
                    *into = Value::Float(number);
                })
            }
            Kind::Decimal => Digits::read(scanner.bytes()).map(|number| {
                scanner.pass(number.length);
                *into = Value::Decimal(number.decimal());
            }),
            Kind::Bool => quick::take_bool(scanner).map(|value| *into = Value::Bool(value)),
            Kind::Other => return None,
        };
        is_read.or_else(|| null(is_nullable, scanner, into))
    }
}

/// Written where it is to lie: a text that is put together elsewhere is waited for before it can be moved.
#[inline]
fn put_text(text: &str, into: &mut Value) {
    if !matches!(into, Value::Text(_)) {
        *into = Value::Text(CompactString::const_new(""));
    }
    if let Value::Text(written) = into {
        written.clear();
        written.push_str(text);
    }
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

fn null(is_nullable: bool, scanner: &mut Scanner<'_>, into: &mut Value) -> Option<()> {
    if !is_nullable || !scanner.take_word("null") {
        return None;
    }
    *into = Value::Null;
    Some(())
}

/// Passes over the value of a member that no field declares.
fn pass_undeclared(scanner: &mut Scanner<'_>) -> Option<()> {
    if scanner.pass_plain_string().is_none() && quick::take_bool(scanner).is_none() && !scanner.take_word("null") {
        let number = Digits::read(scanner.bytes())?;
        scanner.pass(number.length);
    }
    Some(())
}

/// The minute of the last time that was read. Times of one stream are mostly near each other, so that the calendar has to be asked once a minute.
#[derive(Clone, Debug, Default)]
struct Minute {
    /// `2026-11-24T10:01`; before the first time, zeros.
    head: [u8; 16],
    micros: i64,
}

impl Minute {
    fn time_of_value(&mut self, scanner: &mut Scanner<'_>, unit: TimeUnit) -> Option<EventTime> {
        match scanner.take_plain_string() {
            Some(text) => self.time(text.as_bytes()),
            None => scalar::time_of_int(Digits::whole(scanner)?, unit).ok(),
        }
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
