//! A match as a line for people: when, what, for which key, what it found, and the evidence.

use std::fmt::{self, Write};
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The parts of a match's JSON that people look at. Values stay as they are written.
#[derive(Deserialize)]
struct Shown<'a> {
    pattern: String,
    kind: String,
    at: String,
    #[serde(borrow)]
    key: Members<&'a RawValue>,
    #[serde(borrow)]
    fields: Members<&'a RawValue>,
    events: Members<Vec<String>>,
}

/// An object's members in their order.
struct Members<V>(Vec<(String, V)>);

/// `2026-11-24T10:01:00Z card_testing card_id="1": probes=3 amount=500 [probe 0:0 0:1 0:2, cash_out 0:3]`, without a line's end. Whole events
/// are left out: the evidence names them. What is not a match's JSON is shown as it is.
pub fn readable_match(json: &[u8]) -> String {
    let Ok(shown) = serde_json::from_slice::<Shown<'_>>(json) else {
        return String::from_utf8_lossy(json.trim_ascii()).into_owned();
    };
    let mut line = format!("{} {}", shown.at, shown.pattern);
    if shown.kind != "match" {
        write!(line, " {}", shown.kind).expect("memory takes everything");
    }
    let key = &shown.key.0;
    let is_whole = |name: &str, value: &str| value.starts_with(['{', '[']) && shown.events.0.iter().any(|(step, _)| step == name);
    let fields = shown.fields.0.iter().filter(|(name, value)| {
        let is_key_again = key.iter().any(|(part, of)| part == name && of.get() == value.get());
        !is_key_again && !is_whole(name, value.get())
    });
    push_pairs(key.iter(), &mut line);
    let before = line.len();
    push_pairs(fields, &mut line);
    if line.len() > before {
        line.insert(before, ':');
    }
    let evidence: Vec<String> = shown.events.0.iter().map(|(step, events)| format!("{step} {}", events.join(" "))).collect();
    write!(line, " [{}]", evidence.join(", ")).expect("memory takes everything");
    line
}

fn push_pairs<'a>(pairs: impl Iterator<Item = &'a (String, &'a RawValue)>, line: &mut String) {
    for (name, value) in pairs {
        write!(line, " {name}={value}").expect("memory takes everything");
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Members<V> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(InOrder(PhantomData))
    }
}

struct InOrder<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
    type Value = Members<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(member) = members.next_entry()? {
            found.push(member);
        }
        Ok(Members(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_what_for_whom_and_why() {
        let with_emit = br#"{"id":"00","pattern":"card_testing","kind":"match","key":{"card_id":"1"},"at":"2026-11-24T10:01:00Z",
            "fields":{"card_id":"1","probes":3,"amount":500.00},"events":{"probe":["0:0","0:1"],"cash_out":["0:3"]}}"#;
        let expected = r#"2026-11-24T10:01:00Z card_testing card_id="1": probes=3 amount=500.00 [probe 0:0 0:1, cash_out 0:3]"#;
        assert_eq!(readable_match(with_emit), expected);

        let whole =
            br#"{"id":"00","pattern":"silent","kind":"timeout","key":{},"at":"2026-11-24T10:01:00Z","fields":{"a":{"v":1},"b":[]},"events":{"a":["0:0"]}}"#;
        assert_eq!(readable_match(whole), "2026-11-24T10:01:00Z silent timeout: b=[] [a 0:0]");

        assert_eq!(readable_match(b"something else\n"), "something else");
    }
}
