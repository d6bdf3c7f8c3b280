//! Let in at first, and then no more.

use std::fs::File;
use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::broker::{Produced, free_port};
use crate::kafka::secured::permissions::Deployment;
use crate::kafka::secured::rig::{PASSWORD, Right, Secured};
use crate::workplace::start;

/// What one who asks for the service's health is told; nothing where nobody answers.
fn health(port: u16) -> Option<ServingStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
        let channel = endpoint.timeout(Duration::from_secs(5)).connect().await.ok()?;
        Some(HealthClient::new(channel).check(HealthCheckRequest::default()).await.ok()?.into_inner().status())
    })
}

#[test]
fn a_password_that_changes_while_it_runs_is_an_outage_that_ends_when_it_is_right_again() {
    // Whoever is connected must say who he is again and again.
    let Some(secured) = Secured::own(&["listener.name.sasl.scram-sha-512.connections.max.reauth.ms=2000"]) else { return };
    let deployment = Deployment::new(&secured, "alice");
    let reads = [&deployment.output, &deployment.late].map(|topic| Right::topic("Read", topic));
    secured.grant("alice", &[deployment.rights(), reads.to_vec()].concat());
    let port = free_port();
    let config = deployment.work.text("motif.toml").replace("[kafka.properties]", "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"");
    deployment.work.write("motif.toml", format!("{config}[grpc]\naddress = \"127.0.0.1:{port}\"\n"));
    let log = File::create(deployment.work.path("log")).expect("a log");
    let said = || deployment.work.text("log");
    let mut running = start(deployment.work.motif("run --config motif.toml --log info").stderr(log));
    let event = |key: &str, at: u32| {
        let value = format!("{{\"user\": \"{key}\", \"at\": {at}}}");
        secured.broker.produce(&[Produced { topic: deployment.input.clone(), partition: 0, key: None, value, timestamp: None }]);
    };
    let matches = || secured.broker.read(&deployment.output).len();
    // Each lets the ones before it be evaluated: events may come late.
    event("d", 1_000_000);
    running.wait_until("matches", || matches() == 2);
    running.wait_until("health", || health(port) == Some(ServingStatus::Serving));

    secured.set_password("alice", "another");
    event("e", 1_100_000);
    let sentence = format!("Kafka at {} refuses user alice with SCRAM-SHA-512", secured.sasl);
    running.wait_until("the outage is said", || said().lines().any(|line| line.contains(&sentence) && line.contains("after 300 s this process ends")));
    running.wait_until("it is in the health", || health(port) == Some(ServingStatus::NotServing));

    secured.set_password("alice", PASSWORD);
    running.wait_until("its end is said", || said().contains("the brokers answer again"));
    running.wait_until("it is in the health", || health(port) == Some(ServingStatus::Serving));
    event("f", 1_200_000);
    running.wait_until("matches again", || matches() >= 4);
    running.signal("TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", said());
    assert!(said().contains("1 outages of the brokers"), "{}", said());
    // Told to end in the middle of one.
    let log = File::options().append(true).open(deployment.work.path("log")).expect("a log");
    let mut running = start(deployment.work.motif("run --config motif.toml --log info").stderr(log));
    running.wait_until("health", || health(port) == Some(ServingStatus::Serving));
    secured.set_password("alice", "another");
    running.wait_until("it is in the health", || health(port) == Some(ServingStatus::NotServing));
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0), "{}", said());
    secured.set_password("alice", PASSWORD);
    // Each once, none missing.
    deployment.work.must("run --config motif.toml --until-end");
    let keys: Vec<String> = secured.broker.read(&deployment.output).into_iter().map(|read| read.key).collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    deployment.work.must("verify --config motif.toml");
}
