use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

#[test]
fn what_was_handed_on_is_read_and_damage_is_recognised() {
    let time = EventTime::from_micros(-7);
    let record = Record { offset: 70_000, position: 1, next_position: 2, timestamp: Some(time), bytes: b"{}", full_bytes: 2 };
    let original = Original { key: Some(b""), value: Some(b"{}"), headers: b"" };
    let read = HandedEvent { stream: "clicks", partition: 3, offset: 70_000, timestamp: Some(time), key: Some(b""), headers: b"", value: b"{}" };
    let long = vec![7; KEY_AND_HEADERS_BYTES_MAX + 1];
    for (original, expected) in [
        (original, read),
        (Original { key: Some(&long), ..original }, HandedEvent { key: None, ..read }),
        (Original { headers: b"some", ..original }, HandedEvent { headers: b"some", ..read }),
        (Original { headers: b"some", key: Some(&long), ..original }, HandedEvent { headers: b"some", key: None, ..read }),
        (Original { headers: &long[1..], ..original }, HandedEvent { headers: &long[1..], ..read }),
        (Original { headers: &long[1..], key: Some(b"k"), ..original }, HandedEvent { key: Some(b"k"), ..read }),
    ] {
        let event = encode_event("clicks", 3, &record, original);
        assert_eq!(Handed::decode(&event), Ok(Handed { event: Some(expected), said: None }));
        assert!(event.len() < handed_bytes_max(2), "as long as the topic must allow");
    }
    let without = encode_event("clicks", 3, &Record { timestamp: None, ..record }, original);
    assert_eq!(Handed::decode(&without), Ok(Handed { event: Some(HandedEvent { timestamp: None, ..read }), said: None }));
    for (watermark, is_idle) in [(EventTime::BEGINNING, false), (EventTime::END, false), (time, true)] {
        let announced = Announced { watermark, is_idle };
        let bytes = announced.encode(300);
        let said = Some((300, announced));
        assert_eq!(Handed::decode(&bytes), Ok(Handed { event: None, said }));
        assert_eq!(Handed::decode(&announced.encode_behind(300, &without)), Ok(Handed { event: Some(HandedEvent { timestamp: None, ..read }), said }));
        for length in 0..bytes.len() {
            assert!(Handed::decode(&bytes[..length]).is_err(), "{announced:?} cut off after {length} bytes");
        }
    }
    assert!(Handed::decode(&[2, 0]).is_err() && Handed::decode(&[1, 9, 0]).is_err() && Handed::decode(&[1, 4, 0, 0, 4]).is_err());
}

#[test]
fn the_watermark_is_the_least_that_was_said_but_of_those_that_are_idle() {
    let mut upstreams = Upstreams::new(3);
    for (upstream, micros, is_idle, least) in [
        (0, 5, false, None),
        (2, 9, false, None),
        (1, 2, true, Some(5)),
        (0, 11, false, Some(9)),
        (2, 9, true, Some(11)),
        (0, 11, true, Some(11)),
        (1, 10, false, Some(10)),
    ] {
        upstreams.note(upstream, Announced { watermark: EventTime::from_micros(micros), is_idle });
        let least = least.map_or(EventTime::BEGINNING, EventTime::from_micros);
        assert_eq!(upstreams.watermark(), least, "{upstream} {micros} {is_idle}");
        let mut again = Upstreams::new(3);
        again.restore(&upstreams.positions());
        assert_eq!(again.watermark(), least);
    }
}

#[test]
fn what_was_said_is_found_again_in_order_and_is_news_once() {
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    for tasks in [1, 2, 7, 40] {
        let mut upstreams = Upstreams::new(tasks);
        let mut said = vec![None; tasks as usize];
        for _ in 0..500 {
            let mut news = BTreeSet::new();
            for _ in 0..random.random_range(0..3) {
                let (upstream, is_idle) = (random.random_range(0..tasks), random.random_bool(0.7));
                let announced = Announced { watermark: EventTime::from_micros(random.random_range(0..30)), is_idle };
                upstreams.note(upstream, announced);
                said[upstream as usize] = Some(announced);
                news.insert(upstream);
            }
            let watermark = |said: &Option<Announced>| said.map_or(EventTime::BEGINNING, |said| said.watermark);
            let active = said.iter().filter(|said| said.is_none_or(|said| !said.is_idle)).map(watermark).min();
            assert_eq!(Some(upstreams.watermark()), active.or_else(|| said.iter().map(watermark).max()), "{said:?}");
            let told: Vec<_> = upstreams.positions().into_iter().filter(|position| news.contains(&position.task)).collect();
            assert_eq!((upstreams.take_news(), upstreams.take_news()), (told, Vec::new()));
        }
    }
}

/// Every task is told once, behind its events; with an event for each there is no record more than these.
#[test]
fn how_far_a_task_is_goes_with_the_last_event_to_each() {
    const TASKS: u32 = 16;
    let announced = Announced { watermark: EventTime::from_micros(1_700_000_000_000_000), is_idle: false };
    let event = |offset: u64, task| {
        let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: b"{}", full_bytes: 2 };
        let bytes = encode_event("clicks", 3, &record, Original { key: None, value: Some(b"{}"), headers: b"" });
        HandedOn { stream: StreamId(0), offset, task, bytes }
    };
    for (events, records, bytes_more) in [(0, 16, 176), (1, 16, 175), (16, 16, 160), (48, 48, 160)] {
        let events: Vec<_> = (0..events).rev().map(|offset| event(offset, u32::try_from(offset).expect("few") % TASKS)).collect();
        let plain: usize = events.iter().map(|event| event.bytes.len()).sum();
        let handed = records_handed_on(events.clone(), Some(announced), 3, TASKS);
        assert_eq!((handed.len(), handed.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() - plain), (records, bytes_more), "{} events", events.len());
        let mut told = vec![false; TASKS as usize];
        let mut offsets = Vec::new();
        for (task, bytes) in &handed {
            let Handed { event, said } = Handed::decode(bytes).expect("written by us");
            assert!(!std::mem::replace(&mut told[*task as usize], said.is_some()), "nothing is behind it");
            offsets.extend(event.map(|event| event.offset));
        }
        assert!(told.iter().all(|told| *told) && offsets.iter().copied().eq(0..events.len() as u64));
        assert_eq!(records_handed_on(events.clone(), None, 3, TASKS).len(), events.len(), "nothing is said");
    }
}
