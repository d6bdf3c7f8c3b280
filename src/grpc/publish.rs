//! `Events.Publish`: records in, acknowledgements out as they become durable.
//!
//! Two tasks for each connection: one takes what the client sends and puts it into the run's queue, the other answers in the same order. So what was
//! taken before a request that is refused is still acknowledged before the refusal is told.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::event::StreamId;
use crate::grpc::v1::{PublishRequest, PublishResponse, events_server};
use crate::language::nearest;
use crate::ports::{Durable, Publication, Publisher};

/// Publications of one connection that may wait to become durable.
const UNACKNOWLEDGED_MAX: usize = 256;
const CLIENT_NAME_BYTES_MAX: usize = 256;

pub(super) struct EventsService {
    publisher: Option<Publisher>,
    streams: BTreeMap<String, StreamId>,
    draining: watch::Receiver<bool>,
}

/// What the client is to hear, in the order of its requests.
enum Answer {
    /// When the publication for this stream is durable.
    Awaited(String, oneshot::Receiver<Durable>),
    /// Ends the stream.
    Refused(Status),
}

impl EventsService {
    pub(super) fn new(publisher: Option<Publisher>, streams: BTreeMap<String, StreamId>, draining: watch::Receiver<bool>) -> Self {
        Self { publisher, streams, draining }
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
        let (answers, to_answer) = mpsc::channel(UNACKNOWLEDGED_MAX);
        tokio::spawn(answer(to_answer, responses));
        let intake = Intake { streams: self.streams.clone(), publisher, answers, draining: self.draining.clone() };
        tokio::spawn(intake.take(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

struct Intake {
    streams: BTreeMap<String, StreamId>,
    publisher: Publisher,
    answers: mpsc::Sender<Answer>,
    draining: watch::Receiver<bool>,
}

impl Intake {
    /// Puts what the client sends into the run's queue until it stops sending.
    async fn take(mut self, mut requests: Streaming<PublishRequest>) {
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                _ = self.draining.wait_for(|draining| *draining) => Err(ended()),
            };
            let answer = match request {
                Ok(Some(request)) => self.put(request).await.unwrap_or_else(Answer::Refused),
                // The client has sent all that it wants to send; what it sent is still acknowledged.
                Ok(None) => return,
                Err(status) => Answer::Refused(status),
            };
            let is_refused = matches!(answer, Answer::Refused(_));
            if self.answers.send(answer).await.is_err() || is_refused {
                return;
            }
        }
    }

    async fn put(&self, request: PublishRequest) -> Result<Answer, Status> {
        let name = request.stream.clone();
        let (durable, told) = oneshot::channel();
        let publication = publication(request, &self.streams, durable)?;
        self.publisher.send(publication).await.map_err(|_| ended())?;
        Ok(Answer::Awaited(name, told))
    }
}

fn publication(request: PublishRequest, streams: &BTreeMap<String, StreamId>, durable: oneshot::Sender<Durable>) -> Result<Publication, Status> {
    let Some(&stream) = streams.get(&request.stream) else { return Err(unknown_stream(&request.stream, streams)) };
    if !request.client.is_empty() && request.first_sequence == 0 {
        return Err(Status::invalid_argument("a client that names itself numbers its records from 1: set `first_sequence`"));
    }
    if request.client.len() > CLIENT_NAME_BYTES_MAX {
        return Err(Status::invalid_argument(format!("a client's name may have {CLIENT_NAME_BYTES_MAX} bytes")));
    }
    Ok(Publication { stream, client: request.client, first_sequence: request.first_sequence, records: request.records, durable })
}

fn unknown_stream(name: &str, streams: &BTreeMap<String, StreamId>) -> Status {
    let hint = match nearest(name, streams.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is: {}", streams.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    Status::not_found(format!("`{name}` is no stream that can be published to; {hint}"))
}

/// Tells the client in order what has become durable.
async fn answer(mut to_answer: mpsc::Receiver<Answer>, responses: mpsc::Sender<Result<PublishResponse, Status>>) {
    while let Some(answer) = to_answer.recv().await {
        let response = match answer {
            Answer::Awaited(stream, told) => match told.await {
                Ok(Durable { last_sequence, repeated }) => Ok(PublishResponse { stream, last_sequence, repeated_records: repeated }),
                Err(_) => Err(ended()),
            },
            Answer::Refused(status) => Err(status),
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
