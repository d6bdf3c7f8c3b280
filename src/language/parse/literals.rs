//! Texts, numbers and durations as they are spelled.

use nom::bytes::complete::{tag, take_while};
use nom::combinator::{opt, recognize};
use nom::sequence::pair;
use nom::{IResult, Parser};

use crate::event::TimeSpan;
use crate::language::DURATION_MAX;
use crate::language::codes::Code;
use crate::language::nearest;
use crate::language::parse::fault::Fault;
use crate::language::parse::lexer::{Lexeme, digits, nothing};
use crate::language::parse::token::{TokenKind, is_reserved};

/// Characters of what was found that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// The beginning of what was found, fit for a message of one line.
pub(super) fn shortened(found: &str) -> String {
    let mut shown: String = found.chars().take(SHOWN_CHARACTERS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < found.len() {
        shown.push('…');
    }
    shown
}

/// With the escapes of JSON.
///
/// ```ebnf
/// text = '"' { ( character - ( '"' | "\" ) ) | "\" escape } '"' ;
/// ```
pub(super) fn text(input: &str) -> IResult<&str, Lexeme<'_>> {
    let Some(mut rest) = input.strip_prefix('"') else { return Err(nothing(input)) };
    let mut content = String::new();
    let mut fault = None;
    loop {
        let plain = rest.find(['"', '\\', '\n']).unwrap_or(rest.len());
        content.push_str(&rest[..plain]);
        rest = &rest[plain..];
        match rest.as_bytes().first() {
            Some(b'"') => return Ok((&rest[1..], (Some(TokenKind::Text(content)), fault))),
            Some(b'\\') => {
                let (escaped, length) = escape(&rest[1..]);
                match escaped {
                    Some(character) => content.push(character),
                    None => fault = fault.or_else(|| Some(bad_escape(&rest[1..]))),
                }
                rest = &rest[1 + length..];
            }
            _ => {
                let unclosed = Fault::endless("the text is not closed")
                    .label("no double quote follows on this line")
                    .help("close it with `\"`; a line end in a text is written `\\n`");
                return Ok((rest, (Some(TokenKind::Text(content)), Some(unclosed))));
            }
        }
    }
}

/// What follows the backslash: the character it means, if any, and how many bytes it takes.
///
/// ```ebnf
/// escape = '"' | "\" | "/" | "b" | "f" | "n" | "r" | "t" | "u" hex hex hex hex ;
/// hex = digit | "a" | "b" | "c" | "d" | "e" | "f" | "A" | "B" | "C" | "D" | "E" | "F" ;
/// ```
fn escape(after: &str) -> (Option<char>, usize) {
    let character = match after.as_bytes().first() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(after),
        _ => return (None, 0),
    };
    (Some(character), 1)
}

/// `u0041`, or two of them that are a pair of surrogates.
fn unicode_escape(after: &str) -> (Option<char>, usize) {
    let unit = |place: usize| {
        let digits = after.get(place..place + 4)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let Some(first) = unit(1) else { return (None, 1) };
    if let Some(character) = char::from_u32(first) {
        return (Some(character), 5);
    }
    let second = after.get(5..7).filter(|between| *between == "\\u").and_then(|_| unit(7));
    let pair = second.and_then(|second| char::decode_utf16([first as u16, second as u16]).next()?.ok());
    (pair, if pair.is_some() { 11 } else { 5 })
}

fn bad_escape(after: &str) -> Fault {
    let shown: String = after.chars().take_while(|c| !['\n', '"'].contains(c)).take(if after.starts_with('u') { 5 } else { 1 }).collect();
    let help = if after.starts_with('u') {
        "write `\\u` and four hexadecimal digits; characters beyond `\\uffff` take two of them".to_owned()
    } else {
        format!("a backslash itself is written twice: `\\\\{shown}`")
    };
    Fault::broken(Code::BadEscape, format!("`\\{shown}` is no escape")).label("unknown escape in this text").help(help)
}

/// ```ebnf
/// whole = digit { digit } ;
/// number = whole [ "." whole ] ;
/// duration = whole unit { whole unit } ;
/// unit = "d" | "h" | "m" | "s" | "ms" | "us" ;
/// ```
pub(super) fn number_or_duration(input: &str) -> IResult<&str, Lexeme<'_>> {
    let tail = || take_while(|c: char| c.is_alphanumeric() || c == '_');
    let fraction = opt(pair(tag("."), digits));
    let (rest, written) = recognize((digits, tail())).parse(input)?;
    if written.bytes().all(|b| b.is_ascii_digit()) {
        let (_, number) = recognize((digits, fraction)).parse(input)?;
        let (rest, letters) = tail().parse(&input[number.len()..])?;
        let fault = (!letters.is_empty()).then(|| misspelt_fraction(number, letters));
        return Ok((rest, (Some(TokenKind::Number(number)), fault)));
    }
    let (span, fault) = match TimeSpan::parse(written) {
        Some(span) if span <= DURATION_MAX => (span, None),
        Some(_) => (TimeSpan::TICK, Some(too_long())),
        None => (TimeSpan::TICK, Some(misspelt_duration(written))),
    };
    let number = fault.as_ref().filter(|fault| fault.code == Code::BadNumber);
    let kind = if number.is_some() { TokenKind::Number("0") } else { TokenKind::Duration(span) };
    Ok((rest, (Some(kind), fault)))
}

fn too_long() -> Fault {
    let most = DURATION_MAX.micros() / 86_400_000_000;
    Fault::broken(Code::BadDuration, "the duration is too long").label(format!("more than {most} days")).help(format!("at most {most}d"))
}

/// `1.5h`, `1.5e3`.
fn misspelt_fraction(number: &str, letters: &str) -> Fault {
    if let Some((_, smaller, factor)) = SMALLER_UNITS.iter().find(|(unit, ..)| *unit == letters) {
        let whole = number.parse::<f64>().ok().map(|number| number * factor).filter(|whole| whole.fract() == 0.0 && *whole < 1e15);
        let example = whole.map_or_else(|| "1h30m".to_owned(), |whole| format!("{whole}{smaller}"));
        return Fault::broken(Code::BadDuration, format!("`{number}{letters}` is not a whole number of anything"))
            .label("durations are whole numbers with a unit")
            .help(format!("write it in a smaller unit, as in `{example}`"));
    }
    not_a_number(&format!("{number}{letters}"))
}

const SMALLER_UNITS: [(&str, &str, f64); 5] = [("d", "h", 24.0), ("h", "m", 60.0), ("m", "s", 60.0), ("s", "ms", 1000.0), ("ms", "us", 1000.0)];

const OUR_UNITS: [&str; 6] = ["us", "ms", "s", "m", "h", "d"];

/// Units as other languages spell them.
const FOREIGN_UNITS: [(&[&str], &str); 6] = [
    (&["micros", "microsecond", "microseconds", "µs", "μs"], "us"),
    (&["millis", "millisecond", "milliseconds"], "ms"),
    (&["sec", "secs", "second", "seconds", "S"], "s"),
    (&["min", "mins", "minute", "minutes", "M"], "m"),
    (&["hour", "hours", "hr", "hrs", "H"], "h"),
    (&["day", "days", "D"], "d"),
];

/// Units that no duration has: `yrs` is no misspelling of `hrs`.
const NO_UNITS: [&str; 16] = ["w", "wk", "wks", "week", "weeks", "mon", "mons", "month", "months", "yr", "yrs", "year", "years", "ns", "nanos", "nanoseconds"];

/// The unit of time that a word means.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    FOREIGN_UNITS.iter().find(|(theirs, ours)| theirs.contains(&word) || *ours == word).map(|(_, ours)| *ours)
}

/// The unit of time that a word would mean if it were not misspelt.
pub(super) fn misspelt_unit(word: &str) -> Option<&'static str> {
    let small = word.to_lowercase();
    if let Some(unit) = unit(&small) {
        return Some(unit);
    }
    // Of shorter words too many are as near as that to some unit.
    if small.len() < 4 || is_reserved(word) || NO_UNITS.contains(&small.as_str()) {
        return None;
    }
    let long = FOREIGN_UNITS.iter().flat_map(|(theirs, _)| *theirs).copied().filter(|theirs| theirs.len() >= 4);
    nearest(word, long.chain(NO_UNITS)).and_then(unit)
}

/// `1Hour30M` as a duration: what its units mean, if every one means something.
fn with_our_units(written: &str) -> Option<String> {
    let mut ours = String::new();
    let mut rest = written;
    while !rest.is_empty() {
        let (number, from_unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (word, after) = from_unit.split_at(from_unit.find(|c: char| c.is_ascii_digit()).unwrap_or(from_unit.len()));
        ours += number;
        ours += unit(word).or_else(|| misspelt_unit(word))?;
        rest = after;
    }
    TimeSpan::parse(&ours).map(|_| ours)
}

fn misspelt_duration(written: &str) -> Fault {
    let units: Vec<&str> = unit_runs(written).collect();
    let unit = units.first().copied().unwrap_or_default();
    if let Some(ours) = with_our_units(written) {
        let wrong = units.iter().find(|unit| !OUR_UNITS.contains(unit)).copied().unwrap_or(unit);
        return Fault::broken(Code::BadDuration, format!("`{}` is no unit of time", shortened(wrong)))
            .label("units are us, ms, s, m, h, d")
            .help(format!("write `{}`", shortened(&ours)));
    }
    if matches!(unit, "w" | "week" | "weeks") {
        return Fault::broken(Code::BadDuration, format!("`{unit}` is no unit of time")).label("units are us, ms, s, m, h, d").help("write a week as `7d`");
    }
    if unit.starts_with(['e', 'E', 'x', 'X', '_']) {
        return not_a_number(written);
    }
    if units.iter().all(|unit| OUR_UNITS.contains(unit)) {
        return Fault::broken(Code::BadDuration, format!("`{}` is no duration", shortened(written)))
            .label("units go from large to small, each once, and the number before each is whole and not too large")
            .help("write it as in `1h30m`");
    }
    Fault::broken(Code::BadDuration, format!("`{}` is neither a number nor a duration", shortened(written)))
        .label("units are us, ms, s, m, h, d")
        .help("write a duration as in `90s` or `1h30m`; a name that begins with a digit in back quotes")
}

/// The runs of letters in `1h30m`.
fn unit_runs(written: &str) -> impl Iterator<Item = &str> {
    written.split(|c: char| c.is_ascii_digit()).filter(|run| !run.is_empty())
}

fn not_a_number(written: &str) -> Fault {
    Fault::broken(Code::BadNumber, format!("`{}` is not a number of Motif", shortened(written)))
        .label("numbers are digits, and perhaps a point and digits")
        .help("write it out, as in `1000` or `0.5`")
}
