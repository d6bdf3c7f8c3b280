//! What exactly once costs: the same run with its transactions, and with the same records sent by a producer without any.
//!
//! There is no such mode in the program. Here, between a worker and the brokers, stands something that passes everything on, or leaves out the transactions: outputs and
//! journal go through a producer of its own with the same settings, each epoch waits until they are delivered, and offsets are not written at all. So what is compared
//! with has no promise left, not even at least once; so there is one worker, as a task that moves could not go on. By turns; the time is from the first record to the
//! last commit, without start and end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use motif::config::{self, Config};
use motif::language::{Source, compile};
use motif::ports::{Fetched, GroupChange, InputPartition, Membership, OutputRecord, Transport, TransportError};
use motif::service::StopSignal;
use motif::service::topics::{UntilEnd, run_over};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::Plan;
use super::super::kernels;
use super::super::measure::{Spread, counted, own_cpu_s, shown};
use super::super::table::{Row, Table};
use super::super::workloads::typed::Workload;
use super::deployment::Deployment;
use super::{EPOCH_MS, KEYS, PARTITIONS, PATTERN, topic};
use crate::broker::{Broker, LIMIT, unique};

const EVENTS: u64 = 3_000_000;
/// Of the throughput without transactions.
const OF_WITHOUT_MIN: f64 = 0.9;

pub fn measure(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    let events = EVENTS / plan.part;
    let matches = kernels::run(Workload::Pair, events, KEYS, |_| {});
    let input = unique("cost-in");
    broker.create_topic(&input, PARTITIONS);
    topic::fill(broker, &input, PARTITIONS, events, KEYS);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut cpu_with, mut cpu_without) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        for (transactions, seconds, cpu) in [(Transactions::Kept, &mut with, &mut cpu_with), (Transactions::LeftOut, &mut without, &mut cpu_without)] {
            let begun = own_cpu_s();
            seconds.push(run(broker, &input, matches, transactions));
            // The counting of matches is in it, alike for both.
            cpu.push((own_cpu_s() - begun) / events as f64 * 1e9);
            plan.note(&format!("{transactions:?}: {:.2} s", seconds[seconds.len() - 1]));
        }
    }
    let of_without = Spread::of_ratios(&without, &with);
    let [cpu_with, cpu_without] = [cpu_with, cpu_without].map(|ns| shown(Spread::of(ns).median));
    let per_second = |seconds: &[f64]| shown(Spread::of(seconds.iter().map(|seconds| events as f64 / seconds)).median);
    let row = Row::new(format!("{name}, a transaction every {EPOCH_MS} ms, {} events, throughput of that without", counted(events)), of_without)
        .beside(format!("{} events per second with transactions, {} without", per_second(&with), per_second(&without)))
        .beside(format!("{cpu_with} ns of CPU per event, {cpu_without} without"));
    table.add(row.at_least(of_without.median, OF_WITHOUT_MIN));
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transactions {
    Kept,
    LeftOut,
}

/// Seconds from the first record to the last commit.
fn run(broker: &Broker, input: &str, matches: u64, transactions: Transactions) -> f64 {
    let deployment = Deployment::new(broker, input, PATTERN);
    let config: Config = config::load(&deployment.configure(0, 1, "")).expect("a good configuration");
    let sources = [Source { path: "patterns.motif".to_owned(), text: PATTERN.to_owned() }];
    let program = Arc::new(compile(&sources).program);
    let seen = Arc::new(Mutex::new(None));
    let wrap = |member: Box<dyn Transport + Send>| -> Box<dyn Transport + Send> {
        let producer = (transactions == Transactions::LeftOut).then(|| producer(broker));
        Box::new(Watched { member, producer, seen: seen.clone() })
    };
    run_over(program, &sources, &config, &StopSignal::default(), UntilEnd::Yes, &wrap).expect("runs to the end");
    assert_eq!(deployment.matches(), matches, "matches on the output topic");
    let (first, last) = seen.lock().expect("no panic").expect("records were read");
    (last - first).as_secs_f64()
}

/// As the program makes its own, but without a transactional id.
fn producer(broker: &Broker) -> BaseProducer {
    let mut config = broker.config();
    config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5").set("batch.size", "1000000").set("compression.type", "lz4");
    config.create().expect("a client")
}

struct Watched {
    member: Box<dyn Transport + Send>,
    /// Instead of transactions.
    producer: Option<BaseProducer>,
    /// Of all workers: the first record, and the last commit.
    seen: Arc<Mutex<Option<(Instant, Instant)>>>,
}

impl Watched {
    fn note(&self) {
        let now = Instant::now();
        self.seen.lock().expect("no panic").get_or_insert((now, now)).1 = now;
    }
}

impl Transport for Watched {
    fn poll(&mut self, wait: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
        let change = self.member.poll(wait, fetched)?;
        if fetched.records() > 0 && self.seen.lock().expect("no panic").is_none() {
            self.note();
        }
        Ok(change)
    }

    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError> {
        self.member.start(from)
    }

    fn pause(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        self.member.pause(partitions)
    }

    fn resume(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        self.member.resume(partitions)
    }

    fn release(&mut self, tasks: &[u32]) -> Result<(), TransportError> {
        self.member.release(tasks)
    }

    fn membership(&mut self) -> Membership {
        self.member.membership()
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        if self.producer.is_some() { Ok(()) } else { self.member.begin() }
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError> {
        let Some(producer) = &self.producer else { return self.member.send(record) };
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }));
        let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic).partition(record.partition.cast_signed()).headers(headers);
        (outgoing.key, outgoing.payload) = (record.key, record.value);
        producer.send(outgoing).map_err(|(error, _)| TransportError::fatal(error.to_string()))
    }

    fn drain(&mut self, wait: Duration) -> Result<(), TransportError> {
        let Some(producer) = &self.producer else { return self.member.drain(wait) };
        let deadline = Instant::now() + LIMIT;
        while producer.in_flight_count() > 0 {
            assert!(Instant::now() < deadline, "outputs are not delivered");
            producer.poll(Duration::from_millis(1));
        }
        Ok(())
    }

    fn known_end(&self, input: InputPartition) -> Option<u64> {
        self.member.known_end(input)
    }

    fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64> {
        self.member.delivered_to(topic, partition)
    }

    fn send_offsets(&mut self, next: &[(InputPartition, u64)], wait: Duration) -> Result<(), TransportError> {
        if self.producer.is_some() { Ok(()) } else { self.member.send_offsets(next, wait) }
    }

    fn commit(&mut self, wait: Duration) -> Result<(), TransportError> {
        if self.producer.is_none() {
            self.member.commit(wait)?;
        }
        self.note();
        Ok(())
    }

    fn abort(&mut self, wait: Duration) -> Result<(), TransportError> {
        self.member.abort(wait)
    }

    fn rejoin(&mut self, member: &str) -> Result<bool, TransportError> {
        self.member.rejoin(member)
    }

    fn renew(&mut self, wait: Duration) -> Result<bool, TransportError> {
        self.member.renew(wait)
    }
}
