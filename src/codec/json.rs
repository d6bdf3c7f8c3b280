//! What is JSON, and walking over the members of an object or the elements of an array without building a tree.
//!
//! The fast reader (`sonic_rs`) skips what it is not asked for more leniently than the standard allows: any four bytes after `\u`, and nesting as
//! deep as the stack. [`check`] makes up for both, so that together they take exactly what `serde_json` takes; the tests hold the one against the other.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use sonic_rs::{Deserializer, LazyValue};

/// Objects and arrays within each other, at most; `serde_json` stops there too.
const NESTING_MAX: usize = 127;

/// The text is not JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotJson;

/// Refuses what the fast reader would let pass. To be called before anything is walked over.
pub(super) fn check(text: &str) -> Result<(), NotJson> {
    let bytes = text.as_bytes();
    if bytes.contains(&b'\\') && !are_escapes_sound(bytes) {
        return Err(NotJson);
    }
    let opening = bytes.iter().filter(|&&byte| byte | 0x20 == b'{').count();
    if opening > NESTING_MAX && nesting(bytes) > NESTING_MAX {
        return Err(NotJson);
    }
    Ok(())
}

/// Calls `take` with each member that `find` knows the place of, and the text of its value. Nothing but white space may follow the object.
pub(super) fn for_each_member(
    text: &str,
    find: impl FnMut(&str) -> Option<usize>,
    take: impl FnMut(usize, &str),
) -> Result<(), NotJson> {
    let mut reader = Deserializer::from_str(text);
    reader.deserialize_map(Members { find, take }).map_err(|_| NotJson)?;
    reader.end().map_err(|_| NotJson)
}

/// Calls `take` with the text of each element of an array.
pub(super) fn for_each_element(text: &str, take: impl FnMut(&str)) -> Result<(), NotJson> {
    let mut reader = Deserializer::from_str(text);
    reader.deserialize_seq(Elements { take }).map_err(|_| NotJson)?;
    reader.end().map_err(|_| NotJson)
}

/// Says where and why a text is not JSON. Cost: reads it again, slowly.
pub(super) fn fault(text: &str) -> Option<String> {
    if text.trim_ascii().is_empty() {
        return Some("the record is empty".to_owned());
    }
    if nesting(text.as_bytes()) > NESTING_MAX {
        return Some(format!("nested deeper than {NESTING_MAX}"));
    }
    // The second reading finds what the first passes over: halves of surrogate pairs.
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err();
    let error = error.or_else(|| serde_json::from_str::<serde_json::Value>(text).err())?;
    let message = error.to_string();
    let (what, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
    let place = match error.line() {
        1 => format!("at byte {}", error.column()),
        line => format!("at line {line}, byte {}", error.column()),
    };
    Some(format!("{what} {place}"))
}

/// Every backslash of a JSON text begins an escape, so they can be stepped through without knowing where strings begin and end.
fn are_escapes_sound(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(place) = rest.iter().position(|&byte| byte == b'\\') {
        rest = &rest[place..];
        let length = match unit(rest) {
            None if rest.get(1) == Some(&b'u') => return false,
            None => 2,
            Some(0xd800..=0xdbff) => match rest.get(6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => 12,
                _ => return false,
            },
            Some(0xdc00..=0xdfff) => return false,
            Some(_) => 6,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    true
}

/// The sixteen bits that `\uXXXX` stands for.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | u16::try_from(char::from(digit).to_digit(16)?).ok()?))
}

/// How deep objects and arrays stand within each other.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut in_string = false;
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Members<F, T> {
    find: F,
    take: T,
}

impl<'de, F: FnMut(&str) -> Option<usize>, T: FnMut(usize, &str)> Visitor<'de> for Members<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(found) = members.next_key_seed(Name(&mut self.find))? {
            let value: LazyValue<'de> = members.next_value()?;
            if let Some(place) = found {
                (self.take)(place, value.as_raw_str());
            }
        }
        Ok(())
    }
}

struct Name<'a, F>(&'a mut F);

impl<'de, F: FnMut(&str) -> Option<usize>> DeserializeSeed<'de> for Name<'_, F> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<F: FnMut(&str) -> Option<usize>> Visitor<'_> for Name<'_, F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

struct Elements<T> {
    take: T,
}

impl<'de, T: FnMut(&str)> Visitor<'de> for Elements<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<LazyValue<'de>>()? {
            (self.take)(value.as_raw_str());
        }
        Ok(())
    }
}
