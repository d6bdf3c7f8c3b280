//! Files and standard streams: records in, one a line; lines out.
//!
//! | file | holds |
//! |---|---|
//! | `lines` | bytes to lines: long ones, blank ones, the last one |
//! | `source` | files that are read again after a restart, and files that grow |
//! | `pipe` | what comes when it comes, and cannot be read again |
//! | `standard` | standard input and output |
//! | `sink` | files that are written, and cut to what was committed |
//!
//! A line is numbered from 0, blank ones included, so that a record's number is its line in an editor less one.

mod lines;
mod pipe;
mod sink;
mod source;
mod standard;

pub use sink::{Existing, FileSink};
pub use source::{AtEnd, FileSource};
pub use standard::{StdinSource, StdoutSink};
