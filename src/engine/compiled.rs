//! A program as the shards run it: automata, and for each stream which patterns read it under which keys.
//!
//! Immutable and shared by all shards. Keys that are plain fields are found once per event, however many patterns ask for them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::automaton::shared::Workspace;
use crate::automaton::{Automaton, Class, Evaluation, Limits, PlainStart, Stepping, Watch};
use crate::engine::family::Family;
use crate::engine::index::{AskedOfWindow, Candidate, Indexes, StreamIndex, Waiting, number};
use crate::engine::kept::note_kept;
use crate::engine::logs::{Log, ViewOf, WindowsSince, first_log};
use crate::engine::matched::Delivery;
use crate::event::{Fields, Kept, Key, SharedEvent, Value};
use crate::pattern::{Expression, Pattern, Program, Scope};

/// All patterns of a program, ready to run.
#[derive(Debug)]
pub struct Compiled {
    /// In order of the patterns' names.
    pub(super) patterns: Vec<CompiledPattern>,
    /// By pattern.
    pub(super) glances: Vec<Glance>,
    /// By stream.
    pub(super) streams: Vec<StreamRoutes>,
    pub(super) tables: Vec<Table>,
    /// Numbered behind the patterns: see [`Compiled::log`].
    pub(super) logs: Vec<Log>,
    /// By version: the number of a pattern, its place in `patterns`, or of a log.
    versions: BTreeMap<u128, u32>,
}

/// A table of keys.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Of none of its patterns anything comes out when time runs out; else of each something may.
    pub ends_silently: bool,
    /// Places in [`Compiled::patterns`].
    pub patterns: Vec<u32>,
    /// The numbers of its logs.
    pub logs: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct CompiledPattern {
    pub pattern: Arc<Pattern>,
    pub automaton: Automaton,
    pub evaluation: Evaluation,
    pub delivery: Delivery,
    /// By window: where it is answered.
    pub windows: Box<[ViewOf]>,
    /// What must hold of windows so that an event begins a run, as far as asking it costs little and calculates nothing: so it may be asked before anything else.
    pub asks_windows_first: Box<[AskedOfWindow]>,
    /// Patterns of the same streams and keys have one table of keys together, but for those of which something comes out when time runs out: they have another. Their keys have to be there
    /// before events are stepped after a restart, and the others' need not.
    pub table: usize,
    /// It is stepped for the family.
    pub family: Option<Family>,
    /// The first of its family, if it has one.
    pub first: Option<u32>,
}

/// What every event that finds a pattern asks of it, in few bytes: with thousands of patterns that stays near the processor, as all that is known of them does not.
#[derive(Debug)]
pub(super) struct Glance {
    pub table: u32,
    pub is_family: bool,
    /// No other event does anything where nothing is held of the key.
    pub acts: Class,
    /// Nor does one for which what is [asked first](CompiledPattern::asks_windows_first) does not hold.
    pub asks_windows_first: bool,
    /// What an event begins that acts, if it does no more.
    pub start: Option<PlainStart>,
}

/// Where the events of one stream go.
#[derive(Debug, Default)]
pub(super) struct StreamRoutes {
    pub routes: Vec<Route>,
    /// By number of a pattern or log.
    lines: Vec<LinesOf>,
    /// What of an event is kept while it is held, and by whoever chooses it.
    pub kept: Kept,
    /// Some log keeps events of the stream.
    pub has_logs: bool,
    /// The different keys that are asked for.
    pub keyings: Vec<Keying>,
    pub index: StreamIndex,
}

/// How a pattern reads a stream.
#[derive(Clone, Copy, Debug)]
enum LinesOf {
    NotAtAll,
    /// By one source: the place of its keying, and its bit.
    One(u32, u64),
    /// By several: the place in `routes`.
    Several(u32),
}

/// One pattern or log that reads the stream.
#[derive(Debug)]
pub(super) struct Route {
    /// Its number.
    pub pattern: u32,
    pub sources: Vec<RouteSource>,
}

#[derive(Debug)]
pub(super) struct RouteSource {
    pub filter: Option<Expression>,
    /// Its bit among the pattern's sources: see [`crate::pattern::Condition::stands_as`].
    pub bit: u64,
    /// Place in [`StreamRoutes::keyings`].
    pub keying: usize,
}

/// How a key is made of an event.
#[derive(Debug)]
pub(super) enum Keying {
    Field(usize),
    Fields(Vec<usize>),
    Computed(Vec<Expression>),
}

impl Compiled {
    pub fn new(program: &Program) -> Self {
        Self::since(program, &WindowsSince::new())
    }

    /// The same, where not all patterns came at the same time.
    pub fn since(program: &Program, since: &WindowsSince) -> Self {
        let mut tables: BTreeMap<(String, bool), usize> = BTreeMap::new();
        let mut compile = |pattern: &Arc<Pattern>| {
            let next = tables.len();
            let automaton = Automaton::compile(pattern.clone());
            let keyed_by = (keyed_by(pattern), automaton.runs_end_silently());
            CompiledPattern {
                evaluation: Evaluation::of(&automaton),
                asks_windows_first: automaton.asked_first().into_iter().flat_map(Expression::conjuncts).filter_map(AskedOfWindow::by).collect(),
                automaton,
                delivery: Delivery::new(pattern, &program.schema),
                windows: Box::default(),
                pattern: pattern.clone(),
                table: *tables.entry(keyed_by).or_insert(next),
                family: None,
                first: None,
            }
        };
        let mut patterns: Vec<CompiledPattern> = program.patterns.iter().map(&mut compile).collect();
        patterns.sort_by(|one, other| one.pattern.name.cmp(&other.pattern.name));
        for family in Family::find(&patterns) {
            let first = family.patterns[0];
            family.patterns.iter().for_each(|member| patterns[*member as usize].first = Some(first));
            patterns[first as usize].family = Some(family);
        }
        let logs = Log::of_all(&mut patterns, &program.schema, since);
        let mut streams: Vec<StreamRoutes> = program.schema.streams.iter().map(|_| StreamRoutes::default()).collect();
        let of_patterns = (0..).zip(&patterns).map(|(pattern, compiled)| (pattern, &compiled.pattern.sources));
        let of_logs = (first_log(patterns.len())..).zip(&logs).map(|(log, compiled)| (log, &compiled.sources));
        for (reader, sources) in of_patterns.chain(of_logs) {
            for (number, source) in (0..).zip(sources) {
                let bit = 1 << u32::min(number, u64::BITS - 1);
                streams[usize::from(source.stream.0)].add(reader, bit, source.filter.clone(), &source.key);
            }
        }
        logs.iter().for_each(|log| streams[usize::from(log.stream.0)].has_logs = true);
        for (stream, index) in streams.iter_mut().zip(Indexes::of(&program.schema, &patterns, &logs)) {
            stream.index = index;
            stream.lines = vec![LinesOf::NotAtAll; first_log(patterns.len()) as usize + logs.len()];
            for (place, route) in (0..).zip(&stream.routes) {
                stream.lines[route.pattern as usize] = match &route.sources[..] {
                    [only] => LinesOf::One(number(only.keying), only.bit),
                    _ => LinesOf::Several(place),
                };
            }
        }
        let mut tables: Vec<Table> = tables.iter().map(|_| Table::default()).collect();
        for (place, compiled) in (0..).zip(&patterns) {
            let table = &mut tables[compiled.table];
            table.ends_silently = compiled.automaton.runs_end_silently();
            table.patterns.push(place);
        }
        (first_log(patterns.len())..).zip(&logs).for_each(|(number, log)| tables[log.table].logs.push(number));
        streams.iter_mut().for_each(|stream| stream.note_who_waits(&patterns));
        note_kept(&mut streams, &program.schema, &patterns);
        let glances = patterns.iter().map(CompiledPattern::glance).collect();
        let of_patterns = (0..).zip(&patterns).map(|(place, compiled)| (compiled.pattern.version, place));
        let of_logs = (first_log(patterns.len())..).zip(&logs).map(|(number, log)| (log.version, number));
        let versions = of_patterns.chain(of_logs).collect();
        Self { patterns, glances, streams, tables, logs, versions }
    }

    /// The log with this number; `None`: it is a pattern's.
    #[inline]
    pub(super) fn log(&self, number: u32) -> Option<&Log> {
        self.logs.get(number.checked_sub(first_log(self.patterns.len()))? as usize)
    }

    pub(super) fn version(&self, number: u32) -> u128 {
        self.log(number).map_or_else(|| self.patterns[number as usize].pattern.version, |log| log.version)
    }

    /// The name of the pattern, or of one that asks for the log.
    pub(super) fn name(&self, number: u32) -> &str {
        self.log(number).map_or_else(|| &self.patterns[number as usize].pattern.name, |log| &log.asked_by)
    }

    /// One more than the greatest number of a pattern or log.
    pub(super) fn numbers(&self) -> usize {
        first_log(self.patterns.len()) as usize + self.logs.len()
    }

    /// The versions of all logs: what the store has of others is of no use.
    pub fn log_versions(&self) -> impl Iterator<Item = u128> {
        self.logs.iter().map(|log| log.version)
    }

    /// The other patterns that the pattern with this version is stepped with as one (a [family](super::family)): their names.
    pub fn stepped_with(&self, version: u128) -> Vec<&str> {
        let Some(place) = self.find(version) else { return Vec::new() };
        let all = self.family_of(place).into_iter().flat_map(|family| &family.patterns);
        all.filter(|other| **other != place).map(|other| self.patterns[*other as usize].pattern.name.as_str()).collect()
    }

    /// Of the pattern with this number.
    pub(super) fn start_of(&self, pattern: u32) -> Option<PlainStart> {
        self.patterns[pattern as usize].automaton.plain_start()
    }

    pub(super) fn family_of(&self, pattern: u32) -> Option<&Family> {
        // A log has none.
        let first = self.patterns.get(pattern as usize)?.first?;
        self.patterns[first as usize].family.as_ref()
    }

    /// The patterns whose runs are kept together under this one, by their places among them; itself is the first.
    pub(super) fn kept_under(&self, first: u32, place: usize) -> Option<u32> {
        match &self.patterns[first as usize].family {
            Some(family) => family.patterns.get(place).copied(),
            None => (place == 0).then_some(first),
        }
    }

    /// The number of the pattern or log with this version.
    pub(super) fn find(&self, version: u128) -> Option<u32> {
        self.versions.get(&version).copied()
    }
}

impl CompiledPattern {
    /// Of how many patterns that are kept with it an event can begin a run, if it can begin one of this.
    pub(super) fn begun_by(&self, fields: Fields<'_>) -> u8 {
        self.family.as_ref().map_or(1, |family| family.begun_by(fields))
    }

    fn glance(&self) -> Glance {
        Glance {
            table: number(self.table),
            is_family: self.family.is_some(),
            acts: self.automaton.beginning(),
            asks_windows_first: !self.asks_windows_first.is_empty(),
            start: self.automaton.plain_start(),
        }
    }

    /// What stepping a key goes by.
    pub(super) fn stepping<'a>(&'a self, limits: &'a Limits, workspace: &'a mut Workspace, watch: Option<&'a dyn Watch>) -> Stepping<'a> {
        Stepping { automaton: &self.automaton, evaluation: &self.evaluation, limits, workspace, watch }
    }
}

/// Equal for patterns whose events have the same keys.
fn keyed_by(pattern: &Pattern) -> String {
    let mut sources: Vec<String> = pattern.sources.iter().map(|source| format!("{:?} {:?}", source.stream, source.key)).collect();
    sources.sort_unstable();
    sources.dedup();
    sources.join("\n")
}

impl StreamRoutes {
    /// Of a pattern that reads the stream as one source: the place of its keying, and its bit. Events stand there wherever they matter to the pattern.
    #[inline]
    pub(super) fn only_line(&self, pattern: u32) -> Option<(usize, u64)> {
        if let LinesOf::One(keying, bit) = self.lines[pattern as usize] { Some((keying as usize, bit)) } else { None }
    }

    /// In which lines of the candidate's pattern the event stands: by the place of the keying, and the source's bit.
    pub(super) fn lines<'a>(&'a self, candidate: &Candidate, fields: Fields<'a>, faults: &'a Cell<u64>) -> impl Iterator<Item = (usize, u64)> {
        let (one, several) = match self.lines[candidate.pattern as usize] {
            LinesOf::NotAtAll => unreachable!("a candidate reads the event's stream"),
            LinesOf::One(keying, bit) => (Some((keying as usize, bit)), None),
            LinesOf::Several(place) => (None, Some(&self.routes[place as usize])),
        };
        let sources = candidate.sources;
        let of_several = several.into_iter().flat_map(move |route| sources.of_route(route, fields, faults));
        one.into_iter().chain(of_several.map(|source| (source.keying, source.bit)))
    }

    /// Of a pattern that is asked for where it waits: the bit of its source, if its events there have that key.
    pub(super) fn waits_in(&self, keying: usize, pattern: u32) -> Option<u64> {
        self.only_line(pattern).filter(|(of, _)| *of == keying).map(|(_, bit)| bit)
    }

    /// Whether an event with these fields matters to somebody who may wait at that key of it.
    pub(super) fn concerns_who_waits(&self, keying: usize, fields: Fields<'_>) -> bool {
        let concerns = |waiting: &Waiting, pattern: u32| self.waits_in(keying, pattern).is_some() && self.index.awaited(waiting, pattern, fields).is_some();
        self.index.waiting().is_some_and(|waiting| waiting.patterns().any(|pattern| concerns(waiting, pattern)))
    }

    fn note_who_waits(&mut self, patterns: &[CompiledPattern]) {
        let Self { lines, index, .. } = self;
        if let Some(waiting) = index.waiting_mut() {
            let line = |pattern: u32| {
                let LinesOf::One(keying, _) = lines[pattern as usize] else { unreachable!("who waits reads the stream as one source") };
                (keying as usize, patterns[pattern as usize].table)
            };
            let all: BTreeSet<(usize, usize)> = waiting.patterns().map(line).collect();
            waiting.lines = all.into_iter().collect();
        }
    }

    fn add(&mut self, pattern: u32, bit: u64, filter: Option<Expression>, key: &[Expression]) {
        let keying = self.keying(key);
        let source = RouteSource { filter, bit, keying };
        match self.routes.last_mut() {
            Some(route) if route.pattern == pattern => route.sources.push(source),
            _ => self.routes.push(Route { pattern, sources: vec![source] }),
        }
    }

    fn keying(&mut self, key: &[Expression]) -> usize {
        let made = Keying::new(key);
        let known = made.fields().and_then(|fields| self.keyings.iter().position(|keying| keying.fields() == Some(fields)));
        known.unwrap_or_else(|| {
            self.keyings.push(made);
            self.keyings.len() - 1
        })
    }
}

impl RouteSource {
    pub(super) fn fits(&self, fields: Fields<'_>, faults: &Cell<u64>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(&Scope::of_event(fields, faults)))
    }
}

impl Keying {
    fn new(key: &[Expression]) -> Self {
        let fields = key.iter().map(Expression::whole_field).collect::<Option<Vec<usize>>>();
        fields.map_or_else(|| Self::Computed(key.to_vec()), |fields| if let [only] = fields[..] { Self::Field(only) } else { Self::Fields(fields) })
    }

    /// Writes the event's key; `false` where a part of it is null.
    #[inline(always)]
    pub(super) fn write(&self, fields: Fields<'_>, faults: &Cell<u64>, out: &mut Vec<u8>) -> bool {
        out.clear();
        if let Self::Field(field) = self { Key::push(fields.at(*field), out) } else { self.write_parts(fields, faults, out) }
    }

    /// (Apart, so that a key of one field, as most are, is written without a loop and a call: 40 instructions less.)
    #[inline(never)]
    fn write_parts(&self, fields: Fields<'_>, faults: &Cell<u64>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Field(_) | Self::Fields(_) => self.fields().into_iter().flatten().all(|field| Key::push(fields.at(*field), out)),
            Self::Computed(parts) => parts.iter().all(|part| Key::push(&part.value(&Scope::of_event(fields, faults)), out)),
        }
    }

    /// `None`: it is more than fields.
    fn fields(&self) -> Option<&[usize]> {
        match self {
            Self::Field(only) => Some(std::slice::from_ref(only)),
            Self::Fields(fields) => Some(fields),
            Self::Computed(_) => None,
        }
    }
}

/// Adds the key of the pattern under which the event stands in the line with these bytes, as values. False: it stands in none.
pub(super) fn key_values(pattern: &Pattern, event: &SharedEvent, bytes: &[u8], values: &mut SmallVec<[Value; 1]>) -> bool {
    // Counted when the event came by.
    let faults = Cell::new(0);
    let scope = Scope::of_event(event.fields(), &faults);
    let mut sources = pattern.sources.iter().filter(|source| source.stream == event.stream);
    if let (Some(only), None) = (sources.clone().next(), sources.clone().nth(1)) {
        for part in &only.key {
            values.push(part.value(&scope));
        }
        return true;
    }
    let mut written = Vec::new();
    sources.any(|source| {
        let fits = source.filter.as_ref().is_none_or(|filter| filter.holds(&scope));
        values.clear();
        values.extend(source.key.iter().map(|part| part.value(&scope)));
        written.clear();
        fits && values.iter().all(|value| Key::push(value, &mut written)) && written == bytes
    })
}
