//! Let in, but not to everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use crate::broker::{Produced, unique};
use crate::kafka::secured::rig::{PASSWORD, Right, Secured, secured};
use crate::workplace::{LIMIT, Workplace};

pub struct Deployment {
    pub work: Workplace,
    group: String,
    pub input: String,
    pub output: String,
    pub late: String,
    journal: String,
}

impl Deployment {
    pub fn new(secured: &Secured, user: &str) -> Self {
        let [group, input, output, late] = ["kept", "in", "out", "late"].map(unique);
        let journal = format!("{group}.journal");
        for topic in [&input, &output, &late, &journal] {
            secured.broker.create_topic(topic, 1);
        }
        let event = |key: &str, at: u32| Produced {
            topic: input.clone(),
            partition: 0,
            key: None,
            value: format!("{{\"user\": \"{key}\", \"at\": {at}}}"),
            timestamp: None,
        };
        secured.broker.produce(&[event("a", 100_000), event("b", 900_000), event("c", 0)]);
        let work = Workplace::new();
        work.write("p.motif", "stream s { user: string at: timestamp time at, late after 5s }\npattern p { from s by user match a: s }\n");
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"p.motif\"]\nstate = \"state\"\n[streams.s]\ntopic = \"{input}\"\n[output]\ntopic = \"{output}\"\nlate_topic = \"{late}\"\n\
             [kafka]\nbrokers = \"{}\"\n[kafka.properties]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"{user}\"\n\
             \"sasl.password\" = \"{PASSWORD}\"\n",
            secured.sasl
        );
        work.write("motif.toml", text);
        Self { work, group, input, output, late, journal }
    }

    /// Goes to these brokers instead, with these settings of the client.
    pub fn connect(&self, brokers: &str, properties: &[(&str, &str)]) {
        let text = self.work.text("motif.toml");
        let (rest, _) = text.split_once("[kafka]").expect("there is one");
        let properties: String = properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")).collect();
        self.work.write("motif.toml", format!("{rest}[kafka]\nbrokers = \"{brokers}\"\n[kafka.properties]\n{properties}"));
    }

    fn right(&self, operation: &'static str, resource: &'static str) -> Right {
        let (name, is_prefix) = if resource == "--group" { (self.group.clone(), false) } else { (format!("{}-", self.group), true) };
        Right { operation, resource, name, is_prefix }
    }

    /// What a service needs, and nothing more.
    pub fn rights(&self) -> Vec<Right> {
        vec![
            Right::topic("Read", &self.input),
            Right::topic("Write", &self.output),
            Right::topic("Write", &self.late),
            Right::topic("Read", &self.journal),
            Right::topic("Write", &self.journal),
            self.right("Read", "--group"),
            self.right("Write", "--transactional-id"),
            self.right("Describe", "--transactional-id"),
        ]
    }

    /// Runs a command again and again, each time granted what the last one said was missing, until nothing is; gives what was granted.
    fn walk(&self, secured: &Secured, user: &str, command: &str) -> BTreeSet<Right> {
        let mut granted = BTreeSet::new();
        let deadline = Instant::now() + LIMIT;
        loop {
            let ended = self.work.run(command);
            if ended.code == Some(0) {
                return granted;
            }
            assert!(Instant::now() < deadline, "not within {LIMIT:?}: {command}\n{}", ended.stderr);
            let sentence = ended.stderr.lines().find(|line| line.starts_with("motif: ")).unwrap_or_else(|| panic!("no sentence: {}", ended.stderr));
            assert!(sentence.contains(&format!("does not let user {user} ")), "{command}: {sentence}");
            let rights = Right::named_in(sentence, user);
            assert!(!rights.is_empty(), "{command}: {sentence}");
            // What was granted just now may not be known to all of the broker.
            if rights.iter().any(|right| !granted.contains(right)) {
                secured.grant(user, &rights);
                granted.extend(rights);
            }
        }
    }
}

#[test]
fn whoever_grants_what_is_said_to_be_missing_can_run_it() {
    let Some(secured) = secured() else { return };
    let deployment = Deployment::new(secured, "walker");
    let granted = deployment.walk(secured, "walker", "run --config motif.toml --until-end");
    assert_eq!(granted, deployment.rights().into_iter().collect());
    assert_eq!(deployment.work.run("topics --config motif.toml").code, Some(0));
    // Those who look see what was written, and whoever replays a letter writes to its topic and to the input.
    let topic = |operation, names: &[&String]| names.iter().map(|name| Right::topic(operation, name)).collect::<BTreeSet<_>>();
    let granted = deployment.walk(secured, "walker", "verify --config motif.toml");
    assert_eq!(granted, topic("Read", &[&deployment.output, &deployment.late]));
    let granted = deployment.walk(secured, "walker", "dlq replay --config motif.toml --all");
    assert_eq!(granted, topic("Write", &[&deployment.input]));
}

#[test]
fn each_right_that_is_missing_is_named() {
    let Some(secured) = secured() else { return };
    let rights = |deployment: &Deployment, missing: &[Right], instead: &[Right]| {
        deployment.rights().into_iter().filter(|right| !missing.contains(right)).chain(instead.iter().cloned()).collect::<Vec<_>>()
    };
    type Row<'a> = (&'a str, Box<dyn Fn(&Deployment) -> (Vec<Right>, Vec<Right>, String) + Sync>);
    let described = |topic: &str| Right::topic("Describe", topic);
    let table: Vec<Row<'_>> = vec![
        ("--until-end", Box::new(move |d| (vec![Right::topic("Read", &d.input)], vec![described(&d.input)], format!("read topic {}", d.input)))),
        ("", Box::new(move |d| (vec![Right::topic("Read", &d.input)], vec![described(&d.input)], format!("read topic {}", d.input)))),
        ("", Box::new(move |d| (vec![Right::topic("Read", &d.input)], vec![], format!("see topic {}", d.input)))),
        ("--until-end", Box::new(move |d| (vec![Right::topic("Write", &d.output)], vec![described(&d.output)], format!("write to topic {}", d.output)))),
        (
            "--until-end",
            Box::new(move |d| {
                // Where there is nothing, nothing is read.
                secured.broker.produce(&[Produced { topic: d.journal.clone(), partition: 0, key: None, value: "?".to_owned(), timestamp: None }]);
                (vec![Right::topic("Read", &d.journal)], vec![], format!("read topic {}", d.journal))
            }),
        ),
        ("--until-end", Box::new(move |d| (vec![Right::topic("Write", &d.journal)], vec![], format!("write to topic {}", d.journal)))),
        ("--until-end", Box::new(move |d| (vec![d.right("Read", "--group")], vec![], format!("take part in group {}", d.group)))),
        ("", Box::new(move |d| (vec![d.right("Read", "--group")], vec![d.right("Describe", "--group")], format!("take part in group {}", d.group)))),
        (
            "",
            Box::new(move |d| {
                let both = ["Write", "Describe"].map(|operation| d.right(operation, "--transactional-id"));
                (both.to_vec(), vec![], format!("use transactional ids that begin with {}-", d.group))
            }),
        ),
    ];
    std::thread::scope(|scope| {
        for (options, row) in &table {
            let rights = &rights;
            scope.spawn(move || {
                let deployment = Deployment::new(secured, "clerk");
                let (missing, instead, says) = row(&deployment);
                secured.grant("clerk", &rights(&deployment, &missing, &instead));
                let deadline = Instant::now() + LIMIT;
                // What was granted just now may not be known to all of the broker.
                let sentence = loop {
                    let ended = deployment.work.run(&format!("run --config motif.toml {options}"));
                    assert_eq!(ended.code, Some(2), "without {missing:?}: {}", ended.stderr);
                    let sentence = ended.stderr.lines().find(|line| line.starts_with("motif: ")).expect("a sentence").to_owned();
                    if sentence.contains(&says) || Instant::now() > deadline {
                        break sentence;
                    }
                };
                assert!(
                    sentence.contains(&format!("does not let user clerk {says};")) || sentence.contains(&format!("does not let user clerk {says}, nor")),
                    "without {missing:?}: {sentence}"
                );
                let named = Right::named_in(&sentence, "clerk");
                assert!(missing.iter().all(|right| named.contains(right)), "without {missing:?}: {sentence}");
            });
        }
    });
}

#[test]
fn all_topics_are_looked_at_whatever_may_not_be_seen() {
    let Some(secured) = secured() else { return };
    let deployment = Deployment::new(secured, "clerk");
    let states = |code: i32| {
        let ended = deployment.work.run("topics --config motif.toml --create --format json");
        assert_eq!(ended.code, Some(code), "{}{}", ended.out(), ended.stderr);
        let lines: Vec<Value> = ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let text = |line: &Value, name: &str| line[name].as_str().expect("text").to_owned();
        let state = lines.iter().map(|line| (text(line, "topic"), text(line, "state"))).collect::<BTreeMap<_, _>>();
        let findings: String =
            lines.iter().flat_map(|line| line["findings"].as_array().expect("a list").clone()).map(|finding| text(&finding, "message")).collect();
        (state, findings)
    };
    let all = [&deployment.input, &deployment.output, &deployment.late, &deployment.journal];
    let (found, findings) = states(2);
    assert_eq!(found, all.map(|topic| (topic.clone(), "hidden".to_owned())).into());
    let named: BTreeSet<Right> = Right::named_in(&findings, "clerk").into_iter().collect();
    let wanted: BTreeSet<Right> = deployment.rights().into_iter().filter(|right| right.resource == "--topic").collect();
    assert_eq!(named, wanted, "{findings}");
    // What is seen is shown as it is, and what is missing is made, beside what is hidden.
    let seen: Vec<Right> = wanted.into_iter().filter(|right| right.name != deployment.late).collect();
    secured.grant("clerk", &seen);
    let deadline = Instant::now() + LIMIT;
    let expected = all.map(|topic| (topic.clone(), if *topic == deployment.late { "hidden" } else { "there" }.to_owned())).into();
    let mut told = states(2);
    while told.0 != expected {
        assert!(Instant::now() < deadline, "{told:?}");
        told = states(2);
    }
    assert!(told.1.contains(&format!("does not let user clerk see topic {}, nor tells whether it exists", deployment.late)), "{told:?}");
}

#[test]
fn whoever_may_make_no_topics_is_told_so() {
    let Some(secured) = secured() else { return };
    let deployment = Deployment::new(secured, "alice");
    let missing = unique("missing");
    deployment.work.write("motif.toml", deployment.work.text("motif.toml").replace(&deployment.output, &missing));
    let mut rights = deployment.rights();
    rights.push(Right::topic("Write", &missing));
    secured.grant("alice", &rights);
    let deadline = Instant::now() + LIMIT;
    let sentence = loop {
        let ended = deployment.work.run("topics --config motif.toml --create");
        if ended.stderr.contains("create topic") || Instant::now() > deadline {
            break ended.stderr;
        }
    };
    assert!(sentence.contains(&format!("does not let user alice create topic {missing}")), "{sentence}");
    secured.grant("alice", &Right::named_in(&sentence, "alice"));
    deployment.work.must("topics --config motif.toml --create");
}
