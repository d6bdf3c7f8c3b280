//! Requests to a web server: the scenario of `patterns/web`.
//!
//! A key is an address on the network. In the background somebody reads some pages: at most nine requests (a burst has ten) of which at most two in a row go
//! nowhere (a scan has three).

mod burst;
mod scan;

use crate::sample::episode::{Episode, EventNumber};
use crate::sample::scenario::{HOUR, MINUTE, SECOND, StreamTraffic, Traffic};

pub(super) const TRAFFIC: Traffic = Traffic {
    streams: &[StreamTraffic { name: "requests", lateness_ms: LATENESS_MS }],
    episode_ms_max: HOUR + 5 * MINUTE,
    window_ms_max: HOUR,
    cases: &[scan::CASES, burst::CASES],
    background,
    single: one_page,
    last: |episode, _| one_page(episode),
};

const LATENESS_MS: i64 = 59_000;
const REQUESTS: usize = 0;

const PAGES: [&str; 12] = [
    "/",
    "/about",
    "/articles/event-time",
    "/articles/watermarks",
    "/articles/absence",
    "/contact",
    "/feed.xml",
    "/images/clock.png",
    "/images/river.jpg",
    "/search",
    "/style.css",
    "/talks",
];
const GONE: [&str; 4] = ["/articles/2009", "/favicon.ico", "/old/index.html", "/talks/slides.pdf"];
const PROBES: [&str; 8] = ["/.env", "/.git/config", "/admin.php", "/backup.zip", "/cgi-bin/test", "/phpmyadmin", "/wp-login.php", "/xmlrpc.php"];

impl Episode {
    fn request(&mut self, at_ms: i64, address: u64, path: &str, status: u16) -> EventNumber {
        let ip = ip(address);
        let members = format!("\"ip\":\"{ip}\",\"method\":\"GET\",\"path\":\"{path}\",\"status\":{status}");
        self.add(REQUESTS, at_ms, &members)
    }

    /// A page that is there.
    fn page(&mut self, at_ms: i64) -> EventNumber {
        self.page_of(at_ms, self.key)
    }

    fn page_of(&mut self, at_ms: i64, address: u64) -> EventNumber {
        let path = self.pick(&PAGES);
        let status = if self.percent(85) { 200 } else { 304 };
        self.request(at_ms, address, path, status)
    }

    /// A page that is not there, and that somebody who looks for a way in asks for.
    fn probe(&mut self, at_ms: i64) -> EventNumber {
        let path = self.pick(&PROBES);
        self.request(at_ms, self.key, path, 404)
    }
}

/// Somebody reads.
fn background(episode: &mut Episode) {
    let mut at = 0;
    for _ in 0..episode.between(1, 7) {
        episode.page(at);
        at += if episode.percent(50) { episode.between(50, 2 * SECOND) } else { episode.between(2 * SECOND, 90 * SECOND) };
    }
    if episode.percent(20) {
        for _ in 0..episode.between(1, 2) {
            let path = episode.pick(&GONE);
            episode.request(at, episode.key, path, 404);
            at += episode.between(SECOND, 90 * SECOND);
        }
    }
}

fn one_page(episode: &mut Episode) {
    episode.page(0);
}

/// As many addresses as there may be keys.
fn ip(address: u64) -> String {
    format!("10.{}.{}.{}", address / 65_536 % 256, address / 256 % 256, address % 256)
}
