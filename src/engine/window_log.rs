//! The recent events of one key, kept once for all windows over them, and what windows make of them without looking at all of them.
//!
//! A log is a queue of times and, where a field is measured, one of its values, in line order. A window over it is a *view*: a stretch of the log from a first to a last entry, both of
//! which only go forward as time does. So what is made of a view can run along: what comes in at its end is added, what falls out at its beginning taken away, each once. That is the
//! sliding window of stream processing; for what cannot be taken away there are other ways: the least and the most come from a queue of those that can still become it (the
//! "ascending minima" of the folklore; Tangwongsan, Hirzel, Schneider: "In-order sliding-window aggregation in worst-case constant time", 2021, compares such ways), and how many differ
//! from where each value occurred before and occurs again.
//!
//! | file | holds |
//! |---|---|
//! | `running` | what runs along with a view, and the walk where nothing does |
//! | `sum` | sums that equal those of a walk to the digit |
//! | `occurrences` | which entries have equal values |
//! | `segments` | how a log lies in a store |
//!
//! Invariants: an answer is what [`crate::pattern::Measure::of`] gives for the entries that are in. What is kept, and its bytes, depend on the plan and on the events taken, and on nothing
//! that was asked. All else ([`State`]) is made anew from the entries where it is missing, and is not stored.
//!
//! Cost: an event and an answer take amortised constant time, beside the search for where a view begins. These walk all of the view: `collect`; sums and averages of floats, which are
//! defined by the order of adding; sums whose digits may not all be kept on the way; deadlines before what a view has come to. See [`sum`] for what becomes of decimals of both signs.
//!
//! Memory: a log takes 88 bytes, and of one event 8 more, or 32 where a value is kept. A few entries of a view are looked at one by one, so most keys never have a state.

mod occurrences;
mod running;
mod segments;
mod sum;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::engine::window_log::occurrences::Occurrences;
use crate::engine::window_log::running::{Running, walk};
use crate::engine::window_log::segments::Segments;
use crate::event::{EventTime, SharedEvent, Value};
use crate::pattern::{Aggregate, FieldPath, WindowSpan, at_path};

pub(super) use segments::LogPart;

/// So many entries are looked at one by one: that costs less than to run along. (In unit tests fewer, so that most views run.)
const FEW: usize = if cfg!(test) { 8 } else { 32 };

/// The same where each is compared with those before it.
const FEW_COMPARED: usize = if cfg!(test) { 8 } else { 12 };

/// What of its events a log keeps, and what is asked of them: the same for all keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LogPlan {
    /// The field whose values are kept; `None`: events are only counted.
    pub path: Option<FieldPath>,
    /// Each distinct one once. Not empty.
    pub views: Vec<View>,
}

/// A window over the events of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    pub span: WindowSpan,
    /// Of the log's field, which there is then; `None`: how many events.
    pub aggregate: Option<Aggregate>,
}

/// Until when events are in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum AsOf {
    /// All that have come so far, the last at this time or before.
    Event(EventTime),
    /// Those before this time.
    Deadline(EventTime),
}

#[derive(Clone, Debug)]
pub(super) struct WindowLog {
    /// Never going back.
    times: VecDeque<EventTime>,
    /// One for each time, or none at all where events are only counted.
    values: VecDeque<Value>,
    /// From then on none of them is in any view, if no other comes; the end of time: there is none.
    end: EventTime,
    /// Only where there were more than a few entries, or where there is something to remember.
    state: Option<Box<State>>,
    /// Only where the store has parts of it apart.
    segments: Option<Box<Segments>>,
}

/// What follows from the entries, and is kept so as not to be found out again. Entries have numbers here, which go on as entries leave.
#[derive(Clone, Debug)]
struct State {
    /// The number of the first entry.
    front: u64,
    /// By view: where the last chain of a session begins. Of other views it means nothing.
    chains: Box<[u64]>,
    /// By view: what was asked for where it held more than a few.
    running: Box<[Option<Box<Running>>]>,
    /// Where a view that counts different values runs.
    occurrences: Option<Occurrences>,
    /// By view, what became a fault (and so null) since the last event was taken: asked again it is none.
    faulted: BTreeSet<(usize, AsOf)>,
    /// By view, what was walked for last since the last event was taken.
    walked: BTreeMap<usize, (AsOf, Value)>,
}

/// The values of entries by number.
#[derive(Clone, Copy)]
struct Entries<'a> {
    front: u64,
    values: &'a VecDeque<Value>,
}

impl View {
    fn is_session(&self) -> bool {
        matches!(self.span, WindowSpan::Session(_))
    }
}

impl LogPlan {
    /// What a view is of a log without events, at any time.
    pub(super) fn of_nothing(&self, view: usize) -> Value {
        WindowLog::new().answer(self, view, AsOf::Event(EventTime::BEGINNING), &Cell::new(0))
    }
}

impl WindowLog {
    /// Without events.
    pub(super) fn new() -> Self {
        Self { times: VecDeque::new(), values: VecDeque::new(), end: EventTime::END, state: None, segments: None }
    }

    /// Takes an event that counts; they come in the order of the line (times never go back). What no view will count any more leaves.
    pub(super) fn take(&mut self, plan: &LogPlan, event: &SharedEvent) {
        let time = event.time;
        self.leave(plan, time);
        // Most logs hold one event, and a queue would begin with room for four.
        if self.times.capacity() == 0 {
            self.times.reserve_exact(1);
            self.values.reserve_exact(usize::from(plan.path.is_some()));
        }
        self.times.push_back(time);
        if let Some(path) = &plan.path {
            self.values.push_back(at_path(event.fields(), path).clone());
        }
        self.end = last_end(plan, time);
        if let Some(state) = &mut self.state {
            state.faulted.clear();
            state.walked.clear();
            if let Some(occurrences) = &mut state.occurrences {
                occurrences.push(self.values.back().expect("a value was just taken"));
            }
        }
    }

    /// What is out of all views as of the time of an event leaves: of a session, once its chain is broken.
    fn leave(&mut self, plan: &LogPlan, time: EventTime) {
        let Some(&last) = self.times.back() else { return };
        if self.times.len() >= FEW && plan.views.iter().any(View::is_session) {
            self.state_made(plan);
        }
        let (mut first, mut chain) = (EventTime::END, self.times.len());
        let mut are_all_out = true;
        for (place, view) in plan.views.iter().enumerate() {
            let is_out = view.span.end(last) <= time;
            are_all_out &= is_out;
            match (view.is_session(), is_out) {
                (true, true) => {
                    if let Some(state) = &mut self.state {
                        state.chains[place] = state.front + self.times.len() as u64;
                    }
                }
                (true, false) => chain = chain.min(self.chain(view.span, place)),
                (false, true) => {}
                (false, false) => first = first.min(view.span.first(time)),
            }
        }
        if are_all_out {
            return self.clear();
        }
        let mut gone = 0;
        while gone < chain && self.times[gone] < first {
            gone += 1;
        }
        if gone > 0 {
            if let Some(state) = &mut self.state {
                state.leave(gone, &self.values);
            }
            if let Some(segments) = &mut self.segments {
                segments.leave(gone);
            }
            pop_front(&mut self.times, gone);
            pop_front(&mut self.values, gone);
        }
    }

    /// Memory for a few stays, for the event that comes.
    fn clear(&mut self) {
        (self.state, self.end) = (None, EventTime::END);
        if let Some(segments) = &mut self.segments {
            segments.leave(self.times.len());
        }
        if self.times.capacity() > FEW {
            (self.times, self.values) = (VecDeque::new(), VecDeque::new());
        } else {
            self.times.clear();
            self.values.clear();
        }
    }

    /// Lets go of everything once the last event is out of all views at the instant. Not of one event before another: how often this is asked depends on batches, which must not show in the bytes.
    pub(super) fn expire(&mut self, instant: EventTime) {
        if self.end <= instant {
            self.clear();
            *self = Self { segments: self.segments.take(), ..Self::new() };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Lets go of everything. False if nothing has to be [told](WindowLog::tell) of what was there.
    pub(super) fn forget(&mut self) -> bool {
        self.clear();
        self.segments.is_some()
    }

    /// When the last event is out of all views; the end of time if there is none.
    pub(super) fn end(&self) -> EventTime {
        self.end
    }

    /// Of the entries that are there: what left when an event was taken is in as of no deadline any more. Times of [`AsOf::Event`] never go back, and none is before the last event.
    pub(super) fn answer(&mut self, plan: &LogPlan, view: usize, as_of: AsOf, faults: &Cell<u64>) -> Value {
        if self.times.len() > FEW && plan.views[view].is_session() {
            self.state_made(plan);
        }
        let range = self.range(plan.views[view].span, view, as_of);
        let Some(aggregate) = plan.views[view].aggregate else { return Value::Int(range.len() as i64) };
        if self.state.as_ref().is_some_and(|state| state.faulted.contains(&(view, as_of))) {
            return Value::Null;
        }
        let found = Cell::new(0);
        let few = if aggregate == Aggregate::Distinct { FEW_COMPARED } else { FEW };
        let value = if range.len() <= few {
            walk(aggregate, self.values.range(range), &found)
        } else {
            self.state_made(plan);
            let state = self.state.as_mut().expect("it was just made");
            state.answer(aggregate, (view, as_of), range, &self.values, &found)
        };
        if found.get() > 0 {
            let faulted = &mut self.state_made(plan).faulted;
            if let AsOf::Event(_) = as_of {
                // These never go back.
                faulted.retain(|(of, at)| *of != view || matches!(at, AsOf::Deadline(_)));
            }
            faulted.insert((view, as_of));
            faults.set(faults.get() + found.get());
        }
        value
    }

    fn state_made(&mut self, plan: &LogPlan) -> &mut State {
        self.state.get_or_insert_with(|| Box::new(State::new(plan, &self.times)))
    }

    /// The places of the entries that are in.
    fn range(&self, span: WindowSpan, view: usize, as_of: AsOf) -> Range<usize> {
        let (at, end) = match as_of {
            AsOf::Event(at) => (at, self.times.len()),
            AsOf::Deadline(at) if self.times.back().is_some_and(|last| *last < at) => (at, self.times.len()),
            AsOf::Deadline(at) => (at, self.times.partition_point(|time| *time < at)),
        };
        let Some(last) = end.checked_sub(1) else { return 0..0 };
        if span.end(self.times[last]) <= at {
            return end..end;
        }
        if !matches!(span, WindowSpan::Session(_)) {
            // Mostly all that is there is in: what is out of the longest view has left.
            let first = span.first(at);
            let begin = if self.times[0] >= first { 0 } else { self.times.partition_point(|time| *time < first) };
            return begin.min(end)..end;
        }
        let last_chain = self.chain(span, view);
        if last_chain < end { last_chain..end } else { chain_before(&self.times, end, span)..end }
    }

    /// Where the last chain of a session begins.
    fn chain(&self, span: WindowSpan, view: usize) -> usize {
        match &self.state {
            Some(state) => (state.chains[view] - state.front) as usize,
            None => chain_before(&self.times, self.times.len(), span),
        }
    }
}

impl State {
    fn new(plan: &LogPlan, times: &VecDeque<EventTime>) -> Self {
        let chain = |view: &View| if view.is_session() { chain_before(times, times.len(), view.span) as u64 } else { 0 };
        Self {
            front: 0,
            chains: plan.views.iter().map(chain).collect(),
            running: plan.views.iter().map(|_| None).collect(),
            occurrences: None,
            faulted: BTreeSet::new(),
            walked: BTreeMap::new(),
        }
    }

    /// So many entries, which are still there, are about to leave.
    fn leave(&mut self, gone: usize, values: &VecDeque<Value>) {
        let entries = Entries { front: self.front, values };
        self.front += gone as u64;
        for running in self.running.iter_mut().flatten() {
            running.leave(self.front, entries, self.occurrences.as_ref());
        }
        if let Some(occurrences) = &mut self.occurrences {
            values.range(..gone).for_each(|value| occurrences.pop(value));
        }
    }

    /// Of more than a few.
    fn answer(&mut self, aggregate: Aggregate, asked: (usize, AsOf), range: Range<usize>, values: &VecDeque<Value>, faults: &Cell<u64>) -> Value {
        let (view, as_of) = asked;
        let numbers = self.front + range.start as u64..self.front + range.end as u64;
        if aggregate == Aggregate::Distinct && self.occurrences.is_none() {
            self.occurrences = Some(Occurrences::of(self.front, values));
        }
        if aggregate != Aggregate::Collect {
            let running = self.running[view].get_or_insert_with(|| Box::new(Running::new(aggregate, numbers.start)));
            let entries = Entries { front: self.front, values };
            if running.advance(numbers.clone(), entries, self.occurrences.as_ref())
                && let Some(value) = running.answer(aggregate, entries, faults)
            {
                return value;
            }
        }
        if let Some((_, value)) = self.walked.get(&view).filter(|(at, _)| *at == as_of) {
            return value.clone();
        }
        let value = match &self.occurrences {
            Some(occurrences) if aggregate == Aggregate::Distinct => Value::Int(occurrences.different(numbers) as i64),
            _ => walk(aggregate, values.range(range), faults),
        };
        self.walked.insert(view, (as_of, value.clone()));
        value
    }
}

impl<'a> Entries<'a> {
    fn value(self, number: u64) -> &'a Value {
        &self.values[(number - self.front) as usize]
    }
}

/// So many leave, of a queue that may have none.
fn pop_front<T>(queue: &mut VecDeque<T>, gone: usize) {
    // One for each that comes, mostly: `drain` takes a hundred instructions.
    if gone == 1 {
        queue.pop_front();
    } else {
        queue.drain(..gone.min(queue.len()));
    }
}

/// Where the chain of a session begins whose last entry is the one before `end`, which there is.
fn chain_before(times: &VecDeque<EventTime>, end: usize, span: WindowSpan) -> usize {
    (1..end).rev().find(|&place| span.end(times[place - 1]) <= times[place]).unwrap_or(0)
}

/// When an event is out of all views.
fn last_end(plan: &LogPlan, time: EventTime) -> EventTime {
    plan.views.iter().map(|view| view.span.end(time)).max().unwrap_or(EventTime::END)
}
