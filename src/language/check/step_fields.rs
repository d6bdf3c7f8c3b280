//! Steps in expressions: which of them can be named where, and fields of the events that they have chosen.

use crate::language::ast::Name;
use crate::language::check::expression::{Lowering, Typed};
use crate::language::check::scope::Around;
use crate::language::check::steps::{Standing, StepEntry, StepRole};
use crate::language::check::streams::unknown_field;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::language::spelling::{code, named, spelled};
use crate::pattern::{Expression, Occurrence, StepId};

impl<'a> Lowering<'_, '_, 'a> {
    /// A field of an event that a step has chosen.
    pub(super) fn step_field(&mut self, step: usize, occurrence: Occurrence, field: &Name, step_span: Span, span: Span) -> Typed<'a> {
        let Some(id) = self.mention(step, step_span, Some(field)) else { return Typed::unknown(span) };
        let Some(entry) = self.scope.steps().map(|steps| &steps.entries[step]) else { return Typed::unknown(span) };
        let Some(stream) = entry.stream else { return Typed::unknown(span) };
        let stream = self.scope.declarations.stream(stream);
        let Some((place, known)) = stream.field(&field.node) else {
            let diagnostic = unknown_field(stream, field, self.findings);
            return self.wrong(span, diagnostic);
        };
        let certain = matches!(occurrence, Occurrence::FromFirst(0) | Occurrence::FromLast(0));
        let nullable = known.nullable || !certain || self.may_be_empty(step);
        let expression = Expression::Chosen { step: id, occurrence, path: [place].into() };
        Typed::new(expression, known.kind.clone(), nullable, span)
    }

    /// Whether the step may have chosen nothing where the expression is evaluated.
    pub(super) fn may_be_empty(&self, step: usize) -> bool {
        match self.scope.around {
            Around::Event | Around::Key { .. } | Around::Without { .. } => true,
            Around::Step { steps, path, .. } => steps.entries[step].may_be_empty(Some(path)),
            Around::Emit { steps, .. } => steps.entries[step].may_be_empty(None),
        }
    }

    /// Which of a step's events: `[0]`, `[-1]`.
    pub(super) fn occurrence(&mut self, place: Spanned<i64>) -> Option<Occurrence> {
        let (counted, occurrence): (i64, fn(u32) -> Occurrence) =
            if place.node < 0 { (-1 - place.node, Occurrence::FromLast) } else { (place.node, Occurrence::FromFirst) };
        let Ok(counted) = u32::try_from(counted) else {
            let diagnostic = Diagnostic::new(Code::NumberRange, place.span, "no step takes so many events", format!("at most {}", u32::MAX));
            self.add(diagnostic.help("write a place nearer to the first, `[0]`, or to the last, `[-1]`"));
            return None;
        };
        Some(occurrence(counted))
    }

    /// Names a step whose events are looked at; says why not if it cannot be.
    pub(super) fn mention(&mut self, step: usize, span: Span, field: Option<&Name>) -> Option<StepId> {
        let entry = &self.scope.steps()?.entries[step];
        let StepRole::Chooses(id) = entry.role else {
            let message = format!("`{}` must not come, so it has no events", entry.name.node);
            let diagnostic = Diagnostic::new(Code::AbsentStep, span, message, "never chosen");
            self.add(diagnostic.also(entry.name.span, "the `not` or `without`").help("name a step that chooses events"));
            return None;
        };
        let diagnostic = match self.scope.around {
            Around::Event | Around::Key { .. } | Around::Emit { .. } | Around::Without { to: None, .. } => None,
            Around::Without { steps, to: Some(to) } => after_span(entry, &steps.entries[to], span),
            Around::Step { path, own, steps } => match entry.standing(path) {
                Standing::Before => None,
                Standing::Beside => {
                    self.mentioned.push(step);
                    None
                }
                Standing::Own if entry.loops() => {
                    self.mentioned.push(step);
                    None
                }
                Standing::Own => Some(own_step(entry, span, field)),
                Standing::Later => Some(later_step(entry, own.map(|own| &steps.entries[own]), span)),
                Standing::OtherBranch => {
                    let message = format!("`{}` stands in another branch", entry.name.node);
                    let diagnostic = Diagnostic::new(Code::OtherBranch, span, message, "chosen only if this branch is not");
                    let diagnostic = diagnostic.also(entry.name.span, "in the other branch");
                    Some(diagnostic.help("name a step of this branch, or one that stands before the branches"))
                }
            },
        };
        let Some(diagnostic) = diagnostic else { return Some(id) };
        self.add(diagnostic);
        None
    }
}

fn own_step(entry: &StepEntry<'_>, span: Span, field: Option<&Name>) -> Diagnostic {
    let name = &entry.name.node;
    let diagnostic = Diagnostic::new(Code::OwnStep, span, format!("`{name}` takes one event, the one at hand"), "has chosen nothing yet");
    diagnostic.help(match field {
        Some(field) => format!("its fields are written bare: {}", named(&field.node)),
        None => format!("leave it out; with {} there are events before this one", code(&format!("{}+", spelled(name)))),
    })
}

/// `here` is the step whose condition it is.
fn later_step(entry: &StepEntry<'_>, here: Option<&StepEntry<'_>>, span: Span) -> Diagnostic {
    let name = &entry.name.node;
    let here = here.map_or_else(|| "it".to_owned(), |here| format!("`{}`", here.name.node));
    Diagnostic::new(Code::LaterStep, span, format!("`{name}` stands after {here}"), "has chosen nothing yet")
        .also(entry.name.span, "the later step")
        .help(format!("write the condition at {}, which sees what was chosen before it", named(name)))
}

/// While a `without` that ends at `to` looks at events, `to` and what stands after it have chosen nothing; unless they come more than once.
fn after_span(entry: &StepEntry<'_>, to: &StepEntry<'_>, span: Span) -> Option<Diagnostic> {
    if to.loops() || entry.loops() || !matches!(entry.standing(&to.path), Standing::Later | Standing::Own) {
        return None;
    }
    let message = format!("`{}` is chosen only when the span is over", entry.name.node);
    let diagnostic = Diagnostic::new(Code::LaterStep, span, message, "has chosen nothing yet").also(to.name.span, "the span ends here");
    Some(diagnostic.help(format!("name a step that stands before {}", named(&to.name.node))))
}
