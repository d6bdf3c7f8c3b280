//! `motif fmt`: the canonical text, in place or to standard output.

use std::path::Path;

use anyhow::Context;

use crate::cli::args::FmtArguments;
use crate::cli::check::standard_input;
use crate::cli::exit::{Outcome, say};
use crate::cli::text::{print, say_diagnostics};
use crate::language::{ReadSource, format_read};
use crate::service::program;

pub(super) fn fmt(arguments: &FmtArguments) -> anyhow::Result<Outcome> {
    if arguments.patterns == [Path::new("-")] {
        return fmt_standard_input(arguments);
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

/// Beside the file first and then in its place, so that a crash leaves either the old text or the new.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("motif.new");
    std::fs::write(&beside, text).with_context(|| beside.display().to_string())?;
    std::fs::set_permissions(&beside, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(&beside, path).with_context(|| path.display().to_string())
}
