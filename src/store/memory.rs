//! A store in memory: gone with the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ports::{EntryVisitor, ScratchStores, StateStore, StoreError, WriteBatch};

/// Entries that are copied out at a time while a scan goes on, so that what visits them may use the store.
const SCAN_PAGE_ENTRIES: usize = 256;

#[derive(Debug, Default)]
pub struct Memory(RwLock<Entries>);

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Makes such stores.
#[derive(Debug)]
struct MemoryScratch;

impl ScratchStores for MemoryScratch {
    fn make(&self) -> Result<Arc<dyn StateStore>, StoreError> {
        Ok(Arc::new(Memory::default()))
    }
}

impl StateStore for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: &mut EntryVisitor<'_>) -> Result<(), StoreError> {
        let mut from = Bound::Included(start.to_vec());
        while let Some(page) = self.page(&from, end) {
            for (key, value) in &page {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { break };
            from = Bound::Excluded(last);
        }
        Ok(())
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn copy_to(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed("what is in memory only has no files to copy".to_owned()))
    }

    fn scratch(&self) -> Arc<dyn ScratchStores> {
        Arc::new(MemoryScratch)
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        // Nothing below can panic half way: a poisoned lock still guards whole batches.
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (start, end) in batch.delete_ranges.iter().filter(|(start, end)| start < end) {
            let doomed: Vec<Vec<u8>> =
                entries.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice()))).map(|(key, _)| key.clone()).collect();
            for key in doomed {
                entries.remove(&key);
            }
        }
        for key in &batch.deletes {
            entries.remove(key);
        }
        entries.extend(batch.puts);
        Ok(())
    }
}

impl Memory {
    /// The next entries; `None` where the range is empty by its bounds.
    fn page(&self, from: &Bound<Vec<u8>>, end: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let (Bound::Included(start) | Bound::Excluded(start)) = from else { return None };
        if start.as_slice() >= end {
            return None;
        }
        let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end));
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(entries.range::<[u8], _>(range).take(SCAN_PAGE_ENTRIES).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
