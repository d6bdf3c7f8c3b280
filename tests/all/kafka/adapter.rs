//! The adapter by itself: what the service relies on.

mod fences;
mod hanging;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use motif::event::{EventTime, StreamId};
use motif::kafka::{Identity, Link, Member, Survey, Topics, Written};
use motif::ports::{Failure, Fetched, GroupChange, InputPartition, OutputRecord, TopicSurvey, Transport};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{Broker, LIMIT, Produced, broker, unique};
use crate::kafka::join;
use crate::kafka::proxy::{END_TXN, INIT_PRODUCER_ID, JOIN_GROUP, Proxy, TXN_OFFSET_COMMIT, Trick};

fn link(broker: &Broker, group: &str) -> Link {
    let properties = [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "10000")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Link { brokers: broker.address.clone(), group: group.to_owned(), properties, record_bytes_max: 1 << 20 }
}

fn topics(names: &[&str]) -> Topics {
    Topics::new((0..).map(StreamId).zip(names.iter().map(|name| (*name).to_owned())).collect::<BTreeMap<_, _>>())
}

fn identity(slot: u32) -> Identity {
    Identity { instance: "test".to_owned(), slot, worker: 0 }
}

fn input(stream: u16, partition: u32) -> InputPartition {
    InputPartition { stream: StreamId(stream), partition }
}

fn records(topic: &str, partitions: i32, number: usize) -> Vec<Produced> {
    let record = |place: usize| Produced {
        topic: topic.to_owned(),
        partition: i32::try_from(place).expect("few") % partitions,
        key: None,
        value: format!("r{place}"),
        timestamp: Some(1_000),
    };
    (0..number).map(record).collect()
}

/// A transactional producer that no service knows of.
fn writer(broker: &Broker) -> BaseProducer {
    // It may keep a transaction open for as long as a test takes.
    let mut config = broker.config();
    config.set("transactional.id", unique("writer")).set("transaction.timeout.ms", "600000");
    let writer: BaseProducer = config.create().expect("a client");
    writer.init_transactions(LIMIT).expect("begins");
    writer
}

/// In one transaction.
fn write(writer: &BaseProducer, records: &[Produced], commits: bool) {
    writer.begin_transaction().expect("begins");
    for record in records {
        writer.send(BaseRecord::to(&record.topic).key("k").payload(&record.value).partition(record.partition)).expect("sent");
    }
    while writer.in_flight_count() > 0 {
        writer.poll(Duration::from_millis(1));
    }
    if commits { writer.commit_transaction(LIMIT) } else { writer.abort_transaction(LIMIT) }.expect("ends");
}

/// As they are committed.
fn nexts(survey: &Survey, inputs: &[InputPartition]) -> Vec<Option<u64>> {
    survey.committed(inputs).expect("told").into_iter().map(|committed| committed.next).collect()
}

fn await_assignment(member: &mut Member, fetched: &mut Fetched) -> Vec<u32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "nothing is assigned");
        if let Some(GroupChange::Assigned(tasks)) = member.poll(Duration::from_millis(20), fetched).expect("polls") {
            return tasks;
        }
        assert_eq!(fetched.records(), 0, "nothing is read before its start");
    }
}

/// What was only just assigned may not be ready to be read.
fn start(member: &mut Member, from: &[(InputPartition, u64)]) {
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = member.start(from) {
        assert!(Instant::now() < deadline, "{error}");
        assert!(is_quiet(member, &mut Fetched::default()), "no change is expected");
    }
}

/// The group has no news; that it has shared out again counts for none.
fn is_quiet(member: &mut Member, fetched: &mut Fetched) -> bool {
    let change = member.poll(Duration::from_millis(5), fetched).expect("polls");
    change.is_none_or(|change| change == GroupChange::Assigned(Vec::new()))
}

fn await_records(member: &mut Member, number: usize) -> Fetched {
    let mut fetched = Fetched::default();
    let deadline = Instant::now() + LIMIT;
    while fetched.records() < number {
        assert!(Instant::now() < deadline, "{} of {number} records", fetched.records());
        assert_eq!(member.poll(Duration::from_millis(20), &mut fetched).expect("polls"), None);
    }
    fetched
}

fn send(member: &mut Member, topic: &str, value: &str) {
    member.send(&OutputRecord { topic, partition: 0, key: Some(b"k"), value: Some(value.as_bytes()), headers: &[("task", Some(b"3"))] }).expect("sent");
}

#[test]
fn tasks_stay_whole_and_offsets_go_with_what_is_sent() {
    let Some(broker) = broker() else { return };
    let [lead, follower, output, group] = ["lead", "follower", "output", "group"].map(unique);
    for (topic, partitions) in [(&lead, 3), (&follower, 3), (&output, 1)] {
        broker.create_topic(topic, partitions);
    }
    broker.produce(&records(&lead, 3, 30));
    broker.produce(&records(&follower, 3, 30));
    let (link, topics) = (link(broker, &group), topics(&[&lead, &follower]));
    let survey = Survey::open(&link, topics.clone()).expect("opens");
    assert_eq!(survey.tasks(), Ok(3));
    let mut member = join(&link, identity(0), &topics, &Written::default());
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1, 2]);
    let inputs: Vec<_> = (0..3).flat_map(|task| [input(0, task), input(1, task)]).collect();
    start(&mut member, &inputs.iter().map(|&input| (input, 4)).collect::<Vec<_>>());
    let fetched = await_records(&mut member, 36);
    for batch in fetched.batches() {
        let offsets: Vec<_> = batch.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [4, 5, 6, 7, 8, 9], "{:?}/{}", batch.stream, batch.partition);
        assert_eq!(batch.get(0).timestamp, EventTime::from_millis(1_000));
    }

    // Aborted: neither record nor offset.
    member.begin().expect("begins");
    send(&mut member, &output, "aborted");
    member.send_offsets(&[(input(0, 1), 9)], LIMIT).expect("sends offsets");
    member.abort(LIMIT).expect("aborts");
    // Committed: both. After an abort the client was seen to purge the first record of the next transaction too (once in some twenty times, librdkafka 2.12):
    // that is reported as a failure to abort for, and the service tries again, as here.
    let mut attempts = 0..3;
    loop {
        attempts.next().expect("three attempts are enough");
        member.begin().expect("begins");
        send(&mut member, &output, "committed");
        match member.drain(LIMIT) {
            Ok(()) => break,
            Err(error) => assert_eq!(error.failure, Failure::Abortable),
        }
        member.abort(LIMIT).expect("aborts");
    }
    assert!(member.membership().generation >= 0 && !member.membership().lost);
    member.send_offsets(&[(input(0, 1), 10), (input(1, 1), 7)], LIMIT).expect("sends offsets");
    member.commit(LIMIT).expect("commits");
    let asked = [input(0, 1), input(1, 1), input(0, 2)];
    assert_eq!(nexts(&survey, &asked), [Some(10), Some(7), None]);
    let read = broker.read(&output);
    assert_eq!(read.iter().map(|read| (read.key.as_str(), read.value.as_str())).collect::<Vec<_>>(), [("k", "committed")]);
    assert_eq!(read[0].headers, [("task".to_owned(), "3".to_owned())]);

    // Read again from elsewhere, and after a pause.
    member.pause(&[input(0, 0)]).expect("pauses");
    start(&mut member, &[(input(0, 0), 8)]);
    let again = await_records(&mut member, 2);
    assert_eq!(again.batches().map(|batch| batch.get(0).offset).collect::<Vec<_>>(), [8]);
}

#[test]
fn a_second_member_gets_its_share_only_once_it_is_released() {
    let Some(broker) = broker() else { return };
    let [input_topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&input_topic, 4);
    let (link, topics) = (link(broker, &group), topics(&[&input_topic]));
    let mut first = join(&link, identity(0), &topics, &Written::default());
    assert_eq!(await_assignment(&mut first, &mut Fetched::default()).len(), 4);
    let mut second = join(&link, identity(1), &topics, &Written::default());
    let deadline = Instant::now() + LIMIT;
    let mut given: Vec<u32> = Vec::new();
    let mut revoked = Vec::new();
    while given.is_empty() {
        assert!(Instant::now() < deadline, "nothing moves");
        let mut fetched = Fetched::default();
        if let Some(GroupChange::Revoked(tasks)) = first.poll(Duration::from_millis(10), &mut fetched).expect("polls") {
            // What was begun can be committed now.
            first.begin().expect("begins");
            first.send_offsets(&tasks.iter().map(|&task| (input(0, task), 5)).collect::<Vec<_>>(), LIMIT).expect("sends offsets");
            first.commit(LIMIT).expect("commits");
            first.release(&tasks).expect("releases");
            revoked = tasks;
        }
        if let Some(GroupChange::Assigned(tasks)) = second.poll(Duration::from_millis(10), &mut fetched).expect("polls") {
            given = tasks;
        }
    }
    assert_eq!((given.len(), &given), (2, &revoked));
    let survey = Survey::open(&link, topics).expect("opens");
    assert_eq!(nexts(&survey, &[input(0, given[0])]), [Some(5)]);
}

/// Its tasks are others' by then. The client library joins under a new name, and says nothing of what it had under the old one.
#[test]
fn a_member_that_is_expelled_in_the_middle_of_a_rebalance_loses_what_it_held() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    // It hears of it from its group, or while a transaction waits for something and nobody asks what the group has to say.
    for is_at_work in [false, true] {
        lose_in_a_rebalance(&broker, &proxy, is_at_work);
    }
}

fn lose_in_a_rebalance(broker: &Broker, proxy: &Proxy, is_at_work: bool) {
    let [input_topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&input_topic, 4);
    let mut held_up = link(broker, &group);
    held_up.properties.insert("client.id".to_owned(), "held-up".to_owned());
    let (link, topics) = (link(broker, &group), topics(&[&input_topic]));
    let mut first = join(&held_up, identity(0), &topics, &Written::default());
    assert_eq!(await_assignment(&mut first, &mut Fetched::default()).len(), 4);
    let mut second = join(&link, identity(1), &topics, &Written::default());
    let wait = Duration::from_millis(10);
    let poll = |member: &mut Member| member.poll(wait, &mut Fetched::default()).expect("polls");
    let follow = |member: &mut Member, share: &mut BTreeSet<u32>| match poll(member) {
        Some(GroupChange::Assigned(tasks)) => share.extend(tasks),
        Some(GroupChange::Revoked(tasks)) => {
            member.release(&tasks).expect("releases");
            share.retain(|task| !tasks.contains(task));
        }
        Some(GroupChange::Lost(tasks)) => share.retain(|task| !tasks.contains(task)),
        Some(GroupChange::JoinsAnew) => panic!("no other has its name"),
        None => {}
    };
    let commit = |member: &mut Member, tasks: &[u32], next: u64| {
        member.begin().expect("begins");
        let sent = member.send_offsets(&tasks.iter().map(|&task| (input(0, task), next)).collect::<Vec<_>>(), LIMIT);
        if sent.is_ok() {
            member.commit(LIMIT).expect("commits")
        } else {
            member.abort(LIMIT).expect("aborts")
        }
        sent
    };
    let deadline = Instant::now() + LIMIT;
    let in_time = |what: &str| assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
    // It gives two back, and does not get through with joining for the second step until its session is over.
    let kept: Vec<u32> = loop {
        in_time("a revocation");
        poll(&mut second);
        if let Some(GroupChange::Revoked(tasks)) = poll(&mut first) {
            let kept = (0..4).filter(|task| !tasks.contains(task)).collect();
            let join = proxy.play(JOIN_GROUP, "held-up", Trick::Hold);
            first.release(&tasks).expect("releases");
            while !join.has_begun() {
                in_time("the second step");
                poll(&mut first);
            }
            let mut given = Vec::new();
            while given.len() < 4 {
                in_time("the end of the session");
                poll(&mut first);
                if let Some(GroupChange::Assigned(tasks)) = poll(&mut second) {
                    given.extend(tasks);
                }
            }
            commit(&mut second, &given, 7).expect("it is the only one");
            join.let_go();
            break kept;
        }
    };
    assert_eq!(kept.len(), 2);
    let (mut lost, mut shares) = (Vec::new(), [BTreeSet::new(), (0..4).collect::<BTreeSet<u32>>()]);
    if is_at_work {
        // It is a member again, and may even have the same tasks.
        while {
            let mut sizes = broker.shares(&group);
            sizes.sort_unstable();
            sizes != [2, 2]
        } {
            in_time("two each");
            follow(&mut second, &mut shares[1]);
            first.renew(wait).expect("another producer");
        }
        assert!(first.membership().generation >= 0, "a member");
        assert!(first.membership().lost, "what it has lost is not told yet");
        assert!(commit(&mut first, &kept, 5).is_err(), "committed what is another's");
    }
    // Under whatever name, it commits nothing of what it held, and is told that it has lost that.
    while !kept.iter().all(|task| lost.contains(task)) {
        in_time("what is lost");
        follow(&mut second, &mut shares[1]);
        match poll(&mut first) {
            Some(GroupChange::Lost(tasks)) => lost.extend(tasks),
            // Or it is told after that, where both have happened meanwhile.
            Some(change) => assert!(is_at_work || change == GroupChange::Assigned(Vec::new()), "{change:?}: nothing else is ours, nor will be before that"),
            None => {
                let membership = first.membership();
                let is_member = membership.generation >= 0 && !membership.lost;
                assert!(!is_member || commit(&mut first, &kept, 5).is_err(), "committed what is another's");
            }
        }
    }
    let survey = Survey::open(&link, topics).expect("opens");
    assert_eq!(nexts(&survey, &kept.iter().map(|&task| input(0, task)).collect::<Vec<_>>()), [Some(7), Some(7)]);
    // Then they share as ever.
    while shares.iter().any(|share| share.len() != 2) {
        in_time("two each");
        follow(&mut first, &mut shares[0]);
        follow(&mut second, &mut shares[1]);
    }
}

/// It has not yet been told that it is given tasks, or that it is to give some back; or it has been told, and has not given them back.
#[test]
fn a_member_closes_in_the_middle_of_a_rebalance() {
    let Some(broker) = broker() else { return };
    let topic = unique("input");
    broker.create_topic(&topic, 4);
    broker.produce(&records(&topic, 4, 400));
    let topics = topics(&[&topic]);
    let await_shares = |group: &str, wanted: &[usize]| {
        let deadline = Instant::now() + LIMIT;
        let mut shares = Vec::new();
        while shares != wanted {
            assert!(Instant::now() < deadline, "the shares are {shares:?}, not {wanted:?}");
            shares = broker.shares(group);
            shares.sort_unstable();
        }
    };
    for round in 0..10 {
        let group = unique("group");
        let join = |slot| join(&link(broker, &group), identity(slot), &topics, &Written::default());
        let mut first = join(0);
        if round % 2 == 0 {
            await_shares(&group, &[4]);
            close(first, &format!("round {round}, given tasks"));
            continue;
        }
        await_assignment(&mut first, &mut Fetched::default());
        start(&mut first, &(0..4).map(|partition| (input(0, partition), 0)).collect::<Vec<_>>());
        await_records(&mut first, 400);
        let second = join(1);
        await_shares(&group, &[0, 2]);
        // Told as well, in every other of these rounds.
        let deadline = Instant::now() + LIMIT;
        while round % 4 == 3 && !matches!(first.poll(Duration::from_millis(5), &mut Fetched::default()), Ok(Some(GroupChange::Revoked(_)))) {
            assert!(Instant::now() < deadline, "nothing is revoked");
        }
        close(first, &format!("round {round}, to give tasks back"));
        close(second, &format!("round {round}, given none"));
    }
}

fn close(member: Member, what: &str) {
    let (closing, closed) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        drop(member);
        drop(closing);
    });
    let began = Instant::now();
    assert_eq!(closed.recv_timeout(LIMIT), Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "{what}: does not close");
    println!("{what}: closed after {:?}", began.elapsed());
}

#[test]
fn a_newer_process_of_the_same_slot_fences_the_older() {
    let Some(broker) = broker() else { return };
    let [input_topic, output, group] = ["input", "output", "group"].map(unique);
    for topic in [&input_topic, &output] {
        broker.create_topic(topic, 1);
    }
    let (link, topics) = (link(broker, &group), topics(&[&input_topic]));
    let identity = identity(0);
    let mut older = join(&link, identity.clone(), &topics, &Written::default());
    older.begin().expect("begins");
    send(&mut older, &output, "of the older");
    older.drain(LIMIT).expect("drains");
    let mut newer = join(&link, identity, &topics, &Written::default());
    newer.begin().expect("begins");
    send(&mut newer, &output, "of the newer");
    newer.drain(LIMIT).expect("drains");
    newer.commit(LIMIT).expect("commits");
    assert_eq!(older.commit(LIMIT).expect_err("fenced").failure, Failure::Fatal);
    assert_eq!(broker.read(&output).iter().map(|read| read.value.as_str()).collect::<Vec<_>>(), ["of the newer"]);
    // Of two members of one name the group fences either, and a fenced consumer may wait for its own group thread for ever when it closes: the service gives it up
    // after a while, and so does this test.
    std::thread::spawn(move || drop((older, newer)));
}

/// The client repeats by itself what it gets no answer to. The first request may still be carried out, whenever it arrives: not on what has been begun since.
#[test]
fn a_commit_that_arrives_late_does_not_commit_the_next_transaction() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    for topic in ["input", "output"] {
        broker.create_topic(topic, 1);
    }
    let mut link = link(&broker, "group");
    link.properties.extend([("client.id", "late"), ("socket.timeout.ms", "1000")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut member = join(&link, identity(0), &topics(&["input"]), &Written::default());
    let first = proxy.play(END_TXN, "late", Trick::Hold);
    member.begin().expect("begins");
    send(&mut member, "output", "committed");
    member.drain(LIMIT).expect("drains");
    member.commit(LIMIT).expect("the second request is answered");
    assert!(first.has_begun(), "it was the second");
    member.begin().expect("begins");
    send(&mut member, "output", "aborted");
    member.drain(LIMIT).expect("drains");
    first.let_go();
    let deadline = Instant::now() + LIMIT;
    while !first.is_answered() {
        assert!(Instant::now() < deadline, "the broker does not answer");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let aborted = member.abort(LIMIT);
    assert_eq!(broker.read("output").iter().map(|read| read.value.as_str()).collect::<Vec<_>>(), ["committed"]);
    aborted.expect("aborts");
}

/// Brokers that do not answer its producer are no reason to expel it, or to keep whoever waits for longer than asked. What it has left to itself counts no more once it has
/// another producer, whenever it arrives.
#[test]
fn a_member_whose_producer_gets_no_answer_stays_in_the_group() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    for topic in ["input", "output"] {
        broker.create_topic(topic, 1);
    }
    let mut link = link(&broker, "group");
    // Whoever does not ask for news for as long leaves the group.
    link.properties.insert("max.poll.interval.ms".to_owned(), "6000".to_owned());
    let (waits, wait) = (4, Duration::from_millis(1_700));
    let topics = topics(&["input"]);
    let survey = Survey::open(&link, topics.clone()).expect("opens");
    let mut member = join(&link, identity(0), &topics, &Written::default());
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0]);
    let membership = member.membership();
    let assert_in_time = |began: Instant, what: &str| assert!(began.elapsed() < wait + Duration::from_secs(2), "{what}: {:?}", began.elapsed());
    let assert_member = |member: &mut Member, what: &str| {
        for _ in 0..20 {
            assert_eq!(member.poll(Duration::from_millis(5), &mut Fetched::default()), Ok(None), "{what}");
        }
        assert_eq!(member.membership(), membership, "{what}");
    };
    let values = || broker.read("output").into_iter().map(|read| read.value).collect::<Vec<_>>();
    for (api, next) in [(TXN_OFFSET_COMMIT, 3), (END_TXN, 5)] {
        let held = proxy.play(api, "", Trick::Hold);
        member.begin().expect("begins");
        send(&mut member, "output", "in doubt");
        member.drain(LIMIT).expect("drains");
        if api == END_TXN {
            member.send_offsets(&[(input(0, 0), next)], LIMIT).expect("sends offsets");
        }
        for _ in 0..waits {
            let began = Instant::now();
            let answer = if api == END_TXN { member.commit(wait) } else { member.send_offsets(&[(input(0, 0), next)], wait) };
            assert_eq!(answer.map_err(|error| error.failure), Err(Failure::Unknown), "request {api}");
            assert_in_time(began, "a call");
        }
        assert!(held.has_begun(), "request {api}");
        assert_member(&mut member, "after a call");
        let making = proxy.play(INIT_PRODUCER_ID, "", Trick::Hold);
        for _ in 0..waits {
            let began = Instant::now();
            assert_eq!(member.renew(wait), Ok(false));
            assert_in_time(began, "a new producer");
        }
        assert!(making.has_begun());
        assert_member(&mut member, "without another producer");
        making.let_go();
        let deadline = Instant::now() + LIMIT;
        while !member.renew(wait).expect("made") {
            assert!(Instant::now() < deadline, "no other producer");
        }
        // The library repeats by itself what is not answered: a commit may have come through before.
        let mut settled = values();
        assert!(api == END_TXN || settled.is_empty(), "{settled:?}");
        member.begin().expect("begins");
        send(&mut member, "output", "certain");
        member.drain(LIMIT).expect("drains");
        member.send_offsets(&[(input(0, 0), next - 1)], LIMIT).expect("sends offsets");
        held.let_go();
        while !held.is_answered() {
            assert!(Instant::now() < deadline, "the broker does not answer");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        member.commit(LIMIT).expect("commits");
        assert_eq!(nexts(&survey, &[input(0, 0)]), [Some(next - 1)], "request {api}");
        settled.push("certain".to_owned());
        assert_eq!(values(), settled, "request {api}");
    }
}

#[test]
fn a_member_cannot_read_what_is_another_s_by_now_and_reads_on_what_is_its_own() {
    let Some(broker) = broker() else { return };
    let [topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&topic, 2);
    broker.produce(&records(&topic, 2, 8));
    let link = link(broker, &group);
    let topics = topics(&[&topic]);
    let mut member = join(&link, identity(0), &topics, &Written::default());
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1]);
    let mut other = join(&link, identity(1), &topics, &Written::default());
    let deadline = Instant::now() + LIMIT;
    let moved = loop {
        assert!(Instant::now() < deadline, "nothing moves");
        assert!(other.poll(Duration::ZERO, &mut Fetched::default()).is_ok());
        if let Some(GroupChange::Revoked(tasks)) = member.poll(Duration::from_millis(10), &mut Fetched::default()).expect("polls") {
            member.release(&tasks).expect("releases");
            break tasks;
        }
    };
    while !matches!(other.poll(Duration::from_millis(10), &mut Fetched::default()), Ok(Some(GroupChange::Assigned(tasks))) if tasks == moved) {
        assert!(Instant::now() < deadline, "the other is not given it");
        assert!(is_quiet(&mut member, &mut Fetched::default()));
    }
    let kept = 1 - moved[0];
    for _ in 0..10 {
        member.start(&[(input(0, moved[0]), 0)]).expect_err("it is another's");
        assert!(is_quiet(&mut member, &mut Fetched::default()));
    }
    start(&mut member, &[(input(0, kept), 0)]);
    let mut fetched = Fetched::default();
    while fetched.records() < 4 {
        assert!(Instant::now() < deadline, "nothing is read");
        assert!(is_quiet(&mut member, &mut fetched));
    }
    let membership = member.membership();
    assert!(membership.generation >= 0 && !membership.lost, "{membership:?}");
}

#[test]
fn the_end_of_a_topic_is_after_its_last_committed_record() {
    let Some(broker) = broker() else { return };
    let topic = unique("ends");
    broker.create_topic(&topic, 3);
    let survey = Survey::open(&link(broker, &unique("group")), topics(&[&topic])).expect("opens");
    broker.produce(&records(&topic, 1, 3));
    let writer = writer(broker);
    for (partition, commits) in [(1, true), (1, false), (1, false), (2, false)] {
        let record = Produced { topic: topic.clone(), partition, key: None, value: "x".to_owned(), timestamp: None };
        write(&writer, &[record], commits);
    }
    // Markers and aborted records stand behind the last record: offset 6 is the end of partition 1's log.
    let ends: Vec<_> = (0..3).map(|partition| survey.end(input(0, partition)).expect("an end")).collect();
    assert_eq!(ends, [3, 1, 0]);
    assert_eq!(survey.retained(input(0, 1)), Ok(0..6));
}

#[test]
fn what_does_not_fit_is_named() {
    let Some(broker) = broker() else { return };
    let [three, four] = ["three", "four"].map(unique);
    broker.create_topic(&three, 3);
    broker.create_topic(&four, 4);
    let link = link(broker, &unique("group"));
    let refusal = |names: &[&str]| Survey::open(&link, topics(names)).expect("opens").tasks().expect_err("refused").to_string();
    let sentence = refusal(&[&three, &four]);
    assert!(sentence.contains(&format!("{three} has 3 partitions")) && sentence.contains(&format!("{four} has 4")), "{sentence}");
    let sentence = refusal(&[&three, "nowhere"]);
    assert!(sentence.contains("topic nowhere does not exist") && sentence.contains("create it"), "{sentence}");
}

#[test]
fn a_broker_that_does_not_answer_is_given_up_soon() {
    let link = Link { brokers: "127.0.0.1:1".to_owned(), group: "g".to_owned(), properties: BTreeMap::new(), record_bytes_max: 1 << 20 };
    let began = Instant::now();
    let error = Survey::open(&link, topics(&["t"])).err().expect("nobody is there").to_string();
    assert!(error.starts_with("no Kafka broker answers at 127.0.0.1:1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}
