//! What Motif costs, and how that compares: `make bench` prints one table. Match counts are asserted.
//!
//! | module | measures |
//! |---|---|
//! | `engines` | the engine alone, beside the same written by hand and other engines |
//! | `files` | file to file, as a user runs it |
//! | `kernels`, `peers`, `workloads` | what is measured: by hand, by others, on which events |
//! | `measure`, `table` | time and memory; rows and goals |
//!
//! From the environment (`make bench ONLY=engine RUNS=1` sets them):
//!
//! | variable | says | unless set |
//! |---|---|---|
//! | `MOTIF_BENCH_ONLY` | sections (`engine`, `files`), or parts of a row's name, apart from each other by commas | everything |
//! | `MOTIF_BENCH_RUNS` | how often each is measured | 3 |
//! | `MOTIF_BENCH_PEERS` | `no`: without other engines | with them |
//! | `MOTIF_BENCH_PART` | a number: only that part of the events (10: a tenth) | all |
#![expect(clippy::print_stderr, unreachable_pub, reason = "tells how far it is; no crate of its own has readers")]

mod engines;
mod files;
pub mod kernels;
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

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is to be measured, and how often.
pub struct Plan {
    pub only: Vec<String>,
    pub runs: u64,
    pub peers: Peers,
    /// Events are divided by it.
    pub part: u64,
    /// Whether to say on standard error how far it is.
    pub is_loud: bool,
}

impl Plan {
    #[allow(dead_code, reason = "the tests say what they want")]
    fn of_environment() -> Self {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let number = |name: &str, default: u64| match text(name) {
            text if text.is_empty() => default,
            text => text.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| panic!("{name}={text}: write a whole number from 1 on")),
        };
        Self {
            only: text("MOTIF_BENCH_ONLY").split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            runs: number("MOTIF_BENCH_RUNS", 3),
            peers: if text("MOTIF_BENCH_PEERS") == "no" { Peers::none() } else { Peers::look() },
            part: number("MOTIF_BENCH_PART", 1),
            is_loud: true,
        }
    }

    /// Whether a row is asked for.
    pub fn wants(&self, section: &str, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| word == section || row.contains(word.as_str()))
    }

    pub fn note(&self, text: &str) {
        if self.is_loud {
            eprintln!("  {text}");
        }
    }
}

/// Measures what the plan asks for.
pub fn run(plan: &Plan, table: &mut Table<'_>) {
    engines::measure(plan, table);
    files::measure(plan, table);
}

#[allow(dead_code, reason = "the tests run what is above, in small")]
fn main() {
    let mut out = std::io::stdout();
    let mut table = Table::new(&mut out);
    run(&Plan::of_environment(), &mut table);
    table.end();
}
