//! What the service tells its operators: logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Why a filter of logs cannot be read; `None`: it can be.
pub fn fault_of_filter(filter: &str) -> Option<String> {
    EnvFilter::try_new(filter).err().map(|error| error.to_string())
}

/// Sends the logs that the filter lets through to standard error: text on a terminal, one JSON object a line elsewhere. A filter that
/// cannot be read counts as `warn`.
pub fn start_logging(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Logging may be on already, where the library's user has set it up.
    drop(if std::io::stderr().is_terminal() { logs.without_time().with_target(false).try_init() } else { logs.json().try_init() });
}
