//! The state of keys as entries of a store.
//!
//! | key | value |
//! |---|---|
//! | pattern version (16 bytes, the highest first), the bytes of the key | the runs, as [`crate::automaton::Runs::encode`] writes them |
//! | version of a log, the bytes of the key | the events of the key that windows count, as `window_log` writes them |
//! | version of a log, the bytes of the key, number of a segment (8 bytes, the highest first) | some of the oldest of them, where they are many |
//! | pattern version, 255, the bytes of `suppress … by` | until when, and how many were suppressed: see `suppression` |

use crate::event::binary::Malformed;

/// Begins the rest of the entry of a `suppress`; no key's bytes begin with it.
const SUPPRESSION: u8 = 0xFF;

const VERSION_BYTES: usize = 16;

/// One entry of the store that is to be written, or deleted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change {
    pub key: Vec<u8>,
    /// `None`: delete.
    pub value: Option<Vec<u8>>,
}

/// What became of an entry of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restored {
    Taken,
    /// The key belongs to another shard.
    OtherShard,
    /// No pattern or log of the program has this version.
    UnknownPattern(u128),
}

/// An entry that cannot be read: it was damaged, or written by another program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the stored state of a key of pattern `{pattern}` cannot be read: {reason}")]
pub struct DamagedState {
    /// Its name; empty where not even that can be told.
    pub pattern: String,
    pub reason: Malformed,
}

pub(super) fn entry_key(version: u128, key: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes(), key].concat()
}

/// As many bytes behind the key tell a segment of its log.
pub(super) const SEGMENT_BYTES: usize = 8;

pub(super) fn segment_key(version: u128, key: &[u8], segment: u64) -> Vec<u8> {
    [&version.to_be_bytes(), key, &segment.to_be_bytes()[..]].concat()
}

pub(super) fn suppression_key(version: u128, by: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes()[..], &[SUPPRESSION], by].concat()
}

/// Where the entries of suppressions of a pattern version begin: behind those of its keys.
pub fn first_suppression_entry(version: u128) -> Vec<u8> {
    suppression_key(version, &[])
}

/// Version and the bytes of `suppress … by`, where the entry is of a suppression.
pub(super) fn split_suppression_key(entry: &[u8]) -> Option<(u128, &[u8])> {
    let (version, rest) = entry.split_first_chunk::<VERSION_BYTES>()?;
    let (&SUPPRESSION, by) = rest.split_first()? else { return None };
    Some((u128::from_be_bytes(*version), by))
}

/// Version and key.
pub(super) fn split_entry_key(entry: &[u8]) -> Result<(u128, &[u8]), DamagedState> {
    let (version, key) = entry
        .split_first_chunk::<VERSION_BYTES>()
        .ok_or_else(|| DamagedState { pattern: String::new(), reason: Malformed { what: "pattern version", left: entry.len() } })?;
    Ok((u128::from_be_bytes(*version), key))
}
