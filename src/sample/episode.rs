//! What happens around one key for a while: some events, and what is to be known of them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::event::{EventTime, TimeSpan};
use crate::sample::planted::PlantedKind;
use crate::sample::schedule::{Slot, scatter};

/// An event of the episode, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct EventNumber(pub usize);

/// How an event arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrives {
    /// Anywhere within the lateness of its stream.
    Sometime,
    /// Before everything that is newer.
    AtOnce,
    /// Right after that event, which is newer and stands earlier in the episode.
    After(EventNumber),
}

#[derive(Clone, Debug)]
pub(super) struct EpisodeEvent {
    pub stream: usize,
    pub time: EventTime,
    pub text: String,
    pub arrives: Arrives,
}

/// A pattern that cases are planted for.
pub(super) struct Rule {
    pub pattern: &'static str,
    /// The name of its key.
    pub key: &'static str,
    /// Events are told with the name of their stream.
    pub reads_several: bool,
}

/// What is to be known, its events not yet placed.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub pattern: &'static str,
    pub key: (&'static str, String),
    pub reads_several: bool,
    pub kind: PlantedKind,
    pub at: Option<EventTime>,
    pub why: &'static str,
    pub events: Vec<EventNumber>,
    /// Whatever else of the episode comes late because of it.
    pub late: Vec<EventNumber>,
}

/// Under construction. Times are in milliseconds from its start, and never before it.
pub(super) struct Episode {
    pub rng: ChaCha8Rng,
    pub key: u64,
    /// Another key, on which nothing else goes on; only cases that take a partner may use it.
    pub partner: u64,
    seed: u64,
    start: EventTime,
    first_id: u64,
    pub events: Vec<EpisodeEvent>,
    pub claims: Vec<Claim>,
    pub quiet_until: Option<EventTime>,
}

impl Episode {
    pub(super) fn new(slot: Slot, seed: u64, first_id: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(slot.number + 1);
        Self {
            rng,
            key: slot.key,
            partner: slot.partner.unwrap_or(slot.key),
            seed,
            start: slot.start,
            first_id,
            events: Vec::new(),
            claims: Vec::new(),
            quiet_until: None,
        }
    }

    /// From `least` to `most`.
    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        self.rng.random_range(least..=most)
    }

    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    /// A number that belongs to a key for ever.
    pub(super) fn trait_of(&self, key: u64, name: u64) -> u64 {
        scatter(&[self.seed, 100 + name, key])
    }

    /// The number that the next event carries as its `id`.
    pub(super) fn next_id(&self) -> u64 {
        self.first_id + self.events.len() as u64
    }

    /// Adds an event; `members` are what the JSON object holds after `id` and `at`.
    pub(super) fn add(&mut self, stream: usize, at_ms: i64, members: &str) -> EventNumber {
        assert!(at_ms >= 0, "an episode does not begin before its slot");
        let time = self.start.plus(TimeSpan::from_millis(at_ms));
        let text = format!("{{\"id\":{},\"at\":\"{time}\",{members}}}", self.next_id());
        self.events.push(EpisodeEvent { stream, time, text, arrives: Arrives::Sometime });
        EventNumber(self.events.len() - 1)
    }

    pub(super) fn arrives_at_once(&mut self, event: EventNumber) {
        self.events[event.0].arrives = Arrives::AtOnce;
    }

    /// Not in its place by time, but right after a newer event of the same stream.
    pub(super) fn arrives_after(&mut self, event: EventNumber, newer: EventNumber) {
        let (one, other) = (&self.events[event.0], &self.events[newer.0]);
        assert!(newer < event && one.stream == other.stream && one.time < other.time, "what comes after stands after it");
        self.events[event.0].arrives = Arrives::After(newer);
    }

    /// Nothing else happens around its keys until then.
    pub(super) fn keep_quiet_until(&mut self, at_ms: i64) {
        self.quiet_until = Some(self.time(at_ms));
    }

    /// The rule must find these, and it comes out at the last of them.
    pub(super) fn matches(&mut self, rule: &Rule, key: &str, events: &[EventNumber], why: &'static str) {
        let at = events.iter().map(|event| self.events[event.0].time).max();
        self.claim(rule, key, PlantedKind::Match, at, events, why);
    }

    /// The rule must find these, and it comes out at that time.
    pub(super) fn matches_at(&mut self, rule: &Rule, key: &str, at_ms: i64, events: &[EventNumber], why: &'static str) {
        self.claim(rule, key, PlantedKind::Match, Some(self.time(at_ms)), events, why);
    }

    pub(super) fn times_out(&mut self, rule: &Rule, key: &str, at_ms: i64, events: &[EventNumber], why: &'static str) {
        self.claim(rule, key, PlantedKind::Timeout, Some(self.time(at_ms)), events, why);
    }

    /// The rule must not find these, nor any part of them.
    pub(super) fn nearly_matches(&mut self, rule: &Rule, key: &str, events: &[EventNumber], why: &'static str) {
        self.claim(rule, key, PlantedKind::NearMiss, None, events, why);
    }

    /// What is said last would be another thing without this event, which comes too late.
    pub(super) fn because_late(&mut self, event: EventNumber) {
        self.claims.last_mut().expect("something was said").late.push(event);
    }

    fn claim(&mut self, rule: &Rule, key: &str, kind: PlantedKind, at: Option<EventTime>, events: &[EventNumber], why: &'static str) {
        let key = (rule.key, key.to_owned());
        let (pattern, reads_several) = (rule.pattern, rule.reads_several);
        self.claims.push(Claim { pattern, key, reads_several, kind, at, why, events: events.to_vec(), late: Vec::new() });
    }

    fn time(&self, at_ms: i64) -> EventTime {
        self.start.plus(TimeSpan::from_millis(at_ms))
    }
}
