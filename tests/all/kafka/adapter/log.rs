//! The output topic as subscribers read it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use motif::kafka::{Survey, TopicLog};
use motif::ports::{LogAmount, LogError, LogPosition, MatchLog};

use crate::broker::{Broker, LIMIT, Produced, broker, unique};
use crate::kafka::adapter::{link, topics, write, writer};
use crate::kafka::proxy::{FETCH, Play, Proxy, Trick};

fn open(broker: &Broker, topic: &str) -> TopicLog {
    let link = link(broker, &unique("group"));
    let survey = Arc::new(Survey::open(&link, topics(&[topic])).expect("opens"));
    TopicLog::open(&link, survey, topic, LogAmount::of_entries(6)).expect("opens")
}

/// Everything from here on, sorted, and where that ends.
fn read_on(log: &TopicLog, from: &LogPosition) -> (Vec<String>, LogPosition) {
    let (mut values, mut at) = (Vec::new(), from.clone());
    loop {
        let entries = log.read(&at, LogAmount::of_entries(3)).unwrap_or_else(|error| panic!("{error}"));
        let Some(last) = entries.last() else { break };
        at = last.position.clone();
        values.extend(entries.iter().map(|entry| String::from_utf8(entry.json.to_vec()).expect("text")));
    }
    values.sort();
    (values, at)
}

fn produced(topic: &str, partition: i32, value: &str) -> Produced {
    Produced { topic: topic.to_owned(), partition, key: None, value: value.to_owned(), timestamp: None }
}

/// A log of two partitions, and what is to be let go before it is given any record.
fn log_that_is_behind() -> Option<(Broker, Proxy, Arc<Play>, Arc<TopicLog>)> {
    let (broker, proxy) = Proxy::before_a_broker()?;
    broker.create_topic("matches", 2);
    let survey_link = link(&broker, "group");
    let mut log_link = survey_link.clone();
    log_link.properties.insert("client.id".to_owned(), "behind".to_owned());
    let held = proxy.play(FETCH, "behind", Trick::HoldAll);
    let survey = Arc::new(Survey::open(&survey_link, topics(&["matches"])).expect("opens"));
    let log = Arc::new(TopicLog::open(&log_link, survey, "matches", LogAmount::of_entries(6)).expect("opens"));
    Some((broker, proxy, held, log))
}

#[test]
fn subscribers_read_the_output_topic_from_anywhere() {
    let Some(broker) = broker() else { return };
    let topic = unique("matches");
    broker.create_topic(&topic, 2);
    let value = |number: usize| format!("{{\"id\":\"{number}\",\"pattern\":\"p{}\"}}", number % 3);
    let record =
        |number: usize| Produced { topic: topic.clone(), partition: i32::try_from(number % 2).expect("few"), key: None, value: value(number), timestamp: None };
    broker.produce(&(0..10).map(record).collect::<Vec<_>>());
    let link = link(broker, &unique("group"));
    let survey = Arc::new(Survey::open(&link, topics(&[&topic])).expect("opens"));
    let log = TopicLog::open(&link, survey.clone(), &topic, LogAmount::of_entries(6)).expect("opens");
    let (earliest, latest) = (log.earliest().expect("a place"), log.latest().expect("a place"));
    assert!(log.identity().ends_with(&topic) && log.identity().len() > topic.len() + 1, "{}", log.identity());

    // From before the log was opened, a few at a time.
    let mut at = earliest.clone();
    let mut older = Vec::new();
    while at != latest {
        let entries = log.read(&at, LogAmount::of_entries(3)).expect("in range");
        assert!(!entries.is_empty() && entries.len() <= 3);
        at = entries.last().expect("not empty").position.clone();
        older.extend(entries.iter().map(|entry| String::from_utf8(entry.json.to_vec()).expect("text")));
    }
    older.sort();
    let mut all: Vec<_> = (0..10).map(value).collect();
    all.sort();
    assert_eq!(older, all);
    assert!(log.read(&latest, LogAmount::of_entries(10)).expect("in range").is_empty());

    // What comes later wakes those who wait; more than the ring holds.
    let mut changed = log.changed();
    changed.mark_unchanged();
    broker.produce(&(10..20).map(record).collect::<Vec<_>>());
    log.settle(LIMIT);
    assert!(changed.has_changed().expect("open"));
    let mut at = latest;
    let mut newer = Vec::new();
    loop {
        let entries = log.read(&at, LogAmount::of_entries(100)).expect("in range");
        let Some(last) = entries.last() else { break };
        at = last.position.clone();
        newer.extend(entries.iter().map(|entry| (entry.pattern.to_string(), String::from_utf8(entry.json.to_vec()).expect("text"))));
    }
    newer.sort_by_key(|(_, json)| json.clone());
    assert_eq!(newer, (10..20).map(|number| (format!("p{}", number % 3), value(number))).collect::<Vec<_>>());
    assert_eq!(at, log.latest().expect("a place"));
}

#[test]
fn a_log_that_is_behind_is_waited_for_and_no_longer_than_said() {
    let Some((broker, _proxy, held, log)) = log_that_is_behind() else { return };
    let record = |partition| Produced { topic: "matches".to_owned(), partition, key: None, value: "{}".to_owned(), timestamp: None };
    broker.produce(&[0, 1].map(record));
    let settle = |wait: Duration| {
        let log = log.clone();
        let (settled, is_settled) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            log.settle(wait);
            settled.send(()).expect("waited for");
        });
        is_settled
    };
    settle(Duration::from_millis(100)).recv_timeout(LIMIT).expect("gives up");
    let read = || log.latest().expect("a place").0;
    assert_eq!(read(), [0, 0]);
    let is_settled = settle(LIMIT);
    held.let_go();
    is_settled.recv_timeout(LIMIT).expect("has read all");
    assert_eq!(read(), [1, 1]);
}

/// Behind the last committed record there are marks of transactions, and aborted records: nobody who has read everything is taken to be behind for that.
#[test]
fn whoever_has_read_all_that_is_committed_stands_at_the_end() {
    let Some(broker) = broker() else { return };
    let topic = unique("matches");
    broker.create_topic(&topic, 4);
    let record = |partition: i32, value: &str| produced(&topic, partition, value);
    let writer = writer(broker);
    write(&writer, &[record(0, "a"), record(1, "b"), record(2, "c")], true);
    write(&writer, &[record(1, "d")], true);
    write(&writer, &[record(2, "aborted"), record(3, "aborted")], false);
    let log = open(broker, &topic);
    let (values, at) = read_on(&log, &log.earliest().expect("a place"));
    assert_eq!(values, ["a", "b", "c", "d"]);
    assert_eq!(at, log.latest().expect("a place"));

    // So it does where only one partition goes on.
    write(&writer, &[record(0, "e")], true);
    log.settle(LIMIT);
    let (values, at) = read_on(&log, &at);
    assert_eq!(values, ["e"]);
    assert_eq!(at, log.latest().expect("a place"));
}

#[test]
fn what_is_kept_of_a_topic_that_was_shortened_since_is_read_from_the_earliest_place() {
    let Some(broker) = broker() else { return };
    let topic = unique("matches");
    broker.create_topic(&topic, 2);
    let record = |partition: i32, value: &str| produced(&topic, partition, value);
    let writer = writer(broker);
    write(&writer, &[record(0, "a"), record(1, "b")], true);
    write(&writer, &[record(0, "c"), record(1, "d")], true);
    let log = Arc::new(open(broker, &topic));
    let beginning = log.earliest().expect("a place");
    // The first record of partition 0, and the mark behind it.
    broker.delete_records(&topic, 0, 2);
    let LogError::OutOfRange { next } = log.read(&beginning, LogAmount::of_entries(3)).expect_err("some of it is gone") else { panic!("it is gone for good") };
    assert_eq!(next, log.earliest().expect("a place"));
    assert_eq!(read_on(&log, &next).0, ["b", "c", "d"]);
    // In the partition of which nothing is gone it is gone on from where that was.
    let LogError::OutOfRange { next } = log.read(&LogPosition(vec![0, 1]), LogAmount::of_entries(3)).expect_err("some of it is gone") else {
        panic!("it is gone for good")
    };
    assert_eq!(read_on(&log, &next).0, ["c", "d"]);

    // Nor is anything waited for that is gone.
    (0..2).for_each(|partition| broker.delete_records(&topic, partition, 4));
    let earliest = log.earliest().expect("a place");
    assert_eq!(read_on(&log, &earliest).0, [""; 0]);
    let (settled, is_settled) = std::sync::mpsc::channel();
    std::thread::spawn({
        let log = log.clone();
        move || {
            log.settle(10 * LIMIT);
            settled.send(()).expect("waited for");
        }
    });
    is_settled.recv_timeout(LIMIT).expect("has read all");
    write(&writer, &[record(0, "e")], true);
    log.settle(LIMIT);
    assert_eq!(read_on(&log, &earliest).0, ["e"]);
}

/// As where the brokers were away for longer than records are kept.
#[test]
fn matches_that_went_before_they_were_read_are_known_to_be_missing_and_the_others_come() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    broker.create_topic("matches", 2);
    let survey_link = link(&broker, "group");
    let mut log_link = survey_link.clone();
    log_link.properties.insert("client.id".to_owned(), "away".to_owned());
    let record = |partition: i32, value: &str| produced("matches", partition, value);
    broker.produce(&[record(0, "a"), record(1, "b")]);
    let survey = Arc::new(Survey::open(&survey_link, topics(&["matches"])).expect("opens"));
    let log = TopicLog::open(&log_link, survey, "matches", LogAmount::of_entries(6)).expect("opens");
    broker.produce(&[record(0, "c"), record(1, "d")]);
    log.settle(LIMIT);
    let at = log.latest().expect("a place");
    assert_eq!(at, LogPosition(vec![2, 2]));
    let held = proxy.play(FETCH, "away", Trick::HoldAll);
    let deadline = Instant::now() + LIMIT;
    while !held.has_begun() {
        assert!(Instant::now() < deadline, "it asks for nothing");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    broker.produce(&[record(0, "e"), record(0, "f"), record(1, "g")]);
    broker.delete_records("matches", 0, 3);
    let mut changed = log.changed();
    changed.mark_unchanged();
    held.let_go();
    while log.latest().expect("a place").0 != [4, 3] {
        assert!(Instant::now() < deadline, "the log stands still at {:?}", log.latest());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(changed.has_changed().expect("open"));
    let LogError::OutOfRange { next } = log.read(&at, LogAmount::of_entries(3)).expect_err("e is missing") else { panic!("it is gone for good") };
    assert_eq!(read_on(&log, &next).0, ["f", "g"]);
    assert_eq!(read_on(&log, &log.earliest().expect("a place")).0, ["b", "d", "f", "g"]);
}

/// Whoever was told of them by another service, which is ahead, waits until this one has come as far; who asks for what no broker has would wait for ever.
#[test]
fn a_place_ahead_of_the_log_is_waited_for_where_the_brokers_have_it_and_refused_where_they_do_not() {
    let Some((broker, _proxy, held, log)) = log_that_is_behind() else { return };
    broker.produce(&[(0, "a"), (0, "b"), (1, "c")].map(|(partition, value)| produced("matches", partition, value)));
    assert_eq!(log.latest().expect("a place").0, [0, 0]);
    let read = |place: [u64; 2]| log.read(&LogPosition(place.to_vec()), LogAmount::of_entries(3));
    for place in [[1, 0], [2, 1], [0, 1]] {
        assert!(read(place).expect("it will be reached").is_empty(), "{place:?}");
    }
    for (place, kept) in [([3, 1], [0, 1]), ([1, 2], [1, 0]), ([3, 2], [0, 0])] {
        let error = read(place).expect_err("no broker has it");
        assert!(matches!(&error, LogError::BeyondEnd { next } if next.0 == kept), "{place:?}: {error:?}");
    }
    held.let_go();
    log.settle(LIMIT);
    assert_eq!(read_on(&log, &LogPosition(vec![1, 1])).0, ["b"]);
}

#[test]
fn a_place_in_a_topic_that_was_made_anew_since_is_refused_and_what_comes_then_is_read() {
    let Some(broker) = broker() else { return };
    let topic = unique("matches");
    broker.create_topic(&topic, 2);
    let record = |partition: i32, value: &str| produced(&topic, partition, value);
    broker.produce(&[record(0, "a"), record(0, "b"), record(1, "c")]);
    let before = open(broker, &topic);
    let (values, at) = read_on(&before, &before.earliest().expect("a place"));
    assert_eq!(values, ["a", "b", "c"]);
    broker.delete_topic(&topic);
    broker.create_topic(&topic, 2);
    broker.produce(&[record(0, "d")]);
    // One that was opened before notices it by and by.
    for log in [open(broker, &topic), before] {
        let deadline = Instant::now() + LIMIT;
        let next = loop {
            match log.read(&at, LogAmount::of_entries(3)) {
                Err(LogError::BeyondEnd { next }) => break next,
                Err(LogError::Failed(_)) => {}
                other => assert!(matches!(&other, Ok(entries) if entries.is_empty()), "{other:?}"),
            }
            assert!(Instant::now() < deadline, "it is waited for");
            std::thread::park_timeout(Duration::from_millis(5));
        };
        assert_eq!(next, LogPosition(vec![0, 0]));
        log.settle(LIMIT);
        assert_eq!(read_on(&log, &next).0, ["d"]);
    }
}

#[test]
fn a_place_from_before_partitions_were_added_is_still_good() {
    let Some(broker) = broker() else { return };
    let topic = unique("matches");
    broker.create_topic(&topic, 2);
    let record = |partition: i32, value: &str| produced(&topic, partition, value);
    write(&writer(broker), &[record(0, "a"), record(1, "b")], true);
    let older = open(broker, &topic);
    let (values, at) = read_on(&older, &older.earliest().expect("a place"));
    assert_eq!(values, ["a", "b"]);
    broker.add_partitions(&topic, 3);
    let writer = writer(broker);
    write(&writer, &[record(0, "c"), record(2, "d")], true);
    let log = open(broker, &topic);
    write(&writer, &[record(1, "e"), record(2, "f")], true);
    log.settle(LIMIT);
    let (values, at) = read_on(&log, &at);
    assert_eq!(values, ["c", "d", "e", "f"]);
    assert_eq!(at, log.latest().expect("a place"));
    // Whoever has not been started again since can tell it from one of a topic that was made anew, with fewer partitions.
    let error = older.read(&at, LogAmount::of_entries(3)).expect_err("it does not read that partition").to_string();
    assert!(error.contains("partitions were added") && error.contains("once it is started again"), "{error}");
    for log in [&older, &log] {
        let error = log.read(&LogPosition(vec![0; 4]), LogAmount::of_entries(3)).expect_err("no place in this topic");
        assert!(matches!(error, LogError::OtherLog), "{error}");
    }
}
