//! Which matches of one instant are delivered, in which order, and what each removes.
//!
//! All strategies remove what starts before some point, so a delivered match raises one *floor*. What starts later than every event of the
//! instant is above any floor; so nothing of it needs to be kept.
//!
//! Of what starts together most strategies deliver one, and a loop makes as many choices as it has events, each as long. So a choice is listed only when it is delivered, and put in order as it is
//! linked: see [`Complete::order`].

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

    /// Takes the events, once, to where they stay.
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

    fn last_taken(&self) -> Option<Taken<'_>> {
        let last = self.last.as_ref().map(|(step, event)| Taken { step: *step, event, before: self.chain.as_ref() });
        last.or_else(|| self.chain.as_ref().map(Taken::last_of))
    }

    /// By the places of the events, one after the other, what is the beginning of another before it; then by the steps' names, given the place of each step's among them.
    ///
    /// Places rise along a choice. So the first event that only one of the two has decides: that one is less, unless the other has ended before. From the last events back, this is the last such event
    /// to be met. Cost: the events that the two do not have in common as links.
    fn order(&self, other: &Self, name_rank: &[u16]) -> Ordering {
        let by_start = self.start.cmp(&other.start);
        if by_start.is_ne() {
            return by_start;
        }
        let (mut one, mut two) = (self.last_taken(), other.last_taken());
        let ends = (one.map(Taken::place), two.map(Taken::place));
        let (mut by_place, mut by_name) = (Ordering::Equal, Ordering::Equal);
        while let (Some(first), Some(second)) = (one, two) {
            match first.place().cmp(&second.place()) {
                Ordering::Greater => {
                    by_place = if ends.1 < Some(first.place()) { Ordering::Greater } else { Ordering::Less };
                    one = first.back();
                }
                Ordering::Less => {
                    by_place = if ends.0 < Some(second.place()) { Ordering::Less } else { Ordering::Greater };
                    two = second.back();
                }
                Ordering::Equal => {
                    let rank = |taken: Taken<'_>| name_rank[usize::from(taken.step.0)];
                    by_name = rank(first).cmp(&rank(second)).then(by_name);
                    if first.before.map(Chain::identity) == second.before.map(Chain::identity) {
                        break;
                    }
                    (one, two) = (first.back(), second.back());
                }
            }
        }
        by_place.then(by_name)
    }
}

/// An event of a choice, and what was chosen before it.
#[derive(Clone, Copy)]
struct Taken<'a> {
    step: StepId,
    event: &'a SharedEvent,
    before: Option<&'a Chain>,
}

impl<'a> Taken<'a> {
    fn last_of(chain: &'a Chain) -> Self {
        Self { step: chain.step(), event: chain.event(), before: chain.before() }
    }

    fn back(self) -> Option<Self> {
        self.before.map(Self::last_of)
    }

    fn place(self) -> Place {
        self.event.place()
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
    let mut output = Output { skip: automaton.pattern.skip, name_rank: &automaton.name_rank, instant, floor: None, before, decided };
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
    skip: Skip,
    /// By step: its place among the steps' names.
    name_rank: &'a [u16],
    instant: &'a Instant,
    floor: Option<Floor>,
    /// What was decided at earlier instants.
    before: usize,
    decided: &'a mut Vec<Decided>,
}

impl Output<'_> {
    /// What starts together, if nothing before it has removed it.
    fn deliver(&mut self, together: &mut [Complete]) -> Result<(), TooMany> {
        let (start, count) = (together[0].start, together.len() as u64);
        if !self.spares(start) {
            return Ok(());
        }
        // Mostly it is one, and nothing has to be put in order.
        if together.len() > 1 {
            together.swap(0, least_of(together, self.name_rank));
        }
        let Some((least, others)) = together.split_first_mut() else { return Ok(()) };
        self.push(|chosen| least.list_into(chosen))?;
        if others.is_empty() || !self.spares(start) {
            return Ok(());
        }
        // What the first of them has not removed counts in full: so whoever lists them may stop at the limit.
        if count > self.instant.matches_max {
            return Err(TooMany);
        }
        others.sort_by(|one, other| one.order(other, self.name_rank));
        for complete in others {
            if !self.spares(start) {
                break;
            }
            self.push(|chosen| complete.list_into(chosen))?;
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
        if let Some(raised) = Floor::raised_by(self.skip, &decided.chosen) {
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
    timed_out.sort_by(|one, other| one.order(other, &automaton.name_rank));
    for complete in timed_out {
        complete.list_into(&mut push_made(decided, || instant.decide(DecidedKind::Timeout, Choice::new())).chosen);
    }
    Ok(())
}

impl Instant {
    fn decide(&self, kind: DecidedKind, chosen: Choice) -> Decided {
        Decided { kind, at: self.at, by: self.by, chosen, runs_dropped: self.runs_dropped }
    }
}

/// Where the least of them is. Those of one loop stand in the order of their lengths, whichever end the least is at: so the leasts of both halves are compared. (To compare each with the least so far
/// would go through the whole of each where the shortest is the least.)
fn least_of(complete: &[Complete], name_rank: &[u16]) -> usize {
    if complete.len() < 2 {
        return 0;
    }
    let (left, right) = complete.split_at(complete.len() / 2);
    let (one, other) = (least_of(left, name_rank), left.len() + least_of(right, name_rank));
    if complete[other].order(&complete[one], name_rank).is_lt() { other } else { one }
}

#[cfg(test)]
mod tests {
    use rand::seq::{IndexedRandom, SliceRandom};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::automaton::tally::TallyPlan;
    use crate::event::{Event, StreamId};

    fn event(number: u64) -> SharedEvent {
        let time = EventTime::from_micros((number / 3).cast_signed());
        SharedEvent::from(Event { stream: StreamId(0), partition: 0, offset: number, time, fields: Box::default() })
    }

    fn listed(mut complete: Complete) -> Choice {
        let mut chosen = Choice::new();
        complete.list_into(&mut chosen);
        chosen
    }

    /// What the language says, of choices that are written out.
    fn order_of_lists(one: &Choice, other: &Choice, name_rank: &[u16]) -> Ordering {
        let places = |chosen: &Choice| chosen.iter().map(|(_, event)| event.place()).collect::<Vec<_>>();
        let names = |chosen: &Choice| chosen.iter().map(|(step, _)| name_rank[usize::from(step.0)]).collect::<Vec<_>>();
        places(one).cmp(&places(other)).then_with(|| names(one).cmp(&names(other)))
    }

    fn again(complete: &Complete) -> Complete {
        Complete { start: complete.start, chain: complete.chain.clone(), last: complete.last.clone() }
    }

    /// Chains that share their beginnings as links or only as events, that are the beginning of others, and that have the same events under other steps; with a last event beside the chain or without.
    #[test]
    fn choices_are_put_in_the_order_of_their_lists() {
        let plan = TallyPlan::default();
        let name_rank = [2, 0, 1];
        let (mut equal_places, mut beginnings) = (0, 0);
        for seed in 0..100 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let events: Vec<SharedEvent> = (0..8).map(event).collect();
            let step = |random: &mut ChaCha8Rng| StepId(if random.random_bool(0.7) { 0 } else { random.random_range(0..3) });
            // By the number of its last event.
            let mut chains: Vec<(usize, Chain)> = Vec::new();
            let mut complete = Vec::new();
            for _ in 0..40 {
                let before = if random.random_bool(0.9) { chains.choose(&mut random).cloned() } else { None };
                let from = before.as_ref().map_or(0, |(number, _)| number + 1);
                let number = if random.random_bool(0.7) { from } else { random.random_range(from..from + 3) };
                let Some(event) = events.get(number) else { continue };
                let (step, chain) = (step(&mut random), before.map(|(_, chain)| chain));
                if random.random_bool(0.3) {
                    complete.push(Complete::with(chain.as_ref(), step, event));
                    continue;
                }
                let chain = chain.map_or_else(|| Chain::First(step, event.clone()), |chain| chain.and(step, event, &plan));
                complete.push(Complete::of(chain.clone()));
                chains.push((number, chain));
            }
            for one in &complete {
                for other in &complete {
                    let (first, second) = (listed(again(one)), listed(again(other)));
                    assert_eq!(one.order(other, &name_rank), order_of_lists(&first, &second, &name_rank), "seed {seed}: {first:?} and {second:?}");
                    let common = first.iter().zip(&second).take_while(|(one, other)| one.1 == other.1).count();
                    beginnings += usize::from(common == first.len() && common < second.len());
                    equal_places += usize::from(common == first.len() && common == second.len() && first != second);
                }
            }
            let least = &complete[least_of(&complete, &name_rank)];
            assert!(complete.iter().all(|other| least.order(other, &name_rank).is_le()), "seed {seed}: {least:?}");
        }
        assert!(equal_places > 300 && beginnings > 3_000, "{equal_places} differ in steps only, {beginnings} are beginnings");
    }

    /// What a loop of so many makes: with each of its events one more, and one after them all.
    fn choices_of_a_loop(length: u64, has_last: bool) -> Vec<Complete> {
        let plan = TallyPlan::default();
        let mut chain = Chain::First(StepId(0), event(0));
        let last = event(length + 1);
        let choices = (1..=length).map(|number| {
            chain = chain.and(StepId(1), &event(number), &plan);
            if has_last { Complete::with(Some(&chain), StepId(2), &last) } else { Complete::of(chain.clone()) }
        });
        choices.collect()
    }

    /// Delivers them: what came out, and how many of the choices were listed.
    fn delivered(skip: Skip, matches_max: u64, mut complete: Vec<Complete>) -> (Result<(), TooMany>, Vec<Choice>, usize) {
        let instant = Instant { at: EventTime::BEGINNING, by: DecidedBy::Event, runs_dropped: 0, matches_max };
        let mut decided = Vec::new();
        let mut output = Output { skip, name_rank: &[0, 1, 2], instant: &instant, floor: None, before: 0, decided: &mut decided };
        let result = output.deliver(&mut complete);
        let listed = complete.iter().filter(|complete| complete.chain.is_none()).count();
        (result, decided.into_iter().map(|decided| decided.chosen).collect(), listed)
    }

    #[test]
    fn what_is_not_delivered_is_not_listed() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for (has_last, length_of_least) in [(true, 52), (false, 2)] {
            let mut choices = choices_of_a_loop(50, has_last);
            for skip in [Skip::PastLast, Skip::ToNext, Skip::ToLast(StepId(1))] {
                choices.shuffle(&mut random);
                let (result, came_out, listed) = delivered(skip, 10, choices.iter().map(again).collect());
                assert_eq!((result, came_out.len(), listed), (Ok(()), 1, 1), "{skip:?}");
                assert_eq!(came_out[0].len(), length_of_least, "{skip:?}");
            }
            // The start is spared, and the others are too many.
            let (result, _, listed) = delivered(Skip::None, 49, choices.iter().map(again).collect());
            assert_eq!((result, listed), (Err(TooMany), 1));
            let (result, came_out, _) = delivered(Skip::ToFirst(StepId(0)), 50, choices);
            assert_eq!((result, came_out.len()), (Ok(()), 50));
            assert!(came_out.is_sorted_by(|one, other| order_of_lists(one, other, &[0, 1, 2]).is_lt()));
        }
        // The least has no event of the step; the next one removes the rest.
        let mut choices = choices_of_a_loop(50, false);
        choices.push(Complete::of(Chain::First(StepId(0), event(0))));
        let (result, came_out, listed) = delivered(Skip::ToLast(StepId(1)), 100, choices);
        assert_eq!((result, came_out.len(), listed), (Ok(()), 2, 2));
    }
}
