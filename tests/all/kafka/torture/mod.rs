//! Exactly once, whatever happens to processes, brokers and the wires between them.
//!
//! Every test here does the same: unique events flow into a deployment of several processes while something goes wrong again and again; then everything is read
//! as a read_committed reader sees it, and must be what the events give in a run that nothing disturbs: none missing, none twice, ids right, in order.
//! The seed of each run is printed, and taken from `MOTIF_TEST_SEED` where that is set.

mod faults;
mod fleet;
mod workload;

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{Broker, LIMIT, Read, broker};
use faults::{Away, Fault, Step, waves};
use fleet::Fleet;
use workload::{Address, Expected, Made, PARTITIONS, STREAMS, assert_files_agree, events, expected};

/// How long a run that was disturbed may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(180);

/// Events on their way into the topics, each partition's in order and each once, whatever happens to the broker.
struct Stream<'a> {
    producer: BaseProducer,
    topics: [String; 2],
    events: &'a [Made],
    sent: usize,
}

impl<'a> Stream<'a> {
    fn new(broker: &Broker, fleet: &Fleet, events: &'a [Made]) -> Self {
        let producer = broker.config().set("enable.idempotence", "true").set("linger.ms", "2").create().expect("a client");
        Self { producer, topics: fleet.inputs.clone(), events, sent: 0 }
    }

    /// Goes on until this many were sent.
    fn send_to(&mut self, number: usize) {
        while self.sent < number.min(self.events.len()) {
            let event = &self.events[self.sent];
            let record = BaseRecord::to(&self.topics[event.stream]).key(&event.key).payload(&event.value).partition(signed(event.partition));
            match self.producer.send(record) {
                Ok(()) => self.sent += 1,
                Err((error, _)) => {
                    assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
                    self.producer.poll(Duration::from_millis(5));
                }
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    fn finish(&mut self) {
        self.send_to(self.events.len());
        self.producer.flush(LIMIT).expect("delivered");
    }
}

fn seed(test: &str) -> ChaCha8Rng {
    let seed = std::env::var("MOTIF_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    println!("{test}: MOTIF_TEST_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn signed(partition: u32) -> i32 {
    i32::try_from(partition).expect("small")
}

/// Sends the events over the time of the steps, and takes each step when its time has come.
fn disturb(fleet: &mut Fleet, stream: &mut Stream<'_>, steps: &[Step]) {
    let began = Instant::now();
    let length = steps.last().expect("some step").at;
    let mut next = steps.iter().peekable();
    while let Some(step) = next.peek() {
        let share = began.elapsed().as_secs_f64() / length.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small number")]
        stream.send_to((stream.events.len() as f64 * share) as usize);
        fleet.tend();
        if began.elapsed() < step.at {
            std::thread::park_timeout(Duration::from_millis(10));
            continue;
        }
        match step.fault {
            Fault::Kill => fleet.kill(step.slot),
            Fault::Freeze => fleet.signal(step.slot, "STOP"),
            Fault::Thaw => fleet.signal(step.slot, "CONT"),
            Fault::Terminate => fleet.terminate(step.slot),
            Fault::Start => fleet.start(step.slot),
        }
        next.next();
    }
    stream.finish();
}

/// Until the group has committed everything that was sent.
fn await_caught_up(broker: &Broker, fleet: &mut Fleet, events: &[Made]) {
    let deadline = Instant::now() + CATCH_UP_MAX;
    let ends: Vec<(String, i32, i64)> = (0..STREAMS.len())
        .flat_map(|stream| (0..PARTITIONS).map(move |partition| (stream, partition)))
        .map(|(stream, partition)| {
            let number = events.iter().filter(|event| event.stream == stream && event.partition == partition).count();
            (fleet.inputs[stream].clone(), signed(partition), i64::try_from(number).expect("small"))
        })
        .collect();
    loop {
        fleet.tend();
        let behind: i64 = broker.committed(&fleet.group, &ends).iter().zip(&ends).map(|(committed, (_, _, end))| end - committed).sum();
        if behind == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{behind} records are not read\n{}", fleet.log_ends());
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn header<'a>(read: &'a Read, name: &str) -> &'a str {
    read.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{read:?} has a header {name}"))
}

/// The addresses of what was set aside, and the records' bytes as they were produced.
fn addresses(read: &[Read], events: &[Made]) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for read in read {
        let address =
            (header(read, "stream").to_owned(), header(read, "partition").parse().expect("a number"), header(read, "offset").parse().expect("a number"));
        let stream = STREAMS.iter().position(|stream| *stream == address.0).expect("known");
        let original = events.iter().filter(|event| event.stream == stream && event.partition == address.1).nth(usize::try_from(address.2).expect("small"));
        let original = original.expect("an event of ours");
        assert_eq!((&read.key, &read.value), (&original.key, &original.value), "key and bytes untouched");
        found.push(address);
    }
    found.sort();
    found
}

/// Everything that the topics hold, against what must be there.
fn assert_exactly_once(broker: &Broker, fleet: &Fleet, events: &[Made], expected: &Expected) {
    let mut found: Vec<Vec<String>> = vec![Vec::new(); expected.matches.len()];
    for read in broker.read(&fleet.matches) {
        found[usize::try_from(read.partition).expect("small")].push(read.value);
    }
    for (task, (found, expected)) in found.iter().zip(&expected.matches).enumerate() {
        if found != expected {
            let missing = expected.iter().filter(|line| !found.contains(line)).count();
            let doubled = found.len() - found.iter().collect::<std::collections::BTreeSet<_>>().len();
            let foreign = found.iter().filter(|line| !expected.contains(line)).count();
            let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
            panic!(
                "task {task}: {} matches, {} expected: {missing} missing, {doubled} twice, {foreign} wrong; unlike from number {first:?} on\n{}",
                found.len(),
                expected.len(),
                fleet.log_ends()
            );
        }
    }
    for (topic, expected) in [(&fleet.late, &expected.late), (&fleet.rejected, &expected.rejected)] {
        let found = addresses(&broker.read(topic), events);
        assert!(found == *expected, "{topic}: {} records, {} expected\n{}", found.len(), expected.len(), fleet.log_ends());
    }
    let matches: usize = expected.matches.iter().map(Vec::len).sum();
    println!("{} events: {matches} matches, {} late, {} rejected, each once", events.len(), expected.late.len(), expected.rejected.len());
    assert!(matches > events.len() / 20, "the test asks for something");
}

/// Kafka's own matrix for transactions, with processes of ours: killed, frozen, terminated.
fn transactions_matrix(broker: &Broker, test: &str, number: usize, waves_wanted: usize, away: Away) {
    let began = Instant::now();
    let mut random = seed(test);
    let events = events(&mut random, number);
    let steps = waves(&mut random, waves_wanted, away);
    let expected = expected(&events, true);
    assert_files_agree(&events, &expected);
    let mut fleet = Fleet::new(&broker.address, 3);
    (0..3).for_each(|slot| fleet.start(slot));
    if away == Away::Shortly {
        await_shares(broker, &mut fleet, &[2, 3, 3]);
    }
    let mut stream = Stream::new(broker, &fleet, &events);
    disturb(&mut fleet, &mut stream, &steps);
    await_caught_up(broker, &mut fleet, &events);
    fleet.run_to_end();
    assert_exactly_once(broker, &fleet, &events, &expected);
    let times = |fault| steps.iter().filter(|step| step.fault == fault).count();
    println!(
        "{test}: {} kills, {} freezes, {} terminations; {} processes ended by themselves {:?}; {:.0} s",
        times(Fault::Kill),
        times(Fault::Freeze),
        times(Fault::Terminate),
        fleet.failures.len(),
        fleet.failures,
        began.elapsed().as_secs_f64()
    );
}

fn await_shares(broker: &Broker, fleet: &mut Fleet, wanted: &[usize]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut shares = broker.shares(&fleet.group);
        shares.sort_unstable();
        if shares == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "the shares are {shares:?}\n{}", fleet.log_ends());
        fleet.tend();
    }
}

#[test]
fn processes_that_come_back_within_the_session_give_each_match_once() {
    let Some(broker) = broker() else { return };
    transactions_matrix(broker, "transactions matrix, own tasks", 20_000, 2, Away::Shortly);
}

#[test]
#[ignore = "state does not move between processes yet"]
fn three_processes_in_trouble_give_each_match_once() {
    let Some(broker) = broker() else { return };
    transactions_matrix(broker, "transactions matrix", 20_000, 2, Away::Long);
}

/// `make torture`.
#[test]
#[ignore = "takes minutes"]
fn three_processes_in_trouble_for_long() {
    let Some(broker) = broker() else { return };
    transactions_matrix(broker, "transactions matrix, long", 200_000, 18, Away::Long);
}
