//! Epochs repeated: the input that the journal names, through the same engine, to the state that the original had. Nothing is put out; what would have been is
//! compared with the journal.
//!
//! Pattern sets change where they changed in the original. The state on disk follows epoch by epoch, so a replay that is interrupted goes on where it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use crate::event::{EventTime, ProcessingTime};
use crate::ports::{InputReader, RecordBatch, StateStore};
use crate::service::state::Meta;
use crate::service::topics::assigned::{Assigned, Part, Parts, Restoring, TaskInput};
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::{EpochRecord, OutputDigest};
use crate::service::topics::journal_end::JournalEnd;
use crate::service::topics::outgoing::{digest, encode};
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::recover::{Cancelled, Sets, new_meta};
use crate::service::topics::recovery::Refusal;

/// An epoch may be long: it is read in parts, so that what was just read is still at hand where it is applied.
const OFFSETS_AT_ONCE: u64 = if cfg!(test) { 3 } else { 2_000 };

/// What a replay goes through.
pub(super) struct Replay<'a> {
    pub deployment: &'a Deployment,
    pub number: u32,
    pub store: Arc<dyn StateStore>,
    /// Its records after this epoch are repeated, which is the store's; they are dense.
    pub journal: &'a JournalEnd<'a>,
    pub after: u64,
    /// Every set that they name.
    pub sets: &'a Sets,
    /// The task's inputs, begun where the first record begins.
    pub inputs: Vec<TaskInput>,
    pub cancelled: &'a AtomicBool,
}

impl Replay<'_> {
    /// The task as it was after the last record.
    pub(super) fn run(mut self) -> anyhow::Result<Assigned> {
        let mut task = None;
        let (mut epochs, mut records) = (0, 0);
        let (journal, after) = (self.journal, self.after);
        journal.visit_after(after, &mut |offset, record| {
            let mut playing: Playing = match task.take() {
                Some(playing) if !changes(&playing, record) => playing,
                _ => self.begin(record)?,
            };
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Cancelled.into());
            }
            records += playing.repeat(self.deployment, record, offset)?;
            epochs += 1;
            task = Some(playing);
            Ok(())
        })?;
        self.deployment.metrics.replayed(epochs, records);
        Ok(task.expect("a replay repeats at least one epoch").assigned)
    }

    /// From the store, with the set of this record.
    fn begin(&mut self, record: &EpochRecord) -> anyhow::Result<Playing> {
        let stored = if record.reset { None } else { Meta::read(&*self.store)? };
        let meta = stored.unwrap_or_else(|| new_meta(record.epoch - 1, record.reference_us, record.pattern_set.number - 1));
        for input in &mut self.inputs {
            // One that the state does not know begins where the record does.
            if let Some(range) = record.inputs.iter().find(|range| range.topic == input.topic) {
                input.begin = range.base;
            }
        }
        let evaluation = self.sets[&record.pattern_set.hash].clone();
        let parts = Parts {
            number: self.number,
            evaluation: evaluation.clone(),
            store: self.store.clone(),
            meta,
            inputs: self.inputs.clone(),
            strictness: crate::config::Strictness::SetAside,
            memory: (&self.deployment.config.limits).into(),
            restoring: Restoring::Before,
            reset: record.reset,
            stopwatch: self.deployment.stopwatch.clone(),
        };
        let assigned = Assigned::restore(parts).with_context(|| format!("state of task {}", self.number))?;
        let readers = assigned.places().into_iter().map(|(input, from)| {
            let name = &self.inputs.iter().find(|known| known.source == input).expect("places are of the task's inputs").name;
            let stream = evaluation.program.schema.find(name).expect("only its streams have places");
            let reader = self.deployment.survey.reader(input, from, evaluation.record_bytes_max())?;
            let topic = self.deployment.inputs[&input.stream].clone();
            Ok::<_, anyhow::Error>(Source { topic, reader, at: from, batch: RecordBatch::new(stream, input.partition) })
        });
        Ok(Playing { readers: readers.collect::<Result<_, _>>()?, evaluation, assigned })
    }
}

fn changes(playing: &Playing, record: &EpochRecord) -> bool {
    playing.evaluation.hash != record.pattern_set.hash || record.reset
}

/// A stretch of epochs with one pattern set.
struct Playing {
    evaluation: Arc<Evaluation>,
    assigned: Assigned,
    readers: Vec<Source>,
}

struct Source {
    topic: String,
    reader: Box<dyn InputReader>,
    /// The next offset to be read.
    at: u64,
    batch: RecordBatch,
}

impl Playing {
    /// Says how many records were read.
    fn repeat(&mut self, deployment: &Deployment, record: &EpochRecord, offset: u64) -> anyhow::Result<u64> {
        let opened = ProcessingTime::from_micros(record.opened_us);
        self.assigned.begin_repeating(record);
        let mut records = 0;
        for source in &mut self.readers {
            let Some(range) = record.inputs.iter().find(|range| range.topic == source.topic) else { continue };
            while source.at < range.next {
                source.at = range.next.min(source.at + OFFSETS_AT_ONCE);
                source.batch.clear();
                source.reader.read_until(source.at, &mut source.batch)?;
                records += source.batch.len() as u64;
                self.assigned.apply(&source.batch, None, opened)?;
            }
        }
        let Some(mut part) = self.assigned.take_repeated(record)? else {
            bail!("epoch {} cannot be repeated: what is held back is not there again when it ends", record.epoch)
        };
        refuse_other_records(&part, record)?;
        let outputs = encode(&self.evaluation, record.task, std::mem::take(&mut part.epoch), &|_| String::new());
        if let Some(what) = difference(&part.record, &digest(&outputs), record) {
            deployment.metrics.digest_differs();
            tracing::error!(
                task = record.task,
                epoch = record.epoch,
                what,
                "DIGEST DIFFERS: a repeated epoch gave something else than the original. What was put out then stands"
            );
        }
        self.assigned.keep(part, record, Some(offset))?;
        Ok(records)
    }
}

fn refuse_other_records(part: &Part, record: &EpochRecord) -> Result<(), Refusal> {
    for (ours, theirs) in part.record.inputs.iter().zip(&record.inputs) {
        if (ours.base, ours.next, ours.digest) != (theirs.base, theirs.next, theirs.digest) {
            let (topic, partition) = (theirs.topic.clone(), theirs.partition);
            return Err(Refusal::RecordsChanged { topic, partition, base: theirs.base, next: theirs.next, epoch: record.epoch });
        }
    }
    Ok(())
}

/// What is not as it was; `None`: all is.
fn difference(ours: &EpochRecord, outputs: &OutputDigest, theirs: &EpochRecord) -> Option<String> {
    let watermark = |micros| EventTime::from_micros(micros);
    let mut differences = Vec::new();
    if (outputs.count(), outputs.value()) != (theirs.out_count, theirs.out_digest) {
        let (count, digest) = (outputs.count(), outputs.value());
        differences.push(format!("outputs: {count} of digest {digest:016x}, were {} of digest {:016x}", theirs.out_count, theirs.out_digest));
    }
    if ours.watermark_out_us != theirs.watermark_out_us {
        differences.push(format!("watermark: {}, was {}", watermark(ours.watermark_out_us), watermark(theirs.watermark_out_us)));
    }
    if ours.tells_of_other_state(theirs) {
        differences.push(format!("state: digest {:x?}, was {:x?}", ours.state_digest, theirs.state_digest));
    }
    for (ours, theirs) in ours.inputs.iter().zip(&theirs.inputs) {
        if (ours.rewind, ours.newest_us, ours.idle) != (theirs.rewind, theirs.newest_us, theirs.idle) {
            differences.push(format!("position in {}: {ours:?}, was {theirs:?}", theirs.topic));
        }
    }
    if differences.is_empty() { None } else { Some(differences.join("; ")) }
}
