//! What is open where a producer is about to write.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use motif::kafka::{Member, Written};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::{identity, link, topics, writer};
use crate::broker::{LIMIT, Produced};
use crate::kafka::proxy::{FETCH, INIT_PRODUCER_ID, Proxy, Trick};
use crate::kafka::topic_id;

/// Whether that is left as it is or aborted, the journal tells; and here only after a while.
#[test]
fn what_is_open_is_not_aborted_while_the_journal_cannot_be_read() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    for topic in ["input", "output", "journal"] {
        broker.create_topic(topic, 1);
    }
    // The journal says that the epoch was committed, and on the output the mark of that is missing.
    let epoch = [("task", Some("0")), ("epoch", Some("7"))];
    let record = Produced { topic: "journal".to_owned(), partition: 0, key: None, value: "{}".to_owned(), timestamp: None };
    broker.produce_with_headers(&record, &epoch);
    let writer = writer(&broker);
    writer.begin_transaction().expect("begins");
    let headers = epoch.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }));
    writer.send(BaseRecord::to("output").key("k").payload("open").partition(0).headers(headers)).expect("sent");
    while writer.in_flight_count() > 0 {
        writer.poll(Duration::from_millis(1));
    }
    let client: BaseConsumer = broker.config().set("isolation.level", "read_uncommitted").create().expect("a client");
    let end = || client.fetch_watermarks("output", 0, LIMIT).expect("the end").1;
    assert_eq!(end(), 1);

    let mut link = link(&broker, "group");
    link.properties.insert("client.id".to_owned(), "starts".to_owned());
    let held = proxy.play_about(FETCH, "starts", &topic_id(&broker.address, "journal"), Trick::HoldAll);
    let first = proxy.play(INIT_PRODUCER_ID, "starts", Trick::Delay(Duration::ZERO));
    let (join, joined) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let outputs = ["output", "journal"].map(|topic| (topic.to_owned(), 1)).into();
        let written = Written { outputs, journal: "journal".to_owned(), ..Written::default() };
        // The test may have failed meanwhile.
        drop(join.send(Member::join(&link, identity(0), &topics(&["input"]), &written, &|| false).map(drop)));
    });
    let deadline = Instant::now() + LIMIT;
    let mut next = None;
    let early = loop {
        assert!(Instant::now() < deadline, "it is not given up");
        if first.has_begun() {
            let next = next.get_or_insert_with(|| proxy.play(INIT_PRODUCER_ID, "starts", Trick::Delay(Duration::ZERO)));
            if next.has_begun() {
                break None;
            }
        }
        match joined.recv_timeout(Duration::from_millis(5)) {
            Ok(joined) => break Some(joined),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("joining has panicked"),
        }
    };
    assert_eq!(early, None, "it is tried again");
    assert!(held.has_begun());
    held.let_go();
    joined.recv_timeout(LIMIT).expect("in time").expect("joins");
    assert_eq!(end(), 1, "nothing was written behind it");
}
