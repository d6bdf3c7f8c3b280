//! Keeps the inputs of a task together, where one runs far ahead of another.
//!
//! An event waits in memory until every input has come as far in event time. When a long backlog is read, the input that happens to come first would fill
//! that memory, and then its events would be set aside. So beyond half of the bound, inputs that lead are paused until those that lag have caught up; but never
//! for an input that has nothing more to read: waiting for it would be waiting for ever.

use std::collections::BTreeMap;

use crate::event::TimeSpan;
use crate::ports::{InputPartition, TopicSurvey, Transport, TransportError};
use crate::service::topics::assigned::Assigned;
use crate::service::topics::beside::Inquiries;
use crate::service::topics::deployment::Deployment;

/// How often the ends of a task's inputs are asked for.
const ASK_INTERVAL: TimeSpan = TimeSpan::from_millis(500);

pub(super) struct Balance {
    held_events_max: usize,
    /// By task: of those that hold much.
    full: BTreeMap<u32, Full>,
}

/// A task that holds much.
struct Full {
    paused: Vec<InputPartition>,
    /// For the ends of its inputs.
    inquiries: Inquiries<Result<Ends, TransportError>>,
}

/// Where the last record ends that an input has.
type Ends = BTreeMap<InputPartition, u64>;

impl Balance {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self { held_events_max: deployment.config.limits.held_events_max, full: BTreeMap::new() }
    }

    /// Tasks that are not ours any more, or were made anew.
    pub(super) fn forget(&mut self, tasks: &[u32]) {
        self.full.retain(|task, _| !tasks.contains(task));
    }

    pub(super) fn holds_back(&self, input: InputPartition) -> bool {
        self.full.get(&input.partition).is_some_and(|full| full.paused.contains(&input))
    }

    /// Asks for the ends of the inputs of a task that holds much, and has those wait that lead once they are told: until then, or where the brokers do not tell, all goes on as it did.
    pub(super) fn check(&mut self, deployment: &Deployment, assigned: &mut Assigned, transport: &mut dyn Transport) -> Result<(), TransportError> {
        let held = assigned.task.held_events();
        let task = assigned.number;
        if held < self.held_events_max / 4 {
            return self.full.remove(&task).map_or(Ok(()), |full| transport.resume(&full.paused));
        }
        if held < self.held_events_max / 2 || deployment.inputs.len() < 2 {
            return Ok(());
        }
        let full = self.full.entry(task).or_insert_with(|| Full { paused: Vec::new(), inquiries: Inquiries::new(ASK_INTERVAL) });
        let now = deployment.now();
        if full.inquiries.is_due(now) {
            let known = |input| (input, assigned.read_to(input), deployment.end_of(input));
            let inputs: Vec<_> = deployment.inputs_of(task).into_iter().map(known).collect();
            let survey = deployment.survey.clone();
            full.inquiries.ask(now, deployment.beside, move || ends(&*survey, &inputs));
        }
        match full.inquiries.answer() {
            None => Ok(()),
            Some(Ok(ends)) => full.pause_leading(&ends, deployment, assigned, transport),
            Some(Err(error)) => {
                tracing::warn!(task, %error, "which inputs lag cannot be told");
                Ok(())
            }
        }
    }
}

impl Full {
    fn pause_leading(&mut self, ends: &Ends, deployment: &Deployment, assigned: &mut Assigned, transport: &mut dyn Transport) -> Result<(), TransportError> {
        let mut lagging = Vec::new();
        for (&input, end) in ends {
            if assigned.read_to(input) < *end {
                lagging.push(input);
            } else if deployment.ends.is_some() {
                // Nothing more will come from there in this run.
                assigned.task.close(input.stream, input.partition);
            }
        }
        let last = lagging.iter().copied().min_by_key(|input| assigned.task.newest(input.stream, input.partition));
        let leaders: Vec<_> = match last {
            Some(last) if lagging.len() > 1 => lagging.into_iter().filter(|input| *input != last).collect(),
            _ => Vec::new(),
        };
        transport.resume(&self.paused)?;
        transport.pause(&leaders)?;
        self.paused = leaders;
        Ok(())
    }
}

/// `inputs`: each with how far it was read, and its end in a bounded run.
fn ends(survey: &dyn TopicSurvey, inputs: &[(InputPartition, u64, Option<u64>)]) -> Result<Ends, TransportError> {
    let end = |&(input, read, end)| match end {
        Some(end) => Ok((input, end)),
        None => {
            let retained = survey.retained(input)?.end;
            // Markers of transactions stand at the end of a log, which nobody reads: what lies before them is looked for only where something may.
            Ok((input, if read < retained { survey.end(input)? } else { retained }))
        }
    };
    inputs.iter().map(end).collect()
}
