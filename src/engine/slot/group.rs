//! The runs of one pattern in a slot, or of a family of them.

use std::mem;
use std::ops::Deref;

use crate::automaton::{Automaton, Pending, Run};
use crate::engine::family::Members;
use crate::event::EventTime;

/// The runs of one pattern, or of a family of them, under its first. With thousands of patterns a key has a dozen of these, and what an event waits for is the memory that they lie in: so one is 64 bytes,
/// as much as a processor fetches at a time.
#[derive(Debug)]
pub(in crate::engine) struct Group {
    pub pattern: u32,
    /// The patterns of which something is not yet told to the store; of a family more than the first.
    pub changed: Members,
    /// Those of which the store has a value.
    pub there: Members,
    /// In the order in which they came.
    pub runs: Together,
    /// The least of its runs; the end of time: none. While its runs are being stepped, as it was.
    pub(super) deadline: EventTime,
}

impl Group {
    pub(in crate::engine) fn of(pattern: u32, (changed, there): (Members, Members), runs: Together) -> Self {
        let deadline = least_deadline(&runs);
        Self { pattern, changed, there, runs, deadline }
    }

    /// At the end of time all that has runs is.
    pub(super) fn is_due(&self, instant: EventTime) -> bool {
        self.deadline <= instant && !self.runs.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.runs.is_empty() && self.there == 0
    }
}

pub(super) fn least_deadline(runs: &[Run]) -> EventTime {
    runs.iter().fold(EventTime::END, |least, run| least.min(run.deadline()))
}

/// Runs, mostly one: in the bytes of one, where a small vector takes eight more.
#[derive(Debug, Default)]
pub(in crate::engine) enum Together {
    #[default]
    None,
    One(Run),
    Several(Vec<Run>),
}

impl Together {
    pub(super) fn push(&mut self, run: Run) {
        match self {
            Self::None => *self = Self::One(run),
            Self::Several(several) => several.push(run),
            Self::One(_) => {
                let Self::One(first) = mem::take(self) else { unreachable!("it has just been one") };
                *self = Self::Several(vec![first, run]);
            }
        }
    }

    /// Takes out the one at that place; those behind it move up.
    pub(super) fn remove(&mut self, place: usize) -> Run {
        match self {
            Self::Several(several) => several.remove(place),
            Self::None | Self::One(_) => mem::take(self).into_iter().nth(place).expect("a run is taken out of those that are there"),
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Run) -> bool) {
        match self {
            Self::None => {}
            Self::Several(several) => several.retain_mut(keep),
            Self::One(run) => {
                if !keep(run) {
                    *self = Self::None;
                }
            }
        }
    }

    /// Takes all out, into runs before those that are there; the memory is used again.
    pub(super) fn move_before(&mut self, automaton: &Automaton, into: &mut Pending) {
        match self {
            Self::Several(several) => into.put_before(automaton, several.drain(..)),
            Self::None | Self::One(_) => into.put_before(automaton, mem::take(self)),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::None;
    }
}

impl Deref for Together {
    type Target = [Run];

    fn deref(&self) -> &[Run] {
        match self {
            Self::None => &[],
            Self::One(run) => std::slice::from_ref(run),
            Self::Several(several) => several,
        }
    }
}

impl Extend<Run> for Together {
    fn extend<T: IntoIterator<Item = Run>>(&mut self, runs: T) {
        runs.into_iter().for_each(|run| self.push(run));
    }
}

impl FromIterator<Run> for Together {
    fn from_iter<T: IntoIterator<Item = Run>>(runs: T) -> Self {
        let mut together = Self::default();
        together.extend(runs);
        together
    }
}

impl IntoIterator for Together {
    type Item = Run;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Run>, std::vec::IntoIter<Run>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, several) = match self {
            Self::None => (None, Vec::new()),
            Self::One(run) => (Some(run), Vec::new()),
            Self::Several(several) => (None, several),
        };
        one.into_iter().chain(several)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_small() {
        assert_eq!((size_of::<Together>(), size_of::<Group>()), (48, 64));
    }
}
