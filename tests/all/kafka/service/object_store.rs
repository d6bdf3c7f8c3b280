//! Checkpoints in a bucket: as good as in a folder; and the store may be away.

use super::*;
use crate::object_server::{ACCESS_KEY, BUCKET, ObjectServer, SECRET_KEY, object_server, unique_prefix};

/// How the log says that one was made.
const CHECKPOINT: &str = "\"message\":\"checkpoint\"";

/// A folder of the bucket for one service, without credentials.
fn place(server: &ObjectServer) -> String {
    let (prefix, endpoint) = (unique_prefix(), &server.endpoint);
    format!("[checkpoints]\nurl = \"s3://{BUCKET}/{prefix}\"\nendpoint = \"{endpoint}\"\ninterval_ms = 300\n")
}

/// The same, with a key, and its secret in a file.
fn place_with_key(service: &Service, server: &ObjectServer) -> String {
    std::fs::write(service.folder.path().join("secret"), SECRET_KEY).expect("written");
    format!("{}access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key_file = \"secret\"\n", place(server))
}

#[test]
fn a_killed_process_is_followed_by_another_with_its_state_from_a_bucket() {
    let Some(server) = object_server() else { return };
    let Some(service) = Service::new() else { return };
    follow_killed_processes(&service, &place_with_key(&service, server));
}

/// While the store is away events go on, also through a stop and a start; when it is back there are checkpoints again.
#[test]
fn events_go_on_while_the_store_of_the_checkpoints_is_away() {
    let Some(server) = ObjectServer::own() else { return };
    let Some(service) = Service::new() else { return };
    let events = service.events(0..6_000);
    let mut parts = events.chunks(1_500);
    let mut go_on = |running: &mut Running| {
        let before = service.matches().len();
        service.broker.produce(parts.next().expect("four parts"));
        service.await_matches(before + 60, std::slice::from_mut(running));
    };
    service.configure_machine(0, 1, &place_with_key(&service, &server));
    let mut running = service.start_on(0);
    go_on(&mut running);
    await_log(&service, &mut running, 0, CHECKPOINT);
    server.kill();
    let killed = log(&service).len();
    go_on(&mut running);
    await_log(&service, &mut running, killed, "there is no connection to the store");
    running.terminate();
    let stopped = log(&service).len();
    let mut running = service.start_on(0);
    go_on(&mut running);
    await_log(&service, &mut running, stopped, "the checkpoints are away");
    server.restart();
    let back = log(&service).len();
    go_on(&mut running);
    await_checkpoints(&service, &mut running, back);
    running.kill();
    // Another machine, which has nothing but what is in the bucket.
    std::fs::copy(service.config_of(0), service.config_of(1)).expect("copied");
    let text = std::fs::read_to_string(service.config_of(1)).expect("there").replace("state-0", "state-1");
    std::fs::write(service.config_of(1), text).expect("written");
    let output = service.command_on(1, &["--until-end", "--log", "info"]).output().expect("motif starts");
    assert!(output.status.success(), "{}", said(&output));
    service.assert_equals_direct(&events);
    service.assert_journal_accounts_for_outputs();
    let log = log(&service) + &said(&output);
    assert!(!log.contains("DIGEST DIFFERS") && !log.contains(SECRET_KEY), "{log}");
    // At its checkpoint, or after it where there was none of the last epoch yet.
    let is_from_checkpoint =
        |line: &str| line.contains("task starts") && !line.contains("\"epoch\":0,") || line.contains("epochs are repeated") && !line.contains("\"base\":0,");
    let begins = |task: i32| said(&output).lines().any(|line| line.contains(&format!("\"task\":{task},")) && is_from_checkpoint(line));
    assert!((0..PARTITIONS).all(begins), "from the checkpoints: {}", said(&output));
}

/// Credentials come from the usual variables as well; what is wrong is said at the start, in one sentence.
#[test]
fn a_bucket_that_cannot_be_used_is_refused_at_the_start() {
    let Some(server) = object_server() else { return };
    let Some(service) = Service::new() else { return };
    service.broker.produce(&service.events(0..500));
    let run = |secret: &str| {
        let mut command = service.command(&["--until-end"]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", secret).output().expect("motif starts")
    };
    let place = place(server);
    for (place, secret, sentence) in [
        (place.replace(&format!("s3://{BUCKET}/"), "s3://no-such-bucket/"), SECRET_KEY, "the store has no such bucket"),
        (place.clone(), "another-secret", "the store does not accept the credentials"),
    ] {
        service.configure_machine(0, 1, &place);
        let output = run(secret);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(sentence) && !said(&output).contains(secret), "{}", said(&output));
    }
    service.configure_machine(0, 1, &place);
    let output = run(SECRET_KEY);
    assert!(output.status.success() && said(&output).contains("checkpoints"), "{}", said(&output));
}

fn log(service: &Service) -> String {
    std::fs::read_to_string(service.log()).expect("a log")
}

/// Until the log, from a place on, tells of a checkpoint of every task.
fn await_checkpoints(service: &Service, running: &mut Running, from: usize) {
    let is_of = |line: &str, task: i32| line.contains(CHECKPOINT) && line.contains(&format!("\"task\":{task},"));
    let deadline = Instant::now() + LIMIT;
    while !(0..PARTITIONS).all(|task| log(service)[from..].lines().any(|line| is_of(line, task))) {
        assert!(Instant::now() < deadline, "not every task has a checkpoint: {}", log(service));
        running.assert_runs();
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Until the log, from a place on, contains a word.
fn await_log(service: &Service, running: &mut Running, from: usize, word: &str) {
    let deadline = Instant::now() + LIMIT;
    while !log(service)[from..].contains(word) {
        assert!(Instant::now() < deadline, "the log does not say {word:?}: {}", log(service));
        running.assert_runs();
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
