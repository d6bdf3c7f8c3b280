//! `motif check`: everything that is wrong with the texts, at once.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::args::{CheckArguments, Format};
use crate::cli::exit::{Outcome, say};
use crate::cli::text::{counted, print};
use crate::language::{ReadSource, RenderStyle, Severity, render};
use crate::service::program::{self, Loaded};

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Outcome> {
    let (typed, paths): (Vec<PathBuf>, Vec<PathBuf>) = arguments.patterns.iter().cloned().partition(|path| path == Path::new("-"));
    let mut read = program::read_sources(&paths)?;
    if !typed.is_empty() {
        read.push(standard_input()?);
    }
    let Loaded { sources, compiled } = program::compiled(read);
    let style = match arguments.format {
        Format::Json => RenderStyle::Json,
        Format::Text if std::io::stdout().is_terminal() => RenderStyle::Colored,
        Format::Text => RenderStyle::Plain,
    };
    print(&render(&compiled.diagnostics, &sources, style))?;
    let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count() as u64;
    let warnings = compiled.diagnostics.len() as u64 - errors;
    let more = compiled.diagnostics.first().filter(|_| arguments.format == Format::Text);
    let more = more.map(|diagnostic| format!("; `motif explain {}` says more", diagnostic.code)).unwrap_or_default();
    let found = format!("{}, {}{more}", counted(errors, "error", "errors"), counted(warnings, "warning", "warnings"));
    if errors > 0 {
        say(&found);
        return Ok(Outcome::Wrong);
    }
    let patterns = counted(compiled.program.patterns.len() as u64, "pattern", "patterns");
    let tests = counted(compiled.tests.len() as u64, "test", "tests");
    say(&format!("{patterns}, {tests}: {found}"));
    Ok(Outcome::Fine)
}

/// Standard input as a source.
pub(super) fn standard_input() -> anyhow::Result<ReadSource> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
    Ok(ReadSource::of_bytes("<stdin>".to_owned(), bytes))
}
