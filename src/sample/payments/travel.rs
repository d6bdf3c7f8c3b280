//! `impossible_travel`: two approved purchases in person with one card, one right after the other, more than 1000 km and less than an hour apart.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::people::{self, Place};
use crate::sample::payments::{Payment, card_id};
use crate::sample::scenario::{Case, HOUR, MINUTE};

const RULE: Rule = Rule { pattern: "impossible_travel", key: "card_id", reads_several: false };

pub(super) const CASES: &[Case] = &[
    Case::new(2, far_apart),
    Case::new(2, just_far_enough),
    Case::new(3, online_between),
    Case::new(2, not_far_enough),
    Case::new(2, an_hour),
    Case::new(2, other_card),
    Case::new(2, online),
    Case::new(2, declined),
    Case::new(3, two_hops),
];

fn somewhere(episode: &mut Episode, place: Place) -> Payment {
    let cents = episode.between(500, 20_000);
    episode.purchase(cents).in_person(place)
}

fn at_home(episode: &mut Episode) -> EventNumber {
    let home = people::home(episode, episode.key);
    let payment = somewhere(episode, home);
    episode.pay(0, &payment)
}

fn far_away(episode: &mut Episode) -> Payment {
    let home = people::home(episode, episode.key);
    let place = people::far_from(episode, home);
    somewhere(episode, place)
}

fn to_the_north(episode: &mut Episode, km: f64) -> Payment {
    let home = people::home(episode, episode.key);
    somewhere(episode, people::north_of(home, km))
}

fn key(episode: &Episode) -> String {
    card_id(episode.key, 1)
}

fn far_apart(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = far_away(episode);
    let at = episode.between(MINUTE, 59 * MINUTE);
    let there = episode.pay(at, &payment);
    let key = key(episode);
    episode.matches(&RULE, &key, &[here, there], "in another part of the world within the hour");
}

fn just_far_enough(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = to_the_north(episode, 1_002.0);
    let there = episode.pay(HOUR - 1, &payment);
    let key = key(episode);
    episode.matches(&RULE, &key, &[here, there], "1002 km away, one millisecond before the hour is over");
}

fn online_between(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = episode.purchase(990);
    episode.pay(5 * MINUTE, &payment);
    let payment = far_away(episode);
    let there = episode.pay(30 * MINUTE, &payment);
    let key = key(episode);
    episode.matches(&RULE, &key, &[here, there], "far away within the hour, with an online purchase in between");
}

fn not_far_enough(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = to_the_north(episode, 998.0);
    let at = episode.between(MINUTE, 59 * MINUTE);
    let there = episode.pay(at, &payment);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &[here, there], "998 km away");
}

fn an_hour(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = far_away(episode);
    let there = episode.pay(HOUR, &payment);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &[here, there], "far away after exactly an hour");
}

fn other_card(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = far_away(episode).with_card(2);
    let there = episode.pay(20 * MINUTE, &payment);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &[here, there], "the card that is far away is the other one of the account");
}

fn online(episode: &mut Episode) {
    let here = at_home(episode);
    let home = people::home(episode, episode.key);
    let place = people::far_from(episode, home);
    let payment = episode.purchase(4_900).online_in(place);
    let there = episode.pay(20 * MINUTE, &payment);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &[here, there], "the merchant far away sells online");
}

fn declined(episode: &mut Episode) {
    let here = at_home(episode);
    let payment = far_away(episode).declined();
    let there = episode.pay(20 * MINUTE, &payment);
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &[here, there], "the purchase far away is declined");
}

fn two_hops(episode: &mut Episode) {
    let mut events = vec![at_home(episode)];
    for (at, km) in [(28 * MINUTE, 700.0), (55 * MINUTE, 1_400.0)] {
        let payment = to_the_north(episode, km);
        events.push(episode.pay(at, &payment));
    }
    let key = key(episode);
    episode.nearly_matches(&RULE, &key, &events, "1400 km within the hour, but in two hops of 700");
}
