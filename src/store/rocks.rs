//! A store in RocksDB, on disk.
//!
//! The folder holds a marker, `MOTIF-STATE`, with the number of its format, and the database in `db`. The marker is made before anything else and
//! is locked while the folder is in use: so a folder of somebody else is never written to, and no folder by two processes. The write-ahead log is
//! on: a batch that was written survives the process, and with [`Durability::Power`] also a loss of power.
//!
//! Where something is read that is not what was written, the folder gets another file, `MOTIF-DAMAGED`, which says what it was: most of a database can be read although a part
//! of it cannot, and whoever opens it next would find that out as late as the one before.
//!
//! Beside the database lie [scratch stores](super::ScratchFolder).

use std::fmt::Debug;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{BlockBasedIndexType, BlockBasedOptions, DB, DBCompactionStyle, DBCompressionType, ErrorKind, Options, ReadOptions, WriteOptions};

use crate::ports::{EntryVisitor, ScratchStores, StateStore, StoreError, WriteBatch};
use crate::store::MemoryBudget;
use crate::store::scratch::{self, ScratchFolder};

const MARKER: &str = "MOTIF-STATE";
const DAMAGE: &str = "MOTIF-DAMAGED";

/// The only format so far.
const FORMAT: &str = "1";

/// At most two of them for each open store, out of the [budget](MemoryBudget) of all.
const WRITE_BUFFER_BYTES: usize = 8 << 20;
/// A state is read from one end to the other, at a restart: with blocks of 4 KiB, the default, that takes 1.7 times as long, and the files are a tenth larger.
const BLOCK_BYTES: usize = 32 << 10;
const SCRATCH_WRITE_BUFFER_BYTES: usize = 16 << 20;
const SCRATCH_MEMTABLE_FILTER_RATIO: f64 = 0.05;
const READAHEAD_BYTES: usize = 1 << 20;
const OPEN_FILES_MAX: i32 = 256;
const FILE_BYTES: u64 = 16 << 20;
const LEVEL_0_FILES: i32 = 8;
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// What a written batch survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// A loss of power: each batch waits for the disk.
    Power,
    /// The end of the process, by a kill too.
    Process,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RocksOptions {
    pub durability: Durability,
}

pub struct Rocks {
    /// Before the marker: the database is closed while the folder is still locked.
    database: DB,
    _held: Held,
    write: WriteOptions,
    readahead_bytes: usize,
    path: PathBuf,
    is_damaged: AtomicBool,
}

/// The folder is ours as long as this lives.
pub(super) enum Held {
    Kept {
        _marker: Marker,
    },
    /// And is gone with it.
    Scratch {
        _folder: scratch::Folder,
    },
}

/// Holds the lock. It is given back by name: a process that was just started here has a copy of the file until it runs its own program, and would
/// hold the lock as well.
pub(super) struct Marker(pub(super) File);

impl Drop for Marker {
    fn drop(&mut self) {
        // Where that fails, closing the file does it.
        drop(self.0.unlock());
    }
}

impl Rocks {
    /// The folder of the database within the store's.
    pub const DATABASE: &'static str = "db";

    /// Makes the folder where there is none, or goes on with what it holds.
    ///
    /// # Errors
    ///
    /// The folder holds something else, is of an unknown format, is in use, is damaged, or cannot be read or written.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        Self::open_within(path, options, &MemoryBudget::of_process())
    }

    fn open_within(path: &Path, options: RocksOptions, budget: &MemoryBudget) -> Result<Self, StoreError> {
        let unusable = |what: String| StoreError::Unusable { path: path.display().to_string(), what };
        let marker = claim(path).map_err(|refused| match refused {
            Refused::InUse => StoreError::InUse { path: path.display().to_string() },
            Refused::Because(what) => unusable(what),
        })?;
        ScratchFolder::beside(path).remove_left_over();
        let database = DB::open(&tuning(budget), path.join(Self::DATABASE)).map_err(|error| match error {
            error if is_damage(&error) || is_file_gone(&error) => damaged(path, &error),
            error => unusable(error.to_string()),
        })?;
        let mut write = WriteOptions::default();
        write.set_sync(options.durability == Durability::Power);
        Ok(Self {
            database,
            _held: Held::Kept { _marker: Marker(marker) },
            write,
            readahead_bytes: READAHEAD_BYTES,
            path: path.to_owned(),
            is_damaged: AtomicBool::new(false),
        })
    }

    /// In a folder that is gone with it.
    pub(super) fn open_scratch(folder: scratch::Folder) -> Result<Self, StoreError> {
        let path = folder.path().to_owned();
        let unusable = |error: rocksdb::Error| StoreError::Unusable { path: path.display().to_string(), what: error.to_string() };
        let database = DB::open(&scratch_tuning(&MemoryBudget::of_process()), path.join(Self::DATABASE)).map_err(unusable)?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        // RocksDB finds out by itself which scans are long.
        Ok(Self { database, _held: Held::Scratch { _folder: folder }, write, readahead_bytes: 0, path, is_damaged: AtomicBool::new(false) })
    }

    /// Makes a folder whose database was brought from elsewhere a store.
    pub fn mark(path: &Path) -> Result<(), StoreError> {
        let unusable = |error: io::Error| StoreError::Unusable { path: path.display().to_string(), what: error.to_string() };
        std::fs::write(path.join(MARKER), format!("{FORMAT}\n")).map_err(unusable)
    }

    /// What was found damaged in a folder by whoever had it open; `None`: nothing so far.
    pub fn damage_in(path: &Path) -> Option<String> {
        std::fs::read_to_string(path.join(DAMAGE)).ok()
    }

    /// An entry of a copy that [`StateStore::copy_to`] has made, which stays as it is.
    pub fn read_copy(folder: &Path, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let database = DB::open_for_read_only(&Options::default(), folder, false).map_err(failed)?;
        database.get(key).map_err(failed)
    }
}

impl Rocks {
    fn read_failed(&self, error: rocksdb::Error) -> StoreError {
        if is_file_gone(&error) { self.found_damaged(&error) } else { self.failed(error) }
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        if is_damage(&error) { self.found_damaged(&error) } else { failed(error) }
    }

    fn found_damaged(&self, error: &rocksdb::Error) -> StoreError {
        if !self.is_damaged.swap(true, Ordering::Relaxed) {
            // Where that cannot be written down either, it is found out again.
            drop(std::fs::write(self.path.join(DAMAGE), error.as_ref()));
        }
        damaged(&self.path, error)
    }
}

fn damaged(path: &Path, error: &rocksdb::Error) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), what: error.to_string() }
}

/// A checksum does not fit, or what is there makes no sense.
fn is_damage(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::Corruption
}

/// Of what is read: the database itself says which files it has.
fn is_file_gone(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::IOError && error.as_ref().contains("No such file or directory")
}

enum Refused {
    InUse,
    Because(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Because(error.to_string())
    }
}

/// Makes sure that the folder is ours, and holds it for as long as the file is open.
fn claim(path: &Path) -> Result<File, Refused> {
    std::fs::create_dir_all(path)?;
    let marker_path = path.join(MARKER);
    if !marker_path.exists() {
        refuse_if_foreign(path)?;
    }
    let mut marker = File::options().read(true).write(true).create(true).truncate(false).open(&marker_path)?;
    match marker.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Refused::InUse),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut text = String::new();
    marker.read_to_string(&mut text)?;
    match text.trim_ascii() {
        FORMAT => {}
        // Just made, or left by a start that was killed here.
        "" => {
            refuse_if_foreign(path)?;
            writeln!(marker, "{FORMAT}")?;
            marker.sync_all()?;
            File::open(path)?.sync_all()?;
        }
        format => return Err(Refused::Because(format!("it is of format {format:?}, and this version of motif knows only {FORMAT:?}"))),
    }
    Ok(marker)
}

fn refuse_if_foreign(path: &Path) -> Result<(), Refused> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != MARKER {
            let name = name.display();
            return Err(Refused::Because(format!("it holds {name} and is not a state folder of motif; give an empty folder or a new one")));
        }
    }
    Ok(())
}

fn tuning(budget: &MemoryBudget) -> Options {
    let mut blocks = blocks_of(budget);
    blocks.set_block_size(BLOCK_BYTES);
    tuning_of(WRITE_BUFFER_BYTES, budget, &blocks)
}

/// Most of what a scratch store is asked for is not there. The filters say so: they lie in small parts, since the one of a large file has no room in the cache, and would be read as a whole each time.
fn scratch_tuning(budget: &MemoryBudget) -> Options {
    let mut blocks = blocks_of(budget);
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = tuning_of(SCRATCH_WRITE_BUFFER_BYTES, budget, &blocks);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(SCRATCH_MEMTABLE_FILTER_RATIO);
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
    options
}

fn blocks_of(budget: &MemoryBudget) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(budget.cache());
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    // Else index and filters would be held beside the cache, without a bound.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks
}

fn tuning_of(write_buffer_bytes: usize, budget: &MemoryBudget, blocks: &BlockBasedOptions) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_manager(budget.memtables());
    options.create_if_missing(true);
    options.set_block_based_table_factory(blocks);
    options.set_write_buffer_size(write_buffer_bytes);
    options.set_max_write_buffer_number(2);
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_level_zero_file_num_compaction_trigger(LEVEL_0_FILES);
    options.set_target_file_size_base(FILE_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    // RocksDB's own log of what it does.
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

impl Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rocks").field(&self.path).finish()
    }
}

impl StateStore for Rocks {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get(key).map_err(|error| self.read_failed(error))
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut EntryVisitor<'_>) -> Result<(), StoreError> {
        if start >= end {
            return Ok(());
        }
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(end);
        // Nobody comes back for what is gone through from one end to the other.
        read.fill_cache(false);
        read.set_readahead_size(self.readahead_bytes);
        // The raw one copies nothing.
        let mut entries = self.database.raw_iterator_opt(read);
        entries.seek(start);
        while let Some((key, value)) = entries.item() {
            if visit(key, value).is_break() {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(|error| self.read_failed(error))
    }

    fn copy_to(&self, folder: &Path) -> Result<(), StoreError> {
        // A copy would be as good as this one, and be taken for better.
        if let Some(what) = Self::damage_in(&self.path).filter(|_| self.is_damaged.load(Ordering::Relaxed)) {
            return Err(StoreError::Damaged { path: self.path.display().to_string(), what });
        }
        // Hard links where the folder is on the same file system. What is in memory only is written out first.
        Checkpoint::new(&self.database).and_then(|checkpoint| checkpoint.create_checkpoint(folder)).map_err(|error| self.failed(error))
    }

    fn scratch(&self) -> Arc<dyn ScratchStores> {
        Arc::new(ScratchFolder::beside(&self.path))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        // Later entries of a RocksDB batch win over earlier ones, as the port has it.
        let mut changes = rocksdb::WriteBatch::default();
        for (start, end) in batch.delete_ranges.iter().filter(|(start, end)| start < end) {
            changes.delete_range(start, end);
        }
        for key in &batch.deletes {
            changes.delete(key);
        }
        for (key, value) in &batch.puts {
            changes.put(key, value);
        }
        self.database.write_opt(changes, &self.write).map_err(|error| self.failed(error))
    }
}

fn failed(error: rocksdb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use rocksdb::WaitForCompactOptions;

    use super::*;

    const OPTIONS: RocksOptions = RocksOptions { durability: Durability::Process };

    fn put(store: &Rocks, key: &[u8]) {
        store.write(WriteBatch { puts: vec![(key.to_vec(), vec![7; 100])], ..WriteBatch::default() }).expect("written");
    }

    /// Made of files that what is done to them is done to.
    fn opened_with(path: &Path, change: fn(&Path)) -> Rocks {
        let store = Rocks::open(path, OPTIONS).expect("opens");
        put(&store, b"a");
        store.copy_to(&path.join("copy")).expect("what is in memory is written out first");
        std::fs::remove_dir_all(path.join("copy")).expect("removed");
        drop(store);
        let files = std::fs::read_dir(path.join(Rocks::DATABASE)).expect("there").map(|entry| entry.expect("read").path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "sst")).for_each(|file| change(&file));
        Rocks::open(path, OPTIONS).expect("most of it is as it was")
    }

    fn flip_a_bit(file: &Path) {
        let mut bytes = std::fs::read(file).expect("read");
        bytes[8] ^= 1;
        std::fs::write(file, bytes).expect("written");
    }

    #[test]
    fn what_was_found_damaged_is_not_copied_and_is_known_to_who_opens_it_next() {
        type Read = fn(&Rocks) -> Result<(), StoreError>;
        let reads: [Read; 2] = [|store| store.get(b"a").map(drop), |store| store.scan(b"", b"z", &mut |_, _| std::ops::ControlFlow::Continue(()))];
        for read in reads {
            let folder = tempfile::tempdir().expect("a folder");
            let store = opened_with(folder.path(), flip_a_bit);
            assert_eq!(Rocks::damage_in(folder.path()), None, "nobody has met it");
            let error = read(&store).expect_err("a checksum does not fit");
            assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains("is damaged"), "{error}");
            assert!(matches!(store.copy_to(&folder.path().join("copy")), Err(StoreError::Damaged { .. })));
            drop(store);
            drop(Rocks::open(folder.path(), OPTIONS).expect("most of it is as it was"));
            assert!(Rocks::damage_in(folder.path()).is_some_and(|what| what.contains("checksum")));
        }
    }

    /// Of each store more is written than its part of the budget, and less than what would make it write out by itself; then all of it is read. What is being written out counts until it is,
    /// so that is waited for.
    #[test]
    fn all_open_stores_together_stay_within_one_budget() {
        const BUDGET_BYTES: usize = 32 << 20;
        const STORES: usize = 16;
        const ENTRIES: u32 = 30;
        let (folder, mut budget) = (tempfile::tempdir().expect("a folder"), MemoryBudget::of_bytes(10 * BUDGET_BYTES));
        budget.set_bytes(BUDGET_BYTES);
        let open = |number: usize| Rocks::open_within(&folder.path().join(number.to_string()), OPTIONS, &budget).expect("opens");
        let stores: Vec<Rocks> = (0..STORES).map(open).collect();
        // Nothing that could be made smaller.
        let value: Vec<u8> = (0..100_000_u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let put_in_each = |number: u32| {
            for store in &stores {
                store.write(WriteBatch { puts: vec![(number.to_be_bytes().to_vec(), value.clone())], ..WriteBatch::default() }).expect("written");
                store.database.wait_for_compact(&WaitForCompactOptions::default()).expect("written out");
            }
        };
        (0..ENTRIES).for_each(put_in_each);
        let written = budget.used_bytes();
        assert!((BUDGET_BYTES / 4..=BUDGET_BYTES).contains(&written), "{written} bytes after writing");
        for store in &stores {
            for number in 0..ENTRIES {
                assert_eq!(store.get(&number.to_be_bytes()).expect("read").as_ref(), Some(&value));
            }
        }
        let read = budget.used_bytes();
        assert!((written + 1..=BUDGET_BYTES).contains(&read), "{read} bytes after reading");
    }

    #[test]
    fn a_file_that_is_gone_is_a_damage_and_a_place_that_is_not_a_folder_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(opened_with(folder.path(), |_| {}));
        let database = folder.path().join(Rocks::DATABASE);
        for file in std::fs::read_dir(&database).expect("there").map(|entry| entry.expect("read").path()) {
            if file.extension().is_some_and(|extension| extension == "sst") {
                std::fs::remove_file(file).expect("removed");
            }
        }
        let error = Rocks::open(folder.path(), OPTIONS).and_then(|store| store.get(b"a")).expect_err("a file is gone");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

        std::fs::remove_dir_all(&database).expect("removed");
        std::fs::write(&database, "").expect("written");
        let error = Rocks::open(folder.path(), OPTIONS).expect_err("no folder");
        assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
    }
}
