//! One partition read forward from an offset to an end that is known, by a client of its own.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::EventTime;
use crate::kafka::Link;
use crate::kafka::bystander::Bystander;
use crate::kafka::ffi::{BatchConsumer, Taken};
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::ports::{Failure, InputReader, Original, Record, RecordBatch, TransportError};

/// Without a record, or the end, for this long, reading is given up.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// How long one call of the library waits, and how many records it gives.
const WAIT: Duration = Duration::from_millis(100);
const TAKEN_RECORDS_MAX: u64 = 2_000;

/// Committed records only, in order.
pub(super) struct PartitionReader {
    link: Link,
    consumer: BatchConsumer<Bystander>,
    topic: String,
    record_bytes_max: usize,
    /// The first offset that was not read yet.
    at: u64,
    /// Read, but not asked for yet: there are some only where offsets are missing, as where a transaction's marker stands.
    ahead: VecDeque<Ahead>,
    /// Nothing was left when last asked.
    ended: bool,
}

/// A record that was copied out of the library's memory.
struct Ahead {
    offset: u64,
    timestamp: Option<EventTime>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

/// A record that is read.
pub(super) struct Seen<'a> {
    pub offset: u64,
    timestamp: Option<EventTime>,
    key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// What is handed on of a record has them in it, and is compared byte by byte.
    headers: &'a [u8],
    /// Not told any more of one that was read ahead.
    leader_epoch: Option<u32>,
}

impl PartitionReader {
    pub(super) fn open(link: &Link, topic: &str, task: u32, from: u64, record_bytes_max: usize) -> Result<Self, TransportError> {
        let open = || {
            let consumer = BatchConsumer::new(link.consumer()?);
            // Before anything is fetched: all records come one way then.
            consumer.collect(topic, partition(task))?;
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition(task), Offset::Offset(from.cast_signed()))?;
            consumer.assign(&list)?;
            Ok(consumer)
        };
        let consumer = open().map_err(|error| link.failed(&format!("cannot read topic {topic} again"), Operation::Read, topic, &error))?;
        Ok(Self { link: link.clone(), consumer, topic: topic.to_owned(), record_bytes_max, at: from, ahead: VecDeque::new(), ended: false })
    }

    /// Shows each record before this offset that was not shown yet, as long as more are wanted.
    pub(super) fn visit_until(&mut self, next: u64, visit: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>) -> Result<(), TransportError> {
        while let Some(ahead) = self.ahead.pop_front_if(|ahead| ahead.offset < next) {
            if visit(&ahead.seen()).is_break() {
                return Ok(());
            }
        }
        let mut headers = Vec::new();
        let mut deadline = Instant::now() + PROGRESS_MAX;
        while self.ahead.is_empty() && self.at < next && !self.ended {
            let records_max = usize::try_from((next - self.at).min(TAKEN_RECORDS_MAX)).expect("few");
            let taken = self.consumer.take(WAIT, records_max);
            if taken.is_empty() {
                self.judge_news()?;
            } else {
                // Whoever looks at a record may take long over it.
                deadline = Instant::now() + PROGRESS_MAX;
            }
            let mut wanted = true;
            for taken in &taken {
                match taken.error() {
                    None => {
                        headers.clear();
                        taken.write_headers(&mut headers);
                        let seen = Seen::of(taken, &headers);
                        self.at = seen.offset + 1;
                        if seen.offset >= next || !wanted {
                            self.ahead.push_back(seen.into());
                        } else {
                            wanted = visit(&seen).is_continue();
                        }
                    }
                    Some(KafkaError::MessageConsumption(RDKafkaErrorCode::PartitionEOF)) => self.ended = true,
                    Some(error) => self.judge(&error)?,
                }
            }
            if !wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seconds = PROGRESS_MAX.as_secs();
                let trouble = self.link.explain_beside(&self.consumer.context().attempts);
                let reason = format!("topic {} gives no record for {seconds} s, although it holds some{trouble}", self.topic);
                return Err(TransportError { failure: Failure::Retriable, reason });
            }
        }
        Ok(())
    }

    /// What concerns the whole client comes another way than records.
    fn judge_news(&self) -> Result<(), TransportError> {
        match self.consumer.poll(Duration::ZERO) {
            Some(Err(error)) => self.judge(&error),
            // All records lead elsewhere.
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn judge(&self, error: &KafkaError) -> Result<(), TransportError> {
        if let Some(error) = self.link.of_poll(&self.topic, error) {
            return Err(error);
        }
        tracing::debug!(%error, topic = self.topic, "reading again");
        Ok(())
    }
}

impl InputReader for PartitionReader {
    fn read_until(&mut self, next: u64, batch: &mut RecordBatch) -> Result<(), TransportError> {
        let record_bytes_max = self.record_bytes_max;
        self.visit_until(next, &mut |seen| {
            let original = Original { key: seen.key, value: seen.value, headers: seen.headers };
            batch.push_original(record(seen.offset, seen.timestamp, seen.value, record_bytes_max), original);
            batch.leader_epoch = seen.leader_epoch;
            ControlFlow::Continue(())
        })
    }
}

impl<'a> Seen<'a> {
    fn of(taken: &'a Taken<'_>, headers: &'a [u8]) -> Self {
        let Original { key, value, .. } = taken.original(headers);
        Self { offset: taken.offset(), timestamp: taken.timestamp(), key, value, headers, leader_epoch: taken.leader_epoch() }
    }
}

impl From<Seen<'_>> for Ahead {
    fn from(seen: Seen<'_>) -> Self {
        let (key, value) = (seen.key.map(<[u8]>::to_vec), seen.value.map(<[u8]>::to_vec));
        Self { offset: seen.offset, timestamp: seen.timestamp, key, value, headers: seen.headers.to_vec() }
    }
}

impl Ahead {
    fn seen(&self) -> Seen<'_> {
        let Self { offset, timestamp, key, value, headers } = self;
        Seen { offset: *offset, timestamp: *timestamp, key: key.as_deref(), value: value.as_deref(), headers, leader_epoch: None }
    }
}

/// A record of Kafka, cut off where it is longer than the bound.
pub(super) fn record(offset: u64, timestamp: Option<EventTime>, value: Option<&[u8]>, record_bytes_max: usize) -> Record<'_> {
    let whole = value.unwrap_or_default();
    let bytes = &whole[..whole.len().min(record_bytes_max)];
    Record { offset, position: offset, next_position: offset + 1, timestamp, bytes, full_bytes: whole.len() as u64 }
}
