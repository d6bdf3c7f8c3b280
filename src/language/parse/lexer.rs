//! Text to tokens and comments. Whatever the text is, all of it becomes tokens: what begins nothing becomes [`TokenKind::Bad`], and what
//! is misspelt the token that was meant, with a diagnostic.
//!
//! The recognisers are nom functions from `&str`; none fails after it has begun, and each takes at least one character, so that the
//! time is linear. What they found fault with travels beside the token as a [`Fault`].

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{anychar, char, digit1, satisfy};
use nom::combinator::{map, opt, recognize, value, verify};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use crate::language::codes::Code;
use crate::language::parse::fault::{Fault, Findings};
use crate::language::parse::literals;
use crate::language::parse::token::{Token, TokenKind, TokenState};
use crate::language::span::{SourceId, Span};

/// From `#` to the end of the line, as written, blanks at its end left off.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    pub span: Span,
    pub text: String,
    /// Nothing but blanks stands before it on its line.
    pub own_line: bool,
}

/// What the lexer makes of a text.
pub(super) struct Lexed<'a> {
    /// Ends in [`TokenKind::End`].
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) comments: Vec<Comment>,
}

/// A token, or nothing where blanks and unneeded signs are passed over; and what is wrong with it.
pub(super) type Lexeme<'a> = (Option<TokenKind<'a>>, Option<Fault>);

pub(super) fn tokens<'a>(text: &'a str, source: SourceId, findings: &mut Findings) -> Lexed<'a> {
    let mut lexed = Lexed { tokens: Vec::new(), comments: Vec::new() };
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut own_line = true;
    loop {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        own_line |= rest[..blank].contains('\n');
        rest = &rest[blank..];
        let start = text.len() - rest.len();
        let place = |end: &str| Span { source, start: offset(start), end: offset(text.len() - end.len()) };
        if rest.is_empty() {
            lexed.tokens.push(Token { kind: TokenKind::End, span: place(rest), state: TokenState::Sound });
            return lexed;
        }
        if let Ok((after, comment)) = comment(rest) {
            let comment = comment.trim_end();
            let span = Span { end: offset(start + comment.len()), ..place(after) };
            lexed.comments.push(Comment { span, text: comment.to_owned(), own_line });
            rest = after;
            continue;
        }
        let (after, (kind, fault)) = lexeme(rest).expect("a bad character is a lexeme too");
        own_line = false;
        let state = fault.as_ref().map_or(TokenState::Sound, |fault| fault.state);
        if let Some(kind) = kind {
            lexed.tokens.push(Token { kind, span: place(after), state });
        }
        if let Some(fault) = fault {
            findings.add(fault.at(place(after)));
        }
        rest = after;
    }
}

fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("texts are no larger than SOURCE_BYTES_MAX")
}

/// ```ebnf
/// gap = { blank | comment } ;
/// blank = ? a blank, a tab, or a line end ? ;
/// comment = "#" { character } ;
/// character = ? any but a line end ? ;
/// ```
fn comment(input: &str) -> IResult<&str, &str> {
    recognize(pair(char('#'), take_till(|c| c == '\n'))).parse(input)
}

fn lexeme(input: &str) -> IResult<&str, Lexeme<'_>> {
    alt((word, quoted, literals::text, literals::number_or_duration, foreign_sign, sign, typographic_text, bad)).parse(input)
}

/// A name, or a word of the language.
///
/// ```ebnf
/// word = ( letter | "_" ) { letter | digit | "_" } ;
/// letter = ? a to z, A to Z ? ;
/// digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" ;
/// ```
fn word(input: &str) -> IResult<&str, Lexeme<'_>> {
    let begin = satisfy(|c| c.is_alphabetic() || c == '_');
    let go_on = take_while(|c: char| c.is_alphanumeric() || c == '_');
    map(recognize(pair(begin, go_on)), |word: &str| {
        let fault = (!word.is_ascii()).then(|| {
            Fault::broken(Code::UnknownCharacter, format!("`{}` has letters beyond a to z", literals::shortened(word)))
                .label("not a plain name")
                .help(format!("write it in back quotes: `` `{}` ``", literals::shortened(word)))
        });
        (Some(TokenKind::Word(word)), fault)
    })
    .parse(input)
}

/// Any characters of one line but the back quote.
///
/// ```ebnf
/// quoted = "`" ( character - "`" ) { character - "`" } "`" ;
/// ```
fn quoted(input: &str) -> IResult<&str, Lexeme<'_>> {
    let (rest, name) = preceded(char('`'), take_till(|c| c == '`' || c == '\n')).parse(input)?;
    let (rest, closed) = opt(char('`')).parse(rest)?;
    let fault = if closed.is_none() {
        Some(Fault::endless("the name is not closed").label("no back quote follows on this line").help("close it with a back quote"))
    } else if name.is_empty() {
        Some(Fault::broken(Code::Unclosed, "a name of nothing").label("no characters between the back quotes").help("write a name between them"))
    } else {
        None
    };
    Ok((rest, (Some(TokenKind::Quoted(name)), fault)))
}

fn sign(input: &str) -> IResult<&str, Lexeme<'_>> {
    let long = alt((value("==", tag("==")), value("!=", tag("!=")), value("<=", tag("<=")), value(">=", tag(">="))));
    let (rest, sign) = alt((long, short_sign)).parse(input)?;
    Ok((rest, (Some(TokenKind::Sign(sign)), None)))
}

fn short_sign(input: &str) -> IResult<&str, &'static str> {
    const SIGNS: &str = "{}()[],:.|=<>+-*/%?";
    let (rest, found) = verify(anychar, |c| SIGNS.contains(*c)).parse(input)?;
    let place = SIGNS.find(found).expect("verified to be one of them");
    Ok((rest, &SIGNS[place..place + 1]))
}

/// Signs of other languages: what is written, what it is read as, what to write instead.
const FOREIGN_SIGNS: [(&str, Option<TokenKind<'static>>, &str); 13] = [
    ("===", Some(TokenKind::Sign("==")), "write `==`"),
    ("!==", Some(TokenKind::Sign("!=")), "write `!=`"),
    ("&&", Some(TokenKind::Word("and")), "write `and`"),
    ("||", Some(TokenKind::Word("or")), "write `or` in conditions, `|` between the branches of a group"),
    ("<>", Some(TokenKind::Sign("!=")), "write `!=`"),
    ("=>", Some(TokenKind::Sign(">=")), "write `>=` to compare"),
    ("=<", Some(TokenKind::Sign("<=")), "write `<=`"),
    ("->", Some(TokenKind::Word("then")), "write `then` between steps"),
    ("//", None, "write `#` before a comment"),
    ("/*", None, "write `#` before each line of a comment"),
    ("&", Some(TokenKind::Word("and")), "write `and`"),
    ("!", Some(TokenKind::Word("not")), "write `not`"),
    (";", None, "leave it out: the next word says that something new begins"),
];

fn foreign_sign(input: &str) -> IResult<&str, Lexeme<'_>> {
    let starts = |spelling: &str| input.starts_with(spelling) && !(spelling == "!" && input.starts_with("!="));
    let spelled = FOREIGN_SIGNS.iter().find(|(spelling, ..)| starts(spelling));
    let Some((spelling, kind, help)) = spelled else { return Err(nothing(input)) };
    let rest = match *spelling {
        "//" => &input[input.find('\n').unwrap_or(input.len())..],
        "/*" => input.split_once("*/").map_or("", |(_, rest)| rest),
        _ => &input[spelling.len()..],
    };
    let fault = Fault::repaired(Code::ForeignSpelling, format!("`{spelling}` is not Motif")).label("written otherwise here").help(*help);
    Ok((rest, (kind.clone(), Some(fault))))
}

/// A text in the quotes of a word processor or of another language.
fn typographic_text(input: &str) -> IResult<&str, Lexeme<'_>> {
    let (rest, _) = satisfy(|c| "'“”‘’„«»".contains(c)).parse(input)?;
    let (rest, content) = take_till(|c| "'“”‘’«»\n".contains(c)).parse(rest)?;
    let (rest, closed) = opt(satisfy(|c| c != '\n')).parse(rest)?;
    let mut fault = Fault::repaired(Code::ForeignSpelling, "texts stand in double quotes")
        .label("other quotes")
        .help(format!("write `\"{}\"`", literals::shortened(content)));
    if closed.is_none() {
        fault.state = TokenState::Endless;
    }
    Ok((rest, (Some(TokenKind::Text(content.to_owned())), Some(fault))))
}

/// One or more characters that begin nothing.
fn bad(input: &str) -> IResult<&str, Lexeme<'_>> {
    let (rest, found) = alt((take_while1(begins_nothing), recognize(anychar))).parse(input)?;
    let first = found.chars().next().expect("at least one is taken");
    let message = if first.is_control() || first.is_whitespace() || !first.is_ascii() {
        format!("the character U+{:04X} means nothing here", u32::from(first))
    } else {
        format!("`{first}` means nothing here")
    };
    let help = if first == '@' || first == '$' {
        "a name with such a sign is written in back quotes"
    } else {
        "remove it, or put it between double quotes if it is part of a text"
    };
    Ok((rest, (Some(TokenKind::Bad), Some(Fault::broken(Code::UnknownCharacter, message).label("not part of the language").help(help)))))
}

fn begins_nothing(c: char) -> bool {
    !(c.is_alphanumeric() || c.is_ascii_whitespace() || "_#`\"{}()[],:.|=<>+-*/%?&!;'“”‘’„«»".contains(c))
}

pub(super) fn nothing(input: &str) -> nom::Err<nom::error::Error<&str>> {
    nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Alt))
}

/// Digits, for the recognisers of literals.
pub(super) fn digits(input: &str) -> IResult<&str, &str> {
    digit1(input)
}
