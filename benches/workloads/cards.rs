//! Payments with planted cases, as `motif sample` makes them, and the rules on cards.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The rules by card, and what they read.
pub const PATTERNS: [&str; 4] =
    ["patterns/fraud/streams.motif", "patterns/fraud/card_testing.motif", "patterns/fraud/velocity.motif", "patterns/fraud/impossible_travel.motif"];

const RULES: [&str; 3] = ["card_testing", "velocity", "impossible_travel"];

/// A file of payments.
pub struct Cards {
    pub payments: PathBuf,
    pub events: u64,
    /// That the rules must find.
    pub matches: u64,
}

/// Makes payments and logins, as many as asked for but at least as many as the sample must have, of so many accounts.
pub fn write(motif: &dyn Fn() -> Command, events: u64, keys: u64, folder: &Path) -> Cards {
    const EVENTS_MIN: u64 = 20_000;
    const KEYS_MIN: u64 = 2_000;
    let mut command = motif();
    command.arg("sample").arg("payments").arg("--out").arg(folder);
    command.arg("--events").arg(events.max(EVENTS_MIN).to_string()).arg("--keys").arg(keys.max(KEYS_MIN).to_string());
    let status = command.status().expect("motif starts");
    assert!(status.success(), "motif sample ends with {status}");
    let payments = folder.join("payments.jsonl");
    Cards { events: lines(&payments, |_| true), matches: lines(&folder.join("planted.jsonl"), is_match), payments }
}

fn is_match(planted: &str) -> bool {
    planted.contains("\"kind\":\"match\"") && RULES.iter().any(|rule| planted.contains(&format!("\"pattern\":\"{rule}\"")))
}

fn lines(path: &Path, counts: impl Fn(&str) -> bool) -> u64 {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("the sample"));
    std::io::BufRead::lines(file).filter(|line| counts(line.as_ref().expect("text"))).count() as u64
}
