//! `motif run`: the command line or a configuration file to one run of the service.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::args::{DurabilityWord, Format, RunArguments};
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::files::{self, Spelling};
use crate::cli::inputs;
use crate::cli::progress::{MatchesGo, ProgressLine};
use crate::cli::text::{counted, format_or_default, say_diagnostics, show_errors};
use crate::config::{self, AtEnd, Config, Durability, EndOfInput, GrpcConfig, KAFKA_EPOCH_MS_MAX, KafkaConfig, Origin, Strictness};
use crate::pattern::Program;
use crate::service::topics::UntilEnd;
use crate::service::topics::metrics::MetricsSnapshot;
use crate::service::{Progress, STOP_MAX, StopSignal, Summary, embedded, program, topics};

/// Of a run that did not stop in time, or waits for a pipe, which cannot be interrupted.
const EXIT_INTERRUPTED: i32 = 130;

pub(super) fn run(arguments: RunArguments) -> anyhow::Result<Outcome> {
    let from_file = arguments.config.as_deref().map(config::load).transpose()?;
    let is_service = from_file.is_some();
    let mut config = from_file.unwrap_or_else(|| Config::one_shot(arguments.patterns.clone()));
    let loaded = program::load(&config.patterns)?;
    if loaded.compiled.has_errors() {
        show_errors(&loaded.compiled.diagnostics, &loaded.sources, arguments.format)?;
        return Ok(Outcome::Wrong);
    }
    say_diagnostics(&loaded.compiled.diagnostics, &loaded.sources);
    let program = Arc::new(loaded.compiled.program);
    if program.patterns.is_empty() {
        return Err(UserFault("the pattern files hold no pattern".to_owned()).into());
    }
    if is_service {
        check_bindings(&config, &program)?;
    } else {
        config.streams = inputs::bind(&arguments.input, &program)?;
        refuse_open_address(arguments.grpc)?;
    }
    refuse_without_time(&config, &program)?;
    apply_options(&mut config, &arguments);
    refuse_vain_leave(&config)?;
    refuse_not_on_kafka(&config, &arguments)?;
    files::refuse_shared(&config, &loaded.sources, if is_service { Spelling::Configuration } else { Spelling::Options })?;
    let stop = StopSignal::default();
    listen_for_signals(stop.clone())?;
    let summary = if config.kafka.is_some() {
        let until_end = if arguments.until_end { UntilEnd::Yes } else { UntilEnd::No };
        topics::run(program, &loaded.sources, &config, &stop, until_end)?
    } else {
        if arguments.until_end {
            stop_following(&mut config);
        }
        let end = if arguments.keep_open || (is_service && !arguments.until_end) { EndOfInput::KeepsOpen } else { EndOfInput::ClosesWindows };
        let progress = Progress::default();
        let matches = if config.output.matches.is_some() { MatchesGo::Elsewhere } else { MatchesGo::ToStandardOutput };
        let _line = ProgressLine::show(&progress, matches);
        embedded::run_watched(&program, &config, end, &stop, &progress)?
    };
    say(&describe(&summary));
    if summary.stopped && !is_service {
        say("stopped before the end of the input; the same command goes on from here if it has --state");
        return Ok(Outcome::Unfinished);
    }
    Ok(Outcome::Fine)
}

fn apply_options(config: &mut Config, arguments: &RunArguments) {
    if arguments.config.is_none() {
        config.state = arguments.state.clone();
        config.output.matches = arguments.output.clone();
        config.output.late = arguments.late.clone();
        config.output.rejected = arguments.rejected.clone();
        config.grpc = arguments.grpc.map(|address| GrpcConfig { address });
    }
    config.output.overwrite |= arguments.overwrite;
    config.output.readable = config.output.matches.is_none() && format_or_default(arguments.format) == Format::Text;
    config.slot = arguments.slot;
    config.accept_reset = arguments.accept_reset;
    config.leaves = arguments.leave;
    config.reference = arguments.now;
    if let Some(workers) = arguments.workers {
        config.workers = usize::from(workers);
    }
    if let Some(ahead_max) = arguments.ahead_max {
        config.limits.ahead_max = ahead_max;
    }
    if let Some(epoch_ms) = arguments.epoch_ms {
        config.epoch_ms = epoch_ms;
    }
    match arguments.durability {
        Some(DurabilityWord::Power) => config.durability = Durability::Power,
        Some(DurabilityWord::Process) => config.durability = Durability::Process,
        None => {}
    }
    if arguments.strict {
        config.strictness = Strictness::Stop;
    }
}

/// As the configuration check does, which knows a way to say that it is meant.
fn refuse_open_address(address: Option<std::net::SocketAddr>) -> Result<(), UserFault> {
    match address.filter(|address| !address.ip().is_loopback()) {
        None => Ok(()),
        Some(address) => Err(UserFault(format!(
            "--grpc {address} is reachable from other machines without encryption; listen on 127.0.0.1, or use a configuration file that says \
             `allow_plaintext_beyond_loopback = true`"
        ))),
    }
}

/// Topics go on: there is no end at which something could stay undecided, unless all that they hold is to be decided.
fn refuse_not_on_kafka(config: &Config, arguments: &RunArguments) -> Result<(), UserFault> {
    if config.kafka.is_none() {
        return Ok(());
    }
    if arguments.keep_open {
        return Err(UserFault("--keep-open: topics have no end at which windows would close; leave it out, and --until-end too, which closes them".to_owned()));
    }
    match arguments.epoch_ms.filter(|epoch_ms| *epoch_ms > KAFKA_EPOCH_MS_MAX) {
        Some(epoch_ms) => Err(UserFault(format!("--epoch-ms {epoch_ms}: on Kafka from 1 to {KAFKA_EPOCH_MS_MAX}"))),
        None => Ok(()),
    }
}

/// Under the newer group protocol the client library tells the brokers of every member that has a name of its own that it comes back.
fn refuse_vain_leave(config: &Config) -> Result<(), UserFault> {
    let is_of_brokers = |kafka: &KafkaConfig| kafka.properties.get("group.protocol").is_some_and(|protocol| protocol == "consumer");
    if !config.leaves || !config.kafka.as_ref().is_some_and(is_of_brokers) {
        return Ok(());
    }
    Err(UserFault(
        "--leave: with group.protocol = \"consumer\" no process can leave its group for good; run without --leave (the tasks wait for as long as the brokers' \
         group.consumer.session.timeout.ms says), or use the classic protocol"
            .to_owned(),
    ))
}

/// The configuration binds streams that the patterns know, and all that they read.
pub(super) fn check_bindings(config: &Config, program: &Program) -> Result<(), UserFault> {
    let names: Vec<&str> = program.schema.streams.iter().map(|stream| stream.name.as_str()).collect();
    if let Some(name) = config.streams.keys().find(|name| !names.contains(&name.as_str())) {
        let hint = crate::language::nearest(name, names.iter().copied()).map(|name| format!("; did you mean `{name}`?"));
        return Err(UserFault(format!("[streams.{name}]: the patterns declare no stream `{name}`{}", hint.unwrap_or_default())));
    }
    for (name, stream) in &config.streams {
        let fields = program.schema.find(name).map(|id| &program.schema.stream(id).fields).into_iter().flatten();
        let fields: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
        if let Some(key) = stream.key.iter().find(|key| !fields.contains(&key.as_str())) {
            let hint = crate::language::nearest(key, fields.iter().copied()).map(|name| format!("; did you mean `{name}`?"));
            return Err(UserFault(format!("[streams.{name}]: key: the stream has no field `{key}`{}", hint.unwrap_or_default())));
        }
    }
    for pattern in &program.patterns {
        for source in &pattern.sources {
            let name = &program.schema.stream(source.stream).name;
            if !config.streams.contains_key(name) {
                return Err(UserFault(format!(
                    "pattern `{}` reads stream `{name}`, which the configuration binds to no source; add [streams.{name}]",
                    pattern.name
                )));
            }
        }
    }
    Ok(())
}

/// Only records on Kafka have a time of their own: of any other source all would be rejected.
fn refuse_without_time(config: &Config, program: &Program) -> Result<(), UserFault> {
    for stream in program.schema.streams.iter().filter(|stream| stream.time_field.is_none()) {
        let whose = match config.streams.get(&stream.name).map(|config| &config.origin) {
            None | Some(Origin::Topic(_)) => continue,
            Some(Origin::File { .. } | Origin::StandardInput) => "lines of a file have none of their own",
            Some(Origin::Published) => "published events have none of their own",
        };
        return Err(UserFault(format!(
            "stream `{}` declares no field as its time, and {whose}; add `time FIELD` to the stream, with a field of type timestamp",
            stream.name
        )));
    }
    Ok(())
}

fn stop_following(config: &mut Config) {
    for stream in config.streams.values_mut() {
        if let Origin::File { at_end, .. } = &mut stream.origin {
            *at_end = AtEnd::Finish;
        }
    }
}

/// The first interrupt or termination asks the run to stop; the second, or too long a wait, ends it.
fn listen_for_signals(stop: StopSignal) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            stop.ask();
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} () = tokio::time::sleep(STOP_MAX) => {} }
        });
        say("ended before the epoch was finished; nothing that was committed is lost");
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(())
}

/// `3 rejected (2 not_json, 1 too_long)`
fn rejected(summary: &Summary) -> String {
    let reasons: Vec<String> = summary.rejected.iter().map(|(code, number)| format!("{number} {code}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("{} rejected{reasons}", summary.rejected_total())
}

fn describe(summary: &Summary) -> String {
    let counters = &summary.counters;
    let mut parts =
        vec![counted(counters.events, "event", "events"), counted(counters.matches, "match", "matches"), format!("{} late", counters.late), rejected(summary)];
    for (number, what) in [
        (counters.timeouts, "timed out"),
        (counters.suppressed, "suppressed"),
        (counters.null_keys, "without a key"),
        (counters.runs_dropped, "partial matches dropped, or instants of too many matches passed over, for a limit"),
        (counters.keys_spilled, "times a key was laid on the disk"),
        (counters.faults, "calculations without a result"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if let Some(topics) = &summary.topics {
        parts.extend(describe_topics(topics));
    }
    parts.join(", ")
}

/// What happened between topics, where it is worth a word.
fn describe_topics(topics: &MetricsSnapshot) -> Vec<String> {
    let mut parts = vec![format!("{} ({} on average)", counted(topics.commits.count, "commit", "commits"), millis(topics.commits.mean()))];
    for (number, what) in [
        (topics.checkpoints.count, "checkpoints"),
        (topics.checkpoint_failures, "checkpoints that failed"),
        (topics.replayed_epochs, "epochs repeated"),
        (topics.aborts, "transactions aborted"),
        (topics.unknown_outcomes, "of unknown outcome"),
        (topics.fences, "producers replaced"),
        (topics.expulsions, "times expelled from the group"),
        (topics.rejoins, "times taken for another process of its name"),
        (topics.outages, "outages of the brokers"),
        (topics.retention_alarms, "times an input was about to lose what a restart would read"),
        (topics.misplaced_keys, "KEYS IN SEVERAL PARTITIONS"),
        (topics.digest_differences, "REPEATED EPOCHS THAT DIFFER"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
