//! One life of a worker's clients, and what it may ask about the cluster.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rand::Rng;

use super::cluster::{Client, Cluster, Delivered, Member, Sent, Shared, Transaction};
use super::scenario::{LATE, OUTPUT, REJECTED};
use crate::event::StreamId;
use crate::ports::{
    Committed, CurrentTopic, Failure, Fetched, GroupChange, InputPartition, InputReader, JournalEntry, Membership, OutputRecord, RecordBatch, TopicSurvey,
    Transport, TransportError,
};
use crate::service::StopSignal;
use crate::service::topics::commit::Step;
use crate::service::topics::stages::Stage;

/// A worker's connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub cluster: Shared,
    pub client: Client,
    /// Of the client's stage.
    pub journal: String,
    /// Lets another worker take a turn.
    pub elsewhere: Arc<dyn Fn() + Send + Sync>,
}

impl Connection {
    /// An answer may take long.
    fn wait(&self) {
        (0..self.cluster.turns_meanwhile(self.client)).for_each(|_| (self.elsewhere)());
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock()
    }

    /// Where a topic is read.
    fn answering(&self) -> Result<MutexGuard<'_, Cluster>, TransportError> {
        let mut cluster = self.lock();
        if cluster.call_fails() {
            return Err(TransportError { failure: Failure::Retriable, reason: "nobody ends for that: the topic is away for a moment".to_owned() });
        }
        Ok(cluster)
    }
}

impl TopicSurvey for Connection {
    fn committed(&self, partitions: &[InputPartition]) -> Result<Vec<Committed>, TransportError> {
        self.wait();
        let mut cluster = self.lock();
        cluster.await_decided(|_, open| partitions.iter().any(|input| open.has_offset(*input)));
        Ok(cluster.committed(partitions).into_iter().map(|next| Committed { next, topic: None }).collect())
    }

    fn current_topics(&self) -> Result<BTreeMap<StreamId, CurrentTopic>, TransportError> {
        Ok(BTreeMap::new())
    }

    fn retained(&self, partition: InputPartition) -> Result<Range<u64>, TransportError> {
        let cluster = self.answering()?;
        Ok(cluster.kept_from.get(&partition).copied().unwrap_or(0)..cluster.end(partition))
    }

    fn journal(&self, task: u32, from: u64, visit: &mut dyn FnMut(JournalEntry) -> ControlFlow<()>) -> Result<(), TransportError> {
        self.wait();
        let task = self.client.stage.task(task);
        let mut cluster = self.answering()?;
        cluster.await_decided(|_, open| open.has_journal(task));
        let values = cluster.journal(task).to_vec();
        // It may be asked for more meanwhile.
        drop(cluster);
        for (offset, value) in (0..).zip(values).filter(|(offset, _)| *offset >= from) {
            if visit(JournalEntry { offset, value }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn await_decided(&self, topic: &str, partition: u32) -> Result<(), TransportError> {
        self.wait();
        self.lock().await_decided(|_, open| open.has_output(topic, partition));
        Ok(())
    }

    fn shares(&self) -> Result<Option<BTreeMap<String, Vec<u32>>>, TransportError> {
        Ok(None)
    }

    fn journal_last(&self, task: u32) -> Result<Option<JournalEntry>, TransportError> {
        let cluster = self.lock();
        let values = (0..).zip(cluster.journal(self.client.stage.task(task)));
        Ok(values.last().map(|(offset, value)| JournalEntry { offset, value: value.clone() }))
    }

    fn reader(&self, partition: InputPartition, from: u64, _: usize) -> Result<Box<dyn InputReader>, TransportError> {
        Ok(Box::new(Reader { cluster: self.cluster.clone(), partition, at: from }))
    }

    fn end(&self, partition: InputPartition) -> Result<u64, TransportError> {
        Ok(self.answering()?.records_end(partition))
    }
}

struct Reader {
    cluster: Shared,
    partition: InputPartition,
    at: u64,
}

impl InputReader for Reader {
    fn read_until(&mut self, next: u64, batch: &mut RecordBatch) -> Result<(), TransportError> {
        self.cluster.lock().visit(self.partition, self.at..next, &mut |record, original, leader_epoch| {
            batch.push_original(record, original);
            batch.leader_epoch = leader_epoch;
        });
        self.at = self.at.max(next);
        Ok(())
    }
}

pub(super) struct Simulated {
    connection: Connection,
    producer_epoch: u32,
    reading: BTreeMap<InputPartition, u64>,
    paused: BTreeMap<InputPartition, u64>,
    stop: StopSignal,
}

impl Simulated {
    pub(super) fn join(connection: Connection, stop: &StopSignal) -> Self {
        let mut cluster = connection.lock();
        cluster.members.insert(connection.client, Member::default());
        let producer_epoch = cluster.replace_producer(connection.client);
        drop(cluster);
        Self { connection, producer_epoch, reading: BTreeMap::new(), paused: BTreeMap::new(), stop: stop.clone() }
    }

    /// The call is made, unless it fails; it may have been the process's last.
    fn call(&mut self, step: Step) -> Result<MutexGuard<'_, Cluster>, TransportError> {
        self.connection.wait();
        let client = self.connection.client;
        let mut cluster = self.connection.lock();
        cluster.arrive();
        let error = |failure, what: &str| Err(TransportError { failure, reason: format!("simulated {what} at {step:?}") });
        if cluster.crashed.contains(&client.process) {
            return error(Failure::Fatal, "crash");
        }
        let faults = cluster.faults;
        if cluster.chance(faults.crash / 4) {
            if step == Step::Commit && cluster.random.random_bool(0.5) {
                cluster.end_transaction(client, true);
            }
            cluster.crashed.insert(client.process);
            self.stop.ask();
            return error(Failure::Fatal, "crash");
        }
        if cluster.producers[&client].epoch != self.producer_epoch {
            return error(Failure::Fatal, "fence");
        }
        if !cluster.call_fails() {
            return Ok(cluster);
        }
        let possible: &[Failure] = match step {
            Step::Guard => &[Failure::Retriable],
            Step::Begin => &[Failure::Retriable, Failure::Fatal],
            Step::Send => &[Failure::Abortable],
            Step::Drain => &[Failure::Abortable, Failure::Unknown],
            Step::Abort => &[Failure::Retriable, Failure::Fatal],
            Step::Offsets => &[Failure::Retriable, Failure::Unknown, Failure::Abortable, Failure::Expelled, Failure::Fatal],
            Step::Commit => &[Failure::Retriable, Failure::Unknown, Failure::Unknown, Failure::Abortable, Failure::Fatal],
        };
        let failure = possible[cluster.random.random_range(0..possible.len())];
        // What is not taken in time is still under way, and waited for again.
        if step == Step::Drain && failure == Failure::Abortable {
            if cluster.random.random_bool(0.5) {
                cluster.hold_up(client, self.producer_epoch);
            }
            cluster.arrive_all(client);
        }
        if step == Step::Commit && failure == Failure::Unknown {
            match cluster.random.random_range(0..3) {
                0 => cluster.end_transaction(client, true),
                1 => cluster.producers.get_mut(&client).expect("joined").delayed = Some(self.producer_epoch),
                _ => {}
            }
        }
        error(failure, &format!("{failure:?}"))
    }

    fn open(cluster: &mut Cluster, client: Client) -> &mut Transaction {
        // A commit that came late has ended it: the brokers take what comes for the start of another.
        cluster.producers.get_mut(&client).expect("joined").open.get_or_insert_default()
    }

    fn sent(&self, record: &OutputRecord<'_>) -> Sent {
        let text = |name: &str| {
            let (_, value) = record.headers.iter().find(|(header, _)| *header == name)?;
            Some(std::str::from_utf8(value.expect("a value")).expect("text"))
        };
        let number = |name: &str| text(name).expect("every record has it").parse::<u64>().expect("a number");
        let stage = self.connection.client.stage;
        assert_eq!(text("stage"), stage.header(), "a record says whose it is");
        let (task, epoch) = (stage.task(u32::try_from(number("task")).expect("small")), number("epoch"));
        let (partition, value) = (record.partition, record.value.expect("every record has one").to_vec());
        if record.topic == self.connection.journal {
            assert_eq!(partition, task.number);
            return Sent::Journal(task, value);
        }
        let Some(topic) = [OUTPUT, LATE, REJECTED].into_iter().find(|topic| *topic == record.topic) else {
            return Sent::HandedOn { partition, value, of: (task, epoch) };
        };
        let from = text("offset").map(|offset| format!("{}/{}/{offset}", text("stream").expect("with it"), text("partition").expect("with it")));
        let value = String::from_utf8(value).expect("text");
        Sent::Output(Delivered { from, topic, partition, key: record.key.map(<[u8]>::to_vec), value, task, epoch })
    }
}

impl Transport for Simulated {
    fn poll(&mut self, _: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
        let client = self.connection.client;
        let mut cluster = self.connection.cluster.lock();
        cluster.arrive();
        let faults = cluster.faults;
        if cluster.crashed.contains(&client.process) || cluster.chance(faults.crash) {
            cluster.crashed.insert(client.process);
            self.stop.ask();
            return Err(TransportError::fatal("simulated crash"));
        }
        cluster.now_us += cluster.random.random_range(0..60_000);
        cluster.disturb(client.stage);
        if let Some(change) = cluster.change_for(client) {
            if let GroupChange::Lost(tasks) | GroupChange::Assigned(tasks) = &change {
                self.reading.retain(|input, _| !tasks.contains(&input.partition));
                self.paused.retain(|input, _| !tasks.contains(&input.partition));
            }
            return Ok(Some(change));
        }
        for (&input, next) in &mut self.reading {
            let end = cluster.end(input);
            // What was handed on is much where tasks begin again and again, and has to be read again from the first event that is held.
            let takes_all = client.stage == Stage::Rekeyed && cluster.random.random_bool(0.3);
            let take = cluster.random.random_range(0..6);
            let to = if takes_all { end } else { end.min(*next + take) }.max(*next);
            cluster.visit(input, *next..to, &mut |record, original, leader_epoch| fetched.push(input, record, original, leader_epoch));
            *next = to;
        }
        Ok(None)
    }

    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError> {
        let client = self.connection.client;
        let mut cluster = self.connection.lock();
        if cluster.call_fails() || !from.iter().all(|(input, _)| cluster.is_owned(client, input.partition)) {
            return Err(TransportError { failure: Failure::Retriable, reason: "nobody ends for that: not to be read yet, or by another".to_owned() });
        }
        drop(cluster);
        self.paused.retain(|input, _| from.iter().all(|(started, _)| started != input));
        self.reading.extend(from.iter().copied());
        Ok(())
    }

    fn pause(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        self.paused.extend(partitions.iter().filter_map(|input| self.reading.remove_entry(input)));
        Ok(())
    }

    fn resume(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        self.reading.extend(partitions.iter().filter_map(|input| self.paused.remove_entry(input)));
        Ok(())
    }

    fn release(&mut self, tasks: &[u32]) -> Result<(), TransportError> {
        self.reading.retain(|input, _| !tasks.contains(&input.partition));
        self.paused.retain(|input, _| !tasks.contains(&input.partition));
        self.connection.lock().release(self.connection.client, tasks);
        Ok(())
    }

    fn membership(&mut self) -> Membership {
        let mut cluster = self.connection.lock();
        let unlucky = cluster.call_fails();
        let is_told = cluster.random.random_bool(0.5);
        Membership { generation: if unlucky && is_told { -1 } else { 1 }, lost: unlucky && !is_told }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        let client = self.connection.client;
        let mut cluster = self.call(Step::Begin)?;
        let producer = cluster.producers.get_mut(&client).expect("joined");
        assert!(producer.open.is_none(), "one transaction at a time");
        producer.open = Some(Transaction::default());
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError> {
        let (client, sent) = (self.connection.client, self.sent(record));
        Self::open(&mut *self.call(Step::Send)?, client).sent.push(sent);
        Ok(())
    }

    fn drain(&mut self, _: Duration) -> Result<(), TransportError> {
        let client = self.connection.client;
        self.call(Step::Drain)?.arrive_all(client);
        Ok(())
    }

    fn known_end(&self, input: InputPartition) -> Option<u64> {
        Some(self.connection.lock().end(input))
    }

    fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64> {
        let Connection { client, journal, .. } = &self.connection;
        let records = self.connection.lock().journal(client.stage.task(partition)).len() as u64;
        (topic == journal && records > 0).then_some(records)
    }

    fn send_offsets(&mut self, next: &[(InputPartition, u64)], _: Duration) -> Result<(), TransportError> {
        let client = self.connection.client;
        // What nobody answers may have been done all the same.
        let unanswered = match self.call(Step::Offsets) {
            Ok(cluster) => {
                drop(cluster);
                None
            }
            Err(error) if error.failure == Failure::Unknown => Some(error),
            Err(error) => return Err(error),
        };
        let mut cluster = self.connection.lock();
        if unanswered.is_some() && cluster.random.random_bool(0.5) {
            return unanswered.map_or(Ok(()), Err);
        }
        // Whether the sender is of the group is checked, what is its own is not.
        if cluster.members.get(&client).is_none_or(|member| member.expelled) {
            return Err(TransportError { failure: Failure::Expelled, reason: "simulated expulsion".to_owned() });
        }
        Self::open(&mut cluster, client).offsets = next.to_vec();
        unanswered.map_or(Ok(()), Err)
    }

    fn commit(&mut self, _: Duration) -> Result<(), TransportError> {
        let client = self.connection.client;
        self.call(Step::Commit)?.end_transaction(client, true);
        // The answer may be slow as well.
        self.connection.wait();
        Ok(())
    }

    fn abort(&mut self, _: Duration) -> Result<(), TransportError> {
        let client = self.connection.client;
        self.call(Step::Abort)?.end_transaction(client, false);
        Ok(())
    }

    fn rejoin(&mut self, _: &str) -> Result<bool, TransportError> {
        Ok(false)
    }

    fn renew(&mut self, _: Duration) -> Result<bool, TransportError> {
        let client = self.connection.client;
        let mut cluster = self.connection.cluster.lock();
        cluster.arrive();
        if cluster.crashed.contains(&client.process) {
            return Err(TransportError::fatal("simulated crash"));
        }
        self.producer_epoch = cluster.replace_producer(client);
        Ok(true)
    }
}
