//! The words and signs of a text, each with its place.

use crate::event::TimeSpan;
use crate::language::span::Span;

/// One word, sign or literal.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    pub(super) span: Span,
    pub(super) state: TokenState,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind<'a> {
    /// A name or a word of the language: which, its place decides.
    Word(&'a str),
    /// A name in back quotes, these taken off.
    Quoted(&'a str),
    /// A text, its escapes resolved.
    Text(String),
    /// As written.
    Number(&'a str),
    Duration(TimeSpan),
    Sign(&'static str),
    /// Characters that begin nothing.
    Bad,
    /// After the last token; always there.
    End,
}

/// Whether the lexer found fault with a token. The parser says nothing more about such a one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenState {
    Sound,
    /// Misspelt, and what was meant is plain: the token is that.
    Repaired,
    /// A misspelt word of the language: the token is the word that was probably meant. Nothing is said of what follows it at once.
    Guessed,
    /// What was meant is not known; the token stands in for it.
    Broken,
    /// Quotes without end: the token reaches to the end of its line, over what may have been meant otherwise.
    Endless,
}

/// The words that are no names inside patterns and conditions. Names of functions are not among them.
///
/// ```ebnf
/// reserved = "after" | "all" | "and" | "any" | "as" | "between" | "by" | "combinations" | "consecutive" | "each" | "emit"
///     | "false" | "for" | "from" | "greedy" | "having" | "in" | "is" | "limit" | "match" | "meta" | "next" | "none"
///     | "not" | "null" | "on" | "or" | "over" | "past" | "runs" | "session" | "skip" | "suppress" | "then" | "timeout"
///     | "to" | "true" | "tumbling" | "until" | "where" | "within" | "without" ;
/// ```
#[rustfmt::skip]
const RESERVED: [&str; 42] = [
    "after", "all", "and", "any", "as", "between", "by", "combinations", "consecutive", "each", "emit", "false", "for", "from",
    "greedy", "having", "in", "is", "limit", "match", "meta", "next", "none", "not", "null", "on", "or", "over", "past", "runs",
    "session", "skip", "suppress", "then", "timeout", "to", "true", "tumbling", "until", "where", "within", "without",
];

/// Whether a word is reserved inside patterns and conditions.
pub(in crate::language) fn is_reserved(word: &str) -> bool {
    reserved(word).is_some()
}

/// The reserved word that is spelt like this.
pub(super) fn reserved(word: &str) -> Option<&'static str> {
    RESERVED.into_iter().find(|reserved| *reserved == word)
}

/// Whether a name may be written without back quotes where no words are reserved.
pub(in crate::language) fn is_plain_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}
