//! Every knob, read from one TOML file (or put together by the command line) and checked into types.
//!
//! Unknown keys and combinations that cannot work are refused here, before anything is opened. Paths in a file count from its folder.

mod checkpoints;
mod file;
mod problem;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::event::TimeSpan;

pub use file::{load, parse};
pub use problem::{ConfigError, ConfigProblem};

/// Threads of a process that evaluate patterns, at most.
pub const WORKERS_MAX: u16 = 256;
/// Milliseconds between two commits, at most.
pub const EPOCH_MS_MAX: u64 = 60_000;

/// The same on Kafka: a transaction that is open for longer holds back whoever reads committed records.
pub const KAFKA_EPOCH_MS_MAX: u64 = 10_000;

/// What one run of the service needs to know besides its patterns' texts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that says so; `None`: the command line does.
    pub file: Option<PathBuf>,
    /// Names the service; on Kafka its consumer group and its transactions, unless said otherwise.
    pub name: String,
    /// `.motif` files or folders.
    pub patterns: Vec<PathBuf>,
    /// Folder of the state; `None`: in memory, gone with the process.
    pub state: Option<PathBuf>,
    /// Take this slot of the state folder; `None`: the lowest that is free.
    pub slot: Option<u32>,
    /// Threads that evaluate patterns, from 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// The longest time between two commits, in milliseconds.
    pub epoch_ms: u64,
    pub durability: Durability,
    /// By stream name.
    pub streams: BTreeMap<String, StreamConfig>,
    pub output: Output,
    pub kafka: Option<KafkaConfig>,
    pub grpc: Option<GrpcConfig>,
    pub limits: Limits,
    /// The instant that far-future times are measured against; `None`: the first start's, kept in the state.
    pub reference: Option<crate::event::EventTime>,
    pub strictness: Strictness,
    /// On Kafka: a task whose state is lost begins at the committed offsets without it, instead of being refused.
    pub accept_reset: bool,
    /// On Kafka: a process leaves its group for good when it ends, instead of keeping its tasks for a restart within the session.
    pub leaves: bool,
    /// On Kafka: where copies of the state go, from which other machines can go on; `None`: nowhere.
    pub checkpoints: Option<CheckpointConfig>,
}

/// What commits survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// A loss of power.
    Power,
    /// A kill of the process.
    Process,
}

/// What a record that cannot be read does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strictness {
    /// It is counted and set aside.
    SetAside,
    /// It ends the run.
    Stop,
}

#[derive(Clone, Debug)]
pub struct StreamConfig {
    pub origin: Origin,
    /// The fields that the topic is partitioned by; empty: by what the patterns need, as nobody says otherwise.
    pub key: Vec<String>,
    /// Counts where the pattern file says no `late after`.
    pub late_after: Option<TimeSpan>,
    /// A partition that is silent for longer holds nothing back; `None`: it does for ever. Never for files.
    pub idle_timeout: Option<TimeSpan>,
    /// Opt-in for streams in which nothing may arrive at all: from then on the watermark follows the wall clock.
    pub idle_after: Option<TimeSpan>,
    pub timestamp_unit: TimestampUnit,
}

/// The unit of timestamps that are whole numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// Where a stream's records come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    File {
        path: PathBuf,
        at_end: AtEnd,
    },
    StandardInput,
    Topic(String),
    /// Fed through `Events.Publish`.
    Published,
}

/// What the end of a file means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtEnd {
    /// The end of the input.
    Finish,
    /// More may be appended.
    Follow,
}

/// Whether the end of the input closes what is undecided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndOfInput {
    ClosesWindows,
    /// `--keep-open`: what is undecided stays undecided.
    KeepsOpen,
}

/// Where lines go.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// `None`: standard output (or the output topic).
    pub matches: Option<PathBuf>,
    pub late: Option<PathBuf>,
    pub rejected: Option<PathBuf>,
    /// Begin non-empty files anew that no state knows.
    pub overwrite: bool,
    /// Readable text instead of JSON; standard output only.
    pub readable: bool,
}

#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port`, separated by commas.
    pub brokers: String,
    pub group: String,
    pub output_topic: String,
    pub late_topic: Option<String>,
    pub rejected_topic: Option<String>,
    /// The service's own record of what each transaction holds; its name follows the group's unless said otherwise.
    pub journal_topic: String,
    /// Handed to the client library as they are, but for what correctness stands on.
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointConfig {
    pub place: CheckpointPlace,
    /// The time between two checkpoints of a task, in milliseconds.
    pub interval_ms: u64,
}

/// What all machines of the service reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckpointPlace {
    Folder(PathBuf),
    Bucket(BucketConfig),
}

/// A bucket of S3, or of a store that speaks its language. What is not said comes from the usual variables of the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketConfig {
    pub name: String,
    /// Before the names of all objects, without `/` at its ends; may be empty.
    pub prefix: String,
    /// `https://host:port` of a store that is not Amazon's; `http://` only where that was allowed.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// The id of an access key, and the file that holds its secret.
    pub access_key: Option<(String, PathBuf)>,
}

#[derive(Clone, Debug)]
pub struct GrpcConfig {
    pub address: SocketAddr,
}

/// Bounds, each with a counter for when it is hit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Partial matches of one key and pattern.
    pub runs_per_key_max: u64,
    /// Matches of one key and pattern that one event or deadline hands out; where there are more, none is.
    pub matches_per_event_max: u64,
    /// Keys that are kept ready for events, per task and for patterns with the same keys: about 300 bytes each with one partial match. Where there are more, those to which no event
    /// comes are packed, to a third of that; an event that comes to one costs a microsecond or two more. What comes out does not depend on it.
    pub ready_keys_max: usize,
    /// Keys that are packed in memory, counted likewise: about 115 bytes each with one partial match. Where there are more, some lie on the disk until an event or their time comes, in the
    /// task's folder of the state or, where there is none, among the system's temporary files; an event that comes to one costs some 10 microseconds more. What comes out does not depend on it.
    pub packed_keys_max: usize,
    /// Events held back for the watermark, per task; what is too much is set aside. Inputs that are ahead wait before that, and of a second stage nothing is set aside where this is
    /// at least twice the number of partitions of all inputs, and twice the number of events within their lateness.
    pub held_events_max: usize,
    /// How far ahead of the reference instant an event may be.
    pub ahead_max: TimeSpan,
    /// Bytes of one record.
    pub record_bytes_max: usize,
    /// Matches kept for subscribers, at most, and bytes of them: where there are more, the oldest tenth may go at a time. With state they lie with it, without in memory; on Kafka, where all are in
    /// the output topic, so much of what is recent is in memory as well.
    pub log_matches_max: usize,
    pub log_bytes_max: usize,
    /// Matches that wait for one subscriber who does not take them.
    pub subscriber_queue_max: usize,
    /// Bytes that RocksDB has in memory, for all tasks of the process together: what was written and is not yet in files, and what was read of them.
    pub store_memory_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs_per_key_max: 10_000,
            matches_per_event_max: 10_000,
            ready_keys_max: 250_000,
            packed_keys_max: 10_000_000,
            held_events_max: 1_000_000,
            ahead_max: TimeSpan::from_secs(86_400),
            record_bytes_max: 1 << 20,
            log_matches_max: 100_000,
            log_bytes_max: 256 << 20,
            subscriber_queue_max: 1_000,
            store_memory_bytes_max: 256 << 20,
        }
    }
}

impl Config {
    /// In memory, nothing read, matches to standard output: what the command line starts from.
    pub fn one_shot(patterns: Vec<PathBuf>) -> Self {
        Self {
            file: None,
            name: "motif".to_owned(),
            patterns,
            state: None,
            slot: None,
            workers: 1,
            epoch_ms: 1_000,
            durability: Durability::Power,
            streams: BTreeMap::new(),
            output: Output::default(),
            kafka: None,
            grpc: None,
            limits: Limits::default(),
            reference: None,
            strictness: Strictness::SetAside,
            accept_reset: false,
            leaves: false,
            checkpoints: None,
        }
    }
}

impl KafkaConfig {
    /// What is handed on to tasks that keep other keys than the input topics are partitioned by; also the group of these tasks.
    pub fn rekeyed_topic(&self) -> String {
        format!("{}.rekeyed", self.group)
    }

    /// Their journal.
    pub fn rekeyed_journal_topic(&self) -> String {
        format!("{}.rekeyed.journal", self.group)
    }
}

impl StreamConfig {
    pub fn from_origin(origin: Origin) -> Self {
        Self { origin, key: Vec::new(), late_after: None, idle_timeout: None, idle_after: None, timestamp_unit: TimestampUnit::Millis }
    }
}
