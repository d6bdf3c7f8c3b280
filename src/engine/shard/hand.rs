//! The keys of the event at hand, each made and looked up once however many patterns ask for it.

use smallvec::SmallVec;

use crate::engine::compiled::Keying;
use crate::engine::keys::key_hash;
use crate::engine::shard::lines::Lines;
use crate::engine::slot::SlotId;
use crate::event::SharedEvent;

/// The keys of the event at hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// By keying of the stream.
    pub keys: Vec<KeyAtHand>,
    /// By table: where the key of some keying is, as of the event with that number.
    pub slots: Vec<FoundSlot>,
    /// Events so far; tells which one a key is of.
    pub event_number: u64,
    /// The lines of the pattern at hand in which the event stands: a keying, and as which sources.
    pub stands: SmallVec<[(usize, u64); 2]>,
    /// By pattern: the event of which it was a candidate last, among events of streams for which [somebody may wait](crate::engine::index::Waiting).
    pub candidates: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct KeyAtHand {
    pub event_number: u64,
    pub bytes: Vec<u8>,
    pub hash: u64,
    pub whose: Whose,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FoundSlot {
    pub event_number: u64,
    pub keying: usize,
    pub slot: Option<SlotId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Whose {
    Ours,
    Others,
    /// A part of it is null.
    #[default]
    Nobody,
}

impl Hand {
    /// Finds the event's key, unless another pattern has asked for it before. `keyings`: of the event's stream.
    #[inline(always)]
    pub(super) fn find(&mut self, place: usize, keyings: &[Keying], event: &SharedEvent, lines: &Lines) -> Whose {
        let key = &mut self.keys[place];
        if key.event_number != self.event_number {
            key.event_number = self.event_number;
            key.make(&keyings[place], event, lines);
        }
        key.whose
    }

    /// Notes that the event stands in the line of the key, as the source with this bit.
    pub(super) fn stand(&mut self, keying: usize, source: u64) {
        let key = &self.keys[keying].bytes;
        match self.stands.iter_mut().find(|(known, _)| *known == keying || self.keys[*known].bytes == *key) {
            Some((_, stands_as)) => *stands_as |= source,
            None => self.stands.push((keying, source)),
        }
    }

    /// A key of the event, and where it is in the table, as far as that [is known](FoundSlot::is_of).
    pub(super) fn at(&mut self, table: usize, keying: usize) -> (&KeyAtHand, &mut FoundSlot) {
        (&self.keys[keying], &mut self.slots[table])
    }
}

impl KeyAtHand {
    /// Once for each event. (Apart, so that looking whether it was done needs no call.)
    #[inline(never)]
    fn make(&mut self, keying: &Keying, event: &SharedEvent, lines: &Lines) {
        self.whose = Whose::Nobody;
        if keying.write(event.fields(), lines.faults_of_all(), &mut self.bytes) {
            self.hash = key_hash(&self.bytes);
            self.whose = if lines.part.owns(self.hash) { Whose::Ours } else { Whose::Others };
        }
    }
}

impl FoundSlot {
    /// The event has come to the key there before, for another pattern.
    pub(super) fn is_of(&self, key: &KeyAtHand, keying: usize) -> bool {
        self.event_number == key.event_number && self.keying == keying
    }
}
