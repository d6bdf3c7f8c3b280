//! `make bench`: what is asked for by the environment (`make bench ONLY=engine RUNS=1` sets it), measured and printed as one table.
//!
//! | variable | says | unless set |
//! |---|---|---|
//! | `MOTIF_BENCH_ONLY` | sections (`engine`, `files`, `kafka`, `ladders`), or parts of rows' names, apart from each other by semicolons | everything |
//! | `MOTIF_BENCH_RUNS` | how often each is measured | 3 |
//! | `MOTIF_BENCH_PEERS` | `no`: without other engines | with them |
//! | `MOTIF_BENCH_PART` | a number: only that part of the events (10: a tenth) | all |
#![expect(clippy::print_stderr, unreachable_pub, reason = "tells how far it is; no crate of its own has readers")]

// Beside this file, where the tests find it too.
#[path = "bench.rs"]
mod bench;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/all/broker.rs"]
mod broker;
#[path = "../tests/all/guarded.rs"]
mod guarded;

use bench::Plan;
use bench::peers::Peers;
use bench::table::Table;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let number = |name: &str, default: u64| match text(name) {
        text if text.is_empty() => default,
        text => text.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| panic!("{name}={text}: write a whole number from 1 on")),
    };
    let plan = Plan {
        only: text("MOTIF_BENCH_ONLY").split(';').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        runs: number("MOTIF_BENCH_RUNS", 3),
        peers: if text("MOTIF_BENCH_PEERS") == "no" { Peers::none() } else { Peers::look() },
        part: number("MOTIF_BENCH_PART", 1),
        note: |text| eprintln!("  {text}"),
    };
    let mut out = std::io::stdout();
    let mut table = Table::new(&mut out);
    bench::run(&plan, &mut table);
    table.end();
}
