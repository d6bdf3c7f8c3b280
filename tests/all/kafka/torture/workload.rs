//! Made-up events on two topics, and what must come of them: by the engine directly, and by `motif run` over the same events as files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use motif::config::Config;
use motif::event::EventTime;
use motif::language::{Source, compile};
use motif::pattern::Program;
use motif::service::task::{Epoch, SetAsideForm, Task, TaskOptions};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::file_run::made_up::{CLICKS, ORDERS};
use crate::kafka::direct;
use crate::workplace::Workplace;

pub const PARTITIONS: u32 = 8;
pub const STREAMS: [&str; 2] = ["clicks", "orders"];
const USERS: u32 = 240;
/// 2025-01-01T00:00:00Z.
const BEGIN_MS: i64 = 1_735_689_600_000;
/// Of event time, between two events.
const STEP_MS: i64 = 20;

/// Patterns keyed by what the topics are not partitioned by, and by nothing.
const REKEYED: &str = "
pattern by_value { from orders, clicks by v match a: orders then b: clicks within 1s emit v, a.user as asked, b.user as answered }
pattern quiet_value { from orders by v match a: orders then not more: orders for 2s emit v, a.user as last }
pattern of_all { from clicks match a: clicks where v == 1 then b: clicks where v == 2 then c: clicks where v == 3 within 1s emit a.user as first, c.user as third }
";
const REKEYED_NAMES: [&str; 3] = ["by_value", "quiet_value", "of_all"];

/// What is evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Patterns keyed by what the topics are partitioned by.
    AsPartitioned,
    /// Others beside them: their events go through the second stage.
    Rekeyed,
}

/// An event, or something unreadable in its place.
#[derive(Clone, Debug)]
pub struct Made {
    /// Of [`STREAMS`].
    pub stream: usize,
    pub partition: u32,
    pub key: String,
    pub value: String,
}

/// What the outputs must hold.
#[derive(Debug, Default)]
pub struct Expected {
    /// By task, in order.
    pub matches: Vec<Vec<String>>,
    /// Of the second stage, in the order of one task that reads everything.
    pub rekeyed: Vec<String>,
    /// Stream, partition and offset of each, in order.
    pub late: Vec<Address>,
    pub rejected: Vec<Address>,
}

pub type Address = (String, u32, u64);

pub fn patterns(form: Form) -> String {
    let more = if form == Form::Rekeyed { REKEYED } else { "" };
    format!("{CLICKS}{ORDERS}{more}")
}

/// Each unlike every other; out of order, some late, some unreadable.
pub fn events(random: &mut ChaCha8Rng, number: usize) -> Vec<Made> {
    (0..number).map(|place| event(random, place)).collect()
}

fn event(random: &mut ChaCha8Rng, place: usize) -> Made {
    let user = random.random_range(0..USERS);
    let stream = usize::from(random.random_range(0..4) == 0);
    let back_ms = match random.random_range(0..100) {
        0..60 => 0,
        60..90 => random.random_range(0..2_000),
        90..98 => random.random_range(0..5_000),
        _ => random.random_range(6_000..60_000),
    };
    let at = BEGIN_MS + i64::try_from(place).expect("small") * STEP_MS - back_ms;
    let v = random.random_range(0..9);
    let value = match random.random_range(0..200) {
        0 => format!("{{\"n\":{place}, unreadable"),
        _ => format!("{{\"n\":{place},\"user\":\"u{user}\",\"v\":{v},\"at\":{at}}}"),
    };
    Made { stream, partition: user % PARTITIONS, key: format!("u{user}"), value }
}

/// What the engine makes of each task's events, and of those of all partitions together; all windows are closed at the end.
pub fn expected(events: &[Made], form: Form) -> Expected {
    let mut expected = Expected::default();
    let program = program(Form::AsPartitioned);
    for partition in 0..PARTITIONS {
        let epoch = run(&program, events, partition..partition + 1);
        expected.matches.push(direct::lines(&program, &epoch.matches));
        for aside in epoch.set_aside {
            let list = if aside.code.text() == "late" { &mut expected.late } else { &mut expected.rejected };
            list.push((program.schema.stream(aside.stream).name.clone(), aside.partition, aside.offset));
        }
    }
    expected.late.sort();
    expected.rejected.sort();
    if form == Form::Rekeyed {
        let program = self::program(form);
        expected.rekeyed = direct::lines(&program, &run(&program, events, 0..PARTITIONS).matches);
        expected.rekeyed.retain(|line| REKEYED_NAMES.contains(&of_line(line, "pattern").as_str().expect("a name")));
    }
    expected
}

/// A member of a match.
pub fn of_line(line: &str, name: &str) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(line).expect("JSON")[name].clone()
}

/// One task that reads these partitions of both topics, to their ends.
fn run(program: &Arc<Program>, events: &[Made], partitions: Range<u32>) -> Epoch {
    let mut config = Config::one_shot(Vec::new());
    config.streams.clear();
    let options = TaskOptions { shards: 1, set_aside: SetAsideForm::Originals, ..TaskOptions::new(&config, EventTime::from_millis(BEGIN_MS).expect("fits")) };
    let inputs: Vec<_> = partitions.flat_map(|partition| (0..STREAMS.len()).map(move |stream| (stream, partition))).collect();
    let id = |stream: usize| program.schema.find(STREAMS[stream]).expect("declared");
    let mut task = Task::new(program, &options, &inputs.iter().map(|&(stream, partition)| (id(stream), partition)).collect::<Vec<_>>());
    for (stream, partition) in inputs {
        let records = events.iter().filter(|event| event.stream == stream && event.partition == partition);
        direct::apply(&mut task, id(stream), partition, records.map(|event| (event.value.as_str(), None)));
    }
    task.end();
    task.catch_up();
    task.take_epoch().expect("in memory")
}

fn program(form: Form) -> Arc<Program> {
    let compiled = compile(&[Source { path: "patterns.motif".to_owned(), text: patterns(form) }]);
    assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
    Arc::new(compiled.program)
}

/// `motif run` over the events of each partition as files must give the same matches, but for their ids, which hold the partition's number.
pub fn assert_files_agree(events: &[Made], expected: &Expected) {
    for partition in 0..PARTITIONS {
        let work = Workplace::new();
        work.write("patterns.motif", patterns(Form::AsPartitioned));
        let mut files: BTreeMap<usize, String> = (0..STREAMS.len()).map(|stream| (stream, String::new())).collect();
        for event in events.iter().filter(|event| event.partition == partition) {
            let file = files.get_mut(&event.stream).expect("made above");
            file.push_str(&event.value);
            file.push('\n');
        }
        files.iter().for_each(|(stream, text)| work.write(STREAMS[*stream], text));
        work.must("run patterns.motif --input clicks=clicks --input orders=orders --output matches");
        let found: Vec<serde_json::Value> = work.text("matches").lines().map(|line| without_address(line, partition)).collect();
        let of_task: Vec<_> = expected.matches[usize::try_from(partition).expect("small")].iter().map(|line| without_address(line, partition)).collect();
        assert!(found == of_task, "partition {partition} as files: {} matches, directly {}", found.len(), of_task.len());
    }
}

/// A match without its id, its events' addresses those of partition 0.
fn without_address(line: &str, partition: u32) -> serde_json::Value {
    let mut found: serde_json::Value = serde_json::from_str(line).expect("JSON");
    found.as_object_mut().expect("an object").remove("id");
    let events = found["events"].to_string();
    let text = STREAMS.iter().fold(events, |text, stream| text.replace(&format!("\"{stream}/{partition}:"), &format!("\"{stream}/0:")));
    let text = text.replace(&format!("\"{partition}:"), "\"0:");
    found["events"] = serde_json::from_str(&text).expect("JSON");
    found
}
