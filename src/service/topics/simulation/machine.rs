//! What lasts from one life of a process to the next: the states on its machine, and the checkpoints that all machines share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use rand::Rng;
use rand::rngs::StdRng;

use super::cluster::Shared;
use crate::ports::{ObjectError, ObjectFault, StateStore, WriteBatch};
use crate::service::state::Meta;
use crate::service::topics::bases::Bases;
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::stages::{Stage, TaskName};
use crate::store::Memory;

pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) type Checkpoints = Arc<Mutex<BTreeMap<TaskName, Vec<Checkpoint>>>>;

#[derive(Default)]
pub(super) struct Machine {
    states: BTreeMap<TaskName, Arc<Memory>>,
    /// Earlier ones, to which a loss of power may go back.
    earlier: BTreeMap<TaskName, Entries>,
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

pub(super) fn entries(store: &dyn StateStore) -> Entries {
    let mut entries = Entries::new();
    let mut take = |key: &[u8], value: &[u8]| {
        entries.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.scan(&[], &[0xff], &mut take).expect("in memory");
    entries
}

fn store_of(entries: &Entries) -> Arc<Memory> {
    let store = Memory::default();
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
    }

    pub(super) fn states(&self) -> BTreeMap<TaskName, Arc<Memory>> {
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
        Ok(self.machine.lock().expect("one thread").states.entry(self.stage.task(task)).or_default().clone())
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
        let copied = entries(&*store);
        let name = self.stage.task(task);
        // A killed process copies nothing.
        if let Some(meta) = copied.get(Meta::KEY).filter(|_| !self.cluster.is_crashed(self.process)) {
            let meta = Meta::decode(meta).expect("written by us");
            let damaged = self.chance(if self.cluster.faults().call > 0 { 100 } else { 0 });
            let checkpoint = Checkpoint { manifest: Manifest::of(task, &meta), entries: copied.clone(), damaged };
            self.checkpoints.lock().expect("one thread").entry(name).or_default().push(checkpoint);
        }
        self.machine.lock().expect("one thread").earlier.insert(name, copied);
        crossbeam_channel::bounded(0).1
    }

    fn keep_set(&self, _: u128, _: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    fn find_set(&self, _: u128) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
