//! `motif run --config` between topics: what the engine gives directly, each match once, whatever is stopped and started in between.

mod bounded;
mod idle;
mod lost_input;
mod object_store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use motif::config::{Config, StreamConfig};
use motif::event::EventTime;
use motif::language::{Source, compile};
use motif::pattern::Program;
use motif::service::task::{Task, TaskOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use motif::service::topics::journal::{EpochRecord, OutputDigest, OutputKind};

use crate::broker::{Broker, LIMIT, Produced, Read, broker, unique};
use crate::kafka::direct;
use crate::random_cases::seed;
use crate::workplace::signal;

/// The event time of `clicks` is a field, that of `orders` the record's own.
const PATTERNS: &str = "
stream clicks {
  user: string
  page: int
  at: timestamp
  time at, late after 5s
}
stream orders {
  user: string
  amount: int
}
pattern three_clicks {
  from clicks by user
  match first: clicks then second: clicks then third: clicks
  within 10m
  emit user, first.page as first, third.page as third
}
pattern click_then_order {
  from clicks, orders by user
  match click: clicks where page > 50 then order: orders
  within 1m
  emit user, order.amount as amount
}
";

const PARTITIONS: i32 = 4;
const USERS: usize = 41;
const BEGIN_MS: i64 = 1_700_000_000_000;

/// A service with topics of its own.
pub struct Service {
    pub broker: &'static Broker,
    folder: tempfile::TempDir,
    pub clicks: String,
    pub orders: String,
    pub output: String,
    pub group: String,
    pub late: String,
    pub rejected: String,
}

impl Service {
    fn new() -> Option<Self> {
        let broker = broker()?;
        let [clicks, orders, output, group, late, rejected] = ["clicks", "orders", "output", "service", "late", "rejected"].map(unique);
        for topic in [&clicks, &orders, &output, &late, &rejected] {
            broker.create_topic(topic, PARTITIONS);
        }
        broker.create_topic(&format!("{group}.journal"), PARTITIONS);
        let service = Self { broker, folder: tempfile::tempdir().expect("a folder"), clicks, orders, output, group, late, rejected };
        std::fs::write(service.folder.path().join("patterns.motif"), PATTERNS).expect("written");
        service.configure(1);
        Some(service)
    }

    fn configure(&self, workers: usize) {
        self.configure_machine(0, workers, "");
    }

    /// A machine has a state folder of its own; all find the checkpoints in one folder.
    fn configure_machine(&self, machine: usize, workers: usize, more: &str) {
        // With the newer protocol the broker keeps the time.
        let session = if more.contains("group.protocol") { "" } else { "\"session.timeout.ms\" = \"6000\"\n" };
        let Self { broker, clicks, orders, output, group, late, rejected, .. } = self;
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"patterns.motif\"]\nstate = \"state-{machine}\"\nworkers = {workers}\nepoch_ms = 20\ndurability = \"process\"\n\
             [streams.clicks]\ntopic = \"{clicks}\"\n[streams.orders]\ntopic = \"{orders}\"\nlate_after = \"5s\"\n\
             [output]\ntopic = \"{output}\"\nlate_topic = \"{late}\"\nrejected_topic = \"{rejected}\"\n\
             [kafka]\nbrokers = \"{}\"\n[kafka.properties]\n{session}\"max.poll.interval.ms\" = \"10000\"\n\"transaction.timeout.ms\" = \"4000\"\n{more}",
            broker.address
        );
        std::fs::write(self.config_of(machine), text).expect("written");
    }

    fn config(&self) -> PathBuf {
        self.config_of(0)
    }

    fn config_of(&self, machine: usize) -> PathBuf {
        self.folder.path().join(format!("motif-{machine}.toml"))
    }

    fn command(&self, more: &[&str]) -> Command {
        self.command_on(0, more)
    }

    fn command_on(&self, machine: usize, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_motif"));
        command.arg("run").arg("--config").arg(self.config_of(machine)).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Its log goes to a file: one that is killed cannot be asked.
    fn start_on(&self, machine: usize) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        Running(Some(self.command_on(machine, &["--log", "info"]).stderr(log).spawn().expect("motif starts")))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("motif.log")
    }

    fn start(&self) -> Running {
        Running(Some(self.command(&[]).spawn().expect("motif starts")))
    }

    /// A bounded run that must succeed.
    fn run_to_end(&self) {
        let output = self.command(&["--until-end"]).output().expect("motif starts");
        assert!(output.status.success(), "{}", said(&output));
    }

    fn refusal(&self, more: &[&str]) -> String {
        let output = self.command(more).output().expect("motif starts");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    }

    /// As an operator does, once the group has forgotten its members.
    fn move_offset(&self, topic: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer = self.broker.config().set("group.id", &self.group).create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        let deadline = Instant::now() + LIMIT;
        while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
            assert!(Instant::now() < deadline, "{error}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn matches(&self) -> Vec<Read> {
        self.broker.read(&self.output)
    }

    fn await_late(&self, number: usize, running: &mut [Running]) {
        let deadline = Instant::now() + LIMIT;
        while self.broker.read(&self.late).len() < number {
            assert!(Instant::now() < deadline, "not {number} late events");
            for running in running.iter_mut() {
                running.assert_runs();
            }
        }
    }

    fn await_matches(&self, number: usize, running: &mut [Running]) {
        let deadline = Instant::now() + LIMIT;
        while self.matches().len() < number {
            assert!(Instant::now() < deadline, "{} of {number} matches", self.matches().len());
            for running in running.iter_mut() {
                running.assert_runs();
            }
        }
    }

    /// How many partitions each member of the group has is settled, and is this.
    fn await_shares(&self, wanted: &[usize], running: &mut [Running]) {
        let deadline = Instant::now() + LIMIT;
        while self.broker.shares(&self.group) != wanted {
            assert!(Instant::now() < deadline, "the shares are {:?}, not {wanted:?}", self.broker.shares(&self.group));
            running.iter_mut().for_each(Running::assert_runs);
        }
    }

    /// All of these events, which are all that the topics hold.
    fn await_committed(&self, events: &[Produced], running: &mut Running) {
        let partitions = [&self.clicks, &self.orders].into_iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));
        let end = |(topic, partition): (&String, i32)| {
            let number = events.iter().filter(|event| event.topic == *topic && event.partition == partition).count();
            (topic.clone(), partition, i64::try_from(number).expect("small"))
        };
        let ends: Vec<_> = partitions.map(end).collect();
        let is_there = || self.broker.committed(&self.group, &ends).iter().zip(&ends).all(|(committed, (.., end))| committed >= end);
        let deadline = Instant::now() + LIMIT;
        while !is_there() {
            assert!(Instant::now() < deadline, "not all is committed: {:?} of {ends:?}", self.broker.committed(&self.group, &ends));
            running.assert_runs();
        }
    }

    /// What the engine gives for the same records, by task: the order of an output partition as well.
    fn direct(&self, events: &[Produced]) -> Vec<Vec<String>> {
        self.direct_by(&program_of(PATTERNS), events)
    }

    fn direct_by(&self, program: &Arc<Program>, events: &[Produced]) -> Vec<Vec<String>> {
        let mut config = Config::one_shot(Vec::new());
        let mut orders = StreamConfig::from_origin(motif::config::Origin::Topic(self.orders.clone()));
        orders.late_after = motif::event::TimeSpan::parse("5s");
        config.streams.insert("orders".to_owned(), orders);
        let options = TaskOptions::new(&config, EventTime::from_millis(BEGIN_MS).expect("fits"));
        (0..PARTITIONS).map(|partition| self.direct_task(program, &options, events, partition)).collect()
    }

    fn direct_task(&self, program: &Arc<Program>, options: &TaskOptions, events: &[Produced], partition: i32) -> Vec<String> {
        let number = u32::try_from(partition).expect("small");
        let streams = [(&self.clicks, "clicks"), (&self.orders, "orders")].map(|(topic, name)| (topic, program.schema.find(name).expect("declared")));
        let mut task = Task::new(program, options, &streams.map(|(_, stream)| (stream, number)));
        for (topic, stream) in streams {
            let records = events.iter().filter(|event| event.topic == *topic && event.partition == partition);
            direct::apply(&mut task, stream, number, records.map(|event| (event.value.as_str(), event.timestamp.and_then(EventTime::from_millis))));
        }
        task.end();
        task.catch_up();
        direct::lines(program, &task.take_epoch().expect("in memory").matches)
    }

    /// Out of order by less than the lateness, with equal times; some users in both streams at once.
    fn events(&self, places: std::ops::Range<usize>) -> Vec<Produced> {
        let event = |place: usize| {
            let user = (place * 7_919) % USERS;
            let at = BEGIN_MS + i64::try_from(place * 40 / 3).expect("small") * 10 - i64::try_from((place * 31) % 40).expect("small") * 100;
            let is_order = place.is_multiple_of(5);
            let value = if is_order {
                format!("{{\"user\":\"u{user}\",\"amount\":{place}}}")
            } else {
                format!("{{\"user\":\"u{user}\",\"page\":{},\"at\":{at}}}", place % 100)
            };
            Produced {
                topic: if is_order { self.orders.clone() } else { self.clicks.clone() },
                partition: i32::try_from(user).expect("small") % PARTITIONS,
                key: Some(format!("u{user}")),
                value,
                timestamp: Some(if is_order { at } else { BEGIN_MS }),
            }
        };
        places.map(event).collect()
    }

    fn assert_equals_direct(&self, events: &[Produced]) {
        self.assert_equals(&self.direct(events));
    }

    fn assert_equals(&self, direct: &[Vec<String>]) {
        let mut found: Vec<Vec<String>> = vec![Vec::new(); direct.len()];
        for read in self.matches() {
            found[usize::try_from(read.partition).expect("small")].push(read.value);
        }
        assert!(direct.iter().all(|matches| matches.len() > 20), "the test asks for something");
        for (partition, (found, direct)) in found.iter().zip(direct).enumerate() {
            let missing = direct.iter().find(|line| !found.contains(line));
            let extra = found.iter().find(|line| !direct.contains(line));
            let (has, wants) = (found.len(), direct.len());
            assert!(missing.is_none() && extra.is_none() && has == wants, "partition {partition}: {has} of {wants}, missing {missing:?}, too much {extra:?}");
            assert!(found == direct, "the order in partition {partition} differs from what the engine gives");
        }
    }

    /// Each record's digest is that of the outputs that carry its task and epoch; its ranges join those before.
    fn assert_journal_accounts_for_outputs(&self) {
        let mut outputs: BTreeMap<(u64, u64), BTreeMap<u64, (OutputKind, Read)>> = BTreeMap::new();
        for (kind, topic) in [(OutputKind::Match, &self.output), (OutputKind::Late, &self.late), (OutputKind::Rejected, &self.rejected)] {
            for read in self.broker.read(topic) {
                let of_epoch = outputs.entry((number(&read, "task"), number(&read, "epoch"))).or_default();
                assert!(of_epoch.insert(number(&read, "index"), (kind, read)).is_none(), "an index stands once");
            }
        }
        let mut before: BTreeMap<u32, EpochRecord> = BTreeMap::new();
        for read in self.broker.read(&format!("{}.journal", self.group)) {
            let record = EpochRecord::decode(&read.raw.expect("a record")).expect("of this format");
            let of_epoch = outputs.remove(&(u64::from(record.task), record.epoch)).unwrap_or_default();
            let mut digest = OutputDigest::default();
            for (kind, read) in of_epoch.values() {
                let key = (!read.key.is_empty()).then_some(read.key.as_bytes());
                digest.push(*kind, key, read.raw.as_deref());
            }
            assert_eq!((digest.count(), digest.value()), (record.out_count, record.out_digest), "{record:?}");
            let last = before.insert(record.task, record.clone());
            assert_eq!(record.epoch, last.as_ref().map_or(0, |last| last.epoch) + 1);
            let from: Vec<_> = last.map_or_else(|| vec![0; 2], |last| last.inputs.iter().map(|input| input.next).collect());
            assert_eq!(record.inputs.iter().map(|input| input.base).collect::<Vec<_>>(), from);
        }
        assert!(outputs.is_empty() && !before.is_empty(), "outputs that no record accounts for: {outputs:?}");
    }
}

fn header(read: &Read, name: &str) -> String {
    read.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("{read:?} has a header {name}"))
}

fn number(read: &Read, name: &str) -> u64 {
    header(read, name).parse().expect("a number")
}

fn program_of(patterns: &str) -> Arc<Program> {
    let compiled = compile(&[Source { path: "patterns.motif".to_owned(), text: patterns.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

/// A process that is ended with its test.
pub struct Running(Option<Child>);

impl Running {
    fn assert_runs(&mut self) {
        let child = self.0.as_mut().expect("not stopped yet");
        if child.try_wait().expect("a child").is_some() {
            let output = self.0.take().expect("just looked at").wait_with_output().expect("ended");
            panic!("motif ended: {}", said(&output));
        }
    }

    /// Without a word.
    fn kill(mut self) {
        let mut child = self.0.take().expect("not stopped yet");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// By itself.
    fn ended(mut self) -> Output {
        let child = self.0.take().expect("not stopped yet");
        let id = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(LIMIT) {
            Ok(output) => output.expect("a child"),
            Err(_) => {
                drop(Command::new("kill").args(["-9", &id.to_string()]).status());
                panic!("motif does not end within {LIMIT:?}")
            }
        }
    }

    fn signal(&self, name: &str) {
        signal(self.0.as_ref().expect("not stopped yet").id(), name);
    }

    /// As an operator does; it must end well.
    fn terminate(mut self) {
        self.signal("TERM");
        let child = self.0.take().expect("not stopped yet");
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", said(&output));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Gone already, perhaps.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))
}

#[test]
fn topics_in_topics_out_is_what_the_engine_gives() {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..4_000);
    service.broker.produce(&events);
    service.run_to_end();
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for read in service.matches() {
        let json: serde_json::Value = serde_json::from_str(&read.value).expect("JSON");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&read.key).expect("JSON"), json["key"], "the key is the match's");
        assert_eq!(header(&read, "task"), read.partition.to_string());
        let place = (number(&read, "epoch"), number(&read, "index"));
        let before = last.insert(header(&read, "task"), place);
        assert!(before.is_none_or(|before| before < place), "epoch and index only grow: {before:?}, {place:?}");
    }
}

/// A record that is set aside stands in its topic as its producer made it, and the reason beside it.
#[test]
fn what_takes_no_part_is_set_aside_whole_and_with_its_reason() {
    let Some(service) = Service::new() else { return };
    let mut events = service.events(0..400);
    let at = BEGIN_MS - 3_600_000;
    let bad = |partition, value: &str| Produced {
        topic: service.clicks.clone(),
        partition,
        key: Some("k\u{1}".to_owned()),
        value: value.to_owned(),
        timestamp: Some(7),
    };
    events.extend([bad(1, "{ \"user\": 1"), bad(2, &format!("{{\"user\":\"u2\", \"page\":1,\"at\":{at} }}")), bad(2, "")]);
    service.broker.produce(&events);
    service.run_to_end();
    let shown = |topic: &str| {
        let read = service.broker.read(topic);
        read.iter().map(|read| (read.partition, read.key.clone(), read.value.clone(), header(read, "code"), header(read, "topic"))).collect::<Vec<_>>()
    };
    let row = |place: usize, code: &str| {
        let event = &events[place];
        (event.partition, "k\u{1}".to_owned(), event.value.clone(), code.to_owned(), service.clicks.clone())
    };
    assert_eq!(shown(&service.late), [row(401, "late")]);
    assert_eq!(shown(&service.rejected), [row(400, "not_json"), row(402, "not_json")]);
    let late = &service.broker.read(&service.late)[0];
    assert!(header(late, "reason").contains("not after") && header(late, "time").starts_with("1970-01-01T00:00:00.007"), "{late:?}");
    service.assert_journal_accounts_for_outputs();
}

/// Late events and rejected records may go to one topic; of one with more headers than a topic takes, with a prefix in front of each, some are left out.
#[test]
fn records_that_are_too_long_to_be_set_aside_stop_nothing_also_in_a_topic_that_outputs_share() {
    let Some(mut service) = Service::new() else { return };
    service.late = service.rejected.clone();
    service.configure(1);
    let bad = |value: &str| Produced { topic: service.clicks.clone(), partition: 1, key: Some("k".to_owned()), value: value.to_owned(), timestamp: Some(7) };
    let mut events = service.events(0..400);
    service.broker.produce(&events);
    service.broker.produce_with_headers(&bad("{"), &vec![("abcd", None); 99_000]);
    events = service.events(400..600);
    events.push(bad(&format!("{{\"user\":\"u2\", \"page\":1,\"at\":{} }}", BEGIN_MS - 3_600_000)));
    service.broker.produce(&events);
    service.run_to_end();
    // Of an epoch, late events come first.
    let mut set_aside = service.broker.read(&service.rejected);
    set_aside.sort_by_key(|read| header(read, "code"));
    let [late, rejected] = set_aside.as_slice() else { panic!("{} records are set aside", set_aside.len()) };
    assert_eq!((header(late, "code"), header(rejected, "code")), ("late".to_owned(), "not_json".to_owned()));
    let kept = rejected.headers.iter().filter(|(name, _)| name == "original.abcd").count();
    assert!(kept > 40_000 && header(rejected, "cut-headers") == "99000", "{kept} are kept");
    for words in [&["verify"][..], &["dlq", "show"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_motif")).arg(words[0]).arg("--config").arg(service.config()).args(&words[1..]).output().expect("motif runs");
        assert_eq!(output.status.code(), Some(0), "{}{}", said(&output), String::from_utf8_lossy(&output.stdout));
    }
}

/// A match that no topic would take is cut, and says so; the task goes on.
#[test]
fn a_match_that_is_too_long_for_a_record_stops_nothing() {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..2_000);
    let user = "x".repeat(400_000);
    let long = (0..3).map(|page| Produced {
        topic: service.clicks.clone(),
        partition: 1,
        key: None,
        value: format!("{{\"user\":\"{user}\",\"page\":{page},\"at\":{BEGIN_MS}}}"),
        timestamp: Some(BEGIN_MS),
    });
    let all: Vec<Produced> = long.chain(events.iter().cloned()).collect();
    service.broker.produce(&all);
    service.run_to_end();
    let (cut, whole): (Vec<_>, Vec<_>) = service.matches().into_iter().partition(|found| found.value.contains("\"cut\""));
    let [cut] = cut.as_slice() else { panic!("{} matches were cut", cut.len()) };
    assert!(cut.value.ends_with(r#""cut":["key.user","fields.user"]}"#) && cut.key == r#"{"user":null}"#, "{cut:?}");
    assert!(cut.value.contains(r#""fields":{"user":null,"first":0,"third":2},"events":{"first":["#), "{cut:?}");
    assert_eq!(whole.len() + 1, service.direct(&all).iter().map(Vec::len).sum::<usize>());
    service.assert_journal_accounts_for_outputs();
}

#[test]
fn a_finished_bounded_run_takes_nothing_more() {
    let Some(service) = Service::new() else { return };
    service.broker.produce(&service.events(0..2_000));
    service.run_to_end();
    let matches = service.matches();
    service.run_to_end();
    assert_eq!(service.matches(), matches, "nothing new, nothing more");
    service.broker.produce(&service.events(2_000..2_001));
    let sentence = service.refusal(&["--until-end"]);
    assert!(sentence.contains("--until-end has closed all windows"), "{sentence}");
    assert_eq!(service.matches(), matches);
}

#[test]
fn stopping_and_starting_loses_and_doubles_nothing() {
    for workers in [1, 2] {
        let Some(service) = Service::new() else { return };
        service.configure(workers);
        let events = service.events(0..4_500);
        for third in events.chunks(1_500) {
            let before = service.matches().len();
            let mut running = service.start();
            service.broker.produce(third);
            service.await_matches(before + 40, std::slice::from_mut(&mut running));
            running.terminate();
        }
        service.run_to_end();
        service.assert_equals_direct(&events);
        service.assert_journal_accounts_for_outputs();
    }
}

#[test]
fn two_processes_of_a_group_share_the_partitions() {
    let Some(service) = Service::new() else { return };
    let mut running = [service.start(), service.start()];
    service.await_shares(&[2, 2], &mut running);
    let events = service.events(0..4_000);
    service.broker.produce(&events);
    service.await_matches(200, &mut running);
    for running in running {
        running.terminate();
    }
    // Both go on, each with its own state, and finish together.
    let mut finishing: Vec<_> = (0..2).map(|_| service.command(&["--until-end"]).spawn().expect("motif starts")).map(|child| Running(Some(child))).collect();
    for running in &mut finishing {
        let output = running.0.take().expect("running").wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", said(&output));
    }
    for slot in ["0", "1"] {
        let tasks = std::fs::read_dir(service.folder.path().join("state-0").join(slot))
            .expect("a slot")
            .filter(|entry| entry.as_ref().expect("readable").path().is_dir());
        // Whoever joined first may have held all for a moment, before there was data.
        assert!(tasks.count() >= 2, "slot {slot} has its share");
    }
    service.assert_equals_direct(&events);
}

/// A checkpoint every so often, for all machines.
const CHECKPOINTS: &str = "[checkpoints]\nurl = \"checkpoints\"\ninterval_ms = 300\n";

#[test]
fn a_killed_process_is_followed_by_another_with_its_state() {
    let Some(service) = Service::new() else { return };
    follow_killed_processes(&service, CHECKPOINTS);
}

/// Killed at any moment; the next process is on another machine, with nothing but the checkpoints.
fn follow_killed_processes(service: &Service, checkpoints: &str) {
    let mut random = StdRng::seed_from_u64(seed("kills"));
    let events = service.events(0..6_000);
    for (machine, part) in events.chunks(1_500).enumerate() {
        service.configure_machine(machine, 1 + machine % 2, checkpoints);
        let before = service.matches().len();
        let mut running = service.start_on(machine);
        service.broker.produce(part);
        service.await_matches(before + random.random_range(10..60), std::slice::from_mut(&mut running));
        std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
        running.kill();
    }
    service.configure_machine(9, 1, checkpoints);
    let output = service.command_on(9, &["--until-end"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
    let log = std::fs::read_to_string(service.log()).expect("a log") + &said(&output);
    assert!(!log.contains("DIGEST DIFFERS"), "{log}");
    let later = log.lines().filter(|line| line.contains("epochs were repeated") || (line.contains("task starts") && !line.contains("epoch=0"))).count();
    println!("{later} tasks went on from a state of another machine");
    assert!(later > 4, "{log}");
}

/// A member that joins while data flows gets its share, and what belongs to it.
#[test]
fn tasks_move_with_their_state_while_data_flows() {
    share_while_data_flows(CHECKPOINTS);
}

/// The same where the brokers assign (KIP-848).
#[test]
fn tasks_move_under_the_newer_group_protocol_as_well() {
    share_while_data_flows(&format!("\"group.protocol\" = \"consumer\"\n{CHECKPOINTS}"));
}

/// There nobody is let in under the name of a member that was killed, until its session is over: whoever is started again waits for that.
#[test]
fn a_killed_process_comes_back_under_the_newer_group_protocol_as_well() {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..4_000);
    service.configure_machine(0, 1, "\"group.protocol\" = \"consumer\"\n");
    let mut running = service.start_on(0);
    service.broker.produce(&events[..2_000]);
    service.await_matches(60, std::slice::from_mut(&mut running));
    running.kill();
    service.broker.produce(&events[2_000..]);
    service.run_to_end();
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
}

fn share_while_data_flows(more: &str) {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..8_000);
    let last = &events[6_000..];
    let mut running = Vec::new();
    for (machine, part) in events[..6_000].chunks(2_000).enumerate() {
        service.configure_machine(machine, 1, more);
        running.push(service.start_on(machine));
        let before = service.matches().len();
        for some in part.chunks(100) {
            service.broker.produce(some);
        }
        service.await_matches(before + 60, &mut running);
    }
    // One leaves: its share goes to the others once the group misses it.
    running.swap_remove(0).terminate();
    let before = service.matches().len();
    service.broker.produce(last);
    service.await_matches(before + 60, &mut running);
    running.into_iter().for_each(Running::terminate);
    service.configure_machine(9, 2, more);
    let output = service.command_on(9, &["--until-end", "--log", "info"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    // Who is told to stop leaves its last epoch among the checkpoints.
    assert!(said(&output).contains("task starts") && !said(&output).contains("epochs were repeated"), "{}", said(&output));
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
    let log = std::fs::read_to_string(service.log()).expect("a log") + &said(&output);
    assert!(!log.contains("DIGEST DIFFERS"), "{log}");
    let moved = log.lines().filter(|line| line.contains("Revoked([")).count();
    println!("{moved} revocations");
    assert!(moved > 0, "{log}");
}

/// Changed patterns: after a clean stop a deploy; after a crash the old ones repeat what they had done, then the new ones begin. A later replay switches where the
/// original did.
#[test]
fn changed_patterns_begin_where_the_old_ones_have_ended_also_in_a_replay() {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..6_000);
    let remove = |folder: &str| std::fs::remove_dir_all(service.folder.path().join(folder)).expect("removed");
    service.configure_machine(0, 1, CHECKPOINTS);
    let mut running = service.start_on(0);
    service.broker.produce(&events[..2_000]);
    service.await_matches(60, std::slice::from_mut(&mut running));
    running.kill();
    // Nothing of this machine is left; the checkpoint is behind the journal, or there is none yet.
    remove("state-0");
    std::fs::write(service.folder.path().join("patterns.motif"), PATTERNS.replace("page > 50", "page > 20")).expect("written");
    service.configure_machine(1, 1, CHECKPOINTS);
    let mut running = service.start_on(1);
    let before = service.matches().len();
    service.broker.produce(&events[2_000..4_000]);
    service.await_matches(before + 60, std::slice::from_mut(&mut running));
    running.kill();
    // Everything is repeated, from the first epoch: with the old patterns, then with the new ones.
    remove("state-1");
    for task in 0..PARTITIONS {
        drop(std::fs::remove_dir_all(service.folder.path().join(format!("checkpoints/{}/{task}", service.group))));
    }
    service.broker.produce(&events[4_000..]);
    service.configure_machine(2, 1, CHECKPOINTS);
    let output = service.command_on(2, &["--until-end", "--log", "info"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("epochs were repeated"), "{}", said(&output));
    let log = std::fs::read_to_string(service.log()).expect("a log") + &said(&output);
    assert!(!log.contains("DIGEST DIFFERS") && log.contains("changed or gone since the last run"), "{log}");
    service.assert_journal_accounts_for_outputs();
    let records = service.broker.read(&format!("{}.journal", service.group));
    let numbers: BTreeSet<_> =
        records.iter().map(|read| EpochRecord::decode(read.raw.as_ref().expect("a record")).expect("of this format").pattern_set.number).collect();
    assert_eq!(numbers, [1, 2].into());
    // What did not change has lost nothing: it matches as if nothing had happened.
    let of_clicks = |matches: Vec<String>| matches.into_iter().filter(|json| json.contains("three_clicks")).collect::<BTreeSet<_>>();
    let direct: Vec<String> = service.direct(&events).into_iter().flatten().collect();
    assert!(of_clicks(service.matches().into_iter().map(|read| read.value).collect()) == of_clicks(direct), "three_clicks is the same throughout");
}

/// There are no checkpoints, but the journal and the inputs are whole.
#[test]
fn a_task_without_any_state_repeats_its_epochs_from_the_first() {
    let Some(service) = Service::new() else { return };
    let events = service.events(0..3_000);
    let mut running = service.start();
    service.broker.produce(&events[..2_000]);
    service.await_matches(60, std::slice::from_mut(&mut running));
    running.terminate();
    std::fs::remove_dir_all(service.folder.path().join("state-0")).expect("removed");
    service.broker.produce(&events[2_000..]);
    let output = service.command(&["--until-end", "--log", "info"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("epochs were repeated") && !said(&output).contains("DIGEST DIFFERS"), "{}", said(&output));
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
}

#[test]
fn offsets_that_were_moved_are_refused_with_a_sentence_unless_that_is_accepted() {
    let Some(service) = Service::new() else { return };
    service.broker.produce(&service.events(0..2_000));
    let mut running = service.start();
    service.await_matches(60, std::slice::from_mut(&mut running));
    running.terminate();
    let matches = service.matches().len();
    service.move_offset(&service.clicks, 1, 3);
    let sentence = service.refusal(&[]);
    assert!(sentence.contains(&format!("the group's offset of {}/1 is 3", service.clicks)) && sentence.contains("--accept-reset"), "{sentence}");
    assert_eq!(service.matches().len(), matches);
    let output = service.command(&["--until-end", "--accept-reset"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    let records = service.broker.read(&format!("{}.journal", service.group));
    let resets = records.iter().map(|read| EpochRecord::decode(read.raw.as_ref().expect("a record")).expect("of this format")).filter(|record| record.reset);
    assert_eq!(resets.map(|record| (record.task, record.inputs[0].base)).collect::<Vec<_>>(), [(1, 3)]);
}

#[test]
fn what_is_missing_is_named_before_anything_is_read() {
    let Some(service) = Service::new() else { return };
    let text = std::fs::read_to_string(service.config()).expect("a configuration");
    std::fs::write(service.config(), text.replace(&service.output, "no-such-output")).expect("written");
    let sentence = service.refusal(&[]);
    assert!(sentence.contains("topic no-such-output does not exist"), "{sentence}");
    std::fs::write(service.config(), text.replace(&service.broker.address, "127.0.0.1:1")).expect("written");
    let began = Instant::now();
    let sentence = service.refusal(&[]);
    assert!(sentence.contains("no Kafka broker answers at 127.0.0.1:1"), "{sentence}");
    assert!(began.elapsed() < Duration::from_secs(12));
}

/// The group misses a process after five minutes here. One that leaves is not waited for.
#[test]
fn the_tasks_of_a_process_that_leaves_at_its_end_are_anothers_at_once() {
    let Some(service) = Service::new() else { return };
    let mut text = std::fs::read_to_string(service.config()).expect("a configuration");
    for (setting, before) in [("session.timeout.ms", 6_000), ("max.poll.interval.ms", 10_000)] {
        let line = format!("\"{setting}\" = \"{before}\"");
        assert!(text.contains(&line), "{text}");
        text = text.replace(&line, &format!("\"{setting}\" = \"300000\""));
    }
    std::fs::write(service.config(), text).expect("written");
    let start = || Running(Some(service.command(&["--leave"]).spawn().expect("motif starts")));
    let (leaving, mut other) = (start(), start());
    service.await_shares(&[2, 2], std::slice::from_mut(&mut other));
    let events = service.events(0..4_000);
    service.broker.produce(&events[..2_000]);
    service.await_committed(&events[..2_000], &mut other);
    leaving.terminate();
    service.await_shares(&[4], std::slice::from_mut(&mut other));
    service.broker.produce(&events[2_000..]);
    service.await_committed(&events, &mut other);
    other.terminate();
    service.run_to_end();
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
}
