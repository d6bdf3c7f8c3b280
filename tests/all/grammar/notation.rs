//! Reads the notation of `grammar/motif.ebnf`.

use std::collections::{BTreeMap, BTreeSet};

/// The right side of a production, or a part of one.
#[derive(Clone, PartialEq, Debug)]
pub enum Rule {
    /// `"a"`
    Terminal(String),
    /// `a`
    Named(String),
    /// `? a ?`
    InWords(String),
    /// `a | b`
    OneOf(Vec<Self>),
    /// `a b`; of nothing: nothing.
    Row(Vec<Self>),
    /// `{ a }`
    Repeated(Box<Self>),
    /// `a - b`
    Except(Box<Self>, Box<Self>),
}

pub type Grammar = BTreeMap<String, Rule>;

impl Rule {
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Terminal(_) | Self::Named(_) | Self::InWords(_) => Vec::new(),
            Self::OneOf(rules) | Self::Row(rules) => rules.iter().collect(),
            Self::Repeated(rule) => vec![rule],
            Self::Except(rule, but) => vec![rule, but],
        }
    }

    /// This and all that it is made of.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        self.parts().into_iter().for_each(|part| part.walk(visit));
    }
}

/// The names that follow from `roots`.
pub fn reached<'a>(grammar: &'a Grammar, roots: &[&'a str]) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = roots.to_vec();
    while let Some(name) = waiting.pop() {
        if let Some(rule) = grammar.get(name)
            && reached.insert(name)
        {
            rule.walk(&mut |rule| {
                if let Rule::Named(name) = rule {
                    waiting.push(name);
                }
            });
        }
    }
    reached
}

/// The productions of a text by name, each in its words with one blank between them. Comments are left out.
pub fn productions(text: &str) -> BTreeMap<String, String> {
    let mut productions = BTreeMap::new();
    let mut words: Vec<String> = Vec::new();
    for word in split(text) {
        if word == ";" {
            let name = words.first().expect("a production has a name").clone();
            let twice = productions.insert(name.clone(), words.join(" "));
            assert_eq!(twice, None, "{name} is produced twice");
            words.clear();
        } else {
            words.push(word);
        }
    }
    assert_eq!(words, Vec::<String>::new(), "a production ends in `;`");
    productions
}

pub fn read(productions: &BTreeMap<String, String>) -> Grammar {
    let mut grammar = Grammar::new();
    for (name, production) in productions {
        let words = split(production);
        assert_eq!(words[1], "=", "{production}");
        let mut reader = Reader { words: &words[2..] };
        let rule = reader.one_of();
        assert_eq!(reader.words, [""; 0], "left of: {production}");
        grammar.insert(name.clone(), rule);
    }
    grammar
}

/// Names, signs, terminals with their quotes, special sequences with their question marks.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (length, is_comment) = match first {
            '(' if rest.starts_with("(*") => (rest.find("*)").expect("a comment ends") + 2, true),
            '"' | '\'' | '?' => (rest[1..].find(first).unwrap_or_else(|| panic!("not closed: {rest}")) + 2, false),
            _ if first.is_alphabetic() => (rest.find(|c: char| !c.is_alphabetic() && c != '_').unwrap_or(rest.len()), false),
            _ => (first.len_utf8(), false),
        };
        if !is_comment {
            words.push(rest[..length].to_owned());
        }
        rest = rest[length..].trim_start();
    }
    words
}

struct Reader<'a> {
    words: &'a [String],
}

impl Reader<'_> {
    fn eat(&mut self, word: &str) -> bool {
        let eaten = self.words.first().is_some_and(|first| first == word);
        if eaten {
            self.words = &self.words[1..];
        }
        eaten
    }

    fn one_of(&mut self) -> Rule {
        let mut rules = vec![self.row()];
        while self.eat("|") {
            rules.push(self.row());
        }
        if rules.len() == 1 { rules.remove(0) } else { Rule::OneOf(rules) }
    }

    fn row(&mut self) -> Rule {
        let mut rules = Vec::new();
        while self.words.first().is_some_and(|word| !["|", ")", "]", "}"].contains(&word.as_str())) {
            let rule = self.part();
            rules.push(if self.eat("-") { Rule::Except(Box::new(rule), Box::new(self.part())) } else { rule });
        }
        if rules.len() == 1 { rules.remove(0) } else { Rule::Row(rules) }
    }

    fn part(&mut self) -> Rule {
        let (word, rest) = self.words.split_first().expect("a part of a production");
        self.words = rest;
        let between = || word[1..word.len() - 1].to_owned();
        match word.chars().next().expect("words are not empty") {
            '(' => self.until(")"),
            '[' => Rule::OneOf(vec![self.until("]"), Rule::Row(Vec::new())]),
            '{' => Rule::Repeated(Box::new(self.until("}"))),
            '"' | '\'' => Rule::Terminal(between()),
            '?' => Rule::InWords(between().trim().to_owned()),
            first if first.is_alphabetic() => Rule::Named(word.clone()),
            _ => panic!("{word} begins nothing"),
        }
    }

    fn until(&mut self, close: &str) -> Rule {
        let rule = self.one_of();
        assert!(self.eat(close), "{close} is missing before {:?}", self.words);
        rule
    }
}
