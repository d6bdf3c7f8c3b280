//! A worker: one thread that reads its tasks' partitions, applies what it reads, and delivers an epoch at a time.
//!
//! ```text
//! poll ▸ apply ▸ follow the group ▸ epoch due? deliver (one transaction for all tasks) ▸ keep (each task's store) ▸ poll …
//! ```
//!
//! Tasks recover on a thread of their own while this one goes on polling, as a group's member must. A task whose epoch was aborted is made anew from its
//! store and read again from there: the engine has no way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, Sender};

use crate::event::ProcessingTime;
use crate::ports::{Fetched, GroupChange, InputPartition, StateStore, Transport};
use crate::service::Summary;
use crate::service::embedded::wall_clock;
use crate::service::topics::assigned::{Assigned, Part, Recovered, recover};
use crate::service::topics::balance::Balance;
use crate::service::topics::commit::{Delivered, Resolved, deliver, resolve};
use crate::service::topics::deployment::Deployment;
use crate::service::topics::outgoing::delivery;

/// An epoch ends early with this many records, bytes or matches.
const EPOCH_RECORDS_MAX: usize = 100_000;
const EPOCH_BYTES_MAX: usize = 64 << 20;
const EPOCH_MATCHES_MAX: usize = 20_000;

/// The longest wait for records, and the wait while tasks recover.
const POLL_WAIT_MAX: Duration = Duration::from_millis(50);
const RECOVERY_WAIT: Duration = Duration::from_millis(5);

/// How long one transaction may take in all, failed calls repeated.
const WATCHDOG: Duration = Duration::from_secs(20);

/// So many aborted transactions in a row are taken for a fault that does not go away.
const ABORTS_MAX: u32 = 3;

/// How long a recovery may take that someone waits for.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How often a finished worker asks whether the rest of the group is finished too.
const GROUP_END_INTERVAL: Duration = Duration::from_millis(200);

pub(super) struct Worker {
    deployment: Arc<Deployment>,
    transport: Box<dyn Transport + Send>,
    tasks: BTreeMap<u32, Held>,
    recoveries: (Sender<Recovery>, Receiver<Recovery>),
    fetched: Fetched,
    balance: Balance,
    epoch: EpochSoFar,
    aborts_in_a_row: u32,
    group_asked: Instant,
    summary: Summary,
}

/// A task of ours, and what can be done with it.
enum Held {
    Recovering,
    Running(Box<Assigned>),
    /// A bounded run had finished it before.
    Ended,
}

type Recovery = (u32, anyhow::Result<Recovered>);

struct EpochSoFar {
    began: Instant,
    /// The wall clock of the whole epoch.
    now: ProcessingTime,
    records: usize,
    bytes: usize,
    /// A task has reached its end.
    due: bool,
}

impl EpochSoFar {
    fn begin() -> Self {
        Self { began: Instant::now(), now: wall_clock(), records: 0, bytes: 0, due: false }
    }
}

impl Worker {
    pub(super) fn new(deployment: Arc<Deployment>, transport: Box<dyn Transport + Send>) -> Self {
        Self {
            balance: Balance::new(&deployment),
            deployment,
            transport,
            tasks: BTreeMap::new(),
            recoveries: crossbeam_channel::unbounded(),
            fetched: Fetched::default(),
            epoch: EpochSoFar::begin(),
            aborts_in_a_row: 0,
            group_asked: Instant::now(),
            summary: Summary::default(),
        }
    }

    /// Works until it is told to stop, or until a bounded run has ended everywhere.
    pub(super) fn work(&mut self) -> anyhow::Result<Summary> {
        loop {
            while let Ok(recovery) = self.recoveries.1.try_recv() {
                self.take_recovery(recovery)?;
            }
            let change = self.transport.poll(self.poll_wait(), &mut self.fetched)?;
            self.apply_fetched()?;
            if let Some(change) = change {
                self.follow(change)?;
            }
            let stop = self.deployment.stop.is_asked();
            if stop || self.is_due() {
                self.close_epoch()?;
            }
            if stop || self.is_ended_everywhere()? {
                return Ok(self.finish(stop));
            }
            self.hold_leaders_back()?;
        }
    }

    /// The transport, to be closed by someone who can wait for it.
    pub(super) fn into_transport(self) -> Box<dyn Transport + Send> {
        self.transport
    }

    fn poll_wait(&self) -> Duration {
        if self.tasks.values().any(|held| matches!(held, Held::Recovering)) {
            return RECOVERY_WAIT;
        }
        self.epoch_length().saturating_sub(self.epoch.began.elapsed()).clamp(Duration::from_millis(1), POLL_WAIT_MAX)
    }

    fn epoch_length(&self) -> Duration {
        Duration::from_millis(self.deployment.config.kafka.as_ref().map_or(self.deployment.config.epoch_ms, |kafka| kafka.epoch_ms))
    }

    fn apply_fetched(&mut self) -> anyhow::Result<()> {
        let now = self.epoch.now;
        for batch in self.fetched.batches() {
            let Some(Held::Running(assigned)) = self.tasks.get_mut(&batch.partition) else { continue };
            let end = self.deployment.end_of(InputPartition { stream: batch.stream, partition: batch.partition });
            let topic = &self.deployment.inputs[&batch.stream];
            assigned.apply(batch, end, now).with_context(|| format!("{topic}/{} cannot be read", batch.partition))?;
            self.epoch.due |= assigned.end_if_reached(&self.deployment);
            self.epoch.records += batch.len();
            self.epoch.bytes += batch.bytes();
            self.summary.records_read += batch.len() as u64;
        }
        self.fetched.clear();
        Ok(())
    }

    fn is_due(&self) -> bool {
        let matches = || self.running().map(|assigned| assigned.task.matches_waiting()).sum::<usize>();
        self.epoch.due
            || self.epoch.began.elapsed() >= self.epoch_length()
            || self.epoch.records >= EPOCH_RECORDS_MAX
            || self.epoch.bytes >= EPOCH_BYTES_MAX
            || matches() >= EPOCH_MATCHES_MAX
    }

    fn running(&self) -> impl Iterator<Item = &Assigned> {
        self.tasks.values().filter_map(|held| match held {
            Held::Running(assigned) => Some(&**assigned),
            _ => None,
        })
    }

    fn follow(&mut self, change: GroupChange) -> anyhow::Result<()> {
        tracing::info!(?change, "the group has changed");
        match change {
            GroupChange::Assigned(tasks) => {
                for task in tasks {
                    self.begin_recovery(task, None);
                }
            }
            GroupChange::Revoked(tasks) => {
                self.close_epoch()?;
                self.drop_tasks(&tasks)?;
                if !tasks.is_empty() {
                    self.transport.release(&tasks)?;
                }
            }
            GroupChange::Lost(tasks) => self.drop_tasks(&tasks)?,
        }
        Ok(())
    }

    /// Closes the stores as well, before anyone else is told that the tasks are free.
    fn drop_tasks(&mut self, tasks: &[u32]) -> anyhow::Result<()> {
        self.await_recoveries(tasks)?;
        for task in tasks {
            if let Some(Held::Running(assigned)) = self.tasks.remove(task) {
                self.count(&assigned);
            }
        }
        self.balance.forget(tasks);
        Ok(())
    }

    fn begin_recovery(&mut self, task: u32, store: Option<Arc<dyn StateStore>>) {
        self.tasks.insert(task, Held::Recovering);
        let (deployment, done) = (self.deployment.clone(), self.recoveries.0.clone());
        std::thread::spawn(move || {
            let recovered = recover(&deployment, task, store);
            // Nobody listens any more where the worker has ended.
            drop(done.send((task, recovered)));
        });
    }

    fn await_recoveries(&mut self, tasks: &[u32]) -> anyhow::Result<()> {
        while tasks.iter().any(|task| matches!(self.tasks.get(task), Some(Held::Recovering))) {
            let recovery = self.recoveries.1.recv_timeout(RECOVERY_MAX).context("a task takes too long to recover")?;
            self.take_recovery(recovery)?;
        }
        Ok(())
    }

    fn take_recovery(&mut self, (task, recovered): Recovery) -> anyhow::Result<()> {
        match recovered? {
            Recovered::AlreadyEnded => {
                self.tasks.insert(task, Held::Ended);
            }
            Recovered::Ready(mut assigned, from) => {
                self.epoch.due |= assigned.end_if_reached(&self.deployment);
                self.tasks.insert(task, Held::Running(assigned));
                self.transport.start(&from)?;
            }
        }
        Ok(())
    }

    /// Delivers what came out of all tasks in one transaction, then keeps their state.
    fn close_epoch(&mut self) -> anyhow::Result<()> {
        let now = wall_clock();
        let mut parts = Vec::new();
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held {
                assigned.tick(now);
                parts.extend(assigned.take_part(&self.deployment, self.epoch.now, now));
            }
        }
        self.epoch = EpochSoFar { now, ..EpochSoFar::begin() };
        if parts.is_empty() {
            return Ok(());
        }
        let delivery = delivery(&self.deployment, &mut parts, &*self.transport);
        match deliver(&mut *self.transport, &delivery, WATCHDOG) {
            Delivered::Committed => self.keep(parts),
            Delivered::Aborted(error) => {
                self.aborts_in_a_row += 1;
                if self.aborts_in_a_row >= ABORTS_MAX {
                    return Err(error).context(format!("{ABORTS_MAX} transactions in a row were aborted"));
                }
                self.run_again(parts.iter().map(|part| part.record.task).collect())
            }
            Delivered::Expelled(error) => {
                tracing::warn!(%error, "the group has gone on without this worker: its tasks begin anew");
                self.run_again(self.tasks.keys().copied().collect())
            }
            Delivered::Unknown(error) => {
                tracing::warn!(%error, "the end of a transaction is not known; asking the group");
                self.resolve(parts)
            }
            Delivered::Failed(error) => Err(error).context("a transaction cannot be ended"),
        }
    }

    fn keep(&mut self, parts: Vec<Part>) -> anyhow::Result<()> {
        self.aborts_in_a_row = 0;
        for part in parts {
            let task = part.record.task;
            if let Some(Held::Running(assigned)) = self.tasks.get_mut(&task) {
                assigned.keep(part).with_context(|| format!("state of task {task}"))?;
            }
        }
        Ok(())
    }

    /// The producer is replaced first, so that nothing of the old one can still happen; then the group's offsets tell.
    fn resolve(&mut self, parts: Vec<Part>) -> anyhow::Result<()> {
        self.transport.renew()?;
        let (inputs, after): (Vec<_>, Vec<_>) = parts.iter().flat_map(|part| part.after.iter().copied()).unzip();
        let before: Vec<_> = parts.iter().flat_map(|part| part.before.iter().copied()).collect();
        let found = self.deployment.survey.committed(&inputs)?;
        match resolve(&before, &after, &found) {
            Resolved::Committed => self.keep(parts),
            Resolved::Aborted => self.run_again(parts.iter().map(|part| part.record.task).collect()),
            Resolved::Foreign => bail!("the group's offsets were moved from outside: expected {before:?} or {after:?}, found {found:?}"),
        }
    }

    /// Makes tasks anew from their stores; what they had read since is read again.
    fn run_again(&mut self, tasks: Vec<u32>) -> anyhow::Result<()> {
        for task in tasks {
            let inputs = self.deployment.inputs_of(task);
            if let Some(Held::Running(_)) = self.tasks.get(&task)
                && let Some(Held::Running(assigned)) = self.tasks.remove(&task)
            {
                self.transport.pause(&inputs)?;
                self.begin_recovery(task, Some(assigned.into_store()));
            }
        }
        Ok(())
    }

    /// A bounded run ends together: a partition may still come to us as long as anyone has not finished.
    fn is_ended_everywhere(&mut self) -> anyhow::Result<bool> {
        let Some(ends) = &self.deployment.ends else { return Ok(false) };
        let ended = |held: &Held| match held {
            Held::Recovering => false,
            Held::Running(assigned) => assigned.is_ended(),
            Held::Ended => true,
        };
        if !self.tasks.values().all(ended) || self.group_asked.elapsed() < GROUP_END_INTERVAL {
            return Ok(false);
        }
        self.group_asked = Instant::now();
        let inputs: Vec<_> = ends.keys().copied().collect();
        let committed = self.deployment.survey.committed(&inputs)?;
        Ok(committed.iter().zip(ends.values()).all(|(committed, end)| committed.is_some_and(|committed| committed >= *end)))
    }

    fn hold_leaders_back(&mut self) -> anyhow::Result<()> {
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held {
                self.balance.check(&self.deployment, assigned, &mut *self.transport)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, stopped: bool) -> Summary {
        for held in std::mem::take(&mut self.tasks).into_values() {
            if let Held::Running(assigned) = held {
                self.count(&assigned);
            }
        }
        self.summary.stopped = stopped;
        std::mem::take(&mut self.summary)
    }

    fn count(&mut self, assigned: &Assigned) {
        self.summary.counters.add(&assigned.task.counters());
        for (code, number) in assigned.task.rejected_by_code() {
            *self.summary.rejected.entry(code).or_default() += number;
        }
        let keys: u64 = assigned.task.keys_by_shard().iter().sum();
        match self.summary.keys_by_worker.first_mut() {
            Some(of_worker) => *of_worker += keys,
            None => self.summary.keys_by_worker.push(keys),
        }
    }
}
