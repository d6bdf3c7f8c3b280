//! The journal: one record for each task and transaction, written with the matches it accounts for.
//!
//! ```text
//! <group>.journal/t:   1 ── 2 ── 3 ── …      dense per task; record e says what epoch e read, and what came out of it
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `record` | [`EpochRecord`] and its bytes |
//! | `digest` | [`OutputDigest`]: over what an epoch put out, in order |
//!
//! Who wants to check a deployment ([`EpochRecord::decode`] of each value of the journal's partition t, read committed): the records of a task are dense from 1; the
//! `base` of each input is the `next` of the record before; the output records with the headers `task` and `epoch` of a record are `out_count` many, their header
//! `index` counts from 0, and [`OutputDigest`] over them is `out_digest`. A record with `reset` begins with empty state, whatever stood before it.

mod digest;
mod record;

pub use digest::{OutputDigest, OutputKind};
pub use record::{EpochRecord, InputRange, MalformedRecord, PatternSetId};

/// Raised with every change of the engine after which the same input may give other bytes: matches, their ids, or stored state. A record of another version is not
/// replayed.
pub const DETERMINISM_VERSION: u32 = 7;
