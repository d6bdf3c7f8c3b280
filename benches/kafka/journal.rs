//! What the journal adds to the traffic: bytes on the broker's disk, all overhead included, beside those of the input, which comes at a steady rate.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer};

use super::super::Plan;
use super::super::kernels;
use super::super::measure::{counted, shown};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{Workload, fields};
use super::deployment::Deployment;
use super::{EPOCH_MS, KEYS, PARTITIONS, PATTERN, topic};
use crate::broker::{Broker, LIMIT, unique};

/// Events a second.
pub const RATE: u64 = 50_000;
const EVENTS: u64 = 10 * RATE;
const OF_INPUT_MAX: f64 = 0.01;

pub fn measure(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    let events = EVENTS / plan.part;
    let input = unique("journal-in");
    broker.create_topic(&input, PARTITIONS);
    let deployment = Deployment::new(broker, &input, PATTERN);
    let service = deployment.start(0);
    deployment.await_log(0, 0, &["task starts"], PARTITIONS.cast_unsigned() as usize);
    let began = Instant::now();
    produce(broker, &input, events);
    let produced = began.elapsed();
    await_read(broker, &deployment, events);
    drop(service);
    // Not all are decided: the last partial matches wait for what does not come.
    let (found, all) = (deployment.matches(), kernels::run(Workload::Pair, events, KEYS, |_| {}));
    assert!(found <= all && found * 10 >= all * 9, "{found} of {all} matches");
    let [of_journal, of_input] = [format!("{}.journal", deployment.group), input].map(|topic| broker.log_bytes(&topic) as f64);
    let records = broker.read(&format!("{}.journal", deployment.group)).len();
    let row = Row::said(
        format!("{name}, {} events at {} a second, {PARTITIONS} tasks, commits every {EPOCH_MS} ms, %", counted(events), counted(RATE)),
        shown(of_journal / of_input * 100.0),
    );
    let row = row
        .beside(format!(
            "{} records of {} bytes on the disk, the input's have {}",
            counted(records as u64),
            shown(of_journal / records as f64),
            shown(of_input / events as f64)
        ))
        .beside(format!("produced at {} a second", shown(events as f64 / produced.as_secs_f64())));
    table.add(row.goal(format!("at most {} %", shown(OF_INPUT_MAX * 100.0)), of_journal / of_input <= OF_INPUT_MAX));
}

/// Uncompressed, so that a byte is a byte.
fn produce(broker: &Broker, input: &str, events: u64) {
    let producer: BaseProducer = broker.config().set("linger.ms", "5").create().expect("a client");
    let begin = Instant::now();
    let per_ms = RATE / 1_000;
    for number in 0..events {
        topic::send(&producer, input, PARTITIONS, number, fields(number, KEYS, Workload::Pair.types()));
        if number.is_multiple_of(per_ms) {
            producer.poll(Duration::ZERO);
            std::thread::sleep((begin + Duration::from_millis(number / per_ms)).saturating_duration_since(Instant::now()));
        }
    }
    producer.flush(LIMIT).expect("delivered");
}

/// Until the journal accounts for so many events.
pub fn await_read(broker: &Broker, deployment: &Deployment<'_>, events: u64) {
    let deadline = Instant::now() + LIMIT * 3;
    loop {
        let read: u64 = super::replay::last_epochs(&super::replay::journal(broker, deployment)).map(|record| record.inputs[0].next).sum();
        if read >= events {
            return;
        }
        assert!(Instant::now() < deadline, "{read} of {events} events are read");
        std::thread::sleep(Duration::from_millis(50));
    }
}
