//! Where the bits of all patterns are filed: under an equality of a field with a constant (or a list of them), by a hash of the field's value; else under a literal that a text
//! must have in it (see `texts`), a network that an address must be in (see `networks`), numbers that a field must be between (see `ranges`), or one that it must be more or
//! less than (see `thresholds`); under one of these for each alternative, where there are several; what has none of them is tried on every event (see `places`). What many bits
//! calculate of an event is a field in this (see `terms`). Of many patterns, bits that would be found together and only matter where something waits are asked for where something
//! does (see `waiting`).
//!
//! A bit is filed together with what else must hold for it ([`Posting`]): the other conjuncts of its condition, and those of the filters of the pattern's sources. What follows from
//! being found under the value is not asked again. Equal numbers are found whatever their types (`1`, `1.0`, `1.00`); null is equal to nothing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::automaton::Class;
use crate::engine::compiled::CompiledPattern;
use crate::engine::index::atom::Atom;
use crate::engine::index::networks::{self, Networks};
use crate::engine::index::places::{Conjunct, Place, Telling, Under, left_to_ask, places, whole_number};
use crate::engine::index::ranges::Ranges;
use crate::engine::index::terms::Terms;
use crate::engine::index::texts::Texts;
use crate::engine::index::thresholds::{self, Thresholds};
use crate::engine::index::waiting::{Crowds, Waiting};
use crate::engine::index::windows::AskedOfWindow;
use crate::engine::index::{Candidate, FittingSources};
use crate::engine::logs::{Log, ViewOf, first_log};
use crate::event::{Event, Fields, Lookup, Schema, StreamId, Value};
use crate::pattern::{Expression, FieldPath, Source, at_path};

/// The bits of all patterns that events of one stream may set.
#[derive(Debug, Default)]
pub(in crate::engine) struct StreamIndex {
    /// Each distinct conjunct once, but for those that the bits are filed under.
    pub(super) atoms: Vec<Atom>,
    /// What is calculated of each event: conjuncts are asked of its fields and, behind them, of these values.
    pub(super) terms: Vec<Expression>,
    equalities: Vec<Equality>,
    texts: Vec<Texts>,
    thresholds: Vec<Thresholds>,
    ranges: Vec<Ranges>,
    networks: Vec<Networks>,
    /// Filed under nothing.
    others: Postings,
    waiting: Option<Box<Waiting>>,
    /// More than any [`Asked::number`] of the stream.
    pub(super) remembered: u32,
    /// All is filed under equalities, as it is mostly.
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
    pub(super) fn bits(&self, index: &StreamIndex, fields: Fields<'_>, faults: &Cell<u64>) -> u32 {
        let holds = |atom: &u32| u32::from(index.atoms[*atom as usize].holds(fields, faults));
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
    /// Places in `postings`, by whole number, those of a few bits; [`NOWHERE`]: nothing is filed.
    small: Vec<u32>,
    whole_numbers: Lookup<i64, usize>,
    texts: Lookup<CompactString, usize>,
    postings: Vec<Postings>,
}

const NOWHERE: u32 = u32::MAX;

/// Types and codes are mostly small: below it they need no hash.
const SMALL_END: i64 = 1 << 12;

impl Equality {
    fn of(path: &FieldPath) -> Self {
        Self { path: path.clone(), small: Vec::new(), whole_numbers: Lookup::default(), texts: Lookup::default(), postings: Vec::new() }
    }

    #[inline]
    fn find(&self, value: &Value) -> Option<&Postings> {
        match value {
            Value::Int(number) if (0..SMALL_END).contains(number) => self.find_small(*number),
            Value::Null => None,
            Value::Text(text) => self.texts.get(text).map(|place| &self.postings[*place]),
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
        self.postings.get(*self.small.get(small(number)?)? as usize)
    }

    fn find_number(&self, value: &Value) -> Option<&Postings> {
        let number = whole_number(value)?;
        let elsewhere = || self.whole_numbers.get(&number).map(|place| &self.postings[*place]);
        self.find_small(number).or_else(elsewhere)
    }

    fn file(&mut self, value: &Value, posting: Posting) {
        let Self { small: of_small, whole_numbers, texts, postings, .. } = self;
        let place = match value {
            Value::Text(text) => place_of(texts, text, postings),
            value => {
                let whole = whole_number(value).expect("only what can be filed is");
                match small(whole) {
                    Some(place) => {
                        of_small.resize(of_small.len().max(place + 1), NOWHERE);
                        if of_small[place] == NOWHERE {
                            of_small[place] = number(postings.len());
                            postings.push(Postings::default());
                        }
                        of_small[place] as usize
                    }
                    None => place_of(whole_numbers, &whole, postings),
                }
            }
        };
        postings[place].file(posting);
    }
}

/// The place among the postings of what is filed under the key, which is there from now on.
pub(super) fn place_of<K: Clone + Eq + std::hash::Hash>(known: &mut Lookup<K, usize>, key: &K, postings: &mut Vec<Postings>) -> usize {
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
    filters: Rc<[Vec<&'a Expression>]>,
    /// Where it is filed best.
    telling: Telling,
    places: Vec<Place<'a>>,
    /// It does nothing where nothing of the pattern waits and this, if there is such, does not hold of the key's windows; and the pattern's keys are fields.
    awaits: bool,
    window: Option<(ViewOf, &'a AskedOfWindow)>,
    /// Some of the conjuncts are asked of what is calculated.
    asks_terms: bool,
}

impl<'a> Bit<'a> {
    fn of(pattern: u32, stream: StreamId, class: Class, conjuncts: Vec<&'a Expression>, filters: Rc<[Vec<&'a Expression>]>) -> Self {
        let (telling, places) = places(&conjuncts);
        Self { pattern, stream, class, conjuncts, filters, telling, places, awaits: false, window: None, asks_terms: false }
    }

    /// Where its conjuncts are among those, by their places in memory, they are asked of what is calculated once for all.
    fn asking(self, of_values: &'a BTreeMap<*const Expression, Expression>) -> Self {
        let of_value = |conjunct: &'a Expression| of_values.get(&std::ptr::from_ref(conjunct));
        if !self.conjuncts.iter().any(|conjunct| of_value(conjunct).is_some()) {
            return self;
        }
        let conjuncts = self.conjuncts.iter().map(|conjunct| of_value(conjunct).unwrap_or(conjunct)).collect();
        let Self { awaits, window, .. } = self;
        Self { awaits, window, asks_terms: true, ..Self::of(self.pattern, self.stream, self.class, conjuncts, self.filters) }
    }

    /// Whether it is as [`Waiting::add`] asks for.
    fn may_wait(&self) -> bool {
        let stands_anyway = matches!(&self.filters[..], [only] if only.is_empty());
        self.awaits && !self.asks_terms && stands_anyway && self.conjuncts.iter().all(|conjunct| Atom::of(conjunct).is_plain())
    }
}

impl Indexes {
    pub(in crate::engine) fn of(schema: &Schema, patterns: &[CompiledPattern], logs: &[Log]) -> Vec<StreamIndex> {
        // A family is found as its first member is.
        let found = (0..).zip(patterns).filter(|(pattern, compiled)| compiled.first.is_none_or(|first| first == *pattern));
        let of_patterns = found.flat_map(|(pattern, compiled)| bits_of(pattern, compiled));
        let of_logs = (first_log(patterns.len())..).zip(logs).map(|(number, log)| bit_of_log(number, log));
        let written: Vec<Bit<'_>> = of_patterns.chain(of_logs).collect();
        let mut terms = Terms::default();
        // What is found by a value is asked of few events.
        for bit in written.iter().filter(|bit| bit.telling > Telling::Value) {
            bit.conjuncts.iter().for_each(|conjunct| terms.count(bit.stream, conjunct, bit.telling == Telling::Nothing));
        }
        let with_terms = |stream| StreamIndex { terms: terms.share(stream), ..StreamIndex::default() };
        let mut indexes = Self { streams: schema.ids().map(with_terms).collect(), atoms: BTreeMap::new() };
        let in_values = |bit: &Bit<'_>, conjunct| terms.of_values(bit.stream, conjunct, schema.stream(bit.stream).fields.len());
        let mut of_values = BTreeMap::new();
        for bit in &written {
            of_values.extend(bit.conjuncts.iter().filter_map(|conjunct| Some((std::ptr::from_ref(*conjunct), in_values(bit, conjunct)?))));
        }
        let bits: Vec<Bit<'_>> = written.into_iter().map(|bit| bit.asking(&of_values)).collect();
        let mut crowds = Crowds::default();
        bits.iter().filter(|bit| bit.may_wait()).for_each(|bit| crowds.count(bit.stream, &bit.places));
        let (waiting, others): (Vec<_>, Vec<_>) = bits.iter().partition(|bit| bit.may_wait() && crowds.has(bit.stream, &bit.places));
        others.into_iter().for_each(|bit| indexes.file(bit));
        waiting.iter().for_each(|bit| indexes.wait(bit, number(patterns.len()), logs));
        // Behind all others, so that there is one for each place.
        waiting.iter().for_each(|bit| indexes.file_whoever_waits(bit, number(patterns.len())));
        let mut remembered = 0;
        indexes.streams.iter_mut().for_each(|stream| stream.finish(&mut remembered));
        indexes.streams
    }

    fn file(&mut self, bit: &Bit<'_>) {
        let filters: Vec<_> = bit.filters.iter().map(|filter| Conjunct::of_each(filter)).collect();
        let conjuncts = Conjunct::of_each(&bit.conjuncts);
        for place in &bit.places {
            if let Some(posting) = self.posting(bit, &conjuncts, &filters, place) {
                self.streams[usize::from(bit.stream.0)].file(&place.under, posting);
            }
        }
    }

    /// `number`: of no pattern; it stands for whoever waits. The logs are numbered behind it.
    fn wait(&mut self, bit: &Bit<'_>, number: u32, logs: &[Log]) {
        let atoms = self.atoms(bit.stream, &Conjunct::of_each(&bit.conjuncts));
        let waiting = self.streams[usize::from(bit.stream.0)].waiting.get_or_insert_with(|| Box::new(Waiting::of(number)));
        waiting.add(bit.pattern, bit.class, &atoms);
        if let Some((view, asked)) = bit.window {
            let log = &logs[(view.log - number - 1) as usize];
            waiting.ask_window((view, log), asked, bit.pattern);
        }
        if bit.telling > Telling::Alternatives {
            waiting.ask_always(bit.conjuncts.iter().find_map(|conjunct| thresholds::AskedFor::by(conjunct)));
        }
    }

    /// Where the bit would be filed, if that tells events apart.
    fn file_whoever_waits(&mut self, bit: &Bit<'_>, number: u32) {
        for place in bit.places.iter().filter(|_| bit.telling <= Telling::Alternatives) {
            let posting = Posting { pattern: number, class: Class::NOTHING, atoms: Box::default(), sure: FittingSources::of(0), unsure: None };
            self.streams[usize::from(bit.stream.0)].file(&place.under, posting);
        }
    }

    /// `conjuncts`, `filters`: those of the bit. `None`: an event that is found there does not set the bit, or stands in no line.
    fn posting(&mut self, bit: &Bit<'_>, conjuncts: &[Conjunct<'_>], filters: &[Vec<Conjunct<'_>>], place: &Place<'_>) -> Option<Posting> {
        let atoms = self.atoms(bit.stream, left_to_ask(conjuncts, place)?);
        let (mut sure, mut unsure) = (FittingSources::NONE, Vec::new());
        for (number, filter) in filters.iter().enumerate() {
            let Some(left) = left_to_ask(filter, place) else { continue };
            // What the bit asks for holds where the sources are asked for.
            let left: Box<[u32]> = self.atoms(bit.stream, left).iter().filter(|atom| !atoms.contains(atom)).copied().collect();
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
    fn atoms<'c, 'a: 'c>(&mut self, stream: StreamId, conjuncts: impl IntoIterator<Item = &'c Conjunct<'a>>) -> Box<[u32]> {
        let mut atoms = Vec::new();
        for conjunct in conjuncts {
            let atom = self.atom(stream, conjunct);
            if !atoms.contains(&atom) {
                atoms.push(atom);
            }
        }
        atoms.into()
    }

    fn atom(&mut self, stream: StreamId, conjunct: &Conjunct<'_>) -> u32 {
        if let Some(known) = conjunct.atom.get() {
            return known;
        }
        let index = &mut self.streams[usize::from(stream.0)];
        let atom = *self.atoms.entry((stream, format!("{:?}", conjunct.expression))).or_insert_with(|| {
            index.atoms.push(Atom::of(conjunct.expression));
            number(index.atoms.len() - 1)
        });
        conjunct.atom.set(Some(atom));
        atom
    }
}

/// Those of the pattern, stream by stream.
fn bits_of(pattern: u32, compiled: &CompiledPattern) -> Vec<Bit<'_>> {
    let mut streams: Vec<StreamId> = compiled.pattern.sources.iter().map(|source| source.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    let automaton = &compiled.automaton;
    let of_first = compiled.asks_windows_first.iter().find(|asked| asked.may_be_filed()).map(|asked| (compiled.windows[usize::from(asked.window.0)], asked));
    let mut bits = Vec::new();
    for stream in streams {
        let sources = || compiled.pattern.sources.iter().filter(|source| source.stream == stream);
        let filters = filters(&compiled.pattern.sources, stream);
        // What is calculated for a key is counted where it fails: it is not for who only might wait there.
        let has_plain_keys = sources().all(|source| source.key.iter().all(|part| part.whole_field().is_some()));
        let bit = |class: Class, conjuncts| {
            let begins = class.meets(automaton.beginning());
            let window = of_first.filter(|_| begins);
            Bit { awaits: has_plain_keys && (!begins || window.is_some()), window, ..Bit::of(pattern, stream, class, conjuncts, filters.clone()) }
        };
        if automaton.wants_every_event() {
            // Every one that stands in its lines.
            bits.extend(filters.iter().map(|conjuncts| bit(Class::NOTHING, conjuncts.clone())));
        }
        bits.extend(automaton.class_bits().filter(|known| known.stream == stream).map(|known| bit(known.class, known.conjuncts.iter().collect())));
    }
    bits
}

/// What a log keeps is one: so it is filed, and what is calculated for it shared, as with those of patterns.
fn bit_of_log(number: u32, log: &Log) -> Bit<'_> {
    let conjuncts = log.expression.iter().flat_map(Expression::conjuncts).collect();
    Bit::of(number, log.stream, Class::NOTHING, conjuncts, filters(&log.sources, log.stream))
}

/// The conjuncts of the filter of each of the sources of the stream.
fn filters(sources: &[Source], stream: StreamId) -> Rc<[Vec<&Expression>]> {
    let of_stream = sources.iter().filter(|source| source.stream == stream);
    of_stream.map(|source| source.filter.iter().flat_map(Expression::conjuncts).collect()).collect()
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
    pub(in crate::engine) fn awaited(&self, waiting: &Waiting, pattern: u32, fields: Fields<'_>) -> Option<Class> {
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
    pub(super) fn for_each_found<'a>(&'a self, fields: Fields<'_>, mut visit: impl FnMut(&'a Postings)) {
        for equality in &self.equalities {
            if let Some(postings) = equality.find(at_path(fields, &equality.path)) {
                visit(postings);
            }
        }
        if !self.has_only_equalities {
            self.for_each_other_found(fields, visit);
        }
    }

    /// But for those that are filed under equalities.
    fn for_each_other_found<'a>(&'a self, fields: Fields<'_>, mut visit: impl FnMut(&'a Postings)) {
        for texts in &self.texts {
            texts.found(at_path(fields, &texts.path)).for_each(&mut visit);
        }
        for thresholds in &self.thresholds {
            thresholds.found(at_path(fields, &thresholds.path)).for_each(&mut visit);
        }
        for ranges in &self.ranges {
            ranges.for_each_found(at_path(fields, &ranges.path), &mut visit);
        }
        for networks in &self.networks {
            networks.found(at_path(fields, &networks.path)).for_each(&mut visit);
        }
        if !self.others.is_empty() {
            visit(&self.others);
        }
    }

    fn file(&mut self, under: &Under<'_>, posting: Posting) {
        match under {
            Under::Value(path, value) => self.equality(path).file(value, posting),
            Under::Literals(asked) => asked.literals.iter().for_each(|literal| self.texts(asked.path).file(literal, posting.clone())),
            Under::Threshold(asked) => self.thresholds(*asked).file(*asked, posting),
            Under::Range(low, high) => self.ranges(*low).file(*low, *high, posting),
            Under::Network(asked) => self.networks(*asked).file(*asked, posting),
            Under::Nothing => self.others.file(posting),
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

    fn ranges(&mut self, low: thresholds::AskedFor<'_>) -> &mut Ranges {
        find_or_make(&mut self.ranges, |ranges| ranges.are_for(low), || Ranges::of(low))
    }

    fn networks(&mut self, asked: networks::AskedFor<'_>) -> &mut Networks {
        find_or_make(&mut self.networks, |networks| networks.path == *asked.path, || Networks::of(asked.path))
    }

    fn finish(&mut self, number: &mut u32) {
        let Self { atoms, terms, equalities, texts, thresholds, ranges, networks, others, waiting, remembered, has_only_equalities } = self;
        *has_only_equalities = terms.is_empty()
            && texts.is_empty()
            && thresholds.is_empty()
            && ranges.is_empty()
            && networks.is_empty()
            && others.is_empty()
            && waiting.as_ref().is_none_or(|waiting| waiting.is_only_found());
        for equality in equalities {
            equality.postings.iter_mut().for_each(|postings| postings.finish(atoms, number));
        }
        texts.iter_mut().flat_map(Texts::finish).for_each(|postings| postings.finish(atoms, number));
        thresholds.iter_mut().flat_map(Thresholds::postings).for_each(|postings| postings.finish(atoms, number));
        ranges.iter_mut().flat_map(Ranges::finish).for_each(|postings| postings.finish(atoms, number));
        networks.iter_mut().flat_map(Networks::postings).for_each(|postings| postings.finish(atoms, number));
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
