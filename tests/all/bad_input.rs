//! Records that cannot be read: each is counted by its reason and set aside with it, and the run goes on; with `--strict` it stops, and says where.

use serde_json::Value;

use crate::workplace::{Workplace, start};

const PATTERN: &str = "
stream payments {
  card: string
  amount: decimal
  count: int
  rate: float?
  shop: { name: string }?
  at: timestamp
  time at, late after 10s
}
pattern each {
  from payments by card
  match p: payments
  emit card, p.amount as amount
}
";

/// The time that far-future events are measured against, so that no test depends on the day.
const NOW: &str = "2026-01-01T00:00:00Z";
const COMMAND: &str = "run each.motif --input payments.jsonl --output matches.jsonl --rejected rejected.jsonl --now 2026-01-01T00:00:00Z";

fn good(card: &str, second: u32) -> String {
    format!("{{\"card\":\"{card}\",\"amount\":1.50,\"count\":1,\"at\":\"2025-12-31T23:00:{second:02}Z\"}}")
}

/// A record whose members are good but for this one, which comes last and so counts.
fn with(member: &str) -> Vec<u8> {
    let good = good("bad", 2);
    format!("{},{member}}}", good.strip_suffix('}').expect("an object")).into_bytes()
}

/// Bytes of a line, the code it is rejected with, and what the reason says.
fn bad_records() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let deep = |depth: usize| with(&format!("\"shop\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    let mut long = with("\"note\":\"");
    long.resize(20_000_000, b'x');
    long.extend_from_slice(b"\"}");
    let mut not_utf8 = with("\"note\":\"?\"");
    let place = not_utf8.iter().rposition(|byte| *byte == b'?').expect("above");
    not_utf8[place] = 0xff;
    vec![
        ("not JSON", text("hello"), "not_json", "not JSON: expected value at byte 1"),
        ("half of a record", text("{\"card\":\"bad\",\"amo"), "not_json", "not JSON: EOF while parsing a string at byte 18"),
        ("two records in one line", [with("\"count\":2"), with("\"count\":3")].concat(), "not_json", "trailing characters"),
        ("something after the record", [with("\"count\":2"), text(" ;")].concat(), "not_json", "trailing characters"),
        ("a number that is none", with("\"count\":NaN"), "not_json", "expected value"),
        ("a comma too many", text("{\"card\":\"bad\",}"), "not_json", "key must be a string"),
        ("a list", text("[{\"card\":\"bad\"}]"), "not_object", "expected a JSON object, found [{\"card\":\"bad\"}]"),
        ("text", text("\"bad\""), "not_object", "expected a JSON object, found \"bad\""),
        ("a number", text("17"), "not_object", "expected a JSON object, found 17"),
        ("null", text("null"), "not_object", "expected a JSON object, found null"),
        ("a missing field", text("{\"card\":\"bad\",\"count\":1,\"at\":0}"), "missing_field", "field `amount` is missing"),
        ("a null field", with("\"card\":null"), "null_field", "field `card` is null, which its type does not allow"),
        ("a missing field in a record", with("\"shop\":{}"), "missing_field", "field `shop.name` is missing"),
        ("a number for a text", with("\"card\":7"), "wrong_type", "field `card`: expected text (string), found 7"),
        ("a text for a whole number", with("\"count\":\"1\""), "wrong_type", "field `count`: expected a whole number (int), found \"1\""),
        ("a broken number", with("\"count\":1.5"), "wrong_type", "field `count`: expected a whole number (int), found 1.5"),
        ("a list for a record", with("\"shop\":[]"), "wrong_type", "field `shop`: expected an object (record), found []"),
        ("deep nesting where a record is declared", deep(100_000), "wrong_type", "field `shop`: expected an object (record), found [[["),
        ("a whole number of 65 bits", with("\"count\":9223372036854775808"), "number_too_large", "does not fit into 64 bits"),
        ("a float beyond all", with("\"rate\":1e400"), "number_too_large", "field `rate`: 1e400 is beyond what a float holds"),
        ("a decimal of 29 digits", with("\"amount\":12345678901234567890123456789"), "number_too_large", "more than the 28 digits"),
        ("a time that is none", with("\"at\":\"yesterday\""), "bad_timestamp", "field `at`: \"yesterday\" is neither an RFC 3339 time nor"),
        ("a day that is none", with("\"at\":\"2025-02-30T00:00:00Z\""), "bad_timestamp", "field `at`: \"2025-02-30T00:00:00Z\" is neither"),
        ("a time without its zone", with("\"at\":\"2025-12-31T23:00:00\""), "bad_timestamp", "is neither an RFC 3339 time"),
        ("a time beyond all", with("\"at\":99999999999999999"), "bad_timestamp", "lies outside of the years 0 to 9999"),
        ("a time years ahead", with("\"at\":\"2031-12-31T23:00:00Z\""), "too_far_ahead", "its time 2031-12-31T23:00:00Z lies further in the future"),
        ("a time a day and a second ahead", with("\"at\":\"2026-01-02T00:00:01Z\""), "too_far_ahead", "than `ahead_max` allows"),
        ("a line of 20 MB", long, "too_long", "the record is 20000002 bytes long, more than `record_bytes_max` allows"),
        ("invalid UTF-8", not_utf8, "invalid_utf8", "the record is not UTF-8 from byte"),
        ("half of a surrogate pair", with("\"card\":\"\\ud800\""), "invalid_utf8", "holds half of a surrogate pair"),
        ("of two the bad one last", with("\"count\":2,\"count\":\"x\""), "wrong_type", "field `count`: expected a whole number (int), found \"x\""),
        ("a mark of another encoding", b"\xff\xfe{\0}\0".to_vec(), "invalid_utf8", "the record is not UTF-8 from byte 1 on"),
        ("zeros", vec![0; 200], "not_json", "not JSON: expected value at byte 1"),
    ]
}

/// What is unusual and yet a record.
fn fine_records() -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!("\"other\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        ("undeclared fields", with("\"other\":{\"a\":[1,{\"b\":null}]}")),
        ("deep nesting that nobody declares", with(&deep)),
        ("of two the good one last", with("\"count\":\"x\",\"count\":2")),
        ("another carriage return", [with("\"count\":2"), b"\r".to_vec()].concat()),
        ("white space around", [b"  \t".to_vec(), with("\"count\":2"), b"  ".to_vec()].concat()),
        ("money as text", with("\"amount\":\"1.50\"")),
        ("a time just near enough", with("\"at\":\"2025-12-31T22:59:59.999999Z\"")),
        ("a null that may be", with("\"rate\":null,\"shop\":null")),
        ("escapes", with("\"c\\u0061rd\":\"b\\u00e4d\"")),
    ]
}

fn place(lines: &[Vec<u8>]) -> Workplace {
    let work = Workplace::new();
    work.write("each.motif", PATTERN);
    work.write("payments.jsonl", [lines.join(&b'\n'), b"\n".to_vec()].concat());
    work
}

fn rejected(work: &Workplace) -> Vec<Value> {
    work.text("rejected.jsonl").lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Between good records.
#[test]
fn each_bad_record_is_counted_and_set_aside_and_the_run_goes_on() {
    for (what, record, code, reason) in bad_records() {
        let work = place(&[good("a", 1).into(), record.clone(), good("b", 3).into()]);
        let said = work.must(COMMAND);
        let events = if code == "too_far_ahead" { 3 } else { 2 };
        assert_eq!(said, format!("{events} events, 2 matches, 0 late, 1 rejected (1 {code})\n"), "{what}");
        assert_eq!(work.text("matches.jsonl").lines().count(), 2, "{what}");
        let [line] = rejected(&work).try_into().expect("one");
        let names: Vec<&String> = line.as_object().expect("an object").keys().collect();
        assert_eq!(names.len(), 6, "{what}: {names:?}");
        assert_eq!((&line["stream"], &line["partition"], &line["offset"]), (&"payments".into(), &0.into(), &1.into()), "{what}");
        assert_eq!(line["code"], code, "{what}: {line}");
        assert!(line["reason"].as_str().expect("text").contains(reason), "{what}: {}", line["reason"]);
        let shown = line["record"].as_str().expect("text");
        let whole = String::from_utf8_lossy(&record);
        let at_most = 64 << 10;
        let begin = if record.len() > at_most { at_most - 3 } else { whole.len() };
        assert!(whole.starts_with(shown) && (begin..=begin.max(at_most)).contains(&shown.len()), "{what}: {} bytes of {}", shown.len(), record.len());
    }
}

#[test]
fn what_is_unusual_is_read() {
    for (what, record) in fine_records() {
        let work = place(&[good("a", 1).into(), record, good("b", 3).into()]);
        assert_eq!(work.must(COMMAND), "3 events, 3 matches, 0 late, 0 rejected\n", "{what}");
        assert_eq!(work.text("rejected.jsonl"), "", "{what}");
    }
}

/// All in one file, in order, the same with any number of workers and from a pipe; without `--rejected` they are counted alike.
#[test]
fn bad_records_are_counted_by_reason() {
    let bad = bad_records();
    let lines: Vec<Vec<u8>> = bad.iter().flat_map(|(_, record, ..)| [good("a", 1).into_bytes(), record.clone()]).collect();
    let work = place(&lines);
    let said = work.must(COMMAND);
    let events = bad.len() + bad.iter().filter(|(.., code, _)| *code == "too_far_ahead").count();
    assert!(said.starts_with(&format!("{events} events, {} matches, 0 late, {} rejected (", bad.len(), bad.len())), "{said}");
    for code in bad.iter().map(|(.., code, _)| *code) {
        let number = bad.iter().filter(|(.., of, _)| *of == code).count();
        assert!(said.contains(&format!("{number} {code}")), "{said}");
    }
    let found = rejected(&work);
    let codes: Vec<&str> = found.iter().map(|line| line["code"].as_str().expect("text")).collect();
    assert_eq!(codes, bad.iter().map(|(.., code, _)| *code).collect::<Vec<_>>());
    let offsets: Vec<u64> = found.iter().map(|line| line["offset"].as_u64().expect("a number")).collect();
    assert_eq!(offsets, (0..bad.len() as u64).map(|place| 2 * place + 1).collect::<Vec<_>>());

    let first = work.read("rejected.jsonl");
    assert_eq!(work.must(&format!("{COMMAND} --overwrite --workers 2")), said);
    assert!(work.read("rejected.jsonl") == first);
    let plain = work.run(&format!("run each.motif --input payments.jsonl --now {NOW}"));
    assert_eq!(plain.stderr, said);
    let piped = work.run_with_input(&format!("run each.motif --input - --now {NOW}"), &work.read("payments.jsonl"));
    assert_eq!((piped.stderr, piped.stdout), (plain.stderr, plain.stdout));
}

/// Of fields that no pattern looks at no values are made; what is wrong with them is told all the same.
#[test]
fn what_is_set_aside_does_not_depend_on_what_patterns_look_at() {
    let lines: Vec<Vec<u8>> = bad_records().into_iter().flat_map(|(_, record, ..)| [good("a", 1).into_bytes(), record]).collect();
    let work = place(&lines);
    work.must(COMMAND);
    let first = work.read("rejected.jsonl");
    for seen in ["", "  emit p.count as count", "  emit p.shop.name as name, p.rate as rate"] {
        work.write("each.motif", PATTERN.replace("  emit card, p.amount as amount", seen));
        work.must(&format!("{COMMAND} --overwrite"));
        assert!(work.read("rejected.jsonl") == first, "{seen}");
    }
}

/// Offsets are lines of the file: an editor shows them one higher.
#[test]
fn blank_lines_and_other_line_ends_and_a_mark_at_the_beginning_are_no_records() {
    let text = format!("\u{feff}{}\r\n\r\n\n   \t\n{}\r\nbad\r\n{}", good("a", 1), good("b", 2), good("c", 3));
    for ending in ["", "\n", "\r\n"] {
        let work = place(&[]);
        work.write("payments.jsonl", format!("{text}{ending}"));
        assert_eq!(work.must(COMMAND), "3 events, 3 matches, 0 late, 1 rejected (1 not_json)\n");
        let offsets: Vec<String> = work.text("matches.jsonl").lines().map(|line| line[line.find("\"events\"").expect("said")..].to_owned()).collect();
        assert_eq!(offsets, ["0:0", "0:4", "0:6"].map(|address| format!(r#""events":{{"p":["{address}"]}}}}"#)));
        let [line] = rejected(&work).try_into().expect("one");
        assert_eq!((&line["offset"], &line["record"]), (&5.into(), &"bad".into()), "without the line's end");
    }
    // Only there is it passed over.
    let work = place(&[good("a", 1).into(), format!("\u{feff}{}", good("b", 2)).into()]);
    assert!(work.must(COMMAND).ends_with("1 rejected (1 not_json)\n"));
}

#[test]
fn strict_stops_at_the_first_with_file_and_line() {
    for (what, record, code, reason) in bad_records() {
        let work = place(&[good("a", 1).into(), Vec::new(), good("b", 1).into(), record, good("c", 3).into()]);
        let ended = work.run(&format!("{COMMAND} --strict"));
        assert_eq!(ended.code, Some(1), "{what}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("motif: payments.jsonl, line 4: "), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains(reason) && ended.stderr.trim_end().lines().count() == 1, "{what}, {code}: {}", ended.stderr);
        assert_eq!(work.text("rejected.jsonl"), "", "{what}");
    }
}

#[test]
fn strict_says_the_same_at_the_end_and_from_a_pipe_and_goes_on_once_the_line_is_mended() {
    // The last line has no end.
    let work = place(&[]);
    work.write("payments.jsonl", format!("{}\nbad", good("a", 1)));
    let said = "motif: payments.jsonl, line 2: not JSON: expected value at byte 1\n";
    assert_eq!(work.run(&format!("{COMMAND} --strict")).stderr, said);
    let piped = work.run_with_input(&format!("run each.motif --input - --now {NOW} --strict"), &work.read("payments.jsonl"));
    assert_eq!((piped.code, piped.stderr.as_str()), (Some(1), "motif: standard input, line 2: not JSON: expected value at byte 1\n"));

    let lines = |third: &str| (1..30).map(|second| if second == 3 { format!("{third}\n") } else { good("a", second) + "\n" }).collect::<String>();
    let work = place(&[]);
    work.write("payments.jsonl", lines("bad"));
    let command = format!("{COMMAND} --state state");
    for _ in 0..2 {
        let ended = work.run(&format!("{command} --strict"));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "motif: payments.jsonl, line 3: not JSON: expected value at byte 1\n"));
        assert_eq!(work.text("matches.jsonl"), "");
    }
    work.write("payments.jsonl", lines(&good("mended", 3)));
    work.must(&format!("{command} --strict"));
    assert_eq!(work.text("matches.jsonl").lines().count(), 29);
}

/// One far-future event must not make everything after it late.
#[test]
fn a_time_far_ahead_does_not_move_the_watermark() {
    let lines: Vec<Vec<u8>> = (1..50)
        .map(|second| match second {
            10 => with("\"at\":\"2036-01-01T00:00:00Z\""),
            20 => with("\"at\":\"2026-01-02T00:00:00.000001Z\""),
            second => good("a", second).into_bytes(),
        })
        .collect();
    let work = place(&lines);
    let said = work.must(&format!("{COMMAND} --late late.jsonl"));
    assert_eq!(said, "49 events, 47 matches, 0 late, 2 rejected (2 too_far_ahead)\n");
    assert_eq!(work.text("late.jsonl"), "");
    // As far as that is allowed, it does: that is what the bound is for.
    let said = work.must(&format!("{COMMAND} --overwrite --ahead-max 36500d"));
    assert_eq!(said, "49 events, 10 matches, 39 late, 0 rejected\n");
}

/// So that a file gives the same result next year.
#[test]
fn the_reference_instant_is_kept_in_the_state() {
    let at = |time: &str| String::from_utf8(with(&format!("\"at\":\"{time}\""))).expect("text") + "\n";
    let work = place(&[]);
    work.write("payments.jsonl", at("2001-01-01T00:00:00Z"));
    let command = "run each.motif --input payments.jsonl --output matches.jsonl --rejected rejected.jsonl --state state";
    work.must(&format!("{command} --now 2001-01-01T00:00:00Z"));
    work.append("payments.jsonl", at("2001-01-01T23:00:00Z") + &at("2001-01-02T00:00:01Z"));
    assert_eq!(work.must(command), "2 events, 2 matches, 0 late, 1 rejected (1 too_far_ahead)\n");
    // Said again, it counts from then on, and for those who don't say it; what was rejected before stays so, and what was taken is.
    for (now, event, matches) in
        [("--now 2001-01-03T00:00:00Z", "2001-01-03T00:00:00Z", 3), ("", "2001-01-03T12:00:00Z", 4), ("--now 1990-01-01T00:00:00Z", "", 4)]
    {
        if !event.is_empty() {
            work.append("payments.jsonl", at(event));
        }
        let said = work.must(&format!("{command} {now}"));
        assert!(said.ends_with(" 0 late, 0 rejected\n"), "{said}");
        assert_eq!(work.text("matches.jsonl").lines().count(), matches, "{said}");
        assert_eq!(rejected(&work).len(), 1);
    }
}

/// A deep nest of brackets must not end the process by its stack.
#[test]
fn records_of_any_depth_and_breadth_end_nothing() {
    let mut lines = Vec::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 10_000, 100_000] {
            lines.push(format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes());
            lines.push(open.repeat(depth).into_bytes());
            lines.push(with(&format!("\"other\":{}1{}", open.repeat(depth), close.repeat(depth))));
            lines.push(with(&format!("\"shop\":{}1{}", open.repeat(depth), close.repeat(depth))));
        }
    }
    lines.push(with(&(0..50_000).map(|place| format!("\"f{place}\":{place}")).collect::<Vec<_>>().join(",")));
    let work = place(&lines);
    let ended = start(&mut work.motif(COMMAND)).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("7 events, 7 matches, 0 late, 18 rejected"), "{}", ended.stderr);
}
