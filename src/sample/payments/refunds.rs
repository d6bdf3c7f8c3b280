//! `refund_abuse`: three refunds to one account within a day, of more than 300.00 together. After its refunds an account is quiet for a day.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::account_id;
use crate::sample::scenario::{Case, DAY, HOUR, MINUTE};

const RULE: Rule = Rule { pattern: "refund_abuse", key: "account_id", reads_several: false };

pub(super) const CASES: &[Case] = &[
    Case::new(4, three),
    Case::new(3, at_the_last_moment),
    Case::new(4, a_small_one_between),
    Case::new(2, two),
    Case::new(3, exactly_300),
    Case::new(3, a_day),
    Case::new(3, one_declined),
    Case::with_partner(3, two_accounts),
];

/// Refunds of so many cents at these times, on both cards of the account.
fn refunds(episode: &mut Episode, refunds: &[(i64, i64)]) -> Vec<EventNumber> {
    let mut events = Vec::new();
    for (place, (at, cents)) in refunds.iter().enumerate() {
        let payment = episode.refund(*cents).with_card(1 + (place % 2) as u8);
        events.push(episode.pay(*at, &payment));
    }
    let last = refunds.last().map_or(0, |(at, _)| *at);
    episode.keep_quiet_until(last + DAY);
    events
}

fn key(episode: &Episode) -> String {
    account_id(episode.key)
}

fn three(episode: &mut Episode) {
    let number = episode.between(3, 4);
    let mut at = 0;
    let mut wanted = Vec::new();
    for _ in 0..number {
        wanted.push((at, episode.between(10_100, 40_000)));
        at += episode.between(10 * MINUTE, 5 * HOUR);
    }
    let events = refunds(episode, &wanted);
    let key = key(episode);
    episode.matches(&RULE, &key, &events[..3], "three refunds of more than 100 each within a day");
}

fn at_the_last_moment(episode: &mut Episode) {
    let events = refunds(episode, &[(0, 10_000), (9 * HOUR, 10_000), (DAY - 1, 10_001)]);
    let key = key(episode);
    episode.matches(&RULE, &key, &events, "300.01 together, the third one millisecond before the day is over");
}

fn a_small_one_between(episode: &mut Episode) {
    let events = refunds(episode, &[(0, 12_500), (HOUR, 12_500), (2 * HOUR, 150), (3 * HOUR, 6_000)]);
    let key = key(episode);
    episode.matches(&RULE, &key, &[events[0], events[1], events[3]], "a small refund is passed over before the sum is above 300");
}

fn two(episode: &mut Episode) {
    let events = refunds(episode, &[(0, 80_000), (HOUR, 80_000)]);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "two refunds only, however large");
}

fn exactly_300(episode: &mut Episode) {
    let events = refunds(episode, &[(0, 10_000), (HOUR, 9_999), (2 * HOUR, 10_001)]);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "three refunds of exactly 300 together");
}

fn a_day(episode: &mut Episode) {
    let events = refunds(episode, &[(0, 20_000), (HOUR, 20_000), (DAY, 20_000)]);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "the third refund exactly a day after the first");
}

fn one_declined(episode: &mut Episode) {
    let mut events = refunds(episode, &[(0, 20_000), (2 * HOUR, 20_000)]);
    let payment = episode.refund(20_000).declined();
    events.push(episode.pay(HOUR, &payment));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "one of three refunds is declined");
}

fn two_accounts(episode: &mut Episode) {
    let mut events = refunds(episode, &[(0, 20_000), (2 * HOUR, 20_000)]);
    let payment = episode.refund(20_000).by(episode.partner);
    events.push(episode.pay(HOUR, &payment));
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "one of three refunds goes to another account");
}
