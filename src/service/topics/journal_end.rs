//! The end of a task's journal, from an offset on.
//!
//! Where nothing else is left the whole journal has to be gone through, and a journal of weeks does not fit into memory: so only a short one is kept, a long one is read
//! again each time it is asked. What decisions need of it is summed up on the way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::Context;

use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::EpochRecord;

/// Records that are kept, some hundred bytes each.
const KEPT_RECORDS_MAX: usize = if cfg!(test) { 20 } else { 10_000 };

pub(super) struct JournalEnd<'a> {
    deployment: &'a Deployment,
    task: u32,
    /// The first offset that was asked for.
    pub from: u64,
    /// With their offsets; `None`: there were too many.
    kept: Option<Vec<(u64, EpochRecord)>>,
    first_epoch: Option<u64>,
    pub last: Option<EpochRecord>,
    last_reset: Option<u64>,
    /// By epoch, of those that were asked for.
    digests: BTreeMap<u64, u64>,
}

impl<'a> JournalEnd<'a> {
    /// `epochs`: whose digests are to be known.
    pub(super) fn read(deployment: &'a Deployment, task: u32, from: u64, epochs: &[u64]) -> anyhow::Result<Self> {
        let (kept, digests) = (Some(Vec::new()), BTreeMap::new());
        let mut end = Self { deployment, task, from, kept, first_epoch: None, last: None, last_reset: None, digests };
        visit_journal(deployment, task, from, &mut |offset, record| {
            end.first_epoch.get_or_insert(record.epoch);
            if epochs.contains(&record.epoch) {
                end.digests.insert(record.epoch, record.digest());
            }
            if record.reset {
                end.last_reset = Some(record.epoch);
            }
            end.kept = end.kept.take().filter(|kept| kept.len() < KEPT_RECORDS_MAX);
            if let Some(kept) = &mut end.kept {
                kept.push((offset, record.clone()));
            }
            end.last = Some(record);
            Ok(())
        })?;
        Ok(end)
    }

    pub(super) fn last_epoch(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.epoch)
    }

    /// A base of this epoch and record belongs to this journal: nothing before it is missing, and nothing after it makes it void.
    pub(super) fn fits(&self, epoch: u64, digest: u64) -> bool {
        let Some(last) = self.last_epoch() else { return false };
        let is_there = match self.digests.get(&epoch) {
            Some(found) => *found == digest,
            // Its record is gone already, but the next one is there.
            None => self.first_epoch == Some(epoch + 1),
        };
        is_there && epoch <= last && self.last_reset.is_none_or(|reset| reset <= epoch)
    }

    /// The epoch after which a task without a base begins.
    pub(super) fn before_all(&self) -> u64 {
        self.last_reset.map_or(0, |reset| reset - 1)
    }

    /// Visits the records after an epoch, up to the one that was the last.
    pub(super) fn visit_after(&self, epoch: u64, visit: &mut dyn FnMut(u64, &EpochRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let last = self.last_epoch().unwrap_or(0);
        let mut visit = |offset, record: &EpochRecord| if (epoch + 1..=last).contains(&record.epoch) { visit(offset, record) } else { Ok(()) };
        match &self.kept {
            Some(kept) => kept.iter().try_for_each(|(offset, record)| visit(*offset, record)),
            None => visit_journal(self.deployment, self.task, self.from, &mut |offset, record| visit(offset, &record)),
        }
    }
}

/// Shows every record from an offset on. One that cannot be read is an error: nothing can be said without it.
fn visit_journal(deployment: &Deployment, task: u32, from: u64, visit: &mut dyn FnMut(u64, EpochRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    deployment.survey.journal(task, from, &mut |entry| {
        let topic = &deployment.outputs.journal;
        let decoded = EpochRecord::decode(&entry.value).with_context(|| format!("the record at offset {} of {topic}/{task} cannot be read", entry.offset));
        outcome = decoded.and_then(|record| visit(entry.offset, record));
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome
}
