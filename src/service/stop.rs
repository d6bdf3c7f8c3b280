//! How a run is told to end: a flag that the signal handler sets and every loop looks at between two pieces of work.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Shared by all threads of a run. Once asked to stop, it stays so.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<OnceLock<Instant>>);

impl StopSignal {
    pub fn ask(&self) {
        // The first time counts.
        self.0.get_or_init(Instant::now);
    }

    pub fn is_asked(&self) -> bool {
        self.0.get().is_some()
    }

    /// And that long ago, or longer.
    pub fn is_asked_since(&self, time: Duration) -> bool {
        self.0.get().is_some_and(|asked| asked.elapsed() >= time)
    }
}
