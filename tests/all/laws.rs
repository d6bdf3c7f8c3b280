//! The core's laws: what comes out depends on the events and on the watermark, and on nothing else. Not on batches, shards or arrival order;
//! and not on where a run was cut and taken up again from stored bytes, nor on whether partial matches are kept one by one or together, in memory or not. At the end of time nothing is left.
//!
//! `MOTIF_TEST_SEED=7` repeats a seed; `MOTIF_TEST_CASES` says how many streams to try for each law.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use motif::engine::{Change, Effect, Engine, EngineOptions, Input, Match, PartitionPosition, Positions};
use motif::event::{Event, EventTime, StreamId, Value};
use motif::language::{Source, compile};
use motif::pattern::{FieldsUsed, Program};
use motif::ports::{ScratchStores, StateStore, StoreError};
use motif::service::spill::Spill;
use motif::store::{Memory, ScratchFolder};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::random_cases::RandomCases;

const CASES: u64 = 60;

/// Every construct that leaves state of a kind of its own. `v` is a digit, so that much fits and much does not.
const PATTERNS: &str = r#"
stream clicks {
  user: string?
  v: int
  at: timestamp
  time at, late after 4s
}

stream orders {
  user: string?
  peer: string?
  v: int
  at: timestamp
  time at, late after 2s
}

define sent = orders where v < 8
define got = orders where v > 1

pattern pairs {
  from clicks by user
  match a: clicks where v < 3
   then b: clicks where v > 6
  within 10s
  skip none
}

pattern loops {
  from clicks by user
  match a{2,}: clicks where v < 5
   then b: clicks where v > 7
  within 12s
  emit user, count(a) as n, sum(a.v) as total, b.v as last
}

pattern greedy_then_quiet {
  from clicks by user
  match a+ greedy: clicks where v < 4
   then not more: clicks where v < 4 for 3s
  skip past last
  emit user, collect(a.v) as values
}

pattern unanswered {
  from orders, clicks by user
  match asked: orders where v > 2
   then not answer: clicks where v > 4
  within 6s
  skip to next
}

pattern timeouts {
  from clicks by user
  match a: clicks where v == 1
   then within 3s b: clicks where v > 5
   then c: clicks where v == 3
  within 8s
  skip none
  on timeout emit user, a.v as began, b.v as went_on
}

pattern few_runs {
  from clicks, orders by user
  match a{2,3} combinations: clicks where v > 2
   then any b: orders where v > 1
  within 9s
  skip none
  limit runs 7
}

pattern subsets {
  from clicks by user
  match a{2,} combinations: clicks where v > 6
   then any b: clicks where v == 0
   then not c: clicks where v == 1 for 2s
  within 9s
  skip none
}

pattern neighbours {
  from clicks by user
  match a: clicks
   then next b: clicks where v > a.v
   then next not c: clicks where v == 0
  within 5s
  skip none
}

pattern rising_without {
  from orders by user
  match a: orders
   then any b: orders where v > a.v
  without n: orders where v == 9
  within 9s
  skip to first b
}

pattern either_order {
  from clicks, orders by user
  match all ( a: clicks where v < 4, b: orders where v < 6 )
   then ( c: clicks where v > 6 | d: orders where v > 6 )
  within 15s
  skip none
  on timeout emit
}

pattern two_ends {
  from sent, got by sent.user, got.peer
  match a: got where v > 4
   then b: sent where v < a.v
  within 8s
  skip none
}

pattern one_line {
  from orders
  match a: orders where v == 7
   then b: orders where v == 7
  within 4s
}

pattern windows {
  from clicks, orders by user
  match a: clicks where count(clicks over 5s) >= 3 and sum(orders.v over 10s) > 5
   then b: orders where distinct(clicks.v over tumbling 8s) > 1 or count(got over session 2s) > 2
  within 10s
  skip none
  emit user, max(clicks.v over 20s) as most, avg(orders.v over session 4s) as middle
}

pattern windows_at_a_deadline {
  from clicks by user
  match a: clicks where v > 2
   then not b: clicks where v > 7
  within 4s
  emit user, count(clicks over 6s) as n, collect(clicks.v over tumbling 5s) as values
}

pattern told_once {
  from clicks, orders by user
  match a: clicks where v > 3
   then b: orders where v > 3
  within 6s
  skip none
  suppress 20s by user
}

pattern told_once_across_keys {
  from orders by user
  match a: orders where v > 2 and count(orders over 3s) > 1
  emit user, a.v as v
  suppress 8s by a.v
}

pattern unbounded {
  from orders by user
  match a: orders where v == 0
   then b: orders where v == 9
  skip to next
}
"#;

fn program() -> Program {
    let compiled = compile(&[Source { path: "laws.motif".to_owned(), text: PATTERNS.to_owned() }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    compiled.program
}

/// Calls the law with the case's own random numbers; the case is printed where it fails.
fn for_each_case(law: impl Fn(&mut ChaCha8Rng)) {
    let cases = RandomCases::asked_for(CASES);
    for case in 0..cases.count {
        println!("case {case}");
        law(&mut cases.random_of(case));
    }
}

const SECOND_US: i64 = 1_000_000;
const PARTITIONS: [(u16, u32); 4] = [(0, 0), (0, 3), (1, 0), (1, 3)];
const BEGIN_US: i64 = 1_000_000 * SECOND_US;

/// In which order events come out of their partitions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disorder {
    /// By less than the lateness.
    InTime,
    /// Some events come too late.
    SomeLate,
}

fn lateness_us(stream: StreamId) -> i64 {
    if stream.0 == 0 { 4 * SECOND_US } else { 2 * SECOND_US }
}

/// The logs of the partitions; an event's offset is its place in its log.
fn logs(random: &mut ChaCha8Rng, disorder: Disorder) -> Vec<Vec<Event>> {
    let count = random.random_range(20..120);
    PARTITIONS.iter().map(|&(stream, partition)| log(random, StreamId(stream), partition, count, disorder)).collect()
}

fn log(random: &mut ChaCha8Rng, stream: StreamId, partition: u32, count: usize, disorder: Disorder) -> Vec<Event> {
    let mut time_us = BEGIN_US;
    let mut timed: Vec<(i64, i64)> = (0..count)
        .map(|_| {
            // Ties are common, and now and then nothing comes for longer than any window.
            time_us += match random.random_range(0..100) {
                0..=29 => 0,
                30..=97 => random.random_range(1..4) * SECOND_US / 2,
                _ => 30 * SECOND_US,
            };
            let late = disorder == Disorder::SomeLate && random.random_ratio(1, 12);
            let delay_us = random.random_range(0..=lateness_us(stream)) * if late { 5 } else { 1 };
            (time_us + delay_us, time_us)
        })
        .collect();
    timed.sort_by_key(|(arrives_us, _)| *arrives_us);
    let event = |(offset, (_, time_us)): (u64, &(i64, i64))| {
        let time = EventTime::from_micros(*time_us);
        let mut user = || match random.random_range(0..12) {
            0 => Value::Null,
            user => Value::text(["a", "b", "c", "d"][user % 4]),
        };
        let names = if stream.0 == 0 { vec![user()] } else { vec![user(), user()] };
        let rest = [Value::Int(random.random_range(0..10)), Value::Timestamp(time)];
        Event { stream, partition, offset, time, fields: names.into_iter().chain(rest).collect() }
    };
    (0..).zip(&timed).map(event).collect()
}

/// One of the ways in which the logs arrive together; the order within each stays.
fn interleaved(random: &mut ChaCha8Rng, logs: &[Vec<Event>]) -> Vec<Event> {
    let mut turns: Vec<usize> = logs.iter().enumerate().flat_map(|(place, log)| vec![place; log.len()]).collect();
    turns.shuffle(random);
    // Half of the time one after the other, as files are read.
    if random.random() {
        turns.sort_unstable();
    }
    let mut rest: Vec<_> = logs.iter().map(|log| log.iter()).collect();
    turns.into_iter().map(|place| rest[place].next().expect("as many turns as events").clone()).collect()
}

fn arrive(event: Event) -> Input {
    let (position, next_position) = (event.offset * 100, event.offset * 100 + 100);
    Input::Arrive { event, position, next_position }
}

fn engine(program: &Program, options: EngineOptions) -> Engine {
    let mut engine = Engine::new(program, options);
    let open = PARTITIONS.map(|(stream, partition)| Input::Open { stream: StreamId(stream), partition });
    engine.apply_batch(open, &mut Vec::new());
    engine
}

/// Where those of the packed keys lie that are more than an engine may have: one store, so that it can be looked at.
#[derive(Clone, Debug, Default)]
struct OneStore(Arc<Memory>);

impl ScratchStores for OneStore {
    fn make(&self) -> Result<Arc<dyn StateStore>, StoreError> {
        Ok(self.0.clone())
    }
}

impl OneStore {
    fn entries(&self) -> usize {
        let mut entries = 0;
        let count = &mut |_: &[u8], _: &[u8]| {
            entries += 1;
            ControlFlow::Continue(())
        };
        self.0.scan(&[], &[0xff; 9], count).expect("in memory");
        entries
    }
}

fn spill(engine: &mut Engine, shards: usize, packed_keys_max: usize, scratch: impl ScratchStores + 'static) {
    let mut spills = Spill::of_shards(Arc::new(scratch), shards);
    engine.spill_to(packed_keys_max, |_| Box::new(spills.next().expect("one for each shard")));
}

/// Everything that a match says, and what was set aside.
#[derive(Clone, Debug, Default, PartialEq)]
struct Output {
    matches: Vec<String>,
    late: BTreeMap<(StreamId, u32), Vec<u64>>,
    held_full: Vec<u64>,
    by_pattern: BTreeMap<String, u64>,
}

impl Output {
    fn take(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Matched(found) => {
                    *self.by_pattern.entry(found.pattern.name.clone()).or_default() += 1;
                    self.matches.push(line(&found));
                }
                Effect::Late { event, .. } => self.late.entry((event.stream, event.partition)).or_default().push(event.offset),
                Effect::HeldFull { event } => self.held_full.push(event.offset),
                Effect::TooFarAhead { event } => panic!("no time is too far ahead: {event:?}"),
            }
        }
    }
}

fn line(found: &Match) -> String {
    let Match { pattern, kind, key, key_values, at, chosen, values, runs_dropped, suppressed, id, .. } = found;
    let chosen: Vec<_> = chosen.iter().map(|(step, event)| (&pattern.step(*step).name, event.stream.0, event.partition, event.offset)).collect();
    format!("{} {kind:?} {key:?} {key_values:?} {at} {chosen:?} {values:?} {runs_dropped} {suppressed} {id:032x}", pattern.name)
}

/// What a store holds.
#[derive(Clone, Default, PartialEq, Debug)]
struct Store(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store {
    fn flush(&mut self, engine: &mut Engine) {
        let mut changes = Vec::new();
        engine.take_changes(&mut changes);
        assert!(changes.is_sorted_by(|one, other| one.key < other.key), "each key once, in order");
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(self.0.insert(key, value)),
                None => assert!(self.0.remove(&key).is_some(), "what is deleted was written"),
            }
        }
    }

    fn restore(&self, engine: &mut Engine, positions: &Positions) {
        let entries = self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let unknown = engine.restore(positions, entries).expect("what was written can be read");
        assert_eq!(unknown, [], "the same program knows its patterns");
    }
}

/// The plain way: one input at a time, one shard, partial matches one by one.
fn plain(program: &Program, arrivals: &[Event], held_events_max: usize) -> Output {
    let mut engine = engine(program, EngineOptions { held_events_max, runs_alone_max: usize::MAX, ..EngineOptions::default() });
    let (mut effects, mut output) = (Vec::new(), Output::default());
    for event in arrivals {
        engine.apply(arrive(event.clone()), &mut effects);
    }
    engine.apply(Input::End, &mut effects);
    output.take(&mut effects);
    output
}

fn assert_nothing_is_left(engine: &mut Engine, store: &mut Store) {
    let stored = store.0.len();
    let mut changes = Vec::new();
    engine.take_changes(&mut changes);
    assert!(changes.iter().all(|change| change.value.is_none()), "at the end of time all changes delete");
    assert_eq!(changes.len(), stored, "all that was written is deleted");
    let counters = engine.counters();
    assert_eq!((counters.live_keys, counters.live_runs, counters.cold_keys, counters.held_events), (0, 0, 0, 0));
    assert_eq!(engine.failure(), None);
    assert!(engine.positions().partitions.iter().all(|position| position.rewind.is_none() && position.refused.is_empty()));
    changes.clear();
    engine.take_changes(&mut changes);
    assert_eq!(changes, [], "told once");
}

#[test]
fn batches_shards_packed_keys_and_the_interleaving_of_partitions_do_not_show() {
    let program = program();
    let total = std::cell::RefCell::new(BTreeMap::<String, u64>::new());
    let spilled = std::cell::Cell::new(0);
    for_each_case(|random| {
        let logs = logs(random, Disorder::SomeLate);
        let expected = plain(&program, &interleaved(random, &logs), usize::MAX);
        for (name, count) in &expected.by_pattern {
            *total.borrow_mut().entry(name.clone()).or_default() += count;
        }
        let runs_alone_max = random.random_range(0..6);
        let stores: Vec<Store> = (1..=3)
            .map(|shards| {
                // Of those to which no event comes all are packed, some, or none.
                let ready_keys_max = [0, random.random_range(1..6), usize::MAX][shards % 3];
                // Of what is not told to the store none is.
                let batch_max = if ready_keys_max == 0 { 4 } else { 40 };
                let options = EngineOptions { shards, runs_alone_max, ready_keys_max, held_events_max: usize::MAX, ..EngineOptions::default() };
                let mut engine = engine(&program, options);
                // And of those that are packed all are out of memory, some, or none.
                let scratch = OneStore::default();
                spill(&mut engine, shards, random.random_range(0..3), scratch.clone());
                let (mut effects, mut store) = (Vec::new(), Store::default());
                let arrivals = interleaved(random, &logs);
                let mut rest = arrivals.as_slice();
                while !rest.is_empty() {
                    let (batch, after) = rest.split_at(random.random_range(1..=batch_max).min(rest.len()));
                    engine.apply_batch(batch.iter().cloned().map(arrive), &mut effects);
                    if ready_keys_max == 0 || random.random_ratio(1, 4) {
                        store.flush(&mut engine);
                    }
                    rest = after;
                }
                store.flush(&mut engine);
                let before_the_end = store.clone();
                engine.apply(Input::End, &mut effects);
                let mut output = Output::default();
                output.take(&mut effects);
                assert_eq!(output, expected, "{shards} shards");
                spilled.set(spilled.get() + engine.counters().keys_spilled);
                assert_nothing_is_left(&mut engine, &mut store);
                assert_eq!(scratch.entries(), 0);
                before_the_end
            })
            .collect();
        assert!(stores.iter().all(|store| *store == stores[0]), "equal state has equal bytes");
    });
    assert!(spilled.get() > 1_000, "{} times", spilled.get());
    let total = total.into_inner();
    assert_eq!(total.len(), program.patterns.len(), "every pattern has matches: {total:?}");
}

#[test]
fn the_arrival_order_within_the_lateness_does_not_show() {
    let program = program();
    for_each_case(|random| {
        let logs = logs(random, Disorder::InTime);
        let mut in_line: Vec<Event> = logs.iter().flatten().cloned().collect();
        in_line.sort_by_key(Event::place);
        let expected = plain(&program, &in_line, usize::MAX);
        assert!(expected.late.is_empty(), "in line order nothing is late");
        for _ in 0..3 {
            let mut delayed: Vec<(i64, Event)> =
                in_line.iter().map(|event| (event.time.micros() + random.random_range(0..=lateness_us(event.stream)), event.clone())).collect();
            delayed.sort_by_key(|(arrives_us, _)| *arrives_us);
            let arrivals: Vec<Event> = delayed.into_iter().map(|(_, event)| event).collect();
            assert_eq!(plain(&program, &arrivals, usize::MAX), expected);
        }
    });
}

/// What one commit makes lasting.
#[derive(Clone, Default)]
struct Committed {
    store: Store,
    positions: Positions,
    output: Output,
    arrivals: usize,
}

/// What is read again after a restart: from each partition's rewind place to its next record, partitions in any order.
fn to_read_again(random: &mut ChaCha8Rng, logs: &[Vec<Event>], positions: &Positions, program: &Program) -> Vec<Event> {
    let again = |position: &PartitionPosition| {
        let stream = program.schema.find(&position.stream).expect("a stream of the program");
        let place = PARTITIONS.iter().position(|of| *of == (stream.0, position.partition)).expect("a partition that was opened");
        let from = position.rewind.map_or(position.next_offset, |rewind| {
            assert_eq!(rewind.position, rewind.offset * 100);
            rewind.offset
        });
        assert_eq!(position.next_position, position.next_offset * 100);
        let places = usize::try_from(from).expect("small")..usize::try_from(position.next_offset).expect("small");
        logs[place][places].to_vec()
    };
    let logs: Vec<Vec<Event>> = positions.partitions.iter().map(again).collect();
    interleaved(random, &logs)
}

/// Runs to the end with crashes: what was not committed is lost, and the run is taken up with everything made anew.
fn run_with_crashes(random: &mut ChaCha8Rng, logs: &[Vec<Event>], arrivals: &[Event], held_events_max: usize) -> Output {
    let mut committed = Committed::default();
    let mut crashes = 0;
    loop {
        let program = program();
        let (shards, runs_alone_max, ready_keys_max) = (random.random_range(1..=3), random.random_range(0..6), random.random_range(0..4));
        let mut engine = engine(&program, EngineOptions { shards, held_events_max, runs_alone_max, ready_keys_max, ..EngineOptions::default() });
        spill(&mut engine, shards, random.random_range(0..4), OneStore::default());
        let mut effects = Vec::new();
        let Committed { mut store, positions, mut output, arrivals: mut read } = committed.clone();
        if !positions.partitions.is_empty() {
            store.restore(&mut engine, &positions);
            for event in to_read_again(random, logs, &positions, &program) {
                engine.apply(arrive(event), &mut effects);
                if random.random_ratio(1, 50) {
                    // A commit in the midst of reading again asks for the same once more.
                    store.flush(&mut engine);
                    output.take(&mut effects);
                    committed = Committed { store: store.clone(), positions: engine.positions(), output: output.clone(), arrivals: read };
                }
            }
        }
        let crash_after = if crashes < 4 { random.random_range(0..60) } else { usize::MAX };
        for event in arrivals[read..].iter().take(crash_after) {
            engine.apply(arrive(event.clone()), &mut effects);
            read += 1;
            if random.random_ratio(1, 10) {
                store.flush(&mut engine);
                output.take(&mut effects);
                committed = Committed { store: store.clone(), positions: engine.positions(), output: output.clone(), arrivals: read };
            }
        }
        if crash_after == usize::MAX || read == arrivals.len() {
            store.flush(&mut engine);
            engine.apply(Input::End, &mut effects);
            output.take(&mut effects);
            assert_nothing_is_left(&mut engine, &mut store);
            return output;
        }
        crashes += 1;
    }
}

#[test]
fn a_run_that_is_cut_and_taken_up_again_gives_the_same() {
    let program = program();
    for_each_case(|random| {
        let logs = logs(random, Disorder::SomeLate);
        let arrivals = interleaved(random, &logs);
        let expected = plain(&program, &arrivals, usize::MAX);
        assert_eq!(run_with_crashes(random, &logs, &arrivals, usize::MAX), expected);
    });
}

/// What the bound on held events keeps out depends on the order of arrival, and on nothing else.
#[test]
fn what_is_kept_out_stays_out_when_it_is_read_again() {
    let program = program();
    let kept_out = std::cell::Cell::new(0);
    for_each_case(|random| {
        let logs = logs(random, Disorder::SomeLate);
        let arrivals = interleaved(random, &logs);
        let held_events_max = random.random_range(3..40);
        let expected = plain(&program, &arrivals, held_events_max);
        kept_out.set(kept_out.get() + expected.held_full.len());
        assert_eq!(run_with_crashes(random, &logs, &arrivals, held_events_max), expected);
    });
    assert!(kept_out.get() > 100, "the bound is reached");
}

/// As many keys as events, nearly, so that most of them lie on the disk; each comes back with an event, with its deadline, or at the end.
#[test]
fn keys_on_the_disk_do_not_show() {
    let program = program();
    let folder = tempfile::tempdir().expect("a folder");
    for seed in 1..=3 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut logs = logs(random, Disorder::SomeLate);
        for event in logs.iter_mut().flatten() {
            let key = random.random_range(0..60).to_string();
            event.fields[0] = Value::text(&key);
        }
        let arrivals = interleaved(random, &logs);
        let expected = plain(&program, &arrivals, usize::MAX);
        let mut engine = engine(&program, EngineOptions { shards: 2, ready_keys_max: 0, held_events_max: usize::MAX, ..EngineOptions::default() });
        spill(&mut engine, 2, 0, ScratchFolder::beside(folder.path()));
        let (mut effects, mut store, mut output) = (Vec::new(), Store::default(), Output::default());
        let mut cold = 0;
        for event in arrivals {
            engine.apply(arrive(event), &mut effects);
            store.flush(&mut engine);
            cold = cold.max(engine.counters().cold_keys);
        }
        engine.apply(Input::End, &mut effects);
        output.take(&mut effects);
        assert_eq!(output, expected);
        assert!(cold > 20 && std::fs::read_dir(folder.path()).expect("read").count() == 1, "{cold} keys");
        assert_nothing_is_left(&mut engine, &mut store);
        drop(engine);
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0, "gone with the engine");
    }
}

/// Pattern by pattern, so that there is much that nobody looks at.
#[test]
fn fields_that_no_pattern_looks_at_do_not_show() {
    let all = program();
    let mut unused = 0;
    for pattern in &all.patterns {
        let program = Program { schema: all.schema.clone(), patterns: vec![pattern.clone()] };
        let mut used = FieldsUsed::none(&program.schema);
        used.add(pattern);
        unused += program.schema.ids().flat_map(|stream| used.of(stream)).filter(|is_used| !**is_used).count();
        for_each_case(|random| {
            let logs = logs(random, Disorder::SomeLate);
            let whole = interleaved(random, &logs);
            let mut bare = whole.clone();
            for event in &mut bare {
                let fields = event.fields.iter_mut().zip(used.of(event.stream));
                fields.filter(|(_, is_used)| !**is_used).for_each(|(value, _)| *value = Value::Null);
            }
            assert_eq!(plain(&program, &bare, usize::MAX), plain(&program, &whole, usize::MAX), "{}", pattern.name);
        });
    }
    assert!(unused > all.patterns.len(), "much is not looked at: {unused} fields");
}
