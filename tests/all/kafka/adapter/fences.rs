//! Two members of one name: another process, one that has gone again, or a member's own former self.

use std::time::{Duration, Instant};

use motif::kafka::{Member, Survey, Written};
use motif::ports::{Fetched, GroupChange, Transport, TransportError};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{await_assignment, await_records, identity, input, link, nexts, records, start, topics};
use crate::broker::{Broker, LIMIT, broker, unique};
use crate::kafka::join;
use crate::kafka::proxy::{HEARTBEAT, Proxy, Trick};

/// Kafka's number for it.
const FENCED_INSTANCE_ID: i16 = 82;

/// A stranger is given twice the session, which lasts 6 s.
const PATIENCE: Duration = Duration::from_secs(12);

fn await_loss(member: &mut Member, wanted: &[u32]) {
    let (deadline, mut lost) = (Instant::now() + LIMIT, Vec::new());
    while lost != wanted {
        assert!(Instant::now() < deadline, "lost: {lost:?}, not {wanted:?}");
        match member.poll(Duration::from_millis(20), &mut Fetched::default()).expect("polls") {
            Some(GroupChange::Lost(tasks)) => lost.extend(tasks),
            change => assert_eq!(change, None, "nothing else happens before"),
        }
    }
}

/// Says so, which is counted.
fn await_joining_anew(member: &mut Member) {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "it does not join anew");
        match member.poll(Duration::from_millis(20), &mut Fetched::default()).expect("polls") {
            Some(GroupChange::JoinsAnew) => return,
            // What the library takes for lost may be told twice.
            Some(GroupChange::Lost(_)) | None => {}
            Some(change) => panic!("{change:?} before it joins anew"),
        }
    }
}

/// Its tasks, one partition each, and reads and commits as if nothing had been.
fn assert_works(broker: &Broker, member: &mut Member, topic: &str, group: &str, tasks: u32) {
    let inputs: Vec<_> = (0..tasks).map(|task| input(0, task)).collect();
    start(member, &inputs.iter().map(|&input| (input, 0)).collect::<Vec<_>>());
    await_records(member, 4 * inputs.len());
    member.begin().expect("begins");
    assert!(member.membership().generation >= 0 && !member.membership().lost);
    member.send_offsets(&inputs.iter().map(|&input| (input, 4)).collect::<Vec<_>>(), LIMIT).expect("sends offsets");
    member.commit(LIMIT).expect("commits");
    let survey = Survey::open(&link(broker, group), topics(&[topic])).expect("opens");
    assert_eq!(nexts(&survey, &inputs), vec![Some(4); inputs.len()]);
}

/// The brokers are away for longer than a session, and the member is not asked for anything. It forgets its name, goes on with heartbeats until it has given back what it held,
/// and meets brokers that know its name and refuse it to nobody.
#[test]
fn a_member_that_is_fenced_by_its_former_self_joins_anew() {
    let Some((broker, proxy)) = Proxy::before_a_broker() else { return };
    let [topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&topic, 2);
    broker.produce(&records(&topic, 2, 8));
    let mut link = link(&broker, &group);
    // Whoever is not asked for too long sends no heartbeats; and the first must come before the brokers drop the member themselves.
    let properties = [("client.id", "forgetful"), ("max.poll.interval.ms", "300000"), ("reconnect.backoff.max.ms", "200")];
    link.properties.extend(properties.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut member = join(&link, identity(0), &topics(&[&topic]), &Written::default());
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1]);
    start(&mut member, &[(input(0, 0), 0), (input(0, 1), 0)]);
    broker.kill();
    let deadline = Instant::now() + LIMIT;
    while !member.membership().lost {
        assert!(Instant::now() < deadline, "its session does not end");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let mut heartbeat = proxy.play(HEARTBEAT, "forgetful", Trick::Delay(Duration::ZERO));
    broker.restart();
    // At first it may not have read yet of which groups it is the coordinator.
    loop {
        assert!(Instant::now() < deadline, "no heartbeat without its name is refused");
        match heartbeat.error() {
            Some(FENCED_INSTANCE_ID) => break,
            Some(_) => heartbeat = proxy.play(HEARTBEAT, "forgetful", Trick::Delay(Duration::ZERO)),
            None => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
    // The answer arrives before one that was asked for later.
    broker.shares(&group);
    await_loss(&mut member, &[0, 1]);
    await_joining_anew(&mut member);
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1]);
    assert_works(&broker, &mut member, &topic, &group, 2);
}

/// Whether another process was started and ended again, or a request of this one was carried out late: brokers have not seen the difference.
#[test]
fn a_member_whose_name_was_taken_by_one_that_has_gone_joins_anew() {
    let Some(broker) = broker() else { return };
    let [topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&topic, 2);
    broker.produce(&records(&topic, 2, 8));
    let mut member = join(&link(broker, &group), identity(0), &topics(&[&topic]), &Written::default());
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1]);
    let mut config = broker.config();
    config
        .set("group.id", &group)
        .set("group.instance.id", "test-0-0")
        .set("session.timeout.ms", "6000")
        .set("partition.assignment.strategy", "cooperative-sticky");
    let other: BaseConsumer = config.create().expect("a client");
    other.subscribe(&[&topic]).expect("subscribes");
    let deadline = Instant::now() + LIMIT;
    while other.assignment().expect("told").count() == 0 {
        assert!(Instant::now() < deadline, "nothing is assigned");
        assert!(other.poll(Duration::from_millis(20)).is_none_or(|polled| polled.is_ok()));
    }
    // A member with a name that stays says nothing when it goes.
    drop(other);
    await_loss(&mut member, &[0, 1]);
    assert!(member.membership().lost);
    await_joining_anew(&mut member);
    assert_eq!(await_assignment(&mut member, &mut Fetched::default()), [0, 1]);
    assert_works(broker, &mut member, &topic, &group, 2);
}

#[test]
fn of_two_processes_of_one_name_the_older_ends() {
    let Some(broker) = broker() else { return };
    let [topic, group] = ["input", "group"].map(unique);
    broker.create_topic(&topic, 1);
    broker.produce(&records(&topic, 1, 4));
    let join = || join(&link(broker, &group), identity(0), &topics(&[&topic]), &Written::default());
    let mut older = join();
    await_assignment(&mut older, &mut Fetched::default());
    let mut newer = join();
    await_assignment(&mut newer, &mut Fetched::default());
    let mut fenced = None;
    let (deadline, mut lost) = (Instant::now() + LIMIT, Vec::new());
    let error: TransportError = loop {
        assert!(Instant::now() < deadline, "both go on");
        assert_eq!(newer.poll(Duration::ZERO, &mut Fetched::default()), Ok(None), "the newer one is left alone");
        match older.poll(Duration::from_millis(20), &mut Fetched::default()) {
            Ok(Some(GroupChange::Lost(tasks))) => {
                fenced.get_or_insert_with(Instant::now);
                lost.extend(tasks);
            }
            Ok(change) => assert_eq!(change, None),
            Err(error) => break error,
        }
    };
    assert_eq!(lost, [0]);
    let stayed = fenced.expect("it has lost its task first").elapsed();
    assert!(stayed >= PATIENCE, "the other one may still have gone after {stayed:?}");
    assert!(error.reason.contains("another process runs on a copy of the state folder"), "{error}");
    assert_works(broker, &mut newer, &topic, &group, 1);
    // A fenced consumer may wait for its own group thread for ever when it closes.
    std::thread::spawn(move || drop(older));
}
