//! What goes on all day, and no rule takes notice of.
//!
//! An episode has at most four purchases (velocity asks for eight), at most one of less than 2.00 (card testing asks for three), all in one town, at most two
//! failed logins (a takeover has three) and at most one refund, after which the account is quiet for a day. What is authorised is settled in time.

use crate::sample::episode::Episode;
use crate::sample::payments::people::{self, Place};
use crate::sample::payments::{LOGINS, Payment};
use crate::sample::scenario::{DAY, MINUTE, SECOND};

pub(super) fn background(episode: &mut Episode) {
    match episode.between(1, 100) {
        1..=46 => purchase(episode),
        47..=62 => shopping(episode),
        63..=82 => authorisation(episode),
        83..=94 => login(episode),
        95..=97 => new_address(episode),
        _ => refund(episode),
    }
}

/// One purchase, somewhere.
pub(super) fn purchase(episode: &mut Episode) {
    let town = town(episode);
    let payment = any_purchase(episode, town);
    episode.pay(0, &payment);
}

/// The last word of a stream.
pub(super) fn last(episode: &mut Episode, stream: usize) {
    if stream == LOGINS {
        let ip = people::own_ip(episode, episode.key);
        episode.log_in(0, episode.key, &ip, "ok");
    } else {
        purchase(episode);
    }
}

/// Mostly at home.
fn town(episode: &mut Episode) -> Place {
    if episode.percent(94) { people::home(episode, episode.key) } else { people::any_place(episode) }
}

fn any_purchase(episode: &mut Episode, town: Place) -> Payment {
    let (merchant, cents) = people::trade(episode);
    let card = if episode.percent(70) { 1 } else { 2 };
    let payment = Payment { merchant, ..episode.purchase(cents) }.with_card(card);
    let payment = if episode.percent(3) { payment.declined() } else { payment };
    if episode.percent(60) {
        let place = people::around(episode, town);
        payment.in_person(place)
    } else {
        payment.online_in(town)
    }
}

/// Some purchases within the hour, perhaps with the fee for the parking lot.
fn shopping(episode: &mut Episode) {
    let town = town(episode);
    let mut at = 0;
    for _ in 0..episode.between(2, 3) {
        let payment = any_purchase(episode, town);
        episode.pay(at, &payment);
        at += episode.between(SECOND, 15 * MINUTE);
    }
    if episode.percent(30) {
        let cents = episode.between(50, 190);
        let payment = episode.purchase(cents).merchant("parking");
        episode.pay(at, &payment);
    }
}

/// Money is held, and then taken or given back.
fn authorisation(episode: &mut Episode) {
    let town = town(episode);
    let id = episode.new_payment_id();
    let payment = Payment { status: "approved", ..any_purchase(episode, town) };
    episode.pay(0, &payment.clone().of_kind("authorisation", &id));
    let settled = if episode.percent(90) { "verification" } else { "cancellation" };
    let at = episode.between(2 * SECOND, 4 * MINUTE);
    episode.pay(at, &payment.of_kind(settled, &id));
}

/// Sometimes with a typing error or two, sometimes with a purchase.
fn login(episode: &mut Episode) {
    let ip = people::own_ip(episode, episode.key);
    let mut at = 0;
    let failures = if episode.percent(30) { episode.between(1, 2) } else { 0 };
    for _ in 0..failures {
        episode.log_in(at, episode.key, &ip, "fail");
        at += episode.between(SECOND, 30 * SECOND);
    }
    episode.log_in(at, episode.key, &ip, "ok");
    if episode.percent(50) {
        at += episode.between(10 * SECOND, 20 * MINUTE);
        let payment = any_online_purchase(episode);
        episode.pay(at, &payment);
    }
}

fn any_online_purchase(episode: &mut Episode) -> Payment {
    let home = people::home(episode, episode.key);
    Payment { place: None, ..any_purchase(episode, home) }
}

/// Somebody moves, and buys something for the new home.
fn new_address(episode: &mut Episode) {
    let ip = people::own_ip(episode, episode.key);
    episode.log_in(0, episode.key, &ip, "ok");
    let moved = episode.between(20 * SECOND, 5 * MINUTE);
    episode.change_address(moved, episode.key, &ip);
    let at = moved + episode.between(20 * SECOND, 20 * MINUTE);
    let payment = any_online_purchase(episode);
    episode.pay(at, &payment);
}

/// Something does not fit.
fn refund(episode: &mut Episode) {
    let town = town(episode);
    let payment = Payment { status: "approved", ..any_purchase(episode, town) };
    episode.pay(0, &payment);
    let at = episode.between(10 * MINUTE, 60 * MINUTE);
    episode.pay(at, &Payment { kind: "refund", ..payment });
    episode.keep_quiet_until(at + DAY);
}
