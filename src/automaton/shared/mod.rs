//! The second way of evaluating: partial matches that wait for the same are kept, moved and decided together, and share what they have chosen.
//!
//! For patterns whose conditions ask only about the event at hand (and windows): then all partial matches (*choices* here) of one *situation* do the same, and an event costs as
//! much as there are situations alive, however many choices these stand for. What plain [`Runs`](crate::automaton::Runs) decide is decided here as well, to the byte.
//!
//! ```text
//! an event ──its conditions──▶ class ─┐
//!                                     ▼                ┌ taken:       TAKE(all choices of the group, event), in the situation behind
//! Choices of a key: bag (situation) ──move (Table)──▶ ┤
//!                    └ groups of choices               └ passed over:  the bag goes on as it is, in another situation or the same
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `plan` | whether a pattern can be evaluated this way |
//! | `situation`, `moves`, `table` | what a choice may still do; what events and time do to it; found out once, for all keys |
//! | `sets`, `list` | choices that share what they have in common; all choices of a group |
//! | `choices`, `bag` | the state of one key; its choices by situation |
//! | `deadline` | what time does to them |
//! | `adopt` | from runs to choices |
//! | `outcome` | what comes out of an event or an instant, in order |
//! | `compact`, `snapshot` | what is not reached any more goes; the state as bytes |
//!
//! A bag holds its choices in *groups*: one in all, or where time decides one for each first event, last event, or both. A class or an instant moves whole groups.
//!
//! Invariants: what a key holds follows from the events of its line and the deadlines decided, not from tables that were forgotten, memory that was compacted, or cuts and
//! restarts between.

mod adopt;
mod bag;
mod choices;
mod compact;
mod deadline;
mod list;
mod moves;
mod outcome;
mod plan;
mod sets;
mod situation;
mod snapshot;
mod table;

pub use choices::{Choices, Workspace};
pub use moves::Rules;
pub(super) use plan::{CONDITIONS_MAX, SPANS_MAX};
pub use plan::{Plan, Unshared};
