//! `motif test` from outside: tests and tables, explicit watermarks, coverage, the formats, exit statuses.

use std::collections::BTreeMap;

use crate::workplace::{Ended, Workplace};

const DOORS: &str = r#"stream doors {
  door: string
  open: bool
  at:   timestamp
  time at, late after 10s
}

pattern left_open {
  from doors by door
  match opened: doors where open
   then not shut: doors where not open for 5m
  emit door
}

table "how long" of left_open {
  columns shut_at, door
  0s      doors { door: "north", open: true }
  shut_at doors { door: door, open: false }

  case "shut in time":     299s, "north" expect none
  case "shut too late":    5m,   "north" expect match at 5m expect none
  case "another one shut": 1m,   "south" expect match { door: "north" } expect none
  case "never shut":       none, "north" expect match at 5m expect none
}

test "shut in time, and told when all is over" of left_open {
  0s   doors { door: "north", open: true }
  301s watermark doors
  299s doors { door: "north", open: false }
  expect match at 5m
  expect late at 299s
  expect none
}
"#;

/// One test fails, and its name and values are hard on XML.
const AWKWARD: &str = r#"stream s {
  text: string
  at:   timestamp
  time at
}

pattern said {
  from s
  match a: s where text == "<&>"
   then b: s where text != "<&>"
  within 1m
  emit a.text as text
}

test "<b> & \"c\" ]]> 'd'\u0001\u000b\n\té\u2028" of said {
  0s s { text: "<&>" }
  1s s { text: "\u0000]]>\r\n" }
  expect match { text: "&amp; \u001f" }
  expect none
}

test "fine" of said {
  0s s { text: "<&>" }
  expect none
}
"#;

fn place() -> Workplace {
    let work = Workplace::new();
    for folder in ["doors", "awkward", "broken", "empty"] {
        std::fs::create_dir(work.path(folder)).expect("a folder");
    }
    work.write("doors/doors.motif", DOORS);
    work.write("awkward/said.motif", AWKWARD);
    work.write("broken/broken.motif", "pattern p { from nowhere match a: nowhere }\n");
    work.write("empty/empty.motif", "stream s {\n  at: timestamp\n  time at\n}\n");
    work
}

fn shown(words: &str, ended: &Ended) -> String {
    format!("$ motif {words}\n{}--- standard error\n{}--- exit status {:?}\n", ended.out(), ended.stderr, ended.code)
}

fn session(work: &Workplace, commands: &[&str]) -> String {
    let shown: Vec<String> = commands.iter().map(|words| shown(words, &work.run(words))).collect();
    shown.join("\n")
}

#[test]
fn cases_are_tests_and_coverage_says_what_none_has_reached() {
    let work = place();
    let commands = [
        "test doors",
        "test doors --coverage",
        "test doors --coverage --filter shut",
        "test doors --coverage --filter never",
        "test doors --coverage --format json --filter never",
        "test doors --coverage --format junit --filter never",
        "test awkward broken",
        "test awkward broken empty --coverage --format junit",
    ];
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("cases_and_coverage", session(&work, &commands)) });
}

#[test]
fn the_exit_status_says_whether_all_is_well_in_every_format() {
    let work = place();
    for format in ["text", "json", "junit"] {
        for coverage in ["", " --coverage"] {
            for (folders, code) in [("doors", 0), ("doors empty", 0), ("empty", 0), ("awkward", 1), ("broken", 1), ("doors broken", 1), ("missing", 2)] {
                let ended = work.run(&format!("test {folders} --format {format}{coverage}"));
                assert_eq!(ended.code, Some(code), "{folders} {format}{coverage}: {}", ended.stderr);
            }
            let nothing = work.run(&format!("test doors --filter nothing --format {format}{coverage}"));
            assert_eq!(nothing.code, Some(1), "{}", nothing.stderr);
        }
    }
}

#[test]
fn coverage_changes_no_result() {
    let work = place();
    for folder in ["doors", "awkward"] {
        let [plain, covered] = ["", " --coverage"].map(|more| work.run(&format!("test {folder}{more}")).out());
        assert!(covered.starts_with(&plain), "{covered}");
        assert!(covered.len() > plain.len());
    }
}

#[test]
fn json_is_one_object_a_line() {
    let work = place();
    let out = work.run("test doors awkward --coverage --format json").out();
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let (tests, coverage): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("result").is_some());
    assert_eq!((tests.len(), coverage.len()), (7, 2), "{out}");
    assert!(
        coverage
            .iter()
            .all(|line| line["points"].as_u64() == Some(line["reached"].as_u64().expect("a number") + line["missed"].as_array().expect("a list").len() as u64))
    );
}

/// An element of an XML document, with its text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn count(&self, name: &str) -> usize {
        usize::from(self.name == name) + self.children.iter().map(|child| child.count(name)).sum::<usize>()
    }

    fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }
}

/// Reads a document without comments and the like; whatever is not well-formed panics.
fn read(xml: &str) -> Element {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(allowed), "characters that XML has");
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration").trim_start();
    let mut open = vec![Element::default()];
    while !rest.is_empty() {
        let (text, tag) = rest.split_once('<').unwrap_or((rest, ""));
        open.last_mut().expect("the document").text += &unescaped(text);
        if tag.is_empty() {
            break;
        }
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop().expect("an open element");
            assert_eq!(element.name, name);
            open.last_mut().expect("the document").children.push(element);
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        while !attributes.trim().is_empty() {
            let (name, quoted) = attributes.split_once("=\"").expect("an attribute has a value");
            let (value, after) = quoted.split_once('"').expect("a value ends");
            assert!(element.attributes.insert(name.trim().to_owned(), unescaped(value)).is_none(), "each attribute once");
            attributes = after;
        }
        if is_closed { open.last_mut().expect("the document").children.push(element) } else { open.push(element) }
    }
    assert_eq!(open.len(), 1, "everything is closed");
    let mut document = open.remove(0);
    assert_eq!((document.children.len(), document.text.trim()), (1, ""));
    document.children.remove(0)
}

fn unescaped(text: &str) -> String {
    let (plain, escaped) = text.split_once('&').map_or((text, None), |(plain, escaped)| (plain, Some(escaped)));
    let Some(escaped) = escaped else { return plain.to_owned() };
    let (name, after) = escaped.split_once(';').expect("an entity ends");
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        number => char::from_u32(number.strip_prefix('#').expect("an entity of XML").parse().expect("a number")).expect("a character"),
    };
    format!("{plain}{character}{}", unescaped(after))
}

#[test]
fn junit_is_well_formed_and_counts_what_it_holds() {
    let work = place();
    let out = work.run("test doors awkward broken --coverage --format junit").out();
    let document = read(&out);
    let number = |element: &Element, name: &str| element.attributes[name].parse::<usize>().expect("a number");
    for suite in std::iter::once(&document).chain(&document.children) {
        for (attribute, element) in [("tests", "testcase"), ("failures", "failure"), ("errors", "error")] {
            assert_eq!(number(suite, attribute), suite.count(element), "{} of {}", attribute, suite.attributes["name"]);
        }
    }
    assert_eq!((number(&document, "tests"), number(&document, "failures"), number(&document, "errors")), (8, 1, 1));
    let failed = document.children.iter().find(|suite| suite.attributes["name"] == "awkward").expect("the suite").find("testcase").expect("a case");
    assert_eq!(failed.attributes["name"], "<b> & \"c\" ]]> 'd'\u{fffd}\u{fffd}\n\té\u{2028}");
    assert_eq!((failed.attributes["classname"].as_str(), failed.attributes["line"].as_str()), ("said", "15"));
    let failure = failed.find("failure").expect("it failed");
    assert!(failure.text.contains("came out, not expected"), "{}", failure.text);
    let error = document.find("error").expect("a folder is broken");
    assert!(error.text.contains("unknown stream `nowhere`"), "{}", error.text);
    let doors = document.children.iter().find(|suite| suite.attributes["name"] == "doors").expect("the suite");
    assert!(doors.find("system-out").expect("coverage").text.contains("left_open: all of"), "{doors:?}");
}

#[test]
fn the_page_about_tests_is_right() {
    let page = include_str!("../../grammar/tests.md");
    let program: String = page.split("```motif\n").skip(1).map(|block| block.split("```").next().expect("a block").to_owned() + "\n").collect();
    let work = Workplace::new();
    work.write("page.motif", &program);
    let ended = work.run("test page.motif");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "7 passed, 0 failed\n"), "{}", ended.out());
    let checked = work.run("check page.motif");
    assert_eq!((checked.code, checked.stderr.contains("0 errors, 0 warnings")), (Some(0), true), "{}", checked.stderr);
    let formatted = work.run_with_input("fmt -", program.as_bytes());
    assert_eq!(formatted.out(), program.trim_end().to_owned() + "\n");
}
