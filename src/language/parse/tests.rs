//! The parser's work, counted: it is proportional to the text, whatever the text is made of.

use super::*;

/// Texts are these again and again.
const REPEATED: [&str; 55] = [
    "patern p { ",
    "pattern p { form s mtach a: s wihtin 1h }\n",
    "define x = a were b > 1\n",
    "a: s thne b: s ",
    "wihtin 1h ",
    "(",
    "[",
    "{",
    ")",
    "}",
    "([{",
    "\"",
    "`",
    "`\n",
    "\"\n",
    "#\n",
    "not ",
    "-",
    "a.",
    "list of ",
    "1h",
    "x\n",
    "/*",
    "//\n",
    "=>",
    "then ",
    "pattern p {\n",
    "pattern p { from a match (",
    "stream s {",
    "test \"a\" of p {",
    "define x = a where ",
    "a and ",
    "1 == ",
    "{3,",
    "é",
    "\u{0}",
    "“",
    "match a: s then ",
    "( a: s | ",
    "all ( ",
    "x(",
    "[1,",
    "{a:",
    "meta {",
    "1.",
    "in ",
    "5s p {",
    "a: b ",
    "emit ",
    "||",
    ";",
    "define x = a\n",
    "list a = [1]\n",
    "pattern p { from a match a: b }\n",
    "# c\n\ndefine x = a where (b > 1) or c in [1, 2] # c\n",
];

/// How often the parser looks at a token.
fn looks(text: &str) -> usize {
    let mut findings = Findings::default();
    let Lexed { mut tokens, .. } = lexer::tokens(text, SourceId(0), &mut findings);
    read(text, &mut tokens, findings, &mut File::default()).looks
}

#[test]
fn the_work_is_proportional_to_the_text() {
    const BYTES: usize = 1 << 10;
    const TIMES: usize = 16;
    for repeated in REPEATED {
        let text = |bytes: usize| repeated.repeat(bytes / repeated.len());
        let (short, long) = (looks(&text(BYTES)), looks(&text(TIMES * BYTES)));
        assert!(long <= TIMES * short + short, "{repeated:?}: {short} looks, and {long} at {TIMES} times as much");
        assert!(long <= 30 * TIMES * BYTES, "{repeated:?}: {long} looks at {TIMES} times {BYTES} bytes");
    }
}
