//! `account_takeover`: three failed logins or more, a good one from the same address, from there a new address, and an approved purchase of 100.00 or
//! more, within an hour.

use crate::sample::episode::{Episode, EventNumber, Rule};
use crate::sample::payments::{account_id, people};
use crate::sample::scenario::{Case, HOUR, MINUTE, SECOND};

const RULE: Rule = Rule { pattern: "account_takeover", key: "account_id", reads_several: true };

pub(super) const CASES: &[Case] = &[
    Case::new(10, taken_over),
    Case::new(6, at_the_last_moment),
    Case::new(7, owner_between),
    Case::new(5, two_failures),
    Case::new(6, from_elsewhere),
    Case::new(5, no_new_address),
    Case::new(6, new_address_from_elsewhere),
    Case::new(6, payment_before),
    Case::new(6, small_payment),
    Case::new(6, an_hour),
    Case::with_partner(6, another_pays),
    Case::new(7, late),
];

/// The thief at work: what was done, by whom, and the time.
struct Theft {
    ip: String,
    events: Vec<EventNumber>,
    at: i64,
}

impl Theft {
    fn with_failures(episode: &mut Episode, number: i64) -> Self {
        let mut theft = Self { ip: people::foreign_ip(episode), events: Vec::new(), at: 0 };
        for _ in 0..number {
            theft.events.push(episode.log_in(theft.at, episode.key, &theft.ip, "fail"));
            theft.wait(episode);
        }
        theft
    }

    fn gets_in(mut self, episode: &mut Episode) -> Self {
        self.events.push(episode.log_in(self.at, episode.key, &self.ip, "ok"));
        self.wait(episode);
        self
    }

    fn moves(mut self, episode: &mut Episode) -> Self {
        self.events.push(episode.change_address(self.at, episode.key, &self.ip));
        self.wait(episode);
        self
    }

    fn pays(self, episode: &mut Episode) -> Self {
        let cents = episode.between(10_000, 90_000);
        self.pays_cents(episode, cents)
    }

    fn pays_cents(mut self, episode: &mut Episode, cents: i64) -> Self {
        let payment = episode.purchase(cents);
        self.events.push(episode.pay(self.at, &payment));
        self.wait(episode);
        self
    }

    fn at(self, at: i64) -> Self {
        Self { at, ..self }
    }

    fn wait(&mut self, episode: &mut Episode) {
        self.at += episode.between(SECOND, MINUTE);
    }

    fn succeeds(self, episode: &mut Episode, why: &'static str) {
        episode.matches(&RULE, &account_id(episode.key), &self.events, why);
    }

    fn fails(self, episode: &mut Episode, why: &'static str) {
        episode.nearly_matches(&RULE, &account_id(episode.key), &self.events, why);
    }
}

fn taken_over(episode: &mut Episode) {
    let number = episode.between(3, 6);
    let mut theft = Theft::with_failures(episode, number).gets_in(episode).moves(episode);
    if episode.percent(50) {
        let payment = episode.purchase(3_000);
        episode.pay(theft.at, &payment);
        theft.wait(episode);
    }
    theft.pays(episode).succeeds(episode, "failed logins, a good one, a new address and a payment");
}

fn at_the_last_moment(episode: &mut Episode) {
    let theft = Theft::with_failures(episode, 3).gets_in(episode).moves(episode).at(HOUR - 1);
    theft.pays_cents(episode, 10_000).succeeds(episode, "a payment of exactly 100, one millisecond before the hour is over");
}

fn owner_between(episode: &mut Episode) {
    let mut theft = Theft::with_failures(episode, 3);
    let own = people::own_ip(episode, episode.key);
    episode.log_in(theft.at, episode.key, &own, "ok");
    theft.wait(episode);
    theft.gets_in(episode).moves(episode).pays(episode).succeeds(episode, "the owner logs in between, from another address");
}

fn two_failures(episode: &mut Episode) {
    Theft::with_failures(episode, 2).gets_in(episode).moves(episode).pays(episode).fails(episode, "two failed logins only");
}

fn from_elsewhere(episode: &mut Episode) {
    let mut theft = Theft::with_failures(episode, 3);
    theft.ip = people::own_ip(episode, episode.key);
    theft.gets_in(episode).moves(episode).pays(episode).fails(episode, "the good login is from another address than the failed ones");
}

fn no_new_address(episode: &mut Episode) {
    Theft::with_failures(episode, 3).gets_in(episode).pays(episode).fails(episode, "the address stays the same");
}

fn new_address_from_elsewhere(episode: &mut Episode) {
    let mut theft = Theft::with_failures(episode, 3).gets_in(episode);
    theft.ip = people::own_ip(episode, episode.key);
    theft.moves(episode).pays(episode).fails(episode, "the new address is entered from another place than the login");
}

fn payment_before(episode: &mut Episode) {
    Theft::with_failures(episode, 3).gets_in(episode).pays(episode).moves(episode).fails(episode, "the payment comes before the new address");
}

fn small_payment(episode: &mut Episode) {
    let theft = Theft::with_failures(episode, 3).gets_in(episode).moves(episode);
    theft.pays_cents(episode, 9_999).fails(episode, "a payment of 99.99");
}

fn an_hour(episode: &mut Episode) {
    // With a fourth, the last three of them would be in time.
    let theft = Theft::with_failures(episode, 3).gets_in(episode).moves(episode).at(HOUR);
    theft.pays(episode).fails(episode, "the payment exactly an hour after the first failed login");
}

fn another_pays(episode: &mut Episode) {
    let mut theft = Theft::with_failures(episode, 3).gets_in(episode).moves(episode);
    let payment = episode.purchase(50_000).by(episode.partner);
    theft.events.push(episode.pay(theft.at, &payment));
    theft.fails(episode, "another account pays");
}

fn late(episode: &mut Episode) {
    let mut theft = Theft::with_failures(episode, 3).gets_in(episode);
    let own = people::own_ip(episode, episode.key);
    let newer = episode.log_in(theft.at + 30 * SECOND + 1, episode.key, &own, "ok");
    let late = episode.change_address(theft.at, episode.key, &theft.ip);
    episode.arrives_after(late, newer);
    theft.events.push(late);
    theft.at += 2 * MINUTE;
    theft.pays(episode).fails(episode, "the new address arrives more than 30 s behind a newer event");
    episode.because_late(late);
}
