//! How far each partition of a task has been read, and from where it has to be read again after a restart.
//!
//! Held events live in memory only. After a restart the source is read again from the *rewind* place, the oldest event still held, with
//! the newest time that the partition had shown by then: so what was late comes out late again, and is passed over silently, as is what is at or
//! before the stored watermark. Only then does new input begin.

use serde::{Deserialize, Serialize};

/// The positions of a task at one epoch's end.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Positions {
    /// The task's watermark, in microseconds: everything at or before it has been decided. `i64::MIN`: nothing yet.
    pub watermark_us: i64,
    /// By stream name and partition.
    pub partitions: Vec<PartitionPosition>,
    /// Of a task that goes on with the events of others: how far those said that they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamPosition>,
}

/// How far a task is that hands its events on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamPosition {
    pub task: u32,
    /// Its watermark, in microseconds.
    pub watermark_us: i64,
    /// Nothing comes that would move it.
    pub idle: bool,
}

impl Positions {
    /// Of one partition, if it is known.
    pub fn of(&self, stream: &str, partition: u32) -> Option<&PartitionPosition> {
        self.partitions.iter().find(|position| position.stream == stream && position.partition == partition)
    }
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PartitionPosition {
    pub stream: String,
    pub partition: u32,
    /// The next record to be read: its number, and where it begins in the source (a file's byte; else the offset again). 0: nothing was read.
    pub next_offset: u64,
    pub next_position: u64,
    /// The newest event time seen, in microseconds; `i64::MIN`: none.
    pub newest_us: i64,
    /// Silent for longer than the idle time-out.
    pub idle: bool,
    /// For how long it had been silent, in microseconds; 0 where that does not matter.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub silent_us: i64,
    /// The oldest event that is still held; `None`: none is.
    pub rewind: Option<Rewind>,
    /// Records from the rewind place on that were kept out: they stay out when they are read again, whatever the bounds are by then. A record that
    /// took no part for another reason may be among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedRange>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rewind {
    pub offset: u64,
    pub position: u64,
    /// The newest event time seen before that record, in microseconds.
    pub newest_us: i64,
}

/// Records of one partition that were kept out, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRange {
    pub first_offset: u64,
    pub last_offset: u64,
    #[serde(default)]
    pub by: RefusedBy,
    /// Only those with a later time were, in microseconds: one that came between them took part.
    #[serde(default = "of_any_time", skip_serializing_if = "is_of_any_time")]
    pub beyond_us: i64,
}

impl RefusedRange {
    /// Whatever their times: none that is kept out stands at the beginning of time.
    pub const BEYOND_ANY_US: i64 = i64::MIN;
}

fn of_any_time() -> i64 {
    RefusedRange::BEYOND_ANY_US
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_of_any_time(beyond_us: &i64) -> bool {
    *beyond_us == RefusedRange::BEYOND_ANY_US
}

/// The bound that has kept a record out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// On events that are held back. The record's time counted.
    #[default]
    HeldMax,
    /// On times ahead of the reference instant. The record's time did not count.
    AheadMax,
    /// None: time had overtaken it, and had not been given out as far as that, so that the stored watermark does not tell. The record's time counted.
    Overtaken,
}
