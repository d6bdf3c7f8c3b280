//! A match as JSON: the form that outputs, topics and subscribers get.
//!
//! ```text
//! {"id":…,"pattern":…,"kind":"match","key":{…},"at":…,"fields":{…},"events":{…},"meta":{…},"suppressed":…,"runs_dropped":…,"cut":[…]}
//! ```
//!
//! `meta`, `suppressed`, `runs_dropped` and `cut` stand only where there is something to say. Steps that chose nothing are left out of `events`; in `fields` they are
//! null, or an empty list where the step may take several. The same match has the same bytes in every replay.
//!
//! A match may have chosen more than a topic's records can hold. Within a bound ([`write_bounded`]) a value that is too long is null, and a list of `events` empty; `cut` names them: `"cut":["fields.probes","events.probes"]`.

use std::io::Write;

use crate::automaton::DecidedKind;
use crate::engine::{Match, MatchField};
use crate::event::{Field, Schema, SharedEvent, Type, Value};
use crate::pattern::{Pattern, StepId};

/// Appends the match, without a line's end.
pub fn write_match(found: &Match, schema: &Schema, out: &mut Vec<u8>) {
    write_parts(found, schema, &mut Bound::none(), out);
}

/// Appends the match's key as an object: the names as the pattern's first source has them.
pub fn write_key(found: &Match, out: &mut Vec<u8>) {
    write_key_parts(found, &mut Bound::none(), out);
}

/// Appends key and match, as the others do, in so many bytes together. Where they would be longer, each value of the key and of `fields` and each list of `events` that takes more than its
/// share of half of that is [cut](self). (What can still be long then is the pattern's own text.)
pub fn write_bounded(found: &Match, schema: &Schema, bytes_max: usize, key: &mut Vec<u8>, out: &mut Vec<u8>) {
    let (key_start, start) = (key.len(), out.len());
    write_key(found, key);
    write_match(found, schema, out);
    if key.len() - key_start + out.len() - start <= bytes_max {
        return;
    }
    key.truncate(key_start);
    out.truncate(start);
    // The key stands in the match as well.
    let parts = 2 * found.key_values.len() + found.fields().count() + found.pattern.steps.len();
    let bound = || Bound { part_bytes_max: bytes_max / 2 / parts.max(1), cut: Vec::new() };
    write_key_parts(found, &mut bound(), key);
    write_parts(found, schema, &mut bound(), out);
}

/// How long a part may be, and which were longer.
struct Bound {
    part_bytes_max: usize,
    cut: Vec<String>,
}

impl Bound {
    fn none() -> Self {
        Self { part_bytes_max: usize::MAX, cut: Vec::new() }
    }

    /// Writes a member of one of the match's objects, or what stands for it.
    fn write(&mut self, (of, if_cut): (&str, &str), name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write_name(name, out);
        let start = out.len();
        write(out);
        if out.len() - start > self.part_bytes_max {
            out.truncate(start);
            out.extend_from_slice(if_cut.as_bytes());
            self.cut.push(format!("{of}.{name}"));
        }
    }
}

fn write_parts(found: &Match, schema: &Schema, bound: &mut Bound, out: &mut Vec<u8>) {
    let pattern = &*found.pattern;
    let kind = match found.kind {
        DecidedKind::Match => "match",
        DecidedKind::Timeout => "timeout",
    };
    write_plain(out, format_args!("{{\"id\":\"{:032x}\",\"pattern\":", found.id));
    write_text(&pattern.name, out);
    write_plain(out, format_args!(",\"kind\":\"{kind}\",\"key\":"));
    write_key_parts(found, bound, out);
    write_plain(out, format_args!(",\"at\":\"{}\",\"fields\":", found.at));
    write_members(found.fields(), out, |(name, field), out| {
        bound.write(("fields", "null"), name, out, |out| match field {
            MatchField::Value(value, r#type) => write_value(value, Some(r#type), out),
            MatchField::Events(step) => write_whole_events(found, step, schema, out),
        });
    });
    out.extend_from_slice(b",\"events\":");
    write_evidence(found, schema, bound, out);
    if !pattern.meta.is_empty() {
        out.extend_from_slice(b",\"meta\":");
        write_members(&pattern.meta, out, |(name, value), out| {
            write_name(name, out);
            write_value(value, None, out);
        });
    }
    if found.suppressed > 0 {
        write_plain(out, format_args!(",\"suppressed\":{}", found.suppressed));
    }
    if found.runs_dropped > 0 {
        write_plain(out, format_args!(",\"runs_dropped\":{}", found.runs_dropped));
    }
    if !bound.cut.is_empty() {
        out.extend_from_slice(b",\"cut\":");
        write_list(&bound.cut, out, |name, out| write_text(name, out));
    }
    out.push(b'}');
}

fn write_key_parts(found: &Match, bound: &mut Bound, out: &mut Vec<u8>) {
    let parts = found.pattern.key_names.iter().zip(&found.key_values);
    write_members(parts, out, |(name, value), out| bound.write(("key", "null"), name, out, |out| write_value(value, None, out)));
}

/// The address of every chosen event, by step in text order.
fn write_evidence(found: &Match, schema: &Schema, bound: &mut Bound, out: &mut Vec<u8>) {
    let pattern = &*found.pattern;
    let reads_several = pattern.sources.iter().any(|source| source.stream != pattern.sources[0].stream);
    let chosen = steps(pattern).filter(|(id, _)| found.events_of(*id).next().is_some());
    write_members(chosen, out, |(id, name), out| {
        bound.write(("events", "[]"), name, out, |out| {
            write_list(found.events_of(id), out, |event, out| {
                out.push(b'"');
                if reads_several {
                    write_plain(out, format_args!("{}/", schema.stream(event.stream).name));
                }
                write_plain(out, format_args!("{}:{}\"", event.partition, event.offset));
            });
        });
    });
}

fn steps(pattern: &Pattern) -> impl Iterator<Item = (StepId, &str)> {
    (0..).map(StepId).zip(pattern.steps.iter().map(|step| step.name.as_str()))
}

fn write_whole_events(found: &Match, step: StepId, schema: &Schema, out: &mut Vec<u8>) {
    let write = |event: &SharedEvent, out: &mut Vec<u8>| write_record(event.fields().iter(), &schema.stream(event.stream).fields, out);
    if found.pattern.step(step).repeats {
        write_list(found.events_of(step), out, |event, out| write(event, out));
    } else {
        match found.events_of(step).next() {
            Some(event) => write(event, out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

fn write_record<'a>(values: impl Iterator<Item = &'a Value>, fields: &[Field], out: &mut Vec<u8>) {
    write_members(fields.iter().zip(values), out, |(field, value), out| {
        write_name(&field.name, out);
        write_value(value, Some(&field.r#type), out);
    });
}

/// `type` names the fields of records; where there are none it need not be known.
fn write_value(value: &Value, r#type: Option<&Type>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => write_plain(out, format_args!("{value}")),
        Value::Int(value) => write_plain(out, format_args!("{value}")),
        // The fewest digits that read as the same float. What prints for debugging is JSON for every finite one: `1.0`, `0.1`, `1e21`.
        Value::Float(value) => write_plain(out, format_args!("{value:?}")),
        Value::Decimal(value) => write_plain(out, format_args!("{value}")),
        Value::Text(text) => write_text(text, out),
        Value::Timestamp(time) => write_plain(out, format_args!("\"{time}\"")),
        Value::Duration(span) => write_plain(out, format_args!("\"{span}\"")),
        Value::List(values) => {
            let element = match r#type {
                Some(Type::List(element)) => Some(&**element),
                _ => None,
            };
            write_list(values.iter(), out, |value, out| write_value(value, element, out));
        }
        Value::Record(values) => match r#type {
            Some(Type::Record(fields)) => write_record(values.iter(), fields, out),
            _ => unreachable!("where a record is shown its type is known"),
        },
    }
}

/// JSON text, with its quotes.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("memory takes everything");
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    write_text(name, out);
    out.push(b':');
}

/// What needs no escapes.
fn write_plain(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes everything");
}

fn write_members<T>(members: impl IntoIterator<Item = T>, out: &mut Vec<u8>, write: impl FnMut(T, &mut Vec<u8>)) {
    write_between(b'{', b'}', members, out, write);
}

fn write_list<T>(elements: impl IntoIterator<Item = T>, out: &mut Vec<u8>, write: impl FnMut(T, &mut Vec<u8>)) {
    write_between(b'[', b']', elements, out, write);
}

fn write_between<T>(open: u8, close: u8, parts: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(open);
    for (place, part) in parts.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(part, out);
    }
    out.push(close);
}
