//! All tests of the crate from outside, in one binary: each links RocksDB and librdkafka.
#![expect(clippy::print_stdout, reason = "tests say their seeds")]

mod automaton;
mod bad_input;
mod broker;
mod cli;
mod codec;
mod conformance;
mod file_run;
mod kafka;
mod laws;
mod layers;
mod oracle;
mod store;
mod workplace;
