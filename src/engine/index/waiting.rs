//! Bits that tell few events apart and do nothing where nothing of their pattern waits: asked for the other way round.
//!
//! With a thousand patterns that await `amount > a.amount` every event would be a candidate of each, and its key has something of a few. So where many patterns have such bits, an event is said to
//! concern [whoever waits](crate::engine::index::Candidate::WHOEVER_WAITS), and what is held of its key is asked which of them it sets. What comes of it is the same: a bit that neither begins a run nor
//! counts in a window changes nothing of a pattern that has nothing there.

use std::cell::Cell;

use crate::automaton::Class;
use crate::engine::index::atom::Atom;
use crate::engine::index::filed::find_or_make;
use crate::engine::index::thresholds::{AskedFor, Thresholds};
use crate::event::Value;
use crate::pattern::at_path;

/// With fewer patterns, finding all of them costs less than to look at what is held of a key.
pub(super) const WAITING_MIN: usize = 32;

/// Where there are as many different ones, they are not asked before a key is looked at.
const ASKED_BEFORE_MAX: usize = 8;

/// A bit, and the atoms that must hold so that it is set.
type Bit = (Class, Box<[u32]>);

/// Those of one stream.
#[derive(Debug, Default)]
pub(in crate::engine) struct Waiting {
    /// By pattern; there may be none for it.
    bits: Vec<Vec<Bit>>,
    /// Without one of these thresholds, and none of these lists of atoms, an event sets none of the bits.
    thresholds: Vec<Thresholds>,
    others: Vec<Box<[u32]>>,
    /// Of the patterns: the place of a keying of the stream, and of a table of keys. Each once.
    pub lines: Vec<(usize, usize)>,
}

impl Waiting {
    /// A bit of a pattern: it neither begins a run nor counts in a window, and the pattern reads the stream as one source, whatever the event. `threshold`: one of the conjuncts that are asked as `atoms`.
    pub(super) fn add(&mut self, pattern: u32, class: Class, atoms: Box<[u32]>, threshold: Option<AskedFor<'_>>) {
        let place = pattern as usize;
        self.bits.resize_with(self.bits.len().max(place + 1), Vec::new);
        if let Some(asked) = threshold {
            find_or_make(&mut self.thresholds, |known| known.are_for(asked), || Thresholds::of(asked)).at(asked);
        } else if self.others.len() < ASKED_BEFORE_MAX && !self.others.contains(&atoms) {
            // With one more than are asked, none is needed: what asks for nothing always holds.
            let is_last = self.others.len() + 1 == ASKED_BEFORE_MAX;
            self.others.push(if is_last { Box::default() } else { atoms.clone() });
        }
        self.bits[place].push((class, atoms));
    }

    /// False if the event, for which these atoms hold, sets none of the bits.
    pub(super) fn may_concern(&self, fields: &[Value], mut holds: impl FnMut(u32) -> bool) -> bool {
        self.others.iter().any(|atoms| atoms.iter().all(|atom| holds(*atom)))
            || self.thresholds.iter().any(|thresholds| thresholds.any_holds(at_path(fields, &thresholds.path)))
    }

    pub(in crate::engine) fn patterns(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.bits).filter(|(_, bits)| !bits.is_empty()).map(|(pattern, _)| pattern)
    }

    /// Which of the pattern's bits an event sets; `None`: none of them. `atoms`: those of the stream.
    pub(super) fn class_of(&self, pattern: u32, atoms: &[Atom], fields: &[Value]) -> Option<Class> {
        // They calculate nothing.
        let faults = Cell::new(0);
        let holds = |(_, asked): &&Bit| asked.iter().all(|atom| atoms[*atom as usize].holds(fields, &faults));
        let set = self.bits.get(pattern as usize)?.iter().filter(holds).map(|(class, _)| *class);
        set.reduce(Class::with)
    }
}
