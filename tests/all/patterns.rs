//! The rules of `patterns/`: each passes its tests, says what it is for, and finds in the real logs what two unrelated engines find in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use motif::codec::{DecodeOptions, Decoder};
use motif::engine::{Effect, Engine, EngineOptions, Input};
use motif::event::{SharedEvent, Value};
use motif::language::{ExpectationKind, Source, Test, compile, format};
use motif::pattern::Program;
use motif::ports::Record;
use motif::testing;

/// A folder of patterns.
pub struct Folder {
    pub sources: Vec<Source>,
    pub program: Program,
    pub tests: Vec<Test>,
}

pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compiles a folder below `patterns/`, which must be without fault.
pub fn folder(name: &str) -> Folder {
    let listed = std::fs::read_dir(project("patterns").join(name)).expect("the folder of patterns");
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |path: &PathBuf| Source { path: path.display().to_string(), text: std::fs::read_to_string(path).expect("a text") };
    let sources: Vec<Source> = files.iter().map(read).collect();
    let compiled = compile(&sources);
    assert!(compiled.diagnostics.is_empty(), "{name} is without fault: {:#?}", compiled.diagnostics);
    assert!(!compiled.program.patterns.is_empty(), "{name} has patterns");
    Folder { sources, program: compiled.program, tests: compiled.tests }
}

fn folders() -> Vec<(String, Folder)> {
    let listed = std::fs::read_dir(project("patterns")).expect("the folder of patterns");
    let mut names: Vec<String> = listed.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(["access", "fraud", "sensors", "ssh", "web"].iter().all(|wanted| names.iter().any(|name| name == wanted)), "{names:?}");
    names.into_iter().map(|name| (name.clone(), folder(&name))).collect()
}

#[test]
fn every_test_beside_a_pattern_passes() {
    for (name, folder) in folders() {
        for test in &folder.tests {
            let report = testing::run(&folder.program, test);
            assert!(report.passed, "{name}:\n{report}");
        }
    }
}

/// A test that nothing comes out of, although it looks much like something that does.
fn is_near_miss(test: &Test) -> bool {
    test.nothing_else && test.expectations.iter().all(|line| line.kind == ExpectationKind::Late)
}

#[test]
fn every_pattern_is_tested_for_what_it_finds_and_for_what_it_must_not_find() {
    for (name, folder) in folders() {
        for (place, pattern) in folder.program.patterns.iter().enumerate() {
            let tests: Vec<&Test> = folder.tests.iter().filter(|test| test.pattern == place).collect();
            let hits = tests.iter().filter(|test| test.expectations.iter().any(|line| line.kind == ExpectationKind::Match)).count();
            let near_misses = tests.iter().filter(|test| is_near_miss(test)).count();
            assert!(hits > 0 && near_misses > 0, "{name}, {}: {hits} tests that it finds something, {near_misses} that it does not", pattern.name);
        }
    }
}

#[test]
fn every_pattern_says_what_it_is_for_and_what_it_would_miss() {
    for (name, folder) in folders() {
        for pattern in &folder.program.patterns {
            let opening = format!("\npattern {} {{", pattern.name);
            let text = folder.sources.iter().map(|source| &source.text).find(|text| text.contains(&opening)).expect("the pattern's text");
            let before = &text[..text.find(&opening).expect("just found")];
            let comment: Vec<&str> = before.lines().rev().take_while(|line| line.starts_with('#')).collect();
            assert!(comment.len() > 1, "{name}, {}: begins with a comment", pattern.name);
            assert!(comment.iter().any(|line| line.starts_with("# Misses: ")), "{name}, {}: the comment tells what it misses", pattern.name);
        }
    }
}

#[test]
fn every_pattern_file_is_in_canonical_form() {
    for (name, folder) in folders() {
        for source in &folder.sources {
            assert_eq!(format(source).expect("what compiles can be printed"), source.text, "{name}: {}", source.path);
        }
    }
}

/// Of one pattern: matches, and the sums of the ids of their first and last events.
type Agreed = (u64, i64, i64);

/// Runs a folder's patterns over a log. Returns what each found, and how many events were late.
fn run(patterns: &str, log: &str, shards: usize) -> (BTreeMap<String, Agreed>, u64) {
    let Folder { program, .. } = folder(patterns);
    let text = std::fs::read_to_string(project("tests/data").join(log)).expect("the log");
    let stream = program.schema.ids().next().expect("a stream");
    let id = program.schema.stream(stream).fields.iter().position(|field| field.name == "id").expect("events have an id");
    let mut decoder = Decoder::new(&program.schema, stream, DecodeOptions::default());
    let mut engine = Engine::new(&program, EngineOptions { shards, ..EngineOptions::default() });
    let (mut effects, mut ids) = (Vec::new(), Vec::new());
    for (offset, line) in (0..).zip(text.lines()) {
        let record = Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes: line.as_bytes(), full_bytes: line.len() as u64 };
        let event = decoder.decode(&record, 0).expect("an event");
        ids.push(match event.fields[id] {
            Value::Int(id) => id,
            _ => unreachable!("ids are numbers"),
        });
        engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
    }
    engine.apply(Input::End, &mut effects);
    // No more is kept of an event than patterns ask for.
    let id = |event: &SharedEvent| ids[usize::try_from(event.offset).expect("a line's number")];
    let mut found: BTreeMap<String, Agreed> = BTreeMap::new();
    for effect in effects {
        let Effect::Matched(matched) = effect else { continue };
        let of = found.entry(matched.pattern.name.clone()).or_default();
        let ends = matched.chosen.first().zip(matched.chosen.last()).expect("a match has events");
        *of = (of.0 + 1, of.1 + id(&ends.0.1), of.2 + id(&ends.1.1));
    }
    (found, engine.counters().late)
}

#[test]
fn the_real_logs_give_the_agreed_counts() {
    for shards in [1, 2, 3] {
        let (found, late) = run("ssh", "ssh_logins.jsonl", shards);
        let agreed = [("broken_in", (1, 269, 417)), ("five_failed_logins", (177, 150_239, 150_987))];
        assert_eq!((found, late), (agreed.map(|(name, counts)| (name.to_owned(), counts)).into(), 0), "{shards} shards");
        let (found, late) = run("web", "web_requests.jsonl", shards);
        let agreed = [("request_burst", (249, 1_299_747, 1_300_195)), ("web_scan", (14, 82_840, 83_213))];
        assert_eq!((found, late), (agreed.map(|(name, counts)| (name.to_owned(), counts)).into(), 0), "{shards} shards");
    }
}
