//! How far the inputs of a worker of the first stage go on: as far as the [`alignment`](crate::service::topics::alignment) of all allows.
//!
//! An input that is not beyond the point that all have reached goes on a piece at a time, so that it is noticed when it gets there. From then on what it brings uses up its room.
//! At the end of that it is paused; what still comes is read again when it goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::EventTime;
use crate::ports::InputPartition;
use crate::service::topics::alignment::Allowed;

/// In so many parts of its room an input goes on that is not ahead of all.
const PIECES: u64 = 4;

/// How many places of an input are remembered. With fewer it only waits a little earlier.
const MARKS_MAX: usize = 1_000;

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
    /// How many of its events each task of the second stage has got since the input's task began here, as far as it has got any.
    pub handed_on: &'a [u64],
    /// Its task is not farther than all, and of what holds it back a bounded run reads nothing more: to wait would change nothing.
    pub is_stuck: bool,
}

impl Reading<'_> {
    /// It goes on, however much it has brought.
    fn is_free(&self, reached: EventTime) -> bool {
        self.watermark <= reached || self.is_stuck
    }
}

impl Pace {
    /// How many more records of an input may be taken now, beside those that are read again.
    pub(super) fn room(&mut self, reading: Reading<'_>, allowed: Allowed) -> usize {
        let Allowed::Beyond(reached, events) = allowed else { return usize::MAX };
        let ahead = self.ahead.entry(reading.input).or_default();
        let room = if reading.is_free(reached) {
            ahead.note(reading.watermark, reading.handed_on);
            (events / PIECES).max(1)
        } else {
            events.saturating_sub(ahead.events(reached, reading.handed_on).unwrap_or(events))
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
            Allowed::Beyond(reached, _) if reading.is_free(reached) => true,
            Allowed::Beyond(reached, events) => {
                let since = self.ahead.entry(reading.input).or_default().events(reached, reading.handed_on);
                since.is_some_and(|since| since <= events / 2)
            }
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

    /// How many events a task of the second stage has got since the input was where all are now, at most. `None`: its task has begun here beyond that, and how many came before is
    /// not known.
    fn events(&mut self, reached: EventTime, handed_on: &[u64]) -> Option<u64> {
        while self.marks.get(1).is_some_and(|(watermark, _)| *watermark <= reached) {
            self.marks.pop_front();
        }
        let (_, before) = self.marks.front().filter(|(watermark, _)| *watermark <= reached)?;
        let since = |(task, now): (usize, &u64)| now - before.get(task).unwrap_or(&0);
        Some(handed_on.iter().enumerate().map(since).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;

    const INPUT: InputPartition = InputPartition { stream: StreamId(1), partition: 3 };

    fn reading(watermark: i64, handed_on: &[u64]) -> Reading<'_> {
        Reading { input: INPUT, watermark: at(watermark), handed_on, is_stuck: false }
    }

    fn at(micros: i64) -> EventTime {
        EventTime::from_micros(micros)
    }

    #[test]
    fn an_input_stops_at_the_end_of_its_room_and_goes_on_with_half_of_it() {
        let mut pace = Pace::default();
        let input = INPUT;
        let beyond = |reached| Allowed::Beyond(at(reached), 8);
        assert_eq!(pace.room(reading(1, &[]), Allowed::Everything), usize::MAX);
        assert_eq!(pace.room(reading(1, &[]), beyond(0)), 0, "it has begun ahead of all: nobody knows how many came before");
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
        assert_eq!((pace.paused(), pace.room(reading(1, &[0]), beyond(0))), (Vec::new(), 0), "it begins anew");
    }

    #[test]
    fn what_counts_is_handed_on_since_the_task_was_where_all_are() {
        let mut ahead = Ahead::default();
        ahead.note(at(10), &[0, 0]);
        for (watermark, handed_on) in [(20, [5, 1]), (20, [6, 1]), (30, [7, 9]), (40, [8, 20])] {
            ahead.note(at(watermark), &handed_on);
        }
        let now = [9, 20];
        assert_eq!(ahead.events(at(5), &now), None, "how many came before it began is not known");
        for (reached, events) in [(10, 20), (25, 19), (30, 11), (39, 11), (40, 1), (99, 1)] {
            assert_eq!(ahead.events(at(reached), &now), Some(events), "all are at {reached}");
        }
        (100..5_000).for_each(|micros| ahead.note(at(micros), &now));
        assert_eq!((ahead.marks.len(), ahead.events(at(4_999), &now)), (MARKS_MAX, Some(0)));
    }
}
