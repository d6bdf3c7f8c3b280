//! Diagnostics as text for people and as JSON for programs.
//!
//! ```text
//! error[E0007]: expected a name, found `{`
//!  --> rules/cards.motif:3:8
//!   |
//! 3 | stream {
//!   |        ^ not expected here
//!   |
//!   = help: …
//! ```
//!
//! Lines and columns count from 1, columns in characters. However long a line is, what is shown of it is bounded.

mod excerpt;
mod json;
mod places;

use annotate_snippets::{Group, Level, Renderer, normalize_untrusted_str};

use crate::language::diagnostic::{Diagnostic, Severity};
use crate::language::render::excerpt::{Excerpt, excerpts, with_true_columns};
use crate::language::span::Source;

pub use places::Places;

/// How diagnostics are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenderStyle {
    /// For people, without colours.
    Plain,
    /// For people, with the colours of a terminal.
    Colored,
    /// One object a line: `code, severity, message, path, line, column, end_line, end_column, label, help, secondary`.
    Json,
}

/// All of `diagnostics` in their order; `sources` are the texts that were compiled.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], style: RenderStyle) -> String {
    let places: Vec<Places<'_>> = sources.iter().map(Places::of).collect();
    let renderer = match style {
        RenderStyle::Plain => Renderer::plain(),
        RenderStyle::Colored => Renderer::styled(),
        RenderStyle::Json => return diagnostics.iter().map(|diagnostic| json::line(diagnostic, &places) + "\n").collect(),
    };
    diagnostics.iter().map(|diagnostic| readable(diagnostic, &places, &renderer) + "\n\n").collect()
}

fn readable(diagnostic: &Diagnostic, places: &[Places<'_>], renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let excerpts = excerpts(diagnostic, places);
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.text()));
    group = group.elements(excerpts.iter().map(Excerpt::snippet));
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
    }
    with_true_columns(renderer.render(&[group]), &excerpts)
}

#[cfg(test)]
mod tests;
