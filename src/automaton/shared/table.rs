//! The situations and moves that have come up so far, for all keys of a pattern: an automaton that is determinised as it goes.

use std::sync::Arc;

use crate::automaton::shared::moves::{Expiry, Move, Rules, Take};
use crate::automaton::shared::situation::{Outline, Situation};
use crate::event::Lookup;

/// Above so many situations those are forgotten that no key is in. Most patterns have fewer than 30 in all.
const SITUATIONS_MAX: usize = 4_096;
/// The same for moves, for each situation there may be.
const MOVES_EACH: usize = 8;

/// Remembers; what it has forgotten it finds out again. Numbers of situations show nowhere outside.
#[derive(Debug)]
pub(super) struct Table {
    known: Lookup<Outline, usize>,
    /// By number.
    situations: Vec<Option<Arc<Situation>>>,
    vacant: Vec<usize>,
    /// By number of the situation: by class, and by what time has come.
    moves: Vec<ByBits<Move>>,
    expiries: Vec<ByBits<Expiry>>,
    /// By class: what begins with it.
    begins: ByBits<Vec<Take>>,
    moves_made: usize,
    /// Forgets when there are more situations than this.
    most: usize,
    least_most: usize,
}

/// A map from a few words of bits.
#[derive(Debug)]
struct ByBits<T>(Vec<(u64, T)>);

impl<T> Default for ByBits<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByBits<T> {
    fn place(&self, bits: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&bits, |(bits, _)| *bits)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::with_most(SITUATIONS_MAX)
    }
}

impl Table {
    pub(super) fn with_most(most: usize) -> Self {
        let (known, begins) = (Lookup::default(), ByBits::default());
        Self { known, situations: Vec::new(), vacant: Vec::new(), moves: Vec::new(), expiries: Vec::new(), begins, moves_made: 0, most, least_most: most }
    }

    /// Between two events: forgets what is too much. What a key is in stays.
    pub(super) fn forget_surplus(&mut self) {
        if self.situations.len() - self.vacant.len() > self.most || self.moves_made > self.most.saturating_mul(MOVES_EACH) {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        self.begins = ByBits::default();
        self.moves.iter_mut().for_each(|moves| *moves = ByBits::default());
        self.expiries.iter_mut().for_each(|expiries| *expiries = ByBits::default());
        self.moves_made = 0;
        for (number, place) in self.situations.iter_mut().enumerate() {
            if let Some(unused) = place.take_if(|situation| Arc::strong_count(situation) == 1) {
                self.known.remove(&unused.outline);
                self.vacant.push(number);
            }
        }
        self.most = self.least_most.max(2 * (self.situations.len() - self.vacant.len()));
    }

    /// The situation with a normal outline.
    pub(super) fn situation(&mut self, outline: Outline, rules: Rules<'_>) -> Arc<Situation> {
        if let Some(known) = self.known.get(&outline) {
            return self.situations[*known].clone().expect("what is known has its place");
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.situations.push(None);
            self.moves.push(ByBits::default());
            self.expiries.push(ByBits::default());
            self.situations.len() - 1
        });
        self.known.insert(outline.clone(), number);
        let situation = Arc::new(Situation::new(number, outline, rules.automaton, rules.plan));
        self.situations[number] = Some(situation.clone());
        situation
    }

    /// What begins with an event of a class.
    pub(super) fn begin(&mut self, class: u64, rules: Rules<'_>) -> &[Take] {
        let class = class & rules.plan.start_asks;
        let place = self.begins.place(class).unwrap_or_else(|place| {
            let begun = rules.begin(class, self);
            self.moves_made += 1;
            self.begins.0.insert(place, (class, begun));
            place
        });
        &self.begins.0[place].1
    }

    pub(super) fn step(&mut self, from: &Situation, class: u64, rules: Rules<'_>) -> &Move {
        let class = class & from.asks;
        let place = self.moves[from.number].place(class).unwrap_or_else(|place| {
            let made = rules.step(from, class, self);
            self.moves_made += 1;
            self.moves[from.number].0.insert(place, (class, made));
            place
        });
        &self.moves[from.number].0[place].1
    }

    pub(super) fn expire(&mut self, from: &Situation, come: u64, rules: Rules<'_>) -> &Expiry {
        let place = self.expiries[from.number].place(come).unwrap_or_else(|place| {
            let made = rules.expire(from, come, self);
            self.moves_made += 1;
            self.expiries[from.number].0.insert(place, (come, made));
            place
        });
        &self.expiries[from.number].0[place].1
    }
}
