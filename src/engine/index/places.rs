//! Where a bit is filed: what its condition asks for that tells events apart best.

use std::cell::Cell;

use rust_decimal::prelude::ToPrimitive;

use crate::engine::index::{networks, texts, thresholds};
use crate::event::Value;
use crate::pattern::{Among, Comparison, Expression, FieldPath, equal};

/// Where a bit is filed, and what is thereby known of an event that is found there.
pub(super) struct Place<'a> {
    pub(super) under: Under<'a>,
    /// These of the conjuncts hold.
    pub(super) known: Vec<&'a Expression>,
}

pub(super) enum Under<'a> {
    /// The field is this.
    Value(&'a FieldPath, &'a Value),
    Literals(texts::AskedFor<'a>),
    Network(networks::AskedFor<'a>),
    Threshold(thresholds::AskedFor<'a>),
    /// The field is more than the one, and less than the other.
    Range(thresholds::AskedFor<'a>, thresholds::AskedFor<'a>),
    Nothing,
}

/// How well a place tells events apart: best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Telling {
    Value,
    Literals,
    Network,
    /// Several of these.
    Alternatives,
    Range,
    Threshold,
    /// Several, some of which are ranges or thresholds.
    Thresholds,
    Nothing,
}

/// Where a bit with these conjuncts is filed best: an event that sets it is found in one of the places.
pub(super) fn places<'a>(conjuncts: &[&'a Expression]) -> (Telling, Vec<Place<'a>>) {
    let each = conjuncts.iter().filter_map(|conjunct| places_of(conjunct));
    let bounds = || conjuncts.iter().filter_map(|conjunct| Some((*conjunct, thresholds::AskedFor::by(conjunct)?)));
    let ranges = bounds().filter_map(|(of_low, low)| {
        let (of_high, high) = bounds().find(|(_, high)| low.is_below(*high))?;
        Some((Telling::Range, vec![Place { under: Under::Range(low, high), known: vec![of_low, of_high] }]))
    });
    let best = each.chain(ranges).min_by_key(|(telling, _)| *telling);
    best.unwrap_or_else(|| (Telling::Nothing, vec![Place { under: Under::Nothing, known: Vec::new() }]))
}

/// The same of one conjunct; `None`: it tells nothing.
fn places_of(conjunct: &Expression) -> Option<(Telling, Vec<Place<'_>>)> {
    let known = || vec![conjunct];
    if let Some(asked) = AskedFor::by(conjunct) {
        let place = |value| Place { under: Under::Value(asked.path, value), known: Vec::new() };
        return Some((Telling::Value, asked.values().iter().map(place).collect()));
    }
    if let Some(asked) = texts::AskedFor::by(conjunct) {
        let known = if asked.is_all { known() } else { Vec::new() };
        return Some((Telling::Literals, vec![Place { under: Under::Literals(asked), known }]));
    }
    if let Some(asked) = networks::AskedFor::by(conjunct) {
        return Some((Telling::Network, vec![Place { under: Under::Network(asked), known: known() }]));
    }
    if let Expression::Or(alternatives) = conjunct {
        let each: Vec<_> = alternatives.iter().map(|alternative| places(&alternative.conjuncts())).collect();
        let worst = each.iter().map(|(telling, _)| *telling).max()?;
        let telling = if worst <= Telling::Alternatives { Telling::Alternatives } else { Telling::Thresholds };
        let under = each.into_iter().flat_map(|(_, places)| places).map(|place| Place { known: Vec::new(), ..place });
        return (worst != Telling::Nothing).then(|| (telling, under.collect()));
    }
    let asked = thresholds::AskedFor::by(conjunct)?;
    Some((Telling::Threshold, vec![Place { under: Under::Threshold(asked), known: known() }]))
}

/// A conjunct of what is filed, with what has to be found out of it but once: its bit may be filed in a hundred thousand places, and it may ask for as many values.
pub(super) struct Conjunct<'a> {
    pub(super) expression: &'a Expression,
    asked: Option<AskedFor<'a>>,
    /// Its number among the atoms, once it was asked for.
    pub(super) atom: Cell<Option<u32>>,
}

impl<'a> Conjunct<'a> {
    pub(super) fn of_each(expressions: &[&'a Expression]) -> Vec<Self> {
        expressions.iter().map(|expression| Self { expression, asked: AskedFor::by(expression), atom: Cell::new(None) }).collect()
    }
}

/// Of the conjuncts, those that still have to be asked of an event that was found there; `None` if one of them does not hold then.
pub(super) fn left_to_ask<'c, 'a>(conjuncts: &'c [Conjunct<'a>], place: &Place<'_>) -> Option<Vec<&'c Conjunct<'a>>> {
    let mut left = Vec::new();
    for conjunct in conjuncts {
        match (&conjunct.asked, &place.under) {
            (Some(asked), Under::Value(field, value)) if asked.path == *field => {
                if !asked.for_value(value) {
                    return None;
                }
            }
            _ if place.known.iter().any(|known| std::ptr::eq(*known, conjunct.expression)) => {}
            _ => left.push(conjunct),
        }
    }
    Some(left)
}

/// Whole numbers that a float holds exactly: beyond, being equal depends on the type.
const EXACT_MAX: i64 = 1 << 53;

pub(super) fn whole_number(value: &Value) -> Option<i64> {
    let exact = |number: &i64| (-EXACT_MAX..=EXACT_MAX).contains(number);
    match value {
        Value::Int(number) => Some(*number),
        Value::Decimal(number) if number.fract().is_zero() => number.to_i64(),
        Value::Float(number) if number.fract() == 0.0 => number.to_i64(),
        _ => None,
    }
    .filter(exact)
}

/// What a conjunct asks a field to be: one of some values, all of which can be filed.
struct AskedFor<'a> {
    path: &'a FieldPath,
    values: OneOf<'a>,
}

enum OneOf<'a> {
    One(&'a Value),
    Several(&'a Among),
}

impl<'a> AskedFor<'a> {
    /// `None`: the conjunct is something else. Cost: a look at each of the values.
    fn by(conjunct: &'a Expression) -> Option<Self> {
        let (path, values) = match conjunct {
            Expression::Among { item, among } => match &**item {
                Expression::Field(path) => (path, OneOf::Several(among)),
                _ => return None,
            },
            other => match other.compares_with_constant()? {
                (Comparison::Equal, path, value) => (path, OneOf::One(value)),
                _ => return None,
            },
        };
        let can_be_filed = |value: &Value| matches!(value, Value::Text(_)) || whole_number(value).is_some();
        let asked = Self { path, values };
        asked.values().iter().all(can_be_filed).then_some(asked)
    }

    fn values(&self) -> &'a [Value] {
        match self.values {
            OneOf::One(value) => std::slice::from_ref(value),
            OneOf::Several(among) => among.values(),
        }
    }

    /// Whether it is one of them, or filed in the same place. Of values that can be filed those are that are equal.
    fn for_value(&self, value: &Value) -> bool {
        match self.values {
            OneOf::One(one) => equal(one, value),
            OneOf::Several(among) => among.has(value),
        }
    }
}
