//! Kafka to Kafka, exactly once: `pair` by the program itself on a broker of its own, beside a bare consumer as the limit, and beside Kafka Streams and FlinkCEP on the
//! same broker and topic; then how long it takes from producing an event to reading its match.
//!
//! | file | holds |
//! |---|---|
//! | `topic` | the events as records; reading them and doing nothing more |
//! | `cost` | the same run with and without transactions |
//! | `latency` | from an event to its match, at a steady rate |
//! | `journal` | what the journal adds to the traffic, at a steady rate |
//! | `replay` | epochs repeated after all state was lost, beside how they went at first |
//! | `moving` | a restart, and a move to another machine, with a large state |
//! | `deployment` | a deployment of its own, and what its processes say |
//!
//! Processor time is that of the client process alone. Motif's is counted from its start to its end; the other engines leave out their first fifth.

mod cost;
mod deployment;
mod journal;
mod latency;
mod moving;
mod replay;
mod topic;

use super::Plan;
use super::kernels;
use super::measure::{self, Spread, Taken, counted, shown};
use super::peers::Said;
use super::table::{Row, Table};
use super::workloads::typed::Workload;
use crate::broker::{Broker, broker, unique};
use deployment::Deployment;

pub const SECTION: &str = "kafka";

const EVENTS: u64 = 3_000_000;
const KEYS: u64 = 10_000;
const PARTITIONS: i32 = 4;
const THREADS: u32 = 2;
const EPOCH_MS: u32 = 100;
/// FlinkCEP does not get through with one every 100 ms.
const FLINK_CHECKPOINT_MS: u32 = 1_000;

const OF_BARE_MIN: f64 = 0.6;
const KAFKA_STREAMS_TIMES_MIN: f64 = 8.0;
const FLINK_TIMES_MIN: f64 = 25.0;

/// The same pattern as in memory; the events have their times, and more fields than it needs.
const PATTERN: &str = "stream events { k: int  typ: int  amt: float  ts: timestamp  time ts }
pattern pair {
  from events by k
  match a: events where typ == 0 then b: events where typ == 1 and amt > a.amt within 10s
  skip none
  emit k, b.ts as ended
}
";

type Measure = fn(&str, &Plan, &Broker, &mut Table<'_>);

pub fn measure(plan: &Plan, table: &mut Table<'_>) {
    let rows: [(&str, Measure); 6] = [
        ("pair, Kafka to Kafka, exactly once", measure_throughput),
        ("what exactly once costs, Kafka to Kafka", cost::measure),
        ("from an event to its match, Kafka to Kafka", |name, plan, broker, table| latency::measure(name, plan, broker, table)),
        ("the journal's part of the traffic", journal::measure),
        ("epochs repeated without any state", replay::measure),
        ("a restart and a move with state", moving::measure),
    ];
    let mut wanted = rows.into_iter().filter(|(name, _)| plan.wants(SECTION, name)).peekable();
    let Some((first, _)) = wanted.peek() else { return };
    let Some(broker) = broker() else {
        table.add(Row::said(*first, "not run: no java here"));
        return;
    };
    for (name, measure) in wanted {
        measure(name, plan, broker, table);
    }
}

fn measure_throughput(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    let events = EVENTS / plan.part;
    let matches = kernels::run(Workload::Pair, events, KEYS, |_| {});
    let input = unique("pair-in");
    broker.create_topic(&input, PARTITIONS);
    topic::fill(broker, &input, PARTITIONS, events, KEYS);
    plan.note(&format!("{} events are on the topic", counted(events)));
    let (mut motif, mut bare, mut streams, mut flink) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // By turns, so that what else the machine does meets all alike.
    for _ in 0..plan.runs {
        bare.push(topic::read(broker, &input, PARTITIONS, events) / events as f64 * 1e9);
        motif.push(run_to_end(broker, &input, matches));
        plan.note(&format!("bare {:.0} ns, Motif {:.2} s of processor", bare[bare.len() - 1], motif[motif.len() - 1].cpu_s));
        streams.push(peer(plan, broker, "kafka-streams", &input, events, EPOCH_MS, matches));
        flink.push(peer(plan, broker, "flink-kafka", &input, events, FLINK_CHECKPOINT_MS, matches));
    }
    let ns: Vec<f64> = motif.iter().map(|taken| taken.cpu_s / events as f64 * 1e9).collect();
    let of_bare = Spread::of_ratios(&bare, &ns);
    let elapsed = Spread::of(motif.iter().map(|taken| events as f64 / taken.elapsed_s)).median;
    let memory = Spread::of(motif.iter().map(|taken| taken.peak_mb)).max;
    let row = Row::new(format!("{name}, {} keys, {} events, CPU ns per event", counted(KEYS), counted(events)), Spread::of(ns.iter().copied()))
        .beside(format!("{} events per second elapsed, start and end included, {} MB at most", shown(elapsed), shown(memory)))
        .beside(format!("a bare consumer {}", shown(Spread::of(bare.iter().copied()).median)))
        .goal(format!("at least {OF_BARE_MIN} of a bare consumer ({})", shown(of_bare.median)), of_bare.median >= OF_BARE_MIN);
    let row = beside_peer(row, "Kafka Streams", &ns, streams, KAFKA_STREAMS_TIMES_MIN);
    table.add(beside_peer(row, "FlinkCEP at its 1 s", &ns, flink, FLINK_TIMES_MIN));
}

/// The program from the first record to the last, and what it found.
fn run_to_end(broker: &Broker, input: &str, matches: u64) -> Taken {
    let deployment = Deployment::new(broker, input, PATTERN);
    let taken = measure::run(deployment.command(0).arg("--until-end"));
    assert!(taken.status.success(), "motif ends with {}", taken.status);
    assert_eq!(deployment.matches(), matches, "matches on the output topic");
    taken
}

fn peer(plan: &Plan, broker: &Broker, engine: &str, input: &str, events: u64, interval_ms: u32, matches: u64) -> Result<Said, String> {
    if let Some(missing) = plan.peers.missing() {
        return Err(missing.to_owned());
    }
    let output = unique("pair-out");
    broker.create_topic(&output, PARTITIONS);
    let said = plan.peers.run(&[engine, &broker.address, input, &output, &events.to_string(), &THREADS.to_string(), &interval_ms.to_string()])?;
    assert_eq!(said.matches, matches, "{engine} finds as many");
    plan.note(&format!("{engine} {:.0} ns", said.cpu_ns));
    Ok(said)
}

fn beside_peer(row: Row, name: &str, ns: &[f64], turns: Vec<Result<Said, String>>, times_min: f64) -> Row {
    let turns = match turns.into_iter().collect::<Result<Vec<Said>, String>>() {
        Ok(turns) => turns,
        Err(why) => return row.beside(format!("{name} {why}")),
    };
    let figures: Vec<f64> = turns.iter().map(|said| said.cpu_ns).collect();
    let times = Spread::of_ratios(&figures, ns);
    row.beside(format!("{name} {} ({} to {} times)", shown(Spread::of(figures).median), shown(times.min), shown(times.max)))
        .goal(format!("at least {times_min} times less than {name}"), times.median >= times_min)
}
