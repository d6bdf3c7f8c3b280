//! One pattern, from tree to typed: sources and key, then the shape with all steps, then conditions, then the other clauses.

use crate::event::{StreamId, Type};
use crate::language::ast;
use crate::language::check::clashes;
use crate::language::check::clauses::{self, Clauses};
use crate::language::check::conditions::{self, Conditions};
use crate::language::check::declarations::Declarations;
use crate::language::check::emit;
use crate::language::check::endings;
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::scope::{Around, AtHand, Scope};
use crate::language::check::shape::{self, Shaper, Waiting};
use crate::language::check::size;
use crate::language::check::sources::{self, Key, Sources};
use crate::language::check::steps::{StepRole, StepTable};
use crate::language::check::warnings;
use crate::language::check::windows::WindowTable;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::pattern::{EmitField, OnTimeout, Pattern, Sequence, Step, Without};

/// Bytes from `pattern` to the closing brace.
const TEXT_BYTES_MAX: u32 = 64 << 10;

/// Steps and absences of one pattern, in groups too.
const STEPS_MAX: usize = 64;

/// A pattern that is sound, and what tests of it need to know.
pub(super) struct Checked {
    pub pattern: Pattern,
    pub key_types: Vec<Type>,
}

/// `None` if something is wrong with it, which is then said.
pub(super) fn checked<'a>(pattern: &'a ast::Pattern, declarations: &Declarations<'a>, findings: &mut Findings) -> Option<Checked> {
    let errors = findings.error_count();
    if let Some(diagnostic) = too_large(pattern) {
        findings.add(diagnostic);
        return None;
    }
    let clauses = Clauses::of(pattern, findings);
    let mut sources = Sources::of(pattern, declarations, findings);
    let key = sources::key(&pattern.by, &sources, declarations, findings);
    sources.tell_apart(&key);
    let last_absences = endings::last_absences(&pattern.body);
    let Steps { table, steps, waiting, mut body, without_streams } = steps(pattern, &clauses, &sources, declarations, findings);
    if findings.error_count() == errors {
        size::check(&body, pattern.name.span, findings);
    }

    let windows = WindowTable::new(&sources);
    let mut conditions = Conditions::new(declarations, &table, &windows);
    let ids: Vec<_> = waiting.iter().map(|waiting| conditions.of_step(waiting, findings)).collect();
    conditions::put(&ids, &mut body);
    let without = clauses.withouts.iter().zip(without_streams).map(|(without, stream)| {
        let ends = clauses::ends(without, &body, &table, findings);
        let condition = conditions.of_without(without.events, stream, ends.to_place, findings);
        Without { condition, from: ends.from, to: ends.to }
    });
    let without = without.collect();
    let Conditions { list: conditions, lists, .. } = conditions;
    clashes::check(pattern, &table, &sources, &lists, declarations, findings);

    let typed_sources = sources.typed(&key);
    let mut parts = emit::key_parts(&key, &typed_sources, &steps);
    if findings.error_count() > errors {
        // Why it is not the same of all steps has been said.
        parts.iter_mut().filter(|part| part.as_chosen.is_none()).for_each(|part| part.kind = Kind::Unknown);
    }
    let scope = Scope { declarations, at_hand: AtHand::None, around: Around::Emit { steps: &table, key: &parts }, windows: Some(&windows) };
    let suppress = clauses.suppress.map(|(span, by)| emit::suppress(span, by, &emit::StepKeys::of(&key, &typed_sources, &steps), &scope, findings));
    let emitted = emitted(&clauses, &scope, findings);
    emit::check_windows(clauses.emit.unwrap_or_default(), emitted.on_match.as_deref(), &last_absences, findings);
    if emitted.whole_events {
        clashes::check_key(pattern, &parts, &table, findings);
    }
    let skip = clauses::skip(clauses.skip, &table, findings);
    let meta = clauses::meta(clauses.meta, findings);
    // What is not known was said elsewhere.
    if findings.error_count() > errors || sources.any_unknown || table.entries.iter().any(|entry| entry.stream.is_none()) {
        return None;
    }
    let lowered = Pattern {
        name: pattern.name.node.clone(),
        // `compile` fills it in, once the whole program is sound.
        version: 0,
        sources: typed_sources,
        key_names: Vec::new(),
        steps,
        conditions,
        windows: windows.into_windows(),
        body,
        without,
        within: clauses.within,
        skip,
        emit: emitted.on_match,
        on_timeout: emitted.on_timeout,
        suppress,
        runs_max: clauses.runs_max,
        meta,
    };
    warnings::check(pattern, &lowered, &table, &last_absences, clauses.on_timeout.map(|(_, span)| span), findings);
    Some(finished(lowered, &key))
}

/// What is larger than a pattern may be is not looked at.
fn too_large(pattern: &ast::Pattern) -> Option<Diagnostic> {
    let bytes = pattern.span.end - pattern.span.start;
    if bytes > TEXT_BYTES_MAX {
        let message = format!("the text of the pattern is longer than {} KB", TEXT_BYTES_MAX >> 10);
        let diagnostic = Diagnostic::new(Code::PatternTooLong, pattern.name.span, message, format!("takes {bytes} bytes"));
        return Some(diagnostic.help("put long lists of values into a `list`, and conditions into a `define`"));
    }
    let steps = shape::count(&pattern.body);
    if steps > STEPS_MAX {
        let message = format!("the pattern has more than {STEPS_MAX} steps");
        let diagnostic = Diagnostic::new(Code::TooManySteps, pattern.name.span, message, format!("has {steps}, with those that must not come"));
        return Some(diagnostic.help("write what repeats once, as in `x{5}: S` or `( a: S then b: S ){5}`, or split the pattern"));
    }
    None
}

/// What `match` and the `without`s name, before their conditions are lowered.
struct Steps<'a> {
    table: StepTable<'a>,
    steps: Vec<Step>,
    waiting: Vec<Waiting<'a>>,
    body: Sequence,
    /// By `without`.
    without_streams: Vec<Option<StreamId>>,
}

fn steps<'a>(pattern: &'a ast::Pattern, clauses: &Clauses<'a>, sources: &Sources<'a>, declarations: &Declarations<'a>, findings: &mut Findings) -> Steps<'a> {
    let mut shaper = Shaper::new(declarations, sources, clauses.within.is_some(), findings);
    let body = shaper.whole(&pattern.body);
    let mut without_streams = Vec::new();
    for without in &clauses.withouts {
        let stream = shaper.stream_of(without.events);
        shaper.name(without.name, StepRole::Without, stream);
        without_streams.push(stream);
    }
    let Shaper { table, steps, waiting, .. } = shaper;
    Steps { table, steps, waiting, body, without_streams }
}

struct Emitted {
    on_match: Option<Vec<EmitField>>,
    on_timeout: OnTimeout,
    /// The key and every step stand beside one another.
    whole_events: bool,
}

fn emitted<'a>(clauses: &Clauses<'a>, scope: &Scope<'_, 'a>, findings: &mut Findings) -> Emitted {
    let on_match = clauses.emit.map(|fields| emit::fields(fields, scope, findings));
    let on_timeout = match clauses.on_timeout {
        None => OnTimeout::Silent,
        Some(([], _)) => OnTimeout::EmitAsMatch,
        Some((fields, _)) => OnTimeout::Emit(emit::fields(fields, scope, findings)),
    };
    Emitted { whole_events: on_match.is_none(), on_match, on_timeout }
}

/// With the names of its key.
fn finished(mut pattern: Pattern, key: &Key) -> Checked {
    pattern.key_names = key.names.iter().zip(&key.texts).map(|(name, text)| name.clone().unwrap_or_else(|| text.clone())).collect();
    Checked { pattern, key_types: key.kinds.iter().map(Kind::settled).collect() }
}
