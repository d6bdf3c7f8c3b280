//! Consumers that take part in no group: they ask, and read topics to their ends.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;

use crate::kafka::Link;
use crate::kafka::connection::{Attempts, Trouble};
use crate::ports::TransportError;

/// A cluster that does not answer for this long at the start is given up.
const START_TIMEOUT: Duration = Duration::from_secs(8);

/// How long one answer is waited for before it is looked why there is none; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

const PAUSE: Duration = Duration::from_millis(50);

/// One broker has refused: how long another may take to answer.
const GRACE: Duration = Duration::from_secs(1);

/// How long a second look at a certificate may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type BystanderConsumer = BaseConsumer<Bystander>;

#[derive(Default)]
pub(super) struct Bystander {
    pub attempts: Attempts,
}

impl ClientContext for Bystander {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.attempts.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.attempts.hear(&error, reason);
    }
}

impl ConsumerContext for Bystander {}

impl Link {
    /// One that is told of records of open transactions as well.
    pub(super) fn uncommitted_consumer(&self) -> KafkaResult<BystanderConsumer> {
        self.bystander().set("isolation.level", "read_uncommitted").create_with_context(Bystander::default())
    }

    pub(super) fn consumer(&self) -> KafkaResult<BystanderConsumer> {
        self.bystander().create_with_context(Bystander::default())
    }

    /// Whether a broker's certificate is a good one, of someone else. Asked without a word of who we are.
    fn has_other_name(&self) -> bool {
        let mut config: ClientConfig = self.bystander();
        for name in self.properties.keys().filter(|name| name.starts_with("sasl.")) {
            config.remove(name);
        }
        config.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "none");
        let Ok(client): KafkaResult<BystanderConsumer> = config.create_with_context(Bystander::default()) else { return false };
        let answer = ask(&client, LOOK_TIMEOUT);
        // Whoever hangs up after the handshake has passed it.
        answer.is_ok() || client.context().attempts.trouble().is_some_and(|trouble| trouble.is_lasting() && !trouble.is_about_certificate())
    }

    pub(super) fn refusal(&self, trouble: &Trouble) -> Option<String> {
        if trouble.is_about_certificate() && self.has_other_name() { Some(self.explain_other_name(trouble)) } else { self.explain(trouble) }
    }
}

/// All topics that we may see, and brokers. An error where no broker answers, or none that takes us.
pub(super) fn metadata(client: &BystanderConsumer, link: &Link) -> Result<Metadata, TransportError> {
    let reason = match ask(client, START_TIMEOUT) {
        Ok(metadata) => return Ok(metadata),
        Err(None) if link.mechanism() == "OAUTHBEARER" && link.has_sasl() => {
            "sasl.mechanism OAUTHBEARER needs a token, and Motif can get none; use SCRAM-SHA-512, PLAIN or a certificate".to_owned()
        }
        Err(None) => link.explain_silence(None, START_TIMEOUT.as_secs()),
        Err(Some(trouble)) => link.refusal(&trouble).unwrap_or_else(|| link.explain_silence(Some(&trouble), START_TIMEOUT.as_secs())),
    };
    Err(TransportError::fatal(reason))
}

/// The error: why there is no answer, as far as the library tells.
fn ask(client: &BystanderConsumer, timeout: Duration) -> Result<Metadata, Option<Trouble>> {
    let attempts = &client.context().attempts;
    attempts.hush(true);
    let (began, mut wait, mut refused) = (Instant::now(), FIRST_WAIT, None);
    let answer = loop {
        let rest = timeout.saturating_sub(began.elapsed());
        if let Ok(metadata) = client.fetch_metadata(None, wait.min(rest)) {
            break Ok(metadata);
        }
        fetch_news(client);
        let trouble = attempts.trouble();
        let is_refused = trouble.as_ref().is_some_and(Trouble::is_lasting) && refused.get_or_insert_with(Instant::now).elapsed() >= GRACE;
        if is_refused || began.elapsed() >= timeout {
            break Err(trouble);
        }
        // It may fail at once.
        std::thread::sleep(PAUSE);
        wait = (wait * 2).min(timeout);
    };
    // What is still to come of a client that is given up is said as well by then.
    attempts.hush(answer.is_err());
    answer
}

/// What a client has to say that reads nothing and is not polled otherwise.
pub(super) fn fetch_news(client: &BystanderConsumer) {
    const NEWS_MAX: usize = 10_000;
    for _ in 0..NEWS_MAX {
        if client.poll(Duration::ZERO).is_none() {
            return;
        }
    }
}
