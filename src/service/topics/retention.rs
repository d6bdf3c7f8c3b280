//! Inputs whose oldest records are about to be deleted although a restart would read them again, noticed while something can still be done.
//!
//! A task that is taken up again reads its inputs from where its newest checkpoint has left them, or where there are no checkpoints, its state on this machine. A topic that
//! does not hold that place any more makes it unable to begin (`recovery`).

use std::ops::Range;

use crate::ports::InputPartition;
use crate::service::topics::deployment::Deployment;

/// Of the offsets that an input holds, so many parts of a hundred are to lie before the place that is needed.
const MARGIN_PERCENT: u64 = 20;

/// The offset of each input that a task would be read from.
pub(super) type Places = Vec<(InputPartition, u64)>;

/// From where a task would be read that is taken up from its newest checkpoint. Of one that another process has made that is not known: then it is where the task has begun here.
pub(super) struct Checkpointed {
    from: Places,
    /// The same of a copy that may not be among the checkpoints yet, and its epoch at least.
    copied: Option<(u64, Places)>,
}

impl Checkpointed {
    pub(super) fn new(from: Places) -> Self {
        Self { from, copied: None }
    }

    /// A copy is made of this epoch, or of a later one.
    pub(super) fn copied(&mut self, epoch: u64, from: Places) {
        self.copied = Some((epoch, from));
    }

    /// The newest checkpoint that was made here is of this epoch.
    pub(super) fn note(&mut self, epoch: Option<u64>) {
        if let Some((_, from)) = self.copied.take_if(|(copied, _)| epoch.is_some_and(|epoch| *copied <= epoch)) {
            self.from = from;
        }
    }

    pub(super) fn places(&self) -> &Places {
        &self.from
    }
}

/// What is wrong with an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alarm {
    /// Few records lie before it, and older ones have been deleted already.
    Near,
    Gone,
}

/// `needed`: the first offset that a restart would read of an input; `kept`: those that it holds.
fn judge(needed: u64, kept: &Range<u64>) -> Option<Alarm> {
    // Of a topic that has never deleted anything, nothing tells when it will.
    if kept.start == 0 {
        return None;
    }
    let Some(before) = needed.checked_sub(kept.start) else { return Some(Alarm::Gone) };
    let margin = u128::from(kept.end.saturating_sub(kept.start)) * u128::from(MARGIN_PERCENT) / 100;
    (u128::from(before) < margin).then_some(Alarm::Near)
}

/// Asks the brokers what inputs hold, and says of each in which a restart would be in danger what to do. Where they are away, nothing is known.
pub(super) fn look(deployment: &Deployment, needed: &[(InputPartition, u64)]) {
    for &(input, needed) in needed {
        let kept = match deployment.survey.retained(input) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::debug!(%error, "how long an input is kept cannot be told");
                continue;
            }
        };
        let Some(alarm) = judge(needed, &kept) else { continue };
        deployment.metrics.retention_alarmed();
        let (topic, partition, oldest, end) = (&deployment.inputs[&input.stream], input.partition, kept.start, kept.end);
        match alarm {
            Alarm::Near => tracing::warn!(
                "{topic}/{partition} holds offsets {oldest} to {end}, and a restart would read from {needed}: soon that is deleted, and the task could not begin again; have the topic keep \
                 its records for longer (retention.ms, retention.bytes){}",
                shorter_interval(deployment)
            ),
            Alarm::Gone => tracing::error!(
                "{topic}/{partition} holds offsets {oldest} to {end} only, and a restart would read from {needed}: as it is, the task could not begin again; let this process run until a newer \
                 state is kept, and have the topic keep its records for longer (retention.ms, retention.bytes){}",
                shorter_interval(deployment)
            ),
        }
    }
}

/// What else helps.
fn shorter_interval(deployment: &Deployment) -> &'static str {
    if deployment.config.checkpoints.is_some() { ", or make checkpoints more often (checkpoints.interval_ms), and see that they succeed" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;

    #[test]
    fn a_copy_counts_from_when_it_is_among_the_checkpoints() {
        let at = |offset| vec![(InputPartition { stream: StreamId(0), partition: 3 }, offset)];
        let mut checkpointed = Checkpointed::new(at(10));
        checkpointed.note(None);
        assert_eq!(*checkpointed.places(), at(10), "where the task has begun");
        for (copied, newest, from) in [
            (5, Some(5), 50),
            // It could not be carried: the one before is the newest.
            (6, Some(5), 50),
            // Made a little later than it was asked for.
            (7, Some(8), 70),
        ] {
            checkpointed.copied(copied, at(copied * 10));
            checkpointed.note(newest);
            assert_eq!(*checkpointed.places(), at(from), "{copied} {newest:?}");
        }
    }

    #[test]
    fn an_alarm_is_raised_where_little_lies_before_what_a_restart_reads() {
        for (needed, kept, alarm) in [
            // Everything was read, or nearly.
            (1_000, 500..1_000, None),
            (600, 500..1_000, None),
            (599, 500..1_000, Some(Alarm::Near)),
            (500, 500..1_000, Some(Alarm::Near)),
            (499, 500..1_000, Some(Alarm::Gone)),
            // All that was there was read and deleted.
            (1_000, 1_000..1_000, None),
            (999, 1_000..1_000, Some(Alarm::Gone)),
            // Nothing was ever deleted.
            (0, 0..1_000, None),
            (0, 0..0, None),
            (u64::MAX, 1..u64::MAX, None),
        ] {
            assert_eq!(judge(needed, &kept), alarm, "{needed} {kept:?}");
        }
    }
}
