//! Late events and rejected records, as they stand in their topics: looked at, and sent to their inputs again.
//!
//! A letter that is replayed goes to the partition that it came from, key, value, headers and time as they were; in the same transaction a *mark* goes behind it into its own
//! topic: a record without key and value, with the letter's offset in the header `replayed`. So a replay that is cut off anywhere can be repeated, and nothing goes twice.

use std::collections::BTreeSet;

use anyhow::Context;

use crate::config::{Config, KafkaConfig};
use crate::event::EventTime;
use crate::kafka::{Admin, Link, Operation, TopicReader, TopicRecord, TopicWriter};
use crate::ports::{OutputRecord, OwnedHeader};
use crate::service::topics::outgoing::{CUT_HEADER, CUT_HEADERS_HEADER, CUT_KEY_HEADER, ORIGINAL_PREFIX};
use crate::service::upkeep::topics::link;

/// Of a mark: the offset of the letter, in the same partition.
pub const MARK_HEADER: &str = "replayed";

/// Of a record that was replayed: where the letter stands.
const ORIGIN_HEADER: &str = "replayed-from";

/// Letters of one transaction.
const TRANSACTION_LETTERS: usize = 200;

/// Where a letter stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LetterPlace {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
}

/// One record that took no part, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    pub place: LetterPlace,
    pub code: String,
    pub reason: String,
    pub stream: String,
    /// Where it was read.
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    pub time: Option<EventTime>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Those that its producer gave it.
    pub headers: Vec<OwnedHeader>,
    /// How long the whole value was, where the letter was too long for its topic: where not the value is cut, the key or the headers are.
    pub cut: Option<u64>,
    /// How long the whole key was, where it stands here cut off.
    pub key_cut: Option<u64>,
    /// How many headers there were, where some are left out.
    pub headers_cut: Option<u64>,
    pub was_replayed: bool,
}

/// Which letters are meant; what is empty does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub codes: Vec<String>,
    /// Of the input.
    pub topics: Vec<String>,
    pub places: Vec<LetterPlace>,
}

/// What became of a letter that was to be replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    Now,
    /// An earlier replay has sent it.
    Before,
    /// Only a part of it is here.
    CutOff,
}

impl std::fmt::Display for LetterPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}:{}", self.topic, self.partition, self.offset)
    }
}

impl LetterPlace {
    /// As it is shown: `topic/partition:offset`.
    pub fn parse(text: &str) -> Option<Self> {
        let (topic, place) = text.rsplit_once('/')?;
        let (partition, offset) = place.split_once(':')?;
        Some(Self { topic: topic.to_owned(), partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    }
}

impl Selection {
    pub fn is_all(&self) -> bool {
        self.codes.is_empty() && self.topics.is_empty() && self.places.is_empty()
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        (self.codes.is_empty() || self.codes.contains(&letter.code))
            && (self.topics.is_empty() || self.topics.contains(&letter.topic))
            && (self.places.is_empty() || self.places.contains(&letter.place))
    }
}

/// Shows every letter that is selected, in order of topic, partition and offset; until told to stop.
pub fn visit_letters(config: &Config, selection: &Selection, visit: &mut dyn FnMut(DeadLetter) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let kafka = config.kafka.as_ref().context("the configuration has no [kafka] table")?;
    visit_all(&link(config, kafka), kafka, selection, visit)
}

/// Sends every letter that is selected to its input again, but what was sent before; tells what became of each.
pub fn replay_letters(config: &Config, selection: &Selection, tell: &mut dyn FnMut(&DeadLetter, Replayed) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let kafka = config.kafka.as_ref().context("the configuration has no [kafka] table")?;
    let link = link(config, kafka);
    // Before the marks are read: who replays at the same time can do nothing from now on.
    let mut writer = TopicWriter::open(&link, "dlq")?;
    let mut waiting = Vec::new();
    visit_all(&link, kafka, selection, &mut |letter| {
        if letter.was_replayed {
            tell(&letter, Replayed::Before)?;
        } else if letter.cut.is_some() {
            tell(&letter, Replayed::CutOff)?;
        } else {
            waiting.push(letter);
        }
        if waiting.len() >= TRANSACTION_LETTERS {
            send(&mut writer, &mut waiting, tell)?;
        }
        Ok(true)
    })?;
    send(&mut writer, &mut waiting, tell)
}

fn send(writer: &mut TopicWriter, letters: &mut Vec<DeadLetter>, tell: &mut dyn FnMut(&DeadLetter, Replayed) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let texts: Vec<(String, String)> = letters.iter().map(|letter| (letter.place.to_string(), letter.place.offset.to_string())).collect();
    let headers: Vec<_> =
        letters.iter().zip(&texts).map(|(letter, (origin, offset))| (of_replayed(letter, origin), [(MARK_HEADER, Some(offset.as_bytes()))])).collect();
    let mut records = Vec::new();
    for (letter, (origin, mark)) in letters.iter().zip(&headers) {
        let (key, value) = (letter.key.as_deref(), letter.value.as_deref());
        records.push((OutputRecord { topic: &letter.topic, partition: letter.partition, key, value, headers: origin }, letter.time));
        let place = &letter.place;
        records.push((OutputRecord { topic: &place.topic, partition: place.partition, key: None, value: None, headers: mark }, None));
    }
    writer.write(&records)?;
    letters.drain(..).try_for_each(|letter| tell(&letter, Replayed::Now))
}

/// As they were, and where it comes from now. (It may have been replayed before.)
fn of_replayed<'a>(letter: &'a DeadLetter, origin: &'a str) -> Vec<(&'a str, Option<&'a [u8]>)> {
    let own = letter.headers.iter().filter(|(name, _)| name != ORIGIN_HEADER).map(|(name, value)| (name.as_str(), value.as_deref()));
    own.chain([(ORIGIN_HEADER, Some(origin.as_bytes()))]).collect()
}

fn visit_all(link: &Link, kafka: &KafkaConfig, selection: &Selection, visit: &mut dyn FnMut(DeadLetter) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let topics: BTreeSet<&str> = [&kafka.late_topic, &kafka.rejected_topic].into_iter().flatten().map(String::as_str).collect();
    let admin = Admin::open(link)?;
    let described = admin.describe(&topics.iter().copied().collect::<Vec<_>>())?;
    for topic in topics {
        if !described.contains_key(topic) && !admin.hidden(&[topic]).is_empty() {
            return Err(link.hidden(&[(topic, &[Operation::Read])]).into());
        }
        let facts = described.get(topic).with_context(|| format!("topic {topic} does not exist at {}", kafka.brokers))?;
        for partition in 0..facts.partitions {
            if !visit_partition(link, topic, partition, selection, visit)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Twice through the partition: marks stand behind what they mark. Says whether to go on.
fn visit_partition(
    link: &Link,
    topic: &str,
    partition: u32,
    selection: &Selection,
    visit: &mut dyn FnMut(DeadLetter) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let mut replayed = BTreeSet::new();
    let mut reader = TopicReader::open(link, topic, partition, 0)?;
    while let Some(record) = reader.take()? {
        replayed.extend(record.number(MARK_HEADER));
    }
    let mut reader = TopicReader::open(link, topic, partition, 0)?;
    while let Some(record) = reader.take()? {
        let Some(mut letter) = letter(topic, partition, record) else { continue };
        letter.was_replayed = replayed.contains(&letter.place.offset);
        if selection.takes(&letter) && !visit(letter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None`: a mark, or nothing of ours.
fn letter(topic: &str, partition: u32, record: TopicRecord) -> Option<DeadLetter> {
    let text = |name| record.text(name).map(str::to_owned);
    let original = |(name, value): &OwnedHeader| Some((name.strip_prefix(ORIGINAL_PREFIX)?.to_owned(), value.clone()));
    Some(DeadLetter {
        place: LetterPlace { topic: topic.to_owned(), partition, offset: record.offset },
        code: text("code")?,
        reason: text("reason")?,
        stream: text("stream")?,
        topic: text("topic")?,
        partition: u32::try_from(record.number("partition")?).ok()?,
        offset: record.number("offset")?,
        time: record.text("time").and_then(EventTime::parse_rfc3339),
        cut: record.number(CUT_HEADER),
        key_cut: record.number(CUT_KEY_HEADER),
        headers_cut: record.number(CUT_HEADERS_HEADER),
        was_replayed: false,
        headers: record.headers.iter().filter_map(original).collect(),
        key: record.key,
        value: record.value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> TopicRecord {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec()))).collect();
        TopicRecord { offset: 7, timestamp: None, key: Some(b"k".to_vec()), value: None, headers }
    }

    const LETTER: [(&str, &str); 6] = [("code", "not_json"), ("reason", "r"), ("stream", "s"), ("topic", "in"), ("partition", "3"), ("offset", "11")];

    #[test]
    fn marks_and_foreign_records_are_no_letters() {
        let found = letter("dead", 2, record(&LETTER)).expect("a letter");
        assert_eq!((found.place.to_string().as_str(), found.topic.as_str(), found.partition, found.offset), ("dead/2:7", "in", 3, 11));
        assert_eq!(letter("dead", 2, record(&[(MARK_HEADER, "3")])), None);
        assert_eq!(letter("dead", 2, record(&LETTER[..5])), None);
        assert_eq!(letter("dead", 2, record(&[])), None);
    }

    #[test]
    fn what_the_producer_said_goes_back_with_a_letter() {
        let headers = [("original.trace", "7"), ("original.code", "theirs"), ("original.replayed-from", "dead/2:1"), ("original.trace", "8")];
        let found = letter("dead", 2, record(&[&LETTER[..], &headers].concat())).expect("a letter");
        assert_eq!(found.code, "not_json");
        let texts: Vec<_> =
            of_replayed(&found, "dead/2:7").into_iter().map(|(name, value)| (name, value.and_then(|value| std::str::from_utf8(value).ok()))).collect();
        assert_eq!(texts, [("trace", Some("7")), ("code", Some("theirs")), ("trace", Some("8")), (ORIGIN_HEADER, Some("dead/2:7"))]);
    }

    #[test]
    fn places_are_read_as_they_are_shown() {
        let place = LetterPlace { topic: "a/b.c".to_owned(), partition: 3, offset: 17 };
        assert_eq!(LetterPlace::parse(&place.to_string()), Some(place));
        for wrong in ["", "3:17", "a/3", "a/3:", "a/x:1", "a/3:-1"] {
            assert_eq!(LetterPlace::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_selection_restricts_by_everything_that_it_names() {
        let letter = letter("dead", 2, record(&LETTER)).expect("a letter");
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let places = |texts: &[&str]| texts.iter().filter_map(|text| LetterPlace::parse(text)).collect::<Vec<_>>();
        for (codes, topics, at, takes) in [
            (&[][..], &[][..], &[][..], true),
            (&["late", "not_json"], &[], &[], true),
            (&["late"], &[], &[], false),
            (&[], &["in"], &["dead/2:7"], true),
            (&[], &["in"], &["dead/2:8"], false),
            (&["not_json"], &["other"], &[], false),
        ] {
            let selection = Selection { codes: texts(codes), topics: texts(topics), places: places(at) };
            assert_eq!(selection.takes(&letter), takes, "{selection:?}");
        }
    }
}
