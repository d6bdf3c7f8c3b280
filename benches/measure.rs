//! Time of processors, memory, and the figures of several runs.

use std::fmt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How often the memory of a child is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The least, the middle and the greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (first, last) = (figures.first().expect("some run"), figures.last().expect("some run"));
        Self { min: *first, median: figures[figures.len() / 2], max: *last }
    }

    /// Of what was measured by turns: how many times the second each first is.
    pub fn of_ratios(first: &[f64], second: &[f64]) -> Self {
        assert_eq!(first.len(), second.len(), "measured by turns");
        Self::of(first.iter().zip(second).map(|(first, second)| first / second))
    }
}

/// `min median max` with thousands set apart; small figures with places after the point.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", shown(self.min), shown(self.median), shown(self.max))
    }
}

/// A figure with about three digits that count, at least all before the point.
pub fn shown(figure: f64) -> String {
    let places = match figure.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{figure:.places$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, _)| (whole, &text[whole.len()..]));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    format!("{sign}{}{rest}", grouped(digits))
}

/// A number of things, thousands set apart.
pub fn counted(number: u64) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

/// What this thread has had of a processor so far.
pub fn cpu_ns() -> u64 {
    // The kernel adds up at its ticks, milliseconds apart, and whenever a thread offers to step aside.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    text.split_ascii_whitespace().next().and_then(|spent| spent.parse().ok()).expect("nanoseconds come first")
}

/// CPU nanoseconds of a piece of work of this thread, and what it gave.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = cpu_ns();
    let made = work();
    ((cpu_ns() - begun) as f64, made)
}

/// What the process of a command took.
pub struct Taken {
    pub status: ExitStatus,
    pub elapsed_s: f64,
    /// Of all its threads, user and system.
    pub cpu_s: f64,
    /// The most memory so far when half of the time was over, and at the end.
    pub half_mb: f64,
    pub peak_mb: f64,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Taken {
    let cpu_before = children_cpu_s();
    let begin = Instant::now();
    let mut child: Child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut peaks = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peaks.extend(peak_mb(child.id()));
        std::thread::sleep(LOOK_INTERVAL);
    };
    let elapsed_s = begin.elapsed().as_secs_f64();
    let at = |place: usize| peaks.get(place).copied().unwrap_or(0.0);
    Taken { status, elapsed_s, cpu_s: children_cpu_s() - cpu_before, half_mb: at(peaks.len() / 2), peak_mb: at(peaks.len().saturating_sub(1)) }
}

/// User and system time of the children that were waited for.
fn children_cpu_s() -> f64 {
    stat_s("self", 13)
}

/// User and system time of this process, all its threads together.
pub fn own_cpu_s() -> f64 {
    stat_s("self", 11)
}

/// The same of one that has not been waited for.
pub fn cpu_s(process: u32) -> f64 {
    stat_s(&process.to_string(), 11)
}

/// Two neighbouring fields of a process's times, by how many stand between them and its name.
fn stat_s(process: &str, after_name: usize) -> f64 {
    /// What the kernel counts in, on every machine that Linux has in common use.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux tells of processes");
    // The name, in brackets, may hold anything.
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    let ticks: f64 = fields.split_ascii_whitespace().skip(after_name).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    ticks / TICKS_PER_SECOND
}

/// The most memory that a process has had so far; `None` where it has just ended.
fn peak_mb(process: u32) -> Option<f64> {
    memory_bytes(&process.to_string(), "VmHWM:").map(|bytes| bytes / f64::from(1 << 20))
}

/// What this process has of the machine's memory now.
pub fn resident_bytes() -> f64 {
    memory_bytes("self", "VmRSS:").expect("Linux tells of processes")
}

fn memory_bytes(process: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024.0)
}
