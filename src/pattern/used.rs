//! Which fields of events patterns look at: of the others no value needs to be made, or kept.

use crate::event::{Schema, StreamId};
use crate::pattern::{EmitField, EmitValue, Expression, Measure, OnTimeout, Pattern, StepId};

/// By stream and field: whether a condition, a key or a field of a match looks at it. Of a field that is a record all parts count as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldsUsed(Vec<Vec<bool>>);

/// Whoever is told of a field that is looked at, of events of a stream; `None`: of all.
type Note<'a> = dyn FnMut(StreamId, Option<u16>) + 'a;

impl FieldsUsed {
    pub fn none(schema: &Schema) -> Self {
        Self(schema.streams.iter().map(|stream| vec![false; stream.fields.len()]).collect())
    }

    /// In the order of the stream's fields.
    pub fn of(&self, stream: StreamId) -> &[bool] {
        &self.0[usize::from(stream.0)]
    }

    /// Counts in what the pattern looks at.
    pub fn add(&mut self, pattern: &Pattern) {
        let note: &mut Note<'_> = &mut |stream, field| match (&mut self.0[usize::from(stream.0)], field) {
            (fields, Some(field)) => fields[usize::from(field)] = true,
            (fields, None) => fields.fill(true),
        };
        for source in &pattern.sources {
            source.filter.iter().chain(&source.key).for_each(|expression| pattern.tell_looked_at(expression, Some(source.stream), note));
        }
        for condition in pattern.conditions.iter().chain(pattern.windows.iter().map(|window| &window.events)) {
            condition.expression.iter().for_each(|expression| pattern.tell_looked_at(expression, Some(condition.stream), note));
        }
        pattern.tell_measured_and_shown(note);
    }
}

impl Pattern {
    /// What windows measure, and what the fields of a match are made of.
    pub fn tell_measured_and_shown(&self, note: &mut Note<'_>) {
        for window in &self.windows {
            if let Measure::Aggregate { path, .. } = &window.measure {
                note(window.events.stream, Some(first(path)));
            }
        }
        match &self.emit {
            Some(fields) => self.tell_emitted(fields, note),
            None => (0..).map(StepId).zip(&self.steps).for_each(|(step, _)| note(self.step(step).stream, None)),
        }
        if let OnTimeout::Emit(fields) = &self.on_timeout {
            self.tell_emitted(fields, note);
        }
        self.suppress.iter().flat_map(|suppress| &suppress.by).for_each(|value| self.tell_value(value, note));
    }

    /// What an expression of the pattern looks at. `stream`: of the event at hand, where there is one.
    pub fn tell_looked_at(&self, expression: &Expression, stream: Option<StreamId>, note: &mut Note<'_>) {
        expression.visit(&mut |part| match part {
            Expression::Field(path) => stream.into_iter().for_each(|stream| note(stream, Some(first(path)))),
            Expression::Chosen { step, path, .. } | Expression::Aggregate { step, path, .. } => note(self.step(*step).stream, Some(first(path))),
            _ => {}
        });
    }

    fn tell_emitted(&self, fields: &[EmitField], note: &mut Note<'_>) {
        fields.iter().for_each(|field| self.tell_value(&field.value, note));
    }

    fn tell_value(&self, value: &EmitValue, note: &mut Note<'_>) {
        match value {
            EmitValue::Expression { expression, .. } => self.tell_looked_at(expression, None, note),
            EmitValue::Events(step) => note(self.step(*step).stream, None),
            // Its parts are the sources'.
            EmitValue::Key(_) => {}
        }
    }
}

fn first(path: &[u16]) -> u16 {
    *path.first().expect("a field path is never empty")
}
