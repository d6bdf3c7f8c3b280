//! Which topic has a name now, and how many partitions. The binding does not offer the call that tells the ids.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};

use super::answer::Answer;

/// A topic as it is now.
pub(in crate::kafka) struct DescribedTopic {
    /// `None`: the brokers know no ids.
    pub id: Option<String>,
    pub partitions: u32,
}

/// By name; those that do not exist or that we may not see are left out. An error: no broker has answered.
pub(in crate::kafka) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> KafkaResult<BTreeMap<String, DescribedTopic>> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut addresses: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let operation = bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let question = |client, options, queue| {
        // SAFETY: client, options and queue are valid during the call. The names end with a null and outlive it; it copies them. The collection is ours from its creation, where
        // the library gives no null but ends the process, to its destruction, before which the library has copied what it needs.
        unsafe {
            let collection = bindings::rd_kafka_TopicCollection_of_topic_names(addresses.as_mut_ptr(), addresses.len());
            bindings::rd_kafka_DescribeTopics(client, collection, options, queue);
            bindings::rd_kafka_TopicCollection_destroy(collection);
        }
    };
    let answer = Answer::to(client, operation, timeout, question).map_err(KafkaError::MetadataFetch)?;
    Ok(answer.topics())
}

impl Answer {
    fn topics(&self) -> BTreeMap<String, DescribedTopic> {
        let mut described = BTreeMap::new();
        let mut count = 0;
        // SAFETY: the event is ours. Its topics, their names, ids and partitions belong to it and are copied before it is dropped; each of them is valid where it is not null, names
        // and ids as text end with a null, and there are as many topics as the call says. Of the partitions only the number is taken. An error that is null is none, which the call
        // takes as well.
        unsafe {
            let result = bindings::rd_kafka_event_DescribeTopics_result(self.as_ptr());
            let topics = if result.is_null() { std::ptr::null_mut() } else { bindings::rd_kafka_DescribeTopics_result_topics(result, &raw mut count) };
            for place in 0..if topics.is_null() { 0 } else { count } {
                let topic = *topics.add(place);
                if bindings::rd_kafka_error_code(bindings::rd_kafka_TopicDescription_error(topic)) != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
                {
                    continue;
                }
                let text = |address| CStr::from_ptr(address).to_string_lossy().into_owned();
                let id = bindings::rd_kafka_TopicDescription_topic_id(topic);
                let is_known =
                    !id.is_null() && (bindings::rd_kafka_Uuid_most_significant_bits(id), bindings::rd_kafka_Uuid_least_significant_bits(id)) != (0, 0);
                let id = is_known.then(|| text(bindings::rd_kafka_Uuid_base64str(id)));
                let mut partitions = 0;
                bindings::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                let partitions = u32::try_from(partitions).expect("Kafka counts partitions in 31 bits");
                described.insert(text(bindings::rd_kafka_TopicDescription_name(topic)), DescribedTopic { id, partitions });
            }
        }
        described
    }
}
