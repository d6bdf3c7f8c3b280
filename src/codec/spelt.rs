//! Texts of a field that come again and again: codes, kinds, countries.
//!
//! A text is remembered as it is spelt, with its quotes. Where the same bytes come again it need not be read: one comparison takes the place of looking for its end and of putting it
//! together. Fields whose texts are mostly new ones are found out, and then read without looking.

use compact_str::CompactString;

use crate::codec::scan::{plain_string, sixteen_at};
use crate::event::Value;

/// So many texts of a field are remembered, one for each hash of their first bytes.
const TEXTS: usize = 1 << TEXTS_BITS;
const TEXTS_BITS: u32 = 6;

/// After so many texts that were new it is asked whether to go on.
const NEW_MAX: u32 = 256;

/// The texts of one field.
#[derive(Clone, Debug, Default)]
pub(super) struct Spelt {
    /// None before the first text, and none any more where it is not worth it.
    texts: Vec<Remembered>,
    is_given_up: bool,
    /// Since it was asked last.
    known: u32,
    new: u32,
}

/// As it stands in a record, and as a value.
#[derive(Clone, Debug, Default)]
struct Remembered {
    /// The first bytes, the two quotes among them, and which of them count; before there is a text, something that never comes.
    head: u128,
    mask: u128,
    length: usize,
    text: CompactString,
}

impl Spelt {
    /// Remembers nothing.
    pub(super) fn given_up() -> Self {
        Self { is_given_up: true, ..Self::default() }
    }

    /// Reads a text without escapes, if one comes at this byte; where it ends.
    #[inline]
    pub(super) fn read(&mut self, text: &str, at: usize, into: &mut Value) -> Option<usize> {
        if self.is_given_up {
            let (found, end) = plain_string(text, at)?;
            *into = Value::Text(CompactString::new(found));
            return Some(end);
        }
        if let Some(head) = sixteen_at(text.as_bytes(), at)
            && let Some(known) = self.texts.get(place_of(head)).filter(|known| head & known.mask == known.head)
        {
            *into = Value::Text(known.text.clone());
            self.known = self.known.wrapping_add(1);
            return Some(at + known.length);
        }
        self.read_new(text, at, into)
    }

    fn read_new(&mut self, text: &str, at: usize, into: &mut Value) -> Option<usize> {
        let (found, end) = plain_string(text, at)?;
        *into = Value::Text(CompactString::new(found));
        self.new += 1;
        if self.new == NEW_MAX {
            self.is_given_up = self.known < 2 * NEW_MAX;
            (self.known, self.new) = (0, 0);
        }
        if self.is_given_up {
            self.texts = Vec::new();
        } else if let Some(head) = sixteen_at(text.as_bytes(), at) {
            self.learn(found, head, end - at);
        }
        Some(end)
    }

    fn learn(&mut self, text: &str, head: u128, length: usize) {
        if length > size_of_val(&head) {
            return;
        }
        let mask = u128::MAX >> (8 * (size_of_val(&head) - length));
        // Nothing begins with a zero and is looked for.
        let never = Remembered { head: 1, ..Remembered::default() };
        self.texts.resize(TEXTS, never);
        self.texts[place_of(head)] = Remembered { head: head & mask, mask, length, text: text.into() };
    }
}

/// By the four bytes behind the quote: the shortest texts have fewer, and then a quote, which counts too.
#[inline]
fn place_of(head: u128) -> usize {
    let first = (head >> 8) as u32;
    (first.wrapping_mul(0x9e37_79b1) >> (u32::BITS - TEXTS_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the text in records that end behind it, or go on.
    fn read(spelt: &mut Spelt, text: &str) {
        for more in 0..10 {
            let record = format!("{{\"it\":\"{text}\"{}", ",\"and\":\"more\"".repeat(more));
            let mut value = Value::Int(1);
            let end = spelt.read(&record, 6, &mut value);
            assert_eq!((end, value), (Some(8 + text.len()), Value::text(text)), "{record}");
        }
    }

    #[test]
    fn texts_are_read_the_same_when_they_come_again() {
        let texts = ["", "a", "ab", "abc", "abcd", "abcde", "ä", "äö", "fourteen bytes", "fifteen bytes..", "sixteen bytes...", "DE", "DEU", "DK"];
        let mut spelt = Spelt::default();
        for _ in 0..100 {
            texts.iter().for_each(|text| read(&mut spelt, text));
        }
        assert!(!spelt.is_given_up, "most of them come again");
    }

    #[test]
    fn what_is_no_plain_text_is_never_taken_for_one() {
        let mut spelt = Spelt::default();
        read(&mut spelt, "ab");
        for record in ["{\"it\":\"ab\\\"and what comes behind it", "{\"it\":ab and what comes behind it", "{\"it\":\"ab", "{\"it\":"] {
            assert_eq!(spelt.read(record, 6, &mut Value::Null), None, "{record}");
        }
    }

    #[test]
    fn where_all_are_new_none_is_remembered() {
        let mut spelt = Spelt::default();
        (0..NEW_MAX).for_each(|number| read(&mut spelt, &format!("{number}, and more than is remembered")));
        assert!(spelt.is_given_up && spelt.texts.is_empty());
        read(&mut spelt, "as before");
    }
}
