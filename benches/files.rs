//! File to file, as a user runs it: the two web rules over the real web log, repeated to two million events, by the program itself.
//!
//! Without and with `--state`, by one worker and by two: events for each second of processor time (of all threads together), elapsed time, the most
//! memory. Then how long the rules of `patterns/` take to start. Match counts are asserted, and that every way gives the same bytes.
//!
//! `MOTIF_BENCH_EVENTS` and `MOTIF_BENCH_RUNS` say how many events and how often.
#![expect(clippy::print_stdout, unreachable_pub, reason = "prints its figures; no crate of its own has readers")]

mod workloads {
    pub mod spread;
    pub mod web_log;
}

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use workloads::spread::{Spread, asked};
use workloads::web_log;

const EVENTS_PER_SECOND_MIN: f64 = 300_000.0;
const STATE_FACTOR_MIN: f64 = 0.75;
const MEMORY_MB_MAX: f64 = 100.0;
const START_MS_MAX: f64 = 100.0;

/// How often the memory of a run is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

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

/// What one run took.
struct Figures {
    elapsed_s: f64,
    cpu_s: f64,
    /// The most memory so far when half of the time was over, and at the end.
    half_mb: f64,
    peak_mb: f64,
}

fn main() {
    let times = asked("MOTIF_BENCH_EVENTS", 2_000_000).div_ceil(web_log::EVENTS);
    let runs = asked("MOTIF_BENCH_RUNS", 3);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("requests.jsonl");
    web_log::write(&project("tests/data/web_requests.jsonl"), times, &log).expect("the log is written");
    let events = times * web_log::EVENTS;
    let megabytes = std::fs::metadata(&log).expect("a file").len() >> 20;
    println!("{events} events, {megabytes} MB, {} matches; {runs} runs: min median max\n", times * web_log::MATCHES);

    let mut figures: Vec<Vec<Figures>> = WAYS.iter().map(|_| Vec::new()).collect();
    let mut first_output = None;
    // By turns, so that what else the machine does meets all ways alike.
    for _ in 0..runs {
        for (way, figures) in WAYS.iter().zip(&mut figures) {
            let (found, output) = run(*way, &log, folder.path());
            assert_eq!(output.iter().filter(|byte| **byte == b'\n').count() as u64, times * web_log::MATCHES, "{}", way.name());
            assert!(*first_output.get_or_insert_with(|| output.clone()) == output, "{} gives the same bytes", way.name());
            figures.push(found);
        }
    }
    show(events, &figures);
    start_up(runs, folder.path());
}

fn run(way: Way, log: &Path, folder: &Path) -> (Figures, Vec<u8>) {
    let (state, output) = (folder.join("state"), folder.join("matches.jsonl"));
    let mut command = motif();
    command.arg("run").arg(project("patterns/web")).arg("--input").arg(log).arg("--output").arg(&output).arg("--workers").arg(way.workers.to_string());
    if way.keeps_state {
        command.arg("--state").arg(&state);
    }
    let figures = measure(&mut command);
    let bytes = std::fs::read(&output).expect("the output");
    std::fs::remove_file(&output).expect("the output");
    if way.keeps_state {
        std::fs::remove_dir_all(&state).expect("the state");
    }
    (figures, bytes)
}

/// Runs a command to its end.
fn measure(command: &mut Command) -> Figures {
    let cpu_before = children_cpu_s();
    let begin = Instant::now();
    let mut child = command.spawn().expect("motif starts");
    let mut peaks = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peaks.extend(peak_mb(child.id()));
        std::thread::sleep(LOOK_INTERVAL);
    };
    let elapsed_s = begin.elapsed().as_secs_f64();
    assert!(status.success(), "motif ends with {status}");
    let at = |place: usize| peaks.get(place).copied().unwrap_or(0.0);
    Figures { elapsed_s, cpu_s: children_cpu_s() - cpu_before, half_mb: at(peaks.len() / 2), peak_mb: at(peaks.len().saturating_sub(1)) }
}

/// User and system time of the children that were waited for.
fn children_cpu_s() -> f64 {
    /// What the kernel counts in, on every machine that Linux has in common use.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux tells of processes");
    // The name, in brackets, may hold anything. After it the children's times are the 14th and the 15th field.
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    let ticks: f64 = fields.split_ascii_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    ticks / TICKS_PER_SECOND
}

/// The most memory that a process has had so far; `None` where it has just ended.
fn peak_mb(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

fn show(events: u64, figures: &[Vec<Figures>]) {
    println!("{:<24} {:>26} {:>22} {:>20}", "", "events/s of processor", "seconds elapsed", "most memory, MB");
    let mut speeds = Vec::new();
    for (way, figures) in WAYS.iter().zip(figures) {
        let speed = Spread::of(figures.iter().map(|figures| events as f64 / figures.cpu_s));
        let elapsed = Spread::of(figures.iter().map(|figures| figures.elapsed_s));
        let memory = Spread::of(figures.iter().map(|figures| figures.peak_mb));
        println!("{:<24} {speed:8.0} {elapsed:7.2} {memory:6.0}", way.name());
        speeds.push(speed.median);
    }
    println!();
    let peak = Spread::of(figures.iter().flatten().map(|figures| figures.peak_mb)).max;
    let growth = Spread::of(figures.iter().flatten().map(|figures| figures.peak_mb - figures.half_mb)).max;
    told("events per second of one processor, without state", speeds[0], speeds[0] >= EVENTS_PER_SECOND_MIN, "at least 300,000");
    told("the same with state, as a part of it", speeds[1] / speeds[0], speeds[1] / speeds[0] >= STATE_FACTOR_MIN, "at least 0.75");
    told("most memory of any run, MB", peak, peak < MEMORY_MB_MAX, "below 100");
    println!("  of it after half of the time: {growth:.1} MB");
}

/// How long the program takes from its start to its end where its inputs are empty.
fn start_up(runs: u64, folder: &Path) {
    println!();
    let empty = folder.join("empty.jsonl");
    std::fs::write(&empty, "").expect("an empty file");
    for (patterns, streams) in [("fraud", &["payments", "logins"][..]), ("sensors", &["sensors"]), ("ssh", &["logins"]), ("web", &["requests"])] {
        let figures: Vec<f64> = (0..runs.max(5)).map(|_| start_ms(patterns, streams, &empty, folder)).collect();
        let spread = Spread::of(figures);
        told(&format!("start and end of patterns/{patterns} with state, ms"), spread.median, spread.median < START_MS_MAX, "below 100");
    }
}

fn start_ms(patterns: &str, streams: &[&str], empty: &Path, folder: &Path) -> f64 {
    let (state, output) = (folder.join("state"), folder.join("matches.jsonl"));
    let mut command = motif();
    command.arg("run").arg(project("patterns").join(patterns)).arg("--output").arg(&output).arg("--state").arg(&state);
    for stream in streams {
        command.arg("--input").arg(format!("{stream}={}", empty.display()));
    }
    let begin = Instant::now();
    let status = command.status().expect("motif starts");
    let elapsed = begin.elapsed();
    assert!(status.success(), "motif ends with {status}");
    std::fs::remove_file(&output).expect("the output");
    std::fs::remove_dir_all(&state).expect("the state");
    elapsed.as_secs_f64() * 1_000.0
}

fn told(what: &str, found: f64, met: bool, target: &str) {
    let places = if found < 10.0 { 2 } else { 0 };
    println!("{what}: {found:.places$} ({target}: {})", if met { "met" } else { "MISSED" });
}

fn motif() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_motif"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Way {
    fn name(self) -> String {
        let workers = if self.workers == 1 { "1 worker" } else { "2 workers" };
        format!("{workers}, {}", if self.keeps_state { "--state" } else { "no state" })
    }
}
