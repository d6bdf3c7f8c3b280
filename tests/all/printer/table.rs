//! A file of cases: what goes in, and what is expected to come out.
//!
//! ```text
//! === a title
//! what goes in
//! ---
//! what comes out
//! ```
//!
//! `UPDATE_EXPECT=1` writes anew what comes out: read the difference.

use std::fmt::Write;
use std::path::Path;

const TITLE: &str = "\n=== ";
const BETWEEN: &str = "\n---\n";

/// Holds what `make` makes of every case of a file in `tests/all` against what the file expects.
pub fn check(file: &str, make: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all").join(file);
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let expected = format!("\n{expected}");
    let made: String = expected.split(TITLE).skip(1).map(|case| made(case, &make)).collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &made[1..]).expect("the expectation can be written");
        return;
    }
    for (made, expected) in made.split(TITLE).zip(expected.split(TITLE)) {
        assert_eq!(made, expected, "\n{made}\nUPDATE_EXPECT=1 takes it as it is now");
    }
}

fn made(case: &str, make: &impl Fn(&str) -> String) -> String {
    let (title, rest) = case.split_once('\n').expect("a title stands on a line of its own");
    let before = rest.split_once(BETWEEN).map_or(rest, |(before, _)| before).trim_end_matches('\n');
    let mut made = String::new();
    write!(made, "{TITLE}{title}\n{before}{BETWEEN}{}\n", make(before).trim_end_matches('\n')).expect("text takes all");
    made
}
