//! Values in the spellings that most records have, read in one go.
//!
//! [`read`] stands before the value's first byte. Where the value is spelt otherwise, at fault or no JSON at all, that is for the long way to say, which takes the value's text
//! first and reads it after. Where both give a value it is the same. A record takes half the time so.

use rust_decimal::Decimal;

use crate::codec::scalar::{self, TimeUnit};
use crate::codec::scan::Scanner;
use crate::event::{Type, Value};

/// Passes over the value and puts it in its place; `false`: neither. (Handing the value back instead costs a fifth of the whole: it is stored in parts and loaded at once.)
#[inline]
pub(super) fn read(scanner: &mut Scanner<'_>, r#type: &Type, unit: TimeUnit, into: &mut Value) -> bool {
    read_some(scanner, r#type, unit, into).is_some()
}

#[inline]
fn read_some(scanner: &mut Scanner<'_>, r#type: &Type, unit: TimeUnit, into: &mut Value) -> Option<()> {
    match r#type {
        Type::Int => *into = Value::Int(Digits::whole(scanner)?),
        Type::Float => {
            let number = Digits::read(scanner.bytes())?;
            *into = Value::Float(number.float()?);
            scanner.pass(number.length);
        }
        Type::Decimal => {
            let number = Digits::read(scanner.bytes())?;
            *into = Value::Decimal(number.decimal());
            scanner.pass(number.length);
        }
        Type::String => *into = Value::text(scanner.take_plain_string()?),
        Type::Timestamp => {
            let start = scanner.clone();
            let time = match scanner.take_plain_string() {
                Some(text) => scalar::utc_time(text.as_bytes()),
                None => scalar::time_of_int(Digits::whole(scanner)?, unit).ok(),
            };
            match time {
                Some(time) => *into = Value::Timestamp(time),
                None => {
                    *scanner = start;
                    return None;
                }
            }
        }
        Type::Bool | Type::Duration | Type::List(_) | Type::Record(_) => return None,
    }
    Some(())
}

/// A number without an exponent, of as many digits as surely fit into 64 bits.
pub(super) struct Digits {
    is_negative: bool,
    /// All digits, as if there were no point among them.
    mantissa: i64,
    /// Digits after the point.
    places: u32,
    /// Of the whole number, in bytes.
    pub(super) length: usize,
}

impl Digits {
    const MAX: usize = 18;

    /// Passes over a number without a point.
    pub(super) fn whole(scanner: &mut Scanner<'_>) -> Option<i64> {
        let number = Self::read(scanner.bytes())?;
        let value = number.int()?;
        scanner.pass(number.length);
        Some(value)
    }

    /// Always inlined: handed over in memory, it would be waited for.
    #[inline(always)]
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let is_negative = text.first() == Some(&b'-');
        let start = usize::from(is_negative);
        let Self { mantissa, places, length, .. } = match text.get(start..start + 8).and_then(<[u8]>::first_chunk) {
            Some(eight) if let Some(number) = Self::within_eight(u64::from_le_bytes(*eight)) => number,
            _ => Self::of_any_length(&text[start..])?,
        };
        Some(Self { is_negative, mantissa, places, length: start + length })
    }

    /// A number that ends before the last of these bytes, the first of them lowest. `None`: it is longer, or no number. There is no loop, whose end the processor would mostly
    /// guess wrongly: that took a twelfth of a record of three numbers among twelve fields.
    #[inline(always)]
    fn within_eight(eight: u64) -> Option<Self> {
        let values = eight ^ (ONES * u64::from(b'0'));
        let others = (((values & !HIGHS) + ONES * (0x80 - 10)) | values) & HIGHS;
        let whole = others.trailing_zeros() / 8;
        let byte = |place: u32| (eight >> (8 * place)) as u8;
        if others == 0 || whole == 0 || (whole > 1 && byte(0) == b'0') {
            return None;
        }
        let (mut digits, mut length, mut count, mut places) = (values, whole, whole, 0);
        if byte(whole) == b'.' {
            let behind = others & (others - 1);
            length = behind.trailing_zeros() / 8;
            (count, places) = (length - 1, length - 1 - whole);
            if behind == 0 || places == 0 {
                return None;
            }
            let before_point = (1 << (8 * whole)) - 1;
            digits = (values & before_point) | ((values >> 8) & !before_point);
        }
        let is_end = !matches!(byte(length), b'.' | b'e' | b'E');
        let mantissa = number_of_eight(digits << (64 - 8 * count)).cast_signed();
        is_end.then_some(Self { is_negative: false, mantissa, places, length: length as usize })
    }

    #[inline(never)]
    fn of_any_length(text: &[u8]) -> Option<Self> {
        let (mut mantissa, mut at, mut places) = (0, 0, 0);
        pass_digits(text, &mut at, &mut mantissa);
        let whole = at;
        if text.get(at) == Some(&b'.') {
            at += 1;
            let point = at;
            pass_digits(text, &mut at, &mut mantissa);
            places = at - point;
            if places == 0 {
                return None;
            }
        }
        let ends = !matches!(text.get(at), Some(b'.' | b'e' | b'E'));
        let is_number = ends && whole > 0 && (whole == 1 || text[0] != b'0') && whole + places <= Self::MAX;
        is_number.then_some(Self { is_negative: false, mantissa, places: places as u32, length: at })
    }

    fn signed(&self) -> i64 {
        if self.is_negative { -self.mantissa } else { self.mantissa }
    }

    /// `None`: it is written with a point.
    pub(super) fn int(&self) -> Option<i64> {
        (self.places == 0).then(|| self.signed())
    }

    pub(super) fn decimal(&self) -> Decimal {
        Decimal::new(self.signed(), self.places)
    }

    /// The nearest float. Both numbers are floats exactly, so that their quotient is rounded once.
    pub(super) fn float(&self) -> Option<f64> {
        const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        const EXACT_MAX: i64 = 1 << 53;
        let power = POWERS.get(self.places as usize)?;
        if self.mantissa > EXACT_MAX {
            return None;
        }
        let number = self.mantissa as f64 / power;
        Some(if self.is_negative { -number } else { number })
    }
}

/// Appends the digits that come next to a number. Of more than 18 digits the number is wrong.
#[inline]
fn pass_digits(text: &[u8], at: &mut usize, number: &mut i64) {
    while let Some(digit) = text.get(*at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        *number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        *at += 1;
    }
}

const ONES: u64 = u64::MAX / 0xff;
const HIGHS: u64 = ONES * 0x80;

/// The number whose digits are these bytes, the first of them lowest: neighbours are put together, then pairs, then fours.
#[inline]
fn number_of_eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value, and how many bytes it takes.
    fn value(text: &str, r#type: &Type) -> Option<(Value, usize)> {
        let (mut value, mut scanner) = (Value::Null, Scanner::new(text));
        let is_read = read(&mut scanner, r#type, TimeUnit::Millis, &mut value);
        let length = text.len() - scanner.bytes().len();
        assert!(is_read || (value.is_null() && length == 0), "{text}");
        is_read.then_some((value, length))
    }

    #[test]
    fn numbers_are_those_that_the_long_way_reads() {
        let texts = [
            "0",
            "-0",
            "7",
            "-7",
            "10",
            "1.50",
            "-0.10",
            "0.0",
            "52.2241",
            "-21.0119",
            "123456789012345678",
            "0.123456789012345",
            "9007199254740993",
            "9.007199254740993",
        ];
        for text in texts {
            for after in [",", "}", " ", "]", "x", "", ",\"more\":1}"] {
                let spelt = format!("{text}{after}");
                let found = |r#type: &Type| value(&spelt, r#type).map(|(value, length)| (value, &spelt[..length]));
                assert_eq!(found(&Type::Decimal), scalar::decimal(text).ok().map(|number| (Value::Decimal(number), text)), "{spelt}");
                assert_eq!(found(&Type::Int), scalar::int(text).ok().map(|number| (Value::Int(number), text)), "{spelt}");
                if let Some((Value::Float(number), length)) = value(&spelt, &Type::Float) {
                    assert_eq!((number.to_bits(), &spelt[..length]), (scalar::float(text).expect("a float").to_bits(), text));
                }
            }
        }
        assert!(value("0.1,", &Type::Float).is_some(), "the short way is taken");
    }

    #[test]
    fn digits_may_be_as_many_as_there_are_on_either_side_of_the_point() {
        for whole in 0..=9 {
            for places in 0..=9 {
                for (sign, point) in [("", "."), ("-", "."), ("", "")] {
                    let text = format!("{sign}{}{point}{}", &"120456789"[..whole], &"098765432"[..places]);
                    let long = scalar::decimal(&text).ok().map(|number| (Value::Decimal(number), text.len()));
                    for after in [",\"more\":1}", "}", ""] {
                        assert_eq!(value(&format!("{text}{after}"), &Type::Decimal), long, "{text}{after}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_spelt_otherwise_is_left_to_the_long_way() {
        for text in
            ["", "-", "-,", ".5", "5.", "5.,", "01", "-01", "1e3", "1.5E3", "1.2.3", "1234567890123456789", "0.1234567890123456789", "null", "+1", "\"1\""]
        {
            for r#type in [Type::Int, Type::Float, Type::Decimal, Type::Timestamp] {
                assert_eq!(value(text, &r#type), None, "{text} as {type:?}");
                assert_eq!(value(&format!("{text},\"more\":1"), &r#type), None, "{text} and more as {type:?}");
            }
        }
        for text in ["\"", "\"abc", "\"a\\n\"", "\"a\nb\"", "x", ""] {
            assert_eq!(value(text, &Type::String), None, "{text}");
            assert_eq!(value(text, &Type::Timestamp), None, "{text}");
        }
        assert_eq!(value("\"ä\",", &Type::String), Some((Value::text("ä"), 4)));
    }
}
