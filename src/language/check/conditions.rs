//! The conditions of a pattern: each lowered once all steps are known, each distinct one kept once.

use std::collections::BTreeMap;

use crate::event::StreamId;
use crate::language::ast::{EventSet, Expression as Ast};
use crate::language::check::contradictions;
use crate::language::check::declarations::Declarations;
use crate::language::check::expression::{Lowering, conjuncts};
use crate::language::check::findings::Findings;
use crate::language::check::first_event::never_holds;
use crate::language::check::scope::{Around, AtHand, Scope};
use crate::language::check::shape::{Demanded, Waiting};
use crate::language::check::sources::all_of;
use crate::language::check::steps::{Standing, StepRole, StepTable};
use crate::language::check::windows::WindowTable;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::pattern::{Absence, Body, Condition, ConditionId, Element, Expression, Part, Sequence};

/// Lowers conditions and numbers the distinct ones.
pub(super) struct Conditions<'s, 'a> {
    declarations: &'s Declarations<'a>,
    table: &'s StepTable<'a>,
    windows: &'s WindowTable<'s, 'a>,
    pub list: Vec<Condition>,
    /// By what they are, spelled out.
    ids: BTreeMap<String, ConditionId>,
    /// Bare names in them that are lists.
    pub lists: Vec<(&'a str, Span)>,
}

/// What was lowered, before it is a condition.
struct Lowered {
    parts: Vec<Expression>,
    /// Steps whose events it looks at, other than those that stand before.
    mentioned: Vec<usize>,
    /// As which sources the event must stand in the line.
    stands_as: u64,
    /// Nothing was found wrong.
    sound: bool,
}

impl<'s, 'a> Conditions<'s, 'a> {
    pub(super) fn new(declarations: &'s Declarations<'a>, table: &'s StepTable<'a>, windows: &'s WindowTable<'s, 'a>) -> Self {
        Self { declarations, table, windows, list: Vec::new(), ids: BTreeMap::new(), lists: Vec::new() }
    }

    /// One that was put down when the pattern's shape was made.
    pub(super) fn of_step(&mut self, waiting: &'s Waiting<'a>, findings: &mut Findings) -> ConditionId {
        let around = Around::Step { steps: self.table, path: &waiting.path, own: Some(waiting.own) };
        let (events, condition) = match waiting.what {
            Demanded::Step(events) | Demanded::Absent(events) => (Some(events), events.condition.as_ref()),
            Demanded::Until(condition) => (None, Some(condition)),
        };
        let lowered = self.lower(events, condition, waiting.stream, around, findings);
        if let (true, Demanded::Step(events)) = (lowered.sound, waiting.what) {
            self.check_own(waiting, events, &lowered, findings);
        }
        self.intern(waiting.stream, lowered)
    }

    /// What a `without` forbids; `to` is its second end.
    pub(super) fn of_without(&mut self, events: &'a EventSet, stream: Option<StreamId>, to: Option<usize>, findings: &mut Findings) -> ConditionId {
        let around = Around::Without { steps: self.table, to };
        let lowered = self.lower(Some(events), events.condition.as_ref(), stream, around, findings);
        self.intern(stream, lowered)
    }

    fn lower(
        &mut self,
        events: Option<&'a EventSet>,
        condition: Option<&'a Ast>,
        stream: Option<StreamId>,
        around: Around<'s, 'a>,
        findings: &mut Findings,
    ) -> Lowered {
        let defined = events.and_then(|events| self.declarations.events.get(events.stream.node.as_str())).and_then(Option::as_ref);
        let stands_as = defined.map_or(0, |events| self.windows.standing(events));
        let mut parts = defined.map(|events| events.conditions.clone()).unwrap_or_default();
        let scope = Scope { declarations: self.declarations, at_hand: stream.map_or(AtHand::Unknown, AtHand::Event), around, windows: Some(self.windows) };
        let mut lowering = Lowering::new(&scope, findings);
        if let Some(condition) = condition {
            let own = conjuncts(lowering.condition(condition));
            if let (Some(events), true) = (events, lowering.is_sound()) {
                contradictions::check_defined(&events.stream.node, &parts, &own, condition, lowering.findings);
            }
            parts.extend(own);
        }
        self.lists.append(&mut lowering.lists);
        let mentioned = std::mem::take(&mut lowering.mentioned);
        Lowered { parts, mentioned, stands_as, sound: lowering.is_sound() }
    }

    /// What a step's condition says of itself, or of steps beside it in `all`, must leave room for a first event.
    fn check_own(&self, waiting: &Waiting<'a>, events: &EventSet, lowered: &Lowered, findings: &mut Findings) {
        let Some(span) = events.condition.as_ref().map(|condition| condition.span) else { return };
        let whole = Expression::And(lowered.parts.clone());
        let mut mentioned = lowered.mentioned.clone();
        mentioned.sort_unstable();
        mentioned.dedup();
        for step in mentioned {
            let entry = &self.table.entries[step];
            let StepRole::Chooses(id) = entry.role else { continue };
            if !never_holds(&whole, id) {
                continue;
            }
            let name = &entry.name.node;
            findings.add(if entry.standing(&waiting.path) == Standing::Own {
                let message = format!("no first event can fit `{name}`: this compares with the ones before it");
                let help = format!("say what holds for the first: `count({name}) == 0 or …`");
                Diagnostic::new(Code::NeverFirst, span, message, "always false while it has chosen nothing").help(help)
            } else {
                let message = format!("in `all`, `{name}` need not have come before");
                let help = format!("say what holds if it has not: `count({name}) == 0 or …`, and the rest at `{name}`");
                Diagnostic::new(Code::MayNotHaveCome, span, message, "false if it has not come yet").also(entry.name.span, "beside it").help(help)
            });
        }
    }

    fn intern(&mut self, stream: Option<StreamId>, lowered: Lowered) -> ConditionId {
        let condition = Condition { stream: stream.unwrap_or(StreamId(0)), stands_as: lowered.stands_as, expression: all_of(lowered.parts) };
        let next = ConditionId(u16::try_from(self.list.len()).expect("the number of steps is bounded before"));
        let id = *self.ids.entry(format!("{condition:?}")).or_insert(next);
        if id == next {
            self.list.push(condition);
        }
        id
    }
}

/// Puts the lowered conditions where the shape has the ones that waited.
pub(super) fn put(ids: &[ConditionId], sequence: &mut Sequence) {
    for part in &mut sequence.0 {
        match part {
            Part::Absence(Absence::Not { condition, .. } | Absence::NextNot { condition }) => put_one(ids, condition),
            Part::Element(element) => put_element(ids, element),
        }
    }
}

fn put_element(ids: &[ConditionId], element: &mut Element) {
    if let Some(until) = &mut element.quantifier.until {
        put_one(ids, until);
    }
    match &mut element.body {
        Body::Step { condition, .. } => put_one(ids, condition),
        Body::Group(sequence) => put(ids, sequence),
        Body::Choice(branches) => branches.iter_mut().for_each(|branch| put(ids, branch)),
        Body::All(steps) => steps.iter_mut().for_each(|(_, condition)| put_one(ids, condition)),
    }
}

fn put_one(ids: &[ConditionId], condition: &mut ConditionId) {
    *condition = ids[usize::from(condition.0)];
}
