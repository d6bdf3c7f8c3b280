//! `motif explain`: what a pattern does, in words, as its automaton, or as a diagram.

use std::sync::Arc;

use crate::automaton::{Automaton, DiagramFormat};
use crate::cli::args::{ExplainArguments, View};
use crate::cli::exit::{Outcome, UserFault};
use crate::cli::text::{print, say_diagnostics};
use crate::event::Schema;
use crate::language::nearest;
use crate::pattern::Pattern;
use crate::service::program;

pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<Outcome> {
    let loaded = program::load(&arguments.patterns)?;
    say_diagnostics(&loaded.compiled.diagnostics, &loaded.sources);
    if loaded.compiled.has_errors() {
        return Ok(Outcome::Wrong);
    }
    let program = &loaded.compiled.program;
    if let Some(wanted) = &arguments.pattern
        && !program.patterns.iter().any(|pattern| pattern.name == *wanted)
    {
        let hint = nearest(wanted, program.patterns.iter().map(|pattern| pattern.name.as_str()));
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(UserFault(format!("no pattern `{wanted}` in these files{hint}")).into());
    }
    for pattern in &program.patterns {
        if arguments.pattern.as_ref().is_none_or(|wanted| *wanted == pattern.name) {
            print(&shown(pattern, &program.schema, arguments.view))?;
        }
    }
    Ok(Outcome::Fine)
}

fn shown(pattern: &Arc<Pattern>, schema: &Schema, view: View) -> String {
    let automaton = || Automaton::compile(pattern.clone());
    match view {
        View::Words => format!("{}\n", pattern.words(schema)),
        View::Dump => format!("pattern {}\n{}\n", pattern.name, automaton().dump(schema)),
        View::Graphviz => automaton().diagram(schema, DiagramFormat::Graphviz),
        View::Mermaid => automaton().diagram(schema, DiagramFormat::Mermaid),
    }
}
