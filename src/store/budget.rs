//! How much memory RocksDB has: one budget for all stores that are open in the process, however many tasks it has.
//!
//! Two things share it: what was written and is not yet in files (memtables), and blocks of files that were read, indexes and filters among them. Memtables take their part out of the
//! cache of blocks, which gives way; where they come near three quarters of the whole, whichever store is written to next writes its own out. Meanwhile nobody waits: where more is written
//! than the disk takes, it is the two memtables of each store that bound them.

use std::fmt::Debug;
use std::sync::LazyLock;

use rocksdb::{Cache, WriteBufferManager};

/// Of all stores that are not given another.
static OF_PROCESS: LazyLock<MemoryBudget> = LazyLock::new(|| MemoryBudget::of_bytes(MemoryBudget::DEFAULT_BYTES));

#[derive(Clone)]
pub struct MemoryBudget {
    cache: Cache,
    memtables: WriteBufferManager,
}

impl MemoryBudget {
    pub const DEFAULT_BYTES: usize = 256 << 20;

    pub(super) fn of_bytes(bytes: usize) -> Self {
        // The cache finds out by itself how large its entries are.
        let cache = Cache::new_hyper_clock_cache(bytes, 0);
        // Who writes does not wait (`allow_stall`): a store that holds much, and is not written to, could let all others wait for ever.
        let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(memtable_bytes(bytes), false, cache.clone());
        Self { cache, memtables }
    }

    pub fn of_process() -> Self {
        OF_PROCESS.clone()
    }

    /// From now on it is so large. To be said before stores are opened: what those have that is too much they give back only by and by.
    pub fn set_bytes(&mut self, bytes: usize) {
        self.cache.set_capacity(bytes);
        self.memtables.set_buffer_size(memtable_bytes(bytes));
    }

    /// What is in use of it now.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn memtables(&self) -> &WriteBufferManager {
        &self.memtables
    }
}

fn memtable_bytes(bytes: usize) -> usize {
    bytes / 4 * 3
}

impl Debug for MemoryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBudget").field("used_bytes", &self.used_bytes()).finish()
    }
}
