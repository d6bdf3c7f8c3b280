//! Questions that the library asks brokers in the background, and that the binding does not offer.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;

use super::batches::Queue;

/// Owns what it tells.
pub(super) struct Answer(NonNull<bindings::rd_kafka_event_t>);

impl Answer {
    /// Waits for it; an error: no broker has given one. The question is handed client, options and queue, which are valid while it is asked.
    pub(super) fn to<C: ClientContext>(
        client: &Client<C>,
        operation: bindings::rd_kafka_admin_op_t,
        timeout: Duration,
        ask: impl FnOnce(*mut bindings::rd_kafka_t, *const bindings::rd_kafka_AdminOptions_t, *mut bindings::rd_kafka_queue_t),
    ) -> Result<Self, RDKafkaErrorCode> {
        let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        let client = client.native_ptr();
        // SAFETY: the client's pointer is valid as long as the client is borrowed. The options are ours from their creation, where the library gives no null but ends the process,
        // to their destruction, before which it has copied what it needs. The queue outlives the call that waits at it; what comes after that, the library destroys by itself.
        // No text is asked for of an error. The event is ours.
        unsafe {
            let queue = Queue::of(client);
            let options = bindings::rd_kafka_AdminOptions_new(client, operation);
            bindings::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
            ask(client, options, queue.as_ptr());
            bindings::rd_kafka_AdminOptions_destroy(options);
            // It answers by its time-out in any case, a little late.
            let event = bindings::rd_kafka_queue_poll(queue.as_ptr(), timeout_ms.saturating_add(1_000));
            let answer = Self(NonNull::new(event).ok_or(RDKafkaErrorCode::OperationTimedOut)?);
            match bindings::rd_kafka_event_error(event) {
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(answer),
                code => Err(code.into()),
            }
        }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and nobody has it after this.
        unsafe { bindings::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
