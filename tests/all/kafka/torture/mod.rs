//! Exactly once, whatever happens to processes, brokers and the wires between them.
//!
//! Every test here does the same: unique events flow into a deployment of real processes while something goes wrong again and again; then everything is read
//! as a read_committed reader sees it, and must be what the events give in a run that nothing disturbs: none missing, none twice, ids right, in order.
//! The seed of each run is told with what was done, also where all is well, and taken from `MOTIF_TEST_SEED` where that is set.
//!
//! | file | what goes wrong |
//! |---|---|
//! | `processes` | they are killed, frozen and ended; a frozen one wakes up beside its successor |
//! | `brokers` | they are killed and started again, alone and as one of three |
//! | `wires` | answers that decide a transaction are swallowed, late, or cut off |
//! | `trial`, `fleet`, `workload`, `faults` | how that is done and held against what must come out |

mod brokers;
mod faults;
mod fleet;
mod processes;
mod trial;
mod wires;
mod workload;

use std::io::Write;

/// Shown while the tests run: of one that succeeds, what `println` prints is kept back.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("somebody listens");
}
