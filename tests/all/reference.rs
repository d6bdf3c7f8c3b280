//! `grammar/language.md`: each example on the page is a whole program that compiles with the findings it names and no others, stands in its
//! canonical form, and passes its tests.

use motif::language::{Code, Compiled, Source, compile, format};
use motif::testing;

const PAGE: &str = include_str!("../../grammar/language.md");

/// The examples, each with the line of the page on which it begins.
fn examples() -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in PAGE.lines().enumerate() {
        match &mut open {
            None if line == "```motif" => open = Some((number + 2, String::new())),
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(open.is_none(), "an example is not closed");
    found
}

fn source(text: &str) -> Source {
    Source { path: "example.motif".to_owned(), text: text.to_owned() }
}

fn compiled(text: &str) -> Compiled {
    compile(&[source(text)])
}

/// The codes that an example says the compiler finds in it, in comments `# finds W0001`.
fn announced(text: &str) -> Vec<&str> {
    let mut codes: Vec<&str> = text.lines().filter_map(|line| line.split_once("# finds ")).map(|(_, code)| &code[..5]).collect();
    codes.sort_unstable();
    codes
}

fn is_refused(codes: &[&str]) -> bool {
    codes.iter().any(|code| code.starts_with('E'))
}

#[test]
fn every_example_has_the_findings_it_names_and_no_others() {
    for (line, text) in examples() {
        let compiled = compiled(&text);
        let mut codes: Vec<&str> = compiled.diagnostics.iter().map(|finding| Code::text(finding.code)).collect();
        codes.sort_unstable();
        assert_eq!(codes, announced(&text), "the example on line {line}: {:#?}", compiled.diagnostics);
    }
}

#[test]
fn every_example_is_in_canonical_form() {
    for (line, text) in examples() {
        assert_eq!(format(&source(&text)).expect("it is read"), text, "the example on line {line}");
    }
}

#[test]
fn every_example_passes_its_tests() {
    let mut run = 0;
    for (line, text) in examples() {
        if is_refused(&announced(&text)) {
            continue;
        }
        let compiled = compiled(&text);
        for (place, pattern) in compiled.program.patterns.iter().enumerate() {
            assert!(compiled.tests.iter().any(|test| test.pattern == place), "the example on line {line} has no test of `{}`", pattern.name);
        }
        for test in &compiled.tests {
            let report = testing::run(&compiled.program, test);
            assert!(report.passed, "the example on line {line}:\n{report}");
            run += 1;
        }
    }
    assert!(run > 50, "only {run} tests on the page");
}
