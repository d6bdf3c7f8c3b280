//! Records of a group's member, many at a time.
//!
//! The binding asks for each record by itself, and each time the library reads the clock four times and locks its queues: that cost a sixth of all processor time. Here
//! the partitions that are read lead into a queue of their own, and what stands in it is taken at once. News of the group, and errors that concern the whole client, stay
//! in the consumer's queue and come by the binding's `poll`.

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::event::EventTime;
use crate::ports::Original;

/// A consumer, and the queue of the partitions that it reads. They are dropped in this order: the queue must not outlive its client.
pub(in crate::kafka) struct BatchConsumer<C: ConsumerContext> {
    queue: Queue,
    consumer: BaseConsumer<C>,
}

impl<C: ConsumerContext> BatchConsumer<C> {
    pub(in crate::kafka) fn new(consumer: BaseConsumer<C>) -> Self {
        // SAFETY: the client's pointer is valid as long as the consumer lives.
        let queue = unsafe { Queue::of(consumer.client().native_ptr()) };
        Self { queue, consumer }
    }

    /// From now on what is read of this partition comes by [`BatchConsumer::take`]. For each assignment anew: the library may have forgotten the partition in between.
    pub(in crate::kafka) fn collect(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        let unknown = || KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownPartition);
        let topic = CString::new(topic).map_err(|_| unknown())?;
        // SAFETY: the client's pointer is valid as long as the consumer lives, and the name outlives the call.
        let source = unsafe { bindings::rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), topic.as_ptr(), partition) };
        let source = Queue(NonNull::new(source).ok_or_else(unknown)?);
        // SAFETY: both queues are ours and live; the library counts who leads where by itself.
        unsafe { bindings::rd_kafka_queue_forward(source.0.as_ptr(), self.queue.0.as_ptr()) };
        Ok(())
    }

    /// What is there, at most so many; waits for the first.
    pub(in crate::kafka) fn take(&self, wait: Duration, records_max: usize) -> Vec<Taken<'_>> {
        let mut taken = Vec::new();
        // Asked for more than one, the library would wait for the last as long as for the first.
        self.take_until(c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX), 1, &mut taken);
        if !taken.is_empty() {
            self.take_until(0, records_max.saturating_sub(1), &mut taken);
        }
        taken
    }

    fn take_until<'a>(&'a self, wait_ms: c_int, records_max: usize, taken: &mut Vec<Taken<'a>>) {
        taken.reserve(records_max);
        let room = taken.spare_capacity_mut().as_mut_ptr();
        // SAFETY: the queue lives, and there is room for as many pointers: `Taken` is one and nothing else. The library writes valid ones, from the first place on, says how
        // many, and leaves each to us.
        unsafe {
            let count = bindings::rd_kafka_consume_batch_queue(self.queue.0.as_ptr(), wait_ms, room.cast(), records_max);
            taken.set_len(taken.len() + usize::try_from(count).unwrap_or(0));
        }
    }
}

impl<C: ConsumerContext> Deref for BatchConsumer<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.consumer
    }
}

pub(super) struct Queue(NonNull<bindings::rd_kafka_queue_t>);

impl Queue {
    /// # Safety
    ///
    /// The client lives as long as the queue.
    pub(super) unsafe fn of(client: *mut bindings::rd_kafka_t) -> Self {
        // SAFETY: as the caller promises.
        let queue = unsafe { bindings::rd_kafka_queue_new(client) };
        Self(NonNull::new(queue).expect("the library makes a queue or ends the process"))
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::rd_kafka_queue_t {
        self.0.as_ptr()
    }
}

// SAFETY: the library locks its queues; any thread may use and destroy them.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and nobody has it after this.
        unsafe { bindings::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// A record, or what went wrong in its place. Its bytes lie in the library's memory; so it must not outlive its consumer.
#[repr(transparent)]
pub(in crate::kafka) struct Taken<'a>(NonNull<bindings::rd_kafka_message_t>, PhantomData<&'a ()>);

impl Taken<'_> {
    fn message(&self) -> &bindings::rd_kafka_message_t {
        // SAFETY: the pointer is valid until it is dropped, and nobody writes there.
        unsafe { self.0.as_ref() }
    }

    pub(in crate::kafka) fn error(&self) -> Option<KafkaError> {
        let code = self.message().err;
        (code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| KafkaError::MessageConsumption(code.into()))
    }

    /// Of one partition of one topic, for [`slice::chunk_by`].
    pub(in crate::kafka) fn is_beside(&self, other: &Self) -> bool {
        let (one, other) = (self.message(), other.message());
        (one.rkt, one.partition) == (other.rkt, other.partition)
    }

    pub(in crate::kafka) fn topic(&self) -> &str {
        let topic = self.message().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: a message keeps its topic, whose name ends with a null and does not change.
        unsafe { CStr::from_ptr(bindings::rd_kafka_topic_name(topic)) }.to_str().unwrap_or_default()
    }

    pub(in crate::kafka) fn partition(&self) -> i32 {
        self.message().partition
    }

    pub(in crate::kafka) fn offset(&self) -> u64 {
        self.message().offset.cast_unsigned()
    }

    pub(in crate::kafka) fn timestamp(&self) -> Option<EventTime> {
        let mut kind = bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid, and the kind is written during the call only.
        let millis = unsafe { bindings::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        if millis == -1 || kind == bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { None } else { EventTime::from_millis(millis) }
    }

    /// With the headers that [`Taken::write_headers`] has written.
    pub(in crate::kafka) fn original<'a>(&'a self, headers: &'a [u8]) -> Original<'a> {
        let message = self.message();
        // SAFETY: the library gives the addresses and lengths of what it keeps as long as the message lives.
        unsafe { Original { key: bytes(message.key.cast(), message.key_len), value: bytes(message.payload.cast(), message.len), headers } }
    }

    pub(in crate::kafka) fn write_headers(&self, out: &mut Vec<u8>) {
        // SAFETY: the message is valid until it is dropped.
        unsafe { super::write_headers_of(self.0.as_ptr(), out) }
    }

    /// Which leader of its partition it was fetched from; `None` where the broker does not tell.
    pub(in crate::kafka) fn leader_epoch(&self) -> Option<u32> {
        // SAFETY: the message is valid, and the call only reads.
        u32::try_from(unsafe { bindings::rd_kafka_message_leader_epoch(self.0.as_ptr()) }).ok()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // SAFETY: the message was left to us, and nobody has it after this.
        unsafe { bindings::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
///
/// Where the address is not null, as many bytes can be read there as long as the result is in use.
unsafe fn bytes<'a>(address: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!address.is_null()).then(|| unsafe { std::slice::from_raw_parts(address, length) })
}
