//! How much of what, and what cannot be asked for.

use crate::sample::scenario::Scenario;
use crate::sample::schedule::Schedule;

/// How large a sample is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Over all streams.
    pub events: u64,
    /// Accounts, sensors, or addresses.
    pub keys: u64,
    /// The same seed makes the same sample.
    pub seed: u64,
}

/// Why there is no such sample.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsFault {
    #[error("the scenario {scenario} takes at least {least} events, to plant each of its cases once; {asked} are too few")]
    TooFewEvents { scenario: &'static str, least: u64, asked: u64 },
    #[error("a sample has at most {most} events; {asked} are too many")]
    TooManyEvents { most: u64, asked: u64 },
    #[error("a sample takes at least 1 key")]
    NoKeys,
    #[error("a sample has at most {most} keys; {asked} are too many")]
    TooManyKeys { most: u64, asked: u64 },
    #[error("{events} events take at least {least} keys: with {asked} they would fill more than {years} years, since the cases of a key are kept apart")]
    TooFewKeys { events: u64, least: u64, asked: u64, years: u64 },
}

const EVENTS_MAX: u64 = 300_000_000;
const KEYS_MAX: u64 = 10_000_000;

impl Settings {
    /// # Errors
    ///
    /// The scenario cannot be had with these numbers.
    pub fn check(&self, scenario: Scenario) -> Result<(), SettingsFault> {
        let (events, keys) = (self.events, self.keys);
        if keys == 0 {
            return Err(SettingsFault::NoKeys);
        }
        if keys > KEYS_MAX {
            return Err(SettingsFault::TooManyKeys { most: KEYS_MAX, asked: keys });
        }
        let least = scenario.events_min();
        if events < least {
            return Err(SettingsFault::TooFewEvents { scenario: scenario.name(), least, asked: events });
        }
        if events > EVENTS_MAX {
            return Err(SettingsFault::TooManyEvents { most: EVENTS_MAX, asked: events });
        }
        let least = Schedule::keys_min(scenario.traffic(), events);
        if keys < least {
            return Err(SettingsFault::TooFewKeys { events, least, asked: keys, years: Schedule::YEARS_MAX });
        }
        Ok(())
    }
}
