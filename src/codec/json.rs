//! Walking over the members of an object or the elements of an array without building a tree.
//!
//! What is JSON is said by [`crate::codec::scan`], which agrees with `serde_json`; that is asked where a text is at fault, for its reason. `sonic_rs` was
//! tried: it is slower here, since its vector code needs a build for one kind of processor; it passes over any four bytes after `\u`; and it
//! nests as deep as the stack.

use serde::de::IgnoredAny;

use crate::codec::scan::{Scanner, Token};
use crate::codec::shape::{FieldPlace, Shape};

/// The text is not JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotJson;

/// Where members are wanted.
pub(super) trait Members {
    fn find(&self, name: &str) -> FieldPlace;
    /// Passes over the member's value, which comes next.
    fn take(&mut self, place: usize, scanner: &mut Scanner<'_>) -> Result<(), NotJson>;
}

/// Gives each member that is wanted. Nothing but white space may follow the object. `shape`: what such objects have looked like before. `from`: the byte at which
/// a member begins, those before it being read already; or 0.
pub(super) fn for_each_member(text: &str, from: usize, mut shape: Option<&mut Shape>, members: &mut impl Members) -> Result<(), NotJson> {
    let mut scanner = Scanner::new(text);
    scanner.pass(from);
    if from == 0 && !scanner.take(b'{') {
        return Err(NotJson);
    }
    if from > 0 || !scanner.take(b'}') {
        loop {
            let place = match &mut shape {
                Some(shape) => shape.pass_label(&mut scanner, |name| members.find(name)),
                None => pass_label(&mut scanner).and_then(|name| place_of(name, |name| members.find(name))),
            };
            match place? {
                Some(place) => members.take(place, &mut scanner)?,
                None => drop(scanner.value()?),
            }
            if !scanner.take(b',') {
                break;
            }
        }
        if !scanner.take(b'}') {
            return Err(NotJson);
        }
    }
    if scanner.is_at_end() { Ok(()) } else { Err(NotJson) }
}

/// Passes over a member's name, the colon and the white space around them; the name with its quotes.
pub(super) fn pass_label<'a>(scanner: &mut Scanner<'a>) -> Result<Token<'a>, NotJson> {
    let name = scanner.string()?;
    if !scanner.take(b':') {
        return Err(NotJson);
    }
    scanner.pass_space();
    Ok(name)
}

/// What the name stands for, by what `find` says of it as it is meant.
pub(super) fn place_of(name: Token<'_>, find: impl Fn(&str) -> FieldPlace) -> Result<FieldPlace, NotJson> {
    if name.has_escapes {
        // Half of a surrogate pair is no name.
        let name: String = serde_json::from_str(name.text).map_err(|_| NotJson)?;
        return Ok(find(&name));
    }
    Ok(find(&name.text[1..name.text.len() - 1]))
}

/// Calls `take` with each element of an array.
pub(super) fn for_each_element(text: &str, mut take: impl FnMut(Token<'_>)) -> Result<(), NotJson> {
    let mut scanner = Scanner::new(text);
    if !scanner.take(b'[') {
        return Err(NotJson);
    }
    if !scanner.take(b']') {
        loop {
            take(scanner.value()?);
            if !scanner.take(b',') {
                break;
            }
        }
        if !scanner.take(b']') {
            return Err(NotJson);
        }
    }
    if scanner.is_at_end() { Ok(()) } else { Err(NotJson) }
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

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::value::RawValue;

    use super::*;

    const NAMES: [&str; 4] = ["a", "ab", "ä", "a\"b"];

    /// Members as they come: the place of the name, and the text of the value.
    #[derive(Default)]
    struct Seen(Vec<(usize, String)>);

    impl Members for Seen {
        fn find(&self, name: &str) -> Option<usize> {
            NAMES.iter().position(|known| *known == name)
        }

        fn take(&mut self, place: usize, scanner: &mut Scanner<'_>) -> Result<(), NotJson> {
            let value = scanner.value()?;
            assert_eq!(value.has_escapes, value.text.starts_with('"') && value.text.contains('\\'), "{}", value.text);
            self.0.push((place, value.text.to_owned()));
            Ok(())
        }
    }

    fn members(text: &str, shape: Option<&mut Shape>) -> Result<Vec<(usize, String)>, NotJson> {
        let mut seen = Seen::default();
        for_each_member(text, 0, shape, &mut seen).map(|()| seen.0)
    }

    fn elements(text: &str) -> Result<Vec<String>, NotJson> {
        let mut elements = Vec::new();
        for_each_element(text, |element| elements.push(element.text.to_owned())).map(|()| elements)
    }

    /// The same by way of `serde_json`.
    mod serde {
        use std::fmt;

        use ::serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

        use super::{NAMES, NotJson, RawValue};

        struct Seen(Vec<(usize, String)>);

        impl<'de> Deserialize<'de> for Seen {
            fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
                reader.deserialize_map(Self(Vec::new()))
            }
        }

        impl<'de> Visitor<'de> for Seen {
            type Value = Self;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
                while let Some(name) = members.next_key::<String>()? {
                    match NAMES.iter().position(|known| *known == name) {
                        Some(place) => self.0.push((place, members.next_value::<&RawValue>()?.get().to_owned())),
                        None => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(self)
            }
        }

        pub(super) fn members(text: &str) -> Result<Vec<(usize, String)>, NotJson> {
            serde_json::from_str::<Seen>(text).map(|seen| seen.0).map_err(|_| NotJson)
        }

        pub(super) fn elements(text: &str) -> Result<Vec<String>, NotJson> {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| NotJson)?;
            Ok(elements.into_iter().map(|element| element.get().to_owned()).collect())
        }
    }

    fn random_value(random: &mut ChaCha8Rng, depth: u32, out: &mut String) {
        const SCALARS: [&str; 32] = [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "7",
            "-12.50",
            "1e5",
            "1E+05",
            "0.0e-0",
            "123456789012345678901234567890",
            "\"\"",
            "\"a\"",
            "\"ä€😀\"",
            "\"seven..\"",
            "\"eight...\"",
            "\"a long text, more than sixteen bytes\"",
            r#""\"""#,
            r#""1234567\\""#,
            r#""12345678\n""#,
            r#""\u00e4\ud83d\ude00""#,
            r#""\ud800""#,
            r#""1234567é\/""#,
            "\"\u{7f}\u{80}\"", // What follows is no JSON.
            "01",
            "1.",
            "-",
            "1e",
            "nul",
            "\"\t\"",
            r#""\x""#,
            r#""\u12g4""#,
        ];
        let space = |random: &mut ChaCha8Rng| *["", "", "", " ", "\n\t\r "].choose(random).expect("some");
        *out += space(random);
        match random.random_range(0..if depth == 0 { 8 } else { 12 }) {
            0..8 => *out += if random.random_bool(0.98) { SCALARS[random.random_range(0..24)] } else { SCALARS.choose(random).expect("some") },
            8..10 => {
                out.push('[');
                for place in 0..random.random_range(0..4) {
                    *out += if place > 0 { "," } else { "" };
                    random_value(random, depth - 1, out);
                }
                out.push(']');
            }
            _ => random_object(random, depth - 1, out),
        }
        *out += space(random);
    }

    fn random_object(random: &mut ChaCha8Rng, depth: u32, out: &mut String) {
        const SPELT: [&str; 9] = ["a", "ab", "ä", r#"a\"b"#, r"\u0061", "other", "", r"\ud800", "b"];
        out.push('{');
        for place in 0..random.random_range(0..5) {
            *out += if place > 0 { "," } else { "" };
            *out += ["", "", " "].choose(random).expect("some");
            let names = if random.random_bool(0.95) { &SPELT[..7] } else { &SPELT };
            *out += &format!("\"{}\"", names.choose(random).expect("some"));
            *out += ["", "", " \n"].choose(random).expect("some");
            out.push(':');
            random_value(random, depth, out);
        }
        out.push('}');
    }

    /// With a character put in, taken out or changed.
    fn damaged(text: &str, random: &mut ChaCha8Rng) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let place = random.random_range(0..=characters.len());
        let other = *['{', '}', '[', ']', '"', ',', ':', '\\', 'u', '0', 'e', '.', '-', ' ', '\n', '\u{c}', '\0', '\u{1f}', 'ä'].choose(random).expect("some");
        match random.random_range(0..4) {
            0 => characters.truncate(place),
            1 => characters.insert(place, other),
            2 if place < characters.len() => drop(characters.remove(place)),
            _ if place < characters.len() => characters[place] = other,
            _ => characters.push(other),
        }
        characters.into_iter().collect()
    }

    #[test]
    fn what_is_json_and_its_members_are_as_serde_json_has_them() {
        let seed = std::env::var("MOTIF_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut objects, mut shape) = (0, Shape::default());
        for _ in 0..40_000 {
            let mut text = String::new();
            if random.random_bool(0.8) {
                random_object(random, 4, &mut text)
            } else {
                random_value(random, 4, &mut text)
            };
            for _ in 0..random.random_range(0..2) {
                text = damaged(&text, random);
            }
            shape.rewind();
            let found = members(&text, Some(&mut shape));
            assert_eq!(found, serde::members(&text), "MOTIF_TEST_SEED={seed}: {text}");
            assert_eq!(found, members(&text, None), "MOTIF_TEST_SEED={seed}: {text}");
            assert_eq!(elements(&text), serde::elements(&text), "MOTIF_TEST_SEED={seed}: {text}");
            objects += u32::from(found.is_ok());
        }
        assert!((10_000..30_000).contains(&objects), "{objects} of 40,000 texts were objects with MOTIF_TEST_SEED={seed}");
    }

    #[test]
    fn nesting_may_be_deep() {
        for (open, inner, close) in [("[", "", "]"), ("{\"x\":", "1", "}"), ("[{\"x\":[", "", "]}]")] {
            let depth = 200_000;
            let text = format!("{{\"a\":{}{inner}{}}}", open.repeat(depth), close.repeat(depth));
            assert_eq!(members(&text, None).map(|members| members.len()), Ok(1));
            assert_eq!(members(&text[..text.len() - 2], None), Err(NotJson));
        }
    }
}
