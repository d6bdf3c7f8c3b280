//! From runs to choices: a key whose runs have become many goes on with them kept together.

use crate::automaton::chain::Chain;
use crate::automaton::runs::{Run, Runs};
use crate::automaton::shared::bag::Group;
use crate::automaton::shared::choices::{Choices, Growth, Workspace};
use crate::automaton::shared::list::List;
use crate::automaton::shared::moves::Rules;
use crate::automaton::shared::sets::{Made, Nth, SetId};
use crate::automaton::shared::situation::Outline;
use crate::event::{EventTime, Lookup, SharedEvent};
use crate::pattern::StepId;

/// Chains of runs as sets. By identity: asked, never iterated.
#[derive(Default)]
struct Adopted(Lookup<(usize, StepId), SetId>);

impl Choices {
    /// The same partial matches, right after an event at `now`.
    pub(in crate::automaton) fn of_runs(runs: &Runs, rules: Rules<'_>, workspace: &mut Workspace, now: EventTime) -> Self {
        let mut choices = Self { events: events_of(&runs.alive), dropped: runs.dropped, ..Self::default() };
        choices.move_window(rules.plan, now);
        let mut adopted = Adopted::default();
        for run in &runs.alive {
            let set = adopted.chain(&run.chain, &mut choices);
            choices.adopt(run, set, rules, workspace, now);
        }
        workspace.bags.swap_out(&mut choices.bags);
        let made = choices.sets.len() as u64;
        choices.growth = Growth { reached: made, made };
        choices.find_next(rules.plan);
        choices
    }

    fn adopt(&mut self, run: &Run, set: SetId, rules: Rules<'_>, workspace: &mut Workspace, now: EventTime) {
        let last = run.chain.event().time;
        let age = rules.plan.spans.partition_point(|span| last.plus(*span) <= now) as u16;
        let marks = run.marks();
        let mut ways = Vec::new();
        run.ways(rules.automaton).for_each(|way| ways.push(way));
        let outline = Outline { ways, is_fresh: run.fresh, is_told: run.matched || run.timed_out, age, inside: marks.inside, broken: marks.broken };
        let situation = workspace.table.situation(outline.normal(rules.automaton, rules.plan), rules);
        let from = rules.plan.window.map_or(0, |span| self.events.partition_point(|event| event.time.plus(span) <= last) as Nth);
        let group = Group { start: self.sets.latest(set), last: self.nth(run.chain.event()), from, list: List::of(set) };
        workspace.bags.put(&situation, group, &mut self.sets, self.cut, rules.plan);
        if let Some(span) = rules.plan.window {
            let end = run.chain.start_time().plus(span);
            let is_later = self.clean_at == EventTime::END || self.clean_at < end;
            self.clean_at = if end > now && is_later { end } else { self.clean_at };
        }
    }

    fn nth(&self, event: &SharedEvent) -> Nth {
        let place = self.events.binary_search_by_key(&event.place(), |event| event.place());
        place.expect("every event of the runs is listed") as Nth
    }
}

impl Adopted {
    /// The set of the choice; what comes before its end is made first.
    fn chain(&mut self, chain: &Chain, choices: &mut Choices) -> SetId {
        let mut new = Vec::new();
        let (mut at, mut before) = (Some(chain), None);
        while let Some(link) = at {
            before = self.0.get(&link.identity()).copied();
            if before.is_some() {
                break;
            }
            new.push(link);
            at = link.before();
        }
        for link in new.into_iter().rev() {
            let (step, event) = (link.step(), choices.nth(link.event()));
            let made = before.map_or(Made::First { event, step }, |before| Made::Take { before, event, step });
            let set = choices.sets.push(made);
            self.0.insert(link.identity(), set);
            before = Some(set);
        }
        before.expect("a chain has at least one link")
    }
}

/// What the runs have chosen, in line order.
fn events_of(runs: &[Run]) -> Vec<SharedEvent> {
    let mut events: Vec<SharedEvent> = runs.iter().flat_map(|run| run.chain.chosen(0)).map(|(_, event)| event).collect();
    events.sort_unstable_by_key(|event| event.place());
    events.dedup_by_key(|event| event.place());
    events
}
