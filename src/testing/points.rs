//! What of a pattern tests can reach, each with its place in the text.

use crate::automaton::{Deadline, Role};
use crate::event::{Schema, StreamId, TimeSpan};
use crate::language::ast::{self, ClauseKind, StepKind};
use crate::language::{Span, Spanned};
use crate::pattern::{Absence, Body, ConditionId, Element, Names, Part, Pattern, Quantifier, Sequence, StepId};
use crate::testing::coverage::{Fact, part_text, parts};

/// One thing to be reached.
#[derive(Debug)]
pub(super) struct Point {
    pub span: Span,
    /// What there is to say if none of the facts was seen.
    pub missed: String,
    pub reached_by: Vec<Fact>,
}

/// The points of a pattern in the order of its text.
pub(super) fn points(pattern: &Pattern, schema: &Schema, written: &ast::Pattern) -> Vec<Point> {
    let mut list = List { pattern, schema, points: Vec::new() };
    list.sequence(&pattern.body, &written.body);
    list.clauses(written);
    list.points.sort_by_key(|point| point.span.start);
    list.points
}

struct List<'a> {
    pattern: &'a Pattern,
    schema: &'a Schema,
    points: Vec<Point>,
}

impl List<'_> {
    fn add(&mut self, span: Span, missed: String, reached_by: Vec<Fact>) {
        self.points.push(Point { span, missed, reached_by });
    }

    /// What was written and what was made of it have the same shape.
    fn sequence(&mut self, sequence: &Sequence, written: &ast::Sequence) {
        for (part, step) in sequence.0.iter().zip(&written.steps) {
            match part {
                Part::Absence(absence) => self.absence(absence, step),
                Part::Element(element) => self.element(element, step),
            }
        }
    }

    fn absence(&mut self, absence: &Absence, written: &ast::Step) {
        let StepKind::Not { name, events, hold } = &written.what else { return };
        let (Absence::Not { condition, .. } | Absence::NextNot { condition }) = absence;
        self.add(name.span, format!("`{}` never came", name.node), vec![Fact::Came(Role::Absent, *condition)]);
        self.condition(&name.node, name.span, events.condition.as_ref(), *condition);
        if matches!(absence, Absence::Not { .. }) && self.is_last(absence) {
            let span = hold.map_or(name.span, |hold| hold.span);
            self.add(span, format!("time never passed without `{}`", name.node), vec![Fact::RanOut(Deadline::Absence(*condition))]);
        }
    }

    fn is_last(&self, absence: &Absence) -> bool {
        let trailing = self.pattern.body.0.iter().rev().map_while(|part| if let Part::Absence(absence) = part { Some(absence) } else { None });
        trailing.into_iter().any(|other| std::ptr::eq(other, absence))
    }

    fn element(&mut self, element: &Element, written: &ast::Step) {
        let steps = steps_of(element);
        let Quantifier { least, most, optional, each_within, until, .. } = &element.quantifier;
        match (&element.body, &written.what) {
            (Body::Step { step, condition }, StepKind::Event { name, events, until: closing, .. }) => {
                self.step(*step, name, events, *condition);
                if *least == 1 && *most != Some(1) {
                    self.add(name.span, format!("`{}` never took two events in one match", name.node), vec![Fact::TookAgain(*step)]);
                }
                if let Some((until, closing)) = until.zip(closing.as_ref()) {
                    self.add(closing.span, format!("`until` never closed the loop of `{}`", name.node), vec![Fact::Came(Role::Until, until)]);
                    self.condition(&name.node, name.span, Some(closing), until);
                }
            }
            (Body::Group(sequence), StepKind::Group { branches, .. }) => branches.iter().for_each(|branch| self.sequence(sequence, branch)),
            (Body::Choice(sequences), StepKind::Group { branches, .. }) => {
                sequences.iter().zip(branches).for_each(|(sequence, branch)| self.sequence(sequence, branch));
            }
            (Body::All(all), StepKind::All { steps, .. }) => {
                for ((step, condition), written) in all.iter().zip(steps) {
                    if let StepKind::Event { name, events, .. } = &written.what {
                        self.step(*step, name, events, *condition);
                    }
                }
            }
            _ => {}
        }
        let names: Vec<String> = steps.iter().map(|step| format!("`{}`", self.pattern.step(*step).name)).collect();
        let names = names.join(", ");
        if *optional {
            self.add(written.span, format!("{names} was never left out of a match"), vec![Fact::LeftOut(steps.clone())]);
        }
        let within = written.connective.as_ref().and_then(|connective| connective.within);
        if let Some(within) = within {
            self.add(within.span, format!("`within {}` before {names} was never over", within.node), self.gaps(&steps, within.node, false));
        }
        let (StepKind::Event { quantifier, .. } | StepKind::Group { quantifier, .. } | StepKind::All { quantifier, .. }) = &written.what else { return };
        if let Some(each) = each_within.and_then(|_| quantifier.as_ref()?.each_within) {
            self.add(each.span, format!("`each within {}` of {names} was never over", each.node), self.gaps(&steps, each.node, true));
        }
    }

    /// Time that ran out on the way into these steps: from themselves, or from others.
    fn gaps(&self, steps: &[StepId], span: TimeSpan, again: bool) -> Vec<Fact> {
        let all = (0..).map(StepId).take(self.pattern.steps.len());
        let froms = all.filter(|from| steps.contains(from) == again);
        froms.flat_map(|from| steps.iter().map(move |to| Fact::RanOut(Deadline::Gap { from, to: *to, span }))).collect()
    }

    fn step(&mut self, step: StepId, name: &ast::Name, events: &ast::EventSet, condition: ConditionId) {
        self.add(name.span, format!("`{}` never took an event", name.node), vec![Fact::Took(step)]);
        self.condition(&name.node, name.span, events.condition.as_ref(), condition);
    }

    /// The parts of a condition that stand nowhere before.
    fn condition(&mut self, name: &str, name_span: Span, written: Option<&ast::Expression>, id: ConditionId) {
        let (pattern, schema) = (self.pattern, self.schema);
        let condition = pattern.condition(id);
        let Some(expression) = &condition.expression else { return };
        let names = Names { schema, pattern, stream: Some(condition.stream) };
        let span = written.map_or(name_span, |written| written.span);
        parts(expression, &mut |part| self.part(name, span, condition.stream, &part_text(part, &names)));
    }

    fn part(&mut self, name: &str, span: Span, stream: StreamId, text: &str) {
        for truth in [true, false] {
            let fact = Fact::Found(stream, text.to_owned(), truth);
            if !self.points.iter().any(|point| point.reached_by.contains(&fact)) {
                self.add(span, format!("{name}: `{text}` was never {truth}"), vec![fact]);
            }
        }
    }

    fn clauses(&mut self, written: &ast::Pattern) {
        let mut withouts = self.pattern.without.iter();
        for clause in &written.clauses {
            match &clause.kind {
                ClauseKind::Without { name, events, .. } => {
                    let Some(without) = withouts.next() else { continue };
                    self.add(name.span, format!("`{}` never came", name.node), vec![Fact::Came(Role::Without, without.condition)]);
                    self.condition(&name.node, name.span, events.condition.as_ref(), without.condition);
                }
                ClauseKind::Within(span) => self.within(*span, clause.span),
                ClauseKind::Suppress { span, .. } => {
                    self.add(clause.span, format!("`suppress {}` never held a match back", span.node), vec![Fact::Suppressed]);
                }
                _ => {}
            }
        }
    }

    /// A pattern of one event that ends with it is complete before its time is over.
    fn within(&mut self, span: Spanned<TimeSpan>, place: Span) {
        let trailing = self.pattern.body.0.iter().rev().map_while(|part| if let Part::Absence(absence) = part { Some(absence) } else { None });
        let waits = trailing.filter_map(|absence| match absence {
            Absence::Not { condition, hold: None } => Some(Fact::RanOut(Deadline::Absence(*condition))),
            _ => None,
        });
        let facts = std::iter::once(Fact::RanOut(Deadline::Within)).chain(waits).collect();
        self.add(place, format!("`within {}` was never over", span.node), facts);
    }
}

fn steps_of(element: &Element) -> Vec<StepId> {
    let of_sequence = |sequence: &Sequence| -> Vec<StepId> {
        let elements = sequence.0.iter().filter_map(|part| if let Part::Element(element) = part { Some(element) } else { None });
        elements.flat_map(steps_of).collect()
    };
    match &element.body {
        Body::Step { step, .. } => vec![*step],
        Body::Group(sequence) => of_sequence(sequence),
        Body::Choice(sequences) => sequences.iter().flat_map(of_sequence).collect(),
        Body::All(steps) => steps.iter().map(|(step, _)| *step).collect(),
    }
}
