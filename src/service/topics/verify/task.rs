//! One task: its journal from the beginning to the end, and beside it what was read and what was put out.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;

use crate::event::StreamId;
use crate::kafka::{Link, TopicReader, oldest};
use crate::service::topics::journal::{DETERMINISM_VERSION, EpochRecord, OutputKind};
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::stages::Stage;
use crate::service::topics::verify::compare::{Difference, DifferenceKind, Epoch, Out};
use crate::service::topics::verify::outputs::{OutputTopic, Outputs, Stray};
use crate::service::topics::verify::recompute::{Input, Recomputation};
use crate::service::topics::verify::{Counts, TaskReport};

/// What all tasks are verified with.
pub(super) struct Deployed {
    pub stage: Stage,
    pub link: Link,
    pub journal: String,
    pub inputs: Vec<(StreamId, String)>,
    pub outputs: Vec<OutputTopic>,
    pub tasks: u32,
    pub evaluation: Arc<Evaluation>,
    pub record_bytes_max: usize,
}

/// As far as one task was verified.
struct Verification<'a> {
    deployed: &'a Deployed,
    task: u32,
    report: TaskReport,
    /// `None`: it cannot be recomputed (any more), which was noted.
    recomputation: Option<(Recomputation, Vec<Input>)>,
    before: Option<EpochRecord>,
    /// The journal's next offset.
    journal_next: u64,
    ids: BTreeSet<u128>,
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
    let mut verification =
        Verification { deployed, task, report, recomputation: None, before: None, journal_next: 0, ids: BTreeSet::new(), committed, is_at_committed };
    while let Some(found) = journal.take()? {
        let decoded = EpochRecord::decode(found.value.as_deref().unwrap_or_default());
        let record = decoded.with_context(|| format!("topic {}, partition {task}, offset {}", deployed.journal, found.offset))?;
        verification.journal_next = found.offset + 1;
        let found = outputs.take(record.epoch)?;
        verification.epoch(&record, found)?;
        verification.before = Some(record);
    }
    verification.finish(outputs)
}

impl Verification<'_> {
    fn epoch(&mut self, record: &EpochRecord, mut found: Vec<Out>) -> anyhow::Result<()> {
        self.prepare(record)?;
        let mut epoch = Epoch { stage: self.deployed.stage, record, differences: &mut self.report.differences };
        epoch.follows(self.before.as_ref());
        epoch.accounts_for(&mut found);
        if let Some((recomputation, inputs)) = &mut self.recomputation {
            let (recomputed, records) = recomputation.epoch(inputs, &mut epoch)?;
            epoch.equals(&found, &recomputed);
            self.report.counts.recomputed += 1;
            self.report.counts.events += records;
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
        if !begins && self.recomputation.is_none() {
            return Ok(());
        }
        if let Some(obstacle) = self.obstacle(record, begins)? {
            self.recomputation = None;
            self.report.notes.push(format!("task {}, from epoch {} on: nothing is recomputed: {obstacle}", self.deployed.stage.task(self.task), record.epoch));
        } else if begins {
            let open = |(stream, topic): &(StreamId, String)| {
                let base = record.inputs.iter().find(|range| range.topic == *topic).map_or(0, |range| range.base);
                Input::open(&self.deployed.link, *stream, topic, self.task, base)
            };
            let inputs = self.deployed.inputs.iter().map(open).collect::<anyhow::Result<_>>()?;
            self.recomputation = Some((Recomputation::new(self.deployed.evaluation.clone(), self.deployed.record_bytes_max), inputs));
        }
        Ok(())
    }

    fn obstacle(&self, record: &EpochRecord, begins: bool) -> anyhow::Result<Option<String>> {
        if begins && record.epoch != 1 && !record.reset {
            return Ok(Some(format!(
                "the journal begins there, and what the state was by then is not known: epochs before are not kept (retention of {})",
                self.deployed.journal
            )));
        }
        if let Some(range) = record.inputs.iter().find(|range| self.deployed.inputs.iter().all(|(_, topic)| *topic != range.topic)) {
            return Ok(Some(format!("topic {} was read, which the configuration does not name now", range.topic)));
        }
        if record.pattern_set.hash != self.deployed.evaluation.hash {
            return Ok(Some("other patterns or settings were in force than the configuration says now; give those".to_owned()));
        }
        if record.determinism != DETERMINISM_VERSION {
            return Ok(Some(format!("another version of motif has evaluated it (determinism {}, this is {DETERMINISM_VERSION})", record.determinism)));
        }
        if begins {
            for range in &record.inputs {
                let oldest = oldest(&self.deployed.link, &range.topic, range.partition)?;
                if oldest > range.base {
                    return Ok(Some(format!("{}/{} holds offset {oldest} and later only, and {} was read first", range.topic, range.partition, range.base)));
                }
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
        let first = self.before.as_ref().map_or(0, |before| before.epoch + 1 - self.report.counts.epochs.min(before.epoch));
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
