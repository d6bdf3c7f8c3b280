//! What the client library is told.
//!
//! | setting | why |
//! |---|---|
//! | `heartbeat.interval.ms` 500 | heartbeats carry the news of a rebalance: moved partitions stand still 0.5 s instead of 3 s |
//! | `fetch.queue.backoff.ms` 20 | a full queue stops fetching for this long; 1 s otherwise |
//! | `auto.offset.reset` error | a range that is lost is never skipped in silence; the start of each partition is set by us |
//! | `transaction.timeout.ms` 10000 | below the session's, so that a stuck commit dies before its member does |
//! | `retry.backoff.ms` 100, `log.connection.close` | by these we know that a request was not sent twice (`deliveries`) |
//! | `linger.ms` 5 | an epoch's records leave together |
//! | `message.max.bytes` | what a record may have been, it may be again when it is handed on to other tasks |
//!
//! What the configuration file says under `properties` comes last and wins, under whichever of its names, but for what correctness stands on. (What has a key of its own there, like
//! the brokers, is refused before.)

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// How to reach the cluster.
#[derive(Clone, Debug)]
pub struct Link {
    /// `host:port`, separated by commas.
    pub brokers: String,
    pub group: String,
    /// Handed to the client library as they are, but for what correctness stands on.
    pub properties: BTreeMap<String, String>,
    /// Longer records are cut off, and told as such.
    pub record_bytes_max: usize,
}

/// Which worker of which process: few, fixed names, the same after a restart.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Tells one state folder from those of other machines.
    pub instance: String,
    pub slot: u32,
    pub worker: usize,
}

/// What nobody may change of readers: exactly-once stands on it.
const FIXED_OF_READERS: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "error"),
    // The end of a partition is no record: a member that is told of it takes it for one that cannot be read.
    ("enable.partition.eof", "false"),
    // A topic that is gone is told; one that is made anew in its place would begin with nothing.
    ("allow.auto.create.topics", "false"),
];

/// And of writers.
const FIXED_OF_WRITERS: [(&str, &str); 5] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("retry.backoff.ms", "100"),
    ("log.connection.close", "true"),
    // How far a topic is written is known by what is delivered.
    ("delivery.report.only.error", "false"),
];

/// Never handed on: offsets in files on this machine are not those of the transactions.
const IGNORED: [&str; 1] = ["offset.store.method"];

/// Other names of settings that are ours. Of two names the library takes the value of either.
const ALIASES: [(&str, &str); 4] = [
    ("request.required.acks", "acks"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
];

/// How much is fetched ahead.
const QUEUED: &str = "queued.max.messages.kbytes";

const SESSION: &str = "session.timeout.ms";
const TRANSACTION: &str = "transaction.timeout.ms";

/// Settings of consumers; the library warns of them on a producer, and the other way round.
const CONSUMER: [(&str, &str); 11] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    (SESSION, "45000"),
    ("heartbeat.interval.ms", "500"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.max.bytes", "52428800"),
    ("fetch.min.bytes", "65536"),
    ("fetch.wait.max.ms", "20"),
    (QUEUED, "65536"),
    ("fetch.queue.backoff.ms", "20"),
    ("max.poll.interval.ms", "300000"),
    ("group.id", ""),
];

/// What the client library refuses beside `group.protocol=consumer`.
const OF_CLASSIC_GROUPS: [&str; 3] = ["partition.assignment.strategy", SESSION, "heartbeat.interval.ms"];

const PRODUCER: [(&str, &str); 5] =
    [(TRANSACTION, "10000"), ("linger.ms", "5"), ("batch.size", "1000000"), ("compression.type", "lz4"), ("queue.buffering.max.messages", "1000000")];

/// More than whatever a record that is handed on has before its value.
const HEAD_BYTES_MAX: usize = 128 << 10;

/// What the library uses by default, and what it takes at most.
const MESSAGE_BYTES_MIN: usize = 1_000_000;
const MESSAGE_BYTES_MAX: usize = 1_000_000_000;

/// The name under which we set it.
fn own_name(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, ours)| ours)
}

impl Identity {
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.instance, self.slot, self.worker)
    }
}

impl Link {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "motif");
        // Of brokers that hang up, only at this level is anything said.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    fn add(&self, config: &mut ClientConfig, settings: &[(&str, &str)], others: &[(&str, &str)]) {
        let is_ours = |name: &str| name != "group.id" && !(self.has_broker_groups() && OF_CLASSIC_GROUPS.contains(&name));
        for (name, value) in settings.iter().filter(|(name, _)| is_ours(name)) {
            config.set(*name, *value);
        }
        let is_theirs = |name: &str| !IGNORED.contains(&name) && others.iter().all(|(other, _)| *other != name);
        let properties = self.properties.iter().map(|(name, value)| (own_name(name), value));
        for (name, value) in properties.filter(|(name, _)| is_theirs(name)) {
            config.set(name, value);
        }
    }

    /// `group.protocol=consumer`: the brokers assign, and keep the time.
    fn has_broker_groups(&self) -> bool {
        self.properties.get("group.protocol").is_some_and(|protocol| protocol == "consumer")
    }

    /// After so long without a word a member is none any more. (Where the brokers say how long that is, about as long.)
    pub fn session_timeout(&self) -> Duration {
        self.milliseconds(SESSION)
    }

    /// After so long without an end the brokers abort a transaction.
    pub fn transaction_timeout(&self) -> Duration {
        self.milliseconds(TRANSACTION)
    }

    /// A setting of ours, or what takes its place.
    fn milliseconds(&self, name: &str) -> Duration {
        let parsed = |text: &str| text.parse().ok().map(Duration::from_millis);
        let ours = || CONSUMER.iter().chain(&PRODUCER).find(|(ours, _)| *ours == name).and_then(|(_, value)| parsed(value));
        self.properties.get(name).and_then(|value| parsed(value)).or_else(ours).expect("it is a time among our settings")
    }

    fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        self.add(&mut config, &CONSUMER, &PRODUCER);
        for (name, value) in &FIXED_OF_READERS {
            config.set(*name, *value);
        }
        config.set("group.id", &self.group);
        config
    }

    /// A member of the group.
    pub(super) fn member(&self, identity: &Identity) -> ClientConfig {
        let mut config = self.reader();
        config.set("group.instance.id", identity.name());
        config
    }

    /// Reads by hand, or only asks; never joins the group, although it has to name one.
    pub(super) fn bystander(&self) -> ClientConfig {
        let mut config = self.reader();
        config.set("enable.partition.eof", "true").set("fetch.min.bytes", "1");
        // Whoever asks for a topic does not make it.
        config.set("allow.auto.create.topics", "false");
        // There may be one for each partition, and memory that is touched for the first time is dear.
        if !self.properties.contains_key(QUEUED) {
            config.set(QUEUED, "8192");
        }
        config
    }

    /// Describes and makes topics.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.client();
        let others: Vec<_> = CONSUMER.into_iter().chain(PRODUCER).chain(FIXED_OF_READERS).chain(FIXED_OF_WRITERS).collect();
        self.add(&mut config, &[], &others);
        config
    }

    /// A worker's transactional producer.
    pub(super) fn producer(&self, identity: &Identity) -> ClientConfig {
        self.writer(&identity.name())
    }

    /// A transactional producer of this name.
    pub(super) fn writer(&self, name: &str) -> ClientConfig {
        let mut config = self.client();
        let bytes_max = self.record_bytes_max.saturating_add(HEAD_BYTES_MAX).clamp(MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX);
        config.set("message.max.bytes", bytes_max.to_string());
        self.add(&mut config, &PRODUCER, &CONSUMER);
        for (name, value) in &FIXED_OF_WRITERS {
            config.set(*name, *value);
        }
        config.set("transactional.id", format!("{}-{name}", self.group));
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_win_but_for_what_exactly_once_stands_on() {
        let properties =
            [("session.timeout.ms", "6000"), ("isolation.level", "read_uncommitted"), ("linger.ms", "0"), ("acks", "1"), ("retry.backoff.ms", "7")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let link = Link { brokers: "b:1".to_owned(), group: "g".to_owned(), properties, record_bytes_max: 1 };
        assert_eq!((link.session_timeout(), link.transaction_timeout()), (Duration::from_secs(6), Duration::from_secs(10)));
        let identity = Identity { instance: "ab".to_owned(), slot: 2, worker: 1 };
        let (member, producer) = (link.member(&identity), link.producer(&identity));
        for (config, name, value) in [
            (&member, "session.timeout.ms", Some("6000")),
            (&member, "isolation.level", Some("read_committed")),
            (&member, "group.instance.id", Some("ab-2-1")),
            (&member, "linger.ms", None),
            (&producer, "linger.ms", Some("0")),
            (&producer, "acks", Some("all")),
            (&producer, "session.timeout.ms", None),
            (&producer, "retry.backoff.ms", Some("100")),
            (&member, "retry.backoff.ms", Some("7")),
            (&producer, "transactional.id", Some("g-ab-2-1")),
            (&link.bystander(), "group.instance.id", None),
        ] {
            assert_eq!(config.get(name), value, "{name}");
        }
    }

    /// Whatever a file says under a name that a setting goes by, the setting is told once: of two names the library would take one by chance.
    #[test]
    fn no_property_changes_how_records_are_read_and_told_of() {
        let properties = [
            ("request.required.acks", "1"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "true"),
            ("offset.store.method", "file"),
            ("delivery.report.only.error", "true"),
            ("queue.buffering.max.ms", "7"),
            ("compression.codec", "none"),
            ("max.partition.fetch.bytes", "9"),
            ("check.crcs", "true"),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let link = Link { brokers: "b:1".to_owned(), group: "g".to_owned(), properties, record_bytes_max: 1 };
        let identity = Identity { instance: "ab".to_owned(), slot: 2, worker: 1 };
        let (member, bystander, producer) = (link.member(&identity), link.bystander(), link.producer(&identity));
        for (config, name, value) in [
            (&member, "enable.partition.eof", Some("false")),
            (&bystander, "enable.partition.eof", Some("true")),
            (&member, "allow.auto.create.topics", Some("false")),
            (&member, "offset.store.method", None),
            (&bystander, "offset.store.method", None),
            (&producer, "offset.store.method", None),
            (&link.admin(), "offset.store.method", None),
            (&producer, "delivery.report.only.error", Some("false")),
            (&producer, "acks", Some("all")),
            (&producer, "request.required.acks", None),
            (&producer, "linger.ms", Some("7")),
            (&producer, "queue.buffering.max.ms", None),
            (&producer, "compression.type", Some("none")),
            (&member, "fetch.message.max.bytes", Some("9")),
            (&member, "max.partition.fetch.bytes", None),
            (&member, "check.crcs", Some("true")),
        ] {
            assert_eq!(config.get(name), value, "{name}");
        }
    }
}
