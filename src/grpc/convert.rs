//! A match's JSON, as the log has it, to its protobuf form. Every fact is taken from the JSON, so that the two cannot differ.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::grpc::v1::{Evidence, Kind, Match};

#[derive(Deserialize)]
struct MatchJson<'a> {
    id: String,
    pattern: String,
    kind: String,
    #[serde(borrow)]
    key: &'a RawValue,
    at: String,
    #[serde(borrow)]
    fields: &'a RawValue,
    events: BTreeMap<String, Vec<String>>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
    #[serde(default)]
    suppressed: u64,
    #[serde(default)]
    runs_dropped: u64,
    #[serde(default)]
    cut: Vec<String>,
}

/// `None` where the log holds something else.
pub(super) fn to_match(json: &[u8]) -> Option<Match> {
    let text = std::str::from_utf8(json).ok()?;
    let found: MatchJson<'_> = serde_json::from_str(text).ok()?;
    let kind = match found.kind.as_str() {
        "match" => Kind::Match,
        "timeout" => Kind::Timeout,
        _ => Kind::Unspecified,
    };
    Some(Match {
        id: found.id,
        pattern: found.pattern,
        kind: kind.into(),
        key_json: found.key.get().to_owned(),
        at: found.at,
        fields_json: found.fields.get().to_owned(),
        events: found.events.into_iter().map(|(step, events)| (step, Evidence { events })).collect(),
        meta_json: found.meta.map(|meta| meta.get().to_owned()).unwrap_or_default(),
        runs_dropped: found.runs_dropped,
        suppressed: found.suppressed,
        cut: found.cut,
        json: text.to_owned(),
    })
}

/// Which parts of a match's key must have which values.
#[derive(Debug)]
pub(super) struct KeyFilter(BTreeMap<String, Wanted>);

#[derive(Debug)]
struct Wanted {
    text: String,
    /// What the text is as JSON, if it is.
    value: Option<serde_json::Value>,
}

impl KeyFilter {
    /// A wanted value is JSON, or the plain content of a text: `4711` is the number as well as the text. Cost: parsing.
    pub(super) fn new(wanted: impl IntoIterator<Item = (String, String)>) -> Self {
        let wanted = wanted.into_iter().map(|(name, text)| (name, Wanted { value: serde_json::from_str(&text).ok(), text }));
        Self(wanted.collect())
    }

    pub(super) fn accepts(&self, json: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct KeyJson {
            key: BTreeMap<String, serde_json::Value>,
        }
        self.0.is_empty()
            || serde_json::from_slice::<KeyJson>(json)
                .is_ok_and(|found| self.0.iter().all(|(name, wanted)| found.key.get(name).is_some_and(|value| wanted.is(value))))
    }
}

impl Wanted {
    fn is(&self, value: &serde_json::Value) -> bool {
        self.value.as_ref() == Some(value) || value.as_str() == Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] =
        br#"{"id":"6f","pattern":"p","kind":"match","key":{"card":"1","n":2},"at":"2026-01-01T00:00:00Z","fields":{"a":1.50},"events":{"x":["0:0","0:1"]},"cut":["fields.b"]}"#;

    #[test]
    fn nothing_is_lost_on_the_way_to_protobuf() {
        let found = to_match(JSON).expect("a match");
        assert_eq!((found.key_json.as_str(), found.fields_json.as_str()), (r#"{"card":"1","n":2}"#, r#"{"a":1.50}"#));
        assert_eq!((found.events["x"].events.as_slice(), found.cut), (["0:0".to_owned(), "0:1".to_owned()].as_slice(), vec!["fields.b".to_owned()]));
        assert_eq!(found.json.as_bytes(), JSON);
    }

    #[test]
    fn keys_are_filtered_by_value() {
        let filter = |name: &str, text: &str| KeyFilter::new([(name.to_owned(), text.to_owned())]);
        for (name, text, accepted) in [
            ("card", "\"1\"", true),
            ("card", "1", true),
            ("card", "2", false),
            ("n", "2", true),
            ("n", "\"2\"", false),
            ("n", "x", false),
            ("other", "1", false),
        ] {
            assert_eq!(filter(name, text).accepts(JSON), accepted, "{name}={text}");
        }
    }
}
