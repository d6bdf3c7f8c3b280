//! The embedded log of matches: entries of committed epochs, kept for subscribers in the task's own store.
//!
//! Entries are written in the batch of their epoch and seen by readers once that batch is written. What is older than the bound is deleted by
//! the same batch, and out of range for readers before it is written: who reads while it goes is told so and misses nothing unknowingly. A position is
//! `[epoch, index]`, the place after entry `index` (from 1) of that epoch.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::ports::{LogAmount, LogEntry, LogError, LogPosition, MatchLog, StateStore, StoreError, WriteBatch};

const ENTRY: u8 = b'l';
const TRIMMED: &[u8] = b"t";

/// Of a full log so large a part is let go of at a time: until the store has put them away, each range of keys that it was told to delete costs every read.
const TRIMMED_PART: usize = 10;

/// Written by the run's loop, read by any number of subscribers.
pub struct StoredMatchLog {
    store: Arc<dyn StateStore>,
    identity: String,
    kept_max: LogAmount,
    bounds: Mutex<Bounds>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Bounds {
    /// After the last entry that was trimmed.
    trimmed: (u64, u32),
    /// Committed epochs that have entries.
    epochs: VecDeque<EpochEntries>,
    /// Of all of them.
    kept: LogAmount,
}

/// The entries of an epoch.
#[derive(Debug)]
struct EpochEntries {
    epoch: u64,
    amount: LogAmount,
}

impl EpochEntries {
    /// The place after the last of them.
    fn end(&self) -> (u64, u32) {
        (self.epoch, index(self.amount.entries))
    }
}

/// What a batch will add to the log once it is written.
#[must_use = "the log shows the entries only after `publish`"]
#[derive(Debug)]
pub struct Staged(EpochEntries);

impl StoredMatchLog {
    /// Reads what the store holds; from now on no more than that is kept. Cost: one pass over the log.
    pub fn open(store: Arc<dyn StateStore>, identity: String, kept_max: LogAmount) -> Result<Self, StoreError> {
        let mut bounds = Bounds::default();
        if let Some(bytes) = store.get(TRIMMED)? {
            bounds.trimmed = decode_place(&bytes).ok_or_else(|| StoreError::Failed("the log's beginning cannot be read".to_owned()))?;
        }
        store.scan(&[ENTRY], &[ENTRY + 1], &mut |key, value| {
            if let Some((epoch, _)) = decode_place(&key[1..]) {
                bounds.count(EpochEntries { epoch, amount: LogAmount::of(value) });
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self { store, identity, kept_max, bounds: Mutex::new(bounds), changed: watch::Sender::new(0) })
    }

    /// Adds an epoch's matches (pattern name and JSON) to the batch that commits the epoch. Cost: that of the matches; now and then one range of keys that is deleted, which begins where the last one
    /// has ended: RocksDB keeps of every range those that lie over it as well, so with ranges that all begin at the first key its work would grow with their square.
    pub fn stage(&self, epoch: u64, matches: &[(Arc<str>, Vec<u8>)], batch: &mut WriteBatch) -> Staged {
        let mut amount = LogAmount { entries: matches.len(), bytes: 0 };
        for (place, (pattern, json)) in matches.iter().enumerate() {
            let entry = encode_entry(pattern, json);
            amount.bytes += entry.len();
            batch.puts.push((entry_key(epoch, index(place + 1)), entry));
        }
        let trimmed = self.lock().trim(amount, self.kept_max);
        if let Some(((before, _), (last, index))) = trimmed {
            batch.delete_ranges.push((entry_key(before + 1, 0), entry_key(last + 1, 0)));
            batch.puts.push((TRIMMED.to_vec(), encode_place(last, index).to_vec()));
        }
        Staged(EpochEntries { epoch, amount })
    }

    /// The batch is written: readers see the entries.
    pub fn publish(&self, staged: Staged) {
        if staged.0.amount.entries > 0 {
            self.lock().count(staged.0);
            self.changed.send_modify(|version| *version += 1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn count(&mut self, entries: EpochEntries) {
        self.kept = self.kept.plus(entries.amount);
        match self.epochs.back_mut() {
            Some(last) if last.epoch == entries.epoch => last.amount = last.amount.plus(entries.amount),
            _ => self.epochs.push_back(entries),
        }
    }

    /// Where what is coming does not fit, lets go of the oldest epochs so that they do and some room is left; returns the last places that had gone before and have gone now.
    fn trim(&mut self, coming: LogAmount, max: LogAmount) -> Option<((u64, u32), (u64, u32))> {
        if !self.kept.plus(coming).is_over(max) {
            return None;
        }
        let (before, part) = (self.trimmed, LogAmount { entries: max.entries / TRIMMED_PART, bytes: max.bytes / TRIMMED_PART });
        while self.kept.plus(coming).is_over(max.minus(part)) {
            let Some(oldest) = self.epochs.pop_front() else { break };
            self.kept = self.kept.minus(oldest.amount);
            self.trimmed = oldest.end();
        }
        (self.trimmed != before).then_some((before, self.trimmed))
    }

    /// The place after the last entry.
    fn last(&self) -> (u64, u32) {
        self.epochs.back().map_or(self.trimmed, EpochEntries::end)
    }
}

impl MatchLog for StoredMatchLog {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn earliest(&self) -> Result<LogPosition, LogError> {
        Ok(position(self.lock().trimmed))
    }

    fn latest(&self) -> Result<LogPosition, LogError> {
        Ok(position(self.lock().last()))
    }

    fn read(&self, from: &LogPosition, until: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        let (from_epoch, from_index) = place(from)?;
        let last = self.lock().last();
        if (from_epoch, from_index) > last {
            return Err(LogError::BeyondEnd { next: self.earliest()? });
        }
        let start = entry_key(from_epoch, from_index.saturating_add(1));
        let end = entry_key(last.0, last.1.saturating_add(1));
        let (mut entries, mut read) = (Vec::new(), LogAmount::default());
        let mut damaged = false;
        if start < end {
            self.store
                .scan(&start, &end, &mut |key, value| {
                    match decode_place(&key[1..]).zip(decode_entry(value)) {
                        Some((place, (pattern, json))) => {
                            let entry = LogEntry { position: position(place), pattern, json };
                            read = read.plus(entry.amount());
                            entries.push(entry);
                        }
                        None => damaged = true,
                    }
                    if !read.has_reached(until) && !damaged { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
                .map_err(|error| LogError::Failed(error.to_string()))?;
        }
        // Only now: what went while it was read may be missing.
        let trimmed = self.lock().trimmed;
        if (from_epoch, from_index) < trimmed {
            return Err(LogError::OutOfRange { next: position(trimmed) });
        }
        if damaged { Err(LogError::Failed("an entry is damaged".to_owned())) } else { Ok(entries) }
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).expect("an epoch's matches are bounded far below 2^32")
}

fn position((epoch, index): (u64, u32)) -> LogPosition {
    LogPosition(vec![epoch, u64::from(index)])
}

fn place(position: &LogPosition) -> Result<(u64, u32), LogError> {
    match position.0.as_slice() {
        [epoch, index] => u32::try_from(*index).ok().map(|index| (*epoch, index)),
        _ => None,
    }
    .ok_or(LogError::OtherLog)
}

fn encode_place(epoch: u64, index: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&epoch.to_be_bytes());
    bytes[8..].copy_from_slice(&index.to_be_bytes());
    bytes
}

fn decode_place(bytes: &[u8]) -> Option<(u64, u32)> {
    let (epoch, index) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*epoch), u32::from_be_bytes(index.try_into().ok()?)))
}

fn entry_key(epoch: u64, index: u32) -> Vec<u8> {
    let mut key = vec![ENTRY];
    key.extend(encode_place(epoch, index));
    key
}

fn encode_entry(pattern: &str, json: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + pattern.len() + json.len());
    value.extend(u32::try_from(pattern.len()).expect("names are bounded by the text's length").to_be_bytes());
    value.extend_from_slice(pattern.as_bytes());
    value.extend_from_slice(json);
    value
}

fn decode_entry(value: &[u8]) -> Option<(Arc<str>, Arc<[u8]>)> {
    let (length, rest) = value.split_first_chunk::<4>()?;
    let (pattern, json) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(pattern).ok()?.into(), json.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn add(log: &StoredMatchLog, store: &dyn StateStore, epoch: u64, matches: &[&str]) {
        let matches: Vec<_> = matches.iter().map(|json| (Arc::from("p"), json.as_bytes().to_vec())).collect();
        let mut batch = WriteBatch::default();
        let staged = log.stage(epoch, &matches, &mut batch);
        store.write(batch).expect("memory");
        log.publish(staged);
    }

    fn all(log: &StoredMatchLog, from: &LogPosition) -> Vec<String> {
        let entries = log.read(from, LogAmount::of_entries(100)).expect("in range");
        entries.iter().map(|entry| String::from_utf8(entry.json.to_vec()).expect("text")).collect()
    }

    #[test]
    fn a_reader_that_goes_on_from_any_entry_sees_the_rest_once() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let log = StoredMatchLog::open(store.clone(), "i".to_owned(), LogAmount::of_entries(100)).expect("memory");
        add(&log, &*store, 1, &["a", "b"]);
        add(&log, &*store, 2, &[]);
        add(&log, &*store, 3, &["c"]);
        let entries = log.read(&log.earliest().expect("memory"), LogAmount::of_entries(100)).expect("in range");
        assert_eq!(all(&log, &log.earliest().expect("memory")), ["a", "b", "c"]);
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(all(&log, &entry.position), ["a", "b", "c"][place + 1..]);
        }
        let again = StoredMatchLog::open(store, "i".to_owned(), LogAmount::of_entries(100)).expect("memory");
        assert_eq!(again.latest().expect("memory"), log.latest().expect("memory"));
    }

    #[test]
    fn what_was_trimmed_is_out_of_range_and_the_rest_is_not() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let log = StoredMatchLog::open(store.clone(), "i".to_owned(), LogAmount::of_entries(3)).expect("memory");
        let beginning = log.earliest().expect("memory");
        add(&log, &*store, 1, &["a", "b"]);
        let after_first = log.latest().expect("memory");
        add(&log, &*store, 2, &["c", "d"]);
        assert!(matches!(log.read(&beginning, LogAmount::of_entries(9)), Err(LogError::OutOfRange { .. })));
        assert_eq!(all(&log, &after_first), ["c", "d"]);
        let again = StoredMatchLog::open(store, "i".to_owned(), LogAmount::of_entries(3)).expect("memory");
        assert_eq!(again.earliest().expect("memory"), after_first);
    }

    /// No range lies over another, whoever has written it: and they are fewer than the epochs.
    #[test]
    fn what_is_trimmed_is_deleted_from_where_the_last_has_ended() {
        const ENTRIES_MAX: usize = 100;
        const EPOCHS: u64 = 1_000;
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let mut ranges: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for epoch in 1..=EPOCHS {
            // As after a restart.
            let log = StoredMatchLog::open(store.clone(), "i".to_owned(), LogAmount::of_entries(ENTRIES_MAX)).expect("memory");
            let mut batch = WriteBatch::default();
            let staged = log.stage(epoch, &[(Arc::from("p"), epoch.to_string().into_bytes())], &mut batch);
            ranges.extend(batch.delete_ranges.clone());
            store.write(batch).expect("memory");
            log.publish(staged);
            let kept = log.read(&log.earliest().expect("memory"), LogAmount::of_entries(usize::MAX)).expect("in range");
            let oldest = epoch + 1 - u64::try_from(kept.len()).expect("few");
            assert!(kept.iter().map(|entry| entry.position.0[0]).eq(oldest..=epoch), "epoch {epoch}");
            let least = ENTRIES_MAX - ENTRIES_MAX / TRIMMED_PART;
            assert!(kept.len() <= ENTRIES_MAX && kept.len() >= least.min(usize::try_from(epoch).expect("few")), "epoch {epoch}: {} entries", kept.len());
        }
        assert!(ranges.iter().all(|(start, end)| start < end) && ranges.windows(2).all(|two| two[0].1 <= two[1].0), "{ranges:?}");
        assert!(ranges.len() <= EPOCHS as usize / (ENTRIES_MAX / TRIMMED_PART), "{} ranges", ranges.len());
    }

    #[test]
    fn who_reads_while_entries_go_is_told_and_gets_no_gap() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let log = StoredMatchLog::open(store.clone(), "i".to_owned(), LogAmount::of_entries(2)).expect("memory");
        let beginning = log.earliest().expect("memory");
        add(&log, &*store, 1, &["a"]);
        add(&log, &*store, 2, &["b"]);
        let mut batch = WriteBatch::default();
        let staged = log.stage(3, &[(Arc::from("p"), b"c".to_vec())], &mut batch);
        store.write(batch).expect("memory");
        // Written, and not yet published.
        assert!(matches!(log.read(&beginning, LogAmount::of_entries(9)), Err(LogError::OutOfRange { .. })));
        log.publish(staged);
        assert_eq!(all(&log, &log.earliest().expect("memory")), ["b", "c"]);
    }

    #[test]
    fn of_matches_that_are_long_fewer_are_kept_and_read_at_a_time() {
        let kept_max = LogAmount { entries: 100, bytes: 5_000 };
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let log = StoredMatchLog::open(store.clone(), "i".to_owned(), kept_max).expect("memory");
        let long = "l".repeat(1_000);
        for epoch in 1..=20 {
            add(&log, &*store, epoch, &[&long, "short"]);
            for log in [&log, &StoredMatchLog::open(store.clone(), "i".to_owned(), kept_max).expect("memory")] {
                let kept = log.read(&log.earliest().expect("memory"), LogAmount::of_entries(100)).expect("in range");
                let bytes: usize = kept.iter().map(|entry| entry.json.len()).sum();
                assert!(
                    bytes <= 5_000 && kept.len() >= usize::try_from(2 * epoch.min(4)).expect("few"),
                    "epoch {epoch}: {} entries, {bytes} bytes",
                    kept.len()
                );
            }
        }
        let read = |bytes| log.read(&log.earliest().expect("memory"), LogAmount { entries: 100, bytes }).expect("in range").len();
        assert_eq!([1, 1_000, 1_001, 2_000, 2_010].map(read), [1, 1, 2, 3, 4], "until they are as much, and one at least");
        // One that is larger than all that is kept comes all the same, and goes with the next.
        add(&log, &*store, 21, &[&"l".repeat(9_000)]);
        assert_eq!(all(&log, &log.earliest().expect("memory")).len(), 1);
        add(&log, &*store, 22, &["short"]);
        assert_eq!(all(&log, &log.earliest().expect("memory")), ["short"]);
    }

    #[test]
    fn a_place_beyond_the_end_is_refused() {
        let store: Arc<dyn StateStore> = Arc::new(Memory::default());
        let log = StoredMatchLog::open(store.clone(), "i".to_owned(), LogAmount::of_entries(9)).expect("memory");
        add(&log, &*store, 1, &["a"]);
        for place in [vec![1, 2], vec![2, 0]] {
            let error = log.read(&LogPosition(place.clone()), LogAmount::of_entries(9)).expect_err("there is no such place");
            assert!(matches!(&error, LogError::BeyondEnd { next } if all(&log, next) == ["a"]), "{place:?}: {error}");
        }
        for place in [vec![1], vec![1, u64::MAX]] {
            assert!(matches!(log.read(&LogPosition(place.clone()), LogAmount::of_entries(9)), Err(LogError::OtherLog)), "{place:?}");
        }
    }
}
