//! `web_scan`: three requests in a row of one address for what is not there, within an hour.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::scenario::{Case, HOUR, MINUTE, SECOND};
use crate::sample::web::{LATENESS_MS, ip};

const RULE: Rule = Rule { pattern: "web_scan", key: "ip", reads_several: false };

pub(super) const CASES: &[Case] = &[
    Case::new(7, scanned),
    Case::new(6, twice),
    Case::new(3, at_the_last_moment),
    Case::new(3, two),
    Case::new(5, page_between),
    Case::new(3, an_hour),
    Case::with_partner(3, two_addresses),
    Case::new(4, late),
    Case::new(4, the_wrong_way_round),
];

/// So many probes from that time on, some seconds apart.
fn probes(episode: &mut Episode, number: i64, mut at: i64) -> (Vec<EventNumber>, i64) {
    let mut events = Vec::new();
    for _ in 0..number {
        events.push(episode.probe(at));
        at += episode.between(SECOND, 30 * SECOND);
    }
    (events, at)
}

fn key(episode: &Episode) -> String {
    ip(episode.key)
}

fn scanned(episode: &mut Episode) {
    episode.page(0);
    let number = episode.between(3, 5);
    let (events, at) = probes(episode, number, 5 * SECOND);
    episode.page(at);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..3], "three requests in a row for what is not there");
}

fn twice(episode: &mut Episode) {
    let (events, _) = probes(episode, 6, 0);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..3], "the first three of six in a row");
    episode.matches(&RULE, &key, &events[3..], "the second three of six in a row");
}

fn at_the_last_moment(episode: &mut Episode) {
    let (mut events, _) = probes(episode, 2, 0);
    events.push(episode.probe(HOUR - 1));
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "the third one millisecond before the hour is over");
}

fn two(episode: &mut Episode) {
    let (events, at) = probes(episode, 2, 0);
    episode.page(at);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "two only");
}

fn page_between(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 2, 0);
    events.push(episode.page(at));
    events.extend(probes(episode, 2, at + SECOND).0);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "a page that is there between two and two that are not");
}

fn an_hour(episode: &mut Episode) {
    let (mut events, _) = probes(episode, 2, 0);
    events.push(episode.probe(HOUR));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the third exactly an hour after the first");
}

fn two_addresses(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 2, 0);
    events.push(episode.request(at, episode.partner, "/.env", 404));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "two from one address and one from another");
}

fn late(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 2, 0);
    let newer = episode.page(at + LATENESS_MS + 1);
    let late = episode.probe(at);
    episode.arrives_after(late, newer);
    events.push(late);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the third arrives more than 59 s behind a newer request");
    episode.because_late(late);
}

fn the_wrong_way_round(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 2, MINUTE);
    let third = episode.probe(at + LATENESS_MS);
    episode.arrives_at_once(third);
    let page = episode.page(at);
    episode.arrives_after(page, third);
    events.extend([page, third]);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the page between the second and the third arrives after the third, 59 s behind, but in time");
}
