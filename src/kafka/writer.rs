//! Transactions of an operator's command: few records, no group.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer};

use crate::event::EventTime;
use crate::kafka::deliveries::Deliveries;
use crate::kafka::produce::{drain_unless, produce};
use crate::kafka::{Link, failure};
use crate::ports::{OutputRecord, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One at a time of each name: a newer one fences the older.
pub struct TopicWriter {
    link: Link,
    producer: BaseProducer<Deliveries>,
}

impl TopicWriter {
    /// Ends whatever an earlier one of this name has left open.
    pub fn open(link: &Link, name: &str) -> Result<Self, TransportError> {
        let producer: BaseProducer<Deliveries> = link.writer(name).create_with_context(Deliveries::default()).map_err(|error| failure::of_settings(&error))?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|error| link.cannot_produce(&producer, &error))?;
        Ok(Self { link: link.clone(), producer })
    }

    /// All of them or none. A record with a time keeps it, another has that of its writing.
    pub fn write(&self, records: &[(OutputRecord<'_>, Option<EventTime>)]) -> Result<(), TransportError> {
        self.producer.begin_transaction().map_err(|error| failure::of_transaction("cannot begin a transaction", &error))?;
        for (record, time) in records {
            produce(&self.producer, record, *time, 0)?;
        }
        let deliveries = self.producer.context();
        drain_unless(&self.producer, Instant::now() + CALL_TIMEOUT, || deliveries.is_denied());
        if let Some(denied) = deliveries.denied(&self.link) {
            return Err(denied);
        }
        self.producer.commit_transaction(CALL_TIMEOUT).map_err(|error| failure::of_transaction("cannot commit", &error))
    }
}
