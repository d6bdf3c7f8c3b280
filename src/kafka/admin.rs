//! Describing and making topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic as KafkaTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use crate::kafka::bystander::{BystanderConsumer, metadata};
use crate::kafka::group::partition;
use crate::kafka::permission::Operation;
use crate::kafka::survey::is_hidden;
use crate::kafka::{Link, failure};
use crate::ports::{NewTopic, TopicFacts, TransportError};

const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a topic may take to be known everywhere.
const APPEAR_TIMEOUT: Duration = Duration::from_secs(30);

/// What is not there yet is asked for again after this.
const REPEAT_INTERVAL: Duration = Duration::from_millis(50);

/// A connection that may describe and make topics.
pub struct Admin {
    link: Link,
    reader: BystanderConsumer,
    client: AdminClient<Quiet>,
    runtime: Runtime,
    brokers: usize,
}

/// Failures come back as answers; what else the client says goes to the logs.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka client reports");
    }
}

impl Admin {
    /// Connects. An error where no broker answers.
    pub fn open(link: &Link) -> Result<Self, TransportError> {
        let reader = link.consumer().map_err(|error| failure::of_settings(&error))?;
        let brokers = metadata(&reader, link)?.brokers().len();
        let client = link.admin().create_with_context(Quiet).map_err(|error| failure::of_settings(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| TransportError::fatal(format!("cannot start a runtime: {error}")))?;
        Ok(Self { link: link.clone(), reader, client, runtime, brokers })
    }

    /// How the cluster is reached.
    pub fn link(&self) -> &Link {
        &self.link
    }

    pub fn brokers(&self) -> usize {
        self.brokers
    }

    /// Of these topics those that exist, without a look at their records' times.
    pub fn settings(&self, topics: &[&str]) -> Result<BTreeMap<String, TopicFacts>, TransportError> {
        let metadata = metadata(&self.reader, &self.link)?;
        let exists = |found: &&MetadataTopic| topics.contains(&found.name()) && found.error().is_none() && !found.partitions().is_empty();
        let mut described: BTreeMap<String, TopicFacts> =
            metadata.topics().iter().filter(exists).map(|found| (found.name().to_owned(), facts(found))).collect();
        self.add_settings(&mut described)?;
        Ok(described)
    }

    /// Of these topics those that exist.
    pub fn describe(&self, topics: &[&str]) -> Result<BTreeMap<String, TopicFacts>, TransportError> {
        let mut described = self.settings(topics)?;
        for topic in described.iter().filter(|(_, facts)| facts.settings.is_empty()).map(|(topic, _)| topic) {
            tracing::warn!(topic, "the settings of a topic are not told");
        }
        for (topic, facts) in &mut described {
            let failed = |error| self.link.failed(&format!("the times of records of topic {topic}"), Operation::Describe, topic, &error);
            facts.outlived = self.outlived_in_time(topic, facts).map_err(failed)?;
        }
        Ok(described)
    }

    /// Those of these topics that we may not even know of.
    pub fn hidden<'a>(&self, topics: &[&'a str]) -> Vec<&'a str> {
        topics.iter().copied().filter(|topic| is_hidden(&self.reader, topic)).collect()
    }

    /// Where this is not allowed, the settings stay unknown.
    fn add_settings(&self, described: &mut BTreeMap<String, TopicFacts>) -> Result<(), TransportError> {
        if described.is_empty() {
            return Ok(());
        }
        let resources: Vec<_> = described.keys().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let answers = self.runtime.block_on(self.client.describe_configs(&resources, &options()));
        for answer in answers.map_err(|error| failure::of_call("the settings of topics", &error))? {
            let ConfigResource { specifier: OwnedResourceSpecifier::Topic(topic), entries } = (match answer {
                Ok(resource) => resource,
                Err(code) => {
                    tracing::debug!(%code, "the settings of a topic are not told");
                    continue;
                }
            }) else {
                continue;
            };
            if let Some(facts) = described.get_mut(&topic) {
                facts.settings = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
            }
        }
        Ok(())
    }

    /// A topic that was only just made may not be led by anyone yet.
    fn outlived_in_time(&self, topic: &str, facts: &TopicFacts) -> KafkaResult<u32> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            match self.outlived(topic, facts) {
                Err(error) if Instant::now() < deadline && self.link.denied(&error, Operation::Describe, &[topic]).is_none() => {
                    tracing::debug!(%error, "the times of records are not told yet");
                    std::thread::sleep(REPEAT_INTERVAL);
                }
                outcome => return outcome,
            }
        }
    }

    /// Kafka deletes by the records' own times, segment by segment, but only where all records of a segment are too old.
    fn outlived(&self, topic: &str, facts: &TopicFacts) -> KafkaResult<u32> {
        let Some(retention) = facts.number("retention.ms").filter(|retention| *retention >= 0) else { return Ok(0) };
        let oldest_kept = now_ms().saturating_sub(retention).max(0);
        let mut list = TopicPartitionList::new();
        for number in 0..facts.partitions {
            list.add_partition_offset(topic, partition(number), Offset::Offset(oldest_kept))?;
        }
        let mut outlived = 0;
        for element in self.reader.offsets_for_times(list, CALL_TIMEOUT)?.elements() {
            element.error()?;
            if element.offset() == Offset::End {
                let (low, high) = self.reader.fetch_watermarks(topic, element.partition(), CALL_TIMEOUT)?;
                outlived += u32::from(low < high);
            }
        }
        Ok(outlived)
    }

    /// Makes topics and waits until they are known. One that exists by now is fine. The first refusal is the error.
    pub fn create(&self, topics: &[NewTopic]) -> Result<(), TransportError> {
        if topics.is_empty() {
            return Ok(());
        }
        let new = |topic| new_topic(topic).map_err(|number| TransportError::fatal(format!("{number} is more than Kafka counts to")));
        let new: Vec<KafkaTopic<'_>> = topics.iter().map(new).collect::<Result<_, _>>()?;
        let answers = self.runtime.block_on(self.client.create_topics(&new, &options()));
        for answer in answers.map_err(|error| failure::of_call("cannot create topics", &error))? {
            match answer {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    let failed = || TransportError::fatal(format!("Kafka: topic {topic} cannot be created: {code}"));
                    return Err(self.link.denied_code(code, Operation::Create, &[&topic]).unwrap_or_else(failed));
                }
            }
        }
        self.await_topics(topics)
    }

    fn await_topics(&self, topics: &[NewTopic]) -> Result<(), TransportError> {
        let deadline = Instant::now() + APPEAR_TIMEOUT;
        loop {
            let metadata = metadata(&self.reader, &self.link)?;
            let is_there = |topic: &NewTopic| {
                let mut found = metadata.topics().iter().filter(|found| found.name() == topic.name);
                found.any(|found| !found.partitions().is_empty() && found.partitions().iter().all(|partition| partition.leader() >= 0))
            };
            match topics.iter().find(|topic| !is_there(topic)) {
                None => return Ok(()),
                Some(topic) if Instant::now() > deadline => {
                    return Err(TransportError::fatal(format!("topic {} was created, but does not appear", topic.name)));
                }
                Some(_) => std::thread::sleep(REPEAT_INTERVAL),
            }
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL_TIMEOUT)).operation_timeout(Some(CALL_TIMEOUT))
}

fn facts(found: &MetadataTopic) -> TopicFacts {
    let replicas = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
    TopicFacts { partitions: number(found.partitions().len()), replicas: number(replicas), ..TopicFacts::default() }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("counts come from Kafka, which counts in 31 bits")
}

/// An error: the number that is too large.
fn new_topic(topic: &NewTopic) -> Result<KafkaTopic<'_>, u32> {
    let signed = |number: u32| i32::try_from(number).map_err(|_| number);
    let replicas = topic.replicas.map_or(Ok(-1), signed)?;
    let new = KafkaTopic::new(&topic.name, signed(topic.partitions)?, TopicReplication::Fixed(replicas));
    Ok(topic.settings.iter().fold(new, |new, (name, value)| new.set(name, value)))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
