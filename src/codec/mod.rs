//! Bytes to events, matches to bytes. JSON is the form of files and topics.
//!
//! A record becomes an [`crate::event::Event`] of exactly its stream's types or a [`Rejection`]: never a silent conversion.

mod decode;
mod encode;
mod set_aside;

pub use decode::{DecodeOptions, Decoder, TimeUnit};
pub use encode::{write_key, write_match};
pub use set_aside::{Rejection, RejectionCode, RECORD_SHOWN_BYTES_MAX, write_set_aside};
