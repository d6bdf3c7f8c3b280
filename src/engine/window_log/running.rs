//! What runs along with a view, and the walk where nothing does.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;

use crate::engine::window_log::Entries;
use crate::engine::window_log::occurrences::Occurrences;
use crate::engine::window_log::sum::Sum;
use crate::event::Value;
use crate::pattern::{Aggregate, Arithmetic, average, calculate, equal, order};

/// Of the entries from `begin` to before `end`, both of which only go forward.
#[derive(Clone, Debug)]
pub(super) struct Running {
    begin: u64,
    end: u64,
    made: Made,
}

#[derive(Clone, Debug)]
enum Made {
    Sum(Sum),
    /// The numbers of those that are the best (as `wanted` orders them) of what came since: the first is the best of all, and of equals the earliest.
    Best {
        wanted: Ordering,
        best: VecDeque<u64>,
    },
    Different(u64),
}

impl Running {
    /// Of nothing yet; not for `collect`, which has nothing that could run along.
    pub(super) fn new(aggregate: Aggregate, begin: u64) -> Self {
        Self { begin, end: begin, made: Made::new(aggregate) }
    }

    /// False if it has gone past that already.
    pub(super) fn advance(&mut self, to: Range<u64>, entries: Entries<'_>, occurrences: Option<&Occurrences>) -> bool {
        if to.start < self.begin || to.end < self.end {
            return false;
        }
        self.leave(to.start, entries, occurrences);
        for number in self.end..to.end {
            self.made.add(number, self.begin, entries, occurrences);
        }
        self.end = to.end;
        true
    }

    /// What is before `begin` is out.
    pub(super) fn leave(&mut self, begin: u64, entries: Entries<'_>, occurrences: Option<&Occurrences>) {
        for number in self.begin..begin.min(self.end) {
            self.made.remove(number, self.end, entries, occurrences);
        }
        self.begin = self.begin.max(begin);
        self.end = self.end.max(begin);
    }

    /// `None`: only a walk can tell.
    pub(super) fn answer(&self, aggregate: Aggregate, entries: Entries<'_>, faults: &Cell<u64>) -> Option<Value> {
        match &self.made {
            Made::Sum(sum) => {
                let newest_first = (self.begin..self.end).rev().map(|number| entries.value(number));
                let total = sum.total(newest_first, faults)?;
                Some(if aggregate == Aggregate::Average { average(&total, sum.values(), faults) } else { total })
            }
            Made::Best { best, .. } => Some(best.front().map_or(Value::Null, |number| entries.value(*number).clone())),
            Made::Different(different) => Some(Value::Int(*different as i64)),
        }
    }
}

impl Made {
    fn new(aggregate: Aggregate) -> Self {
        match aggregate {
            Aggregate::Sum | Aggregate::Average => Self::Sum(Sum::default()),
            Aggregate::Least => Self::Best { wanted: Ordering::Less, best: VecDeque::new() },
            Aggregate::Most => Self::Best { wanted: Ordering::Greater, best: VecDeque::new() },
            Aggregate::Distinct => Self::Different(0),
            Aggregate::Collect => unreachable!("nothing runs along that collects"),
        }
    }

    /// The entry comes to those from `begin` on.
    fn add(&mut self, number: u64, begin: u64, entries: Entries<'_>, occurrences: Option<&Occurrences>) {
        let value = entries.value(number);
        if value.is_null() {
            return;
        }
        match self {
            Self::Sum(sum) => sum.add(value),
            Self::Best { wanted, best } => {
                while best.back().is_some_and(|last| order(value, entries.value(*last)) == Some(*wanted)) {
                    best.pop_back();
                }
                best.push_back(number);
            }
            Self::Different(different) => {
                let occurrences = occurrences.expect("there are occurrences where different values are counted");
                *different += u64::from(occurrences.before(number).is_none_or(|before| before < begin));
            }
        }
    }

    /// The entry, the first of all, leaves those that are before `end`.
    fn remove(&mut self, number: u64, end: u64, entries: Entries<'_>, occurrences: Option<&Occurrences>) {
        let value = entries.value(number);
        if value.is_null() {
            return;
        }
        match self {
            Self::Sum(sum) => sum.remove(value),
            Self::Best { best, .. } => {
                if best.front() == Some(&number) {
                    best.pop_front();
                }
            }
            Self::Different(different) => {
                let occurrences = occurrences.expect("there are occurrences where different values are counted");
                *different -= u64::from(occurrences.after(number).is_none_or(|after| after >= end));
            }
        }
    }
}

/// As [`crate::pattern::Measure::of`] has it, without copying what is looked at.
pub(super) fn walk<'a>(aggregate: Aggregate, values: impl Iterator<Item = &'a Value> + Clone, faults: &Cell<u64>) -> Value {
    let values = values.filter(|value| !value.is_null());
    match aggregate {
        Aggregate::Sum => add_up(values, faults),
        Aggregate::Average => {
            let total = add_up(values.clone(), faults);
            average(&total, values.count(), faults)
        }
        Aggregate::Least => best(values, Ordering::Less),
        Aggregate::Most => best(values, Ordering::Greater),
        Aggregate::Distinct => {
            let is_new = |(place, value): &(usize, &Value)| !values.clone().take(*place).any(|known| equal(known, value));
            Value::Int(values.clone().enumerate().filter(is_new).count() as i64)
        }
        Aggregate::Collect => Value::List(values.cloned().collect()),
    }
}

/// From the first on; of nothing it is 0.
fn add_up<'a>(mut values: impl Iterator<Item = &'a Value> + Clone, faults: &Cell<u64>) -> Value {
    let Some(first) = values.next() else { return Value::Int(0) };
    // What fields are mostly of; and for floats a whole window is added up at each event. What is no longer finite stays so.
    let whole = |total: i64, value: &Value| if let Value::Int(value) = value { total.checked_add(*value) } else { None };
    let float = |total: f64, value: &Value| if let Value::Float(value) = value { Some(total + value) } else { None };
    let total = match first {
        Value::Int(first) => values.clone().try_fold(*first, whole).map(Value::Int),
        Value::Float(first) => values.clone().try_fold(*first, float).filter(|total| total.is_finite()).map(Value::Float),
        _ => None,
    };
    if let Some(total) = total {
        return total;
    }
    let add = |total: Value, value: &Value| Some(calculate(Arithmetic::Add, &total, value, faults)).filter(|total| !total.is_null());
    values.try_fold(first.clone(), add).unwrap_or(Value::Null)
}

/// The first of the least, or of the most.
fn best<'a>(values: impl Iterator<Item = &'a Value>, wanted: Ordering) -> Value {
    values.reduce(|best, value| if order(value, best) == Some(wanted) { value } else { best }).cloned().unwrap_or(Value::Null)
}
