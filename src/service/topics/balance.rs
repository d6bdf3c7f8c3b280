//! Keeps the inputs of a task together, where one runs far ahead of another.
//!
//! An event waits in memory until every input has come as far in event time. When a long backlog is read, the input that happens to come first would fill
//! that memory, and then its events would be set aside. So beyond half of the bound, inputs that lead are paused until those that lag have caught up; but never
//! for an input that has nothing more to read: waiting for it would be waiting for ever.

use std::collections::BTreeMap;

use crate::event::{ProcessingTime, TimeSpan};
use crate::ports::{InputPartition, Transport, TransportError};
use crate::service::topics::assigned::Assigned;
use crate::service::topics::deployment::Deployment;

/// How often the end of a lagging input is asked for.
const ASK_INTERVAL: TimeSpan = TimeSpan::from_millis(500);

pub(super) struct Balance {
    held_events_max: usize,
    /// By task: the inputs that are paused, and when that was last thought over.
    paused: BTreeMap<u32, Paused>,
}

struct Paused {
    inputs: Vec<InputPartition>,
    asked: ProcessingTime,
}

impl Balance {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self { held_events_max: deployment.config.limits.held_events_max, paused: BTreeMap::new() }
    }

    /// Tasks that are not ours any more, or were made anew.
    pub(super) fn forget(&mut self, tasks: &[u32]) {
        self.paused.retain(|task, _| !tasks.contains(task));
    }

    pub(super) fn holds_back(&self, input: InputPartition) -> bool {
        self.paused.get(&input.partition).is_some_and(|paused| paused.inputs.contains(&input))
    }

    pub(super) fn check(&mut self, deployment: &Deployment, assigned: &mut Assigned, transport: &mut dyn Transport) -> Result<(), TransportError> {
        let held = assigned.task.held_events();
        let task = assigned.number;
        if let Some(paused) = self.paused.get(&task)
            && held < self.held_events_max / 4
        {
            transport.resume(&paused.inputs)?;
            self.paused.remove(&task);
            return Ok(());
        }
        let asked = self.paused.get(&task).map(|paused| paused.asked);
        if held < self.held_events_max / 2 || deployment.inputs.len() < 2 || asked.is_some_and(|asked| deployment.now().since(asked) < ASK_INTERVAL) {
            return Ok(());
        }
        self.think_over(deployment, assigned, transport)
    }

    fn think_over(&mut self, deployment: &Deployment, assigned: &mut Assigned, transport: &mut dyn Transport) -> Result<(), TransportError> {
        let inputs = deployment.inputs_of(assigned.number);
        let mut lagging = Vec::new();
        for &input in &inputs {
            let end = match deployment.end_of(input) {
                Some(end) => end,
                None => deployment.survey.retained(input)?.end,
            };
            // Markers of transactions stand at the end of a log, which nobody reads.
            let is_lagging = assigned.read_to(input) < end && (deployment.ends.is_some() || assigned.read_to(input) < deployment.survey.end(input)?);
            if is_lagging {
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
        if let Some(paused) = self.paused.remove(&assigned.number) {
            transport.resume(&paused.inputs)?;
        }
        transport.pause(&leaders)?;
        self.paused.insert(assigned.number, Paused { inputs: leaders, asked: deployment.now() });
        Ok(())
    }
}
