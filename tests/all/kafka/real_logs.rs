//! The real logs through Kafka: the counts that two unrelated engines agree on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::{Broker, Produced, broker, unique};

/// Of one pattern: matches, and the sums of the ids of their first and last events.
type Found = (usize, i64, i64);

struct Log {
    lines: Vec<String>,
    /// By partition and offset: the place of the line.
    places: BTreeMap<(i32, usize), usize>,
    topic: String,
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Log {
    /// On a topic of 4 partitions, keyed by ip.
    fn produce(broker: &Broker, name: &str) -> Self {
        let text = std::fs::read_to_string(project("tests/data").join(format!("{name}.jsonl"))).expect("the log");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let topic = unique(name);
        broker.create_topic(&topic, 4);
        let (mut places, mut next) = (BTreeMap::new(), [0; 4]);
        let mut records = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let ip = event["ip"].as_str().expect("an address");
            let partition = ip.bytes().fold(0, |sum, byte| (sum * 31 + i32::from(byte)) % 4);
            let offset = &mut next[usize::try_from(partition).expect("small")];
            places.insert((partition, *offset), place);
            *offset += 1;
            records.push(Produced { topic: topic.clone(), partition, key: Some(ip.to_owned()), value: line.clone(), timestamp: None });
        }
        broker.produce(&records);
        Self { lines, places, topic }
    }

    /// The ids of the first and the last of these events.
    fn ends(&self, events: &serde_json::Value) -> (i64, i64) {
        let addresses = events.as_object().expect("by step").values().flat_map(|step| step.as_array().expect("a list"));
        let mut chosen: Vec<(String, usize, i64)> = addresses
            .map(|address| {
                let (partition, offset) =
                    address.as_str().and_then(|address| address.rsplit('/').next()).and_then(|place| place.split_once(':')).expect("partition:offset");
                let place = self.places[&(partition.parse().expect("a number"), offset.parse().expect("a number"))];
                let event: serde_json::Value = serde_json::from_str(&self.lines[place]).expect("JSON");
                (event["at"].to_string(), place, event["id"].as_i64().expect("an id"))
            })
            .collect();
        chosen.sort();
        (chosen[0].2, chosen[chosen.len() - 1].2)
    }
}

/// Runs the patterns of a folder over a log until its end, and counts what is on the output topic.
fn found(name: &str, patterns: &str, stream: &str) -> Option<Vec<Found>> {
    let broker = broker()?;
    let log = Log::produce(broker, name);
    let output = unique("output");
    broker.create_topic(&output, 2);
    let service = unique("service");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("motif.toml");
    let text = format!(
        "[service]\nname = \"{}\"\npatterns = [{:?}]\nstate = \"state\"\ndurability = \"process\"\n[streams.{stream}]\ntopic = \"{}\"\n[output]\ntopic = \"{output}\"\n[kafka]\nbrokers = \"{}\"\n",
        service,
        project(patterns),
        log.topic,
        broker.address
    );
    std::fs::write(&config, text).expect("written");
    let made = Command::new(env!("CARGO_BIN_EXE_motif")).args(["topics", "--create", "--config"]).arg(&config).output().expect("motif starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = Command::new(env!("CARGO_BIN_EXE_motif")).arg("run").arg("--config").arg(&config).arg("--until-end").output().expect("motif starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut by_pattern: BTreeMap<String, Found> = BTreeMap::new();
    for read in broker.read(&output) {
        let json: serde_json::Value = serde_json::from_str(&read.value).expect("JSON");
        let (first, last) = log.ends(&json["events"]);
        let found = by_pattern.entry(json["pattern"].to_string()).or_default();
        *found = (found.0 + 1, found.1 + first, found.2 + last);
    }
    Some(by_pattern.into_values().collect())
}

fn assert_all_there(found: &[Found], expected: &[Found]) {
    for expected in expected {
        assert!(found.contains(expected), "{expected:?} is not among {found:?}");
    }
}

#[test]
fn web_requests_give_the_agreed_counts() {
    let Some(found) = found("web_requests", "patterns/web", "requests") else { return };
    assert_all_there(&found, &[(14, 82_840, 83_213), (249, 1_299_747, 1_300_195)]);
}

#[test]
fn ssh_logins_give_the_agreed_counts() {
    let Some(found) = found("ssh_logins", "patterns/ssh", "logins") else { return };
    assert_all_there(&found, &[(177, 150_239, 150_987), (1, 269, 417)]);
}
