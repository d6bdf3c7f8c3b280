//! From producing an event to reading its match, at a steady rate: a thousand events a second, every second of which completes a match.
//!
//! The match names the time of the event that completed it, which is the machine's when it was produced. A partition's next event, which says that no earlier one
//! will come, follows some milliseconds later: that is part of what is measured, as it is of what a user sees.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::DateTime;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, Producer};
use serde_json::Value;

use super::super::Plan;
use super::super::measure::{counted, shown};
use super::super::table::Row;
use super::super::workloads::typed::Fields;
use super::deployment::{Deployment, SetOnDrop, now_ms};
use super::topic::{reader, send};
use super::{EPOCH_MS, PARTITIONS, PATTERN};
use crate::broker::{Broker, LIMIT, unique};

const INTERVAL: Duration = Duration::from_millis(1);
const KEYS: u64 = 1_000;
const MATCHES: usize = 10_000;
/// Left out, besides those of events from before the first match was read: while the service starts, records wait.
const WARM_UP: usize = 1_000;

pub fn measure(name: &str, plan: &Plan, broker: &Broker) -> Row {
    let part = usize::try_from(plan.part).expect("small");
    let (warm_up, wanted) = ((WARM_UP / part).max(10), (MATCHES / part).max(100));
    let input = unique("latency-in");
    broker.create_topic(&input, PARTITIONS);
    let deployment = Deployment::new(broker, &input, PATTERN);
    let service = deployment.start(0);
    let is_over = AtomicBool::new(false);
    let mut delays = std::thread::scope(|scope| {
        scope.spawn(|| produce(broker, &input, &is_over));
        // Set also where reading panics: the producer would never end.
        let _over = SetOnDrop(&is_over);
        read(&reader(broker, &deployment.output, PARTITIONS, "65536"), warm_up, wanted)
    });
    drop(service);
    delays.sort_unstable();
    let at = |percent: usize| shown(delays[(delays.len() - 1) * percent / 100] as f64);
    Row::said(format!("{name}, commits every {EPOCH_MS} ms, 1,000 events a second, ms"), format!("{} {} {}", at(0), at(50), at(100))).beside(format!(
        "99 % of {} within {} ms",
        counted(delays.len() as u64),
        at(99)
    ))
}

/// Every key by turns: a first event, and with the next turn the second.
fn produce(broker: &Broker, topic: &str, is_over: &AtomicBool) {
    let producer: BaseProducer = broker.config().set("linger.ms", "0").create().expect("a client");
    let begin = Instant::now();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let turn = (number / KEYS % 2).cast_signed();
        let event = Fields { k: (number % KEYS).cast_signed(), typ: turn, amt: turn, at_ms: now_ms() };
        send(&producer, topic, PARTITIONS, number, event);
        producer.poll(Duration::ZERO);
        let next = begin + INTERVAL * u32::try_from(number + 1).expect("minutes at most");
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    producer.flush(LIMIT).expect("delivered");
}

/// Milliseconds from an event to its match.
fn read(consumer: &BaseConsumer, warm_up: usize, wanted: usize) -> Vec<i64> {
    let (mut delays, mut begun) = (Vec::new(), None);
    let deadline = Instant::now() + LIMIT * 3;
    while delays.len() < warm_up + wanted {
        assert!(Instant::now() < deadline, "{} matches of {} come", delays.len(), warm_up + wanted);
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let found: Value = serde_json::from_slice(message.payload().expect("a value")).expect("a match");
        let ended = DateTime::parse_from_rfc3339(found["fields"]["ended"].as_str().expect("a time")).expect("a time");
        let now = now_ms();
        if ended.timestamp_millis() >= *begun.get_or_insert(now) {
            delays.push(now - ended.timestamp_millis());
        }
    }
    delays.split_off(warm_up)
}
