//! Events in the order in which they are written, and with it their offsets.
//!
//! Each event is written up to the lateness of its stream after its time: what was written before it is then at most that much newer, so it is not late.
//! What is planted as late is written right after an event that is newer by more than the lateness.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use rand::Rng;

use crate::event::{EventTime, TimeSpan};
use crate::sample::episode::{Arrives, Claim, Episode, EventNumber};
use crate::sample::generate::{Line, LineFile};
use crate::sample::planted::Planted;
use crate::sample::scenario::StreamTraffic;

pub(super) struct Arrivals {
    streams: &'static [StreamTraffic],
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// By stream.
    next_offset: Vec<u64>,
    /// Planted cases of which events are still to be written, by number.
    open: BTreeMap<u64, Open>,
    cases: u64,
    /// The latest event or decision so far.
    horizon: EventTime,
}

/// Ordered by when it is written.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    arrival: EventTime,
    id: u64,
    stream: usize,
    text: String,
    /// The planted case, and which of its events this is.
    case: Option<(u64, usize)>,
}

struct Open {
    claims: Vec<Claim>,
    /// By event: its stream, and its offset once it is written.
    places: Vec<(usize, Option<u64>)>,
}

impl Arrivals {
    pub(super) fn new(streams: &'static [StreamTraffic]) -> Self {
        let next_offset = vec![0; streams.len()];
        Self { streams, waiting: BinaryHeap::new(), next_offset, open: BTreeMap::new(), cases: 0, horizon: EventTime::BEGINNING }
    }

    pub(super) fn add(&mut self, mut episode: Episode, first_id: u64) {
        let arrivals = self.arrivals(&mut episode);
        let decided = episode.claims.iter().filter_map(|claim| claim.at);
        self.horizon = episode.events.iter().map(|event| event.time).chain(decided).fold(self.horizon, EventTime::max);
        let case = (!episode.claims.is_empty()).then(|| {
            let places = episode.events.iter().map(|event| (event.stream, None)).collect();
            self.open.insert(self.cases, Open { claims: episode.claims, places });
            self.cases += 1;
            self.cases - 1
        });
        for (place, event) in episode.events.into_iter().enumerate() {
            let case = case.map(|case| (case, place));
            self.waiting.push(Reverse(Waiting { arrival: arrivals[place], id: first_id + place as u64, stream: event.stream, text: event.text, case }));
        }
    }

    /// Writes what arrives before that instant.
    pub(super) fn write_until(&mut self, instant: EventTime, lines: &mut VecDeque<Line>) {
        while self.waiting.peek().is_some_and(|Reverse(next)| next.arrival < instant) {
            let Reverse(Waiting { stream, text, case, .. }) = self.waiting.pop().expect("there is one");
            let offset = self.next_offset[stream];
            self.next_offset[stream] += 1;
            lines.push_back(Line { file: LineFile::Stream(stream), text });
            if let Some((case, place)) = case {
                self.place(case, place, offset, lines);
            }
        }
    }

    /// Everything has happened and is decided by then, and a stream whose watermark is there knows it.
    pub(super) fn horizon(&self) -> EventTime {
        let lateness_ms = self.streams.iter().map(|stream| stream.lateness_ms).max().unwrap_or(0);
        self.horizon.plus(TimeSpan::from_millis(lateness_ms + 1))
    }

    /// Events and cases that are not written yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.open.len()
    }

    fn arrivals(&self, episode: &mut Episode) -> Vec<EventTime> {
        let mut arrivals: Vec<EventTime> = Vec::with_capacity(episode.events.len());
        for place in 0..episode.events.len() {
            let (time, stream) = (episode.events[place].time, episode.events[place].stream);
            let lateness_ms = self.streams[stream].lateness_ms;
            arrivals.push(match episode.events[place].arrives {
                Arrives::AtOnce => time,
                Arrives::Sometime => {
                    // Most come nearly in order.
                    let delay_ms_max = if episode.percent(75) { lateness_ms / 10 } else { lateness_ms };
                    time.plus(TimeSpan::from_millis(episode.rng.random_range(0..=delay_ms_max)))
                }
                Arrives::After(newer) => arrivals[newer.0],
            });
        }
        arrivals
    }

    /// An event of a case is written; with the last of them, what was planted can be told.
    fn place(&mut self, case: u64, place: usize, offset: u64, lines: &mut VecDeque<Line>) {
        let open = self.open.get_mut(&case).expect("a case stays open until its last event is written");
        open.places[place].1 = Some(offset);
        if open.places.iter().any(|(_, offset)| offset.is_none()) {
            return;
        }
        let open = self.open.remove(&case).expect("just found");
        for claim in &open.claims {
            let planted = self.planted(case, claim, &open.places);
            let text = serde_json::to_string(&planted).expect("text and numbers are JSON");
            lines.push_back(Line { file: LineFile::Planted(claim.kind), text });
        }
    }

    fn planted(&self, case: u64, claim: &Claim, places: &[(usize, Option<u64>)]) -> Planted {
        let address = |event: &EventNumber| {
            let (stream, offset) = places[event.0];
            let offset = offset.expect("all are written");
            if claim.reads_several { format!("{}/0:{offset}", self.streams[stream].name) } else { format!("0:{offset}") }
        };
        let (name, value) = &claim.key;
        Planted {
            case,
            pattern: claim.pattern.to_owned(),
            key: serde_json::Map::from_iter([((*name).to_owned(), serde_json::Value::from(value.as_str()))]),
            kind: claim.kind,
            at: claim.at.map(|at| at.to_string()),
            why: claim.why.to_owned(),
            events: claim.events.iter().map(address).collect(),
            late: claim.late.iter().map(address).collect(),
        }
    }
}
