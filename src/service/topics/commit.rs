//! One epoch, one transaction: the order of the calls, and what each failure of each call leads to.
//!
//! ```text
//! begin ▸ send ▸ drain ▸ guard ▸ offsets ▸ commit      (then the state on this machine: `worker`)
//! ```
//!
//! Drained, not flushed, before the commit: flushing costs 100 ms. Guarded right before the offsets, because a broker takes offsets from whoever is no
//! member of the group. [`decide`] is the table; [`deliver`] only carries it out.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::ports::{Failure, InputPartition, OutputRecord, Transport, TransportError};
use crate::service::StopSignal;
use crate::service::topics::stages::Stage;

/// How long one call may take before it is asked again.
const CALL_WAIT: Duration = Duration::from_secs(5);

/// How long records are waited for, and how long before it is looked whether to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const DRAIN_WAIT: Duration = Duration::from_millis(250);

/// How long a worker that is to stop still tries again what brokers do not answer.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// What a transaction carries.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub records: Vec<Outgoing>,
    /// The next offset of every input of every task that takes part.
    pub offsets: Vec<(InputPartition, u64)>,
}

/// An output record that owns its bytes.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub topic: String,
    pub partition: u32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Where it comes from: stage, task, epoch and index in it.
    pub origin: Origin,
    /// Behind those that tell its origin.
    pub headers: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    pub stage: Stage,
    pub task: u32,
    pub epoch: u64,
    pub index: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Begin,
    Send,
    Drain,
    Guard,
    Offsets,
    Commit,
    Abort,
}

/// What to do after a call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    Repeat,
    Abort,
    /// Records may still be on their way, and would belong to whatever transaction is open when they arrive: only another producer keeps them out.
    Discard,
    /// Abort, and give up all tasks: they may be someone else's already.
    AbortAndLeave,
    /// Whether it happened is only known once the producer was replaced and the journal was read.
    Recover,
    Stop,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Delivered {
    Committed,
    /// Nothing of it counts; the epoch can be run again.
    Aborted(TransportError),
    /// The same once the producer is replaced.
    Discarded(TransportError),
    /// Nothing of it counts, and the group has gone on without us.
    Expelled(TransportError),
    Unknown(TransportError),
    Failed(TransportError),
}

/// The table. `in_time`: the watchdog has not run out.
pub(super) fn decide(step: Step, failure: Failure, in_time: bool) -> Decision {
    match (step, failure) {
        (_, Failure::Retriable) if in_time => Decision::Repeat,
        (Step::Offsets | Step::Commit, Failure::Unknown) if in_time => Decision::Repeat,
        (Step::Offsets | Step::Commit, Failure::Unknown | Failure::Retriable) => Decision::Recover,
        (Step::Abort, _) => Decision::Stop,
        (Step::Begin, _) => Decision::Stop,
        (_, Failure::Expelled) => Decision::AbortAndLeave,
        (Step::Send | Step::Drain, Failure::Abortable | Failure::Unknown | Failure::Retriable) => Decision::Discard,
        (_, Failure::Abortable | Failure::Unknown | Failure::Retriable) => Decision::Abort,
        (_, Failure::Fatal | Failure::Denied) => Decision::Stop,
    }
}

/// How long what has failed is tried again: until the watchdog's end, and not for long once the worker is to stop.
struct Patience<'a> {
    deadline: Instant,
    stop: &'a StopSignal,
}

impl Patience<'_> {
    fn is_left(&self) -> bool {
        Instant::now() < self.deadline && !self.stop.is_asked_since(STOP_WAIT)
    }
}

/// Runs the transaction to a definite end, or to the watchdog's.
pub(super) fn deliver(transport: &mut dyn Transport, delivery: &Delivery, watchdog: Duration, stop: &StopSignal) -> Delivered {
    let patience = Patience { deadline: Instant::now() + watchdog, stop };
    // Once in doubt, always in doubt: what was asked twice may arrive twice, the second time in the next transaction.
    let mut in_doubt = None;
    for step in [Step::Begin, Step::Send, Step::Drain, Step::Guard, Step::Offsets, Step::Commit] {
        while let Err(error) = attempt(transport, delivery, step, &patience) {
            tracing::warn!(?step, failure = ?error.failure, %error, "a transaction met an error");
            let decision = decide(step, error.failure, patience.is_left());
            if error.failure == Failure::Unknown && matches!(step, Step::Offsets | Step::Commit) {
                in_doubt = Some(error.clone());
            }
            match decision {
                Decision::Repeat => {}
                // Whatever the answer is now, the first call may have done it.
                _ if in_doubt.is_some() => return Delivered::Unknown(error),
                Decision::Recover => return Delivered::Unknown(error),
                Decision::Stop => return Delivered::Failed(error),
                Decision::Discard => return Delivered::Discarded(error),
                Decision::Abort => return abort(transport, &patience, Delivered::Aborted(error)),
                Decision::AbortAndLeave => return abort(transport, &patience, Delivered::Expelled(error)),
            }
        }
    }
    in_doubt.map_or(Delivered::Committed, Delivered::Unknown)
}

fn abort(transport: &mut dyn Transport, patience: &Patience<'_>, end: Delivered) -> Delivered {
    while let Err(error) = transport.abort(CALL_WAIT) {
        match decide(Step::Abort, error.failure, patience.is_left()) {
            Decision::Repeat => {}
            _ => return Delivered::Failed(error),
        }
    }
    end
}

fn attempt(transport: &mut dyn Transport, delivery: &Delivery, step: Step, patience: &Patience<'_>) -> Result<(), TransportError> {
    match step {
        Step::Begin => transport.begin(),
        Step::Send => delivery.records.iter().try_for_each(|record| send(transport, record)),
        Step::Drain => drain(transport, patience),
        Step::Guard => guard(transport),
        Step::Offsets => transport.send_offsets(&delivery.offsets, CALL_WAIT),
        Step::Commit => transport.commit(CALL_WAIT),
        Step::Abort => transport.abort(CALL_WAIT),
    }
}

fn send(transport: &mut dyn Transport, record: &Outgoing) -> Result<(), TransportError> {
    let Origin { stage, task, epoch, index } = record.origin;
    let (task, epoch, index) = (task.to_string(), epoch.to_string(), index.to_string());
    let mut headers = vec![("task", Some(task.as_bytes())), ("epoch", Some(epoch.as_bytes())), ("index", Some(index.as_bytes()))];
    headers.extend(stage.header().map(|stage| ("stage", Some(stage.as_bytes()))));
    headers.extend(record.headers.iter().map(|(name, value)| (&**name, value.as_deref())));
    transport.send(&OutputRecord {
        topic: &record.topic,
        partition: record.partition,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    })
}

/// In short waits, each for what the one before has left.
fn drain(transport: &mut dyn Transport, patience: &Patience<'_>) -> Result<(), TransportError> {
    let deadline = Instant::now() + DRAIN_MAX;
    loop {
        match transport.drain(DRAIN_WAIT) {
            Err(error) if error.failure == Failure::Unknown && Instant::now() < deadline && patience.is_left() => {}
            drained => return drained,
        }
    }
}

fn guard(transport: &mut dyn Transport) -> Result<(), TransportError> {
    let membership = transport.membership();
    if membership.lost || membership.generation < 0 {
        return Err(TransportError { failure: Failure::Expelled, reason: "the group has gone on without this worker".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Fetched, GroupChange, Membership};

    #[test]
    fn each_failure_of_each_step_has_its_answer() {
        use Decision::*;
        use Failure::*;
        let failures = [Retriable, Failure::Unknown, Abortable, Expelled, Fatal, Denied];
        let table = [
            (Step::Begin, [Repeat, Stop, Stop, Stop, Stop, Stop], [Stop; 6]),
            (Step::Send, [Repeat, Discard, Discard, AbortAndLeave, Stop, Stop], [Discard, Discard, Discard, AbortAndLeave, Stop, Stop]),
            (Step::Drain, [Repeat, Discard, Discard, AbortAndLeave, Stop, Stop], [Discard, Discard, Discard, AbortAndLeave, Stop, Stop]),
            (Step::Guard, [Repeat, Abort, Abort, AbortAndLeave, Stop, Stop], [Abort, Abort, Abort, AbortAndLeave, Stop, Stop]),
            (Step::Offsets, [Repeat, Repeat, Abort, AbortAndLeave, Stop, Stop], [Recover, Recover, Abort, AbortAndLeave, Stop, Stop]),
            (Step::Commit, [Repeat, Repeat, Abort, AbortAndLeave, Stop, Stop], [Recover, Recover, Abort, AbortAndLeave, Stop, Stop]),
            (Step::Abort, [Repeat, Stop, Stop, Stop, Stop, Stop], [Stop; 6]),
        ];
        for (step, in_time, too_late) in table {
            for (place, failure) in failures.into_iter().enumerate() {
                assert_eq!(decide(step, failure, true), in_time[place], "{step:?} {failure:?} in time");
                assert_eq!(decide(step, failure, false), too_late[place], "{step:?} {failure:?} too late");
            }
        }
    }

    /// Fails as told, call by call, and writes down what it was asked.
    #[derive(Default)]
    struct Scripted {
        failures: Vec<(&'static str, Failure)>,
        calls: Vec<&'static str>,
        generation: i32,
    }

    impl Scripted {
        fn call(&mut self, name: &'static str) -> Result<(), TransportError> {
            self.calls.push(name);
            match self.failures.iter().position(|(call, _)| *call == name) {
                Some(place) => Err(TransportError { failure: self.failures.remove(place).1, reason: name.to_owned() }),
                None => Ok(()),
            }
        }
    }

    impl Transport for Scripted {
        fn poll(&mut self, _: Duration, _: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
            self.call("poll").map(|()| None)
        }
        fn start(&mut self, _: &[(InputPartition, u64)]) -> Result<(), TransportError> {
            self.call("start")
        }
        fn pause(&mut self, _: &[InputPartition]) -> Result<(), TransportError> {
            self.call("pause")
        }
        fn resume(&mut self, _: &[InputPartition]) -> Result<(), TransportError> {
            self.call("resume")
        }
        fn release(&mut self, _: &[u32]) -> Result<(), TransportError> {
            self.call("release")
        }
        fn membership(&mut self) -> Membership {
            self.calls.push("guard");
            Membership { generation: self.generation, lost: false }
        }
        fn begin(&mut self) -> Result<(), TransportError> {
            self.call("begin")
        }
        fn send(&mut self, _: &OutputRecord<'_>) -> Result<(), TransportError> {
            self.call("send")
        }
        fn drain(&mut self, _: Duration) -> Result<(), TransportError> {
            self.call("drain")
        }
        fn known_end(&self, _: InputPartition) -> Option<u64> {
            None
        }
        fn delivered_to(&self, _: &str, _: u32) -> Option<u64> {
            None
        }
        fn send_offsets(&mut self, _: &[(InputPartition, u64)], _: Duration) -> Result<(), TransportError> {
            self.call("offsets")
        }
        fn commit(&mut self, _: Duration) -> Result<(), TransportError> {
            self.call("commit")
        }
        fn abort(&mut self, _: Duration) -> Result<(), TransportError> {
            self.call("abort")
        }
        fn rejoin(&mut self, _: &str) -> Result<bool, TransportError> {
            self.call("rejoin").map(|()| true)
        }
        fn renew(&mut self, _: Duration) -> Result<bool, TransportError> {
            self.call("renew").map(|()| true)
        }
    }

    #[test]
    fn a_transaction_takes_its_steps_in_order_and_answers_each_failure() {
        let all = "begin send drain guard offsets commit";
        type Row<'a> = (&'a [(&'static str, Failure)], i32, &'a str, &'a str);
        let table: &[Row<'_>] = &[
            (&[], 1, all, "Committed"),
            (&[("begin", Failure::Fatal)], 1, "begin", "Failed"),
            (&[("drain", Failure::Abortable)], 1, "begin send drain", "Discarded"),
            (&[("drain", Failure::Unknown)], 1, "begin send drain drain guard offsets commit", "Committed"),
            (&[], -1, "begin send drain guard abort", "Expelled"),
            (&[("offsets", Failure::Retriable)], 1, "begin send drain guard offsets offsets commit", "Committed"),
            (&[("offsets", Failure::Expelled)], 1, "begin send drain guard offsets abort", "Expelled"),
            (&[("commit", Failure::Unknown)], 1, "begin send drain guard offsets commit commit", "Unknown"),
            (&[("commit", Failure::Unknown), ("commit", Failure::Fatal)], 1, "begin send drain guard offsets commit commit", "Unknown"),
            (&[("commit", Failure::Abortable), ("abort", Failure::Retriable)], 1, "begin send drain guard offsets commit abort abort", "Aborted"),
            (&[("commit", Failure::Abortable), ("abort", Failure::Fatal)], 1, "begin send drain guard offsets commit abort", "Failed"),
            (&[("commit", Failure::Fatal)], 1, all, "Failed"),
        ];
        for (failures, generation, calls, end) in table {
            let failures = failures.to_vec();
            let mut transport = Scripted { failures, calls: Vec::new(), generation: *generation };
            let origin = Origin { stage: Stage::First, task: 0, epoch: 1, index: 0 };
            let record = Outgoing { topic: "t".to_owned(), partition: 0, key: None, value: None, origin, headers: Vec::new() };
            let delivery = Delivery { records: vec![record], offsets: Vec::new() };
            let delivered = deliver(&mut transport, &delivery, Duration::from_secs(60), &StopSignal::default());
            assert_eq!(transport.calls.join(" "), *calls);
            assert!(format!("{delivered:?}").starts_with(end), "{delivered:?}");
        }
    }
}
