//! Patterns of families, put together in one group of a slot and taken apart again.

use crate::automaton::Run;
use crate::engine::compiled::Compiled;
use crate::engine::counters::Counters;
use crate::engine::family::Family;
use crate::engine::keys::Keys;
use crate::engine::slot::{Families, Group, Kept, Many, RunsOfGroup, SlotId};
use crate::event::EventTime;

impl Keys {
    /// The patterns of families have groups of their own in the slot from now on.
    pub(in crate::engine) fn part(&mut self, id: SlotId, compiled: &Compiled, counters: &mut Counters) {
        let many = self.slots.at_mut(id.0).many();
        if std::mem::replace(&mut many.families, Families::Apart) == Families::Together {
            many.regroup(counters, |group, runs, parted| {
                for (place, pattern) in (0..).map_while(|place| Some((place, compiled.kept_under(group.pattern, place)?))) {
                    let bit = |bits: u64| bits >> place & 1;
                    let own = runs.iter().filter(|run| run.is_of(place)).map(|run| run.clone().of_first(1)).collect();
                    add(parted, pattern, (bit(group.changed), bit(group.there)), own);
                }
            });
        }
    }

    /// Puts the patterns of families together that were read from the store, each by itself. They stay apart where they are not what they would be together: a pattern is younger than
    /// the others, say.
    pub(in crate::engine) fn join(&mut self, id: SlotId, compiled: &Compiled, counters: &mut Counters) {
        let slot = self.slots.at_mut(id.0);
        if slot.families() != Families::AsStored {
            return;
        }
        let many = slot.many();
        many.families = Families::Apart;
        let is_whole = |pattern: u32| compiled.family_of(pattern).is_none_or(|family| many.can_join(family));
        let with_cells = many.cells.iter().map(|(pattern, _)| *pattern);
        if !many.groups().map(|(group, _)| group.pattern).chain(with_cells).all(is_whole) {
            return;
        }
        many.families = Families::Together;
        many.regroup(counters, |group, runs, joined| match compiled.family_of(group.pattern) {
            None => joined.push((group, runs)),
            Some(family) => {
                let place = family.patterns.iter().position(|pattern| *pattern == group.pattern).expect("it is of its family");
                let own = if place == 0 { runs.into_iter().map(|run| family.count(run)).collect() } else { RunsOfGroup::new() };
                add(joined, family.patterns[0], (group.changed << place, group.there << place), own);
            }
        });
    }
}

impl Many {
    /// Whether each pattern of the family has those runs of the first that it would have begun with it.
    fn can_join(&self, family: &Family) -> bool {
        let first: Vec<Run> = self.runs_of(family.patterns[0]).iter().map(|run| family.count(run.clone())).collect();
        let is_part = |(place, pattern): (usize, &u32)| {
            let own = self.runs_of(*pattern);
            let mut expected = first.iter().filter(|run| run.is_of(place));
            !matches!(self.kept(*pattern), Kept::Cell(_))
                && own.iter().all(|run| expected.next().is_some_and(|other| run.chose_the_same(other)))
                && expected.next().is_none()
        };
        family.patterns.iter().enumerate().all(is_part)
    }

    /// `lay`: where a group and its runs lie from now on.
    fn regroup(&mut self, counters: &mut Counters, mut lay: impl FnMut(Group, RunsOfGroup, &mut Vec<(Group, RunsOfGroup)>)) {
        let live = |many: &Self| {
            let alive = many.groups().filter(|(_, runs)| !runs.is_empty());
            alive.fold((0, 0), |(keys, all), (_, runs)| (keys + 1, all + runs.len() as u64))
        };
        let before = live(self);
        let mut laid = Vec::new();
        self.take_groups().for_each(|(group, runs)| lay(group, runs, &mut laid));
        laid.into_iter().for_each(|(group, runs)| self.add_group(group, runs));
        let now = live(self);
        counters.live_keys = counters.live_keys + now.0 - before.0;
        counters.live_runs = counters.live_runs + now.1 - before.1;
    }
}

/// `stored`: which of its patterns have changed, and of which the store has a value.
fn add(laid: &mut Vec<(Group, RunsOfGroup)>, pattern: u32, stored: (u64, u64), runs: RunsOfGroup) {
    if runs.is_empty() && stored.1 == 0 {
        return;
    }
    let place = laid.iter().position(|(group, _)| group.pattern == pattern).unwrap_or_else(|| {
        laid.push((Group::of(pattern), RunsOfGroup::new()));
        laid.len() - 1
    });
    let (group, own) = &mut laid[place];
    (group.changed, group.there) = (group.changed | stored.0, group.there | stored.1);
    own.extend(runs);
    group.deadline = own.iter().fold(EventTime::END, |least, run| least.min(run.deadline()));
}
