//! State on its way to the store and back: entries made of what changed, written in one batch; all of it; read again.
//!
//! The time of the calling thread: what RocksDB does in threads of its own comes on top.

use motif::engine::Change;
use motif::ports::{StateStore, WriteBatch};
use motif::store::{Durability, Rocks, RocksOptions};

use super::super::Plan;
use super::super::measure::{Spread, counted, shown, timed};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, fields};
use super::rig::Rig;
use super::{SECTION, sized};

const LIVE_KEYS: u64 = 1_000_000;
const DIRTY_KEYS: u64 = 10_000;
const PAIR: &str = "match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 1d";

/// CPU nanoseconds for each key.
#[derive(Default)]
struct Figures {
    checkpoint: Vec<f64>,
    checkpoint_entries: Vec<f64>,
    commit: Vec<f64>,
    commit_entries: Vec<f64>,
    restore: Vec<f64>,
    entry_bytes: f64,
}

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let (live, dirty) = (sized(plan, LIVE_KEYS), sized(plan, DIRTY_KEYS));
    let checkpoint = format!("checkpoint of {} keys, CPU ns per key", counted(LIVE_KEYS));
    let commit = format!("commit of {} changed keys of {}, CPU ns per key", counted(DIRTY_KEYS), counted(LIVE_KEYS));
    let restore = format!("restore of {} keys, CPU ns per key", counted(LIVE_KEYS));
    if ![&checkpoint, &commit, &restore].into_iter().any(|name| plan.wants(SECTION, name)) {
        return;
    }
    let mut figures = Figures::default();
    for _ in 0..plan.runs {
        figures.measure(live, dirty);
    }
    let of = |figures: &[f64]| Spread::of(figures.iter().copied());
    let entries = |figures: &[f64]| format!("{} of it for making the entries", shown(of(figures).median));
    let bytes = format!("{} bytes per entry", shown(figures.entry_bytes));
    table.add(Row::new(checkpoint, of(&figures.checkpoint)).beside(entries(&figures.checkpoint_entries)).beside(bytes));
    table.add(Row::new(commit, of(&figures.commit)).beside(entries(&figures.commit_entries)));
    table.add(Row::new(restore, of(&figures.restore)));
}

impl Figures {
    fn measure(&mut self, live: u64, dirty: u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Rocks::open(&folder.path().join("state"), RocksOptions { durability: Durability::Process }).expect("a store");
        let mut rig = Rig::of(PAIR).keeping_changes();
        rig.feed(live, |number| Fields { k: number.cast_signed(), typ: 0, amt: 500, at_ms: FIRST_MS + (number / 10).cast_signed() });
        let last_ms = FIRST_MS + (live / 10).cast_signed();
        pass(&mut rig, last_ms);
        let (entries, whole, changes) = written(&mut rig, &store);
        assert_eq!(changes.len() as u64, live, "all keys changed");
        self.checkpoint_entries.push(entries / live as f64);
        self.checkpoint.push(whole / live as f64);
        self.entry_bytes = changes.iter().map(|change| change.key.len() + change.value.as_ref().map_or(0, Vec::len)).sum::<usize>() as f64 / live as f64;
        rig.feed(dirty, |number| Fields { typ: 0, at_ms: last_ms + 1, ..fields(number, live, 10) });
        pass(&mut rig, last_ms + 1);
        let (entries, whole, changes) = written(&mut rig, &store);
        let changed = changes.len() as f64;
        self.commit_entries.push(entries / changed);
        self.commit.push(whole / changed);
        self.restore.push(read_again(&rig, &store, live));
    }
}

/// Lets time pass beyond an instant: until then, what came at it is held.
fn pass(rig: &mut Rig, instant_ms: i64) {
    rig.feed(1, |_| Fields { k: 0, typ: 9, amt: 0, at_ms: instant_ms + 1 });
}

/// CPU nanoseconds for making the entries, for that and writing them, and the entries.
fn written(rig: &mut Rig, store: &Rocks) -> (f64, f64, Vec<Change>) {
    let mut changes = Vec::new();
    let (entries_ns, ()) = timed(|| rig.engine.take_changes(&mut changes));
    let mut batch = WriteBatch::default();
    for Change { key, value } in changes.clone() {
        match value {
            Some(value) => batch.puts.push((key, value)),
            None => batch.deletes.push(key),
        }
    }
    let (write_ns, written) = timed(|| store.write(batch));
    written.expect("written");
    (entries_ns, entries_ns + write_ns, changes)
}

fn read_again(rig: &Rig, store: &Rocks, live: u64) -> f64 {
    let positions = rig.engine.positions();
    let mut other = Rig::of(PAIR);
    let (spent_ns, ()) = timed(|| {
        let mut entries = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            entries.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        };
        store.scan(&[], &[0xFF; 32], &mut visit).expect("read");
        other.engine.restore(&positions, entries.iter().map(|(key, value)| (&key[..], &value[..]))).expect("whole");
    });
    spent_ns / live as f64
}
