//! Conditions that look back: with very many partial matches of one key that wait for more than they have, with very many events that a step has taken, and both.

use std::collections::BTreeMap;

use motif::engine::EngineOptions;

use super::super::Plan;
use super::super::measure::{Spread, counted};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{FIRST_MS, Fields, fields};
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const EVENTS: u64 = 500_000;
const KEYS: u64 = 100;
const WITHIN_MS: i64 = 1_000;
const MORE: i64 = 990;

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    for within_s in [1, 10, 100] {
        let name = format!("an event compared with each of some {} that wait for more on one key, CPU ns per event", counted(within_s * 1_000));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| one_key(within_s, sized(plan, EVENTS))))));
        }
    }
    for within_s in [1, 10, 100] {
        let name = format!("an absence that each of some {} waits for on one key, of which each event begins one, CPU ns per event", counted(within_s * 1_000));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| one_absence(100 * within_s.cast_signed(), sized(plan, EVENTS / 5))))));
        }
    }
    for within_s in [1, 10, 100] {
        let name = format!("an absence of a value of their own that each of some {} waits for on one key, CPU ns per event", counted(within_s * 1_000));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| valued_absence(1_000 * within_s.cast_signed(), sized(plan, EVENTS))))));
        }
    }
    for within_s in [1, 10, 100] {
        let name =
            format!("a loop or another step, of a value of their own that each of some {} waits for on one key, CPU ns per event", counted(within_s * 1_000));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| loop_or_step(1_000 * within_s.cast_signed(), sized(plan, EVENTS))))));
        }
    }
    for taken in [1_000, 100_000] {
        let name = format!("an event compared with the average of up to {} that a step has taken, CPU ns per event", counted(taken));
        if plan.wants(SECTION, &name) {
            table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| one_loop(taken)))));
        }
    }
    let name = "an event compared with the sum of each loop that may have ended (59 on its key), CPU ns per event";
    if plan.wants(SECTION, name) {
        table.add(Row::new(name, Spread::of((0..plan.runs).map(|_| many_loops(sized(plan, EVENTS))))));
    }
}

/// A tenth of the events begin partial matches, and another tenth is compared with all of them.
fn one_key(within_s: u64, events: u64) -> f64 {
    let steps = format!("match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt + {MORE} within {within_s}s");
    let options = EngineOptions { runs_per_key_max: u64::MAX, ..EngineOptions::default() };
    let mut rig = Rig::new(&patterns([steps]), options);
    let ns = rig.feed_timed(events, |number| fields(number, 1, 10));
    // By amount, since few are far enough below another to be looked at.
    let mut waiting: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut found = 0;
    for Fields { typ, amt, at_ms, .. } in (0..events).map(|number| fields(number, 1, 10)) {
        match typ {
            0 => waiting.entry(amt).or_default().push(at_ms),
            1 => {
                let less: Vec<i64> = waiting.range(..amt - MORE).map(|(amt, _)| *amt).collect();
                let starts = less.iter().filter_map(|amt| waiting.remove(amt)).flatten();
                found += starts.filter(|start| at_ms < start + 1_000 * within_s.cast_signed()).count() as u64;
            }
            _ => {}
        }
    }
    assert_eq!(rig.end(), found, "as by hand");
    ns
}

/// Ten events a millisecond, of which each begins a partial match that lasts so long; one in a million ends all that are open.
fn one_absence(lasts_ms: i64, events: u64) -> f64 {
    let ends = |event: Fields| event.typ == 2 && event.amt == 5;
    let steps = format!("match a: events then not b: events where typ == 2 and amt == 5 for {lasts_ms}ms");
    let mut rig = Rig::new(&patterns([steps]), EngineOptions { runs_per_key_max: u64::MAX, ..EngineOptions::default() });
    let event = |number: u64| fields(number, 1, 1_000);
    let ns = rig.feed_timed(events, event);
    let (mut found, mut next_end_ms) = (0, i64::MAX);
    for number in (0..events).rev() {
        found += u64::from(event(number).at_ms + lasts_ms <= next_end_ms);
        if ends(event(number)) {
            next_end_ms = event(number).at_ms;
        }
    }
    assert_eq!(rig.end(), found, "as by hand");
    ns
}

/// A tenth of the events begin partial matches that last so long, and another tenth would end those that wait for its value: some of them wait for nothing, which is one of a thousand.
fn valued_absence(lasts_ms: i64, events: u64) -> f64 {
    let steps = format!("match a: events where typ == 0 then not b: events where typ == 1 and amt == 1000 * (a.amt - 1) for {lasts_ms}ms");
    let mut rig = Rig::new(&patterns([steps]), EngineOptions { runs_per_key_max: u64::MAX, ..EngineOptions::default() });
    let event = |number: u64| fields(number, 1, 10);
    let ns = rig.feed_timed(events, event);
    let (mut found, mut next_end_ms) = (0, i64::MAX);
    for Fields { typ, amt, at_ms, .. } in (0..events).rev().map(event) {
        match typ {
            // All others wait for what no event has.
            0 => found += u64::from(amt != 1 || at_ms + lasts_ms <= next_end_ms),
            1 if amt == 0 => next_end_ms = at_ms,
            _ => {}
        }
    }
    assert_eq!(rig.end(), found, "as by hand");
    ns
}

/// The same where each goes on with events of one kind, each of which ends a match, and with the first of another.
fn loop_or_step(within_ms: i64, events: u64) -> f64 {
    let other = |name: &str, typ| format!("{name}: events where typ == {typ} and amt == 1000 * (a.amt - 1)");
    let steps = format!("match a: events where typ == 0 then ({} | {}) within {within_ms}ms", other("b+", 1), other("c", 2));
    let mut rig = Rig::new(&patterns([steps]), EngineOptions { runs_per_key_max: u64::MAX, ..EngineOptions::default() });
    let event = |number: u64| fields(number, 1, 10);
    let ns = rig.feed_timed(events, event);
    // All other starts wait for what no event has.
    let matters = |event: &Fields| event.typ == 0 && event.amt == 1 || [1, 2].contains(&event.typ) && event.amt == 0;
    let matter: Vec<Fields> = (0..events).map(event).filter(matters).collect();
    let starts = matter.iter().enumerate().filter(|(_, event)| event.typ == 0);
    let found_of = |(place, start): (usize, &Fields)| {
        let in_time = matter[place..].iter().take_while(|event| event.at_ms < start.at_ms + within_ms);
        let (loops, others): (Vec<i64>, Vec<i64>) = in_time.filter(|event| event.typ != 0).map(|event| event.typ).partition(|typ| *typ == 1);
        (loops.len() + others.len().min(1)) as u64
    };
    assert_eq!(rig.end(), starts.map(found_of).sum::<u64>(), "as by hand");
    ns
}

/// One partial match takes every other event; the ones between are compared with all that it has taken, and the last of them is more.
fn one_loop(taken: u64) -> f64 {
    let steps = "match s: events where typ == 0 then a+ greedy: events where typ == 1 then b: events where typ == 2 and amt > 2 * avg(a.amt)";
    let events = 2 * taken + 1;
    let event = |number: u64| {
        let typ = if number == 0 { 0 } else { 2 - (number % 2).cast_signed() };
        Fields { k: 0, typ, amt: if number + 1 == events { 1_000 } else { 1 }, at_ms: FIRST_MS + (number / 10).cast_signed() }
    };
    let mut rig = Rig::of(steps);
    let ns = rig.feed_timed(events, event);
    assert_eq!(rig.end(), 1, "the last completes it");
    ns
}

/// Each start goes on with each event of its kind, and each end that its loop may have waits for more than what it has added up.
fn many_loops(events: u64) -> f64 {
    let steps = format!("match a+: events where typ == 1 then b: events where amt > sum(a.amt) + {MORE} within {WITHIN_MS}ms");
    let event = |number: u64| fields(number, KEYS, 10);
    let mut rig = Rig::new(&patterns([steps]), EngineOptions::default());
    let ns = rig.feed_timed(events, event);
    assert_eq!(rig.end(), by_hand((0..events).map(event)), "as by hand");
    ns
}

fn by_hand(events: impl Iterator<Item = Fields>) -> u64 {
    /// Of one key, each with the time of its start and the sum so far.
    #[derive(Default)]
    struct Open {
        growing: Vec<(i64, i64)>,
        waiting: Vec<(i64, i64)>,
    }
    let mut by_key: BTreeMap<i64, Open> = BTreeMap::new();
    let mut found = 0;
    for event in events {
        let Open { growing, waiting } = by_key.entry(event.k).or_default();
        growing.retain(|(start, _)| event.at_ms < start + WITHIN_MS);
        waiting.retain(|(start, _)| event.at_ms < start + WITHIN_MS);
        let before = waiting.len();
        waiting.retain(|(_, sum)| event.amt <= sum + MORE);
        found += (before - waiting.len()) as u64;
        if event.typ == 1 {
            growing.push((event.at_ms, 0));
            growing.iter_mut().for_each(|(_, sum)| *sum += event.amt);
            waiting.extend_from_slice(growing);
        }
    }
    found
}
