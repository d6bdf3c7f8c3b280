//! Bits that very many patterns have alike, or that tell few events apart, and that do nothing where nothing of their pattern waits: asked for the other way round.
//!
//! With a thousand patterns that await `amount > a.amount`, or `status == "ok"`, every such event would be a candidate of each, and its key has something of a few. So where many bits would be found
//! together, one candidate stands for *whoever waits*, and what is held of the event's key is asked which of them it sets. What comes of it is the same: a bit that begins no run changes
//! nothing of a pattern that has nothing there.
//!
//! A bit of a first event may be asked for in this way as well, if a window must be more or less than a number for it: it does nothing where it is not (see `windows`).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::automaton::Class;
use crate::engine::index::atom::Atom;
use crate::engine::index::filed::find_or_make;
use crate::engine::index::places::{Place, Under};
use crate::engine::index::thresholds::{AskedFor, Thresholds};
use crate::engine::index::windows::{AskedOfView, AskedOfWindow};
use crate::engine::logs::{Log, ViewOf};
use crate::event::{Fields, StreamId};
use crate::pattern::at_path;

/// Where fewer are found together, that costs less than to look at what is held of a key.
const CROWD_MIN: usize = 32;

/// How many bits that may wait would be found together.
#[derive(Debug, Default)]
pub(super) struct Crowds(BTreeMap<(StreamId, String), usize>);

impl Crowds {
    /// A bit of an event of the stream would be filed there.
    pub(super) fn count(&mut self, stream: StreamId, places: &[Place<'_>]) {
        for name in names(places) {
            *self.0.entry((stream, name)).or_default() += 1;
        }
    }

    /// Whether with this bit many others would be found.
    pub(super) fn has(&self, stream: StreamId, places: &[Place<'_>]) -> bool {
        names(places).any(|name| self.0.get(&(stream, name)).is_some_and(|count| *count >= CROWD_MIN))
    }
}

/// Equal where what is filed is found together, mostly: of all thresholds, ranges and what is tried on every event, that is so.
fn names(places: &[Place<'_>]) -> impl Iterator<Item = String> {
    places.iter().map(|place| match &place.under {
        Under::Value(path, value) => format!("{path:?} {value:?}"),
        Under::Literals(asked) => format!("{:?} {:?}", asked.path, asked.literals),
        Under::Network(asked) => format!("{:?} {}", asked.path, asked.network),
        Under::Threshold(_) | Under::Range(..) | Under::Nothing => String::new(),
    })
}

/// A bit, and the atoms that must hold so that it is set.
type Bit = (Class, Box<[u32]>);

/// Those of one stream.
#[derive(Debug)]
pub(in crate::engine) struct Waiting {
    /// Stands for whoever waits among candidates: one more than those of the patterns.
    pub number: u32,
    /// By pattern; there may be none for it.
    bits: Vec<Vec<Bit>>,
    /// The atoms of all of them, each list once.
    different: BTreeSet<Box<[u32]>>,
    /// For some bits nothing is filed: an event sets none of those for which none of these thresholds holds; and of some that is not known.
    thresholds: Vec<Thresholds>,
    is_asked_always: bool,
    /// The patterns that ask first events for views of logs, by table and view.
    windows: Vec<AskedOfView>,
    /// Of the patterns: the place of a keying of the stream, and of a table of keys. Each once.
    pub lines: Vec<(usize, usize)>,
}

impl Waiting {
    pub(super) fn of(number: u32) -> Self {
        Self { number, bits: Vec::new(), different: BTreeSet::new(), thresholds: Vec::new(), is_asked_always: false, windows: Vec::new(), lines: Vec::new() }
    }

    /// A bit of a pattern: it begins no run, or what is asked of a window is [said](Waiting::ask_window) too, the pattern reads the stream as one source, whatever the event, and the atoms calculate nothing.
    pub(super) fn add(&mut self, pattern: u32, class: Class, atoms: &[u32]) {
        let place = pattern as usize;
        self.bits.resize_with(self.bits.len().max(place + 1), Vec::new);
        self.bits[place].push((class, atoms.into()));
        self.different.insert(atoms.into());
    }

    /// Of a bit that may begin a run of the pattern: what must hold of a view of that log.
    pub(super) fn ask_window(&mut self, (view, log): (ViewOf, &Log), asked: &AskedOfWindow, pattern: u32) {
        let place = self.windows.binary_search_by_key(&(log.table, view), |known| (known.table, known.view)).unwrap_or_else(|place| {
            self.windows.insert(place, AskedOfView::of(view, log.table, log.plan.of_nothing(view.view)));
            place
        });
        self.windows[place].add(asked, pattern);
    }

    /// What patterns ask first events for of the logs of the table, by view.
    pub(in crate::engine) fn windows_of(&self, table: usize) -> &[AskedOfView] {
        let before = |table: usize| self.windows.partition_point(|known| known.table < table);
        &self.windows[before(table)..before(table + 1)]
    }

    /// Of a bit for which nothing is filed: if there is one, a threshold that is asked as one of its atoms.
    pub(super) fn ask_always(&mut self, threshold: Option<AskedFor<'_>>) {
        match threshold {
            Some(asked) => {
                find_or_make(&mut self.thresholds, |known| known.are_for(asked), || Thresholds::of(asked)).at(asked);
            }
            None => self.is_asked_always = true,
        }
    }

    /// There is something filed for each.
    pub(super) fn is_only_found(&self) -> bool {
        self.thresholds.is_empty() && !self.is_asked_always
    }

    /// Whether the event, for which these atoms hold, sets one of the bits. `is_found`: so it says where they are filed. Cost: mostly a few comparisons, at most those of all.
    pub(super) fn concerns_someone(&self, is_found: bool, fields: Fields<'_>, mut holds: impl FnMut(u32) -> bool) -> bool {
        let exceeds = |thresholds: &Thresholds| thresholds.any_holds(at_path(fields, &thresholds.path));
        let may = is_found || self.is_asked_always || self.thresholds.iter().any(exceeds);
        may && self.different.iter().any(|atoms| atoms.iter().all(|atom| holds(*atom)))
    }

    pub(in crate::engine) fn patterns(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.bits).filter(|(_, bits)| !bits.is_empty()).map(|(pattern, _)| pattern)
    }

    /// Which of the pattern's bits an event sets; `None`: none of them. `atoms`: those of the stream.
    pub(super) fn class_of(&self, pattern: u32, atoms: &[Atom], fields: Fields<'_>) -> Option<Class> {
        // Nothing is calculated.
        let faults = Cell::new(0);
        let holds = |(_, asked): &&Bit| asked.iter().all(|atom| atoms[*atom as usize].holds(fields, &faults));
        let set = self.bits.get(pattern as usize)?.iter().filter(holds).map(|(class, _)| *class);
        set.reduce(Class::with)
    }
}
