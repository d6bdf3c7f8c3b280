//! What stands before the values of a stream's records, as it came before.
//!
//! A producer writes the members of all its records in one order, with the same white space between them. So what stands before each value (`"card_id":`) is remembered together
//! with the field that it names. Where a record goes on as an earlier one did, one comparison of a few bytes takes the place of reading the name and looking it up; that
//! holds for members that no field declares as well.
//!
//! What is remembered is JSON between a `{` or a comma and the value, up to its last byte; so nothing else is ever taken for it. It decides nothing but speed.

use crate::codec::json::{self, NotJson};
use crate::codec::scan::{Scanner, sixteen_at};
use crate::event::Lookup;

/// So many different texts more than there are fields, and bytes in each of them, are remembered: for members that are not declared, and for other spellings.
const OTHER_LABELS_MAX: usize = 1_024;
const LABEL_BYTES_MAX: usize = 64;

/// So many members in a row may be left out of a record without being looked up.
const LEFT_OUT_MAX: usize = 7;

/// The place of a field; `None`: it is not declared.
pub(super) type FieldPlace = Option<usize>;

#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// As they were learnt: each says which one follows it, mostly in the order of the records. So a label is put between two others at the same cost wherever that is.
    labels: Vec<Label>,
    /// By their texts.
    numbers: Lookup<Box<[u8]>, usize>,
    labels_max: usize,
    /// The one at the beginning of a record, the one that was passed last in this record, and the one that is likely to come next.
    first: Option<usize>,
    last: Option<usize>,
    next: Option<usize>,
}

#[derive(Clone, Debug)]
struct Label {
    /// The first bytes, and which of them there are.
    head: u128,
    mask: u128,
    /// All bytes.
    text: Box<[u8]>,
    place: FieldPlace,
    following: Option<usize>,
}

impl Shape {
    /// Of records of a stream with so many fields.
    pub(super) fn new(fields: usize) -> Self {
        Self { labels_max: fields + OTHER_LABELS_MAX, ..Self::default() }
    }

    /// A new record begins.
    pub(super) fn rewind(&mut self) {
        (self.last, self.next) = (None, self.first);
    }

    /// The label that comes at this byte, if it is remembered as one that comes soon (others may be left out): what it names, and where it ends.
    #[inline]
    pub(super) fn next_known(&mut self, bytes: &[u8], at: usize) -> Option<(FieldPlace, usize)> {
        let head = sixteen_at(bytes, at)?;
        let label = &self.labels[self.next?];
        if !label.begins(head, bytes, at) {
            return self.known_later(head, bytes, at);
        }
        (self.last, self.next) = (self.next, label.following);
        Some((label.place, at + label.text.len()))
    }

    /// The same behind labels that are left out. Apart, so that the usual way keeps no registers for it.
    #[inline(never)]
    fn known_later(&mut self, head: u128, bytes: &[u8], at: usize) -> Option<(FieldPlace, usize)> {
        let mut later = std::iter::successors(self.next, |number| self.labels[*number].following).skip(1).take(LEFT_OUT_MAX);
        let number = later.find(|number| self.labels[*number].begins(head, bytes, at))?;
        let label = &self.labels[number];
        (self.last, self.next) = (Some(number), label.following);
        Some((label.place, at + label.text.len()))
    }

    /// The label that was passed last comes again.
    pub(super) fn step_back(&mut self) {
        self.next = self.last;
    }

    /// Passes over a member's name and its colon. `find` knows the places of the names that are declared.
    #[inline]
    pub(super) fn pass_label(&mut self, scanner: &mut Scanner<'_>, find: impl Fn(&str) -> FieldPlace) -> Result<FieldPlace, NotJson> {
        if let Some(number) = self.next
            && let label = &self.labels[number]
            && scanner.bytes().starts_with(&label.text)
        {
            scanner.pass(label.text.len());
            (self.last, self.next) = (self.next, label.following);
            return Ok(label.place);
        }
        self.read_label(scanner, find)
    }

    fn read_label(&mut self, scanner: &mut Scanner<'_>, find: impl Fn(&str) -> FieldPlace) -> Result<FieldPlace, NotJson> {
        let before = scanner.bytes();
        let name = json::pass_label(scanner)?;
        let text = &before[..before.len() - scanner.bytes().len()];
        if let Some(known) = self.numbers.get(text) {
            let label = &self.labels[*known];
            (self.last, self.next) = (Some(*known), label.following);
            return Ok(label.place);
        }
        let place = json::place_of(name, find)?;
        self.learn(text, place);
        Ok(place)
    }

    /// Remembers a text that is new behind the one that was passed last.
    fn learn(&mut self, text: &[u8], place: FieldPlace) {
        if self.labels.len() == self.labels_max || text.len() > LABEL_BYTES_MAX {
            return;
        }
        let number = self.labels.len();
        self.labels.push(Label::new(text, place, self.next));
        self.numbers.insert(text.into(), number);
        let before = match self.last {
            Some(last) => &mut self.labels[last].following,
            None => &mut self.first,
        };
        *before = Some(number);
        self.last = Some(number);
    }
}

impl Label {
    fn new(text: &[u8], place: FieldPlace, following: Option<usize>) -> Self {
        let length = text.len().min(16);
        let mut head = [0; 16];
        head[..length].copy_from_slice(&text[..length]);
        let mask = u128::MAX >> (8 * (16 - length));
        Self { head: u128::from_le_bytes(head), mask, text: text.into(), place, following }
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
        let shape = &mut Shape::new(2);
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
    fn nothing_is_looked_up_in_records_like_those_before_however_wide() {
        let members: Vec<String> = (0..1_000).map(|number| format!("\"name of {number}\":1")).collect();
        let some =
            |is_there: fn(usize) -> bool| (0..1_000).filter(|number| is_there(*number)).map(|number| members[number].as_str()).collect::<Vec<_>>().join(",");
        let shape = &mut Shape::new(1_000);
        // What the first ones leave out is put between what they have.
        for learnt in [some(|number| number % 3 == 1), some(|number| number % 3 != 0), some(|_| true)] {
            places(shape, &learnt).expect("names with values");
        }
        for known in [some(|_| true), some(|number| number % 8 == 0)] {
            let record = format!("{{{known}}}");
            shape.rewind();
            let mut at = 1;
            while at < record.len() {
                let (place, end) = shape.next_known(record.as_bytes(), at).unwrap_or_else(|| panic!("a label is known at byte {at} of {record}"));
                assert_eq!((place, &record[end..=end]), (None, "1"));
                at = end + 2;
            }
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let shape = &mut Shape::new(2);
        for number in 0..2_000 {
            let places = places(shape, &format!(r#""{number}":1,"b":2,"{}":3"#, "x".repeat(number)));
            assert_eq!(places, Ok(vec![None, Some(1), None]));
        }
        assert!(shape.labels.len() == 2 + OTHER_LABELS_MAX && shape.labels.iter().all(|label| label.text.len() <= LABEL_BYTES_MAX));
    }
}
