//! Words of other languages, answered with Motif's own. The signs are in the lexer.
//!
//! A word counts as such only where something else was expected: all of them are good names.

use crate::language::codes::Code;
use crate::language::parse::fault::Fault;
use crate::language::parse::literals::shortened;
use crate::language::parse::misspelt::small_letters;
use crate::language::parse::token::{Token, TokenKind, is_reserved, reserved};
use crate::language::span::Span;

/// In small letters: words of FlinkCEP, EQL, Esper, SASE and MATCH_RECOGNIZE, and what says the same here.
const UNMISTAKABLE: [(&str, &str); 12] = [
    ("seq", "write the steps one after the other: `match a: S then b: S`"),
    ("sequence", "write `from S by KEY`, then `match a: S then b: S`"),
    ("followedby", "write `then`"),
    ("followedbyany", "write `then any`"),
    ("notfollowedby", "write `then not n: S`"),
    ("notnext", "write `then next not n: S`"),
    ("oneormore", "write `+` after the name of the step: `x+: S`"),
    ("timesormore", "write the number in braces after the name of the step: `x{3,}: S`"),
    ("allowcombinations", "write `combinations` before the colon: `x+ combinations: S`"),
    ("maxspan", "write `within D` as a clause; unlike `maxspan` it is exclusive"),
    ("every", "leave it out: a match may begin at any event; `skip` says which overlapping ones survive"),
    ("measures", "write `emit`"),
];

/// What SQL says by `between`.
pub(super) const RANGE: &str = "a range is two comparisons: `amount >= 1 and amount <= 2`";

/// Words that may well be names: only looked at where they themselves cannot stand.
const LIKELY: [(&str, &str); 33] = [
    ("between", RANGE),
    ("contains", "write it as a call: `contains(text, \"part\")`"),
    ("startswith", "write it as a call: `starts_with(text, \"part\")`"),
    ("starts_with", "write it as a call: `starts_with(text, \"part\")`"),
    ("endswith", "write it as a call: `ends_with(text, \"part\")`"),
    ("ends_with", "write it as a call: `ends_with(text, \"part\")`"),
    ("matches", "write it as a call: `matches(text, \"regular expression\")`"),
    ("ilike", "write `matches(text, \"(?i)regular expression\")`, or compare `lower(text)`"),
    ("rlike", "write `matches(text, \"regular expression\")`"),
    ("regexp", "write `matches(text, \"regular expression\")`"),
    ("eq", "write `==`"),
    ("ne", "write `!=`"),
    ("gt", "write `>`"),
    ("lt", "write `<`"),
    ("isnull", "write `is null`"),
    ("notnull", "write `is not null`"),
    ("followed", "write `then`"),
    ("begin", "write `match` before the first step"),
    ("times", "write the number in braces after the name of the step: `x{3}: S`"),
    ("optional", "write `?` after the name of the step: `x?: S`"),
    ("with", "write a clause of its own: `within 5m`"),
    ("return", "write `emit`"),
    ("select", "write `emit`"),
    ("partition", "write `from S by KEY`"),
    ("group", "write `from S by KEY`"),
    ("order", "leave it out: events stand in order of event time"),
    ("when", "write `where`"),
    ("filter", "write `where`"),
    ("having", "write the condition at the step after the ones it speaks of"),
    ("after", "write `within D`, or a condition on times: `at - a.at >= 5m`"),
    ("window", "write `within D` for the match, `over D` in a call for a count over time"),
    ("like", "write `matches(text, \"regular expression\")`, `contains`, `starts_with` or `ends_with`"),
    ("mod", "write `%`"),
];

/// A word from elsewhere.
pub(super) struct Habit {
    pub(super) span: Span,
    pub(super) fault: Fault,
    /// The word of the language that is written in capitals.
    pub(super) meant: Option<&'static str>,
}

/// A word that is certain to come from elsewhere, right before or at the place where something else was expected, and what to write. `expected`: words that could
/// have stood there.
pub(super) fn unmistakable(previous: &Token<'_>, found: &Token<'_>, next: &Token<'_>, expected: &[&str]) -> Option<Habit> {
    let is_expected = |word: &str| expected.iter().any(|expected| word.eq_ignore_ascii_case(expected));
    let habit = |span: Span, spelling: &str, help: &str| Habit { span, fault: foreign(spelling, help), meant: None };
    if let (TokenKind::Word(one), TokenKind::Word(other)) = (&found.kind, &next.kind)
        && one.eq_ignore_ascii_case("and")
        && other.eq_ignore_ascii_case("not")
        && !is_expected(one)
    {
        return Some(habit(found.span.to(next.span), "and not", "between steps write `then not`"));
    }
    if let (TokenKind::Word(before), TokenKind::Word(word)) = (&previous.kind, &found.kind)
        && !is_reserved(before)
        && !is_expected(word)
    {
        let help = match word.to_ascii_lowercase().as_str() {
            "and" => Some("between steps write `then`, or `all ( a: S, b: S )` where any order will do; between names a comma"),
            "or" => Some("branches stand in parentheses with `|` between: `( a: S | b: S )`"),
            _ => None,
        };
        if let Some(help) = help {
            return Some(habit(found.span, word, help));
        }
    }
    if found.kind == TokenKind::Sign("=") {
        return Some(habit(found.span, "=", "write `==` to compare, `:` after a name"));
    }
    // A word in capitals was taken for a name where it could be one: then the next one does not fit, in capitals or not.
    let capitals = [previous, found].into_iter().find_map(|token| {
        let TokenKind::Word(word) = token.kind else { return None };
        let meant = reserved(&word.to_ascii_lowercase()).filter(|meant| *meant != word)?;
        Some(Habit { meant: Some(meant), ..habit(token.span, word, &small_letters(meant)) })
    });
    capitals.or_else(|| {
        [found, previous].into_iter().find_map(|token| {
            let TokenKind::Word(word) = token.kind else { return None };
            let (_, help) = UNMISTAKABLE.iter().find(|(theirs, _)| word.eq_ignore_ascii_case(theirs))?;
            Some(habit(token.span, word, help))
        })
    })
}

/// A word that is likely to come from elsewhere, at the place where something else was expected.
pub(super) fn likely(previous: &Token<'_>, found: &Token<'_>, next: &Token<'_>) -> Option<Habit> {
    let TokenKind::Word(word) = found.kind else { return None };
    if let (TokenKind::Word("case"), "when") = (&previous.kind, word) {
        return Some(Habit { span: found.span, fault: foreign("case when", "write `if(condition, value, other)`"), meant: None });
    }
    // `not like`, `not between`: the operator tells what was meant.
    let negated = if let (true, TokenKind::Word(next)) = (word.eq_ignore_ascii_case("not"), &next.kind) { Some(next) } else { None };
    let (_, help) = LIKELY.iter().find(|(theirs, _)| negated.unwrap_or(&word).eq_ignore_ascii_case(theirs))?;
    let habit = |span, fault| Some(Habit { span, fault, meant: None });
    match negated {
        Some(operator) => habit(found.span.to(next.span), foreign(&format!("not {operator}"), &format!("{help}; with `not` before it"))),
        None => habit(found.span, foreign(word, help)),
    }
}

fn foreign(spelling: &str, help: &str) -> Fault {
    Fault::broken(Code::ForeignSpelling, format!("`{}` is not said like this in Motif", shortened(spelling))).label("written otherwise here").help(help)
}
