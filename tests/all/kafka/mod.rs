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

use motif::kafka::{Identity, Link, Member, Topics, Written};

/// However long that takes.
fn join(link: &Link, identity: Identity, topics: &Topics, written: &Written) -> Member {
    Member::join(link, identity, topics, written, &|| false).expect("joins").expect("is not to stop")
}
