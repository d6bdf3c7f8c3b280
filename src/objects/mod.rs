//! Where checkpoints lie: a folder that several machines reach (a network file system, or one machine's own disk), or a bucket of S3 or of a store that speaks its
//! language.
//!
//! Over the crate `object_store`, which has one interface for both. Whoever calls waits. Short failures of a bucket's store (a lost connection, an answer that does not
//! come, 5xx) are tried again in here, for [`Patience::retry`]; what is reported after that says in a sentence whose fault it is.
//!
//! In a folder, directories are there as long as there is something in them, as in a bucket.

mod bucket;
mod fault;

use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use crate::ports::{ObjectError, ObjectFault, ObjectInfo, Objects};

pub use bucket::{AccessKey, Bucket, Patience};

/// How often an object is put where somebody else removes its directory, which was empty a moment before.
const PUTS_MAX: usize = 5;

/// Objects in a folder or a bucket, under names with `/` between their parts.
pub struct StoredObjects {
    /// As users write it.
    at: String,
    store: Arc<dyn ObjectStore>,
    /// Says what an error of this store means.
    explain: fn(&Error) -> (String, ObjectFault),
    /// The crate speaks in futures; whoever calls us waits.
    runtime: Runtime,
}

impl StoredObjects {
    /// Makes the folder where it is not there. What is put is on the disk when the call returns.
    pub fn in_folder(folder: &FilePath) -> Result<Self, ObjectError> {
        let at = folder.display().to_string();
        std::fs::create_dir_all(folder).map_err(|error| unusable(&at, &error))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| unusable(&at, &error))?.with_fsync(true).with_automatic_cleanup(true);
        Self::over(at, Arc::new(store), fault::of_folder)
    }

    /// Asks nothing of the store yet.
    pub fn in_bucket(bucket: &Bucket) -> Result<Self, ObjectError> {
        let at = bucket.to_string();
        let store = bucket.connect().map_err(|what| ObjectError { at: at.clone(), what, fault: ObjectFault::Setup })?;
        Self::over(at, Arc::new(PrefixStore::new(store, bucket.prefix.as_str())), fault::of_bucket)
    }

    fn over(at: String, store: Arc<dyn ObjectStore>, explain: fn(&Error) -> (String, ObjectFault)) -> Result<Self, ObjectError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("objects").enable_all().build();
        let runtime = runtime.map_err(|error| unusable(&at, &error))?;
        Ok(Self { at, store, explain, runtime })
    }

    fn failed(&self, name: &str, error: &Error) -> ObjectError {
        let (what, fault) = (self.explain)(error);
        ObjectError { at: self.at.clone(), what: format!("{name}: {what}"), fault }
    }

    fn write(&self, name: &str, bytes: Vec<u8>, mode: PutMode) -> Result<bool, ObjectError> {
        let (path, payload, options) = (Path::from(name), PutPayload::from(bytes), PutOptions { mode, ..PutOptions::default() });
        let mut puts = 0;
        loop {
            puts += 1;
            match self.runtime.block_on(self.store.put_opts(&path, payload.clone(), options.clone())) {
                Ok(_) => return Ok(true),
                Err(Error::AlreadyExists { .. }) => return Ok(false),
                Err(error) if fault::is_directory_gone(&error) && puts < PUTS_MAX => {}
                Err(error) => return Err(self.failed(name, &error)),
            }
        }
    }
}

/// Before anything was asked of the store.
fn unusable(at: &str, error: &dyn std::error::Error) -> ObjectError {
    ObjectError { at: at.to_owned(), what: error.to_string(), fault: ObjectFault::Setup }
}

impl Objects for StoredObjects {
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
            Err(error) if fault::is_no_such_object(&error) => Ok(None),
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
                    Err(error) if fault::is_no_such_object(&error) => {}
                    Err(error) => return Err(self.failed(folder, &error)),
                }
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        match self.runtime.block_on(self.store.delete(&Path::from(name))) {
            Ok(()) => Ok(()),
            Err(error) if fault::is_no_such_object(&error) => Ok(()),
            Err(error) => Err(self.failed(name, &error)),
        }
    }
}

#[cfg(test)]
mod tests;
