//! The deployment on Kafka that a configuration file describes, for the commands that look after it.

use std::path::Path;

use crate::cli::args::Format;
use crate::cli::exit::UserFault;
use crate::cli::run::check_bindings;
use crate::cli::text::show_errors;
use crate::config::{self, Config};
use crate::language::Source;
use crate::pattern::Program;
use crate::service::program;

/// The configuration and its patterns.
pub(super) struct Loaded {
    pub config: Config,
    pub program: Program,
    pub sources: Vec<Source>,
}

/// `None` where the patterns are wrong, which has been shown then.
pub(super) fn load(path: &Path, format: Format) -> anyhow::Result<Option<Loaded>> {
    let config = config::load(path)?;
    if config.kafka.is_none() {
        return Err(UserFault(format!("{}: there is no [kafka] table; this command is for deployments on Kafka", path.display())).into());
    }
    let loaded = program::load(&config.patterns)?;
    if loaded.compiled.has_errors() {
        show_errors(&loaded.compiled.diagnostics, &loaded.sources, Some(format))?;
        return Ok(None);
    }
    check_bindings(&config, &loaded.compiled.program)?;
    Ok(Some(Loaded { config, program: loaded.compiled.program, sources: loaded.sources }))
}
