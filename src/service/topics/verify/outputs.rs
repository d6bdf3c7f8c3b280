//! The outputs of one task, epoch by epoch, from the topics that they are on.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::codec::RejectionCode;
use crate::kafka::{Link, TopicReader, TopicRecord};
use crate::service::topics::journal::{EpochRecord, OutputKind};
use crate::service::topics::stages::Stage;
use crate::service::topics::verify::compare::Out;
use crate::service::topics::verify::retained::{Gone, Kept};
use crate::service::upkeep::MARK_HEADER;

/// A topic that outputs are on.
#[derive(Clone, Debug)]
pub(super) struct OutputTopic {
    pub kind: OutputKind,
    pub name: String,
    pub partitions: u32,
}

pub(super) struct Outputs {
    stage: Stage,
    task: u32,
    tasks: u32,
    readers: Vec<Reader>,
    /// The matches of the last epoch that was asked for, and of all after it, stand at this offset or later.
    matches_from: u64,
    /// Found, but of later epochs than was asked for so far.
    waiting: BTreeMap<u64, Vec<Out>>,
    /// What is not as it must be, whatever the journal says.
    pub strays: Vec<Stray>,
}

/// A partition that the task writes to.
struct Reader {
    topic: OutputTopic,
    /// All kinds that are on the topic; each has a reader.
    kinds: Vec<OutputKind>,
    partition: u32,
    reader: TopicReader,
    /// Where the last one of the task stood, by epoch and index.
    last: Option<(u64, u64)>,
    /// The first epoch that was found here, and the last.
    first: Option<u64>,
    reached: Option<u64>,
}

/// A record that stands where it should not.
pub(super) enum Stray {
    /// It has no headers, or those of a task that writes elsewhere.
    Foreign(String),
    /// After one of a later epoch, or of a higher index.
    OutOfOrder { epoch: u64, what: String },
}

impl Outputs {
    pub(super) fn open(link: &Link, topics: &[OutputTopic], stage: Stage, task: u32, tasks: u32) -> anyhow::Result<Self> {
        let open = |(topic, partition): (&OutputTopic, u32)| {
            let reader = TopicReader::open(link, &topic.name, partition, 0)?;
            let kinds = topics.iter().filter(|other| other.name == topic.name).map(|other| other.kind).collect();
            Ok::<_, anyhow::Error>(Reader { topic: topic.clone(), kinds, partition, reader, last: None, first: None, reached: None })
        };
        let partitions = topics.iter().flat_map(|topic| topic.partitions_of(task).map(move |partition| (topic, partition)));
        let readers = partitions.map(open).collect::<Result<_, _>>().context("the outputs")?;
        Ok(Self { stage, task, tasks, readers, matches_from: 0, waiting: BTreeMap::new(), strays: Vec::new() })
    }

    /// Everything of this epoch. Epochs are asked for in their order.
    pub(super) fn take(&mut self, epoch: u64) -> anyhow::Result<Vec<Out>> {
        for place in 0..self.readers.len() {
            // One that is beyond it already has nothing of it any more.
            if self.readers[place].reached.is_none_or(|reached| reached <= epoch) {
                self.read(place, |found| found > epoch)?;
            }
        }
        Ok(self.waiting.remove(&epoch).unwrap_or_default())
    }

    /// What may be missing of the epoch that was taken last. `had`: whether it had outputs of a kind.
    pub(super) fn gone(&mut self, record: &EpochRecord, had: &dyn Fn(OutputKind) -> bool) -> Gone {
        self.matches_from = self.matches_from.max(record.out_from.unwrap_or(0));
        let mut gone = Gone::default();
        for Reader { topic, partition, reader, first, .. } in &self.readers {
            let from = if topic.kind == OutputKind::Match { self.matches_from } else { 0 };
            let kept = Kept { oldest: reader.oldest(), first_epoch: *first, from };
            if kept.may_lack(record.epoch) {
                let to = (topic.kind == OutputKind::HandedOn).then_some(*partition);
                gone.add(topic.kind, to, format!("{}/{partition} holds offset {} and later only", topic.name, kept.oldest));
            }
        }
        for (kind, what) in [(OutputKind::Late, "late events"), (OutputKind::Rejected, "rejected records"), (OutputKind::HandedOn, "what is handed on")] {
            if self.readers.iter().all(|reader| reader.topic.kind != kind) && had(kind) {
                gone.add(kind, None, format!("the configuration names no topic for {what} now"));
            }
        }
        gone
    }

    /// What no epoch has taken: the epochs and their outputs.
    pub(super) fn rest(&mut self) -> anyhow::Result<BTreeMap<u64, Vec<Out>>> {
        for place in 0..self.readers.len() {
            self.read(place, |_| false)?;
        }
        Ok(std::mem::take(&mut self.waiting))
    }

    /// Reads on until an epoch of ours is found that `is_enough`.
    fn read(&mut self, place: usize, is_enough: impl Fn(u64) -> bool) -> anyhow::Result<()> {
        let Reader { topic, kinds, partition, reader, last, first, reached } = &mut self.readers[place];
        let has_letters = kinds.iter().any(|kind| matches!(kind, OutputKind::Late | OutputKind::Rejected));
        while let Some(record) = reader.take()? {
            if has_letters && record.header(MARK_HEADER).is_some() {
                continue;
            }
            if kind_among(kinds, record.text("code")) != topic.kind {
                continue;
            }
            if (record.text("stage") == Stage::Rekeyed.header()) != (self.stage == Stage::Rekeyed) {
                continue;
            }
            let at = format!("{}/{partition}, offset {}", topic.name, record.offset);
            let is_ours = |(task, ..): &(u32, u64, u64)| *task < self.tasks && topic.partitions_of(*task).contains(partition);
            let Some((task, epoch, index)) = origin(&record).filter(is_ours) else {
                // Of several tasks that share the partition the first tells.
                if self.task == *partition {
                    self.strays.push(Stray::Foreign(at));
                }
                continue;
            };
            if task != self.task {
                continue;
            }
            if let Some(before) = last.filter(|last| *last >= (epoch, index)) {
                let what = format!("epoch {epoch}, output {index} at {at} stands after epoch {}, output {}", before.0, before.1);
                self.strays.push(Stray::OutOfOrder { epoch, what });
            }
            (*last, *reached) = (Some((epoch, index)), Some(epoch));
            first.get_or_insert(epoch);
            let to = (topic.kind == OutputKind::HandedOn).then_some(*partition);
            self.waiting.entry(epoch).or_default().push(Out { kind: topic.kind, index, to, key: record.key, value: record.value, place: at });
            if is_enough(epoch) {
                break;
            }
        }
        Ok(())
    }
}

impl OutputTopic {
    /// What a task writes to: its own partition, or what is for other tasks to all.
    fn partitions_of(&self, task: u32) -> std::ops::Range<u32> {
        match self.kind {
            OutputKind::HandedOn => 0..self.partitions,
            _ => task % self.partitions..task % self.partitions + 1,
        }
    }
}

/// What a record with this header `code` is, where outputs of these kinds share the topic. What can be none of them is told with the first.
fn kind_among(kinds: &[OutputKind], code: Option<&str>) -> OutputKind {
    let kind = match code {
        Some(code) if code == RejectionCode::Late.text() => OutputKind::Late,
        Some(_) => OutputKind::Rejected,
        None => OutputKind::Match,
    };
    if kinds.contains(&kind) { kind } else { kinds[0] }
}

fn origin(record: &TopicRecord) -> Option<(u32, u64, u64)> {
    Some((u32::try_from(record.number("task")?).ok()?, record.number("epoch")?, record.number("index")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_of_a_topic_that_kinds_share_is_of_one_of_them() {
        use OutputKind::{HandedOn, Late, Match, Rejected};
        for (kinds, expected) in [
            (&[Match][..], [Match, Match, Match]),
            (&[HandedOn], [HandedOn, HandedOn, HandedOn]),
            (&[Rejected], [Rejected, Rejected, Rejected]),
            (&[Late, Rejected], [Late, Late, Rejected]),
            (&[Match, Late], [Match, Late, Match]),
            (&[Match, Late, Rejected], [Match, Late, Rejected]),
        ] {
            assert_eq!([None, Some("late"), Some("not_json")].map(|code| kind_among(kinds, code)), expected, "{kinds:?}");
        }
    }
}
