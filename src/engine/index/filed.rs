//! Where the bits of all patterns are filed: under an equality of a field with a constant (or a list of them), by a hash of the field's value; else under a literal that a text
//! must have in it (see `texts`), or numbers that a field must be between (see `ranges`), or one that it must be more or less than (see `thresholds`); under one of these for each
//! alternative, where there are several; what has none of them is tried on every event. Of many patterns, bits that tell events apart no better than thresholds do and only matter where
//! something waits are asked for where something does (see `waiting`).
//!
//! A bit is filed together with what else must hold for it ([`Posting`]): the other conjuncts of its condition, and those of the filters of the pattern's sources. What follows from
//! being found under the value is not asked again. Equal numbers are found whatever their types (`1`, `1.0`, `1.00`); null is equal to nothing.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use rust_decimal::prelude::ToPrimitive;
use smallvec::SmallVec;

use crate::automaton::Class;
use crate::engine::compiled::CompiledPattern;
use crate::engine::index::atom::Atom;
use crate::engine::index::ranges::Ranges;
use crate::engine::index::texts::{self, Texts};
use crate::engine::index::thresholds::{self, Thresholds};
use crate::engine::index::waiting::{WAITING_MIN, Waiting};
use crate::engine::index::{Candidate, FittingSources};
use crate::event::{Event, Lookup, StreamId, Value};
use crate::pattern::{Comparison, Expression, FieldPath, at_path};

/// The bits of all patterns that events of one stream may set.
#[derive(Debug, Default)]
pub(in crate::engine) struct StreamIndex {
    /// Each distinct conjunct once, but for those that the bits are filed under.
    pub(super) atoms: Vec<Atom>,
    equalities: Vec<Equality>,
    texts: Vec<Texts>,
    thresholds: Vec<Thresholds>,
    ranges: Vec<Ranges>,
    /// Filed under nothing.
    others: Postings,
    waiting: Option<Box<Waiting>>,
    /// More than any [`Asked::number`] of the stream.
    pub(super) remembered: u32,
    /// All is filed under equalities, as it is mostly, and nobody is asked for because he waits.
    has_only_equalities: bool,
}

/// What is filed under one value.
#[derive(Debug, Default)]
pub(super) struct Postings {
    pub(super) list: Vec<Posting>,
    /// Where it is worth remembering what is found.
    pub(super) asked: Option<Box<Asked>>,
    /// All that is found, where nothing else is asked.
    pub(super) certain: Option<Candidate>,
}

/// All atoms that the postings under one value ask for: few and plain ones.
#[derive(Debug)]
pub(super) struct Asked {
    /// Among all values of all streams.
    pub(super) number: u32,
    atoms: SmallVec<[u32; ATOMS_REMEMBERED_MAX]>,
}

/// A bit of a pattern, and what must hold beside that under which it is filed.
#[derive(Clone, Debug)]
pub(super) struct Posting {
    pub(super) pattern: u32,
    pub(super) class: Class,
    pub(super) atoms: Box<[u32]>,
    /// As which sources the event stands in lines for certain, and as which if more holds.
    sure: FittingSources,
    unsure: Option<Box<Unsure>>,
}

/// Sources, each with the atoms that must hold.
#[derive(Clone, Debug)]
struct Unsure(Box<[(FittingSources, Box<[u32]>)]>);

/// What is found under one value is remembered for each subset of at most so many atoms.
const ATOMS_REMEMBERED_MAX: usize = 6;

/// With more postings than that, it would fill memory and seldom come again.
const POSTINGS_REMEMBERED_MAX: usize = 32;

impl Asked {
    /// A bit for each of the atoms that holds.
    #[inline]
    pub(super) fn bits(&self, index: &StreamIndex, event: &Event, faults: &Cell<u64>) -> u32 {
        let holds = |atom: &u32| u32::from(index.atoms[*atom as usize].holds(&event.fields, faults));
        self.atoms.iter().rev().fold(0, |bits, atom| bits << 1 | holds(atom))
    }
}

impl Posting {
    fn unsure(&self) -> &[(FittingSources, Box<[u32]>)] {
        self.unsure.as_ref().map_or(&[], |unsure| &unsure.0)
    }

    /// Of an event that fits.
    pub(super) fn sources(&self, mut holds: impl FnMut(u32) -> bool) -> FittingSources {
        let mut sources = self.sure;
        for (source, atoms) in self.unsure() {
            if atoms.iter().all(|atom| holds(*atom)) {
                sources = sources.with(*source);
            }
        }
        sources
    }
}

impl Postings {
    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bits of a pattern for which the same must hold are one posting; they come one after the other.
    pub(super) fn file(&mut self, posting: Posting) {
        let of_pattern = self.list.iter_mut().rev().take_while(|known| known.pattern == posting.pattern);
        match of_pattern.into_iter().find(|known| known.atoms == posting.atoms) {
            Some(known) => known.class = known.class.with(posting.class),
            None => self.list.push(posting),
        }
    }

    /// Those of an event for which of the atoms asked for these hold, and no others.
    pub(super) fn candidates(&self, bits: u32) -> Box<[Candidate]> {
        let asked = self.asked.as_ref().expect("who has bits has asked");
        let holds = |atom: u32| asked.atoms.iter().position(|known| *known == atom).is_some_and(|place| bits >> place & 1 == 1);
        let mut candidates: Vec<Candidate> = Vec::new();
        for posting in self.list.iter().filter(|posting| posting.atoms.iter().all(|atom| holds(*atom))) {
            match candidates.iter_mut().find(|known| known.pattern == posting.pattern) {
                Some(known) => known.class = known.class.with(posting.class),
                None => candidates.push(Candidate { pattern: posting.pattern, sources: posting.sources(holds), class: Class::NOTHING.with(posting.class) }),
            }
        }
        candidates.retain(|candidate| candidate.sources != FittingSources::NONE);
        candidates.into()
    }

    /// Finds out what is asked for here, and whether to remember what comes of it.
    fn finish(&mut self, atoms: &[Atom], number: &mut u32) {
        if let [only] = &self.list[..]
            && only.atoms.is_empty()
            && only.unsure.is_none()
        {
            self.certain = Some(Candidate { pattern: only.pattern, sources: only.sure, class: Class::NOTHING.with(only.class) });
        }
        let of_sources = |posting: &Posting| posting.unsure().iter().flat_map(|(_, atoms)| atoms).copied().collect::<Vec<_>>();
        let mut asked: Vec<u32> = self.list.iter().flat_map(|posting| [posting.atoms.to_vec(), of_sources(posting)]).flatten().collect();
        asked.sort_unstable();
        asked.dedup();
        let are_few = asked.len() <= ATOMS_REMEMBERED_MAX && (2..=POSTINGS_REMEMBERED_MAX).contains(&self.list.len());
        if are_few && asked.iter().all(|atom| atoms[*atom as usize].is_plain()) {
            self.asked = Some(Box::new(Asked { number: *number, atoms: asked.into() }));
            *number += 1;
        }
    }
}

/// What is filed under the values of one field.
#[derive(Debug)]
struct Equality {
    path: FieldPath,
    /// By whole number, those of a few bits.
    small: Vec<Postings>,
    whole_numbers: Lookup<i64, usize>,
    texts: Lookup<CompactString, usize>,
    /// Those of the two before.
    others: Vec<Postings>,
}

/// Whole numbers that a float holds exactly: beyond, being equal depends on the type.
const EXACT_MAX: i64 = 1 << 53;

/// Types and codes are mostly small: below it they need no hash.
const SMALL_END: i64 = 1 << 12;

impl Equality {
    fn of(path: &FieldPath) -> Self {
        Self { path: path.clone(), small: Vec::new(), whole_numbers: Lookup::default(), texts: Lookup::default(), others: Vec::new() }
    }

    #[inline]
    fn find(&self, value: &Value) -> Option<&Postings> {
        match value {
            Value::Int(number) if (0..SMALL_END).contains(number) => self.find_small(*number),
            Value::Null => None,
            Value::Text(text) => self.texts.get(text).map(|place| &self.others[*place]),
            value => self.find_number(value),
        }
    }

    /// `None`: it would take longer to find out.
    #[inline]
    fn find_at_once(&self, event: &Event) -> Option<Option<&Postings>> {
        let [field] = self.path[..] else { return None };
        match event.fields[usize::from(field)] {
            Value::Int(number) if (0..SMALL_END).contains(&number) => Some(self.find_small(number)),
            _ => None,
        }
    }

    #[inline]
    fn find_small(&self, number: i64) -> Option<&Postings> {
        self.small.get(small(number)?).filter(|postings| !postings.is_empty())
    }

    fn find_number(&self, value: &Value) -> Option<&Postings> {
        let number = whole_number(value)?;
        let elsewhere = || self.whole_numbers.get(&number).map(|place| &self.others[*place]);
        self.find_small(number).or_else(elsewhere)
    }

    fn file(&mut self, value: &Value, posting: Posting) {
        let Self { small: of_small, whole_numbers, texts, others, .. } = self;
        let place = match value {
            Value::Text(text) => place_of(texts, text, others),
            value => {
                let number = whole_number(value).expect("only what can be filed is");
                if let Some(place) = small(number) {
                    of_small.resize_with(of_small.len().max(place + 1), Postings::default);
                    return of_small[place].file(posting);
                }
                place_of(whole_numbers, &number, others)
            }
        };
        others[place].file(posting);
    }
}

fn place_of<K: Clone + Eq + std::hash::Hash>(known: &mut Lookup<K, usize>, key: &K, postings: &mut Vec<Postings>) -> usize {
    if let Some(place) = known.get(key) {
        return *place;
    }
    postings.push(Postings::default());
    known.insert(key.clone(), postings.len() - 1);
    postings.len() - 1
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
        Expression::In { item, list } => match (&**item, &**list) {
            (Expression::Field(path), Expression::Constant(Value::List(values))) => (path, &**values),
            _ => return None,
        },
        other => match other.compares_with_constant()? {
            (Comparison::Equal, path, value) => (path, std::slice::from_ref(value)),
            _ => return None,
        },
    };
    let can_be_filed = |value: &Value| matches!(value, Value::Text(_)) || whole_number(value).is_some();
    values.iter().all(can_be_filed).then_some((path, values))
}

/// Whether values that can be filed are filed in the same place.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => one == other,
        _ => whole_number(one).is_some_and(|number| whole_number(other) == Some(number)),
    }
}

/// Where a bit is filed, and what is thereby known of an event that is found there.
struct Place<'a> {
    under: Under<'a>,
    /// These of the conjuncts hold.
    known: SmallVec<[&'a Expression; 2]>,
}

enum Under<'a> {
    /// The field is this.
    Value(&'a FieldPath, &'a Value),
    Literals(texts::AskedFor<'a>),
    Threshold(thresholds::AskedFor<'a>),
    /// The field is more than the one, and less than the other.
    Range(thresholds::AskedFor<'a>, thresholds::AskedFor<'a>),
    Nothing,
}

/// How well a place tells events apart: best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    Value,
    Literals,
    /// Several of these.
    Alternatives,
    Range,
    Threshold,
    /// Several, some of which are ranges or thresholds.
    Thresholds,
    Nothing,
}

/// Where a bit with these conjuncts is filed best: an event that sets it is found in one of the places.
fn places<'a>(conjuncts: &[&'a Expression]) -> (Telling, Vec<Place<'a>>) {
    let each = conjuncts.iter().filter_map(|conjunct| places_of(conjunct));
    let ranges = conjuncts.iter().filter_map(|low| {
        let asked = thresholds::AskedFor::by(low)?;
        let (high, above) = conjuncts.iter().find_map(|high| Some((*high, asked.range_with(thresholds::AskedFor::by(high)?)?)))?;
        Some((Telling::Range, vec![Place { under: Under::Range(above.0, above.1), known: SmallVec::from_slice(&[*low, high]) }]))
    });
    let best = each.chain(ranges).min_by_key(|(telling, _)| *telling);
    best.unwrap_or_else(|| (Telling::Nothing, vec![Place { under: Under::Nothing, known: SmallVec::new() }]))
}

/// The same of one conjunct; `None`: it tells nothing.
fn places_of(conjunct: &Expression) -> Option<(Telling, Vec<Place<'_>>)> {
    let known = || SmallVec::from_slice(&[conjunct]);
    if let Some((path, values)) = values_asked_for(conjunct) {
        return Some((Telling::Value, values.iter().map(|value| Place { under: Under::Value(path, value), known: SmallVec::new() }).collect()));
    }
    if let Some(asked) = texts::AskedFor::by(conjunct) {
        let known = if asked.is_all { known() } else { SmallVec::new() };
        return Some((Telling::Literals, vec![Place { under: Under::Literals(asked), known }]));
    }
    if let Expression::Or(alternatives) = conjunct {
        let each: Vec<_> = alternatives.iter().map(|alternative| places(&alternative.conjuncts())).collect();
        let worst = each.iter().map(|(telling, _)| *telling).max()?;
        let telling = if worst <= Telling::Alternatives { Telling::Alternatives } else { Telling::Thresholds };
        let under = each.into_iter().flat_map(|(_, places)| places).map(|place| Place { known: SmallVec::new(), ..place });
        return (worst != Telling::Nothing).then(|| (telling, under.collect()));
    }
    let asked = thresholds::AskedFor::by(conjunct)?;
    Some((Telling::Threshold, vec![Place { under: Under::Threshold(asked), known: known() }]))
}

/// Of the conjuncts, those that still have to be asked of an event that was found there; `None` if one of them does not hold then.
fn left_to_ask<'a>(conjuncts: &[&'a Expression], place: &Place<'_>) -> Option<Vec<&'a Expression>> {
    let mut left = Vec::new();
    for conjunct in conjuncts {
        match (values_asked_for(conjunct), &place.under) {
            (Some((path, values)), Under::Value(field, value)) if path == *field => {
                if !values.iter().any(|asked| is_same(asked, value)) {
                    return None;
                }
            }
            _ if place.known.iter().any(|known| std::ptr::eq(*known, *conjunct)) => {}
            _ => left.push(*conjunct),
        }
    }
    Some(left)
}

/// Gathers the indexes of all streams.
#[derive(Debug, Default)]
pub(in crate::engine) struct Indexes {
    /// By stream.
    streams: Vec<StreamIndex>,
    /// Conjuncts are equal where their texts are.
    atoms: BTreeMap<(StreamId, String), u32>,
}

/// A bit to be filed.
struct Bit<'a> {
    pattern: u32,
    stream: StreamId,
    class: Class,
    conjuncts: Vec<&'a Expression>,
    /// The conjuncts of the filters of the pattern's sources of the stream.
    filters: &'a [Vec<&'a Expression>],
    /// It does nothing where nothing of the pattern waits.
    awaits: bool,
}

impl Bit<'_> {
    /// Whether it is as [`Waiting::add`] asks for, and hardly tells events apart.
    fn may_wait(&self) -> bool {
        let stands_anyway = matches!(self.filters, [only] if only.is_empty());
        self.awaits && stands_anyway && places(&self.conjuncts).0 > Telling::Alternatives && self.conjuncts.iter().all(|conjunct| Atom::of(conjunct).is_plain())
    }
}

impl Indexes {
    pub(in crate::engine) fn of(streams: usize, patterns: &[CompiledPattern]) -> Vec<StreamIndex> {
        let mut indexes = Self { streams: (0..streams).map(|_| StreamIndex::default()).collect(), atoms: BTreeMap::new() };
        // A family is found as its first member is.
        let found = || (0..).zip(patterns).filter(|(pattern, compiled)| compiled.first.is_none_or(|first| first == *pattern));
        let mut waiting = vec![BTreeSet::new(); streams];
        for (pattern, compiled) in found() {
            for_each_bit(pattern, compiled, |bit| {
                if bit.may_wait() {
                    waiting[usize::from(bit.stream.0)].insert(pattern);
                }
            });
        }
        for (stream, patterns) in indexes.streams.iter_mut().zip(waiting) {
            stream.waiting = (patterns.len() >= WAITING_MIN).then(Box::default);
        }
        found().for_each(|(pattern, compiled)| for_each_bit(pattern, compiled, |bit| indexes.file(bit)));
        let mut number = 0;
        indexes.streams.iter_mut().for_each(|stream| stream.finish(&mut number));
        indexes.streams
    }

    fn file(&mut self, bit: &Bit<'_>) {
        let stream = usize::from(bit.stream.0);
        if self.streams[stream].waiting.is_some() && bit.may_wait() {
            let atoms = self.atoms(bit.stream, &bit.conjuncts);
            let threshold = bit.conjuncts.iter().find_map(|conjunct| thresholds::AskedFor::by(conjunct));
            if let Some(waiting) = &mut self.streams[stream].waiting {
                waiting.add(bit.pattern, bit.class, atoms, threshold);
            }
            return;
        }
        for place in places(&bit.conjuncts).1 {
            let Some(posting) = self.posting(bit, &place) else { continue };
            let index = &mut self.streams[stream];
            match place.under {
                Under::Value(path, value) => index.equality(path).file(value, posting),
                Under::Literals(asked) => asked.literals.iter().for_each(|literal| index.texts(asked.path).file(literal, posting.clone())),
                Under::Threshold(asked) => index.thresholds(asked).file(asked, posting),
                Under::Range(low, high) => index.ranges(low.path).file(low, high, posting),
                Under::Nothing => index.others.file(posting),
            }
        }
    }

    /// `None`: an event that is found there does not set the bit, or stands in no line.
    fn posting(&mut self, bit: &Bit<'_>, place: &Place<'_>) -> Option<Posting> {
        let atoms = self.atoms(bit.stream, &left_to_ask(&bit.conjuncts, place)?);
        let (mut sure, mut unsure) = (FittingSources::NONE, Vec::new());
        for (number, filter) in bit.filters.iter().enumerate() {
            let Some(left) = left_to_ask(filter, place) else { continue };
            // What the bit asks for holds where the sources are asked for.
            let left: Box<[u32]> = self.atoms(bit.stream, &left).iter().filter(|atom| !atoms.contains(atom)).copied().collect();
            if left.is_empty() {
                sure = sure.with(FittingSources::of(number));
            } else {
                unsure.push((FittingSources::of(number), left));
            }
        }
        let unsure = (!unsure.is_empty()).then(|| Box::new(Unsure(unsure.into())));
        let stands = sure != FittingSources::NONE || unsure.is_some();
        stands.then_some(Posting { pattern: bit.pattern, class: bit.class, atoms, sure, unsure })
    }

    /// Each once, in the order in which they are asked.
    fn atoms(&mut self, stream: StreamId, conjuncts: &[&Expression]) -> Box<[u32]> {
        let mut atoms = Vec::new();
        for conjunct in conjuncts {
            let atom = self.atom(stream, conjunct);
            if !atoms.contains(&atom) {
                atoms.push(atom);
            }
        }
        atoms.into()
    }

    fn atom(&mut self, stream: StreamId, conjunct: &Expression) -> u32 {
        let index = &mut self.streams[usize::from(stream.0)];
        *self.atoms.entry((stream, format!("{conjunct:?}"))).or_insert_with(|| {
            index.atoms.push(Atom::of(conjunct));
            number(index.atoms.len() - 1)
        })
    }
}

/// Those of the pattern, stream by stream.
fn for_each_bit(pattern: u32, compiled: &CompiledPattern, mut each: impl FnMut(&Bit<'_>)) {
    let mut streams: Vec<StreamId> = compiled.pattern.sources.iter().map(|source| source.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    let automaton = &compiled.automaton;
    for stream in streams {
        let sources = compiled.pattern.sources.iter().filter(|source| source.stream == stream);
        let filters: Vec<Vec<&Expression>> = sources.map(|source| source.filter.iter().flat_map(Expression::conjuncts).collect()).collect();
        let mut bit = |class: Class, conjuncts| each(&Bit { pattern, stream, class, conjuncts, filters: &filters, awaits: !class.meets(automaton.acting()) });
        if automaton.wants_every_event() {
            // Every one that stands in its lines.
            filters.iter().cloned().for_each(|conjuncts| bit(Class::NOTHING, conjuncts));
        }
        automaton.class_bits().filter(|known| known.stream == stream).for_each(|known| bit(known.class, known.conjuncts.iter().collect()));
    }
}

impl StreamIndex {
    /// Who is asked for where something of him waits.
    pub(in crate::engine) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_deref()
    }

    pub(in crate::engine) fn waiting_mut(&mut self) -> Option<&mut Waiting> {
        self.waiting.as_deref_mut()
    }

    /// As [`Waiting::class_of`] has it.
    pub(in crate::engine) fn awaited(&self, waiting: &Waiting, pattern: u32, fields: &[Value]) -> Option<Class> {
        waiting.class_of(pattern, &self.atoms, fields)
    }

    /// All that is found, which is nothing or one: where that shows in fields that are small numbers, as it mostly does, it costs a few instructions, and no call. `None`: it is more, or takes
    /// longer to find out.
    #[inline]
    pub(super) fn at_most_one(&self, event: &Event) -> Option<Option<&Postings>> {
        if !self.has_only_equalities {
            return None;
        }
        let mut found = None;
        for equality in &self.equalities {
            if let Some(postings) = equality.find_at_once(event)?
                && found.replace(postings).is_some()
            {
                return None;
            }
        }
        Some(found)
    }

    /// Visits what is filed under the values that the event has. (In loops: a chain of iterators took 70 instructions more, for every event.)
    #[inline]
    pub(super) fn for_each_found<'a>(&'a self, event: &Event, mut visit: impl FnMut(&'a Postings)) {
        for equality in &self.equalities {
            if let Some(postings) = equality.find(at_path(&event.fields, &equality.path)) {
                visit(postings);
            }
        }
        if !self.has_only_equalities {
            self.for_each_other_found(event, visit);
        }
    }

    /// But for those that are filed under equalities.
    fn for_each_other_found<'a>(&'a self, event: &Event, mut visit: impl FnMut(&'a Postings)) {
        for texts in &self.texts {
            texts.found(at_path(&event.fields, &texts.path)).for_each(&mut visit);
        }
        for thresholds in &self.thresholds {
            thresholds.found(at_path(&event.fields, &thresholds.path)).for_each(&mut visit);
        }
        for ranges in &self.ranges {
            ranges.for_each_found(at_path(&event.fields, &ranges.path), &mut visit);
        }
        if !self.others.is_empty() {
            visit(&self.others);
        }
    }

    fn equality(&mut self, path: &FieldPath) -> &mut Equality {
        find_or_make(&mut self.equalities, |equality| equality.path == *path, || Equality::of(path))
    }

    fn texts(&mut self, path: &FieldPath) -> &mut Texts {
        find_or_make(&mut self.texts, |texts| texts.path == *path, || Texts::of(path))
    }

    fn thresholds(&mut self, asked: thresholds::AskedFor<'_>) -> &mut Thresholds {
        find_or_make(&mut self.thresholds, |thresholds| thresholds.are_for(asked), || Thresholds::of(asked))
    }

    fn ranges(&mut self, path: &FieldPath) -> &mut Ranges {
        find_or_make(&mut self.ranges, |ranges| ranges.path == *path, || Ranges::of(path))
    }

    fn finish(&mut self, number: &mut u32) {
        let Self { atoms, equalities, texts, thresholds, ranges, others, waiting, remembered, has_only_equalities } = self;
        *has_only_equalities = texts.is_empty() && thresholds.is_empty() && ranges.is_empty() && others.is_empty() && waiting.is_none();
        for equality in equalities {
            equality.small.iter_mut().chain(&mut equality.others).for_each(|postings| postings.finish(atoms, number));
        }
        texts.iter_mut().flat_map(Texts::finish).for_each(|postings| postings.finish(atoms, number));
        thresholds.iter_mut().flat_map(Thresholds::postings).for_each(|postings| postings.finish(atoms, number));
        ranges.iter_mut().flat_map(Ranges::finish).for_each(|postings| postings.finish(atoms, number));
        others.finish(atoms, number);
        *remembered = *number;
    }
}

pub(super) fn find_or_make<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let place = all.iter().position(is_it).unwrap_or_else(|| {
        all.push(make());
        all.len() - 1
    });
    &mut all[place]
}

pub(in crate::engine) fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer patterns, conjuncts and keys of patterns than 32 bits count")
}
