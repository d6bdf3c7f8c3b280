//! A task that is here: its engine, its store, and how far the store is.
//!
//! The engine runs ahead of the store by at most one epoch. An epoch leaves as a [`Part`] of the worker's transaction; once that has committed,
//! [`Assigned::keep`] writes the changes and the positions in one batch. Where it has not, the engine is thrown away and the task recovered
//! ([`crate::service::topics::recover`]). A replay drives the same, and compares instead of sending.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use xxhash_rust::xxh3::Xxh3;

use crate::config::{Limits, Strictness};
use crate::engine::{ColdKeysError, Decided, Positions};
use crate::event::{EventTime, ProcessingTime, StreamId};
use crate::ports::{InputPartition, Record, RecordBatch, StateStore, StoreError, WriteBatch};
use crate::service::rekeying::Announced;
use crate::service::state::{self, Meta};
use crate::service::task::{Epoch, StrictViolation, Task, TaskMemory, TaskOptions};
use crate::service::topics::bases::Bases;
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::{DETERMINISM_VERSION, EpochRecord, InputRange, PatternSetId};
use crate::service::topics::metrics::Metrics;
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::retention::{Checkpointed, Places};
use crate::service::topics::stopwatch::Stopwatch;

/// Every so many epochs the journal holds a digest of what changed in the state.
const STATE_DIGEST_EPOCHS: u64 = 16;

/// Offsets that are not written for long expire; so each task writes its own at least this often.
const QUIET_MAX: Duration = Duration::from_secs(3_600);

/// Where nothing comes, and the clock moves the watermark, it is told to those that wait for it this often.
const CLOCK_NEWS_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Assigned {
    pub number: u32,
    pub task: Task,
    evaluation: Arc<Evaluation>,
    store: Arc<dyn StateStore>,
    meta: Meta,
    /// The set of the next epoch, which may be another than that of the last.
    pattern_set: PatternSetId,
    /// Is written with the next epoch: what a changed pattern set has made useless.
    pending: WriteBatch,
    /// The next epoch begins with empty state, whatever was before.
    reset: bool,
    /// By the streams of the evaluation's program.
    inputs: BTreeMap<StreamId, InputProgress>,
    progress: Progress,
    /// How far the task is, as the last epoch has said it to those that go on with its events.
    announced: Option<Announced>,
    /// The last epoch ended with keys that were overdue ([`Task::has_overdue`]), or was another's, of which that is not known.
    had_overdue: bool,
    stopwatch: Stopwatch,
    last_part: Duration,
    last_copy: Duration,
    copying: Option<Receiver<()>>,
    checkpointed: Checkpointed,
}

/// An input of a task, whatever program reads it.
#[derive(Clone, Debug)]
pub(super) struct TaskInput {
    /// The stream's name.
    pub name: String,
    pub topic: String,
    /// As the running program numbers it.
    pub source: InputPartition,
    /// Where it is read from if the state does not know it.
    pub begin: u64,
}

/// How far one input was read, which is behind its stored place while held events are read again.
struct InputProgress {
    input: TaskInput,
    /// The next offset to be read.
    read: u64,
    /// The next offset of the stored state: where the running epoch began.
    stored: u64,
    /// Over the records read since then, and the last one's leader epoch.
    digest: Xxh3,
    leader_epoch: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Running,
    /// All windows are being closed, piece by piece: nothing more is read.
    Closing,
    Ended,
}

/// What a task adds to a transaction.
pub(super) struct Part {
    /// All but what it says about outputs, and the number of tasks.
    pub record: EpochRecord,
    pub epoch: Epoch,
    /// The next offset of each input.
    pub offsets: Vec<(InputPartition, u64)>,
    /// The state that changed with it.
    changes: WriteBatch,
    positions: Positions,
    announced: Option<Announced>,
}

/// Whether an epoch in which nothing happened is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quiet {
    /// No, unless it is time to write the offsets again.
    PassedOver,
    Counts,
}

/// How many keys a task has in memory, as the configuration says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeysInMemory {
    pub ready_keys_max: usize,
    pub packed_keys_max: usize,
}

impl From<&Limits> for KeysInMemory {
    fn from(limits: &Limits) -> Self {
        Self { ready_keys_max: limits.ready_keys_max, packed_keys_max: limits.packed_keys_max }
    }
}

/// From what a task is made.
pub(super) struct Parts {
    pub number: u32,
    pub evaluation: Arc<Evaluation>,
    pub store: Arc<dyn StateStore>,
    /// As the store has it, or of a task that is new; then its epoch is the one before its first.
    pub meta: Meta,
    pub inputs: Vec<TaskInput>,
    pub strictness: Strictness,
    pub memory: KeysInMemory,
    pub restoring: Restoring,
    pub reset: bool,
    pub stopwatch: Stopwatch,
}

/// When the state of a task is taken up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Restoring {
    Before,
    /// While the task goes on, where it can be done so ([`Task::restore_as_needed`]).
    Meanwhile,
}

impl Assigned {
    /// Takes up what the store holds. A changed pattern set drops the state of patterns that changed, which is said, and written with the next epoch.
    pub(super) fn restore(parts: Parts) -> Result<Self, StoreError> {
        let Parts { number, evaluation, store, mut meta, inputs, strictness, memory, restoring, reset, stopwatch } = parts;
        let program = &evaluation.program;
        let is_known = meta.epoch > 0 && !reset;
        let mut pending = WriteBatch::default();
        let mut pattern_set = PatternSetId { number: meta.pattern_set_number, hash: evaluation.hash };
        if pattern_set.hash != meta.pattern_set || pattern_set.number == 0 {
            pattern_set.number += 1;
            let forgotten = state::forgotten_patterns(&meta, program);
            if !forgotten.is_empty() {
                tracing::warn!(task = number, patterns = forgotten.join(", "), "changed or gone since the last run: their partial matches are dropped");
                state::forget_patterns(&meta, program, &mut pending);
            }
        }
        meta.remember_patterns(program);
        let mut inputs: BTreeMap<StreamId, InputProgress> =
            inputs.into_iter().filter_map(|input| Some((program.schema.find(&input.name)?, InputProgress::new(input, &meta.positions)))).collect();
        let partitions: Vec<_> = inputs.keys().map(|&stream| (stream, number)).collect();
        let KeysInMemory { ready_keys_max, packed_keys_max } = memory;
        let scratch = Some(store.scratch());
        let options =
            TaskOptions { ready_keys_max, packed_keys_max, scratch, ..evaluation.task_options(EventTime::from_micros(meta.reference_us), strictness) };
        let mut task = Task::of_compiled(program, evaluation.compiled(&meta.windows_since()), &options, &partitions);
        meta.remember_logs(task.log_versions(), &mut pending);
        task.note_decisions();
        if is_known {
            match restoring {
                Restoring::Before => task.restore(&store, &meta.positions)?,
                Restoring::Meanwhile => task.restore_as_needed(&store, &meta.positions)?,
            }
        } else {
            inputs.values_mut().for_each(InputProgress::begin);
        }
        let (now, progress) = (stopwatch.now(), if meta.ended { Progress::Ended } else { Progress::Running });
        let announced = None;
        let from = inputs.values().map(|progress| (progress.input.source, progress.read)).collect();
        Ok(Self {
            number,
            task,
            evaluation,
            store,
            meta,
            pattern_set,
            pending,
            reset,
            inputs,
            progress,
            announced,
            had_overdue: is_known,
            stopwatch,
            last_part: now,
            last_copy: now,
            copying: None,
            checkpointed: Checkpointed::new(from),
        })
    }

    pub(super) fn epoch(&self) -> u64 {
        self.meta.epoch
    }

    pub(super) fn evaluation(&self) -> &Arc<Evaluation> {
        &self.evaluation
    }

    /// From where each input is to be read on.
    pub(super) fn places(&self) -> Vec<(InputPartition, u64)> {
        self.inputs.values().map(|progress| (progress.input.source, progress.read)).collect()
    }

    /// Applies what a bounded run takes of these records, and what was read before it began.
    pub(super) fn apply(&mut self, batch: &RecordBatch, mut end: Option<u64>, now: ProcessingTime) -> Result<(), StrictViolation> {
        let Some(last) = batch.iter().last().filter(|_| self.progress == Progress::Running) else { return Ok(()) };
        if let Some(input) = self.inputs.get_mut(&batch.stream) {
            // Another process of the group may have read on beyond the end of this one; or it closes windows, and they are closed as of where it has read to.
            end = if self.meta.closing { Some(input.stored) } else { end.map(|end| end.max(input.stored)) };
            input.read = last.offset + 1;
            input.note(batch, end.unwrap_or(u64::MAX));
        }
        match end {
            Some(end) if last.offset >= end => {
                let mut bounded = RecordBatch::new(batch.stream, batch.partition);
                let within = batch.iter().enumerate().filter(|(_, record)| record.offset < end);
                within.for_each(|(place, record)| bounded.push_original(record, batch.original(place)));
                self.task.apply(&bounded, now)
            }
            _ => self.task.apply(batch, now),
        }
    }

    /// Begins to repeat the epoch of this record: what is applied from now on comes to the same as it did then, as far as the record tells what was decided.
    pub(super) fn begin_repeating(&mut self, record: &EpochRecord) {
        if !record.tells_decisions() {
            return;
        }
        let decisions = self.inputs.iter().filter_map(|(&stream, progress)| {
            let range = record.inputs.iter().find(|range| range.topic == progress.input.topic)?;
            Some((stream, self.number, range.decided.clone()?))
        });
        self.task.follow(decisions.collect(), EventTime::from_micros(record.watermark_out_us));
    }

    /// Ends the epoch of this record as it was ended then, and gives what came out of it. `None`: what is held back is not there again.
    pub(super) fn take_repeated(&mut self, record: &EpochRecord) -> Result<Option<Part>, ColdKeysError> {
        let (opened, closed) = (ProcessingTime::from_micros(record.opened_us), ProcessingTime::from_micros(record.closed_us));
        let tells = record.tells_decisions();
        if !tells {
            self.tick(closed);
        }
        if record.ended {
            self.end();
        }
        if tells {
            self.task.settle(EventTime::from_micros(record.watermark_out_us), closed);
        } else {
            self.task.catch_up();
        }
        self.take_part(opened, closed, Quiet::Counts)
    }

    pub(super) fn tick(&mut self, now: ProcessingTime) {
        if self.progress == Progress::Running && !self.meta.closing {
            self.task.tick(now);
        }
    }

    /// Closes all windows where every input has reached its end, or where that was begun before. Says whether it did.
    pub(super) fn end_if_reached(&mut self, deployment: &Deployment) -> bool {
        let reached = |input: InputPartition| deployment.end_of(input).is_some_and(|end| self.read_to(input) >= end);
        let is_reached = self.meta.closing || self.is_told_the_end() || deployment.inputs_of(self.number).into_iter().all(reached);
        is_reached && self.end_if_all_is_there()
    }

    /// Not before the state is, and what was held before a restart.
    fn end_if_all_is_there(&mut self) -> bool {
        let is_there = !self.task.is_restoring() && !self.is_catching_up();
        let ends = is_there && self.progress == Progress::Running;
        if ends {
            self.end();
        }
        ends
    }

    /// All upstream tasks have closed their windows.
    fn is_told_the_end(&self) -> bool {
        self.task.watermark() == EventTime::END
    }

    /// Closes all windows: nothing more will come. What that brings out may be too much for one epoch. The first of them says that it was begun, so that whoever goes on after it goes on with that,
    /// whatever has been added to the inputs since.
    fn end(&mut self) {
        self.task.end();
        self.progress = Progress::Closing;
    }

    /// A bounded run was at its end here, now or before a restart, and not all windows are closed.
    pub(super) fn is_closing(&self) -> bool {
        self.progress == Progress::Closing || self.progress == Progress::Running && self.meta.closing
    }

    /// All windows are closed, and that is not committed yet.
    pub(super) fn has_closed(&self) -> bool {
        self.progress == Progress::Closing && !self.task.is_behind()
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

    /// There is more to bring out than waits, once the epoch has ended; which it does not before all that was held is there.
    pub(super) fn is_behind(&self) -> bool {
        self.task.is_behind() && !self.is_catching_up()
    }

    /// How many of these records, from a place on, were read before the task began here.
    pub(super) fn again(&self, batch: &RecordBatch, from: usize) -> usize {
        let stored = self.inputs.get(&batch.stream).map_or(0, |input| input.stored);
        (from..batch.len()).take_while(|place| batch.get(*place).offset < stored).count()
    }

    /// It is held back by inputs of which, as far as the brokers have told, there is nothing more to read.
    pub(super) fn is_held_back_by_silence(&self, known_end: &dyn Fn(InputPartition) -> Option<u64>) -> bool {
        let has_more =
            |(input, read): (InputPartition, u64)| self.task.holds_back(input.stream, input.partition) && known_end(input).is_none_or(|end| read < end);
        !self.places().into_iter().any(has_more)
    }

    /// What came out since the last call; `None`: nothing, and nothing was read. `opened`: the wall clock under which it was read; `closed`: the one at its end.
    pub(super) fn take_part(&mut self, opened: ProcessingTime, closed: ProcessingTime, quiet: Quiet) -> Result<Option<Part>, ColdKeysError> {
        if self.progress == Progress::Ended || self.is_catching_up() {
            return Ok(None);
        }
        let epoch = self.task.take_epoch()?;
        let positions = self.positions();
        let next = |stream: &StreamId| positions.of(&self.inputs[stream].input.name, self.number).map_or(0, |position| position.next_offset);
        let offsets: Vec<_> = self.inputs.iter().map(|(stream, progress)| (progress.input.source, next(stream))).collect();
        let moved = self.inputs.values().zip(&offsets).any(|(progress, (_, next))| progress.stored != *next);
        let is_silent = epoch.matches.is_empty() && epoch.set_aside.is_empty() && !self.has_news(epoch.announced);
        let nothing = is_silent && !moved && self.progress == Progress::Running && !self.task.waiting().is_full() && !self.has_let_go();
        if nothing && quiet == Quiet::PassedOver && self.stopwatch.since(self.last_part) < QUIET_MAX {
            return Ok(None);
        }
        let changes = self.take_changes();
        let had_overdue = std::mem::replace(&mut self.had_overdue, self.task.has_overdue());
        // How many overdue keys the changes tell of is chance.
        let is_exact = !had_overdue && !self.had_overdue;
        let mut decisions: BTreeMap<StreamId, Decided> = self.task.take_decisions().into_iter().map(|(stream, _, decided)| (stream, decided)).collect();
        let range = |((stream, progress), (_, next)): ((&StreamId, &mut InputProgress), &(InputPartition, u64))| {
            progress.range(*next, &positions, decisions.remove(stream))
        };
        let inputs = self.inputs.iter_mut().zip(&offsets).map(range).collect();
        let number = self.meta.epoch + 1;
        let record = EpochRecord {
            task: self.number,
            tasks: None,
            epoch: number,
            inputs,
            watermark_in_us: if self.meta.positions.partitions.is_empty() { i64::MIN } else { self.meta.positions.watermark_us },
            watermark_out_us: positions.watermark_us,
            opened_us: opened.micros(),
            closed_us: closed.micros(),
            reference_us: self.meta.reference_us,
            pattern_set: self.pattern_set,
            determinism: DETERMINISM_VERSION,
            out_count: 0,
            out_digest: 0,
            out_from: None,
            state_digest: (is_exact && number.is_multiple_of(STATE_DIGEST_EPOCHS)).then(|| state_digest(&changes)),
            closing: self.is_closing() && !self.has_closed(),
            ended: self.has_closed(),
            reset: self.reset,
        };
        Ok(Some(Part { record, announced: epoch.announced, epoch, offsets, changes, positions }))
    }

    /// Those that go on with the task's events would wait for what they are not told.
    fn has_news(&self, announced: Option<Announced>) -> bool {
        let Some(now) = announced else { return false };
        match self.announced {
            None => now.is_idle || now.watermark > EventTime::BEGINNING,
            Some(before) if before.is_idle != now.is_idle => true,
            Some(before) => now.watermark > before.watermark && self.stopwatch.since(self.last_part) >= CLOCK_NEWS_INTERVAL,
        }
    }

    /// Of the keys that were overdue at the end of the last epoch. Else the store would keep them for as long as nothing comes, and a replay, which has let go of them by then, would come to another state.
    fn has_let_go(&self) -> bool {
        self.had_overdue && !self.task.has_overdue() && self.task.waiting().change_bytes > 0
    }

    fn take_changes(&mut self) -> WriteBatch {
        let mut batch = WriteBatch { delete_ranges: self.pending.delete_ranges.clone(), ..WriteBatch::default() };
        state::put_changes(self.task.take_changes(), &mut batch);
        batch
    }

    /// The part was committed, as this record (which a replay reads, and else is the part's own): writes the state that goes with it. `journal_offset`: the record's,
    /// if known.
    pub(super) fn keep(&mut self, part: Part, record: &EpochRecord, journal_offset: Option<u64>) -> Result<(), StoreError> {
        let mut batch = part.changes;
        if record.ended {
            self.progress = Progress::Ended;
        }
        (self.meta.closing, self.meta.ended) = (record.closing, record.ended);
        for (progress, (_, next)) in self.inputs.values_mut().zip(&part.offsets) {
            progress.stored = *next;
        }
        self.last_part = self.stopwatch.now();
        (self.pending, self.reset) = (WriteBatch::default(), false);
        self.announced = part.announced;
        self.meta.epoch = record.epoch;
        self.meta.record_digest = record.digest();
        self.meta.journal_offset = journal_offset.unwrap_or(self.meta.journal_offset);
        (self.meta.pattern_set_number, self.meta.pattern_set) = (record.pattern_set.number, record.pattern_set.hash);
        self.meta.positions = part.positions;
        self.meta.write(&mut batch);
        self.store.write(batch)
    }

    /// The newest event time of all inputs; `None`: there was none.
    pub(super) fn newest(&self) -> Option<EventTime> {
        let newest = self.inputs.keys().map(|&stream| self.task.newest(stream, self.number)).max();
        newest.filter(|newest| *newest > EventTime::BEGINNING)
    }

    /// Where a recovery from the stored state would read each input from.
    pub(super) fn store_places(&self) -> Places {
        let from = |progress: &InputProgress| progress.input.first_read(&self.meta.positions);
        self.inputs.values().map(|progress| (progress.input.source, from(progress))).collect()
    }

    /// The same of the newest checkpoint, which is of this epoch if it was made here.
    pub(super) fn checkpoint_places(&mut self, epoch: Option<u64>) -> Places {
        self.checkpointed.note(epoch);
        self.checkpointed.places().clone()
    }

    /// Has the state copied to the checkpoints, where the last time is long enough ago and its copy done; not where it has not changed since the one that is there.
    pub(super) fn copy_if_due(&mut self, bases: &dyn Bases, interval: Duration, metrics: &Metrics) {
        let is_idle = self.copying.as_ref().is_none_or(|copying| copying.try_recv() == Err(TryRecvError::Disconnected));
        if !is_idle || self.stopwatch.since(self.last_copy) < interval {
            return;
        }
        self.last_copy = self.stopwatch.now();
        let there = metrics.checkpoint_epoch(self.number);
        self.checkpointed.note(there);
        self.checkpointed.copied(self.meta.epoch, self.store_places());
        if there == Some(self.meta.epoch) {
            metrics.checkpoint_holds(self.number);
        } else {
            self.copying = Some(bases.copy(self.number, self.store.clone()));
        }
    }

    /// The store, for somebody else, and what is to be let go of.
    pub(super) fn into_parts(self) -> (Arc<dyn StateStore>, TaskMemory) {
        (self.store, self.task.into_memory())
    }

    /// An input that has shown nothing yet stands where it begins.
    fn positions(&self) -> Positions {
        let mut positions = self.task.positions();
        for progress in self.inputs.values() {
            let input = &progress.input;
            for position in positions.partitions.iter_mut().filter(|position| position.stream == input.name && position.partition == self.number) {
                position.next_offset = position.next_offset.max(progress.stored);
                position.next_position = position.next_position.max(progress.stored);
            }
        }
        positions
    }
}

impl TaskInput {
    /// Where it is read from: what was held back at these positions is read again.
    fn first_read(&self, positions: &Positions) -> u64 {
        let position = positions.of(&self.name, self.source.partition);
        position.map_or(self.begin, |position| position.rewind.map_or(position.next_offset, |rewind| rewind.offset))
    }
}

impl InputProgress {
    fn new(input: TaskInput, positions: &Positions) -> Self {
        let (read, position) = (input.first_read(positions), positions.of(&input.name, input.source.partition));
        let stored = position.map_or(input.begin, |position| position.next_offset);
        Self { input, read, stored, digest: Xxh3::new(), leader_epoch: None }
    }

    /// Without anything that was known.
    fn begin(&mut self) {
        (self.read, self.stored) = (self.input.begin, self.input.begin);
    }

    /// The records that are read for the first time, up to the end of a bounded run.
    fn note(&mut self, batch: &RecordBatch, end: u64) {
        let (mut last, mut noted) = (None, false);
        for record in batch.iter() {
            last = Some(record.offset);
            if record.offset >= self.stored && record.offset < end {
                note_record(&mut self.digest, &record);
                noted = true;
            }
        }
        if noted {
            // The batch tells that of its last record, which a bounded run may not have come to.
            self.leader_epoch = batch.leader_epoch.filter(|_| last.is_some_and(|last| last < end));
        }
    }

    fn range(&mut self, next: u64, positions: &Positions, decided: Option<Decided>) -> InputRange {
        let position = positions.of(&self.input.name, self.input.source.partition).expect("every input of a task is open in it");
        InputRange {
            topic: self.input.topic.clone(),
            partition: self.input.source.partition,
            leader_epoch: self.leader_epoch,
            base: self.stored,
            next,
            rewind: position.rewind.map(|rewind| rewind.offset),
            newest_us: position.newest_us,
            idle: position.idle,
            digest: std::mem::take(&mut self.digest).digest(),
            decided,
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

#[cfg(test)]
mod tests;
