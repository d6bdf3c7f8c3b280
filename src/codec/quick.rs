//! Values in the spellings that most records have, read in one go.
//!
//! [`read`] looks at the text from the value's first byte on, puts the value in its place and says how many bytes it takes; `None` where the value is
//! spelt otherwise, at fault or no JSON at all. That is then for the long way to say, which takes the value's text first and reads it after. Where
//! both give a value it is the same. A record takes half the time so.

use rust_decimal::Decimal;

use crate::codec::scalar;
use crate::codec::scan::plain_length;
use crate::event::{Type, Value};

/// `into` is left as it is where nothing is read. (Handing the value back instead costs a fifth of the whole: it is stored in parts and loaded at once.)
pub(super) fn read(text: &str, r#type: &Type, into: &mut Value) -> Option<usize> {
    match r#type {
        Type::Int => {
            let number = Digits::read(text.as_bytes()).filter(|number| number.places == 0)?;
            *into = Value::Int(number.signed());
            Some(number.length)
        }
        Type::Float => {
            let number = Digits::read(text.as_bytes())?;
            *into = Value::Float(number.float()?);
            Some(number.length)
        }
        Type::Decimal => {
            let number = Digits::read(text.as_bytes())?;
            *into = Value::Decimal(Decimal::new(number.signed(), number.places));
            Some(number.length)
        }
        Type::String => {
            let content = plain(text)?;
            *into = Value::text(content);
            Some(content.len() + 2)
        }
        Type::Timestamp => {
            let content = plain(text)?;
            *into = Value::Timestamp(scalar::utc_time(content.as_bytes())?);
            Some(content.len() + 2)
        }
        Type::Bool | Type::Duration | Type::List(_) | Type::Record(_) => None,
    }
}

/// A string without escapes.
fn plain(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?;
    let length = plain_length(inside.as_bytes());
    (inside.as_bytes().get(length) == Some(&b'"')).then(|| &inside[..length])
}

/// A number without an exponent, of as many digits as surely fit into 64 bits.
struct Digits {
    is_negative: bool,
    /// All digits, as if there were no point among them.
    mantissa: i64,
    /// Digits after the point.
    places: u32,
    /// Of the whole number, in bytes.
    length: usize,
}

impl Digits {
    const MAX: usize = 18;

    fn read(text: &[u8]) -> Option<Self> {
        let is_negative = text.first() == Some(&b'-');
        let start = usize::from(is_negative);
        let (mut mantissa, mut at, mut point) = (0_i64, start, None);
        // The digits, one point, and the byte after them.
        for &byte in text.get(start..)?.iter().take(Self::MAX + 2) {
            match byte {
                b'0'..=b'9' => mantissa = mantissa.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
                b'.' if point.is_none() => point = Some(at),
                _ => break,
            }
            at += 1;
        }
        let whole = point.unwrap_or(at) - start;
        let places = point.map_or(0, |point| at - point - 1);
        let ends = !matches!(text.get(at), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
        let is_number = ends && whole > 0 && (whole == 1 || text[start] != b'0') && (point.is_none() || places > 0) && whole + places <= Self::MAX;
        is_number.then(|| Self { is_negative, mantissa, places: u32::try_from(places).expect("few"), length: at })
    }

    fn signed(&self) -> i64 {
        if self.is_negative { -self.mantissa } else { self.mantissa }
    }

    /// The nearest float. Both numbers are floats exactly, so that their quotient is rounded once.
    fn float(&self) -> Option<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, r#type: &Type) -> Option<(Value, usize)> {
        let mut value = Value::Null;
        let length = read(text, r#type, &mut value)?;
        Some((value, length))
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
            for after in [",", "}", " ", "]", "x", ""] {
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
    fn what_is_spelt_otherwise_is_left_to_the_long_way() {
        for text in
            ["", "-", "-,", ".5", "5.", "5.,", "01", "-01", "1e3", "1.5E3", "1.2.3", "1234567890123456789", "0.1234567890123456789", "null", "+1", "\"1\""]
        {
            for r#type in [Type::Int, Type::Float, Type::Decimal] {
                assert_eq!(value(text, &r#type), None, "{text} as {type:?}");
            }
        }
        for text in ["\"", "\"abc", "\"a\\n\"", "\"a\nb\"", "x", ""] {
            assert_eq!(value(text, &Type::String), None, "{text}");
        }
        assert_eq!(value("\"ä\",", &Type::String), Some((Value::text("ä"), 4)));
    }
}
