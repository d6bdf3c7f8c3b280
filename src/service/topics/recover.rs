//! Recovery carried out: the facts gathered, the decision of [`recovery`](crate::service::topics::recovery) followed.
//!
//! Runs on a thread of its own, with clients that never join the group; the worker goes on polling meanwhile. The committed offsets are asked first: once they are told,
//! no older member of the group can commit any more, and what the journal then holds at its end is the last word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use xxhash_rust::xxh3::Xxh3;

use crate::engine::Positions;
use crate::ports::{Committed, Failure, InputPartition, ObjectError, RecordBatch, StateStore, StoreError, TransportError};
use crate::service::state::{FORMAT, Meta};
use crate::service::topics::assigned::{Assigned, Parts, Restoring, TaskInput, note_record};
use crate::service::topics::beside::Beside;
use crate::service::topics::checkpoints::{CheckpointError, Manifest};
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::{DETERMINISM_VERSION, EpochRecord};
use crate::service::topics::journal_end::JournalEnd;
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::recovery::{
    BaseFacts, Facts, InputFacts, LastRead, Refusal, Start, Stretch, beginning, condense, decide, epoch_before_reset, reset_offsets,
};
use crate::service::topics::replay::Replay;
use crate::service::topics::watch::OUTAGE_MAX;

/// Brokers that are away for long end the worker. Checkpoints may be away for as long as they like: the worker's other tasks do without.
const OUTAGE_INTERVAL: Duration = Duration::from_millis(250);
const OUTAGE_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// How a task begins.
pub(super) enum Recovered {
    /// To be read from these offsets on.
    Ready(Box<Assigned>, Vec<(InputPartition, u64)>),
    /// A bounded run has finished it before, and nothing was added.
    AlreadyEnded,
}

/// The task is not wanted here any more.
#[derive(Debug, thiserror::Error)]
#[error("the recovery was given up")]
pub(super) struct Cancelled;

/// May take a while; tries again where the outside is away.
pub(super) fn recover(deployment: &Deployment, number: u32, cancelled: &AtomicBool) -> anyhow::Result<Recovered> {
    // Not since it began: what is repeated may take long.
    let mut failed = None;
    let mut wait = OUTAGE_INTERVAL;
    loop {
        let recovery = Recovery { deployment, number, cancelled, inputs: deployment.inputs_of(number) };
        match recovery.run() {
            // The base that it was met in is put aside when it is opened again: each time there is one less.
            Err(error) if is_damage(&error) && deployment.bases.is_damaged(number) && !cancelled.load(Ordering::Relaxed) => {
                tracing::error!(task = number, error = format!("{error:#}"), "the state that was taken up is damaged; the task is recovered without it");
            }
            Err(error) if outage_max(&error).is_some_and(|longest| failed.get_or_insert_with(Instant::now).elapsed() < longest) => {
                tracing::warn!(task = number, error = format!("{error:#}"), "cannot recover yet; it is tried again");
                if deployment.beside == Beside::OnThreads {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(OUTAGE_INTERVAL_MAX);
                }
                if cancelled.load(Ordering::Relaxed) {
                    return Err(Cancelled.into());
                }
            }
            recovered => return recovered,
        }
    }
}

/// How long this may go on; `None`: it is no outage.
fn outage_max(error: &anyhow::Error) -> Option<Duration> {
    // The slot is ours alone: an earlier recovery of this task, which was given up, still waits for brokers with the store in its hands.
    let is_held = matches!(error.downcast_ref(), Some(StoreError::InUse { .. }));
    let brokers = (is_outage(error) || is_held).then_some(OUTAGE_MAX);
    if is_of_checkpoints(error) { Some(Duration::MAX) } else { brokers }
}

/// It was read, and is not what was written.
fn is_damage(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Damaged { .. }))
}

/// Brokers do not answer.
pub(super) fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<TransportError>().is_some_and(|error| matches!(error.failure, Failure::Retriable | Failure::Unknown))
}

/// The place of the checkpoints is away, or not to be used.
fn is_of_checkpoints(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CheckpointError::Objects(_))) || error.is::<ObjectError>()
}

/// The description of a state that holds nothing.
pub(super) fn new_meta(epoch: u64, reference_us: i64, pattern_set_number: u64) -> Meta {
    Meta { format: FORMAT, identity: format!("{:032x}", rand::random::<u128>()), epoch, reference_us, pattern_set_number, ..Meta::default() }
}

struct Recovery<'a> {
    deployment: &'a Deployment,
    number: u32,
    cancelled: &'a AtomicBool,
    inputs: Vec<InputPartition>,
}

/// Pattern sets by their hashes.
pub(super) type Sets = BTreeMap<u128, Arc<Evaluation>>;

/// From where the task may be taken up.
enum Candidate {
    Local(Meta),
    Checkpoint(Manifest),
}

impl Candidate {
    fn epoch(&self) -> u64 {
        self.facts().0
    }

    /// Epoch, digest of its record, and where in the journal to look for that.
    fn facts(&self) -> (u64, u64, u64) {
        match self {
            Self::Local(meta) => (meta.epoch, meta.record_digest, meta.journal_offset),
            Self::Checkpoint(manifest) => (manifest.epoch, manifest.record_digest, manifest.journal_offset),
        }
    }
}

/// What was found to begin from.
struct Found<'a> {
    store: Arc<dyn StateStore>,
    /// Of the base, where there is one that fits the journal.
    base: Option<Meta>,
    /// There is something on this machine or among the checkpoints.
    has_state: bool,
    /// From the base's record on, or all that is kept.
    journal: JournalEnd<'a>,
    /// Why there may be a better one among the checkpoints.
    unseen: Option<anyhow::Error>,
}

impl Recovery<'_> {
    fn run(&self) -> anyhow::Result<Recovered> {
        loop {
            if let Some(recovered) = self.attempt()? {
                return Ok(recovered);
            }
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Cancelled.into());
            }
        }
    }

    /// `None`: what was found is not of one moment. A worker that the group has gone on without does not know that yet, and the task's new owner is at work.
    fn attempt(&self) -> anyhow::Result<Option<Recovered>> {
        let committed = self.deployment.survey.committed(&self.inputs)?;
        // What an earlier worker has left open here must not be there any more when we commit.
        for (topic, partition) in self.deployment.outputs.of_task(self.number) {
            self.deployment.survey.await_decided(topic, partition)?;
        }
        let mut found = self.find_base()?;
        let last = found.journal.last.as_ref();
        let ended = last.is_some_and(|last| last.ended);
        let mut tail = Vec::new();
        found.journal.visit_after(after(&found), &mut |_, record| {
            condense(&mut tail, record);
            Ok(())
        })?;
        let (sets, unknown_sets) = self.sets_of(&tail)?;
        let mut inputs = self.input_facts(&committed, ended)?;
        if let Some(last) = last.filter(|last| found.base.as_ref().is_some_and(|base| base.epoch == last.epoch)) {
            // A replay compares everything that it reads.
            for (input, &source) in inputs.iter_mut().zip(&self.inputs) {
                input.last_read = self.last_read(input, source, last)?;
            }
        }
        let facts = Facts {
            inputs,
            last: last.cloned(),
            tail,
            base: found.base.as_ref().map(|meta| BaseFacts { epoch: meta.epoch, needed: self.needed(&meta.positions) }),
            has_state: found.has_state,
            tasks: self.deployment.tasks,
            determinism: DETERMINISM_VERSION,
            unknown_sets,
            accept_reset: self.deployment.config.accept_reset,
        };
        let start = decide(&facts);
        if let Some(last) = last.filter(|last| last.closing) {
            tracing::warn!(
                task = self.number,
                epoch = last.epoch,
                "a run with --until-end was closing all windows when it ended: the others are closed, and nothing more is read"
            );
        }
        tracing::debug!(task = self.number, ?start, ?facts, "how a task begins");
        let recovered = match start {
            Start::AlreadyEnded => Ok(Recovered::AlreadyEnded),
            Start::Refuse(_) | Start::Reset(_) if self.may_pass(&committed, &mut found.unseen)? => return Ok(None),
            Start::Refuse(refusal) => Err(refusal).with_context(|| format!("task {} cannot start", self.number)),
            Start::Fresh(from) => self.begin(self.empty(found.store)?, new_meta(0, self.reference_us(), 0), &from, false),
            Start::Resume(from) => {
                let meta = found.base.expect("only a base is resumed");
                self.begin(found.store, meta, &from, false)
            }
            Start::Reset(from) => self.reset(found.store, &facts, &from),
            Start::Replay { from, to } => {
                tracing::info!(task = self.number, base = found.base.as_ref().map_or(0, |meta| meta.epoch), to, ?from, "epochs are repeated");
                let mut unseen = found.unseen.take();
                match self.replay(found, &sets, &facts.inputs) {
                    // Found only by reading.
                    Err(error) if error.is::<Refusal>() && self.may_pass(&committed, &mut unseen)? => return Ok(None),
                    Err(error) if error.is::<Refusal>() && facts.accept_reset => {
                        tracing::error!(task = self.number, error = format!("{error:#}"), "epochs cannot be repeated");
                        self.reset(self.deployment.bases.open(self.number)?, &facts, &reset_offsets(&facts))
                    }
                    recovered => recovered.with_context(|| format!("task {} cannot start", self.number)),
                }
            }
        };
        recovered.map(Some)
    }

    /// Whether what speaks against a beginning is only of the moment: the group has gone on meanwhile, or there may be a better base among checkpoints that are away, which is an
    /// error that is waited for. The state of a task is not refused for that, and less still given up.
    fn may_pass(&self, committed: &[Committed], unseen: &mut Option<anyhow::Error>) -> anyhow::Result<bool> {
        if self.deployment.survey.committed(&self.inputs)? != committed {
            return Ok(true);
        }
        unseen.take().map_or(Ok(false), Err)
    }

    fn reset(&self, store: Arc<dyn StateStore>, facts: &Facts, from: &[u64]) -> anyhow::Result<Recovered> {
        let checkpoints = self.deployment.bases.checkpoints(self.number)?;
        let local = Meta::read(&*store)?.map(|meta| meta.epoch);
        let after = epoch_before_reset(facts, checkpoints.iter().map(|manifest| manifest.epoch).chain(local));
        tracing::error!(task = self.number, ?from, after, "the state before is given up, as --accept-reset says; the journal will tell");
        let number = facts.last.as_ref().map_or(0, |last| last.pattern_set.number);
        let store = self.deployment.bases.begin_anew_after(store, self.number)?;
        self.begin(store, new_meta(after, self.reference_us(), number), from, true)
    }

    /// With the program that runs now.
    fn begin(&self, store: Arc<dyn StateStore>, meta: Meta, from: &[u64], reset: bool) -> anyhow::Result<Recovered> {
        let parts = Parts {
            number: self.number,
            evaluation: self.deployment.evaluation.clone(),
            store,
            meta,
            inputs: self.task_inputs(from),
            strictness: self.deployment.config.strictness,
            memory: (&self.deployment.config.limits).into(),
            restoring: Restoring::Meanwhile,
            reset,
            stopwatch: self.deployment.stopwatch.clone(),
        };
        let began = Instant::now();
        let assigned = Assigned::restore(parts).with_context(|| format!("state of task {}", self.number))?;
        let places = assigned.places();
        tracing::info!(task = self.number, epoch = assigned.epoch(), ?places, loaded = ?began.elapsed(), "task starts");
        Ok(Recovered::Ready(Box::new(assigned), places))
    }

    fn replay(&self, found: Found<'_>, sets: &Sets, inputs: &[InputFacts]) -> anyhow::Result<Recovered> {
        let began = Instant::now();
        let after = after(&found);
        let Found { store, base, journal, .. } = found;
        let store = if base.is_some() { store } else { self.empty(store)? };
        let replay = Replay {
            deployment: self.deployment,
            number: self.number,
            store: store.clone(),
            journal: &journal,
            after,
            sets,
            inputs: self.task_inputs(&vec![0; self.inputs.len()]),
            cancelled: self.cancelled,
        };
        let assigned = replay.run()?;
        tracing::info!(task = self.number, epoch = assigned.epoch(), took = ?began.elapsed(), "epochs were repeated");
        if assigned.evaluation().hash == self.deployment.evaluation.hash && !assigned.is_ended() {
            let places = assigned.places();
            return Ok(Recovered::Ready(Box::new(assigned), places));
        }
        drop(assigned);
        let meta = Meta::read(&*store)?.context("a replay leaves a state")?;
        // Of inputs that the journal does not know. Meanwhile records may have gone.
        let start = |(input, facts): (&InputPartition, &InputFacts)| Ok(beginning(facts).max(self.deployment.survey.retained(*input)?.start));
        let starts = self.inputs.iter().zip(inputs).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        self.begin(store, meta, &starts, false)
    }

    /// The highest base that fits the journal; the state on this machine where it is as good as a checkpoint.
    fn find_base(&self) -> anyhow::Result<Found<'_>> {
        let bases = &self.deployment.bases;
        let mut store = bases.open(self.number)?;
        let local = Meta::read(&*store)?;
        if let Some(meta) = &local {
            let journal = self.journal_from(meta.journal_offset, &[meta.epoch])?;
            if journal.last_epoch() == Some(meta.epoch) && journal.fits(meta.epoch, meta.record_digest) {
                return Ok(Found { store, base: local, has_state: true, journal, unseen: None });
            }
        }
        let (checkpoints, mut unseen) = match bases.checkpoints(self.number) {
            Err(error) if is_of_checkpoints(&error) => (Vec::new(), Some(error)),
            checkpoints => (checkpoints?, None),
        };
        let has_state = local.is_some() || !checkpoints.is_empty();
        let mut candidates: Vec<_> = local.into_iter().map(Candidate::Local).chain(checkpoints.into_iter().map(Candidate::Checkpoint)).collect();
        // Stable: of one epoch, the state on this machine comes first.
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.epoch()));
        let epochs: Vec<u64> = candidates.iter().map(Candidate::epoch).collect();
        let mut read: Option<JournalEnd<'_>> = None;
        for candidate in candidates {
            let (epoch, digest, journal_offset) = candidate.facts();
            let journal = match read.take() {
                Some(journal) if journal.from <= journal_offset => journal,
                _ => self.journal_from(journal_offset, &epochs)?,
            };
            if !journal.fits(epoch, digest) {
                tracing::warn!(task = self.number, epoch, "a state does not fit the journal; it is passed over");
                read = Some(journal);
                continue;
            }
            match candidate {
                // Where a checkpoint could not be loaded it was opened once more: by then it may have turned out damaged, and an empty one have taken its place.
                Candidate::Local(meta) if Meta::read(&*store)?.as_ref() != Some(&meta) => {}
                Candidate::Local(meta) => {
                    if let Some(error) = &unseen {
                        tracing::warn!(
                            task = self.number,
                            epoch,
                            error = format!("{error:#}"),
                            "the checkpoints cannot be had; the state on this machine is taken"
                        );
                    }
                    return Ok(Found { store, base: Some(meta), has_state, journal, unseen });
                }
                Candidate::Checkpoint(manifest) => match self.load(store, &manifest) {
                    Ok(Some((store, meta))) => return Ok(Found { store, base: Some(meta), has_state, journal, unseen }),
                    Ok(None) => store = bases.open(self.number)?,
                    Err(error) if is_of_checkpoints(&error) => {
                        unseen = Some(error);
                        store = bases.open(self.number)?;
                    }
                    Err(error) => return Err(error),
                },
            }
            read = Some(journal);
        }
        if let Some(unseen) = unseen {
            return Err(unseen);
        }
        Ok(Found { store, base: None, has_state, journal: self.journal_from(0, &[])?, unseen: None })
    }

    fn journal_from(&self, offset: u64, epochs: &[u64]) -> anyhow::Result<JournalEnd<'_>> {
        JournalEnd::read(self.deployment, self.number, offset, epochs)
    }

    /// In the place of the state on this machine.
    fn load(&self, local: Arc<dyn StateStore>, manifest: &Manifest) -> anyhow::Result<Option<(Arc<dyn StateStore>, Meta)>> {
        // Only one may have the folder.
        drop(local);
        let Some(store) = self.deployment.bases.load(manifest)? else { return Ok(None) };
        let meta = Meta::read(&*store)?.context("a checkpoint that was loaded holds a state")?;
        Ok(Some((store, meta)))
    }

    fn empty(&self, store: Arc<dyn StateStore>) -> anyhow::Result<Arc<dyn StateStore>> {
        match Meta::read(&*store)? {
            None => Ok(store),
            Some(_) => self.deployment.bases.begin_anew_after(store, self.number),
        }
    }

    fn task_inputs(&self, begin: &[u64]) -> Vec<TaskInput> {
        let input = |(&source, &begin): (&InputPartition, &u64)| TaskInput {
            name: self.deployment.stream_name(source.stream).to_owned(),
            topic: self.deployment.inputs[&source.stream].clone(),
            source,
            begin,
        };
        self.inputs.iter().zip(begin).map(input).collect()
    }

    fn needed(&self, positions: &Positions) -> Vec<Option<u64>> {
        let of_input = |input: &InputPartition| {
            let position = positions.of(self.deployment.stream_name(input.stream), input.partition)?;
            Some(position.rewind.map_or(position.next_offset, |rewind| rewind.offset))
        };
        self.inputs.iter().map(of_input).collect()
    }

    fn input_facts(&self, committed: &[Committed], ended: bool) -> anyhow::Result<Vec<InputFacts>> {
        let survey = &self.deployment.survey;
        let is_noted = committed.iter().any(|committed| committed.topic.is_some());
        let ids = if is_noted { survey.topic_ids()? } else { BTreeMap::new() };
        let facts = self.inputs.iter().zip(committed).map(|(&input, committed)| {
            let replaced = committed.topic.clone().zip(ids.get(&input.stream).cloned()).filter(|(then, now)| then != now);
            let committed = committed.next;
            let kept = survey.retained(input)?;
            let end = match self.deployment.end_of(input) {
                Some(end) => end,
                None if ended => survey.end(input)?,
                None => kept.end,
            };
            let topic = self.deployment.inputs[&input.stream].clone();
            Ok(InputFacts { topic, partition: input.partition, committed, replaced, kept, end, last_read: LastRead::Unknown })
        });
        facts.collect()
    }

    /// Reads once more what the last epoch has read of an input, or where that was nothing, the last record before.
    fn last_read(&self, facts: &InputFacts, input: InputPartition, last: &EpochRecord) -> anyhow::Result<LastRead> {
        let evaluation = &self.deployment.evaluation;
        let Some(range) = last.inputs.iter().find(|range| range.topic == facts.topic && range.partition == facts.partition) else {
            return Ok(LastRead::Unknown);
        };
        // The digest is over what was decoded, up to a bound that is among the settings.
        let compares_records = range.base < range.next && last.pattern_set.hash == evaluation.hash;
        let from = if compares_records { range.base } else { range.next.saturating_sub(1) };
        if !facts.kept.contains(&from) || facts.kept.end < range.next {
            return Ok(LastRead::Unknown);
        }
        let mut batch = RecordBatch::new(input.stream, input.partition);
        self.deployment.survey.reader(input, from, evaluation.record_bytes_max())?.read_until(range.next, &mut batch)?;
        if compares_records {
            let mut digest = Xxh3::new();
            batch.iter().for_each(|record| note_record(&mut digest, &record));
            let is_whole = batch.len() as u64 == range.next - range.base;
            if digest.digest() == range.digest || is_whole {
                return Ok(if digest.digest() == range.digest { LastRead::Same } else { LastRead::OtherRecords });
            }
            // What is missing may have been compacted since.
        }
        let is_there = batch.iter().last().is_some_and(|record| record.offset + 1 == range.next);
        Ok(match (range.leader_epoch, batch.leader_epoch.filter(|_| is_there)) {
            (Some(then), Some(now)) if then != now => LastRead::OtherLeader { then, now },
            (Some(_), Some(_)) => LastRead::Same,
            _ => LastRead::Unknown,
        })
    }

    /// The pattern sets that records name, and those that cannot be had.
    fn sets_of(&self, stretches: &[Stretch]) -> anyhow::Result<(Sets, Vec<(u128, String)>)> {
        let current = &self.deployment.evaluation;
        let (mut sets, mut unknown) = (Sets::from([(current.hash, current.clone())]), Vec::new());
        for stretch in stretches {
            let hash = stretch.first.pattern_set.hash;
            if sets.contains_key(&hash) || unknown.iter().any(|(known, _)| *known == hash) {
                continue;
            }
            let restored = match self.deployment.bases.find_set(hash)? {
                Some(json) => Evaluation::restore(&json, hash),
                None => Err("it is neither in the state folder nor among the checkpoints".to_owned()),
            };
            match restored {
                Ok(evaluation) => drop(sets.insert(hash, Arc::new(evaluation))),
                Err(reason) => unknown.push((hash, reason)),
            }
        }
        Ok((sets, unknown))
    }

    fn reference_us(&self) -> i64 {
        let now = self.deployment.now().micros();
        self.deployment.config.reference.map_or(now, |reference| reference.micros())
    }
}

/// The epochs to be repeated are those after this one.
fn after(found: &Found<'_>) -> u64 {
    found.base.as_ref().map_or_else(|| found.journal.before_all(), |base| base.epoch)
}
