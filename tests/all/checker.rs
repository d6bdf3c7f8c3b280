//! What the checker says of programs, and what it makes of those in which nothing is wrong (`checker.expected`; `UPDATE_EXPECT=1` writes it anew: read
//! the difference).
//!
//! Cases stand beside [`STREAMS`]. Lines that begin with `where`, `emit` or `by` are each the condition of a last step, what is emitted, or the key; a case
//! that begins with `from` or `match` is the inside of a pattern; all others are files, with a line `~~~` between them.

use std::cell::Cell;
use std::fmt::Write;

use motif::automaton::Automaton;
use motif::language::{Code, Compiled, Diagnostic, Severity, Source, Span, compile, print};
use motif::pattern::{Condition, normal_form};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::grammar;
use crate::printer::{pattern_files, random_cases, random_tree, table};

mod values;

const STREAMS: &str = r#"
stream payments {
  card_id:  string
  account:  string?
  amount:   decimal
  score:    float
  tries:    int
  country:  string?
  status:   string
  approved: bool
  tags:     list of string
  geo:      { lat: float, lon: float, place: string? }
  items:    list of { sku: string, price: decimal }
  wait:     duration
  ip:       string
  at:       timestamp
  time at
}

stream logins {
  user: string
  ok:   bool
  ip:   string
  at:   timestamp
  time at
}

list trusted = ["DE", "FR"]
list steps_of_ten = [10, 20]
define big = payments where amount > 100
"#;

fn program(files: &[&str]) -> (Vec<Source>, Compiled) {
    let names = std::iter::once("streams".to_owned()).chain((1..).map(|number| format!("{number}")));
    let texts = std::iter::once(STREAMS).chain(files.iter().copied());
    let sources: Vec<Source> = names.zip(texts).map(|(path, text)| Source { path, text: text.to_owned() }).collect();
    let compiled = compile(&sources);
    (sources, compiled)
}

#[test]
fn everything_wrong_is_said_at_once_and_what_is_right_is_lowered() {
    table::check("checker.expected", |text| {
        let lines = |word: &str| text.lines().all(|line| line.starts_with(word));
        if lines("where ") {
            return each_line(
                text,
                |line| format!("pattern p {{ from payments by card_id match a: payments then b+: payments then x: payments {line} within 1h }}"),
                condition_of_last_step,
            );
        }
        if lines("emit ") {
            return each_line(
                text,
                |line| format!("pattern p {{ from payments by card_id match a: payments then b+: payments then c?: payments within 1h {line} }}"),
                emitted,
            );
        }
        if lines("by ") {
            return each_line(text, |line| format!("pattern p {{ from payments {line} match a: payments }}"), emitted);
        }
        let begins = |word: &str| text.starts_with(word);
        let inside = match text {
            _ if begins("from ") => Some(format!("pattern p {{\n{text}\n}}")),
            _ if begins("match ") => Some(format!("pattern p {{\nfrom payments by card_id\n{text}\n}}")),
            _ => None,
        };
        match inside {
            Some(pattern) => whole(&[&pattern]),
            None => whole(&text.split("\n~~~\n").collect::<Vec<_>>()),
        }
    });
}

fn each_line(text: &str, pattern: impl Fn(&str) -> String, shown_if_sound: impl Fn(&Compiled) -> String) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let pattern = pattern(line);
        let (sources, compiled) = program(&[&pattern]);
        writeln!(out, "{line}").expect("text takes all");
        for diagnostic in &compiled.diagnostics {
            out += &shown(&sources, diagnostic);
        }
        if !compiled.has_errors() {
            writeln!(out, "  = {}", shown_if_sound(&compiled)).expect("text takes all");
        }
    }
    out
}

fn condition_of_last_step(compiled: &Compiled) -> String {
    let pattern = &compiled.program.patterns[0];
    let condition: &Condition = pattern.conditions.last().expect("there are steps");
    condition.text(&compiled.program.schema, pattern).trim_start_matches("payments where ").to_owned()
}

/// The lines of the normal form about the key and the fields.
fn emitted(compiled: &Compiled) -> String {
    let pattern = &compiled.program.patterns[0];
    let form = normal_form(pattern, &compiled.program.schema);
    let wanted = |line: &&str| ["emit ", "pattern ", "from "].iter().any(|word| line.starts_with(word));
    form.lines().filter(wanted).collect::<Vec<_>>().join("; ")
}

/// Findings, then the patterns' normal forms without the streams.
fn whole(files: &[&str]) -> String {
    let (sources, compiled) = program(files);
    let mut out: String = compiled.diagnostics.iter().map(|diagnostic| shown(&sources, diagnostic)).collect();
    for pattern in &compiled.program.patterns {
        let form = normal_form(pattern, &compiled.program.schema);
        out.extend(form.lines().skip(1).filter(|line| !line.starts_with("stream ")).map(|line| format!("{line}\n")));
    }
    for test in &compiled.tests {
        writeln!(out, "test {:?} from {}: {} arrive, {} expected", test.name, test.start, test.arrivals.len(), test.expectations.len())
            .expect("text takes all");
    }
    if out.is_empty() { "nothing to say".to_owned() } else { out }
}

/// `CODE [what stands there] message`, then label, other places and help.
fn shown(sources: &[Source], diagnostic: &Diagnostic) -> String {
    let Diagnostic { code, message, primary, .. } = diagnostic;
    let mut shown = format!("{code} [{}] {message}\n    {}\n", marked(sources, primary.span), primary.text);
    for label in &diagnostic.secondary {
        shown += &format!("    [{}] {}\n", marked(sources, label.span), label.text);
    }
    if let Some(help) = &diagnostic.help {
        shown += &format!("    help: {help}\n");
    }
    shown
}

fn marked(sources: &[Source], span: Span) -> String {
    let text = &sources[usize::from(span.source.0)].text[span.start as usize..span.end as usize];
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect()
}

#[test]
fn the_table_has_every_code_of_the_checker() {
    let (registry, expected) = (include_str!("../../src/language/codes.rs"), include_str!("checker.expected"));
    let codes: Vec<&str> = registry.split('"').filter(|text| text.len() == 5 && (text.starts_with('E') || text.starts_with('W'))).collect();
    let elsewhere = [Code::TooMany, Code::TooManySteps, Code::PatternTooLong].map(Code::text);
    let missing: Vec<&&str> =
        codes.iter().filter(|code| !code.starts_with("E00") && !elsewhere.contains(code) && !expected.contains(&format!("\n{code} ["))).collect();
    assert!(codes.len() > 60, "the registry was read");
    assert!(missing.is_empty(), "no case has {missing:?}");
}

// What holds of any program.

#[test]
fn any_program_is_checked_and_what_is_sound_can_run() {
    let files = pattern_files();
    let conditions = include_str!("checker.expected").lines().filter(|line| line.starts_with("where ") || line.starts_with("emit "));
    let vocabulary: Vec<String> = files.iter().map(String::as_str).chain([STREAMS]).chain(conditions).flat_map(grammar::tokens).collect();
    let checked = Cell::new(0_u64);
    random_cases(|random| {
        let text = if random.random_bool(0.3) {
            print(&random_tree(random))
        } else {
            let mut tokens = grammar::tokens(files.choose(random).expect("there are pattern files"));
            for _ in 0..random.random_range(0..6) {
                grammar::change_token(&mut tokens, &vocabulary, random);
            }
            tokens.join(" ")
        };
        let (sources, compiled) = program(&[&text]);
        check_places(&sources, &compiled);
        if compiled.has_errors() {
            assert!(compiled.program.patterns.is_empty() && compiled.tests.is_empty(), "with an error there is no program: {text}");
            return;
        }
        checked.set(checked.get() + 1);
        for pattern in &compiled.program.patterns {
            Automaton::compile(pattern.clone());
        }
        for test in &compiled.tests {
            motif::testing::run(&compiled.program, test);
        }
    });
    assert!(checked.get() > 0, "some programs are sound");
}

fn check_places(sources: &[Source], compiled: &Compiled) {
    let mut before = None;
    for diagnostic in &compiled.diagnostics {
        let span = diagnostic.primary.span;
        let place = (span.source, span.start, span.end);
        assert!(before.is_none_or(|before| before <= place), "in order of file and place: {:#?}", compiled.diagnostics);
        before = Some(place);
        for span in diagnostic.secondary.iter().map(|label| label.span).chain([span]) {
            let text = &sources[usize::from(span.source.0)].text;
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{diagnostic:#?}");
        }
        assert!(!diagnostic.message.is_empty() && !diagnostic.message.ends_with('.') && !diagnostic.primary.text.is_empty(), "{diagnostic:#?}");
        assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty() && !help.ends_with('.')), "each finding has its remedy: {diagnostic:#?}");
    }
}

#[test]
fn the_largest_expressions_and_patterns_are_checked_and_larger_ones_refused() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
    let condition = |condition: String| format!("match a: payments where {condition}");
    let numbered = |count: usize, between: &str, part: &str| (0..count).map(|number| part.replace('#', &number.to_string())).collect::<Vec<_>>().join(between);
    let sound = [
        condition(format!("{}amount > 1", "amount + ".repeat(400))),
        condition(format!("{}1.0 > 1", "1.0 * ".repeat(400))),
        condition(format!("{}approved", "approved and ".repeat(400))),
        condition(format!("{}approved", "not ".repeat(400))),
        condition(format!("{}amount > 1", "-".repeat(400))),
        condition(format!("{} > 1", nested("abs(", "amount", ")", 60))),
        condition(format!("{} > 1", nested("if(approved, 1, ", "amount", ")", 60))),
        condition(format!("{} == 1", nested("coalesce(tries, ", "tries", ")", 60))),
        format!("match {}", nested("( ", "a: payments", " )", 60)),
        format!("match {}", nested("( ", "a: payments", " ){2}", 10)),
        "match x{1024}: payments".to_owned(),
        format!("match {}", numbered(64, " then ", "a#?: payments")),
        format!("match all ( {} )", numbered(8, ", ", "a#: payments")),
    ];
    let refused = [
        (Code::TypeMismatch, condition(format!("{} == 1", nested("[", "tries", "]", 60)))),
        (Code::PatternTooLarge, "match x{1025}: payments".to_owned()),
        (Code::PatternTooLarge, format!("match {}", nested("( ", "a: payments", " ){4294967295}", 60))),
        (Code::PatternTooLarge, format!("match all ( {} )", numbered(9, ", ", "a#: payments"))),
        (Code::PatternTooLarge, format!("match all ( {} )", numbered(64, ", ", "a#: payments"))),
        (Code::TooManySteps, format!("match {}", numbered(65, " then ", "a#: payments"))),
        (Code::TooManySteps, format!("match all ( {} )", numbered(65, ", ", "a#: payments"))),
        (Code::TooMany, format!("match a: payments then b: payments {}", numbered(65, " ", "without n#: payments"))),
        (Code::PatternTooLong, condition(format!("status in [{}]", numbered(10_000, ", ", "\"value #\"")))),
    ];
    let compiled = |case: &str| {
        let (sources, compiled) = program(&[&format!("pattern p {{ from payments by card_id {case} within 1h }}")]);
        check_places(&sources, &compiled);
        compiled
    };
    for case in sound {
        let compiled = compiled(&case);
        assert!(!compiled.has_errors(), "{case}: {:#?}", compiled.diagnostics);
        Automaton::compile(compiled.program.patterns[0].clone());
    }
    for (code, case) in refused {
        let compiled = compiled(&case);
        let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(errors.map(|error| error.code).collect::<Vec<_>>(), [code], "{case}");
    }
}

#[test]
fn long_chains_of_defines_and_many_declarations_are_checked() {
    let chain: String = (1..5_000).map(|number| format!("define d{number} = d{} where amount > {number}\n", number - 1)).collect();
    let circle: String = (0..5_000).map(|number| format!("define c{number} = c{}\n", (number + 1) % 5_000)).collect();
    let streams: String = (0..10_100).map(|number| format!("stream s{number} {{ x: int }}\n")).collect();
    let fields: String = (0..10_100).map(|number| format!("f{number}: int ")).collect();
    for text in [format!("define d0 = payments\n{chain}"), circle, streams, format!("stream s {{ {fields} }}")] {
        let (sources, compiled) = program(&[&text]);
        assert!(compiled.has_errors());
        check_places(&sources, &compiled);
    }
}

#[test]
fn a_version_is_that_of_the_meaning() {
    let version = |files: &[&str]| {
        let (_, compiled) = program(files);
        assert!(!compiled.has_errors(), "{:#?}", compiled.diagnostics);
        compiled.program.patterns[0].version
    };
    let plain = "pattern p { from payments by card_id match a: payments where status == \"x\" and country in [\"DE\", \"FR\"] and amount > 1 within 1h }";
    let spread = "define x = payments where status == \"x\"\ndefine y = x where country in trusted\n~~~\npattern p {\n  # layout and places do not count\n  from payments by payments.card_id\n  match a: y where (amount > 1.0)\n  within 60m\n}";
    let spread: Vec<&str> = spread.split("\n~~~\n").collect();
    assert_eq!(version(&[plain]), version(&spread));
    for other in
        [plain.replace("1h", "2h"), plain.replace("> 1", ">= 1"), plain.replace("a:", "b:"), plain.replace("\"FR\"", "\"IT\""), plain.replace(" p ", " q ")]
    {
        assert_ne!(version(&[plain]), version(&[&other]), "{other}");
    }
}

#[test]
fn a_calculated_part_of_the_key_is_called_by_its_text_whatever_its_layout() {
    let key_of = |by: &str| {
        let (_, compiled) = program(&[&format!("pattern p {{ from payments by {by} match a: payments within 1h }}")]);
        assert!(!compiled.has_errors(), "{by}: {:#?}", compiled.diagnostics);
        (compiled.program.patterns[0].key_names.clone(), compiled.program.patterns[0].version)
    };
    let cases = [
        ("tries % 10", "(tries%10)", "tries % 10"),
        ("-score", "(((- score)))", "-score"),
        ("lower(card_id)", "lower( # as it is typed\n card_id )", "lower(card_id)"),
        ("coalesce(account, \"\")", "(coalesce(account,\"\"))", "coalesce(account, \"\")"),
        ("(tries + 1) * 2", "((tries+1)*2)", "(tries + 1) * 2"),
        ("wait % 60s", "wait%60s", "wait % 1m"),
        ("lower(`card_id`)", "lower(card_id)", "lower(card_id)"),
        ("geo.lat", "geo . lat", "lat"),
    ];
    for (by, other, name) in cases {
        assert_eq!(key_of(by), key_of(other), "{by}");
        assert_eq!(key_of(by).0, [name], "{by}");
    }
    let text = |layout: &str| {
        let test = format!("test \"t\" of p {{ 0s logins {{ user: \"Ann\", ok: true, ip: \"x\" }} expect match {{ `{layout}`: 3 }} }}");
        format!("pattern p {{ from logins by (len( user ) % 10) match a: logins }}\n{test}")
    };
    let (_, compiled) = program(&[&text("len(user) % 10")]);
    assert!(!compiled.has_errors(), "a test names it so: {:#?}", compiled.diagnostics);
    let (_, compiled) = program(&[&text("(len(user) % 10)")]);
    assert_eq!(compiled.diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), [Code::UnknownField]);
}

#[test]
fn errors_are_said_up_to_a_bound() {
    let wrong = (0..500).map(|number| format!("define d{number} = payments where amount{number}x > 1\n")).collect::<String>();
    let (_, compiled) = program(&[&wrong]);
    let (errors, last) = (compiled.diagnostics.len(), compiled.diagnostics.last().expect("there are errors"));
    assert_eq!((errors, last.code, last.message.as_str()), (101, Code::TooManyErrors, "400 more errors are not shown"));
}
