//! Brokers are killed with whatever they had in memory, and started again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use motif::event::StreamId;
use motif::kafka::{Identity, Link, Member, Topics, Written};
use motif::ports::{OutputRecord, Transport};
use rand::Rng;
use rand::seq::SliceRandom;

use crate::broker::{Broker, LIMIT, unique};
use crate::kafka::join;
use crate::kafka::torture::faults::SESSION;
use crate::kafka::torture::tell;
use crate::kafka::torture::trial::Trial;

/// Sends events for this long.
fn go_on(trial: &mut Trial<'_>, time: Duration, share: usize) {
    let began = Instant::now();
    let step = trial.number_of_events() / share / 100;
    for tick in 1..=100 {
        trial.fleet.tend();
        trial.send_more(step);
        while began.elapsed() < time * tick / 100 {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Now and then the broker comes back with transactions that it has forgotten and never marked as ended (`motif::kafka` ends them), or in the midst of a rebalance that it has
/// forgotten as well. Once it is away for so long that the processes have no session any more.
#[test]
fn a_broker_that_is_killed_and_comes_back_costs_no_match() {
    let Some(broker) = Broker::own() else { return };
    let mut trial = Trial::new(&broker, "broker", 12_000, 2);
    (0..2).for_each(|slot| trial.fleet.start(slot));
    let mut outages = [Duration::ZERO, SESSION].map(|least| least + Duration::from_millis(trial.random.random_range(0..1_500)));
    outages.shuffle(&mut trial.random);
    for outage in outages {
        let time = Duration::from_millis(trial.random.random_range(500..2_500));
        go_on(&mut trial, time, 8);
        broker.kill();
        go_on(&mut trial, outage, 16);
        broker.restart();
    }
    trial.finish(&format!("2 kills of the only broker, which was away for {outages:?}"));
}

/// `make torture`. Each of the three leads some partitions, coordinates some groups and transactions, and controls the cluster now and then.
#[test]
#[ignore = "takes minutes"]
fn three_brokers_killed_in_turn_cost_no_match() {
    let Some(brokers) = Broker::cluster() else { return };
    let mut trial = Trial::new(&brokers[0], "three brokers", 60_000, 3);
    (0..3).for_each(|slot| trial.fleet.start(slot));
    let rounds = 3;
    for round in 0..rounds {
        for place in [1, 2, 0] {
            let time = Duration::from_millis(trial.random.random_range(2_000..5_000));
            go_on(&mut trial, time, 12);
            brokers[place].kill();
            let time = Duration::from_millis(trial.random.random_range(500..10_000));
            go_on(&mut trial, time, 24);
            brokers[place].restart();
            tell(&format!("three brokers: round {round}, broker {} killed and back", place + 1));
            // Only then is there a copy of everything on another again.
            brokers[place].await_in_sync();
        }
    }
    trial.finish(&format!("{} kills of one of three brokers", rounds * 3));
}

/// `make torture`. While a partition has no leader, a broker of 4.3 ends a transaction without marking its end there; what was aborted would count with the next commit of the
/// same producer. Whoever takes up the producer's name sees to it that it does not.
#[test]
#[ignore = "takes three brokers"]
fn a_transaction_that_the_brokers_have_lost_sight_of_is_ended_by_the_next_producer() {
    let Some(brokers) = Broker::cluster() else { return };
    let [input, output, group] = ["input", "output", "group"].map(unique);
    brokers[0].create_topic(&input, 1);
    brokers[0].create_topic_on(&output, 2);
    let link = Link { brokers: brokers[0].address.clone(), group, properties: BTreeMap::new(), record_bytes_max: 1 << 20 };
    let topics = Topics::new([(StreamId(0), input)].into());
    let written = Written { tasks: 1, outputs: vec![(output.clone(), 1)], ..Written::default() };
    let join = || join(&link, Identity { instance: "test".to_owned(), slot: 0, worker: 0 }, &topics, &written);
    let send = |member: &mut Member, value: &str| {
        member.begin().expect("begins");
        member.send(&OutputRecord { topic: &output, partition: 0, key: None, value: Some(value.as_bytes()), headers: &[] }).expect("sent");
        member.drain(LIMIT).expect("delivered");
    };
    let mut member = join();
    send(&mut member, "aborted");
    brokers[1].kill();
    brokers[0].await_leaderless(&output);
    member.abort(LIMIT).expect("aborts");
    drop(member);
    brokers[1].restart();
    let hung = !brokers[0].is_decided(&output);
    let mut member = join();
    send(&mut member, "committed");
    member.commit(LIMIT).expect("commits");
    let read: Vec<_> = brokers[0].read(&output).into_iter().map(|read| read.value).collect();
    assert_eq!(read, ["committed"]);
    tell(&format!("a transaction aborted while its partition had no leader: {}", if hung { "hung, and was ended" } else { "was ended by the brokers" }));
}
