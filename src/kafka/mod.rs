//! Apache Kafka: a worker's consumer and transactional producer, questions about topics, and the output topic read back as a log of matches.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | what the client library is told, and why |
//! | `group` | the rebalance callback: one topic leads, the others follow it partition by partition |
//! | `held` | what a member holds, and as whom |
//! | `fence` | a member whose name another one has: whether that is its own former self
//! | `transport` | [`Member`]: a worker's part in the group and its transactions |
//! | `bystander` | consumers that take part in no group |
//! | `connection` | why there is no connection, in a sentence |
//! | `permission` | what brokers do not let us do, and the command that lets us |
//! | `deliveries` | the brokers' answers to what is sent |
//! | `hanging` | transactions that no broker will end any more, ended |
//! | `admin` | [`Admin`]: topics described and made |
//! | `reader` | one partition read forward to a known end |
//! | `survey` | [`Survey`]: checks at the start, committed offsets, ends of topics |
//! | `records` | [`TopicReader`]: a partition read once, with keys and headers |
//! | `topic_id` | which topic a committed offset is of |
//! | `sample` | the last records of a topic, looked at |
//! | `topic_log` | [`TopicLog`]: the output topic for subscribers |
//! | `pending` | a call on a thread of its own
//! | `produce` | a record handed to a producer's client |
//! | `writer` | [`TopicWriter`]: transactions of an operator's command |
//! | `failure` | which error leaves what behind |
//! | `ffi` | the calls that the binding lacks, and records many at a time; the only unsafe code |
//!
//! Never used, for the reasons that `settings` and the measurements behind it give: `flush` before a commit (it polls 100 ms at a time), the binding's
//! partition queues (they stall), subscriptions to more than one topic (the assignors tear tasks apart).

mod admin;
mod bystander;
mod connection;
mod deliveries;
mod failure;
mod fence;
mod ffi;
mod group;
mod hanging;
mod held;
mod pending;
mod permission;
mod produce;
mod reader;
mod records;
mod sample;
mod settings;
mod survey;
mod topic_id;
mod topic_log;
mod transport;
mod writer;

pub use admin::Admin;
pub use ffi::exit_at_once;
pub use hanging::Written;
pub use permission::Operation;
pub use records::{TopicReader, TopicRecord, oldest};
pub use sample::{SampleBounds, sample};
pub use settings::{Identity, Link};
pub use survey::{Found, Survey, Topics};
pub use topic_log::TopicLog;
pub use transport::Member;
pub use writer::TopicWriter;
