//! The matches that were delivered, in order, for subscribers that come and go.

use std::sync::Arc;

use tokio::sync::watch;

/// An answer that holds as much JSON takes no further entry.
pub const READ_BYTES_MAX: usize = 64 << 10;

/// A log of committed matches. Reading never blocks and never waits for the engine.
pub trait MatchLog: Send + Sync {
    /// Identifies the log: a position is good for this log only.
    fn identity(&self) -> String;

    /// The place before the first entry that is still kept.
    fn earliest(&self) -> Result<LogPosition, LogError>;

    /// The place after the last committed entry.
    fn latest(&self) -> Result<LogPosition, LogError>;

    /// Up to `entries_max` entries after `from`, in order, and up to [`READ_BYTES_MAX`]; empty where nothing more is committed yet. Each entry carries the position to go on from: whoever
    /// does so from the last gets the next at least cost.
    fn read(&self, from: &LogPosition, entries_max: usize) -> Result<Vec<LogEntry>, LogError>;

    /// Changes whenever entries were committed.
    fn changed(&self) -> watch::Receiver<u64>;
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
