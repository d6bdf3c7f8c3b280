//! What all workers of a process share: the program, the topics as they were found, the folder of the state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::config::{BucketConfig, CheckpointPlace, Config, KafkaConfig, Origin};
use crate::event::{ProcessingTime, StreamId};
use crate::kafka::{Link, Survey, Topics, Written};
use crate::language::Source;
use crate::objects::{AccessKey, Bucket, Patience, StoredObjects};
use crate::pattern::Program;
use crate::ports::{InputPartition, ObjectError, TopicId, TopicSurvey, Transport, TransportError};
use crate::service::embedded::wall_clock;
use crate::service::topics::UntilEnd;
use crate::service::topics::alignment::Alignment;
use crate::service::topics::bases::{Bases, MachineBases};
use crate::service::topics::beside::Beside;
use crate::service::topics::checkpoints::Checkpoints;
use crate::service::topics::metrics::Metrics;
use crate::service::topics::pattern_set::Evaluation;
use crate::service::topics::slot::Slot;
use crate::service::topics::stages::{self, Plan, Stage};
use crate::service::topics::stopwatch::Stopwatch;
use crate::service::topics::unowned::Rejoin;
use crate::service::topics::watch::Verdict;
use crate::service::{StopSignal, upkeep};

/// How long a revoked task waits for its checkpoint.
pub(super) const HAND_OVER_MAX: Duration = Duration::from_secs(3);

/// How many partitions' ends are asked for at a time.
const SURVEY_THREADS: usize = 16;

/// Tells the machine's time.
pub(super) type Clock = Arc<dyn Fn() -> ProcessingTime + Send + Sync>;

/// One stage's, immutable while the process runs.
pub(super) struct Deployment {
    pub stage: Stage,
    /// What is evaluated now. A recovery may need others.
    pub evaluation: Arc<Evaluation>,
    pub config: Config,
    pub slot: Arc<Slot>,
    pub bases: Box<dyn Bases>,
    pub metrics: Arc<Metrics>,
    pub survey: Arc<dyn TopicSurvey>,
    /// The topic of each stream.
    pub inputs: BTreeMap<StreamId, String>,
    /// Which topic each was when this process started, as far as brokers tell.
    pub topic_ids: BTreeMap<StreamId, TopicId>,
    /// The topic that the events of each stream come from at first.
    pub sources: BTreeMap<StreamId, String>,
    /// How many there are.
    pub tasks: u32,
    pub outputs: Outputs,
    /// Where there are two stages: between them, in this process.
    pub alignment: Option<Arc<Alignment>>,
    pub written: Written,
    pub rejoin: Rejoin,
    pub verdict: Verdict,
    /// With `--until-end`: after the last record that each input held at the start. Of what is handed on, that is not known: a task is told.
    pub ends: Option<BTreeMap<InputPartition, u64>>,
    pub stop: StopSignal,
    pub clock: Clock,
    pub stopwatch: Stopwatch,
    pub beside: Beside,
    /// How long one transaction may take in all, failed calls repeated.
    pub watchdog: Duration,
    /// The same where tasks are to be given back: before the group or the transaction coordinator loses patience.
    pub revoke_max: Duration,
}

/// The topics that are written.
pub(super) struct Outputs {
    pub matches: OutputTopic,
    pub late: Option<OutputTopic>,
    pub rejected: Option<OutputTopic>,
    /// A partition for each task of the next stage.
    pub handed_on: Option<OutputTopic>,
    /// A partition for each task.
    pub journal: String,
}

pub(super) struct OutputTopic {
    pub name: String,
    pub partitions: u32,
}

/// A deployment, and the connections that only the shell around the workers needs.
pub(super) struct Opened {
    pub deployment: Deployment,
    pub link: Link,
    pub topics: Topics,
    pub survey: Arc<Survey>,
}

/// Takes a slot, connects, and checks that every topic is there. The stages, the first first.
pub(super) fn open(program: &Arc<Program>, sources: &[Source], config: &Config, until_end: UntilEnd, stop: &StopSignal) -> anyhow::Result<Vec<Opened>> {
    let kafka = config.kafka.as_ref().context("the configuration has no [kafka] table")?;
    let state = config.state.as_deref().context("with [kafka], `service.state` names the folder for the state")?;
    let slot = Arc::new(Slot::take(state, config.slot)?);
    let inputs = input_topics(program, config);
    anyhow::ensure!(!inputs.is_empty(), "no stream comes from a topic");
    refuse_shared_topics(program, &inputs)?;
    let survey = Survey::open(&upkeep::link(config, kafka), Topics::new(inputs))?;
    upkeep::refuse_missing(&survey, program, config, kafka)?;
    let tasks = survey.tasks()?;
    upkeep::refuse_undeclared_keys(program, config, tasks)?;
    upkeep::refuse_lost_outputs(program, config, tasks)?;
    upkeep::warn_of_topics(program, config);
    upkeep::warn_of_partitioning(program, config, tasks);
    let misplaced_keys = upkeep::warn_of_misplaced_keys(survey.link(), program, config, tasks);
    let plans = stages::plan(program.clone(), sources, config, kafka, tasks);
    let alignment = (plans.len() > 1).then(|| Arc::new(Alignment::new(Stopwatch::start())));
    let open = |plan| {
        let mut opened = Deployment::open(plan, &slot, config, kafka, until_end, stop)?;
        opened.deployment.alignment = alignment.clone();
        if opened.deployment.stage == Stage::First {
            opened.deployment.metrics.misplaced(misplaced_keys);
        }
        Ok(opened)
    };
    plans.into_iter().map(open).collect()
}

impl Deployment {
    fn open(plan: Plan, slot: &Arc<Slot>, config: &Config, kafka: &KafkaConfig, until_end: UntilEnd, stop: &StopSignal) -> anyhow::Result<Opened> {
        let Plan { stage, evaluation, link, inputs, sources, journal, handed_on, tasks } = plan;
        let topics = Topics::new(inputs.clone());
        let survey = Arc::new(Survey::open(&link, topics.clone())?.with_journal(&journal));
        let topic_ids = survey.topic_ids()?;
        let topics = topics.with_ids(topic_ids.clone());
        refuse_other_number(&survey, tasks)?;
        let outputs = Outputs::find(&survey, kafka, journal, handed_on, tasks)?;
        let ends = match (until_end, stage) {
            (UntilEnd::Yes, Stage::First) => Some(ends(&*survey, &inputs, tasks)?),
            (UntilEnd::Yes, Stage::Rekeyed) => Some(BTreeMap::new()),
            (UntilEnd::No, _) => None,
        };
        let metrics = Arc::new(Metrics::default());
        let checkpoints = match &config.checkpoints {
            Some(checkpoints) => {
                let owner = format!("{}-{}-{:08x}", slot.instance, slot.number, rand::random::<u32>());
                Some(Checkpoints::new(Arc::new(objects(&checkpoints.place)?), &link.group, owner))
            }
            None => None,
        };
        let folder = stage.header().map_or_else(|| slot.folder.clone(), |stage| slot.folder.join(stage));
        let bases = MachineBases::new(&folder, checkpoints, metrics.clone())?;
        let bases = Box::new(match &config.state {
            Some(state) => bases.beside_slots_of(state),
            None => bases,
        });
        bases.keep_set(evaluation.hash, &evaluation.set.to_json())?;
        let (transaction, session) = (link.transaction_timeout(), link.session_timeout());
        let deployment = Self {
            stage,
            evaluation,
            config: config.clone(),
            slot: slot.clone(),
            bases,
            metrics,
            survey: survey.clone(),
            inputs,
            topic_ids,
            written: Written { tasks, outputs: outputs.topics(tasks), journal: outputs.journal.clone(), stage: stage.header() },
            rejoin: Rejoin::default(),
            verdict: Verdict::default(),
            sources,
            tasks,
            outputs,
            alignment: None,
            ends,
            stop: stop.clone(),
            clock: Arc::new(wall_clock),
            stopwatch: Stopwatch::start(),
            beside: Beside::OnThreads,
            watchdog: transaction * 2,
            revoke_max: transaction.min(session) / 2,
        };
        Ok(Opened { deployment, link, topics, survey })
    }

    pub(super) fn now(&self) -> ProcessingTime {
        (self.clock)()
    }

    /// The partitions that make up a task, in order of their streams' names.
    pub(super) fn inputs_of(&self, task: u32) -> Vec<InputPartition> {
        self.inputs.keys().map(|&stream| InputPartition { stream, partition: task }).collect()
    }

    /// After the last record of a bounded run.
    pub(super) fn end_of(&self, input: InputPartition) -> Option<u64> {
        self.ends.as_ref().and_then(|ends| ends.get(&input).copied())
    }

    /// After the last record that is there to be read, as far as it is known without asking.
    pub(super) fn known_end(&self, transport: &dyn Transport, input: InputPartition) -> Option<u64> {
        let known = transport.known_end(input);
        self.end_of(input).map_or(known, |end| Some(known.map_or(end, |known| known.min(end))))
    }

    /// How long a revoked task may belong to nobody.
    pub(super) fn hand_over_max(&self) -> Duration {
        self.revoke_max + HAND_OVER_MAX
    }

    pub(super) fn stream_name(&self, stream: StreamId) -> &str {
        &self.evaluation.program.schema.stream(stream).name
    }
}

impl Outputs {
    fn find(survey: &Survey, kafka: &KafkaConfig, journal: String, handed_on: Option<String>, tasks: u32) -> Result<Self, TransportError> {
        let find = |name: &String| Ok::<_, TransportError>(OutputTopic { name: name.clone(), partitions: survey.partitions(name)? });
        let partitions = survey.partitions(&journal)?;
        if partitions < tasks {
            return Err(TransportError::fatal(format!(
                "topic {journal} has {partitions} partitions; the journal needs one for each of the {tasks} partitions of the input topics"
            )));
        }
        Ok(Self {
            journal,
            handed_on: handed_on.as_ref().map(find).transpose()?,
            matches: find(&kafka.output_topic)?,
            late: kafka.late_topic.as_ref().map(find).transpose()?,
            rejected: kafka.rejected_topic.as_ref().map(find).transpose()?,
        })
    }

    /// Several kinds may share a topic, which is here once: a broker does not answer who asks for a partition twice at a time.
    fn events(&self) -> impl Iterator<Item = &OutputTopic> {
        let mut topics = vec![&self.matches];
        for topic in self.late.iter().chain(&self.rejected) {
            if topics.iter().all(|other| other.name != topic.name) {
                topics.push(topic);
            }
        }
        topics.into_iter()
    }

    /// All topics with the numbers of partitions that are written.
    fn topics(&self, tasks: u32) -> Vec<(String, u32)> {
        let events = self.events().chain(&self.handed_on).map(|topic| (topic.name.clone(), topic.partitions));
        events.chain([(self.journal.clone(), tasks)]).collect()
    }

    /// Where the events of a task go, all but its records of the journal and what it hands on.
    pub(super) fn of_task(&self, task: u32) -> impl Iterator<Item = (&str, u32)> {
        self.events().map(move |topic| (topic.name.as_str(), topic.partition_of(task)))
    }
}

impl OutputTopic {
    /// Order holds within a task, so its records stay together.
    pub(super) fn partition_of(&self, task: u32) -> u32 {
        task % self.partitions
    }
}

pub(super) fn objects(place: &CheckpointPlace) -> Result<StoredObjects, ObjectError> {
    match place {
        CheckpointPlace::Folder(folder) => StoredObjects::in_folder(folder),
        CheckpointPlace::Bucket(bucket) => {
            let BucketConfig { name, prefix, endpoint, region, access_key } = bucket.clone();
            let access_key = access_key.map(|(id, secret_file)| AccessKey { id, secret_file });
            StoredObjects::in_bucket(&Bucket { name, prefix, endpoint, region, access_key, patience: Patience::default() })
        }
    }
}

/// The topic of the second stage has as many partitions as the inputs: its tasks keep the keys by their number.
fn refuse_other_number(survey: &Survey, tasks: u32) -> anyhow::Result<()> {
    let found = survey.tasks()?;
    anyhow::ensure!(found == tasks, "{}", other_number(found, tasks));
    Ok(())
}

pub(super) fn other_number(found: u32, tasks: u32) -> String {
    format!(
        "the topic for events by other keys has {found} partitions, and the input topics have {tasks}; `motif topics` names it: make it anew with as many, under another group"
    )
}

pub(super) fn input_topics(program: &Program, config: &Config) -> BTreeMap<StreamId, String> {
    let topic = |id: StreamId| match &config.streams.get(&program.schema.stream(id).name)?.origin {
        Origin::Topic(topic) => Some((id, topic.clone())),
        _ => None,
    };
    program.schema.ids().filter_map(topic).collect()
}

/// A record belongs to one stream.
fn refuse_shared_topics(program: &Program, inputs: &BTreeMap<StreamId, String>) -> anyhow::Result<()> {
    let mut seen: BTreeMap<&str, StreamId> = BTreeMap::new();
    for (&stream, topic) in inputs {
        if let Some(other) = seen.insert(topic, stream) {
            let [first, second] = [other, stream].map(|id| &program.schema.stream(id).name);
            anyhow::bail!("streams `{first}` and `{second}` both come from topic {topic}; give each a topic of its own");
        }
    }
    Ok(())
}

/// Each takes a few round trips, so some are asked for at a time.
fn ends(survey: &dyn TopicSurvey, inputs: &BTreeMap<StreamId, String>, tasks: u32) -> Result<BTreeMap<InputPartition, u64>, TransportError> {
    let partitions = inputs.keys().flat_map(|&stream| (0..tasks).map(move |partition| InputPartition { stream, partition }));
    let partitions: Vec<_> = partitions.collect();
    let mut ends = BTreeMap::new();
    for some in partitions.chunks(SURVEY_THREADS) {
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|&input| scope.spawn(move || (input, survey.end(input)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        for (input, end) in found {
            ends.insert(input, end?);
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker refuses a question that names a partition twice.
    #[test]
    fn topics_that_outputs_share_are_listed_once() {
        let topic = |name: &str| OutputTopic { name: name.to_owned(), partitions: 2 };
        for (late, rejected, expected, of_task) in [
            (None, None, &["m", "j"][..], &["m"][..]),
            (Some("l"), Some("r"), &["m", "l", "r", "j"], &["m", "l", "r"]),
            (Some("d"), Some("d"), &["m", "d", "j"], &["m", "d"]),
            (Some("m"), None, &["m", "j"], &["m"]),
            (Some("m"), Some("m"), &["m", "j"], &["m"]),
        ] {
            let outputs = Outputs { matches: topic("m"), late: late.map(topic), rejected: rejected.map(topic), handed_on: None, journal: "j".to_owned() };
            let names: Vec<_> = outputs.topics(2).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, expected, "{late:?}, {rejected:?}");
            assert_eq!(outputs.of_task(1).collect::<Vec<_>>(), of_task.iter().map(|name| (*name, 1)).collect::<Vec<_>>(), "{late:?}, {rejected:?}");
        }
    }
}
