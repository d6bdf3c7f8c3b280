//! Which topic has a name now. The binding does not offer the call that tells the ids.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};

use super::answer::Answer;

/// By name; those that do not exist or that we may not see are left out, and so are all where brokers know no ids. An error: no broker has answered.
pub(in crate::kafka) fn topic_ids<C: ClientContext>(client: &Client<C>, topics: &[&str], timeout: Duration) -> KafkaResult<BTreeMap<String, String>> {
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
    Ok(answer.ids())
}

impl Answer {
    fn ids(&self) -> BTreeMap<String, String> {
        let mut ids = BTreeMap::new();
        let mut count = 0;
        // SAFETY: the event is ours. Its topics, their names and ids belong to it and are copied before it is dropped; each of them is valid where it is not null, names and
        // ids as text end with a null, and there are as many topics as the call says. An error that is null is none, which the call takes as well.
        unsafe {
            let result = bindings::rd_kafka_event_DescribeTopics_result(self.as_ptr());
            let topics = if result.is_null() { std::ptr::null_mut() } else { bindings::rd_kafka_DescribeTopics_result_topics(result, &raw mut count) };
            for place in 0..if topics.is_null() { 0 } else { count } {
                let topic = *topics.add(place);
                let id = bindings::rd_kafka_TopicDescription_topic_id(topic);
                let is_known = bindings::rd_kafka_error_code(bindings::rd_kafka_TopicDescription_error(topic))
                    == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
                    && !id.is_null()
                    && (bindings::rd_kafka_Uuid_most_significant_bits(id), bindings::rd_kafka_Uuid_least_significant_bits(id)) != (0, 0);
                if is_known {
                    let text = |address| CStr::from_ptr(address).to_string_lossy().into_owned();
                    ids.insert(text(bindings::rd_kafka_TopicDescription_name(topic)), text(bindings::rd_kafka_Uuid_base64str(id)));
                }
            }
        }
        ids
    }
}
