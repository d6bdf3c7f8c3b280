//! Conditions and values.

use crate::language::ast::{Expression, ExpressionKind, Name, Operator, Window};
use crate::language::print::layout::Piece;
use crate::language::print::printer::{Printer, Words};
use crate::language::span::{Span, Spanned};

const BREAK: Piece = Piece::Line { flat: " " };
const BREAK_TO_NOTHING: Piece = Piece::Line { flat: "" };

impl Printer<'_> {
    pub(super) fn expression(&mut self, expression: &Expression) {
        match &expression.kind {
            ExpressionKind::Text(text) => self.text(self.text_literal(text, expression.span)),
            ExpressionKind::Number(number) => self.text(number.clone()),
            ExpressionKind::Bool(true) => self.text("true"),
            ExpressionKind::Bool(false) => self.text("false"),
            ExpressionKind::Null => self.text("null"),
            ExpressionKind::Duration(node) => self.text(self.duration(&Spanned { node: *node, span: expression.span })),
            ExpressionKind::List(items) => self.values(items, expression.span),
            ExpressionKind::Name(name) => self.text(self.name(name, Words::Reserved)),
            ExpressionKind::Member { base, field } => {
                self.expression(base);
                let field = self.name(&field.node, Words::Reserved);
                self.text(format!(".{field}"));
            }
            ExpressionKind::Index { base, place } => {
                self.expression(base);
                self.text(format!("[{}]", place.node));
            }
            ExpressionKind::Call { function, arguments } => self.call(function, arguments, expression.span),
            ExpressionKind::Window { function, argument, window } => {
                self.text(format!("{}(", self.name(&function.node, Words::Reserved)));
                self.expression(argument);
                self.window(window);
            }
            ExpressionKind::Not(operand) => {
                self.text("not ");
                self.expression(operand);
            }
            ExpressionKind::Negate(operand) => {
                self.text("-");
                self.expression(operand);
            }
            ExpressionKind::Binary { operator, .. } => self.chain(expression, precedence(operator.node)),
            ExpressionKind::IsNull { operand, negated } => {
                self.expression(operand);
                self.text(if *negated { " is not null" } else { " is null" });
            }
            ExpressionKind::Parenthesized(inner) => self.brackets(["(", ")"], BREAK_TO_NOTHING, expression.span.end, |printer| {
                printer.gap(BREAK_TO_NOTHING, inner.span.start);
                printer.expression(inner);
            }),
        }
    }

    /// Operators of one strength, one after the other; all of them begin a line, or none. Comparisons are not broken.
    fn chain(&mut self, expression: &Expression, strength: u8) {
        let mut links = Vec::new();
        let mut first = expression;
        while let ExpressionKind::Binary { operator, left, right } = &first.kind
            && precedence(operator.node) == strength
        {
            links.push((operator, right));
            first = left;
        }
        self.group(2, |printer| {
            printer.expression(first);
            for (operator, right) in links.into_iter().rev() {
                if strength == COMPARISON {
                    printer.text(" ");
                } else {
                    printer.gap(BREAK, operator.span.start);
                }
                printer.text(format!("{} ", spelling(operator.node)));
                printer.expression(right);
            }
        });
    }

    fn call(&mut self, function: &Name, arguments: &[Expression], span: Span) {
        let function = self.name(&function.node, Words::Reserved);
        self.text(function);
        if arguments.is_empty() {
            return self.text("()");
        }
        self.brackets(["(", ")"], BREAK_TO_NOTHING, span.end, |printer| {
            for (place, argument) in arguments.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                }
                printer.gap(if place == 0 { BREAK_TO_NOTHING } else { BREAK }, argument.span.start);
                printer.expression(argument);
            }
        });
    }

    fn window(&mut self, window: &Window) {
        let (word, span) = match window {
            Window::Sliding(span) => ("", span),
            Window::Tumbling(span) => ("tumbling ", span),
            Window::Session(span) => ("session ", span),
        };
        let span = self.duration(span);
        self.text(format!(" over {word}{span})"));
    }

    /// `[a, b]`: as many on a line as it takes.
    pub(super) fn values(&mut self, items: &[Expression], span: Span) {
        if items.is_empty() {
            return self.text("[]");
        }
        self.brackets(["[", "]"], BREAK_TO_NOTHING, span.end, |printer| {
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    printer.text(",");
                }
                printer.gap(if place == 0 { BREAK_TO_NOTHING } else { Piece::Fill }, item.span.start);
                printer.expression(item);
            }
        });
    }
}

const COMPARISON: u8 = 2;

/// From weakest to strongest; `and` and `or` do not stand side by side.
fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 0,
        Operator::And => 1,
        Operator::Add | Operator::Subtract => 3,
        Operator::Multiply | Operator::Divide | Operator::Remainder => 4,
        _ => COMPARISON,
    }
}

fn spelling(operator: Operator) -> &'static str {
    match operator {
        Operator::Or => "or",
        Operator::And => "and",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::In => "in",
        Operator::NotIn => "not in",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
    }
}
