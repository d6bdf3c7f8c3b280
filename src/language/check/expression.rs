//! Conditions and values: from the faithful tree to the typed one.
//!
//! Types flow upwards; a number that is written out takes its type from what it meets. What has something wrong in it is of unknown kind, which keeps
//! silent: no finding follows from another.

use crate::event::Value;
use crate::language::ast::{Expression as Ast, ExpressionKind, Operator};
use crate::language::check::contradictions;
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::literals::{Items, NO_VALUES, Written, fitted, joined_item, written};
use crate::language::check::scope::Scope;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::code;
use crate::pattern::{Expression, Function};

/// An expression with its type.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    pub expression: Expression,
    pub kind: Kind,
    /// May be null, by what is absent: a nullable field, a step that may not have been taken.
    pub nullable: bool,
    pub span: Span,
    /// It is false if this is null.
    pub false_if_absent: Option<&'a Ast>,
}

impl Typed<'_> {
    pub(super) fn new(expression: Expression, kind: Kind, nullable: bool, span: Span) -> Self {
        Self { expression, kind, nullable, span, false_if_absent: None }
    }

    /// Something is wrong with it, which has been said.
    pub(super) fn unknown(span: Span) -> Self {
        Self::new(Expression::Constant(Value::Null), Kind::Unknown, false, span)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.kind.is_unknown()
    }

    /// As [`Typed::unknown`] gives it; a field of unknown type is a field all the same.
    fn is_standing_for_unknown(&self) -> bool {
        self.is_unknown() && matches!(self.expression, Expression::Constant(Value::Null))
    }
}

/// From one expression to its typed form.
pub(super) struct Lowering<'l, 's, 'a> {
    pub scope: &'l Scope<'s, 'a>,
    pub findings: &'l mut Findings,
    /// Steps whose chosen events it looks at, as places in the table.
    pub mentioned: Vec<usize>,
    /// Errors that were there before.
    errors: usize,
    /// Nothing [stands for](Typed::unknown) what is not known: that would say of the condition what its text does not.
    is_whole: bool,
    /// Bare names that are lists.
    pub lists: Vec<(&'a str, Span)>,
    /// What is asked for null somewhere in the condition.
    tested: Vec<&'a Ast>,
    /// Negations that are true if something is absent: what, and where.
    doubts: Vec<(&'a Ast, Span)>,
}

impl<'l, 's, 'a> Lowering<'l, 's, 'a> {
    pub(super) fn new(scope: &'l Scope<'s, 'a>, findings: &'l mut Findings) -> Self {
        let errors = findings.error_count();
        Self { scope, findings, mentioned: Vec::new(), errors, is_whole: true, lists: Vec::new(), tested: Vec::new(), doubts: Vec::new() }
    }

    /// What was lowered says what its text does, and nothing is wrong with it.
    pub(super) fn is_sound(&self) -> bool {
        self.is_whole && self.findings.error_count() == self.errors
    }

    /// What is true or false of an event.
    pub(super) fn condition(&mut self, condition: &'a Ast) -> Expression {
        let typed = self.lower(condition);
        let typed = self.truth(typed, "a condition");
        self.warn_of_doubts();
        typed.expression
    }

    pub(super) fn value(&mut self, value: &'a Ast) -> Typed<'a> {
        let typed = self.lower(value);
        self.warn_of_doubts();
        typed
    }

    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.findings.add(diagnostic);
    }

    /// Reports, and gives what stands for it.
    pub(super) fn wrong(&mut self, span: Span, diagnostic: Diagnostic) -> Typed<'a> {
        self.findings.add(diagnostic);
        Typed::unknown(span)
    }

    pub(super) fn lower(&mut self, ast: &'a Ast) -> Typed<'a> {
        let typed = self.lower_kind(ast);
        self.is_whole &= !typed.is_standing_for_unknown();
        typed
    }

    fn lower_kind(&mut self, ast: &'a Ast) -> Typed<'a> {
        match &ast.kind {
            ExpressionKind::Parenthesized(inner) => self.lower(inner),
            ExpressionKind::Name(name) => self.bare_name(name, ast.span),
            ExpressionKind::Member { base, field } => self.member(base, field, ast.span),
            ExpressionKind::Index { base, place } => self.index(base, *place, ast.span),
            ExpressionKind::Call { function, arguments } => self.call(function, arguments, ast.span),
            ExpressionKind::Window { function, argument, window } => self.window(function, argument, window, ast.span),
            ExpressionKind::List(items) => self.list(items, ast.span),
            ExpressionKind::Not(operand) => self.not(operand, ast.span),
            ExpressionKind::Negate(operand) => self.negate(operand, ast.span),
            ExpressionKind::IsNull { operand, negated } => self.is_null(operand, *negated, ast.span),
            ExpressionKind::Binary { operator, left, right } => match operator.node {
                Operator::And | Operator::Or => self.logic(operator.node, ast),
                Operator::In | Operator::NotIn => self.membership(operator.node, left, right, ast.span),
                Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                    self.arithmetic(*operator, left, right, ast.span)
                }
                _ => self.comparison(*operator, left, right, ast.span),
            },
            _ => self.literal(ast),
        }
    }

    fn literal(&mut self, ast: &Ast) -> Typed<'a> {
        let Written { value, kind } = written(ast, Items::Free, self.findings);
        let nullable = kind == Kind::Null;
        Typed::new(Expression::Constant(value), kind, nullable, ast.span)
    }

    // Lists.

    fn list(&mut self, items: &'a [Ast], span: Span) -> Typed<'a> {
        let mut kind = Kind::Null;
        let mut typed = Vec::new();
        for item in items {
            let item = self.lower(item);
            kind = joined_item(kind, &item.kind, item.span, items[0].span, self.findings);
            typed.push(item);
        }
        if items.is_empty() {
            self.add(Diagnostic::new(Code::EmptyList, span, "the list is empty", "nothing is in it").help(NO_VALUES));
        }
        let expressions: Vec<Expression> = typed.into_iter().map(|item| converted(item.expression, &item.kind, &kind)).collect();
        let constants: Option<Vec<Value>> =
            expressions.iter().map(|item| if let Expression::Constant(value) = item { Some(value.clone()) } else { None }).collect();
        let expression = match constants {
            Some(values) => Expression::Constant(Value::List(values.into())),
            None => Expression::List(expressions),
        };
        Typed::new(expression, Kind::List(Box::new(kind)), false, span)
    }

    // Truth.

    /// Says so if it is neither true nor false; `role` is what it is meant as.
    pub(super) fn truth(&mut self, typed: Typed<'a>, role: &str) -> Typed<'a> {
        if typed.kind == Kind::BOOL || typed.is_unknown() {
            return typed;
        }
        let message = format!("{role} is true or false, and this is {}", typed.kind);
        let diagnostic = Diagnostic::new(Code::NotCondition, typed.span, message, typed.kind.to_string());
        self.wrong(typed.span, diagnostic.help("compare it with something, as in `amount > 100` or `country is not null`"))
    }

    /// `and` and `or` with all that they join.
    fn logic(&mut self, operator: Operator, ast: &'a Ast) -> Typed<'a> {
        let word = if operator == Operator::And { "each side of `and`" } else { "each side of `or`" };
        let errors = self.findings.error_count();
        let is_whole = std::mem::replace(&mut self.is_whole, true);
        let (mut parts, mut places, mut false_if_absent) = (Vec::new(), Vec::new(), None);
        for operand in joined_by(operator, ast) {
            let typed = self.lower(operand);
            let typed = self.truth(typed, word);
            false_if_absent = false_if_absent.or(typed.false_if_absent);
            match (operator, typed.expression) {
                (Operator::And, Expression::And(inner)) | (Operator::Or, Expression::Or(inner)) => parts.extend(inner),
                (_, expression) => parts.push(expression),
            }
            places.resize(parts.len(), operand.span);
        }
        if operator == Operator::And && self.is_whole && self.findings.error_count() == errors {
            contradictions::check(&parts, &places, self.findings);
        }
        self.is_whole &= is_whole;
        let expression = if operator == Operator::And { Expression::And(parts) } else { Expression::Or(parts) };
        Typed { false_if_absent, ..Typed::new(expression, Kind::BOOL, false, ast.span) }
    }

    fn not(&mut self, operand: &'a Ast, span: Span) -> Typed<'a> {
        let typed = self.lower(operand);
        let typed = self.truth(typed, "what `not` turns round");
        self.doubts.extend(typed.false_if_absent.map(|absent| (absent, span)));
        Typed::new(Expression::Not(Box::new(typed.expression)), Kind::BOOL, false, span)
    }

    fn is_null(&mut self, operand: &'a Ast, negated: bool, span: Span) -> Typed<'a> {
        let typed = self.lower(operand);
        self.tested.push(bare(operand));
        let is_null = Expression::IsNull(Box::new(typed.expression));
        let expression = if negated { Expression::Not(Box::new(is_null)) } else { is_null };
        Typed::new(expression, Kind::BOOL, false, span)
    }

    /// Takes note of a negation that is true where `absent` is null.
    pub(super) fn doubt(&mut self, absent: &'a Ast, span: Span) {
        self.doubts.push((absent, span));
    }

    fn warn_of_doubts(&mut self) {
        let tested = std::mem::take(&mut self.tested);
        for (absent, span) in std::mem::take(&mut self.doubts) {
            let absent = bare(absent);
            if tested.contains(&absent) {
                continue;
            }
            let name = self.scope.declarations.quoted(absent.span);
            let message = format!("this is true as well where `{name}` is absent");
            let diagnostic = Diagnostic::new(Code::TrueOfAbsent, span, message, "also true of what is not there").also(absent.span, "may be null");
            self.findings.add(diagnostic.help(format!(
                "say which is meant: {}, or {}",
                code(&format!("{name} is not null and …")),
                code(&format!("{name} is null or …"))
            )));
        }
    }
}

/// The operands that a chain of `and`s, or of `or`s, joins, in order.
fn joined_by(operator: Operator, ast: &Ast) -> Vec<&Ast> {
    let (mut operands, mut open) = (Vec::new(), vec![ast]);
    while let Some(ast) = open.pop() {
        match &ast.kind {
            ExpressionKind::Binary { operator: other, left, right } if other.node == operator => open.extend([&**right, &**left]),
            _ => operands.push(ast),
        }
    }
    operands
}

/// Without the parentheses around it.
pub(super) fn bare(mut ast: &Ast) -> &Ast {
    while let ExpressionKind::Parenthesized(inner) = &ast.kind {
        ast = inner;
    }
    ast
}

/// The parts that must all be true.
pub(super) fn conjuncts(condition: Expression) -> Vec<Expression> {
    match condition {
        Expression::And(parts) => parts,
        other => vec![other],
    }
}

/// What is written out, under the type that a neighbour gives it.
pub(super) fn settled(expression: Expression, from: &Kind, to: &Kind) -> Expression {
    let written = match from {
        Kind::List(item) => item.is_written_number(),
        kind => kind.is_written_number(),
    };
    // Among several values one is no int: none becomes one.
    if !written || (*from == Kind::Fraction && *to == Kind::INT) {
        return expression;
    }
    match expression {
        Expression::Constant(value) => Expression::Constant(fitted(&value, to)),
        Expression::List(items) => match (from, to) {
            (Kind::List(from), Kind::List(to)) => Expression::List(items.into_iter().map(|item| settled(item, from, to)).collect()),
            _ => Expression::List(items),
        },
        Expression::If { condition, then, otherwise } => {
            Expression::If { condition, then: Box::new(settled(*then, from, to)), otherwise: Box::new(settled(*otherwise, from, to)) }
        }
        Expression::Coalesce(parts) => Expression::Coalesce(parts.into_iter().map(|part| settled(part, from, to)).collect()),
        other => other,
    }
}

/// Of kind `to`, which holds kind `from` as well.
pub(super) fn converted(expression: Expression, from: &Kind, to: &Kind) -> Expression {
    let call = |function, expression| Expression::Call { function, arguments: vec![expression] };
    match (from, to) {
        (from, to) if *from == Kind::INT && *to == Kind::DECIMAL => call(Function::Decimal, expression),
        (from, to) if *from == Kind::INT && *to == Kind::FLOAT => call(Function::Float, expression),
        _ => settled(expression, from, to),
    }
}
