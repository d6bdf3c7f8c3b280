//! Patterns of families, put together in one group of a slot and taken apart again.

use crate::automaton::Run;
use crate::engine::compiled::Compiled;
use crate::engine::counters::Counters;
use crate::engine::family::Family;
use crate::engine::keys::Keys;
use crate::engine::slot::{Families, Group, Many, SlotId};
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
        if !many.groups.iter().map(|group| group.pattern).chain(with_cells).all(is_whole) {
            return;
        }
        many.families = Families::Together;
        many.regroup(counters, |group, runs, joined| match compiled.family_of(group.pattern) {
            None => joined.push((group, runs)),
            Some(family) => {
                let place = family.patterns.iter().position(|pattern| *pattern == group.pattern).expect("it is of its family");
                let own = if place == 0 { runs.into_iter().map(|run| family.count(run)).collect() } else { Vec::new() };
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
            self.cell(*pattern).is_none() && own.iter().all(|run| expected.next().is_some_and(|other| run.chose_the_same(other))) && expected.next().is_none()
        };
        family.patterns.iter().enumerate().all(is_part)
    }

    /// `lay`: where a group and its runs lie from now on.
    fn regroup(&mut self, counters: &mut Counters, mut lay: impl FnMut(Group, Vec<Run>, &mut Vec<(Group, Vec<Run>)>)) {
        let live = |many: &Self| (many.groups.iter().filter(|group| group.runs > 0).count() as u64, many.runs.len() as u64);
        let before = live(self);
        let mut all = std::mem::take(&mut self.runs).into_iter();
        let mut laid = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            lay(group, all.by_ref().take(group.runs.into()).collect(), &mut laid);
        }
        laid.sort_unstable_by_key(|(group, _)| group.pattern);
        for (group, runs) in laid {
            self.groups.push(group);
            self.runs.extend(runs);
        }
        let now = live(self);
        counters.live_keys = counters.live_keys + now.0 - before.0;
        counters.live_runs = counters.live_runs + now.1 - before.1;
    }
}

/// `stored`: which of its patterns have changed, and of which the store has a value.
fn add(laid: &mut Vec<(Group, Vec<Run>)>, pattern: u32, stored: (u64, u64), runs: Vec<Run>) {
    if runs.is_empty() && stored.1 == 0 {
        return;
    }
    let place = laid.iter().position(|(group, _)| group.pattern == pattern).unwrap_or_else(|| {
        laid.push((Group::of(pattern), Vec::new()));
        laid.len() - 1
    });
    let (group, own) = &mut laid[place];
    (group.changed, group.there) = (group.changed | stored.0, group.there | stored.1);
    own.extend(runs);
    group.runs = u16::try_from(own.len()).expect("few runs of a pattern lie in a slot");
    group.deadline = own.iter().fold(EventTime::END, |least, run| least.min(run.deadline()));
}
