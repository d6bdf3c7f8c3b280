//! The longest piece of work: CPU milliseconds of one call that applies a thousand events.
//!
//! Each call is measured in every run, and the least of its figures counts, for the engine does the same each time; then the greatest of all calls.

use std::ops::Range;
use std::sync::Arc;

use motif::config::Config;
use motif::engine::EngineOptions;
use motif::event::{EventTime, ProcessingTime, StreamId};
use motif::language::{Source, compile};
use motif::ports::{Record, RecordBatch};
use motif::service::task::{Task, TaskOptions};

use super::super::Plan;
use super::super::measure::{counted, shown, timed};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, Workload};
use super::load::hot;
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const PAUSE_MS_MAX: f64 = 50.0;
const HOUR_MS: i64 = 3_600_000;
const KEYS: u64 = 1_000_000;

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let keys = sized(plan, KEYS);
    let start = move |number: u64| Fields { k: number.cast_signed(), typ: 0, amt: 500, at_ms: FIRST_MS + (number / 1_000).cast_signed() };
    let later = move |number: u64| Fields { typ: 2, at_ms: FIRST_MS + HOUR_MS, ..start(number) };
    let pair = "match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 10m";
    let name = |what: &str| format!("longest pause, {what}, CPU ms");
    longest(&name(&format!("while {} keys are made", counted(KEYS))), plan, table, || Rig::of(pair).feed_by_batch(keys, start));
    longest(&name(&format!("an hour on, {} partial matches expire", counted(KEYS))), plan, table, || {
        let mut rig = Rig::of(pair);
        rig.feed(keys, start);
        rig.feed_by_batch(100_000, later)
    });
    let absence = "match a: events where typ == 0 then not b: events where typ == 1 for 10m";
    let by_value = "match a: events where typ == 0 then not b: events where typ == 1 and amt == a.amt + 5000 for 10m";
    // Of a key, all is written with each epoch in which it changes: so one line has fewer.
    let (each, one) = ((Line::OfEachKey, keys), (Line::One, keys / 10));
    for (what, steps, (line, absences)) in [("of as many keys", absence, each), ("of one line, found by value,", by_value, one)] {
        longest(&name(&format!("an hour on, {} absences {what} are decided", counted(absences))), plan, table, || decided(steps, line, absences, start));
    }
    longest(&name(&format!("a task of {} keys leaves", counted(10 * KEYS))), plan, table, || left(sized(plan, 10 * KEYS)));
    longest(&name("half of the events on one key"), plan, table, || {
        Rig::new(&Workload::Pair.text(), EngineOptions::default()).feed_by_batch(sized(plan, 2_000_000), hot)
    });
}

/// What the thread of a task has to do for it once it is somebody else's; what is left is let go of elsewhere.
fn left(keys: u64) -> Vec<f64> {
    let mut task = task(patterns(["match a: events where typ == 0 then b: events where typ == 1 within 10m".to_owned()]));
    let batches = |from: u64| (from..from + keys).step_by(1_000).map(move |first| (first, (from + keys).min(first + 1_000)));
    for (first, end) in batches(0).chain(batches(keys)) {
        // The second time in another order, so that memory is not let go of as it was taken.
        let key = |number: u64| if number < keys { number } else { number.wrapping_mul(7_368_787) % keys };
        let event = |number| Fields { k: key(number).cast_signed(), typ: 0, amt: 500, at_ms: FIRST_MS + (number / 100).cast_signed() };
        apply(&mut task, first..end, event);
        drop(task.take_changes());
    }
    assert_eq!(task.counters().keys_made, keys);
    vec![timed(|| task.into_memory()).0 / 1e6]
}

fn task(text: String) -> Task {
    let compiled = compile(&[Source { path: "ladder.motif".to_owned(), text }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    let options = TaskOptions::new(&Config::one_shot(Vec::new()), EventTime::from_millis(FIRST_MS).expect("fits"));
    Task::new(&Arc::new(compiled.program), &options, &[(StreamId(0), 0)])
}

fn apply(task: &mut Task, numbers: Range<u64>, event: impl Fn(u64) -> Fields) {
    let mut batch = RecordBatch::new(StreamId(0), 0);
    for offset in numbers {
        let event = event(offset);
        let text = format!("{{\"k\":{},\"typ\":{},\"amt\":{}}}", event.k, event.typ, event.amt);
        let timestamp = EventTime::from_millis(event.at_ms);
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp, bytes: text.as_bytes(), full_bytes: text.len() as u64 });
    }
    task.apply(&batch, ProcessingTime::from_micros(0)).expect("as declared");
}

/// Where the partial matches stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    OfEachKey,
    One,
}

/// What a task does once time brings so many absences at once, call by call, where what comes out is taken as a service takes it.
fn decided(steps: &str, line: Line, absences: u64, start: impl Fn(u64) -> Fields) -> Vec<f64> {
    let mut text = patterns([steps.to_owned()]);
    if line == Line::One {
        text = text.replace(" by k\n", "\n").replace("emit k", "emit a.k").replace("skip none", &format!("skip none  limit runs {absences}"));
    }
    let mut task = task(text);
    for number in 0..absences {
        apply(&mut task, number..number + 1, &start);
        if task.is_behind() {
            drop(task.take_changes());
            task.catch_up();
        }
    }
    assert!(task.take_epoch().expect("in memory").matches.is_empty(), "none is decided");
    drop(task.take_changes());
    let mut found = 0;
    let mut calls = vec![timed(|| apply(&mut task, absences..absences + 1, |_| Fields { at_ms: FIRST_MS + HOUR_MS, typ: 2, ..start(0) })).0 / 1e6];
    loop {
        calls.push(timed(|| found += task.take_epoch().expect("in memory").matches.len() as u64).0 / 1e6);
        calls.push(timed(|| drop(task.take_changes())).0 / 1e6);
        if !task.is_behind() {
            break;
        }
        calls.push(timed(|| task.go_on()).0 / 1e6);
    }
    assert_eq!(found, absences, "all are decided");
    calls
}

/// `run` gives the figures of its calls.
fn longest(name: &str, plan: &Plan, table: &mut Table<'_>, run: impl Fn() -> Vec<f64>) {
    if !plan.wants(SECTION, name) {
        return;
    }
    let runs: Vec<Vec<f64>> = (0..plan.runs).map(|_| run()).collect();
    let least = |call: usize| runs.iter().map(|calls| calls[call]).fold(f64::INFINITY, f64::min);
    let mut calls: Vec<f64> = (0..runs[0].len()).map(least).collect();
    calls.sort_by(f64::total_cmp);
    let (median, most) = (calls[calls.len() / 2], calls[calls.len() - 1]);
    table.add(
        Row::said(name, shown(most)).beside(format!("of {} calls, the middle one {}", counted(calls.len() as u64), shown(median))).at_most(most, PAUSE_MS_MAX),
    );
}
