//! Which result answers which `expect` line: each line stands for one result, in any order, and a result answers at most one line.
//!
//! A line says some of a result, so several results may fit it: the assignment answers as many lines as can be, by augmenting paths.

use rust_decimal::Decimal;

use crate::automaton::DecidedKind;
use crate::engine::{Match, MatchField};
use crate::event::{Event, EventTime, Schema, TimeSpan, Value};
use crate::language::{Expectation, ExpectationKind, Test};
use crate::pattern::float;
use crate::testing::report::{Failure, shown_expectation, shown_outcome};

/// What came out.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Decided(Match),
    Late(Event),
}

/// What the test expects and did not find, and what it found and does not allow.
pub(super) fn failures(test: &Test, outcomes: &[Outcome], schema: &Schema) -> Vec<Failure> {
    let answers = assign(&test.expectations, outcomes);
    let missing = test.expectations.iter().enumerate().filter(|(line, _)| !answers.contains(&Some(*line)));
    let mut failures: Vec<Failure> = missing.map(|(_, line)| Failure::Missing { span: line.span, expected: shown_expectation(test, line) }).collect();
    let spare = outcomes.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
    let spare: Vec<String> = spare.map(|(outcome, _)| shown_outcome(test, outcome, schema)).collect();
    if test.nothing_else {
        failures.extend(spare.into_iter().map(Failure::Unexpected));
    } else if !failures.is_empty() {
        failures.extend(spare.into_iter().map(Failure::AlsoFound));
    }
    failures
}

/// By outcome: the line that it answers.
fn assign(lines: &[Expectation], outcomes: &[Outcome]) -> Vec<Option<usize>> {
    let mut answers = vec![None; outcomes.len()];
    for line in 0..lines.len() {
        let mut asked = vec![false; outcomes.len()];
        answer(line, lines, outcomes, &mut answers, &mut asked);
    }
    answers
}

/// Finds an outcome for the line, moving other lines to other outcomes where that helps.
fn answer(line: usize, lines: &[Expectation], outcomes: &[Outcome], answers: &mut [Option<usize>], asked: &mut [bool]) -> bool {
    for place in 0..outcomes.len() {
        if asked[place] || !fits(&lines[line], &outcomes[place]) {
            continue;
        }
        asked[place] = true;
        let free = answers[place].is_none_or(|other| answer(other, lines, outcomes, answers, asked));
        if free {
            answers[place] = Some(line);
            return true;
        }
    }
    false
}

fn fits(line: &Expectation, outcome: &Outcome) -> bool {
    let at = |time: EventTime| line.at.is_none_or(|at| at == time);
    match outcome {
        Outcome::Late(event) => line.kind == ExpectationKind::Late && at(event.time),
        Outcome::Decided(found) => {
            let kind = match found.kind {
                DecidedKind::Match => ExpectationKind::Match,
                DecidedKind::Timeout => ExpectationKind::Timeout,
            };
            line.kind == kind && at(found.at) && line.fields.iter().all(|field| has_field(found, &field.name, &field.value))
        }
    }
}

fn has_field(found: &Match, name: &str, expected: &Value) -> bool {
    let field = found.fields().find(|(of, _)| *of == name);
    field.is_some_and(|(_, field)| same(expected, &value_of(found, field)))
}

/// Events become records; several, or those of a step that may take several, a list.
fn value_of(found: &Match, field: MatchField<'_>) -> Value {
    match field {
        MatchField::Value(value, _) => value.clone(),
        MatchField::Events(step) => {
            let mut events: Vec<Value> = found.events_of(step).map(|event| Value::Record(event.fields().iter().cloned().collect())).collect();
            if found.pattern.step(step).repeats { Value::List(events.into()) } else { events.pop().unwrap_or_default() }
        }
    }
}

/// Numbers by value; times and durations may be expected as text.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::List(expected), Value::List(found)) | (Value::Record(expected), Value::Record(found)) => {
            expected.len() == found.len() && expected.iter().zip(found.iter()).all(|(expected, found)| same(expected, found))
        }
        (Value::Text(text), Value::Timestamp(time)) => EventTime::parse_rfc3339(text) == Some(*time),
        (Value::Text(text), Value::Duration(span)) => TimeSpan::parse(text) == Some(*span),
        (Value::Float(_), _) | (_, Value::Float(_)) => float(expected).is_some_and(|value| Some(value) == float(found)),
        (Value::Int(_) | Value::Decimal(_), Value::Int(_) | Value::Decimal(_)) => exact(expected) == exact(found),
        _ => expected == found,
    }
}

fn exact(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}
