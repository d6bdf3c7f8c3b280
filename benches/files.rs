//! File to file, as a user runs it: by the program itself.
//!
//! The two web rules over the real web log, repeated to two million events, without and with `--state`, by one worker and by two: events for each
//! second of processor time (of all threads together), elapsed time, the most memory. Then how long the rules of `patterns/` take to start. That
//! every way gives the same bytes is asserted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Plan;
use super::measure::{self, Spread, Taken, shown};
use super::table::{Row, Table};
use super::workloads::web_log;

pub const SECTION: &str = "files";

const WEB_EVENTS: u64 = 2_000_000;
const EVENTS_PER_SECOND_MIN: f64 = 300_000.0;
const STATE_FACTOR_MIN: f64 = 0.75;
const MEMORY_MB_MAX: f64 = 100.0;
const START_MS_MAX: f64 = 100.0;

/// One way of running: with state or without, and how many workers.
#[derive(Clone, Copy)]
struct Way {
    keeps_state: bool,
    workers: u32,
}

const WAYS: [Way; 4] = [
    Way { keeps_state: false, workers: 1 },
    Way { keeps_state: true, workers: 1 },
    Way { keeps_state: false, workers: 2 },
    Way { keeps_state: true, workers: 2 },
];

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    if plan.wants(SECTION, "web rules") {
        web_rules(plan, folder.path(), table);
    }
    if plan.wants(SECTION, "start and end") {
        start_up(plan, folder.path(), table);
    }
}

fn web_rules(plan: &Plan, folder: &Path, table: &mut Table<'_>) {
    let times = WEB_EVENTS.div_ceil(web_log::EVENTS).div_ceil(plan.part);
    let log = folder.join("requests.jsonl");
    web_log::write(&project("tests/data/web_requests.jsonl"), times, &log).expect("the log is written");
    let mut taken: Vec<Vec<Taken>> = WAYS.iter().map(|_| Vec::new()).collect();
    let mut first_output = None;
    // By turns, so that what else the machine does meets all ways alike.
    for _ in 0..plan.runs {
        for (way, taken) in WAYS.iter().zip(&mut taken) {
            let (found, output) = run(*way, &log, folder);
            assert_eq!(output.iter().filter(|byte| **byte == b'\n').count() as u64, times * web_log::MATCHES, "{}", way.name());
            assert!(*first_output.get_or_insert_with(|| output.clone()) == output, "{} gives the same bytes", way.name());
            plan.note(&format!("web rules, {}: {:.2} s of processor", way.name(), found.cpu_s));
            taken.push(found);
        }
    }
    let events = (times * web_log::EVENTS) as f64;
    for (place, way) in WAYS.iter().enumerate() {
        table.add(way.row(events, &taken[place], &taken[0]));
    }
}

fn run(way: Way, log: &Path, folder: &Path) -> (Taken, Vec<u8>) {
    let (state, output) = (folder.join("state"), folder.join("matches.jsonl"));
    let mut command = motif();
    command.arg("run").arg(project("patterns/web")).arg("--input").arg(log).arg("--output").arg(&output).arg("--workers").arg(way.workers.to_string());
    if way.keeps_state {
        command.arg("--state").arg(&state);
    }
    let taken = measure::run(&mut command);
    assert!(taken.status.success(), "motif ends with {}", taken.status);
    let bytes = std::fs::read(&output).expect("the output");
    std::fs::remove_file(&output).expect("the output");
    if way.keeps_state {
        std::fs::remove_dir_all(&state).expect("the state");
    }
    (taken, bytes)
}

/// How long the program takes from its start to its end where its inputs are empty.
fn start_up(plan: &Plan, folder: &Path, table: &mut Table<'_>) {
    let empty = folder.join("empty.jsonl");
    std::fs::write(&empty, "").expect("an empty file");
    for (patterns, streams) in [("fraud", &["payments", "logins"][..]), ("sensors", &["sensors"]), ("ssh", &["logins"]), ("web", &["requests"])] {
        let spread = Spread::of((0..plan.runs).map(|_| start_ms(patterns, streams, &empty, folder)));
        table.add(Row::new(format!("start and end of patterns/{patterns} with state, ms"), spread).at_most(spread.median, START_MS_MAX));
    }
}

fn start_ms(patterns: &str, streams: &[&str], empty: &Path, folder: &Path) -> f64 {
    let (state, output) = (folder.join("state"), folder.join("matches.jsonl"));
    let mut command = motif();
    command.arg("run").arg(project("patterns").join(patterns)).arg("--output").arg(&output).arg("--state").arg(&state);
    for stream in streams {
        command.arg("--input").arg(format!("{stream}={}", empty.display()));
    }
    let begin = std::time::Instant::now();
    let status = command.status().expect("motif starts");
    let elapsed = begin.elapsed();
    assert!(status.success(), "motif ends with {status}");
    std::fs::remove_file(&output).expect("the output");
    std::fs::remove_dir_all(&state).expect("the state");
    elapsed.as_secs_f64() * 1_000.0
}

pub fn motif() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_motif"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Way {
    fn name(self) -> String {
        let workers = if self.workers == 1 { "1 worker" } else { "2 workers" };
        format!("{workers}, {}", if self.keeps_state { "--state" } else { "no state" })
    }

    fn row(self, events: f64, taken: &[Taken], plain: &[Taken]) -> Row {
        let speeds: Vec<f64> = taken.iter().map(|taken| events / taken.cpu_s).collect();
        let plain: Vec<f64> = plain.iter().map(|taken| events / taken.cpu_s).collect();
        let spread = Spread::of(speeds.iter().copied());
        let elapsed = Spread::of(taken.iter().map(|taken| taken.elapsed_s)).median;
        let peak = Spread::of(taken.iter().map(|taken| taken.peak_mb)).max;
        let growth = Spread::of(taken.iter().map(|taken| taken.peak_mb - taken.half_mb)).max;
        let row = Row::new(format!("web rules, file to file, {}, events per second and core", self.name()), spread)
            .beside(format!("{} s elapsed, {} MB at most, {} of it in the second half", shown(elapsed), shown(peak), shown(growth)))
            .goal(format!("below {MEMORY_MB_MAX} MB"), peak < MEMORY_MB_MAX);
        match (self.keeps_state, self.workers) {
            (false, 1) => row.at_least(spread.median, EVENTS_PER_SECOND_MIN),
            (true, 1) => {
                let factor = Spread::of_ratios(&speeds, &plain).median;
                row.goal(format!("at least {STATE_FACTOR_MIN} of that without state"), factor >= STATE_FACTOR_MIN)
            }
            _ => row,
        }
    }
}
