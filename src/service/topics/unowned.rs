//! Tasks that belong to nobody, noticed.
//!
//! Tasks move in two steps: whoever has one gives it back, then the group shares out again. Where members with names that stay are started anew between the two, the group's
//! coordinator gives them what they were given last, and sees no reason to share out again: a task that was given back is then nobody's, for as long as nothing else happens.
//! The member with the fewest tasks leaves and joins anew, which is such a reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::service::topics::deployment::Deployment;

const INTERVAL: Duration = Duration::from_secs(2);

/// By member: the tasks that it was given.
type Shares = BTreeMap<String, Vec<u32>>;

/// Which member is to join the group anew; written by the watch, read by the workers.
#[derive(Default)]
pub(super) struct Rejoin(Mutex<Option<String>>);

impl Rejoin {
    pub(super) fn member(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, member: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = member;
    }
}

/// Looks at the group now and then, until the workers have ended.
pub(super) fn watch(deployment: &Deployment, ended: &Receiver<()>) {
    let mut unowned = Unowned { seen: None, patience: deployment.hand_over_max() + INTERVAL };
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        match deployment.survey.shares() {
            Ok(shares) => deployment.rejoin.set(unowned.note(shares, deployment.tasks, Instant::now())),
            Err(error) => tracing::debug!(%error, "who has which task"),
        }
    }
}

struct Unowned {
    /// How the group is, and since when, where a task is nobody's.
    seen: Option<(Shares, Instant)>,
    /// While a task is being handed over it is nobody's as well.
    patience: Duration,
}

impl Unowned {
    fn note(&mut self, shares: Option<Shares>, tasks: u32, now: Instant) -> Option<String> {
        let who = shares.as_ref().and_then(|shares| who_rejoins(shares, tasks)).map(str::to_owned);
        let (Some(shares), Some(who)) = (shares, who) else {
            self.seen = None;
            return None;
        };
        match &self.seen {
            Some((seen, since)) if *seen == shares => {
                if now.saturating_duration_since(*since) < self.patience {
                    return None;
                }
                self.seen = None;
                tracing::warn!(?shares, member = who, "a task is nobody's: this member joins the group anew");
                Some(who)
            }
            _ => {
                self.seen = Some((shares, now));
                None
            }
        }
    }
}

/// The member with the fewest tasks, the first of several; `None`: each task is somebody's, or there is nobody.
fn who_rejoins(shares: &Shares, tasks: u32) -> Option<&str> {
    let is_unowned = |task: &u32| shares.values().all(|share| !share.contains(task));
    (0..tasks).find(is_unowned)?;
    shares.iter().min_by_key(|(_, share)| share.len()).map(|(member, _)| member.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(members: &[(&str, &[u32])]) -> Shares {
        members.iter().map(|(member, tasks)| ((*member).to_owned(), tasks.to_vec())).collect()
    }

    #[test]
    fn the_member_with_the_fewest_tasks_joins_anew() {
        type Row<'a> = (&'a [(&'a str, &'a [u32])], Option<&'a str>);
        let table: &[Row<'_>] = &[
            (&[("a", &[0, 1]), ("b", &[2, 3])], None),
            (&[("a", &[0, 1, 2, 3]), ("b", &[])], None),
            (&[("a", &[2, 3]), ("b", &[])], Some("b")),
            (&[("a", &[]), ("b", &[])], Some("a")),
            (&[("a", &[0, 1]), ("b", &[2])], Some("b")),
            (&[], None),
        ];
        for (members, who) in table {
            assert_eq!(who_rejoins(&shares(members), 4), *who, "{members:?}");
        }
    }

    #[test]
    fn a_hand_over_is_waited_for() {
        let patience = Duration::from_secs(5);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut unowned = Unowned { seen: None, patience };
        let torn = || Some(shares(&[("a", &[0]), ("b", &[])]));
        let whole = || Some(shares(&[("a", &[0]), ("b", &[1])]));
        for (seconds, shares, who) in [
            (0, torn(), None),
            (4, torn(), None),
            (5, whole(), None),
            (6, torn(), None),
            (10, torn(), None),
            // While the group shares out, nothing is known.
            (11, None, None),
            (12, torn(), None),
            (17, torn(), Some("b")),
            // Once only: it takes a while to show.
            (18, torn(), None),
        ] {
            assert_eq!(unowned.note(shares, 2, at(seconds)).as_deref(), who, "{seconds}");
        }
    }
}
