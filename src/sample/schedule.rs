//! Which key is next, and when.
//!
//! Keys come round and round in one scattered order, a slot each. A round takes as long as an episode and the longest window of the scenario together, so two
//! episodes of a key never meet in one match, and nothing has to be remembered of a key. Some keys take part in every round and some in few; nights are
//! slower than days. A key that asked for quiet is passed over until then.

use std::collections::BTreeMap;

use crate::event::{EventTime, TimeSpan};
use crate::sample::scenario::Traffic;

/// 2021-01-04T00:00:00Z, a Monday.
const START: EventTime = EventTime::from_micros(1_609_718_400_000_000);
/// However many keys there are, slots are at least this far apart: it bounds how many episodes go on at a time.
const SPACING_MS_MIN: i64 = 100;
/// An episode begins anywhere in its slot, but not later than this.
const JITTER_MS_MAX: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
/// Slots are this much longer at night, from 22 to 6.
const NIGHT_PACE: i64 = 3;
/// How much longer than one slot an event takes, in percent: nights and keys that pass a round are longer, episodes of several events shorter.
const SLOTS_PER_EVENT_PERCENT: u64 = 190;

pub(super) struct Schedule {
    keys: u64,
    seed: u64,
    spacing_ms: i64,
    stride: u64,
    /// The next slot, and the earliest that it may begin.
    slot: u64,
    clock: EventTime,
    /// Keys that want quiet until then; those whose time is over are let go whenever there are twice as many as before.
    quiet: BTreeMap<u64, EventTime>,
    quiet_max: usize,
}

/// Where an episode takes place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub number: u64,
    pub key: u64,
    /// A second key, if there is one that is free.
    pub partner: Option<u64>,
    pub start: EventTime,
}

impl Schedule {
    /// A sample may fill this much time: it begins so long ago that no event lies in the future.
    pub(super) const YEARS_MAX: u64 = 2;

    pub(super) fn new(traffic: &Traffic, keys: u64, seed: u64) -> Self {
        assert!(keys > 0, "somebody has to do something");
        Self {
            keys,
            seed,
            spacing_ms: spacing_ms(traffic, keys),
            stride: coprime_to(keys, scatter(&[seed, 1])),
            slot: 0,
            clock: START,
            quiet: BTreeMap::new(),
            quiet_max: 0,
        }
    }

    /// The fewest keys with which so many events fit into [`Schedule::YEARS_MAX`].
    pub(super) fn keys_min(traffic: &Traffic, events: u64) -> u64 {
        let slots = u128::from(events) * u128::from(SLOTS_PER_EVENT_PERCENT) / 100;
        let span_ms = u128::from(Self::YEARS_MAX) * u128::from(YEAR_MS.unsigned_abs());
        let round_ms = u128::from(round_ms(traffic).unsigned_abs());
        // With one key a round is one slot; with more, one slot less than there are keys.
        if slots * round_ms <= span_ms {
            return 1;
        }
        u64::try_from((slots * round_ms).div_ceil(span_ms)).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Nothing that is still to come begins before this.
    pub(super) fn clock(&self) -> EventTime {
        self.clock
    }

    /// The next key that takes part.
    pub(super) fn next(&mut self) -> Slot {
        loop {
            let (number, key, earliest) = (self.slot, self.key_of(self.slot), self.clock);
            self.pass();
            if self.takes_part(key, number / self.keys) && !self.is_quiet(key, earliest) {
                let jitter_ms = scatter(&[self.seed, 2, number]) % self.spacing_ms.min(JITTER_MS_MAX).unsigned_abs();
                let start = earliest.plus(TimeSpan::from_millis(jitter_ms as i64));
                let partner = Some(self.key_of(self.slot)).filter(|partner| *partner != key && !self.is_quiet(*partner, earliest));
                return Slot { number, key, partner, start };
            }
        }
    }

    /// The partner of the last slot is used, and has no slot of its own in this round.
    pub(super) fn use_partner(&mut self) {
        self.pass();
    }

    /// No slot for the key before that time.
    pub(super) fn keep_quiet(&mut self, key: u64, until: EventTime) {
        if self.quiet.len() >= self.quiet_max {
            let clock = self.clock;
            self.quiet.retain(|_, until| *until > clock);
            self.quiet_max = 64 + 2 * self.quiet.len();
        }
        self.quiet.insert(key, until);
    }

    fn pass(&mut self) {
        self.slot += 1;
        let pace = if is_night(self.clock) { NIGHT_PACE } else { 1 };
        self.clock = self.clock.plus(TimeSpan::from_millis(self.spacing_ms * pace));
    }

    fn key_of(&self, slot: u64) -> u64 {
        let key = u128::from(slot) * u128::from(self.stride) % u128::from(self.keys);
        u64::try_from(key).expect("less than the number of keys")
    }

    /// A quarter of the keys takes part always, a quarter half of the time, and so on.
    fn takes_part(&self, key: u64, round: u64) -> bool {
        scatter(&[self.seed, 3, key, round]).is_multiple_of(1 << (key % 4))
    }

    fn is_quiet(&self, key: u64, at: EventTime) -> bool {
        self.quiet.get(&key).is_some_and(|until| *until > at)
    }
}

/// From the start of an episode to the first start that the next one of the key may have.
fn round_ms(traffic: &Traffic) -> i64 {
    traffic.episode_ms_max + traffic.window_ms_max + JITTER_MS_MAX
}

/// A key that is used as a partner comes one slot early, so a round without one slot has to be long enough.
fn spacing_ms(traffic: &Traffic, keys: u64) -> i64 {
    let slots = i64::try_from(keys - 1).expect("keys are bounded").max(1);
    let spacing = (round_ms(traffic) + slots - 1) / slots;
    spacing.max(SPACING_MS_MIN)
}

fn is_night(at: EventTime) -> bool {
    let hour = at.since(START).micros() / 1_000 / HOUR_MS % 24;
    !(6..22).contains(&hour)
}

fn coprime_to(keys: u64, wish: u64) -> u64 {
    let mut stride = wish % keys;
    while gcd(stride, keys) != 1 {
        stride = (stride + 1) % keys.max(2);
    }
    stride
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// One number of many, without pattern (the mixing step of SplitMix64).
pub(super) fn scatter(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0x9E37_79B9_7F4A_7C15, |mixed, number| {
        let mut mixed = (mixed ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::scenario::Scenario;

    #[test]
    fn episodes_of_a_key_lie_further_apart_than_rules_look() {
        let traffic = Scenario::Payments.traffic();
        let apart = TimeSpan::from_millis(traffic.episode_ms_max + traffic.window_ms_max);
        for keys in [1, 2, 3, 4, 10, 97, 1000] {
            let mut schedule = Schedule::new(traffic, keys, 7);
            let mut last: BTreeMap<u64, EventTime> = BTreeMap::new();
            for turn in 0..5_000 {
                let slot = schedule.next();
                let mut used = vec![slot.key];
                if turn % 3 == 0
                    && let Some(partner) = slot.partner
                {
                    schedule.use_partner();
                    used.push(partner);
                }
                for key in used {
                    let before = last.insert(key, slot.start);
                    assert!(before.is_none_or(|before| slot.start.since(before) >= apart), "{keys} keys, turn {turn}: {before:?}, {slot:?}");
                }
                assert!(slot.start < schedule.clock(), "starts within its slot");
            }
            assert!(keys > 100 || last.len() as u64 == keys, "every key has its turn: {} of {keys}", last.len());
        }
    }

    #[test]
    fn a_quiet_key_has_no_slot() {
        let mut schedule = Schedule::new(Scenario::Web.traffic(), 3, 1);
        let first = schedule.next();
        let until = first.start.plus(TimeSpan::from_secs(500_000));
        schedule.keep_quiet(first.key, until);
        for _ in 0..200 {
            let slot = schedule.next();
            assert!(slot.start >= until || (slot.key != first.key && slot.partner != Some(first.key)), "{slot:?}");
        }
    }
}
