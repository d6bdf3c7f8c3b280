//! Records and matches as JSON: what is read agrees with a plain reading by way of `serde_json`, whatever the bytes; every refusal names what is
//! wrong; matches are written in exactly one form.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many records to try.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use motif::automaton::DecidedKind;
use motif::codec::{DecodeOptions, Decoder, Rejection, RejectionCode, TimeUnit, readable_match, write_bounded, write_key, write_match};
use motif::engine::{Effect, Engine, EngineOptions, Input, Match};
use motif::event::{Event, EventTime, Field, Schema, Stream, StreamId, TimeSpan, Type, Value};
use motif::pattern::{
    Body, Condition, ConditionId, Connective, Element, EmitField, EmitValue, Expression, OnTimeout, Part, Pattern, Program, Quantifier, Sequence, Skip, Source,
    Step, StepId,
};
use motif::ports::Record;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::random_cases::RandomCases;

const CASES: u64 = 30_000;

fn field(name: &str, r#type: Type) -> Field {
    Field { name: name.to_owned(), r#type, nullable: false }
}

fn nullable(name: &str, r#type: Type) -> Field {
    Field { nullable: true, ..field(name, r#type) }
}

fn payments() -> Arc<Schema> {
    let shop = Type::Record(vec![field("name", Type::String), nullable("ranks", Type::List(Box::new(Type::Int)))]);
    let fields = vec![
        field("at", Type::Timestamp),
        field("id", Type::Int),
        field("amount", Type::Decimal),
        nullable("rate", Type::Float),
        nullable("ok", Type::Bool),
        nullable("note", Type::String),
        nullable("took", Type::Duration),
        nullable("tags", Type::List(Box::new(Type::String))),
        nullable("shop", shop),
    ];
    let stream = Stream { name: "payments".to_owned(), fields, time_field: Some(0), lateness: None };
    Arc::new(Schema { streams: vec![stream] })
}

fn record(bytes: &[u8]) -> Record<'_> {
    Record { offset: 5, position: 0, next_position: 0, timestamp: None, bytes, full_bytes: bytes.len() as u64 }
}

fn decoder() -> Decoder {
    Decoder::new(&payments(), StreamId(0), DecodeOptions::default())
}

fn decode(bytes: &[u8]) -> Result<Event, Rejection> {
    decoder().decode(&record(bytes), 3)
}

/// A record with the fields that must be there, and this one.
fn with(member: &str) -> String {
    format!(r#"{{"at":"2026-11-24T10:00:00Z","id":1,"amount":1.50,{member}}}"#)
}

#[test]
fn a_record_becomes_an_event_of_the_types_declared() {
    let event = decode(
        br#" {"other":[{"x":1e999}],"id":-7,"rate":1,"amount":"12.500","at":1764000000123,"ok":false,"note":"a\"\u00e4\ud83d\ude00",
            "took":"1h30m","tags":["x",""],"shop":{"new":1,"ranks":[1,-0],"name":"S"}} "#,
    )
    .expect("an event");
    assert_eq!((event.stream, event.partition, event.offset, event.time.micros()), (StreamId(0), 3, 5, 1_764_000_000_123_000));
    let expected = [
        Value::Timestamp(event.time),
        Value::Int(-7),
        Value::Decimal(Decimal::from_str("12.500").expect("a number")),
        Value::Float(1.0),
        Value::Bool(false),
        Value::text("a\"ä😀"),
        Value::Duration(TimeSpan::from_secs(5400)),
        Value::List([Value::text("x"), Value::text("")].into()),
        Value::Record([Value::text("S"), Value::List([Value::Int(1), Value::Int(0)].into())].into()),
    ];
    assert_eq!(*event.fields, expected);
}

#[test]
fn of_a_name_that_comes_twice_the_last_counts() {
    assert_eq!(decode(with(r#""id":2,"note":7,"note":"b""#).as_bytes()).expect("an event").fields[1], Value::Int(2));
    assert_eq!(decode(with(r#""note":"b","note":7"#).as_bytes()).expect_err("no text").code, RejectionCode::WrongType);
    assert_eq!(decode(with(r#""id":null"#).as_bytes()).expect_err("null").code, RejectionCode::NullField);
}

#[test]
fn every_refusal_names_what_is_wrong() {
    let long = format!(r#""note":[{}]"#, "\"abcdefgh\",".repeat(1000) + "1");
    let cases: [(String, &str, &str); 35] = [
        (String::new(), "not_json", "not JSON: the record is empty"),
        ("{".to_owned(), "not_json", "not JSON: EOF while parsing an object at byte 1"),
        ("hello".to_owned(), "not_json", "not JSON: expected value at byte 1"),
        (with(r#""note":"x"} x"#), "not_json", ""),
        (with(r#""note":NaN"#), "not_json", ""),
        (with(r#""other":"\u12g4""#), "not_json", ""),
        (with(r#""\udc00":1"#), "not_json", "not JSON: the name of a member holds half of a surrogate pair"),
        (with(r#""note":"\udc00\ud800""#), "invalid_utf8", r#"field `note`: "\udc00\ud800" holds half of a surrogate pair, which is no text"#),
        ("[1]".to_owned(), "not_object", "expected a JSON object, found [1]"),
        (" null".to_owned(), "not_object", "expected a JSON object, found null"),
        ("{}".to_owned(), "missing_field", "field `at` is missing"),
        (r#"{"id":1,"at":0}"#.to_owned(), "missing_field", "field `amount` is missing"),
        (r#"{"id":null,"at":0}"#.to_owned(), "null_field", "field `id` is null, which its type does not allow"),
        (with(r#""id":1.0"#), "wrong_type", "field `id`: expected a whole number (int), found 1.0"),
        (with(r#""id":"1""#), "wrong_type", "field `id`: expected a whole number (int), found \"1\""),
        (with(r#""id":9223372036854775808"#), "number_too_large", "field `id`: 9223372036854775808 does not fit into 64 bits"),
        (with(r#""rate":1e999"#), "number_too_large", "field `rate`: 1e999 is beyond what a float holds"),
        (with(r#""rate":"1""#), "wrong_type", "field `rate`: expected a number (float), found \"1\""),
        (
            with(r#""amount":12345678901234567890123456789"#),
            "number_too_large",
            "field `amount`: 12345678901234567890123456789 has more than the 28 digits that a decimal holds",
        ),
        (with(r#""amount":"1,5""#), "wrong_type", "field `amount`: expected a number, or text that is one (decimal), found \"1,5\""),
        (with(r#""amount":true"#), "wrong_type", "field `amount`: expected a number, or text that is one (decimal), found true"),
        (with(r#""at":"yesterday""#), "bad_timestamp", "field `at`: \"yesterday\" is neither an RFC 3339 time nor a whole number of milliseconds since 1970"),
        (with(r#""at":0.5"#), "bad_timestamp", "field `at`: 0.5 is neither an RFC 3339 time nor a whole number of milliseconds since 1970"),
        (with(r#""at":99999999999999999"#), "bad_timestamp", "field `at`: 99999999999999999 lies outside of the years 0 to 9999"),
        (with(r#""at":[]"#), "wrong_type", "field `at`: expected an RFC 3339 time or a whole number (timestamp), found []"),
        (with(r#""ok":"true""#), "wrong_type", "field `ok`: expected true or false (bool), found \"true\""),
        (with(r#""note":7"#), "wrong_type", "field `note`: expected text (string), found 7"),
        (
            with(r#""took":"90 minutes""#),
            "wrong_type",
            "field `took`: expected a duration such as \"1h30m\", or a whole number of milliseconds (duration), found \"90 minutes\"",
        ),
        (with(r#""took":9223372036854775807"#), "number_too_large", "field `took`: 9223372036854775807 does not fit into 64 bits"),
        (with(r#""tags":["a",7]"#), "wrong_type", "field `tags[1]`: expected text (string), found 7"),
        (with(r#""tags":[null]"#), "null_field", "field `tags[0]` is null, which its type does not allow"),
        (with(r#""tags":{}"#), "wrong_type", "field `tags`: expected a list (list of values), found {}"),
        (with(r#""shop":{"name":"S","ranks":[1,"2"]}"#), "wrong_type", "field `shop.ranks[1]`: expected a whole number (int), found \"2\""),
        (with(r#""shop":{}"#), "missing_field", "field `shop.name` is missing"),
        (with(&long), "wrong_type", ""),
    ];
    for (text, code, reason) in cases {
        let rejection = decode(text.as_bytes()).expect_err(&text);
        assert_eq!(rejection.code.text(), code, "{text}: {}", rejection.reason);
        assert!(reason.is_empty() || rejection.reason == reason, "{text}: {}", rejection.reason);
        assert!(rejection.reason.len() < 300, "{}", rejection.reason);
    }
    let rejection = decode(b"{\"a\":\"\xff\"}").expect_err("no text");
    assert_eq!((rejection.code.text(), rejection.reason.as_str()), ("invalid_utf8", "the record is not UTF-8 from byte 7 on"));
    let cut_off = Record { full_bytes: 20_000_000, ..record(b"{\"a\":") };
    let rejection = decoder().decode(&cut_off, 0).expect_err("too long");
    assert_eq!((rejection.code.text(), rejection.reason.as_str()), ("too_long", "the record is 20000000 bytes long, more than `record_bytes_max` allows"));
}

#[test]
fn what_is_wrong_with_the_text_counts_before_what_is_wrong_with_a_field() {
    assert_eq!(decode(br#"{"id":"x","at":"#).expect_err("cut off").code, RejectionCode::NotJson);
    assert_eq!(decode(br#"{"amount":"x","id":"y","at":"z"}"#).expect_err("all wrong").reason.split('`').nth(1), Some("at"));
}

#[test]
fn nesting_never_overflows_the_stack() {
    for opening in ["[", "{\"a\":", "{\"note\":", "{\"shop\":", "{\"tags\":["] {
        assert_eq!(decode(opening.repeat(1_000_000).as_bytes()).expect_err("no end").code, RejectionCode::NotJson);
    }
    let closed = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(decode(with(&format!(r#""other":{closed}"#)).as_bytes()).is_ok(), "it is passed over");
    for name in ["note", "amount", "tags", "shop", "at"] {
        let rejection = decode(with(&format!(r#""{name}":{closed}"#)).as_bytes()).expect_err("a list of lists");
        assert_eq!(rejection.code, RejectionCode::WrongType, "{name}");
        assert!(rejection.reason.len() < 300);
    }
}

#[test]
fn times_come_in_the_unit_declared_or_from_the_transport() {
    for (unit, micros) in [(TimeUnit::Seconds, 7_000_000), (TimeUnit::Millis, 7_000), (TimeUnit::Micros, 7), (TimeUnit::Nanos, 0)] {
        let mut decoder = Decoder::new(&payments(), StreamId(0), DecodeOptions { timestamp_unit: unit });
        let event = decoder.decode(&record(br#"{"at":7,"id":1,"amount":1}"#), 0).expect("an event");
        assert_eq!(event.time.micros(), micros);
    }
    let mut schema = Schema::clone(&payments());
    schema.streams[0].time_field = None;
    let mut decoder = Decoder::new(&Arc::new(schema), StreamId(0), DecodeOptions::default());
    let text = br#"{"at":7,"id":1,"amount":1}"#;
    assert_eq!(decoder.decode(&record(text), 0).expect_err("no time").code, RejectionCode::BadTimestamp);
    let timed = Record { timestamp: Some(EventTime::from_micros(9)), ..record(text) };
    assert_eq!(decoder.decode(&timed, 0).expect("an event").time.micros(), 9);
}

/// The same by way of `serde_json`, in the plainest words.
mod plain {
    use super::*;

    type Outcome<T> = Result<T, RejectionCode>;

    pub fn decode(bytes: &[u8], fields: &[Field]) -> Outcome<Vec<Value>> {
        let text = std::str::from_utf8(bytes).map_err(|_| RejectionCode::InvalidUtf8)?;
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            return Err(RejectionCode::NotJson);
        }
        if !text.trim_ascii_start().starts_with('{') {
            return Err(RejectionCode::NotObject);
        }
        object(text, fields)
    }

    fn object(text: &str, fields: &[Field]) -> Outcome<Vec<Value>> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|_| RejectionCode::NotJson)?;
        let field = |field: &Field| match members.get(&field.name).map(|member| member.get()) {
            None if !field.nullable => Err(RejectionCode::MissingField),
            Some("null") if !field.nullable => Err(RejectionCode::NullField),
            None | Some("null") => Ok(Value::Null),
            Some(text) => value(text, &field.r#type),
        };
        fields.iter().map(field).collect()
    }

    fn value(text: &str, r#type: &Type) -> Outcome<Value> {
        let string: Option<String> = serde_json::from_str(text).ok();
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let is_whole = is_number && !text.contains(['.', 'e', 'E']);
        let whole = |too_large: RejectionCode| {
            if is_whole { text.parse::<i64>().map_err(|_| too_large) } else { Err(RejectionCode::WrongType) }
        };
        match r#type {
            Type::Bool => serde_json::from_str(text).map(Value::Bool).map_err(|_| RejectionCode::WrongType),
            Type::Int => whole(RejectionCode::NumberTooLarge).map(Value::Int),
            Type::Float if !is_number => Err(RejectionCode::WrongType),
            Type::Float => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float).ok_or(RejectionCode::NumberTooLarge),
            Type::Decimal => decimal(string.as_deref().unwrap_or(text)).map(Value::Decimal),
            Type::String if !text.starts_with('"') => Err(RejectionCode::WrongType),
            Type::String => string.map(|text| Value::text(&text)).ok_or(RejectionCode::InvalidUtf8),
            Type::Timestamp => match string {
                Some(text) => EventTime::parse_rfc3339(&text).map(Value::Timestamp).ok_or(RejectionCode::BadTimestamp),
                None if text.starts_with('"') => Err(RejectionCode::BadTimestamp),
                None if !is_number => Err(RejectionCode::WrongType),
                None => {
                    let millis = whole(RejectionCode::BadTimestamp).map_err(|_| RejectionCode::BadTimestamp)?;
                    let time = EventTime::from_millis(millis).filter(|time| !time.to_string().contains("since"));
                    time.map(Value::Timestamp).ok_or(RejectionCode::BadTimestamp)
                }
            },
            Type::Duration => match string {
                Some(text) => TimeSpan::parse(&text).map(Value::Duration).ok_or(RejectionCode::WrongType),
                None => {
                    let micros = whole(RejectionCode::NumberTooLarge)?.checked_mul(1000);
                    micros.map(|micros| Value::Duration(TimeSpan::from_micros(micros))).ok_or(RejectionCode::NumberTooLarge)
                }
            },
            Type::List(element) => {
                let elements: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|_| RejectionCode::WrongType)?;
                let elements: Outcome<Vec<Value>> =
                    elements.iter().map(|raw| if raw.get() == "null" { Err(RejectionCode::NullField) } else { value(raw.get(), element) }).collect();
                elements.map(|elements| Value::List(elements.into()))
            }
            Type::Record(fields) if text.starts_with('{') => object(text, fields).map(|values| Value::Record(values.into())),
            Type::Record(_) => Err(RejectionCode::WrongType),
        }
    }

    /// By the digits alone: those before the exponent, moved by it.
    fn decimal(text: &str) -> Outcome<Decimal> {
        let is_number = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
            && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && text.trim_ascii() == text;
        if !is_number {
            return Err(RejectionCode::WrongType);
        }
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 });
        let places = number.split_once('.').map_or(0, |(_, places)| places.len()) as i64 - exponent;
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.trim_start_matches('0');
        let zeros = usize::try_from(-places).unwrap_or(0).min(100);
        let plain = match (digits.is_empty(), places) {
            (true, _) => format!("{:.*}", usize::try_from(places.clamp(0, 28)).expect("few"), 0.0),
            (false, ..=0) => format!("{digits}{}", "0".repeat(zeros)),
            (false, 1..=28) => {
                let padded = format!("{digits:0>29}");
                let (whole, fraction) = padded.split_at(padded.len() - usize::try_from(places).expect("few"));
                format!("{whole}.{fraction}")
            }
            (false, _) => return Err(RejectionCode::NumberTooLarge),
        };
        if digits.len() + zeros > 28 {
            return Err(RejectionCode::NumberTooLarge);
        }
        let number = Decimal::from_str_exact(&plain).expect("28 digits fit");
        // There is one zero.
        Ok(if text.starts_with('-') && !number.is_zero() { -number } else { number })
    }
}

/// Values of every kind and edge, some of them no JSON.
const VALUES: [&str; 62] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-7",
    "1.0",
    "1.50",
    "1e3",
    "1E-3",
    "-1.5e+2",
    "1e999",
    "-1e999",
    "1e-999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "0.0000000000000000000000000001",
    "1e28",
    "1e27",
    "0.00000000000000000000000000000000000000",
    "9999999999999999999999999999",
    "253402300799999",
    "253402300800000",
    "-62167219200000",
    "1e-29",
    r#""""#,
    r#""x""#,
    r#""1""#,
    r#""1.50""#,
    r#""-1e2""#,
    r#""01""#,
    r#""\u0031""#,
    r#""a\"b\\""#,
    r#""\ud83d\ude00""#,
    r#""ä€""#,
    r#""\/\b\f\n\r\t""#,
    r#""1h30m""#,
    r#""0s""#,
    r#""2026-11-24T10:00:00Z""#,
    r#""2026-11-24T10:00:00.123456789+01:00""#,
    r#""2026-02-30T10:00:00Z""#,
    r#""2016-12-31T23:59:60Z""#,
    "[]",
    "[1]",
    r#"["a","b"]"#,
    "[null]",
    "{}",
    r#"{"name":"S"}"#,
    r#"{"name":"S","ranks":[1,2]}"#,
    r#"{"name":null}"#,
    "NaN",
    "01",
    "1.",
    ".5",
    "+1",
    "tru",
    r#""\ud800""#,
    r#""\x""#,
    "[1,]",
];

const NAMES: [&str; 12] = ["at", "id", "amount", "rate", "ok", "note", "took", "tags", "shop", "other", r"\u0069d", r"\ud800"];

fn random_record(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut text = if random.random_bool(0.9) { r#"{"at":7,"id":1,"amount":2.50"#.to_owned() } else { r#"{"z":0"#.to_owned() };
    for _ in 0..random.random_range(0..6) {
        let space = ["", "", "", " ", "\t\n", "\r  "].choose(random).expect("some");
        let value = if random.random_bool(0.6) { VALUES[random.random_range(0..53)] } else { VALUES.choose(random).expect("some") };
        let value = if random.random_bool(0.1) { format!("[{value},{value}]") } else { value.to_owned() };
        text += &format!(",{space}\"{}\"{space}:{space}{value}{space}", NAMES.choose(random).expect("some"));
    }
    text.push('}');
    let mut bytes = text.into_bytes();
    if random.random_bool(0.3) {
        for _ in 0..random.random_range(1..3) {
            damage(&mut bytes, random);
        }
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let place = random.random_range(0..=bytes.len());
    let byte = if random.random_bool(0.8) { *b"{}[]\",:\\u0e.- \n\x00".choose(random).expect("some") } else { random.random() };
    match random.random_range(0..4) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, byte),
        2 if place < bytes.len() => drop(bytes.remove(place)),
        _ if place < bytes.len() => bytes[place] = byte,
        _ => bytes.push(byte),
    }
}

#[test]
fn records_read_as_serde_json_has_them() {
    let cases = RandomCases::asked_for(CASES);
    let schema = payments();
    let mut decoder = decoder();
    let random = &mut cases.random();
    let mut events = 0;
    for _ in 0..cases.count {
        let bytes = random_record(random);
        let found = decoder.decode(&record(&bytes), 0);
        events += u64::from(found.is_ok());
        let found = found.map(|event| event.fields.into_vec()).map_err(|rejection| rejection.code);
        let expected = plain::decode(&bytes, &schema.streams[0].fields);
        // By their text: decimals to their last digit.
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(events > cases.count / 10, "{events} of {} records held an event", cases.count);
}

/// So many fields that what is kept of each by a bit fills one word nearly, just, and by one more; then two; then many.
const WIDTHS: [usize; 6] = [63, 64, 65, 128, 129, 1_000];

/// Types that are read in one go, and those that are not.
fn plain_types() -> Vec<Type> {
    vec![Type::Int, Type::String, Type::Float, Type::Bool, Type::Decimal, Type::Timestamp, Type::String, Type::String]
}

fn other_types() -> Vec<Type> {
    let record = |fields: usize| Type::Record((0..fields).map(|place| nullable(&format!("i{place}"), Type::Int)).collect());
    vec![Type::Duration, record(100), Type::List(Box::new(record(9)))]
}

/// A stream of so many fields, of these types in turn. Every fifth must be there.
fn wide(width: usize, types: &[Type]) -> Arc<Schema> {
    let types = types.iter().cloned().cycle();
    let fields = types.take(width).enumerate().map(|(place, r#type)| {
        let name = match r#type {
            // Longer than what is remembered.
            Type::Duration => format!("{}{place}", "f".repeat(64)),
            Type::Float => format!("f of many bytes {place}"),
            _ => format!("f{place}"),
        };
        if place == 0 { field("at", Type::Timestamp) } else { Field { nullable: place % 5 != 0, ..field(&name, r#type) } }
    });
    Arc::new(Schema { streams: vec![Stream { name: "wide".to_owned(), fields: fields.collect(), time_field: Some(0), lateness: None }] })
}

fn fitting(r#type: &Type, random: &mut ChaCha8Rng) -> String {
    let number = random.random_range(0..1_000);
    match r#type {
        Type::Bool => (number % 2 == 0).to_string(),
        Type::Int | Type::Timestamp => number.to_string(),
        Type::Float | Type::Decimal => format!("{number}.25"),
        Type::String => format!("\"text {number}\""),
        Type::Duration => format!("\"{number}s\""),
        Type::List(element) => format!("[{}]", fitting(element, random)),
        Type::Record(fields) => {
            let place = random.random_range(0..fields.len());
            format!("{{\"other\":1,\"{}\":{number}}}", fields[place].name)
        }
    }
}

/// The fields in their order or in another, all or some of them, and a few members that are as they should not be.
fn wide_record(fields: &[Field], random: &mut ChaCha8Rng) -> Vec<u8> {
    let left_out = *[0.0, 0.0, 0.05, 0.5, 0.95].choose(random).expect("some");
    let mut members: Vec<String> = Vec::new();
    for field in fields {
        if !field.nullable || !random.random_bool(left_out) {
            members.push(format!("\"{}\":{}", field.name, fitting(&field.r#type, random)));
        }
    }
    for _ in 0..random.random_range(0..4) {
        let (Field { name, r#type, .. }, place) = (fields.choose(random).expect("some"), random.random_range(0..members.len()));
        match random.random_range(0..9) {
            0 | 8 => drop(members.remove(place)),
            1 => members.insert(place, members.choose(random).expect("some").clone()),
            2 => members.insert(place, format!("\"{name}\":null")),
            3 => members.push(format!("\"{name}\":{}", VALUES[random.random_range(0..53)])),
            4 => members.insert(place, format!("\"\\u0066{}\" : {}", &name[1..], fitting(r#type, random))),
            5 => members.insert(place, format!("\"{name}, or not\":{}", VALUES[random.random_range(0..53)])),
            6 => members[place].insert(0, ' '),
            _ => members.swap(0, place),
        }
    }
    if random.random_ratio(1, 10) {
        members.shuffle(random);
    }
    let mut bytes = format!("{{{}}}", members.join(",")).into_bytes();
    if random.random_ratio(1, 20) {
        damage(&mut bytes, random);
    }
    bytes
}

/// Whatever came before them; and what is refused is so for the same reason as it is by a decoder that has seen nothing.
#[test]
fn wide_records_read_as_serde_json_has_them() {
    let cases = RandomCases::asked_for(CASES);
    let random = &mut cases.random();
    for (width, types) in WIDTHS.iter().flat_map(|width| [(*width, plain_types()), (*width, [plain_types(), other_types()].concat())]) {
        let schema = wide(width, &types);
        let fields = &schema.streams[0].fields;
        let looked_at: Vec<bool> = (0..width).map(|place| place % 3 == 0).collect();
        let decoder_of = |looked_at: &[bool]| Decoder::of_fields(&schema, StreamId(0), DecodeOptions::default(), looked_at);
        let (mut whole, mut part) = (decoder_of(&vec![true; width]), decoder_of(&looked_at));
        let (mut event, mut event_of_part) = (Event::empty(), Event::empty());
        let (mut events, count) = (0, cases.count / width as u64);
        for _ in 0..count {
            let bytes = wide_record(fields, random);
            if random.random_ratio(1, 20) {
                // They have seen so much that nothing is as usual any more.
                (whole, part) = (decoder_of(&vec![true; width]), decoder_of(&looked_at));
            }
            let text = String::from_utf8_lossy(&bytes);
            let found = whole.decode_into(&record(&bytes), 3, &mut event);
            let values = found.clone().map(|()| event.fields.to_vec()).map_err(|rejection| rejection.code);
            assert_eq!(format!("{values:?}"), format!("{:?}", plain::decode(&bytes, fields)), "{width} fields: {text}");
            let first = decoder_of(&vec![true; width]).decode(&record(&bytes), 3).map(drop);
            assert_eq!(found, first, "{width} fields: {text}");
            assert_eq!(part.decode_into(&record(&bytes), 3, &mut event_of_part), found, "{width} fields: {text}");
            if found.is_ok() {
                event.fields.iter_mut().zip(&looked_at).filter(|(_, is_looked_at)| !**is_looked_at).for_each(|(value, _)| *value = Value::Null);
                assert_eq!(format!("{event_of_part:?}"), format!("{event:?}"), "{width} fields: {text}");
                events += 1;
            }
        }
        assert!(events >= count / 4, "{events} of {count} records of {width} fields held an event");
    }
}

#[test]
fn of_a_wide_record_as_usual_the_field_that_is_missing_is_named() {
    let random = &mut RandomCases::asked_for(1).random();
    for width in WIDTHS {
        let schema = wide(width, &plain_types());
        let fields = &schema.streams[0].fields;
        let members: Vec<String> = fields.iter().map(|field| format!("\"{}\":{}", field.name, fitting(&field.r#type, random))).collect();
        let mut decoder = Decoder::new(&schema, StreamId(0), DecodeOptions::default());
        decoder.decode(&record(format!("{{{}}}", members.join(",")).as_bytes()), 3).expect("nothing is missing");
        for (place, field) in fields.iter().enumerate().filter(|(_, field)| !field.nullable) {
            let others = [&members[..place], &members[place + 1..]].concat().join(",");
            let rejection = decoder.decode(&record(format!("{{{others}}}").as_bytes()), 3).expect_err("it must be there");
            assert_eq!((rejection.code, rejection.reason), (RejectionCode::MissingField, format!("field `{}` is missing", field.name)), "{width} fields");
        }
    }
}

/// Records that are refused are refused alike, whoever looks at the field at fault; so what is set aside of them is the same.
#[test]
fn of_fields_that_nobody_looks_at_only_the_values_are_missing() {
    let cases = RandomCases::asked_for(CASES);
    let random = &mut cases.random();
    let schema = payments();
    for looked_at in [vec![false; 9], (0..9).map(|place| place % 2 == 0).collect(), (0..9).map(|place| place % 3 == 2).collect::<Vec<bool>>()] {
        let mut whole = decoder();
        let mut part = Decoder::of_fields(&schema, StreamId(0), DecodeOptions::default(), &looked_at);
        // Its memory is used again, whatever it holds.
        let mut event = Event { fields: vec![Value::Bool(true); 9].into(), stream: StreamId(1), ..Event::empty() };
        for _ in 0..cases.count / 3 {
            let bytes = random_record(random);
            let mut expected = whole.decode(&record(&bytes), 3);
            if let Ok(event) = &mut expected {
                // The first is the time.
                let passed = event.fields.iter_mut().zip(&looked_at).skip(1).filter(|(_, is_looked_at)| !**is_looked_at);
                passed.for_each(|(value, _)| *value = Value::Null);
            }
            let found = part.decode_into(&record(&bytes), 3, &mut event).map(|()| event.clone());
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{}", String::from_utf8_lossy(&bytes));
            if random.random_ratio(1, 10) {
                event = Event::empty();
            }
        }
    }
}

/// Two streams; `step` of the first, then some of the second.
fn program() -> Program {
    let streams = vec![
        Stream { name: "logins".to_owned(), fields: vec![field("at", Type::Timestamp), field("user", Type::String)], time_field: Some(0), lateness: None },
        payments().streams[0].clone(),
    ];
    let step = |name: &str, stream, repeats| Step { name: name.to_owned(), stream: StreamId(stream), repeats };
    let element = |connective, step: u16, condition: u16, quantifier| {
        let body = Body::Step { step: StepId(step), condition: ConditionId(condition) };
        Part::Element(Element { connective, within: None, body, quantifier })
    };
    let pattern = Pattern {
        name: "take\"over".to_owned(),
        version: 7,
        sources: (0..2).map(|stream| Source { stream: StreamId(stream), filter: None, key: vec![] }).collect(),
        key_names: vec![],
        steps: vec![step("login", 0, false), step("maybe", 0, false), step("others", 0, true), step("pays", 1, true)],
        conditions: (0..2).map(|stream| Condition { stream: StreamId(stream), stands_as: 0, expression: None }).collect(),
        body: Sequence(vec![
            element(Connective::Begin, 0, 0, Quantifier::ONCE),
            element(Connective::ThenNext, 1, 0, Quantifier { optional: true, ..Quantifier::ONCE }),
            element(Connective::ThenNext, 2, 0, Quantifier { optional: true, ..Quantifier::ONCE }),
            element(Connective::ThenNext, 3, 1, Quantifier::ONCE),
        ]),
        without: vec![],
        within: Some(TimeSpan::from_secs(60)),
        skip: Skip::None,
        emit: None,
        suppress: None,
        windows: Vec::new(),
        on_timeout: OnTimeout::Silent,
        runs_max: None,
        meta: vec![],
    };
    Program { schema: Arc::new(Schema { streams }), patterns: vec![Arc::new(pattern)] }
}

fn found(program: &Program) -> Match {
    let decoder = |stream| Decoder::new(&program.schema, StreamId(stream), DecodeOptions::default());
    let login = decoder(0).decode(&record(br#"{"at":1500,"user":"u"}"#), 2).expect("an event");
    let pays = br#"{"at":2000,"id":1,"amount":"5.00","rate":1e21,"took":90000,"note":"\"\u0001","tags":["x"],"shop":{"name":"S"}}"#;
    let pays = decoder(1).decode(&record(pays), 0).expect("an event");
    let mut engine = Engine::new(program, EngineOptions::default());
    let mut effects = Vec::new();
    let arrive = |event| Input::Arrive { event, position: 0, next_position: 1 };
    engine.apply_batch([arrive(login), arrive(pays), Input::End], &mut effects);
    match effects.as_slice() {
        [Effect::Matched(found)] => found.clone(),
        other => panic!("one match: {other:?}"),
    }
}

/// A field whose value the match says.
fn emitted(name: &str, r#type: Type) -> EmitField {
    EmitField { name: name.to_owned(), value: EmitValue::Expression { expression: Expression::Constant(Value::Null), r#type } }
}

fn written(found: &Match, schema: &Schema) -> String {
    let mut out = b"before".to_vec();
    write_match(found, schema, &mut out);
    let text = String::from_utf8(out.split_off(6)).expect("text");
    serde_json::from_str::<serde::de::IgnoredAny>(&text).expect("a match is JSON");
    text
}

#[test]
fn a_match_without_emit_shows_its_events_whole_and_their_addresses() {
    let program = program();
    let found = found(&program);
    let id = format!("{:032x}", found.id);
    let expected = format!(
        r#"{{"id":"{id}","pattern":"take\"over","kind":"match","key":{{}},"at":"1970-01-01T00:00:02Z","fields":{{"login":{{"at":"1970-01-01T00:00:01.500Z","user":"u"}},"maybe":null,"others":[],"pays":[{{"at":"1970-01-01T00:00:02Z","id":1,"amount":5.00,"rate":1e21,"ok":null,"note":"\"\u0001","took":"1m30s","tags":["x"],"shop":{{"name":"S","ranks":null}}}}]}},"events":{{"login":["logins/2:5"],"pays":["payments/0:5"]}}}}"#
    );
    assert_eq!(written(&found, &program.schema), expected);
    let line = r#"1970-01-01T00:00:02Z take"over: maybe=null others=[] [login logins/2:5, pays payments/0:5]"#;
    assert_eq!(readable_match(expected.as_bytes()), line);
}

/// Only what is long is cut, within any bound that the pattern's own text leaves room for, and a match that is short enough is as ever.
#[test]
fn a_match_within_a_bound_says_what_was_cut() {
    let program = program();
    let whole = found(&program);
    let bounded = |found: &Match, bytes_max: usize| {
        let (mut key, mut out) = (Vec::new(), Vec::new());
        write_bounded(found, &program.schema, bytes_max, &mut key, &mut out);
        assert!(key.len() + out.len() <= bytes_max, "{} + {} bytes, at most {bytes_max}", key.len(), out.len());
        (String::from_utf8(key).expect("text"), String::from_utf8(out).expect("text"))
    };
    let short = written(&whole, &program.schema);
    assert_eq!(bounded(&whole, short.len() + 2), ("{}".to_owned(), short));
    let mut long = whole.clone();
    let mut pattern = Pattern::clone(&long.pattern);
    pattern.key_names = vec!["user".to_owned()];
    long.key_values = vec![Value::text("u")].into();
    let text = |length: usize| Value::text(&"x".repeat(length));
    let login = EmitField { name: "login".to_owned(), value: EmitValue::Events(StepId(0)) };
    pattern.emit = Some(vec![login, emitted("note", Type::String)]);
    long.pattern = Arc::new(pattern);
    long.values = vec![text(20_000)];
    let (key, json) = bounded(&long, 10_000);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((key.as_str(), &json["cut"], &json["fields"]["note"]), (r#"{"user":"u"}"#, &serde_json::json!(["fields.note"]), &serde_json::Value::Null));
    assert_eq!((&json["fields"]["login"]["user"], &json["events"]["pays"]), (&serde_json::json!("u"), &serde_json::json!(["payments/0:5"])));
    long.key_values = vec![text(30_000)].into();
    let (key, json) = bounded(&long, 10_000);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((key.as_str(), &json["cut"]), (r#"{"user":null}"#, &serde_json::json!(["key.user", "fields.note"])));
}

#[test]
fn key_emitted_fields_meta_and_dropped_runs_stand_where_they_apply() {
    let program = program();
    let mut found = found(&program);
    let mut pattern = Pattern::clone(&found.pattern);
    pattern.sources.pop();
    pattern.key_names = vec!["user".to_owned(), "day".to_owned()];
    pattern.meta = vec![("severity".to_owned(), Value::text("high")), ("score".to_owned(), Value::Decimal(Decimal::new(950, 2)))];
    let list = Type::List(Box::new(Type::Bool));
    let fields = [("none", Type::String), ("ratio", Type::Float), ("one", Type::Float), ("all", list)];
    pattern.emit = Some(fields.map(|(name, r#type)| emitted(name, r#type)).into());
    found.pattern = Arc::new(pattern);
    found.kind = DecidedKind::Timeout;
    found.key_values = [Value::text("u"), Value::Int(-1)].into_iter().collect();
    found.values = vec![Value::Null, Value::Float(0.1), Value::Float(1.0), Value::List([Value::Bool(true)].into())];
    found.runs_dropped = 12;
    found.id = 0xab;
    let expected = r#"{"id":"000000000000000000000000000000ab","pattern":"take\"over","kind":"timeout","key":{"user":"u","day":-1},"at":"1970-01-01T00:00:02Z","fields":{"none":null,"ratio":0.1,"one":1.0,"all":[true]},"events":{"login":["2:5"],"pays":["0:5"]},"meta":{"severity":"high","score":9.50},"runs_dropped":12}"#;
    assert_eq!(written(&found, &program.schema), expected);
    let mut key = Vec::new();
    write_key(&found, &mut key);
    assert_eq!(String::from_utf8(key).expect("text"), r#"{"user":"u","day":-1}"#);
}

#[test]
fn an_event_shown_whole_reads_as_the_same_event() {
    let program = program();
    let found = found(&program);
    let shown: serde_json::Value = serde_json::from_str(&written(&found, &program.schema)).expect("JSON");
    let again = shown["fields"]["pays"][0].to_string();
    let (_, event) = found.chosen.last().expect("two events");
    assert!(decode(again.as_bytes()).expect("an event").fields.iter().eq(event.fields().iter()));
}
