//! `motif fmt`: the canonical text, in place or to standard output.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::args::FmtArguments;
use crate::cli::check::standard_input;
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{print, say_diagnostics};
use crate::language::{ReadSource, format_read};
use crate::service::program;

pub(super) fn fmt(arguments: &FmtArguments) -> anyhow::Result<Outcome> {
    if arguments.patterns == [Path::new("-")] {
        return fmt_standard_input(arguments);
    }
    if arguments.patterns.iter().any(|path| path == Path::new("-")) {
        return Err(UserFault("-: standard input cannot be printed beside files; give - alone, or files".to_owned()).into());
    }
    let mut outcome = Outcome::Fine;
    for read in program::read_sources(&arguments.patterns)? {
        let Some(text) = formatted(&read) else {
            outcome = Outcome::Wrong;
            continue;
        };
        let source = read.source;
        if text == source.text {
            continue;
        }
        if arguments.check {
            say(&format!("{} is not in canonical form; `motif fmt {0}` makes it so", source.path));
            outcome = Outcome::Wrong;
        } else {
            replace(Path::new(&source.path), &text)?;
            say(&format!("{} rewritten", source.path));
        }
    }
    Ok(outcome)
}

fn fmt_standard_input(arguments: &FmtArguments) -> anyhow::Result<Outcome> {
    let read = standard_input()?;
    let Some(text) = formatted(&read) else { return Ok(Outcome::Wrong) };
    if arguments.check {
        return Ok(if text == read.source.text { Outcome::Fine } else { Outcome::Wrong });
    }
    print(&text)?;
    Ok(Outcome::Fine)
}

fn formatted(read: &ReadSource) -> Option<String> {
    format_read(read).map_err(|diagnostics| say_diagnostics(&diagnostics, std::slice::from_ref(&read.source))).ok()
}

/// Beside the file first and then in its place, so that a crash leaves either the old text or the new. Where the path is a link, the file it leads to.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let path = path.canonicalize().with_context(|| path.display().to_string())?;
    let (mut file, beside) = new_file_beside(&path)?;
    let written = (|| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    })();
    if written.is_err() {
        // What is left of it says nothing more than the error does.
        drop(std::fs::remove_file(&beside));
    }
    written.with_context(|| path.display().to_string())
}

/// Of a name that nothing has yet, and that is none of a pattern file.
fn new_file_beside(path: &Path) -> anyhow::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}.new"));
        let beside = PathBuf::from(name);
        match File::create_new(&beside) {
            Ok(file) => return Ok((file, beside)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).context(beside.display().to_string()),
        }
    }
}
