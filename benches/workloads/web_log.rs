//! The real web log over and over, each time some days later: as long a log as is asked for, half of its neighbours out of order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta};

/// Events and matches of the two web rules in the log once; two unrelated engines agree on them.
pub const EVENTS: u64 = 10_000;
pub const MATCHES: u64 = 14 + 249;

/// Longer than the log and every window of the rules: no match reaches from one time to the next.
const SHIFT: TimeDelta = TimeDelta::days(5);

/// Writes `log` so many times over.
pub fn write(log: &Path, times: u64, path: &Path) -> io::Result<()> {
    const BEFORE_TIME: &str = "\"at\":\"";
    const TIME_CHARS: usize = "2015-05-17T10:05:03Z".len();
    let text = std::fs::read_to_string(log)?;
    let mut lines = Vec::new();
    for line in text.lines() {
        let start = line.find(BEFORE_TIME).expect("every line has a time") + BEFORE_TIME.len();
        let (head, rest) = line.split_at(start);
        let (time, tail) = rest.split_at(TIME_CHARS);
        lines.push((head, DateTime::parse_from_rfc3339(time).expect("a time").to_utc(), tail));
    }
    assert_eq!(lines.len() as u64, EVENTS, "the log is the one that the counts are of");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for place in 0..times {
        let shift = SHIFT * i32::try_from(place).expect("a few thousand times");
        for (head, time, tail) in &lines {
            writeln!(out, "{head}{}{tail}", (*time + shift).to_rfc3339_opts(SecondsFormat::Secs, true))?;
        }
    }
    out.flush()
}
