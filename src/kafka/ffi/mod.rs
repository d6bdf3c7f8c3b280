//! The calls that the binding does not offer (the ids of topics: `topics`; who has a name in a group: `group_member`), and those that it offers at too high a price (`batches`).

#![expect(
    unsafe_code,
    reason = "the generation and the name of a group's member, the leader epoch of a record and the known end of a partition can be asked through the C interface only; \
              headers whose names are no text, the ids of topics and the names that stay of members as well; \
              nor does the standard library end a process without the destructors of C++"
)]

use std::ffi::{CStr, CString, c_int};
use std::io::Write;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;

mod answer;
mod batches;
mod group_member;
mod topics;

pub(super) use batches::{BatchConsumer, Taken};
pub(super) use group_member::group_member;
pub(super) use topics::{DescribedTopic, describe_topics};

use crate::ports::write_header;

/// The member's generation; below 0 where it has not joined, and then brokers check nothing of the offsets that it sends.
pub(super) fn generation<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> i32 {
    // SAFETY: the client's pointer is valid as long as the consumer is borrowed. The metadata is ours from its creation to its destruction below, is not null
    // before it is read, and is not used afterwards.
    unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return -1;
        }
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    }
}

/// The name that the group's coordinator has given to the member; empty where it is none now.
pub(super) fn member_name<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> String {
    let client = consumer.client().native_ptr();
    // SAFETY: the client's pointer is valid as long as the consumer is borrowed. The text that the call gives, where it gives one, ends with a null and is ours: it is copied,
    // and given back to the library that made it.
    unsafe {
        let name = bindings::rd_kafka_memberid(client);
        if name.is_null() {
            return String::new();
        }
        let copy = CStr::from_ptr(name).to_string_lossy().into_owned();
        bindings::rd_kafka_mem_free(client, name.cast());
        copy
    }
}

/// Adds the record's headers. (The binding panics where a name is not UTF-8, which any producer may send.)
pub(super) fn write_headers(message: &BorrowedMessage<'_>, out: &mut Vec<u8>) {
    // SAFETY: the message's pointer is valid as long as the message is borrowed.
    unsafe { write_headers_of(message.ptr(), out) }
}

/// # Safety
///
/// The message is valid during the call.
unsafe fn write_headers_of(message: *const bindings::rd_kafka_message_t, out: &mut Vec<u8>) {
    let mut headers = std::ptr::null_mut();
    // SAFETY: the message is valid, as the caller promises. The headers that the call gives are the message's own, and not null where it succeeds; they
    // are only read. Each name that a call gives ends with a null and each value has the length given, both are owned by the headers, and copied before the message ends.
    unsafe {
        if bindings::rd_kafka_message_headers(message, &raw mut headers) != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for place in 0.. {
            let (mut name, mut value, mut length) = (std::ptr::null(), std::ptr::null(), 0);
            let answer = bindings::rd_kafka_header_get_all(headers, place, &raw mut name, &raw mut value, &raw mut length);
            if answer != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            let value = if value.is_null() { None } else { Some(std::slice::from_raw_parts(value.cast(), length)) };
            write_header(CStr::from_ptr(name).to_bytes(), value, out);
        }
    }
}

/// The end of a partition as of the last fetch; `None`: nothing was fetched yet.
pub(super) fn known_end<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str, partition: i32) -> Option<u64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client's pointer is valid as long as the consumer is borrowed, the topic's name ends with a null and outlives the call, and the numbers are
    // written during the call only.
    let answer = unsafe { bindings::rd_kafka_get_watermark_offsets(consumer.client().native_ptr(), topic.as_ptr(), partition, &raw mut low, &raw mut high) };
    if answer == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { u64::try_from(high).ok() } else { None }
}

/// Ends the process, once what it has said is written. Threads that were given up (clients of brokers that are gone, tasks that were still recovering) may hold locks and open
/// databases: the destructors of static C++ objects, which a usual exit runs, would pull these away from under them and abort.
pub fn exit_at_once(status: u8) -> ! {
    unsafe extern "C" {
        fn _exit(status: c_int) -> !;
    }
    // Where nobody reads any more there is nobody to tell.
    drop(std::io::stdout().flush());
    drop(std::io::stderr().flush());
    // SAFETY: the call takes a number, touches no memory of ours and does not come back.
    unsafe { _exit(c_int::from(status)) }
}
