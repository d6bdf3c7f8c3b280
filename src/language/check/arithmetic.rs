//! Sums, products and signs: of numbers, and of times and durations.
//!
//! What is written out altogether (`60 * 60`) is calculated here.

use std::cell::Cell;

use crate::event::{TimeSpan, Type, Value};
use crate::language::ast::{Expression as Ast, ExpressionKind, Operator};
use crate::language::check::comparison::missing_unit;
use crate::language::check::expression::{Lowering, Typed, bare, settled};
use crate::language::check::kinds::{Clash, Kind};
use crate::language::check::literals::{Written, negated, number_kind};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::pattern::{Arithmetic, Expression, Moment, NothingChosen, Scope};

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn arithmetic(&mut self, operator: Spanned<Operator>, left: &'a Ast, right: &'a Ast, span: Span) -> Typed<'a> {
        let operation = match operator.node {
            Operator::Add => Arithmetic::Add,
            Operator::Subtract => Arithmetic::Subtract,
            Operator::Multiply => Arithmetic::Multiply,
            Operator::Divide => Arithmetic::Divide,
            _ => Arithmetic::Remainder,
        };
        let (one, other) = (self.lower(left), self.lower(right));
        if one.is_unknown() || other.is_unknown() {
            return Typed::unknown(span);
        }
        let kind = match self.result(operation, (left, &one), (right, &other)) {
            Ok(kind) => kind,
            Err(diagnostic) => return self.wrong(span, diagnostic),
        };
        let nullable = one.nullable || other.nullable;
        let both_written = one.kind.is_written_number() && other.kind.is_written_number();
        let left = Box::new(settled(one.expression, &one.kind, &other.kind));
        let right = Box::new(settled(other.expression, &other.kind, &one.kind));
        let constant = matches!((&*left, &*right), (Expression::Constant(_), Expression::Constant(_)));
        let expression = Expression::Arithmetic { operation, left, right };
        if both_written && constant { self.calculated(&expression, span) } else { Typed::new(expression, kind, nullable, span) }
    }

    /// The type of the result, or why there is none.
    fn result(&self, operation: Arithmetic, left: (&Ast, &Typed<'a>), right: (&Ast, &Typed<'a>)) -> Result<Kind, Diagnostic> {
        let ((left_ast, one), (right_ast, other)) = (left, right);
        if one.kind.is_number() && other.kind.is_number() {
            return match one.kind.joined(&other.kind) {
                Ok(kind) if (operation == Arithmetic::Divide && kind == Kind::INT) || kind.is_written_number() => Ok(Kind::DECIMAL),
                Ok(kind) => Ok(kind),
                Err(Clash::FloatWithDecimal | Clash::Different) => Err(self.float_with_decimal(one, other)),
            };
        }
        if let (Kind::Of(left), Kind::Of(right)) = (&one.kind, &other.kind)
            && let Some(kind) = timely(operation, left, right)
        {
            return Ok(kind);
        }
        let scales = |duration: &Typed<'_>, number: &Typed<'_>| duration.kind == Kind::DURATION && number.kind.is_number();
        let factor = match operation {
            Arithmetic::Multiply if scales(other, one) => Some(one),
            Arithmetic::Multiply | Arithmetic::Divide if scales(one, other) => Some(other),
            _ => None,
        };
        match factor {
            Some(factor) if factor.kind == Kind::FLOAT => {
                let message = "durations are multiplied and divided by an int or a decimal";
                Err(Diagnostic::new(Code::FloatWithDecimal, factor.span, message, "a float").help("write `decimal(…)`"))
            }
            Some(_) => Ok(Kind::DURATION),
            None if scales(one, other) && operation != Arithmetic::Remainder => Err(missing_unit(other, right_ast)),
            None if scales(other, one) && matches!(operation, Arithmetic::Add | Arithmetic::Subtract) => Err(missing_unit(one, left_ast)),
            None if one.kind == Kind::TIMESTAMP && other.kind.is_number() => Err(missing_unit(other, right_ast)),
            None => Err(no_result(operation, (left_ast, one), (right_ast, other))),
        }
    }

    /// The result of a calculation that is written out altogether.
    pub(super) fn calculated(&mut self, expression: &Expression, span: Span) -> Typed<'a> {
        match expression.value(&Scope { fields: None, chosen: &NothingChosen, moment: Moment::plain(&Cell::new(0)) }) {
            Value::Decimal(value) => Typed::new(Expression::Constant(Value::Decimal(value)), number_kind(value), false, span),
            _ => self.wrong(
                span,
                Diagnostic::new(Code::NumberRange, span, "the calculation has no result", "divides by zero, or is too large")
                    .help("write the number that is meant"),
            ),
        }
    }

    pub(super) fn negate(&mut self, operand: &'a Ast, span: Span) -> Typed<'a> {
        let typed = self.lower(operand);
        if typed.is_unknown() {
            return Typed::unknown(span);
        }
        if !typed.kind.is_number() && typed.kind != Kind::DURATION {
            let diagnostic = Diagnostic::new(
                Code::TypeMismatch,
                typed.span,
                format!("`-` takes a number or a duration, and this is {}", typed.kind),
                typed.kind.to_string(),
            );
            return self.wrong(span, diagnostic.help("leave the sign out, or write it before a number"));
        }
        match typed.expression {
            Expression::Constant(value) if typed.kind.is_written_number() => {
                let Written { value, kind } = negated(Written { value, kind: typed.kind });
                Typed::new(Expression::Constant(value), kind, false, span)
            }
            expression => {
                let kind = if typed.kind.is_written_number() { Kind::DECIMAL } else { typed.kind };
                Typed::new(Expression::Negate(Box::new(expression)), kind, typed.nullable, span)
            }
        }
    }
}

/// Of times and durations among themselves.
fn timely(operation: Arithmetic, left: &Type, right: &Type) -> Option<Kind> {
    match (operation, left, right) {
        (Arithmetic::Subtract, Type::Timestamp, Type::Timestamp) => Some(Kind::DURATION),
        (Arithmetic::Add | Arithmetic::Subtract, Type::Timestamp, Type::Duration) | (Arithmetic::Add, Type::Duration, Type::Timestamp) => Some(Kind::TIMESTAMP),
        (Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Remainder, Type::Duration, Type::Duration) => Some(Kind::DURATION),
        (Arithmetic::Divide, Type::Duration, Type::Duration) => Some(Kind::DECIMAL),
        _ => None,
    }
}

fn no_result(operation: Arithmetic, left: (&Ast, &Typed<'_>), right: (&Ast, &Typed<'_>)) -> Diagnostic {
    let sign = match operation {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Remainder => "%",
    };
    let ((_, one), (_, other)) = (left, right);
    let message = format!("`{sign}` does not go with {} and {}", one.kind, other.kind);
    let diagnostic = Diagnostic::new(Code::TypeMismatch, other.span, message, other.kind.to_string()).also(one.span, one.kind.to_string());
    let text = [left, right].into_iter().find(|(_, typed)| typed.kind == Kind::STRING);
    match text.map(|(ast, _)| &bare(ast).kind) {
        Some(ExpressionKind::Text(text)) if TimeSpan::parse(text).is_some() => diagnostic.help(format!("a duration is written without quotes: `{text}`")),
        Some(_) => diagnostic.help("calculate with numbers, durations and times; texts are compared, and not joined"),
        None if [one, other].iter().any(|typed| typed.kind == Kind::Null) => diagnostic.help("leave `null` out: what is calculated with it is always null"),
        None if [one, other].iter().any(|typed| typed.kind == Kind::TIMESTAMP) => {
            diagnostic.help("times are subtracted from one another, `at - a.at`, and durations are added to them or subtracted, `at + 5m`")
        }
        None => diagnostic.help("calculate with numbers, durations and times: of a list or record name an item or field, `tags[0]`, `geo.lat`"),
    }
}
