//! What time does to choices: see the file of this name in the folder above, which does the same for runs.

use std::sync::Arc;

use crate::automaton::runs::Limits;
use crate::automaton::shared::bag::{Bag, Group};
use crate::automaton::shared::choices::{Choices, Workspace};
use crate::automaton::shared::moves::{Outcome, Rules};
use crate::automaton::shared::outcome::{Instant, Root};
use crate::automaton::shared::plan::Plan;
use crate::automaton::shared::situation::Situation;
use crate::automaton::{Decided, DecidedBy};
use crate::event::EventTime;

impl Choices {
    /// Decides all deadlines at or before `instant`, in their order; what comes out is added to `decided`. At the end of time nothing is left.
    pub fn expire(&mut self, rules: Rules<'_>, workspace: &mut Workspace, limits: &Limits, instant: EventTime, decided: &mut Vec<Decided>) {
        while self.next <= instant && self.next < EventTime::END {
            workspace.table.forget_surplus();
            self.expire_at(self.next, rules, workspace, limits, decided);
        }
        if instant == EventTime::END {
            self.forget();
        }
    }

    fn expire_at(&mut self, at: EventTime, rules: Rules<'_>, workspace: &mut Workspace, limits: &Limits, decided: &mut Vec<Decided>) {
        let before = self.cut;
        let made = self.sets.len();
        let mut timed_out = Vec::new();
        let mut due = Vec::new();
        let mut bags = std::mem::take(&mut self.bags);
        bags.retain_mut(|bag| {
            self.take_due(rules.plan, bag, at, &mut due);
            !bag.groups.is_empty()
        });
        workspace.bags.swap_in(&mut bags);
        for (from, come, group) in due {
            let expiry = workspace.table.expire(&from, come, rules);
            let cut = self.cut.of(&from, &group);
            let (outcome, to) = (expiry.outcome, &expiry.to);
            let roots = group.list.iter().map(|set| Root { set, cut });
            match outcome {
                Outcome::Nothing => drop(roots),
                Outcome::Match => workspace.roots.extend(roots),
                Outcome::Timeout if rules.plan.tells_timeouts => timed_out.extend(roots),
                Outcome::Timeout => drop(roots),
            }
            if let Some(to) = to {
                workspace.bags.put(to, group, &mut self.sets, self.cut, rules.plan);
            }
        }
        workspace.bags.swap_out(&mut bags);
        self.bags = bags;
        if self.clean_at <= at {
            self.cut.window = self.next_nth();
            self.clean_at = EventTime::END;
        }
        let instant = Instant { at, by: DecidedBy::Deadline, runs_dropped: self.dropped };
        self.deliver(rules, workspace, limits, &instant, decided);
        self.deliver_timeouts(rules, limits, &instant, &timed_out, decided);
        if self.cut != before {
            self.prune(rules.plan);
        }
        self.growth.made += (self.sets.len() - made) as u64;
        self.settle(rules.plan, workspace, limits, at);
    }

    /// Takes out the groups for which something changes by then, with the instants that have come.
    fn take_due(&self, plan: &Plan, bag: &mut Bag, at: EventTime, due: &mut Vec<(Arc<Situation>, u64, Group)>) {
        if bag.situation.awaits.is_empty() {
            return;
        }
        let Bag { situation, groups } = bag;
        let come = |group: &Group| {
            let (first, last) = self.ends(group);
            situation.come(first, last, at)
        };
        if is_in_order(plan, situation.by_last) {
            while let Some((group, come)) = groups.front().map(|group| (group, come(group))).filter(|(_, come)| *come != 0) {
                due.push((situation.clone(), come, group.clone()));
                groups.pop_front();
            }
        } else {
            groups.retain(|group| {
                let come = come(group);
                if come != 0 {
                    due.push((situation.clone(), come, group.clone()));
                }
                come == 0
            });
        }
    }

    /// When something next changes for the choices of one situation.
    pub(super) fn bag_due(&self, plan: &Plan, bag: &Bag) -> EventTime {
        let Bag { situation, groups } = bag;
        if situation.awaits.is_empty() {
            return EventTime::END;
        }
        let due = |group: &Group| {
            let (first, last) = self.ends(group);
            situation.due(first, last)
        };
        let earliest = if is_in_order(plan, situation.by_last) { groups.front().map(due) } else { groups.iter().map(due).min() };
        earliest.expect("a bag has groups")
    }

    /// The times of the first and the last event, as far as they matter.
    fn ends(&self, group: &Group) -> (EventTime, EventTime) {
        (self.events[group.start as usize].time, self.events[group.last as usize].time)
    }
}

/// Groups come due in the order in which they stand.
fn is_in_order(plan: &Plan, by_last: bool) -> bool {
    !(plan.is_apart && by_last)
}
