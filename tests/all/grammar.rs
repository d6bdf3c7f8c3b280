//! `grammar/motif.ebnf` is the parser's grammar: the same productions word for word, and what they derive is what the parser takes.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many random texts to try.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use motif::language::{Code, Source, SourceId, parse};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::printer::pattern_files;
use crate::random_cases::RandomCases;

mod derive;
mod notation;
mod recognise;

use notation::{Grammar, Rule, reached};

const CASES: u64 = 400;

/// Tokens up to which the largest derived text grows freely.
const TOKENS_MAX: usize = 100;

/// Of an item that is one of several.
const ITEM_TOKENS_MAX: usize = 40;

/// What the parser refuses beyond the productions, as the head of the grammar says.
const BEYOND: [Code; 5] = [Code::BadDuration, Code::BadQuantifier, Code::BadNumber, Code::BadEscape, Code::TooDeep];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn grammar() -> Grammar {
    notation::read(&notation::productions(&file("grammar/motif.ebnf")))
}

/// The blocks of grammar in the documentation of the parser's functions.
fn documented() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language/parse");
    let files = std::fs::read_dir(&folder).expect("the parser's folder can be listed");
    let mut blocks = String::new();
    for path in files.map(|entry| entry.expect("a readable entry").path()) {
        let text = std::fs::read_to_string(&path).expect("a readable source file");
        let mut inside = false;
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("///")) {
            if line.trim().starts_with("```") {
                inside = line.trim() == "```ebnf";
            } else if inside {
                blocks.push_str(line);
                blocks.push('\n');
            }
        }
    }
    notation::productions(&blocks)
}

#[test]
fn the_grammar_is_what_the_parser_is_documented_with() {
    let (written, documented) = (notation::productions(&file("grammar/motif.ebnf")), documented());
    let names: BTreeSet<&String> = written.keys().chain(documented.keys()).collect();
    let differ: Vec<String> = names
        .into_iter()
        .filter(|name| written.get(*name) != documented.get(*name))
        .map(|name| format!("{name}\n  motif.ebnf: {:?}\n  the parser: {:?}\n", written.get(name), documented.get(name)))
        .collect();
    assert!(differ.is_empty(), "{}", differ.concat());
}

#[test]
fn every_name_is_produced_and_every_production_is_used() {
    let grammar = grammar();
    for (name, rule) in &grammar {
        rule.walk(&mut |part| {
            if let Rule::Named(used) = part {
                assert!(grammar.contains_key(used), "{name} uses {used}, which nothing produces");
            }
        });
    }
    // Between tokens stands `gap`, which no production says.
    let reached = reached(&grammar, &["file", "gap"]);
    let unused: Vec<&String> = grammar.keys().filter(|name| !reached.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
}

#[test]
fn the_reserved_words_are_those_of_the_lexer() {
    let Rule::OneOf(words) = grammar().remove("reserved").expect("the production `reserved`") else { panic!("one of several words") };
    let tokens = file("src/language/parse/token.rs");
    let (_, array) = tokens.split_once("const RESERVED: [&str; ").expect("the list of reserved words");
    let array = array.split_once("];").expect("the end of the list").0;
    let listed: Vec<Rule> = array.split('"').skip(1).step_by(2).map(|word| Rule::Terminal(word.to_owned())).collect();
    assert_eq!(words, listed);
}

/// The tokens of a text that can be read.
pub fn tokens(text: &str) -> Vec<String> {
    let tokens = recognise::tokens(&grammar(), text).unwrap_or_else(|| panic!("no tokens:\n{text}"));
    tokens.into_iter().map(str::to_owned).collect()
}

/// The tokens of a random text that can be read.
pub fn random_tokens(random: &mut ChaCha8Rng) -> Vec<String> {
    let size = random.random_range(1..TOKENS_MAX);
    derive::tokens(&grammar(), random, size)
}

/// The tokens of random items.
pub fn random_items(random: &mut ChaCha8Rng) -> Vec<Vec<String>> {
    let grammar = grammar();
    (0..random.random_range(2..6)).map(|_| derive::item(&grammar, random, ITEM_TOKENS_MAX)).collect()
}

/// Whether a text and a token must not touch.
pub fn need_gap(text: &str, token: &str) -> bool {
    let joins = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.ends_with(joins) && token.starts_with(joins) || text.ends_with(['<', '>', '=', '!', '-'])
}

fn source(text: &str) -> Source {
    Source { path: String::new(), text: text.to_owned() }
}

/// Holds the parser against the grammar. Whether the grammar derives the text.
fn derives(grammar: &Grammar, text: &str) -> bool {
    let derives = recognise::derives(grammar, text);
    let diagnostics = parse(&source(text), SourceId(0)).diagnostics;
    let beyond = !diagnostics.is_empty() && diagnostics.iter().all(|diagnostic| BEYOND.contains(&diagnostic.code));
    let parses = diagnostics.is_empty();
    assert!(beyond || parses == derives, "the parser takes it: {parses}, the grammar derives it: {derives}:\n{text}\n{diagnostics:#?}");
    derives
}

#[test]
fn the_parser_takes_what_the_grammar_derives_and_nothing_else() {
    let cases = RandomCases::asked_for(CASES);
    let grammar = grammar();
    let mut random = cases.random();
    let mut taken = 0;
    for _ in 0..cases.count {
        let size = random.random_range(1..TOKENS_MAX);
        let mut tokens = derive::tokens(&grammar, &mut random, size);
        let mut text = spaced(&tokens, &mut random);
        assert!(derives(&grammar, &text), "derived, and not recognised:\n{text}");
        change_character(&mut text, &mut random);
        taken += u64::from(derives(&grammar, &text));
        let vocabulary = tokens.clone();
        for _ in 0..random.random_range(1..4) {
            change_token(&mut tokens, &vocabulary, &mut random);
        }
        taken += u64::from(derives(&grammar, &spaced(&tokens, &mut random)));
    }
    assert!(
        taken > cases.count / 20 && taken < 2 * cases.count - cases.count / 20,
        "of {} texts changed twice {taken} are derived: too few or too many to tell",
        cases.count
    );
}

#[test]
fn the_grammar_derives_every_pattern_file() {
    let grammar = grammar();
    for text in pattern_files() {
        assert!(derives(&grammar, &text), "{text}");
    }
}

/// Any gaps between, none where none is needed.
fn spaced(tokens: &[String], random: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for token in tokens {
        let gap = [" ", " ", " ", "\n", "\r\n", "\t", " # comment \" `\n", "  \n\n "].choose(random).expect("not empty");
        if need_gap(&text, token) || random.random_bool(0.7) {
            text.push_str(gap);
        }
        text.push_str(token);
    }
    text
}

/// One token left out, doubled, moved, or another one's put in its place.
pub fn change_token(tokens: &mut Vec<String>, vocabulary: &[String], random: &mut ChaCha8Rng) {
    if tokens.is_empty() {
        return;
    }
    let place = random.random_range(0..tokens.len());
    let other = vocabulary.choose(random).expect("not empty").clone();
    match random.random_range(0..5) {
        0 => _ = tokens.remove(place),
        1 => tokens.insert(place, tokens[place].clone()),
        2 => tokens.insert(place, other),
        3 => tokens[place] = other,
        _ => tokens.swap(place, random.random_range(0..place + 1)),
    }
}

/// One character left out, put in, or put in another's place.
pub fn change_character(text: &mut String, random: &mut ChaCha8Rng) {
    const CHARACTERS: [char; 24] = [' ', '\n', '"', '\\', '`', '#', '.', '1', '0', 's', 'e', '_', '{', '}', ',', '-', '<', '=', '!', '/', '&', ';', '?', 'é'];
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let place = *places.choose(random).expect("an item has characters");
    let character = *CHARACTERS.choose(random).expect("not empty");
    match random.random_range(0..3) {
        0 => _ = text.remove(place),
        1 => text.insert(place, character),
        _ => {
            text.remove(place);
            text.insert(place, character);
        }
    }
}
