//! The command line as its users see it: what every command says and answers, in full. The texts are in `snapshots/`; `INSTA_UPDATE=always` makes
//! them anew, and every line of the difference is to be read.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use motif::cli::CommandLine;

use crate::workplace::{Ended, Workplace, start};

const GOOD: &str = r#"# Three small payments, then a large one.
stream payments {
  card:   string
  amount: decimal
  at:     timestamp
  time at, late after 5s
}

pattern card_testing {
  from payments by card
  match probe{3,}: payments where amount < 2
   then cash_out:  payments where amount > 100
  within 10m
  emit card, count(probe) as probes, cash_out.amount as amount
  meta { severity: "high" }
}

test "three small, then large" of card_testing {
  0s payments { card: "1", amount: 1 }
  5s payments { card: "1", amount: 1 }
  9s payments { card: "1", amount: 1.5 }
  1m payments { card: "1", amount: 500 }
  expect match at 1m { probes: 3, amount: 500 }
  expect none
}

test "two are too few" of card_testing {
  0s payments { card: "1", amount: 1 }
  5s payments { card: "1", amount: 1 }
  1m payments { card: "1", amount: 500 }
  expect none
}
"#;

const WRONG: &str = r#"stream payments {
  card:   string
  amount: decimal
  at:     timestamp
  time at
}

pattern large {
  from payment by card
  match p: payments where amout > 100
  within 10m
}

pattern small {
  from payments by card
  match p: payments where amout < 2 then q: payments where card > 5
  within 10m
}
"#;

const UGLY: &str = "stream s { a: int\n at: timestamp\n time at } # the only one\npattern p { from s match x: s where a==1 then y: s within 60s }\n";

const FAILING: &str = r#"stream clicks {
  user: string
  page: int
  at:   timestamp
  time at
}

pattern pairs {
  from clicks by user
  match a: clicks then b: clicks
  within 1m
  emit user, b.page as page
}

test "another page, and one more" of pairs {
  0s clicks { user: "u", page: 1 }
  5s clicks { user: "u", page: 2 }
  expect match at 5s { page: 3 }
  expect match at 9s
}

test "it is alone" of pairs {
  0s clicks { user: "u", page: 1 }
  expect none
}
"#;

const LINES: &str = r#"{"card":"1","amount":1,"at":"2026-11-24T10:00:00Z"}
{"card":"1","amount":1.5,"at":"2026-11-24T10:00:05Z"}
{"card":"2","amount":1,"at":"2026-11-24T10:00:07Z"}
{"card":"1","amount":1,"at":"2026-11-24T10:00:09Z"}
{"card":"1","amount":"500.00","at":"2026-11-24T10:01:00Z"}
"#;

fn place() -> Workplace {
    let work = Workplace::new();
    for (name, text) in [("good.motif", GOOD), ("wrong.motif", WRONG), ("ugly.motif", UGLY), ("failing.motif", FAILING), ("payments.jsonl", LINES)] {
        work.write(name, text);
    }
    work
}

/// What was typed, answered and said.
fn shown(words: &str, ended: &Ended) -> String {
    let code = ended.code.map_or("a signal".to_owned(), |code| code.to_string());
    let part = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("--- {name}\n{text}") };
    format!("$ motif {words}\n{}{}--- exit status {code}\n", part("standard output", &ended.out()), part("standard error", &ended.stderr))
}

fn hold(name: &str, shown: &str) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shown) });
}

/// A session of several commands, one after the other, in the same folder.
fn session(work: &Workplace, commands: &[&str]) -> String {
    let shown: Vec<String> = commands.iter().map(|words| shown(words, &work.run(words))).collect();
    shown.join("\n")
}

#[test]
fn help_is_everywhere_with_an_example() {
    let work = Workplace::new();
    let commands: Vec<String> = CommandLine::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    hold("help", &session(&work, &["", "-h", "--help", "--version", "help"]));
    for command in commands {
        let shown = session(&work, &[&format!("{command} -h"), &format!("{command} --help")]);
        assert!(shown.contains("Example"), "{shown}");
        assert!(shown.matches("exit status 0").count() == 2, "{shown}");
        hold(&format!("help_{command}"), &shown);
    }
}

/// `MOTIF_` and the option's name.
#[test]
fn every_option_has_its_environment_variable() {
    let root = CommandLine::command();
    let commands = std::iter::once(&root).chain(root.get_subcommands());
    let mut options = 0;
    for command in commands {
        for option in command.get_arguments() {
            let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
            let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
            let expected = format!("MOTIF_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(variable, Some(expected), "motif {} --{long}", command.get_name());
            assert!(option.get_help().is_some(), "motif {} --{long} has no help", command.get_name());
            options += 1;
        }
    }
    assert!(options > 30, "{options} options are found");
}

#[test]
fn environment_variables_say_what_options_say() {
    let work = place();
    let by_options = work.run("run good.motif --input payments.jsonl --keep-open");
    for yes in ["1", "true", "yes"] {
        let mut command = work.motif("run");
        command.env("MOTIF_PATTERNS", "good.motif").env("MOTIF_INPUT", "payments=payments.jsonl").env("MOTIF_KEEP_OPEN", yes);
        let ended = start(&mut command).end();
        assert_eq!((ended.code, &ended.stderr, &ended.stdout), (Some(0), &by_options.stderr, &by_options.stdout), "MOTIF_KEEP_OPEN={yes}");
    }
    for no in ["0", "false", "no", ""] {
        let ended = start(work.motif("run good.motif --input payments.jsonl").env("MOTIF_KEEP_OPEN", no)).end();
        assert_eq!((ended.code, ended.out().lines().count()), (Some(0), 1), "MOTIF_KEEP_OPEN={no}: {}", ended.stderr);
    }
    let ended = start(work.motif("run good.motif --input payments.jsonl").env("MOTIF_OUTPUT", "o.jsonl").env("MOTIF_WORKERS", "2")).end();
    assert_eq!((ended.code, ended.out().as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(work.text("o.jsonl").lines().count(), 1);
    // What is typed wins.
    let ended = start(work.motif("run good.motif --input payments.jsonl --output p.jsonl").env("MOTIF_OUTPUT", "o.jsonl")).end();
    assert_eq!((ended.code, work.text("p.jsonl").lines().count()), (Some(0), 1), "{}", ended.stderr);
    let ended = start(work.motif("run good.motif --input payments.jsonl").env("MOTIF_WORKERS", "many")).end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn a_run_says_what_it_did_on_standard_error() {
    let work = place();
    work.write("none.jsonl", "");
    work.write("other.jsonl", LINES.replace("\"500.00\"", "3"));
    work.write("mixed.jsonl", format!("{LINES}bad\n{{\"card\":\"1\"}}\n{}", LINES.lines().next().expect("a line")));
    hold(
        "run",
        &session(
            &work,
            &[
                "run good.motif --input payments.jsonl",
                "run good.motif --input payments=payments.jsonl --format text",
                "run good.motif --input other.jsonl",
                "run good.motif --input none.jsonl",
                "run good.motif --input mixed.jsonl --output matches.jsonl",
                "run good.motif --input mixed.jsonl --output matches.jsonl",
                "run good.motif --input mixed.jsonl --strict",
                "run . --input payments.jsonl",
            ],
        ),
    );
}

#[test]
fn what_is_wrong_with_a_command_is_said_with_what_to_write() {
    let work = place();
    std::fs::create_dir(work.path("empty")).expect("a folder");
    work.write("only_streams.motif", "stream s {\n  at: timestamp\n  time at\n}\n");
    work.write("latin1.motif", b"# caf\xe9\n");
    work.write("motif.toml", "[service]\npattern = [\"good.motif\"]\n");
    work.write("unbound.toml", "[service]\npatterns = [\"good.motif\"]\n[streams.payment]\nfile = \"payments.jsonl\"\n");
    work.write(
        "newer_groups.toml",
        "[service]\nname = \"n\"\npatterns = [\"good.motif\"]\nstate = \"state\"\n[streams.payments]\ntopic = \"payments\"\n[output]\ntopic = \"matches\"\n\
         [kafka]\nbrokers = \"localhost:9092\"\n[kafka.properties]\n\"group.protocol\" = \"consumer\"\n",
    );
    hold(
        "errors",
        &session(
            &work,
            &[
                "ran",
                "run",
                "run --input payments.jsonl",
                "run good.motif",
                "run good.motif --input none.jsonl",
                "run none.motif --input payments.jsonl",
                "run empty --input payments.jsonl",
                "run only_streams.motif --input payments.jsonl",
                "run latin1.motif --input payments.jsonl",
                "run wrong.motif --input payments.jsonl",
                "run good.motif --input payment=payments.jsonl",
                "run good.motif --inputs payments.jsonl",
                "run good.motif --input payments.jsonl --input payments.jsonl",
                "run good.motif --input payments.jsonl --workers 0",
                "run good.motif --input payments.jsonl --workers two",
                "run good.motif --input payments.jsonl --ahead-max 5",
                "run good.motif --input payments.jsonl --now today",
                "run good.motif --input payments.jsonl --grpc nowhere",
                "run good.motif --input payments.jsonl --grpc 0.0.0.0:0",
                "run good.motif --input payments.jsonl --format xml",
                "run good.motif --input payments.jsonl --until-end",
                "run --config none.toml",
                "run --config motif.toml",
                "run --config unbound.toml",
                "run --config newer_groups.toml --leave",
                "run --config newer_groups.toml --keep-open",
                "run --config newer_groups.toml --epoch-ms 20000",
                "run good.motif --config unbound.toml",
                "check none.motif",
                "fmt none.motif",
                "test none.motif",
                "explain none.motif",
                "explain good.motif --pattern card_testin",
                "subscribe --key card",
            ],
        ),
    );
}

/// An option that may be repeated has its values in the variable one a line.
#[test]
fn names_of_files_and_keys_may_have_commas() {
    let work = place();
    work.write("x,y.motif", GOOD);
    work.write("a,b.jsonl", LINES);
    let whole = work.run("run good.motif --input payments.jsonl");
    for input in ["a,b.jsonl", "payments=a,b.jsonl"] {
        let ended = work.run(&format!("run x,y.motif -i {input}"));
        assert_eq!((ended.code, &ended.stdout), (Some(0), &whole.stdout), "{input}: {}", ended.stderr);
    }
    let (streams, pattern) = GOOD.split_once("\n\n").expect("a stream, then a pattern");
    work.write("streams.motif", streams);
    work.write("pattern.motif", pattern.replace("from payments", "from payments, others"));
    work.write("others.motif", streams.replace("payments", "others"));
    work.write("others.jsonl", "");
    let mut command = work.motif("run");
    command.env("MOTIF_PATTERNS", "streams.motif\npattern.motif\nothers.motif").env("MOTIF_INPUT", "payments=a,b.jsonl\nothers=others.jsonl");
    let ended = start(&mut command).end();
    assert_eq!((ended.code, ended.out().lines().count()), (Some(0), 1), "{}", ended.stderr);
    let ended = start(&mut work.motif_with(["subscribe", "--address", "127.0.0.1:1", "--retry", "0s", "--key", "name=Doe, John"])).end();
    assert!(!ended.stderr.contains("NAME=VALUE"), "{}", ended.stderr);
}

/// Whatever its paths are spelt like.
#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let work = place();
    std::os::unix::fs::symlink("good.motif", work.path("link.motif")).expect("a link");
    std::fs::create_dir(work.path("folder")).expect("a folder");
    std::fs::rename(work.path("failing.motif"), work.path("folder/failing.motif")).expect("moved");
    for paths in ["good.motif ./good.motif", "folder/../good.motif good.motif", "link.motif good.motif", "folder folder/failing.motif ./folder good.motif"] {
        let ended = work.run(&format!("check {paths}"));
        assert_eq!((ended.code, ended.out().as_str()), (Some(0), ""), "{paths}: {}", ended.stderr);
        let ended = work.run(&format!("run {paths} --input payments=payments.jsonl --input clicks=payments.jsonl"));
        assert!(!ended.stderr.contains("twice"), "{paths}: {}", ended.stderr);
    }
}

/// It has a finding as any other text that is wrong, and the other texts have theirs.
#[test]
fn a_text_that_is_not_utf_8_is_told_with_its_place() {
    let work = Workplace::new();
    work.write("latin1.motif", b"# one\n# two \xc3\xa9 caf\xe9 \xff\nstream others {\n  at: timestamp\n  time at\n}\n");
    std::fs::create_dir(work.path("wide")).expect("a folder");
    work.write("wide/utf16.motif", "\u{feff}stream payments { at: timestamp time at }\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    work.write("wrong.motif", WRONG);
    let ended = work.run("check --format json latin1.motif wrong.motif");
    let found: Vec<serde_json::Value> = ended.out().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let place = |json: &serde_json::Value| format!("{} {} {}:{}", json["code"], json["path"], json["line"], json["column"]).replace('"', "");
    let places: Vec<String> = found.iter().map(place).collect();
    assert_eq!(places[0], "E0019 latin1.motif 2:12", "{places:?}");
    assert!(found[0]["help"].as_str().is_some_and(|help| help.contains("UTF-8")), "{}", found[0]);
    let others: Vec<_> = ended.out().lines().skip(1).map(str::to_owned).collect();
    let alone = work.run("check --format json wrong.motif").out();
    assert_eq!(others, alone.lines().collect::<Vec<_>>(), "the other text has all of its findings");
    work.write("reads.motif", WRONG.replace("from payment ", "from logins "));
    let wide = work.run("check --format json wide reads.motif").out();
    let wide: Vec<_> = wide.lines().map(|line| place(&serde_json::from_str(line).expect("a line is JSON"))).collect();
    // What its names are is not known, so that none of the other text can be said not to be there.
    let (last, wide) = wide.split_last().expect("findings");
    assert!(last == "E0019 wide/utf16.motif 1:1" && wide.iter().all(|place| place.contains("reads.motif") && !place.starts_with("E0101")), "{wide:?}");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    work.write("ugly.motif", UGLY);
    for (command, other) in [
        ("check latin1.motif wrong.motif", "unknown stream"),
        ("test latin1.motif wrong.motif", "unknown stream"),
        ("run latin1.motif wrong.motif --input x.jsonl", "unknown stream"),
        ("explain latin1.motif wrong.motif", "unknown stream"),
        ("fmt --check latin1.motif ugly.motif", "ugly.motif is not in canonical form"),
        ("fmt latin1.motif ugly.motif", "ugly.motif rewritten"),
    ] {
        let ended = work.run(command);
        let said = ended.out() + &ended.stderr;
        assert_eq!(ended.code, Some(1), "{command}: {said}");
        for part in ["error[E0019]: ", "latin1.motif:2:12", "= help: ", other] {
            assert!(said.contains(part), "{command}: {part}\n{said}");
        }
    }
    for command in ["check -", "fmt -"] {
        let ended = work.run_with_input(command, b"\xe9");
        assert_eq!((ended.code, (ended.out() + &ended.stderr).contains("<stdin>:1:1")), (Some(1), true), "{command}: {}", ended.stderr);
    }
    // Whole characters only: the end of the text cuts one off.
    work.write("cut.motif", "stream s { at: timestamp  time at } # caf\u{e9}".as_bytes().split_last().expect("bytes").1);
    assert!(work.run("check cut.motif").out().contains("cut.motif:1:42"));
}

/// Nothing but matches, or results of tests, is on standard output besides.
#[test]
fn what_is_wrong_with_patterns_is_json_from_every_command_that_is_asked_for_it() {
    let work = place();
    work.write(
        "motif.toml",
        "[service]\npatterns = [\"wrong.motif\"]\nstate = \"state\"\n[streams.payments]\ntopic = \"payments\"\n[output]\ntopic = \"matches\"\n[kafka]\nbrokers = \"127.0.0.1:9\"\n",
    );
    let checked = work.run("check --format json wrong.motif");
    for command in [
        "test --format json wrong.motif",
        "run --format json wrong.motif --input payments.jsonl",
        "run --format json --config motif.toml",
        "topics --format json --config motif.toml",
        "verify --format json --config motif.toml",
        "dlq --format json --config motif.toml",
    ] {
        let ended = work.run(command);
        assert_eq!((ended.code, ended.out().replace("./wrong", "wrong")), (Some(1), checked.out()), "{command}: {}", ended.stderr);
        assert!(!ended.stderr.contains("error["), "{command}: {}", ended.stderr);
    }
    // Where nobody asked, they are for people.
    let ended = work.run("run wrong.motif --input payments.jsonl");
    assert_eq!((ended.code, ended.out().as_str(), ended.stderr.contains("error[E0101]")), (Some(1), "", true));
}

#[test]
fn fmt_writes_to_where_a_link_leads_and_touches_nothing_else() {
    let work = place();
    std::fs::create_dir(work.path("folder")).expect("a folder");
    work.write("folder/target.motif", UGLY);
    std::os::unix::fs::symlink("folder/target.motif", work.path("link.motif")).expect("a link");
    for name in ["folder/target.motif.new", "folder/target.motif.0.new", "link.motif.new"] {
        work.write(name, "mine");
    }
    let formatted = work.run_with_input("fmt -", UGLY.as_bytes()).out();
    assert_eq!(work.must("fmt link.motif"), "link.motif rewritten\n");
    assert!(work.path("link.motif").is_symlink(), "the link is still one");
    assert_eq!(work.text("folder/target.motif"), formatted);
    for name in ["folder/target.motif.new", "folder/target.motif.0.new", "link.motif.new"] {
        assert_eq!(work.text(name), "mine", "{name}");
    }
    assert_eq!(std::fs::read_dir(work.path("folder")).expect("the folder").count(), 3, "nothing is left beside");
}

#[test]
fn standard_input_is_taken_where_the_help_says_so_and_else_refused_in_a_sentence() {
    let work = place();
    let stream = GOOD.split("pattern").next().expect("a stream");
    let pattern = &GOOD[stream.len()..];
    work.write("stream.motif", stream);
    let ended = work.run_with_input("check - stream.motif", pattern.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "1 pattern, 2 tests: 0 errors, 0 warnings\n"), "{}", ended.out());
    for command in ["fmt - good.motif", "fmt good.motif -"] {
        let sentence = work.refusal(command, 1);
        assert_eq!(sentence, "-: standard input cannot be printed beside files; give - alone, or files", "{command}");
    }
    for command in ["test -", "test good.motif -", "explain -", "run - --input payments.jsonl"] {
        let sentence = work.refusal(command, 1);
        assert_eq!(sentence, "-: patterns are not read from standard input here; give a file or a folder (a file of that name is ./-)", "{command}");
    }
    std::fs::rename(work.path("good.motif"), work.path("-")).expect("renamed");
    work.must("test ./-");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let work = place();
    for filter in ["garbage=xx=yy", "motif=loud", "warn,motif=[", "=debug="] {
        let ended = work.run(&format!("check good.motif --log {filter}"));
        assert_eq!(ended.code, Some(1), "{filter}: {}", ended.stderr);
        assert!(ended.stderr.contains("--log <FILTER>") && ended.stderr.contains("motif=debug"), "{filter}: {}", ended.stderr);
        let ended = start(work.motif("check good.motif").env("MOTIF_LOG", filter)).end();
        assert_eq!(ended.code, Some(1), "{filter}: {}", ended.stderr);
    }
    for filter in ["error", "warn", "INFO", "debug", "trace", "off", "motif=debug", "warn,motif::kafka=trace", "motif"] {
        let ended = work.run(&format!("check good.motif --log {filter}"));
        assert_eq!(ended.code, Some(0), "{filter}: {}", ended.stderr);
    }
}

#[test]
fn a_port_in_use_is_said() {
    let work = place();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let sentence = work.refusal(&format!("run good.motif --input payments.jsonl --grpc {address}"), 2);
    let said = format!("cannot listen on {address}: Address already in use (os error 98); is another process using the port? choose another address");
    assert_eq!(sentence, said);
}

#[test]
fn check_shows_everything_at_once() {
    let work = place();
    work.write("loose.motif", GOOD.replacen("  within 10m\n", "", 1).split("test ").next().expect("a pattern"));
    hold(
        "check",
        &session(
            &work,
            &[
                "check good.motif",
                "check wrong.motif",
                "check --format json wrong.motif",
                "check --format json good.motif",
                "check ugly.motif",
                "check loose.motif",
                "check --format json loose.motif",
            ],
        ),
    );
    let ended = work.run_with_input("check -", WRONG.as_bytes());
    hold("check_standard_input", &shown("check - < wrong.motif", &ended));
    for line in work.run("check --format json wrong.motif").out().lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        assert!(json["message"].is_string(), "{line}");
    }
}

#[test]
fn fmt_writes_the_one_form_and_changes_nothing_the_second_time() {
    let work = place();
    hold(
        "fmt",
        &session(
            &work,
            &["fmt --check ugly.motif good.motif", "fmt ugly.motif", "fmt --check ugly.motif", "fmt ugly.motif", "fmt wrong.motif", "fmt --check good.motif"],
        ),
    );
    let formatted = work.text("ugly.motif");
    assert_ne!(formatted, UGLY);
    assert_eq!(work.text("good.motif"), GOOD, "it was in the one form");
    let left: Vec<_> = std::fs::read_dir(work.path("")).expect("the folder").map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(left.len(), 5, "nothing is left beside: {left:?}");
    let piped = work.run_with_input("fmt -", UGLY.as_bytes());
    assert_eq!((piped.code, piped.out(), piped.stderr.as_str()), (Some(0), formatted.clone(), ""));
    for (text, code) in [(UGLY, 1), (formatted.as_str(), 0)] {
        let checked = work.run_with_input("fmt --check -", text.as_bytes());
        assert_eq!((checked.code, checked.out().as_str()), (Some(code), ""));
    }
    let broken = work.run_with_input("fmt -", b"pattern p {\n  from s by\n");
    hold("fmt_standard_input_broken", &shown("fmt - < broken.motif", &broken));
    work.write("broken.motif", "pattern p {\n  from s by\n");
    assert_eq!(work.run("fmt broken.motif").code, Some(1));
    assert_eq!(work.text("broken.motif"), "pattern p {\n  from s by\n", "a text with errors is left alone");
}

#[test]
fn test_runs_what_stands_beside_the_patterns() {
    let work = place();
    hold(
        "test",
        &session(
            &work,
            &[
                "test good.motif",
                "test failing.motif",
                "test --format json good.motif",
                "test --format json failing.motif",
                "test --filter alone failing.motif",
                "test --filter nothing failing.motif",
                "test wrong.motif",
                "test ugly.motif",
            ],
        ),
    );
}

#[test]
fn explain_shows_the_automaton() {
    let work = place();
    hold("explain", &session(&work, &["explain good.motif", "explain good.motif --pattern card_testing"]));
}

/// Rules that differ only in how much is asked of their first event.
#[test]
fn explain_tells_which_patterns_are_evaluated_at_once() {
    let work = place();
    let rule = |most: u32| {
        format!(
            "pattern over_{most} {{ from payments by card  match big: payments where amount >= {most} then more: payments where amount > big.amount within 1h skip none }}\n"
        )
    };
    work.write(
        "rules.motif",
        "stream payments { card: string  amount: decimal  at: timestamp  time at }\n".to_owned() + &[100, 200, 300, 400, 500].map(rule).concat(),
    );
    let out = work.run("explain rules.motif").out();
    let evaluated: Vec<&str> = out.lines().filter(|line| line.starts_with("  Evaluated")).collect();
    let first = "  Evaluated  each partial match by itself; where a key has many, those that an event concerns are found by how much \
                 [payments where (amount > big.amount)] asks for; at once with 4 other patterns (`over_200`, `over_300`, `over_400`, …): they differ only in how much is asked of the first event";
    assert_eq!((evaluated.len(), evaluated[0]), (5, first), "{out}");
}

#[test]
fn explain_says_by_which_value_partial_matches_are_found() {
    let work = Workplace::new();
    let stream = "stream logins { user: string  country: string  at: timestamp  time at }\n";
    let elsewhere = "pattern elsewhere { from logins  match a: logins then b: logins where country != a.country and user == a.user within 1h skip none }\n";
    let behind = "pattern behind { from logins by user  match a: logins then b: logins where country > a.country within 1h skip none }\n";
    let gone = "pattern gone { from logins  match a: logins then not b: logins where user == a.user for 1h skip none }\n";
    work.write("logins.motif", format!("{stream}{elsewhere}{behind}{gone}"));
    let out = work.run("explain logins.motif").out();
    let found_by = [
        "the value that [logins where ((country != a.country) and (user == a.user))]",
        "how much [logins where (country > a.country)]",
        "the value that [logins where (user == a.user)]",
    ];
    for found_by in found_by {
        let expected =
            format!("  Evaluated  each partial match by itself; where a key has many, those that an event concerns are found by {found_by} asks for");
        assert!(out.lines().any(|line| line == expected), "{out}");
    }
}

#[test]
fn explain_tells_what_a_pattern_costs_on_the_topics_of_a_configuration() {
    let work = Workplace::new();
    work.write(
        "keys.motif",
        "stream clicks { user: string country: string at: timestamp time at }\n\
         pattern here { from clicks by country match a: clicks then b: clicks within 1m }\n\
         pattern elsewhere { from clicks by user match a: clicks then b: clicks within 1m }\n\
         pattern keyless { from clicks match a: clicks then b: clicks within 1m }\n",
    );
    work.write(
        "motif.toml",
        "[service]\nname = \"demo\"\npatterns = [\"keys.motif\"]\nstate = \"state\"\n[streams.clicks]\ntopic = \"clicks\"\nkey = [\"country\"]\n\
         [output]\ntopic = \"matches\"\n[kafka]\nbrokers = \"127.0.0.1:9\"\n",
    );
    hold("explain_costs", &session(&work, &["explain --config motif.toml", "explain keys.motif --config motif.toml --pattern here"]));
}

#[test]
fn explain_tells_what_a_code_means() {
    let work = place();
    let commands = ["explain e0101", "explain W0013 E0317", "explain E0199", "explain E99999", "explain E0101 --as dump", "explain E0101 good.motif"];
    hold("explain_code", &session(&work, &commands));
}

/// Progress is for a terminal, matches are for whoever reads.
#[test]
fn nothing_but_results_is_on_standard_output_and_no_progress_on_a_pipe() {
    let work = place();
    work.write("long.jsonl", LINES.repeat(20_000));
    let ended = work.run("run good.motif --input long.jsonl --format json");
    assert_eq!(ended.code, Some(0));
    assert!(ended.out().lines().all(|line| line.starts_with("{\"id\":") && line.ends_with('}')));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains(['\r', '\x1b']));
}

/// By `script`, which makes a terminal for a program to run on.
#[test]
fn on_a_terminal_a_long_run_says_how_far_it_is() {
    let work = place();
    assert!(Command::new("mkfifo").arg(work.path("pipe")).status().expect("mkfifo runs").success());
    let mut command = Command::new("script");
    let run = format!("{} run good.motif --input pipe --output matches.jsonl", env!("CARGO_BIN_EXE_motif"));
    command.args(["-q", "-e", "-f", "-c", &run, "/dev/null"]).current_dir(work.path(""));
    let mut running = start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut terminal = running.take_stdout();
    let mut pipe = std::fs::File::options().read(true).write(true).open(work.path("pipe")).expect("a pipe");
    pipe.write_all(LINES.as_bytes()).expect("read");
    // A run that goes on shows a line again and again.
    let mut shown = String::new();
    while !shown.contains("\r\x1b[K5 events, 0 matches") {
        let mut some = [0; 100];
        let length = terminal.read(&mut some).expect("a terminal");
        assert!(length > 0, "ended: {shown}");
        shown.push_str(std::str::from_utf8(&some[..length]).expect("text"));
    }
    drop(pipe);
    terminal.read_to_string(&mut shown).expect("text");
    assert!(shown.ends_with("\r\x1b[K5 events, 1 match, 0 late, 0 rejected\r\n"), "the line is gone at the end: {shown:?}");
    assert_eq!(running.end().code, Some(0));
}
