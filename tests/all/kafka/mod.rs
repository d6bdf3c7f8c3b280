//! Kafka to Kafka, on a real Apache Kafka.

mod adapter;
mod direct;
mod dlq;
mod proxy;
mod real_logs;
mod rekeyed;
mod secured;
mod service;
mod topics;
mod torture;
mod verify;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use motif::event::StreamId;
use motif::kafka::{Identity, Link, Member, Survey, Topics, Written};
use motif::ports::TopicSurvey;

/// However long that takes.
fn join(link: &Link, identity: Identity, topics: &Topics, written: &Written) -> Member {
    Member::join(link, identity, topics, written, &|| false).expect("joins").expect("is not to stop")
}

/// As requests name it.
fn topic_id(address: &str, topic: &str) -> Vec<u8> {
    let link = Link { brokers: address.to_owned(), group: "asks".to_owned(), properties: BTreeMap::new(), record_bytes_max: 1 << 20 };
    let topics = Topics::new(BTreeMap::from([(StreamId(0), topic.to_owned())]));
    let ids = Survey::open(&link, topics).expect("opens").topic_ids().expect("told");
    BASE64_STANDARD_NO_PAD.decode(&ids[&StreamId(0)].0).expect("base64")
}
