//! Which matches of one instant are delivered, in which order, and what each removes.
//!
//! All strategies remove what starts before some point, so a delivered match raises one *floor*. What starts later than every event of the
//! instant is above any floor; so nothing of it needs to be kept.

use std::cmp::Ordering;

use crate::automaton::chain::Chain;
use crate::automaton::runs::Run;
use crate::automaton::ways::Automaton;
use crate::automaton::{Choice, Decided, DecidedBy, DecidedKind, push_made};
use crate::event::{EventTime, Place, SharedEvent};
use crate::pattern::{Skip, StepId};

/// A choice of events that may come out.
#[derive(Debug)]
pub(super) struct Complete {
    pub start: Place,
    /// `None`: `last` is the first.
    chain: Option<Chain>,
    /// What was chosen after the chain: the event at hand, which nothing goes on from. So no link is made for it.
    last: Option<(StepId, SharedEvent)>,
}

impl Complete {
    pub(super) fn of(chain: Chain) -> Self {
        Self { start: chain.start(), chain: Some(chain), last: None }
    }

    #[inline]
    pub(super) fn with(chain: Option<&Chain>, step: StepId, event: &SharedEvent) -> Self {
        Self { start: chain.map_or_else(|| event.place(), Chain::start), chain: chain.cloned(), last: Some((step, event.clone())) }
    }

    /// Takes the events, once.
    fn take_chosen(&mut self) -> Choice {
        let mut chosen = Choice::new();
        self.list_into(&mut chosen);
        chosen
    }

    /// The same, to where they stay.
    #[inline]
    fn list_into(&mut self, chosen: &mut Choice) {
        match self.chain.take() {
            Some(Chain::First(step, event)) => chosen.push((step, event)),
            Some(chain @ Chain::More(_)) => *chosen = chain.chosen(self.last.is_some().into()),
            None => {}
        }
        if let Some(last) = self.last.take() {
            chosen.push(last);
        }
    }
}

/// When and why something comes out.
pub(super) struct Instant {
    pub at: EventTime,
    pub by: DecidedBy,
    pub runs_dropped: u64,
    /// No more than these are handed out.
    pub matches_max: u64,
}

/// More came at one instant than may be handed out: nothing has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany;

/// What starts below it is removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Floor {
    place: Place,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    At,
    After,
}

impl Floor {
    pub(super) fn spares(self, start: Place) -> bool {
        self <= Self { place: start, side: Side::At }
    }

    /// Whether the run starts at or above it.
    pub(super) fn spares_run(self, run: &Run) -> bool {
        self.spares(run.chain.start())
    }

    fn raised_by(skip: Skip, chosen: &[(StepId, SharedEvent)]) -> Option<Self> {
        let of_step = |wanted: StepId| move |(step, _): &&(StepId, SharedEvent)| *step == wanted;
        let (found, side) = match skip {
            Skip::None => return None,
            Skip::ToNext => (chosen.first(), Side::After),
            Skip::PastLast => (chosen.last(), Side::After),
            Skip::ToFirst(step) => (chosen.iter().find(of_step(step)), Side::At),
            Skip::ToLast(step) => (chosen.iter().rfind(of_step(step)), Side::At),
        };
        found.map(|(_, event)| Self { place: event.place(), side })
    }
}

/// Delivers the matches of one instant, one by one in order; each may remove later ones. Returns the floor that they raised.
pub(super) fn deliver(automaton: &Automaton, instant: &Instant, complete: &mut [Complete], decided: &mut Vec<Decided>) -> Result<Option<Floor>, TooMany> {
    let before = decided.len();
    let mut output = Output { automaton, instant, floor: None, before, decided };
    complete.sort_by_key(|complete| complete.start);
    let delivered = complete.chunk_by_mut(|one, other| one.start == other.start).try_for_each(|together| output.deliver(together));
    let floor = output.floor;
    if delivered.is_err() {
        decided.truncate(before);
    }
    delivered.map(|()| floor)
}

/// The matches of one instant on their way out.
struct Output<'a> {
    automaton: &'a Automaton,
    instant: &'a Instant,
    floor: Option<Floor>,
    /// What was decided at earlier instants.
    before: usize,
    decided: &'a mut Vec<Decided>,
}

impl Output<'_> {
    /// What starts together: listed in full only if nothing before it has removed it.
    fn deliver(&mut self, together: &mut [Complete]) -> Result<(), TooMany> {
        let (start, count) = (together[0].start, together.len() as u64);
        if !self.spares(start) {
            return Ok(());
        }
        // As mostly: nothing has to be put in order.
        if let [only] = together {
            return self.push(|chosen| only.list_into(chosen));
        }
        for (place, chosen) in in_order(self.automaton, together).into_iter().enumerate() {
            if !self.spares(start) {
                break;
            }
            // What the first of them has not removed counts in full: so whoever lists them may stop at the limit.
            if place == 1 && count > self.instant.matches_max {
                return Err(TooMany);
            }
            self.push(|empty| *empty = chosen)?;
        }
        Ok(())
    }

    fn spares(&self, start: Place) -> bool {
        self.floor.is_none_or(|floor| floor.spares(start))
    }

    fn push(&mut self, list_into: impl FnOnce(&mut Choice)) -> Result<(), TooMany> {
        if (self.decided.len() - self.before) as u64 >= self.instant.matches_max {
            return Err(TooMany);
        }
        let decided = push_made(self.decided, || self.instant.decide(DecidedKind::Match, Choice::new()));
        list_into(&mut decided.chosen);
        if let Some(raised) = Floor::raised_by(self.automaton.pattern.skip, &decided.chosen) {
            self.floor = self.floor.max(Some(raised));
        }
        Ok(())
    }
}

/// Delivers the partial matches that ran out of time at this instant, but for those that its matches have removed.
pub(super) fn deliver_timeouts(
    automaton: &Automaton,
    instant: &Instant,
    floor: Option<Floor>,
    timed_out: &mut Vec<Complete>,
    decided: &mut Vec<Decided>,
) -> Result<(), TooMany> {
    if timed_out.is_empty() {
        return Ok(());
    }
    timed_out.retain(|complete| floor.is_none_or(|floor| floor.spares(complete.start)));
    if timed_out.len() as u64 > instant.matches_max {
        return Err(TooMany);
    }
    for chosen in in_order(automaton, timed_out) {
        decided.push(instant.decide(DecidedKind::Timeout, chosen));
    }
    Ok(())
}

impl Instant {
    fn decide(&self, kind: DecidedKind, chosen: Choice) -> Decided {
        Decided { kind, at: self.at, by: self.by, chosen, runs_dropped: self.runs_dropped }
    }
}

fn in_order(automaton: &Automaton, complete: &mut [Complete]) -> Vec<Choice> {
    let mut all: Vec<_> = complete.iter_mut().map(Complete::take_chosen).collect();
    all.sort_by(|one, other| order(automaton, one, other));
    all
}

/// By the places of the events, one after the other, what is the beginning of another before it; then by the steps' names.
fn order<'a>(automaton: &Automaton, one: &'a [(StepId, SharedEvent)], other: &'a [(StepId, SharedEvent)]) -> Ordering {
    let places = |chosen: &'a [(StepId, SharedEvent)]| chosen.iter().map(|(_, event)| event.place());
    let names = |chosen: &'a [(StepId, SharedEvent)]| chosen.iter().map(|(step, _)| automaton.name_rank[usize::from(step.0)]);
    places(one).cmp(places(other)).then_with(|| names(one).cmp(names(other)))
}
