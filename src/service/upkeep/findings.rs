//! What is wrong with the topics of a deployment: needs and facts in, sentences out.
//!
//! An error keeps the service from starting, or breaks a promise; a warning is what an operator should know before data is lost. A service refuses to start where what it writes would
//! surely be lost ([`lost_outputs`]), and logs all else that is found.

use std::collections::BTreeMap;

use crate::event::TimeSpan;
use crate::ports::TopicFacts;
use crate::service::upkeep::needs::{Need, Purpose};

/// One thing about one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// A sentence that names the topic, and the remedy.
    pub what: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// What the cluster has told.
#[derive(Debug)]
pub(super) struct Facts {
    pub brokers: usize,
    pub topics: BTreeMap<String, TopicFacts>,
    /// Those that we may not know of, each with what would let us.
    pub hidden: BTreeMap<String, String>,
}

impl Facts {
    fn of(&self, need: &Need) -> Option<&TopicFacts> {
        self.topics.get(&need.topic)
    }

    /// Surely not there: it may be made.
    pub(super) fn lacks(&self, need: &Need) -> bool {
        self.of(need).is_none() && !self.hidden.contains_key(&need.topic)
    }

    /// How many tasks there are: the partitions of the first input that exists.
    pub(super) fn tasks(&self, needs: &[Need]) -> Option<u32> {
        needs.iter().filter(|need| need.is_input()).find_map(|need| Some(self.of(need)?.partitions))
    }

    /// How long the inputs are kept, in milliseconds; below 0: for ever. `None` where that is not known.
    pub(super) fn input_retention(&self, needs: &[Need]) -> Option<i64> {
        let kept = needs.iter().filter(|need| need.is_input()).filter_map(|need| self.of(need)?.number("retention.ms"));
        kept.reduce(|a, b| if a < 0 || b < 0 { -1 } else { a.max(b) })
    }
}

/// Of each need its findings.
pub(super) fn examine(needs: &[Need], facts: &Facts) -> Vec<Vec<Finding>> {
    needs.iter().map(|need| examine_one(need, needs, facts)).collect()
}

/// Of the topics that are written those that lose what they are given, whatever else is done: a sentence for each.
pub(super) fn lost_outputs(needs: &[Need], topics: &BTreeMap<String, TopicFacts>) -> Vec<String> {
    let of_need = |need: &Need| {
        let mut found = Found { topic: &need.topic, findings: Vec::new() };
        compaction(&mut found, need, topics.get(&need.topic)?);
        found.findings.pop().map(|finding| finding.what)
    };
    needs.iter().filter(|need| !need.is_input()).filter_map(of_need).collect()
}

fn examine_one(need: &Need, needs: &[Need], facts: &Facts) -> Vec<Finding> {
    let mut found = Found { topic: &need.topic, findings: Vec::new() };
    let is_alone = need.is_input() || need.is_for(&Purpose::Journal) || need.rekeyed_bytes_max().is_some();
    if is_alone && need.purposes.len() > 1 {
        let purposes: Vec<String> = need.purposes.iter().map(ToString::to_string).collect();
        found.error(format!("serves for {}; give each a topic of its own", purposes.join(" and ")));
    }
    let Some(topic) = facts.of(need) else {
        match facts.hidden.get(&need.topic) {
            Some(sentence) => found.findings.push(Finding { severity: Severity::Error, what: sentence.clone() }),
            None => found.error("does not exist".to_owned()),
        }
        return found.findings;
    };
    if need.is_input() {
        input(&mut found, topic, facts.tasks(needs).unwrap_or(topic.partitions));
    }
    if need.is_for(&Purpose::Journal) {
        journal(&mut found, topic, facts.tasks(needs));
    }
    if let Some(bytes_max) = need.rekeyed_bytes_max() {
        rekeyed(&mut found, topic, facts.tasks(needs), bytes_max);
    }
    if need.is_for(&Purpose::Journal) || need.rekeyed_bytes_max().is_some() {
        kept(&mut found, topic, facts.input_retention(needs));
    }
    compaction(&mut found, need, topic);
    replication(&mut found, topic, facts.brokers);
    found.findings
}

struct Found<'a> {
    topic: &'a str,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn error(&mut self, what: String) {
        self.findings.push(Finding { severity: Severity::Error, what: format!("topic {} {what}", self.topic) });
    }

    fn warning(&mut self, what: String) {
        self.findings.push(Finding { severity: Severity::Warning, what: format!("topic {} {what}", self.topic) });
    }
}

fn input(found: &mut Found<'_>, topic: &TopicFacts, tasks: u32) {
    if topic.partitions != tasks {
        found.error(format!(
            "has {} partitions and the first input has {tasks}; events with one key meet only where all input topics have the same number",
            topic.partitions
        ));
    }
    if topic.outlived > 0 {
        let retention = shown(topic.number("retention.ms").unwrap_or(-1));
        found.warning(format!(
            "keeps records for {retention} by their own times, and {} of its {} partitions hold older ones only: Kafka deletes them within minutes, read or not; set retention.ms=-1 to read history",
            topic.outlived, topic.partitions
        ));
    }
}

fn rekeyed(found: &mut Found<'_>, topic: &TopicFacts, tasks: Option<u32>, bytes_max: u64) {
    if let Some(tasks) = tasks.filter(|tasks| topic.partitions != *tasks) {
        found.error(format!("has {} partitions and the first input has {tasks}; events by other keys go to as many tasks: make it anew", topic.partitions));
    }
    if topic.number("max.message.bytes").is_some_and(|bytes| bytes.cast_unsigned() < bytes_max) {
        found.error(format!("may not take the longest events that limits.record_bytes_max allows; set max.message.bytes={bytes_max}"));
    }
}

fn journal(found: &mut Found<'_>, topic: &TopicFacts, tasks: Option<u32>) {
    if let Some(tasks) = tasks.filter(|tasks| topic.partitions < *tasks) {
        found.error(format!("has {} partitions, and there are {tasks} tasks, each with one of its own; add partitions", topic.partitions));
    }
}

/// What is needed to repeat what was read.
fn kept(found: &mut Found<'_>, topic: &TopicFacts, inputs_kept: Option<i64>) {
    if let (Some(kept), Some(inputs_kept)) = (topic.number("retention.ms"), inputs_kept)
        && kept >= 0
        && (inputs_kept < 0 || kept < inputs_kept)
    {
        found.error(format!(
            "is kept for {}, the inputs for {}: without it, input cannot be replayed; set retention.ms={inputs_kept}",
            shown(kept),
            shown(inputs_kept)
        ));
    }
    if let Some(bytes) = topic.number("retention.bytes").filter(|bytes| *bytes >= 0) {
        found.warning(format!("is cut down to {bytes} bytes a partition, however long the inputs are kept; set retention.bytes=-1"));
    }
}

fn compaction(found: &mut Found<'_>, need: &Need, topic: &TopicFacts) {
    if !topic.is_compacted() {
        return;
    }
    match &need.purposes[0] {
        Purpose::Input(_) => found.warning("is compacted: records that were replaced are gone, and a state that is lost cannot be built again".to_owned()),
        Purpose::Matches => found.error("is compacted: of the matches of one key only the last would stay; set cleanup.policy=delete".to_owned()),
        Purpose::Late | Purpose::Rejected => {
            found.error("is compacted, and then takes no record without a key, as late and rejected ones may be; set cleanup.policy=delete".to_owned());
        }
        Purpose::Rekeyed { .. } => found.error("is compacted, and its records have no keys; set cleanup.policy=delete".to_owned()),
        Purpose::Journal => found.error("is compacted: every record of a journal counts; set cleanup.policy=delete".to_owned()),
    }
}

fn replication(found: &mut Found<'_>, topic: &TopicFacts, brokers: usize) {
    if topic.replicas < 2 && brokers > 1 {
        found.warning(format!("has one copy on a cluster of {brokers} brokers: it stands still while that broker does, and is lost with it"));
    }
    if topic.replicas > 1 && topic.number("min.insync.replicas").is_some_and(|copies| copies < 2) {
        found.warning("takes a record for written with one copy of it; set min.insync.replicas=2".to_owned());
    }
    if topic.settings.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
        found.warning("may lose committed records when brokers fail; set unclean.leader.election.enable=false".to_owned());
    }
}

fn shown(retention_ms: i64) -> String {
    if retention_ms < 0 { "ever".to_owned() } else { TimeSpan::from_millis(retention_ms).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(topic: &str, purposes: &[Purpose]) -> Need {
        Need { topic: topic.to_owned(), purposes: purposes.to_vec() }
    }

    fn needs() -> Vec<Need> {
        vec![
            need("a", &[Purpose::Input("a".to_owned())]),
            need("b", &[Purpose::Input("b".to_owned())]),
            need("m", &[Purpose::Matches]),
            need("l", &[Purpose::Late]),
            need("j", &[Purpose::Journal]),
        ]
    }

    fn facts(partitions: u32, settings: &[(&str, &str)]) -> TopicFacts {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TopicFacts { partitions, replicas: 1, settings, outlived: 0 }
    }

    const DAY: (&str, &str) = ("retention.ms", "86400000");

    fn good() -> Facts {
        let topic = |name: &str| (name.to_owned(), facts(4, &[DAY, ("cleanup.policy", "delete")]));
        Facts { brokers: 1, topics: ["a", "b", "m", "l", "j"].map(topic).into(), hidden: BTreeMap::new() }
    }

    fn said(change: impl FnOnce(&mut Facts)) -> Vec<String> {
        let mut facts = good();
        change(&mut facts);
        examine(&needs(), &facts).concat().into_iter().map(|finding| format!("{:?}: {}", finding.severity, finding.what)).collect()
    }

    fn set(facts: &mut Facts, topic: &str, name: &str, value: &str) {
        facts.topics.get_mut(topic).expect("known").settings.insert(name.to_owned(), value.to_owned());
    }

    #[test]
    fn what_fits_is_passed_over_in_silence() {
        assert_eq!(said(|_| {}), Vec::<String>::new());
        // More partitions than tasks, kept for longer, settings that nobody may ask for.
        let more = |facts: &mut Facts| {
            facts.topics.insert("j".to_owned(), super::tests::facts(9, &[("retention.ms", "-1")]));
            facts.topics.insert("m".to_owned(), super::tests::facts(1, &[]));
        };
        assert_eq!(said(more), Vec::<String>::new());
    }

    #[test]
    fn each_fault_has_its_sentence() {
        type Change = fn(&mut Facts);
        let table: &[(Change, &[&str])] = &[
            (|facts| drop(facts.topics.remove("m")), &["Error: topic m does not exist"]),
            (
                |facts| {
                    facts.topics.remove("a");
                    facts.hidden.insert("a".to_owned(), "Kafka does not let us see topic a".to_owned());
                },
                &["Error: Kafka does not let us see topic a"],
            ),
            (|facts| facts.topics.get_mut("b").expect("known").partitions = 3, &["Error: topic b has 3 partitions and the first input has 4"]),
            (|facts| facts.topics.get_mut("j").expect("known").partitions = 3, &["Error: topic j has 3 partitions, and there are 4 tasks"]),
            (|facts| set(facts, "a", "retention.ms", "90000000"), &["Error: topic j is kept for 1d, the inputs for 1d1h", "retention.ms=90000000"]),
            (|facts| set(facts, "a", "retention.ms", "-1"), &["Error: topic j is kept for 1d, the inputs for ever", "retention.ms=-1"]),
            (|facts| set(facts, "j", "retention.bytes", "1000"), &["Warning: topic j is cut down to 1000 bytes"]),
            (|facts| set(facts, "a", "cleanup.policy", "compact,delete"), &["Warning: topic a is compacted"]),
            (|facts| set(facts, "m", "cleanup.policy", "compact"), &["Error: topic m is compacted"]),
            (|facts| set(facts, "l", "cleanup.policy", "compact"), &["Error: topic l is compacted", "without a key"]),
            (|facts| set(facts, "j", "cleanup.policy", "compact"), &["Error: topic j is compacted"]),
            (|facts| set(facts, "a", "unclean.leader.election.enable", "true"), &["Warning: topic a may lose"]),
            (
                |facts| facts.topics.get_mut("a").expect("known").outlived = 2,
                &["Warning: topic a keeps records for 1d", "2 of its 4 partitions", "retention.ms=-1"],
            ),
            (
                |facts| {
                    facts.topics.get_mut("a").expect("known").replicas = 3;
                    set(facts, "a", "min.insync.replicas", "1");
                },
                &["Warning: topic a takes a record for written with one copy"],
            ),
        ];
        for (change, parts) in table {
            let said = said(change);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(parts.iter().all(|part| said[0].contains(part)), "{said:?}");
        }
        assert_eq!(said(|facts| facts.brokers = 3).len(), 5, "one copy each");
    }

    #[test]
    fn what_events_by_other_keys_go_through_fits_inputs_and_records() {
        let needs = [need("a", &[Purpose::Input("a".to_owned())]), need("r", &[Purpose::Rekeyed { record_bytes_max: 2_000 }])];
        for (partitions, settings, said) in [
            (4, &[DAY, ("max.message.bytes", "2000")][..], None),
            (3, &[DAY], Some("topic r has 3 partitions and the first input has 4")),
            (4, &[DAY, ("max.message.bytes", "1999")], Some("max.message.bytes=2000")),
            (4, &[("retention.ms", "1")], Some("retention.ms=86400000")),
            (4, &[DAY, ("cleanup.policy", "compact")], Some("topic r is compacted")),
        ] {
            let topics = [("a".to_owned(), facts(4, &[DAY])), ("r".to_owned(), facts(partitions, settings))].into();
            let facts = Facts { brokers: 1, topics, hidden: BTreeMap::new() };
            let found: Vec<String> = examine(&needs, &facts).concat().into_iter().map(|finding| finding.what).collect();
            assert_eq!(found.len(), usize::from(said.is_some()), "{found:?}");
            assert!(said.is_none_or(|said| found[0].contains(said)), "{found:?}");
        }
    }

    #[test]
    fn a_topic_is_not_read_and_written_at_once() {
        let both = [need("a", &[Purpose::Input("a".to_owned()), Purpose::Matches])];
        let findings = examine(&both, &good()).concat();
        assert!(findings[0].what.contains("serves for stream a and matches"), "{findings:?}");
    }

    #[test]
    fn a_service_refuses_to_write_what_compaction_takes_away_and_nothing_else() {
        let lost = |change: &dyn Fn(&mut Facts)| {
            let mut facts = good();
            change(&mut facts);
            lost_outputs(&needs(), &facts.topics)
        };
        for topic in ["m", "l", "j"] {
            for policy in ["compact", "compact,delete"] {
                let said = lost(&|facts| set(facts, topic, "cleanup.policy", policy));
                assert!(
                    said.len() == 1 && said[0].starts_with(&format!("topic {topic} is compacted")) && said[0].contains("cleanup.policy=delete"),
                    "{said:?}"
                );
            }
        }
        for (topic, name, value) in [("a", "cleanup.policy", "compact"), ("j", "retention.ms", "1"), ("m", "unclean.leader.election.enable", "true")] {
            assert_eq!(lost(&|facts| set(facts, topic, name, value)), Vec::<String>::new(), "{topic} {name}");
        }
        // Nobody tells.
        assert_eq!(lost(&|facts| facts.topics.values_mut().for_each(|topic| topic.settings.clear())), Vec::<String>::new());
    }
}
