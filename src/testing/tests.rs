//! Of the runner itself: what passes, what fails, and what a failure says.

use crate::language::{Source, compile};
use crate::testing::{TestReport, run};

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

fn report(lines: &str) -> TestReport {
    let text = format!("{PATTERN}\ntest \"it\" of raised {{\n{lines}\n}}\n");
    let compiled = compile(&[Source { path: "it.motif".to_owned(), text }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    run(&compiled.program, &compiled.tests[0])
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
