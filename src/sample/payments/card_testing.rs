//! `card_testing`: three approved purchases of less than 2.00, then one of more than 100 times their average, within 10 minutes, no refund between.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::card_id;
use crate::sample::scenario::{Case, DAY, MINUTE, SECOND};

const RULE: Rule = Rule { pattern: "card_testing", key: "card_id", reads_several: false };
const WINDOW: i64 = 10 * MINUTE;

pub(super) const CASES: &[Case] = &[
    Case::new(7, tested),
    Case::new(6, at_the_last_moment),
    Case::new(3, two_probes),
    Case::new(5, refund_between),
    Case::new(4, other_card),
    Case::new(4, too_late),
    Case::new(4, a_hundred_times),
    Case::new(4, declined),
    Case::new(5, late),
];

/// Small purchases in a short time, less than a minute apart.
fn probes(episode: &mut Episode, number: i64) -> (Vec<EventNumber>, i64) {
    let mut events = Vec::new();
    let mut at = 0;
    for _ in 0..number {
        let cents = episode.between(50, 199);
        let payment = episode.purchase(cents);
        events.push(episode.pay(at, &payment));
        at += episode.between(2 * SECOND, 40 * SECOND);
    }
    (events, at)
}

fn large(episode: &mut Episode) -> i64 {
    episode.between(25_000, 90_000)
}

fn key(episode: &Episode) -> String {
    card_id(episode.key, 1)
}

fn cash_out(episode: &mut Episode, at: i64) -> EventNumber {
    let cents = large(episode);
    let payment = episode.purchase(cents);
    episode.pay(at, &payment)
}

fn tested(episode: &mut Episode) {
    // With all others at most seven purchases: one less than `velocity` asks for.
    let number = episode.between(3, 5);
    let (mut events, mut at) = probes(episode, number);
    if episode.percent(50) {
        // More than a probe, less than 100 times the least of them: passed over.
        let cents = episode.between(500, 4_500);
        let payment = episode.purchase(cents);
        episode.pay(at, &payment);
        at += episode.between(2 * SECOND, 40 * SECOND);
    }
    events.push(cash_out(episode, at));
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "small purchases, then a large one on the same card");
}

fn at_the_last_moment(episode: &mut Episode) {
    let number = episode.between(3, 5);
    let (mut events, _) = probes(episode, number);
    events.push(cash_out(episode, WINDOW - 1));
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "the large purchase one millisecond before ten minutes are over");
}

fn two_probes(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 2);
    events.push(cash_out(episode, at));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "two small purchases only");
}

fn refund_between(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 3);
    let payment = episode.refund(100);
    events.push(episode.pay(at, &payment));
    events.push(cash_out(episode, at + 20 * SECOND));
    episode.keep_quiet_until(at + DAY);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "a refund between the small purchases and the large one");
}

fn other_card(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 3);
    let cents = large(episode);
    let payment = episode.purchase(cents).with_card(2);
    events.push(episode.pay(at, &payment));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the large purchase is on the other card of the account");
}

fn too_late(episode: &mut Episode) {
    // With a fourth, the last three of them would be in time.
    let (mut events, _) = probes(episode, 3);
    events.push(cash_out(episode, WINDOW));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the large purchase exactly ten minutes after the first small one");
}

fn a_hundred_times(episode: &mut Episode) {
    let mut events = Vec::new();
    for (place, cents) in [(0, 100), (1, 120), (2, 140), (3, 12_000)] {
        let payment = episode.purchase(cents);
        events.push(episode.pay(place * 20 * SECOND, &payment));
    }
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the large purchase is exactly 100 times the average of the small ones");
}

fn declined(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 3);
    let cents = large(episode);
    let payment = episode.purchase(cents).declined();
    events.push(episode.pay(at, &payment));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the large purchase is declined");
}

fn late(episode: &mut Episode) {
    let (mut events, at) = probes(episode, 3);
    let payment = episode.purchase(1_200).with_card(2);
    let behind = episode.between(30 * SECOND + 1, 90 * SECOND);
    let newer = episode.pay(at + behind, &payment);
    let late = cash_out(episode, at);
    episode.arrives_after(late, newer);
    events.push(late);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the large purchase arrives more than 30 s behind a newer event");
    episode.because_late(late);
}
