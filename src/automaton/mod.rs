//! The automaton of a pattern, and the partial matches (*runs*) of one key that move through it.
//!
//! A pattern is unrolled into *nodes* (places that take an event) and *ways* (from a node just taken, through what may be left out, to
//! the next node or to acceptance, with all that the way demands). The automaton is immutable and shared by all keys; [`Runs`] is the state of one key.
//! This is the plain interpreter: one run per choice of events, and what a condition says of the event alone found out once. Where a key has many runs that need not be told apart they are kept
//! together ([`shared`]); where they wait for values of their own they are found by these (`by_value`). Both are held against it; [`Pending`] is any of the three.
//!
//! ```text
//! match probe{2,}: payments where amount < 2        >0 start
//!  then cash_out: payments where amount > 100           -> 1 begin
//!                                                    1 probe [payments where (amount < 2)]
//!                                                        -> 2 then
//!                                                    2 probe [payments where (amount < 2)]
//!                                                        -> 3 then            the loop has had its least and may end,
//!                                                        -> 2 then            or go on
//!                                                    3 cash_out [payments where (amount > 100)]
//!                                                        -> accept
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `graph`, `ways`, `compile` | the pattern unrolled; the automaton; from the one to the other |
//! | `dump`, `diagram` | the automaton as text, and as a picture |
//! | `class` | what is known of an event before any run is looked at |
//! | `asked_later` | which fields of an event may be looked at once that is known |
//! | `compared` | comparisons with what was chosen before, of which a run knows its own side |
//! | `chain`, `way_set`, `aside`, `runs` | what a run has chosen; the ways it still has; what it has beside its place; all runs of a key |
//! | `tally` | what conditions ask of repeated steps, made as their events are chosen |
//! | `moves` | what an event does to a run |
//! | `deadline` | what time does to it |
//! | `skip` | which matches of an instant are delivered, in which order, and what they remove |
//! | `snapshot` | runs as bytes |
//! | `shared` | partial matches that wait for the same, kept together |
//! | `by_value` | runs that are found by the value that they wait for |
//! | `pending` | the partial matches of a key, whichever way they are evaluated |
//! | `watch` | what can be seen of runs at work |
//!
//! Invariants: within one key no two runs have chosen the same events under the same steps; what came out once never comes out again.
//!
//! The idea of runs and skip strategies is that of SASE+ and FlinkCEP; the reading of ways is our own, and `tests/conformance` decides.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

mod aside;
mod asked_later;
mod by_value;
mod chain;
mod class;
mod compared;
mod compile;
mod deadline;
mod diagram;
mod dump;
mod graph;
mod moves;
mod pending;
mod runs;
pub mod shared;
mod skip;
mod snapshot;
mod tally;
mod watch;
mod way_set;
mod ways;

use smallvec::SmallVec;

use crate::event::{EventTime, SharedEvent};
use crate::pattern::StepId;

pub use class::{Class, ClassBit};
pub use diagram::DiagramFormat;
pub use pending::{Evaluation, FoundBy, Pending, Stepping};
pub use runs::{Arrival, Limits, Members, Run, RunList, Runs, Stepped, members};
pub use snapshot::Outline;
pub use watch::{Deadline, Role, Watch};
pub use ways::{Automaton, PlainStart};

/// Events in the order taken, each under its step. Three, which is more than most have, take no memory of their own.
pub type Choice = SmallVec<[(StepId, SharedEvent); 3]>;

/// A decided choice of events: a match, or a partial match that ran out of time.
#[derive(Clone, Debug)]
pub struct Decided {
    pub kind: DecidedKind,
    /// The time of its last event, or of the deadline that decided it.
    pub at: EventTime,
    pub by: DecidedBy,
    /// In the order taken, which is the order of the line.
    pub chosen: Choice,
    /// Runs that this key lost to its limit so far.
    pub runs_dropped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DecidedKind {
    Match,
    Timeout,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecidedBy {
    Deadline,
    /// The event at hand: it completed the match, or passed over what waited for the very next event.
    Event,
}

/// Adds what is made right where it stays. (Put together elsewhere it would be copied while it is still being written, for which processors wait.)
#[inline]
pub fn push_made<T>(list: &mut Vec<T>, make: impl FnOnce() -> T) -> &mut T {
    let place = list.len();
    list.extend(std::iter::once_with(make));
    &mut list[place]
}
