//! `unverified_payment`: authorised, and neither verified nor cancelled within 5 minutes.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::Payment;
use crate::sample::scenario::{Case, MINUTE, SECOND};

const RULE: Rule = Rule { pattern: "unverified_payment", key: "payment_id", reads_several: false };
const DEADLINE: i64 = 5 * MINUTE;

pub(super) const CASES: &[Case] = &[
    Case::new(1, never),
    Case::new(2, at_the_deadline),
    Case::new(2, afterwards),
    Case::new(3, another_one),
    Case::new(3, late),
    Case::new(2, just_in_time),
    Case::new(2, cancelled),
    Case::new(1, declined),
    Case::new(2, the_wrong_way_round),
];

/// A payment that is to be authorised, and its number.
fn payment(episode: &mut Episode) -> (Payment, String) {
    let cents = episode.between(1_000, 40_000);
    let id = episode.new_payment_id();
    (episode.purchase(cents), id)
}

/// An authorisation at the beginning, and what settles it at that time.
fn authorised(episode: &mut Episode, settled: &'static str, at: i64) -> (EventNumber, EventNumber, String) {
    let (payment, id) = payment(episode);
    let authorisation = episode.pay(0, &payment.clone().of_kind("authorisation", &id));
    let settlement = episode.pay(at, &payment.of_kind(settled, &id));
    (authorisation, settlement, id)
}

fn never(episode: &mut Episode) {
    let (payment, id) = payment(episode);
    let event = episode.pay(0, &payment.of_kind("authorisation", &id));
    episode.matches_at(&RULE, &id, DEADLINE, &[event], "never verified");
}

fn at_the_deadline(episode: &mut Episode) {
    let (event, _, id) = authorised(episode, "verification", DEADLINE);
    episode.matches_at(&RULE, &id, DEADLINE, &[event], "verified after exactly five minutes");
}

fn afterwards(episode: &mut Episode) {
    let at = episode.between(DEADLINE + SECOND, 20 * MINUTE);
    let (event, _, id) = authorised(episode, "verification", at);
    episode.matches_at(&RULE, &id, DEADLINE, &[event], "verified too late");
}

fn another_one(episode: &mut Episode) {
    let (payment, id) = payment(episode);
    let event = episode.pay(0, &payment.clone().of_kind("authorisation", &id));
    let other = episode.new_payment_id();
    episode.pay(40 * SECOND, &payment.clone().of_kind("authorisation", &other));
    episode.pay(45 * SECOND, &payment.of_kind("verification", &other));
    episode.matches_at(&RULE, &id, DEADLINE, &[event], "authorised twice, and only the second one verified");
}

fn late(episode: &mut Episode) {
    let (payment, id) = payment(episode);
    let event = episode.pay(0, &payment.clone().of_kind("authorisation", &id));
    let at = episode.between(10 * SECOND, 4 * MINUTE);
    let other = episode.purchase(1_500).with_card(2);
    let newer = episode.pay(at + 30 * SECOND + 1, &other);
    let verification = episode.pay(at, &payment.of_kind("verification", &id));
    episode.arrives_after(verification, newer);
    episode.matches_at(&RULE, &id, DEADLINE, &[event], "the verification arrives more than 30 s behind a newer event");
    episode.because_late(verification);
}

fn just_in_time(episode: &mut Episode) {
    let (event, verification, id) = authorised(episode, "verification", DEADLINE - 1);
    episode.nearly_matches(&RULE, &id, &[event, verification], "verified one millisecond before five minutes are over");
}

fn cancelled(episode: &mut Episode) {
    let at = episode.between(SECOND, DEADLINE - SECOND);
    let (event, cancellation, id) = authorised(episode, "cancellation", at);
    episode.nearly_matches(&RULE, &id, &[event, cancellation], "cancelled in time");
}

fn declined(episode: &mut Episode) {
    let (payment, id) = payment(episode);
    let event = episode.pay(0, &payment.declined().of_kind("authorisation", &id));
    episode.nearly_matches(&RULE, &id, &[event], "the authorisation is declined");
}

fn the_wrong_way_round(episode: &mut Episode) {
    let (payment, id) = payment(episode);
    let behind = episode.between(SECOND, 29 * SECOND);
    let verification = episode.pay(behind, &payment.clone().of_kind("verification", &id));
    episode.arrives_at_once(verification);
    let event = episode.pay(0, &payment.of_kind("authorisation", &id));
    episode.arrives_after(event, verification);
    episode.nearly_matches(&RULE, &id, &[event, verification], "the verification arrives before the authorisation");
}
