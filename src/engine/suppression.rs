//! `suppress D by E`: after a match delivered at t, those with equal E before t + D are counted instead of delivered; the next one delivered tells how many.
//!
//! It works on matches in the order of the output, so on all shards' together: E need not be determined by the key. A match whose E holds a null is equal to
//! none. Timeouts pass.
//!
//! What is remembered of an E that has suppressed nothing goes with t + D; what has is kept until it was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::automaton::DecidedKind;
use crate::engine::counters::Counters;
use crate::engine::matched::Match;
use crate::engine::shard::EXPIRED_MAX;
use crate::engine::snapshot::{Change, DamagedState, split_suppression_key, suppression_key};
use crate::event::EventTime;
use crate::event::binary::{Malformed, Reader, write_signed, write_unsigned};

/// Pattern version, and the bytes of E.
type Of = (u128, Vec<u8>);

#[derive(Debug, Default)]
pub struct Suppression {
    open: BTreeMap<Of, Open>,
    /// By the instant at which it ends.
    ends: BTreeSet<(EventTime, Of)>,
    changed: BTreeSet<Of>,
    /// Nobody takes the changes: they are not noted.
    tells_nobody: bool,
    /// Those that the store has.
    stored: BTreeSet<Of>,
    suppressed: u64,
    has_overdue: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Matches before it are suppressed.
    until: EventTime,
    /// Since the last one delivered.
    suppressed: u64,
}

impl Suppression {
    /// Takes out of `matches`, from the place `from` on, those that are suppressed; the others say for how many they stand.
    pub fn apply(&mut self, matches: &mut Vec<Match>, from: usize, watermark: EventTime) {
        let (mut kept, found) = (from, matches.len() - from);
        for place in from..matches.len() {
            if self.delivers(&mut matches[place]) {
                if kept < place {
                    matches.swap(kept, place);
                }
                kept += 1;
            }
        }
        matches.truncate(kept);
        self.end(watermark, found);
    }

    /// The last call of [`Suppression::apply`] may have left entries whose time was up, for the next ones to forget; so what [`Suppression::take_changes`] tells depends on how many calls there
    /// were. Nothing else does.
    pub fn has_overdue(&self) -> bool {
        self.has_overdue
    }

    /// What was suppressed came out of the shards as a match, and is none.
    pub fn count(&self, counters: &mut Counters) {
        counters.matches -= self.suppressed;
        counters.suppressed += self.suppressed;
    }

    /// Adds what changed since the last call, in order of the entries' keys. What came and went since then tells nothing.
    pub fn take_changes(&mut self, out: &mut Vec<Change>) {
        for of in std::mem::take(&mut self.changed) {
            let value = self.open.get(&of).map(|open| {
                let mut value = Vec::new();
                write_signed(open.until.micros(), &mut value);
                write_unsigned(open.suppressed, &mut value);
                value
            });
            let key = suppression_key(of.0, &of.1);
            let was_stored = if value.is_some() { self.stored.replace(of).is_some() } else { self.stored.remove(&of) };
            if was_stored || value.is_some() {
                out.push(Change { key, value });
            }
        }
    }

    /// Of how many the next call tells, at most.
    pub fn changes_noted(&self) -> usize {
        self.changed.len()
    }

    /// Nobody takes changes from now on: they are not noted.
    pub fn note_no_changes(&mut self) {
        self.changed.clear();
        self.tells_nobody = true;
    }

    /// Takes up an entry of the store, if it is of a suppression.
    ///
    /// # Errors
    ///
    /// The value was not written by [`Suppression::take_changes`].
    pub fn restore_entry(&mut self, key: &[u8], value: &[u8]) -> Result<bool, DamagedState> {
        let Some((version, by)) = split_suppression_key(key) else { return Ok(false) };
        let open = read(value).map_err(|reason| DamagedState { pattern: String::new(), reason })?;
        let of = (version, by.to_vec());
        self.ends.insert((open.until, of.clone()));
        self.stored.insert(of.clone());
        self.open.insert(of, open);
        Ok(true)
    }

    fn delivers(&mut self, found: &mut Match) -> bool {
        let (Some(suppress), Some(by), DecidedKind::Match) = (&found.pattern.suppress, &found.suppress_by, found.kind) else { return true };
        let of = (found.pattern.version, by.clone());
        let known = self.open.get(&of).copied();
        let open = match known {
            Some(open) if found.at < open.until => Open { suppressed: open.suppressed + 1, ..open },
            _ => Open { until: found.at.plus(suppress.span), suppressed: 0 },
        };
        let delivered = open.suppressed == 0;
        if delivered {
            found.suppressed = known.map_or(0, |known| known.suppressed);
            if let Some(known) = known {
                self.ends.remove(&(known.until, of.clone()));
            }
            self.ends.insert((open.until, of.clone()));
        } else {
            self.suppressed += 1;
        }
        self.open.insert(of.clone(), open);
        self.note_change(of);
        delivered
    }

    /// Forgets what has ended at the watermark and has nothing to tell, as far as that takes some 100 ms, and more than `matches` can have added; at the end of time everything.
    fn end(&mut self, watermark: EventTime, matches: usize) {
        let mut left = if watermark == EventTime::END { usize::MAX } else { EXPIRED_MAX.max(2 * matches) };
        self.has_overdue = false;
        while let Some((until, _)) = self.ends.first()
            && *until <= watermark
        {
            if left == 0 {
                self.has_overdue = true;
                break;
            }
            left -= 1;
            let (_, of) = self.ends.pop_first().expect("there is a first");
            if watermark == EventTime::END || self.open.get(&of).is_some_and(|open| open.suppressed == 0) {
                self.open.remove(&of);
                self.note_change(of);
            }
        }
        if watermark == EventTime::END {
            std::mem::take(&mut self.open).into_keys().for_each(|of| self.note_change(of));
        }
    }

    fn note_change(&mut self, of: Of) {
        if !self.tells_nobody {
            self.changed.insert(of);
        }
    }
}

fn read(value: &[u8]) -> Result<Open, Malformed> {
    let mut reader = Reader::new(value);
    let until = EventTime::from_micros(reader.signed("end of suppression")?);
    let suppressed = reader.unsigned("count of suppressed matches")?;
    if reader.is_at_end() { Ok(Open { until, suppressed }) } else { Err(reader.malformed("end")) }
}
