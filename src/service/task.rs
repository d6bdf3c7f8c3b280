//! A task: records of its partitions in, decoded and evaluated; an epoch's matches, set-aside lines and changes of state out.
//!
//! Both ways of running share it: it knows neither files nor Kafka, and commits nothing. Decoding and evaluating are spread over as many
//! threads as there are shards; the intake between them is serial, so the bytes that come out do not depend on the number of
//! threads. With several, evaluating may go on after [`Task::apply`] has returned; whoever takes an epoch or changes of state waits for it.
//!
//! Where time goes far at once, what it brings out comes [piece by piece](crate::service::pieces), and [so much at most](crate::service::waiting) before it is taken: an epoch stays of a size that can be committed, and no
//! event waits long behind what others have left.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::{DecodeOptions, Decoder, Rejection, RejectionCode, TimeUnit, write_set_aside};
use crate::config::{Config, Strictness, TimestampUnit};
use crate::engine::{
    Arrival, Change, ColdKeysError, Compiled, Counters, Decided, Intake, IntakeLimits, Interest, Judge, Match, Positions, RUNS_ALONE_MAX, RecordPlace, Shard,
    ShardMemory, StreamTiming, Suppression, UpstreamPosition,
};
use crate::event::{Event, EventTime, ProcessingTime, StreamId, TimeSpan};
use crate::pattern::{FieldsUsed, Program};
use crate::ports::{Original, Record, RecordBatch, ScratchStores, StateStore, StoreError};
use crate::service::crew::{Crew, RELEASES_MAX};
use crate::service::pieces::{PIECE, Pieces};
use crate::service::rekeying::{Announced, Handed, HandedEvent, HandedOn, HandingOn, Rekeying, Upstreams, encode_event};
use crate::service::spill::Spill;
use crate::service::state::{RunsOf, RunsRange, StoredRuns};
use crate::service::waiting::{ChangeBytes, MATCH_BYTES_WAITING_MAX, Waiting};

/// A match that takes more counts for several: then a piece brings no more bytes of them than may wait.
const MATCH_BYTES: u64 = MATCH_BYTES_WAITING_MAX as u64 / PIECE;

/// On one thread, events are stepped after so many records: while what was decoded is still near the processor.
const RELEASED_AFTER_RECORDS: usize = 64;

/// What a task needs to know.
#[derive(Clone, Debug)]
pub struct TaskOptions {
    /// Threads and parts of the key space, at least 1.
    pub shards: usize,
    pub runs_per_key_max: u64,
    pub matches_per_event_max: u64,
    /// Keys that are kept ready for events, of all shards together and for patterns with the same keys.
    pub ready_keys_max: usize,
    /// Keys that are packed in memory, counted likewise.
    pub packed_keys_max: usize,
    /// Where the others lie; `None`: all stay in memory.
    pub scratch: Option<Arc<dyn ScratchStores>>,
    pub held_events_max: usize,
    /// Far-future times are measured from here.
    pub reference: EventTime,
    pub ahead_max: TimeSpan,
    pub strictness: Strictness,
    pub set_aside: SetAsideForm,
    /// By stream name; a stream that is not named has the defaults.
    pub streams: BTreeMap<String, StreamOptions>,
    /// Events that are handed on, or come from where they were. With one shard only.
    pub rekeying: Option<Rekeying>,
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
    /// As they were put together ([`crate::ports::read_headers`]).
    pub headers: Vec<u8>,
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
    /// Events for other tasks, as they arrived; and how far this one is, to be said to all of them behind these ([`crate::service::rekeying::records_handed_on`]).
    pub handed_on: Vec<HandedOn>,
    pub announced: Option<Announced>,
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
    /// The versions of the logs of events that windows count.
    logs: Vec<u128>,
    hands: Hands,
    intake: Intake,
    pieces: Pieces,
    /// Of an epoch that is repeated: so far time went in it. Else the end of time.
    until: EventTime,
    suppression: Suppression,
    strictness: Strictness,
    set_aside: SetAsideForm,
    /// By stream and partition: records before this one were applied before the restart; what they bring out has come out.
    applied_before: BTreeMap<(StreamId, u32), u64>,
    rekeying: Hand,
    /// What a store has of the state beyond what was taken up.
    not_restored: Option<StoredRuns>,
    epoch: Epoch,
    /// Of the matches that wait, about.
    match_bytes: usize,
    change_bytes: ChangeBytes,
    rejected_by_code: BTreeMap<&'static str, u64>,
}

/// What of a task takes long to be let go of: memory, and nothing that anybody else waits for.
#[derive(Debug)]
pub struct TaskMemory {
    _keys: Vec<ShardMemory>,
    _held: Intake,
    _suppressed: Suppression,
}

/// What the task does for others, or has of them.
#[derive(Debug)]
enum Hand {
    Keeps,
    HandsOn(Box<HandingOn>),
    /// With the partition in which it is said how far the others are.
    Takes(Upstreams, (StreamId, u32)),
}

/// A record, as what is set aside of it shows it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    stream: StreamId,
    partition: u32,
    record: Record<'a>,
    original: Original<'a>,
    /// How far reading it brings the source.
    at: RecordPlace,
}

/// Who decodes and steps.
#[derive(Debug)]
enum Hands {
    Own(Box<OwnHands>),
    Crew(Crew),
}

/// The caller, with one shard.
#[derive(Debug)]
struct OwnHands {
    decoders: Vec<Decoder>,
    judge: Judge,
    shard: Shard,
    /// The event at hand. Where it matters to nobody, its fields are used again.
    event: Event,
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
            ready_keys_max: config.limits.ready_keys_max,
            packed_keys_max: config.limits.packed_keys_max,
            scratch: None,
            held_events_max: config.limits.held_events_max,
            reference,
            ahead_max: config.limits.ahead_max,
            strictness: config.strictness,
            set_aside: SetAsideForm::Lines,
            streams: streams.collect(),
            rekeying: None,
        }
    }
}

impl Task {
    /// A task that has seen nothing, with these live partitions, all of whose patterns were there from the beginning.
    pub fn new(program: &Arc<Program>, options: &TaskOptions, partitions: &[(StreamId, u32)]) -> Self {
        Self::of_compiled(program, Arc::new(Compiled::new(program)), options, partitions)
    }

    /// The same of a program that was compiled before, and may be shared with other tasks: with 10,000 patterns to compile it is most of the work.
    pub fn of_compiled(program: &Arc<Program>, compiled: Arc<Compiled>, options: &TaskOptions, partitions: &[(StreamId, u32)]) -> Self {
        let schema = &program.schema;
        let of = |id: StreamId| options.streams.get(&schema.stream(id).name);
        let timings = schema.ids().map(|id| StreamTiming {
            lateness: schema.stream(id).lateness_or(of(id).and_then(|stream| stream.late_after)),
            idle_timeout: of(id).and_then(|stream| stream.idle_timeout),
            idle_after: of(id).and_then(|stream| stream.idle_after),
        });
        let limits = IntakeLimits { held_events_max: options.held_events_max, reference: options.reference, ahead_max: options.ahead_max };
        let mut intake = Intake::new(schema.clone(), timings.collect(), limits);
        for &(stream, partition) in partitions {
            intake.open(stream, partition);
        }
        let rekeying = Hand::new(options.rekeying.as_ref(), partitions);
        let mut part = None;
        if let (Some(Rekeying::Downstream { tasks, .. }), Hand::Takes(_, (stream, partition))) = (&options.rekeying, &rekeying) {
            // What is handed on shows no time by itself: only what is said counts.
            intake.say_watermark(*stream, *partition, EventTime::BEGINNING);
            part = Some((*partition as usize, *tasks as usize));
        }
        let used = fields_used(program, options);
        let decoders = schema.ids().map(|id| {
            let unit = of(id).map_or(TimestampUnit::Millis, |stream| stream.timestamp_unit);
            Decoder::of_fields(schema, id, DecodeOptions { timestamp_unit: time_unit(unit) }, used.of(id))
        });
        let logs = compiled.log_versions().collect();
        let limits =
            crate::automaton::Limits { runs_max: options.runs_per_key_max, matches_max: options.matches_per_event_max, runs_alone_max: RUNS_ALONE_MAX };
        let shards = options.shards.max(1);
        assert!(shards == 1 || options.rekeying.is_none(), "tasks that hand events on have one shard");
        let ready_keys_max = options.ready_keys_max / shards;
        let mut shards: Vec<Shard> = match part {
            Some((part, parts)) => vec![Shard::new(compiled.clone(), part, parts, limits, ready_keys_max)],
            None => (0..shards).map(|shard| Shard::new(compiled.clone(), shard, shards, limits, ready_keys_max)).collect(),
        };
        if let Some(scratch) = &options.scratch {
            let packed_keys_max = options.packed_keys_max / shards.len();
            let spills = Spill::of_shards(scratch.clone(), shards.len());
            for (shard, spill) in shards.iter_mut().zip(spills) {
                shard.spill_to(Box::new(spill), packed_keys_max);
            }
        }
        let decoders: Vec<Decoder> = decoders.collect();
        let hands = match shards.pop() {
            Some(shard) if shards.is_empty() => Hands::Own(Box::new(OwnHands { decoders, judge: Judge::new(compiled), shard, event: Event::empty() })),
            last => {
                shards.extend(last);
                Hands::Crew(Crew::new(&decoders, &compiled, shards))
            }
        };
        Self {
            program: program.clone(),
            logs,
            hands,
            intake,
            pieces: Pieces::default(),
            until: EventTime::END,
            suppression: Suppression::default(),
            strictness: options.strictness,
            set_aside: options.set_aside,
            applied_before: BTreeMap::new(),
            rekeying,
            not_restored: None,
            epoch: Epoch::default(),
            match_bytes: 0,
            change_bytes: ChangeBytes::default(),
            rejected_by_code: BTreeMap::new(),
        }
    }

    /// Takes up the state that a store holds for the task. The sources are then to be read from each partition's rewind place, or where it has none
    /// from its next record.
    pub fn restore(&mut self, store: &Arc<dyn StateStore>, positions: &Positions) -> Result<(), StoreError> {
        self.restore_positions(positions);
        self.restore_all(store, [RunsRange::all()])
    }

    /// The same, but where it can be done the task goes on before all is there: until [`Task::restore_some`] says that it is, what the store has of the keys of events is asked for.
    pub fn restore_as_needed(&mut self, store: &Arc<dyn StateStore>, positions: &Positions) -> Result<(), StoreError> {
        let deferred = if let Hands::Own(own) = &self.hands { own.shard.deferrable() } else { Vec::new() };
        if deferred.is_empty() {
            return self.restore(store, positions);
        }
        self.restore_positions(positions);
        let of_patterns = self.program.patterns.iter().filter_map(|pattern| match deferred.binary_search(&pattern.version) {
            Err(_) => Some(RunsRange::of(pattern.version)),
            Ok(_) => pattern.suppress.as_ref().map(|_| RunsRange::of_suppressions(pattern.version)),
        });
        let of_logs = self.logs.iter().filter(|version| deferred.binary_search(version).is_err()).map(|version| RunsRange::of(*version));
        let ranges: Vec<RunsRange> = of_patterns.chain(of_logs).collect();
        self.restore_all(store, ranges)?;
        self.not_restored = Some(StoredRuns::of(store.clone(), deferred.into_iter().map(RunsRange::of_keys))?);
        self.hands.own().shard.defer(Box::new(RunsOf(store.clone())));
        Ok(())
    }

    /// The versions of the logs of events that windows count: what a store has of them is the task's.
    pub fn log_versions(&self) -> &[u128] {
        &self.logs
    }

    /// More of the state is to be taken up.
    pub fn is_restoring(&self) -> bool {
        self.not_restored.is_some()
    }

    /// Takes up more of the state, some milliseconds of work; true if that was not all. Once it has failed nothing comes out any more.
    pub fn restore_some(&mut self) -> Result<bool, StoreError> {
        self.restore_chunk().inspect_err(|error| self.hands.for_each_shard(|shard| shard.fail(ColdKeysError(error.to_string()))))
    }

    fn restore_chunk(&mut self) -> Result<bool, StoreError> {
        let Self { not_restored, suppression, hands, .. } = self;
        let Some(runs) = not_restored else { return Ok(false) };
        let mut damaged = None;
        let is_more = runs.visit_some(|key, value| {
            match suppression.restore_entry(key, value) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    damaged.get_or_insert(error.to_string());
                }
            }
            hands.for_each_shard(|shard| {
                if let Err(error) = shard.restore(key, value) {
                    damaged.get_or_insert(error.to_string());
                }
            });
        })?;
        if !is_more {
            self.not_restored = None;
            self.hands.for_each_shard(Shard::end_restoring);
        }
        damaged.or_else(|| self.failure().map(|error| error.to_string())).map_or(Ok(is_more), |error| Err(StoreError::Failed(error)))
    }

    fn restore_all(&mut self, store: &Arc<dyn StateStore>, ranges: impl IntoIterator<Item = RunsRange>) -> Result<(), StoreError> {
        self.not_restored = Some(StoredRuns::of(store.clone(), ranges)?);
        while self.restore_some()? {}
        Ok(())
    }

    fn restore_positions(&mut self, positions: &Positions) {
        self.intake.restore(positions);
        if let Hand::Takes(upstreams, _) = &mut self.rekeying {
            upstreams.restore(&positions.upstreams);
        }
        for position in &positions.partitions {
            if let Some(stream) = self.program.schema.find(&position.stream) {
                self.applied_before.insert((stream, position.partition), position.next_offset);
            }
        }
    }

    /// The end of the task: nothing of it is open any more, neither the store that it was taken up from nor a scratch store. Its memory can be let go of where nobody waits for that.
    pub fn into_memory(self) -> TaskMemory {
        let Self { mut hands, intake, suppression, .. } = self;
        let mut keys = Vec::new();
        hands.for_each_shard(|shard| keys.push(shard.take_memory()));
        TaskMemory { _keys: keys, _held: intake, _suppressed: suppression }
    }

    /// Applies records, in the order given, and brings out what the watermark then allows, unless [too much waits](Task::is_behind) to be taken.
    pub fn apply(&mut self, batch: &RecordBatch, now: ProcessingTime) -> Result<(), StrictViolation> {
        self.pass_time(now);
        if let Hand::Takes(..) = self.rekeying {
            return self.apply_handed(batch);
        }
        let Hands::Own(_) = self.hands else { return self.apply_shared(&Arc::new(batch.clone()), now) };
        let texts = batch.texts(0..batch.len());
        for (place, record) in batch.iter().enumerate() {
            let arrived = self.hands.own().decode(batch.stream, batch.partition, &record, texts.get(place)).map(|(event, interest)| {
                let tasks = if let Hand::HandsOn(hand) = &mut self.rekeying { hand.tasks_of(event) } else { &[] };
                let arrival = arrive(&mut self.intake, &record, event, interest);
                if !tasks.is_empty()
                    && matches!(arrival, Arrival::Held | Arrival::OfNoInterest)
                    && !is_again(&self.applied_before, batch.stream, batch.partition, record.offset)
                {
                    let bytes = encode_event(&self.program.schema.stream(batch.stream).name, batch.partition, &record, batch.original(place));
                    let handed_on = |&task| HandedOn { stream: batch.stream, offset: record.offset, task, bytes: bytes.clone() };
                    let before = self.epoch.handed_on.len();
                    self.epoch.handed_on.extend(tasks.iter().map(handed_on));
                    if let Hand::HandsOn(hand) = &mut self.rekeying {
                        self.epoch.handed_on[before..].iter().for_each(|handed| hand.count(handed.stream, handed.task));
                    }
                }
                (arrival, event.time)
            });
            if !matches!(arrived, Ok((Arrival::Held | Arrival::OfNoInterest | Arrival::Passed, _))) {
                self.conclude(&Subject::of_batch(batch, place), arrived)?;
            }
            if (place + 1) % RELEASED_AFTER_RECORDS == 0 {
                self.release();
            }
        }
        self.epoch.records += batch.len() as u64;
        self.release();
        Ok(())
    }

    /// The same, without copying the batch where there are several threads. Nobody keeps it.
    pub fn apply_shared(&mut self, batch: &Arc<RecordBatch>, now: ProcessingTime) -> Result<(), StrictViolation> {
        let Hands::Crew(_) = &self.hands else { return self.apply(batch, now) };
        self.pass_time(now);
        self.hands.crew().begin(batch);
        let mut records = batch.iter().enumerate();
        let mut part = Vec::new();
        while self.hands.crew().next_part(&mut part) {
            for (reading, (place, record)) in part.drain(..).zip(&mut records) {
                let arrived = reading.map(|(mut event, mut interest)| (arrive(&mut self.intake, &record, &mut event, &mut interest), event.time));
                if let Err(violation) = self.conclude(&Subject::of_batch(batch, place), arrived) {
                    self.hands.crew().abandon();
                    return Err(violation);
                }
            }
            self.release();
        }
        self.epoch.records += batch.len() as u64;
        Ok(())
    }

    /// What upstream tasks have handed on and said.
    fn apply_handed(&mut self, batch: &RecordBatch) -> Result<(), StrictViolation> {
        for (place, record) in batch.iter().enumerate() {
            let subject = Subject::of_batch(batch, place);
            match Handed::decode(subject.original.value.unwrap_or_default()) {
                Ok(Handed { event, said }) => {
                    match event {
                        Some(event) => self.take_handed(subject.at, &event)?,
                        None => self.intake.skip(batch.stream, batch.partition, record.offset, record.next_position),
                    }
                    if let Some((upstream, announced)) = said
                        && !is_again(&self.applied_before, batch.stream, batch.partition, record.offset)
                    {
                        self.hear(subject.at, upstream, announced);
                    }
                }
                Err(error) => {
                    let reason = format!("the record was not written by motif: {error}");
                    self.conclude(&subject, Err(Rejection { code: RejectionCode::NotObject, reason }))?;
                }
            }
            if (place + 1) % RELEASED_AFTER_RECORDS == 0 {
                self.release();
            }
        }
        self.epoch.records += batch.len() as u64;
        self.release();
        Ok(())
    }

    fn take_handed(&mut self, at: RecordPlace, handed: &HandedEvent<'_>) -> Result<(), StrictViolation> {
        let Some(stream) = self.program.schema.find(handed.stream) else {
            // Of patterns before these.
            self.intake.skip(at.stream, at.partition, at.offset, at.next_position);
            return Ok(());
        };
        let record = handed.record();
        let decoded = self.hands.own().decode(stream, handed.partition, &record, None);
        let arrived = decoded.map(|(event, interest)| (self.intake.arrive_at(at, event, interest), event.time));
        self.conclude(&Subject { stream, partition: handed.partition, record, original: handed.original(), at }, arrived)
    }

    fn hear(&mut self, at: RecordPlace, upstream: u32, announced: Announced) {
        let Hand::Takes(upstreams, _) = &mut self.rekeying else { return };
        upstreams.note(upstream, announced);
        self.intake.say_watermark(at.stream, at.partition, upstreams.watermark());
    }

    /// Lets time pass where nothing arrives.
    pub fn tick(&mut self, now: ProcessingTime) {
        self.pass_time(now);
        self.release();
    }

    fn pass_time(&mut self, now: ProcessingTime) {
        self.intake.tick(now);
        if let Hand::Takes(upstreams, (stream, partition)) = &self.rekeying {
            // What was said before a restart counts again once everything is there that was held: it may have been farther than what came out.
            self.intake.say_watermark_again(*stream, *partition, upstreams.watermark());
        }
    }

    /// From now on it is noted what the machine's clock and the order of the inputs decide.
    pub fn note_decisions(&mut self) {
        self.intake.note_decisions();
    }

    /// What they have decided since the last call, by stream and partition.
    pub fn take_decisions(&mut self) -> Vec<(StreamId, u32, Decided)> {
        self.intake.take_decisions()
    }

    /// Repeats an epoch in which this was decided, and in which time went so far, up to [`Task::settle`].
    pub fn follow(&mut self, decisions: Vec<(StreamId, u32, Decided)>, until: EventTime) {
        self.intake.follow(decisions);
        self.until = until;
    }

    /// Ends a repeated epoch as it was ended at first.
    pub fn settle(&mut self, watermark: EventTime, now: ProcessingTime) {
        self.intake.settle(watermark, now);
        self.release_all();
        self.until = EventTime::END;
    }

    /// More comes out once what waits, matches and changes, has been taken: with the next call of whatever brings something out, of [`Task::go_on`] for one.
    pub fn is_behind(&self) -> bool {
        self.intake.is_behind()
    }

    /// Brings out more of what the watermark allows.
    pub fn go_on(&mut self) {
        self.release();
    }

    /// All that it allows.
    pub fn catch_up(&mut self) {
        self.release_all();
    }

    /// More of a partition is known to be there than has been applied: until the next tick it is not silent.
    pub fn await_more(&mut self, stream: StreamId, partition: u32) {
        self.intake.await_more(stream, partition);
    }

    /// No more will come: closes all windows, and brings out what comes of it unless too much waits, as ever.
    pub fn end(&mut self) {
        self.intake.end();
        self.release();
    }

    /// What came out since the last call.
    ///
    /// # Errors
    ///
    /// What was laid on the disk to save memory could not be had again, or not be laid there: so nothing is right that would come out, and no change of state.
    pub fn take_epoch(&mut self) -> Result<Epoch, ColdKeysError> {
        self.collect(0);
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if let Hand::HandsOn(_) = self.rekeying {
            let watermark = self.intake.released();
            self.epoch.announced = Some(Announced { watermark, is_idle: self.intake.is_idle() && watermark < EventTime::END });
        }
        self.match_bytes = 0;
        Ok(std::mem::take(&mut self.epoch))
    }

    fn failure(&self) -> Option<ColdKeysError> {
        let mut failure = None;
        self.hands.ask_each_shard(|shard| failure = failure.take().or_else(|| shard.failure().cloned()));
        failure
    }

    /// What waits to be taken. Where that is [as much as may](Waiting::is_full), nothing more is stepped.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { matches: self.epoch.matches.len(), match_bytes: self.match_bytes, change_bytes: self.change_bytes.of(self.changes_noted()) }
    }

    /// Of how many keys and suppressions the next [`Task::take_changes`] tells, about.
    fn changes_noted(&self) -> usize {
        let of_shards = match &self.hands {
            Hands::Own(own) => own.shard.changes_noted(),
            Hands::Crew(crew) => crew.changes_noted(),
        };
        of_shards + self.suppression.changes_noted()
    }

    /// Bytes of the lines of late events and rejected records that wait to be taken.
    pub fn set_aside_bytes(&self) -> usize {
        self.epoch.late.len() + self.epoch.rejected.len()
    }

    /// The state that changed since the last call, for one batch.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.collect(0);
        let noted = self.changes_noted();
        let mut changes = Vec::new();
        match &mut self.hands {
            Hands::Own(own) => own.shard.take_changes(&mut changes),
            Hands::Crew(crew) => changes = crew.take_changes(),
        }
        self.suppression.take_changes(&mut changes);
        self.change_bytes.note(noted, &changes);
        changes
    }

    /// Keys and suppressions whose time was up by the watermark may be there still: how many depends on how often the task was called, and so does what [`Task::take_changes`] tells of the epochs
    /// before and after. What comes out does not.
    pub fn has_overdue(&self) -> bool {
        let mut has_overdue = self.suppression.has_overdue();
        self.hands.ask_each_shard(|shard| has_overdue |= shard.has_overdue());
        has_overdue
    }

    /// Nothing is kept from now on: nobody takes changes.
    pub fn note_no_changes(&mut self) {
        self.collect(0);
        match &mut self.hands {
            Hands::Own(own) => own.shard.note_no_changes(),
            Hands::Crew(crew) => crew.note_no_changes(),
        }
        self.suppression.note_no_changes();
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

    /// The watermark is where it is because of this partition, perhaps among others.
    pub fn holds_back(&self, stream: StreamId, partition: u32) -> bool {
        self.intake.holds_back(stream, partition)
    }

    /// The newest event time that a partition has shown.
    pub fn newest(&self, stream: StreamId, partition: u32) -> EventTime {
        self.intake.newest(stream, partition)
    }

    pub fn positions(&self) -> Positions {
        let upstreams = if let Hand::Takes(upstreams, _) = &self.rekeying { upstreams.positions() } else { Vec::new() };
        Positions { upstreams, ..self.intake.positions() }
    }

    pub fn watermark(&self) -> EventTime {
        self.intake.watermark()
    }

    /// Of a task that goes on with the events of others: how far those are that have said so since the last call.
    pub fn take_upstream_news(&mut self) -> Vec<UpstreamPosition> {
        if let Hand::Takes(upstreams, _) = &mut self.rekeying { upstreams.take_news() } else { Vec::new() }
    }

    /// How many events of a stream it has handed on to each of the tasks after it since it began; nothing where it has not yet.
    pub fn handed_on(&self, stream: StreamId) -> &[u64] {
        if let Hand::HandsOn(hand) = &self.rekeying { hand.handed_on(stream) } else { &[] }
    }

    /// How far a partition is by itself; while it is read again, how far it was.
    pub fn own_watermark(&self, stream: StreamId, partition: u32) -> EventTime {
        self.intake.own_watermark(stream, partition)
    }

    /// Of the intake and all shards together; of what has come out, as far as it was taken.
    pub fn counters(&self) -> Counters {
        let mut counters = self.intake.counters().clone();
        self.hands.ask_each_shard(|shard| counters.add(shard.counters()));
        self.suppression.count(&mut counters);
        counters.faults += self.hands.faults();
        if let Hand::HandsOn(hand) = &self.rekeying {
            counters.null_keys += hand.null_keys();
        }
        counters
    }

    pub fn rejected_by_code(&self) -> &BTreeMap<&'static str, u64> {
        &self.rejected_by_code
    }

    /// By shard: how many keys got state.
    pub fn keys_by_shard(&self) -> Vec<u64> {
        let mut keys = Vec::new();
        self.hands.ask_each_shard(|shard| keys.push(shard.counters().keys_made));
        keys
    }

    /// What is to be said of a record, once it is known what became of it and of its event.
    fn conclude(&mut self, subject: &Subject<'_>, arrived: Result<(Arrival, EventTime), Rejection>) -> Result<(), StrictViolation> {
        let (arrival, time) = match arrived {
            Ok(arrived) => arrived,
            Err(rejection) => {
                let RecordPlace { stream, partition, offset, next_position, .. } = subject.at;
                self.intake.skip(stream, partition, offset, next_position);
                return self.reject(subject, rejection);
            }
        };
        match arrival {
            Arrival::Held | Arrival::OfNoInterest | Arrival::Passed => Ok(()),
            Arrival::Late { watermark } => {
                let reason = format!("its time {time} is not after {watermark}, the watermark when it arrived");
                self.put_aside(subject, Rejection { code: RejectionCode::Late, reason });
                Ok(())
            }
            Arrival::TooFarAhead => {
                let reason = format!("its time {time} lies further in the future than `ahead_max` allows");
                self.reject(subject, Rejection { code: RejectionCode::TooFarAhead, reason })
            }
            Arrival::HeldFull => {
                let reason = "as many events as `held_events_max` allows are held back for the watermark".to_owned();
                self.reject(subject, Rejection { code: RejectionCode::HeldFull, reason })
            }
        }
    }

    fn reject(&mut self, subject: &Subject<'_>, rejection: Rejection) -> Result<(), StrictViolation> {
        let RecordPlace { stream, partition, offset, .. } = subject.at;
        if is_again(&self.applied_before, stream, partition, offset) {
            return Ok(());
        }
        if self.strictness == Strictness::Stop {
            let name = &self.program.schema.stream(subject.stream).name;
            let offset = subject.record.offset;
            let place = format!("stream `{name}`, partition {}, record {offset}", subject.partition);
            return Err(StrictViolation { offset, place, reason: rejection.reason });
        }
        *self.rejected_by_code.entry(rejection.code.text()).or_default() += 1;
        self.put_aside(subject, rejection);
        Ok(())
    }

    fn put_aside(&mut self, subject: &Subject<'_>, Rejection { code, reason }: Rejection) {
        let &Subject { stream, partition, record, original, .. } = subject;
        let offset = record.offset;
        match self.set_aside {
            SetAsideForm::Lines => {
                let name = &self.program.schema.stream(stream).name;
                let lines = if code == RejectionCode::Late { &mut self.epoch.late } else { &mut self.epoch.rejected };
                write_set_aside(name, partition, offset, code, &reason, record.bytes, lines);
                lines.push(b'\n');
            }
            SetAsideForm::Originals => {
                let (key, value) = (original.key.map(<[u8]>::to_vec), original.value.map(<[u8]>::to_vec));
                let headers = original.headers.to_vec();
                self.epoch.set_aside.push(SetAside { stream, partition, offset, timestamp: record.timestamp, code, reason, key, value, headers });
            }
        }
    }

    /// Has what the watermark has passed stepped, as far as what comes out has room.
    fn release(&mut self) {
        while !self.waiting().is_full() && self.release_some() {}
    }

    fn release_all(&mut self) {
        while self.release_some() {}
    }

    /// One piece of it; true if that was not all.
    fn release_some(&mut self) -> bool {
        let target = self.intake.watermark().min(self.until);
        if target == EventTime::END {
            // Where that fails, nothing comes out.
            while self.restore_some().unwrap_or(false) {}
        }
        let (from, mut until) = (self.intake.released(), target);
        let is_long = self.pieces.is_long(from, target);
        if is_long {
            // What has been let out is to be through, so that it is known what is due next.
            self.collect(0);
            let mut next = self.intake.next_event_time();
            self.hands.ask_each_shard(|shard| next = next.min(shard.none_comes_out_before()));
            until = self.pieces.end_of_next(from.max(next), target);
        }
        let before = self.brought_out();
        match &mut self.hands {
            Hands::Own(own) => {
                let before = self.epoch.matches.len();
                let watermark = own.shard.apply_released(&mut self.intake, until, &mut self.epoch.matches);
                self.suppression.apply(&mut self.epoch.matches, before, watermark);
                self.match_bytes += text_bytes(&self.epoch.matches[before..]);
            }
            Hands::Crew(crew) => {
                let mut events = crew.no_events();
                let watermark = self.intake.release_each(until, |wanted| events.add(wanted));
                crew.step(events, watermark);
                self.collect(if is_long { 0 } else { RELEASES_MAX });
            }
        }
        let came = self.brought_out() - before;
        if is_long {
            self.pieces.note_stride(came)
        } else {
            self.pieces.note_short(came, until.since(from))
        }
        until < target
    }

    /// Takes what has been stepped; waits while more than `left` releases have not.
    fn collect(&mut self, left: usize) {
        let Hands::Crew(crew) = &self.hands else { return };
        while let Some((matches, watermark)) = crew.next_stepped(left) {
            let before = self.epoch.matches.len();
            self.epoch.matches.extend(matches);
            self.suppression.apply(&mut self.epoch.matches, before, watermark);
            self.match_bytes += text_bytes(&self.epoch.matches[before..]);
        }
    }

    /// Events and matches so far, as pieces are measured: one that is large counts for several.
    fn brought_out(&self) -> u64 {
        self.intake.counters().released + self.epoch.matches.len() as u64 + self.match_bytes as u64 / MATCH_BYTES
    }
}

impl Hands {
    fn own(&mut self) -> &mut OwnHands {
        match self {
            Self::Own(own) => own,
            Self::Crew(_) => unreachable!("who has a crew, as no task does that hands events on or takes them, is not asked for its own hands"),
        }
    }

    fn crew(&self) -> &Crew {
        match self {
            Self::Crew(crew) => crew,
            Self::Own(_) => unreachable!("who has only its own hands does not ask for a crew"),
        }
    }

    fn for_each_shard(&mut self, mut ask: impl FnMut(&mut Shard)) {
        match self {
            Self::Own(own) => ask(&mut own.shard),
            Self::Crew(crew) => crew.for_each_shard(ask),
        }
    }

    fn ask_each_shard(&self, mut ask: impl FnMut(&Shard)) {
        match self {
            Self::Own(own) => ask(&own.shard),
            Self::Crew(crew) => crew.for_each_shard(|shard| ask(shard)),
        }
    }

    fn faults(&self) -> u64 {
        match self {
            Self::Own(own) => own.judge.faults(),
            Self::Crew(crew) => crew.faults(),
        }
    }
}

impl OwnHands {
    /// The event that a record holds, and whom it matters to. `text`: its bytes, where they are known to be one.
    fn decode(&mut self, stream: StreamId, partition: u32, record: &Record<'_>, text: Option<&str>) -> Result<(&mut Event, &mut Interest), Rejection> {
        self.decoders[usize::from(stream.0)].decode_text_into(record, text, partition, &mut self.event)?;
        let interest = self.judge.interest(&self.event);
        Ok((&mut self.event, interest))
    }
}

impl Hand {
    fn new(rekeying: Option<&Rekeying>, partitions: &[(StreamId, u32)]) -> Self {
        match rekeying {
            None => Self::Keeps,
            Some(Rekeying::Upstream { compiled, tasks, .. }) => Self::HandsOn(Box::new(HandingOn::new(compiled.clone(), *tasks))),
            Some(Rekeying::Downstream { upstreams, .. }) => {
                let from = partitions.first().expect("a task of events that were handed on reads one partition of them");
                Self::Takes(Upstreams::new(*upstreams), *from)
            }
        }
    }
}

impl<'a> Subject<'a> {
    fn of_batch(batch: &'a RecordBatch, place: usize) -> Self {
        let (stream, partition, record) = (batch.stream, batch.partition, batch.get(place));
        let at = RecordPlace { stream, partition, offset: record.offset, position: record.position, next_position: record.next_position };
        Self { stream, partition, record, original: batch.original(place), at }
    }
}

/// The record was applied before a restart.
fn is_again(applied_before: &BTreeMap<(StreamId, u32), u64>, stream: StreamId, partition: u32, offset: u64) -> bool {
    applied_before.get(&(stream, partition)).is_some_and(|next| offset < *next)
}

fn text_bytes(matches: &[Match]) -> usize {
    matches.iter().map(Match::text_bytes).sum()
}

fn arrive(intake: &mut Intake, record: &Record<'_>, event: &mut Event, interest: &mut Interest) -> Arrival {
    intake.arrive(event, interest, record.position, record.next_position)
}

/// The fields that the patterns look at; those of tasks that events are handed on to choose them as well.
fn fields_used(program: &Program, options: &TaskOptions) -> FieldsUsed {
    let mut used = FieldsUsed::none(&program.schema);
    program.patterns.iter().for_each(|pattern| used.add(pattern));
    if let Some(Rekeying::Upstream { program, .. }) = &options.rekeying {
        program.patterns.iter().for_each(|pattern| used.add(pattern));
    }
    used
}

pub(super) fn time_unit(unit: TimestampUnit) -> TimeUnit {
    match unit {
        TimestampUnit::Seconds => TimeUnit::Seconds,
        TimestampUnit::Millis => TimeUnit::Millis,
        TimestampUnit::Micros => TimeUnit::Micros,
        TimestampUnit::Nanos => TimeUnit::Nanos,
    }
}

#[cfg(test)]
mod tests;
