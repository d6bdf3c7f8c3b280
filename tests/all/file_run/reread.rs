//! What is read again after a stop or a kill: what was not committed and what was held back, never the whole file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use motif::config::{AtEnd, Config, Durability, EndOfInput, Origin, StreamConfig};
use motif::engine::PartitionPosition;
use motif::pattern::Program;
use motif::service::state::Meta;
use motif::service::{StopSignal, Summary, embedded, program};
use motif::store::{Durability as StoreDurability, Rocks, RocksOptions};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::file_run::made_up::{self, CLICKS, ORDERS};
use crate::workplace::{LIMIT, Workplace, start};

/// Lines that 5 s of lateness can hold back where a line comes every 300 ms, generously.
const HELD_LINES_MAX: u64 = 60;
const CHUNK_LINES: usize = 6_000;

/// Chunks of lines of clicks, each with a line at its end that is nothing and by which it is seen that all before it was read.
fn chunks(seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let chunk_ms = 300 * i64::try_from(CHUNK_LINES).expect("small");
    (0..4).map(|chunk| made_up::lines(&mut random, CHUNK_LINES, chunk * chunk_ms, 300) + &format!("end of chunk {chunk}\n")).collect()
}

/// Records are the lines that are not blank.
fn records(text: &str) -> u64 {
    text.lines().filter(|line| !line.trim().is_empty()).count() as u64
}

/// The records of a text from a line on.
fn records_from(text: &str, line: u64) -> u64 {
    let lines = text.split_inclusive('\n').skip(usize::try_from(line).expect("small"));
    records(&lines.collect::<String>())
}

fn config(work: &Workplace, workers: usize) -> Config {
    let mut config = Config::one_shot(vec![work.path("clicks.motif")]);
    config.state = Some(work.path("state"));
    config.output.matches = Some(work.path("matches.jsonl"));
    config.output.late = Some(work.path("late.jsonl"));
    config.output.rejected = Some(work.path("rejected.jsonl"));
    config.workers = workers;
    config.epoch_ms = 1;
    config.durability = Durability::Process;
    bind(&mut config, work, "clicks", AtEnd::Finish);
    config
}

fn bind(config: &mut Config, work: &Workplace, stream: &str, at_end: AtEnd) {
    let origin = Origin::File { path: work.path(format!("{stream}.jsonl")), at_end };
    config.streams.insert(stream.to_owned(), StreamConfig::from_origin(origin));
}

fn program(config: &Config) -> Arc<Program> {
    let loaded = program::load(&config.patterns).expect("files that are there");
    assert!(!loaded.compiled.has_errors(), "{:?}", loaded.compiled.diagnostics);
    Arc::new(loaded.compiled.program)
}

fn run(config: &Config) -> Summary {
    embedded::run(&program(config), config, EndOfInput::ClosesWindows, &StopSignal::default()).expect("runs to the end")
}

/// Where a stopped run would go on.
fn committed(work: &Workplace) -> PartitionPosition {
    let store = Rocks::open(&work.path("state/0"), RocksOptions { durability: StoreDurability::Process }).expect("a state");
    let meta = Meta::read(&store).expect("readable").expect("a run has been here");
    meta.positions.partitions.into_iter().find(|position| position.stream == "clicks").expect("the stream")
}

fn rewind(position: &PartitionPosition) -> u64 {
    position.rewind.map_or(position.next_offset, |rewind| rewind.offset)
}

fn has_read(work: &Workplace, chunk: usize) -> bool {
    work.length("rejected.jsonl") > 0 && work.text("rejected.jsonl").contains(&format!("end of chunk {chunk}"))
}

/// What a run of all chunks in one go leaves.
fn expected(chunks: &[String]) -> Vec<u8> {
    let work = Workplace::new();
    work.write("clicks.motif", CLICKS);
    work.write("clicks.jsonl", chunks.concat());
    run(&config(&work, 1));
    work.read("matches.jsonl")
}

#[test]
fn after_a_stop_only_what_was_held_back_is_read_again() {
    let chunks = chunks(11);
    let expected = expected(&chunks);
    for workers in [1, 2, 3] {
        let work = Workplace::new();
        work.write("clicks.motif", CLICKS);
        work.write("clicks.jsonl", "");
        let mut config = config(&work, workers);
        bind(&mut config, &work, "clicks", AtEnd::Follow);
        let mut text = String::new();
        for (place, chunk) in chunks.iter().enumerate() {
            let from = if place == 0 { 0 } else { rewind(&committed(&work)) };
            work.append("clicks.jsonl", chunk);
            text += chunk;
            let summary = run_until(&config, || has_read(&work, place));
            assert!(summary.stopped);
            assert_eq!(summary.records_read, records_from(&text, from), "{workers} workers, chunk {place}");
            let position = committed(&work);
            assert_eq!(position.next_offset, text.lines().count() as u64, "everything is committed");
            let held = position.next_offset - rewind(&position);
            assert!(0 < held && held < HELD_LINES_MAX, "{held} lines are read again");
            assert_eq!(summary.keys_by_worker.len(), workers);
            assert!(summary.keys_by_worker.iter().all(|keys| *keys > 0), "every worker has keys: {:?}", summary.keys_by_worker);
        }
        let from = rewind(&committed(&work));
        bind(&mut config, &work, "clicks", AtEnd::Finish);
        assert_eq!(run(&config).records_read, records_from(&text, from));
        assert!(work.read("matches.jsonl") == expected, "{workers} workers");
    }
}

/// Runs in a thread of its own and asks it to stop once this is so.
fn run_until(config: &Config, mut is_so: impl FnMut() -> bool) -> Summary {
    let stop = StopSignal::default();
    let program = program(config);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| embedded::run(&program, config, EndOfInput::KeepsOpen, &stop));
        let deadline = Instant::now() + LIMIT;
        while !is_so() && !running.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        stop.ask();
        running.join().expect("no panic").expect("runs until it is stopped")
    })
}

#[test]
fn after_a_kill_what_was_committed_is_not_read_again() {
    let chunks = chunks(12);
    let expected = expected(&chunks);
    for workers in [1, 2] {
        let work = Workplace::new();
        work.write("clicks.motif", CLICKS);
        work.write("clicks.jsonl", "");
        work.write(
            "motif.toml",
            format!(
                "[service]\npatterns = [\"clicks.motif\"]\nstate = \"state\"\nepoch_ms = 1\ndurability = \"process\"\nworkers = {workers}\n\
                 [streams.clicks]\nfile = \"clicks.jsonl\"\nfollow = true\n\
                 [output]\nfile = \"matches.jsonl\"\nlate_file = \"late.jsonl\"\nrejected_file = \"rejected.jsonl\"\n"
            ),
        );
        let mut running = start(&mut work.motif("run --config motif.toml"));
        let mut ends = Vec::new();
        for (place, chunk) in chunks.iter().enumerate().take(3) {
            work.append("clicks.jsonl", chunk);
            running.wait_until("a chunk is read", || has_read(&work, place));
            ends.push(chunks[..=place].concat().lines().count() as u64);
        }
        running.kill();
        assert_eq!(running.end().code, None);
        let position = committed(&work);
        // The last chunk's lines may be out and not committed; those of the one before it are committed.
        assert!(position.next_offset >= ends[1], "{} of {ends:?}", position.next_offset);
        assert!(position.next_offset - rewind(&position) < HELD_LINES_MAX);
        work.append("clicks.jsonl", &chunks[3]);
        let mut config = motif::config::load(&work.path("motif.toml")).expect("a configuration");
        bind(&mut config, &work, "clicks", AtEnd::Finish);
        assert_eq!(run(&config).records_read, records_from(&chunks.concat(), rewind(&position)), "{workers} workers");
        assert!(work.read("matches.jsonl") == expected, "{workers} workers");
    }
}

/// A stream that has ended holds the other back; beyond half of what may be held its end is taken for good, and nothing is committed from there on.
#[test]
fn what_an_ended_file_holds_back_is_bounded_and_changes_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let clicks = made_up::lines(&mut random, 30_000, 0, 300);
    let orders = made_up::lines(&mut random, 1_000, 60_000, 500);
    let mut outputs = Vec::new();
    for (workers, held_events_max) in [(1, 1_000_000), (1, 12_000), (2, 12_000)] {
        let work = Workplace::new();
        for (name, text) in [("clicks.motif", CLICKS), ("orders.motif", ORDERS), ("clicks.jsonl", &clicks), ("orders.jsonl", &orders)] {
            work.write(name, text);
        }
        let mut config = config(&work, workers);
        config.patterns.push(work.path("orders.motif"));
        bind(&mut config, &work, "orders", AtEnd::Finish);
        config.limits.held_events_max = held_events_max;
        let first = run(&config);
        assert!(!first.rejected.contains_key("held_full"), "{:?}", first.rejected);
        let position = committed(&work);
        assert_eq!(position.next_offset == clicks.lines().count() as u64, held_events_max == 1_000_000, "sealed or not");
        let after_one = work.read("matches.jsonl");
        run(&config);
        assert!(work.read("matches.jsonl") == after_one, "the same again");
        outputs.push(["matches.jsonl", "late.jsonl", "rejected.jsonl"].map(|name| work.read(name)));
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}
