//! What is kept in a task's store, and under which key.
//!
//! | first byte | rest of the key | value |
//! |---|---|---|
//! | `m` | – | [`Meta`] as JSON: positions, output lengths |
//! | `m` | `v` | [`Versions`] as JSON: of which patterns something is kept |
//! | `s` | version of a pattern or log, key | the partial matches of the key, or the events that windows count (`engine::Change`) |
//! | `l` | epoch, index | a match for subscribers |
//! | `p` | stream name, 0, offset | a published record that is not yet decided |
//! | `c` | stream name, 0, client name | the highest number that the client's records were taken up to; a count of uses |
//!
//! All of an epoch is written in one batch, so that they always tell of the same instant. What does not change with it is not written: with 10,000 patterns their versions take 600 KB.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::{Change, ColdKeysError, Positions, StoredKeys, WindowsSince, first_suppression_entry};
use crate::pattern::Program;
use crate::ports::{StateStore, StoreError, WriteBatch};

/// The version of this layout.
pub const FORMAT: u32 = 4;

/// The one before it is read as well: there [`Versions`] stood within [`Meta`].
const WITH_VERSIONS_WITHIN: u32 = 3;

const RUNS: u8 = b's';

/// How much is read ahead of who takes it up. (In unit tests less than what they keep: else nothing would be ahead.)
const CHUNK_BYTES: usize = if cfg!(test) { 1 << 8 } else { 256 << 10 };
const CHUNKS_AHEAD_MAX: usize = 4;

/// Everything of a task that is one per task, and is written with every epoch: small, however many patterns there are.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Meta {
    pub format: u32,
    /// Committed epochs so far; dense, from 1.
    pub epoch: u64,
    /// Random, made with the state: tells one log of matches from another.
    pub identity: String,
    /// The instant that far-future times are measured against, in microseconds since 1970.
    pub reference_us: i64,
    pub positions: Positions,
    /// By path: the committed length of each output, in bytes.
    pub outputs: BTreeMap<String, u64>,
    /// By stream: what tells its file from another.
    pub fingerprints: BTreeMap<String, Vec<u8>>,
    /// Has an entry of its own.
    #[serde(skip)]
    pub versions: Versions,
    /// A bounded run closes all windows, and has not closed the last: nothing more is read.
    #[serde(default)]
    pub closing: bool,
    /// A bounded run has closed all windows: nothing may follow.
    pub ended: bool,
    /// On Kafka, of the last epoch: the digest of its journal record, and that record's offset or one before it.
    #[serde(default)]
    pub record_digest: u64,
    #[serde(default)]
    pub journal_offset: u64,
    /// On Kafka: the pattern set of the last epoch, and how many sets the task has had by then.
    #[serde(default)]
    pub pattern_set: u128,
    #[serde(default)]
    pub pattern_set_number: u64,
}

/// Of which versions of patterns a task keeps something: only other pattern files change it.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Versions {
    /// By name: the version of each pattern that has state here, in hex.
    patterns: BTreeMap<String, String>,
    /// By version, in hex, of a pattern that asks for windows and was not there from the beginning: which of the changes of the pattern files it came with, counted from 1.
    #[serde(default)]
    windows_since: BTreeMap<String, u64>,
    /// The versions of the logs of events that windows count, in hex.
    #[serde(default)]
    logs: BTreeSet<String>,
    /// So the store has it.
    #[serde(skip)]
    is_stored: bool,
}

impl Meta {
    /// Where it stands in a store; its versions do behind it.
    pub const KEY: &'static [u8] = b"m";
    const VERSIONS_KEY: &'static [u8] = b"mv";

    pub fn read(store: &dyn StateStore) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = store.get(Self::KEY)? else { return Ok(None) };
        let mut meta = Self::decode(&bytes)?;
        if meta.format == WITH_VERSIONS_WITHIN {
            (meta.versions, meta.format) = (read_json(&bytes)?, FORMAT);
        } else {
            let versions = store.get(Self::VERSIONS_KEY)?.ok_or_else(|| StoreError::Failed("it does not say of which patterns it is".to_owned()))?;
            meta.versions = Versions { is_stored: true, ..read_json(&versions)? };
        }
        Ok(Some(meta))
    }

    /// From its stored form, without the versions.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let meta: Self = read_json(bytes)?;
        if ![WITH_VERSIONS_WITHIN, FORMAT].contains(&meta.format) {
            return Err(StoreError::Failed(format!("it has format {}, this program knows {FORMAT}", meta.format)));
        }
        Ok(meta)
    }

    /// Puts it into a batch, which is to be written, or nothing that comes after it; of the versions only what the batch before does not have.
    pub fn write(&mut self, batch: &mut WriteBatch) {
        batch.puts.push((Self::KEY.to_vec(), json_of(self)));
        if !self.versions.is_stored {
            batch.puts.push((Self::VERSIONS_KEY.to_vec(), json_of(&self.versions)));
            self.versions.is_stored = true;
        }
    }

    pub fn remember_patterns(&mut self, program: &Program) {
        let Versions { patterns, windows_since, .. } = &self.versions;
        let next = if patterns.is_empty() { 0 } else { 1 + windows_since.values().max().copied().unwrap_or(0) };
        let since = program.patterns.iter().filter(|pattern| !pattern.windows.is_empty()).map(|pattern| {
            let version = hex(pattern.version);
            let is_known = patterns.get(&pattern.name) == Some(&version);
            let since = if is_known { windows_since.get(&version).copied().unwrap_or(0) } else { next };
            (version, since)
        });
        let since = since.filter(|(_, since)| *since > 0).collect();
        let patterns = program.patterns.iter().map(|pattern| (pattern.name.clone(), hex(pattern.version))).collect();
        self.versions.set(Versions { patterns, windows_since: since, ..self.versions.clone() });
    }

    /// As the engine is to know it.
    pub fn windows_since(&self) -> WindowsSince {
        self.versions.windows_since.iter().filter_map(|(version, since)| Some((u128::from_str_radix(version, 16).ok()?, *since))).collect()
    }

    /// From now on these are the logs; what the store has of others is to be deleted.
    pub fn remember_logs(&mut self, versions: &[u128], batch: &mut WriteBatch) {
        let logs: BTreeSet<String> = versions.iter().map(|version| hex(*version)).collect();
        self.versions.logs.difference(&logs).for_each(|version| delete_version(version, batch));
        self.versions.set(Versions { logs, ..self.versions.clone() });
    }

    /// The versions of the logs, in hex.
    #[cfg(test)]
    pub fn logs(&self) -> &BTreeSet<String> {
        &self.versions.logs
    }
}

impl Versions {
    fn set(&mut self, now: Self) {
        if *self != now {
            *self = Self { is_stored: false, ..now };
        }
    }
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data is JSON")
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Failed(format!("its description cannot be read: {error}")))
}

/// Puts what has changed of the keys' state into a batch.
pub fn put_changes(changes: Vec<Change>, batch: &mut WriteBatch) {
    for change in changes {
        let key = runs_key(&change.key);
        match change.value {
            Some(value) => batch.puts.push((key, value)),
            None => batch.deletes.push(key),
        }
    }
}

/// What the engine asks a store for.
#[derive(Debug)]
pub struct RunsOf(pub Arc<dyn StateStore>);

impl StoredKeys for RunsOf {
    fn get(&mut self, entry: &[u8]) -> Result<Option<Vec<u8>>, ColdKeysError> {
        self.0.get(&runs_key(entry)).map_err(|error| ColdKeysError(error.to_string()))
    }
}

/// The store's key for the state of a pattern's key.
fn runs_key(change_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(change_key.len() + 1);
    key.push(RUNS);
    key.extend_from_slice(change_key);
    key
}

/// The partial matches of all keys that a store has, in the order of their entries: `(pattern version and key, value)`. Of keys that are written to meanwhile it may tell what was there before,
/// or after.
#[derive(Debug)]
pub struct StoredRuns {
    next: Option<Chunk>,
    rest: Rest,
}

/// What comes after the next chunk.
#[derive(Debug)]
enum Rest {
    InTurn(Arc<dyn StateStore>, Vec<RunsRange>),
    Beside(ReadBeside),
}

/// A thread of its own reads ahead: to take up what it reads is about as much work.
#[derive(Debug)]
struct ReadBeside {
    /// `None`: there are no more.
    chunks: Option<Receiver<Chunk>>,
    /// Chunks whose memory is filled again, for new memory costs more than what is copied there.
    used: Sender<Chunk>,
    reading: Option<JoinHandle<Result<(), StoreError>>>,
}

impl StoredRuns {
    /// Of these ranges, one after the other.
    pub fn of(store: Arc<dyn StateStore>, ranges: impl IntoIterator<Item = RunsRange>) -> Result<Self, StoreError> {
        let mut ranges = ranges.into_iter().collect();
        let next = read_chunk(&*store, &mut ranges)?;
        let rest = if ranges.is_empty() || store.is_in_memory() { Rest::InTurn(store, ranges) } else { Rest::Beside(ReadBeside::begin(store, ranges)?) };
        Ok(Self { next: Some(next), rest })
    }

    /// Visits the next of them, a quarter of a megabyte together; waits until they are read. False: that were all.
    pub fn visit_some(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, StoreError> {
        let Some(mut chunk) = self.next.take().or_else(|| self.rest.wait()) else { return self.rest.end().map(|()| false) };
        chunk.entries().for_each(|(key, value)| visit(key, value));
        chunk.clear();
        match &mut self.rest {
            Rest::InTurn(_, ranges) if ranges.is_empty() => Ok(false),
            Rest::InTurn(store, ranges) => {
                self.next = Some(read_chunk(&**store, ranges)?);
                Ok(true)
            }
            Rest::Beside(beside) => {
                // Where nobody wants it any more it goes.
                drop(beside.used.try_send(chunk));
                Ok(true)
            }
        }
    }
}

impl Rest {
    fn wait(&mut self) -> Option<Chunk> {
        match self {
            Self::InTurn(..) => None,
            Self::Beside(beside) => beside.chunks.as_ref()?.recv().ok(),
        }
    }

    fn end(&mut self) -> Result<(), StoreError> {
        match self {
            Self::InTurn(..) => Ok(()),
            Self::Beside(beside) => beside.end(),
        }
    }
}

impl ReadBeside {
    fn begin(store: Arc<dyn StateStore>, ranges: Vec<RunsRange>) -> Result<Self, StoreError> {
        let (used, spare) = crossbeam_channel::bounded(CHUNKS_AHEAD_MAX);
        let (sender, chunks) = crossbeam_channel::bounded(CHUNKS_AHEAD_MAX);
        let reading = std::thread::Builder::new().name("state".to_owned()).spawn(move || read_chunks(&*store, &ranges, &sender, &spare));
        let reading = reading.map_err(|error| StoreError::Failed(format!("no thread can be had to read it: {error}")))?;
        Ok(Self { chunks: Some(chunks), used, reading: Some(reading) })
    }

    /// The store is nobody's any more.
    fn end(&mut self) -> Result<(), StoreError> {
        self.chunks = None;
        self.reading.take().map_or(Ok(()), |reading| reading.join().expect("to read a store does not panic"))
    }
}

impl Drop for ReadBeside {
    fn drop(&mut self) {
        // Nobody wants to know what has failed.
        drop(self.end());
    }
}

/// Reads until a chunk is full, and leaves the ranges that are behind it.
fn read_chunk(store: &dyn StateStore, ranges: &mut Vec<RunsRange>) -> Result<Chunk, StoreError> {
    let (mut chunk, mut left) = (Chunk::default(), Vec::new());
    for mut range in std::mem::take(ranges) {
        if chunk.is_full() || !range.read_into(&mut chunk, store)? {
            left.push(range);
        }
    }
    *ranges = left;
    Ok(chunk)
}

fn read_chunks(store: &dyn StateStore, ranges: &[RunsRange], sender: &Sender<Chunk>, spare: &Receiver<Chunk>) -> Result<(), StoreError> {
    let (mut chunk, mut is_wanted) = (Chunk::default(), true);
    for RunsRange { start, end } in ranges {
        store.scan(start, end, &mut |key, value| {
            chunk.push(&key[1..], value);
            if chunk.is_full() {
                is_wanted = sender.send(std::mem::replace(&mut chunk, spare.try_recv().unwrap_or_default())).is_ok();
            }
            if is_wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if !is_wanted {
            return Ok(());
        }
    }
    // Nobody may be there any more.
    drop(sender.send(chunk));
    Ok(())
}

/// Entries that were read ahead, one behind the other.
#[derive(Default, Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where each key ends, and its value.
    ends: Vec<(usize, usize)>,
}

impl Chunk {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(key_end, end)| {
            let entry = (&self.bytes[start..key_end], &self.bytes[key_end..end]);
            start = end;
            entry
        })
    }
}

/// A range of a store's keys under which partial matches and suppressions are.
#[derive(Clone, Debug)]
pub struct RunsRange {
    start: Vec<u8>,
    end: Vec<u8>,
}

impl RunsRange {
    /// Of all patterns.
    pub fn all() -> Self {
        Self { start: vec![RUNS], end: vec![RUNS + 1] }
    }

    /// Of a version of a pattern or log.
    pub fn of(version: u128) -> Self {
        let end = version.checked_add(1).map_or_else(|| vec![RUNS + 1], |next| runs_key(&next.to_be_bytes()));
        Self { start: runs_key(&version.to_be_bytes()), end }
    }

    /// Of its keys alone.
    pub fn of_keys(version: u128) -> Self {
        Self { end: runs_key(&first_suppression_entry(version)), ..Self::of(version) }
    }

    /// Of its suppressions alone.
    pub fn of_suppressions(version: u128) -> Self {
        Self { start: runs_key(&first_suppression_entry(version)), ..Self::of(version) }
    }

    /// Reads entries until the chunk is full, and goes on behind them; true if that were all.
    fn read_into(&mut self, chunk: &mut Chunk, store: &dyn StateStore) -> Result<bool, StoreError> {
        let mut next = None;
        store.scan(&self.start, &self.end, &mut |key, value| {
            if chunk.is_full() {
                next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            chunk.push(&key[1..], value);
            ControlFlow::Continue(())
        })?;
        let is_all = next.is_none();
        self.start = next.unwrap_or_else(|| self.end.clone());
        Ok(is_all)
    }
}

/// The patterns whose state is of no use any more because their text has changed or is gone.
pub fn forgotten_patterns(meta: &Meta, program: &Program) -> Vec<String> {
    let now: BTreeMap<&str, String> = program.patterns.iter().map(|pattern| (pattern.name.as_str(), hex(pattern.version))).collect();
    meta.versions.patterns.iter().filter(|(name, version)| now.get(name.as_str()) != Some(version)).map(|(name, _)| name.clone()).collect()
}

/// Deletes the state of pattern versions that the program does not have.
pub fn forget_patterns(meta: &Meta, program: &Program, batch: &mut WriteBatch) {
    let kept: BTreeSet<String> = program.patterns.iter().map(|pattern| hex(pattern.version)).collect();
    for version in meta.versions.patterns.values().filter(|version| !kept.contains(*version)) {
        delete_version(version, batch);
    }
}

/// All that is kept under a version in hex.
fn delete_version(version: &str, batch: &mut WriteBatch) {
    if let Ok(version) = u128::from_str_radix(version, 16) {
        let RunsRange { start, end } = RunsRange::of(version);
        batch.delete_ranges.push((start, end));
    }
}

fn hex(version: u128) -> String {
    format!("{version:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Source, compile};
    use crate::store::Memory;

    /// Patterns that came together have the same number; one that came later never has one that another had whose log may still be there.
    #[test]
    fn patterns_that_ask_for_windows_are_told_apart_by_when_they_came() {
        let stream = "stream clicks { k: string at: timestamp time at }\n";
        let program = |names: &str| {
            let pattern = |name: char| format!("pattern {name} {{ from clicks by k  match x: clicks where count(clicks over 1h) > 3 within 1s }}\n");
            let plain = "pattern plain { from clicks by k  match x: clicks then y: clicks within 1h }\n";
            let text = stream.to_owned() + plain + &names.chars().map(pattern).collect::<String>();
            compile(&[Source { path: "it.motif".to_owned(), text }]).program
        };
        let mut meta = Meta::default();
        for (names, expected) in [("ab", [0, 0]), ("ab", [0, 0]), ("ac", [0, 1]), ("ac", [0, 1]), ("ad", [0, 2]), ("da", [2, 0]), ("ef", [3, 3])] {
            let program = program(names);
            meta.remember_patterns(&program);
            let since = meta.windows_since();
            let of = |name: char| {
                let pattern = program.patterns.iter().find(|pattern| pattern.name == name.to_string()).expect("one of them");
                since.get(&pattern.version).copied().unwrap_or(0)
            };
            assert_eq!(names.chars().map(of).collect::<Vec<_>>(), expected, "{names}");
        }
        let mut forgotten = WriteBatch::default();
        meta.remember_logs(&[1, 2], &mut forgotten);
        assert!(forgotten.delete_ranges.is_empty());
        meta.remember_logs(&[2, 3], &mut forgotten);
        let RunsRange { start, end } = RunsRange::of(1);
        assert_eq!(forgotten.delete_ranges, [(start, end)]);
    }

    /// Patterns of which nothing is kept but that they are there.
    fn program_of(patterns: usize) -> Program {
        let pattern = |number: usize| format!("pattern p{number} {{ from clicks by k  match x: clicks where count(clicks over 1h) > {number} }}\n");
        let text = "stream clicks { k: string at: timestamp time at }\n".to_owned() + &(0..patterns).map(pattern).collect::<String>();
        compile(&[Source { path: "it.motif".to_owned(), text }]).program
    }

    fn written(meta: &mut Meta, store: &Memory) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut batch = WriteBatch::default();
        meta.write(&mut batch);
        store.write(batch.clone()).expect("in memory");
        batch.puts
    }

    #[test]
    fn an_epoch_writes_as_much_with_one_pattern_as_with_a_thousand() {
        let epochs = |patterns: usize| {
            let (store, mut meta) = (Memory::default(), Meta { format: FORMAT, ..Meta::default() });
            meta.remember_patterns(&program_of(patterns));
            meta.remember_logs(&[7], &mut WriteBatch::default());
            let first = written(&mut meta, &store);
            let again = Meta::read(&store).expect("in memory").expect("written");
            assert_eq!(again, meta, "{patterns} patterns");
            meta = again;
            // As after a restart with the same files.
            meta.remember_patterns(&program_of(patterns));
            meta.remember_logs(&[7], &mut WriteBatch::default());
            meta.epoch += 1;
            let second = written(&mut meta, &store);
            assert_eq!(Meta::read(&store).expect("in memory"), Some(meta.clone()), "{patterns} patterns");
            // And with others.
            meta.remember_patterns(&program_of(patterns + 1));
            let third = written(&mut meta, &store);
            assert_eq!(Meta::read(&store).expect("in memory"), Some(meta), "{patterns} patterns");
            assert_eq!([&first, &second, &third].map(Vec::len), [2, 1, 2], "the versions are written where they have changed");
            second
        };
        assert_eq!(epochs(1), epochs(1_000));
    }

    #[test]
    fn a_state_of_the_format_before_is_read_and_is_of_this_one_with_the_next_epoch() {
        let json = |format: u32| {
            format!(
                r#"{{"format":{format},"epoch":7,"identity":"it","reference_us":5,"positions":{{"partitions":[],"watermark_us":9}},"outputs":{{"out":3}},"fingerprints":{{}},
                    "patterns":{{"p":"0a"}},"windows_since":{{"0a":2}},"logs":["0b"],"ended":false,"record_digest":1,"journal_offset":2,"pattern_set":3,"pattern_set_number":4}}"#
            )
        };
        let store = Memory::default();
        let put = |json: String| store.write(WriteBatch { puts: vec![(Meta::KEY.to_vec(), json.into_bytes())], ..WriteBatch::default() }).expect("in memory");
        put(json(WITH_VERSIONS_WITHIN));
        let mut meta = Meta::read(&store).expect("known").expect("there");
        let versions = Versions { patterns: [("p".to_owned(), "0a".to_owned())].into(), logs: ["0b".to_owned()].into(), ..Versions::default() };
        assert_eq!(meta.versions, Versions { windows_since: [("0a".to_owned(), 2)].into(), ..versions });
        assert_eq!((meta.epoch, meta.outputs["out"], meta.pattern_set_number), (7, 3, 4));
        assert_eq!(written(&mut meta, &store).len(), 2);
        assert_eq!(Meta::read(&store).expect("known"), Some(meta));
        for format in [WITH_VERSIONS_WITHIN - 1, FORMAT + 1] {
            put(json(format));
            assert!(Meta::read(&store).expect_err("another").to_string().contains(&format!("it has format {format}, this program knows {FORMAT}")));
        }
    }

    #[test]
    fn what_is_read_in_parts_comes_whole_and_in_order() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let key = |number: u32| number.to_be_bytes().to_vec();
        // More than may wait.
        let count = u32::try_from(3 * CHUNKS_AHEAD_MAX * CHUNK_BYTES / 50).expect("few");
        let value = |number: u32| vec![number as u8; 50 + (number % 150) as usize];
        let puts = (0..count).map(|number| (runs_key(&key(number)), value(number))).chain([(Meta::KEY.to_vec(), vec![1]), (vec![RUNS + 1], vec![2])]);
        store.write(WriteBatch { puts: puts.collect(), ..WriteBatch::default() }).expect("written");
        let middle = runs_key(&key(count / 2));
        for ranges in [vec![RunsRange::all()], vec![RunsRange { end: middle.clone(), ..RunsRange::all() }, RunsRange { start: middle, ..RunsRange::all() }]] {
            let beside = Rest::Beside(ReadBeside::begin(store.clone(), ranges.clone()).expect("a thread"));
            for mut runs in [StoredRuns::of(store.clone(), ranges).expect("in memory"), StoredRuns { next: None, rest: beside }] {
                let mut seen = Vec::new();
                while runs.visit_some(|key, value| seen.push((key.to_vec(), value.to_vec()))).expect("read") {}
                assert!(seen.into_iter().eq((0..count).map(|number| (key(number), value(number)))));
            }
        }
    }
}
