//! The brokers, watched from beside the workers: whether they let us work, and whether the inputs are still the topics that they were, with
//! as many partitions.
//!
//! A worker that has nothing to deliver notices none of that: its consumer only waits, and goes on at the old offset of a topic that was deleted and made anew. Where partitions are added,
//! keys go to other ones than those that their partial matches are in. What is found out here ends the workers through the [`Verdict`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::ports::{CurrentTopic, TopicId, TransportError};
use crate::service::topics::deployment::{Deployment, other_number};
use crate::service::topics::stages::Stage;

/// Brokers that are away for longer, or that do not let us in for longer, end the run.
pub(super) const OUTAGE_MAX: Duration = Duration::from_secs(300);

const INTERVAL: Duration = Duration::from_secs(2);

/// How often it is said that an outage lasts.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Why no worker may go on; written by the watch.
#[derive(Default)]
pub(super) struct Verdict(Mutex<Option<TransportError>>);

impl Verdict {
    pub(super) fn check(&self) -> Result<(), TransportError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// The first stands.
    fn give(&self, error: TransportError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Looks now and then, until the workers have ended. `tell`: whether there is anybody to serve.
pub(super) fn watch(stages: &[&Deployment], tell: &dyn Fn(bool), ended: &Receiver<()>) {
    let metrics = &stages.first().expect("there is always a first stage").metrics;
    let mut outage = Outage::default();
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let asked = Instant::now();
        let found = look(stages);
        let why = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match outage.note(found.is_err(), asked, Instant::now()) {
            News::Nothing => {}
            News::Begins(lasted) => {
                metrics.outage_begins(asked);
                tell(false);
                tracing::error!(
                    lasted_s = lasted.as_secs(),
                    "{why}; nothing is read or put out meanwhile, and after {} s this process ends",
                    OUTAGE_MAX.as_secs()
                );
            }
            News::Lasts(lasted) => tracing::error!(lasted_s = lasted.as_secs(), "{why}; after {} s this process ends", OUTAGE_MAX.as_secs()),
            News::Over(lasted) => {
                metrics.outage_ends();
                tell(true);
                tracing::warn!(lasted_s = lasted.as_secs(), "the brokers answer again");
            }
            News::TooLong(lasted) => end(stages, &TransportError::fatal(format!("{why}; that has lasted for {} s", lasted.as_secs()))),
        }
        if let Ok(Some(replaced)) = found {
            end(stages, &replaced);
        }
    }
}

fn end(stages: &[&Deployment], error: &TransportError) {
    stages.iter().for_each(|stage| stage.verdict.give(error.clone()));
}

/// What is wrong with an input; an error where nobody answers.
fn look(stages: &[&Deployment]) -> Result<Option<TransportError>, TransportError> {
    let mut wrong = None;
    for stage in stages {
        let now = stage.survey.current_topics()?;
        let changed = stage.inputs.iter().find_map(|(stream, topic)| {
            let began = AtStart { stage: stage.stage, topic, id: stage.topic_ids.get(stream), partitions: stage.tasks };
            began.differs(now.get(stream)?)
        });
        wrong = wrong.or(changed.map(TransportError::fatal));
    }
    Ok(wrong)
}

/// An input as it was when this process started.
struct AtStart<'a> {
    stage: Stage,
    topic: &'a str,
    /// `None`: the brokers knew no ids.
    id: Option<&'a TopicId>,
    partitions: u32,
}

impl AtStart<'_> {
    /// A sentence, where it is not the same any more.
    fn differs(&self, now: &CurrentTopic) -> Option<String> {
        let Self { stage, topic, id, partitions } = *self;
        if let Some((then, now)) = id.zip(now.id.as_ref()).filter(|(then, now)| then != now) {
            return Some(format!(
                "topic {topic} was deleted and made anew while it was read (its id was {then}, and is {now}); start with --accept-reset to accept that the state before is lost"
            ));
        }
        // One that is only just made may be told without any.
        let found = Some(now.partitions).filter(|found| *found > 0 && *found != partitions)?;
        Some(match stage {
            Stage::First => format!(
                "topic {topic} had {partitions} partitions when this process started, and has {found} now: keys are in other partitions than their partial matches from now on; \
                 start with --accept-reset to accept that the state before is lost (`motif topics` names the topics that need as many partitions), or read a topic that keeps its number"
            ),
            Stage::Rekeyed => other_number(found, partitions),
        })
    }
}

/// Since when nobody answers.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    said: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    Nothing,
    Begins(Duration),
    Lasts(Duration),
    Over(Duration),
    TooLong(Duration),
}

impl Outage {
    /// `asked` and answered, or not, by `now`.
    fn note(&mut self, is_away: bool, asked: Instant, now: Instant) -> News {
        if !is_away {
            return std::mem::take(self).since.map_or(News::Nothing, |since| News::Over(now.saturating_duration_since(since)));
        }
        let begins = self.since.is_none();
        let lasted = now.saturating_duration_since(*self.since.get_or_insert(asked));
        let is_said = self.said.is_some_and(|said| now.saturating_duration_since(said) < WARNING_INTERVAL);
        if lasted >= OUTAGE_MAX {
            return News::TooLong(lasted);
        }
        if is_said {
            return News::Nothing;
        }
        self.said = Some(now);
        if begins { News::Begins(lasted) } else { News::Lasts(lasted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_when_it_begins_now_and_then_and_when_it_is_over_and_is_too_long_after_five_minutes() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let seconds = Duration::from_secs;
        let mut outage = Outage::default();
        for (is_away, asked, now, news) in [
            (false, 0, 1, News::Nothing),
            (true, 2, 12, News::Begins(seconds(10))),
            (true, 14, 24, News::Nothing),
            (true, 32, 42, News::Lasts(seconds(40))),
            (true, 60, 61, News::Nothing),
            (false, 62, 63, News::Over(seconds(61))),
            (false, 64, 65, News::Nothing),
            (true, 100, 110, News::Begins(seconds(10))),
            (true, 389, 399, News::Lasts(seconds(299))),
            (true, 390, 400, News::TooLong(seconds(300))),
            (true, 402, 412, News::TooLong(seconds(312))),
        ] {
            assert_eq!(outage.note(is_away, at(asked), at(now)), news, "{asked} {now}");
        }
    }

    #[test]
    fn the_first_verdict_stands() {
        let verdict = Verdict::default();
        assert_eq!(verdict.check(), Ok(()));
        ["one", "two"].into_iter().for_each(|reason| verdict.give(TransportError::fatal(reason)));
        assert_eq!(verdict.check(), Err(TransportError::fatal("one")));
    }

    #[test]
    fn an_input_that_was_made_anew_or_given_more_partitions_is_not_what_it_was() {
        let id = |text: &str| Some(TopicId(text.to_owned()));
        let then = id("one");
        for (stage, then, now, partitions, says) in [
            (Stage::First, &then, id("one"), 8, &[][..]),
            (Stage::First, &then, None, 8, &[]),
            (Stage::First, &None, id("one"), 8, &[]),
            (Stage::First, &then, id("one"), 0, &[]),
            (Stage::First, &then, id("two"), 8, &["topic t was deleted and made anew", "was one, and is two", "--accept-reset"]),
            (Stage::First, &then, id("two"), 12, &["deleted and made anew"]),
            (Stage::First, &then, id("one"), 12, &["topic t had 8 partitions", "has 12 now", "--accept-reset"]),
            (Stage::First, &None, None, 12, &["has 12 now"]),
            (Stage::Rekeyed, &then, id("one"), 12, &["has 12 partitions", "input topics have 8", "under another group"]),
        ] {
            let began = AtStart { stage, topic: "t", id: then.as_ref(), partitions: 8 };
            let said = began.differs(&CurrentTopic { id: now, partitions });
            assert_eq!(said.is_some(), !says.is_empty(), "{said:?}");
            assert!(says.iter().all(|part| said.as_ref().is_some_and(|said| said.contains(part))), "{said:?} {says:?}");
        }
    }
}
