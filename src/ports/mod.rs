//! How the service reaches what is outside: records in, lines out, state kept, matches handed on. Adapters implement these; the service
//! owns what they mean. Tests pass in-memory ones.
//!
//! | port | implemented by |
//! |---|---|
//! | [`Source`] | `file` (files, standard input), the service's own queue of published events |
//! | [`LineSink`] | `file` (files that can be cut, standard output) |
//! | [`StateStore`] | `store` (RocksDB, memory) |
//! | [`MatchLog`] | the service's log in a [`StateStore`], `kafka` (the output topic) |

mod match_log;
mod record;
mod sink;
mod source;
mod state_store;

pub use match_log::{LogEntry, LogError, LogPosition, MatchLog};
pub use record::{Record, RecordBatch};
pub use sink::{LineSink, SinkError};
pub use source::{Read, Source, SourceError};
pub use state_store::{StateStore, StoreError, WriteBatch};
