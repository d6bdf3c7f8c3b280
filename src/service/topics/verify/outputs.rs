//! The outputs of one task, epoch by epoch, from the topics that they are on.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::kafka::{Link, TopicReader, TopicRecord};
use crate::service::topics::journal::OutputKind;
use crate::service::topics::verify::compare::Out;
use crate::service::upkeep::MARK_HEADER;

/// A topic that outputs are on.
#[derive(Clone, Debug)]
pub(super) struct OutputTopic {
    pub kind: OutputKind,
    pub name: String,
    pub partitions: u32,
}

pub(super) struct Outputs {
    task: u32,
    tasks: u32,
    readers: Vec<(OutputTopic, TopicReader)>,
    /// Found, but of later epochs than was asked for so far.
    waiting: BTreeMap<u64, Vec<Out>>,
    /// What is not as it must be, whatever the journal says.
    pub strays: Vec<Stray>,
    /// By kind: where the last one stood, by epoch and index.
    last: BTreeMap<String, (u64, u64)>,
}

/// A record that stands where it should not.
pub(super) enum Stray {
    /// It has no headers, or those of a task that writes elsewhere.
    Foreign(String),
    /// After one of a later epoch, or of a higher index.
    OutOfOrder { epoch: u64, what: String },
}

impl Outputs {
    pub(super) fn open(link: &Link, topics: &[OutputTopic], task: u32, tasks: u32) -> anyhow::Result<Self> {
        let open = |topic: &OutputTopic| {
            let reader = TopicReader::open(link, &topic.name, task % topic.partitions, 0)?;
            Ok::<_, anyhow::Error>((topic.clone(), reader))
        };
        let readers = topics.iter().map(open).collect::<Result<_, _>>().context("the outputs")?;
        Ok(Self { task, tasks, readers, waiting: BTreeMap::new(), strays: Vec::new(), last: BTreeMap::new() })
    }

    /// Everything of this epoch. Epochs are asked for in their order.
    pub(super) fn take(&mut self, epoch: u64) -> anyhow::Result<Vec<Out>> {
        for place in 0..self.readers.len() {
            self.read(place, |found| found > epoch)?;
        }
        Ok(self.waiting.remove(&epoch).unwrap_or_default())
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
        let (topic, reader) = &mut self.readers[place];
        let (topic, partition) = (topic.clone(), self.task % topic.partitions);
        while let Some(record) = reader.take()? {
            if topic.kind != OutputKind::Match && record.header(MARK_HEADER).is_some() {
                continue;
            }
            let at = format!("{}/{partition}, offset {}", topic.name, record.offset);
            let Some((task, epoch, index)) = origin(&record).filter(|(task, ..)| *task < self.tasks && *task % topic.partitions == partition) else {
                // Of several tasks that share the partition the first tells.
                if self.task == partition {
                    self.strays.push(Stray::Foreign(at));
                }
                continue;
            };
            if task != self.task {
                continue;
            }
            let last = self.last.insert(topic.name.clone(), (epoch, index));
            if let Some(last) = last.filter(|last| *last >= (epoch, index)) {
                let what = format!("epoch {epoch}, output {index} at {at} stands after epoch {}, output {}", last.0, last.1);
                self.strays.push(Stray::OutOfOrder { epoch, what });
            }
            self.waiting.entry(epoch).or_default().push(Out { kind: topic.kind, index, key: record.key, value: record.value, place: at });
            if is_enough(epoch) {
                break;
            }
        }
        Ok(())
    }
}

fn origin(record: &TopicRecord) -> Option<(u32, u64, u64)> {
    Some((u32::try_from(record.number("task")?).ok()?, record.number("epoch")?, record.number("index")?))
}
