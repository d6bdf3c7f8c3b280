//! A comparison one side of which a run knows once and for all: its *register*. An event is compared with it, and nothing chosen before is looked at again.
//!
//! What stands on either side together is taken apart: of `at - a.at > 30s` the event's side is `at`, and the register `30s + a.at`. That moves sums across a comparison, which is right where nothing is
//! rounded and nothing overflows: for whole numbers, decimals, times and durations of [few digits](is_small). Of others the comparison says nothing, and the condition is asked as it stands.

use std::cell::Cell;
use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::automaton::aside::Aside;
use crate::event::{Fields, Value};
use crate::pattern::{Arithmetic, Chosen, Comparison, Expression, Moment, NothingChosen, Scope, StepId, at_path, calculate, order};

#[derive(Clone, Debug)]
pub(super) struct Compared {
    comparison: Comparison,
    of_event: Expression,
    /// That is this field, and no part of a record.
    field: Option<usize>,
    own: Side,
    /// It is asked once these have chosen something: until then whatever comes fits.
    once_chosen: Vec<StepId>,
}

/// The run's own side.
#[derive(Clone, Debug)]
enum Side {
    Stated(Expression),
    /// What these add up to.
    Moved(Vec<Term>),
}

#[derive(Clone, Debug)]
struct Term {
    expression: Expression,
    is_negative: bool,
}

/// More are not moved: so many of few digits add up to what a decimal holds.
const TERMS_MAX: usize = 8;

impl Compared {
    /// `None`: there is no such comparison.
    pub(super) fn of(conjunct: &Expression) -> Option<Self> {
        if let Some((step, rest)) = conjunct.once_chosen() {
            let mut compared = Self::best_of(&rest.conjuncts())?;
            compared.once_chosen.push(step);
            return Some(compared);
        }
        if let Some((comparison, of_event, of_chosen)) = conjunct.compares_with_chosen() {
            return Some(Self::between(comparison, of_event.clone(), Side::Stated(of_chosen.clone())));
        }
        let Expression::Compare { comparison, left, right } = conjunct else { return None };
        let mut terms = Terms::default();
        terms.add(left, false)?;
        terms.add(right, true)?;
        let Terms { of_event, mut of_others } = terms;
        let of_event = of_event?;
        // All terms add up to what is compared with nothing: the others go to the other side.
        of_others.iter_mut().for_each(|term| term.is_negative ^= !of_event.is_negative);
        // What is taken away comes last: durations are taken from times, and not the other way round.
        of_others.sort_by_key(|term| term.is_negative);
        if let Some(first) = of_others.first_mut().filter(|first| first.is_negative) {
            *first = Term { expression: Expression::Negate(Box::new(first.expression.clone())), is_negative: false };
        }
        let comparison = if of_event.is_negative { comparison.turned() } else { *comparison };
        let says = |term: &Term| if let Expression::Constant(value) = &term.expression { value.is_null() || is_small(value) } else { true };
        (of_others.len() <= TERMS_MAX && of_others.iter().all(says)).then(|| Self::between(comparison, of_event.expression, Side::Moved(of_others)))
    }

    /// That which it is best to have a register for.
    pub(super) fn best_of(conjuncts: &[&Expression]) -> Option<Self> {
        conjuncts.iter().filter_map(|conjunct| Self::of(conjunct)).min_by_key(Self::rank)
    }

    fn between(comparison: Comparison, of_event: Expression, own: Side) -> Self {
        Self { comparison, field: of_event.whole_field(), of_event, own, once_chosen: Vec::new() }
    }

    /// Less for what is better to have a register for, of several comparisons: an equality lets fewest runs by, and what is moved may say nothing.
    fn rank(&self) -> impl Ord + use<> {
        (!self.is_equality(), self.is_moved(), self.field.is_none())
    }

    pub(super) fn is_equality(&self) -> bool {
        self.comparison == Comparison::Equal && !self.is_moved()
    }

    /// Of those that say the same all registers are the same, and let events by in the same order.
    pub(super) fn own_side(&self) -> String {
        let direction = match self.comparison {
            Comparison::Greater | Comparison::GreaterOrEqual => Ordering::Greater,
            Comparison::Less | Comparison::LessOrEqual => Ordering::Less,
            Comparison::Equal | Comparison::NotEqual => Ordering::Equal,
        };
        format!("{:?}", (direction, &self.own, &self.once_chosen))
    }

    fn is_moved(&self) -> bool {
        matches!(self.own, Side::Moved(_))
    }

    /// It says all, and to ask it of an event calculates nothing.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.of_event, Expression::Field(_)) && !self.is_moved() && self.once_chosen.is_empty()
    }

    /// To find out the register takes more than a look.
    pub(super) fn calculates(&self) -> bool {
        !matches!(self.own, Side::Stated(Expression::Chosen { .. }))
    }

    pub(super) fn register(&self, chosen: &dyn Chosen, moment: Moment<'_>) -> Aside {
        if self.once_chosen.iter().any(|step| chosen.count(*step) == 0) {
            return Aside::Anything;
        }
        let scope = Scope { fields: None, chosen, moment };
        match &self.own {
            Side::Stated(own) => Aside::of(own.value(&scope)),
            Side::Moved(terms) => add_up(terms, &scope),
        }
    }

    /// More than the other register does, if whatever fits that fits this, and less the other way round. `None`: that cannot be told.
    pub(super) fn lets_by(&self, register: &Aside, other: &Aside) -> Option<Ordering> {
        match (register, other) {
            (_, Aside::Anything) => return Some(Ordering::Less),
            (Aside::Nothing, _) => return Some(Ordering::Less),
            (Aside::Later | Aside::Anything | Aside::Own(_), _) | (_, Aside::Later | Aside::Own(_)) => return None,
            (_, Aside::Nothing) if self.has_order() => return Some(Ordering::Greater),
            (one, other) if matches!(one, Aside::Float(_)) != matches!(other, Aside::Float(_)) => return None,
            _ => {}
        }
        let found = register.ask(|register| other.ask(|other| order(register, other)))?;
        match self.comparison {
            Comparison::Greater | Comparison::GreaterOrEqual => Some(found.reverse()),
            Comparison::Less | Comparison::LessOrEqual => Some(found),
            Comparison::Equal | Comparison::NotEqual => None,
        }
    }

    /// Whether runs can be found by what is more, or less, than their registers.
    pub(super) fn has_order(&self) -> bool {
        !matches!(self.comparison, Comparison::Equal | Comparison::NotEqual)
    }

    /// Asks something of the event's side.
    pub(super) fn ask_event<T>(&self, scope: &Scope<'_>, of: impl FnOnce(&Value) -> T) -> T {
        match (&self.of_event, scope.fields) {
            (Expression::Field(path), Some(fields)) => of(at_path(fields, path)),
            (of_event, _) => of(&of_event.reference(scope)),
        }
    }

    /// The event's side, where that is a field of it: to be asked for once, and not for each register, since a field that is kept among few has to be looked for.
    #[inline]
    pub(super) fn at_hand<'a>(&self, fields: Fields<'a>) -> Option<&'a Value> {
        self.field.map(|field| fields.at(field))
    }

    /// Whether the event, with [that](Compared::at_hand) on its side, can fit, as far as the comparison with the register decides: for whole numbers, without putting values together. (That is a third of the instructions, for each run that an
    /// event comes by.) `None`: it has to be [asked](Compared::may_hold).
    #[inline]
    pub(super) fn holds_of_numbers(&self, register: &Aside, of_event: Option<&Value>) -> Option<bool> {
        match (of_event, register) {
            (Some(Value::Int(of_event)), Aside::Int(register)) if !self.is_moved() || is_small_number(*of_event) => {
                Some(self.comparison.holds_of(*of_event, *register))
            }
            _ => None,
        }
    }

    /// The same of any values. The register is found out where it has not been.
    pub(super) fn may_hold(&self, register: &mut Aside, chosen: &dyn Chosen, fields: Fields<'_>, moment: Moment<'_>) -> bool {
        if let Aside::Later = register {
            *register = self.register(chosen, moment);
        }
        self.may_hold_of(register, fields, moment)
    }

    /// The same of a register that has been found out.
    pub(super) fn may_hold_of(&self, register: &Aside, fields: Fields<'_>, moment: Moment<'_>) -> bool {
        if let Aside::Anything = register {
            return true;
        }
        let scope = |moment| Scope { fields: Some(fields), chosen: &NothingChosen, moment };
        if !self.is_moved() {
            return register.ask(|register| self.ask_event(&scope(moment), |of_event| self.comparison.holds(of_event, register)));
        }
        // What cannot be calculated is counted where the condition is asked as it stands.
        let uncounted = Cell::new(0);
        let scope = scope(Moment { faults: &uncounted, ..moment });
        let says = |of_event: &Value, register: &Value| is_small(of_event) && (register.is_null() || order(of_event, register).is_some());
        let may_hold = |of_event: &Value, register: &Value| !says(of_event, register) || self.comparison.holds(of_event, register);
        register.ask(|register| self.ask_event(&scope, |of_event| may_hold(of_event, register)))
    }
}

/// What the sides of a comparison add up, the right one taken from the left one.
#[derive(Default)]
struct Terms {
    of_event: Option<Term>,
    /// Of events chosen before, and constants.
    of_others: Vec<Term>,
}

impl Terms {
    /// `None`: something else is done with them than adding up, or there is more than one of the event.
    fn add(&mut self, side: &Expression, is_negative: bool) -> Option<()> {
        match side {
            part if part.asks_the_chosen_alone() => self.of_others.push(Term { expression: part.clone(), is_negative }),
            part if part.asks_the_event_alone() && self.of_event.is_none() => self.of_event = Some(Term { expression: part.clone(), is_negative }),
            Expression::Arithmetic { operation: Arithmetic::Add, left, right } => {
                self.add(left, is_negative)?;
                self.add(right, is_negative)?;
            }
            Expression::Arithmetic { operation: Arithmetic::Subtract, left, right } => {
                self.add(left, is_negative)?;
                self.add(right, !is_negative)?;
            }
            Expression::Negate(operand) => self.add(operand, !is_negative)?,
            _ => return None,
        }
        Some(())
    }
}

/// What the terms add up to: null where one of them is, as the whole comparison is false then.
fn add_up(terms: &[Term], scope: &Scope<'_>) -> Aside {
    // What cannot be calculated is counted where the condition is asked as it stands.
    let uncounted = Cell::new(0);
    let scope = Scope { moment: Moment { faults: &uncounted, ..scope.moment }, ..*scope };
    let (mut sum, mut has_null) = (None, false);
    for Term { expression, is_negative } in terms {
        let value = expression.reference(&scope);
        if uncounted.get() > 0 || !(value.is_null() || is_small(&value)) {
            return Aside::Anything;
        }
        has_null |= value.is_null();
        let operation = if *is_negative { Arithmetic::Subtract } else { Arithmetic::Add };
        sum = Some(sum.map_or_else(|| value.clone().into_owned(), |before| calculate(operation, &before, &value, &uncounted)));
    }
    match sum {
        _ if has_null => Aside::Nothing,
        Some(sum) if !sum.is_null() => Aside::of(sum),
        Some(_) | None => Aside::Anything,
    }
}

/// Digits that [`TERMS_MAX`] of them and one more can have, added up and put into units of the finest, without one being lost.
const SMALL_END: u64 = 1 << 53;
const PLACES_MAX: u32 = 9;

fn is_small_number(number: i64) -> bool {
    number.unsigned_abs() < SMALL_END
}

/// What adds up without being rounded, and without overflow.
fn is_small(value: &Value) -> bool {
    match value {
        Value::Int(number) => is_small_number(*number),
        Value::Timestamp(time) => is_small_number(time.micros()),
        Value::Duration(span) => is_small_number(span.micros()),
        Value::Decimal(number) => is_small_decimal(*number),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Record(_) => false,
    }
}

fn is_small_decimal(number: Decimal) -> bool {
    number.scale() <= PLACES_MAX && number.mantissa().unsigned_abs() < u128::from(SMALL_END)
}

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::automaton::chain::Chain;
    use crate::event::{Event, EventTime, SharedEvent, StreamId, TimeSpan};
    use crate::pattern::{Occurrence, StepId};

    fn shared(fields: [Value; 2]) -> SharedEvent {
        SharedEvent::from(Event { stream: StreamId(0), partition: 0, offset: 0, time: EventTime::from_micros(0), fields: fields.into() })
    }

    fn constant(random: &mut ChaCha8Rng, kind: u32) -> Value {
        let whole =
            *[0, 1, -1, 7, 1_700_000_000_000_000, (1 << 53) - 1, -(1 << 53), (1 << 62) - 1, 1 - (1 << 62), i64::MAX, i64::MIN].choose(random).expect("some");
        let decimals = [
            "0",
            "0.1",
            "-2.50",
            "1000000.000000001",
            "9007199254740991",
            "4611686018427387903",
            "0.000000001",
            "0.0000000001",
            "79228162514264337593543950335",
            "7922816251426433759354395033.5",
        ];
        match kind {
            _ if random.random_bool(0.03) => Value::Null,
            0 => Value::Int(whole),
            1 if random.random_bool(0.3) => Value::Int(whole),
            1 => Value::Decimal(decimals.choose(random).expect("some").parse().expect("a number")),
            2 => Value::Float(*[0.1, 0.2, 0.3, -0.3, 1e16, 1e308, -1e308].choose(random).expect("some")),
            3 => Value::Timestamp(EventTime::from_micros(whole)),
            _ => Value::Duration(TimeSpan::from_micros(whole)),
        }
    }

    fn term(random: &mut ChaCha8Rng, kind: u32) -> Expression {
        let path = [random.random_range(0..2)].into();
        match random.random_range(0..4) {
            0 => Expression::Constant(constant(random, kind)),
            _ => Expression::Chosen { step: StepId(0), occurrence: Occurrence::FromLast(0), path },
        }
    }

    /// With the field of the event somewhere, if it `has_event`.
    fn sum(random: &mut ChaCha8Rng, kind: u32, has_event: bool, depth: u32) -> Expression {
        let choice = random.random_range(0..10);
        if depth == 0 || choice < 3 {
            return if has_event { Expression::Field([0].into()) } else { term(random, kind) };
        }
        if choice == 3 {
            return Expression::Negate(Box::new(sum(random, kind, has_event, depth - 1)));
        }
        let operation = *[Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Subtract].choose(random).expect("some");
        let is_left = random.random_bool(0.5);
        let (left, right) = (sum(random, kind, has_event && is_left, depth - 1), sum(random, kind, has_event && !is_left, depth - 1));
        Expression::Arithmetic { operation, left: Box::new(left), right: Box::new(right) }
    }

    /// However a comparison is put, and whatever it compares: what it says no to does not hold. And of few digits it says all there is to say.
    #[test]
    fn nothing_that_holds_is_ruled_out() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let (mut refused, mut ruled_out, mut moved) = (0, 0, 0);
        for _ in 0..300_000 {
            let kind = random.random_range(0..5);
            let is_left = random.random_bool(0.5);
            let comparison = *[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual].choose(&mut random).expect("some");
            let (left, right) = (sum(&mut random, kind, is_left, 2), sum(&mut random, kind, !is_left, 2));
            let conjunct = Expression::Compare { comparison, left: Box::new(left), right: Box::new(right) };
            if !conjunct.looks_back() {
                continue;
            }
            let Some(compared) = Compared::of(&conjunct) else {
                refused += 1;
                continue;
            };
            let chain = Chain::First(StepId(0), shared([constant(&mut random, kind), constant(&mut random, kind)]));
            let event = shared([constant(&mut random, kind), Value::Null]);
            let faults = Cell::new(0);
            let holds = conjunct.holds(&Scope { fields: Some(event.fields()), chosen: &chain, moment: Moment::plain(&faults) });
            let uncounted = Cell::new(0);
            let mut register = compared.register(&chain, Moment::plain(&uncounted));
            let may_hold = compared.may_hold(&mut register, &chain, event.fields(), Moment::plain(&uncounted));
            assert!(may_hold || !holds, "{conjunct:?} holds of {event:?} after {chain:?}, but {compared:?} rules it out");
            if compared.is_moved() {
                // Times do not add up to anything.
                let is_typed = kind != 3;
                assert!(may_hold || faults.get() == 0 || !is_typed, "what could not be calculated of {conjunct:?} is not counted");
                assert_eq!(uncounted.get(), 0, "{conjunct:?}");
                let is_small = compared.ask_event(&Scope::of_event(event.fields(), &uncounted), is_small);
                let says_all = is_typed && is_small && !matches!(register, Aside::Anything);
                assert!(holds == may_hold || !says_all, "{conjunct:?} of {event:?} after {chain:?}");
            } else {
                assert_eq!(may_hold, holds, "{conjunct:?} of {event:?} after {chain:?}");
            }
            ruled_out += usize::from(!may_hold);
            moved += usize::from(compared.is_moved() && !may_hold);
        }
        assert!(refused < 100_000 && ruled_out > 50_000 && moved > 5_000, "{refused} have no register, {ruled_out} were ruled out, {moved} by what was moved");
    }

    /// What an event has less of than a decimal of that size has digits is lost where it is added up as it stands: so it is not ruled out.
    #[test]
    fn digits_that_are_lost_are_not_told_apart() {
        let number = |text: &str| Value::Decimal(text.parse().expect("a number"));
        let of_a = || Expression::Chosen { step: StepId(0), occurrence: Occurrence::FromLast(0), path: [0].into() };
        let less = Expression::Arithmetic { operation: Arithmetic::Subtract, left: Box::new(Expression::Field([0].into())), right: Box::new(of_a()) };
        let right = Box::new(Expression::Negate(Box::new(of_a())));
        let conjunct = Expression::Compare { comparison: Comparison::LessOrEqual, left: Box::new(less), right };
        let compared = Compared::of(&conjunct).expect("its sides are taken apart");
        let chain = Chain::First(StepId(0), shared([number("9007199254740990"), Value::Null]));
        let faults = Cell::new(0);
        for (text, holds) in [("0.0000000000000000000000000001", true), ("0.000000001", false), ("0", true)] {
            let fields = [number(text), Value::Null];
            let mut register = compared.register(&chain, Moment::plain(&faults));
            assert_eq!(conjunct.holds(&Scope { fields: Some(fields[..].into()), chosen: &chain, moment: Moment::plain(&faults) }), holds, "{text}");
            assert_eq!(compared.may_hold(&mut register, &chain, fields[..].into(), Moment::plain(&faults)), holds, "{text}");
        }
    }

    /// Those that rules ask, each with what is compared.
    #[test]
    fn sides_are_taken_apart() {
        let (event, one, other) = (Value::Timestamp(EventTime::from_micros(90)), Value::Timestamp(EventTime::from_micros(50)), Value::Null);
        let (at, of_a) = (Expression::Field([0].into()), Expression::Chosen { step: StepId(0), occurrence: Occurrence::FromLast(0), path: [0].into() });
        let since = Expression::Arithmetic { operation: Arithmetic::Subtract, left: at.into(), right: of_a.into() };
        for (micros, holds) in [(39, true), (40, false), (41, false)] {
            let span = Expression::Constant(Value::Duration(TimeSpan::from_micros(micros)));
            let conjunct = Expression::Compare { comparison: Comparison::Greater, left: since.clone().into(), right: span.into() };
            let compared = Compared::of(&conjunct).expect("its sides are taken apart");
            let chain = Chain::First(StepId(0), shared([one.clone(), other.clone()]));
            let faults = Cell::new(0);
            let mut register = compared.register(&chain, Moment::plain(&faults));
            assert_eq!(compared.may_hold(&mut register, &chain, std::slice::from_ref(&event).into(), Moment::plain(&faults)), holds, "90 - 50 > {micros}");
            assert!(matches!(register, Aside::Timestamp(at) if at.micros() == 50 + micros), "{register:?}");
        }
    }
}
