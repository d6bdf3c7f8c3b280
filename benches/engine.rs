//! The engine alone: CPU time per event of the workloads that other engines are measured with as well. Match counts are asserted.
//!
//! Then how long 1,000 ordinary patterns take from text to automata.
//!
//! The first fifth of the events warms up and is not timed; making the events is. `MOTIF_BENCH_RUNS` says how often each is run.
#![expect(clippy::print_stdout, unreachable_pub, reason = "prints its figures; no crate of its own has readers")]

mod workloads {
    pub mod spread;
    pub mod typed;
}

use motif::engine::{Engine, EngineOptions};
use motif::language::{Source, compile};
use workloads::spread::{Spread, asked};
use workloads::typed::Workload;

/// Workload, events, keys, and the matches that two other engines agree on.
const MEASURED: [(Workload, u64, u64, u64); 6] = [
    (Workload::Pair, 2_000_000, 10_000, 70_868),
    (Workload::Pair, 5_000_000, 1_000, 445_781),
    (Workload::Pair, 5_000_000, 100_000, 23_042),
    (Workload::Triple, 2_000_000, 10_000, 77_951),
    (Workload::Triple, 3_000_000, 10_000, 123_316),
    (Workload::Absence, 2_000_000, 10_000, 75_774),
];

fn main() {
    let runs = asked("MOTIF_BENCH_RUNS", 3);
    println!("{:<10} {:>9} {:>8} {:>8}   CPU ns per event: min median max of {runs}", "workload", "events", "keys", "matches");
    for (workload, events, keys, expected) in MEASURED {
        let figures: Vec<f64> = (0..runs).map(|_| measure(workload, events, keys, expected)).collect();
        println!("{:<10} {events:>9} {keys:>8} {expected:>8}   {:6.0}", workload.name(), Spread::of(figures));
    }
    let compiled = Spread::of((0..runs).map(|_| compile_many()));
    let verdict = if compiled.median < COMPILE_MS_MAX { "met" } else { "MISSED" };
    println!("\n{PATTERNS} patterns from text to automata, CPU ms: {compiled:.0} (below {COMPILE_MS_MAX:.0}: {verdict})");
}

const PATTERNS: usize = 1_000;
const COMPILE_MS_MAX: f64 = 200.0;

/// CPU milliseconds for the patterns, as one program.
fn compile_many() -> f64 {
    let schema =
        "stream payments {\n  card_id: string\n  amount: decimal\n  country: string?\n  status: string\n  at: timestamp\n  time at, late after 5s\n}\n";
    let pattern = |number: usize| {
        format!(
            "pattern rule_{number} {{\n  from payments by card_id\n  match probe{{3,}}: payments where status == \"approved\" and amount < {}\n   \
             then cash_out: payments where amount > {number} * avg(probe.amount) and country == \"DE\"\n  \
             without refund: payments where status == \"refunded\"\n  within 10m\n  emit card_id, count(probe) as probes, cash_out.amount as amount\n}}\n",
            number % 7 + 2
        )
    };
    let text = std::iter::once(schema.to_owned()).chain((0..PATTERNS).map(pattern)).collect();
    let begun = cpu_ns();
    let compiled = compile(&[Source { path: "rules.motif".to_owned(), text }]);
    let engine = Engine::new(&compiled.program, EngineOptions::default());
    let spent = cpu_ns() - begun;
    assert_eq!(compiled.program.patterns.len(), PATTERNS, "{:?}", compiled.diagnostics);
    drop(engine);
    spent as f64 / 1e6
}

/// CPU nanoseconds per event.
fn measure(workload: Workload, events: u64, keys: u64, expected: u64) -> f64 {
    let warm = events / 5;
    let mut begun = 0;
    let matches = workload.run(events, keys, |reached| {
        if reached == warm {
            begun = cpu_ns();
        }
    });
    let spent = cpu_ns() - begun;
    assert!(begun > 0, "a batch ends where the warm-up does");
    assert_eq!(matches, expected, "matches of {} with {events} events and {keys} keys", workload.name());
    spent as f64 / (events - warm) as f64
}

/// What this thread has had of a processor so far.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    text.split_ascii_whitespace().next().and_then(|spent| spent.parse().ok()).expect("nanoseconds come first")
}
