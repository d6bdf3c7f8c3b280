//! What matches say, in which lines events stand, and the order of the output.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use crate::automaton::Limits;
use crate::engine::shard::EXPIRED_MAX;
use crate::engine::{
    Change, ColdKey, ColdKeys, ColdKeysError, Compiled, Counters, Effect, Engine, EngineOptions, Input, Match, MatchField, Positions, Shard, Spread,
    WindowsSince,
};
use crate::event::{Event, EventTime, Value};
use crate::language::{Source, compile};
use crate::pattern::Program;

const STREAM: &str = "
stream sent {
  from_account: string?
  to_account: string?
  v: int
  at: timestamp
  time at
}
";

fn program(patterns: &str) -> Program {
    let compiled = compile(&[Source { path: "it.motif".to_owned(), text: format!("{STREAM}{patterns}") }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    compiled.program
}

/// From whom, to whom, how much, after how many seconds.
type Transfer<'a> = (&'a str, &'a str, i64, i64);

fn event(program: &Program, offset: u64, (from, to, v, seconds): Transfer<'_>) -> Event {
    let account = |name: &str| if name.is_empty() { Value::Null } else { Value::text(name) };
    let time = EventTime::from_micros(seconds * 1_000_000);
    let fields = [account(from), account(to), Value::Int(v), Value::Timestamp(time)];
    Event { stream: program.schema.find("sent").expect("declared"), partition: 0, offset, time, fields: fields.into() }
}

fn run(program: &Program, shards: usize, transfers: &[Transfer<'_>]) -> (Vec<Match>, Counters) {
    let mut engine = Engine::new(program, EngineOptions { shards, ..EngineOptions::default() });
    let arrive =
        |(offset, transfer): (u64, &Transfer<'_>)| Input::Arrive { event: event(program, offset, *transfer), position: offset, next_position: offset + 1 };
    let mut effects = Vec::new();
    engine.apply_batch((0..).zip(transfers).map(arrive).chain([Input::End]), &mut effects);
    let matches = effects.into_iter().map(|effect| match effect {
        Effect::Matched(found) => found,
        other => panic!("only matches: {other:?}"),
    });
    (matches.collect(), engine.counters())
}

/// `pattern key offsets`.
fn lines(matches: &[Match]) -> Vec<String> {
    let key = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    let line = |found: &Match| {
        let key: Vec<String> = found.key_values.iter().map(key).collect();
        let offsets: Vec<String> = found.chosen.iter().map(|(_, event)| event.offset.to_string()).collect();
        format!("{} {} {}", found.pattern.name, key.join("+"), offsets.join(" "))
    };
    matches.iter().map(line).collect()
}

#[test]
fn an_event_stands_in_the_line_of_every_distinct_key_that_it_has_as_what_gave_it_the_key() {
    let program = program(
        "define out = sent where v > 0
         define back = sent where v > 0
         pattern p { from out, back by out.from_account, back.to_account  match a: out where v == 1 then b: back where v == 2 within 10s skip none }",
    );
    let transfers = [("x", "y", 1, 0), ("y", "x", 2, 1), ("z", "z", 1, 2), ("z", "z", 2, 3), ("", "w", 1, 4), ("w", "", 2, 5), ("x", "x", 0, 6)];
    for shards in [1, 2, 3] {
        let (matches, counters) = run(&program, shards, &transfers);
        // In y's line the first came in and the second went out; so it did in w's, whose other end is null.
        assert_eq!(lines(&matches), ["p x 0 1", "p z 2 3"], "{shards} shards");
        assert_eq!((counters.null_keys, counters.events, counters.released), (2, 7, 6));
    }
}

#[test]
fn changes_that_nobody_takes_are_no_more_than_the_keys_there_are() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 2s }");
    let mut engine = Engine::new(&program, EngineOptions::default());
    let mut effects = Vec::new();
    for offset in 0..20_000 {
        let seconds = i64::try_from(offset).expect("small");
        let event = event(&program, offset, (&format!("account {offset}"), "", 1, seconds));
        engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
    }
    let noted: usize = engine.shards.iter().map(Shard::changes_noted).sum();
    assert!(engine.counters().live_keys < 10 && noted <= 1024, "{noted} changes");
}

/// Wherever the runs lie.
#[test]
fn what_a_limit_on_matches_has_lost_is_said_of_the_matches_after_it() {
    let program = program(
        "pattern p { from sent by from_account  match a: sent where to_account == \"a\" then b: sent where to_account == \"b\" and v > a.v within 1h skip none }",
    );
    let transfers = [("x", "a", 1, 0), ("x", "a", 2, 1), ("x", "a", 8, 2), ("x", "b", 5, 3), ("x", "b", 9, 4)];
    for runs_alone_max in [0, 2, 16] {
        let mut engine = Engine::new(&program, EngineOptions { matches_per_event_max: 1, runs_alone_max, ..EngineOptions::default() });
        let mut effects = Vec::new();
        for (offset, transfer) in (0..).zip(transfers) {
            engine.apply(Input::Arrive { event: event(&program, offset, transfer), position: offset, next_position: offset + 1 }, &mut effects);
        }
        engine.apply(Input::End, &mut effects);
        let [Effect::Matched(found)] = &effects[..] else { panic!("the third a and the last b, but {effects:?}") };
        assert_eq!((found.chosen[0].1.offset, found.runs_dropped), (2, 1), "{runs_alone_max} lie in a slot");
    }
}

/// However partial matches are kept, and also where nothing comes after it.
#[test]
fn what_a_limit_on_matches_has_lost_is_counted_at_the_end_of_time_too() {
    let absence = "match a: sent where v == 1 then not b: sent where v == 2 for 1h skip none";
    let looking_back = "match a: sent where v == 1 then not b: sent where v == 2 and to_account == a.to_account for 1h skip none";
    let timeouts = "match a: sent where v == 1 then b: sent where v == 2 within 1h skip none on timeout emit a.v";
    for steps in [absence, looking_back, timeouts] {
        for (runs_alone_max, sent) in [(0, 3), (16, 3), (2, 3), (2, 40)] {
            let program = program(&format!("pattern p {{ from sent by from_account  {steps} }}"));
            let mut engine = Engine::new(&program, EngineOptions { matches_per_event_max: 2, runs_alone_max, ..EngineOptions::default() });
            let mut effects = Vec::new();
            for offset in 0..sent {
                engine.apply(Input::Arrive { event: event(&program, offset, ("x", "a", 1, 0)), position: offset, next_position: offset + 1 }, &mut effects);
            }
            engine.apply(Input::End, &mut effects);
            assert_eq!((effects.len(), engine.counters().runs_dropped), (0, 1), "{steps}, {sent} with {runs_alone_max} one by one");
        }
    }
}

/// The first of two runs of p is over, so that p waits longer than before: what then begins of q still runs out of time before it.
#[test]
fn what_waits_longer_than_before_stands_behind_what_begins_then() {
    let program = program(
        "pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 and to_account == a.to_account within 20s skip none }
         pattern q { from sent by from_account  match a: sent where v == 3 then b: sent where v == 4 within 10s skip none }",
    );
    let transfers =
        [("x", "a", 1, 0), ("x", "", 3, 1), ("x", "", 4, 2), ("x", "b", 1, 9), ("x", "a", 2, 10), ("x", "", 3, 12), ("x", "", 4, 25), ("x", "b", 2, 26)];
    let (matches, _) = run(&program, 1, &transfers);
    assert_eq!(lines(&matches), ["q x 1 2", "p x 0 4", "p x 3 7"]);
}

/// A jump of time lets go of so many keys in one call, and of the others in the next; none of them takes an event any more.
#[test]
fn what_a_jump_of_time_leaves_over_is_over() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 2s }");
    let mut engine = Engine::new(&program, EngineOptions::default());
    let mut effects = Vec::new();
    let keys = u64::try_from(EXPIRED_MAX).expect("small") + 10_000;
    let mut offset = 0;
    let mut apply = |transfers: &[(String, i64, i64)]| {
        let arrive = |(from, v, seconds): &(String, i64, i64)| {
            let event = event(&program, offset, (from, "", *v, *seconds));
            offset += 1;
            Input::Arrive { event, position: offset - 1, next_position: offset }
        };
        engine.apply_batch(transfers.iter().map(arrive), &mut effects);
        assert!(effects.is_empty());
        engine.counters().live_keys
    };
    let account = |number: u64| format!("account {number}");
    let starts: Vec<_> = (0..keys).map(|number| (account(number), 1, 0)).collect();
    apply(&starts);
    let x = |v: i64, seconds: i64| ("x".to_owned(), v, seconds);
    assert_eq!(apply(&[x(3, 1)]), keys, "all live");
    assert_eq!(apply(&[x(1, 3_600)]), 10_000, "some are over, and still there");
    let over = (0..keys).map(|number| (account(number), 2, 3_601)).chain([x(1, 3_602)]);
    assert_eq!(apply(&over.collect::<Vec<_>>()), 1, "only x");
}

/// A jump of time passes over so many timers in one call of which nothing has become, and over the others in the next. A key that is due behind them is as if it were gone.
#[test]
fn timers_of_keys_that_are_gone_are_passed_over_by_and_by() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 1h }");
    let keys = 5 * EXPIRED_MAX;
    // Far beyond the timers, and into the midst of them.
    for (ready_keys_max, seconds) in [(keys + 1, 7_200), (0, 7_200), (keys + 1, 3_602), (0, 3_602)] {
        let mut engine = Engine::new(&program, EngineOptions { ready_keys_max, ..EngineOptions::default() });
        let mut offset = 0;
        // How much comes out, and whether something is left.
        let mut apply = |transfers: &[(usize, i64, i64)]| {
            let mut effects = Vec::new();
            let arrive = |(account, v, seconds): &(usize, i64, i64)| {
                let event = event(&program, offset, (&format!("account {account}"), "", *v, *seconds));
                offset += 1;
                Input::Arrive { event, position: offset - 1, next_position: offset }
            };
            engine.apply_batch(transfers.iter().map(arrive), &mut effects);
            (effects.len(), engine.shards[0].has_overdue())
        };
        let all = |v: i64, seconds: i64| (0..keys).map(|account| (account, v, seconds)).chain([(keys, 3, seconds + 1)]).collect::<Vec<_>>();
        assert_eq!(apply(&all(1, 0)), (0, false));
        assert_eq!(apply(&all(2, 1)), (keys, false), "all are gone");
        apply(&[(0, 1, 2)]);
        assert_eq!(apply(&[(1, 3, seconds)]), (0, true), "{ready_keys_max} keys ready, to {seconds}");
        assert_eq!(apply(&[(0, 2, seconds + 2), (1, 3, seconds + 3)]).0, 0, "its time is up");
        assert!((0..4).any(|_| apply(&[]) == (0, false)), "that was all");
    }
}

/// As [over keys](what_a_jump_of_time_leaves_over_is_over): what it leaves is as if it were gone, and goes with the next calls.
#[test]
fn suppressions_that_a_jump_of_time_leaves_over_are_over() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 within 1s  suppress 2s by from_account }");
    let keys = EXPIRED_MAX + 10_000;
    // What comes out, and what the store has in the end, where the engine is called so often after the jump.
    let run = |calls: usize| {
        let mut engine = Engine::new(&program, EngineOptions::default());
        let (mut found, mut stored, mut offset) = (Vec::new(), BTreeMap::new(), 0);
        // How many are gone with the call, and whether some are left.
        let mut apply = |transfers: &[(usize, i64, i64)]| {
            let arrive = |(account, v, seconds): &(usize, i64, i64)| {
                let event = event(&program, offset, (&format!("account {account}"), "", *v, *seconds));
                offset += 1;
                Input::Arrive { event, position: offset - 1, next_position: offset }
            };
            let (mut effects, mut changes) = (Vec::new(), Vec::new());
            engine.apply_batch(transfers.iter().map(arrive), &mut effects);
            found.extend(effects.into_iter().map(|effect| match effect {
                Effect::Matched(found) => (found.id, found.suppressed),
                other => panic!("{other:?}"),
            }));
            engine.take_changes(&mut changes);
            let gone = changes.iter().filter(|change| change.value.is_none()).count();
            for Change { key, value } in changes {
                match value {
                    Some(value) => drop(stored.insert(key, value)),
                    None => drop(stored.remove(&key)),
                }
            }
            (gone, engine.suppression.has_overdue())
        };
        let all =
            |step: usize, seconds: i64| (0..keys).step_by(step).map(move |account| (account, 1, seconds)).chain([(0, 3, seconds + 1)]).collect::<Vec<_>>();
        assert_eq!(apply(&all(1, 0)), (0, false), "all last");
        assert_eq!(apply(&all(keys - 1, 1)), (0, false), "of the first and the last account one is suppressed, which is to be told");
        let (gone, has_overdue) = apply(&[(0, 3, 3_600)]);
        assert!(has_overdue && (EXPIRED_MAX - 2..=EXPIRED_MAX).contains(&gone), "some are over, and still there: {gone} are gone");
        for call in 0..calls {
            assert_eq!(apply(&[]), (if call == 0 { keys - 2 - gone } else { 0 }, false));
        }
        apply(&all(2, 3_601));
        apply(&[(0, 3, 7_200)]);
        assert_eq!(apply(&[]), (0, false), "all are gone");
        (found, stored)
    };
    let (found, stored) = run(0);
    assert_eq!((found.len(), stored.len()), (keys + keys.div_ceil(2), 1), "what was suppressed of the last account is kept until it is told");
    assert_eq!(found.iter().filter(|(_, suppressed)| *suppressed == 1).count(), 1, "and was told of the first");
    for calls in [1, 2] {
        assert!(run(calls) == (found.clone(), stored.clone()), "{calls} calls");
    }
}

/// The journal of a deployment holds a digest of what changed: it must not show where the runs of a key lie, which is otherwise after a restart.
#[test]
fn what_is_told_to_the_store_is_the_same_after_a_restart() {
    let pattern =
        |v: i64| format!("pattern p{v} {{ from sent by from_account  match a: sent where v == {v} then b: sent where v == 9 and v < a.v within 1h }}\n");
    let program = program(&(1..=4).map(pattern).collect::<String>());
    let stream = program.schema.find("sent").expect("declared");
    let told = |engine: &mut Engine, transfers: &[(i64, i64)]| {
        let mut effects = Vec::new();
        for &(v, seconds) in transfers {
            let offset = u64::try_from(seconds).expect("counted from 0");
            let event = event(&program, offset, ("x", "", v, seconds));
            engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
            engine.apply(Input::Watermark { stream, partition: 0, watermark: EventTime::from_micros(seconds * 1_000_000) }, &mut effects);
        }
        assert!(effects.is_empty());
        let mut changes = Vec::new();
        engine.take_changes(&mut changes);
        changes
    };
    for starts in [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]] {
        let mut engine = Engine::new(&program, EngineOptions::default());
        let stored = told(&mut engine, &starts.iter().copied().zip(0..).collect::<Vec<_>>());
        let mut restarted = Engine::new(&program, EngineOptions::default());
        restarted.apply(Input::Open { stream, partition: 0 }, &mut Vec::new());
        let entries = stored.iter().map(|change| (change.key.as_slice(), change.value.as_deref().expect("all live")));
        assert_eq!(restarted.restore(&engine.positions(), entries), Ok(vec![]));
        // It fits none of them.
        let after = told(&mut engine, &[(9, 10)]);
        assert_eq!((stored.len(), &after), (4, &told(&mut restarted, &[(9, 10)])), "{starts:?}");
    }
}

/// Patterns that differ in how much their first event must be of something are stepped as one, and nothing shows it: what comes out and what is told to the store is what each of them
/// says alone, also where a key has so many runs that they are kept apart, where engines start again with what was told, where keys are packed or not in memory, and where a limit keeps them apart from the beginning.
#[test]
fn a_family_is_as_its_patterns_are_alone() {
    let bodies = [
        "a: sent where v >= {v} and to_account == \"m\" then b: sent where to_account == \"n\" and v == 9 within 90s skip none",
        "a: sent where {v} > v and to_account == \"m\" then b: sent where v > a.v then c: sent where to_account == \"o\" and v != b.v within 240s skip none",
        "a: sent where v > {v} and to_account == \"n\" then not x: sent where to_account == \"o\" then b: sent where to_account == \"m\" and v > a.v within 120s skip none",
        "a: sent where v >= {v} and to_account == \"m\" then b: sent where to_account == \"n\" within 80s skip none  {emit}",
    ];
    let names = ["d", "a", "c", "b"];
    // Of the last ones only two keep the same fields of what they choose.
    let emits = ["emit a.v as v", "emit a.to_account as whom", "emit a.from_account as who, 8 as level", ""];
    let pattern = |(number, body): (usize, &str), place: usize| {
        let v = [3, 1, 8, 5][place].to_string();
        let body = body.replace("{v}", &v).replace("{emit}", emits[place]);
        format!("pattern {}{number} {{ from sent by from_account  match {body} }}\n", names[place])
    };
    let each: Vec<String> = bodies.iter().enumerate().flat_map(|body| (0..names.len()).map(move |place| pattern((body.0, *body.1), place))).collect();
    let together = program(&each.concat());
    let families: Vec<usize> =
        Compiled::new(&together).patterns.iter().filter_map(|compiled| compiled.family.as_ref()).map(|family| family.patterns.len()).collect();
    assert_eq!(families, [4, 4, 4, 2]);
    let alone: Vec<Program> = each.iter().map(|pattern| program(pattern)).collect();

    let few_matches = EngineOptions { matches_per_event_max: 2, ..EngineOptions::default() };
    let few_ready = EngineOptions { ready_keys_max: 1, ..EngineOptions::default() };
    for (seed, options) in (1..=6_u64).flat_map(|seed| [(seed, EngineOptions::default()), (seed, few_matches.clone()), (seed, few_ready.clone())]) {
        let matches = compare_with_alone(&together, &alone, seed, &options);
        assert!(matches > 500 || options == few_matches, "{matches} matches");
    }
}

/// Of more than a key can say the changes of, several are made.
#[test]
fn very_many_alike_are_as_each_is_alone() {
    let pattern = |number: i64| {
        let least = number - 8;
        format!(
            "pattern p{number:02} {{ from sent by from_account  match a: sent where v >= {least} then b: sent where to_account == \"n\" and v > a.v within 90s skip none }}\n"
        )
    };
    let each: Vec<String> = (0..20).map(pattern).collect();
    let together = program(&each.concat());
    let families: Vec<usize> =
        Compiled::new(&together).patterns.iter().filter_map(|compiled| compiled.family.as_ref()).map(|family| family.patterns.len()).collect();
    assert_eq!(families, [16, 4]);
    let alone: Vec<Program> = each.iter().map(|pattern| program(pattern)).collect();
    for (seed, ready_keys_max) in [(1, usize::MAX), (2, 1)] {
        let matches = compare_with_alone(&together, &alone, seed, &EngineOptions { ready_keys_max, ..EngineOptions::default() });
        assert!(matches > 2_000, "{matches} matches");
    }
}

/// The same of patterns that have nothing in common, so many that a key has more than it keeps near: with windows of many lengths, so that what begins later may be over first.
#[test]
fn many_patterns_of_a_key_are_as_each_is_alone() {
    let pattern = |number: usize| {
        let (v, to, seconds) = (number % 7, ["m", "n", "o"][number % 3], 50 + number * 13 % 90);
        let second = ["then b: sent where v > a.v", "then not x: sent where v == 8 then b: sent where v == 9", "then b: sent where to_account == a.to_account"]
            [number % 5 % 3];
        let skip = ["none", "past last"][number % 2];
        format!(
            "pattern p{number} {{ from sent by from_account  match a: sent where v == {v} and to_account == \"{to}\" {second} within {seconds}s skip {skip} }}\n"
        )
    };
    let each: Vec<String> = (0..900).map(pattern).collect();
    let together = program(&each.concat());
    let alone: Vec<Program> = each.iter().map(|pattern| program(pattern)).collect();
    for (seed, ready_keys_max) in [(1, usize::MAX), (2, 1)] {
        let matches = compare_with_alone(&together, &alone, seed, &EngineOptions { ready_keys_max, ..EngineOptions::default() });
        assert!(matches > 2_000, "{matches} matches");
    }
}

/// The same of so many families that an event asks who waits at its key, where their patterns may be together or apart.
#[test]
fn many_families_of_which_something_waits_are_as_each_pattern_is_alone() {
    let pattern = |number: usize| {
        let (least, seconds) = ([2, 5, 7][number % 3], 40 + number / 3);
        format!(
            "pattern p{number} {{ from sent by from_account  match a: sent where v >= {least} then b: sent where a.v > v then c: sent where a.v > v within {seconds}s skip none }}\n"
        )
    };
    let each: Vec<String> = (0..240).map(pattern).collect();
    let together = program(&each.concat());
    let compiled = Compiled::new(&together);
    let families = compiled.patterns.iter().filter(|compiled| compiled.family.is_some()).count();
    assert!(families > 60 && compiled.streams[0].index.waiting().is_some(), "{families} families");
    let alone: Vec<Program> = each.iter().map(|pattern| program(pattern)).collect();
    let few_matches = EngineOptions { matches_per_event_max: 2, ..EngineOptions::default() };
    let few_runs = EngineOptions { runs_per_key_max: 3, ..EngineOptions::default() };
    let shards = EngineOptions { shards: 3, ..EngineOptions::default() };
    for (seed, options) in (1..).zip([EngineOptions::default(), few_matches, few_runs, shards]) {
        let matches = compare_with_alone(&together, &alone, seed, &options);
        assert!(matches > 2_000, "{matches} matches");
    }
}

/// Patterns that ask for windows share what these count, and are asked for by what the windows of a key are where they are many: nothing shows it, also where windows are asked as of deadlines, where
/// sources of one stream have different keys, and where a key has windows and nothing else.
#[test]
fn patterns_that_share_what_their_windows_count_are_as_each_is_alone() {
    let big = "define big = sent where v > 5\ndefine out = sent where v > 1\ndefine back = sent where v < 9\n";
    let firsts = [
        "a: sent where count(sent over {s}s) > {n}",
        "a: sent where v > 6 and {n} <= sum(sent.v over {s}s)",
        "a: sent where count(big over tumbling {s}s) == {n}",
        "a: sent where count(sent over session 3s) < {n} and max(sent.v over {s}s) >= 7 and v == 4",
        "a: sent where v == {n}",
        "a: big where sum(big.v over {s}s) + 1 > avg(sent.v over 40s) + {n}",
    ];
    let seconds = [
        "then b: sent where v > a.v within 20s skip none",
        "then b: sent where distinct(sent.to_account over session 3s) > 2 and v != a.v within 30s skip past last",
        "then not b: sent where v == 8 for 9s",
        "within 5s",
        "then b: big where collect(big.v over 6s)[0] == a.v within 15s on timeout emit",
    ];
    let pattern = |number: usize| {
        let (span, n) = ((5 + number % 4 * 7).to_string(), (2 + number % 5).to_string());
        let first = firsts[number % firsts.len()].replace("{s}", &span).replace("{n}", &n);
        let second = seconds[number % 7 % seconds.len()];
        let (second, timeouts) = second.split_once(" on timeout").map_or((second, ""), |(second, _)| (second, "on timeout emit"));
        let body = format!("match {first} {second} emit count(sent over 12s) as n, collect(big.v over tumbling 25s) as values {timeouts}");
        // By sender, or each event in the lines of two accounts.
        let (from, body) = if number % 11 == 10 {
            ("out, back by out.from_account, back.to_account", body.replace("sent", "back").replace("big", "out"))
        } else {
            ("sent by from_account", body)
        };
        format!("pattern p{number:03} {{ from {from}  {body} }}\n")
    };
    // Beside a family, which has no windows.
    let member =
        |v: usize| format!("pattern f{v} {{ from sent by from_account  match a: sent where v >= {v} then b: sent where v > a.v within 20s skip none }}\n");
    let each: Vec<String> = (0..210).map(pattern).chain((3..7).map(member)).collect();
    let together = program(&(big.to_owned() + &each.concat()));
    let compiled = Compiled::new(&together);
    let views: usize = compiled.logs.iter().map(|log| log.plan.views.len()).sum();
    let asked: usize = compiled.streams[0].index.waiting().map_or(0, |waiting| (0..compiled.tables.len()).map(|table| waiting.windows_of(table).len()).sum());
    assert!(compiled.logs.len() < 30 && views > 30 && asked > 5, "{} logs, {views} views, {asked} asked", compiled.logs.len());
    let alone: Vec<Program> = each.iter().map(|pattern| program(&(big.to_owned() + pattern))).collect();
    let few_ready = EngineOptions { ready_keys_max: 1, ..EngineOptions::default() };
    let few_runs = EngineOptions { runs_per_key_max: 2, ..EngineOptions::default() };
    // So that some have cells of their own.
    let few_in_slots = EngineOptions { runs_alone_max: 0, ..EngineOptions::default() };
    let shards = EngineOptions { shards: 3, ..EngineOptions::default() };
    for (seed, options) in (1..).zip([EngineOptions::default(), few_ready, few_in_slots.clone(), few_in_slots, shards, few_runs.clone(), few_runs]) {
        let matches = compare_with_alone(&together, &alone, seed, &options);
        assert!(matches > 2_000, "{matches} matches");
    }
}

/// The same of so many logs that a key has many of them and lacks many: that are asked whether a first event begins anything, also where they have nothing; that many patterns have at hand one after
/// the other; that are of two tables; whose events are told by what many calculate; and of patterns that wait for events that begin something of them too.
#[test]
fn patterns_with_very_many_logs_are_as_each_is_alone() {
    let firsts = [
        "a: sent where count(d{n} over {s}s) > {m}",
        "a: sent where count(d{n} over {s}s) < {m} and v == 4",
        "a: sent where count(d{n} over {s}s) != 0 and v > 6",
        "a: d{n} where sum(d{n}.v over {s}s) > 5",
        "a: sent where sum(e{n}.v over tumbling {s}s) == {m} and v > 1",
        "a: sent where v == {v}",
        "a: sent where max(d{n}.v over {s}s) >= count(e{n} over {s}s) + 4",
    ];
    let seconds = [
        "then b: sent where v > 3 within 20s skip none",
        "then not b: sent where v == 8 for 9s",
        "within 5s",
        "then b: sent where v > 2 and count(d{n} over 6s) > 1 within 15s",
        "then b: sent where v > a.v within 11s on timeout emit",
    ];
    let pattern = |number: usize| {
        let (first, second) = (firsts[number % firsts.len()], seconds[number / 3 % seconds.len()]);
        let defines = "define d{n} = sent where v % 7 == {r} and v != 1{n}\ndefine e{n} = sent where (v + 1) % 5 == {q} and v != 1{n}\n";
        let text = format!("{defines}pattern p{{n}} {{ from sent by from_account  match {first} {second} }}\n");
        let (r, q) = (number % 7, number % 6);
        let values = [("{n}", format!("{number:03}")), ("{s}", (4 + number % 5 * 4).to_string()), ("{m}", (number % 3).to_string())];
        let more = [("{r}", r.to_string()), ("{q}", q.to_string()), ("{v}", (3 + number % 4).to_string())];
        values.into_iter().chain(more).fold(text, |text, (name, value)| text.replace(name, &value))
    };
    let each: Vec<String> = (0..180).map(pattern).collect();
    let together = program(&each.concat());
    let compiled = Compiled::new(&together);
    let index = &compiled.streams[0].index;
    let asked: Vec<usize> =
        index.waiting().map(|waiting| (0..compiled.tables.len()).map(|table| waiting.windows_of(table).len()).collect()).unwrap_or_default();
    assert!(compiled.logs.len() > 100 && asked.len() == 2 && asked.iter().all(|asked| *asked > 20), "{} logs, {asked:?} asked", compiled.logs.len());
    let alone: Vec<Program> = each.iter().map(|pattern| program(pattern)).collect();
    let few_ready = EngineOptions { ready_keys_max: 1, ..EngineOptions::default() };
    let shards = EngineOptions { shards: 3, ..EngineOptions::default() };
    for (seed, options) in (1..).zip([EngineOptions::default(), few_ready, shards]) {
        let matches = compare_with_alone(&together, &alone, seed, &options);
        assert!(matches > 2_000, "{matches} matches");
    }
}

/// Whether time or the next event of the key brings the deadline, and wherever what waits for it is kept.
#[test]
fn what_a_deadline_decides_sees_the_windows_as_of_then() {
    let program = program(
        "pattern p {
           from sent by from_account
           match a: sent where v == 1 then not b: sent where v == 8 for 9s
           emit count(sent over 12s) as n, sum(sent.v over 12s) as v, count(sent over 3s) as short, collect(sent.v over session 20s) as chain
         }",
    );
    let int = Value::Int;
    let ints = |values: &[i64]| Value::List(values.iter().map(|value| int(*value)).collect());
    // The event at the deadline, 9 s, comes after it. Of y none comes after the first.
    let transfers =
        [("x", "m", 1, 0), ("x", "m", 5, 4), ("x", "m", 6, 8), ("x", "m", 7, 9), ("y", "m", 1, 50), ("x", "m", 9, 100), ("z", "m", 1, 200), ("z", "m", 2, 230)];
    let expected = [vec![int(3), int(12), int(1), ints(&[1, 5, 6])], vec![int(1), int(1), int(0), ints(&[1])], vec![int(1), int(1), int(0), ints(&[1])]];
    for (options, at_once) in
        [0, 16].into_iter().flat_map(|runs_alone_max| [1, 4, 8].map(|at_once| (EngineOptions { runs_alone_max, ..EngineOptions::default() }, at_once)))
    {
        let mut engine = Engine::new(&program, options.clone());
        let mut effects = Vec::new();
        let arrive = |(offset, transfer): &(u64, Transfer<'_>)| Input::Arrive {
            event: event(&program, *offset, *transfer),
            position: *offset,
            next_position: offset + 1,
        };
        for some in (0..).zip(transfers).collect::<Vec<_>>().chunks(at_once) {
            engine.apply_batch(some.iter().map(arrive), &mut effects);
        }
        let found: Vec<_> =
            effects.iter().map(|effect| if let Effect::Matched(found) = effect { found.values.clone() } else { panic!("only matches: {effect:?}") }).collect();
        assert_eq!(found, expected, "{at_once} at once, {options:?}");
    }
}

/// By one pattern or by many, of a key that has nothing at all.
#[test]
fn windows_are_asked_of_keys_without_events_too() {
    let big = "define big = sent where v > 5\n";
    for patterns in [1, 40] {
        let pattern =
            |number: i64| format!("pattern p{number} {{ from sent by from_account  match a: sent where {} > count(big over 9s) within 1s }}\n", number % 3);
        let program = program(&(big.to_owned() + &(1..=patterns).map(pattern).collect::<String>()));
        let (matches, _) = run(&program, 1, &[("x", "m", 1, 0), ("x", "m", 6, 1), ("x", "m", 7, 2), ("x", "m", 1, 10), ("x", "m", 2, 11)]);
        let by_offset = |offset: u64| matches.iter().filter(|found| found.chosen[0].1.offset == offset).count();
        // Of none, one, two, one (that of 1 s is out), none.
        let (some, most) = (usize::try_from((patterns + 1) / 3 + (patterns + 2) / 3).expect("few"), usize::try_from((patterns + 1) / 3).expect("few"));
        assert_eq!([0, 1, 2, 3, 4].map(by_offset), [some, most, 0, most, some], "{patterns} patterns");
    }
}

/// A pattern that comes later begins with nothing, although the store has what its windows would count.
#[test]
fn what_windows_counted_before_a_pattern_came_is_not_its_own() {
    let pattern = |name: &str| format!("pattern {name} {{ from sent by from_account  match a: sent where count(sent over 100s) == 3 within 1s }}\n");
    let (before, after) = (program(&pattern("p")), program(&(pattern("p") + &pattern("q"))));
    let later = after.patterns.iter().find(|pattern| pattern.name == "q").expect("one of them").version;
    let stream = before.schema.find("sent").expect("declared");
    let mut fleet = Fleet::new(std::slice::from_ref(&before), &EngineOptions::default());
    assert_eq!(fleet.apply(&before, &[(0, ("x", "m", 1, 0)), (1, ("x", "m", 1, 1))]), Vec::<String>::new());
    assert_eq!(fleet.told().len(), 1, "a log");
    for (since, expected) in [(WindowsSince::from([(later, 1)]), [vec!["p"], vec![], vec!["q"]]), (WindowsSince::new(), [vec!["p", "q"], vec![], vec![]])] {
        let mut engine = Engine::since(&after, &since, EngineOptions::default());
        engine.apply(Input::Open { stream, partition: 0 }, &mut Vec::new());
        let entries = fleet.stored.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        assert_eq!(engine.restore(&fleet.engines[0].positions(), entries), Ok(vec![]));
        for (offset, names) in (2..).zip(expected) {
            let mut effects = Vec::new();
            let seconds = i64::try_from(offset).expect("small");
            engine.apply(Input::Arrive { event: event(&after, offset, ("x", "m", 1, seconds)), position: offset, next_position: offset + 1 }, &mut effects);
            engine.apply(Input::Watermark { stream, partition: 0, watermark: EventTime::from_micros(seconds * 1_000_000) }, &mut effects);
            let found: Vec<&str> =
                effects.iter().filter_map(|effect| if let Effect::Matched(found) = effect { Some(found.pattern.name.as_str()) } else { None }).collect();
            assert_eq!(found, names, "event {offset}, {since:?}");
        }
    }
}

/// What the store is told of ends many groups of a key at once: what is left of them is found, also when its time moves.
#[test]
fn a_key_that_had_many_groups_finds_the_last_of_them() {
    let pattern = |number: u32| {
        let within = if number == 59 { 90 } else { 10 };
        let steps = "a: sent where v == 1 then b: sent where v == 2 then within 2s c: sent where v == 3";
        format!("pattern p{number:02} {{ from sent by from_account  match {steps} within {within}s skip none }}\n")
    };
    let program = program(&(0..60).map(pattern).collect::<String>());
    let mut engine = Engine::new(&program, EngineOptions::default());
    let (mut effects, mut changes) = (Vec::new(), Vec::new());
    let transfers = [("x", "m", 1, 1), ("y", "m", 1, 2), ("y", "m", 9, 20), ("y", "m", 9, 21), ("x", "m", 2, 30), ("x", "m", 3, 31), ("y", "m", 9, 32)];
    for (offset, transfer) in (0..).zip(transfers) {
        let event = event(&program, offset, transfer);
        engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
        engine.take_changes(&mut changes);
    }
    assert_eq!(effects.len(), 1, "a match of the pattern that was left");
}

/// Where the pattern waits or not: of events without a key those are counted that matter to it, and to others they go where they matter.
#[test]
fn events_go_and_count_where_they_matter_to_who_may_wait() {
    let pattern = |number: usize| {
        let (by, least) = [("from_account", 5), ("to_account", 2)][number % 2];
        let first = 20 + number;
        format!("pattern p{number} {{ from sent by {by}  match a: sent where v == {first} then b: sent where v > {least} within 90s skip none }}\n")
    };
    let transfers = [("", "m", 3, 1), ("", "m", 6, 2), ("x", "", 3, 3), ("x", "", 1, 4), ("", "", 6, 5), ("x", "m", 2, 6), ("x", "m", 4, 7)];
    for patterns in [2, 80] {
        let program = program(&(0..patterns).map(pattern).collect::<String>());
        let compiled = Arc::new(Compiled::new(&program));
        assert_eq!(compiled.streams[0].index.waiting().is_some(), patterns == 80);
        for shards in [1, 3] {
            assert_eq!(run(&program, shards, &transfers).1.null_keys, 3, "{patterns} patterns, {shards} shards");
        }
        let mut spread = Spread::new(compiled, 1_000);
        let parts = (0..).zip(&transfers).map(|(offset, transfer)| spread.parts_of(&event(&program, offset, *transfer)).len());
        assert_eq!((parts.collect(), spread.null_keys()), (vec![1, 1, 0, 0, 0, 0, 1], 2), "{patterns} patterns");
    }
}

/// What comes out and what is told to the store is what each of the programs says alone. Returns how many matches there were.
fn compare_with_alone(together: &Program, alone: &[Program], seed: u64, options: &EngineOptions) -> usize {
    let mut engines = Fleet::new(std::slice::from_ref(together), options);
    let mut others = Fleet::new(alone, options);
    // A log holds what all patterns of a program ask for.
    let of_patterns = |changes: Vec<Change>| -> Vec<Change> {
        let is_of_one = |change: &Change| together.patterns.iter().any(|pattern| change.key.starts_with(&pattern.version.to_be_bytes()));
        changes.into_iter().filter(is_of_one).collect()
    };
    let mut draw = seed;
    let mut next = |below: i64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33).cast_signed() % below
    };
    // Where many come at once, time decides nothing before the next event of a key.
    let at_once = if seed % 4 == 3 { 60 } else { 1 };
    let (mut transfers, mut is_told) = (Vec::new(), true);
    for offset in 0..1_500_u64 {
        // From time to time one key begins so much that it does not fit together.
        let mut one_of = |names: &[&'static str]| names[usize::try_from(next(i64::try_from(names.len()).expect("few"))).expect("small")];
        let from = one_of(if offset / 250 % 3 == 1 { &["x"] } else { &["x", "y", "z", "w"] });
        let to = one_of(&["m", "m", "n", "o", "p", "p"]);
        let (v, seconds) = (next(10), i64::try_from(offset).expect("small"));
        transfers.push((offset, (from, to, v, seconds)));
        if transfers.len() < at_once {
            continue;
        }
        assert_eq!(engines.apply(together, &transfers), others.apply(together, &transfers), "seed {seed}, events {transfers:?}");
        transfers.clear();
        if offset == 1_201 && seed.is_multiple_of(2) {
            engines.engines.iter_mut().for_each(Engine::note_no_changes);
            is_told = false;
        }
        // Where that is seldom, many runs come and go of which the store never has anything.
        if is_told && offset % [7, 190][usize::from(seed.is_multiple_of(2))] == 0 || offset % 400 == 399 || is_told && at_once > 1 {
            assert_eq!(of_patterns(engines.told()), of_patterns(others.told()), "seed {seed}, event {offset}");
        }
        if offset % 400 == 399 || at_once > 1 && offset % 600 == 599 {
            engines = engines.started_again(std::slice::from_ref(together), options);
        }
    }
    // An event of no key, long after all others.
    engines.apply(together, &[(1_500, ("", "", 0, 100_000))]);
    if is_told {
        engines.told();
        assert!(engines.stored.is_empty(), "{} entries are left", engines.stored.len());
    }
    // Also of what the store had when it was told no more.
    assert!(engines.engines.iter().flat_map(|engine| &engine.shards).all(Shard::is_bare), "seed {seed}");
    engines.matches
}

/// What comes out when time runs out has to be known of all keys; that others have the same key keeps nobody's from being restored later.
#[test]
fn what_ends_silently_may_be_restored_later_also_beside_what_does_not() {
    let program = program(
        "pattern silent { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 10s }
         pattern told { from sent by from_account  match a: sent where v == 1 then not b: sent where v == 2 for 10s }",
    );
    let silent = program.patterns.iter().find(|pattern| pattern.name == "silent").expect("one of them").version;
    let limits = Limits { runs_max: 10, matches_max: 10, runs_alone_max: 10 };
    assert_eq!(Shard::new(Arc::new(Compiled::new(&program)), 0, 1, limits, 10).deferrable(), [silent]);
}

/// Engines that are given the same.
struct Fleet {
    engines: Vec<Engine>,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    matches: usize,
}

impl Fleet {
    fn new(programs: &[Program], options: &EngineOptions) -> Self {
        let engine = |program: &Program| {
            let mut engine = Engine::new(program, options.clone());
            // Where few are ready most of the others are not in memory.
            spill(&mut engine, options.ready_keys_max);
            engine
        };
        Self { engines: programs.iter().map(engine).collect(), stored: BTreeMap::new(), matches: 0 }
    }

    /// What comes out, in order of the patterns.
    fn apply(&mut self, program: &Program, transfers: &[(u64, Transfer<'_>)]) -> Vec<String> {
        let mut found = Vec::new();
        for engine in &mut self.engines {
            let mut effects = Vec::new();
            let arrive = |(offset, transfer): &(u64, Transfer<'_>)| {
                let event = event(program, *offset, *transfer);
                Input::Arrive { event, position: *offset, next_position: offset + 1 }
            };
            let stream = program.schema.find("sent").expect("declared");
            let watermark = transfers.last().map_or(EventTime::BEGINNING, |(_, transfer)| EventTime::from_micros(transfer.3 * 1_000_000));
            let inputs = transfers.iter().map(arrive).chain([Input::Watermark { stream, partition: 0, watermark }]);
            engine.apply_batch(inputs, &mut effects);
            for effect in effects {
                let Effect::Matched(found_one) = effect else { panic!("only matches: {effect:?}") };
                found.push(format!("{} {:?}", lines(std::slice::from_ref(&found_one))[0], (found_one.id, found_one.at, &found_one.values)));
            }
        }
        found.sort();
        self.matches += found.len();
        found
    }

    fn told(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.engines.iter_mut().for_each(|engine| engine.take_changes(&mut changes));
        changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        for change in &changes {
            match &change.value {
                Some(value) => self.stored.insert(change.key.clone(), value.clone()),
                None => self.stored.remove(&change.key),
            };
        }
        changes
    }

    /// With what was told so far.
    fn started_again(mut self, programs: &[Program], options: &EngineOptions) -> Self {
        let rest = self.told();
        let positions: Vec<Positions> = self.engines.iter().map(Engine::positions).collect();
        let mut again = Self { matches: self.matches, stored: self.stored.clone(), ..Self::new(programs, options) };
        assert!(rest.is_empty(), "told just before");
        for ((engine, program), positions) in again.engines.iter_mut().zip(programs).zip(positions) {
            engine.apply(Input::Open { stream: program.schema.find("sent").expect("declared"), partition: 0 }, &mut Vec::new());
            let entries = self.stored.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
            assert_eq!(engine.restore(&positions, entries), Ok(vec![]));
        }
        again
    }
}

#[test]
fn matches_stand_in_the_order_of_the_output() {
    let program = program(
        "pattern b { from sent by from_account  match a: sent where v == 1 then not n: sent where v == 9 within 5s }
         pattern a { from sent by from_account  match a: sent where v == 1 then not n: sent where v == 9 within 5s }
         pattern d { from sent by from_account  match a: sent where v == 2 }
         pattern c { from sent by from_account  match a: sent where v == 2 }",
    );
    // At 5 s deadlines of two keys and two patterns, and events of two keys.
    let transfers = [("y", "", 1, 0), ("x", "", 1, 0), ("y", "", 2, 5), ("x", "", 2, 5), ("x", "", 2, 4)];
    let mut in_order = transfers;
    in_order.sort_by_key(|(.., seconds)| *seconds);
    let expected = ["c x 2", "d x 2", "a x 1", "b x 1", "a y 0", "b y 0", "c y 3", "d y 3", "c x 4", "d x 4"];
    for shards in [1, 2, 3] {
        assert_eq!(lines(&run(&program, shards, &in_order).0), expected, "{shards} shards");
    }
}

#[test]
fn a_match_says_what_emit_says_or_else_the_key_and_every_step() {
    let program = program(
        "pattern plain { from sent by from_account  match a+: sent where v == 1 then b: sent where v == 2 within 5s }
         pattern said {
           from sent by from_account
           match a+: sent where v == 1 then b: sent where v == 2
           within 5s
           emit b.v as v, from_account, a
           on timeout emit count(a) as n
         }",
    );
    let (matches, counters) = run(&program, 1, &[("x", "", 1, 0), ("x", "", 2, 1), ("y", "", 1, 9)]);
    let shown: BTreeMap<String, Vec<String>> = matches.iter().map(|found| (format!("{} {:?}", found.pattern.name, found.kind), shown(found))).collect();
    let expected =
        [("plain Match", vec!["from_account=x", "a=[0]", "b=[1]"]), ("said Match", vec!["v=2", "from_account=x", "a=[0]"]), ("said Timeout", vec!["n=1"])];
    let expected: BTreeMap<String, Vec<String>> =
        expected.into_iter().map(|(name, fields)| (name.to_owned(), fields.into_iter().map(str::to_owned).collect())).collect();
    assert_eq!(shown, expected);
    assert_eq!((counters.matches, counters.timeouts, counters.live_keys), (2, 1, 0));
}

fn shown(found: &Match) -> Vec<String> {
    let field = |field: MatchField<'_>| match field {
        MatchField::Value(Value::Int(value), _) => value.to_string(),
        MatchField::Value(Value::Text(text), _) => text.to_string(),
        MatchField::Value(other, _) => format!("{other:?}"),
        MatchField::Events(step) => format!("{:?}", found.events_of(step).map(|event| event.offset).collect::<Vec<_>>()),
    };
    found.fields().map(|(name, value)| format!("{name}={}", field(value))).collect()
}

/// Ids are stored and sent: their form is not to change unnoticed.
#[test]
fn an_id_is_a_hash_of_pattern_version_kind_and_events() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 within 5s }");
    let (matches, _) = run(&program, 1, &[("x", "", 1, 0), ("x", "", 1, 300)]);
    let form = |offset: &[u8]| [b"\x01p".as_slice(), &program.patterns[0].version.to_be_bytes(), b"\0\x01a\x04sent\0", offset].concat();
    let expected = [form(&[0]), form(&[1])].map(|bytes| xxhash_rust::xxh3::xxh3_128(&bytes));
    assert_eq!([matches[0].id, matches[1].id], expected);
}

#[test]
fn keys_where_nothing_has_started_hold_no_state() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 5s }");
    let mut engine = Engine::new(&program, EngineOptions::default());
    let mut effects = Vec::new();
    let transfers = [("x", "", 2, 0), ("y", "", 1, 1), ("z", "", 1, 2), ("y", "", 2, 3), ("w", "", 0, 4), ("w", "", 0, 5)];
    for (offset, transfer) in (0..).zip(transfers) {
        engine.apply(Input::Arrive { event: event(&program, offset, transfer), position: offset, next_position: offset + 1 }, &mut effects);
    }
    let mut changes = Vec::new();
    engine.take_changes(&mut changes);
    assert_eq!(changes.len(), 1, "z alone: y has come and gone");
    assert_eq!((engine.counters().live_keys, engine.counters().keys_made), (1, 2));
    engine.apply(Input::Tick(crate::event::ProcessingTime::from_micros(0)), &mut effects);
    changes.clear();
    engine.take_changes(&mut changes);
    assert_eq!(changes, [], "nothing has changed");
}

#[test]
fn state_that_was_damaged_or_is_of_another_pattern_is_told() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 5s }");
    let known = program.patterns[0].version.to_be_bytes();
    let nowhere = Positions { watermark_us: i64::MIN, ..Positions::default() };
    let restore = |key: &[u8], value: &[u8]| Engine::new(&program, EngineOptions::default()).restore(&nowhere, [(key, value)]);
    assert_eq!(restore(&[7; 20], b""), Ok(vec![u128::from_be_bytes([7; 16])]));
    assert!(restore(b"short", b"").is_err());
    let damaged = restore(&[known.as_slice(), b"key"].concat(), b"not runs").expect_err("no runs");
    assert!(damaged.to_string().contains("pattern `p`"), "{damaged}");
}

#[test]
fn at_the_end_of_time_not_even_a_timer_is_left() {
    let program = program(
        "pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 5s }
         pattern q { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 }",
    );
    for (stored, keys_max) in [(false, 0), (true, 0), (false, 1), (true, 1), (false, usize::MAX), (true, usize::MAX)] {
        let mut engine = Engine::new(&program, EngineOptions { shards: 2, ready_keys_max: keys_max, ..EngineOptions::default() });
        spill(&mut engine, keys_max);
        if !stored {
            engine.note_no_changes();
        }
        let (mut effects, mut changes) = (Vec::new(), Vec::new());
        for offset in 0..100 {
            let transfer = (["x", "y", "z"][offset as usize % 3], "", (offset % 5) as i64 / 2, offset as i64);
            engine.apply(Input::Arrive { event: event(&program, offset, transfer), position: offset, next_position: offset + 1 }, &mut effects);
            if stored {
                engine.take_changes(&mut changes);
            }
        }
        assert!(engine.counters().keys_spilled > 0 || keys_max > 0);
        engine.apply(Input::End, &mut effects);
        changes.clear();
        engine.take_changes(&mut changes);
        assert!(changes.is_empty() != stored);
        assert!(engine.shards.iter().all(Shard::is_bare), "stored: {stored}");
    }
}

/// A deadline decides of keys that are not in memory, in every table; and an event that has nothing to do with them asks for nothing, nor does time before the least of them.
#[test]
fn keys_that_are_not_in_memory_are_asked_for_when_an_event_or_their_time_comes() {
    let program = program(
        "pattern gone { from sent by from_account  match a: sent where v == 1 then not b: sent where v == 2 within 100s }
         pattern sums { from sent by to_account  match a: sent where v == 3 then b: sent where v == 4 and v > a.v within 100s }",
    );
    let stream = program.schema.find("sent").expect("declared");
    let mut engine = Engine::new(&program, EngineOptions { ready_keys_max: 0, ..EngineOptions::default() });
    let asked = Asked::default();
    engine.spill_to(0, |_| Box::new(asked.clone()));
    engine.note_no_changes();
    let mut effects = Vec::new();
    let mut apply = |engine: &mut Engine, transfers: &[Transfer<'_>]| {
        for &(from, to, v, seconds) in transfers {
            let offset = u64::try_from(seconds).expect("counted from 0");
            let event = event(&program, offset, (from, to, v, seconds));
            engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
            engine.apply(Input::Watermark { stream, partition: 0, watermark: EventTime::from_micros(seconds * 1_000_000) }, &mut effects);
        }
        // Twice around, and each has waited.
        for _ in 0..2 {
            engine.apply(Input::Tick(crate::event::ProcessingTime::from_micros(0)), &mut effects);
        }
        let found = effects.drain(..).map(|effect| if let Effect::Matched(found) = effect { lines(&[found]).remove(0) } else { panic!("{effect:?}") });
        (found.collect::<Vec<_>>(), asked.take())
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(apply(&mut engine, &[("x", "p", 1, 0)]), (none.clone(), (0, 0)), "nothing is elsewhere before");
    assert_eq!(apply(&mut engine, &[("y", "q", 1, 1)]), (none.clone(), (1, 0)), "it might be there");
    assert_eq!(apply(&mut engine, &[("z", "p", 3, 2)]), (none.clone(), (0, 0)), "nothing of this table is elsewhere before");
    assert_eq!(engine.counters().cold_keys, 3, "x and y, and p");
    assert_eq!(apply(&mut engine, &[("u", "s", 5, 3)]), (none.clone(), (0, 0)), "it matters to no pattern");
    assert_eq!(apply(&mut engine, &[("", "r", 4, 4)]), (none.clone(), (1, 0)));
    assert_eq!(apply(&mut engine, &[("y", "", 2, 5)]), (none.clone(), (1, 0)));
    assert_eq!(apply(&mut engine, &[("", "p", 4, 50)]), (vec!["sums p 2 50".to_owned()], (1, 0)));
    assert_eq!(engine.counters().cold_keys, 1);
    assert_eq!(apply(&mut engine, &[("", "", 5, 99)]), (none.clone(), (0, 0)), "time before any deadline");
    assert_eq!(apply(&mut engine, &[("", "", 5, 100)]), (vec!["gone x 0".to_owned()], (0, 1)));
    assert_eq!((engine.counters().cold_keys, engine.counters().live_keys), (0, 0));
    assert_eq!(apply(&mut engine, &[("x", "p", 4, 900)]), (none, (0, 0)), "nothing is elsewhere any more");
}

/// What the outside cannot do is told, and nothing is done after it.
#[test]
fn what_cannot_be_laid_down_elsewhere_or_be_had_again_is_told() {
    let program = program("pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 100s }");
    for works_for in 0..3 {
        let mut engine = Engine::new(&program, EngineOptions { ready_keys_max: 0, ..EngineOptions::default() });
        let fails = Asked { works_for: Some(works_for), ..Asked::default() };
        engine.spill_to(0, |_| Box::new(fails.clone()));
        engine.note_no_changes();
        let mut effects = Vec::new();
        for offset in 0..10 {
            let transfer = ([("x", "", 1), ("y", "", 1)][offset as usize % 2], offset as i64 * 20);
            let event = event(&program, offset, (transfer.0.0, transfer.0.1, transfer.0.2, transfer.1));
            engine.apply(Input::Arrive { event, position: offset, next_position: offset + 1 }, &mut effects);
        }
        assert_eq!(engine.failure().map(ToString::to_string), Some("it is full".to_owned()));
        let before = engine.counters().live_runs;
        engine.apply(Input::End, &mut effects);
        assert_eq!(engine.counters().live_runs, before, "nothing is decided any more");
    }
}

/// In memory; counts how often it is asked for a key, and for those that are due.
#[derive(Clone, Debug, Default)]
struct Asked {
    keys: Arc<Mutex<BTreeMap<OfTable, ColdKey>>>,
    asked: Arc<Mutex<(u32, u32)>>,
    /// So many calls; `None`: always.
    works_for: Option<u32>,
}

/// A key's table, and its bytes.
type OfTable = (u32, Vec<u8>);

impl Asked {
    fn take(&self) -> (u32, u32) {
        std::mem::take(&mut *self.asked.lock().expect("one thread"))
    }

    fn work(&mut self) -> Result<(), ColdKeysError> {
        match &mut self.works_for {
            Some(0) => Err(ColdKeysError("it is full".to_owned())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl ColdKeys for Asked {
    fn put(&mut self, table: u32, keys: &[ColdKey]) -> Result<(), ColdKeysError> {
        self.work()?;
        for key in keys {
            let before = self.keys.lock().expect("one thread").insert((table, key.key().to_vec()), key.clone());
            assert_eq!(before, None, "each is there once");
        }
        Ok(())
    }

    fn take(&mut self, table: u32, key: &[u8]) -> Result<Option<ColdKey>, ColdKeysError> {
        self.work()?;
        self.asked.lock().expect("one thread").0 += 1;
        Ok(self.keys.lock().expect("one thread").remove(&(table, key.to_vec())))
    }

    fn take_due(&mut self, table: u32, span: RangeInclusive<EventTime>, most: usize, taken: &mut Vec<ColdKey>) -> Result<EventTime, ColdKeysError> {
        self.work()?;
        self.asked.lock().expect("one thread").1 += 1;
        let mut keys = self.keys.lock().expect("one thread");
        let mut by_timer: Vec<(EventTime, OfTable)> = keys.iter().filter(|((of, _), _)| *of == table).map(|(key, cold)| (cold.timer, key.clone())).collect();
        by_timer.sort();
        assert!(by_timer.first().is_none_or(|(timer, _)| timer >= span.start()), "none before the span");
        let due = by_timer.iter().take(most).take_while(|(timer, _)| timer <= span.end()).count();
        taken.extend(by_timer.drain(..due).map(|(_, key)| keys.remove(&key).expect("just seen")));
        Ok(by_timer.first().map_or(EventTime::END, |(timer, _)| *timer))
    }
}

fn spill(engine: &mut Engine, packed_keys_max: usize) {
    engine.spill_to(packed_keys_max, |_| Box::new(Asked::default()));
}

/// What is left of a run that has ended, until the store is told, does not hide the deadlines of others.
#[test]
fn a_deadline_is_kept_beside_what_the_store_is_not_yet_told() {
    let program = program(
        "pattern p { from sent by from_account  match a: sent where v == 1 then b: sent where v == 2 within 30s }
         pattern q { from sent by from_account  match c: sent where v == 3 then not d: sent where v == 4 within 30s }",
    );
    let stream = program.schema.find("sent").expect("declared");
    let mut engine = Engine::new(&program, EngineOptions::default());
    let (mut effects, mut changes) = (Vec::new(), Vec::new());
    let mut found = |v: Option<i64>, seconds: i64, is_told: bool| {
        effects.clear();
        let offset = u64::try_from(seconds).expect("counted from 0");
        if let Some(v) = v {
            engine.apply(Input::Arrive { event: event(&program, offset, ("x", "", v, seconds)), position: offset, next_position: offset + 1 }, &mut effects);
        }
        engine.apply(Input::Watermark { stream, partition: 0, watermark: EventTime::from_micros(seconds * 1_000_000) }, &mut effects);
        if is_told {
            engine.take_changes(&mut changes);
        }
        effects.len()
    };
    let steps = [(Some(1), 1, true, 0), (Some(2), 2, false, 1), (None, 20, false, 0), (Some(3), 21, false, 0), (None, 50, false, 0), (None, 51, false, 1)];
    for (v, seconds, is_told, expected) in steps {
        assert_eq!(found(v, seconds, is_told), expected, "after {seconds} s");
    }
}

/// A shell with threads steps each shard on one.
#[test]
fn shards_and_matches_can_go_to_other_threads() {
    fn goes<T: Send>() {}
    goes::<Shard>();
    goes::<Match>();
    goes::<Engine>();
}
