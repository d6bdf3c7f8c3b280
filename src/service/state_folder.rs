//! The folder that the user names for state: it holds one folder for each slot, named by its number, and nothing of anybody else but what file
//! systems put everywhere.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::ports::StoreError;
use crate::service::shown;

/// The folder of a slot, which need not be there yet.
///
/// # Errors
///
/// The state folder is none, or holds something else: nothing is made in it then.
pub(super) fn slot_folder(state: &Path, slot: u32) -> Result<PathBuf, StoreError> {
    let unusable = |what: String| StoreError::Unusable { path: shown(state), what };
    match std::fs::read_dir(state) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(|error| unusable(error.to_string()))?.file_name();
                if !is_slot(&name) && !is_of_the_file_system(&name) {
                    let name = name.display();
                    return Err(unusable(format!("it holds {name} and is not a state folder of motif; give an empty folder or a new one")));
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(unusable("it is not a folder; give an empty folder or a new one".to_owned()));
        }
        Err(error) => return Err(unusable(error.to_string())),
    }
    Ok(state.join(slot.to_string()))
}

fn is_slot(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<u32>().is_ok_and(|number| number.to_string() == name))
}

/// A mounted volume is a folder that is not quite empty.
fn is_of_the_file_system(name: &OsStr) -> bool {
    name == "lost+found" || name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_or_one_of_slots_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        assert_eq!(slot_folder(&state, 0).expect("new"), state.join("0"));
        assert!(!state.exists(), "asking makes nothing");
        for slot in ["0", "17", "lost+found", ".snapshot"] {
            std::fs::create_dir_all(state.join(slot)).expect("a slot");
        }
        assert_eq!(slot_folder(&state, 3).expect("of slots"), state.join("3"));
        for other in ["letter.txt", "007", "-1"] {
            std::fs::write(state.join(other), "").expect("written");
            let refusal = slot_folder(&state, 0).expect_err("of somebody else").to_string();
            assert!(refusal.contains(&format!("it holds {other} and is not a state folder")), "{refusal}");
            std::fs::remove_file(state.join(other)).expect("removed");
        }
        std::fs::write(folder.path().join("file"), "").expect("written");
        assert!(slot_folder(&folder.path().join("file"), 0).expect_err("a file").to_string().contains("not a folder"));
    }
}
