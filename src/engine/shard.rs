//! A part of the keys: which line an event stands in, its step there, deadlines, and what changed.
//!
//! A shard is given all events that matter to some pattern, in line order, and takes those whose keys are its own: the xxh3 hash of a key's bytes, modulo the number of
//! shards. Shards share nothing but the program, and may be stepped side by side. Each keeps its matches in the order of the output; so all together are merged by a stable sort
//! on [`crate::engine::Match::order`].

use std::cell::{self, RefCell};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::automaton::shared::Workspace;
use crate::automaton::{Arrival, Class, DecidedKind, Evaluation, Limits, Pending, Run, Stepped, Stepping, Watch};
use crate::engine::compiled::{Compiled, CompiledPattern, Keying, RouteSource, of_event};
use crate::engine::counters::Counters;
use crate::engine::index::Candidate;
use crate::engine::keys::{Address, Held, Keys, Place, key_hash};
use crate::engine::matched::Match;
use crate::engine::reorder::Wanted;
use crate::engine::slot::{Cell, CellId, RUNS_MAX, SlotId};
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
    /// By table: where the key of some keying was found.
    slots: Vec<FoundSlot>,
    /// Events so far; tells which one a key is of.
    event_number: u64,
    /// The lines of the pattern at hand in which the event stands: a keying, and as which sources.
    stands: SmallVec<[(usize, u64); 2]>,
}

/// The lines of all patterns.
#[derive(Debug)]
struct Lines {
    part: Part,
    limits: Limits,
    /// Whoever watches the runs of all patterns.
    watch: Option<Arc<dyn Watch>>,
    /// By table.
    keys: Vec<Keys>,
    stepped: Stepped,
    /// Where runs that lie in slots are stepped.
    lifted: Cell,
    /// By pattern.
    workspaces: Vec<Workspace>,
    /// Memory that is used again: the windows that count the event at hand, and what was asked of them.
    counting: Vec<usize>,
    answers: RefCell<Answers>,
    key: Vec<u8>,
    counters: Counters,
    faults: cell::Cell<u64>,
    /// What every shard evaluates is counted by one; the others count it here.
    faults_elsewhere: cell::Cell<u64>,
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
    hash: u64,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, Default)]
struct FoundSlot {
    event_number: u64,
    keying: usize,
    slot: Option<SlotId>,
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
        let part = Part { shard, shards };
        Self {
            lines: Lines {
                part,
                limits,
                watch: None,
                keys: (0..compiled.tables).map(|_| Keys::default()).collect(),
                stepped: Stepped::default(),
                lifted: Cell::default(),
                workspaces: compiled.patterns.iter().map(|_| Workspace::default()).collect(),
                counting: Vec::new(),
                answers: RefCell::default(),
                key: Vec::new(),
                counters: Counters::default(),
                faults: cell::Cell::new(0),
                faults_elsewhere: cell::Cell::new(0),
            },
            hand: Hand { keys: vec![KeyAtHand::default(); keyings], slots: vec![FoundSlot::default(); compiled.tables], ..Hand::default() },
            compiled,
            watermark: EventTime::BEGINNING,
        }
    }

    /// Steps the events, which stand in line order and after the watermark of the call before, then decides everything up to `watermark`. What comes
    /// out is added to `matches`, in the order of the output.
    pub fn apply(&mut self, events: &[Wanted], watermark: EventTime, matches: &mut Vec<Match>) {
        let before = matches.len();
        for wanted in events {
            let time = wanted.event.time;
            assert!(time > self.watermark && time <= watermark, "events come between two watermarks");
            self.step(wanted, matches);
        }
        self.watermark = watermark;
        for table in 0..self.lines.keys.len() {
            self.lines.expire(table, &self.compiled, watermark, matches);
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
        for keys in &mut self.lines.keys {
            keys.take_changed(&mut self.lines.counters, |pattern, key, held| {
                let compiled = &self.compiled.patterns[pattern as usize];
                let value = encode_state(compiled, held);
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
        if !self.lines.part.owns(key_hash(key)) {
            return Ok(Restored::OtherShard);
        }
        let compiled = &self.compiled.patterns[place];
        let damaged = |reason| DamagedState { pattern: compiled.pattern.name.clone(), reason };
        let Lines { limits, workspaces, .. } = &mut self.lines;
        let lie_in_slots = lie_in_slots(compiled, limits);
        let stepping = compiled.stepping(limits, &mut workspaces[place], None);
        let (pending, windowed) = decode_state(compiled, stepping, value).map_err(damaged)?;
        let pattern = u32::try_from(place).expect("patterns are numbered by 32 bits");
        self.lines.keys[compiled.table].restore(pattern, key, (&compiled.automaton, lie_in_slots), pending, windowed.map(Box::new), &mut self.lines.counters);
        Ok(Restored::Taken)
    }

    /// Changes that are noted, those of cells that are gone among them.
    #[cfg(test)]
    pub(super) fn changes_noted(&self) -> usize {
        self.lines.keys.iter().map(Keys::changes_noted).sum()
    }

    /// No key, run, timer or untold change is left.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.lines.keys.iter().all(Keys::is_bare)
    }

    fn step(&mut self, wanted: &Wanted, matches: &mut Vec<Match>) {
        let Self { compiled, lines, hand, .. } = self;
        let event = &wanted.event;
        hand.event_number += 1;
        let stream = &compiled.streams[usize::from(event.stream.0)];
        let mut has_null = false;
        for candidate in wanted.interest.candidates() {
            hand.stands.clear();
            for source in &stream.route(candidate.pattern).sources {
                if !lines.fits(source, event) {
                    continue;
                }
                match hand.find(source.keying, &stream.keyings[source.keying], event, lines) {
                    Whose::Ours => hand.stand(source),
                    Whose::Others => {}
                    Whose::Nobody => has_null = true,
                }
            }
            for place in 0..hand.stands.len() {
                let (keying, stands_as) = hand.stands[place];
                lines.step(candidate, compiled, hand, keying, Standing { event, stands_as }, matches);
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
            key.whose = Whose::Nobody;
            if keying.write(event, lines.faults_of_all(), &mut key.bytes) {
                key.hash = key_hash(&key.bytes);
                key.whose = if lines.part.owns(key.hash) { Whose::Ours } else { Whose::Others };
            }
        }
        key.whose
    }

    /// Notes that the event stands in the line of the source's key.
    fn stand(&mut self, source: &RouteSource) {
        let key = &self.keys[source.keying].bytes;
        match self.stands.iter_mut().find(|(keying, _)| *keying == source.keying || self.keys[*keying].bytes == *key) {
            Some((_, stands_as)) => *stands_as |= source.bit,
            None => self.stands.push((source.keying, source.bit)),
        }
    }

    /// Where the key is in the table, unless another pattern has looked before.
    fn slot(&mut self, table: usize, keying: usize, keys: &Keys) -> Option<SlotId> {
        let found = &mut self.slots[table];
        if found.event_number != self.event_number || found.keying != keying {
            let key = &self.keys[keying];
            *found = FoundSlot { event_number: self.event_number, keying, slot: keys.find(key.hash, &key.bytes) };
        }
        found.slot
    }
}

/// An event, and the sources, a bit each, as which it stands in a line.
#[derive(Clone, Copy)]
struct Standing<'a> {
    event: &'a Arc<Event>,
    stands_as: u64,
}

impl Lines {
    fn fits(&self, source: &RouteSource, event: &Event) -> bool {
        source.filter.as_ref().is_none_or(|filter| filter.holds(&of_event(event, self.faults_of_all())))
    }

    /// For what every shard evaluates.
    fn faults_of_all(&self) -> &cell::Cell<u64> {
        if self.part.counts_for_all() { &self.faults } else { &self.faults_elsewhere }
    }

    /// The event comes in the line of a key.
    fn step(&mut self, candidate: &Candidate, all: &Compiled, hand: &mut Hand, keying: usize, standing: Standing<'_>, matches: &mut Vec<Match>) {
        let compiled = &all.patterns[candidate.pattern as usize];
        let table = compiled.table;
        let now = standing.event.time;
        let mut known = hand.slot(table, keying, &self.keys[table]);
        if let Some(slot) = known.filter(|slot| self.keys[table].is_slot_due(*slot, now)) {
            known = self.expire_slot(table, slot, all, now, matches);
        }
        let KeyAtHand { bytes: key, hash, .. } = &hand.keys[keying];
        let cell = known.and_then(|slot| self.keys[table].slot(slot).cell(candidate.pattern));
        known = match cell {
            Some(cell) => self.step_cell(cell, candidate, compiled, key, standing, matches).then_some(known).flatten(),
            None => self.step_slot(Address { slot: known, hash: *hash, key }, candidate, compiled, standing, matches),
        };
        hand.slots[table].slot = known;
    }

    /// The windows that count the event, and whether it does anything where nothing is held.
    fn acts(&mut self, candidate: &Candidate, compiled: &CompiledPattern, standing: Standing<'_>) -> (bool, bool) {
        let plain = Moment { stands_as: standing.stands_as, ..Moment::plain(&self.faults) };
        let windows = compiled.pattern.windows.as_slice();
        let counts = compiled.automaton.may_count(candidate.class) && WindowedEvents::any_counts(windows, standing.event, plain, &mut self.counting);
        (counts, counts || compiled.automaton.may_begin(candidate.class) || self.watch.is_some())
    }

    /// False if the slot is gone.
    fn step_cell(
        &mut self,
        id: CellId,
        candidate: &Candidate,
        compiled: &CompiledPattern,
        key: &[u8],
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> bool {
        let (counts, _) = self.acts(candidate, compiled, standing);
        let (keys, _, mut step) = self.to_step(compiled, candidate.pattern, counts, matches);
        let cell = keys.cell(id);
        let mut before = cell.before();
        if cell.is_due(standing.event.time) {
            step.expire(cell, key, standing.event.time);
            cell.forget_if_empty(&mut before, step.counters);
        }
        step.take(cell, key, candidate.class, standing);
        keys.settle_cell(id, before, step.counters)
    }

    /// The pattern has at most a group there. Returns the slot, if there is one afterwards.
    fn step_slot(
        &mut self,
        address: Address<'_>,
        candidate: &Candidate,
        compiled: &CompiledPattern,
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> Option<SlotId> {
        let Candidate { pattern, class } = *candidate;
        let automaton = &compiled.automaton;
        let (counts, acts) = self.acts(candidate, compiled, standing);
        let runs = address.slot.map_or(&[][..], |slot| self.keys[compiled.table].slot(slot).runs_of(pattern));
        let is_concerned = !runs.is_empty() && self.concerns(runs, compiled, class, standing);
        if !is_concerned && !acts {
            return address.slot;
        }
        let runs_max = lie_in_slots(compiled, &self.limits);
        // What begins goes beside the others, unless it may do something to them.
        let apart = !is_concerned && automaton.begins_quietly().is_some_and(|begun| runs.len() + begun <= runs_max);
        let (keys, held, mut step) = self.to_step(compiled, pattern, counts, matches);
        if let Some(slot) = address.slot.filter(|_| !apart) {
            keys.lift(slot, pattern, automaton, &mut held.pending);
        }
        let before = held.before();
        step.take(held, address.key, class, standing);
        keys.lay_down(address, pattern, (automaton, runs_max), held, before, step.counters)
    }

    /// Whether the event can change anything about runs that lie in a slot. What cannot be calculated is counted here only if they are not stepped.
    fn concerns(&self, runs: &[Run], compiled: &CompiledPattern, class: Class, standing: Standing<'_>) -> bool {
        let faults = cell::Cell::new(0);
        let moment = Moment { stands_as: standing.stands_as, ..Moment::plain(&faults) };
        let concerns = self.watch.is_some() || compiled.automaton.concerns(runs, Arrival { event: standing.event, class, moment });
        if !concerns {
            self.faults.set(self.faults.get() + faults.get());
        }
        concerns
    }

    fn to_step<'a>(
        &'a mut self,
        compiled: &'a CompiledPattern,
        pattern: u32,
        counts: bool,
        matches: &'a mut Vec<Match>,
    ) -> (&'a mut Keys, &'a mut Cell, Step<'a>) {
        let Self { keys, lifted, limits, watch, stepped, workspaces, counting, answers, counters, faults, .. } = self;
        let stepping = compiled.stepping(limits, &mut workspaces[pattern as usize], watch.as_deref());
        let step = Step { compiled, stepping, stepped, counting: if counts { counting } else { &[] }, answers, counters, faults, matches };
        (&mut keys[compiled.table], lifted, step)
    }

    /// Decides the deadlines at or before the instant.
    fn expire(&mut self, table: usize, compiled: &Compiled, instant: EventTime, matches: &mut Vec<Match>) {
        let mut key = std::mem::take(&mut self.key);
        while let Some(place) = self.keys[table].next_due(instant) {
            match place {
                Place::Slot(slot) => {
                    self.expire_slot(table, slot, compiled, instant, matches);
                }
                Place::Cell(id) => {
                    key.clear();
                    key.extend_from_slice(self.keys[table].key_of(place));
                    let pattern = self.keys[table].cell(id).pattern();
                    let (keys, _, mut step) = self.to_step(&compiled.patterns[pattern as usize], pattern, false, matches);
                    let cell = keys.cell(id);
                    let before = cell.before();
                    step.expire(cell, &key, instant);
                    keys.settle_cell(id, before, step.counters);
                }
            }
        }
        self.key = key;
    }

    /// Decides those of the runs that lie in a slot, pattern by pattern. `None` if the slot is gone.
    fn expire_slot(&mut self, table: usize, id: SlotId, compiled: &Compiled, instant: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        let Self { keys, watch, counters, .. } = self;
        let end_silently = |pattern: u32| watch.is_none() && compiled.patterns[pattern as usize].automaton.runs_end_silently();
        let mut slot = keys[table].drop_due(id, instant, end_silently, counters);
        let mut from = 0;
        while let Some(pattern) = slot.and_then(|slot| self.keys[table].slot(slot).next_due(instant, from)) {
            from = pattern + 1;
            slot = self.expire_group(id, pattern, &compiled.patterns[pattern as usize], instant, matches);
        }
        if let Some(slot) = slot {
            self.keys[table].arm_slot(slot);
        }
        slot
    }

    fn expire_group(&mut self, id: SlotId, pattern: u32, compiled: &CompiledPattern, instant: EventTime, matches: &mut Vec<Match>) -> Option<SlotId> {
        let runs_max = lie_in_slots(compiled, &self.limits);
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(self.keys[compiled.table].key_of(Place::Slot(id)));
        let (keys, held, mut step) = self.to_step(compiled, pattern, false, matches);
        keys.lift(id, pattern, &compiled.automaton, &mut held.pending);
        let before = held.before();
        step.expire(held, &key, instant);
        let address = Address { slot: Some(id), hash: 0, key: &key };
        let slot = keys.lay_down(address, pattern, (&compiled.automaton, runs_max), held, before, step.counters);
        self.key = key;
        slot
    }
}

/// So many runs of the pattern may lie in the slot of a key.
fn lie_in_slots(compiled: &CompiledPattern, limits: &Limits) -> usize {
    if !compiled.pattern.windows.is_empty() {
        return 0;
    }
    let most = usize::try_from(compiled.pattern.runs_max.unwrap_or(limits.runs_max)).unwrap_or(usize::MAX);
    let alone = match compiled.evaluation {
        Evaluation::Together(_) => limits.runs_alone_max,
        Evaluation::RunByRun(_) => RUNS_MAX,
    };
    most.min(alone)
}

/// What an event or time does to one cell.
struct Step<'a> {
    compiled: &'a CompiledPattern,
    stepping: Stepping<'a>,
    stepped: &'a mut Stepped,
    /// The windows that count the event at hand.
    counting: &'a [usize],
    answers: &'a RefCell<Answers>,
    counters: &'a mut Counters,
    faults: &'a cell::Cell<u64>,
    matches: &'a mut Vec<Match>,
}

impl Step<'_> {
    fn take(&mut self, cell: &mut Cell, key: &[u8], class: Class, standing: Standing<'_>) {
        let Standing { event, stands_as } = standing;
        let windows = self.compiled.pattern.windows.as_slice();
        if !self.counting.is_empty() {
            cell.windowed.get_or_insert_with(|| Box::new(WindowedEvents::new(windows))).take(windows, event, self.counting);
        }
        let plain = Moment { stands_as, ..Moment::plain(self.faults) };
        if windows.is_empty() {
            cell.pending.advance(&mut self.stepping, Arrival { event, class, moment: plain }, self.stepped);
        } else {
            let as_of = AsOf::new(windows, cell.windowed.as_deref(), event.time, self.answers);
            cell.pending.advance(&mut self.stepping, Arrival { event, class, moment: Moment { windows: &as_of, ..plain } }, self.stepped);
        }
        self.deliver(cell, key, Some(event));
    }

    fn expire(&mut self, cell: &mut Cell, key: &[u8], instant: EventTime) {
        cell.pending.expire(&mut self.stepping, instant, self.stepped);
        self.deliver(cell, key, None);
        if let Some(windowed) = &mut cell.windowed {
            windowed.expire(instant);
        }
    }

    fn deliver(&mut self, cell: &Cell, key: &[u8], event: Option<&Event>) {
        if self.stepped.decided.is_empty() {
            return;
        }
        let key: Arc<[u8]> = key.into();
        for decided in self.stepped.decided.drain(..) {
            match decided.kind {
                DecidedKind::Match => self.counters.matches += 1,
                DecidedKind::Timeout => self.counters.timeouts += 1,
            }
            let as_of = AsOf::new(&self.compiled.pattern.windows, cell.windowed.as_deref(), decided.at, self.answers);
            let moment = Moment { windows: &as_of, ..Moment::plain(self.faults) };
            self.matches.push(self.compiled.delivery.deliver(&self.compiled.pattern, &key, decided, event, moment));
        }
    }
}

/// The state of a key: its partial matches, and before them the events that windows count, where the pattern asks for windows. `None` where there is nothing.
fn encode_state(compiled: &CompiledPattern, held: Held<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    match held {
        Held::Nothing => return None,
        Held::Runs(runs) => compiled.automaton.encode_runs(runs, &mut value),
        Held::Cell(cell) => {
            let windows = &compiled.pattern.windows;
            if !windows.is_empty() {
                let mut bytes = Vec::new();
                cell.windowed.as_deref().unwrap_or(&WindowedEvents::new(windows)).encode(windows, &mut bytes);
                write_bytes(&bytes, &mut value);
            }
            cell.pending.encode(&compiled.automaton, &mut value);
        }
    }
    Some(value)
}

fn decode_state(compiled: &CompiledPattern, mut stepping: Stepping<'_>, value: &[u8]) -> Result<(Pending, Option<WindowedEvents>), Malformed> {
    let windows = &compiled.pattern.windows;
    if windows.is_empty() {
        return Ok((Pending::decode(&mut stepping, value)?, None));
    }
    let mut reader = Reader::new(value);
    let mut of_windows = Reader::new(reader.bytes("events of windows")?);
    let windowed = WindowedEvents::decode(windows, &mut of_windows)?;
    if !of_windows.is_at_end() {
        return Err(of_windows.malformed("end"));
    }
    let pending = Pending::decode(&mut stepping, reader.rest())?;
    Ok((pending, Some(windowed).filter(|windowed| !windowed.is_empty())))
}

impl Part {
    fn owns(self, hash: u64) -> bool {
        self.shards == 1 || hash % self.shards as u64 == self.shard as u64
    }

    fn counts_for_all(self) -> bool {
        self.shard == 0
    }
}
