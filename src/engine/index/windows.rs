//! Which patterns' first events the windows of a key allow: by what they compare a window with, in the order of that, so that of a thousand patterns that ask for a count to be exceeded those are
//! found for which it is.

use std::cell::Cell;

use crate::engine::logs::ViewOf;
use crate::event::Value;
use crate::pattern::{Comparison, Expression, WindowId, Windows, order};

/// A comparison of a window with a constant.
#[derive(Clone, Debug)]
pub(in crate::engine) struct AskedOfWindow {
    pub window: WindowId,
    comparison: Comparison,
    value: Value,
}

/// What patterns ask of one view of a log.
#[derive(Debug)]
pub(in crate::engine) struct AskedOfView {
    pub view: ViewOf,
    /// That of the log.
    pub table: usize,
    asked: Vec<Asked>,
    /// What the view is where the log has nothing, and the patterns for which what they ask holds then: a key has few of many logs.
    nothing: Value,
    found_of_nothing: Vec<u32>,
}

/// All that ask by the same comparison, the numbers ascending.
#[derive(Debug)]
struct Asked {
    comparison: Comparison,
    /// A number, and a pattern.
    numbers: Vec<(Value, u32)>,
}

impl AskedOfWindow {
    /// `None`: the conjunct is something else.
    pub(in crate::engine) fn by(conjunct: &Expression) -> Option<Self> {
        let Expression::Compare { comparison, left, right } = conjunct else { return None };
        let (window, comparison, value) = match (&**left, &**right) {
            (Expression::Window(window), Expression::Constant(value)) => (window, *comparison, value),
            (Expression::Constant(value), Expression::Window(window)) => (window, comparison.turned(), value),
            _ => return None,
        };
        Some(Self { window: *window, comparison, value: value.clone() })
    }

    pub(in crate::engine) fn holds(&self, windows: &impl Windows, faults: &Cell<u64>) -> bool {
        self.comparison.holds(&windows.value(self.window, faults), &self.value)
    }

    /// Whether those for which it holds can be found by a number. (The order of floats, rounded, is not that of other numbers.)
    pub(super) fn may_be_filed(&self) -> bool {
        matches!(self.value, Value::Int(_) | Value::Decimal(_)) && self.comparison != Comparison::NotEqual
    }
}

impl AskedOfView {
    /// `nothing`: what the view is where the log has nothing.
    pub(super) fn of(view: ViewOf, table: usize, nothing: Value) -> Self {
        Self { view, table, asked: Vec::new(), nothing, found_of_nothing: Vec::new() }
    }

    /// The pattern asks that, which [may be filed](AskedOfWindow::may_be_filed).
    pub(super) fn add(&mut self, AskedOfWindow { comparison, value, .. }: &AskedOfWindow, pattern: u32) {
        let comparison = *comparison;
        let place = self.asked.iter().position(|known| known.comparison == comparison).unwrap_or_else(|| {
            self.asked.push(Asked { comparison, numbers: Vec::new() });
            self.asked.len() - 1
        });
        let numbers = &mut self.asked[place].numbers;
        let at = numbers.partition_point(|(known, _)| order(known, value).is_some_and(std::cmp::Ordering::is_le));
        numbers.insert(at, (value.clone(), pattern));
        if comparison.holds(&self.nothing, value) {
            self.found_of_nothing.push(pattern);
        }
    }

    /// The patterns for which it holds, where the view's answer is this. Cost: that of those that are found, beside a search by halves.
    pub(in crate::engine) fn found(&self, answer: &Value) -> impl Iterator<Item = u32> {
        self.asked.iter().flat_map(|asked| asked.found(answer)).map(|(_, pattern)| *pattern)
    }

    /// The same where the log has nothing, without a search.
    pub(in crate::engine) fn found_of_nothing(&self) -> &[u32] {
        &self.found_of_nothing
    }
}

impl Asked {
    fn found(&self, answer: &Value) -> &[(Value, u32)] {
        // Numbers in the order of the language, with which all comparisons agree; null has none.
        let before = |is: fn(std::cmp::Ordering) -> bool| self.numbers.partition_point(|(number, _)| order(number, answer).is_some_and(is));
        let (below, up_to) = (before(std::cmp::Ordering::is_lt), before(std::cmp::Ordering::is_le));
        match self.comparison {
            _ if answer.is_null() => &[],
            Comparison::Greater => &self.numbers[..below],
            Comparison::GreaterOrEqual => &self.numbers[..up_to],
            Comparison::Equal => &self.numbers[below..up_to],
            Comparison::LessOrEqual => &self.numbers[below..],
            Comparison::Less => &self.numbers[up_to..],
            Comparison::NotEqual => unreachable!("it is not filed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn those_are_found_for_which_the_comparison_holds() {
        let decimal = |digits: i64| Value::Decimal(Decimal::new(digits, 1));
        let numbers = [Value::Int(3), decimal(30), Value::Int(-1), decimal(25), Value::Int(i64::MAX), Value::Int(i64::MAX - 1), Value::Int(3), decimal(-10)];
        let comparisons = [Comparison::Greater, Comparison::GreaterOrEqual, Comparison::Equal, Comparison::LessOrEqual, Comparison::Less];
        let asked = || numbers.iter().flat_map(|value| comparisons.map(|comparison| AskedOfWindow { window: WindowId(0), comparison, value: value.clone() }));
        let view_of = |nothing: &Value| {
            let mut view = AskedOfView::of(ViewOf { log: 0, view: 0 }, 0, nothing.clone());
            (0..).zip(asked()).for_each(|(pattern, asked)| view.add(&asked, pattern));
            view
        };
        let view = view_of(&Value::Null);
        let answers = [2.5, 3.0, -1.0, 9.3e18].map(Value::Float);
        for answer in answers.iter().chain(&numbers).chain(&[Value::Int(4), Value::Null]) {
            let mut found: Vec<u32> = view.found(answer).collect();
            found.sort_unstable();
            let hold = (0..).zip(asked()).filter(|(_, asked)| asked.comparison.holds(answer, &asked.value));
            assert_eq!(found, hold.map(|(pattern, _)| pattern).collect::<Vec<u32>>(), "{answer:?}");
            assert_eq!(view_of(answer).found_of_nothing(), found, "{answer:?}, of nothing");
        }
    }
}
