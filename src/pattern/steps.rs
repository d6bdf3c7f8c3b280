//! The shape of a pattern: what is chosen one after the other, how often, and what must be absent in between.

use crate::event::TimeSpan;
use crate::pattern::{ConditionId, StepId};

/// Parts one after the other; the first is an [`Element`] with [`Connective::Begin`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Element(Element),
    Absence(Absence),
}

/// Something that takes events, and how it is reached and repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub connective: Connective,
    /// `then within D`: below this after the event before it.
    pub within: Option<TimeSpan>,
    pub body: Body,
    pub quantifier: Quantifier,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Step {
        step: StepId,
        condition: ConditionId,
    },
    Group(Sequence),
    Choice(Vec<Sequence>),
    /// Each once, in any order: single steps only.
    All(Vec<(StepId, ConditionId)>),
}

/// What may be passed over on the way to an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connective {
    /// The first of its sequence: nothing is said.
    Begin,
    /// `then`: nothing that fits it.
    Then,
    /// `then next`: nothing.
    ThenNext,
    /// `then any`: anything.
    ThenAny,
}

/// How often, and what holds from one repetition to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantifier {
    /// At least 1: "or not at all" is `optional`.
    pub least: u32,
    /// `None`: any number.
    pub most: Option<u32>,
    pub optional: bool,
    /// Single steps only.
    pub greedy: bool,
    pub inside: ContinuityInside,
    pub each_within: Option<TimeSpan>,
    /// Single steps only: an event that fits closes the loop and is not taken by it.
    pub until: Option<ConditionId>,
}

/// What may be passed over between two repetitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContinuityInside {
    /// Nothing that fits.
    Then,
    /// `consecutive`: nothing.
    Consecutive,
    /// `combinations`: anything.
    Combinations,
}

/// `then not` and `then next not`: an event that must not come.
#[derive(Clone, Debug, PartialEq)]
pub enum Absence {
    /// None of these in between; as the last part: until the window closes, or for as long as said after the event before it.
    Not { condition: ConditionId, hold: Option<TimeSpan> },
    /// The very next event is not one of these.
    NextNot { condition: ConditionId },
}

impl Quantifier {
    /// Exactly one event or repetition.
    pub const ONCE: Self = Self { least: 1, most: Some(1), optional: false, greedy: false, inside: ContinuityInside::Then, each_within: None, until: None };
}
