//! What the brokers hold and decide.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Faults;
use super::log::Log;
use super::scenario::{Arriving, BEGINNING_US, LATE, OUTPUT, REJECTED, Scenario, TASKS};
use crate::event::{EventTime, ProcessingTime};
use crate::ports::{GroupChange, InputPartition, Original, Record};
use crate::service::topics::journal::{EpochRecord, OutputDigest, OutputKind};
use crate::service::topics::stages::{Stage, TaskName};

/// How many turns others take while one waits, at most.
const TURNS_MEANWHILE_MAX: usize = 30;

/// A worker's clients: those of one stage in one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Client {
    pub process: usize,
    pub stage: Stage,
}

pub(super) struct Cluster {
    pub random: StdRng,
    pub faults: Faults,
    pub now_us: i64,
    /// What the stopwatch is ahead of that, as time goes on between two looks at it.
    looked_us: u64,
    of_looks: StdRng,
    stages: Vec<Stage>,
    /// Every member has a task at any time.
    is_balanced: bool,
    inputs: BTreeMap<InputPartition, Vec<Arriving>>,
    /// By partition: what the first stage has handed on.
    handed_on: BTreeMap<u32, Log>,
    offsets: BTreeMap<InputPartition, u64>,
    /// What is committed, in order.
    delivered: BTreeMap<TaskName, Vec<Delivered>>,
    /// By task and epoch: the digest of what is committed, in order.
    accounts: BTreeMap<(TaskName, u64), OutputDigest>,
    journal: BTreeMap<TaskName, Vec<Vec<u8>>>,
    /// The names that transactions go by.
    pub producers: BTreeMap<Client, Producer>,
    pub members: BTreeMap<Client, Member>,
    /// Which process has a task, and which is to have it.
    owners: BTreeMap<TaskName, usize>,
    wanted: BTreeMap<TaskName, usize>,
    pub crashed: BTreeSet<usize>,
    /// How often a member was told that it joins anew.
    rejoins: u64,
    /// So many of the next answers tell of offsets from before.
    pub older_answers: u32,
    /// By input: the first record that is still kept.
    pub kept_from: BTreeMap<InputPartition, u64>,
}

#[derive(Default)]
pub(super) struct Producer {
    /// Calls of an older one are fenced.
    pub epoch: u32,
    pub open: Option<Transaction>,
    /// A commit of this epoch is on its way, and arrives in whatever transaction is open by then.
    pub delayed: Option<u32>,
    /// Records of this epoch that have not arrived yet: they belong to whatever transaction is open when they do.
    pub late: Option<(u32, Vec<Sent>)>,
}

#[derive(Default)]
pub(super) struct Transaction {
    /// On their way.
    pub sent: Vec<Sent>,
    /// With the brokers.
    arrived: Vec<Sent>,
    pub offsets: Vec<(InputPartition, u64)>,
}

pub(super) enum Sent {
    Journal(TaskName, Vec<u8>),
    HandedOn { partition: u32, value: Vec<u8>, of: (TaskName, u64) },
    Output(Delivered),
}

/// A record of an output for users.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Delivered {
    /// Of what was set aside: the place where it stood first.
    pub from: Option<String>,
    pub topic: &'static str,
    pub partition: u32,
    pub key: Option<Vec<u8>>,
    pub value: String,
    pub task: TaskName,
    pub epoch: u64,
}

#[derive(Default, Debug)]
pub(super) struct Member {
    /// Put out of the group, and not told yet.
    pub expelled: bool,
    /// Told that all is lost; then, that it joins anew.
    joins_anew: bool,
    pub revoked: BTreeSet<u32>,
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Cluster>>);

impl Sent {
    /// Where it goes: topic and partition.
    fn partition(&self) -> (&'static str, u32) {
        match self {
            Self::Journal(task, _) => ("journal", task.number),
            Self::HandedOn { partition, .. } => ("handed on", *partition),
            Self::Output(output) => (output.topic, output.partition),
        }
    }
}

impl Delivered {
    pub(super) fn kind(&self) -> OutputKind {
        match self.topic {
            OUTPUT => OutputKind::Match,
            LATE => OutputKind::Late,
            REJECTED => OutputKind::Rejected,
            other => panic!("nobody reads {other}"),
        }
    }
}

impl Shared {
    pub(super) fn new(seed: u64, faults: Faults, scenario: Scenario) -> Self {
        let cluster = Cluster {
            random: StdRng::seed_from_u64(seed),
            faults,
            now_us: BEGINNING_US,
            looked_us: 0,
            of_looks: StdRng::seed_from_u64(seed ^ 0x100c),
            stages: scenario.plans().iter().map(|plan| plan.stage).collect(),
            is_balanced: scenario == Scenario::RekeyedLagging,
            inputs: scenario.inputs(seed),
            handed_on: BTreeMap::new(),
            offsets: BTreeMap::new(),
            delivered: BTreeMap::new(),
            accounts: BTreeMap::new(),
            journal: BTreeMap::new(),
            producers: BTreeMap::new(),
            members: BTreeMap::new(),
            owners: BTreeMap::new(),
            wanted: BTreeMap::new(),
            crashed: BTreeSet::new(),
            rejoins: 0,
            older_answers: 0,
            kept_from: BTreeMap::new(),
        };
        Self(Arc::new(Mutex::new(cluster)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().expect("one thread")
    }

    pub(super) fn faults(&self) -> Faults {
        self.lock().faults
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub(super) fn is_crashed(&self, process: usize) -> bool {
        self.lock().crashed.contains(&process)
    }

    pub(super) fn is_finished(&self, scenario: Scenario) -> bool {
        let is_ended = |task| self.journal(task).last().is_some_and(|last| last.ended);
        if scenario.is_bounded() {
            return self.tasks().into_iter().all(is_ended);
        }
        let cluster = self.lock();
        let is_read = |(input, records): (&InputPartition, &Vec<Arriving>)| cluster.offsets.get(input) == Some(&(records.len() as u64));
        let has_taken = |partition: u32, log: &Log| {
            let of_partition = |offset: &(&InputPartition, &u64)| offset.0.partition == partition && !cluster.inputs.contains_key(offset.0);
            cluster.offsets.iter().find(of_partition).is_some_and(|(_, next)| *next >= log.committed_end())
        };
        cluster.inputs.iter().all(is_read) && cluster.handed_on.iter().all(|(partition, log)| has_taken(*partition, log))
    }

    /// How far everything is, for whoever has to find out why it does not go on.
    pub(super) fn standing(&self) -> String {
        let cluster = self.lock();
        let inputs = cluster.inputs.iter().map(|(input, records)| (*input, cluster.offset(*input), records.len()));
        let logs = cluster.handed_on.iter().map(|(partition, log)| (*partition, log.stable_end(), log.committed_end()));
        let open = cluster.producers.iter().filter(|(_, producer)| producer.open.is_some()).map(|(client, _)| client);
        format!(
            "inputs {:?}, offsets {:?}, logs {:?}, open {:?}, owners {:?}, wanted {:?}, {:?}",
            inputs.collect::<Vec<_>>(),
            cluster.offsets,
            logs.collect::<Vec<_>>(),
            open.collect::<Vec<_>>(),
            cluster.owners,
            cluster.wanted,
            cluster.members
        )
    }

    pub(super) fn now(&self) -> ProcessingTime {
        ProcessingTime::from_micros(self.lock().now_us)
    }

    /// At the stopwatch of a process. Now and then much time has gone by since the last look, as where a machine has too much to do.
    pub(super) fn look(&self) -> Duration {
        let cluster = &mut *self.lock();
        if cluster.of_looks.random_bool(0.1) {
            cluster.looked_us += cluster.of_looks.random_range(0..20_000);
        }
        Duration::from_micros(u64::try_from(cluster.now_us - BEGINNING_US).expect("it goes on") + cluster.looked_us)
    }

    /// The clock goes on while nothing else does.
    pub(super) fn pass(&self, micros: i64) {
        self.lock().now_us += micros;
    }

    /// All tasks of all stages.
    pub(super) fn tasks(&self) -> Vec<TaskName> {
        self.lock().tasks()
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

    /// A record is another one now.
    pub(super) fn change(&self, input: InputPartition, offset: u64) {
        let mut cluster = self.lock();
        let records = cluster.inputs.get_mut(&input).expect("an input");
        let record = &mut records[usize::try_from(offset).expect("small")];
        record.value = record.value.replace("\"k\":", "\"K\":");
    }

    /// Each input has one more record, of a time far after all others.
    pub(super) fn add_to_inputs(&self) {
        for records in self.lock().inputs.values_mut() {
            let last = records.last().expect("every input has records").clone();
            records.push(Arriving { value: format!("{{\"k\":\"{}\",\"at\":{}}}", last.key, BEGINNING_US / 1_000 + 86_400_000), ..last });
        }
    }

    pub(super) fn delete_journals(&self) {
        self.lock().journal.clear();
    }

    pub(super) fn journal(&self, task: TaskName) -> Vec<EpochRecord> {
        self.lock().journal(task).iter().map(|value| EpochRecord::decode(value).expect("written by us")).collect()
    }

    /// Epochs that close windows and are not the last, of the task that has fewest of them. One of the second stage may come to the end of time before it has all that was held, and close them by
    /// that.
    pub(super) fn closing_epochs(&self) -> usize {
        let closes = |record: &&EpochRecord| record.closing || !record.ended && record.watermark_out_us == EventTime::END.micros();
        let of_task = |task| self.journal(task).iter().filter(closes).count();
        self.tasks().into_iter().map(of_task).min().expect("tasks")
    }

    /// By task and epoch: number and digest of the outputs that are committed; epochs without any are left out.
    pub(super) fn accounts(&self) -> BTreeMap<(TaskName, u64), (u64, u64)> {
        self.lock().accounts.iter().map(|(epoch, digest)| (*epoch, (digest.count(), digest.value()))).collect()
    }

    pub(super) fn delivered(&self) -> BTreeMap<TaskName, Vec<Delivered>> {
        self.lock().delivered.clone()
    }

    /// How many records were handed on in transactions that were aborted.
    pub(super) fn aborted(&self) -> u64 {
        self.lock().handed_on.values().map(|log| log.aborted() as u64).sum()
    }

    pub(super) fn rejoins(&self) -> u64 {
        self.lock().rejoins
    }

    /// The process is gone, and the groups have noticed.
    pub(super) fn gone(&self, process: usize) {
        let mut cluster = self.lock();
        for stage in cluster.stages.clone() {
            cluster.leave(Client { process, stage });
        }
        cluster.crashed.remove(&process);
    }

    /// What those that do not come back have open times out: until then nobody sees what was handed on after it.
    pub(super) fn end_transactions(&self) {
        self.lock().await_decided(|_, _| true);
    }

    /// A worker has ended as it should.
    pub(super) fn leave(&self, client: Client) {
        self.lock().leave(client);
    }

    /// A client waits for an answer, perhaps for so long that its group goes on without it: so many turns others take meanwhile.
    pub(super) fn turns_meanwhile(&self, client: Client) -> usize {
        let mut cluster = self.lock();
        let of_thousand = cluster.faults.pause;
        if of_thousand == 0 || !cluster.chance(of_thousand) {
            return 0;
        }
        if cluster.random.random_bool(0.5) {
            cluster.expel(client);
        }
        cluster.random.random_range(1..TURNS_MEANWHILE_MAX)
    }
}

impl Cluster {
    fn tasks(&self) -> Vec<TaskName> {
        self.stages.iter().flat_map(|stage| (0..TASKS).map(|number| stage.task(number))).collect()
    }

    /// Up to here an input is there to be read by now.
    pub(super) fn end(&self, input: InputPartition) -> u64 {
        match self.inputs.get(&input) {
            Some(records) => records.iter().take_while(|record| record.at_us <= self.now_us).count() as u64,
            None => self.handed_on.get(&input.partition).map_or(0, Log::stable_end),
        }
    }

    /// After the last record that is there to be read.
    pub(super) fn records_end(&self, input: InputPartition) -> u64 {
        if self.inputs.contains_key(&input) { self.end(input) } else { self.handed_on.get(&input.partition).map_or(0, Log::committed_end) }
    }

    /// Shows the records that an input has among these offsets, with their leader epochs.
    pub(super) fn visit(&self, input: InputPartition, offsets: Range<u64>, visit: &mut dyn FnMut(Record<'_>, Original<'_>, Option<u32>)) {
        if let Some(records) = self.inputs.get(&input) {
            for (offset, arriving) in (0..).zip(records).filter(|(offset, _)| offsets.contains(offset)) {
                let (record, original) = record(offset, Some(arriving.key.as_bytes()), arriving.value.as_bytes());
                visit(record, original, Some(arriving.leader_epoch));
            }
        } else if let Some(log) = self.handed_on.get(&input.partition) {
            for (offset, value) in log.committed(offsets) {
                let (record, original) = record(offset, None, value);
                visit(record, original, Some(0));
            }
        }
    }

    pub(super) fn offset(&self, input: InputPartition) -> Option<u64> {
        self.offsets.get(&input).copied()
    }

    /// As brokers answer, once what is open is decided.
    pub(super) fn committed(&mut self, inputs: &[InputPartition]) -> Vec<Option<u64>> {
        let is_older = self.older_answers > 0;
        self.older_answers = self.older_answers.saturating_sub(1);
        inputs.iter().map(|input| self.offset(*input).map(|next| next - u64::from(is_older))).collect()
    }

    pub(super) fn journal(&self, task: TaskName) -> &[Vec<u8>] {
        self.journal.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Whether the call at hand fails.
    pub(super) fn call_fails(&mut self) -> bool {
        self.chance(self.faults.call)
    }

    pub(super) fn chance(&mut self, of_thousand: u32) -> bool {
        self.random.random_range(0..1_000) < of_thousand
    }

    /// What is on its way may arrive before each call.
    pub(super) fn arrive(&mut self) {
        for client in self.producers.keys().copied().collect::<Vec<_>>() {
            let producer = self.producers.get_mut(&client).expect("just seen");
            if producer.open.as_ref().is_some_and(|open| !open.sent.is_empty()) && self.random.random_range(0..4) == 0 {
                self.arrive_all(client);
            }
            let producer = self.producers.get_mut(&client).expect("just seen");
            if let Some((epoch, records)) = producer.late.take_if(|_| self.random.random_range(0..4) == 0)
                && epoch == producer.epoch
                && producer.open.is_some()
            {
                self.arrive_as(client, records);
            }
            let producer = self.producers.get_mut(&client).expect("just seen");
            let Some(epoch) = producer.delayed else { continue };
            if self.random.random_range(0..4) == 0 {
                producer.delayed = None;
                if producer.epoch == epoch {
                    self.end_transaction(client, true);
                }
            }
        }
    }

    /// All that a producer has sent.
    pub(super) fn arrive_all(&mut self, client: Client) {
        let open = self.producers.get_mut(&client).and_then(|producer| producer.open.as_mut());
        let sent = open.map(|open| std::mem::take(&mut open.sent)).unwrap_or_default();
        self.arrive_as(client, sent);
    }

    /// What a producer has sent is still on its way. What is for one partition comes together, or not yet.
    pub(super) fn hold_up(&mut self, client: Client, epoch: u32) {
        let Some(open) = self.producers.get_mut(&client).and_then(|producer| producer.open.as_mut()) else { return };
        let mut is_late = BTreeMap::new();
        let random = &mut self.random;
        let late = open.sent.extract_if(.., |sent| *is_late.entry(sent.partition()).or_insert_with(|| random.random_bool(0.7))).collect();
        self.producers.get_mut(&client).expect("just seen").late = Some((epoch, late));
    }

    fn arrive_as(&mut self, client: Client, records: Vec<Sent>) {
        for sent in &records {
            if let Sent::HandedOn { partition, value, .. } = sent {
                self.handed_on.entry(*partition).or_default().append(client, value.clone());
            }
        }
        if let Some(open) = self.producers.get_mut(&client).and_then(|producer| producer.open.as_mut()) {
            open.arrived.extend(records);
        }
    }

    /// Whatever the producer has open counts from now on, or never will.
    pub(super) fn end_transaction(&mut self, client: Client, is_committed: bool) {
        let Some(producer) = self.producers.get_mut(&client) else { return };
        let Some(Transaction { sent, arrived, offsets }) = producer.open.take() else { return };
        self.handed_on.values_mut().for_each(|log| log.end_transaction(client, is_committed));
        if !is_committed {
            return;
        }
        // A commit that came late does not have them.
        if !sent.is_empty() {
            producer.open = Some(Transaction { sent, ..Transaction::default() });
        }
        for record in arrived {
            match record {
                Sent::Journal(task, value) => self.journal.entry(task).or_default().push(value),
                Sent::HandedOn { value, of, .. } => self.accounts.entry(of).or_default().push(OutputKind::HandedOn, None, Some(&value)),
                Sent::Output(output) => {
                    let account = self.accounts.entry((output.task, output.epoch)).or_default();
                    account.push(output.kind(), output.key.as_deref(), Some(output.value.as_bytes()));
                    self.delivered.entry(output.task).or_default().push(output);
                }
            }
        }
        self.offsets.extend(offsets);
    }

    /// Whoever asks for what is committed waits until every transaction that may change it has ended, or timed out, which fences its producer.
    pub(super) fn await_decided(&mut self, changes: impl Fn(Client, &Transaction) -> bool) {
        self.arrive();
        let is_of = |(client, producer): (&Client, &Producer)| producer.open.as_ref().filter(|open| changes(*client, open)).map(|_| *client);
        for client in self.producers.iter().filter_map(is_of).collect::<Vec<_>>() {
            self.end_transaction(client, false);
            self.producers.get_mut(&client).expect("just seen").epoch += 1;
        }
    }

    /// What the older one had open is aborted.
    pub(super) fn replace_producer(&mut self, client: Client) -> u32 {
        self.end_transaction(client, false);
        let producer = self.producers.entry(client).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    fn leave(&mut self, client: Client) {
        self.members.remove(&client);
        let is_others = |task: &TaskName, process: &mut usize| task.stage != client.stage || *process != client.process;
        self.owners.retain(is_others);
        self.wanted.retain(is_others);
    }

    /// Those of a stage's group that are not put out.
    fn members_of(&self, stage: Stage) -> Vec<usize> {
        self.members.iter().filter(|(client, member)| client.stage == stage && !member.expelled).map(|(client, _)| client.process).collect()
    }

    /// Puts a member out of its group without a word, where there is another.
    fn expel(&mut self, client: Client) {
        let members = self.members_of(client.stage);
        let Some(&other) = members.iter().find(|member| **member != client.process).filter(|_| members.contains(&client.process)) else { return };
        self.members.get_mut(&client).expect("a member").expelled = true;
        self.owners.retain(|task, owner| task.stage != client.stage || *owner != client.process);
        self.wanted.iter_mut().filter(|(task, wanted)| task.stage == client.stage && **wanted == client.process).for_each(|(_, wanted)| *wanted = other);
    }

    /// Moves tasks of a stage about.
    pub(super) fn disturb(&mut self, stage: Stage) {
        let members = self.members_of(stage);
        if members.is_empty() {
            return;
        }
        if self.chance(self.faults.rebalance) {
            let (task, process) = (stage.task(self.random.random_range(0..TASKS)), members[self.random.random_range(0..members.len())]);
            self.wanted.insert(task, process);
        }
        if members.len() > 1 && self.chance(self.faults.expel) {
            let process = members[self.random.random_range(0..members.len())];
            self.expel(Client { process, stage });
        }
        for number in 0..TASKS {
            let process = members[number as usize % members.len()];
            self.wanted.entry(stage.task(number)).or_insert(process);
        }
        let is_without = |process: &&usize| !self.wanted.iter().any(|(task, wanted)| task.stage == stage && wanted == *process);
        if let Some(&process) = self.members_of(stage).iter().find(is_without).filter(|_| self.is_balanced) {
            self.wanted.insert(stage.task(self.random.random_range(0..TASKS)), process);
        }
    }

    pub(super) fn change_for(&mut self, Client { process, stage }: Client) -> Option<GroupChange> {
        let member = self.members.get_mut(&Client { process, stage }).expect("joined");
        if std::mem::take(&mut member.expelled) {
            member.revoked.clear();
            member.joins_anew = true;
            return Some(GroupChange::Lost((0..TASKS).collect()));
        }
        if std::mem::take(&mut member.joins_anew) {
            self.rejoins += 1;
            return Some(GroupChange::JoinsAnew);
        }
        let is_taken = |task: &TaskName, owner: usize| task.stage == stage && owner == process && self.wanted[task] != process;
        let taken = self.owners.iter().find(|(task, owner)| is_taken(task, **owner) && !member.revoked.contains(&task.number));
        if let Some((task, _)) = taken {
            member.revoked.insert(task.number);
            return Some(GroupChange::Revoked(vec![task.number]));
        }
        let is_free = |number: &u32| self.wanted.get(&stage.task(*number)) == Some(&process) && !self.owners.contains_key(&stage.task(*number));
        let given: Vec<u32> = (0..TASKS).filter(is_free).collect();
        if given.is_empty() {
            return None;
        }
        self.owners.extend(given.iter().map(|number| (stage.task(*number), process)));
        Some(GroupChange::Assigned(given))
    }

    pub(super) fn is_owned(&self, client: Client, task: u32) -> bool {
        self.owners.get(&client.stage.task(task)) == Some(&client.process)
    }

    pub(super) fn release(&mut self, client: Client, tasks: &[u32]) {
        if let Some(member) = self.members.get_mut(&client) {
            member.revoked.retain(|task| !tasks.contains(task));
        }
        self.owners.retain(|task, owner| task.stage != client.stage || *owner != client.process || !tasks.contains(&task.number));
    }
}

impl Transaction {
    /// It changes the offsets of this partition, or adds to what the brokers hold of it, as far as that is with them.
    pub(super) fn has_offset(&self, input: InputPartition) -> bool {
        self.offsets.iter().any(|(changed, _)| *changed == input)
    }

    pub(super) fn has_journal(&self, task: TaskName) -> bool {
        self.arrived.iter().any(|sent| matches!(sent, Sent::Journal(of, _) if *of == task))
    }

    pub(super) fn has_output(&self, topic: &str, partition: u32) -> bool {
        self.arrived.iter().any(|sent| matches!(sent, Sent::Output(output) if output.topic == topic && output.partition == partition))
    }
}

pub(super) fn record<'a>(offset: u64, key: Option<&'a [u8]>, value: &'a [u8]) -> (Record<'a>, Original<'a>) {
    let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: value, full_bytes: value.len() as u64 };
    (record, Original { key, value: Some(value), headers: &[] })
}
