//! Bits that ask a text field to contain, begin or end with something, or to match a regular expression: all their literals are looked for together.
//!
//! A regular expression is filed under what each of its matches must have in it, if that is one of a few literals, and is asked where one of them is found. So the ten thousandth
//! pattern that looks for a word costs an event nothing but that word's part in the automaton (A. Aho, M. Corasick, CACM 18(6), 1975; the `aho-corasick` crate).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use regex::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};
use smallvec::SmallVec;

use crate::engine::index::filed::{Posting, Postings};
use crate::event::Value;
use crate::pattern::{Expression, FieldPath, Function};

/// What is filed under literals of one field.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) path: FieldPath,
    /// Places in `postings`.
    literals: BTreeMap<Literal, usize>,
    /// In the order in which they came; once all are there, that in which they are looked for.
    postings: Vec<(Literal, Postings)>,
    searcher: Option<AhoCorasick>,
}

/// What a text must have in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Literal {
    bytes: Vec<u8>,
    stands: Stands,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stands {
    Anywhere,
    AtTheStart,
    AtTheEnd,
}

/// A conjunct that has literals.
pub(super) struct AskedFor<'a> {
    pub(super) path: &'a FieldPath,
    /// One of them is there where the conjunct holds.
    pub(super) literals: Vec<Literal>,
    /// And where one of them is there, the conjunct holds.
    pub(super) is_all: bool,
}

/// An expression with more literals is not filed under them, nor one with a shorter literal: it would be found too often.
const LITERALS_MAX: usize = 64;
const BYTES_MIN: usize = 2;

/// So many parts of an expression are tried: each costs a look at all behind it.
const PARTS_MAX: usize = 64;

impl<'a> AskedFor<'a> {
    /// `None`: the conjunct is something else.
    pub(super) fn by(conjunct: &'a Expression) -> Option<Self> {
        match conjunct {
            Expression::Matches { text, regex } => {
                let Expression::Field(path) = &**text else { return None };
                Some(Self { path, literals: literals_of(regex)?, is_all: false })
            }
            Expression::Call { function, arguments } => {
                let stands = match function {
                    Function::Contains => Stands::Anywhere,
                    Function::StartsWith => Stands::AtTheStart,
                    Function::EndsWith => Stands::AtTheEnd,
                    _ => return None,
                };
                let [Expression::Field(path), Expression::Constant(Value::Text(part))] = &arguments[..] else { return None };
                let literal = Literal { bytes: part.as_bytes().to_vec(), stands };
                (!part.is_empty()).then(|| Self { path, literals: vec![literal], is_all: true })
            }
            _ => None,
        }
    }
}

/// One of these is in every text that matches: what the rest of a match must begin with from one of the parts of the expression on, or the whole must end with. The longest are found least often.
fn literals_of(regex: &Regex) -> Option<Vec<Literal>> {
    let hir = regex_syntax::parse(regex.as_str()).ok()?;
    let of_kind = |kind: ExtractKind, hir: &Hir| {
        let found = Extractor::new().kind(kind).limit_total(LITERALS_MAX).extract(hir);
        let literals = found.literals()?.iter().map(|literal| Literal { bytes: literal.as_bytes().to_vec(), stands: Stands::Anywhere });
        let literals: Vec<Literal> = literals.collect();
        (shortest(&literals) >= BYTES_MIN).then_some(literals)
    };
    let parts = if let HirKind::Concat(parts) = hir.kind() { &parts[..] } else { std::slice::from_ref(&hir) };
    let from_each = (0..parts.len().min(PARTS_MAX)).filter_map(|place| of_kind(ExtractKind::Prefix, &Hir::concat(parts[place..].to_vec())));
    from_each.chain(of_kind(ExtractKind::Suffix, &hir)).min_by_key(|literals| (Reverse(shortest(literals)), literals.len()))
}

/// The length of the shortest; 0 where there are none.
fn shortest(literals: &[Literal]) -> usize {
    literals.iter().map(|literal| literal.bytes.len()).min().unwrap_or(0)
}

impl Texts {
    pub(super) fn of(path: &FieldPath) -> Self {
        Self { path: path.clone(), literals: BTreeMap::new(), postings: Vec::new(), searcher: None }
    }

    pub(super) fn file(&mut self, literal: &Literal, posting: Posting) {
        let place = *self.literals.entry(literal.clone()).or_insert_with(|| {
            self.postings.push((literal.clone(), Postings::default()));
            self.postings.len() - 1
        });
        self.postings[place].1.file(posting);
    }

    /// What is filed under the literals that the value has in it, each once.
    pub(super) fn found(&self, value: &Value) -> impl Iterator<Item = &Postings> {
        let mut places: SmallVec<[usize; 8]> = SmallVec::new();
        if let (Value::Text(text), Some(searcher)) = (value, &self.searcher) {
            for found in searcher.find_overlapping_iter(text.as_bytes()) {
                let place = found.pattern().as_usize();
                let fits = match self.postings[place].0.stands {
                    Stands::Anywhere => true,
                    Stands::AtTheStart => found.start() == 0,
                    Stands::AtTheEnd => found.end() == text.len(),
                };
                if fits {
                    places.push(place);
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.postings[place].1)
    }

    /// All are there.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = &mut Postings> {
        let literals = self.postings.iter().map(|(literal, _)| &literal.bytes);
        self.searcher = Some(AhoCorasick::new(literals).expect("literals of patterns are far fewer than the automaton can hold"));
        self.postings.iter_mut().map(|(_, postings)| postings)
    }
}
