//! The service: sources, tasks, commits, outputs, subscribers, put together and kept in step.
//!
//! ```text
//! Source ─records─▶ Task (decode ▸ engine) ─epoch─▶ commit: outputs, state and positions together ─▶ subscribers woken
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `program` | pattern files on disk to a compiled program |
//! | `task` | records in, one epoch's matches, set-aside lines and state changes out |
//! | `crew` | a task's threads, where it has several |
//! | `pieces` | how far time goes at once, where it goes far |
//! | `waiting` | how much of what came out and changed may wait until it is taken |
//! | `spill` | where a task's keys lie that memory has no room for |
//! | `rekeying` | events that one task hands on to another |
//! | `state` | what is kept under which key |
//! | `embedded/` | one process: files, standard streams and published events; one epoch is one atomic write |
//! | `topics/` | Kafka to Kafka: one epoch is one transaction |
//! | `upkeep/` | what operators ask of a deployment on Kafka |
//! | `state_folder` | the folder that the user names for state |
//! | `match_log` | the embedded log of matches for subscribers |
//! | `stop`, `progress` | how a run is told to end; how far it is |

mod crew;
pub mod embedded;
mod match_log;
mod pieces;
pub mod program;
mod progress;
pub mod published;
pub mod rekeying;
pub mod spill;
pub mod state;
mod state_folder;
mod stop;
pub mod task;
pub mod topics;
pub mod upkeep;
mod waiting;

use state_folder::slot_folder;

pub use match_log::StoredMatchLog;
pub use progress::Progress;
pub use stop::{EndPart, STOP_MAX, StopSignal};

pub use crate::kafka::exit_at_once;

use std::path::Path;

use crate::config::{Config, Durability, Limits};
use crate::ports::LogAmount;
use crate::store::{Durability as StoreDurability, RocksOptions};

/// What a run did, for the last line on standard error.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub counters: crate::engine::Counters,
    /// Rejected records by code.
    pub rejected: std::collections::BTreeMap<&'static str, u64>,
    /// Records taken from the sources, also those read again after a restart.
    pub records_read: u64,
    /// By worker: the keys it had state for at one time or another.
    pub keys_by_worker: Vec<u64>,
    /// Ended by a stop signal before the input did.
    pub stopped: bool,
    /// Of a run between topics: what happened there.
    pub topics: Option<topics::metrics::MetricsSnapshot>,
}

impl Summary {
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

fn rocks_options(config: &Config) -> RocksOptions {
    let durability = match config.durability {
        Durability::Power => StoreDurability::Power,
        Durability::Process => StoreDurability::Process,
    };
    RocksOptions { durability }
}

/// What is kept for subscribers, at most.
fn log_max(limits: &Limits) -> LogAmount {
    LogAmount { entries: limits.log_matches_max, bytes: limits.log_bytes_max }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
