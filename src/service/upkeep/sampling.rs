//! Whether the records of topics lie as their patterns need it: the last ones of each partition are looked at, for what a topic is partitioned by can be said, but not be seen from outside.
//!
//! Two events of one key in two partitions, or in differently numbered partitions of two topics that a pattern joins, are events that do not meet: producers partition by something else
//! than is declared or assumed, or not all alike (murmur2 and CRC32). `motif topics` calls that an error. A service says it loudly and counts it, but starts: where partitions were added to a
//! topic before the service first read it, records from before are misplaced beside later ones, which harms nothing any more once no window reaches back to them, and nobody could
//! mend it. That nothing is found proves nothing, least of all where topics are empty.
//!
//! What is compared is what the topics are declared to be partitioned by, or else the whole key of a pattern, as the engine makes it. Events that a pattern does not read, that hold a null in
//! the key, and records that cannot be decoded are passed over; patterns whose events are handed on need nothing of how topics are partitioned.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::codec::{DecodeOptions, Decoder};
use crate::config::{Config, Origin};
use crate::event::{Event, Key, StreamId};
use crate::kafka::{Link, SampleBounds, sample};
use crate::pattern::{Expression, FieldsUsed, Names, Pattern, Program, Scope, Source};
use crate::ports::TransportError;
use crate::service::task::time_unit;
use crate::service::upkeep::partitioning::{met_patterns, parts_in_words, places};

/// Records of each partition that are looked at.
const RECORDS_MAX: u64 = 500;

/// The same of each topic, in bytes.
const BYTES_MAX: u64 = 32 << 20;

/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(3);

/// Keys whose events do not meet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Misplaced {
    /// Where one of them was found that is in another partition than before.
    pub topic: String,
    /// How many of those that were looked at.
    pub keys: u64,
    /// A sentence that names two places, and the remedy.
    pub what: String,
}

/// Looks at the last records of the inputs, each with so many partitions. An error: they may not be read.
pub(super) fn misplaced_keys(link: &Link, program: &Program, config: &Config, tasks: u32) -> Result<Vec<Misplaced>, TransportError> {
    if tasks < 2 {
        return Ok(Vec::new());
    }
    let mut lines = Lines::new(program, config, tasks);
    let until = Instant::now() + TIME_MAX;
    for (stream, topic) in lines.topics.clone() {
        let options = DecodeOptions { timestamp_unit: time_unit(config.streams[&program.schema.stream(stream).name].timestamp_unit) };
        let mut decoder = Decoder::of_fields(&program.schema, stream, options, lines.fields.of(stream));
        sample(link, &topic, tasks, &SampleBounds { records_max: RECORDS_MAX, bytes_max: BYTES_MAX, until }, &mut |partition, record| {
            if let Ok(event) = decoder.decode(record, partition) {
                lines.note(&event);
            }
        })?;
    }
    Ok(lines.misplaced())
}

/// Keys, and where their events were seen.
struct Lines<'a> {
    program: &'a Program,
    /// The topic of each stream that matters.
    topics: BTreeMap<StreamId, String>,
    fields: FieldsUsed,
    lines: Vec<Line<'a>>,
}

/// Those of patterns that have the same events by the same keys.
struct Line<'a> {
    /// One at least.
    patterns: Vec<&'a Pattern>,
    /// The parts of their key that are compared.
    places: Vec<usize>,
    /// These in words.
    key: String,
    /// By key: where an event of it was seen first, and where one was that does not meet it.
    keys: BTreeMap<Key, (Place, Option<Place>)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    stream: StreamId,
    partition: u32,
    offset: u64,
}

impl<'a> Lines<'a> {
    fn new(program: &'a Program, config: &Config, tasks: u32) -> Self {
        let patterns = met_patterns(program, config, tasks);
        let mut fields = FieldsUsed::none(&program.schema);
        patterns.iter().for_each(|pattern| fields.add(pattern));
        let read: BTreeSet<StreamId> = patterns.iter().flat_map(|pattern| &pattern.sources).map(|source| source.stream).collect();
        let topic = |id: StreamId| match &config.streams.get(&program.schema.stream(id).name)?.origin {
            Origin::Topic(topic) => Some((id, topic.clone())),
            _ => None,
        };
        let (mut lines, mut known): (Vec<Line<'a>>, BTreeMap<_, usize>) = (Vec::new(), BTreeMap::new());
        for pattern in patterns {
            let places = compared(program, config, pattern);
            let key = parts_in_words(program, pattern, &pattern.sources[0], &places);
            match known.entry((key.clone(), sources_text(program, pattern, &places))) {
                Entry::Occupied(line) => lines[*line.get()].patterns.push(pattern),
                Entry::Vacant(line) => {
                    line.insert(lines.len());
                    lines.push(Line { patterns: vec![pattern], places, key, keys: BTreeMap::new() });
                }
            }
        }
        Self { program, topics: read.into_iter().filter_map(topic).collect(), fields, lines }
    }

    fn note(&mut self, event: &Event) {
        let here = Place { stream: event.stream, partition: event.partition, offset: event.offset };
        for Line { patterns, places, keys, .. } in &mut self.lines {
            for key in patterns[0].sources.iter().filter_map(|source| key_of(source, places, event)) {
                let (first, other) = keys.entry(key).or_insert((here, None));
                if first.partition != here.partition {
                    other.get_or_insert(here);
                }
            }
        }
    }

    /// Patterns of which the same is to be said are named together.
    fn misplaced(&self) -> Vec<Misplaced> {
        let mut found: BTreeMap<(StreamId, StreamId, &str), (Vec<&str>, &Line<'_>)> = BTreeMap::new();
        for line in &self.lines {
            if let Some((first, other)) = line.example() {
                let names = line.patterns.iter().map(|pattern| pattern.name.as_str());
                found.entry((first.stream, other.stream, &line.key)).or_insert((Vec::new(), line)).0.extend(names);
            }
        }
        let say = |(mut patterns, line): (Vec<&str>, &Line<'_>)| {
            patterns.sort_unstable();
            self.say(&patterns, line)
        };
        found.into_values().filter_map(say).collect()
    }

    fn say(&self, patterns: &[&str], line: &Line<'_>) -> Option<Misplaced> {
        let (key, (first, other)) = (&line.key, line.example()?);
        let shown = |place: Place| format!("{}/{} (offset {})", self.topics[&place.stream], place.partition, place.offset);
        let keys = line.keys.values().filter(|(_, other)| other.is_some()).count() as u64;
        let stream = &self.program.schema.stream(other.stream).name;
        let what = format!(
            "{} and {} hold events of one key ({key}), as {keys} of {} keys that were looked at lie in several partitions: they do not meet, and matches of {} are missing. The producers do not \
             partition by that key, or not all in the same way, or partitions were added since; have all of them partition alike, or declare with streams.{stream}.key what they partition by",
            shown(first),
            shown(other),
            line.keys.len(),
            patterns.join(", ")
        );
        Some(Misplaced { topic: self.topics[&other.stream].clone(), keys, what })
    }
}

impl Line<'_> {
    fn example(&self) -> Option<(Place, Place)> {
        self.keys.values().find_map(|(first, other)| Some((*first, (*other)?)))
    }
}

/// What its topics are declared to be partitioned by, where all of them are; else the whole key.
fn compared(program: &Program, config: &Config, pattern: &Pattern) -> Vec<usize> {
    let declared = |source: &Source| {
        let key = &config.streams.get(&program.schema.stream(source.stream).name)?.key;
        places(program, source, key).filter(|places| !places.is_empty())
    };
    let all: Option<Vec<_>> = pattern.sources.iter().map(declared).collect();
    all.and_then(|all| all.into_iter().next()).unwrap_or_else(|| (0..pattern.key_names.len()).collect())
}

/// The events that a pattern reads, and what is compared of their keys.
fn sources_text(program: &Program, pattern: &Pattern, places: &[usize]) -> Vec<String> {
    let text = |source: &Source| {
        let names = Names { schema: &program.schema, pattern, stream: Some(source.stream) };
        let filter = source.filter.as_ref().map(|filter| filter.text(&names)).unwrap_or_default();
        let parts: Vec<String> = places.iter().map(|place| source.key[*place].text(&names)).collect();
        format!("{} where {filter} by {}", program.schema.stream(source.stream).name, parts.join(", "))
    };
    pattern.sources.iter().map(text).collect()
}

/// These parts of the key of an event that the source reads.
fn key_of(source: &Source, places: &[usize], event: &Event) -> Option<Key> {
    let faults = Cell::new(0);
    let scope = Scope::of_event(event.all_fields(), &faults);
    if source.stream != event.stream || source.filter.as_ref().is_some_and(|filter| !filter.holds(&scope)) {
        return None;
    }
    let value = |place: &usize| Expression::value(&source.key[*place], &scope);
    let values: Vec<_> = places.iter().map(value).collect();
    Key::encode(&values, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamConfig;
    use crate::event::{EventTime, Value};
    use crate::language::{Source as Text, compile};

    const TEXT: &str = "
stream clicks { user: string page: string at: timestamp time at }
stream orders { user: string page: string at: timestamp time at }
define seen = clicks where page != \"none\"
pattern by_user { from clicks by user match a: clicks then b: clicks within 1m }
pattern again { from clicks by user match a: clicks then b: clicks within 2m }
pattern joined { from seen, orders by user match a: seen then b: orders within 1m }
";

    /// What is said of events: stream, partition, user, page.
    fn said(text: &str, keys: &[(&str, &[&str])], events: &[(&str, u32, &str, &str)]) -> Vec<Misplaced> {
        let compiled = compile(&[Text { path: "p.motif".to_owned(), text: text.to_owned() }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let (program, mut config) = (compiled.program, Config::one_shot(Vec::new()));
        for stream in ["clicks", "orders"] {
            let key = keys.iter().find(|(name, _)| *name == stream).map(|(_, key)| key.iter().map(|part| (*part).to_owned()).collect());
            let origin = Origin::Topic(format!("{stream}-topic"));
            config.streams.insert(stream.to_owned(), StreamConfig { key: key.unwrap_or_default(), ..StreamConfig::from_origin(origin) });
        }
        let mut lines = Lines::new(&program, &config, 8);
        for (offset, &(stream, partition, user, page)) in (0..).zip(events) {
            let text = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
            let fields = [text(user), text(page), Value::Timestamp(EventTime::from_micros(0))].into();
            let stream = program.schema.find(stream).expect("declared");
            lines.note(&Event { stream, partition, offset, fields, ..Event::empty() });
        }
        lines.misplaced()
    }

    #[test]
    fn keys_that_lie_in_one_partition_are_passed_over() {
        for (keys, events) in [
            (&[][..], &[][..]),
            (&[], &[("clicks", 1, "ann", "a"), ("clicks", 1, "ann", "b"), ("orders", 1, "ann", "a"), ("clicks", 2, "bob", "a")][..]),
            // A null stands in no line.
            (&[], &[("clicks", 1, "", "a"), ("clicks", 2, "", "a")]),
            // Only one of them is read by a pattern that reads the other topic.
            (&[], &[("clicks", 1, "ann", "none"), ("orders", 2, "ann", "a")]),
            // They are handed on to where they meet.
            (&[("clicks", &["page"][..]), ("orders", &["page"])], &[("clicks", 1, "ann", "a"), ("clicks", 2, "ann", "b"), ("orders", 3, "ann", "b")]),
        ] {
            assert_eq!(said(TEXT, keys, events), [], "{events:?}");
        }
    }

    #[test]
    fn a_key_in_two_partitions_of_a_topic_is_said_once_of_all_its_patterns() {
        let said = said(TEXT, &[], &[("clicks", 1, "ann", "none"), ("clicks", 2, "bob", "none"), ("clicks", 3, "ann", "none")]);
        assert_eq!((said.len(), said[0].topic.as_str(), said[0].keys), (1, "clicks-topic", 1), "{said:?}");
        for part in
            ["clicks-topic/1 (offset 0) and clicks-topic/3 (offset 2)", "(user)", "1 of 2 keys", "matches of again, by_user are missing", "streams.clicks.key"]
        {
            assert!(said[0].what.contains(part), "{said:?}");
        }
    }

    #[test]
    fn a_key_in_differently_numbered_partitions_of_topics_that_are_joined_is_said() {
        let said = said(TEXT, &[], &[("clicks", 1, "ann", "a"), ("orders", 2, "ann", "a")]);
        assert_eq!((said.len(), said[0].topic.as_str()), (1, "orders-topic"), "{said:?}");
        assert!(said[0].what.contains("clicks-topic/1 (offset 0) and orders-topic/2 (offset 1)") && said[0].what.contains("matches of joined"), "{said:?}");
    }

    /// Of each key a place is kept for every line: as many as the patterns they would be the most of what a start takes.
    #[test]
    fn patterns_that_have_the_same_keys_of_the_same_events_keep_them_once() {
        let kept = |patterns: &str| {
            let declared: String = TEXT.lines().filter(|line| !line.starts_with("pattern")).flat_map(|line| [line, "\n"]).collect();
            let compiled = compile(&[Text { path: "p.motif".to_owned(), text: declared + "define sold = orders where page != \"none\"\n" + patterns }]);
            assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
            Lines::new(&compiled.program, &Config::one_shot(Vec::new()), 8).lines.len()
        };
        let pattern =
            |name: usize, sources: &str| format!("pattern p{name} {{ from {sources} match a: clicks where page == \"{name}\" then b: clicks within 1m }}\n");
        assert_eq!(kept(&(0..200).map(|name| pattern(name, "clicks by user")).collect::<String>()), 1);
        let others = ["clicks by user", "clicks by page", "clicks by user, page", "clicks by lower(user)", "clicks, orders by user", "clicks, sold by user"];
        assert_eq!(kept(&others.iter().enumerate().map(|(name, sources)| pattern(name, sources)).collect::<String>()), others.len());
    }

    /// What is declared tells more than a longer key of a pattern does, which seldom comes twice.
    #[test]
    fn of_a_declared_key_its_own_parts_are_compared() {
        let text = TEXT.replace("pattern again { from clicks by user ", "pattern again { from clicks by user, page ");
        let only = |name: &str| text.lines().filter(|line| !line.starts_with("pattern") || line.contains(name)).collect::<Vec<_>>().join("\n");
        let events = [("clicks", 1, "ann", "a"), ("clicks", 2, "ann", "b")];
        assert_eq!(said(&only("again"), &[], &events), []);
        assert_eq!(said(&only("again"), &[("clicks", &["user"])], &events).len(), 1);
    }
}
