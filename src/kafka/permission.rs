//! What brokers do not let us do, and the command that lets us.
//!
//! Kafka says which kind of resource a call was refused for, never which right is missing: that follows from what was done.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::kafka::{Link, failure};
use crate::ports::{Failure, TransportError};

/// What is done with a topic. Whoever may read or write one may describe it as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    Describe,
    Read,
    Write,
    Create,
}

/// Topics, and what is to be done with each of them.
pub(super) type Deeds<'a> = &'a [(&'a str, &'a [Operation])];

impl Operation {
    /// As ACLs name it.
    fn name(self) -> &'static str {
        match self {
            Self::Describe => "Describe",
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Describe => "look at",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Create => "create",
        }
    }
}

impl Link {
    /// A failed call that does this with a topic.
    pub(super) fn failed(&self, call: &str, operation: Operation, topic: &str, error: &KafkaError) -> TransportError {
        self.denied(error, operation, &[topic]).unwrap_or_else(|| failure::of_call(call, error))
    }

    /// An error among the records that were polled of a topic: `None` where the client library repairs it by itself.
    pub(super) fn of_poll(&self, topic: &str, error: &KafkaError) -> Option<TransportError> {
        self.denied(error, Operation::Read, &[topic]).or_else(|| failure::of_poll(topic, error))
    }

    /// Where brokers do not allow it: what is missing.
    pub(super) fn denied(&self, error: &KafkaError, operation: Operation, topics: &[&str]) -> Option<TransportError> {
        self.denied_code(error.rdkafka_error_code()?, operation, topics)
    }

    pub(super) fn denied_code(&self, code: Code, operation: Operation, topics: &[&str]) -> Option<TransportError> {
        let (group, named) = (&self.group, named(topics));
        let (deed, rights) = match code {
            Code::TopicAuthorizationFailed => (format!("{} {named}", operation.verb()), of_topics(&[operation], topics)),
            Code::GroupAuthorizationFailed => (format!("take part in group {group}"), format!("--operation Read --group {}", quoted(group))),
            Code::TransactionalIdAuthorizationFailed => {
                let prefix = format!("{group}-");
                let rights = format!("--operation Write --operation Describe --transactional-id {} --resource-pattern-type prefixed", quoted(&prefix));
                (format!("use transactional ids that begin with {prefix}"), rights)
            }
            Code::ClusterAuthorizationFailed if operation == Operation::Create => (format!("create {named}"), of_topics(&[operation], topics)),
            Code::ClusterAuthorizationFailed => ("write idempotently".to_owned(), "--operation IdempotentWrite --cluster".to_owned()),
            _ => return None,
        };
        let reason = format!("Kafka at {} does not let {} {deed}; {}", self.brokers, self.who(), self.grant(&[rights]));
        Some(TransportError { failure: Failure::Denied, reason })
    }

    /// Topics that brokers do not even admit to have.
    pub fn hidden(&self, deeds: Deeds<'_>) -> TransportError {
        let mut rights: Vec<(Vec<Operation>, Vec<&str>)> = Vec::new();
        for (topic, operations) in deeds {
            match rights.iter_mut().find(|(others, _)| others == operations) {
                Some((_, topics)) => topics.push(topic),
                None => rights.push((operations.to_vec(), vec![topic])),
            }
        }
        let rights: Vec<String> = rights.iter().map(|(operations, topics)| of_topics(operations, topics)).collect();
        let topics: Vec<&str> = deeds.iter().map(|(topic, _)| *topic).collect();
        let (topics, they) = (named(&topics), if topics.len() == 1 { "it exists" } else { "they exist" });
        let (brokers, who) = (&self.brokers, self.who());
        let reason = format!("Kafka at {brokers} does not let {who} see {topics}, nor tells whether {they}; {}", self.grant(&rights));
        TransportError { failure: Failure::Denied, reason }
    }

    /// The user as a sentence names it.
    pub(super) fn who(&self) -> String {
        match self.user() {
            Some(user) => format!("user {user}"),
            None if self.is_anonymous() => "a client that gives no name (User:ANONYMOUS)".to_owned(),
            None => "this client".to_owned(),
        }
    }

    fn grant(&self, rights: &[String]) -> String {
        let principal = match self.user() {
            Some(user) => user.to_owned(),
            None if self.is_anonymous() => "ANONYMOUS".to_owned(),
            None => "NAME".to_owned(),
        };
        let command = |rights: &String| {
            format!("`kafka-acls.sh --bootstrap-server {} --add --allow-principal {} {rights}`", self.brokers, quoted(&format!("User:{principal}")))
        };
        let commands: Vec<String> = rights.iter().map(command).collect();
        format!("whoever administers the cluster grants it with {}", commands.join(" and "))
    }

    fn user(&self) -> Option<&str> {
        self.has_sasl().then(|| self.property("sasl.username")).flatten()
    }

    /// Neither a user nor a certificate.
    fn is_anonymous(&self) -> bool {
        !self.has_sasl() && self.client_certificate().is_none()
    }
}

fn named(topics: &[&str]) -> String {
    format!("{} {}", if topics.len() == 1 { "topic" } else { "topics" }, topics.join(", "))
}

fn of_topics(operations: &[Operation], topics: &[&str]) -> String {
    let operations = operations.iter().map(|operation| format!("--operation {}", operation.name()));
    let topics = topics.iter().map(|topic| format!("--topic {}", quoted(topic)));
    operations.chain(topics).collect::<Vec<_>>().join(" ")
}

/// For a shell, where it has to be.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.:@/".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
