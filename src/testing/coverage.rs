//! What of the patterns no test has ever reached: steps that took no event, conditions that were never true or never false, absences that never failed,
//! deadlines that never passed.
//!
//! Each pattern has *points*, found by walking what was written and what was made of it side by side. A point is reached by one of some *facts*, and
//! facts are what [`Watch`] tells while tests run. A condition is split at `and`, `or` and `not`; its parts count only where the others leave the decision
//! to them, so `status == "approved" and amount < 2` is not tested for its amount by payments that were declined.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::automaton::{Deadline, Role, Watch};
use crate::event::{Event, Schema, StreamId};
use crate::language::ast::{self, Item};
use crate::language::{Arrival, Source, SourceId, Span, Test, parse};
use crate::pattern::{Chosen, ConditionId, Expression, Moment, Names, Pattern, Program, Scope, StepId};
use crate::testing::compare::Outcome;
use crate::testing::points::{Point, points};

/// Of all patterns of a program, gathered over its tests.
#[derive(Debug)]
pub struct Coverage {
    /// In the program's order.
    sheets: Vec<Arc<Sheet>>,
}

/// Of one pattern.
#[derive(Clone, Debug)]
pub struct CoverageReport {
    pub pattern: String,
    /// Where its name stands.
    pub span: Span,
    /// Tests that were run.
    pub tests: usize,
    /// All that tests could reach.
    pub points: usize,
    /// What none has reached, as it stands in the text.
    pub missed: Vec<Missed>,
}

#[derive(Clone, Debug)]
pub struct Missed {
    pub span: Span,
    /// In words: ``cash_out: `amount > 100` was never false``.
    pub what: String,
}

/// What happened in some test.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fact {
    Took(StepId),
    /// The step took a second event in one match.
    TookAgain(StepId),
    /// A match came out with no event in any of these.
    LeftOut(Vec<StepId>),
    /// A part of a condition over this stream was found true, or false.
    Found(StreamId, String, bool),
    /// What closes a loop, or must not be there, came.
    Came(Role, ConditionId),
    RanOut(Deadline),
    Suppressed,
}

/// The points of one pattern, and what its tests have shown.
#[derive(Debug)]
pub(super) struct Sheet {
    schema: Arc<Schema>,
    pattern: Arc<Pattern>,
    span: Span,
    points: Vec<Point>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    facts: BTreeSet<Fact>,
    tests: usize,
}

impl Coverage {
    /// `sources` are the texts that the program was compiled from.
    pub fn new(program: &Program, sources: &[Source]) -> Self {
        let written = written(sources);
        let sheet = |pattern: &Arc<Pattern>| {
            let written = written.get(&pattern.name);
            let span = written.map_or_else(Span::default, |written| written.name.span);
            let points = written.map_or_else(Vec::new, |written| points(pattern, &program.schema, written));
            Arc::new(Sheet { schema: program.schema.clone(), pattern: pattern.clone(), span, points, seen: Mutex::default() })
        };
        Self { sheets: program.patterns.iter().map(sheet).collect() }
    }

    pub fn reports(&self) -> Vec<CoverageReport> {
        self.sheets.iter().map(|sheet| sheet.report()).collect()
    }

    pub(super) fn sheet(&self, test: &Test) -> &Arc<Sheet> {
        &self.sheets[test.pattern]
    }
}

/// The patterns by name as they are written.
fn written(sources: &[Source]) -> BTreeMap<String, ast::Pattern> {
    let files = (0..=u16::MAX).zip(sources).map(|(place, source)| parse(source, SourceId(place)).file);
    let patterns = files.flat_map(|file| file.items).filter_map(|item| if let Item::Pattern(pattern) = item { Some(pattern) } else { None });
    patterns.map(|pattern| (pattern.name.node.clone(), pattern)).collect()
}

impl Sheet {
    /// Takes down what came out of a test; what happened inside has been told.
    pub(super) fn note(&self, test: &Test, outcomes: &[Outcome], suppressed: u64) {
        for arrival in &test.arrivals {
            if let Arrival::Event(event) = arrival {
                self.note_filters(event);
            }
        }
        let left_out = self.points.iter().flat_map(|point| &point.reached_by).filter(|fact| matches!(fact, Fact::LeftOut(_)));
        let left_out: Vec<Fact> = left_out.filter(|fact| outcomes.iter().any(|outcome| shows_left_out(outcome, fact))).cloned().collect();
        self.see(left_out);
        if suppressed > 0 {
            self.see([Fact::Suppressed]);
        }
        self.with_seen(|seen| seen.tests += 1);
    }

    /// What `from` narrows its streams to is asked before any run sees the event.
    fn note_filters(&self, event: &Event) {
        let faults = Cell::new(0);
        let scope = Scope::of_event(event.all_fields(), &faults);
        for filter in self.pattern.sources.iter().filter(|source| source.stream == event.stream).filter_map(|source| source.filter.as_ref()) {
            self.note_parts(event.stream, filter, &scope);
        }
    }

    fn note_parts(&self, stream: StreamId, expression: &Expression, scope: &Scope<'_>) {
        let names = Names { schema: &self.schema, pattern: &self.pattern, stream: Some(stream) };
        let mut facts = Vec::new();
        decide(expression, scope, &mut |part, holds| facts.push(Fact::Found(stream, part_text(part, &names), holds)));
        self.see(facts);
    }

    fn see(&self, facts: impl IntoIterator<Item = Fact>) {
        self.with_seen(|seen| seen.facts.extend(facts));
    }

    fn with_seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn report(&self) -> CoverageReport {
        self.with_seen(|seen| {
            let is_missed = |point: &&Point| !point.reached_by.iter().any(|fact| seen.facts.contains(fact));
            let missed = self.points.iter().filter(is_missed).map(|point| Missed { span: point.span, what: point.missed.clone() });
            let (pattern, points) = (self.pattern.name.clone(), self.points.len());
            CoverageReport { pattern, span: self.span, tests: seen.tests, points, missed: missed.collect() }
        })
    }
}

impl Watch for Sheet {
    fn asked(&self, role: Role, condition: ConditionId, stream: StreamId, scope: &Scope<'_>, fits: bool) {
        let asked = self.pattern.condition(condition);
        if role == Role::Hunger || stream != asked.stream {
            return;
        }
        if let Some(expression) = &asked.expression {
            // What cannot be calculated has been counted.
            let faults = Cell::new(0);
            self.note_parts(asked.stream, expression, &Scope { moment: Moment { faults: &faults, ..scope.moment }, ..*scope });
        }
        if fits && !matches!(role, Role::Step(_)) {
            self.see([Fact::Came(role, condition)]);
        }
    }

    fn took(&self, step: StepId, chosen: &dyn Chosen) {
        self.see([Fact::Took(step)]);
        if chosen.count(step) > 0 {
            self.see([Fact::TookAgain(step)]);
        }
    }

    fn ran_out(&self, deadline: Deadline) {
        self.see([Fact::RanOut(deadline)]);
    }
}

fn shows_left_out(outcome: &Outcome, fact: &Fact) -> bool {
    match (outcome, fact) {
        (Outcome::Decided(found), Fact::LeftOut(steps)) => found.chosen.iter().all(|(step, _)| !steps.contains(step)),
        _ => false,
    }
}

/// Evaluates, and shows each part that had to be looked at.
fn decide(expression: &Expression, scope: &Scope<'_>, show: &mut dyn FnMut(&Expression, bool)) -> bool {
    match expression {
        Expression::And(all) => all.iter().all(|part| decide(part, scope, show)),
        Expression::Or(any) => any.iter().any(|part| decide(part, scope, show)),
        Expression::Not(operand) => !decide(operand, scope, show),
        part => {
            let holds = part.holds(scope);
            show(part, holds);
            holds
        }
    }
}

/// The parts that [`decide`] may show.
pub(super) fn parts<'a>(expression: &'a Expression, visit: &mut dyn FnMut(&'a Expression)) {
    match expression {
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| self::parts(part, visit)),
        Expression::Not(operand) => parts(operand, visit),
        part => visit(part),
    }
}

/// Without the parentheses that an expression has as a part of others.
pub(super) fn part_text(part: &Expression, names: &Names<'_>) -> String {
    let text = part.text(names);
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    match part {
        Expression::Compare { .. } | Expression::In { .. } | Expression::Among { .. } => inner.unwrap_or(&text).to_owned(),
        Expression::IsNull(operand) => format!("{} is null", operand.text(names)),
        _ => text,
    }
}
