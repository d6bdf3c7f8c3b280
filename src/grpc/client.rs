//! The subscriber's side, for `motif subscribe`: connects, and goes on from its token when the connection breaks.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::grpc::v1::matches_client::MatchesClient;
use crate::grpc::v1::subscribe_event::Event;
use crate::grpc::v1::subscribe_request::Message;
use crate::grpc::v1::{Credit, Earliest, Latest, Match, Start, SubscribeEvent, SubscribeRequest, start};

/// Matches on their way; credit is given back as they are taken.
const OUTSTANDING_MAX: u32 = 1_000;
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// What to subscribe to.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// `host:port`, or a URL.
    pub address: String,
    pub patterns: Vec<String>,
    /// Parts of the key and their values as JSON or plain text.
    pub key: Vec<(String, String)>,
    pub start: SubscriptionStart,
    /// How long to try again where the server cannot be reached; zero: not at all.
    pub retry_for: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionStart {
    #[default]
    Latest,
    Earliest,
    Token(String),
}

/// Calls `taken` for each match in order, with the token to go on from, until it answers `false` or the server refuses. A broken connection is made
/// anew from the last token, for as long as `retry_for` says.
pub async fn subscribe(mut subscription: Subscription, mut taken: impl FnMut(&Match, &str) -> bool) -> Result<(), Status> {
    let mut failing_since: Option<tokio::time::Instant> = None;
    loop {
        let error = match Connection::open(&subscription).await {
            Ok(mut connection) => {
                failing_since = None;
                match connection.follow(&mut subscription.start, &mut taken).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
        if error.code() != Code::Unavailable || since.elapsed() >= subscription.retry_for {
            return Err(error);
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

struct Connection {
    requests: mpsc::Sender<SubscribeRequest>,
    events: Streaming<SubscribeEvent>,
}

impl Connection {
    async fn open(subscription: &Subscription) -> Result<Self, Status> {
        let url = if subscription.address.contains("://") { subscription.address.clone() } else { format!("http://{}", subscription.address) };
        let endpoint = Endpoint::from_shared(url)
            .map_err(|_| Status::invalid_argument(format!("`{}` is no address; write for example 127.0.0.1:7171", subscription.address)))?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20));
        let unreachable = |error| Status::unavailable(format!("no server answers at {}: {}", subscription.address, root_cause(&error)));
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let from = match &subscription.start {
            SubscriptionStart::Latest => start::From::Latest(Latest {}),
            SubscriptionStart::Earliest => start::From::Earliest(Earliest {}),
            SubscriptionStart::Token(token) => start::From::Token(token.clone()),
        };
        let start = Start {
            patterns: subscription.patterns.clone(),
            key: subscription.key.iter().cloned().collect(),
            from: Some(from),
            max_outstanding_matches: OUTSTANDING_MAX,
            heartbeat_ms: 0,
        };
        let (requests, to_send) = mpsc::channel(64);
        let first = SubscribeRequest { message: Some(Message::Start(start)) };
        requests.send(first).await.map_err(|_| Status::internal("the request's own channel is closed"))?;
        let mut client = MatchesClient::new(channel).max_decoding_message_size(64 << 20);
        let events = client.subscribe(ReceiverStream::new(to_send)).await?.into_inner();
        Ok(Self { requests, events })
    }

    /// `Ok`: the taker has had enough.
    async fn follow(&mut self, start: &mut SubscriptionStart, taken: &mut impl FnMut(&Match, &str) -> bool) -> Result<(), Status> {
        loop {
            let Some(event) = self.events.message().await? else {
                return Err(Status::unavailable("the server has ended the stream"));
            };
            let matches = match event.event {
                Some(Event::Matched(matched)) => matched.matches,
                Some(Event::Heartbeat(_) | Event::Acknowledged(_)) | None => Vec::new(),
            };
            for found in &matches {
                if !taken(found, &event.token) {
                    return Ok(());
                }
            }
            *start = SubscriptionStart::Token(event.token);
            let credit = u32::try_from(matches.len()).unwrap_or(u32::MAX);
            if credit > 0 {
                // Where it cannot be sent, the next message tells why.
                drop(self.requests.send(SubscribeRequest { message: Some(Message::Credit(Credit { matches: credit })) }).await);
            }
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
