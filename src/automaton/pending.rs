//! The partial matches of one pattern and key, whichever way they are evaluated.
//!
//! Every key begins with runs: few of them take less memory and time than what is needed to keep them together, or to find them by what they wait for. Where they become many, and the
//! pattern allows it ([`Evaluation`]), they are kept so from then on, until there is none left. Where someone watches they stay runs: what is kept together shows nothing of single ones.

use smallvec::SmallVec;

use crate::automaton::by_value::ByValue;
use crate::automaton::dump::Printer;
use crate::automaton::moves::Hand;
use crate::automaton::runs::{Arrival, Limits, Run, RunList, Runs, Stepped};
use crate::automaton::shared::{CONDITIONS_MAX, Choices, Plan, Rules, SPANS_MAX, Unshared, Workspace};
use crate::automaton::snapshot::Outline;
use crate::automaton::watch::Watch;
use crate::automaton::ways::Automaton;
use crate::event::binary::Malformed;
use crate::event::{EventTime, Schema};
use crate::pattern::ConditionId;

/// How a pattern is evaluated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evaluation {
    /// Each partial match by itself.
    RunByRun(Unshared),
    /// The same, found by what a condition compares with an earlier step.
    ByValue(FoundBy),
    /// What waits for the same together.
    Together(Plan),
}

/// By which comparison runs are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundBy {
    pub(super) condition: ConditionId,
    /// They must be equal; else the event is more, or less.
    pub(super) is_equality: bool,
}

/// So many times more are kept one by one where they are found by what is more or less than their values: to be passed by costs them a comparison alone. (With 25 that wait for more, and often find it,
/// an event took a third more time where they were in stretches.)
const TIMES_MORE_ALONE: usize = 4;

impl Evaluation {
    pub fn of(automaton: &Automaton) -> Self {
        match Plan::new(automaton) {
            Ok(plan) => Self::Together(plan),
            Err(unshared) => automaton.found_by().map_or(Self::RunByRun(unshared), Self::ByValue),
        }
    }

    /// So many runs of a key are kept one by one.
    pub fn runs_alone_max(&self, limits: &Limits) -> usize {
        match self {
            Self::RunByRun(_) => usize::MAX,
            Self::ByValue(FoundBy { is_equality: false, .. }) => limits.runs_alone_max.saturating_mul(TIMES_MORE_ALONE),
            Self::ByValue(_) | Self::Together(_) => limits.runs_alone_max,
        }
    }

    /// Which way, and what decides it, in words.
    pub fn words(&self, automaton: &Automaton, schema: &Schema) -> String {
        let why = match self {
            Self::Together(_) => {
                return "together where a key has many partial matches: memory and time then grow with the events they hold, not with how many they are"
                    .to_owned();
            }
            Self::ByValue(FoundBy { condition, is_equality }) => {
                let what = if *is_equality { "the value that" } else { "how much" };
                return format!(
                    "each partial match by itself; where a key has many, those that an event concerns are found by {what} {} asks for",
                    Printer { automaton, schema }.condition(*condition)
                );
            }
            Self::RunByRun(Unshared::LooksBack(condition)) => {
                format!("{} looks at what was chosen before", Printer { automaton, schema }.condition(*condition))
            }
            Self::RunByRun(Unshared::LimitRuns) => "`limit runs` counts them".to_owned(),
            Self::RunByRun(Unshared::Conditions(count)) => {
                format!("there are {count} different conditions, and together at most {CONDITIONS_MAX} can be looked at")
            }
            Self::RunByRun(Unshared::Spans(count)) => {
                format!("there are {count} different lengths of time, and together at most {SPANS_MAX} can be waited for")
            }
        };
        format!("each partial match by itself: {why}")
    }
}

/// What stepping the keys of one pattern goes by, and what it uses.
#[derive(Debug)]
pub struct Stepping<'a> {
    pub automaton: &'a Automaton,
    pub evaluation: &'a Evaluation,
    pub limits: &'a Limits,
    pub workspace: &'a mut Workspace,
    pub watch: Option<&'a dyn Watch>,
}

/// The partial matches of one pattern and key. Where there is none, nothing needs to be kept.
#[derive(Clone, Debug)]
pub enum Pending {
    Runs(Runs),
    Choices(Box<Choices>),
    ByValue(Box<ByValue>),
}

impl Default for Pending {
    fn default() -> Self {
        Self::Runs(Runs::default())
    }
}

impl Pending {
    /// The event comes in the key's line. Whatever it completes is added to what was decided, in the order of delivery.
    ///
    /// Deadlines at or before its time have been expired before.
    pub fn advance(&mut self, stepping: &mut Stepping<'_>, arrival: Arrival<'_>, stepped: &mut Stepped) {
        let Stepping { automaton, evaluation, limits, watch, .. } = stepping;
        match (&mut *self, *watch) {
            (Self::Runs(runs), None) => {
                runs.advance(automaton, limits, arrival, stepped);
                if runs.len() > evaluation.runs_alone_max(limits) {
                    self.keep_many(stepping, arrival.event.time);
                }
            }
            (Self::Runs(runs), Some(watch)) => runs.advance_watched(automaton, limits, arrival, stepped, watch),
            (Self::Choices(choices), _) => {
                let (rules, workspace, limits) = stepping.together();
                choices.advance(rules, workspace, limits, arrival, &mut stepped.decided);
            }
            (Self::ByValue(runs), _) => runs.advance(automaton, limits, arrival, stepped),
        }
    }

    /// Of runs that have been [stepped](Stepping::advance) where they lay, and have lost so much to limits: keeps no more than may be, and together where there are many.
    pub fn hold_to_limits(&mut self, stepping: &mut Stepping<'_>, dropped: u64, now: EventTime) {
        let Self::Runs(held) = self else { unreachable!("runs that lay somewhere are not kept together") };
        held.dropped += dropped;
        held.hold_to(stepping.automaton, stepping.limits.runs_of(&stepping.automaton.pattern));
        if held.len() > stepping.evaluation.runs_alone_max(stepping.limits) {
            self.keep_many(stepping, now);
        }
    }

    /// Decides all deadlines at or before `instant`, in their order; what comes out is added to what was decided. At the end of time nothing is left.
    pub fn expire(&mut self, stepping: &mut Stepping<'_>, instant: EventTime, stepped: &mut Stepped) {
        let Stepping { automaton, limits, watch, .. } = stepping;
        match (self, *watch) {
            (Self::Runs(runs), None) => runs.expire(automaton, limits, instant, stepped),
            (Self::Runs(runs), Some(watch)) => runs.expire_watched(automaton, limits, instant, stepped, watch),
            (Self::Choices(choices), _) => {
                let (rules, workspace, limits) = stepping.together();
                choices.expire(rules, workspace, limits, instant, &mut stepped.decided);
            }
            (Self::ByValue(runs), _) => runs.expire(automaton, limits, instant, stepped),
        }
    }

    /// Adds runs that lay elsewhere, before those that are there.
    pub fn put_before(&mut self, automaton: &Automaton, runs: impl IntoIterator<Item = Run>) {
        match self {
            Self::Runs(held) => held.put_before(automaton, runs),
            Self::Choices(_) | Self::ByValue(_) => assert!(runs.into_iter().next().is_none(), "all runs of a key are kept the same way"),
        }
    }

    /// The runs, where there is nothing else to know.
    pub fn lean_runs(&mut self) -> Option<&mut SmallVec<[Run; 1]>> {
        match self {
            Self::Runs(runs) if runs.dropped == 0 => Some(&mut runs.alive),
            Self::Runs(_) | Self::Choices(_) | Self::ByValue(_) => None,
        }
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        match self {
            Self::Runs(runs) => runs.next_deadline(),
            Self::Choices(choices) => choices.next_deadline(),
            Self::ByValue(runs) => runs.next_deadline(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::Runs(runs) => runs.is_empty(),
            Self::Choices(choices) => choices.is_empty(),
            Self::ByValue(runs) => runs.is_empty(),
        }
    }

    /// How many runs there are, or groups of choices.
    pub fn len(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.len(),
            Self::Choices(choices) => choices.len(),
            Self::ByValue(runs) => runs.len(),
        }
    }

    /// How many were lost to a limit. Forgotten with the key, once it holds none.
    pub fn runs_dropped(&self) -> u64 {
        match self {
            Self::Runs(runs) => runs.runs_dropped(),
            Self::Choices(choices) => choices.runs_dropped(),
            Self::ByValue(runs) => runs.runs_dropped(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            Self::Runs(runs) => runs.clear(),
            // As it began: whether the store still has something for the key must not show.
            Self::Choices(_) | Self::ByValue(_) => *self = Self::default(),
        }
    }

    /// Appends the partial matches as bytes that [`Pending::decode`] reads with an automaton of the same pattern version.
    pub fn encode(&self, automaton: &Automaton, out: &mut Vec<u8>) {
        match self {
            Self::Runs(runs) => runs.encode(automaton, out),
            Self::Choices(choices) => choices.encode(automaton, out),
            Self::ByValue(runs) => runs.encode(automaton, out),
        }
    }

    /// Reads what [`Pending::encode`] wrote, to the last byte, whichever way it was evaluated then.
    ///
    /// # Errors
    ///
    /// The bytes were written by something else, or with another pattern.
    pub fn decode(stepping: &mut Stepping<'_>, bytes: &[u8]) -> Result<Self, Malformed> {
        match stepping.evaluation {
            Evaluation::Together(_) if Choices::wrote(bytes) => {
                let (rules, workspace, _) = stepping.together();
                Choices::decode(rules, workspace, bytes).map(Box::new).map(Self::Choices)
            }
            Evaluation::Together(_) | Evaluation::RunByRun(_) | Evaluation::ByValue(_) => Runs::decode(stepping.automaton, bytes).map(Self::Runs),
        }
    }

    /// What has to be known of what [`Pending::encode`] wrote where it is not needed yet. Refuses what [`Pending::decode`] refuses.
    pub fn outline(stepping: &mut Stepping<'_>, bytes: &[u8]) -> Result<Outline, Malformed> {
        match stepping.evaluation {
            Evaluation::Together(_) if Choices::wrote(bytes) => {
                let pending = Self::decode(stepping, bytes)?;
                Ok(Outline { runs: pending.len(), next: pending.next_deadline().unwrap_or(EventTime::END) })
            }
            Evaluation::Together(_) | Evaluation::RunByRun(_) | Evaluation::ByValue(_) => Outline::of_runs(stepping.automaton, bytes),
        }
    }
}

impl Pending {
    #[cold]
    fn keep_many(&mut self, stepping: &mut Stepping<'_>, now: EventTime) {
        let Self::Runs(runs) = &*self else { return };
        match stepping.evaluation {
            Evaluation::RunByRun(_) => {}
            Evaluation::ByValue(_) => *self = Self::ByValue(Box::new(ByValue::of_runs(runs, stepping.automaton))),
            Evaluation::Together(_) => {
                let (rules, workspace, _) = stepping.together();
                *self = Self::Choices(Box::new(Choices::of_runs(runs, rules, workspace, now)));
            }
        }
    }
}

impl Stepping<'_> {
    /// The event comes to runs that lie somewhere, as [`Pending::advance`] has it; nobody watches. Returns how often something was lost to a limit: where something was, or there are more than may lie
    /// there, they are to be [held to the limits](Pending::hold_to_limits) elsewhere.
    pub fn advance(&self, runs: &mut impl RunList, arrival: Arrival<'_>, stepped: &mut Stepped) -> u64 {
        let Arrival { event, class, moment } = arrival;
        let mut dropped = 0;
        stepped.advance(self.limits, &Hand::new(self.automaton, event, class, moment, &()), true, runs, &mut dropped);
        dropped
    }

    /// Time comes to runs that lie somewhere, as [`Pending::expire`] has it. Returns as [`Stepping::advance`] does.
    pub fn expire(&self, runs: &mut impl RunList, instant: EventTime, stepped: &mut Stepped) -> u64 {
        let mut dropped = 0;
        match self.watch {
            None => stepped.expire(self.automaton, self.limits, instant, runs, &mut dropped, &()),
            Some(watch) => stepped.expire(self.automaton, self.limits, instant, runs, &mut dropped, watch),
        }
        dropped
    }

    fn together(&mut self) -> (Rules<'_>, &mut Workspace, &Limits) {
        let Evaluation::Together(plan) = self.evaluation else { unreachable!("choices are kept together where the pattern says so") };
        (Rules { automaton: self.automaton, plan }, self.workspace, self.limits)
    }
}
