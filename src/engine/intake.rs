//! The serial front of a task: which events are late, how far the watermark has come, what is held until then, and from where to read again.
//!
//! What becomes of an event depends on the order of arrival within its partition alone, and on idleness; never on when the caller asks for what
//! is let out. So the watermark moves with every event, and what it passes is set aside at once for the next [`Intake::release_each`].

use std::sync::Arc;

use crate::engine::bounds::Bounds;
use crate::engine::counters::Counters;
use crate::engine::decided::{Decided, Notes};
use crate::engine::index::Interest;
use crate::engine::partition::{Partition, Reading};
use crate::engine::position::{Positions, RefusedBy, Rewind};
use crate::engine::reorder::{Reorder, Wanted};
use crate::engine::watermark::{StreamClock, StreamTiming};
use crate::event::{Event, EventTime, ProcessingTime, Schema, StreamId, TimeSpan};

/// What bounds an intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Events that may wait for the watermark; further ones are kept out.
    pub held_events_max: usize,
    /// Far-future times are measured from here.
    pub reference: EventTime,
    /// An event later than the reference instant by more than this is kept out, and moves no watermark.
    pub ahead_max: TimeSpan,
}

/// Where a record stands, and where it and the one after it begin in the source (a file's byte; else the offset).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordPlace {
    pub stream: StreamId,
    pub partition: u32,
    pub offset: u64,
    pub position: u64,
    pub next_position: u64,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Waits for the watermark: the values of its fields were taken.
    Held,
    /// In time, but it matters to no pattern.
    OfNoInterest,
    /// At or before the watermark of its own partition as it stood, or (after idleness) of the task.
    Late {
        watermark: EventTime,
    },
    TooFarAhead,
    /// As many are held as may be.
    HeldFull,
    /// Read again after a restart, and decided before it.
    Passed,
}

#[derive(Debug)]
pub struct Intake {
    schema: Arc<Schema>,
    held_events_max: usize,
    /// What is later is too far ahead.
    latest: EventTime,
    clocks: Vec<StreamClock>,
    partitions: Vec<Partition>,
    /// By stream: (partition, place in `partitions`), ascending.
    by_stream: Vec<Vec<(u32, usize)>>,
    /// Where the partition of the last record is.
    last_place: usize,
    /// Of the partitions; `None`: several may have changed.
    bounds: Option<Bounds>,
    watermark: EventTime,
    /// The watermark as of the last release.
    released: EventTime,
    now: Option<ProcessingTime>,
    reorder: Reorder,
    /// What the watermark has passed, as far as it was taken from those that wait.
    ready: Vec<Wanted>,
    counters: Counters,
    notes_decisions: bool,
    /// What the clock and the order of partitions have decided is told.
    follows: bool,
}

impl Intake {
    /// `timings`: one for each stream of the schema, in its order.
    pub fn new(schema: Arc<Schema>, timings: Vec<StreamTiming>, limits: IntakeLimits) -> Self {
        assert_eq!(schema.streams.len(), timings.len(), "every stream has its timing");
        Self {
            by_stream: vec![Vec::new(); timings.len()],
            clocks: timings.into_iter().map(StreamClock::new).collect(),
            schema,
            held_events_max: limits.held_events_max,
            latest: limits.reference.plus(limits.ahead_max),
            partitions: Vec::new(),
            last_place: 0,
            bounds: None,
            watermark: EventTime::BEGINNING,
            released: EventTime::BEGINNING,
            now: None,
            reorder: Reorder::default(),
            ready: Vec::new(),
            counters: Counters::default(),
            notes_decisions: false,
            follows: false,
        }
    }

    /// From now on, what the records of a partition do not tell by themselves is noted, to be asked for with [`Intake::take_decisions`].
    pub fn note_decisions(&mut self) {
        self.notes_decisions = true;
        self.partitions.iter_mut().for_each(|partition| partition.notes = Some(Notes::default()));
    }

    /// What has been decided since the last call, by stream and partition.
    pub fn take_decisions(&mut self) -> Vec<(StreamId, u32, Decided)> {
        let silences: Vec<_> = self.partitions.iter().map(|partition| self.silence(partition)).collect();
        let decided = |(partition, silence): (&mut Partition, TimeSpan)| {
            let (overtaken, held_full) = partition.notes.as_mut().map(Notes::take).unwrap_or_default();
            (partition.stream, partition.number, Decided { idle: partition.is_idle(), silent_us: silence.micros(), overtaken, held_full })
        };
        self.partitions.iter_mut().zip(silences).map(decided).collect()
    }

    /// Repeats an epoch of which this was noted: until [`Intake::settle`] the clock decides nothing.
    pub fn follow(&mut self, decisions: Vec<(StreamId, u32, Decided)>) {
        (self.follows, self.bounds) = (true, None);
        for (stream, partition, decided) in decisions {
            let place = self.place_of(stream, partition);
            self.partitions[place].told = Some(decided);
        }
    }

    /// The end of a repeated epoch: the watermark and the machine's time that it had.
    pub fn settle(&mut self, watermark: EventTime, now: ProcessingTime) {
        (self.follows, self.bounds) = (false, None);
        self.now = Some(now);
        for partition in &mut self.partitions {
            if let Some(told) = partition.told.take() {
                partition.be_silent(&told, now);
            }
        }
        self.let_out(watermark);
    }

    /// More of a partition is known to be there than has arrived: until the next tick it is not silent.
    pub fn await_more(&mut self, stream: StreamId, partition: u32) {
        let place = self.place_of(stream, partition);
        self.partitions[place].awaited = true;
    }

    /// A partition is live: until it shows an event, or is idle, it holds the watermark back at the beginning of time.
    pub fn open(&mut self, stream: StreamId, partition: u32) {
        let place = self.place_of(stream, partition);
        self.partitions[place].live = true;
        self.bounds = None;
    }

    /// A partition holds nothing back any more.
    pub fn close(&mut self, stream: StreamId, partition: u32) {
        let place = self.place_of(stream, partition);
        self.partitions[place].live = false;
        self.advance();
    }

    /// `position` and `next_position`: where the record and the one after it begin in the source (a file's byte; else the offset). A partition that
    /// the intake has not heard of is opened. Only what is held costs an allocation: the values of its fields are taken, and their memory is left to the
    /// caller, to be used again.
    #[inline]
    pub fn arrive(&mut self, event: &mut Event, interest: &mut Interest, position: u64, next_position: u64) -> Arrival {
        let at = RecordPlace { stream: event.stream, partition: event.partition, offset: event.offset, position, next_position };
        self.arrive_at(at, event, interest)
    }

    /// The same where the event comes from elsewhere than it first stood: its own place orders it, the record's tells how far the source is read.
    #[inline]
    pub fn arrive_at(&mut self, at: RecordPlace, event: &mut Event, interest: &mut Interest) -> Arrival {
        let place = self.place_of(at.stream, at.partition);
        if interest.is_empty() && self.passes(at, event.time, place) {
            self.counters.events += 1;
            return Arrival::OfNoInterest;
        }
        self.take(at, event, interest, place)
    }

    /// What may be held, late or read again. (Apart, so that what [passes](Intake::passes) keeps no registers for it.)
    #[inline(never)]
    fn take(&mut self, at: RecordPlace, event: &mut Event, interest: &mut Interest, place: usize) -> Arrival {
        match self.partitions[place].begin(at.offset) {
            Reading::First => {}
            Reading::FirstSince => self.end_rereading(),
            Reading::Again => return self.arrive_again(at, event, interest, place),
        }
        let arrival = self.judge::<false>(event, interest, place, at);
        let counters = &mut self.counters;
        counters.events += 1;
        match arrival {
            Arrival::Held | Arrival::OfNoInterest | Arrival::Passed => {}
            Arrival::Late { .. } => counters.late += 1,
            Arrival::TooFarAhead => counters.too_far_ahead += 1,
            Arrival::HeldFull => counters.held_full += 1,
        }
        arrival
    }

    /// Reads on over an event of no interest that moves no time, as most do where few matter: so it costs a few comparisons. False if it may be more than that.
    #[inline]
    fn passes(&mut self, at: RecordPlace, time: EventTime, place: usize) -> bool {
        let clock = &self.clocks[usize::from(at.stream.0)];
        let partition = &mut self.partitions[place];
        let is_in_time = time <= partition.newest && time > clock.own(partition) && time > self.watermark;
        let passes = is_in_time && clock.quiet.is_none() && partition.goes_on(at.offset);
        if passes {
            partition.pass(at.offset, at.next_position, self.now);
        }
        passes
    }

    #[cold]
    fn arrive_again(&mut self, at: RecordPlace, event: &mut Event, interest: &mut Interest, place: usize) -> Arrival {
        let was_rereading = self.partitions[place].is_rereading();
        let arrival = self.judge::<true>(event, interest, place, at);
        if was_rereading && !self.partitions[place].is_rereading() {
            self.end_rereading();
        }
        self.counters.events_read_again += 1;
        if arrival == Arrival::Held { arrival } else { Arrival::Passed }
    }

    /// A record that holds no event: the partition is read beyond it, and its silence goes on.
    pub fn skip(&mut self, stream: StreamId, partition: u32, offset: u64, next_position: u64) {
        let place = self.place_of(stream, partition);
        let partition = &mut self.partitions[place];
        let was_rereading = partition.is_rereading();
        partition.begin(offset);
        partition.end(offset, next_position);
        if was_rereading && !partition.is_rereading() {
            self.end_rereading();
        }
    }

    /// Says how far the partition is. From the first such word on, only what is said counts for its stream. What was said is not among the positions.
    pub fn say_watermark(&mut self, stream: StreamId, partition: u32, watermark: EventTime) {
        let place = self.place_of(stream, partition);
        self.clocks[usize::from(stream.0)].said = true;
        let partition = &mut self.partitions[place];
        partition.said = partition.said.max(watermark);
        self.advance();
    }

    /// The same of what was said before the positions were taken, for which nothing is done while the partition is read again, or an epoch repeated.
    pub fn say_watermark_again(&mut self, stream: StreamId, partition: u32, watermark: EventTime) {
        let place = self.place_of(stream, partition);
        if !self.follows && !self.partitions[place].is_rereading() && watermark > self.partitions[place].said {
            self.say_watermark(stream, partition, watermark);
        }
    }

    /// The machine's time, for idleness only.
    pub fn tick(&mut self, now: ProcessingTime) {
        if self.follows {
            return;
        }
        let now = self.now.map_or(now, |before| before.max(now));
        self.now = Some(now);
        for (stream, clock) in self.clocks.iter_mut().enumerate() {
            let mut last = None;
            for &(_, place) in &self.by_stream[stream] {
                let partition = &mut self.partitions[place];
                let sign = partition.silent_since(now);
                partition.idle |= clock.timing.idle_timeout.is_some_and(|timeout| now.since(sign) > timeout);
                last = last.max(Some(sign).filter(|_| partition.live));
            }
            clock.tick(now, last);
        }
        self.advance();
    }

    /// No more will come: the watermark goes to the end of time.
    pub fn end(&mut self) {
        self.let_out(EventTime::END);
    }

    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// The watermark is where it is because of this partition, perhaps among others.
    pub fn holds_back(&self, stream: StreamId, partition: u32) -> bool {
        let bound = |place: usize| self.clocks[usize::from(stream.0)].bound(&self.partitions[place]);
        self.find(stream, partition).and_then(bound).is_some_and(|bound| bound <= self.watermark)
    }

    /// How far a partition is by itself; while it is read again, how far it was.
    pub fn own_watermark(&self, stream: StreamId, partition: u32) -> EventTime {
        let own = |place: usize| self.clocks[usize::from(stream.0)].own_ever(&self.partitions[place]);
        self.find(stream, partition).map_or(EventTime::BEGINNING, own)
    }

    /// Nothing tells how far time is: no partition is live, or each of them is idle.
    pub fn is_idle(&self) -> bool {
        let tells =
            |partition: &Partition| partition.live && (!partition.is_idle() || self.clocks[usize::from(partition.stream.0)].timing.idle_after.is_some());
        !self.partitions.iter().any(tells)
    }

    /// Gives out what the watermark has passed, but no further than `until`, in line order, one by one. Returns up to where: for what comes out, time is there. Where that is before the watermark
    /// ([`Intake::is_behind`]), the rest comes with the next calls.
    pub fn release_each(&mut self, until: EventTime, mut give_out: impl FnMut(Wanted)) -> EventTime {
        let until = until.min(self.watermark).max(self.released);
        if !self.ready.is_empty() {
            self.release_ready(until, &mut give_out);
        }
        while let Some(wanted) = self.reorder.pop(until) {
            self.partitions[wanted.partition].release(wanted.number);
            self.counters.released += 1;
            give_out(wanted);
        }
        self.counters.held_events = self.held_events() as u64;
        self.released = until;
        until
    }

    /// What was taken from those that wait: it is before them.
    #[cold]
    fn release_ready(&mut self, until: EventTime, give_out: &mut impl FnMut(Wanted)) {
        let released = self.ready.partition_point(|wanted| wanted.event.time <= until);
        for wanted in self.ready.drain(..released) {
            self.partitions[wanted.partition].release(wanted.number);
            self.counters.released += 1;
            give_out(wanted);
        }
    }

    /// Up to where what the watermark has passed was given out.
    pub fn released(&self) -> EventTime {
        self.released
    }

    /// The watermark has passed more than was given out.
    pub fn is_behind(&self) -> bool {
        self.released < self.watermark
    }

    /// The time of the next event that is given out; the end of time if none waits.
    pub fn next_event_time(&self) -> EventTime {
        self.ready.first().map(|wanted| wanted.event.time).or_else(|| self.reorder.next_time()).unwrap_or(EventTime::END)
    }

    /// Events that wait for the watermark or the next release.
    pub fn held_events(&self) -> usize {
        self.reorder.len() + self.ready.len()
    }

    /// The newest event time that a partition has shown; the beginning of time if none.
    pub fn newest(&self, stream: StreamId, partition: u32) -> EventTime {
        let known = self.find(stream, partition).map(|place| self.partitions[place].newest);
        known.unwrap_or(EventTime::BEGINNING)
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// As of the last release: what was given out by then counts as decided.
    pub fn positions(&self) -> Positions {
        let name = |stream: usize| self.schema.streams[stream].name.as_str();
        let of_stream = |(stream, places): (usize, &Vec<(u32, usize)>)| {
            let positions = places.iter().map(|(_, place)| self.partitions[*place].position(name(stream), self.silence(&self.partitions[*place])));
            positions.collect::<Vec<_>>()
        };
        Positions { watermark_us: self.released.micros(), partitions: self.by_stream.iter().enumerate().flat_map(of_stream).collect(), upstreams: Vec::new() }
    }

    /// Takes up where the positions were taken, before anything arrives. The source is then read from each partition's rewind place; where there
    /// is none, from its next record. Partitions are opened by the caller; streams that the schema does not have are passed over.
    pub fn restore(&mut self, positions: &Positions) {
        assert!(self.watermark == EventTime::BEGINNING && self.held_events() == 0, "positions are restored before anything arrives");
        self.watermark = EventTime::from_micros(positions.watermark_us);
        self.released = self.watermark;
        for position in &positions.partitions {
            if let Some(stream) = self.schema.find(&position.stream) {
                let place = self.find(stream, position.partition).unwrap_or_else(|| self.add(stream, position.partition, Openness::Closed));
                self.partitions[place].restore(position);
            }
        }
        self.bounds = None;
    }

    /// `AGAIN`: what is decided was decided before, when the record came first.
    fn judge<const AGAIN: bool>(&mut self, event: &mut Event, interest: &mut Interest, place: usize, at: RecordPlace) -> Arrival {
        let RecordPlace { offset, position, next_position, .. } = at;
        let clock = &mut self.clocks[usize::from(at.stream.0)];
        let partition = &mut self.partitions[place];
        // What was decided when it came first stays so, whatever the limits are by now.
        let refused = if AGAIN { partition.was_refused(offset, event.time) } else { None };
        let is_ahead = if AGAIN { refused == Some(RefusedBy::AheadMax) } else { event.time > self.latest };
        if is_ahead {
            partition.end(offset, next_position);
            if !AGAIN {
                partition.refuse(offset, RefusedBy::AheadMax, self.latest);
            }
            return Arrival::TooFarAhead;
        }
        let own = clock.own(partition);
        let is_told_overtaken = !AGAIN && partition.told.as_ref().is_some_and(|told| told.overtaken.contains(offset));
        let was_overtaken = is_told_overtaken || refused == Some(RefusedBy::Overtaken);
        let is_overtaken = event.time > own && (event.time <= self.watermark || was_overtaken);
        let watermark = own.max(self.watermark);
        let newest = partition.newest;
        partition.newest = newest.max(event.time);
        let mut moves = partition.newest > newest;
        if !AGAIN {
            moves |= partition.idle;
            partition.sign(self.now);
            if clock.quiet.take().is_some() {
                moves = true;
                // That was so for all partitions of the stream.
                self.bounds = None;
            }
        }
        // The last record that is read again may leave the partition idle, as it was: that lets time go on only once the record's event is held again.
        let ends_rereading = partition.end(offset, next_position);
        // What a closed partition shows is no sign of how far time is; and others may have been opened since time went on last, which must not get ahead of this event.
        if moves && partition.live && !ends_rereading {
            self.advance_by(place);
        }
        let partition = &mut self.partitions[place];
        if is_overtaken && !AGAIN && event.time > self.released {
            partition.refuse(offset, RefusedBy::Overtaken, EventTime::BEGINNING);
        }
        let mut notes = partition.notes.as_mut().filter(|_| !AGAIN);
        if is_overtaken && let Some(notes) = &mut notes {
            notes.overtaken(offset);
        }
        if event.time <= own || is_overtaken {
            return Arrival::Late { watermark };
        }
        assert!(event.time > self.watermark, "an event that is not late is after the watermark");
        if interest.is_empty() {
            notes.into_iter().for_each(Notes::of_no_interest);
            return Arrival::OfNoInterest;
        }
        if refused == Some(RefusedBy::HeldMax) {
            return Arrival::HeldFull;
        }
        if !AGAIN && self.is_full_for(place, offset) {
            let partition = &mut self.partitions[place];
            partition.refuse(offset, RefusedBy::HeldMax, EventTime::BEGINNING);
            partition.notes.iter_mut().for_each(|notes| notes.held_full(offset));
            return Arrival::HeldFull;
        }
        let partition = &mut self.partitions[place];
        partition.notes.iter_mut().for_each(Notes::held);
        let number = partition.hold(Rewind { offset, position, newest_us: newest.micros() });
        self.reorder.hold(event, interest, place, number);
        self.counters.held_events += 1;
        Arrival::Held
    }

    /// Any partition may have changed.
    fn advance(&mut self) {
        self.bounds = None;
        self.advance_by(0);
    }

    /// Time goes as far as the partitions let it, of which that one has changed, and the others as far as [is known](Intake::bounds).
    fn advance_by(&mut self, place: usize) {
        let bounds = match self.bounds.take() {
            Some(mut bounds) => {
                bounds.set(place, self.bound_of(&self.partitions[place]));
                bounds
            }
            None => self.all_bounds(),
        };
        // Where nothing holds it back, nothing says how far it is either.
        if let Some(least) = bounds.least() {
            self.let_out(least);
        }
        self.bounds = Some(bounds);
    }

    fn all_bounds(&self) -> Bounds {
        Bounds::of(self.partitions.iter().map(|partition| self.bound_of(partition)))
    }

    /// How far the partition holds time back; `None`: not at all.
    fn bound_of(&self, partition: &Partition) -> Option<EventTime> {
        let clock = &self.clocks[usize::from(partition.stream.0)];
        // Where idleness is told, it shows in the watermark that is told.
        if self.follows { partition.live.then(|| clock.own(partition)) } else { clock.bound(partition) }
    }

    /// A partition is where it was. Time is at least where all of them are by themselves, also where each is idle by now: a run without a restart has come there when their
    /// events came, and a repetition of this one does.
    fn end_rereading(&mut self) {
        self.advance();
        let live = self.partitions.iter().filter(|partition| partition.live);
        if let Some(least) = live.map(|partition| self.clocks[usize::from(partition.stream.0)].own(partition)).min() {
            self.let_out(least);
        }
    }

    fn let_out(&mut self, watermark: EventTime) {
        self.watermark = self.watermark.max(watermark);
    }

    /// There is no room for this record's event.
    fn is_full_for(&mut self, place: usize, offset: u64) -> bool {
        if self.follows {
            return self.partitions[place].told.as_ref().is_some_and(|told| told.held_full.contains(offset));
        }
        self.is_full()
    }

    /// As many events wait for the watermark as may. What it has passed is counted out now: how often the caller takes it out must not matter.
    fn is_full(&mut self) -> bool {
        if self.reorder.len() < self.held_events_max {
            return false;
        }
        self.ready.extend(std::iter::from_fn(|| self.reorder.pop(self.watermark)));
        self.reorder.len() >= self.held_events_max
    }

    /// As far as it matters.
    fn silence(&self, partition: &Partition) -> TimeSpan {
        if self.clocks[usize::from(partition.stream.0)].timing.heeds_silence() { partition.silence(self.now) } else { TimeSpan::ZERO }
    }

    fn find(&self, stream: StreamId, partition: u32) -> Option<usize> {
        let of_stream = &self.by_stream[usize::from(stream.0)];
        let place = of_stream.binary_search_by_key(&partition, |(number, _)| *number).ok()?;
        Some(of_stream[place].1)
    }

    #[inline]
    fn place_of(&mut self, stream: StreamId, partition: u32) -> usize {
        // Records come in batches of one partition.
        let last = self.last_place;
        if self.partitions.get(last).is_some_and(|last| last.stream == stream && last.number == partition) {
            return last;
        }
        self.last_place = self.look_up(stream, partition);
        self.last_place
    }

    fn look_up(&mut self, stream: StreamId, partition: u32) -> usize {
        self.find(stream, partition).unwrap_or_else(|| self.add(stream, partition, Openness::Live))
    }

    fn add(&mut self, stream: StreamId, number: u32, openness: Openness) -> usize {
        let place = self.partitions.len();
        let mut partition = Partition::new(stream, number);
        partition.live = openness == Openness::Live;
        partition.last_sign = self.now;
        partition.notes = self.notes_decisions.then(Notes::default);
        self.partitions.push(partition);
        self.bounds = None;
        let of_stream = &mut self.by_stream[usize::from(stream.0)];
        let after = of_stream.partition_point(|(other, _)| *other < number);
        of_stream.insert(after, (number, place));
        place
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Openness {
    Live,
    Closed,
}

#[cfg(test)]
mod tests;
