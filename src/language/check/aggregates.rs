//! What is said of all of a step's events: `count`, `sum`, `first` and the like.

use crate::event::{StreamId, TimeSpan, Type, Value};
use crate::language::ast::{Expression as Ast, ExpressionKind, Name};
use crate::language::check::calls::usage;
use crate::language::check::expression::{Lowering, Typed, bare};
use crate::language::check::kinds::Kind;
use crate::language::check::steps::StepRole;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::{code, spelled};
use crate::pattern::{Aggregate, Expression, FieldPath, Function, Occurrence, StepId};

/// A field of a step.
struct StepField<'a> {
    id: StepId,
    path: FieldPath,
    typed: Typed<'a>,
}

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn count(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(function, arguments) else { return Typed::unknown(span) };
        if let ExpressionKind::Name(name) = &bare(argument).kind
            && let Some(step) = self.scope.step(name)
        {
            return match self.mention(step, argument.span, None) {
                Some(id) => Typed::new(Expression::Count(id), Kind::INT, false, span),
                None => Typed::unknown(span),
            };
        }
        let diagnostic = match &bare(argument).kind {
            ExpressionKind::Name(name) if self.scope.declarations.events.contains_key(name.as_str()) => self.over_nothing(function, name, argument.span),
            ExpressionKind::Name(name) if self.may_be_unread(name) => return Typed::unknown(span),
            ExpressionKind::Name(name) if self.scope.steps().is_some() && !self.names_field(name) => self.unknown_step(name, argument.span),
            _ => self.no_step(function, argument),
        };
        self.wrong(span, diagnostic)
    }

    /// A stream without a window.
    fn over_nothing(&self, function: &Name, stream: &str, span: Span) -> Diagnostic {
        let name = &function.node;
        let message = format!("`{name}` of a stream needs a window");
        let diagnostic = Diagnostic::new(Code::StepAsValue, span, message, "a stream, not a step");
        diagnostic.help(format!(
            "name a step, `{}`; or how far back to look, as in {}",
            usage(name),
            code(&format!("{name}({}{} over 10m)", spelled(stream), if name == "count" { "" } else { ".field" }))
        ))
    }

    fn no_step(&self, function: &Name, argument: &Ast) -> Diagnostic {
        let name = &function.node;
        let what = if name == "count" { "the events of a step" } else { "a field of a step" };
        let diagnostic = Diagnostic::new(Code::StepAsValue, argument.span, format!("`{name}` is of {what}"), format!("not {what}"));
        let (root, field) = root(argument);
        let step = if let ExpressionKind::Name(root) = &root.kind { self.scope.step(root).map(|_| root) } else { None };
        diagnostic.help(match (step, name.as_str(), field) {
            (Some(step), "count", _) => format!("write {}", code(&format!("count({})", spelled(step)))),
            (Some(step), _, Some(field)) => format!("write {}", code(&format!("{name}({}.{})", spelled(step), spelled(field)))),
            (Some(step), _, None) => format!("say which field: {}", code(&format!("{name}({}.field)", spelled(step)))),
            (None, ..) => format!("write `{}`, where `x` is a step", usage(name)),
        })
    }

    /// A field that the function is not of, and another one of its stream that it is of.
    pub(super) fn unfit_field(
        &self,
        function: &Name,
        aggregate: Aggregate,
        (argument, stream): (&Ast, StreamId),
        typed: &Typed<'_>,
        takes: &str,
    ) -> Diagnostic {
        let diagnostic = self.unfit(function, typed, takes);
        let fields = &self.scope.declarations.stream(stream).fields;
        let fitting = fields.iter().find(|field| !field.kind.is_unknown() && fits_aggregate(aggregate, &field.kind).is_none());
        diagnostic.help(match (fitting, &root(argument).0.kind) {
            (Some(field), ExpressionKind::Name(of)) => {
                let example = format!("{}({}.{})", function.node, spelled(of), spelled(&field.name.node));
                format!("name a field that is {takes}, as in {}", code(&example))
            }
            _ => format!("name a field that is {takes}"),
        })
    }

    pub(super) fn first_or_last(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(function, arguments) else { return Typed::unknown(span) };
        let Some(StepField { id, path, typed }) = self.step_argument(function, argument) else { return Typed::unknown(span) };
        let occurrence = if function.node == "first" { Occurrence::FromFirst(0) } else { Occurrence::FromLast(0) };
        Typed::new(Expression::Chosen { step: id, occurrence, path }, typed.kind, typed.nullable, span)
    }

    pub(super) fn aggregate(&mut self, aggregate: Aggregate, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([argument]) = self.exactly(function, arguments) else { return Typed::unknown(span) };
        let Some(StepField { id, path, typed }) = self.step_argument(function, argument) else { return Typed::unknown(span) };
        if let Some(takes) = fits_aggregate(aggregate, &typed.kind) {
            let stream = self.scope.steps().and_then(|steps| steps.entries.iter().find(|entry| entry.role == StepRole::Chooses(id))?.stream);
            let diagnostic = match stream {
                Some(stream) => self.unfit_field(function, aggregate, (argument, stream), &typed, takes),
                None => self.unfit(function, &typed, takes),
            };
            return self.wrong(span, diagnostic);
        }
        let expression = Expression::Aggregate { aggregate, step: id, path: path.clone() };
        let nullable = typed.nullable;
        match aggregate {
            Aggregate::Sum if typed.kind == Kind::DURATION => Typed::new(sum_of_durations(expression, id, path), Kind::DURATION, false, span),
            Aggregate::Sum => Typed::new(of_nothing_too(expression, &typed.kind), typed.kind, false, span),
            Aggregate::Average if typed.kind == Kind::INT => Typed::new(expression, Kind::DECIMAL, nullable, span),
            Aggregate::Average | Aggregate::Least | Aggregate::Most => Typed::new(expression, typed.kind, nullable, span),
            Aggregate::Distinct => Typed::new(expression, Kind::INT, false, span),
            Aggregate::Collect => Typed::new(expression, Kind::List(Box::new(typed.kind)), false, span),
        }
    }

    /// The argument `x.f`, which is a field of a step x as such, not of one of its events.
    fn step_argument(&mut self, function: &Name, argument: &'a Ast) -> Option<StepField<'a>> {
        let (root, _) = root(argument);
        match &root.kind {
            ExpressionKind::Name(name) if self.names_step(name) && is_path(argument) => {}
            ExpressionKind::Name(name) if self.scope.declarations.events.contains_key(name.as_str()) => {
                let diagnostic = self.over_nothing(function, name, argument.span);
                self.add(diagnostic);
                return None;
            }
            ExpressionKind::Name(name) if self.scope.step(name).is_none() && is_path(argument) => {
                // A record of the event at hand, or a step that there is not.
                let typed = self.lower(argument);
                if !typed.is_unknown() {
                    let diagnostic = self.no_step(function, argument);
                    self.add(diagnostic);
                }
                return None;
            }
            _ => {
                let diagnostic = self.no_step(function, argument);
                self.add(diagnostic);
                return None;
            }
        }
        let mut typed = self.lower(argument);
        if typed.is_unknown() {
            return None;
        }
        match std::mem::replace(&mut typed.expression, Expression::Constant(Value::Null)) {
            Expression::Chosen { step, path, .. } => Some(StepField { id: step, path, typed }),
            _ => {
                let diagnostic = self.no_step(function, argument);
                self.add(diagnostic);
                None
            }
        }
    }
}

/// `None`: it fits; else what the aggregate takes.
pub(super) fn fits_aggregate(aggregate: Aggregate, kind: &Kind) -> Option<&'static str> {
    let (fits, takes) = match aggregate {
        Aggregate::Sum | Aggregate::Average => (kind.is_number() || *kind == Kind::DURATION, "a number or a duration"),
        Aggregate::Least | Aggregate::Most => (kind.has_order(), "a number, a text, a time or a duration"),
        Aggregate::Distinct | Aggregate::Collect => (true, ""),
    };
    (!fits).then_some(takes)
}

/// What a path of fields and places begins with, and the first field after it.
fn root(argument: &Ast) -> (&Ast, Option<&str>) {
    let (mut at, mut field) = (bare(argument), None);
    loop {
        match &at.kind {
            ExpressionKind::Member { base, field: name } => (at, field) = (bare(base), Some(name.node.as_str())),
            ExpressionKind::Index { base, .. } => at = bare(base),
            _ => return (at, field),
        }
    }
}

/// `x.f`, `x.f.g`: fields only, at least one.
fn is_path(argument: &Ast) -> bool {
    let mut at = bare(argument);
    while let ExpressionKind::Member { base, .. } = &at.kind {
        at = bare(base);
    }
    matches!(at.kind, ExpressionKind::Name(_)) && !matches!(bare(argument).kind, ExpressionKind::Name(_))
}

/// A sum of nothing is the int 0, which only floats do not hold as it is.
pub(super) fn of_nothing_too(sum: Expression, kind: &Kind) -> Expression {
    if *kind == Kind::FLOAT { Expression::Call { function: Function::Float, arguments: vec![sum] } } else { sum }
}

/// Of nothing it is a duration of nothing.
fn sum_of_durations(sum: Expression, step: StepId, path: FieldPath) -> Expression {
    let least = Expression::Aggregate { aggregate: Aggregate::Least, step, path };
    Expression::If {
        condition: Box::new(Expression::IsNull(Box::new(least))),
        then: Box::new(Expression::Constant(Value::Duration(TimeSpan::ZERO))),
        otherwise: Box::new(sum),
    }
}

/// Whether a type is one that keys can be of.
pub(super) fn is_scalar(kind: &Kind) -> bool {
    !matches!(kind, Kind::List(_) | Kind::Null | Kind::Of(Type::Record(_)))
}
