//! Patterns that are keyed by something else than what their topics are partitioned by: what comes out is what one task that reads all partitions finds, whatever is
//! killed in between.

use std::collections::BTreeMap;

use motif::config::{Config, Origin, StreamConfig};
use motif::event::EventTime;
use motif::language::{Source, compile};
use motif::service::task::{Task, TaskOptions};
use serde_json::Value;

use crate::broker::{Broker, Produced, Read, broker, unique};
use crate::kafka::direct;
use crate::workplace::{Running, Workplace, start};

const PATTERNS: &str = "
stream clicks { user: string country: string n: int at: timestamp time at, late after 5s }
stream orders { user: string country: string n: int at: timestamp time at, late after 5s }
pattern as_partitioned { from clicks by country match a: clicks then b: clicks where n > a.n within 20s emit country, a.n as first, b.n as second }
pattern by_user { from clicks by user match a: clicks then b: clicks then c: clicks within 2m emit user, a.n as first, c.n as third }
pattern joined { from clicks, orders by user match a: clicks then b: orders within 30s emit user, a.n as first, b.n as second }
pattern silent { from orders by user match a: orders then not more: orders for 40s emit user, a.n as last }
define coming = clicks where n % 4 != 1
define going = clicks where n % 4 != 2
pattern by_either { from coming, going by coming.user, going.country match a: coming then b: going where n > a.n within 5s emit a.n as first, b.n as second }
pattern keyless { from orders match a: orders where n % 50 == 0 then b: orders where n % 51 == 0 within 1m emit a.n as first, b.n as second }
";
const PARTITIONS: u32 = 4;
const BEGIN_MS: i64 = 1_735_689_600_000;

/// A deployment of several machines, each with a configuration and a state folder of its own.
struct Deployment {
    broker: &'static Broker,
    work: Workplace,
    group: String,
    more: &'static str,
}

impl Deployment {
    fn new(more: &'static str) -> Option<Self> {
        let broker = broker()?;
        let deployment = Self { broker, work: Workplace::new(), group: unique("rekeyed"), more };
        deployment.work.write("p.motif", PATTERNS);
        (0..2).for_each(|machine| deployment.configure(machine));
        deployment.work.must(&format!("topics --config 0.toml --create --partitions {PARTITIONS}"));
        Some(deployment)
    }

    fn configure(&self, machine: usize) {
        let Self { broker, group, more, .. } = self;
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"p.motif\"]\nstate = \"state-{machine}\"\nworkers = 2\nepoch_ms = 20\ndurability = \"process\"\n\
             [streams.clicks]\ntopic = \"{group}.clicks\"\nkey = [\"country\"]\n{more}[streams.orders]\ntopic = \"{group}.orders\"\nkey = [\"user\"]\n{more}\
             [output]\ntopic = \"{group}.matches\"\nlate_topic = \"{group}.late\"\nrejected_topic = \"{group}.rejected\"\n\
             [checkpoints]\nurl = \"checkpoints\"\ninterval_ms = 200\n\
             [kafka]\nbrokers = \"{}\"\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n\"transaction.timeout.ms\" = \"4000\"\n",
            broker.address
        );
        self.work.write(&format!("{machine}.toml"), text);
    }

    fn start(&self, machine: usize) -> Running {
        start(&mut self.work.motif(&format!("run --config {machine}.toml")))
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.group)
    }

    fn matches(&self) -> Vec<Read> {
        self.broker.read(&self.topic("matches"))
    }

    /// Out of order by less than the lateness, with equal times; users and countries have the same names. Of clicks everything of one country is in one partition, of orders everything of one user.
    fn events(&self, number: usize) -> Vec<Produced> {
        let event = |n: usize| {
            let (user, country) = ((n * 7_919) % 37, (n * 31) % 23);
            let at = BEGIN_MS + i64::try_from(n / 4).expect("small") * 150 - i64::try_from((n * 31) % 40).expect("small") * 100;
            let (stream, key) = if n.is_multiple_of(3) { ("orders", user) } else { ("clicks", country) };
            Produced {
                topic: self.topic(stream),
                partition: i32::try_from(key).expect("small") % PARTITIONS.cast_signed(),
                key: Some(key.to_string()),
                value: format!("{{\"user\":\"{user}\",\"country\":\"{country}\",\"n\":{n},\"at\":{at}}}"),
                timestamp: None,
            }
        };
        (0..number).map(event).collect()
    }

    /// What one task finds that reads all partitions of all topics. Its own order is that of the output.
    fn expected(&self, events: &[Produced]) -> Vec<String> {
        self.expected_after(events, 0)
    }

    /// The same where it sees nothing of the first so many.
    fn expected_after(&self, events: &[Produced], before: usize) -> Vec<String> {
        let compiled = compile(&[Source { path: "p.motif".to_owned(), text: PATTERNS.to_owned() }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let program = std::sync::Arc::new(compiled.program);
        let mut config = Config::one_shot(Vec::new());
        for stream in ["clicks", "orders"] {
            config.streams.insert(stream.to_owned(), StreamConfig::from_origin(Origin::Topic(self.topic(stream))));
        }
        let inputs: Vec<_> = program.schema.ids().flat_map(|stream| (0..PARTITIONS).map(move |partition| (stream, partition))).collect();
        let mut task = Task::new(&program, &TaskOptions::new(&config, EventTime::from_millis(BEGIN_MS).expect("fits")), &inputs);
        for (stream, partition) in inputs {
            let topic = self.topic(&program.schema.stream(stream).name);
            let is_of = |event: &&Produced| event.topic == topic && event.partition == partition.cast_signed();
            let first = events[..before].iter().filter(is_of).count() as u64;
            direct::apply_from(&mut task, stream, partition, first, events[before..].iter().filter(is_of).map(|event| (event.value.as_str(), None)));
        }
        task.end();
        task.catch_up();
        direct::lines(&program, &task.take_epoch().expect("in memory").matches)
    }

    /// Each match once, with the places of its events in the input topics, and in order of its pattern and key.
    fn assert_all_there_once(&self, events: &[Produced]) {
        let (expected, found) = (self.expected(events), self.matches());
        let mut of_pattern: BTreeMap<String, usize> = BTreeMap::new();
        expected.iter().for_each(|line| *of_pattern.entry(field(line, "pattern")).or_default() += 1);
        assert!(of_pattern.len() == 6 && of_pattern.values().all(|number| *number > 20), "the test asks for something: {of_pattern:?}");
        let lines: Vec<String> = found.iter().map(|read| read.value.clone()).collect();
        let (missing, extra) = (expected.iter().find(|line| !lines.contains(line)), lines.iter().find(|line| !expected.contains(line)));
        let (has, wants) = (lines.len(), expected.len());
        assert!(missing.is_none() && extra.is_none() && has == wants, "{has} of {wants}, missing {missing:?}, too much {extra:?}");
        assert_eq!(by_key(&lines), by_key(&expected), "the order of a pattern's key is not that of the engine");
        for read in &found {
            let is_rekeyed = read.headers.iter().any(|(name, value)| (name.as_str(), value.as_str()) == ("stage", "rekeyed"));
            assert_eq!(is_rekeyed, field(&read.value, "pattern") != "as_partitioned" && field(&read.value, "pattern") != "silent", "{read:?}");
        }
        let verified = self.work.run("verify --config 0.toml --format json");
        assert_eq!(verified.code, Some(0), "{}\n{}", verified.out(), verified.stderr);
        let counts: Value = serde_json::from_str(verified.out().lines().last().expect("counts")).expect("JSON");
        assert_eq!(
            (&counts["records"], &counts["recomputed"], &counts["tasks"]),
            (&events.len().into(), &counts["epochs"], &(2 * PARTITIONS).into()),
            "{counts}"
        );
    }
}

fn field(line: &str, name: &str) -> String {
    serde_json::from_str::<Value>(line).expect("JSON")[name].as_str().expect("text").to_owned()
}

fn by_key(lines: &[String]) -> BTreeMap<(String, String), Vec<String>> {
    let mut sorted: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in lines {
        let json: Value = serde_json::from_str(line).expect("JSON");
        sorted.entry((json["pattern"].to_string(), json["key"].to_string())).or_default().push(line.clone());
    }
    sorted
}

#[test]
fn patterns_with_other_keys_find_what_one_task_finds_that_reads_everything() {
    let Some(deployment) = Deployment::new("") else { return };
    let events = deployment.events(6_000);
    deployment.broker.produce(&events);
    let said = deployment.work.must("run --config 0.toml --until-end");
    deployment.assert_all_there_once(&events);
    assert!(said.contains("written once more") && said.contains("has no key: one task evaluates all"), "{said}");
    // The same as files: in order of time and, at one instant, of partitions, as topics are read. The same matches at the same times, from other places.
    let at = |event: &Produced| serde_json::from_str::<Value>(&event.value).expect("JSON")["at"].as_i64().expect("a number");
    for name in ["clicks", "orders"] {
        let mut of: Vec<&Produced> = events.iter().filter(|event| event.topic == deployment.topic(name)).collect();
        of.sort_by_key(|event| (at(event), event.partition));
        deployment.work.write(&format!("{name}.jsonl"), of.iter().map(|event| event.value.clone() + "\n").collect::<String>());
    }
    deployment.work.must("run p.motif --input clicks=clicks.jsonl --input orders=orders.jsonl --output matches.jsonl");
    let facts = |line: &str| {
        let json: Value = serde_json::from_str(line).expect("JSON");
        ["pattern", "kind", "key", "at", "fields"].map(|name| json[name].to_string())
    };
    let mut of_file: Vec<_> = deployment.work.text("matches.jsonl").lines().map(facts).collect();
    let mut of_topic: Vec<_> = deployment.matches().iter().map(|read| facts(&read.value)).collect();
    of_file.sort_unstable();
    of_topic.sort_unstable();
    let differs = of_topic.iter().zip(&of_file).find(|(topic, file)| topic != file);
    assert!(of_topic.len() == of_file.len() && differs.is_none(), "{} and {}: {differs:?}", of_topic.len(), of_file.len());
    // An ended run adds nothing.
    deployment.work.must("run --config 1.toml --until-end");
    assert_eq!(deployment.matches().len(), of_file.len());
}

/// Both stages of both processes, killed at any moment.
#[test]
fn kills_in_the_middle_lose_and_double_nothing() {
    let Some(deployment) = Deployment::new("") else { return };
    let events = deployment.events(8_000);
    let mut running = [deployment.start(0), deployment.start(1)];
    for (round, part) in events.chunks(1_000).enumerate() {
        let before = deployment.matches().len();
        deployment.broker.produce(part);
        let machine = round % 2;
        if round < 6 {
            running[machine].wait_until("some more matches", || deployment.matches().len() > before + 20);
            running[machine].kill();
            running[machine] = deployment.start(machine);
        }
    }
    for (machine, mut process) in running.into_iter().enumerate() {
        process.wait_until("almost all matches", || machine > 0 || deployment.matches().len() > deployment.expected(&events).len() * 9 / 10);
        process.signal("TERM");
        let ended = process.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    deployment.work.must("run --config 0.toml --until-end");
    deployment.assert_all_there_once(&events);
}

/// A partition that lags behind does not have what the others bring set aside, however little may be held: they wait for it.
#[test]
fn what_is_ahead_of_a_partition_that_lags_waits_for_it() {
    let Some(deployment) = Deployment::new("") else { return };
    let text = deployment.work.text("0.toml") + "[limits]\nheld_events_max = 3000\n";
    deployment.work.write("0.toml", text);
    let mut events = deployment.events(9_000);
    // Almost all clicks are of one user: one task of the second stage gets them all.
    for (_, event) in events.iter_mut().enumerate().filter(|(place, event)| place % 10 > 0 && event.topic == deployment.topic("clicks")) {
        let user = event.value.find(',').expect("a member");
        event.value.replace_range(..user, "{\"user\":\"hot\"");
    }
    let (lags, leads): (Vec<Produced>, Vec<Produced>) = events.iter().cloned().partition(|event| event.partition == 0);
    let mut running = deployment.start(0);
    deployment.broker.produce(&leads);
    running.wait_until("the others go ahead", || deployment.broker.read(&deployment.topic("rekeyed")).len() > 300);
    for part in lags.chunks(lags.len() / 4 + 1) {
        let before = deployment.matches().len();
        deployment.broker.produce(part);
        running.wait_until("all go on together", || deployment.matches().len() > before + 100);
    }
    running.signal("TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    deployment.work.must("run --config 0.toml --until-end");
    assert_eq!(deployment.broker.read(&deployment.topic("rejected")), [], "nothing was too much");
    deployment.assert_all_there_once(&events);
}

/// Patterns of these names only.
fn only(names: &[&str]) -> String {
    let is_there = |line: &&str| line.strip_prefix("pattern ").is_none_or(|rest| names.iter().any(|name| rest.starts_with(&format!("{name} "))));
    PATTERNS.lines().filter(is_there).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_second_stage_comes_with_a_deploy_spreads_over_processes_and_changes_with_another_deploy() {
    let Some(deployment) = Deployment::new("") else { return };
    deployment.configure(2);
    let events = deployment.events(9_000);
    let mut parts = events.chunks(1_500);
    let mut go_on = |running: &mut [Running], pattern: &str| {
        let of_pattern = || deployment.matches().iter().filter(|read| field(&read.value, "pattern") == pattern).count();
        let before = of_pattern();
        deployment.broker.produce(parts.next().expect("six parts"));
        running[0].wait_until("more matches", || of_pattern() > before + 20);
    };
    let topics = ["clicks", "orders"].map(|name| deployment.topic(name));
    let places: Vec<(String, i32, i64)> = topics.iter().flat_map(|topic| (0..4).map(|partition| (topic.clone(), partition, 0))).collect();
    let read = || deployment.broker.committed(&deployment.group, &places).iter().sum::<i64>();
    let stop = |running: Vec<Running>| {
        for mut process in running {
            process.signal("TERM");
            let ended = process.end();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
    };
    deployment.work.write("p.motif", only(&["as_partitioned", "silent"]));
    let mut running = vec![deployment.start(0)];
    go_on(&mut running, "as_partitioned");
    // What is read before the deploy is nothing to the patterns that come with it.
    running[0].wait_until("all is read", || read() == 1_500);
    stop(running);
    deployment.work.write("p.motif", PATTERNS);
    let mut running = vec![deployment.start(0)];
    go_on(&mut running, "joined");
    running.extend([deployment.start(1), deployment.start(2)]);
    go_on(&mut running, "joined");
    go_on(&mut running, "by_user");
    stop(running);
    let changed = only(&["as_partitioned", "silent", "joined", "by_either", "by_user"]).replace("within 2m", "within 1m");
    deployment.work.write("p.motif", &changed);
    let mut running = vec![deployment.start(1)];
    go_on(&mut running, "by_user");
    stop(running);
    deployment.broker.produce(parts.next().expect("the last"));
    deployment.work.must("run --config 2.toml --until-end");
    let found: Vec<String> = deployment.matches().into_iter().map(|read| read.value).collect();
    let of =
        |lines: &[String], names: &[&str]| by_key(&lines.iter().filter(|line| names.contains(&field(line, "pattern").as_str())).cloned().collect::<Vec<_>>());
    for (before, names) in [(0, &["as_partitioned", "silent"][..]), (1_500, &["joined", "by_either"])] {
        let (found, expected) = (of(&found, names), of(&deployment.expected_after(&events, before), names));
        let differs = expected.iter().find(|(key, lines)| found.get(key) != Some(lines));
        assert!(found.len() == expected.len() && differs.is_none(), "{} and {} keys: {differs:?}", found.len(), expected.len());
    }
    let verified = deployment.work.run("verify --config 2.toml");
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.out(), verified.stderr);
}

/// A partition without events is not waited for once it is idle; what it brings then may be late for patterns with other keys, and is set aside as its producer made it.
#[test]
fn an_idle_partition_holds_nothing_back_and_what_it_brings_too_late_is_set_aside() {
    let Some(deployment) = Deployment::new("idle_timeout = \"300ms\"\n") else { return };
    let click = |partition, user: &str, second: i64| Produced {
        topic: deployment.topic("clicks"),
        partition,
        key: Some("k".to_owned()),
        value: format!("{{ \"user\":\"{user}\",\"country\":\"c{partition}\",\"n\":{second},\"at\":{} }}", BEGIN_MS + second * 1_000),
        timestamp: None,
    };
    let mut running = deployment.start(0);
    // The last moves the watermark beyond the others, in its own partition only.
    let events = [click(0, "u1", 0), click(0, "u1", 1), click(0, "u1", 2), click(0, "u2", 60)];
    deployment.broker.produce(&events);
    let mut second = 60;
    running.wait_until("the match comes out although all other partitions are silent", || {
        second += 1;
        deployment.broker.produce(&[click(0, "u2", second)]);
        deployment.matches().iter().any(|read| field(&read.value, "pattern") == "by_user")
    });
    deployment.broker.produce_with_headers(&click(1, "u1", 3), &[("trace", Some("t-1")), ("empty", None)]);
    let late = || deployment.broker.read(&deployment.topic("late"));
    running.wait_until("the late event is set aside", || !late().is_empty());
    let read = &late()[0];
    let header = |name: &str| read.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap_or_default();
    assert_eq!((read.key.as_str(), &read.value), ("k", &click(1, "u1", 3).value));
    assert_eq!(["stage", "stream", "topic", "partition", "offset", "code"].map(header), ["rekeyed", "clicks", &deployment.topic("clicks"), "1", "0", "late"]);
    assert_eq!(["original.trace", "original.empty"].map(header), ["t-1", ""], "the record's own are kept: {read:?}");
    running.signal("TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let verified = deployment.work.run("verify --config 0.toml");
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.out(), verified.stderr);
}

#[test]
fn what_the_second_stage_needs_is_made_and_checked() {
    let Some(deployment) = Deployment::new("") else { return };
    let ended = deployment.work.run("topics --config 0.toml --format json");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let topics: Vec<Value> = ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |name: &str| topics.iter().find(|topic| topic["topic"] == deployment.topic(name)).unwrap_or_else(|| panic!("{name} in {topics:?}"));
    let (rekeyed, journal) = (of("rekeyed"), of("rekeyed.journal"));
    assert_eq!((&rekeyed["for"][0], &rekeyed["partitions"], &rekeyed["retention_ms"]), (&"events by other keys".into(), &PARTITIONS.into(), &(-1).into()));
    assert_eq!((&journal["for"][0], &journal["partitions"], &journal["retention_ms"]), (&"journal".into(), &PARTITIONS.into(), &(-1).into()));
    assert_eq!(of("clicks")["findings"].as_array().expect("a list").len(), 4, "a warning for each pattern with another key: {topics:?}");
    // Without it, the service does not start.
    let text = deployment
        .work
        .text("0.toml")
        .replace("[kafka]\n", &format!("[kafka]\ngroup = \"{}\"\njournal_topic = \"{}.journal\"\n", unique("other"), deployment.group));
    deployment.work.write("other.toml", &text);
    let sentence = deployment.work.refusal("run --config other.toml", 2);
    assert!(sentence.contains(".rekeyed, ") && sentence.contains(".rekeyed.journal") && sentence.contains("--create"), "{sentence}");
    // One of another size is of no use.
    let group = text.lines().find_map(|line| line.strip_prefix("group = ")).expect("written above").trim_matches('"').to_owned();
    deployment.broker.create_topic(&format!("{group}.rekeyed"), 2);
    deployment.broker.create_topic(&format!("{group}.rekeyed.journal"), 4);
    let ended = deployment.work.run("topics --config other.toml");
    assert!(ended.code == Some(1) && ended.out().contains("has 2 partitions and the first input has 4"), "{}", ended.out());
    let ended = deployment.work.run("run --config other.toml");
    assert!(ended.code == Some(2) && ended.stderr.contains("has 2 partitions, and the input topics have 4"), "{}", ended.stderr);
}
