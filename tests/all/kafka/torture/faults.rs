//! What is done to processes, and when: made of a seed, so that it can be done again.

use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The group gives a member up after this; a fault that is to be noticed lasts longer.
pub const SESSION: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// `kill -9`.
    Kill,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// SIGTERM, which it must obey.
    Terminate,
    /// Starts it again.
    Start,
}

/// One of them, counted from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub at: Duration,
    pub slot: usize,
    pub fault: Fault,
}

/// Waves of faults: in each, every one of three processes meets another kind, at once or one after the other. Every second time a killed process stays away for longer
/// than the session.
pub fn waves(random: &mut ChaCha8Rng, number: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut begin = millis(random, 2_000, 3_000);
    for wave in 0..number {
        let mut slots = [0, 1, 2];
        slots.shuffle(random);
        let [frozen, killed, ended] = slots;
        let thawed = SESSION + millis(random, 1_000, 2_500);
        let kill = millis(random, 0, 3_000);
        let away = if wave % 2 == 0 { millis(random, 0, 1_000) } else { SESSION + millis(random, 1_000, 2_000) };
        let end = millis(random, 0, 5_000);
        let back = end + millis(random, 0, 1_000);
        for (after, slot, fault) in [
            (Duration::ZERO, frozen, Fault::Freeze),
            (thawed, frozen, Fault::Thaw),
            (kill, killed, Fault::Kill),
            (kill + away, killed, Fault::Start),
            (end, ended, Fault::Terminate),
            (back, ended, Fault::Start),
        ] {
            steps.push(Step { at: begin + after, slot, fault });
        }
        begin += [thawed, kill + away, back].into_iter().max().expect("three") + millis(random, 1_000, 3_000);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn millis(random: &mut ChaCha8Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.random_range(from..to))
}
