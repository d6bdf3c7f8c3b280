//! gRPC: `motif.v1` for those who publish events and those who subscribe to matches, with health and reflection.
//!
//! The server reads matches from a [`MatchLog`] and puts publications into the run's queue; it knows neither engine nor files. A slow
//! subscriber only slows itself: it reads the log from where it stands.

mod client;
mod convert;
mod publish;
mod server;
mod subscribe;
mod token;

pub use client::{Subscription, SubscriptionStart, subscribe};
pub use server::{GrpcError, Server, ServerParts};

/// The types made from `proto/motif/v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("motif.v1");

    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/motif_descriptors.bin"));
}

#[cfg(doc)]
use crate::ports::MatchLog;
