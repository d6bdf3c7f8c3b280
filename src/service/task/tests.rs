//! What time brings at once comes piece by piece, and comes to the same; what a task leaves is memory only.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::engine::{Effect, Engine, EngineOptions, Input};
use crate::language::{Source, compile};
use crate::ports::WriteBatch;
use crate::service::state::put_changes;
use crate::service::waiting::MATCHES_WAITING_MAX;
use crate::store::Memory;

const SEEDS: u64 = 30;

/// Something comes out of partial matches whose time is up: for many at one instant, and for many of one key.
const PATTERNS: &str = "
    stream s { k: int  n: int  at: timestamp  time at }
    pattern gone { from s by k  match a: s then not b: s for 1h  skip none }
    pattern single { from s by k  match a: s then b: s where n == a.n within 2h  skip none  on timeout emit }
    pattern of_all { from s  match a: s where k < 100 then not b: s where n == a.n for 90m  skip none }
    pattern silent { from s by k  match a: s then b: s within 3h  skip none }
";

fn program(text: &str) -> Arc<Program> {
    let compiled = compile(&[Source { path: "p.motif".to_owned(), text: text.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

/// Many events in a minute, then one a day later, and now and then one more.
fn records(random: &mut StdRng) -> Vec<String> {
    let mut at_ms = 1_700_000_000_000_u64;
    let events = random.random_range(200..800);
    let mut records = Vec::new();
    for n in 0..events {
        at_ms += if n == events - 5 { 86_400_000 } else { random.random_range(0..200) };
        let key = if random.random_ratio(1, 4) { 7 } else { random.random_range(0..400) };
        records.push(format!("{{\"k\":{key},\"n\":{n},\"at\":{at_ms}}}"));
    }
    records
}

fn batch(records: &[String], from: usize, to: usize) -> RecordBatch {
    let mut batch = RecordBatch::new(StreamId(0), 0);
    for (offset, text) in (0..).zip(records).skip(from).take(to - from) {
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: text.as_bytes(), full_bytes: text.len() as u64 });
    }
    batch
}

fn options(shards: usize) -> TaskOptions {
    TaskOptions {
        shards,
        runs_per_key_max: u64::MAX,
        matches_per_event_max: u64::MAX,
        ready_keys_max: 1_000,
        packed_keys_max: 1_000,
        scratch: None,
        held_events_max: 1_000_000,
        reference: EventTime::from_micros(0),
        ahead_max: TimeSpan::from_micros(i64::MAX),
        strictness: Strictness::Stop,
        set_aside: SetAsideForm::Lines,
        streams: BTreeMap::new(),
        rekeying: None,
    }
}

fn told(matches: Vec<Match>) -> impl Iterator<Item = String> {
    matches.into_iter().map(|found| format!("{} {:?} at {}: {:?}", found.pattern.name, found.kind, found.at, found.id))
}

/// Everything at once.
fn found_by_the_engine(program: &Program, records: &[String]) -> Vec<String> {
    let mut engine = Engine::new(program, EngineOptions::default());
    let mut decoder = Decoder::new(&program.schema, StreamId(0), DecodeOptions::default());
    let mut inputs = Vec::new();
    for (offset, text) in (0..).zip(records) {
        let mut event = Event::empty();
        let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: text.as_bytes(), full_bytes: text.len() as u64 };
        decoder.decode_text_into(&record, None, 0, &mut event).expect("as declared");
        inputs.push(Input::Arrive { event, position: offset, next_position: offset + 1 });
    }
    inputs.push(Input::End);
    let mut effects = Vec::new();
    engine.apply_batch(inputs, &mut effects);
    told(effects.into_iter().filter_map(|effect| if let Effect::Matched(found) = effect { Some(found) } else { None }).collect()).collect()
}

#[test]
fn what_time_brings_at_once_comes_piece_by_piece_and_to_the_same() {
    let program = program(PATTERNS);
    let mut epochs_behind = 0;
    for seed in 1..=SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let records = records(&mut random);
        let expected = found_by_the_engine(&program, &records);
        assert!(expected.len() > 400, "something comes out");
        let options = options(random.random_range(1..4));
        let new_task = || Task::new(&program, &options, &[(StreamId(0), 0)]);
        let now = ProcessingTime::from_micros(0);
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let (mut task, mut next, mut kept, mut found, mut has_ended) = (new_task(), 0, 0, Vec::new(), false);
        while !has_ended || task.is_behind() {
            if !task.is_behind() && next == records.len() {
                task.end();
                has_ended = true;
            } else if !task.is_behind() || next < kept || random.random_ratio(1, 4) && next < records.len() {
                let to = (next + random.random_range(1..100)).min(records.len());
                task.apply(&batch(&records, next, to), now).expect("as declared");
                next = to;
            } else {
                task.go_on();
            }
            // As in the service, an epoch ends only once what was held is there again.
            if next < kept {
                continue;
            }
            epochs_behind += u32::from(task.is_behind());
            let epoch = task.take_epoch().expect("in memory");
            assert!(epoch.matches.len() < 20 * MATCHES_WAITING_MAX, "seed {seed}: {} matches in an epoch", epoch.matches.len());
            found.extend(told(epoch.matches));
            let positions = task.positions();
            let mut changes = WriteBatch::default();
            put_changes(task.take_changes(), &mut changes);
            store.write(changes).expect("in memory");
            kept = next;
            if !has_ended && random.random_ratio(1, 5) {
                task = new_task();
                task.restore(&store, &positions).expect("just written");
                let position = positions.of("s", 0).expect("it is read");
                next = usize::try_from(position.rewind.map_or(position.next_offset, |rewind| rewind.offset)).expect("small");
                task.tick(now);
            }
        }
        assert_eq!(found, expected, "seed {seed}, {} shards", options.shards);
    }
    assert!(epochs_behind > 100, "{epochs_behind} epochs ended in the middle");
}

/// The scratch store that there is.
#[derive(Debug)]
struct OneScratch(Arc<dyn StateStore>);

impl ScratchStores for OneScratch {
    fn make(&self) -> Result<Arc<dyn StateStore>, StoreError> {
        Ok(self.0.clone())
    }
}

/// Whoever is next opens them.
#[test]
fn what_a_task_leaves_keeps_no_store_open() {
    let program = program("stream s { k: int  at: timestamp  time at }  pattern p { from s by k  match a: s then b: s where k == 0 within 3h  skip none }");
    let now = ProcessingTime::from_micros(0);
    let records: Vec<String> = (1..=4_000).map(|k| format!("{{\"k\":{k},\"at\":{}}}", 1_700_000_000_000_u64 + k)).collect();
    let store: Arc<dyn StateStore> = Arc::new(Memory::default());
    let mut task = Task::new(&program, &options(1), &[(StreamId(0), 0)]);
    task.apply(&batch(&records, 0, 2_000), now).expect("as declared");
    let mut changes = WriteBatch::default();
    put_changes(task.take_changes(), &mut changes);
    store.write(changes).expect("in memory");
    let positions = task.positions();
    drop(task.into_memory());

    // It has state that it has not taken up, and keys that have left memory.
    let scratch: Arc<dyn StateStore> = Arc::new(Memory::default());
    let options = TaskOptions { ready_keys_max: 10, packed_keys_max: 10, scratch: Some(Arc::new(OneScratch(scratch.clone()))), ..options(1) };
    let mut task = Task::new(&program, &options, &[(StreamId(0), 0)]);
    task.restore_as_needed(&store, &positions).expect("just written");
    for from in [2_000, 3_000] {
        task.apply(&batch(&records, from, from + 1_000), now).expect("as declared");
        // Only what was told leaves memory.
        drop(task.take_changes());
    }
    let open = || [Arc::strong_count(&store), Arc::strong_count(&scratch)];
    assert!(task.is_restoring() && task.counters().keys_spilled > 0, "{:?}", task.counters());
    drop(options);
    assert!(open().iter().all(|holders| *holders > 1));
    let memory = task.into_memory();
    assert_eq!(open(), [1, 1]);
    drop(memory);
}

/// Once it has been seen how long they are; of both, fewer wait than of what is short.
#[test]
fn of_what_is_long_less_waits() {
    const TEXT_BYTES: usize = 5_000;
    const EVERY: &str = "stream s { k: int  text: string  at: timestamp  time at }
        pattern each { from s by k  match a: s }
        pattern open { from s by k  match a: s then b: s where text == \"none\" within 30d }";
    let records: Vec<String> =
        (0..2_000_u64).map(|n| format!("{{\"k\":{n},\"text\":\"{}\",\"at\":{}}}", "x".repeat(TEXT_BYTES), 1_700_000_000_000 + n)).collect();
    for (pattern, changes_of_epoch, matches_of_epoch) in [("each", 0, 3 * MATCH_BYTES_WAITING_MAX / TEXT_BYTES), ("open", 25, 0)] {
        let text = EVERY.lines().filter(|line| line.contains("stream") || line.contains(pattern)).collect::<String>();
        let program = program(&text);
        for shards in [1, 3] {
            let mut task = Task::new(&program, &options(shards), &[(StreamId(0), 0)]);
            let (mut matches, mut changes, mut epochs) = (0, 0, 0);
            for from in (0..records.len()).step_by(100) {
                task.apply(&batch(&records, from, from + 100), ProcessingTime::from_micros(0)).expect("as declared");
                loop {
                    let (found, changed) = (task.take_epoch().expect("in memory").matches.len(), task.take_changes().len());
                    (matches, changes, epochs) = (matches + found, changes + changed, epochs + 1);
                    if epochs > 40 {
                        assert!(found <= matches_of_epoch && changed <= changes_of_epoch, "{pattern}, {shards} shards: {found} matches, {changed} changes");
                    }
                    if !task.is_behind() {
                        break;
                    }
                    task.go_on();
                }
            }
            assert_eq!((matches, changes), if pattern == "each" { (1_999, 0) } else { (0, 1_999) }, "{pattern}, {shards} shards: the last event is held");
        }
    }
}
