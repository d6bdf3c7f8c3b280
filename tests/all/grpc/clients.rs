//! Clients that show every event as it comes: nothing is reconnected, repeated or given credit for by itself.

use std::net::SocketAddr;
use std::time::Duration;

use motif::grpc::v1::events_client::EventsClient;
use motif::grpc::v1::matches_client::MatchesClient;
use motif::grpc::v1::subscribe_event::Event;
use motif::grpc::v1::subscribe_request::Message;
use motif::grpc::v1::{Ack, Credit, Earliest, Match, PublishRequest, PublishResponse, Start, SubscribeEvent, SubscribeRequest, start};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::workplace::LIMIT;

/// Fails where something does not come at all.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}

/// Tries until a server listens.
pub async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let connecting = async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    in_time("a server listens", connecting).await
}

pub fn from_earliest() -> Start {
    Start { from: Some(start::From::Earliest(Earliest {})), ..Start::default() }
}

pub fn from_token(token: &str) -> Start {
    Start { from: Some(start::From::Token(token.to_owned())), ..Start::default() }
}

pub struct Subscriber {
    requests: mpsc::Sender<SubscribeRequest>,
    events: Streaming<SubscribeEvent>,
    /// That of the last event.
    pub token: String,
}

impl Subscriber {
    pub async fn open(address: SocketAddr, start: Start) -> Result<Self, Status> {
        let (requests, to_send) = mpsc::channel(64);
        requests.send(SubscribeRequest { message: Some(Message::Start(start)) }).await.expect("just made");
        let mut client = MatchesClient::new(connect(address).await);
        let events = in_time("the server's answer", client.subscribe(ReceiverStream::new(to_send))).await?.into_inner();
        Ok(Self { requests, events, token: String::new() })
    }

    pub async fn must_open(address: SocketAddr, start: Start) -> Self {
        Self::open(address, start).await.unwrap_or_else(|status| panic!("{status}"))
    }

    pub async fn next(&mut self) -> Result<SubscribeEvent, Status> {
        let event = in_time("an event", self.events.message()).await?.ok_or_else(|| Status::internal("ended without a word"))?;
        self.token.clone_from(&event.token);
        Ok(event)
    }

    pub async fn give_credit(&self, matches: u32) {
        self.send(Message::Credit(Credit { matches })).await;
    }

    /// The next matches; heartbeats are passed over.
    pub async fn next_matches(&mut self) -> Result<Vec<Match>, Status> {
        loop {
            if let Some(Event::Matched(matched)) = self.next().await?.event {
                return Ok(matched.matches);
            }
        }
    }

    /// The ids of the next so many matches; the event that brings the last of them must not bring more.
    pub async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.extend(self.next_ids().await);
        }
        assert_eq!(ids.len(), count, "more came than was to come");
        ids
    }

    /// The ids of one event's matches.
    pub async fn next_ids(&mut self) -> Vec<String> {
        let matches = self.next_matches().await.unwrap_or_else(|status| panic!("{status}"));
        matches.into_iter().map(|found| found.id).collect()
    }

    /// The ids of everything that was sent before the server has seen this call.
    pub async fn ids_until_now(&mut self) -> Vec<String> {
        if self.token.is_empty() {
            self.next().await.unwrap_or_else(|status| panic!("{status}"));
        }
        self.acknowledge(&self.token).await;
        let mut ids = Vec::new();
        loop {
            match self.next().await.unwrap_or_else(|status| panic!("{status}")).event {
                Some(Event::Matched(matched)) => ids.extend(matched.matches.into_iter().map(|found| found.id)),
                Some(Event::Acknowledged(_)) => return ids,
                Some(Event::Heartbeat(_)) | None => {}
            }
        }
    }

    pub async fn acknowledge(&self, token: &str) {
        self.send(Message::Ack(Ack { token: token.to_owned() })).await;
    }

    /// The status that ends the stream, and the ids that came before it.
    pub async fn end(&mut self) -> (Vec<String>, Status) {
        let mut ids = Vec::new();
        loop {
            match self.next_matches().await {
                Ok(matches) => ids.extend(matches.into_iter().map(|found| found.id)),
                Err(status) => return (ids, status),
            }
        }
    }

    async fn send(&self, message: Message) {
        self.requests.send(SubscribeRequest { message: Some(message) }).await.expect("the subscription goes on");
    }
}

pub struct EventPublisher {
    requests: mpsc::Sender<PublishRequest>,
    responses: Streaming<PublishResponse>,
}

impl EventPublisher {
    pub async fn open(address: SocketAddr) -> Self {
        let (requests, to_send) = mpsc::channel(64);
        let mut client = EventsClient::new(connect(address).await);
        let responses = in_time("the server's answer", client.publish(ReceiverStream::new(to_send))).await.unwrap_or_else(|status| panic!("{status}"));
        Self { requests, responses: responses.into_inner() }
    }

    /// `false`: the stream has ended.
    pub async fn send(&self, stream: &str, client: &str, first_sequence: u64, records: &[String]) -> bool {
        let records = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        let request = PublishRequest { stream: stream.to_owned(), client: client.to_owned(), first_sequence, records };
        in_time("room for a request", self.requests.send(request)).await.is_ok()
    }

    pub async fn next(&mut self) -> Result<PublishResponse, Status> {
        in_time("an acknowledgement", self.responses.message()).await?.ok_or_else(|| Status::internal("ended without a word"))
    }

    /// Sends and waits until all of it lasts. Returns how many records had been taken before.
    pub async fn publish(&mut self, stream: &str, client: &str, first_sequence: u64, records: &[String]) -> u64 {
        assert!(self.send(stream, client, first_sequence, records).await, "the stream goes on");
        let response = self.next().await.unwrap_or_else(|status| panic!("{status}"));
        assert_eq!((response.stream.as_str(), response.last_sequence), (stream, first_sequence + records.len() as u64 - 1));
        response.repeated_records
    }
}
