//! Whether what was found is what was planted: by pattern, kind, key, time, and the places of the events.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sample::planted::{Planted, PlantedKind};

/// What of a match says which one it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Found {
    pub pattern: String,
    pub kind: PlantedKind,
    /// As JSON, its names in order.
    pub key: String,
    pub at: String,
    /// In order of their text; which step took which is the rule's business.
    pub events: Vec<String>,
}

/// Something that came out and was not planted.
#[derive(Clone, Debug)]
pub struct Unexpected {
    pub found: Found,
    /// The near miss that it takes events of: its number, and why it should not match.
    pub near_miss: Option<(u64, String)>,
}

/// Of one pattern.
#[derive(Clone, Debug, Default)]
pub struct PatternComparison {
    pub planted: u64,
    pub near_misses: u64,
    pub found: u64,
    pub missing: Vec<Planted>,
    pub unexpected: Vec<Unexpected>,
}

/// By the name of the pattern.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    pub patterns: BTreeMap<String, PatternComparison>,
}

/// The members of a match that are looked at.
#[derive(Deserialize)]
struct Match {
    pattern: String,
    kind: PlantedKind,
    key: Map<String, Value>,
    at: String,
    events: BTreeMap<String, Vec<String>>,
}

impl Found {
    /// Reads a match as `motif run` and `motif subscribe` write it.
    ///
    /// # Errors
    ///
    /// In words, where the line is no match.
    pub fn read(line: &str) -> Result<Self, String> {
        let Match { pattern, kind, key, at, events } = serde_json::from_str(line).map_err(|error| format!("no match: {error}"))?;
        Ok(Self::new(pattern, kind, &key, at, events.into_values().flatten().collect()))
    }

    fn new(pattern: String, kind: PlantedKind, key: &Map<String, Value>, at: String, mut events: Vec<String>) -> Self {
        events.sort();
        let names: BTreeMap<&String, &Value> = key.iter().collect();
        let key = serde_json::to_string(&names).expect("what was JSON is JSON");
        Self { pattern, kind, key, at, events }
    }

    fn of(planted: &Planted) -> Self {
        let at = planted.at.clone().unwrap_or_default();
        Self::new(planted.pattern.clone(), planted.kind, &planted.key, at, planted.events.clone())
    }
}

impl Planted {
    /// Reads a line of `planted.jsonl`.
    ///
    /// # Errors
    ///
    /// In words, where the line is none.
    pub fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("no planted case: {error}"))
    }
}

impl Comparison {
    /// Each planted match answers for one found; what is found twice and planted once is once unexpected.
    pub fn new(planted: impl IntoIterator<Item = Planted>, found: impl IntoIterator<Item = Found>) -> Self {
        let mut comparison = Self::default();
        let mut wanted: BTreeMap<Found, Vec<Planted>> = BTreeMap::new();
        let mut near_misses = Vec::new();
        for planted in planted {
            let pattern = comparison.patterns.entry(planted.pattern.clone()).or_default();
            if planted.kind == PlantedKind::NearMiss {
                pattern.near_misses += 1;
                near_misses.push(planted);
            } else {
                pattern.planted += 1;
                wanted.entry(Found::of(&planted)).or_default().push(planted);
            }
        }
        for found in found {
            let pattern = comparison.patterns.entry(found.pattern.clone()).or_default();
            let answers = wanted.get_mut(&found).and_then(Vec::pop).is_some();
            if answers {
                pattern.found += 1;
            } else {
                pattern.unexpected.push(Unexpected { found, near_miss: None });
            }
        }
        for planted in wanted.into_values().flatten() {
            comparison.patterns.entry(planted.pattern.clone()).or_default().missing.push(planted);
        }
        for pattern in comparison.patterns.values_mut() {
            pattern.missing.sort_by_key(|planted| planted.case);
        }
        comparison.name_near_misses(&near_misses);
        comparison
    }

    pub fn agrees(&self) -> bool {
        self.patterns.values().all(|pattern| pattern.missing.is_empty() && pattern.unexpected.is_empty())
    }

    fn name_near_misses(&mut self, near_misses: &[Planted]) {
        if self.patterns.values().all(|pattern| pattern.unexpected.is_empty()) {
            return;
        }
        let by_event: BTreeMap<(&str, &str), &Planted> =
            near_misses.iter().flat_map(|planted| planted.events.iter().map(move |event| ((planted.pattern.as_str(), event.as_str()), planted))).collect();
        for (name, pattern) in &mut self.patterns {
            for unexpected in &mut pattern.unexpected {
                let mut misses = unexpected.found.events.iter().filter_map(|event| by_event.get(&(name.as_str(), event.as_str())));
                unexpected.near_miss = misses.next().map(|planted| (planted.case, planted.why.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANTED: [&str; 3] = [
        r#"{"case":0,"pattern":"p","key":{"k":"1"},"kind":"match","at":"2024-01-01T00:00:05Z","why":"so","events":["0:1","0:10"]}"#,
        r#"{"case":1,"pattern":"p","key":{"k":"2"},"kind":"timeout","at":"2024-01-01T00:00:09Z","why":"so","events":["0:4"]}"#,
        r#"{"case":2,"pattern":"p","key":{"k":"3"},"kind":"near miss","why":"too small","events":["0:7","0:8"]}"#,
    ];
    const FOUND: [&str; 2] = [
        r#"{"id":"x","pattern":"p","kind":"match","key":{"k":"1"},"at":"2024-01-01T00:00:05Z","fields":{},"events":{"b":["0:10"],"a":["0:1"]}}"#,
        r#"{"id":"y","pattern":"p","kind":"timeout","key":{"k":"2"},"at":"2024-01-01T00:00:09Z","fields":{},"events":{"a":["0:4"]}}"#,
    ];

    fn compare(found: &[String]) -> Comparison {
        let planted = PLANTED.iter().map(|line| Planted::read(line).expect("a case"));
        Comparison::new(planted, found.iter().map(|line| Found::read(line).expect("a match")))
    }

    fn found() -> Vec<String> {
        FOUND.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn all_that_was_planted_and_nothing_else_agrees() {
        let comparison = compare(&found());
        assert!(comparison.agrees(), "{comparison:?}");
        let pattern = &comparison.patterns["p"];
        assert_eq!((pattern.planted, pattern.near_misses, pattern.found), (2, 1, 2));
    }

    #[test]
    fn each_difference_is_told() {
        let changed = |from: &str, to: &str| -> Vec<String> { found().iter().map(|line| line.replace(from, to)).collect() };
        for (what, found) in [
            ("another time", changed("00:05Z", "00:06Z")),
            ("another key", changed("\"1\"", "\"9\"")),
            ("another event", changed("0:10", "0:11")),
            ("another kind", changed("timeout", "match")),
        ] {
            let comparison = compare(&found);
            let pattern = &comparison.patterns["p"];
            assert_eq!((pattern.found, pattern.missing.len(), pattern.unexpected.len()), (1, 1, 1), "{what}");
            assert!(!comparison.agrees(), "{what}");
        }
        assert_eq!(compare(&found()[..1]).patterns["p"].missing[0].case, 1);
        let twice = [found(), found()].concat();
        assert_eq!(compare(&twice).patterns["p"].unexpected.len(), 2);
        let other = changed("\"pattern\":\"p\"", "\"pattern\":\"q\"");
        assert_eq!(compare(&other).patterns["q"].unexpected.len(), 2);
    }

    #[test]
    fn a_near_miss_that_was_found_is_named() {
        let mut found = found();
        found.push(FOUND[0].replace("0:10", "0:8"));
        let comparison = compare(&found);
        assert_eq!(comparison.patterns["p"].unexpected[0].near_miss, Some((2, "too small".to_owned())));
    }

    #[test]
    fn what_is_no_match_is_refused() {
        for line in ["", "{}", "[]", r#"{"pattern":"p","kind":"maybe","key":{},"at":"","events":{}}"#] {
            assert!(Found::read(line).is_err(), "{line}");
        }
    }
}
