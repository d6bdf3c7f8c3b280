//! How far time has come: for each partition by what it has shown, for the task by the least of its partitions.
//!
//! A partition's watermark is one microsecond before (the newest time seen in it - lateness), or what was said for it where the stream's watermarks are said.
//! The task's is the least over the live partitions that are not idle; it never goes back.

use crate::engine::partition::Partition;
use crate::event::{EventTime, ProcessingTime, TimeSpan};

/// How the watermark of a stream's partitions behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTiming {
    /// An event that is more than this older than the newest one seen in its partition is late.
    pub lateness: TimeSpan,
    /// A partition that has shown no event for longer than this, by the machine's clock, does not hold the task back. `None`: it always does.
    pub idle_timeout: Option<TimeSpan>,
    /// Where no partition of the stream has shown an event for this long, its watermark follows the machine's clock, less the lateness. `None`: never.
    pub idle_after: Option<TimeSpan>,
}

impl StreamTiming {
    /// The machine's clock plays a part.
    pub(super) fn heeds_silence(&self) -> bool {
        self.idle_timeout.is_some() || self.idle_after.is_some()
    }

    /// In order of the event times alone.
    pub const fn of_lateness(lateness: TimeSpan) -> Self {
        Self { lateness, idle_timeout: None, idle_after: None }
    }
}

/// Time in one stream.
#[derive(Debug)]
pub(super) struct StreamClock {
    pub timing: StreamTiming,
    /// How far a partition's watermark is behind the newest event seen in it.
    behind: TimeSpan,
    /// Its watermarks are said rather than derived.
    pub said: bool,
    /// The watermark that the machine's clock gives, where the stream is quiet.
    pub quiet: Option<EventTime>,
}

impl StreamClock {
    pub(super) fn new(timing: StreamTiming) -> Self {
        Self { behind: behind(timing.lateness), timing, said: false, quiet: None }
    }

    /// The partition's own watermark: decides which of its events are late.
    pub(super) fn own(&self, partition: &Partition) -> EventTime {
        if self.said { partition.said } else { partition.newest.minus(self.behind) }
    }

    /// The same, however far what was held of it is read again by now.
    pub(super) fn own_ever(&self, partition: &Partition) -> EventTime {
        if self.said { partition.said } else { partition.newest_ever().minus(self.behind) }
    }

    /// How far the partition holds the task back; `None`: not at all.
    pub(super) fn bound(&self, partition: &Partition) -> Option<EventTime> {
        match self.quiet {
            _ if !partition.live => None,
            // What it held is not there again yet.
            _ if partition.is_rereading() => Some(self.own(partition)),
            Some(quiet) => Some(quiet.max(self.own(partition))),
            None if partition.idle => None,
            None => Some(self.own(partition)),
        }
    }

    /// Finds out whether the stream is quiet; `last` is when any of its live partitions showed an event.
    pub(super) fn tick(&mut self, now: ProcessingTime, last: Option<ProcessingTime>) {
        let quiet = self.timing.idle_after.zip(last).is_some_and(|(after, last)| now.since(last) >= after);
        self.quiet = quiet.then(|| EventTime::from_micros(now.micros()).minus(self.behind));
    }
}

/// One microsecond before what comes that much later than the newest event seen.
pub fn watermark_behind(newest: EventTime, lateness: TimeSpan) -> EventTime {
    newest.minus(behind(lateness))
}

const fn behind(lateness: TimeSpan) -> TimeSpan {
    lateness.plus(TimeSpan::TICK)
}
