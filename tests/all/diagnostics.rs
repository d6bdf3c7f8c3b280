//! The pages of `motif explain CODE`: each code has one, and what it shows as wrong is found wrong with that code, and what it shows as right is right.
//! Then what single findings say: bounds of a pattern, habits of other languages, windows, conditions that contradict each other.

use std::collections::BTreeSet;
use std::path::Path;

use motif::language::{Code, Compiled, Diagnostic, ReadSource, Severity, Source, compile, compile_read, page};

mod contradictions;

const STREAMS: &str = include_str!("../../grammar/diagnostics/streams.motif");
const REGISTRY: &str = include_str!("../../src/language/codes.rs");

fn compiled(text: &str) -> Compiled {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    compile(&[source("streams.motif", STREAMS), source("example.motif", text)])
}

/// The same of an example on a page, where `�` stands for a byte that is no text.
fn compiled_example(text: &str) -> Compiled {
    let bytes = text.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xe9);
    let read = |path: &str, bytes: &[u8]| ReadSource::of_bytes(path.to_owned(), bytes.to_vec());
    compile_read(vec![read("streams.motif", STREAMS.as_bytes()), read("example.motif", &bytes)]).1
}

/// The inside of a pattern over payments.
fn pattern(inside: &str) -> Compiled {
    compiled(&format!("pattern p {{ from payments by card_id {inside} }}"))
}

fn codes(compiled: &Compiled) -> BTreeSet<Code> {
    compiled.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn only(code: Code) -> BTreeSet<Code> {
    BTreeSet::from([code])
}

// Pages.

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar/diagnostics");
    let files = std::fs::read_dir(folder).expect("the pages").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let pages: BTreeSet<String> = files.filter_map(|name| name.strip_suffix(".md").map(str::to_owned)).collect();
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.text().to_owned()).collect();
    let registered: BTreeSet<String> = REGISTRY.split("=> \"").skip(1).map(|rest| rest.split('"').next().expect("a text").to_owned()).collect();
    assert_eq!((&pages, &known), (&registered, &registered));
    assert_eq!(known.len(), Code::ALL.len(), "no code is given twice");
    assert!(Code::ALL.is_sorted(), "in the order of the registry");
}

#[test]
fn a_code_is_read_in_small_letters_and_large() {
    for code in Code::ALL {
        assert_eq!(Code::parse(code.text()), Some(*code));
        assert_eq!(Code::parse(&code.text().to_lowercase()), Some(*code));
    }
    for other in ["", "E", "E9999", "E01010", "0101", "payments"] {
        assert_eq!(Code::parse(other), None, "{other}");
    }
}

#[test]
fn every_page_has_a_title_an_explanation_and_both_examples() {
    for code in Code::ALL {
        let page = page(*code);
        let (title, rest) = page.split_once("\n\n").expect("a blank line behind the title");
        let title = title.strip_prefix(&format!("# {code}: ")).unwrap_or_else(|| panic!("{title}"));
        let small = title.starts_with('`') || title.starts_with(char::is_lowercase);
        assert!(small && title.len() <= 60 && !title.ends_with('.'), "{code}: {title}");
        let explanation = rest.split("```").next().expect("there is a first part").trim();
        assert!(explanation.ends_with('.') && explanation.split_whitespace().count() >= 8, "{code}: {explanation}");
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{code}: ends in one line end");
        assert_eq!((examples(page, "motif wrong").len(), examples(page, "motif").len()), (1, 1), "{code}");
    }
}

#[test]
fn what_a_page_shows_as_wrong_is_found_wrong_with_its_code() {
    for code in Code::ALL {
        let [example] = &examples(page(*code), "motif wrong")[..] else { panic!("{code}: one wrong example") };
        let compiled = compiled_example(example);
        let found = codes(&compiled);
        assert!(found.contains(code), "{code}: found {found:?}\n{:#?}", compiled.diagnostics);
        let errors: BTreeSet<Code> = found.iter().copied().filter(|code| code.severity() == Severity::Error).collect();
        // That more errors are not shown can only be said beside others.
        let expected = match code.severity() {
            Severity::Error if *code == Code::TooManyErrors => errors.clone(),
            Severity::Error => only(*code),
            Severity::Warning => BTreeSet::new(),
        };
        assert_eq!(errors, expected, "{code}: {:#?}", compiled.diagnostics);
    }
}

#[test]
fn of_what_a_page_shows_as_right_nothing_is_said() {
    for code in Code::ALL {
        let [example] = &examples(page(*code), "motif")[..] else { panic!("{code}: one right example") };
        let compiled = compiled_example(example);
        assert!(compiled.diagnostics.is_empty(), "{code}: {:#?}", compiled.diagnostics);
    }
}

/// The blocks that are marked like this, with what they abbreviate.
fn examples(page: &str, mark: &str) -> Vec<String> {
    let mut blocks = page.split("```").skip(1).step_by(2);
    let mut found = Vec::new();
    while let Some((marked, text)) = blocks.next().and_then(|block| block.split_once('\n')) {
        if marked == mark {
            found.push(text.lines().map(written_out).collect());
        }
    }
    found
}

/// `s2: payments   # … up to 65` is 64 lines, with the first number in it counting up.
fn written_out(line: &str) -> String {
    let Some((one, most)) = line.split_once("# … up to ") else { return format!("{line}\n") };
    let most: u32 = most.parse().expect("a number ends the line");
    let start = one.find(|c: char| c.is_ascii_digit()).expect("there is a number");
    let (before, rest) = one.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let first: u32 = rest[..end].parse().expect("digits");
    (first..=most).map(|number| format!("{before}{number}{}\n", rest[end..].trim_end())).collect()
}

// Bounds.

#[test]
fn a_pattern_has_bounds_and_each_its_own_error() {
    let steps = |steps: u32| format!("match s1: payments {} within 1h", (2..=steps).map(|step| format!("then s{step}: payments ")).collect::<String>());
    let absent =
        |absent: u32| format!("match a: payments {} then b: payments within 1h", (0..absent).map(|n| format!("then not n{n}: payments ")).collect::<String>());
    let nested = |depth: usize| format!("match a: payments where {}approved{}", "(".repeat(depth), ")".repeat(depth));
    let groups = |depth: usize| format!("match {}a: payments{}", "( ".repeat(depth), " )".repeat(depth));
    let states = |states: u32| format!("match s{{{states}}}: payments within 1h");
    // The two brackets of the pattern itself are one level.
    let cases = [
        (steps(64), steps(65), Code::TooManySteps),
        (absent(62), absent(63), Code::TooManySteps),
        (nested(63), nested(64), Code::TooDeep),
        (groups(63), groups(64), Code::TooDeep),
        (states(1_024), states(1_025), Code::PatternTooLarge),
        (
            "match a: payments where matches(status, \"(ab){1,10000}\")".to_owned(),
            "match a: payments where matches(status, \"(ab){1,1000000}\")".to_owned(),
            Code::RegexTooLarge,
        ),
    ];
    for (most, more, code) in cases {
        assert_eq!(codes(&pattern(&most)), BTreeSet::new(), "{code}: {most}");
        assert_eq!(codes(&pattern(&more)), only(code), "{more}");
    }
}

#[test]
fn the_text_of_a_pattern_has_a_bound() {
    let of_bytes = |bytes: usize| {
        let (begin, end) = ("pattern p { from payments by card_id match a: payments #", "\n}");
        format!("# before\n{begin}{}{end}\n# behind", "x".repeat(bytes - begin.len() - end.len()))
    };
    assert_eq!(codes(&compiled(&of_bytes(64 << 10))), BTreeSet::new());
    assert_eq!(codes(&compiled(&of_bytes((64 << 10) + 1))), only(Code::PatternTooLong));
}

// What single findings say.

/// The one finding of a text.
fn single(compiled: &Compiled) -> &Diagnostic {
    let [diagnostic] = &compiled.diagnostics[..] else { panic!("one finding: {:#?}", compiled.diagnostics) };
    diagnostic
}

#[test]
fn state_without_a_bound_is_told_by_how_much_it_may_hold() {
    let cases = [
        (
            "by card_id match a: payments then b: payments",
            "each key may hold as many of them as configured (10,000 if nothing else is said), with 1 event each",
        ),
        ("by card_id match a: payments then b{3}: payments limit runs 50", "each key may hold 50 of them, with up to 3 events each"),
        ("match a: payments then b: payments then c: payments limit runs 1", "the pattern may hold 1 of them, with up to 2 events each"),
        ("by card_id match a+: payments then b: payments limit runs 50", "each key may hold 50 of them, with any number of events each"),
        ("by card_id match a: payments then b: payments then not n: payments for 5m limit runs 50", "each key may hold 50 of them, with up to 2 events each"),
    ];
    for (text, expected) in cases {
        let compiled = compiled(&format!("pattern p {{ from payments {text} }}"));
        let diagnostic = single(&compiled);
        assert_eq!((diagnostic.code, diagnostic.primary.text.as_str()), (Code::UnboundedState, format!("nothing ends them: {expected}").as_str()));
    }
}

#[test]
fn habits_of_other_languages_are_answered() {
    let cases = [
        ("match a: payments followedBy b: payments", "write `then`"),
        ("match a: payments followedByAny b: payments", "write `then any`"),
        ("match a: payments notFollowedBy b: payments", "write `then not n: S`"),
        ("match SEQ(a: payments, b: payments)", "write the steps one after the other: `match a: S then b: S`"),
        ("match a: payments -> b: payments within 1h", "write `then` between steps"),
        ("match every a: payments", "leave it out: a match may begin at any event; `skip` says which overlapping ones survive"),
        ("match a: payments AND NOT b: payments", "between steps write `then not`"),
        ("match a: payments and not b: payments", "between steps write `then not`"),
        ("match a: payments and b: payments", "between steps write `then`, or `all ( a: S, b: S )` where any order will do; between names a comma"),
        ("match a: payments OR b: payments", "branches stand in parentheses with `|` between: `( a: S | b: S )`"),
        ("match a: payments maxspan 5m", "write `within D` as a clause; unlike `maxspan` it is exclusive"),
        ("match a: payments with maxspan=5m", "write a clause of its own: `within 5m`"),
        ("match a: payments where approved && amount > 1", "write `and`"),
        ("match a: payments where approved || amount > 1", "write `or` in conditions, `|` between the branches of a group"),
        ("match a: payments where amount = 1", "write `==`"),
        ("match a: payments where amount <> 1", "write `!=`"),
        ("match a: payments where !approved", "write `not`"),
        ("match a: payments where status == 'x'", "write `\"x\"`"),
        ("match a: payments times 3", "write the number in braces after the name of the step: `x{3}: S`"),
        ("match a: payments WHERE approved", "words of the language are written in small letters: `where`"),
        ("match a: payments where status contains \"x\"", "write it as a call: `contains(text, \"part\")`"),
        ("match a: payments where status matches \"x\"", "write it as a call: `matches(text, \"regular expression\")`"),
        ("match a: payments where status ilike \"x%\"", "write `matches(text, \"(?i)regular expression\")`, or compare `lower(text)`"),
        ("match a: payments where tries between 1 and 2", "a range is two comparisons: `amount >= 1 and amount <= 2`"),
        ("match a: payments where tries not between 1 and 2", "a range is two comparisons: `amount >= 1 and amount <= 2`; with `not` before it"),
        ("match a: payments followed by b: payments within 1h", "write `then`"),
        ("match a: payments select *", "write `emit`"),
    ];
    for (inside, help) in cases {
        let compiled = pattern(inside);
        let diagnostic = single(&compiled);
        assert_eq!((diagnostic.code, diagnostic.help.as_deref()), (Code::ForeignSpelling, Some(help)), "{inside}");
    }
}

#[test]
fn what_is_not_expected_is_answered_with_what_was_meant() {
    let cases = [
        ("match a: payments emit *", "leave `emit` out for the key and all events, or name the fields: `emit a.amount, b.amount`"),
        ("match a: payments where count(*) > 3", "count the events of a step, `count(a)`, or those of a stream, `count(S over 10m)`"),
        ("match a: payments where tries in (1, 2)", "a list stands in square brackets: `field in [a, b]`"),
        ("match a: payments where approved and then b: payments", "between steps write `then` alone"),
        ("match a: payments where tries is 5", "`is` asks for `null` only: compare with `==`"),
        ("match a: payments where approved is not true", "`is not` asks for `null` only: compare with `!=`"),
        ("match a: payments, b: payments", "between steps write `then`, or `all ( a: S, b: S )` where any order will do"),
        ("match a: payments[tries > 5]", "a condition stands behind `where`: `a: S where amount > 5`"),
        ("match a: payments(tries > 5)", "a condition stands behind `where`: `a: S where amount > 5`"),
        ("match a: payments tries > 5", "write `where` before the condition"),
        ("match a: payments where status : \"x\"", "write `==` to compare; before a step stands `then`"),
        ("match a: payments emit a.amount total", "a field gets another name by `as`, and a comma stands between fields: `as total`"),
        ("match a: payments without n: payments where tries between 1 and 2", "a range is two comparisons: `amount >= 1 and amount <= 2`"),
        ("where approved match a: payments", "narrow the stream by a `define`, or write `where` at a step"),
        // Where nothing more is known, what can stand there.
        ("match a: payments limit 10", "write `runs`, as in `limit runs 1000`"),
        ("match a: payments where approved 5", "write an operator, `then` or a clause; or leave the number `5` out"),
        ("match a: payments where ", "write a value: a field, a literal, a call or `(`"),
    ];
    for (inside, help) in cases {
        let compiled = pattern(inside);
        let diagnostic = single(&compiled);
        assert_eq!((diagnostic.code, diagnostic.help.as_deref()), (Code::Unexpected, Some(help)), "{inside}");
    }
}

#[test]
fn a_range_of_another_language_is_answered_with_its_numbers() {
    for range in ["2..4", "2...4", "2-4", "2:4", "2 to 4"] {
        let compiled = pattern(&format!("match a{{{range}}}: payments then b: payments within 1h"));
        let diagnostic = single(&compiled);
        assert_eq!((diagnostic.code, diagnostic.help.as_deref()), (Code::BadQuantifier, Some("write `{2,4}`")), "{range}");
    }
}

#[test]
fn names_in_remedies_can_be_copied() {
    let text = "stream `odd one` { `not`: bool, `from it`: int, at: timestamp, time at } define `any` = `odd one` where `not`";
    let cases = [
        ("from `any` match a: `odd one`", "`` from `any` `` has only some of them: write `` `any` `` here, or `` from `odd one` ``"),
        ("from `odd one` match a: `odd one` where `from ti` > 1", "did you mean `` `from it` ``?"),
        ("from `odd one` match `a b`: `odd one` emit `from it`", "say of which step: `` `a b`.`from it` ``"),
        ("from `odd one` match `a b`: `odd one` where `a b`.`not`", "its fields are written bare: `` `not` ``"),
        ("from `odd one` match `a b` greedy: `odd one`", "say how often, as in `` `a b`+ greedy ``"),
        ("from `odd one` match a: `odd one` where xyz", "its fields are `` `not` ``, `` `from it` ``, `at`"),
    ];
    for (inside, help) in cases {
        let compiled = compiled(&format!("{text} pattern p {{ {inside} }}"));
        assert_eq!(single(&compiled).help.as_deref(), Some(help), "{inside}");
    }
}

#[test]
fn a_type_of_too_many_lists_is_said_to_be_one() {
    let nested = |lists: usize| compiled(&format!("stream s {{ x: {}int }}", "list of ".repeat(lists)));
    assert_eq!(codes(&nested(500)), BTreeSet::new());
    let compiled = nested(10_000);
    let diagnostic = single(&compiled);
    assert_eq!((diagnostic.code, diagnostic.message.as_str()), (Code::TooDeep, "more than 500 lists inside one another"));
}

#[test]
fn what_is_wrong_with_a_window_is_said() {
    let cases = [
        ("match a: payments where count(logins over 10m) > 3", Code::WindowArgument),
        ("match a: payments where count(paymnts over 10m) > 3", Code::WindowArgument),
        ("match a: payments where count(amount over 10m) > 3", Code::WindowArgument),
        ("match a: payments where count(payments.amount over 10m) > 3", Code::WindowArgument),
        ("match a: payments where sum(payments over 10m) > 3", Code::WindowArgument),
        ("match a: payments where sum(amount over 10m) > 3", Code::WindowArgument),
        ("match a: payments then b: payments where sum(a.amount over 10m) > 3 within 1h", Code::WindowArgument),
        ("match a: payments where sum(payments.amuont over 10m) > 3", Code::UnknownField),
        ("match a: payments where sum(payments.status over 10m) > 3", Code::ArgumentType),
        ("match a: payments where first(payments.amount over 10m) > 3", Code::WindowFunction),
        ("match a: payments where lower(payments.status over 10m) == \"x\"", Code::WindowFunction),
        ("match a: payments where cuont(payments over 10m) > 3", Code::WindowFunction),
        ("match a: payments where count(payments over 0s) > 3", Code::BadDuration),
        ("match a: payments where count(payments over 10) > 3", Code::BadDuration),
        ("match a: payments where count(payments over sliding 10m) > 3", Code::Unexpected),
        ("match a: payments emit a.amount suppress 1h by a.amount", Code::SuppressAcrossKeys),
        ("match a: payments emit a.amount suppress 1h by card_id, a.amount", Code::SuppressAcrossKeys),
        ("match a: payments emit a.amount suppress 1h by a", Code::StepAsValue),
        ("match a: payments emit a.amount suppress 1h by a.place", Code::KeyType),
        ("match a: payments emit a.amount suppress 0s by card_id", Code::BadDuration),
        ("match a: payments emit a.amount suppress 1h by amount", Code::WhichEvent),
    ];
    for (inside, code) in cases {
        assert_eq!(codes(&pattern(inside)), only(code), "{inside}");
    }
    let placeless = ["define d = payments where count(payments over 10m) > 3", "pattern p { from payments by count(payments over 10m) match a: payments }"];
    for text in placeless {
        assert_eq!(codes(&compiled(text)), only(Code::WindowPlace), "{text}");
    }
    for sound in
        ["emit a.amount suppress 1h by card_id", "emit count(payments over session 5m) as n", "emit max(approved_payments.amount over tumbling 1h) as most"]
    {
        assert_eq!(codes(&pattern(&format!("match a: payments {sound}"))), BTreeSet::new(), "{sound}");
    }
}
