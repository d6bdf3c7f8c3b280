//! What is found by the index is what is found by asking every pattern.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::event::{EventTime, StreamId, Value};
use crate::language::{Source, compile};

/// Patterns by what their conditions and sources ask for: equalities of one field and of several, lists, numbers of all types, nulls, thresholds, ranges, alternatives, parts of texts, what can
/// fail, what costs much, the very next event, several sources with other filters, and nothing at all.
const PROGRAM: &str = r#"
stream a { k: string?  kind: string?  status: string  n: int?  d: decimal  f: float?  at: timestamp  time at }
stream b { k: string  kind: string  n: int  at: timestamp  time at }
define bought = a where kind == "x"
define paid = bought where status == "ok"
define seen = paid where n is not null and f is not null
define some = a where kind in ["x", "y"] and status == "ok"
define ratio = a where n != 0 and 10 / n > 2
pattern p01 { from paid by k match x{2}: paid where d < 2 then y: paid where d > x.d within 1m }
pattern p02 { from a by k match x: bought then y: paid without z: some within 1m }
pattern p03 { from seen by k match x: seen then next y: seen where n > x.n within 1m }
pattern p04 { from a by k match x: a where n == 1 then y: a where n == 1.0 and f == 2 within 1m }
pattern p05 { from a by k match x: a where d == 1 then y: a where d in [1, 2.5, 3] and kind == "y" within 1m }
pattern p06 { from some by k match x: some where kind == "y" then y: some within 1m }
pattern p07 { from ratio by k match x: ratio then y: ratio where n / 2 > 1 and kind == "x" within 1m }
pattern p08 { from bought, b by k match x: bought then y: b where n == 5000 or kind == "z" within 1m }
pattern p09 { from a by k match x: a then next y: a where matches(status, "^o") within 1m }
pattern p10 { from bought by k match x: bought where kind == "y" then y: bought where kind != "x" within 1m }
pattern p11 { from b by k match x: b where n == 5000 then y: b where n in [5000, 7] and kind == "y" within 1m }
pattern p13 { from a by k match x: a where d > 1.5 and n >= 2 then y: a where d >= 1.5 and 3 > d within 1m }
pattern p14 { from a by k match x: a where f > 1 and f <= 2.0 then y: a where f > 1.0 within 1m }
pattern p15 { from a by k match x: a where f < 0.1 then y: a where f < 0.10000000000000000001 or n < 1 within 1m }
pattern p16 { from paid by k match x: paid where n > 2 then y: paid where f >= 2 within 1m }
pattern p17 { from a by k match x: a where n <= 2 then next y: a where n <= 2 and d > 1 within 1m }
pattern p18 { from a by k match x: a where d < 2 then y: a where d < 1.5 then z: a where d <= 1 then w: a where n < 5 then v: a where n < -3 and d > 0 within 1m }
pattern p19 { from a by k match x: a where f > 0.1 then y: a where f >= 2.5 then z: a where f < 2 then w: a where f <= -0.0 within 1m }
pattern p20 { from a by k match x: a where contains(status, "min") then y: a where starts_with(status, "/ad") and d < 2 within 1m }
pattern p21 { from a by k match x: a where ends_with(status, "admin") then y: a where matches(status, "log(in|out)") and n > 1 within 1m }
pattern p22 { from a by k match x: a where matches(status, "(?i)ADM.*LO") then y: a where matches(kind, "^[xy]$") then z: a where contains(status, "o") within 1m }
pattern p23 { from a by k match x: a where matches(status, "[0-9]*/log") then y: a where starts_with(status, "admin") then z: a where ends_with(status, "ok") and kind == "x" within 1m }
pattern p28 { from a by k match x: a where matches(status, "[a-z0-9]+/adm(in)?/[a-z]+") then y: a where matches(status, "^./.*(?i:MIN).*i") then z: a where matches(status, "\\B(dm|og)(i|o)[nu]") within 1m }
pattern p24 { from a by k match x: a where kind == "x" or n == 2 then y: a where (status == "ok" and n > 1) or contains(status, "admin") or kind in ["y", "w"] then z: a where kind == "x" or kind == "y" within 1m }
pattern p25 { from a by k match x: a where n > 1 and n <= 7 then y: a where d < 2.5 and d >= 1 then z: a where n > 0 and n < 5 then w: a where n >= 2 and n <= 2 then v: a where n > 2 and 3 >= n and d > 0 within 1m }
pattern p26 { from a by k match x: a where kind == "x" or n < 3 then y: a where (d > 1 and d < 1.5) or n == 7 then z: a where f > 0.1 and f < 2 within 1m }
pattern p27 { from bought by k match x: bought where (n > -6000 and n < 5001) or status == "no" then y: bought where f > 1 and f <= 2 and d >= 1 and 3 > d within 1m }
define unkind = a where kind is null
pattern p12 { from unkind, bought by k match x: unkind then next y: unkind where n < 3 within 1m }
"#;

/// What the program declares, without its patterns.
fn streams() -> String {
    PROGRAM.lines().filter(|line| !line.starts_with("pattern")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_index_finds_what_asking_every_pattern_finds() {
    let (found_some, found_none, _) = compare_with_asking(PROGRAM, 20_000);
    assert!(found_some > 1_000 && found_none > 100, "{found_some} of some interest, {found_none} of none");
}

/// So many that those are asked for who wait: by bits of all kinds, by thresholds alone, by what is filed, and by what is asked of every event.
#[test]
fn the_index_finds_as_much_where_many_wait() {
    let streams = streams();
    let copies = |of: &str| (0..40).map(|copy| of.replace("pattern p", &format!("pattern p{copy:02}_"))).collect::<String>();
    let patterns: String = PROGRAM.lines().filter(|line| line.starts_with("pattern")).map(|line| format!("{line}\n")).collect();
    let (.., concerns_who_waits) = compare_with_asking(&(streams.clone() + &copies(&patterns)), 1_000);
    assert!(concerns_who_waits > 500, "{concerns_who_waits} concern whoever waits");
    let few = copies("pattern p { from a by k match x: a where n == 1 then y: a where d >= 1.5 and 3 > d within 1m }\n");
    let (found_some, found_none, concerns_who_waits) = compare_with_asking(&(streams.clone() + &few), 5_000);
    assert!(found_some > 1_000 && found_none > 100 && concerns_who_waits > 500, "{found_some}, {found_none}, {concerns_who_waits}");
    let alike = copies(
        "pattern p { from a by k match x: a where n == 1 then y: a where status == \"ok\" and n > 1 then z: a where n in [1, 2] or kind == \"x\" within 1m }\n",
    );
    let (found_some, found_none, concerns_who_waits) = compare_with_asking(&(streams.clone() + &alike), 5_000);
    assert!(found_some > 1_000 && found_none > 100 && concerns_who_waits > 500, "{found_some}, {found_none}, {concerns_who_waits}");
    // What the last ones ask for holds more often.
    let least = |copy: u32| if copy < 10 { 7_000 + copy } else { 2 };
    let other =
        |copy: u32| format!("pattern p{copy:02} {{ from a by k match x: a where n == 1 then y: a where n > {0} or n < -{0} within 1m }}\n", least(copy));
    let (.., concerns_who_waits) = compare_with_asking(&(streams + &(0..40).map(other).collect::<String>()), 5_000);
    assert!(concerns_who_waits > 500, "{concerns_who_waits} concern whoever waits");
}

/// What is calculated of an event once for all: with other conjuncts, among alternatives and denied, of several types, in lists, in parts of texts and networks, where it may fail, and where filters ask for
/// the same.
#[test]
fn the_index_finds_as_much_where_many_compare_what_is_calculated() {
    let streams = streams();
    let asked = [
        "n * 2 == {v}",
        "lower(status) == \"{t}\" and n > 1",
        "{v} > d * 2.0 and kind == \"x\"",
        "10 / n >= {v} and 10 / n < 4",
        "len(status) in [{v}, 5]",
        "f + 1.0 > {v}.5 or n == {v}",
        "coalesce(n, 2) != {v}",
        "lower(status) == \"{t}\" or n * 2 == {v}",
        "n == 7 or (len(status) > {v} and not (lower(status) == \"{t}\" or kind == \"x\"))",
        "contains(lower(status), \"{t}\") and not (10 / n < {v})",
        "starts_with(upper(status), \"A\") or matches(lower(status), \"{t}$\")",
        "in_network(coalesce(status, kind), \"10.{v}.0.0/16\") or in_network(lower(status), \"fd0{v}::/16\")",
    ];
    let pattern = |number: usize| {
        let value = |of: &str| of.replace("{v}", &(number / 7 % 5).to_string()).replace("{t}", ["ok", "no", "admin"][number % 3]);
        let (first, second) = (value(asked[number % asked.len()]), value(asked[number / 7 % asked.len()]));
        let from = if number.is_multiple_of(9) { "ratio" } else { "a" };
        format!("pattern p{number:03} {{ from {from} by k match x: {from} where {first} then y: {from} where {second} within 1m }}\n")
    };
    let text = streams + &(0..600).map(pattern).collect::<String>();
    let (found_some, ..) = compare_with_asking(&text, 3_000);
    let compiled = Compiled::new(&compile(&[Source { path: "it.motif".to_owned(), text }]).program);
    assert!(found_some > 1_000 && compiled.streams[0].index.terms.len() > 6, "{found_some} of some interest, {:?}", compiled.streams[0].index.terms);
}

/// The same of what logs keep: what is calculated for these alone, and for few of them where patterns ask for it as well; where the log's sources have filters.
#[test]
fn the_index_finds_as_much_where_many_logs_keep_what_is_calculated() {
    let streams = streams();
    let asked = [
        "n * 2 == {v}",
        "lower(status) == \"{t}\" and n > 1",
        "{v} > d * 2.0",
        "10 / n >= {v} and 10 / n < 4",
        "n == 7 or (len(status) > {v} and not kind == \"x\")",
        "contains(upper(status), \"A\") or kind == \"{v}\"",
    ];
    let pattern = |number: usize| {
        let kept = asked[number % asked.len()].replace("{v}", &(number / 7 % 5).to_string()).replace("{t}", ["ok", "no", "admin"][number % 3]);
        let from = if number.is_multiple_of(5) { "ratio" } else { "a" };
        // Each keeps what no other does. Of some the pattern asks for the same.
        let first = if number.is_multiple_of(2) { format!("l{number}") } else { from.to_owned() };
        let from = if number.is_multiple_of(2) { "a" } else { from };
        format!(
            "define l{number} = {from} where ({kept}) and n != {}\npattern p{number:03} {{ from {from} by k match x: {first} where count(l{number} over 9s) > 3 then y: {from} where kind == \"x\" within 1m }}\n",
            1_000 + number
        )
    };
    let text = streams + &(0..400).map(pattern).collect::<String>();
    let compiled = Compiled::new(&compile(&[Source { path: "it.motif".to_owned(), text: text.clone() }]).program);
    let (terms, logs) = (&compiled.streams[0].index.terms, compiled.logs.len());
    assert!(terms.len() > 4 && logs == 400, "{logs} logs, {terms:?}");
    let (found_some, ..) = compare_with_asking(&text, 2_000);
    assert!(found_some > 1_000, "{found_some} of some interest");
}

/// Lists so long that what is in them is found by a hash: of all types, two on one field, of which some values, or none, are in both, in filters, turned round, as alternatives, of what is calculated,
/// and with values under which nothing can be filed.
#[test]
fn the_index_finds_as_much_with_long_lists() {
    let streams = streams();
    let lists = r#"
list codes = ["x", "y", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"]
list states = ["ok", "no", "admin", "s1", "s2", "s3", "s4", "s5", "s6", "s7", ""]
list whole = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 5000]
list odd = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, -5000, 9223372036854775807]
list far = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]
list parts = [0.1, 1, 1.5, 2.50, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 0.0000000000000000000000000004]
define coded = a where kind in codes and n not in far
define stated = coded where status in states or n in odd
"#;
    let asked = [
        "n in whole",
        "n not in odd",
        "n in whole and n in odd",
        "n in whole and n in far",
        "n in whole and n not in odd and kind in codes",
        "kind in codes and status in states",
        "kind not in codes or d in parts",
        "d in parts and d in whole",
        "d in whole and d == 1",
        "f in parts",
        "f in whole and f not in parts",
        "n in odd and n == 7",
        "n in far or (status in states and kind == \"x\")",
        "n is not null and not (n in whole or kind in codes)",
        "n * 2 in whole",
        "lower(status) in states and n > 1",
        "d * 2.0 in parts",
        "f in whole or f > 2",
    ];
    for patterns in [60, 400] {
        let pattern = |number: usize| {
            let (first, second) = (asked[number % asked.len()], asked[(number * 7 + number / asked.len()) % asked.len()]);
            let from = ["a", "a", "coded", "stated"][number / 3 % 4];
            format!("pattern p{number:03} {{ from {from} by k match x: {from} where {first} then y: {from} where {second} within 1m }}\n")
        };
        let text = format!("{streams}{lists}{}", (0..patterns).map(pattern).collect::<String>());
        let (found_some, found_none, concerns_who_waits) = compare_with_asking(&text, 3_000);
        assert!(found_some > 1_000 && found_none > 100, "{found_some} of some interest, {found_none} of none");
        assert!(patterns < 400 || concerns_who_waits > 100, "{concerns_who_waits} concern whoever waits");
    }
}

/// Two are enough where nothing else tells their events apart, and nothing can fail.
#[test]
fn the_letters_of_a_text_are_made_once_also_for_few() {
    let streams = streams();
    let terms_of = |asked: [&str; 2]| {
        let pattern = |(number, asked)| format!("pattern p{number} {{ from a by k match x: a where {asked} then next y: a where n > 1 within 1m }}\n");
        let text = streams.clone() + &asked.iter().enumerate().map(pattern).collect::<String>();
        compare_with_asking(&text, 2_000);
        Compiled::new(&compile(&[Source { path: "it.motif".to_owned(), text }]).program).streams[0].index.terms.len()
    };
    assert_eq!(terms_of(["contains(lower(status), \"adm\")", "lower(status) == \"ok\" or len(kind) > 1"]), 1);
    assert_eq!(terms_of(["len(status) > 2 and starts_with(upper(status), \"A\")", "not (upper(status) == \"OK\" or len(status) == 2)"]), 2);
    // What tells events apart is asked first.
    assert_eq!(terms_of(["n > 2 and lower(status) == \"ok\"", "kind == \"x\" and lower(status) == \"no\""]), 0);
    assert_eq!(terms_of(["10 / n > 2", "10 / n < 1"]), 0);
    assert_eq!(terms_of(["decimal(f) > 1.5", "decimal(f) < 9.5"]), 0);
}

/// Of both sorts of addresses, one within the other, with bits behind their prefixes, of one address and of all of them; with other conjuncts, as alternatives, and denied.
#[test]
fn the_index_finds_as_much_with_many_networks() {
    let streams = streams();
    let networks = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.9/24",
        "10.1.2.3/32",
        "10.1.128.0/17",
        "0.0.0.0/0",
        "192.168.0.0/16",
        "fd00::/8",
        "fd00::1:0/112",
        "::/0",
        "::ffff:0.0.0.0/96",
    ];
    let pattern = |number: usize| {
        let network = |place: usize| format!("in_network(status, \"{}\")", networks[place % networks.len()]);
        let (one, other) = (network(number), network(number / 3 + 1));
        let asked = [
            one.clone(),
            format!("{one} and {other}"),
            format!("{one} or {other}"),
            format!("{one} or kind == \"x\""),
            format!("n > 1 and not {one}"),
            format!("{one} and n > 2"),
        ];
        let (first, second) = (&asked[number % 6], &asked[number / 5 % 6]);
        format!("pattern p{number:03} {{ from a by k match x: a where {first} then y: a where {second} within 1m }}\n")
    };
    for patterns in [7, 300] {
        let (found_some, ..) = compare_with_asking(&(streams.clone() + &(0..patterns).map(pattern).collect::<String>()), 3_000);
        assert!(found_some > 1_000, "{found_some} of some interest");
    }
}

/// Of floats and of exact numbers, which may meet in one field.
#[test]
fn the_index_finds_as_much_with_many_ranges() {
    let streams = streams();
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    let bounds = ["-5000", "-0.1", "-0.0", "0", "0.1", "0.1000000000000000001", "0.5", "1", "1.5", "2", "2.5", "2.50000000000000000001", "3", "7", "5000"];
    let mut range = |field: &str| {
        let (low, high) = (bounds.choose(random).expect("some"), bounds.choose(random).expect("some"));
        let (above, below) = ([">", ">="].choose(random).expect("some"), ["<", "<="].choose(random).expect("some"));
        if random.random_bool(0.2) {
            format!("{low} {below} {field} and {high} {above} {field}")
        } else {
            format!("{field} {above} {low} and {field} {below} {high}")
        }
    };
    let mut pattern = |number: usize| {
        let fields = [["f", "f"], ["d", "f"], ["f", "n"]][number % 3];
        let [first, second] = fields.map(&mut range);
        format!("pattern p{number:03} {{ from a by k match x: a where {first} then next y: a where {second} within 1m }}\n")
    };
    let text = streams + &(0..200).map(&mut pattern).collect::<String>();
    let (found_some, ..) = compare_with_asking(&text, 3_000);
    assert!(found_some > 1_000, "{found_some} of some interest");
}

/// Where something of every pattern waits. How many events are of some interest, of none, and concern whoever waits.
fn compare_with_asking(text: &str, events: u64) -> (u64, u64, u64) {
    let random = &mut ChaCha8Rng::seed_from_u64(7);
    let program = compile(&[Source { path: "it.motif".to_owned(), text: text.to_owned() }]);
    let errors: Vec<_> = program.diagnostics.iter().filter(|diagnostic| diagnostic.severity == crate::language::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let compiled = Arc::new(Compiled::new(&program.program));
    let mut judge = Judge::new(compiled.clone());
    let (mut found_some, mut found_none, mut concerns_who_waits) = (0, 0, 0);
    for number in 0..events {
        let event = event(number, random);
        let index = &compiled.streams[usize::from(event.stream.0)].index;
        let mut found = judge.interest(&event).candidates().to_vec();
        let mut who_waits = found.extract_if(.., |candidate| index.waiting().is_some_and(|waiting| waiting.number == candidate.pattern));
        let (one, another) = (who_waits.next(), who_waits.next());
        drop(who_waits);
        assert_eq!(another, None);
        if let Some(waiting) = index.waiting().filter(|_| one.is_some()) {
            concerns_who_waits += 1;
            assert!(waiting.patterns().any(|pattern| index.awaited(waiting, pattern, event.all_fields()).is_some()), "{event:?} concerns nobody");
            for pattern in waiting.patterns() {
                let Some(class) = index.awaited(waiting, pattern, event.all_fields()) else { continue };
                match found.iter_mut().find(|candidate| candidate.pattern == pattern) {
                    Some(known) => known.class = known.class.with(class),
                    None => found.push(Candidate::of_one_source(pattern, class)),
                }
            }
        }
        found.sort_unstable_by_key(|candidate| candidate.pattern);
        assert_eq!(found, asked(&compiled, &event), "{event:?}");
        *(if found.is_empty() { &mut found_none } else { &mut found_some }) += 1;
    }
    (found_some, found_none, concerns_who_waits)
}

fn asked(compiled: &Compiled, event: &Event) -> Vec<Candidate> {
    let faults = Cell::new(0);
    let routes = compiled.streams[usize::from(event.stream.0)].routes.iter();
    let all = routes.filter_map(|route| watched(route, compiled, event, &faults));
    let is_found_by_nothing = |pattern: u32| compiled.log(pattern).is_some() || compiled.patterns[pattern as usize].automaton.wants_every_event();
    all.filter(|candidate| candidate.class != Class::NOTHING || is_found_by_nothing(candidate.pattern)).collect()
}

fn event(number: u64, random: &mut ChaCha8Rng) -> Event {
    let time = EventTime::from_micros(i64::try_from(number).expect("small"));
    let pick = |random: &mut ChaCha8Rng, values: &[Value]| values.choose(random).expect("some").clone();
    let text = |texts: &[&str]| texts.iter().map(|text| Value::text(text)).collect::<Vec<_>>();
    let int = |numbers: &[i64]| numbers.iter().map(|number| Value::Int(*number)).collect::<Vec<_>>();
    let (kinds, numbers) = (text(&["x", "y", "z", "w"]), int(&[0, 1, 2, 3, 7, 5000, -5000, i64::MAX]));
    let or_null = |mut values: Vec<Value>| {
        values.push(Value::Null);
        values
    };
    let key = Value::text("k");
    let fields = if random.random_bool(0.7) {
        let mut decimals: Vec<Value> =
            [(1, 0), (100, 2), (15, 1), (25, 1), (3, 0), (4, 28)].map(|(digits, scale)| Value::Decimal(rust_decimal::Decimal::new(digits, scale))).into();
        let mut floats = or_null([1.0, 2.0, 2.5, -0.0, 0.1].map(Value::Float).into());
        // No decoder makes them, but what is found does not depend on that.
        decimals.extend([Value::Float(2.5), Value::Float(0.1), Value::Int(2)]);
        floats.extend([decimals[2].clone(), decimals[3].clone(), Value::Int(2)]);
        let kind = pick(random, &or_null(kinds));
        vec![
            key,
            kind,
            pick(
                random,
                &text(&[
                    "ok",
                    "ok",
                    "no",
                    "/admin/login",
                    "admin",
                    "x/admin/admin",
                    "/logout",
                    "1/log",
                    "",
                    "10.1.2.3",
                    "10.1.200.9",
                    "fd00::1:2",
                    "::ffff:10.1.2.3",
                ]),
            ),
            pick(random, &or_null(numbers)),
            pick(random, &decimals),
            pick(random, &floats),
            Value::Timestamp(time),
        ]
    } else {
        vec![key, pick(random, &kinds), pick(random, &numbers), Value::Timestamp(time)]
    };
    let stream = StreamId(if fields.len() == 7 { 0 } else { 1 });
    Event { stream, partition: 0, offset: number, time, fields: fields.into() }
}
