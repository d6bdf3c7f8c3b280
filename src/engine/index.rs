//! Which patterns an event can matter to, found for all of them together.
//!
//! Every bit of every pattern's class ([`crate::automaton::Class`]) is filed under the conjunct of its condition that tells events apart best (see `filed`); the other conjuncts
//! are asked of those that are found, each once however many bits share it. So the cost is that of the bits that an event may set, not that of the patterns there are; an event
//! that sets none, or stands in the line of none of the sources of the patterns that it sets one of, is neither held back nor looked up.
//!
//! What is found under one value depends on which of the conjuncts beside hold, and they are few: it is remembered by them ([`Remembered`]), so that most events are looked up
//! and compared with a few constants, and no more.
//!
//! Where many patterns have bits that the same events set, and that matter only where something waits, it is what is held of the event's key that is asked (see `waiting`).
//!
//! | file | holds |
//! |---|---|
//! | `places` | what tells the events apart that set a bit |
//! | `filed` | where all bits are filed, and what else is asked of what is found there |
//! | `texts`, `networks`, `thresholds`, `ranges` | what is filed under literals, under networks of addresses, under one bound, under two |
//! | `terms` | what is calculated of an event for many conjuncts |
//! | `atom` | one conjunct, as it is asked |
//! | `waiting`, `windows` | bits that are asked for by what is held of a key; by what its windows are |

mod atom;
mod filed;
mod networks;
mod places;
mod ranges;
mod terms;
mod texts;
mod thresholds;
mod waiting;
mod windows;

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::automaton::Class;
use crate::engine::compiled::{Compiled, Route, RouteSource};
use crate::engine::spread::Parts;
use crate::event::{Event, Fields, Kept, Value};

pub(super) use filed::{Indexes, StreamIndex, number};
pub(super) use thresholds::AskedFor;
pub(super) use waiting::Waiting;
pub(super) use windows::AskedOfWindow;

use filed::{Posting, Postings};

/// The patterns that an event matters to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    candidates: SmallVec<[Candidate; 3]>,
    parts: Parts,
    /// What of the event may be asked for later.
    kept: Kept,
}

/// One of them, and the event's class there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The number of a pattern, its place in [`Compiled::patterns`]; or of a [log](Compiled::log) that keeps the event.
    pub pattern: u32,
    pub sources: FittingSources,
    pub class: Class,
}

impl Candidate {
    /// Of a pattern that reads the stream as one source, whatever the event.
    pub(super) fn of_one_source(pattern: u32, class: Class) -> Self {
        Self { pattern, sources: FittingSources::of(0), class: Class::NOTHING.with(class) }
    }
}

/// As which of a pattern's sources of its stream an event stands in lines: a bit for each in their order. The last bit stands for all beyond the others: they are to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct FittingSources(u32);

impl FittingSources {
    pub(super) const NONE: Self = Self(0);

    const LAST: usize = u32::BITS as usize - 1;

    /// By its number among the pattern's sources of the stream.
    fn of(number: usize) -> Self {
        Self(1 << number.min(Self::LAST))
    }

    #[must_use]
    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those as which the event stands in lines.
    pub(super) fn of_route<'a>(self, route: &'a Route, fields: Fields<'a>, faults: &'a Cell<u64>) -> impl Iterator<Item = &'a RouteSource> {
        let fits = move |(number, source): &(usize, &RouteSource)| self.0 & Self::of(*number).0 != 0 && (*number < Self::LAST || source.fits(fields, faults));
        route.sources.iter().enumerate().filter(fits).map(|(_, source)| source)
    }
}

impl Interest {
    /// Whether the event matters to no pattern.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// What of the event may be asked for once it is held.
    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    /// The parts of the keys to which the event belongs.
    pub(super) fn parts(&self) -> Parts {
        self.parts
    }

    /// Of the first pattern, in an event that fits nothing.
    #[cfg(test)]
    pub(super) fn some() -> Self {
        let candidate = Candidate { pattern: 0, sources: FittingSources::of(0), class: Class::NOTHING };
        Self { candidates: SmallVec::from_slice(&[candidate]), parts: Parts::default(), kept: Kept::ALL }
    }

    /// One of them may stand for [whoever waits](Waiting::number).
    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }
}

/// Finds the interest in events, one after the other.
#[derive(Debug)]
pub struct Judge {
    compiled: Arc<Compiled>,
    hand: Hand,
    /// Every event matters to every pattern of its stream.
    wants_all: bool,
    /// Whatever may be asked of them.
    keeps_whole: bool,
    /// Into how many the keys are parted; 1: it is not asked to which of them an event belongs.
    parts: usize,
    /// Memory that is used again: a key, and the fields of an event with what is calculated of it.
    key: Vec<u8>,
    extended: Vec<Value>,
}

/// What was found out about the event at hand.
#[derive(Debug)]
struct Hand {
    event_number: u64,
    /// By atom of the stream with the most: the event for which it was evaluated last, and whether it held.
    atoms: Vec<(u64, bool)>,
    /// By number of a pattern or log, or of whoever waits: the event for which it was found last, and where it stands among the candidates; beyond them where it stands in no line.
    places: Vec<(u64, usize)>,
    found: Interest,
    /// By [`filed::Asked::number`].
    remembered: Vec<Remembered>,
    faults: Cell<u64>,
}

/// What is found under one value, by which of the atoms asked for there hold, a bit each.
#[derive(Clone, Debug, Default)]
struct Remembered(Vec<Option<Box<[Candidate]>>>);

impl Judge {
    pub fn new(compiled: Arc<Compiled>) -> Self {
        Self::of_parts(compiled, 1)
    }

    /// Also finds to which of so many parts of the keys events belong.
    pub fn of_parts(compiled: Arc<Compiled>, parts: usize) -> Self {
        let indexes = || compiled.streams.iter().map(|stream| &stream.index);
        let atoms = indexes().map(|index| index.atoms.len()).max().unwrap_or(0);
        let remembered = indexes().map(|index| index.remembered).max().unwrap_or(0);
        let hand = Hand {
            event_number: 0,
            atoms: vec![(0, false); atoms],
            places: vec![(0, 0); compiled.numbers()],
            found: Interest::default(),
            remembered: vec![Remembered::default(); remembered as usize],
            faults: Cell::new(0),
        };
        Self { compiled, hand, wants_all: false, keeps_whole: false, parts, key: Vec::new(), extended: Vec::new() }
    }

    /// Cost: a look-up for each field that some condition compares with constants, a comparison for each condition that is asked for beside, and as many candidates as are found. (Inlined: 14
    /// instructions less for each event, of which most matter to nothing.)
    #[inline(always)]
    pub fn interest(&mut self, event: &Event) -> &mut Interest {
        let Self { compiled, hand, wants_all, keeps_whole, parts, .. } = self;
        hand.event_number += 1;
        hand.found.candidates.clear();
        let stream = &compiled.streams[usize::from(event.stream.0)];
        hand.found.kept = if *keeps_whole { Kept::ALL } else { stream.kept };
        let index = &stream.index;
        match index.at_most_one(event) {
            Some(None) if !*wants_all => {}
            Some(Some(only)) if !*wants_all && *parts == 1 && index.waiting().is_none() => hand.take(only, index, event.all_fields()),
            Some(_) | None => self.gather(event),
        }
        &mut self.hand.found
    }

    /// Puts the candidates together wherever they are found.
    #[inline(never)]
    fn gather(&mut self, event: &Event) {
        let Self { compiled, hand, wants_all, parts, key, extended, .. } = self;
        let stream = &compiled.streams[usize::from(event.stream.0)];
        if *wants_all {
            return hand.found.candidates.extend(stream.routes.iter().filter_map(|route| watched(route, compiled, event, &hand.faults)));
        }
        let index = &stream.index;
        let mut fields = event.all_fields();
        if !index.terms.is_empty() {
            terms::extend(&index.terms, fields, &hand.faults, extended);
            fields = (&**extended).into();
        }
        let mut before: Option<&Postings> = None;
        index.for_each_found(fields, |postings| {
            if let Some(before) = before.replace(postings) {
                hand.merge(before, index, fields);
            }
        });
        match before {
            Some(only) if hand.found.is_empty() => hand.take(only, index, fields),
            Some(last) => hand.merge(last, index, fields),
            None => {}
        }
        if let Some(waiting) = index.waiting() {
            hand.find_who_waits(waiting, index, fields);
        }
        if *parts > 1 {
            hand.found.parts = Parts::of(*parts, stream, &hand.found.candidates, event, key);
        }
    }

    /// Calculations without a result so far.
    pub fn faults(&self) -> u64 {
        self.hand.faults.get()
    }

    /// From now on all fields of events are kept.
    pub(super) fn keep_whole(&mut self) {
        self.keeps_whole = true;
    }

    /// From now on every event matters to every pattern of its stream: for those who watch.
    pub(super) fn want_all(&mut self) {
        self.wants_all = true;
        self.keep_whole();
        self.hand.found.parts = Parts::default();
    }
}

/// The pattern of the route, whatever the event is there, or the log, if it keeps it; `None` if it stands in no line of it.
fn watched(route: &Route, compiled: &Compiled, event: &Event, faults: &Cell<u64>) -> Option<Candidate> {
    let fields = event.all_fields();
    let fitting = route.sources.iter().enumerate().filter(|(_, source)| source.fits(fields, faults));
    let sources = fitting.fold(FittingSources::NONE, |sources, (number, _)| sources.with(FittingSources::of(number)));
    let class = match compiled.log(route.pattern) {
        Some(log) => log.keeps(fields, faults).then_some(Class::NOTHING)?,
        None => compiled.patterns[route.pattern as usize].automaton.class_of(event.stream, fields, faults),
    };
    (sources != FittingSources::NONE).then_some(Candidate { pattern: route.pattern, sources, class })
}

impl Hand {
    /// Takes the candidates among postings, where nothing else is filed under what the event holds.
    #[inline(never)]
    fn take(&mut self, postings: &Postings, index: &StreamIndex, fields: Fields<'_>) {
        if let Some(certain) = postings.certain {
            return self.found.candidates.push(certain);
        }
        let Some(asked) = &postings.asked else { return self.merge(postings, index, fields) };
        let Self { remembered, found, faults, .. } = self;
        found.candidates = SmallVec::from_slice(remembered[asked.number as usize].look(postings, asked.bits(index, fields, faults)));
    }

    /// The same beside those of other postings.
    fn merge(&mut self, postings: &Postings, index: &StreamIndex, fields: Fields<'_>) {
        let Some(asked) = &postings.asked else {
            return postings.list.iter().for_each(|posting| self.try_posting(posting, index, fields));
        };
        let Self { remembered, found, faults, places, event_number, .. } = self;
        for candidate in remembered[asked.number as usize].look(postings, asked.bits(index, fields, faults)) {
            let place = &mut places[candidate.pattern as usize];
            if place.0 == *event_number {
                found.candidates[place.1].class = found.candidates[place.1].class.with(candidate.class);
            } else {
                *place = (*event_number, found.candidates.len());
                found.candidates.push(*candidate);
            }
        }
    }

    /// Notes whether the event concerns someone who may wait.
    #[inline(never)]
    fn find_who_waits(&mut self, waiting: &Waiting, index: &StreamIndex, fields: Fields<'_>) {
        let found = self.found.candidates.iter().position(|candidate| candidate.pattern == waiting.number);
        let concerns = waiting.concerns_someone(found.is_some(), fields, |atom| self.holds(atom, index, fields));
        match found {
            Some(place) if !concerns => {
                self.found.candidates.remove(place);
            }
            None if concerns => self.found.candidates.push(Candidate::of_one_source(waiting.number, Class::NOTHING)),
            Some(_) | None => {}
        }
    }

    fn try_posting(&mut self, posting: &Posting, index: &StreamIndex, fields: Fields<'_>) {
        if !posting.atoms.iter().all(|atom| self.holds(*atom, index, fields)) {
            return;
        }
        let (number, place) = self.places[posting.pattern as usize];
        if number == self.event_number {
            if let Some(candidate) = self.found.candidates.get_mut(place) {
                candidate.class = candidate.class.with(posting.class);
            }
            return;
        }
        let sources = posting.sources(|atom| self.holds(atom, index, fields));
        let fits = sources != FittingSources::NONE;
        self.places[posting.pattern as usize] = (self.event_number, if fits { self.found.candidates.len() } else { usize::MAX });
        if fits {
            self.found.candidates.push(Candidate { pattern: posting.pattern, sources, class: Class::NOTHING.with(posting.class) });
        }
    }

    fn holds(&mut self, atom: u32, index: &StreamIndex, fields: Fields<'_>) -> bool {
        let known = &mut self.atoms[atom as usize];
        if known.0 != self.event_number {
            *known = (self.event_number, index.atoms[atom as usize].holds(fields, &self.faults));
        }
        known.1
    }
}

impl Remembered {
    /// The candidates where of the atoms asked for there those of these bits hold, and no others.
    #[inline]
    fn look(&mut self, postings: &Postings, bits: u32) -> &[Candidate] {
        let Self(known) = self;
        let place = bits as usize;
        if place >= known.len() {
            known.resize(place + 1, None);
        }
        known[place].get_or_insert_with(|| postings.candidates(bits))
    }
}

#[cfg(test)]
mod tests;
