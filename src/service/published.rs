//! Events that clients publish: a queue into the run's loop, durable before it is acknowledged.
//!
//! A published stream has one partition, 0. Offsets are given in the batch that makes the records durable, in order of arrival. What cannot be
//! decided yet is kept in the store (a client cannot be asked again) and deleted once the task no longer needs it.
//!
//! A client numbers its records from 1 and repeats what was not acknowledged; numbers that were taken before are passed over. So a
//! client that repeats after a broken connection publishes each record once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use tokio::sync::{mpsc, oneshot};

use crate::engine::Positions;
use crate::event::StreamId;
use crate::ports::{Durable, PUBLICATIONS_MAX, Publication, Publisher, Record, RecordBatch, StateStore, StoreError, WriteBatch};

/// Client names that are remembered; beyond it the name that comes first in the alphabet is forgotten.
pub const CLIENTS_MAX: usize = 10_000;

const PUBLISHED: u8 = b'p';
const CLIENT: u8 = b'c';

/// The loop's side of the queue.
#[derive(Debug)]
pub struct PublishedStreams {
    queue: mpsc::Receiver<Publication>,
    streams: BTreeMap<StreamId, PublishedStream>,
    clients: BTreeMap<String, u64>,
    clients_changed: BTreeMap<String, u64>,
    waiting: Vec<(oneshot::Sender<Durable>, Durable)>,
}

#[derive(Debug)]
struct PublishedStream {
    name: String,
    next_offset: u64,
    /// Records before this one are in the store no more.
    kept_from: u64,
    /// Taken and not yet committed.
    pending: VecDeque<(u64, Vec<u8>)>,
}

impl PublishedStreams {
    /// The queue for these streams (id and name).
    pub fn new(streams: impl IntoIterator<Item = (StreamId, String)>) -> (Publisher, Self) {
        let (publisher, queue) = mpsc::channel(PUBLICATIONS_MAX);
        let streams = streams
            .into_iter()
            .map(|(id, name)| (id, PublishedStream { name, next_offset: 0, kept_from: 0, pending: VecDeque::new() }))
            .collect();
        (publisher, Self { queue, streams, clients: BTreeMap::new(), clients_changed: BTreeMap::new(), waiting: Vec::new() })
    }

    /// Takes up what was committed. Returns the records that are to be held again.
    pub fn restore(&mut self, store: &dyn StateStore, positions: &Positions) -> Result<Vec<RecordBatch>, StoreError> {
        store.scan(&[CLIENT], &[CLIENT + 1], &mut |key, value| {
            if let (Ok(name), Ok(number)) = (std::str::from_utf8(&key[1..]), value.try_into()) {
                self.clients.insert(name.to_owned(), u64::from_be_bytes(number));
            }
            ControlFlow::Continue(())
        })?;
        let mut batches = Vec::new();
        for (&id, stream) in &mut self.streams {
            let position = positions.partitions.iter().find(|position| position.stream == stream.name);
            stream.next_offset = position.map_or(0, |position| position.next_offset);
            let mut batch = RecordBatch::new(id, 0);
            store.scan(&record_key(&stream.name, 0), &record_key(&stream.name, u64::MAX), &mut |key, bytes| {
                let offset = key.last_chunk::<8>().map_or(0, |offset| u64::from_be_bytes(*offset));
                batch.push(record(offset, bytes));
                ControlFlow::Continue(())
            })?;
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Waits for a publication, at most this long.
    pub async fn wait(&mut self, timeout: std::time::Duration) -> Option<Publication> {
        tokio::time::timeout(timeout, self.queue.recv()).await.ok().flatten()
    }

    /// The next publication that is there already.
    pub fn next(&mut self) -> Option<Publication> {
        self.queue.try_recv().ok()
    }

    /// Gives a publication's records their offsets; those that were taken before are left out of the batch.
    pub fn take(&mut self, publication: Publication) -> RecordBatch {
        let Publication { stream: id, client, first_sequence, records, durable } = publication;
        let mut batch = RecordBatch::new(id, 0);
        let stream = self.streams.get_mut(&id).expect("the server takes publications for published streams only");
        let taken_before = self.clients.get(&client).copied().unwrap_or(0);
        let last_sequence = first_sequence.saturating_add(records.len() as u64).saturating_sub(1);
        let mut repeated = 0;
        for (sequence, bytes) in (first_sequence..).zip(records) {
            if !client.is_empty() && sequence <= taken_before {
                repeated += 1;
                continue;
            }
            batch.push(record(stream.next_offset, &bytes));
            stream.pending.push_back((stream.next_offset, bytes));
            stream.next_offset += 1;
        }
        if !client.is_empty() && last_sequence > taken_before {
            self.remember(client, last_sequence);
        }
        self.waiting.push((durable, Durable { last_sequence, repeated }));
        batch
    }

    fn remember(&mut self, client: String, last_sequence: u64) {
        self.clients_changed.insert(client.clone(), last_sequence);
        self.clients.insert(client, last_sequence);
    }

    /// Someone waits for a commit.
    pub fn awaits_commit(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds to an epoch's batch what a restart would need of the published records.
    pub fn stage(&mut self, positions: &Positions, batch: &mut WriteBatch) {
        for stream in self.streams.values_mut() {
            let position = positions.partitions.iter().find(|position| position.stream == stream.name);
            let needed_from = position.and_then(|position| position.rewind).map_or(stream.next_offset, |rewind| rewind.offset);
            if needed_from > stream.kept_from {
                batch.delete_ranges.push((record_key(&stream.name, stream.kept_from), record_key(&stream.name, needed_from)));
                stream.kept_from = needed_from;
            }
            for (offset, bytes) in stream.pending.drain(..).filter(|(offset, _)| *offset >= needed_from) {
                batch.puts.push((record_key(&stream.name, offset), bytes));
            }
        }
        for (client, number) in std::mem::take(&mut self.clients_changed) {
            batch.puts.push((client_key(&client), number.to_be_bytes().to_vec()));
        }
        while self.clients.len() > CLIENTS_MAX {
            if let Some((client, _)) = self.clients.pop_first() {
                batch.deletes.push(client_key(&client));
            }
        }
    }

    /// The batch is written: tells those who wait.
    pub fn acknowledge(&mut self) {
        for (durable, told) in self.waiting.drain(..) {
            // A client that has gone away does not want to know.
            drop(durable.send(told));
        }
    }
}

fn record(offset: u64, bytes: &[u8]) -> Record<'_> {
    Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 }
}

fn record_key(stream: &str, offset: u64) -> Vec<u8> {
    let mut key = vec![PUBLISHED];
    key.extend_from_slice(stream.as_bytes());
    key.push(0);
    key.extend(offset.to_be_bytes());
    key
}

fn client_key(client: &str) -> Vec<u8> {
    let mut key = vec![CLIENT];
    key.extend_from_slice(client.as_bytes());
    key
}
