//! The group's word on partitions.
//!
//! Only one topic, the leading one, is subscribed to. What is given or taken of it is given or taken of every other input as well: so a task stays whole, which
//! assignors do not see to by themselves.
//!
//! What was given under a name that the member has no more (`held`) is told to be lost, whatever the library calls it, and the member leaves and joins anew: only then is it told
//! what is its own.
//!
//! A revocation is only noted here. The worker then commits what it has begun, and gives the partitions back itself ([`super::Member`]'s `release`): the
//! library waits for that, wherever it happens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::kafka::connection::Attempts;
use crate::kafka::ffi;
use crate::kafka::held::Held;
use crate::ports::GroupChange;

/// Shared by the consumer's callbacks (which run on the polling thread) and [`super::Member`].
pub(super) struct Group {
    /// All input topics; the first leads.
    topics: Vec<String>,
    changes: Mutex<VecDeque<GroupChange>>,
    closing: AtomicBool,
    /// A consumer that is being closed has been given everything back.
    closed: AtomicBool,
    /// Tasks come and go one by one, not all at once. Remembered: a consumer that is being closed hangs when it is asked.
    cooperative: AtomicBool,
    held: Mutex<Held>,
    /// The member's name when it was last told what it is given; empty: never.
    known_as: Mutex<String>,
    /// Told to be revoked, and not given back yet.
    revoking: Mutex<Vec<u32>>,
    /// Something of it was void: what the library counts as given is not to be trusted.
    expelled: AtomicBool,
    attempts: Attempts,
}

pub(super) type GroupConsumer = BaseConsumer<Group>;

impl Group {
    /// `known_as`: what the consumer was called that this one takes the place of.
    pub(super) fn new(topics: Vec<String>, known_as: String) -> Self {
        Self {
            topics,
            changes: Mutex::default(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cooperative: AtomicBool::new(true),
            held: Mutex::default(),
            known_as: Mutex::new(known_as),
            revoking: Mutex::default(),
            expelled: AtomicBool::new(false),
            attempts: Attempts::default(),
        }
    }

    pub(super) fn has_no_change(&self) -> bool {
        self.changes().is_empty()
    }

    pub(super) fn next_change(&self) -> Option<GroupChange> {
        self.changes().pop_front()
    }

    /// Looks whether what is held still is; what is not is among the next changes.
    pub(super) fn holds(&self, consumer: &GroupConsumer) -> bool {
        let name = ffi::member_name(consumer);
        // What the library itself takes for lost, all of it, it also tells.
        !consumer.assignment_lost() && self.drop_void(&name)
    }

    /// Whether what the worker has of these tasks may be committed: all that it was given is still held, and it knows of all that it has lost. What was lost while it was at work
    /// may have been given back to the member since, as whom brokers take its offsets; but what the worker has of it is void.
    pub(super) fn may_commit(&self, consumer: &GroupConsumer, tasks: &[u32]) -> bool {
        let has_untold_loss = || self.changes().iter().any(|change| matches!(change, GroupChange::Lost(_)));
        self.holds(consumer) && !has_untold_loss() && self.held().has_all(tasks)
    }

    fn drop_void(&self, name: &str) -> bool {
        let void = self.held().take_void(name);
        if void.is_empty() {
            return true;
        }
        tracing::warn!(tasks = ?void, name, "the group has gone on without this member, which now has another name: what it was given before is void");
        self.expelled.store(true, Ordering::Relaxed);
        self.changes().push_back(GroupChange::Lost(void));
        false
    }

    /// Where the member is fenced: nothing is its own any more, which is among the next changes.
    pub(super) fn lose_all(&self) {
        let lost = self.held().take_all();
        if !lost.is_empty() {
            self.changes().push_back(GroupChange::Lost(lost));
        }
    }

    pub(super) fn known_as(&self) -> String {
        self.known_as.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is to join anew; told once.
    pub(super) fn take_expelled(&self) -> bool {
        self.expelled.swap(false, Ordering::Relaxed)
    }

    /// From now on everything is given back: nobody is there any more to read or to commit anything. A revocation that nobody has answered would keep the consumer from closing.
    pub(super) fn close(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        self.closing.store(true, Ordering::Relaxed);
        self.release_revoked(consumer)
    }

    /// All that was revoked and is not given back yet.
    pub(super) fn release_revoked(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let revoking = std::mem::take(&mut *self.revoking());
        if revoking.is_empty() { Ok(()) } else { self.give_back(consumer, &revoking) }
    }

    /// The same partitions of all topics, to be read from nowhere yet.
    pub(super) fn of_tasks(&self, tasks: &[u32]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(tasks.len() * self.topics.len());
        for topic in &self.topics {
            for &task in tasks {
                // A number, so that the library asks nobody: an answer that came after our seek would undo it.
                add(&mut list, topic, task, Offset::Offset(0))?;
            }
        }
        Ok(list)
    }

    fn revoking(&self) -> MutexGuard<'_, Vec<u32>> {
        self.revoking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, VecDeque<GroupChange>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &GroupConsumer, tasks: Vec<u32>) -> KafkaResult<()> {
        let list = self.of_tasks(&tasks)?;
        // Whatever happens later happens under another name.
        let name = ffi::member_name(consumer);
        self.drop_void(&name);
        self.held().add(&tasks, &name);
        *self.known_as.lock().unwrap_or_else(PoisonError::into_inner) = name;
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        self.cooperative.store(cooperative, Ordering::Relaxed);
        // Before as well: where a topic has lost its oldest records, one request for the first offset, and the library reads the partition no more, wherever it is moved to.
        consumer.pause(&list)?;
        if cooperative {
            consumer.incremental_assign(&list)?
        } else {
            consumer.assign(&list)?
        }
        if !tasks.is_empty() {
            consumer.pause(&list)?;
        }
        self.changes().push_back(GroupChange::Assigned(tasks));
        Ok(())
    }

    fn revoke(&self, consumer: &GroupConsumer, tasks: Vec<u32>) -> KafkaResult<()> {
        let lost = !self.holds(consumer) || !self.held().has_all(&tasks);
        if lost || tasks.is_empty() {
            self.give_back(consumer, &tasks)?;
        }
        if !lost {
            self.revoking().clone_from(&tasks);
        }
        self.changes().push_back(if lost { GroupChange::Lost(tasks) } else { GroupChange::Revoked(tasks) });
        Ok(())
    }

    /// While it closes, the library takes any answer for the return of everything, and may have come to its end right after. But in the middle of a rebalance it asks twice:
    /// about the rebalance, and about all that is assigned. A second answer can come too late for anybody to take it, and whoever gives it waits for ever.
    fn give_back_all(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) { Ok(()) } else { consumer.unassign() }
    }

    /// Something was revoked and not given back. Where another consumer has taken this one's place since, it was lost with that one.
    pub(super) fn awaits_release(&self) -> bool {
        !self.revoking().is_empty()
    }

    pub(super) fn give_back(&self, consumer: &GroupConsumer, tasks: &[u32]) -> KafkaResult<()> {
        self.held().remove(tasks);
        self.revoking().clear();
        if self.cooperative.load(Ordering::Relaxed) { consumer.incremental_unassign(&self.of_tasks(tasks)?) } else { consumer.unassign() }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.attempts.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.attempts.hear(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &GroupConsumer, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut tasks: Vec<u32> =
            list.elements().iter().filter(|element| element.topic() == self.topics[0]).filter_map(|element| element.partition().try_into().ok()).collect();
        tasks.sort_unstable();
        let done = if self.closing.load(Ordering::Relaxed) {
            self.give_back_all(consumer)
        } else if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, tasks)
        } else {
            self.revoke(consumer, tasks)
        };
        if let Err(error) = done {
            tracing::error!(%error, "a rebalance of the group could not be carried out");
        }
    }
}

/// Adds a partition to a list, in one step however long that is. (`add_partition_offset` then looks for what it has added, from the first on.)
pub(super) fn add<'a>(list: &'a mut TopicPartitionList, topic: &str, task: u32, offset: Offset) -> KafkaResult<TopicPartitionListElem<'a>> {
    let mut element = list.add_partition(topic, partition(task));
    element.set_offset(offset)?;
    Ok(element)
}

/// Kafka's own type for partitions.
pub(super) fn partition(task: u32) -> i32 {
    i32::try_from(task).expect("partitions come from Kafka, which counts them in 31 bits")
}
