//! The printer's laws, on random trees and on random layouts of them; and what it makes of texts, written out.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many random texts to try.

use std::path::{Path, PathBuf};

use motif::language::ast::File;
use motif::language::{Parsed, Source, SourceId, format, parse, print};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::grammar;
use crate::random_cases::RandomCases;

pub mod table;
pub mod trees;

const CASES: u64 = 400;

/// Parts of the largest random tree.
const PARTS_MAX: usize = 300;

fn source(text: &str) -> Source {
    Source { path: "p.motif".to_owned(), text: text.to_owned() }
}

fn parsed(text: &str) -> Parsed {
    let parsed = parse(&source(text), SourceId(0));
    assert!(parsed.diagnostics.is_empty(), "{:#?}\n{text}", parsed.diagnostics);
    parsed
}

fn formatted(text: &str) -> String {
    format(&source(text)).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}\n{text}"))
}

fn comments(text: &str) -> Vec<String> {
    parsed(text).comments.into_iter().map(|comment| comment.text).collect()
}

/// Holds for every text that can be read: the same tree and comments, the same once more, and clean lines.
pub fn check_format(text: &str) -> String {
    let once = formatted(text);
    assert_eq!(parsed(&once).file, parsed(text).file, "another tree:\n{text}\nformatted:\n{once}");
    assert_eq!(comments(&once), comments(text), "other comments:\n{text}\nformatted:\n{once}");
    let twice = formatted(&once);
    assert_eq!(twice, once, "formatted again:\n{twice}\nonce:\n{once}\noriginally:\n{text}");
    let is_clean = |line: &str| !line.ends_with([' ', '\t', '\r']);
    assert!(once.split('\n').all(is_clean), "blanks at a line's end:\n{once}");
    assert!(once.is_empty() || once.ends_with('\n') && !once.ends_with("\n\n") && !once.starts_with('\n'), "lines too many or too few:\n{once:?}");
    assert!(!once.contains("\n\n\n"), "two blank lines:\n{once}");
    once
}

/// Calls `check` with random sources of randomness, and says which.
pub fn random_cases(check: impl Fn(&mut ChaCha8Rng)) {
    let cases = RandomCases::asked_for(CASES);
    let mut random = cases.random();
    (0..cases.count).for_each(|_| check(&mut random));
}

pub fn random_tree(random: &mut ChaCha8Rng) -> File {
    let parts = random.random_range(1..PARTS_MAX);
    trees::file(random, parts)
}

/// The texts of all pattern files of the project.
pub fn pattern_files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("patterns"), root.join("tests/fixtures")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a readable entry").path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "motif") {
                texts.push(std::fs::read_to_string(&path).expect("a readable file"));
            }
        }
    }
    assert!(!texts.is_empty(), "there are pattern files");
    texts
}

#[test]
fn parsing_what_was_printed_gives_the_same_tree() {
    random_cases(|random| {
        let tree = random_tree(random);
        let text = print(&tree);
        assert_eq!(parsed(&text).file, tree, "\n{text}");
        assert_eq!(check_format(&text), text, "a printed tree is in canonical form");
    });
}

#[test]
fn layout_alone_changes_nothing() {
    random_cases(|random| {
        let text = print(&random_tree(random));
        let tokens = grammar::tokens(&text);
        let gaps = [" ", " ", "\n", "\r\n", "\t", "   \n  "];
        let laid_out = spaced(&tokens, &gaps, random);
        let again = formatted(&laid_out);
        assert_eq!(without_blank_lines(&again), without_blank_lines(&text), "laid out:\n{laid_out}");
    });
}

fn without_blank_lines(text: &str) -> String {
    text.replace("\n\n", "\n")
}

#[test]
fn comments_and_blank_lines_may_stand_anywhere() {
    random_cases(|random| {
        let tokens = grammar::random_tokens(random);
        let gaps = [" ", " ", " ", "\n", "\n\n", "\r\n \r\n\n", " # a\n", "\n# b\n", " # c\n\n\n# d \n", "     # e\n"];
        check_format(&spaced(&tokens, &gaps, random));
    });
}

/// Gaps between tokens; none where none is needed, now and then.
fn spaced(tokens: &[String], gaps: &[&str], random: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for token in tokens {
        if random.random_bool(0.8) || grammar::need_gap(&text, token) {
            text.push_str(gaps.choose(random).expect("not empty"));
        }
        text.push_str(token);
    }
    text.push_str(gaps.choose(random).expect("not empty"));
    text
}

#[derive(Deserialize)]
struct Case {
    text: String,
}

#[test]
fn every_conformance_text_is_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    for name in ["core.jsonl", "beyond.jsonl"] {
        let lines = std::fs::read_to_string(folder.join(name)).expect("the cases can be read");
        for line in lines.lines() {
            let case: Case = serde_json::from_str(line).expect("a case");
            check_format(&case.text);
            let tree = parsed(&case.text).file;
            assert_eq!(parsed(&print(&tree)).file, tree, "\n{}", case.text);
        }
    }
}

#[test]
fn texts_are_formatted_as_expected() {
    table::check("printer.expected", check_format);
    assert_eq!(check_format(" \n\t\r\n"), "");
    assert_eq!(check_format("\u{feff}list a = []\r\n\r\n# b  \r\n"), "list a = []\n\n# b\n");
}
