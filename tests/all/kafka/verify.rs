//! `motif verify`: finds that a deployment has kept its promises, and every way in which it has not. What is wrong is planted in copies of its topics.

use std::collections::BTreeMap;

use motif::service::topics::journal::EpochRecord;
use serde_json::Value;

use crate::broker::{Broker, Produced, Read, broker, unique};
use crate::workplace::{Workplace, start};

const PATTERNS: &str = "
stream clicks { user: string n: int at: timestamp time at, late after 5s }
pattern pairs { from clicks by user match a: clicks then b: clicks within 1m emit user, a.n as first, b.n as second }
";
/// Beside them, from some time on.
const STAYS: &str = "pattern threes { from clicks by user match a: clicks then b: clicks then c: clicks within 1h emit user, a.n as first, c.n as last }\n";
const PARTITIONS: i32 = 3;
const BEGIN_MS: i64 = 1_735_689_600_000;

/// A service that has ended well, and the topics that it has read and written.
struct Deployment {
    broker: &'static Broker,
    work: Workplace,
    topics: BTreeMap<&'static str, String>,
}

impl Deployment {
    fn run() -> Option<Self> {
        let broker = broker()?;
        let group = unique("verified");
        let topics = ["clicks", "matches", "late", "rejected", "journal"].map(|name| (name, format!("{group}.{name}"))).into();
        let deployment = Self { broker, work: Workplace::new(), topics };
        deployment.work.write("p.motif", PATTERNS);
        deployment.configure("motif.toml", &deployment.topics);
        deployment.work.must(&format!("topics --config motif.toml --create --partitions {PARTITIONS}"));
        deployment.read_in_parts(0);
        Some(deployment)
    }

    /// 600 events from this one on. So that there are several epochs.
    fn read_in_parts(&self, first: i64) {
        let mut running = start(&mut self.work.motif("run --config motif.toml"));
        let events: Vec<Produced> = (first..first + 600).map(|place| self.event(place)).collect();
        let before = |partition| (0..first).filter(|place| self.event(*place).partition == partition).count();
        for part in 1..=6 {
            self.broker.produce(&events[100 * (part - 1)..100 * part]);
            let sent = |partition| before(partition) + events[..100 * part].iter().filter(|event| event.partition == partition).count();
            let ends = (0..PARTITIONS).map(|partition| (self.topics["clicks"].clone(), partition, i64::try_from(sent(partition)).expect("small")));
            let ends: Vec<_> = ends.collect();
            let is_read = || self.broker.committed(&self.topics["journal"], &ends).iter().zip(&ends).all(|(committed, (_, _, end))| committed == end);
            running.wait_until("everything is read", is_read);
        }
        running.signal("TERM");
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    fn event(&self, place: i64) -> Produced {
        let user = place % 31;
        let at = BEGIN_MS + place * 100 - if place % 50 == 0 { 60_000 } else { place % 7 };
        let value = if place % 61 == 0 { format!("{place}: unreadable") } else { format!("{{\"user\":\"u{user}\",\"n\":{place},\"at\":{at}}}") };
        let partition = i32::try_from(user).expect("small") % PARTITIONS;
        Produced { topic: self.topics["clicks"].clone(), partition, key: Some(format!("u{user}")), value, timestamp: None }
    }

    fn configure(&self, file: &str, topics: &BTreeMap<&'static str, String>) {
        let text = format!(
            "[service]\nname = \"verified\"\npatterns = [\"p.motif\"]\nstate = \"state\"\nepoch_ms = 5\n[streams.clicks]\ntopic = \"{}\"\n\
             [output]\ntopic = \"{}\"\nlate_topic = \"{}\"\nrejected_topic = \"{}\"\n[kafka]\nbrokers = \"{}\"\ngroup = \"{}\"\njournal_topic = \"{}\"\n",
            topics["clicks"], topics["matches"], topics["late"], topics["rejected"], self.broker.address, self.topics["journal"], topics["journal"]
        );
        self.work.write(file, text);
    }

    /// The exit status, the kinds of differences with their numbers, and the last line.
    fn verify(&self, file: &str) -> (i32, BTreeMap<String, usize>, Value) {
        let ended = self.work.run(&format!("verify --config {file} --format json --limit 1000000"));
        let mut lines: Vec<Value> = ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(!lines.is_empty(), "{}", ended.stderr);
        let counts = lines.pop().expect("just seen");
        let mut kinds = BTreeMap::new();
        for line in &lines {
            *kinds.entry(line["difference"].as_str().expect("text").to_owned()).or_default() += 1;
        }
        (ended.code.expect("no signal"), kinds, counts)
    }

    /// With one topic replaced by a copy that was changed.
    fn verify_with(&self, name: &'static str, change: impl FnOnce(&mut Vec<Read>)) -> (i32, BTreeMap<String, usize>) {
        let mut topics = self.topics.clone();
        topics.insert(name, self.broker.copy(&self.topics[name], change));
        if name == "clicks" {
            topics.insert("journal", self.broker.copy(&self.topics["journal"], |records| records.iter_mut().for_each(|record| rename(record, &topics[name]))));
        }
        self.configure("changed.toml", &topics);
        let (code, kinds, _) = self.verify("changed.toml");
        (code, kinds)
    }
}

/// In a record of the journal, the topic that was read.
fn rename(record: &mut Read, topic: &str) {
    let mut epoch = EpochRecord::decode(record.raw.as_deref().expect("a value")).expect("a record");
    epoch.inputs.iter_mut().for_each(|input| topic.clone_into(&mut input.topic));
    record.raw = Some(epoch.encode());
}

fn kinds(kinds: &[(&str, usize)]) -> BTreeMap<String, usize> {
    kinds.iter().map(|(kind, number)| ((*kind).to_owned(), *number)).collect()
}

#[test]
fn kept_promises_are_recognised_and_broken_ones_named() {
    let Some(deployment) = Deployment::run() else { return };
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences), (0, BTreeMap::new()), "{counts}");
    assert_eq!((&counts["records"], &counts["rejected"], &counts["recomputed"]), (&600.into(), &10.into(), &counts["epochs"]));
    assert!(counts["matches"].as_u64() > Some(200) && counts["late"].as_u64() > Some(5) && counts["epochs"].as_u64() > Some(15), "{counts}");
    // Copies as such change nothing.
    for name in ["clicks", "matches", "late", "rejected", "journal"] {
        assert_eq!(deployment.verify_with(name, |_| {}), (0, BTreeMap::new()), "{name}");
    }

    let (code, found) = deployment.verify_with("matches", |records| drop(records.remove(100)));
    assert_eq!((code, found), (1, kinds(&[("missing", 2)])), "by the journal and by the input");
    let (code, found) = deployment.verify_with("late", |records| drop(records.remove(3)));
    assert_eq!((code, found), (1, kinds(&[("missing", 2)])));

    let (code, found) = deployment.verify_with("matches", |records| records.insert(101, records[100].clone()));
    assert_eq!((code, found), (1, kinds(&[("doubled", 1), ("out_of_order", 1)])));

    // The same match in another epoch, as a run that was repeated would give it.
    let again = |records: &mut Vec<Read>| {
        let mut again = records[0].clone();
        again.headers.iter_mut().filter(|(name, _)| name == "epoch").for_each(|(_, epoch)| "999999".clone_into(epoch));
        records.push(again);
    };
    assert_eq!(deployment.verify_with("matches", again), (1, kinds(&[("foreign", 1)])));

    let bare = |records: &mut Vec<Read>| records[5].headers.clear();
    let (code, found) = deployment.verify_with("matches", bare);
    assert_eq!((code, found), (1, kinds(&[("foreign", 1), ("missing", 2)])));

    let forged = |records: &mut Vec<Read>| {
        let value = records[7].raw.as_mut().expect("a value");
        let place = value.len() - 3;
        value[place] ^= 1;
    };
    assert_eq!(deployment.verify_with("matches", forged), (1, kinds(&[("digest", 1), ("wrong", 1)])));

    let swapped = |records: &mut Vec<Read>| records.swap(8, 9);
    assert_eq!(deployment.verify_with("matches", swapped), (1, kinds(&[("out_of_order", 1)])));

    let changed = |records: &mut Vec<Read>| {
        let value = records[20].raw.as_mut().expect("a value");
        value.push(b' ');
    };
    assert_eq!(deployment.verify_with("clicks", changed), (1, kinds(&[("input_changed", 1)])), "the meaning is the same, the record is not");

    let (code, found) = deployment.verify_with("journal", |records| drop(records.remove(0)));
    assert_eq!(code, 0, "the first epochs may be gone, and then nothing is recomputed in that task: {found:?}");
    let last = deployment.verify_with("journal", |records| drop(records.pop()));
    assert!(last.0 == 1 && last.1.contains_key("offsets_differ"), "{last:?}");
}

/// A changed pattern loses its partial matches with the deploy, one that stays keeps them: so it must be when it is recomputed.
#[test]
fn epochs_are_recomputed_with_the_patterns_that_were_in_force() {
    let Some(deployment) = Deployment::run() else { return };
    deployment.work.write("p.motif", format!("{}{STAYS}", PATTERNS.replace("within 1m", "within 2m")));
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences, &counts["recomputed"]), (0, BTreeMap::new(), &counts["epochs"]), "{counts}");
    let before = counts["epochs"].as_u64();
    deployment.read_in_parts(600);
    deployment.work.write("p.motif", format!("{PATTERNS}{STAYS}"));
    deployment.read_in_parts(1_200);
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences, &counts["recomputed"]), (0, BTreeMap::new(), &counts["epochs"]), "{counts}");
    assert!(counts["epochs"].as_u64() > before && counts["records"] == 1_800, "{counts}");

    // Nobody has them any more.
    std::fs::remove_dir_all(deployment.work.path("state")).expect("removed");
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences), (2, BTreeMap::new()), "{counts}");
    let notes = counts["notes"].as_array().expect("a list");
    assert!(notes.len() == 3 && notes[0].as_str().expect("text").contains("other patterns or settings"), "{counts}");
}

/// The oldest records are not retained any more, as after a while in any deployment.
#[test]
fn where_the_beginning_is_gone_a_checkpoint_is_begun_from() {
    let Some(deployment) = Deployment::run() else { return };
    deployment.work.write("motif.toml", deployment.work.text("motif.toml") + "[checkpoints]\nurl = \"checkpoints\"\n");
    deployment.read_in_parts(600);
    deployment.read_in_parts(1_200);
    for partition in 0..PARTITIONS {
        deployment.broker.delete_records(&deployment.topics["clicks"], partition, 10);
    }
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences), (0, BTreeMap::new()), "{counts}");
    let notes: Vec<&str> = counts["notes"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let begun = notes.iter().filter(|note| note.contains("recomputed from the checkpoint of epoch")).count();
    assert!(begun == 3 && notes.len() == 6, "{notes:?}");
    assert!(counts["recomputed"].as_u64() > Some(10) && counts["recomputed"].as_u64() < counts["epochs"].as_u64(), "{counts}");
}

/// As after a while in any deployment whose outputs are kept for less time than its inputs.
#[test]
fn outputs_that_are_not_retained_any_more_are_noted_and_what_is_left_is_compared() {
    let Some(deployment) = Deployment::run() else { return };
    let (_, _, whole) = deployment.verify("motif.toml");
    let number = |counts: &Value, name: &str| counts[name].as_u64().expect("a number");
    let notes = |counts: &Value, words: &str| {
        let notes = counts["notes"].as_array().expect("a list");
        notes.iter().filter(|note| note.as_str().expect("text").contains(words)).count()
    };

    // Of the late events of a partition the first is gone; that the last is not there is a fault all the same.
    let copy = deployment.broker.copy(&deployment.topics["late"], |records| {
        let last = records.iter().rposition(|record| record.partition == 1).expect("some are late in each partition");
        records.remove(last);
    });
    deployment.broker.delete_records(&copy, 1, 1);
    let mut topics = deployment.topics.clone();
    topics.insert("late", copy);
    deployment.configure("changed.toml", &topics);
    let (code, differences, counts) = deployment.verify("changed.toml");
    assert_eq!((code, differences), (1, kinds(&[("missing", 2)])), "{counts}");
    assert_eq!(notes(&counts, "holds offset 1 and later only"), 1, "{counts}");

    for partition in 0..PARTITIONS {
        deployment.broker.delete_records(&deployment.topics["matches"], partition, 20);
    }
    let (code, differences, counts) = deployment.verify("motif.toml");
    assert_eq!((code, differences), (0, BTreeMap::new()), "{counts}");
    assert_eq!(notes(&counts, "holds offset 20 and later only"), 3, "{counts}");
    assert!(number(&counts, "matches") < number(&whole, "matches"), "{counts}");
    assert!((1..number(&whole, "epochs")).contains(&number(&counts, "recomputed")), "{counts}");

    // Whoever has no use for late events any more has still had them.
    let text = deployment.work.text("motif.toml");
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("late_topic")).collect();
    deployment.work.write("without.toml", without.join("\n"));
    let (code, differences, counts) = deployment.verify("without.toml");
    assert_eq!((code, differences), (0, BTreeMap::new()), "{counts}");
    assert_eq!(notes(&counts, "names no topic for late events"), 3, "{counts}");
}
