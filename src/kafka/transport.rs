//! One worker's part: a consumer in the group and a transactional producer.
//!
//! Whatever the producer waits for, the member goes on being one: it looks for news of the group, which the library takes for a sign of life, and lets whoever called decide
//! how long it is worth waiting. So what ends a transaction, and what makes a producer, is called on a thread of its own (`pending`): asked for 5 s, the library was seen to
//! take 17 s for offsets. (Short calls again and again would do for the rest, which it resumes. But an answer to the call before may then be taken for one to this.) What is not
//! answered in time is left to its thread, and the producer with it: brokers refuse whatever still comes of it once the next has taken up its name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::deliveries::{Deliveries, may_be_repeated};
use crate::kafka::fence::{Fence, Unreleased, Verdict};
use crate::kafka::ffi::{BatchConsumer, Taken};
use crate::kafka::group::{Group, GroupConsumer, add, partition};
use crate::kafka::hanging::{Written, end_hanging};
use crate::kafka::pending::{Caller, Pending};
use crate::kafka::permission::Operation;
use crate::kafka::produce::{drain_unless, produce};
use crate::kafka::survey::Topics;
use crate::kafka::{Identity, Link, failure, ffi, reader, topic_id};
use crate::ports::{Failure, Fetched, GroupChange, InputPartition, Membership, OutputRecord, Transport, TransportError};

/// Records and bytes that one call of `poll` takes, about, so that the group is heard often enough; and records that are taken at once.
const POLL_RECORDS_MAX: usize = 5_000;
const POLL_BYTES_MAX: usize = 8 << 20;
const TAKEN_RECORDS_MAX: usize = 500;

/// So often the group is heard while something else is waited for.
const HEAR_INTERVAL: Duration = Duration::from_millis(100);

/// How long the start of a transaction waits for a producer that is being made, before that is asked for again.
const BEGIN_WAIT: Duration = Duration::from_secs(1);

/// How long the start of the producer may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the library keeps to its time, it answers within this.
const LATE_MAX: Duration = Duration::from_millis(250);

/// How soon a producer that could not be made is tried again.
const MAKE_INTERVAL: Duration = Duration::from_millis(250);

/// Offsets that are not answered the library sends again half a second after it has noticed.
const OFFSETS_ONCE_MAX: Duration = Duration::from_millis(400);

/// How long a member that leaves its group for good takes to give everything back.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// How long the library may take to move a partition, which asks no broker.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker's consumer and producer.
pub struct Member {
    link: Link,
    identity: Identity,
    topics: Topics,
    written: Written,
    consumer: BatchConsumer<Group>,
    /// The brokers refuse the consumer as a second one of its name.
    fence: Option<Fence>,
    /// They do not let the consumer in yet, as they still have one of its name.
    unreleased: Option<Unreleased>,
    /// How often another consumer was made since the group last let us in.
    rejoins: u32,
    /// Shared with a call that it is left with.
    producer: Arc<BaseProducer<Deliveries>>,
    caller: Caller,
    /// A call of its transaction that is not answered: no other is possible meanwhile.
    calling: Option<Calling>,
    /// Its successor.
    making: Option<Making>,
    /// What was told while something else was waited for, and leaves nothing to go on with.
    told: Option<TransportError>,
    /// Counts transactions, so that late answers to an earlier one are told apart.
    transaction: usize,
    /// Some request of an earlier one may still be on its way.
    has_stray: bool,
    /// What is read.
    started: BTreeSet<InputPartition>,
    /// Tasks that were assigned and wait for their start.
    waiting: BTreeSet<u32>,
    /// It leaves the group, to join it anew once everything is given back.
    leaving: bool,
    /// At its end it leaves the group; otherwise its place there waits for a restart until the session is over.
    leaves_for_good: bool,
}

struct Calling {
    name: &'static str,
    began: Instant,
    call: Pending<KafkaResult<()>>,
}

type Making = Pending<Result<BaseProducer<Deliveries>, TransportError>>;

impl Member {
    /// Fences whatever an earlier process of this identity left behind, then joins the group. `None`: it was to stop before it had.
    pub fn join(link: &Link, identity: Identity, topics: &Topics, written: &Written, is_to_stop: &dyn Fn() -> bool) -> Result<Option<Self>, TransportError> {
        let making = begin_making(link, &identity, topics, written);
        let producer = loop {
            if let Some(made) = making.wait(HEAR_INTERVAL) {
                break made?;
            }
            if is_to_stop() {
                return Ok(None);
            }
        };
        let consumer = make_consumer(link, &identity, topics, written, String::new())?;
        Ok(Some(Self {
            link: link.clone(),
            identity,
            topics: topics.clone(),
            written: written.clone(),
            consumer,
            fence: None,
            unreleased: None,
            rejoins: 0,
            producer: Arc::new(producer),
            caller: Caller::new(),
            calling: None,
            making: None,
            told: None,
            transaction: 0,
            has_stray: false,
            started: BTreeSet::new(),
            waiting: BTreeSet::new(),
            leaving: false,
            leaves_for_good: false,
        }))
    }

    /// Its tasks are to be another's as soon as it has ended.
    pub fn leaving_for_good(mut self) -> Self {
        self.leaves_for_good = true;
        self
    }

    /// Goes on being a member until the call has its answer, or the time is up.
    fn attend<T>(&mut self, call: &Pending<T>, wait: Duration) -> Option<T> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = call.wait(left.min(HEAR_INTERVAL));
            if answer.is_some() || left.is_zero() {
                return answer;
            }
            self.hear(Duration::ZERO);
        }
    }

    /// The same until nothing is on its way to the brokers any more; `false`: some is still at the end of the time, or it is in vain.
    fn attend_drained(&mut self, wait: Duration, is_in_vain: impl Fn(&Deliveries) -> bool) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            let step = deadline.min(Instant::now() + HEAR_INTERVAL);
            if drain_unless(&self.producer, step, || is_in_vain(self.producer.context())) {
                return true;
            }
            if Instant::now() > deadline || is_in_vain(self.producer.context()) {
                return false;
            }
            self.hear(Duration::ZERO);
        }
    }

    /// What concerns the group or the whole client; waits for it. Changes of the group wait until they are asked for, and what ends all as well. A record that comes here was
    /// fetched before its partition was started: from a place that nobody has asked for.
    fn hear(&mut self, wait: Duration) {
        self.producer.poll(Duration::ZERO);
        if let Some(Err(error)) = self.consumer.poll(wait)
            && let Err(error) = self.judge(self.topics.leading(), &error)
        {
            self.told.get_or_insert(error);
        }
    }

    fn poll_news(&mut self, wait: Duration) -> Result<Option<GroupChange>, TransportError> {
        if self.consumer.context().has_no_change() {
            self.hear(wait);
        }
        if let Some(error) = self.told.take() {
            return Err(error);
        }
        if self.look_for_fence()? {
            return Ok(Some(GroupChange::JoinsAnew));
        }
        let change = self.consumer.context().next_change();
        if change.is_none() {
            self.join_anew_if_expelled()?;
        }
        Ok(change.map(|change| self.note(change)))
    }

    /// Whoever is refused holds nothing more, and joins anew with another consumer once it is known that no other process has its name. Says whether it does.
    fn look_for_fence(&mut self) -> Result<bool, TransportError> {
        let code = self.consumer.client().fatal_error().map(|(code, _)| code);
        if !matches!(code, Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::UnreleasedInstanceId)) {
            return Ok(false);
        }
        let group = self.consumer.context();
        group.lose_all();
        if code == Some(RDKafkaErrorCode::UnreleasedInstanceId) {
            if !group.has_no_change() {
                return Ok(false);
            }
            let now = Instant::now();
            let unreleased = self.unreleased.get_or_insert_with(|| Unreleased::new(&self.link, &self.identity, now));
            return match unreleased.verdict(now) {
                Verdict::Wait => Ok(false),
                // It was no member so far: there is nothing to be told.
                Verdict::Rejoin => self.replace_consumer().map(|()| false),
                Verdict::End(end) => Err(failure::of_fence(end)),
            };
        }
        let fence = match &mut self.fence {
            Some(fence) => fence,
            None => self.fence.insert(Fence::new(&self.link, &self.identity, group.known_as())?),
        };
        if !group.has_no_change() {
            return Ok(false);
        }
        match fence.verdict(self.rejoins) {
            Verdict::Wait => Ok(false),
            Verdict::Rejoin => {
                self.replace_consumer()?;
                self.fence = None;
                self.rejoins += 1;
                Ok(true)
            }
            Verdict::End(end) => Err(failure::of_fence(end)),
        }
    }

    fn replace_consumer(&mut self) -> Result<(), TransportError> {
        let consumer = make_consumer(&self.link, &self.identity, &self.topics, &self.written, self.consumer.context().known_as())?;
        let old = std::mem::replace(&mut self.consumer, consumer);
        // A consumer that was refused may wait for ever for its own group thread when it is dropped.
        std::thread::spawn(move || {
            close(&old);
            drop(old);
        });
        self.leaving = false;
        Ok(())
    }

    fn join_anew_if_expelled(&mut self) -> Result<(), TransportError> {
        let failed = |error| failure::of_call("cannot join the group", &error);
        // Whoever is fenced joins only with another consumer (`look_for_fence`).
        if self.consumer.client().fatal_error().is_some() {
            return Ok(());
        }
        if self.consumer.context().take_expelled() {
            self.consumer.unsubscribe();
            self.leaving = true;
        }
        // Asked for in the middle of a rebalance, both happen after it only, and the second would undo the first.
        if self.leaving && self.consumer.assignment().map_err(failed)?.count() == 0 {
            self.consumer.subscribe(&[self.topics.leading()]).map_err(failed)?;
            self.leaving = false;
        }
        Ok(())
    }

    fn judge(&self, topic: &str, error: &KafkaError) -> Result<(), TransportError> {
        match self.link.of_poll(topic, error) {
            Some(error) if self.waiting.is_empty() || error.failure == Failure::Denied => Err(error),
            // It may be of a partition that is not started yet, and was not paused quickly enough.
            _ => {
                tracing::warn!(%error, "reading from Kafka");
                Ok(())
            }
        }
    }

    /// Records of one partition.
    fn add(&self, run: &[Taken<'_>], fetched: &mut Fetched) -> Result<(), TransportError> {
        let input = match (self.topics.stream(run[0].topic()), u32::try_from(run[0].partition())) {
            (Some(stream), Ok(partition)) => Some(InputPartition { stream, partition }),
            _ => None,
        };
        let mut batch = input.filter(|input| self.started.contains(input)).map(|input| fetched.batch_of(input));
        let mut headers = Vec::new();
        for taken in run {
            if let Some(error) = taken.error() {
                self.judge(taken.topic(), &error)?;
            } else if let Some(batch) = &mut batch {
                headers.clear();
                taken.write_headers(&mut headers);
                let original = taken.original(&headers);
                batch.push_original(reader::record(taken.offset(), taken.timestamp(), original.value, self.link.record_bytes_max), original);
                batch.leader_epoch = taken.leader_epoch();
            }
        }
        Ok(())
    }

    fn seek(&self, from: &[(InputPartition, u64)]) -> KafkaResult<()> {
        let list = list(&self.topics, from.iter().map(|&(input, next)| (input, Offset::Offset(signed(next)))))?;
        self.consumer.seek_partitions(list, SEEK_TIMEOUT).and_then(|list| list.elements().iter().try_for_each(|element| element.error()))
    }

    /// What comes to us anew, or went without a word, is not read before it is started.
    fn note(&mut self, change: GroupChange) -> GroupChange {
        match &change {
            GroupChange::Assigned(tasks) => {
                (self.rejoins, self.unreleased) = (0, None);
                self.started.retain(|input| !tasks.contains(&input.partition));
                self.waiting.extend(tasks);
            }
            GroupChange::Lost(tasks) => self.forget(tasks),
            GroupChange::Revoked(_) | GroupChange::JoinsAnew => {}
        }
        change
    }

    fn forget(&mut self, tasks: &[u32]) {
        self.started.retain(|input| !tasks.contains(&input.partition));
        self.waiting.retain(|task| !tasks.contains(task));
    }

    /// Makes a call of the transaction, or waits on where it is under way already. With the time since it was made.
    fn call(
        &mut self,
        name: &'static str,
        wait: Duration,
        call: impl FnOnce(&BaseProducer<Deliveries>) -> KafkaResult<()> + Send + 'static,
    ) -> (Result<(), TransportError>, Instant) {
        let Calling { name: under_way, began, call } = self.calling.take().unwrap_or_else(|| {
            let producer = self.producer.clone();
            Calling { name, began: Instant::now(), call: self.caller.begin(move || call(&producer)) }
        });
        if under_way != name {
            self.calling = Some(Calling { name: under_way, began, call });
            return (Err(TransportError::fatal(format!("Kafka: {name}: an earlier call is not answered"))), began);
        }
        let done = match self.attend(&call, wait + LATE_MAX) {
            Some(done) => done.map_err(|error| self.of_transaction(name, &error)),
            None => {
                self.calling = Some(Calling { name, began, call });
                Err(TransportError { failure: Failure::Unknown, reason: format!("Kafka: {name}: the brokers do not answer") })
            }
        };
        (done, began)
    }

    /// After a call that decides on a transaction. Whether it is done, the call says; not, whether it is done with.
    fn note_strays(&mut self, called: Result<(), TransportError>, is_repeated: bool) -> Result<(), TransportError> {
        // That the group has gone on is an answer.
        self.has_stray |= is_repeated || called.as_ref().is_err_and(|error| error.failure != Failure::Expelled);
        called
    }

    /// A failed call of the transaction. Which topic was refused, only the answers to what was sent tell: where they do not, it is those whose offsets are committed.
    fn of_transaction(&self, call: &str, error: &KafkaError) -> TransportError {
        let inputs: Vec<&str> = self.topics.names().collect();
        let denied = || self.link.denied(error, Operation::Read, &inputs);
        let is_topic = error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed);
        let written = is_topic.then(|| self.producer.context().denied(&self.link)).flatten();
        written.or_else(denied).unwrap_or_else(|| failure::of_transaction(call, error))
    }
}

impl Transport for Member {
    fn poll(&mut self, wait: Duration, fetched: &mut Fetched) -> Result<Option<GroupChange>, TransportError> {
        self.producer.poll(Duration::ZERO);
        // While nothing is read, only news can come.
        let (news_wait, mut wait) = if self.started.is_empty() { (wait, Duration::ZERO) } else { (Duration::ZERO, wait) };
        if let Some(change) = self.poll_news(news_wait)? {
            return Ok(Some(change));
        }
        let (records_max, bytes_max) = (fetched.records() + POLL_RECORDS_MAX, fetched.bytes() + POLL_BYTES_MAX);
        loop {
            let taken = self.consumer.take(wait, TAKEN_RECORDS_MAX);
            taken.chunk_by(Taken::is_beside).try_for_each(|run| self.add(run, fetched))?;
            if taken.len() < TAKEN_RECORDS_MAX || fetched.records() >= records_max || fetched.bytes() >= bytes_max {
                return Ok(None);
            }
            wait = Duration::ZERO;
        }
    }

    fn start(&mut self, from: &[(InputPartition, u64)]) -> Result<(), TransportError> {
        if from.is_empty() {
            return Ok(());
        }
        let collected = from.iter().try_for_each(|(input, _)| self.consumer.collect(self.topics.name(input.stream), partition(input.partition)));
        collected.and_then(|()| self.seek(from)).map_err(|error| failure::of_call("cannot read from the stored place", &error))?;
        self.started.extend(from.iter().map(|&(input, _)| input));
        self.waiting.retain(|task| from.iter().all(|(input, _)| input.partition != *task));
        let inputs: Vec<_> = from.iter().map(|&(input, _)| input).collect();
        self.resume(&inputs)
    }

    fn pause(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        let list = list(&self.topics, partitions.iter().map(|&input| (input, Offset::Invalid)));
        list.and_then(|list| self.consumer.pause(&list)).map_err(|error| failure::of_call("cannot pause", &error))
    }

    fn resume(&mut self, partitions: &[InputPartition]) -> Result<(), TransportError> {
        let list = list(&self.topics, partitions.iter().map(|&input| (input, Offset::Invalid)));
        list.and_then(|list| self.consumer.resume(&list)).map_err(|error| failure::of_call("cannot resume", &error))
    }

    fn release(&mut self, tasks: &[u32]) -> Result<(), TransportError> {
        // Where it was lost since, it may be ours again already, and be read.
        if !self.consumer.context().awaits_release() {
            return Ok(());
        }
        self.forget(tasks);
        self.consumer.context().give_back(&self.consumer, tasks).map_err(|error| failure::of_call("cannot give partitions back", &error))
    }

    fn membership(&mut self) -> Membership {
        let lost = self.fence.is_some() || !self.consumer.context().may_commit(&self.consumer, &[]);
        Membership { generation: ffi::generation(&self.consumer), lost }
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        if self.has_stray {
            if self.making.is_none() {
                tracing::warn!("a request of an earlier transaction may still be on its way: another producer takes over, which keeps it out of the next");
            }
            if !self.renew(BEGIN_WAIT)? {
                return Err(TransportError { failure: Failure::Retriable, reason: "Kafka: the next producer is not there yet".to_owned() });
            }
        }
        self.transaction += 1;
        self.producer.begin_transaction().map_err(|error| self.of_transaction("cannot begin a transaction", &error))
    }

    fn send(&mut self, record: &OutputRecord<'_>) -> Result<(), TransportError> {
        produce(&self.producer, record, None, self.transaction)
    }

    fn drain(&mut self, wait: Duration) -> Result<(), TransportError> {
        let drained = self.attend_drained(wait, Deliveries::is_denied);
        let deliveries = self.producer.context();
        if let Some(denied) = deliveries.denied(&self.link) {
            return Err(denied);
        }
        match deliveries.refused(self.transaction) {
            Some(reason) => Err(failure::of_delivery(reason)),
            None if drained => Ok(()),
            None => Err(failure::of_silence()),
        }
    }

    fn known_end(&self, input: InputPartition) -> Option<u64> {
        ffi::known_end(&self.consumer, self.topics.name(input.stream), partition(input.partition))
    }

    fn delivered_to(&self, topic: &str, partition: u32) -> Option<u64> {
        self.producer.context().delivered_to(topic, partition)
    }

    fn send_offsets(&mut self, next: &[(InputPartition, u64)], wait: Duration) -> Result<(), TransportError> {
        let list = offsets(&self.topics, next).map_err(|error| failure::of_call("offsets", &error))?;
        let metadata = self.consumer.group_metadata().ok_or_else(|| TransportError::fatal("Kafka: the consumer has no group"))?;
        let tasks: Vec<u32> = next.iter().map(|(input, _)| input.partition).collect();
        // Looked at afterwards: under the old name brokers refuse the offsets, and under a new one they would take what is not ours.
        if !self.consumer.context().may_commit(&self.consumer, &tasks) {
            return Err(TransportError { failure: Failure::Expelled, reason: "the group has gone on without this member".to_owned() });
        }
        let (sent, began) = self.call("cannot send offsets", wait, move |producer| producer.send_offsets_to_transaction(&list, &metadata, wait));
        self.note_strays(sent, began.elapsed() >= OFFSETS_ONCE_MAX)
    }

    fn commit(&mut self, wait: Duration) -> Result<(), TransportError> {
        let (committed, began) = self.call("cannot commit", wait, move |producer| producer.commit_transaction(wait));
        self.note_strays(committed, may_be_repeated(&self.producer, began))
    }

    fn abort(&mut self, wait: Duration) -> Result<(), TransportError> {
        // The library waits for the answers to be fetched, which only this thread does. What is on its way is waited for first: where it is purged, the producer
        // must take a new epoch, and that was seen to purge the first record of the next transaction as well.
        self.producer.purge(PurgeConfig::default().queue());
        if !self.attend_drained(wait, |_| false) {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.attend_drained(wait, |_| false);
        }
        let (aborted, began) = self.call("cannot abort", wait, move |producer| producer.abort_transaction(wait));
        self.note_strays(aborted, may_be_repeated(&self.producer, began))
    }

    fn rejoin(&mut self, member: &str) -> Result<bool, TransportError> {
        // The coordinator makes a member's name of the one that stays and something random. Whoever is fenced joins anew anyway, or no more.
        if self.fence.is_some() || !member.starts_with(&format!("{}-", self.identity.name())) {
            return Ok(false);
        }
        self.consumer.unsubscribe();
        self.consumer.subscribe(&[self.topics.leading()]).map_err(|error| failure::of_call("cannot join the group", &error))?;
        Ok(true)
    }

    fn renew(&mut self, wait: Duration) -> Result<bool, TransportError> {
        let making = self.making.take().unwrap_or_else(|| begin_making(&self.link, &self.identity, &self.topics, &self.written));
        let Some(made) = self.attend(&making, wait) else {
            self.making = Some(making);
            return Ok(false);
        };
        let old = std::mem::replace(&mut self.producer, Arc::new(made?));
        // Whatever it still has under way ends with it, and is refused from now on.
        (self.calling, self.caller) = (None, Caller::new());
        self.has_stray = false;
        // Dropping a client can take long where brokers are gone.
        std::thread::spawn(move || drop(old));
        Ok(true)
    }
}

impl Member {
    /// A member whose name stays tells the group of its end only where it does not subscribe any more before.
    fn leave_for_good(&mut self) -> Result<(), TransportError> {
        // Whoever is fenced is no member.
        if self.fence.is_some() {
            return Ok(());
        }
        let deadline = Instant::now() + LEAVE_MAX;
        self.consumer.context().release_revoked(&self.consumer).map_err(|error| failure::of_call("cannot give partitions back", &error))?;
        self.consumer.unsubscribe();
        // The library forgets what the group calls it when it asks to leave, which is once everything is given back; it waits for the answer when it is closed.
        while !ffi::member_name(&self.consumer).is_empty() {
            if Instant::now() >= deadline {
                return Err(TransportError { failure: Failure::Unknown, reason: format!("Kafka: the group cannot be left within {LEAVE_MAX:?}") });
            }
            self.hear(HEAR_INTERVAL);
            while let Some(change) = self.consumer.context().next_change() {
                if let GroupChange::Revoked(tasks) = change {
                    self.release(&tasks)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.leaves_for_good
            && let Err(error) = self.leave_for_good()
        {
            tracing::warn!(%error, "the group waits for this worker until its session is over");
        }
        close(&self.consumer);
    }
}

fn close(consumer: &BatchConsumer<Group>) {
    if let Err(error) = consumer.context().close(consumer) {
        tracing::warn!(%error, "closing the consumer");
    }
}

/// One that joins the group.
fn make_consumer(link: &Link, identity: &Identity, topics: &Topics, written: &Written, known_as: String) -> Result<BatchConsumer<Group>, TransportError> {
    let group = Group::new(topics.names().map(str::to_owned).collect(), known_as);
    let consumer: GroupConsumer = link.member(identity).create_with_context(group).map_err(|error| failure::of_settings(&error))?;
    let consumer = BatchConsumer::new(consumer);
    let failed = |error| failure::of_call("cannot join the group", &error);
    // Only what the library knows of can be paused before it is read for the first time.
    for topic in topics.names() {
        (0..written.tasks).try_for_each(|task| consumer.collect(topic, partition(task))).map_err(failed)?;
    }
    consumer.subscribe(&[topics.leading()]).map_err(failed)?;
    Ok(consumer)
}

fn begin_making(link: &Link, identity: &Identity, topics: &Topics, written: &Written) -> Making {
    let (link, identity, topics, written) = (link.clone(), identity.clone(), topics.clone(), written.clone());
    Caller::new().begin(move || make_producer(&link, &identity, &topics, &written))
}

/// Tried again while the brokers come and go.
fn make_producer(link: &Link, identity: &Identity, topics: &Topics, written: &Written) -> Result<BaseProducer<Deliveries>, TransportError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    loop {
        match try_make_producer(link, identity, topics, written) {
            Err(error) if matches!(error.failure, Failure::Retriable | Failure::Unknown) && Instant::now() < deadline => {
                tracing::warn!(%error, "a producer cannot be made yet");
                std::thread::sleep(MAKE_INTERVAL);
            }
            made => return made,
        }
    }
}

/// With its name taken from whoever had it before, and that one's open transaction aborted, also where the brokers have lost sight of it.
fn try_make_producer(link: &Link, identity: &Identity, topics: &Topics, written: &Written) -> Result<BaseProducer<Deliveries>, TransportError> {
    let producer: BaseProducer<Deliveries> =
        link.producer(identity).create_with_context(Deliveries::default()).map_err(|error| failure::of_settings(&error))?;
    producer.init_transactions(CALL_TIMEOUT).map_err(|error| link.cannot_produce(&producer, &error))?;
    end_hanging(&producer, link, topics, written)?;
    Ok(producer)
}

fn list(topics: &Topics, partitions: impl IntoIterator<Item = (InputPartition, Offset)>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (input, offset) in partitions {
        add(&mut list, topics.name(input.stream), input.partition, offset)?;
    }
    Ok(list)
}

/// Each with a note of the topic that it is of.
fn offsets(topics: &Topics, next: &[(InputPartition, u64)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(next.len());
    for &(input, next) in next {
        let mut element = add(&mut list, topics.name(input.stream), input.partition, Offset::Offset(signed(next)))?;
        if let Some(id) = topics.id(input.stream) {
            element.set_metadata(topic_id::note(id));
        }
    }
    Ok(list)
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).expect("offsets come from Kafka, which counts them in 63 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;
    use crate::ports::TopicId;

    #[test]
    fn each_of_many_inputs_has_its_own_offset_and_the_note_of_its_topic() {
        let (known, unknown) = (StreamId(0), StreamId(1));
        let id = TopicId("xJ3-_a0AQmuhVQ2uC1b9VA".to_owned());
        let topics = Topics::new([(known, "payments".to_owned()), (unknown, "logins".to_owned())].into()).with_ids([(known, id.clone())].into());
        let next: Vec<_> =
            (0..2_500).flat_map(|partition| [known, unknown].map(|stream| (InputPartition { stream, partition }, u64::from(partition) * 7))).collect();
        let list = offsets(&topics, &next).expect("they are offsets");
        let elements = list.elements();
        assert_eq!(elements.len(), next.len());
        for (element, (input, next)) in elements.iter().zip(next) {
            let place = (element.topic(), element.partition(), element.offset());
            assert_eq!(place, (topics.name(input.stream), partition(input.partition), Offset::Offset(signed(next))));
            assert_eq!(topic_id::noted(element.metadata()), (input.stream == known).then(|| id.clone()));
        }
    }
}
