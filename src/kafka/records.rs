//! One partition read once, from a place to an end that is fixed when the reading begins: records with keys and headers, as read_committed readers see them.

use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::EventTime;
use crate::kafka::bystander::BystanderConsumer;
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::kafka::{Link, ffi};
use crate::ports::{OwnedHeader, TransportError, read_headers};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Without a record for this long, reading is given up; an open transaction ends sooner.
const PROGRESS_MAX: Duration = Duration::from_secs(90);

/// A record that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRecord {
    pub offset: u64,
    pub timestamp: Option<EventTime>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<OwnedHeader>,
}

impl TopicRecord {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, _)| found == name)?.1.as_deref()
    }

    /// A header that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// A header that is a whole number, written out.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

/// Reads forward; the next record can be looked at before it is taken.
pub struct TopicReader {
    link: Link,
    consumer: BystanderConsumer,
    topic: String,
    oldest: u64,
    end: u64,
    ahead: Option<TopicRecord>,
    is_done: bool,
}

impl TopicReader {
    /// From an offset on, or from the oldest that is kept where that is later, up to what the topic holds now. Waits until every transaction that is open now has ended.
    pub fn open(link: &Link, topic: &str, number: u32, from: u64) -> Result<Self, TransportError> {
        let failed = |error: &KafkaError| link.failed(&format!("cannot read topic {topic}"), Operation::Read, topic, error);
        let consumer = link.consumer().map_err(|error| failed(&error))?;
        let Range { start, end } = stable(link, &consumer, topic, number).map_err(|error| failed(&error))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition(number), Offset::Offset(from.max(start).cast_signed())).map_err(|error| failed(&error))?;
        consumer.assign(&list).map_err(|error| failed(&error))?;
        Ok(Self { link: link.clone(), consumer, topic: topic.to_owned(), oldest: start, end, ahead: None, is_done: from.max(start) >= end })
    }

    /// The oldest offset that the partition held when this was opened: what was before it is deleted.
    pub fn oldest(&self) -> u64 {
        self.oldest
    }

    /// The next record, left where it is.
    pub fn peek(&mut self) -> Result<Option<&TopicRecord>, TransportError> {
        if self.ahead.is_none() {
            self.ahead = self.fetch()?;
        }
        Ok(self.ahead.as_ref())
    }

    pub fn take(&mut self) -> Result<Option<TopicRecord>, TransportError> {
        self.peek()?;
        Ok(self.ahead.take())
    }

    /// The next record, if it is so.
    pub fn take_if(&mut self, is_so: impl FnOnce(&TopicRecord) -> bool) -> Result<Option<TopicRecord>, TransportError> {
        self.peek()?;
        Ok(self.ahead.take_if(|record| is_so(record)))
    }

    fn fetch(&mut self) -> Result<Option<TopicRecord>, TransportError> {
        let deadline = Instant::now() + PROGRESS_MAX;
        while !self.is_done {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let record = record(&message);
                    self.is_done = record.offset + 1 >= self.end;
                    return Ok(Some(record).filter(|record| record.offset < self.end));
                }
                // What stands between here and the end are markers and aborted records.
                Some(Err(KafkaError::PartitionEOF(_))) => self.is_done = true,
                Some(Err(error)) => match self.link.of_poll(&self.topic, &error) {
                    Some(error) => return Err(error),
                    None => tracing::debug!(%error, topic = self.topic, "reading a topic"),
                },
                None if Instant::now() > deadline => {
                    return Err(TransportError::fatal(format!(
                        "topic {} gives no record for {} s, although it holds some",
                        self.topic,
                        PROGRESS_MAX.as_secs()
                    )));
                }
                None => {}
            }
        }
        Ok(None)
    }
}

/// The oldest offset that is kept.
pub fn oldest(link: &Link, topic: &str, number: u32) -> Result<u64, TransportError> {
    let ask = || Ok(link.consumer()?.fetch_watermarks(topic, partition(number), CALL_TIMEOUT)?.0);
    ask().map(|low: i64| low.max(0).cast_unsigned()).map_err(|error| link.failed(&format!("cannot read topic {topic}"), Operation::Read, topic, &error))
}

/// What the partition holds now, once readers of committed records are let that far: they are not beyond an open transaction.
fn stable(link: &Link, committed: &BystanderConsumer, topic: &str, number: u32) -> KafkaResult<Range<u64>> {
    let all = link.uncommitted_consumer()?;
    let deadline = Instant::now() + PROGRESS_MAX;
    let mut end = None;
    loop {
        let asked = all.fetch_watermarks(topic, partition(number), CALL_TIMEOUT).and_then(|(_, high)| {
            let high = *end.get_or_insert(high);
            let (low, stable) = committed.fetch_watermarks(topic, partition(number), CALL_TIMEOUT)?;
            Ok((low, stable, high))
        });
        match asked {
            Ok((low, stable, high)) if stable >= high => return Ok(low.max(0).cast_unsigned()..high.max(0).cast_unsigned()),
            Ok(_) if Instant::now() > deadline => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            // A topic that was only just made may not be led by anyone yet.
            Err(error) if Instant::now() > deadline || link.denied(&error, Operation::Read, &[topic]).is_some() => return Err(error),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn record(message: &BorrowedMessage<'_>) -> TopicRecord {
    let mut headers = Vec::new();
    ffi::write_headers(message, &mut headers);
    TopicRecord {
        offset: message.offset().cast_unsigned(),
        timestamp: message.timestamp().to_millis().and_then(EventTime::from_millis),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: read_headers(&headers).expect("just written"),
    }
}
