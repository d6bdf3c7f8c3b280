//! What is wrong with a configuration, in a sentence.

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The outside's fault.
    #[error("{path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error(transparent)]
    Wrong(#[from] ConfigProblem),
}

/// The user's fault, told with the file and, where there is one, the line.
#[derive(Debug, thiserror::Error)]
#[error("{path}{place}: {what}", place = .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ConfigProblem {
    pub path: String,
    /// From 1.
    pub line: Option<usize>,
    pub what: String,
}
