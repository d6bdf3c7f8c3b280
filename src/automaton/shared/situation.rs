//! The situation of a choice: all of what it may still do, whatever events it holds. Choices of one situation are moved together.

use crate::automaton::shared::plan::{Plan, asked};
use crate::automaton::ways::{Automaton, Demand, How, WayId};
use crate::event::{EventTime, TimeSpan};

/// What tells situations apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Outline {
    /// The ways on; ascending.
    pub ways: Vec<WayId>,
    /// No event of the key has come since the last one chosen.
    pub is_fresh: bool,
    /// Came out: never again.
    pub is_told: bool,
    /// How many of the plan's spans are over since the last event chosen.
    pub age: u16,
    /// The `without`s, a bit each, whose first end has been chosen.
    pub inside: u64,
    /// Those that forbid their second end from now on.
    pub broken: u64,
}

/// An outline, and what follows from it. Its number is its place in the table that made it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Situation {
    pub number: usize,
    pub outline: Outline,
    /// The conditions, a bit each, that an event may be asked about. What fits none of them changes nothing, unless it is `restless`.
    pub asks: u64,
    pub restless: bool,
    /// The instants at which something changes, each once.
    pub awaits: Vec<Await>,
    /// By way: its place among them.
    pub way_awaits: Vec<Option<usize>>,
    /// Some of them depend on the last event chosen.
    pub by_last: bool,
    /// Its absences are held for so long after the last event, also when the window is over by then.
    pub outlives: bool,
}

/// An instant that the first and the last event of a choice decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Await {
    within: Option<TimeSpan>,
    since_last: Option<TimeSpan>,
    /// The later of the two, else the earlier.
    is_later: bool,
}

impl Await {
    pub(super) fn at(&self, first: EventTime, last: EventTime) -> EventTime {
        let ends = [self.within.map(|span| first.plus(span)), self.since_last.map(|span| last.plus(span))].into_iter().flatten();
        let end = if self.is_later { ends.max() } else { ends.min() };
        end.expect("it waits for something")
    }
}

impl Outline {
    /// Without what makes no difference.
    pub(super) fn normal(self, automaton: &Automaton, plan: &Plan) -> Self {
        let demands = || self.ways.iter().map(|way| automaton.way(*way)).map(|way| (way.to, automaton.demand(way.demand)));
        let asks_fresh = |demand: &Demand| !demand.no_next.is_empty() || demand.greedy.iter().any(|hunger| hunger.next_only);
        let is_fresh = self.is_fresh && demands().any(|(_, demand)| asks_fresh(demand));
        let is_told = self.is_told && (plan.tells_timeouts || demands().any(|(to, _)| to.is_none()));
        let ages = demands().flat_map(|(to, demand)| turning_points(to.is_none(), demand)).map(|span| plan.age_after(span));
        let age = ages.filter(|age| *age <= self.age).max().unwrap_or(0);
        Self { is_fresh, is_told, age, ..self }
    }
}

/// How long after the last event a way changes without ending: what must not come may come from then on, a greedy loop waits no longer.
fn turning_points(accepts: bool, demand: &Demand) -> impl Iterator<Item = TimeSpan> {
    let waits_longer = demand.no.iter().any(|none_of| none_of.hold.is_none());
    let most = demand.no.iter().filter_map(|none_of| none_of.hold).max();
    let holds = demand.no.iter().filter_map(|none_of| none_of.hold).filter(move |hold| accepts && (waits_longer || Some(*hold) < most));
    holds.chain(demand.greedy.iter().filter_map(|hunger| hunger.gap))
}

impl Situation {
    /// Of a normal outline.
    pub(super) fn new(number: usize, outline: Outline, automaton: &Automaton, plan: &Plan) -> Self {
        let mut situation = Self {
            number,
            asks: 0,
            restless: outline.is_fresh,
            awaits: Vec::new(),
            way_awaits: Vec::new(),
            by_last: false,
            outlives: false,
            outline: Outline { ways: Vec::new(), ..outline },
        };
        for &id in &outline.ways {
            let way = automaton.way(id);
            let demand = automaton.demand(way.demand);
            situation.asks |= asked(automaton, way);
            situation.restless |= demand.how == How::Next && way.to.is_some() || way.to.is_none() && demand.no.is_empty();
            let end = end(way.to.is_none(), demand, automaton, plan);
            situation.outlives |= plan.window.is_some() && end.is_some_and(|end| end.is_later);
            let place = end.map(|end| situation.awaits(end));
            situation.way_awaits.push(place);
        }
        for &id in &outline.ways {
            let way = automaton.way(id);
            for span in turning_points(way.to.is_none(), automaton.demand(way.demand)).filter(|span| plan.age_after(*span) > outline.age) {
                situation.awaits(Await { within: None, since_last: Some(span), is_later: false });
            }
        }
        if outline.inside != 0 {
            situation.asks |= automaton.withouts().filter(|(bit, _)| outline.inside & bit != 0).fold(0, |bits, (_, condition)| bits | 1 << condition.0);
        }
        situation.by_last = situation.awaits.iter().any(|awaits| awaits.since_last.is_some());
        situation.outline.ways = outline.ways;
        situation
    }

    /// When something next changes for a choice with these ends; the end of time if nothing does.
    pub(super) fn due(&self, first: EventTime, last: EventTime) -> EventTime {
        self.awaits.iter().map(|awaits| awaits.at(first, last)).min().unwrap_or(EventTime::END)
    }

    /// The instants, a bit each, that have come.
    pub(super) fn come(&self, first: EventTime, last: EventTime, at: EventTime) -> u64 {
        let come = (0..).zip(&self.awaits).filter(|(_, awaits)| awaits.at(first, last) <= at);
        come.fold(0, |bits, (place, _)| bits | 1 << place)
    }

    /// The age that a choice has at least once these instants have come.
    pub(super) fn age_at(&self, come: u64, plan: &Plan) -> u16 {
        let come = (0..).zip(&self.awaits).filter(|(place, _)| come >> place & 1 == 1).map(|(_, awaits)| awaits);
        let turned = come.filter(|awaits| awaits.within.is_none()).filter_map(|awaits| awaits.since_last);
        turned.map(|span| plan.age_after(span)).max().unwrap_or(0).max(self.outline.age)
    }

    fn awaits(&mut self, new: Await) -> usize {
        let known = self.awaits.iter().position(|awaits| *awaits == new);
        known.unwrap_or_else(|| {
            self.awaits.push(new);
            self.awaits.len() - 1
        })
    }
}

/// When the way ends by itself: see `deadline` in the folder above. That the window is over counts only where choices are kept apart.
fn end(accepts: bool, demand: &Demand, automaton: &Automaton, plan: &Plan) -> Option<Await> {
    let within = automaton.pattern.within.filter(|_| plan.is_apart);
    if accepts && !demand.no.is_empty() {
        let since_last = demand.no.iter().filter_map(|none_of| none_of.hold).max();
        let within = within.filter(|_| demand.no.iter().any(|none_of| none_of.hold.is_none()));
        // Without an end of the window an absence that has no `for` is never decided.
        let never = automaton.pattern.within.is_none() && demand.no.iter().any(|none_of| none_of.hold.is_none());
        return (!never && (within.is_some() || since_last.is_some())).then_some(Await { within, since_last, is_later: true });
    }
    (within.is_some() || demand.gap.is_some()).then_some(Await { within, since_last: demand.gap, is_later: false })
}
