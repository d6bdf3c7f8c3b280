//! Every word of the grammar, misspelt wherever it may stand.

use std::collections::BTreeSet;

use motif::language::{Code, Diagnostic};

use super::parsed;

/// Every word of the grammar, and at the end a mistake of another sort.
const TEXT: &str = r#"stream payments {
  card: string
  tags: list of string
  at: timestamp
  time at, late after 5s
}
list trusted = ["DE"]
define big = payments where amount > 10 and not ok
define seen = payments where card in trusted or amount is not null
pattern p {
  from payments, big by card
  match a: payments where count(payments over tumbling 1h) > 3
   then next b+ greedy consecutive each within 5s: payments where ok until amount > 5
   then any c{2} combinations: big where sum(payments.amount over session 5m) > 1
   then within 5s d: payments where card not in trusted
   then not n: payments where count(payments over 10m) > 3
   then all ( e: payments, f: payments )
   then ( g: payments | h: payments then i: payments )
   then next not o: payments for 5m
  without w: payments where ok between a and b
  within 1h
  skip past last
  emit a.card as x, count(b) as n
  on timeout emit a.card
  suppress 1h by card
  limit runs 5
  meta { owner: true, other: false, third: null }
}
pattern q { from payments match all ( a: payments, b: payments ) skip none within 1m }
pattern r { from payments match a: payments skip to next within 1m }
pattern s { from payments match a: payments skip to first a within 1m }
pattern t { from payments match a: payments skip to last a within 1m }
test "1" of p from "2026-01-31T08:00:00Z" {
  0s payments { card: "1", ok: true }
  5s watermark payments
  expect match at 5s { n: 1 }
  expect timeout at 6s
  expect late at 3s
  expect none
}
table "2" of q {
  columns k
  0s payments { card: k }
  5s watermark payments
  case "3": none expect none
  case "4": 5s expect match expect late at 5s
}
list two = [1 2]
"#;

/// The words of the grammar, without those that are only kept free.
fn words() -> BTreeSet<&'static str> {
    let grammar = include_str!("../../../grammar/motif.ebnf");
    let (_, productions) = grammar.split_once("*)").expect("a head");
    let (productions, _) = productions.split_once("(* Words and signs *)").expect("words stand at the end");
    productions.split('"').skip(1).step_by(2).filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).collect()
}

/// Words of [`TEXT`] that are words of the grammar where they stand, with the places of their first letters.
fn places() -> Vec<(usize, &'static str)> {
    let words = words();
    let mut places = Vec::new();
    let mut start = 0;
    for word in TEXT.split(|c: char| !c.is_ascii_alphabetic()) {
        let (before, after) = (TEXT[..start].trim_end(), TEXT[start + word.len()..].trim_start());
        let is_name = after.starts_with(':') && !["greedy", "consecutive", "combinations"].contains(&word)
            || word == "at" && (before.ends_with("time") || before.ends_with("string"));
        if words.contains(word) && !is_name {
            places.push((start, word));
        }
        start += word.len() + 1;
    }
    places
}

/// A letter left out, doubled, changed; neighbours swapped; in capitals.
fn misspelt(word: &str) -> BTreeSet<String> {
    let (begin, end) = word.split_at(word.len() - 2);
    let swapped: String = end.chars().rev().collect();
    let mut all = BTreeSet::from([format!("{begin}{swapped}"), format!("{word}{}", &end[1..]), word.to_uppercase(), word[..1].to_uppercase() + &word[1..]]);
    if word.len() > 2 {
        all.extend([format!("{}{}", &word[..1], &word[2..]), word[..word.len() - 1].to_owned()]);
    }
    if word.len() > 3 {
        all.insert(format!("{}q{}", &word[..2], &word[3..]));
    }
    let words = words();
    all.retain(|misspelt| !words.contains(misspelt.as_str()));
    all
}

#[test]
fn every_misspelt_word_is_said_once_and_hides_nothing() {
    let places = places();
    assert_eq!(places.iter().map(|(_, word)| *word).collect::<BTreeSet<_>>(), words(), "the text has every word");
    let [last] = &parsed(TEXT).diagnostics[..] else { panic!("one mistake") };
    for (start, word) in places {
        for misspelt in misspelt(word) {
            let text = format!("{}{misspelt}{}", &TEXT[..start], &TEXT[start + word.len()..]);
            let parsed = parsed(&text);
            let said = |diagnostic: &Diagnostic| diagnostic.help.as_ref().is_some_and(|help| help.contains(&format!("`{word}`")));
            let [found, other] = &parsed.diagnostics[..] else { panic!("`{misspelt}` for `{word}`: {:#?}\n{text}", parsed.diagnostics) };
            assert!(said(found), "`{misspelt}` for `{word}`: {found:#?}");
            assert!([Code::Unexpected, Code::ForeignSpelling, Code::NotLiteral].contains(&found.code), "{found:#?}");
            assert_eq!((other.code, &other.message), (last.code, &last.message), "behind `{misspelt}`");
        }
    }
}
