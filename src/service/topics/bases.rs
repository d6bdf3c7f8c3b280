//! From where tasks can be taken up: the state on this machine, and checkpoints elsewhere.
//!
//! ```text
//! <state>/<slot>/<task>/        a task's state; while it runs, what it has no room for in memory
//! <state>/<slot>/<task>.aside/  one that could not be used, kept for who wants to know why; a later one is `<task>.aside.1`, and so on
//! <state>/<slot>/sets/          pattern sets that were used here; other slots look here as well
//! <state>/<slot>/copies/        copies on their way to the checkpoints
//! <state>/<slot>/loading/       checkpoints on their way from there
//! ```
//!
//! The checkpoints may be away: what is on this machine goes on without them.
//!
//! A state is put aside where it is damaged, never for what may pass, as a full disk does, or what somebody can mend. Where the damage is found while a task already goes on
//! from it, the state's folder says so, and it is put aside when it is opened next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Receiver;
use xxhash_rust::xxh3::xxh3_128;

use crate::ports::{ObjectError, ObjectFault, StateStore, StoreError};
use crate::service::state::Meta;
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
    /// The state of a task on this machine, empty where there is none, or where what is there was found damaged.
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>>;

    /// The state of a task on this machine was found damaged since it was opened.
    fn is_damaged(&self, task: u32) -> bool;

    /// Puts the state on this machine aside, where it cannot be used, and gives an empty one. Nobody else has it open.
    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>>;

    /// The newest first.
    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>>;

    /// Puts a checkpoint in the place of the state on this machine, which nobody has open. `None`: it is damaged, and the state is still there.
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
    /// The same folder of each slot, as a pattern: above the slot, and below it.
    slots: Option<(PathBuf, PathBuf)>,
    checkpoints: Option<Arc<Checkpoints>>,
    copies: Option<Copies>,
    loaded: Mutex<Loaded>,
}

/// The checkpoints that were put in the place of states since the process began.
#[derive(Default)]
struct Loaded {
    /// By task: the one that its state has come from.
    last: BTreeMap<u32, Manifest>,
    /// Those whose state was found damaged then. Their files are as they were carried, so it most likely was when it was copied.
    damaged: Vec<Manifest>,
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
        Ok(Self { folder: folder.to_owned(), slots: None, checkpoints, copies, loaded: Mutex::default() })
    }

    /// Pattern sets are also looked for in the other slots of this state folder: a task may come from there whose epochs this process is to repeat. Whatever runs in them may go on,
    /// as a set is there as a whole or not at all, and never changes.
    pub(super) fn beside_slots_of(self, state: &Path) -> Self {
        let below = self.folder.strip_prefix(state).ok().map(|path| path.iter().skip(1).collect::<PathBuf>());
        Self { slots: below.map(|below| (state.to_owned(), below)), ..self }
    }

    fn find_set_in_other_slots(&self, hash: u128) -> Option<Vec<u8>> {
        let (state, below) = self.slots.as_ref()?;
        let slots = std::fs::read_dir(state).into_iter().flatten().flatten();
        // One that is damaged there may be whole elsewhere.
        slots.filter_map(|slot| std::fs::read(set_path(&slot.path().join(below), hash)).ok()).find(|json| xxh3_128(json) == hash)
    }

    fn task_folder(&self, task: u32) -> PathBuf {
        self.folder.join(task.to_string())
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_store(&self, task: u32) -> Result<Arc<dyn StateStore>, StoreError> {
        let deadline = Instant::now() + STORE_OPEN_MAX;
        loop {
            match Rocks::open(&self.task_folder(task), OPTIONS) {
                Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(STORE_OPEN_INTERVAL),
                opened => return Ok(Arc::new(opened?)),
            }
        }
    }

    /// Says where it is now, beside what was put there before; `None`: there is none.
    fn put_aside(&self, task: u32) -> anyhow::Result<Option<PathBuf>> {
        let names = std::iter::once(format!("{task}.aside")).chain((1..).map(|number: u32| format!("{task}.aside.{number}")));
        let aside = names.map(|name| self.folder.join(name)).find(|path| !path.exists()).expect("one of all is free");
        match std::fs::rename(self.task_folder(task), &aside) {
            Ok(()) => Ok(Some(aside)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("state folder {}", self.task_folder(task).display())),
        }
    }
}

fn set_path(folder: &Path, hash: u128) -> PathBuf {
    folder.join("sets").join(format!("{hash:032x}.json"))
}

/// Whether a checkpoint that was loaded into a folder holds the state that its manifest tells of.
fn holds_what_it_says(folder: &Path, manifest: &Manifest) -> Result<bool, StoreError> {
    let meta = Rocks::open(folder, OPTIONS).and_then(|store| Meta::read(&store));
    let what = match meta {
        Ok(Some(meta)) if (meta.epoch, meta.record_digest) == (manifest.epoch, manifest.record_digest) => return Ok(true),
        Ok(_) => "it holds another state than it says".to_owned(),
        Err(error @ StoreError::Damaged { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    tracing::error!(task = manifest.task, epoch = manifest.epoch, what, "a checkpoint is as it was carried, and no good; it is passed over");
    Ok(false)
}

impl Bases for MachineBases {
    fn open(&self, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        let damage = match self.open_store(task) {
            Ok(store) => match Rocks::damage_in(&self.task_folder(task)) {
                None => return Ok(store),
                // Closed here.
                Some(what) => what,
            },
            Err(StoreError::Damaged { what, .. }) => what,
            Err(error) => return Err(error.into()),
        };
        let mut loaded = self.loaded();
        if let Some(manifest) = loaded.last.remove(&task) {
            loaded.damaged.push(manifest);
        }
        drop(loaded);
        let aside = self.put_aside(task)?;
        tracing::error!(task, damage, ?aside, "the state on this machine is damaged, by its disk or from outside; it is put aside");
        Ok(self.open_store(task)?)
    }

    fn is_damaged(&self, task: u32) -> bool {
        Rocks::damage_in(&self.task_folder(task)).is_some()
    }

    fn begin_anew_after(&self, store: Arc<dyn StateStore>, task: u32) -> anyhow::Result<Arc<dyn StateStore>> {
        drop(store);
        self.loaded().last.remove(&task);
        self.put_aside(task)?;
        Ok(self.open_store(task)?)
    }

    fn checkpoints(&self, task: u32) -> anyhow::Result<Vec<Manifest>> {
        Ok(self.checkpoints.as_ref().map_or(Ok(Vec::new()), |checkpoints| checkpoints.list(task))?)
    }

    fn load(&self, manifest: &Manifest) -> anyhow::Result<Option<Arc<dyn StateStore>>> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(None) };
        if self.loaded().damaged.contains(manifest) {
            tracing::error!(task = manifest.task, epoch = manifest.epoch, "a checkpoint has held a damaged state before; it is passed over");
            return Ok(None);
        }
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
        if !holds_what_it_says(&loading, manifest)? {
            return Ok(None);
        }
        let (folder, before) = (self.task_folder(manifest.task), self.put_aside(manifest.task)?);
        std::fs::rename(&loading, &folder).with_context(|| format!("state folder {}", folder.display()))?;
        let store = self.open_store(manifest.task)?;
        if let Some(before) = before {
            drop(std::fs::remove_dir_all(before));
        }
        self.loaded().last.insert(manifest.task, manifest.clone());
        Ok(Some(store))
    }

    fn copy(&self, task: u32, store: Arc<dyn StateStore>) -> Receiver<()> {
        // Where there are none, it is done at once.
        self.copies.as_ref().map_or_else(|| crossbeam_channel::bounded(0).1, |copies| copies.ask(task, store))
    }

    fn keep_set(&self, hash: u128, json: &[u8]) -> anyhow::Result<()> {
        let path = set_path(&self.folder, hash);
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
        let here = std::fs::read(set_path(&self.folder, hash)).ok().or_else(|| self.find_set_in_other_slots(hash));
        match here {
            Some(json) => Ok(Some(json)),
            None => Ok(self.checkpoints.as_ref().map_or(Ok(None), |checkpoints| checkpoints.get_set(hash))?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::WriteBatch;

    const TASK: u32 = 3;

    fn bases(folder: &Path) -> MachineBases {
        MachineBases::new(folder, None, Arc::new(Metrics::default())).expect("opens")
    }

    fn value(store: &dyn StateStore) -> Option<Vec<u8>> {
        store.get(b"a").expect("read")
    }

    fn open_and_put(bases: &MachineBases, value: &[u8]) {
        let store = bases.open(TASK).expect("opens");
        store.write(WriteBatch { puts: vec![(b"a".to_vec(), value.to_vec())], ..WriteBatch::default() }).expect("written");
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).expect("there").map(|entry| entry.expect("read").file_name().display().to_string()).collect();
        names.sort();
        names
    }

    /// A full disk, what is not permitted, and a newer version's state: somebody mends that, or it passes.
    #[test]
    fn what_cannot_be_opened_for_now_stays_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let bases = bases(folder.path());
        open_and_put(&bases, b"1");
        let (marker, database) = (folder.path().join("3/MOTIF-STATE"), folder.path().join("3/db"));
        for _ in 0..2 {
            std::fs::write(&marker, "99\n").expect("written");
            let error = bases.open(TASK).expect_err("of another version");
            assert!(error.to_string().contains("it is of format \"99\""), "{error}");
            std::fs::write(&marker, "1\n").expect("written");

            std::fs::rename(&database, folder.path().join("away")).expect("renamed");
            std::fs::write(&database, "").expect("written");
            let error = bases.open(TASK).expect_err("nothing can be written there");
            assert!(matches!(error.downcast_ref(), Some(StoreError::Unusable { .. })), "{error}");
            std::fs::remove_file(&database).expect("removed");
            std::fs::rename(folder.path().join("away"), &database).expect("renamed");
        }
        assert_eq!(names(folder.path()), ["3"]);
        assert_eq!(value(&*bases.open(TASK).expect("opens")).as_deref(), Some(b"1".as_slice()));
    }

    /// Of a task that comes from another process on the same state folder, this one repeats the epochs.
    #[test]
    fn a_pattern_set_is_found_in_whichever_slot_it_was_used() {
        let state = tempfile::tempdir().expect("a folder");
        for stage in ["", "rekeyed"] {
            let of_slot = |slot: &str| bases(&state.path().join(slot).join(stage)).beside_slots_of(state.path());
            let (json, hash) = (stage.as_bytes(), xxh3_128(stage.as_bytes()));
            let [first, second, third] = ["0", "1", "2"].map(of_slot);
            assert_eq!(third.find_set(hash).expect("read"), None);
            first.keep_set(hash, b"something else").expect("written");
            assert_eq!(third.find_set(hash).expect("read"), None, "a damaged one is none");
            second.keep_set(hash, json).expect("written");
            assert_eq!(third.find_set(hash).expect("read").as_deref(), Some(json));
        }
    }

    #[test]
    fn what_was_put_aside_stays_there_whatever_follows_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let bases = bases(folder.path());
        for life in [b"1", b"2", b"3"] {
            open_and_put(&bases, life);
            std::fs::write(folder.path().join("3/life"), life).expect("written");
            std::fs::write(folder.path().join("3/db/CURRENT"), "nothing that the database has written").expect("written");
            assert_eq!(value(&*bases.open(TASK).expect("an empty one")), None);
        }
        assert_eq!(names(folder.path()), ["3", "3.aside", "3.aside.1", "3.aside.2"]);
        let lives = ["3.aside", "3.aside.1", "3.aside.2"].map(|aside| std::fs::read(folder.path().join(aside).join("life")).expect("there"));
        assert_eq!(lives, [b"1", b"2", b"3"]);
    }
}
