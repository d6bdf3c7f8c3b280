//! Keeps the tasks of the first stage together, where some run far ahead of others.
//!
//! A task of the second stage holds events until all upstream tasks are as far. When a long backlog is read, or while the process of some tasks is away, the others would fill
//! that memory, and then events would be set aside. So each input of a task of the first stage may bring only so many events, to each task of the second, beyond the point that
//! all tasks have said they have reached: all of them together half of what may be held. The other half is for what no order of reading avoids, the events within the lateness.
//!
//! How far all have come, a process knows from its own tasks of the second stage. Where it has none, its first stage goes on as it can. And nobody is waited for for ever: one
//! that shows nothing for long is passed over.
//!
//! ```text
//! handed on of an input: ───────●═══════════▶   its room is used up by what stands doubled: what came since it was where
//!                       all are here           all are now
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::UpstreamPosition;
use crate::event::EventTime;
use crate::ports::InputPartition;

/// So long a standstill is waited for: longer than a group takes to give the tasks of a lost process to another, and that one to take them up.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// So long a process waits for its first task of the second stage, or for another when the last has gone.
const NOBODY_MAX: Duration = Duration::from_secs(10);

/// In so many parts of its room an input goes on that is not ahead of all.
const PIECES: u64 = 4;

/// How many places of an input are remembered. With fewer it only waits a little earlier.
const MARKS_MAX: usize = 1_000;

/// Tells how long ago something began that was before all else, and never goes back.
pub(super) type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What the second stage's tasks of this process tell its first stage.
pub(super) struct Alignment {
    told: Mutex<Told>,
    now: Stopwatch,
}

#[derive(Debug)]
struct Told {
    /// By task of the second stage: how far it has read that each upstream task is. Nothing: it is being taken up.
    said: BTreeMap<u32, Vec<UpstreamPosition>>,
    /// Since when there is no task of the second stage here.
    nobody_since: Duration,
    /// All have come as far, whoever is here now: what the second stage has let out by then stays out.
    reached: EventTime,
    /// What somebody waits for, and since when.
    awaited: Option<(EventTime, Duration)>,
}

/// How much of an input the first stage may hand on, as [`Ahead::events`] counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allowed {
    Everything,
    /// So many events beyond the point that all have reached.
    Beyond(EventTime, u64),
}

impl Alignment {
    /// By the machine's clock.
    pub(super) fn new() -> Self {
        let began = Instant::now();
        Self::by(Arc::new(move || began.elapsed()))
    }

    pub(super) fn by(now: Stopwatch) -> Self {
        Self { told: Mutex::new(Told { said: BTreeMap::new(), nobody_since: now(), reached: EventTime::BEGINNING, awaited: None }), now }
    }

    /// A task of the second stage is here, and has read this.
    pub(super) fn tell(&self, task: u32, said: Vec<UpstreamPosition>) {
        self.lock().said.insert(task, said);
    }

    /// It is somebody else's now.
    pub(super) fn forget(&self, task: u32) {
        let mut told = self.lock();
        told.said.remove(&task);
        if told.said.is_empty() {
            told.nobody_since = (self.now)();
        }
    }

    /// What each of so many inputs of each of so many upstream tasks may bring, where a task of the second stage may hold so many events.
    pub(super) fn allowed(&self, upstreams: u32, inputs: usize, held_max: usize) -> Allowed {
        let (mut told, now) = (self.lock(), (self.now)());
        let is_nobody_here = told.said.is_empty() && now - told.nobody_since >= NOBODY_MAX;
        let reached = reached(&told.said, upstreams).max(told.reached);
        let is_given_up = told.awaited.is_some_and(|(awaited, since)| awaited == reached && now - since >= WAIT_MAX);
        if is_nobody_here || is_given_up || reached == EventTime::END {
            return Allowed::Everything;
        }
        told.reached = reached;
        Allowed::Beyond(reached, (held_max as u64 / 2 / u64::from(upstreams.max(1)) / inputs.max(1) as u64).max(1))
    }

    /// Somebody waits for all to get beyond this.
    pub(super) fn wait(&self, reached: EventTime) {
        let mut told = self.lock();
        if told.awaited.is_none_or(|(awaited, _)| awaited != reached) {
            told.awaited = Some((reached, (self.now)()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far all upstream tasks are that are not idle, as the task of the second stage knows that has heard the last of each. One that has said nothing yet may be anywhere.
fn reached(said: &BTreeMap<u32, Vec<UpstreamPosition>>, upstreams: u32) -> EventTime {
    let last = |upstream: u32| said.values().flatten().filter(|position| position.task == upstream).max_by_key(|position| position.watermark_us);
    let reached = |upstream| match last(upstream) {
        None => Some(EventTime::BEGINNING),
        Some(position) => (!position.idle).then_some(EventTime::from_micros(position.watermark_us)),
    };
    (0..upstreams).filter_map(reached).min().unwrap_or(EventTime::END)
}

/// The inputs of a worker of the first stage, as far as they have to wait for others.
#[derive(Debug, Default)]
pub(super) struct Pace {
    ahead: BTreeMap<InputPartition, Ahead>,
    paused: BTreeSet<InputPartition>,
}

/// Where an input is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub input: InputPartition,
    /// How far it is by itself.
    pub watermark: EventTime,
    /// How many of its events each task of the second stage has got, as far as it has got any.
    pub handed_on: &'a [u64],
    /// Its task is not farther than all, and there is nothing to read of what holds it back: to wait would change nothing.
    pub is_stuck: bool,
}

impl Pace {
    /// How many more records of an input may be taken now, beside those that are read again.
    pub(super) fn room(&mut self, reading: Reading<'_>, allowed: Allowed) -> usize {
        let Allowed::Beyond(reached, events) = allowed else { return usize::MAX };
        let ahead = self.ahead.entry(reading.input).or_default();
        let room = if reading.watermark <= reached || reading.is_stuck {
            ahead.note(reading.watermark, reading.handed_on);
            (events / PIECES).max(1)
        } else {
            events.saturating_sub(ahead.events(reached, reading.handed_on))
        };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// It has come to the end of its room; what still comes of it is read again when it goes on.
    pub(super) fn pause(&mut self, input: InputPartition) {
        self.paused.insert(input);
    }

    pub(super) fn is_paused(&self, input: InputPartition) -> bool {
        self.paused.contains(&input)
    }

    pub(super) fn paused(&self) -> Vec<InputPartition> {
        self.paused.iter().copied().collect()
    }

    /// An epoch has ended.
    pub(super) fn note(&mut self, reading: Reading<'_>) {
        self.ahead.entry(reading.input).or_default().note(reading.watermark, reading.handed_on);
    }

    /// The task begins anew, or is somebody else's now.
    pub(super) fn forget(&mut self, task: u32) {
        self.ahead.retain(|input, _| input.partition != task);
        self.paused.retain(|input| input.partition != task);
    }

    /// An input that is paused goes on with half of its room, so that it does not stop and go all the time.
    pub(super) fn goes_on(&mut self, reading: Reading<'_>, allowed: Allowed) -> bool {
        let goes_on = match allowed {
            Allowed::Everything => true,
            Allowed::Beyond(reached, _) if reading.watermark <= reached || reading.is_stuck => true,
            Allowed::Beyond(reached, events) => self.ahead.entry(reading.input).or_default().events(reached, reading.handed_on) <= events / 2,
        };
        goes_on && self.paused.remove(&reading.input)
    }
}

/// What was handed on of an input, by how far it was.
#[derive(Debug, Default)]
struct Ahead {
    /// Ascending: when it came to this watermark, each task of the second stage had got so many of its events.
    marks: VecDeque<(EventTime, Vec<u64>)>,
}

impl Ahead {
    /// It is here now, and has handed on so many.
    fn note(&mut self, watermark: EventTime, handed_on: &[u64]) {
        if self.marks.back().is_none_or(|(last, _)| *last < watermark) {
            self.marks.push_back((watermark, handed_on.to_vec()));
        }
        if self.marks.len() > MARKS_MAX {
            self.marks.remove(1);
        }
    }

    /// How many events a task of the second stage has got since the input was where all are now, at most. Where the input's task has begun here beyond that, as after a
    /// restart, there may be any number before: those that come count as [`PIECES`] each, so that many restarts do not bring the whole room again each time.
    fn events(&mut self, reached: EventTime, handed_on: &[u64]) -> u64 {
        while self.marks.get(1).is_some_and(|(watermark, _)| *watermark <= reached) {
            self.marks.pop_front();
        }
        let before = self.marks.front();
        let since = |(task, now): (usize, &u64)| now - before.and_then(|(_, counts)| counts.get(task)).unwrap_or(&0);
        let since = handed_on.iter().enumerate().map(since).max().unwrap_or(0);
        if before.is_some_and(|(watermark, _)| *watermark <= reached) { since } else { since * PIECES }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::event::StreamId;

    const HELD_MAX: usize = 800;

    fn said(watermarks: &[(u32, i64, bool)]) -> Vec<UpstreamPosition> {
        watermarks.iter().map(|&(task, watermark_us, idle)| UpstreamPosition { task, watermark_us, idle }).collect()
    }

    const INPUT: InputPartition = InputPartition { stream: StreamId(1), partition: 3 };

    fn reading(watermark: i64, handed_on: &[u64]) -> Reading<'_> {
        Reading { input: INPUT, watermark: at(watermark), handed_on, is_stuck: false }
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
            (2, vec![&[(0, 5, true), (1, 9, true)]], EventTime::END),
        ] {
            let alignment = Alignment::new();
            of_tasks.iter().zip(0..).for_each(|(watermarks, task)| alignment.tell(task, said(watermarks)));
            let expected = if reached == EventTime::END { Allowed::Everything } else { Allowed::Beyond(reached, 400 / u64::from(upstreams)) };
            assert_eq!(alignment.allowed(upstreams, 1, HELD_MAX), expected, "{of_tasks:?}");
        }
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = seconds.clone();
        let alignment = Alignment::by(Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed))));
        let pass = |time: Duration| seconds.fetch_add(time.as_secs(), Ordering::Relaxed);
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Beyond(EventTime::BEGINNING, 200), "the second stage is about to come");
        pass(NOBODY_MAX);
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Everything, "it is elsewhere");
        alignment.tell(7, said(&[(0, 5, false), (1, 9, false)]));
        alignment.wait(at(5));
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Beyond(at(5), 200));
        pass(WAIT_MAX);
        alignment.wait(at(5));
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Everything, "it does not come");
        alignment.tell(7, said(&[(0, 6, false), (1, 9, false)]));
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Beyond(at(6), 200), "it does");
        alignment.forget(7);
        assert_eq!(alignment.allowed(2, 1, HELD_MAX), Allowed::Beyond(at(6), 200), "others may come, and nobody goes back");
    }

    #[test]
    fn an_input_stops_at_the_end_of_its_room_and_goes_on_with_half_of_it() {
        let mut pace = Pace::default();
        let input = INPUT;
        let beyond = |reached| Allowed::Beyond(at(reached), 8);
        assert_eq!(pace.room(reading(1, &[]), Allowed::Everything), usize::MAX);
        assert_eq!(pace.room(reading(1, &[]), beyond(0)), 8);
        assert_eq!(pace.room(reading(1, &[]), beyond(1)), 2, "as far as all: piece by piece");
        pace.note(reading(5, &[4]));
        for (watermark, handed_on, reached, room) in [(6, [4], 1, 4), (6, [7], 4, 1), (6, [12], 4, 0), (6, [11], 5, 1), (6, [12], 6, 2), (7, [20], 6, 0)] {
            assert_eq!(pace.room(reading(watermark, &handed_on), beyond(reached)), room, "{watermark} {handed_on:?} {reached}");
        }
        let stuck = Reading { is_stuck: true, ..reading(7, &[20]) };
        assert_eq!(pace.room(stuck, beyond(6)), 2);
        for (wants, reading, allowed) in [
            (false, reading(7, &[17]), beyond(6)),
            (true, reading(7, &[16]), beyond(6)),
            (true, reading(7, &[99]), beyond(7)),
            (true, stuck, beyond(0)),
            (true, reading(7, &[99]), Allowed::Everything),
        ] {
            pace.pause(input);
            assert_eq!((pace.goes_on(reading, allowed), pace.is_paused(input)), (wants, !wants), "{reading:?} {allowed:?}");
        }
        pace.pause(input);
        pace.forget(2);
        assert_eq!(pace.paused(), [input]);
        pace.forget(3);
        assert_eq!((pace.paused(), pace.room(reading(1, &[0]), beyond(0))), (Vec::new(), 8));
    }

    #[test]
    fn what_counts_is_handed_on_since_the_task_was_where_all_are() {
        let mut ahead = Ahead::default();
        ahead.note(at(10), &[0, 0]);
        for (watermark, handed_on) in [(20, [5, 1]), (20, [6, 1]), (30, [7, 9]), (40, [8, 20])] {
            ahead.note(at(watermark), &handed_on);
        }
        let now = [9, 20];
        assert_eq!(ahead.events(at(5), &now), 20 * PIECES, "how many came before it began is not known");
        for (reached, events) in [(10, 20), (25, 19), (30, 11), (39, 11), (40, 1), (99, 1)] {
            assert_eq!(ahead.events(at(reached), &now), events, "all are at {reached}");
        }
        (100..5_000).for_each(|micros| ahead.note(at(micros), &now));
        assert_eq!((ahead.marks.len(), ahead.events(at(4_999), &now)), (MARKS_MAX, 0));
    }
}
