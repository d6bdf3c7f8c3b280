//! Objects under names: what is carried from machine to machine.

use std::time::SystemTime;

/// A store of whole objects, reached from several machines. Nothing is ever changed in place.
pub trait Objects: Send + Sync {
    /// Makes an object, where none of this name is there; says whether it did.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ObjectError>;

    /// Makes an object or replaces it.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError>;

    /// `None`: there is none.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError>;

    /// All objects whose names begin with this folder's.
    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>, ObjectError>;

    /// Fine where it is gone already.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    pub name: String,
    pub modified: SystemTime,
}

/// Something could not be stored, read or listed.
#[derive(Debug, thiserror::Error)]
#[error("checkpoints at {at}: {what}")]
pub struct ObjectError {
    pub at: String,
    pub what: String,
    pub fault: ObjectFault,
}

/// Whose fault it is, and so whether trying again helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectFault {
    /// The store is away, slow or broken: it may be better in a moment.
    Store,
    /// The store refuses what we ask: it stays like that until somebody changes the configuration, the credentials, or the store.
    Setup,
}
