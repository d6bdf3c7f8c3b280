//! Kafka to Kafka, on a real Apache Kafka.

mod adapter;
