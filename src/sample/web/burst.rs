//! `request_burst`: ten requests of one address in a row, within 60 seconds.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::scenario::{Case, MINUTE, SECOND};
use crate::sample::web::{LATENESS_MS, ip};

const RULE: Rule = Rule { pattern: "request_burst", key: "ip", reads_several: false };
const ENOUGH: usize = 10;

pub(super) const CASES: &[Case] = &[
    Case::new(14, burst),
    Case::new(20, twice),
    Case::new(10, at_the_last_moment),
    Case::new(9, nine),
    Case::new(10, too_slow),
    Case::with_partner(16, two_addresses),
    Case::new(11, late),
];

/// So many requests, at most that far apart.
fn pages(episode: &mut Episode, number: i64, gap_max: i64) -> (Vec<EventNumber>, i64) {
    let mut events = Vec::new();
    let mut at = 0;
    for _ in 0..number {
        events.push(episode.page(at));
        at += episode.between(50, gap_max);
    }
    (events, at)
}

fn key(episode: &Episode) -> String {
    ip(episode.key)
}

fn burst(episode: &mut Episode) {
    let number = episode.between(10, 14);
    let (events, _) = pages(episode, number, 4 * SECOND);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..ENOUGH], "ten requests within a minute");
}

fn twice(episode: &mut Episode) {
    let (events, _) = pages(episode, 20, 3 * SECOND);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..ENOUGH], "the first ten of twenty within a minute");
    episode.matches(&RULE, &key, &events[ENOUGH..], "the second ten of twenty within a minute");
}

fn at_the_last_moment(episode: &mut Episode) {
    let (mut events, _) = pages(episode, 9, 3 * SECOND);
    events.push(episode.page(MINUTE - 1));
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "the tenth one millisecond before the minute is over");
}

fn nine(episode: &mut Episode) {
    let (events, _) = pages(episode, 9, SECOND);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "nine only");
}

fn too_slow(episode: &mut Episode) {
    let (mut events, _) = pages(episode, 9, 3 * SECOND);
    events.push(episode.page(MINUTE));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the tenth exactly a minute after the first");
}

fn two_addresses(episode: &mut Episode) {
    let mut events = Vec::new();
    for turn in 0..16 {
        let address = if turn % 2 == 0 { episode.key } else { episode.partner };
        events.push(episode.page_of(turn * 2 * SECOND, address));
    }
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "sixteen within a minute, but eight each of two addresses");
}

fn late(episode: &mut Episode) {
    let (mut events, at) = pages(episode, 9, 3 * SECOND);
    let newer = episode.page(at + LATENESS_MS + 1);
    let late = episode.page(at);
    episode.arrives_after(late, newer);
    events.push(late);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the tenth arrives more than 59 s behind a newer request");
    episode.because_late(late);
}
