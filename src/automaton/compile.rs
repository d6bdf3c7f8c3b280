//! From the unrolled pattern to the automaton: every path of edges from one taking point to the next becomes a way.
//!
//! Paths that demand the same are one way. Demands are interned, so that following a path compares numbers; a pattern's cost is its number
//! of ways, which is what its definition demands: quadratic where many steps in a row may be left out, linear else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::automaton::class::{Class, Fit};
use crate::automaton::graph::{Graph, Point, START};
use crate::automaton::tally::TallyPlan;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, Demand, DemandId, How, Node, NodeId, PlainStart, Stand, Timing, Way, WayId};
use crate::event::EventTime;
use crate::pattern::{ConditionId, OnTimeout, Pattern, StepId, Without};

/// As many `without`s as a pattern may have: a run keeps two bits for each.
const WITHOUTS_MAX: usize = 64;

/// Of so many ways of a node, it is known beforehand how a run stands that has any of them. (In most loops that go on while what was taken so far waits for the next step there are two. A run that
/// stands elsewhere says so itself, in twice the memory.)
const WAYS_TOLD_APART_MAX: usize = 3;

impl Automaton {
    /// The checker has bounded the pattern: at most 1,024 nodes, and 64 `without`s.
    pub fn compile(pattern: Arc<Pattern>) -> Self {
        assert!(pattern.without.len() <= WITHOUTS_MAX, "the checker bounds the number of `without` clauses");
        let (graph, end) = Graph::unroll(&pattern.body);
        let mut builder = Builder { graph: &graph, end, demands: Demands::default(), ways: Vec::new() };
        let start = builder.ways_from(None, START);
        let ranges: Vec<Range<WayId>> = (0..).zip(&graph.takings).map(|(node, taking)| builder.ways_from(Some(NodeId(node)), taking.at)).collect();
        let Builder { demands: Demands { list: demands, .. }, ways, .. } = builder;

        let enclosing = enclosing(&pattern.without, &graph, &ways);
        let nodes: Vec<Node> = graph
            .takings
            .iter()
            .zip(ranges)
            .zip(enclosing)
            .map(|((taking, range), enclosed_by)| {
                let completes = ways[range.start as usize..range.end as usize].iter().any(|way| completes(way, &demands));
                let (step, condition, until) = (taking.step, taking.condition, taking.until);
                Node { step, condition, until, ways: range, completes, enclosed_by, rests: 0..0 }
            })
            .collect();
        let timing = timing(&pattern, &ways, &demands);
        let some_way = |demands_it: fn(&Demand) -> bool| ways.iter().any(|way| demands_it(&demands[way.demand.0 as usize]));
        let asks_fresh = some_way(|demand| !demand.no_next.is_empty() || demand.greedy.iter().any(|hunger| hunger.next_only));
        let sees_every_event = asks_fresh || some_way(|demand| demand.how == How::Next);
        let steps = || (0..).zip(&pattern.steps).map(|(id, _)| StepId(id));
        let bits = |end: fn(&Without) -> Option<StepId>| steps().map(|step| bits_of(&pattern.without, end, step)).collect();
        let mut streams: Vec<_> = pattern.steps.iter().map(|step| step.stream).collect();
        streams.sort_unstable();
        streams.dedup();
        let fits = Fit::all(&pattern);
        let tallies = TallyPlan::of(&pattern, &nodes, &ways);
        let mut automaton = Self {
            start,
            plain_start: None,
            tallies,
            asks_registers_late: false,
            registers: Vec::new(),
            fits,
            asked_later: BTreeMap::new(),
            beginning: Class::EMPTY,
            awaited_somewhere: Class::EMPTY,
            opens: bits(|without| without.from),
            closes: bits(|without| without.to),
            name_rank: name_ranks(&pattern),
            streams,
            timing,
            sees_every_event,
            asks_fresh,
            nodes,
            stands: Vec::new(),
            ways,
            demands,
            pattern,
        };
        automaton.registers = automaton.find_registers();
        automaton.find_stands();
        automaton.awaited_somewhere = automaton.stands.iter().fold(Class::EMPTY, |all, stand| all.with(stand.awaited));
        let first = |way: WayId| automaton.way(way).to.map_or(Class::EMPTY, |node| automaton.fit(automaton.node(node).condition).bit);
        automaton.beginning = automaton.start.clone().map(first).reduce(Class::with).unwrap_or(Class::EMPTY);
        automaton.plain_start = automaton.find_plain_start();
        let found_step_by_step = automaton.goes_step_by_step() && automaton.found_by().is_some();
        automaton.asks_registers_late = !automaton.tallies.is_empty() && !found_step_by_step;
        automaton.asked_later = automaton.find_asked_later();
        automaton
    }

    fn find_stands(&mut self) {
        let mut rests = Vec::new();
        for place in 0..self.nodes.len() {
            let id = NodeId(u32::try_from(place).expect("at most 1,024 nodes"));
            let node = &self.nodes[place];
            let mut all = WaySet::of_range(node.ways.clone());
            if node.completes {
                all.retain(|way| self.way(way).to.is_some());
            }
            let first = self.nodes.len() + rests.len();
            if all.len() <= WAYS_TOLD_APART_MAX {
                let most = (1_u32 << all.len()) - 1;
                rests.extend((1..most).map(|bits| self.stand_of(id, all.part(bits))));
            }
            let last = self.nodes.len() + rests.len();
            let number = |place: usize| u32::try_from(place).expect("few for each node");
            self.nodes[place].rests = number(first)..number(last);
            self.stands.push(self.stand_of(id, all));
        }
        self.stands.append(&mut rests);
    }

    fn stand_of(&self, node: NodeId, ways: WaySet) -> Stand {
        let register = self.register(&ways);
        let register_place = register.and_then(|condition| self.place_of_register(condition));
        let (awaited, finding) = (self.awaited(&ways), self.finding(&ways));
        Stand { node, awaited, register, register_place, finding, followed_by: self.follows_plainly(&ways, register), ways }
    }

    fn follows_plainly(&self, ways: &WaySet, register: Option<ConditionId>) -> Option<NodeId> {
        let way = self.way(ways.first().filter(|_| ways.len() == 1)?);
        let (to, demand) = (way.to?, self.demand(way.demand));
        let next = self.node(to);
        let is_alone = demand.how == How::Then && demand.is_plain() && demand.no.is_empty() && next.until.is_none() && self.pattern.without.is_empty();
        let register = register.filter(|of| *of == next.condition);
        (is_alone && self.fit(next.condition).is_known_by(register.is_some())).then_some(to)
    }

    fn find_plain_start(&self) -> Option<PlainStart> {
        let way = self.way(self.start.clone().next().filter(|_| self.start.len() == 1)?);
        let id = way.to.filter(|_| *self.demand(way.demand) == Demand::NOTHING)?;
        let node = self.node(id);
        let is_plain = self.fit(node.condition).is_of_class() && node.until.is_none() && !node.completes && !self.after(id).ways.is_empty();
        if !is_plain || self.opens[usize::from(node.step.0)] != 0 {
            return None;
        }
        let begun = EventTime::from_micros(0);
        let deadline = self.deadline(&self.after(id).ways, begun, begun);
        let lasts = (deadline < EventTime::END).then(|| deadline.since(begun));
        let register = self.after(id).register;
        let told_by_its_event = register.is_none() && self.runs_end_silently();
        Some(PlainStart { node: id, step: node.step, register, lasts, fresh: self.asks_fresh, told_by_its_event })
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    end: Point,
    demands: Demands,
    ways: Vec<Way>,
}

impl Builder<'_> {
    /// Adds every way from the point just taken to the next that takes, or to acceptance. From the start there is none to acceptance:
    /// nothing chosen is no match.
    fn ways_from(&mut self, from: Option<NodeId>, point: Point) -> Range<WayId> {
        let first = self.ways.len();
        let nothing = self.demands.intern(Demand::NOTHING);
        let mut seen: BTreeSet<(Point, DemandId)> = BTreeSet::new();
        let mut found: BTreeSet<(Option<NodeId>, DemandId)> = BTreeSet::new();
        let mut open = Vec::new();
        self.follow(point, nothing, &mut open);
        while let Some((at, demand)) = open.pop() {
            if !seen.insert((at, demand)) {
                continue;
            }
            let to = self.graph.taken_at(at);
            let accepts = at == self.end && from.is_some();
            if (to.is_some() || accepts) && found.insert((to, demand)) {
                self.ways.push(Way { from, to, demand });
            }
            if to.is_none() {
                self.follow(at, demand, &mut open);
            }
        }
        let id = |place: usize| WayId::try_from(place).expect("1,024 nodes have fewer ways");
        id(first)..id(self.ways.len())
    }

    /// Puts the edges on the stack so that they are taken off in order.
    fn follow(&mut self, from: Point, so_far: DemandId, open: &mut Vec<(Point, DemandId)>) {
        for edge in self.graph.edges(from).iter().rev() {
            open.push((edge.to, self.demands.joined(so_far, &edge.demand)));
        }
    }
}

/// Each distinct demand once.
#[derive(Default)]
struct Demands {
    list: Vec<Demand>,
    ids: BTreeMap<Demand, DemandId>,
}

impl Demands {
    fn intern(&mut self, demand: Demand) -> DemandId {
        if let Some(id) = self.ids.get(&demand) {
            return *id;
        }
        let id = DemandId(u32::try_from(self.list.len()).expect("fewer demands than edges of paths"));
        self.list.push(demand.clone());
        self.ids.insert(demand, id);
        id
    }

    fn joined(&mut self, so_far: DemandId, next: &Demand) -> DemandId {
        if *next == Demand::NOTHING {
            return so_far;
        }
        let both = self.list[so_far.0 as usize].and(next);
        self.intern(both)
    }
}

/// To acceptance, with nothing to wait for.
fn completes(way: &Way, demands: &[Demand]) -> bool {
    let demand = &demands[way.demand.0 as usize];
    way.to.is_none() && demand.no.is_empty() && demand.no_next.is_empty()
}

fn timing(pattern: &Pattern, ways: &[Way], demands: &[Demand]) -> Timing {
    let demand = |way: &Way| &demands[way.demand.0 as usize];
    let waits = ways.iter().any(|way| way.to.is_none() && !completes(way, demands));
    Timing {
        only_within: ways.iter().all(|way| demand(way).gap.is_none() && (way.to.is_some() || demand(way).no.is_empty())),
        decides: waits || !matches!(pattern.on_timeout, OnTimeout::Silent),
    }
}

/// The `without`s, a bit each, that this step ends on that side; those of the match's own ends include every step.
fn bits_of(withouts: &[Without], end: fn(&Without) -> Option<StepId>, step: StepId) -> u64 {
    let ends = |without: &Without| end(without).is_none_or(|end| end == step);
    withouts.iter().enumerate().filter(|(_, without)| ends(without)).map(|(place, _)| 1 << place).sum()
}

/// For each node the `without`s from which it cannot escape: every way from it to a match takes the second end (or it is that end itself).
fn enclosing(withouts: &[Without], graph: &Graph, ways: &[Way]) -> Vec<u64> {
    let count = graph.takings.len();
    let mut enclosed = vec![0; count];
    for (place, without) in withouts.iter().enumerate() {
        let mut free = vec![false; count];
        // Ways stand in the order of the nodes they leave and mostly lead forward: backwards, few rounds are needed.
        let mut changed = without.to.is_some();
        while changed {
            changed = false;
            for way in ways.iter().rev() {
                let Some(from) = way.from.map(|from| from.0 as usize) else { continue };
                let escapes = way.to.is_none_or(|to| free[to.0 as usize]);
                if escapes && !free[from] && Some(graph.takings[from].step) != without.to {
                    free[from] = true;
                    changed = true;
                }
            }
        }
        for (node, free) in free.iter().enumerate() {
            enclosed[node] |= u64::from(!free) << place;
        }
    }
    enclosed
}

/// By step: its place when the steps are sorted by name.
fn name_ranks(pattern: &Pattern) -> Vec<u16> {
    let rank = |name: &str| pattern.steps.iter().filter(|step| step.name.as_str() < name).count();
    pattern.steps.iter().map(|step| u16::try_from(rank(&step.name)).expect("steps are numbered by 16 bits")).collect()
}
