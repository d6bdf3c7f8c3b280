//! A text's JSON values, one after the other, without building anything.
//!
//! The scanner stands before a byte of the text and goes on over what it is asked for, or says that it is not there. What it takes for JSON is what
//! `serde_json` takes where nobody asks for the values: the grammar of RFC 8259, numbers of any size, nesting of any depth (passed over in a
//! loop), any four hexadecimal digits after `\u`. Strings are looked at eight bytes at a time; that the text is UTF-8 is known before.

use smallvec::SmallVec;

use crate::codec::json::NotJson;

/// One value as it stands in the text, without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// A string, in which some character is written as an escape.
    pub(super) has_escapes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// All that was not passed over yet.
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Passes over so many bytes of the rest.
    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Passes over white space.
    pub(super) fn pass_space(&mut self) {
        self.next_byte();
    }

    /// Passes over white space, then over the byte if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte) || self.next_byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes over white space; the byte after it.
    #[inline]
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Nothing but white space is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.next_byte().is_none()
    }

    /// What stands between the quotes of a string without escapes, if one comes next.
    #[inline]
    pub(super) fn take_plain_string(&mut self) -> Option<&'a str> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let end = plain_string_end(self.text.as_bytes(), start)?;
        self.at = end + 1;
        Some(&self.text[start..end])
    }

    /// The string that comes next, after white space.
    pub(super) fn string(&mut self) -> Result<Token<'a>, NotJson> {
        match self.next_byte() {
            Some(b'"') => self.value(),
            _ => Err(NotJson),
        }
    }

    /// The value that comes next, after white space.
    pub(super) fn value(&mut self) -> Result<Token<'a>, NotJson> {
        let first = self.next_byte().ok_or(NotJson)?;
        let start = self.at;
        let mut has_escapes = false;
        match first {
            b'"' => has_escapes = self.pass_string()?,
            b'{' | b'[' => self.pass_nested()?,
            scalar => self.pass_scalar(scalar)?,
        }
        Ok(Token { text: &self.text[start..self.at], has_escapes })
    }

    /// A number, `true`, `false` or `null`.
    fn pass_scalar(&mut self, first: u8) -> Result<(), NotJson> {
        match first {
            b'-' | b'0'..=b'9' => self.pass_number(),
            b't' => self.pass_word("true"),
            b'f' => self.pass_word("false"),
            b'n' => self.pass_word("null"),
            _ => Err(NotJson),
        }
    }

    fn pass_word(&mut self, word: &str) -> Result<(), NotJson> {
        let is_there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        if is_there { Ok(()) } else { Err(NotJson) }
    }

    fn pass_number(&mut self) -> Result<(), NotJson> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => {
                self.at += 1;
                // No number goes on after it; what comes instead is refused by whoever looks for a comma.
                if matches!(self.peek(), Some(b'0'..=b'9')) {
                    return Err(NotJson);
                }
            }
            _ => self.pass_digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.pass_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.pass_digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn pass_digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(NotJson) }
    }

    /// From one quote to the other; whether there are escapes between them.
    fn pass_string(&mut self) -> Result<bool, NotJson> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.pass_escape()?;
                }
                // The end, or a character that must be written as an escape.
                _ => return Err(NotJson),
            }
        }
    }

    fn pass_escape(&mut self) -> Result<(), NotJson> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(NotJson),
        };
        Ok(())
    }

    /// An object or an array with all that is in it.
    fn pass_nested(&mut self) -> Result<(), NotJson> {
        // The closing brackets that are awaited.
        let mut open: SmallVec<[u8; 32]> = SmallVec::new();
        loop {
            // A value comes next.
            match self.next_byte().ok_or(NotJson)? {
                b'"' => drop(self.pass_string()?),
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    let close = if bracket == b'{' { b'}' } else { b']' };
                    if !self.take(close) {
                        open.push(close);
                        self.pass_member_name(close)?;
                        continue;
                    }
                }
                scalar => self.pass_scalar(scalar)?,
            }
            // A value was passed.
            loop {
                let Some(&close) = open.last() else { return Ok(()) };
                if self.take(b',') {
                    self.pass_member_name(close)?;
                    break;
                }
                if !self.take(close) {
                    return Err(NotJson);
                }
                open.pop();
            }
        }
    }

    /// In an object, a name and the colon; in an array, nothing.
    fn pass_member_name(&mut self, close: u8) -> Result<(), NotJson> {
        if close == b']' {
            return Ok(());
        }
        self.string()?;
        if self.take(b':') { Ok(()) } else { Err(NotJson) }
    }
}

/// Sixteen bytes from this one on, the first of them lowest, with zeros behind the end of the text; `None`: the whole of it is shorter.
#[inline]
pub(super) fn sixteen_at(bytes: &[u8], at: usize) -> Option<u128> {
    match bytes.get(at..at + 16).and_then(<[u8]>::first_chunk) {
        Some(sixteen) => Some(u128::from_le_bytes(*sixteen)),
        None => sixteen_at_end(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn sixteen_at_end(bytes: &[u8], at: usize) -> Option<u128> {
    let missing = u32::try_from((at + 16).checked_sub(bytes.len())?).ok()?;
    u128::from_le_bytes(*bytes.last_chunk()?).checked_shr(8 * missing)
}

/// Where the string ends that comes at this byte, if it has no escapes.
#[inline]
pub(super) fn pass_plain_string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    Some(plain_string_end(bytes, at + 1)? + 1)
}

/// What stands between its quotes, and where it ends.
#[inline]
pub(super) fn plain_string(text: &str, at: usize) -> Option<(&str, usize)> {
    let end = pass_plain_string(text.as_bytes(), at)?;
    Some((&text[at + 1..end - 1], end))
}

/// Where the string ends that begins behind a quote at this byte, its closing quote: if there are no escapes in it, and it ends.
#[inline]
fn plain_string_end(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let mut at = from;
    while let Some(eight) = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk::<8>) {
        // As `special_in`, but for bytes that are not ASCII, which may be among them: so it takes half as much.
        let eight = u64::from_le_bytes(*eight);
        let special = ((eight ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21) | (eight ^ (ONES * b'\\' as u64)).wrapping_sub(ONES)) & (ONES * 0x80);
        if special != 0 {
            at += (special.trailing_zeros() / 8) as usize;
            break;
        }
        at += 8;
    }
    if bytes.get(at) == Some(&b'"') { Some(at) } else { any_string_end(bytes, at) }
}

/// The same where there are bytes that are not ASCII, few bytes left, or something else than a quote: apart, so that the usual way keeps no registers for it.
#[cold]
#[inline(never)]
fn any_string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let end = from + plain_length(bytes.get(from..)?);
    (bytes.get(end) == Some(&b'"')).then_some(end)
}

/// How many bytes come before a quote, a backslash, a control character or the end.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let special = special_in(u64::from_le_bytes(*eight));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// The lowest bit that is set is the highest of the first byte, from the lowest, that is a quote, a backslash or below 0x20; none is where there is
/// no such byte. Bits above the first may be set wrongly, by a carry.
#[inline]
fn special_in(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |bytes: u64, end: u8| bytes.wrapping_sub(ONES * u64::from(end)) & !bytes;
    // A quote is 0x22: with this bit turned it comes right behind what is below 0x20, and so all are found at once.
    let quote_or_control = below(eight ^ (ONES * 0x02), 0x21);
    let backslash = below(eight ^ (ONES * b'\\' as u64), 1);
    (quote_or_control | backslash) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_end_of_a_text_there_are_zeros() {
        let text: Vec<u8> = (1..=20).collect();
        for at in 0..text.len() {
            let expected: Vec<u8> = text[at..].iter().copied().chain(std::iter::repeat(0)).take(16).collect();
            assert_eq!(sixteen_at(&text, at).map(u128::to_le_bytes), expected.first_chunk().copied());
        }
        assert_eq!((sixteen_at(&text, text.len()), sixteen_at(&text[..15], 0)), (None, None));
    }
}
