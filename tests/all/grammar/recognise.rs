//! Whether a grammar derives a text, straight from its productions: slow, and knowing nothing of the parser.
//!
//! A rule is matched to all the places where it may end. Productions do not begin with themselves, so that this comes to an end; for
//! tokens the answers are remembered by production and place.

use std::collections::{BTreeMap, BTreeSet};

use super::notation::{Grammar, Rule};

/// Productions that are read from characters, in the order that decides between tokens of one length.
const TOKENS: [&str; 5] = ["word", "quoted", "text", "number", "duration"];

type Ends = BTreeSet<usize>;

/// Whether `file` derives the text.
pub fn derives(grammar: &Grammar, text: &str) -> bool {
    let Some(tokens) = tokens(grammar, text) else { return false };
    let syntax = Syntax { grammar, tokens: &tokens };
    syntax.ends("file", 0, &mut BTreeMap::new()).contains(&tokens.len())
}

/// The longest tokens, gaps between left out; nothing where none begins, or where two that need a gap have none.
pub fn tokens<'a>(grammar: &Grammar, text: &'a str) -> Option<Vec<&'a str>> {
    let mut signs = BTreeSet::new();
    for (name, rule) in grammar {
        if !["escape", "hex", "digit", "unit", "word", "quoted", "text", "comment"].contains(&name.as_str()) {
            rule.walk(&mut |rule| match rule {
                Rule::Terminal(sign) if !sign.starts_with(char::is_alphabetic) => _ = signs.insert(sign.as_str()),
                _ => {}
            });
        }
    }
    let lexis = Lexis { grammar, text };
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        while let Some(end) = lexis.longest("blank", at).or_else(|| lexis.longest("comment", at)) {
            at = end;
        }
        if at == text.len() {
            return Some(tokens);
        }
        let mut longest = None;
        for token in TOKENS {
            longest = longest.max(lexis.longest(token, at));
        }
        for sign in signs.iter().filter(|sign| text[at..].starts_with(**sign)) {
            longest = longest.max(Some(at + sign.len()));
        }
        let end = longest?;
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text[at..].starts_with(goes_on) && text[end..].starts_with(goes_on) {
            return None;
        }
        tokens.push(&text[at..end]);
        at = end;
    }
}

/// A grammar over characters.
struct Lexis<'a> {
    grammar: &'a Grammar,
    text: &'a str,
}

impl Lexis<'_> {
    fn longest(&self, name: &str, at: usize) -> Option<usize> {
        self.ends(&self.grammar[name], at).into_iter().next_back()
    }

    fn ends(&self, rule: &Rule, at: usize) -> Ends {
        let next = self.text[at..].chars().next();
        let one = |takes: fn(char) -> bool| next.filter(|c| takes(*c)).map(|c| at + c.len_utf8()).into_iter().collect();
        match rule {
            Rule::Terminal(sign) => self.text[at..].starts_with(sign.as_str()).then_some(at + sign.len()).into_iter().collect(),
            Rule::Named(name) => self.ends(&self.grammar[name], at),
            Rule::InWords(words) => match words.as_str() {
                "any but a line end" => one(|c| c != '\n'),
                "a blank, a tab, or a line end" => one(|c| " \t\r\n".contains(c)),
                "a to z, A to Z" => one(|c| c.is_ascii_alphabetic()),
                other => panic!("`{other}` is not known"),
            },
            _ => combined(rule, at, &mut |rule, at| self.ends(rule, at)),
        }
    }
}

/// A grammar over tokens.
struct Syntax<'a> {
    grammar: &'a Grammar,
    tokens: &'a [&'a str],
}

type Known<'a> = BTreeMap<(&'a str, usize), Ends>;

impl<'a> Syntax<'a> {
    fn ends(&self, name: &'a str, at: usize, known: &mut Known<'a>) -> Ends {
        if let Some(ends) = known.get(&(name, at)) {
            return ends.clone();
        }
        let ends = self.rule_ends(&self.grammar[name], at, known);
        known.insert((name, at), ends.clone());
        ends
    }

    fn rule_ends(&self, rule: &'a Rule, at: usize, known: &mut Known<'a>) -> Ends {
        let token = self.tokens.get(at).copied();
        let one = |fits: bool| if fits { Ends::from([at + 1]) } else { Ends::new() };
        match rule {
            Rule::Terminal(sign) => one(token == Some(sign)),
            Rule::Named(name) if TOKENS.contains(&name.as_str()) || name == "whole" => {
                one(token.is_some_and(|token| Lexis { grammar: self.grammar, text: token }.longest(name, 0) == Some(token.len())))
            }
            Rule::Named(name) => self.ends(name, at, known),
            Rule::InWords(_) => panic!("characters are no part of tokens"),
            _ => combined(rule, at, &mut |rule, at| self.rule_ends(rule, at, known)),
        }
    }
}

fn combined<'a>(rule: &'a Rule, at: usize, ends: &mut impl FnMut(&'a Rule, usize) -> Ends) -> Ends {
    match rule {
        Rule::OneOf(rules) => rules.iter().flat_map(|rule| ends(rule, at)).collect(),
        Rule::Row(rules) => rules.iter().fold(Ends::from([at]), |reached, rule| reached.into_iter().flat_map(|at| ends(rule, at)).collect()),
        Rule::Repeated(rule) => {
            let mut all = Ends::from([at]);
            let mut new = vec![at];
            while let Some(at) = new.pop() {
                new.extend(ends(rule, at).into_iter().filter(|end| all.insert(*end)));
            }
            all
        }
        Rule::Except(rule, but) => {
            let not = ends(but, at);
            ends(rule, at).into_iter().filter(|end| !not.contains(end)).collect()
        }
        Rule::Terminal(_) | Rule::Named(_) | Rule::InWords(_) => unreachable!("made of nothing"),
    }
}
