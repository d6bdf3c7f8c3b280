//! Names, fields and places: what they stand for.

use crate::event::{StreamId, Type};
use crate::language::ast::{Expression as Ast, ExpressionKind, Name};
use crate::language::check::emit::KeyPart;
use crate::language::check::expression::{Lowering, Typed, bare};
use crate::language::check::kinds::Kind;
use crate::language::check::scope::{Around, AtHand};
use crate::language::check::steps::StepRole;
use crate::language::check::streams::{its_fields, unknown_field};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Span, Spanned};
use crate::language::spelling::{code, listed, spelled};
use crate::pattern::{Expression, Occurrence};

/// What a bare name may be a misspelling of, besides names.
const WRITTEN_VALUES: [&str; 3] = ["true", "false", "null"];

/// What stands before a `.` or `[`.
enum Base<'a> {
    /// A step, as a place in the table; which of its events.
    Step(usize, Occurrence),
    /// The source whose key this is.
    Source(StreamId),
    Value(Typed<'a>),
}

impl<'a> Lowering<'_, '_, 'a> {
    /// A field of the event at hand, then a list; in `emit` a part of the key first.
    pub(super) fn bare_name(&mut self, name: &'a str, span: Span) -> Typed<'a> {
        if let Some(field) = self.field_at_hand(name, span) {
            return field;
        }
        if let Some(part) = self.scope.key().iter().find(|part| part.name.as_deref() == Some(name)) {
            return self.key_part(part, span);
        }
        if let Some(list) = self.scope.declarations.lists.get(name) {
            self.lists.push((name, span));
            return Typed::new(Expression::Constant(list.value.clone()), list.kind.clone(), false, span);
        }
        if self.scope.at_hand == AtHand::Unknown || self.may_be_unread(name) {
            return Typed::unknown(span);
        }
        let diagnostic = self.no_value(name, span);
        self.wrong(span, diagnostic)
    }

    /// Whether the name may be declared in what could not be read.
    pub(super) fn may_be_unread(&self, name: &str) -> bool {
        let declarations = self.scope.declarations;
        let AtHand::Event(stream) = self.scope.at_hand else { return declarations.may_be_unread(name, declarations.event_names()) };
        let fields = declarations.stream(stream).fields.iter().map(|field| field.name.node.as_str());
        declarations.may_be_unread(name, fields.chain(declarations.lists.keys().copied()))
    }

    pub(super) fn names_field(&self, name: &str) -> bool {
        matches!(self.scope.at_hand, AtHand::Event(stream) if self.scope.declarations.stream(stream).field(name).is_some())
    }

    fn field_at_hand(&mut self, name: &str, span: Span) -> Option<Typed<'a>> {
        let AtHand::Event(stream) = self.scope.at_hand else { return None };
        let (place, field) = self.scope.declarations.stream(stream).field(name)?;
        Some(Typed::new(Expression::Field([place].into()), field.kind.clone(), field.nullable, span))
    }

    fn key_part(&mut self, part: &KeyPart, span: Span) -> Typed<'a> {
        match &part.as_chosen {
            Some(expression) => Typed::new(expression.clone(), part.kind.clone(), false, span),
            None if part.kind.is_unknown() => Typed::unknown(span),
            None => {
                let name = part.name.as_deref().unwrap_or_default();
                let message = format!("the key `{name}` cannot stand inside an expression here");
                let diagnostic = Diagnostic::new(Code::WhichEvent, span, message, "of which event?");
                self.wrong(span, diagnostic.help(format!("emit it by itself, {}, or say of which step: `x.field`", code(&format!("emit {}", spelled(name))))))
            }
        }
    }

    /// A bare name that is no value: what it is instead.
    fn no_value(&mut self, name: &str, span: Span) -> Diagnostic {
        if let Some(step) = self.scope.step(name) {
            let diagnostic = Diagnostic::new(Code::StepAsValue, span, format!("`{name}` is a step, not a value"), "a value is meant here");
            let declared = self.scope.steps().map(|steps| steps.entries[step].name.span);
            let diagnostic = declared.into_iter().fold(diagnostic, |diagnostic, span| diagnostic.also(span, "the step"));
            let name = spelled(name);
            return diagnostic.help(format!(
                "say which field: {}; how many events it has is {}",
                code(&format!("{name}.field")),
                code(&format!("count({name})"))
            ));
        }
        if self.scope.declarations.events.contains_key(name) {
            let diagnostic = Diagnostic::new(Code::WrongSort, span, format!("`{name}` is a stream, not a value"), "a value is meant here");
            let here =
                if self.scope.at_hand == AtHand::None { "name a field of a step, as in `a.field`" } else { "bare names are fields of the event at hand" };
            let window = code(&format!("count({} over 1h)", spelled(name)));
            return diagnostic.help(format!("{here}; how many events there were of late is {window}"));
        }
        match self.scope.at_hand {
            AtHand::Event(stream) => {
                let name = Name { node: name.to_owned(), span };
                let stream = self.scope.declarations.stream(stream);
                let lists = self.scope.declarations.lists.keys().copied();
                let names = stream.fields.iter().map(|field| field.name.node.as_str()).chain(lists);
                let diagnostic = unknown_field(stream, &name, self.findings);
                let otherwise = diagnostic.help.clone().unwrap_or_default();
                diagnostic.help_nearest_or_word(self.findings, &name.node, names, &WRITTEN_VALUES, || otherwise)
            }
            AtHand::Unknown | AtHand::None => self.no_emitted(name, span),
        }
    }

    /// In `emit` there is no event at hand.
    fn no_emitted(&mut self, name: &str, span: Span) -> Diagnostic {
        let steps: Vec<&str> = self.scope.steps().map(|steps| steps.choosing().collect()).unwrap_or_default();
        let declarations = self.scope.declarations;
        let with_field = self.scope.steps().and_then(|steps| {
            let has_field = |stream: StreamId| declarations.stream(stream).field(name).is_some();
            steps.entries.iter().find(|entry| matches!(entry.role, StepRole::Chooses(_)) && entry.stream.is_some_and(has_field))
        });
        if let Some(step) = with_field {
            let diagnostic = Diagnostic::new(Code::WhichEvent, span, format!("`{name}` of which event?"), "there is no single event at hand here");
            return diagnostic.help(format!("say of which step: {}", code(&format!("{}.{}", spelled(&step.name.node), spelled(name)))));
        }
        let key = self.scope.key().iter().filter_map(|part| part.name.as_deref());
        let lists = declarations.lists.keys().copied();
        let names = steps.iter().copied().chain(key).chain(lists);
        Diagnostic::new(Code::UnknownName, span, format!("unknown name `{name}`"), "neither a part of the key nor a step").help_nearest_or_word(
            self.findings,
            name,
            names,
            &WRITTEN_VALUES,
            || "fields of the match are the key's names, `x.f` of a step x, and what is calculated from these".to_owned(),
        )
    }

    // Fields and places.

    pub(super) fn member(&mut self, base: &'a Ast, field: &'a Name, span: Span) -> Typed<'a> {
        match self.base(base) {
            Some(Base::Step(step, occurrence)) => self.step_field(step, occurrence, field, base.span, span),
            Some(Base::Source(stream)) => match self.scope.declarations.stream(stream).field(&field.node) {
                Some((place, known)) => Typed::new(Expression::Field([place].into()), known.kind.clone(), known.nullable, span),
                None => {
                    let diagnostic = unknown_field(self.scope.declarations.stream(stream), field, self.findings);
                    self.wrong(span, diagnostic)
                }
            },
            Some(Base::Value(value)) => self.part(value, field, span),
            None => Typed::unknown(span),
        }
    }

    pub(super) fn index(&mut self, base: &'a Ast, place: Spanned<i64>, span: Span) -> Typed<'a> {
        match self.base(base) {
            Some(Base::Step(step, _)) => {
                let name = self.scope.steps().map(|steps| steps.entries[step].name.node.clone()).unwrap_or_default();
                let diagnostic = Diagnostic::new(Code::StepAsValue, span, "an event is no value", "a whole event");
                self.wrong(span, diagnostic.help(format!("say which field of it: {}", code(&format!("{}[{}].field", spelled(&name), place.node)))))
            }
            Some(Base::Source(_)) | None => Typed::unknown(span),
            Some(Base::Value(value)) => match &value.kind {
                Kind::List(item) => {
                    let kind = (**item).clone();
                    let element = Expression::Element { list: Box::new(value.expression), place: place.node };
                    Typed::new(element, if kind.is_written_number() { Kind::DECIMAL } else { kind }, true, span)
                }
                Kind::Unknown => Typed::unknown(span),
                kind => {
                    let message = format!("places are of lists and steps, and this is {kind}");
                    let diagnostic = Diagnostic::new(Code::TypeMismatch, base.span, message, kind.to_string());
                    let help = format!("leave {} out: it is one value", code(&format!("[{}]", place.node)));
                    self.wrong(span, diagnostic.help(help))
                }
            },
        }
    }

    /// What stands before `.` or `[`. `None`: something is wrong with it, which has been said.
    fn base(&mut self, base: &'a Ast) -> Option<Base<'a>> {
        match &bare(base).kind {
            ExpressionKind::Name(name) => self.named_base(name, base.span),
            ExpressionKind::Index { base: inner, place } => match &inner.kind {
                ExpressionKind::Name(name) if self.names_step(name) => {
                    let step = self.scope.step(name)?;
                    self.occurrence(*place).map(|occurrence| Base::Step(step, occurrence))
                }
                _ => Some(Base::Value(self.lower(base))),
            },
            _ => Some(Base::Value(self.lower(base))),
        }
    }

    fn named_base(&mut self, name: &'a str, span: Span) -> Option<Base<'a>> {
        if self.names_step(name) {
            return self.scope.step(name).map(|step| Base::Step(step, Occurrence::FromLast(0)));
        }
        if let (Around::Key { source: Some(source) }, AtHand::Event(stream)) = (self.scope.around, self.scope.at_hand)
            && source == name
        {
            return Some(Base::Source(stream));
        }
        let declarations = self.scope.declarations;
        let is_value = self.field_at_hand(name, span).is_some()
            || declarations.lists.contains_key(name)
            || self.scope.key().iter().any(|part| part.name.as_deref() == Some(name));
        if is_value {
            return Some(Base::Value(self.bare_name(name, span)));
        }
        if self.scope.at_hand == AtHand::Unknown || self.may_be_unread(name) {
            return None;
        }
        let diagnostic = if declarations.events.contains_key(name) { self.stream_field(name, span) } else { self.unknown_step(name, span) };
        self.add(diagnostic);
        None
    }

    /// Whether the name before a `.` or `[` is a step. A record or list of that name at hand comes first.
    pub(super) fn names_step(&self, name: &str) -> bool {
        if self.scope.step(name).is_none() {
            return false;
        }
        let AtHand::Event(stream) = self.scope.at_hand else { return true };
        let field = self.scope.declarations.stream(stream).field(name);
        field.is_none_or(|(_, field)| !matches!(field.kind, Kind::Unknown | Kind::List(_) | Kind::Of(Type::Record(_))))
    }

    fn stream_field(&self, name: &str, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::WrongSort, span, format!("`{name}` is a stream, whose events are many"), "of which event?");
        let step = self.scope.steps().and_then(|steps| steps.choosing().next()).map(|step| code(&format!("{}.field", spelled(step))));
        match step {
            Some(step) if self.scope.at_hand == AtHand::None => diagnostic.help(format!("name a step, as in {step}")),
            Some(step) => diagnostic.help(format!("name a step, as in {step}; a bare name is a field of the event at hand")),
            None => diagnostic.help("a bare name is a field of the event at hand"),
        }
    }

    pub(super) fn unknown_step(&self, name: &str, span: Span) -> Diagnostic {
        let steps: Vec<&str> = self.scope.steps().map(|steps| steps.choosing().collect()).unwrap_or_default();
        if let (true, AtHand::Event(stream)) = (steps.is_empty(), self.scope.at_hand) {
            let stream = self.scope.declarations.stream(stream);
            return unknown_field(stream, &Name { node: name.to_owned(), span }, self.findings);
        }
        Diagnostic::new(Code::UnknownName, span, format!("unknown step `{name}`"), "not a step of this pattern").help_nearest(
            self.findings,
            name,
            steps.iter().copied(),
            || format!("its steps are {}", listed(steps.iter().copied())),
        )
    }

    /// A field of what a record is worth.
    fn part(&mut self, value: Typed<'a>, field: &Name, span: Span) -> Typed<'a> {
        let Kind::Of(Type::Record(fields)) = &value.kind else {
            if value.is_unknown() {
                return Typed::unknown(span);
            }
            let message = format!("unknown field `{}`: this is {}", field.node, value.kind);
            let diagnostic =
                Diagnostic::new(Code::UnknownField, field.span, message, "only records and steps have fields").also(value.span, value.kind.to_string());
            let diagnostic = diagnostic.help(format!("leave {} out", code(&format!(".{}", spelled(&field.node)))));
            return self.wrong(span, diagnostic);
        };
        let Some((place, known)) = (0..).zip(fields).find(|(_, known)| known.name == field.node) else {
            let name = self.scope.declarations.quoted(value.span);
            let diagnostic =
                Diagnostic::new(Code::UnknownField, field.span, format!("unknown field `{}` on `{name}`", field.node), format!("not a field of `{name}`"))
                    .help_nearest(self.findings, &field.node, fields.iter().map(|field| field.name.as_str()), || {
                        its_fields(fields.iter().map(|field| field.name.as_str()))
                    });
            return self.wrong(span, diagnostic);
        };
        let (kind, nullable) = (Kind::of(&known.r#type), value.nullable || known.nullable);
        let longer = |path: Box<[u16]>| path.iter().copied().chain([place]).collect();
        let expression = match value.expression {
            Expression::Field(path) => Expression::Field(longer(path)),
            Expression::Chosen { step, occurrence, path } => Expression::Chosen { step, occurrence, path: longer(path) },
            other => Expression::Part { record: Box::new(other), place },
        };
        Typed::new(expression, kind, nullable, span)
    }
}
