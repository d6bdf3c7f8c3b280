//! Whether the choices of a pattern can be kept together, and what of that is found out beforehand.

use crate::automaton::ways::{Automaton, Demand, Way};
use crate::event::TimeSpan;
use crate::pattern::{Condition, ConditionId, OnTimeout};

/// Each has a bit of its own in the class of an event.
pub(in crate::automaton) const CONDITIONS_MAX: usize = 63;
/// What a situation waits for is a bit of one word, up to four for each span of time.
pub(in crate::automaton) const SPANS_MAX: usize = 15;

/// What evaluating a pattern this way goes by. Immutable; all keys share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How long after an event something changes for those that took it last: gaps, `for`s, what a greedy loop still waits for. Ascending.
    pub(super) spans: Vec<TimeSpan>,
    /// Something comes out when `within` is over, or it matters to what comes out later: so choices are kept apart by their first event. Else those whose first event
    /// is too long ago are merely not looked at any more.
    pub(super) is_apart: bool,
    /// Where choices are not kept apart: how long after its first event one may still go on.
    pub(super) window: Option<TimeSpan>,
    pub(super) tells_timeouts: bool,
    /// The conditions, a bit each, that what begins a choice is asked about.
    pub(super) start_asks: u64,
}

/// Why a pattern is not evaluated this way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unshared {
    /// The condition looks at what was chosen before: partial matches that wait for the same may not take the same.
    LooksBack(ConditionId),
    /// Partial matches are counted.
    LimitRuns,
    Conditions(usize),
    Spans(usize),
}

impl Plan {
    /// # Errors
    ///
    /// The pattern is to be evaluated run by run.
    pub fn new(automaton: &Automaton) -> Result<Self, Unshared> {
        let pattern = &automaton.pattern;
        if let Some(place) = pattern.conditions.iter().position(Condition::looks_back) {
            return Err(Unshared::LooksBack(ConditionId(u16::try_from(place).expect("conditions are numbered by 16 bits"))));
        }
        if pattern.runs_max.is_some() {
            return Err(Unshared::LimitRuns);
        }
        if pattern.conditions.len() > CONDITIONS_MAX {
            return Err(Unshared::Conditions(pattern.conditions.len()));
        }
        let spans = spans(automaton);
        if spans.len() > SPANS_MAX {
            return Err(Unshared::Spans(spans.len()));
        }
        let is_apart = pattern.within.is_some() && window_decides(automaton);
        let window = pattern.within.filter(|_| !is_apart);
        let ways = automaton.start.clone().map(|way| automaton.way(way));
        let start_asks = ways.fold(0, |bits, way| bits | asked(automaton, way));
        Ok(Self { spans, is_apart, window, tells_timeouts: !matches!(pattern.on_timeout, OnTimeout::Silent), start_asks })
    }

    /// The age of an event from so long after it on.
    pub(super) fn age_after(&self, span: TimeSpan) -> u16 {
        let place = self.spans.binary_search(&span).expect("every span of the automaton is known");
        u16::try_from(place + 1).expect("there are few")
    }
}

/// The conditions, a bit each, that an event may be asked about which comes by a way.
pub(super) fn asked(automaton: &Automaton, way: &Way) -> u64 {
    let demand = automaton.demand(way.demand);
    let absent = demand.no.iter().map(|none_of| none_of.condition);
    let greedy = demand.greedy.iter().flat_map(|hunger| std::iter::once(hunger.condition).chain(hunger.unless));
    let others = demand.no_next.iter().chain(&demand.until).copied();
    let node = way.to.map(|node| automaton.node(node));
    let taken = node.into_iter().flat_map(|node| std::iter::once(node.condition).chain(node.until));
    absent.chain(greedy).chain(others).chain(taken).fold(0, |bits, condition| bits | 1 << condition.0)
}

fn spans(automaton: &Automaton) -> Vec<TimeSpan> {
    let mut spans = Vec::new();
    for Demand { gap, no, greedy, .. } in &automaton.demands {
        spans.extend(gap);
        spans.extend(no.iter().filter_map(|none_of| none_of.hold));
        spans.extend(greedy.iter().filter_map(|hunger| hunger.gap));
    }
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// Of a way to acceptance: when the match is decided depends on its first event.
fn window_decides(automaton: &Automaton) -> bool {
    let waits = |way: &Way| {
        let demand = automaton.demand(way.demand);
        way.to.is_none() && (demand.no.iter().any(|none_of| none_of.hold.is_none()) || (demand.no.is_empty() && !demand.no_next.is_empty()))
    };
    // One choice by way of two nodes may run out of time at the one while the other still waits for an absence: then it does not come out any more.
    let holds = |way: &Way| way.to.is_none() && automaton.demand(way.demand).no.iter().any(|none_of| none_of.hold.is_some());
    let mut steps: Vec<_> = automaton.nodes.iter().map(|node| node.step).collect();
    steps.sort_unstable();
    let ambiguous = steps.windows(2).any(|two| two[0] == two[1]);
    !matches!(automaton.pattern.on_timeout, OnTimeout::Silent) || automaton.ways.iter().any(waits) || (ambiguous && automaton.ways.iter().any(holds))
}
