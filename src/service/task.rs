//! A task: records of its partitions in, decoded and evaluated; an epoch's matches, set-aside lines and changes of state out.
//!
//! Both ways of running share it: it knows neither files nor Kafka, and commits nothing. Decoding and evaluating are spread over as many
//! threads as there are shards, each batch on its own; the intake between them is serial, so the bytes that come out do not depend on
//! the number of threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::{DecodeOptions, Decoder, Rejection, RejectionCode, TimeUnit, write_set_aside};
use crate::config::{Config, Strictness, TimestampUnit};
use crate::engine::{
    Arrival, Change, Compiled, Counters, Intake, IntakeLimits, Interest, Judge, Match, Positions, RUNS_ALONE_MAX, Shard, StreamTiming, Suppression, Wanted,
};
use crate::event::{Event, EventTime, ProcessingTime, StreamId, TimeSpan};
use crate::pattern::Program;
use crate::ports::{Record, RecordBatch, StateStore, StoreError};
use crate::service::state;

/// Fewer records than this are decoded and evaluated on the calling thread: starting threads would cost more.
const PARALLEL_RECORDS_MIN: usize = 256;

/// What a task needs to know.
#[derive(Clone, Debug)]
pub struct TaskOptions {
    /// Threads and parts of the key space, at least 1.
    pub shards: usize,
    pub runs_per_key_max: u64,
    pub matches_per_event_max: u64,
    pub held_events_max: usize,
    /// Far-future times are measured from here.
    pub reference: EventTime,
    pub ahead_max: TimeSpan,
    pub strictness: Strictness,
    pub set_aside: SetAsideForm,
    /// By stream name; a stream that is not named has the defaults.
    pub streams: BTreeMap<String, StreamOptions>,
}

/// What becomes of late events and rejected records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetAsideForm {
    /// Lines for files.
    Lines,
    /// Kept as their producers made them.
    Originals,
}

/// A late event or a rejected record, as its producer made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    pub stream: StreamId,
    pub partition: u32,
    pub offset: u64,
    pub timestamp: Option<EventTime>,
    pub code: RejectionCode,
    pub reason: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// What the configuration says about a stream.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    pub late_after: Option<TimeSpan>,
    pub idle_timeout: Option<TimeSpan>,
    pub idle_after: Option<TimeSpan>,
    pub timestamp_unit: TimestampUnit,
}

/// What came out since the last epoch's end.
#[derive(Debug, Default)]
pub struct Epoch {
    /// In the order of the output.
    pub matches: Vec<Match>,
    /// Lines for the outputs of late and of rejected records, each ended by a line feed.
    pub late: Vec<u8>,
    pub rejected: Vec<u8>,
    /// With [`SetAsideForm::Originals`]: the same, in the order in which they arrived.
    pub set_aside: Vec<SetAside>,
    /// Records that were applied, also those that were passed over silently after a restart.
    pub records: u64,
}

/// A record that cannot be read, where that ends the run.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct StrictViolation {
    /// Its number in the partition.
    pub offset: u64,
    /// Where it stands, for people.
    pub place: String,
    pub reason: String,
}

impl StrictViolation {
    /// The same where the record is a line of a file.
    pub fn in_file(self, path: &str) -> Self {
        Self { place: format!("{path}, line {}", self.offset + 1), ..self }
    }
}

/// The state of one task in memory.
#[derive(Debug)]
pub struct Task {
    program: Arc<Program>,
    decoders: Vec<Decoder>,
    /// One for each thread.
    judges: Vec<Judge>,
    intake: Intake,
    shards: Vec<Shard>,
    suppression: Suppression,
    strictness: Strictness,
    set_aside: SetAsideForm,
    /// By stream and partition: records before this one were applied before the restart; what they bring out has come out.
    applied_before: BTreeMap<(StreamId, u32), u64>,
    epoch: Epoch,
    rejected_by_code: BTreeMap<&'static str, u64>,
    released: Vec<Wanted>,
}

impl TaskOptions {
    pub fn new(config: &Config, reference: EventTime) -> Self {
        let streams = config.streams.iter().map(|(name, stream)| {
            let options = StreamOptions {
                late_after: stream.late_after,
                idle_timeout: stream.idle_timeout,
                idle_after: stream.idle_after,
                timestamp_unit: stream.timestamp_unit,
            };
            (name.clone(), options)
        });
        Self {
            shards: config.workers.max(1),
            runs_per_key_max: config.limits.runs_per_key_max,
            matches_per_event_max: config.limits.matches_per_event_max,
            held_events_max: config.limits.held_events_max,
            reference,
            ahead_max: config.limits.ahead_max,
            strictness: config.strictness,
            set_aside: SetAsideForm::Lines,
            streams: streams.collect(),
        }
    }
}

impl Task {
    /// A task that has seen nothing, with these live partitions.
    pub fn new(program: &Arc<Program>, options: &TaskOptions, partitions: &[(StreamId, u32)]) -> Self {
        let schema = &program.schema;
        let of = |id: StreamId| options.streams.get(&schema.stream(id).name);
        let timings = schema.ids().map(|id| StreamTiming {
            lateness: schema.stream(id).lateness.or(of(id).and_then(|stream| stream.late_after)).unwrap_or(TimeSpan::ZERO),
            idle_timeout: of(id).and_then(|stream| stream.idle_timeout),
            idle_after: of(id).and_then(|stream| stream.idle_after),
        });
        let limits = IntakeLimits { held_events_max: options.held_events_max, reference: options.reference, ahead_max: options.ahead_max };
        let mut intake = Intake::new(schema.clone(), timings.collect(), limits);
        for &(stream, partition) in partitions {
            intake.open(stream, partition);
        }
        let decoders = schema.ids().map(|id| {
            let unit = of(id).map_or(TimestampUnit::Millis, |stream| stream.timestamp_unit);
            Decoder::new(schema, id, DecodeOptions { timestamp_unit: time_unit(unit) })
        });
        let compiled = Arc::new(Compiled::new(program));
        let judges = (0..options.shards.max(1)).map(|_| Judge::new(compiled.clone())).collect();
        let limits =
            crate::automaton::Limits { runs_max: options.runs_per_key_max, matches_max: options.matches_per_event_max, runs_alone_max: RUNS_ALONE_MAX };
        let shards = (0..options.shards).map(|shard| Shard::new(compiled.clone(), shard, options.shards, limits));
        Self {
            program: program.clone(),
            decoders: decoders.collect(),
            judges,
            intake,
            shards: shards.collect(),
            suppression: Suppression::default(),
            strictness: options.strictness,
            set_aside: options.set_aside,
            applied_before: BTreeMap::new(),
            epoch: Epoch::default(),
            rejected_by_code: BTreeMap::new(),
            released: Vec::new(),
        }
    }

    /// Takes up the state that a store holds for the task. The sources are then to be read from each partition's rewind place, or where it has none
    /// from its next record.
    pub fn restore(&mut self, store: &dyn StateStore, positions: &Positions) -> Result<(), StoreError> {
        self.intake.restore(positions);
        for position in &positions.partitions {
            if let Some(stream) = self.program.schema.find(&position.stream) {
                self.applied_before.insert((stream, position.partition), position.next_offset);
            }
        }
        let mut damaged = None;
        state::scan_runs(store, &mut |key, value| {
            match self.suppression.restore_entry(key, value) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    damaged.get_or_insert(error.to_string());
                }
            }
            for shard in &mut self.shards {
                if let Err(error) = shard.restore(key, value) {
                    damaged.get_or_insert(error.to_string());
                }
            }
        })?;
        damaged.map_or(Ok(()), |error| Err(StoreError::Failed(error)))
    }

    /// Applies records, in the order given, and brings out everything that the watermark then allows.
    pub fn apply(&mut self, batch: &RecordBatch, now: ProcessingTime) -> Result<(), StrictViolation> {
        self.intake.tick(now);
        let stream = usize::from(batch.stream.0);
        if self.shards.len() < 2 || batch.len() < PARALLEL_RECORDS_MIN {
            for (place, record) in batch.iter().enumerate() {
                let decoded = self.decoders[stream].decode(&record, batch.partition);
                self.arrive(batch, place, record, decoded.map(|event| (event, None)))?;
            }
        } else {
            let read = read_in_parallel(&self.decoders[stream], &mut self.judges, batch);
            for (place, (record, read)) in batch.iter().zip(read).enumerate() {
                self.arrive(batch, place, record, read)?;
            }
        }
        self.epoch.records += batch.len() as u64;
        self.release();
        Ok(())
    }

    /// Lets time pass where nothing arrives.
    pub fn tick(&mut self, now: ProcessingTime) {
        self.intake.tick(now);
        self.release();
    }

    /// No more will come: closes all windows.
    pub fn end(&mut self) {
        self.intake.end();
        self.release();
    }

    /// What came out since the last call.
    pub fn take_epoch(&mut self) -> Epoch {
        std::mem::take(&mut self.epoch)
    }

    /// Matches that wait to be taken.
    pub fn matches_waiting(&self) -> usize {
        self.epoch.matches.len()
    }

    /// Bytes of the lines of late events and rejected records that wait to be taken.
    pub fn set_aside_bytes(&self) -> usize {
        self.epoch.late.len() + self.epoch.rejected.len()
    }

    /// The state that changed since the last call, for one batch.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for shard in &mut self.shards {
            shard.take_changes(&mut changes);
        }
        self.suppression.take_changes(&mut changes);
        changes
    }

    /// Lets the state that changed go unwritten, where nothing is kept.
    pub fn discard_changes(&mut self) {
        for shard in &mut self.shards {
            shard.discard_changes();
        }
        self.suppression.discard_changes();
    }

    /// A partition that ended holds nothing back any more.
    pub fn close(&mut self, stream: StreamId, partition: u32) {
        self.intake.close(stream, partition);
        self.release();
    }

    /// Events that wait for the watermark.
    pub fn held_events(&self) -> usize {
        self.intake.held_events()
    }

    /// The newest event time that a partition has shown.
    pub fn newest(&self, stream: StreamId, partition: u32) -> EventTime {
        self.intake.newest(stream, partition)
    }

    pub fn positions(&self) -> Positions {
        self.intake.positions()
    }

    pub fn watermark(&self) -> EventTime {
        self.intake.watermark()
    }

    /// Of the intake and all shards together.
    pub fn counters(&self) -> Counters {
        let mut counters = self.intake.counters().clone();
        for shard in &self.shards {
            counters.add(shard.counters());
        }
        self.suppression.count(&mut counters);
        counters.faults += self.judges.iter().map(Judge::faults).sum::<u64>();
        counters
    }

    pub fn rejected_by_code(&self) -> &BTreeMap<&'static str, u64> {
        &self.rejected_by_code
    }

    /// By shard: how many keys got state.
    pub fn keys_by_shard(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| shard.counters().keys_made).collect()
    }

    fn arrive(
        &mut self,
        batch: &RecordBatch,
        place: usize,
        record: Record<'_>,
        read: Result<(Event, Option<Interest>), Rejection>,
    ) -> Result<(), StrictViolation> {
        let (stream, partition) = (batch.stream, batch.partition);
        let (mut event, interest) = match read {
            Ok(read) => read,
            Err(rejection) => {
                self.intake.skip(stream, partition, record.offset, record.next_position);
                return self.reject(batch, place, rejection);
            }
        };
        let mut known = interest;
        let interest = match &mut known {
            Some(interest) => interest,
            None => self.judges[0].interest(&event),
        };
        match self.intake.arrive(&mut event, interest, record.position, record.next_position) {
            Arrival::Held | Arrival::OfNoInterest | Arrival::Passed => Ok(()),
            Arrival::Late { watermark } => {
                let reason = format!("its time {} is not after {watermark}, the watermark when it arrived", event.time);
                self.put_aside(batch, place, Rejection { code: RejectionCode::Late, reason });
                Ok(())
            }
            Arrival::TooFarAhead => {
                let reason = format!("its time {} lies further in the future than `ahead_max` allows", event.time);
                self.reject(batch, place, Rejection { code: RejectionCode::TooFarAhead, reason })
            }
            Arrival::HeldFull => {
                let reason = "as many events as `held_events_max` allows are held back for the watermark".to_owned();
                self.reject(batch, place, Rejection { code: RejectionCode::HeldFull, reason })
            }
        }
    }

    fn reject(&mut self, batch: &RecordBatch, place: usize, rejection: Rejection) -> Result<(), StrictViolation> {
        let record = batch.get(place);
        let applied_before = self.applied_before.get(&(batch.stream, batch.partition)).copied().unwrap_or(0);
        if record.offset < applied_before {
            return Ok(());
        }
        if self.strictness == Strictness::Stop {
            let name = &self.program.schema.stream(batch.stream).name;
            let place = format!("stream `{name}`, partition {}, record {}", batch.partition, record.offset);
            return Err(StrictViolation { offset: record.offset, place, reason: rejection.reason });
        }
        *self.rejected_by_code.entry(rejection.code.text()).or_default() += 1;
        self.put_aside(batch, place, rejection);
        Ok(())
    }

    fn put_aside(&mut self, batch: &RecordBatch, place: usize, Rejection { code, reason }: Rejection) {
        let record = batch.get(place);
        let (stream, partition, offset) = (batch.stream, batch.partition, record.offset);
        match self.set_aside {
            SetAsideForm::Lines => {
                let name = &self.program.schema.stream(stream).name;
                let lines = if code == RejectionCode::Late { &mut self.epoch.late } else { &mut self.epoch.rejected };
                write_set_aside(name, partition, offset, code, &reason, record.bytes, lines);
                lines.push(b'\n');
            }
            SetAsideForm::Originals => {
                let original = batch.original(place);
                let (key, value) = (original.key.map(<[u8]>::to_vec), original.value.map(<[u8]>::to_vec));
                self.epoch.set_aside.push(SetAside { stream, partition, offset, timestamp: record.timestamp, code, reason, key, value });
            }
        }
    }

    fn release(&mut self) {
        self.released.clear();
        let watermark = self.intake.release(&mut self.released);
        let events = self.released.as_slice();
        let matches = &mut self.epoch.matches;
        let before = matches.len();
        match self.shards.as_mut_slice() {
            [shard] => shard.apply(events, watermark, matches),
            shards if events.len() < PARALLEL_RECORDS_MIN => {
                for shard in shards.iter_mut() {
                    shard.apply(events, watermark, matches);
                }
            }
            shards => {
                let of_shards = std::thread::scope(|scope| {
                    let threads: Vec<_> = shards
                        .iter_mut()
                        .map(|shard| {
                            scope.spawn(move || {
                                let mut matches = Vec::new();
                                shard.apply(events, watermark, &mut matches);
                                matches
                            })
                        })
                        .collect();
                    threads.into_iter().map(join).collect::<Vec<_>>()
                });
                matches.extend(of_shards.into_iter().flatten());
            }
        }
        if self.shards.len() > 1 {
            // Stable: within a pattern and key, which are one shard's, the order decided stays.
            matches[before..].sort_by(|a, b| a.order().cmp(&b.order()));
        }
        self.suppression.apply(matches, before, watermark);
    }
}

fn read(decoder: &Decoder, judge: &mut Judge, record: Record<'_>, partition: u32) -> Result<(Event, Option<Interest>), Rejection> {
    let event = decoder.decode(&record, partition)?;
    let interest = std::mem::take(judge.interest(&event));
    Ok((event, Some(interest)))
}

fn read_in_parallel(decoder: &Decoder, judges: &mut [Judge], batch: &RecordBatch) -> Vec<Result<(Event, Option<Interest>), Rejection>> {
    let part = batch.len().div_ceil(judges.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..batch.len())
            .step_by(part)
            .zip(judges)
            .map(|(start, judge)| {
                let places = start..(start + part).min(batch.len());
                scope.spawn(move || places.map(|place| read(decoder, judge, batch.get(place), batch.partition)).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(join).collect()
    })
}

/// A panic of a worker thread goes on here.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn time_unit(unit: TimestampUnit) -> TimeUnit {
    match unit {
        TimestampUnit::Seconds => TimeUnit::Seconds,
        TimestampUnit::Millis => TimeUnit::Millis,
        TimestampUnit::Micros => TimeUnit::Micros,
        TimestampUnit::Nanos => TimeUnit::Nanos,
    }
}
