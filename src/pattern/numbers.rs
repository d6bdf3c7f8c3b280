//! Numbers and order: what is equal, what is less, what sums are.
//!
//! `int` and `decimal` mix exactly; `int` and `float` mix as float. Decimals have 28 significant digits and round half to even. Floats are always
//! finite: what would not be is a fault. Times and durations add up as one would expect.

use std::cell::Cell;
use std::cmp::Ordering;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::event::{EventTime, TimeSpan, Value};
use crate::pattern::{Arithmetic, Comparison, decimals};

/// Null, and counted.
pub(super) fn fault(faults: &Cell<u64>) -> Value {
    faults.set(faults.get() + 1);
    Value::Null
}

/// False where either is null or they cannot be compared.
pub(super) fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::NotEqual => !left.is_null() && !right.is_null() && !equal(left, right),
        Comparison::Less => order(left, right) == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order(left, right), Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order(left, right) == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order(left, right), Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// What the language calls equal; false with null, but equal inside of lists and records.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Text(left), Value::Text(right)) => left.as_str() == right.as_str(),
        (Value::List(left), Value::List(right)) | (Value::Record(left), Value::Record(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| (left.is_null() && right.is_null()) || equal(left, right))
        }
        _ => order(left, right) == Some(Ordering::Equal),
    }
}

/// `None` where there is no order between them.
pub fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Float(left), right) => left.partial_cmp(&float(right)?),
        (left, Value::Float(right)) => float(left)?.partial_cmp(right),
        (left, right) => Some(order_exact(decimal(left)?, decimal(right)?)),
    }
}

/// Of few digits, which most numbers have, the order shows in whole numbers of the finer unit.
#[inline]
fn order_exact(left: Decimal, right: Decimal) -> Ordering {
    /// Of ten: times any of them, a number of 32 bits fits into 64.
    const POWERS: [i64; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
    let places = left.scale().max(right.scale());
    let in_units = |number: Decimal| {
        let power = POWERS.get((places - number.scale()) as usize)?;
        i32::try_from(number.mantissa()).ok().map(|digits| i64::from(digits) * power)
    };
    match (in_units(left), in_units(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(&right),
    }
}

/// Null where either is, and where the result does not fit, which is counted as a fault.
pub fn calculate(operation: Arithmetic, left: &Value, right: &Value, faults: &Cell<u64>) -> Value {
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    let result = match (left, right) {
        (Value::Int(left), Value::Int(right)) => whole(operation, *left, *right),
        (Value::Float(_), _) | (_, Value::Float(_)) => float(left).zip(float(right)).and_then(|(left, right)| floating(operation, left, right)),
        (Value::Timestamp(_) | Value::Duration(_), _) | (_, Value::Timestamp(_) | Value::Duration(_)) => timely(operation, left, right),
        _ => decimal(left).zip(decimal(right)).and_then(|(left, right)| exact(operation, left, right)),
    };
    result.unwrap_or_else(|| fault(faults))
}

pub(super) fn negate(value: &Value, faults: &Cell<u64>) -> Value {
    match value {
        Value::Int(value) => value.checked_neg().map_or_else(|| fault(faults), Value::Int),
        Value::Decimal(value) => Value::Decimal(-*value),
        Value::Float(value) => Value::Float(-*value),
        Value::Duration(span) => span.micros().checked_neg().map_or_else(|| fault(faults), |micros| Value::Duration(TimeSpan::from_micros(micros))),
        _ => Value::Null,
    }
}

/// A number as a float; the nearest one.
pub fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Decimal(value) => decimals::to_float(*value),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// An exact number as a decimal.
pub(super) fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}

/// `int / int` is a decimal.
fn whole(operation: Arithmetic, left: i64, right: i64) -> Option<Value> {
    match operation {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Remainder => remainder(left, right),
        Arithmetic::Divide => return exact(operation, Decimal::from(left), Decimal::from(right)),
    }
    .map(Value::Int)
}

/// Of -2^63 and -1 it is 0, though the quotient does not fit.
fn remainder(left: i64, right: i64) -> Option<i64> {
    (right != 0).then(|| left.wrapping_rem(right))
}

fn exact(operation: Arithmetic, left: Decimal, right: Decimal) -> Option<Value> {
    match operation {
        Arithmetic::Add => decimals::add(left, right),
        Arithmetic::Subtract => decimals::subtract(left, right),
        Arithmetic::Multiply => decimals::multiply(left, right),
        Arithmetic::Divide => decimals::divide(left, right),
        Arithmetic::Remainder => decimals::remainder(left, right),
    }
    .map(Value::Decimal)
}

fn floating(operation: Arithmetic, left: f64, right: f64) -> Option<Value> {
    let result = match operation {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    };
    result.is_finite().then_some(Value::Float(result))
}

/// Times and durations; a duration times or over a number is one, over another it is a number.
fn timely(operation: Arithmetic, left: &Value, right: &Value) -> Option<Value> {
    let span = |micros: i64| Value::Duration(TimeSpan::from_micros(micros));
    let time = |micros: i64| Value::Timestamp(EventTime::from_micros(micros));
    match (operation, left, right) {
        (Arithmetic::Subtract, Value::Timestamp(left), Value::Timestamp(right)) => left.micros().checked_sub(right.micros()).map(span),
        (Arithmetic::Add, Value::Timestamp(left), Value::Duration(right)) | (Arithmetic::Add, Value::Duration(right), Value::Timestamp(left)) => {
            left.micros().checked_add(right.micros()).map(time)
        }
        (Arithmetic::Subtract, Value::Timestamp(left), Value::Duration(right)) => left.micros().checked_sub(right.micros()).map(time),
        (Arithmetic::Add, Value::Duration(left), Value::Duration(right)) => left.micros().checked_add(right.micros()).map(span),
        (Arithmetic::Subtract, Value::Duration(left), Value::Duration(right)) => left.micros().checked_sub(right.micros()).map(span),
        (Arithmetic::Remainder, Value::Duration(left), Value::Duration(right)) => remainder(left.micros(), right.micros()).map(span),
        (Arithmetic::Divide, Value::Duration(left), Value::Duration(right)) => {
            exact(Arithmetic::Divide, Decimal::from(left.micros()), Decimal::from(right.micros()))
        }
        (Arithmetic::Multiply, Value::Duration(span), number) | (Arithmetic::Multiply, number, Value::Duration(span)) => scaled(operation, *span, number),
        (Arithmetic::Divide, Value::Duration(span), number) => scaled(operation, *span, number),
        _ => None,
    }
}

/// To the nearest microsecond, half to even.
fn scaled(operation: Arithmetic, span: TimeSpan, number: &Value) -> Option<Value> {
    let (micros, number) = (Decimal::from(span.micros()), decimal(number)?);
    let micros = if operation == Arithmetic::Divide { decimals::divide_to_whole(micros, number) } else { decimals::multiply_to_whole(micros, number) };
    micros?.to_i64().map(|micros| Value::Duration(TimeSpan::from_micros(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_orders_decimals_as_they_are() {
        let digits: [i128; 15] = [
            0,
            1,
            2,
            15,
            150,
            1_500_000,
            (1 << 31) - 1,
            1 << 31,
            1 << 62,
            1 << 63,
            1 << 64,
            (1 << 64) + 1,
            10_i128.pow(27),
            (1 << 96) - 1,
            79_228_162_514_264_337_593_543_950_335,
        ];
        let scales = [0, 1, 2, 3, 9, 10, 17, 18, 19, 20, 27, 28];
        let numbers: Vec<Decimal> =
            digits.iter().flat_map(|digits| [*digits, -digits]).flat_map(|digits| scales.map(|scale| Decimal::from_i128_with_scale(digits, scale))).collect();
        for left in &numbers {
            for right in &numbers {
                assert_eq!(order_exact(*left, *right), left.cmp(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn a_remainder_has_the_sign_of_what_is_divided_and_never_overflows() {
        let table =
            [(7, 3, Some(1)), (-7, 3, Some(-1)), (7, -3, Some(1)), (i64::MIN, -1, Some(0)), (i64::MIN, i64::MAX, Some(-1)), (1, 0, None), (i64::MIN, 0, None)];
        for (left, right, result) in table {
            let span = |micros| Value::Duration(TimeSpan::from_micros(micros));
            for of in [Value::Int, span, |number: i64| Value::Decimal(number.into())] {
                let faults = Cell::new(0);
                let found = calculate(Arithmetic::Remainder, &of(left), &of(right), &faults);
                assert!(result.map_or(found == Value::Null, |result| equal(&found, &of(result))), "{left} % {right} is {found:?}");
                assert_eq!(faults.get(), u64::from(result.is_none()), "{left} % {right}");
            }
        }
    }

    #[test]
    fn durations_are_scaled_to_the_nearest_microsecond() {
        let table = [
            // 10^-28 more than 185866.5, which would be lost if it was rounded to 28 digits on the way.
            (999_979, Arithmetic::Multiply, "0.1858704032784688478458047619", Some(185_867)),
            (371_733, Arithmetic::Multiply, "0.5", Some(185_866)),
            (1_000_003, Arithmetic::Divide, "2", Some(500_002)),
            (-3, Arithmetic::Divide, "2.0", Some(-2)),
            (1, Arithmetic::Divide, "0", None),
            (1, Arithmetic::Divide, "0.0000000000000000000000000001", None),
            (i64::MAX, Arithmetic::Multiply, "2", None),
        ];
        for (micros, operation, number, result) in table {
            let faults = Cell::new(0);
            let number = Value::Decimal(number.parse().expect("a number"));
            let found = calculate(operation, &Value::Duration(TimeSpan::from_micros(micros)), &number, &faults);
            assert_eq!(found, result.map_or(Value::Null, |micros| Value::Duration(TimeSpan::from_micros(micros))), "{micros} {operation:?} {number:?}");
            assert_eq!(faults.get(), u64::from(result.is_none()));
        }
    }
}
