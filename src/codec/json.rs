//! Walking over the members of an object or the elements of an array without building a tree.
//!
//! JSON is what `serde_json` takes where nobody asks for the values: the grammar of RFC 8259, numbers of any size, nesting of any depth (it is
//! passed over in a loop). `sonic_rs` was tried: it is slower here, since its vector code needs a build for one kind of processor; it passes over
//! any four bytes after `\u`; and it nests as deep as the stack.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The text is not JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotJson;

/// Calls `take` with each member that `find` knows the place of, and the text of its value. Nothing but white space may follow the object.
pub(super) fn for_each_member(text: &str, find: impl FnMut(&str) -> Option<usize>, take: impl FnMut(usize, &str)) -> Result<(), NotJson> {
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

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Where and why a text is not the JSON that can be walked over. Cost: reads it again.
pub(super) fn fault(text: &str) -> String {
    if text.trim_ascii().is_empty() {
        return "the record is empty".to_owned();
    }
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
        return "the name of a member holds half of a surrogate pair".to_owned();
    };
    let message = error.to_string();
    let (what, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
    match error.line() {
        1 => format!("{what} at byte {}", error.column()),
        line => format!("{what} at line {line}, byte {}", error.column()),
    }
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
            match found {
                Some(place) => (self.take)(place, members.next_value::<&RawValue>()?.get()),
                None => drop(members.next_value::<IgnoredAny>()?),
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
        while let Some(value) = elements.next_element::<&RawValue>()? {
            (self.take)(value.get());
        }
        Ok(())
    }
}
