//! `Matches.Subscribe`: from a place in the log to its end, and on as it grows.
//!
//! Each subscription is a task of its own that reads the log at its own pace: as far as the client has given credit and takes what was sent.
//! Nothing is dropped inside a stream and nothing is remembered after it; the token in every event is the client's own memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::convert::{KeyFilter, to_match};
use crate::grpc::token::{self, TokenError};
use crate::grpc::v1::subscribe_event::Event;
use crate::grpc::v1::subscribe_request::Message;
use crate::grpc::v1::{Heartbeat, Matched, Start, SubscribeEvent, SubscribeRequest, matches_server, start};
use crate::language::nearest;
use crate::ports::{LogAmount, LogEntry, LogError, LogPosition, MatchLog};

/// Matches in one event, and bytes of JSON that no further one is added to.
const EVENT_MATCHES_MAX: usize = 100;
const EVENT_BYTES_MAX: usize = 64 << 10;
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);

pub(super) struct MatchesService {
    log: Arc<dyn MatchLog>,
    /// By pattern: the names of its key's parts.
    patterns: BTreeMap<String, Vec<String>>,
    queue_max: usize,
    draining: watch::Receiver<bool>,
}

impl MatchesService {
    pub(super) fn new(log: Arc<dyn MatchLog>, patterns: BTreeMap<String, Vec<String>>, queue_max: usize, draining: watch::Receiver<bool>) -> Self {
        Self { log, patterns, queue_max, draining }
    }

    /// A filter that nothing can ever pass is a mistake.
    fn check_filters(&self, start: &Start) -> Result<(), Status> {
        if let Some(name) = start.patterns.iter().find(|name| !self.patterns.contains_key(*name)) {
            let hint = hint(name, self.patterns.keys());
            return Err(Status::invalid_argument(format!("no pattern `{name}` runs here{hint}")));
        }
        let asked = |name: &String| start.patterns.is_empty() || start.patterns.contains(name);
        let keys = || self.patterns.iter().filter(|(name, _)| asked(name)).map(|(_, parts)| parts);
        if keys().any(|parts| start.key.keys().all(|part| parts.contains(part))) {
            return Ok(());
        }
        match start.key.keys().find(|part| !keys().any(|parts| parts.contains(part))) {
            Some(part) => {
                let hint = hint(part, keys().flatten());
                Err(Status::invalid_argument(format!("no pattern that is asked for has `{part}` in its key{hint}")))
            }
            None => Err(Status::invalid_argument("no pattern that is asked for has all of these parts in its key")),
        }
    }

    async fn position(&self, from: Option<start::From>) -> Result<LogPosition, Status> {
        let log = self.log.clone();
        let place = match from {
            Some(start::From::Token(text)) => {
                return token::decode(&log.identity(), &text).map_err(|error| match error {
                    TokenError::Malformed => Status::invalid_argument("the token is malformed; use it exactly as it came"),
                    TokenError::OtherLog => of_other_log(),
                });
            }
            Some(start::From::Earliest(_)) => tokio::task::spawn_blocking(move || log.earliest()).await,
            Some(start::From::Latest(_)) | None => tokio::task::spawn_blocking(move || log.latest()).await,
        };
        place.map_err(|error| Status::internal(error.to_string()))?.map_err(|error| failed(&*self.log, &error))
    }
}

#[tonic::async_trait]
impl matches_server::Matches for MatchesService {
    type SubscribeStream = ReceiverStream<Result<SubscribeEvent, Status>>;

    async fn subscribe(&self, request: Request<Streaming<SubscribeRequest>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut requests = request.into_inner();
        let Some(Message::Start(start)) = requests.message().await?.and_then(|request| request.message) else {
            return Err(Status::invalid_argument("the first message is `start`"));
        };
        self.check_filters(&start)?;
        let position = self.position(start.from.clone()).await?;
        let (events, sent) = mpsc::channel((self.queue_max / EVENT_MATCHES_MAX).max(1));
        let subscription = Subscription::new(&start, self.log.clone(), position, events);
        tokio::spawn(subscription.run(requests, self.draining.clone()));
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

struct Subscription {
    log: Arc<dyn MatchLog>,
    identity: String,
    /// After what has been sent or passed over.
    position: LogPosition,
    /// What follows, as far as it has been read: there was no credit for it yet.
    read: VecDeque<LogEntry>,
    patterns: Vec<String>,
    key: KeyFilter,
    /// Matches that may still be sent; `None`: as many as there are.
    credit: Option<u64>,
    heartbeat: Duration,
    events: mpsc::Sender<Result<SubscribeEvent, Status>>,
}

/// Why a subscription ends; `None`: the client is gone or has had enough.
type Ended = Option<Status>;

/// What became of the next entries of the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sent,
    /// Nothing among them was asked for.
    PassedOver,
    /// There is nothing to read now, or no credit.
    None,
}

impl Subscription {
    fn new(start: &Start, log: Arc<dyn MatchLog>, position: LogPosition, events: mpsc::Sender<Result<SubscribeEvent, Status>>) -> Self {
        Self {
            identity: log.identity(),
            log,
            position,
            read: VecDeque::new(),
            patterns: start.patterns.clone(),
            key: KeyFilter::new(start.key.clone()),
            credit: (start.max_outstanding_matches > 0).then_some(u64::from(start.max_outstanding_matches)),
            heartbeat: if start.heartbeat_ms == 0 { HEARTBEAT_DEFAULT } else { Duration::from_millis(u64::from(start.heartbeat_ms)) },
            events,
        }
    }

    async fn run(mut self, mut requests: Streaming<SubscribeRequest>, mut draining: watch::Receiver<bool>) {
        let mut changed = self.log.changed();
        let mut sends = true;
        // The first comes at once: so the client has a token to come again with, whenever the connection breaks.
        let mut beat = Instant::now();
        let ended = loop {
            if Instant::now() >= beat {
                let heartbeat = self.event(Event::Heartbeat(Heartbeat {}));
                if self.events.send(Ok(heartbeat)).await.is_err() {
                    break None;
                }
                beat = Instant::now() + self.heartbeat;
            }
            changed.mark_unchanged();
            // Looked at first: what was committed before the service began to stop is among what is read then.
            let is_draining = *draining.borrow();
            let progress = match self.send_next().await {
                Ok(progress) => progress,
                Err(ended) => break ended,
            };
            match progress {
                Progress::Sent => beat = Instant::now() + self.heartbeat,
                Progress::PassedOver => {}
                Progress::None if is_draining => break Some(Status::unavailable("the service is stopping; start again with the last token")),
                Progress::None => {}
            }
            // While there is more to send, messages are only looked for; else they are waited for.
            let waits = progress == Progress::None;
            let request = tokio::select! {
                biased;
                request = requests.message(), if sends => Some(request),
                () = self.events.closed() => break None,
                () = std::future::ready(()), if !waits => None,
                _ = changed.changed(), if self.credit != Some(0) => None,
                _ = draining.wait_for(|draining| *draining) => None,
                () = tokio::time::sleep_until(beat) => None,
            };
            match request {
                None => {}
                Some(Ok(Some(request))) => {
                    if let Err(ended) = self.take(request).await {
                        break ended;
                    }
                }
                // The client will not say any more, but still listens.
                Some(Ok(None)) => sends = false,
                Some(Err(_)) => break None,
            }
        };
        if let Some(status) = ended {
            drop(self.events.send(Err(status)).await);
        }
    }

    async fn take(&mut self, request: SubscribeRequest) -> Result<(), Ended> {
        match request.message {
            Some(Message::Credit(credit)) => {
                self.credit = self.credit.map(|left| left.saturating_add(u64::from(credit.matches)));
                Ok(())
            }
            Some(Message::Ack(ack)) => {
                if token::decode(&self.identity, &ack.token).is_err() {
                    return Err(Some(Status::invalid_argument("the acknowledged token is none of this service")));
                }
                let event = self.event(Event::Acknowledged(ack.token));
                self.events.send(Ok(event)).await.map_err(|_| None)
            }
            Some(Message::Start(_)) => Err(Some(Status::invalid_argument("`start` is the first message only"))),
            None => Ok(()),
        }
    }

    /// Sends what is asked for of the next entries, as far as there is credit. (An event holds what fits into a message of any client: no more than was read at once.)
    async fn send_next(&mut self) -> Result<Progress, Ended> {
        let credit = self.credit.unwrap_or(u64::MAX);
        if credit == 0 {
            return Ok(Progress::None);
        }
        if self.read.is_empty() {
            self.read = self.read_next().await?.into();
        }
        if self.read.is_empty() {
            return Ok(Progress::None);
        }
        let mut matches = Vec::new();
        while (matches.len() as u64) < credit
            && let Some(entry) = self.read.pop_front()
        {
            if self.wants(&entry) {
                matches.extend(to_match(&entry.json));
            }
            self.position = entry.position;
        }
        if matches.is_empty() {
            return Ok(Progress::PassedOver);
        }
        self.credit = self.credit.map(|left| left - matches.len() as u64);
        let event = self.event(Event::Matched(Matched { matches }));
        self.events.send(Ok(event)).await.map_err(|_| None)?;
        Ok(Progress::Sent)
    }

    async fn read_next(&self) -> Result<Vec<LogEntry>, Ended> {
        let (log, from) = (self.log.clone(), self.position.clone());
        match tokio::task::spawn_blocking(move || log.read(&from, LogAmount { entries: EVENT_MATCHES_MAX, bytes: EVENT_BYTES_MAX })).await {
            Ok(Ok(entries)) => Ok(entries),
            Ok(Err(error)) => Err(Some(failed(&*self.log, &error))),
            Err(error) => Err(Some(Status::internal(error.to_string()))),
        }
    }

    fn wants(&self, entry: &LogEntry) -> bool {
        (self.patterns.is_empty() || self.patterns.iter().any(|name| **name == *entry.pattern)) && self.key.accepts(&entry.json)
    }

    fn event(&self, event: Event) -> SubscribeEvent {
        SubscribeEvent { token: token::encode(&self.identity, &self.position), event: Some(event) }
    }
}

fn hint<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    nearest(name, known.map(String::as_str)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn failed(log: &dyn MatchLog, error: &LogError) -> Status {
    match error {
        LogError::OutOfRange { next } => {
            let next = token::encode(&log.identity(), next);
            Status::out_of_range(format!("matches after this token are no longer kept; to get those that are, start from {next}"))
        }
        LogError::BeyondEnd { next } => {
            let next = token::encode(&log.identity(), next);
            Status::out_of_range(format!(
                "the token is beyond the last match: the topic of matches was shortened, or deleted and made anew, or the state was brought back from an older copy; to get what is \
                 there now, of which some matches may have come before (with the same ids), start from {next}"
            ))
        }
        LogError::OtherLog => of_other_log(),
        LogError::Failed(_) => Status::unavailable(error.to_string()),
    }
}

fn of_other_log() -> Status {
    Status::failed_precondition("the token is of another service, or of state that was begun anew; start from `earliest` or `latest`")
}
