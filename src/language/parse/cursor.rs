//! The parser's place among the tokens: looking, taking, saying what was expected, and going on after an error.
//!
//! A parsing function that returns [`Failed`] has reported why. Whoever can go on (a file at the next item, a pattern at the next clause,
//! a sequence at the next step, a test at the next line) calls [`Parser::skip`]. Places only grow, so the time is linear.

use crate::language::ast::Name;
use crate::language::codes::Code;
use crate::language::diagnostic::{Diagnostic, Label};
use crate::language::parse::brackets::{Brackets, ITEM_WORDS, begins_item, goes_on_as_item};
use crate::language::parse::fault::{Fault, Findings, Mark};
use crate::language::parse::habits::{self, Habit};
use crate::language::parse::literals::shortened;
use crate::language::parse::misspelt::{self, Expected, Misspelt};
use crate::language::parse::token::{Token, TokenKind, TokenState, is_reserved};
use crate::language::span::{Span, Spanned};

/// Brackets inside one another; groups, types and records too.
pub(super) const DEPTH_MAX: usize = 64;

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    brackets: Brackets,
    place: usize,
    /// Places of the brackets that are taken and not yet closed.
    open: Vec<usize>,
    /// Operators in the expression at hand.
    pub(super) operators: usize,
    /// The name of the item at hand, once it is read.
    pub(super) declared: Option<Name>,
    /// The token at which something else was expected last: that is said once.
    unexpected_at: Option<usize>,
    /// Something of the item at hand was not understood, and not said: it may follow from what was said of a token.
    pub(super) silent: bool,
    /// Errors before the item at hand.
    pub(super) errors_before_item: usize,
    /// Words that could stand where the parser stands.
    expected: Expected,
    /// The first misspelt word of the item at hand.
    pub(super) misspelt: Option<Misspelt>,
    /// Tokens that were read more than once.
    reread: usize,
    findings: Findings,
    /// As in [`Progress`].
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

/// A diagnostic has been made; what was being read is given up.
#[derive(Debug)]
pub(super) struct Failed;

pub(super) type Parse<T> = Result<T, Failed>;

/// How far a text is read; the items so far are in the file.
pub(super) struct Progress {
    pub(super) place: usize,
    pub(super) brackets: Brackets,
    pub(super) findings: Findings,
    /// Tokens that were read more than once.
    pub(super) reread: usize,
    /// How often a token was looked at: what the parser's work is measured by.
    #[cfg(test)]
    pub(super) looks: usize,
}

impl Progress {
    pub(super) fn begin(tokens: &[Token<'_>], findings: Findings) -> Self {
        Self {
            place: 0,
            brackets: Brackets::of(tokens),
            findings,
            reread: 0,
            #[cfg(test)]
            looks: 0,
        }
    }
}

/// Tokens that are read once more because of misspelt words, beyond as many as the text has: so that the time stays linear. Misspelt words after that are
/// reported like others, and what follows them is passed over.
const REREAD_MAX: usize = 20_000;

/// Whether words of the language may be names without back quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Free,
    /// In patterns and conditions.
    Reserved,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token<'a>], progress: Progress) -> Self {
        let Progress { place, brackets, findings, reread, .. } = progress;
        Self {
            text,
            tokens,
            brackets,
            place,
            open: Vec::new(),
            operators: 0,
            declared: None,
            unexpected_at: None,
            silent: false,
            errors_before_item: 0,
            expected: Expected::default(),
            misspelt: None,
            reread,
            findings,
            #[cfg(test)]
            looks: std::cell::Cell::new(progress.looks),
        }
    }

    pub(super) fn into_progress(self) -> Progress {
        Progress {
            place: self.place,
            brackets: self.brackets,
            findings: self.findings,
            reread: self.reread,
            #[cfg(test)]
            looks: self.looks.get(),
        }
    }

    // Looking.

    pub(super) fn peek(&self) -> &'a Token<'a> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, distance: usize) -> &'a Token<'a> {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        &self.tokens[(self.place + distance).min(self.tokens.len() - 1)]
    }

    /// The token taken last.
    pub(super) fn previous(&self) -> &'a Token<'a> {
        &self.tokens[self.place.saturating_sub(1)]
    }

    /// The one before that.
    pub(super) fn before_previous(&self) -> &'a Token<'a> {
        &self.tokens[self.place.saturating_sub(2)]
    }

    pub(super) fn place(&self) -> usize {
        self.place
    }

    pub(super) fn at(&self, sign: &'static str) -> bool {
        self.peek().kind == TokenKind::Sign(sign)
    }

    pub(super) fn at_any(&self, signs: &[&str]) -> bool {
        matches!(self.peek().kind, TokenKind::Sign(sign) if signs.contains(&sign))
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(super) fn at_any_word(&self, words: &[&str]) -> bool {
        self.word().is_some_and(|word| words.contains(&word))
    }

    pub(super) fn word(&self) -> Option<&'a str> {
        match self.peek().kind {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    /// At the end of the text or where another item begins: nothing of the item at hand can follow.
    pub(super) fn at_item(&self) -> bool {
        self.at_end() || begins_item(&self.tokens[self.place..])
    }

    /// Where an item with a misspelt first word begins.
    pub(super) fn at_misspelt_item(&self) -> bool {
        let tokens = &self.tokens[self.place..];
        misspelt::near(&tokens[0], ITEM_WORDS.into_iter().filter(|word| goes_on_as_item(word, tokens))).is_some()
    }

    /// Whether of all tokens between these places it is known what was meant.
    pub(super) fn all_known(&self, from: usize, to: usize) -> bool {
        self.tokens[from..to].iter().all(|token| matches!(token.state, TokenState::Sound | TokenState::Repaired | TokenState::Guessed))
    }

    /// Notes that one of these words could stand here.
    pub(super) fn could_be(&mut self, words: &[&'static str]) {
        if self.word().is_some() {
            self.expected.add(self.place, words);
        }
    }

    /// Which of these words stands here.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = self.word().and_then(|word| words.iter().find(|expected| **expected == word)).copied();
        if found.is_none() {
            self.could_be(words);
        }
        found
    }

    // Taking.

    pub(super) fn advance(&mut self) -> Span {
        let span = self.peek().span;
        self.place = (self.place + 1).min(self.tokens.len() - 1);
        span
    }

    pub(super) fn eat(&mut self, sign: &'static str) -> Option<Span> {
        self.at(sign).then(|| self.advance())
    }

    pub(super) fn eat_word(&mut self, word: &'static str) -> Option<Span> {
        self.one_of(&[word]).map(|_| self.advance())
    }

    /// Takes `sign`, which `role` describes: "`:` after the name of the step".
    pub(super) fn expect(&mut self, sign: &'static str, role: &str) -> Parse<Span> {
        self.eat(sign).ok_or_else(|| self.unexpected(role))
    }

    pub(super) fn expect_word(&mut self, word: &'static str, role: &str) -> Parse<Span> {
        self.eat_word(word).ok_or_else(|| self.unexpected(role))
    }

    /// Takes a name; `role` says whose: "the name of a step".
    ///
    /// ```ebnf
    /// name = word - reserved | quoted ;
    /// free_name = word | quoted ;
    /// ```
    pub(super) fn name(&mut self, words: Words, role: &str) -> Parse<Name> {
        let token = self.peek();
        match token.kind {
            TokenKind::Word(_) if self.at_item() => Err(self.unexpected(role)),
            TokenKind::Word(word) if words == Words::Reserved && is_reserved(word) && token.state == TokenState::Sound => {
                if self.begins_clause_for_certain() {
                    return Err(self.unexpected(role));
                }
                let failed = self.reserved(word, token.span, role);
                // Before a colon it is a name all the same, and what follows can be read.
                if self.ahead(1).kind != TokenKind::Sign(":") {
                    return Err(failed);
                }
                Ok(Spanned { node: word.to_owned(), span: self.advance() })
            }
            TokenKind::Word(name) | TokenKind::Quoted(name) => Ok(Spanned { node: name.to_owned(), span: self.advance() }),
            _ => Err(self.unexpected(role)),
        }
    }

    /// `span` to the token taken last.
    pub(super) fn since(&self, start: Span) -> Span {
        start.to(self.previous().span)
    }

    // Brackets.

    /// Takes an opening bracket; `close` must follow, unless the parser fails.
    pub(super) fn open(&mut self, sign: &'static str, role: &str) -> Parse<Span> {
        if self.open.len() >= DEPTH_MAX && self.at(sign) {
            let fault = Fault::broken(Code::TooDeep, format!("more than {DEPTH_MAX} brackets inside one another"))
                .label("one too many")
                .help("take a part out, into a `define` of its own");
            return Err(self.report(fault, self.peek().span));
        }
        let place = self.place;
        let span = self.expect(sign, role)?;
        self.open.push(place);
        Ok(span)
    }

    pub(super) fn close(&mut self, sign: &'static str, role: &str) -> Parse<Span> {
        if let Some(span) = self.eat(sign) {
            self.open.pop();
            return Ok(span);
        }
        let opener = *self.open.last().expect("close follows open");
        if self.brackets.partner(opener).is_some() || self.peek().state != TokenState::Sound {
            return Err(self.unexpected(role));
        }
        Err(self.unclosed(opener))
    }

    /// Where the block that was opened last ends: at its own closing bracket, or where it cannot go on.
    pub(super) fn at_block_end(&self) -> bool {
        let opener = *self.open.last().expect("a block is open");
        self.brackets.partner(opener).is_some_and(|closer| self.place >= closer) || self.at_item()
    }

    /// Ends the block that was opened last; if its bracket is missing, that is said unless something else of the item was wrong.
    pub(super) fn close_block(&mut self, sign: &'static str) -> Parse<()> {
        let opener = *self.open.last().expect("a block is open");
        if self.eat(sign).is_some() {
            self.open.pop();
            return Ok(());
        }
        Err(self.unclosed(opener))
    }

    fn unclosed(&mut self, opener: usize) -> Failed {
        if self.findings.count() > self.errors_before_item || self.brackets.may_be_swallowed(opener) {
            return Failed;
        }
        let token = &self.tokens[opener];
        let shown = self.shown(token);
        let found = self.found();
        let fault = Fault::broken(Code::UnbalancedBracket, format!("`{shown}` is not closed")).label("opened here");
        let mut diagnostic = fault.help(format!("close it before {found}")).at(token.span);
        diagnostic.secondary.push(Label { span: self.peek().span, text: "it is still open here".to_owned() });
        self.add(diagnostic)
    }

    // Going on after an error.

    /// Gives up on what began at `start`: leaves the brackets opened since, and goes on to where `stop` holds, over whole brackets; at the
    /// latest to the end of the enclosing bracket or of the item.
    pub(super) fn skip(&mut self, start: usize, stop: impl Fn(&Self) -> bool) {
        while let Some(&opener) = self.open.last().filter(|opener| **opener >= start) {
            self.open.pop();
            if let Some(closer) = self.brackets.partner(opener).filter(|closer| *closer >= self.place) {
                self.place = closer + 1;
            }
        }
        while !self.at_item() && !stop(self) {
            match (self.peek().kind.clone(), self.brackets.partner(self.place)) {
                (TokenKind::Sign("(" | "[" | "{"), Some(closer)) => self.place = closer + 1,
                (TokenKind::Sign(")" | "]" | "}"), Some(opener)) if opener < start => return,
                _ => self.place += 1,
            }
        }
    }

    // Saying what is wrong.

    /// Something else was expected: `role` says what, in the words of a sentence.
    pub(super) fn unexpected(&mut self, role: &str) -> Failed {
        self.unexpected_but(role, None)
    }

    /// Like [`Parser::unexpected`], with what to write instead.
    pub(super) fn unexpected_but(&mut self, role: &str, help: Option<String>) -> Failed {
        let token = self.peek();
        let misspelt = self.misspelt_word();
        let is_before = misspelt.is_some_and(|(place, _)| place < self.place);
        let is_known = match self.previous().state {
            TokenState::Endless => false,
            // The guess is wrong, or the next word is misspelt too.
            TokenState::Guessed => misspelt.is_some() && !is_before,
            TokenState::Sound | TokenState::Repaired | TokenState::Broken => true,
        } && token.state == TokenState::Sound;
        self.silent |= !is_known;
        if self.unexpected_at.replace(self.place) == Some(self.place) || !is_known {
            return Failed;
        }
        if self.at_any(&[")", "]", "}"]) && self.brackets.partner(self.place).is_none() {
            return self.closes_nothing();
        }
        let habit = habits::unmistakable(self.previous(), token, self.ahead(1), self.expected.at(self.place));
        if let Some(Habit { span, fault, meant }) = habit.or_else(|| if is_before { None } else { habits::likely(self.previous(), token, self.ahead(1)) }) {
            let place = if span.start == token.span.start { self.place } else { self.place - 1 };
            return self.add_misspelt(fault.at(span), meant.map(|meant| (place, meant)));
        }
        let found = self.found();
        let help = misspelt.map(|(place, meant)| self.did_you_mean(place, meant)).or(help).unwrap_or_else(|| self.instead(role));
        let fault = Fault::broken(Code::Unexpected, format!("expected {role}, found {found}")).label("not expected here").help(help);
        self.add_misspelt(fault.at(token.span), misspelt)
    }

    /// What to write where nothing more is known than what can stand here.
    fn instead(&self, role: &str) -> String {
        // Where one thing only can stand, or something ends, what is found is right and something before it is missing.
        let several = role.contains("` or ") || role.contains(" or `");
        let ends = self.at_any(&["}", ")", "]"]) || self.at_item();
        if several && !ends { format!("write {role}; or leave {} out", self.found()) } else { format!("write {role}") }
    }

    /// The misspelt word because of which something else was expected here: its place, and what was meant.
    pub(super) fn misspelt_word(&self) -> Option<(usize, &'static str)> {
        let (token, next) = (self.peek(), self.ahead(1));
        let here = misspelt::meant(token, self.expected.at(self.place), next).map(|meant| (self.place, meant));
        here.or_else(|| {
            let before = self.place.checked_sub(1)?;
            misspelt::meant_by_name(self.previous(), self.expected.at(before), token, next).map(|meant| (before, meant))
        })
    }

    fn did_you_mean(&self, place: usize, meant: &str) -> String {
        let written = self.shown(&self.tokens[place]);
        if place == self.place { misspelt::help(&written, meant) } else { misspelt::help_before(&written, meant) }
    }

    /// Adds what is wrong because of the misspelt word at a place, and what was meant there.
    pub(super) fn add_misspelt(&mut self, diagnostic: Diagnostic, misspelt: Option<(usize, &'static str)>) -> Failed {
        if let (None, Some((place, meant))) = (&self.misspelt, misspelt) {
            self.misspelt = Some(Misspelt { place, meant, diagnostic: diagnostic.clone() });
        }
        self.add(diagnostic)
    }

    /// Goes back to where the item at hand begins, if a word of it is misspelt: of what was found since then only that is kept. The item is to be read again
    /// with the word that was meant.
    pub(super) fn go_back(&mut self, start: usize, mark: Mark) -> Option<Misspelt> {
        let misspelt = self.misspelt.take().filter(|misspelt| misspelt.place >= start)?;
        let again = self.place - start + if ITEM_WORDS.contains(&misspelt.meant) { self.tokens.len() } else { 0 };
        if self.reread + again > REREAD_MAX + self.tokens.len() {
            return None;
        }
        self.reread += again;
        self.place = start;
        self.findings.go_back(mark);
        self.findings.add(misspelt.diagnostic.clone());
        Some(misspelt)
    }

    /// A closing bracket without partner.
    pub(super) fn closes_nothing(&mut self) -> Failed {
        let fault = Fault::broken(Code::UnbalancedBracket, format!("{} closes nothing", self.found()))
            .label("no bracket is open here")
            .help("remove it, or look for one too many before it");
        self.report(fault, self.peek().span)
    }

    /// A word of the language stands where a name is meant.
    pub(super) fn reserved(&mut self, word: &str, span: Span, role: &str) -> Failed {
        let fault = Fault::broken(Code::ReservedWord, format!("expected {role}, found `{word}`, a word of the language"))
            .label("not a name")
            .help(format!("if it is meant as a name, write it in back quotes: `` `{word}` ``"));
        self.report(fault, span)
    }

    pub(super) fn report(&mut self, fault: Fault, span: Span) -> Failed {
        self.add(fault.at(span))
    }

    pub(super) fn add(&mut self, diagnostic: Diagnostic) -> Failed {
        self.findings.add(diagnostic);
        Failed
    }

    pub(super) fn error_count(&self) -> usize {
        self.findings.count()
    }

    pub(super) fn mark(&self) -> Mark {
        self.findings.mark()
    }

    /// The token at hand, as a message names it.
    pub(super) fn found(&self) -> String {
        let token = self.peek();
        let shown = self.shown(token);
        match token.kind {
            TokenKind::Word(_) | TokenKind::Sign(_) | TokenKind::Bad => format!("`{shown}`"),
            TokenKind::Quoted(_) => format!("the name {shown}"),
            TokenKind::Text(_) => format!("the text {shown}"),
            TokenKind::Number(_) => format!("the number `{shown}`"),
            TokenKind::Duration(_) => format!("the duration `{shown}`"),
            TokenKind::End => "the end of the file".to_owned(),
        }
    }

    pub(super) fn shown(&self, token: &Token<'_>) -> String {
        shortened(&self.text[token.span.start as usize..token.span.end as usize])
    }
}
