//! The listening side: one address, all services, and an orderly end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::event::StreamId;
use crate::grpc::publish::EventsService;
use crate::grpc::subscribe::MatchesService;
use crate::grpc::v1;
use crate::ports::{MatchLog, Publisher};

/// What is told of the server's health: as a whole, and by service.
const SERVICES: [&str; 3] = ["", v1::matches_server::SERVICE_NAME, v1::events_server::SERVICE_NAME];

async fn set_health(health: &HealthReporter, is_serving: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// What the services stand on.
pub struct ServerParts {
    pub log: Arc<dyn MatchLog>,
    /// `None`: no stream is fed by clients.
    pub publisher: Option<Publisher>,
    /// By name, the streams that clients may publish to.
    pub published_streams: BTreeMap<String, StreamId>,
    /// By pattern: the names of its key's parts.
    pub patterns: BTreeMap<String, Vec<String>>,
    /// Matches that may wait for one subscriber; beyond it they are read from the log once it takes some.
    pub subscriber_queue_max: usize,
    pub record_bytes_max: usize,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    health: HealthReporter,
    draining: watch::Sender<bool>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    #[error("cannot listen on {address}: {error}; is another process using the port? choose another address")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Server {
    /// Listens, and serves until shut down. Port 0 takes any that is free.
    pub async fn start(address: SocketAddr, parts: ServerParts) -> Result<Self, GrpcError> {
        let listener = TcpListener::bind(address).await.map_err(|error| GrpcError::Listen { address, error })?;
        let address = listener.local_addr().map_err(|error| GrpcError::Listen { address, error })?;
        let (draining, drained) = watch::channel(false);
        let reflection = tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(v1::DESCRIPTORS).build_v1()?;
        let (health, health_service) = tonic_health::server::health_reporter();
        set_health(&health, true).await;
        let message_bytes_max = parts.record_bytes_max.saturating_mul(4).max(4 << 20);
        let events = EventsService::new(parts.publisher, parts.published_streams, drained.clone());
        let matches = MatchesService::new(parts.log, parts.patterns, parts.subscriber_queue_max, drained.clone());
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .add_service(reflection)
            .add_service(health_service)
            .add_service(v1::events_server::EventsServer::new(events).max_decoding_message_size(message_bytes_max))
            .add_service(v1::matches_server::MatchesServer::new(matches));
        let mut asked = drained;
        let end = async move {
            // An error means that the sender is gone, which is an end as well.
            drop(asked.wait_for(|draining| *draining).await);
        };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, end));
        tracing::info!(%address, "listening for gRPC");
        Ok(Self { address, health, draining, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Those who ask for the server's health are told that it serves, or that it does not now.
    pub async fn tell(&self, is_serving: bool) {
        set_health(&self.health, is_serving).await;
    }

    /// Ends: no new connections; subscribers get what is committed, if they take it in time, and are told to come again with their token. `time`: how long they have for that.
    pub async fn shut_down(mut self, time: Duration) {
        set_health(&self.health, false).await;
        for service in SERVICES {
            // Ends the streams of those who watch it, once they were told.
            self.health.clear_service_status(service).await;
        }
        self.draining.send_replace(true);
        if tokio::time::timeout(time, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}
