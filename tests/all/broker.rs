//! An Apache Kafka for the tests of this binary: started with the first test that asks, gone with the process however that ends.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::guarded::{guard, skipped};

/// How long anything on the broker may take.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Broker {
    /// Where clients reach it.
    pub address: String,
    port: u16,
    folder: PathBuf,
    /// What the script is told besides.
    environment: Vec<(&'static str, String)>,
    /// Its standard input keeps the broker alive.
    _guard: Child,
}

/// Of a broker that is killed and comes back: soon, which a busy machine pays for with brokers that are given up although they are there.
fn quick_session() -> (&'static str, String) {
    ("KAFKA_SESSION", "2000".to_owned())
}

/// The broker of this test process. `None`, loudly, where there is no Java; under CI that is a failure.
pub fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    let broker = BROKER.get_or_init(|| has_java().then(|| Broker::start(Vec::new()))).as_ref();
    if broker.is_none() {
        skipped("Java", "a real Apache Kafka");
    }
    broker
}

fn has_java() -> bool {
    Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Broker {
    fn start(environment: Vec<(&'static str, String)>) -> Self {
        Self::at(free_port(), environment)
    }

    /// One that nobody else uses, to be harmed. `None` as with [`broker`].
    pub fn own() -> Option<Self> {
        broker().map(|_| Self::start(vec![quick_session()]))
    }

    /// One that clients reach through something else only: `in_front` is told where the broker itself listens, and says where clients are to go.
    pub fn behind(in_front: impl FnOnce(String) -> String) -> Option<Self> {
        broker()?;
        let port = free_port();
        let address = in_front(format!("127.0.0.1:{port}"));
        let mut broker = Self::prepare(port, vec![("KAFKA_ADVERTISED", address.clone()), quick_session()]);
        broker.launch();
        broker.address = address;
        broker.await_metadata();
        Some(broker)
    }

    /// Three brokers of one cluster, that nobody else uses.
    pub fn cluster() -> Option<Vec<Self>> {
        broker()?;
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let voters: Vec<String> = ports.iter().zip(1..).map(|(port, node)| format!("{node}@127.0.0.1:{}", port + 1)).collect();
        let environment = |node: i32| {
            vec![("KAFKA_NODE", node.to_string()), ("KAFKA_QUORUM", voters.join(",")), ("KAFKA_CLUSTER", "bW90aWYtdGVzdC1jbHVzdA".to_owned()), quick_session()]
        };
        let brokers: Vec<Self> = ports.iter().zip(1..).map(|(&port, node)| Self::prepare(port, environment(node))).collect();
        std::thread::scope(|scope| brokers.iter().for_each(|broker| drop(scope.spawn(|| broker.launch()))));
        brokers.iter().for_each(Self::await_metadata);
        Some(brokers)
    }

    /// One that nobody else uses, on this port and the next, with what the script is told besides.
    pub fn at(port: u16, environment: Vec<(&'static str, String)>) -> Self {
        let broker = Self::prepare(port, environment);
        broker.launch();
        broker.await_metadata();
        broker
    }

    fn prepare(port: u16, environment: Vec<(&'static str, String)>) -> Self {
        let folder = std::env::temp_dir().join(unique(&format!("motif-broker-{}", std::process::id())));
        let guard = guard(&folder, "", &[]);
        Self { address: format!("127.0.0.1:{port}"), port, folder, environment, _guard: guard }
    }

    /// With what its folder holds, if there is something.
    fn launch(&self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker");
        let mut command = Command::new("bash");
        command.arg(script).arg(&self.folder).arg(self.port.to_string()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let started = command.process_group(0).output().expect("bash runs");
        assert!(started.status.success(), "the broker does not start: {}", String::from_utf8_lossy(&started.stderr));
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("a running broker");
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().expect("kill runs");
        assert!(killed.success(), "the broker has gone by itself");
    }

    /// Every partition of the cluster has all its copies.
    pub fn await_in_sync(&self) {
        let consumer: BaseConsumer = self.config().create().expect("a client");
        let deadline = Instant::now() + LIMIT;
        let is_whole = || {
            let Ok(metadata) = consumer.fetch_metadata(None, LIMIT) else { return false };
            metadata.topics().iter().flat_map(|topic| topic.partitions()).all(|partition| partition.isr().len() == partition.replicas().len())
        };
        while !is_whole() {
            assert!(Instant::now() < deadline, "the copies do not catch up");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Nobody leads the topic's only partition.
    pub fn await_leaderless(&self, topic: &str) {
        let consumer: BaseConsumer = self.config().create().expect("a client");
        let deadline = Instant::now() + LIMIT;
        let is_led = || consumer.fetch_metadata(Some(topic), LIMIT).map_or(true, |metadata| metadata.topics()[0].partitions()[0].leader() >= 0);
        while is_led() {
            assert!(Instant::now() < deadline, "topic {topic} is still led");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// No transaction is open on the topic's only partition.
    pub fn is_decided(&self, topic: &str) -> bool {
        let end = |isolation: &str| {
            let consumer: BaseConsumer = self.config().set("isolation.level", isolation).create().expect("a client");
            consumer.fetch_watermarks(topic, 0, LIMIT).expect("the ends").1
        };
        end("read_committed") == end("read_uncommitted")
    }

    /// After [`Self::kill`]: with what it had written.
    pub fn restart(&self) {
        self.launch();
        self.await_metadata();
    }

    fn await_metadata(&self) {
        let consumer: BaseConsumer = self.config().create().expect("a client");
        let deadline = Instant::now() + LIMIT;
        while consumer.fetch_metadata(None, Duration::from_secs(2)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not answer");
        }
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.create(&settings.iter().fold(NewTopic::new(name, partitions, TopicReplication::Fixed(-1)), |topic, (name, value)| topic.set(name, value)));
    }

    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let deleted = runtime.block_on(admin.delete_topics(&[name], &options)).expect("the broker answers");
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }

    /// So many in all.
    pub fn add_partitions(&self, name: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let added = runtime.block_on(admin.create_partitions(&[NewPartitions::new(name, partitions)], &options)).expect("the broker answers");
        assert!(added.iter().all(Result::is_ok), "{added:?}");
        self.await_partitions(name, partitions);
    }

    /// One partition, which only this one of several brokers has.
    pub fn create_topic_on(&self, name: &str, node: i32) {
        self.create(&NewTopic::new(name, 1, TopicReplication::Variable(&[&[node]])).set("min.insync.replicas", "1"));
    }

    fn create(&self, topic: &NewTopic<'_>) {
        let (name, partitions) = (topic.name, usize::try_from(topic.num_partitions).expect("few"));
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("a client");
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let created = runtime.block_on(admin.create_topics([topic], &options)).expect("the broker answers");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        self.await_partitions(name, partitions);
    }

    /// Until every client can see them.
    fn await_partitions(&self, name: &str, partitions: usize) {
        let deadline = Instant::now() + LIMIT;
        let consumer: BaseConsumer = self.config().create().expect("a client");
        let is_there = || {
            let metadata = consumer.fetch_metadata(Some(name), LIMIT).expect("metadata");
            metadata.topics()[0].partitions().len() == partitions && metadata.topics()[0].partitions().iter().all(|p| p.leader() >= 0)
        };
        while !is_there() {
            assert!(Instant::now() < deadline, "topic {name} does not appear");
        }
    }

    pub fn produce(&self, records: &[Produced]) {
        let producer: BaseProducer = self.config().set("linger.ms", "5").create().expect("a client");
        for record in records {
            let mut outgoing = BaseRecord::to(&record.topic).payload(&record.value).partition(record.partition);
            if let Some(key) = &record.key {
                outgoing = outgoing.key(key);
            }
            if let Some(timestamp) = record.timestamp {
                outgoing = outgoing.timestamp(timestamp);
            }
            while let Err((error, back)) = producer.send(outgoing) {
                assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
                outgoing = back;
                producer.poll(Duration::from_millis(5));
            }
        }
        producer.flush(LIMIT).expect("delivered");
    }

    /// One record with headers.
    pub fn produce_with_headers(&self, produced: &Produced, headers: &[(&str, Option<&str>)]) {
        let producer: BaseProducer = self.config().create().expect("a client");
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.map(str::as_bytes) }));
        let mut outgoing: BaseRecord<'_, String, String> = BaseRecord::to(&produced.topic).partition(produced.partition).headers(headers);
        (outgoing.key, outgoing.payload, outgoing.timestamp) = (produced.key.as_ref(), Some(&produced.value), produced.timestamp);
        producer.send(outgoing).expect("room");
        producer.flush(LIMIT).expect("delivered");
    }

    /// The topic holds only what comes from this offset on.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("a client");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let deleted = runtime.block_on(admin.delete_records(&offsets, &options)).expect("the broker answers");
        deleted.elements().iter().for_each(|element| element.error().expect("deleted"));
    }

    /// A new topic with the records of another, changed. Key, value and headers are kept, offsets begin anew.
    pub fn copy(&self, from: &str, change: impl FnOnce(&mut Vec<Read>)) -> String {
        let to = unique(from);
        let mut records = self.read(from);
        let partitions = self.partitions(from);
        change(&mut records);
        self.create_topic(&to, partitions);
        let producer: BaseProducer = self.config().create().expect("a client");
        for record in &records {
            let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
            let mut outgoing: BaseRecord<'_, String, Vec<u8>> = BaseRecord::to(&to).partition(record.partition).headers(headers);
            outgoing.key = Some(&record.key).filter(|key| !key.is_empty());
            outgoing.payload = record.raw.as_ref();
            producer.send(outgoing).expect("room");
        }
        producer.flush(LIMIT).expect("delivered");
        to
    }

    fn partitions(&self, topic: &str) -> i32 {
        let consumer: BaseConsumer = self.config().create().expect("a client");
        let metadata = consumer.fetch_metadata(Some(topic), LIMIT).expect("metadata");
        i32::try_from(metadata.topics()[0].partitions().len()).expect("few")
    }

    /// Everything that is committed on a topic, in order of partition and offset. What is being committed now is waited for.
    pub fn read(&self, topic: &str) -> Vec<Read> {
        let partitions = self.partitions(topic);
        let consumer: BaseConsumer = self.committed_config().create().expect("a client");
        self.await_decided(topic, partitions, &consumer);
        let mut list = TopicPartitionList::new();
        (0..partitions).for_each(|partition| list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset"));
        consumer.assign(&list).expect("assigned");
        // A partition that grows meanwhile ends more than once.
        let (mut read, mut ended) = (Vec::new(), BTreeSet::new());
        let deadline = Instant::now() + LIMIT;
        while ended.len() < list.count() {
            assert!(Instant::now() < deadline, "topic {topic} cannot be read to its end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => read.push(Read::new(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        read.sort_by_key(|read| (read.partition, read.offset));
        let is_twice = |pair: &[Read]| (pair[0].partition, pair[0].offset) == (pair[1].partition, pair[1].offset);
        assert!(!read.windows(2).any(is_twice), "the client has read records of topic {topic} twice, which stand there once");
        read
    }

    fn committed_config(&self) -> ClientConfig {
        let mut config = self.config();
        config.set("group.id", "reader").set("isolation.level", "read_committed").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        config
    }

    /// Until the reader of what is committed is let up to where the topic's partitions end now: not beyond an open transaction, nor, for a moment, beyond one that has
    /// just been committed.
    fn await_decided(&self, topic: &str, partitions: i32, committed: &BaseConsumer) {
        let all: BaseConsumer = self.config().set("isolation.level", "read_uncommitted").create().expect("a client");
        let deadline = Instant::now() + LIMIT;
        for partition in 0..partitions {
            let end = all.fetch_watermarks(topic, partition, LIMIT).expect("the end").1;
            while committed.fetch_watermarks(topic, partition, LIMIT).expect("the end").1 < end {
                assert!(Instant::now() < deadline, "a transaction on topic {topic} stays open");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }

    /// What a topic's records take on the disk, markers of transactions included.
    pub fn log_bytes(&self, topic: &str) -> u64 {
        let of_partition = |partition: i32| {
            let files = std::fs::read_dir(self.folder.join(format!("data/{topic}-{partition}"))).expect("the partition's folder");
            let logs = files.map(|file| file.expect("readable").path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
            logs.map(|path| path.metadata().expect("there").len()).sum::<u64>()
        };
        (0..self.partitions(topic)).map(of_partition).sum()
    }

    /// The next offset that a group has committed of each of these partitions; the third, an offset, is not looked at. 0 where there is none, or no answer yet.
    pub fn committed(&self, group: &str, partitions: &[(String, i32, i64)]) -> Vec<i64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().expect("a client");
        let mut list = TopicPartitionList::new();
        for (topic, partition, _) in partitions {
            list.add_partition(topic, *partition);
        }
        // Not told while a transaction is open.
        let Ok(list) = consumer.committed_offsets(list, Duration::from_secs(5)) else { return vec![0; partitions.len()] };
        let offset = |(topic, partition, _): &(String, i32, i64)| match list.find_partition(topic, *partition).expect("asked for").offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        partitions.iter().map(offset).collect()
    }

    /// How many partitions each member of a settled group has; nothing while it is being rebalanced.
    pub fn shares(&self, group: &str) -> Vec<usize> {
        let consumer: BaseConsumer = self.config().create().expect("a client");
        // The group's coordinator may still be loading.
        let Ok(list) = consumer.fetch_group_list(Some(group), LIMIT) else { return Vec::new() };
        let members = list.groups().iter().filter(|found| found.state() == "Stable").flat_map(|found| found.members());
        members.map(|member| assigned_partitions(member.assignment().unwrap_or_default())).collect()
    }
}

/// Counts the partitions in a member's assignment: version (2 bytes), topics (4), then for each its name (2 and as many) and partitions (4 and 4 each).
fn assigned_partitions(bytes: &[u8]) -> usize {
    let number = |at: usize| bytes.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize);
    let (topics, mut at, mut partitions) = (number(2), 6, 0);
    for _ in 0..topics {
        let name = bytes.get(at..at + 2).map_or(0, |bytes| usize::from(u16::from_be_bytes(bytes.try_into().expect("two bytes"))));
        let of_topic = number(at + 2 + name);
        partitions += of_topic;
        at += 2 + name + 4 + 4 * of_topic;
    }
    partitions
}

/// A record to be produced.
#[derive(Clone, Debug)]
pub struct Produced {
    pub topic: String,
    pub partition: i32,
    pub key: Option<String>,
    pub value: String,
    pub timestamp: Option<i64>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    /// The value where it is no text, and where there is none.
    pub raw: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

impl Read {
    fn new(message: &impl Message) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
        let headers = message.headers().map(|headers| headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: text(message.key()),
            value: String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned(),
            raw: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(folder) = kept_failures() {
            copy(&self.folder, &folder.join(self.folder.file_name().expect("a name")));
        }
    }
}

/// Where what a failed test leaves is kept: the folder in `MOTIF_TEST_KEEP`. `None` too where the test does not fail.
pub fn kept_failures() -> Option<PathBuf> {
    std::thread::panicking().then(|| std::env::var_os("MOTIF_TEST_KEEP")).flatten().map(PathBuf::from)
}

/// A folder, as far as it can be copied.
pub fn copy(from: impl AsRef<Path>, to: &Path) {
    drop(std::fs::create_dir_all(to));
    drop(Command::new("cp").args(["-r", "-T"]).arg(from.as_ref()).arg(to).status());
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Two neighbouring ports that nobody uses now. Below those that systems give to outgoing connections: one of these could take the place of a broker that is being restarted.
pub fn free_port() -> u16 {
    const PAIRS: Range<u32> = 10_000..16_000;
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU32::new(rand::random_range(PAIRS)));
    loop {
        let pair = PAIRS.start + next.fetch_add(1, Ordering::Relaxed) % (PAIRS.end - PAIRS.start);
        let port = u16::try_from(2 * pair).expect("small");
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
}
