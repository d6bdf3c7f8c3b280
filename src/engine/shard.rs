//! A part of the keys: which line an event stands in, its step there, deadlines, and what changed.
//!
//! A shard is given all events, in line order, and takes those whose keys are its own: the xxh3 hash of a key's bytes, modulo the number of
//! shards. Shards share nothing but the program, and may be stepped side by side. Each keeps its matches in the order of the output; so all together are merged by a stable sort
//! on [`crate::engine::Match::order`].

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::{DecidedKind, Limits, Runs, Stepped, Watch};
use crate::engine::compiled::{Compiled, CompiledPattern, Keying, RouteSource, of_event};
use crate::engine::counters::Counters;
use crate::engine::keys::{Keys, SlotId};
use crate::engine::matched::Match;
use crate::engine::snapshot::{Change, DamagedState, Restored, entry_key, split_entry_key};
use crate::engine::windowed::{Answers, AsOf, WindowedEvents};
use crate::event::binary::{Malformed, Reader, write_bytes};
use crate::event::{Event, EventTime};
use crate::pattern::Moment;

#[derive(Debug)]
pub struct Shard {
    compiled: Arc<Compiled>,
    lines: Lines,
    hand: Hand,
    /// Everything at or before it is decided.
    watermark: EventTime,
}

/// The keys of the event at hand.
#[derive(Debug, Default)]
struct Hand {
    /// By keying of the stream.
    keys: Vec<KeyAtHand>,
    /// Events so far; tells which one a key is of.
    event_number: u64,
    /// The lines of the pattern at hand in which the event stands: a keying, and as which sources.
    stands: Vec<(usize, u64)>,
}

/// The lines of all patterns.
#[derive(Debug)]
struct Lines {
    part: Part,
    limits: Limits,
    /// Whoever watches the runs of all patterns.
    watch: Option<Arc<dyn Watch>>,
    /// By pattern.
    keys: Vec<Keys>,
    stepped: Stepped,
    /// Memory that is used again: the windows that count the event at hand, and what was asked of them.
    counting: Vec<usize>,
    answers: RefCell<Answers>,
    counters: Counters,
    faults: Cell<u64>,
    /// What every shard evaluates is counted by one; the others count it here.
    faults_elsewhere: Cell<u64>,
}

/// Which part of the keys.
#[derive(Clone, Copy, Debug)]
struct Part {
    shard: usize,
    shards: usize,
}

#[derive(Clone, Debug, Default)]
struct KeyAtHand {
    event_number: u64,
    bytes: Vec<u8>,
    whose: Whose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Whose {
    Ours,
    Others,
    /// A part of it is null.
    #[default]
    Nobody,
}

impl Shard {
    /// The part `shard` of `shards`, counted from 0.
    pub fn new(compiled: Arc<Compiled>, shard: usize, shards: usize, limits: Limits) -> Self {
        assert!(shard < shards, "shards are counted from 0");
        let keyings = compiled.streams.iter().map(|stream| stream.keyings.len()).max().unwrap_or(0);
        let keys = compiled.patterns.iter().map(|_| Keys::default()).collect();
        let part = Part { shard, shards };
        Self {
            lines: Lines {
                part,
                limits,
                watch: None,
                keys,
                stepped: Stepped::default(),
                counting: Vec::new(),
                answers: RefCell::default(),
                counters: Counters::default(),
                faults: Cell::new(0),
                faults_elsewhere: Cell::new(0),
            },
            compiled,
            hand: Hand { keys: vec![KeyAtHand::default(); keyings], ..Hand::default() },
            watermark: EventTime::BEGINNING,
        }
    }

    /// Steps the events, which stand in line order and after the watermark of the call before, then decides everything up to `watermark`. What comes
    /// out is added to `matches`, in the order of the output.
    pub fn apply(&mut self, events: &[Arc<Event>], watermark: EventTime, matches: &mut Vec<Match>) {
        let before = matches.len();
        for event in events {
            assert!(event.time > self.watermark && event.time <= watermark, "events come between two watermarks");
            self.step(event, matches);
        }
        self.watermark = watermark;
        for place in 0..self.compiled.patterns.len() {
            self.lines.expire(place, &self.compiled.patterns[place], watermark, matches);
        }
        if watermark == EventTime::END {
            self.lines.keys.iter_mut().for_each(|keys| keys.end(&mut self.lines.counters));
        }
        // Patterns and keys have been decided one after the other.
        matches[before..].sort_by(|one, other| one.order().cmp(&other.order()));
        self.lines.counters.faults = self.lines.faults.get();
    }

    pub fn counters(&self) -> &Counters {
        &self.lines.counters
    }

    /// Tells what events and time do to runs from now on.
    pub(super) fn watch(&mut self, watch: Arc<dyn Watch>) {
        self.lines.watch = Some(watch);
    }

    /// Adds what changed since the last call, one entry for each key of a pattern, in order of the entries' keys. A key that came and went
    /// since then tells nothing.
    pub fn take_changes(&mut self, out: &mut Vec<Change>) {
        let before = out.len();
        for (compiled, keys) in self.compiled.patterns.iter().zip(&mut self.lines.keys) {
            keys.take_changed(&mut self.lines.counters, |key, slot| {
                let value = slot.map(|slot| encode_state(compiled, &slot.runs, slot.windowed.as_deref()));
                out.push(Change { key: entry_key(compiled.pattern.version, key), value });
            });
        }
        out[before..].sort_unstable_by(|one, other| one.key.cmp(&other.key));
    }

    /// Lets the changes go unwritten, where nothing is kept.
    pub fn discard_changes(&mut self) {
        self.lines.keys.iter_mut().for_each(|keys| keys.discard_changed(&mut self.lines.counters));
    }

    /// Takes up an entry of the store, if it is this shard's.
    ///
    /// # Errors
    ///
    /// The entry was not written by [`Shard::take_changes`].
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<Restored, DamagedState> {
        let (version, key) = split_entry_key(key)?;
        let Some(place) = self.compiled.find(version) else { return Ok(Restored::UnknownPattern(version)) };
        if !self.lines.part.owns(key) {
            return Ok(Restored::OtherShard);
        }
        let compiled = &self.compiled.patterns[place];
        let damaged = |reason| DamagedState { pattern: compiled.pattern.name.clone(), reason };
        let (runs, windowed) = decode_state(compiled, value).map_err(damaged)?;
        self.lines.keys[place].restore(key, runs, windowed.map(Box::new), &mut self.lines.counters);
        Ok(Restored::Taken)
    }

    /// No key, run, timer or untold change is left.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.lines.keys.iter().all(Keys::is_bare)
    }

    fn step(&mut self, event: &Arc<Event>, matches: &mut Vec<Match>) {
        let Self { compiled, lines, hand, .. } = self;
        hand.event_number += 1;
        let stream = &compiled.streams[usize::from(event.stream.0)];
        let mut has_null = false;
        for route in &stream.routes {
            hand.stands.clear();
            for source in &route.sources {
                if !lines.fits(source, event) {
                    continue;
                }
                match hand.find(source.keying, &stream.keyings[source.keying], event, lines) {
                    Whose::Ours => hand.stand(source),
                    Whose::Others => {}
                    Whose::Nobody => has_null = true,
                }
            }
            for &(keying, stands_as) in &hand.stands {
                lines.step(route.pattern, &compiled.patterns[route.pattern], &hand.keys[keying].bytes, Arrival { event, stands_as }, matches);
            }
        }
        if has_null && lines.part.counts_for_all() {
            lines.counters.null_keys += 1;
        }
    }
}

impl Hand {
    /// Finds the event's key, unless another pattern has asked for it before.
    fn find(&mut self, place: usize, keying: &Keying, event: &Event, lines: &Lines) -> Whose {
        let key = &mut self.keys[place];
        if key.event_number != self.event_number {
            key.event_number = self.event_number;
            key.whose = match keying.write(event, lines.faults_of_all(), &mut key.bytes) {
                false => Whose::Nobody,
                true if lines.part.owns(&key.bytes) => Whose::Ours,
                true => Whose::Others,
            };
        }
        key.whose
    }
}

impl Hand {
    /// Notes that the event stands in the line of the source's key.
    fn stand(&mut self, source: &RouteSource) {
        let key = &self.keys[source.keying].bytes;
        match self.stands.iter_mut().find(|(keying, _)| self.keys[*keying].bytes == *key) {
            Some((_, stands_as)) => *stands_as |= source.bit,
            None => self.stands.push((source.keying, source.bit)),
        }
    }
}

/// An event that comes in a line, and the sources, a bit each, as which it stands there.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    event: &'a Arc<Event>,
    stands_as: u64,
}

impl Lines {
    fn fits(&self, source: &RouteSource, event: &Event) -> bool {
        source.filter.as_ref().is_none_or(|filter| filter.holds(&of_event(event, self.faults_of_all())))
    }

    /// For what every shard evaluates.
    fn faults_of_all(&self) -> &Cell<u64> {
        if self.part.counts_for_all() { &self.faults } else { &self.faults_elsewhere }
    }

    /// The event comes in the line of a key.
    fn step(&mut self, place: usize, compiled: &CompiledPattern, key: &[u8], arrival: Arrival<'_>, matches: &mut Vec<Match>) {
        let Arrival { event, stands_as } = arrival;
        self.expire(place, compiled, event.time, matches);
        let windows = compiled.pattern.windows.as_slice();
        let counts = WindowedEvents::any_counts(windows, event, Moment { stands_as, ..Moment::plain(&self.faults) }, &mut self.counting);
        let keys = &mut self.keys[place];
        let known = keys.find(key);
        let has_runs = known.is_some_and(|id| !keys.at(id).runs.is_empty());
        if !has_runs && !counts && self.watch.is_none() {
            let windowed = known.and_then(|id| keys.at(id).windowed.as_deref());
            let as_of = AsOf::new(windows, windowed, event.time, &self.answers);
            if !compiled.automaton.starts(event, Moment { windows: &as_of, stands_as, faults: &self.faults }) {
                return;
            }
        }
        let id = known.unwrap_or_else(|| keys.make(key, &mut self.counters));
        let slot = keys.slot(id);
        let before = slot.before();
        if counts {
            slot.windowed.get_or_insert_with(|| Box::new(WindowedEvents::new(windows))).take(windows, event, &self.counting);
        }
        let as_of = AsOf::new(windows, slot.windowed.as_deref(), event.time, &self.answers);
        let moment = Moment { windows: &as_of, stands_as, faults: &self.faults };
        match self.watch.as_deref() {
            None => slot.runs.advance(&compiled.automaton, &self.limits, event, moment, &mut self.stepped),
            Some(watch) => slot.runs.advance_watched(&compiled.automaton, &self.limits, event, moment, &mut self.stepped, watch),
        }
        self.deliver(place, compiled, id, Some(event), matches);
        self.keys[place].settle(id, before, &mut self.counters);
    }

    /// Decides the pattern's deadlines at or before the instant.
    fn expire(&mut self, place: usize, compiled: &CompiledPattern, instant: EventTime, matches: &mut Vec<Match>) {
        while let Some(id) = self.keys[place].next_due(instant) {
            let slot = self.keys[place].slot(id);
            let before = slot.before();
            match self.watch.as_deref() {
                None => slot.runs.expire(&compiled.automaton, instant, &mut self.stepped.decided),
                Some(watch) => slot.runs.expire_watched(&compiled.automaton, instant, &mut self.stepped.decided, watch),
            }
            self.deliver(place, compiled, id, None, matches);
            if let Some(windowed) = &mut self.keys[place].slot(id).windowed {
                windowed.expire(instant);
            }
            self.keys[place].settle(id, before, &mut self.counters);
        }
    }

    fn deliver(&mut self, place: usize, compiled: &CompiledPattern, id: SlotId, event: Option<&Event>, matches: &mut Vec<Match>) {
        if self.stepped.decided.is_empty() {
            return;
        }
        let slot = self.keys[place].at(id);
        for decided in self.stepped.decided.drain(..) {
            match decided.kind {
                DecidedKind::Match => self.counters.matches += 1,
                DecidedKind::Timeout => self.counters.timeouts += 1,
            }
            let as_of = AsOf::new(&compiled.pattern.windows, slot.windowed.as_deref(), decided.at, &self.answers);
            let moment = Moment { windows: &as_of, ..Moment::plain(&self.faults) };
            matches.push(compiled.delivery.deliver(&compiled.pattern, slot.key(), decided, event, moment));
        }
    }
}

/// The state of a key: its runs, and before them the events that windows count, where the pattern asks for windows.
fn encode_state(compiled: &CompiledPattern, runs: &Runs, windowed: Option<&WindowedEvents>) -> Vec<u8> {
    let mut value = Vec::new();
    let windows = &compiled.pattern.windows;
    if !windows.is_empty() {
        let mut bytes = Vec::new();
        windowed.unwrap_or(&WindowedEvents::new(windows)).encode(windows, &mut bytes);
        write_bytes(&bytes, &mut value);
    }
    runs.encode(&compiled.automaton, &mut value);
    value
}

fn decode_state(compiled: &CompiledPattern, value: &[u8]) -> Result<(Runs, Option<WindowedEvents>), Malformed> {
    let windows = &compiled.pattern.windows;
    if windows.is_empty() {
        return Ok((Runs::decode(&compiled.automaton, value)?, None));
    }
    let mut reader = Reader::new(value);
    let mut of_windows = Reader::new(reader.bytes("events of windows")?);
    let windowed = WindowedEvents::decode(windows, &mut of_windows)?;
    if !of_windows.is_at_end() {
        return Err(of_windows.malformed("end"));
    }
    let runs = Runs::decode(&compiled.automaton, reader.rest())?;
    Ok((runs, Some(windowed).filter(|windowed| !windowed.is_empty())))
}

impl Part {
    fn owns(self, key: &[u8]) -> bool {
        self.shards == 1 || xxh3_64(key) % self.shards as u64 == self.shard as u64
    }

    fn counts_for_all(self) -> bool {
        self.shard == 0
    }
}
