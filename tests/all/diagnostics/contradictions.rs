//! Conditions that can never all hold: told exactly, as trying values does; and where they are told.

use std::collections::BTreeSet;
use std::fmt::Write;

use motif::language::{Code, Source, compile};

use super::{codes, compiled, only, pattern};

/// A part of a condition on `x`, and whether it holds of a value; `None` is null.
type Part = (&'static str, fn(Option<i32>) -> bool);

/// Values stand for halves: 2 is 1.0, and 3 lies between the bounds 1 and 2.
const PARTS: [Part; 18] = [
    ("x == 1", |x| x == Some(2)),
    ("x == 2.00", |x| x == Some(4)),
    ("x != 1", |x| x.is_some_and(|x| x != 2)),
    ("not (x == 2)", |x| x != Some(4)),
    ("not (x != 2)", |x| x.is_none_or(|x| x == 4)),
    ("x < 2", |x| x.is_some_and(|x| x < 4)),
    ("1 >= x", |x| x.is_some_and(|x| x <= 2)),
    ("x > 1.0", |x| x.is_some_and(|x| x > 2)),
    ("2 <= x", |x| x.is_some_and(|x| x >= 4)),
    ("not (x < 2)", |x| x.is_none_or(|x| x >= 4)),
    ("not (x >= 2)", |x| x.is_none_or(|x| x < 4)),
    ("x <= 2", |x| x.is_some_and(|x| x <= 4)),
    ("x in [1, 2]", |x| x.is_some_and(|x| x == 2 || x == 4)),
    ("x not in [2, 3]", |x| x.is_none_or(|x| x != 4 && x != 6)),
    ("x not in [1]", |x| x != Some(2)),
    ("x is null", |x| x.is_none()),
    ("x is not null", |x| x.is_some()),
    ("x > y", |x| x.is_some()),
];

#[test]
fn three_parts_are_told_apart_from_what_can_hold_exactly() {
    let values: Vec<Option<i32>> = (0..=8).map(Some).chain([None]).collect();
    for (first, first_holds) in PARTS {
        let mut text = "stream s { x: decimal?, y: decimal }\n".to_owned();
        let mut expected = BTreeSet::new();
        let pairs = PARTS.iter().flat_map(|second| PARTS.iter().map(move |third| (second, third)));
        for (line, ((second, second_holds), (third, third_holds))) in (2..).zip(pairs) {
            writeln!(text, "define d{line} = s where {first} and {second} and {third}").expect("text takes all");
            if !values.iter().any(|value| first_holds(*value) && second_holds(*value) && third_holds(*value)) {
                expected.insert(line);
            }
        }
        let compiled = compile(&[Source { path: "s.motif".to_owned(), text: text.clone() }]);
        assert!(!compiled.has_errors(), "{:#?}", compiled.diagnostics);
        let told = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::Contradiction);
        let told: Vec<usize> = told.map(|diagnostic| 1 + text[..diagnostic.primary.span.start as usize].matches('\n').count()).collect();
        let lines: BTreeSet<usize> = told.iter().copied().collect();
        let differing: Vec<&str> = lines.symmetric_difference(&expected).map(|line| text.lines().nth(line - 1).expect("a line")).collect();
        assert!(differing.is_empty(), "{differing:#?}");
        assert_eq!(told.len(), lines.len(), "each is told once");
    }
}

#[test]
fn contradictions_are_found_wherever_conditions_are_joined() {
    let wrong = [
        "match a: payments where status == \"x\" and status == \"y\"",
        "match a: payments where status > \"b\" and status < \"a\"",
        "match a: payments where approved and not approved",
        "match a: payments where approved == false and approved",
        "match a: payments where approved != true and approved != false",
        "match a: payments where amount > 0.1 and amount < 0.10",
        "match a: payments where score > 2 and score < 1.5",
        "match a: payments where hold > 1h and hold < 60m",
        "match a: payments where place.lat > 5 and place.lat < 3",
        "match a: payments where lower(status) == \"x\" and lower(status) == \"y\"",
        "match a: payments where amount * 2 > 5 and amount * 2 < 3",
        "match a: payments where (amount > 5 and approved) and (amount < 3 and tries > 1)",
        "match a: payments where tries > 9 or (amount > 5 and amount < 3)",
        "match a: payments where if(amount > 5 and amount < 3, approved, tries > 1)",
        "match a: payments where count(payments over 5m) > 5 and count(payments over 5m) < 2",
        "match a: payments then b: payments where a.amount > 5 and a.amount < 3 within 1h",
        "match a: payments where country is null and matches(country, \"D\")",
        "match a+: payments until amount > 5 and amount < 3 within 1h",
        "match a: payments then not n: payments where amount > 5 and amount < 3 for 5m",
        "match a: payments then b: payments without n: payments where amount > 5 and amount < 3 within 1h",
        "match a: payments emit a.amount > 5 and a.amount < 3 as odd",
        "match a: approved_payments where amount > 5 and status == \"declined\"",
        "match a: payments then b: payments without n: approved_payments where status == \"declined\" within 1h",
    ];
    for inside in wrong {
        assert_eq!(codes(&pattern(inside)), only(Code::Contradiction), "{inside}");
    }
    assert_eq!(codes(&compiled("define odd = approved_payments where status == \"declined\"")), only(Code::Contradiction));
}

#[test]
fn what_may_hold_is_no_contradiction() {
    let sound = [
        "match a: payments where amount > 3 and amount < 5",
        "match a: payments where amount >= 5 and amount <= 5",
        "match a: payments where status == \"x\" or status == \"y\"",
        "match a: payments then b: payments where a.status == \"x\" and status == \"y\" within 1h",
        "match a: payments then b: payments where amount > a.amount and amount < 5 within 1h",
        "match a: payments where count(payments over 5m) > 5 and count(payments over 10m) < 2",
        "match a: payments where approved or not approved",
        "match a: payments where tries > 3 and (tries < 2 or amount > 5)",
        "match a: approved_payments where status == \"approved\"",
        "match a: payments where status > \"a\" and status < \"aa\"",
    ];
    for inside in sound {
        assert_eq!(codes(&pattern(inside)), BTreeSet::new(), "{inside}");
    }
}

#[test]
fn of_what_has_an_error_nothing_more_is_said() {
    let unknown = pattern("match a: payments where amuont > 5 and amuont < 3 and not zzz and zzz");
    assert_eq!(codes(&unknown), only(Code::UnknownField));
}
