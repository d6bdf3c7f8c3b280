//! Kafka to Kafka: one epoch is one transaction.
//!
//! ```text
//! input topics ─poll─▶ Worker ─▶ tasks (partition p of every input) ─▶ matches and offsets, one transaction ─▶ output topics
//!                                   └─▶ a store for each task, written once the transaction has committed
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `recovery` | decision: how a task begins, or why it may not |
//! | `recover`, `replay` | that carried out; epochs repeated from the journal |
//! | `commit` | decision: what follows from each failure of a transaction's steps; the steps carried out |
//! | `worker` | the loop |
//! | `assigned` | a task that is here: engine, store, positions |
//! | `bases`, `checkpoints` | states to take tasks up from: on this machine, and as objects that any machine finds |
//! | `copies` | states on their way to the checkpoints |
//! | `metrics` | what happens here, in numbers |
//! | `outgoing` | an epoch to records |
//! | `journal/` | what each epoch read and put out, as a record of its own |
//! | `pattern_set` | what was evaluated, under a name |
//! | `verify/` | whether the promises were kept, from the topics alone |
//! | `balance`, `silence` | inputs of a task kept together; which of them have nothing to say |
//! | `deployment`, `slot` | what a process finds and takes at its start |
//!
//! More workers, or more processes with the same configuration, share the partitions among them: it makes no difference. A task that moves goes on from the state
//! of its new machine, if that has any, or from a checkpoint, and repeats the epochs that it lacks.
//!
//! Each decision is a pure function of facts, with a table in its tests; [`crate::ports::Transport`] and [`crate::ports::TopicSurvey`] are all that the
//! workers know of Kafka, so that the tests here run them on a simulated cluster that fails at every step.

mod assigned;
mod balance;
mod bases;
mod checkpoints;
mod commit;
mod copies;
mod deployment;
pub mod journal;
pub mod metrics;
mod outgoing;
mod pattern_set;
mod recover;
mod recovery;
mod replay;
mod silence;
#[cfg(test)]
mod simulation;
mod slot;
pub mod verify;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::kafka::{Identity, Link, Member, TopicLog, Topics};
use crate::language::Source;
use crate::pattern::Program;
use crate::ports::Transport;
use crate::service::embedded::serve;
use crate::service::{StopSignal, Summary};

use deployment::{Deployment, Opened};
use worker::Worker;

/// Clients of brokers that are gone may take for ever to close; the process does not wait for longer.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// How long subscribers may wait for the last matches to be read back from the output topic.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Whether the records that the topics hold at the start are all there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UntilEnd {
    /// Evaluates them, closes all windows, and ends.
    Yes,
    No,
}

/// Runs until a stop is asked for, or with [`UntilEnd::Yes`] until the whole group has reached the ends. An error is a sentence for the operator.
pub fn run(program: Arc<Program>, sources: &[Source], config: &Config, stop: &StopSignal, until_end: UntilEnd) -> anyhow::Result<Summary> {
    let Opened { deployment, link, topics, survey } = Deployment::open(program.clone(), sources, config, until_end, stop)?;
    let log = match config.grpc {
        Some(_) => Some(Arc::new(TopicLog::open(&link, survey, &deployment.outputs.matches.name, config.limits.log_matches_max)?)),
        None => None,
    };
    let server = match (&config.grpc, &log) {
        (Some(grpc), Some(log)) => Some(serve(grpc.address, &program, config, log.clone(), None)?),
        _ => None,
    };
    let metrics = deployment.metrics.clone();
    let summary = run_workers(&Arc::new(deployment), &link, &topics).map(|summary| Summary { topics: Some(metrics.snapshot()), ..summary });
    if let (Some((runtime, server)), Some(log)) = (server, log) {
        log.settle(SETTLE_MAX);
        runtime.block_on(server.shut_down());
    }
    summary
}

/// One thread each. The first that fails stops the others; its error is the run's.
fn run_workers(deployment: &Arc<Deployment>, link: &Link, topics: &Topics) -> anyhow::Result<Summary> {
    let workers = 0..deployment.config.workers.max(1);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers.map(|worker| scope.spawn(move || run_worker(deployment, link, topics, worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut total = Summary::default();
    for outcome in outcomes {
        let summary: Summary = outcome?;
        total.counters.add(&summary.counters);
        for (code, number) in summary.rejected {
            *total.rejected.entry(code).or_default() += number;
        }
        total.records_read += summary.records_read;
        total.keys_by_worker.push(summary.keys_by_worker.iter().sum());
        total.stopped |= summary.stopped;
    }
    Ok(total)
}

fn run_worker(deployment: &Arc<Deployment>, link: &Link, topics: &Topics, worker: usize) -> anyhow::Result<Summary> {
    let mut stop_others = StopOthers { signal: &deployment.stop, armed: true };
    let identity = Identity { instance: deployment.slot.instance.clone(), slot: deployment.slot.number, worker };
    let member = Member::join(link, identity, topics)?;
    let mut worker = Worker::new(deployment.clone(), Box::new(member));
    let outcome = worker.work();
    let closed = close(worker.into_transport());
    let summary = outcome?;
    closed?;
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

fn close(transport: Box<dyn Transport + Send>) -> anyhow::Result<()> {
    let (closing, closed) = crossbeam_channel::bounded::<()>(0);
    std::thread::spawn(move || {
        drop(transport);
        drop(closing);
    });
    let is_late = closed.recv_timeout(CLOSE_MAX) == Err(crossbeam_channel::RecvTimeoutError::Timeout);
    anyhow::ensure!(!is_late, "the Kafka clients do not close; are the brokers gone?");
    Ok(())
}
