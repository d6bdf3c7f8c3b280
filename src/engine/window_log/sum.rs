//! Sums that run along, and equal those that are made from the oldest value to the newest one to the digit.
//!
//! What adding on the way could do, a sum made otherwise must know of. Whole numbers and durations may overflow on the way: never where all above zero and all below zero add up to what fits,
//! each by themselves, and always at the end where there are only ones of the same side that do not.
//!
//! Decimals have digits after the point, and a sum has as many as the value with the most: but a sum that is zero on the way forgets its own, since adding to zero gives the other as it is.
//! With values of one side that is so only before the first that is not zero. With both sides it may be anywhere; then the walk goes back from the newest value until one has the most digits, or until
//! what is before it adds up to zero. In most data that is a step or two; it is all of the view where values of the most digits are rare. Nothing is rounded on the way where the magnitudes add
//! up to what a decimal holds.

use std::cell::Cell;

use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::event::{TimeSpan, Value};
use crate::pattern::DECIMAL_END;

#[derive(Clone, Default, Debug)]
pub(super) struct Sum {
    values: usize,
    /// How many of them are of another kind than those that are added up: floats, which no running sum adds as a walk does.
    others: usize,
    parts: Option<Parts>,
}

/// Of values of one kind, which fields have.
#[derive(Clone, Debug)]
enum Parts {
    Whole(Sides),
    Spans(Sides),
    Decimals {
        /// The last that came.
        last: Decimal,
        /// Those that are not zero, by the number of their digits after the point; each is there at least once.
        by_scale: SmallVec<[OfScale; 1]>,
    },
}

/// What is above zero and what is below, added up apart. They cannot overflow: values have 96 bits at most, and a log fewer than 2^31.
#[derive(Clone, Copy, Default, Debug)]
struct Sides {
    above: i128,
    below: i128,
}

#[derive(Clone, Debug)]
struct OfScale {
    scale: u32,
    values: usize,
    sides: Sides,
}

impl Sum {
    /// Not of null, which is no value.
    pub(super) fn add(&mut self, value: &Value) {
        self.values += 1;
        if self.parts.is_none() {
            self.parts = Parts::of_kind(value);
        }
        match (&mut self.parts, value) {
            (Some(Parts::Whole(sides)), Value::Int(value)) => sides.add(i128::from(*value)),
            (Some(Parts::Spans(sides)), Value::Duration(span)) => sides.add(i128::from(span.micros())),
            (Some(Parts::Decimals { last, by_scale }), Value::Decimal(value)) => {
                *last = *value;
                if value.is_zero() {
                    return;
                }
                let place = by_scale.iter().position(|of| of.scale == value.scale()).unwrap_or_else(|| {
                    by_scale.push(OfScale { scale: value.scale(), values: 0, sides: Sides::default() });
                    by_scale.len() - 1
                });
                by_scale[place].values += 1;
                by_scale[place].sides.add(value.mantissa());
            }
            _ => self.others += 1,
        }
    }

    /// Of one that was added.
    pub(super) fn remove(&mut self, value: &Value) {
        self.values -= 1;
        match (&mut self.parts, value) {
            (Some(Parts::Whole(sides)), Value::Int(value)) => sides.remove(i128::from(*value)),
            (Some(Parts::Spans(sides)), Value::Duration(span)) => sides.remove(i128::from(span.micros())),
            (Some(Parts::Decimals { by_scale, .. }), Value::Decimal(value)) => {
                if value.is_zero() {
                    return;
                }
                let place = by_scale.iter().position(|of| of.scale == value.scale()).expect("what is removed was added");
                by_scale[place].values -= 1;
                by_scale[place].sides.remove(value.mantissa());
                if by_scale[place].values == 0 {
                    by_scale.swap_remove(place);
                }
            }
            _ => self.others -= 1,
        }
    }

    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// `None`: only a walk can tell.
    pub(super) fn total<'a>(&self, newest_first: impl Iterator<Item = &'a Value>, faults: &Cell<u64>) -> Option<Value> {
        if self.values == 0 {
            return Some(Value::Int(0));
        }
        if self.others > 0 {
            return None;
        }
        match self.parts.as_ref()? {
            Parts::Whole(sides) => sides.whole(faults).map(|total| total.map_or(Value::Null, Value::Int)),
            Parts::Spans(sides) => sides.whole(faults).map(|total| total.map_or(Value::Null, |micros| Value::Duration(TimeSpan::from_micros(micros)))),
            Parts::Decimals { last, by_scale } => total_of_decimals(*last, by_scale, newest_first).map(Value::Decimal),
        }
    }
}

impl Parts {
    fn of_kind(value: &Value) -> Option<Self> {
        match value {
            Value::Int(_) => Some(Self::Whole(Sides::default())),
            Value::Duration(_) => Some(Self::Spans(Sides::default())),
            Value::Decimal(last) => Some(Self::Decimals { last: *last, by_scale: SmallVec::new() }),
            _ => None,
        }
    }
}

impl Sides {
    fn add(&mut self, value: i128) {
        *(if value < 0 { &mut self.below } else { &mut self.above }) += value;
    }

    fn remove(&mut self, value: i128) {
        *(if value < 0 { &mut self.below } else { &mut self.above }) -= value;
    }

    /// `None`: only a walk can tell. Within: `None` where it does not fit, which is counted.
    fn whole(self, faults: &Cell<u64>) -> Option<Option<i64>> {
        let (fits_above, fits_below) = (i64::try_from(self.above).is_ok(), i64::try_from(self.below).is_ok());
        if fits_above && fits_below {
            return Some(i64::try_from(self.above + self.below).ok());
        }
        (self.above == 0 || self.below == 0).then(|| {
            faults.set(faults.get() + 1);
            None
        })
    }
}

fn total_of_decimals<'a>(last: Decimal, by_scale: &[OfScale], newest_first: impl Iterator<Item = &'a Value>) -> Option<Decimal> {
    // All are zero: the sum is always the other.
    let Some(most) = by_scale.iter().map(|of| of.scale).max() else { return Some(last) };
    let power = |scale: u32| 10_i128.pow(most - scale);
    let add_side = |side: fn(&OfScale) -> i128| by_scale.iter().try_fold(0_i128, |total, of| side(of).checked_mul(power(of.scale))?.checked_add(total));
    let (above, below) = (add_side(|of| of.sides.above)?, add_side(|of| of.sides.below)?);
    if above.checked_sub(below)?.unsigned_abs() >= DECIMAL_END {
        return None;
    }
    let total = above + below;
    if total == 0 && last.is_zero() {
        return Some(last);
    }
    let mut scale = most;
    if above != 0 && below != 0 {
        let mut after = 0;
        scale = 0;
        let decimals = newest_first.filter_map(|value| if let Value::Decimal(value) = value { Some(*value) } else { None });
        for value in decimals.filter(|value| !value.is_zero()) {
            scale = scale.max(value.scale());
            after += value.mantissa() * power(value.scale());
            if scale == most || after == total {
                break;
            }
        }
    }
    Some(Decimal::from_i128_with_scale(total / power(scale), scale))
}
