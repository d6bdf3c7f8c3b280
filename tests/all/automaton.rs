//! Shapes of automata, as the printed dump (`UPDATE_EXPECT=1` writes `automaton.expected` anew: read the difference); and what holds of the runs
//! whatever the pattern means.

use std::cell::Cell;
use std::fmt::Write;
use std::path::Path;

use motif::automaton::{Arrival, Automaton, Limits, Outline, Runs, Stepped};
use motif::event::{Event, EventTime, SharedEvent, StreamId, Value};
use motif::language::{Compiled, Severity, Source, compile};
use motif::pattern::Moment;
use xxhash_rust::xxh3::xxh3_64;

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
    (
        "all, in any order: a node for each step and what is taken already",
        r#"match a: ev then all ( b: ev where t == "B", c: ev where t == "C", d: ev where t == "D" )"#,
    ),
    ("absences in between", r#"match a: ev then not n: ev where t == "N" then next not m: ev where t == "M" then within 30s b: ev"#),
    ("absences at the end", r#"match a: ev then not n: ev where t == "N" for 5m then not m: ev where t == "M" within 1h"#),
    ("only the very next event is awaited", r#"match a: ev then next not n: ev where t == "N" within 10s"#),
    (
        "without: whatever is sure to reach its second end goes",
        r#"match a: ev then b?: ev where t == "B" then c: ev where t == "C" without n: ev where t == "N" between a and b without m: ev where v > 5"#,
    ),
];

#[test]
fn shapes_are_as_expected() {
    let mut printed = String::new();
    for (title, clauses) in SHAPES {
        let compiled = compiled(clauses);
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

fn compiled(clauses: &str) -> Compiled {
    let text = format!("{SCHEMA}pattern p {{ from ev {clauses} }}");
    let compiled = compile(&[Source { path: "p.motif".to_owned(), text }]);
    let refused = compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert!(!refused, "{clauses}: {:#?}", compiled.diagnostics);
    compiled
}

/// One key of a pattern and the events that come in its line, a millisecond apart.
struct Line {
    automaton: Automaton,
    runs: Runs,
    limits: Limits,
    stepped: Stepped,
    count: u64,
}

impl Line {
    fn of(clauses: &str) -> Self {
        let automaton = Automaton::compile(compiled(clauses).program.patterns[0].clone());
        Self {
            automaton,
            runs: Runs::default(),
            limits: Limits { runs_max: 10_000, matches_max: 10_000, runs_alone_max: usize::MAX },
            stepped: Stepped::default(),
            count: 0,
        }
    }

    fn comes(&mut self, kind: &str) {
        let number = i64::try_from(self.count).expect("small");
        let time = EventTime::from_millis(number).expect("small");
        let fields = [Value::Int(number), Value::text(kind), Value::Int(0), Value::Timestamp(time)];
        let event = Event { stream: StreamId(0), partition: 0, offset: self.count, time, fields: fields.into() };
        self.count += 1;
        self.runs.expire(&self.automaton, &self.limits, time, &mut self.stepped);
        let faults = Cell::new(0);
        let class = self.automaton.class_of(event.stream, event.all_fields(), &faults);
        let arrival = Arrival { event: &SharedEvent::from(event), class, moment: Moment::plain(&faults) };
        self.runs.advance(&self.automaton, &self.limits, arrival, &mut self.stepped);
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.runs.encode(&self.automaton, &mut bytes);
        bytes
    }
}

#[test]
fn above_its_limit_a_key_drops_what_starts_first_and_says_so() {
    let mut line = Line::of(r#"match a: ev where t == "A" then b: ev where t == "B" skip none limit runs 3"#);
    for _ in 0..5 {
        line.comes("A");
    }
    assert_eq!((line.runs.len(), line.runs.runs_dropped()), (3, 2));
    line.runs = Runs::decode(&line.automaton, &line.encoded()).expect("what was just written");
    line.comes("B");
    let starts: Vec<u64> = line.stepped.decided.iter().map(|decided| decided.chosen[0].1.offset).collect();
    assert_eq!(starts, [2, 3, 4]);
    assert!(line.stepped.decided.iter().all(|decided| decided.runs_dropped == 2));
    assert!(line.runs.is_empty());
}

#[test]
fn what_runs_share_is_written_once() {
    let mut line = Line::of(r#"match s: ev where t == "S" then any a+ combinations: ev where t == "A" then b: ev where t == "B" skip none"#);
    line.comes("S");
    let one = line.encoded().len();
    for _ in 0..8 {
        line.comes("A");
    }
    assert_eq!(line.runs.len(), 256, "every subset of the eight is a choice");
    assert!(line.encoded().len() < 256 * one, "its links lead to the events it shares");
}

#[test]
fn a_chain_of_many_events_is_kept_written_and_let_go() {
    let mut line = Line::of(r#"match s: ev where t == "S" then a+ greedy: ev where t == "A" then b: ev where t == "B" skip none"#);
    line.comes("S");
    for _ in 0..200_000 {
        line.comes("A");
    }
    assert_eq!(line.runs.len(), 1);
    line.runs = Runs::decode(&line.automaton, &line.encoded()).expect("what was just written");
    line.comes("B");
    assert_eq!(line.stepped.decided[0].chosen.len(), 200_002);
}

/// Eight partial matches, with links and ways of their own.
fn with_much_to_write() -> Line {
    let mut line =
        Line::of(r#"match a{2,4}: ev where t == "A" then b?: ev where t == "B" then not n: ev where t == "N" for 1h without m: ev where t == "M" skip none"#);
    for kind in ["A", "A", "B", "A", "A"] {
        line.comes(kind);
    }
    line
}

#[test]
fn changed_bytes_are_refused_with_the_checksum_and_never_panic_without() {
    let line = with_much_to_write();
    let bytes = line.encoded();
    assert_eq!(line.runs.len(), 8);
    let outline = Outline { runs: 8, next: line.runs.next_deadline().expect("an absence ends") };
    assert_eq!(Outline::of_runs(&line.automaton, &bytes), Ok(outline));
    for length in 0..bytes.len() {
        assert!(Runs::decode(&line.automaton, &bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        assert!(Outline::of_runs(&line.automaton, &bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    for place in 0..bytes.len() {
        for change in 1..=255 {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            assert!(Outline::of_runs(&line.automaton, &changed).is_err(), "byte {place} changed by {change}");
            assert!(Runs::decode(&line.automaton, &changed).is_err(), "byte {place} changed by {change}");
            let (head, rest) = changed.split_at_mut(5);
            head[1..].copy_from_slice(&(xxh3_64(rest) as u32).to_le_bytes());
            if let Ok(runs) = Runs::decode(&line.automaton, &changed) {
                runs.encode(&line.automaton, &mut Vec::new());
            }
        }
    }
}

/// Stored before there were a checksum and an outline.
#[test]
fn the_format_before_is_read() {
    let line = with_much_to_write();
    let stored = "0100050000000004030006014103000700000001d00f040302060141030007d00f000003f02e040306060141030007f02e000002a01f040304060142030007a01f000004c03e04\
                  0308060141030007c03e0b000000010001000001030002020103020002000002070004040004060004000004080100010001020300010002020004000100010a05000100020500\
                  07000100030200000800010003050000090001000208000a0001000101";
    let stored: Vec<u8> = (0..stored.len()).step_by(2).map(|at| u8::from_str_radix(&stored[at..at + 2], 16).expect("hexadecimal")).collect();
    let mut again = Vec::new();
    Runs::decode(&line.automaton, &stored).expect("of the format before").encode(&line.automaton, &mut again);
    assert_eq!(again, line.encoded());
    assert_eq!(Outline::of_runs(&line.automaton, &stored), Outline::of_runs(&line.automaton, &again));
    for length in 0..stored.len() {
        assert!(Outline::of_runs(&line.automaton, &stored[..length]).is_err(), "{length} of {} bytes", stored.len());
    }
}
