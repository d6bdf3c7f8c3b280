//! All tests of the crate from outside, in one binary: each links RocksDB and librdkafka.
#![expect(clippy::print_stdout, unreachable_pub, reason = "tests say their seeds; nobody reads their documentation")]

mod automaton;
mod bad_input;
mod benches;
mod broker;
mod checker;
mod cli;
mod codec;
mod conformance;
mod diagnostics;
mod fields_used;
mod file_run;
mod grammar;
mod grpc;
mod guarded;
mod kafka;
mod laws;
mod layers;
mod object_server;
mod oracle;
mod parser;
mod patterns;
mod printer;
mod random_cases;
mod reference;
mod sample;
mod sample_command;
mod shared;
mod store;
mod test_command;
mod workplace;
