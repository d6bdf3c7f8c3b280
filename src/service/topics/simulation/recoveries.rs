//! Recoveries that meet something that is not as it should be: what is only of the moment is waited for, and of what is damaged something else takes the place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::NO_FAULTS;
use super::cluster::Client;
use super::machine::{Checkpoint, Entries, entries, without_meta};
use super::processes::{self, Simulation};
use super::scenario::Scenario;
use crate::objects::StoredObjects;
use crate::ports::{InputPartition, WriteBatch};
use crate::service::state::Meta;
use crate::service::topics::bases::{Bases, MachineBases};
use crate::service::topics::checkpoints::Checkpoints;
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::EpochRecord;
use crate::service::topics::metrics::Metrics;
use crate::service::topics::recover::{Recovered, recover};
use crate::service::topics::stages::Stage;

const TASK: u32 = 0;

/// A run that nothing has disturbed, and what is to be taken up of it.
struct Past {
    simulation: Simulation,
    /// The journal of the task.
    journal: Vec<EpochRecord>,
    /// At its end.
    newest: Checkpoint,
    /// One that needs more of the input than that.
    older: Checkpoint,
}

/// The oldest record of an input that a state needs which is at the end of this epoch.
fn needed(record: &EpochRecord) -> Vec<u64> {
    record.inputs.iter().map(|range| range.rewind.unwrap_or(range.next)).collect()
}

impl Past {
    fn new() -> Self {
        (0..100).find_map(Self::of_seed).expect("copies are made now and then")
    }

    fn of_seed(seed: u64) -> Option<Self> {
        let simulation = processes::run(Scenario::Steady, seed, NO_FAULTS, 1).1;
        let journal = simulation.cluster.journal(Stage::First.task(TASK));
        let checkpoints = simulation.checkpoints.lock().expect("one thread")[&Stage::First.task(TASK)].clone();
        let at = |epoch: u64| &journal[usize::try_from(epoch).expect("small") - 1];
        let newest = checkpoints.iter().max_by_key(|checkpoint| checkpoint.manifest.epoch)?.clone();
        assert_eq!(newest.manifest.epoch, journal.len() as u64);
        let last = journal.last().expect("epochs");
        let is_older = |checkpoint: &&Checkpoint| {
            let (epoch, record) = (checkpoint.manifest.epoch, at(checkpoint.manifest.epoch));
            // There is something in it, and between them an epoch that has read something of each input.
            checkpoint.entries.len() > 1
                && epoch + 2 < last.epoch
                && record.inputs.iter().zip(&last.inputs).all(|(then, now)| then.next < now.base)
                && needed(record) < needed(last)
        };
        let older = checkpoints.iter().find(is_older)?.clone();
        Some(Self { simulation, journal, newest, older })
    }

    /// What a process starts with that is to take the task up: with the newest state on its machine, or with an older one.
    fn deployment(&mut self, has_newest: bool, checkpoints_away: u32) -> Deployment {
        let on_machine = if has_newest { &self.newest } else { &self.older };
        self.simulation.first_machine().put(Stage::First.task(TASK), &on_machine.entries);
        let mut bases = self.simulation.bases(Client { process: 0, stage: Stage::First });
        bases.away = checkpoints_away.into();
        self.deployment_on(bases)
    }

    fn deployment_on(&mut self, bases: impl Bases + 'static) -> Deployment {
        let mut deployment = self.simulation.first_deployment();
        deployment.bases = Box::new(bases);
        deployment
    }

    fn inputs(&self) -> Vec<InputPartition> {
        self.simulation.cluster.inputs().into_keys().filter(|input| input.partition == TASK).collect()
    }

    fn is_at_the_end_with_all_state(&self, (epoch, state): &(u64, Entries)) {
        assert_eq!(*epoch, self.newest.manifest.epoch);
        assert!(without_meta(state.clone()) == without_meta(self.newest.entries.clone()), "state is lost");
    }
}

/// The epoch that the task has come to, and its state.
fn recovered(deployment: &Deployment) -> (u64, Entries) {
    match recover(deployment, TASK, &AtomicBool::new(false)) {
        Ok(Recovered::Ready(assigned, _)) => (assigned.epoch(), entries(&*assigned.into_parts().0)),
        Ok(Recovered::AlreadyEnded) => panic!("it has no end"),
        Err(error) => panic!("{error:#}"),
    }
}

fn accepting_a_reset(mut deployment: Deployment) -> Deployment {
    deployment.config.accept_reset = true;
    deployment
}

#[test]
fn offsets_that_only_seem_moved_give_no_state_up() {
    let mut past = Past::new();
    past.simulation.cluster.lock().older_answers = 1;
    let deployment = accepting_a_reset(past.deployment(true, 0));
    past.is_at_the_end_with_all_state(&recovered(&deployment));
}

#[test]
fn a_state_that_may_be_among_checkpoints_that_are_away_is_not_given_up() {
    // What the older state on the machine needs of the inputs is gone.
    let mut past = Past::new();
    let kept_from = past.inputs().into_iter().zip(needed(past.journal.last().expect("epochs"))).collect();
    past.simulation.cluster.lock().kept_from = kept_from;
    let deployment = accepting_a_reset(past.deployment(false, 1));
    past.is_at_the_end_with_all_state(&recovered(&deployment));
    drop(deployment);

    // What it needs is not what it was, which only a replay finds.
    let mut past = Past::new();
    let (then, now) = (&past.journal[usize::try_from(past.older.manifest.epoch).expect("small") - 1], past.journal.last().expect("epochs"));
    assert!(then.inputs[0].next < now.inputs[0].base);
    past.simulation.cluster.change(past.inputs()[0], then.inputs[0].next);
    let deployment = accepting_a_reset(past.deployment(false, 1));
    past.is_at_the_end_with_all_state(&recovered(&deployment));
}

#[test]
fn a_reset_goes_on_above_all_epochs_that_are_known() {
    let mut past = Past::new();
    past.simulation.cluster.delete_journals();
    let deployment = accepting_a_reset(past.deployment(false, 0));
    let (epoch, state) = recovered(&deployment);
    assert!(state.is_empty() && epoch >= past.newest.manifest.epoch, "epoch {epoch} is below a checkpoint's");
}

/// A machine with a disk.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a process that starts has them.
    fn bases(&self, has_checkpoints: bool) -> MachineBases {
        let objects = StoredObjects::in_folder(&self.path("objects")).expect("opens");
        let checkpoints = has_checkpoints.then(|| Checkpoints::new(Arc::new(objects), "g", "one".to_owned()));
        MachineBases::new(&self.path("state"), checkpoints, Arc::new(Metrics::default())).expect("opens")
    }

    /// Makes this the state, in files: what it says of itself stands in one of its own, and can be read whatever becomes of the others.
    fn keep(&self, bases: &MachineBases, state: &Entries) {
        let store = bases.open(TASK).expect("opens");
        let (meta, others) = state.clone().into_iter().partition(|(key, _)| key.starts_with(Meta::KEY));
        let all = vec![(Vec::new(), vec![0xff])];
        let batches = [WriteBatch { delete_ranges: all, puts: others, ..WriteBatch::default() }, WriteBatch { puts: meta, ..WriteBatch::default() }];
        for batch in batches {
            store.write(batch).expect("written");
            let copy = self.path("copy");
            store.copy_to(&copy).expect("what is in memory is written out first");
            std::fs::remove_dir_all(copy).expect("removed");
        }
    }

    fn carry(&self, bases: &MachineBases) {
        bases.copy(TASK, bases.open(TASK).expect("opens")).recv().expect_err("nothing is said when it is done");
    }

    /// A bit in each file but the one that was written last.
    fn damage(&self) {
        let mut tables = tables_in(&self.path("state/0/db"));
        tables.pop();
        assert!(!tables.is_empty());
        for table in tables {
            let mut bytes = std::fs::read(&table).expect("read");
            bytes[8] ^= 1;
            std::fs::write(&table, bytes).expect("written");
        }
    }
}

fn tables_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("a database").map(|entry| entry.expect("read").path());
    let mut tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect();
    tables.sort();
    tables
}

#[test]
fn of_a_damaged_state_a_checkpoint_takes_the_place() {
    let (mut past, disk) = (Past::new(), Disk::new());
    let bases = disk.bases(true);
    disk.keep(&bases, &past.newest.entries);
    disk.carry(&bases);
    disk.damage();
    let deployment = past.deployment_on(bases);
    past.is_at_the_end_with_all_state(&recovered(&deployment));
    assert!(disk.path("state/0.aside/MOTIF-DAMAGED").exists(), "it is kept, and says why");
}

#[test]
fn of_a_damaged_state_without_checkpoints_the_epochs_are_repeated() {
    let (mut past, disk) = (Past::new(), Disk::new());
    let bases = disk.bases(false);
    disk.keep(&bases, &past.newest.entries);
    disk.damage();
    let deployment = past.deployment_on(bases);
    past.is_at_the_end_with_all_state(&recovered(&deployment));
}

/// As it is where a state was damaged, and copied before that was found out.
#[test]
fn of_a_checkpoint_of_a_damaged_state_an_older_one_takes_the_place() {
    let (mut past, disk) = (Past::new(), Disk::new());
    let bases = disk.bases(true);
    disk.keep(&bases, &past.older.entries);
    disk.carry(&bases);
    disk.keep(&bases, &past.newest.entries);
    disk.damage();
    disk.carry(&bases);
    let epochs: Vec<u64> = bases.checkpoints(TASK).expect("listed").iter().map(|manifest| manifest.epoch).collect();
    assert_eq!(epochs, [past.newest.manifest.epoch, past.older.manifest.epoch]);
    let deployment = past.deployment_on(bases);
    past.is_at_the_end_with_all_state(&recovered(&deployment));
    let replayed = deployment.metrics.snapshot(deployment.now()).replayed_epochs;
    assert_eq!(replayed, past.newest.manifest.epoch - past.older.manifest.epoch, "from the older one on");
}
