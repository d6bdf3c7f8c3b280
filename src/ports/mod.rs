//! How the service reaches what is outside: records in, lines out, state kept, matches handed on. Adapters implement these; the service
//! owns what they mean. Tests pass in-memory ones.
//!
//! | port | implemented by |
//! |---|---|
//! | [`Source`] | `file` (files, standard input) |
//! | [`LineSink`] | `file` (files that can be cut, standard output) |
//! | [`StateStore`], [`ScratchStores`] | `store` (RocksDB, memory) |
//! | [`Publisher`] | the service's loop |
//! | [`MatchLog`] | the service's log in a [`StateStore`], `kafka` (the output topic) |
//! | [`Transport`], [`TopicSurvey`] | `kafka` |
//! | [`Objects`] | `objects` (a folder, S3) |

mod match_log;
mod objects;
mod publication;
mod record;
mod sink;
mod source;
mod state_store;
mod topic;
mod transport;

pub use match_log::{LogAmount, LogEntry, LogError, LogPosition, MatchLog};
pub use objects::{ObjectError, ObjectFault, ObjectInfo, Objects};
pub use publication::{Durable, PUBLICATIONS_MAX, Publication, Publisher};
pub use record::{Original, OwnedHeader, Record, RecordBatch, Texts, read_headers, write_header};
pub use sink::{LineSink, SinkError};
pub use source::{Read, Source, SourceError};
pub use state_store::{EntryVisitor, ScratchStores, StateStore, StoreError, WriteBatch};
pub use topic::{NewTopic, TopicFacts};
pub use transport::{
    Committed, CurrentTopic, Failure, Fetched, GroupChange, InputPartition, InputReader, JournalEntry, Membership, OutputRecord, TopicId, TopicSurvey,
    Transport, TransportError,
};
