//! What the brokers hold and decide, and one life of a worker's clients.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Faults;
use super::scenario::{Arriving, BEGINNING_US, JOURNAL, LATE, OUTPUT, Scenario, TASKS};
use crate::event::ProcessingTime;
use crate::ports::{
    Failure, Fetched, GroupChange, InputPartition, InputReader, JournalEntry, Membership, Original, OutputRecord, Record, RecordBatch, TopicSurvey, Transport,
    TransportError,
};
use crate::service::StopSignal;
use crate::service::topics::commit::Step;
use crate::service::topics::journal::{EpochRecord, OutputDigest, OutputKind};

struct Cluster {
    random: StdRng,
    faults: Faults,
    now_us: i64,
    inputs: BTreeMap<InputPartition, Vec<Arriving>>,
    offsets: BTreeMap<InputPartition, u64>,
    /// By task: the matches that are committed, in order.
    delivered: BTreeMap<u32, Vec<String>>,
    /// By task and stream: the offsets of the records that were set aside, and what they were, as it is committed, in order.
    set_aside: SetAside,
    /// By task and epoch: the digest of what is committed, in order.
    accounts: BTreeMap<(u32, u64), OutputDigest>,
    journal: BTreeMap<u32, Vec<Vec<u8>>>,
    /// By worker: the names that transactions go by.
    producers: BTreeMap<usize, Producer>,
    members: BTreeMap<usize, Member>,
    /// By task: who has it, and who is to have it.
    owners: BTreeMap<u32, usize>,
    wanted: BTreeMap<u32, usize>,
    crashed: BTreeSet<usize>,
}

#[derive(Default)]
struct Producer {
    /// Calls of an older one are fenced.
    epoch: u32,
    open: Option<Transaction>,
    /// A commit of this epoch is on its way, and arrives in whatever transaction is open by then.
    delayed: Option<u32>,
    /// Records of this epoch that have not arrived yet: they belong to whatever transaction is open when they do.
    late: Option<(u32, Vec<Delivered>)>,
}

#[derive(Default)]
struct Transaction {
    records: Vec<Delivered>,
    journal: Vec<(u32, Vec<u8>)>,
    offsets: Vec<(InputPartition, u64)>,
}

struct Delivered {
    task: u32,
    epoch: u64,
    kind: OutputKind,
    key: Option<Vec<u8>>,
    value: String,
    /// Of what is set aside: its stream and offset.
    place: Option<(String, u64)>,
}

/// By task, stream and kind of output.
pub(super) type SetAside = BTreeMap<(u32, String, OutputKind), Vec<(u64, String)>>;

#[derive(Default)]
struct Member {
    /// Put out of the group, and not told yet.
    expelled: bool,
    revoked: BTreeSet<u32>,
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Cluster>>);

impl Shared {
    pub(super) fn new(seed: u64, faults: Faults, scenario: Scenario) -> Self {
        let cluster = Cluster {
            random: StdRng::seed_from_u64(seed),
            faults,
            now_us: BEGINNING_US,
            inputs: scenario.inputs(seed),
            offsets: BTreeMap::new(),
            delivered: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            accounts: BTreeMap::new(),
            journal: BTreeMap::new(),
            producers: BTreeMap::new(),
            members: BTreeMap::new(),
            owners: BTreeMap::new(),
            wanted: BTreeMap::new(),
            crashed: BTreeSet::new(),
        };
        Self(Arc::new(Mutex::new(cluster)))
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().expect("one thread")
    }

    pub(super) fn faults(&self) -> Faults {
        self.lock().faults
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub(super) fn is_crashed(&self, worker: usize) -> bool {
        self.lock().crashed.contains(&worker)
    }

    pub(super) fn is_finished(&self, scenario: Scenario) -> bool {
        let is_ended = |task| self.records(task).last().is_some_and(|last| last.ended);
        if scenario == Scenario::Bounded {
            return (0..TASKS).all(is_ended);
        }
        let cluster = self.lock();
        cluster.inputs.iter().all(|(input, records)| cluster.offsets.get(input) == Some(&(records.len() as u64)))
    }

    pub(super) fn now(&self) -> ProcessingTime {
        ProcessingTime::from_micros(self.lock().now_us)
    }

    /// The clock goes on while nothing else does.
    pub(super) fn pass(&self, micros: i64) {
        self.lock().now_us += micros;
    }

    /// Each with the number of its records.
    pub(super) fn inputs(&self) -> BTreeMap<InputPartition, u64> {
        self.lock().inputs.iter().map(|(input, records)| (*input, records.len() as u64)).collect()
    }

    /// A leader that lacked the last record was elected, and took another.
    pub(super) fn elect_uncleanly(&self, input: InputPartition) {
        let mut cluster = self.lock();
        let last = cluster.inputs.get_mut(&input).and_then(|records| records.last_mut()).expect("every input has records");
        (last.value, last.leader_epoch) = (last.value.replace("\"k\":", "\"K\":"), 1);
    }

    pub(super) fn records(&self, task: u32) -> Vec<EpochRecord> {
        let values = self.lock().journal.get(&task).cloned().unwrap_or_default();
        values.iter().map(|value| EpochRecord::decode(value).expect("written by us")).collect()
    }

    /// By task and epoch: number and digest of the outputs that are committed; epochs without any are left out.
    pub(super) fn accounts(&self) -> BTreeMap<(u32, u64), (u64, u64)> {
        self.lock().accounts.iter().map(|(epoch, digest)| (*epoch, (digest.count(), digest.value()))).collect()
    }

    pub(super) fn delivered(&self) -> BTreeMap<u32, Vec<String>> {
        self.lock().delivered.clone()
    }

    pub(super) fn set_aside(&self) -> SetAside {
        self.lock().set_aside.clone()
    }

    /// The process is gone, and the group has noticed.
    pub(super) fn gone(&self, worker: usize) {
        let mut cluster = self.lock();
        cluster.members.remove(&worker);
        cluster.owners.retain(|_, owner| *owner != worker);
        cluster.wanted.retain(|_, wanted| *wanted != worker);
        cluster.crashed.remove(&worker);
    }
}

impl Cluster {
    /// How much of an input is there by now.
    fn end(&self, input: InputPartition) -> usize {
        self.inputs[&input].iter().take_while(|record| record.at_us <= self.now_us).count()
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.random.random_range(0..1_000) < of_thousand
    }

    /// What is on its way may arrive before each call.
    fn arrive(&mut self) {
        for worker in self.producers.keys().copied().collect::<Vec<_>>() {
            let producer = self.producers.get_mut(&worker).expect("just seen");
            if let Some((epoch, records)) = producer.late.take_if(|_| self.random.random_range(0..4) == 0)
                && epoch == producer.epoch
                && let Some(open) = &mut producer.open
            {
                open.records.extend(records);
            }
            let Some(epoch) = producer.delayed else { continue };
            if self.random.random_range(0..4) == 0 {
                producer.delayed = None;
                if producer.epoch == epoch {
                    self.commit(worker);
                }
            }
        }
    }

    /// Records of the open transaction are still on their way. Those of one partition come together, or not yet.
    fn hold_up(&mut self, worker: usize, epoch: u32) {
        let producer = self.producers.get_mut(&worker).expect("joined");
        let Some(open) = &mut producer.open else { return };
        let mut is_late = BTreeMap::new();
        let (late, there) = std::mem::take(&mut open.records)
            .into_iter()
            .partition(|record| *is_late.entry((record.kind, record.task)).or_insert_with(|| self.random.random_bool(0.7)));
        open.records = there;
        producer.late = Some((epoch, late));
    }

    fn commit(&mut self, worker: usize) {
        let Some(transaction) = self.producers.get_mut(&worker).and_then(|producer| producer.open.take()) else { return };
        for Delivered { task, epoch, kind, key, value, place } in transaction.records {
            self.accounts.entry((task, epoch)).or_default().push(kind, key.as_deref(), Some(value.as_bytes()));
            match place {
                Some((stream, offset)) => self.set_aside.entry((task, stream, kind)).or_default().push((offset, value)),
                None => self.delivered.entry(task).or_default().push(value),
            }
        }
        for (task, value) in transaction.journal {
            self.journal.entry(task).or_default().push(value);
        }
        self.offsets.extend(transaction.offsets);
    }

    /// Whoever asks for what is committed waits until every transaction that may change it has ended, or timed out, which fences its producer.
    fn await_stable(&mut self, task: u32) {
        self.arrive();
        for producer in self.producers.values_mut() {
            let is_of = |open: &Transaction| open.offsets.iter().any(|(input, _)| input.partition == task) || open.journal.iter().any(|(of, _)| *of == task);
            if producer.open.as_ref().is_some_and(is_of) {
                producer.open = None;
                producer.epoch += 1;
            }
        }
    }

    /// Moves tasks about.
    fn disturb(&mut self) {
        let members: Vec<usize> = self.members.iter().filter(|(_, member)| !member.expelled).map(|(worker, _)| *worker).collect();
        if members.is_empty() {
            return;
        }
        if self.chance(self.faults.rebalance) {
            let (task, worker) = (self.random.random_range(0..TASKS), members[self.random.random_range(0..members.len())]);
            self.wanted.insert(task, worker);
        }
        if members.len() > 1 && self.chance(self.faults.expel) {
            let worker = members[self.random.random_range(0..members.len())];
            let other = *members.iter().find(|member| **member != worker).expect("there are two");
            self.members.get_mut(&worker).expect("a member").expelled = true;
            self.owners.retain(|_, owner| *owner != worker);
            self.wanted.values_mut().filter(|wanted| **wanted == worker).for_each(|wanted| *wanted = other);
        }
        for task in 0..TASKS {
            let worker = members[task as usize % members.len()];
            self.wanted.entry(task).or_insert(worker);
        }
    }

    fn change_for(&mut self, worker: usize) -> Option<GroupChange> {
        let member = self.members.get_mut(&worker).expect("joined");
        if std::mem::take(&mut member.expelled) {
            member.revoked.clear();
            return Some(GroupChange::Lost((0..TASKS).collect()));
        }
        let taken = self.owners.iter().find(|(task, owner)| **owner == worker && self.wanted[task] != worker && !member.revoked.contains(task));
        if let Some((&task, _)) = taken {
            member.revoked.insert(task);
            return Some(GroupChange::Revoked(vec![task]));
        }
        let given: Vec<u32> = (0..TASKS).filter(|task| self.wanted.get(task) == Some(&worker) && !self.owners.contains_key(task)).collect();
        if given.is_empty() {
            return None;
        }
        self.owners.extend(given.iter().map(|task| (*task, worker)));
        Some(GroupChange::Assigned(given))
    }
}

impl TopicSurvey for Shared {
    fn committed(&self, partitions: &[InputPartition]) -> Result<Vec<Option<u64>>, TransportError> {
        let mut cluster = self.lock();
        partitions.iter().for_each(|input| cluster.await_stable(input.partition));
        Ok(partitions.iter().map(|input| cluster.offsets.get(input).copied()).collect())
    }

    fn retained(&self, partition: InputPartition) -> Result<Range<u64>, TransportError> {
        Ok(0..self.end(partition)?)
    }

    fn journal(&self, task: u32, from: u64, visit: &mut dyn FnMut(JournalEntry) -> ControlFlow<()>) -> Result<(), TransportError> {
        let mut cluster = self.lock();
        cluster.await_stable(task);
        let values = cluster.journal.get(&task).cloned().unwrap_or_default();
        // It may be asked for more meanwhile.
        drop(cluster);
        for (offset, value) in (0..).zip(values).filter(|(offset, _)| *offset >= from) {
            if visit(JournalEntry { offset, value }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn await_decided(&self, _: &str, task: u32) -> Result<(), TransportError> {
        self.lock().await_stable(task);
        Ok(())
    }

    fn shares(&self) -> Result<Option<BTreeMap<String, Vec<u32>>>, TransportError> {
        Ok(None)
    }

    fn journal_last(&self, task: u32) -> Result<Option<JournalEntry>, TransportError> {
        let mut last = None;
        self.journal(task, 0, &mut |entry| {
            last = Some(entry);
            ControlFlow::Continue(())
        })?;
        Ok(last)
    }

    fn reader(&self, partition: InputPartition, from: u64, _: usize) -> Result<Box<dyn InputReader>, TransportError> {
        Ok(Box::new(Reader { cluster: self.clone(), partition, at: from }))
    }

    fn end(&self, partition: InputPartition) -> Result<u64, TransportError> {
        Ok(self.lock().end(partition) as u64)
    }
}

struct Reader {
    cluster: Shared,
    partition: InputPartition,
    at: u64,
}

impl InputReader for Reader {
    fn read_until(&mut self, next: u64, batch: &mut RecordBatch) -> Result<(), TransportError> {
        let cluster = self.cluster.lock();
        for (offset, arriving) in (0..).zip(&cluster.inputs[&self.partition]).filter(|(offset, _)| (self.at..next).contains(offset)) {
            let (record, original) = record(offset, &arriving.value);
            batch.push_original(record, original);
            batch.leader_epoch = Some(arriving.leader_epoch);
        }
        self.at = self.at.max(next);
        Ok(())
    }
}

fn record(offset: u64, value: &str) -> (Record<'_>, Original<'_>) {
    let bytes = value.as_bytes();
    let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 };
    (record, Original { key: None, value: Some(bytes), headers: &[] })
}

/// One life of a worker's clients.
pub(super) struct Simulated {
    cluster: Shared,
    worker: usize,
    producer_epoch: u32,
    reading: BTreeMap<InputPartition, u64>,
    paused: BTreeMap<InputPartition, u64>,
    stop: StopSignal,
}

impl Simulated {
    pub(super) fn join(cluster: &Shared, worker: usize, stop: &StopSignal) -> Self {
        let mut locked = cluster.lock();
        locked.members.insert(worker, Member::default());
        let producer_epoch = locked.replace_producer(worker);
        drop(locked);
        Self { cluster: cluster.clone(), worker, producer_epoch, reading: BTreeMap::new(), paused: BTreeMap::new(), stop: stop.clone() }
    }

    /// The call is made, unless it fails; it may have been the process's last.
    fn call(&mut self, step: Step) -> Result<MutexGuard<'_, Cluster>, TransportError> {
        let mut cluster = self.cluster.lock();
        cluster.arrive();
        let error = |failure, what: &str| Err(TransportError { failure, reason: format!("simulated {what} at {step:?}") });
        if cluster.crashed.contains(&self.worker) {
            return error(Failure::Fatal, "crash");
        }
        let faults = cluster.faults;
        if cluster.chance(faults.crash / 4) {
            if step == Step::Commit && cluster.random.random_bool(0.5) {
                cluster.commit(self.worker);
            }
            cluster.crashed.insert(self.worker);
            self.stop.ask();
            return error(Failure::Fatal, "crash");
        }
        if cluster.producers[&self.worker].epoch != self.producer_epoch {
            return error(Failure::Fatal, "fence");
        }
        if !cluster.chance(faults.call) {
            return Ok(cluster);
        }
        let possible: &[Failure] = match step {
            Step::Begin | Step::Guard => &[Failure::Retriable],
            Step::Send | Step::Drain => &[Failure::Abortable],
            Step::Abort => &[Failure::Retriable, Failure::Fatal],
            Step::Offsets => &[Failure::Retriable, Failure::Unknown, Failure::Abortable, Failure::Expelled, Failure::Fatal],
            Step::Commit => &[Failure::Retriable, Failure::Unknown, Failure::Unknown, Failure::Abortable, Failure::Fatal],
        };
        let failure = possible[cluster.random.random_range(0..possible.len())];
        if step == Step::Drain && cluster.random.random_bool(0.5) {
            cluster.hold_up(self.worker, self.producer_epoch);
        }
        if step == Step::Commit && failure == Failure::Unknown {
            match cluster.random.random_range(0..3) {
                0 => cluster.commit(self.worker),
                1 => cluster.producers.get_mut(&self.worker).expect("joined").delayed = Some(self.producer_epoch),
                _ => {}
            }
        }
        error(failure, &format!("{failure:?}"))
    }
}

impl Cluster {
    /// What the older one had open is aborted.
    fn replace_producer(&mut self, worker: usize) -> u32 {
        let producer = self.producers.entry(worker).or_default();
        producer.epoch += 1;
        producer.open = None;
        producer.epoch
    }
}

impl Transport for Simulated {
    fn poll(&mut self, _: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
        let mut cluster = self.cluster.lock();
        cluster.arrive();
        let faults = cluster.faults;
        if cluster.crashed.contains(&self.worker) || cluster.chance(faults.crash) {
            cluster.crashed.insert(self.worker);
            self.stop.ask();
            return Err(TransportError::fatal("simulated crash"));
        }
        cluster.now_us += cluster.random.random_range(0..60_000);
        cluster.disturb();
        if let Some(change) = cluster.change_for(self.worker) {
            if let GroupChange::Lost(tasks) | GroupChange::Assigned(tasks) = &change {
                self.reading.retain(|input, _| !tasks.contains(&input.partition));
                self.paused.retain(|input, _| !tasks.contains(&input.partition));
            }
            return Ok(Some(change));
        }
        let cluster = &mut *cluster;
        for (&input, next) in &mut self.reading {
            let take = cluster.random.random_range(0..6);
            let end = cluster.end(input);
            for (offset, arriving) in (0..).zip(&cluster.inputs[&input][..end]).skip(usize::try_from(*next).expect("small")).take(take) {
                let (record, original) = record(offset, &arriving.value);
                fetched.push(input, record, original, Some(arriving.leader_epoch));
                *next = offset + 1;
            }
        }
        Ok(None)
    }

    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError> {
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
        let mut cluster = self.cluster.lock();
        let worker = self.worker;
        if let Some(member) = cluster.members.get_mut(&worker) {
            member.revoked.retain(|task| !tasks.contains(task));
        }
        cluster.owners.retain(|task, owner| *owner != worker || !tasks.contains(task));
        Ok(())
    }

    fn membership(&mut self) -> Membership {
        let mut cluster = self.cluster.lock();
        let of_thousand = cluster.faults.call;
        let unlucky = cluster.chance(of_thousand);
        Membership { generation: if unlucky { -1 } else { 1 }, lost: false }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        let worker = self.worker;
        let mut cluster = self.call(Step::Begin)?;
        let producer = cluster.producers.get_mut(&worker).expect("joined");
        assert!(producer.open.is_none(), "one transaction at a time");
        producer.open = Some(Transaction::default());
        Ok(())
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError> {
        let header = |name: &str| {
            let value = record.headers.iter().find(|(found, _)| *found == name)?.1.expect("a value");
            Some(std::str::from_utf8(value).expect("text"))
        };
        let number = |name: &str| header(name).expect("every record of ours has it").parse::<u64>().expect("a number");
        let (worker, epoch, task) = (self.worker, number("epoch"), u32::try_from(number("task")).expect("small"));
        let place = header("stream").map(|stream| (stream.to_owned(), number("offset")));
        let mut cluster = self.call(Step::Send)?;
        let value = record.value.expect("every record has one").to_vec();
        // A commit that came late has ended it: the brokers take the record for the start of another.
        let open = cluster.producers.get_mut(&worker).expect("joined").open.get_or_insert_default();
        if record.topic == JOURNAL {
            assert_eq!(record.partition, task);
            open.journal.push((task, value));
        } else {
            let kind = match record.topic {
                OUTPUT => OutputKind::Match,
                LATE => OutputKind::Late,
                _ => OutputKind::Rejected,
            };
            let (key, value) = (record.key.map(<[u8]>::to_vec), String::from_utf8(value).expect("text"));
            open.records.push(Delivered { task, epoch, kind, key, value, place });
        }
        Ok(())
    }

    fn drain(&mut self, _: Duration) -> Result<(), TransportError> {
        self.call(Step::Drain).map(drop)
    }

    fn known_end(&self, input: InputPartition) -> Option<u64> {
        Some(self.cluster.lock().end(input) as u64)
    }

    fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64> {
        let of_task = |journal: &BTreeMap<u32, Vec<Vec<u8>>>| journal.get(&partition).map(|records| records.len() as u64);
        if topic == JOURNAL { of_task(&self.cluster.lock().journal) } else { None }
    }

    fn send_offsets(&mut self, next: &[(InputPartition, u64)], _: Duration) -> Result<(), TransportError> {
        let worker = self.worker;
        let mut cluster = self.call(Step::Offsets)?;
        // Whether the sender is of the group is checked, what is its own is not.
        if cluster.members.get(&worker).is_none_or(|member| member.expelled) {
            return Err(TransportError { failure: Failure::Expelled, reason: "simulated expulsion".to_owned() });
        }
        cluster.producers.get_mut(&worker).expect("joined").open.get_or_insert_default().offsets = next.to_vec();
        Ok(())
    }

    fn commit(&mut self, _: Duration) -> Result<(), TransportError> {
        let worker = self.worker;
        self.call(Step::Commit)?.commit(worker);
        Ok(())
    }

    fn abort(&mut self, _: Duration) -> Result<(), TransportError> {
        let worker = self.worker;
        self.call(Step::Abort)?.producers.get_mut(&worker).expect("joined").open = None;
        Ok(())
    }

    fn rejoin(&mut self, _: &str) -> Result<bool, TransportError> {
        Ok(false)
    }

    fn renew(&mut self) -> Result<(), TransportError> {
        let mut cluster = self.cluster.lock();
        cluster.arrive();
        if cluster.crashed.contains(&self.worker) {
            return Err(TransportError::fatal("simulated crash"));
        }
        self.producer_epoch = cluster.replace_producer(self.worker);
        Ok(())
    }
}
