//! How much may wait in a task until it is taken: matches by number and bytes, changes of state by bytes.
//!
//! An epoch is one transaction, or one batch of a store, and what it holds is in memory several times over while it is committed. So nothing more is stepped where as much waits as may, and the
//! epoch ends. Where that is shows nowhere in what comes out.
//!
//! What a change takes is only known once it is encoded, which happens once for each key and epoch, however often it has changed. Until then the keys are counted, and taken to be as large as those
//! of the epochs before.

use std::iter::Sum;

use crate::engine::Change;

/// As many matches may wait. (Few where the service's own tests run, so that they come to it.)
pub(super) const MATCHES_WAITING_MAX: usize = if cfg!(test) { 20 } else { 10_000 };

/// And as many bytes of them.
pub(super) const MATCH_BYTES_WAITING_MAX: usize = if cfg!(test) { 16 << 10 } else { 16 << 20 };

/// As many bytes of changes may wait: of some 130,000 keys that hold little.
pub(super) const CHANGE_BYTES_WAITING_MAX: usize = if cfg!(test) { 2_000 } else { 64 << 20 };

/// What an entry takes beside its bytes in all that is made of it until it is stored.
const ENTRY_BYTES: usize = 400;

/// What waits in a task, or in several together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Waiting {
    pub matches: usize,
    /// Of their text, about.
    pub match_bytes: usize,
    /// Of the changes of state, about.
    pub change_bytes: usize,
}

impl Waiting {
    /// As much waits as may.
    pub(super) fn is_full(&self) -> bool {
        self.matches >= MATCHES_WAITING_MAX || self.match_bytes >= MATCH_BYTES_WAITING_MAX || self.change_bytes >= CHANGE_BYTES_WAITING_MAX
    }
}

impl Sum for Waiting {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            matches: sum.matches + one.matches,
            match_bytes: sum.match_bytes + one.match_bytes,
            change_bytes: sum.change_bytes + one.change_bytes,
        })
    }
}

/// What the changes of a key take, as has been seen.
#[derive(Debug)]
pub(super) struct ChangeBytes {
    of_key: usize,
}

impl Default for ChangeBytes {
    fn default() -> Self {
        Self { of_key: ENTRY_BYTES }
    }
}

impl ChangeBytes {
    /// What is to be expected of so many keys.
    pub(super) fn of(&self, keys: usize) -> usize {
        keys.saturating_mul(self.of_key)
    }

    /// This has become of so many keys. One epoch that is unlike the others does not decide alone.
    pub(super) fn note(&mut self, keys: usize, changes: &[Change]) {
        let of_change = |change: &Change| ENTRY_BYTES + change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        let bytes: usize = changes.iter().map(of_change).sum();
        if let Some(of_key) = bytes.checked_div(keys) {
            self.of_key = (self.of_key + of_key).div_ceil(2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_to_be_as_large_as_they_were() {
        let change = |bytes| Change { key: vec![0; 20], value: Some(vec![0; bytes]) };
        let mut bytes = ChangeBytes::default();
        assert_eq!((bytes.of(0), bytes.of(10)), (0, 10 * ENTRY_BYTES));
        bytes.note(0, &[]);
        assert_eq!(bytes.of(1), ENTRY_BYTES, "nothing was seen");
        // Two patterns have something of each key.
        let changes: Vec<Change> = (0..20).map(|_| change(100_000)).collect();
        bytes.note(10, &changes);
        assert!((100_000..=200_840).contains(&bytes.of(1)), "{}", bytes.of(1));
        (0..20).for_each(|_| bytes.note(10, &changes));
        assert!((200_839..=200_841).contains(&bytes.of(1)), "{}", bytes.of(1));
        (0..40).for_each(|_| bytes.note(10, &[]));
        assert_eq!(bytes.of(7), 7, "there is always something");
    }

    #[test]
    fn what_several_tasks_have_waits_together() {
        let one = Waiting { matches: MATCHES_WAITING_MAX / 2, ..Waiting::default() };
        assert!(!one.is_full() && [one, one].into_iter().sum::<Waiting>().is_full());
        for full in
            [Waiting { match_bytes: MATCH_BYTES_WAITING_MAX, ..Waiting::default() }, Waiting { change_bytes: CHANGE_BYTES_WAITING_MAX, ..Waiting::default() }]
        {
            assert!(full.is_full());
        }
    }
}
