//! Lateness, idleness and positions, said as what must come of each arrival.

use crate::engine::decided::Decided;
use crate::engine::position::{RefusedBy, RefusedRange};
use crate::engine::{Arrival, Intake, IntakeLimits, Interest, PartitionPosition, Rewind, StreamTiming};
use crate::event::{Event, EventTime, ProcessingTime, Schema, Stream, StreamId, TimeSpan};

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const A: StreamId = StreamId(0);
const B: StreamId = StreamId(1);
const SECOND_US: i64 = 1_000_000;

fn intake(timing: StreamTiming, held_events_max: usize) -> Intake {
    let stream = |name: &str| Stream { name: name.to_owned(), fields: Vec::new(), time_field: None, lateness: None };
    let schema = Schema { streams: vec![stream("a"), stream("b")] };
    let limits = IntakeLimits { held_events_max, reference: EventTime::from_micros(1_000 * SECOND_US), ahead_max: TimeSpan::from_secs(100) };
    Intake::new(schema.into(), vec![timing; 2], limits)
}

fn late_after(seconds: i64) -> StreamTiming {
    StreamTiming::of_lateness(TimeSpan::from_secs(seconds))
}

fn seconds(seconds: i64) -> EventTime {
    EventTime::from_micros(seconds * SECOND_US)
}

fn tick(intake: &mut Intake, seconds: i64) {
    intake.tick(ProcessingTime::from_micros(seconds * SECOND_US));
}

/// An event of partition 0 arrives.
fn arrive(intake: &mut Intake, stream: StreamId, offset: u64, time: EventTime) -> Arrival {
    let mut event = Event { stream, partition: 0, offset, time, fields: Box::new([]) };
    intake.arrive(&mut event, &mut Interest::some(), offset * 10, offset * 10 + 10)
}

fn released(intake: &mut Intake) -> Vec<i64> {
    let mut out = Vec::new();
    intake.release_each(EventTime::END, |wanted| out.push(wanted));
    out.iter().map(|wanted| wanted.event.time.micros() / SECOND_US).collect()
}

fn is_late(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Late { .. })
}

#[test]
fn late_is_what_is_more_than_the_lateness_older_than_the_newest() {
    let mut intake = intake(late_after(5), 9);
    for (offset, time, late) in [
        (0, seconds(10), false),
        (1, seconds(5), false),
        (2, seconds(5).minus(TimeSpan::TICK), true),
        (3, seconds(10), false),
        (4, seconds(11), false),
        (5, seconds(5), true),
    ] {
        assert_eq!(is_late(&arrive(&mut intake, A, offset, time)), late, "{offset}");
    }
    assert_eq!(intake.watermark(), seconds(6).minus(TimeSpan::TICK));
    assert_eq!(released(&mut intake), [5]);
    assert_eq!(intake.counters().late, 2);
}

#[test]
fn events_of_equal_time_are_never_late_to_each_other() {
    let mut intake = intake(late_after(0), 9);
    assert!((0..3).all(|offset| arrive(&mut intake, A, offset, seconds(1)) == Arrival::Held));
    assert_eq!(released(&mut intake), [] as [i64; 0]);
    intake.end();
    assert_eq!(released(&mut intake), [1, 1, 1]);
    assert_eq!(intake.watermark(), EventTime::END);
}

#[test]
fn an_open_partition_holds_the_watermark_back_until_it_is_idle_or_closed() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(0) };
    for close in [false, true] {
        let mut intake = intake(timing, 9);
        intake.open(A, 0);
        intake.open(B, 0);
        tick(&mut intake, 100);
        arrive(&mut intake, A, 0, seconds(1));
        tick(&mut intake, 120);
        arrive(&mut intake, A, 1, seconds(2));
        assert_eq!(intake.watermark(), EventTime::BEGINNING);
        tick(&mut intake, 130);
        assert_eq!(released(&mut intake), [] as [i64; 0], "not yet longer than the time-out");
        if close {
            intake.close(B, 0)
        } else {
            tick(&mut intake, 131)
        }
        assert_eq!(released(&mut intake), [1]);
    }
}

/// Not even where one that is ahead was opened again since time went on last.
#[test]
fn what_a_closed_partition_shows_is_held_and_moves_no_time() {
    let mut intake = intake(late_after(0), 9);
    intake.open(A, 0);
    intake.open(B, 0);
    arrive(&mut intake, B, 0, seconds(10));
    arrive(&mut intake, A, 0, seconds(100));
    intake.close(A, 0);
    intake.close(B, 0);
    intake.open(A, 0);
    assert_eq!(arrive(&mut intake, B, 1, seconds(50)), Arrival::Held);
    assert_eq!(intake.watermark(), seconds(10).minus(TimeSpan::TICK));
    arrive(&mut intake, A, 1, seconds(100));
    intake.close(B, 0);
    assert_eq!(released(&mut intake), [10, 50]);
}

#[test]
fn what_arrives_after_idleness_is_late_by_the_watermark_of_the_task() {
    let mut intake = intake(StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(0) }, 9);
    intake.open(A, 0);
    intake.open(B, 0);
    tick(&mut intake, 0);
    arrive(&mut intake, A, 0, seconds(50));
    tick(&mut intake, 20);
    arrive(&mut intake, A, 1, seconds(60));
    tick(&mut intake, 31);
    let watermark = seconds(60).minus(TimeSpan::TICK);
    assert_eq!(intake.watermark(), watermark);
    assert!(matches!(arrive(&mut intake, B, 0, seconds(55)), Arrival::Late { watermark: at, .. } if at == watermark));
    // It holds the task back again, which does not go back.
    arrive(&mut intake, A, 2, seconds(70));
    assert_eq!(intake.watermark(), watermark);
    assert_eq!(arrive(&mut intake, B, 1, seconds(65)), Arrival::Held);
    assert_eq!(released(&mut intake), [50, 60]);
}

#[test]
fn where_all_are_idle_the_watermark_stays() {
    let mut intake = intake(StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(0) }, 9);
    tick(&mut intake, 0);
    arrive(&mut intake, A, 0, seconds(50));
    tick(&mut intake, 1_000);
    assert_eq!(intake.watermark(), seconds(50).minus(TimeSpan::TICK));
    assert!(intake.positions().partitions[0].idle);
}

#[test]
fn a_quiet_stream_follows_the_clock_where_that_is_asked_for() {
    let mut intake = intake(StreamTiming { idle_after: Some(TimeSpan::from_secs(30)), ..late_after(5) }, 9);
    tick(&mut intake, 500);
    arrive(&mut intake, A, 0, seconds(498));
    tick(&mut intake, 529);
    assert_eq!(intake.watermark(), seconds(493).minus(TimeSpan::TICK));
    tick(&mut intake, 530);
    assert_eq!(intake.watermark(), seconds(525).minus(TimeSpan::TICK));
    assert_eq!(released(&mut intake), [498]);
    assert!(is_late(&arrive(&mut intake, A, 1, seconds(524))));
    assert_eq!(arrive(&mut intake, A, 2, seconds(531)), Arrival::Held);
    tick(&mut intake, 540);
    assert_eq!(intake.watermark(), seconds(526).minus(TimeSpan::TICK), "what is shown counts again");
}

#[test]
fn a_time_too_far_ahead_moves_nothing() {
    let mut intake = intake(late_after(0), 9);
    arrive(&mut intake, A, 0, seconds(10));
    assert!(matches!(arrive(&mut intake, A, 1, seconds(1_101)), Arrival::TooFarAhead));
    assert_eq!(arrive(&mut intake, A, 2, seconds(11)), Arrival::Held);
    assert_eq!(arrive(&mut intake, A, 3, seconds(1_100)), Arrival::Held, "the bound itself is not beyond it");
    assert_eq!(intake.counters().too_far_ahead, 1);
    assert_eq!(intake.newest(A, 0), seconds(1_100));
}

#[test]
fn once_watermarks_are_said_only_what_is_said_counts() {
    let mut intake = intake(late_after(0), 9);
    intake.say_watermark(A, 0, EventTime::BEGINNING);
    for (offset, time) in [(0, 7), (1, 3), (2, 9)] {
        assert_eq!(arrive(&mut intake, A, offset, seconds(time)), Arrival::Held);
    }
    intake.say_watermark(A, 0, seconds(7));
    assert_eq!(released(&mut intake), [3, 7]);
    assert!(is_late(&arrive(&mut intake, A, 3, seconds(7))));
    intake.say_watermark(A, 0, seconds(5));
    assert_eq!(intake.watermark(), seconds(7), "never goes back");
}

#[test]
fn the_rewind_place_is_the_oldest_record_that_is_still_held() {
    let mut intake = intake(late_after(5), 9);
    for (offset, time) in [(0, 10), (1, 14), (2, 11)] {
        arrive(&mut intake, A, offset, seconds(time));
    }
    intake.skip(A, 0, 3, 40);
    let rewind = |intake: &mut Intake| {
        released(intake);
        intake.positions().partitions[0].rewind
    };
    assert_eq!(rewind(&mut intake), Some(Rewind { offset: 0, position: 0, newest_us: i64::MIN }));
    arrive(&mut intake, A, 4, seconds(17));
    // The record at offset 2 is let out before the one at 1.
    assert_eq!(rewind(&mut intake), Some(Rewind { offset: 1, position: 10, newest_us: 10 * SECOND_US }));
    arrive(&mut intake, A, 5, seconds(20));
    let expected = PartitionPosition {
        stream: "a".to_owned(),
        partition: 0,
        next_offset: 6,
        next_position: 60,
        newest_us: 20 * SECOND_US,
        idle: false,
        silent_us: 0,
        rewind: Some(Rewind { offset: 4, position: 40, newest_us: 14 * SECOND_US }),
        refused: Vec::new(),
    };
    released(&mut intake);
    assert_eq!(intake.positions().partitions, [expected]);
    intake.end();
    assert_eq!(rewind(&mut intake), None);
}

#[test]
fn what_is_read_again_is_decided_as_the_first_time_and_then_the_partition_is_where_it_was() {
    let mut before = intake(late_after(5), 9);
    for (offset, time) in [(0, 20), (1, 17), (2, 10), (3, 30), (4, 24), (5, 28)] {
        arrive(&mut before, A, offset, seconds(time));
    }
    assert_eq!(released(&mut before), [17, 20]);
    let positions = before.positions();
    let mut after = intake(late_after(5), 9);
    after.open(A, 0);
    after.restore(&positions);
    let again: Vec<Arrival> = [(3, 30), (4, 24)].map(|(offset, time)| arrive(&mut after, A, offset, seconds(time))).into();
    assert_eq!(again, [Arrival::Held, Arrival::Passed]);
    assert_eq!(after.positions(), positions, "until all is there, reading would have to begin at the same place");
    // The source has lost the record at offset 5; the newest time is not forgotten for it.
    assert!(is_late(&arrive(&mut after, A, 6, seconds(24))));
    assert_eq!((after.counters().events, after.counters().events_read_again), (1, 2));
    assert_eq!(after.newest(A, 0), seconds(30));
}

/// It was idle, and time went on in the others before the last of it was there.
#[test]
fn what_an_idle_partition_held_is_held_again_before_time_goes_on() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(5) };
    let mut before = intake(timing, 9);
    before.open(A, 0);
    before.open(B, 0);
    tick(&mut before, 0);
    arrive(&mut before, B, 0, seconds(40));
    arrive(&mut before, A, 0, seconds(20));
    tick(&mut before, 20);
    arrive(&mut before, A, 1, seconds(30));
    tick(&mut before, 31);
    assert_eq!(released(&mut before), [20]);
    let positions = before.positions();
    assert!(positions.partitions[1].idle && positions.partitions[1].rewind.is_some());
    let mut after = intake(timing, 9);
    after.open(A, 0);
    after.open(B, 0);
    after.restore(&positions);
    assert_eq!(arrive(&mut after, A, 1, seconds(30)), Arrival::Held);
    assert_eq!(arrive(&mut after, A, 2, seconds(60)), Arrival::Held);
    assert_eq!(arrive(&mut after, B, 0, seconds(40)), Arrival::Held);
    assert_eq!(released(&mut after), [30, 40]);
}

/// Each was idle before the last of what the other held was there again, and nobody said how far they are.
#[test]
fn where_all_are_idle_once_all_is_read_again_time_is_where_they_are() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(5) };
    let mut before = intake(timing, 9);
    before.note_decisions();
    before.open(A, 0);
    before.open(B, 0);
    tick(&mut before, 0);
    arrive(&mut before, B, 0, seconds(40));
    arrive(&mut before, A, 0, seconds(30));
    tick(&mut before, 31);
    released(&mut before);
    let mut after = intake(timing, 9);
    after.note_decisions();
    after.open(A, 0);
    after.open(B, 0);
    after.restore(&before.positions());
    tick(&mut after, 31);
    arrive(&mut after, A, 0, seconds(30));
    arrive(&mut after, A, 1, seconds(60));
    tick(&mut after, 70);
    arrive(&mut after, B, 0, seconds(40));
    assert_eq!((after.watermark(), released(&mut after)), (seconds(35).minus(TimeSpan::TICK), vec![30]));
    before.follow(after.take_decisions());
    arrive(&mut before, A, 1, seconds(60));
    before.settle(after.watermark(), ProcessingTime::from_micros(70 * SECOND_US));
    assert_eq!((before.watermark(), released(&mut before)), (after.watermark(), vec![30]), "it is repeated as it was");
}

/// The source has no longer what a partition held, and goes on with an event that does not move its time, or with a record that holds none.
#[test]
fn where_what_was_held_is_gone_time_goes_on_with_what_comes_after_it() {
    let opened = || {
        let mut intake = intake(late_after(5), 9);
        intake.open(A, 0);
        intake.open(B, 0);
        intake
    };
    let mut before = opened();
    arrive(&mut before, B, 0, seconds(40));
    arrive(&mut before, A, 0, seconds(30));
    released(&mut before);
    for holds_event in [true, false] {
        let mut after = opened();
        after.restore(&before.positions());
        arrive(&mut after, A, 0, seconds(30));
        arrive(&mut after, A, 1, seconds(60));
        if holds_event {
            assert_eq!(arrive(&mut after, B, 1, seconds(36)), Arrival::Held);
        } else {
            after.skip(B, 0, 1, 20);
        }
        assert_eq!((after.watermark(), released(&mut after)), (seconds(35).minus(TimeSpan::TICK), vec![30]), "{holds_event}");
    }
}

/// However long that takes.
#[test]
fn what_was_held_is_waited_for_when_it_is_read_again() {
    for (idle_timeout, idle_after) in
        [(Some(30), None), (None, Some(30))].map(|(timeout, after)| (timeout.map(TimeSpan::from_secs), after.map(TimeSpan::from_secs)))
    {
        let timing = StreamTiming { idle_timeout, idle_after, ..late_after(5) };
        let mut before = intake(timing, 9);
        tick(&mut before, 0);
        arrive(&mut before, A, 0, seconds(40));
        let mut after = intake(timing, 9);
        after.open(A, 0);
        after.open(B, 0);
        after.restore(&before.positions());
        tick(&mut after, 0);
        tick(&mut after, 1_000);
        arrive(&mut after, B, 0, seconds(60));
        assert_eq!(arrive(&mut after, A, 0, seconds(40)), Arrival::Held);
    }
}

/// The silence of an earlier life counts, the time between does not; nor does what is only not read.
#[test]
fn silence_goes_on_after_a_restart_unless_more_is_known_to_be_there() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(0) };
    let mut before = intake(timing, 9);
    tick(&mut before, 0);
    arrive(&mut before, A, 0, seconds(10));
    tick(&mut before, 25);
    let positions = before.positions();
    assert_eq!(positions.partitions[0].silent_us, 25 * SECOND_US);
    let is_idle = |after: &Intake| after.positions().partitions[0].idle;
    for awaits in [false, true] {
        let mut after = intake(timing, 9);
        after.open(A, 0);
        after.restore(&positions);
        arrive(&mut after, A, 0, seconds(10));
        tick(&mut after, 1_000);
        tick(&mut after, 1_005);
        assert!(!is_idle(&after));
        if awaits {
            after.await_more(A, 0);
        }
        tick(&mut after, 1_006);
        assert_eq!(is_idle(&after), !awaits);
        tick(&mut after, 1_037);
        assert!(is_idle(&after));
    }
}

/// Partitions are read in another order, and the clock says something else.
#[test]
fn what_was_decided_by_chance_is_decided_so_again_when_it_is_told() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(20) };
    let (early, late) =
        ([(A, 0, 50), (B, 0, 55), (A, 1, 60)], [(B, 1, 52), (A, 3, 76), (A, 4, 77), (B, 2, 80), (B, 3, 81), (A, 5, 56), (A, 6, 90), (B, 4, 58)]);
    let all = [&early[..], &[(A, 2, 75)], &late].concat();
    let open = || {
        let mut intake = intake(timing, 3);
        intake.open(A, 0);
        intake.open(B, 0);
        intake
    };
    let take = |intake: &mut Intake, events: &[(StreamId, u64, i64)]| -> Vec<Arrival> {
        events.iter().map(|(stream, offset, time)| arrive(intake, *stream, *offset, seconds(*time))).collect()
    };
    let mut original = open();
    original.note_decisions();
    tick(&mut original, 0);
    take(&mut original, &early);
    tick(&mut original, 20);
    assert_eq!(take(&mut original, &[(A, 2, 75)]), [Arrival::HeldFull]);
    // B is idle.
    tick(&mut original, 40);
    let came: String = take(&mut original, &late).iter().map(|arrival| format!("{arrival:?} ").remove(0)).collect();
    assert_eq!(came, "LHHHHLHL");
    let (out, decisions) = (released(&mut original), original.take_decisions());
    let told: Vec<_> = decisions.iter().map(|(_, _, decided)| format!("{:?} {:?}", decided.overtaken.ranges(), decided.held_full.ranges())).collect();
    assert_eq!(told, ["[] [2..3, 4..5]", "[1..2] [3..4]"]);

    let mut again = open();
    again.follow(decisions);
    for wanted in [B, A] {
        take(&mut again, &all.iter().filter(|(stream, ..)| *stream == wanted).copied().collect::<Vec<_>>());
    }
    again.tick(ProcessingTime::from_micros(i64::MAX));
    again.settle(original.watermark(), ProcessingTime::from_micros(40 * SECOND_US));
    assert_eq!((released(&mut again), again.positions()), (out, original.positions()));
}

#[test]
fn a_full_buffer_keeps_events_out_but_lets_time_go_on() {
    let mut intake = intake(late_after(5), 2);
    let full = |arrival: Arrival| matches!(arrival, Arrival::HeldFull);
    assert!(!full(arrive(&mut intake, A, 0, seconds(10))));
    assert!(!full(arrive(&mut intake, A, 1, seconds(12))));
    assert!(full(arrive(&mut intake, A, 2, seconds(13))));
    assert!(full(arrive(&mut intake, A, 3, seconds(14))));
    assert!(!full(arrive(&mut intake, A, 4, seconds(16))), "the event at 10 s has made room");
    assert_eq!(released(&mut intake), [10]);
    assert_eq!(
        intake.positions().partitions[0].refused,
        [RefusedRange { first_offset: 2, last_offset: 3, by: RefusedBy::HeldMax, beyond_us: RefusedRange::BEYOND_ANY_US }]
    );
    assert_eq!((intake.counters().held_full, intake.counters().held_events), (2, 2));
}

/// A restart may be told another reference instant.
#[test]
fn what_was_kept_out_or_taken_stays_so_when_it_is_read_again_under_other_limits() {
    let arrivals = [(0, 1_090), (1, 2_000), (2, 1_050), (3, 2_000), (4, 1_095)];
    let mut before = intake(late_after(5), 9);
    for (offset, time) in arrivals {
        arrive(&mut before, A, offset, seconds(time));
    }
    released(&mut before);
    assert_eq!((before.counters().too_far_ahead, before.counters().late, before.counters().held_events), (2, 1, 2));
    let positions = before.positions();
    let beyond_us = 1_100 * SECOND_US;
    assert_eq!(positions.partitions[0].refused, [RefusedRange { first_offset: 1, last_offset: 3, by: RefusedBy::AheadMax, beyond_us }]);
    for (reference_s, held_events_max) in [(0, 9), (5_000, 9), (5_000, 1)] {
        let mut after = intake(late_after(5), held_events_max);
        after.latest = seconds(reference_s).plus(TimeSpan::from_secs(100));
        after.open(A, 0);
        after.restore(&positions);
        let again = arrivals.map(|(offset, time)| arrive(&mut after, A, offset, seconds(time)));
        assert_eq!(again, [Arrival::Held, Arrival::Passed, Arrival::Passed, Arrival::Passed, Arrival::Held]);
        assert_eq!(after.positions(), positions);
        assert_eq!(after.newest(A, 0), seconds(1_095));
    }
}

/// What has come out had not gone as far as time had: so the stored watermark does not tell that it was late.
#[test]
fn what_time_has_overtaken_stays_late_when_it_is_read_again() {
    let timing = StreamTiming { idle_timeout: Some(TimeSpan::from_secs(30)), ..late_after(0) };
    let opened = || {
        let mut intake = intake(timing, 9);
        intake.open(A, 0);
        intake.open(B, 0);
        tick(&mut intake, 100);
        intake
    };
    let mut before = opened();
    arrive(&mut before, B, 0, seconds(15));
    tick(&mut before, 120);
    arrive(&mut before, A, 0, seconds(50));
    tick(&mut before, 140);
    assert_eq!(before.watermark(), seconds(50).minus(TimeSpan::TICK), "one of them is idle");
    assert!(is_late(&arrive(&mut before, B, 1, seconds(20))));
    assert_eq!(arrive(&mut before, B, 2, seconds(60)), Arrival::Held);
    before.release_each(seconds(10), |_| panic!("nothing is as old"));
    let positions = before.positions();
    assert_eq!(positions.watermark_us, 10 * SECOND_US);

    let mut after = opened();
    after.restore(&positions);
    for (stream, offset, time_s, arrival) in [(A, 0, 50, Arrival::Held), (B, 0, 15, Arrival::Held), (B, 1, 20, Arrival::Passed), (B, 2, 60, Arrival::Held)] {
        assert_eq!(arrive(&mut after, stream, offset, seconds(time_s)), arrival, "{time_s}");
    }
    assert_eq!(after.positions().of("b", 0), positions.of("b", 0));
    after.end();
    assert_eq!(released(&mut after), [15, 50, 60]);
}

/// A record of partition 0 of a stream: whether it matters to anyone, and its time.
#[derive(Clone, Copy, Debug)]
struct Record {
    stream: StreamId,
    offset: u64,
    matters: bool,
    time_s: i64,
}

fn read(intake: &mut Intake, Record { stream, offset, matters, time_s }: Record) -> Arrival {
    let mut event = Event { stream, partition: 0, offset, time: seconds(time_s), fields: Box::new([]) };
    let mut interest = if matters { Interest::some() } else { Interest::default() };
    intake.arrive(&mut event, &mut interest, offset * 10, offset * 10 + 10)
}

/// Late ones, some too far ahead, of interest and of none, while another partition may hold time back.
#[test]
fn after_a_restart_the_same_becomes_of_each_record() {
    for seed in 0..3_000 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut next = [0, 0];
        let share_of_b = *[0.0, 0.05, 0.5].choose(random).expect("some");
        let records: Vec<Record> = (0..random.random_range(2..30))
            .map(|_| {
                let stream = if random.random_bool(share_of_b) { B } else { A };
                next[usize::from(stream.0)] += 1;
                let time_s = if random.random_bool(0.3) { 2_000 } else { 1_000 + random.random_range(0..90) };
                Record { stream, offset: next[usize::from(stream.0)] - 1, matters: random.random_bool(0.6), time_s }
            })
            .collect();
        let held_events_max = *[2, 100].choose(random).expect("some");
        let opened = || {
            let mut intake = intake(late_after(10), held_events_max);
            intake.open(A, 0);
            intake.open(B, 0);
            intake
        };
        let cut = random.random_range(1..records.len());
        let mut uncut = opened();
        records[..cut].iter().for_each(|record| {
            read(&mut uncut, *record);
        });
        released(&mut uncut);
        let positions = uncut.positions();
        let mut again = opened();
        again.restore(&positions);
        for (position, stream) in positions.partitions.iter().zip([A, B]) {
            let from = position.rewind.map_or(position.next_offset, |rewind| rewind.offset);
            let to_read = records[..cut].iter().filter(|record| record.stream == stream && record.offset >= from);
            to_read.for_each(|record| {
                read(&mut again, *record);
            });
        }
        assert_eq!(again.positions(), positions, "seed {seed}, cut at {cut}: {records:?}");
        for record in &records[cut..] {
            assert_eq!(read(&mut uncut, *record), read(&mut again, *record), "seed {seed}, cut at {cut}, {record:?} of {records:?}");
            assert_eq!(released(&mut uncut), released(&mut again), "seed {seed}, cut at {cut}, {record:?} of {records:?}");
        }
        assert_eq!(again.positions(), uncut.positions(), "seed {seed}, cut at {cut}: {records:?}");
    }
}

/// Whatever was done to them.
#[test]
fn what_is_known_of_the_bounds_of_partitions_is_so() {
    let known = |intake: &Intake| intake.bounds.as_ref().map(|bounds| bounds.least());
    let mut said = 0;
    for seed in 0..2_000 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let after = |random: &mut ChaCha8Rng| random.random_bool(0.4).then(|| TimeSpan::from_secs(random.random_range(1..20)));
        let timing = StreamTiming { idle_timeout: after(random), idle_after: after(random), ..late_after(5) };
        let mut intake = intake(timing, 100);
        let mut now_s = 0;
        let mut next = [[0; 3]; 2];
        let mut done = Vec::new();
        for _ in 0..40 {
            let (stream, partition) = (random.random_range(0..2_u16), random.random_range(0..3_u32));
            let (id, offset) = (StreamId(stream), &mut next[usize::from(stream)][partition as usize]);
            let what = random.random_range(0..12);
            done.push((what, stream, partition));
            match what {
                0 => intake.open(id, partition),
                1 => intake.close(id, partition),
                2 => {
                    intake.skip(id, partition, *offset, *offset * 10 + 10);
                    *offset += 1;
                }
                3 if seed % 4 == 0 => intake.say_watermark(id, partition, seconds(random.random_range(0..90))),
                4 | 5 => {
                    now_s += random.random_range(0..15);
                    tick(&mut intake, now_s);
                }
                6 => drop(released(&mut intake)),
                7 if seed % 5 == 0 => intake.follow([(id, partition, Decided::default())].into()),
                8 if seed % 5 == 0 => intake.settle(intake.watermark(), ProcessingTime::from_micros(now_s * SECOND_US)),
                9 if seed % 3 == 0 => intake.await_more(id, partition),
                _ => {
                    let time = seconds(random.random_range(0..90));
                    let mut event = Event { stream: id, partition, offset: *offset, time, fields: Box::new([]) };
                    intake.arrive(&mut event, &mut Interest::some(), *offset * 10, *offset * 10 + 10);
                    *offset += 1;
                }
            }
            if let Some(known) = known(&intake) {
                said += 1;
                assert_eq!(known, intake.all_bounds().least(), "seed {seed}: {done:?}");
            }
        }
    }
    assert!(said > 20_000, "{said} times");
}
