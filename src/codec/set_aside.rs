//! Records that take no part: why, and the line that says so.

use std::fmt;

use crate::codec::encode::write_text;

/// A record shows at most this much of itself, in bytes.
pub const RECORD_SHOWN_BYTES_MAX: usize = 64 << 10;

/// Why a record takes no part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    pub code: RejectionCode,
    /// A sentence that names the field and what was found there.
    pub reason: String,
}

/// The kinds of reasons. Their texts are stable: outputs and counters carry them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RejectionCode {
    NotJson,
    NotObject,
    InvalidUtf8,
    MissingField,
    NullField,
    WrongType,
    NumberTooLarge,
    BadTimestamp,
    TooLong,
    TooFarAhead,
    HeldFull,
    Late,
}

impl RejectionCode {
    pub fn text(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotObject => "not_object",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MissingField => "missing_field",
            Self::NullField => "null_field",
            Self::WrongType => "wrong_type",
            Self::NumberTooLarge => "number_too_large",
            Self::BadTimestamp => "bad_timestamp",
            Self::TooLong => "too_long",
            Self::TooFarAhead => "too_far_ahead",
            Self::HeldFull => "held_full",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Appends `{"stream":…,"partition":…,"offset":…,"code":…,"reason":…,"record":…}` without a line's end. The record is text: cut off at
/// [`RECORD_SHOWN_BYTES_MAX`], and with U+FFFD where its bytes are not UTF-8.
pub fn write_set_aside(stream: &str, partition: u32, offset: u64, code: RejectionCode, reason: &str, record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"stream\":");
    write_text(stream, out);
    out.extend_from_slice(format!(",\"partition\":{partition},\"offset\":{offset},\"code\":\"{code}\",\"reason\":").as_bytes());
    write_text(reason, out);
    out.extend_from_slice(b",\"record\":");
    write_text(&String::from_utf8_lossy(shown(record)), out);
    out.push(b'}');
}

/// The beginning of a record, not cut within a character.
fn shown(record: &[u8]) -> &[u8] {
    if record.len() <= RECORD_SHOWN_BYTES_MAX {
        return record;
    }
    let is_inside = |&end: &usize| record[end] & 0xc0 == 0x80;
    let end = (RECORD_SHOWN_BYTES_MAX - 3..=RECORD_SHOWN_BYTES_MAX).rev().find(|end| !is_inside(end));
    &record[..end.unwrap_or(RECORD_SHOWN_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &[u8]) -> serde_json::Value {
        let mut out = Vec::new();
        write_set_aside("logins", 3, 17, RejectionCode::WrongType, "a \"reason\"", record, &mut out);
        serde_json::from_slice(&out).expect("a line is JSON")
    }

    #[test]
    fn a_line_holds_address_reason_and_record() {
        let mut out = Vec::new();
        write_set_aside("logins", 3, 17, RejectionCode::WrongType, "a \"reason\"", b"{\"a\":1}", &mut out);
        let expected = r#"{"stream":"logins","partition":3,"offset":17,"code":"wrong_type","reason":"a \"reason\"","record":"{\"a\":1}"}"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn bytes_that_are_no_text_and_long_records_still_make_a_line() {
        assert_eq!(line(b"a\xff\n\0b")["record"], "a\u{fffd}\n\0b");
        let long = "aä".repeat(RECORD_SHOWN_BYTES_MAX / 2);
        let shown = line(long.as_bytes());
        let shown = shown["record"].as_str().expect("text");
        assert!(long.starts_with(shown), "cut between characters");
        assert!((RECORD_SHOWN_BYTES_MAX - 3..=RECORD_SHOWN_BYTES_MAX).contains(&shown.len()));
        assert_eq!(line(&vec![0x80; RECORD_SHOWN_BYTES_MAX + 9])["record"].as_str().expect("text").chars().count(), RECORD_SHOWN_BYTES_MAX);
    }
}
