//! `velocity`: eight purchases within 10 minutes, at five merchants or more among the first seven.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::{card_id, people};
use crate::sample::scenario::{Case, MINUTE, SECOND};

const RULE: Rule = Rule { pattern: "velocity", key: "card_id", reads_several: false };
const WINDOW: i64 = 10 * MINUTE;
const ENOUGH: usize = 8;

pub(super) const CASES: &[Case] = &[
    Case::new(10, in_a_hurry),
    Case::new(8, at_the_last_moment),
    Case::new(16, twice),
    Case::new(7, seven),
    Case::new(10, four_merchants),
    Case::new(8, too_slow),
    Case::new(10, two_cards),
];

/// One after the other at so many merchants in turns, less than a minute apart. Some are declined, which does not matter.
fn purchases(episode: &mut Episode, number: i64, merchants: u64) -> Vec<EventNumber> {
    let names = people::merchants(episode, merchants);
    let mut at = 0;
    let mut events = Vec::new();
    for name in names.iter().cycle().take(number as usize) {
        events.push(purchase(episode, at, name, 1));
        at += episode.between(5 * SECOND, 30 * SECOND);
    }
    events
}

fn purchase(episode: &mut Episode, at: i64, merchant: &str, card: u8) -> EventNumber {
    let cents = episode.between(500, 8_000);
    let payment = episode.purchase(cents).merchant(merchant).with_card(card);
    let payment = if episode.percent(15) { payment.declined() } else { payment };
    episode.pay(at, &payment)
}

fn key(episode: &Episode) -> String {
    card_id(episode.key, 1)
}

fn in_a_hurry(episode: &mut Episode) {
    let (number, merchants) = (episode.between(8, 10), episode.between(5, 8) as u64);
    let events = purchases(episode, number, merchants);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..ENOUGH], "many purchases at many merchants in a few minutes");
}

fn at_the_last_moment(episode: &mut Episode) {
    let mut events = purchases(episode, 7, 5);
    let merchant = people::merchant(episode);
    events.push(purchase(episode, WINDOW - 1, &merchant, 1));
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "the eighth purchase one millisecond before ten minutes are over");
}

fn twice(episode: &mut Episode) {
    let events = purchases(episode, 16, 6);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..ENOUGH], "the first eight of sixteen purchases");
    episode.matches(&RULE, &key, &events[ENOUGH..], "the second eight of sixteen purchases");
}

fn seven(episode: &mut Episode) {
    let events = purchases(episode, 7, 7);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "seven purchases only");
}

fn four_merchants(episode: &mut Episode) {
    let number = episode.between(8, 10);
    let events = purchases(episode, number, 4);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "many purchases, but at four merchants");
}

fn too_slow(episode: &mut Episode) {
    let mut events = purchases(episode, 7, 7);
    let merchant = people::merchant(episode);
    events.push(purchase(episode, WINDOW, &merchant, 1));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the eighth purchase exactly ten minutes after the first");
}

fn two_cards(episode: &mut Episode) {
    let names = people::merchants(episode, 10);
    let mut events = Vec::new();
    for (place, name) in names.iter().enumerate() {
        events.push(purchase(episode, place as i64 * 20 * SECOND, name, 1 + (place % 2) as u8));
    }
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "ten purchases, but five on each card of the account");
}
