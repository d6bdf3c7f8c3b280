//! Why there is no connection: what the client library says of its attempts, and a sentence of whose fault that is.
//!
//! A call that waits for a connection only ever times out. Why, the library tells beside it, in words: as an error where it counts as one, else as a line of its log (that a
//! broker has hung up, which brokers do to whoever speaks another protocol than they). Of each client the most telling of them is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::kafka::Link;

/// What was said longer ago explains nothing. The library repeats itself every 30 s.
const TELLING: Duration = Duration::from_secs(60);

/// A connection that ends this soon after everything seemed well was ended by a broker that wants something else.
const QUICK_MS: u32 = 2_000;

/// Under which the library logs that a connection has failed.
const FACILITY: &str = "FAIL";

/// What the library calls its connection to the broker that ends transactions, and all that it names by their purpose: the broker's address comes after.
pub(super) const TRANSACTION_COORDINATOR: &str = "TxnCoordinator";
const COORDINATORS: [&str; 2] = ["GroupCoordinator", TRANSACTION_COORDINATOR];

/// What a client has said of its connections.
#[derive(Default)]
pub(super) struct Attempts {
    last: Mutex<Option<(Trouble, Instant)>>,
    /// That we are not allowed to do something, which no call was told.
    denied: Mutex<Option<Code>>,
    /// Nothing goes to the logs while whoever asks will say it better.
    hushed: AtomicBool,
}

/// Why a broker cannot be talked to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trouble {
    cause: Cause,
    /// `host:port`, as the library names it.
    broker: String,
    /// The library's words.
    text: String,
}

/// The more telling, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cause {
    Unreachable,
    Unresolved,
    /// It hangs up, as those do that do not understand.
    HungUp,
    /// It hangs up on TLS.
    HungUpOnTls,
    ClientCertificate,
    Certificate,
    NoSasl,
    Mechanism,
    Authentication,
}

impl Attempts {
    /// What the library reports as an error.
    pub(super) fn hear(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Reported as an error, and what was asked for: the end of a partition.
            Some(Code::PartitionEOF) => {}
            Some(Code::AllBrokersDown) => self.report(error, reason),
            Some(code @ (Code::GroupAuthorizationFailed | Code::TransactionalIdAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                self.report(error, reason);
                *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
            }
            _ => {
                self.report(error, reason);
                self.note(Trouble::read(reason));
            }
        }
    }

    /// What it logs.
    pub(super) fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == FACILITY {
            // After the thread that says so.
            self.note(Trouble::read(line.split_once("]: ").map_or(line, |(_, text)| text)));
        }
        match level {
            _ if self.hushed.load(Ordering::Relaxed) => tracing::debug!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn report(&self, error: &KafkaError, reason: &str) {
        if self.hushed.load(Ordering::Relaxed) {
            tracing::debug!(%error, reason, "the Kafka client reports");
        } else {
            tracing::warn!(%error, reason, "the Kafka client reports");
        }
    }

    /// The last that we are not allowed to do, where a call only times out.
    pub(super) fn denied(&self) -> Option<Code> {
        *self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hush(&self, hushed: bool) {
        self.hushed.store(hushed, Ordering::Relaxed);
    }

    fn note(&self, trouble: Trouble) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(before, said)| before.cause <= trouble.cause || said.elapsed() > TELLING) {
            *last = Some((trouble, Instant::now()));
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(_, said)| said.elapsed() <= TELLING).map(|(trouble, _)| trouble.clone())
    }
}

impl Trouble {
    /// `sasl_ssl://host:port/1: what happened (after 3ms in state AUTH_REQ)`, or `GroupCoordinator: host:port: what happened …`
    fn read(reason: &str) -> Self {
        let parts = reason.split_once(": ");
        let of_coordinator = parts.filter(|(name, _)| COORDINATORS.contains(name)).and_then(|(_, rest)| rest.split_once(": "));
        let (broker, text) = of_coordinator.or(parts).unwrap_or(("", reason));
        let broker = broker.rsplit_once("://").map_or(broker, |(_, broker)| broker);
        let broker = broker.rsplit_once('/').map_or(broker, |(broker, _)| broker);
        let (text, state) = text.rsplit_once(" (after ").unwrap_or((text, ""));
        let (lasted, state) = state.split_once("ms in state ").unwrap_or(("", state));
        // A coordinator's is made where another has been taken well: it ends quickly with its broker only.
        let is_quick = of_coordinator.is_none() && state.starts_with("UP") && lasted.parse::<u32>().is_ok_and(|ms| ms < QUICK_MS);
        let is_hung_up = text.starts_with("Disconnected") && (is_quick || state.starts_with("APIVERSION_QUERY"));
        let cause = if is_hung_up { Cause::HungUp } else { Cause::read(text) };
        Self { cause, broker: broker.to_owned(), text: text.to_owned() }
    }

    /// Trying again helps nothing before someone has changed something.
    pub(super) fn is_lasting(&self) -> bool {
        self.cause > Cause::Unresolved
    }

    fn host(&self) -> &str {
        self.broker.rsplit_once(':').map_or(&self.broker, |(host, _)| host)
    }

    /// Whether what stands in the certificate may be another name.
    pub(super) fn is_about_certificate(&self) -> bool {
        self.cause == Cause::Certificate
    }
}

impl Cause {
    fn read(text: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match () {
            () if says(&["not valid in current SASL state"]) => Self::NoSasl,
            () if says(&["mechanism handshake failed"]) => Self::Mechanism,
            () if says(&["SASL authentication error", "Authentication failed"]) => Self::Authentication,
            () if says(&["certificate verify failed", "Failed to verify broker certificate", "did not provide a certificate"]) => Self::Certificate,
            () if says(&["SSL alert", "unexpected message"]) => Self::ClientCertificate,
            () if says(&["PLAINTEXT broker listener", "wrong version number"]) => Self::HungUpOnTls,
            () if says(&["Failed to resolve"]) => Self::Unresolved,
            () => Self::Unreachable,
        }
    }
}

impl Link {
    /// Whose fault it is, and what helps. `None`: nothing that an operator could change by what we know.
    pub(super) fn explain(&self, trouble: &Trouble) -> Option<String> {
        let Trouble { cause, broker, text } = trouble;
        let protocol = self.protocol();
        let sentence = match cause {
            Cause::Unreachable | Cause::Unresolved => return None,
            Cause::Authentication => {
                let mechanism = self.mechanism();
                format!("Kafka at {broker} refuses {} with {mechanism} ({text}); check sasl.username and sasl.password under [kafka.properties]", self.who())
            }
            Cause::Mechanism => {
                let offered = text.rsplit_once("supported mechanisms:").map_or("", |(_, offered)| offered.trim());
                let remedy = if offered.is_empty() { "choose another".to_owned() } else { format!("it takes {offered}") };
                format!("Kafka at {broker} does not take the sasl.mechanism {} of [kafka.properties]: {remedy}", self.mechanism())
            }
            Cause::NoSasl => {
                let right = if protocol == "SASL_SSL" { "SSL" } else { "PLAINTEXT" };
                format!(
                    "Kafka at {broker} asks for no user there, and security.protocol is {protocol}; set it to {right} under [kafka.properties], or name a listener with SASL in kafka.brokers"
                )
            }
            Cause::HungUp if self.has_sasl() => format!(
                "Kafka at {broker} hangs up before we have said who we are: security.protocol is {protocol}, and this listener speaks TLS, it seems; set SASL_SSL, or SSL, under \
                 [kafka.properties], or name another listener in kafka.brokers"
            ),
            Cause::HungUp => format!(
                "Kafka at {broker} hangs up: security.protocol is {protocol}, and this listener asks for more, it seems: for TLS (SSL), for a user (SASL_PLAINTEXT), or both (SASL_SSL); \
                 set it under [kafka.properties], or name another listener in kafka.brokers"
            ),
            Cause::HungUpOnTls => {
                let right = if self.has_sasl() { "SASL_PLAINTEXT" } else { "PLAINTEXT, or SASL_PLAINTEXT," };
                format!(
                    "TLS handshake with {broker} failed: it hangs up, as a listener without TLS does, and security.protocol is {protocol}; set {right} under [kafka.properties], or name a \
                     listener with TLS in kafka.brokers"
                )
            }
            Cause::Certificate => {
                let known = self.property("ssl.ca.location").map_or("that the system trusts".to_owned(), |file| format!("in {file} (ssl.ca.location)"));
                format!(
                    "TLS handshake with {broker} failed: its certificate is signed by no authority {known}, has expired, or is made out to another name; set ssl.ca.location under \
                     [kafka.properties] to the certificate of the authority that signs the brokers' ({text})"
                )
            }
            Cause::ClientCertificate => {
                let remedy = match self.client_certificate() {
                    None => "it asks for a certificate of ours: set ssl.certificate.location and ssl.key.location under [kafka.properties]".to_owned(),
                    Some(file) => format!("it does not take our certificate in {file}: is it signed by an authority that the brokers trust, and still valid?"),
                };
                format!("TLS handshake with {broker} failed: {remedy} ({text})")
            }
        };
        Some(sentence)
    }

    /// Why there is no connection, in parentheses behind what else there is to say; nothing where the client has not said.
    pub(super) fn explain_beside(&self, attempts: &Attempts) -> String {
        let brief = |trouble: &Trouble| self.explain(trouble).unwrap_or_else(|| format!("no connection to {}: {}", trouble.broker, trouble.text));
        attempts.trouble().map(|trouble| format!(" ({})", brief(&trouble))).unwrap_or_default()
    }

    /// The certificate is a good one, of someone else.
    pub(super) fn explain_other_name(&self, trouble: &Trouble) -> String {
        let (broker, host) = (&trouble.broker, trouble.host());
        format!(
            "TLS handshake with {broker} failed: its certificate is made out to another name than {host}; name the broker in kafka.brokers as its certificate does, or have one made \
             for {host} (subjectAltName)"
        )
    }

    /// What it says of a broker that is not there.
    pub(super) fn explain_silence(&self, trouble: Option<&Trouble>, seconds: u64) -> String {
        let said = trouble.map(|trouble| format!(": {}", trouble.text)).unwrap_or_default();
        let remedy = match trouble {
            Some(Trouble { cause: Cause::Unresolved, .. }) => "check the name in kafka.brokers, and the name service of this machine",
            _ => "check the address, and that the broker runs",
        };
        format!("no Kafka broker answers at {} (waited {seconds} s{said}); {remedy}", self.brokers)
    }

    pub(super) fn has_sasl(&self) -> bool {
        self.protocol().starts_with("SASL")
    }

    pub(super) fn client_certificate(&self) -> Option<&str> {
        let settings = ["ssl.certificate.location", "ssl.keystore.location"];
        let inline = self.property("ssl.certificate.pem").map(|_| "ssl.certificate.pem");
        self.has_tls().then(|| settings.iter().find_map(|name| self.property(name)).or(inline)).flatten()
    }

    fn has_tls(&self) -> bool {
        self.protocol().ends_with("SSL")
    }

    fn protocol(&self) -> String {
        self.property("security.protocol").unwrap_or("plaintext").to_uppercase()
    }

    /// The library's default where nothing is said.
    pub(super) fn mechanism(&self) -> &str {
        self.property("sasl.mechanism").or_else(|| self.property("sasl.mechanisms")).unwrap_or("GSSAPI")
    }

    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_s_words_are_understood() {
        let table = [
            (
                "sasl_plaintext://a:1/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 \
                 (after 317ms in state AUTH_REQ)",
                Cause::Authentication,
            ),
            (
                "GroupCoordinator: a:1: SASL authentication error: Authentication failed during re-authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 \
                 (after 140ms in state AUTH_REQ)",
                Cause::Authentication,
            ),
            ("TxnCoordinator: a:1: Disconnected (after 97ms in state UP)", Cause::Unreachable),
            (
                "sasl_ssl://a:1/2: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512 (after 1ms in state AUTH_HANDSHAKE)",
                Cause::Mechanism,
            ),
            (
                "sasl_ssl://a:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 0ms in state X)",
                Cause::NoSasl,
            ),
            ("ssl://a:1/bootstrap: error:0A000086:SSL routines::certificate verify failed (after 4ms in state SSL_HANDSHAKE)", Cause::Certificate),
            (
                "ssl://a:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in state X)",
                Cause::ClientCertificate,
            ),
            (
                "ssl://a:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 0ms in state X)",
                Cause::HungUpOnTls,
            ),
            // As a broker does that ends.
            ("ssl://a:1/1: Disconnected: SSL connection closed by peer (after 90000ms in state UP)", Cause::Unreachable),
            (
                "a:1/bootstrap: Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication (after 1ms in state UP)",
                Cause::HungUp,
            ),
            ("a:1/bootstrap: Failed to resolve 'a:1': Name or service not known (after 0ms in state CONNECT)", Cause::Unresolved),
            (
                "a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
                Cause::Unreachable,
            ),
        ];
        for (reason, cause) in table {
            let trouble = Trouble::read(reason);
            assert_eq!((trouble.cause, trouble.broker.as_str()), (cause, "a:1"), "{reason}");
            assert!(!trouble.text.contains("(after"), "{trouble:?}");
        }
    }

    #[test]
    fn what_tells_more_is_not_forgotten_for_what_tells_less() {
        let attempts = Attempts::default();
        for (line, cause) in [
            ("a:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused", Cause::Unreachable),
            ("a:2/2: SASL authentication error: no", Cause::Authentication),
            ("a:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused", Cause::Authentication),
        ] {
            attempts.log(RDKafkaLogLevel::Error, FACILITY, &format!("[thrd:a:1/1]: {line}"));
            attempts.log(RDKafkaLogLevel::Info, "CONFWARN", "[thrd:app]: something else");
            assert_eq!(attempts.trouble().map(|trouble| trouble.cause), Some(cause));
        }
    }
}
