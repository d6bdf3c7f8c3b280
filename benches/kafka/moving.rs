//! A restart and a move with a large state, while events keep coming: two tasks with a hundred megabytes each on one machine; its process is killed and started again;
//! then a second machine joins, and gets one of the tasks.
//!
//! Every event of the steady stream completes a match, so a partition's longest wait for a match is how long its task stood still, and a commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::Plan;
use super::super::measure::counted;
use super::super::table::{Row, Table};
use super::deployment::{Deployment, Said, SetOnDrop, folder_bytes, now_ms};
use super::journal::await_read;
use super::topic::reader;
use crate::broker::{Broker, LIMIT, unique};

const TASKS: i32 = 2;
/// Of both tasks. A key has three hexadecimal numbers, which no compression makes much smaller than half.
const KEYS: u64 = 3_600_000;
/// On disk, where 84 to 115 MB were seen: it depends on what was compacted last.
const STATE_BYTES_MIN: u64 = 74 << 20;
const INTERVAL: Duration = Duration::from_millis(2);
const CHECKPOINT_MS: u32 = 5_000;
/// Time enough for the group to see that one has joined, and for what comes after.
const MOVE_MAX: Duration = LIMIT;
const RESTART_MAX_MS: i64 = 2_000;
const PAUSE_MAX_MS: i64 = 5_000;

const PATTERN: &str = "stream events { k: string  typ: int  ts: timestamp  time ts }
pattern pair {
  from events by k
  match a: events where typ == 0 then b: events where typ == 1 within 10h
  skip none
  emit k, b.ts as ended
}
";

/// When matches became visible, in milliseconds, by the partition of the output.
type Seen = Mutex<BTreeMap<i32, Vec<i64>>>;

pub fn measure(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    let keys = (KEYS / plan.part).max(20_000);
    let input = unique("moving-in");
    broker.create_topic(&input, TASKS);
    let deployment = Deployment::new(broker, &input, PATTERN);
    let shared = format!("[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n[checkpoints]\nurl = \"checkpoints\"\ninterval_ms = {CHECKPOINT_MS}\n");
    for machine in [0, 1] {
        deployment.configure(machine, 1, &shared);
    }
    load(broker, &input, keys);
    let first = deployment.start(0);
    await_read(broker, &deployment, keys);
    let loaded = deployment.log(0).len();
    let is_copied = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A state that has not changed is not copied again.
        scope.spawn(|| add_keys(broker, &input, keys, &is_copied));
        let _over = SetOnDrop(&is_copied);
        deployment.await_log(0, loaded, &["checkpoint"], 2 * TASKS.cast_unsigned() as usize);
    });
    let states: Vec<u64> = (0..TASKS).map(|task| folder_bytes(&deployment.path("state-0/0").join(task.to_string()))).collect();
    let least = *states.iter().min().expect("two tasks");
    assert!(plan.part > 1 || least >= STATE_BYTES_MIN, "{states:?} bytes of state");
    plan.note(&format!("{states:?} bytes of state"));
    let (seen, is_over) = (Seen::default(), AtomicBool::new(false));
    let (restart, moved) = std::thread::scope(|scope| {
        scope.spawn(|| produce(broker, &input, keys, &is_over));
        scope.spawn(|| watch(broker, &deployment.output, &seen, &is_over));
        let _over = SetOnDrop(&is_over);
        await_seen(&seen, now_ms());
        drop(first);
        let killed = deployment.log(0).len();
        let first = deployment.start(0);
        let restart = restart(&deployment, killed, &seen);
        plan.note(&format!("processing again after {restart:?} ms"));
        let moved = add_machine(&deployment, &seen);
        drop(first);
        (restart, moved)
    });
    let size = counted(least >> 20);
    let row = Row::said(
        format!("{name}: restart with {} MB of state a task, from assignment to the first match of each task, ms", size),
        counted(restart.0.cast_unsigned()),
    );
    let row = row.beside(format!("from the start of the process {}", counted(restart.1.cast_unsigned())));
    table.add(row.goal(format!("at most {}", counted(RESTART_MAX_MS.cast_unsigned())), restart.0 <= RESTART_MAX_MS));
    let row = Row::said(format!("{name}: a task of {size} MB moves to another machine, its longest wait for a match, ms"), counted(moved.0.cast_unsigned()))
        .beside(format!("of the task that stays {}", counted(moved.1.cast_unsigned())));
    table.add(row.goal(format!("at most {}", counted(PAUSE_MAX_MS.cast_unsigned())), moved.0 <= PAUSE_MAX_MS));
}

fn key(number: u64) -> String {
    let mix = |salt: u64| (number + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!("{:016x}{:016x}{:016x}", mix(1), mix(2 << 40), mix(3 << 50))
}

fn send(producer: &BaseProducer, topic: &str, number: u64, typ: u8) {
    let (key, at) = (key(number), now_ms());
    let value = format!("{{\"k\":\"{key}\",\"typ\":{typ},\"ts\":{at}}}");
    let partition = i32::try_from(number % TASKS.unsigned_abs() as u64).expect("small");
    let mut record = BaseRecord::to(topic).key(&key).payload(&value).partition(partition);
    while let Err((_, back)) = producer.send(record) {
        record = back;
        producer.poll(Duration::from_millis(5));
    }
}

/// The first event of every key.
fn load(broker: &Broker, input: &str, keys: u64) {
    let producer: BaseProducer = broker.config().set("linger.ms", "20").set("compression.type", "lz4").create().expect("a client");
    (0..keys).for_each(|number| send(&producer, input, number, 0));
    producer.flush(LIMIT).expect("delivered");
}

/// The first event of more keys, a few.
fn add_keys(broker: &Broker, input: &str, keys: u64, is_over: &AtomicBool) {
    let producer: BaseProducer = broker.config().set("linger.ms", "0").create().expect("a client");
    for number in keys.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        send(&producer, input, number, 0);
        producer.poll(Duration::from_millis(100));
    }
}

/// The second events, key by key, at a steady rate.
fn produce(broker: &Broker, input: &str, keys: u64, is_over: &AtomicBool) {
    let producer: BaseProducer = broker.config().set("linger.ms", "0").create().expect("a client");
    let begin = Instant::now();
    for number in 0..keys {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        send(&producer, input, number, 1);
        producer.poll(Duration::ZERO);
        std::thread::sleep((begin + INTERVAL * u32::try_from(number + 1).expect("minutes at most")).saturating_duration_since(Instant::now()));
    }
}

fn watch(broker: &Broker, output: &str, seen: &Seen, is_over: &AtomicBool) {
    let consumer: BaseConsumer = reader(broker, output, TASKS, "65536");
    while !is_over.load(Ordering::Relaxed) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).entry(message.partition()).or_default().push(now_ms());
        }
    }
    consumer.unassign().expect("a client");
}

/// The first time, from one on, at which a match of each partition was seen.
fn await_seen(seen: &Seen, from_ms: i64) -> BTreeMap<i32, i64> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found: BTreeMap<i32, i64> = seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(|(&partition, times)| Some((partition, *times.iter().find(|at| **at >= from_ms)?)))
            .collect();
        if found.len() == TASKS.unsigned_abs() as usize {
            return found;
        }
        assert!(Instant::now() < deadline, "matches come of {found:?} alone");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Milliseconds from the group's assignment to the first match of each task, and from the first line of the log.
fn restart(deployment: &Deployment<'_>, from: usize, seen: &Seen) -> (i64, i64) {
    let is_assigned = |said: &&Said| said.fields["change"].as_str().is_some_and(|change| change.contains("Assigned([0"));
    let deadline = Instant::now() + LIMIT;
    let assigned = loop {
        let log = deployment.log(0);
        if let Some(said) = log.iter().skip(from).find(is_assigned) {
            break said.at_ms;
        }
        assert!(Instant::now() < deadline, "nothing is assigned: {:?}", log.last());
        std::thread::sleep(Duration::from_millis(5));
    };
    let first = deployment.log(0)[from].at_ms;
    let last = *await_seen(seen, assigned).values().max().expect("two tasks");
    (last - assigned, last - first)
}

/// The longest waits for a match, of the task that moves and of the other.
fn add_machine(deployment: &Deployment<'_>, seen: &Seen) -> (i64, i64) {
    let begin = now_ms();
    let second = deployment.start(1);
    let started = deployment.await_log(1, 0, &["task starts", "epochs were repeated"], 1);
    let task = i32::try_from(started[0].fields["task"].as_i64().expect("a number")).expect("small");
    let arrived = started[0].at_ms;
    // Until it goes on, and a while after.
    let until = Instant::now() + MOVE_MAX;
    let goes_on = || seen.lock().unwrap_or_else(PoisonError::into_inner)[&task].iter().any(|at| *at > arrived + 1_000);
    while !goes_on() {
        assert!(Instant::now() < until, "task {task} does not go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let longest = |partition: i32| {
        let times: Vec<i64> = seen[&partition].iter().copied().filter(|at| *at >= begin).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    };
    let waits = (longest(task), longest(1 - task));
    drop(second);
    waits
}
