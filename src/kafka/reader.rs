//! One partition read forward from an offset to an end that is known, by a client of its own.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message, OwnedMessage};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::EventTime;
use crate::kafka::bystander::BystanderConsumer;
use crate::kafka::group::partition;
use crate::kafka::{Link, failure, ffi};
use crate::ports::{InputReader, Original, Record, RecordBatch, TransportError};

/// Without a record, or the end, for this long, reading is given up.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// Committed records only, in order.
pub(super) struct PartitionReader {
    consumer: BystanderConsumer,
    topic: String,
    record_bytes_max: usize,
    /// Read, but not asked for yet.
    ahead: Option<Ahead>,
    /// Nothing was left when last asked.
    ended: bool,
}

impl PartitionReader {
    pub(super) fn open(link: &Link, topic: &str, task: u32, from: u64, record_bytes_max: usize) -> Result<Self, TransportError> {
        let open = || {
            let consumer = link.consumer()?;
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition(task), Offset::Offset(from.cast_signed()))?;
            consumer.assign(&list)?;
            Ok(consumer)
        };
        let consumer = open().map_err(|error| failure::of_call("cannot read a topic again", &error))?;
        Ok(Self { consumer, topic: topic.to_owned(), record_bytes_max, ahead: None, ended: false })
    }

    /// Shows each record before this offset that was not shown yet, as long as more are wanted.
    pub(super) fn visit_until(&mut self, next: u64, visit: &mut dyn FnMut(u64, &dyn AnyMessage) -> ControlFlow<()>) -> Result<(), TransportError> {
        let mut deadline = Instant::now() + PROGRESS_MAX;
        if let Some(ahead) = self.ahead.take_if(|ahead| ahead.message.offset().cast_unsigned() < next)
            && visit(ahead.message.offset().cast_unsigned(), &ahead).is_break()
        {
            return Ok(());
        }
        while self.ahead.is_none() && !self.ended {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let offset = message.offset().cast_unsigned();
                    if offset >= next {
                        self.ahead = Some(Ahead { headers: headers(&message), message: message.detach() });
                    } else if visit(offset, &message).is_break() || offset + 1 >= next {
                        return Ok(());
                    }
                    // Whoever looks at a record may take long over it.
                    deadline = Instant::now() + PROGRESS_MAX;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) if is_lost(&error) => return Err(failure::of_poll(&error).unwrap_or_else(|| failure::of_call("reading again", &error))),
                Some(Err(error)) => tracing::debug!(%error, topic = self.topic, "reading again"),
                None => {}
            }
            if Instant::now() > deadline {
                let seconds = PROGRESS_MAX.as_secs();
                return Err(TransportError::fatal(format!("topic {} gives no record for {seconds} s, although it holds some", self.topic)));
            }
        }
        Ok(())
    }
}

fn is_lost(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) || failure::of_poll(error).is_some()
}

impl InputReader for PartitionReader {
    fn read_until(&mut self, next: u64, batch: &mut RecordBatch) -> Result<(), TransportError> {
        let record_bytes_max = self.record_bytes_max;
        self.visit_until(next, &mut |_, message| {
            message.push(record_bytes_max, batch);
            ControlFlow::Continue(())
        })
    }
}

/// A message, borrowed or not.
pub(super) trait AnyMessage {
    fn value(&self) -> Option<&[u8]>;
    fn push(&self, record_bytes_max: usize, batch: &mut RecordBatch);
}

impl AnyMessage for BorrowedMessage<'_> {
    fn value(&self) -> Option<&[u8]> {
        self.payload()
    }

    fn push(&self, record_bytes_max: usize, batch: &mut RecordBatch) {
        push(self, &headers(self), record_bytes_max, batch);
        batch.leader_epoch = ffi::leader_epoch(self);
    }
}

/// Does not tell its leader epoch any more.
struct Ahead {
    message: OwnedMessage,
    headers: Vec<u8>,
}

impl AnyMessage for Ahead {
    fn value(&self) -> Option<&[u8]> {
        self.message.payload()
    }

    fn push(&self, record_bytes_max: usize, batch: &mut RecordBatch) {
        push(&self.message, &self.headers, record_bytes_max, batch);
        batch.leader_epoch = None;
    }
}

/// What is handed on of a record has them in it, and is compared byte by byte.
fn headers(message: &BorrowedMessage<'_>) -> Vec<u8> {
    let mut headers = Vec::new();
    ffi::write_headers(message, &mut headers);
    headers
}

fn push<M: Message>(message: &M, headers: &[u8], record_bytes_max: usize, batch: &mut RecordBatch) {
    let original = Original { key: message.key(), value: message.payload(), headers };
    let timestamp = message.timestamp().to_millis().and_then(EventTime::from_millis);
    batch.push_original(record(message.offset().cast_unsigned(), timestamp, original.value, record_bytes_max), original);
}

/// A record of Kafka, cut off where it is longer than the bound.
pub(super) fn record(offset: u64, timestamp: Option<EventTime>, value: Option<&[u8]>, record_bytes_max: usize) -> Record<'_> {
    let whole = value.unwrap_or_default();
    let bytes = &whole[..whole.len().min(record_bytes_max)];
    Record { offset, position: offset, next_position: offset + 1, timestamp, bytes, full_bytes: whole.len() as u64 }
}
