//! What one event does to one run: which of its ways it takes, which it passes over, which it ends.

use crate::automaton::aside::{Aside, Own};
use crate::automaton::chain::Chain;
use crate::automaton::class::Class;
use crate::automaton::compared::Compared;
use crate::automaton::push_made;
use crate::automaton::runs::{Marks, Run};
use crate::automaton::skip::Complete;
use crate::automaton::watch::{Role, Watch};
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, Demand, How, Hunger, Node, NodeId, StandId, WayId};
use crate::event::{EventTime, SharedEvent, Value};
use crate::pattern::{Chosen, ConditionId, Moment, NothingChosen, Scope, StepId};

/// The event at hand, and what is already known of it.
pub(super) struct Hand<'a, W: Watch + ?Sized> {
    automaton: &'a Automaton,
    event: &'a SharedEvent,
    class: Class,
    moment: Moment<'a>,
    watch: &'a W,
}

/// What comes of an event; put together over all runs of the key.
#[derive(Debug, Default)]
pub(super) struct Yield {
    pub born: Vec<Run>,
    pub complete: Vec<Complete>,
    /// The nodes that take the event, for the run at hand.
    taken: Vec<NodeId>,
}

/// What became of a run that the event came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    /// It goes on without the event.
    On,
    /// It has chosen the event, and goes on in the place of the run that it was.
    Further,
    /// It has no way left.
    Over,
}

/// What the ways of a run look back at when the event meets them.
struct Past<'a> {
    chosen: &'a dyn Chosen,
    /// `None`: at the start.
    last: Option<&'a SharedEvent>,
    /// No event has come since the last one chosen.
    fresh: bool,
}

/// Who takes the event: a run as it was when the event came, or the start.
struct Taker<'a> {
    chain: Option<&'a Chain>,
    marks: Marks,
    /// As its run has it.
    patterns: u8,
}

/// What the event does to a way.
#[derive(Clone, Copy)]
struct Fate {
    stays: bool,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    Nothing,
    Taken(NodeId),
    /// The way led to acceptance and waited only for the very next event not to be of some kind.
    Accepted,
}

impl Fate {
    const GONE: Self = Self { stays: false, outcome: Outcome::Nothing };
}

const NO_PAST: Past<'static> = Past { chosen: &NothingChosen, last: None, fresh: true };

impl<'a, W: Watch + ?Sized> Hand<'a, W> {
    pub(super) fn new(automaton: &'a Automaton, event: &'a SharedEvent, class: Class, moment: Moment<'a>, watch: &'a W) -> Self {
        Self { automaton, event, class, moment, watch }
    }

    /// Begins the runs whose first event this is.
    pub(super) fn begin(&self, out: &mut Yield) {
        if !self.watch.watches() && !self.automaton.may_begin(self.class) {
            return;
        }
        out.taken.clear();
        for way in self.automaton.start.clone() {
            if let Outcome::Taken(node) = self.meet(way, &NO_PAST).outcome {
                out.taken.push(node);
            }
        }
        self.take(&Taker { chain: None, marks: Marks::default(), patterns: 1 }, out);
    }

    /// Whoever can take the event is born; the run itself goes on as one that passed it over.
    #[inline]
    pub(super) fn come_by(&self, run: &mut Run, out: &mut Yield) -> Passed {
        // By itself, as most are passed by: without a call that is 20 of 85 instructions less for each.
        if !self.watch.watches() && !self.concerns(run) {
            return Passed::On;
        }
        self.meet_run(run, out)
    }

    fn meet_run(&self, run: &mut Run, out: &mut Yield) -> Passed {
        if !self.watch.watches() {
            let stand = self.automaton.stand(run.stand);
            if let Some(next) = stand.followed_by.filter(|_| run.aside.own().is_none()) {
                return self.follow(run, next, &mut out.complete);
            }
        }
        out.taken.clear();
        let mut ways = run.ways(self.automaton).clone();
        let past = Past { chosen: &self.automaton.recall(&run.chain), last: Some(run.chain.event()), fresh: run.fresh };
        let mut accepted = false;
        let mut changed = ways.retain(|way| {
            let fate = self.meet(way, &past);
            match fate.outcome {
                Outcome::Nothing => {}
                Outcome::Taken(node) => out.taken.push(node),
                Outcome::Accepted => accepted = true,
            }
            fate.stays
        });
        if !out.taken.is_empty() {
            let (marks, patterns) = (run.marks(), run.patterns);
            self.take(&Taker { chain: Some(&run.chain), marks, patterns }, out);
        }
        if accepted && !run.matched && !run.timed_out {
            out.complete.push(Complete::of(run.chain.clone()));
        }
        changed |= self.enclose(run, &mut ways, accepted);
        if ways.is_empty() {
            return Passed::Over;
        }
        run.fresh = false;
        run.matched |= accepted;
        if changed {
            run.deadline = self.automaton.deadline(&ways, run.chain.start_time(), run.chain.event().time);
            run.set_ways(self.automaton, ways);
        }
        Passed::On
    }

    /// What [follows](crate::automaton::ways::Stand::followed_by) the run takes the event: nothing of it stays behind, so what it has chosen is neither copied nor looked at. That lies where it was last seen
    /// long ago: `triple` took a sixteenth more time.
    fn follow(&self, run: &mut Run, next: NodeId, complete: &mut Vec<Complete>) -> Passed {
        let (node, stand) = (self.automaton.node(next), self.automaton.after(next));
        if stand.ways.is_empty() {
            if node.completes {
                push_made(complete, || Complete::with(Some(&run.chain), node.step, self.event));
            }
            return Passed::Over;
        }
        run.chain.push(node.step, self.event, &self.automaton.tallies);
        if node.completes {
            complete.push(Complete::of(run.chain.clone()));
        }
        (run.stand, run.matched, run.timed_out) = (StandId(next.0), node.completes, false);
        (run.fresh, run.aside) = (self.automaton.asks_fresh, self.automaton.first_register(stand.register, &run.chain, self.moment));
        if !self.automaton.timing.only_within {
            run.deadline = self.automaton.deadline(&stand.ways, run.chain.start_time(), self.event.time);
        }
        Passed::Further
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    pub(super) fn automaton(&self) -> &'a Automaton {
        self.automaton
    }

    /// Of the event.
    pub(super) fn time(&self) -> EventTime {
        self.event.time
    }

    /// Asks something of the event's side of the comparison that runs have their own side of.
    pub(super) fn ask_compared<T>(&self, compared: &Compared, of: impl FnOnce(&Value) -> T) -> T {
        compared.ask_event(&Scope { fields: Some(self.event.fields()), chosen: &NothingChosen, moment: self.moment }, of)
    }

    /// Whether the event can change anything about the run.
    #[inline]
    fn concerns(&self, run: &mut Run) -> bool {
        let (awaited, compares) = run.waits_for(self.automaton);
        if !self.class.meets(awaited) {
            return false;
        }
        // As far as the comparison decides that the run has a register for, if there is nothing else about the event that it awaits.
        let Some(fit) = compares.map(|condition| self.automaton.fit(condition)).filter(|fit| self.class.meets_only_in(awaited, fit.bit)) else { return true };
        let Some(compared) = fit.compared() else { return true };
        compared.holds_of_numbers(run.aside.register(), self.at_hand(compared)).unwrap_or_else(|| self.may_hold(compared, run))
    }

    /// Whether it fits as far as the comparison decides, for a register that has been found out.
    pub(super) fn may_meet(&self, compared: &Compared, at_hand: Option<&Value>, register: &Aside) -> bool {
        compared.holds_of_numbers(register, at_hand).unwrap_or_else(|| compared.may_hold_of(register, self.event.fields(), self.moment))
    }

    /// The event's side of the comparison, as [`Compared::at_hand`] has it.
    #[inline]
    pub(super) fn at_hand(&self, compared: &Compared) -> Option<&'a Value> {
        compared.at_hand(self.event.fields())
    }

    #[inline(never)]
    fn may_hold(&self, compared: &Compared, run: &mut Run) -> bool {
        let Run { chain, aside, .. } = run;
        compared.may_hold(aside.register(), &self.automaton.recall(chain), self.event.fields(), self.moment)
    }

    /// The event is passed over: what would enclose it against a `without` is over. True if some way went.
    fn enclose(&self, run: &mut Run, ways: &mut WaySet, accepted: bool) -> bool {
        let mut shut = 0;
        let marks = run.marks();
        if marks.inside != 0 && !ways.is_empty() {
            for (bit, condition) in self.automaton.withouts() {
                if marks.inside & bit != 0 && self.fits(Role::Without, condition, &self.automaton.recall(&run.chain)) {
                    shut |= bit;
                }
            }
            if shut != 0 {
                run.mark(self.automaton, Marks { broken: marks.broken | shut, ..marks });
            }
        }
        if shut == 0 && !accepted {
            return false;
        }
        ways.retain(|way| match self.automaton.way(way).to {
            None => !accepted,
            Some(node) => self.automaton.node(node).enclosed_by & shut == 0,
        })
    }

    /// One run for each step that takes the event, whichever nodes take it: the same choice is the same run.
    fn take(&self, taker: &Taker<'_>, out: &mut Yield) {
        if out.taken.is_empty() {
            return;
        }
        let Yield { born, complete, taken } = out;
        let node = |id: &NodeId| self.automaton.node(*id);
        if taken.len() > 1 {
            taken.sort_unstable_by_key(|id| (node(id).step, *id));
            taken.dedup();
        }
        for nodes in taken.chunk_by(|one, other| node(one).step == node(other).step) {
            let step = node(&nodes[0]).step;
            if taker.marks.broken & self.automaton.closes[usize::from(step.0)] == 0 {
                self.take_as(step, nodes, taker, born, complete);
            }
        }
    }

    fn take_as(&self, step: StepId, nodes: &[NodeId], taker: &Taker<'_>, born: &mut Vec<Run>, complete: &mut Vec<Complete>) {
        self.watch.took(step, taker.chain.map_or(&NothingChosen as &dyn Chosen, |chain| chain));
        let own = (nodes.len() > 1).then(|| self.of_several(nodes));
        let completes = nodes.iter().any(|id| self.automaton.node(*id).completes);
        let ways = own.as_ref().map_or(&self.automaton.after(nodes[0]).ways, |own| &own.ways);
        if ways.is_empty() {
            if completes {
                push_made(complete, || Complete::with(taker.chain, step, self.event));
            }
            return;
        }
        let chain = match taker.chain {
            None => Chain::First(step, self.event.clone()),
            Some(chain) => chain.and(step, self.event, &self.automaton.tallies),
        };
        if completes {
            complete.push(Complete::of(chain.clone()));
        }
        let begun = self.automaton.run_at(StandId(nodes[0].0), chain, own, self.moment);
        let mut run = Run { matched: completes, patterns: taker.patterns, ..begun };
        run.mark(self.automaton, Marks { inside: taker.marks.inside | self.automaton.opens[usize::from(step.0)], ..taker.marks });
        born.push(run);
    }

    /// How a run stands whose last event several nodes took.
    #[cold]
    fn of_several(&self, nodes: &[NodeId]) -> Box<Own> {
        let stands = || nodes.iter().map(|id| self.automaton.after(*id));
        let mut ways = WaySet::union(stands().map(|stand| &stand.ways));
        if nodes.iter().any(|id| self.automaton.node(*id).completes) {
            ways.retain(|way| self.automaton.way(way).to.is_some());
        }
        let awaited = stands().fold(Class::EMPTY, |awaited, stand| awaited.with(stand.awaited));
        let compares = stands().next().and_then(|stand| stand.register);
        Box::new(Own::of(ways, awaited, compares))
    }

    fn meet(&self, way: WayId, past: &Past<'_>) -> Fate {
        let way = self.automaton.way(way);
        let demand = self.automaton.demand(way.demand);
        let comes = |condition: ConditionId| self.fits(Role::Absent, condition, past.chosen);
        if demand.greedy.iter().any(|hunger| self.still_takes(hunger, past)) || (past.fresh && demand.no_next.iter().any(|id| comes(*id))) {
            return Fate::GONE;
        }
        let Some(node) = way.to else { return self.meet_at_acceptance(demand, past) };
        if demand.until.iter().any(|until| self.fits(Role::Until, *until, past.chosen)) {
            return Fate::GONE;
        }
        let taken = self.takes(self.automaton.node(node), past.chosen);
        let passes = match demand.how {
            How::Begin | How::Next => false,
            How::Then => !taken,
            How::Any => true,
        };
        let stays = passes && !demand.no.iter().any(|none_of| comes(none_of.condition));
        Fate { stays, outcome: if taken { Outcome::Taken(node) } else { Outcome::Nothing } }
    }

    fn meet_at_acceptance(&self, demand: &Demand, past: &Past<'_>) -> Fate {
        let watched = |hold| past.last.zip(hold).is_none_or(|(last, hold)| self.event.time < last.time.plus(hold));
        if demand.no.iter().any(|none_of| watched(none_of.hold) && self.fits(Role::Absent, none_of.condition, past.chosen)) {
            return Fate::GONE;
        }
        let decided = demand.no.is_empty();
        Fate { stays: !decided, outcome: if decided { Outcome::Accepted } else { Outcome::Nothing } }
    }

    fn takes(&self, node: &Node, chosen: &dyn Chosen) -> bool {
        self.fits(Role::Step(node.step), node.condition, chosen) && !node.until.is_some_and(|until| self.fits(Role::Until, until, chosen))
    }

    /// A greedy loop that was left could take the event.
    fn still_takes(&self, hunger: &Hunger, past: &Past<'_>) -> bool {
        let soon_enough = past.last.zip(hunger.gap).is_none_or(|(last, gap)| self.event.time < last.time.plus(gap));
        (past.fresh || !hunger.next_only)
            && soon_enough
            && self.fits(Role::Hunger, hunger.condition, past.chosen)
            && !hunger.unless.is_some_and(|unless| self.fits(Role::Hunger, unless, past.chosen))
    }

    fn fits(&self, role: Role, id: ConditionId, chosen: &dyn Chosen) -> bool {
        let fits = self.is_met(id, chosen);
        self.watch.asked(role, id, self.event.stream, &Scope { fields: Some(self.event.fields()), chosen, moment: self.moment }, fits);
        fits
    }

    fn is_met(&self, id: ConditionId, chosen: &dyn Chosen) -> bool {
        self.automaton.fit(id).holds(self.class, |rest| rest.holds(self.event.stream, self.event.fields(), chosen, self.moment))
    }
}
