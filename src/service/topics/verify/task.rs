//! One task: its journal from the beginning to the end, and beside it what was read and what was put out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;

use crate::event::{Schema, StreamId};
use crate::kafka::{Link, TopicReader, oldest};
use crate::service::topics::checkpoints::{Checkpoints, Manifest};
use crate::service::topics::journal::{DETERMINISM_VERSION, EpochRecord, OutputKind};
use crate::service::topics::stages::Stage;
use crate::service::topics::verify::compare::{Difference, DifferenceKind, Epoch, Out};
use crate::service::topics::verify::outputs::{OutputTopic, Outputs, Stray};
use crate::service::topics::verify::recompute::Recomputation;
use crate::service::topics::verify::retained::Gone;
use crate::service::topics::verify::sets::Sets;
use crate::service::topics::verify::{Counts, TaskReport};

/// What all tasks are verified with.
pub(super) struct Deployed {
    pub stage: Stage,
    pub link: Link,
    pub journal: String,
    pub inputs: Vec<(StreamId, String)>,
    pub outputs: Vec<OutputTopic>,
    pub tasks: u32,
    pub schema: Arc<Schema>,
    pub sets: Sets,
    pub checkpoints: Option<Checkpoints>,
}

impl Deployed {
    pub(super) fn stream_name(&self, stream: StreamId) -> &str {
        &self.schema.stream(stream).name
    }

    /// Whether an epoch may have had outputs of this kind. Under settings that nobody has any more there may have been a topic for what was set aside; that there was a second stage
    /// is not assumed, as then whatever is missing would be explained by it.
    fn had(&self, record: &EpochRecord, kind: OutputKind) -> bool {
        let Ok(evaluation) = self.sets.find(record.pattern_set.hash, self.checkpoints.as_ref()) else { return kind != OutputKind::HandedOn };
        match kind {
            OutputKind::Match => true,
            OutputKind::Late => evaluation.has_late(),
            OutputKind::Rejected => evaluation.has_rejected(),
            OutputKind::HandedOn => evaluation.tasks_after() > 0,
        }
    }
}

/// As far as one task was verified.
struct Verification<'a> {
    deployed: &'a Deployed,
    task: u32,
    report: TaskReport,
    /// `None`: it cannot be recomputed (any more), which was noted.
    recomputation: Option<Recomputation<'a>>,
    /// Of the task; `None`: nobody has asked yet.
    checkpoints: Option<Vec<Manifest>>,
    before: Option<EpochRecord>,
    /// Of the journal.
    first_epoch: Option<u64>,
    /// The journal's next offset.
    journal_next: u64,
    ids: BTreeSet<u128>,
    /// Why outputs are not compared, with the first and the last epoch of which some were missed.
    gone: BTreeMap<String, (u64, u64)>,
    /// The group's offsets, and whether the journal has been there.
    committed: Vec<Option<u64>>,
    is_at_committed: bool,
}

/// `committed`: the group's offsets of the task's inputs, asked for before this.
pub(super) fn verify_task(deployed: &Deployed, task: u32, committed: Vec<Option<u64>>) -> anyhow::Result<TaskReport> {
    let mut journal = TopicReader::open(&deployed.link, &deployed.journal, task, 0)?;
    let mut outputs = Outputs::open(&deployed.link, &deployed.outputs, deployed.stage, task, deployed.tasks)?;
    let is_at_committed = committed.iter().all(Option::is_none);
    let report = TaskReport::default();
    let mut verification = Verification {
        deployed,
        task,
        report,
        recomputation: None,
        checkpoints: None,
        before: None,
        first_epoch: None,
        journal_next: 0,
        ids: BTreeSet::new(),
        gone: BTreeMap::new(),
        committed,
        is_at_committed,
    };
    while let Some(found) = journal.take()? {
        let decoded = EpochRecord::decode(found.value.as_deref().unwrap_or_default());
        let record = decoded.with_context(|| format!("topic {}, partition {task}, offset {}", deployed.journal, found.offset))?;
        verification.journal_next = found.offset + 1;
        let found = outputs.take(record.epoch)?;
        let gone = outputs.gone(&record, &|kind| deployed.had(&record, kind));
        verification.epoch(&record, found, &gone)?;
        verification.before = Some(record);
    }
    verification.finish(outputs)
}

impl Verification<'_> {
    fn epoch(&mut self, record: &EpochRecord, mut found: Vec<Out>, gone: &Gone) -> anyhow::Result<()> {
        self.first_epoch.get_or_insert(record.epoch);
        self.prepare(record)?;
        let mut epoch = Epoch { stage: self.deployed.stage, record, differences: &mut self.report.differences };
        epoch.follows(self.before.as_ref());
        let is_whole = epoch.accounts_for(&mut found, gone) == 0;
        if !is_whole {
            for why in gone.reasons() {
                self.gone.entry(why.to_owned()).or_insert((record.epoch, record.epoch)).1 = record.epoch;
            }
        }
        if let Some(recomputation) = &mut self.recomputation {
            match recomputation.epoch(&mut epoch)? {
                Some((recomputed, records)) => {
                    epoch.equals(&found, &recomputed, gone);
                    self.report.counts.recomputed += u64::from(is_whole);
                    self.report.counts.events += records;
                }
                None => {
                    self.recomputation = None;
                    self.report.notes.push(format!(
                        "task {}, from epoch {} on: nothing is recomputed: input is gone",
                        self.deployed.stage.task(self.task),
                        record.epoch
                    ));
                }
            }
        }
        for out in &found {
            self.count(record, out);
        }
        self.report.counts.epochs += 1;
        self.is_at_committed |= record.inputs.iter().map(|input| Some(input.next)).eq(self.committed.iter().copied());
        Ok(())
    }

    /// Begins to recompute where that is possible, and ends it where it is not any more.
    fn prepare(&mut self, record: &EpochRecord) -> anyhow::Result<()> {
        let begins = record.reset || self.before.is_none();
        let was_recomputed = self.recomputation.is_some();
        if begins {
            self.recomputation = None;
        }
        let obstacle = match self.obstacle(record) {
            None if begins => self.obstacle_to_begin(record)?,
            obstacle => obstacle,
        };
        match obstacle {
            Some(obstacle) => {
                self.recomputation = None;
                if begins || was_recomputed {
                    self.report.notes.push(format!(
                        "task {}, from epoch {} on: nothing is recomputed: {obstacle}",
                        self.deployed.stage.task(self.task),
                        record.epoch
                    ));
                }
            }
            None if begins => self.recomputation = Some(Recomputation::from_nothing(self.deployed, self.task)),
            None if self.recomputation.is_none() => self.begin_from_checkpoint(record)?,
            None => {}
        }
        Ok(())
    }

    fn begin_from_checkpoint(&mut self, record: &EpochRecord) -> anyhow::Result<()> {
        let (Some(checkpoints), Some(before)) = (&self.deployed.checkpoints, &self.before) else { return Ok(()) };
        let manifests = match &mut self.checkpoints {
            Some(manifests) => manifests,
            unknown => unknown.insert(checkpoints.list(self.task)?),
        };
        let fits = |manifest: &&Manifest| manifest.epoch + 1 == record.epoch && manifest.record_digest == before.digest();
        let Some(manifest) = manifests.iter().find(fits) else { return Ok(()) };
        self.recomputation = Recomputation::from_checkpoint(self.deployed, manifest, |topic| Ok(oldest(&self.deployed.link, topic, self.task)?))?;
        if self.recomputation.is_some() {
            let note = format!(
                "task {}, from epoch {} on: recomputed from the checkpoint of epoch {}",
                self.deployed.stage.task(self.task),
                record.epoch,
                manifest.epoch
            );
            self.report.notes.push(note);
        }
        Ok(())
    }

    /// Why an epoch cannot be evaluated.
    fn obstacle(&self, record: &EpochRecord) -> Option<String> {
        if let Some(range) = record.inputs.iter().find(|range| self.deployed.inputs.iter().all(|(_, topic)| *topic != range.topic)) {
            return Some(format!("topic {} was read, which the configuration does not name now", range.topic));
        }
        let hash = record.pattern_set.hash;
        if let Err(reason) = self.deployed.sets.find(hash, self.deployed.checkpoints.as_ref()) {
            return Some(format!(
                "other patterns or settings were in force than the configuration says now, and pattern set {hash:032x} is not to be had: {reason}"
            ));
        }
        let theirs = record.determinism;
        (theirs != DETERMINISM_VERSION).then(|| format!("another version of motif has evaluated it (determinism {theirs}, this is {DETERMINISM_VERSION})"))
    }

    /// Why a task cannot be evaluated from nothing.
    fn obstacle_to_begin(&self, record: &EpochRecord) -> anyhow::Result<Option<String>> {
        if record.epoch != 1 && !record.reset {
            return Ok(Some(format!(
                "the journal begins there, and what the state was by then is not known: epochs before are not kept (retention of {})",
                self.deployed.journal
            )));
        }
        for range in &record.inputs {
            let oldest = oldest(&self.deployed.link, &range.topic, range.partition)?;
            if oldest > range.base {
                return Ok(Some(format!("{}/{} holds offset {oldest} and later only, and {} was read first", range.topic, range.partition, range.base)));
            }
        }
        Ok(None)
    }

    fn count(&mut self, record: &EpochRecord, out: &Out) {
        let Counts { matches, late, rejected, .. } = &mut self.report.counts;
        match out.kind {
            OutputKind::Match => *matches += 1,
            OutputKind::Late => *late += 1,
            OutputKind::Rejected => *rejected += 1,
            OutputKind::HandedOn => {}
        }
        if out.kind == OutputKind::Match
            && let Some(id) = id(out.value.as_deref().unwrap_or_default())
            && !self.ids.insert(id)
        {
            let what = format!("match {id:032x} stands at {} again", out.place);
            Epoch { stage: self.deployed.stage, record, differences: &mut self.report.differences }.differs(DifferenceKind::Doubled, what);
        }
    }

    fn finish(mut self, mut outputs: Outputs) -> anyhow::Result<TaskReport> {
        let mut differs = |epoch, kind, what| self.report.differences.push(Difference { stage: self.deployed.stage, task: self.task, epoch, kind, what });
        let rest = outputs.rest()?;
        // Of a service that runs, outputs may have come since the journal was read; by now it accounts for them.
        let last = if rest.is_empty() { 0 } else { last_epoch(self.deployed, self.task, self.journal_next)? };
        let first = self.first_epoch.unwrap_or(0);
        for (epoch, outs) in rest {
            let is_of_this_time = self.before.as_ref().is_some_and(|before| epoch > before.epoch) && epoch <= last;
            let is_older_than_journal = epoch < first;
            if !is_of_this_time && !is_older_than_journal {
                let what = format!("{} outputs, the first at {}, are of an epoch that the journal does not have", outs.len(), outs[0].place);
                differs(epoch, DifferenceKind::Foreign, what);
            }
        }
        for stray in outputs.strays {
            match stray {
                Stray::Foreign(at) => differs(0, DifferenceKind::Foreign, format!("the record at {at} is of no task that writes there")),
                Stray::OutOfOrder { epoch, what } => differs(epoch, DifferenceKind::OutOfOrder, what),
            }
        }
        for (why, (first, last)) in self.gone {
            let task = self.deployed.stage.task(self.task);
            self.report.notes.push(format!("task {task}, from epoch {first} to {last}: outputs that are not retained any more are not compared: {why}"));
        }
        if !self.is_at_committed {
            let epoch = self.before.as_ref().map_or(0, |before| before.epoch);
            let what = format!("the group has committed {:?}, where no epoch of the journal ends", self.committed);
            differs(epoch, DifferenceKind::OffsetsDiffer, what);
        }
        Ok(self.report)
    }
}

/// The newest in the journal by now.
fn last_epoch(deployed: &Deployed, task: u32, from: u64) -> anyhow::Result<u64> {
    let mut journal = TopicReader::open(&deployed.link, &deployed.journal, task, from)?;
    let mut last = 0;
    while let Some(found) = journal.take()? {
        last = EpochRecord::decode(found.value.as_deref().unwrap_or_default()).map_or(last, |record| record.epoch);
    }
    Ok(last)
}

/// Of a match as JSON.
fn id(value: &[u8]) -> Option<u128> {
    let hex = value.strip_prefix(b"{\"id\":\"")?.get(..32)?;
    u128::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}
