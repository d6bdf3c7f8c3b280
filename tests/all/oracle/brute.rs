//! The meaning of a pattern, worked out over a whole line of events at once and with no thought for cost: every choice of events is followed to its
//! end, then what came of all of them is put in order and the skip strategy applied.
//!
//! Slow and plain: what the engine says is held against it. It shares with the automaton the typed pattern and the evaluation of
//! expressions, nothing else.

use std::cell::Cell;
use std::collections::BTreeSet;

use motif::automaton::DecidedKind;
use motif::event::{Event, EventTime, Fields, TimeSpan, Value};
use motif::pattern::{Chosen, ConditionId, Measure, Moment, NothingChosen, Pattern, Skip, StepId, WindowId, WindowSpan, Windows, at_path};

use super::rest::{Choice, PassOver, Rest, RestKey, Take};

/// An event that comes by a choice is a meeting; with many more of these than choices the case is given up as well.
const MEETINGS_PER_CHOICE: usize = 100;

/// Something that comes out; events by their places in the line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decision {
    pub kind: DecidedKind,
    pub at: EventTime,
    pub chosen: Vec<(StepId, usize)>,
}

/// Everything that comes out of a line that is complete; in the order of delivery. `None`: there are more than `choices_max` partial choices to follow.
pub fn decide(pattern: &Pattern, line: &[Event], choices_max: usize) -> Option<Vec<Decision>> {
    let mut oracle = Oracle { pattern, line, choices_max, meetings: 0, outcomes: Vec::new(), followed: BTreeSet::new() };
    for place in 0..line.len() {
        oracle.begin_at(place)?;
    }
    Some(oracle.deliver())
}

/// When something happens: deadlines at an instant before its events, events in line order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Deadline(EventTime),
    Event(EventTime, usize),
}

impl When {
    fn rank(self) -> (EventTime, u8, usize) {
        match self {
            Self::Deadline(at) => (at, 0, 0),
            Self::Event(at, place) => (at, 1, place),
        }
    }
}

struct Outcome {
    when: When,
    kind: DecidedKind,
    chosen: Vec<(StepId, usize)>,
}

/// How a way on comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Never,
    /// An event ended or used it.
    Event(usize),
    Deadline(EventTime),
}

struct Oracle<'a> {
    pattern: &'a Pattern,
    line: &'a [Event],
    choices_max: usize,
    meetings: usize,
    outcomes: Vec<Outcome>,
    /// Choices with what is left of the pattern: several ways may lead to the same.
    followed: BTreeSet<(Vec<(StepId, usize)>, RestKey)>,
}

impl<'a> Oracle<'a> {
    fn begin_at(&mut self, place: usize) -> Option<()> {
        for choice in Rest::whole(self.pattern).choices() {
            let Some(take) = choice.take else { continue };
            let fits = |condition: ConditionId| self.fits(condition, place, &[]);
            let greedy = choice.path.greedy.iter().any(|(condition, until, ..)| fits(*condition) && !until.is_some_and(fits));
            let shut = greedy || choice.path.until.iter().copied().any(fits) || choice.path.not_next.iter().copied().any(fits);
            if !shut && self.takes(take, place, &[]) {
                self.follow(vec![(take.step, place)], &choice.after)?;
            }
        }
        Some(())
    }

    /// All that comes of a choice whose last event has just been taken.
    fn follow(&mut self, chosen: Vec<(StepId, usize)>, rest: &Rest<'a>) -> Option<()> {
        if !self.followed.insert((chosen.clone(), rest.key())) {
            return Some(());
        }
        if self.followed.len() > self.choices_max {
            return None;
        }
        if self.encloses_what_is_forbidden(&chosen) {
            return Some(());
        }
        let last = chosen.last().expect("something was chosen").1;
        let mut ends = Vec::new();
        for choice in rest.choices() {
            let at_once = choice.take.is_none() && choice.path.absent.is_empty() && choice.path.not_next.is_empty();
            if at_once {
                self.matched(When::Event(self.line[last].time, last), &chosen);
            } else {
                ends.push((choice.take.is_none(), self.wait(&chosen, &choice)?));
            }
        }
        self.time_out(&chosen, &ends);
        Some(())
    }

    /// Follows one way on through the events that come.
    fn wait(&mut self, chosen: &[(StepId, usize)], choice: &Choice<'a>) -> Option<End> {
        let last = chosen.last().expect("something was chosen").1;
        let deadline = self.deadline(chosen, choice);
        for place in last + 1..self.line.len() {
            if deadline.is_some_and(|deadline| deadline <= self.line[place].time) {
                break;
            }
            if self.meet(chosen, choice, place, place == last + 1)? {
                return Some(End::Event(place));
            }
        }
        let Some(deadline) = deadline else { return Some(End::Never) };
        if choice.take.is_none() {
            self.matched(When::Deadline(deadline), chosen);
        }
        Some(End::Deadline(deadline))
    }

    /// One event comes by one way on; true if the way ends with it.
    fn meet(&mut self, chosen: &[(StepId, usize)], choice: &Choice<'a>, place: usize, very_next: bool) -> Option<bool> {
        self.meetings += 1;
        if self.meetings > self.choices_max.saturating_mul(MEETINGS_PER_CHOICE) {
            return None;
        }
        let path = &choice.path;
        let since = self.line[place].time.since(self.line[chosen.last().expect("something was chosen").1].time);
        let fits = |condition: ConditionId| self.fits(condition, place, chosen);
        let in_time = |span: Option<TimeSpan>| span.is_none_or(|span| since < span);
        let hungry = path
            .greedy
            .iter()
            .any(|(condition, until, next_only, gap)| (very_next || !next_only) && in_time(*gap) && fits(*condition) && !until.is_some_and(fits));
        if hungry || (very_next && path.not_next.iter().copied().any(fits)) {
            return Some(true);
        }
        let absent = |watched: bool| path.absent.iter().any(|(condition, hold)| (!watched || in_time(*hold)) && fits(*condition));
        let Some(take) = choice.take else {
            if absent(true) {
                return Some(true);
            }
            if path.absent.is_empty() {
                self.matched(When::Event(self.line[place].time, place), chosen);
            }
            return Some(path.absent.is_empty());
        };
        if path.until.iter().copied().any(fits) {
            return Some(true);
        }
        let taken = self.takes(take, place, chosen);
        let passes = match path.pass_over.expect("something lies between two chosen events") {
            PassOver::Nothing => false,
            PassOver::NotFitting => !taken,
            PassOver::Anything => true,
        };
        let over = !passes || absent(false) || self.forbids(chosen, take, choice, place);
        if taken {
            let mut longer = chosen.to_vec();
            longer.push((take.step, place));
            self.follow(longer, &choice.after)?;
        }
        Some(over)
    }

    /// Passing the event over leaves no match by this way: some `without` forbids it, and everything on the way ends by what would enclose it.
    fn forbids(&self, chosen: &[(StepId, usize)], take: Take, choice: &Choice<'a>, place: usize) -> bool {
        self.pattern.without.iter().any(|without| {
            let inside = without.from.is_none_or(|from| chosen.iter().any(|(step, _)| *step == from));
            let certain = without.to.is_none_or(|to| take.step == to || !choice.after.can_end_without(to));
            inside && certain && self.fits(without.condition, place, chosen)
        })
    }

    /// An event strictly between the ends of a `without`, not chosen, fits it; seen with what was chosen before it.
    fn encloses_what_is_forbidden(&self, chosen: &[(StepId, usize)]) -> bool {
        self.pattern.without.iter().any(|without| {
            let named = |wanted: Option<StepId>| chosen.iter().filter(move |(step, _)| wanted.is_none_or(|wanted| *step == wanted));
            let (Some((_, from)), Some((_, to))) = (named(without.from).next(), named(without.to).next_back()) else { return false };
            (from + 1..*to).any(|place| {
                let before = chosen.partition_point(|(_, taken)| *taken < place);
                chosen.iter().all(|(_, taken)| *taken != place) && self.fits(without.condition, place, &chosen[..before])
            })
        })
    }

    fn deadline(&self, chosen: &[(StepId, usize)], choice: &Choice<'_>) -> Option<EventTime> {
        let [first, last] = [chosen.first(), chosen.last()].map(|end| self.line[end.expect("something was chosen").1].time);
        let window = self.pattern.within.map(|within| first.plus(within));
        if choice.take.is_none() && !choice.path.absent.is_empty() {
            let ends: Option<Vec<EventTime>> = choice.path.absent.iter().map(|(_, hold)| hold.map(|hold| last.plus(hold)).or(window)).collect();
            return ends?.into_iter().max();
        }
        [window, choice.path.within.map(|within| last.plus(within))].into_iter().flatten().min()
    }

    fn matched(&mut self, when: When, chosen: &[(StepId, usize)]) {
        self.outcomes.push(Outcome { when, kind: DecidedKind::Match, chosen: chosen.to_vec() });
    }

    /// A timeout, if time took the last way on, and that did not decide an absence.
    fn time_out(&mut self, chosen: &[(StepId, usize)], ends: &[(bool, End)]) {
        let deadlines = ends.iter().filter_map(|(_, end)| if let End::Deadline(at) = end { Some(*at) } else { None });
        let Some(last) = deadlines.max() else { return };
        let all_over = ends.iter().all(|(_, end)| match end {
            End::Never => false,
            End::Event(place) => self.line[*place].time < last,
            End::Deadline(_) => true,
        });
        let decides = ends.iter().any(|(accepts, end)| *accepts && *end == End::Deadline(last));
        if all_over && !decides {
            self.outcomes.push(Outcome { when: When::Deadline(last), kind: DecidedKind::Timeout, chosen: chosen.to_vec() });
        }
    }

    /// In order of time, matches of an instant before its timeouts; each choice once; nothing that starts below what was delivered.
    fn deliver(mut self) -> Vec<Decision> {
        let name = |step: StepId| self.pattern.step(step).name.as_str();
        self.outcomes.sort_by_cached_key(|outcome| {
            let places: Vec<usize> = outcome.chosen.iter().map(|(_, place)| *place).collect();
            let names: Vec<String> = outcome.chosen.iter().map(|(step, _)| name(*step).to_owned()).collect();
            (outcome.when.rank(), outcome.kind, places, names)
        });
        let (mut floor, mut seen, mut delivered) = (0, BTreeSet::new(), Vec::new());
        for Outcome { when, kind, chosen } in self.outcomes {
            let start = chosen[0].1;
            if start < floor || !seen.insert(chosen.clone()) {
                continue;
            }
            if kind == DecidedKind::Match {
                let of = |wanted: StepId| chosen.iter().filter(move |(step, _)| *step == wanted).map(|(_, place)| *place);
                floor = floor.max(match self.pattern.skip {
                    Skip::None => 0,
                    Skip::ToNext => start + 1,
                    Skip::PastLast => chosen.last().expect("something was chosen").1 + 1,
                    Skip::ToFirst(step) => of(step).next().unwrap_or(0),
                    Skip::ToLast(step) => of(step).next_back().unwrap_or(0),
                });
            }
            delivered.push(Decision { kind, at: when.rank().0, chosen });
        }
        delivered
    }

    fn takes(&self, take: Take, place: usize, chosen: &[(StepId, usize)]) -> bool {
        self.fits(take.condition, place, chosen) && !take.until.is_some_and(|until| self.fits(until, place, chosen))
    }

    fn fits(&self, condition: ConditionId, place: usize, chosen: &[(StepId, usize)]) -> bool {
        let view = View { line: self.line, chosen };
        let recent = Recent { pattern: self.pattern, line: &self.line[..=place], at: self.line[place].time };
        let event = &self.line[place];
        self.pattern.condition(condition).holds(event.stream, event.all_fields(), &view, Moment { windows: &recent, ..Moment::plain(&Cell::new(0)) })
    }
}

/// The windows, read off the line up to the event at hand.
struct Recent<'a> {
    pattern: &'a Pattern,
    line: &'a [Event],
    at: EventTime,
}

impl Windows for Recent<'_> {
    fn value(&self, id: WindowId, faults: &Cell<u64>) -> Value {
        let window = self.pattern.window(id);
        let counts = |event: &&Event| window.events.holds(event.stream, event.all_fields(), &NothingChosen, Moment::plain(faults));
        let counting: Vec<&Event> = self.line.iter().filter(counts).collect();
        let is_in = |place: usize| {
            let time = counting[place].time;
            match window.span {
                WindowSpan::Sliding(span) => time > self.at.minus(span),
                WindowSpan::Tumbling(span) => time.micros().div_euclid(span.micros()) == self.at.micros().div_euclid(span.micros()),
                WindowSpan::Session(span) => {
                    let after = counting[place + 1..].iter().map(|event| event.time).chain([self.at]);
                    let gaps = counting[place..].iter().zip(after).map(|(event, next)| next.since(event.time));
                    gaps.into_iter().all(|gap| gap < span)
                }
            }
        };
        let values: Vec<Value> = (0..counting.len())
            .filter(|place| is_in(*place))
            .map(|place| match &window.measure {
                Measure::Count => Value::Null,
                Measure::Aggregate { path, .. } => at_path(counting[place].all_fields(), path).clone(),
            })
            .collect();
        window.measure.of(values.into_iter(), faults)
    }
}

struct View<'a> {
    line: &'a [Event],
    chosen: &'a [(StepId, usize)],
}

impl View<'_> {
    fn of(&self, wanted: StepId) -> impl DoubleEndedIterator<Item = Fields<'_>> {
        self.chosen.iter().filter(move |(step, _)| *step == wanted).map(|(_, place)| self.line[*place].all_fields())
    }
}

impl Chosen for View<'_> {
    fn nth(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.of(step).nth(place)
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        self.of(step).rev().nth(place)
    }

    fn count(&self, step: StepId) -> usize {
        self.of(step).count()
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(Fields<'_>)) {
        self.of(step).for_each(visit);
    }
}
