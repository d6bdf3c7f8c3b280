//! A partition that transactions write: what is there by offset, decided or not.
//!
//! A reader of what is committed sees nothing at or after the first record that is open, and none that was aborted; offsets are missing where those stood, and the marks of
//! ends.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cluster::Client;

#[derive(Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// By producer: its first record of the transaction that it has open here.
    open: BTreeMap<Client, u64>,
}

enum Entry {
    Record { by: Client, value: Vec<u8>, fate: Fate },
    Mark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

impl Log {
    pub(super) fn append(&mut self, by: Client, value: Vec<u8>) {
        self.open.entry(by).or_insert(self.entries.len() as u64);
        self.entries.push(Entry::Record { by, value, fate: Fate::Open });
    }

    /// The end of a transaction, where the producer has one open here.
    pub(super) fn end_transaction(&mut self, of: Client, is_committed: bool) {
        let Some(first) = self.open.remove(&of) else { return };
        let decided = if is_committed { Fate::Committed } else { Fate::Aborted };
        for entry in self.entries.iter_mut().skip(place(first)) {
            if let Entry::Record { by, fate, .. } = entry
                && *by == of
            {
                *fate = decided;
            }
        }
        self.entries.push(Entry::Mark);
    }

    /// Up to here everything is decided.
    pub(super) fn stable_end(&self) -> u64 {
        self.open.values().copied().min().unwrap_or(self.entries.len() as u64)
    }

    /// The values that are committed among these offsets.
    pub(super) fn committed(&self, offsets: Range<u64>) -> impl DoubleEndedIterator<Item = (u64, &[u8])> {
        let (from, to) = (place(offsets.start), place(offsets.end.min(self.stable_end())));
        let committed = move |at: usize| match &self.entries[at] {
            Entry::Record { value, fate: Fate::Committed, .. } => Some((at as u64, value.as_slice())),
            Entry::Record { .. } | Entry::Mark => None,
        };
        (from..to).filter_map(committed)
    }

    /// After the last record that is committed.
    pub(super) fn committed_end(&self) -> u64 {
        self.committed(0..u64::MAX).next_back().map_or(0, |(offset, _)| offset + 1)
    }

    /// How many records were aborted.
    pub(super) fn aborted(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Record { fate: Fate::Aborted, .. })).count()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
