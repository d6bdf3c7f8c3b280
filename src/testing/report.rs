//! What a test found, and how it is shown.

use std::fmt::{self, Display, Formatter, Write};

use crate::automaton::DecidedKind;
use crate::engine::{Match, MatchField};
use crate::event::{EventTime, Field, Fields, Place, Schema, Type, Value};
use crate::language::{Expectation, ExpectationKind, Span, Test};
use crate::testing::compare::Outcome;

/// What became of one `test` block.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub name: String,
    /// The name of its pattern.
    pub pattern: String,
    /// Where the test stands.
    pub span: Span,
    pub passed: bool,
    /// Empty if it passed.
    pub failures: Vec<Failure>,
}

/// A difference, in words. Times are told as durations from the test's start.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// Nothing came out that fits this line.
    Missing { span: Span, expected: String },
    /// Came out, and `expect none` says that nothing else does.
    Unexpected(String),
    /// Came out and fits no line; allowed, but may be what a missing line meant.
    AlsoFound(String),
}

/// One line if it passed; else a line or more for each difference.
impl Display for TestReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = if self.passed { "ok  " } else { "FAIL" };
        write!(f, "{word}  {}: {}", self.pattern, self.name)?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (title, what) = match self {
            Self::Missing { expected, .. } => ("expected, did not come out:", expected),
            Self::Unexpected(found) => ("came out, not expected:", found),
            Self::AlsoFound(found) => ("came out as well:", found),
        };
        write!(f, "      {title:<27} {}", what.replace('\n', "\n      "))
    }
}

/// As the test says it: `match at 60s { probes: 3 }`.
pub(super) fn shown_expectation(test: &Test, line: &Expectation) -> String {
    let mut out = String::from(match line.kind {
        ExpectationKind::Match => "match",
        ExpectationKind::Timeout => "timeout",
        ExpectationKind::Late => "late",
    });
    if let Some(at) = line.at {
        push(&mut out, format_args!(" at {}", at.since(test.start)));
    }
    if !line.fields.is_empty() {
        let fields: Vec<String> = line.fields.iter().map(|field| format!("{}: {}", field.name, shown_value(&field.value, &field.r#type))).collect();
        push(&mut out, format_args!(" {{ {} }}", fields.join(", ")));
    }
    out
}

/// Like an expectation, with all fields; below it the chosen events, a line each.
pub(super) fn shown_outcome(test: &Test, outcome: &Outcome, schema: &Schema) -> String {
    match outcome {
        Outcome::Late(event) => format!("late at {}: {}", event.time.since(test.start), shown_event(test, &event.place(), event.all_fields(), schema)),
        Outcome::Decided(found) => shown_match(test, found, schema),
    }
}

fn shown_match(test: &Test, found: &Match, schema: &Schema) -> String {
    let kind = match found.kind {
        DecidedKind::Match => "match",
        DecidedKind::Timeout => "timeout",
    };
    let mut out = format!("{kind} at {}", shown_at(test, found.at));
    // Fields that are whole events stand below.
    let fields = found.fields().filter_map(|(name, field)| match field {
        MatchField::Value(value, r#type) => Some(format!("{name}: {}", shown_value(value, r#type))),
        MatchField::Events(_) => None,
    });
    let fields: Vec<String> = fields.collect();
    if !fields.is_empty() {
        push(&mut out, format_args!(" {{ {} }}", fields.join(", ")));
    }
    let width = found.chosen.iter().map(|(step, _)| found.pattern.step(*step).name.chars().count()).max().unwrap_or(0);
    for (step, event) in &found.chosen {
        push(&mut out, format_args!("\n  {:<width$}  {}", found.pattern.step(*step).name, shown_event(test, &event.place(), event.fields(), schema)));
    }
    out
}

/// `5s payments { card_id: "1", amount: 1 }`, without what is null and without the event time.
fn shown_event(test: &Test, at: &Place, fields: Fields<'_>, schema: &Schema) -> String {
    let stream = schema.stream(at.stream);
    let said = (0..stream.fields.len()).filter(|&place| stream.time_field != Some(place)).map(|place| (&stream.fields[place], fields.at(place)));
    format!("{} {} {}", shown_at(test, at.time), stream.name, shown_fields(said))
}

fn shown_at(test: &Test, time: EventTime) -> String {
    if time == EventTime::END { "the end of time".to_owned() } else { time.since(test.start).to_string() }
}

/// `{ a: 1, b: "x" }`, without what is null.
fn shown_fields<'a>(fields: impl Iterator<Item = (&'a Field, &'a Value)>) -> String {
    let fields = joined(fields.filter(|(_, value)| !value.is_null()).map(|(field, value)| format!("{}: {}", field.name, shown_value(value, &field.r#type))));
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {fields} }}") }
}

/// As the language writes it; the type names the fields of records.
fn shown_value(value: &Value, r#type: &Type) -> String {
    match (value, r#type) {
        (Value::Null, _) => "null".to_owned(),
        (Value::Bool(value), _) => value.to_string(),
        (Value::Int(value), _) => value.to_string(),
        (Value::Float(value), _) => value.to_string(),
        (Value::Decimal(value), _) => value.to_string(),
        (Value::Text(text), _) => format!("{text:?}"),
        (Value::Timestamp(time), _) => format!("\"{time}\""),
        (Value::Duration(span), _) => span.to_string(),
        (Value::List(values), Type::List(element)) => format!("[{}]", joined(values.iter().map(|value| shown_value(value, element)))),
        (Value::Record(values), Type::Record(fields)) => shown_fields(fields.iter().zip(values.iter())),
        (Value::List(_) | Value::Record(_), r#type) => unreachable!("the checker gives lists and records their types, not {type:?}"),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("text takes all");
}
