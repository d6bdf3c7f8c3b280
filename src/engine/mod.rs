//! One task: events in any order the watermark allows go in, matches come out in the one order that they have.
//!
//! ```text
//! arrive ─▶ Intake: late? too far ahead? else held ──release──▶ events in line order, up to the watermark
//!                                                                  │
//!                                  Shard 0 … Shard n-1 (by key): key ▸ step ▸ deadlines ──▶ matches, changes of state
//! ```
//!
//! [`Engine`] is the whole of it, stepped by [`Engine::apply`]; a shell with threads may step its [`Intake`] and [`Shard`]s itself, with the same bytes coming out
//! for any number of shards. No I/O, no clock, no threads: time is told by [`Input::Tick`].
//!
//! Invariants: events leave the intake in order of [`crate::event::Place`]; deadlines at t are decided before events at t; everything decided at or
//! before the watermark has come out when `apply` returns; the order of hashing, shards and batches shows nowhere.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod counters;
mod intake;
mod matched;
mod position;
mod reorder;
mod shard;
mod snapshot;
mod watermark;

use std::sync::Arc;

use crate::event::{Event, EventTime, ProcessingTime, StreamId};
use crate::pattern::Program;

pub use counters::Counters;
pub use intake::{Arrival, Intake, IntakeLimits, StreamTiming};
pub use matched::{Match, MatchField, OutputOrder};
pub use position::{PartitionPosition, Positions, Rewind};
pub use shard::{Change, Shard};

/// What a task is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// An event, and the place from which its source can be read again (a file's byte; else the offset).
    Arrive { event: Event, position: u64 },
    /// The partition's watermark is said rather than derived; from then on only what is said counts for its stream.
    Watermark { stream: StreamId, partition: u32, watermark: EventTime },
    /// The machine's time, for idleness only.
    Tick(ProcessingTime),
    /// No more will come: the watermark goes to the end of time.
    End,
}

/// What a task asks of its shell.
#[derive(Clone, Debug)]
pub enum Effect {
    Matched(Match),
    /// Takes no part: at or before the watermark of its own partition (or, after idleness, of the task).
    Late { event: Event, watermark: EventTime },
    /// Takes no part: further ahead of the reference instant than allowed.
    TooFarAhead { event: Event },
    /// Takes no part: the bound on held events is reached.
    HeldFull { event: Event },
}
