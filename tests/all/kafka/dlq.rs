//! `motif dlq`: what was set aside is shown as it is, and goes back where it came from once.

use serde_json::{Value, json};

use crate::broker::{Broker, Produced, Read, broker, unique};
use crate::workplace::{Workplace, start};

const PATTERNS: &str = "
stream clicks { user: string n: int at: timestamp time at, late after 5s }
pattern pairs { from clicks by user match a: clicks then b: clicks within 1m emit user }
";
const BEGIN_MS: i64 = 1_735_689_600_000;

/// Of one of the letters. Names that ours have as well are theirs.
const HEADERS: [(&str, Option<&str>); 3] = [("trace", Some("7f")), ("code", Some("theirs")), ("empty", Some(""))];

struct Deployment {
    broker: &'static Broker,
    work: Workplace,
    group: String,
    clicks: String,
}

impl Deployment {
    /// A service that has read some events, three that nobody can read and two that came too late, in two partitions, and was stopped.
    fn new() -> Option<Self> {
        let broker = broker()?;
        let group = unique("letters");
        let deployment = Self { broker, work: Workplace::new(), clicks: format!("{group}.clicks"), group };
        deployment.work.write("p.motif", PATTERNS);
        let Self { group, clicks, .. } = &deployment;
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"p.motif\"]\nstate = \"state\"\nepoch_ms = 5\n[streams.clicks]\ntopic = \"{clicks}\"\n\
             [output]\ntopic = \"{group}.matches\"\nlate_topic = \"{group}.late\"\nrejected_topic = \"{group}.rejected\"\n[kafka]\nbrokers = \"{}\"\n",
            broker.address
        );
        deployment.work.write("motif.toml", text);
        deployment.work.must("topics --config motif.toml --create --partitions 2");
        let good = |n: i64| format!("{{\"user\":\"u{}\",\"n\":{n},\"at\":{}}}", n % 5, BEGIN_MS + n * 1_000);
        let mut events: Vec<_> = (0..100).map(|n| deployment.event(i32::from(n % 2 == 0), &good(n))).collect();
        events.extend([(0, "unreadable \u{1}\n{"), (1, "")].map(|(partition, value)| deployment.event(partition, value)));
        broker.produce(&events);
        broker.produce_with_headers(&deployment.event(0, "{\"user\":7}"), &HEADERS);
        let mut events = Vec::new();
        events.extend([0, 1].map(|partition| deployment.event(partition, &good(i64::from(partition)))));
        broker.produce(&events);
        deployment.read_all();
        Some(deployment)
    }

    fn event(&self, partition: i32, value: &str) -> Produced {
        Produced { topic: self.clicks.clone(), partition, key: Some(format!("k{partition}")), value: value.to_owned(), timestamp: Some(BEGIN_MS + 7) }
    }

    /// Runs the service until it has read everything there is.
    fn read_all(&self) {
        let ends: Vec<_> = (0..2).map(|partition| (self.clicks.clone(), partition, self.next_offset(partition))).collect();
        let mut running = start(&mut self.work.motif("run --config motif.toml"));
        let is_read = || self.broker.committed(&self.group, &ends).iter().zip(&ends).all(|(committed, (_, _, end))| committed >= end);
        running.wait_until("everything is read", is_read);
        running.signal("TERM");
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    fn next_offset(&self, partition: i32) -> i64 {
        self.broker.read(&self.clicks).iter().filter(|read| read.partition == partition).map(|read| read.offset + 1).max().unwrap_or(0)
    }

    fn dlq(&self, words: &str) -> Vec<Value> {
        let ended = self.work.run(&format!("dlq --config motif.toml --format json {words}"));
        assert_eq!(ended.code, Some(0), "{words}: {}", ended.stderr);
        ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Code, number, and how many of them were replayed.
    fn list(&self) -> Vec<(String, u64, u64)> {
        let number = |line: &Value, name: &str| line[name].as_u64().expect("a number");
        self.dlq("list").iter().map(|line| (line["code"].as_str().expect("text").to_owned(), number(line, "letters"), number(line, "replayed"))).collect()
    }
}

fn listed(rows: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    rows.iter().map(|(code, letters, replayed)| ((*code).to_owned(), *letters, *replayed)).collect()
}

fn column(lines: &[Value], name: &str) -> Vec<Value> {
    lines.iter().map(|line| line[name].clone()).collect()
}

#[test]
fn letters_are_shown_and_replayed_once() {
    let Some(deployment) = Deployment::new() else { return };
    assert_eq!(deployment.list(), listed(&[("late", 2, 0), ("not_json", 2, 0), ("wrong_type", 1, 0)]));
    let shown = deployment.dlq("show --code not_json");
    assert_eq!(column(&shown, "value"), [json!("unreadable \\u{1}\\n{"), json!("")]);
    assert_eq!(column(&shown, "topic"), vec![json!(deployment.clicks); 2]);
    assert_eq!((column(&shown, "partition"), column(&shown, "offset")), (vec![json!(0), json!(1)], vec![json!(50), json!(50)]));
    assert_eq!(deployment.dlq("show --limit 1").len(), 1);
    let text = deployment.work.run("dlq --config motif.toml show --code wrong_type").out();
    assert!(text.contains("/0:51") && text.contains("key: k0") && text.contains("value: {\"user\":7}"), "{text}");

    // Not all of them by mistake.
    let sentence = deployment.work.refusal("dlq --config motif.toml replay", 1);
    assert!(sentence.contains("--all"), "{sentence}");
    let sentence = deployment.work.refusal("dlq --config motif.toml replay --at 3:17", 1);
    assert!(sentence.contains("TOPIC/PARTITION:OFFSET"), "{sentence}");

    let before = deployment.broker.read(&deployment.clicks).len();
    let places: Vec<String> = column(&shown, "at").iter().map(|at| at.as_str().expect("text").to_owned()).collect();
    let replayed = deployment.dlq("replay --code not_json");
    assert_eq!(column(&replayed, "outcome"), vec![json!("replayed"); 2]);
    assert_eq!(column(&replayed, "at"), column(&shown, "at"));
    let read = deployment.broker.read(&deployment.clicks);
    let added: Vec<&Read> = read.iter().filter(|read| read.headers.iter().any(|(name, _)| name == "replayed-from")).collect();
    assert_eq!((read.len(), added.len()), (before + 2, 2));
    for (added, (partition, value)) in added.iter().zip([(0, "unreadable \u{1}\n{"), (1, "")]) {
        assert_eq!((added.partition, added.key.as_str(), added.value.as_str()), (partition, format!("k{partition}").as_str(), value), "untouched");
        let place = &places[usize::try_from(partition).expect("small")];
        assert_eq!(added.headers, [("replayed-from".to_owned(), place.clone())]);
    }

    // Again: nothing.
    assert_eq!(column(&deployment.dlq("replay --code not_json"), "outcome"), vec![json!("replayed_before"); 2]);
    assert_eq!(deployment.broker.read(&deployment.clicks).len(), before + 2);
    assert_eq!(deployment.list(), listed(&[("late", 2, 0), ("not_json", 2, 2), ("wrong_type", 1, 0)]));
    // All others.
    let of_them = deployment.dlq("show --code wrong_type");
    assert_eq!(of_them[0]["headers"], json!(HEADERS));
    let all = deployment.dlq("replay --all");
    let read = deployment.broker.read(&deployment.clicks);
    let again: Vec<_> = read.iter().filter(|read| read.value == "{\"user\":7}").map(|read| read.headers.clone()).collect();
    let mut headers: Vec<_> = HEADERS.iter().map(|(name, value)| ((*name).to_owned(), value.unwrap_or_default().to_owned())).collect();
    assert_eq!(again[0], headers);
    headers.push(("replayed-from".to_owned(), of_them[0]["at"].as_str().expect("text").to_owned()));
    assert_eq!(again[1], headers, "its own, and where it comes from");
    let outcomes = column(&all, "outcome");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == json!("replayed")).count(), 3, "{all:?}");
    assert_eq!(outcomes.len(), 5);

    // They are as unreadable and as late as they were.
    deployment.read_all();
    assert_eq!(deployment.list(), listed(&[("late", 4, 2), ("not_json", 4, 2), ("wrong_type", 2, 1)]));
    let verified = deployment.work.run("verify --config motif.toml");
    assert_eq!(verified.code, Some(0), "marks are no outputs: {}{}", verified.out(), verified.stderr);
    assert!(verified.out().contains("4 late, 6 rejected"), "{}", verified.out());
}
