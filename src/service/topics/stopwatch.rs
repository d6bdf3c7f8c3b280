//! How long something takes, or is ago, by a clock that never goes back: what is to be tried, told or waited for a while is measured by it. What events are evaluated under is the wall clock
//! ([`Clock`](crate::service::topics::deployment::Clock)), which is noted in the journal and so repeated; this one is not, and nothing that comes out may hang on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
pub(super) struct Stopwatch(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Stopwatch {
    /// By the machine's clock.
    pub(super) fn start() -> Self {
        let began = Instant::now();
        Self::by(move || began.elapsed())
    }

    /// By one that tells how long ago it was started.
    pub(super) fn by(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Since it was started.
    pub(super) fn now(&self) -> Duration {
        (self.0)()
    }

    /// Since it told this.
    pub(super) fn since(&self, before: Duration) -> Duration {
        self.now().saturating_sub(before)
    }
}
