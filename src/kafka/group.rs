//! The group's word on partitions.
//!
//! Only one topic, the leading one, is subscribed to. What is given or taken of it is given or taken of every other input as well: so a task stays whole, which
//! assignors do not see to by themselves.
//!
//! A revocation is only noted here. The worker then commits what it has begun, and gives the partitions back itself ([`super::Member`]'s `release`): the
//! library waits for that, wherever it happens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::kafka::connection::Attempts;
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
    attempts: Attempts,
}

pub(super) type GroupConsumer = BaseConsumer<Group>;

impl Group {
    pub(super) fn new(topics: Vec<String>) -> Self {
        Self {
            topics,
            changes: Mutex::default(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cooperative: AtomicBool::new(true),
            attempts: Attempts::default(),
        }
    }

    pub(super) fn has_no_change(&self) -> bool {
        self.changes().is_empty()
    }

    pub(super) fn next_change(&self) -> Option<GroupChange> {
        self.changes().pop_front()
    }

    /// From now on everything is given back: nobody is there any more to read or to commit anything.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The same partitions of all topics, to be read from nowhere yet.
    pub(super) fn of_tasks(&self, tasks: &[u32]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(tasks.len() * self.topics.len());
        for topic in &self.topics {
            for &task in tasks {
                // A number, so that the library asks nobody: an answer that came after our seek would undo it.
                list.add_partition_offset(topic, partition(task), Offset::Offset(0))?;
            }
        }
        Ok(list)
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, VecDeque<GroupChange>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &GroupConsumer, tasks: Vec<u32>) -> KafkaResult<()> {
        let list = self.of_tasks(&tasks)?;
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
        let lost = consumer.assignment_lost();
        if lost || tasks.is_empty() {
            self.give_back(consumer, &tasks)?;
        }
        self.changes().push_back(if lost { GroupChange::Lost(tasks) } else { GroupChange::Revoked(tasks) });
        Ok(())
    }

    /// While it closes, the library takes any answer for the return of everything, and may have come to its end right after. But in the middle of a rebalance it asks twice:
    /// about the rebalance, and about all that is assigned. A second answer can come too late for anybody to take it, and whoever gives it waits for ever.
    fn give_back_all(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) { Ok(()) } else { consumer.unassign() }
    }

    pub(super) fn give_back(&self, consumer: &GroupConsumer, tasks: &[u32]) -> KafkaResult<()> {
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

/// Kafka's own type for partitions.
pub(super) fn partition(task: u32) -> i32 {
    i32::try_from(task).expect("partitions come from Kafka, which counts them in 31 bits")
}
