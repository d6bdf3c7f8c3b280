//! What lasts from one life of a process to the next: the states on its machine, and the checkpoints that all machines share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use rand::Rng;
use rand::rngs::StdRng;

use super::cluster::Shared;
use crate::ports::{EntryVisitor, ObjectError, ObjectFault, ScratchStores, StateStore, StoreError, WriteBatch};
use crate::service::state::Meta;
use crate::service::topics::bases::Bases;
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::stages::{Stage, TaskName};
use crate::store::Memory;

pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) type Checkpoints = Arc<Mutex<BTreeMap<TaskName, Vec<Checkpoint>>>>;

#[derive(Default)]
pub(super) struct Machine {
    states: BTreeMap<TaskName, Arc<Disk>>,
    /// Earlier ones, to which a loss of power may go back.
    earlier: BTreeMap<TaskName, Entries>,
    /// How many states were found damaged.
    pub found_damaged: u64,
}

/// A state that may go bad where it lies: from some key on it cannot be read any more, which nobody knows before it is read.
#[derive(Default, Debug)]
pub(super) struct Disk {
    memory: Memory,
    bad_from: Mutex<Option<Vec<u8>>>,
    is_found_bad: AtomicBool,
}

#[derive(Clone)]
pub(super) struct Checkpoint {
    pub manifest: Manifest,
    pub entries: Entries,
    pub damaged: bool,
}

/// What a process finds of the tasks of a stage.
pub(super) struct SimulatedBases {
    pub stage: Stage,
    pub process: usize,
    pub machine: Arc<Mutex<Machine>>,
    pub checkpoints: Checkpoints,
    pub random: Mutex<StdRng>,
    pub cluster: Shared,
    /// So many of the next calls find the checkpoints away.
    pub away: AtomicU32,
}

impl Disk {
    fn is_bad(&self, key: &[u8]) -> bool {
        self.bad_from.lock().expect("one thread").as_deref().is_some_and(|bad| key >= bad)
    }

    fn found_bad(&self) -> StoreError {
        self.is_found_bad.store(true, Ordering::Relaxed);
        StoreError::Damaged { path: "a machine's".to_owned(), what: "nobody ends for that: another base is there".to_owned() }
    }

    /// Most of its keys can still be read.
    pub(super) fn go_bad(&self, random: &mut StdRng) {
        let keys: Vec<_> = entries(&self.memory).into_keys().filter(|key| !key.starts_with(Meta::KEY)).collect();
        if !keys.is_empty() {
            *self.bad_from.lock().expect("one thread") = Some(keys[random.random_range(0..keys.len())].clone());
        }
    }
}

impl StateStore for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.is_bad(key) { Err(self.found_bad()) } else { self.memory.get(key) }
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut EntryVisitor<'_>) -> Result<(), StoreError> {
        let mut is_met = false;
        self.memory.scan(start, end, &mut |key, value| {
            is_met = self.is_bad(key);
            if is_met { ControlFlow::Break(()) } else { visit(key, value) }
        })?;
        if is_met { Err(self.found_bad()) } else { Ok(()) }
    }

    /// What is written is put in order with what lies there.
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let is_bad = self.bad_from.lock().expect("one thread").is_some();
        if is_bad { Err(self.found_bad()) } else { self.memory.write(batch) }
    }

    /// So that who reads it does so in its turn.
    fn is_in_memory(&self) -> bool {
        true
    }

    fn copy_to(&self, folder: &Path) -> Result<(), StoreError> {
        self.memory.copy_to(folder)
    }

    fn scratch(&self) -> Arc<dyn ScratchStores> {
        self.memory.scratch()
    }
}

pub(super) fn entries(store: &dyn StateStore) -> Entries {
    readable(store).expect("nothing went bad")
}

fn readable(store: &dyn StateStore) -> Result<Entries, StoreError> {
    let mut entries = Entries::new();
    let mut take = |key: &[u8], value: &[u8]| {
        entries.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.scan(&[], &[0xff], &mut take)?;
    Ok(entries)
}

fn store_of(entries: &Entries) -> Arc<Disk> {
    let store = Disk::default();
    store.write(WriteBatch { puts: entries.clone().into_iter().collect(), ..WriteBatch::default() }).expect("in memory");
    Arc::new(store)
}

pub(super) fn without_meta(mut entries: Entries) -> Entries {
    entries.remove(Meta::KEY);
    entries
}

impl Machine {
    /// What a process that was killed leaves.
    pub(super) fn crash(&mut self, random: &mut StdRng) {
        for (task, entries) in &self.earlier {
            match random.random_range(0..4) {
                0 => drop(self.states.insert(*task, store_of(entries))),
                1 => drop(self.states.remove(task)),
                _ => {}
            }
        }
        for state in self.states.values() {
            if random.random_range(0..4) == 0 {
                state.go_bad(random);
            }
        }
    }

    pub(super) fn states(&self) -> BTreeMap<TaskName, Arc<Disk>> {
        self.states.clone()
    }

    pub(super) fn put(&mut self, task: TaskName, entries: &Entries) {
        self.states.insert(task, store_of(entries));
    }
}

impl SimulatedBases {
    fn chance(&self, of_thousand: u32) -> bool {
        self.random.lock().expect("one thread").random_range(0..1_000) < of_thousand
    }

    /// Now and then the checkpoints' store is.
    fn be_away(&self) -> anyhow::Result<()> {
        let is_away = self.away.load(Ordering::Relaxed) > 0 || self.cluster.faults().call > 0 && self.chance(150);
        self.away.store(self.away.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        let away = || ObjectError { at: "simulated".to_owned(), what: "away".to_owned(), fault: ObjectFault::Store };
        if is_away { Err(CheckpointError::from(away()).into()) } else { Ok(()) }
    }
}

impl Bases for SimulatedBases {
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        let mut machine = self.machine.lock().expect("one thread");
        let task = self.stage.task(task);
        if machine.states.get(&task).is_some_and(|state| state.is_found_bad.load(Ordering::Relaxed)) {
            machine.states.remove(&task);
            machine.found_damaged += 1;
        }
        Ok(machine.states.entry(task).or_default().clone())
    }

    fn is_damaged(&self, task: u32) -> bool {
        self.machine.lock().expect("one thread").states.get(&self.stage.task(task)).is_some_and(|state| state.is_found_bad.load(Ordering::Relaxed))
    }

    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        drop(store);
        self.machine.lock().expect("one thread").states.remove(&self.stage.task(task));
        self.open(task)
    }

    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>> {
        self.be_away()?;
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let of_task = checkpoints.get(&self.stage.task(task));
        let mut manifests: Vec<_> = of_task.into_iter().flatten().map(|checkpoint| checkpoint.manifest.clone()).collect();
        manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.epoch));
        // A listing may be stale.
        let skip = usize::from(self.chance(100)).min(manifests.len().saturating_sub(1));
        Ok(manifests.split_off(skip))
    }

    fn load(&self, manifest: &Manifest) -> anyhow::Result<Option<Arc<dyn StateStore>>> {
        self.be_away()?;
        let checkpoints = self.checkpoints.lock().expect("one thread");
        let task = self.stage.task(manifest.task);
        let found = checkpoints[&task].iter().find(|checkpoint| checkpoint.manifest == *manifest).filter(|checkpoint| !checkpoint.damaged);
        let Some(found) = found else { return Ok(None) };
        let store = store_of(&found.entries);
        self.machine.lock().expect("one thread").states.insert(task, store.clone());
        Ok(Some(store))
    }

    fn copy(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()> {
        let done = crossbeam_channel::bounded(0).1;
        let Ok(copied) = readable(&*store) else { return done };
        let name = self.stage.task(task);
        // A killed process copies nothing.
        if let Some(meta) = copied.get(Meta::KEY).filter(|_| !self.cluster.is_crashed(self.process)) {
            let meta = Meta::decode(meta).expect("written by us");
            let damaged = self.chance(if self.cluster.faults().call > 0 { 100 } else { 0 });
            let checkpoint = Checkpoint { manifest: Manifest::of(task, &meta), entries: copied.clone(), damaged };
            self.checkpoints.lock().expect("one thread").entry(name).or_default().push(checkpoint);
        }
        self.machine.lock().expect("one thread").earlier.insert(name, copied);
        done
    }

    fn keep_set(&self, _: u128, _: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    fn find_set(&self, _: u128) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
