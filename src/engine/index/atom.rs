//! One conjunct of conditions, as it is asked of event after event.

use std::cell::Cell;

use compact_str::CompactString;

use crate::event::{Fields, Value};
use crate::pattern::{Comparison, Expression, Scope};

/// A conjunct that asks about the event alone. Those that rules have most are spelt out: asking them takes a fraction of what walking an expression does.
#[derive(Debug)]
pub(super) enum Atom {
    /// The field is this text.
    Text {
        field: usize,
        text: CompactString,
    },
    /// The field is null.
    Null {
        field: usize,
    },
    NotNull {
        field: usize,
    },
    /// The field, compared with a constant.
    Compared {
        field: usize,
        comparison: Comparison,
        value: Value,
    },
    Other(Expression),
}

impl Atom {
    pub(super) fn of(conjunct: &Expression) -> Self {
        let spelt_out = match conjunct {
            Expression::IsNull(field) => field.whole_field().map(|field| Self::Null { field }),
            Expression::Not(operand) => match &**operand {
                Expression::IsNull(field) => field.whole_field().map(|field| Self::NotNull { field }),
                _ => None,
            },
            other => match other.compares_with_constant() {
                Some((comparison, path, value)) if path.len() == 1 => Some(Self::compared(usize::from(path[0]), comparison, value)),
                _ => None,
            },
        };
        spelt_out.unwrap_or_else(|| Self::Other(conjunct.clone()))
    }

    fn compared(field: usize, comparison: Comparison, value: &Value) -> Self {
        match value {
            Value::Text(text) if comparison == Comparison::Equal => Self::Text { field, text: text.clone() },
            value => Self::Compared { field, comparison, value: value.clone() },
        }
    }

    #[inline]
    pub(super) fn holds(&self, fields: Fields<'_>, faults: &Cell<u64>) -> bool {
        match self {
            Self::Text { field, text } => matches!(fields.at(*field), Value::Text(found) if found.as_str() == text.as_str()),
            Self::Null { field } => fields.at(*field).is_null(),
            Self::NotNull { field } => !fields.at(*field).is_null(),
            Self::Compared { field, comparison, value } => comparison.holds(fields.at(*field), value),
            Self::Other(conjunct) => conjunct.holds(&Scope::of_event(fields, faults)),
        }
    }

    /// It costs little and nothing is calculated: so it may be asked although something else has decided already.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Text { .. } | Self::Null { .. } | Self::NotNull { .. } | Self::Compared { .. } => true,
            Self::Other(conjunct) => {
                let mut is_plain = true;
                conjunct.visit(&mut |part| {
                    is_plain &= match part {
                        Expression::Constant(_) | Expression::Field(_) | Expression::Not(_) | Expression::And(_) | Expression::Or(_) => true,
                        Expression::Compare { .. } | Expression::IsNull(_) => true,
                        Expression::Among { among, .. } => among.is_quick(),
                        _ => false,
                    };
                });
                is_plain
            }
        }
    }
}
