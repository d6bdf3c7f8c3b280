//! Topics that are not what they were: made anew under the same name, or shortened, while the service was stopped and while it ran.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use motif::event::StreamId;
use motif::kafka::{Identity, Link, Survey, Topics, Written};
use motif::ports::{Fetched, GroupChange, InputPartition, TopicId, TopicSurvey, Transport};
use motif::service::topics::journal::EpochRecord;

use super::{PARTITIONS, Running, Service, said};
use crate::broker::{LIMIT, Produced};
use crate::kafka::join;

/// The last record of each task's journal.
fn last_records(service: &Service) -> BTreeMap<u32, EpochRecord> {
    let records = service.broker.read(&format!("{}.journal", service.group));
    let decoded = records.iter().map(|read| EpochRecord::decode(read.raw.as_ref().expect("a record")).expect("of this format"));
    decoded.map(|record| (record.task, record)).collect()
}

/// The place of an input in the journal: the next offset, and the oldest that is still needed.
fn read_to(service: &Service, topic: &str, task: u32) -> (i64, i64) {
    let records = last_records(service);
    let range = records[&task].inputs.iter().find(|range| range.topic == topic).expect("an input");
    (range.next.cast_signed(), range.rewind.unwrap_or(range.next).cast_signed())
}

impl Service {
    /// Until everything that was produced is in the journal: a stop then leaves nothing to repeat.
    fn await_read(&self, events: &[Produced]) {
        let deadline = Instant::now() + LIMIT;
        let wanted = |topic: &str, task: u32| events.iter().filter(|event| event.topic == *topic && u32::try_from(event.partition) == Ok(task)).count() as i64;
        let is_read = || {
            let records = last_records(self);
            let tasks = 0..u32::try_from(PARTITIONS).expect("few");
            tasks.clone().all(|task| records.contains_key(&task))
                && tasks
                    .flat_map(|task| [&self.clicks, &self.orders].map(|topic| (topic, task)))
                    .all(|(topic, task)| read_to(self, topic, task).0 >= wanted(topic, task))
        };
        while !is_read() {
            assert!(Instant::now() < deadline, "not everything is read");
        }
    }

    /// As an operator may, who does not know what hangs on it.
    fn make_anew(&self, topic: &str) {
        self.broker.delete_topic(topic);
        self.broker.create_topic(topic, PARTITIONS);
    }

    /// What a start says that must not succeed; then, with the loss accepted, one that does, from the oldest record that is there.
    fn refused_then_accepted(&self, says: &[&str]) {
        let sentence = self.refusal(&["--until-end"]);
        for words in says.iter().chain(&["--accept-reset"]) {
            assert!(sentence.contains(words), "{sentence}\nwithout: {words}");
        }
        let output = self.command(&["--until-end", "--accept-reset"]).output().expect("motif starts");
        assert!(output.status.success(), "{}", said(&output));
        assert!(last_records(self).values().all(|record| record.ended));
    }
}

/// One that has read all that there is.
fn reading(events: usize) -> Option<(Service, Vec<Produced>, Running)> {
    let service = Service::new()?;
    let events = service.events(0..events);
    service.broker.produce(&events);
    let running = service.start();
    service.await_read(&events);
    Some((service, events, running))
}

fn stopped(events: usize) -> Option<(Service, Vec<Produced>)> {
    let (service, events, mut running) = reading(events)?;
    running.assert_runs();
    running.terminate();
    Some((service, events))
}

#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_the_old_one() {
    // Shorter than before; and as long, with other records.
    for records in [0, 2_000] {
        let Some((service, _)) = stopped(1_000) else { return };
        service.make_anew(&service.clicks);
        let again: Vec<Produced> = service.events(5_000..5_000 + records).into_iter().filter(|event| event.topic == service.clicks).collect();
        service.broker.produce(&again);
        service.refused_then_accepted(&[&service.clicks, "made anew"]);
    }
}

#[test]
fn a_topic_that_is_made_anew_ends_whoever_reads_it() {
    let Some((service, _, running)) = reading(1_000) else { return };
    service.make_anew(&service.clicks);
    let output = running.ended();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let sentence = said(&output);
    assert!(sentence.contains(&service.clicks) && sentence.contains("deleted"), "{sentence}");
    service.refused_then_accepted(&[&service.clicks, "made anew"]);
}

/// Keys go to other partitions than those where their partial matches are.
#[test]
fn partitions_that_are_added_end_whoever_reads_them_and_a_start_is_refused() {
    let Some((service, _, running)) = reading(1_000) else { return };
    let more = usize::try_from(PARTITIONS).expect("few") + 2;
    service.broker.add_partitions(&service.clicks, more);
    let output = running.ended();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let sentence = said(&output);
    for part in [&format!("topic {} had {PARTITIONS} partitions", service.clicks), &format!("has {more} now"), "--accept-reset"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    for topic in [service.orders.clone(), format!("{}.journal", service.group)] {
        service.broker.add_partitions(&topic, more);
    }
    service.refused_then_accepted(&[&format!("had {PARTITIONS} partitions"), &format!("have {more}")]);
    service.run_to_end();
}

/// The client library asks for records by offset, and takes those of the new topic for the next of the old one.
#[test]
fn a_topic_that_is_made_anew_with_more_records_than_were_read_ends_whoever_reads_it() {
    let Some((service, _, running)) = reading(200) else { return };
    // Meanwhile it sees nothing: when it asks again, the topic is there.
    running.signal("STOP");
    service.make_anew(&service.clicks);
    let again: Vec<Produced> = service.events(5_000..7_000).into_iter().filter(|event| event.topic == service.clicks).collect();
    service.broker.produce(&again);
    running.signal("CONT");
    let output = running.ended();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let sentence = said(&output);
    assert!(sentence.contains(&format!("topic {} was deleted and made anew while it was read", service.clicks)), "{sentence}");
    service.refused_then_accepted(&[&service.clicks, "made anew"]);
}

/// Whatever was committed since: beside each offset stands which topic it is of.
#[test]
fn offsets_of_another_topic_of_the_same_name_are_not_taken() {
    let Some((service, events)) = stopped(1_000) else { return };
    let link = Link { brokers: service.broker.address.clone(), group: service.group.clone(), properties: BTreeMap::new(), record_bytes_max: 1 << 20 };
    let streams = [&service.clicks, &service.orders].map(Clone::clone);
    let topics = Topics::new((0..).map(StreamId).zip(streams).collect());
    let survey = Survey::open(&link, topics.clone()).expect("opens");
    let ids = survey.topic_ids().expect("told");
    let inputs: Vec<InputPartition> = (0..2)
        .map(StreamId)
        .flat_map(|stream| (0..u32::try_from(PARTITIONS).expect("few")).map(move |partition| InputPartition { stream, partition }))
        .collect();
    let committed = survey.committed(&inputs).expect("told");
    assert!(ids.len() == 2 && ids[&StreamId(0)] != ids[&StreamId(1)], "{ids:?}");
    assert!(inputs.iter().zip(&committed).all(|(input, committed)| committed.topic.as_ref() == Some(&ids[&input.stream])), "{committed:?}");

    // The same offsets, of a topic that had the name before.
    let old = ids.iter().map(|(&stream, id)| (stream, if stream == StreamId(0) { TopicId("AAAAAAAAAAAAAAAAAAAAAQ".to_owned()) } else { id.clone() })).collect();
    let identity = Identity { instance: "test".to_owned(), slot: 0, worker: 0 };
    let mut member = join(&link, identity, &topics.with_ids(old), &Written::default());
    let deadline = Instant::now() + LIMIT;
    while !matches!(member.poll(Duration::from_millis(20), &mut Fetched::default()), Ok(Some(GroupChange::Assigned(tasks))) if !tasks.is_empty()) {
        assert!(Instant::now() < deadline, "nothing is assigned");
    }
    let next: Vec<_> = inputs.iter().zip(&committed).map(|(&input, committed)| (input, committed.next.expect("committed"))).collect();
    member.begin().expect("begins");
    member.send_offsets(&next, LIMIT).expect("sends offsets");
    member.commit(LIMIT).expect("commits");
    drop(member);
    let says = format!("topic {} was deleted and made anew since it was read: its id was AAAAAAAAAAAAAAAAAAAAAQ, and is {}", service.clicks, ids[&StreamId(0)]);
    service.refused_then_accepted(&[&says]);
    // From its beginning.
    let resets =
        service.broker.read(&format!("{}.journal", service.group)).into_iter().map(|read| EpochRecord::decode(&read.raw.expect("a record")).expect("known"));
    let clicks: Vec<u64> =
        resets.filter(|record| record.reset).flat_map(|record| record.inputs).filter(|input| input.topic == service.clicks).map(|input| input.base).collect();
    assert_eq!(clicks, [0; 4], "{} events", events.len());
}

#[test]
fn what_is_not_needed_any_more_may_go_and_what_is_may_not() {
    let Some((service, events)) = stopped(1_000) else { return };
    let (next, needed) = read_to(&service, &service.clicks, 0);
    assert!(needed < next, "the test asks for something: events wait for the watermark");
    service.broker.delete_records(&service.clicks, 0, needed);
    let running = service.start();
    let more = service.events(1_000..1_200);
    service.broker.produce(&more);
    service.await_read(&[&events[..], &more].concat());
    running.terminate();

    let (next, _) = read_to(&service, &service.clicks, 0);
    service.broker.produce(&service.events(1_200..2_000));
    service.broker.delete_records(&service.clicks, 0, next + 3);
    service.refused_then_accepted(&[&format!("{}/0 is needed again", service.clicks), &format!("only holds {} and later", next + 3), "keep inputs for longer"]);
    let resets: Vec<_> = service
        .broker
        .read(&format!("{}.journal", service.group))
        .iter()
        .map(|read| EpochRecord::decode(read.raw.as_ref().expect("a record")).expect("of this format"))
        .filter(|record| record.reset)
        .collect();
    let begun = resets
        .iter()
        .find(|record| record.task == 0)
        .and_then(|record| record.inputs.iter().find(|range| range.topic == service.clicks))
        .map(|range| range.base);
    assert_eq!(begun, Some((next + 3).cast_unsigned()), "nothing is passed over in silence");
}

#[test]
fn what_only_a_replay_needs_is_missed_before_it_begins() {
    let Some((service, _)) = stopped(1_000) else { return };
    std::fs::remove_dir_all(service.folder.path().join("state-0")).expect("removed");
    let (_, needed) = read_to(&service, &service.orders, 2);
    service.broker.delete_records(&service.orders, 2, needed.min(5));
    service.refused_then_accepted(&[&format!("{}/2 is needed again from offset 0", service.orders), "before its records were checkpointed"]);
}
