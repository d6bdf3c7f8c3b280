//! The recent events of one key that the windows of its pattern still count.
//!
//! By window a queue of (time, value) in line order; the value is that of the field the window measures, null for a count. What is out for good leaves the
//! queues when an event comes that counts, and all of it once the last event is out: a key without recent events keeps nothing.
//!
//! Windows are asked for lazily, and answered once for each event at hand.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::event::binary::{Malformed, Reader, write_signed, write_unsigned, write_value};
use crate::event::{EventTime, SharedEvent, Value};
use crate::pattern::{Measure, Moment, NothingChosen, Window, WindowId, Windows, at_path};

#[derive(Clone, Debug)]
pub(super) struct WindowedEvents {
    /// By window.
    queues: Box<[VecDeque<Entry>]>,
    /// From then on none of them counts, if no other comes; the end of time: there is none.
    end: EventTime,
}

#[derive(Clone, Debug)]
struct Entry {
    time: EventTime,
    value: Value,
}

/// The windows of a key as of an instant.
pub(super) struct AsOf<'a> {
    windows: &'a [Window],
    events: Option<&'a WindowedEvents>,
    at: EventTime,
    answers: &'a RefCell<Answers>,
}

/// What was asked for already; memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Option<Value>>);

impl WindowedEvents {
    pub(super) fn new(windows: &[Window]) -> Self {
        Self { queues: windows.iter().map(|_| VecDeque::new()).collect(), end: EventTime::END }
    }

    /// Whether some window counts the event; notes which.
    pub(super) fn any_counts(windows: &[Window], event: &SharedEvent, moment: Moment<'_>, counting: &mut Vec<usize>) -> bool {
        counting.clear();
        let counts = |window: &Window| window.events.holds(event.stream, event.fields(), &NothingChosen, moment);
        counting.extend((0..windows.len()).filter(|&place| counts(&windows[place])));
        !counting.is_empty()
    }

    /// Takes the event into the windows that count it. What is out by then leaves all of them.
    pub(super) fn take(&mut self, windows: &[Window], event: &SharedEvent, counting: &[usize]) {
        for (window, queue) in windows.iter().zip(&mut self.queues) {
            if queue.back().is_some_and(|last| window.span.end(last.time) <= event.time) {
                queue.clear();
            }
            let first = window.span.first(event.time);
            while queue.front().is_some_and(|entry| entry.time < first) {
                queue.pop_front();
            }
        }
        for &place in counting {
            let value = match &windows[place].measure {
                Measure::Count => Value::Null,
                Measure::Aggregate { path, .. } => at_path(event.fields(), path).clone(),
            };
            self.queues[place].push_back(Entry { time: event.time, value });
        }
        self.end = self.last_end(windows);
    }

    /// Lets go of everything once the last event is out at the instant. Not of one event before another: how often this is asked depends on batches, which must not
    /// show in the bytes.
    pub(super) fn expire(&mut self, instant: EventTime) {
        if self.end <= instant {
            self.queues.iter_mut().for_each(|queue| *queue = VecDeque::new());
            self.end = EventTime::END;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// When the last of them is out; the end of time if there is none.
    pub(super) fn end(&self) -> EventTime {
        self.end
    }

    fn last_end(&self, windows: &[Window]) -> EventTime {
        let ends = windows.iter().zip(&self.queues).filter_map(|(window, queue)| Some(window.span.end(queue.back()?.time)));
        ends.max().unwrap_or(EventTime::END)
    }

    /// By window: how many, then each time (the first whole, then differences) and value.
    pub(super) fn encode(&self, windows: &[Window], out: &mut Vec<u8>) {
        for (window, queue) in windows.iter().zip(&self.queues) {
            write_unsigned(queue.len() as u64, out);
            let mut before = 0;
            for entry in queue {
                write_signed(entry.time.micros().wrapping_sub(before), out);
                before = entry.time.micros();
                if window.measure != Measure::Count {
                    write_value(&entry.value, out);
                }
            }
        }
    }

    pub(super) fn decode(windows: &[Window], reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut events = Self::new(windows);
        for (window, queue) in windows.iter().zip(&mut events.queues) {
            let mut before = 0_i64;
            for _ in 0..reader.count("events of a window")? {
                before = before.wrapping_add(reader.signed("time")?);
                let value = if window.measure == Measure::Count { Value::Null } else { reader.value()? };
                queue.push_back(Entry { time: EventTime::from_micros(before), value });
            }
        }
        events.end = events.last_end(windows);
        Ok(events)
    }
}

impl<'a> AsOf<'a> {
    pub(super) fn new(windows: &'a [Window], events: Option<&'a WindowedEvents>, at: EventTime, answers: &'a RefCell<Answers>) -> Self {
        let mut known = answers.borrow_mut();
        known.0.clear();
        known.0.resize(windows.len(), None);
        drop(known);
        Self { windows, events, at, answers }
    }

    fn answer(&self, id: WindowId, faults: &Cell<u64>) -> Value {
        let (window, place) = (&self.windows[usize::from(id.0)], usize::from(id.0));
        let empty = VecDeque::new();
        let queue = self.events.map_or(&empty, |events| &events.queues[place]);
        let is_over = queue.back().is_none_or(|last| window.span.end(last.time) <= self.at);
        let from = if is_over { queue.len() } else { queue.partition_point(|entry| entry.time < window.span.first(self.at)) };
        window.measure.of(queue.range(from..).map(|entry| entry.value.clone()), faults)
    }
}

impl Windows for AsOf<'_> {
    fn value(&self, id: WindowId, faults: &Cell<u64>) -> Value {
        let place = usize::from(id.0);
        let known = self.answers.borrow().0[place].clone();
        known.unwrap_or_else(|| {
            let value = self.answer(id, faults);
            self.answers.borrow_mut().0[place] = Some(value.clone());
            value
        })
    }
}
