//! One task evaluated again from the journal's account of what it read and when: by the engine alone, with nothing of what the service stores.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::config::Strictness;
use crate::event::{EventTime, ProcessingTime, StreamId};
use crate::kafka::{Link, TopicReader};
use crate::ports::{Original, Record, RecordBatch};
use crate::service::task::Task;
use crate::service::topics::assigned::note_record;
use crate::service::topics::journal::InputRange;
use crate::service::topics::outgoing::encode;
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::verify::compare::{DifferenceKind, Epoch, Out};

/// Records that are applied at a time.
const BATCH_RECORDS_MAX: usize = 5_000;

/// One input partition of the task.
pub(super) struct Input {
    pub stream: StreamId,
    pub topic: String,
    pub partition: u32,
    reader: TopicReader,
}

impl Input {
    pub(super) fn open(link: &Link, stream: StreamId, topic: &str, partition: u32, from: u64) -> anyhow::Result<Self> {
        Ok(Self { stream, topic: topic.to_owned(), partition, reader: TopicReader::open(link, topic, partition, from)? })
    }
}

pub(super) struct Recomputation {
    evaluation: Arc<Evaluation>,
    record_bytes_max: usize,
    /// `None` before the first epoch.
    task: Option<Task>,
}

impl Recomputation {
    pub(super) fn new(evaluation: Arc<Evaluation>, record_bytes_max: usize) -> Self {
        Self { evaluation, record_bytes_max, task: None }
    }

    /// The epoch's outputs, and how many records it read. Says where the input is not what it was.
    pub(super) fn epoch(&mut self, inputs: &mut [Input], epoch: &mut Epoch<'_>) -> anyhow::Result<(Vec<Out>, u64)> {
        let record = epoch.record;
        if record.reset || self.task.is_none() {
            let options = self.evaluation.task_options(EventTime::from_micros(record.reference_us), Strictness::SetAside);
            let partitions: Vec<_> = inputs.iter().map(|input| (input.stream, input.partition)).collect();
            self.task = Some(Task::new(&self.evaluation.program, &options, &partitions));
        }
        let task = self.task.as_mut().expect("made above");
        let (opened, closed) = (ProcessingTime::from_micros(record.opened_us), ProcessingTime::from_micros(record.closed_us));
        if record.tells_decisions() {
            let range = |input: &Input| record.inputs.iter().find(|range| (&range.topic, range.partition) == (&input.topic, input.partition));
            task.follow(inputs.iter().filter_map(|input| Some((input.stream, input.partition, range(input)?.decided.clone()?))).collect());
        }
        let mut records = 0;
        for input in inputs {
            let Some(range) = record.inputs.iter().find(|range| (&range.topic, range.partition) == (&input.topic, input.partition)) else { continue };
            records += apply(task, input, range, opened, self.record_bytes_max, epoch)?;
        }
        if !record.tells_decisions() {
            task.tick(closed);
        }
        if record.ended {
            task.end();
        }
        if record.tells_decisions() {
            task.settle(EventTime::from_micros(record.watermark_out_us), closed);
        }
        task.discard_changes();
        if task.watermark().micros() != record.watermark_out_us {
            let (ours, theirs) = (task.watermark(), EventTime::from_micros(record.watermark_out_us));
            epoch.differs(DifferenceKind::Watermark, format!("the watermark is {ours}, the journal says {theirs}"));
        }
        let outputs = encode(&self.evaluation, record.task, task.take_epoch(), &|_| String::new());
        let out = |(output, index): (crate::service::topics::outgoing::Encoded, u64)| Out {
            kind: output.kind,
            index,
            key: output.key,
            value: output.value,
            place: String::new(),
        };
        Ok((outputs.into_iter().zip(0..).map(out).collect(), records))
    }
}

fn apply(task: &mut Task, input: &mut Input, range: &InputRange, now: ProcessingTime, bytes_max: usize, epoch: &mut Epoch<'_>) -> anyhow::Result<u64> {
    let (mut digest, mut records) = (Xxh3::new(), 0);
    let mut batch = RecordBatch::new(input.stream, input.partition);
    while let Some(taken) = input.reader.take_if(|record| record.offset < range.next)? {
        if taken.offset < range.base {
            continue;
        }
        let whole = taken.value.as_deref().unwrap_or_default();
        let record = Record {
            offset: taken.offset,
            position: taken.offset,
            next_position: taken.offset + 1,
            timestamp: taken.timestamp,
            bytes: &whole[..whole.len().min(bytes_max)],
            full_bytes: whole.len() as u64,
        };
        note_record(&mut digest, &record);
        batch.push_original(record, Original { key: taken.key.as_deref(), value: taken.value.as_deref(), headers: &[] });
        records += 1;
        if batch.len() >= BATCH_RECORDS_MAX {
            task.apply(&batch, now)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        task.apply(&batch, now)?;
    }
    if digest.digest() != range.digest {
        let (topic, partition) = (&range.topic, range.partition);
        epoch.differs(
            DifferenceKind::InputChanged,
            format!("{topic}/{partition}, offsets {} to {}: {records} records are there, and they are not what was read then", range.base, range.next),
        );
    }
    Ok(records)
}
