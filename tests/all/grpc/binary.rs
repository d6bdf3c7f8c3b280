//! `motif run --config` fed by clients, and `motif subscribe`: killed, stopped, restarted and asked for what they cannot do.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Instant;

use motif::codec::readable_match;
use motif::grpc::{Subscription, SubscriptionStart, subscribe};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::grpc::clients::{EventPublisher, in_time};
use crate::grpc::embedded::{PATTERNS, event, events, values};
use crate::grpc::own_address;
use crate::random_cases::seed;
use crate::workplace::{Ended, LIMIT, Running, Workplace, start};

/// A service with state of its own; `payments` is fed by clients.
struct Service {
    place: Workplace,
    address: SocketAddr,
}

impl Service {
    fn new() -> Self {
        let service = Self { place: Workplace::new(), address: own_address() };
        service.place.write("patterns.motif", PATTERNS.replace("from logins", "from payments").replace("match a: logins", "match a: payments where n < 0"));
        let text = format!(
            "[service]\npatterns = [\"patterns.motif\"]\nstate = \"state\"\ndurability = \"process\"\n[streams.payments]\ngrpc = true\n\
             [output]\nfile = \"matches.jsonl\"\n[grpc]\naddress = \"{}\"\n",
            service.address
        );
        service.place.write("motif.toml", text);
        service
    }

    fn start(&self) -> Running {
        start(&mut self.place.motif("run --config motif.toml"))
    }

    /// `motif subscribe` with these words.
    fn subscribe(&self, words: &str) -> Ended {
        self.place.run(&format!("subscribe --address {} {words}", self.address))
    }

    /// The same, writing to a file while it runs.
    fn start_subscriber(&self, words: &str, output: &str) -> Running {
        let file = File::create(self.place.path(output)).expect("a file");
        start(self.place.motif(&format!("subscribe --address {} {words}", self.address)).stdout(file))
    }

    fn publish(&self, numbers: std::ops::Range<u64>) {
        runtime().block_on(async {
            let mut publisher = EventPublisher::open(self.address).await;
            publisher.publish("payments", "shop", numbers.start + 1, &events(numbers)).await;
        });
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.place.text(name).lines().map(str::to_owned).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The token that the command says at its end.
fn token(ended: &Ended) -> &str {
    let said = ended.stderr.lines().find_map(|line| line.split_once("--from "));
    said.unwrap_or_else(|| panic!("no token in {:?}", ended.stderr)).1
}

/// Publishes what the range holds, several requests on their way at a time, until `enough` records are acknowledged. Returns how many are.
async fn publish_until(address: SocketAddr, records: &[String], mut acknowledged: u64, enough: u64, random: &mut ChaCha8Rng) -> u64 {
    const REQUESTS_ON_THEIR_WAY: u64 = 5;
    let mut publisher = EventPublisher::open(address).await;
    let (mut sent, mut on_their_way) = (acknowledged, 0);
    while acknowledged < enough {
        while on_their_way < REQUESTS_ON_THEIR_WAY && sent < records.len() as u64 {
            let end = (sent + random.random_range(1..40)).min(records.len() as u64);
            let range = usize::try_from(sent).expect("small")..usize::try_from(end).expect("small");
            assert!(publisher.send("payments", "shop", sent + 1, &records[range]).await);
            (sent, on_their_way) = (end, on_their_way + 1);
        }
        let response = publisher.next().await.unwrap_or_else(|status| panic!("{status}"));
        (acknowledged, on_their_way) = (response.last_sequence, on_their_way - 1);
    }
    acknowledged
}

/// Receives so many matches in several goes: each ends after some match, and the next begins with its token.
async fn receive(address: SocketAddr, count: usize, mut random: ChaCha8Rng) -> Vec<String> {
    let mut ids = Vec::new();
    let mut from = SubscriptionStart::Earliest;
    while ids.len() < count {
        let matches_max = random.random_range(1..200).min((count - ids.len()) as u64);
        let subscription =
            Subscription { address: address.to_string(), start: from.clone(), matches_max: Some(matches_max), retry_for: LIMIT, ..Subscription::default() };
        let taken = |matches: &[motif::grpc::v1::Match], token: &str| {
            ids.extend(matches.iter().map(|found| found.id.clone()));
            from = SubscriptionStart::Token(token.to_owned());
            true
        };
        in_time("matches", subscribe(subscription, taken)).await.unwrap_or_else(|status| panic!("{status}"));
    }
    ids
}

#[test]
fn whatever_is_killed_each_record_counts_once_and_each_match_comes_once() {
    const RECORDS: u64 = 3_000;
    const KILLS: u64 = 12;
    let mut random = ChaCha8Rng::seed_from_u64(seed("kills"));
    let service = Service::new();
    // Neighbours in time come the other way round, so some of what is acknowledged is always held back.
    let mut records: Vec<String> = (0..RECORDS).map(|n| event(n ^ 1)).collect();
    records.push(event(RECORDS + 10));
    let singles: Vec<u64> = (0..RECORDS).collect();
    let seconds: Vec<u64> = (3..RECORDS).filter(|n| n / 3 % 2 == 1).collect();
    let runtime = runtime();
    let receiving = runtime.spawn(receive(service.address, singles.len() + seconds.len(), ChaCha8Rng::seed_from_u64(random.random())));
    let mut running = service.start();
    let mut acknowledged = 0;
    for _ in 0..KILLS {
        let enough = acknowledged + random.random_range(1..2 * RECORDS / KILLS);
        acknowledged = runtime.block_on(publish_until(service.address, &records, acknowledged, enough.min(RECORDS), &mut random));
        running.signal("KILL");
        running.end();
        running = service.start();
    }
    runtime.block_on(publish_until(service.address, &records, acknowledged, records.len() as u64, &mut random));
    let ids = runtime.block_on(receiving).expect("no panic");
    running.signal("TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let output = service.place.text("matches.jsonl");
    assert_eq!(values(&output, "each", "n"), singles);
    assert_eq!(values(&output, "pairs", "second"), seconds);
    let in_output: Vec<&str> = output.lines().map(|line| &line["{\"id\":\"".len()..][..32]).collect();
    assert_eq!(ids, in_output);
}

#[test]
fn the_command_prints_what_it_receives_and_the_token_to_go_on_from() {
    let service = Service::new();
    let _running = service.start();
    service.publish(0..30);
    let output = service.lines("matches.jsonl");
    assert_eq!(output.len(), 27 + 12);

    let ended = service.subscribe("--from earliest --limit 5");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.out().lines().collect::<Vec<_>>(), output[..5]);
    let ended = service.subscribe(&format!("--from {} --limit 4 --format text", token(&ended)));
    let readable: Vec<String> = output[5..9].iter().map(|line| readable_match(line.as_bytes())).collect();
    assert_eq!(ended.out().lines().collect::<Vec<_>>(), readable);
    let ended = service.subscribe(&format!("--from {} --limit 30", token(&ended)));
    assert_eq!(ended.out().lines().collect::<Vec<_>>(), output[9..]);

    let pairs: Vec<&String> = output.iter().filter(|line| line.contains("\"pairs\"") && line.contains(r#""card_id":"2""#)).collect();
    let ended = service.subscribe(&format!("--from earliest --pattern pairs --key card_id=2 --limit {}", pairs.len()));
    assert_eq!(ended.out().lines().collect::<Vec<_>>(), pairs);
    assert!(service.subscribe("--limit 0").stdout.is_empty());
}

#[test]
fn an_interrupted_subscriber_goes_on_from_its_token() {
    let service = Service::new();
    let mut running = service.start();
    service.publish(0..10);
    let mut from = "earliest".to_owned();
    let mut received = Vec::new();
    for (signal, more) in [("INT", 10..20), ("TERM", 20..30)] {
        let mut subscriber = service.start_subscriber(&format!("--from {from}"), "received.jsonl");
        let expected = service.lines("matches.jsonl").len() - received.len();
        subscriber.wait_until("the subscriber has what there is", || service.lines("received.jsonl").len() >= expected);
        subscriber.signal(signal);
        let ended = subscriber.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        token(&ended).clone_into(&mut from);
        received.extend(service.lines("received.jsonl"));
        service.publish(more);
    }
    let expected = service.lines("matches.jsonl");
    let ended = service.subscribe(&format!("--from {from} --limit {}", expected.len() - received.len()));
    received.extend(ended.out().lines().map(str::to_owned));
    assert_eq!(received, expected);
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn the_command_goes_on_when_the_service_comes_back() {
    let service = Service::new();
    let mut running = service.start();
    let mut subscriber = service.start_subscriber("--from latest --retry 2m", "received.jsonl");
    // `latest` is where it stands once it is connected; nothing says that from outside but what it receives.
    let mut published = 10;
    service.publish(0..published);
    subscriber.wait_until("the subscriber is connected", || {
        if service.lines("received.jsonl").is_empty() {
            service.publish(published..published + 3);
            published += 3;
        }
        !service.lines("received.jsonl").is_empty()
    });
    for signal in ["KILL", "TERM"] {
        running.signal(signal);
        running.end();
        running = service.start();
        service.publish(published..published + 10);
        published += 10;
        let last = service.lines("matches.jsonl").pop().expect("a match");
        subscriber.wait_until("the subscriber has the last match", || service.lines("received.jsonl").contains(&last));
    }
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("trying again"), "{}", ended.stderr);
    let received = service.lines("received.jsonl");
    let output = service.lines("matches.jsonl");
    assert_eq!(received, output[output.len() - received.len()..]);
}

#[test]
fn a_service_that_ends_lets_its_subscribers_end() {
    let service = Service::new();
    let mut running = service.start();
    service.publish(0..30);
    let mut all = service.start_subscriber("--from earliest --retry 0s", "received.jsonl");
    let mut more = service.start_subscriber("--from earliest --retry 0s --limit 1000", "received too.jsonl");
    let expected = service.lines("matches.jsonl");
    for (subscriber, file) in [(&mut all, "received.jsonl"), (&mut more, "received too.jsonl")] {
        subscriber.wait_until("the subscriber has what there is", || service.lines(file).len() == expected.len());
    }
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0));
    let ended = all.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("the service is stopping"), "{}", ended.stderr);
    // It was to receive more than came.
    let ended = more.end();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    token(&ended);
    assert_eq!(service.lines("received.jsonl"), expected);
}

#[test]
fn what_cannot_be_is_said_in_a_sentence() {
    let service = Service::new();
    let refusal = |words: &str, code: i32| service.place.refusal(&format!("subscribe --address {} --retry 0s {words}", service.address), code);
    let said = refusal("", 2);
    assert!(said.starts_with(&format!("no server answers at {}: ", service.address)), "{said}");

    let mut running = service.start();
    service.publish(0..10);
    for (words, said) in [
        ("--pattern eech", "no pattern `eech` runs here; did you mean `each`?"),
        ("--key card=1", "no pattern that is asked for has `card` in its key"),
        ("--key card_id", "--key card_id: write NAME=VALUE, for example card_id=4711"),
        ("--from erliest", "--from erliest: did you mean `earliest`?"),
        ("--from AAAA", "the token is malformed; use it exactly as it came"),
    ] {
        assert!(refusal(words, 1).starts_with(said), "{words}: {}", refusal(words, 1));
    }
    let token = token(&service.subscribe("--from earliest --limit 1")).to_owned();
    running.signal("TERM");
    running.end();
    std::fs::remove_dir_all(service.place.path("state")).expect("the state");
    std::fs::remove_file(service.place.path("matches.jsonl")).expect("the output");
    let mut running = service.start();
    service.publish(0..10);
    let said = refusal(&format!("--from {token}"), 1);
    assert!(said.contains("of state that was begun anew"), "{said}");

    // A second service at the same address.
    let text = service.place.text("motif.toml").replace("\"state\"", "\"state 2\"").replace("matches.jsonl", "matches 2.jsonl");
    service.place.write("second.toml", text);
    let said = service.place.refusal("run --config second.toml", 2);
    assert!(said.starts_with(&format!("cannot listen on {}: ", service.address)), "{said}");
    assert!(!running.has_ended());
}

/// A reader that has seen enough (`motif subscribe | head -1`) is no failure.
#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let service = Service::new();
    let _running = service.start();
    service.publish(0..300);
    let mut subscriber = start(&mut service.place.motif(&format!("subscribe --address {} --from earliest", service.address)));
    let mut output = std::io::BufReader::new(subscriber.take_stdout());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut output, &mut first).expect("a line");
    drop(output);
    // What it receives from now on it cannot print.
    let deadline = Instant::now() + LIMIT;
    let mut published = 300;
    while !subscriber.has_ended() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: the command ends");
        service.publish(published..published + 50);
        published += 50;
    }
    assert_eq!(subscriber.end().code, Some(0));
}
