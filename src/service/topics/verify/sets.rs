//! The pattern sets that a journal names: the one that is configured now, and those that the service has kept beside its state and its checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::service::topics::checkpoints::Checkpoints;
use crate::service::topics::pattern_set::Evaluation;

/// Found, or why not.
type Found = Result<Arc<Evaluation>, String>;

pub(super) struct Sets {
    /// The folder of the state, with a folder for each slot.
    state: Option<PathBuf>,
    known: Mutex<BTreeMap<u128, Found>>,
}

impl Sets {
    pub(super) fn new(current: Arc<Evaluation>, state: Option<PathBuf>) -> Self {
        Self { state, known: Mutex::new(BTreeMap::from([(current.hash, Ok(current))])) }
    }

    /// One that was looked for before.
    pub(super) fn get(&self, hash: u128) -> Found {
        self.find(hash, None)
    }

    pub(super) fn find(&self, hash: u128, checkpoints: Option<&Checkpoints>) -> Found {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(hash).or_insert_with(|| self.look_for(hash, checkpoints)).clone()
    }

    fn look_for(&self, hash: u128, checkpoints: Option<&Checkpoints>) -> Found {
        let slots = self.state.as_ref().and_then(|state| std::fs::read_dir(state).ok()).into_iter().flatten().flatten();
        // Each stage has a folder of its own.
        let folders = slots.flat_map(|slot| [slot.path(), slot.path().join("rekeyed")]);
        let here = folders.map(|folder| folder.join("sets").join(format!("{hash:032x}.json"))).find_map(|path| std::fs::read(path).ok());
        let json = match (here, checkpoints) {
            (None, Some(checkpoints)) => checkpoints.get_set(hash).map_err(|error| error.to_string())?,
            (here, _) => here,
        };
        let json = json.ok_or("it is neither in the state folder nor among the checkpoints")?;
        Evaluation::restore(&json, hash).map(Arc::new)
    }
}
