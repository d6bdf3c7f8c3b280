//! Pipes and terminals: read by a thread of their own, so that nobody is kept waiting by what does not come.
//!
//! Memory: the chunks of the queue, one that is being read, and one that is being taken from. The thread ends with the pipe, or when what it has
//! read is no longer wanted; while nothing comes it waits, and does not keep the process from ending.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What is read at a time, in bytes; as much as Linux keeps in a pipe.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that were read and not yet taken.
const CHUNKS_MAX: usize = 4;

/// How long [`Pipe::read`] waits for something to come.
const WAIT: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Pipe {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    /// Bytes of the chunk that were taken.
    taken: usize,
}

/// Whether it is worth waiting for something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    None,
    ALittle,
}

impl Pipe {
    /// `open` may wait as well: for a writer of a named pipe.
    pub(super) fn start(open: impl FnOnce() -> io::Result<File> + Send + 'static) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(CHUNKS_MAX);
        std::thread::Builder::new().name("pipe".to_owned()).spawn(move || pass_on(open, &sender))?;
        Ok(Self { chunks, chunk: Vec::new(), taken: 0 })
    }

    /// Takes what is there; 0 bytes at the end. An error of the kind [`io::ErrorKind::WouldBlock`] where nothing is there now.
    pub(super) fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            let wait = if patience == Patience::None { Duration::ZERO } else { WAIT };
            match self.chunks.recv_timeout(wait) {
                Ok(chunk) => (self.chunk, self.taken) = (chunk?, 0),
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let length = (self.chunk.len() - self.taken).min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

fn pass_on(open: impl FnOnce() -> io::Result<File>, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut file = match open() {
        Ok(file) => file,
        Err(error) => {
            // Nobody wants to know any more where this cannot be sent, here as below.
            drop(chunks.send(Err(error)));
            return;
        }
    };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let chunk = match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = chunk.is_err();
        if chunks.send(chunk).is_err() || failed {
            return;
        }
    }
}
