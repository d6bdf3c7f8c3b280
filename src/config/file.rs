//! The TOML file: its shape, and the checks that make a [`Config`] of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::config::checkpoints::{Checkpoints, check_checkpoints};
use crate::config::{
    AtEnd, Config, ConfigError, ConfigProblem, Durability, EPOCH_MS_MAX, GrpcConfig, KAFKA_EPOCH_MS_MAX, KafkaConfig, Limits, Origin, Output, StreamConfig,
    Strictness, TimestampUnit, WORKERS_MAX,
};
use crate::event::TimeSpan;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    service: Service,
    #[serde(default)]
    streams: BTreeMap<String, Stream>,
    #[serde(default)]
    output: OutputTable,
    kafka: Option<Kafka>,
    grpc: Option<Grpc>,
    checkpoints: Option<Checkpoints>,
    #[serde(default)]
    limits: LimitsTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    #[serde(default = "default_name")]
    name: String,
    patterns: Vec<PathBuf>,
    state: Option<PathBuf>,
    workers: Number,
    epoch_ms: Number,
    #[serde(default)]
    durability: DurabilityWord,
}

/// A whole number that may be left out, with its place in the text.
pub(super) type Number = Option<Spanned<u64>>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum DurabilityWord {
    #[default]
    Power,
    Process,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    file: Option<PathBuf>,
    #[serde(default)]
    follow: bool,
    topic: Option<String>,
    #[serde(default)]
    grpc: bool,
    #[serde(default)]
    key: Vec<String>,
    late_after: Option<String>,
    idle_timeout: Option<String>,
    idle_after: Option<String>,
    #[serde(default)]
    timestamp_unit: UnitWord,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum UnitWord {
    #[serde(rename = "s")]
    Seconds,
    #[default]
    #[serde(rename = "ms")]
    Millis,
    #[serde(rename = "us")]
    Micros,
    #[serde(rename = "ns")]
    Nanos,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct OutputTable {
    file: Option<PathBuf>,
    late_file: Option<PathBuf>,
    rejected_file: Option<PathBuf>,
    #[serde(default)]
    overwrite: bool,
    topic: Option<String>,
    late_topic: Option<String>,
    rejected_topic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kafka {
    brokers: String,
    group: Option<String>,
    journal_topic: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    address: SocketAddr,
    #[serde(default)]
    allow_plaintext_beyond_loopback: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    runs_per_key_max: Number,
    matches_per_event_max: Number,
    ready_keys_max: Number,
    packed_keys_max: Number,
    held_events_max: Number,
    ahead_max: Option<String>,
    record_bytes_max: Number,
    log_matches_max: Number,
    log_bytes_max: Number,
    subscriber_queue_max: Number,
    store_memory_bytes_max: Number,
}

/// With less, stores would write out every epoch by itself.
const STORE_MEMORY_BYTES_MIN: u64 = 16 << 20;

/// Where nothing is said: a match waits for the end of its transaction.
const KAFKA_EPOCH_MS: u64 = 100;

fn default_name() -> String {
    "motif".to_owned()
}

/// Reads and checks a configuration file.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: shown.clone(), error })?;
    Ok(parse(&text, &shown, path.parent().unwrap_or(Path::new("")))?)
}

/// Checks the text of a configuration; relative paths count from `folder`.
pub fn parse(text: &str, path: &str, folder: &Path) -> Result<Config, ConfigProblem> {
    let document: Document = toml::from_str(text).map_err(|error| syntax_problem(&error, text, path))?;
    check_numbers(&document).map_err(|(place, what)| ConfigProblem { path: path.to_owned(), line: Some(line_of(place.start, text)), what })?;
    let problem = |what: String| ConfigProblem { path: path.to_owned(), line: None, what };
    let epoch_ms = document.service.epoch_ms.map(Spanned::into_inner);
    let mut config = Config::one_shot(document.service.patterns.iter().map(|path| folder.join(path)).collect());
    config.file = Some(PathBuf::from(path));
    config.name = document.service.name;
    config.state = document.service.state.map(|path| folder.join(path));
    config.workers = count(document.service.workers, config.workers);
    config.durability = match document.service.durability {
        DurabilityWord::Power => Durability::Power,
        DurabilityWord::Process => Durability::Process,
    };
    config.strictness = Strictness::SetAside;
    for (name, stream) in document.streams {
        let stream = check_stream(&name, stream, folder).map_err(problem)?;
        config.streams.insert(name, stream);
    }
    config.limits = check_limits(document.limits).map_err(problem)?;
    config.grpc = document.grpc.map(check_grpc).transpose().map_err(problem)?;
    config.checkpoints = document.checkpoints.map(|checkpoints| check_checkpoints(checkpoints, folder)).transpose().map_err(problem)?;
    let output = document.output;
    config.kafka = document.kafka.map(|kafka| check_kafka(kafka, &output, &config.name)).transpose().map_err(problem)?;
    config.epoch_ms = epoch_ms.unwrap_or(if config.kafka.is_some() { KAFKA_EPOCH_MS } else { config.epoch_ms });
    config.output = Output {
        matches: output.file.map(|path| folder.join(path)),
        late: output.late_file.map(|path| folder.join(path)),
        rejected: output.rejected_file.map(|path| folder.join(path)),
        overwrite: output.overwrite,
        readable: false,
    };
    check_ends(&config, output.topic.is_some() || output.late_topic.is_some() || output.rejected_topic.is_some()).map_err(problem)?;
    Ok(config)
}

fn check_stream(name: &str, stream: Stream, folder: &Path) -> Result<StreamConfig, String> {
    let span = |key: &str, text: Option<String>| text.map(|text| parse_span(&format!("streams.{name}.{key}"), &text)).transpose();
    let origin = match (stream.file, stream.topic, stream.grpc) {
        (Some(file), None, false) if file.as_os_str() == "-" => Origin::StandardInput,
        (Some(file), None, false) => {
            let at_end = if stream.follow { AtEnd::Follow } else { AtEnd::Finish };
            Origin::File { path: folder.join(file), at_end }
        }
        (None, Some(topic), false) => Origin::Topic(topic),
        (None, None, true) => Origin::Published,
        _ => return Err(format!("streams.{name}: say one of `file = …`, `topic = …` or `grpc = true`")),
    };
    if !stream.key.is_empty() && !matches!(origin, Origin::Topic(_)) {
        return Err(format!("streams.{name}.key: it says what a topic is partitioned by, and this stream comes from none"));
    }
    Ok(StreamConfig {
        origin,
        key: stream.key,
        late_after: span("late_after", stream.late_after)?,
        idle_timeout: span("idle_timeout", stream.idle_timeout)?,
        idle_after: span("idle_after", stream.idle_after)?,
        timestamp_unit: match stream.timestamp_unit {
            UnitWord::Seconds => TimestampUnit::Seconds,
            UnitWord::Millis => TimestampUnit::Millis,
            UnitWord::Micros => TimestampUnit::Micros,
            UnitWord::Nanos => TimestampUnit::Nanos,
        },
    })
}

fn check_grpc(grpc: Grpc) -> Result<GrpcConfig, String> {
    if !grpc.address.ip().is_loopback() && !grpc.allow_plaintext_beyond_loopback {
        return Err(format!(
            "grpc.address {} is reachable from other machines without encryption; listen on 127.0.0.1, or say `allow_plaintext_beyond_loopback = true`",
            grpc.address
        ));
    }
    Ok(GrpcConfig { address: grpc.address })
}

/// Settings of the client library for which the file has a key of its own, or that are no choice.
const OF_OTHER_KEYS: [(&str, &str); 5] = [
    ("bootstrap.servers", "the brokers are named by `kafka.brokers`"),
    ("metadata.broker.list", "the brokers are named by `kafka.brokers`"),
    ("group.id", "the group is named by `kafka.group`"),
    ("transactional.id", "it is made of the group's name, so that one process takes over from another; `kafka.group` names that"),
    ("group.instance.id", "each process has one of its own, which is kept in its state folder; leave it out"),
];

fn check_kafka(kafka: Kafka, output: &OutputTable, name: &str) -> Result<KafkaConfig, String> {
    let Some(output_topic) = output.topic.clone() else {
        return Err("with [kafka], `output.topic` names the topic for matches".to_owned());
    };
    if let Some((property, remedy)) = OF_OTHER_KEYS.iter().find(|(property, _)| kafka.properties.contains_key(*property)) {
        return Err(format!("`{property}` under [kafka.properties]: {remedy}"));
    }
    let group = kafka.group.unwrap_or_else(|| name.to_owned());
    Ok(KafkaConfig {
        brokers: kafka.brokers,
        journal_topic: kafka.journal_topic.unwrap_or_else(|| format!("{group}.journal")),
        group,
        output_topic,
        late_topic: output.late_topic.clone(),
        rejected_topic: output.rejected_topic.clone(),
        properties: kafka.properties,
    })
}

fn check_limits(table: LimitsTable) -> Result<Limits, String> {
    let default = Limits::default();
    Ok(Limits {
        runs_per_key_max: table.runs_per_key_max.map_or(default.runs_per_key_max, Spanned::into_inner),
        matches_per_event_max: table.matches_per_event_max.map_or(default.matches_per_event_max, Spanned::into_inner),
        ready_keys_max: count(table.ready_keys_max, default.ready_keys_max),
        packed_keys_max: count(table.packed_keys_max, default.packed_keys_max),
        held_events_max: count(table.held_events_max, default.held_events_max),
        ahead_max: table.ahead_max.map_or(Ok(default.ahead_max), |text| parse_span("limits.ahead_max", &text))?,
        record_bytes_max: count(table.record_bytes_max, default.record_bytes_max),
        log_matches_max: count(table.log_matches_max, default.log_matches_max),
        log_bytes_max: count(table.log_bytes_max, default.log_bytes_max),
        subscriber_queue_max: count(table.subscriber_queue_max, default.subscriber_queue_max),
        store_memory_bytes_max: count(table.store_memory_bytes_max, default.store_memory_bytes_max),
    })
}

/// What is said, or else what counts without that.
fn count(said: Number, default: usize) -> usize {
    said.map_or(default, |number| usize::try_from(number.into_inner()).unwrap_or(usize::MAX))
}

/// Numbers that would come to nothing, or to more than there can be, and where they stand. Of keys that are kept ready or packed there may be none.
fn check_numbers(document: &Document) -> Result<(), (Range<usize>, String)> {
    let Document { service, limits, .. } = document;
    let epoch_ms_max = if document.kafka.is_some() { KAFKA_EPOCH_MS_MAX } else { EPOCH_MS_MAX };
    let interval_ms = document.checkpoints.as_ref().and_then(|checkpoints| checkpoints.interval_ms.as_ref());
    let ranges = [
        ("service.workers", service.workers.as_ref(), 1, Some(u64::from(WORKERS_MAX)), "each is a thread that evaluates patterns"),
        ("service.epoch_ms", service.epoch_ms.as_ref(), 1, Some(epoch_ms_max), "it is the longest time between two commits, in milliseconds"),
        ("checkpoints.interval_ms", interval_ms, 10, Some(3_600_000), "it is the time between two checkpoints of a task, in milliseconds"),
        ("limits.runs_per_key_max", limits.runs_per_key_max.as_ref(), 1, None, "without a partial match nothing is found"),
        ("limits.matches_per_event_max", limits.matches_per_event_max.as_ref(), 1, None, "no match would come out"),
        ("limits.held_events_max", limits.held_events_max.as_ref(), 1, None, "no event could wait for its turn"),
        ("limits.record_bytes_max", limits.record_bytes_max.as_ref(), 1, None, "every record would be rejected"),
        ("limits.log_matches_max", limits.log_matches_max.as_ref(), 1, None, "no subscriber would get a match"),
        ("limits.log_bytes_max", limits.log_bytes_max.as_ref(), 1, None, "no subscriber would get a match"),
        ("limits.subscriber_queue_max", limits.subscriber_queue_max.as_ref(), 1, None, "no subscriber would get a match"),
        (
            "limits.store_memory_bytes_max",
            limits.store_memory_bytes_max.as_ref(),
            STORE_MEMORY_BYTES_MIN,
            None,
            "with less every epoch would be written out by itself",
        ),
    ];
    for (key, said, least, most, reason) in ranges {
        let Some(said) = said else { continue };
        let number = *said.get_ref();
        if number < least || most.is_some_and(|most| number > most) {
            let remedy = most.map_or_else(|| format!("give at least {least}"), |most| format!("give a number from {least} to {most}"));
            return Err((said.span(), format!("{key} = {number}: {reason}; {remedy}")));
        }
    }
    Ok(())
}

/// Input and output are either both Kafka, or both without it.
fn check_ends(config: &Config, names_topics: bool) -> Result<(), String> {
    let topics = config.streams.values().filter(|stream| matches!(stream.origin, Origin::Topic(_))).count();
    match &config.kafka {
        Some(_) if topics < config.streams.len() => {
            Err("with [kafka], every stream comes from a topic: files and published events go with files as output".to_owned())
        }
        Some(_) if config.output.matches.is_some() || config.output.late.is_some() || config.output.rejected.is_some() => {
            Err("with [kafka], outputs are topics: `output.topic`, `late_topic`, `rejected_topic`".to_owned())
        }
        Some(_) if config.state.is_none() => Err("with [kafka], `service.state` names the folder for the state".to_owned()),
        None if config.checkpoints.is_some() => Err("[checkpoints] go with [kafka]: without it the state is one folder on one machine".to_owned()),
        None if topics > 0 || names_topics => Err("topics need a [kafka] table with `brokers = \"host:port\"`".to_owned()),
        None if config.streams.values().any(|stream| stream.origin == Origin::Published) && config.grpc.is_none() => {
            Err("a stream with `grpc = true` needs a [grpc] table with `address = \"127.0.0.1:7171\"`".to_owned())
        }
        _ if config.streams.is_empty() => Err("no stream is bound to a source: add `[streams.NAME]`".to_owned()),
        _ => Ok(()),
    }
}

fn parse_span(key: &str, text: &str) -> Result<TimeSpan, String> {
    TimeSpan::parse(text).ok_or_else(|| format!("{key}: `{text}` is no duration; write for example \"30s\" or \"1h30m\""))
}

/// From 1.
fn line_of(place: usize, text: &str) -> usize {
    1 + text.bytes().take(place).filter(|&byte| byte == b'\n').count()
}

/// The library's message, its line, and for an unknown key the known one that comes nearest.
fn syntax_problem(error: &toml::de::Error, text: &str, path: &str) -> ConfigProblem {
    let line = error.span().map(|span| line_of(span.start, text));
    let message = error.message().to_owned();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = message.starts_with("unknown field").then(|| {
        let unknown = quoted.next()?;
        crate::language::nearest(unknown, quoted).map(|name| format!("; did you mean `{name}`?"))
    });
    ConfigProblem { path: path.to_owned(), line, what: format!("{message}{}", suggestion.flatten().unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[service]\npatterns = [\"p\"]\n[streams.payments]\nfile = \"payments.jsonl\"\n";

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let config = parse(GOOD, "motif.toml", Path::new("/etc/motif")).expect("a good configuration");
        assert_eq!(config.patterns, [PathBuf::from("/etc/motif/p")]);
        assert!(matches!(&config.streams["payments"].origin, Origin::File { path, .. } if path == Path::new("/etc/motif/payments.jsonl")));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        for (text, line) in [
            ("[service]\npattern = []", 2),
            ("[service]\npatterns = []\nworker = 3\n", 3),
            ("[service]\r\npatterns = []\r\n\r\nworker = 3\r\n", 4),
            ("[service]\npatterns = []\n  worker = 3", 3),
            ("[service]\npatterns = []\nworkers = \"two\"", 3),
            ("[service]\npatterns = []\n[limit]", 3),
            ("[service\npatterns = []", 1),
        ] {
            let problem = parse(text, "motif.toml", Path::new("")).expect_err(text);
            assert_eq!(problem.line, Some(line), "{text}\n{problem}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_meant_is_refused_with_its_line() {
        let service = |setting: &str| format!("{GOOD}[output]\nfile = \"o\"\n").replace("[streams", &format!("{setting}\n[streams"));
        let limits = |setting: &str| format!("{GOOD}[limits]\n{setting}\n");
        let on_kafka = |setting: &str| {
            let text = "[service]\npatterns = []\nstate = \"s\"\n[streams.s]\ntopic = \"t\"\n[output]\ntopic = \"o\"\n[kafka]\nbrokers = \"b\"\n";
            format!("{text}[checkpoints]\nurl = \"c\"\n").replace("state", &format!("{setting}\nstate"))
        };
        for (text, said) in [
            (service("workers = 0"), "m:3: service.workers = 0: "),
            (service("workers = 257"), "from 1 to 256"),
            (service("workers = 65536"), "from 1 to 256"),
            (service("epoch_ms = 0"), "m:3: service.epoch_ms = 0: "),
            (service("epoch_ms = 60001"), "from 1 to 60000"),
            (on_kafka("epoch_ms = 10001"), "m:3: service.epoch_ms = 10001: "),
            (on_kafka("workers = 2") + "interval_ms = 9", "m:13: checkpoints.interval_ms = 9: "),
            (limits("runs_per_key_max = 0"), "m:6: limits.runs_per_key_max = 0: "),
            (limits("ahead_max = \"1d\"\nmatches_per_event_max = 0"), "m:7: limits.matches_per_event_max = 0: "),
            (limits("held_events_max = 0"), "give at least 1"),
            (limits("record_bytes_max = 0"), "give at least 1"),
            (limits("log_matches_max = 0"), "give at least 1"),
            (limits("log_bytes_max = 0"), "give at least 1"),
            (limits("subscriber_queue_max = 0"), "give at least 1"),
            (limits("store_memory_bytes_max = 16777215"), "give at least 16777216"),
        ] {
            let problem = parse(&text, "m", Path::new("")).expect_err(&text).to_string();
            assert!(problem.contains(said), "{text}\n{problem}");
        }
        for text in [
            service("workers = 1"),
            service("workers = 256"),
            service("epoch_ms = 60000"),
            on_kafka("epoch_ms = 10000"),
            limits("ready_keys_max = 0\npacked_keys_max = 0\nruns_per_key_max = 1\nstore_memory_bytes_max = 16777216"),
        ] {
            parse(&text, "m", Path::new("")).expect(&text);
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_remedy() {
        let kafka_with = |property: &str| format!("{GOOD}[output]\ntopic = \"t\"\n[kafka]\nbrokers = \"b\"\n[kafka.properties]\n\"{property}\" = \"x\"");
        for (change, said) in [
            ("[service]\npattern = []", "did you mean `patterns`?"),
            ("[service]\npatterns = []\nworker = 3", "did you mean `workers`?"),
            ("[service]\npatterns = []", "no stream is bound"),
            (&format!("{GOOD}topic = \"t\""), "say one of"),
            (&format!("{GOOD}[output]\ntopic = \"t\""), "need a [kafka] table"),
            (&format!("{GOOD}late_after = \"5\""), "is no duration"),
            (&format!("{GOOD}key = [\"card\"]"), "comes from none"),
            (&format!("{GOOD}[kafka]\nbrokers = \"b\""), "output.topic"),
            (&kafka_with("bootstrap.servers"), "`kafka.brokers`"),
            (&kafka_with("metadata.broker.list"), "`kafka.brokers`"),
            (&kafka_with("group.id"), "`kafka.group`"),
            (&kafka_with("transactional.id"), "`kafka.group`"),
            (&kafka_with("group.instance.id"), "state folder"),
            (&format!("{GOOD}[checkpoints]\nurl = \"/c\""), "go with [kafka]"),
            (&format!("{GOOD}[grpc]\naddress = \"0.0.0.0:1\""), "allow_plaintext_beyond_loopback"),
        ] {
            let problem = parse(change, "motif.toml", Path::new("")).expect_err(change).to_string();
            assert!(problem.contains(said), "{change}\n{problem}");
        }
    }
}
