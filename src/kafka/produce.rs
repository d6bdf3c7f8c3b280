//! A record handed to a producer's client, which sends it when it sees fit; and waiting until it has.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::event::EventTime;
use crate::kafka::failure;
use crate::kafka::group::partition;
use crate::ports::{OutputRecord, TransportError};

/// How long to wait while the client's queue is full.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// While records go out, how long to wait before the answers are looked at again. The client's own wait is no use: it looks without pause through its last millisecond,
/// and goes on waiting after an answer has come.
const DRAIN_INTERVAL: Duration = Duration::from_micros(500);

/// A record with a time keeps it, another has that of its writing. The producer is given back `mark` when the record is delivered, or is not.
pub(super) fn produce<C: ProducerContext>(
    producer: &BaseProducer<C>,
    record: &OutputRecord<'_>,
    time: Option<EventTime>,
    mark: C::DeliveryOpaque,
) -> Result<(), TransportError> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in record.headers {
        headers = headers.insert(Header { key, value: *value });
    }
    let mut outgoing: BaseRecord<'_, [u8], [u8], C::DeliveryOpaque> =
        BaseRecord::with_opaque_to(record.topic, mark).partition(partition(record.partition)).headers(headers);
    (outgoing.key, outgoing.payload) = (record.key, record.value);
    outgoing.timestamp = time.map(|time| time.micros().div_euclid(1_000));
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        match producer.send(outgoing) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                outgoing = back;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(failure::of_send(record.topic, &error)),
        }
    }
}

/// Waits until nothing is on its way to the brokers any more; `false`: some is still at the deadline.
pub(super) fn drain<C: ProducerContext>(producer: &BaseProducer<C>, deadline: Instant) -> bool {
    drain_unless(producer, deadline, || false)
}

/// The same, given up as soon as it is in vain.
pub(super) fn drain_unless<C: ProducerContext>(producer: &BaseProducer<C>, deadline: Instant, is_in_vain: impl Fn() -> bool) -> bool {
    while producer.in_flight_count() > 0 {
        if Instant::now() > deadline || is_in_vain() {
            return false;
        }
        producer.poll(Duration::ZERO);
        if producer.in_flight_count() > 0 {
            std::thread::sleep(DRAIN_INTERVAL);
        }
    }
    true
}
