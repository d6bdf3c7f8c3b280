//! Decoding, conditions, looking up keys, steps, deadlines: each by events that go so far and no further.

use motif::codec::{DecodeOptions, Decoder};
use motif::engine::EngineOptions;
use motif::event::StreamId;
use motif::language::{Source, compile};
use motif::ports::Record;

use super::super::Plan;
use super::super::files::project;
use super::super::measure::{Spread, counted, shown, timed};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, fields};
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const EVENTS: u64 = 1_000_000;
/// Fewer where each may look at a hundred thousand partial matches.
const PROBES: u64 = 20_000;
const KEYS: u64 = 10_000;
const TYPES: u64 = 10;

/// No event fits the first step.
const CONDITIONS: [&str; 5] = ["typ == 10", "typ in [10, 11, 12, 13]", "amt > 1000", "typ == 0 and amt > 1000", "(typ + amt) % 7 > 6"];

const PAYMENT: &str = r#"{"id":16,"at":"2021-01-04T00:00:09.119Z","payment_id":"pay-16","card_id":"card-0008444-1","account_id":"account-0008444","kind":"purchase","status":"approved","amount":10.39,"merchant":"books-5","country":"US"}"#;
const PAIR: &str = r#"{"k":8444,"typ":3,"amt":512.0,"ts":1700000000000,"merchant":"m512","country":"DE","channel":"online","terminal":"t-2048"}"#;
const PAIR_STREAM: &str = "stream events { k: int  typ: int  amt: float  ts: timestamp  time ts }";

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    decode(plan, table);
    conditions(plan, table);
    keys(plan, table);
    rows(plan, table);
    steps(plan, table);
    deadlines(plan, table);
}

fn decode(plan: &Plan, table: &mut Table<'_>) {
    let payments = std::fs::read_to_string(project("patterns/fraud/streams.motif")).expect("the streams");
    for (what, stream, text, line) in [("a payment", "payments", payments, PAYMENT), ("an event of `pair`", "events", PAIR_STREAM.to_owned(), PAIR)] {
        let name = format!("decode {what} of {} bytes, CPU ns", line.len());
        if !plan.wants(SECTION, &name) {
            continue;
        }
        let compiled = compile(&[Source { path: "stream.motif".to_owned(), text }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let schema = &compiled.program.schema;
        let mut decoder = Decoder::new(schema, schema.find(stream).expect("declared"), DecodeOptions::default());
        let spread = Spread::of((0..plan.runs).map(|_| per_record(&mut decoder, line, sized(plan, EVENTS))));
        table.add(Row::new(name, spread).beside(format!("{} MB per second", shown(line.len() as f64 / spread.median * 1e3))));
    }
}

fn per_record(decoder: &mut Decoder, line: &str, records: u64) -> f64 {
    let (spent_ns, streams) = timed(|| {
        let mut streams = 0_u64;
        for offset in 0..records {
            let bytes = std::hint::black_box(line.as_bytes());
            let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 };
            let event = decoder.decode(&record, 0).expect("an event");
            streams += u64::from(event.stream == StreamId(0));
        }
        streams
    });
    assert!(streams <= records);
    spent_ns / records as f64
}

fn conditions(plan: &Plan, table: &mut Table<'_>) {
    for condition in CONDITIONS {
        let name = format!("turned away by `{condition}`, CPU ns per event");
        if plan.wants(SECTION, &name) {
            let text = patterns([format!("match a: events where {condition} then b: events where typ == 99 within 10s")]);
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| turned_away(&text, sized(plan, EVENTS))))));
        }
    }
    for number in [1, 100, 10_000] {
        let name = format!("turned away by {} patterns, CPU ns per event", counted(number));
        if plan.wants(SECTION, &name) {
            let rule = |rule: u64| format!("match a: events where typ == {} and amt > 5 then b: events where typ == {} within 10s", rule + 10, rule + 11);
            let text = patterns((0..number).map(rule));
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| turned_away(&text, sized(plan, EVENTS))))));
        }
    }
}

fn turned_away(text: &str, events: u64) -> f64 {
    let mut rig = Rig::new(text, EngineOptions::default());
    let ns = rig.feed_timed(events, |number| fields(number, KEYS, TYPES));
    assert_eq!((rig.matches, rig.engine.counters().keys_made), (0, 0), "nothing starts");
    ns
}

/// Events of the second step that do not fit any start: of keys that have one, and of keys that have none.
fn keys(plan: &Plan, table: &mut Table<'_>) {
    for (live, is_usual) in [(1_000, true), (100_000, true), (1_000_000, true), (10_000_000, false)] {
        let name = format!("looked up among {} live keys, CPU ns per event", counted(live));
        if !plan.wants(SECTION, &name) || !is_usual && !plan.names(&name) {
            continue;
        }
        let live = sized(plan, live);
        let mut rig = Rig::of("match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 1d");
        rig.feed(live, |number| Fields { k: number.cast_signed(), typ: 0, amt: 1_000, at_ms: FIRST_MS });
        // Lets them begin before anything is measured.
        rig.feed(1, |_| Fields { k: 0, typ: 2, amt: 0, at_ms: FIRST_MS + 1 });
        let probe = |of: u64, offset: u64| {
            move |number: u64| {
                let k = fields(number, of, TYPES).k + offset.cast_signed();
                // Time goes on, so that they are not only held back.
                Fields { k, typ: 1, amt: 500, at_ms: FIRST_MS + 1 + (number / 10).cast_signed() }
            }
        };
        let events = sized(plan, EVENTS);
        let found = Spread::of((0..plan.runs).map(|_| rig.feed_timed(events, probe(live, 0))));
        let absent = Spread::of((0..plan.runs).map(|_| rig.feed_timed(events, probe(live, live))));
        assert_eq!(rig.matches, 0, "nothing fits");
        table.add(Row::new(name, found).beside(format!("keys that are not live {}", shown(absent.median))));
    }
}

/// An event that fits none of the partial matches of its key, by how the step looks back.
fn rows(plan: &Plan, table: &mut Table<'_>) {
    for (look_back, probe_amt) in [("amt > a.amt", 500), ("amt == a.amt", -1)] {
        for open in [10, 1_000, 100_000] {
            let name = format!("fits none of {} partial matches of a key by `{look_back}`, CPU ns per event", counted(open));
            if !plan.wants(SECTION, &name) {
                continue;
            }
            let open = (open / plan.part).max(10);
            let text = patterns([format!("match a: events where typ == 0 then b: events where typ == 1 and {look_back} within 1d")]);
            let mut rig = Rig::new(&text, EngineOptions { runs_per_key_max: 1_000_000, ..EngineOptions::default() });
            rig.feed(open, |number| Fields { k: 0, typ: 0, amt: 1_000 + number.cast_signed(), at_ms: FIRST_MS });
            let probe = |number: u64| Fields { k: 0, typ: 1, amt: probe_amt, at_ms: FIRST_MS + 1 + number.cast_signed() };
            let spread = Spread::of((0..plan.runs).map(|_| rig.feed_timed(sized(plan, PROBES), probe)));
            assert_eq!(rig.matches, 0, "nothing fits");
            table.add(Row::new(name, spread));
        }
    }
}

/// Patterns whose last step never comes.
fn steps(plan: &Plan, table: &mut Table<'_>) {
    for (connective, events) in [("then", EVENTS), ("then any", EVENTS / 10)] {
        for length in [4, 7, 10] {
            let name = format!("{length} steps by `{connective}` that never complete, CPU ns per event");
            if !plan.wants(SECTION, &name) {
                continue;
            }
            let middle: String = (1..length - 1).map(|step| format!(" {connective} s{step}: events where typ == {step}")).collect();
            let text = format!("match s0: events where typ == 0{middle} {connective} last: events where typ == 99 within 10s");
            let spread = Spread::of((0..plan.runs).map(|_| Rig::of(&text).feed_timed(sized(plan, events), |number| fields(number, 1_000, TYPES))));
            table.add(Row::new(name, spread));
        }
    }
}

/// A start that nothing follows: from the start to the match at its deadline.
fn deadlines(plan: &Plan, table: &mut Table<'_>) {
    let name = "a start and its deadline, of an absence, CPU ns";
    if !plan.wants(SECTION, name) {
        return;
    }
    let events = sized(plan, EVENTS);
    let spread = Spread::of((0..plan.runs).map(|_| {
        let mut rig = Rig::of("match a: events where typ == 0 then not b: events where typ == 1 for 1s");
        let start = |number: u64| Fields { k: (number % 20_000).cast_signed(), typ: 0, amt: 0, at_ms: FIRST_MS + (number / 10).cast_signed() };
        let ns = rig.feed_timed(events, start);
        assert!(rig.matches + 20_000 > events && rig.matches <= events, "all but the last second's are decided");
        ns
    }));
    table.add(Row::new(name, spread));
}
