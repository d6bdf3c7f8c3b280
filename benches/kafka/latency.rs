//! From producing an event to reading its match, at a steady rate: a thousand events a second, every second of which completes a match; and 200,000 a second, about half of
//! what two cores take with producer and broker beside it, of which one in fifty matters.
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
use super::super::table::{Row, Table};
use super::super::workloads::typed::Fields;
use super::deployment::{Deployment, SetOnDrop, now_ms};
use super::topic::{reader, send};
use super::{EPOCH_MS, PARTITIONS, PATTERN};
use crate::broker::{Broker, LIMIT, unique};

/// How many come in a millisecond, and every which of them is an event that matters.
#[derive(Clone, Copy)]
struct Rate {
    per_ms: u64,
    every: u64,
}

const RATES: [Rate; 2] = [Rate { per_ms: 1, every: 1 }, Rate { per_ms: 200, every: 50 }];

const MEDIAN_MS_MAX: i64 = 100;
const MOST_MS_MAX: i64 = 250;
const KEYS: u64 = 1_000;
/// One that no step asks for.
const OTHER_TYPE: i64 = 2;
const MATCHES: usize = 10_000;
/// Left out: while the service starts, records wait, and then it catches up with them. From so long after the first match was read, events count.
const CATCH_UP_MS: i64 = 3_000;

pub fn measure(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    RATES.into_iter().for_each(|rate| table.add(measure_at(name, plan, broker, rate)));
}

fn measure_at(name: &str, plan: &Plan, broker: &Broker, rate: Rate) -> Row {
    let part = usize::try_from(plan.part).expect("small");
    let wanted = (MATCHES / part).max(100);
    let input = unique("latency-in");
    broker.create_topic(&input, PARTITIONS);
    let deployment = Deployment::new(broker, &input, PATTERN);
    let service = deployment.start(0);
    let is_over = AtomicBool::new(false);
    let mut delays = std::thread::scope(|scope| {
        scope.spawn(|| produce(broker, &input, rate, &is_over));
        // Set also where reading panics: the producer would never end.
        let _over = SetOnDrop(&is_over);
        read(&reader(broker, &deployment.output, PARTITIONS, "65536"), wanted)
    });
    drop(service);
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    let [least, median, high, most] = [0, 50, 99, 100].map(at);
    let said = |ms: i64| shown(ms as f64);
    let row = Row::said(
        format!("{name}, commits every {EPOCH_MS} ms, {} events a second, ms", counted(rate.per_ms * 1_000)),
        format!("{} {} {}", said(least), said(median), said(most)),
    );
    let row = row.beside(format!("99 % of {} within {} ms", counted(delays.len() as u64), said(high)));
    row.goal(format!("median under {MEDIAN_MS_MAX}, 99 % within {MOST_MS_MAX}"), median < MEDIAN_MS_MAX && high <= MOST_MS_MAX)
}

/// Every key by turns: a first event, and with the next turn the second. Those that do not matter are of another type.
fn produce(broker: &Broker, topic: &str, Rate { per_ms, every }: Rate, is_over: &AtomicBool) {
    let producer: BaseProducer = broker.config().set("linger.ms", "5").create().expect("a client");
    let begin = Instant::now();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let turn = (number / KEYS % 2).cast_signed();
        let typ = if number.is_multiple_of(every) { turn } else { OTHER_TYPE };
        send(&producer, topic, PARTITIONS, number, Fields { k: (number % KEYS).cast_signed(), typ, amt: turn, at_ms: now_ms() });
        if number.is_multiple_of(per_ms) {
            producer.poll(Duration::ZERO);
            let next = begin + Duration::from_millis(number / per_ms + 1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    producer.flush(LIMIT).expect("delivered");
}

/// Milliseconds from an event to its match.
fn read(consumer: &BaseConsumer, wanted: usize) -> Vec<i64> {
    let (mut delays, mut begun) = (Vec::new(), None);
    let deadline = Instant::now() + LIMIT * 3;
    while delays.len() < wanted {
        assert!(Instant::now() < deadline, "{} matches of {wanted} come", delays.len());
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let found: Value = serde_json::from_slice(message.payload().expect("a value")).expect("a match");
        let ended = DateTime::parse_from_rfc3339(found["fields"]["ended"].as_str().expect("a time")).expect("a time");
        let now = now_ms();
        if ended.timestamp_millis() >= *begun.get_or_insert(now) + CATCH_UP_MS {
            delays.push(now - ended.timestamp_millis());
        }
    }
    delays
}
