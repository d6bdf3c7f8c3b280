//! `motif verify`: whether a deployment has kept its promises, decided from its topics alone.
//!
//! ```text
//! journal/t ──▶ epoch by epoch: dense? joins the one before? ──▶ input range: the digest it had?
//!                                     │                               │
//! outputs of t ──▶ count, digest, indices as the journal says?    engine, from nothing, with the pattern set of the epoch
//!                                     └──────── the same bytes ◀──────┘
//! ```
//!
//! A task is evaluated again from its first epoch on, and nothing of what the service stores is looked at but the pattern sets that were in force. Where the beginning of
//! the journal or of the input is not retained any more, it is evaluated from the oldest checkpoint on from which that can be done, and the report says so. So it does of
//! outputs that are not retained any more: what is there of their epochs is compared all the same. Nothing is written, and the service may run meanwhile: what it adds after the
//! beginning is not looked at.
//!
//! | file | holds |
//! |---|---|
//! | `compare` | decision: what is wrong with an epoch |
//! | `retained` | decision: what may be missing of it, as topics delete what is old |
//! | `task` | a task from its first epoch to its last |
//! | `outputs` | its outputs, epoch by epoch |
//! | `recompute` | its matches, from its input |
//! | `sets` | the pattern sets that were in force |

mod compare;
mod outputs;
mod recompute;
mod retained;
mod sets;
mod task;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use crate::config::{Config, KafkaConfig};
use crate::kafka::{Survey, Topics};
use crate::language::Source;
use crate::pattern::Program;
use crate::ports::{InputPartition, TopicSurvey};
use crate::service::topics::checkpoints::Checkpoints;
use crate::service::topics::deployment::{input_topics, objects};
use crate::service::topics::journal::OutputKind;
use crate::service::topics::stages::{Plan, Stage, plan};
use crate::service::upkeep;

use outputs::OutputTopic;
use sets::Sets;
use task::{Deployed, verify_task};

pub use compare::{Difference, DifferenceKind};

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct Report {
    pub tasks: u32,
    pub counts: Counts,
    /// By stage, task and epoch.
    pub differences: Vec<Difference>,
    /// What could not be decided, and why.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    pub epochs: u64,
    /// Epochs whose matches were computed again, and of which no output was deleted by its retention.
    pub recomputed: u64,
    /// Records of the inputs that were evaluated again.
    pub events: u64,
    pub matches: u64,
    pub late: u64,
    pub rejected: u64,
}

/// The same of one task.
#[derive(Default)]
struct TaskReport {
    counts: Counts,
    differences: Vec<Difference>,
    notes: Vec<String>,
}

impl Report {
    /// Adds that of another stage.
    fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.counts.add(other.counts);
        self.differences.extend(other.differences);
        self.notes.extend(other.notes);
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.epochs += other.epochs;
        self.recomputed += other.recomputed;
        self.events += other.events;
        self.matches += other.matches;
        self.late += other.late;
        self.rejected += other.rejected;
    }
}

/// Reads everything from the beginning of the journal on. An error where the outside does not let us; what is wrong with the deployment is in the report.
pub fn verify(program: Program, sources: &[Source], config: &Config) -> anyhow::Result<Report> {
    let kafka = config.kafka.as_ref().context("the configuration has no [kafka] table")?;
    let inputs = input_topics(&program, config);
    anyhow::ensure!(!inputs.is_empty(), "no stream comes from a topic");
    let survey = Survey::open(&upkeep::link(config, kafka), Topics::new(inputs))?;
    upkeep::refuse_missing(&survey, &program, config, kafka)?;
    let mut total = Report::default();
    for plan in plan(program.into(), sources, config, kafka, survey.tasks()?) {
        total.add(verify_stage(plan, config, kafka)?);
    }
    Ok(total)
}

fn verify_stage(plan: Plan, config: &Config, kafka: &KafkaConfig) -> anyhow::Result<Report> {
    let survey = Survey::open(&plan.link, Topics::new(plan.inputs.clone()))?;
    let checkpoints = config.checkpoints.as_ref().map(|checkpoints| objects(&checkpoints.place)).transpose()?;
    let deployed = Deployed {
        stage: plan.stage,
        journal: plan.journal,
        tasks: plan.tasks,
        outputs: output_topics(&survey, kafka, plan.handed_on)?,
        inputs: plan.inputs.into_iter().collect(),
        checkpoints: checkpoints.map(|objects| Checkpoints::new(Arc::new(objects), &plan.link.group, "verify".to_owned())),
        link: plan.link,
        schema: plan.evaluation.program.schema.clone(),
        sets: Sets::new(plan.evaluation, config.state.clone()),
    };
    let mut report = Report { tasks: deployed.tasks, ..Report::default() };
    for of_task in verify_tasks(&deployed, &survey)?.into_values() {
        report.counts.add(of_task.counts);
        report.differences.extend(of_task.differences);
        report.notes.extend(of_task.notes);
    }
    if deployed.stage == Stage::Rekeyed {
        // They were counted where they came first.
        report.counts.events = 0;
    }
    Ok(report)
}

fn output_topics(survey: &Survey, kafka: &KafkaConfig, handed_on: Option<String>) -> anyhow::Result<Vec<OutputTopic>> {
    let topics = [
        (OutputKind::Match, Some(&kafka.output_topic)),
        (OutputKind::Late, kafka.late_topic.as_ref()),
        (OutputKind::Rejected, kafka.rejected_topic.as_ref()),
        (OutputKind::HandedOn, handed_on.as_ref()),
    ];
    let topic = |(kind, name): (OutputKind, Option<&String>)| Some((kind, name?.clone()));
    let topics = topics.into_iter().filter_map(topic);
    topics.map(|(kind, name)| Ok(OutputTopic { kind, partitions: survey.partitions(&name)?, name })).collect()
}

/// As many at once as there are processors.
fn verify_tasks(deployed: &Deployed, survey: &Survey) -> anyhow::Result<BTreeMap<u32, TaskReport>> {
    let (next, reports) = (AtomicU32::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= deployed.tasks {
                return Ok(());
            }
            let inputs: Vec<_> = deployed.inputs.iter().map(|&(stream, _)| InputPartition { stream, partition: number }).collect();
            let committed = survey.committed(&inputs)?.into_iter().map(|committed| committed.next).collect();
            let report = verify_task(deployed, number, committed)?;
            reports.lock().unwrap_or_else(PoisonError::into_inner).insert(number, report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(usize::try_from(deployed.tasks).unwrap_or(1));
    let outcomes: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    outcomes.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(reports.into_inner().unwrap_or_else(PoisonError::into_inner))
}
