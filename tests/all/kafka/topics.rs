//! `motif topics`: what a configuration needs, what is there, and what is made of it.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::broker::{Broker, Produced, broker, unique};
use crate::workplace::{Workplace, start};

const PATTERNS: &str = "
stream clicks { user: string at: timestamp time at, late after 5s }
stream orders { user: string at: timestamp time at }
pattern both { from clicks, orders by user match c: clicks then o: orders within 1m }
";

/// A configuration whose topics nobody has made.
struct Deployment {
    work: Workplace,
    clicks: String,
    orders: String,
    output: String,
    journal: String,
}

impl Deployment {
    fn new(broker: &Broker) -> Self {
        let [clicks, orders, output, group] = ["clicks", "orders", "matches", "topics"].map(unique);
        let work = Workplace::new();
        work.write("p.motif", PATTERNS);
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"p.motif\"]\nstate = \"state\"\n[streams.clicks]\ntopic = \"{clicks}\"\n[streams.orders]\ntopic = \"{orders}\"\n\
             [output]\ntopic = \"{output}\"\nlate_topic = \"{output}.late\"\n[kafka]\nbrokers = \"{}\"\n",
            broker.address
        );
        work.write("motif.toml", text);
        Self { work, clicks, orders, output, journal: format!("{group}.journal") }
    }

    fn all(&self) -> [String; 5] {
        [self.clicks.clone(), self.orders.clone(), self.output.clone(), format!("{}.late", self.output), self.journal.clone()]
    }

    /// The exit status, and what was shown: an object for each topic.
    fn topics(&self, more: &str) -> (i32, Vec<Value>) {
        let ended = self.work.run(&format!("topics --config motif.toml --format json {more}"));
        let lines = ended.out();
        assert_ne!(ended.code, Some(2), "{}", ended.stderr);
        (ended.code.expect("no signal"), lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
    }
}

fn findings(topics: &[Value]) -> Vec<String> {
    let of = |topic: &Value| topic["findings"].as_array().expect("a list").clone();
    let text = |finding: Value| format!("{}: {}", finding["severity"].as_str().expect("text"), finding["message"].as_str().expect("text"));
    topics.iter().flat_map(of).map(text).collect()
}

fn column(topics: &[Value], name: &str) -> Vec<String> {
    topics.iter().map(|topic| topic[name].to_string()).collect()
}

#[test]
fn everything_that_is_missing_is_named_and_made_once() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    let (code, topics) = deployment.topics("");
    assert_eq!(code, 1, "{topics:?}");
    let names: Vec<&str> = topics.iter().filter_map(|topic| topic["topic"].as_str()).collect();
    assert_eq!(names, deployment.all());
    assert_eq!(column(&topics, "state"), vec!["\"missing\""; 5]);
    // The service says the same in a sentence, with the command that helps.
    let sentence = deployment.work.refusal("run --config motif.toml", 2);
    assert!(deployment.all().iter().all(|topic| sentence.contains(topic)), "{sentence}");
    assert!(sentence.contains("`motif topics --config motif.toml --create`"), "{sentence}");
    // How many partitions, nobody can know.
    let sentence = deployment.work.refusal("topics --config motif.toml --create", 1);
    assert!(sentence.contains("--partitions"), "{sentence}");

    for state in ["created", "there", "there"] {
        let more = if state == "created" { "--create --partitions 4 --replication 1" } else { "--create" };
        let (code, topics) = deployment.topics(more);
        assert_eq!((code, findings(&topics)), (0, Vec::new()), "{topics:?}");
        assert_eq!(column(&topics, "state"), vec![format!("\"{state}\""); 5]);
        assert_eq!(column(&topics, "partitions"), ["4"; 5]);
        assert_eq!(column(&topics, "retention_ms"), ["-1"; 5], "the journal is kept as long as the inputs, which the test broker keeps for ever");
    }
    assert_eq!(deployment.topics("").0, 0);
    assert_eq!(deployment.work.run("run --config motif.toml --until-end").code, Some(0), "that is all it needs");
}

#[test]
fn what_is_made_follows_the_inputs_and_what_does_not_fit_is_named() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    broker.create_topic_with(&deployment.clicks, 3, &[("retention.ms", "90000000")]);
    broker.create_topic_with(&deployment.output, 1, &[("cleanup.policy", "compact")]);
    let (code, topics) = deployment.topics("--create");
    assert_eq!(code, 1, "the output is compacted: {topics:?}");
    assert_eq!(column(&topics, "state"), ["\"there\"", "\"created\"", "\"there\"", "\"created\"", "\"created\""]);
    assert_eq!(column(&topics, "partitions"), ["3", "3", "1", "3", "3"]);
    // The other input is kept for ever by default, and the journal as long as that.
    assert_eq!(column(&topics, "retention_ms")[4], "-1");
    assert_eq!(findings(&topics).len(), 1, "{topics:?}");
    assert!(findings(&topics)[0].starts_with(&format!("error: topic {} is compacted", deployment.output)), "{topics:?}");
    // The service does not write what would be taken away.
    let sentence = deployment.work.refusal("run --config motif.toml --until-end", 2);
    assert!(sentence.starts_with(&format!("topic {} is compacted", deployment.output)) && sentence.contains("cleanup.policy=delete"), "{sentence}");
    let sentence = deployment.work.refusal("topics --config motif.toml --create --partitions 4", 1);
    assert!(sentence.contains("has 3 partitions") && sentence.contains("says 4"), "{sentence}");
}

#[test]
fn history_that_kafka_is_about_to_delete_is_warned_of() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    broker.create_topic_with(&deployment.clicks, 2, &[("retention.ms", "604800000")]);
    broker.create_topic_with(&deployment.orders, 2, &[("retention.ms", "604800000")]);
    let record = |topic: &str, partition, timestamp| Produced { topic: topic.to_owned(), partition, key: None, value: "{}".to_owned(), timestamp };
    // Of 2023; and of now, beside old ones.
    let old = Some(1_700_000_000_000);
    broker.produce(&[record(&deployment.clicks, 1, old), record(&deployment.orders, 0, old), record(&deployment.orders, 0, None)]);
    let (code, topics) = deployment.topics("--create");
    assert_eq!(code, 0, "a warning is no error: {topics:?}");
    assert_eq!(column(&topics, "retention_ms")[4], "604800000", "of the journal");
    let findings = findings(&topics);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let beginning = format!("warning: topic {} keeps records for 7d", deployment.clicks);
    assert!(findings[0].starts_with(&beginning) && findings[0].contains("1 of its 2 partitions") && findings[0].contains("retention.ms=-1"), "{findings:?}");
    let text = deployment.work.run("topics --config motif.toml");
    assert!(text.out().contains(&findings[0]) && text.out().contains("stream clicks"), "{}", text.out());
    // The service says it too, once it runs.
    let mut running = start(&mut deployment.work.motif("run --config motif.toml"));
    let said = running.take_stderr();
    let warning = BufReader::new(said).lines().map(|line| line.expect("text")).find(|line| line.contains("retention.ms=-1"));
    assert!(warning.is_some_and(|line| line.contains(&deployment.clicks)), "the service ended without a word");
}

/// What does not keep a service from its work is said when it starts, with the remedy.
#[test]
fn a_journal_that_is_not_kept_for_long_enough_is_warned_of_by_the_service() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    deployment.work.must("topics --config motif.toml --create --partitions 2");
    let journal = unique("short.journal");
    broker.create_topic_with(&journal, 2, &[("retention.ms", "604800000")]);
    let config = deployment.work.text("motif.toml");
    deployment.work.write("motif.toml", config.replace("[kafka]\n", &format!("[kafka]\njournal_topic = \"{journal}\"\n")));
    let (code, topics) = deployment.topics("");
    let findings = findings(&topics);
    assert!(code == 1 && findings.len() == 1 && findings[0].starts_with(&format!("error: topic {journal} is kept for 7d")), "{findings:?}");
    let mut running = start(&mut deployment.work.motif("run --config motif.toml"));
    let said = running.take_stderr();
    let warning = BufReader::new(said).lines().map(|line| line.expect("text")).find(|line| line.contains("retention.ms=-1"));
    assert!(warning.is_some_and(|line| line.contains(&journal)), "the service ended without a word");
}

#[test]
fn patterns_whose_events_would_not_meet_need_topics_more() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    let config = deployment.work.text("motif.toml");
    deployment.work.must("topics --config motif.toml --create --partitions 2");
    let keyed = config.replace("[streams.orders]", "key = [\"usr\"]\n[streams.orders]");
    deployment.work.write("motif.toml", &keyed);
    let sentence = deployment.work.refusal("run --config motif.toml", 1);
    assert!(sentence.contains("did you mean `user`?"), "{sentence}");
    deployment.work.write("motif.toml", keyed.replace("usr", "at"));
    let sentence = deployment.work.refusal("run --config motif.toml", 2);
    assert!(sentence.contains(".rekeyed") && sentence.contains("--create"), "{sentence}");
    let findings = findings(&deployment.topics("").1);
    assert!(findings.iter().any(|finding| finding.starts_with("warning") && finding.contains("partitioned by at")), "{findings:?}");
    deployment.work.write("motif.toml", keyed.replace("usr", "user"));
    deployment.work.must("run --config motif.toml --until-end");
    deployment.work.write("p.motif", PATTERNS.replace("by user ", ""));
    let sentence = deployment.work.refusal("run --config motif.toml", 2);
    assert!(sentence.contains(".rekeyed") && sentence.contains("--create"), "{sentence}");
}

#[test]
fn a_key_that_no_partitioning_gives_to_all_patterns_has_to_be_declared() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    deployment.work.write(
        "p.motif",
        "stream clicks { user: string page: string at: timestamp time at, late after 5s }
stream orders { user: string at: timestamp time at }
pattern both { from clicks, orders by user match c: clicks then o: orders within 1m }
pattern pages { from clicks by page match a: clicks then b: clicks within 1m }
",
    );
    // One partition holds everything.
    let alone = Deployment::new(broker);
    alone.work.write("p.motif", deployment.work.text("p.motif"));
    alone.work.must("topics --config motif.toml --create --partitions 1");
    alone.work.must("run --config motif.toml --until-end");

    let ended = deployment.work.run("topics --config motif.toml --create --partitions 2 --format json");
    let topics: Vec<Value> = ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said = findings(&topics);
    assert_eq!((ended.code, said.len()), (Some(1), 1), "{said:?}");
    let sentence = deployment.work.refusal("run --config motif.toml", 2);
    for part in [&format!("topic {}", deployment.clicks), "by user (both)", "by page (pages)", "streams.clicks.key"] {
        assert!(said[0].starts_with("error: ") && said[0].contains(part) && sentence.contains(part), "{said:?}\n{sentence}");
    }
    let config = deployment.work.text("motif.toml");
    deployment.work.write("motif.toml", config.replace("[streams.orders]", "key = [\"user\"]\n[streams.orders]"));
    deployment.work.must("topics --config motif.toml --create");
    deployment.work.must("run --config motif.toml --until-end");
}

/// As of producers that hash keys in different ways.
#[test]
fn a_key_whose_events_lie_in_several_partitions_is_found() {
    let Some(broker) = broker() else { return };
    let deployment = Deployment::new(broker);
    deployment.work.must("topics --config motif.toml --create --partitions 2");
    let event = |topic: &str, partition, user: &str| Produced {
        topic: topic.to_owned(),
        partition,
        key: Some(user.to_owned()),
        value: format!("{{\"user\":\"{user}\",\"at\":1735689600000}}"),
        timestamp: None,
    };
    let unreadable = Produced { value: "ann".to_owned(), ..event(&deployment.orders, 1, "ann") };
    broker.produce(&[event(&deployment.clicks, 0, "ann"), event(&deployment.clicks, 1, "bob"), event(&deployment.orders, 0, "ann"), unreadable]);
    let (code, topics) = deployment.topics("");
    assert_eq!((code, findings(&topics)), (0, Vec::new()), "{topics:?}");
    broker.produce(&[event(&deployment.orders, 0, "bob")]);
    let (code, topics) = deployment.topics("");
    let said = findings(&topics);
    assert_eq!((code, said.len()), (1, 1), "{said:?}");
    let places = format!("{}/1 (offset 0) and {}/0 (offset 1)", deployment.clicks, deployment.orders);
    assert!(said[0].starts_with("error: ") && said[0].contains(&places) && said[0].contains("1 of 2 keys"), "{said:?}");
    // The service goes on, and says what is missing.
    let ended = deployment.work.run("run --config motif.toml --until-end");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(&places) && ended.stderr.contains("1 KEYS IN SEVERAL PARTITIONS"), "{}", ended.stderr);
}
