//! A worker: one thread that reads its tasks' partitions, applies what it reads, and delivers an epoch at a time.
//!
//! ```text
//! poll ▸ apply ▸ follow the group ▸ epoch due? deliver (one transaction for all tasks) ▸ keep (each task's store) ▸ poll …
//! ```
//!
//! Tasks recover on threads of their own while this one goes on polling, as a group's member must, and brokers are asked there for what may take long (`beside`). A task
//! whose epoch was aborted is recovered: the engine has no way back. So is one whose epoch may have been committed or not, as the brokers have not said: it takes up what the
//! journal holds. A task that is revoked finishes its epoch, and is given back once its state is among the checkpoints, or after [`HAND_OVER_MAX`]; the others go on meanwhile.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::engine::Counters;
use crate::event::{ProcessingTime, TimeSpan};
use crate::ports::{Failure, Fetched, GroupChange, InputPartition, StateStore, StoreError, Transport, TransportError};
use crate::service::task::TaskMemory;
use crate::service::topics::alignment::Allowed;
use crate::service::topics::assigned::{Assigned, Part, Quiet};
use crate::service::topics::balance::Balance;
use crate::service::topics::beside::Inquiry;
use crate::service::topics::commit::{Delivered, deliver};
use crate::service::topics::deployment::{Deployment, HAND_OVER_MAX};
use crate::service::topics::metrics::TaskMetrics;
use crate::service::topics::outgoing::delivery;
use crate::service::topics::pace::{Pace, Reading};
use crate::service::topics::recover::{Cancelled, Recovered, is_outage, recover};
use crate::service::topics::recovery::Refusal;
use crate::service::topics::retention;
use crate::service::topics::silence::Silences;
use crate::service::topics::stages::Stage;
use crate::service::topics::standing::{ended_among, find_out};
use crate::service::topics::watch::OUTAGE_MAX;
use crate::service::waiting::Waiting;
use crate::service::{EndPart, Summary};

/// An epoch ends early with this many records or bytes; or with as much in all tasks as may wait in one.
const EPOCH_RECORDS_MAX: usize = 100_000;
const EPOCH_BYTES_MAX: usize = 64 << 20;

/// Where states are not all there, so much of each turn goes into that at least.
const RESTORING_MIN: Duration = Duration::from_millis(5);

/// The longest wait for records, and the wait while something is on its way.
const POLL_WAIT_MAX: Duration = Duration::from_millis(50);
const BUSY_WAIT: Duration = Duration::from_millis(5);

/// So often at least it is asked for records and news of the group, whatever there is to do.
const POLL_INTERVAL_BEHIND: Duration = Duration::from_millis(500);

/// So many transactions in a row that did not commit are taken for a fault that does not go away.
const ABORTS_MAX: u32 = 3;
const FAILURES_MAX: u32 = 10;

/// How long a task waits for its inputs to be ready to be read.
const START_MAX: Duration = Duration::from_secs(5);

/// Where the brokers are away, the producer is replaced again and again; the wait between.
const OUTAGE_INTERVAL: Duration = Duration::from_millis(250);

/// How long a producer is waited for before it is asked whether to stop.
const RENEW_WAIT: Duration = Duration::from_millis(500);

/// So long after a stop was asked for no producer is waited for any more; the last epoch may have taken most of that.
const RENEW_STOP_WAIT: Duration = Duration::from_secs(8);

/// A last checkpoint that is older than so many intervals is worth a word.
const CHECKPOINT_INTERVALS_MAX: u32 = 3;

/// How often each task is told about to whoever shows it, whether anything is committed or not.
const TELL_INTERVAL: TimeSpan = TimeSpan::from_secs(1);

/// How often the numbers are told in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How often a finished worker asks whether the rest of the group is finished too.
const GROUP_END_INTERVAL: Duration = Duration::from_millis(200);
const GROUP_END_TASKS_MAX: usize = 8;

pub(super) struct Worker {
    deployment: Arc<Deployment>,
    transport: Box<dyn Transport + Send>,
    tasks: BTreeMap<u32, Held>,
    recoveries: (Sender<Recovery>, Receiver<Recovery>),
    tickets: u64,
    /// By task: what is to be read, once it can be.
    starts: BTreeMap<u32, Starting>,
    releasing: Option<Releasing>,
    fetched: Fetched,
    /// When it was last asked for records.
    polled: Duration,
    balance: Balance,
    silences: Silences,
    /// Tasks that wait for others of their stage.
    pace: Pace,
    epoch: EpochSoFar,
    aborts_in_a_row: u32,
    failures_in_a_row: u32,
    starts_failed_in_a_row: u32,
    /// When all tasks were last told about.
    told: ProcessingTime,
    logged: Duration,
    /// Tasks that a bounded run has finished, here or elsewhere.
    ended_tasks: BTreeSet<u32>,
    /// Which others it has, asked for now and then.
    group_asked: Duration,
    ended_elsewhere: Inquiry<anyhow::Result<Vec<u32>>>,
    /// Of a task to which something was added after its end: it is said once no other closes windows any more.
    refused: Option<anyhow::Error>,
    /// How far a task is that others wait for: the alignment is told.
    standing: Inquiry<()>,
    /// Whether inputs hold what a restart would read: the log is told.
    retention: Inquiry<()>,
    summary: Summary,
}

/// A task of ours, and what can be done with it.
enum Held {
    Recovering {
        ticket: u64,
        cancelled: Arc<AtomicBool>,
    },
    Running(Box<Assigned>),
    /// A bounded run had finished it before.
    Ended,
}

impl Held {
    fn running(&self) -> Option<&Assigned> {
        match self {
            Self::Running(assigned) => Some(assigned),
            _ => None,
        }
    }

    /// Or may: that is only known once it is there.
    fn closes_windows(&self) -> bool {
        match self {
            Self::Recovering { .. } => true,
            Self::Running(assigned) => assigned.is_closing(),
            Self::Ended => false,
        }
    }
}

/// What there was of a task of ours that is not one any more, or begins anew.
struct Left {
    store: Arc<dyn StateStore>,
    memory: TaskMemory,
}

impl Left {
    fn of(assigned: Assigned) -> Self {
        let (store, memory) = assigned.into_parts();
        Self { store, memory }
    }
}

struct Recovery {
    task: u32,
    /// One that is not awaited any more comes to nothing.
    ticket: u64,
    recovered: anyhow::Result<Recovered>,
}

/// Inputs that are to be read from these places on, and since when that is tried.
struct Starting {
    from: Vec<(InputPartition, u64)>,
    since: Duration,
}

/// Revoked tasks, until their states are on their way.
struct Releasing {
    tasks: Vec<u32>,
    copies: Vec<Receiver<()>>,
    deadline: Duration,
}

struct EpochSoFar {
    began: Duration,
    /// The wall clock that what is read is applied under.
    now: ProcessingTime,
    records: usize,
    bytes: usize,
    /// A task has reached its end.
    due: bool,
}

impl EpochSoFar {
    fn begin(began: Duration, now: ProcessingTime) -> Self {
        Self { began, now, records: 0, bytes: 0, due: false }
    }
}

impl Worker {
    pub(super) fn new(deployment: Arc<Deployment>, transport: Box<dyn Transport + Send>) -> Self {
        let began = deployment.stopwatch.now();
        Self {
            balance: Balance::new(&deployment),
            silences: Silences::new(&deployment),
            transport,
            tasks: BTreeMap::new(),
            recoveries: crossbeam_channel::unbounded(),
            tickets: 0,
            starts: BTreeMap::new(),
            releasing: None,
            fetched: Fetched::default(),
            polled: began,
            pace: Pace::default(),
            epoch: EpochSoFar::begin(began, deployment.now()),
            deployment,
            aborts_in_a_row: 0,
            failures_in_a_row: 0,
            starts_failed_in_a_row: 0,
            told: ProcessingTime::from_micros(0),
            logged: began,
            ended_tasks: BTreeSet::new(),
            group_asked: began,
            ended_elsewhere: Inquiry::default(),
            refused: None,
            standing: Inquiry::default(),
            retention: Inquiry::default(),
            summary: Summary::default(),
        }
    }

    /// Works until it is told to stop, or until a bounded run has ended everywhere.
    pub(super) fn work(&mut self) -> anyhow::Result<Summary> {
        loop {
            if let Some(summary) = self.turn()? {
                return Ok(summary);
            }
        }
    }

    /// Once around; `None`: there is more to do.
    pub(super) fn turn(&mut self) -> anyhow::Result<Option<Summary>> {
        self.deployment.verdict.check()?;
        while let Ok(recovery) = self.recoveries.1.try_recv() {
            self.take_recovery(recovery)?;
        }
        self.start_tasks()?;
        let change = self.poll()?;
        let began = self.deployment.stopwatch.now();
        self.go_on();
        self.apply_fetched()?;
        self.restore_some(self.deployment.stopwatch.since(began))?;
        if let Some(change) = change {
            self.follow(change)?;
        }
        let stop = self.deployment.stop.is_asked();
        if stop || self.is_due() {
            self.close_epoch(self.deployment.watchdog)?;
        }
        self.release_if_ready(stop)?;
        if let Some(refused) = self.refused.take_if(|_| !stop && !self.tasks.values().any(Held::closes_windows)) {
            return Err(refused);
        }
        if stop || self.is_ended_everywhere()? {
            return Ok(Some(self.finish(stop)));
        }
        self.copy_states();
        self.hold_leaders_back()?;
        self.align()?;
        self.rejoin_if_asked()?;
        self.tell_now_and_then();
        self.log_now_and_then();
        Ok(None)
    }

    /// The transport, to be closed by someone who can wait for it.
    pub(super) fn into_transport(self) -> Box<dyn Transport + Send> {
        self.transport
    }

    /// Reads on; but hardly, as long as tasks have more to bring out than an epoch holds: what was read would only wait in memory.
    fn poll(&mut self) -> anyhow::Result<Option<GroupChange>> {
        let is_behind = self.running().any(Assigned::is_behind);
        if is_behind && self.deployment.stopwatch.since(self.polled) < POLL_INTERVAL_BEHIND {
            return Ok(None);
        }
        self.polled = self.deployment.stopwatch.now();
        Ok(self.transport.poll(self.poll_wait(), &mut self.fetched)?)
    }

    fn poll_wait(&self) -> Duration {
        if self.releasing.is_some() || !self.starts.is_empty() || self.tasks.values().any(|held| matches!(held, Held::Recovering { .. })) {
            return BUSY_WAIT;
        }
        if self.running().any(|assigned| assigned.task.is_restoring() || assigned.is_behind()) {
            return Duration::ZERO;
        }
        self.epoch_length().saturating_sub(self.deployment.stopwatch.since(self.epoch.began)).clamp(Duration::from_millis(1), POLL_WAIT_MAX)
    }

    fn epoch_length(&self) -> Duration {
        Duration::from_millis(self.deployment.config.epoch_ms)
    }

    /// Has tasks bring out more of what time has brought them at once, as long as the epoch has room.
    fn go_on(&mut self) {
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held
                && assigned.task.is_behind()
            {
                assigned.task.go_on();
                self.epoch.due |= assigned.has_closed();
            }
        }
    }

    fn apply_fetched(&mut self) -> anyhow::Result<()> {
        let now = self.epoch.now;
        let (allowed, mut full) = (self.allowed(), Vec::new());
        for batch in self.fetched.batches() {
            let Some(Held::Running(assigned)) = self.tasks.get_mut(&batch.partition) else { continue };
            let input = InputPartition { stream: batch.stream, partition: batch.partition };
            if self.pace.is_paused(input) {
                continue;
            }
            let end = self.deployment.end_of(input);
            let topic = &self.deployment.inputs[&batch.stream];
            let mut from = 0;
            while from < batch.len() {
                let to = match allowed {
                    // Without a second stage there is nobody to wait for, and nothing to be looked up.
                    Allowed::Everything => batch.len(),
                    Allowed::Beyond(..) => {
                        let reading = reading(&self.deployment, assigned, input, allowed, &*self.transport);
                        let room = self.pace.room(reading, allowed).saturating_add(assigned.again(batch, from));
                        if room == 0 {
                            full.push(input);
                            break;
                        }
                        from.saturating_add(room).min(batch.len())
                    }
                };
                let part = if to - from == batch.len() { Cow::Borrowed(batch) } else { Cow::Owned(batch.part(from..to)) };
                assigned.apply(&part, end, now).with_context(|| format!("{topic}/{} cannot be read", batch.partition))?;
                from = to;
            }
            self.epoch.due |= assigned.end_if_reached(&self.deployment);
            self.epoch.records += from;
            self.epoch.bytes += batch.bytes();
            self.summary.records_read += from as u64;
        }
        self.fetched.clear();
        if !full.is_empty() {
            self.transport.pause(&full)?;
            full.into_iter().for_each(|input| self.pace.pause(input));
        }
        Ok(())
    }

    /// Goes on with the states of which not all was there when their tasks began: for about as long as the events of this turn took, so that neither keeps the other waiting for long.
    fn restore_some(&mut self, events_took: Duration) -> anyhow::Result<()> {
        let began = self.deployment.stopwatch.now();
        let mut is_more = true;
        while is_more && self.deployment.stopwatch.since(began) < events_took.max(RESTORING_MIN) {
            is_more = match self.restore_round() {
                Ok(is_more) => is_more,
                Err((task, error)) => {
                    self.begin_again_if_damaged(task, error.into())?;
                    true
                }
            };
        }
        Ok(())
    }

    /// Some of each of them; true if that was not all. An error says of which task it is.
    fn restore_round(&mut self) -> Result<bool, (u32, StoreError)> {
        let mut is_more = false;
        for held in self.tasks.values_mut() {
            let Held::Running(assigned) = held else { continue };
            if !assigned.task.is_restoring() {
                continue;
            }
            if assigned.task.restore_some().map_err(|error| (assigned.number, error))? {
                is_more = true;
            } else {
                tracing::info!(task = assigned.number, "all state is there");
                self.epoch.due |= assigned.end_if_reached(&self.deployment);
            }
        }
        Ok(is_more)
    }

    /// How far each task of the first stage may run ahead, where there is a second.
    fn allowed(&self) -> Allowed {
        match &self.deployment.alignment {
            Some(alignment) if self.deployment.stage == Stage::First => {
                let Deployment { tasks, inputs, config, .. } = &*self.deployment;
                alignment.allowed(*tasks, inputs.len(), config.limits.held_events_max)
            }
            _ => Allowed::Everything,
        }
    }

    fn is_due(&self) -> bool {
        let waiting = || self.running().map(|assigned| assigned.task.waiting()).sum::<Waiting>();
        self.epoch.due
            || self.deployment.stopwatch.since(self.epoch.began) >= self.epoch_length()
            || self.epoch.records >= EPOCH_RECORDS_MAX
            || self.epoch.bytes >= EPOCH_BYTES_MAX
            || waiting().is_full()
    }

    fn running(&self) -> impl Iterator<Item = &Assigned> {
        self.tasks.values().filter_map(Held::running)
    }

    fn follow(&mut self, change: GroupChange) -> anyhow::Result<()> {
        tracing::info!(?change, "the group has changed");
        match change {
            GroupChange::Assigned(tasks) => tasks.into_iter().for_each(|task| self.begin_recovery(task)),
            GroupChange::Revoked(tasks) if tasks.is_empty() => {}
            GroupChange::Revoked(tasks) => {
                self.close_epoch(self.deployment.revoke_max)?;
                self.hand_over(tasks)?;
            }
            GroupChange::Lost(tasks) => {
                // There is nothing to give back any more; and what is given to us again meanwhile must not go with it.
                if let Some(releasing) = &mut self.releasing {
                    releasing.tasks.retain(|task| !tasks.contains(task));
                }
                self.releasing.take_if(|releasing| releasing.tasks.is_empty());
                let left = tasks.into_iter().filter_map(|task| self.part_with(task)).map(|left| left.memory).collect();
                self.let_go(left);
            }
            GroupChange::JoinsAnew => self.deployment.metrics.joined_anew(),
        }
        Ok(())
    }

    /// Gives up tasks whose epoch is finished, and has their states carried to where the next one finds them.
    fn hand_over(&mut self, tasks: Vec<u32>) -> anyhow::Result<()> {
        self.release_if_ready(true)?;
        let (mut copies, mut left) = (Vec::new(), Vec::new());
        for &task in &tasks {
            self.transport.pause(&self.deployment.inputs_of(task))?;
            if let Some(Left { store, memory }) = self.part_with(task) {
                copies.push(self.deployment.bases.copy(task, store));
                left.push(memory);
            }
        }
        self.let_go(left);
        self.releasing = Some(Releasing { tasks, copies, deadline: self.deployment.stopwatch.now() + HAND_OVER_MAX });
        self.release_if_ready(false)
    }

    fn release_if_ready(&mut self, at_once: bool) -> anyhow::Result<()> {
        let is_done = |copy: &Receiver<()>| copy.try_recv() == Err(TryRecvError::Disconnected);
        let stopwatch = &self.deployment.stopwatch;
        let is_ready = |releasing: &mut Releasing| at_once || stopwatch.now() >= releasing.deadline || releasing.copies.iter().all(is_done);
        if let Some(releasing) = self.releasing.take_if(is_ready) {
            self.transport.release(&releasing.tasks)?;
        }
        Ok(())
    }

    /// It is somebody else's from now on. Its store is closed with what is given back.
    fn part_with(&mut self, task: u32) -> Option<Left> {
        self.deployment.metrics.forget_task(task);
        self.drop_task(task)
    }

    /// What is here of it is of no use any more; it may still be ours, and begin anew.
    fn drop_task(&mut self, task: u32) -> Option<Left> {
        self.balance.forget(&[task]);
        self.fetched.forget(task);
        self.pace.forget(task);
        self.starts.remove(&task);
        if let Some(alignment) = self.deployment.alignment.as_ref().filter(|_| self.deployment.stage == Stage::Rekeyed) {
            alignment.forget(task);
        }
        match self.tasks.remove(&task) {
            Some(Held::Running(assigned)) => {
                self.count(&assigned);
                Some(Left::of(*assigned))
            }
            Some(Held::Recovering { cancelled, .. }) => {
                cancelled.store(true, Ordering::Relaxed);
                None
            }
            Some(Held::Ended) | None => None,
        }
    }

    /// Those that stay do not wait for it. (One thread for all of them: it is not to take the processors from the others.)
    fn let_go(&self, left: Vec<TaskMemory>) {
        if !left.is_empty() {
            self.deployment.beside.run(move || drop(left));
        }
    }

    fn begin_recovery(&mut self, task: u32) {
        // Whoever recovers it opens the store, and needs the room.
        let left = self.drop_task(task).map(|left| left.memory);
        self.deployment.metrics.task_recovers(task);
        if let Some(alignment) = self.deployment.alignment.as_ref().filter(|_| self.deployment.stage == Stage::Rekeyed) {
            alignment.tell(task, &[]);
        }
        self.tickets += 1;
        let (ticket, cancelled) = (self.tickets, Arc::new(AtomicBool::new(false)));
        self.tasks.insert(task, Held::Recovering { ticket, cancelled: cancelled.clone() });
        let (deployment, done) = (self.deployment.clone(), self.recoveries.0.clone());
        self.deployment.beside.run(move || {
            drop(left);
            let recovered = recover(&deployment, task, &cancelled);
            // Nobody listens any more where the worker has ended.
            drop(done.send(Recovery { task, ticket, recovered }));
        });
    }

    fn take_recovery(&mut self, Recovery { task, ticket, recovered }: Recovery) -> anyhow::Result<()> {
        if !matches!(self.tasks.get(&task), Some(Held::Recovering { ticket: awaited, .. }) if *awaited == ticket) {
            if let Ok(Recovered::Ready(assigned, _)) = recovered {
                self.let_go(vec![Left::of(*assigned).memory]);
            }
            return Ok(());
        }
        match recovered {
            Err(error) if error.is::<Cancelled>() => {}
            Err(error) if matches!(error.downcast_ref(), Some(Refusal::Ended { .. })) => {
                self.refused.get_or_insert(error);
                self.note_ended(task);
            }
            Err(error) => return Err(error),
            Ok(Recovered::AlreadyEnded) => self.note_ended(task),
            Ok(Recovered::Ready(mut assigned, from)) => {
                self.epoch.due |= assigned.end_if_reached(&self.deployment);
                self.silences.check(&self.deployment, &mut assigned, &*self.transport, &self.balance, self.epoch.now);
                self.tasks.insert(task, Held::Running(assigned));
                self.start(task, from);
            }
        }
        Ok(())
    }

    fn note_ended(&mut self, task: u32) {
        // It is never behind again.
        self.deployment.metrics.forget_task(task);
        self.tasks.insert(task, Held::Ended);
    }

    /// Tried in each turn from now on, until it can be.
    fn start(&mut self, task: u32, from: Vec<(InputPartition, u64)>) {
        let stopwatch = &self.deployment.stopwatch;
        self.starts.entry(task).or_insert_with(|| Starting { from: Vec::new(), since: stopwatch.now() }).from.extend(from);
    }

    /// What cannot be read yet is tried again in the next turn, after the group was heard: most likely it is only new, or not ours any more.
    fn start_tasks(&mut self) -> anyhow::Result<()> {
        for (task, starting) in std::mem::take(&mut self.starts) {
            match self.transport.start(&starting.from) {
                Ok(()) => self.starts_failed_in_a_row = 0,
                Err(_) if self.deployment.stopwatch.since(starting.since) < START_MAX => drop(self.starts.insert(task, starting)),
                Err(error) => {
                    self.starts_failed_in_a_row += 1;
                    if self.starts_failed_in_a_row >= FAILURES_MAX {
                        return Err(error.into());
                    }
                    tracing::warn!(task, %error, "a task cannot be read; it begins anew");
                    self.begin_recovery(task);
                }
            }
        }
        Ok(())
    }

    /// Delivers what came out of all tasks in one transaction, then keeps their state.
    fn close_epoch(&mut self, watchdog: Duration) -> anyhow::Result<()> {
        let (opened, closed) = (self.epoch.now, self.deployment.now());
        let (mut parts, mut failed) = (Vec::new(), Vec::new());
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held {
                self.silences.check(&self.deployment, assigned, &*self.transport, &self.balance, closed);
                assigned.tick(closed);
                let part = match assigned.take_part(opened, closed, Quiet::PassedOver) {
                    Ok(part) => part,
                    Err(error) => {
                        failed.push((assigned.number, error));
                        continue;
                    }
                };
                if part.as_ref().is_some_and(|part| part.epoch.announced.is_some()) {
                    for input in self.deployment.inputs_of(assigned.number) {
                        self.pace.note(reading(&self.deployment, assigned, input, Allowed::Everything, &*self.transport));
                    }
                }
                parts.extend(part);
            }
        }
        self.epoch = EpochSoFar::begin(self.deployment.stopwatch.now(), closed);
        for (task, error) in failed {
            self.begin_again_if_damaged(task, error.into())?;
        }
        if parts.is_empty() {
            return Ok(());
        }
        let began = self.deployment.stopwatch.now();
        let delivery = delivery(&self.deployment, &mut parts, &*self.transport);
        let metrics = &self.deployment.metrics;
        match deliver(&mut *self.transport, &delivery, watchdog, &self.deployment.stop) {
            Delivered::Committed => {
                metrics.committed(self.deployment.stopwatch.since(began));
                let journal = &self.deployment.outputs.journal;
                // The journal's record is the last of its partition.
                let offset = |part: &Part| self.transport.delivered_to(journal, part.record.task).map(|next| next - 1);
                let kept = parts.into_iter().map(|part| (offset(&part), part)).collect();
                self.keep(kept)
            }
            Delivered::Aborted(error) => {
                metrics.aborted();
                self.aborts_in_a_row += 1;
                if self.aborts_in_a_row >= ABORTS_MAX {
                    return self.replace_producer(error);
                }
                self.run_again(&parts);
                Ok(())
            }
            Delivered::Discarded(error) => {
                metrics.aborted();
                tracing::warn!(%error, "records may still be on their way: another producer takes over, and the epoch is run again");
                self.aborts_in_a_row += 1;
                if self.aborts_in_a_row >= ABORTS_MAX {
                    return self.replace_producer(error);
                }
                self.give_up(tasks_of(&parts))
            }
            Delivered::Expelled(error) => {
                metrics.expelled();
                tracing::warn!(%error, "the group has gone on without this worker: its tasks begin anew");
                self.run_all_again();
                Ok(())
            }
            Delivered::Unknown(error) => {
                metrics.outcome_unknown();
                // Somebody else has the tasks by now, or the transaction took too long: there is nothing to hold on to until the journal was read.
                if matches!(error.failure, Failure::Fatal | Failure::Denied) {
                    metrics.fenced();
                    return self.replace_producer(error);
                }
                tracing::warn!(%error, "the end of a transaction is not known; another producer takes over, and the tasks begin anew: the journal tells them");
                self.give_up(tasks_of(&parts))
            }
            Delivered::Failed(error) => {
                metrics.fenced();
                self.replace_producer(error)
            }
        }
    }

    fn keep(&mut self, parts: Vec<(Option<u64>, Part)>) -> anyhow::Result<()> {
        (self.aborts_in_a_row, self.failures_in_a_row) = (0, 0);
        for (journal_offset, part) in parts {
            let task = part.record.task;
            if let Some(Held::Running(assigned)) = self.tasks.get_mut(&task) {
                let record = part.record.clone();
                match assigned.keep(part, &record, journal_offset) {
                    Ok(()) => tell(&self.deployment, assigned, &*self.transport, &self.silences),
                    Err(error) => self.begin_again_if_damaged(task, error.into())?,
                }
                if record.ended && self.deployment.ends.is_none() {
                    // It was a bounded run's end, finished by one that is not: whether anything is left to read, the recovery tells.
                    self.begin_again(task);
                }
            }
        }
        Ok(())
    }

    /// Nothing can be done with this producer any more. Tasks that are still ours begin anew with another.
    fn replace_producer(&mut self, error: TransportError) -> anyhow::Result<()> {
        if error.failure == Failure::Denied {
            return Err(error.into());
        }
        self.aborts_in_a_row = 0;
        self.failures_in_a_row += 1;
        if self.failures_in_a_row >= FAILURES_MAX {
            return Err(error).context(format!("{FAILURES_MAX} producers in a row could not commit a transaction"));
        }
        tracing::warn!(%error, "a transaction cannot be ended; another producer takes over, and the tasks begin anew");
        self.give_up(self.running().map(|assigned| assigned.number).collect())
    }

    /// What these tasks hold is void, whoever has them now. Those that are still ours begin anew once there is another producer: of the old one nothing can still happen then, and
    /// whether its last transaction did, those that recover read in the journal.
    fn give_up(&mut self, tasks: Vec<u32>) -> anyhow::Result<()> {
        let mut left = Vec::new();
        for &task in &tasks {
            self.pause(task);
            left.extend(self.drop_task(task).map(|left| left.memory));
            // That may be long before the next producer is there.
            self.deployment.metrics.task_recovers(task);
        }
        self.let_go(left);
        tracing::info!(?tasks, "tasks are given up");
        self.renew()?;
        tasks.into_iter().for_each(|task| self.begin_recovery(task));
        Ok(())
    }

    /// For as long as the brokers may be away.
    fn renew(&mut self) -> anyhow::Result<()> {
        let (began, stop) = (self.deployment.stopwatch.now(), self.deployment.stop.clone());
        loop {
            let renewed = self.transport.renew(RENEW_WAIT);
            let is_late = self.deployment.stopwatch.since(began) >= OUTAGE_MAX;
            match renewed {
                Ok(true) => return Ok(()),
                Ok(false) if is_late || stop.is_asked_since(RENEW_STOP_WAIT) => {
                    bail!("no new producer can be made: the brokers do not answer")
                }
                Ok(false) => {}
                Err(error) if error.failure == Failure::Denied => return Err(error.into()),
                Err(error) if is_late || stop.is_asked() => return Err(error).context("no new producer can be made"),
                Err(error) => {
                    tracing::warn!(%error, "no new producer can be made yet");
                    std::thread::sleep(OUTAGE_INTERVAL);
                }
            }
        }
    }

    /// What they had read since the last epoch is read again.
    fn run_again(&mut self, parts: &[Part]) {
        for part in parts {
            self.begin_again(part.record.task);
        }
    }

    fn run_all_again(&mut self) {
        let running: Vec<_> = self.running().map(|assigned| assigned.number).collect();
        running.into_iter().for_each(|task| self.begin_again(task));
    }

    fn begin_again(&mut self, task: u32) {
        self.pause(task);
        self.begin_recovery(task);
    }

    /// What has failed is the state of this task. Where that is damaged, there may be another base to go on from.
    fn begin_again_if_damaged(&mut self, task: u32, error: anyhow::Error) -> anyhow::Result<()> {
        if !self.deployment.bases.is_damaged(task) {
            return Err(error).with_context(|| format!("state of task {task}"));
        }
        tracing::error!(task, error = format!("{error:#}"), "the state of a task is damaged; it begins anew without it");
        self.begin_again(task);
        Ok(())
    }

    /// Records that still come are passed over as long as it recovers.
    fn pause(&mut self, task: u32) {
        if let Err(error) = self.transport.pause(&self.deployment.inputs_of(task)) {
            tracing::debug!(task, %error, "not paused");
        }
    }

    fn rejoin_if_asked(&mut self) -> anyhow::Result<()> {
        if let Some(member) = self.deployment.rejoin.member()
            && self.transport.rejoin(&member)?
        {
            self.deployment.rejoin.set(None);
        }
        Ok(())
    }

    /// A bounded run ends together: a partition may still come to us as long as anyone has not finished.
    fn is_ended_everywhere(&mut self) -> anyhow::Result<bool> {
        if self.deployment.ends.is_none() {
            return Ok(false);
        }
        let ended = |held: &Held| match held {
            Held::Recovering { .. } => false,
            Held::Running(assigned) => assigned.is_ended(),
            Held::Ended => true,
        };
        if !self.tasks.values().all(ended) {
            return Ok(false);
        }
        self.ended_tasks.extend(self.tasks.keys());
        match self.ended_elsewhere.answer() {
            Some(Err(error)) if is_outage(&error) => tracing::warn!(error = format!("{error:#}"), "whether others have finished cannot be told"),
            answer => self.ended_tasks.extend(answer.transpose()?.unwrap_or_default()),
        }
        let others: Vec<u32> = (0..self.deployment.tasks).filter(|task| !self.ended_tasks.contains(task)).take(GROUP_END_TASKS_MAX).collect();
        let is_over = others.is_empty();
        if !is_over && self.ended_elsewhere.is_free() && self.deployment.stopwatch.since(self.group_asked) >= GROUP_END_INTERVAL {
            self.group_asked = self.deployment.stopwatch.now();
            let deployment = self.deployment.clone();
            self.ended_elsewhere.ask(self.deployment.beside, move || ended_among(&deployment, &others));
        }
        Ok(is_over)
    }

    fn hold_leaders_back(&mut self) -> anyhow::Result<()> {
        for (task, held) in &mut self.tasks {
            // A start lets all of a task's inputs be read, whatever was paused before.
            if let Held::Running(assigned) = held
                && !self.starts.contains_key(task)
            {
                self.balance.check(&self.deployment, assigned, &mut *self.transport)?;
            }
        }
        Ok(())
    }

    /// Between the stages: the second tells how far all are, and of the first those go on that have waited for that.
    fn align(&mut self) -> anyhow::Result<()> {
        let Some(alignment) = self.deployment.alignment.clone() else { return Ok(()) };
        if self.deployment.stage == Stage::Rekeyed {
            for held in self.tasks.values_mut() {
                if let Held::Running(assigned) = held {
                    let news = assigned.task.take_upstream_news();
                    if !news.is_empty() {
                        alignment.tell(assigned.number, &news);
                    }
                }
            }
            return Ok(());
        }
        let allowed = self.allowed();
        self.standing.answer();
        let (mut go_on, mut question): (BTreeMap<u32, Vec<InputPartition>>, _) = (BTreeMap::new(), None);
        for input in self.pace.paused() {
            let Some(Held::Running(assigned)) = self.tasks.get(&input.partition) else { continue };
            if self.pace.goes_on(reading(&self.deployment, assigned, input, allowed, &*self.transport), allowed) {
                go_on.entry(input.partition).or_default().push(input);
            } else if let Allowed::Beyond(reached, _) = allowed
                && self.standing.is_free()
            {
                question = question.or_else(|| alignment.wait(reached, self.deployment.tasks));
            }
        }
        if let Some(question) = question {
            let deployment = self.deployment.clone();
            self.standing.ask(self.deployment.beside, move || find_out(&deployment, &alignment, question));
        }
        for (task, inputs) in go_on {
            let Some(Held::Running(assigned)) = self.tasks.get(&task) else { continue };
            let places: Vec<_> = assigned.places().into_iter().filter(|(input, _)| inputs.contains(input)).collect();
            self.start(task, places);
        }
        Ok(())
    }

    fn copy_states(&mut self) {
        let Some(checkpoints) = &self.deployment.config.checkpoints else { return };
        let interval = Duration::from_millis(checkpoints.interval_ms);
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held {
                assigned.copy_if_due(&*self.deployment.bases, interval, &self.deployment.metrics);
            }
        }
    }

    /// How far each task is that reads: it may fall behind, or have nothing left to read, without committing anything.
    fn tell_now_and_then(&mut self) {
        let now = self.deployment.now();
        // A clock that was put back is no reason to be silent until it is as far again.
        if now >= self.told && now.since(self.told) < TELL_INTERVAL {
            return;
        }
        self.told = now;
        let running = self.tasks.values().filter_map(Held::running);
        self.silences.check_others(&self.deployment, running, &*self.transport, &self.balance, now);
        self.running().for_each(|assigned| tell(&self.deployment, assigned, &*self.transport, &self.silences));
    }

    fn log_now_and_then(&mut self) {
        if self.deployment.stopwatch.since(self.logged) < LOG_INTERVAL {
            return;
        }
        self.logged = self.deployment.stopwatch.now();
        self.look_at_retention();
        let now = self.deployment.metrics.snapshot(self.deployment.now());
        let (mean, longest) = (now.commits.mean(), now.commits.longest);
        let checkpoint_age_max =
            self.deployment.config.checkpoints.as_ref().map(|checkpoints| Duration::from_millis(checkpoints.interval_ms) * CHECKPOINT_INTERVALS_MAX);
        tracing::info!(
            commits.count = now.commits.count,
            ?mean,
            ?longest,
            checkpoints.count = now.checkpoints.count,
            aborts = now.aborts,
            unknown_outcomes = now.unknown_outcomes,
            fences = now.fences,
            expulsions = now.expulsions,
            rejoins = now.rejoins,
            replayed_epochs = now.replayed_epochs,
            digest_differences = now.digest_differences,
            outages = now.outages
        );
        for (task, told) in now.tasks.into_iter().filter(|(task, _)| self.tasks.contains_key(task)) {
            let (lag_ms, watermark) = (told.lag_event_time.map(|lag| lag.micros() / 1_000), told.watermark.map(|watermark| watermark.to_string()));
            tracing::info!(task, told.epoch, told.lag_records, lag_ms, watermark, told.checkpoint_epoch);
            if checkpoint_age_max.is_some_and(|longest| told.checkpoint_age > longest) {
                let age = told.checkpoint_age;
                tracing::warn!(task, ?age, told.checkpoint_epoch, "the last checkpoint is old: input since then must be retained until there is a newer one");
            }
        }
    }

    /// Beside the worker: as long as brokers do not answer, they are not asked again.
    fn look_at_retention(&mut self) {
        self.retention.answer();
        if !self.retention.is_free() {
            return;
        }
        let (deployment, mut needed) = (self.deployment.clone(), Vec::new());
        for held in self.tasks.values_mut() {
            if let Held::Running(assigned) = held {
                needed.extend(match deployment.config.checkpoints {
                    Some(_) => assigned.checkpoint_places(deployment.metrics.checkpoint_epoch(assigned.number)),
                    None => assigned.store_places(),
                });
            }
        }
        self.retention.ask(self.deployment.beside, move || retention::look(&deployment, &needed));
    }

    /// With the states among the checkpoints, as far as there is time: the next start then has nothing to repeat, wherever it is.
    fn finish(&mut self, stopped: bool) -> Summary {
        let tasks: Vec<_> = self.tasks.keys().copied().collect();
        let (mut copies, mut left) = (Vec::new(), Vec::new());
        for task in tasks {
            if let Some(Left { store, memory }) = self.part_with(task) {
                copies.push(self.deployment.bases.copy(task, store));
                left.push(memory);
            }
        }
        self.let_go(left);
        let deadline = Instant::now() + self.deployment.stop.time_for(EndPart::States);
        let is_late = |copy: &Receiver<()>| copy.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout);
        if copies.iter().filter(|copy| is_late(copy)).count() > 0 {
            tracing::warn!("not all states could be checkpointed in time; where this machine does not come back, their last epochs are repeated");
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

#[cfg(test)]
impl Worker {
    /// Tasks that are here to be worked on, and those that whoever shows them knows of.
    pub(super) fn here_and_shown(&self) -> [Vec<u32>; 2] {
        let here = self.tasks.iter().filter(|(_, held)| !matches!(held, Held::Ended)).map(|(task, _)| *task);
        [here.collect(), self.deployment.metrics.snapshot(self.deployment.now()).tasks.into_keys().collect()]
    }
}

fn tasks_of(parts: &[Part]) -> Vec<u32> {
    parts.iter().map(|part| part.record.task).collect()
}

/// Where an input of a task is, as the alignment asks.
fn reading<'a>(deployment: &Deployment, assigned: &'a Assigned, input: InputPartition, allowed: Allowed, transport: &dyn Transport) -> Reading<'a> {
    let is_behind = matches!(allowed, Allowed::Beyond(reached, _) if assigned.task.watermark() <= reached);
    Reading {
        input,
        watermark: assigned.task.own_watermark(input.stream, input.partition),
        handed_on: assigned.task.handed_on(input.stream),
        is_stuck: is_behind && deployment.ends.is_some() && assigned.is_held_back_by_silence(&|input| deployment.known_end(transport, input)),
    }
}

/// Where a task stands, for whoever shows it.
fn tell(deployment: &Deployment, assigned: &Assigned, transport: &dyn Transport, silences: &Silences) {
    let lags = assigned.places().into_iter().map(|(input, read)| silences.left(deployment, transport, input, read));
    let Counters { cold_keys, keys_spilled, .. } = assigned.task.counters();
    deployment.metrics.tell_task(
        assigned.number,
        TaskMetrics {
            epoch: assigned.epoch(),
            watermark: Some(assigned.task.watermark()),
            newest: assigned.newest(),
            lag_records: lags.sum(),
            cold_keys,
            keys_spilled,
            ..TaskMetrics::default()
        },
    );
}
