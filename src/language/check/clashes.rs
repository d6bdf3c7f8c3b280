//! Names of a pattern that could mean two things.
//!
//! Steps, streams, defines and lists of a pattern share one space of names, and none is like a record field of its streams: `geo.lat` is then always one
//! thing. Only what the pattern uses counts, so that a name given elsewhere in the program breaks nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Type;
use crate::language::ast;
use crate::language::check::declarations::Declarations;
use crate::language::check::emit::{KeyPart, key_like_step};
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::shape::stream_names;
use crate::language::check::sources::Sources;
use crate::language::check::steps::{StepRole, StepTable};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;

/// The names of a pattern's steps, streams and lists; `lists` are those that its conditions use.
pub(super) fn check<'a>(
    pattern: &'a ast::Pattern,
    table: &StepTable<'a>,
    sources: &Sources<'a>,
    lists: &[(&'a str, Span)],
    declarations: &Declarations<'a>,
    findings: &mut Findings,
) {
    let mut used: BTreeSet<&str> = pattern.from.iter().map(|name| name.node.as_str()).collect();
    used.extend(sources.known.iter().flat_map(|(_, events)| events.lineage.iter().copied()));
    used.extend(table.entries.iter().filter_map(|entry| entry.stream).map(|stream| declarations.stream(stream).name.node.as_str()));
    used.extend(stream_names(&pattern.body));
    let records = record_fields(sources, declarations);
    for entry in &table.entries {
        let (name, span) = (entry.name.node.as_str(), entry.name.span);
        let other = if used.contains(name) { Some("a stream") } else { lists.iter().any(|(list, _)| *list == name).then_some("a list") };
        if let Some(other) = other {
            let diagnostic = Diagnostic::new(Code::DuplicateName, span, format!("`{name}` is the name of {other} of this pattern"), "a step of the same name");
            findings.add(diagnostic.help("give the step another name"));
        } else if let Some(stream) = records.get(name) {
            findings.add(like_record(name, span, stream));
        }
    }
    for (name, _) in &sources.known {
        if let Some(stream) = records.get(name.node.as_str()) {
            findings.add(like_record(&name.node, name.span, stream));
        }
    }
}

/// Each with the first stream that has it.
fn record_fields<'a>(sources: &Sources<'a>, declarations: &Declarations<'a>) -> BTreeMap<&'a str, &'a str> {
    let mut records = BTreeMap::new();
    for (_, events) in &sources.known {
        let stream = declarations.stream(events.stream);
        for field in stream.fields.iter().filter(|field| matches!(field.kind, Kind::Of(Type::Record(_)))) {
            records.entry(field.name.node.as_str()).or_insert(stream.name.node.as_str());
        }
    }
    records
}

fn like_record(name: &str, span: Span, stream: &str) -> Diagnostic {
    let label = format!("`{name}.f` could mean either");
    Diagnostic::new(Code::NameClash, span, format!("`{name}` is a record field of `{stream}` too"), label).help("give it another name")
}

/// Without `emit` the key and every step stand side by side.
pub(super) fn check_key(pattern: &ast::Pattern, key: &[KeyPart], table: &StepTable<'_>, findings: &mut Findings) {
    for (part, by) in key.iter().zip(&pattern.by) {
        let Some(name) = &part.name else { continue };
        let step = table.find(name).map(|place| &table.entries[place]);
        if let Some(step) = step.filter(|step| matches!(step.role, StepRole::Chooses(_))) {
            findings.add(key_like_step(name, by.span, step.name.span));
        }
    }
}
