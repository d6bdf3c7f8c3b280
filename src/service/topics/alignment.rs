//! Keeps the tasks of the first stage together, where some run far ahead of others.
//!
//! A task of the second stage holds events until all upstream tasks are as far. When a long backlog is read, or while the process of some tasks is away, the others would fill
//! that memory, and then events would be set aside. So each input of a task of the first stage has a *room*: so many events it may bring, to each task of the second, beyond the
//! point that all tasks have said they have reached. All rooms together are half of what may be held. The other half is for what no order of reading avoids, the events within
//! the lateness.
//!
//! ```text
//! handed on of an input: ───────●═══════════▶   its room is used up by what stands doubled: what came since it was where
//!                       all are here           all are now
//! ```
//!
//! **What holds.** Let there be n inputs of all tasks together, at most H events be held ([`held_events_max`](crate::config::Limits::held_events_max)), and at most L of those
//! that go to one task of the second stage come within the lateness, of all inputs together. Where H is at least 2n and 2L, nothing is set aside for want of room, whatever
//! crashes and moves meanwhile: of each input a task holds no more than its room, H/2n, and what lies within the lateness before that. An input that is ahead is not read on
//! instead. That is so because
//!
//! * what an upstream task says counts once it is committed, and what is handed on after that stands behind it in every partition: whoever reads it has let out by then
//!   all up to the point that all have reached;
//! * what an input has brought is counted from a place where it was not beyond that point. One that a restart finds beyond it has no such place: how much it brought before is
//!   not known, so it brings nothing more until all are as far as it was;
//! * what a task of the second stage reads again after a restart it has held before: it is held again without being counted.
//!
//! Nobody waits for an input that has nothing more to read: when that has held all back for [`WAIT_MAX`], they go on, and what is too much then is set aside. How long an input
//! without events is waited for at all is what `idle_timeout` says. For one that has records nobody reads, because its process is away, they wait as long as it takes.
//!
//! How far all have come, a process knows from its own tasks of the second stage; where it has none, and somebody waits, from the journals of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::UpstreamPosition;
use crate::event::EventTime;
use crate::service::topics::stopwatch::Stopwatch;

/// So long a standstill is waited for before it is asked whether there is anything more to read: what comes seldom comes as well.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// So long a process waits for its first task of the second stage, or for another when the last has gone, before it asks the journals.
const NOBODY_MAX: Duration = Duration::from_secs(10);

/// Between two questions: each takes a few round trips.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// What the second stage's tasks of this process tell its first stage.
pub(super) struct Alignment {
    told: Mutex<Told>,
    stopwatch: Stopwatch,
    wait_max: Duration,
}

#[derive(Debug)]
struct Told {
    /// The tasks of the second stage that are here, some of them perhaps only being taken up.
    here: BTreeSet<u32>,
    /// By upstream task: the farthest that any of these has read that it is, or its journal says. As what it says is committed, it is so far whoever goes on with its events.
    last: BTreeMap<u32, UpstreamPosition>,
    /// Since when there is no task of the second stage here.
    nobody_since: Duration,
    /// All have come as far, whoever is here now: what the second stage has let out by then stays out.
    reached: EventTime,
    awaited: Option<Awaited>,
    asked: Duration,
}

/// What somebody waits for.
#[derive(Debug)]
struct Awaited {
    /// All are to get beyond this.
    beyond: EventTime,
    since: Duration,
    /// Upstream tasks that hold all back and have nothing more to read.
    empty: BTreeSet<u32>,
    given_up: bool,
}

/// How much of an input the first stage may hand on, as [`Pace`](crate::service::topics::pace::Pace) counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allowed {
    Everything,
    /// So many events beyond the point that all have reached.
    Beyond(EventTime, u64),
}

/// What is to be found out of an upstream task, wherever it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Question {
    HowFar(u32),
    /// Whether there is anything to read in those of its inputs that hold it back at this time, or it is not held back any more.
    HasMore(u32, EventTime),
}

impl Alignment {
    pub(super) fn new(stopwatch: Stopwatch) -> Self {
        Self::waiting(stopwatch, WAIT_MAX)
    }

    /// And waits for so long.
    pub(super) fn waiting(stopwatch: Stopwatch, wait_max: Duration) -> Self {
        let (here, last, reached) = (BTreeSet::new(), BTreeMap::new(), EventTime::BEGINNING);
        let told = Told { here, last, nobody_since: stopwatch.now(), reached, awaited: None, asked: Duration::ZERO };
        Self { told: Mutex::new(told), stopwatch, wait_max }
    }

    /// A task of the second stage is here, and has read this since it told last.
    pub(super) fn tell(&self, task: u32, news: &[UpstreamPosition]) {
        let mut told = self.lock();
        told.here.insert(task);
        news.iter().for_each(|position| told.note(*position));
    }

    /// It is somebody else's now.
    pub(super) fn forget(&self, task: u32) {
        let mut told = self.lock();
        told.here.remove(&task);
        if told.here.is_empty() {
            told.nobody_since = self.stopwatch.now();
            // Whether they are still idle nobody tells here any more.
            told.last.clear();
        }
    }

    /// What each of so many inputs of each of so many upstream tasks may bring, where a task of the second stage may hold so many events. Cost: a look at each upstream task.
    pub(super) fn allowed(&self, upstreams: u32, inputs: usize, held_max: usize) -> Allowed {
        let mut told = self.lock();
        told.reached = told.reached.max(told.reached_by_now(upstreams));
        let reached = told.reached;
        let is_given_up = told.awaited.as_ref().is_some_and(|awaited| awaited.beyond == reached && awaited.given_up);
        if is_given_up || reached == EventTime::END {
            return Allowed::Everything;
        }
        Allowed::Beyond(reached, (held_max as u64 / 2 / u64::from(upstreams.max(1)) / inputs.max(1) as u64).max(1))
    }

    /// Somebody waits for all to get beyond this. Says what is to be asked about it.
    pub(super) fn wait(&self, reached: EventTime, upstreams: u32) -> Option<Question> {
        let (mut told, now) = (self.lock(), self.stopwatch.now());
        if told.awaited.as_ref().is_none_or(|awaited| awaited.beyond != reached) {
            told.awaited = Some(Awaited { beyond: reached, since: now, empty: BTreeSet::new(), given_up: false });
        }
        if now.saturating_sub(told.asked) < ASK_INTERVAL {
            return None;
        }
        let question = told.question(upstreams, now, self.wait_max);
        if question.is_some() {
            told.asked = now;
        }
        question
    }

    /// So far an upstream task is, as its journal says.
    pub(super) fn learn_how_far(&self, position: UpstreamPosition) {
        self.lock().note(position);
    }

    /// Whether an upstream task has anything to read in what holds it back. Only once none of those that hold all back has, they are passed over.
    pub(super) fn learn_has_more(&self, upstream: u32, beyond: EventTime, has_more: bool, upstreams: u32) {
        let (mut told, now) = (self.lock(), self.stopwatch.now());
        let Some(mut awaited) = told.awaited.take_if(|awaited| awaited.beyond == beyond) else { return };
        if has_more {
            (awaited.since, awaited.empty) = (now, BTreeSet::new());
            tracing::warn!(task = upstream, beyond = %awaited.beyond, "inputs that are ahead wait for a task that has records to read, and does not go on");
        } else {
            awaited.empty.insert(upstream);
            awaited.given_up = told.holding_back(upstreams, awaited.beyond).iter().all(|upstream| awaited.empty.contains(upstream));
            if awaited.given_up {
                let tasks = &awaited.empty;
                tracing::warn!(?tasks, beyond = %awaited.beyond, "these hold all back and have nothing to read: they are not waited for any more");
            }
        }
        told.awaited = Some(awaited);
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn note(&mut self, position: UpstreamPosition) {
        let last = self.last.entry(position.task).or_insert(position);
        // At the same place it may be idle now, or not any more.
        if position.watermark_us >= last.watermark_us {
            *last = position;
        }
    }

    /// How far all upstream tasks are that are not idle; where all are idle, the farthest of them, as the second stage has it.
    fn reached_by_now(&self, upstreams: u32) -> EventTime {
        let known = || self.last.range(..upstreams).map(|(_, position)| position);
        if known().count() < upstreams as usize {
            // One that has said nothing yet may be anywhere.
            return EventTime::BEGINNING;
        }
        let active = known().filter(|position| !position.idle).map(|position| position.watermark_us).min();
        let reached = active.or_else(|| known().map(|position| position.watermark_us).max());
        reached.map_or(EventTime::END, EventTime::from_micros)
    }

    /// The upstream tasks that are no farther, those that are least far first.
    fn holding_back(&self, upstreams: u32, reached: EventTime) -> Vec<u32> {
        let watermark = |upstream: &u32| self.last.get(upstream).map(|position| position.watermark_us);
        let is_no_farther = |upstream: &u32| self.last.get(upstream).is_none_or(|last| !last.idle && last.watermark_us <= reached.micros());
        let mut tasks: Vec<_> = (0..upstreams).filter(is_no_farther).collect();
        tasks.sort_by_key(watermark);
        tasks
    }

    fn question(&self, upstreams: u32, now: Duration, wait_max: Duration) -> Option<Question> {
        let awaited = self.awaited.as_ref().filter(|awaited| !awaited.given_up)?;
        // Asked for by each input that waits: looked for only where there is a question.
        let holding_back = || self.holding_back(upstreams, awaited.beyond).into_iter();
        if now.saturating_sub(awaited.since) >= wait_max {
            let unknown = holding_back().find(|upstream| !awaited.empty.contains(upstream))?;
            return Some(Question::HasMore(unknown, awaited.beyond));
        }
        let is_nobody_here = self.here.is_empty() && now.saturating_sub(self.nobody_since) >= NOBODY_MAX;
        if is_nobody_here { holding_back().next().map(Question::HowFar) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HELD_MAX: usize = 800;

    fn said(watermarks: &[(u32, i64, bool)]) -> Vec<UpstreamPosition> {
        watermarks.iter().map(|&(task, watermark_us, idle)| UpstreamPosition { task, watermark_us, idle }).collect()
    }

    fn at(micros: i64) -> EventTime {
        EventTime::from_micros(micros)
    }

    #[test]
    fn all_have_reached_what_the_last_has_that_is_waited_for() {
        for (upstreams, of_tasks, reached) in [
            (3, vec![&[(0, 5, false), (1, 9, false), (2, 1, true)][..]], at(5)),
            (3, vec![&[(0, 5, false), (1, 9, false)]], EventTime::BEGINNING),
            (2, vec![&[(0, 5, false), (1, 9, false)], &[(0, 7, false), (1, 8, false)]], at(7)),
            (2, vec![&[(0, 5, false), (1, 9, false)], &[]], at(5)),
            (2, vec![&[], &[]], EventTime::BEGINNING),
            (2, vec![&[(0, 5, true), (1, 9, true)]], at(9)),
            (2, vec![&[(0, i64::MAX, false), (1, i64::MAX, false)]], EventTime::END),
        ] {
            let alignment = Alignment::new(Stopwatch::start());
            of_tasks.iter().zip(0..).for_each(|(watermarks, task)| alignment.tell(task, &said(watermarks)));
            let expected = if reached == EventTime::END { Allowed::Everything } else { Allowed::Beyond(reached, 400 / u64::from(upstreams)) };
            assert_eq!(alignment.allowed(upstreams, 1, HELD_MAX), expected, "{of_tasks:?}");
        }
    }

    /// Every input of every worker asks at each poll, under one lock.
    #[test]
    fn what_is_looked_at_does_not_grow_with_the_tasks_of_the_second_stage() {
        const TASKS: u32 = 256;
        let alignment = Alignment::new(Stopwatch::start());
        for task in 0..TASKS {
            let news: Vec<_> = (0..TASKS).map(|upstream| (upstream, i64::from(upstream + task), false)).collect();
            alignment.tell(task, &said(&news));
        }
        assert_eq!(alignment.allowed(TASKS, 1, 512 * HELD_MAX), Allowed::Beyond(at(255), 800), "the last one has read the most");
        assert_eq!(alignment.lock().last.len(), 256);
    }

    #[test]
    fn what_a_task_has_not_read_yet_takes_nothing_back() {
        let alignment = Alignment::new(Stopwatch::start());
        alignment.tell(0, &said(&[(0, 5, false), (1, 9, true)]));
        for (news, reached) in [
            (&[(0, 4, false), (1, 3, false)][..], at(5)),
            // It has come to where it was known to be idle, and goes on.
            (&[(0, 12, false), (1, 9, false)], at(9)),
            (&[(1, 9, true)], at(12)),
        ] {
            alignment.tell(1, &said(news));
            assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Beyond(reached, 200), "{news:?}");
        }
    }

    /// And a clock that goes on as it is told.
    fn with_clock() -> (Alignment, impl Fn(Duration)) {
        let millis = Arc::new(AtomicU64::new(0));
        let clock = millis.clone();
        let alignment = Alignment::new(Stopwatch::by(move || Duration::from_millis(clock.load(Ordering::Relaxed))));
        (alignment, move |time: Duration| _ = millis.fetch_add(u64::try_from(time.as_millis()).expect("short"), Ordering::Relaxed))
    }

    #[test]
    fn nobody_waits_for_a_task_that_has_nothing_to_read_nor_goes_on_beside_one_that_has() {
        let (alignment, pass) = with_clock();
        alignment.tell(7, &said(&[(0, 5, false), (1, 9, false), (2, 5, false), (3, 1, true)]));
        let beyond = Allowed::Beyond(at(5), 100);
        assert_eq!((alignment.allowed(4, 1, HELD_MAX), alignment.wait(at(5), 4)), (beyond, None));
        pass(WAIT_MAX);
        let ask = |upstream, has_more| {
            assert_eq!(alignment.wait(at(5), 4), Some(Question::HasMore(upstream, at(5))));
            assert_eq!(alignment.wait(at(5), 4), None, "one at a time");
            alignment.learn_has_more(upstream, at(5), has_more, 4);
            pass(ASK_INTERVAL);
            alignment.allowed(4, 1, HELD_MAX)
        };
        assert_eq!(ask(0, false), beyond, "the other may");
        assert_eq!(ask(2, true), beyond);
        assert_eq!(alignment.wait(at(5), 4), None, "it is waited for as long again");
        pass(WAIT_MAX);
        let ask = |upstream, has_more| {
            assert_eq!(alignment.wait(at(5), 4), Some(Question::HasMore(upstream, at(5))));
            alignment.learn_has_more(upstream, at(5), has_more, 4);
            pass(ASK_INTERVAL);
            alignment.allowed(4, 1, HELD_MAX)
        };
        assert_eq!((ask(0, false), ask(2, false)), (beyond, Allowed::Everything));
        assert_eq!(alignment.wait(at(5), 4), None, "it is known");
        alignment.tell(7, &said(&[(0, 6, false), (1, 9, false), (2, 6, false), (3, 1, true)]));
        assert_eq!(alignment.allowed(4, 1, HELD_MAX), Allowed::Beyond(at(6), 100), "they go on");
        alignment.learn_has_more(0, at(5), false, 4);
        alignment.forget(7);
        assert_eq!(alignment.allowed(4, 1, HELD_MAX), Allowed::Beyond(at(6), 100), "others may come, and nobody goes back");
    }

    #[test]
    fn where_there_is_nobody_of_the_second_stage_the_journals_tell() {
        let (alignment, pass) = with_clock();
        let ask = |reached: EventTime| {
            let question = alignment.wait(reached, 2);
            pass(ASK_INTERVAL);
            question
        };
        assert_eq!(ask(EventTime::BEGINNING), None, "the second stage is about to come");
        (0..100).for_each(|_| _ = ask(EventTime::BEGINNING));
        for (task, watermark_us) in [(0, 7), (1, 5)] {
            assert_eq!(ask(EventTime::BEGINNING), Some(Question::HowFar(task)));
            alignment.learn_how_far(UpstreamPosition { task, watermark_us, idle: false });
        }
        assert_eq!((alignment.allowed(2, 1, HELD_MAX), ask(at(5))), (Allowed::Beyond(at(5), 200), Some(Question::HowFar(1))), "the last of them");
        alignment.tell(3, &[]);
        assert_eq!(ask(at(5)), None, "it will tell");
    }
}
