//! Comparisons, and what is in a list.

use std::sync::Arc;

use crate::event::{Type, Value};
use crate::language::ast::{Expression as Ast, ExpressionKind, Operator};
use crate::language::check::expression::{Lowering, Typed, bare, settled};
use crate::language::check::kinds::{Clash, Kind};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::language::spelling::code;
use crate::pattern::{Among, Comparison, Expression};

pub(super) const FLOAT_OR_DECIMAL: &str = "turn one into the other: `decimal(…)` keeps digits, `float(…)` computes fast";

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn comparison(&mut self, operator: Spanned<Operator>, left: &'a Ast, right: &'a Ast, span: Span) -> Typed<'a> {
        let comparison = match operator.node {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            _ => Comparison::GreaterOrEqual,
        };
        let (one, other) = (self.lower(left), self.lower(right));
        if let Some(diagnostic) = self.incomparable(comparison, (left, &one), (right, &other)) {
            self.add(diagnostic);
        }
        let nullable = if one.nullable { Some(left) } else { other.nullable.then_some(right) };
        let left = Box::new(settled(one.expression, &one.kind, &other.kind));
        let right = Box::new(settled(other.expression, &other.kind, &one.kind));
        Typed { false_if_absent: nullable, ..Typed::new(Expression::Compare { comparison, left, right }, Kind::BOOL, false, span) }
    }

    /// Why the two cannot be compared like this.
    fn incomparable(&self, comparison: Comparison, left: (&Ast, &Typed<'a>), right: (&Ast, &Typed<'a>)) -> Option<Diagnostic> {
        let ((left_ast, one), (right_ast, other)) = (left, right);
        if one.is_unknown() || other.is_unknown() {
            return None;
        }
        if let Some((null, operand)) = [(one, right_ast), (other, left_ast)].into_iter().find(|(typed, _)| typed.kind == Kind::Null) {
            let test = if comparison == Comparison::NotEqual { "is not null" } else { "is null" };
            let span = one.span.to(other.span);
            let operand = self.scope.declarations.quoted(operand.span);
            let diagnostic = Diagnostic::new(Code::ComparedWithNull, span, "a comparison with `null` is always false", "never true");
            return Some(diagnostic.also(null.span, "null").help(format!("write {}", code(&format!("{operand} {test}")))));
        }
        let ordering = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match one.kind.joined(&other.kind) {
            Ok(kind) if ordering && !kind.has_order() => {
                let message = format!("{} has no order", kind);
                let help = if kind == Kind::BOOL { "write `==` or `!=`" } else { "compare a field of it, or its length: `len(…)`" };
                Some(Diagnostic::new(Code::TypeMismatch, one.span.to(other.span), message, "cannot be less or more").help(help))
            }
            Ok(_) => None,
            Err(Clash::FloatWithDecimal) => Some(self.float_with_decimal(one, other)),
            Err(Clash::Different) => Some(self.mismatch("compared", (left_ast, one), (right_ast, other))),
        }
    }

    pub(super) fn float_with_decimal(&self, one: &Typed<'a>, other: &Typed<'a>) -> Diagnostic {
        Diagnostic::new(Code::FloatWithDecimal, other.span, "`float` and `decimal` do not mix by themselves", other.kind.to_string())
            .also(one.span, one.kind.to_string())
            .help(FLOAT_OR_DECIMAL)
    }

    pub(super) fn membership(&mut self, operator: Operator, item: &'a Ast, list: &'a Ast, span: Span) -> Typed<'a> {
        let (one, many) = (self.lower(item), self.lower(list));
        if let Some(diagnostic) = self.not_among((item, &one), (list, &many)) {
            self.add(diagnostic);
        }
        let of_items = if let Kind::List(of_items) = &many.kind { (**of_items).clone() } else { Kind::Unknown };
        let absent = one.nullable.then_some(item).or(many.nullable.then_some(list));
        let contained = match self.among(&many, list, &one.kind) {
            Ok(among) => Expression::Among { item: Box::new(settled(one.expression, &one.kind, &of_items)), among },
            Err(list) => Expression::In { item: Box::new(settled(one.expression, &one.kind, &of_items)), list: Box::new(list) },
        };
        if operator == Operator::In {
            return Typed { false_if_absent: absent, ..Typed::new(contained, Kind::BOOL, false, span) };
        }
        if let Some(absent) = absent {
            self.doubt(absent, span);
        }
        Typed::new(Expression::Not(Box::new(contained)), Kind::BOOL, false, span)
    }

    fn not_among(&self, item: (&Ast, &Typed<'_>), list: (&Ast, &Typed<'_>)) -> Option<Diagnostic> {
        let ((item_ast, one), (list_ast, many)) = (item, list);
        if one.is_unknown() || many.is_unknown() {
            return None;
        }
        let Kind::List(of_items) = &many.kind else {
            let diagnostic = Diagnostic::new(Code::TypeMismatch, many.span, "`in` looks for a value in a list", many.kind.to_string());
            let text = many.kind == Kind::STRING && one.kind == Kind::STRING;
            return Some(diagnostic.help(if text {
                "to look for a text in another write `contains(text, part)`"
            } else {
                "write the values in brackets: `in [a, b]`"
            }));
        };
        if one.kind == Kind::Null {
            let diagnostic = Diagnostic::new(Code::ComparedWithNull, one.span, "`null` is in no list", "never found");
            return Some(diagnostic.help("write `… is null`"));
        }
        match one.kind.joined(of_items) {
            Ok(_) => None,
            Err(Clash::FloatWithDecimal) => Some(
                Diagnostic::new(Code::FloatWithDecimal, many.span, "`float` and `decimal` do not mix by themselves", many.kind.to_string())
                    .also(one.span, one.kind.to_string())
                    .help(FLOAT_OR_DECIMAL),
            ),
            Err(Clash::Different) => Some(self.mismatch("found", (item_ast, one), (list_ast, many))),
        }
    }

    /// Two types that have nothing to do with one another; what was probably meant.
    fn mismatch(&self, done: &str, left: (&Ast, &Typed<'_>), right: (&Ast, &Typed<'_>)) -> Diagnostic {
        let ((left_ast, one), (right_ast, other)) = (left, right);
        for (typed, by, ast) in [(one, other, right_ast), (other, one, left_ast)] {
            if typed.kind == Kind::DURATION && by.kind.is_number() {
                return missing_unit(by, ast);
            }
            if typed.kind == Kind::TIMESTAMP && (is_text(ast) || by.kind.is_written_number()) {
                return time_literal(by);
            }
        }
        let message = match done {
            "found" => format!("{} is never in {}", one.kind, other.kind),
            _ => format!("{} cannot be {done} with {}", one.kind, other.kind),
        };
        let diagnostic = Diagnostic::new(Code::TypeMismatch, other.span, message, other.kind.to_string()).also(one.span, one.kind.to_string());
        let remedy = remedy((&one.kind, right_ast)).or_else(|| remedy((&other.kind, left_ast)));
        diagnostic.help(remedy.unwrap_or_else(|| self.of_its_own_type(done, left, right)))
    }

    /// What to write where the types say no more.
    fn of_its_own_type(&self, done: &str, left: (&Ast, &Typed<'_>), right: (&Ast, &Typed<'_>)) -> String {
        let ((_, one), (_, other)) = (left, right);
        let quoted = |typed: &Typed<'_>| self.scope.declarations.quoted(typed.span);
        let sides = [one, other];
        if let ("found", Kind::List(item)) = (done, &other.kind) {
            return format!("look for {item} in this list, or for {} in another one", one.kind);
        }
        if let Some(record) = sides.iter().find(|typed| matches!(typed.kind, Kind::Of(Type::Record(_)))) {
            return format!("records are not compared: name a field, as in {}", code(&format!("{}.field", quoted(record))));
        }
        if let Some(list) = sides.iter().find(|typed| matches!(typed.kind, Kind::List(_))) {
            return format!("ask whether a value is in the list, {}", code(&format!("value in {}", quoted(list))));
        }
        format!("compare {} with {}, and {} with {}", code(&quoted(one)), one.kind, code(&quoted(other)), other.kind)
    }

    /// The values of a list that is written out, as they are to be compared with `item`; else the list itself.
    fn among(&self, list: &Typed<'a>, ast: &'a Ast, item: &Kind) -> Result<Arc<Among>, Expression> {
        let make = || match settled(list.expression.clone(), &list.kind, &Kind::List(Box::new(item.clone()))) {
            Expression::Constant(Value::List(values)) => Ok(Arc::new(Among::of(values))),
            list => Err(list),
        };
        let named = if let ExpressionKind::Name(name) = &bare(ast).kind { self.scope.declarations.lists.get(name.as_str()) } else { None };
        match named.filter(|named| named.is(&list.expression)) {
            Some(named) => named.among(item, make),
            None => make(),
        }
    }
}

/// A duration beside a number.
pub(super) fn missing_unit(number: &Typed<'_>, ast: &Ast) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::MissingUnit, number.span, "a duration needs a unit", "of what?");
    diagnostic.help(match &bare(ast).kind {
        ExpressionKind::Number(digits) if !digits.contains('.') => format!("write `{digits}s`, `{digits}m` or the like; units are us, ms, s, m, h, d"),
        _ => "divide the durations, as in `(at - a.at) / 1s`, to get a number".to_owned(),
    })
}

pub(super) fn time_literal(written: &Typed<'_>) -> Diagnostic {
    Diagnostic::new(Code::TimeLiteral, written.span, "a time cannot be written out", "not a time")
        .help("compare it with the time of another event, as in `at - a.at < 5m`, or look at its `hour(at)` or `weekday(at)`")
}

fn is_text(ast: &Ast) -> bool {
    matches!(bare(ast).kind, ExpressionKind::Text(_))
}

/// What to write instead of a literal beside something of this kind.
fn remedy((kind, literal): (&Kind, &Ast)) -> Option<String> {
    match (kind, &bare(literal).kind) {
        (Kind::Of(Type::String), ExpressionKind::Number(digits)) => Some(format!("a text stands in double quotes: `\"{digits}\"`")),
        (Kind::Of(Type::String), ExpressionKind::Bool(value)) => Some(format!("a text stands in double quotes: `\"{value}\"`")),
        (Kind::Of(Type::Bool), ExpressionKind::Text(text)) if ["true", "false"].contains(&text.as_str()) => Some(format!("write `{text}` without quotes")),
        (kind, ExpressionKind::Text(text)) if kind.is_number() && text.parse::<f64>().is_ok_and(f64::is_finite) => {
            Some(format!("write `{text}` without quotes"))
        }
        (Kind::Of(Type::Duration), ExpressionKind::Text(_)) => Some("a duration is written without quotes: `5m`".to_owned()),
        _ => None,
    }
}
