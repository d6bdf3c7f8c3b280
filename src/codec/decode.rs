//! A record's fields, each as its stream declares it.
//!
//! Fields may come in any order; those that the stream doesn't declare are passed over. Where a name comes twice, the last one counts, as readers of
//! JSON commonly have it. A record that is not JSON is refused as that, whatever its fields hold; else the first field declared that is at
//! fault is named. Where a caller says which fields it looks at, those of the others are null, and refused all the same. A byte order mark before the first record of a partition is passed over.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::codec::json::{self, Members, NotJson};
use crate::codec::known::{Known, Reached};
use crate::codec::names::Names;
use crate::codec::scalar::{self, TimeUnit, Unfit};
use crate::codec::scan::{Scanner, Token};
use crate::codec::shape::{FieldPlace, Shape};
use crate::codec::{Rejection, RejectionCode, quick};
use crate::event::{Event, EventTime, Field, Schema, StreamId, Type, Value};
use crate::ports::Record;

/// Some programs begin a text with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How records are read where their stream leaves it open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DecodeOptions {
    pub timestamp_unit: TimeUnit,
}

/// Reads the records of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    schema: Arc<Schema>,
    stream: StreamId,
    options: DecodeOptions,
    names: Names,
    /// Of the records so far.
    shape: Shape,
    /// Of the record at hand, the fields that were read: a bit each.
    seen: Box<[u64]>,
    known: Known,
    /// The fields that are looked at; of the others no values are kept.
    kept: Box<[bool]>,
}

impl Decoder {
    /// All fields are looked at.
    pub fn new(schema: &Arc<Schema>, stream: StreamId, options: DecodeOptions) -> Self {
        let fields = schema.stream(stream).fields.len();
        Self::of_fields(schema, stream, options, &vec![true; fields])
    }

    /// Only these fields are looked at, in the order of the stream's; the others are checked, and then null.
    pub fn of_fields(schema: &Arc<Schema>, stream: StreamId, options: DecodeOptions, looked_at: &[bool]) -> Self {
        let declared = schema.stream(stream);
        let mut kept: Box<[bool]> = looked_at.into();
        // It tells the event's time.
        declared.time_field.into_iter().for_each(|place| kept[place] = true);
        let known = Known::new(&declared.fields, &kept, options.timestamp_unit);
        let (names, shape) = (Names::of_fields(&declared.fields), Shape::new(declared.fields.len()));
        let seen = vec![0; declared.fields.len().div_ceil(64)].into();
        Self { schema: schema.clone(), stream, options, names, shape, seen, known, kept }
    }

    /// # Errors
    ///
    /// The record holds no event of the stream.
    pub fn decode(&mut self, record: &Record<'_>, partition: u32) -> Result<Event, Rejection> {
        let mut event = Event::empty();
        self.decode_into(record, partition, &mut event)?;
        Ok(event)
    }

    /// Cost: one pass over the record. Where the event still has as many fields as the stream, their memory is used again; else it is allocated, as
    /// are long texts, lists and records.
    ///
    /// # Errors
    ///
    /// The record holds no event of the stream; what is in `event` then has no meaning.
    pub fn decode_into(&mut self, record: &Record<'_>, partition: u32, event: &mut Event) -> Result<(), Rejection> {
        self.decode_text_into(record, None, partition, event)
    }

    /// The same where it may be known that the bytes are a text, and which.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn decode_text_into(&mut self, record: &Record<'_>, text: Option<&str>, partition: u32, event: &mut Event) -> Result<(), Rejection> {
        if record.is_cut_off() {
            let reason = format!("the record is {} bytes long, more than `record_bytes_max` allows", record.full_bytes);
            return Err(Rejection { code: RejectionCode::TooLong, reason });
        }
        let text = match text {
            Some(text) => text,
            None => std::str::from_utf8(record.bytes).map_err(|error| {
                let reason = format!("the record is not UTF-8 from byte {} on", error.valid_up_to() + 1);
                Rejection { code: RejectionCode::InvalidUtf8, reason }
            })?,
        };
        let text = if record.offset == 0 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        if event.stream != self.stream {
            // What is not kept is null in what this decoder has filled, and may be anything elsewhere.
            (event.stream, event.fields) = (self.stream, Box::default());
        }
        fit(&mut event.fields, self.kept.len());
        if let Reached::Member(at) = self.known.read(text, &mut self.shape, &mut self.seen, &mut event.fields) {
            self.read_on(text, at, &mut event.fields)?;
        }
        let declared = self.schema.stream(self.stream);
        let time = time(declared.time_field, &event.fields, record.timestamp).ok_or_else(|| {
            let reason = format!("the record has no timestamp of its own, and `{}` declares no field as its time", declared.name);
            Rejection { code: RejectionCode::BadTimestamp, reason }
        })?;
        (event.partition, event.offset, event.time) = (partition, record.offset, time);
        Ok(())
    }

    /// The record from this byte on; what stands before it was read.
    fn read_on(&mut self, text: &str, from: usize, values: &mut [Value]) -> Result<(), Rejection> {
        if !text.trim_ascii_start().starts_with('{') {
            return Err(no_object(text));
        }
        let fields = &self.schema.stream(self.stream).fields;
        let taken = Taken { options: self.options, fields, names: &self.names, values, seen: &mut self.seen, faults: Vec::new() };
        let read = taken.read(text, from, Some(&mut self.shape));
        values.iter_mut().zip(&self.kept).filter(|(_, is_kept)| !**is_kept).for_each(|(value, _)| *value = Value::Null);
        read.map_err(|fault| if fault.code == RejectionCode::NotJson { not_json(text) } else { fault.rejection() })
    }
}

impl DecodeOptions {
    /// `names`: of the fields in its type.
    fn field(self, token: Token<'_>, field: &Field, names: &Names) -> Result<Value, Fault> {
        match token.text {
            "null" if field.nullable => Ok(Value::Null),
            "null" => Err(Fault::new(RejectionCode::NullField, " is null, which its type does not allow")),
            _ => self.value(token, &field.r#type, names),
        }
    }

    /// A JSON value other than null.
    fn value(self, token: Token<'_>, r#type: &Type, names: &Names) -> Result<Value, Fault> {
        let text = token.text;
        let unfit = |unfit: Unfit| Fault::of(unfit, text, r#type);
        match r#type {
            Type::Bool => match text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(unfit(Unfit::Other)),
            },
            Type::Int => scalar::int(text).map(Value::Int).map_err(unfit),
            Type::Float => scalar::float(text).map(Value::Float).map_err(unfit),
            Type::Decimal => scalar::decimal(&content(token).unwrap_or(Cow::Borrowed(text))).map(Value::Decimal).map_err(unfit),
            Type::String => match content(token) {
                Some(content) => Ok(Value::Text((*content).into())),
                None if text.starts_with('"') => {
                    let what = format!(": {} holds half of a surrogate pair, which is no text", Shown(text));
                    Err(Fault::new(RejectionCode::InvalidUtf8, what))
                }
                None => Err(unfit(Unfit::Other)),
            },
            Type::Timestamp => match content(token) {
                Some(content) => scalar::time_of_text(&content),
                None => scalar::time_of_number(text, self.timestamp_unit),
            }
            .map(Value::Timestamp)
            .map_err(|unfit| self.bad_time(unfit, text)),
            Type::Duration => match content(token) {
                Some(content) => scalar::span_of_text(&content),
                None => scalar::span_of_number(text),
            }
            .map(Value::Duration)
            .map_err(unfit),
            Type::List(element) if text.starts_with('[') => self.list(text, element, names),
            Type::Record(fields) if text.starts_with('{') => {
                let mut values = Box::default();
                fit(&mut values, fields.len());
                let mut seen: SmallVec<[u64; 1]> = SmallVec::from_elem(0, fields.len().div_ceil(64));
                Taken { options: self, fields, names, values: &mut values, seen: &mut seen, faults: Vec::new() }.read(text, 0, None)?;
                Ok(Value::Record(values.into()))
            }
            Type::List(_) | Type::Record(_) => Err(unfit(Unfit::Other)),
        }
    }

    fn list(self, text: &str, element: &Type, names: &Names) -> Result<Value, Fault> {
        let mut values = Vec::new();
        let mut fault = None;
        let mut place = 0;
        let take = |token: Token<'_>| {
            if fault.is_none() {
                let value = match token.text {
                    "null" => Err(Fault::new(RejectionCode::NullField, " is null, which its type does not allow")),
                    _ => self.value(token, element, names),
                };
                match value {
                    Ok(value) => values.push(value),
                    Err(found) => fault = Some(found.at(place)),
                }
                place += 1;
            }
        };
        json::for_each_element(text, take).map_err(|NotJson| Fault::new(RejectionCode::NotJson, ""))?;
        fault.map_or_else(|| Ok(Value::List(values.into())), Err)
    }

    fn bad_time(self, unfit: Unfit, text: &str) -> Fault {
        let is_scalar = text.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
        let unit = match self.timestamp_unit {
            TimeUnit::Seconds => "seconds",
            TimeUnit::Millis => "milliseconds",
            TimeUnit::Micros => "microseconds",
            TimeUnit::Nanos => "nanoseconds",
        };
        match unfit {
            Unfit::TooLarge => Fault::new(RejectionCode::BadTimestamp, format!(": {} lies outside of the years 0 to 9999", Shown(text))),
            Unfit::Other if is_scalar => {
                let what = format!(": {} is neither an RFC 3339 time nor a whole number of {unit} since 1970", Shown(text));
                Fault::new(RejectionCode::BadTimestamp, what)
            }
            Unfit::Other => Fault::of(unfit, text, &Type::Timestamp),
        }
    }
}

/// The fields of an object, as far as they were read.
struct Taken<'a> {
    options: DecodeOptions,
    fields: &'a [Field],
    names: &'a Names,
    /// Those that were not seen are left from whatever was read before.
    values: &'a mut [Value],
    /// A bit for each field.
    seen: &'a mut [u64],
    /// By place.
    faults: Vec<(usize, Fault)>,
}

impl Taken<'_> {
    /// The members of an object from this byte on, as declared.
    fn read(mut self, text: &str, from: usize, shape: Option<&mut Shape>) -> Result<(), Fault> {
        json::for_each_member(text, from, shape, &mut self).map_err(|NotJson| Fault::new(RejectionCode::NotJson, ""))?;
        self.complete();
        self.faults.into_iter().min_by_key(|(place, _)| *place).map_or(Ok(()), |(_, fault)| Err(fault))
    }

    /// The fields that were not seen are null, or missing.
    fn complete(&mut self) {
        for (word, seen) in self.seen.iter().enumerate() {
            let places = word * 64..self.fields.len().min(word * 64 + 64);
            let mut unseen = !seen & u64::MAX >> (64 - places.len());
            while unseen != 0 {
                let place = places.start + unseen.trailing_zeros() as usize;
                unseen &= unseen - 1;
                self.values[place] = Value::Null;
                if !self.fields[place].nullable {
                    self.faults.push((place, Fault::new(RejectionCode::MissingField, " is missing").within(&self.fields[place].name)));
                }
            }
        }
    }
}

impl Members for Taken<'_> {
    fn find(&self, name: &str) -> FieldPlace {
        self.names.find(self.fields, name)
    }

    #[inline]
    fn take(&mut self, place: usize, scanner: &mut Scanner<'_>) -> Result<(), NotJson> {
        let field = &self.fields[place];
        self.seen[place / 64] |= 1 << (place % 64);
        if !self.faults.is_empty() {
            self.faults.retain(|(of, _)| *of != place);
        }
        if quick::read(scanner, &field.r#type, self.options.timestamp_unit, &mut self.values[place]) {
            return Ok(());
        }
        self.values[place] = self.options.field(scanner.value()?, field, self.names.inside(place)).unwrap_or_else(|fault| {
            self.faults.push((place, fault.within(&field.name)));
            Value::Null
        });
        Ok(())
    }
}

/// As many values as there are fields.
fn fit(values: &mut Box<[Value]>, fields: usize) {
    if values.len() != fields {
        *values = std::iter::repeat_with(Value::default).take(fields).collect();
    }
}

fn time(field: Option<usize>, values: &[Value], timestamp: Option<EventTime>) -> Option<EventTime> {
    match field {
        None => timestamp,
        Some(place) => match &values[place] {
            Value::Timestamp(time) => Some(*time),
            other => unreachable!("the checker lets only a timestamp that is not nullable be the time, not {other:?}"),
        },
    }
}

/// The text of a JSON string; `None` where it is another value, or holds half of a surrogate pair.
fn content(token: Token<'_>) -> Option<Cow<'_, str>> {
    let inside = token.text.strip_prefix('"')?.strip_suffix('"')?;
    if token.has_escapes { serde_json::from_str(token.text).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

fn not_json(text: &str) -> Rejection {
    Rejection { code: RejectionCode::NotJson, reason: format!("not JSON: {}", json::fault(text)) }
}

fn no_object(text: &str) -> Rejection {
    if !json::is_json(text) {
        return not_json(text);
    }
    Rejection { code: RejectionCode::NotObject, reason: format!("expected a JSON object, found {}", Shown(text.trim_ascii())) }
}

/// What is wrong with a value, and where in the record it stands.
struct Fault {
    code: RejectionCode,
    /// `.shop.tags[2]`
    path: String,
    what: Cow<'static, str>,
}

impl Fault {
    fn new(code: RejectionCode, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code, path: String::new(), what: what.into() }
    }

    fn of(unfit: Unfit, text: &str, r#type: &Type) -> Self {
        let found = Shown(text);
        let expected = match r#type {
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Float => "a number",
            Type::Decimal => "a number, or text that is one",
            Type::String => "text",
            Type::Timestamp => "an RFC 3339 time or a whole number",
            Type::Duration => "a duration such as \"1h30m\", or a whole number of milliseconds",
            Type::List(_) => "a list",
            Type::Record(_) => "an object",
        };
        let kind = match r#type {
            Type::List(_) => "list of values".to_owned(),
            Type::Record(_) => "record".to_owned(),
            scalar => scalar.to_string(),
        };
        match (unfit, r#type) {
            (Unfit::Other, _) => Self::new(RejectionCode::WrongType, format!(": expected {expected} ({kind}), found {found}")),
            (Unfit::TooLarge, Type::Float) => Self::new(RejectionCode::NumberTooLarge, format!(": {found} is beyond what a float holds")),
            (Unfit::TooLarge, Type::Decimal) => Self::new(RejectionCode::NumberTooLarge, format!(": {found} has more than the 28 digits that a decimal holds")),
            (Unfit::TooLarge, _) => Self::new(RejectionCode::NumberTooLarge, format!(": {found} does not fit into 64 bits")),
        }
    }

    fn within(mut self, name: &str) -> Self {
        self.path.insert_str(0, name);
        self.path.insert(0, '.');
        self
    }

    fn at(mut self, place: usize) -> Self {
        self.path.insert_str(0, &format!("[{place}]"));
        self
    }

    fn rejection(self) -> Rejection {
        let path = self.path.strip_prefix('.').unwrap_or(&self.path);
        Rejection { code: self.code, reason: format!("field `{path}`{}", self.what) }
    }
}

/// A JSON value as found, cut off where it is long.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARS_MAX: usize = 60;
        match self.0.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}… ({} bytes)", &self.0[..end], self.0.len()),
            None => f.write_str(self.0),
        }
    }
}
