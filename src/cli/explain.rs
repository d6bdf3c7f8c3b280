//! `motif explain`: what became of a pattern.

use crate::automaton::Automaton;
use crate::cli::args::ExplainArguments;
use crate::cli::exit::{Outcome, UserFault};
use crate::cli::text::{print, say_diagnostics};
use crate::language::nearest;
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
            let automaton = Automaton::compile(pattern.clone());
            print(&format!("pattern {}\n{}\n", pattern.name, automaton.dump(&program.schema)))?;
        }
    }
    Ok(Outcome::Fine)
}
