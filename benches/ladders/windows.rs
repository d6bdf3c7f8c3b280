//! Conditions that ask for windows: over few events and very many, and of many rules. Every event counts and asks; matches are counted by hand as well, in the way that one would write for one such rule.

use std::collections::{BTreeMap, HashMap, VecDeque};

use motif::engine::EngineOptions;

use super::super::Plan;
use super::super::measure::{Spread, counted, shown, timed};
use super::super::table::{Row, Table};
use super::super::workloads::typed::{Fields, fields};
use super::rig::{Rig, patterns};
use super::{SECTION, sized};

const EVENTS: u64 = 2_000_000;
/// Of ten thousand events a second each has a hundred.
const KEYS: u64 = 100;
const TYPES: u64 = 10;
const PER_SECOND: f64 = 100.0;

/// What counts as flat.
const TIMES_MAX: f64 = 1.5;

const RULES_KEYS: u64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Count,
    Sum,
    Least,
    Distinct,
}

impl Asked {
    const ALL: [Self; 4] = [Self::Count, Self::Sum, Self::Least, Self::Distinct];

    fn text(self, seconds: u32) -> String {
        match self {
            Self::Count => format!("count(events over {seconds}s)"),
            Self::Sum => format!("sum(events.amt over {seconds}s)"),
            Self::Least => format!("min(events.amt over {seconds}s)"),
            Self::Distinct => format!("distinct(events.amt over {seconds}s)"),
        }
    }

    /// More than that it is seldom.
    fn most(self, seconds: u32) -> i64 {
        let events = PER_SECOND * f64::from(seconds);
        (match self {
            Self::Count => events + 2.0 * events.sqrt(),
            Self::Sum => 500.0 * events + 1_100.0 * events.sqrt(),
            Self::Least => 3_000.0 / events,
            Self::Distinct => 1_000.0 * (1.0 - (-events / 1_000.0).exp()) + 1.5 * events.sqrt().min(10.0),
        }) as i64
    }
}

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    for asked in Asked::ALL {
        of_one(asked, plan, table);
    }
    of_rules(plan, table);
}

fn of_one(asked: Asked, plan: &Plan, table: &mut Table<'_>) {
    let events = sized(plan, EVENTS);
    let of_number = |number: u64| fields(number, KEYS, TYPES);
    let run = |seconds: u32| {
        let (text, most) = (asked.text(seconds), asked.most(seconds));
        let steps = format!("match a: events where {text} > {most} within 1s");
        let mut rig = Rig::new(&patterns([steps]), EngineOptions::default());
        let ns = rig.feed_timed(events, of_number);
        (ns, rig.end(), most)
    };
    for seconds in [1, 10, 100] {
        let name = format!("`{}`, {} events, CPU ns per event", asked.text(seconds), counted((PER_SECOND * f64::from(seconds)) as u64));
        if !plan.wants(SECTION, &name) {
            continue;
        }
        let (mut found, mut usual, mut hand) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.runs {
            let (ns, matches, most) = run(seconds);
            let (hand_ns, by_hand) = timed(|| by_hand(asked, i64::from(seconds) * 1_000, most, (0..events).map(of_number)));
            assert_eq!(matches, by_hand, "as by hand");
            found.push(ns);
            hand.push(hand_ns / events as f64);
            usual.push(run(10).0);
        }
        let times = Spread::of_ratios(&found, &usual).median;
        let row = Row::new(name, Spread::of(found)).beside(format!("by hand {}", shown(Spread::of(hand).median)));
        table.add(row.goal(format!("at most {TIMES_MAX} times that of 10 s ({})", shown(times)), times <= TIMES_MAX));
    }
}

/// None of them ever begins anything.
fn of_rules(plan: &Plan, table: &mut Table<'_>) {
    let count = |rule: u64| format!("count(events over 10s) > {}", 1_000 + rule);
    let sum = |rule: u64| format!("typ == {} and sum(events.amt over {}s) > {}", rule % TYPES, 5 + rule % 7, 1_000_000 + rule);
    let wheres: [(&str, &dyn Fn(u64) -> String); 2] = [("`count(events over 10s) > n`", &count), ("`typ == n and sum(events.amt over ms) > n`", &sum)];
    for (what, asked) in wheres {
        for rules in [1, 100, 1_000, 10_000] {
            let name = format!("{} rules of {what}, CPU ns per event", counted(rules));
            if !plan.wants(SECTION, &name) {
                continue;
            }
            let text = patterns((0..rules).map(|rule| format!("match a: events where {} within 1s", asked(rule))));
            let figures = (0..plan.runs).map(|_| {
                let mut rig = Rig::new(&text, EngineOptions::default());
                let ns = rig.feed_timed(sized(plan, EVENTS / 2), |number| fields(number, RULES_KEYS, TYPES));
                assert_eq!(rig.matches, 0, "nothing begins");
                ns
            });
            table.add(Row::new(name, Spread::of(figures)));
        }
    }
}

/// For how many events the window of their key is more than `most`.
fn by_hand(asked: Asked, span_ms: i64, most: i64, events: impl Iterator<Item = Fields>) -> u64 {
    #[derive(Default)]
    struct OfKey {
        events: VecDeque<(i64, i64)>,
        sum: i64,
        by_amt: BTreeMap<i64, u32>,
        distinct: HashMap<i64, u32>,
    }
    let mut keys: Vec<OfKey> = (0..KEYS).map(|_| OfKey::default()).collect();
    let mut found = 0;
    for Fields { k, amt, at_ms, .. } in events {
        let key = &mut keys[usize::try_from(k).expect("counted from 0")];
        key.events.push_back((at_ms, amt));
        match asked {
            Asked::Count => {}
            Asked::Sum => key.sum += amt,
            Asked::Least => *key.by_amt.entry(amt).or_default() += 1,
            Asked::Distinct => *key.distinct.entry(amt).or_default() += 1,
        }
        while let Some(&(first_ms, gone)) = key.events.front()
            && first_ms <= at_ms - span_ms
        {
            key.events.pop_front();
            match asked {
                Asked::Count => {}
                Asked::Sum => key.sum -= gone,
                Asked::Least => {
                    let left = key.by_amt.get_mut(&gone).expect("it was counted");
                    *left -= 1;
                    if *left == 0 {
                        key.by_amt.remove(&gone);
                    }
                }
                Asked::Distinct => {
                    let left = key.distinct.get_mut(&gone).expect("it was counted");
                    *left -= 1;
                    if *left == 0 {
                        key.distinct.remove(&gone);
                    }
                }
            }
        }
        let value = match asked {
            Asked::Count => key.events.len() as i64,
            Asked::Sum => key.sum,
            Asked::Least => *key.by_amt.keys().next().expect("the event at hand"),
            Asked::Distinct => key.distinct.len() as i64,
        };
        found += u64::from(value > most);
    }
    found
}
