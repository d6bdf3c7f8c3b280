//! From the trees of a program's texts to its typed patterns and tests, or to everything that is wrong with them.
//!
//! ```text
//! files ──declarations──▶ streams, lists, events by name ──pattern──▶ typed patterns ──test_blocks──▶ tests
//!            │                                               │
//!            streams · lists · defines                       sources   `from … by`
//!                                                            shape     `match`: steps in a table, conditions put down for later
//!                                                            conditions, once all steps are known
//!                                                            clauses, emit, size, warnings
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `declarations`, `streams`, `lists`, `defines` | what the texts declare |
//! | `pattern` | one pattern, in this order: `sources`, `shape` (with `quantifiers`), `size`, `conditions` (with `first_event`), `clashes`, `emit`, `clauses`, `warnings` |
//! | `steps`, `endings` | a pattern's steps by name, and how they stand to one another; what a match may end in |
//! | `scope`, `names`, `step_fields` | what names mean where an expression stands |
//! | `expression`, `comparison`, `arithmetic`, `calls`, `aggregates`, `windows`, `written_arguments` | expressions: types and lowering |
//! | `contradictions` | what cannot hold together |
//! | `kinds`, `literals` | types while they are checked; what is written out |
//! | `test_blocks`, `test_values`, `tables` | `test`; the cases of a `table` as tests |
//! | `findings` | what is wrong, gathered |
//!
//! Invariants: no text makes the checker panic; everything that is wrong is found in one go, and nothing is said that only follows from something else:
//! what has something wrong in it is unknown ([`kinds::Kind::Unknown`], `None`), and of that nothing is said. With an error there is no program.

mod aggregates;
mod arithmetic;
mod calls;
mod clashes;
mod clauses;
mod comparison;
mod conditions;
mod contradictions;
mod declarations;
mod defines;
mod emit;
mod endings;
mod expression;
mod findings;
mod first_event;
mod kinds;
mod lists;
mod literals;
mod names;
mod pattern;
mod quantifiers;
mod scope;
mod shape;
mod size;
mod sources;
mod step_fields;
mod steps;
mod streams;
mod tables;
mod test_blocks;
mod test_values;
mod warnings;
mod windows;
mod written_arguments;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::language::Compiled;
use crate::language::ast::{File, Item, Test};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::parse::{self, parse};
use crate::language::span::{ReadSource, Source, SourceId, Span};
use crate::pattern::{Program, Versions};

use declarations::{Declarations, twice};
use findings::Findings;
use pattern::Checked;

/// Parses and checks all texts of a program together.
pub fn compile(sources: &[Source]) -> Compiled {
    compile_beside(sources, &[])
}

/// The same with what files hold. Of one that is no text the names count, so that the others can be looked at; what its bytes make of the grammar is not said.
pub fn compile_read(read: Vec<ReadSource>) -> (Vec<Source>, Compiled) {
    let (sources, not_utf8): (Vec<Source>, Vec<Option<u32>>) = read.into_iter().map(|read| (read.source, read.not_utf8)).unzip();
    let compiled = compile_beside(&sources, &not_utf8);
    (sources, compiled)
}

fn compile_beside(sources: &[Source], not_utf8: &[Option<u32>]) -> Compiled {
    let mut findings = Findings::default();
    let (files, names_lost) = parsed(sources, not_utf8, &mut findings);
    let declarations = Declarations::of(sources, &files, names_lost, &mut findings);
    let schema = declarations.schema();
    let mut patterns: BTreeMap<&str, (Span, Option<Checked>)> = BTreeMap::new();
    for pattern in items(&files).filter_map(|item| if let Item::Pattern(pattern) = item { Some(pattern) } else { None }) {
        let checked = pattern::checked(pattern, &declarations, &mut findings);
        if let Some((first, _)) = patterns.get(pattern.name.node.as_str()) {
            findings.add(twice(&pattern.name.node, pattern.name.span, *first));
        } else {
            patterns.insert(&pattern.name.node, (pattern.name.span, checked));
        }
    }
    let patterns: Vec<(&str, Option<Checked>)> = patterns.into_iter().map(|(name, (_, checked))| (name, checked)).collect();
    let mut tests = Vec::new();
    for item in items(&files) {
        let resolve = |test: &Test, findings: &mut Findings| test_blocks::resolve(test, &patterns, &declarations, &schema, findings);
        match item {
            Item::Test(test) => tests.extend(resolve(test, &mut findings)),
            Item::Table(table) => {
                let cases = tables::cases(table, &mut findings);
                tests.extend(cases.iter().filter_map(|case| resolve(case, &mut findings)));
            }
            _ => {}
        }
    }

    let declared: BTreeSet<&str> = declarations.event_names().collect();
    let sound = findings.error_count() == 0;
    let diagnostics = findings.into_diagnostics(&declared);
    if !sound {
        return Compiled { diagnostics, ..Compiled::default() };
    }
    let mut versions = Versions::new(&schema);
    let patterns = patterns.into_iter().filter_map(|(_, checked)| checked).map(|Checked { mut pattern, .. }| {
        pattern.version = versions.of(&pattern);
        Arc::new(pattern)
    });
    let patterns = patterns.collect();
    let program = Program { schema: Arc::new(schema), patterns };
    Compiled { program, tests, diagnostics }
}

/// The trees, and whether something could not be read so far that its name is not known.
fn parsed(sources: &[Source], not_utf8: &[Option<u32>], findings: &mut Findings) -> (Vec<File>, bool) {
    let (mut files, mut names_lost) = (Vec::new(), false);
    for (number, source) in sources.iter().enumerate() {
        let Ok(id) = u16::try_from(number) else {
            let message = format!("more than {} texts in one program", usize::from(u16::MAX) + 1);
            findings
                .add(Diagnostic::new(Code::TooMany, Span::default(), message, "the texts behind these are not read").help("put several of them into one file"));
            return (files, true);
        };
        let parsed = parse(source, SourceId(id));
        names_lost |= parsed.diagnostics.iter().any(|diagnostic| is_nameless(diagnostic, &parsed.file, source));
        match not_utf8.get(number).copied().flatten() {
            None => parsed.diagnostics.into_iter().for_each(|diagnostic| findings.add(diagnostic)),
            Some(start) => {
                names_lost |= source.text.lines().any(has_spoilt_name);
                findings.add(parse::not_utf8(start, SourceId(id)));
            }
        }
        files.push(parsed.file);
    }
    (files, names_lost)
}

/// Perhaps: what is no text may stand in a name in back quotes, which others then do not find.
fn has_spoilt_name(line: &str) -> bool {
    line.contains('`') && line.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether an error is in an item whose name was not read. Tests have none that matters.
fn is_nameless(error: &Diagnostic, file: &File, source: &Source) -> bool {
    let at = error.primary.span.start;
    // An item that was read in spite of a misspelt word has its name.
    if file.items.iter().map(span).any(|whole| (whole.start..whole.end).contains(&at)) {
        return false;
    }
    let named = file.unread.iter().map(|name| (name.span.start, true));
    let whole = file.items.iter().map(|item| (span(item).end, false));
    let before = named.chain(whole).filter(|(place, _)| *place <= at).max();
    if let Some((_, true)) = before {
        return false;
    }
    let from = before.map_or(0, |(place, _)| place as usize);
    let between = source.text.get(from..at as usize).unwrap_or_default();
    let first_word = between.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    !first_word.starts_with("test ") && !first_word.starts_with("table ")
}

fn span(item: &Item) -> Span {
    match item {
        Item::Stream(stream) => stream.span,
        Item::List(list) => list.span,
        Item::Define(define) => define.span,
        Item::Pattern(pattern) => pattern.span,
        Item::Test(test) => test.span,
        Item::Table(table) => table.span,
    }
}

fn items(files: &[File]) -> impl Iterator<Item = &Item> {
    files.iter().flat_map(|file| &file.items)
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::compile;
    use crate::language::Source;
    use crate::pattern::normal_form;

    /// State is found by the version, which is put together from parts that patterns share.
    #[test]
    fn a_version_is_the_hash_of_the_normal_form() {
        let stream = |name: &str, fields: usize| {
            let fields: String = (0..fields).map(|number| format!("f{number}: string? ")).collect();
            format!("stream {name} {{ at: timestamp card: string time at, late after 5s {fields}}}\n")
        };
        let pattern = |name: &str, from: &str, first: &str| format!("pattern {name} {{ from {from} by card match a: {first} then b: {first} within 1h }}\n");
        let text = stream("narrow", 0)
            + &stream("wide", 1_000)
            + &stream("zone", 3)
            + "define seen = wide where f1 == \"x\"\n"
            + &[("p", "wide", "wide"), ("q", "wide", "wide"), ("r", "zone, wide", "zone"), ("s", "wide, zone", "wide"), ("t", "narrow", "narrow")]
                .map(|(name, from, first)| pattern(name, from, first))
                .concat()
            + &pattern("u", "seen, wide, narrow", "narrow");
        let compiled = compile(&[Source { path: "it.motif".to_owned(), text }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        assert_eq!(compiled.program.patterns.len(), 6);
        for pattern in &compiled.program.patterns {
            assert_eq!(pattern.version, xxh3_128(normal_form(pattern, &compiled.program.schema).as_bytes()), "{}", pattern.name);
        }
    }
}
