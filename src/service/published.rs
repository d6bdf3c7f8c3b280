//! Events that clients publish: a queue into the run's loop, durable before it is acknowledged.
//!
//! A published stream has one partition, 0. Offsets are given in the batch that makes the records durable, in order of arrival. What cannot be
//! decided yet is kept in the store (a client cannot be asked again) and deleted once the task no longer needs it.
//!
//! A client numbers its records from 1 and repeats what was not acknowledged; numbers that were taken before in the same stream are passed over. So a
//! client that repeats after a broken connection publishes each record once, whether it numbers all of its records or each stream's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use tokio::sync::{mpsc, oneshot};

use crate::codec::RECORD_SHOWN_BYTES_MAX;
use crate::engine::Positions;
use crate::event::StreamId;
use crate::ports::{Durable, PUBLICATIONS_MAX, Publication, Publisher, Record, RecordBatch, StateStore, StoreError, WriteBatch};

/// Clients (of one stream) that are remembered; beyond it the one that has not published for longest is forgotten.
const CLIENTS_MAX: usize = 10_000;

/// Bytes that wait for a commit; an epoch that holds more ends early.
const PENDING_BYTES_MAX: usize = 8 << 20;

const PUBLISHED: u8 = b'p';
const CLIENT: u8 = b'c';

/// The loop's side of the queue.
#[derive(Debug)]
pub struct PublishedStreams {
    queue: mpsc::Receiver<Publication>,
    streams: BTreeMap<StreamId, PublishedStream>,
    clients: Clients,
    record_bytes_max: usize,
    waiting: Vec<(oneshot::Sender<Durable>, Durable)>,
    /// Bytes that were taken and not yet committed.
    pending_bytes: usize,
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

/// Up to which number the records of each client were taken. A client is named by the store's key for it: stream, 0, name.
#[derive(Debug, Default)]
struct Clients {
    known: BTreeMap<Vec<u8>, Client>,
    /// By `used_last`.
    by_use: BTreeMap<u64, Vec<u8>>,
    /// To be written with the next batch.
    changed: BTreeSet<Vec<u8>>,
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    last_sequence: u64,
    /// Counts what clients have published since the state was begun.
    used_last: u64,
}

impl PublishedStreams {
    /// The queue for these streams (id and name).
    pub fn new(streams: impl IntoIterator<Item = (StreamId, String)>, record_bytes_max: usize) -> (Publisher, Self) {
        let (publisher, queue) = mpsc::channel(PUBLICATIONS_MAX);
        let streams = streams.into_iter().map(|(id, name)| (id, PublishedStream { name, next_offset: 0, kept_from: 0, pending: VecDeque::new() })).collect();
        (publisher, Self { queue, streams, clients: Clients::default(), record_bytes_max, waiting: Vec::new(), pending_bytes: 0 })
    }

    /// Takes up what was committed. Returns the records that are to be held again.
    pub fn restore(&mut self, store: &dyn StateStore, positions: &Positions) -> Result<Vec<RecordBatch>, StoreError> {
        self.clients.restore(store)?;
        let mut batches = Vec::new();
        for (&id, stream) in &mut self.streams {
            let position = positions.partitions.iter().find(|position| position.stream == stream.name);
            stream.next_offset = position.map_or(0, |position| position.next_offset);
            let mut batch = RecordBatch::new(id, 0);
            store.scan(&record_key(&stream.name, 0), &record_key(&stream.name, u64::MAX), &mut |key, bytes| {
                let offset = key.last_chunk::<8>().map_or(0, |offset| u64::from_be_bytes(*offset));
                batch.push(record(offset, bytes, self.record_bytes_max));
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
    pub fn take_next(&mut self) -> Option<Publication> {
        self.queue.try_recv().ok()
    }

    /// Gives a publication's records their offsets; those that were taken before are left out of the batch.
    pub fn take(&mut self, publication: Publication) -> RecordBatch {
        let Publication { stream: id, client, first_sequence, records, durable } = publication;
        let mut batch = RecordBatch::new(id, 0);
        let stream = self.streams.get_mut(&id).expect("the server takes publications for published streams only");
        let client = (!client.is_empty()).then(|| client_key(&stream.name, &client));
        let taken_before = client.as_ref().map_or(0, |client| self.clients.last_sequence(client));
        let last_sequence = first_sequence.saturating_add(records.len() as u64).saturating_sub(1);
        let mut repeated = 0;
        for (sequence, bytes) in (first_sequence..).zip(records) {
            if client.is_some() && sequence <= taken_before {
                repeated += 1;
                continue;
            }
            batch.push(record(stream.next_offset, &bytes, self.record_bytes_max));
            self.pending_bytes += bytes.len();
            stream.pending.push_back((stream.next_offset, bytes));
            stream.next_offset += 1;
        }
        if let Some(client) = client {
            self.clients.remember(client, last_sequence.max(taken_before));
        }
        self.waiting.push((durable, Durable { last_sequence, repeated }));
        batch
    }

    /// Someone waits for a commit.
    pub fn awaits_commit(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// As much waits for a commit as may.
    pub fn is_full(&self) -> bool {
        self.pending_bytes >= PENDING_BYTES_MAX
    }

    /// Adds to an epoch's batch what a restart would need of the published records.
    pub fn stage(&mut self, positions: &Positions, batch: &mut WriteBatch) {
        self.pending_bytes = 0;
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
        self.clients.stage(batch);
    }

    /// The batch is written: tells those who wait.
    pub fn acknowledge(&mut self) {
        for (durable, told) in self.waiting.drain(..) {
            // A client that has gone away does not want to know.
            durable.send(told).ok();
        }
    }
}

impl Clients {
    fn restore(&mut self, store: &dyn StateStore) -> Result<(), StoreError> {
        store.scan(&[CLIENT], &[CLIENT + 1], &mut |key, value| {
            if let ([sequence, used], []) = value.as_chunks::<8>() {
                let client = Client { last_sequence: u64::from_be_bytes(*sequence), used_last: u64::from_be_bytes(*used) };
                self.uses = self.uses.max(client.used_last);
                self.known.insert(key.to_vec(), client);
                self.by_use.insert(client.used_last, key.to_vec());
            }
            ControlFlow::Continue(())
        })
    }

    fn last_sequence(&self, client: &[u8]) -> u64 {
        self.known.get(client).map_or(0, |client| client.last_sequence)
    }

    fn remember(&mut self, client: Vec<u8>, last_sequence: u64) {
        self.uses += 1;
        let now = Client { last_sequence, used_last: self.uses };
        if let Some(before) = self.known.insert(client.clone(), now) {
            self.by_use.remove(&before.used_last);
        }
        self.by_use.insert(now.used_last, client.clone());
        self.changed.insert(client);
    }

    fn stage(&mut self, batch: &mut WriteBatch) {
        let mut forgotten = 0;
        while self.known.len() > CLIENTS_MAX {
            let (_, client) = self.by_use.pop_first().expect("every client was used once");
            self.known.remove(&client);
            self.changed.remove(&client);
            batch.deletes.push(client);
            forgotten += 1;
        }
        if forgotten > 0 {
            tracing::warn!(clients = forgotten, "more publishers than are remembered: what those that were silent for longest repeat is taken again");
        }
        for name in std::mem::take(&mut self.changed) {
            let client = self.known[&name];
            let value = [client.last_sequence.to_be_bytes(), client.used_last.to_be_bytes()].concat();
            batch.puts.push((name, value));
        }
    }
}

/// One that is longer than the bound is handed on cut off, as files do it, and so refused.
fn record(offset: u64, bytes: &[u8], bytes_max: usize) -> Record<'_> {
    let full_bytes = bytes.len() as u64;
    let bytes = if bytes.len() > bytes_max { &bytes[..bytes_max.min(RECORD_SHOWN_BYTES_MAX)] } else { bytes };
    Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes }
}

fn record_key(stream: &str, offset: u64) -> Vec<u8> {
    let mut key = vec![PUBLISHED];
    key.extend_from_slice(stream.as_bytes());
    key.push(0);
    key.extend(offset.to_be_bytes());
    key
}

/// A stream's name holds no 0.
fn client_key(stream: &str, client: &str) -> Vec<u8> {
    let mut key = vec![CLIENT];
    key.extend_from_slice(stream.as_bytes());
    key.push(0);
    key.extend_from_slice(client.as_bytes());
    key
}
