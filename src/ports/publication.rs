//! Events that clients publish, on their way into the run's loop.

use tokio::sync::{mpsc, oneshot};

use crate::event::StreamId;

/// Publications that may wait for the loop; a client beyond it waits.
pub const PUBLICATIONS_MAX: usize = 64;

/// Some records of one client for one stream.
#[derive(Debug)]
pub struct Publication {
    pub stream: StreamId,
    /// Empty: numbers are not remembered.
    pub client: String,
    /// The number of the first record; the others follow.
    pub first_sequence: u64,
    pub records: Vec<Vec<u8>>,
    /// Told when all of them are durable; dropped where the run ends before.
    pub durable: oneshot::Sender<Durable>,
}

/// All of a publication's records survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durable {
    /// The last number of the publication.
    pub last_sequence: u64,
    /// How many of them had been taken before.
    pub repeated: u64,
}

/// Where clients put publications. Cloned for each connection.
pub type Publisher = mpsc::Sender<Publication>;
