//! What the parser says of texts, written out (`parser.expected`; `UPDATE_EXPECT=1` writes it anew: read the difference); and what holds of
//! any text: it is read without panic, every place is in the text, and an error in one item leaves the others. (That the work is proportional to the
//! length is counted in the parser's own tests.)
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many random texts to try.

use std::cell::Cell;

use motif::language::ast::{Expression, ExpressionKind, Item, Operator};
use motif::language::{Code, Diagnostic, Parsed, RenderStyle, SOURCE_BYTES_MAX, Source, SourceId, Span, parse, print, render};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::grammar;
use crate::printer::{check_format, pattern_files, random_cases, random_tree, table};

mod misspelt;
mod places;

fn parsed(text: &str) -> Parsed {
    parse(&Source { path: "p.motif".to_owned(), text: text.to_owned() }, SourceId(0))
}

// Errors.

#[test]
fn all_errors_are_said_at_once_each_in_its_place() {
    table::check("parser.expected", |text| {
        let parsed = parsed(text);
        let errors: String = parsed.diagnostics.iter().map(|diagnostic| shown(text, diagnostic)).collect();
        let read: Vec<String> = parsed.file.items.iter().map(declared).collect();
        format!("{errors}read: {}", if read.is_empty() { "nothing".to_owned() } else { read.join(", ") })
    });
}

fn declared(item: &Item) -> String {
    match item {
        Item::Stream(stream) => format!("stream {}", stream.name.node),
        Item::List(list) => format!("list {}", list.name.node),
        Item::Define(define) => format!("define {}", define.name.node),
        Item::Pattern(pattern) => format!("pattern {}", pattern.name.node),
        Item::Test(test) => format!("test {:?}", test.name.node),
        Item::Table(table) => format!("table {:?}", table.name.node),
    }
}

fn shown(text: &str, diagnostic: &Diagnostic) -> String {
    let Diagnostic { code, message, primary, .. } = diagnostic;
    let mut shown = format!("{} {code} {message}\n    {}\n", place(text, primary.span), primary.text);
    for label in &diagnostic.secondary {
        shown += &format!("    {} {}\n", place(text, label.span), label.text);
    }
    if let Some(help) = &diagnostic.help {
        shown += &format!("    help: {help}\n");
    }
    shown
}

/// `line:column [what stands there]`.
fn place(text: &str, span: Span) -> String {
    let before = &text[..span.start as usize];
    let line = before.rsplit('\n').next().expect("one at least");
    let marked: String = text[span.start as usize..span.end as usize].chars().take(30).collect();
    format!("{}:{} [{marked}]", before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[test]
fn the_table_has_every_code_of_the_parser() {
    let expected = include_str!("parser.expected");
    let elsewhere = [Code::TextTooLarge, Code::TooManyErrors];
    for number in 1..=18 {
        let code = format!("E{number:04}");
        let known = elsewhere.iter().any(|elsewhere| elsewhere.text() == code);
        assert_ne!(known, expected.contains(&code), "{code}");
    }
}

#[test]
fn characters_that_cannot_be_seen_are_named() {
    let cases = [
        ("list a = [1]\u{0}", "the character U+0000 means nothing here"),
        ("list a = [1,\u{a0}2]", "the character U+00A0 means nothing here"),
        ("list\u{feff} a = []", "the character U+FEFF means nothing here"),
        ("list a = []\u{200b}", "the character U+200B means nothing here"),
    ];
    for (text, message) in cases {
        let diagnostics = parsed(text).diagnostics;
        assert_eq!(diagnostics.len(), 1, "{diagnostics:#?}");
        assert_eq!((diagnostics[0].code, diagnostics[0].message.as_str()), (Code::UnknownCharacter, message));
    }
    assert!(parsed("\u{feff}list a = [\"\u{feff}\"]").diagnostics.is_empty(), "a byte order mark before the text means nothing");
}

#[test]
fn an_error_in_one_item_leaves_the_others() {
    random_cases(|random| {
        let mut items = grammar::random_items(random);
        let kept: Vec<Item> = items.iter().flat_map(|tokens| parsed(&tokens.join(" ")).file.items).collect();
        assert_eq!(kept.len(), items.len(), "{items:?}");
        let damaged = random.random_range(0..items.len());
        if damaged > 0 && ["stream", "list"].contains(&items[damaged - 1].last().expect("items have tokens").as_str()) {
            // With a stream that is called `list`, two things may be meant by `define a = list` and `list = [1]` after it.
            return;
        }
        let vocabulary = items.concat();
        // The word that begins an item says that what stands before it is at its end.
        let mut tokens = items[damaged].split_off(1);
        for _ in 0..random.random_range(1..4) {
            grammar::change_token(&mut tokens, &vocabulary, random);
        }
        items[damaged].extend(tokens);
        let text = items.iter().map(|tokens| tokens.join(" ")).collect::<Vec<_>>().join("\n");
        let parsed = parsed(&text);
        for (place, item) in kept.iter().enumerate() {
            let is_read = place == damaged || parsed.file.items.contains(item);
            assert!(is_read, "{} is lost when item {damaged} is damaged:\n{text}\n{:#?}", declared(item), parsed.diagnostics);
        }
    });
}

// Trees.

#[test]
fn operators_bind_as_they_should() {
    let cases = [
        ("a or b or c", "((a or b) or c)"),
        ("a and not b == c and d", "((a and (not (b == c))) and d)"),
        ("not not a", "(not (not a))"),
        ("a + b * c - d < e / f % g", "(((a + (b * c)) - d) < ((e / f) % g))"),
        ("a - b - c", "((a - b) - c)"),
        ("--a * -b.c[0]", "((- (- a)) * (- b.c[0]))"),
        ("-a.b", "(- a.b)"),
        ("a is null and b is not null", "((a is null) and (b is not null))"),
        ("not a is null", "(not (a is null))"),
        ("a + 1 in [1, 2]", "((a + 1) in [1, 2])"),
        ("a not in b or c", "((a not in b) or c)"),
        ("not a not in b", "(not (a not in b))"),
        ("(a or b) and c", "({(a or b)} and c)"),
        ("f(a or b, -1)[0].g", "f((a or b), (- 1))[0].g"),
        ("count(a.b over tumbling 1h) > 1", "(count(a.b over) > 1)"),
        ("\"a\" == `b c`", "(\"a\" == b c)"),
        ("x[-1].v - x[-2].v", "(x[-1].v - x[-2].v)"),
    ];
    for (text, wanted) in cases {
        assert_eq!(grouped(&condition(text)), wanted, "{text}");
    }
}

fn condition(text: &str) -> Expression {
    let parsed = parsed(&format!("define x = s where {text}"));
    assert!(parsed.diagnostics.is_empty(), "{text}: {:#?}", parsed.diagnostics);
    let Some(Item::Define(define)) = parsed.file.items.into_iter().next() else { panic!("a definition") };
    define.events.condition.expect("a condition")
}

/// With parentheses around all that has operands, and braces for those that were written.
fn grouped(expression: &Expression) -> String {
    let all = |expressions: &[Expression]| expressions.iter().map(grouped).collect::<Vec<_>>().join(", ");
    match &expression.kind {
        ExpressionKind::Text(text) => format!("{text:?}"),
        ExpressionKind::Number(text) | ExpressionKind::Name(text) => text.clone(),
        ExpressionKind::Bool(truth) => truth.to_string(),
        ExpressionKind::Null => "null".to_owned(),
        ExpressionKind::Duration(span) => span.to_string(),
        ExpressionKind::List(items) => format!("[{}]", all(items)),
        ExpressionKind::Member { base, field } => format!("{}.{}", grouped(base), field.node),
        ExpressionKind::Index { base, place } => format!("{}[{}]", grouped(base), place.node),
        ExpressionKind::Call { function, arguments } => format!("{}({})", function.node, all(arguments)),
        ExpressionKind::Window { function, argument, .. } => format!("{}({} over)", function.node, grouped(argument)),
        ExpressionKind::Not(operand) => format!("(not {})", grouped(operand)),
        ExpressionKind::Negate(operand) => format!("(- {})", grouped(operand)),
        ExpressionKind::IsNull { operand, negated } => format!("({} is {}null)", grouped(operand), if *negated { "not " } else { "" }),
        ExpressionKind::Parenthesized(inner) => format!("{{{}}}", grouped(inner)),
        ExpressionKind::Binary { operator, left, right } => format!("({} {} {})", grouped(left), sign(operator.node), grouped(right)),
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Or => "or",
        Operator::And => "and",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::In => "in",
        Operator::NotIn => "not in",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
    }
}

#[test]
fn texts_have_the_escapes_of_json() {
    let cases = [
        (r#""""#, ""),
        (r#""\" \\ \/ \b \f \n \r \t""#, "\" \\ / \u{8} \u{c} \n \r \t"),
        (r#""\u00e9\u0041 \ud83d\ude00""#, "éA 😀"),
        ("\"# is no comment, ` no name\"", "# is no comment, ` no name"),
        ("\"é 日\t\"", "é 日\t"),
    ];
    for (text, wanted) in cases {
        assert_eq!(condition(text).kind, ExpressionKind::Text(wanted.to_owned()), "{text}");
        if !text.contains('/') && !text.contains('\t') {
            let as_json: String = serde_json::from_str(text).expect("JSON");
            assert_eq!(as_json, wanted);
        }
    }
}

/// What is said of a place is true of what stands there.
struct Standing<'a> {
    text: &'a str,
    seen: usize,
}

impl places::Visit for Standing<'_> {
    fn expression(&mut self, expression: &Expression) {
        let written = &self.text[expression.span.start as usize..expression.span.end as usize];
        assert_eq!(condition(&format!("{written}\n")), *expression, "another expression stands in its place: {written}");
        self.seen += 1;
    }

    fn name(&mut self, name: &str, span: Span) {
        let written = &self.text[span.start as usize..span.end as usize];
        assert!(written == name || written == format!("`{name}`"), "{written} stands in the place of {name}");
        self.seen += 1;
    }
}

#[test]
fn what_the_tree_says_stands_in_its_place() {
    let seen = Cell::new(0);
    random_cases(|random| {
        let tokens = grammar::random_tokens(random);
        let mut text = String::new();
        for token in &tokens {
            text += [" ", "\n", " # é comment\n"].choose(random).expect("not empty");
            text += token;
        }
        let mut standing = Standing { text: &text, seen: 0 };
        places::file(&parsed(&text).file, &mut standing);
        seen.set(seen.get() + standing.seen);
    });
    assert!(seen.get() > 0);
}

// Bounds.

#[test]
fn what_is_too_deep_or_too_large_is_refused_and_what_is_not_is_read() {
    let nested = |open: &str, close: &str, depth: usize| format!("{}{}{}", open.repeat(depth), "1", close.repeat(depth));
    type Case<'a> = (&'a str, &'a dyn Fn(usize) -> String, usize);
    let cases: [Case<'_>; 8] = [
        ("parentheses", &|n| format!("define x = s where {}", nested("(", ")", n)), 64),
        ("lists", &|n| format!("list x = {}", nested("[", "]", n)), 64),
        ("groups", &|n| format!("pattern p {{ from s match {} a: s {} }}", "( ".repeat(n), " )".repeat(n)), 63),
        ("records", &|n| format!("stream s {{ {} a: int {} }}", "a: { ".repeat(n), " }".repeat(n)), 63),
        ("operators", &|n| format!("define x = s where a{}", " + a".repeat(n)), 500),
        ("signs", &|n| format!("define x = s where {}a", "-".repeat(n)), 500),
        ("fields", &|n| format!("define x = s where a{}", ".a".repeat(n)), 500),
        ("lists of lists", &|n| format!("stream s {{ a: {}int }}", "list of ".repeat(n)), 500),
    ];
    for (case, text, most) in cases {
        check_format(&text(most));
        let diagnostics = parsed(&text(most + 1)).diagnostics;
        assert_eq!(codes(&diagnostics), [Code::TooDeep], "{case}: {diagnostics:#?}");
        assert!(!parsed(&text(50_000)).diagnostics.is_empty(), "{case}");
    }
}

/// Without neighbours that are equal.
fn codes(diagnostics: &[Diagnostic]) -> Vec<Code> {
    let mut codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.dedup();
    codes
}

#[test]
fn a_text_beyond_the_bound_is_refused_unread() {
    let whole = " ".repeat(SOURCE_BYTES_MAX);
    assert!(parsed(&whole).diagnostics.is_empty());
    assert_eq!(codes(&parsed(&(whole + "x")).diagnostics), [Code::TextTooLarge]);
}

#[test]
fn the_first_hundred_errors_are_shown_and_the_others_counted() {
    let diagnostics = parsed(&"list a = [x]\n@\n".repeat(300)).diagnostics;
    assert_eq!(diagnostics.len(), 101);
    assert_eq!(codes(&diagnostics[..100]).len(), 100, "by place: those of the lexer and those of the parser in turn");
    let last = &diagnostics[100];
    assert_eq!((last.code, last.message.as_str()), (Code::TooManyErrors, "500 more errors are not shown"));
}

// Any text.

/// Signs and words that matter to the lexer or to recovery.
const BITS: [&str; 48] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\"",
    "`",
    "#",
    "\\",
    "then ",
    "not ",
    "next ",
    "within ",
    " match ",
    " from ",
    "stream ",
    "pattern x {",
    "test \"x\" of p {",
    "list a = [",
    "define x = ",
    "{3,",
    "{,3}",
    "/*",
    "//",
    "=>",
    "&&",
    "||",
    "-",
    ".",
    "1.5h",
    "99999999999999999999",
    "5s",
    "\u{feff}",
    "é",
    "\u{0}",
    "“",
    "\r\n",
    "\n\n",
    "time ",
    "all (",
    "expect ",
    "=",
    "@",
    "\\u00",
    "\\ud800",
    "meta {",
    "on timeout emit ",
];

#[test]
fn any_text_is_read_without_panic() {
    let files = pattern_files();
    random_cases(|random| {
        let mut text = files.choose(random).expect("not empty").clone();
        if random.random_bool(0.3) {
            text = print(&random_tree(random));
        }
        for _ in 0..random.random_range(1..12) {
            change(&mut text, random);
        }
        check_any(&text);
    });
}

/// Some characters left out, repeated elsewhere, or put in.
fn change(text: &mut String, random: &mut ChaCha8Rng) {
    let place = |random: &mut ChaCha8Rng, text: &str| text.floor_char_boundary(random.random_range(0..=text.len()));
    let at = place(random, text);
    let to = text.floor_char_boundary((at + random.random_range(0..80)).min(text.len())).max(at);
    match random.random_range(0..5) {
        0 => text.replace_range(at..to, ""),
        1 => text.replace_range(at..to, &text[at..to].repeat(2)),
        2 => text.truncate(if random.random_bool(0.1) { at } else { text.len() }),
        3 => text.insert(at, char::from_u32(random.random_range(0..0x250)).unwrap_or('\u{1f600}')),
        _ => text.insert_str(at, BITS.choose(random).expect("not empty")),
    }
}

/// Holds of every text.
fn check_any(text: &str) {
    let parsed = parsed(text);
    let stands = |span: Span| span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some();
    let mut before = 0;
    for diagnostic in &parsed.diagnostics {
        let labels = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
        assert!(labels.clone().all(|label| stands(label.span)), "a place outside of the text: {diagnostic:#?}\n{text}");
        assert!(before <= diagnostic.primary.span.start, "not in the order of places: {:#?}\n{text}", parsed.diagnostics);
        assert!(!diagnostic.message.ends_with('.') && !diagnostic.message.contains('\n'), "{diagnostic:#?}");
        assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()), "each finding has its remedy: {diagnostic:#?}\n{text}");
        before = diagnostic.primary.span.start;
    }
    let shown = render(&parsed.diagnostics, &[Source { path: "p.motif".to_owned(), text: text.to_owned() }], RenderStyle::Plain);
    assert!(shown.len() < 4000 * (parsed.diagnostics.len() + 1), "too much is shown:\n{shown}");
    if parsed.diagnostics.is_empty() {
        check_format(text);
    }
}

#[test]
fn texts_that_were_once_read_wrongly() {
    let cases = [
        // `within` after `skip to next` was taken for a part of it.
        "pattern p { from s match a: s skip to next within 5m }",
        // A stream called `stream` before `meta` was taken for the next item.
        "pattern p { from stream match a: stream meta { a: 1 } }",
        // No step with a short name: the column of the streams was less than nothing.
        "pattern p { from s match ( a: s ) then ( b: s ) }",
        // A file of comments alone.
        "# a\n\n\n# b\n\n",
        // Comments where no line can be broken, before an item that is set off.
        "define # a\nx # b\n= # c\ns # d\nstream # e\ns { a: int }",
        // A blank line after `from` and `match` themselves.
        "pattern p { # a\n from\n\n s # b\n match\n\n a: s }",
    ];
    for text in cases {
        assert!(parsed(text).diagnostics.is_empty(), "{text}: {:#?}", parsed(text).diagnostics);
        check_any(text);
    }
    assert!(!parsed("stream s { a: int time a,, }").diagnostics.is_empty(), "two commas after `time`");
}
