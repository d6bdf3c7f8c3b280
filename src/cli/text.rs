//! Standard output and its readers: a terminal gets text, anything else JSON, unless said otherwise.

use std::io::{IsTerminal, Write};

use crate::cli::args::Format;
use crate::language::{Diagnostic, RenderStyle, Source, render};

/// What the user asked for, or what fits whoever reads.
pub(super) fn format_or_default(asked: Option<Format>) -> Format {
    asked.unwrap_or(if std::io::stdout().is_terminal() { Format::Text } else { Format::Json })
}

pub(super) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Diagnostics for a terminal or a pipe, on standard error.
pub(super) fn say_diagnostics(diagnostics: &[Diagnostic], sources: &[Source]) {
    if diagnostics.is_empty() {
        return;
    }
    let style = if std::io::stderr().is_terminal() { RenderStyle::Colored } else { RenderStyle::Plain };
    // Where standard error is closed there is nobody to tell.
    drop(std::io::stderr().write_all(render(diagnostics, sources, style).as_bytes()));
}

/// What keeps a command from beginning: as JSON it is the result; for people it is said on standard error.
pub(super) fn show_errors(diagnostics: &[Diagnostic], sources: &[Source], asked: Option<Format>) -> std::io::Result<()> {
    if asked == Some(Format::Json) {
        return print(&render(diagnostics, sources, RenderStyle::Json));
    }
    say_diagnostics(diagnostics, sources);
    Ok(())
}

/// `1 match`, `2 matches`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
