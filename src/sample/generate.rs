//! A whole sample, one line after the other.

use std::collections::VecDeque;

use crate::event::{EventTime, TimeSpan};
use crate::sample::arrivals::Arrivals;
use crate::sample::episode::{Arrives, Episode};
use crate::sample::plan::Plan;
use crate::sample::planted::PlantedKind;
use crate::sample::scenario::{Case, Scenario, Traffic};
use crate::sample::schedule::{Schedule, Slot};
use crate::sample::settings::{Settings, SettingsFault};

/// What a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineFile {
    /// An event of this stream of the scenario, counted from 0.
    Stream(usize),
    /// Something that was planted.
    Planted(PlantedKind),
}

/// A line, without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub file: LineFile,
    pub text: String,
}

/// The lines of a sample: those of a file in order, and what was planted as soon as its last event is written.
pub struct Sample {
    traffic: &'static Traffic,
    settings: Settings,
    schedule: Schedule,
    plan: Plan,
    arrivals: Arrivals,
    /// Events that were made, written or not.
    made: u64,
    lines: VecDeque<Line>,
    is_over: bool,
}

impl Sample {
    /// # Errors
    ///
    /// The scenario cannot be had with these settings.
    pub fn new(scenario: Scenario, settings: Settings) -> Result<Self, SettingsFault> {
        settings.check(scenario)?;
        let traffic = scenario.traffic();
        Ok(Self {
            traffic,
            settings,
            schedule: Schedule::new(traffic, settings.keys, settings.seed),
            plan: Plan::new(traffic, settings.events, settings.keys > 1, settings.seed),
            arrivals: Arrivals::new(traffic.streams),
            made: 0,
            lines: VecDeque::new(),
            is_over: false,
        })
    }

    /// The next episode, or the end.
    fn go_on(&mut self) {
        let last = self.traffic.streams.len() as u64;
        let left = self.settings.events - self.made - last;
        if left == 0 {
            self.end();
            return;
        }
        let slot = self.schedule.next();
        let free = left - self.plan.reserved();
        let due = if free == 0 { self.plan.next() } else { self.plan.due(self.made) };
        match due {
            Some(case) if !case.takes_partner || slot.partner.is_some() => self.plant(case, slot),
            _ if free > 0 => self.make_background(slot, free),
            // There is room for the case alone, and it needs a partner: another slot has one.
            _ => {}
        }
        self.arrivals.write_until(self.schedule.clock(), &mut self.lines);
    }

    fn plant(&mut self, case: Case, slot: Slot) {
        let mut episode = Episode::new(slot, self.settings.seed, self.made);
        (case.build)(&mut episode);
        assert!(episode.events.len() as u64 <= case.events_max && !episode.claims.is_empty(), "a case is what it says: {:?}", episode.claims);
        if let Some(until) = episode.quiet_until {
            self.schedule.keep_quiet(slot.key, until);
            if case.takes_partner {
                self.schedule.keep_quiet(episode.partner, until);
            }
        }
        if case.takes_partner {
            self.schedule.use_partner();
        }
        self.plan.pass();
        self.take(episode, slot);
    }

    fn make_background(&mut self, slot: Slot, free: u64) {
        let mut episode = Episode::new(slot, self.settings.seed, self.made);
        (self.traffic.background)(&mut episode);
        if episode.events.len() as u64 > free {
            episode = Episode::new(slot, self.settings.seed, self.made);
            (self.traffic.single)(&mut episode);
        }
        assert!(episode.claims.is_empty(), "nothing is planted in the background");
        if let Some(until) = episode.quiet_until {
            self.schedule.keep_quiet(slot.key, until);
        }
        self.take(episode, slot);
    }

    fn take(&mut self, episode: Episode, slot: Slot) {
        let end = slot.start.plus(TimeSpan::from_millis(self.traffic.episode_ms_max));
        let window = TimeSpan::from_millis(self.traffic.window_ms_max);
        for event in &episode.events {
            let is_apart = event.time <= end || episode.quiet_until.is_some_and(|until| event.time.plus(window) <= until);
            assert!(is_apart, "an episode is over in time, or asks for quiet");
        }
        let first_id = self.made;
        self.made += episode.events.len() as u64;
        self.arrivals.add(episode, first_id);
    }

    /// An event in every stream, so late that all that happened is decided without waiting for the end of the input.
    fn end(&mut self) {
        let mut slot = self.schedule.next();
        slot.start = slot.start.max(self.arrivals.horizon());
        let mut episode = Episode::new(slot, self.settings.seed, self.made);
        for stream in 0..self.traffic.streams.len() {
            (self.traffic.last)(&mut episode, stream);
        }
        episode.events.iter_mut().for_each(|event| event.arrives = Arrives::AtOnce);
        self.take(episode, slot);
        self.arrivals.write_until(EventTime::END, &mut self.lines);
        self.is_over = true;
    }
}

impl Iterator for Sample {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.lines.is_empty() && !self.is_over {
            self.go_on();
        }
        self.lines.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most events and cases that wait at a time, and the most lines.
    fn waiting_max(scenario: Scenario, events: u64, keys: u64) -> usize {
        let mut sample = Sample::new(scenario, Settings { events, keys, seed: 1 }).expect("such a sample");
        let mut most = 0;
        while sample.next().is_some() {
            most = most.max(sample.arrivals.waiting() + sample.lines.len());
        }
        most
    }

    #[test]
    fn what_waits_does_not_grow_with_the_number_of_events() {
        for scenario in Scenario::ALL {
            let (few, many) = (waiting_max(scenario, 20_000, 500), waiting_max(scenario, 400_000, 500));
            assert!(many < 2 * few, "{scenario:?}: {few} events and cases wait of 20,000, {many} of 400,000");
        }
    }
}
