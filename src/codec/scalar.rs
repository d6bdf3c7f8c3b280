//! Numbers, times and lengths of time, from the text of a JSON value.

use rust_decimal::Decimal;

use crate::event::{EventTime, TimeSpan};

/// The unit of timestamps that are whole numbers, counted from 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimeUnit {
    Seconds,
    #[default]
    Millis,
    Micros,
    Nanos,
}

/// Why a text is not the value that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    /// Nothing of that kind.
    Other,
    /// It would be, if fewer digits sufficed.
    TooLarge,
}

/// Significant digits of a decimal, and its places after the point, at most.
const DECIMAL_DIGITS_MAX: u32 = 28;

/// The first instant of the year 0 and the first after the year 9999, in microseconds since 1970: outside of them RFC 3339 has no text for a time.
const FIRST_MICROS: i64 = -62_167_219_200_000_000;
const END_MICROS: i64 = 253_402_300_800_000_000;

/// A whole number: digits with or without a minus sign.
pub(super) fn int(text: &str) -> Result<i64, Unfit> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unfit::Other);
    }
    text.parse().map_err(|_| Unfit::TooLarge)
}

/// A JSON number, as the nearest float.
pub(super) fn float(text: &str) -> Result<f64, Unfit> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(Unfit::Other);
    }
    let number: f64 = text.parse().map_err(|_| Unfit::Other)?;
    if number.is_finite() { Ok(number) } else { Err(Unfit::TooLarge) }
}

/// A number in JSON's spelling, digit by digit: `1.50` keeps its two places, `1.5e3` is 1500.
pub(super) fn decimal(text: &str) -> Result<Decimal, Unfit> {
    let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent_of(exponent)?),
        None => (rest, 0),
    };
    let (whole, places) = match number.split_once('.') {
        Some((_, "")) => return Err(Unfit::Other),
        Some(parts) => parts,
        None => (number, ""),
    };
    let has_needless_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || has_needless_zero || !whole.bytes().chain(places.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(Unfit::Other);
    }
    let mut mantissa = 0_i128;
    for digit in whole.bytes().chain(places.bytes()) {
        mantissa = mantissa * 10 + i128::from(digit - b'0');
        if mantissa >= 10_i128.pow(DECIMAL_DIGITS_MAX) {
            return Err(Unfit::TooLarge);
        }
    }
    let scale = i64::try_from(places.len()).unwrap_or(i64::MAX).saturating_sub(exponent);
    scaled(if is_negative { -mantissa } else { mantissa }, scale)
}

fn exponent_of(text: &str) -> Result<i64, Unfit> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unfit::Other);
    }
    let amount = digits.parse().unwrap_or(i64::MAX);
    Ok(if text.starts_with('-') { -amount } else { amount })
}

/// `mantissa` of at most 28 digits, divided by 10 as often as `scale` says.
fn scaled(mantissa: i128, scale: i64) -> Result<Decimal, Unfit> {
    let limit = 10_i128.pow(DECIMAL_DIGITS_MAX);
    let (mantissa, scale) = if mantissa == 0 {
        (0, scale.clamp(0, i64::from(DECIMAL_DIGITS_MAX)))
    } else if scale < 0 {
        let power = u32::try_from(-scale).ok().filter(|power| *power < DECIMAL_DIGITS_MAX).ok_or(Unfit::TooLarge)?;
        let raised = mantissa.checked_mul(10_i128.pow(power)).filter(|raised| raised.abs() < limit);
        (raised.ok_or(Unfit::TooLarge)?, 0)
    } else {
        (mantissa, scale)
    };
    let scale = u32::try_from(scale).map_err(|_| Unfit::TooLarge)?;
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| Unfit::TooLarge)
}

/// A whole number of units since 1970. Digits below the microsecond are cut off, towards the past.
pub(super) fn time_of_number(text: &str, unit: TimeUnit) -> Result<EventTime, Unfit> {
    time_of_int(int(text)?, unit)
}

pub(super) fn time_of_int(number: i64, unit: TimeUnit) -> Result<EventTime, Unfit> {
    let micros = match unit {
        TimeUnit::Seconds => number.checked_mul(1_000_000),
        TimeUnit::Millis => number.checked_mul(1_000),
        TimeUnit::Micros => Some(number),
        TimeUnit::Nanos => Some(number.div_euclid(1_000)),
    };
    in_calendar(micros.ok_or(Unfit::TooLarge)?)
}

/// RFC 3339.
pub(super) fn time_of_text(text: &str) -> Result<EventTime, Unfit> {
    if let Some(time) = utc_time(text.as_bytes()) {
        return Ok(time);
    }
    in_calendar(EventTime::parse_rfc3339(text).ok_or(Unfit::Other)?.micros())
}

fn in_calendar(micros: i64) -> Result<EventTime, Unfit> {
    if (FIRST_MICROS..END_MICROS).contains(&micros) { Ok(EventTime::from_micros(micros)) } else { Err(Unfit::TooLarge) }
}

/// A time as most logs write it. `None`: spelt otherwise, or wrong.
pub(super) fn utc_time(text: &[u8]) -> Option<EventTime> {
    in_calendar(utc_micros(text)?).ok()
}

/// `2026-11-24T10:01:00Z`, with up to nine digits after the second. `None`: spelt otherwise, or wrong.
fn utc_micros(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    if [head[4], head[7], head[10], head[13], head[16]] != *b"--T::" {
        return None;
    }
    let mut all_digits = true;
    let mut pair = |place: usize| {
        let [tens, ones] = [head[place], head[place + 1]].map(|byte| byte.wrapping_sub(b'0'));
        all_digits &= tens < 10 && ones < 10;
        i64::from(tens) * 10 + i64::from(ones)
    };
    let (year, month, day) = (pair(0) * 100 + pair(2), pair(5), pair(8));
    let (hour, minute, second) = (pair(11), pair(14), pair(17));
    let fraction = fraction_and_zone(tail)?;
    // Leap seconds are left to the calendar's own reader.
    if !all_digits || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days_from_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

/// What follows the minute of such a time: `:09.119Z`.
pub(super) fn micros_in_minute(text: &[u8]) -> Option<i64> {
    let [b':', tens, ones, tail @ ..] = text else { return None };
    let [tens, ones] = [tens, ones].map(|byte| byte.wrapping_sub(b'0'));
    let fraction = fraction_and_zone(tail)?;
    (tens < 6 && ones < 10).then(|| i64::from(tens * 10 + ones) * 1_000_000 + fraction)
}

/// Of `:09.119Z`, without a loop.
#[inline]
pub(super) fn micros_of_millis(text: &[u8; 8]) -> Option<i64> {
    const FORM: u64 = u64::from_le_bytes(*b":00.000Z");
    const DIGITS: u64 = u64::from_le_bytes([0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0]);
    const ONES: u64 = u64::MAX / 0xff;
    // Each byte less that of the form: a digit's value, and else 0.
    let differs = u64::from_le_bytes(*text) ^ FORM;
    let above_nine = (differs & !(ONES * 0x80)) + ONES * (0x80 - 10);
    if differs & !DIGITS != 0 || (above_nine | differs) & (ONES * 0x80) != 0 {
        return None;
    }
    let digit = |place: u32| (differs >> (8 * place) & 0xff).cast_signed();
    let (seconds, millis) = (digit(1) * 10 + digit(2), (digit(4) * 10 + digit(5)) * 10 + digit(6));
    (seconds < 60).then_some(seconds * 1_000_000 + millis * 1_000)
}

fn fraction_and_zone(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" => Some(0),
        [b'.', digits @ .., b'Z'] => fraction_micros(digits),
        _ => None,
    }
}

fn fraction_micros(digits: &[u8]) -> Option<i64> {
    /// What the last digit that counts stands for, by how many there are.
    const UNITS: [i64; 7] = [0, 100_000, 10_000, 1_000, 100, 10, 1];
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let counted = &digits[..digits.len().min(6)];
    Some(counted.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0')) * UNITS[counted.len()])
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the year, by the rule of leap years, then before the month, then in it.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const BEFORE_1970: i64 = 719_528;
    // Leap years among 0 … year - 1; year 0 is one.
    let leap_years = if year == 0 { 0 } else { (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 };
    let place = usize::try_from(month - 1).expect("months were checked");
    let leap_day = i64::from(month > 2 && is_leap(year));
    year * 365 + leap_years + BEFORE_MONTH[place] + leap_day + day - 1 - BEFORE_1970
}

/// A length of time as the language writes it; also none (`0s`) and, with a minus sign before it, a negative one.
pub(super) fn span_of_text(text: &str) -> Result<TimeSpan, Unfit> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    TimeSpan::parse(rest).map(|span| TimeSpan::from_micros(sign * span.micros())).ok_or(Unfit::Other)
}

/// A whole number of milliseconds.
pub(super) fn span_of_number(text: &str) -> Result<TimeSpan, Unfit> {
    int(text)?.checked_mul(1_000).map(TimeSpan::from_micros).ok_or(Unfit::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        for (text, shown) in [
            ("0", "0"),
            ("-0", "0"),
            ("1.50", "1.50"),
            ("-0.10", "-0.10"),
            ("1.5e3", "1500"),
            ("1e-3", "0.001"),
            ("1.50E+1", "15.0"),
            ("9999999999999999999999999999", "9999999999999999999999999999"),
            ("0.0000000000000000000000000001", "0.0000000000000000000000000001"),
            ("0e99999999999999999999", "0"),
        ] {
            assert_eq!(decimal(text).map(|number| number.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_or_too_large_is_refused() {
        for text in ["", "-", ".5", "5.", "+1", "01", "1e", "1e+", "0x10", " 1", "1 ", "NaN", "1_000", "1.2.3", "1e5e5", "--1", "1.-2"] {
            assert_eq!(decimal(text), Err(Unfit::Other), "{text}");
        }
        for text in ["10000000000000000000000000000", "1.0000000000000000000000000000", "1e28", "1e-29", "1e99999999999999999999", "1e-99999999999999999999"] {
            assert_eq!(decimal(text), Err(Unfit::TooLarge), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_no_point_and_64_bits() {
        assert_eq!([int("0"), int("-0"), int("-9223372036854775808")], [Ok(0), Ok(0), Ok(i64::MIN)]);
        for text in ["1.0", "1e3", "", "-", "true", "\"1\""] {
            assert_eq!(int(text), Err(Unfit::Other), "{text}");
        }
        assert_eq!(int("9223372036854775808"), Err(Unfit::TooLarge));
    }

    #[test]
    fn the_short_way_to_read_a_time_agrees_with_the_calendar() {
        for year in (0..=9999).step_by(13).chain([0, 1, 4, 100, 400, 1900, 1969, 1970, 1972, 2000, 2024, 2100, 9999]) {
            for (month, day) in [(1, 1), (1, 31), (2, 28), (2, 29), (3, 1), (4, 30), (4, 31), (12, 31), (13, 1), (0, 1), (5, 0)] {
                for tail in
                    ["00:00:00Z", "23:59:59.999999Z", "12:30:45.5Z", "07:08:09.123456789Z", "24:00:00Z", "10:60:00Z", "10:00:00.Z", "10:00:00.1234567890Z"]
                {
                    let text = format!("{year:04}-{month:02}-{day:02}T{tail}");
                    let expected = EventTime::parse_rfc3339(&text);
                    assert_eq!(time_of_text(&text).ok(), expected, "{text}");
                    if tail.len() < 20 && expected.is_some() {
                        assert_eq!(utc_micros(text.as_bytes()), expected.map(EventTime::micros), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_form_that_most_times_have_is_read_as_any_other() {
        let usual = *b":09.119Z";
        assert_eq!(micros_of_millis(&usual), Some(9_119_000));
        for place in 0..usual.len() {
            for byte in 0..=u8::MAX {
                let mut text = usual;
                text[place] = byte;
                let (short, long) = (micros_of_millis(&text), micros_in_minute(&text));
                // What is written as milliseconds is read; what is read at all is read alike.
                let is_usual = text.iter().zip(usual).all(|(found, usual)| *found == usual || (found.is_ascii_digit() && usual.is_ascii_digit()));
                assert_eq!(short, long.filter(|_| is_usual), "{}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn times_stay_within_the_calendar() {
        assert_eq!(time_of_text("0000-01-01T00:00:00Z").map(EventTime::micros), Ok(FIRST_MICROS));
        assert_eq!(time_of_text("9999-12-31T23:59:59.999999Z").map(EventTime::micros), Ok(END_MICROS - 1));
        for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            assert_eq!(time_of_text(text), Err(Unfit::TooLarge), "{text}");
        }
        for text in ["", "yesterday", "2026-11-24", "2026-11-24T10:00:00", "20261124T100000Z", "2026-11-24T10:00:00Z "] {
            assert_eq!(time_of_text(text), Err(Unfit::Other), "{text}");
        }
        for (text, unit, micros) in [
            ("1", TimeUnit::Seconds, 1_000_000),
            ("1", TimeUnit::Millis, 1_000),
            ("-1", TimeUnit::Micros, -1),
            ("1999", TimeUnit::Nanos, 1),
            ("-1", TimeUnit::Nanos, -1),
        ] {
            assert_eq!(time_of_number(text, unit).map(EventTime::micros), Ok(micros), "{text} {unit:?}");
        }
        assert_eq!(time_of_number("1790000000000000", TimeUnit::Millis), Err(Unfit::TooLarge));
        assert_eq!(time_of_number("9223372036854775807", TimeUnit::Seconds), Err(Unfit::TooLarge));
        assert_eq!(time_of_number("1.5", TimeUnit::Seconds), Err(Unfit::Other));
    }
}
