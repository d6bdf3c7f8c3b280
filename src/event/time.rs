//! Time as events tell it and time as the machine tells it; the two share no arithmetic.
//!
//! Both are whole microseconds since 1970-01-01T00:00:00Z. Sums saturate: the ends of the range are the beginning and the end of time,
//! which no event can have.

use std::fmt;

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};

/// An instant of event time, in microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventTime(i64);

/// A length of time, in microseconds; may be negative where times are subtracted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimeSpan(i64);

/// An instant of the machine's wall clock, in microseconds since 1970. The core is told it and never asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessingTime(i64);

impl EventTime {
    /// Before every event: the watermark of a partition in which nothing has been seen.
    pub const BEGINNING: Self = Self(i64::MIN);
    /// After every event: the watermark at the end of a finite input.
    pub const END: Self = Self(i64::MAX);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// `None` where the instant lies outside of what 64 bits of microseconds hold.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000).map(Self)
    }

    /// RFC 3339 with any offset; digits beyond the microsecond are cut off. `None` where the text is no such time.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    pub const fn plus(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    pub const fn minus(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; negative where it is before.
    pub const fn since(self, earlier: Self) -> TimeSpan {
        TimeSpan(self.0.saturating_sub(earlier.0))
    }

    /// The calendar's view in UTC; `None` outside of the years that a calendar is kept for.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }
}

/// RFC 3339 in UTC with as many digits of a second as it needs: none, three or six.
impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(time) if (0..=9999).contains(&time.year()) => {
                let format = match time.nanosecond() {
                    0 => SecondsFormat::Secs,
                    nanos if nanos % 1_000_000 == 0 => SecondsFormat::Millis,
                    _ => SecondsFormat::Micros,
                };
                f.write_str(&time.to_rfc3339_opts(format, true))
            }
            _ => write!(f, "{}us since 1970", self.0),
        }
    }
}

impl TimeSpan {
    pub const ZERO: Self = Self(0);
    /// One microsecond, the least difference between two times.
    pub const TICK: Self = Self(1);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Reads `1h30m`, `500us`, `7d`: whole numbers with a unit each (`d h m s ms us`), units falling, each at most once.
    /// `None` where the text is no such duration or does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: i64 = 0;
        let mut last_unit = i64::MAX;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: i64 = rest[..digits].parse().ok()?;
            let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[digits..digits + letters])?;
            if *unit >= last_unit {
                return None;
            }
            last_unit = *unit;
            total = total.checked_add(number.checked_mul(*unit)?)?;
            rest = &rest[digits + letters..];
        }
        (!text.is_empty()).then_some(Self(total))
    }
}

const UNITS: [(&str, i64); 6] = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// As the language writes it: `1h30m`, `500ms`; `0s` for none; a minus sign before what is negative.
impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (name, unit) in UNITS {
            let unit = unit.unsigned_abs();
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl ProcessingTime {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero where the clock went back.
    pub const fn since(self, earlier: Self) -> TimeSpan {
        let micros = self.0.saturating_sub(earlier.0);
        TimeSpan(if micros < 0 { 0 } else { micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_they_are_read() {
        for text in ["500us", "500ms", "30s", "10m", "12h", "7d", "1h30m", "1d2h3m4s5ms6us"] {
            assert_eq!(TimeSpan::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "5", "s", "1m1h", "1s1s", "1.5s", "-1s", "99999999999999d"] {
            assert_eq!(TimeSpan::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_print_with_the_digits_they_need() {
        for (text, printed) in [
            ("2026-11-24T10:01:00Z", "2026-11-24T10:01:00Z"),
            ("2026-11-24T11:01:00.5+01:00", "2026-11-24T10:01:00.500Z"),
            ("1969-12-31T23:59:59.000001Z", "1969-12-31T23:59:59.000001Z"),
        ] {
            assert_eq!(EventTime::parse_rfc3339(text).expect(text).to_string(), printed);
        }
    }
}
