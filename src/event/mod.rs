//! Events and what they are made of: times, values, the schema of streams, keys, and the one total order of events.
//!
//! Everything else in Motif speaks in these types. Names are resolved to small ids once ([`StreamId`], field places), so that
//! nothing compares text while events flow.
//!
//! Invariants: a [`Value`] of a field has the type its [`Field`] declares, or is [`Value::Null`] where the field is nullable;
//! streams are numbered in the order of their names, so that comparing [`StreamId`]s compares names.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]

pub mod binary;
mod fields;
mod key;
mod lookup;
mod record;
mod schema;
mod shared;
mod time;
mod value;

pub use fields::{Fields, Kept};
pub use key::Key;
pub use lookup::{Directory, Lookup};
pub use record::{Event, Place};
pub use schema::{Field, Schema, Stream, StreamId, Type};
pub use shared::SharedEvent;
pub use time::{EventTime, ProcessingTime, TimeSpan};
pub use value::Value;
