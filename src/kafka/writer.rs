//! Transactions of an operator's command: few records, no group.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use crate::event::EventTime;
use crate::kafka::group::partition;
use crate::kafka::{Link, failure};
use crate::ports::{OutputRecord, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One at a time of each name: a newer one fences the older.
pub struct TopicWriter {
    producer: BaseProducer,
}

impl TopicWriter {
    /// Ends whatever an earlier one of this name has left open.
    pub fn open(link: &Link, name: &str) -> Result<Self, TransportError> {
        let producer: BaseProducer = link.writer(name).create().map_err(|error| failure::of_call("settings", &error))?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|error| failure::of_transaction("cannot begin to produce", &error))?;
        Ok(Self { producer })
    }

    /// All of them or none. A record with a time keeps it, another has that of its writing.
    pub fn write(&self, records: &[(OutputRecord<'_>, Option<EventTime>)]) -> Result<(), TransportError> {
        self.producer.begin_transaction().map_err(|error| failure::of_transaction("cannot begin a transaction", &error))?;
        for (record, time) in records {
            self.send(record, *time).map_err(|error| failure::of_send(record.topic, &error))?;
        }
        self.producer.commit_transaction(CALL_TIMEOUT).map_err(|error| failure::of_transaction("cannot commit", &error))
    }

    fn send(&self, record: &OutputRecord<'_>, time: Option<EventTime>) -> KafkaResult<()> {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic).partition(partition(record.partition)).headers(headers);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = time.map(|time| time.micros().div_euclid(1_000));
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                    outgoing = back;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}
