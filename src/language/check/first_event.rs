//! Whether a condition can hold at all while a step has chosen nothing: a loop's first event has none before it.
//!
//! What is said of the step is then null, or nothing to count; the rest is left open. A condition that comes out false all the same can never hold.

use std::cell::Cell;

use crate::event::Value;
use crate::pattern::{Aggregate, Expression, Function, Moment, NothingChosen, Scope, StepId};

/// Whether the condition is false whatever the event and the other steps are.
pub(super) fn never_holds(condition: &Expression, step: StepId) -> bool {
    truth(condition, step) == Some(false)
}

/// `None`: it depends.
fn truth(condition: &Expression, step: StepId) -> Option<bool> {
    match condition {
        Expression::And(parts) => all(parts, step, true),
        Expression::Or(parts) => all(parts, step, false),
        Expression::Not(operand) => truth(operand, step).map(|truth| !truth),
        Expression::IsNull(operand) if is_null(operand, step) => Some(true),
        Expression::Compare { left, right, .. } if is_null(left, step) || is_null(right, step) => Some(false),
        Expression::In { item, list } if is_null(item, step) || is_null(list, step) => Some(false),
        Expression::Among { item, .. } if is_null(item, step) => Some(false),
        Expression::Matches { text: part, .. } | Expression::InNetwork { address: part, .. } if is_null(part, step) => Some(false),
        Expression::Call { function: Function::Contains | Function::StartsWith | Function::EndsWith, arguments }
            if arguments.iter().any(|argument| is_null(argument, step)) =>
        {
            Some(false)
        }
        other if is_null(other, step) => Some(false),
        other if is_settled(other, step) => Some(other.holds(&Scope { fields: None, chosen: &NothingChosen, moment: Moment::plain(&Cell::new(0)) })),
        _ => None,
    }
}

/// All true for `and`; all false for `or`: `word` is what each must be.
fn all(parts: &[Expression], step: StepId, word: bool) -> Option<bool> {
    let truths: Vec<Option<bool>> = parts.iter().map(|part| truth(part, step)).collect();
    if truths.contains(&Some(!word)) {
        return Some(!word);
    }
    truths.iter().all(Option::is_some).then_some(word)
}

/// Null for certain.
fn is_null(value: &Expression, step: StepId) -> bool {
    let null = |value: &Expression| is_null(value, step);
    match value {
        Expression::Constant(value) => *value == Value::Null,
        Expression::Chosen { step: of, .. } => *of == step,
        Expression::Aggregate { aggregate, step: of, .. } => *of == step && matches!(aggregate, Aggregate::Average | Aggregate::Least | Aggregate::Most),
        Expression::Arithmetic { left, right, .. } => null(left) || null(right),
        Expression::Negate(one)
        | Expression::Element { list: one, .. }
        | Expression::Part { record: one, .. }
        | Expression::Hour { time: one, .. }
        | Expression::Weekday { time: one, .. } => null(one),
        Expression::Coalesce(parts) => parts.iter().all(null),
        Expression::If { condition, then, otherwise } => match truth(condition, step) {
            Some(true) => null(then),
            Some(false) => null(otherwise),
            None => null(then) && null(otherwise),
        },
        Expression::Call { function: Function::Contains | Function::StartsWith | Function::EndsWith, .. } => false,
        Expression::Call { arguments, .. } => arguments.iter().any(null),
        _ => false,
    }
}

/// Whether it depends on nothing but the step, so that it can be evaluated.
fn is_settled(value: &Expression, step: StepId) -> bool {
    let mut settled = true;
    value.visit(&mut |part| {
        settled &= match part {
            Expression::Field(_) | Expression::Window(_) => false,
            Expression::Chosen { step: of, .. } | Expression::Count(of) | Expression::Aggregate { step: of, .. } => *of == step,
            _ => true,
        };
    });
    settled
}
