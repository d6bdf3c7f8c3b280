//! Topics as a worker meets them: records in as a member of a group, transactions out, and questions about what the cluster holds.
//!
//! Two traits, so that a simulated transport can fail at every step of a commit. [`Transport`] is one worker's own: a consumer that takes part in the
//! group, and a transactional producer. [`TopicSurvey`] only asks, takes part in nothing, and may be used from any thread.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use crate::event::StreamId;
use crate::ports::{Original, Record, RecordBatch};

/// One partition of one input topic. Partition p of every input is task p.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct InputPartition {
    pub stream: StreamId,
    pub partition: u32,
}

/// What the group says. Partitions come and go for all inputs together, as tasks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupChange {
    /// Ours from now on; nothing is read before [`Transport::start`].
    Assigned(Vec<u32>),
    /// Ours until [`Transport::release`]: what was begun may be finished and committed.
    Revoked(Vec<u32>),
    /// Not ours any more, and perhaps for a while already: nothing may be committed.
    Lost(Vec<u32>),
    /// The brokers have refused the member as a second one of its name, which it is not: it joins the group anew.
    JoinsAnew,
}

/// Whether the group would take our offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Below 0: not a member, and the broker would take offsets from just anyone then.
    pub generation: i32,
    /// Some of what was assigned was lost, and the worker has not been told yet.
    pub lost: bool,
}

/// What goes out. The bytes are copied by [`Transport::send`].
#[derive(Clone, Copy, Debug)]
pub struct OutputRecord<'a> {
    pub topic: &'a str,
    pub partition: u32,
    pub key: Option<&'a [u8]>,
    /// `None` is another thing than empty.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// One worker's consumer and producer. Every call returns within the time that it is given, or a few seconds; while it waits, it remains a member of the
/// group. A call of the transaction that was not answered in time goes on by itself; asked again, it is only waited for.
pub trait Transport {
    /// Takes the records that are there into `fetched`, waiting at most `wait` for the first. A change of the group comes alone or after the records that were
    /// read before it.
    fn poll(&mut self, wait: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError>;

    /// Reads assigned partitions from these offsets on. Records fetched from elsewhere are dropped. Not possible while they are only just assigned, and not where they are another's
    /// by now, which [`Transport::poll`] is about to tell: so after an error, whoever asks polls before trying again.
    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError>;

    /// Reads nothing from these partitions until [`Transport::resume`] or [`Transport::start`]; what was fetched in advance is read again then.
    fn pause(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError>;

    fn resume(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError>;

    /// Gives revoked tasks back.
    fn release(&mut self, tasks: &[u32]) -> Result<(), TransportError>;

    /// Asked right before offsets are sent.
    fn membership(&mut self) -> Membership;

    fn begin(&mut self) -> Result<(), TransportError>;

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError>;

    /// Waits until everything sent is with the brokers; an error where a record was refused. [`Failure::Unknown`]: not within this time; asked again, the rest is waited for.
    fn drain(&mut self, wait: Duration) -> Result<(), TransportError>;

    /// The end of an input as it was last told, without asking.
    fn known_end(&self, input: InputPartition) -> Option<u64>;

    /// The offset after the last record that the brokers have confirmed there, to this transport; `None`: none yet.
    fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64>;

    /// The next offset of each input partition, into the transaction.
    fn send_offsets(&mut self, next: &[(InputPartition, u64)], wait: Duration) -> Result<(), TransportError>;

    fn commit(&mut self, wait: Duration) -> Result<(), TransportError>;

    fn abort(&mut self, wait: Duration) -> Result<(), TransportError>;

    /// Where this is the member: leaves the group and joins it anew, so that it shares the tasks out again; those that are here are revoked first. Says whether it does.
    fn rejoin(&mut self, member: &str) -> Result<bool, TransportError>;

    /// Throws the producer away and makes another of the same name: whatever the old one still had under way can do nothing from then on. `false`: not within this time; asked
    /// again, it goes on with what it has begun.
    fn renew(&mut self, wait: Duration) -> Result<bool, TransportError>;
}

/// Questions about topics and the group, asked without being a member.
pub trait TopicSurvey: Send + Sync {
    /// What the group has committed, in the order asked. Waits while a transaction that would change it is open.
    fn committed(&self, partitions: &[InputPartition]) -> Result<Vec<Committed>, TransportError>;

    /// What the topics of the inputs are now. Those that do not exist or that we may not see are left out. An error: no broker lets us ask.
    fn current_topics(&self) -> Result<BTreeMap<StreamId, CurrentTopic>, TransportError>;

    /// Which topics the inputs are now, as far as brokers know ids.
    fn topic_ids(&self) -> Result<BTreeMap<StreamId, TopicId>, TransportError> {
        Ok(self.current_topics()?.into_iter().filter_map(|(stream, topic)| Some((stream, topic.id?))).collect())
    }

    /// The offsets that are kept and stable: the oldest, up to and without the end.
    fn retained(&self, partition: InputPartition) -> Result<Range<u64>, TransportError>;

    /// What the journal holds for a task from this offset on (or from the oldest that is kept), to its end, in order. Waits while a transaction that may add to it
    /// is open: what it does not tell has not happened, and will not by any producer that was replaced before. Shown one by one, as long as more are wanted.
    fn journal(&self, task: u32, from: u64, visit: &mut dyn FnMut(JournalEntry) -> ControlFlow<()>) -> Result<(), TransportError>;

    /// Waits until everything that a partition of an output holds now is decided.
    fn await_decided(&self, topic: &str, partition: u32) -> Result<(), TransportError>;

    /// The members of the group, each with the tasks that it was given; `None` while the group is sharing them out.
    fn shares(&self) -> Result<Option<BTreeMap<String, Vec<u32>>>, TransportError>;

    /// The last committed record of the journal for a task, without waiting for open transactions.
    fn journal_last(&self, task: u32) -> Result<Option<JournalEntry>, TransportError>;

    /// Reads an input again, from this offset on, apart from the group. Values longer than `record_bytes_max` are cut off, as they were at first.
    fn reader(&self, partition: InputPartition, from: u64, record_bytes_max: usize) -> Result<Box<dyn InputReader>, TransportError>;

    /// The offset after the last committed record; the oldest kept offset where there is none. (The end of a log may be made up of markers that no reader sees.)
    fn end(&self, partition: InputPartition) -> Result<u64, TransportError>;
}

/// What a group has committed of an input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Committed {
    /// The next offset.
    pub next: Option<u64>,
    /// The topic that it is an offset of, where that was noted.
    pub topic: Option<TopicId>,
}

/// The topic that has a name now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CurrentTopic {
    /// `None`: the brokers know no ids.
    pub id: Option<TopicId>,
    pub partitions: u32,
}

/// Tells a topic from others that had its name before or have it later. As Kafka's tools show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicId(pub String);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads one input partition forward.
pub trait InputReader: Send {
    /// Adds all records that are left before this offset. It must not lie beyond the end.
    fn read_until(&mut self, next: u64, batch: &mut RecordBatch) -> Result<(), TransportError>;
}

/// A committed record of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalEntry {
    pub offset: u64,
    pub value: Vec<u8>,
}

/// What a failed call leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The same call again.
    Retriable,
    /// Time-out, or the connection was lost: it may have happened or may still happen.
    Unknown,
    /// The transaction is to be aborted.
    Abortable,
    /// The transaction is to be aborted, and we are no member of the group any more.
    Expelled,
    /// Fenced, or nothing that can be repaired with this client.
    Fatal,
    /// Not allowed: trying again helps nothing before someone has changed that.
    Denied,
}

/// The outside's fault. The reason is one sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct TransportError {
    pub failure: Failure,
    pub reason: String,
}

impl TransportError {
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self { failure: Failure::Fatal, reason: reason.into() }
    }
}

/// The buffers of all partitions that are kept while they hold nothing take so much at most: some times what one poll brings.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Records by partition, buffers reused.
#[derive(Debug, Default)]
pub struct Fetched {
    batches: Vec<RecordBatch>,
}

impl Fetched {
    /// Where records of this partition are added. Cost: a search among the partitions, few.
    pub fn batch_of(&mut self, partition: InputPartition) -> &mut RecordBatch {
        match self.batches.iter().position(|batch| batch.stream == partition.stream && batch.partition == partition.partition) {
            Some(place) => &mut self.batches[place],
            None => {
                self.batches.push(RecordBatch::new(partition.stream, partition.partition));
                self.batches.last_mut().expect("pushed above")
            }
        }
    }

    pub fn push(&mut self, partition: InputPartition, record: Record<'_>, original: Original<'_>, leader_epoch: Option<u32>) {
        let batch = self.batch_of(partition);
        batch.push_original(record, original);
        batch.leader_epoch = leader_epoch;
    }

    /// The batches that hold something.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.batches.iter().filter(|batch| !batch.is_empty())
    }

    pub fn records(&self) -> usize {
        self.batches.iter().map(RecordBatch::len).sum()
    }

    pub fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::bytes).sum()
    }

    /// Each partition's buffer is as large as the most that it has brought at once: those that do not fit into what is kept are let go.
    pub fn clear(&mut self) {
        let mut left = KEPT_BYTES_MAX;
        self.batches.retain_mut(|batch| {
            batch.clear();
            let rest = left.checked_sub(batch.capacity_bytes());
            left = rest.unwrap_or(left);
            rest.is_some()
        });
    }

    /// Forgets the partitions of this task, and what was read of them.
    pub fn forget(&mut self, task: u32) {
        self.batches.retain(|batch| batch.partition != task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RECORD: [u8; 100_000] = [b'x'; 100_000];

    fn fetch(fetched: &mut Fetched, partition: u32, records: u64) {
        for offset in 0..records {
            let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: &RECORD, full_bytes: RECORD.len() as u64 };
            let original = Original { key: None, value: Some(&RECORD), headers: &[] };
            fetched.push(InputPartition { stream: StreamId(0), partition }, record, original, None);
        }
    }

    fn kept(fetched: &Fetched) -> usize {
        fetched.batches.iter().map(RecordBatch::capacity_bytes).sum()
    }

    #[test]
    fn what_is_kept_of_buffers_is_bounded_however_many_partitions_there_are() {
        let mut fetched = Fetched::default();
        for partition in 0..64 {
            fetch(&mut fetched, partition, 50);
            assert_eq!((fetched.records(), fetched.bytes()), (50, 50 * RECORD.len()));
            fetched.clear();
            let kept = kept(&fetched);
            assert!(fetched.records() == 0 && kept <= KEPT_BYTES_MAX, "{kept} after {partition}");
        }
        assert!(kept(&fetched) > KEPT_BYTES_MAX / 2, "they are used again");
    }

    #[test]
    fn of_a_task_that_leaves_nothing_is_kept() {
        let mut fetched = Fetched::default();
        for partition in [3, 4] {
            fetch(&mut fetched, partition, 1);
        }
        fetched.clear();
        fetched.forget(3);
        assert_eq!(fetched.batches.iter().map(|batch| batch.partition).collect::<Vec<_>>(), [4]);
        fetched.forget(4);
        assert_eq!(kept(&fetched), 0);
    }
}
