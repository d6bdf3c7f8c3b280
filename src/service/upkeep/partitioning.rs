//! Whether events that belong together meet: patterns against the partitions of their topics.
//!
//! A task sees one partition of each topic. So all events of one key must be in one partition, the same of each topic: the key of a pattern holds what its topics are
//! partitioned by (`streams.NAME.key`). What a topic is partitioned by cannot be seen from outside; where it is not declared, it is taken for the pattern's key.

use crate::config::{Config, Origin};
use crate::pattern::{Expression, Pattern, Program, Source};
use crate::service::upkeep::findings::{Finding, Severity};

/// Every pattern whose events would not meet, and every one that one task has to evaluate alone. `tasks`: the partitions of each input.
pub(super) fn partitioning(program: &Program, config: &Config, tasks: u32) -> Vec<Finding> {
    program.patterns.iter().filter_map(|pattern| examine(program, config, tasks, pattern)).collect()
}

fn examine(program: &Program, config: &Config, tasks: u32, pattern: &Pattern) -> Option<Finding> {
    let name = &pattern.name;
    if pattern.key_names.is_empty() {
        return Some(keyless(name, tasks));
    }
    if tasks < 2 {
        return None;
    }
    let error = |what| Some(Finding { severity: Severity::Error, what });
    let mut first: Option<(Vec<usize>, &str)> = None;
    for source in &pattern.sources {
        let stream = &program.schema.stream(source.stream).name;
        let Some((topic, key)) = config.streams.get(stream).and_then(|bound| topic_key(&bound.origin, &bound.key)) else { continue };
        let Some(places) = places(program, source, key) else {
            let (of_pattern, of_topic) = (pattern.key_names.join(", "), key.join(", "));
            return error(format!(
                "pattern `{name}` is keyed by {of_pattern}, and topic {topic} is partitioned by {of_topic} (streams.{stream}.key): events of one {of_pattern} are in several partitions and never meet; add {of_topic} to the pattern's key, or read a topic that is partitioned by {of_pattern}"
            ));
        };
        match &first {
            None => first = Some((places, topic)),
            Some((others, other)) if *others != places => {
                return error(format!(
                    "pattern `{name}` joins topics {other} and {topic}, which are partitioned by different parts of its key ({}): events of one key are in different partitions and never meet; partition both by the same parts",
                    pattern.key_names.join(", ")
                ));
            }
            Some(_) => {}
        }
    }
    None
}

fn keyless(name: &str, tasks: u32) -> Finding {
    if tasks < 2 {
        let what = format!("pattern `{name}` has no key: one task evaluates all of its events, on one core, however many workers there are");
        return Finding { severity: Severity::Warning, what };
    }
    let what = format!(
        "pattern `{name}` has no key, and its topics have {tasks} partitions: events of different partitions would never meet; give it a key (`from … by …`), or read topics with one partition, which one task then evaluates alone"
    );
    Finding { severity: Severity::Error, what }
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
    let is_field = |part: &Expression, name: &str| matches!(part, Expression::Field(path) if path.len() == 1 && fields[usize::from(path[0])].name == name);
    topic_key.iter().map(|name| source.key.iter().position(|part| is_field(part, name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamConfig;
    use crate::language::{Source as Text, compile};

    const STREAMS: &str =
        "stream clicks { user: string country: string at: timestamp time at }\nstream orders { user: string country: string at: timestamp time at }\n";

    fn said(pattern: &str, keys: &[(&str, &[&str])], tasks: u32) -> Vec<String> {
        let compiled = compile(&[Text { path: "p.motif".to_owned(), text: format!("{STREAMS}pattern p {{ {pattern} }}") }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let mut config = Config::one_shot(Vec::new());
        for stream in ["clicks", "orders"] {
            let key = keys.iter().find(|(name, _)| *name == stream).map(|(_, key)| key.iter().map(|part| (*part).to_owned()).collect());
            let origin = Origin::Topic(format!("{stream}-topic"));
            config.streams.insert(stream.to_owned(), StreamConfig { key: key.unwrap_or_default(), ..StreamConfig::from_origin(origin) });
        }
        partitioning(&compiled.program, &config, tasks).into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.what)).collect()
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
            assert_eq!(said(pattern, keys, tasks), Vec::<String>::new(), "{pattern} {keys:?}");
        }
    }

    #[test]
    fn one_whose_events_do_not_is_refused_with_what_to_do() {
        for (pattern, keys, tasks, parts) in [
            (BY_USER, &[("clicks", &["country"][..])][..], 8, &["Error", "keyed by user", "clicks-topic is partitioned by country", "add country"][..]),
            (BY_USER, &[("clicks", &["user", "country"])], 8, &["Error", "partitioned by user, country"]),
            (JOINED, &[("clicks", &["user"]), ("orders", &["country"])], 8, &["Error", "joins topics clicks-topic and orders-topic"]),
            (KEYLESS, &[], 8, &["Error", "has no key", "8 partitions", "one partition"]),
            (KEYLESS, &[], 1, &["Warning", "has no key", "on one core"]),
        ] {
            let said = said(pattern, keys, tasks);
            assert_eq!(said.len(), 1, "{pattern}: {said:?}");
            assert!(parts.iter().all(|part| said[0].contains(part)), "{said:?}");
        }
    }
}
