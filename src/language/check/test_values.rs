//! Values written in tests, under the type of the field that they are for.
//!
//! A text may stand for a time or a duration; a number that is written out becomes what the field is.

use crate::event::{EventTime, Field, TimeSpan, Type, Value};
use crate::language::ast::{Expression as Ast, ExpressionKind, Name, RecordLiteral, RecordValue};
use crate::language::check::declarations::{ONE_OF_THEM, twice};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::literals::{Items, Written, decimal, fitted, written};
use crate::language::check::streams::its_fields;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;

/// What values are written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An event that arrives.
    Arrival,
    /// What is expected of a match.
    Expectation,
}

/// The fields of a record, in the order of its type. `owner` is what has the fields: "`payments`". What is missing and must be there is said, except
/// for `filled`, a field that is filled by itself.
pub(super) fn record(literal: &RecordLiteral, fields: &[Field], owner: &str, filled: Option<usize>, what_for: For, findings: &mut Findings) -> Vec<Value> {
    let mut values: Vec<Option<Value>> = vec![None; fields.len()];
    for (place, (name, value)) in literal.fields.iter().enumerate() {
        if let Some((first, _)) = literal.fields[..place].iter().find(|(first, _)| first.node == name.node) {
            findings.add(twice(&name.node, name.span, first.span).help(ONE_OF_THEM));
            continue;
        }
        match fields.iter().position(|field| field.name == name.node) {
            Some(at) => values[at] = Some(of_field(value, &fields[at], what_for, findings)),
            None => {
                let diagnostic = unknown(name, fields, owner, findings);
                findings.add(diagnostic);
            }
        }
    }
    let required = |(at, field): (usize, &Field)| (!field.nullable && values[at].is_none() && filled != Some(at)).then(|| format!("`{}`", field.name));
    let missing: Vec<String> = fields.iter().enumerate().filter_map(required).collect();
    if !missing.is_empty() {
        let plural = if missing.len() == 1 { "" } else { "s" };
        let message = format!("missing field{plural} {} of {owner}", missing.join(", "));
        let help = match what_for {
            For::Arrival => "give a value, or declare the field with `?`",
            For::Expectation => "a record is compared as a whole; to look at one field of it, emit that field",
        };
        findings.add(Diagnostic::new(Code::MissingField, literal.span, message, "not given").help(help));
    }
    values.into_iter().map(Option::unwrap_or_default).collect()
}

fn unknown(name: &Name, fields: &[Field], owner: &str, findings: &Findings) -> Diagnostic {
    let message = format!("unknown field `{}` on {owner}", name.node);
    Diagnostic::new(Code::UnknownField, name.span, message, format!("not a field of {owner}")).help_nearest(
        findings,
        &name.node,
        fields.iter().map(|field| field.name.as_str()),
        || its_fields(fields.iter().map(|field| field.name.as_str())),
    )
}

fn of_field(value: &RecordValue, field: &Field, what_for: For, findings: &mut Findings) -> Value {
    if let (RecordValue::Expression(Ast { kind: ExpressionKind::Null, span }), false) = (value, field.nullable) {
        let message = format!("`{}` cannot be null", field.name);
        findings.add(Diagnostic::new(Code::FieldValue, *span, message, "null").help("give a value, or declare the field with `?`"));
        return Value::Null;
    }
    of_type(value, &format!("`{}`", field.name), &field.r#type, what_for, findings)
}

/// A value of this type; `what` has it: "`amount`".
pub(super) fn of_type(value: &RecordValue, what: &str, r#type: &Type, what_for: For, findings: &mut Findings) -> Value {
    match (value, r#type) {
        (RecordValue::Record(literal), Type::Record(fields)) => Value::Record(record(literal, fields, what, None, what_for, findings).into()),
        (RecordValue::List(_, items), Type::List(element)) => {
            let what = if what.starts_with("an item") { what.to_owned() } else { format!("an item of {what}") };
            Value::List(items.iter().map(|item| of_type(item, &what, element, what_for, findings)).collect())
        }
        (RecordValue::Column(_), _) => unreachable!("a case has values in the place of its columns"),
        (RecordValue::Expression(expression), r#type) => scalar(expression, what, r#type, findings),
        (RecordValue::Record(literal), r#type) => unfit(literal.span, what, r#type, "a record", findings),
        (RecordValue::List(span, _), r#type) => unfit(*span, what, r#type, "a list", findings),
    }
}

fn scalar(expression: &Ast, what: &str, r#type: &Type, findings: &mut Findings) -> Value {
    let errors = findings.error_count();
    let Written { value, kind } = written(expression, Items::Free, findings);
    if findings.error_count() > errors {
        return Value::Null;
    }
    match (&value, r#type) {
        (Value::Null, _) => Value::Null,
        (Value::Text(text), Type::Timestamp) => match EventTime::parse_rfc3339(text) {
            Some(time) => Value::Timestamp(time),
            None => unfit(expression.span, what, r#type, "a text that is no time", findings),
        },
        (Value::Text(text), Type::Duration) => match TimeSpan::parse(text) {
            Some(span) => Value::Duration(span),
            None => unfit(expression.span, what, r#type, "a text that is no duration", findings),
        },
        (Value::Text(text), Type::Decimal) => match decimal(text) {
            Some(number) => Value::Decimal(number),
            None => unfit(expression.span, what, r#type, "a text that is no number", findings),
        },
        (Value::Text(_), Type::String) | (Value::Bool(_), Type::Bool) | (Value::Duration(_), Type::Duration) => value,
        (Value::Decimal(_), Type::Int) if kind == Kind::Whole => fitted(&value, &Kind::INT),
        (Value::Decimal(_), Type::Float | Type::Decimal) => fitted(&value, &Kind::of(r#type)),
        (Value::Decimal(number), Type::Int) => {
            let found = if number.is_integer() { "too large" } else { "not a whole number" };
            unfit(expression.span, what, r#type, found, findings)
        }
        _ => unfit(expression.span, what, r#type, &kind.to_string(), findings),
    }
}

fn unfit(span: Span, what: &str, r#type: &Type, found: &str, findings: &mut Findings) -> Value {
    let message = format!("{what} is {}, and this is {found}", Kind::of(r#type));
    let diagnostic = Diagnostic::new(Code::FieldValue, span, message, found);
    let help = match r#type {
        Type::Timestamp => "a time is a text: `\"2000-01-01T00:00:00Z\"`",
        Type::Duration => "a duration has a unit: `5s`",
        Type::String => "a text stands in double quotes",
        Type::Int => "an int is a whole number between -2⁶³ and 2⁶³ - 1",
        Type::Decimal | Type::Float => "a number is digits, and perhaps a point and digits, without quotes: `12.5`",
        Type::Bool => "write `true` or `false`, without quotes",
        Type::List(_) => "a list stands in brackets: `[a, b]`",
        Type::Record(_) => "a record stands in braces: `{ field: value }`",
    };
    findings.add(diagnostic.help(help));
    Value::Null
}
