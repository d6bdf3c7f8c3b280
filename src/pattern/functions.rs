//! The functions of the language, and the aggregates over what a step has chosen.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use crate::event::Value;
use crate::pattern::{Aggregate, Arithmetic, Function, decimals, numbers};
use ipnet::IpNet;

/// The mean radius of the earth in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Null where an argument is; for text predicates false.
pub(super) fn call(function: Function, arguments: &[Cow<'_, Value>], faults: &Cell<u64>) -> Value {
    let predicate = matches!(function, Function::Contains | Function::StartsWith | Function::EndsWith);
    if arguments.iter().any(|argument| argument.is_null()) {
        return if predicate { Value::Bool(false) } else { Value::Null };
    }
    match (function, arguments) {
        (Function::Distance, [..]) => distance(arguments).unwrap_or_else(|| numbers::fault(faults)),
        (_, [one]) => of_one(function, one, faults),
        (_, [text, part]) => match (&**text, &**part) {
            (Value::Text(text), Value::Text(part)) => Value::Bool(match function {
                Function::Contains => text.contains(&**part),
                Function::StartsWith => text.starts_with(&**part),
                Function::EndsWith => text.ends_with(&**part),
                _ => unreachable!("the checker counts arguments"),
            }),
            _ => Value::Null,
        },
        _ => unreachable!("the checker counts arguments"),
    }
}

fn of_one(function: Function, value: &Value, faults: &Cell<u64>) -> Value {
    match (function, value) {
        (Function::Lower, Value::Text(text)) => Value::text(&text.to_lowercase()),
        (Function::Upper, Value::Text(text)) => Value::text(&text.to_uppercase()),
        (Function::Length, Value::Text(text)) => Value::Int(text.chars().count() as i64),
        (Function::Length, Value::List(values)) => Value::Int(values.len() as i64),
        (Function::Absolute, Value::Int(value)) => value.checked_abs().map_or_else(|| numbers::fault(faults), Value::Int),
        (Function::Absolute, Value::Decimal(value)) => Value::Decimal(value.abs()),
        (Function::Absolute, Value::Float(value)) => Value::Float(value.abs()),
        (Function::Absolute, Value::Duration(span)) if span.micros() < 0 => numbers::negate(value, faults),
        (Function::Absolute, Value::Duration(_)) => value.clone(),
        (Function::Round | Function::Floor | Function::Ceiling, Value::Int(_)) => value.clone(),
        (Function::Round, Value::Decimal(value)) => Value::Decimal(value.round()),
        (Function::Floor, Value::Decimal(value)) => Value::Decimal(value.floor()),
        (Function::Ceiling, Value::Decimal(value)) => Value::Decimal(value.ceil()),
        (Function::Round, Value::Float(value)) => Value::Float(value.round_ties_even()),
        (Function::Floor, Value::Float(value)) => Value::Float(value.floor()),
        (Function::Ceiling, Value::Float(value)) => Value::Float(value.ceil()),
        (Function::Float, value) => numbers::float(value).map_or_else(|| numbers::fault(faults), Value::Float),
        (Function::Decimal, Value::Float(value)) => decimals::of_float(*value).map_or_else(|| numbers::fault(faults), Value::Decimal),
        (Function::Decimal, value) => numbers::decimal(value).map_or_else(|| numbers::fault(faults), Value::Decimal),
        _ => Value::Null,
    }
}

/// Along the great circle (haversine formula), in metres.
fn distance(arguments: &[Cow<'_, Value>]) -> Option<Value> {
    let [lat_a, lon_a, lat_b, lon_b] = arguments else { return None };
    let radians = |value: &Value| numbers::float(value).map(f64::to_radians);
    let (lat_a, lon_a, lat_b, lon_b) = (radians(lat_a)?, radians(lon_a)?, radians(lat_b)?, radians(lon_b)?);
    let square = |value: f64| value * value;
    let chord = square(((lat_b - lat_a) / 2.0).sin()) + lat_a.cos() * lat_b.cos() * square(((lon_b - lon_a) / 2.0).sin());
    let metres = 2.0 * EARTH_RADIUS_M * chord.sqrt().min(1.0).asin();
    metres.is_finite().then_some(Value::Float(metres))
}

/// The address that a text is; `None`: it is none.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// False where the text is no address.
pub(super) fn in_network(text: &str, network: &IpNet) -> bool {
    address(text).is_some_and(|address| network.contains(&address))
}

/// Over values that are not null, in the order taken.
pub(super) fn aggregate(aggregate: Aggregate, values: Vec<Value>, faults: &Cell<u64>) -> Value {
    match aggregate {
        Aggregate::Sum => sum(&values, faults),
        Aggregate::Average => average(&sum(&values, faults), values.len(), faults),
        Aggregate::Least => extreme(values, Ordering::Less),
        Aggregate::Most => extreme(values, Ordering::Greater),
        Aggregate::Distinct => {
            let mut different: Vec<Value> = Vec::new();
            for value in values {
                if !different.iter().any(|known| numbers::equal(known, &value)) {
                    different.push(value);
                }
            }
            Value::Int(different.len() as i64)
        }
        Aggregate::Collect => Value::List(values.into()),
    }
}

/// Of so many values with that sum; of nothing it is null.
pub fn average(sum: &Value, values: usize, faults: &Cell<u64>) -> Value {
    if values == 0 { Value::Null } else { numbers::calculate(Arithmetic::Divide, sum, &Value::Int(values as i64), faults) }
}

/// Begins with the first value, since durations add up as well. Of nothing it is 0.
fn sum(values: &[Value], faults: &Cell<u64>) -> Value {
    let Some((first, rest)) = values.split_first() else { return Value::Int(0) };
    rest.iter().fold(first.clone(), |sum, value| numbers::calculate(Arithmetic::Add, &sum, value, faults))
}

/// The first of the least, or of the most.
fn extreme(values: Vec<Value>, wanted: Ordering) -> Value {
    let better = |value: &Value, best: &Value| numbers::order(value, best) == Some(wanted);
    values.into_iter().reduce(|best, value| if better(&value, &best) { value } else { best }).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use rust_decimal::prelude::ToPrimitive;

    use super::*;

    #[test]
    fn places_on_the_equator_a_degree_apart_are_111_km_apart() {
        let degrees = [0.0, 0.0, 0.0, 1.0].map(|value| Cow::Owned(Value::Float(value)));
        let metres = call(Function::Distance, &degrees, &Cell::new(0));
        assert!(matches!(metres, Value::Float(metres) if (metres - 111_195.08).abs() < 0.01), "{metres:?}");
    }

    #[test]
    fn averages_of_whole_numbers_are_exact() {
        let faults = Cell::new(0);
        let average = aggregate(Aggregate::Average, vec![Value::Int(1), Value::Int(2)], &faults);
        assert!(matches!(average, Value::Decimal(value) if value.to_f64() == Some(1.5)));
        assert_eq!(aggregate(Aggregate::Average, Vec::new(), &faults), Value::Null);
        assert_eq!((aggregate(Aggregate::Sum, Vec::new(), &faults), faults.get()), (Value::Int(0), 0));
    }
}
