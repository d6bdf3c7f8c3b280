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
use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::automaton::compared::Compared;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, How};
use crate::event::{Fields, StreamId};
use crate::pattern::{Condition, ConditionId, Expression, Pattern, Scope};

/// Bits of conditions; the default is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
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

/// What runs ask of events: each that does something to one fits one of these conditions, or all do (`any`).
struct Asked {
    conditions: Vec<ConditionId>,
    any: Class,
}

/// What runs know once and for all that some conditions compare events with: to be equal to it, or all to be more, or less.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub conditions: Vec<ConditionId>,
    /// Theirs.
    pub bits: Class,
    pub is_equality: bool,
}

/// How a run is found by the events that may do something to it: by what it has in registers, and by class where that is not all.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Places among the automaton's.
    pub registers: SmallVec<[usize; 1]>,
    pub others: Class,
}

impl Fit {
    /// What remains to be asked where the bit is set.
    pub(super) fn asked(&self) -> Option<&Expression> {
        self.rest.as_ref()?.expression.as_ref()
    }

    pub(super) fn stream(&self) -> StreamId {
        self.stream
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
        let compared = Compared::best_of(&rest);
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
    pub fn class_of(&self, stream: StreamId, fields: Fields<'_>, faults: &Cell<u64>) -> Class {
        let scope = Scope::of_event(fields, faults);
        let holds = |bit: &ClassBit<'_>| bit.stream == stream && bit.conjuncts.iter().all(|conjunct| conjunct.holds(&scope));
        self.class_bits().filter(holds).fold(Class::NOTHING, |class, bit| class.with(bit.class))
    }

    /// The condition whose comparison a run with these ways has a register for: of a step, if there is one, else of what must not come.
    pub(super) fn register(&self, ways: &WaySet) -> Option<ConditionId> {
        self.asked(ways).conditions.into_iter().find(|condition| self.fit(*condition).compared().is_some())
    }

    /// How runs with these ways are found.
    pub(super) fn finding(&self, ways: &WaySet) -> Finding {
        let Asked { conditions, any } = self.asked(ways);
        let mut finding = Finding { registers: SmallVec::new(), others: any };
        for condition in conditions {
            match self.place_of_register(condition) {
                Some(place) if finding.registers.contains(&place) => {}
                Some(place) => finding.registers.push(place),
                None => finding.others = finding.others.with(self.fit(condition).bit),
            }
        }
        finding
    }

    /// Among those of the pattern; `None`: the condition has none by which runs are found.
    pub(super) fn place_of_register(&self, condition: ConditionId) -> Option<usize> {
        self.registers.iter().position(|register| register.conditions.contains(&condition))
    }

    /// Those of the pattern.
    pub(super) fn find_registers(&self) -> Vec<Register> {
        let mut found: BTreeMap<String, Register> = BTreeMap::new();
        for (condition, fit) in (0..).map(ConditionId).zip(&self.fits) {
            if let Some(compared) = fit.compared().filter(|compared| compared.is_equality() || compared.has_order()) {
                let new = || Register { conditions: Vec::new(), bits: Class::EMPTY, is_equality: compared.is_equality() };
                let register = found.entry(compared.own_side()).or_insert_with(new);
                register.conditions.push(condition);
                register.bits = register.bits.with(fit.bit);
            }
        }
        found.into_values().collect()
    }

    /// What runs with these ways ask of events: of the steps that the ways lead to first, then of what must not come, then the rest.
    fn asked(&self, ways: &WaySet) -> Asked {
        let (mut steps, mut absent, mut others, mut any) = (Vec::new(), Vec::new(), Vec::new(), Class::EMPTY);
        ways.for_each(|way| {
            let way = self.way(way);
            let demand = self.demand(way.demand);
            steps.extend(way.to.map(|node| self.node(node).condition));
            absent.extend(demand.no.iter().map(|none_of| none_of.condition));
            others.extend(demand.greedy.iter().map(|hunger| hunger.condition));
            others.extend(&demand.until);
            if demand.how == How::Next || !demand.no_next.is_empty() || demand.greedy.iter().any(|hunger| hunger.next_only) {
                any = Class::NOTHING;
            }
        });
        absent.extend(self.withouts().map(|(_, condition)| condition));
        Asked { conditions: [steps, absent, others].concat(), any }
    }

    pub(super) fn fit(&self, id: ConditionId) -> &Fit {
        &self.fits[usize::from(id.0)]
    }

    /// The events that come by ways like these without changing anything are those whose class does not meet this.
    pub(super) fn awaited(&self, ways: &WaySet) -> Class {
        let Asked { conditions, any } = self.asked(ways);
        conditions.into_iter().fold(any, |awaited, condition| awaited.with(self.fit(condition).bit))
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
