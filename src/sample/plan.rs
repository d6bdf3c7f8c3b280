//! Which case is planted next, and whether it is time.
//!
//! Every case is planted as often as every other, give or take one, and spread evenly over the events. What the cases of the plan may still take is
//! kept free, so that all of them fit.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::sample::scenario::{Case, Traffic};

/// The share of all events that planted cases may take; each is planted once in any case.
const SHARE_PERCENT: u64 = 5;

pub(super) struct Plan {
    cases: Vec<Case>,
    /// What all of them together may take, once each.
    round_events: u64,
    rounds_left: u64,
    /// What is left of this round.
    round: Vec<Case>,
    planted: u64,
    total: u64,
    events: u64,
    rng: ChaCha8Rng,
}

impl Plan {
    /// `has_partners`: there is more than one key.
    pub(super) fn new(traffic: &Traffic, events: u64, has_partners: bool, seed: u64) -> Self {
        let cases: Vec<Case> = traffic.cases.iter().copied().flatten().copied().filter(|case| has_partners || !case.takes_partner).collect();
        let round_events = cases.iter().map(|case| case.events_max).sum::<u64>();
        let rounds = (events / 100 * SHARE_PERCENT / round_events).max(1);
        let total = rounds * cases.len() as u64;
        let mut plan = Self { cases, round_events, rounds_left: rounds, round: Vec::new(), planted: 0, total, events, rng: ChaCha8Rng::seed_from_u64(seed) };
        plan.begin_round();
        plan
    }

    /// What has to be kept free for the cases that are left.
    pub(super) fn reserved(&self) -> u64 {
        self.round.iter().map(|case| case.events_max).sum::<u64>() + self.rounds_left * self.round_events
    }

    /// The next case, if it is its time after so many events.
    pub(super) fn due(&self, made: u64) -> Option<Case> {
        let is_time = u128::from(self.planted) * u128::from(self.events) <= u128::from(made) * u128::from(self.total);
        if is_time { self.next() } else { None }
    }

    /// The next case, time or not.
    pub(super) fn next(&self) -> Option<Case> {
        self.round.last().copied()
    }

    /// The next case is planted.
    pub(super) fn pass(&mut self) {
        self.round.pop();
        self.planted += 1;
        if self.round.is_empty() {
            self.begin_round();
        }
    }

    fn begin_round(&mut self) {
        if self.rounds_left > 0 {
            self.rounds_left -= 1;
            self.round = self.cases.clone();
            self.round.shuffle(&mut self.rng);
        }
    }
}
