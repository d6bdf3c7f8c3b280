//! Windows: `count(payments over 10m)`, `sum(payments.amount over tumbling 1h)`.
//!
//! They are over the key's events of a source, or of what narrows one, so they stand where a key is at hand: in the conditions of steps, and in what a match says.

use std::cell::RefCell;

use crate::event::{TimeSpan, Value};
use crate::language::ast::{self, Expression as Ast, ExpressionKind, Name};
use crate::language::check::aggregates::{fits_aggregate, of_nothing_too};
use crate::language::check::declarations::Events;
use crate::language::check::expression::{Lowering, Typed, bare};
use crate::language::check::kinds::Kind;
use crate::language::check::scope::{Around, AtHand, Scope};
use crate::language::check::sources::{Sources, all_of};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::{listed, named};
use crate::pattern::{Aggregate, Condition, Expression, FieldPath, Measure, Window, WindowId, WindowSpan};

/// As many windows as a pattern may ask for.
const WINDOWS_MAX: usize = 64;

/// The windows of a pattern, each distinct one once.
pub(super) struct WindowTable<'s, 'a> {
    sources: &'s Sources<'a>,
    list: RefCell<Vec<(String, Window)>>,
}

impl<'s, 'a> WindowTable<'s, 'a> {
    pub(super) fn new(sources: &'s Sources<'a>) -> Self {
        Self { sources, list: RefCell::default() }
    }

    /// See [`Sources::standing`].
    pub(super) fn standing(&self, events: &Events<'_>) -> u64 {
        self.sources.standing(events)
    }

    pub(super) fn into_windows(self) -> Vec<Window> {
        self.list.into_inner().into_iter().map(|(_, window)| window).collect()
    }

    /// `None`: there are too many.
    fn intern(&self, window: Window) -> Option<WindowId> {
        let mut list = self.list.borrow_mut();
        let spelled = format!("{window:?}");
        let place = list.iter().position(|(known, _)| *known == spelled).unwrap_or(list.len());
        if place == WINDOWS_MAX {
            return None;
        }
        if place == list.len() {
            list.push((spelled, window));
        }
        Some(WindowId(u16::try_from(place).expect("the number of windows is bounded")))
    }
}

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn window(&mut self, function: &'a Name, argument: &'a Ast, window: &ast::Window, span: Span) -> Typed<'a> {
        let Some(table) = self.scope.windows else {
            let diagnostic = Diagnostic::new(Code::WindowPlace, span, "a window is over the events of a key, and no key is at hand here", "of which key?");
            return self.wrong(span, diagnostic.help("write it in the condition of a step, or in `emit`"));
        };
        let over = match window {
            ast::Window::Sliding(span) => WindowSpan::Sliding(span.node),
            ast::Window::Tumbling(span) => WindowSpan::Tumbling(span.node),
            ast::Window::Session(span) => WindowSpan::Session(span.node),
        };
        let make = |events: &Events<'a>, measure| Window {
            events: Condition { stream: events.stream, stands_as: table.standing(events), expression: all_of(events.conditions.clone()) },
            measure,
            span: over,
        };
        if function.node == "count" {
            let Some(events) = self.windowed(argument, function) else { return Typed::unknown(span) };
            return self.asked(table, make(&events, Measure::Count), Kind::INT, false, span);
        }
        let Some(aggregate) = aggregate_of(&function.node) else {
            let message = format!("`{}` is not of a window", function.node);
            let diagnostic = Diagnostic::new(Code::WindowFunction, function.span, message, "takes no `over`");
            return self.wrong(span, diagnostic.help("of windows are `count`, `sum`, `avg`, `min`, `max`, `distinct` and `collect`"));
        };
        let Some((events, path, typed)) = self.windowed_field(argument, function) else { return Typed::unknown(span) };
        if let Some(takes) = fits_aggregate(aggregate, &typed.kind) {
            let diagnostic = self.unfit_field(function, aggregate, (argument, events.stream), &typed, takes);
            return self.wrong(span, diagnostic);
        }
        let measure = |aggregate| Measure::Aggregate { aggregate, path: path.clone() };
        let window = make(&events, measure(aggregate));
        match aggregate {
            Aggregate::Sum if typed.kind == Kind::DURATION => {
                let least = self.asked(table, make(&events, measure(Aggregate::Least)), Kind::DURATION, true, span);
                let sum = self.asked(table, window, Kind::DURATION, false, span);
                Typed::new(nothing_if_null(least.expression, sum.expression), Kind::DURATION, false, span)
            }
            Aggregate::Sum => {
                let sum = self.asked(table, window, typed.kind.clone(), false, span);
                Typed { expression: of_nothing_too(sum.expression, &typed.kind), ..sum }
            }
            Aggregate::Average if typed.kind == Kind::INT => self.asked(table, window, Kind::DECIMAL, true, span),
            Aggregate::Average | Aggregate::Least | Aggregate::Most => self.asked(table, window, typed.kind, true, span),
            Aggregate::Distinct => self.asked(table, window, Kind::INT, false, span),
            Aggregate::Collect => self.asked(table, window, Kind::List(Box::new(typed.kind)), false, span),
        }
    }

    fn asked(&mut self, table: &WindowTable<'_, 'a>, window: Window, kind: Kind, nullable: bool, span: Span) -> Typed<'a> {
        let Some(id) = table.intern(window) else {
            let diagnostic = Diagnostic::new(Code::TooMany, span, format!("more than {WINDOWS_MAX} windows in one pattern"), "one too many");
            return self.wrong(span, diagnostic.help("ask the same window more than once, or split the pattern"));
        };
        Typed::new(Expression::Window(id), kind, nullable, span)
    }

    /// The events that the argument names: a stream or define that stands in the pattern's line.
    fn windowed(&mut self, argument: &'a Ast, function: &Name) -> Option<Events<'a>> {
        match &bare(argument).kind {
            ExpressionKind::Name(name) => self.windowed_events(name, argument.span),
            _ => {
                let name = &function.node;
                let diagnostic = Diagnostic::new(Code::WindowArgument, argument.span, format!("`{name}` over a window is of a stream or define"), "neither");
                self.add(diagnostic.help(format!("as in `{name}(payments over 10m)`; narrow the stream by a `define`")));
                None
            }
        }
    }

    fn windowed_events(&mut self, name: &'a str, span: Span) -> Option<Events<'a>> {
        let declarations = self.scope.declarations;
        if let Some(known) = declarations.events.get(name) {
            let events = known.as_ref()?;
            let sources = self.scope.windows?.sources;
            if sources.admit(events) {
                return Some(events.clone());
            }
            let names: Vec<&str> = sources.names().collect();
            let message = format!("`{name}` does not stand in the line of this pattern");
            let diagnostic = Diagnostic::new(Code::WindowArgument, span, message, "not among `from`");
            let names = listed(names.iter().copied());
            self.add(diagnostic.help(format!("a window is over {names}, or a define that narrows it; add {} to `from` if that is meant", named(name))));
            return None;
        }
        if self.may_be_unread(name) {
            return None;
        }
        if self.scope.step(name).is_some() {
            let diagnostic = Diagnostic::new(Code::WindowArgument, span, format!("`{name}` is a step, and a window is over a stream"), "a step");
            self.add(diagnostic.help("what a step has chosen needs no `over`: `count(x)`, `sum(x.field)`"));
            return None;
        }
        let diagnostic = Diagnostic::new(Code::WindowArgument, span, format!("unknown stream `{name}`"), "neither a stream nor a define");
        self.add(diagnostic.help_nearest(self.findings, name, declarations.event_names(), || format!("there are {}", listed(declarations.event_names()))));
        None
    }

    /// `payments.amount`: a field of the events.
    fn windowed_field(&mut self, argument: &'a Ast, function: &Name) -> Option<(Events<'a>, FieldPath, Typed<'a>)> {
        let mut root = bare(argument);
        while let ExpressionKind::Member { base, .. } = &root.kind {
            root = bare(base);
        }
        let name = match &root.kind {
            ExpressionKind::Name(name) if !std::ptr::eq(root, bare(argument)) => name,
            _ => {
                self.no_windowed_field(argument, function);
                return None;
            }
        };
        let events = self.windowed_events(name, root.span)?;
        let around = Around::Key { source: Some(name) };
        let scope = Scope { declarations: self.scope.declarations, at_hand: AtHand::Event(events.stream), around, windows: None };
        let mut typed = Lowering::new(&scope, self.findings).value(argument);
        if typed.is_unknown() {
            return None;
        }
        match std::mem::replace(&mut typed.expression, Expression::Constant(Value::Null)) {
            Expression::Field(path) => Some((events, path, typed)),
            _ => {
                self.no_windowed_field(argument, function);
                None
            }
        }
    }

    fn no_windowed_field(&mut self, argument: &Ast, function: &Name) {
        let name = &function.node;
        let diagnostic = Diagnostic::new(Code::WindowArgument, argument.span, format!("`{name}` over a window is of a field"), "no field of a stream");
        self.add(diagnostic.help(format!("as in `{name}(payments.amount over 1h)`")));
    }
}

fn aggregate_of(function: &str) -> Option<Aggregate> {
    Some(match function {
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Average,
        "min" => Aggregate::Least,
        "max" => Aggregate::Most,
        "distinct" => Aggregate::Distinct,
        "collect" => Aggregate::Collect,
        _ => return None,
    })
}

/// Of nothing a sum of durations is a duration of nothing.
fn nothing_if_null(least: Expression, sum: Expression) -> Expression {
    Expression::If {
        condition: Box::new(Expression::IsNull(Box::new(least))),
        then: Box::new(Expression::Constant(Value::Duration(TimeSpan::ZERO))),
        otherwise: Box::new(sum),
    }
}
