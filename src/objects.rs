//! Objects in a folder that several machines reach (a network file system, or one machine's own disk).
//!
//! Over the crate `object_store`, which knows the stores of the clouds by the same interface; only folders are built in and tested.

use std::path::{Path as FilePath, PathBuf};

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use crate::ports::{ObjectError, ObjectInfo, Objects};

/// Objects in a folder, under names with `/` between their parts.
pub struct FolderObjects {
    folder: PathBuf,
    store: LocalFileSystem,
    /// The crate speaks in futures; whoever calls us waits.
    runtime: Runtime,
}

impl FolderObjects {
    /// Makes the folder where it is not there. What is put is on the disk when the call returns.
    pub fn open(folder: &FilePath) -> Result<Self, ObjectError> {
        let failed = |what: String| ObjectError { at: folder.display().to_string(), what };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.to_string()))?.with_fsync(true);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("objects").enable_all().build();
        Ok(Self { folder: folder.to_owned(), store, runtime: runtime.map_err(|error| failed(error.to_string()))? })
    }

    fn failed(&self, name: &str, error: &Error) -> ObjectError {
        ObjectError { at: self.folder.display().to_string(), what: format!("{name}: {error}") }
    }

    fn write(&self, name: &str, bytes: Vec<u8>, mode: PutMode) -> Result<bool, ObjectError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(&Path::from(name), bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, &error)),
        }
    }
}

impl Objects for FolderObjects {
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ObjectError> {
        self.write(name, bytes, PutMode::Create)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        self.write(name, bytes, PutMode::Overwrite).map(drop)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        let got = self.runtime.block_on(async { self.store.get(&Path::from(name)).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
        let prefix = Path::from(folder);
        self.runtime.block_on(async {
            let mut found = Vec::new();
            let mut objects = self.store.list(Some(&prefix));
            while let Some(object) = objects.next().await {
                match object {
                    Ok(object) => found.push(ObjectInfo { name: object.location.to_string(), modified: object.last_modified.into() }),
                    // Another process has deleted it meanwhile.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed(folder, &error)),
                }
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        match self.runtime.block_on(self.store.delete(&Path::from(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_made_once_replaced_listed_and_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = FolderObjects::open(&folder.path().join("new/one")).expect("opens");
        let names = |folder| objects.list(folder).expect("lists").into_iter().map(|object| object.name).collect::<Vec<_>>();
        assert_eq!(names("a"), [""; 0]);
        assert!(objects.create("a/1/x", b"1".to_vec()).expect("made"));
        assert!(!objects.create("a/1/x", b"2".to_vec()).expect("there"), "made once");
        assert_eq!(objects.get("a/1/x").expect("read").as_deref(), Some(b"1".as_slice()));
        objects.put("a/1/x", b"3".to_vec()).expect("replaced");
        objects.put("a/10/y", Vec::new()).expect("made");
        assert_eq!(objects.get("a/1/x").expect("read").as_deref(), Some(b"3".as_slice()));
        assert_eq!(names("a"), ["a/1/x", "a/10/y"]);
        assert_eq!(names("a/1"), ["a/1/x"], "a folder, not any beginning of a name");
        for _ in 0..2 {
            objects.delete("a/1/x").expect("deleted");
        }
        assert_eq!(objects.get("a/1/x").expect("read"), None);
    }
}
