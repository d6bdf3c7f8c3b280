//! Whether events that belong together meet: patterns against the partitions of their topics.
//!
//! A task sees one partition of each topic. So all events of one key must be in one partition, the same of each topic: the key of a pattern holds what its topics are
//! partitioned by (`streams.NAME.key`). What a topic is partitioned by cannot be seen from outside; where it is not declared, it is taken for the pattern's key, as long as there is
//! something that it may be partitioned by so that the events of every pattern meet. Where there is not, matches would be missing, and it has to be declared.
//! Events of other patterns go to tasks of their own ([`crate::service::topics::stages`]), which is said, and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, KafkaConfig, Origin};
use crate::event::StreamId;
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

/// The patterns whose events are taken to meet in the tasks of their topics.
pub(super) fn met_patterns<'a>(program: &'a Program, config: &Config, tasks: u32) -> Vec<&'a Pattern> {
    let rekeyed: BTreeSet<String> = rekeyed_patterns(program, config, tasks).into_iter().collect();
    program.patterns.iter().map(|pattern| &**pattern).filter(|pattern| !pattern.key_names.is_empty() && !rekeyed.contains(&pattern.name)).collect()
}

/// Of each topic that nobody says the key of, and that cannot have one with which the events of every pattern meet: its name, and a sentence.
pub(super) fn undeclared_keys(program: &Program, config: &Config, tasks: u32) -> Vec<(String, String)> {
    if tasks < 2 {
        return Vec::new();
    }
    let patterns = met_patterns(program, config, tasks);
    let mut possible: BTreeMap<StreamId, BTreeSet<usize>> = program.schema.ids().filter_map(|id| Some((id, possible_key(program, config, id)?))).collect();
    loop {
        let before = possible.clone();
        patterns.iter().for_each(|pattern| narrow(&mut possible, pattern));
        if possible == before {
            break;
        }
    }
    let impossible = possible.into_iter().filter(|(_, fields)| fields.is_empty()).map(|(id, _)| id);
    let undeclared = impossible.filter_map(|id| match &config.streams.get(&program.schema.stream(id).name)?.origin {
        Origin::Topic(topic) if declared_key(program, config, id).is_empty() => Some((id, topic)),
        _ => None,
    });
    undeclared.map(|(id, topic)| (topic.clone(), undeclared_key(program, &patterns, id, topic))).collect()
}

/// The fields that the topic of a stream may be partitioned by; `None`: it comes from no topic.
fn possible_key(program: &Program, config: &Config, id: StreamId) -> Option<BTreeSet<usize>> {
    let stream = program.schema.stream(id);
    let Origin::Topic(_) = config.streams.get(&stream.name)?.origin else { return None };
    let declared = declared_key(program, config, id);
    let is_possible = |name: &String| declared.is_empty() || declared.contains(name);
    Some(stream.fields.iter().enumerate().filter(|(_, field)| is_possible(&field.name)).map(|(place, _)| place).collect())
}

fn declared_key<'a>(program: &Program, config: &'a Config, id: StreamId) -> &'a [String] {
    config.streams.get(&program.schema.stream(id).name).map_or(&[], |bound| &bound.key)
}

/// Leaves only what the pattern's events meet by: what its topics are partitioned by stands at the same places of its key. Of a calculated part any of its fields may be meant. A topic
/// for which nothing is left says nothing of others.
fn narrow(possible: &mut BTreeMap<StreamId, BTreeSet<usize>>, pattern: &Pattern) {
    let is_possible = |source: &Source, place: usize| match possible.get(&source.stream) {
        Some(fields) if !fields.is_empty() => !fields_of(&source.key[place]).is_disjoint(fields),
        _ => true,
    };
    let places: Vec<usize> = (0..pattern.key_names.len()).filter(|place| pattern.sources.iter().all(|source| is_possible(source, *place))).collect();
    for source in &pattern.sources {
        if let Some(fields) = possible.get_mut(&source.stream) {
            let met: BTreeSet<usize> = places.iter().flat_map(|place| fields_of(&source.key[*place])).collect();
            fields.retain(|field| met.contains(field));
        }
    }
}

/// The places of the fields that a part of a key is made of.
fn fields_of(part: &Expression) -> BTreeSet<usize> {
    let mut fields = BTreeSet::new();
    part.visit(&mut |part| {
        if let Expression::Field(path) = part {
            fields.insert(usize::from(*path.first().expect("a field path is never empty")));
        }
    });
    fields
}

fn undeclared_key(program: &Program, patterns: &[&Pattern], id: StreamId, topic: &str) -> String {
    let stream = &program.schema.stream(id).name;
    let mut keys: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for pattern in patterns {
        for source in pattern.sources.iter().filter(|source| source.stream == id) {
            let all: Vec<usize> = (0..source.key.len()).collect();
            keys.entry(parts_in_words(program, pattern, source, &all)).or_default().insert(&pattern.name);
        }
    }
    let keys: Vec<String> = keys.into_iter().map(|(key, patterns)| format!("by {key} ({})", patterns.into_iter().collect::<Vec<_>>().join(", "))).collect();
    format!(
        "nobody says what topic {topic} is partitioned by, and its patterns are keyed {}: whatever it is, events of some of them would not meet, and matches would be missing; declare with \
         streams.{stream}.key what its producers partition it by, and the events of the others are handed on to the tasks that keep their keys",
        keys.join(", ")
    )
}

/// Parts of the key of a source in words: its fields, as the stream names them.
pub(super) fn parts_in_words(program: &Program, pattern: &Pattern, source: &Source, places: &[usize]) -> String {
    let fields = &program.schema.stream(source.stream).fields;
    let part = |place: &usize| source.key[*place].whole_field().map_or_else(|| pattern.key_names[*place].clone(), |field| fields[field].name.clone());
    places.iter().map(part).collect::<Vec<_>>().join(" and ")
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
pub(super) fn places(program: &Program, source: &Source, topic_key: &[String]) -> Option<Vec<usize>> {
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
        let (program, config) = deployment(&format!("pattern p {{ {pattern} }}"), keys);
        let findings = partitioning(&program, &config, tasks);
        let said = findings.into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.what)).collect();
        (said, rekeyed_patterns(&program, &config, tasks) == ["p"])
    }

    fn deployment(patterns: &str, keys: &[(&str, &[&str])]) -> (Program, Config) {
        let compiled = compile(&[Text { path: "p.motif".to_owned(), text: format!("{STREAMS}{patterns}") }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let mut config = Config::one_shot(Vec::new());
        for stream in ["clicks", "orders"] {
            let key = keys.iter().find(|(name, _)| *name == stream).map(|(_, key)| key.iter().map(|part| (*part).to_owned()).collect());
            let origin = Origin::Topic(format!("{stream}-topic"));
            config.streams.insert(stream.to_owned(), StreamConfig { key: key.unwrap_or_default(), ..StreamConfig::from_origin(origin) });
        }
        (compiled.program, config)
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

    #[test]
    fn a_key_that_is_not_declared_may_be_whatever_all_patterns_have_in_theirs() {
        let undeclared = |patterns: &[&str], keys: &[(&str, &[&str])], tasks| {
            let patterns: String = patterns.iter().enumerate().map(|(place, pattern)| format!("pattern p{place} {{ {pattern} }}\n")).collect();
            let (program, config) = deployment(&patterns, keys);
            undeclared_keys(&program, &config, tasks)
        };
        let by_country = BY_USER.replace("by user", "by country");
        let by_spelling = BY_USER.replace("by user", "by lower(user)");
        let joined_by_user = JOINED.replace("by user, country", "by user");
        let orders_by_country = by_country.replace("clicks", "orders");
        for (patterns, keys, tasks) in [
            (&[BY_USER, BY_USER][..], &[][..], 8),
            (&[BY_USER, BY_BOTH, KEYLESS, &joined_by_user], &[], 8),
            // It may be partitioned by what both are made of.
            (&[BY_USER, &by_spelling], &[], 8),
            (&[JOINED, &by_country, &orders_by_country], &[], 8),
            // Declared, the others are handed on; one partition holds everything.
            (&[BY_USER, &by_country], &[("clicks", &["user"][..])], 8),
            (&[BY_USER, &joined_by_user, &orders_by_country], &[("clicks", &["user"]), ("orders", &["country"])], 8),
            (&[BY_USER, &by_country], &[], 1),
        ] {
            assert_eq!(undeclared(patterns, keys, tasks), Vec::new(), "{patterns:?} {keys:?}");
        }
        let define = "define coming = clicks where user != \"a\"\ndefine going = clicks where user != \"b\"\n";
        let both_ways = "from coming, going by coming.user, going.country match a: coming then b: going within 1m";
        for (patterns, keys, topics) in [
            (&[BY_USER, &by_country][..], &[][..], &["clicks-topic"][..]),
            (&[BY_USER, BY_BOTH, &by_country], &[], &["clicks-topic"]),
            (&[&joined_by_user, &by_country], &[], &["clicks-topic"]),
            (&[JOINED, BY_USER, &orders_by_country], &[], &["clicks-topic", "orders-topic"]),
            (&[JOINED, &orders_by_country], &[("clicks", &["user"][..])], &["orders-topic"]),
        ] {
            let said = undeclared(patterns, keys, 8);
            assert_eq!(said.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(), topics, "{patterns:?} {keys:?}");
        }
        let (program, config) = deployment(&format!("{define}pattern p {{ {both_ways} }}"), &[]);
        assert_eq!(undeclared_keys(&program, &config, 8).len(), 1, "one pattern with two keys");
        let (_, sentence) = undeclared(&[BY_USER, BY_BOTH, &by_country], &[], 2).remove(0);
        for part in ["topic clicks-topic", "by country (p2)", "by user (p0)", "by user and country (p1)", "streams.clicks.key"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
