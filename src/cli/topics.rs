//! `motif topics`: a line for each topic, then everything that is wrong with them.

use std::path::Path;

use serde::Serialize;

use crate::cli::args::{Format, TopicsArguments};
use crate::cli::deployment;
use crate::cli::exit::{Outcome, say};
use crate::cli::text::{counted, print};
use crate::service::upkeep::{CreateOptions, Severity, TopicReport, TopicState, create, inspect};

pub(super) fn topics(arguments: &TopicsArguments) -> anyhow::Result<Outcome> {
    let Some(deployment::Loaded { config, program, .. }) = deployment::load(&arguments.config, arguments.format)? else { return Ok(Outcome::Wrong) };
    let reports = if arguments.create {
        create(&program, &config, CreateOptions { partitions: arguments.partitions, replicas: arguments.replication })?
    } else {
        inspect(&program, &config)?
    };
    match arguments.format {
        Format::Text => print(&text(&reports))?,
        Format::Json => print(&json(&reports)?)?,
    }
    say(&summary(&reports, &arguments.config));
    // Of what may not be seen nobody knows whether it is wrong.
    if reports.iter().any(TopicReport::is_hidden) {
        return Ok(Outcome::Unfinished);
    }
    let is_wrong = reports.iter().any(TopicReport::has_errors);
    Ok(if is_wrong { Outcome::Wrong } else { Outcome::Fine })
}

fn text(reports: &[TopicReport]) -> String {
    let width = reports.iter().map(|report| report.need.topic.len()).max().unwrap_or(0).max("TOPIC".len());
    let mut text = format!("{:width$}  STATE    PARTITIONS  COPIES  FOR\n", "TOPIC");
    for report in reports {
        let number = |of: fn(&crate::ports::TopicFacts) -> u32| report.facts.as_ref().map_or("-".to_owned(), |facts| of(facts).to_string());
        let (partitions, copies) = (number(|facts| facts.partitions), number(|facts| facts.replicas));
        text += &format!("{:width$}  {:7}  {partitions:>10}  {copies:>6}  {}\n", report.need.topic, state(report.state), purposes(report).join(", "));
    }
    for finding in reports.iter().flat_map(|report| &report.findings) {
        text += &format!("{}: {}\n", severity(finding.severity), finding.what);
    }
    text
}

/// One object a line and topic.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    #[serde(rename = "for")]
    purposes: Vec<String>,
    state: &'static str,
    partitions: Option<u32>,
    replication: Option<u32>,
    retention_ms: Option<i64>,
    cleanup_policy: Option<&'a str>,
    findings: Vec<LineFinding<'a>>,
}

#[derive(Serialize)]
struct LineFinding<'a> {
    severity: &'static str,
    message: &'a str,
}

fn json(reports: &[TopicReport]) -> anyhow::Result<String> {
    let mut text = String::new();
    for report in reports {
        let facts = report.facts.as_ref();
        let line = Line {
            topic: &report.need.topic,
            purposes: purposes(report),
            state: state(report.state),
            partitions: facts.map(|facts| facts.partitions),
            replication: facts.map(|facts| facts.replicas),
            retention_ms: facts.and_then(|facts| facts.number("retention.ms")),
            cleanup_policy: facts.and_then(|facts| facts.settings.get("cleanup.policy")).map(String::as_str),
            findings: report.findings.iter().map(|finding| LineFinding { severity: severity(finding.severity), message: &finding.what }).collect(),
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

fn summary(reports: &[TopicReport], config: &Path) -> String {
    let count = |state| reports.iter().filter(|report| report.state == state).count() as u64;
    let (created, missing, hidden) = (count(TopicState::Created), count(TopicState::Missing), count(TopicState::Hidden));
    let found = |severity| reports.iter().flat_map(|report| &report.findings).filter(|finding| finding.severity == severity).count() as u64;
    let mut parts = vec![counted(reports.len() as u64, "topic", "topics")];
    if created > 0 {
        parts.push(format!("{created} created"));
    }
    if missing > 0 {
        parts.push(format!("{missing} missing (`motif topics --config {} --create` makes what is missing)", config.display()));
    }
    if hidden > 0 {
        parts.push(format!("{hidden} that may not be seen"));
    }
    let (errors, warnings) = (found(Severity::Error), found(Severity::Warning));
    parts.push(counted(errors, "error", "errors"));
    parts.push(counted(warnings, "warning", "warnings"));
    parts.join(", ")
}

fn purposes(report: &TopicReport) -> Vec<String> {
    report.need.purposes.iter().map(ToString::to_string).collect()
}

fn state(state: TopicState) -> &'static str {
    match state {
        TopicState::There => "there",
        TopicState::Missing => "missing",
        TopicState::Hidden => "hidden",
        TopicState::Created => "created",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
