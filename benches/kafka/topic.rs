//! The events as JSON records of about 150 bytes, and the least that reading them costs.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::super::measure::own_cpu_s;
use super::super::workloads::typed::{Fields, Workload, fields};
use crate::broker::{Broker, LIMIT};

/// What a reader takes out of a record.
#[derive(Deserialize)]
struct Taken {
    k: i64,
    typ: i64,
    amt: f64,
    ts: i64,
}

/// Produces the events of `pair`, by key, in order.
pub fn fill(broker: &Broker, topic: &str, partitions: i32, events: u64, keys: u64) {
    let producer: BaseProducer = broker.config().set("linger.ms", "20").set("compression.type", "lz4").create().expect("a client");
    for number in 0..events {
        send(&producer, topic, partitions, number, fields(number, keys, Workload::Pair.types()));
    }
    producer.flush(LIMIT).expect("delivered");
}

/// Produces one event, to the partition of its key.
pub fn send(producer: &BaseProducer, topic: &str, partitions: i32, number: u64, Fields { k, typ, amt, at_ms }: Fields) {
    let value = format!(
        "{{\"k\":{k},\"typ\":{typ},\"amt\":{amt}.0,\"ts\":{at_ms},\"merchant\":\"m{}\",\"country\":\"DE\",\"channel\":\"online\",\"terminal\":\"t-{}\"}}",
        number % 977,
        number % 5003
    );
    let (key, partition) = (k.to_string(), i32::try_from(k % i64::from(partitions)).expect("small"));
    let mut record = BaseRecord::to(topic).key(&key).payload(&value).partition(partition).timestamp(at_ms);
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
        record = back;
        producer.poll(Duration::from_millis(5));
    }
}

/// Processor seconds, of all threads of the client, for reading and parsing all records, and nothing else.
pub fn read(broker: &Broker, topic: &str, partitions: i32, events: u64) -> f64 {
    let begun = own_cpu_s();
    let consumer = reader(broker, topic, partitions, "4194304");
    let (mut read, mut ends, mut sum) = (0, 0, 0.0);
    let deadline = Instant::now() + LIMIT * 10;
    while ends < partitions {
        assert!(Instant::now() < deadline, "topic {topic} cannot be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let taken: Taken = serde_json::from_slice(message.payload().expect("a value")).expect("as it was produced");
                sum += taken.amt + (taken.k ^ taken.typ ^ taken.ts) as f64;
                read += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    assert!(std::hint::black_box(sum) > 0.0);
    assert_eq!(read, events, "records on the topic");
    drop(consumer);
    own_cpu_s() - begun
}

/// A consumer of committed records from the first on.
pub fn reader(broker: &Broker, topic: &str, partitions: i32, fetch_bytes: &str) -> BaseConsumer {
    let mut config = broker.config();
    config.set("group.id", "bare").set("isolation.level", "read_committed").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    config.set("fetch.wait.max.ms", "20").set("fetch.message.max.bytes", fetch_bytes);
    let consumer: BaseConsumer = config.create().expect("a client");
    let mut list = TopicPartitionList::new();
    (0..partitions).for_each(|partition| list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset"));
    consumer.assign(&list).expect("assigned");
    consumer
}
