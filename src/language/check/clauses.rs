//! The clauses of a pattern after `match`: each once, and what the short ones say.

use crate::event::{TimeSpan, Value};
use crate::language::ast::{self, ClauseKind, EmitField, EventSet, MetaField, Name};
use crate::language::check::declarations::{ONE_OF_THEM, twice};
use crate::language::check::findings::Findings;
use crate::language::check::literals::{Items, written};
use crate::language::check::size::events_max;
use crate::language::check::steps::{Standing, StepRole, StepTable};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::language::spelling::{code, listed, spelled};
use crate::pattern::{Sequence, Skip, StepId};

/// As many `without`s as a pattern may have: a partial match keeps two bits for each.
const WITHOUTS_MAX: usize = 64;

/// The clauses by what they are; of those that stand twice, the first.
#[derive(Default)]
pub(super) struct Clauses<'a> {
    pub withouts: Vec<WithoutClause<'a>>,
    pub within: Option<TimeSpan>,
    pub skip: Option<&'a ast::Skip>,
    pub emit: Option<&'a [EmitField]>,
    pub on_timeout: Option<(&'a [EmitField], Span)>,
    pub suppress: Option<(TimeSpan, &'a [ast::Expression])>,
    pub runs_max: Option<u64>,
    pub meta: &'a [MetaField],
}

pub(super) struct WithoutClause<'a> {
    pub name: &'a Name,
    pub events: &'a EventSet,
    pub between: Option<&'a (Name, Name)>,
}

impl<'a> Clauses<'a> {
    pub(super) fn of(pattern: &'a ast::Pattern, findings: &mut Findings) -> Self {
        let mut clauses = Self::default();
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for clause in &pattern.clauses {
            let word = word(&clause.kind);
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == word && word != "without") {
                let diagnostic = Diagnostic::new(Code::RepeatedClause, clause.span, format!("`{word}` stands twice"), "here again");
                findings.add(diagnostic.also(*first, "first here").help("only `without` may be repeated"));
                continue;
            }
            seen.push((word, clause.span));
            clauses.take(clause, findings);
        }
        clauses
    }

    fn take(&mut self, clause: &'a ast::Clause, findings: &mut Findings) {
        match &clause.kind {
            ClauseKind::Without { name, events, between } => {
                if self.withouts.len() == WITHOUTS_MAX {
                    let message = format!("more than {WITHOUTS_MAX} `without`s in one pattern");
                    findings.add(Diagnostic::new(Code::TooMany, clause.span, message, "one too many").help("join conditions with `or`"));
                    return;
                }
                self.withouts.push(WithoutClause { name, events, between: between.as_ref() });
            }
            ClauseKind::Within(span) => self.within = Some(span.node),
            ClauseKind::Skip(skip) => self.skip = Some(skip),
            ClauseKind::Emit(fields) => self.emit = Some(fields),
            ClauseKind::OnTimeout(fields) => self.on_timeout = Some((fields, clause.span)),
            ClauseKind::Suppress { span, by } => self.suppress = Some((span.node, by)),
            ClauseKind::LimitRuns(limit) if limit.node == 0 => {
                let diagnostic = Diagnostic::new(Code::BadLimit, limit.span, "with no partial match there is no match", "at least 1");
                findings.add(diagnostic.help("leave the clause out for the configured limit"));
            }
            ClauseKind::LimitRuns(limit) => self.runs_max = Some(limit.node),
            ClauseKind::Meta(fields) => self.meta = fields,
        }
    }
}

fn word(clause: &ClauseKind) -> &'static str {
    match clause {
        ClauseKind::Without { .. } => "without",
        ClauseKind::Within(_) => "within",
        ClauseKind::Skip(_) => "skip",
        ClauseKind::Emit(_) => "emit",
        ClauseKind::OnTimeout(_) => "on timeout",
        ClauseKind::Suppress { .. } => "suppress",
        ClauseKind::LimitRuns(_) => "limit runs",
        ClauseKind::Meta(_) => "meta",
    }
}

pub(super) fn skip(skip: Option<&ast::Skip>, table: &StepTable<'_>, findings: &mut Findings) -> Skip {
    let step = |name: &Name, findings: &mut Findings, make: fn(StepId) -> Skip| choosing(name, table, findings).map_or(Skip::None, |(_, id)| make(id));
    match skip {
        None | Some(ast::Skip::PastLast) => Skip::PastLast,
        Some(ast::Skip::None) => Skip::None,
        Some(ast::Skip::ToNext) => Skip::ToNext,
        Some(ast::Skip::ToFirst(name)) => step(name, findings, Skip::ToFirst),
        Some(ast::Skip::ToLast(name)) => step(name, findings, Skip::ToLast),
    }
}

/// A step that a clause names: its place in the table and its id. It must choose events.
fn choosing(name: &Name, table: &StepTable<'_>, findings: &mut Findings) -> Option<(usize, StepId)> {
    let Some(place) = table.find(&name.node) else {
        let names: Vec<&str> = table.choosing().collect();
        let diagnostic = Diagnostic::new(Code::UnknownName, name.span, format!("unknown step `{}`", name.node), "not a step of this pattern");
        let diagnostic = diagnostic.help_nearest(findings, &name.node, names.iter().copied(), || format!("its steps are {}", listed(names.iter().copied())));
        findings.add(diagnostic);
        return None;
    };
    let entry = &table.entries[place];
    if let StepRole::Chooses(id) = entry.role {
        return Some((place, id));
    }
    let message = format!("`{}` must not come, so it has no events", name.node);
    let diagnostic = Diagnostic::new(Code::AbsentStep, name.span, message, "never chosen").also(entry.name.span, "the `not` or `without`");
    findings.add(diagnostic.help("name a step that chooses events"));
    None
}

/// The ends of a `without`, as places in the table and as ids.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    pub to_place: Option<usize>,
    pub from: Option<StepId>,
    pub to: Option<StepId>,
}

/// `between a and b`: something can lie between them.
pub(super) fn ends(without: &WithoutClause<'_>, body: &Sequence, table: &StepTable<'_>, findings: &mut Findings) -> Ends {
    let Some((first, last)) = without.between else {
        if events_max(body) == Some(1) {
            // Where an absence follows, the one who wrote it may have meant that too: what is written does no harm.
            let code = if body.0.len() == 1 { Code::EmptySpan } else { Code::SaysNothing };
            let diagnostic = Diagnostic::new(code, without.name.span, "a match of one event has nothing between its ends", "never looked at");
            findings.add(diagnostic.help("for quiet after the event write `then not n: S for 5m`"));
        }
        return Ends::default();
    };
    let (from, to) = (choosing(first, table, findings), choosing(last, table, findings));
    let (Some((from_place, from)), Some((to_place, to))) = (from, to) else { return Ends::default() };
    let (one, other) = (&table.entries[from_place], &table.entries[to_place]);
    let span = first.span.to(last.span);
    let diagnostic = match other.standing(&one.path) {
        _ if one.repeats_with(other) => None,
        Standing::Before => {
            let message = format!("`{}` always stands before `{}`", last.node, first.node);
            Some(
                Diagnostic::new(Code::EmptySpan, span, message, "runs backwards")
                    .help(format!("write {}", code(&format!("between {} and {}", spelled(&last.node), spelled(&first.node))))),
            )
        }
        Standing::Own => {
            let message = format!("`{}` is one event: nothing lies between it and itself", first.node);
            Some(Diagnostic::new(Code::EmptySpan, span, message, "no span").help("name two steps, or leave `between` out for the whole match"))
        }
        Standing::OtherBranch => {
            let message = format!("`{}` and `{}` are never both chosen", first.node, last.node);
            let help = "name two steps that one match can have, or leave `between` out for the whole match";
            Some(Diagnostic::new(Code::SaysNothing, span, message, "stand in different branches").help(help))
        }
        Standing::Later | Standing::Beside => None,
    };
    if let Some(diagnostic) = diagnostic {
        findings.add(diagnostic);
    }
    Ends { to_place: Some(to_place), from: Some(from), to: Some(to) }
}

pub(super) fn meta(fields: &[MetaField], findings: &mut Findings) -> Vec<(String, Value)> {
    let mut meta: Vec<(String, Value)> = Vec::new();
    for (place, field) in fields.iter().enumerate() {
        if let Some(first) = fields[..place].iter().find(|first| first.name.node == field.name.node) {
            findings.add(twice(&field.name.node, field.name.span, first.name.span).help(ONE_OF_THEM));
        }
        meta.push((field.name.node.clone(), written(&field.value, Items::Free, findings).value));
    }
    meta
}
