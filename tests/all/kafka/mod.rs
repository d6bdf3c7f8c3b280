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
