//! The longest piece of work: CPU milliseconds of one call that applies a thousand events.
//!
//! Each call is measured in every run, and the least of its figures counts, for the engine does the same each time; then the greatest of all calls.

use motif::engine::EngineOptions;

use super::super::Plan;
use super::super::measure::{counted, shown};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, Workload};
use super::load::hot;
use super::rig::Rig;
use super::{SECTION, sized};

const PAUSE_MS_MAX: f64 = 50.0;
const HOUR_MS: i64 = 3_600_000;
const KEYS: u64 = 1_000_000;
const ABSENCES: u64 = 10_000;

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let keys = sized(plan, KEYS);
    let start = move |number: u64| Fields { k: number.cast_signed(), typ: 0, amt: 500, at_ms: FIRST_MS + (number / 1_000).cast_signed() };
    let later = move |number: u64| Fields { typ: 2, at_ms: FIRST_MS + HOUR_MS, ..start(number) };
    let pair = "match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 10m";
    let absence = "match a: events where typ == 0 then not b: events where typ == 1 for 10m";
    let name = |what: &str| format!("longest pause, {what}, CPU ms");
    longest(&name(&format!("while {} keys are made", counted(KEYS))), plan, table, || Rig::of(pair).feed_by_batch(keys, start));
    longest(&name(&format!("an hour on, {} partial matches expire", counted(KEYS))), plan, table, || {
        let mut rig = Rig::of(pair);
        rig.feed(keys, start);
        rig.feed_by_batch(100_000, later)
    });
    longest(&name(&format!("an hour on, {} absences are decided", counted(ABSENCES))), plan, table, || {
        let mut rig = Rig::of(absence);
        rig.feed(sized(plan, ABSENCES), start);
        rig.feed_by_batch(100_000, later)
    });
    longest(&name("half of the events on one key"), plan, table, || {
        Rig::new(&Workload::Pair.text(), EngineOptions::default()).feed_by_batch(sized(plan, 2_000_000), hot)
    });
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
