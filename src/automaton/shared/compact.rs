//! What no choice reaches any more goes, and a key is held to its limit.
//!
//! Memory is compacted when twice as much was made as was reached the last time: so each set is moved about once, and a key holds at most twice what its choices need.
//!
//! A key is over its limit where it has more choices than it may have runs, *and* more sets than so many runs may take. It takes both. Choices alone say nothing of memory: a pattern that explodes has
//! more of them than can be counted, in few sets. Nor do sets alone: the starts of an `x{1000}` share nothing, and each takes up to a thousand sets, but is one run. So what is evaluated run by run
//! without loss is so here as well, in about the memory that the runs would take.
//!
//! What starts first goes, as with runs: the starts that are more than runs may be, each of which has a choice at least. Where choices explode, one start of eight at a time until the sets are few enough.

use crate::automaton::runs::Limits;
use crate::automaton::shared::bag::{Bag, Cut};
use crate::automaton::shared::choices::{Bounds, Choices};
use crate::automaton::shared::plan::Plan;
use crate::automaton::shared::sets::{Made, Nth, SetId};
use crate::event::EventTime;

/// Where choices explode one of so many starts goes at a time: what is still too much after that is not known before it is done.
const STARTS_PER_DROP: usize = 8;

const GONE: u32 = u32::MAX;

impl Choices {
    /// Compacts where it is time to, and drops what starts first while there is too much.
    pub(super) fn hold_to(&mut self, plan: &Plan, bounds: Bounds, limits: &Limits, now: EventTime) {
        if self.growth.made <= bounds.sets_min.max(2 * self.growth.reached) {
            return;
        }
        // Time alone does not move the window, but what it has passed over does not count against the limit.
        self.move_window(plan, now);
        self.prune(plan);
        self.compact();
        let most = limits.runs_max.saturating_mul(bounds.sets_per_run);
        while self.sets.len() as u64 > most && self.has_more_than(limits.runs_max) {
            self.drop_first(limits.runs_max);
            self.prune(plan);
            self.compact();
        }
        let reached = self.sets.len() as u64;
        (self.growth.made, self.growth.reached) = (reached, reached);
    }

    /// There are more choices. Quick where memory has just been compacted: most sets hold only what counts then, and know how much that is.
    fn has_more_than(&self, most: u64) -> bool {
        let mut count = 0_u64;
        for Bag { situation, groups } in &self.bags {
            for group in groups {
                let cut = self.cut.of(situation, group);
                for set in group.list.iter() {
                    count = count.saturating_add(self.sets.count(set, cut, most));
                    if count > most {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Drops what starts first: the starts that are too many even if each had one choice, else some.
    fn drop_first(&mut self, runs_max: u64) {
        let all = (0..self.sets.len() as SetId).map(|id| self.sets.at(id).made);
        let mut starts: Vec<Nth> = all.filter_map(|made| if let Made::First { event, .. } = made { Some(event) } else { None }).collect();
        starts.sort_unstable();
        let surplus = starts.len().saturating_sub(usize::try_from(runs_max).unwrap_or(usize::MAX));
        let count = if surplus > 0 { surplus } else { starts.len().div_ceil(STARTS_PER_DROP) };
        // What begins with the same event goes together.
        let floor = starts[count - 1] + 1;
        self.dropped += starts.partition_point(|start| *start < floor) as u64;
        self.cut.floor = floor;
    }

    /// Keeps only the sets that some group reaches, and the events these hold, in the order in which they stand.
    pub(super) fn compact(&mut self) {
        let sets = self.reached();
        let mut events = vec![GONE; self.events.len()];
        for (_, made) in &sets {
            if let Made::First { event, .. } | Made::Take { event, .. } = made {
                events[*event as usize] = 0;
            }
        }
        self.renumber(&sets, &self.keep_events(&mut events));
    }

    /// The numbers of the sets that are reached, ascending, and what they are without what starts too early for every group.
    fn reached(&mut self) -> Vec<(SetId, Made)> {
        let cut = self.laxest_cut();
        let mut is_reached = vec![false; self.sets.len()];
        for group in self.bags.iter_mut().flat_map(|bag| &mut bag.groups) {
            let alive = group.list.rest.iter().take_while(|set| self.sets.latest(**set) >= cut).count();
            group.list.rest.truncate(alive);
            for set in &mut group.list.rest {
                *set = self.sets.cut(*set, cut);
            }
            group.list.iter().for_each(|set| is_reached[set as usize] = true);
        }
        let mut reached = Vec::new();
        for id in (0..self.sets.len() as SetId).rev() {
            if !is_reached[id as usize] {
                continue;
            }
            let mut reach = |set: SetId| {
                let set = self.sets.cut(set, cut);
                is_reached[set as usize] = true;
                set
            };
            let made = match self.sets.at(id).made {
                first @ Made::First { .. } => first,
                Made::Take { before, event, step } => Made::Take { before: reach(before), event, step },
                Made::Union { left, right } => Made::Union { left: reach(left), right: reach(right) },
            };
            reached.push((id, made));
        }
        reached.reverse();
        reached
    }

    /// The least cut of all groups: what starts before it counts for none.
    fn laxest_cut(&self) -> Nth {
        let groups = self.bags.iter().filter(|bag| bag.situation.outlives).flat_map(|bag| bag.groups.iter().map(|group| self.cut.of(&bag.situation, group)));
        groups.min().unwrap_or(GONE).min(self.cut.now())
    }

    /// Gives the events that are kept (0) their new numbers; the others get the number of the next one kept.
    fn keep_events(&self, events: &mut [u32]) -> Vec<Nth> {
        let mut kept = 0;
        let mut numbers: Vec<Nth> = Vec::with_capacity(events.len() + 1);
        for event in events.iter_mut() {
            numbers.push(kept);
            kept += u32::from(*event != GONE);
        }
        numbers.push(kept);
        numbers
    }

    fn renumber(&mut self, sets: &[(SetId, Made)], numbers: &[Nth]) {
        let of_event = |event: Nth| numbers[event as usize];
        let mut of_set = vec![GONE; self.sets.len()];
        for (new, &(old, made)) in (0..).zip(sets) {
            let made = match made {
                Made::First { event, step } => Made::First { event: of_event(event), step },
                Made::Take { before, event, step } => Made::Take { before: of_set[before as usize], event: of_event(event), step },
                Made::Union { left, right } => Made::Union { left: of_set[left as usize], right: of_set[right as usize] },
            };
            of_set[old as usize] = new;
            self.sets.replace(new, made);
        }
        self.sets.truncate(sets.len());
        let mut place = 0;
        self.events.retain(|_| {
            place += 1;
            numbers[place] > numbers[place - 1]
        });
        for group in self.bags.iter_mut().flat_map(|bag| &mut bag.groups) {
            (group.start, group.last, group.from) = (of_event(group.start), of_event(group.last), of_event(group.from));
            group.list.head = of_set[group.list.head as usize];
            group.list.rest.iter_mut().for_each(|set| *set = of_set[*set as usize]);
        }
        self.cut = Cut { floor: of_event(self.cut.floor), window: of_event(self.cut.window) };
    }
}
