//! `emit` and `on timeout emit`: the fields of a match.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::{TimeSpan, Type, Value};
use crate::language::ast::{self, ExpressionKind};
use crate::language::check::declarations::twice;
use crate::language::check::endings::{Decided, LastAbsence};
use crate::language::check::expression::{Lowering, bare};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::scope::Scope;
use crate::language::check::sources::{Key, path_name};
use crate::language::check::steps::StepRole;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::code;
use crate::pattern::{EmitField, EmitValue, Expression, Occurrence, Source, Step, StepId, Suppress};

/// A part of the key, as expressions of `emit` can name it.
pub(super) struct KeyPart {
    pub name: Option<String>,
    pub kind: Kind,
    /// The same of the chosen events; `None` where streams share an event and differ in its key.
    pub as_chosen: Option<Expression>,
}

pub(super) fn key_parts(key: &Key, sources: &[Source], steps: &[Step]) -> Vec<KeyPart> {
    let part = |(place, (name, kind)): (usize, (&Option<String>, &Kind))| KeyPart {
        name: name.clone(),
        kind: kind.clone(),
        as_chosen: as_chosen(place, sources, steps),
    };
    key.names.iter().zip(&key.kinds).enumerate().map(part).collect()
}

/// The key of whatever was chosen: each step's stream has one expression for it.
fn as_chosen(place: usize, sources: &[Source], steps: &[Step]) -> Option<Expression> {
    let mut parts = (0..).zip(steps).map(|(id, step)| of_step(place, sources, StepId(id), step)).collect::<Option<Vec<Expression>>>()?;
    if parts.len() == 1 { parts.pop() } else { Some(Expression::Coalesce(parts)) }
}

/// The key of a step's first event. `None`: its stream has several.
fn of_step(place: usize, sources: &[Source], id: StepId, step: &Step) -> Option<Expression> {
    let mut of_stream = sources.iter().filter(|source| source.stream == step.stream).map(|source| &source.key[place]);
    let first = of_stream.next()?;
    let spelled = format!("{first:?}");
    of_stream.all(|other| format!("{other:?}") == spelled).then(|| of_first_event(first.clone(), id))
}

/// Fields of the event at hand become those of the step's first event.
fn of_first_event(expression: Expression, step: StepId) -> Expression {
    let first = |part: &Expression| match part {
        Expression::Field(path) => Some(Expression::Chosen { step, occurrence: Occurrence::FromFirst(0), path: path.clone() }),
        _ => None,
    };
    replaced(expression, &first)
}

/// With what is `instead` of a part in its place; parts of that are not looked at.
fn replaced(expression: Expression, instead: &dyn Fn(&Expression) -> Option<Expression>) -> Expression {
    if let Some(other) = instead(&expression) {
        return other;
    }
    let one = |part: Box<Expression>| Box::new(replaced(*part, instead));
    let several = |parts: Vec<Expression>| parts.into_iter().map(|part| replaced(part, instead)).collect();
    match expression {
        Expression::Field(_)
        | Expression::Constant(_)
        | Expression::Chosen { .. }
        | Expression::Count(_)
        | Expression::Aggregate { .. }
        | Expression::Window(_) => expression,
        Expression::Not(operand) => Expression::Not(one(operand)),
        Expression::IsNull(operand) => Expression::IsNull(one(operand)),
        Expression::Negate(operand) => Expression::Negate(one(operand)),
        Expression::And(parts) => Expression::And(several(parts)),
        Expression::Or(parts) => Expression::Or(several(parts)),
        Expression::Coalesce(parts) => Expression::Coalesce(several(parts)),
        Expression::List(parts) => Expression::List(several(parts)),
        Expression::Call { function, arguments } => Expression::Call { function, arguments: several(arguments) },
        Expression::Compare { comparison, left, right } => Expression::Compare { comparison, left: one(left), right: one(right) },
        Expression::Arithmetic { operation, left, right } => Expression::Arithmetic { operation, left: one(left), right: one(right) },
        Expression::In { item, list } => Expression::In { item: one(item), list: one(list) },
        Expression::Among { item, among } => Expression::Among { item: one(item), among },
        Expression::Element { list, place } => Expression::Element { list: one(list), place },
        Expression::Part { record, place } => Expression::Part { record: one(record), place },
        Expression::If { condition, then, otherwise } => Expression::If { condition: one(condition), then: one(then), otherwise: one(otherwise) },
        Expression::Matches { text, regex } => Expression::Matches { text: one(text), regex },
        Expression::InNetwork { address, network } => Expression::InNetwork { address: one(address), network },
        Expression::Hour { time, zone } => Expression::Hour { time: one(time), zone },
        Expression::Weekday { time, zone } => Expression::Weekday { time: one(time), zone },
    }
}

/// The fields in their order; what is wrong with one is said, and it is left out.
pub(super) fn fields<'a>(fields: &'a [ast::EmitField], scope: &Scope<'_, 'a>, findings: &mut Findings) -> Vec<EmitField> {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut emitted = Vec::new();
    for field in fields {
        let value = value(&field.value, scope, findings);
        let Some((name, span)) = name(field) else {
            let diagnostic = Diagnostic::new(Code::NeedsName, field.value.span, "what is calculated needs a name", "called what?");
            findings.add(diagnostic.help(format!("write {}", code(&format!("{} as NAME", scope.declarations.quoted(field.value.span))))));
            continue;
        };
        if let Some(first) = names.insert(name, span) {
            let diagnostic = twice(name, span, first);
            findings.add(if field.name.is_none() {
                diagnostic.help(format!("write {}", code(&format!("{} as OTHER", scope.declarations.quoted(field.value.span)))))
            } else {
                diagnostic
            });
        }
        emitted.extend(value.map(|value| EmitField { name: name.to_owned(), value }));
    }
    emitted
}

/// A match that ends in `next not` is decided by an event that is not its own, when the windows of its last event are gone.
pub(super) fn check_windows(fields: &[ast::EmitField], emitted: Option<&[EmitField]>, last: &[LastAbsence<'_>], findings: &mut Findings) {
    let Some(next_not) = last.iter().rfind(|absence| absence.decided == Decided::ByNextEvent) else { return };
    for field in emitted.unwrap_or_default() {
        let mut asks = false;
        if let EmitValue::Expression { expression, .. } = &field.value {
            expression.visit(&mut |part| asks |= matches!(part, Expression::Window(_)));
        }
        let written = fields.iter().find(|written| name(written).is_some_and(|(name, _)| name == field.name));
        if let (true, Some(written)) = (asks, written) {
            let (ends, label) = if next_not.is_followed { ("may end", "is last if what follows is left out") } else { ("ends", "is last") };
            let message = format!("windows in `emit` of a pattern that {ends} in `next not` are not built yet");
            let diagnostic = Diagnostic::new(Code::NotBuilt, written.value.span, message, "cannot be run by this version").also(next_not.name.span, label);
            findings.add(diagnostic.help("end in `not … for` or in a step that is always taken, or ask in the condition of the last step"));
        }
    }
}

/// `suppress D by E, …`: what matches must have in common.
pub(super) fn suppress<'a>(span: TimeSpan, by: &'a [ast::Expression], keys: &StepKeys, scope: &Scope<'_, 'a>, findings: &mut Findings) -> Suppress {
    let mut parts: Vec<(&ast::Expression, EmitValue)> = Vec::new();
    for ast in by {
        match value(ast, scope, findings) {
            Some(EmitValue::Events(_)) => {
                let diagnostic = Diagnostic::new(Code::StepAsValue, ast.span, "matches are compared by a value, and this is a step", "a step");
                findings.add(diagnostic.help("say which field of it: `x.field`"));
            }
            Some(EmitValue::Expression { r#type: Type::List(_) | Type::Record(_), .. }) => {
                let diagnostic = Diagnostic::new(Code::KeyType, ast.span, "matches are compared by one value", "a list or a record");
                findings.add(diagnostic.help("write a field of it, or several with commas between"));
            }
            part => parts.extend(part.map(|part| (ast, part))),
        }
    }
    let across = parts.iter().find(|(_, part)| !keys.determine(part));
    if let Some((ast, _)) = across {
        let message = "the key does not determine this, so it is compared across the keys of a task";
        let diagnostic = Diagnostic::new(Code::SuppressAcrossKeys, ast.span, message, "not a part of the key");
        findings.add(diagnostic.help("where a topic has several partitions, each suppresses for itself"));
    }
    Suppress { span, by: parts.into_iter().map(|(_, part)| part).collect() }
}

/// What the events of a pattern's steps have in common, spelled out: the parts of the key, each as it is in each step's events.
pub(super) struct StepKeys(BTreeSet<String>);

impl StepKeys {
    pub(super) fn of(key: &Key, sources: &[Source], steps: &[Step]) -> Self {
        let places = 0..key.names.len();
        let of_place = |place| (0..).zip(steps).filter_map(move |(id, step)| of_step(place, sources, StepId(id), step));
        let together = (0..key.names.len()).filter_map(|place| as_chosen(place, sources, steps));
        Self(places.flat_map(of_place).chain(together).map(|part| format!("{part:?}")).collect())
    }

    /// Whether a value is the same in all matches of a key, and not just in all matches.
    fn determine(&self, value: &EmitValue) -> bool {
        let EmitValue::Expression { expression, .. } = value else { return matches!(value, EmitValue::Key(_)) };
        // Each event of a step has the same key as its first.
        let first = |part: &Expression| match part {
            Expression::Chosen { step, path, .. } => Some(Expression::Chosen { step: *step, occurrence: Occurrence::FromFirst(0), path: path.clone() }),
            _ => None,
        };
        let asks_key = Cell::new(false);
        let key = |part: &Expression| {
            let is_key = self.0.contains(&format!("{part:?}"));
            asks_key.set(asks_key.get() || is_key);
            is_key.then_some(Expression::Constant(Value::Null))
        };
        let mut is_read = false;
        replaced(replaced(expression.clone(), &first), &key).visit(&mut |part| {
            is_read |= matches!(part, Expression::Chosen { .. } | Expression::Count(_) | Expression::Aggregate { .. } | Expression::Window(_));
        });
        asks_key.get() && !is_read
    }
}

/// A path is called by its last part.
fn name(field: &ast::EmitField) -> Option<(&str, Span)> {
    match &field.name {
        Some(name) => Some((&name.node, name.span)),
        None => path_name(&field.value).map(|name| (name, field.value.span)),
    }
}

fn value<'a>(ast: &'a ast::Expression, scope: &Scope<'_, 'a>, findings: &mut Findings) -> Option<EmitValue> {
    if let ExpressionKind::Name(name) = &bare(ast).kind {
        let key = scope.key().iter().position(|part| part.name.as_deref() == Some(name));
        let step = scope.steps().zip(scope.step(name)).map(|(steps, step)| &steps.entries[step]);
        match (key, step) {
            (Some(_), Some(step)) => {
                findings.add(key_like_step(name, ast.span, step.name.span));
                return None;
            }
            (Some(place), None) => return Some(EmitValue::Key(place)),
            (None, Some(step)) => {
                if let StepRole::Chooses(id) = step.role {
                    return Some(EmitValue::Events(id));
                }
                // Says why not.
                Lowering::new(scope, findings).mention(scope.step(name)?, ast.span, None);
                return None;
            }
            (None, None) => {}
        }
    }
    let typed = Lowering::new(scope, findings).value(ast);
    if typed.is_unknown() {
        return None;
    }
    Some(EmitValue::Expression { expression: typed.expression, r#type: typed.kind.settled() })
}

/// A part of the key and a step of one name, where both are shown.
pub(super) fn key_like_step(name: &str, span: Span, step: Span) -> Diagnostic {
    Diagnostic::new(Code::NameClash, span, format!("`{name}` is a part of the key and a step"), "which of the two?")
        .also(step, "the step")
        .help("give the step another name")
}
