//! `pair` under loads that could slow it down: long windows, a long time, events out of order, a hot key; matches are counted by hand as well. Then many rules of which an event
//! matters to few or none, whatever their conditions are like.

use motif::engine::{EngineOptions, StreamTiming};
use motif::event::{Event, EventTime, StreamId, TimeSpan, Value};

use super::super::Plan;
use super::super::kernels;
use super::super::measure::{Spread, counted, shown, timed};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, Workload, fields};
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const EVENTS: u64 = 2_000_000;
const KEYS: u64 = 10_000;
const TYPES: u64 = 10;
const USUAL_WINDOW_S: u32 = 10;
/// What counts as flat.
const TIMES_MAX: f64 = 1.5;

const LATENESS_MS: u64 = 5_000;

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    windows(plan, table);
    joined(plan, table);
    long(plan, table);
    out_of_order(plan, table);
    hot_key(plan, table);
    on_one_key(plan, table);
    thresholds(plan, table);
    words(plan, table);
    awaited(plan, table);
    begun(plan, table);
    listed(plan, table);
}

fn plain(number: u64) -> Fields {
    fields(number, KEYS, TYPES)
}

fn windows(plan: &Plan, table: &mut Table<'_>) {
    let run = |seconds: u32| per_event(Workload::PairWithin(seconds), plan, TimeSpan::ZERO, plain);
    for seconds in [1, USUAL_WINDOW_S, 100, 1_000] {
        let name = format!("pair within {} s, CPU ns per event", counted(seconds.into()));
        if !plan.wants(SECTION, &name) {
            continue;
        }
        let (found, usual): (Vec<f64>, Vec<f64>) = (0..plan.runs).map(|_| (run(seconds), run(USUAL_WINDOW_S))).unzip();
        let times = Spread::of_ratios(&found, &usual).median;
        table.add(flat(Row::new(name, Spread::of(found)), times, "that of 10 s"));
    }
}

/// `pair` without a key: an equality says what belongs together, and all partial matches are of one line, 1,000 for each second of the window.
fn joined(plan: &Plan, table: &mut Table<'_>) {
    let run = |seconds: u32| {
        let workload = Workload::PairWithin(seconds);
        let text = workload.text().replace("from events by k", "from events").replace("amt > a.amt", "k == a.k and amt > a.amt").replace("emit k", "emit a.k");
        let options = EngineOptions { runs_per_key_max: u64::MAX, ..EngineOptions::default() };
        per_event_of(&text, workload, sized(plan, EVENTS / 4), options, plain)
    };
    for seconds in [1, USUAL_WINDOW_S, 100] {
        let name = format!("pair by an equality and no key, within {} s, CPU ns per event", counted(seconds.into()));
        if !plan.wants(SECTION, &name) {
            continue;
        }
        let (found, usual): (Vec<f64>, Vec<f64>) = (0..plan.runs).map(|_| (run(seconds), run(USUAL_WINDOW_S))).unzip();
        let times = Spread::of_ratios(&found, &usual).median;
        table.add(flat(Row::new(name, Spread::of(found)), times, "that of 10 s"));
    }
}

fn long(plan: &Plan, table: &mut Table<'_>) {
    let name = "pair, the last fifth of 5,000,000 events, CPU ns per event";
    if !plan.wants(SECTION, name) {
        return;
    }
    let fifth = sized(plan, 1_000_000);
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let mut rig = Rig::new(&Workload::Pair.text(), EngineOptions::default());
        let fifths: Vec<f64> = (0..5).map(|_| rig.feed_timed(fifth, plain)).collect();
        first.push(fifths[1]);
        last.push(fifths[4]);
    }
    let times = Spread::of_ratios(&last, &first).median;
    table.add(flat(Row::new(name, Spread::of(last)), times, "that of the second"));
}

fn out_of_order(plan: &Plan, table: &mut Table<'_>) {
    let name = "pair, half of the events up to 5 s out of order, CPU ns per event";
    if !plan.wants(SECTION, name) {
        return;
    }
    let shuffled = |number: u64| {
        let event = plain(number);
        // By other bits than those that the fields are made of.
        let delay_ms = if number.is_multiple_of(2) { (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % LATENESS_MS } else { 0 };
        Fields { at_ms: event.at_ms - delay_ms.cast_signed(), ..event }
    };
    let lateness = TimeSpan::parse("5s").expect("a span");
    let figures = Spread::of((0..plan.runs).map(|_| per_event(Workload::Pair, plan, lateness, shuffled)));
    let in_order = Spread::of((0..plan.runs).map(|_| per_event(Workload::Pair, plan, lateness, plain)));
    table.add(Row::new(name, figures).beside(format!("all in order, held back as long: {}", shown(in_order.median))));
}

fn hot_key(plan: &Plan, table: &mut Table<'_>) {
    let name = "pair, half of the events on one key, CPU ns per event";
    if plan.wants(SECTION, name) {
        table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| per_event(Workload::Pair, plan, TimeSpan::ZERO, hot)))));
    }
}

/// Half of the events are of one key.
pub fn hot(number: u64) -> Fields {
    let event = plain(number);
    if number.is_multiple_of(2) { Fields { k: 0, ..event } } else { event }
}

/// A row for each number of rules; `run` gives the CPU nanoseconds per event.
fn by_rules<const N: usize>(plan: &Plan, table: &mut Table<'_>, numbers: [u64; N], what: &str, run: impl Fn(u64) -> f64) {
    for rules in numbers {
        let name = format!("{} rules {what}, CPU ns per event", counted(rules));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| run(rules)))));
        }
    }
}

/// Many patterns that all have something of one key: each event begins a run of one, beside four that it has open, and of all others.
fn on_one_key(plan: &Plan, table: &mut Table<'_>) {
    by_rules(plan, table, [10, 100, 1_000, 5_000], "with open partial matches of one key", |rules| {
        let rule = |rule: u64| format!("match a: events where typ == {rule} then b: events where typ == {} within {}ms", rules + rule, rules * 4 / 10);
        let event = |number: u64| Fields { k: 0, typ: (number * 7_919 % rules).cast_signed(), amt: 0, at_ms: FIRST_MS + (number / 10).cast_signed() };
        Rig::new(&patterns((0..rules).map(rule)), EngineOptions::default()).feed_timed(sized(plan, EVENTS / 2), event)
    });
}

/// Rules that ask for amounts of all sizes, most of them for more than an event ever has.
fn thresholds(plan: &Plan, table: &mut Table<'_>) {
    by_rules(plan, table, [10, 1_000, 10_000], "by thresholds that no event reaches", |rules| {
        let rule = |rule: u64| format!("match a: events where amt > {} then b: events where amt < {} within 10s", 10_000 + rule, -1 - rule.cast_signed());
        Rig::new(&patterns((0..rules).map(rule)), EngineOptions::default()).feed_timed(sized(plan, EVENTS / 4), plain)
    });
}

/// Rules that await what nearly every event is, where something of a few of them waits.
fn awaited(plan: &Plan, table: &mut Table<'_>) {
    by_rules(plan, table, [10, 100, 1_000], "that await a greater amount than before", |rules| {
        let rule = |rule: u64| format!("match a: events where typ == {rule} then b: events where amt > a.amt within 10s");
        per_event_by_hand(plan, &patterns((0..rules).map(rule)), rules, |rule, event| event.typ == rule, |_, first, event| event.amt > first.amt)
    });
    by_rules(plan, table, [10, 100, 1_000], "that await a difference to before", |rules| {
        let rule = |rule: u64| format!("match a: events where typ == {rule} then b: events where amt - a.amt > 900 within 10s");
        per_event_by_hand(plan, &patterns((0..rules).map(rule)), rules, |rule, event| event.typ == rule, |_, first, event| event.amt - first.amt > 900)
    });
}

/// A rule that asks for one of very many values, and then for none of them.
fn listed(plan: &Plan, table: &mut Table<'_>) {
    for values in [10, 1_000, 100_000] {
        let name = format!("a rule with a list of {} values, CPU ns per event", counted(values));
        if !plan.wants(SECTION, &name) {
            continue;
        }
        let (begins, completes) = (|typ: i64| typ < 10, |typ: i64| typ >= 990);
        let list: Vec<String> = (0..values.cast_signed()).map(|value| if value < 10 { value } else { 1_000 + value }.to_string()).collect();
        let rule = "match a: events where typ in many then b: events where not (typ in many or typ < 990) within 10s".to_owned();
        let text = format!("list many = [{}]\n{}", list.join(", "), patterns([rule]));
        let run = || per_event_by_hand(plan, &text, 1, |_, event| begins(event.typ), |_, _, event| completes(event.typ));
        table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| run()))));
    }
}

/// Rules that begin with what more than one equality tells.
fn begun(plan: &Plan, table: &mut Table<'_>) {
    let second = |rule: i64| (7 * rule + 1) % 1_000;
    let completes = |rule: i64, _: Fields, event: Fields| event.typ == second(rule);
    by_rules(plan, table, [10, 100, 1_000], "that begin with one value or another", |rules| {
        let rule =
            |rule: u64| format!("match a: events where typ == {rule} or amt == {rule} then b: events where typ == {} within 10s", second(rule.cast_signed()));
        per_event_by_hand(plan, &patterns((0..rules).map(rule)), rules, |rule, event| event.typ == rule || event.amt == rule, completes)
    });
    by_rules(plan, table, [10, 100, 1_000], "that begin with a range of values", |rules| {
        let rule = |rule: u64| {
            let second = second(rule.cast_signed());
            format!("match a: events where typ >= {rule} and typ < {} then b: events where typ == {second} within 10s", rule + 1)
        };
        per_event_by_hand(plan, &patterns((0..rules).map(rule)), rules, |rule, event| event.typ == rule, completes)
    });
    by_rules(plan, table, [10, 100, 1_000], "that begin with what is calculated", |rules| {
        let rule = |rule: u64| format!("match a: events where typ * 2 == {} then b: events where typ == {} within 10s", 2 * rule, second(rule.cast_signed()));
        per_event_by_hand(plan, &patterns((0..rules).map(rule)), rules, |rule, event| event.typ == rule, completes)
    });
}

/// CPU nanoseconds per event of a thousand types, for the text of these rules, where `begins` tells whether an event begins a partial match of a rule, and `completes` whether another does what it has begun, within 10 s.
fn per_event_by_hand(plan: &Plan, text: &str, rules: u64, begins: impl Fn(i64, Fields) -> bool, completes: impl Fn(i64, Fields, Fields) -> bool) -> f64 {
    let events = sized(plan, EVENTS / 10);
    let fields = |number: u64| fields(number, KEYS, 1_000);
    let mut rig = Rig::new(text, EngineOptions::default());
    let ns = rig.feed_timed(events, fields);
    let mut open: Vec<Vec<(i64, Fields)>> = vec![Vec::new(); usize::try_from(KEYS).expect("small")];
    let mut found = 0;
    for event in (0..events).map(fields) {
        let of_key = &mut open[usize::try_from(event.k).expect("keys are counted from 0")];
        of_key.retain(|(_, first)| event.at_ms < first.at_ms + 1_000 * i64::from(USUAL_WINDOW_S));
        let before = of_key.len();
        of_key.retain(|(rule, first)| !completes(*rule, *first, event));
        found += (before - of_key.len()) as u64;
        of_key.extend((0..rules.cast_signed()).filter(|rule| begins(*rule, event)).map(|rule| (rule, event)));
    }
    assert_eq!(rig.end(), found, "as by hand");
    ns
}

/// Rules that look for words in a path that no path has.
fn words(plan: &Plan, table: &mut Table<'_>) {
    let plain = |number: u64| {
        if number.is_multiple_of(2) { format!("contains(path, \"word{number}x\")") } else { format!("matches(path, \"(get|put)_{number}/[0-9]+\")") }
    };
    let folded = |number: u64| {
        if number.is_multiple_of(2) {
            format!("contains(lower(path), \"word{number}x\") or starts_with(upper(path), \"WORD{number}\")")
        } else {
            format!("matches(path, \"(?i)[a-z]+_put{number}/[0-9]+\")")
        }
    };
    by_words(plan, table, "by words in a text that has none of them", plain);
    by_words(plan, table, "by words in a text that has none of them, in small letters or capitals", folded);
}

/// Every event has the same text, and none has a word that is asked for.
fn by_words(plan: &Plan, table: &mut Table<'_>, what: &str, asked: impl Fn(u64) -> String) {
    by_rules(plan, table, [10, 1_000, 10_000], what, |rules| {
        let rule = |number: u64| {
            let asked = asked(number);
            format!(
                "pattern rule_{number} {{\n from requests by k\n match a: requests where {asked} then b: requests where {asked} within 10s\n skip none\n}}\n"
            )
        };
        let text = "stream requests { k: int  path: string }\n".to_owned() + &(0..rules).map(rule).collect::<String>();
        let events = sized(plan, EVENTS / 10);
        let mut rig = Rig::new(&text, EngineOptions::default());
        let path = Value::text("/articles/2026/11/word-of-the-week/images/large.png?get_from=somewhere");
        let time = EventTime::from_millis(FIRST_MS).expect("this century");
        let mut event = Event { stream: StreamId(0), partition: 0, offset: 0, time, fields: [Value::Int(1), path].into() };
        let arrive = || {
            for number in 0..events {
                event.offset = number;
                rig.engine.arrive(&mut event, number, number + 1, &mut Vec::new());
            }
        };
        timed(arrive).0 / events as f64
    });
}

fn flat(row: Row, times: f64, of: &str) -> Row {
    row.goal(format!("at most {TIMES_MAX} times {of} ({})", shown(times)), times <= TIMES_MAX)
}

/// CPU nanoseconds per event, matches checked against those found by hand in the same events in order.
fn per_event(workload: Workload, plan: &Plan, lateness: TimeSpan, fields: impl Fn(u64) -> Fields + Copy) -> f64 {
    let options = EngineOptions { timings: Some(vec![StreamTiming::of_lateness(lateness)]), ..EngineOptions::default() };
    per_event_of(&workload.text(), workload, sized(plan, EVENTS), options, fields)
}

/// The same for a text of which the matches are those of the workload.
fn per_event_of(text: &str, workload: Workload, events: u64, options: EngineOptions, fields: impl Fn(u64) -> Fields + Copy) -> f64 {
    let mut rig = Rig::new(text, options);
    let ns = rig.feed_timed(events, fields);
    let matches = rig.end();
    let mut ordered: Vec<Fields> = (0..events).map(fields).collect();
    // Stable: of equal times, the lower offset comes first.
    ordered.sort_by_key(|event| event.at_ms);
    assert_eq!(matches, kernels::matches(workload, ordered), "as by hand");
    ns
}
