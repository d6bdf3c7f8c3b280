//! Checkpoints: copies of tasks' states as objects, from which any process can go on.
//!
//! ```text
//! <group>/<task>/epochs/<epoch>-<owner>/manifest.json     made once, last: what is not named by one does not exist
//! <group>/<task>/files/<checksum>                         a file of the database, named by its content, shared between checkpoints
//! <group>/sets/<hash>.json                                a pattern set that some journal may name
//! ```
//!
//! A manifest begins with the checksum of the rest. Only committed epochs are published, and a file's name is the checksum of its bytes: so two processes that write
//! at once, one of them not in charge any more, cannot harm each other. Everything is verified when it is loaded; what is torn, missing, changed or of somebody
//! else is passed over. Nothing points to the newest one: who looks lists them and takes the highest that holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::ports::{ObjectError, ObjectFault, Objects};
use crate::service::state::Meta;

const FORMAT: u32 = 1;

/// Checkpoints of a task that are kept.
const KEPT: usize = 3;

/// Files that no kept manifest names are deleted when they are older: until then somebody may be about to name them, or be reading them.
const UNNAMED_AGE_MIN: Duration = Duration::from_secs(3_600);

/// What RocksDB writes for people and for its own lock is no state.
const NOT_STATE: [&str; 3] = ["LOG", "LOCK", "IDENTITY"];

/// The checkpoints of one deployment.
pub(super) struct Checkpoints {
    objects: Arc<dyn Objects>,
    group: String,
    /// Who writes here: no two processes at once have the same.
    owner: String,
    /// Pattern sets that could not be put there yet, by their hashes.
    unsaved_sets: Mutex<BTreeMap<u128, Vec<u8>>>,
    /// Of each task's last copy, the checksums of its tables: most are the same again in the next one, and need not be read.
    known: Mutex<BTreeMap<u32, BTreeMap<Identity, String>>>,
}

/// Tells a file that was not changed. A copy has hard links to the database's tables, which are written once and never again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    name: OsString,
    bytes: u64,
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
}

/// What a checkpoint is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    group: String,
    pub task: u32,
    pub epoch: u64,
    /// The digest of the epoch's journal record, and that record's offset or one before it.
    pub record_digest: u64,
    pub journal_offset: u64,
    owner: String,
    files: Vec<ManifestFile>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ManifestFile {
    /// In the database's folder.
    name: String,
    bytes: u64,
    /// In hex.
    checksum: String,
}

/// Why a checkpoint cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error("the folder {path}: {error}")]
    Folder { path: String, error: std::io::Error },
    /// It will not get better: another one is to be taken.
    #[error("checkpoint {name} is damaged: {what}")]
    Damaged { name: String, what: String },
}

impl Checkpoints {
    pub(super) fn new(objects: Arc<dyn Objects>, group: &str, owner: String) -> Self {
        Self { objects, group: group.to_owned(), owner, unsaved_sets: Mutex::default(), known: Mutex::default() }
    }

    /// Asks the store for what checkpoints need, so that what is wrong with it is said at the start: to make, once and not twice, and to delete.
    pub(super) fn check(&self) -> Result<(), ObjectError> {
        let name = format!("{}/check/{}", self.group, self.owner);
        let is_made = self.objects.create(&name, Vec::new())?;
        let is_made_again = self.objects.create(&name, Vec::new())?;
        self.objects.delete(&name)?;
        if is_made && !is_made_again {
            return Ok(());
        }
        let what = "the store replaces an object that it was asked to make only where there is none (If-None-Match); checkpoints need a store that does not";
        Err(ObjectError { at: name, what: what.to_owned(), fault: ObjectFault::Setup })
    }

    /// Those of a task whose manifests hold, the highest epoch first, no more than are kept.
    pub(super) fn list(&self, task: u32) -> Result<Vec<Manifest>, CheckpointError> {
        let mut manifests = Vec::new();
        for name in self.manifest_names(task)? {
            match self.objects.get(&name)?.map(|bytes| self.read_manifest(task, &bytes)) {
                Some(Ok(manifest)) => manifests.push(manifest),
                Some(Err(what)) => tracing::warn!(name, what, "a checkpoint is passed over"),
                None => {}
            }
            if manifests.len() == KEPT {
                break;
            }
        }
        Ok(manifests)
    }

    /// Writes a checkpoint's files into a folder, verified. The folder must not exist.
    pub(super) fn load(&self, manifest: &Manifest, folder: &Path) -> Result<(), CheckpointError> {
        let failed = |error| CheckpointError::Folder { path: folder.display().to_string(), error };
        std::fs::create_dir_all(folder).map_err(failed)?;
        for file in &manifest.files {
            let damaged = |what: String| CheckpointError::Damaged { name: self.manifest_name(manifest), what: format!("{}: {what}", file.name) };
            let bytes = self.objects.get(&self.file_name(manifest.task, &file.checksum))?.ok_or_else(|| damaged("it is missing".to_owned()))?;
            if bytes.len() as u64 != file.bytes || checksum(&bytes) != file.checksum {
                return Err(damaged(format!("{} bytes of another checksum", bytes.len())));
            }
            std::fs::write(folder.join(&file.name), bytes).map_err(failed)?;
        }
        Ok(())
    }

    /// Publishes the copy of a database that stands in a folder, as of the epoch that its description tells. Says how many bytes had to be carried.
    pub(super) fn publish(&self, task: u32, meta: &Meta, folder: &Path) -> Result<u64, CheckpointError> {
        self.save_sets()?;
        let there = self.carried(task)?;
        let (mut files, mut seen, mut carried) = (Vec::new(), BTreeMap::new(), 0);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&task).unwrap_or_default();
        for name in state_files(folder)? {
            let path = folder.join(&name);
            let failed = |error| CheckpointError::Folder { path: path.display().to_string(), error };
            let identity = Identity::of(&path).map_err(failed)?;
            let file = match known.get(&identity).filter(|checksum| there.contains(*checksum)) {
                Some(checksum) => ManifestFile { name, bytes: identity.bytes, checksum: checksum.clone() },
                None => {
                    let bytes = std::fs::read(&path).map_err(failed)?;
                    let file = ManifestFile { name, bytes: bytes.len() as u64, checksum: checksum(&bytes) };
                    if !there.contains(&file.checksum) {
                        carried += file.bytes;
                        self.objects.put(&self.file_name(task, &file.checksum), bytes)?;
                    }
                    file
                }
            };
            // The others are written anew for each copy.
            if file.name.ends_with(".sst") {
                seen.insert(identity, file.checksum.clone());
            }
            files.push(file);
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(task, seen);
        let manifest = Manifest {
            format: FORMAT,
            group: self.group.clone(),
            task,
            epoch: meta.epoch,
            record_digest: meta.record_digest,
            journal_offset: meta.journal_offset,
            owner: self.owner.clone(),
            files,
        };
        let json = serde_json::to_vec(&manifest).expect("plain data is JSON");
        let bytes = [checksum(&json).as_bytes(), b"\n", &json].concat();
        // The same epoch by the same owner: it is there already, and as good.
        self.objects.create(&self.manifest_name(&manifest), bytes)?;
        Ok(carried)
    }

    /// The checksums of files that need not be carried again. What only lies there, named by no manifest that is kept, may be about to be deleted; and what only is named is gone.
    fn carried(&self, task: u32) -> Result<BTreeSet<String>, CheckpointError> {
        let named: Vec<String> = self.list(task)?.into_iter().flat_map(|manifest| manifest.files).map(|file| file.checksum).collect();
        let there: BTreeSet<String> = self.objects.list(&self.files_folder(task))?.into_iter().map(|object| object.name).collect();
        Ok(named.into_iter().filter(|checksum| there.contains(&self.file_name(task, checksum))).collect())
    }

    /// Deletes older checkpoints than are kept, and files that none of the kept ones names.
    pub(super) fn prune(&self, task: u32, now: SystemTime) -> Result<(), CheckpointError> {
        let kept = self.list(task)?;
        // Where none holds, there may be something to be saved by hand.
        let Some(oldest) = kept.last().filter(|_| kept.len() == KEPT) else { return Ok(()) };
        let oldest = self.manifest_name(oldest);
        for name in self.manifest_names(task)?.into_iter().filter(|name| *name < oldest) {
            self.objects.delete(&name)?;
        }
        let named: Vec<String> = kept.iter().flat_map(|manifest| &manifest.files).map(|file| self.file_name(task, &file.checksum)).collect();
        // Not what was listed before this checkpoint was carried: others may have put files anew since, to name them.
        for object in self.objects.list(&self.files_folder(task))? {
            let age = now.duration_since(object.modified).unwrap_or_default();
            if age > UNNAMED_AGE_MIN && !named.contains(&object.name) {
                self.objects.delete(&object.name)?;
            }
        }
        Ok(())
    }

    /// Where that fails it is tried again with the next checkpoint.
    pub(super) fn put_set(&self, hash: u128, json: &[u8]) -> Result<(), ObjectError> {
        self.unsaved_sets.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, json.to_vec());
        self.save_sets()
    }

    fn save_sets(&self) -> Result<(), ObjectError> {
        let mut unsaved = self.unsaved_sets.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(set) = unsaved.first_entry() {
            self.objects.create(&self.set_name(*set.key()), set.get().clone())?;
            set.remove();
        }
        Ok(())
    }

    pub(super) fn get_set(&self, hash: u128) -> Result<Option<Vec<u8>>, ObjectError> {
        self.objects.get(&self.set_name(hash))
    }

    fn set_name(&self, hash: u128) -> String {
        format!("{}/sets/{hash:032x}.json", self.group)
    }

    fn files_folder(&self, task: u32) -> String {
        format!("{}/{task}/files", self.group)
    }

    fn file_name(&self, task: u32, checksum: &str) -> String {
        format!("{}/{checksum}", self.files_folder(task))
    }

    fn manifest_name(&self, manifest: &Manifest) -> String {
        format!("{}/{}/epochs/{:020}-{}/manifest.json", self.group, manifest.task, manifest.epoch, manifest.owner)
    }

    /// The highest epoch first.
    fn manifest_names(&self, task: u32) -> Result<Vec<String>, ObjectError> {
        let objects = self.objects.list(&format!("{}/{task}/epochs", self.group))?;
        let mut names: Vec<_> = objects.into_iter().map(|object| object.name).filter(|name| name.ends_with("/manifest.json")).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    fn read_manifest(&self, task: u32, bytes: &[u8]) -> Result<Manifest, String> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it is torn")?;
        let json = &bytes[end + 1..];
        if bytes[..end] != *checksum(json).as_bytes() {
            return Err("its checksum is another".to_owned());
        }
        let manifest: Manifest = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        match &manifest {
            Manifest { format: FORMAT, .. } if manifest.task == task && manifest.group == self.group => Ok(manifest),
            Manifest { format: FORMAT, group, task, .. } => Err(format!("it is of task {task} of group {group}")),
            Manifest { format, .. } => Err(format!("it is of format {format}, this version of motif knows {FORMAT}")),
        }
    }
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// In order of their names.
fn state_files(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let failed = |error| CheckpointError::Folder { path: folder.display().to_string(), error };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| NOT_STATE.iter().all(|other| !name.starts_with(other)));
    names.sort();
    Ok(names)
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        let found = path.metadata()?;
        let name = path.file_name().unwrap_or_default().to_owned();
        Ok(Self { name, bytes: found.len(), device: found.dev(), inode: found.ino(), written: (found.mtime(), found.mtime_nsec()) })
    }
}

#[cfg(test)]
impl Manifest {
    /// Without files: of a state that a test holds itself.
    pub(super) fn of(task: u32, meta: &Meta) -> Self {
        let (epoch, record_digest, journal_offset) = (meta.epoch, meta.record_digest, meta.journal_offset);
        Self { format: FORMAT, group: String::new(), task, epoch, record_digest, journal_offset, owner: String::new(), files: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
