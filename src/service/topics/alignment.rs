//! Keeps the tasks of the first stage together, where some run far ahead of others.
//!
//! A task of the second stage holds events until all upstream tasks are as far. When a long backlog is read, or while the process of some tasks is away, the others would fill
//! that memory, and then events would be set aside. So beyond half of the bound, the tasks of the first stage that lead are paused, in every process that has a task of the
//! second, until those that lag have caught up; but not for ever: one that shows nothing for long is not waited for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::UpstreamPosition;

/// So long a standstill is waited for: longer than a group takes to give the tasks of a lost process to another, and that one to take them up.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// What the second stage's tasks of this process tell its first stage.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    pressed: Mutex<BTreeMap<u32, Pressure>>,
}

/// A task that holds many events.
#[derive(Clone, Debug)]
struct Pressure {
    /// By upstream task how far it is; those that have said nothing yet are not there.
    said: Vec<UpstreamPosition>,
    /// What it waits for.
    least_us: i64,
    since: Instant,
}

impl Alignment {
    /// A task holds so many events. `said`: what it has been told by the upstream tasks, of which there are so many.
    pub(super) fn tell(&self, task: u32, held: usize, held_max: usize, upstreams: u32, said: impl FnOnce() -> Vec<UpstreamPosition>) {
        let mut pressed = self.lock();
        let known = pressed.get(&task);
        let bound = if known.is_some() { held_max / 4 } else { held_max / 2 };
        if held < bound.max(1) {
            pressed.remove(&task);
            return;
        }
        let said = said();
        let least_us = least(&said, upstreams);
        let since = known.filter(|known| known.least_us == least_us).map_or_else(Instant::now, |known| known.since);
        pressed.insert(task, Pressure { said, least_us, since });
    }

    /// It is somebody else's now.
    pub(super) fn forget(&self, task: u32) {
        self.lock().remove(&task);
    }

    /// Which of these upstream tasks are to wait for others.
    pub(super) fn leaders(&self, tasks: impl Iterator<Item = u32>) -> Vec<u32> {
        let pressed = self.lock();
        let waiting: Vec<&Pressure> = pressed.values().filter(|pressure| pressure.since.elapsed() < WAIT_MAX).collect();
        tasks.filter(|task| waiting.iter().any(|pressure| leads(pressure, *task))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Pressure>> {
        self.pressed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of those that are not idle. One that has said nothing yet may be anywhere.
fn least(said: &[UpstreamPosition], upstreams: u32) -> i64 {
    let is_silent = (0..upstreams).any(|task| said.iter().all(|position| position.task != task));
    let active = said.iter().filter(|position| !position.idle).map(|position| position.watermark_us);
    if is_silent { i64::MIN } else { active.min().unwrap_or(i64::MAX) }
}

fn leads(pressure: &Pressure, task: u32) -> bool {
    pressure.said.iter().any(|position| position.task == task && position.watermark_us > pressure.least_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(watermarks: &[(u32, i64, bool)]) -> Vec<UpstreamPosition> {
        watermarks.iter().map(|&(task, watermark_us, idle)| UpstreamPosition { task, watermark_us, idle }).collect()
    }

    #[test]
    fn those_that_lead_wait_for_the_last_while_much_is_held() {
        let alignment = Alignment::default();
        let leaders = || alignment.leaders(0..4);
        let spread = [(0, 5, false), (1, 9, false), (2, 1, true)];
        let close = [(0, 7, false), (1, 7, false), (2, 8, false)];
        for (held, upstreams, watermarks, expected) in
            [(499, 3, spread, &[][..]), (500, 3, spread, &[1]), (250, 3, close, &[2]), (300, 4, close, &[0, 1, 2]), (249, 4, close, &[]), (300, 4, close, &[])]
        {
            alignment.tell(7, held, 1_000, upstreams, || said(&watermarks));
            assert_eq!(leaders(), expected, "{held} {watermarks:?}");
        }
        alignment.tell(7, 600, 1_000, 2, || said(&[(0, 1, false), (1, 2, false)]));
        alignment.tell(8, 600, 1_000, 2, || said(&[(0, 2, false), (1, 1, false)]));
        assert_eq!(leaders(), [0, 1], "each leads somewhere; both go on as soon as what they have written is read");
        alignment.forget(8);
        assert_eq!(leaders(), [1]);
        alignment.forget(7);
        assert_eq!(leaders(), [0; 0]);
    }
}
