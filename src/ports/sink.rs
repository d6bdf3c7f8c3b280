//! Where lines go: matches, late events, rejected records.

/// An output of lines. What is appended becomes durable with `sync`; what was not yet committed is cut off at the next start.
pub trait LineSink: Send {
    /// Appends whole lines, their ends included.
    fn append(&mut self, lines: &[u8]) -> Result<(), SinkError>;

    /// Returns when everything appended would survive a loss of power. Nothing to do for standard output.
    fn sync(&mut self) -> Result<(), SinkError>;

    /// Bytes so far.
    fn length(&self) -> u64;

    /// Cuts off what lies beyond the committed length. An error where the output is shorter than that, or cannot be cut.
    fn cut(&mut self, length: u64) -> Result<(), SinkError>;
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error(
        "{path} holds {found} bytes, but {committed} were committed: it was shortened or replaced from outside; put the file back, or begin anew with a new state folder"
    )]
    Shorter { path: String, found: u64, committed: u64 },
    #[error("{path} is gone, but {committed} bytes of it were committed; put the file back, or begin anew with a new state folder")]
    Gone { path: String, committed: u64 },
    #[error("{path} is not empty, and no state knows it; give --overwrite, or another file")]
    NotEmpty { path: String },
}
