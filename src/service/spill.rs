//! Where the packed keys of a task lie that memory has no room for: in a scratch store, made when the first of them comes.
//!
//! | key | value |
//! |---|---|
//! | shard (2 bytes), table (4), `k`, the key | when time next decides something of it (8 bytes) |
//! | shard, table, `t`, that instant (8 bytes), the key | the packed key |
//!
//! Numbers have their highest byte first, instants so that they stand in their order. What events ask for lies close together that way, and keys whose time has come are read
//! one after the other.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{ColdKey, ColdKeys, ColdKeysError};
use crate::event::EventTime;
use crate::ports::{ScratchStores, StateStore, StoreError, WriteBatch};

const KEYS: u8 = b'k';
const TIMERS: u8 = b't';

const INSTANT_BYTES: usize = 8;

/// The part of one shard.
#[derive(Debug)]
pub struct Spill {
    whole: Arc<Whole>,
    shard: u16,
    store: Option<Arc<dyn StateStore>>,
}

/// One store for all shards: so its memory is bounded by task.
#[derive(Debug)]
struct Whole {
    scratch: Arc<dyn ScratchStores>,
    store: Mutex<Option<Arc<dyn StateStore>>>,
}

impl Spill {
    /// For so many shards.
    pub fn of_shards(scratch: Arc<dyn ScratchStores>, shards: usize) -> impl Iterator<Item = Self> {
        let whole = Arc::new(Whole { scratch, store: Mutex::new(None) });
        let shards = u16::try_from(shards).expect("a shard is a thread, and no machine has as many");
        (0..shards).map(move |shard| Self { whole: whole.clone(), shard, store: None })
    }

    fn open(&mut self) -> Result<Arc<dyn StateStore>, StoreError> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let mut made = self.whole.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match &*made {
            Some(store) => store.clone(),
            None => made.insert(self.whole.scratch.make()?).clone(),
        };
        self.store = Some(store.clone());
        Ok(store)
    }

    fn prefix(&self, table: u32, kind: u8) -> Vec<u8> {
        [&self.shard.to_be_bytes()[..], &table.to_be_bytes(), &[kind]].concat()
    }

    fn key_entry(&self, table: u32, key: &[u8]) -> Vec<u8> {
        [&self.prefix(table, KEYS), key].concat()
    }

    fn timer_entry(&self, table: u32, timer: EventTime, key: &[u8]) -> Vec<u8> {
        [&self.prefix(table, TIMERS), &ordered(timer)[..], key].concat()
    }
}

impl ColdKeys for Spill {
    fn put(&mut self, table: u32, keys: &[ColdKey]) -> Result<(), ColdKeysError> {
        let store = self.open().map_err(failed)?;
        let mut puts = Vec::with_capacity(2 * keys.len());
        for cold in keys {
            puts.push((self.key_entry(table, cold.key()), ordered(cold.timer).to_vec()));
            puts.push((self.timer_entry(table, cold.timer, cold.key()), cold.bytes.to_vec()));
        }
        store.write(WriteBatch { puts, ..WriteBatch::default() }).map_err(failed)
    }

    fn take(&mut self, table: u32, key: &[u8]) -> Result<Option<ColdKey>, ColdKeysError> {
        let store = self.open().map_err(failed)?;
        let key_entry = self.key_entry(table, key);
        let Some(timer) = store.get(&key_entry).map_err(failed)? else { return Ok(None) };
        let timer = instant(&timer)?;
        let timer_entry = self.timer_entry(table, timer, key);
        let bytes = store.get(&timer_entry).map_err(failed)?.ok_or_else(|| damaged("a key is there, and what it holds is not"))?;
        store.write(WriteBatch { deletes: vec![key_entry, timer_entry], ..WriteBatch::default() }).map_err(failed)?;
        Ok(Some(ColdKey { timer, bytes: bytes.into() }))
    }

    fn take_due(&mut self, table: u32, span: RangeInclusive<EventTime>, most: usize, taken: &mut Vec<ColdKey>) -> Result<EventTime, ColdKeysError> {
        let store = self.open().map_err(failed)?;
        let (start, end) = (self.timer_entry(table, *span.start(), &[]), self.prefix(table, TIMERS + 1));
        let (mut least, mut wrong, mut deletes) = (EventTime::END, None, Vec::new());
        let visit = &mut |entry: &[u8], bytes: &[u8]| {
            let timer = match instant(entry.get(start.len() - INSTANT_BYTES..start.len()).unwrap_or_default()) {
                Ok(timer) => timer,
                Err(error) => {
                    wrong = Some(error);
                    return ControlFlow::Break(());
                }
            };
            if timer > *span.end() || deletes.len() == 2 * most {
                least = timer;
                return ControlFlow::Break(());
            }
            deletes.extend([entry.to_vec(), self.key_entry(table, &entry[start.len()..])]);
            taken.push(ColdKey { timer, bytes: bytes.into() });
            ControlFlow::Continue(())
        };
        store.scan(&start, &end, visit).map_err(failed)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        store.write(WriteBatch { deletes, ..WriteBatch::default() }).map_err(failed)?;
        Ok(least)
    }
}

/// In the order of the instants.
fn ordered(instant: EventTime) -> [u8; INSTANT_BYTES] {
    (instant.micros() ^ i64::MIN).to_be_bytes()
}

fn instant(bytes: &[u8]) -> Result<EventTime, ColdKeysError> {
    let bytes = bytes.try_into().map_err(|_| damaged("an instant is cut off"))?;
    Ok(EventTime::from_micros(i64::from_be_bytes(bytes) ^ i64::MIN))
}

fn failed(error: StoreError) -> ColdKeysError {
    beyond_memory(&error.to_string())
}

fn damaged(what: &str) -> ColdKeysError {
    beyond_memory(&format!("what was written there has changed: {what}"))
}

fn beyond_memory(what: &str) -> ColdKeysError {
    ColdKeysError(format!("keys beyond `packed_keys_max` cannot be kept on the disk: {what}"))
}
