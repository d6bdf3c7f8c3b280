//! What is known of an event before any run is looked at: its *class*, a bit for each condition of the pattern.
//!
//! A bit that is not set says that the event does not fit the condition, whatever was chosen before. One that is set says that it does as far as the event alone
//! decides; where the condition also looks back, asks for windows or for the source, that is what remains to be asked. Classes are found for all patterns
//! together (`engine::index`), or for one with [`Automaton::class_of`].
//!
//! The last bit is set in every class. It stands for the conditions for which there is no other bit, of which hardly a pattern has any, and for
//! whatever an event does that fits nothing.
//!
//! The idea of a bit for each condition is that of CORE (Bucchi et al., PVLDB 15, 2022).

use std::cell::Cell;

use crate::automaton::compared::Compared;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, How};
use crate::event::{StreamId, Value};
use crate::pattern::{Condition, ConditionId, Expression, Pattern, Scope};

/// Bits of conditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class(u64);

impl Class {
    /// Fits nothing.
    pub const NOTHING: Self = Self(1 << LAST);

    /// No bit at all: where nothing is awaited.
    pub(super) const EMPTY: Self = Self(0);

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0 | Self::NOTHING.0)
    }

    pub fn meets(self, awaited: Self) -> bool {
        self.0 & awaited.0 != 0
    }

    /// Whether there is nothing but `bit` in which it does.
    pub(super) fn meets_only_in(self, awaited: Self, bit: Self) -> bool {
        self.0 & awaited.0 == bit.0
    }
}

const LAST: u32 = 63;

/// What must be asked of the event alone so that a bit of the class is set.
#[derive(Clone, Copy, Debug)]
pub struct ClassBit<'a> {
    pub class: Class,
    pub stream: StreamId,
    pub conjuncts: &'a [Expression],
}

/// The bit of one condition.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub bit: Class,
    stream: StreamId,
    alone: Vec<Expression>,
    /// What remains to be asked where the bit is set; `None`: nothing.
    rest: Option<Condition>,
    /// A comparison among what remains, one side of which a run knows once and for all.
    compared: Option<Compared>,
    /// Nothing remains beside it, and to ask it of an event calculates nothing.
    is_all_compared: bool,
}

impl Fit {
    /// What remains to be asked where the bit is set.
    pub(super) fn asked(&self) -> Option<&Expression> {
        self.rest.as_ref()?.expression.as_ref()
    }

    pub(super) fn all(pattern: &Pattern) -> Vec<Self> {
        (0..).zip(&pattern.conditions).map(|(number, condition)| Self::of(condition, number)).collect()
    }

    fn of(condition: &Condition, number: u32) -> Self {
        let (stream, bit) = (condition.stream, Class(1 << number.min(LAST)));
        if number >= LAST {
            return Self { bit, stream, alone: Vec::new(), rest: Some(condition.clone()), compared: None, is_all_compared: false };
        }
        let (alone, rest) = condition.conjuncts();
        let compared = rest.iter().filter_map(|conjunct| Compared::of(conjunct)).min_by_key(Compared::rank);
        let alone = alone.into_iter().cloned().collect();
        let expression = match rest.as_slice() {
            [] => None,
            [one] => Some((*one).clone()),
            several => Some(Expression::And(several.iter().map(|one| (*one).clone()).collect())),
        };
        let remains = expression.is_some() || condition.stands_as != 0;
        let is_all_compared = rest.len() == 1 && condition.stands_as == 0 && compared.as_ref().is_some_and(Compared::is_plain);
        Self { bit, stream, alone, rest: remains.then(|| Condition { expression, ..condition.clone() }), compared, is_all_compared }
    }
}

impl Automaton {
    /// The bits of a class, each with what sets it; [`Class::NOTHING`] is set anyway.
    pub fn class_bits(&self) -> impl Iterator<Item = ClassBit<'_>> {
        let own = self.fits.iter().filter(|fit| fit.bit != Class::NOTHING);
        own.map(|fit| ClassBit { class: fit.bit, stream: fit.stream, conjuncts: &fit.alone })
    }

    /// Whether an event that fits nothing must come by all the same.
    pub fn wants_every_event(&self) -> bool {
        self.sees_every_event || self.fits.len() > LAST as usize
    }

    /// The class of one event of the stream.
    pub fn class_of(&self, stream: StreamId, fields: &[Value], faults: &Cell<u64>) -> Class {
        let scope = Scope::of_event(fields, faults);
        let holds = |bit: &ClassBit<'_>| bit.stream == stream && bit.conjuncts.iter().all(|conjunct| conjunct.holds(&scope));
        self.class_bits().filter(holds).fold(Class::NOTHING, |class, bit| class.with(bit.class))
    }

    /// The condition whose comparison a run with these ways has a register for: of a step, if there is one, else of what must not come.
    pub(super) fn register(&self, ways: &WaySet) -> Option<ConditionId> {
        self.asked(ways).into_iter().find(|condition| self.fit(*condition).compared().is_some())
    }

    /// Those that a run with these ways waits for, and that want what that one wants to be equal.
    pub(super) fn equal_to(&self, register: ConditionId, ways: &WaySet) -> Vec<ConditionId> {
        let Some(equality) = self.fit(register).compared() else { return Vec::new() };
        let is_equal = |condition: &ConditionId| self.fit(*condition).compared().is_some_and(|compared| compared.equals_the_same(equality));
        self.asked(ways).into_iter().filter(is_equal).collect()
    }

    /// The conditions of the steps that these ways lead to; behind them those of what must not come.
    fn asked(&self, ways: &WaySet) -> Vec<ConditionId> {
        let (mut steps, mut others) = (Vec::new(), Vec::new());
        ways.for_each(|way| {
            let way = self.way(way);
            steps.extend(way.to.map(|node| self.node(node).condition));
            others.extend(self.demand(way.demand).no.iter().map(|none_of| none_of.condition));
        });
        others.extend(self.withouts().map(|(_, condition)| condition));
        [steps, others].concat()
    }

    pub(super) fn fit(&self, id: ConditionId) -> &Fit {
        &self.fits[usize::from(id.0)]
    }

    /// The events that come by ways like these without changing anything are those whose class does not meet this.
    pub(super) fn awaited(&self, ways: &WaySet) -> Class {
        let mut awaited = self.withouts().fold(Class::EMPTY, |class, (_, condition)| class.with(self.fit(condition).bit));
        ways.for_each(|id| {
            let way = self.way(id);
            let demand = self.demand(way.demand);
            let mut asks = |condition: ConditionId| awaited = awaited.with(self.fit(condition).bit);
            demand.no.iter().for_each(|none_of| asks(none_of.condition));
            demand.greedy.iter().for_each(|hunger| asks(hunger.condition));
            demand.until.iter().for_each(|condition| asks(*condition));
            if let Some(node) = way.to {
                asks(self.node(node).condition);
            }
            let any = demand.how == How::Next || !demand.no_next.is_empty() || demand.greedy.iter().any(|hunger| hunger.next_only);
            if any {
                awaited = awaited.with(Class::NOTHING);
            }
        });
        awaited
    }
}

impl Fit {
    /// Whether an event of this class fits.
    pub(super) fn holds(&self, class: Class, remains: impl FnOnce(&Condition) -> bool) -> bool {
        class.meets(self.bit) && self.rest.as_ref().is_none_or(remains)
    }

    /// Whether the class says all.
    pub(super) fn is_of_class(&self) -> bool {
        self.rest.is_none()
    }

    /// Whether the class says all, or with a register all the same.
    pub(super) fn is_known_by(&self, has_register: bool) -> bool {
        self.is_of_class() || self.is_all_compared && has_register
    }

    /// The comparison, among what remains to be asked, for which a run has a register.
    pub(super) fn compared(&self) -> Option<&Compared> {
        self.compared.as_ref()
    }
}
