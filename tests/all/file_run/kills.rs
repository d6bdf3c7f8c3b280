//! Killed at any moment, by `kill -9`, again and again: the three outputs end up with the bytes of a run that nobody touched.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::file_run::made_up::{self, CLICKS, ORDERS};
use crate::random_cases::{asked_for, seed};
use crate::workplace::{Workplace, start};

const OUTPUTS: [&str; 3] = ["matches.jsonl", "late.jsonl", "rejected.jsonl"];

/// Kills of each law.
const KILLS: usize = 16;

/// The random numbers of a law, whose seed is printed.
fn random(law: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed(law))
}

fn kills_wanted() -> usize {
    asked_for("MOTIF_TEST_KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("small"))
}

/// The inputs of a run: clicks, and perhaps orders, which end earlier.
struct Streams {
    clicks: String,
    orders: Option<String>,
}

impl Streams {
    fn new(random: &mut ChaCha8Rng, has_orders: bool) -> Self {
        let clicks = made_up::lines(random, 45_000, 0, 300);
        let orders = has_orders.then(|| made_up::lines(random, 15_000, 60_000, 500));
        Self { clicks, orders }
    }

    fn place(&self, work: &Workplace) {
        work.write("clicks.motif", CLICKS);
        work.write("orders.motif", ORDERS);
        self.write(work, self.clicks.len(), self.orders.as_ref().map_or(0, String::len));
    }

    /// The files as they were when they were this long.
    fn write(&self, work: &Workplace, clicks: usize, orders: usize) {
        work.write("clicks.jsonl", &self.clicks.as_bytes()[..clicks]);
        if let Some(text) = &self.orders {
            work.write("orders.jsonl", &text.as_bytes()[..orders]);
        }
    }

    fn command(&self, more: &str) -> String {
        let inputs = match self.orders {
            Some(_) => "clicks.motif orders.motif --input clicks=clicks.jsonl --input orders=orders.jsonl",
            None => "clicks.motif --input clicks.jsonl",
        };
        format!("run {inputs} --output matches.jsonl --late late.jsonl --rejected rejected.jsonl {more}")
    }

    /// The outputs of a run that nothing interrupts.
    fn expected(&self, more: &str) -> [Vec<u8>; 3] {
        let work = Workplace::new();
        self.place(&work);
        work.must(&self.command(more));
        OUTPUTS.map(|name| work.read(name))
    }
}

/// Starts the command again and again and kills it, until it ends by itself. Gives the number of kills.
fn run_under_kills(work: &Workplace, random: &mut ChaCha8Rng, kills_max: usize, expected: u64, mut command: impl FnMut(&mut ChaCha8Rng) -> String) -> usize {
    let mut kills = 0;
    loop {
        let grown = work.length("matches.jsonl");
        let mut running = start(&mut work.motif(&command(random)));
        if kills < kills_max {
            // Half of them where outputs have just been appended, so that the run comes on; the others anywhere, the very beginning included.
            let target = if random.random() { Some(grown + random.random_range(0..1 + expected / 8)) } else { None };
            let deadline = Instant::now() + Duration::from_micros(random.random_range(0..120_000));
            let is_due = || target.map_or_else(|| Instant::now() >= deadline, |target| work.length("matches.jsonl") > target);
            while !is_due() && !running.has_ended() {
                std::thread::park_timeout(Duration::from_micros(200));
            }
            running.kill();
        }
        let ended = running.end();
        match ended.code {
            Some(0) => return kills,
            None => kills += 1,
            Some(code) => panic!("after {kills} kills motif ended with {code}: {}", ended.stderr),
        }
    }
}

fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    if found != expected {
        let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let around = |bytes: &[u8]| {
            let at = differs.unwrap_or(found.len().min(expected.len()));
            String::from_utf8_lossy(&bytes[at.saturating_sub(300).min(bytes.len())..(at + 300).min(bytes.len())]).into_owned()
        };
        let (found_text, expected_text) = (around(found), around(expected));
        let lengths = (found.len(), expected.len());
        panic!("{what} differs: bytes and those expected: {lengths:?}, unlike from byte {differs:?} on:\n{found_text}\ninstead of\n{expected_text}");
    }
}

fn assert_says_something(expected: &[Vec<u8>; 3]) {
    for (bytes, name) in expected.iter().zip(OUTPUTS) {
        assert!(bytes.iter().filter(|byte| **byte == b'\n').count() > 100, "{name} has lines to lose");
    }
}

fn law(name: &str, has_orders: bool, workers: u32, durability: &str) {
    let mut random = random(name);
    let mut kills = 0;
    while kills < kills_wanted() {
        let streams = Streams::new(&mut random, has_orders);
        let options = format!("--state state --epoch-ms 1 --durability {durability} --workers {workers}");
        let expected = streams.expected(&options);
        assert_says_something(&expected);
        assert!(streams.expected("") == expected, "what comes out does not depend on the state, nor on the workers");
        let work = Workplace::new();
        streams.place(&work);
        kills += run_under_kills(&work, &mut random, kills_wanted() - kills, expected[0].len() as u64, |_| streams.command(&options));
        for (name, expected) in OUTPUTS.iter().zip(&expected) {
            assert_same(&work.read(name), expected, &format!("{name} after {kills} kills"));
        }
    }
    println!("{name}: {kills} kills");
}

#[test]
fn killed_anywhere_one_stream() {
    law("one stream", false, 1, "power");
}

#[test]
fn killed_anywhere_one_stream_two_workers() {
    law("one stream, two workers", false, 2, "process");
}

#[test]
fn killed_anywhere_two_streams() {
    law("two streams", true, 1, "process");
}

#[test]
fn killed_anywhere_two_streams_two_workers() {
    law("two streams, two workers", true, 2, "process");
}

/// The lines of one stream: with files that grow, only its own order is fixed.
fn of_stream(lines: &[u8], stream: &str) -> String {
    let begin = format!("{{\"stream\":\"{stream}\"");
    let lines = std::str::from_utf8(lines).expect("text").lines();
    lines.filter(|line| line.starts_with(&begin)).collect::<Vec<_>>().join("\n")
}

/// Files cut anywhere, in the middle of a line too, run with `--keep-open` or without, killed or not, by any number of workers; then the rest appended.
fn growing_law(name: &str, has_orders: bool) {
    let mut random = random(name);
    let mut kills = 0;
    while kills < kills_wanted() {
        let streams = Streams::new(&mut random, has_orders);
        let expected = streams.expected("");
        let work = Workplace::new();
        streams.place(&work);
        let (mut clicks, mut orders) = (0, 0);
        let orders_all = streams.orders.as_ref().map_or(0, String::len);
        while (clicks, orders) != (streams.clicks.len(), orders_all) {
            clicks = (clicks + random.random_range(0..streams.clicks.len() / 2)).min(streams.clicks.len());
            orders = (orders + random.random_range(0..1 + orders_all / 2)).min(orders_all);
            streams.write(&work, clicks, orders);
            let kills_max = random.random_range(0..6);
            kills += run_under_kills(&work, &mut random, kills_max, expected[0].len() as u64 / 4, |random| {
                let keep_open = if random.random() { "--keep-open" } else { "" };
                streams.command(&format!("--state state --epoch-ms 1 --durability process --workers {} {keep_open}", random.random_range(1..4)))
            });
        }
        work.must(&streams.command("--state state"));
        assert_same(&work.read("matches.jsonl"), &expected[0], "matches.jsonl");
        for (name, expected) in OUTPUTS.iter().zip(&expected).skip(1) {
            for stream in ["clicks", "orders"] {
                assert_eq!(of_stream(&work.read(name), stream), of_stream(expected, stream), "{name}, {stream}");
            }
            assert_eq!(work.length(name), expected.len() as u64, "{name}");
        }
    }
    println!("{name}: {kills} kills");
}

#[test]
fn a_file_that_grows_between_runs_gives_what_the_whole_gives() {
    growing_law("a growing file", false);
}

#[test]
fn two_files_that_grow_between_runs_give_what_the_whole_gives() {
    growing_law("two growing files", true);
}
