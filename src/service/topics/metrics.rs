//! What happens between topics, in numbers: one place, filled by the workers and read by whoever shows it.
//!
//! | number | tells |
//! |---|---|
//! | `commits`, `checkpoints` | how many, and how long they take |
//! | `aborts`, `unknown_outcomes`, `fences`, `expulsions` | transactions that did not end well, by how |
//! | `rejoins` | how often a worker joined its group anew because brokers took it for a second one of its name |
//! | `replays`, `replayed_epochs`, `replayed_records` | recoveries that had to repeat epochs |
//! | `digest_differences` | repeated epochs that gave something else: 0, or something is badly wrong |
//! | `checkpoint_failures` | copies that could not be carried |
//! | `retention_alarms` | how often an input was found to hold hardly more, or less, than a restart would read |
//! | `misplaced_keys` | keys whose events were in several partitions, among the last records when this process started: matches of theirs are missing |
//! | `outages`, `outage` | how often no broker let us work, and for how long by now where that is so |
//! | by task: `epoch`, `watermark`, `newest`, `checkpoint_epoch`, `checkpoint_age` | how far it is |
//! | by task: `lag_records` | what its inputs have that is not read: 0 where only markers of transactions are left, once that was found out; none where it recovers, or no end is known yet |
//! | by task: `lag_event_time` | from its newest event to the wall clock when it is shown, so it grows while a task stands still; 0 where nothing is left to read, however old that event is; none where it recovers, or has seen no event |
//! | by task: `cold_keys`, `keys_spilled` | keys on the disk, and how often one had to be laid there |
//!
//! A task is here from its assignment until this process gives it up: told about every second and after each commit, and known while it recovers as well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{EventTime, ProcessingTime, TimeSpan};
use crate::service::topics::stages::Stage;

/// Shared by all workers of a process. Counts since its start.
#[derive(Debug, Default)]
pub struct Metrics {
    commits: Timing,
    checkpoints: Timing,
    aborts: AtomicU64,
    unknown_outcomes: AtomicU64,
    fences: AtomicU64,
    expulsions: AtomicU64,
    rejoins: AtomicU64,
    replays: AtomicU64,
    replayed_epochs: AtomicU64,
    replayed_records: AtomicU64,
    digest_differences: AtomicU64,
    checkpoint_failures: AtomicU64,
    retention_alarms: AtomicU64,
    misplaced_keys: AtomicU64,
    outages: AtomicU64,
    /// Since when one lasts.
    outage: Mutex<Option<Instant>>,
    tasks: Mutex<BTreeMap<u32, TaskHere>>,
}

#[derive(Debug)]
struct TaskHere {
    told: TaskMetrics,
    /// When its last checkpoint was made or found to be of the state as it is, or when it came.
    checkpointed: Instant,
}

#[derive(Debug, Default)]
struct Timing {
    count: AtomicU64,
    total_us: AtomicU64,
    longest_us: AtomicU64,
}

/// All numbers as they were at one moment, or nearly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetricsSnapshot {
    pub commits: Times,
    pub checkpoints: Times,
    pub aborts: u64,
    pub unknown_outcomes: u64,
    pub fences: u64,
    pub expulsions: u64,
    pub rejoins: u64,
    pub replays: u64,
    pub replayed_epochs: u64,
    pub replayed_records: u64,
    pub digest_differences: u64,
    pub checkpoint_failures: u64,
    pub retention_alarms: u64,
    pub misplaced_keys: u64,
    pub outages: u64,
    pub outage: Option<Duration>,
    /// The tasks that are here now.
    pub tasks: BTreeMap<u32, TaskMetrics>,
    /// The same of the second stage; the other numbers are of both together.
    pub rekeyed_tasks: BTreeMap<u32, TaskMetrics>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    pub count: u64,
    pub total: Duration,
    pub longest: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TaskMetrics {
    /// 0: none, or it is not known yet.
    pub epoch: u64,
    pub watermark: Option<EventTime>,
    /// The newest event time of all its inputs.
    pub newest: Option<EventTime>,
    /// Records of all its inputs that are not read yet, as far as is known.
    pub lag_records: Option<u64>,
    /// How far the newest event is behind the wall clock; 0 where nothing is left to read. Found out when it is shown.
    pub lag_event_time: Option<TimeSpan>,
    /// The last epoch that is among the checkpoints, if this process has put it there.
    pub checkpoint_epoch: Option<u64>,
    /// Since that was put there or last found to be of the state as it was, or since the task is here. Says nothing where there are no checkpoints.
    pub checkpoint_age: Duration,
    /// Keys that lie on the disk and not in memory, and the times that one was laid there, because more were packed than `packed_keys_max`.
    pub cold_keys: u64,
    pub keys_spilled: u64,
}

impl Timing {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(micros, Ordering::Relaxed);
        self.longest_us.fetch_max(micros, Ordering::Relaxed);
    }

    fn times(&self) -> Times {
        let micros = |number: &AtomicU64| Duration::from_micros(number.load(Ordering::Relaxed));
        Times { count: self.count.load(Ordering::Relaxed), total: micros(&self.total_us), longest: micros(&self.longest_us) }
    }
}

impl MetricsSnapshot {
    /// Adds those of a stage.
    pub(super) fn add(&mut self, stage: Stage, other: Self) {
        let Self { commits, checkpoints, tasks, rekeyed_tasks: _, .. } = other;
        self.commits.add(commits);
        self.checkpoints.add(checkpoints);
        self.outage = self.outage.max(other.outage);
        for (sum, number) in [
            (&mut self.aborts, other.aborts),
            (&mut self.unknown_outcomes, other.unknown_outcomes),
            (&mut self.fences, other.fences),
            (&mut self.expulsions, other.expulsions),
            (&mut self.rejoins, other.rejoins),
            (&mut self.replays, other.replays),
            (&mut self.replayed_epochs, other.replayed_epochs),
            (&mut self.replayed_records, other.replayed_records),
            (&mut self.digest_differences, other.digest_differences),
            (&mut self.checkpoint_failures, other.checkpoint_failures),
            (&mut self.retention_alarms, other.retention_alarms),
            (&mut self.misplaced_keys, other.misplaced_keys),
            (&mut self.outages, other.outages),
        ] {
            *sum += number;
        }
        match stage {
            Stage::First => self.tasks.extend(tasks),
            Stage::Rekeyed => self.rekeyed_tasks.extend(tasks),
        }
    }
}

impl Times {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub fn mean(&self) -> Duration {
        u32::try_from(self.count).ok().filter(|count| *count > 0).map_or(Duration::ZERO, |count| self.total / count)
    }
}

impl Metrics {
    pub(super) fn committed(&self, took: Duration) {
        self.commits.add(took);
    }

    pub(super) fn checkpointed(&self, task: u32, epoch: u64, took: Duration) {
        self.checkpoints.add(took);
        if let Some(task) = self.tasks().get_mut(&task) {
            task.told.checkpoint_epoch = Some(epoch);
            task.checkpointed = Instant::now();
        }
    }

    /// The last checkpoint of a task was found to be of the state as it is now: it is as good as a new one.
    pub(super) fn checkpoint_holds(&self, task: u32) {
        if let Some(task) = self.tasks().get_mut(&task) {
            task.checkpointed = Instant::now();
        }
    }

    pub(super) fn checkpoint_failed(&self) {
        count(&self.checkpoint_failures);
    }

    /// The last epoch of a task that is among the checkpoints, if this process has put it there.
    pub(super) fn checkpoint_epoch(&self, task: u32) -> Option<u64> {
        self.tasks().get(&task)?.told.checkpoint_epoch
    }

    pub(super) fn retention_alarmed(&self) {
        count(&self.retention_alarms);
    }

    pub(super) fn aborted(&self) {
        count(&self.aborts);
    }

    pub(super) fn outcome_unknown(&self) {
        count(&self.unknown_outcomes);
    }

    pub(super) fn fenced(&self) {
        count(&self.fences);
    }

    pub(super) fn expelled(&self) {
        count(&self.expulsions);
    }

    pub(super) fn joined_anew(&self) {
        count(&self.rejoins);
    }

    pub(super) fn replayed(&self, epochs: u64, records: u64) {
        count(&self.replays);
        self.replayed_epochs.fetch_add(epochs, Ordering::Relaxed);
        self.replayed_records.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn digest_differs(&self) {
        count(&self.digest_differences);
    }

    pub(super) fn misplaced(&self, keys: u64) {
        self.misplaced_keys.fetch_add(keys, Ordering::Relaxed);
    }

    pub(super) fn outage_begins(&self, since: Instant) {
        count(&self.outages);
        *self.outage() = Some(since);
    }

    pub(super) fn outage_ends(&self) {
        *self.outage() = None;
    }

    /// Where a task stands.
    pub(super) fn tell_task(&self, task: u32, told: TaskMetrics) {
        let mut tasks = self.tasks();
        let known = tasks.entry(task).or_insert_with(TaskHere::new);
        known.told = TaskMetrics { checkpoint_epoch: known.told.checkpoint_epoch, ..told };
    }

    /// It is ours, and begins anew: how far behind it is, nobody knows until it goes on. What else was told of it stays.
    pub(super) fn task_recovers(&self, task: u32) {
        let mut tasks = self.tasks();
        let told = &mut tasks.entry(task).or_insert_with(TaskHere::new).told;
        (told.newest, told.lag_records) = (None, None);
    }

    /// It is somebody else's now.
    pub(super) fn forget_task(&self, task: u32) {
        self.tasks().remove(&task);
    }

    /// `now`: the wall clock, which the lag is measured against.
    pub fn snapshot(&self, now: ProcessingTime) -> MetricsSnapshot {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        MetricsSnapshot {
            commits: self.commits.times(),
            checkpoints: self.checkpoints.times(),
            aborts: number(&self.aborts),
            unknown_outcomes: number(&self.unknown_outcomes),
            fences: number(&self.fences),
            expulsions: number(&self.expulsions),
            rejoins: number(&self.rejoins),
            replays: number(&self.replays),
            replayed_epochs: number(&self.replayed_epochs),
            replayed_records: number(&self.replayed_records),
            digest_differences: number(&self.digest_differences),
            checkpoint_failures: number(&self.checkpoint_failures),
            retention_alarms: number(&self.retention_alarms),
            misplaced_keys: number(&self.misplaced_keys),
            outages: number(&self.outages),
            outage: self.outage().map(|since| since.elapsed()),
            tasks: self.tasks().iter().map(|(&task, here)| (task, here.at(now))).collect(),
            rekeyed_tasks: BTreeMap::new(),
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<Instant>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<u32, TaskHere>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskHere {
    fn new() -> Self {
        Self { told: TaskMetrics::default(), checkpointed: Instant::now() }
    }

    fn at(&self, now: ProcessingTime) -> TaskMetrics {
        let TaskMetrics { newest, lag_records, .. } = self.told;
        let behind = |newest: EventTime| TimeSpan::from_micros(now.micros().saturating_sub(newest.micros()).max(0));
        let lag_event_time = if lag_records == Some(0) { Some(TimeSpan::ZERO) } else { newest.map(behind) };
        TaskMetrics { lag_event_time, checkpoint_age: self.checkpointed.elapsed(), ..self.told }
    }
}

fn count(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ProcessingTime = ProcessingTime::from_micros(9_000_000);

    #[test]
    fn what_was_told_is_shown() {
        let metrics = Metrics::default();
        assert_eq!(metrics.snapshot(NOW), MetricsSnapshot::default());
        for millis in [2, 4] {
            metrics.committed(Duration::from_millis(millis));
        }
        metrics.replayed(3, 70);
        metrics.joined_anew();
        metrics.misplaced(2);
        metrics.outage_begins(Instant::now());
        assert!(metrics.snapshot(NOW).outage.is_some());
        metrics.outage_ends();
        metrics.tell_task(5, TaskMetrics { epoch: 1, lag_records: Some(9), ..TaskMetrics::default() });
        metrics.checkpointed(5, 1, Duration::from_millis(1));
        metrics.tell_task(5, TaskMetrics { epoch: 2, ..TaskMetrics::default() });
        let shown = metrics.snapshot(NOW);
        assert_eq!((shown.commits.count, shown.commits.mean(), shown.commits.longest), (2, Duration::from_millis(3), Duration::from_millis(4)));
        assert_eq!((shown.outages, shown.outage), (1, None));
        assert_eq!((shown.replays, shown.replayed_epochs, shown.replayed_records, shown.rejoins, shown.misplaced_keys), (1, 3, 70, 1, 2));
        let checkpoint_age = shown.tasks[&5].checkpoint_age;
        assert_eq!(shown.tasks[&5], TaskMetrics { epoch: 2, checkpoint_epoch: Some(1), checkpoint_age, ..TaskMetrics::default() });
        assert!(metrics.snapshot(NOW).tasks[&5].checkpoint_age > checkpoint_age, "it gets older");
        let before = Instant::now();
        metrics.checkpointed(5, 2, Duration::from_millis(1));
        let age = metrics.snapshot(NOW).tasks[&5].checkpoint_age;
        assert!(age <= before.elapsed(), "{age:?}: as old as the last one");
        let mut both = MetricsSnapshot::default();
        both.add(Stage::First, shown.clone());
        both.add(Stage::Rekeyed, shown.clone());
        assert_eq!((both.commits.count, both.commits.longest, both.replayed_records, both.rejoins), (4, Duration::from_millis(4), 140, 2));
        assert_eq!((&both.tasks, &both.rekeyed_tasks), (&shown.tasks, &shown.tasks));
        metrics.forget_task(5);
        assert!(metrics.snapshot(NOW).tasks.is_empty());
    }

    #[test]
    fn a_task_falls_behind_while_it_stands_still_and_not_where_nothing_is_left_to_read() {
        let metrics = Metrics::default();
        let lag_at = |seconds: i64| metrics.snapshot(ProcessingTime::from_micros(seconds * 1_000_000)).tasks[&5].lag_event_time.map(TimeSpan::micros);
        let tell = |newest: Option<i64>, lag_records| {
            let newest = newest.map(|seconds| EventTime::from_micros(seconds * 1_000_000));
            metrics.tell_task(5, TaskMetrics { newest, lag_records, ..TaskMetrics::default() });
        };
        tell(Some(2), Some(1));
        assert_eq!([lag_at(3), lag_at(9)], [Some(1_000_000), Some(7_000_000)], "nothing was told in between");
        assert_eq!(lag_at(1), Some(0), "the event is ahead of the clock");
        tell(Some(2), None);
        assert_eq!(lag_at(9), Some(7_000_000), "there may be more");
        tell(Some(2), Some(0));
        assert_eq!([lag_at(3), lag_at(9)], [Some(0); 2]);
        tell(None, Some(1));
        assert_eq!(lag_at(9), None, "no event was seen");
    }

    #[test]
    fn a_task_that_recovers_is_still_here_and_its_last_checkpoint_as_old_as_it_was() {
        let metrics = Metrics::default();
        metrics.task_recovers(5);
        let begun = metrics.snapshot(NOW).tasks[&5];
        assert_eq!(begun, TaskMetrics { checkpoint_age: begun.checkpoint_age, ..TaskMetrics::default() }, "nothing is known yet");
        let told = TaskMetrics { epoch: 7, watermark: Some(EventTime::BEGINNING), newest: Some(EventTime::BEGINNING), lag_records: Some(0), ..begun };
        metrics.tell_task(5, told);
        metrics.checkpointed(5, 6, Duration::from_millis(1));
        let before = metrics.snapshot(NOW).tasks[&5];
        metrics.task_recovers(5);
        let recovering = metrics.snapshot(NOW).tasks[&5];
        let expected = TaskMetrics { newest: None, lag_records: None, lag_event_time: None, checkpoint_age: recovering.checkpoint_age, ..before };
        assert_eq!(recovering, expected);
        assert!(recovering.checkpoint_age >= before.checkpoint_age, "it gets older");
    }
}
