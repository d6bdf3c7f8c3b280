//! `rising_failure`: a reading, three more in a row that rise, and a failure less than 2 minutes after the last of them.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::scenario::{Case, MINUTE, SECOND};
use crate::sample::sensors::Readings;
use crate::sample::sensors::restart::{becomes_of, never_runs_again};

const RULE: Rule = Rule { pattern: "rising_failure", key: "sensor_id", reads_several: false };
const GAP: i64 = 2 * MINUTE;

pub(super) const CASES: &[Case] = &[
    Case::new(11, risen),
    Case::new(22, readings_between),
    Case::new(10, two_rises),
    Case::new(12, one_equal),
    Case::new(22, too_late),
    Case::with_partner(10, another_fails),
    Case::new(10, late),
    Case::new(9, cold),
];

fn risen(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 3);
    let failure = readings.fails(episode);
    events.push(failure);
    episode.matches(&RULE, &readings.key(), &events, "three rises, then a failure");
    becomes_of(episode, readings, failure);
}

/// Readings that do not rise, for as long as that after the last event; then the time is just that.
fn cool_for(episode: &mut Episode, readings: &mut Readings, last: i64, gap: i64) {
    while readings.at + 13 * SECOND < last + gap {
        readings.cool_down(episode, 1);
    }
    readings.at = last + gap;
}

fn risen_and_cooled(episode: &mut Episode, gap: i64) -> (Readings, Vec<EventNumber>) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 2);
    readings.value += 7;
    let last = readings.at;
    events.push(readings.reads(episode));
    cool_for(episode, &mut readings, last, gap);
    (readings, events)
}

fn readings_between(episode: &mut Episode) {
    let (readings, mut events) = risen_and_cooled(episode, GAP - 1);
    let failure = readings.fails(episode);
    events.push(failure);
    let why = "three rises, and a failure one millisecond before two minutes are over, with readings in between";
    episode.matches(&RULE, &readings.key(), &events, why);
    never_runs_again(episode, readings, failure);
}

fn too_late(episode: &mut Episode) {
    let (readings, mut events) = risen_and_cooled(episode, GAP);
    let failure = readings.fails(episode);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "the failure exactly two minutes after the third rise");
    never_runs_again(episode, readings, failure);
}

fn two_rises(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 2);
    let failure = readings.fails(episode);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "two rises only");
    becomes_of(episode, readings, failure);
}

fn one_equal(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 2);
    events.push(readings.reads(episode));
    readings.value += 20;
    events.push(readings.reads(episode));
    let failure = readings.fails(episode);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "one of three readings is equal to the one before");
    becomes_of(episode, readings, failure);
}

fn another_fails(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 3);
    let mut other = Readings::of(episode, episode.partner);
    other.at = readings.at - 4 * SECOND;
    let failure = other.fails(episode);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "another sensor fails");
    readings.stops(episode);
    never_runs_again(episode, other, failure);
}

fn late(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let mut events = readings.rise(episode, 3);
    let failed_at = readings.at;
    readings.at += SECOND;
    readings.cool_down(episode, 1);
    readings.at = failed_at + 10 * SECOND + 1;
    let newer = readings.stops(episode);
    let failure = Readings { at: failed_at, ..readings }.fails(episode);
    episode.arrives_after(failure, newer);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "the failure arrives more than 10 s behind a newer event");
    episode.because_late(failure);
}

fn cold(episode: &mut Episode) {
    let mut readings = Readings::of(episode, episode.key);
    let mut events = readings.cool_down(episode, 5);
    let failure = readings.fails(episode);
    events.push(failure);
    episode.nearly_matches(&RULE, &readings.key(), &events, "a failure without a rise");
    becomes_of(episode, readings, failure);
}
