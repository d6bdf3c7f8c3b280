//! Stores: the one on disk and the one in memory do the same, whatever is done to them; what was written is there after opening again; and a folder
//! that is not ours is left alone.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many lists of actions to try.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use motif::engine::{ColdKey, ColdKeys};
use motif::event::EventTime;
use motif::ports::{StateStore, StoreError, WriteBatch};
use motif::service::spill::Spill;
use motif::store::{Durability, Memory, Rocks, RocksOptions, ScratchFolder};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tempfile::tempdir;

use crate::random_cases::RandomCases;

const CASES: u64 = 24;

fn open(path: &Path) -> Result<Rocks, StoreError> {
    Rocks::open(path, RocksOptions { durability: Durability::Process })
}

fn opened(path: &Path) -> Rocks {
    open(path).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(path: &Path) -> String {
    match open(path) {
        Ok(_) => panic!("{} was taken", path.display()),
        Err(error) => error.to_string(),
    }
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The first entries of a range.
fn scan(store: &dyn StateStore, start: &[u8], end: &[u8], entries_max: usize) -> Entries {
    let mut found = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < entries_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    store.scan(start, end, visit).expect("a store that works");
    found
}

fn everything(store: &dyn StateStore) -> Entries {
    scan(store, &[], &[0xff; 9], usize::MAX)
}

/// Few bytes, so that keys meet and are each other's beginnings.
fn key(random: &mut ChaCha8Rng) -> Vec<u8> {
    (0..random.random_range(0..4)).map(|_| [0, 1, 0x7f, 0xff][random.random_range(0..4)]).collect()
}

fn batch(random: &mut ChaCha8Rng) -> WriteBatch {
    WriteBatch {
        delete_ranges: (0..random.random_range(0..2)).map(|_| (key(random), key(random))).collect(),
        deletes: (0..random.random_range(0..4)).map(|_| key(random)).collect(),
        puts: (0..random.random_range(0..12)).map(|_| (key(random), vec![random.random(); random.random_range(0..20)])).collect(),
    }
}

#[test]
fn disk_and_memory_do_the_same() {
    let cases = RandomCases::asked_for(CASES);
    for case in 0..cases.count {
        let random = &mut cases.random_of(case);
        let folder = tempdir().expect("a folder");
        let memory = Memory::default();
        let mut rocks = opened(folder.path());
        for _ in 0..random.random_range(1..40) {
            match random.random_range(0..12) {
                0 => {
                    drop(rocks);
                    rocks = opened(folder.path());
                }
                1 | 2 => {
                    let key = key(random);
                    assert_eq!(rocks.get(&key).expect("read"), memory.get(&key).expect("read"), "{key:?}");
                }
                3..6 => {
                    let (start, end, entries_max) = (key(random), key(random), random.random_range(1..5));
                    assert_eq!(scan(&rocks, &start, &end, entries_max), scan(&memory, &start, &end, entries_max), "{start:?}..{end:?}");
                }
                _ => {
                    let batch = batch(random);
                    memory.write(batch.clone()).expect("written");
                    rocks.write(batch).expect("written");
                }
            }
            assert_eq!(everything(&rocks), everything(&memory));
        }
    }
}

#[test]
fn a_batch_deletes_ranges_then_keys_then_puts() {
    let folder = tempdir().expect("a folder");
    let stores: [&dyn StateStore; 2] = [&opened(folder.path()), &Memory::default()];
    for store in stores {
        let put = |keys: &[&str]| keys.iter().map(|key| (key.as_bytes().to_vec(), b"old".to_vec())).collect();
        store.write(WriteBatch { puts: put(&["a", "b", "c", "d"]), ..WriteBatch::default() }).expect("written");
        let batch = WriteBatch {
            delete_ranges: vec![(b"a".to_vec(), b"c".to_vec()), (b"z".to_vec(), b"a".to_vec())],
            deletes: vec![b"d".to_vec(), b"b".to_vec(), b"nothing".to_vec()],
            puts: vec![(b"b".to_vec(), b"new".to_vec()), (b"b".to_vec(), b"newer".to_vec())],
        };
        store.write(batch).expect("written");
        let expected = [(b"b".to_vec(), b"newer".to_vec()), (b"c".to_vec(), b"old".to_vec())];
        assert_eq!(everything(store), expected);
    }
}

#[test]
fn long_scans_see_every_entry_in_order_and_may_use_the_store() {
    let folder = tempdir().expect("a folder");
    let stores: [&dyn StateStore; 2] = [&opened(folder.path()), &Memory::default()];
    for store in stores {
        let puts = (0..1000_u32).map(|number| (number.to_be_bytes().to_vec(), vec![1])).collect();
        store.write(WriteBatch { puts, ..WriteBatch::default() }).expect("written");
        let mut next = 0_u32;
        let visit = &mut |key: &[u8], _: &[u8]| {
            assert_eq!(key, next.to_be_bytes());
            next += 1;
            store.write(WriteBatch { deletes: vec![key.to_vec()], ..WriteBatch::default() }).expect("written");
            ControlFlow::Continue(())
        };
        store.scan(&[], &[0xff; 5], visit).expect("scanned");
        assert_eq!(next, 1000);
        assert!(everything(store).is_empty());
    }
}

#[test]
fn batches_synced_to_the_disk_are_read_again() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("made/on/the/way");
    let value = vec![7; 1 << 20];
    for number in 0..20_u8 {
        let store = Rocks::open(&path, RocksOptions { durability: Durability::Power }).unwrap_or_else(|error| panic!("{error}"));
        store.write(WriteBatch { puts: vec![(vec![number], value.clone())], ..WriteBatch::default() }).expect("written");
    }
    let store = opened(&path);
    assert_eq!(everything(&store), (0..20).map(|number| (vec![number], value.clone())).collect::<Entries>());
}

#[test]
fn a_folder_in_use_is_refused_until_it_is_free() {
    let folder = tempdir().expect("a folder");
    let store = opened(folder.path());
    assert!(matches!(open(folder.path()), Err(StoreError::InUse { .. })));
    assert!(refused(folder.path()).ends_with("is in use by another process"));
    drop(store);
    opened(folder.path());
}

#[test]
fn a_folder_that_is_something_elses_is_refused_and_left_alone() {
    let folder = tempdir().expect("a folder");
    std::fs::write(folder.path().join("thesis.odt"), "years of work").expect("written");
    let sentence = refused(folder.path());
    assert!(sentence.contains("it holds thesis.odt and is not a state folder of motif"), "{sentence}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("read").map(|entry| entry.expect("read").file_name()).collect();
    assert_eq!(names, ["thesis.odt"]);

    let file = folder.path().join("thesis.odt");
    assert!(refused(&file).contains("thesis.odt"), "a file is no folder");
}

#[test]
fn a_start_that_was_killed_before_the_marker_was_whole_is_no_obstacle() {
    let folder = tempdir().expect("a folder");
    std::fs::write(folder.path().join("MOTIF-STATE"), "").expect("written");
    opened(folder.path());
}

#[test]
fn a_format_of_another_version_is_refused_by_name() {
    let folder = tempdir().expect("a folder");
    std::fs::write(folder.path().join("MOTIF-STATE"), "99\n").expect("written");
    let sentence = refused(folder.path());
    assert!(sentence.contains("it is of format \"99\""), "{sentence}");
}

/// What is laid on the disk to save memory is there until it is taken, by its key or by its time.
#[test]
fn cold_keys_are_taken_once_by_key_or_by_time() {
    let cases = RandomCases::asked_for(4);
    let folder = tempdir().expect("a folder");
    for case in 0..cases.count {
        let random = &mut cases.random_of(case);
        let mut disk: Vec<Spill> = Spill::of_shards(Arc::new(ScratchFolder::beside(folder.path())), 2).collect();
        let mut model = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..300 {
            let (shard, table) = (random.random_range(0..2), random.random_range(0..2));
            let (disk, model) = (&mut disk[shard], &mut model[shard]);
            match random.random_range(0..4) {
                0 | 1 => {
                    let mut keys: Vec<ColdKey> = (0..random.random_range(0..5)).map(|_| cold_key(random)).collect();
                    keys.sort_by(|one, other| one.key().cmp(other.key()));
                    keys.dedup_by(|one, other| one.key() == other.key());
                    keys.retain(|cold| !model.contains_key(&(table, cold.key().to_vec())));
                    disk.put(table, &keys).expect("put");
                    model.extend(keys.into_iter().map(|cold| ((table, cold.key().to_vec()), cold)));
                }
                2 => {
                    let cold = cold_key(random);
                    assert_eq!(disk.take(table, cold.key()).expect("taken"), model.remove(&(table, cold.key().to_vec())));
                }
                _ => {
                    let mut by_time: Vec<ColdKey> = model.iter().filter(|((of, _), _)| *of == table).map(|(_, cold)| cold.clone()).collect();
                    by_time.sort_by(|one, other| (one.timer, one.key()).cmp(&(other.timer, other.key())));
                    let from = by_time.first().map_or(EventTime::BEGINNING, |first| first.timer);
                    let (until, most) = (instant(random).max(from), random.random_range(1..6));
                    let due = by_time.iter().take(most).take_while(|cold| cold.timer <= until).count();
                    let expected: Vec<ColdKey> = by_time.drain(..due).collect();
                    let mut taken = Vec::new();
                    let least = disk.take_due(table, from..=until, most, &mut taken).expect("taken");
                    assert_eq!((&taken, least), (&expected, by_time.first().map_or(EventTime::END, |first| first.timer)));
                    taken.iter().for_each(|cold| drop(model.remove(&(table, cold.key().to_vec()))));
                }
            }
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0, "gone with whoever had them");
}

fn instant(random: &mut ChaCha8Rng) -> EventTime {
    [EventTime::BEGINNING, EventTime::from_micros(-1), EventTime::from_micros(0), EventTime::from_micros(255), EventTime::from_micros(256), EventTime::END]
        [random.random_range(0..6)]
}

/// As it is packed: a byte, the length of the key, the key, and more.
fn cold_key(random: &mut ChaCha8Rng) -> ColdKey {
    let key = key(random);
    let rest = vec![random.random(); random.random_range(0..20)];
    ColdKey { timer: instant(random), bytes: [&[0, u8::try_from(key.len()).expect("short")], &key[..], &rest].concat().into() }
}
