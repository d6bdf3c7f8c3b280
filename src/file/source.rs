//! Files as sources.
//!
//! A file may only grow. What was read of it is told by its byte; that it is still the same file by a fingerprint: how long its beginning is that was
//! hashed (8 bytes, the lowest first), and the xxh3-128 of that (16 bytes).

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::file::lines::Lines;
use crate::file::pipe::{Patience, Pipe};
use crate::ports::{Read, RecordBatch, Source, SourceError};

/// What a fingerprint covers of a file at most, in bytes.
const FINGERPRINT_BYTES: usize = 64 << 10;

/// As much is passed over in one go where there is no record in it, in bytes: so that who asks to stop is heard even while a line never ends.
const PASSED_OVER_BYTES_MAX: u64 = 16 << 20;

/// What the end of a file means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtEnd {
    /// There will be no more: what stands there without a line's end is the last record.
    Finish,
    /// There may be more later: a line without its end waits for it.
    Follow,
}

/// A file, one record a line. Also whatever else can be opened by a path (a named pipe); that cannot be read twice.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    /// Where to look whether the file was replaced; `None`: it has no path.
    path: Option<PathBuf>,
    medium: Medium,
    at_end: AtEnd,
    lines: Lines,
    last_line: LastLine,
    /// Once it covers all that a fingerprint can.
    fingerprint: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Medium {
    /// Can be read at any place, and again.
    File(File),
    Pipe(Pipe),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastLine {
    NotReached,
    HandedOut,
    Over,
}

impl FileSource {
    /// Records longer than `record_bytes_max` are handed out cut off.
    pub fn open(path: &Path, at_end: AtEnd, record_bytes_max: usize) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let failed = |error| SourceError::Io { path: name.clone(), error };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() && !metadata.is_dir() {
            let path = path.to_owned();
            let pipe = Pipe::start(move || File::open(path)).map_err(failed)?;
            return Ok(Self::new(name, Medium::Pipe(pipe), at_end, record_bytes_max));
        }
        let file = File::open(path).map_err(failed)?;
        let mut source = Self::of(file, name.clone(), at_end, record_bytes_max).map_err(failed)?;
        source.path = Some(path.to_owned());
        Ok(source)
    }

    /// An open file, read from its beginning.
    pub(super) fn of(file: File, name: String, at_end: AtEnd, record_bytes_max: usize) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let medium = if metadata.is_file() { Medium::File(file) } else { Medium::Pipe(Pipe::start(move || Ok(file))?) };
        Ok(Self::new(name, medium, at_end, record_bytes_max))
    }

    fn new(name: String, medium: Medium, at_end: AtEnd, record_bytes_max: usize) -> Self {
        // What is no file ends once nobody writes to it any more.
        let at_end = if matches!(medium, Medium::File(_)) { at_end } else { AtEnd::Finish };
        let lines = Lines::new(record_bytes_max);
        Self { name, path: None, medium, at_end, lines, last_line: LastLine::NotReached, fingerprint: None }
    }

    /// Reads on after the byte `position`, which is taken for the beginning of line 0.
    pub(super) fn begin_at(&mut self, position: u64) {
        self.lines.seek(position, 0);
    }

    fn file(&self) -> Option<&File> {
        match &self.medium {
            Medium::File(file) => Some(file),
            Medium::Pipe(_) => None,
        }
    }

    fn fill(&mut self, patience: Patience) -> Result<Fill, SourceError> {
        let medium = &mut self.medium;
        let read = |position: u64, buffer: &mut [u8]| match medium {
            Medium::File(file) => file.read_at(buffer, position),
            Medium::Pipe(pipe) => pipe.read(buffer, patience),
        };
        match self.lines.fill(read) {
            Ok(true) => Ok(Fill::Bytes),
            Ok(false) => Ok(Fill::End),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Fill::Pending),
            Err(error) => Err(SourceError::Io { path: self.name.clone(), error }),
        }
    }

    /// Nothing is left to read now, and the batch is empty.
    fn at_end(&mut self, batch: &mut RecordBatch) -> Result<Read, SourceError> {
        match self.at_end {
            AtEnd::Finish => {
                self.lines.take_unterminated(batch);
                let (last_line, read) = if batch.is_empty() { (LastLine::Over, Read::End) } else { (LastLine::HandedOut, Read::Records) };
                self.last_line = last_line;
                Ok(read)
            }
            AtEnd::Follow => {
                self.refuse_if_replaced()?;
                Ok(Read::Pending)
            }
        }
    }

    /// A file that is followed may only grow: one that was cut or moved away (as logs are rotated) would be waited for in vain.
    fn refuse_if_replaced(&self) -> Result<(), SourceError> {
        let Some(file) = self.file() else { return Ok(()) };
        let open = self.metadata(file)?;
        let length = open.len();
        let position = self.lines.read_position();
        if length < position {
            return Err(self.changed(format!("{position} bytes of it were read, but it has only {length} now; a file that is read may only grow")));
        }
        let Some(path) = &self.path else { return Ok(()) };
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => Ok(()),
            Ok(_) => Err(self.changed("another file has taken its place; a file that is read may only grow".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.changed("it was removed while it was read".to_owned())),
            Err(error) => Err(SourceError::Io { path: self.name.clone(), error }),
        }
    }

    /// Fingerprint of the first `bytes` bytes, or of as many as there are.
    fn fingerprint_of(&self, file: &File, bytes: usize) -> Result<Vec<u8>, SourceError> {
        let mut beginning = vec![0; bytes];
        let mut length = 0;
        while length < bytes {
            match file.read_at(&mut beginning[length..], length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::Io { path: self.name.clone(), error }),
            }
        }
        let mut fingerprint = (length as u64).to_le_bytes().to_vec();
        fingerprint.extend(xxh3_128(&beginning[..length]).to_le_bytes());
        Ok(fingerprint)
    }

    fn metadata(&self, file: &File) -> Result<std::fs::Metadata, SourceError> {
        file.metadata().map_err(|error| SourceError::Io { path: self.name.clone(), error })
    }

    fn changed(&self, what: String) -> SourceError {
        SourceError::Changed { path: self.name.clone(), what }
    }
}

impl Source for FileSource {
    fn read(&mut self, batch: &mut RecordBatch, bytes_max: usize) -> Result<Read, SourceError> {
        match self.last_line {
            LastLine::NotReached => {}
            LastLine::HandedOut | LastLine::Over => {
                self.last_line = LastLine::Over;
                return Ok(Read::End);
            }
        }
        assert!(batch.is_empty(), "a batch is filled from empty");
        let begin = self.lines.read_position();
        loop {
            self.lines.take(batch, bytes_max);
            if self.lines.is_full(batch, bytes_max) {
                return Ok(Read::Records);
            }
            if batch.is_empty() && self.lines.read_position() - begin > PASSED_OVER_BYTES_MAX {
                return Ok(Read::Pending);
            }
            // What has come through a pipe does not wait for what may come.
            let patience = if batch.is_empty() { Patience::ALittle } else { Patience::None };
            match self.fill(patience)? {
                Fill::Bytes => {}
                Fill::End if batch.is_empty() => return self.at_end(batch),
                Fill::Pending if batch.is_empty() => return Ok(Read::Pending),
                Fill::End | Fill::Pending => return Ok(Read::Records),
            }
        }
    }

    fn seek(&mut self, position: u64, offset: u64) -> Result<(), SourceError> {
        let Some(file) = self.file() else {
            let is_there = self.lines.read_position() == 0 && (position, offset) == (0, 0);
            return if is_there { Ok(()) } else { Err(SourceError::NotSeekable { path: self.name.clone() }) };
        };
        refuse_if_shorter(&self.name, self.metadata(file)?.len(), position)?;
        self.lines.seek(position, offset);
        self.last_line = LastLine::NotReached;
        Ok(())
    }

    fn fingerprint(&mut self, read: u64) -> Result<Vec<u8>, SourceError> {
        let Some(file) = self.file() else { return Ok(Vec::new()) };
        if let Some(fingerprint) = &self.fingerprint {
            return Ok(fingerprint.clone());
        }
        let bytes = usize::try_from(read).map_or(FINGERPRINT_BYTES, |read| read.min(FINGERPRINT_BYTES));
        let fingerprint = self.fingerprint_of(file, bytes)?;
        if covered_bytes(&fingerprint) == Some(FINGERPRINT_BYTES) {
            self.fingerprint = Some(fingerprint.clone());
        }
        Ok(fingerprint)
    }

    fn verify(&mut self, fingerprint: &[u8]) -> Result<(), SourceError> {
        let Some(file) = self.file() else {
            return if fingerprint.is_empty() { Ok(()) } else { Err(SourceError::NotSeekable { path: self.name.clone() }) };
        };
        let Some(covered) = covered_bytes(fingerprint) else {
            return Err(self.changed("a pipe was read before, not a file; start with a new state folder".to_owned()));
        };
        refuse_if_shorter(&self.name, self.metadata(file)?.len(), covered as u64)?;
        if self.fingerprint_of(file, covered)? == fingerprint {
            return Ok(());
        }
        Err(self.changed("it does not begin like the file that was read before; give that file, or start with a new state folder".to_owned()))
    }

    fn is_past_unterminated_end(&self) -> bool {
        self.last_line == LastLine::HandedOut
    }
}

fn refuse_if_shorter(name: &str, length: u64, read: u64) -> Result<(), SourceError> {
    if length >= read {
        return Ok(());
    }
    let what = format!("{read} bytes of it were read before, but it has only {length} now; give the file that was read, or start with a new state folder");
    Err(SourceError::Changed { path: name.to_owned(), what })
}

/// What reading on has given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fill {
    Bytes,
    /// Nothing now, from a pipe.
    Pending,
    End,
}

/// How much of a file the fingerprint covers; `None` where it is none of a file.
fn covered_bytes(fingerprint: &[u8]) -> Option<usize> {
    let (length, _) = fingerprint.split_first_chunk::<8>().filter(|(_, hash)| hash.len() == 16)?;
    usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= FINGERPRINT_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::event::StreamId;

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("in.jsonl");
            std::fs::write(&path, text).expect("a file");
            Self { _folder: folder, path }
        }

        fn append(&self, text: &str) {
            File::options().append(true).open(&self.path).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
        }

        fn open(&self, at_end: AtEnd) -> FileSource {
            FileSource::open(&self.path, at_end, 1 << 20).expect("a file that is there")
        }
    }

    fn read(source: &mut FileSource, bytes_max: usize) -> (Read, Vec<(u64, String)>) {
        let mut batch = RecordBatch::new(StreamId(0), 0);
        let read = source.read(&mut batch, bytes_max).expect("a file that can be read");
        (read, batch.iter().map(|record| (record.offset, String::from_utf8_lossy(record.bytes).into_owned())).collect())
    }

    fn rows(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|&(offset, text)| (offset, text.to_owned())).collect()
    }

    #[test]
    fn the_last_line_without_an_end_comes_alone_and_last() {
        let fixture = Fixture::new("a\nb\nc");
        let mut source = fixture.open(AtEnd::Finish);
        assert_eq!(read(&mut source, 1000), (Read::Records, rows(&[(0, "a"), (1, "b")])));
        assert!(!source.is_past_unterminated_end());
        assert_eq!(read(&mut source, 1000), (Read::Records, rows(&[(2, "c")])));
        assert!(source.is_past_unterminated_end());
        assert_eq!(read(&mut source, 1000), (Read::End, vec![]));
        assert_eq!(read(&mut source, 1000), (Read::End, vec![]));
        assert!(!source.is_past_unterminated_end());
    }

    #[test]
    fn an_empty_file_and_one_of_blank_lines_end_at_once() {
        for text in ["", "\n\n \n", " "] {
            assert_eq!(read(&mut Fixture::new(text).open(AtEnd::Finish), 1000), (Read::End, vec![]), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_grows_is_followed_line_by_line() {
        let fixture = Fixture::new("a\nb");
        let mut source = fixture.open(AtEnd::Follow);
        assert_eq!(read(&mut source, 1000), (Read::Records, rows(&[(0, "a")])));
        assert_eq!(read(&mut source, 1000), (Read::Pending, vec![]));
        fixture.append("b\nc\n");
        assert_eq!(read(&mut source, 1000), (Read::Records, rows(&[(1, "bb"), (2, "c")])));
        assert_eq!(read(&mut source, 1000), (Read::Pending, vec![]));
    }

    #[test]
    fn a_followed_file_that_is_cut_or_replaced_is_refused() {
        let changed = |change: &dyn Fn(&Path)| {
            let fixture = Fixture::new("a\nb\n");
            let mut source = fixture.open(AtEnd::Follow);
            read(&mut source, 1000);
            change(&fixture.path);
            let mut batch = RecordBatch::new(StreamId(0), 0);
            matches!(source.read(&mut batch, 1000), Err(SourceError::Changed { .. }))
        };
        assert!(changed(&|path| File::options().write(true).open(path).and_then(|file| file.set_len(2)).expect("cut")));
        assert!(changed(&|path| std::fs::rename(path, path.with_extension("1")).expect("moved")));
        assert!(changed(&|path| {
            std::fs::rename(path, path.with_extension("1")).expect("moved");
            std::fs::write(path, "a\nb\nc\n").expect("written");
        }));
        assert!(!changed(&|_| {}));
    }

    #[test]
    fn reading_goes_on_from_any_record() {
        let fixture = Fixture::new("a\n\nb\r\nc\n\n\nd\n");
        let mut batch = RecordBatch::new(StreamId(0), 0);
        fixture.open(AtEnd::Finish).read(&mut batch, 1000).expect("read");
        for (place, record) in batch.iter().enumerate() {
            let mut again = fixture.open(AtEnd::Finish);
            again.seek(record.position, record.offset).expect("within the file");
            let mut rest = RecordBatch::new(StreamId(0), 0);
            again.read(&mut rest, 1000).expect("read");
            let offsets = |batch: &RecordBatch| batch.iter().map(|record| (record.offset, record.bytes.to_vec())).collect::<Vec<_>>();
            assert_eq!(offsets(&rest), offsets(&batch)[place..]);
            again.seek(record.next_position, record.offset + 1).expect("within the file");
            rest.clear();
            again.read(&mut rest, 1000).expect("read");
            assert_eq!(offsets(&rest), offsets(&batch)[place + 1..]);
        }
        let beyond = fixture.open(AtEnd::Finish).seek(1000, 7);
        assert!(matches!(beyond, Err(SourceError::Changed { .. })));
    }

    #[test]
    fn a_fingerprint_holds_while_the_file_grows_and_not_for_another() {
        for length in [0, 10, FINGERPRINT_BYTES - 1, FINGERPRINT_BYTES, FINGERPRINT_BYTES + 1] {
            let fixture = Fixture::new(&"x".repeat(length));
            let fingerprint = fixture.open(AtEnd::Follow).fingerprint(1 << 20).expect("taken");
            fixture.append(&"y".repeat(100_000));
            assert!(fixture.open(AtEnd::Follow).verify(&fingerprint).is_ok(), "{length} bytes");
            if length > 0 {
                for other in ["", "z", &"z".repeat(200_000)] {
                    assert!(Fixture::new(other).open(AtEnd::Follow).verify(&fingerprint).is_err(), "{length} bytes");
                }
            }
        }
    }

    /// What comes through a pipe comes when it comes.
    fn read_when_there(source: &mut FileSource) -> (Read, Vec<(u64, String)>) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let (found, records) = read(source, 1000);
            if found != Read::Pending {
                return (found, records);
            }
            assert!(std::time::Instant::now() < deadline, "nothing comes");
        }
    }

    #[test]
    fn a_pipe_hands_out_what_is_there_and_cannot_be_read_again() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let mut source = FileSource::of(file, "pipe".to_owned(), AtEnd::Follow, 1 << 20).expect("readable");
        assert!(source.fingerprint(0).expect("none").is_empty());
        source.seek(0, 0).expect("already there");
        assert_eq!(read(&mut source, 1000), (Read::Pending, vec![]), "nobody waits for a pipe");
        writer.write_all(b"a\nb\nc").expect("written");
        // Does not wait for the rest of the last line.
        assert_eq!(read_when_there(&mut source), (Read::Records, rows(&[(0, "a"), (1, "b")])));
        assert_eq!(read(&mut source, 1000), (Read::Pending, vec![]));
        writer.write_all(b"c").expect("written");
        drop(writer);
        assert_eq!(read_when_there(&mut source), (Read::Records, rows(&[(2, "cc")])));
        assert_eq!(read_when_there(&mut source), (Read::End, vec![]));
        assert!(matches!(source.seek(0, 0), Err(SourceError::NotSeekable { .. })));
        assert!(matches!(source.verify(&[0; 24]), Err(SourceError::NotSeekable { .. })));
    }

    #[test]
    fn where_batches_end_does_not_depend_on_where_reading_began() {
        let text: String =
            (0..400).map(|line| if line % 7 == 3 { " \r\n".to_owned() } else { format!("{line:0width$}\n", width = 1 + line * 13 % 40) }).collect();
        let fixture = Fixture::new(&text);
        let ends_from = |position: u64, offset: u64| {
            let mut source = fixture.open(AtEnd::Finish);
            source.seek(position, offset).expect("within the file");
            let mut ends = Vec::new();
            let mut batch = RecordBatch::new(StreamId(0), 0);
            while source.read(&mut batch, 500).expect("read") == Read::Records {
                ends.push(batch.get(batch.len() - 1).offset);
                batch.clear();
            }
            ends
        };
        let whole = ends_from(0, 0);
        assert!(whole.len() > 10, "{whole:?}");
        let mut batch = RecordBatch::new(StreamId(0), 0);
        fixture.open(AtEnd::Finish).read(&mut batch, usize::MAX).expect("read");
        for record in batch.iter() {
            let ends = ends_from(record.position, record.offset);
            assert!(whole.ends_with(&ends) && ends[0] >= record.offset, "from {}: {ends:?}, not the end of {whole:?}", record.offset);
        }
    }

    #[test]
    fn who_had_the_file_before_may_have_read_a_part() {
        let fixture = Fixture::new("head\na\nb\n");
        let mut source = fixture.open(AtEnd::Finish);
        source.begin_at(5);
        let mut batch = RecordBatch::new(StreamId(0), 0);
        source.read(&mut batch, 1000).expect("read");
        let places: Vec<_> = batch.iter().map(|record| (record.offset, record.position)).collect();
        assert_eq!(places, [(0, 5), (1, 7)]);
    }

    #[test]
    fn a_line_that_does_not_end_keeps_nobody_waiting() {
        let fixture = Fixture::new(&"\n".repeat(40 << 20));
        let mut source = fixture.open(AtEnd::Finish);
        let reads: Vec<Read> = (0..3).map(|_| read(&mut source, 1000).0).collect();
        assert_eq!(reads, [Read::Pending, Read::Pending, Read::End]);
    }

    #[test]
    fn what_is_missing_or_a_folder_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("none.jsonl"), folder.path().to_owned()] {
            let error = FileSource::open(&path, AtEnd::Finish, 1000).expect_err("no file").to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
