//! `restart`: a failed machine runs again within 10 minutes; if not, a timeout.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::scenario::{Case, MINUTE, SECOND};
use crate::sample::sensors::Readings;

const RULE: Rule = Rule { pattern: "restart", key: "sensor_id", reads_several: false };
const WINDOW: i64 = 10 * MINUTE;

pub(super) const CASES: &[Case] = &[
    Case::new(8, runs_again),
    Case::new(7, at_the_last_moment),
    Case::new(7, too_late),
    Case::new(5, stopped_for_good),
    Case::new(11, fails_twice),
    Case::new(7, late),
    Case::new(6, no_failure),
];

/// After a failure: it runs again, or it does not. What `restart` finds of it is planted.
pub(super) fn becomes_of(episode: &mut Episode, mut readings: Readings, failure: EventNumber) {
    if episode.percent(50) {
        return never_runs_again(episode, readings, failure);
    }
    readings.at += episode.between(30 * SECOND, 9 * MINUTE);
    runs_again_after(episode, &mut readings, failure, "a failed machine runs again");
    readings.stops(episode);
}

pub(super) fn never_runs_again(episode: &mut Episode, readings: Readings, failure: EventNumber) {
    episode.times_out(&RULE, &readings.key(), readings.at + WINDOW, &[failure], "a failed machine does not run again");
}

fn runs_again_after(episode: &mut Episode, readings: &mut Readings, failure: EventNumber, why: &'static str) {
    let again = readings.reads(episode);
    episode.matches(&RULE, &readings.key(), &[failure, again], why);
    readings.cool_down(episode, 1);
}

fn failed(episode: &mut Episode) -> (Readings, EventNumber) {
    let readings = Readings::running(episode);
    let failure = readings.fails(episode);
    (readings, failure)
}

fn runs_again(episode: &mut Episode) {
    let (readings, failure) = failed(episode);
    let mut readings = readings;
    readings.at += episode.between(5 * SECOND, 9 * MINUTE);
    runs_again_after(episode, &mut readings, failure, "runs again within ten minutes");
    readings.stops(episode);
}

fn at_the_last_moment(episode: &mut Episode) {
    let (mut readings, failure) = failed(episode);
    readings.at += WINDOW - 1;
    runs_again_after(episode, &mut readings, failure, "runs again one millisecond before ten minutes are over");
    readings.stops(episode);
}

fn too_late(episode: &mut Episode) {
    let (mut readings, failure) = failed(episode);
    readings.at += WINDOW;
    episode.times_out(&RULE, &readings.key(), readings.at, &[failure], "runs again after exactly ten minutes");
    readings.cool_down(episode, 2);
    readings.stops(episode);
}

fn stopped_for_good(episode: &mut Episode) {
    let (mut readings, failure) = failed(episode);
    episode.times_out(&RULE, &readings.key(), readings.at + WINDOW, &[failure], "stopped after the failure, and does not run again");
    readings.wait(episode);
    readings.stops(episode);
}

fn fails_twice(episode: &mut Episode) {
    let (mut readings, failure) = failed(episode);
    readings.at += MINUTE;
    runs_again_after(episode, &mut readings, failure, "the first of two failures");
    let failure = readings.fails(episode);
    readings.at += MINUTE;
    runs_again_after(episode, &mut readings, failure, "the second of two failures");
    readings.stops(episode);
}

fn late(episode: &mut Episode) {
    let (mut readings, failure) = failed(episode);
    let failed_at = readings.at;
    readings.at = failed_at + WINDOW + 5 * SECOND;
    let newer = readings.stops(episode);
    let late = Readings { at: failed_at + WINDOW - 6 * SECOND, ..readings }.says(episode, "running");
    episode.arrives_after(late, newer);
    let why = "its first reading in time arrives more than 10 s behind a newer event";
    episode.times_out(&RULE, &readings.key(), failed_at + WINDOW, &[failure], why);
    episode.because_late(late);
}

fn no_failure(episode: &mut Episode) {
    let mut readings = Readings::running(episode);
    let stopped = readings.stops(episode);
    readings.at += MINUTE;
    let again = readings.reads(episode);
    readings.stops(episode);
    episode.nearly_matches(&RULE, &readings.key(), &[stopped, again], "stopped by hand, not failed");
}
