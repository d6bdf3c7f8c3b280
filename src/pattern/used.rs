//! Which fields of events patterns look at: of the others no value needs to be made.

use crate::event::{Schema, StreamId};
use crate::pattern::{EmitField, EmitValue, Expression, Measure, OnTimeout, Pattern, StepId};

/// By stream and field: whether a condition, a key or a field of a match looks at it. Of a field that is a record all parts count as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldsUsed(Vec<Vec<bool>>);

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
        for source in &pattern.sources {
            source.filter.iter().chain(&source.key).for_each(|expression| self.look(expression, Some(source.stream), pattern));
        }
        for condition in pattern.conditions.iter().chain(pattern.windows.iter().map(|window| &window.events)) {
            condition.expression.iter().for_each(|expression| self.look(expression, Some(condition.stream), pattern));
        }
        for window in &pattern.windows {
            if let Measure::Aggregate { path, .. } = &window.measure {
                self.note(window.events.stream, path);
            }
        }
        match &pattern.emit {
            Some(fields) => self.add_emitted(fields, pattern),
            None => (0..).map(StepId).zip(&pattern.steps).for_each(|(step, _)| self.note_whole(step, pattern)),
        }
        if let OnTimeout::Emit(fields) = &pattern.on_timeout {
            self.add_emitted(fields, pattern);
        }
        pattern.suppress.iter().flat_map(|suppress| &suppress.by).for_each(|value| self.add_value(value, pattern));
    }

    fn add_emitted(&mut self, fields: &[EmitField], pattern: &Pattern) {
        fields.iter().for_each(|field| self.add_value(&field.value, pattern));
    }

    fn add_value(&mut self, value: &EmitValue, pattern: &Pattern) {
        match value {
            EmitValue::Expression { expression, .. } => self.look(expression, None, pattern),
            EmitValue::Events(step) => self.note_whole(*step, pattern),
            // Its parts are the sources'.
            EmitValue::Key(_) => {}
        }
    }

    /// `stream`: of the event at hand, where there is one.
    fn look(&mut self, expression: &Expression, stream: Option<StreamId>, pattern: &Pattern) {
        expression.visit(&mut |part| match part {
            Expression::Field(path) => stream.into_iter().for_each(|stream| self.note(stream, path)),
            Expression::Chosen { step, path, .. } | Expression::Aggregate { step, path, .. } => self.note(pattern.step(*step).stream, path),
            _ => {}
        });
    }

    fn note(&mut self, stream: StreamId, path: &[u16]) {
        let field = path.first().expect("a field path is never empty");
        self.0[usize::from(stream.0)][usize::from(*field)] = true;
    }

    fn note_whole(&mut self, step: StepId, pattern: &Pattern) {
        self.0[usize::from(pattern.step(step).stream.0)].fill(true);
    }
}
