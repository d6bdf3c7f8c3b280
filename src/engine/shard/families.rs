//! Events in the lines of [families](crate::engine::family): stepped once for all patterns, or for each where they are apart.

use crate::automaton::Class;
use crate::engine::compiled::Compiled;
use crate::engine::family::Family;
use crate::engine::index::Candidate;
use crate::engine::keys::Address;
use crate::engine::matched::Match;
use crate::engine::shard::lines::Lines;
use crate::engine::shard::step::Standing;
use crate::engine::slot::{Families, RUNS_MAX, SlotId};

impl Lines {
    /// The event comes to the patterns of a family: as long as their runs fit into one group, to all of them together.
    pub(super) fn step_family(
        &mut self,
        address: Address<'_>,
        candidate: &Candidate,
        family: &Family,
        all: &Compiled,
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> Option<SlotId> {
        let first = &all.patterns[candidate.pattern as usize];
        let begun = if first.automaton.may_begin(candidate.class) { family.begun_by(standing.event.fields()) } else { 0 };
        let runs_max = usize::from(self.lie_in_slots[candidate.pattern as usize]);
        let is_limited = runs_max == 0 || !self.keeps_families_together();
        let (keys, counters) = (&mut self.keys[first.table], &mut self.counters);
        let mut group = None;
        if let Some(slot) = address.slot.filter(|_| !is_limited) {
            keys.join(slot, all, counters);
            group = keys.find_group(slot, candidate.pattern, first.automaton.plain_start());
            if group.is_some_and(|place| keys.slot(slot).runs_len(place) >= runs_max) {
                keys.part(slot, all, counters);
            }
        }
        let is_apart = is_limited || address.slot.is_some_and(|slot| keys.slot(slot).families() == Families::Apart);
        if !is_apart {
            return self.step_together(address, (candidate, group), (family, begun), all, standing, matches);
        }
        let mut slot = address.slot;
        for (place, &pattern) in family.patterns.iter().enumerate() {
            let class = if place < usize::from(begun) { candidate.class } else { first.automaton.passed_by(candidate.class) };
            if class != Class::NOTHING {
                slot = self.step_pattern(Address { slot, ..address }, &Candidate { pattern, class, ..*candidate }, all, standing, matches);
            }
        }
        if let Some(slot) = slot {
            // Also where it was left and made again in between.
            self.keys[first.table].part(slot, all, &mut self.counters);
        }
        slot
    }

    /// False if together they would reach the limit on matches of one event before the first does alone.
    pub(super) fn keeps_families_together(&self) -> bool {
        self.limits.matches_max >= RUNS_MAX as u64
    }

    /// What a family has of a key lies in one group, with room for one more. `group`: its place, if it has one. `begun`: of how many of its patterns the event begins a run.
    fn step_together(
        &mut self,
        address: Address<'_>,
        (candidate, mut group): (&Candidate, Option<usize>),
        (family, begun): (&Family, u8),
        all: &Compiled,
        standing: Standing<'_>,
        matches: &mut Vec<Match>,
    ) -> Option<SlotId> {
        let pattern = candidate.pattern;
        let compiled = &all.patterns[pattern as usize];
        let automaton = &compiled.automaton;
        let class = automaton.passed_by(candidate.class);
        let mut known = address.slot;
        if let (Some(slot), Some(place)) = (known, group)
            && class != Class::NOTHING
        {
            known = self.step_group(Address { slot: Some(slot), ..address }, place, (pattern, class), all, Some(family), standing, matches);
            group = known.and_then(|slot| self.keys[compiled.table].find_group(slot, pattern, automaton.plain_start()));
        }
        if begun == 0 {
            return known;
        }
        let start = automaton.plain_start().expect("the patterns of a family begin plainly");
        Some(self.begin(Address { slot: known, ..address }, (pattern, group), (compiled.table, automaton), start, standing, begun))
    }
}
