//! The key that a line of events shares, as bytes whose order is the order of the values.
//!
//! Each value is a tag and an encoding that compares bytewise like the value itself: numbers that the language calls equal (`1`, `1.0`,
//! `1.00`) have equal bytes. Text ends in two zero bytes, with a zero inside written as `0 1`, so that no key is the beginning of another.

use rust_decimal::Decimal;

use crate::event::Value;

/// The encoded values of a key; compares like the values, one after the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Key(Box<[u8]>);

impl Key {
    /// `None` where a value is null: an event with null in its key stands in no line.
    pub fn encode<'a>(values: impl IntoIterator<Item = &'a Value>, scratch: &mut Vec<u8>) -> Option<Self> {
        scratch.clear();
        for value in values {
            if !push(value, scratch) {
                return None;
            }
        }
        Some(Self(scratch.as_slice().into()))
    }

    /// Appends one value to the bytes of a key; `false` where it is null, and the bytes are then of no use.
    #[inline]
    pub fn push(value: &Value, out: &mut Vec<u8>) -> bool {
        push(value, out)
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A map that is keyed by [`Key`] can be asked with the bytes alone, so that looking up allocates nothing.
impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Appends one value to a key's bytes; `false` where it is null.
#[inline]
pub(super) fn push(value: &Value, out: &mut Vec<u8>) -> bool {
    // By itself, as most keys are of these: what the others need takes a third of the time of making such a key.
    if let Value::Int(value) = value {
        push_int(*value, out);
    } else if let Value::Text(text) = value {
        push_text(text, out);
    } else {
        return push_other(value, out);
    }
    true
}

#[inline(never)]
fn push_other(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => return false,
        Value::Bool(value) => out.extend([1, u8::from(*value)]),
        Value::Int(value) => push_int(*value, out),
        Value::Decimal(value) => push_number(*value, out),
        Value::Float(value) => {
            out.push(3);
            // Minus zero is zero; then flip so that bytes compare like the numbers.
            let bits = if *value == 0.0 { 0 } else { value.to_bits() };
            let flipped = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            out.extend(flipped.to_be_bytes());
        }
        Value::Text(text) => push_text(text, out),
        Value::Timestamp(time) => push_i64(5, time.micros(), out),
        Value::Duration(span) => push_i64(6, span.micros(), out),
        Value::List(values) | Value::Record(values) => {
            out.push(7);
            for value in values.iter() {
                out.push(1);
                if !push(value, out) {
                    out.push(0);
                }
            }
            out.push(0);
        }
    }
    true
}

#[inline(never)]
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(4);
    push_escaped(text.as_bytes(), out);
    out.extend([0, 0]);
}

fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    if !has_zero(text) {
        return out.extend_from_slice(text);
    }
    let mut rest = text;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(1);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
}

/// Eight bytes at a time: keys are mostly short, and byte by byte this would be a third of what making one costs.
fn has_zero(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let zero_in = |eight: &[u8; 8]| {
        let eight = u64::from_le_bytes(*eight);
        eight.wrapping_sub(ONES) & !eight & (ONES * 0x80) != 0
    };
    match text.last_chunk() {
        Some(last) => zero_in(last) || text.as_chunks().0.iter().any(zero_in),
        None => text.contains(&0),
    }
}

fn push_i64(tag: u8, value: i64, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(value.cast_unsigned().wrapping_add(1 << 63).to_be_bytes());
}

fn push_number(value: Decimal, out: &mut Vec<u8>) {
    let floor = value.floor();
    let whole = floor.trunc().mantissa() / 10_i128.pow(floor.scale());
    let fraction = value - floor;
    push_parts(whole, fraction.mantissa() * 10_i128.pow(28 - fraction.scale()), out);
}

/// As [`push_parts`] writes it, without a detour through 128 bits.
#[inline]
fn push_int(value: i64, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    let leading = magnitude.leading_zeros() / 8;
    let length = u64::BITS / 8 - leading;
    let below_zero = value < 0;
    let digits = if below_zero { !magnitude } else { magnitude };
    let first = if below_zero { 127 - length } else { 128 + length };
    // Put together as one number and written at once, then cut: copying a number of bytes that the compiler does not know costs a call, and reading together what was written
    // byte by byte waits until all of it is.
    let highest_first = digits.checked_shl(8 * leading).unwrap_or(0).swap_bytes();
    let bytes = (u128::from(highest_first) << 16 | u128::from(first) << 8 | 2).to_le_bytes();
    out.extend_from_slice(&bytes);
    out.truncate(out.len() + 2 + length as usize + 1 - bytes.len());
}

/// Whole part and fraction are written apart. The whole part: 128 and the number of its bytes, or 127 less it below zero; then the bytes, the highest first, inverted
/// below zero. The fraction: 0 if there is none, else 1 and its 28 digits as 12 bytes.
fn push_parts(floor: i128, fraction: i128, out: &mut Vec<u8>) {
    out.push(2);
    let bytes = floor.unsigned_abs().to_be_bytes();
    let leading = (floor.unsigned_abs().leading_zeros() / 8) as usize;
    let length = u8::try_from(bytes.len() - leading).expect("16 bytes at most");
    if floor < 0 {
        out.push(127 - length);
        out.extend(bytes[leading..].iter().map(|byte| !byte));
    } else {
        out.push(128 + length);
        out.extend_from_slice(&bytes[leading..]);
    }
    if fraction == 0 {
        out.push(0);
    } else {
        out.push(1);
        out.extend_from_slice(&fraction.to_be_bytes()[4..]);
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn bytes(value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(push(&value, &mut out));
        out
    }

    #[test]
    fn bytes_compare_like_the_numbers() {
        let texts = [
            "-79228162514264337593543950335",
            "-256",
            "-255",
            "-10",
            "-1.5",
            "-1",
            "-0.0000001",
            "0",
            "0.1",
            "0.11",
            "1",
            "1.5",
            "2",
            "10",
            "255",
            "255.5",
            "256",
            "79228162514264337593543950335",
        ];
        for pair in texts.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|text| bytes(Value::Decimal(Decimal::from_str(text).expect(text))));
            assert!(low < high, "{pair:?}");
        }
        let floats = [-1e300, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1e300];
        assert!(floats.windows(2).all(|pair| bytes(Value::Float(pair[0])) < bytes(Value::Float(pair[1]))));
    }

    #[test]
    fn whole_numbers_are_written_the_same_either_way() {
        let powers = (0..63).flat_map(|power| [(1_i64 << power) - 1, 1 << power, -(1 << power)]);
        for number in powers.chain([0, i64::MAX, i64::MIN]) {
            assert_eq!(bytes(Value::Int(number)), bytes(Value::Decimal(Decimal::from(number))), "{number}");
        }
    }

    #[test]
    fn equal_numbers_have_equal_bytes() {
        let one = bytes(Value::Int(1));
        for text in ["1", "1.0", "1.000"] {
            assert_eq!(bytes(Value::Decimal(Decimal::from_str(text).expect(text))), one);
        }
        assert_eq!(bytes(Value::Float(-0.0)), bytes(Value::Float(0.0)));
    }

    #[test]
    fn a_zero_is_found_wherever_it_stands() {
        for length in 0..40 {
            for other in [1, 0x7f, 0x80, 0xff] {
                let mut text = vec![other; length];
                assert!(!has_zero(&text));
                for place in 0..length {
                    text[place] = 0;
                    assert!(has_zero(&text), "{text:?}");
                    text[place] = other;
                }
            }
        }
    }

    #[test]
    fn no_text_is_the_beginning_of_another() {
        let texts = ["", "\0", "\0\u{1}", "a", "a\0", "a\0b", "ab", "b"];
        for pair in texts.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|text| bytes(Value::text(text)));
            assert!(low < high && !high.starts_with(&low), "{pair:?}");
        }
    }
}
