//! All tests of the crate from outside, in one binary: each links RocksDB and librdkafka.
#![expect(clippy::print_stdout, reason = "tests say their seeds")]

mod automaton;
mod broker;
mod codec;
mod conformance;
mod kafka;
mod laws;
mod layers;
mod oracle;
mod store;
