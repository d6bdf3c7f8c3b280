//! Where records come from, outside of Kafka.

use crate::ports::RecordBatch;

/// One partition of one stream that can be read, and unless it is a pipe, read again.
pub trait Source: Send {
    /// Appends the next records to `batch`, at most about `bytes_max` bytes of them (one record may exceed it). Waits a moment at most
    /// where nothing is there yet ([`Read::Pending`]).
    fn read(&mut self, batch: &mut RecordBatch, bytes_max: usize) -> Result<Read, SourceError>;

    /// Goes on from a place that an earlier run has stored: the byte and the record's number.
    fn seek(&mut self, position: u64, offset: u64) -> Result<(), SourceError>;

    /// Bytes that tell the source from another of the same name: of the beginning of what was read, up to the byte `read`. Stored with that position and
    /// compared at the next start.
    fn fingerprint(&mut self, read: u64) -> Result<Vec<u8>, SourceError>;

    /// Refuses to go on where this is not the source that the fingerprint was taken of. One that has only grown since is the same.
    fn verify(&mut self, fingerprint: &[u8]) -> Result<(), SourceError>;

    /// The last batch was what stands at the end without a line's end, alone; the position after it must not be stored.
    fn is_past_unterminated_end(&self) -> bool;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// Some records were appended.
    Records,
    /// Nothing there now; there may be later.
    Pending,
    /// There will be no more.
    End,
}

/// The outside's fault. One sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    /// Not the file that was read before, or shorter than what was read.
    #[error("{path}: {what}")]
    Changed { path: String, what: String },
    /// A pipe cannot be read again.
    #[error("{path} cannot be read again from the middle; give a file instead, or start without the stored state")]
    NotSeekable { path: String },
}
