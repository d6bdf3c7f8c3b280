//! Whether an input is silent, or only not read to its end.
//!
//! An input that shows nothing for long does not hold its task back (`idle_timeout`, `idle_after`), and what it shows later may be overtaken. So nothing counts as
//! silence while records of it are known to be there: while it is paused, while it waits in a queue, before the brokers have told its end at all.

use std::collections::BTreeMap;

use crate::event::{ProcessingTime, StreamId, TimeSpan};
use crate::ports::{InputPartition, Transport};
use crate::service::topics::assigned::Assigned;
use crate::service::topics::balance::Balance;
use crate::service::topics::beside::Inquiry;
use crate::service::topics::deployment::Deployment;

/// An input that stands still before its end for so long may have only markers left, which nobody reads: then that is found out.
const ASKED_AFTER: TimeSpan = TimeSpan::from_secs(1);

/// Between two such questions, of whatever input.
const ASK_INTERVAL: TimeSpan = TimeSpan::from_millis(250);

pub(super) struct Silences {
    /// Streams whose silence matters.
    heeded: Vec<StreamId>,
    inputs: BTreeMap<InputPartition, Standstill>,
    asked: ProcessingTime,
    /// One at a time: each takes a few round trips.
    inquiry: Inquiry<Told>,
}

/// An answer: where the last record of an input ends that stood still before `end`, if that can be told.
struct Told {
    input: InputPartition,
    read: u64,
    end: u64,
    last: Option<u64>,
}

/// An input that stands before its end.
struct Standstill {
    read: u64,
    /// Since when, or when its last record was last asked for.
    since: ProcessingTime,
    /// Up to this end there is nothing more to read.
    empty_to: Option<u64>,
}

impl Silences {
    pub(super) fn new(deployment: &Deployment) -> Self {
        let heeds = |stream: &StreamId| {
            let settings = deployment.config.streams.get(deployment.stream_name(*stream));
            settings.is_some_and(|settings| settings.idle_timeout.is_some() || settings.idle_after.is_some())
        };
        let heeded = deployment.inputs.keys().copied().filter(heeds).collect();
        Self { heeded, inputs: BTreeMap::new(), asked: ProcessingTime::from_micros(0), inquiry: Inquiry::default() }
    }

    /// Before a tick: tells a task which of its inputs are only not read.
    pub(super) fn check(&mut self, deployment: &Deployment, assigned: &mut Assigned, transport: &dyn Transport, balance: &Balance, now: ProcessingTime) {
        self.hear(now);
        for &stream in &self.heeded {
            let input = InputPartition { stream, partition: assigned.number };
            let read = assigned.read_to(input);
            let is_awaited = match transport.known_end(input) {
                None => true,
                Some(end) if read >= end => false,
                Some(_) if balance.holds_back(input) => true,
                Some(end) => {
                    let standstill = self.inputs.entry(input).or_insert(Standstill { read, since: now, empty_to: None });
                    if standstill.is_in_doubt(end, read, now) && self.inquiry.is_free() && now.since(self.asked) >= ASK_INTERVAL {
                        self.asked = now;
                        let survey = deployment.survey.clone();
                        let find_out =
                            move || survey.end(input).inspect_err(|error| tracing::warn!(?input, %error, "whether there is more to read cannot be told"));
                        self.inquiry.ask(deployment.beside, move || Told { input, read, end, last: find_out().ok() });
                    }
                    standstill.empty_to != Some(end)
                }
            };
            if is_awaited {
                assigned.task.await_more(stream, assigned.number);
            }
        }
    }

    /// What is told of an input that was read on meanwhile is of no use.
    fn hear(&mut self, now: ProcessingTime) {
        if let Some(Told { input, read, end, last }) = self.inquiry.answer()
            && let Some(standstill) = self.inputs.get_mut(&input).filter(|standstill| standstill.read == read)
        {
            standstill.learn(end, last, now);
        }
    }
}

impl Standstill {
    /// Nobody knows whether there is anything between the place that was `read` and this end but markers, and it has been so for long.
    fn is_in_doubt(&mut self, end: u64, read: u64, now: ProcessingTime) -> bool {
        if read != self.read {
            *self = Self { read, since: now, empty_to: None };
        }
        self.empty_to != Some(end) && now.since(self.since) >= ASKED_AFTER
    }

    /// `last`: where the last record ends, if that can be told.
    fn learn(&mut self, end: u64, last: Option<u64>, now: ProcessingTime) {
        self.since = now;
        self.empty_to = last.is_some_and(|last| last <= self.read).then_some(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_markers_before_the_end_are_silence_and_rarely_asked_about() {
        let at = ProcessingTime::from_micros;
        let mut standstill = Standstill { read: 7, since: at(0), empty_to: None };
        assert!(!standstill.is_in_doubt(9, 7, at(999_999)), "not yet for long");
        for (now, last) in [(1_000_000, Some(9)), (2_000_000, None)] {
            assert!(standstill.is_in_doubt(9, 7, at(now)));
            standstill.learn(9, last, at(now));
            assert_eq!(standstill.empty_to, None, "a record is left, or nobody can tell");
            assert!(!standstill.is_in_doubt(9, 7, at(now + 500_000)));
        }
        standstill.learn(9, Some(7), at(3_000_000));
        assert_eq!(standstill.empty_to, Some(9), "a marker");
        assert!(!standstill.is_in_doubt(9, 7, at(9_000_000)), "known");
        assert!(standstill.is_in_doubt(10, 7, at(9_000_000)), "the end has moved");
        assert!(!standstill.is_in_doubt(10, 8, at(9_500_000)) && standstill.empty_to.is_none(), "it was read on");
    }
}
