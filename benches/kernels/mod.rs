//! The workloads written by hand: what a compiled pattern costs at best, and the match counts that it must reach.
//!
//! As in the engine, the type decides first whether anything wants the event; only then is it held back until time goes on, and only then is its
//! key looked up; only a start makes a slot for a key.
//!
//! | file | holds |
//! |---|---|
//! | `keys` | the table from key to slot |
//! | `lines` | the open starts of each key, and when to look at them again |

mod keys;
mod lines;

use std::collections::VecDeque;

use super::workloads::typed::{Fields, Rule, Workload, batch_events, fields};
use lines::{Lines, Row};

/// Later than all events, and small enough to be reckoned with.
const END_MS: i64 = i64::MAX / 2;

/// Runs the workload to its end and gives the number of matches. `reached` is told how many events were taken, after every batch.
pub fn run(workload: Workload, events: u64, keys: u64, mut reached: impl FnMut(u64)) -> u64 {
    let mut kernel = Kernel::new(workload);
    let batch = batch_events(events);
    for first in (0..events).step_by(usize::try_from(batch).expect("small")) {
        let last = (first + batch).min(events);
        for number in first..last {
            kernel.take(fields(number, keys, workload.types()));
        }
        reached(last);
    }
    kernel.end()
}

/// The matches of other events, which are in order.
pub fn matches(workload: Workload, events: impl IntoIterator<Item = Fields>) -> u64 {
    let mut kernel = Kernel::new(workload);
    events.into_iter().for_each(|event| kernel.take(event));
    kernel.end()
}

struct Kernel {
    workload: Workload,
    /// By type: whether any step wants it.
    wanted: Vec<bool>,
    /// By type of the first event, the patterns that it may start: least amount, in order, and the type awaited. Those that differ only in that
    /// amount are a family with one row for each start, which remembers how many of them, in order of the amount, the start satisfies.
    families: Vec<Vec<(i64, u32)>>,
    lines: Lines,
    /// Deadline and key of each start that still waits, where that is the oldest of its key.
    absences: VecDeque<(i64, u32)>,
    /// Events of the newest time.
    held: Vec<Fields>,
    matches: u64,
}

impl Kernel {
    fn new(workload: Workload) -> Self {
        let types = usize::try_from(workload.types()).expect("a thousand");
        let mut wanted = vec![false; types];
        let mut families = vec![Vec::new(); types];
        match workload {
            Workload::Rules(rules) => {
                for Rule { first, least, second } in (0..rules).map(Rule::numbered) {
                    families[index(first)].push((least, number(second)));
                    wanted[index(first)] = true;
                    wanted[index(second)] = true;
                }
            }
            Workload::Triple => wanted[..3].fill(true),
            Workload::Pair | Workload::PairWithin(_) | Workload::Absence => wanted[..2].fill(true),
        }
        families.iter_mut().for_each(|family| family.sort_unstable());
        let window_ms = 1_000 * i64::from(workload.window_s());
        Self { workload, wanted, families, lines: Lines::new(window_ms), absences: VecDeque::new(), held: Vec::new(), matches: 0 }
    }

    fn take(&mut self, event: Fields) {
        if let Some(first) = self.held.first()
            && first.at_ms < event.at_ms
        {
            self.release();
        }
        if self.wanted[index(event.typ)] {
            self.held.push(event);
        }
    }

    /// The watermark has passed the events held.
    fn release(&mut self) {
        let now_ms = self.held.first().map_or(END_MS, |event| event.at_ms);
        let mut held = std::mem::take(&mut self.held);
        for event in held.drain(..) {
            self.decide_absences(event.at_ms);
            self.step(event);
        }
        self.held = held;
        self.lines.advance(now_ms);
    }

    fn end(mut self) -> u64 {
        if !self.held.is_empty() {
            self.release();
        }
        self.decide_absences(END_MS);
        self.lines.advance(END_MS);
        assert_eq!(self.lines.len(), 0, "keys left in the end");
        self.matches
    }

    /// Deadlines come before events of the same time.
    fn decide_absences(&mut self, now_ms: i64) {
        while let Some(&(at_ms, key)) = self.absences.front().filter(|absence| absence.0 <= now_ms) {
            self.absences.pop_front();
            let start_ms = at_ms - self.lines.window_ms;
            let Some(slot) = self.lines.get(key) else { continue };
            let waiting = &mut slot.states[0].0;
            if waiting.first().is_some_and(|row| row.start_ms == start_ms) {
                waiting.remove(0);
                self.matches += 1;
            }
        }
    }

    fn step(&mut self, event: Fields) {
        let (key, amount) = (number(event.k), event.amt);
        let started = Row { start_ms: event.at_ms, register: amount, awaited: 0 };
        match (self.workload, event.typ) {
            (Workload::Rules(_), _) => self.step_rules(event),
            (Workload::Absence, 0) => {
                self.absences.push_back((event.at_ms + self.lines.window_ms, key));
                self.lines.start(key, started);
            }
            (_, 0) => self.lines.start(key, started),
            (Workload::Absence, _) => {
                if let Some(slot) = self.lines.get(key) {
                    slot.states[0].0.clear();
                }
            }
            (Workload::Triple, 1) => {
                let Some(slot) = self.lines.live(key, event.at_ms) else { return };
                let [first, second] = &mut slot.states;
                first.take(
                    |row| amount > row.register,
                    |row| {
                        let place = second.0.partition_point(|other| other.start_ms <= row.start_ms);
                        second.0.insert(place, Row { register: amount, ..row });
                    },
                );
            }
            (workload, _) => {
                let Some(slot) = self.lines.live(key, event.at_ms) else { return };
                let state = &mut slot.states[usize::from(workload == Workload::Triple)];
                state.take(|row| amount > row.register, |_| self.matches += 1);
            }
        }
    }

    fn step_rules(&mut self, event: Fields) {
        let (key, kind) = (number(event.k), number(event.typ));
        if self.lines.get(key).is_some_and(|slot| slot.awaits >> (kind % 64) & 1 == 1) {
            let slot = self.lines.live(key, event.at_ms).expect("it was there");
            slot.states[0].take(|row| row.awaited == kind, |row| self.matches += row.register.cast_unsigned());
            slot.awaits = slot.states[0].0.iter().fold(0, |bits, row| bits | 1 << (row.awaited % 64));
        }
        let family = &self.families[index(event.typ)];
        let satisfied = family.partition_point(|&(least, _)| least <= event.amt);
        if satisfied > 0 {
            let register = i64::try_from(satisfied).expect("few");
            self.lines.start(key, Row { start_ms: event.at_ms, register, awaited: family[0].1 });
        }
    }
}

fn index(typ: i64) -> usize {
    usize::try_from(typ).expect("a type is small and not negative")
}

fn number(value: i64) -> u32 {
    u32::try_from(value).expect("keys and types are small and not negative")
}
