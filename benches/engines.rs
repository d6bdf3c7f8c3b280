//! Engines side by side: typed events in memory, one thread, CPU time per event of Motif, of the same written by hand, and of the other engines.
//!
//! The first fifth of the events warms up and is not timed; making the events is. Match counts are equal everywhere.

use super::Plan;
use super::kernels;
use super::measure::{Spread, counted, cpu_ns, shown, timed};
use super::peers::Said;
use super::table::{Row, Table};
use super::workloads::typed::{Workload, batch_events};
use motif::engine::{Engine, EngineOptions};

pub const SECTION: &str = "engine";

/// How many times as much as by hand a pattern may cost, alone or as one of thousands.
const BY_HAND_MAX: f64 = 5.0;
const BY_HAND_OF_MANY_MAX: f64 = 3.0;
const MANY_PATTERNS: u32 = 1_000;
/// What others take to deploy is told where it is this much.
const DEPLOY_SHOWN_MS_MIN: f64 = 10_000.0;
/// For each pattern, from text to automaton.
const COMPILE_MS_MAX: f64 = 1.0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Esper,
    FlinkCep,
}

struct Case {
    workload: Workload,
    events: u64,
    keys: u64,
    /// What all engines agree on.
    matches: u64,
    ns_max: Option<f64>,
    /// And how many times less than theirs Motif's time is to be, 0 for no goal. Esper gets the longer runs, in which its machine has warmed up.
    peers: &'static [(Peer, f64)],
}

const fn case(workload: Workload, events: u64, keys: u64, matches: u64, ns_max: Option<f64>, peers: &'static [(Peer, f64)]) -> Case {
    Case { workload, events, keys, matches, ns_max, peers }
}

const CASES: [Case; 14] = [
    case(Workload::Pair, 5_000_000, 1_000, 445_781, Some(80.0), &[(Peer::Esper, 6.0)]),
    case(Workload::Pair, 2_000_000, 10_000, 70_868, Some(80.0), &[(Peer::FlinkCep, 100.0)]),
    case(Workload::Pair, 5_000_000, 100_000, 23_042, Some(85.0), &[(Peer::Esper, 6.0)]),
    case(Workload::Pair, 5_000_000, 1_000_000, 0, None, &[]),
    case(Workload::Pair, 5_000_000, 10_000_000, 0, None, &[]),
    case(Workload::Triple, 2_000_000, 10_000, 77_951, Some(120.0), &[(Peer::FlinkCep, 100.0)]),
    case(Workload::Triple, 3_000_000, 10_000, 123_316, Some(120.0), &[(Peer::Esper, 10.0)]),
    case(Workload::Absence, 2_000_000, 10_000, 75_774, Some(80.0), &[(Peer::Esper, 9.0), (Peer::FlinkCep, 100.0)]),
    case(Workload::Rules(1), 3_000_000, 10_000, 0, None, &[]),
    case(Workload::Rules(10), 3_000_000, 10_000, 0, None, &[]),
    case(Workload::Rules(100), 500_000, 10_000, 470, None, &[(Peer::Esper, 0.0)]),
    case(Workload::Rules(1_000), 300_000, 10_000, 2_450, Some(150.0), &[(Peer::Esper, 100.0)]),
    case(Workload::Rules(1_000), 3_000_000, 10_000, 29_170, Some(150.0), &[]),
    case(Workload::Rules(10_000), 3_000_000, 10_000, 221_940, Some(250.0), &[]),
];

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    for case in CASES.iter().filter(|case| plan.wants(SECTION, &case.name())) {
        table.add(case.measure(plan));
    }
    for rules in [1, 1_000, 10_000] {
        let name = format!("compile and deploy, {} rules, CPU ms per pattern", counted(rules.into()));
        if plan.wants(SECTION, &name) {
            let spread = Spread::of((0..plan.runs).map(|_| compile_ms(Workload::Rules(rules))));
            table.add(Row::new(name, spread).goal(format!("below {COMPILE_MS_MAX}"), spread.median < COMPILE_MS_MAX));
        }
    }
}

/// CPU milliseconds for each pattern, from text to an engine that can take events.
fn compile_ms(workload: Workload) -> f64 {
    let (spent_ns, engine) = timed(|| Engine::new(&workload.program(), EngineOptions::default()));
    drop(engine);
    spent_ns / 1e6 / f64::from(workload.patterns())
}

/// What one turn took of a peer, or why it has nothing to say.
type Turn = Result<Said, String>;

impl Case {
    fn name(&self) -> String {
        let rules = match self.workload {
            Workload::Rules(1) => " 1 rule,".to_owned(),
            Workload::Rules(rules) => format!(" {} rules,", counted(rules.into())),
            _ => String::new(),
        };
        format!("{},{rules} {} keys, {} events", self.workload.name(), counted(self.keys), counted(self.events))
    }

    /// By turns, so that what else the machine does meets all alike.
    fn measure(&self, plan: &Plan) -> Row {
        let events = self.events / plan.part;
        let events = events.max(1).next_multiple_of(5 * batch_events(events));
        let is_whole = events == self.events && self.matches > 0;
        let (mut motif, mut by_hand, mut peers) = (Vec::new(), Vec::new(), vec![Vec::new(); self.peers.len()]);
        for _ in 0..plan.runs {
            let (ns, matches) = per_event(events, |reached| kernels::run(self.workload, events, self.keys, reached));
            by_hand.push(ns);
            assert!(!is_whole || matches == self.matches, "{}: {matches} matches by hand", self.name());
            plan.note(&format!("{}: {ns:.1} ns by hand", self.name()));
            let (ns, found) = per_event(events, |reached| self.workload.run(events, self.keys, reached));
            motif.push(ns);
            assert_eq!(found, matches, "{}: Motif finds what is found by hand", self.name());
            plan.note(&format!("{}: {ns:.1} ns", self.name()));
            for ((peer, _), turns) in self.peers.iter().zip(&mut peers) {
                turns.push(self.peer(*peer, plan, events, matches));
            }
        }
        self.row(&motif, &by_hand, &peers)
    }

    fn peer(&self, peer: Peer, plan: &Plan, events: u64, matches: u64) -> Turn {
        let (events, keys, rules) = (events.to_string(), self.keys.to_string(), self.workload.patterns().to_string());
        let said = plan.peers.run(&[peer.argument(), self.workload.name(), &events, &keys, &rules])?;
        // Esper's time ends with the last event: what is undecided then stays so.
        assert!(said.matches == matches || peer == Peer::Esper && self.workload == Workload::Absence, "{} finds {} of {matches}", peer.name(), said.matches);
        plan.note(&format!("{}: {:.0} ns on {}", self.name(), said.cpu_ns, peer.name()));
        Ok(said)
    }

    fn row(&self, motif: &[f64], by_hand: &[f64], peers: &[Vec<Turn>]) -> Row {
        let spread = Spread::of(motif.iter().copied());
        let mut row = Row::new(format!("{}, CPU ns per event", self.name()), spread);
        if let Some(most) = self.ns_max {
            row = row.at_most(spread.median, most);
        }
        row = self.beside_by_hand(row, motif, by_hand);
        for ((peer, times_min), turns) in self.peers.iter().zip(peers) {
            row = match turns.iter().cloned().collect::<Result<Vec<Said>, String>>() {
                Ok(turns) => peer.beside(row, motif, &turns, *times_min),
                Err(why) => row.beside(format!("{} {why}", peer.name())),
            };
        }
        row
    }

    fn beside_by_hand(&self, row: Row, motif: &[f64], by_hand: &[f64]) -> Row {
        let times = Spread::of_ratios(motif, by_hand);
        let row = row.beside(format!("by hand {} ({} times as much)", shown(Spread::of(by_hand.iter().copied()).median), shown(times.median)));
        let most = match self.workload.patterns() {
            1 => BY_HAND_MAX,
            MANY_PATTERNS.. => BY_HAND_OF_MANY_MAX,
            _ => return row,
        };
        row.goal(format!("at most {most} times by hand"), times.median <= most)
    }
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Esper => "Esper",
            Self::FlinkCep => "FlinkCEP",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Esper => "esper",
            Self::FlinkCep => "flinkcep",
        }
    }

    fn beside(self, row: Row, motif: &[f64], turns: &[Said], times_min: f64) -> Row {
        let figures: Vec<f64> = turns.iter().map(|said| said.cpu_ns).collect();
        let times = Spread::of_ratios(&figures, motif);
        let deploy = if turns[0].deploy_ms >= DEPLOY_SHOWN_MS_MIN { format!(", {} ms to deploy", shown(turns[0].deploy_ms)) } else { String::new() };
        let row = row.beside(format!("{} {} ({} to {} times{deploy})", self.name(), shown(Spread::of(figures).median), shown(times.min), shown(times.max)));
        if times_min == 0.0 {
            return row;
        }
        row.goal(format!("at least {times_min} times less than {}", self.name()), times.median >= times_min)
    }
}

/// CPU nanoseconds per event after the first fifth, and the matches.
fn per_event(events: u64, run: impl FnOnce(&mut dyn FnMut(u64)) -> u64) -> (f64, u64) {
    let warm = events / 5;
    let mut begun = 0;
    let mut ended = 0;
    let matches = run(&mut |reached| {
        if reached == warm {
            begun = cpu_ns();
        } else if reached == events {
            ended = cpu_ns();
        }
    });
    assert!(begun > 0 && ended > 0, "batches end where the warm-up and the events do");
    ((ended - begun) as f64 / (events - warm) as f64, matches)
}
