//! Bytes to events, matches to bytes. JSON is the form of files and topics.
//!
//! A record becomes an [`crate::event::Event`] of exactly its stream's types or a [`Rejection`]: never a silent conversion.
//!
//! | file | holds |
//! |---|---|
//! | `decode` | a record's fields, each as its stream declares it |
//! | `known` | records that look like those before, in one go; no values of fields that nobody looks at |
//! | `json` | walking over objects and arrays without building a tree; what is wrong with what is not JSON |
//! | `shape` | what stands before values, as it came before: mostly nothing has to be looked up |
//! | `names` | the places of fields, by their names |
//! | `spelt` | texts of a field that come again and again |
//! | `scan` | what is JSON and what is not, value by value |
//! | `quick` | values in their usual spellings, in one go |
//! | `scalar` | numbers, times and lengths of time, from their text |
//! | `encode` | a match, and its key, as JSON |
//! | `readable` | a match as a line for people |
//! | `set_aside` | why a record takes no part, and the line that says so |

mod decode;
mod encode;
mod json;
mod known;
mod names;
mod quick;
mod readable;
mod scalar;
mod scan;
mod set_aside;
mod shape;
mod spelt;

pub use decode::{DecodeOptions, Decoder};
pub use encode::{write_bounded, write_key, write_match};
pub use readable::readable_match;
pub use scalar::TimeUnit;
pub use set_aside::{RECORD_SHOWN_BYTES_MAX, Rejection, RejectionCode, write_set_aside};
