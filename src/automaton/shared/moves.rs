//! What an event of a class does to the choices of a situation, and what time does; found out once and remembered.

use std::sync::Arc;

use crate::automaton::runs::Arrival;
use crate::automaton::shared::plan::Plan;
use crate::automaton::shared::situation::{Outline, Situation};
use crate::automaton::shared::table::Table;
use crate::automaton::ways::{Automaton, Demand, How, Hunger, NodeId, Way, WayId};
use crate::event::TimeSpan;
use crate::pattern::{ConditionId, NothingChosen, StepId};

/// What an event does.
#[derive(Debug)]
pub(super) struct Move {
    /// One for each step that takes it.
    pub takes: Vec<Take>,
    /// As what the choices go on without it; `None`: not at all.
    pub passed: Option<Arc<Situation>>,
    /// They waited for nothing but that the event is not of some kind: they are matches.
    pub decided: bool,
}

#[derive(Debug)]
pub(super) struct Take {
    pub step: StepId,
    /// As what the choices go on with it; `None`: not at all.
    pub to: Option<Arc<Situation>>,
    pub completes: bool,
}

/// What time does.
#[derive(Debug)]
pub(super) struct Expiry {
    pub to: Option<Arc<Situation>>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Nothing,
    Match,
    Timeout,
}

/// The pattern as it is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub automaton: &'a Automaton,
    pub plan: &'a Plan,
}

/// Who meets the event, and the event.
struct Meeting<'a> {
    rules: Rules<'a>,
    class: u64,
    is_fresh: bool,
    age: u16,
}

enum Fate {
    Gone,
    Stays,
    Taken { node: NodeId, stays: bool },
    Accepted,
}

impl Rules<'_> {
    /// The conditions that the event fits, a bit each, of those that are asked.
    pub(super) fn fitting(self, asks: u64, arrival: Arrival<'_>) -> u64 {
        let Arrival { event, class, moment } = arrival;
        let (mut fitting, mut rest) = (0, asks);
        while rest != 0 {
            let place = rest.trailing_zeros();
            let fit = self.automaton.fit(ConditionId(place as u16));
            fitting |= u64::from(fit.holds(class, |remains| remains.holds(event.stream, event.fields(), &NothingChosen, moment))) << place;
            rest &= rest - 1;
        }
        fitting
    }

    /// The takes of choices that begin with the event.
    pub(super) fn begin(self, class: u64, table: &mut Table) -> Vec<Take> {
        let meeting = Meeting { rules: self, class, is_fresh: true, age: 0 };
        let fates = self.automaton.start.clone().map(|way| meeting.meet(self.automaton.way(way)));
        let taken = fates.filter_map(|fate| if let Fate::Taken { node, .. } = fate { Some(node) } else { None }).collect();
        self.takes(taken, 0, 0, table)
    }

    pub(super) fn step(self, from: &Situation, class: u64, table: &mut Table) -> Move {
        let outline = &from.outline;
        let meeting = Meeting { rules: self, class, is_fresh: outline.is_fresh, age: outline.age };
        let (mut taken, mut kept, mut decided) = (Vec::new(), Vec::new(), false);
        for &way in &outline.ways {
            match meeting.meet(self.automaton.way(way)) {
                Fate::Gone => {}
                Fate::Stays => kept.push(way),
                Fate::Accepted => decided = true,
                Fate::Taken { node, stays } => {
                    taken.push(node);
                    kept.extend(stays.then_some(way));
                }
            }
        }
        let takes = self.takes(taken, outline.inside, outline.broken, table);
        let shut = self.shut(outline.inside, &meeting);
        kept.retain(|way| match self.automaton.way(*way).to {
            None => !decided,
            Some(node) => self.automaton.node(node).enclosed_by & shut == 0,
        });
        let comes_out = decided && !outline.is_told;
        let passed = Outline { ways: kept, is_fresh: false, is_told: outline.is_told || decided, broken: outline.broken | shut, ..*outline };
        let passed = self.situation(passed, table);
        Move { takes, passed, decided: comes_out }
    }

    pub(super) fn expire(self, from: &Situation, come: u64, table: &mut Table) -> Expiry {
        let outline = &from.outline;
        let is_due = |place: &Option<usize>| place.is_some_and(|place| come >> place & 1 == 1);
        let ways = || outline.ways.iter().copied();
        let accepts = |way: &WayId| self.automaton.way(*way).to.is_none();
        let due: Vec<WayId> = ways().zip(&from.way_awaits).filter(|(_, place)| is_due(place)).map(|(way, _)| way).collect();
        let absent = due.iter().any(accepts);
        let kept: Vec<WayId> = ways().filter(|way| !(due.contains(way) || absent && accepts(way))).collect();
        let node = |way: &WayId| self.automaton.way(*way).from;
        let node_is_out = ways().any(|way| !kept.iter().any(|left| node(left) == node(&way)));
        let outcome = match (absent, outline.is_told) {
            (_, true) => Outcome::Nothing,
            (true, false) => Outcome::Match,
            (false, false) if node_is_out => Outcome::Timeout,
            (false, false) => Outcome::Nothing,
        };
        let is_told = outline.is_told || outcome != Outcome::Nothing;
        let to = self.situation(Outline { ways: kept, is_told, age: from.age_at(come, self.plan), ..*outline }, table);
        Expiry { to, outcome }
    }

    /// One for each step, whichever nodes take the event: the same choice is in one situation.
    fn takes(self, mut taken: Vec<NodeId>, inside: u64, broken: u64, table: &mut Table) -> Vec<Take> {
        let node = |id: &NodeId| self.automaton.node(*id);
        taken.sort_unstable_by_key(|id| (node(id).step, *id));
        taken.dedup();
        let mut takes = Vec::new();
        for nodes in taken.chunk_by(|one, other| node(one).step == node(other).step) {
            let step = node(&nodes[0]).step;
            if broken & self.automaton.closes[usize::from(step.0)] != 0 {
                continue;
            }
            let completes = nodes.iter().any(|id| node(id).completes);
            let mut ways: Vec<WayId> = Vec::new();
            nodes.iter().for_each(|id| self.automaton.after(*id).ways.for_each(|way| ways.push(way)));
            ways.sort_unstable();
            ways.dedup();
            ways.retain(|way| !completes || self.automaton.way(*way).to.is_some());
            let inside = inside | self.automaton.opens[usize::from(step.0)];
            let to = self.situation(Outline { ways, is_fresh: true, is_told: completes, age: 0, inside, broken }, table);
            takes.push(Take { step, to, completes });
        }
        takes
    }

    /// The `without`s that the event breaks where it is passed over.
    fn shut(self, inside: u64, meeting: &Meeting<'_>) -> u64 {
        let breaks = |(bit, condition): &(u64, ConditionId)| inside & bit != 0 && meeting.fits(*condition);
        if inside == 0 { 0 } else { self.automaton.withouts().filter(breaks).fold(0, |bits, (bit, _)| bits | bit) }
    }

    fn situation(self, outline: Outline, table: &mut Table) -> Option<Arc<Situation>> {
        (!outline.ways.is_empty()).then(|| table.situation(outline.normal(self.automaton, self.plan), self))
    }
}

impl Meeting<'_> {
    fn fits(&self, condition: ConditionId) -> bool {
        self.class >> condition.0 & 1 == 1
    }

    fn is_over(&self, span: Option<TimeSpan>) -> bool {
        span.is_some_and(|span| self.age >= self.rules.plan.age_after(span))
    }

    fn meet(&self, way: &Way) -> Fate {
        let demand = self.rules.automaton.demand(way.demand);
        if demand.greedy.iter().any(|hunger| self.still_takes(hunger)) || (self.is_fresh && demand.no_next.iter().any(|id| self.fits(*id))) {
            return Fate::Gone;
        }
        let Some(node) = way.to else { return self.meet_at_acceptance(demand) };
        if demand.until.iter().any(|until| self.fits(*until)) {
            return Fate::Gone;
        }
        let taken = self.fits(self.rules.automaton.node(node).condition) && !self.rules.automaton.node(node).until.is_some_and(|until| self.fits(until));
        let passes = match demand.how {
            How::Begin | How::Next => false,
            How::Then => !taken,
            How::Any => true,
        };
        let stays = passes && !demand.no.iter().any(|none_of| self.fits(none_of.condition));
        match (taken, stays) {
            (true, stays) => Fate::Taken { node, stays },
            (false, true) => Fate::Stays,
            (false, false) => Fate::Gone,
        }
    }

    fn meet_at_acceptance(&self, demand: &Demand) -> Fate {
        match demand.no.iter().any(|none_of| !self.is_over(none_of.hold) && self.fits(none_of.condition)) {
            true => Fate::Gone,
            false if demand.no.is_empty() => Fate::Accepted,
            false => Fate::Stays,
        }
    }

    /// A greedy loop that was left could take the event.
    fn still_takes(&self, hunger: &Hunger) -> bool {
        (self.is_fresh || !hunger.next_only)
            && !self.is_over(hunger.gap)
            && self.fits(hunger.condition)
            && !hunger.unless.is_some_and(|unless| self.fits(unless))
    }
}
