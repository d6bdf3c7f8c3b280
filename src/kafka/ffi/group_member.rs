//! Who stands in a group under a name that stays. The binding tells members without these names, and asks every broker, the ones that are away too.

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use super::answer::Answer;

/// The name that the group's coordinator has given to the member with this `group.instance.id`; `None`: there is none. An error: the coordinator has not answered.
pub(in crate::kafka) fn group_member<C: ClientContext>(client: &Client<C>, group: &str, instance: &str, timeout: Duration) -> KafkaResult<Option<String>> {
    let group = CString::new(group)?;
    let mut addresses = [group.as_ptr()];
    let question = |client, options, queue| {
        // SAFETY: client, options and queue are valid during the call. The group's name ends with a null and outlives it; it copies it.
        unsafe { bindings::rd_kafka_DescribeConsumerGroups(client, addresses.as_mut_ptr(), addresses.len(), options, queue) }
    };
    let operation = bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let answer = Answer::to(client, operation, timeout, question).map_err(KafkaError::GroupListFetch)?;
    answer.member(instance).map_err(KafkaError::GroupListFetch)
}

impl Answer {
    fn member(&self, instance: &str) -> Result<Option<String>, RDKafkaErrorCode> {
        let mut count = 0;
        // SAFETY: the event is ours. The groups that it tells, there are as many as the call says, and their members belong to it; each of them is valid where it is not null, the
        // members' names end with a null and are copied before the event is dropped. An error that is null is none, which the call takes as well.
        unsafe {
            let result = bindings::rd_kafka_event_DescribeConsumerGroups_result(self.as_ptr());
            let groups = if result.is_null() { std::ptr::null_mut() } else { bindings::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count) };
            if groups.is_null() || count == 0 {
                return Err(RDKafkaErrorCode::BadMessage);
            }
            let group = *groups;
            match bindings::rd_kafka_error_code(bindings::rd_kafka_ConsumerGroupDescription_error(group)) {
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                // Nor has it members.
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => return Ok(None),
                code => return Err(code.into()),
            }
            let members = (0..bindings::rd_kafka_ConsumerGroupDescription_member_count(group))
                .map(|place| bindings::rd_kafka_ConsumerGroupDescription_member(group, place))
                .filter(|member| !member.is_null());
            let text =
                |address: *const std::ffi::c_char| if address.is_null() { String::new() } else { CStr::from_ptr(address).to_string_lossy().into_owned() };
            let mut named = members.filter(|member| text(bindings::rd_kafka_MemberDescription_group_instance_id(*member)) == instance);
            Ok(named.next().map(|member| text(bindings::rd_kafka_MemberDescription_consumer_id(member))))
        }
    }
}
