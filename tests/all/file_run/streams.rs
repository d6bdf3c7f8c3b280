//! Standard input and output, and pipes: read once, written once, never waited for longer than they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::workplace::{Workplace, start};

const PATTERN: &str = "
stream clicks {
  user: string
  at: timestamp
  time at
}
stream orders {
  user: string
  at: timestamp
  time at
}
pattern pairs {
  from clicks by user
  match a: clicks then b: clicks
  within 1h
}
";

const BOTH: &str = "
pattern both {
  from clicks, orders by user
  match a: clicks then o: orders
  within 1h
}
";

fn clicks(places: std::ops::Range<u64>) -> String {
    places.map(|place| format!("{{\"user\":\"u{}\",\"at\":{}}}\n", place % 3, 1_000 * place)).collect()
}

fn place() -> Workplace {
    let work = Workplace::new();
    work.write("pairs.motif", PATTERN);
    work.write("both.motif", BOTH);
    work.write("clicks.jsonl", clicks(0..1_000));
    work
}

#[test]
fn with_one_stream_the_name_may_be_left_out() {
    let work = place();
    let expected = work.run("run pairs.motif --input clicks=clicks.jsonl");
    assert_eq!((expected.code, expected.out().lines().count()), (Some(0), 499), "{}", expected.stderr);
    for command in ["run pairs.motif --input clicks.jsonl", "run --input clicks.jsonl pairs.motif", "run pairs.motif -i clicks.jsonl -o /dev/stdout"] {
        let ended = work.run(command);
        assert_eq!((ended.code, ended.stdout == expected.stdout), (Some(0), true), "{command}: {}", ended.stderr);
    }
    let sentence = work.refusal("run pairs.motif both.motif --input clicks.jsonl", 1);
    assert_eq!(sentence, "--input clicks.jsonl: the patterns read several streams (clicks, orders); write --input NAME=clicks.jsonl");
    let sentence = work.refusal("run pairs.motif both.motif --input clicks=clicks.jsonl", 1);
    assert_eq!(sentence, "stream `orders` has no input; add --input orders=FILE");
    let sentence = work.refusal("run pairs.motif", 1);
    assert_eq!(sentence, "stream `clicks` has no input; add --input FILE, or --input - for standard input");
    let sentence = work.refusal("run pairs.motif both.motif --input clicks=- --input orders=-", 1);
    assert_eq!(sentence, "standard input can feed one stream only");
    let sentence = work.refusal("run pairs.motif --input a=clicks.jsonl", 1);
    assert_eq!(sentence, "--input a=clicks.jsonl: the patterns declare no stream `a`");
    let sentence = work.refusal("run pairs.motif --input click=clicks.jsonl", 1);
    assert_eq!(sentence, "--input click=clicks.jsonl: the patterns declare no stream `click`; did you mean `clicks`?");
}

#[test]
fn standard_input_is_an_input_like_any_other() {
    let work = place();
    let expected = work.run("run pairs.motif --input clicks.jsonl");
    let piped = work.run_with_input("run pairs.motif --input -", &work.read("clicks.jsonl"));
    assert_eq!((piped.code, &piped.stderr), (Some(0), &expected.stderr));
    assert!(piped.stdout == expected.stdout);
    // Without a line feed at its end.
    let piped = work.run_with_input("run pairs.motif --input clicks=-", clicks(0..1_000).trim_end().as_bytes());
    assert!(piped.stdout == expected.stdout, "{}", piped.stderr);
    // Redirected, it is a file; also one that somebody has read the head of.
    let redirected = start(work.motif("run pairs.motif --input -").stdin(std::fs::File::open(work.path("clicks.jsonl")).expect("a file"))).end();
    assert!(redirected.stdout == expected.stdout, "{}", redirected.stderr);
    work.write("headed.jsonl", format!("user,at\n{}", clicks(0..1_000)));
    let mut headed = std::fs::File::open(work.path("headed.jsonl")).expect("a file");
    headed.read_exact(&mut [0; 8]).expect("a head");
    let redirected = start(work.motif("run pairs.motif --input -").stdin(headed)).end();
    assert!(redirected.stdout == expected.stdout, "{}", redirected.stderr);
}

#[test]
fn a_redirected_file_is_gone_on_with() {
    let work = place();
    let run = || {
        let input = std::fs::File::open(work.path("clicks.jsonl")).expect("a file");
        let ended = start(work.motif("run pairs.motif --input - --output matches.jsonl --state state").stdin(input)).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    run();
    work.append("clicks.jsonl", clicks(1_000..1_100));
    assert!(run().starts_with("100 events,"), "only what is new is read");
    let whole = work.run("run pairs.motif --input clicks.jsonl");
    assert!(work.read("matches.jsonl") == whole.stdout);
}

#[test]
fn a_pipe_with_a_state_is_read_to_its_end_and_refused_the_second_time() {
    let work = place();
    let command = "run pairs.motif --input - --output matches.jsonl --state state";
    let ended = work.run_with_input(command, clicks(0..100).as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let matches = work.read("matches.jsonl");
    assert_eq!(matches.iter().filter(|byte| **byte == b'\n').count(), 49);
    let ended = work.run_with_input(command, clicks(100..200).as_bytes());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let said = "motif: standard input cannot be read again from the middle; give a file instead, or start without the stored state\n";
    assert_eq!(ended.stderr, said);
    assert!(work.read("matches.jsonl") == matches, "what was there stays");
}

/// As behind `tail -F`: a match comes out when the line that completes it has come, not with the next one.
#[test]
fn what_comes_through_a_pipe_is_answered_before_the_next_line_comes() {
    let work = place();
    let mut running = start(work.motif("run pairs.motif --input - --epoch-ms 10").stdin(Stdio::piped()));
    let mut pipe = running.take_stdin();
    let mut answers = BufReader::new(running.take_stdout()).lines();
    for round in 0..3 {
        let click = |user: &str, second: u64| format!("{{\"user\":\"{user}{round}\",\"at\":{}}}\n", 1_000 * (10 * round + second));
        // The last of them shows that time has gone on.
        let lines = click("pair", 1) + &click("pair", 2) + &click("clock", 3);
        pipe.write_all(lines.as_bytes()).expect("read");
        let answer = answers.next().expect("an answer").expect("text");
        assert!(answer.contains(&format!(r#""key":{{"user":"pair{round}"}}"#)), "{answer}");
    }
    drop(pipe);
    assert!(answers.next().is_none(), "each match once");
    assert_eq!(running.end().code, Some(0));
}

/// `motif run … | head`
#[test]
fn a_reader_that_has_seen_enough_ends_the_run_without_a_word() {
    let work = place();
    work.write("clicks.jsonl", clicks(0..200_000));
    let mut running = start(&mut work.motif("run pairs.motif --input clicks.jsonl --epoch-ms 1"));
    let mut answers = BufReader::new(running.take_stdout());
    let mut line = String::new();
    answers.read_line(&mut line).expect("a match");
    assert!(line.starts_with("{\"id\":"));
    drop(answers);
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn readable_text_is_for_standard_output_only() {
    let work = place();
    work.write("clicks.jsonl", clicks(0..5));
    let text = work.run("run pairs.motif --input clicks.jsonl --format text");
    let expected = "1970-01-01T00:00:03Z pairs user=\"u0\" [a 0:0, b 0:3]\n1970-01-01T00:00:04Z pairs user=\"u1\" [a 0:1, b 0:4]\n";
    assert_eq!(text.out(), expected);
    work.must("run pairs.motif --input clicks.jsonl --format text --output matches.jsonl");
    assert!(work.text("matches.jsonl").starts_with("{\"id\":"), "a file holds JSON");
}
