//! Temperature sensors of machines that run, are stopped, and sometimes fail: the scenario of `patterns/sensors`.
//!
//! An episode is a run of one machine, from its first reading to the word that it is stopped. In the background nothing fails and nothing goes silent.
//! `restart` takes notice of every failure, so a failure is always planted with what becomes of it.

mod restart;
mod rising;
mod silent;

use crate::sample::episode::{Episode, EventNumber};
use crate::sample::scenario::{MINUTE, SECOND, StreamTraffic, Traffic};

pub(super) const TRAFFIC: Traffic = Traffic {
    streams: &[StreamTraffic { name: "sensors", lateness_ms: LATENESS_MS }],
    episode_ms_max: 20 * MINUTE,
    window_ms_max: 10 * MINUTE,
    cases: &[rising::CASES, silent::CASES, restart::CASES],
    background,
    single: stopped_only,
    last: |episode, _| stopped_only(episode),
};

const LATENESS_MS: i64 = 10_000;
const SENSORS: usize = 0;
const SITES: u64 = 40;

/// What a sensor has to say one time after the other.
struct Readings {
    sensor: u64,
    at: i64,
    /// In tenths of a degree.
    value: i64,
}

impl Readings {
    fn of(episode: &mut Episode, sensor: u64) -> Self {
        Self { sensor, at: 0, value: episode.between(550, 650) }
    }

    /// A machine that has been running for a few readings, and cools down.
    fn running(episode: &mut Episode) -> Self {
        let mut readings = Self::of(episode, episode.key);
        let number = episode.between(1, 3);
        readings.cool_down(episode, number);
        readings
    }

    fn says(&self, episode: &mut Episode, state: &str) -> EventNumber {
        let (sensor, site) = (sensor_id(self.sensor), 1 + self.sensor % SITES);
        let (whole, part) = (self.value / 10, self.value % 10);
        let members = format!("\"sensor_id\":\"{sensor}\",\"site\":\"site-{site}\",\"state\":\"{state}\",\"value\":{whole}.{part}");
        episode.add(SENSORS, self.at, &members)
    }

    /// About ten seconds later.
    fn wait(&mut self, episode: &mut Episode) {
        self.at += episode.between(8 * SECOND, 12 * SECOND);
    }

    /// A reading, and the time until the next.
    fn reads(&mut self, episode: &mut Episode) -> EventNumber {
        let event = self.says(episode, "running");
        self.wait(episode);
        event
    }

    /// So many readings, none of them above the one before.
    fn cool_down(&mut self, episode: &mut Episode, number: i64) -> Vec<EventNumber> {
        let mut events = Vec::new();
        for _ in 0..number {
            events.push(self.reads(episode));
            self.value -= episode.between(0, 4);
        }
        events
    }

    /// A reading, and so many more, each above the one before.
    fn rise(&mut self, episode: &mut Episode, number: i64) -> Vec<EventNumber> {
        let mut events = vec![self.reads(episode)];
        for _ in 0..number {
            self.value += episode.between(1, 25);
            events.push(self.reads(episode));
        }
        events
    }

    /// Switched off by hand.
    fn stops(&self, episode: &mut Episode) -> EventNumber {
        self.says(episode, "stopped")
    }

    fn fails(&self, episode: &mut Episode) -> EventNumber {
        self.says(episode, "failed")
    }

    fn key(&self) -> String {
        sensor_id(self.sensor)
    }
}

/// A run of a machine, warmer and colder as it comes.
fn background(episode: &mut Episode) {
    let mut readings = Readings::of(episode, episode.key);
    for _ in 0..episode.between(4, 30) {
        readings.reads(episode);
        readings.value = (readings.value + episode.between(-10, 10)).clamp(300, 900);
    }
    readings.stops(episode);
}

fn stopped_only(episode: &mut Episode) {
    let readings = Readings::of(episode, episode.key);
    readings.stops(episode);
}

fn sensor_id(sensor: u64) -> String {
    format!("sensor-{sensor:07}")
}
