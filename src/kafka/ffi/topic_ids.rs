//! Which topic has a name now. The binding does not offer the call that tells the ids.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use super::batches::Queue;

/// By name; those that do not exist or that we may not see are left out, and so are all where brokers know no ids. An error: no broker has answered.
pub(in crate::kafka) fn topic_ids<C: ClientContext>(client: &Client<C>, topics: &[&str], timeout: Duration) -> KafkaResult<BTreeMap<String, String>> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut addresses: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    let client = client.native_ptr();
    let operation = bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the client's pointer is valid as long as the client is borrowed. The names end with a null and outlive the call that copies them. Names and options are ours
    // from their creation, where the library gives no null but ends the process, to their destruction, before which it has copied what it needs. The queue outlives the
    // call that waits at it; what comes after that, the library destroys by itself. No text is asked for of an error.
    let answer = unsafe {
        let queue = Queue::of(client);
        let options = bindings::rd_kafka_AdminOptions_new(client, operation);
        bindings::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
        let collection = bindings::rd_kafka_TopicCollection_of_topic_names(addresses.as_mut_ptr(), addresses.len());
        bindings::rd_kafka_DescribeTopics(client, collection, options, queue.as_ptr());
        bindings::rd_kafka_TopicCollection_destroy(collection);
        bindings::rd_kafka_AdminOptions_destroy(options);
        // It answers by its time-out in any case, a little late.
        bindings::rd_kafka_queue_poll(queue.as_ptr(), timeout_ms.saturating_add(1_000))
    };
    let answer = Answer(NonNull::new(answer).ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))?);
    answer.ids()
}

/// Owns what it tells.
struct Answer(NonNull<bindings::rd_kafka_event_t>);

impl Answer {
    fn ids(&self) -> KafkaResult<BTreeMap<String, String>> {
        let mut ids = BTreeMap::new();
        let mut count = 0;
        // SAFETY: the event is ours. Its topics, their names and ids belong to it and are copied before it is dropped; each of them is valid where it is not null, names and
        // ids as text end with a null, and there are as many topics as the call says. An error that is null is none, which the call takes as well.
        unsafe {
            let code = bindings::rd_kafka_event_error(self.0.as_ptr());
            if code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(KafkaError::MetadataFetch(code.into()));
            }
            let result = bindings::rd_kafka_event_DescribeTopics_result(self.0.as_ptr());
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
        Ok(ids)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and nobody has it after this.
        unsafe { bindings::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
