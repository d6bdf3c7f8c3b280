use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::config::{Config, Origin, StreamConfig};
use crate::engine::Match;
use crate::language::{Source, compile};
use crate::objects::StoredObjects;
use crate::ports::{EntryVisitor, ObjectError, ObjectInfo, Objects, Record, ScratchStores};
use crate::service::topics::bases::MachineBases;
use crate::service::topics::checkpoints::Checkpoints;
use crate::service::topics::pattern_set::PatternSet;
use crate::store::Memory;

const PATTERN: &str = "
stream sent { account: int v: int at: timestamp time at }
pattern p { from sent by account match a: sent where v == 1 then b: sent where v == 2 within 2s }
";

const INPUT: InputPartition = InputPartition { stream: StreamId(0), partition: 0 };

/// A task that goes on from what is stored.
fn task_of(patterns: &str, store: &Arc<dyn StateStore>) -> Assigned {
    let source = || Source { path: "p.motif".to_owned(), text: patterns.to_owned() };
    let compiled = compile(&[source()]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    let mut config = Config::one_shot(Vec::new());
    config.streams = [("sent".to_owned(), StreamConfig::from_origin(Origin::Topic("sent".to_owned())))].into();
    let evaluation = Evaluation::new(&Arc::new(compiled.program), PatternSet::new(&[source()], &config));
    let stored = Meta::read(&**store).expect("in memory");
    let parts = Parts {
        number: 0,
        evaluation: Arc::new(evaluation),
        store: store.clone(),
        meta: stored.unwrap_or_else(|| Meta { format: state::FORMAT, ..Meta::default() }),
        inputs: vec![TaskInput { name: "sent".to_owned(), topic: "sent".to_owned(), source: INPUT, begin: 0 }],
        strictness: Strictness::SetAside,
        memory: KeysInMemory { ready_keys_max: 50, packed_keys_max: 100 },
        restoring: Restoring::Meanwhile,
        reset: false,
        stopwatch: Stopwatch::start(),
    };
    Assigned::restore(parts).expect("in memory")
}

fn store() -> Arc<dyn StateStore> {
    Arc::new(Memory::default())
}

/// Records from an offset on: account, what it does, and the second.
fn batch(first_offset: u64, events: impl IntoIterator<Item = (u64, u64, u64)>) -> RecordBatch {
    let mut batch = RecordBatch::new(INPUT.stream, INPUT.partition);
    for (offset, (account, v, second)) in (first_offset..).zip(events) {
        let bytes = format!("{{\"account\":{account},\"v\":{v},\"n\":{},\"at\":{}}}", offset * 7 % 40, second * 1_000);
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: bytes.as_bytes(), full_bytes: bytes.len() as u64 });
    }
    batch
}

const NOW: ProcessingTime = ProcessingTime::from_micros(0);

/// Ends an epoch in which something was read: which events each match has chosen, its id and its time; and the record.
fn end_epoch(task: &mut Assigned) -> (Vec<(Vec<u64>, u128, EventTime)>, EpochRecord) {
    let part = task.take_part(NOW, NOW, Quiet::Counts).expect("in memory").expect("something was read");
    let offsets = |found: &Match| found.chosen.iter().map(|(_, event)| event.offset).collect();
    let found = part.epoch.matches.iter().map(|found| (offsets(found), found.id, found.at)).collect();
    let record = part.record.clone();
    task.keep(part, &record, None).expect("in memory");
    (found, record)
}

/// Where time jumps over more keys than one call lets go of, how many of them an epoch's changes tell of depends on how often the task was called; the digest must not.
#[test]
fn a_repeated_epoch_tells_of_no_other_state_however_often_the_task_was_called() {
    const JUMP: u64 = STATE_DIGEST_EPOCHS;
    for (accounts, calls) in [(100, 0), (200_000, 0), (200_000, 1), (200_000, 9)] {
        let mut original = task_of(PATTERN, &store());
        let (mut epochs, mut offset) = (Vec::new(), 0);
        for number in 1..=2 * JUMP {
            let (accounts, second) = match number {
                14 => (accounts, number),
                _ if number < JUMP => (1, number),
                _ => (3, 3_600 + number),
            };
            let batch = batch(offset, (0..accounts).map(|account| (account, 1, second)));
            offset += accounts;
            original.apply(&batch, None, NOW).expect("not strict");
            (0..calls).for_each(|_| original.tick(NOW));
            epochs.push((batch, end_epoch(&mut original).1));
        }
        let (mut repeated, mut told) = (task_of(PATTERN, &store()), 0);
        for (batch, record) in &epochs {
            repeated.begin_repeating(record);
            repeated.apply(batch, None, NOW).expect("not strict");
            let part = repeated.take_repeated(record).expect("in memory").expect("all is there");
            assert!(!part.record.tells_of_other_state(record), "{accounts} accounts, {calls} calls, epoch {}", record.epoch);
            told += usize::from(part.record.state_digest.is_some() && record.state_digest.is_some());
            repeated.keep(part, record, None).expect("in memory");
        }
        assert_eq!(told, if accounts == 100 { 2 } else { 1 }, "it is told where nothing is overdue");
    }
}

/// As a replay, which repeats no more than that epoch, has let go of them as well.
#[test]
fn what_an_epoch_left_overdue_leaves_the_store_although_nothing_more_comes() {
    let store = store();
    let mut task = task_of(PATTERN, &store);
    for (offset, account, second) in [(0, 1, 1), (1, 2, 1), (2, 3, 2)] {
        task.apply(&batch(offset, [(account, 1, second)]), None, NOW).expect("not strict");
        end_epoch(&mut task);
    }
    let mut restarted = task_of(PATTERN, &store);
    let held = restarted.places()[0].1;
    restarted.apply(&batch(held, (held..3).map(|_| (3, 1, 2)).chain([(4, 1, 3_600), (5, 1, 3_601)])), None, NOW).expect("not strict");
    end_epoch(&mut restarted);
    assert!(restarted.had_overdue && restarted.task.is_restoring(), "time has decided nothing of what is not there");
    while restarted.task.restore_some().expect("in memory") {}
    let keys = |store: &Arc<dyn StateStore>| entries(store).len();
    let before = keys(&store);
    restarted.tick(NOW);
    let part = restarted.take_part(NOW, NOW, Quiet::PassedOver).expect("in memory").expect("they are gone");
    let record = part.record.clone();
    restarted.keep(part, &record, None).expect("in memory");
    assert!(!restarted.had_overdue && keys(&store) < before, "{} of {before}", keys(&store));
    restarted.tick(NOW);
    assert!(restarted.take_part(NOW, NOW, Quiet::PassedOver).expect("in memory").is_none(), "once");
}

/// Notes what is written.
#[derive(Debug, Default)]
struct Noting {
    store: Memory,
    written: Mutex<Vec<WriteBatch>>,
}

impl StateStore for Noting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut EntryVisitor<'_>) -> Result<(), StoreError> {
        self.store.scan(start, end, visit)
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.written.lock().expect("one thread").push(batch.clone());
        self.store.write(batch)
    }

    fn copy_to(&self, folder: &Path) -> Result<(), StoreError> {
        self.store.copy_to(folder)
    }

    fn scratch(&self) -> Arc<dyn ScratchStores> {
        self.store.scratch()
    }
}

#[test]
fn what_an_epoch_writes_does_not_grow_with_patterns_to_which_nothing_happens() {
    let written = |others: u64| {
        let other =
            |number: u64| format!("pattern o{number} {{ from sent by account match a: sent where v == {} then b: sent where v == 2 within 2s }}\n", number + 9);
        let patterns = PATTERN.to_owned() + &(0..others).map(other).collect::<String>();
        let noting = Arc::new(Noting::default());
        for restart in 0..2 {
            let mut task = task_of(&patterns, &(noting.clone() as Arc<dyn StateStore>));
            while task.task.restore_some().expect("in memory") {}
            for epoch in restart * 2..=restart * 2 + 1 {
                task.apply(&batch(epoch, [(7, 1, 10 * epoch)]), None, NOW).expect("not strict");
                end_epoch(&mut task);
            }
        }
        let written = noting.written.lock().expect("one thread");
        let entries = |batch: &WriteBatch| (batch.puts.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(), batch.deletes.len(), batch.delete_ranges.len());
        let bytes = |batch: &WriteBatch| batch.puts.iter().map(|(_, value)| value.len()).sum::<usize>();
        written[1..].iter().map(|batch| (entries(batch), bytes(batch))).collect::<Vec<_>>()
    };
    let (alone, among_many) = (written(0), written(1_000));
    assert!(alone.len() == 3 && alone.iter().all(|((keys, _, _), _)| keys.contains(&Meta::KEY[0])));
    for ((entries, bytes), (entries_among, bytes_among)) in alone.into_iter().zip(among_many) {
        assert_eq!(entries, entries_among);
        // Digests are written as numbers, of which some have a few digits less.
        assert!(bytes.abs_diff(bytes_among) <= 20, "{bytes} and {bytes_among} bytes");
    }
}

const SEEDS: u64 = 4;

/// All but `quiet` and `silence` end without a word when time runs out; that the one has a key with others does not keep their keys from being restored later.
const SILENT: &str = "
stream sent { account: int v: int n: int at: timestamp time at }
pattern p { from sent by account match a: sent where v == 1 then b: sent where v == 2 within 20s }
pattern p10 { from sent by account match a: sent where v == 1 and n >= 10 then b: sent where v == 2 within 30s skip none }
pattern p20 { from sent by account match a: sent where v == 1 and n >= 20 then b: sent where v == 2 within 30s skip none }
pattern q { from sent by account match a: sent where v == 1 then b+: sent where v == 4 then c: sent where v == 3 within 60s }
pattern busy { from sent by account match a: sent where count(sent over 40s) >= 3 }
pattern rich { from sent by account match a: sent where sum(sent.n over session 40s) > 100 and v == 3 }
pattern told { from sent by account match a: sent where v == 2 then b: sent where v == 2 within 30s suppress 15s by account }
pattern quiet { from sent by n match a: sent where v == 3 then not b: sent where v == 4 for 25s }
pattern silence { from sent by account match a: sent where v == 6 then not b: sent where v == 1 for 25s }
pattern all { from sent match a: sent where v == 5 then b: sent where v == 6 within 10s }
";

/// The events of some hundred accounts, whose state is several kilobytes, and of a few that have so many that what windows count of them lies in segments; time jumps now and then.
fn events(random: &mut StdRng, second: &mut u64) -> Vec<(u64, u64, u64)> {
    let mut event = |random: &mut StdRng| {
        *second += u64::from(random.random_ratio(1, 4)) + if random.random_ratio(1, 400) { 70 } else { 0 };
        let accounts = if random.random_ratio(1, 4) { 5 } else { 300 };
        (random.random_range(0..accounts), [1, 1, 1, 2, 3, 4, 5, 6][random.random_range(0..8)], *second)
    };
    (0..random.random_range(1..40)).map(|_| event(random)).collect()
}

fn entries(store: &Arc<dyn StateStore>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store.scan(b"s", b"t", visit).expect("in memory");
    entries
}

#[test]
fn a_task_that_goes_on_before_all_its_state_is_there_finds_what_it_finds_without_a_restart() {
    (0..SEEDS).for_each(compare_with_one_that_is_never_restarted);
}

fn compare_with_one_that_is_never_restarted(seed: u64) {
    let random = &mut StdRng::seed_from_u64(seed);
    let (kept, restarted_store) = (store(), store());
    let (mut whole, mut restarted) = (task_of(SILENT, &kept), task_of(SILENT, &restarted_store));
    let (mut sent, mut second, mut matches, mut epochs_meanwhile, mut digests, mut segments) = (Vec::new(), 0, 0, 0, 0, 0);
    for epoch in 1..=600 {
        let new = events(random, &mut second);
        let records = batch(sent.len() as u64, new.iter().copied());
        sent.extend(new);
        let of = |task: &mut Assigned| {
            task.apply(&records, None, NOW).expect("not strict");
            // Where an epoch ends in the middle of what time has brought at once hangs on what the task has seen.
            task.task.catch_up();
            end_epoch(task)
        };
        let ((expected, record), (found, again)) = (of(&mut whole), of(&mut restarted));
        assert_eq!(found, expected, "seed {seed}, epoch {epoch}");
        assert!(!again.tells_of_other_state(&record), "seed {seed}, epoch {epoch}");
        digests += usize::from(again.state_digest.is_some());
        matches += found.len();
        epochs_meanwhile += usize::from(restarted.task.is_restoring());
        if random.random_ratio(1, 30) {
            drop(restarted);
            restarted = task_of(SILENT, &restarted_store);
            let held_from = restarted.places()[0].1;
            let held = sent.iter().skip(usize::try_from(held_from).expect("few")).copied();
            restarted.apply(&batch(held_from, held), None, NOW).expect("not strict");
        } else {
            let parts = random.random_range(0..24);
            (0..parts).for_each(|_| assert!(restarted.task.restore_some().is_ok()));
        }
        if !restarted.task.is_restoring() && !restarted.had_overdue && !whole.had_overdue {
            let (found, expected) = (entries(&restarted_store), entries(&kept));
            let differing: Vec<_> =
                found.iter().filter(|entry| !expected.contains(entry)).chain(expected.iter().filter(|entry| !found.contains(entry))).collect();
            assert!(differing.is_empty(), "seed {seed}, epoch {epoch}, at {second} s: {differing:?}");
            // A version, a key of one number, and the number of a segment.
            segments += found.iter().filter(|(key, _)| whole.meta.logs().iter().any(|log| is_segment(log, key, &found))).count();
        }
    }
    assert!(
        matches > 500 && epochs_meanwhile > 20 && digests > 5 && segments > 100,
        "seed {seed}: {matches} matches, {epochs_meanwhile} epochs before all was there, {digests} digests, {segments} segments"
    );
}

/// Whether the entry lies behind the one of a log of which it is a part.
fn is_segment(log: &str, key: &[u8], all: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let version = u128::from_str_radix(log, 16).expect("in hex").to_be_bytes();
    key[1..].starts_with(&version) && all.iter().any(|(of, _)| of.len() + 8 == key.len() && key.starts_with(of))
}

/// Whether it is met by an event or in its turn: nothing comes out any more, and it is said what cannot be read.
#[test]
fn damaged_state_is_told_also_where_the_task_went_on_before_it_was_there() {
    let accounts = || (0..300).map(|account| (account, 1, 1));
    for is_met in [true, false] {
        let store = store();
        let mut task = task_of(SILENT, &store);
        task.apply(&batch(0, accounts()), None, NOW).expect("not strict");
        task.apply(&batch(300, [(0, 1, 2)]), None, NOW).expect("not strict");
        end_epoch(&mut task);
        let version = task.evaluation.program.patterns.iter().find(|pattern| pattern.name == "p").expect("one of them").version.to_be_bytes();
        let (key, mut value) = entries(&store).into_iter().rfind(|(key, _)| key[1..].starts_with(&version)).expect("some");
        *value.last_mut().expect("bytes") ^= 1;
        store.write(WriteBatch { puts: vec![(key, value)], ..WriteBatch::default() }).expect("in memory");
        let mut task = task_of(SILENT, &store);
        let met = if is_met { accounts().collect() } else { vec![(0, 1, 1)] };
        task.apply(&batch(300, met.into_iter().map(|(account, v, _)| (account, v, 2)).chain([(0, 1, 3)])), None, NOW).expect("not strict");
        if is_met {
            let failure = task.take_part(NOW, NOW, Quiet::Counts).map(drop).expect_err("damaged").to_string();
            assert!(failure.contains("the stored state of a key of pattern"), "{failure}");
        }
        let restored = std::iter::from_fn(|| Some(task.task.restore_some())).find(|more| !matches!(more, Ok(true))).expect("it comes to an end");
        let failure = restored.expect_err("damaged").to_string();
        assert!(failure.contains("the stored state of a key of pattern"), "{failure}");
        assert!(task.take_part(NOW, NOW, Quiet::Counts).is_err());
    }
}

/// One process has read on while another, which is to end with what there was before, took over its task.
#[test]
fn a_bounded_run_ends_also_where_what_was_held_lies_beyond_its_end() {
    const END: u64 = 1;
    let events = [(7, 1, 1), (7, 3, 1), (7, 2, 2)];
    let store = store();
    let mut before = task_of(PATTERN, &store);
    before.apply(&batch(0, events), None, NOW).expect("not strict");
    assert!(end_epoch(&mut before).0.is_empty(), "the last event is held");
    let mut bounded = task_of(PATTERN, &store);
    while bounded.task.restore_some().expect("in memory") {}
    assert_eq!(bounded.places(), [(INPUT, 2)], "beyond the end");
    assert!(!bounded.end_if_all_is_there(), "what was held is not there");
    bounded.apply(&batch(2, [events[2], (7, 1, 3)]), Some(END), NOW).expect("not strict");
    assert!(bounded.end_if_all_is_there());
    let (found, record) = end_epoch(&mut bounded);
    assert_eq!((&found[0].0, found.len(), record.inputs[0].next), (&vec![0, 2], 1, 3), "what nobody has read before is left");
    assert!(bounded.is_ended());
}

/// Counts what is asked of it.
struct Counted {
    objects: StoredObjects,
    asked: AtomicUsize,
}

impl Counted {
    fn count(&self) -> &StoredObjects {
        self.asked.fetch_add(1, Ordering::Relaxed);
        &self.objects
    }
}

impl Objects for Counted {
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ObjectError> {
        self.count().create(name, bytes)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        self.count().put(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        self.count().get(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.count().list(folder)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.count().delete(name)
    }
}

#[test]
fn a_state_that_is_among_the_checkpoints_is_not_carried_there_again_and_the_checkpoint_does_not_get_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = Arc::new(Counted { objects: StoredObjects::in_folder(&folder.path().join("objects")).expect("opens"), asked: AtomicUsize::new(0) });
    let (checkpoints, metrics) = (Checkpoints::new(objects.clone(), "g", "one".to_owned()), Arc::new(Metrics::default()));
    let bases = MachineBases::new(&folder.path().join("state"), Some(checkpoints), metrics.clone()).expect("opens");
    let mut task = task_of(PATTERN, &bases.open(0).expect("opens"));
    metrics.task_recovers(0);
    let asked_in_an_interval = |task: &mut Assigned| {
        let before = objects.asked.load(Ordering::Relaxed);
        task.copy_if_due(&bases, Duration::ZERO, &metrics);
        assert_eq!(task.copying.as_ref().expect("asked for").recv(), Err(crossbeam_channel::RecvError), "it is done");
        objects.asked.load(Ordering::Relaxed) - before
    };
    for epoch in 1..=3 {
        task.apply(&batch(epoch - 1, [(1, 1, epoch)]), None, NOW).expect("not strict");
        end_epoch(&mut task);
        assert!(asked_in_an_interval(&mut task) > 0);
        for _ in 0..2 {
            let before = Instant::now();
            assert_eq!(asked_in_an_interval(&mut task), 0);
            let age = metrics.snapshot(NOW).tasks[&0].checkpoint_age;
            assert!(age <= before.elapsed(), "{age:?}");
            assert_eq!((metrics.checkpoint_epoch(0), task.checkpoint_places(Some(epoch))), (Some(epoch), task.store_places()));
        }
    }
}
