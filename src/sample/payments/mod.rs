//! Card payments and logins to the accounts they belong to: the scenario of `patterns/fraud`.
//!
//! A key is an account with two cards, a home town, and an address on the network. Which numbers the rules ask for is known here and in the patterns; that
//! they agree is what the tests of the samples check.

mod background;
mod card_testing;
mod people;
mod refunds;
mod takeover;
mod travel;
mod unverified;
mod velocity;

use crate::sample::episode::{Episode, EventNumber};
use crate::sample::payments::people::Place;
use crate::sample::scenario::{HOUR, MINUTE, StreamTraffic, Traffic};

pub(super) const TRAFFIC: Traffic = Traffic {
    streams: &[StreamTraffic { name: "payments", lateness_ms: LATENESS_MS }, StreamTraffic { name: "logins", lateness_ms: LATENESS_MS }],
    episode_ms_max: HOUR + 5 * MINUTE,
    window_ms_max: HOUR,
    cases: &[card_testing::CASES, velocity::CASES, travel::CASES, unverified::CASES, refunds::CASES, takeover::CASES],
    background: background::background,
    single: background::purchase,
    last: background::last,
};

const LATENESS_MS: i64 = 30_000;
const PAYMENTS: usize = 0;
const LOGINS: usize = 1;

/// A payment, as far as it is not the usual one.
#[derive(Clone, Debug)]
struct Payment {
    account: u64,
    card: u8,
    /// What it shares with other events; a number of its own where nothing is said.
    id: Option<String>,
    kind: &'static str,
    status: &'static str,
    cents: i64,
    merchant: String,
    country: &'static str,
    /// `None`: online.
    place: Option<(f64, f64)>,
}

impl Episode {
    /// An approved online purchase with the account's first card.
    fn purchase(&mut self, cents: i64) -> Payment {
        let merchant = people::merchant(self);
        let country = people::home(self, self.key).country;
        Payment { account: self.key, card: 1, id: None, kind: "purchase", status: "approved", cents, merchant, country, place: None }
    }

    fn refund(&mut self, cents: i64) -> Payment {
        Payment { kind: "refund", ..self.purchase(cents) }
    }

    fn pay(&mut self, at_ms: i64, payment: &Payment) -> EventNumber {
        let Payment { account, card, kind, status, cents, merchant, country, .. } = payment;
        let id = payment.id.clone().unwrap_or_else(|| self.new_payment_id());
        let (card, account) = (card_id(*account, *card), account_id(*account));
        let (whole, part) = (cents / 100, cents % 100);
        let place = payment.place.map(|(lat, lon)| format!(",\"lat\":{lat:.4},\"lon\":{lon:.4}")).unwrap_or_default();
        let members = format!(
            "\"payment_id\":\"{id}\",\"card_id\":\"{card}\",\"account_id\":\"{account}\",\"kind\":\"{kind}\",\"status\":\"{status}\",\
             \"amount\":{whole}.{part:02},\"merchant\":\"{merchant}\",\"country\":\"{country}\"{place}"
        );
        self.add(PAYMENTS, at_ms, &members)
    }

    /// For the next event, and those that belong to it.
    fn new_payment_id(&self) -> String {
        format!("pay-{}", self.next_id())
    }

    fn log_in(&mut self, at_ms: i64, account: u64, ip: &str, result: &str) -> EventNumber {
        self.at_the_door(at_ms, account, ip, "login", result)
    }

    fn change_address(&mut self, at_ms: i64, account: u64, ip: &str) -> EventNumber {
        self.at_the_door(at_ms, account, ip, "address_change", "ok")
    }

    fn at_the_door(&mut self, at_ms: i64, account: u64, ip: &str, kind: &str, result: &str) -> EventNumber {
        let account = account_id(account);
        let members = format!("\"account_id\":\"{account}\",\"kind\":\"{kind}\",\"result\":\"{result}\",\"ip\":\"{ip}\"");
        self.add(LOGINS, at_ms, &members)
    }
}

impl Payment {
    fn declined(self) -> Self {
        Self { status: "declined", ..self }
    }

    fn with_card(self, card: u8) -> Self {
        Self { card, ..self }
    }

    fn by(self, account: u64) -> Self {
        Self { account, ..self }
    }

    fn of_kind(self, kind: &'static str, id: &str) -> Self {
        Self { kind, id: Some(id.to_owned()), ..self }
    }

    fn merchant(self, merchant: &str) -> Self {
        Self { merchant: merchant.to_owned(), ..self }
    }

    fn in_person(self, place: Place) -> Self {
        Self { country: place.country, place: Some((place.lat, place.lon)), ..self }
    }

    fn online_in(self, place: Place) -> Self {
        Self { country: place.country, place: None, ..self }
    }
}

fn card_id(account: u64, card: u8) -> String {
    format!("card-{account:07}-{card}")
}

fn account_id(account: u64) -> String {
    format!("account-{account:07}")
}
