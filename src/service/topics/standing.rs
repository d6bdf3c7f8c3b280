//! Where a task stands, whoever has it: as its journal and the ends of its inputs tell.

use anyhow::Context;

use crate::engine::{UpstreamPosition, watermark_behind};
use crate::event::EventTime;
use crate::ports::InputPartition;
use crate::service::topics::alignment::{Alignment, Question};
use crate::service::topics::deployment::Deployment;
use crate::service::topics::journal::EpochRecord;

/// Asks the brokers, and tells the alignment. Where they are away, nothing is known.
pub(super) fn find_out(deployment: &Deployment, alignment: &Alignment, question: Question) {
    let found = match question {
        Question::HowFar(task) => how_far(deployment, task).map(|position| position.into_iter().for_each(|position| alignment.learn_how_far(position))),
        Question::HasMore(task, beyond) => {
            has_more(deployment, task, beyond).map(|has_more| alignment.learn_has_more(task, beyond, has_more, deployment.tasks))
        }
    };
    if let Err(error) = found {
        tracing::warn!(?question, error = format!("{error:#}"), "how far a task is cannot be told");
    }
}

/// Which of these tasks a bounded run has finished, in order: up to the first that it has not.
pub(super) fn ended_among(deployment: &Deployment, tasks: &[u32]) -> anyhow::Result<Vec<u32>> {
    let mut ended = Vec::new();
    for &task in tasks {
        if !last_record(deployment, task)?.is_some_and(|last| last.ended) {
            break;
        }
        ended.push(task);
    }
    Ok(ended)
}

fn last_record(deployment: &Deployment, task: u32) -> anyhow::Result<Option<EpochRecord>> {
    let Some(entry) = deployment.survey.journal_last(task)? else { return Ok(None) };
    Ok(Some(EpochRecord::decode(&entry.value).with_context(|| format!("the journal of task {task} cannot be read"))?))
}

/// As it has said to those that go on with its events.
fn how_far(deployment: &Deployment, task: u32) -> anyhow::Result<Option<UpstreamPosition>> {
    let Some(last) = last_record(deployment, task)? else { return Ok(None) };
    let follows_clock = deployment.config.streams.values().any(|stream| stream.idle_after.is_some());
    let idle = !last.ended && !follows_clock && last.inputs.iter().all(|input| input.idle);
    Ok(Some(UpstreamPosition { task, watermark_us: last.watermark_out_us, idle }))
}

/// There is something to read in an input that holds the task back at this time; or none does any more, and that is only not heard yet.
fn has_more(deployment: &Deployment, task: u32, beyond: EventTime) -> anyhow::Result<bool> {
    let last = last_record(deployment, task)?;
    let mut is_held_back = false;
    for (&stream, topic) in &deployment.inputs {
        let range = last.as_ref().and_then(|last| last.inputs.iter().find(|range| range.topic == *topic));
        let lateness = deployment.evaluation.lateness(stream);
        if range.is_some_and(|range| range.idle || watermark_behind(EventTime::from_micros(range.newest_us), lateness) > beyond) {
            continue;
        }
        is_held_back = true;
        let input = InputPartition { stream, partition: task };
        let next = match range {
            Some(range) => range.next,
            None => deployment.survey.retained(input)?.start,
        };
        let end = match deployment.end_of(input) {
            Some(end) => end,
            None => deployment.survey.end(input)?,
        };
        if next < end {
            return Ok(true);
        }
    }
    Ok(!is_held_back)
}
