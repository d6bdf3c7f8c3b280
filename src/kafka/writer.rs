//! Transactions of an operator's command: few records, no group.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer};

use crate::event::EventTime;
use crate::kafka::deliveries::{Deliveries, may_be_repeated};
use crate::kafka::produce::{drain_unless, produce};
use crate::kafka::{Link, failure};
use crate::ports::{OutputRecord, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// One at a time of each name: a newer one fences the older.
pub struct TopicWriter {
    link: Link,
    name: String,
    producer: BaseProducer<Deliveries>,
    /// A request of the last transaction may still be on its way.
    has_stray: bool,
}

impl TopicWriter {
    /// Ends whatever an earlier one of this name has left open.
    pub fn open(link: &Link, name: &str) -> Result<Self, TransportError> {
        let producer: BaseProducer<Deliveries> = link.writer(name).create_with_context(Deliveries::default()).map_err(|error| failure::of_settings(&error))?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|error| link.cannot_produce(&producer, &error))?;
        Ok(Self { link: link.clone(), name: name.to_owned(), producer, has_stray: false })
    }

    /// All of them or none. A record with a time keeps it, another has that of its writing.
    pub fn write(&mut self, records: &[(OutputRecord<'_>, Option<EventTime>)]) -> Result<(), TransportError> {
        if self.has_stray {
            *self = Self::open(&self.link, &self.name)?;
        }
        self.producer.begin_transaction().map_err(|error| failure::of_transaction("cannot begin a transaction", &error))?;
        for (record, time) in records {
            produce(&self.producer, record, *time, 0)?;
        }
        let deliveries = self.producer.context();
        drain_unless(&self.producer, Instant::now() + CALL_TIMEOUT, || deliveries.is_denied());
        if let Some(denied) = deliveries.denied(&self.link) {
            return Err(denied);
        }
        let began = Instant::now();
        self.producer.commit_transaction(CALL_TIMEOUT).map_err(|error| failure::of_transaction("cannot commit", &error))?;
        self.has_stray = may_be_repeated(&self.producer, began);
        Ok(())
    }
}
