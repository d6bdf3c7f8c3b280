//! The files of a run: each is for one thing only.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::exit::UserFault;
use crate::config::{Config, Origin};
use crate::language::Source;

/// How the user names the outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spelling {
    Options,
    Configuration,
}

/// What tells a file from others. Devices are nobody's.
#[derive(PartialEq, Eq)]
enum Identity {
    There {
        device: u64,
        number: u64,
    },
    /// Not made yet.
    Named(PathBuf),
}

/// Refuses what would write over what it reads, or write two outputs into one.
pub(super) fn refuse_shared(config: &Config, patterns: &[Source], spelling: Spelling) -> Result<(), UserFault> {
    let output = &config.output;
    let names = match spelling {
        Spelling::Options => ["--output", "--late", "--rejected"],
        Spelling::Configuration => ["output.file", "output.late_file", "output.rejected_file"],
    };
    let outputs = [&output.matches, &output.late, &output.rejected];
    let mut taken: Vec<(&str, Identity)> = Vec::new();
    for (name, path) in names.into_iter().zip(outputs).filter_map(|(name, path)| Some((name, path.as_deref()?))) {
        let Some(identity) = identity(path) else { continue };
        let shown = path.display();
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == identity) {
            return Err(UserFault(format!("{other} and {name} are the same file {shown}; give each its own")));
        }
        let is_it = |path: &Path| self::identity(path).as_ref() == Some(&identity);
        if inputs(config).any(is_it) {
            return Err(UserFault(format!("{shown} is read and cannot be written at the same time; give another file with {name}")));
        }
        if patterns.iter().any(|source| is_it(Path::new(&source.path))) {
            return Err(UserFault(format!("{shown} is a pattern file of this run and cannot be written; give another file with {name}")));
        }
        if config.file.as_deref().is_some_and(is_it) {
            return Err(UserFault(format!("{shown} is the configuration of this run and cannot be written; give another file with {name}")));
        }
        taken.push((name, identity));
    }
    Ok(())
}

fn inputs(config: &Config) -> impl Iterator<Item = &Path> {
    config.streams.values().filter_map(|stream| match &stream.origin {
        Origin::File { path, .. } => Some(path.as_path()),
        _ => None,
    })
}

fn identity(path: &Path) -> Option<Identity> {
    match std::fs::metadata(path) {
        Ok(metadata) => metadata.is_file().then(|| Identity::There { device: metadata.dev(), number: metadata.ino() }),
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(Identity::Named(folder.canonicalize().ok()?.join(path.file_name()?)))
        }
    }
}
