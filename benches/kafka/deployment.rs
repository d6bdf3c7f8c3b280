//! A deployment with topics of its own, whose machines share nothing but brokers and checkpoints; and what its processes say in their logs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::Value;

use super::super::files::motif;
use super::{EPOCH_MS, THREADS};
use crate::broker::{Broker, LIMIT, unique};

pub struct Deployment<'a> {
    broker: &'a Broker,
    folder: tempfile::TempDir,
    pub group: String,
    pub input: String,
    pub output: String,
}

impl<'a> Deployment<'a> {
    /// Over this input; makes the other topics.
    pub fn new(broker: &'a Broker, input: &str, patterns: &str) -> Self {
        let deployment =
            Self { broker, folder: tempfile::tempdir().expect("a folder"), group: unique("bench"), input: input.to_owned(), output: unique("bench-out") };
        std::fs::write(deployment.folder.path().join("patterns.motif"), patterns).expect("written");
        let status = motif().arg("topics").arg("--config").arg(deployment.configure(0, THREADS, "")).arg("--create").status().expect("motif starts");
        assert!(status.success(), "motif topics ends with {status}");
        deployment
    }

    /// Writes a machine's configuration.
    pub fn configure(&self, machine: u32, workers: u32, more: &str) -> PathBuf {
        let Self { group, input, output, .. } = self;
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"patterns.motif\"]\nstate = \"state-{machine}\"\nworkers = {workers}\nepoch_ms = {EPOCH_MS}\n\
             [streams.events]\ntopic = \"{input}\"\n[output]\ntopic = \"{output}\"\n[kafka]\nbrokers = \"{}\"\n{more}",
            self.broker.address
        );
        let path = self.config(machine);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn config(&self, machine: u32) -> PathBuf {
        self.path(&format!("motif-{machine}.toml"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `motif run` on a machine, its log beside the configuration.
    pub fn command(&self, machine: u32) -> Command {
        let log = File::options().create(true).append(true).open(self.log_path(machine)).expect("a log");
        let mut command = motif();
        command.arg("run").arg("--config").arg(self.config(machine)).args(["--log", "info"]).stderr(log);
        command
    }

    pub fn start(&self, machine: u32) -> Running {
        Running(self.command(machine).spawn().expect("motif starts"))
    }

    fn log_path(&self, machine: u32) -> PathBuf {
        self.path(&format!("log-{machine}"))
    }

    /// What a machine has said so far.
    pub fn log(&self, machine: u32) -> Vec<Said> {
        let text = std::fs::read_to_string(self.log_path(machine)).expect("a log");
        // The last line may be half written.
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(Said::read).collect()
    }

    /// Waits for so many lines with one of these messages, from a place in the log on, and gives them.
    pub fn await_log(&self, machine: u32, from: usize, messages: &[&str], number: usize) -> Vec<Said> {
        let deadline = Instant::now() + LIMIT * 3;
        loop {
            let found: Vec<Said> = self.log(machine).into_iter().skip(from).filter(|said| messages.contains(&said.message.as_str())).collect();
            if found.len() >= number {
                return found;
            }
            assert!(Instant::now() < deadline, "{} of {number} times {messages:?}: {:?}", found.len(), std::fs::read_to_string(self.log_path(machine)));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many are committed on the output topic.
    pub fn matches(&self) -> u64 {
        self.broker.read(&self.output).len() as u64
    }
}

/// A line of a log.
#[derive(Clone, Debug)]
pub struct Said {
    pub at_ms: i64,
    pub message: String,
    pub fields: Value,
}

impl Said {
    fn read(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let at = DateTime::parse_from_rfc3339(json["timestamp"].as_str()?).ok()?;
        Some(Self { at_ms: at.timestamp_millis(), message: json["fields"]["message"].as_str()?.to_owned(), fields: json["fields"].clone() })
    }
}

/// Ended with its owner.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("a child");
    }
}

pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("this age")
}

/// The bytes of all files below a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| entry.expect("readable").path())
        .map(|path| if path.is_dir() { folder_bytes(&path) } else { path.metadata().map_or(0, |found| found.len()) })
        .sum()
}
