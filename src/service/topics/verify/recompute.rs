//! One task evaluated again from the journal's account of what it read and when: from nothing, or where that is not to be had any more, from a checkpoint.
//!
//! Pattern sets change where they changed in the original. What a task leaves to the next set goes through a database of our own, which is gone with us.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::anyhow;

use crate::config::{Limits, Strictness};
use crate::event::{EventTime, ProcessingTime, StreamId};
use crate::kafka::TopicReader;
use crate::ports::{InputPartition, Original, Record, RecordBatch, StateStore, write_header};
use crate::service::state::Meta;
use crate::service::topics::assigned::{Assigned, Part, Parts, Restoring, TaskInput};
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::journal::{EpochRecord, InputRange};
use crate::service::topics::outgoing::{Encoded, encode};
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::recover::new_meta;
use crate::service::topics::stopwatch::Stopwatch;
use crate::service::topics::verify::compare::{DifferenceKind, Epoch, Out};
use crate::service::topics::verify::task::Deployed;
use crate::store::{Durability, Rocks, RocksOptions};

/// Records that are applied at a time.
const BATCH_RECORDS_MAX: usize = 5_000;

pub(super) struct Recomputation<'a> {
    deployed: &'a Deployed,
    task: u32,
    /// A stretch of epochs with one pattern set; `None` before the first epoch. (Before the database, which it uses.)
    running: Option<Running>,
    scratch: Scratch,
}

struct Running {
    evaluation: Arc<Evaluation>,
    assigned: Assigned,
    inputs: Vec<Input>,
}

/// One input partition of the task, as the pattern set at hand numbers it.
struct Input {
    stream: StreamId,
    topic: String,
    partition: u32,
    reader: TopicReader,
}

/// A folder for a database, removed when it is dropped.
struct Scratch {
    folder: PathBuf,
    store: Option<Arc<dyn StateStore>>,
}

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("motif-verify-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { folder: std::env::temp_dir().join(name), store: None }
    }

    fn open(&mut self) -> anyhow::Result<Arc<dyn StateStore>> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let store: Arc<dyn StateStore> = Arc::new(Rocks::open(&self.folder, RocksOptions { durability: Durability::Process })?);
        self.store = Some(store.clone());
        Ok(store)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.store = None;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl<'a> Recomputation<'a> {
    pub(super) fn from_nothing(deployed: &'a Deployed, task: u32) -> Self {
        Self { deployed, task, running: None, scratch: Scratch::new() }
    }

    /// `None`: it is damaged, or what it needs to go on is not retained any more. `oldest`: the first offset that an input still holds.
    pub(super) fn from_checkpoint(deployed: &'a Deployed, manifest: &Manifest, oldest: impl Fn(&str) -> anyhow::Result<u64>) -> anyhow::Result<Option<Self>> {
        let Some(checkpoints) = &deployed.checkpoints else { return Ok(None) };
        let mut recomputation = Self::from_nothing(deployed, manifest.task);
        let scratch = &mut recomputation.scratch;
        match checkpoints.load(manifest, &scratch.folder.join(Rocks::DATABASE)) {
            Ok(()) => {}
            Err(CheckpointError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Rocks::mark(&scratch.folder)?;
        let Some(meta) = Meta::read(&*scratch.open()?)?.filter(|meta| meta.record_digest == manifest.record_digest) else { return Ok(None) };
        for (stream, topic) in &deployed.inputs {
            let position = meta.positions.of(deployed.stream_name(*stream), manifest.task);
            let needed = position.map_or(0, |position| position.rewind.map_or(position.next_offset, |rewind| rewind.offset));
            if needed < oldest(topic)? {
                return Ok(None);
            }
        }
        Ok(Some(recomputation))
    }

    /// The epoch's outputs, and how many records it read; `None`: so much of the input is gone that it cannot go on. Says where the input is not what it was. The epoch's pattern
    /// set must be among those that are known.
    pub(super) fn epoch(&mut self, epoch: &mut Epoch<'_>) -> anyhow::Result<Option<(Vec<Out>, u64)>> {
        let record = epoch.record;
        let mut running = match self.running.take() {
            Some(running) if running.evaluation.hash == record.pattern_set.hash && !record.reset => running,
            _ => self.begin(record)?,
        };
        let opened = ProcessingTime::from_micros(record.opened_us);
        running.assigned.begin_repeating(record);
        let mut counts = Vec::new();
        for input in &mut running.inputs {
            let Some(range) = record.inputs.iter().find(|range| (&range.topic, range.partition) == (&input.topic, input.partition)) else { continue };
            let records = apply(&mut running.assigned, input, range, opened, running.evaluation.record_bytes_max())?;
            counts.push((range, records));
        }
        let Some(mut part) = running.assigned.take_repeated(record)? else {
            epoch.differs(DifferenceKind::InputChanged, "what had been held back is not there any more".to_owned());
            return Ok(None);
        };
        compare(&part, &counts, epoch);
        let outputs = encode(&running.evaluation, record.task, std::mem::take(&mut part.epoch), &|_| String::new());
        running.assigned.keep(part, record, None)?;
        self.running = Some(running);
        let out = |(Encoded { kind, key, value, partition, .. }, index): (Encoded, u64)| Out { kind, index, to: partition, key, value, place: String::new() };
        Ok(Some((outputs.into_iter().zip(0..).map(out).collect(), counts.iter().map(|(_, records)| records).sum())))
    }

    /// With the set of this record, from what the one before has left.
    fn begin(&mut self, record: &EpochRecord) -> anyhow::Result<Running> {
        let deployed = self.deployed;
        let evaluation = deployed.sets.get(record.pattern_set.hash).map_err(|reason| anyhow!(reason))?;
        if record.reset {
            self.scratch = Scratch::new();
        }
        let store = self.scratch.open()?;
        let meta = Meta::read(&*store)?.unwrap_or_else(|| new_meta(record.epoch - 1, record.reference_us, record.pattern_set.number.saturating_sub(1)));
        let input = |(stream, topic): &(StreamId, String)| TaskInput {
            name: deployed.stream_name(*stream).to_owned(),
            topic: topic.clone(),
            source: InputPartition { stream: *stream, partition: self.task },
            begin: record.inputs.iter().find(|range| range.topic == *topic).map_or(0, |range| range.base),
        };
        let inputs: Vec<_> = deployed.inputs.iter().map(input).collect();
        let parts = Parts {
            number: self.task,
            evaluation: evaluation.clone(),
            store,
            meta,
            inputs: inputs.clone(),
            strictness: Strictness::SetAside,
            memory: (&Limits::default()).into(),
            restoring: Restoring::Before,
            reset: record.reset,
            stopwatch: Stopwatch::start(),
        };
        let assigned = Assigned::restore(parts)?;
        let open = |(source, from): (InputPartition, u64)| {
            let TaskInput { name, topic, .. } = inputs.iter().find(|input| input.source == source).expect("places are of the task's inputs");
            let stream = evaluation.program.schema.find(name).expect("only its streams have places");
            let reader = TopicReader::open(&deployed.link, topic, self.task, from)?;
            Ok::<_, anyhow::Error>(Input { stream, topic: topic.clone(), partition: self.task, reader })
        };
        let inputs = assigned.places().into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Running { evaluation, assigned, inputs })
    }
}

/// What was read, and what it came to, against what the journal says.
fn compare(part: &Part, counts: &[(&InputRange, u64)], epoch: &mut Epoch<'_>) {
    for (range, records) in counts {
        let ours = part.record.inputs.iter().find(|ours| ours.topic == range.topic);
        if ours.is_none_or(|ours| ours.digest != range.digest) {
            let (topic, partition) = (&range.topic, range.partition);
            epoch.differs(
                DifferenceKind::InputChanged,
                format!("{topic}/{partition}, offsets {} to {}: {records} records are there, and they are not what was read then", range.base, range.next),
            );
        }
    }
    let (ours, theirs) = (part.record.watermark_out_us, epoch.record.watermark_out_us);
    if ours != theirs {
        let [ours, theirs] = [ours, theirs].map(EventTime::from_micros);
        epoch.differs(DifferenceKind::Watermark, format!("the watermark is {ours}, the journal says {theirs}"));
    }
    if part.record.tells_of_other_state(epoch.record) {
        let (ours, theirs) = (part.record.state_digest, epoch.record.state_digest);
        epoch.differs(DifferenceKind::State, format!("the digest of what changed in the state is {ours:x?}, the journal says {theirs:x?}"));
    }
}

/// Says how many records the range holds.
fn apply(assigned: &mut Assigned, input: &mut Input, range: &InputRange, now: ProcessingTime, bytes_max: usize) -> anyhow::Result<u64> {
    let mut records = 0;
    let mut batch = RecordBatch::new(input.stream, input.partition);
    while let Some(taken) = input.reader.take_if(|record| record.offset < range.next)? {
        let whole = taken.value.as_deref().unwrap_or_default();
        let record = Record {
            offset: taken.offset,
            position: taken.offset,
            next_position: taken.offset + 1,
            timestamp: taken.timestamp,
            bytes: &whole[..whole.len().min(bytes_max)],
            full_bytes: whole.len() as u64,
        };
        // Those before it were held back, and are read again.
        records += u64::from(taken.offset >= range.base);
        let mut headers = Vec::new();
        taken.headers.iter().for_each(|(name, value)| write_header(name.as_bytes(), value.as_deref(), &mut headers));
        batch.push_original(record, Original { key: taken.key.as_deref(), value: taken.value.as_deref(), headers: &headers });
        if batch.len() >= BATCH_RECORDS_MAX {
            assigned.apply(&batch, None, now)?;
            batch.clear();
        }
    }
    assigned.apply(&batch, None, now)?;
    Ok(records)
}
