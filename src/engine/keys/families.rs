//! Patterns of families, put together in one group of a slot and taken apart again.

use thin_vec::ThinVec;

use crate::automaton::Run;
use crate::engine::compiled::Compiled;
use crate::engine::counters::Counters;
use crate::engine::family::{Family, Members};
use crate::engine::keys::Keys;
use crate::engine::slot::{Families, Group, Kept, Many, SlotId};

impl Keys {
    /// The patterns of families have groups of their own in the slot from now on.
    pub(in crate::engine) fn part(&mut self, id: SlotId, compiled: &Compiled, counters: &mut Counters) {
        let many = self.slots.at_mut(id.0).many();
        if many.set_families(Families::Apart) == Families::Together {
            many.unfold(|pattern| compiled.start_of(pattern));
            many.regroup(counters, |group, parted| {
                for (place, pattern) in (0..).map_while(|place| Some((place, compiled.kept_under(group.pattern, place)?))) {
                    let bit = |bits: Members| bits >> place & 1;
                    let own = group.runs.runs().iter().filter(|run| run.is_of(place)).map(|run| run.clone().of_first(1)).collect();
                    add(parted, Group::of(pattern, (bit(group.changed), bit(group.there)), own));
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
        many.unfold(|pattern| compiled.start_of(pattern));
        many.set_families(Families::Apart);
        let is_whole = |pattern: u32| compiled.family_of(pattern).is_none_or(|family| many.can_join(family));
        let with_cells = many.cells().iter().map(|(pattern, _)| *pattern);
        if !many.groups().map(|group| group.pattern).chain(with_cells).all(is_whole) {
            return;
        }
        many.set_families(Families::Together);
        many.regroup(counters, |mut group, joined| match compiled.family_of(group.pattern) {
            None => joined.push(group),
            Some(family) => {
                let place = family.patterns.iter().position(|pattern| *pattern == group.pattern).expect("it is of its family");
                let own = if place == 0 { std::mem::take(group.runs.runs_mut()).into_iter().map(|run| family.count(run)).collect() } else { ThinVec::new() };
                add(joined, Group::of(family.patterns[0], (group.changed << place, group.there << place), own));
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

    /// `lay`: the group is kept as these from now on.
    fn regroup(&mut self, counters: &mut Counters, mut lay: impl FnMut(Group, &mut Vec<Group>)) {
        let live = |many: &Self| {
            let alive = many.groups().filter(|group| !group.runs.is_empty());
            alive.fold((0, 0), |(keys, runs), group| (keys + 1, runs + group.runs.len() as u64))
        };
        let before = live(self);
        let mut laid = Vec::new();
        self.take_groups().for_each(|group| lay(group, &mut laid));
        laid.into_iter().for_each(|group| self.add_group(group));
        let now = live(self);
        counters.live_keys = counters.live_keys + now.0 - before.0;
        counters.live_runs = counters.live_runs + now.1 - before.1;
    }
}

/// To what the pattern already has there.
fn add(laid: &mut Vec<Group>, mut new: Group) {
    if new.runs.is_empty() && new.there == 0 {
        return;
    }
    match laid.iter().position(|group| group.pattern == new.pattern) {
        None => laid.push(new),
        Some(place) => {
            let Group { runs, changed, there, .. } = &mut laid[place];
            let mut runs = std::mem::take(runs.runs_mut());
            runs.append(new.runs.runs_mut());
            laid[place] = Group::of(new.pattern, (*changed | new.changed, *there | new.there), runs);
        }
    }
}
