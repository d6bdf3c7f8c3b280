//! Motif finds patterns in event streams: rules written as text, evaluated on event time, each match delivered exactly once.
//!
//! ```text
//! text ──language──▶ typed patterns ──automaton──▶ automata ───────────┐
//!                                                                      ▼
//! bytes ──codec──▶ events ──engine: index ▸ hold back ▸ key ▸ step ▸ …──▶ matches ──codec──▶ bytes
//!           ▲                            │ state, positions                  │
//!   file · stdin · Kafka · gRPC       RocksDB                file · stdout · Kafka · gRPC
//! ```
//!
//! The modules in reading order, each with what it may use of the others. Arrows point down only; `tests/all/layers.rs` holds this table against the code.
//!
//! | | module | is | may use |
//! |---|---|---|---|
//! | core | [`event`] | times, values, schemas, keys; the one order of events | – |
//! | core | [`pattern`] | the typed pattern: what the language hands to the automaton | event |
//! | core | [`language`] | text to typed patterns, or to everything that is wrong with it | event, pattern |
//! | core | [`automaton`] | a pattern's automaton, and the partial matches of a key | event, pattern |
//! | core | [`engine`] | one task: events in, matches out, stepped | event, pattern, automaton |
//! | core | [`testing`] | runs the `test` blocks that stand beside patterns | event, pattern, language, automaton, engine |
//! | core | [`sample`] | made-up event streams with planted cases | event |
//! | seam | [`ports`] | what the service asks of the outside | event |
//! | seam | [`config`] | every knob, checked into types | event, language |
//! | adapter | [`codec`] | bytes to events, matches to bytes | event, pattern, automaton, engine, ports |
//! | adapter | [`store`] | state in RocksDB, or in memory | ports |
//! | adapter | [`mod@file`] | files and standard streams | event, ports |
//! | adapter | [`kafka`] | Apache Kafka | event, ports |
//! | adapter | [`objects`] | checkpoints, where other machines find them | ports |
//! | adapter | [`grpc`] | subscribers and publishers | event, language, ports |
//! | adapter | [`telemetry`] | logs | – |
//! | shell | [`service`] | sources, tasks, commits, outputs, kept in step | all but testing, sample, telemetry, cli |
//! | shell | [`cli`] | the commands | all but the adapters store, file, kafka, objects |
//!
//! The core does no I/O, reads no clock, starts no thread and logs nothing: it is stepped, and the same input gives the same bytes, always.
//! Adapters do not know each other. The shell owns threads, commits, recovery and shutdown.

pub mod event;
pub mod pattern;

pub mod language;

pub mod automaton;
pub mod engine;

pub mod sample;
pub mod testing;

pub mod config;
pub mod ports;

pub mod codec;
pub mod file;
pub mod grpc;
pub mod kafka;
pub mod objects;
pub mod store;
pub mod telemetry;

pub mod cli;
pub mod service;

// Beside the tests from outside, which use it too.
#[cfg(test)]
#[path = "../tests/all/guarded.rs"]
mod guarded;
#[cfg(test)]
#[path = "../tests/all/object_server.rs"]
mod object_server;

/// As the program has it.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
