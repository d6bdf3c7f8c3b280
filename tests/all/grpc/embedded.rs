//! The service without Kafka, in this process: what clients publish, through the engine, to the output file and to subscribers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use motif::config::{Config, EndOfInput};
use motif::language::{Source, compile};
use motif::pattern::Program;
use motif::service::{StopSignal, Summary, embedded};
use tonic::Code;

use crate::grpc::clients::{EventPublisher, Subscriber, from_earliest, from_token, in_time};
use crate::grpc::own_address;
use crate::workplace::Workplace;

/// `each` shows every event that was taken; `pairs` leaves something undecided between any two.
pub const PATTERNS: &str = "
stream payments {
  card_id: string
  n: int
  note: string?
  at: timestamp
  time at, late after 2s
}
stream logins {
  card_id: string
  n: int
  at: timestamp
  time at, late after 2s
}
pattern each {
  from payments by card_id
  match a: payments
  emit a.n as n, a.note as note
}
pattern pairs {
  from payments by card_id
  match a: payments
   then next b: payments
  within 1h
  skip past last
  emit a.n as first, b.n as second
}
pattern logged_in {
  from logins by card_id
  match a: logins
  emit a.n as n
}
";

/// Events of three cards, one a second, numbered.
pub fn event(n: u64) -> String {
    format!(r#"{{"card_id":"{}","n":{n},"at":"2026-01-01T{:02}:{:02}:{:02}Z"}}"#, n % 3, n / 3600, n / 60 % 60, n % 60)
}

pub fn events(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(event).collect()
}

/// The values of a field of the matches of a pattern, in the order of an output.
pub fn values(output: &str, pattern: &str, field: &str) -> Vec<u64> {
    let matches = output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    matches.filter(|found| found["pattern"] == *pattern).map(|found| found["fields"][field].as_u64().expect("a number")).collect()
}

struct Service {
    place: Workplace,
    address: SocketAddr,
}

struct Running {
    stop: StopSignal,
    thread: JoinHandle<anyhow::Result<Summary>>,
}

impl Service {
    fn new() -> Self {
        Self { place: Workplace::new(), address: own_address() }
    }

    /// Fed by clients; matches, late events and rejected records in files; its state kept.
    fn config(&self) -> Config {
        let text = format!(
            "[service]\npatterns = []\nstate = \"state\"\ndurability = \"process\"\n\
             [streams.payments]\ngrpc = true\n\
             [output]\nfile = \"matches.jsonl\"\nrejected_file = \"rejected.jsonl\"\n[grpc]\naddress = \"{}\"\n[limits]\nrecord_bytes_max = 2000\n",
            self.address
        );
        motif::config::parse(&text, "motif.toml", &self.place.path("")).expect("a good configuration")
    }

    fn run(&self) -> Running {
        Self::run_with(self.config(), EndOfInput::KeepsOpen)
    }

    fn run_with(config: Config, end: EndOfInput) -> Running {
        let stop = StopSignal::default();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || embedded::run(&program(), &config, end, &stop)
        });
        Running { stop, thread }
    }

    fn matches(&self) -> String {
        self.place.text("matches.jsonl")
    }
}

impl Running {
    async fn stop(self) -> Summary {
        self.stop.ask();
        self.end().await
    }

    async fn end(self) -> Summary {
        in_time("the run ends", tokio::task::spawn_blocking(|| self.thread.join())).await.expect("joined").expect("no panic").expect("ends well")
    }
}

fn program() -> Arc<Program> {
    let compiled = compile(&[Source { path: "patterns.motif".to_owned(), text: PATTERNS.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

fn starting_with(pattern: &str) -> motif::grpc::v1::Start {
    motif::grpc::v1::Start { patterns: vec![pattern.to_owned()], ..from_earliest() }
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_output_and_what_is_repeated_counts_once() {
    let service = Service::new();
    let running = service.run();
    let mut subscriber = Subscriber::must_open(service.address, starting_with("each")).await;
    let mut publisher = EventPublisher::open(service.address).await;
    assert_eq!(publisher.publish("payments", "shop", 1, &events(0..50)).await, 0);
    // What the watermark has passed is in the file by now: the last three are not.
    assert_eq!(values(&service.matches(), "each", "n"), (0..47).collect::<Vec<_>>());
    assert_eq!(subscriber.ids(47).await.len(), 47);
    // All again, a part again, and from another connection.
    assert_eq!(publisher.publish("payments", "shop", 1, &events(0..50)).await, 50);
    assert_eq!(publisher.publish("payments", "shop", 41, &events(40..60)).await, 10);
    let mut publisher = EventPublisher::open(service.address).await;
    assert_eq!(publisher.publish("payments", "shop", 1, &events(0..70)).await, 60);
    // Somebody else's numbers are their own; who gives no name is taken at their word.
    assert_eq!(publisher.publish("payments", "shop 2", 1, &events(70..80)).await, 0);
    assert_eq!(publisher.publish("payments", "", 1, &events(80..90)).await, 0);
    assert_eq!(publisher.publish("payments", "", 1, &events(90..100)).await, 0);
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n"), (0..97).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_may_number_all_of_its_records_or_those_of_each_stream() {
    let service = Service::new();
    let mut config = service.config();
    config.streams.insert("logins".to_owned(), config.streams["payments"].clone());
    let running = Service::run_with(config, EndOfInput::KeepsOpen);
    let mut publisher = EventPublisher::open(service.address).await;
    // By stream.
    publisher.publish("payments", "by stream", 1, &events(0..5)).await;
    assert_eq!(publisher.publish("logins", "by stream", 1, &events(0..5)).await, 0);
    assert_eq!(publisher.publish("logins", "by stream", 4, &events(3..6)).await, 2);
    // Over all.
    publisher.publish("payments", "over all", 1, &events(5..10)).await;
    assert_eq!(publisher.publish("logins", "over all", 6, &events(6..10)).await, 0);
    assert_eq!(publisher.publish("payments", "over all", 1, &events(5..10)).await, 5);
    publisher.publish("payments", "", 1, &events(20..21)).await;
    publisher.publish("logins", "", 1, &events(20..21)).await;
    running.stop().await;
    for pattern in ["each", "logged_in"] {
        assert_eq!(values(&service.matches(), pattern, "n"), (0..10).collect::<Vec<_>>(), "{pattern}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_read_are_acknowledged_and_set_aside() {
    let service = Service::new();
    let running = service.run();
    let mut publisher = EventPublisher::open(service.address).await;
    let mut records = events(0..3);
    records.push("no JSON".to_owned());
    records.push(r#"{"card_id":"1","at":"2026-01-01T00:00:01Z"}"#.to_owned());
    records.push(format!(r#"{{"card_id":"1","n":7,"at":"2026-01-01T00:00:01Z","note":"{}"}}"#, "x".repeat(2_000)));
    records.push(String::new());
    records.push(event(10));
    assert_eq!(publisher.publish("payments", "shop", 1, &records).await, 0);
    assert_eq!(publisher.publish("payments", "shop", 1, &records).await, 8);
    let summary = running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n"), [0, 1, 2]);
    assert_eq!(summary.rejected_total(), 4);
    let rejected = service.place.text("rejected.jsonl");
    let codes: Vec<(u64, String)> = rejected
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|line| (line["offset"].as_u64().expect("a number"), line["code"].as_str().expect("a code").to_owned()))
        .collect();
    let codes: Vec<(u64, &str)> = codes.iter().map(|(offset, code)| (*offset, code.as_str())).collect();
    assert_eq!(codes, [(3, "not_json"), (4, "missing_field"), (5, "too_long"), (6, "not_json")]);
}

/// It is fed more than fits between a server and a client that does not read.
#[tokio::test]
async fn a_subscriber_that_reads_nothing_stops_nobody() {
    const EVENTS: u64 = 12_000;
    let service = Service::new();
    let running = service.run();
    let mut stalled = Subscriber::must_open(service.address, starting_with("each")).await;
    let mut publisher = EventPublisher::open(service.address).await;
    let filling = "x".repeat(1_000);
    for first in (0..EVENTS).step_by(500) {
        let records: Vec<String> = (first..first + 500).map(|n| event(n).replace("\"n\"", &format!("\"note\":\"{filling}\",\"n\""))).collect();
        publisher.publish("payments", "shop", first + 1, &records).await;
    }
    let mut fast = Subscriber::must_open(service.address, starting_with("each")).await;
    let count = usize::try_from(EVENTS).expect("small") - 3;
    let ids = fast.ids(count).await;
    assert_eq!(stalled.ids(count).await, ids);
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n").len(), count);
}

#[tokio::test]
async fn a_run_that_stops_tells_its_clients_and_the_next_one_goes_on() {
    let service = Service::new();
    let mut token = String::new();
    let mut ids = Vec::new();
    for first in (0..50).step_by(10) {
        let running = service.run();
        let start = if token.is_empty() { from_earliest() } else { from_token(&token) };
        let mut subscriber = Subscriber::must_open(service.address, start).await;
        let mut publisher = EventPublisher::open(service.address).await;
        publisher.publish("payments", "shop", first + 1, &events(first..first + 10)).await;
        assert_eq!(publisher.publish("payments", "shop", first + 1, &events(first..first + 10)).await, 10);
        running.stop().await;
        let (found, status) = subscriber.end().await;
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(publisher.next().await.expect_err("nothing was sent").code(), Code::Unavailable);
        token.clone_from(&subscriber.token);
        ids.extend(found);
    }
    let output = service.matches();
    assert_eq!(values(&output, "each", "n"), (0..47).collect::<Vec<_>>());
    let expected: Vec<String> = output.lines().map(|line| line["{\"id\":\"".len()..][..32].to_owned()).collect();
    assert_eq!(ids, expected);
    // Three cards take turns: each pair is three apart, and none was lost between two runs.
    let pairs: Vec<(u64, u64)> = values(&output, "pairs", "first").into_iter().zip(values(&output, "pairs", "second")).collect();
    let expected: Vec<(u64, u64)> = (3..47).filter(|second| second / 3 % 2 == 1).map(|second| (second - 3, second)).collect();
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn a_bounded_run_takes_what_was_published_before_it_and_closes_all_windows() {
    let service = Service::new();
    let running = service.run();
    let mut publisher = EventPublisher::open(service.address).await;
    publisher.publish("payments", "shop", 1, &events(0..10)).await;
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n").len(), 7);
    let summary = Service::run_with(service.config(), EndOfInput::ClosesWindows).end().await;
    assert!(!summary.stopped);
    assert_eq!(values(&service.matches(), "each", "n"), (0..10).collect::<Vec<_>>());
    // The end was for that run only.
    let running = service.run();
    let mut publisher = EventPublisher::open(service.address).await;
    publisher.publish("payments", "shop", 11, &events(10..20)).await;
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n"), (0..17).collect::<Vec<_>>());
}

/// Where nothing comes any more, time goes on by the clock: what is waited for comes out without another event. What is published comes to a run that heeds no
/// silence: to one that does, it may come late.
#[tokio::test]
async fn a_stream_that_is_quiet_follows_the_clock() {
    let service = Service::new();
    let running = service.run();
    let mut publisher = EventPublisher::open(service.address).await;
    publisher.publish("payments", "shop", 1, &events(0..10)).await;
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n").len(), 7);
    let mut config = service.config();
    config.streams.get_mut("payments").expect("bound").idle_after = Some(motif::event::TimeSpan::from_millis(1));
    let running = Service::run_with(config, EndOfInput::KeepsOpen);
    let mut subscriber = Subscriber::must_open(service.address, starting_with("each")).await;
    subscriber.ids(10).await;
    running.stop().await;
    assert_eq!(values(&service.matches(), "each", "n"), (0..10).collect::<Vec<_>>());
}

/// Of a pipe, without state: there is no later run that could take back what the end brings out.
#[tokio::test]
async fn subscribers_of_a_bounded_run_without_state_get_what_its_end_brings_out() {
    let service = Service::new();
    let pipe = service.place.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut config = service.config();
    config.state = None;
    config.streams.get_mut("payments").expect("bound").origin = motif::config::Origin::File { path: pipe.clone(), at_end: motif::config::AtEnd::Finish };
    let running = Service::run_with(config, EndOfInput::ClosesWindows);
    let writer = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe));
    let mut writer = in_time("the run opens its input", writer).await.expect("joined").expect("a pipe");
    let mut subscriber = Subscriber::must_open(service.address, from_earliest()).await;
    let lines: String = events(0..10).iter().map(|line| format!("{line}\n")).collect();
    std::io::Write::write_all(&mut writer, lines.as_bytes()).expect("written");
    drop(writer);
    let (ids, status) = subscriber.end().await;
    assert_eq!(status.code(), Code::Unavailable);
    running.end().await;
    assert_eq!(values(&service.matches(), "each", "n"), (0..10).collect::<Vec<_>>());
    assert_eq!(ids.len(), service.matches().lines().count());
}
