//! The server alone, on a log that the test writes as a run would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use motif::event::StreamId;
use motif::grpc::v1::subscribe_event::Event;
use motif::grpc::v1::{Latest, Start, start};
use motif::grpc::{Server, ServerParts};
use motif::ports::{Durable, LogAmount, LogEntry, LogError, LogPosition, MatchLog, Publisher, StateStore, WriteBatch};
use motif::service::StoredMatchLog;
use motif::service::published::PublishedStreams;
use motif::store::Memory;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::grpc::clients::{EventPublisher, Subscriber, connect, from_earliest, from_token, in_time};
use crate::random_cases::seed;

struct Service {
    store: Arc<Memory>,
    log: Arc<StoredMatchLog>,
    server: Server,
    epoch: u64,
    matches: u64,
}

impl Service {
    async fn start(log_matches_max: usize) -> Self {
        Self::start_with(log_matches_max, "an identity", None).await
    }

    async fn start_with(log_matches_max: usize, identity: &str, publisher: Option<Publisher>) -> Self {
        let store = Arc::new(Memory::default());
        let log = Arc::new(StoredMatchLog::open(store.clone(), identity.to_owned(), LogAmount::of_entries(log_matches_max)).expect("memory"));
        let parts = ServerParts { log: log.clone(), ..parts(publisher) };
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), parts).await.expect("listens");
        Self { store, log, server, epoch: 0, matches: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// One epoch that brings out matches of this pattern with these keys. Returns their ids.
    fn commit(&mut self, pattern: &str, keys: &[&str]) -> Vec<String> {
        self.commit_with(pattern, keys, "")
    }

    fn commit_with(&mut self, pattern: &str, keys: &[&str], filling: &str) -> Vec<String> {
        self.epoch += 1;
        let mut ids = Vec::new();
        let mut entries = Vec::new();
        for key in keys {
            self.matches += 1;
            let id = format!("{:06}", self.matches);
            let json = format!(
                r#"{{"id":"{id}","pattern":"{pattern}","kind":"match","key":{key},"at":"2026-01-01T00:00:00Z","fields":{{"filling":"{filling}"}},"events":{{"a":["0:{}"]}}}}"#,
                self.matches
            );
            entries.push((Arc::from(pattern), json.into_bytes()));
            ids.push(id);
        }
        let mut batch = WriteBatch::default();
        let staged = self.log.stage(self.epoch, &entries, &mut batch);
        self.store.write(batch).expect("memory");
        self.log.publish(staged);
        ids
    }

    /// Matches of `card_testing` in epochs of several sizes.
    fn commit_many(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for size in [1, 7, 150, 3].into_iter().cycle() {
            let size = size.min(count - ids.len());
            if size == 0 {
                return ids;
            }
            ids.extend(self.commit("card_testing", &vec![r#"{"card_id":"1","shop":2}"#; size]));
        }
        unreachable!("the sizes come round for ever")
    }
}

/// On a log of their own.
fn parts(publisher: Option<Publisher>) -> ServerParts {
    let key = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    ServerParts {
        log: Arc::new(StoredMatchLog::open(Arc::new(Memory::default()), String::new(), LogAmount::of_entries(1)).expect("memory")),
        publisher,
        published_streams: BTreeMap::from([("payments".to_owned(), StreamId(0))]),
        patterns: BTreeMap::from([("card_testing".to_owned(), key(&["card_id", "shop"])), ("web_scan".to_owned(), key(&["ip"]))]),
        subscriber_queue_max: 1_000,
        record_bytes_max: 1 << 20,
    }
}

#[tokio::test]
async fn no_more_is_on_its_way_than_there_is_credit_for() {
    let mut random = ChaCha8Rng::seed_from_u64(seed("credit"));
    let mut service = Service::start(100_000).await;
    let mut ids = service.commit_many(300);
    let mut credit = 7;
    let mut subscriber = Subscriber::must_open(service.address(), Start { max_outstanding_matches: credit, ..from_earliest() }).await;
    let mut received = Vec::new();
    while received.len() < 600 {
        let missing = 600 - received.len();
        let found = subscriber.ids(missing.min(credit as usize)).await;
        received.extend(found);
        assert_eq!(subscriber.ids_until_now().await, Vec::<String>::new(), "beyond the credit, after {} matches", received.len());
        if ids.len() < 600 && received.len() > 100 {
            ids.extend(service.commit_many(300));
        }
        credit = random.random_range(1..130).min(600 - u32::try_from(received.len()).expect("small"));
        subscriber.give_credit(credit).await;
    }
    assert_eq!(received, ids);
}

#[tokio::test]
async fn without_a_bound_everything_comes_in_order_as_it_is_committed() {
    let mut service = Service::start(100_000).await;
    let mut subscriber = Subscriber::must_open(service.address(), from_earliest()).await;
    for size in [1, 1_000, 3] {
        let ids = service.commit_many(size);
        assert_eq!(subscriber.ids(ids.len()).await, ids);
    }
}

#[tokio::test]
async fn only_what_is_asked_for_comes() {
    let mut service = Service::start(100_000).await;
    let mut by_key = BTreeMap::new();
    for _ in 0..60 {
        for (pattern, key) in [
            ("card_testing", r#"{"card_id":"1","shop":2}"#),
            ("card_testing", r#"{"card_id":"2","shop":2}"#),
            ("card_testing", r#"{"card_id":"1","shop":3}"#),
            ("web_scan", r#"{"ip":"192.0.2.1"}"#),
        ] {
            let ids = service.commit(pattern, &[key, key]);
            by_key.entry((pattern, key)).or_insert_with(Vec::new).extend(ids);
        }
    }
    let all: BTreeSet<String> = by_key.values().flatten().cloned().collect();
    let of = |wanted: &dyn Fn(&str, &str) -> bool| {
        let fitting = by_key.iter().filter(|((pattern, key), _)| wanted(pattern, key)).flat_map(|(_, ids)| ids.clone());
        fitting.collect::<BTreeSet<String>>()
    };
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], BTreeSet<String>);
    let cases: [Case<'_>; 8] = [
        (&[], &[], all.clone()),
        (&["card_testing", "web_scan"], &[], all),
        (&["web_scan"], &[], of(&|pattern, _| pattern == "web_scan")),
        (&["card_testing"], &[], of(&|pattern, _| pattern == "card_testing")),
        (&[], &[("card_id", "1")], of(&|_, key| key.contains(r#""card_id":"1""#))),
        (&[], &[("card_id", "\"1\""), ("shop", "3")], of(&|_, key| key.contains(r#""card_id":"1","shop":3"#))),
        (&["web_scan"], &[("ip", "192.0.2.1")], of(&|pattern, _| pattern == "web_scan")),
        (&["card_testing"], &[("card_id", "3")], BTreeSet::new()),
    ];
    for (patterns, key, expected) in cases {
        for max_outstanding_matches in [0, 5] {
            let start = Start {
                patterns: patterns.iter().map(|name| (*name).to_owned()).collect(),
                key: key.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                max_outstanding_matches,
                ..from_earliest()
            };
            let mut subscriber = Subscriber::must_open(service.address(), start).await;
            let mut found = Vec::new();
            while found.len() < expected.len() {
                let ids = subscriber.next_ids().await;
                if max_outstanding_matches > 0 {
                    subscriber.give_credit(u32::try_from(ids.len()).expect("small")).await;
                }
                found.extend(ids);
            }
            found.extend(subscriber.ids_until_now().await);
            assert!(found.is_sorted(), "{patterns:?} {key:?}");
            assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), expected, "{patterns:?} {key:?}");
            assert_eq!(found.len(), expected.len(), "{patterns:?} {key:?}");
        }
    }
}

#[tokio::test]
async fn a_subscriber_goes_on_after_any_match_with_its_token() {
    let mut service = Service::start(100_000).await;
    let ids = service.commit_many(20);
    let mut subscriber = Subscriber::must_open(service.address(), Start { max_outstanding_matches: 1, ..from_earliest() }).await;
    for place in 0..ids.len() {
        assert_eq!(subscriber.ids(1).await, ids[place..=place]);
        let mut again = Subscriber::must_open(service.address(), from_token(&subscriber.token)).await;
        assert_eq!(again.ids(ids.len() - place - 1).await, ids[place + 1..]);
        assert_eq!(again.ids_until_now().await, Vec::<String>::new());
        subscriber.give_credit(1).await;
    }
}

#[tokio::test]
async fn latest_begins_now_and_the_first_event_says_where_that_is() {
    let mut service = Service::start(100_000).await;
    service.commit_many(20);
    let latest = || Start { from: Some(start::From::Latest(Latest {})), ..Start::default() };
    let mut subscriber = Subscriber::must_open(service.address(), latest()).await;
    let mut by_default = Subscriber::must_open(service.address(), Start::default()).await;
    let first = in_time("the first event", subscriber.next()).await.expect("an event");
    assert!(matches!(first.event, Some(Event::Heartbeat(_))), "{first:?}");
    let ids = service.commit_many(30);
    assert_eq!(subscriber.ids(30).await, ids);
    assert_eq!(by_default.ids(30).await, ids);
    // A connection that broke before anything came loses nothing either.
    assert_eq!(Subscriber::must_open(service.address(), from_token(&first.token)).await.ids(30).await, ids);
}

#[tokio::test]
async fn a_filter_that_nothing_can_pass_is_refused_with_a_hint() {
    let service = Service::start(100_000).await;
    let start = |patterns: &[&str], key: &[&str]| Start {
        patterns: patterns.iter().map(|name| (*name).to_owned()).collect(),
        key: key.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect(),
        ..Start::default()
    };
    for (asked, said) in [
        (start(&["card_tsting"], &[]), "no pattern `card_tsting` runs here; did you mean `card_testing`?"),
        (start(&["web_scan", "zzz"], &[]), "no pattern `zzz` runs here"),
        (start(&[], &["card"]), "no pattern that is asked for has `card` in its key"),
        (start(&[], &["card_di"]), "no pattern that is asked for has `card_di` in its key; did you mean `card_id`?"),
        (start(&["web_scan"], &["card_id"]), "no pattern that is asked for has `card_id` in its key"),
        (start(&[], &["card_id", "ip"]), "no pattern that is asked for has all of these parts in its key"),
    ] {
        let status = Subscriber::open(service.address(), asked).await.err().expect("refused");
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, said));
    }
}

#[tokio::test]
async fn a_token_that_is_forged_or_of_another_service_is_refused() {
    let mut service = Service::start(100_000).await;
    service.commit_many(5);
    let mut subscriber = Subscriber::must_open(service.address(), from_earliest()).await;
    subscriber.ids(5).await;
    let token = subscriber.token.clone();
    let refusal = async |address, token: &str| Subscriber::open(address, from_token(token)).await.err().map(|status| status.code());

    for place in 0..token.len() {
        let changed = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
        let forged = format!("{}{changed}{}", &token[..place], &token[place + 1..]);
        assert_eq!(refusal(service.address(), &forged).await, Some(Code::InvalidArgument), "{forged}");
    }
    for forged in ["", "earliest", "no token!", &token[1..], &format!("{token}AAAA"), &"A".repeat(100_000)] {
        assert_eq!(refusal(service.address(), forged).await, Some(Code::InvalidArgument), "{forged:.40}");
    }

    let mut other = Service::start_with(100_000, "another identity", None).await;
    other.commit_many(5);
    assert_eq!(refusal(other.address(), &token).await, Some(Code::FailedPrecondition));
    // The same service, its state brought back from an older copy.
    let mut older = Service::start(100_000).await;
    let mut subscriber = Subscriber::must_open(older.address(), from_token(&token)).await;
    let (_, status) = subscriber.end().await;
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("brought back from an older copy"), "{status}");
    let (_, next) = status.message().rsplit_once(' ').expect("a sentence that ends in the token");
    let ids = older.commit_many(3);
    assert_eq!(Subscriber::must_open(older.address(), from_token(next)).await.ids(3).await, ids);

    let mut subscriber = Subscriber::must_open(service.address(), from_earliest()).await;
    subscriber.acknowledge("no token!").await;
    assert_eq!(subscriber.end().await.1.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_out_of_range_and_the_oldest_token_is_told() {
    let mut service = Service::start(10).await;
    let first = service.commit("web_scan", &[r#"{"ip":"192.0.2.1"}"#; 2]);
    let mut subscriber = Subscriber::must_open(service.address(), from_earliest()).await;
    assert_eq!(subscriber.ids(2).await, first);
    let (after_first, mut kept) = (subscriber.token.clone(), Vec::new());
    for _ in 0..6 {
        kept.push(service.commit("web_scan", &[r#"{"ip":"192.0.2.1"}"#; 3]));
    }
    assert_eq!(Subscriber::must_open(service.address(), from_earliest()).await.ids(9).await, kept[3..].concat());
    let mut late = Subscriber::must_open(service.address(), from_token(&after_first)).await;
    let (ids, status) = late.end().await;
    assert_eq!((ids, status.code()), (Vec::new(), Code::OutOfRange));
    let (_, oldest) = status.message().rsplit_once(' ').expect("a sentence that ends in the token");
    assert_eq!(Subscriber::must_open(service.address(), from_token(oldest)).await.ids(9).await, kept[3..].concat());
}

/// Its events hold what fits into a message of any client, whatever the size of a match.
#[tokio::test]
async fn large_matches_come_few_at_a_time() {
    let mut service = Service::start(100_000).await;
    let filling = "x".repeat(200_000);
    let ids = service.commit_with("web_scan", &[r#"{"ip":"192.0.2.1"}"#; 60], &filling);
    let mut subscriber = Subscriber::must_open(service.address(), from_earliest()).await;
    let mut found = Vec::new();
    while found.len() < ids.len() {
        let matches = subscriber.next_matches().await.unwrap_or_else(|status| panic!("{status}"));
        assert!(matches.iter().map(|found| found.json.len()).sum::<usize>() < (64 << 10) + filling.len() + 1_000);
        found.extend(matches.into_iter().map(|found| found.id));
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn who_waits_for_what_is_rare_hears_how_far_the_service_is() {
    let mut service = Service::start(10).await;
    let start = Start { patterns: vec!["web_scan".to_owned()], heartbeat_ms: 1, ..from_earliest() };
    let mut subscriber = Subscriber::must_open(service.address(), start).await;
    for _ in 0..20 {
        service.commit_many(9);
        let mut at_the_end = Subscriber::must_open(service.address(), Start::default()).await;
        at_the_end.next().await.unwrap_or_else(|status| panic!("{status}"));
        while subscriber.token != at_the_end.token {
            let event = subscriber.next().await.unwrap_or_else(|status| panic!("{status}"));
            assert!(matches!(event.event, Some(Event::Heartbeat(_))), "{event:?}");
        }
    }
    // Though the first matches are long gone, this one's place is not.
    let ids = service.commit("web_scan", &[r#"{"ip":"192.0.2.1"}"#]);
    assert_eq!(Subscriber::must_open(service.address(), from_token(&subscriber.token)).await.ids(1).await, ids);
}

/// A log that never ends, and holds nothing that is asked for.
struct Endless(tokio::sync::watch::Sender<u64>);

impl MatchLog for Endless {
    fn identity(&self) -> String {
        "endless".to_owned()
    }

    fn earliest(&self) -> Result<LogPosition, LogError> {
        Ok(LogPosition(vec![0]))
    }

    fn latest(&self) -> Result<LogPosition, LogError> {
        self.earliest()
    }

    fn read(&self, from: &LogPosition, _: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        Ok(vec![LogEntry { position: LogPosition(vec![from.0[0] + 1]), pattern: "card_testing".into(), json: b"{}".as_slice().into() }])
    }

    fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.subscribe()
    }
}

#[tokio::test]
async fn heartbeats_come_also_while_there_is_always_more_to_pass_over() {
    let parts = ServerParts { log: Arc::new(Endless(tokio::sync::watch::Sender::new(0))), ..parts(None) };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), parts).await.expect("listens");
    let start = Start { patterns: vec!["web_scan".to_owned()], heartbeat_ms: 1, ..from_earliest() };
    let mut subscriber = Subscriber::must_open(server.address(), start).await;
    let mut tokens = BTreeSet::new();
    while tokens.len() < 10 {
        let event = subscriber.next().await.unwrap_or_else(|status| panic!("{status}"));
        assert!(matches!(event.event, Some(Event::Heartbeat(_))), "{event:?}");
        tokens.insert(event.token);
    }
}

/// A log that a token may name, and not mean.
struct Other(tokio::sync::watch::Sender<u64>);

impl MatchLog for Other {
    fn identity(&self) -> String {
        "other".to_owned()
    }

    fn earliest(&self) -> Result<LogPosition, LogError> {
        Ok(LogPosition(vec![0; 4]))
    }

    fn latest(&self) -> Result<LogPosition, LogError> {
        self.earliest()
    }

    fn read(&self, _: &LogPosition, _: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        Err(LogError::OtherLog)
    }

    fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.subscribe()
    }
}

#[tokio::test]
async fn nobody_comes_again_with_a_token_that_is_found_to_be_of_another_log() {
    let parts = ServerParts { log: Arc::new(Other(tokio::sync::watch::Sender::new(0))), ..parts(None) };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), parts).await.expect("listens");
    let mut subscriber = Subscriber::must_open(server.address(), from_earliest()).await;
    assert_eq!(subscriber.end().await.1.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn two_subscribers_do_not_wait_for_each_other() {
    let mut service = Service::start(100_000).await;
    let mut slow = Subscriber::must_open(service.address(), Start { max_outstanding_matches: 1, ..from_earliest() }).await;
    let mut fast = Subscriber::must_open(service.address(), from_earliest()).await;
    let mut ids = service.commit_many(500);
    assert_eq!(fast.ids(500).await, ids);
    ids.extend(service.commit_many(500));
    assert_eq!(fast.ids(500).await, ids[500..]);
    let mut found = Vec::new();
    while found.len() < ids.len() {
        found.extend(slow.ids(1).await);
        slow.give_credit(1).await;
    }
    assert_eq!(found, ids);
}

/// A log of which it is told what each read has read, before the read answers.
struct Told<F> {
    log: Arc<StoredMatchLog>,
    has_read: F,
}

impl<F: Fn(&[LogEntry]) + Send + Sync> MatchLog for Told<F> {
    fn identity(&self) -> String {
        self.log.identity()
    }

    fn earliest(&self) -> Result<LogPosition, LogError> {
        self.log.earliest()
    }

    fn latest(&self) -> Result<LogPosition, LogError> {
        self.log.latest()
    }

    fn read(&self, from: &LogPosition, until: LogAmount) -> Result<Vec<LogEntry>, LogError> {
        let read = self.log.read(from, until)?;
        (self.has_read)(&read);
        Ok(read)
    }

    fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.log.changed()
    }
}

/// To a log on Kafka it is no small thing to read again what it has read before.
#[tokio::test]
async fn nothing_is_read_twice_however_little_is_taken_at_a_time() {
    let mut service = Service::start(100_000).await;
    let mut ids = service.commit_with("web_scan", &[r#"{"ip":"192.0.2.1"}"#; 50], &"x".repeat(4_000));
    ids.extend(service.commit_many(250));
    for max_outstanding_matches in [0, 1, 30] {
        let read = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = read.clone();
        let has_read = move |read: &[LogEntry]| noted.lock().expect("nothing panics under it").extend(read.iter().map(|entry| entry.position.clone()));
        let parts = ServerParts { log: Arc::new(Told { log: service.log.clone(), has_read }), ..parts(None) };
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), parts).await.expect("listens");
        let mut subscriber = Subscriber::must_open(server.address(), Start { max_outstanding_matches, ..from_earliest() }).await;
        let mut found = Vec::new();
        while found.len() < ids.len() {
            let next = subscriber.next_ids().await;
            subscriber.give_credit(u32::try_from(next.len()).expect("few")).await;
            found.extend(next);
        }
        assert_eq!(found, ids);
        let read = std::mem::take(&mut *read.lock().expect("nothing panics under it"));
        assert_eq!(read.len(), ids.len(), "with credit for {max_outstanding_matches}");
    }
}

#[tokio::test]
async fn a_server_that_stops_hands_out_what_is_committed_and_says_so() {
    let (publisher, mut queue) = PublishedStreams::new([(StreamId(0), "payments".to_owned())], 1 << 20);
    let mut service = Service::start_with(100_000, "an identity", Some(publisher)).await;
    let address = service.address();
    let mut subscriber = Subscriber::must_open(address, from_earliest()).await;
    let mut without_credit = Subscriber::must_open(address, Start { max_outstanding_matches: 2, ..from_earliest() }).await;
    let mut idle_publisher = EventPublisher::open(address).await;
    let mut unheard_publisher = EventPublisher::open(address).await;
    assert!(unheard_publisher.send("payments", "", 0, &["{}".to_owned()]).await);
    let publication = in_time("a publication", queue.wait(crate::workplace::LIMIT)).await.expect("published");
    assert_eq!(publication.records, [b"{}"]);
    let mut health = HealthClient::new(connect(address).await);
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("answers").into_inner();
    let told = in_time("a status", watched.message()).await.expect("answers").expect("a status");
    assert_eq!(told.status(), ServingStatus::Serving);

    let ids = service.commit_many(700);
    // As a run ends that has not taken what was published.
    drop((publication, queue));
    let stopping = tokio::spawn(service.server.shut_down(Duration::from_secs(10)));
    let (found, status) = subscriber.end().await;
    assert_eq!((found, status.code()), (ids.clone(), Code::Unavailable));
    let (found, status) = without_credit.end().await;
    assert_eq!((found.as_slice(), status.code()), (&ids[..2], Code::Unavailable));
    for publisher in [&mut idle_publisher, &mut unheard_publisher] {
        let status = publisher.next().await.expect_err("not acknowledged");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    let told = in_time("a status", watched.message()).await.expect("answers").expect("a status");
    assert_eq!(told.status(), ServingStatus::NotServing);
    assert!(in_time("the end", watched.message()).await.expect("ends well").is_none());
    in_time("the server has ended", stopping).await.expect("no panic");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_was_committed_just_before_the_stop_is_handed_out_to_whoever_had_just_seen_nothing() {
    let (publisher, _queue) = PublishedStreams::new([(StreamId(0), "payments".to_owned())], 1 << 20);
    let mut service = Service::start(100_000).await;
    let (has_read, told) = oneshot::channel();
    let (let_answer, may_answer) = oneshot::channel();
    let halt = std::sync::Mutex::new(Some((has_read, may_answer)));
    // The first read says what it has read, and answers only once it may.
    let has_read = move |read: &[LogEntry]| {
        let halt = halt.lock().expect("nothing panics under it").take();
        if let Some((has_read, may_answer)) = halt {
            has_read.send(read.len()).expect("the test waits for it");
            may_answer.blocking_recv().expect("the test lets it go on");
        }
    };
    let log = Told { log: service.log.clone(), has_read };
    let server =
        Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ServerParts { log: Arc::new(log), ..parts(Some(publisher)) }).await.expect("listens");
    let mut subscriber = Subscriber::must_open(server.address(), from_earliest()).await;
    assert_eq!(in_time("the log is read", told).await.expect("read"), 0);
    let ids = service.commit_many(3);
    // Who publishes hears that the service is stopping.
    let mut publisher = EventPublisher::open(server.address()).await;
    let stopping = tokio::spawn(server.shut_down(Duration::from_secs(10)));
    assert_eq!(publisher.next().await.expect_err("nothing was sent").code(), Code::Unavailable);
    let_answer.send(()).expect("the read waits for it");
    let (found, status) = subscriber.end().await;
    assert_eq!((found, status.code()), (ids, Code::Unavailable));
    in_time("the server has ended", stopping).await.expect("no panic");
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_after_what_was_before_it() {
    let (publisher, mut queue) = PublishedStreams::new([(StreamId(0), "payments".to_owned())], 1 << 20);
    let service = Service::start_with(100_000, "an identity", Some(publisher)).await;
    let run = tokio::spawn(async move {
        while let Some(publication) = queue.wait(crate::workplace::LIMIT).await {
            let last_sequence = publication.first_sequence + publication.records.len() as u64 - 1;
            publication.durable.send(Durable { last_sequence, repeated: 0 }).ok();
        }
    });
    let record = ["{}".to_owned()];
    let too_large = ["x".repeat(5 << 20)];
    let too_long_a_name = "c".repeat(257);
    for (stream, client, first_sequence, code, said) in [
        ("payment", "c", 1, Code::NotFound, "`payment` is no stream that can be published to; did you mean `payments`?"),
        ("logins", "c", 1, Code::NotFound, "`logins` is no stream that can be published to; there is: payments"),
        ("payments", "c", 0, Code::InvalidArgument, "set `first_sequence`"),
        ("payments", &too_long_a_name, 1, Code::InvalidArgument, "256 bytes"),
    ] {
        let mut publisher = EventPublisher::open(service.address()).await;
        assert!(publisher.send("payments", "c", 1, &record).await && publisher.send(stream, client, first_sequence, &record).await);
        assert_eq!(publisher.next().await.expect("acknowledged").last_sequence, 1);
        let status = publisher.next().await.expect_err("refused");
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(said), "{status}");
    }
    let mut publisher = EventPublisher::open(service.address()).await;
    assert!(publisher.send("payments", "c", 1, &record).await && publisher.send("payments", "c", 2, &too_large).await);
    assert_eq!(publisher.next().await.expect("acknowledged").last_sequence, 1);
    assert_eq!(publisher.next().await.expect_err("refused").code(), Code::OutOfRange);
    run.abort();
}

#[tokio::test]
async fn nobody_publishes_where_no_stream_is_fed_by_clients() {
    let service = Service::start(100_000).await;
    let mut client = motif::grpc::v1::events_client::EventsClient::new(connect(service.address()).await);
    let status = in_time("an answer", client.publish(tokio_stream::empty())).await.expect_err("refused");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("`grpc = true`"), "{status}");
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let service = Service::start(100_000).await;
    let mut health = HealthClient::new(connect(service.address()).await);
    for name in ["", "motif.v1.Matches", "motif.v1.Events"] {
        let answer = health.check(HealthCheckRequest { service: name.to_owned() }).await.unwrap_or_else(|status| panic!("{name}: {status}"));
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{name}");
    }

    let ask = async |message: MessageRequest| -> ServerReflectionResponse {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let mut client = ServerReflectionClient::new(connect(service.address()).await);
        let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("answers");
        in_time("an answer", answers.into_inner().message()).await.expect("answers").expect("an answer")
    };
    let Some(MessageResponse::ListServicesResponse(list)) = ask(MessageRequest::ListServices(String::new())).await.message_response else {
        panic!("not a list of services");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"motif.v1.Matches") && names.contains(&"motif.v1.Events"), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol("motif.v1.Matches.Subscribe".to_owned());
    assert!(matches!(ask(symbol).await.message_response, Some(MessageResponse::FileDescriptorResponse(_))));
}
