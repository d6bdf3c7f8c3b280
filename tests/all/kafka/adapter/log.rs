//! The output topic as subscribers read it.

use std::sync::Arc;
use std::time::Duration;

use motif::kafka::{Survey, TopicLog};
use motif::ports::MatchLog;

use crate::broker::{LIMIT, Produced, broker, unique};
use crate::kafka::adapter::{link, topics};
use crate::kafka::proxy::{FETCH, Proxy, Trick};

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
    let log = TopicLog::open(&link, survey.clone(), &topic, 6).expect("opens");
    let (earliest, latest) = (log.earliest().expect("a place"), log.latest().expect("a place"));
    assert!(log.identity().ends_with(&topic) && log.identity().len() > topic.len() + 1, "{}", log.identity());

    // From before the log was opened, a few at a time.
    let mut at = earliest.clone();
    let mut older = Vec::new();
    while at != latest {
        let entries = log.read(&at, 3).expect("in range");
        assert!(!entries.is_empty() && entries.len() <= 3);
        at = entries.last().expect("not empty").position.clone();
        older.extend(entries.iter().map(|entry| String::from_utf8(entry.json.to_vec()).expect("text")));
    }
    older.sort();
    let mut all: Vec<_> = (0..10).map(value).collect();
    all.sort();
    assert_eq!(older, all);
    assert!(log.read(&latest, 10).expect("in range").is_empty());

    // What comes later wakes those who wait; more than the ring holds.
    let mut changed = log.changed();
    changed.mark_unchanged();
    broker.produce(&(10..20).map(record).collect::<Vec<_>>());
    log.settle(LIMIT);
    assert!(changed.has_changed().expect("open"));
    let mut at = latest;
    let mut newer = Vec::new();
    loop {
        let entries = log.read(&at, 100).expect("in range");
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
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    broker.create_topic("matches", 2);
    let survey_link = link(&broker, "group");
    let mut log_link = survey_link.clone();
    log_link.properties.insert("client.id".to_owned(), "behind".to_owned());
    let held = proxy.play(FETCH, "behind", Trick::HoldAll);
    let survey = Arc::new(Survey::open(&survey_link, topics(&["matches"])).expect("opens"));
    let log = Arc::new(TopicLog::open(&log_link, survey, "matches", 6).expect("opens"));
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
