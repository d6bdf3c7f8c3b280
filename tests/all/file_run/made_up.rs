//! Made-up streams that leave nothing out: events out of order, late, unreadable; blank lines, and lines that end in the other way.

use std::fmt::Write;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The events of `clicks` are of a file of their own, as are those of `orders`; `clicks.motif` reads the first only.
pub const CLICKS: &str = r#"
stream clicks {
  user: string
  v: int
  at: timestamp
  time at, late after 5s
}

stream orders {
  user: string
  v: int
  at: timestamp
  time at, late after 2s
}

pattern pairs {
  from clicks by user
  match a: clicks where v < 3
   then b: clicks where v > 6
  within 30s
  skip none
  emit user, a.v as began, b.v as ended
}

pattern bursts {
  from clicks by user
  match a+ greedy: clicks where v < 6
   then not more: clicks where v < 6 for 20s
  emit user, count(a) as n, sum(a.v) as total
}

pattern unfinished {
  from clicks by user
  match a: clicks where v == 1
   then within 30s b: clicks where v > 5
   then c: clicks where v == 3
  within 90s
  on timeout emit user, a.v as began, b.v as went_on
}
"#;

pub const ORDERS: &str = r#"
pattern unanswered {
  from orders, clicks by user
  match asked: orders where v > 2
   then not answer: clicks where v > 4
  within 40s
  skip to next
}

pattern mixed {
  from clicks, orders by user
  match a: clicks where v > 5
   then b: orders where v > 5
  within 1m
}
"#;

/// 2025-01-01T00:00:00Z, in milliseconds.
const BEGIN_MS: i64 = 1_735_689_600_000;
const USERS: u32 = 40;

/// Lines of one stream, one every `step_ms` of event time, from `from_ms` on.
pub fn lines(random: &mut ChaCha8Rng, number: usize, from_ms: i64, step_ms: i64) -> String {
    let mut text = String::new();
    for (line, place) in (0..i64::try_from(number).expect("small")).enumerate() {
        let back_ms = match random.random_range(0..100) {
            0..60 => 0,
            // Within every lateness, or within that of clicks only, or late.
            60..90 => random.random_range(0..2_000),
            90..97 => random.random_range(0..5_000),
            _ => random.random_range(5_001..60_000),
        };
        let at = BEGIN_MS + from_ms + place * step_ms - back_ms;
        let user = random.random_range(0..USERS);
        let v = random.random_range(0..10);
        match random.random_range(0..1_000) {
            0..5 => writeln!(text, "{{\"user\":\"u{user}\",\"v\":{v}}}"),
            5..10 => writeln!(text, "no JSON in line {line}"),
            10..15 => writeln!(text, "{{\"user\":\"u{user}\",\"v\":\"{v}\",\"at\":{at}}}"),
            15..20 => writeln!(text, " "),
            20..40 => write!(text, "{{\"user\":\"u{user}\",\"v\":{v},\"at\":{at}}}\r\n"),
            _ => writeln!(text, "{{\"at\":{at},\"note\":\"passed over: {line:09}\",\"user\":\"u{user}\",\"v\":{v}}}"),
        }
        .expect("memory");
    }
    text
}
