//! What conditions ask of the events that repeated steps have chosen (`amount > 10 * avg(probe.amount)`), made as these are chosen, so that an answer costs the same however many they are.
//!
//! A [`TallyPlan`] says what a pattern asks; each link of a chain has the *answers* as of that link, each made from the one before it and one event. A chain only ever grows at its end, and runs that
//! have their beginning in common have its answers in common; so values are taken in the order in which a walk from the first event to the last would take them, and the answers are those of the walk,
//! to the digit of a float and to the fault. For `distinct` and `collect` every value is looked at, and so they are walked, where they are asked for; patterns whose steps have one place each need no answers.
//!
//! Invariant: answers say nothing that the chain does not: none is stored, and whoever reads a chain from the store makes them anew.

use std::cell::Cell;
use std::cmp::Ordering;

use crate::automaton::chain::Chain;
use crate::automaton::ways::{Node, Way};
use crate::event::{Fields, SharedEvent, Value};
use crate::pattern::{Aggregate, Arithmetic, Chosen, Expression, FieldPath, Occurrence, Pattern, StepId, at_path, average, calculate, order};

/// What is asked of the events of a pattern's steps, each once; as each link of a chain answers it.
#[derive(Clone, Debug, Default)]
pub(super) struct TallyPlan(Box<[Asked]>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    step: StepId,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    /// The step's event at that place, counted from its first.
    Event(u32),
    Last,
    Count,
    Sum(FieldPath),
    Extreme(Ordering, FieldPath),
}

/// As of one link.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Event(Option<SharedEvent>),
    /// Of so many values; of what is null, it could not be made.
    Made(u32, Value),
}

/// What was chosen, as conditions ask for it.
pub(super) struct Recalled<'a> {
    pub chain: &'a Chain,
    pub plan: &'a TallyPlan,
}

impl TallyPlan {
    /// Empty where each step has one place.
    pub(super) fn of(pattern: &Pattern, nodes: &[Node], ways: &[Way]) -> Self {
        let goes_back = |way: &Way| way.from.is_some_and(|from| way.to.is_some_and(|to| to <= from));
        let comes_again = |(place, node): (usize, &Node)| nodes[..place].iter().any(|before| before.step == node.step);
        let mut all: Vec<Asked> = Vec::new();
        if ways.iter().any(goes_back) || nodes.iter().enumerate().any(comes_again) {
            for condition in pattern.conditions.iter().filter_map(|condition| condition.expression.as_ref()) {
                condition.visit(&mut |part| {
                    let asked = Asked::by(part).filter(|asked| !all.contains(asked));
                    all.extend(asked);
                });
            }
        }
        Self(all.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Once the step has taken the event after the chain.
    pub(super) fn answers<'a>(&'a self, chain: &'a Chain, step: StepId, event: &'a SharedEvent) -> impl ExactSizeIterator<Item = Answer> {
        self.0.iter().enumerate().map(move |(number, asked)| {
            let before = chain.answers().get(number).cloned();
            let before = before.unwrap_or_else(|| asked.nothing().with(asked, chain.step(), chain.event(), None));
            before.with(asked, step, event, Some(chain))
        })
    }
}

impl Asked {
    fn by(part: &Expression) -> Option<Self> {
        let (step, what) = match part {
            Expression::Chosen { step, occurrence: Occurrence::FromFirst(place), .. } => (step, What::Event(*place)),
            Expression::Chosen { step, occurrence: Occurrence::FromLast(0), .. } => (step, What::Last),
            Expression::Count(step) => (step, What::Count),
            Expression::Aggregate { aggregate, step, path } => (step, What::of(*aggregate, path)?),
            _ => return None,
        };
        Some(Self { step: *step, what })
    }

    fn nothing(&self) -> Answer {
        match self.what {
            What::Event(_) | What::Last => Answer::Event(None),
            What::Count | What::Sum(_) | What::Extreme(..) => Answer::Made(0, Value::Null),
        }
    }
}

impl What {
    /// What the aggregate is made from; `None`: from each of the values.
    fn of(aggregate: Aggregate, path: &FieldPath) -> Option<Self> {
        Some(match aggregate {
            Aggregate::Sum | Aggregate::Average => Self::Sum(path.clone()),
            Aggregate::Least => Self::Extreme(Ordering::Less, path.clone()),
            Aggregate::Most => Self::Extreme(Ordering::Greater, path.clone()),
            Aggregate::Distinct | Aggregate::Collect => return None,
        })
    }

    /// Whether the aggregate is made from it.
    fn makes(&self, aggregate: Aggregate, path: &FieldPath) -> bool {
        match (self, aggregate) {
            (Self::Sum(of), Aggregate::Sum | Aggregate::Average)
            | (Self::Extreme(Ordering::Less, of), Aggregate::Least)
            | (Self::Extreme(Ordering::Greater, of), Aggregate::Most) => of == path,
            _ => false,
        }
    }
}

impl Answer {
    /// With one event more, which that step takes after what is `chosen`.
    fn with(self, asked: &Asked, step: StepId, event: &SharedEvent, chosen: Option<&Chain>) -> Self {
        if asked.step != step {
            return self;
        }
        let value = |path: &FieldPath| Some(at_path(event.fields(), path)).filter(|value| !value.is_null());
        match (self, &asked.what) {
            (_, What::Last) => Self::Event(Some(event.clone())),
            (Self::Event(None), What::Event(place)) => {
                let is_there = chosen.map_or(0, |chain| chain.count(step)) == *place as usize;
                Self::Event(is_there.then(|| event.clone()))
            }
            (Self::Made(events, _), What::Count) => Self::Made(events + 1, Value::Null),
            (Self::Made(values, made), What::Sum(path)) => match value(path) {
                None => Self::Made(values, made),
                // Durations add up as well.
                Some(first) if values == 0 => Self::Made(1, first.clone()),
                Some(next) => Self::Made(values + 1, calculate(Arithmetic::Add, &made, next, &Cell::new(0))),
            },
            (Self::Made(values, made), What::Extreme(wanted, path)) => match value(path) {
                Some(next) if values == 0 || order(next, &made) == Some(*wanted) => Self::Made(values + 1, next.clone()),
                _ => Self::Made(values, made),
            },
            (known, _) => known,
        }
    }

    fn aggregate(&self, aggregate: Aggregate, faults: &Cell<u64>) -> Value {
        let Self::Made(values, made) = self else { unreachable!("an aggregate is made") };
        match aggregate {
            Aggregate::Sum if *values == 0 => Value::Int(0),
            Aggregate::Sum | Aggregate::Average => {
                // Adding up has failed once, whichever value it failed at.
                faults.set(faults.get() + u64::from(made.is_null() && *values > 0));
                if aggregate == Aggregate::Sum { made.clone() } else { average(made, *values as usize, faults) }
            }
            Aggregate::Least | Aggregate::Most | Aggregate::Distinct | Aggregate::Collect => made.clone(),
        }
    }
}

impl Recalled<'_> {
    /// What is asked is told by a question to the plan, since to put it together would copy its path.
    fn answer(&self, step: StepId, is_asked: impl Fn(&What) -> bool) -> Option<&Answer> {
        let number = self.plan.0.iter().position(|asked| asked.step == step && is_asked(&asked.what))?;
        self.chain.answers().get(number)
    }

    /// Within: none so far. `None`: it has to be looked for.
    fn event(&self, step: StepId, what: &What) -> Option<Option<Fields<'_>>> {
        match self.answer(step, |asked| asked == what)? {
            Answer::Event(event) => Some(event.as_ref().map(SharedEvent::fields)),
            Answer::Made(..) => None,
        }
    }
}

impl Chosen for Recalled<'_> {
    fn nth(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        let asked = u32::try_from(place).ok().map(What::Event);
        let known = asked.and_then(|asked| self.event(step, &asked));
        known.unwrap_or_else(|| self.chain.nth(step, place))
    }

    fn nth_last(&self, step: StepId, place: usize) -> Option<Fields<'_>> {
        let known = (place == 0 && self.chain.step() != step).then(|| self.event(step, &What::Last)).flatten();
        known.unwrap_or_else(|| self.chain.nth_last(step, place))
    }

    fn count(&self, step: StepId) -> usize {
        match self.answer(step, |asked| *asked == What::Count) {
            Some(Answer::Made(events, _)) => *events as usize,
            Some(Answer::Event(_)) | None => self.chain.count(step),
        }
    }

    fn for_each(&self, step: StepId, visit: &mut dyn FnMut(Fields<'_>)) {
        self.chain.for_each(step, visit);
    }

    fn made(&self, aggregate: Aggregate, step: StepId, path: &FieldPath, faults: &Cell<u64>) -> Option<Value> {
        Some(self.answer(step, |asked| asked.makes(aggregate, path))?.aggregate(aggregate, faults))
    }
}

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::event::{Event, EventTime, StreamId, TimeSpan};
    use crate::pattern::{Moment, Scope};

    fn event(place: u64, value: Value) -> SharedEvent {
        let time = EventTime::from_micros(place.cast_signed());
        SharedEvent::from(Event { stream: StreamId(0), partition: 0, offset: place, time, fields: [value].into() })
    }

    /// All that can be asked of a step.
    fn questions(step: StepId) -> Vec<Expression> {
        use Aggregate::{Average, Collect, Distinct, Least, Most, Sum};
        let path = || FieldPath::from([0]);
        let at = |occurrence| Expression::Chosen { step, occurrence, path: path() };
        let aggregates = [Sum, Average, Least, Most, Distinct, Collect].map(|aggregate| Expression::Aggregate { aggregate, step, path: path() });
        let places = (0..4).flat_map(|place| [at(Occurrence::FromFirst(place)), at(Occurrence::FromLast(place))]);
        [Expression::Count(step)].into_iter().chain(aggregates).chain(places).collect()
    }

    fn values(random: &mut ChaCha8Rng) -> Vec<Value> {
        let decimals = |texts: &[&str]| texts.iter().map(|text| Value::Decimal(text.parse().expect("a number"))).collect();
        match random.random_range(0..5) {
            0 => [1, 2, -3, i64::MAX, i64::MIN, 1 << 62].map(Value::Int).into(),
            1 => [0.1, 0.2, -0.0, 0.0, 1e300, f64::MAX, -1e-300].map(Value::Float).into(),
            2 => decimals(&["0.10", "1", "2.5000", "-2.5", "0", "0.000", "79228162514264337593543950335", "0.0000000000000000000000000001"]),
            3 => [1, -5, i64::MAX].map(|micros| Value::Duration(TimeSpan::from_micros(micros))).into(),
            _ => ["a", "b", "", "a text of more than a few letters, which lies elsewhere"].map(Value::text).into(),
        }
    }

    /// Whatever is asked of a chain, in whatever order steps have taken its events: what was made on the way is what a walk finds, and fails where that fails.
    #[test]
    fn answers_are_those_of_a_walk() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let steps = [StepId(0), StepId(1), StepId(2)];
        let asked = steps.into_iter().flat_map(questions).filter_map(|question| Asked::by(&question)).collect();
        let (plan, nothing) = (TallyPlan(asked), TallyPlan([].into()));
        let mut known = 0;
        for _ in 0..400 {
            let values = values(&mut random);
            let stays = random.random_range(0.1..0.95);
            let mut step = StepId(0);
            let mut chain: Option<Chain> = None;
            for place in 0..random.random_range(1..25) {
                let value = if random.random_bool(0.15) { Value::Null } else { values.choose(&mut random).expect("some").clone() };
                let event = event(place, value);
                step = if random.random_bool(stays) { step } else { *steps.choose(&mut random).expect("some") };
                let last = chain.map_or_else(|| Chain::First(step, event.clone()), |before| before.and(step, &event, &plan));
                for question in steps.into_iter().flat_map(questions) {
                    let ask = |chosen: &dyn Chosen| {
                        let faults = Cell::new(0);
                        let value = question.value(&Scope { fields: None, chosen, moment: Moment::plain(&faults) });
                        format!("{value:?}, {} faults", faults.get())
                    };
                    let recalled = Recalled { chain: &last, plan: &plan };
                    assert_eq!(ask(&recalled), ask(&last), "{question:?} of {last:?}");
                    assert_eq!(ask(&Recalled { plan: &nothing, ..recalled }), ask(&last), "{question:?}");
                    let aggregate = if let Expression::Aggregate { aggregate, step, path } = &question {
                        recalled.made(*aggregate, *step, path, &Cell::new(0))
                    } else {
                        None
                    };
                    known += usize::from(aggregate.is_some());
                }
                chain = Some(last);
            }
        }
        assert!(known > 10_000, "{known} aggregates were made on the way");
    }

    /// However often steps take turns, and with answers that hold events.
    #[test]
    fn a_long_chain_is_let_go() {
        let plan = TallyPlan(questions(StepId(1)).iter().filter_map(Asked::by).collect());
        let first = Chain::First(StepId(0), event(0, Value::Int(0)));
        let long = (1..200_000).fold(first, |chain, place| chain.and(StepId((place % 2) as u16), &event(place, Value::Int(1)), &plan));
        let shared = long.clone();
        drop(long);
        assert_eq!(Recalled { chain: &shared, plan: &plan }.count(StepId(1)), 100_000);
    }
}
