//! What an expression is worth, given the event at hand and what a run has chosen before it.
//!
//! Two-valued: a condition holds or not; every comparison with null is false. What cannot be calculated (overflow, division by zero, a place out of range)
//! is null and counted as a fault. Comparing fields with constants neither copies nor allocates.

use std::borrow::Cow;
use std::cell::Cell;

use chrono::{Datelike, Timelike};

use crate::event::{Fields, StreamId, Value};
use crate::pattern::{Aggregate, Comparison, Condition, Expression, FieldPath, NoWindows, Occurrence, StepId, Windows, functions, numbers};

/// The events that a run has chosen so far, by their fields: nothing else of them is asked for.
pub trait Chosen {
    /// The step's event at this place, counted from its first.
    fn nth(&self, step: StepId, place: usize) -> Option<Fields<'_>>;
    /// The same, counted back from its last.
    fn nth_last(&self, step: StepId, place: usize) -> Option<Fields<'_>>;
    fn count(&self, step: StepId) -> usize;
    /// All of the step's events, in the order taken.
    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(Fields<'_>));

    /// What the aggregate over a field of them is, where that is known without a look at each. Counts what could not be calculated.
    fn made(&self, _: Aggregate, _: StepId, _: &FieldPath, _: &Cell<u64>) -> Option<Value> {
        None
    }
}

/// Where nothing has been chosen.
#[derive(Clone, Copy, Debug)]
pub struct NothingChosen;

impl Chosen for NothingChosen {
    fn nth(&self, _: StepId, _: usize) -> Option<Fields<'_>> {
        None
    }

    fn nth_last(&self, _: StepId, _: usize) -> Option<Fields<'_>> {
        None
    }

    fn count(&self, _: StepId) -> usize {
        0
    }

    fn for_each(&self, _: StepId, _: &mut dyn FnMut(Fields<'_>)) {}
}

/// What an expression may look at.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Those of the event at hand; `None` in `emit`.
    pub fields: Option<Fields<'a>>,
    pub chosen: &'a dyn Chosen,
    pub moment: Moment<'a>,
}

impl<'a> Scope<'a> {
    /// Nothing but the event with these fields.
    pub fn of_event(fields: Fields<'a>, faults: &'a Cell<u64>) -> Self {
        Self { fields: Some(fields), chosen: &NothingChosen, moment: Moment::plain(faults) }
    }
}

/// What goes with an instant, whatever was chosen.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    pub windows: &'a dyn Windows,
    /// The sources, a bit each, as which the event at hand stands in the line.
    pub stands_as: u64,
    /// Counts what could not be calculated.
    pub faults: &'a Cell<u64>,
}

impl<'a> Moment<'a> {
    /// For expressions that ask for no window.
    pub fn plain(faults: &'a Cell<u64>) -> Self {
        Self { windows: &NoWindows, stands_as: u64::MAX, faults }
    }
}

const NULL: &Value = &Value::Null;

impl Condition {
    /// Whether an event of the stream fits.
    pub fn holds(&self, stream: StreamId, fields: Fields<'_>, chosen: &dyn Chosen, moment: Moment<'_>) -> bool {
        stream == self.stream
            && (self.stands_as == 0 || self.stands_as & moment.stands_as != 0)
            && self.expression.as_ref().is_none_or(|expression| expression.holds(&Scope { fields: Some(fields), chosen, moment }))
    }

    /// Whether it depends on what was chosen before.
    pub fn looks_back(&self) -> bool {
        self.expression.as_ref().is_some_and(Expression::looks_back)
    }

    /// The conjuncts that ask about the event alone, and the others, each in text order.
    pub fn conjuncts(&self) -> (Vec<&Expression>, Vec<&Expression>) {
        self.expression.iter().flat_map(Expression::conjuncts).partition(|conjunct| conjunct.asks_the_event_alone())
    }
}

impl Expression {
    /// True, and not null.
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.holds(scope)),
            Self::Or(any) => any.iter().any(|one| one.holds(scope)),
            Self::Not(operand) => !operand.holds(scope),
            Self::Compare { comparison, left, right } => match (left.at_hand(scope), right.at_hand(scope)) {
                (Some(left), Some(right)) => comparison.holds(left, right),
                _ => comparison.holds(&left.reference(scope), &right.reference(scope)),
            },
            Self::In { item, list } => {
                let (item, list) = (item.reference(scope), list.reference(scope));
                matches!(&*list, Value::List(values) if values.iter().any(|value| numbers::equal(&item, value)))
            }
            Self::Among { item, among } => match item.at_hand(scope) {
                Some(item) => among.has(item),
                None => among.has(&item.reference(scope)),
            },
            Self::IsNull(operand) => match operand.at_hand(scope) {
                Some(value) => value.is_null(),
                None => operand.reference(scope).is_null(),
            },
            Self::Matches { text, regex } => matches!(&*text.reference(scope), Value::Text(text) if regex.is_match(text)),
            Self::InNetwork { address, network } => {
                matches!(&*address.reference(scope), Value::Text(text) if functions::in_network(text, network))
            }
            other => matches!(*other.reference(scope), Value::Bool(true)),
        }
    }

    pub fn value(&self, scope: &Scope<'_>) -> Value {
        self.reference(scope).into_owned()
    }

    /// Whether it mentions what a step has chosen.
    pub fn looks_back(&self) -> bool {
        let mut found = false;
        self.visit(&mut |part| found |= matches!(part, Self::Chosen { .. } | Self::Count(_) | Self::Aggregate { .. }));
        found
    }

    /// Whether neither what was chosen before nor the key's recent events matter to it.
    pub fn asks_the_event_alone(&self) -> bool {
        let mut alone = true;
        self.visit(&mut |part| alone &= !matches!(part, Self::Chosen { .. } | Self::Count(_) | Self::Aggregate { .. } | Self::Window(_)));
        alone
    }

    /// Of a comparison of something about the event alone with something about events chosen before, found without a look at each: the comparison, as seen from the event, and the two.
    pub fn compares_with_chosen(&self) -> Option<(Comparison, &Self, &Self)> {
        let Self::Compare { comparison, left, right } = self else { return None };
        match (left.asks_the_event_alone(), right.asks_the_event_alone()) {
            (true, false) if right.asks_the_chosen_alone() => Some((*comparison, left, right)),
            (false, true) if left.asks_the_chosen_alone() => Some((comparison.turned(), right, left)),
            _ => None,
        }
    }

    /// Of `count(x) == 0 or …`: the step, and the rest, which decides once the step has chosen something.
    pub fn once_chosen(&self) -> Option<(StepId, &Self)> {
        let Self::Or(parts) = self else { return None };
        let step_of = |part: &Self| match part {
            Self::Compare { comparison: Comparison::Equal, left, right } => match (&**left, &**right) {
                (Self::Count(step), Self::Constant(Value::Int(0))) | (Self::Constant(Value::Int(0)), Self::Count(step)) => Some(*step),
                _ => None,
            },
            _ => None,
        };
        match parts.as_slice() {
            [one, other] => step_of(one).map(|step| (step, other)).or_else(|| step_of(other).map(|step| (step, one))),
            _ => None,
        }
    }

    /// Of a comparison of a field of the event at hand with a constant, whichever stands first: the comparison, as seen from the field, and the two.
    pub fn compares_with_constant(&self) -> Option<(Comparison, &FieldPath, &Value)> {
        let Self::Compare { comparison, left, right } = self else { return None };
        match (&**left, &**right) {
            (Self::Field(path), Self::Constant(value)) => Some((*comparison, path, value)),
            (Self::Constant(value), Self::Field(path)) => Some((comparison.turned(), path, value)),
            _ => None,
        }
    }

    /// The place of the field, if it is one of the event at hand, and no part of a record.
    pub fn whole_field(&self) -> Option<usize> {
        match self {
            Self::Field(path) if path.len() == 1 => Some(usize::from(path[0])),
            _ => None,
        }
    }

    /// Whether it is of events chosen before and of nothing else, and collects nothing of each.
    pub fn asks_the_chosen_alone(&self) -> bool {
        let mut alone = true;
        self.visit(&mut |part| alone &= !matches!(part, Self::Field(_) | Self::Aggregate { aggregate: Aggregate::Collect, .. } | Self::Window(_)));
        alone
    }

    /// What must hold, each by itself, for the whole to hold; in text order.
    pub fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(parts) => parts.iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// Calls `visit` with this expression and all of its parts, outermost first.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        visit(self);
        match self {
            Self::Constant(_) | Self::Field(_) | Self::Chosen { .. } | Self::Count(_) | Self::Aggregate { .. } | Self::Window(_) => {}
            Self::Not(one) | Self::IsNull(one) | Self::Negate(one) => one.visit(visit),
            Self::And(parts) | Self::Or(parts) | Self::Coalesce(parts) | Self::List(parts) | Self::Call { arguments: parts, .. } => {
                for part in parts {
                    part.visit(visit);
                }
            }
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.visit(visit);
                right.visit(visit);
            }
            Self::In { item, list } => {
                item.visit(visit);
                list.visit(visit);
            }
            Self::Among { item: one, .. }
            | Self::Element { list: one, .. }
            | Self::Part { record: one, .. }
            | Self::Matches { text: one, .. }
            | Self::InNetwork { address: one, .. }
            | Self::Hour { time: one, .. }
            | Self::Weekday { time: one, .. } => one.visit(visit),
            Self::If { condition, then, otherwise } => {
                condition.visit(visit);
                then.visit(visit);
                otherwise.visit(visit);
            }
        }
    }

    /// What it is worth where nothing has to be done for it, as with most that conditions compare.
    #[inline]
    fn at_hand<'a>(&'a self, scope: &Scope<'a>) -> Option<&'a Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Field(path) => Some(scope.fields.map_or(NULL, |fields| at_path(fields, path))),
            _ => None,
        }
    }

    /// What it is worth; copied only where it is calculated.
    #[inline]
    pub fn reference<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Self::Constant(value) => Cow::Borrowed(value),
            Self::Field(path) => Cow::Borrowed(scope.fields.map_or(NULL, |fields| at_path(fields, path))),
            other => other.calculated(scope),
        }
    }

    fn calculated<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Self::Constant(value) => Cow::Borrowed(value),
            Self::Field(path) => Cow::Borrowed(scope.fields.map_or(NULL, |fields| at_path(fields, path))),
            Self::Chosen { step, occurrence, path } => {
                let fields = match occurrence {
                    Occurrence::FromFirst(place) => scope.chosen.nth(*step, *place as usize),
                    Occurrence::FromLast(place) => scope.chosen.nth_last(*step, *place as usize),
                };
                Cow::Borrowed(fields.map_or(NULL, |fields| at_path(fields, path)))
            }
            Self::Count(step) => Cow::Owned(Value::Int(scope.chosen.count(*step) as i64)),
            Self::Aggregate { aggregate, step, path } => {
                let made = scope.chosen.made(*aggregate, *step, path, scope.moment.faults);
                Cow::Owned(made.unwrap_or_else(|| over_chosen(*aggregate, *step, path, scope)))
            }
            Self::Window(window) => Cow::Owned(scope.moment.windows.value(*window, scope.moment.faults)),
            Self::Arithmetic { operation, left, right } => {
                Cow::Owned(numbers::calculate(*operation, &left.reference(scope), &right.reference(scope), scope.moment.faults))
            }
            Self::Negate(operand) => Cow::Owned(numbers::negate(&operand.reference(scope), scope.moment.faults)),
            Self::Element { list, place } => Cow::Owned(element(&list.reference(scope), *place, scope.moment.faults)),
            Self::Part { record, place } => match &*record.reference(scope) {
                Value::Record(fields) => Cow::Owned(fields[usize::from(*place)].clone()),
                _ => Cow::Borrowed(NULL),
            },
            Self::List(parts) => Cow::Owned(Value::List(parts.iter().map(|part| part.value(scope)).collect())),
            Self::If { condition, then, otherwise } => {
                if condition.holds(scope) {
                    then.reference(scope)
                } else {
                    otherwise.reference(scope)
                }
            }
            Self::Coalesce(parts) => parts.iter().map(|part| part.reference(scope)).find(|value| !value.is_null()).unwrap_or(Cow::Borrowed(NULL)),
            Self::Hour { time, zone } => Cow::Owned(in_zone(&time.reference(scope), |time| i64::from(time.with_timezone(zone).hour()))),
            Self::Weekday { time, zone } => {
                Cow::Owned(in_zone(&time.reference(scope), |time| i64::from(time.with_timezone(zone).weekday().number_from_monday())))
            }
            Self::Call { function, arguments } => {
                let values: Vec<Cow<'_, Value>> = arguments.iter().map(|argument| argument.reference(scope)).collect();
                Cow::Owned(functions::call(*function, &values, scope.moment.faults))
            }
            Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Compare { .. }
            | Self::In { .. }
            | Self::Among { .. }
            | Self::IsNull(_)
            | Self::Matches { .. }
            | Self::InNetwork { .. } => Cow::Owned(Value::Bool(self.holds(scope))),
        }
    }
}

/// A field of an event, through records. Null where a record on the way is.
#[inline]
pub fn at_path<'a>(fields: Fields<'a>, path: &[u16]) -> &'a Value {
    let (first, rest) = path.split_first().expect("a field path is never empty");
    let mut value = fields.at(usize::from(*first));
    for place in rest {
        value = match value {
            Value::Record(fields) => &fields[usize::from(*place)],
            _ => NULL,
        };
    }
    value
}

fn element(list: &Value, place: i64, faults: &Cell<u64>) -> Value {
    let Value::List(values) = list else { return Value::Null };
    let from_first = if place < 0 { place + values.len() as i64 } else { place };
    let found = usize::try_from(from_first).ok().and_then(|place| values.get(place));
    found.cloned().unwrap_or_else(|| numbers::fault(faults))
}

fn in_zone(time: &Value, part: impl Fn(chrono::DateTime<chrono::Utc>) -> i64) -> Value {
    match time {
        Value::Timestamp(time) => time.to_utc().map_or(Value::Null, |time| Value::Int(part(time))),
        _ => Value::Null,
    }
}

/// Null values are passed over.
fn over_chosen(aggregate: Aggregate, step: StepId, path: &[u16], scope: &Scope<'_>) -> Value {
    let mut values = Vec::new();
    scope.chosen.for_each(step, &mut |fields| {
        let value = at_path(fields, path);
        if !value.is_null() {
            values.push(value.clone());
        }
    });
    functions::aggregate(aggregate, values, scope.moment.faults)
}
