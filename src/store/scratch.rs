//! Stores in RocksDB for what is worth nothing after the process: without a log, never synced to the disk, each in a folder of its own that is gone with it.
//!
//! The folders are named `motif-scratch-` and what tells them apart, and lie beside a state or among the temporary files. A process that was killed leaves its own behind: whoever makes one removes
//! those that nobody holds the lock of; and so does whoever opens the state.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ports::{ScratchStores, StateStore, StoreError};
use crate::store::Rocks;
use crate::store::rocks::Marker;

const PREFIX: &str = "motif-scratch-";
const LOCK: &str = "lock";

/// Where such stores are made.
#[derive(Clone, Debug)]
pub struct ScratchFolder {
    parent: PathBuf,
}

impl ScratchFolder {
    /// In this folder.
    pub fn beside(path: &Path) -> Self {
        Self { parent: path.to_owned() }
    }

    /// Where the system has its temporary files.
    pub fn temporary() -> Self {
        Self::beside(&std::env::temp_dir())
    }

    /// Removes what processes that were killed have left in the folder, as far as it can be removed.
    pub fn remove_left_over(&self) {
        let Ok(entries) = std::fs::read_dir(&self.parent) else { return };
        for path in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())).map(|entry| entry.path()) {
            // One that has no lock yet is being made.
            if let Ok(lock) = File::open(path.join(LOCK))
                && lock.try_lock().is_ok()
            {
                drop(std::fs::remove_dir_all(&path));
                drop(lock.unlock());
            }
        }
    }
}

impl ScratchStores for ScratchFolder {
    fn make(&self) -> Result<Arc<dyn StateStore>, StoreError> {
        self.remove_left_over();
        let unusable = |error: io::Error| StoreError::Unusable { path: self.parent.display().to_string(), what: error.to_string() };
        let folder = Folder::make(&self.parent).map_err(unusable)?;
        Ok(Arc::new(Rocks::open_scratch(folder)?))
    }
}

/// Removed when it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Marker,
}

impl Folder {
    fn make(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let path = parent.join(name);
            // It holds what events hold.
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let lock = File::create(path.join(LOCK))?;
            // Whoever looks for what was left over may have been here before the lock was ours.
            if lock.try_lock().is_ok() && path.join(LOCK).exists() {
                return Ok(Self { path, _lock: Marker(lock) });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where that fails, whoever comes next does it.
        drop(std::fs::remove_dir_all(&self.path));
    }
}
