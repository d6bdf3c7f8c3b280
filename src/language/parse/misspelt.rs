//! Words of the language that are misspelt, and what was meant.
//!
//! Where the parser looks for words, it notes them as expected. Where it then finds something else, the word there may be one of these misspelt; or the word
//! before it, if that was taken for a name. That is said, and [`super::parse`] reads the item once more with the word that was meant, so that what
//! follows is found wrong for itself only.

use crate::language::diagnostic::Diagnostic;
use crate::language::nearest;
use crate::language::parse::token::{Token, TokenKind, is_reserved};

/// A misspelt word: its place among the tokens, what was meant, and what is said of it.
pub(super) struct Misspelt {
    pub(super) place: usize,
    pub(super) meant: &'static str,
    pub(super) diagnostic: Diagnostic,
}

/// The words that could have stood at the place looked at last, and at the one before it.
#[derive(Default)]
pub(super) struct Expected {
    place: usize,
    here: Vec<&'static str>,
    before: Vec<&'static str>,
}

impl Expected {
    pub(super) fn add(&mut self, place: usize, words: &[&'static str]) {
        if place != self.place {
            std::mem::swap(&mut self.here, &mut self.before);
            if place != self.place + 1 {
                self.before.clear();
            }
            self.here.clear();
            self.place = place;
        }
        self.here.extend_from_slice(words);
    }

    /// Those at `place`, which is that of a token the parser stands at or took last.
    pub(super) fn at(&self, place: usize) -> &[&'static str] {
        if place == self.place {
            &self.here
        } else if place + 1 == self.place {
            &self.before
        } else {
            &[]
        }
    }
}

/// What `token`, at which something else was expected, was meant to be. `next`: the token after it.
pub(super) fn meant(token: &Token<'_>, expected: &[&'static str], next: &Token<'_>) -> Option<&'static str> {
    near(token, expected.iter().copied().filter(|word| may_precede(word, &next.kind)))
}

/// The same of a token that was taken for a name, and is followed by something that names are not followed by there.
pub(super) fn meant_by_name(token: &Token<'_>, expected: &[&'static str], next: &Token<'_>, after: &Token<'_>) -> Option<&'static str> {
    near(token, expected.iter().copied().filter(|word| may_be_followed_by(word, &next.kind, &after.kind)))
}

/// The nearest of `words`, if the token is none of the language itself.
pub(super) fn near(token: &Token<'_>, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let TokenKind::Word(word) = token.kind else { return None };
    if is_reserved(word) {
        return None;
    }
    let meant = nearest(word, words)?;
    // Half of the word changed is no misspelling: `id` is not `is`.
    (word.len() > 2 || meant.len() != word.len() || same_letters(word, meant)).then_some(meant)
}

fn same_letters(one: &str, other: &str) -> bool {
    let sorted = |word: &str| {
        let mut letters = word.to_ascii_lowercase().into_bytes();
        letters.sort_unstable();
        letters
    };
    sorted(one) == sorted(other)
}

/// Whether the word may stand before `next`: what is compared, calculated with or given a type is a name. Together with the distance this keeps names that are
/// merely alike from being taken for words: only a guess that goes on as it should is worth saying.
fn may_precede(word: &str, next: &TokenKind<'_>) -> bool {
    const AFTER_NAMES: [&str; 14] = [".", "=", "==", "!=", "<", "<=", ">", ">=", "+", "*", "/", "%", "?", "|"];
    match (word, next) {
        ("greedy" | "consecutive" | "combinations", TokenKind::Sign(":")) => true,
        (_, TokenKind::Sign(sign)) if *sign == ":" || AFTER_NAMES.contains(sign) => false,
        ("and" | "or", TokenKind::Duration(_) | TokenKind::Word("tumbling" | "session")) => false,
        ("on", TokenKind::Word(next)) => *next == "timeout" || !is_reserved(next),
        ("not", TokenKind::Word(next)) => ["in", "null"].contains(next),
        ("not", _) => false,
        ("list", TokenKind::Word(next)) => *next == "of" || !is_reserved(next),
        _ => true,
    }
}

/// Whether the word, where it stands in the place of a name, is followed by these two.
fn may_be_followed_by(word: &str, next: &TokenKind<'_>, after: &TokenKind<'_>) -> bool {
    const TYPES: [&str; 8] = ["bool", "int", "float", "decimal", "string", "timestamp", "duration", "list"];
    let is_name = |kind: &TokenKind<'_>| match kind {
        TokenKind::Word(word) => !is_reserved(word),
        TokenKind::Quoted(_) => true,
        _ => false,
    };
    match word {
        "within" | "suppress" => matches!(next, TokenKind::Duration(_) | TokenKind::Number(_)),
        "without" => is_name(next) && *after == TokenKind::Sign(":"),
        "skip" => matches!(next, TokenKind::Word("none" | "to" | "past")),
        "on" => *next == TokenKind::Word("timeout"),
        "limit" => *next == TokenKind::Word("runs"),
        "meta" => *next == TokenKind::Sign("{"),
        "all" => *next == TokenKind::Sign("("),
        "next" | "any" => match next {
            TokenKind::Sign("(") | TokenKind::Word("not" | "within" | "all") => true,
            // The name of a step: a name with no colon or quantifier behind it is a stream, and the colon before it is missing.
            _ if is_name(next) => matches!(after, TokenKind::Sign(":" | "?" | "+" | "*" | "{") | TokenKind::Word("greedy" | "consecutive" | "combinations")),
            _ => false,
        },
        "not" => is_name(next) || matches!(next, TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Word("true" | "false" | "null")),
        // Before a type, the colon of a field is missing.
        "time" => is_name(next) && !matches!(next, TokenKind::Word(word) if TYPES.contains(word)),
        "late" => *next == TokenKind::Word("after"),
        "watermark" => is_name(next),
        "case" => matches!(next, TokenKind::Text(_)),
        _ => false,
    }
}

/// What to write instead of the word at which something else was expected.
pub(super) fn help(word: &str, meant: &str) -> String {
    if word.eq_ignore_ascii_case(meant) { small_letters(meant) } else { format!("did you mean `{meant}`?") }
}

/// The same for a word before that place.
pub(super) fn help_before(word: &str, meant: &str) -> String {
    if word.eq_ignore_ascii_case(meant) { small_letters(meant) } else { format!("did you mean `{meant}` instead of `{word}`?") }
}

pub(super) fn small_letters(meant: &str) -> String {
    format!("words of the language are written in small letters: `{meant}`")
}
