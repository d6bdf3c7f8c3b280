//! One process, no server: files, standard streams and published events in, files and subscribers out.
//!
//! One epoch is one atomic write. The loop reads and applies records until the epoch is due, then [`commit`](Loop::commit): outputs are appended and
//! synced, then state, source positions and output lengths are written in one batch, then subscribers and publishers are told. What a crash
//! leaves beyond the committed lengths is cut off at the next start and comes out again, byte for byte: the order of matches
//! does not depend on where epochs end. Where nobody waits for the batch, it is written while the loop goes on.
//!
//! The end of a finite input closes all windows. What that brings out is appended but not committed: a later run over the grown file cuts it off
//! and goes on as if the file had never ended.

mod commit;
mod inputs;
mod outputs;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;

use crate::config::{Config, EndOfInput, Origin};
use crate::engine::Compiled;
use crate::event::{EventTime, ProcessingTime, StreamId};
use crate::grpc::{Server, ServerParts};
use crate::pattern::Program;
use crate::ports::{MatchLog, Publisher, RecordBatch, StateStore, StoreError, WriteBatch};
use crate::service::published::PublishedStreams;
use crate::service::state::{self, FORMAT, Meta};
use crate::service::task::{Task, TaskOptions};
use crate::service::{EndPart, Progress, StopSignal, StoredMatchLog, Summary, log_max, rocks_options, slot_folder};
use crate::store::{Memory, MemoryBudget, Rocks, ScratchFolder};

use inputs::{Inputs, Next};
use outputs::Outputs;

/// Bytes of records that are applied at a time.
const BATCH_BYTES: usize = 64 << 10;
/// The same for each worker, where there are several: between batches they have less to do.
const BATCH_BYTES_OF_WORKER: usize = 1 << 20;
/// When as many matches wait, or as many bytes of them or of late events and rejected records, they are appended to the outputs before the epoch ends.
const APPENDED_MATCHES: usize = 1_000;
const APPENDED_BYTES: usize = 1 << 20;
/// An epoch ends early when as many bytes of matches wait for it to be given to subscribers.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// How long the loop waits where no source has anything, before it looks again.
const QUIET_WAIT: Duration = Duration::from_millis(20);

/// How often it is told how far the run is.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Runs until the input ends or a stop is asked for.
pub fn run(program: &Arc<Program>, config: &Config, end: EndOfInput, stop: &StopSignal) -> anyhow::Result<Summary> {
    run_watched(program, config, end, stop, &Progress::default())
}

/// The same, and tells how far it is.
pub fn run_watched(program: &Arc<Program>, config: &Config, end: EndOfInput, stop: &StopSignal, progress: &Progress) -> anyhow::Result<Summary> {
    let mut run = Loop::open(program, config, progress)?;
    let outcome = run.work(end, stop);
    let written = run.await_write();
    run.close(stop);
    outcome.and_then(|summary| written.map(|()| summary))
}

struct Loop {
    task: Task,
    store: Arc<dyn StateStore>,
    /// The last epoch's batch, where it is being written while the loop goes on.
    writing: Option<JoinHandle<Result<(), StoreError>>>,
    /// The state outlives the process: commits are worth their cost.
    keeps_state: bool,
    meta: Meta,
    inputs: Inputs,
    outputs: Outputs,
    published: Option<PublishedStreams>,
    log: Option<Arc<StoredMatchLog>>,
    server: Option<(Runtime, Server)>,
    epoch_length: Duration,
    batch_bytes: usize,
    held_events_max: usize,
    epoch_began: Instant,
    /// Records were applied since the last commit.
    dirty: bool,
    /// An input's end was taken for good while others went on: with state, nothing may be committed any more.
    sealed: bool,
    records_read: u64,
    progress: Progress,
    told: Instant,
}

impl Loop {
    fn open(program: &Arc<Program>, config: &Config, progress: &Progress) -> anyhow::Result<Self> {
        let mut inputs = Inputs::open(program, config)?;
        MemoryBudget::of_process().set_bytes(config.limits.store_memory_bytes_max);
        let store: Arc<dyn StateStore> = match &config.state {
            Some(folder) => Arc::new(Rocks::open(&slot_folder(folder, 0)?, rocks_options(config))?),
            None => Arc::new(Memory::default()),
        };
        let stored = Meta::read(&*store)?;
        let known = stored.is_some();
        let mut meta = stored.unwrap_or_else(|| new_meta(config));
        if let Some(reference) = config.reference {
            meta.reference_us = reference.micros();
        }
        if known {
            inputs.seek(&meta)?;
            adopt_program(&mut meta, program, &*store)?;
        }
        meta.remember_patterns(program);
        let partitions: Vec<(StreamId, u32)> =
            program.schema.ids().filter(|&id| config.streams.contains_key(&program.schema.stream(id).name)).map(|id| (id, 0)).collect();
        let scratch = if config.state.is_some() { store.scratch() } else { Arc::new(ScratchFolder::temporary()) };
        let compiled = Arc::new(Compiled::since(program, &meta.windows_since()));
        let options = TaskOptions { scratch: Some(scratch), ..TaskOptions::new(config, EventTime::from_micros(meta.reference_us)) };
        let mut task = Task::of_compiled(program, compiled, &options, &partitions);
        let mut forgotten = WriteBatch::default();
        meta.remember_logs(task.log_versions(), &mut forgotten);
        if !forgotten.delete_ranges.is_empty() {
            meta.write(&mut forgotten);
            store.write(forgotten)?;
        }
        let (publisher, mut published) = published_streams(program, config);
        if known {
            task.restore(&store, &meta.positions)?;
            if let Some(published) = &mut published {
                for batch in published.restore(&*store, &meta.positions)? {
                    task.apply(&batch, wall_clock())?;
                }
            }
        }
        let log = match &config.grpc {
            Some(_) => Some(Arc::new(StoredMatchLog::open(store.clone(), meta.identity.clone(), log_max(&config.limits))?)),
            None => None,
        };
        let server = match (&config.grpc, &log) {
            (Some(grpc), Some(log)) => Some(serve(grpc.address, program, config, log.clone(), publisher)?),
            _ => None,
        };
        // Last, so that a run that cannot begin leaves them as they are.
        let outputs = Outputs::open(program, config, &meta.outputs)?;
        if config.state.is_none() {
            task.note_no_changes();
        }
        Ok(Self {
            task,
            store,
            writing: None,
            keeps_state: config.state.is_some(),
            meta,
            outputs,
            published,
            log,
            server,
            epoch_length: Duration::from_millis(config.epoch_ms),
            // With several inputs it decides which of them is read next, and that must not depend on the number of workers.
            batch_bytes: if inputs.are_several() || config.workers < 2 { BATCH_BYTES } else { BATCH_BYTES_OF_WORKER * config.workers },
            inputs,
            held_events_max: config.limits.held_events_max,
            epoch_began: Instant::now(),
            dirty: false,
            sealed: false,
            records_read: 0,
            progress: progress.clone(),
            told: Instant::now(),
        })
    }

    fn work(&mut self, end: EndOfInput, stop: &StopSignal) -> anyhow::Result<Summary> {
        // The first commit makes the outputs known to the state before anything stands in them.
        self.dirty = true;
        self.commit()?;
        self.await_write()?;
        loop {
            if stop.is_asked() {
                self.commit()?;
                return Ok(self.summary(true));
            }
            let published = self.take_published()?;
            let next = self.inputs.next(&self.task, self.batch_bytes, self.held_events_max / 2)?;
            if let Next::Batch(place) = next {
                self.apply_input(place)?;
                self.pass_ended_inputs(end)?;
            }
            self.tell_progress();
            let quiet = !published && !matches!(next, Next::Batch(_));
            // Clients may always publish more, unless what is there now is all that counts.
            if matches!(next, Next::End) && !published && (self.published.is_none() || end == EndOfInput::ClosesWindows) {
                break;
            }
            let awaited = self.published.as_ref().is_some_and(|streams| streams.is_full() || (quiet && streams.awaits_commit()));
            self.append_much()?;
            if awaited || self.epoch_began.elapsed() >= self.epoch_length || self.is_full() {
                self.task.tick(wall_clock());
                self.commit()?;
            } else if quiet {
                self.wait()?;
            }
        }
        self.append_much()?;
        self.commit()?;
        if end == EndOfInput::ClosesWindows {
            self.finish()?;
        }
        Ok(self.summary(false))
    }

    /// Not after every batch: the counters of shards that are at work have to be waited for.
    fn tell_progress(&mut self) {
        if self.told.elapsed() >= TOLD_EVERY {
            self.told = Instant::now();
            let (read_bytes, whole_bytes) = self.inputs.read_of_whole();
            self.progress.tell(&self.task.counters(), read_bytes, whole_bytes);
        }
    }

    /// Closes all windows; nothing of it is committed.
    fn finish(&mut self) -> anyhow::Result<()> {
        self.task.note_no_changes();
        self.apply_unterminated()?;
        self.task.end();
        self.append()?;
        while self.task.is_behind() {
            self.task.go_on();
            self.append()?;
        }
        self.outputs.sync()?;
        if !self.keeps_state {
            // No later run can take it back, so subscribers get it as well.
            self.meta.epoch += 1;
            self.write(WriteBatch::default())?;
        }
        Ok(())
    }

    /// An input that has ended may go on in a later run, so it holds the others back, which must wait in memory. Where nothing is kept for a later run, or
    /// the memory for waiting is half full, its end counts at once; what then comes out is not committed.
    fn pass_ended_inputs(&mut self, end: EndOfInput) -> anyhow::Result<()> {
        if end == EndOfInput::KeepsOpen || self.inputs.ended().is_empty() {
            return Ok(());
        }
        if !self.keeps_state || self.task.held_events() > self.held_events_max / 2 {
            // Without state there is nothing that a later run could go on from.
            self.sealed = self.keeps_state;
            self.task.note_no_changes();
            self.apply_unterminated()?;
            for stream in self.inputs.ended() {
                self.task.close(stream, 0);
            }
        }
        Ok(())
    }

    /// Last lines without a line's end, of inputs whose end is taken for good.
    fn apply_unterminated(&mut self) -> anyhow::Result<()> {
        for batch in self.inputs.take_unterminated() {
            self.records_read += batch.len() as u64;
            self.task.apply(&batch, wall_clock()).map_err(|violation| violation.in_file(self.inputs.name(batch.stream)))?;
        }
        Ok(())
    }

    fn apply_input(&mut self, place: usize) -> anyhow::Result<()> {
        let batch = self.inputs.batch(place);
        self.records_read += batch.len() as u64;
        self.dirty = true;
        self.task.apply_shared(batch, wall_clock()).map_err(|violation| violation.in_file(self.inputs.name(batch.stream)))?;
        Ok(())
    }

    /// Applies what clients have published by now; says whether there was anything.
    fn take_published(&mut self) -> anyhow::Result<bool> {
        let Some(published) = &mut self.published else { return Ok(false) };
        let mut any = false;
        let mut bytes = 0;
        while bytes < self.batch_bytes {
            let Some(publication) = published.take_next() else { break };
            let batch = published.take(publication);
            bytes += batch.bytes();
            any = true;
            self.dirty = true;
            self.records_read += batch.len() as u64;
            self.task.apply(&batch, wall_clock())?;
        }
        Ok(any)
    }

    /// Nothing is there: waits for a publication or a little while.
    fn wait(&mut self) -> anyhow::Result<()> {
        let (Some((runtime, _)), Some(published)) = (&self.server, &mut self.published) else {
            std::thread::sleep(QUIET_WAIT);
            return Ok(());
        };
        if let Some(publication) = runtime.block_on(published.wait(QUIET_WAIT)) {
            let batch: RecordBatch = published.take(publication);
            self.dirty = true;
            self.records_read += batch.len() as u64;
            self.task.apply(&batch, wall_clock())?;
        }
        Ok(())
    }

    /// Appends to the outputs in the middle of an epoch, so that what waits does not fill the memory. After a crash it is cut off and comes out again.
    fn append_much(&mut self) -> anyhow::Result<()> {
        let waiting = self.task.waiting();
        if waiting.matches >= APPENDED_MATCHES || waiting.match_bytes >= APPENDED_BYTES || self.task.set_aside_bytes() >= APPENDED_BYTES {
            self.append()?;
        }
        while self.task.is_behind() {
            if self.is_full() {
                self.commit()?;
            }
            self.task.go_on();
            self.append()?;
        }
        Ok(())
    }

    /// As much waits for the epoch's end as may: of matches for subscribers, or of changes of state.
    fn is_full(&self) -> bool {
        self.outputs.kept_bytes() >= KEPT_BYTES_MAX || self.task.waiting().is_full()
    }

    fn append(&mut self) -> anyhow::Result<()> {
        self.dirty = true;
        self.outputs.append(&self.task.take_epoch()?)
    }

    fn summary(&self, stopped: bool) -> Summary {
        Summary {
            counters: self.task.counters(),
            rejected: self.task.rejected_by_code().clone(),
            records_read: self.records_read,
            keys_by_worker: self.task.keys_by_shard(),
            stopped,
            topics: None,
        }
    }

    /// Lets subscribers take what is committed, then ends their streams.
    fn close(&mut self, stop: &StopSignal) {
        // What still waits in the queue is told that it was not taken.
        self.published = None;
        if let Some((runtime, server)) = self.server.take() {
            runtime.block_on(server.shut_down(stop.time_for(EndPart::Subscribers)));
        }
    }
}

pub(super) fn new_meta(config: &Config) -> Meta {
    let reference = config.reference.unwrap_or_else(|| EventTime::from_micros(wall_clock().micros()));
    Meta { format: FORMAT, identity: format!("{:032x}", rand::random::<u128>()), reference_us: reference.micros(), ..Meta::default() }
}

/// Patterns that are the same keep their state; the state of the others is deleted, which is said.
pub(super) fn adopt_program(meta: &mut Meta, program: &Program, store: &dyn StateStore) -> anyhow::Result<()> {
    let forgotten = state::forgotten_patterns(meta, program);
    if !forgotten.is_empty() {
        tracing::warn!(patterns = forgotten.join(", "), "changed or gone since the last run: their partial matches are dropped");
        let mut batch = WriteBatch::default();
        state::forget_patterns(meta, program, &mut batch);
        meta.remember_patterns(program);
        meta.write(&mut batch);
        store.write(batch)?;
    }
    Ok(())
}

fn published_streams(program: &Program, config: &Config) -> (Option<Publisher>, Option<PublishedStreams>) {
    let streams: Vec<_> = program
        .schema
        .ids()
        .map(|id| (id, program.schema.stream(id).name.clone()))
        .filter(|(_, name)| config.streams.get(name).is_some_and(|stream| stream.origin == Origin::Published))
        .collect();
    if streams.is_empty() {
        return (None, None);
    }
    let (publisher, published) = PublishedStreams::new(streams, config.limits.record_bytes_max);
    (Some(publisher), Some(published))
}

pub(super) fn serve(
    address: std::net::SocketAddr,
    program: &Arc<Program>,
    config: &Config,
    log: Arc<dyn MatchLog>,
    publisher: Option<Publisher>,
) -> anyhow::Result<(Runtime, Server)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let published = config.streams.iter().filter(|(_, stream)| stream.origin == Origin::Published).map(|(name, _)| name.clone());
    let parts = ServerParts {
        log,
        publisher,
        published_streams: published.filter_map(|name| Some((name.clone(), program.schema.find(&name)?))).collect(),
        patterns: program.patterns.iter().map(|pattern| (pattern.name.clone(), pattern.key_names.clone())).collect(),
        subscriber_queue_max: config.limits.subscriber_queue_max,
        record_bytes_max: config.limits.record_bytes_max,
    };
    let server = runtime.block_on(Server::start(address, parts))?;
    Ok((runtime, server))
}

/// The shell's clock, which the core is told.
pub(super) fn wall_clock() -> ProcessingTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ProcessingTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
