//! Calculations that many conditions compare with constants, as in `lower(country) == "de"`, `contains(lower(message), "timeout")` or `amount * rate > 1000` of hundreds of rules: each is made once
//! for an event, and its value stands behind the event's fields as if it were one more. So the conditions are filed like those of fields.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::event::{Fields, StreamId, Value};
use crate::pattern::{Expression, Function, Scope};

/// Where fewer conditions compare the same, they are tried one by one: what is asked before may make that needless. Not so with the letters and the length of a text, of which two that are tried on
/// every event are enough.
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
    conditions: usize,
    /// Of these, those that are tried on every event.
    always_tried: usize,
    /// Among those of the stream that are shared.
    place: Option<usize>,
}

impl Terms {
    /// A bit of events of the stream has the conjunct, and none that tells events apart by a value; `is_always_tried`: nor anything else that does.
    pub(super) fn count(&mut self, stream: StreamId, conjunct: &Expression, is_always_tried: bool) {
        with_terms(conjunct, &mut |term| {
            let new = || Term { expression: term.clone(), conditions: 0, always_tried: 0, place: None };
            let known = self.known.entry((stream, format!("{term:?}"))).or_insert_with(new);
            known.conditions += 1;
            known.always_tried += usize::from(is_always_tried);
            None
        });
    }

    /// All were counted. Returns those of the stream that are shared, in order of their places.
    pub(super) fn share(&mut self, stream: StreamId) -> Vec<Expression> {
        let of_stream = self.known.iter_mut().filter(|((of, _), term)| *of == stream && term.is_shared());
        of_stream
            .enumerate()
            .map(|(place, (_, term))| {
                term.place = Some(place);
                term.expression.clone()
            })
            .collect()
    }

    /// The conjunct with values behind so many fields in place of what is calculated; `None`: it compares nothing that is shared.
    pub(super) fn of_values(&self, stream: StreamId, conjunct: &Expression, fields: usize) -> Option<Expression> {
        with_terms(conjunct, &mut |term| {
            let place = self.known.get(&(stream, format!("{term:?}")))?.place?;
            Some(Expression::Field([u16::try_from(fields + place).ok()?].into()))
        })
    }
}

impl Term {
    fn is_shared(&self) -> bool {
        // What cannot fail may be made though something asked before has decided: no fault is counted for it.
        self.conditions >= SHARED_MIN || self.always_tried > 1 && never_fails(&self.expression)
    }
}

fn never_fails(term: &Expression) -> bool {
    let mut never_fails = true;
    term.visit(&mut |part| {
        never_fails &= match part {
            Expression::Constant(_) | Expression::Field(_) | Expression::Coalesce(_) => true,
            Expression::Call { function, .. } => matches!(function, Function::Lower | Function::Upper | Function::Length),
            _ => false,
        };
    });
    never_fails
}

/// Puts what is calculated of an event behind its fields.
pub(super) fn extend(terms: &[Expression], fields: Fields<'_>, faults: &Cell<u64>, out: &mut Vec<Value>) {
    out.clear();
    out.extend(fields.iter().cloned());
    out.extend(terms.iter().map(|term| term.value(&Scope::of_event(fields, faults))));
}

/// The condition with what `value` gives in place of whatever is calculated in it and compared with constants; `None`: it gives nothing.
fn with_terms(condition: &Expression, value: &mut dyn FnMut(&Expression) -> Option<Expression>) -> Option<Expression> {
    let is_constant = |expression: &Expression| matches!(expression, Expression::Constant(_));
    let mut of_term = |term: &Expression| if is_constant(term) || matches!(term, Expression::Field(_)) { None } else { value(term).map(Box::new) };
    Some(match condition {
        Expression::Not(operand) => Expression::Not(Box::new(with_terms(operand, value)?)),
        Expression::And(parts) => Expression::And(each_with_terms(parts, value)?),
        Expression::Or(parts) => Expression::Or(each_with_terms(parts, value)?),
        Expression::Compare { comparison, left, right } if is_constant(right) => {
            Expression::Compare { comparison: *comparison, left: of_term(left)?, right: right.clone() }
        }
        Expression::Compare { comparison, left, right } if is_constant(left) => {
            Expression::Compare { comparison: *comparison, left: left.clone(), right: of_term(right)? }
        }
        Expression::Among { item, among } => Expression::Among { item: of_term(item)?, among: among.clone() },
        Expression::Matches { text, regex } => Expression::Matches { text: of_term(text)?, regex: regex.clone() },
        Expression::InNetwork { address, network } => Expression::InNetwork { address: of_term(address)?, network: *network },
        Expression::Call { function: function @ (Function::Contains | Function::StartsWith | Function::EndsWith), arguments } => match &arguments[..] {
            [text, part] if is_constant(part) => Expression::Call { function: *function, arguments: vec![*of_term(text)?, part.clone()] },
            _ => return None,
        },
        _ => return None,
    })
}

/// The same of several; `None`: in none of them.
fn each_with_terms(parts: &[Expression], value: &mut dyn FnMut(&Expression) -> Option<Expression>) -> Option<Vec<Expression>> {
    let new: Vec<_> = parts.iter().map(|part| with_terms(part, value)).collect();
    let any = new.iter().any(Option::is_some);
    any.then(|| new.into_iter().zip(parts).map(|(new, part)| new.unwrap_or_else(|| part.clone())).collect())
}
