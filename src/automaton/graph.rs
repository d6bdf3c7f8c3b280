//! A pattern's steps unrolled: *points* joined by *edges* that carry demands, some points taking an event.
//!
//! `x{2,4}` is four points that take x, the last round of an open loop leads back to itself, a group is unrolled whole, and `all` has one
//! taking point for each (step, steps already taken). Edges without a taking point between them add up to ways (`compile`).

use crate::automaton::ways::{Demand, How, Hunger, NodeId, NoneOf};
use crate::pattern::{Absence, Body, ConditionId, Connective, ContinuityInside, Element, Part, Quantifier, Sequence, StepId};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Point(pub u32);

pub(super) const START: Point = Point(0);

#[derive(Debug)]
pub(super) struct Edge {
    pub to: Point,
    pub demand: Demand,
}

/// A point that takes an event.
#[derive(Debug)]
pub(super) struct Taking {
    pub at: Point,
    pub step: StepId,
    pub condition: ConditionId,
    pub until: Option<ConditionId>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By point.
    edges: Vec<Vec<Edge>>,
    /// By point.
    takes: Vec<Option<NodeId>>,
    /// By node.
    pub takings: Vec<Taking>,
}

/// What lies between the point before an element and its first round, between its rounds, and behind it.
struct Links {
    enter: Demand,
    again: Demand,
    leave_early: Demand,
    leave_out: Demand,
}

impl Graph {
    /// The graph, and the point at which the whole pattern has been taken.
    pub(super) fn unroll(body: &Sequence) -> (Self, Point) {
        let mut graph = Self::default();
        let start = graph.point();
        debug_assert_eq!(start, START);
        let end = graph.sequence(body, start);
        (graph, end)
    }

    pub(super) fn edges(&self, point: Point) -> &[Edge] {
        &self.edges[point.0 as usize]
    }

    /// The node that takes an event at this point.
    pub(super) fn taken_at(&self, point: Point) -> Option<NodeId> {
        self.takes[point.0 as usize]
    }

    fn point(&mut self) -> Point {
        let id = u32::try_from(self.edges.len()).expect("the checker bounds the number of nodes");
        self.edges.push(Vec::new());
        self.takes.push(None);
        Point(id)
    }

    fn edge(&mut self, from: Point, to: Point, demand: Demand) {
        self.edges[from.0 as usize].push(Edge { to, demand });
    }

    fn sequence(&mut self, sequence: &Sequence, from: Point) -> Point {
        let mut at = from;
        for part in &sequence.0 {
            let next = self.point();
            match part {
                Part::Element(element) => self.element(element, at, next),
                Part::Absence(Absence::Not { condition, hold }) => {
                    let none_of = NoneOf { condition: *condition, hold: *hold };
                    self.edge(at, next, Demand { no: vec![none_of], ..Demand::NOTHING });
                }
                Part::Absence(Absence::NextNot { condition }) => {
                    self.edge(at, next, Demand { no_next: vec![*condition], ..Demand::NOTHING });
                }
            }
            at = next;
        }
        at
    }

    fn element(&mut self, element: &Element, from: Point, end: Point) {
        let quantifier = &element.quantifier;
        let links = Links::of(element);
        if quantifier.optional {
            self.edge(from, end, links.leave_out);
        }
        let mut before: Option<Point> = None;
        for round in 1..=quantifier.most.unwrap_or(quantifier.least) {
            let (first, last) = (self.point(), self.point());
            match before {
                None => self.edge(from, first, links.enter.clone()),
                Some(before) => self.edge(before, first, links.again.clone()),
            }
            self.round(element, first, last);
            if round >= quantifier.least {
                let may_go_on = quantifier.most.is_none_or(|most| round < most);
                self.edge(last, end, if may_go_on { links.leave_early.clone() } else { Demand::NOTHING });
                if quantifier.most.is_none() {
                    self.edge(last, first, links.again.clone());
                }
            }
            before = Some(last);
        }
    }

    /// One repetition.
    fn round(&mut self, element: &Element, first: Point, last: Point) {
        match &element.body {
            Body::Step { step, condition } => self.taking(*step, *condition, element.quantifier.until, first, last),
            Body::Group(sequence) => {
                let end = self.sequence(sequence, first);
                self.edge(end, last, Demand::NOTHING);
            }
            Body::Choice(branches) => {
                for branch in branches {
                    let end = self.sequence(branch, first);
                    self.edge(end, last, Demand::NOTHING);
                }
            }
            Body::All(steps) => self.all(steps, element.connective, first, last),
        }
    }

    fn taking(&mut self, step: StepId, condition: ConditionId, until: Option<ConditionId>, from: Point, to: Point) {
        let at = self.point();
        let node = NodeId(u32::try_from(self.takings.len()).expect("the checker bounds the number of nodes"));
        self.takes[at.0 as usize] = Some(node);
        self.takings.push(Taking { at, step, condition, until });
        self.edge(from, at, Demand::NOTHING);
        self.edge(at, to, Demand::NOTHING);
    }

    /// A point for each set of steps taken, as bits; from it a gate to each step that is still wanted. Nothing wanted is passed over.
    fn all(&mut self, steps: &[(StepId, ConditionId)], connective: Connective, first: Point, last: Point) {
        let sets = 1_usize << steps.len();
        let mut points = vec![first];
        points.extend((1..sets - 1).map(|_| self.point()));
        points.push(last);
        for taken in 0..sets - 1 {
            let wanted = |place: usize| taken & 1 << place == 0;
            let guarded = taken != 0 || connective == Connective::Then;
            for (place, (step, condition)) in steps.iter().enumerate().filter(|(place, _)| wanted(*place)) {
                let others = steps.iter().enumerate().filter(|(other, _)| guarded && *other != place && wanted(*other));
                let mut no: Vec<NoneOf> = others.map(|(_, (_, condition))| NoneOf { condition: *condition, hold: None }).collect();
                no.sort_unstable();
                no.dedup();
                let how = if taken == 0 { How::Begin } else { How::Then };
                let gate = self.point();
                self.edge(points[taken], gate, Demand { how, no, ..Demand::NOTHING });
                self.taking(*step, *condition, None, gate, points[taken | 1 << place]);
            }
        }
    }
}

impl Links {
    fn of(element: &Element) -> Self {
        let Quantifier { greedy, inside, each_within, until, .. } = element.quantifier;
        let inside = match inside {
            ContinuityInside::Then => How::Then,
            ContinuityInside::Consecutive => How::Next,
            ContinuityInside::Combinations => How::Any,
        };
        let how = match element.connective {
            Connective::Begin => How::Begin,
            Connective::Then => How::Then,
            Connective::ThenNext => How::Next,
            Connective::ThenAny => How::Any,
        };
        let hunger = |next_only: bool, gap| match &element.body {
            Body::Step { condition, .. } if greedy => vec![Hunger { condition: *condition, unless: until, next_only, gap }],
            _ => Vec::new(),
        };
        Self {
            enter: Demand { how, gap: element.within, ..Demand::NOTHING },
            again: Demand { how: inside, gap: each_within, until: until.into_iter().collect(), ..Demand::NOTHING },
            leave_early: Demand { greedy: hunger(inside == How::Next, each_within), ..Demand::NOTHING },
            leave_out: Demand { greedy: hunger(how == How::Next, element.within), ..Demand::NOTHING },
        }
    }
}
