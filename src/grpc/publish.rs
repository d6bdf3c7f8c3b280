//! `Events.Publish`: records in, acknowledgements out as they become durable.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::event::StreamId;
use crate::grpc::v1::{PublishRequest, PublishResponse, events_server};
use crate::ports::{Durable, Publication, Publisher};

/// Publications of one connection that may wait to become durable.
const UNACKNOWLEDGED_MAX: usize = 256;

pub struct EventsService {
    publisher: Option<Publisher>,
    streams: BTreeMap<String, StreamId>,
}

type Responses = mpsc::Sender<Result<PublishResponse, Status>>;
type Awaited = mpsc::Sender<(String, oneshot::Receiver<Durable>)>;

impl EventsService {
    pub(super) fn new(publisher: Option<Publisher>, streams: BTreeMap<String, StreamId>) -> Self {
        Self { publisher, streams }
    }
}

#[tonic::async_trait]
impl events_server::Events for EventsService {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(&self, request: Request<Streaming<PublishRequest>>) -> Result<Response<Self::PublishStream>, Status> {
        let Some(publisher) = self.publisher.clone() else {
            return Err(Status::failed_precondition("no stream of this service is fed by gRPC; bind one with `grpc = true`"));
        };
        let (responses, answered) = mpsc::channel(UNACKNOWLEDGED_MAX);
        let (awaited, to_await) = mpsc::channel(UNACKNOWLEDGED_MAX);
        tokio::spawn(acknowledge(to_await, responses.clone()));
        tokio::spawn(take(request.into_inner(), self.streams.clone(), publisher, awaited, responses));
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

/// Puts what the client sends into the run's queue until it stops sending.
async fn take(
    mut requests: Streaming<PublishRequest>,
    streams: BTreeMap<String, StreamId>,
    publisher: Publisher,
    awaited: Awaited,
    responses: Responses,
) {
    loop {
        let request = match requests.message().await {
            Ok(Some(request)) => request,
            // The client has sent all that it wants to send, or is gone: what it sent is still acknowledged if it listens.
            Ok(None) | Err(_) => return,
        };
        let name = request.stream.clone();
        let (durable, told) = oneshot::channel();
        let publication = match publication(request, &streams, durable) {
            Ok(publication) => publication,
            Err(status) => {
                drop(responses.send(Err(status)).await);
                return;
            }
        };
        if publisher.send(publication).await.is_err() {
            drop(responses.send(Err(ended())).await);
            return;
        }
        if awaited.send((name, told)).await.is_err() {
            return;
        }
    }
}

fn publication(request: PublishRequest, streams: &BTreeMap<String, StreamId>, durable: oneshot::Sender<Durable>) -> Result<Publication, Status> {
    let Some(&stream) = streams.get(&request.stream) else {
        let known: Vec<&str> = streams.keys().map(String::as_str).collect();
        return Err(Status::not_found(format!("`{}` is no stream that can be published to; there is: {}", request.stream, known.join(", "))));
    };
    if !request.client.is_empty() && request.first_sequence == 0 {
        return Err(Status::invalid_argument("a client that names itself numbers its records from 1: set `first_sequence`"));
    }
    if request.client.len() > 256 {
        return Err(Status::invalid_argument("a client's name may have 256 bytes"));
    }
    Ok(Publication { stream, client: request.client, first_sequence: request.first_sequence, records: request.records, durable })
}

/// Tells the client in order what has become durable.
async fn acknowledge(mut to_await: mpsc::Receiver<(String, oneshot::Receiver<Durable>)>, responses: Responses) {
    while let Some((stream, told)) = to_await.recv().await {
        let response = match told.await {
            Ok(Durable { last_sequence, repeated }) => Ok(PublishResponse { stream, last_sequence, repeated_records: repeated }),
            Err(_) => Err(ended()),
        };
        let failed = response.is_err();
        if responses.send(response).await.is_err() || failed {
            return;
        }
    }
}

fn ended() -> Status {
    Status::unavailable("the run has ended; publish again what was not acknowledged")
}
