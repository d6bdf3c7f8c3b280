//! The runs of a key as bytes.
//!
//! ```text
//! format, checksum of all that follows (4 bytes, lowest first),
//! next deadline (8 bytes, likewise), count of runs, runs dropped,
//! events: count, each once        links: count, each (parent + 1 or 0, step, event)
//! runs:   each (last link, flags, inside, broken, ways: count, first, then differences - 1)
//! ```
//!
//! Events and links stand in the order in which the runs first need them, what comes before first. So the bytes depend on the runs alone: not on where
//! they lie in memory, nor on how often they were written and read. Steps and ways keep their numbers, which follow from the pattern's
//! text; streams are numbered within the pattern, so that other patterns do not matter. Deadlines are found again.
//!
//! What a restart has to know of runs that no event has come to yet stands at the beginning ([`Outline`]): with the checksum that is enough to be sure that the rest
//! can be read when it is needed, since nothing but [`Runs::encode`] makes such bytes. The format before this one had neither: `format, runs dropped, events, links,
//! count of runs, runs`. It is still read.

use std::cell::Cell;
use std::hash::Hash;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::aside::Own;
use crate::automaton::chain::Chain;
use crate::automaton::class::Class;
use crate::automaton::runs::{Marks, Run, Runs};
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, StandId, WayId};
use crate::event::binary::{Malformed, Reader, write_event, write_unsigned};
use crate::event::{EventTime, Lookup, SharedEvent, StreamId};
use crate::pattern::{Moment, StepId};

const FORMAT: u64 = 2;
const WITHOUT_OUTLINE: u64 = 1;

const FRESH: u64 = 1;
const MATCHED: u64 = 2;
const TIMED_OUT: u64 = 4;

impl Runs {
    /// Appends the runs as bytes that [`Runs::decode`] reads with an automaton of the same pattern version.
    pub fn encode(&self, automaton: &Automaton, out: &mut Vec<u8>) {
        encode(self.alive.iter(), self.dropped, automaton, out);
    }

    /// Reads what [`Runs::encode`] wrote, to the last byte. What is refused was not written by it, or with another pattern.
    pub fn decode(automaton: &Automaton, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let outline = read_outline(&mut reader)?;
        let dropped = reader.unsigned("count of runs dropped")?;
        let events = read_events(automaton, &mut reader)?;
        let links = read_links(automaton, &events, &mut reader)?;
        let count = outline.map_or_else(|| reader.count("runs"), |outline| Ok(outline.runs))?;
        let alive: SmallVec<[Run; 1]> = (0..count).map(|_| read_run(automaton, &links, &mut reader)).collect::<Result<_, Malformed>>()?;
        if !reader.is_at_end() {
            return Err(reader.malformed("end"));
        }
        let mut runs = Self { alive, dropped, ..Self::default() };
        runs.look_over(automaton);
        Ok(runs)
    }
}

/// What has to be known of runs that are not at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outline {
    /// How many there are, or groups of choices.
    pub runs: usize,
    /// When time next decides or removes something; the end of time: only events do.
    pub next: EventTime,
}

impl Outline {
    /// Of what [`Runs::encode`] wrote. Refuses what [`Runs::decode`] refuses: a restart does this for every key there is, so what it costs is mostly the checksum.
    pub fn of_runs(automaton: &Automaton, bytes: &[u8]) -> Result<Self, Malformed> {
        match read_outline(&mut Reader::new(bytes))? {
            Some(outline) => Ok(outline),
            None => Runs::decode(automaton, bytes).map(|runs| Self { runs: runs.len(), next: runs.next_deadline().unwrap_or(EventTime::END) }),
        }
    }
}

impl Automaton {
    /// What the number of a stream means in what is stored.
    fn stream_of(&self, number: u64) -> Option<StreamId> {
        self.streams.get(usize::try_from(number).ok()?).copied()
    }

    /// Appends runs that lie elsewhere as [`Runs::encode`] does.
    pub fn encode_runs<'a>(&self, runs: impl Iterator<Item = &'a Run> + Clone, out: &mut Vec<u8>) {
        encode(runs, 0, self, out);
    }
}

pub(super) fn encode<'a>(runs: impl Iterator<Item = &'a Run> + Clone, dropped: u64, automaton: &Automaton, out: &mut Vec<u8>) {
    let shares = runs.clone().any(|run| run.chain.before().is_some());
    let mut tables = Tables { automaton, shares, events: Table::new(), links: Table::new() };
    let tips: Vec<u64> = runs.clone().map(|run| tables.chain(&run.chain)).collect();
    write_unsigned(FORMAT, out);
    let checksum_at = out.len();
    out.extend([0; CHECKSUM_BYTES]);
    // As it is found again from what is written, whatever a run has noted.
    let deadline = |run: &Run| automaton.deadline(run.ways(automaton), run.chain.start_time(), run.chain.event().time);
    let next = runs.clone().map(deadline).min().unwrap_or(EventTime::END);
    out.extend(next.micros().to_le_bytes());
    write_unsigned(tips.len() as u64, out);
    write_unsigned(dropped, out);
    tables.events.write(out);
    tables.links.write(out);
    for (run, tip) in runs.zip(tips) {
        write_unsigned(tip, out);
        let flag = |set, flag| if set { flag } else { 0 };
        // Where no way that is left asks, it must not show whether somebody has noted it.
        let fresh = run.fresh && automaton.awaited(run.ways(automaton)).meets(Class::NOTHING);
        write_unsigned(flag(fresh, FRESH) | flag(run.matched, MATCHED) | flag(run.timed_out, TIMED_OUT), out);
        let marks = run.marks();
        write_unsigned(marks.inside, out);
        write_unsigned(marks.broken, out);
        write_ways(run.ways(automaton), out);
    }
    let (head, rest) = out.split_at_mut(checksum_at + CHECKSUM_BYTES);
    head[checksum_at..].copy_from_slice(&checksum(rest));
}

const CHECKSUM_BYTES: usize = 4;

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    (xxh3_64(bytes) as u32).to_le_bytes()
}

/// Things that runs share, each written once.
struct Table<K> {
    count: u64,
    bytes: Vec<u8>,
    /// By what tells them apart in memory: asked, never iterated.
    numbers: Lookup<K, u64>,
}

impl<K: Eq + Hash> Table<K> {
    fn new() -> Self {
        Self { count: 0, bytes: Vec::new(), numbers: Lookup::default() }
    }

    /// The bytes of a thing have been appended; `None`: of one that is not shared.
    fn added(&mut self, shared: Option<K>) -> u64 {
        if let Some(shared) = shared {
            self.numbers.insert(shared, self.count);
        }
        self.count += 1;
        self.count - 1
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_unsigned(self.count, out);
        out.extend_from_slice(&self.bytes);
    }
}

struct Tables<'a> {
    automaton: &'a Automaton,
    /// Whether runs may have links in common. Where all have chosen one event they have none: two that have chosen the same are one.
    shares: bool,
    /// By address.
    events: Table<usize>,
    links: Table<(usize, StepId)>,
}

impl Tables<'_> {
    /// The number of its last link.
    fn chain(&mut self, chain: &Chain) -> u64 {
        if !self.shares {
            self.write_link(None, chain);
            return self.links.added(None);
        }
        let mut new = Vec::new();
        let mut known = None;
        let mut at = Some(chain);
        while let Some(link) = at {
            known = self.links.numbers.get(&link.identity()).copied();
            if known.is_some() {
                break;
            }
            new.push(link);
            at = link.before();
        }
        for link in new.into_iter().rev() {
            self.write_link(known, link);
            known = Some(self.links.added(Some(link.identity())));
        }
        known.expect("a chain has at least one link")
    }

    fn write_link(&mut self, parent: Option<u64>, link: &Chain) {
        let event = self.event(link.event());
        let bytes = &mut self.links.bytes;
        write_unsigned(parent.map_or(0, |parent| parent + 1), bytes);
        write_unsigned(u64::from(link.step().0), bytes);
        write_unsigned(event, bytes);
    }

    fn event(&mut self, event: &SharedEvent) -> u64 {
        let address = event.address();
        if let Some(number) = self.events.numbers.get(&address) {
            return *number;
        }
        let stream = self.automaton.streams.binary_search(&event.stream).expect("a step takes only events of its stream");
        write_event(event, self.automaton.asked_later(event.stream), stream as u64, &mut self.events.bytes);
        self.events.added(Some(address))
    }
}

fn write_ways(ways: &WaySet, out: &mut Vec<u8>) {
    write_unsigned(ways.len() as u64, out);
    let mut least = 0;
    ways.for_each(|way| {
        write_unsigned(u64::from(way - least), out);
        least = way + 1;
    });
}

fn read_events(automaton: &Automaton, reader: &mut Reader<'_>) -> Result<SmallVec<[SharedEvent; 1]>, Malformed> {
    let count = reader.count("events")?;
    (0..count).map(|_| reader.event(|number| automaton.stream_of(number))).collect()
}

/// Chains up to each link.
fn read_links(automaton: &Automaton, events: &[SharedEvent], reader: &mut Reader<'_>) -> Result<SmallVec<[Chain; 1]>, Malformed> {
    let count = reader.count("links")?;
    let mut links: SmallVec<[Chain; 1]> = SmallVec::new();
    for _ in 0..count {
        let (parent, step, event) = read_link(automaton, links.len(), events, reader)?;
        let chain = match parent {
            None => Chain::First(step, event),
            Some(parent) => links[parent].and(step, &event, &automaton.tallies),
        };
        links.push(chain);
    }
    Ok(links)
}

/// The link before, the step, and the event. `links`: how many were read before.
fn read_link(automaton: &Automaton, links: usize, events: &[SharedEvent], reader: &mut Reader<'_>) -> Result<(Option<usize>, StepId, SharedEvent), Malformed> {
    let parent = reader.index(links + 1, "link before")?.checked_sub(1);
    let step = reader.index(automaton.pattern.steps.len(), "step")?;
    let event = &events[reader.index(events.len(), "event of a link")?];
    if event.stream != automaton.pattern.steps[step].stream {
        return Err(reader.malformed("event of the step's stream"));
    }
    Ok((parent, StepId(u16::try_from(step).expect("steps are numbered by 16 bits")), event.clone()))
}

fn read_run(automaton: &Automaton, links: &[Chain], reader: &mut Reader<'_>) -> Result<Run, Malformed> {
    let link = reader.index(links.len(), "link of a run")?;
    let flags = reader.unsigned("flags")?;
    let inside = reader.unsigned("bits")?;
    let broken = reader.unsigned("bits")?;
    let count = reader.count("ways")?;
    let mut ways: SmallVec<[WayId; 8]> = SmallVec::new();
    for _ in 0..count {
        let least = ways.last().map_or(0, |last| *last as usize + 1);
        let way = least + reader.index(automaton.ways.len() - least, "way")?;
        ways.push(WayId::try_from(way).expect("a way of this automaton"));
    }
    let ways = WaySet::of_sorted(ways);
    if ways.is_empty() {
        return Err(reader.malformed("way on"));
    }
    // The ways of one node have neighbouring numbers, and the run stands there unless it has others as well.
    let first = ways.first().and_then(|way| automaton.way(way).from);
    let node = first.ok_or_else(|| reader.malformed("way on"))?;
    let chain = links[link].clone();
    let set = |flag| flags & flag != 0;
    let stand = automaton.stand_with(node, &ways);
    let own = stand.is_none().then(|| {
        let (awaited, compares) = (automaton.awaited(&ways), automaton.register(&ways));
        Box::new(Own::of(ways, awaited, compares))
    });
    // Nothing about events at hand or windows is asked here, and what cannot be calculated now was counted at first.
    let faults = Cell::new(0);
    let mut run = Run {
        fresh: set(FRESH),
        matched: set(MATCHED),
        timed_out: set(TIMED_OUT),
        ..automaton.run_at(stand.unwrap_or(StandId(node.0)), chain, own, Moment::plain(&faults))
    };
    run.mark(automaton, Marks { inside, broken });
    Ok(run)
}

/// `None`: the format has none.
fn read_outline(reader: &mut Reader<'_>) -> Result<Option<Outline>, Malformed> {
    match reader.unsigned("format")? {
        FORMAT => {}
        WITHOUT_OUTLINE => return Ok(None),
        _ => return Err(reader.malformed("known format of runs")),
    }
    if *reader.array("checksum")? != checksum(reader.rest()) {
        return Err(reader.malformed("bytes of this checksum"));
    }
    let next = EventTime::from_micros(i64::from_le_bytes(*reader.array("deadline")?));
    Ok(Some(Outline { runs: reader.count("runs")?, next }))
}
