//! Both stages without Kafka: however what is handed on is interleaved, cut into batches and read again after restarts, the same comes out, and it is what one task finds.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::config::{Origin, StreamConfig, Strictness};
use crate::event::{EventTime, ProcessingTime};
use crate::language::compile;
use crate::ports::{Record, RecordBatch, StateStore, WriteBatch};
use crate::service::state::put_changes;
use crate::service::task::Task;
use crate::service::topics::journal::OutputKind;
use crate::service::topics::outgoing::encode;
use crate::store::Memory;

const PATTERNS: &str = "
stream clicks { user: string country: string n: int at: timestamp time at, late after 2s }
stream orders { user: string country: string n: int at: timestamp time at, late after 2s }
define coming = clicks where n % 3 != 1
define going = clicks where n % 3 != 2
pattern here { from clicks, orders by country match a: clicks then b: orders within 5s }
pattern by_user { from clicks, orders by user match a: clicks then b: orders within 20s }
pattern silent { from clicks by user match a: clicks then not more: clicks for 9s }
pattern by_either { from coming, going by coming.user, going.country match a: coming then b: going within 10s }
pattern keyless { from orders match a: orders where n % 5 == 0 then b: orders where n % 7 == 0 within 1m }
";
const REKEYED: [&str; 4] = ["by_either", "by_user", "keyless", "silent"];
const TASKS: u32 = 3;
const EVENTS: i64 = 400;
const SEEDS: u64 = 20;

/// By stream and partition: the records.
type Inputs = BTreeMap<(StreamId, u32), Vec<String>>;

fn program() -> Arc<Program> {
    let compiled = compile(&[source()]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

fn source() -> Source {
    Source { path: "p.motif".to_owned(), text: PATTERNS.to_owned() }
}

fn evaluation(stage: Option<Stage>) -> Evaluation {
    let mut config = Config::one_shot(Vec::new());
    config.streams = ["clicks", "orders"].map(|name| (name.to_owned(), StreamConfig::from_origin(Origin::Topic(name.to_owned())))).into();
    let set = PatternSet::new(&[source()], &config);
    let split = |stage| Split { stage, patterns: REKEYED.map(str::to_owned).to_vec(), upstreams: TASKS, tasks: TASKS };
    Evaluation::new(
        &program(),
        match stage {
            None => set,
            Some(stage) => set.of(split(stage)),
        },
    )
}

fn task(evaluation: &Evaluation, inputs: &[(StreamId, u32)]) -> Task {
    Task::new(&evaluation.program, &evaluation.task_options(EventTime::from_micros(0), Strictness::SetAside), inputs)
}

/// Some are late; users and countries have the same names; times come twice.
fn inputs(random: &mut StdRng) -> Inputs {
    let mut inputs = Inputs::new();
    for n in 0..EVENTS {
        let (user, country) = (random.random_range(0..8), random.random_range(0..8));
        let at = n * 60 - if n % 40 == 0 { 9_000 } else { random.random_range(0..20) * 100 } + 100_000;
        let place = (StreamId(random.random_range(0..2)), country % TASKS);
        let record = format!("{{\"user\":\"{user}\",\"country\":\"{country}\",\"n\":{n},\"at\":{at}}}");
        inputs.entry(place).or_default().push(record);
    }
    inputs
}

fn batch(stream: StreamId, partition: u32, records: &[impl AsRef<[u8]>], from: usize, to: usize) -> RecordBatch {
    let mut batch = RecordBatch::new(stream, partition);
    for (offset, bytes) in (0..).zip(records).skip(from).take(to - from) {
        let bytes = bytes.as_ref();
        batch.push(Record { offset, position: offset, next_position: offset + 1, timestamp: None, bytes, full_bytes: bytes.len() as u64 });
    }
    batch
}

fn apply(task: &mut Task, batch: &RecordBatch) {
    task.apply(batch, ProcessingTime::from_micros(0)).expect("not strict");
}

/// The matches, and what is handed on to which task.
fn take(task: &mut Task, evaluation: &Evaluation, number: u32, topic: &mut BTreeMap<u32, Vec<Vec<u8>>>) -> Vec<String> {
    let mut matches = Vec::new();
    loop {
        for output in encode(evaluation, number, task.take_epoch().expect("in memory"), &|_| String::new()) {
            let value = output.value.expect("every output has one");
            match output.kind {
                OutputKind::Match => matches.push(String::from_utf8(value).expect("JSON")),
                OutputKind::HandedOn => topic.entry(output.partition.expect("for one task")).or_default().push(value),
                OutputKind::Late | OutputKind::Rejected => {}
            }
        }
        if !task.is_behind() {
            return matches;
        }
        // Whatever has changed by then.
        task.catch_up();
    }
}

/// Everything through the first stage, its tasks and epochs interleaved at random.
fn hand_on(inputs: &Inputs, random: &mut StdRng) -> (Vec<String>, BTreeMap<u32, Vec<Vec<u8>>>) {
    let evaluation = evaluation(Some(Stage::First));
    let places = |number| [(StreamId(0), number), (StreamId(1), number)];
    let mut tasks: Vec<Task> = (0..TASKS).map(|number| task(&evaluation, &places(number))).collect();
    let (mut matches, mut topic, mut read) = (Vec::new(), BTreeMap::new(), BTreeMap::<(StreamId, u32), usize>::new());
    let mut ended = [false; TASKS as usize];
    while ended.contains(&false) {
        let number = random.random_range(0..TASKS);
        let task = &mut tasks[number as usize];
        let is_read = places(number).iter().all(|place| inputs.get(place).is_none_or(|records| read.get(place) == Some(&records.len())));
        if ended[number as usize] {
            continue;
        } else if is_read {
            task.end();
            ended[number as usize] = true;
        } else {
            let place = places(number)[random.random_range(0..2)];
            let (Some(records), from) = (inputs.get(&place), read.entry(place).or_default()) else { continue };
            let to = (*from + random.random_range(0..30)).min(records.len());
            apply(task, &batch(place.0, place.1, records, *from, to));
            *from = to;
        }
        if ended[number as usize] || random.random_ratio(1, 3) {
            matches.extend(take(task, &evaluation, number, &mut topic));
        }
    }
    (matches, topic)
}

/// What a task of the second stage finds, restarted at random.
fn evaluate(number: u32, records: &[Vec<u8>], random: &mut StdRng) -> Vec<String> {
    let evaluation = evaluation(Some(Stage::Rekeyed));
    let input = (rekeyed_stream(&evaluation.program.schema), number);
    let (store, mut nothing): (Arc<dyn StateStore>, _) = (Arc::new(Memory::default()), BTreeMap::new());
    let mut taken = task(&evaluation, &[input]);
    let (mut next, mut kept, mut matches) = (0, 0, Vec::new());
    while next < records.len() {
        let to = (next + random.random_range(1..20)).min(records.len());
        apply(&mut taken, &batch(input.0, number, records, next, to));
        next = to;
        // As in the service, an epoch ends only once what was held is there again.
        if next < kept || next < records.len() && random.random_ratio(2, 3) {
            continue;
        }
        matches.extend(take(&mut taken, &evaluation, number, &mut nothing));
        let positions = taken.positions();
        let mut changes = WriteBatch::default();
        put_changes(taken.take_changes(), &mut changes);
        store.write(changes).expect("in memory");
        kept = next;
        if random.random_ratio(1, 3) {
            taken = task(&evaluation, &[input]);
            taken.restore(&store, &positions).expect("just written");
            let position = positions.of(REKEYED_STREAM, number).expect("it is read");
            assert_eq!(position.next_offset, next as u64);
            next = usize::try_from(position.rewind.map_or(position.next_offset, |rewind| rewind.offset)).expect("small");
        }
    }
    assert_eq!(taken.watermark(), EventTime::END, "all upstream tasks have said that they are at the end");
    assert!(nothing.is_empty() && taken.held_events() == 0);
    matches
}

fn sorted(matches: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut matches: Vec<String> = matches.into_iter().collect();
    matches.sort_unstable();
    matches
}

#[test]
fn both_stages_together_find_what_one_task_finds() {
    for seed in 1..=SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let inputs = inputs(&mut random);
        let whole = evaluation(None);
        let mut one = task(&whole, &inputs.keys().copied().collect::<Vec<_>>());
        inputs.iter().for_each(|(&(stream, partition), records)| apply(&mut one, &batch(stream, partition, records, 0, records.len())));
        one.end();
        let expected = take(&mut one, &whole, 0, &mut BTreeMap::new());
        assert!(one.counters().late > 3 && expected.len() > 200, "the test asks for something");
        let mut before: Option<Vec<Vec<String>>> = None;
        for _ in 0..2 {
            let (here, topic) = hand_on(&inputs, &mut random);
            let rekeyed: Vec<Vec<String>> = (0..TASKS).map(|number| evaluate(number, &topic[&number], &mut random)).collect();
            assert_eq!(sorted(rekeyed.iter().flatten().cloned().chain(here)), sorted(expected.clone()), "seed {seed}");
            assert!(before.is_none_or(|before| before == rekeyed), "seed {seed}: the order depends on how events were interleaved");
            before = Some(rekeyed);
        }
    }
}
