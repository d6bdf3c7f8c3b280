//! Pattern files on disk to a compiled program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::language::{Compiled, ReadSource, Source, compile_read};

/// The texts of a program and what became of them.
#[derive(Debug)]
pub struct Loaded {
    pub sources: Vec<Source>,
    pub compiled: Compiled,
}

/// Reads `.motif` files, and folders for all such files in them and below, in order of their paths; all together are one program.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<Loaded> {
    Ok(compiled(read_sources(paths)?))
}

/// What was read, as one program.
pub fn compiled(read: Vec<ReadSource>) -> Loaded {
    let (sources, compiled) = compile_read(read);
    Loaded { sources, compiled }
}

/// `-` among the paths where it means nothing.
#[derive(Debug, thiserror::Error)]
#[error("-: patterns are not read from standard input here; give a file or a folder (a file of that name is ./-)")]
pub struct NotHere;

/// The texts alone, each once, however often it is named. A folder without a pattern file is an error, as is a path that does not exist.
pub fn read_sources(paths: &[PathBuf]) -> anyhow::Result<Vec<ReadSource>> {
    let mut files = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            return Err(NotHere.into());
        }
        let before = files.len();
        collect(path, &mut files)?;
        if files.len() == before {
            bail!("{}: no .motif file in this folder", path.display());
        }
    }
    files.sort();
    let mut seen = BTreeSet::new();
    // What has no such path cannot be read either, which is said then.
    files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    files.iter().map(|path| read_source(path)).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    if !metadata.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry.with_context(|| path.display().to_string())?.path();
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "motif") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn read_source(path: &Path) -> anyhow::Result<ReadSource> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(ReadSource::of_bytes(path.display().to_string(), bytes))
}
