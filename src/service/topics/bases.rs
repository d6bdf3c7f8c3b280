//! From where tasks can be taken up: the state on this machine, and checkpoints elsewhere.
//!
//! ```text
//! <state>/<slot>/<task>/        a task's state; while it runs, what it has no room for in memory
//! <state>/<slot>/sets/          pattern sets that were used here
//! <state>/<slot>/copies/        copies on their way to the checkpoints
//! <state>/<slot>/loading/       checkpoints on their way from there
//! ```
//!
//! The checkpoints may be away: what is on this machine goes on without them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Receiver;

use crate::ports::{ObjectError, ObjectFault, StateStore, StoreError};
use crate::service::topics::checkpoints::{CheckpointError, Checkpoints, Manifest};
use crate::service::topics::copies::Copies;
use crate::service::topics::metrics::Metrics;
use crate::store::{Durability, Rocks, RocksOptions, ScratchFolder};

/// Another worker of this process may be about to close the store.
const STORE_OPEN_MAX: Duration = Duration::from_secs(10);
const STORE_OPEN_INTERVAL: Duration = Duration::from_millis(20);

/// A loss of power may take the last epochs; then they are replayed.
const OPTIONS: RocksOptions = RocksOptions { durability: Durability::Process };

/// What a recovery may ask, and a worker hand over.
pub(super) trait Bases: Send + Sync {
    /// The state of a task on this machine, empty where there is none.
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>>;

    /// Puts the state on this machine aside, where it cannot be used, and gives an empty one. Nobody else has it open.
    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>>;

    /// The newest first.
    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>>;

    /// Puts a checkpoint in the place of the state on this machine, which nobody has open. `None`: it is damaged.
    fn load(&self, manifest: &Manifest) -> anyhow::Result<Option<Arc<dyn StateStore>>>;

    /// Has the state copied to the checkpoints, as of now or a little later; what comes of it is told in the log. The receiver is closed when it is done.
    fn copy(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()>;

    /// Keeps a pattern set for replays.
    fn keep_set(&self, hash: u128, json: &[u8]) -> anyhow::Result<()>;

    fn find_set(&self, hash: u128) -> anyhow::Result<Option<Vec<u8>>>;
}

/// In the folder of a slot.
pub(super) struct MachineBases {
    folder: PathBuf,
    checkpoints: Option<Arc<Checkpoints>>,
    copies: Option<Copies>,
}

impl MachineBases {
    /// Checks that the checkpoints can be used, unless they are away just now.
    pub(super) fn new(folder: &Path, checkpoints: Option<Checkpoints>, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        for leftover in ["copies", "loading"] {
            match std::fs::remove_dir_all(folder.join(leftover)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(|| format!("state folder {}", folder.display())),
                _ => {}
            }
        }
        for task in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            ScratchFolder::beside(&task.path()).remove_left_over();
        }
        if let Some(checkpoints) = &checkpoints {
            go_on_without(checkpoints.check(), "the checkpoints are away; they are tried again with the next one")?;
        }
        let checkpoints = checkpoints.map(Arc::new);
        let copies = checkpoints.clone().map(|checkpoints| Copies::begin(folder.join("copies"), checkpoints, metrics));
        Ok(Self { folder: folder.to_owned(), checkpoints, copies })
    }

    fn task_folder(&self, task: u32) -> PathBuf {
        self.folder.join(task.to_string())
    }

    fn set_path(&self, hash: u128) -> PathBuf {
        self.folder.join("sets").join(format!("{hash:032x}.json"))
    }

    fn put_aside(&self, task: u32) -> anyhow::Result<()> {
        let (folder, aside) = (self.task_folder(task), self.folder.join(format!("{task}.aside")));
        drop(std::fs::remove_dir_all(&aside));
        match std::fs::rename(&folder, &aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| format!("state folder {}", folder.display())),
            _ => Ok(()),
        }
    }
}

impl Bases for MachineBases {
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        let folder = self.task_folder(task);
        let deadline = Instant::now() + STORE_OPEN_MAX;
        loop {
            match Rocks::open(&folder, OPTIONS) {
                Ok(store) => return Ok(Arc::new(store)),
                Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(STORE_OPEN_INTERVAL),
                Err(error @ StoreError::InUse { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(task, %error, "the state on this machine cannot be opened; it is put aside");
                    self.put_aside(task)?;
                    return Ok(Arc::new(Rocks::open(&folder, OPTIONS)?));
                }
            }
        }
    }

    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        drop(store);
        self.put_aside(task)?;
        Ok(Arc::new(Rocks::open(&self.task_folder(task), OPTIONS)?))
    }

    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>> {
        Ok(self.checkpoints.as_ref().map_or(Ok(Vec::new()), |checkpoints| checkpoints.list(task))?)
    }

    fn load(&self, manifest: &Manifest) -> anyhow::Result<Option<Arc<dyn StateStore>>> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(None) };
        let loading = self.folder.join("loading").join(manifest.task.to_string());
        drop(std::fs::remove_dir_all(&loading));
        match checkpoints.load(manifest, &loading.join(Rocks::DATABASE)) {
            Ok(()) => {}
            Err(error @ CheckpointError::Damaged { .. }) => {
                tracing::error!(task = manifest.task, epoch = manifest.epoch, %error, "passed over");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        Rocks::mark(&loading)?;
        self.put_aside(manifest.task)?;
        let folder = self.task_folder(manifest.task);
        std::fs::rename(&loading, &folder).with_context(|| format!("state folder {}", folder.display()))?;
        drop(std::fs::remove_dir_all(self.folder.join(format!("{}.aside", manifest.task))));
        match Rocks::open(&folder, OPTIONS) {
            Ok(store) => Ok(Some(Arc::new(store))),
            Err(error) => {
                tracing::error!(task = manifest.task, epoch = manifest.epoch, %error, "a checkpoint that is whole cannot be opened; passed over");
                Ok(None)
            }
        }
    }

    fn copy(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()> {
        // Where there are none, it is done at once.
        self.copies.as_ref().map_or_else(|| crossbeam_channel::bounded(0).1, |copies| copies.ask(task, store))
    }

    fn keep_set(&self, hash: u128, json: &[u8]) -> anyhow::Result<()> {
        let path = self.set_path(hash);
        if !path.exists() {
            let unwritable = || format!("state folder {}", path.display());
            std::fs::create_dir_all(self.folder.join("sets")).with_context(unwritable)?;
            // Whole or not at all.
            let begun = path.with_extension("new");
            std::fs::write(&begun, json).with_context(unwritable)?;
            std::fs::rename(&begun, &path).with_context(unwritable)?;
        }
        match &self.checkpoints {
            Some(checkpoints) => go_on_without(checkpoints.put_set(hash, json), "the pattern set is kept on this machine alone until the next checkpoint"),
            None => Ok(()),
        }
    }

    fn find_set(&self, hash: u128) -> anyhow::Result<Option<Vec<u8>>> {
        match std::fs::read(self.set_path(hash)) {
            Ok(json) => Ok(Some(json)),
            Err(_) => Ok(self.checkpoints.as_ref().map_or(Ok(None), |checkpoints| checkpoints.get_set(hash))?),
        }
    }
}

/// What the store's own fault is will pass; what else is wrong is to be mended first.
fn go_on_without(asked: Result<(), ObjectError>, until: &str) -> anyhow::Result<()> {
    match asked {
        Err(error) if error.fault == ObjectFault::Store => {
            tracing::warn!(%error, "{until}");
            Ok(())
        }
        asked => Ok(asked?),
    }
}
