//! A member that the brokers refuse because another one has its name (`group.instance.id`): whether that is someone else, or the member's own former self.
//!
//! The library takes every such refusal for final. But brokers refuse a member of theirs in the same way as a second process of its name where the two have lost sight of each other:
//!
//! * A member that has had no answer for `session.timeout.ms` forgets what the coordinator calls it. Until its worker has given everything back it goes on with heartbeats, as
//!   nobody; and brokers that were away, and have just read of the member what they knew before, refuse nobody under that name (librdkafka's issue 3437).
//! * A coordinator that goes away in the midst of a rebalance takes the member's newest name with it; the next one knows the one before.
//! * A request to join that was given up by its sender is carried out late.
//!
//! None of this shows in the refusal, nor in what the member is called at the time. So the coordinator is asked whom it has under the name that stays. If that is whom it last gave
//! tasks to as this member, or nobody, then it is nobody else. If it is a stranger, it is waited whether it stays: what nobody is any more sends no heartbeats, and the
//! coordinator drops it after its session. Whoever stays is another process.
//!
//! With the newer group protocol (KIP-848) a coordinator lets nobody in under a name that its last bearer has not given back ([`Unreleased`]): a process that is started again after it was
//! killed has to wait until the session of its former self is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;

use crate::kafka::bystander::BystanderConsumer;
use crate::kafka::pending::{Caller, Pending};
use crate::kafka::{Identity, Link, failure, ffi};
use crate::ports::TransportError;

/// How long an answer may take, and how soon it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// A stranger may stay for so many sessions: another coordinator that takes over in between gives it a new one.
const SESSIONS_MAX: u32 = 2;

/// So many times in a row a member joins anew without having been let in.
pub(super) const REJOINS_MAX: u32 = 5;

/// What is known of it.
#[derive(Clone, Copy)]
struct Facts<'a> {
    /// Whom the coordinator has under the name that stays.
    listed: Option<&'a str>,
    /// Whom it last gave tasks to as this member; empty: nobody yet.
    former: &'a str,
    /// For how long it has been anyone else.
    stranger_for: Duration,
    patience: Duration,
    /// How often it has joined anew since it was last let in.
    rejoins: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The name is free, or our own.
    Rejoin,
    /// Not known yet.
    Wait,
    End(End),
}

/// Why a member does not join any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Another process has the name.
    Replaced,
    /// Nobody has it, and we are not let in all the same.
    Refused,
}

fn decide(facts: Facts<'_>) -> Verdict {
    match facts.listed {
        Some(listed) if listed != facts.former => {
            if facts.stranger_for < facts.patience {
                Verdict::Wait
            } else {
                Verdict::End(End::Replaced)
            }
        }
        _ if facts.rejoins >= REJOINS_MAX => Verdict::End(End::Refused),
        _ => Verdict::Rejoin,
    }
}

/// How soon it is tried again to join under a name that was not given back: each time with another consumer.
const UNRELEASED_INTERVAL: Duration = Duration::from_secs(3);

/// A name that the coordinator does not give us yet. Whose it is shows in nothing but whether it stays so.
pub(super) struct Unreleased {
    since: Instant,
    tried: Instant,
    patience: Duration,
}

impl Unreleased {
    pub(super) fn new(link: &Link, identity: &Identity, now: Instant) -> Self {
        let patience = link.session_timeout() * SESSIONS_MAX;
        tracing::warn!(
            instance = identity.name(),
            ?patience,
            "the brokers still have a member under the name of this process, most likely itself before it was killed: it is tried again until that one's session is over"
        );
        Self { since: now, tried: now, patience }
    }

    /// Once more refused.
    pub(super) fn verdict(&mut self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.since) >= self.patience {
            Verdict::End(End::Replaced)
        } else if now.saturating_duration_since(self.tried) >= UNRELEASED_INTERVAL {
            self.tried = now;
            Verdict::Rejoin
        } else {
            Verdict::Wait
        }
    }
}

/// The search for who it was, in the background.
pub(super) struct Fence {
    client: Arc<BystanderConsumer>,
    caller: Caller,
    group: String,
    instance: String,
    former: String,
    patience: Duration,
    asked: Option<Instant>,
    asking: Option<Pending<KafkaResult<Option<String>>>>,
    stranger_since: Option<Instant>,
}

impl Fence {
    pub(super) fn new(link: &Link, identity: &Identity, former: String) -> Result<Self, TransportError> {
        let client = Arc::new(link.consumer().map_err(|error| failure::of_settings(&error))?);
        let patience = link.session_timeout() * SESSIONS_MAX;
        tracing::warn!(
            instance = identity.name(),
            former,
            ?patience,
            "the brokers say that another member has the name of this process: whether that is so, its group is asked"
        );
        Ok(Self {
            client,
            caller: Caller::new(),
            group: link.group.clone(),
            instance: identity.name(),
            former,
            patience,
            asked: None,
            asking: None,
            stranger_since: None,
        })
    }

    /// As far as it is known by now.
    pub(super) fn verdict(&mut self, rejoins: u32) -> Verdict {
        let Some(asking) = &self.asking else {
            if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_INTERVAL) {
                let (client, group, instance) = (self.client.clone(), self.group.clone(), self.instance.clone());
                self.asked = Some(Instant::now());
                self.asking = Some(self.caller.begin(move || ffi::group_member(client.client(), &group, &instance, ASK_TIMEOUT)));
            }
            return Verdict::Wait;
        };
        let Some(answer) = asking.wait(Duration::ZERO) else { return Verdict::Wait };
        self.asking = None;
        let listed = match answer {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "who has the name of this process");
                return Verdict::Wait;
            }
        };
        let stranger = listed.as_ref().filter(|listed| **listed != self.former);
        if let (Some(stranger), None) = (stranger, self.stranger_since) {
            tracing::warn!(stranger, patience = ?self.patience, "a stranger has the name of this process; unless it goes, this process ends");
        }
        self.stranger_since = stranger.and(self.stranger_since.or_else(|| Some(Instant::now())));
        let stranger_for = self.stranger_since.map_or(Duration::ZERO, |since| since.elapsed());
        let verdict = decide(Facts { listed: listed.as_deref(), former: &self.former, stranger_for, patience: self.patience, rejoins });
        if verdict != Verdict::Wait {
            tracing::warn!(listed, self.former, rejoins, ?verdict, "who has the name of this process");
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stranger_that_stays_is_another_process() {
        let patience = Duration::from_secs(12);
        let table = [
            // It is still known by its former name, or not at all.
            (Some("n-1"), "n-1", 0, 0, Verdict::Rejoin),
            (None, "n-1", 0, 0, Verdict::Rejoin),
            (None, "", 0, 0, Verdict::Rejoin),
            // However long that took to find out.
            (Some("n-1"), "n-1", 60, 0, Verdict::Rejoin),
            (None, "n-1", 60, 0, Verdict::Rejoin),
            // Someone whom it does not know may be itself.
            (Some("n-2"), "n-1", 0, 0, Verdict::Wait),
            (Some("n-2"), "", 11, 0, Verdict::Wait),
            (Some("n-2"), "n-1", 12, 0, Verdict::End(End::Replaced)),
            (Some("n-2"), "", 60, 0, Verdict::End(End::Replaced)),
            // It does not go on for ever.
            (Some("n-1"), "n-1", 0, REJOINS_MAX - 1, Verdict::Rejoin),
            (Some("n-1"), "n-1", 0, REJOINS_MAX, Verdict::End(End::Refused)),
            (None, "n-1", 0, REJOINS_MAX, Verdict::End(End::Refused)),
            (Some("n-2"), "n-1", 0, REJOINS_MAX, Verdict::Wait),
            (Some("n-2"), "n-1", 12, REJOINS_MAX, Verdict::End(End::Replaced)),
        ];
        for (listed, former, seconds, rejoins, verdict) in table {
            let facts = Facts { listed, former, stranger_for: Duration::from_secs(seconds), patience, rejoins };
            assert_eq!(decide(facts), verdict, "{listed:?} {former} {seconds} {rejoins}");
        }
    }

    #[test]
    fn a_name_that_was_not_given_back_is_tried_again_for_as_long_as_sessions_may_last() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut unreleased = Unreleased { since: begin, tried: begin, patience: Duration::from_secs(12) };
        let verdicts = [0, 2, 3, 5, 6, 11, 12, 60].map(|seconds| unreleased.verdict(at(seconds)));
        let ends = Verdict::End(End::Replaced);
        assert_eq!(verdicts, [Verdict::Wait, Verdict::Wait, Verdict::Rejoin, Verdict::Wait, Verdict::Rejoin, Verdict::Rejoin, ends, ends]);
    }
}
