//! Keys that are packed beyond what memory is to hold of them, and keys that were not restored yet: where they lie is the shell's affair, which is asked here.
//!
//! What lies of packed keys there is worth nothing to anybody else and after a restart: what is to be kept of a key has been told to the store before it was packed.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use crate::engine::keys::packed_key;
use crate::event::EventTime;

/// Holds the cold keys of one shard, by table. Each is put there, and taken from there, once.
pub trait ColdKeys: Debug + Send {
    /// Takes over keys that it does not hold.
    fn put(&mut self, table: u32, keys: &[ColdKey]) -> Result<(), ColdKeysError>;

    /// Gives the key back, if it holds it.
    fn take(&mut self, table: u32, key: &[u8]) -> Result<Option<ColdKey>, ColdKeysError>;

    /// Gives back keys whose timers are in the span, those of the least first, and no more than `most`. Before the span there are none. Returns the least timer of those that stay;
    /// the end of time where none does.
    fn take_due(&mut self, table: u32, span: RangeInclusive<EventTime>, most: usize, taken: &mut Vec<ColdKey>) -> Result<EventTime, ColdKeysError>;
}

/// What a store has of the keys of one shard that has not taken all of it up.
pub trait StoredKeys: Debug + Send {
    /// The value of an entry ([`crate::engine::Change`]), if there is one.
    fn get(&mut self, entry: &[u8]) -> Result<Option<Vec<u8>>, ColdKeysError>;
}

/// A packed key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColdKey {
    /// When time next decides something of it; the end of time: never.
    pub timer: EventTime,
    /// All of it, the key included.
    pub bytes: Box<[u8]>,
}

/// The outside has failed. What the shard does from then on is worth nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ColdKeysError(pub String);

impl ColdKey {
    pub fn key(&self) -> &[u8] {
        packed_key(&self.bytes)
    }
}
