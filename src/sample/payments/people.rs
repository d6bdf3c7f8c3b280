//! Where accounts live, where they buy, and from where they log in.

use crate::sample::episode::Episode;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Place {
    pub country: &'static str,
    /// Places of differing regions are more than 1000 km apart.
    region: u8,
    pub lat: f64,
    pub lon: f64,
}

const fn place(country: &'static str, region: u8, lat: f64, lon: f64) -> Place {
    Place { country, region, lat, lon }
}

const PLACES: [Place; 16] = [
    place("DE", 0, 52.52, 13.40),
    place("DE", 0, 48.14, 11.58),
    place("FR", 0, 48.86, 2.35),
    place("NL", 0, 52.37, 4.90),
    place("AT", 0, 48.21, 16.37),
    place("PL", 0, 52.23, 21.01),
    place("US", 1, 40.71, -74.01),
    place("US", 1, 42.36, -71.06),
    place("US", 2, 37.77, -122.42),
    place("US", 2, 34.05, -118.24),
    place("BR", 3, -23.55, -46.63),
    place("SG", 4, 1.35, 103.82),
    place("JP", 5, 35.68, 139.69),
    place("AU", 6, -33.87, 151.21),
    place("ZA", 7, -26.20, 28.05),
    place("IN", 8, 19.08, 72.88),
];

/// A name, how many there are, and what one pays there, in cents. Nobody asks for less than 2.00.
const TRADES: [(&str, u64, i64, i64); 10] = [
    ("grocer", 40, 500, 9_000),
    ("bakery", 30, 220, 1_500),
    ("fuel", 15, 2_000, 11_000),
    ("books", 20, 600, 6_000),
    ("shoes", 12, 3_500, 22_000),
    ("cinema", 8, 900, 4_500),
    ("pharmacy", 20, 300, 5_000),
    ("furniture", 6, 4_000, 120_000),
    ("electronics", 10, 1_500, 150_000),
    ("restaurant", 50, 1_200, 16_000),
];

/// One degree of latitude is 111.195 km everywhere.
const KM_PER_DEGREE: f64 = 111.195;

pub(super) fn home(episode: &Episode, account: u64) -> Place {
    PLACES[(episode.trait_of(account, 1) % PLACES.len() as u64) as usize]
}

pub(super) fn any_place(episode: &mut Episode) -> Place {
    episode.pick(&PLACES)
}

/// More than 1000 km from there.
pub(super) fn far_from(episode: &mut Episode, from: Place) -> Place {
    let far: Vec<Place> = PLACES.iter().copied().filter(|place| place.region != from.region).collect();
    episode.pick(&far)
}

/// So far to the north.
pub(super) fn north_of(from: Place, km: f64) -> Place {
    Place { lat: from.lat + km / KM_PER_DEGREE, ..from }
}

/// Somewhere in the same town.
pub(super) fn around(episode: &mut Episode, town: Place) -> Place {
    let (north, east) = (episode.between(-600, 600) as f64, episode.between(-600, 600) as f64);
    Place { lat: town.lat + north / 10_000.0, lon: town.lon + east / 10_000.0, ..town }
}

pub(super) fn merchant(episode: &mut Episode) -> String {
    trade(episode).0
}

/// Merchants that all differ.
pub(super) fn merchants(episode: &mut Episode, number: u64) -> Vec<String> {
    let (name, of_trade, ..) = episode.pick(&TRADES);
    let first = episode.between(0, 999) as u64;
    // A chain: as many branches as are asked for.
    (0..number).map(|place| format!("{name}-{}", 1 + of_trade + (first + place) % 1_000)).collect()
}

/// A merchant, and what somebody pays there, in cents.
pub(super) fn trade(episode: &mut Episode) -> (String, i64) {
    let (name, number, least, most) = episode.pick(&TRADES);
    let merchant = format!("{name}-{}", 1 + episode.between(0, number as i64 - 1));
    // Small sums are more common than large ones.
    let (one, other) = (episode.between(least, most), episode.between(least, most));
    (merchant, one.min(other))
}

/// The address that an account logs in from.
pub(super) fn own_ip(episode: &Episode, account: u64) -> String {
    let number = episode.trait_of(account, 2);
    format!("10.{}.{}.{}", number % 256, number / 256 % 256, 1 + number / 65_536 % 254)
}

/// An address that no account has.
pub(super) fn foreign_ip(episode: &mut Episode) -> String {
    format!("203.0.{}.{}", episode.between(0, 255), episode.between(1, 254))
}
