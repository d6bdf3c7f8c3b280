//! One run of a test: events that flow into a deployment, and the account at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use crate::broker::{Broker, LIMIT, Read};
use crate::kafka::torture::fleet::Fleet;
use crate::kafka::torture::tell;
use crate::kafka::torture::workload::{Address, Expected, Form, Made, PARTITIONS, STREAMS, assert_files_agree, events, expected, of_line};
use crate::random_cases::seed;

/// How long a run that was disturbed may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(180);

pub struct Trial<'a> {
    name: &'a str,
    seed: u64,
    pub broker: &'a Broker,
    pub random: ChaCha8Rng,
    pub fleet: Fleet,
    events: Vec<Made>,
    expected: Expected,
    /// Keeps each partition's order and sends each event once, whatever happens to the broker.
    producer: BaseProducer,
    sent: usize,
    began: Instant,
}

impl<'a> Trial<'a> {
    /// Makes events and topics; no process runs yet.
    pub fn new(broker: &'a Broker, name: &'a str, events_wanted: usize, processes: usize) -> Self {
        Self::of(Form::AsPartitioned, broker, name, events_wanted, processes)
    }

    /// The same with other patterns.
    pub fn of(form: Form, broker: &'a Broker, name: &'a str, events_wanted: usize, processes: usize) -> Self {
        let seed = seed(name);
        let began = Instant::now();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let events = events(&mut random, events_wanted);
        let expected = expected(&events, form);
        assert_files_agree(&events, &expected);
        let fleet = Fleet::new(&broker.address, form, processes);
        let producer = broker.config().set("enable.idempotence", "true").set("linger.ms", "2").create().expect("a client");
        Self { name, seed, broker, random, fleet, events, expected, producer, sent: 0, began }
    }

    pub fn number_of_events(&self) -> usize {
        self.events.len()
    }

    /// Goes on until this many were sent.
    pub fn send_to(&mut self, number: usize) {
        while self.sent < number.min(self.events.len()) {
            let event = &self.events[self.sent];
            let record = BaseRecord::to(&self.fleet.inputs[event.stream]).key(&event.key).payload(&event.value).partition(signed(event.partition));
            match self.producer.send(record) {
                Ok(()) => self.sent += 1,
                Err((error, _)) => {
                    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
                    self.producer.poll(Duration::from_millis(5));
                }
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    /// So many more.
    pub fn send_more(&mut self, number: usize) {
        self.send_to(self.sent + number);
    }

    /// Looks after the processes and sends a few events, again and again, until something is so.
    pub fn keep_sending_until(&mut self, what: &str, mut is_so: impl FnMut(&Fleet) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so(&self.fleet) {
            assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}\n{}", self.fleet.log_ends());
            self.fleet.tend();
            self.send_more(1);
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// How many partitions each member of the group has is settled, and is this.
    pub fn await_shares(&mut self, wanted: &[usize]) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut shares = self.broker.shares(&self.fleet.group);
            shares.sort_unstable();
            if shares == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "the shares are {shares:?}, not {wanted:?}\n{}", self.fleet.log_ends());
            self.fleet.tend();
        }
    }

    /// Until the group has committed everything that was sent.
    pub fn await_caught_up(&mut self) {
        self.producer.flush(LIMIT).expect("delivered");
        let deadline = Instant::now() + CATCH_UP_MAX;
        let ends = self.ends();
        loop {
            self.fleet.tend();
            let committed = self.broker.committed(&self.fleet.group, &ends);
            let behind: i64 = committed.iter().zip(&ends).map(|(committed, (_, _, end))| end - committed).sum();
            if behind == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{behind} records are not read\n{}", self.fleet.log_ends());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Of each input partition: after the last event sent.
    fn ends(&self) -> Vec<(String, i32, i64)> {
        let partitions = (0..STREAMS.len()).flat_map(|stream| (0..PARTITIONS).map(move |partition| (stream, partition)));
        let end = |(stream, partition): (usize, u32)| {
            let number = self.events[..self.sent].iter().filter(|event| event.stream == stream && event.partition == partition).count();
            (self.fleet.inputs[stream].clone(), signed(partition), i64::try_from(number).expect("small"))
        };
        partitions.map(end).collect()
    }

    /// Sends the rest, lets all be read and all windows be closed; then every output must hold what it must hold.
    pub fn finish(mut self, done: &str) {
        self.send_to(self.events.len());
        self.await_caught_up();
        self.fleet.run_to_end();
        self.assert_matches();
        for (topic, expected) in [(&self.fleet.late, &self.expected.late), (&self.fleet.rejected, &self.expected.rejected)] {
            self.assert_set_aside(topic, expected);
        }
        let Expected { matches, rekeyed, late, rejected } = &self.expected;
        let matches = matches.iter().map(Vec::len).sum::<usize>() + rekeyed.len();
        self.fleet.assert_verified(&self.events, matches, late.len(), rejected.len());
        assert!(matches > self.events.len() / 20 && !late.is_empty() && !rejected.is_empty(), "the test asks for something");
        tell(&format!(
            "{}: MOTIF_TEST_SEED={}: {done}; {} events, {matches} matches, {} of them of the second stage, {} late, {} rejected: each there once; {} processes ended by themselves {:?}; {:.0} s",
            self.name,
            self.seed,
            self.events.len(),
            rekeyed.len(),
            late.len(),
            rejected.len(),
            self.fleet.failures.len(),
            self.fleet.failures,
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Each record once, wherever in its topic. What stands there beyond that is told with the epochs that it is of.
    fn assert_set_aside(&self, topic: &str, expected: &[Address]) {
        let read = self.broker.read(topic);
        let found = addresses(&read, &self.events);
        if found.keys().eq(expected) && found.values().all(|places| places.len() == 1) {
            return;
        }
        let surplus: Vec<_> = found.iter().filter(|(address, places)| places.len() > 1 || !expected.contains(address)).collect();
        let missing: Vec<_> = expected.iter().filter(|address| !found.contains_key(*address)).collect();
        panic!(
            "{topic}: {} records, {} expected; more than once, or not expected: {surplus:?}; missing: {missing:?}\nverify: {}\n{}",
            read.len(),
            expected.len(),
            self.fleet.verify(),
            self.fleet.log_ends()
        );
    }

    /// The same bytes in the same order, task by task.
    fn assert_matches(&self) {
        let mut found: Vec<Vec<String>> = vec![Vec::new(); self.expected.matches.len()];
        let mut rekeyed = found.clone();
        for read in self.broker.read(&self.fleet.matches) {
            let of_stage = if read.headers.iter().any(|(name, _)| name == "stage") { &mut rekeyed } else { &mut found };
            of_stage[usize::try_from(read.partition).expect("small")].push(read.value);
        }
        for (task, (found, expected)) in found.iter().zip(&self.expected.matches).enumerate() {
            self.assert_same(&format!("task {task}"), found, expected);
        }
        // Of each task of the second stage: what one task finds of the same keys. So no key is in two of them.
        let key = |line: &String| (of_line(line, "pattern").to_string(), of_line(line, "key").to_string());
        let keys_expected: BTreeSet<_> = self.expected.rekeyed.iter().map(key).collect();
        let mut keys_met = 0;
        for (task, found) in rekeyed.iter().enumerate() {
            let keys: BTreeSet<_> = found.iter().map(key).collect();
            let expected: Vec<String> = self.expected.rekeyed.iter().filter(|line| keys.contains(&key(line))).cloned().collect();
            self.assert_same(&format!("task {task} (rekeyed)"), found, &expected);
            keys_met += keys.len();
        }
        assert_eq!(keys_met, keys_expected.len(), "every key of the second stage is met once\n{}", self.fleet.log_ends());
    }

    fn assert_same(&self, task: &str, found: &[String], expected: &[String]) {
        if found == expected {
            return;
        }
        let [found_set, expected_set] = [found, expected].map(|lines| lines.iter().collect::<BTreeSet<_>>());
        panic!(
            "{task}: {} matches, {} expected: {} missing, {} twice, {} wrong; unlike from number {:?} on\n{}",
            found.len(),
            expected.len(),
            expected_set.difference(&found_set).count(),
            found.len() - found_set.len(),
            found_set.difference(&expected_set).count(),
            found.iter().zip(expected).position(|(found, expected)| found != expected),
            self.fleet.log_ends()
        );
    }
}

fn signed(partition: u32) -> i32 {
    i32::try_from(partition).expect("small")
}

fn header<'a>(read: &'a Read, name: &str) -> &'a str {
    read.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{read:?} has a header {name}"))
}

/// The addresses of what was set aside, key and bytes of which must be as they were produced; and where each stands, of which task and epoch.
fn addresses(read: &[Read], events: &[Made]) -> BTreeMap<Address, Vec<String>> {
    let mut found: BTreeMap<Address, Vec<String>> = BTreeMap::new();
    for read in read {
        let number = |name| header(read, name).parse::<u64>().expect("a number");
        let address = (header(read, "stream").to_owned(), u32::try_from(number("partition")).expect("small"), number("offset"));
        let stream = STREAMS.iter().position(|stream| *stream == address.0).expect("known");
        let mut of_partition = events.iter().filter(|event| event.stream == stream && event.partition == address.1);
        let original = of_partition.nth(usize::try_from(address.2).expect("small")).expect("an event of ours");
        assert_eq!((&read.key, &read.value), (&original.key, &original.value), "key and bytes untouched");
        let origin = ["task", "epoch", "index"].map(|name| header(read, name)).join(".");
        found.entry(address).or_default().push(format!("{}:{} ({origin})", read.partition, read.offset));
    }
    found
}
