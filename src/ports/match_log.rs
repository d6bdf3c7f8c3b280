//! The matches that were delivered, in order, for subscribers that come and go.

use std::sync::Arc;

use tokio::sync::watch;

/// A log of committed matches. Reading never blocks and never waits for the engine.
pub trait MatchLog: Send + Sync {
    /// Identifies the log: a position is good for this log only.
    fn identity(&self) -> String;

    /// The place before the first entry that is still kept.
    fn earliest(&self) -> Result<LogPosition, LogError>;

    /// The place after the last committed entry.
    fn latest(&self) -> Result<LogPosition, LogError>;

    /// Entries after `from`, in order, until they are so much, or one that takes as many bytes by itself; none where nothing more is committed yet. Each entry carries the position to go on from:
    /// whoever does so from the last gets the next at least cost.
    fn read(&self, from: &LogPosition, until: LogAmount) -> Result<Vec<LogEntry>, LogError>;

    /// Changes whenever entries were committed.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// Matches by number, and by the bytes of their text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogAmount {
    pub entries: usize,
    pub bytes: usize,
}

impl LogAmount {
    /// Whatever they take.
    pub fn of_entries(entries: usize) -> Self {
        Self { entries, bytes: usize::MAX }
    }

    /// One match, of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { entries: 1, bytes: bytes.len() }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { entries: self.entries.saturating_add(other.entries), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub fn minus(self, other: Self) -> Self {
        Self { entries: self.entries.saturating_sub(other.entries), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// In number or bytes.
    pub fn is_over(self, max: Self) -> bool {
        self.entries > max.entries || self.bytes > max.bytes
    }

    /// The same, or it is as much.
    pub fn has_reached(self, max: Self) -> bool {
        self.entries >= max.entries || self.bytes >= max.bytes
    }
}

/// A place between two entries. Its parts are the log's own business (epoch and index; an offset for each partition).
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct LogPosition(pub Vec<u64>);

/// One match, as the output has it.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// After this entry.
    pub position: LogPosition,
    pub pattern: Arc<str>,
    /// The match's JSON, as in the output.
    pub json: Arc<[u8]>,
}

impl LogEntry {
    pub fn amount(&self) -> LogAmount {
        LogAmount::of(&self.json)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// What is kept, is from `next` on; in parts of the log where nothing is missing that is where it was to be gone on.
    #[error("what follows that place is no longer kept")]
    OutOfRange { next: LogPosition },
    /// The log was longer once, or was another one. `next`: as above.
    #[error("that place is beyond the last match")]
    BeyondEnd { next: LogPosition },
    #[error("that place is in another log")]
    OtherLog,
    #[error("the log of matches cannot be read: {0}")]
    Failed(String),
}
