//! The TOML file: its shape, and the checks that make a [`Config`] of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::checkpoints::{Checkpoints, check_checkpoints};
use crate::config::{
    AtEnd, Config, ConfigError, ConfigProblem, Durability, GrpcConfig, KafkaConfig, Limits, Origin, Output, StreamConfig, Strictness, TimestampUnit,
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
    #[serde(default = "one")]
    workers: usize,
    epoch_ms: Option<u64>,
    #[serde(default)]
    durability: DurabilityWord,
}

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
    runs_per_key_max: Option<u64>,
    matches_per_event_max: Option<u64>,
    ready_keys_max: Option<usize>,
    packed_keys_max: Option<usize>,
    held_events_max: Option<usize>,
    ahead_max: Option<String>,
    record_bytes_max: Option<usize>,
    log_matches_max: Option<usize>,
    log_bytes_max: Option<usize>,
    subscriber_queue_max: Option<usize>,
    store_memory_bytes_max: Option<usize>,
}

/// With less, stores would write out every epoch by itself.
const STORE_MEMORY_BYTES_MIN: usize = 16 << 20;

fn default_name() -> String {
    "motif".to_owned()
}

fn one() -> usize {
    1
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
    let problem = |what: String| ConfigProblem { path: path.to_owned(), line: None, what };
    let mut config = Config::one_shot(document.service.patterns.iter().map(|path| folder.join(path)).collect());
    config.file = Some(PathBuf::from(path));
    config.name = document.service.name;
    config.state = document.service.state.map(|path| folder.join(path));
    config.workers = document.service.workers.max(1);
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
    config.kafka = document.kafka.map(|kafka| check_kafka(kafka, &output, &config.name, document.service.epoch_ms)).transpose().map_err(problem)?;
    config.epoch_ms = document.service.epoch_ms.unwrap_or(config.epoch_ms).clamp(1, 60_000);
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

fn check_kafka(kafka: Kafka, output: &OutputTable, name: &str, epoch_ms: Option<u64>) -> Result<KafkaConfig, String> {
    let Some(output_topic) = output.topic.clone() else {
        return Err("with [kafka], `output.topic` names the topic for matches".to_owned());
    };
    let group = kafka.group.unwrap_or_else(|| name.to_owned());
    Ok(KafkaConfig {
        brokers: kafka.brokers,
        journal_topic: kafka.journal_topic.unwrap_or_else(|| format!("{group}.journal")),
        group,
        output_topic,
        late_topic: output.late_topic.clone(),
        rejected_topic: output.rejected_topic.clone(),
        epoch_ms: epoch_ms.unwrap_or(100).clamp(1, 10_000),
        properties: kafka.properties,
    })
}

fn check_limits(table: LimitsTable) -> Result<Limits, String> {
    let default = Limits::default();
    Ok(Limits {
        runs_per_key_max: table.runs_per_key_max.unwrap_or(default.runs_per_key_max).max(1),
        matches_per_event_max: table.matches_per_event_max.unwrap_or(default.matches_per_event_max).max(1),
        ready_keys_max: table.ready_keys_max.unwrap_or(default.ready_keys_max),
        packed_keys_max: table.packed_keys_max.unwrap_or(default.packed_keys_max),
        held_events_max: table.held_events_max.unwrap_or(default.held_events_max).max(1),
        ahead_max: table.ahead_max.map_or(Ok(default.ahead_max), |text| parse_span("limits.ahead_max", &text))?,
        record_bytes_max: table.record_bytes_max.unwrap_or(default.record_bytes_max).max(1),
        log_matches_max: table.log_matches_max.unwrap_or(default.log_matches_max).max(1),
        log_bytes_max: table.log_bytes_max.unwrap_or(default.log_bytes_max).max(1),
        subscriber_queue_max: table.subscriber_queue_max.unwrap_or(default.subscriber_queue_max).max(1),
        store_memory_bytes_max: table.store_memory_bytes_max.unwrap_or(default.store_memory_bytes_max).max(STORE_MEMORY_BYTES_MIN),
    })
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

/// The library's message, its line, and for an unknown key the known one that comes nearest.
fn syntax_problem(error: &toml::de::Error, text: &str, path: &str) -> ConfigProblem {
    let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
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
    fn what_cannot_work_is_refused_with_a_remedy() {
        for (change, said) in [
            ("[service]\npattern = []", "did you mean `patterns`?"),
            ("[service]\npatterns = []\nworker = 3", "did you mean `workers`?"),
            ("[service]\npatterns = []", "no stream is bound"),
            (&format!("{GOOD}topic = \"t\""), "say one of"),
            (&format!("{GOOD}[output]\ntopic = \"t\""), "need a [kafka] table"),
            (&format!("{GOOD}late_after = \"5\""), "is no duration"),
            (&format!("{GOOD}key = [\"card\"]"), "comes from none"),
            (&format!("{GOOD}[kafka]\nbrokers = \"b\""), "output.topic"),
            (&format!("{GOOD}[checkpoints]\nurl = \"/c\""), "go with [kafka]"),
            (&format!("{GOOD}[grpc]\naddress = \"0.0.0.0:1\""), "allow_plaintext_beyond_loopback"),
        ] {
            let problem = parse(change, "motif.toml", Path::new("")).expect_err(change).to_string();
            assert!(problem.contains(said), "{change}\n{problem}");
        }
    }
}
