//! Which error of the client library leaves what behind.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::kafka::fence::End;
use crate::ports::{Failure, TransportError};

/// A failed call of the producer's transaction.
pub(super) fn of_transaction(call: &str, error: &KafkaError) -> TransportError {
    let failure = match error {
        KafkaError::Transaction(inner) => {
            classify(&Flags { code: inner.code(), fatal: inner.is_fatal(), requires_abort: inner.txn_requires_abort(), retriable: inner.is_retriable() })
        }
        KafkaError::Flush(Code::OperationTimedOut) => Failure::Unknown,
        _ => Failure::Fatal,
    };
    TransportError { failure, reason: format!("Kafka: {call}: {}", sentence(error)) }
}

/// A client that cannot be made.
pub(super) fn of_settings(error: &KafkaError) -> TransportError {
    let what = match error {
        KafkaError::ClientConfig(_, description, _, _) => description.clone(),
        KafkaError::ClientCreation(description) => description.clone(),
        other => other.to_string(),
    };
    let remedy =
        if what.contains("No provider for SASL mechanism") { " (set sasl.mechanism: Motif speaks PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512)" } else { "" };
    TransportError::fatal(format!("the client library of Kafka does not take what [kafka.properties] says: {what}{remedy}"))
}

/// Any other call: it can be repeated, or nothing can be done.
pub(super) fn of_call(call: &str, error: &KafkaError) -> TransportError {
    let failure = match error.rdkafka_error_code() {
        Some(code) if is_connection(code) || is_changing(code) => Failure::Retriable,
        _ => Failure::Fatal,
    };
    TransportError { failure, reason: format!("Kafka: {call}: {}", sentence(error)) }
}

/// A record that the client library does not even take.
pub(super) fn of_send(topic: &str, error: &KafkaError) -> TransportError {
    TransportError { failure: Failure::Abortable, reason: format!("Kafka: topic {topic}: cannot send: {}", sentence(error)) }
}

/// A record that the brokers did not take.
pub(super) fn of_delivery(reason: String) -> TransportError {
    TransportError { failure: Failure::Abortable, reason: format!("Kafka: a record was not delivered: {reason}") }
}

/// Records that the brokers have neither taken nor refused in time.
pub(super) fn of_silence() -> TransportError {
    TransportError { failure: Failure::Unknown, reason: "Kafka: a record was not delivered: the brokers do not answer".to_owned() }
}

/// What there is to do where input is lost.
const ACCEPT: &str = "start with --accept-reset to accept that the state before is lost";

/// A member that is no use any more, as brokers have taken its place for another's; and why it does not join anew (`fence`).
pub(super) fn of_fence(end: End) -> TransportError {
    const WHO: &str = "Kafka: the group has another member under the name of this process (group.instance.id)";
    let what = match end {
        End::Replaced => {
            "another process runs on a copy of the state folder, and this one ends, so that they do not take turns; end either, and give the other a state folder of its own"
        }
        End::Refused => {
            "no other process has that name any more, and the brokers do not take this one all the same; start it again: nothing that was committed is lost"
        }
    };
    TransportError::fatal(format!("{WHO}: {what}"))
}

/// What was to be read next is not kept any more.
pub(super) fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

/// An error among the records that were polled: `None` where the client library repairs it by itself.
pub(super) fn of_poll(topic: &str, error: &KafkaError) -> Option<TransportError> {
    let code = error.rdkafka_error_code()?;
    let reason = match code {
        _ if is_out_of_range(error) => {
            format!(
                "topic {topic} does not hold any more what was to be read next: it was shortened (retention.ms and retention.bytes decide how long records are kept), or deleted and made \
                 anew; {ACCEPT}"
            )
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            format!("topic {topic} was deleted; `motif topics --create` makes it again; {ACCEPT}")
        }
        // It shows in the client, where it is looked for after each poll.
        Code::FencedInstanceId | Code::UnreleasedInstanceId => return None,
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => sentence(error),
        _ => return None,
    };
    Some(TransportError::fatal(format!("Kafka: {reason}")))
}

struct Flags {
    code: Code,
    fatal: bool,
    requires_abort: bool,
    retriable: bool,
}

fn classify(flags: &Flags) -> Failure {
    match flags {
        Flags { fatal: true, .. } => Failure::Fatal,
        Flags { requires_abort: true, code: Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId, .. } => Failure::Expelled,
        Flags { requires_abort: true, .. } => Failure::Abortable,
        Flags { retriable: true, code, .. } if is_connection(*code) => Failure::Unknown,
        Flags { retriable: true, .. } => Failure::Retriable,
        _ => Failure::Fatal,
    }
}

fn is_connection(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut | Code::RequestTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::MessageTimedOut | Code::NetworkException
    )
}

/// Another broker is about to answer for it, or the same one, once it has read its logs.
fn is_changing(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::KafkaStorageError
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::UnknownPartition
            | Code::BrokerDestroy
            | Code::DestroyBroker
    )
}

/// Without the binding's own words around the reason.
fn sentence(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(inner) => inner.string(),
        other => other.rdkafka_error_code().map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_codes_decide_what_a_failure_leaves_behind() {
        let table = [
            (Code::OperationTimedOut, [false, false, true], Failure::Unknown),
            (Code::BrokerTransportFailure, [false, false, true], Failure::Unknown),
            (Code::ConcurrentTransactions, [false, false, true], Failure::Retriable),
            (Code::UnknownTopicOrPartition, [false, true, false], Failure::Abortable),
            (Code::OperationTimedOut, [false, true, true], Failure::Abortable),
            (Code::IllegalGeneration, [false, true, false], Failure::Expelled),
            (Code::UnknownMemberId, [false, true, false], Failure::Expelled),
            (Code::FencedInstanceId, [false, true, false], Failure::Expelled),
            (Code::IllegalGeneration, [true, true, false], Failure::Fatal),
            (Code::Fenced, [true, false, false], Failure::Fatal),
            (Code::InvalidTransactionalState, [false, false, false], Failure::Fatal),
        ];
        for (code, [fatal, requires_abort, retriable], failure) in table {
            assert_eq!(classify(&Flags { code, fatal, requires_abort, retriable }), failure, "{code:?} {fatal} {requires_abort} {retriable}");
        }
    }

    #[test]
    fn what_a_change_of_brokers_brings_is_asked_again() {
        let table = [
            (Code::BrokerTransportFailure, Failure::Retriable),
            (Code::NotLeaderForPartition, Failure::Retriable),
            (Code::CoordinatorLoadInProgress, Failure::Retriable),
            (Code::UnknownPartition, Failure::Retriable),
            (Code::DestroyBroker, Failure::Retriable),
            (Code::TopicAuthorizationFailed, Failure::Fatal),
        ];
        for (code, failure) in table {
            assert_eq!(of_call("a call", &KafkaError::MetadataFetch(code)).failure, failure, "{code:?}");
        }
    }

    #[test]
    fn whoever_is_fenced_for_good_is_told_what_to_do() {
        for (end, words) in [(End::Replaced, ["copy of the state folder", "end either"]), (End::Refused, ["no other process", "start it again"])] {
            let error = of_fence(end);
            assert_eq!(error.failure, Failure::Fatal);
            assert!(words.iter().all(|word| error.reason.contains(word)), "{}", error.reason);
        }
    }

    #[test]
    fn the_client_repairs_lost_connections_by_itself() {
        assert_eq!(of_poll("t", &KafkaError::MessageConsumption(Code::AllBrokersDown)), None);
        for code in [Code::FencedInstanceId, Code::UnreleasedInstanceId] {
            assert_eq!(of_poll("t", &KafkaError::MessageConsumptionFatal(code)), None);
        }
        assert!(of_poll("t", &KafkaError::MessageConsumption(Code::AutoOffsetReset)).is_some());
        assert!(of_poll("t", &KafkaError::MessageConsumptionFatal(Code::Fenced)).is_some());
    }
}
