//! Calculations that many conjuncts compare with constants, as in `lower(country) == "de"` or `amount * rate > 1000` of hundreds of rules: each is made once for an event, and its value stands behind the
//! event's fields as if it were one more. So the conjuncts are filed like those of fields.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::event::{StreamId, Value};
use crate::pattern::{Expression, Scope};

/// Where fewer compare the same, they are tried one by one: what is asked before may make that needless.
const SHARED_MIN: usize = 32;

/// Those of the streams.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// By stream and text: the place behind the fields, where it is shared by so many.
    known: BTreeMap<(StreamId, String), Term>,
}

#[derive(Debug)]
struct Term {
    expression: Expression,
    conjuncts: usize,
    /// Among those of the stream that are shared.
    place: Option<usize>,
}

impl Terms {
    /// A bit of events of the stream has the conjunct, and none that tells events apart by a value.
    pub(super) fn count(&mut self, stream: StreamId, conjunct: &Expression) {
        if let Some(term) = term_of(conjunct) {
            let new = || Term { expression: term.clone(), conjuncts: 0, place: None };
            self.known.entry((stream, format!("{term:?}"))).or_insert_with(new).conjuncts += 1;
        }
    }

    /// All were counted. Returns those of the stream that are shared, in order of their places.
    pub(super) fn share(&mut self, stream: StreamId) -> Vec<Expression> {
        let of_stream = self.known.iter_mut().filter(|((of, _), term)| *of == stream && term.conjuncts >= SHARED_MIN);
        of_stream
            .enumerate()
            .map(|(place, (_, term))| {
                term.place = Some(place);
                term.expression.clone()
            })
            .collect()
    }

    /// The conjunct with the value behind so many fields in place of what is calculated; `None`: it compares nothing that is shared.
    pub(super) fn of_value(&self, stream: StreamId, conjunct: &Expression, fields: usize) -> Option<Expression> {
        let place = self.known.get(&(stream, format!("{:?}", term_of(conjunct)?)))?.place?;
        let value = Box::new(Expression::Field([u16::try_from(fields + place).ok()?].into()));
        Some(match conjunct.clone() {
            Expression::Compare { comparison, right, .. } if is_constant(&right) => Expression::Compare { comparison, left: value, right },
            Expression::Compare { comparison, left, .. } => Expression::Compare { comparison, left, right: value },
            Expression::Among { among, .. } => Expression::Among { item: value, among },
            other => other,
        })
    }
}

/// Puts what is calculated of an event behind its fields.
pub(super) fn extend(terms: &[Expression], fields: &[Value], faults: &Cell<u64>, out: &mut Vec<Value>) {
    out.clear();
    out.extend_from_slice(fields);
    out.extend(terms.iter().map(|term| term.value(&Scope::of_event(fields, faults))));
}

/// What the conjunct compares with a constant, if it is more than a field.
fn term_of(conjunct: &Expression) -> Option<&Expression> {
    let term = match conjunct {
        Expression::Compare { left, right, .. } if is_constant(right) => left,
        Expression::Compare { left, right, .. } if is_constant(left) => right,
        Expression::Among { item, .. } => item,
        _ => return None,
    };
    (!is_constant(term) && !matches!(**term, Expression::Field(_))).then_some(term)
}

fn is_constant(expression: &Expression) -> bool {
    matches!(expression, Expression::Constant(_))
}
