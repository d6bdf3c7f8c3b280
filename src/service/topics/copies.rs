//! States on their way to the checkpoints.
//!
//! ```text
//! a worker ─store─▶ copying thread ─folder of hard links─▶ carrying thread ─objects─▶ checkpoints
//! ```
//!
//! A copy is made within milliseconds, and the store is free for whoever is next; carrying it takes as long as the checkpoints' store takes, or fails. While that goes
//! on, at most one copy of each task waits: a newer one takes its place. No worker ever waits for either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender};

use crate::ports::{ObjectFault, StateStore};
use crate::service::state::Meta;
use crate::service::topics::checkpoints::{CheckpointError, Checkpoints};
use crate::service::topics::metrics::Metrics;
use crate::store::Rocks;

/// Asked for as long as it lives; what is on its way then is still carried.
pub(super) struct Copies {
    asked: Sender<Asked>,
}

struct Asked {
    task: u32,
    store: Arc<dyn StateStore>,
    done: Done,
}

/// Dropped when a copy is among the checkpoints, or will never be.
type Done = Sender<()>;

/// Copies that wait to be carried.
#[derive(Default)]
struct Waiting {
    copies: Mutex<WaitingCopies>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitingCopies {
    by_task: BTreeMap<u32, Copy>,
    /// The task that was carried last: the next one is another's turn.
    last: u32,
    /// No more will come.
    closed: bool,
}

struct Copy {
    folder: PathBuf,
    _done: Vec<Done>,
}

impl Copies {
    /// Copies are made in `folder`, which must not exist yet.
    pub(super) fn begin(folder: PathBuf, checkpoints: Arc<Checkpoints>, metrics: Arc<Metrics>) -> Self {
        let (asked, receiver) = crossbeam_channel::unbounded();
        let waiting = Arc::new(Waiting::default());
        let (here, there, told) = (waiting.clone(), waiting, metrics.clone());
        std::thread::spawn(move || make(&receiver, &folder, &here, &metrics));
        std::thread::spawn(move || carry_all(&there, &checkpoints, &told));
        Self { asked }
    }

    /// The receiver is closed when it is done.
    pub(super) fn ask(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()> {
        let (done, is_done) = crossbeam_channel::bounded(0);
        // The thread lives as long as this does.
        drop(self.asked.send(Asked { task, store, done }));
        is_done
    }
}

/// Makes copies until nobody can ask for any more.
fn make(asked: &Receiver<Asked>, folder: &Path, waiting: &Waiting, metrics: &Metrics) {
    for (number, Asked { task, store, done }) in asked.iter().enumerate() {
        let here = folder.join(format!("{task}-{number}"));
        let copied = std::fs::create_dir_all(folder).with_context(|| folder.display().to_string()).and_then(|()| Ok(store.copy_to(&here)?));
        // Whoever comes next may have the state now.
        drop(store);
        match copied {
            Ok(()) => waiting.add(task, Copy { folder: here, _done: vec![done] }),
            Err(error) => {
                metrics.checkpoint_failed();
                let error = format!("{error:#}");
                tracing::error!(task, error, "the state could not be copied; the next checkpoint is tried at its time");
                drop(std::fs::remove_dir_all(&here));
            }
        }
    }
    waiting.close();
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, WaitingCopies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the place of an older one of this task, whose waiters wait on.
    fn add(&self, task: u32, mut copy: Copy) {
        let mut copies = self.lock();
        if let Some(older) = copies.by_task.remove(&task) {
            drop(std::fs::remove_dir_all(&older.folder));
            copy._done.extend(older._done);
        }
        copies.by_task.insert(task, copy);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Tasks take turns. `None`: there is no more, and none will come.
    fn next(&self) -> Option<(u32, Copy)> {
        let mut copies = self.lock();
        loop {
            let after = copies.by_task.range(copies.last.saturating_add(1)..).next().or_else(|| copies.by_task.iter().next());
            if let Some((&task, _)) = after {
                copies.last = task;
                return copies.by_task.remove_entry(&task);
            }
            if copies.closed {
                return None;
            }
            copies = self.changed.wait(copies).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn carry_all(waiting: &Waiting, checkpoints: &Checkpoints, metrics: &Metrics) {
    while let Some((task, copy)) = waiting.next() {
        let began = Instant::now();
        let carried = carry(task, &copy.folder, checkpoints);
        drop(std::fs::remove_dir_all(&copy.folder));
        match carried {
            Ok(Some((epoch, bytes))) => {
                metrics.checkpointed(task, epoch, began.elapsed());
                tracing::info!(task, epoch, bytes, took = ?began.elapsed(), "checkpoint");
            }
            Ok(None) => {}
            Err(error) => {
                metrics.checkpoint_failed();
                let is_setup = matches!(error.downcast_ref(), Some(CheckpointError::Objects(error)) if error.fault == ObjectFault::Setup);
                let error = format!("{error:#}");
                if is_setup {
                    tracing::error!(task, error, "no checkpoint can be made until that is mended; it is tried again at its time, and events go on meanwhile");
                } else {
                    tracing::error!(task, error, "no checkpoint could be made; the next one is tried at its time, and events go on meanwhile");
                }
            }
        }
    }
}

/// The epoch that the copy turned out to be of, and the bytes that were carried. `None`: there is no state yet.
fn carry(task: u32, copy: &Path, checkpoints: &Checkpoints) -> anyhow::Result<Option<(u64, u64)>> {
    let Some(meta) = Rocks::read_copy(copy, Meta::KEY)? else { return Ok(None) };
    let meta = Meta::decode(&meta)?;
    let bytes = checkpoints.publish(task, &meta, copy)?;
    checkpoints.prune(task, SystemTime::now())?;
    Ok(Some((meta.epoch, bytes)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::ProcessingTime;
    use crate::objects::StoredObjects;
    use crate::ports::{ObjectError, ObjectInfo, Objects, WriteBatch};
    use crate::store::{Durability, RocksOptions};

    /// Puts nothing as long as somebody holds the gate.
    struct Gated {
        objects: StoredObjects,
        gate: Arc<Mutex<()>>,
    }

    impl Objects for Gated {
        fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ObjectError> {
            self.objects.create(name, bytes)
        }

        fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
            drop(self.gate.lock());
            self.objects.put(name, bytes)
        }

        fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
            self.objects.get(name)
        }

        fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
            self.objects.list(folder)
        }

        fn delete(&self, name: &str) -> Result<(), ObjectError> {
            self.objects.delete(name)
        }
    }

    const LIMIT: Duration = Duration::from_secs(60);

    fn go_on(store: &dyn StateStore, epoch: u64) {
        let mut batch = WriteBatch { puts: vec![(b"key".to_vec(), epoch.to_string().into_bytes())], ..WriteBatch::default() };
        Meta { format: crate::service::state::FORMAT, epoch, ..Meta::default() }.write(&mut batch);
        store.write(batch).expect("written");
    }

    /// As if it were away: every put waits.
    #[test]
    fn states_are_free_while_the_store_is_slow_and_the_newest_copy_is_carried() {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            |task: u32| Rocks::open(&folder.path().join(task.to_string()), RocksOptions { durability: Durability::Process }).expect("nobody has it open");
        let (gate, metrics) = (Arc::new(Mutex::new(())), Arc::new(Metrics::default()));
        let objects = Gated { objects: StoredObjects::in_folder(&folder.path().join("objects")).expect("opens"), gate: gate.clone() };
        let checkpoints = Arc::new(Checkpoints::new(Arc::new(objects), "g", "one".to_owned()));
        let copies = Copies::begin(folder.path().join("copies"), checkpoints.clone(), metrics.clone());
        let held = gate.lock().expect("no panic");
        let mut waiting = Vec::new();
        for epoch in 1..=3 {
            for task in [1, 2] {
                // Each time as another worker would.
                let store: Arc<dyn StateStore> = Arc::new(open(task));
                go_on(&*store, epoch);
                waiting.push(copies.ask(task, store.clone()));
                let deadline = Instant::now() + LIMIT;
                while Arc::strong_count(&store) > 1 {
                    assert!(Instant::now() < deadline, "the state of task {task} is held although its copy is made");
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
        }
        let folders = std::fs::read_dir(folder.path().join("copies")).expect("there").count();
        // The last one may not have taken the place of the one before yet.
        assert!(folders <= 4, "{folders} copies wait: one that is carried, one of each task");
        drop(held);
        for done in waiting {
            assert_eq!(done.recv_timeout(LIMIT), Err(crossbeam_channel::RecvTimeoutError::Disconnected), "carried, or a newer one instead");
        }
        for task in [1, 2] {
            assert_eq!(checkpoints.list(task).expect("listed")[0].epoch, 3);
        }
        let shown = metrics.snapshot(ProcessingTime::from_micros(0));
        assert!(shown.checkpoints.count <= 4 && shown.checkpoint_failures == 0, "{shown:?}");
    }
}
