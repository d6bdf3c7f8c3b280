//! The subscriber's side, for `motif subscribe`: connects, and goes on from its token when the connection breaks.

use std::error::Error as _;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
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
    /// How many matches to take; `None`: all that there will ever be. No more are asked for, so the last token is that after the last of them.
    pub matches_max: Option<u64>,
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

/// Calls `taken` with the matches of each event in order (none: all is well) and the token to go on from after them, until it answers `false`, enough
/// were taken or the server refuses. A broken connection is made anew from the last token, for as long as `retry_for` says.
pub async fn subscribe(mut subscription: Subscription, mut taken: impl FnMut(&[Match], &str) -> bool) -> Result<(), Status> {
    let mut failing_since: Option<Instant> = None;
    loop {
        if subscription.matches_max == Some(0) {
            return Ok(());
        }
        let ended = match Connection::open(&subscription).await {
            Ok(mut connection) => {
                let mut taken = |matches: &[Match], token: &str| {
                    failing_since = None;
                    taken(matches, token)
                };
                connection.follow(&mut subscription, &mut taken).await
            }
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return Ok(()) };
        let is_new = failing_since.is_none();
        let since = *failing_since.get_or_insert_with(Instant::now);
        if !may_pass(&error) || since.elapsed() >= subscription.retry_for {
            return Err(error);
        }
        if is_new {
            tracing::warn!(reason = error.message(), "trying again");
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}

/// The server is starting, stopping or gone. An error with a cause was made on this side of a broken connection, not by the server.
fn may_pass(error: &Status) -> bool {
    error.code() == Code::Unavailable || error.source().is_some()
}

struct Connection {
    requests: mpsc::Sender<SubscribeRequest>,
    events: Streaming<SubscribeEvent>,
    /// Matches that the server may still send.
    outstanding: u64,
}

impl Connection {
    async fn open(subscription: &Subscription) -> Result<Self, Status> {
        let channel = connect(&subscription.address).await?;
        let from = match &subscription.start {
            SubscriptionStart::Latest => start::From::Latest(Latest {}),
            SubscriptionStart::Earliest => start::From::Earliest(Earliest {}),
            SubscriptionStart::Token(token) => start::From::Token(token.clone()),
        };
        let outstanding = subscription.matches_max.map_or(OUTSTANDING_MAX, |left| OUTSTANDING_MAX.min(u32::try_from(left).unwrap_or(u32::MAX)));
        let start = Start {
            patterns: subscription.patterns.clone(),
            key: subscription.key.iter().cloned().collect(),
            from: Some(from),
            max_outstanding_matches: outstanding,
            heartbeat_ms: 0,
        };
        let (requests, to_send) = mpsc::channel(64);
        let first = SubscribeRequest { message: Some(Message::Start(start)) };
        requests.send(first).await.map_err(|_| Status::internal("the request's own channel is closed"))?;
        let mut client = MatchesClient::new(channel).max_decoding_message_size(64 << 20);
        let events = client.subscribe(ReceiverStream::new(to_send)).await?.into_inner();
        Ok(Self { requests, events, outstanding: u64::from(outstanding) })
    }

    /// `Ok`: the taker has had enough.
    async fn follow(&mut self, subscription: &mut Subscription, taken: &mut impl FnMut(&[Match], &str) -> bool) -> Result<(), Status> {
        loop {
            let Some(event) = self.events.message().await? else {
                return Err(Status::unavailable("the server has ended the stream"));
            };
            let matches = match event.event {
                Some(Event::Matched(matched)) => matched.matches,
                Some(Event::Heartbeat(_) | Event::Acknowledged(_)) | None => Vec::new(),
            };
            if !taken(&matches, &event.token) {
                return Ok(());
            }
            subscription.start = SubscriptionStart::Token(event.token);
            let count = matches.len() as u64;
            self.outstanding = self.outstanding.saturating_sub(count);
            let left = subscription.matches_max.map(|left| left.saturating_sub(count));
            subscription.matches_max = left;
            if left == Some(0) {
                return Ok(());
            }
            self.give_credit(left).await;
        }
    }

    /// Asks for as many as fit under the bound and are wanted.
    async fn give_credit(&mut self, left: Option<u64>) {
        let wanted = left.unwrap_or(u64::MAX).min(u64::from(OUTSTANDING_MAX));
        let credit = wanted.saturating_sub(self.outstanding);
        if credit > 0 {
            self.outstanding += credit;
            let matches = u32::try_from(credit).expect("at most the bound on what is outstanding");
            // Where it cannot be sent, the next message tells why.
            drop(self.requests.send(SubscribeRequest { message: Some(Message::Credit(Credit { matches })) }).await);
        }
    }
}

pub(super) async fn connect(address: &str) -> Result<Channel, Status> {
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(url)
        .map_err(|_| Status::invalid_argument(format!("`{address}` is no address; write for example 127.0.0.1:7171")))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20));
    endpoint.connect().await.map_err(|error| Status::unavailable(format!("no server answers at {address}: {}", root_cause(&error))))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
