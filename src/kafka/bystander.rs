//! Consumers that take part in no group: they ask, and read topics to their ends.

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::Link;

pub(super) type BystanderConsumer = BaseConsumer<Bystander>;

pub(super) struct Bystander;

impl ClientContext for Bystander {
    fn error(&self, error: KafkaError, reason: &str) {
        // Reported as an error, and what was asked for: the end of a partition.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "the Kafka client reports");
        }
    }
}

impl ConsumerContext for Bystander {}

impl Link {
    /// One that is told of records of open transactions as well.
    pub(super) fn uncommitted_consumer(&self) -> KafkaResult<BystanderConsumer> {
        self.bystander().set("isolation.level", "read_uncommitted").create_with_context(Bystander)
    }

    pub(super) fn consumer(&self) -> KafkaResult<BystanderConsumer> {
        self.bystander().create_with_context(Bystander)
    }
}
