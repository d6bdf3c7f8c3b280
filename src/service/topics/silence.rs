//! Whether an input is silent, or only not read to its end.
//!
//! An input that shows nothing for long does not hold its task back (`idle_timeout`, `idle_after`), and what it shows later may be overtaken. So nothing counts as
//! silence while records of it are known to be there: while it is paused, while it waits in a queue, before the brokers have told its end at all.
//!
//! What is found out of the ends of inputs also tells how many records are left: markers of transactions are none, and stand at the end of every log that is written by them.

use std::collections::BTreeMap;

use crate::event::{ProcessingTime, StreamId, TimeSpan};
use crate::ports::{InputPartition, Transport};
use crate::service::topics::assigned::Assigned;
use crate::service::topics::balance::Balance;
use crate::service::topics::beside::Inquiries;
use crate::service::topics::deployment::Deployment;

/// An input that stands still before its end for so long may have only markers left, which nobody reads: then that is found out.
const ASKED_AFTER: TimeSpan = TimeSpan::from_secs(1);

/// Between two such questions, of whatever input.
const ASK_INTERVAL: TimeSpan = TimeSpan::from_millis(250);

/// The same where nothing but a number hangs on the answer.
const ASK_OTHERS_INTERVAL: TimeSpan = TimeSpan::from_secs(1);

pub(super) struct Silences {
    /// Streams whose silence matters.
    heeded: Vec<StreamId>,
    inputs: BTreeMap<InputPartition, Standstill>,
    /// About inputs of these streams, and about all others, which so keep nobody waiting.
    of_heeded: Inquiries<Told>,
    of_others: Inquiries<Told>,
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
        let [of_heeded, of_others] = [ASK_INTERVAL, ASK_OTHERS_INTERVAL].map(Inquiries::new);
        Self { heeded, inputs: BTreeMap::new(), of_heeded, of_others }
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
                    let standstill = self.inputs.entry(input).or_insert(Standstill::new(read, now));
                    if standstill.is_in_doubt(end, read, now) && self.of_heeded.is_due(now) {
                        ask(&mut self.of_heeded, deployment, input, (read, end), now);
                    }
                    standstill.empty_to != Some(end)
                }
            };
            if is_awaited {
                assigned.task.await_more(stream, assigned.number);
            }
        }
    }

    /// Now and then: asks about that of the other inputs which has stood before its end for longest without having been asked about.
    pub(super) fn check_others<'a>(
        &mut self,
        deployment: &Deployment,
        tasks: impl Iterator<Item = &'a Assigned>,
        transport: &dyn Transport,
        balance: &Balance,
        now: ProcessingTime,
    ) {
        self.hear(now);
        let mut longest: Option<(ProcessingTime, InputPartition, u64, u64)> = None;
        for (input, read) in tasks.flat_map(Assigned::places) {
            let Some(end) = transport.known_end(input).filter(|end| read < *end) else { continue };
            if self.heeded.contains(&input.stream) || balance.holds_back(input) {
                continue;
            }
            let standstill = self.inputs.entry(input).or_insert(Standstill::new(read, now));
            if standstill.is_in_doubt(end, read, now) && longest.is_none_or(|(since, ..)| standstill.since < since) {
                longest = Some((standstill.since, input, read, end));
            }
        }
        if let Some((_, input, read, end)) = longest.filter(|_| self.of_others.is_due(now)) {
            ask(&mut self.of_others, deployment, input, (read, end), now);
        }
    }

    /// How many records of an input are left that is read up to `read`, as far as that is known; `None`: not at all.
    pub(super) fn left(&self, deployment: &Deployment, transport: &dyn Transport, input: InputPartition, read: u64) -> Option<u64> {
        let end = transport.known_end(input);
        let has_only_markers = |standstill: &Standstill| end.is_some() && standstill.read == read && standstill.empty_to == end;
        if self.inputs.get(&input).is_some_and(has_only_markers) {
            return Some(0);
        }
        Some(deployment.known_end(transport, input)?.saturating_sub(read))
    }

    /// What is told of an input that was read on meanwhile is of no use.
    fn hear(&mut self, now: ProcessingTime) {
        for inquiries in [&mut self.of_heeded, &mut self.of_others] {
            if let Some(Told { input, read, end, last }) = inquiries.answer()
                && let Some(standstill) = self.inputs.get_mut(&input).filter(|standstill| standstill.read == read)
            {
                standstill.learn(end, last, now);
            }
        }
    }
}

/// Whether there is anything between these two but markers. One at a time: each takes a few round trips.
fn ask(inquiries: &mut Inquiries<Told>, deployment: &Deployment, input: InputPartition, (read, end): (u64, u64), now: ProcessingTime) {
    let survey = deployment.survey.clone();
    let find_out = move || survey.end(input).inspect_err(|error| tracing::warn!(?input, %error, "whether there is more to read cannot be told"));
    inquiries.ask(now, deployment.beside, move || Told { input, read, end, last: find_out().ok() });
}

impl Standstill {
    fn new(read: u64, now: ProcessingTime) -> Self {
        Self { read, since: now, empty_to: None }
    }

    /// Nobody knows whether there is anything between the place that was `read` and this end but markers, and it has been so for long.
    fn is_in_doubt(&mut self, end: u64, read: u64, now: ProcessingTime) -> bool {
        if read != self.read {
            *self = Self::new(read, now);
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
        let mut standstill = Standstill::new(7, at(0));
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
