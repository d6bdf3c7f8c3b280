//! Transactions that hang, ended.
//!
//! A broker may end a transaction without writing the mark of its end to every partition. (Apache Kafka 4.3, while it comes back after a crash, takes a partition that has no
//! leader for a deleted one.) There the transaction stays open for ever: whoever reads what is committed stands still before it, the group's offsets are not told, and the
//! next commit of the same producer would make records count that were aborted.
//!
//! So whoever takes up a producer's name looks whether something is open where it writes. An empty record goes there, in a transaction that is aborted: that mark ends
//! whatever the producer has open in the partition. Transactions of others are none the worse for it.
//!
//! Only where the journal does not say that the epoch of these records was committed: else it is the mark of a commit that is missing, and aborting would lose matches.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::bystander::{BystanderConsumer, fetch_news};
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::kafka::produce::{drain, produce};
use crate::kafka::survey::Topics;
use crate::kafka::{Link, failure};
use crate::ports::{OutputRecord, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What is open for longer than this may hang; usual transactions are shorter.
const OPEN_MAX: Duration = Duration::from_millis(500);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Records that are read are given up after so long without one, or the end.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The last committed record of the journal is looked for among so many offsets.
const JOURNAL_BACK_MAX: i64 = 10_000;

/// Where the transactions of a deployment write.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The partitions of each input, whose offsets are committed.
    pub tasks: u32,
    /// Topics with the numbers of their partitions.
    pub outputs: Vec<(String, u32)>,
    /// One of them: its records tell which epochs were committed.
    pub journal: String,
    /// What the records of the deployment's stage have for a header of this name.
    pub stage: Option<&'static str>,
}

/// The producer has just taken up its name. After an error it is of no use any more.
pub(super) fn end_hanging<C: ProducerContext<DeliveryOpaque = usize>>(
    producer: &BaseProducer<C>,
    link: &Link,
    inputs: &Topics,
    written: &Written,
) -> Result<(), TransportError> {
    // What it writes it may also look at.
    let outputs: Vec<&str> = written.outputs.iter().map(|(topic, _)| topic.as_str()).collect();
    let failed = |error| {
        let failed = || failure::of_call("cannot look for open transactions", &error);
        link.denied(&error, Operation::Write, &outputs).unwrap_or_else(failed)
    };
    let (committed, uncommitted) = (link.consumer().map_err(failed)?, link.uncommitted_consumer().map_err(failed)?);
    let mut open = Vec::new();
    for (topic, task, range) in open_partitions(&committed, &uncommitted, &written.outputs).map_err(failed)? {
        if topic != written.journal && is_of_committed_epoch(&committed, &uncommitted, written, (&topic, task), range.clone()).map_err(failed)? {
            tracing::error!(
                topic,
                partition = task,
                from = range.start,
                "open records of an epoch that was committed, as the journal says: they are left as they are"
            );
        } else {
            open.push((topic, task));
        }
    }
    let offsets = untold_offsets(&committed, &uncommitted, inputs, written.tasks).map_err(failed)?;
    if open.is_empty() && offsets.is_none() {
        return Ok(());
    }
    tracing::warn!(?open, offsets = offsets.is_some(), "something is open where this producer writes: an aborted transaction ends what of it is its own");
    let failed = |error| failure::of_transaction("cannot end a transaction that hangs", &error);
    producer.begin_transaction().map_err(failed)?;
    for (topic, partition) in &open {
        produce(producer, &OutputRecord { topic, partition: *partition, key: None, value: None, headers: &[] }, None, 0)?;
    }
    // What is still on its way by then is aborted as well.
    drain(producer, Instant::now() + CALL_TIMEOUT);
    if let (Some(offsets), Some(metadata)) = (offsets, committed.group_metadata()) {
        producer.send_offsets_to_transaction(&offsets, &metadata, CALL_TIMEOUT).map_err(failed)?;
    }
    producer.abort_transaction(CALL_TIMEOUT).map_err(failed)
}

/// Those that hold something undecided, and still do after a while; and where.
fn open_partitions(committed: &BystanderConsumer, uncommitted: &BystanderConsumer, topics: &[(String, u32)]) -> KafkaResult<Vec<(String, u32, Range<i64>)>> {
    let ends = ends(uncommitted, topics)?;
    let deadline = Instant::now() + OPEN_MAX;
    loop {
        let decided = self::ends(committed, topics)?;
        let range = |(place, end): (&(String, u32), &i64)| Some((place.0.clone(), place.1, *decided.get(place)?..*end));
        let open: Vec<_> = ends.iter().filter_map(range).filter(|(_, _, range)| !range.is_empty()).collect();
        if open.is_empty() || Instant::now() > deadline {
            return Ok(open);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether the journal holds a committed record of the epoch, or of a later one, that an undecided record names as its own.
fn is_of_committed_epoch(
    committed: &BystanderConsumer,
    uncommitted: &BystanderConsumer,
    written: &Written,
    (topic, task): (&str, u32),
    range: Range<i64>,
) -> KafkaResult<bool> {
    for (task, epoch) in epochs_of(uncommitted, topic, task, range, written.stage)? {
        let (low, high) = committed.fetch_watermarks(&written.journal, partition(task), CALL_TIMEOUT)?;
        let from = high.saturating_sub(JOURNAL_BACK_MAX).max(low);
        if from < high && epochs_of(committed, &written.journal, task, from..high, written.stage)?.get(&task).is_some_and(|committed| *committed >= epoch) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// By task: the newest epoch that the records of this range and stage name. An error where the range is not read to its end: what was not read may name any.
fn epochs_of(consumer: &BystanderConsumer, topic: &str, task: u32, range: Range<i64>, stage: Option<&str>) -> KafkaResult<BTreeMap<u32, u64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition(task), Offset::Offset(range.start))?;
    consumer.assign(&list)?;
    let mut epochs: BTreeMap<u32, u64> = BTreeMap::new();
    let mut deadline = Instant::now() + SILENCE_MAX;
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.offset() < range.end => {
                deadline = Instant::now() + SILENCE_MAX;
                if header(&message, "stage") == stage
                    && let (Some(task), Some(epoch)) = (number(&message, "task"), number(&message, "epoch"))
                {
                    let newest = epochs.entry(u32::try_from(task).unwrap_or(u32::MAX)).or_default();
                    *newest = epoch.max(*newest);
                }
                if message.offset() + 1 >= range.end {
                    break;
                }
            }
            Some(Ok(_)) | Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => return Err(error),
            None if Instant::now() > deadline => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            None => {}
        }
    }
    consumer.unassign()?;
    Ok(epochs)
}

fn header<'a>(message: &'a impl Message, name: &str) -> Option<&'a str> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

fn number(message: &impl Message, name: &str) -> Option<u64> {
    header(message, name)?.parse().ok()
}

/// The end of each partition, as this consumer may see it. One request to each broker.
fn ends(consumer: &BystanderConsumer, topics: &[(String, u32)]) -> KafkaResult<BTreeMap<(String, u32), i64>> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in topics {
        for task in 0..*partitions {
            list.add_partition_offset(topic, partition(task), Offset::End)?;
        }
    }
    let mut ends = BTreeMap::new();
    if list.count() == 0 {
        return Ok(ends);
    }
    let list = consumer.offsets_for_times(list, CALL_TIMEOUT)?;
    for element in list.elements() {
        element.error()?;
        if let (Ok(partition), Offset::Offset(end)) = (u32::try_from(element.partition()), element.offset()) {
            ends.insert((element.topic().to_owned(), partition), end);
        }
    }
    Ok(ends)
}

/// Where the group's offsets are not told because a transaction is open: one of them, as it was committed last.
fn untold_offsets(committed: &BystanderConsumer, uncommitted: &BystanderConsumer, inputs: &Topics, tasks: u32) -> KafkaResult<Option<TopicPartitionList>> {
    let mut list = TopicPartitionList::new();
    for topic in inputs.names() {
        for task in 0..tasks {
            list.add_partition(topic, partition(task));
        }
    }
    if tasks == 0 || committed.committed_offsets(list, OPEN_MAX).is_ok() {
        return Ok(None);
    }
    refuse_denied(committed)?;
    let leading = inputs.leading();
    let mut one = TopicPartitionList::new();
    one.add_partition(leading, 0);
    let told = uncommitted.committed_offsets(one, CALL_TIMEOUT).or_else(|error| refuse_denied(uncommitted).and(Err(error)))?;
    let offset = match told.find_partition(leading, 0).map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => 0,
    };
    let mut one = TopicPartitionList::new();
    one.add_partition_offset(leading, 0, Offset::Offset(offset))?;
    Ok(Some(one))
}

/// A call only times out where even the group's coordinator is not told.
fn refuse_denied(consumer: &BystanderConsumer) -> KafkaResult<()> {
    fetch_news(consumer);
    consumer.context().attempts.denied().map_or(Ok(()), |code| Err(KafkaError::OffsetFetch(code)))
}
