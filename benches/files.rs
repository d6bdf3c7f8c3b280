//! File to file, as a user runs it: by the program itself.
//!
//! The two web rules over the real web log, repeated, and the three rules on cards over payments with planted cases, without and with `--state`, by one
//! worker and by two: events for each second of processor time (of all threads together), elapsed time, the most memory; beside it `wc -l` on the same file,
//! the least that reading it costs. Then how long the rules of `patterns/` take to start. That every way gives the same bytes is asserted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Plan;
use super::measure::{self, Spread, Taken, counted, shown};
use super::table::{Row, Table};
use super::workloads::{cards, web_log};

pub const SECTION: &str = "files";

const WEB_EVENTS: u64 = 2_000_000;
const WEB_EVENTS_PER_SECOND_MIN: f64 = 300_000.0;
/// Keys, and the events per second and core to reach.
const CARDS: [(u64, f64); 2] = [(10_000, 1_600_000.0), (1_000_000, 1_200_000.0)];
const CARD_EVENTS: u64 = 3_000_000;
const STATE_FACTOR_MIN: f64 = 0.75;
const WEB_MEMORY_MB_MAX: f64 = 100.0;
const START_MS_MAX: f64 = 100.0;

/// One way of running: with state or without, and how many workers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    keeps_state: bool,
    workers: u32,
}

const PLAIN: Way = Way { keeps_state: false, workers: 1 };
const WAYS: [Way; 4] = [PLAIN, Way { keeps_state: true, workers: 1 }, Way { keeps_state: false, workers: 2 }, Way { keeps_state: true, workers: 2 }];

/// Rules over a file.
struct Job {
    name: String,
    patterns: Vec<PathBuf>,
    input: PathBuf,
    events: u64,
    matches: u64,
    events_per_second_min: f64,
    memory_mb_max: Option<f64>,
}

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    if plan.wants(SECTION, "web rules") {
        web_rules(plan, folder.path()).measure(plan, folder.path(), table);
    }
    for (keys, events_per_second_min) in CARDS {
        if plan.wants(SECTION, &format!("card rules, {} keys", counted(keys))) {
            card_rules(plan, keys, events_per_second_min, folder.path()).measure(plan, folder.path(), table);
        }
    }
    if plan.wants(SECTION, "start and end") {
        start_up(plan, folder.path(), table);
    }
}

fn web_rules(plan: &Plan, folder: &Path) -> Job {
    let times = WEB_EVENTS.div_ceil(web_log::EVENTS).div_ceil(plan.part);
    let input = folder.join("requests.jsonl");
    web_log::write(&project("tests/data/web_requests.jsonl"), times, &input).expect("the log is written");
    Job {
        name: "web rules".to_owned(),
        patterns: vec![project("patterns/web")],
        input,
        events: times * web_log::EVENTS,
        matches: times * web_log::MATCHES,
        events_per_second_min: WEB_EVENTS_PER_SECOND_MIN,
        memory_mb_max: Some(WEB_MEMORY_MB_MAX),
    }
}

fn card_rules(plan: &Plan, keys: u64, events_per_second_min: f64, folder: &Path) -> Job {
    let cards = cards::write(&motif, CARD_EVENTS / plan.part, keys / plan.part, folder);
    Job {
        name: format!("card rules, {} keys", counted(keys)),
        patterns: cards::PATTERNS.map(project).to_vec(),
        input: cards.payments,
        events: cards.events,
        matches: cards.matches,
        events_per_second_min,
        memory_mb_max: None,
    }
}

impl Job {
    fn measure(&self, plan: &Plan, folder: &Path, table: &mut Table<'_>) {
        let mut taken: Vec<Vec<Taken>> = WAYS.iter().map(|_| Vec::new()).collect();
        let mut limit = Vec::new();
        let mut first_output = None;
        // By turns, so that what else the machine does meets all ways alike.
        for _ in 0..plan.runs {
            for (way, taken) in WAYS.iter().zip(&mut taken) {
                let (found, output) = self.run(*way, folder);
                assert_eq!(output.iter().filter(|byte| **byte == b'\n').count() as u64, self.matches, "{}, {}", self.name, way.name());
                assert!(*first_output.get_or_insert_with(|| output.clone()) == output, "{} gives the same bytes", way.name());
                plan.note(&format!("{}, {}: {:.2} s of processor", self.name, way.name(), found.cpu_s));
                taken.push(found);
            }
            limit.push(self.lines_per_second());
        }
        let limit = Spread::of(limit).median;
        for (way, found) in WAYS.iter().zip(&taken) {
            table.add(self.row(*way, found, &taken[0], limit));
        }
    }

    fn run(&self, way: Way, folder: &Path) -> (Taken, Vec<u8>) {
        let (state, output) = (folder.join("state"), folder.join("matches.jsonl"));
        let mut command = motif();
        command.arg("run").args(&self.patterns).arg("--input").arg(&self.input).arg("--output").arg(&output);
        command.arg("--workers").arg(way.workers.to_string());
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

    /// Lines that `wc -l` counts in a second of processor time.
    fn lines_per_second(&self) -> f64 {
        /// One reading is over before the kernel's clock for children has moved much.
        const READINGS: usize = 10;
        let taken = measure::run(Command::new("wc").arg("-l").args(std::iter::repeat_n(&self.input, READINGS)).stdout(Stdio::null()));
        assert!(taken.status.success(), "wc ends with {}", taken.status);
        (self.events * READINGS as u64) as f64 / taken.cpu_s.max(0.01)
    }

    fn row(&self, way: Way, taken: &[Taken], plain: &[Taken], limit: f64) -> Row {
        let speeds = |taken: &[Taken]| -> Vec<f64> { taken.iter().map(|taken| self.events as f64 / taken.cpu_s.max(0.01)).collect() };
        let (speeds, plain) = (speeds(taken), speeds(plain));
        let spread = Spread::of(speeds.iter().copied());
        let elapsed = Spread::of(taken.iter().map(|taken| taken.elapsed_s)).median;
        let peak = Spread::of(taken.iter().map(|taken| taken.peak_mb)).max;
        let growth = Spread::of(taken.iter().map(|taken| taken.peak_mb - taken.half_mb)).max;
        let mut row = Row::new(format!("{}, file to file, {}, events per second and core", self.name, way.name()), spread).beside(format!(
            "{} s elapsed, {} MB at most, {} of it in the second half",
            shown(elapsed),
            shown(peak),
            shown(growth)
        ));
        if let Some(most) = self.memory_mb_max {
            row = row.goal(format!("below {most} MB"), peak < most);
        }
        match (way.keeps_state, way.workers) {
            (false, 1) => row.beside(format!("`wc -l` {} lines", shown(limit))).at_least(spread.median, self.events_per_second_min),
            (true, 1) => {
                let factor = Spread::of_ratios(&speeds, &plain).median;
                row.goal(format!("at least {STATE_FACTOR_MIN} of that without state"), factor >= STATE_FACTOR_MIN)
            }
            _ => row,
        }
    }
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
}
