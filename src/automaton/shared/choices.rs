//! The choices of one pattern and key, stepped by events and by time.

use crate::automaton::runs::{Arrival, Limits};
use crate::automaton::shared::bag::{Bag, Bags, Cut, Group};
use crate::automaton::shared::list::List;
use crate::automaton::shared::moves::{Move, Rules};
use crate::automaton::shared::outcome::{Instant, Root};
use crate::automaton::shared::plan::Plan;
use crate::automaton::shared::sets::{Made, Nth, Sets};
use crate::automaton::shared::table::Table;
use crate::automaton::{Decided, DecidedBy};
use crate::event::{EventTime, SharedEvent};

/// For so many sets and events memory is kept where there is none any more.
const KEPT: usize = 16;

/// All choices of one pattern and key. Where there is none, nothing needs to be kept.
#[derive(Clone, Debug)]
pub struct Choices {
    /// What choices hold, in line order.
    pub(super) events: Vec<SharedEvent>,
    pub(super) sets: Sets,
    pub(super) bags: Vec<Bag>,
    pub(super) cut: Cut,
    /// No choice that is still looked at is inside the window from then on; the end of time where nothing is to be removed.
    pub(super) clean_at: EventTime,
    pub(super) next: EventTime,
    /// What events are asked about.
    pub(super) asks: u64,
    pub(super) restless: bool,
    pub(super) growth: Growth,
    pub(super) dropped: u64,
}

/// How much was made; what is made of it does not depend on when the state was written and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Growth {
    /// Sets that were reached when it was last compacted.
    pub reached: u64,
    /// Sets made since then, and those.
    pub made: u64,
}

/// What all keys of a pattern in one shard share: the moves known so far, and memory that is used again. It can be lost at any time.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(super) table: Table,
    pub(super) bounds: Bounds,
    /// Empty between two events.
    pub(super) bags: Bags,
    pub(super) roots: Vec<Root>,
}

/// From where on things are done in the way that pays for much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// A key with fewer sets is not compacted.
    pub sets_min: u64,
    /// A key may hold so many sets for each run of its limit, however many choices they stand for.
    pub sets_per_run: u64,
    /// So many matches of one instant are listed and sorted whatever the skip strategy then delivers.
    pub listed_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sets_min: 64, sets_per_run: 64, listed_max: 64 }
    }
}

impl Workspace {
    /// One that forgets and compacts all the time, and bounds memory by the limit on runs alone: what comes out of a key within that limit is the same.
    pub fn cramped() -> Self {
        Self { table: Table::with_most(2), bounds: Bounds { sets_min: 4, sets_per_run: 0, listed_max: 1 }, ..Self::default() }
    }
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            sets: Sets::default(),
            bags: Vec::new(),
            cut: Cut::default(),
            clean_at: EventTime::END,
            next: EventTime::END,
            asks: 0,
            restless: false,
            growth: Growth::default(),
            dropped: 0,
        }
    }
}

impl Choices {
    /// The event comes in the key's line. Whatever it completes is added to what was decided, in the order of delivery.
    ///
    /// Deadlines at or before its time have been expired before. Cost: one look at each situation that is alive, and what is handed out.
    pub fn advance(&mut self, rules: Rules<'_>, workspace: &mut Workspace, limits: &Limits, arrival: Arrival<'_>, decided: &mut Vec<Decided>) {
        let event = arrival.event;
        assert!(event.time < self.next || self.next == EventTime::END, "deadlines at an instant come before its events");
        workspace.table.forget_surplus();
        let class = rules.fitting(self.asks | rules.plan.start_asks, arrival);
        let begins = !workspace.table.begin(class, rules).is_empty();
        if !begins && class & self.asks == 0 && !self.restless {
            return;
        }
        let before = self.cut;
        self.move_window(rules.plan, event.time);
        let made = self.sets.len();
        self.begin(rules, workspace, event.time, class);
        let mut bags = std::mem::take(&mut self.bags);
        for bag in bags.drain(..) {
            self.step(rules, workspace, bag, class);
        }
        self.bags = bags;
        workspace.bags.swap_out(&mut self.bags);
        if self.sets.takes_since(made) {
            self.events.push(event.clone());
        }
        let instant = Instant { at: event.time, by: DecidedBy::Event, runs_dropped: self.dropped };
        self.deliver(rules, workspace, limits, &instant, decided);
        if self.cut != before {
            self.prune(rules.plan);
        }
        self.growth.made += (self.sets.len() - made) as u64;
        self.settle(rules.plan, workspace, limits, event.time);
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        (self.next < EventTime::END).then_some(self.next)
    }

    pub fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    /// How many groups of choices there are.
    pub fn len(&self) -> usize {
        self.bags.iter().map(|bag| bag.groups.len()).sum()
    }

    /// How many choices were dropped for a limit, and at how many instants more came out than may be handed out. Forgotten with the key, once it holds none.
    pub fn runs_dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets everything, but keeps some memory for the next ones.
    pub fn clear(&mut self) {
        self.forget();
        self.dropped = 0;
    }

    /// The same, but for what was dropped.
    pub(super) fn forget(&mut self) {
        self.bags.clear();
        self.events.clear();
        self.events.shrink_to(KEPT);
        self.sets.clear();
        self.sets.shrink_to(KEPT);
        (self.cut, self.growth) = (Cut::default(), Growth::default());
        (self.clean_at, self.next) = (EventTime::END, EventTime::END);
        (self.asks, self.restless) = (0, false);
    }

    /// The number of the event that comes next.
    pub(super) fn next_nth(&self) -> Nth {
        u32::try_from(self.events.len()).expect("the limit on sets is far below")
    }

    pub(super) fn move_window(&mut self, plan: &Plan, now: EventTime) {
        let Some(span) = plan.window else { return };
        while self.events.get(self.cut.window as usize).is_some_and(|event| event.time.plus(span) <= now) {
            self.cut.window += 1;
        }
    }

    fn begin(&mut self, rules: Rules<'_>, workspace: &mut Workspace, now: EventTime, class: u64) {
        let nth = self.next_nth();
        let Workspace { table, bags, roots, .. } = workspace;
        for take in table.begin(class, rules) {
            let set = self.sets.push(Made::First { event: nth, step: take.step });
            if take.completes {
                roots.push(Root { set, cut: nth });
            }
            if let Some(to) = &take.to {
                let group = Group { start: nth, last: nth, from: self.cut.window, list: List::of(set) };
                bags.put(to, group, &mut self.sets, self.cut, rules.plan);
                self.clean_at = rules.plan.window.map_or(EventTime::END, |span| now.plus(span));
            }
        }
    }

    /// What the event does to the choices of one situation.
    fn step(&mut self, rules: Rules<'_>, workspace: &mut Workspace, bag: Bag, class: u64) {
        let Workspace { table, bags, roots, .. } = workspace;
        let moved = table.step(&bag.situation, class, rules);
        if !moved.takes.is_empty() {
            self.take(rules.plan, moved, &bag, bags, roots);
        }
        if moved.decided {
            for group in &bag.groups {
                let cut = self.cut.of(&bag.situation, group);
                roots.extend(group.list.iter().map(|set| Root { set, cut }));
            }
        }
        if let Some(to) = &moved.passed {
            bags.put_all(to, bag, &mut self.sets, self.cut, rules.plan);
        }
    }

    fn take(&mut self, plan: &Plan, moved: &Move, bag: &Bag, bags: &mut Bags, roots: &mut Vec<Root>) {
        let (nth, cut) = (self.next_nth(), self.cut);
        let mut take_all = |sets: &mut Sets, before, start| {
            for take in &moved.takes {
                let set = sets.push(Made::Take { before, event: nth, step: take.step });
                if take.completes {
                    roots.push(Root { set, cut: cut.now() });
                }
                if let Some(to) = &take.to {
                    bags.put(to, Group { start, last: nth, from: cut.window, list: List::of(set) }, sets, cut, plan);
                }
            }
        };
        if plan.is_apart {
            for group in &bag.groups {
                let before = group.list.merged(&mut self.sets, cut.now());
                take_all(&mut self.sets, before, group.start);
            }
        } else if let Some(before) = bag.merged(&mut self.sets, cut.now()) {
            take_all(&mut self.sets, before, 0);
        }
    }

    /// Lets go of choices that start too early.
    pub(super) fn prune(&mut self, plan: &Plan) {
        let (sets, cut) = (&self.sets, self.cut);
        self.bags.retain_mut(|bag| bag.prune(sets, cut, plan));
    }

    /// After every change: what it keeps of what is not reached any more, what it waits for.
    pub(super) fn settle(&mut self, plan: &Plan, workspace: &Workspace, limits: &Limits, now: EventTime) {
        if !self.bags.is_empty() {
            self.hold_to(plan, workspace.bounds, limits, now);
        }
        if self.bags.is_empty() {
            return self.forget();
        }
        self.find_next(plan);
    }

    pub(super) fn find_next(&mut self, plan: &Plan) {
        (self.asks, self.restless, self.next) = (0, false, self.clean_at);
        for bag in &self.bags {
            self.asks |= bag.situation.asks;
            self.restless |= bag.situation.restless;
            self.next = self.next.min(self.bag_due(plan, bag));
        }
    }
}
