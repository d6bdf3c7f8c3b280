//! Who stands in a group, under which name that stays, with partitions of which topics. The binding tells members without these names, and asks every broker, the ones that are away
//! too.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use super::answer::Answer;

/// A group as its coordinator has it.
#[derive(Debug, Default)]
pub(in crate::kafka) struct GroupMembers {
    /// While members are asked anew what they want, none has anything.
    pub is_sharing_out: bool,
    pub members: Vec<GroupMember>,
}

#[derive(Debug)]
pub(in crate::kafka) struct GroupMember {
    /// As the coordinator calls it.
    pub name: String,
    /// Its `group.instance.id`; empty: it has none.
    pub instance: String,
    /// Of which it was given partitions.
    pub topics: BTreeSet<String>,
}

/// The name that the group's coordinator has given to the member with this `group.instance.id`; `None`: there is none. An error: the coordinator has not answered.
pub(in crate::kafka) fn group_member<C: ClientContext>(client: &Client<C>, group: &str, instance: &str, timeout: Duration) -> KafkaResult<Option<String>> {
    let found = group_members(client, group, timeout)?.members.into_iter().find(|member| member.instance == instance);
    Ok(found.map(|member| member.name))
}

/// All members; none where there is no such group.
pub(in crate::kafka) fn group_members<C: ClientContext>(client: &Client<C>, group: &str, timeout: Duration) -> KafkaResult<GroupMembers> {
    let group = CString::new(group)?;
    let mut addresses = [group.as_ptr()];
    let question = |client, options, queue| {
        // SAFETY: client, options and queue are valid during the call. The group's name ends with a null and outlives it; it copies it.
        unsafe { bindings::rd_kafka_DescribeConsumerGroups(client, addresses.as_mut_ptr(), addresses.len(), options, queue) }
    };
    let operation = bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let answer = Answer::to(client, operation, timeout, question).map_err(KafkaError::GroupListFetch)?;
    answer.members().map_err(KafkaError::GroupListFetch)
}

impl Answer {
    fn members(&self) -> Result<GroupMembers, RDKafkaErrorCode> {
        use bindings::rd_kafka_consumer_group_state_t as State;
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
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => return Ok(GroupMembers::default()),
                code => return Err(code.into()),
            }
            let state = bindings::rd_kafka_ConsumerGroupDescription_state(group);
            let members = (0..bindings::rd_kafka_ConsumerGroupDescription_member_count(group))
                .map(|place| bindings::rd_kafka_ConsumerGroupDescription_member(group, place))
                .filter(|member| !member.is_null())
                .map(|member| GroupMember {
                    name: text(bindings::rd_kafka_MemberDescription_consumer_id(member)),
                    instance: text(bindings::rd_kafka_MemberDescription_group_instance_id(member)),
                    topics: assigned_topics(member),
                });
            Ok(GroupMembers {
                is_sharing_out: matches!(
                    state,
                    State::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE | State::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE
                ),
                members: members.collect(),
            })
        }
    }
}

/// # Safety
///
/// It is null, or a text that ends with a null.
unsafe fn text(address: *const std::ffi::c_char) -> String {
    // SAFETY: as above.
    if address.is_null() { String::new() } else { unsafe { CStr::from_ptr(address) }.to_string_lossy().into_owned() }
}

/// # Safety
///
/// The member's description is valid.
unsafe fn assigned_topics(member: *const bindings::rd_kafka_MemberDescription_t) -> BTreeSet<String> {
    // SAFETY: what it was given belongs to the description and is valid where it is not null; the list has as many elements as it says, each with the name of a topic.
    unsafe {
        let assignment = bindings::rd_kafka_MemberDescription_assignment(member);
        let list = if assignment.is_null() { std::ptr::null() } else { bindings::rd_kafka_MemberAssignment_partitions(assignment) };
        if list.is_null() || (*list).elems.is_null() {
            return BTreeSet::new();
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        std::slice::from_raw_parts((*list).elems, count).iter().map(|element| text(element.topic)).collect()
    }
}
