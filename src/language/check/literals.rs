//! What is written out: values, and what becomes of numbers once their neighbour's type is known.
//!
//! A number is kept as a decimal, exactly as written, until [`fitted`] gives it a type.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::event::{Type, Value};
use crate::language::ast::{Expression, ExpressionKind};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::{Clash, Kind};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::pattern::fits_decimal;

/// The remedy for an empty list.
pub(super) const NO_VALUES: &str = "write its values between the brackets, as in `[\"DE\", \"FR\"]`";

/// A value as written, and its kind.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub value: Value,
    pub kind: Kind,
}

/// What a list may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    /// Items of one type, to be looked for.
    Alike,
    /// Anything.
    Free,
}

impl Written {
    const UNKNOWN: Self = Self { value: Value::Null, kind: Kind::Unknown };

    fn of(value: Value, kind: Kind) -> Self {
        Self { value, kind }
    }
}

/// A literal; what is none is reported (the parser lets none through where only literals stand).
pub(super) fn written(expression: &Expression, items: Items, findings: &mut Findings) -> Written {
    match &expression.kind {
        ExpressionKind::Text(text) => Written::of(Value::text(text), Kind::STRING),
        ExpressionKind::Number(digits) => number(digits, expression.span, findings),
        ExpressionKind::Bool(value) => Written::of(Value::Bool(*value), Kind::BOOL),
        ExpressionKind::Null => Written::of(Value::Null, Kind::Null),
        ExpressionKind::Duration(span) => Written::of(Value::Duration(*span), Kind::DURATION),
        ExpressionKind::List(list) => written_list(list, items, findings),
        ExpressionKind::Negate(operand) => match &operand.kind {
            ExpressionKind::Number(digits) => negated(number(digits, expression.span, findings)),
            _ => not_literal(expression, findings),
        },
        ExpressionKind::Parenthesized(inner) => written(inner, items, findings),
        _ => not_literal(expression, findings),
    }
}

fn not_literal(expression: &Expression, findings: &mut Findings) -> Written {
    let diagnostic = Diagnostic::new(Code::NotLiteral, expression.span, "expected a literal", "only what is written out can stand here");
    findings.add(diagnostic.help("write a text, a number, a duration, `true`, `false`, `null` or a list of these"));
    Written::UNKNOWN
}

pub(super) fn number(digits: &str, span: Span, findings: &mut Findings) -> Written {
    let Some(value) = decimal(digits) else {
        let message = "a number with more digits than a decimal holds";
        findings.add(Diagnostic::new(Code::NumberRange, span, message, "at most 28 digits").help("write it shorter"));
        return Written::UNKNOWN;
    };
    Written::of(Value::Decimal(value), number_kind(value))
}

/// Digit by digit; `None`: it has too many.
pub(super) fn decimal(digits: &str) -> Option<Decimal> {
    Decimal::from_str_exact(digits).ok().filter(|value| fits_decimal(*value))
}

/// Of a number that has no neighbour yet.
pub(super) fn number_kind(value: Decimal) -> Kind {
    if value.is_integer() && value.to_i64().is_some() { Kind::Whole } else { Kind::Fraction }
}

pub(super) fn negated(number: Written) -> Written {
    match number.value {
        Value::Decimal(value) => Written::of(Value::Decimal(-value), number_kind(-value)),
        _ => number,
    }
}

/// The items of a list.
pub(super) fn written_list(list: &[Expression], items: Items, findings: &mut Findings) -> Written {
    let mut kind = Kind::Null;
    let mut values = Vec::new();
    for item in list {
        let Written { value, kind: of_item } = written(item, items, findings);
        if items == Items::Alike {
            kind = joined_item(kind, &of_item, item.span, list[0].span, findings);
        }
        values.push(value);
    }
    let kind = Kind::List(Box::new(kind));
    if items == Items::Free {
        return Written::of(Value::List(values.into()), kind);
    }
    Written::of(fitted(&Value::List(values.into()), &kind), kind)
}

/// The kind of a list's items with one more; `first` is the place of the first.
pub(super) fn joined_item(kind: Kind, item: &Kind, span: Span, first: Span, findings: &mut Findings) -> Kind {
    let diagnostic = match (item, kind.joined(item)) {
        (Kind::Null, _) => Diagnostic::new(Code::ListItems, span, "`null` is in no list", "never found").help("leave it out, and write `… is null or … in …`"),
        (_, Ok(joined)) => return joined,
        (_, Err(Clash::FloatWithDecimal)) => Diagnostic::new(Code::FloatWithDecimal, span, "`float` and `decimal` in one list", item.to_string())
            .also(first, kind.to_string())
            .help("turn one into the other: `float(…)` or `decimal(…)`"),
        (_, Err(Clash::Different)) => {
            let diagnostic = Diagnostic::new(Code::ListItems, span, "the items of a list are of one type", item.to_string()).also(first, kind.to_string());
            diagnostic.help(if kind == Kind::STRING {
                "texts stand in double quotes; values of different types in lists of their own"
            } else {
                "make a list for each type"
            })
        }
    };
    findings.add(diagnostic);
    Kind::Unknown
}

/// A written value under the type that its neighbours give it: numbers become ints or floats, also inside lists.
pub(super) fn fitted(value: &Value, kind: &Kind) -> Value {
    match (value, kind) {
        (Value::Decimal(number), Kind::Of(Type::Int)) => number.is_integer().then(|| number.to_i64()).flatten().map_or(Value::Decimal(*number), Value::Int),
        (Value::Decimal(number), Kind::Of(Type::Float)) => {
            // By way of the digits, which are read to the nearest float.
            let float: f64 = number.to_string().parse().expect("a decimal's digits are a float's");
            Value::Float(float)
        }
        (Value::List(items), Kind::List(kind)) => Value::List(items.iter().map(|item| fitted(item, kind)).collect()),
        _ => value.clone(),
    }
}
