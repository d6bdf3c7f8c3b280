//! What is allowed and probably not meant: state without a bound, deadlines that never come, steps that are never reached.

use crate::event::TimeSpan;
use crate::language::ast;
use crate::language::check::endings::{Decided, LastAbsence};
use crate::language::check::findings::Findings;
use crate::language::check::size;
use crate::language::check::steps::{StepRole, StepTable};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::named;
use crate::pattern::{Body, Connective, ContinuityInside, Element, Expression, Part, Pattern, Sequence, StepId};

/// Warns of a pattern in which nothing is wrong; `on_timeout` is the place of that clause.
pub(super) fn check(
    written: &ast::Pattern,
    pattern: &Pattern,
    table: &StepTable<'_>,
    last_absences: &[LastAbsence<'_>],
    on_timeout: Option<Span>,
    findings: &mut Findings,
) {
    let spans = table.entries.iter().filter(|entry| matches!(entry.role, StepRole::Chooses(_))).map(|entry| entry.name.span).collect();
    let mut warner = Warner { pattern, spans, findings };
    let body = &pattern.body;
    // Of a `not` that is last in the text this is an error.
    let endless = last_absences.iter().filter(|absence| absence.decided == Decided::ByNextEvent || absence.is_followed);
    let endless: Vec<&LastAbsence<'_>> = endless.filter(|_| pattern.within.is_none()).collect();
    if pattern.within.is_none() && (!endless.is_empty() || !is_bounded(body)) {
        let message = format!("partial matches of `{}` can wait for ever", pattern.name);
        let label = format!("nothing ends them: {}", held_for_ever(pattern));
        warner.warn(Code::UnboundedState, written.name.span, message, &label, "bound the whole pattern, as in `within 10m`");
    }
    if let (Some(span), None, false) = (on_timeout, pattern.within, has_deadline(body)) {
        let help = "say how long, as in `within 10m` or `then within 30s b: S`";
        warner.warn(Code::NoDeadline, span, "nothing in this pattern runs out of time", "never emitted", help);
    }
    endless.into_iter().for_each(|absence| warner.never_decided(absence));
    warner.ways_past(body, None);
    warner.sequence(body, false);
}

/// How much of a pattern without a bound may be kept.
fn held_for_ever(pattern: &Pattern) -> String {
    let whose = if pattern.sources.first().is_some_and(|source| source.key.is_empty()) { "the pattern" } else { "each key" };
    let runs = match pattern.runs_max {
        Some(1) => "1 of them".to_owned(),
        Some(most) => format!("{most} of them"),
        None => "as many of them as configured (10,000 if nothing else is said)".to_owned(),
    };
    // What ends in an absence has chosen all of its events while it waits.
    let chosen = u64::from(matches!(pattern.body.0.last(), Some(Part::Element(_))));
    let events = match size::events_max(&pattern.body).map(|most| most.saturating_sub(chosen)) {
        Some(1) => "1 event".to_owned(),
        Some(most) => format!("up to {most} events"),
        None => "any number of events".to_owned(),
    };
    format!("{whose} may hold {runs}, with {events} each")
}

/// How a step is reached.
#[derive(Clone, Copy)]
struct Way {
    connective: Connective,
    within: Option<TimeSpan>,
}

/// What may be left out, by its first step.
struct LeftOut {
    step: StepId,
    way: Way,
}

struct Warner<'w> {
    pattern: &'w Pattern,
    /// By step: the place of its name.
    spans: Vec<Span>,
    findings: &'w mut Findings,
}

impl Warner<'_> {
    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>, label: &str, help: &str) {
        self.findings.add(Diagnostic::new(code, span, message, label).help(help));
    }

    /// An absence that may be last, and that no deadline decides.
    fn never_decided(&mut self, absence: &LastAbsence<'_>) {
        let LastAbsence { name, decided, is_followed } = absence;
        if *decided == Decided::ByDeadline {
            let message = format!("if what follows is left out, nothing says until when `{}` must not come", name.node);
            let help = "bound the pattern, as in `within 10m`, or end it in a step that is always taken";
            self.warn(Code::LeftOut, name.span, message, "never decided then", help);
            return;
        }
        let left_out = if *is_followed { " and what follows is left out" } else { "" };
        let message = format!("if no event follows{left_out}, this is never decided");
        let help = "bound the pattern, as in `within 10m`: then it is decided at the deadline";
        self.warn(Code::TrailingNextNot, name.span, message, "waits for the next event of the key", help);
    }

    /// `looped`: within a group that is repeated.
    fn sequence(&mut self, sequence: &Sequence, looped: bool) {
        let elements: Vec<&Element> = elements(sequence).collect();
        for (place, element) in elements.iter().enumerate() {
            self.many_runs(element, looped);
            if let Some(next) = elements.get(place + 1) {
                self.unreachable(element, next);
            }
            let looped = looped || element.quantifier.most != Some(1);
            match &element.body {
                Body::Step { .. } | Body::All(_) => {}
                Body::Group(inner) => self.sequence(inner, looped),
                Body::Choice(branches) => branches.iter().for_each(|branch| self.sequence(branch, looped)),
            }
        }
    }

    fn many_runs(&mut self, element: &Element, looped: bool) {
        let combines = element.quantifier.inside == ContinuityInside::Combinations && element.quantifier.most != Some(1);
        let any = looped && element.connective == Connective::ThenAny;
        if self.pattern.runs_max.is_some() || !(combines || any) {
            return;
        }
        let words = if combines { "`combinations`" } else { "`then any` in a loop" };
        let message = format!("{words} can double the partial matches with each event");
        let Some(span) = self.span(element) else { return };
        self.warn(Code::ManyRuns, span, message, "every choice is a match of its own", "say how many a key may hold, as in `limit runs 1000`");
    }

    /// Warns where steps are left out and the words before another one decide. `way` leads to the sequence. What may be left out at its end, for what follows.
    fn ways_past(&mut self, sequence: &Sequence, way: Option<Way>) -> Vec<LeftOut> {
        let mut before: Vec<LeftOut> = Vec::new();
        for element in elements(sequence) {
            before.iter().for_each(|left_out| self.left_out(left_out, element));
            // What begins a group is reached as the group is.
            let way = if element.connective == Connective::Begin { way } else { Some(Way { connective: element.connective, within: element.within }) };
            before = match &element.body {
                Body::Step { .. } | Body::All(_) => Vec::new(),
                Body::Group(inner) => self.ways_past(inner, way),
                Body::Choice(branches) => branches.iter().flat_map(|branch| self.ways_past(branch, way)).collect(),
            };
            if let (true, Some(way), Some(step)) = (element.quantifier.optional, way, first_step(element)) {
                before.retain(|inner| inner.step != step);
                before.push(LeftOut { step, way });
            }
        }
        before
    }

    /// What a step says of the way to it, when it is left out and another step's words decide.
    fn left_out(&mut self, element: &LeftOut, next: &Element) {
        let (Some(span), Some(after)) = (self.spans.get(usize::from(element.step.0)).copied(), self.name(next)) else { return };
        let name = &self.pattern.step(element.step).name;
        let element = element.way;
        if element.connective != next.connective {
            let (lost, kept) = (words(element.connective), words(next.connective));
            let message = format!("if `{name}` is left out, `{kept}` leads to `{after}`, and `{lost}` is not looked at");
            let help = format!("write the same before {} if that is meant: `{lost}`", named(&after));
            self.warn(Code::LeftOut, span, message, "may be left out", &help);
        } else if let Some(within) = element.within.filter(|within| next.within.is_none_or(|next| *within < next)) {
            let message = format!("if `{name}` is left out, `within {within}` holds for `{after}`");
            self.warn(Code::LeftOut, span, message, "may be left out", "the least `within` on the way counts");
        }
    }

    /// A greedy loop takes everything that the step after it could.
    fn unreachable(&mut self, element: &Element, next: &Element) {
        let (Body::Step { condition: looped, .. }, Body::Step { condition: after, .. }) = (&element.body, &next.body) else { return };
        let quantifier = &element.quantifier;
        let endless = quantifier.greedy && quantifier.most.is_none() && quantifier.until.is_none() && quantifier.each_within.is_none();
        if !endless || quantifier.inside == ContinuityInside::Consecutive {
            return;
        }
        let (looped, after) = (self.pattern.condition(*looped), self.pattern.condition(*after));
        if looped.stream != after.stream || looped.looks_back() {
            return;
        }
        let after = spelled(after.expression.as_ref());
        if !spelled(looped.expression.as_ref()).iter().all(|part| after.contains(part)) {
            return;
        }
        let (Some(span), Some(name), Some(looped)) = (self.span(next), self.name(next), self.name(element)) else { return };
        let message = format!("`{name}` is never reached: `{looped}` is greedy and takes all that fits it");
        let help = format!("leave `greedy` out, or demand of {} what {} is not", named(&looped), named(&name));
        self.warn(Code::Unreachable, span, message, "nothing is left for it", &help);
    }

    fn span(&self, element: &Element) -> Option<Span> {
        first_step(element).and_then(|step| self.spans.get(usize::from(step.0))).copied()
    }

    fn name(&self, element: &Element) -> Option<String> {
        first_step(element).map(|step| self.pattern.step(step).name.clone())
    }
}

fn elements(sequence: &Sequence) -> impl Iterator<Item = &Element> {
    sequence.0.iter().filter_map(|part| if let Part::Element(element) = part { Some(element) } else { None })
}

fn first_step(element: &Element) -> Option<StepId> {
    match &element.body {
        Body::Step { step, .. } => Some(*step),
        Body::Group(sequence) => elements(sequence).next().and_then(first_step),
        Body::Choice(branches) => branches.first().and_then(|branch| elements(branch).next()).and_then(first_step),
        Body::All(steps) => steps.first().map(|(step, _)| *step),
    }
}

fn words(connective: Connective) -> &'static str {
    match connective {
        Connective::Begin | Connective::Then => "then",
        Connective::ThenNext => "then next",
        Connective::ThenAny => "then any",
    }
}

/// The parts of a condition that must all hold.
fn spelled(condition: Option<&Expression>) -> Vec<String> {
    match condition {
        None => Vec::new(),
        Some(Expression::And(parts)) => parts.iter().map(|part| format!("{part:?}")).collect(),
        Some(other) => vec![format!("{other:?}")],
    }
}

/// Whether every event that is waited for has a deadline, without one for the whole pattern.
fn is_bounded(sequence: &Sequence) -> bool {
    elements(sequence).enumerate().all(|(place, element)| (place == 0 || element.within.is_some()) && is_bounded_inside(element))
}

fn is_bounded_inside(element: &Element) -> bool {
    let once = element.quantifier.most == Some(1);
    let body = match &element.body {
        Body::Step { .. } => true,
        Body::Group(sequence) => is_bounded(sequence),
        Body::Choice(branches) => branches.iter().all(is_bounded),
        Body::All(steps) => steps.len() < 2,
    };
    body && (once || element.quantifier.each_within.is_some())
}

/// Whether a partial match can run out of time, without a `within` for the whole pattern.
fn has_deadline(sequence: &Sequence) -> bool {
    elements(sequence).any(|element| {
        let own = element.within.is_some() || element.quantifier.each_within.is_some();
        own || match &element.body {
            Body::Step { .. } | Body::All(_) => false,
            Body::Group(sequence) => has_deadline(sequence),
            Body::Choice(branches) => branches.iter().any(has_deadline),
        }
    })
}
