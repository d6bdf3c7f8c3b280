//! `motif sample` as its users meet it: files made, run and compared, and what it refuses.

use crate::patterns::project;
use crate::workplace::Workplace;

/// Makes a sample in `made`, and the matches of its patterns in `matches.jsonl`.
fn make_and_run(work: &Workplace, scenario: &str, patterns: &str, inputs: &str) {
    let made = work.run(&format!("sample {scenario} --out made --events 3000 --keys 200 --seed 5"));
    assert_eq!((made.code, made.stdout.as_slice()), (Some(0), &b""[..]), "{}", made.stderr);
    assert!(made.stderr.contains("made/planted.jsonl: "), "says what is where: {}", made.stderr);
    let patterns = project("patterns").join(patterns);
    let ran = work.run(&format!("run {} {inputs} --output matches.jsonl", patterns.display()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn what_is_planted_is_found_by_the_program() {
    for (scenario, patterns, inputs) in [
        ("payments", "fraud", "--input payments=made/payments.jsonl --input logins=made/logins.jsonl"),
        ("sensors", "sensors", "--input made/sensors.jsonl"),
        ("web", "web", "--input made/requests.jsonl"),
    ] {
        let work = Workplace::new();
        make_and_run(&work, scenario, patterns, inputs);
        let compared = work.run("sample --compare made/planted.jsonl matches.jsonl");
        let table = String::from_utf8(compared.stdout).expect("text");
        assert_eq!((compared.code, compared.stderr.as_str()), (Some(0), ""), "{table}");
        assert!(!table.contains("missing:") && !table.contains("unexpected:"), "{table}");
    }
}

#[test]
fn a_difference_is_shown_and_exit_status_1() {
    let work = Workplace::new();
    make_and_run(&work, "web", "web", "--input made/requests.jsonl");
    let matches = work.text("matches.jsonl");
    let (first, rest) = matches.split_once('\n').expect("a match");
    let second = rest.lines().next().expect("another");
    work.write("changed.jsonl", format!("{rest}{second}\n"));
    let compared = work.run("sample --compare made/planted.jsonl changed.jsonl");
    let table = String::from_utf8(compared.stdout).expect("text");
    assert_eq!((compared.code, compared.stderr.as_str()), (Some(1), "what was found is not what was planted: 1 missing, 1 unexpected\n"), "{table}");
    for (what, line) in [("missing: match of ", first), ("unexpected: match of ", second)] {
        let at = line.split("\"at\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a time");
        assert!(table.lines().any(|shown| shown.starts_with(what) && shown.contains(at)), "{what}{at}: {table}");
    }
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let work = Workplace::new();
    work.write("file", "");
    std::fs::create_dir(work.path("own")).expect("a folder");
    work.write("own/requests.jsonl", "{}\n");
    work.write("bad.jsonl", "{}\n");
    work.write("empty.jsonl", "");
    for (words, code, said) in [
        ("sample paymens", 1, "there is no scenario `paymens` among payments, sensors, web; did you mean `payments`?"),
        ("sample web --events 5", 1, "the scenario web takes at least "),
        ("sample web --keys 0", 1, "a sample takes at least 1 key"),
        ("sample web --events 1000000 --keys 2", 1, "1000000 events take at least "),
        ("sample web --out file", 2, "file: is not a folder"),
        ("sample web --out own", 2, "own/requests.jsonl is there already, and no planted.jsonl beside it"),
        ("sample --compare nowhere.jsonl empty.jsonl", 2, "nowhere.jsonl: No such file"),
        ("sample --compare empty.jsonl bad.jsonl", 1, "bad.jsonl:1: no match: missing field"),
        ("sample --compare bad.jsonl empty.jsonl", 1, "bad.jsonl:1: no planted case: missing field"),
    ] {
        let ended = work.run(words);
        assert_eq!((ended.code, ended.stdout.as_slice()), (Some(code), &b""[..]), "{words}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{words}: {}", ended.stderr);
    }
    assert_eq!(work.text("own/requests.jsonl"), "{}\n", "somebody's own file stays as it is");
}

#[test]
fn a_sample_may_be_made_again_in_its_place() {
    let work = Workplace::new();
    let lines = |seed: u64| {
        let made = work.run(&format!("sample web --events 500 --keys 20 --seed {seed}"));
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        (work.text("requests.jsonl"), work.text("planted.jsonl"))
    };
    let first = lines(1);
    assert_ne!(lines(2), first);
    assert_eq!(lines(1), first);
}
