//! What Motif costs, and how that compares. Match counts are asserted everywhere.
//!
//! | module | measures |
//! |---|---|
//! | `engines` | the engine alone, beside the same written by hand and other engines |
//! | `files` | file to file, as a user runs it |
//! | `kafka` | Kafka to Kafka |
//! | `ladders` | each part by itself |
//! | `kernels`, `peers`, `workloads` | what is measured: by hand, by others, on which events |
//! | `measure`, `table` | time and memory; rows and goals |

mod engines;
mod files;
mod kafka;
pub mod kernels;
mod ladders;
mod measure;
pub mod peers;
pub mod table;
pub mod workloads {
    pub mod cards;
    pub mod typed;
    pub mod web_log;
}

use peers::Peers;
use table::Table;

/// What is to be measured, and how often.
pub struct Plan {
    /// Sections, or parts of rows' names; everything where there are none.
    pub only: Vec<String>,
    pub runs: u64,
    pub peers: Peers,
    /// Events are divided by it.
    pub part: u64,
    /// Is told how far it is.
    pub note: fn(&str),
}

impl Plan {
    /// Whether a row is asked for.
    pub fn wants(&self, section: &str, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| word == section || row.contains(word.as_str()))
    }

    /// Whether a row is asked for by a part of its name.
    fn names(&self, row: &str) -> bool {
        self.only.iter().any(|word| row.contains(word.as_str()))
    }

    fn note(&self, text: &str) {
        (self.note)(text);
    }
}

/// Measures what the plan asks for.
pub fn run(plan: &Plan, table: &mut Table<'_>) {
    ladders::memory::measure(plan, table);
    engines::measure(plan, table);
    files::measure(plan, table);
    kafka::measure(plan, table);
    ladders::measure(plan, table);
}
