//! Files as outputs.
//!
//! One process writes a file at a time: it holds the file's lock. Lines are written at the length that is known, so that after a write that failed
//! half way the next one stands in its place.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::ports::{LineSink, SinkError};

/// What becomes of a file that holds something already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It is not touched, and opening fails.
    Refuse,
    /// Its content goes.
    Overwrite,
    /// Lines are appended to it.
    Continue,
}

/// A file of lines. Also a device or a pipe, which has no length to cut and nothing to sync.
#[derive(Debug)]
pub struct FileSink {
    path: String,
    file: File,
    is_regular: bool,
    length: u64,
}

impl FileSink {
    /// Makes the file where there is none; its folder must be there.
    pub fn open(path: &Path, existing: Existing) -> Result<Self, SinkError> {
        let name = path.display().to_string();
        let failed = |error| SinkError::Io { path: name.clone(), error };
        let is_new = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let is_regular = file.metadata().map_err(failed)?.is_file();
        if is_regular {
            lock(&file).map_err(failed)?;
        }
        // Only now: another process may have written to it before its lock was free.
        let mut length = file.metadata().map_err(failed)?.len();
        if is_regular && length > 0 {
            match existing {
                Existing::Refuse => return Err(SinkError::NotEmpty { path: name }),
                Existing::Overwrite => {
                    file.set_len(0).map_err(failed)?;
                    length = 0;
                }
                Existing::Continue => {}
            }
        }
        if is_new {
            sync_folder_of(path).map_err(failed)?;
        }
        Ok(Self { path: name, file, is_regular, length: if is_regular { length } else { 0 } })
    }

    fn failed(&self, error: io::Error) -> SinkError {
        SinkError::Io { path: self.path.clone(), error }
    }
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::WouldBlock, "another process is writing to it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Without it a new file's name would not survive a loss of power.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if self.is_regular {
            // By name, as a process that was just started here may still have a copy of the file. Where that fails, closing it does it.
            drop(self.file.unlock());
        }
    }
}

impl LineSink for FileSink {
    fn append(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let written = if self.is_regular { self.file.write_all_at(lines, self.length) } else { io::Write::write_all(&mut self.file, lines) };
        written.map_err(|error| self.failed(error))?;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        if !self.is_regular {
            return Ok(());
        }
        self.file.sync_data().map_err(|error| self.failed(error))
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn cut(&mut self, length: u64) -> Result<(), SinkError> {
        if self.is_regular {
            let found = self.file.metadata().map_err(|error| self.failed(error))?.len();
            if found < length {
                return Err(SinkError::Shorter { path: self.path.clone(), found, committed: length });
            }
            self.file.set_len(length).map_err(|error| self.failed(error))?;
        }
        self.length = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn what_is_there_is_refused_overwritten_or_continued() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let append = |existing, lines: &str| -> Result<u64, SinkError> {
            let mut sink = FileSink::open(&path, existing)?;
            sink.append(lines.as_bytes())?;
            sink.sync()?;
            Ok(sink.length())
        };
        assert_eq!(append(Existing::Refuse, "").expect("a new file"), 0);
        assert_eq!(append(Existing::Refuse, "one\n").expect("an empty file"), 4);
        assert!(matches!(append(Existing::Refuse, "two\n"), Err(SinkError::NotEmpty { .. })));
        assert_eq!(text(&path), "one\n");
        assert_eq!(append(Existing::Continue, "two\n").expect("continued"), 8);
        assert_eq!(text(&path), "one\ntwo\n");
        assert_eq!(append(Existing::Overwrite, "3\n").expect("overwritten"), 2);
        assert_eq!(text(&path), "3\n");
    }

    #[test]
    fn lines_that_were_not_committed_are_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let mut sink = FileSink::open(&path, Existing::Refuse).expect("a new file");
        sink.append(b"one\ntwo\n").expect("written");
        drop(sink);
        let mut sink = FileSink::open(&path, Existing::Continue).expect("a file");
        sink.cut(4).expect("long enough");
        assert_eq!(text(&path), "one\n");
        sink.append(b"3\n").expect("written");
        assert_eq!((text(&path), sink.length()), ("one\n3\n".to_owned(), 6));
        assert!(matches!(sink.cut(7), Err(SinkError::Shorter { found: 6, committed: 7, .. })));
    }

    #[test]
    fn one_process_writes_a_file_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let first = FileSink::open(&path, Existing::Overwrite).expect("a new file");
        let error = FileSink::open(&path, Existing::Overwrite).expect_err("locked").to_string();
        assert!(error.contains("another process is writing to it"), "{error}");
        drop(first);
        FileSink::open(&path, Existing::Overwrite).expect("free again");
    }

    #[test]
    fn a_device_takes_lines_and_has_nothing_to_cut() {
        let mut sink = FileSink::open(Path::new("/dev/null"), Existing::Refuse).expect("a device");
        sink.append(b"one\n").expect("written");
        sink.sync().expect("nothing to do");
        sink.cut(0).expect("nothing to do");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = FileSink::open(Path::new("/nowhere/at/all.jsonl"), Existing::Refuse).expect_err("no folder").to_string();
        assert!(error.starts_with("/nowhere/at/all.jsonl: "), "{error}");
    }
}
