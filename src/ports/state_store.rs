//! What is kept between runs: an ordered map of bytes, written in atomic batches.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// An ordered map of bytes to bytes. A batch is written whole or not at all; after a crash the map holds the batches up to some point.
pub trait StateStore: Debug + Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the entries with `start <= key < end` in order of their keys, until told to break. Batches written meanwhile may or may not be seen.
    fn scan(&self, start: &[u8], end: &[u8], visit: &mut EntryVisitor<'_>) -> Result<(), StoreError>;

    /// Writes a batch. Survives the process; whether also a loss of power is the store's configuration.
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError>;

    /// Puts a copy of everything as of one batch into a folder that does not exist yet, as files that can be carried elsewhere. Batches may be written meanwhile.
    fn copy_to(&self, folder: &Path) -> Result<(), StoreError>;

    /// Nothing is gained by reading it ahead.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Makes stores that lie beside this one and are no part of it.
    fn scratch(&self) -> Arc<dyn ScratchStores>;
}

/// Makes stores for what is worth nothing after the process: each begins empty, and is gone with the last who has it. They are bounded in the memory that they take.
pub trait ScratchStores: Debug + Send + Sync {
    fn make(&self) -> Result<Arc<dyn StateStore>, StoreError>;
}

/// Is shown a key and its value, and says whether to go on.
pub type EntryVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Changes that belong together, applied in the order: ranges deleted, keys deleted, keys put.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Half open: from the first, up to and without the second.
    pub delete_ranges: Vec<(Vec<u8>, Vec<u8>)>,
    pub deletes: Vec<Vec<u8>>,
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("state folder {path}: {what}")]
    Unusable { path: String, what: String },
    #[error("state folder {path} is in use by another process")]
    InUse { path: String },
    /// It will not get better: what is there is not what was written, or is gone.
    #[error("state folder {path} is damaged: {what}; its disk or somebody else has changed it, and only a copy from before can take its place")]
    Damaged { path: String, what: String },
    #[error("state: {0}")]
    Failed(String),
}
