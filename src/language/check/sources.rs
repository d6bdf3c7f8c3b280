//! `from S, … by E, …`: the events that stand in a pattern's line, and their key.

use crate::language::ast::{self, Expression as Ast, ExpressionKind, Name};
use crate::language::check::aggregates::is_scalar;
use crate::language::check::declarations::{Declarations, Events, ONE_OF_THEM, twice};
use crate::language::check::expression::{Lowering, Typed, bare};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::scope::{Around, AtHand, Scope};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::print::one_line;
use crate::pattern::{Expression, Source};

/// The streams and defines of `from`; those that are not known are left out.
pub(super) struct Sources<'a> {
    pub known: Vec<(&'a Name, Events<'a>)>,
    /// One is not known: nothing is said of streams that are not among them.
    pub any_unknown: bool,
    /// Sources of one stream have different keys: as which an event stands in a line then matters.
    apart: bool,
}

/// The key, part by part.
#[derive(Default)]
pub(super) struct Key {
    /// As the first source names it; `None`: calculated, so that its text is its name.
    pub names: Vec<Option<String>>,
    /// The texts of the first source's parts, in one spelling whatever their layout and comments.
    pub texts: Vec<String>,
    pub kinds: Vec<Kind>,
    /// By source, then by part.
    pub parts: Vec<Vec<Expression>>,
}

impl Key {
    /// One of which only the names are known.
    fn unknown(by: &[Ast]) -> Self {
        let names = by.iter().map(|part| path_name(part).map(str::to_owned)).collect();
        Self { names, kinds: vec![Kind::Unknown; by.len()], ..Self::default() }
    }
}

impl<'a> Sources<'a> {
    pub(super) fn of(pattern: &'a ast::Pattern, declarations: &Declarations<'a>, findings: &mut Findings) -> Self {
        let mut sources = Self { known: Vec::new(), any_unknown: false, apart: false };
        for (place, name) in pattern.from.iter().enumerate() {
            if let Some(first) = pattern.from[..place].iter().find(|first| first.node == name.node) {
                findings.add(twice(&name.node, name.span, first.span).help(ONE_OF_THEM));
                continue;
            }
            match declarations.events(name, findings) {
                Some(events) => sources.known.push((name, events.clone())),
                None => sources.any_unknown = true,
            }
        }
        sources
    }

    /// Whether events of this lineage stand in the line: a source is among what they are narrowed from.
    pub(super) fn admit(&self, events: &Events<'_>) -> bool {
        self.any_unknown || self.known.iter().any(|(name, _)| events.lineage.contains(&name.node.as_str()))
    }

    /// Notes whether sources of one stream have different keys.
    pub(super) fn tell_apart(&mut self, key: &Key) {
        let spelled = |place: usize| key.parts.get(place).map(|parts| format!("{parts:?}"));
        let differ = |one: usize, other: usize| self.known[one].1.stream == self.known[other].1.stream && spelled(one) != spelled(other);
        self.apart = (0..self.known.len()).any(|one| (0..one).any(|other| differ(one, other)));
    }

    /// As which sources events of this lineage stand in the line, a bit each; 0: it does not matter.
    pub(super) fn standing(&self, events: &Events<'_>) -> u64 {
        let known = self.known.iter().enumerate().filter(|(_, (name, _))| self.apart && events.lineage.contains(&name.node.as_str()));
        known.fold(0, |bits, (place, _)| bits | 1 << place.min(63))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.known.iter().map(|(name, _)| name.node.as_str())
    }

    /// With their keys.
    pub(super) fn typed(&self, key: &Key) -> Vec<Source> {
        let source = |((_, events), key): (&(&Name, Events<'_>), &Vec<Expression>)| Source {
            stream: events.stream,
            filter: all_of(events.conditions.clone()),
            key: key.clone(),
        };
        self.known.iter().zip(&key.parts).map(source).collect()
    }
}

/// That all of these hold; `None`: nothing is demanded.
pub(super) fn all_of(mut conditions: Vec<Expression>) -> Option<Expression> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(Expression::And(conditions)),
    }
}

/// The key of each source. What it cannot be is said.
pub(super) fn key<'a>(by: &'a [Ast], sources: &Sources<'a>, declarations: &Declarations<'a>, findings: &mut Findings) -> Key {
    let by_source = match parts_by_source(by, sources, findings) {
        Some(by_source) if !by_source.is_empty() => by_source,
        _ => return Key::unknown(by),
    };
    let mut key = Key::default();
    for (place, ((name, events), parts)) in sources.known.iter().zip(&by_source).enumerate() {
        let scope = Scope { declarations, at_hand: AtHand::Event(events.stream), around: Around::Key { source: Some(&name.node) }, windows: None };
        let mut expressions = Vec::new();
        for (part, ast) in parts.iter().enumerate() {
            let typed = Lowering::new(&scope, findings).value(ast);
            if place == 0 {
                key.names.push(path_name(ast).map(str::to_owned));
                key.texts.push(text(ast));
                key.kinds.push(typed.kind.clone());
            }
            if let Some(diagnostic) = unfit_key(&typed, key.kinds.get(part), (sources.known[0].0, by_source[0].get(part).copied())) {
                findings.add(diagnostic);
            }
            expressions.push(typed.expression);
        }
        key.parts.push(expressions);
    }
    tell_apart(&mut key, by_source.first().map(Vec::as_slice).unwrap_or_default(), findings);
    key
}

fn unfit_key(typed: &Typed<'_>, first: Option<&Kind>, (first_name, first_part): (&Name, Option<&Ast>)) -> Option<Diagnostic> {
    if typed.is_unknown() {
        return None;
    }
    if !is_scalar(&typed.kind) {
        let diagnostic = Diagnostic::new(Code::KeyType, typed.span, format!("a key is one value, and this is {}", typed.kind), typed.kind.to_string());
        return Some(diagnostic.help("write a field of it, or several with commas between"));
    }
    let first = first.filter(|first| !first.is_unknown() && **first != typed.kind)?;
    let message = format!("the key is {first} for `{}`, and {} here", first_name.node, typed.kind);
    let diagnostic = Diagnostic::new(Code::KeyType, typed.span, message, typed.kind.to_string()).help("write parts of the same types for all streams");
    // Where no part is qualified, both stand in the same place.
    Some(
        first_part
            .filter(|part| part.span.start != typed.span.start)
            .into_iter()
            .fold(diagnostic, |diagnostic, part| diagnostic.also(part.span, first.to_string())),
    )
}

/// The parts of each source's key: the same for all, or, if they are qualified, those that name it. `None`: that cannot be told, which is said.
fn parts_by_source<'a>(by: &'a [Ast], sources: &Sources<'a>, findings: &mut Findings) -> Option<Vec<Vec<&'a Ast>>> {
    let qualifiers: Vec<Vec<usize>> = by.iter().map(|part| qualifiers(part, sources)).collect();
    if qualifiers.iter().all(Vec::is_empty) {
        return Some(sources.known.iter().map(|_| by.iter().collect()).collect());
    }
    if sources.any_unknown {
        return None;
    }
    let mut by_source = vec![Vec::new(); sources.known.len()];
    for (part, named) in by.iter().zip(&qualifiers) {
        match named.as_slice() {
            [source] => by_source[*source].push(part),
            several => {
                let (message, label) = match several {
                    [] => ("a key is qualified for every stream, or for none", "of which stream?"),
                    _ => ("a part of the key is of one stream", "names several streams"),
                };
                findings.add(Diagnostic::new(Code::KeyParts, part.span, message, label).help("as in `from incoming, outgoing by incoming.to, outgoing.from`"));
                return None;
            }
        }
    }
    let count = by_source[0].len();
    for ((name, _), parts) in sources.known.iter().zip(&by_source) {
        if parts.len() != count {
            let (first, many) = (&sources.known[0].0.node, parts.len());
            let message = format!("the key has {count} part{} for `{first}`, and {many} for `{}`", if count == 1 { "" } else { "s" }, name.node);
            let span = by[0].span.to(by[by.len() - 1].span);
            let diagnostic = Diagnostic::new(Code::KeyParts, span, message, "as many for each").also(name.span, format!("`{}`", name.node));
            findings.add(diagnostic.help("write as many parts for each, as in `by incoming.to, outgoing.from`"));
            return None;
        }
    }
    Some(by_source)
}

/// The sources that an expression names, each once.
fn qualifiers(ast: &Ast, sources: &Sources<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open = vec![ast];
    while let Some(ast) = open.pop() {
        match &ast.kind {
            ExpressionKind::Member { base, .. } => match &bare(base).kind {
                ExpressionKind::Name(name) => found.extend(sources.names().position(|source| source == name)),
                _ => open.push(base),
            },
            ExpressionKind::Index { base: one, .. }
            | ExpressionKind::Not(one)
            | ExpressionKind::Negate(one)
            | ExpressionKind::IsNull { operand: one, .. }
            | ExpressionKind::Parenthesized(one)
            | ExpressionKind::Window { argument: one, .. } => open.push(one),
            ExpressionKind::Binary { left, right, .. } => open.extend([&**left, &**right]),
            ExpressionKind::Call { arguments: several, .. } | ExpressionKind::List(several) => open.extend(several),
            ExpressionKind::Text(_)
            | ExpressionKind::Number(_)
            | ExpressionKind::Bool(_)
            | ExpressionKind::Null
            | ExpressionKind::Duration(_)
            | ExpressionKind::Name(_) => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// As it is printed, without parentheses around it. Without back quotes, so that it can be written in back quotes itself.
fn text(ast: &Ast) -> String {
    one_line(bare(ast)).replace('`', "")
}

/// What a path is called: its last part.
pub(super) fn path_name(ast: &Ast) -> Option<&str> {
    match &bare(ast).kind {
        ExpressionKind::Name(name) => Some(name),
        ExpressionKind::Member { field, .. } => Some(&field.node),
        _ => None,
    }
}

/// Parts of the key whose last parts are the same are called by the whole path.
fn tell_apart(Key { names, texts, .. }: &mut Key, parts: &[&Ast], findings: &mut Findings) {
    let short = names.to_vec();
    for (place, name) in names.iter_mut().enumerate() {
        let shared = |other: usize| other != place && short[other].is_some() && short[other] == short[place];
        if (0..short.len()).any(shared) {
            *name = Some(texts[place].clone());
        }
    }
    for (place, name) in names.iter().enumerate().filter(|(_, name)| name.is_some()) {
        if let Some(first) = names[..place].iter().position(|first| first == name) {
            findings.add(twice(name.as_deref().unwrap_or_default(), parts[place].span, parts[first].span).help(ONE_OF_THEM));
        }
    }
}
