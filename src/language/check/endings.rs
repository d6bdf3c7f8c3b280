//! What a match may end in. What stands last in the text may be left out, and then what stands before it decides the match.

use crate::language::ast::{How, Name, Sequence, Step, StepKind};
use crate::language::check::quantifiers::may_be_none;

/// A `not` behind which a match may have nothing more.
#[derive(Clone, Copy)]
pub(super) struct LastAbsence<'a> {
    pub name: &'a Name,
    pub decided: Decided,
    /// Steps stand behind it, all of which may be left out.
    pub is_followed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// It is a `next not` and stands alone.
    ByNextEvent,
    /// It is a `not`, or a `next not` beside one, whose deadline decides both.
    ByDeadline,
}

/// The absences that may be last, in the order of the text.
pub(super) fn last_absences(body: &Sequence) -> Vec<LastAbsence<'_>> {
    let mut last = Vec::new();
    add(body, Behind { steps: false, not: false }, &mut last);
    last.sort_by_key(|absence| absence.name.span.start);
    last
}

/// What stands behind a place, where a match has taken nothing more.
#[derive(Clone, Copy)]
struct Behind {
    steps: bool,
    not: bool,
}

fn add<'a>(sequence: &'a Sequence, mut behind: Behind, last: &mut Vec<LastAbsence<'a>>) {
    let steps = &sequence.steps;
    let may_be_last = steps.iter().rposition(|step| !may_take_nothing(step)).unwrap_or(0);
    for (place, step) in steps.iter().enumerate().skip(may_be_last).rev() {
        match &step.what {
            StepKind::Not { name, .. } => {
                let right_before = steps[..place].iter().rev().take_while(|before| matches!(before.what, StepKind::Not { .. }));
                let beside = behind.not || right_before.into_iter().any(|before| !is_next(before));
                let decided = if is_next(step) && !beside { Decided::ByNextEvent } else { Decided::ByDeadline };
                last.push(LastAbsence { name, decided, is_followed: behind.steps });
                behind.not |= !is_next(step);
            }
            StepKind::Group { branches, .. } => {
                branches.iter().for_each(|branch| add(branch, behind, last));
                behind.steps = true;
            }
            StepKind::Event { .. } | StepKind::All { .. } => behind.steps = true,
        }
    }
}

fn is_next(step: &Step) -> bool {
    step.connective.as_ref().is_some_and(|connective| connective.how == How::Next)
}

/// Whether a match may have gone past it without an event.
fn may_take_nothing(step: &Step) -> bool {
    match &step.what {
        StepKind::Not { .. } => true,
        StepKind::Event { quantifier, .. } | StepKind::All { quantifier, .. } => may_be_none(quantifier.as_ref()),
        StepKind::Group { branches, quantifier } => may_be_none(quantifier.as_ref()) || branches.iter().any(|branch| branch.steps.iter().all(may_take_nothing)),
    }
}
