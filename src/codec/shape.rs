//! What stands before the values of a stream's records, as it came before.
//!
//! A producer writes the members of all its records in one order, with the same white space between them. So what stands before each value (`"card_id":`) is remembered together
//! with the field that it names. Where a record goes on as an earlier one did, one comparison of a few bytes takes the place of reading the name and looking it up; that
//! holds for members that no field declares as well.
//!
//! What is remembered is JSON between a `{` or a comma and the value, up to its last byte; so nothing else is ever taken for it. It decides nothing but speed.

use crate::codec::json::{self, NotJson};
use crate::codec::scan::{Scanner, sixteen_at};

/// So many different texts, and bytes in each of them, are remembered.
const LABELS_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 64;

/// So many members in a row may be left out of a record without being looked up.
const LEFT_OUT_MAX: usize = 7;

/// The place of a field; `None`: it is not declared.
pub(super) type FieldPlace = Option<usize>;

#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Mostly in the order of the records.
    labels: Vec<Label>,
    /// The one that is likely to come next.
    next: usize,
}

#[derive(Clone, Debug)]
struct Label {
    /// The first bytes, and which of them there are.
    head: u128,
    mask: u128,
    /// All bytes.
    text: Box<[u8]>,
    place: FieldPlace,
}

impl Shape {
    /// A new record begins.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The label that comes at this byte, if it is remembered as one that comes soon (others may be left out): what it names, and where it ends.
    #[inline]
    pub(super) fn next_known(&mut self, bytes: &[u8], at: usize) -> Option<(FieldPlace, usize)> {
        let head = sixteen_at(bytes, at)?;
        let label = self.labels.get(self.next)?;
        if !label.begins(head, bytes, at) {
            return self.known_later(head, bytes, at);
        }
        self.next += 1;
        Some((label.place, at + label.text.len()))
    }

    /// The same behind labels that are left out. Apart, so that the usual way keeps no registers for it.
    #[inline(never)]
    fn known_later(&mut self, head: u128, bytes: &[u8], at: usize) -> Option<(FieldPlace, usize)> {
        let later = self.labels.iter().enumerate().skip(self.next + 1).take(LEFT_OUT_MAX);
        let (place, label) = later.into_iter().find(|(_, label)| label.begins(head, bytes, at))?;
        self.next = place + 1;
        Some((label.place, at + label.text.len()))
    }

    /// The label that was passed last comes again.
    pub(super) fn step_back(&mut self) {
        self.next -= 1;
    }

    /// Passes over a member's name and its colon. `find` knows the places of the names that are declared.
    #[inline]
    pub(super) fn pass_label(&mut self, scanner: &mut Scanner<'_>, find: impl Fn(&str) -> FieldPlace) -> Result<FieldPlace, NotJson> {
        if let Some(label) = self.labels.get(self.next)
            && scanner.bytes().starts_with(&label.text)
        {
            scanner.pass(label.text.len());
            self.next += 1;
            return Ok(label.place);
        }
        self.read_label(scanner, find)
    }

    fn read_label(&mut self, scanner: &mut Scanner<'_>, find: impl Fn(&str) -> FieldPlace) -> Result<FieldPlace, NotJson> {
        let before = scanner.bytes();
        let place = json::pass_label(scanner, find)?;
        self.learn(&before[..before.len() - scanner.bytes().len()], place);
        Ok(place)
    }

    fn learn(&mut self, text: &[u8], place: FieldPlace) {
        let known = self.labels.iter().position(|label| *label.text == *text);
        if known.is_none() && self.labels.len() < LABELS_MAX && text.len() <= LABEL_BYTES_MAX {
            self.labels.insert(self.next, Label::new(text, place));
            self.next += 1;
        } else if let Some(known) = known {
            self.next = known + 1;
        }
    }
}

impl Label {
    fn new(text: &[u8], place: FieldPlace) -> Self {
        let length = text.len().min(16);
        let mut head = [0; 16];
        head[..length].copy_from_slice(&text[..length]);
        let mask = u128::MAX >> (8 * (16 - length));
        Self { head: u128::from_le_bytes(head), mask, text: text.into(), place }
    }

    /// `head`: the 16 bytes from there on, with zeros behind the last, which are in no label.
    #[inline]
    fn begins(&self, head: u128, bytes: &[u8], at: usize) -> bool {
        // Few names are longer: comparing these costs no call.
        head & self.mask == self.head && (self.text.len() <= size_of_val(&head) || bytes[at..].starts_with(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> FieldPlace {
        ["a", "b"].iter().position(|known| *known == name)
    }

    /// The places of the members of a record, whose values are single digits, without its braces.
    fn places(shape: &mut Shape, members: &str) -> Result<Vec<FieldPlace>, NotJson> {
        let mut scanner = Scanner::new(members);
        shape.rewind();
        let mut places = Vec::new();
        loop {
            places.push(shape.pass_label(&mut scanner, find)?);
            scanner.pass(1);
            if !scanner.take(b',') {
                return Ok(places);
            }
        }
    }

    #[test]
    fn names_are_found_in_any_order_and_spelling() {
        let shape = &mut Shape::default();
        for _ in 0..2 {
            for (members, expected) in [
                (r#""a":1,"b":2,"other":3"#, vec![Some(0), Some(1), None]),
                (r#""b":1,"a":2"#, vec![Some(1), Some(0)]),
                (r#""a":1,"other":3"#, vec![Some(0), None]),
                (r#""a" : 1, "b": 2"#, vec![Some(0), Some(1)]),
                (r#""\u0061":1,"a":1,"a":2"#, vec![Some(0), Some(0), Some(0)]),
                (r#""a long name, that nobody has declared":1,"b":1"#, vec![None, Some(1)]),
            ] {
                assert_eq!(places(shape, members), Ok(expected), "{members}");
            }
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let shape = &mut Shape::default();
        for number in 0..1_000 {
            let places = places(shape, &format!(r#""{number}":1,"b":2,"{}":3"#, "x".repeat(number)));
            assert_eq!(places, Ok(vec![None, Some(1), None]));
        }
        assert!(shape.labels.len() == LABELS_MAX && shape.labels.iter().all(|label| label.text.len() <= LABEL_BYTES_MAX));
    }
}
