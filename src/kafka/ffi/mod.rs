//! The calls that the binding does not offer, and those that it offers at too high a price (`batches`).

#![expect(
    unsafe_code,
    reason = "the generation of a group's member, the leader epoch of a record and the known end of a partition can be asked through the C interface only; \
              nor does the standard library end a process without the destructors of C++"
)]

use std::ffi::{CString, c_int};
use std::io::Write;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

mod batches;

pub(super) use batches::{BatchConsumer, Taken};

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
