//! The compiled automaton: nodes, the ways between them, and what each way demands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::automaton::chain::Chain;
use crate::automaton::class::{Class, Finding, Fit, Register};
use crate::automaton::pending::FoundBy;
use crate::automaton::tally::{Recalled, TallyPlan};
use crate::automaton::way_set::WaySet;
use crate::event::{Kept, StreamId, TimeSpan};
use crate::pattern::{ConditionId, Expression, Pattern, StepId};

/// A place that takes one event; nodes are numbered in text order, from 0. (A dump counts from 1: its 0 is the start.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NodeId(pub u32);

/// A way, as a place in [`Automaton::ways`]: by the node it leaves, then in text order. Stored state names ways by it.
pub(super) type WayId = u32;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DemandId(pub u32);

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub step: StepId,
    pub condition: ConditionId,
    /// Of its loop: what fits this is not taken.
    pub until: Option<ConditionId>,
    /// The ways that leave it.
    pub ways: Range<WayId>,
    /// Taking it completes a match there and then.
    pub completes: bool,
    /// The `without`s, a bit each, whose span is certain to close here or later.
    pub enclosed_by: u64,
    /// Where a run stands that has just taken it, but for some of the ways.
    pub rests: Range<u32>,
}

/// Number of a [`Stand`]: those of nodes just taken have the numbers of the nodes, and others come behind them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct StandId(pub u32);

/// Where a run stands: the ways that it has before it, and what follows from them.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// The node that the ways leave.
    pub node: NodeId,
    /// Where the node completes, none of them leads to acceptance: nothing comes out twice.
    pub ways: WaySet,
    /// What the run waits for.
    pub awaited: Class,
    /// The condition, among those awaited, for which it has a register.
    pub register: Option<ConditionId>,
    /// Which that is among the pattern's.
    pub register_place: Option<usize>,
    pub finding: Finding,
    /// Where it waits for one step and for nothing else, and by class and register alone it is known whether an event fits: the node of that step.
    /// What concerns the run is taken there then, and nothing of the run stays behind.
    pub followed_by: Option<NodeId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// `None`: the start.
    pub from: Option<NodeId>,
    /// `None`: acceptance.
    pub to: Option<NodeId>,
    pub demand: DemandId,
}

/// What a way demands of events. The lists are sorted, each entry once; ways that demand the same share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Demand {
    pub how: How,
    /// Below this after the event before.
    pub gap: Option<TimeSpan>,
    /// What must not be passed over.
    pub no: Vec<NoneOf>,
    /// What the very next event must not be.
    pub no_next: Vec<ConditionId>,
    /// Greedy loops that the way leaves below their most: as long as they could take the event, the way is not open.
    pub greedy: Vec<Hunger>,
    /// What closes the loop that the way stays in.
    pub until: Vec<ConditionId>,
}

/// What may be passed over: said by the last connective on the way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum How {
    /// From the start: nothing has been chosen that one could pass over from.
    Begin,
    Then,
    Next,
    Any,
}

impl How {
    /// As the language says it; nothing of the start.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Begin => None,
            Self::Then => Some("then"),
            Self::Next => Some("next"),
            Self::Any => Some("any"),
        }
    }
}

/// An absence, and how long after the event before it is held where that is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NoneOf {
    pub condition: ConditionId,
    pub hold: Option<TimeSpan>,
}

/// What a greedy loop could still take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Hunger {
    pub condition: ConditionId,
    pub unless: Option<ConditionId>,
    /// Only the very next event.
    pub next_only: bool,
    /// Only below this after the event before.
    pub gap: Option<TimeSpan>,
}

/// A pattern, compiled. Immutable: all keys share it.
#[derive(Clone, Debug)]
pub struct Automaton {
    pub(super) pattern: Arc<Pattern>,
    pub(super) nodes: Vec<Node>,
    pub(super) stands: Vec<Stand>,
    pub(super) ways: Vec<Way>,
    pub(super) demands: Vec<Demand>,
    /// The ways from the start.
    pub(super) start: Range<WayId>,
    pub(super) plain_start: Option<PlainStart>,
    /// What the chains of runs answer as they grow.
    pub(super) tallies: TallyPlan,
    /// Steps are repeated, and registers that have to be calculated are so once they are asked for: most runs of a loop go on before they are. Not where runs may be found by what is more or less.
    pub(super) asks_registers_late: bool,
    /// By each of which runs may be found.
    pub(super) registers: Vec<Register>,
    /// By condition.
    pub(super) fits: Vec<Fit>,
    /// By stream: see [`Automaton::asked_later`].
    pub(super) asked_later: BTreeMap<StreamId, Kept>,
    /// The bits of the events that may begin a run.
    pub(super) beginning: Class,
    /// Those that runs at any of the nodes await.
    pub(super) awaited_somewhere: Class,
    /// By step: the `without`s, a bit each, whose span an event of this step opens.
    pub(super) opens: Vec<u64>,
    /// By step: the `without`s whose span it closes.
    pub(super) closes: Vec<u64>,
    /// By step: its place among the steps' names.
    pub(super) name_rank: Vec<u16>,
    /// The streams of the steps, in order of their names: what stored events number their streams by.
    pub(super) streams: Vec<StreamId>,
    pub(super) timing: Timing,
    pub(super) sees_every_event: bool,
    /// Whether it matters that no event has come since the last one chosen.
    pub(super) asks_fresh: bool,
}

/// Where every event whose class says that it may begin a run begins one, which does nothing but wait: what that run is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainStart {
    pub(super) node: NodeId,
    pub(super) step: StepId,
    pub(super) register: Option<ConditionId>,
    /// Until the least deadline of its ways; `None`: they have none.
    pub(super) lasts: Option<TimeSpan>,
    pub(super) fresh: bool,
    /// See [`PlainStart::is_told_by_its_event`].
    pub(super) told_by_its_event: bool,
}

impl PlainStart {
    /// The event tells all that there is to the run that it begins ([`PlainStart::begun`]), and nothing comes out when the time of that is up.
    pub fn is_told_by_its_event(self) -> bool {
        self.told_by_its_event
    }
}

/// What deadlines there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timing {
    /// Every way's deadline is first event + `within`.
    pub only_within: bool,
    /// Something can come out at a deadline: they are looked at one instant at a time.
    pub decides: bool,
}

impl Automaton {
    pub fn pattern(&self) -> &Arc<Pattern> {
        &self.pattern
    }

    /// Whether an event of this class can begin a run as far as the event alone decides. Where it cannot, and the key holds no runs, there is nothing to be done for it.
    pub fn may_begin(&self, class: Class) -> bool {
        class.meets(self.beginning)
    }

    /// What an event is asked beside its class so that it begins a run; `None`: nothing, or not of all runs the same.
    pub fn asked_first(&self) -> Option<&Expression> {
        let way = self.way(self.start.clone().next().filter(|_| self.start.len() == 1)?);
        self.fit(self.node(way.to?).condition).asked()
    }

    /// How an event that [may](Automaton::may_begin) begins a run, where there is nothing else to be asked, and nothing to be done but to keep it; `None`: there is.
    pub fn plain_start(&self) -> Option<PlainStart> {
        self.plain_start
    }

    /// Of the events that may begin a run: no other does anything where nothing is held.
    pub fn beginning(&self) -> Class {
        self.beginning
    }

    /// The condition of the first event, if the steps follow each other one by one, nothing else asks for it, and the class of every event alone decides whether it begins a run;
    /// and nothing comes out when time runs out. Then a run has at most one successor, and is over when it has.
    pub fn chain_of_steps(&self) -> Option<ConditionId> {
        let first = self.plain_start?.node;
        let condition = self.node(first).condition;
        let asks_again = |demand: &Demand| demand.no.iter().any(|none_of| none_of.condition == condition);
        let is_first = |(place, node): (usize, &Node)| place == first.0 as usize || node.condition != condition;
        let is_alone = self.nodes.iter().enumerate().all(is_first) && !self.demands.iter().any(asks_again) && self.pattern.without.is_empty();
        (self.goes_step_by_step() && is_alone && self.runs_end_silently()).then_some(condition)
    }

    /// Whether the steps follow each other one by one: then a run has one way, which is gone once it is taken, and an event begins one run at most.
    pub(super) fn goes_step_by_step(&self) -> bool {
        let goes_on = |(node, stand): (&Node, &Stand)| stand.ways.len() == usize::from(!node.completes) && node.until.is_none();
        let is_plain = |demand: &Demand| demand.is_plain() && matches!(demand.how, How::Begin | How::Then);
        self.start.len() == 1 && self.nodes.iter().zip(&self.stands).all(goes_on) && self.ways.iter().all(|way| is_plain(self.demand(way.demand)))
    }

    /// The condition by whose comparison with earlier steps runs can be found ([`super::by_value`]), one that must come or one that must not: an equality, if there is one.
    pub(super) fn found_by(&self) -> Option<FoundBy> {
        let find = |is_equality| {
            let places = self.stands.iter().flat_map(|stand| &stand.finding.registers);
            let found = places.map(|place| &self.registers[*place]).find(|register| register.is_equality == is_equality);
            found.map(|register| FoundBy { condition: register.conditions[0], is_equality })
        };
        // What is more or less concerns many: it is worth the while where nothing else comes to runs, or little.
        let compares_all = self.goes_step_by_step() || self.stands.iter().all(|stand| stand.finding.others == Class::EMPTY);
        find(true).or_else(|| find(false).filter(|_| compares_all)).filter(|_| !self.sees_every_event)
    }

    /// The bits of the events that may do something to some run.
    pub fn awaited_somewhere(&self) -> Class {
        self.awaited_somewhere
    }

    /// The class without what may begin a run.
    pub fn passed_by(&self, class: Class) -> Class {
        class.without(self.beginning)
    }

    /// A run whose deadline has come is gone, and nothing comes out.
    pub fn runs_end_silently(&self) -> bool {
        self.timing.only_within && !self.timing.decides
    }

    /// What was chosen, as conditions ask for it.
    pub(super) fn recall<'a>(&'a self, chain: &'a Chain) -> Recalled<'a> {
        Recalled { chain, plan: &self.tallies }
    }

    pub(super) fn way(&self, id: WayId) -> &Way {
        &self.ways[id as usize]
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn stand(&self, id: StandId) -> &Stand {
        &self.stands[id.0 as usize]
    }

    /// Where a run stands that has just taken the node.
    pub(super) fn after(&self, node: NodeId) -> &Stand {
        &self.stands[node.0 as usize]
    }

    /// Where a run stands with these of the ways that leave the node, if that is among what is known of it.
    pub(super) fn stand_with(&self, node: NodeId, ways: &WaySet) -> Option<StandId> {
        let rests = self.node(node).rests.clone().map(StandId);
        std::iter::once(StandId(node.0)).chain(rests).find(|id| self.stand(*id).ways == *ways)
    }

    pub(super) fn demand(&self, id: DemandId) -> &Demand {
        &self.demands[id.0 as usize]
    }

    /// Each `without`: its bit, and what must not come.
    pub(super) fn withouts(&self) -> impl Iterator<Item = (u64, ConditionId)> {
        self.pattern.without.iter().enumerate().map(|(place, without)| (1 << place, without.condition))
    }
}

impl Demand {
    pub(super) const NOTHING: Self = Self { how: How::Begin, gap: None, no: Vec::new(), no_next: Vec::new(), greedy: Vec::new(), until: Vec::new() };

    /// Of the events it demands nothing but that some do not come.
    pub(super) fn is_plain(&self) -> bool {
        self.no_next.is_empty() && self.greedy.is_empty() && self.until.is_empty()
    }

    /// Both, one after the other on a way: what `next` says of `how` counts where it says anything.
    pub(super) fn and(&self, next: &Self) -> Self {
        Self {
            how: if next.how == How::Begin { self.how } else { next.how },
            gap: match (self.gap, next.gap) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            no: union(&self.no, &next.no),
            no_next: union(&self.no_next, &next.no_next),
            greedy: union(&self.greedy, &next.greedy),
            until: union(&self.until, &next.until),
        }
    }
}

fn union<T: Copy + Ord>(one: &[T], other: &[T]) -> Vec<T> {
    let mut both = [one, other].concat();
    both.sort_unstable();
    both.dedup();
    both
}
