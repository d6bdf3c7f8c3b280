//! What a run refuses to touch, each in one sentence, and that it leaves everything as it was.

use std::net::TcpListener;

use crate::workplace::{Workplace, start};

const PATTERN: &str = "
stream clicks {
  user: string
  v: int
  at: timestamp
  time at
}
pattern pairs {
  from clicks by user
  match a: clicks then b: clicks
  within 1h
  emit user, a.v as began
}
";

const COMMAND: &str = "run pairs.motif --input clicks.jsonl --output matches.jsonl --state state --keep-open";

fn lines(values: std::ops::Range<u32>) -> String {
    values.map(|v| format!("{{\"user\":\"u{}\",\"v\":{v},\"at\":{}}}\n", v % 3, 1_000 * u64::from(v))).collect()
}

fn place() -> Workplace {
    let work = Workplace::new();
    work.write("pairs.motif", PATTERN);
    work.write("clicks.jsonl", lines(0..100));
    work
}

/// A run has been here and has left matches.
fn begun() -> Workplace {
    let work = place();
    work.must(COMMAND);
    assert!(work.length("matches.jsonl") > 1_000);
    work
}

/// What the command refuses, with exit status 2; the output stays as it is.
fn refused(work: &Workplace, command: &str) -> String {
    let before = (work.length("matches.jsonl"), work.path("matches.jsonl").exists().then(|| work.read("matches.jsonl")));
    let sentence = work.refusal(command, 2);
    let after = (work.length("matches.jsonl"), work.path("matches.jsonl").exists().then(|| work.read("matches.jsonl")));
    assert!(before == after, "matches.jsonl was touched: {sentence}");
    sentence
}

#[test]
fn an_output_longer_than_committed_is_cut() {
    let work = begun();
    work.append("clicks.jsonl", lines(100..120));
    let committed = work.read("matches.jsonl");
    // As a kill between appending and committing leaves it, and in the middle of a line.
    work.append("matches.jsonl", "{\"id\":\"half of a li");
    work.must(COMMAND);
    let whole = place();
    whole.write("clicks.jsonl", lines(0..120));
    whole.must(COMMAND);
    assert_eq!(work.text("matches.jsonl"), whole.text("matches.jsonl"));
    assert!(work.read("matches.jsonl").starts_with(&committed) && work.length("matches.jsonl") > committed.len() as u64);
}

#[test]
fn an_output_shorter_than_committed_is_refused() {
    let work = begun();
    let committed = work.length("matches.jsonl");
    let output = std::fs::File::options().write(true).open(work.path("matches.jsonl")).expect("the output");
    output.set_len(committed - 10).expect("cut");
    let sentence = refused(&work, COMMAND);
    let said = format!("matches.jsonl holds {} bytes, but {committed} were committed: it was shortened or replaced from outside", committed - 10);
    assert!(sentence.starts_with(&said), "{sentence}");
    assert!(sentence.ends_with("put the file back, or begin anew with a new state folder"), "{sentence}");
    output.set_len(0).expect("cut");
    let sentence = work.refusal(COMMAND, 2);
    assert!(sentence.starts_with("matches.jsonl holds 0 bytes"), "{sentence}");
    // Nor does it become empty by that what was asked for is to be begun anew: a state goes on, or another is given.
    assert!(work.refusal(&format!("{COMMAND} --overwrite"), 2).starts_with("matches.jsonl holds 0 bytes"));
}

#[test]
fn another_source_than_the_one_that_was_read_is_refused() {
    let work = begun();
    let matches = work.read("matches.jsonl");
    for (content, said) in [
        (lines(0..99), "were read before, but it has only"),
        (String::new(), "were read before, but it has only 0 now"),
        (lines(0..100).replacen("u0", "u1", 1), "does not begin like the file that was read before"),
        (lines(100..300), "does not begin like the file that was read before"),
    ] {
        work.write("clicks.jsonl", content);
        let sentence = refused(&work, COMMAND);
        assert!(sentence.starts_with("clicks.jsonl: ") && sentence.contains(said), "{sentence}");
        assert!(sentence.contains("give") && sentence.contains("new state folder"), "says what to do: {sentence}");
    }
    work.write("clicks.jsonl", lines(0..100));
    work.must(COMMAND);
    assert!(work.read("matches.jsonl") == matches);
}

/// Also where the part that is missing would not be read again, and lies beyond what tells one file from another.
#[test]
fn a_long_source_that_has_lost_its_last_line_is_refused() {
    let work = place();
    work.write("pairs.motif", PATTERN.replace("time at", "time at, late after 1m"));
    work.write("clicks.jsonl", lines(0..5_000));
    work.must(COMMAND);
    work.write("clicks.jsonl", lines(0..4_999));
    let sentence = refused(&work, COMMAND);
    assert!(sentence.contains("bytes of it were read before, but it has only"), "{sentence}");
}

/// What was not read may be mended.
#[test]
fn only_what_was_read_has_to_be_the_same() {
    let work = place();
    work.write("clicks.jsonl", lines(0..100) + "half of a rec");
    work.must(COMMAND);
    work.write("clicks.jsonl", lines(0..102));
    work.must(COMMAND);
    let whole = place();
    whole.write("clicks.jsonl", lines(0..102));
    whole.must(COMMAND);
    assert_eq!(work.text("matches.jsonl"), whole.text("matches.jsonl"));
}

#[test]
fn a_file_with_something_in_it_is_not_written_over_unless_said() {
    for option in ["--output", "--late", "--rejected"] {
        let work = place();
        work.write("mine.txt", "mine");
        let command = format!("run pairs.motif --input clicks.jsonl {option} mine.txt");
        for state in ["", " --state state"] {
            let sentence = work.refusal(&format!("{command}{state}"), 2);
            assert_eq!(sentence, "mine.txt is not empty, and no state knows it; give --overwrite, or another file");
            assert_eq!(work.text("mine.txt"), "mine");
        }
        let ended = work.run(&format!("{command} --overwrite"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!work.text("mine.txt").contains("mine"), "{option}");
    }
}

#[test]
fn a_state_folder_of_something_else_is_refused() {
    let said = |prepare: &dyn Fn(&Workplace)| {
        let work = place();
        prepare(&work);
        let sentence = refused(&work, COMMAND);
        assert!(!work.path("matches.jsonl").exists(), "nothing is made before the state is there");
        sentence
    };
    let folder = |work: &Workplace, name: &str| std::fs::create_dir_all(work.path(name)).expect("a folder");
    let sentence = said(&|work| work.write("state", "a file"));
    assert!(sentence.starts_with("state folder state") && sentence.contains("not a folder"), "{sentence}");
    let sentence = said(&|work| {
        folder(work, "state");
        work.write("state/letter.txt", "mine");
    });
    assert_eq!(sentence, "state folder state: it holds letter.txt and is not a state folder of motif; give an empty folder or a new one");
    let sentence = said(&|work| {
        folder(work, "state/0");
        work.write("state/0/letter.txt", "mine");
    });
    assert_eq!(sentence, "state folder state/0: it holds letter.txt and is not a state folder of motif; give an empty folder or a new one");
    let sentence = said(&|work| {
        folder(work, "state/0");
        work.write("state/0/MOTIF-STATE", "999\n");
    });
    assert_eq!(sentence, "state folder state/0: it is of format \"999\", and this version of motif knows only \"1\"");
}

#[test]
fn a_state_folder_and_an_output_are_for_one_process() {
    let work = place();
    // Waits for what comes through the pipe.
    let mut running = start(work.motif("run pairs.motif --input - --state state --output matches.jsonl").stdin(std::process::Stdio::piped()));
    running.wait_until("the output is made", || work.path("matches.jsonl").exists());
    let sentence = refused(&work, "run pairs.motif --input clicks.jsonl --state state --output other.jsonl");
    assert_eq!(sentence, "state folder state/0 is in use by another process");
    assert!(!work.path("other.jsonl").exists());
    for more in ["", "--overwrite", "--state other"] {
        let sentence = refused(&work, &format!("run pairs.motif --input clicks.jsonl --output matches.jsonl {more}"));
        assert_eq!(sentence, "matches.jsonl: another process is writing to it");
    }
    drop(running.take_stdin());
    assert_eq!(running.end().code, Some(0));
    work.must("run pairs.motif --input clicks.jsonl --output matches.jsonl");
}

#[test]
fn what_is_not_there_is_named() {
    let work = place();
    let missing = "No such file or directory (os error 2)";
    for (command, said) in [
        ("run pairs.motif --input none.jsonl --output matches.jsonl", format!("none.jsonl: {missing}")),
        ("run none.motif --input clicks.jsonl --output matches.jsonl", format!("none.motif: {missing}")),
        ("run pairs.motif --input clicks.jsonl --output none/matches.jsonl", format!("none/matches.jsonl: {missing}")),
        ("run pairs.motif --input . --output matches.jsonl", ".: is a directory".to_owned()),
        ("run pairs.motif --input clicks.jsonl --output .", ".: Is a directory (os error 21)".to_owned()),
    ] {
        assert_eq!(refused(&work, command), said, "{command}");
        assert!(!work.path("matches.jsonl").exists(), "{command}");
    }
}

#[test]
fn a_port_in_use_is_named_and_the_output_stays() {
    let work = begun();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let sentence = refused(&work, &format!("{COMMAND} --grpc {address}"));
    assert!(sentence.starts_with(&format!("cannot listen on {address}: ")), "{sentence}");
}

#[test]
fn an_output_that_is_an_input_or_another_output_is_refused() {
    let work = place();
    let lines = work.read("clicks.jsonl");
    let sentence = work.refusal("run pairs.motif --input clicks.jsonl --output ./clicks.jsonl --overwrite", 1);
    assert_eq!(sentence, "./clicks.jsonl is read and cannot be written at the same time; give another file with --output");
    assert!(work.read("clicks.jsonl") == lines);
    let sentence = work.refusal("run pairs.motif --input clicks.jsonl --output out.jsonl --late ./out.jsonl", 1);
    assert_eq!(sentence, "--output and --late are the same file ./out.jsonl; give each its own");
}

#[test]
fn an_output_that_is_a_pattern_file_or_the_configuration_is_refused() {
    let work = place();
    std::fs::create_dir(work.path("patterns")).expect("a folder");
    std::fs::rename(work.path("pairs.motif"), work.path("patterns/pairs.motif")).expect("moved");
    std::fs::hard_link(work.path("patterns/pairs.motif"), work.path("same")).expect("a link");
    for (option, output) in
        [("--output", "patterns/pairs.motif"), ("--output", "./patterns/../patterns/pairs.motif"), ("--late", "same"), ("--rejected", "same")]
    {
        let sentence = work.refusal(&format!("run patterns --input clicks.jsonl {option} {output} --overwrite"), 1);
        assert_eq!(sentence, format!("{output} is a pattern file of this run and cannot be written; give another file with {option}"));
    }
    let configuration =
        |output: &str| format!("[service]\npatterns = [\"patterns\"]\n[streams.clicks]\nfile = \"clicks.jsonl\"\n[output]\nfile = {output:?}\n");
    work.write("motif.toml", configuration("motif.toml"));
    let sentence = work.refusal("run --config ./motif.toml --overwrite --until-end", 1);
    assert_eq!(sentence, "./motif.toml is the configuration of this run and cannot be written; give another file with output.file");
    work.write("motif.toml", configuration("patterns/pairs.motif"));
    let sentence = work.refusal("run --config motif.toml --overwrite --until-end", 1);
    assert_eq!(sentence, "patterns/pairs.motif is a pattern file of this run and cannot be written; give another file with output.file");
    assert_eq!(work.text("patterns/pairs.motif"), PATTERN);
}

/// The state knows an output by where it lies.
#[test]
fn an_output_is_known_however_its_path_is_spelt() {
    let work = begun();
    std::fs::create_dir(work.path("folder")).expect("a folder");
    std::os::unix::fs::symlink("../matches.jsonl", work.path("folder/link.jsonl")).expect("a link");
    let mut until = 100;
    let whole = place();
    for output in ["./matches.jsonl", "folder/../matches.jsonl", "folder/link.jsonl", "matches.jsonl"] {
        work.append("clicks.jsonl", lines(until..until + 20));
        until += 20;
        work.must(&COMMAND.replace("matches.jsonl", output));
        whole.write("clicks.jsonl", lines(0..until));
        whole.must(&format!("{COMMAND} --overwrite").replace("--state state", &format!("--state state{until}")));
        assert_eq!(work.text("matches.jsonl"), whole.text("matches.jsonl"), "{output}");
    }
    // Also where the folder is named by a link.
    std::os::unix::fs::symlink(".", work.path("here")).expect("a link");
    work.must(&COMMAND.replace("matches.jsonl", "here/matches.jsonl"));
}

#[test]
fn an_output_that_is_gone_is_refused_with_what_to_do_and_nothing_is_left_in_its_place() {
    for committed in [true, false] {
        let work = if committed { begun() } else { place() };
        if !committed {
            work.write("clicks.jsonl", "");
            work.must(COMMAND);
            work.write("clicks.jsonl", lines(0..100));
        }
        std::fs::remove_file(work.path("matches.jsonl")).expect("removed");
        if committed {
            for command in [COMMAND.to_owned(), format!("{COMMAND} --overwrite")] {
                let sentence = work.refusal(&command, 2);
                assert!(sentence.starts_with("matches.jsonl is gone, but "), "{sentence}");
                assert!(sentence.ends_with("put the file back, or begin anew with a new state folder"), "{sentence}");
                assert!(!work.path("matches.jsonl").exists(), "nothing is left");
            }
        } else {
            // Nothing was in it.
            work.must(COMMAND);
            assert!(work.length("matches.jsonl") > 1_000);
        }
    }
}

/// A line of a file has no time of its own, nor has what is published.
#[test]
fn a_stream_without_a_time_is_refused_where_its_records_have_none() {
    let work = place();
    work.write("pairs.motif", PATTERN.replace("  time at\n", ""));
    work.must("check pairs.motif");
    let said = |how: &str| format!("stream `clicks` declares no field as its time, and {how}; add `time FIELD` to the stream, with a field of type timestamp");
    let of_lines = said("lines of a file have none of their own");
    for command in ["run pairs.motif --input clicks.jsonl --output matches.jsonl", "run pairs.motif --input -"] {
        assert_eq!(work.refusal(command, 1), of_lines, "{command}");
    }
    assert!(!work.path("matches.jsonl").exists());
    for (source, said) in [("file = \"clicks.jsonl\"", &of_lines), ("grpc = true", &said("published events have none of their own"))] {
        let more = "[output]\nfile = \"matches.jsonl\"\n[grpc]\naddress = \"127.0.0.1:0\"\n";
        work.write("motif.toml", format!("[service]\npatterns = [\"pairs.motif\"]\n[streams.clicks]\n{source}\n{more}"));
        assert_eq!(work.refusal("run --config motif.toml --until-end", 1), *said, "{source}");
    }
}

/// After a stop, other patterns begin anew while the ones that are the same go on; what is dropped is said.
#[test]
fn changed_patterns_lose_their_partial_matches_and_say_so() {
    let work = place();
    let same = PATTERN.replace("pairs", "same");
    let (_, same) = same.split_once("}\n").expect("a pattern");
    work.write("pairs.motif", format!("{PATTERN}{same}"));
    work.write("clicks.jsonl", lines(0..2));
    work.must(COMMAND);
    work.append("clicks.jsonl", lines(3..6));
    work.write("pairs.motif", format!("{}{same}", PATTERN.replace("within 1h", "within 2h")));
    let said = work.must(COMMAND);
    assert!(said.contains("pairs") && said.contains("changed or gone since the last run"), "{said}");
    let matches = work.text("matches.jsonl");
    let of = |pattern: &str| matches.lines().filter(|line| line.contains(&format!("\"pattern\":\"{pattern}\""))).count();
    // The first click of u0 was decided before; that of u1 was held back, and is read again.
    assert_eq!((of("same"), of("pairs")), (2, 1), "{matches}");
}

/// Also where its windows count what those of a pattern count that was there before; that one goes on.
#[test]
fn the_windows_of_a_new_pattern_begin_anew() {
    let work = place();
    let (streams, _) = PATTERN.split_once("pattern").expect("streams");
    let third = |name: &str| format!("pattern {name} {{ from clicks by user  match a: clicks where count(clicks over 1h) == 3 within 1s  emit a.v as v }}\n");
    let found = |until: u32, patterns: &[&str]| {
        work.write("pairs.motif", streams.to_owned() + &patterns.iter().map(|name| third(name)).collect::<String>());
        work.write("clicks.jsonl", lines(0..until));
        work.must(COMMAND);
        let text = work.text("matches.jsonl");
        let of = |name: &str| -> Vec<u32> {
            let lines = text.lines().filter(|line| line.contains(&format!("\"pattern\":\"{name}\"")));
            let value = |line: &str| {
                let (_, rest) = line.split_once("\"v\":").expect("a value");
                rest.split(|sign: char| !sign.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).expect("a number")
            };
            lines.map(value).collect()
        };
        ["old", "new", "newer"].map(of)
    };
    let none = Vec::<u32>::new();
    assert_eq!(found(5, &["old"]), [none.clone(), none.clone(), none.clone()]);
    // The last click was held back, and is read again.
    assert_eq!(found(13, &["old", "new"]), [vec![6, 7, 8], vec![10, 11], none]);
    assert_eq!(found(20, &["new", "newer"]), [vec![6, 7, 8], vec![10, 11, 12], vec![18]]);
}
