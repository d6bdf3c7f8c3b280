//! How a run ends: at the end of its input, open or closed, in the middle of a line, by a signal; and how the next one goes on.

use std::process::Stdio;

use crate::workplace::{Workplace, start};

const PATTERNS: &str = "
stream clicks {
  user: string
  v: int
  at: timestamp
  time at, late after 2s
}
pattern pairs {
  from clicks by user
  match a: clicks then b: clicks
  within 1h
  emit user, a.v as began, b.v as ended
}
pattern lonely {
  from clicks by user
  match a: clicks
   then not b: clicks for 1h
  emit user, a.v as v
}
";

const COMMAND: &str = "run clicks.motif --input clicks.jsonl --output matches.jsonl --late late.jsonl --rejected rejected.jsonl";

fn place(clicks: &str) -> Workplace {
    let work = Workplace::new();
    work.write("clicks.motif", PATTERNS);
    work.write("clicks.jsonl", clicks);
    work
}

fn click(second: u32, user: &str, v: u32) -> String {
    format!("{{\"user\":\"{user}\",\"v\":{v},\"at\":{}}}\n", 1_000 * u64::from(second))
}

fn clicks(places: std::ops::Range<u32>) -> String {
    places.map(|place| click(place, &format!("u{}", place % 5), place)).collect()
}

/// The outputs of one run over all of it.
fn outputs_of(clicks: &str, more: &str) -> [String; 3] {
    let work = place(clicks);
    work.must(&format!("{COMMAND} {more}"));
    outputs(&work)
}

fn outputs(work: &Workplace) -> [String; 3] {
    ["matches.jsonl", "late.jsonl", "rejected.jsonl"].map(|name| work.text(name))
}

#[test]
fn the_end_of_the_input_closes_all_windows_unless_it_is_kept_open() {
    let [closed, ..] = outputs_of(&clicks(0..10), "");
    assert_eq!(closed.matches("\"pattern\":\"lonely\"").count(), 5, "{closed}");
    let [open, ..] = outputs_of(&clicks(0..10), "--keep-open");
    assert_eq!(open.matches("\"pattern\":\"lonely\"").count(), 0, "{open}");
    // The last two seconds are not decided either.
    assert_eq!((closed.matches("\"pattern\":\"pairs\"").count(), open.matches("\"pattern\":\"pairs\"").count()), (5, 2), "{open}");
    assert!(closed.starts_with(&open));
}

#[test]
fn run_again_on_an_input_that_has_ended_nothing_changes() {
    let bad = clicks(0..30) + "bad\n" + &click(1, "late", 1) + &clicks(30..40) + "{\"user\"";
    for more in ["--state state", "--state state --keep-open"] {
        let work = place(&bad);
        work.must(&format!("{COMMAND} {more}"));
        let first = outputs(&work);
        assert_eq!(first, outputs_of(&bad, more.trim_start_matches("--state state")), "{more}");
        for _ in 0..3 {
            let said = work.must(&format!("{COMMAND} {more}"));
            assert_eq!(outputs(&work), first, "{more}: {said}");
        }
    }
}

/// Whether a line without its end is one is not known while the file may grow.
#[test]
fn the_last_line_without_an_end_is_an_event_of_this_run_only() {
    let whole = clicks(0..12);
    let expected = outputs_of(&whole, "");
    for cut in [whole.len() - 1, whole.len() - 5, whole.len() - 20] {
        let work = place(&whole[..cut]);
        let command = format!("{COMMAND} --state state");
        work.must(&command);
        if cut == whole.len() - 1 {
            assert_eq!(outputs(&work), expected, "all of it is there but the line feed");
        } else {
            assert_eq!(work.text("rejected.jsonl").lines().count(), 1, "half a record is none");
            assert!(work.text("rejected.jsonl").contains(r#""offset":11,"code":"not_json""#));
        }
        work.append("clicks.jsonl", &whole[cut..]);
        work.must(&command);
        assert_eq!(outputs(&work), expected, "cut at {cut}");
    }
    // Kept open, it waits.
    let work = place(&whole[..whole.len() - 1]);
    let said = work.must(&format!("{COMMAND} --keep-open"));
    assert!(said.starts_with("11 events,"), "{said}");
}

/// Of two files that end unlike, one without a line feed: with and without state the same comes out.
#[test]
fn a_stream_that_ends_early_without_a_line_feed_loses_nothing() {
    let patterns = PATTERNS.to_owned()
        + "stream orders {\n  user: string\n  at: timestamp\n  time at\n}\n\
           pattern ordered {\n  from clicks, orders by user\n  match a: clicks then o: orders\n  within 1h\n  emit user, a.v as v\n}\n";
    let order = |second: u32, user: &str| format!("{{\"user\":\"{user}\",\"at\":{}}}\n", 1_000 * u64::from(second));
    let orders = order(3, "u1") + &order(6, "u2") + order(9, "u4").trim_end();
    let mut all = Vec::new();
    for more in ["", "--state state", "--state state --keep-open", "--state state"] {
        // More than is read at a time.
        let work = place(&clicks(0..15_000));
        work.write("clicks.motif", &patterns);
        work.write("orders.jsonl", &orders);
        let command = format!(
            "run clicks.motif --input clicks=clicks.jsonl --input orders=orders.jsonl --output matches.jsonl --late late.jsonl --rejected rejected.jsonl {more}"
        );
        let said = work.must(&command);
        assert!(said.contains(" 0 late, 0 rejected"), "{more}: {said}");
        if !more.contains("keep-open") {
            assert_eq!(work.text("matches.jsonl").matches("\"pattern\":\"ordered\"").count(), 3, "{more}");
            all.push(outputs(&work));
        }
    }
    assert!(all.iter().all(|outputs| *outputs == all[0]));
}

#[test]
fn an_empty_input_is_an_input() {
    for text in ["", "\n", " \n\r\n\n"] {
        let work = place(text);
        assert_eq!(work.must(COMMAND), "0 events, 0 matches, 0 late, 0 rejected\n", "{text:?}");
        assert_eq!(outputs(&work), ["", "", ""]);
        work.must(&format!("{COMMAND} --state state"));
        work.append("clicks.jsonl", clicks(0..10));
        work.must(&format!("{COMMAND} --state state"));
        assert_eq!(work.text("matches.jsonl").lines().count(), 10, "an empty file may grow");
    }
}

#[test]
fn a_signal_ends_a_run_and_the_same_command_goes_on() {
    for signal in ["INT", "TERM"] {
        let first = clicks(0..500);
        let work = place(&(first.clone() + "the end of the first part\n"));
        let service = "[service]\npatterns = [\"clicks.motif\"]\nstate = \"state\"\nepoch_ms = 5\n[streams.clicks]\nfile = \"clicks.jsonl\"\nfollow = true\n\
                       [output]\nfile = \"matches.jsonl\"\nlate_file = \"late.jsonl\"\nrejected_file = \"rejected.jsonl\"\n";
        work.write("motif.toml", service);
        for part in [clicks(500..1_000) + "second\n", clicks(1_000..1_500) + "third\n"] {
            let mut running = start(&mut work.motif("run --config motif.toml"));
            let bad_lines = work.text("clicks.jsonl").lines().filter(|line| !line.starts_with('{')).count();
            running.wait_until("all lines are read", || work.path("rejected.jsonl").exists() && work.text("rejected.jsonl").lines().count() == bad_lines);
            running.signal(signal);
            let ended = running.end();
            assert_eq!(ended.code, Some(0), "a service is ended by a signal: {}", ended.stderr);
            work.append("clicks.jsonl", part);
        }
        work.must("run --config motif.toml --until-end");
        assert_eq!(outputs(&work), outputs_of(&work.text("clicks.jsonl"), ""), "SIG{signal}");
    }
}

/// Also where nothing comes that it could look up from.
#[test]
fn a_signal_ends_a_run_that_waits_for_a_pipe() {
    for (signal, state) in [("INT", ""), ("TERM", ""), ("INT", " --state state")] {
        let work = place("");
        let command = format!("run clicks.motif --input - --output matches.jsonl --rejected rejected.jsonl --epoch-ms 5{state}");
        let mut running = start(work.motif(&command).stdin(Stdio::piped()));
        let mut pipe = running.take_stdin();
        std::io::Write::write_all(&mut pipe, (clicks(0..100) + "seen\n").as_bytes()).expect("read");
        running.wait_until("all lines are read", || work.length("rejected.jsonl") > 0);
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let said = "100 events, 47 matches, 0 late, 1 rejected (1 not_json)\nstopped before the end of the input; the same command goes on from here if it has --state\n";
        assert_eq!(ended.stderr, said, "SIG{signal}");
        drop(pipe);
    }
}
