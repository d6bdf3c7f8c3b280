//! Of the runner itself: what passes, what fails, and what a failure says.

use crate::language::{Source, compile};
use crate::testing::{Coverage, TestReport, run, run_covered};

const PATTERN: &str = r#"
stream payments {
  card: string
  amount: decimal
  at: timestamp
  time at, late after 5s
}

stream refunds {
  card: string
  at: timestamp
  time at
}

pattern raised {
  from payments, refunds by card
  match small{2,}: payments where amount < 2
   then large: payments where amount > 100
  within 1m
  on timeout emit card
  emit card, count(small) as n, large.amount as amount
}
"#;

fn reports(tests: &str) -> Vec<TestReport> {
    let text = format!("{PATTERN}\n{tests}");
    let compiled = compile(&[Source { path: "it.motif".to_owned(), text }]);
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
    compiled.tests.iter().map(|test| run(&compiled.program, test)).collect()
}

fn report(lines: &str) -> TestReport {
    reports(&format!("test \"it\" of raised {{\n{lines}\n}}\n")).remove(0)
}

const RAISED: &str = r#"
  0s payments { card: "1", amount: 1 }
  9s payments { card: "1", amount: 1 }
  1s payments { card: "2", amount: 1 }
  20s payments { card: "1", amount: 500 }
"#;

#[test]
fn what_is_expected_comes_out() {
    for expected in [
        "expect match at 20s { n: 2, amount: 500.00, card: \"1\" } expect late at 1s expect none",
        "expect match expect late at 1s expect none",
        "expect late at 1s",
        "",
    ] {
        let report = report(&format!("{RAISED}{expected}"));
        assert!(report.passed, "{expected}: {report}");
        assert_eq!(report.to_string(), "ok    raised: it");
    }
}

#[test]
fn what_differs_is_said() {
    let report = report(&format!("{RAISED}expect match at 20s {{ n: 3 }} expect none"));
    assert!(!report.passed);
    assert_eq!(
        report.to_string(),
        r#"FAIL  raised: it
      expected, did not come out: match at 20s { n: 3 }
      came out, not expected:     late at 1s: 1s payments { card: "2", amount: 1 }
      came out, not expected:     match at 20s { card: "1", n: 2, amount: 500 }
        small  0s payments { card: "1", amount: 1 }
        small  9s payments { card: "1", amount: 1 }
        large  20s payments { card: "1", amount: 500 }"#
    );
}

#[test]
fn a_record_is_told_with_the_names_of_its_fields() {
    let text = r#"
stream s { r: { a: int?, b: int?, inner: { c: list of { d: int? } }? }  at: timestamp  time at }
pattern p { from s match x: s emit x.r }
pattern whole { from s match x+: s then y: s within 1s on timeout emit x emit y }
test "one" of p { 0s s { r: { a: 1, inner: { c: [{ d: 3 }, {}] } } } expect match at 0s { r: { a: 2 } } expect none }
test "several" of whole {
  0s s { r: { a: 1 } }
  expect match { y: { r: { b: 7 }, at: "2000-01-01T00:00:00Z" } }
  expect timeout { x: [{ r: {}, at: "2000-01-01T00:00:00Z" }] }
}
"#;
    let compiled = compile(&[Source { path: "it.motif".to_owned(), text: text.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    let told: String = compiled.tests.iter().map(|test| run(&compiled.program, test).to_string() + "\n").collect();
    for said in [
        "match at 0s { r: { a: 2 } }\n",
        "match at 0s { r: { a: 1, inner: { c: [{ d: 3 }, {}] } } }\n",
        "match { y: { r: { b: 7 }, at: \"2000-01-01T00:00:00Z\" } }\n",
        "timeout { x: [{ r: {}, at: \"2000-01-01T00:00:00Z\" }] }\n",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
}

#[test]
fn a_line_is_answered_by_one_result_and_a_result_answers_one_line() {
    let two = r#"
  0s payments { card: "1", amount: 1 }
  1s payments { card: "1", amount: 1 }
  2s payments { card: "2", amount: 1 }
  3s payments { card: "2", amount: 1 }
  4s payments { card: "2", amount: 1 }
  20s payments { card: "1", amount: 500 }
  21s payments { card: "2", amount: 500 }
"#;
    // The first line fits both, and has to leave the first result to the second.
    let report = report(&format!("{two}expect match expect match {{ n: 2 }} expect none"));
    assert!(report.passed, "{report}");
    let more = self::report(&format!("{two}expect match {{ n: 2 }} expect match {{ n: 2 }}"));
    assert_eq!(more.failures.len(), 2, "{more}");
    assert!(more.to_string().contains("came out as well"), "{more}");
}

/// Without a line about it the watermark is 5 s behind the newest payment.
#[test]
fn a_said_watermark_takes_the_place_of_the_one_that_follows_from_events() {
    let cases = [
        // Not late by the newest payment any more, from the start of the test on.
        r#"9s payments { card: "1", amount: 1 } 0s payments { card: "1", amount: 1 } 20s payments { card: "1", amount: 500 }
           20s watermark payments expect match at 20s { n: 2 } expect none"#,
        // At the watermark is late, a microsecond behind it is not.
        r#"9s watermark payments 9s payments { card: "1", amount: 1 } 9s1us payments { card: "1", amount: 1 } expect late at 9s expect timeout expect none"#,
        // The other stream goes on by itself, and the watermark that counts is the least.
        r#"0s payments { card: "1", amount: 1 } 1s payments { card: "1", amount: 1 } 30s refunds { card: "1" } 5s refunds { card: "1" }
           9s payments { card: "1", amount: 500 } 10s watermark payments 9s payments { card: "2", amount: 1 }
           expect match at 9s expect late at 5s expect late at 9s expect none"#,
        // A watermark alone opens its stream, and holds everything back.
        r#"30s refunds { card: "1" } 0s watermark payments 31s refunds { card: "1" } 30s1us payments { card: "1", amount: 1 } expect timeout expect none"#,
    ];
    for lines in cases {
        let report = report(lines);
        assert!(report.passed, "{lines}\n{report}");
    }
}

#[test]
fn every_case_of_a_table_is_a_test_of_its_own() {
    let table = r#"
table "how large, and how soon" of raised from "2026-01-31T08:00:00Z" {
  columns first, large, soon, refund
  0s     payments { card: "1", amount: first }
  1s     payments { card: "1", amount: 1 }
  refund refunds  { card: "1" }
  soon   payments { card: "1", amount: large }
  soon   watermark payments

  case "as it should be":   1.99, 100.01, 59s,  2s   expect match at 59s { n: 2, amount: 100.01 } expect none
  case "at the same time":  0,    101,    1s,   0s   expect match at 1s expect none
  case "not small":         2,    101,    59s,  none expect timeout expect none
  case "nothing large":     1,    101,    none, none expect timeout at 1m expect timeout at 1m1s expect none
  case "said wrongly":      1,    101,    60s,  none expect match
}
"#;
    let reports = reports(table);
    let told: Vec<(&str, bool)> = reports.iter().map(|report| (report.name.as_str(), report.passed)).collect();
    let name = |case: &str| format!("how large, and how soon: {case}");
    let expected = [("as it should be", true), ("at the same time", true), ("not small", true), ("nothing large", true), ("said wrongly", false)];
    let expected: Vec<(String, bool)> = expected.map(|(case, passed)| (name(case), passed)).into();
    assert_eq!(told, expected.iter().map(|(name, passed)| (name.as_str(), *passed)).collect::<Vec<_>>(), "{reports:#?}");
    let lines = PATTERN.lines().count() as u32;
    let text = format!("{PATTERN}\n{table}");
    for (report, line) in reports.iter().zip(lines + 10..) {
        let before = &text[..report.span.start as usize];
        assert_eq!(before.matches('\n').count() as u32, line, "{}", report.name);
    }
}

const EVERY_POINT: &str = r#"
define small = payments where amount < 2
pattern every {
  from payments, refunds by card
  match a+ each within 30s: small until amount == 0
   then not r: refunds
   then within 20s b?: payments where amount > 100 and amount < 200
   then c: payments where amount > 500 or amount == 300
   then not n: refunds for 5s
  without w: refunds between a and c
  within 10m
  suppress 1h by card
  emit card
}
"#;

/// The numbers are lines.
const ALL_POINTS: [&str; 26] = [
    "4 `a` never took an event",
    "4 a: `amount < 2` was never true",
    "4 a: `amount < 2` was never false",
    "4 `a` never took two events in one match",
    "4 `each within 30s` of `a` was never over",
    "4 `until` never closed the loop of `a`",
    "4 a: `amount == 0` was never true",
    "4 a: `amount == 0` was never false",
    "5 `r` never came",
    "6 `b` was never left out of a match",
    "6 `within 20s` before `b` was never over",
    "6 `b` never took an event",
    "6 b: `amount > 100` was never true",
    "6 b: `amount > 100` was never false",
    "6 b: `amount < 200` was never true",
    "6 b: `amount < 200` was never false",
    "7 `c` never took an event",
    "7 c: `amount > 500` was never true",
    "7 c: `amount > 500` was never false",
    "7 c: `amount == 300` was never true",
    "7 c: `amount == 300` was never false",
    "8 `n` never came",
    "8 time never passed without `n`",
    "9 `w` never came",
    "10 `within 10m` was never over",
    "11 `suppress 1h` never held a match back",
];

/// What the tests have not reached, with the lines of [`EVERY_POINT`].
fn missed(tests: &str) -> Vec<String> {
    let text = format!("{PATTERN}{EVERY_POINT}{tests}");
    let sources = [Source { path: "it.motif".to_owned(), text }];
    let compiled = compile(&sources);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    let coverage = Coverage::new(&compiled.program, &sources);
    for test in &compiled.tests {
        let [plain, covered] = [run(&compiled.program, test), run_covered(&compiled.program, test, &coverage)];
        assert_eq!((plain.failures, covered.passed), (covered.failures, true), "{tests}");
    }
    let report = coverage.reports().into_iter().find(|report| report.pattern == "every").expect("the pattern");
    assert_eq!(report.tests, compiled.tests.len());
    assert!(report.missed.len() <= report.points);
    let line = |start: u32| sources[0].text[PATTERN.len()..start as usize].matches('\n').count();
    report.missed.iter().map(|missed| format!("{} {}", line(missed.span.start), missed.what)).collect()
}

#[test]
fn coverage_tells_what_no_test_has_reached() {
    let test = |lines: &str| format!("test \"t\" of every {{ {lines} expect none }}\n");
    let all = missed("");
    assert_eq!(all, ALL_POINTS);
    let cases: [(&str, &[&str]); 8] = [
        (r#"0s payments { card: "1", amount: 5 }"#, &["a: `amount < 2` was never false"]),
        // Two small ones; time runs out on the way to each next.
        (
            r#"0s payments { card: "1", amount: 1 } 1s payments { card: "1", amount: 1 }"#,
            &[
                "`a` never took an event",
                "a: `amount < 2` was never true",
                "`a` never took two events in one match",
                "a: `amount == 0` was never false",
                "`each within 30s` of `a` was never over",
                "`within 20s` before `b` was never over",
                "`within 10m` was never over",
            ],
        ),
        (
            r#"0s payments { card: "1", amount: 1 } 1s payments { card: "1", amount: 0 }"#,
            &["`until` never closed the loop of `a`", "a: `amount == 0` was never true"],
        ),
        (r#"0s payments { card: "1", amount: 1 } 1s refunds { card: "1" }"#, &["`r` never came", "`w` never came"]),
        (
            r#"0s payments { card: "1", amount: 1 } 1s payments { card: "1", amount: 150 } 2s payments { card: "1", amount: 300 } expect match at 7s"#,
            &[
                "`b` never took an event",
                "b: `amount > 100` was never true",
                "b: `amount < 200` was never true",
                "`c` never took an event",
                "c: `amount == 300` was never true",
                "time never passed without `n`",
            ],
        ),
        (
            r#"0s payments { card: "1", amount: 1 } 2s payments { card: "1", amount: 600 } 3s refunds { card: "1" }"#,
            &["c: `amount > 500` was never true", "`n` never came"],
        ),
        (r#"0s payments { card: "1", amount: 1 } 2s payments { card: "1", amount: 600 } expect match at 7s"#, &["`b` was never left out of a match"]),
        (
            r#"0s payments { card: "1", amount: 1 } 2s payments { card: "1", amount: 600 } 30s payments { card: "1", amount: 1 }
               32s payments { card: "1", amount: 600 } expect match at 7s"#,
            &["`suppress 1h` never held a match back"],
        ),
    ];
    for (lines, expected) in cases {
        let left = missed(&test(lines));
        let reached: Vec<&String> = all.iter().filter(|point| !left.contains(point)).collect();
        for point in expected {
            assert!(reached.iter().any(|reached| reached.ends_with(point)), "{lines}: {point} is among {reached:#?}");
        }
    }
}
