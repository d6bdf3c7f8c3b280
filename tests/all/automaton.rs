//! Shapes of automata, as the printed dump. `UPDATE_EXPECT=1` writes `automaton.expected` anew: read the difference.

use std::fmt::Write;
use std::path::Path;

use motif::automaton::Automaton;
use motif::language::{Severity, Source, compile};

const SCHEMA: &str = "stream ev {\n  id: int\n  t: string\n  v: int\n  ts: timestamp\n  time ts\n}\n\n";

/// What a shape is for, and the clauses of its pattern.
const SHAPES: [(&str, &str); 13] = [
    ("one event", r#"match a: ev where t == "A""#),
    ("then, next, any", r#"match a: ev where t == "A" then b: ev where v > a.v then next c: ev then any d: ev"#),
    ("what may be left out: the last connective on the way decides", r#"match a: ev then next b?: ev where t == "B" then c: ev where t == "C""#),
    ("an open loop leads back to itself", r#"match a+: ev where t == "A" then b: ev where t == "B""#),
    ("a bounded loop is unrolled", r#"match a{2,3} consecutive: ev where t == "A" then b: ev where t == "B""#),
    ("greedy, and what closes the loop", r#"match a{1,2} greedy each within 5s: ev where t == "A" until v > 3 then b: ev"#),
    ("a group is unrolled whole", r#"match ( a: ev where t == "A" then next b: ev where t == "B" ){2} then c: ev where t == "C""#),
    ("either", r#"match a: ev then ( b: ev where t == "B" | c: ev where t == "C" then d: ev )"#),
    ("all, in any order: a node for each step and what is taken already", r#"match a: ev then all ( b: ev where t == "B", c: ev where t == "C", d: ev where t == "D" )"#),
    ("absences in between", r#"match a: ev then not n: ev where t == "N" then next not m: ev where t == "M" then within 30s b: ev"#),
    ("absences at the end", r#"match a: ev then not n: ev where t == "N" for 5m then not m: ev where t == "M" within 1h"#),
    ("only the very next event is awaited", r#"match a: ev then next not n: ev where t == "N" within 10s"#),
    ("without: whatever is sure to reach its second end goes", r#"match a: ev then b?: ev where t == "B" then c: ev where t == "C" without n: ev where t == "N" between a and b without m: ev where v > 5"#),
];

#[test]
fn shapes_are_as_expected() {
    let mut printed = String::new();
    for (title, clauses) in SHAPES {
        let text = format!("{SCHEMA}pattern p {{ from ev {clauses} }}");
        let compiled = compile(&[Source { path: "p.motif".to_owned(), text }]);
        let refused = compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        assert!(!refused, "{clauses}: {:#?}", compiled.diagnostics);
        let automaton = Automaton::compile(compiled.program.patterns[0].clone());
        write!(printed, "# {title}\n# {clauses}\n{}\n", automaton.dump(&compiled.program.schema)).expect("text takes all");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/automaton.expected");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &printed).expect("the expectation can be written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    for (printed, expected) in printed.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(printed, expected, "\n{printed}\n\nUPDATE_EXPECT=1 takes it as it is now");
    }
    assert_eq!(printed, expected, "UPDATE_EXPECT=1 takes it as it is now");
}
