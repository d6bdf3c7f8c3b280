//! Standard input and output.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;

use crate::file::source::{AtEnd, FileSource};
use crate::ports::{LineSink, Read, RecordBatch, SinkError, Source, SourceError};

const INPUT: &str = "standard input";
const OUTPUT: &str = "standard output";

/// Standard input: a file where one was redirected (`< file`), which can be read again; else a pipe or a terminal.
#[derive(Debug)]
pub struct StdinSource(FileSource);

impl StdinSource {
    pub fn open(record_bytes_max: usize) -> Result<Self, SourceError> {
        let open = || {
            let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            // Whoever had it before may have read a part of it.
            let position = if file.metadata()?.is_file() { file.stream_position()? } else { 0 };
            let mut source = FileSource::of(file, INPUT.to_owned(), AtEnd::Finish, record_bytes_max)?;
            source.begin_at(position);
            Ok(Self(source))
        };
        open().map_err(|error| SourceError::Io { path: INPUT.to_owned(), error })
    }
}

impl Source for StdinSource {
    fn read(&mut self, batch: &mut RecordBatch, bytes_max: usize) -> Result<Read, SourceError> {
        self.0.read(batch, bytes_max)
    }

    fn seek(&mut self, position: u64, offset: u64) -> Result<(), SourceError> {
        self.0.seek(position, offset)
    }

    fn fingerprint(&mut self, read: u64) -> Result<Vec<u8>, SourceError> {
        self.0.fingerprint(read)
    }

    fn verify(&mut self, fingerprint: &[u8]) -> Result<(), SourceError> {
        self.0.verify(fingerprint)
    }

    fn is_past_unterminated_end(&self) -> bool {
        self.0.is_past_unterminated_end()
    }
}

/// Standard output. What was written cannot be taken back. Where nobody reads any more, the error is of the kind
/// [`io::ErrorKind::BrokenPipe`].
#[derive(Debug, Default)]
pub struct StdoutSink {
    length: u64,
}

impl StdoutSink {
    pub fn new() -> Self {
        Self::default()
    }
}

impl LineSink for StdoutSink {
    fn append(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let mut out = io::stdout().lock();
        out.write_all(lines).and_then(|()| out.flush()).map_err(failed)?;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn cut(&mut self, length: u64) -> Result<(), SinkError> {
        if length == self.length { Ok(()) } else { Err(failed(io::Error::other("what was written cannot be taken back; give a file with --output"))) }
    }
}

fn failed(error: io::Error) -> SinkError {
    SinkError::Io { path: OUTPUT.to_owned(), error }
}
