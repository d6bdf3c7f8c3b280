use super::*;

#[test]
fn what_was_handed_on_is_read_and_damage_is_recognised() {
    let time = EventTime::from_micros(-7);
    let record = Record { offset: 70_000, position: 1, next_position: 2, timestamp: Some(time), bytes: b"{}", full_bytes: 2 };
    let event = encode_event("clicks", 3, &record, Original { key: Some(b""), value: Some(b"{}"), headers: b"" });
    let read = HandedEvent { stream: "clicks", partition: 3, offset: 70_000, timestamp: Some(time), key: Some(b""), value: b"{}" };
    assert_eq!(Handed::decode(&event), Ok(Handed::Event(read)));
    let long = vec![0; KEY_BYTES_MAX + 1];
    let without = encode_event("clicks", 3, &Record { timestamp: None, ..record }, Original { key: Some(&long), value: Some(b"{}"), headers: b"" });
    assert_eq!(Handed::decode(&without), Ok(Handed::Event(HandedEvent { timestamp: None, key: None, ..read })));
    assert!(without.len() < HEAD_BYTES_MAX);
    for (watermark, is_idle) in [(EventTime::BEGINNING, false), (EventTime::END, false), (time, true)] {
        let announced = Announced { watermark, is_idle };
        let bytes = announced.encode(300);
        assert_eq!(Handed::decode(&bytes), Ok(Handed::Announced { upstream: 300, announced }));
        for length in 0..bytes.len() {
            assert!(Handed::decode(&bytes[..length]).is_err(), "{announced:?} cut off after {length} bytes");
        }
    }
    assert!(Handed::decode(&[2, 0]).is_err() && Handed::decode(&[1, 9, 0]).is_err());
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
