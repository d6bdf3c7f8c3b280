//! Whether events that belong together meet: patterns against the partitions of their topics.
//!
//! A task sees one partition of each topic. So all events of one key must be in one partition, the same of each topic: the key of a pattern holds what its topics are
//! partitioned by (`streams.NAME.key`). What a topic is partitioned by cannot be seen from outside; where it is not declared, it is taken for the pattern's key.
//! Events of other patterns go to tasks of their own ([`crate::service::topics::stages`]), which is said, and what it costs.

use std::collections::BTreeMap;

use crate::config::{Config, KafkaConfig, Origin};
use crate::pattern::{Expression, Pattern, Program, Source};
use crate::service::upkeep::findings::{Finding, Severity};

/// A pattern whose events do not meet in the tasks of its topics, or only at a price.
struct Scattered {
    pattern: String,
    /// Its events have to go to other tasks.
    is_rekeyed: bool,
    what: String,
}

/// Says of every pattern whose events have to go to other tasks, and of every one that one task evaluates alone, what that costs. `tasks`: the partitions of each input.
pub(super) fn partitioning(program: &Program, config: &Config, tasks: u32) -> Vec<Finding> {
    scattered(program, config, tasks).map(|scattered| Finding { severity: Severity::Warning, what: scattered.what }).collect()
}

/// The names of the patterns whose events have to go to other tasks than those of their topics.
pub(in crate::service) fn rekeyed_patterns(program: &Program, config: &Config, tasks: u32) -> Vec<String> {
    scattered(program, config, tasks).filter(|scattered| scattered.is_rekeyed).map(|scattered| scattered.pattern).collect()
}

/// By pattern: what it costs on topics with several partitions that its events do not meet in their tasks. Nothing is asked of Kafka.
pub fn costs_of_partitioning(program: &Program, config: &Config) -> BTreeMap<String, String> {
    scattered(program, config, 2).map(|scattered| (scattered.pattern, scattered.what)).collect()
}

fn scattered(program: &Program, config: &Config, tasks: u32) -> impl Iterator<Item = Scattered> {
    program.patterns.iter().filter_map(move |pattern| {
        if pattern.key_names.is_empty() {
            return Some(keyless(program, config, tasks, pattern));
        }
        let why = if tasks < 2 { None } else { obstacle(program, config, pattern) };
        why.map(|why| rekeyed(program, config, pattern, &why))
    })
}

/// Why events of one key are in several partitions.
fn obstacle(program: &Program, config: &Config, pattern: &Pattern) -> Option<String> {
    let name = &pattern.name;
    let of_pattern = pattern.key_names.join(", ");
    let mut first: Option<(Vec<usize>, &str)> = None;
    for source in &pattern.sources {
        let stream = &program.schema.stream(source.stream).name;
        let Some((topic, key)) = config.streams.get(stream).and_then(|bound| topic_key(&bound.origin, &bound.key)) else { continue };
        let Some(places) = places(program, source, key) else {
            let of_topic = key.join(", ");
            return Some(format!("pattern `{name}` is keyed by {of_pattern}, and topic {topic} is partitioned by {of_topic} (streams.{stream}.key)"));
        };
        match &first {
            None => first = Some((places, topic)),
            Some((others, other)) if *others != places => {
                return Some(format!("pattern `{name}` joins topics {other} and {topic}, which are partitioned by different parts of its key ({of_pattern})"));
            }
            Some(_) => {}
        }
    }
    None
}

fn rekeyed(program: &Program, config: &Config, pattern: &Pattern, why: &str) -> Scattered {
    let mut what = format!(
        "{why}: its events are written once more, to topic {}, and read again by the tasks that keep their keys; where that costs too much, put what the topics are partitioned by into the key, or read topics that are partitioned by it",
        rekeyed_topic(config)
    );
    what += &waits(program, config, pattern);
    Scattered { pattern: pattern.name.clone(), is_rekeyed: true, what }
}

fn keyless(program: &Program, config: &Config, tasks: u32, pattern: &Pattern) -> Scattered {
    let name = pattern.name.clone();
    let mut what = format!("pattern `{name}` has no key: one task evaluates all of its events, on one core, however many workers there are");
    if tasks > 1 {
        what += &format!(
            "; they are written once more for it, to topic {}; give the pattern a key (`from … by …`), or read topics with one partition, where that costs too much",
            rekeyed_topic(config)
        );
        what += &waits(program, config, pattern);
    }
    Scattered { pattern: name, is_rekeyed: tasks > 1, what }
}

/// A partition in which nothing happens holds back all others where it is not said how long to wait for it.
fn waits(program: &Program, config: &Config, pattern: &Pattern) -> String {
    let waited_for = |stream: &&str| config.streams.get(*stream).is_some_and(|bound| bound.idle_timeout.is_none() && bound.idle_after.is_none());
    let mut streams: Vec<&str> = pattern.sources.iter().map(|source| program.schema.stream(source.stream).name.as_str()).filter(waited_for).collect();
    streams.dedup();
    match streams.first() {
        None => String::new(),
        Some(stream) => format!(". It waits for every partition, also for one without events: streams.{stream}.idle_timeout says for how long"),
    }
}

fn rekeyed_topic(config: &Config) -> String {
    config.kafka.as_ref().map(KafkaConfig::rekeyed_topic).unwrap_or_default()
}

/// The topic, and what it is declared to be partitioned by.
fn topic_key<'a>(origin: &'a Origin, key: &'a [String]) -> Option<(&'a str, &'a [String])> {
    match origin {
        Origin::Topic(topic) if !key.is_empty() => Some((topic, key)),
        _ => None,
    }
}

/// Which parts of the pattern's key the topic is partitioned by; `None` where one is not among them.
fn places(program: &Program, source: &Source, topic_key: &[String]) -> Option<Vec<usize>> {
    let fields = &program.schema.stream(source.stream).fields;
    let is_field = |part: &Expression, name: &str| part.whole_field().is_some_and(|place| fields[place].name == name);
    topic_key.iter().map(|name| source.key.iter().position(|part| is_field(part, name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamConfig;
    use crate::language::{Source as Text, compile};

    const STREAMS: &str =
        "stream clicks { user: string country: string at: timestamp time at }\nstream orders { user: string country: string at: timestamp time at }\n";

    /// The findings, and whether the pattern is one of those whose events go elsewhere.
    fn said(pattern: &str, keys: &[(&str, &[&str])], tasks: u32) -> (Vec<String>, bool) {
        let compiled = compile(&[Text { path: "p.motif".to_owned(), text: format!("{STREAMS}pattern p {{ {pattern} }}") }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let mut config = Config::one_shot(Vec::new());
        for stream in ["clicks", "orders"] {
            let key = keys.iter().find(|(name, _)| *name == stream).map(|(_, key)| key.iter().map(|part| (*part).to_owned()).collect());
            let origin = Origin::Topic(format!("{stream}-topic"));
            config.streams.insert(stream.to_owned(), StreamConfig { key: key.unwrap_or_default(), ..StreamConfig::from_origin(origin) });
        }
        let findings = partitioning(&compiled.program, &config, tasks);
        let said = findings.into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.what)).collect();
        (said, rekeyed_patterns(&compiled.program, &config, tasks) == ["p"])
    }

    const BY_USER: &str = "from clicks by user match a: clicks then b: clicks within 1m";
    const BY_BOTH: &str = "from clicks by user, country match a: clicks then b: clicks within 1m";
    const KEYLESS: &str = "from clicks match a: clicks then b: clicks within 1m";
    const JOINED: &str = "from clicks, orders by user, country match a: clicks then b: orders within 1m";

    #[test]
    fn a_pattern_whose_events_meet_is_passed_over() {
        for (pattern, keys, tasks) in [
            (BY_USER, &[][..], 8),
            (BY_USER, &[("clicks", &["user"][..])], 8),
            (BY_BOTH, &[("clicks", &["user"])], 8),
            (BY_BOTH, &[("clicks", &["country", "user"])], 8),
            (BY_USER, &[("clicks", &["country"])], 1),
            (JOINED, &[("clicks", &["user"]), ("orders", &["user"])], 8),
        ] {
            assert_eq!(said(pattern, keys, tasks), (Vec::new(), false), "{pattern} {keys:?}");
        }
    }

    #[test]
    fn one_whose_events_do_not_is_rekeyed_and_what_that_costs_is_said() {
        for (pattern, keys, tasks, is_rekeyed, parts) in [
            (
                BY_USER,
                &[("clicks", &["country"][..])][..],
                8,
                true,
                &["keyed by user", "clicks-topic is partitioned by country", "streams.clicks.idle_timeout"][..],
            ),
            (BY_USER, &[("clicks", &["user", "country"])], 8, true, &["partitioned by user, country", "written once more"]),
            (JOINED, &[("clicks", &["user"]), ("orders", &["country"])], 8, true, &["joins topics clicks-topic and orders-topic", "idle_timeout"]),
            (KEYLESS, &[], 8, true, &["has no key", "on one core", "written once more"]),
            (KEYLESS, &[], 1, false, &["has no key", "on one core"]),
        ] {
            let (said, rekeyed) = said(pattern, keys, tasks);
            assert_eq!((said.len(), rekeyed), (1, is_rekeyed), "{pattern}: {said:?}");
            assert!(said[0].starts_with("Warning") && parts.iter().all(|part| said[0].contains(part)), "{said:?}");
        }
    }
}
