//! How large a pattern's automaton becomes, told from its shape, so that none is made that is too large.
//!
//! A loop is unrolled, a group as a whole; `all` has a state for each step and what is taken already. Ways lead from each state over all that may be left
//! out: many such parts in a row have many ways.

use crate::language::check::findings::Findings;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::pattern::{Body, Element, Part, Quantifier, Sequence};

/// States of one pattern; the automaton is made for no more.
const STATES_MAX: u64 = 1_024;

/// Ways between the states of one pattern, each with what it demands.
const WAYS_MAX: u64 = 16_384;

/// Says so if the pattern is too large; `span` is its name's.
pub(super) fn check(body: &Sequence, span: Span, findings: &mut Findings) {
    let states = states(body);
    if states > STATES_MAX {
        let message = format!("the pattern has more than {STATES_MAX} states");
        let label = if states < 1_000_000 { format!("{states} when all loops are written out") } else { "millions when all loops are written out".to_owned() };
        let help = "a bounded loop counts as many times as its most, times the loop around it: write `x{n,}` and `count(x)` in `emit`, or smaller numbers";
        findings.add(Diagnostic::new(Code::PatternTooLarge, span, message, label).help(help));
        return;
    }
    let flow = Flow::of(body);
    let ways = flow.inside.saturating_add(flow.entries).saturating_add(flow.exits);
    if ways > WAYS_MAX {
        let message = format!("the pattern has more than {WAYS_MAX} ways from event to event");
        let help = "make some of the steps required, or split the pattern";
        findings.add(Diagnostic::new(Code::PatternTooLarge, span, message, "too many parts in a row that may be left out").help(help));
    }
}

fn states(sequence: &Sequence) -> u64 {
    let element = |element: &Element| {
        let once = match &element.body {
            Body::Step { .. } => 1,
            Body::Group(sequence) => states(sequence),
            Body::Choice(branches) => branches.iter().map(states).fold(0, u64::saturating_add),
            Body::All(steps) => all_states(steps.len()),
        };
        once.saturating_mul(rounds(&element.quantifier))
    };
    elements(sequence).map(element).fold(0, u64::saturating_add)
}

fn elements(sequence: &Sequence) -> impl Iterator<Item = &Element> {
    sequence.0.iter().filter_map(|part| if let Part::Element(element) = part { Some(element) } else { None })
}

/// How often it is written out.
fn rounds(quantifier: &Quantifier) -> u64 {
    u64::from(quantifier.most.unwrap_or(quantifier.least))
}

/// n · 2ⁿ⁻¹.
fn all_states(steps: usize) -> u64 {
    let steps = steps as u64;
    let sets = u32::try_from(steps).ok().and_then(|steps| 2_u64.checked_pow(steps.saturating_sub(1)));
    sets.map_or(u64::MAX, |sets| steps.saturating_mul(sets))
}

/// Ways through a part of the pattern.
#[derive(Clone, Copy)]
struct Flow {
    /// From before it to a state in it.
    entries: u64,
    /// From a state in it to behind it.
    exits: u64,
    /// Past it, taking nothing.
    skips: u64,
    /// Between states in it.
    inside: u64,
}

impl Flow {
    const EMPTY: Self = Self { entries: 0, exits: 0, skips: 1, inside: 0 };

    fn of(sequence: &Sequence) -> Self {
        elements(sequence).map(Self::of_element).fold(Self::EMPTY, Self::then)
    }

    fn then(self, next: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(self.skips.saturating_mul(next.entries)),
            exits: self.exits.saturating_mul(next.skips).saturating_add(next.exits),
            skips: self.skips.saturating_mul(next.skips),
            inside: self.inside.saturating_add(next.inside).saturating_add(self.exits.saturating_mul(next.entries)),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            exits: self.exits.saturating_add(other.exits),
            skips: self.skips.saturating_add(other.skips),
            inside: self.inside.saturating_add(other.inside),
        }
    }

    fn of_element(element: &Element) -> Self {
        let once = match &element.body {
            Body::Step { .. } => Self { entries: 1, exits: 1, skips: 0, inside: 0 },
            Body::Group(sequence) => Self::of(sequence),
            Body::Choice(branches) => branches.iter().map(Self::of).fold(Self { skips: 0, ..Self::EMPTY }, Self::or),
            Body::All(steps) => {
                let steps = steps.len() as u64;
                Self { entries: steps, exits: steps, skips: 0, inside: all_states(steps as usize).saturating_mul(steps) }
            }
        };
        let Quantifier { least, most, optional, .. } = element.quantifier;
        let (mut through, mut exits, mut skips) = (Self::EMPTY, 0_u64, u64::from(optional));
        for round in 1..=rounds(&element.quantifier) {
            through = through.then(once);
            if round >= u64::from(least) {
                exits = exits.saturating_add(through.exits);
                skips = skips.saturating_add(through.skips);
            }
        }
        let back = if most.is_none() { through.exits.saturating_mul(once.entries) } else { 0 };
        Self { exits, skips, inside: through.inside.saturating_add(back), ..through }
    }
}

/// The most events that a match of it can have; `None`: any number.
pub(super) fn events_max(sequence: &Sequence) -> Option<u64> {
    let element = |element: &Element| {
        let once = match &element.body {
            Body::Step { .. } => Some(1),
            Body::Group(sequence) => events_max(sequence),
            Body::Choice(branches) => branches.iter().map(events_max).try_fold(0_u64, |most, branch| Some(most.max(branch?))),
            Body::All(steps) => Some(steps.len() as u64),
        };
        Some(once?.saturating_mul(u64::from(element.quantifier.most?)))
    };
    elements(sequence).map(element).try_fold(0_u64, |sum, most| Some(sum.saturating_add(most?)))
}
