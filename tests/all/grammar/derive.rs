//! Random texts that a grammar derives, token by token.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::notation::{Grammar, Rule};

/// What stands for the productions that are made of characters.
const SAMPLES: [(&str, &[&str]); 7] = [
    (
        "name",
        &["a", "b", "payments", "count", "amount", "match_", "`from`", "`@time`", "late", "time", "list", "test", "stream", "first", "watermark", "case", "_1"],
    ),
    (
        "free_name",
        &["a", "payments", "amount", "from", "where", "`a b`", "match", "time", "late", "list", "stream", "expect", "none", "at", "true", "watermark", "case"],
    ),
    ("text", &["\"\"", "\"a\"", "\"# no comment\"", r#""\" \\ \/ \b \u00e9 \n""#, "\"日本\"", "\"'\""]),
    ("number", &["0", "1", "12", "1.5", "0.00", "99999999999999999999"]),
    ("whole", &["2"]),
    ("duration", &["1s", "10m", "1h30m", "500us", "7d", "1d2h3m4s5ms6us"]),
    ("type", &["int", "string", "decimal", "`list`", "from"]),
];

pub struct Maker<'a> {
    grammar: &'a Grammar,
    /// Tokens that a production takes at least.
    least: BTreeMap<&'a str, usize>,
    random: &'a mut ChaCha8Rng,
    tokens: Vec<String>,
    /// Tokens up to which choices are free; after them the shortest way is taken.
    tokens_max: usize,
}

/// Tokens that `file` derives: items until there are so many.
pub fn tokens(grammar: &Grammar, random: &mut ChaCha8Rng, tokens_max: usize) -> Vec<String> {
    let mut maker = Maker { grammar, least: least_tokens(grammar), random, tokens: Vec::new(), tokens_max };
    while maker.tokens.len() < tokens_max {
        maker.derive(&grammar["item"]);
    }
    maker.tokens
}

/// Tokens that `item` derives.
pub fn item(grammar: &Grammar, random: &mut ChaCha8Rng, tokens_max: usize) -> Vec<String> {
    let mut maker = Maker { grammar, least: least_tokens(grammar), random, tokens: Vec::new(), tokens_max };
    maker.derive(&grammar["item"]);
    maker.tokens
}

impl<'a> Maker<'a> {
    fn derive(&mut self, rule: &'a Rule) {
        let free = self.tokens.len() < self.tokens_max;
        match rule {
            Rule::Terminal(sign) => self.tokens.push(sign.clone()),
            Rule::Named(name) => {
                let sample = SAMPLES.iter().find(|(sampled, _)| sampled == name).map(|(_, samples)| samples);
                match sample {
                    Some(samples) if name != "type" || !free || self.random.random_bool(0.7) => {
                        self.tokens.push((*samples.choose(self.random).expect("not empty")).to_owned());
                    }
                    _ => self.derive(&self.grammar[name]),
                }
            }
            Rule::Row(rules) => rules.iter().for_each(|rule| self.derive(rule)),
            Rule::OneOf(rules) => {
                let any = rules.choose(self.random).filter(|_| free);
                let chosen = any.or_else(|| rules.iter().min_by_key(|rule| least(rule, &self.least)));
                self.derive(chosen.expect("one of some"));
            }
            Rule::Repeated(rule) => {
                while self.tokens.len() < self.tokens_max && self.random.random_bool(0.4) {
                    self.derive(rule);
                }
            }
            Rule::Except(rule, but) => loop {
                let start = self.tokens.len();
                self.derive(rule);
                let Rule::Terminal(but) = &**but else { panic!("of tokens, single ones are left out") };
                if self.tokens[start..] != [but.as_str()] {
                    break;
                }
                self.tokens.truncate(start);
            },
            Rule::InWords(_) => panic!("sampled before"),
        }
    }
}

fn least_tokens(grammar: &Grammar) -> BTreeMap<&str, usize> {
    let mut known: BTreeMap<&str, usize> = SAMPLES.iter().map(|(name, _)| (*name, 1)).collect();
    loop {
        let mut changed = false;
        for (name, rule) in grammar {
            let now = least(rule, &known);
            if now < known.get(name.as_str()).copied().unwrap_or(usize::MAX) {
                known.insert(name, now);
                changed = true;
            }
        }
        if !changed {
            return known;
        }
    }
}

fn least(rule: &Rule, known: &BTreeMap<&str, usize>) -> usize {
    match rule {
        Rule::Terminal(_) | Rule::InWords(_) => 1,
        Rule::Named(name) => known.get(name.as_str()).copied().unwrap_or(usize::MAX),
        Rule::Row(rules) => rules.iter().fold(0, |sum: usize, rule| sum.saturating_add(least(rule, known))),
        Rule::OneOf(rules) => rules.iter().map(|rule| least(rule, known)).min().unwrap_or(usize::MAX),
        Rule::Repeated(_) => 0,
        Rule::Except(rule, _) => least(rule, known),
    }
}
