//! The deployment on Kafka that a configuration file describes, for the commands that look after it.

use std::path::Path;

use crate::cli::exit::UserFault;
use crate::cli::run::check_bindings;
use crate::cli::text::say_diagnostics;
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

/// `None` where the patterns are wrong, which has been said then.
pub(super) fn load(path: &Path) -> anyhow::Result<Option<Loaded>> {
    let config = config::load(path)?;
    if config.kafka.is_none() {
        return Err(UserFault(format!("{}: there is no [kafka] table; this command is for deployments on Kafka", path.display())).into());
    }
    let loaded = program::load(&config.patterns)?;
    if loaded.compiled.has_errors() {
        say_diagnostics(&loaded.compiled.diagnostics, &loaded.sources);
        return Ok(None);
    }
    check_bindings(&config, &loaded.compiled.program)?;
    Ok(Some(Loaded { config, program: loaded.compiled.program, sources: loaded.sources }))
}
