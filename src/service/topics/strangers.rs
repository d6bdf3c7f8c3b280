//! Members of the group that read other inputs, kept apart.
//!
//! Members share tasks out by the partitions of one input, the first by its stream's name. Where two go by different ones, as those of another configuration or of another service of
//! the same name do, the group gives each of them all tasks, and every match would come out twice.
//!
//! So whoever starts looks who is there before it joins, and those that are at work look now and then, for the case that two have started at the same time. A process that was ended
//! is a member until its session is over: that is waited for.

use std::time::{Duration, Instant};

use crate::kafka::Link;
use crate::ports::{Failure, Stranger, TransportError};
use crate::service::topics::deployment::Deployment;

const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Brokers look now and then only whether a session is over.
const SESSION_MARGIN: Duration = Duration::from_secs(5);

/// How long a stranger is borne by those that are at work: all that are there have looked before they joined.
const BESIDE_MAX: Duration = Duration::from_secs(3);

/// Who is there, and since when.
pub(super) struct Strangers {
    /// The names of this process begin with it.
    own: String,
    patience: Duration,
    since: Option<Instant>,
}

impl Strangers {
    /// Those that have come while this process is at work.
    pub(super) fn beside(deployment: &Deployment) -> Self {
        Self::new(deployment, BESIDE_MAX)
    }

    fn new(deployment: &Deployment, patience: Duration) -> Self {
        Self { own: format!("{}-{}-", deployment.slot.instance, deployment.slot.number), patience, since: None }
    }

    /// A sentence where one stays. `found`: `None` while the group is sharing tasks out, where nobody has any.
    pub(super) fn note(&mut self, found: Option<Vec<Stranger>>, now: Instant) -> Option<TransportError> {
        let Some(stranger) = found?.into_iter().find(|stranger| !stranger.instance.starts_with(&self.own)) else {
            self.since = None;
            return None;
        };
        if self.since.is_none() {
            tracing::warn!(?stranger, patience = ?self.patience, "a member of the group reads other inputs; unless it goes, this process ends");
        }
        let since = *self.since.get_or_insert(now);
        (now.saturating_duration_since(since) >= self.patience).then(|| refusal(&stranger))
    }

    fn is_none(&self) -> bool {
        self.since.is_none()
    }
}

fn refusal(Stranger { group, name, topic, leading, .. }: &Stranger) -> TransportError {
    TransportError::fatal(format!(
        "member {name} of group {group} has its tasks by topic {topic}, and this process by {leading}: either another service has this name, or processes of this one are at work with other \
         inputs; side by side each of the two would have all tasks, and matches would come out twice. Stop all processes of the group and then start all with the same inputs; a service of its \
         own needs a name of its own (`service.name`)"
    ))
}

/// Before this process joins: returns once nobody else is there who reads other inputs, or this process is to stop.
pub(super) fn await_none(deployment: &Deployment, link: &Link) -> Result<(), TransportError> {
    let mut strangers = Strangers::new(deployment, link.session_timeout() + SESSION_MARGIN);
    let deadline = Instant::now() + strangers.patience * 2;
    while !deployment.stop.is_asked() {
        let (found, now) = (deployment.survey.strangers(), Instant::now());
        let found = match found {
            // Whoever joins is told in its turn what is wrong with the brokers.
            Err(error) if matches!(error.failure, Failure::Retriable | Failure::Unknown) => {
                tracing::warn!(%error, "who is in the group is not told yet");
                None
            }
            found => found?,
        };
        let is_told = found.is_some();
        if let Some(refusal) = strangers.note(found, now) {
            return Err(refusal);
        }
        // A group that is never done with sharing out is looked at again once we are in it.
        if (is_told && strangers.is_none()) || now >= deadline {
            return Ok(());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(instance: &str) -> Stranger {
        let text = str::to_owned;
        Stranger { group: text("fraud"), name: format!("{instance}-x"), instance: text(instance), topic: text("logs"), leading: text("payments") }
    }

    /// What was ended is a member until its session is over, and this process itself may be what was ended.
    #[test]
    fn only_a_stranger_that_stays_is_refused_and_it_is_said_what_to_do() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut strangers = Strangers { own: "me-0-".to_owned(), patience: Duration::from_secs(10), since: None };
        let other = || Some(vec![stranger("me-0-1"), stranger("other-0-0")]);
        for (seconds, found, is_refused) in [
            (0, Some(vec![stranger("me-0-0")]), false),
            (100, other(), false),
            (109, other(), false),
            (110, Some(Vec::new()), false),
            (111, other(), false),
            // That tells nothing.
            (115, None, false),
            (121, other(), true),
        ] {
            let said = strangers.note(found, at(seconds)).map(|refusal| refusal.reason);
            assert_eq!(said.is_some(), is_refused, "{seconds}");
            for words in ["other-0-0-x of group fraud", "by topic logs", "by payments", "Stop all processes"] {
                assert!(said.as_ref().is_none_or(|said| said.contains(words)), "{said:?}");
            }
        }
    }
}
