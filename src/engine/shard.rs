//! A part of the keys: which line an event stands in, its step there, deadlines, and what changed.
//!
//! A shard is given all events that matter to some pattern, in line order, and takes those whose keys are its own: the xxh3 hash of a key's bytes, modulo the number of
//! shards. Shards share nothing but the program, and may be stepped side by side. Each keeps its matches in the order of the output; so all together are merged by a stable sort
//! on [`crate::engine::Match::order`].

mod families;
mod hand;
mod lines;
mod logs;
mod packing;
mod spilling;
mod state;
mod step;
mod stored;
mod waiting;

use std::cell;
use std::sync::Arc;

use crate::automaton::shared::Workspace;
use crate::automaton::{Limits, Stepped, Watch};
use crate::engine::cold::{ColdKeys, ColdKeysError, StoredKeys};
use crate::engine::compiled::Compiled;
use crate::engine::counters::Counters;
use crate::engine::index::Candidate;
use crate::engine::intake::Intake;
use crate::engine::keys::{Keys, key_hash};
use crate::engine::matched::{Match, put_in_order};
use crate::engine::reorder::Wanted;
use crate::engine::shard::hand::{FoundSlot, Hand, KeyAtHand};
use crate::engine::shard::lines::{Lines, Part, lie_in_slots};
use crate::engine::shard::logs::{LogsAtHand, tell_log, without_segment};
use crate::engine::shard::packing::Packing;
use crate::engine::shard::spilling::Spilling;
use crate::engine::shard::state::encode_state;
use crate::engine::shard::stored::NotRestored;
use crate::engine::slot::Cell;
use crate::engine::snapshot::{Change, DamagedState, Restored, entry_key, split_entry_key};
use crate::event::{EventTime, SharedEvent};

/// So many keys may run out of time in one call, where nothing comes out for them: some 30 ms.
pub(super) const EXPIRED_MAX: usize = 1 << 16;

/// So many events are let go of together.
const LET_GO_MAX: usize = 64;

#[derive(Debug)]
pub struct Shard {
    compiled: Arc<Compiled>,
    lines: Lines,
    hand: Hand,
    /// Events that have been stepped and are kept by runs. To count one fewer who keep it waits until everything that was written before is in memory, and a run that has begun is mostly written where the
    /// processor has not been for long: so that is done later, of several. (With a thousand patterns a tenth less time, with one nothing.)
    let_go: Vec<SharedEvent>,
    /// Everything at or before it is decided.
    watermark: EventTime,
}

/// Keys, and what is held of them: memory and nothing else. To let go of ten million keys takes more than a tenth of a second.
#[derive(Debug)]
pub struct ShardMemory(#[expect(dead_code, reason = "it is only let go of")] Vec<Keys>);

impl Shard {
    /// The part `shard` of `shards`, counted from 0.
    pub fn new(compiled: Arc<Compiled>, shard: usize, shards: usize, limits: Limits, ready_keys_max: usize) -> Self {
        assert!(shard < shards, "shards are counted from 0");
        let keyings = compiled.streams.iter().map(|stream| stream.keyings.len()).max().unwrap_or(0);
        let part = Part { shard, shards };
        Self {
            lines: Lines {
                part,
                limits,
                ready_keys_max,
                watch: None,
                keys: compiled.tables.iter().map(|_| Keys::default()).collect(),
                stepped: Stepped::default(),
                lie_in_slots: compiled.patterns.iter().map(|compiled| lie_in_slots(compiled, &limits)).collect(),
                lifted: Cell::default(),
                workspaces: compiled.patterns.iter().map(|_| Workspace::default()).collect(),
                logs: LogsAtHand::of(compiled.numbers()),
                due_logs: Vec::new(),
                waiting: Vec::new(),
                key: Vec::new(),
                scratch: Vec::new(),
                packing: Packing::default(),
                spilling: Spilling::none(compiled.tables.len()),
                not_restored: None,
                due: Vec::new(),
                has_overdue: false,
                counters: Counters::default(),
                faults: cell::Cell::new(0),
                faults_elsewhere: cell::Cell::new(0),
            },
            hand: Hand {
                keys: vec![KeyAtHand::default(); keyings],
                slots: vec![FoundSlot::default(); compiled.tables.len()],
                candidates: vec![0; compiled.patterns.len()],
                ..Hand::default()
            },
            let_go: Vec::with_capacity(LET_GO_MAX),
            compiled,
            watermark: EventTime::BEGINNING,
        }
    }

    /// Steps the events, which stand in line order and after the watermark of the call before, then decides everything up to `watermark`. What comes
    /// out is added to `matches`, in the order of the output. Partial matches of which nothing comes out when their time is up may stay in memory until one of the next calls, so
    /// that time that jumps makes no call long.
    pub fn apply(&mut self, events: &[Wanted], watermark: EventTime, matches: &mut Vec<Match>) {
        let before = matches.len();
        events.iter().for_each(|wanted| self.step(wanted, matches));
        let last = events.last().map(|wanted| wanted.event.time);
        self.decide(watermark, (events.len(), last), before, matches);
    }

    /// The same with all that the intake [lets out](Intake::release_each) up to that time, one by one; returns up to where.
    pub fn apply_released(&mut self, intake: &mut Intake, until: EventTime, matches: &mut Vec<Match>) -> EventTime {
        let before = matches.len();
        let mut stepped = (0, None);
        let watermark = intake.release_each(until, |wanted| {
            self.step(&wanted, matches);
            stepped = (stepped.0 + 1, Some(wanted.event.time));
            self.let_go_of(wanted.event);
        });
        self.let_go.clear();
        self.decide(watermark, stepped, before, matches);
        watermark
    }

    /// An event that has been stepped: now, where nobody keeps it, so that its memory is used again at once; else with others.
    #[inline(always)]
    fn let_go_of(&mut self, event: SharedEvent) {
        if event.is_shared() {
            if self.let_go.len() == LET_GO_MAX {
                self.let_go.clear();
            }
            self.let_go.push(event);
        }
    }

    /// Decides what time brings, after so many events, the last of which has that time.
    fn decide(&mut self, watermark: EventTime, (events, last): (usize, Option<EventTime>), before: usize, matches: &mut Vec<Match>) {
        assert!(last.is_none_or(|last| last <= watermark), "events come between two watermarks");
        self.watermark = watermark;
        if self.failure().is_some() {
            return matches.truncate(before);
        }
        self.lines.has_overdue = self.lines.not_restored.is_some();
        for table in 0..self.lines.keys.len() {
            if !self.lines.not_restored.as_ref().is_some_and(|rest| rest.defers(table)) {
                self.lines.expire(table, &self.compiled, watermark, events, matches);
            }
        }
        if watermark == EventTime::END {
            assert!(self.lines.not_restored.is_none(), "time ends only once all state is there");
            (0..self.lines.keys.len()).for_each(|table| self.lines.end_cold(table, &self.compiled));
            (0..self.lines.keys.len()).for_each(|table| self.lines.unpack_all(table, &self.compiled));
            self.lines.keys.iter_mut().for_each(|keys| keys.end(&mut self.lines.counters));
        }
        self.lines.pack_idle(&self.compiled, events);
        // Patterns and keys have been decided one after the other.
        put_in_order(&mut matches[before..]);
        self.lines.counters.faults = self.lines.faults.get();
    }

    /// Time alone brings nothing out before this; the end of time: never. It may be too early by some seconds.
    pub fn none_comes_out_before(&self) -> EventTime {
        let tables = (0..self.lines.keys.len()).filter(|table| !self.compiled.tables[*table].ends_silently);
        let of_table = |table: usize| self.lines.keys[table].none_due_before().min(self.lines.spilling.none_due_before(table));
        tables.map(of_table).min().unwrap_or(EventTime::END)
    }

    pub fn counters(&self) -> &Counters {
        &self.lines.counters
    }

    /// The last call may have left keys whose time was up by then, for the next ones to let go of; so what [`Shard::take_changes`] tells depends on how many calls there were. Nothing else does.
    pub fn has_overdue(&self) -> bool {
        self.lines.has_overdue
    }

    /// From now on no more keys of patterns with the same keys are packed in memory than these; the others are laid down there. Without it all stay in memory.
    pub fn spill_to(&mut self, cold: Box<dyn ColdKeys>, packed_keys_max: usize) {
        self.lines.spilling.begin(cold, packed_keys_max);
    }

    /// Why nothing that came out of the last call, and of any that follows, is to be used: what was laid down elsewhere could not be had, or not be laid there.
    pub fn failure(&self) -> Option<&ColdKeysError> {
        self.lines.spilling.failure()
    }

    /// What the shard was to be given cannot be had: nothing that comes out from now on is to be used.
    pub fn fail(&mut self, failure: ColdKeysError) {
        self.lines.spilling.fail(failure);
    }

    /// Tells what events and time do to runs from now on.
    pub(super) fn watch(&mut self, watch: Arc<dyn Watch>) {
        self.lines.watch = Some(watch);
    }

    /// Adds what changed since the last call, an entry for each key of a pattern and, of logs, for what is new of them, in order of the entries' keys. A key that came and went
    /// since then tells nothing.
    pub fn take_changes(&mut self, out: &mut Vec<Change>) {
        let before = out.len();
        for keys in &mut self.lines.keys {
            keys.take_changed(&mut self.lines.counters, |(first, of), key, held| {
                if let Some(log) = self.compiled.log(first) {
                    return tell_log(log.version, key, held, out);
                }
                let pattern = self.compiled.kept_under(first, of).expect("a run is of patterns that there are");
                let compiled = &self.compiled.patterns[pattern as usize];
                out.push(Change { key: entry_key(compiled.pattern.version, key), value: encode_state(compiled, held) });
            });
        }
        out[before..].sort_unstable_by(|one, other| one.key.cmp(&other.key));
    }

    /// What of the shard takes long to be let go of; the shard is of no use any more.
    pub fn take_memory(&mut self) -> ShardMemory {
        ShardMemory(std::mem::take(&mut self.lines.keys))
    }

    /// Nobody takes changes from now on: they are not noted.
    pub fn note_no_changes(&mut self) {
        self.lines.keys.iter_mut().for_each(|keys| keys.note_no_changes(&mut self.lines.counters));
    }

    /// The versions of the patterns and logs whose entries may be [deferred](Shard::defer), in their order.
    pub fn deferrable(&self) -> Vec<u128> {
        let deferred = self.compiled.tables.iter().filter(|table| table.may_be_deferred());
        let mut versions: Vec<u128> =
            deferred.flat_map(|table| table.patterns.iter().chain(&table.logs)).map(|number| self.compiled.version(*number)).collect();
        versions.sort_unstable();
        versions
    }

    /// All entries of the other patterns were taken up. From now on events may be stepped while those that may be [deferred](Shard::deferrable) are, in their order: what the store has of the
    /// key of an event is asked for. Of those keys time decides nothing until [`Shard::end_restoring`], which has to come before the end of time.
    pub fn defer(&mut self, stored: Box<dyn StoredKeys>) {
        self.lines.keys.iter_mut().for_each(Keys::enter_noted);
        self.lines.not_restored = Some(NotRestored::new(stored, &self.compiled));
        self.lines.has_overdue = true;
    }

    /// Takes up an entry of the store, if it is this shard's: each once, before any event (or [meanwhile](Shard::defer)). The keys stay packed until events come to them.
    ///
    /// # Errors
    ///
    /// The entry was not written by [`Shard::take_changes`].
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<Restored, DamagedState> {
        // Where something could not be had, what is there may be half of it, and is of no use.
        if self.failure().is_some() || self.lines.not_restored.as_mut().is_some_and(|rest| !rest.reach(key)) {
            return Ok(Restored::Taken);
        }
        let (version, key) = split_entry_key(key)?;
        let Some(number) = self.compiled.find(version) else { return Ok(Restored::UnknownPattern(version)) };
        let damaged = |reason| DamagedState { pattern: self.compiled.name(number).to_owned(), reason };
        let is_of_log = self.compiled.log(number).is_some();
        let key = if is_of_log { without_segment(key, value).map_err(damaged)? } else { key };
        let hash = key_hash(key);
        if !self.lines.part.owns(hash) {
            return Ok(Restored::OtherShard);
        }
        self.lines.restore(number, (hash, key), value, &self.compiled).map_err(damaged)?;
        Ok(Restored::Taken)
    }

    /// All that the store has was taken up.
    pub fn end_restoring(&mut self) {
        self.lines.not_restored = None;
        self.lines.keys.iter_mut().for_each(Keys::enter_noted);
    }

    /// Of how many keys the next [`Shard::take_changes`] tells, about: those that are gone again are among them. Cost: one look at each table.
    pub fn changes_noted(&self) -> usize {
        self.lines.keys.iter().map(Keys::changes_noted).sum()
    }

    /// No key, run, timer or untold change is left.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.lines.keys.iter().all(Keys::is_bare) && self.lines.counters.cold_keys == 0
    }

    fn step(&mut self, wanted: &Wanted, matches: &mut Vec<Match>) {
        let Self { compiled, lines, hand, .. } = self;
        let event = &wanted.event;
        assert!(event.time > self.watermark, "events come between two watermarks");
        hand.event_number += 1;
        let stream = &compiled.streams[usize::from(event.stream.0)];
        let (mut has_null, before) = (false, matches.len());
        if stream.has_logs {
            has_null = lines.take_into_logs(compiled, hand, wanted, matches);
        }
        match stream.index.waiting() {
            Some(waiting) => has_null |= lines.step_with_who_waits(waiting, compiled, hand, wanted, matches),
            None => {
                let is_pattern = |candidate: &&Candidate| !stream.has_logs || compiled.log(candidate.pattern).is_none();
                for candidate in wanted.interest.candidates().iter().filter(is_pattern) {
                    has_null |= lines.step_candidate(candidate, compiled, hand, event, matches);
                }
            }
        }
        lines.put_logs_back();
        if matches.len() > before + 1 {
            put_in_order(&mut matches[before..]);
        }
        if has_null && lines.part.counts_for_all() {
            lines.counters.null_keys += 1;
        }
    }
}
