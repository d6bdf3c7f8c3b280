//! Commands and their options. Every option has an environment variable `MOTIF_…`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{EPOCH_MS_MAX, WORKERS_MAX};
use crate::event::{EventTime, TimeSpan};
use crate::telemetry::fault_of_filter;

/// Between several values in one environment variable. Paths, names in back quotes and values of keys may have commas.
const VALUE_DELIMITER: char = '\n';

/// Finds patterns in event streams: rules as text, on event time, each match once.
#[derive(Debug, Parser)]
#[command(name = "motif", version, about, max_term_width = 110)]
#[command(after_help = "Examples:
  motif run patterns/web --input requests.jsonl
  motif check patterns
  motif help run

Exit status: 0 fine, 1 what you gave is wrong, 2 it could not be done.")]
pub struct Arguments {
    /// What to log to standard error: error, warn, info, debug, or a filter like motif=debug
    #[arg(long, global = true, env = "MOTIF_LOG", default_value = "warn", value_name = "FILTER", display_order = 900, value_parser = parse_filter)]
    pub log: String,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArguments),
    Check(CheckArguments),
    Test(TestArguments),
    Fmt(FmtArguments),
    Explain(ExplainArguments),
    Subscribe(SubscribeArguments),
    Sample(SampleArguments),
    Topics(TopicsArguments),
    Verify(VerifyArguments),
    Dlq(DlqArguments),
}

/// How results are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people; the default on a terminal
    Text,
    /// One object a line; the default elsewhere for matches
    Json,
}

/// Run patterns over event streams and put out their matches
///
/// Without --config: files and standard input in, standard output or a file out, no server. With --state the run can be stopped at any moment, even
/// by a loss of power; the same command goes on, and the output ends up as if it had never stopped.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif run patterns/web --input requests.jsonl
  motif run patterns/fraud --input payments=payments.jsonl --input logins=logins.jsonl \\
    --output matches.jsonl --state state
  tail -F app.log | motif run rule.motif --input -
  motif run --config motif.toml")]
pub struct RunArguments {
    /// Pattern files (*.motif) or folders of them
    #[arg(required_unless_present = "config", env = "MOTIF_PATTERNS", value_delimiter = VALUE_DELIMITER)]
    pub patterns: Vec<PathBuf>,
    /// A stream's events as NDJSON, one a line; - is standard input. With one stream the name may be left out
    #[arg(long, short, value_name = "[NAME=]PATH", env = "MOTIF_INPUT", value_delimiter = VALUE_DELIMITER)]
    pub input: Vec<String>,
    /// The file for matches, one JSON object a line [default: standard output]
    #[arg(long, short, value_name = "PATH", env = "MOTIF_OUTPUT")]
    pub output: Option<PathBuf>,
    /// Keep state and positions in this folder, so that the same command goes on after any kind of stop
    #[arg(long, value_name = "DIR", env = "MOTIF_STATE")]
    pub state: Option<PathBuf>,
    /// The file for events that came too late
    #[arg(long, value_name = "PATH", env = "MOTIF_LATE")]
    pub late: Option<PathBuf>,
    /// The file for records that could not be read, each with its reason
    #[arg(long, value_name = "PATH", env = "MOTIF_REJECTED")]
    pub rejected: Option<PathBuf>,
    /// Threads that evaluate; the keys are split over them
    #[arg(long, value_name = "N", env = "MOTIF_WORKERS", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Option<u16>,
    /// What is undecided at the end of the input stays undecided
    #[arg(long, env = "MOTIF_KEEP_OPEN", value_parser = FalseyValueParser::new())]
    pub keep_open: bool,
    /// Stop at the first record that cannot be read, with exit status 1
    #[arg(long, env = "MOTIF_STRICT", value_parser = FalseyValueParser::new())]
    pub strict: bool,
    /// Begin output files anew that are not empty
    #[arg(long, env = "MOTIF_OVERWRITE", value_parser = FalseyValueParser::new())]
    pub overwrite: bool,
    /// The time that far-future events are measured against (RFC 3339) [default: the first start's]
    #[arg(long, value_name = "TIME", env = "MOTIF_NOW", value_parser = parse_time)]
    pub now: Option<EventTime>,
    /// How far ahead of that time an event may be
    #[arg(long, value_name = "DURATION", env = "MOTIF_AHEAD_MAX", value_parser = parse_span)]
    pub ahead_max: Option<TimeSpan>,
    /// The longest time between two commits, in milliseconds
    #[arg(long, value_name = "MS", env = "MOTIF_EPOCH_MS", value_parser = clap::value_parser!(u64).range(1..=EPOCH_MS_MAX))]
    pub epoch_ms: Option<u64>,
    /// What commits survive: a loss of power, or a kill of the process only
    #[arg(long, value_enum, env = "MOTIF_DURABILITY")]
    pub durability: Option<DurabilityWord>,
    /// Serve matches to subscribers at this address
    #[arg(long, value_name = "HOST:PORT", env = "MOTIF_GRPC")]
    pub grpc: Option<std::net::SocketAddr>,
    /// Run as this configuration file (TOML) says: Kafka, gRPC, files that grow
    #[arg(long, value_name = "FILE", env = "MOTIF_CONFIG", conflicts_with_all = ["patterns", "input", "output", "state", "late", "rejected", "grpc"])]
    pub config: Option<PathBuf>,
    /// With --config: take what the inputs hold now as all there is, close all windows and exit
    #[arg(long, env = "MOTIF_UNTIL_END", requires = "config", conflicts_with = "patterns", value_parser = FalseyValueParser::new())]
    pub until_end: bool,
    /// With --config: take this slot of the state folder [default: the lowest that is free]
    #[arg(long, value_name = "N", env = "MOTIF_SLOT", requires = "config", conflicts_with = "patterns")]
    pub slot: Option<u32>,
    /// With --config: where the state of a task is lost, begin at the group's offsets without it instead of refusing; matches that began before are lost
    #[arg(long, env = "MOTIF_ACCEPT_RESET", requires = "config", conflicts_with = "patterns", value_parser = FalseyValueParser::new())]
    pub accept_reset: bool,
    /// With --config, on Kafka: at the end leave the group for good, so that other processes have the tasks at once; otherwise they wait for a restart of this one until its session is over
    #[arg(long, env = "MOTIF_LEAVE", requires = "config", conflicts_with = "patterns", value_parser = FalseyValueParser::new())]
    pub leave: bool,
    /// How matches look on standard output [default: text on a terminal, json elsewhere]
    #[arg(long, value_enum, env = "MOTIF_FORMAT")]
    pub format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DurabilityWord {
    Power,
    Process,
}

/// Check pattern files and show everything that is wrong with them at once
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif check patterns/fraud
  motif check --format json patterns | jq .message")]
pub struct CheckArguments {
    /// Pattern files or folders; all together are one program. - is standard input
    #[arg(required = true)]
    pub patterns: Vec<PathBuf>,
    /// How findings are shown: for people, or one JSON object a line
    #[arg(long, value_enum, env = "MOTIF_FORMAT", default_value = "text")]
    pub format: Format,
}

/// Run the tests that stand beside the patterns
///
/// Those are `test` blocks, and the cases of `table`s.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif test patterns
  motif test patterns/fraud --filter card_testing
  motif test patterns --coverage
  motif test patterns --format junit > tests.xml")]
pub struct TestArguments {
    /// Pattern files or folders; each folder is one program
    #[arg(required = true)]
    pub patterns: Vec<PathBuf>,
    /// Only tests whose name, or whose pattern's name, contains this
    #[arg(long, value_name = "TEXT", env = "MOTIF_FILTER")]
    pub filter: Option<String>,
    /// Also say what no test has reached: steps, conditions, absences, deadlines
    #[arg(long, env = "MOTIF_COVERAGE", value_parser = FalseyValueParser::new())]
    pub coverage: bool,
    /// How results are shown
    #[arg(long, value_enum, env = "MOTIF_FORMAT", default_value = "text")]
    pub format: TestFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum TestFormat {
    /// For people
    Text,
    /// One object a line
    Json,
    /// XML for build servers
    Junit,
}

/// Print pattern files in their canonical form, in place
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif fmt patterns
  motif fmt --check patterns
  motif fmt - < rule.motif")]
pub struct FmtArguments {
    /// Pattern files or folders; - reads standard input and writes standard output
    #[arg(required = true)]
    pub patterns: Vec<PathBuf>,
    /// Change nothing; exit status 1 where something would change
    #[arg(long, env = "MOTIF_CHECK", value_parser = FalseyValueParser::new())]
    pub check: bool,
}

/// Show what a pattern does, in words, as its automaton, or as a diagram; or what a code means
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif explain patterns/fraud --pattern card_testing
  motif explain rule.motif --as graphviz | dot -Tsvg > rule.svg
  motif explain --config motif.toml
  motif explain E0101")]
pub struct ExplainArguments {
    /// Pattern files or folders; or the code of an error or warning, such as E0101
    #[arg(required_unless_present = "config")]
    pub patterns: Vec<PathBuf>,
    /// A configuration file: its patterns where none are named, and what they cost on its topics
    #[arg(long, value_name = "FILE", env = "MOTIF_CONFIG")]
    pub config: Option<PathBuf>,
    /// Only this pattern
    #[arg(long, value_name = "NAME", env = "MOTIF_PATTERN")]
    pub pattern: Option<String>,
    /// How it is shown
    #[arg(long = "as", value_enum, env = "MOTIF_AS", default_value = "words")]
    pub view: View,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum View {
    /// What it does, a line for each fact
    Words,
    /// Its automaton: nodes, ways and what each demands
    Dump,
    /// The automaton for Graphviz
    Graphviz,
    /// The automaton for Mermaid
    Mermaid,
}

/// Receive matches from a running service
///
/// Goes on from where it was when the connection breaks. The last token is printed to standard error at the end; give it to --from to go on later.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif subscribe --address 127.0.0.1:7171
  motif subscribe --pattern card_testing --key card_id=4711 --from earliest --format json")]
pub struct SubscribeArguments {
    /// Where the service listens
    #[arg(long, value_name = "HOST:PORT", env = "MOTIF_ADDRESS", default_value = "127.0.0.1:7171")]
    pub address: String,
    /// Only this pattern; may be repeated
    #[arg(long, value_name = "NAME", env = "MOTIF_PATTERN", value_delimiter = VALUE_DELIMITER)]
    pub pattern: Vec<String>,
    /// Only matches whose key has this part; may be repeated
    #[arg(long, value_name = "NAME=VALUE", env = "MOTIF_KEY", value_delimiter = VALUE_DELIMITER)]
    pub key: Vec<String>,
    /// latest, earliest, or the token of an earlier subscription
    #[arg(long, value_name = "FROM", env = "MOTIF_FROM", default_value = "latest")]
    pub from: String,
    /// End after this many matches
    #[arg(long, value_name = "N", env = "MOTIF_LIMIT")]
    pub limit: Option<u64>,
    /// Try this long to reach a service that does not answer
    #[arg(long, value_name = "DURATION", env = "MOTIF_RETRY", default_value = "30s", value_parser = parse_span)]
    pub retry: TimeSpan,
    /// How matches look [default: text on a terminal, json elsewhere]
    #[arg(long, value_enum, env = "MOTIF_FORMAT")]
    pub format: Option<Format>,
}

/// Make event streams with planted cases, or compare what was found with what was planted
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif sample payments --out sample --events 100000 --keys 10000 --seed 7
  motif sample --compare sample/planted.jsonl matches.jsonl")]
pub struct SampleArguments {
    /// payments (with logins), sensors, or web
    #[arg(required_unless_present = "compare", env = "MOTIF_SCENARIO")]
    pub scenario: Option<String>,
    /// The folder for the streams and planted.jsonl
    #[arg(long, value_name = "DIR", env = "MOTIF_OUT", default_value = ".")]
    pub out: PathBuf,
    /// How many events, over all streams of the scenario
    #[arg(long, value_name = "N", env = "MOTIF_EVENTS", default_value_t = 100_000)]
    pub events: u64,
    /// How many keys
    #[arg(long, value_name = "N", env = "MOTIF_KEYS", default_value_t = 10_000)]
    pub keys: u64,
    /// The same seed makes the same streams
    #[arg(long, value_name = "S", env = "MOTIF_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Compare matches with planted cases; exit status 1 where they differ
    #[arg(long, num_args = 2, value_names = ["PLANTED", "MATCHES"], env = "MOTIF_COMPARE", conflicts_with = "scenario")]
    pub compare: Option<Vec<PathBuf>>,
}

/// Show the Kafka topics that a configuration needs, and what is wrong with them; make what is missing
///
/// The inputs, the outputs, and the journal of the consumer group. What is made has as many partitions and copies as the inputs, and the journal is kept at
/// least as long as they are. What exists is never changed, so the command can be repeated. Exit status 1 where something is missing or wrong, 2 where
/// topics may not be seen; what would let you see each of them is said.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif topics --config motif.toml
  motif topics --config motif.toml --create
  motif topics --config motif.toml --create --partitions 8 --replication 3")]
pub struct TopicsArguments {
    /// The configuration file (TOML) of the deployment
    #[arg(long, value_name = "FILE", env = "MOTIF_CONFIG")]
    pub config: PathBuf,
    /// Make the topics that are missing
    #[arg(long, env = "MOTIF_CREATE", value_parser = FalseyValueParser::new())]
    pub create: bool,
    /// With --create: partitions of each topic [default: as many as the inputs have]
    #[arg(long, value_name = "N", env = "MOTIF_PARTITIONS", requires = "create", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// With --create: copies of each partition [default: as many as the inputs have, or else what the cluster does by default]
    #[arg(long, value_name = "N", env = "MOTIF_REPLICATION", requires = "create", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub replication: Option<u32>,
    /// How topics are shown: for people, or one JSON object a line
    #[arg(long, value_enum, env = "MOTIF_FORMAT", default_value = "text")]
    pub format: Format,
}

/// Decide from its topics alone whether a deployment on Kafka has kept its promises
///
/// Reads the journal of the consumer group, the inputs and the outputs, evaluates the inputs again, and compares: each match there once, none missing, none
/// doubled, ids right, in order; the same for late events and rejected records. Writes nothing; the service may run meanwhile. Exit status: 0 all is as
/// promised, 1 something is not, 2 that could not be decided.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif verify --config motif.toml
  motif verify --config motif.toml --format json | jq 'select(.difference)'")]
pub struct VerifyArguments {
    /// The configuration file (TOML) of the deployment
    #[arg(long, value_name = "FILE", env = "MOTIF_CONFIG")]
    pub config: PathBuf,
    /// Show at most so many differences; all are counted
    #[arg(long, value_name = "N", env = "MOTIF_LIMIT", default_value_t = 20)]
    pub limit: usize,
    /// How the result is shown: for people, or one JSON object a line
    #[arg(long, value_enum, env = "MOTIF_FORMAT", default_value = "text")]
    pub format: Format,
}

/// Show the late events and rejected records of a deployment on Kafka, or send them to their inputs again
///
/// They stand in output.late_topic and output.rejected_topic, as their producers made them. What is replayed goes to the partition that it came from, key, value and
/// time untouched, and is marked in one transaction with that: replaying twice sends nothing twice.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  motif dlq --config motif.toml
  motif dlq --config motif.toml show --code wrong_type --limit 5
  motif dlq --config motif.toml replay --at rejected/3:17
  motif dlq --config motif.toml replay --code held_full --topic payments")]
pub struct DlqArguments {
    /// What to do
    #[arg(value_enum, default_value = "list", env = "MOTIF_ACTION")]
    pub action: DlqAction,
    /// The configuration file (TOML) of the deployment
    #[arg(long, value_name = "FILE", env = "MOTIF_CONFIG")]
    pub config: PathBuf,
    /// Only letters with this code, such as late or not_json; may be repeated
    #[arg(long, value_name = "CODE", env = "MOTIF_CODE", value_delimiter = ',')]
    pub code: Vec<String>,
    /// Only letters that came from this input topic; may be repeated
    #[arg(long, value_name = "TOPIC", env = "MOTIF_TOPIC", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Only the letter that stands there; may be repeated
    #[arg(long, value_name = "TOPIC/PARTITION:OFFSET", env = "MOTIF_AT", value_delimiter = ',')]
    pub at: Vec<String>,
    /// With replay: all letters
    #[arg(long, env = "MOTIF_ALL", conflicts_with_all = ["code", "topic", "at"], value_parser = FalseyValueParser::new())]
    pub all: bool,
    /// With show: at most so many
    #[arg(long, value_name = "N", env = "MOTIF_LIMIT", default_value_t = 20)]
    pub limit: usize,
    /// How letters are shown: for people, or one JSON object a line
    #[arg(long, value_enum, env = "MOTIF_FORMAT", default_value = "text")]
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DlqAction {
    /// Count them, by code and topic
    List,
    /// Show each with its reason, place and the beginning of its value
    Show,
    /// Send them to their inputs again
    Replay,
}

fn parse_time(text: &str) -> Result<EventTime, String> {
    EventTime::parse_rfc3339(text).ok_or_else(|| "write a time as in 2026-11-24T10:00:00Z".to_owned())
}

fn parse_filter(text: &str) -> Result<String, String> {
    match fault_of_filter(text) {
        None => Ok(text.to_owned()),
        Some(fault) => Err(format!("{fault}; write error, warn, info, debug, or a filter like motif=debug")),
    }
}

fn parse_span(text: &str) -> Result<TimeSpan, String> {
    TimeSpan::parse(text).ok_or_else(|| "write a duration as in 30s or 1h30m".to_owned())
}

/// A duration of the command line as the machine's.
pub(super) fn to_std(span: TimeSpan) -> Duration {
    Duration::from_micros(span.micros().unsigned_abs())
}
