//! Conditions joined by `and` that can never all hold: `x == 1 and x == 2`, `x > 5 and x < 3`, `x is null and x > 5`.
//!
//! What is compared (a field, a count, a calculation) is told by how it is spelled out; whatever it is worth, within one condition it is worth the same
//! everywhere. Each part of the condition demands something of that worth, compared as at run time. Whether some worth satisfies all is decided exactly but for
//! this: between two different bounds something is taken to lie, though no whole number may, and long lists are not looked into.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::event::Value;
use crate::language::ast::{Expression as Ast, ExpressionKind, Operator};
use crate::language::check::expression::bare;
use crate::language::check::findings::Findings;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::{self, code, named};
use crate::pattern::{Comparison, Expression, Moment, NothingChosen, Scope};

/// Where a part stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// In the condition itself.
    Here(Span),
    /// In the define of this name, whose events the condition is about.
    In(&'a str),
}

/// What must hold of one worth.
enum Demand<'e> {
    /// `comparison` with the constant holds; if `negated`, it does not, as for null.
    Compared { comparison: Comparison, with: &'e Value, negated: bool },
    /// It is among these; if `negated`, it is not, as null is not.
    Among { values: &'e [Value], negated: bool },
    /// It is null; if `negated`, it is not.
    Null { negated: bool },
}

/// A demand, and the place of its part.
type Placed<'e, 'a> = (Demand<'e>, Place<'a>);

/// Values of a list that are compared one by one; of longer ones nothing is said.
const VALUES_MAX: usize = 64;

const TRUE: &Value = &Value::Bool(true);

/// Warns of the parts of an `and`, each with its place. Parts of one place have been compared already.
pub(super) fn check(parts: &[Expression], places: &[Span], findings: &mut Findings) {
    let placed = parts.iter().zip(places).map(|(part, span)| (part, Place::Here(*span)));
    warn(placed, |_, other| matches!(other, Place::Here(_)), findings);
}

/// Warns of the parts of a condition that clash with what the define `name` demands already.
pub(super) fn check_defined(name: &str, defined: &[Expression], parts: &[Expression], condition: &Ast, findings: &mut Findings) {
    let defined = defined.iter().map(|part| (part, Place::In(name)));
    let placed = parts.iter().zip(places(condition)).map(|(part, span)| (part, Place::Here(span)));
    warn(defined.chain(placed), |one, other| matches!(one, Place::In(_)) != matches!(other, Place::In(_)), findings);
}

/// Once for each place at which the parts demand what cannot be, if the two places that clash are `told`.
fn warn<'e, 'a>(parts: impl Iterator<Item = (&'e Expression, Place<'a>)>, told: impl Fn(Place<'a>, Place<'a>) -> bool, findings: &mut Findings) {
    let mut demanded: BTreeMap<String, Vec<Placed<'_, 'a>>> = BTreeMap::new();
    // Spans are equal to one another: their starts are told apart.
    let mut said: Vec<u32> = Vec::new();
    for (part, place) in parts {
        let mut demands = Vec::new();
        demands_of(part, &mut demands);
        for (worth, demand) in demands {
            let known = demanded.entry(worth).or_default();
            if !is_possible(known.iter().map(|(demand, _)| demand)) {
                continue;
            }
            known.push((demand, place));
            let (Some(other), Place::Here(span)) = (clash(known), place) else { continue };
            let new = !said.contains(&span.start) && !matches!(other, Place::Here(other) if other.start == span.start);
            if new && told(place, other) {
                said.push(span.start);
                findings.add(contradiction(span, other));
            }
        }
    }
}

fn contradiction(span: Span, other: Place<'_>) -> Diagnostic {
    match other {
        Place::Here(other) => Diagnostic::new(Code::Contradiction, span, "this cannot hold together with what stands before it", "never beside the other")
            .also(other, "the other")
            .help("`and` means both at once: write `or` if one is enough, or mend one of the two"),
        Place::In(name) => {
            Diagnostic::new(Code::Contradiction, span, format!("no event of `{name}` can fit this"), format!("contradicts what `{name}` demands"))
                .help(format!("look at {}, or name the stream instead of {}", code(&format!("define {}", spelling::spelled(name))), named(name)))
        }
    }
}

/// If the last demand leaves nothing of what was possible before: the place of the one that it clashes with.
fn clash<'a>(known: &[Placed<'_, 'a>]) -> Option<Place<'a>> {
    if is_possible(known.iter().map(|(demand, _)| demand)) {
        return None;
    }
    let (last, before) = known.split_last()?;
    let alone = before.iter().find(|(demand, _)| !is_possible([demand, &last.0].into_iter()));
    // Where no single one does, all of them do together: the nearest stands for them.
    alone.or(before.last()).map(|(_, place)| *place)
}

/// What a part demands, and of which worth.
fn demands_of<'e>(part: &'e Expression, demands: &mut Vec<(String, Demand<'e>)>) {
    let (bare, negated) = match part {
        Expression::Not(operand) => (&**operand, true),
        other => (other, false),
    };
    match with_constant(bare, negated) {
        Some((worth, demand)) => demands.push((spelled(worth), demand)),
        None => demands.push((spelled(bare), Demand::Compared { comparison: Comparison::Equal, with: TRUE, negated })),
    }
    let never_null: &[&Expression] = match bare {
        _ if negated => &[],
        Expression::Compare { left, right, .. } => &[left, right],
        Expression::In { item, .. } | Expression::Among { item, .. } => &[item],
        Expression::Matches { text: operand, .. } | Expression::InNetwork { address: operand, .. } => &[operand],
        _ => &[],
    };
    let compared = never_null.iter().filter(|worth| !matches!(worth, Expression::Constant(_)));
    demands.extend(compared.map(|worth| (spelled(worth), Demand::Null { negated: true })));
}

/// The worth that is compared with what is written out.
fn with_constant(part: &Expression, negated: bool) -> Option<(&Expression, Demand<'_>)> {
    match part {
        Expression::Compare { comparison, left, right } => match (&**left, &**right) {
            (Expression::Constant(_), Expression::Constant(_)) => None,
            (worth, Expression::Constant(with)) => Some((worth, Demand::Compared { comparison: *comparison, with, negated })),
            (Expression::Constant(with), worth) => Some((worth, Demand::Compared { comparison: turned(*comparison), with, negated })),
            _ => None,
        },
        Expression::Among { item, among } if among.values().len() <= VALUES_MAX => Some((item, Demand::Among { values: among.values(), negated })),
        Expression::IsNull(operand) => Some((operand, Demand::Null { negated })),
        _ => None,
    }
}

fn spelled(expression: &Expression) -> String {
    format!("{expression:?}")
}

/// The same with its sides swapped.
fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

/// The comparison that holds of what is not null.
fn held(comparison: Comparison, negated: bool) -> Comparison {
    match comparison {
        _ if !negated => comparison,
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// Whether something satisfies all.
fn is_possible<'e>(demands: impl Iterator<Item = &'e Demand<'e>>) -> bool {
    let demands: Vec<&Demand<'_>> = demands.collect();
    let admitted = |value: &Value| demands.iter().all(|demand| demand.admits(value));
    if admitted(&Value::Null) {
        return true;
    }
    if demands.iter().any(|demand| matches!(demand, Demand::Null { negated: false })) {
        return false;
    }
    if let Some(values) = demands.iter().find_map(|demand| demand.only()) {
        return values.into_iter().any(admitted);
    }
    if demands.iter().any(|demand| matches!(demand, Demand::Compared { with: Value::Bool(_), .. })) {
        return [false, true].into_iter().any(|value| admitted(&Value::Bool(value)));
    }
    let bounds: Vec<(Comparison, &Value)> = demands.iter().filter_map(|demand| demand.bound()).collect();
    let side = |one, or_equal| bounds.iter().filter(move |(comparison, _)| *comparison == one || *comparison == or_equal);
    side(Comparison::Greater, Comparison::GreaterOrEqual)
        .all(|(_, low)| side(Comparison::Less, Comparison::LessOrEqual).all(|(_, high)| compares(Comparison::Less, low, high) || admitted(low)))
}

impl<'e> Demand<'e> {
    fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Compared { comparison, with, negated } => compares(*comparison, value, with) != *negated,
            Self::Among { values, negated } => values.iter().any(|one| compares(Comparison::Equal, value, one)) != *negated,
            Self::Null { negated } => value.is_null() != *negated,
        }
    }

    /// The values that it leaves, if they can be counted.
    fn only(&self) -> Option<Vec<&'e Value>> {
        match self {
            Self::Among { values, negated: false } => Some(values.iter().collect()),
            Self::Compared { comparison, with, negated } => (held(*comparison, *negated) == Comparison::Equal).then(|| vec![*with]),
            _ => None,
        }
    }

    fn bound(&self) -> Option<(Comparison, &'e Value)> {
        match self {
            Self::Compared { comparison, with, negated } => Some((held(*comparison, *negated), with)),
            _ => None,
        }
    }
}

/// As at run time.
fn compares(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let constant = |value: &Value| Box::new(Expression::Constant(value.clone()));
    let faults = Cell::new(0);
    let compared = Expression::Compare { comparison, left: constant(left), right: constant(right) };
    compared.holds(&Scope { fields: None, chosen: &NothingChosen, moment: Moment::plain(&faults) })
}

/// The places of the parts that a condition lowers to, in order: `and`s within `and`s are parts of the outer one.
fn places(condition: &Ast) -> Vec<Span> {
    let (mut places, mut open) = (Vec::new(), vec![condition]);
    while let Some(ast) = open.pop() {
        match &bare(ast).kind {
            ExpressionKind::Binary { operator, left, right } if operator.node == Operator::And => open.extend([&**right, &**left]),
            _ => places.push(ast.span),
        }
    }
    places
}
