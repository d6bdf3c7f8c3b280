//! Epochs repeated: a process that takes what the topic holds as fast as it can, is killed, loses all its state, and comes back. It repeats every epoch from the journal,
//! compares, and puts nothing out. How long it had taken at first, the journal tells.

use std::collections::BTreeMap;

use motif::service::topics::journal::EpochRecord;

use super::super::Plan;
use super::super::measure::{counted, shown};
use super::super::table::{Row, Table};
use super::deployment::Deployment;
use super::journal::{RATE, await_read};
use super::{KEYS, PARTITIONS, PATTERN, topic};
use crate::broker::{Broker, unique};

const EVENTS: u64 = 2_000_000;
const TIMES_INPUT_MIN: f64 = 3.0;

pub fn measure(name: &str, plan: &Plan, broker: &Broker, table: &mut Table<'_>) {
    let events = EVENTS / plan.part;
    let input = unique("replay-in");
    broker.create_topic(&input, PARTITIONS);
    topic::fill(broker, &input, PARTITIONS, events, KEYS);
    let deployment = Deployment::new(broker, &input, PATTERN);
    let service = deployment.start(0);
    await_read(broker, &deployment, events);
    drop(service);
    let (matches, journal) = (deployment.matches(), journal(broker, &deployment));
    std::fs::remove_dir_all(deployment.path("state-0")).expect("removed");
    let before = deployment.log(0).len();
    let service = deployment.start(0);
    let tasks = last_epochs(&journal).count();
    let ended = deployment.await_log(0, before, &["epochs were repeated"], tasks);
    let begun = deployment.await_log(0, before, &["epochs are repeated"], tasks);
    drop(service);
    assert!(deployment.log(0).iter().all(|said| !said.message.contains("DIGEST DIFFERS")), "repeated as it was");
    assert_eq!(deployment.matches(), matches, "nothing is put out again");
    let first = begun.iter().map(|said| said.at_ms).min().expect("one");
    let last = ended.iter().map(|said| said.at_ms).max().expect("one");
    let repeated = events as f64 / ((last - first).max(1) as f64 / 1e3);
    let live = events as f64 / live_s(&journal);
    let row = Row::said(format!("{name}, {} events in {} epochs, events per second", counted(events), counted(journal.len() as u64)), shown(repeated))
        .beside(format!("live, as fast as it goes, {} ({} times)", shown(live), shown(repeated / live)));
    let input = RATE as f64;
    table.add(row.goal(
        format!("at least {TIMES_INPUT_MIN} times an input of {} a second ({})", counted(RATE), shown(repeated / input)),
        repeated >= TIMES_INPUT_MIN * input,
    ));
}

/// Seconds from the beginning of the first epoch that read something to the end of the last.
fn live_s(journal: &[EpochRecord]) -> f64 {
    let read = |record: &&EpochRecord| record.inputs[0].next > record.inputs[0].base;
    let first = journal.iter().filter(read).map(|record| record.opened_us).min().expect("one");
    let last = journal.iter().filter(read).map(|record| record.closed_us).max().expect("one");
    (last - first).max(1_000) as f64 / 1e6
}

/// All records of a deployment's journal.
pub fn journal(broker: &Broker, deployment: &Deployment<'_>) -> Vec<EpochRecord> {
    let records = broker.read(&format!("{}.journal", deployment.group));
    records.into_iter().map(|read| EpochRecord::decode(&read.raw.expect("a record")).expect("of this format")).collect()
}

/// The last one of each task.
pub fn last_epochs(journal: &[EpochRecord]) -> impl Iterator<Item = &EpochRecord> {
    let by_task: BTreeMap<u32, &EpochRecord> = journal.iter().map(|record| (record.task, record)).collect();
    by_task.into_values()
}
