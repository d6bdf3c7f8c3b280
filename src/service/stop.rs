//! How a run is told to end: a flag that the signal handler sets and every loop looks at between two pieces of work.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A stop is over after so long, done or not: the process is ended then. That loses nothing: the next start cuts off, or repeats, what was not committed.
pub const STOP_MAX: Duration = Duration::from_secs(20);

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

    /// How long this part of the end may be waited for. Once a stop was asked for, what the parts before it have taken is missing to the later ones.
    pub fn time_for(&self, part: EndPart) -> Duration {
        let (most, over_by) = part.bounds();
        self.0.get().map_or(most, |asked| most.min(over_by.saturating_sub(asked.elapsed())))
    }
}

/// What follows the last epoch of a run, in this order. None is needed for what was promised: where the brokers are away, each is left as it is after a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndPart {
    /// The states of a worker's tasks are carried among the checkpoints.
    States,
    /// A worker leaves its group.
    Member,
    /// The clients that all workers shared are closed.
    Clients,
    /// The log that subscribers read is read to its end.
    LogEnd,
    /// Subscribers take what is committed.
    Subscribers,
    /// The log's own client is closed.
    Log,
}

impl EndPart {
    /// How long it may take, and how long after a stop was asked for it is over.
    const fn bounds(self) -> (Duration, Duration) {
        let (most, over_by) = match self {
            Self::States => (8, 12),
            Self::Member => (10, 14),
            Self::Clients => (10, 15),
            Self::LogEnd => (5, 16),
            Self::Subscribers => (10, 18),
            Self::Log => (10, 19),
        };
        (Duration::from_secs(most), Duration::from_secs(over_by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_end_has_what_those_before_it_have_left_of_a_stop() {
        let parts = [EndPart::States, EndPart::Member, EndPart::Clients, EndPart::LogEnd, EndPart::Subscribers, EndPart::Log];
        assert!(parts.is_sorted_by_key(|part| part.bounds().1) && parts.iter().all(|part| part.bounds().1 < STOP_MAX));
        let asked_ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine is up for longer");
        let unasked = StopSignal::default();
        let asked = |ago| StopSignal(Arc::new(OnceLock::from(asked_ago(ago))));
        for part in parts {
            let (most, over_by) = part.bounds();
            assert_eq!(unasked.time_for(part), most);
            let left = asked(10).time_for(part);
            assert!(left <= over_by - Duration::from_secs(10) && left <= most, "{part:?} has {left:?}");
            assert_eq!(asked(19).time_for(part), Duration::ZERO);
        }
    }
}
