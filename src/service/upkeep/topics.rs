//! `motif topics`: what is there of what a configuration needs, and making what is missing.

use anyhow::Context;

use crate::config::{Config, KafkaConfig};
use crate::kafka::{Admin, Found, Link, Survey};
use crate::pattern::Program;
use crate::ports::{NewTopic, TopicFacts, TransportError};
use crate::service::upkeep::findings::{Facts, Finding, Severity, examine, lost_outputs};
use crate::service::upkeep::needs::{Need, Purpose, needs};
use crate::service::upkeep::partitioning::{partitioning, undeclared_keys};
use crate::service::upkeep::sampling::misplaced_keys;

/// A topic that the configuration needs.
#[derive(Debug)]
pub struct TopicReport {
    pub need: Need,
    pub state: TopicState,
    /// `None`: it does not exist.
    pub facts: Option<TopicFacts>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicState {
    There,
    Missing,
    /// We are not allowed to know.
    Hidden,
    /// Just now.
    Created,
}

/// How topics are to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// Of every topic; `None`: as many as the inputs have.
    pub partitions: Option<u32>,
    /// Copies of each partition; `None`: as many as the inputs have, or else as the cluster does by default.
    pub replicas: Option<u32>,
}

/// Why topics cannot be made as things stand: what the user gave is wrong.
#[derive(Debug, thiserror::Error)]
pub enum CannotCreate {
    #[error("no input topic exists yet; say with --partitions how many partitions all of them are to have")]
    PartitionsUnknown,
    #[error("topic {topic} has {found} partitions, and --partitions says {asked}: inputs must have the same number; leave the option out to take {found}")]
    PartitionsDiffer { topic: String, found: u32, asked: u32 },
}

impl TopicReport {
    /// Whether it is there and what is wrong with it cannot be told.
    pub fn is_hidden(&self) -> bool {
        self.state == TopicState::Hidden
    }

    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Looks only.
pub fn inspect(program: &Program, config: &Config) -> anyhow::Result<Vec<TopicReport>> {
    let (admin, kafka) = open(config)?;
    let (needs, facts) = look(&admin, program, config, kafka)?;
    Ok(with_partitioning(report(needs.clone(), &facts, &[]), program, config, facts.tasks(&needs)))
}

/// Makes what is missing, then looks. What exists is left as it is.
pub fn create(program: &Program, config: &Config, options: CreateOptions) -> anyhow::Result<Vec<TopicReport>> {
    let (admin, kafka) = open(config)?;
    let (needs, before) = look(&admin, program, config, kafka)?;
    let inputs = plan_inputs(&needs, &before, options)?;
    admin.create(&inputs)?;
    // What is written depends on how the inputs turned out: their partitions and the cluster's defaults are known only now.
    let (needs, between) = look(&admin, program, config, kafka)?;
    let outputs = plan_outputs(&needs, &between, options)?;
    admin.create(&outputs)?;
    let created: Vec<String> = inputs.into_iter().chain(outputs).map(|topic| topic.name).collect();
    let facts = facts(&admin, &needs)?;
    Ok(with_partitioning(report(needs.clone(), &facts, &created), program, config, facts.tasks(&needs)))
}

/// What events that do not meet cost stands with the first input, keys that have to be declared or that lie in several partitions with their topics.
fn with_partitioning(mut reports: Vec<TopicReport>, program: &Program, config: &Config, tasks: Option<u32>) -> Vec<TopicReport> {
    let Some(tasks) = tasks else { return reports };
    if let Some(first) = reports.iter_mut().find(|report| report.need.is_input()) {
        first.findings.extend(partitioning(program, config, tasks));
    }
    add_errors(&mut reports, undeclared_keys(program, config, tasks));
    let link = config.kafka.as_ref().map(|kafka| link(config, kafka)).filter(|_| all_inputs_fit(&reports, tasks));
    match link.map(|link| misplaced_keys(&link, program, config, tasks)) {
        Some(Ok(misplaced)) => add_errors(&mut reports, misplaced.into_iter().map(|misplaced| (misplaced.topic, misplaced.what))),
        // Who looks after topics may not be allowed to read them.
        Some(Err(error)) => tracing::warn!("whether events that belong together are in one partition was not looked at: {error}"),
        None => {}
    }
    reports
}

fn all_inputs_fit(reports: &[TopicReport], tasks: u32) -> bool {
    let mut inputs = reports.iter().filter(|report| report.need.is_input());
    inputs.all(|report| report.facts.as_ref().is_some_and(|facts| facts.partitions == tasks))
}

/// Each with the report of its topic.
fn add_errors(reports: &mut [TopicReport], errors: impl IntoIterator<Item = (String, String)>) {
    for (topic, what) in errors {
        let report = reports.iter_mut().find(|report| report.need.topic == topic);
        report.into_iter().for_each(|report| report.findings.push(Finding { severity: Severity::Error, what: what.clone() }));
    }
}

fn open(config: &Config) -> anyhow::Result<(Admin, &KafkaConfig)> {
    let kafka = config.kafka.as_ref().context("the configuration has no [kafka] table")?;
    Ok((Admin::open(&link(config, kafka))?, kafka))
}

/// The inputs tell whether events have to be keyed otherwise, and then more is needed.
fn look(admin: &Admin, program: &Program, config: &Config, kafka: &KafkaConfig) -> anyhow::Result<(Vec<Need>, Facts)> {
    let at_least = needs(program, config, kafka, None);
    let found = facts(admin, &at_least)?;
    let all = needs(program, config, kafka, found.tasks(&at_least));
    if all == at_least {
        return Ok((all, found));
    }
    let found = facts(admin, &all)?;
    Ok((all, found))
}

/// How to reach the cluster that a configuration names.
pub(in crate::service) fn link(config: &Config, kafka: &KafkaConfig) -> Link {
    Link { brokers: kafka.brokers.clone(), group: kafka.group.clone(), properties: kafka.properties.clone(), record_bytes_max: config.limits.record_bytes_max }
}

/// Before a service starts: names every topic that does not exist, and the command that makes them.
pub(in crate::service) fn refuse_missing(survey: &Survey, program: &Program, config: &Config, kafka: &KafkaConfig) -> anyhow::Result<()> {
    let needs = needs(program, config, kafka, survey.tasks().ok());
    let found: Vec<(&Need, Found)> = needs.iter().map(|need| (need, survey.find(&need.topic))).collect();
    let hidden: Vec<&Need> = found.iter().filter(|(_, found)| *found == Found::Hidden).map(|(need, _)| *need).collect();
    if !hidden.is_empty() {
        return Err(refuse_hidden(survey.link(), &hidden).into());
    }
    let missing: Vec<&str> = found.iter().filter(|(_, found)| *found == Found::Missing).map(|(need, _)| need.topic.as_str()).collect();
    let file = config.file.as_deref().map_or("FILE".to_owned(), |file| file.display().to_string());
    let remedy = format!("`motif topics --config {file} --create` makes what is missing");
    match missing.as_slice() {
        [] => Ok(()),
        [topic] => anyhow::bail!("topic {topic} does not exist at {}; {remedy}", kafka.brokers),
        topics => anyhow::bail!("topics {} do not exist at {}; {remedy}", topics.join(", "), kafka.brokers),
    }
}

fn refuse_hidden(link: &Link, hidden: &[&Need]) -> TransportError {
    let deeds: Vec<_> = hidden.iter().map(|need| (need.topic.as_str(), need.operations())).collect();
    link.hidden(&deeds.iter().map(|(topic, operations)| (*topic, operations.as_slice())).collect::<Vec<_>>())
}

/// Before a service starts: matches would be missing, and nobody would know.
pub(in crate::service) fn refuse_undeclared_keys(program: &Program, config: &Config, tasks: u32) -> anyhow::Result<()> {
    let sentences: Vec<String> = undeclared_keys(program, config, tasks).into_iter().map(|(_, sentence)| sentence).collect();
    anyhow::ensure!(sentences.is_empty(), "{}", sentences.join("; "));
    Ok(())
}

/// Says of patterns whose events do not meet, and of those that one task evaluates alone, what that costs.
pub(in crate::service) fn warn_of_partitioning(program: &Program, config: &Config, tasks: u32) {
    for warning in partitioning(program, config, tasks) {
        tracing::warn!("{}", warning.what);
    }
}

/// Before a service starts: looks at the last records, and says where the events of one key are in several partitions. The number of keys of which that was seen.
pub(in crate::service) fn warn_of_misplaced_keys(link: &Link, program: &Program, config: &Config, tasks: u32) -> u64 {
    match misplaced_keys(link, program, config, tasks) {
        Ok(misplaced) => {
            misplaced.iter().for_each(|misplaced| tracing::error!("{}", misplaced.what));
            misplaced.iter().map(|misplaced| misplaced.keys).sum()
        }
        Err(error) => {
            tracing::warn!("whether events that belong together are in one partition was not looked at: {error}");
            0
        }
    }
}

/// Before a service starts: topics that would not keep what it writes. Where their settings are not told, they are taken to be good.
pub(in crate::service) fn refuse_lost_outputs(program: &Program, config: &Config, tasks: u32) -> anyhow::Result<()> {
    let (admin, kafka) = open(config)?;
    let mut needs = needs(program, config, kafka, Some(tasks));
    needs.retain(|need| !need.is_input());
    let topics: Vec<&str> = needs.iter().map(|need| need.topic.as_str()).collect();
    let lost = match admin.settings(&topics) {
        Ok(found) => lost_outputs(&needs, &found),
        Err(error) => {
            tracing::warn!(%error, "whether the topics keep what is written to them is not told");
            Vec::new()
        }
    };
    anyhow::ensure!(lost.is_empty(), "{}", lost.join("; "));
    Ok(())
}

/// Logs what `motif topics` says of the topics: records that are about to be deleted, a journal that is not kept for long enough. The start does not wait for that; where it cannot be
/// told, nothing is said.
pub(in crate::service) fn warn_of_topics(program: &Program, config: &Config) {
    let (program, config) = (program.clone(), config.clone());
    std::thread::spawn(move || {
        for finding in examined(&program, &config).unwrap_or_default().into_iter().flat_map(|report| report.findings) {
            tracing::warn!("{}", finding.what);
        }
    });
}

/// The topics by themselves, whatever is in them.
fn examined(program: &Program, config: &Config) -> anyhow::Result<Vec<TopicReport>> {
    let (admin, kafka) = open(config)?;
    let (needs, facts) = look(&admin, program, config, kafka)?;
    Ok(report(needs, &facts, &[]))
}

fn facts(admin: &Admin, needs: &[Need]) -> anyhow::Result<Facts> {
    let topics: Vec<&str> = needs.iter().map(|need| need.topic.as_str()).collect();
    let found = admin.describe(&topics)?;
    let others: Vec<&str> = topics.into_iter().filter(|topic| !found.contains_key(*topic)).collect();
    let hidden = admin.hidden(&others);
    let hidden = needs.iter().filter(|need| hidden.contains(&need.topic.as_str()));
    let hidden = hidden.map(|need| (need.topic.clone(), refuse_hidden(admin.link(), &[need]).reason)).collect();
    Ok(Facts { brokers: admin.brokers(), topics: found, hidden })
}

fn report(needs: Vec<Need>, facts: &Facts, created: &[String]) -> Vec<TopicReport> {
    let findings = examine(&needs, facts);
    let report = |(need, findings): (Need, Vec<Finding>)| {
        let lacks = facts.lacks(&need);
        let facts = facts.topics.get(&need.topic).cloned();
        let state = match &facts {
            None if lacks => TopicState::Missing,
            None => TopicState::Hidden,
            Some(_) if created.contains(&need.topic) => TopicState::Created,
            Some(_) => TopicState::There,
        };
        TopicReport { need, state, facts, findings }
    };
    needs.into_iter().zip(findings).map(report).collect()
}

fn plan_inputs(needs: &[Need], facts: &Facts, options: CreateOptions) -> Result<Vec<NewTopic>, CannotCreate> {
    if let Some(asked) = options.partitions
        && let Some((need, found)) = needs.iter().filter(|need| need.is_input()).find_map(|need| Some((need, facts.topics.get(&need.topic)?.partitions)))
        && found != asked
    {
        return Err(CannotCreate::PartitionsDiffer { topic: need.topic.clone(), found, asked });
    }
    plan(needs, facts, options, Need::is_input)
}

fn plan_outputs(needs: &[Need], facts: &Facts, options: CreateOptions) -> Result<Vec<NewTopic>, CannotCreate> {
    plan(needs, facts, options, |need| !need.is_input())
}

fn plan(needs: &[Need], facts: &Facts, options: CreateOptions, wanted: impl Fn(&Need) -> bool) -> Result<Vec<NewTopic>, CannotCreate> {
    let missing: Vec<&Need> = needs.iter().filter(|need| wanted(need) && facts.lacks(need)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let partitions = match facts.tasks(needs).or(options.partitions) {
        Some(partitions) => partitions,
        // They may well be there; the report tells.
        None if needs.iter().any(|need| need.is_input() && !facts.lacks(need)) => return Ok(Vec::new()),
        None => return Err(CannotCreate::PartitionsUnknown),
    };
    let as_inputs = needs.iter().filter(|need| need.is_input()).find_map(|need| Some(facts.topics.get(&need.topic)?.replicas));
    let replicas = options.replicas.or(as_inputs);
    let retention = facts.input_retention(needs);
    let new = |need: &Need| NewTopic { name: need.topic.clone(), partitions, replicas, settings: settings(need, replicas, retention) };
    Ok(missing.into_iter().map(new).collect())
}

fn settings(need: &Need, replicas: Option<u32>, input_retention: Option<i64>) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if !need.is_input() {
        settings.push(("cleanup.policy", "delete".to_owned()));
    }
    if replicas.is_some_and(|replicas| replicas > 2) {
        settings.push(("min.insync.replicas", "2".to_owned()));
    }
    if let Some(bytes_max) = need.rekeyed_bytes_max() {
        settings.push(("max.message.bytes", bytes_max.to_string()));
    }
    if need.is_for(&Purpose::Journal) || need.rekeyed_bytes_max().is_some() {
        // Where nobody tells how long the inputs are kept, only for ever is surely long enough.
        settings.push(("retention.ms", input_retention.unwrap_or(-1).to_string()));
        settings.push(("retention.bytes", "-1".to_owned()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn needs() -> Vec<Need> {
        let need = |topic: &str, purpose| Need { topic: topic.to_owned(), purposes: vec![purpose] };
        vec![
            need("a", Purpose::Input("a".to_owned())),
            need("b", Purpose::Input("b".to_owned())),
            need("m", Purpose::Matches),
            need("g.journal", Purpose::Journal),
        ]
    }

    fn there(topics: &[(&str, u32, u32, &str)]) -> Facts {
        let facts = |(name, partitions, replicas, retention): &(&str, u32, u32, &str)| {
            let settings = [("retention.ms".to_owned(), (*retention).to_owned())].into();
            ((*name).to_owned(), TopicFacts { partitions: *partitions, replicas: *replicas, settings, outlived: 0 })
        };
        Facts { brokers: 3, topics: topics.iter().map(facts).collect(), hidden: BTreeMap::new() }
    }

    fn shown(planned: &[NewTopic]) -> Vec<String> {
        let settings = |topic: &NewTopic| topic.settings.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        planned.iter().map(|topic| format!("{} {} {:?}{}", topic.name, topic.partitions, topic.replicas, settings(topic))).collect()
    }

    #[test]
    fn what_is_missing_is_made_like_the_inputs_that_are_there() {
        let facts = there(&[("b", 8, 3, "3600000")]);
        let planned = plan_inputs(&needs(), &facts, CreateOptions::default()).expect("possible");
        assert_eq!(shown(&planned), ["a 8 Some(3) min.insync.replicas=2"]);
        let facts = there(&[("a", 8, 1, "-1"), ("b", 8, 1, "3600000"), ("m", 2, 1, "1")]);
        let planned = plan_outputs(&needs(), &facts, CreateOptions::default()).expect("possible");
        assert_eq!(shown(&planned), ["g.journal 8 Some(1) cleanup.policy=delete retention.ms=-1 retention.bytes=-1"]);
        let facts = there(&[("a", 8, 1, "60000"), ("b", 8, 1, "3600000")]);
        let planned = plan_outputs(&needs(), &facts, CreateOptions { partitions: None, replicas: Some(2) }).expect("possible");
        assert_eq!(shown(&planned), ["m 8 Some(2) cleanup.policy=delete", "g.journal 8 Some(2) cleanup.policy=delete retention.ms=3600000 retention.bytes=-1"]);
    }

    #[test]
    fn what_events_by_other_keys_go_through_takes_all_of_them_and_keeps_them_as_long_as_the_inputs() {
        let needs = vec![
            Need { topic: "a".to_owned(), purposes: vec![Purpose::Input("a".to_owned())] },
            Need { topic: "g.rekeyed".to_owned(), purposes: vec![Purpose::Rekeyed { record_bytes_max: 1_200_000 }] },
        ];
        let planned = plan_outputs(&needs, &there(&[("a", 8, 1, "60000")]), CreateOptions::default()).expect("possible");
        assert_eq!(shown(&planned), ["g.rekeyed 8 Some(1) cleanup.policy=delete max.message.bytes=1200000 retention.ms=60000 retention.bytes=-1"]);
    }

    #[test]
    fn where_nothing_is_there_the_number_of_partitions_is_asked_for() {
        let none = there(&[]);
        let error = plan_inputs(&needs(), &none, CreateOptions::default()).expect_err("unknown").to_string();
        assert!(error.contains("--partitions"), "{error}");
        let options = CreateOptions { partitions: Some(4), replicas: None };
        assert_eq!(shown(&plan_inputs(&needs(), &none, options).expect("possible")), ["a 4 None", "b 4 None"]);
        let error = plan_inputs(&needs(), &there(&[("b", 8, 3, "1")]), options).expect_err("another number").to_string();
        assert!(error.contains("topic b has 8 partitions") && error.contains("says 4"), "{error}");
    }

    #[test]
    fn what_may_be_there_unseen_is_not_made() {
        let mut facts = there(&[]);
        facts.hidden.insert("a".to_owned(), String::new());
        assert_eq!(plan_inputs(&needs(), &facts, CreateOptions::default()).expect("nobody can tell how many partitions"), []);
        let options = CreateOptions { partitions: Some(4), replicas: None };
        assert_eq!(shown(&plan_inputs(&needs(), &facts, options).expect("possible")), ["b 4 None"]);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let all = there(&[("a", 8, 1, "1"), ("b", 3, 1, "1"), ("m", 2, 1, "1"), ("g.journal", 1, 1, "1")]);
        assert_eq!(plan_inputs(&needs(), &all, CreateOptions::default()).expect("nothing to do"), []);
        assert_eq!(plan_outputs(&needs(), &all, CreateOptions::default()).expect("nothing to do"), []);
    }
}
