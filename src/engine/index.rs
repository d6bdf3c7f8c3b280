//! Which patterns an event can matter to, found for all of them together.
//!
//! Every bit of every pattern's class ([`crate::automaton::Class`]) is filed under the conjunct of its condition that tells events apart best: an equality of a field with a
//! constant (or a list of them), by a hash of the field's value; what has none is tried on every event. The other conjuncts are asked of those that are found; one that
//! several bits share is evaluated once. So the cost is that of the bits that an event may set, not that of the patterns there are; an event that sets
//! none is neither held back nor looked up.
//!
//! Equal numbers are found whatever their types (`1`, `1.0`, `1.00`); null is equal to nothing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use rust_decimal::prelude::ToPrimitive;
use smallvec::SmallVec;

use crate::automaton::Class;
use crate::engine::compiled::{Compiled, CompiledPattern};
use crate::event::{Event, Lookup, StreamId, Value};
use crate::pattern::{Comparison, Expression, FieldPath, Moment, NothingChosen, Scope, at_path};

/// The patterns that an event matters to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest(SmallVec<[Candidate; 4]>);

/// One of them, and the event's class there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Place in [`Compiled::patterns`].
    pub pattern: u32,
    pub class: Class,
}

impl Interest {
    /// Whether the event matters to no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the first pattern, in an event that fits nothing.
    #[cfg(test)]
    pub(super) fn some() -> Self {
        Self(SmallVec::from_slice(&[Candidate { pattern: 0, class: Class::NOTHING }]))
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.0
    }
}

/// Finds the interest in events, one after the other.
#[derive(Debug)]
pub struct Judge {
    compiled: Arc<Compiled>,
    hand: Hand,
    /// Every event matters to every pattern of its stream.
    wants_all: bool,
}

/// What was found out about the event at hand.
#[derive(Debug)]
struct Hand {
    event_number: u64,
    /// By atom of the stream with the most: the event for which it was evaluated last, and whether it held.
    atoms: Vec<(u64, bool)>,
    /// By pattern: the event for which it became a candidate last, and where it stands among them.
    places: Vec<(u64, usize)>,
    found: Interest,
    faults: Cell<u64>,
}

impl Judge {
    pub fn new(compiled: Arc<Compiled>) -> Self {
        let atoms = compiled.streams.iter().map(|stream| stream.index.atoms.len()).max().unwrap_or(0);
        let (atoms, places) = (vec![(0, false); atoms], vec![(0, 0); compiled.patterns.len()]);
        Self { compiled, hand: Hand { event_number: 0, atoms, places, found: Interest::default(), faults: Cell::new(0) }, wants_all: false }
    }

    /// Cost: a hash and a comparison for each field that some condition compares with constants, and for each condition that is left over.
    pub fn interest(&mut self, event: &Event) -> &mut Interest {
        let Self { compiled, hand, wants_all } = self;
        hand.found.0.clear();
        let stream = &compiled.streams[usize::from(event.stream.0)];
        if *wants_all {
            let candidate = |pattern: usize| Candidate { pattern: number(pattern), class: compiled.patterns[pattern].automaton.class_of(event, &hand.faults) };
            hand.found.0.extend(stream.routes.iter().map(|route| candidate(route.pattern)));
            return &mut hand.found;
        }
        hand.event_number += 1;
        for &pattern in &stream.index.every {
            hand.add(pattern, Class::NOTHING);
        }
        for equality in &stream.index.equalities {
            for posting in equality.find(at_path(event, &equality.path)) {
                hand.try_posting(posting, &stream.index, event);
            }
        }
        for posting in &stream.index.others {
            hand.try_posting(posting, &stream.index, event);
        }
        &mut hand.found
    }

    /// Calculations without a result so far.
    pub fn faults(&self) -> u64 {
        self.hand.faults.get()
    }

    /// From now on every event matters to every pattern of its stream: for those who watch.
    pub(super) fn want_all(&mut self) {
        self.wants_all = true;
    }
}

impl Hand {
    fn try_posting(&mut self, posting: &Posting, index: &StreamIndex, event: &Event) {
        if posting.atoms.iter().all(|atom| self.holds(*atom, index, event)) {
            self.add(posting.pattern, posting.class);
        }
    }

    fn holds(&mut self, atom: u32, index: &StreamIndex, event: &Event) -> bool {
        let known = &mut self.atoms[atom as usize];
        if known.0 != self.event_number {
            let scope = Scope { event: Some(event), chosen: &NothingChosen, moment: Moment::plain(&self.faults) };
            *known = (self.event_number, index.atoms[atom as usize].holds(&scope));
        }
        known.1
    }

    fn add(&mut self, pattern: u32, class: Class) {
        let (known, found) = (&mut self.places[pattern as usize], &mut self.found.0);
        if known.0 == self.event_number {
            let candidate = &mut found[known.1];
            candidate.class = candidate.class.with(class);
        } else {
            *known = (self.event_number, found.len());
            found.push(Candidate { pattern, class: Class::NOTHING.with(class) });
        }
    }
}

/// The bits of all patterns that events of one stream may set.
#[derive(Debug, Default)]
pub(super) struct StreamIndex {
    /// Each distinct conjunct once, but for those that the bits are filed under.
    atoms: Vec<Expression>,
    equalities: Vec<Equality>,
    /// Filed under nothing.
    others: Vec<Posting>,
    /// The patterns that want every event.
    every: Vec<u32>,
}

/// A bit of a pattern, and what must hold beside that under which it is filed.
#[derive(Clone, Debug)]
struct Posting {
    pattern: u32,
    class: Class,
    atoms: Box<[u32]>,
}

impl Posting {
    /// Bits of a pattern for which the same must hold are one posting; they come one after the other.
    fn file(self, postings: &mut Vec<Self>) {
        match postings.iter_mut().rev().take_while(|known| known.pattern == self.pattern).find(|known| known.atoms == self.atoms) {
            Some(known) => known.class = known.class.with(self.class),
            None => postings.push(self),
        }
    }
}

/// What is filed under the values of one field.
#[derive(Debug)]
struct Equality {
    path: FieldPath,
    /// By whole number, those of a few bits.
    small: Vec<Vec<Posting>>,
    whole_numbers: Lookup<i64, Vec<Posting>>,
    texts: Lookup<CompactString, Vec<Posting>>,
}

/// Whole numbers that a float holds exactly: beyond, being equal depends on the type.
const EXACT_MAX: i64 = 1 << 53;

/// Types and codes are mostly small: below it they need no hash.
const SMALL_END: i64 = 1 << 12;

impl Equality {
    fn find(&self, value: &Value) -> &[Posting] {
        let found = match value {
            Value::Text(text) => self.texts.get(text),
            value => whole_number(value).and_then(|number| match small(number) {
                Some(place) => self.small.get(place),
                None => self.whole_numbers.get(&number),
            }),
        };
        found.map_or(&[], Vec::as_slice)
    }

    fn file(&mut self, value: &Value, posting: Posting) {
        match value {
            Value::Text(text) => push(&mut self.texts, text.clone(), posting),
            value => {
                let number = whole_number(value).expect("only what can be filed is");
                match small(number) {
                    None => push(&mut self.whole_numbers, number, posting),
                    Some(place) => {
                        self.small.resize(self.small.len().max(place + 1), Vec::new());
                        posting.file(&mut self.small[place]);
                    }
                }
            }
        }
    }
}

fn push<K: Eq + std::hash::Hash>(postings: &mut Lookup<K, Vec<Posting>>, key: K, posting: Posting) {
    match postings.get_mut(&key) {
        Some(known) => posting.file(known),
        None => {
            postings.insert(key, vec![posting]);
        }
    }
}

fn small(number: i64) -> Option<usize> {
    usize::try_from(number).ok().filter(|_| number < SMALL_END)
}

fn whole_number(value: &Value) -> Option<i64> {
    let exact = |number: &i64| (-EXACT_MAX..=EXACT_MAX).contains(number);
    match value {
        Value::Int(number) => Some(*number),
        Value::Decimal(number) if number.fract().is_zero() => number.to_i64(),
        Value::Float(number) if number.fract() == 0.0 => number.to_i64(),
        _ => None,
    }
    .filter(exact)
}

/// The values of a field that a conjunct asks for.
fn values_asked_for(conjunct: &Expression) -> Option<(&FieldPath, &[Value])> {
    let (path, values) = match conjunct {
        Expression::Compare { comparison: Comparison::Equal, left, right } => match (&**left, &**right) {
            (Expression::Field(path), Expression::Constant(value)) | (Expression::Constant(value), Expression::Field(path)) => {
                (path, std::slice::from_ref(value))
            }
            _ => return None,
        },
        Expression::In { item, list } => match (&**item, &**list) {
            (Expression::Field(path), Expression::Constant(Value::List(values))) => (path, &**values),
            _ => return None,
        },
        _ => return None,
    };
    let can_be_filed = |value: &Value| matches!(value, Value::Text(_)) || whole_number(value).is_some();
    values.iter().all(can_be_filed).then_some((path, values))
}

/// Gathers the indexes of all streams.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// By stream.
    streams: Vec<StreamIndex>,
    /// Conjuncts are equal where their texts are.
    atoms: BTreeMap<(StreamId, String), u32>,
}

impl Indexes {
    pub(super) fn of(streams: usize, patterns: &[CompiledPattern]) -> Vec<StreamIndex> {
        let mut indexes = Self { streams: (0..streams).map(|_| StreamIndex::default()).collect(), atoms: BTreeMap::new() };
        for (pattern, compiled) in (0..).zip(patterns) {
            indexes.add(pattern, compiled);
        }
        indexes.streams
    }

    /// A family is found as its first member is.
    fn add(&mut self, pattern: u32, compiled: &CompiledPattern) {
        if compiled.first.is_some_and(|first| first != pattern) {
            return;
        }
        if compiled.automaton.wants_every_event() {
            let mut streams: Vec<StreamId> = compiled.pattern.sources.iter().map(|source| source.stream).collect();
            streams.sort_unstable();
            streams.dedup();
            streams.into_iter().for_each(|stream| self.streams[usize::from(stream.0)].every.push(pattern));
        }
        for bit in compiled.automaton.class_bits() {
            let filed = bit.conjuncts.iter().enumerate().find_map(|(place, conjunct)| Some((place, values_asked_for(conjunct)?)));
            let under = filed.as_ref().map(|(place, _)| *place);
            let beside = bit.conjuncts.iter().enumerate().filter(|(place, _)| Some(*place) != under);
            let atoms = beside.map(|(_, conjunct)| self.atom(bit.stream, conjunct)).collect();
            let posting = Posting { pattern, class: bit.class, atoms };
            let index = &mut self.streams[usize::from(bit.stream.0)];
            match filed {
                None => posting.file(&mut index.others),
                Some((_, (path, values))) => {
                    let equality = index.equality(path);
                    values.iter().for_each(|value| equality.file(value, posting.clone()));
                }
            }
        }
    }

    fn atom(&mut self, stream: StreamId, conjunct: &Expression) -> u32 {
        let index = &mut self.streams[usize::from(stream.0)];
        *self.atoms.entry((stream, format!("{conjunct:?}"))).or_insert_with(|| {
            index.atoms.push(conjunct.clone());
            number(index.atoms.len() - 1)
        })
    }
}

impl StreamIndex {
    fn equality(&mut self, path: &FieldPath) -> &mut Equality {
        let place = self.equalities.iter().position(|equality| equality.path == *path).unwrap_or_else(|| {
            self.equalities.push(Equality { path: path.clone(), small: Vec::new(), whole_numbers: Lookup::default(), texts: Lookup::default() });
            self.equalities.len() - 1
        });
        &mut self.equalities[place]
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer patterns and conjuncts than 32 bits count")
}
