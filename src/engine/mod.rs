//! One task: events in any order the watermark allows go in, matches come out in the one order that they have.
//!
//! ```text
//! arrive ─▶ Judge: what matters to no pattern is read, and no more
//!           Intake: late? too far ahead? else held ──release──▶ events in line order, up to the watermark
//!                                                                  │
//!                                  Shard 0 … Shard n-1 (by key): key ▸ step ▸ deadlines ──▶ matches, changes of state
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `index` | which patterns an event can matter to |
//! | `intake` | the serial front: lateness, watermark, what is held, positions |
//! | `partition`, `watermark`, `bounds`, `reorder` | one partition; how time comes on; the least of what holds it back; the events that wait |
//! | `position` | how far it was read, from where to read again |
//! | `kept` | what of an event is kept while it is held, and by those that choose it |
//! | `decided` | what clock and chance have decided, to be said again |
//! | `family` | patterns that are stepped as one |
//! | `compiled` | the program ready to run: automata, and who reads which stream under which key |
//! | `shard` | a part of the keys: the steps of events in their lines, deadlines, changes |
//! | `timers` | when to look at keys again |
//! | `keys`, `slot`, `blocks` | the keys that patterns share, ready or packed, and what changed; what they hold of one; memory that never moves |
//! | `cold` | what is asked of the outside about keys that memory has no room for, or that were not restored yet |
//! | `spread` | which parts of the keys an event belongs to, where these are apart |
//! | `logs`, `window_log` | which events windows count, each kept once for all patterns; those of one key, and what is asked of them |
//! | `matched` | what comes out, its id, its place in the order |
//! | `suppression` | matches that others stand for |
//! | `snapshot`, `counters` | state as entries of a store; what happened, in numbers |
//!
//! [`Engine`] is the whole of it, stepped by [`Engine::apply`]; a shell with threads may step its [`Intake`] and [`Shard`]s itself, with the same bytes coming out
//! for any number of shards. Keys that memory has no room for lie where the shell says ([`ColdKeys`]). No I/O, no clock, no threads: time is told by [`Input::Tick`].
//!
//! Invariants: events leave the intake in order of [`crate::event::Place`]; deadlines at t are decided before events at t; everything decided at or
//! before the watermark has come out when `apply` returns; the order of hashing, shards and batches shows nowhere.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod blocks;
mod bounds;
mod cold;
mod compiled;
mod counters;
mod decided;
mod family;
mod index;
mod intake;
mod kept;
mod keys;
mod logs;
mod matched;
mod partition;
mod position;
mod reorder;
mod shard;
mod slot;
mod snapshot;
mod spread;
mod suppression;
mod timers;
mod watermark;
mod window_log;

use std::sync::Arc;

use crate::automaton::{Limits, Watch};
use crate::event::{Event, EventTime, ProcessingTime, StreamId, TimeSpan};
use crate::pattern::Program;

pub use cold::{ColdKey, ColdKeys, ColdKeysError, StoredKeys};
pub use compiled::Compiled;
pub use counters::Counters;
pub use decided::{Decided, Offsets};
pub use index::{Interest, Judge};
pub use intake::{Arrival, Intake, IntakeLimits, RecordPlace};
pub use logs::WindowsSince;
pub use matched::{Match, MatchField, OutputOrder, put_in_order};
pub use position::{PartitionPosition, Positions, RefusedBy, RefusedRange, Rewind, UpstreamPosition};
pub use reorder::Wanted;
pub use shard::{Shard, ShardMemory};
pub use snapshot::{Change, DamagedState, Restored, first_suppression_entry};
pub use spread::{Shares, Spread};
pub use suppression::Suppression;
pub use watermark::{StreamTiming, watermark_behind};

/// What a task is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A partition is live: it holds the watermark back from now on. One that is not opened is from its first event on.
    Open { stream: StreamId, partition: u32 },
    /// A partition holds nothing back any more.
    Close { stream: StreamId, partition: u32 },
    /// An event, and where its record and the one after it begin in the source (a file's byte; else the offset).
    Arrive { event: Event, position: u64, next_position: u64 },
    /// A record that holds no event was read.
    Skip { stream: StreamId, partition: u32, offset: u64, next_position: u64 },
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
    Late {
        event: Event,
        watermark: EventTime,
    },
    /// Takes no part: further ahead of the reference instant than allowed.
    TooFarAhead {
        event: Event,
    },
    /// Takes no part: the bound on held events is reached.
    HeldFull {
        event: Event,
    },
}

/// How a task behaves where the program leaves it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Parts of the key space, at least 1. What comes out does not depend on it.
    pub shards: usize,
    /// Partial matches that a key of a pattern may hold, unless the pattern says so itself; see [`Limits::runs_max`].
    pub runs_per_key_max: u64,
    /// Those that it may hold one by one; where there are more, and the pattern allows it, they are kept together. What comes out does not depend on it.
    pub runs_alone_max: usize,
    /// Matches of one key and pattern that one event or deadline may hand out.
    pub matches_per_event_max: u64,
    /// Keys that are kept ready for events, by shard and for patterns with the same keys; what is more is packed where no event comes. What comes out does not depend on it.
    pub ready_keys_max: usize,
    /// Events that may wait for the watermark.
    pub held_events_max: usize,
    /// Far-future times are measured from here.
    pub reference: EventTime,
    /// How much later than the reference an event may be.
    pub ahead_max: TimeSpan,
    /// By stream, in the schema's order; `None`: what the program says, and no idleness.
    pub timings: Option<Vec<StreamTiming>>,
}

/// Up to about so many runs cost less one by one.
pub const RUNS_ALONE_MAX: usize = 16;

/// Ready, these take some 80 MB.
pub const READY_KEYS_MAX: usize = 250_000;

/// The limits that hold where nothing is configured; no time is too far ahead.
impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            shards: 1,
            runs_per_key_max: 10_000,
            runs_alone_max: RUNS_ALONE_MAX,
            matches_per_event_max: 10_000,
            ready_keys_max: READY_KEYS_MAX,
            held_events_max: 1_000_000,
            reference: EventTime::END,
            ahead_max: TimeSpan::ZERO,
            timings: None,
        }
    }
}

/// A whole task, stepped on one thread.
#[derive(Debug)]
pub struct Engine {
    judge: Judge,
    intake: Intake,
    shards: Vec<Shard>,
    suppression: Suppression,
    released: Shares,
    /// Memory that is used again.
    matches: Vec<Match>,
}

impl Engine {
    pub fn new(program: &Program, options: EngineOptions) -> Self {
        Self::since(program, &WindowsSince::new(), options)
    }

    /// The same, where not all patterns came at the same time.
    pub fn since(program: &Program, since: &WindowsSince, options: EngineOptions) -> Self {
        let EngineOptions { shards, runs_per_key_max, runs_alone_max, matches_per_event_max, ready_keys_max, held_events_max, reference, ahead_max, timings } =
            options;
        assert!(shards > 0, "keys belong to some shard");
        let said = |lateness: Option<TimeSpan>| StreamTiming::of_lateness(lateness.unwrap_or(TimeSpan::ZERO));
        let timings = timings.unwrap_or_else(|| program.schema.streams.iter().map(|stream| said(stream.lateness)).collect());
        let compiled = Arc::new(Compiled::since(program, since));
        let limits = Limits { runs_max: runs_per_key_max, matches_max: matches_per_event_max, runs_alone_max };
        Self {
            judge: Judge::of_parts(compiled.clone(), shards),
            intake: Intake::new(program.schema.clone(), timings, IntakeLimits { held_events_max, reference, ahead_max }),
            shards: (0..shards).map(|shard| Shard::new(compiled.clone(), shard, shards, limits, ready_keys_max)).collect(),
            suppression: Suppression::default(),
            released: Shares::new((0..shards).map(|_| Vec::new())),
            matches: Vec::new(),
        }
    }

    /// Tells what events and time do to runs from now on: for tests of patterns. What comes out is the same.
    pub fn watch(&mut self, watch: &Arc<dyn Watch>) {
        self.judge.want_all();
        self.shards.iter_mut().for_each(|shard| shard.watch(watch.clone()));
    }

    /// Events are kept whole from now on: for whoever shows those of a match that no rule asks for. What comes out is the same.
    pub fn keep_whole_events(&mut self) {
        self.judge.keep_whole();
    }

    /// From now on no more keys are packed in memory, by shard and for patterns with the same keys, than these; the others are laid down with what is made here for each shard. What comes out
    /// does not depend on it, unless that [fails](Engine::failure).
    pub fn spill_to(&mut self, packed_keys_max: usize, make: impl FnMut(usize) -> Box<dyn ColdKeys>) {
        let made = (0..self.shards.len()).map(make);
        self.shards.iter_mut().zip(made).for_each(|(shard, cold)| shard.spill_to(cold, packed_keys_max));
    }

    /// Why nothing that comes out is to be used.
    pub fn failure(&self) -> Option<&ColdKeysError> {
        self.shards.iter().find_map(Shard::failure)
    }

    /// Takes one input, and decides everything that the watermark then allows.
    pub fn apply(&mut self, input: Input, effects: &mut Vec<Effect>) {
        self.apply_batch([input], effects);
    }

    /// Takes inputs one after the other, and then decides everything that the watermark allows. However inputs are put into batches, the same
    /// matches come out in the same order, and the same events are set aside.
    pub fn apply_batch(&mut self, inputs: impl IntoIterator<Item = Input>, effects: &mut Vec<Effect>) {
        for input in inputs {
            self.take(input, effects);
        }
        let mut matches = std::mem::take(&mut self.matches);
        self.decide(&mut matches);
        effects.extend(matches.drain(..).map(Effect::Matched));
        self.matches = matches;
    }

    /// [`Input::Arrive`] without the copying: for callers that use the memory of an event again. The values of its fields are taken if it is held; the fields, if it is set aside; and else they
    /// are left to the caller. The matches that it brings out come with the next [`Engine::decide`].
    pub fn arrive(&mut self, event: &mut Event, position: u64, next_position: u64, effects: &mut Vec<Effect>) {
        let interest = self.judge.interest(event);
        let arrival = self.intake.arrive(event, interest, position, next_position);
        let mut taken = || Event { fields: std::mem::take(&mut event.fields), ..*event };
        match arrival {
            Arrival::Held | Arrival::OfNoInterest | Arrival::Passed => {}
            Arrival::Late { watermark } => effects.push(Effect::Late { event: taken(), watermark }),
            Arrival::TooFarAhead => effects.push(Effect::TooFarAhead { event: taken() }),
            Arrival::HeldFull => effects.push(Effect::HeldFull { event: taken() }),
        }
    }

    /// Decides everything that the watermark allows, and adds the matches.
    pub fn decide(&mut self, matches: &mut Vec<Match>) {
        let before = matches.len();
        let watermark = match &mut self.shards[..] {
            [all] => all.apply_released(&mut self.intake, EventTime::END, matches),
            shards => {
                self.released.clear();
                let watermark = self.intake.release_each(EventTime::END, |wanted| self.released.add(wanted));
                for (shard, events) in shards.iter_mut().zip(self.released.iter()) {
                    shard.apply(events, watermark, matches);
                }
                put_in_order(&mut matches[before..]);
                watermark
            }
        };
        self.suppression.apply(matches, before, watermark);
    }

    pub fn watermark(&self) -> EventTime {
        self.intake.watermark()
    }

    /// How far the sources were read, and from where to read again after a restart.
    pub fn positions(&self) -> Positions {
        self.intake.positions()
    }

    /// Adds what changed since the last call, in order of the entries' keys.
    pub fn take_changes(&mut self, changes: &mut Vec<Change>) {
        let before = changes.len();
        self.shards.iter_mut().for_each(|shard| shard.take_changes(changes));
        self.suppression.take_changes(changes);
        changes[before..].sort_unstable_by(|one, other| one.key.cmp(&other.key));
    }

    /// Nobody takes changes from now on: they are not noted.
    pub fn note_no_changes(&mut self) {
        self.shards.iter_mut().for_each(Shard::note_no_changes);
        self.suppression.note_no_changes();
    }

    /// Takes up positions and stored entries, before anything arrives and after partitions were opened. The sources are then read from each
    /// partition's rewind place; where there is none, from its next record. Returns the versions of patterns that the program does not have; their entries are passed over.
    ///
    /// # Errors
    ///
    /// An entry is damaged.
    pub fn restore<'a>(&mut self, positions: &Positions, entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Vec<u128>, DamagedState> {
        self.intake.restore(positions);
        let mut unknown = Vec::new();
        for (key, value) in entries {
            if self.suppression.restore_entry(key, value)? {
                continue;
            }
            for shard in &mut self.shards {
                match shard.restore(key, value)? {
                    Restored::Taken => break,
                    Restored::OtherShard => {}
                    Restored::UnknownPattern(version) => {
                        unknown.push(version);
                        break;
                    }
                }
            }
        }
        self.shards.iter_mut().for_each(Shard::end_restoring);
        unknown.sort_unstable();
        unknown.dedup();
        Ok(unknown)
    }

    /// Of the intake and all shards together.
    pub fn counters(&self) -> Counters {
        let mut counters = self.intake.counters().clone();
        self.shards.iter().for_each(|shard| counters.add(shard.counters()));
        self.suppression.count(&mut counters);
        counters.faults += self.judge.faults();
        counters
    }

    fn take(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let intake = &mut self.intake;
        match input {
            Input::Open { stream, partition } => intake.open(stream, partition),
            Input::Close { stream, partition } => intake.close(stream, partition),
            Input::Skip { stream, partition, offset, next_position } => intake.skip(stream, partition, offset, next_position),
            Input::Watermark { stream, partition, watermark } => intake.say_watermark(stream, partition, watermark),
            Input::Tick(now) => intake.tick(now),
            Input::End => intake.end(),
            Input::Arrive { mut event, position, next_position } => self.arrive(&mut event, position, next_position, effects),
        }
    }
}

#[cfg(test)]
mod tests;
