//! How far a run is, told by its loop to whoever watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Counters;

/// Shared by the loop and those who look; what they see may be a moment old.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    events: AtomicU64,
    matches: AtomicU64,
    read_bytes: AtomicU64,
    whole_bytes: AtomicU64,
}

impl Progress {
    pub(super) fn tell(&self, counters: &Counters, read_bytes: u64, whole_bytes: Option<u64>) {
        self.0.events.store(counters.events, Ordering::Relaxed);
        self.0.matches.store(counters.matches, Ordering::Relaxed);
        self.0.read_bytes.store(read_bytes, Ordering::Relaxed);
        self.0.whole_bytes.store(whole_bytes.unwrap_or(0), Ordering::Relaxed);
    }

    pub fn events(&self) -> u64 {
        self.0.events.load(Ordering::Relaxed)
    }

    pub fn matches(&self) -> u64 {
        self.0.matches.load(Ordering::Relaxed)
    }

    /// How much of the input was read, of a hundred; `None` where its end is not known.
    pub fn percent(&self) -> Option<u64> {
        let whole = self.0.whole_bytes.load(Ordering::Relaxed);
        let read = self.0.read_bytes.load(Ordering::Relaxed).min(whole);
        read.checked_mul(100)?.checked_div(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_of_what_is_known() {
        for (read, whole, percent) in [(0, Some(0), None), (7, None, None), (0, Some(3), Some(0)), (2, Some(3), Some(66)), (4, Some(3), Some(100))] {
            let progress = Progress::default();
            progress.tell(&Counters { events: 5, matches: 2, ..Counters::default() }, read, whole);
            assert_eq!((progress.percent(), progress.events(), progress.matches()), (percent, 5, 2), "{read} of {whole:?}");
        }
    }
}
