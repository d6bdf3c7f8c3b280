//! Kafka to Kafka: one epoch is one transaction.
//!
//! ```text
//! input topics ─poll─▶ Worker ─▶ tasks (partition p of every input) ─▶ matches and offsets, one transaction ─▶ output topics
//!                                   └─▶ a store for each task, written once the transaction has committed
//! events by other keys ─────────────▶ a topic of our own ─▶ Worker ─▶ tasks of a second stage ─▶ the same
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `recovery` | decision: how a task begins, or why it may not |
//! | `recover`, `replay` | that carried out; epochs repeated from the journal |
//! | `commit` | decision: what follows from each failure of a transaction's steps; the steps carried out |
//! | `worker` | the loop |
//! | `beside` | what would keep the loop waiting for brokers |
//! | `assigned` | a task that is here: engine, store, positions |
//! | `bases`, `checkpoints` | states to take tasks up from: on this machine, and as objects that any machine finds |
//! | `copies` | states on their way to the checkpoints |
//! | `metrics` | what happens here, in numbers |
//! | `outgoing` | an epoch to records |
//! | `journal/`, `journal_end` | what each epoch read and put out, as a record of its own; the last of them |
//! | `pattern_set` | what was evaluated, under a name |
//! | `verify/` | whether the promises were kept, from the topics alone |
//! | `balance`, `silence` | inputs of a task kept together; which of them have nothing to say |
//! | `alignment`, `pace`, `standing` | tasks whose events meet again kept together: how far all are, how far each input may go, where those of others stand |
//! | `stages` | patterns keyed by something else than what the topics are partitioned by |
//! | `unowned` | tasks that belong to nobody, noticed |
//! | `watch`, `retention` | brokers that are away, inputs that were made anew or given more partitions, or are about to lose what a restart would read, noticed |
//! | `deployment`, `slot` | what a process finds and takes at its start |
//! | `stopwatch` | how long something takes |
//!
//! More workers, or more processes with the same configuration, share the partitions among them: it makes no difference. A task that moves goes on from the state
//! of its new machine, if that has any, or from a checkpoint, and repeats the epochs that it lacks.
//!
//! Each decision is a pure function of facts, with a table in its tests; [`crate::ports::Transport`] and [`crate::ports::TopicSurvey`] are all that the
//! workers know of Kafka, so that the tests here run them on a simulated cluster that fails at every step.

mod alignment;
mod assigned;
mod balance;
mod bases;
mod beside;
mod checkpoints;
mod commit;
mod copies;
mod deployment;
pub mod journal;
mod journal_end;
pub mod metrics;
pub(in crate::service) mod outgoing;
mod pace;
mod pattern_set;
mod recover;
mod recovery;
mod replay;
mod retention;
mod silence;
#[cfg(test)]
mod simulation;
mod slot;
pub mod stages;
mod standing;
mod stopwatch;
mod unowned;
pub mod verify;
mod watch;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::kafka::{Identity, Link, Member, TopicLog, Topics};
use crate::language::Source;
use crate::pattern::Program;
use crate::ports::Transport;
use crate::service::embedded::serve;
use crate::service::{EndPart, StopSignal, Summary, log_max};
use crate::store::MemoryBudget;

use deployment::{Deployment, Opened};
use metrics::MetricsSnapshot;
use stages::Stage;
use worker::Worker;

/// Whether the records that the topics hold at the start are all there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UntilEnd {
    /// Evaluates them, closes all windows, and ends.
    Yes,
    No,
}

/// What a worker's connection to the brokers is put into.
pub type Wrap<'a> = &'a (dyn Fn(Box<dyn Transport + Send>) -> Box<dyn Transport + Send> + Sync);

/// Runs until a stop is asked for, or with [`UntilEnd::Yes`] until the whole group has reached the ends. An error is a sentence for the operator.
pub fn run(program: Arc<Program>, sources: &[Source], config: &Config, stop: &StopSignal, until_end: UntilEnd) -> anyhow::Result<Summary> {
    run_over(program, sources, config, stop, until_end, &|member| member)
}

/// The same with something between each worker and the brokers, which may watch what is done, or leave some of it out to see what that costs. What is delivered is
/// exactly once only where it leaves nothing out.
pub fn run_over(program: Arc<Program>, sources: &[Source], config: &Config, stop: &StopSignal, until_end: UntilEnd, wrap: Wrap<'_>) -> anyhow::Result<Summary> {
    MemoryBudget::of_process().set_bytes(config.limits.store_memory_bytes_max);
    let stages = deployment::open(&program, sources, config, until_end, stop)?;
    let first = stages.first().expect("there is always a first stage");
    let log = match config.grpc {
        Some(_) => Some(Arc::new(TopicLog::open(&first.link, first.survey.clone(), &first.deployment.outputs.matches.name, log_max(&config.limits))?)),
        None => None,
    };
    let server = match (&config.grpc, &log) {
        (Some(grpc), Some(log)) => Some(serve(grpc.address, &program, config, log.clone(), None)?),
        _ => None,
    };
    let tell = |is_serving| {
        if let Some((runtime, server)) = &server {
            runtime.block_on(server.tell(is_serving));
        }
    };
    let summary = run_stages(stages, wrap, &tell, stop);
    if let (Some((runtime, server)), Some(log)) = (server, log) {
        log.settle(stop.time_for(EndPart::LogEnd));
        runtime.block_on(server.shut_down(stop.time_for(EndPart::Subscribers)));
        close(log, stop.time_for(EndPart::Log));
    }
    summary
}

/// What the workers of a stage share.
#[derive(Clone)]
struct StageShared {
    deployment: Arc<Deployment>,
    link: Link,
    topics: Topics,
}

/// One thread for each worker of each stage. The first that fails stops the others; its error is the run's. `tell`: whether the brokers let us work.
fn run_stages(stages: Vec<Opened>, wrap: Wrap<'_>, tell: &(dyn Fn(bool) + Sync), stop: &StopSignal) -> anyhow::Result<Summary> {
    let share = |Opened { deployment, link, topics, .. }: Opened| StageShared { deployment: Arc::new(deployment), link, topics };
    let stages: Vec<StageShared> = stages.into_iter().map(share).collect();
    let workers = |stage: &StageShared| (0..stage.deployment.config.workers.max(1)).map(|worker| (stage.clone(), worker)).collect::<Vec<_>>();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let (_ends, ended) = crossbeam_channel::bounded(0);
        for stage in &stages {
            let ended = ended.clone();
            scope.spawn(move || unowned::watch(&stage.deployment, &ended));
        }
        let deployments: Vec<&Deployment> = stages.iter().map(|stage| &*stage.deployment).collect();
        scope.spawn(move || watch::watch(&deployments, tell, &ended));
        let threads: Vec<_> = stages
            .iter()
            .flat_map(workers)
            .map(|(stage, worker)| {
                let of = stage.deployment.stage;
                (of, scope.spawn(move || run_worker(&stage, worker, wrap)))
            })
            .collect();
        threads.into_iter().map(|(of, thread)| (of, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))).collect()
    });
    let mut topics = MetricsSnapshot::default();
    stages.iter().map(|stage| &stage.deployment).for_each(|stage| topics.add(stage.stage, stage.metrics.snapshot(stage.now())));
    close(stages, stop.time_for(EndPart::Clients));
    let mut total = Summary { topics: Some(topics), ..Summary::default() };
    for (of, outcome) in outcomes {
        add(&mut total, of, outcome?);
    }
    Ok(total)
}

fn add(total: &mut Summary, of: Stage, mut summary: Summary) {
    if of == Stage::Rekeyed {
        // They were counted where they came first.
        (summary.counters.events, summary.records_read) = (0, 0);
    }
    total.counters.add(&summary.counters);
    for (code, number) in summary.rejected {
        *total.rejected.entry(code).or_default() += number;
    }
    total.records_read += summary.records_read;
    total.keys_by_worker.push(summary.keys_by_worker.iter().sum());
    total.stopped |= summary.stopped;
}

fn run_worker(stage: &StageShared, worker: usize, wrap: Wrap<'_>) -> anyhow::Result<Summary> {
    let deployment = &stage.deployment;
    let _span = deployment.stage.header().map(|stage| tracing::info_span!("stage", name = stage).entered());
    let mut stop_others = StopOthers { signal: &deployment.stop, armed: true };
    let identity = Identity { instance: deployment.slot.instance.clone(), slot: deployment.slot.number, worker };
    let Some(member) = Member::join(&stage.link, identity, &stage.topics, &deployment.written, &|| deployment.stop.is_asked())? else {
        stop_others.armed = false;
        return Ok(Summary { stopped: true, ..Summary::default() });
    };
    let member = if deployment.config.leaves { member.leaving_for_good() } else { member };
    let mut worker = Worker::new(deployment.clone(), wrap(Box::new(member)));
    let outcome = worker.work();
    close(worker.into_transport(), deployment.stop.time_for(EndPart::Member));
    let summary = outcome?;
    stop_others.armed = false;
    Ok(summary)
}

/// Where a worker fails or panics, the others are not to go on alone.
struct StopOthers<'a> {
    signal: &'a StopSignal,
    armed: bool,
}

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.signal.ask();
        }
    }
}

/// What was to be done is done by now, or has failed: a client that does not close changes nothing of that, as those of brokers that are gone may, and the process ends without it.
fn close(clients: impl Send + 'static, time: Duration) {
    let (closing, closed) = crossbeam_channel::bounded::<()>(0);
    std::thread::spawn(move || {
        drop(clients);
        drop(closing);
    });
    if closed.recv_timeout(time) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
        tracing::warn!(
            "the Kafka clients do not close (are the brokers gone?): they are left as they are; the group waits for this worker until its session is over"
        );
    }
}
