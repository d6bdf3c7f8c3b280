//! Text to tree, with all that is wrong with the text at once.
//!
//! ```text
//! text --lexer--> tokens --brackets--> which bracket closes which --items, pattern, steps, expression, test--> ast::File
//!        |                                                            |
//!        '-- comments, misspelt literals, foreign signs               '-- what was expected; goes on at the next item, clause, step, line
//! ```
//!
//! The lexer is written with nom; the grammar is a function for each production over the tokens, and the function's documentation
//! begins with the production. `grammar/motif.ebnf` is these productions together, and a test keeps the two the same, word for word.
//!
//! Invariants: every text is parsed, without panic, in time proportional to its length; brackets nest [`cursor::DEPTH_MAX`] deep and an
//! expression has [`expression::OPERATORS_MAX`] operators at most, so that trees can be walked by recursion; an item is in the tree only
//! if it was read without error but for misspelt words of which it is plain what was meant. After an error nothing is said that follows from it alone: the shape of recovery is that of the
//! resilient parsers of rust-analyzer and Ruff, but items that were not understood are left out instead of being filled up.

mod brackets;
mod cursor;
mod expression;
mod fault;
mod habits;
mod items;
mod lexer;
mod literals;
mod misspelt;
mod pattern;
mod steps;
mod table;
mod test;
mod token;
mod values;

use crate::language::ast::File;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::{Source, SourceId, Span};

pub use lexer::Comment;
pub(in crate::language) use token::{is_plain_name, is_reserved};

use brackets::{Brackets, ITEM_WORDS};
use cursor::{Parser, Progress};
use fault::{Fault, Findings};
use lexer::Lexed;
use misspelt::Misspelt;
use token::{Token, TokenKind, TokenState};

/// Bytes of one text; longer ones are refused.
pub const SOURCE_BYTES_MAX: usize = 4 << 20;

/// Bytes of the U+FFFD that stands for bytes which are no text.
const REPLACEMENT_BYTES: u32 = 3;

/// A text's tree and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub file: File,
    /// In the order of the text.
    pub comments: Vec<Comment>,
    /// By place; errors only.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a text. `id` is the place of `source` among the program's texts and goes into every [`Span`].
pub fn parse(source: &Source, id: SourceId) -> Parsed {
    let text = source.text.as_str();
    if text.len() > SOURCE_BYTES_MAX {
        let most = SOURCE_BYTES_MAX >> 20;
        let fault = Fault::broken(Code::TextTooLarge, format!("the text has {} bytes", text.len()))
            .label(format!("a text has at most {most} MB"))
            .help("spread it over several files: a folder is one program");
        return Parsed { diagnostics: vec![fault.at(Span { source: id, start: 0, end: 0 })], ..Parsed::default() };
    }
    let mut findings = Findings::default();
    findings.make_room();
    let Lexed { mut tokens, comments } = lexer::tokens(text, id, &mut findings);
    findings.make_room();
    let mut file = File::default();
    let findings = read(text, &mut tokens, findings, &mut file).findings;
    Parsed { file, comments, diagnostics: findings.into_diagnostics() }
}

/// The one finding of a file that is not UTF-8 text from there on.
pub(in crate::language) fn not_utf8(start: u32, id: SourceId) -> Diagnostic {
    let fault = Fault::broken(Code::NotUtf8, "the file is not UTF-8 text")
        .label("here are the first bytes that are no text")
        .help("save it as UTF-8, or convert it, as with `iconv -f latin1 -t utf-8`");
    fault.at(Span { source: id, start, end: start.saturating_add(REPLACEMENT_BYTES) })
}

/// Reads the tokens; an item with a misspelt word once more, after the word that was meant has been put in its place.
fn read(text: &str, tokens: &mut [Token<'_>], findings: Findings, file: &mut File) -> Progress {
    let mut progress = Progress::begin(tokens, findings);
    loop {
        let mut parser = Parser::new(text, tokens, progress);
        let misspelt = parser.file(file);
        progress = parser.into_progress();
        let Some(Misspelt { place, meant, .. }) = misspelt else { return progress };
        tokens[place] = Token { kind: TokenKind::Word(meant), state: TokenState::Guessed, ..tokens[place] };
        if ITEM_WORDS.contains(&meant) {
            progress.brackets = Brackets::of(tokens);
        }
    }
}

#[cfg(test)]
mod tests;
