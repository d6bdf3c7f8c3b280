//! What a scenario consists of: its streams, what goes on in them, and the cases that are planted.

use crate::sample::episode::Episode;
use crate::sample::{payments, sensors, web};

/// What a sample is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Card payments, and logins to the accounts: `patterns/fraud`.
    Payments,
    /// Temperature sensors of machines: `patterns/sensors`.
    Sensors,
    /// Requests to a web server: `patterns/web`.
    Web,
}

impl Scenario {
    pub const ALL: [Self; 3] = [Self::Payments, Self::Sensors, Self::Web];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Sensors => "sensors",
            Self::Web => "web",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The names of its streams; [`LineFile::Stream`](crate::sample::LineFile::Stream) counts them.
    pub fn streams(self) -> impl Iterator<Item = &'static str> {
        self.traffic().streams.iter().map(|stream| stream.name)
    }

    /// The fewest events in which each case can be planted once.
    pub fn events_min(self) -> u64 {
        let traffic = self.traffic();
        let cases = traffic.cases.iter().copied().flatten();
        cases.map(|case| case.events_max).sum::<u64>() + traffic.streams.len() as u64
    }

    pub(super) fn traffic(self) -> &'static Traffic {
        match self {
            Self::Payments => &payments::TRAFFIC,
            Self::Sensors => &sensors::TRAFFIC,
            Self::Web => &web::TRAFFIC,
        }
    }
}

/// A scenario as data. Times are in milliseconds.
pub(super) struct Traffic {
    pub streams: &'static [StreamTraffic],
    /// No event of an episode is later than this after its start, unless the episode asks for quiet by itself.
    pub episode_ms_max: i64,
    /// No rule looks further from one event of a key to another, unless the episode asks for quiet by itself.
    pub window_ms_max: i64,
    /// By rule.
    pub cases: &'static [&'static [Case]],
    /// What goes on around a key without any rule taking notice.
    pub background: fn(&mut Episode),
    /// The same in one event, of the first stream.
    pub single: fn(&mut Episode),
    /// The last event of a stream: of no interest, but for its time.
    pub last: fn(&mut Episode, stream: usize),
}

pub(super) struct StreamTraffic {
    pub name: &'static str,
    /// As the patterns declare it.
    pub lateness_ms: i64,
}

/// One kind of thing to plant.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub events_max: u64,
    /// Takes a second key, on which nothing else goes on for as long.
    pub takes_partner: bool,
    pub build: fn(&mut Episode),
}

impl Case {
    pub(super) const fn new(events_max: u64, build: fn(&mut Episode)) -> Self {
        Self { events_max, takes_partner: false, build }
    }

    pub(super) const fn with_partner(events_max: u64, build: fn(&mut Episode)) -> Self {
        Self { events_max, takes_partner: true, build }
    }
}

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
