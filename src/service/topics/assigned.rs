//! A task that the group has given to this worker: its engine, its store, and how far the store is.
//!
//! The engine runs ahead of the store by at most one epoch. An epoch leaves as a [`Part`] of the worker's transaction; once that has committed,
//! [`Assigned::keep`] writes the changes and the positions in one batch. Where it has not, the engine is thrown away and made anew from the store
//! ([`recover`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use xxhash_rust::xxh3::Xxh3;

use crate::engine::Positions;
use crate::event::{EventTime, ProcessingTime, StreamId};
use crate::ports::{InputPartition, Record, RecordBatch, StateStore, StoreError, WriteBatch};
use crate::service::embedded::{adopt_program, new_meta};
use crate::service::rocks_options;
use crate::service::state::{self, Meta};
use crate::service::task::{Epoch, StrictViolation, Task};
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::{DETERMINISM_VERSION, EpochRecord, InputRange, PatternSetId};
use crate::service::topics::start::{InputFacts, Start, StartFacts, StoredPlace, decide};
use crate::store::Rocks;

/// Every so many epochs the journal holds a digest of what changed in the state.
const STATE_DIGEST_EPOCHS: u64 = 16;

/// Another worker of this process may be about to close the store.
const STORE_OPEN_MAX: Duration = Duration::from_secs(10);

pub(super) struct Assigned {
    pub number: u32,
    pub task: Task,
    store: Arc<dyn StateStore>,
    meta: Meta,
    pattern_set: PatternSetId,
    inputs: BTreeMap<StreamId, InputProgress>,
    progress: Progress,
}

/// How far one input was read, which is behind its stored place while held events are read again.
struct InputProgress {
    /// Where it began, if it had not been read before.
    begin: u64,
    /// The next offset to be read.
    read: u64,
    /// The next offset of the stored state.
    stored: u64,
    /// Over the records read since then, and the last one's leader epoch.
    digest: Xxh3,
    leader_epoch: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Running,
    /// The windows were closed; that is not committed yet.
    Ending,
    Ended,
}

/// What a task adds to a transaction.
pub(super) struct Part {
    /// All but what it says about outputs.
    pub record: EpochRecord,
    pub epoch: Epoch,
    /// The state that changed with it.
    changes: WriteBatch,
    pub positions: Positions,
    /// The next offset of each input, before and after.
    pub before: Vec<Option<u64>>,
    pub after: Vec<(InputPartition, u64)>,
}

/// How a task begins.
pub(super) enum Recovered {
    /// To be read from these offsets on.
    Ready(Box<Assigned>, Vec<(InputPartition, u64)>),
    /// A bounded run has finished it before, and nothing was added.
    AlreadyEnded,
}

impl Assigned {
    /// Applies what a bounded run takes of these records.
    pub(super) fn apply(&mut self, batch: &RecordBatch, end: Option<u64>, now: ProcessingTime) -> Result<(), StrictViolation> {
        let Some(last) = batch.iter().last().filter(|_| self.progress == Progress::Running) else { return Ok(()) };
        let bound = end.unwrap_or(u64::MAX);
        if let Some(input) = self.inputs.get_mut(&batch.stream) {
            input.read = last.offset + 1;
            input.note(batch, bound);
        }
        match end {
            Some(end) if last.offset >= end => {
                let mut bounded = RecordBatch::new(batch.stream, batch.partition);
                batch.iter().filter(|record| record.offset < end).for_each(|record: Record<'_>| bounded.push(record));
                self.task.apply(&bounded, now)
            }
            _ => self.task.apply(batch, now),
        }
    }

    pub(super) fn tick(&mut self, now: ProcessingTime) {
        if self.progress == Progress::Running {
            self.task.tick(now);
        }
    }

    /// Closes all windows where every input has reached its end. Says whether it did.
    pub(super) fn end_if_reached(&mut self, deployment: &Deployment) -> bool {
        let reached = |input: InputPartition| deployment.end_of(input).is_some_and(|end| self.read_to(input) >= end);
        if self.progress != Progress::Running || !deployment.inputs_of(self.number).into_iter().all(reached) {
            return false;
        }
        self.task.end();
        self.progress = Progress::Ending;
        true
    }

    pub(super) fn is_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// The next offset to be read of an input.
    pub(super) fn read_to(&self, input: InputPartition) -> u64 {
        self.inputs.get(&input.stream).map_or(0, |progress| progress.read)
    }

    /// Held events are being read again: until all are there, the task's positions do not tell where to read from.
    fn is_catching_up(&self) -> bool {
        self.inputs.values().any(|input| input.read < input.stored)
    }

    /// What came out since the last call; `None`: nothing, and nothing was read. `opened`: the wall clock under which it was read; `closed`: the one at its end.
    pub(super) fn take_part(&mut self, deployment: &Deployment, opened: ProcessingTime, closed: ProcessingTime) -> Option<Part> {
        if self.progress == Progress::Ended || self.is_catching_up() {
            return None;
        }
        let epoch = self.task.take_epoch();
        let positions = self.positions(deployment);
        let inputs = deployment.inputs_of(self.number);
        let next = |positions: &Positions, input: &InputPartition| next_of(positions, deployment.stream_name(input.stream), input.partition);
        let before: Vec<_> = inputs.iter().map(|input| next(&self.meta.positions, input)).collect();
        let after: Vec<_> = inputs.iter().map(|input| (*input, next(&positions, input).unwrap_or(0))).collect();
        let moved = before.iter().zip(&after).any(|(before, (input, after))| before.unwrap_or(self.inputs[&input.stream].begin) != *after);
        let quiet = epoch.matches.is_empty() && epoch.set_aside.is_empty();
        if quiet && !moved && self.progress == Progress::Running {
            return None;
        }
        let changes = self.take_changes();
        let ranges = inputs.iter().zip(&before).map(|(input, before)| self.range(deployment, *input, *before, &positions)).collect();
        let number = self.meta.epoch + 1;
        let record = EpochRecord {
            task: self.number,
            epoch: number,
            inputs: ranges,
            watermark_in_us: if self.meta.epoch == 0 { i64::MIN } else { self.meta.positions.watermark_us },
            watermark_out_us: positions.watermark_us,
            opened_us: opened.micros(),
            closed_us: closed.micros(),
            reference_us: self.meta.reference_us,
            pattern_set: self.pattern_set,
            determinism: DETERMINISM_VERSION,
            out_count: 0,
            out_digest: 0,
            out_from: None,
            state_digest: number.is_multiple_of(STATE_DIGEST_EPOCHS).then(|| state_digest(&changes)),
            ended: self.progress == Progress::Ending,
            reset: false,
        };
        Some(Part { record, epoch, changes, positions, before, after })
    }

    fn range(&mut self, deployment: &Deployment, input: InputPartition, before: Option<u64>, positions: &Positions) -> InputRange {
        let position = positions.of(deployment.stream_name(input.stream), input.partition).expect("every input of a task is open in it");
        let progress = self.inputs.get_mut(&input.stream).expect("every input of a task has its progress");
        InputRange {
            topic: deployment.inputs[&input.stream].clone(),
            partition: input.partition,
            leader_epoch: progress.leader_epoch,
            base: before.unwrap_or(progress.begin),
            next: position.next_offset,
            rewind: position.rewind.map(|rewind| rewind.offset),
            newest_us: position.newest_us,
            idle: position.idle,
            digest: std::mem::take(&mut progress.digest).digest(),
        }
    }

    fn take_changes(&mut self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for change in self.task.take_changes() {
            let key = state::runs_key(&change.key);
            match change.value {
                Some(value) => batch.puts.push((key, value)),
                None => batch.deletes.push(key),
            }
        }
        batch
    }

    /// The part was committed: writes the state that goes with it.
    pub(super) fn keep(&mut self, part: Part) -> Result<(), StoreError> {
        let mut batch = part.changes;
        if self.progress == Progress::Ending {
            self.progress = Progress::Ended;
            self.meta.ended = true;
        }
        self.meta.epoch = part.record.epoch;
        self.meta.positions = part.positions;
        self.meta.write(&mut batch);
        self.store.write(batch)
    }

    /// The store, for making the task anew.
    pub(super) fn into_store(self) -> Arc<dyn StateStore> {
        self.store
    }

    /// An input that has shown nothing yet stands where it begins.
    fn positions(&self, deployment: &Deployment) -> Positions {
        let mut positions = self.task.positions();
        for (&stream, &InputProgress { begin, .. }) in &self.inputs {
            let name = deployment.stream_name(stream);
            for position in positions.partitions.iter_mut().filter(|position| position.stream == name && position.partition == self.number) {
                position.next_offset = position.next_offset.max(begin);
                position.next_position = position.next_position.max(begin);
            }
        }
        positions
    }
}

/// Opens the task's store (unless it is at hand) and decides how to begin. May take a while: other threads poll meanwhile.
pub(super) fn recover(deployment: &Deployment, number: u32, store: Option<Arc<dyn StateStore>>) -> anyhow::Result<Recovered> {
    let store = match store {
        Some(store) => store,
        None => open_store(deployment, number)?,
    };
    let stored = Meta::read(&*store)?;
    let inputs = deployment.inputs_of(number);
    let facts = gather(deployment, &inputs, stored.as_ref())?;
    tracing::debug!(task = number, ?facts, "how to start a task");
    let from = match decide(&facts) {
        Start::AlreadyEnded => return Ok(Recovered::AlreadyEnded),
        Start::Refuse(refusal) => bail!("task {number} cannot start: {refusal}"),
        Start::Fresh(from) | Start::Resume(from) => from,
    };
    let evaluation = &deployment.evaluation;
    let known = stored.is_some();
    let mut meta = stored.unwrap_or_else(|| new_meta(&deployment.config));
    if known {
        adopt_program(&mut meta, &evaluation.program, &*store)?;
    }
    meta.remember_patterns(&evaluation.program);
    let options = evaluation.task_options(EventTime::from_micros(meta.reference_us), deployment.config.strictness);
    let partitions: Vec<_> = inputs.iter().map(|input| (input.stream, input.partition)).collect();
    let mut task = Task::new(&evaluation.program, &options, &partitions);
    if known {
        task.restore(&*store, &meta.positions).with_context(|| format!("state of task {number}"))?;
    }
    let pattern_set = PatternSetId { number: 1, hash: evaluation.hash };
    let progress = |(facts, &from): (&InputFacts, &u64)| match facts.stored {
        Some(place) => InputProgress { begin: 0, read: from, stored: place.next, digest: Xxh3::new(), leader_epoch: None },
        None => InputProgress { begin: from, read: from, stored: from, digest: Xxh3::new(), leader_epoch: None },
    };
    let progress = inputs.iter().map(|input| input.stream).zip(facts.inputs.iter().zip(&from).map(progress)).collect();
    tracing::info!(task = number, epoch = meta.epoch, ?from, "task starts");
    let assigned = Assigned { number, task, store, meta, pattern_set, inputs: progress, progress: Progress::Running };
    Ok(Recovered::Ready(Box::new(assigned), inputs.into_iter().zip(from).collect()))
}

impl InputProgress {
    /// The records that are read for the first time, up to the end of a bounded run.
    fn note(&mut self, batch: &RecordBatch, end: u64) {
        for record in batch.iter().filter(|record| record.offset >= self.stored && record.offset < end) {
            note_record(&mut self.digest, &record);
            self.leader_epoch = batch.leader_epoch.or(self.leader_epoch);
        }
    }
}

/// The digest of an input's range: offset, length and bytes of each record.
pub(super) fn note_record(digest: &mut Xxh3, record: &Record<'_>) {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&record.offset.to_le_bytes());
    head[8..].copy_from_slice(&record.full_bytes.to_le_bytes());
    digest.update(&head);
    digest.update(record.bytes);
}

/// Over what an epoch changed, in the order in which the task tells it.
fn state_digest(changes: &WriteBatch) -> u64 {
    let mut digest = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    changes.deletes.iter().for_each(|key| part(key));
    for (key, value) in &changes.puts {
        part(key);
        part(value);
    }
    digest.digest()
}

fn open_store(deployment: &Deployment, number: u32) -> anyhow::Result<Arc<dyn StateStore>> {
    let folder = deployment.slot.folder.join(number.to_string());
    let deadline = Instant::now() + STORE_OPEN_MAX;
    loop {
        match Rocks::open(&folder, rocks_options(&deployment.config)) {
            Ok(store) => return Ok(Arc::new(store)),
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn gather(deployment: &Deployment, inputs: &[InputPartition], stored: Option<&Meta>) -> anyhow::Result<StartFacts> {
    let ended = stored.is_some_and(|meta| meta.ended);
    let committed = deployment.survey.committed(inputs)?;
    let facts = inputs.iter().zip(committed).map(|(&input, committed)| {
        let name = deployment.stream_name(input.stream);
        let position = stored.and_then(|meta| meta.positions.partitions.iter().find(|at| at.stream == name && at.partition == input.partition));
        let kept = deployment.survey.retained(input)?;
        let end = match deployment.end_of(input) {
            Some(end) => end,
            None if ended => deployment.survey.end(input)?,
            None => kept.end,
        };
        Ok(InputFacts {
            topic: deployment.inputs[&input.stream].clone(),
            partition: input.partition,
            stored: position.map(|at| StoredPlace { next: at.next_offset, rewind: at.rewind.map(|rewind| rewind.offset) }),
            committed,
            kept,
            end,
        })
    });
    Ok(StartFacts { has_state: stored.is_some(), ended, inputs: facts.collect::<anyhow::Result<_>>()? })
}

fn next_of(positions: &Positions, stream: &str, partition: u32) -> Option<u64> {
    positions.partitions.iter().find(|at| at.stream == stream && at.partition == partition).map(|at| at.next_offset)
}
