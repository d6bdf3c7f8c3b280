//! `motif verify`: what differs, then the counts.

use serde::Serialize;

use crate::cli::args::{Format, VerifyArguments};
use crate::cli::deployment::load;
use crate::cli::exit::{Outcome, say};
use crate::cli::text::{counted, print};
use crate::service::topics::verify::{Counts, Difference, Report, verify};

pub(super) fn verify_command(arguments: &VerifyArguments) -> anyhow::Result<Outcome> {
    let Some(loaded) = load(&arguments.config, arguments.format)? else { return Ok(Outcome::Wrong) };
    let report = verify(loaded.program, &loaded.sources, &loaded.config)?;
    let shown = &report.differences[..report.differences.len().min(arguments.limit)];
    match arguments.format {
        Format::Text => print(&text(&report, shown))?,
        Format::Json => print(&json(&report, shown)?)?,
    }
    Ok(verdict(&report))
}

/// Where not one epoch could be recomputed, nothing was decided.
fn verdict(report: &Report) -> Outcome {
    let Counts { epochs, recomputed, .. } = report.counts;
    if !report.differences.is_empty() {
        say("the promises were not kept");
        Outcome::Wrong
    } else if recomputed == 0 && epochs > 0 {
        say("what is there is consistent, but no epoch could be recomputed: whether matches are missing is not decided");
        Outcome::Unfinished
    } else if recomputed < epochs {
        say(&format!("as far as it can be decided ({recomputed} of {epochs} epochs), each match is there once"));
        Outcome::Fine
    } else {
        say("each match is there once");
        Outcome::Fine
    }
}

fn text(report: &Report, shown: &[Difference]) -> String {
    let Counts { epochs, recomputed, events, matches, late, rejected } = report.counts;
    let mut text = String::new();
    for note in &report.notes {
        text += &format!("{note}\n");
    }
    for difference in shown {
        text += &format!("task {}, epoch {}: {}: {}\n", difference.stage.task(difference.task), difference.epoch, difference.kind.text(), difference.what);
    }
    let more = report.differences.len() - shown.len();
    if more > 0 {
        text += &format!("and {more} more\n");
    }
    text + &format!(
        "{}, {} ({recomputed} recomputed from {}): {}, {late} late, {rejected} rejected; {}\n",
        counted(u64::from(report.tasks), "task", "tasks"),
        counted(epochs, "epoch", "epochs"),
        counted(events, "record", "records"),
        counted(matches, "match", "matches"),
        counted(report.differences.len() as u64, "difference", "differences"),
    )
}

#[derive(Serialize)]
struct DifferenceLine<'a> {
    /// Of the second stage, where patterns are keyed otherwise than their topics are partitioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    task: u32,
    epoch: u64,
    difference: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    tasks: u32,
    epochs: u64,
    recomputed: u64,
    records: u64,
    matches: u64,
    late: u64,
    rejected: u64,
    differences: usize,
    notes: &'a [String],
}

/// A line for each difference, then one with the counts.
fn json(report: &Report, shown: &[Difference]) -> anyhow::Result<String> {
    let mut text = String::new();
    for Difference { stage, task, epoch, kind, what } in shown {
        text += &serde_json::to_string(&DifferenceLine { stage: stage.header(), task: *task, epoch: *epoch, difference: kind.text(), message: what })?;
        text.push('\n');
    }
    let Counts { epochs, recomputed, events, matches, late, rejected } = report.counts;
    let differences = report.differences.len();
    let summary = SummaryLine { tasks: report.tasks, epochs, recomputed, records: events, matches, late, rejected, differences, notes: &report.notes };
    Ok(text + &serde_json::to_string(&summary)? + "\n")
}
