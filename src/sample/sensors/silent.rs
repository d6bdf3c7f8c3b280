//! `silent`: a running machine of which nothing is heard for 2 minutes.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::scenario::{Case, MINUTE, SECOND};
use crate::sample::sensors::Readings;

const RULE: Rule = Rule { pattern: "silent", key: "sensor_id", reads_several: false };
const SILENCE: i64 = 2 * MINUTE;

pub(super) const CASES: &[Case] = &[
    Case::new(4, for_ever),
    Case::new(7, at_the_deadline),
    Case::new(7, for_a_while),
    Case::new(7, late),
    Case::new(7, just_in_time),
    Case::new(5, stopped),
    Case::new(6, the_wrong_way_round),
];

/// A machine that was heard of last at that time; its clock stands there.
fn heard(episode: &mut Episode) -> (Readings, EventNumber) {
    let readings = Readings::running(episode);
    let event = readings.says(episode, "running");
    (readings, event)
}

fn goes_on(episode: &mut Episode, readings: &mut Readings) {
    readings.cool_down(episode, 2);
    readings.stops(episode);
}

fn for_ever(episode: &mut Episode) {
    let (readings, last) = heard(episode);
    episode.matches_at(&RULE, &readings.key(), readings.at + SILENCE, &[last], "silent for ever");
}

fn at_the_deadline(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    readings.at += SILENCE;
    episode.matches_at(&RULE, &readings.key(), readings.at, &[last], "heard again after exactly two minutes");
    goes_on(episode, &mut readings);
}

fn for_a_while(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    episode.matches_at(&RULE, &readings.key(), readings.at + SILENCE, &[last], "silent for some minutes");
    readings.at += SILENCE + episode.between(SECOND, 6 * MINUTE);
    goes_on(episode, &mut readings);
}

fn late(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    let sign_at = readings.at + MINUTE;
    let deadline = readings.at + SILENCE;
    readings.at = deadline + 20 * SECOND;
    let newer = readings.reads(episode);
    let sign = Readings { at: sign_at, ..readings }.says(episode, "running");
    episode.arrives_after(sign, newer);
    episode.matches_at(&RULE, &readings.key(), deadline, &[last], "the only sign in two minutes arrives more than 10 s behind a newer event");
    episode.because_late(sign);
    readings.stops(episode);
}

fn just_in_time(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    readings.at += SILENCE - 1;
    let sign = readings.reads(episode);
    episode.nearly_matches(&RULE, &readings.key(), &[last, sign], "heard again one millisecond before two minutes are over");
    readings.stops(episode);
}

fn stopped(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    readings.wait(episode);
    let sign = readings.stops(episode);
    episode.nearly_matches(&RULE, &readings.key(), &[last, sign], "stopped, and therefore silent");
}

fn the_wrong_way_round(episode: &mut Episode) {
    let (mut readings, last) = heard(episode);
    let sign_at = readings.at + SILENCE - SECOND;
    readings.at = sign_at + 9 * SECOND;
    let newer = readings.stops(episode);
    episode.arrives_at_once(newer);
    let sign = Readings { at: sign_at, ..readings }.says(episode, "running");
    episode.arrives_after(sign, newer);
    episode.nearly_matches(&RULE, &readings.key(), &[last, sign], "the only sign in two minutes arrives after a newer event, but in time");
}
