//! What each part costs by itself, over sizes that differ by powers of ten.
//!
//! | file | measures |
//! |---|---|
//! | `rig` | an engine with numbered events, for all of them |
//! | `memory` | bytes of a live key, and of a partial match |
//! | `stages` | decoding, conditions, looking up keys, steps, deadlines |
//! | `load` | windows from short to long, events out of order, a hot key |
//! | `windows` | conditions that ask for windows, of few events and many, of one rule and many |
//! | `back` | conditions that look back at all that a step has taken |
//! | `state` | commit, checkpoint, restore |
//! | `pauses` | the longest piece of work |

mod back;
mod load;
pub mod memory;
mod pauses;
mod rig;
mod stages;
mod state;
mod windows;

use super::Plan;
use super::table::Table;

pub const SECTION: &str = "ladders";

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    stages::measure(plan, table);
    load::measure(plan, table);
    windows::measure(plan, table);
    back::measure(plan, table);
    state::measure(plan, table);
    pauses::measure(plan, table);
}

/// A size as far as the plan asks for it.
fn sized(plan: &Plan, size: u64) -> u64 {
    (size / plan.part).max(100)
}
