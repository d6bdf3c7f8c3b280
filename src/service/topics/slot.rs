//! The slot of a process in the state folder: a number that survives restarts, held by a file lock.
//!
//! The names that Kafka knows us by (group member, transactions) are made of it, so they are few and the same after a restart.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::service::slot_folder;

/// More processes than this on one state folder are taken for a mistake.
const SLOTS_MAX: u32 = 256;

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Slot {
    pub number: u32,
    pub folder: PathBuf,
    /// Random, made with the slot's folder: tells it from the same slot of other machines.
    pub instance: String,
    lock: File,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // By name, as a process that was just started here may still have a copy of the file. Where that fails, closing it does it.
        drop(self.lock.unlock());
    }
}

impl Slot {
    /// The slot that is asked for, or the lowest that is free.
    pub(super) fn take(state: &Path, asked: Option<u32>) -> anyhow::Result<Self> {
        if let Some(number) = asked {
            return match Self::try_take(state, number)? {
                Some(slot) => Ok(slot),
                None => bail!("slot {number} of state folder {} is in use by another process", state.display()),
            };
        }
        for number in 0..SLOTS_MAX {
            if let Some(slot) = Self::try_take(state, number)? {
                return Ok(slot);
            }
        }
        bail!("all {SLOTS_MAX} slots of state folder {} are in use", state.display())
    }

    fn try_take(state: &Path, number: u32) -> anyhow::Result<Option<Self>> {
        let folder = slot_folder(state, number)?;
        let unusable = || format!("state folder {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(unusable)?;
        let lock = File::create(folder.join("slot.lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { number, instance: instance(&folder).with_context(unusable)?, folder, lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
        }
    }
}

/// As it was written down when the folder was used first. The slot must be ours.
fn instance(folder: &Path) -> std::io::Result<String> {
    let path = folder.join("instance");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = format!("{:08x}", rand::random::<u32>());
    std::fs::write(&path, &made)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_take_the_lowest_free_slot() {
        let state = tempfile::tempdir().expect("a folder");
        let first = Slot::take(state.path(), None).expect("free");
        let second = Slot::take(state.path(), None).expect("free");
        assert_eq!((first.number, second.number), (0, 1));
        let instance = first.instance.clone();
        assert_ne!(instance, second.instance);
        drop(first);
        let again = Slot::take(state.path(), None).expect("free again");
        assert_eq!((again.number, again.instance.clone()), (0, instance));
        let refusal = Slot::take(state.path(), Some(1)).expect_err("taken").to_string();
        assert!(refusal.contains("slot 1") && refusal.contains("in use"), "{refusal}");
    }
}
