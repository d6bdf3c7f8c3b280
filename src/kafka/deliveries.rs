//! The brokers' answers to what a producer sends.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::kafka::connection::{Attempts, TRANSACTION_COORDINATOR};
use crate::kafka::permission::Operation;
use crate::kafka::{Link, failure};
use crate::ports::TransportError;

/// Under which the library logs that the coordinator does not take a partition into the transaction; no call and no record tells it.
const ADDING: &str = "ADDPARTS";

/// How it says that this is because we may not write there.
const DENIED: &str = "Topic authorization failed";

/// Under which the library logs that a connection has failed, or that an answer has not come in time.
const LOST: [&str; 2] = ["FAIL", "REQTMOUT"];

/// What has been said once is not said again for 30 s.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// What is not answered the library asks again by itself, 80 ms later at the least (`retry.backoff.ms`, less a fifth): a call that was quicker has asked once.
const ASKED_ONCE_MAX: Duration = Duration::from_millis(60);

/// For all that the library has to say to be heard.
const LISTEN: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(super) struct Deliveries {
    /// The first refusal, and of which transaction. (Answers to what an abort has purged come late.)
    refused: Mutex<Option<(usize, String)>>,
    /// A topic that we may not write to.
    denied: Mutex<Option<String>>,
    /// When the connection to the transactions' coordinator was last said to have failed.
    coordinator_lost: Mutex<Option<Instant>>,
    /// By topic and partition: the offset after the last record.
    delivered: Mutex<BTreeMap<String, BTreeMap<u32, u64>>>,
    pub attempts: Attempts,
}

impl Deliveries {
    fn note(&self, topic: &str, partition: u32, next: u64) {
        let mut delivered = lock(&self.delivered);
        match delivered.get_mut(topic) {
            Some(partitions) => drop(partitions.insert(partition, next)),
            None => drop(delivered.insert(topic.to_owned(), BTreeMap::from([(partition, next)]))),
        }
    }

    /// What is only now answered to an older transaction says nothing of the one that runs.
    fn refuse(&self, transaction: usize, reason: impl FnOnce() -> String) {
        let mut refused = lock(&self.refused);
        if refused.as_ref().is_none_or(|(before, _)| *before < transaction) {
            *refused = Some((transaction, reason()));
        }
    }

    /// Why a record of this transaction was refused, for whatever reason but that we may not write.
    pub(super) fn refused(&self, transaction: usize) -> Option<String> {
        lock(&self.refused).take().filter(|(of, _)| *of == transaction).map(|(_, reason)| reason)
    }

    pub(super) fn is_denied(&self) -> bool {
        lock(&self.denied).is_some()
    }

    /// That we may not write to some topic.
    pub(super) fn denied(&self, link: &Link) -> Option<TransportError> {
        let topic = lock(&self.denied).clone()?;
        link.denied_code(Code::TopicAuthorizationFailed, Operation::Write, &[&topic])
    }

    fn has_lost_coordinator(&self) -> bool {
        lock(&self.coordinator_lost).is_some_and(|lost| lost.elapsed() < SILENCE_MAX)
    }

    pub(super) fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64> {
        lock(&self.delivered).get(topic)?.get(&partition).copied()
    }
}

/// Whether the end of a transaction, asked for in a call that began then, may have been asked for more than once. The first request may then still be on its way, and to
/// brokers it is of whatever transaction of this producer is open when it arrives: it would commit or abort half of that. The call is only told the last answer.
pub(super) fn may_be_repeated(producer: &BaseProducer<Deliveries>, began: Instant) -> bool {
    if began.elapsed() < ASKED_ONCE_MAX {
        return false;
    }
    producer.poll(LISTEN);
    producer.context().has_lost_coordinator()
}

impl Link {
    /// A producer that cannot take up its name.
    pub(super) fn cannot_produce(&self, producer: &BaseProducer<Deliveries>, error: &KafkaError) -> TransportError {
        if let Some(denied) = self.denied(error, Operation::Write, &[]) {
            return denied;
        }
        producer.poll(Duration::ZERO);
        let error = failure::of_transaction("cannot begin to produce", error);
        TransportError { reason: error.reason + &self.explain_beside(&producer.context().attempts), ..error }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == ADDING
            && line.contains(DENIED)
            && let Some(topic) = line.split('"').nth(1)
        {
            *lock(&self.denied) = Some(topic.to_owned());
        }
        if LOST.contains(&facility) && line.contains(TRANSACTION_COORDINATOR) {
            *lock(&self.coordinator_lost) = Some(Instant::now());
        }
        self.attempts.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.attempts.hear(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, transaction: usize) {
        match result {
            Ok(message) => {
                if let (Ok(partition), Ok(offset)) = (u32::try_from(message.partition()), u64::try_from(message.offset())) {
                    self.note(message.topic(), partition, offset + 1);
                }
            }
            Err((error, message)) if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) => {
                *lock(&self.denied) = Some(message.topic().to_owned());
            }
            Err((error, message)) => {
                self.refuse(transaction, || format!("topic {}: {error}", message.topic()));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_to_the_coordinator_leaves_ends_of_transactions_behind() {
        for (facility, line, is_lost) in [
            ("REQTMOUT", "[thrd:TxnCoordinator]: TxnCoordinator/1: Timed out EndTxnRequest in flight (after 4004ms, timeout #0)", true),
            ("FAIL", "[thrd:TxnCoordinator]: TxnCoordinator: 127.0.0.1:9092: Disconnected (after 97ms in state UP)", true),
            ("FAIL", "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Disconnected (after 97ms in state UP)", false),
            ("GETPID", "[thrd:main]: Failed to acquire transactional PID from broker TxnCoordinator/1: concurrent operation", false),
        ] {
            let deliveries = Deliveries::default();
            deliveries.log(RDKafkaLogLevel::Info, facility, line);
            assert_eq!(deliveries.has_lost_coordinator(), is_lost, "{line}");
        }
    }

    #[test]
    fn the_first_refusal_of_the_newest_transaction_is_kept() {
        let deliveries = Deliveries::default();
        for (transaction, reason, kept) in [(3, "a", (3, "a")), (3, "b", (3, "a")), (2, "c", (3, "a")), (4, "d", (4, "d"))] {
            deliveries.refuse(transaction, || reason.to_owned());
            let refused = lock(&deliveries.refused).clone();
            assert_eq!(refused, Some((kept.0, kept.1.to_owned())), "{transaction} {reason}");
        }
    }
}
