//! What comes out of an event or an instant: in which order, and what it removes. See `skip` in the folder above, which does the same for runs.
//!
//! Few matches are listed and sorted. Of many, where most skip strategies deliver a few, only these are sought: for each start the least match is found in one walk over the sets,
//! each once, from the matches back to their beginnings.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::automaton::runs::Limits;
use crate::automaton::shared::choices::Choices;
use crate::automaton::shared::moves::Rules;
use crate::automaton::shared::sets::{Made, Nth, SetId, Sets};
use crate::automaton::skip::TooMany;
use crate::automaton::{Decided, DecidedBy, DecidedKind};
use crate::event::EventTime;
use crate::pattern::{Skip, StepId};

/// Choices that may come out: those of the set that start at or after the cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Root {
    pub set: SetId,
    pub cut: Nth,
}

/// When and why something comes out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    pub at: EventTime,
    pub by: DecidedBy,
    pub runs_dropped: u64,
}

/// A choice in the order taken.
type Chosen = Vec<(StepId, Nth)>;

impl Choices {
    /// Delivers the matches of one instant, one by one in order; each may remove later ones. Where they are more than may be handed out, none is, and nothing is removed.
    pub(super) fn deliver(&mut self, rules: Rules<'_>, workspace: &mut super::Workspace, limits: &Limits, instant: &Instant, decided: &mut Vec<Decided>) {
        if workspace.roots.is_empty() {
            return;
        }
        let before = decided.len();
        let mut output = Output { choices: self, rules, instant, most: limits.matches_max, floor: self.cut.floor, before, decided };
        let delivered = output.deliver(&workspace.roots, workspace.bounds.listed_max);
        let floor = output.floor;
        workspace.roots.clear();
        match delivered {
            Ok(()) => self.cut.floor = floor,
            Err(TooMany) => self.keep_back(before, decided),
        }
    }

    /// Delivers the choices that ran out of time at this instant, but for those that its matches have removed.
    pub(super) fn deliver_timeouts(&mut self, rules: Rules<'_>, limits: &Limits, instant: &Instant, timed_out: &[Root], decided: &mut Vec<Decided>) {
        let before = decided.len();
        let mut output = Output { choices: self, rules, instant, most: limits.matches_max, floor: self.cut.floor, before, decided };
        match output.listed(timed_out) {
            Ok(listed) => listed.iter().for_each(|chosen| output.push(DecidedKind::Timeout, chosen)),
            Err(TooMany) => self.keep_back(before, decided),
        }
    }

    fn keep_back(&mut self, before: usize, decided: &mut Vec<Decided>) {
        decided.truncate(before);
        self.dropped += 1;
    }
}

struct Output<'a> {
    choices: &'a Choices,
    rules: Rules<'a>,
    instant: &'a Instant,
    most: u64,
    /// What starts before it is removed.
    floor: Nth,
    /// What was decided at earlier instants.
    before: usize,
    decided: &'a mut Vec<Decided>,
}

impl Output<'_> {
    fn deliver(&mut self, roots: &[Root], listed_max: u64) -> Result<(), TooMany> {
        let skip = self.rules.automaton.pattern.skip;
        if skip == Skip::None {
            return self.listed(roots)?.iter().try_for_each(|chosen| self.deliver_one(chosen));
        }
        if self.count(roots, listed_max) <= listed_max {
            return self.deliver_listed(&self.listed_from(roots, None, u64::MAX)?);
        }
        let leasts = Leasts::of(&self.choices.sets, roots, self.floor, self.rules);
        for (&start, found) in &leasts.by_start {
            if start < self.floor {
                continue;
            }
            let least = leasts.chosen(found);
            self.deliver_one(&least)?;
            if start < self.floor {
                continue;
            }
            // It has not removed what starts with it: the others come as well, until one does.
            for chosen in self.listed_from(roots, Some(start), self.most)? {
                if chosen != least {
                    self.deliver_one(&chosen)?;
                }
            }
        }
        Ok(())
    }

    fn deliver_listed(&mut self, listed: &[Chosen]) -> Result<(), TooMany> {
        for together in listed.chunk_by(|one, other| one[0].1 == other[0].1) {
            for (place, chosen) in together.iter().enumerate() {
                // What the first of them has not removed counts in full.
                if place == 1 && chosen[0].1 >= self.floor && together.len() as u64 > self.most {
                    return Err(TooMany);
                }
                self.deliver_one(chosen)?;
            }
        }
        Ok(())
    }

    fn count(&self, roots: &[Root], most: u64) -> u64 {
        let sets = &self.choices.sets;
        roots.iter().fold(0, |count, root| if count > most { count } else { count.saturating_add(sets.count(root.set, root.cut.max(self.floor), most)) })
    }

    fn listed(&self, roots: &[Root]) -> Result<Vec<Chosen>, TooMany> {
        if self.count(roots, self.most) > self.most {
            return Err(TooMany);
        }
        self.listed_from(roots, None, u64::MAX)
    }

    /// All choices, or those of one start, in order, if they are no more than `most`.
    fn listed_from(&self, roots: &[Root], start: Option<Nth>, most: u64) -> Result<Vec<Chosen>, TooMany> {
        let mut listed: Vec<Chosen> = Vec::new();
        for root in roots {
            let cut = root.cut.max(self.floor);
            let starts = start.map_or((cut, Nth::MAX), |start| (cut.max(start), start));
            let all = self.choices.sets.for_each(root.set, starts, |path| {
                listed.push(path.iter().rev().copied().collect());
                if listed.len() as u64 > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if all.is_break() {
                return Err(TooMany);
            }
        }
        listed.sort_by(|one, other| self.order(one, other));
        Ok(listed)
    }

    /// By the places of the events, one after the other, what is the beginning of another before it; then by the steps' names.
    fn order(&self, one: &Chosen, other: &Chosen) -> Ordering {
        let rank = |(step, _): &(StepId, Nth)| self.rules.automaton.name_rank[usize::from(step.0)];
        let places = one.iter().map(|(_, nth)| nth).cmp(other.iter().map(|(_, nth)| nth));
        places.then_with(|| one.iter().map(rank).cmp(other.iter().map(rank)))
    }

    fn deliver_one(&mut self, chosen: &Chosen) -> Result<(), TooMany> {
        let (Some((_, first)), Some((_, last))) = (chosen.first(), chosen.last()) else { unreachable!("a match of no events is none") };
        if *first < self.floor {
            return Ok(());
        }
        if (self.decided.len() - self.before) as u64 >= self.most {
            return Err(TooMany);
        }
        let of_step = |wanted: StepId| move |(step, nth): &(StepId, Nth)| (*step == wanted).then_some(*nth);
        let floor = match self.rules.automaton.pattern.skip {
            Skip::None => None,
            Skip::ToNext => Some(first + 1),
            Skip::PastLast => Some(last + 1),
            Skip::ToFirst(step) => chosen.iter().find_map(of_step(step)),
            Skip::ToLast(step) => chosen.iter().rev().find_map(of_step(step)),
        };
        self.floor = self.floor.max(floor.unwrap_or(0));
        self.push(DecidedKind::Match, chosen);
        Ok(())
    }

    fn push(&mut self, kind: DecidedKind, chosen: &Chosen) {
        let event = |nth: Nth| self.choices.events[nth as usize].clone();
        let chosen = chosen.iter().map(|(step, nth)| (*step, event(*nth))).collect();
        let Instant { at, by, runs_dropped } = *self.instant;
        self.decided.push(Decided { kind, at, by, chosen, runs_dropped });
    }
}

/// For each start the least of the matches.
struct Leasts<'a> {
    rules: Rules<'a>,
    futures: Vec<Future>,
    /// The futures that begin with it; of those from one cut only the least.
    by_start: BTreeMap<Nth, FutureId>,
}

/// The rest of a choice from one of its events on.
#[derive(Clone, Copy)]
struct Future {
    step: StepId,
    event: Nth,
    /// `None`: that was the last event.
    next: Option<FutureId>,
}

type FutureId = usize;

impl<'a> Leasts<'a> {
    fn of(sets: &Sets, roots: &[Root], floor: Nth, rules: Rules<'a>) -> Self {
        let mut leasts = Self { rules, futures: Vec::new(), by_start: BTreeMap::new() };
        let mut by_cut: BTreeMap<Nth, Vec<SetId>> = BTreeMap::new();
        roots.iter().for_each(|root| by_cut.entry(root.cut.max(floor)).or_default().push(root.set));
        for (cut, roots) in by_cut {
            leasts.walk(sets, &roots, cut);
        }
        leasts
    }

    /// Sets are visited from the last made to the first: whatever leads to one has been visited before it.
    fn walk(&mut self, sets: &Sets, roots: &[SetId], cut: Nth) {
        let mut open: BTreeMap<SetId, Option<FutureId>> = roots.iter().filter(|root| sets.latest(**root) >= cut).map(|root| (*root, None)).collect();
        while let Some((id, future)) = open.pop_last() {
            match sets.at(id).made {
                Made::Union { left, right } => {
                    for side in [left, right].into_iter().filter(|side| sets.latest(*side) >= cut) {
                        self.reach(&mut open, side, future);
                    }
                }
                Made::Take { before, event, step } => {
                    let future = self.push(Future { step, event, next: future });
                    self.reach(&mut open, before, Some(future));
                }
                Made::First { event, step } => {
                    let whole = self.push(Future { step, event, next: future });
                    let known = self.by_start.get(&event).copied();
                    if known.is_none_or(|known| self.order(Some(whole), Some(known)).is_lt()) {
                        self.by_start.insert(event, whole);
                    }
                }
            }
        }
    }

    fn reach(&self, open: &mut BTreeMap<SetId, Option<FutureId>>, id: SetId, future: Option<FutureId>) {
        open.entry(id)
            .and_modify(|known| {
                if self.order(future, *known).is_lt() {
                    *known = future
                }
            })
            .or_insert(future);
    }

    fn push(&mut self, future: Future) -> FutureId {
        self.futures.push(future);
        self.futures.len() - 1
    }

    fn order(&self, mut one: Option<FutureId>, mut other: Option<FutureId>) -> Ordering {
        let rank = |step: StepId| self.rules.automaton.name_rank[usize::from(step.0)];
        let mut by_name = Ordering::Equal;
        while one != other {
            let (Some(first), Some(second)) = (one.map(|id| self.futures[id]), other.map(|id| self.futures[id])) else {
                return one.is_some().cmp(&other.is_some());
            };
            if first.event != second.event {
                return first.event.cmp(&second.event);
            }
            by_name = by_name.then_with(|| rank(first.step).cmp(&rank(second.step)));
            (one, other) = (first.next, second.next);
        }
        by_name
    }

    fn chosen(&self, from: &FutureId) -> Chosen {
        let futures = std::iter::successors(Some(self.futures[*from]), |future| future.next.map(|next| self.futures[next]));
        futures.map(|future| (future.step, future.event)).collect()
    }
}
