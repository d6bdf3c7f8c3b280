//! Which fields patterns look at: one row for each place where they can.

use motif::language::{Source, compile};
use motif::pattern::FieldsUsed;

const STREAMS: &str = "
stream clicks { user: string  v: int  w: int  x: { y: int  z: int }?  at: timestamp  time at }
stream orders { user: string  v: int  w: int  at: timestamp  time at }
define big = clicks where w > 9
";

/// What stands in a pattern, and the fields that are looked at: of clicks, and of orders.
const ROWS: [(&str, &str, &str); 14] = [
    ("from clicks by user  match a: clicks within 1s  emit user", "user", ""),
    ("from clicks  match a: clicks  within 1s  emit 1 as one", "", ""),
    ("from clicks  match a: clicks  within 1s", "user v w x at", ""),
    ("from clicks, orders  match a: clicks then b: orders  within 1s  emit a", "user v w x at", ""),
    ("from clicks  match a: clicks where v > 1  within 1s  emit 1 as one", "v", ""),
    ("from clicks  match a: clicks where x.y > 1  within 1s  emit a.x.z as z", "x", ""),
    ("from big  match a: big  within 1s  emit 1 as one", "w", ""),
    ("from clicks, orders  match a: clicks then b: orders where v > a.w  within 1s  emit 1 as one", "w", "v"),
    ("from clicks, orders  match a+: clicks then b: orders where v > sum(a.w)  within 1s  emit count(a) as n", "w", "v"),
    ("from clicks, orders  match a: clicks then not b: orders where w > 1  within 1s  emit 1 as one", "", "w"),
    ("from clicks, orders  match a: clicks then b: clicks  without c: orders where v == 1  within 1s  emit 1 as one", "", "v"),
    ("from clicks  match a: clicks where count(big over 1m) > 3  within 1s  emit 1 as one", "w", ""),
    ("from clicks  match a: clicks where sum(clicks.w over 1m) > 3  within 1s  emit 1 as one", "w", ""),
    ("from clicks  match a: clicks then b: clicks  within 1s  suppress 1m by a.v  on timeout emit a.w as w  emit 1 as one", "v w", ""),
];

#[test]
fn every_field_that_a_pattern_looks_at_is_found_and_no_other() {
    for (pattern, clicks, orders) in ROWS {
        let text = format!("{STREAMS}\npattern p {{\n {}\n}}\n", pattern.replace("  ", "\n "));
        let compiled = compile(&[Source { path: "row.motif".to_owned(), text }]);
        assert!(!compiled.has_errors(), "{pattern}: {:#?}", compiled.diagnostics);
        let program = compiled.program;
        let mut used = FieldsUsed::none(&program.schema);
        program.patterns.iter().for_each(|pattern| used.add(pattern));
        let names = |stream: &str| {
            let id = program.schema.find(stream).expect("declared");
            let fields = program.schema.stream(id).fields.iter().zip(used.of(id));
            fields.filter(|(_, is_used)| **is_used).map(|(field, _)| field.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((names("clicks").as_str(), names("orders").as_str()), (clicks, orders), "{pattern}");
    }
}
