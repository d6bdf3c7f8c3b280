//! Questions about topics and the group, asked by a client that never joins it.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::StreamId;
use crate::kafka::bystander::{BystanderConsumer, fetch_news, metadata};
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::kafka::reader::PartitionReader;
use crate::kafka::topic_id;
use crate::kafka::{Link, failure, ffi};
use crate::ports::{Committed, CurrentTopic, Failure, InputPartition, InputReader, JournalEntry, TopicId, TopicSurvey, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Committed offsets are not told while a transaction that changes them is open; after a hard crash that lasts until its time-out.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(90);

/// How often it is said that they are waited for.
const COMMITTED_WARNING_INTERVAL: Duration = Duration::from_secs(15);

/// The same for the records of a topic, at least: transactions of ours may be allowed to take longer.
const STABLE_TIMEOUT_MIN: Duration = Duration::from_secs(60);
const STABLE_INTERVAL: Duration = Duration::from_millis(20);

/// Which topic each stream comes from. The first of them leads the group's assignments.
#[derive(Clone, Debug)]
pub struct Topics {
    by_stream: BTreeMap<StreamId, String>,
    /// As far as they are known.
    ids: BTreeMap<StreamId, TopicId>,
}

/// A topic that was looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// With so many partitions.
    There(u32),
    Missing,
    /// We are not allowed to know.
    Hidden,
}

/// The cluster, as it was found and as it can be asked.
pub struct Survey {
    link: Link,
    topics: Topics,
    client: BystanderConsumer,
    /// Is told where logs really end; the other one only up to the first open transaction.
    uncommitted: BystanderConsumer,
    journal: String,
    metadata: Metadata,
}

impl Topics {
    /// At least one.
    pub fn new(by_stream: BTreeMap<StreamId, String>) -> Self {
        assert!(!by_stream.is_empty(), "a service on Kafka reads some topic");
        Self { by_stream, ids: BTreeMap::new() }
    }

    /// Which topics these names are: what is committed of one is noted to be of that one.
    pub fn with_ids(self, ids: BTreeMap<StreamId, TopicId>) -> Self {
        Self { ids, ..self }
    }

    pub(super) fn id(&self, stream: StreamId) -> Option<&TopicId> {
        self.ids.get(&stream)
    }

    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.by_stream.keys().copied()
    }

    pub(super) fn leading(&self) -> &str {
        self.by_stream.values().next().expect("checked in `new`")
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_stream.values().map(String::as_str)
    }

    pub(super) fn name(&self, stream: StreamId) -> &str {
        &self.by_stream[&stream]
    }

    pub(super) fn stream(&self, topic: &str) -> Option<StreamId> {
        self.by_stream.iter().find(|(_, name)| *name == topic).map(|(stream, _)| *stream)
    }
}

impl Survey {
    /// Connects and takes stock. An error where no broker answers.
    pub fn open(link: &Link, topics: Topics) -> Result<Self, TransportError> {
        let client: BystanderConsumer = link.consumer().map_err(|error| failure::of_settings(&error))?;
        let metadata = metadata(&client, link)?;
        let uncommitted = link.uncommitted_consumer().map_err(|error| failure::of_settings(&error))?;
        Ok(Self { link: link.clone(), topics, client, uncommitted, journal: String::new(), metadata })
    }

    /// The topic that holds the journal.
    pub fn with_journal(self, journal: &str) -> Self {
        Self { journal: journal.to_owned(), ..self }
    }

    /// Waits until everything that the log holds now is decided, and gives the range that is kept. Where that takes longer than a transaction of ours may, it can be asked
    /// again: others may have given theirs more time, and only for how long that is tried is a matter of patience.
    fn await_stable(&self, topic: &str, task: u32) -> Result<Range<u64>, TransportError> {
        let end = self.written(topic, task)?.end;
        let longest = stable_timeout(&self.link);
        let deadline = Instant::now() + longest;
        loop {
            let retained = self.retained_of_topic(topic, task)?;
            if retained.end >= end {
                return Ok(retained);
            }
            if Instant::now() > deadline {
                return Err(undecided(&self.link.brokers, topic, task, retained.end, longest));
            }
            std::thread::sleep(STABLE_INTERVAL);
        }
    }

    /// How many partitions a topic has; an error that names it where it does not exist.
    pub fn partitions(&self, topic: &str) -> Result<u32, TransportError> {
        match self.find(topic) {
            Found::There(partitions) => Ok(partitions),
            Found::Hidden => Err(self.link.hidden(&[(topic, &[Operation::Describe])])),
            Found::Missing => Err(TransportError::fatal(format!("topic {topic} does not exist at {}; create it first", self.link.brokers))),
        }
    }

    /// As things stood when this was opened.
    pub fn find(&self, topic: &str) -> Found {
        let there = self.metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        match there.and_then(|found| u32::try_from(found.partitions().len()).ok()) {
            Some(partitions) if partitions > 0 => Found::There(partitions),
            _ if is_hidden(&self.client, topic) => Found::Hidden,
            _ => Found::Missing,
        }
    }

    /// How many partitions a topic has by now; 0 where there is none, or none that we may see.
    pub(super) fn partitions_now(&self, topic: &str) -> Result<usize, TransportError> {
        let asked = self.client.fetch_metadata(Some(topic), CALL_TIMEOUT);
        let metadata = asked.map_err(|error| self.link.failed(&format!("the partitions of topic {topic}"), Operation::Describe, topic, &error))?;
        Ok(metadata.topics().iter().filter(|found| found.name() == topic).map(|found| found.partitions().len()).sum())
    }

    /// How the cluster is reached.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The number of tasks: of partitions that all inputs have alike.
    pub fn tasks(&self) -> Result<u32, TransportError> {
        let leading = self.topics.leading();
        let tasks = self.partitions(leading)?;
        for topic in self.topics.names() {
            let partitions = self.partitions(topic)?;
            if partitions != tasks {
                return Err(TransportError::fatal(format!(
                    "topic {leading} has {tasks} partitions and topic {topic} has {partitions}; events with one key meet only where all input topics have the same number of partitions"
                )));
            }
        }
        Ok(tasks)
    }

    pub(super) fn cluster(&self) -> String {
        self.client.client().fetch_cluster_id(CALL_TIMEOUT).unwrap_or_default()
    }

    fn retained_of_topic(&self, topic: &str, task: u32) -> Result<Range<u64>, TransportError> {
        ends(&self.client, &self.link, || self.link.consumer(), topic, task)
    }

    /// The oldest offset that each partition keeps.
    pub(super) fn oldest_of_topic(&self, topic: &str, partitions: u32) -> Result<Vec<u64>, TransportError> {
        (0..partitions).map(|task| self.retained_of_topic(topic, task).map(|retained| retained.start)).collect()
    }

    /// Of each partition: from the oldest offset that is kept to after the last record that all replicas have, of which some may not be decided yet.
    pub(super) fn written_of_topic(&self, topic: &str, partitions: u32) -> Result<Vec<Range<u64>>, TransportError> {
        (0..partitions).map(|task| self.written(topic, task)).collect()
    }

    fn written(&self, topic: &str, task: u32) -> Result<Range<u64>, TransportError> {
        ends(&self.uncommitted, &self.link, || self.link.uncommitted_consumer(), topic, task)
    }

    /// Of each partition: from the oldest offset that is kept to after the last committed record; empty where there is none. Markers and aborted records behind that one do not
    /// count. Cost: a client, and a few requests for each partition.
    pub(super) fn records_of_topic(&self, topic: &str, partitions: u32) -> Result<Vec<Range<u64>>, TransportError> {
        let reader = self.reader_of_ends()?;
        (0..partitions).map(|task| self.records_of_partition(&reader, topic, task)).collect()
    }

    fn records_of_partition(&self, reader: &BystanderConsumer, topic: &str, task: u32) -> Result<Range<u64>, TransportError> {
        let retained = self.retained_of_topic(topic, task)?;
        let last = self.last_of_topic(reader, topic, task, &retained)?;
        Ok(retained.start..last.map_or(retained.start, |last| last.offset + 1))
    }

    fn reader_of_ends(&self) -> Result<BystanderConsumer, TransportError> {
        self.link.consumer().map_err(|error| failure::of_settings(&error))
    }

    /// Looked for backwards, in steps that grow: what stands at the end may be markers or aborted records.
    fn last_of_topic(&self, reader: &BystanderConsumer, topic: &str, task: u32, retained: &Range<u64>) -> Result<Option<JournalEntry>, TransportError> {
        if retained.is_empty() {
            return Ok(None);
        }
        let mut back = 1;
        loop {
            let start = retained.end.saturating_sub(back).max(retained.start);
            match last_record(reader, &self.link, topic, task, start..retained.end)? {
                Some(last) => return Ok(Some(last)),
                None if start == retained.start => return Ok(None),
                None => back *= 64,
            }
        }
    }

    /// Where even the group's coordinator is not told, the call only times out.
    fn denied_offsets(&self, error: &KafkaError) -> Option<TransportError> {
        fetch_news(&self.client);
        let code = self.client.context().attempts.denied().or(error.rdkafka_error_code())?;
        self.link.denied_code(code, Operation::Read, &[self.topics.leading()])
    }

    fn list(&self, partitions: &[InputPartition]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for input in partitions {
            list.add_partition_offset(self.topics.name(input.stream), partition(input.partition), Offset::Invalid)?;
        }
        Ok(list)
    }

    fn ask_committed(&self, partitions: &[InputPartition]) -> KafkaResult<Vec<Committed>> {
        let list = self.client.committed_offsets(self.list(partitions)?, Duration::from_secs(2))?;
        partitions
            .iter()
            .map(|input| {
                let element = list.find_partition(self.topics.name(input.stream), partition(input.partition));
                let element = element.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
                element.error()?;
                let next = match element.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                };
                Ok(Committed { next, topic: topic_id::noted(element.metadata()) })
            })
            .collect()
    }
}

/// Twice as long as the brokers let a transaction of ours be open: they look for those that are over now and then only.
fn stable_timeout(link: &Link) -> Duration {
    STABLE_TIMEOUT_MIN.max(link.transaction_timeout() * 2)
}

/// A transaction that began at this offset is still open.
fn undecided(brokers: &str, topic: &str, task: u32, from: u64, waited: Duration) -> TransportError {
    let seconds = waited.as_secs();
    let reason = format!(
        "topic {topic}/{task}: a transaction has been open for more than {seconds} s, and nothing after it is committed; if nobody works on it any more, end it with \
         `kafka-transactions.sh --bootstrap-server {brokers} abort --topic {topic} --partition {task} --start-offset {from}`"
    );
    TransportError { failure: Failure::Retriable, reason }
}

/// The offsets that a partition keeps, as the client may see them. Asked again while its leader changes. A client that was there while brokers came and went may never find
/// the partition again: after a while another one is asked.
fn ends(
    client: &BystanderConsumer,
    link: &Link,
    another: impl Fn() -> KafkaResult<BystanderConsumer>,
    topic: &str,
    task: u32,
) -> Result<Range<u64>, TransportError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    let ask = |client: &BystanderConsumer| client.fetch_watermarks(topic, partition(task), CALL_TIMEOUT);
    loop {
        let is_last = Instant::now() > deadline;
        let asked = if is_last { another().and_then(|client| ask(&client)) } else { ask(client) };
        match asked {
            Ok((low, high)) => return Ok(low.max(0).cast_unsigned()..high.max(0).cast_unsigned()),
            Err(error) => {
                let error = link.failed(&format!("the ends of topic {topic}"), Operation::Describe, topic, &error);
                if error.failure != Failure::Retriable || is_last {
                    return Err(explained(error, client, link));
                }
                std::thread::sleep(STABLE_INTERVAL);
            }
        }
    }
}

impl TopicSurvey for Survey {
    fn committed(&self, partitions: &[InputPartition]) -> Result<Vec<Committed>, TransportError> {
        let deadline = Instant::now() + COMMITTED_TIMEOUT;
        let mut warned = Instant::now() + COMMITTED_WARNING_INTERVAL;
        loop {
            match self.ask_committed(partitions) {
                Ok(offsets) => return Ok(offsets),
                Err(error) if let Some(denied) = self.denied_offsets(&error) => return Err(denied),
                Err(error) if Instant::now() > deadline => {
                    let (seconds, brokers) = (COMMITTED_TIMEOUT.as_secs(), &self.link.brokers);
                    let call = format!(
                        "the group's offsets were not told for {seconds} s (a transaction that nobody ends? \
                         `kafka-transactions.sh --bootstrap-server {brokers} find-hanging --topic __consumer_offsets`)"
                    );
                    return Err(explained(failure::of_call(&call, &error), &self.client, &self.link));
                }
                Err(error) if Instant::now() > warned => {
                    warned += COMMITTED_WARNING_INTERVAL;
                    tracing::warn!(%error, "the group's offsets are not told: a transaction that changes them is open, or the group's coordinator is away");
                }
                Err(error) => tracing::debug!(%error, "the group's offsets are not told yet"),
            }
        }
    }

    fn current_topics(&self) -> Result<BTreeMap<StreamId, CurrentTopic>, TransportError> {
        let names: Vec<&str> = self.topics.names().collect();
        match ffi::describe_topics(self.client.client(), &names, CALL_TIMEOUT) {
            Ok(described) => {
                let current = |ffi::DescribedTopic { id, partitions }| CurrentTopic { id: id.map(TopicId), partitions };
                Ok(described.into_iter().filter_map(|(topic, described)| Some((self.topics.stream(&topic)?, current(described)))).collect())
            }
            Err(error) => {
                tracing::debug!(%error, "no broker tells which topics there are");
                fetch_news(&self.client);
                let trouble = self.client.context().attempts.trouble();
                let refused = trouble.as_ref().and_then(|trouble| self.link.refusal(trouble));
                let reason = refused.unwrap_or_else(|| self.link.explain_silence(trouble.as_ref(), CALL_TIMEOUT.as_secs()));
                Err(TransportError { failure: Failure::Retriable, reason })
            }
        }
    }

    fn journal(&self, task: u32, from: u64, visit: &mut dyn FnMut(JournalEntry) -> ControlFlow<()>) -> Result<(), TransportError> {
        let retained = self.await_stable(&self.journal, task)?;
        let from = from.max(retained.start);
        if from < retained.end {
            let mut reader = PartitionReader::open(&self.link, &self.journal, task, from, usize::MAX)?;
            reader.visit_until(retained.end, &mut |seen| visit(JournalEntry { offset: seen.offset, value: seen.value.unwrap_or_default().to_vec() }))?;
        }
        Ok(())
    }

    fn await_decided(&self, topic: &str, partition: u32) -> Result<(), TransportError> {
        self.await_stable(topic, partition).map(drop)
    }

    fn shares(&self) -> Result<Option<BTreeMap<String, Vec<u32>>>, TransportError> {
        let groups = self.client.fetch_group_list(Some(&self.link.group), CALL_TIMEOUT);
        let groups = groups.map_err(|error| self.link.failed("the group's members", Operation::Read, self.topics.leading(), &error))?;
        let group = groups.groups().iter().find(|group| group.name() == self.link.group && group.state() == "Stable");
        let share = |assignment: Option<&[u8]>| assigned_partitions(assignment.unwrap_or_default(), self.topics.leading());
        Ok(group.map(|group| group.members().iter().map(|member| (member.id().to_owned(), share(member.assignment()))).collect()))
    }

    fn journal_last(&self, task: u32) -> Result<Option<JournalEntry>, TransportError> {
        let retained = self.retained_of_topic(&self.journal, task)?;
        self.last_of_topic(&self.reader_of_ends()?, &self.journal, task, &retained)
    }

    fn reader(&self, input: InputPartition, from: u64, record_bytes_max: usize) -> Result<Box<dyn InputReader>, TransportError> {
        Ok(Box::new(PartitionReader::open(&self.link, self.topics.name(input.stream), input.partition, from, record_bytes_max)?))
    }

    fn retained(&self, input: InputPartition) -> Result<Range<u64>, TransportError> {
        self.retained_of_topic(self.topics.name(input.stream), input.partition)
    }

    fn end(&self, input: InputPartition) -> Result<u64, TransportError> {
        Ok(self.records_of_partition(&self.reader_of_ends()?, self.topics.name(input.stream), input.partition)?.end)
    }
}

/// The partitions of a topic in a member's assignment: version (2 bytes), topics (4), then for each its name (2 and as many) and its partitions (4, and 4 each).
fn assigned_partitions(assignment: &[u8], topic: &str) -> Vec<u32> {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(taken)
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let mut rest = assignment;
    let mut read = || {
        take(&mut rest, 2)?;
        let mut partitions = Vec::new();
        for _ in 0..number(take(&mut rest, 4)?) {
            let length = number(take(&mut rest, 2)?) as usize;
            let is_wanted = take(&mut rest, length)? == topic.as_bytes();
            for _ in 0..number(take(&mut rest, 4)?) {
                let partition = number(take(&mut rest, 4)?);
                partitions.extend(is_wanted.then_some(partition));
            }
        }
        Some(partitions)
    };
    read().unwrap_or_default()
}

/// A call that has failed because there is no connection says why there is none, where we know.
fn explained(error: TransportError, client: &BystanderConsumer, link: &Link) -> TransportError {
    if error.failure != Failure::Retriable {
        return error;
    }
    fetch_news(client);
    TransportError { reason: error.reason + &link.explain_beside(&client.context().attempts), ..error }
}

/// Whether we may not even know if there is such a topic.
pub(super) fn is_hidden(client: &BystanderConsumer, topic: &str) -> bool {
    const DENIED: RDKafkaErrorCode = RDKafkaErrorCode::TopicAuthorizationFailed;
    match client.fetch_metadata(Some(topic), CALL_TIMEOUT) {
        Ok(metadata) => metadata.topics().iter().any(|found| found.error().is_some_and(|code| RDKafkaErrorCode::from(code) == DENIED)),
        Err(error) => error.rdkafka_error_code() == Some(DENIED),
    }
}

/// The last committed record among these offsets, found by reading them.
fn last_record(reader: &BystanderConsumer, link: &Link, topic: &str, task: u32, range: Range<u64>) -> Result<Option<JournalEntry>, TransportError> {
    let failed = |error: KafkaError| link.failed(&format!("the end of topic {topic}"), Operation::Read, topic, &error);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition(task), Offset::Offset(range.start.cast_signed())).map_err(failed)?;
    reader.assign(&list).map_err(failed)?;
    let deadline = Instant::now() + CALL_TIMEOUT;
    let mut last = None;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let offset = message.offset().cast_unsigned();
                if offset < range.end {
                    last = Some(JournalEntry { offset, value: message.payload().unwrap_or_default().to_vec() });
                }
                if offset + 1 >= range.end {
                    return Ok(last);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) if let Some(denied) = link.denied(&error, Operation::Read, &[topic]) => return Err(denied),
            Some(Err(error)) => tracing::debug!(%error, "looking for the end of a topic"),
            None => {}
        }
    }
    Err(explained(failed(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)), reader, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(transaction_timeout_ms: Option<&str>) -> Link {
        let properties = transaction_timeout_ms.map(|value| ("transaction.timeout.ms".to_owned(), value.to_owned())).into_iter().collect();
        Link { brokers: "b:1".to_owned(), group: "g".to_owned(), properties, record_bytes_max: 1 }
    }

    #[test]
    fn an_open_transaction_is_waited_for_as_long_as_one_of_ours_may_take() {
        for (transaction_timeout_ms, seconds) in [(None, 60), (Some("1000"), 60), (Some("30000"), 60), (Some("600000"), 1_200)] {
            assert_eq!(stable_timeout(&link(transaction_timeout_ms)), Duration::from_secs(seconds), "{transaction_timeout_ms:?}");
        }
    }

    #[test]
    fn a_transaction_that_stays_open_ends_nobody_at_once_and_it_is_said_how_to_end_it() {
        let error = undecided("b:1", "out", 3, 70, Duration::from_secs(1_200));
        assert_eq!(error.failure, Failure::Retriable);
        for words in ["out/3", "more than 1200 s", "--bootstrap-server b:1 abort --topic out --partition 3 --start-offset 70"] {
            assert!(error.reason.contains(words), "{}", error.reason);
        }
    }
}
