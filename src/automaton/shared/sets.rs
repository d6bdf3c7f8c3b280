//! Sets of choices that share what they have in common: each a node of a graph that never changes once it is made.
//!
//! * FIRST: one choice, of one event.
//! * TAKE: each choice of another set, and one more event.
//! * UNION: the choices of two sets.
//!
//! A choice's *start* is its first event. Events are numbered in line order, so starts are compared by number. Choices that start before some *cut* do not count
//! any more: they stay in the graph and are passed over.
//!
//! Invariants: (a) the latest start on the left of a union is not before the latest on its right; (b) no choice is twice in a set; (c) from a union at most three steps
//! to the left lead to a set that is none. So the choices that start late enough are listed at a cost in proportion to what they hold.
//!
//! The idea is from Bucchi, Grez, Quintana, Riveros, Vansummeren: CORE, a complex event recognition engine, PVLDB 15(9), 2022.

use std::ops::ControlFlow;

use crate::pattern::StepId;

/// The number of an event that some choice of the key holds: its place in the key's line among them.
pub(super) type Nth = u32;

/// Place in [`Sets`]; what a set is made of stands before it.
pub(super) type SetId = u32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Made {
    First { event: Nth, step: StepId },
    Take { before: SetId, event: Nth, step: StepId },
    Union { left: SetId, right: SetId },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub made: Made,
    /// The latest start of its choices.
    pub latest: Nth,
    /// The earliest.
    pub earliest: Nth,
    /// How many choices it holds; it stays at the most that it can say.
    count: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sets(Vec<Set>);

/// A choice: its events with their steps, the last one first.
pub(super) type Path<'a> = &'a [(StepId, Nth)];

impl Sets {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, id: SetId) -> &Set {
        &self.0[id as usize]
    }

    pub(super) fn latest(&self, id: SetId) -> Nth {
        self.at(id).latest
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn shrink_to(&mut self, count: usize) {
        self.0.shrink_to(count);
    }

    pub(super) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Puts what the set with this number is, in its place.
    pub(super) fn replace(&mut self, id: SetId, made: Made) {
        self.0[id as usize] = self.summed_up(made);
    }

    pub(super) fn push(&mut self, made: Made) -> SetId {
        let set = self.summed_up(made);
        self.0.push(set);
        u32::try_from(self.0.len() - 1).expect("the limit on sets is far below")
    }

    /// Whether one of those made since then takes an event.
    pub(super) fn takes_since(&self, count: usize) -> bool {
        self.0[count..].iter().any(|set| !matches!(set.made, Made::Union { .. }))
    }

    fn summed_up(&self, made: Made) -> Set {
        match made {
            Made::First { event, .. } => Set { made, latest: event, earliest: event, count: 1 },
            Made::Take { before, .. } => Set { made, ..*self.at(before) },
            Made::Union { left, right } => {
                let (left, right) = (self.at(left), self.at(right));
                assert!(left.latest >= right.latest, "what starts later is on the left");
                let (earliest, count) = (left.earliest.min(right.earliest), left.count.saturating_add(right.count));
                Set { made, latest: left.latest, earliest, count }
            }
        }
    }

    pub(super) fn pair(&mut self, left: SetId, right: SetId) -> SetId {
        self.push(Made::Union { left, right })
    }

    /// Both sets, whose latest starts are the same.
    pub(super) fn union(&mut self, one: SetId, other: SetId, cut: Nth) -> SetId {
        let (one, other) = (self.cut(one, cut), self.cut(other, cut));
        assert_eq!(self.latest(one), self.latest(other), "only sets of the same start are united");
        let Made::Union { left: one_left, right: one_right } = self.at(one).made else { return self.pair(one, other) };
        let Made::Union { left: other_left, right: other_right } = self.at(other).made else { return self.pair(other, one) };
        // By their own starts, not by those of the two unions, which are the same: or what starts later could end up below what starts earlier, and be lost.
        let is_in_order = self.latest(one_right) >= self.latest(other_right);
        let (later, earlier) = if is_in_order { (one_right, other_right) } else { (other_right, one_right) };
        let rest = self.pair(later, earlier);
        let rest = self.pair(other_left, rest);
        self.pair(one_left, rest)
    }

    /// The same set without unions whose right side starts too early: whoever decides by the form of a set sees it as it would be had these never been.
    pub(super) fn cut(&self, mut id: SetId, cut: Nth) -> SetId {
        while let Made::Union { left, right } = self.at(id).made
            && self.latest(right) < cut
        {
            id = left;
        }
        id
    }

    /// How many choices start at or after the cut, or a number above `most` if they are more.
    pub(super) fn count(&self, root: SetId, cut: Nth, most: u64) -> u64 {
        let mut open = vec![root];
        let mut count = 0_u64;
        while let Some(mut id) = open.pop() {
            loop {
                let set = self.at(id);
                if set.latest < cut {
                    break;
                }
                if set.earliest >= cut {
                    count = count.saturating_add(u64::from(set.count));
                    break;
                }
                id = match set.made {
                    Made::First { .. } => unreachable!("it starts where it starts"),
                    Made::Take { before, .. } => before,
                    Made::Union { left, right } => {
                        open.push(right);
                        left
                    }
                };
            }
            if count > most {
                break;
            }
        }
        count
    }

    /// Visits every choice that starts at `cut` or after it and not after `last_start`, until told to stop.
    pub(super) fn for_each(&self, root: SetId, starts: (Nth, Nth), mut visit: impl FnMut(Path<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let (cut, last_start) = starts;
        let is_in = |id: SetId| self.latest(id) >= cut && self.at(id).earliest <= last_start;
        let (mut open, mut path) = (vec![(root, 0)], Vec::new());
        while let Some((mut id, length)) = open.pop() {
            path.truncate(length);
            while is_in(id) {
                match self.at(id).made {
                    Made::Union { left, right } => {
                        open.push((right, path.len()));
                        id = left;
                    }
                    Made::Take { before, event, step } => {
                        path.push((step, event));
                        id = before;
                    }
                    Made::First { event, step } => {
                        path.push((step, event));
                        visit(&path)?;
                        break;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    type Choice = Vec<(StepId, Nth)>;

    fn listed(sets: &Sets, id: SetId, cut: Nth) -> Vec<Choice> {
        let mut all = Vec::new();
        let done = sets.for_each(id, (cut, Nth::MAX), |path| {
            all.push(path.iter().rev().copied().collect());
            ControlFlow::Continue(())
        });
        assert!(done.is_continue());
        all.sort_unstable();
        all
    }

    /// Random sets, each with its choices written out beside it. Random patterns hardly ever bring sets into the corners that this finds.
    #[test]
    fn sets_hold_what_they_are_made_of_in_order_and_close_at_hand() {
        for seed in 0..2_000 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let (mut sets, mut known): (Sets, Vec<(SetId, Vec<Choice>)>) = Default::default();
            for number in 0..40 {
                let kind = if known.is_empty() { 0 } else { random.random_range(0..4) };
                let mut some = || known[random.random_range(0..known.len())].clone();
                let (id, choices) = match kind {
                    // Few starts, so that many are the same: steps tell the choices apart.
                    0 => {
                        let (event, step) = (random.random_range(0..4), StepId(number));
                        (sets.push(Made::First { event, step }), vec![vec![(step, event)]])
                    }
                    1 => {
                        let ((before, choices), event, step) = (some(), 10 + Nth::from(number), StepId(number));
                        let longer = choices.into_iter().map(|choice| [choice, vec![(step, event)]].concat()).collect();
                        (sets.push(Made::Take { before, event, step }), longer)
                    }
                    _ => {
                        let (one, other) = (some(), some());
                        let (one, other) = if sets.latest(one.0) >= sets.latest(other.0) { (one, other) } else { (other, one) };
                        let is_union = matches!(sets.at(one.0).made, Made::Union { .. });
                        let id = match sets.latest(one.0) == sets.latest(other.0) {
                            true => sets.union(one.0, other.0, 0),
                            false if is_union => continue,
                            false => sets.pair(one.0, other.0),
                        };
                        (id, [one.1, other.1].concat())
                    }
                };
                if choices.len() <= 200 {
                    known.push((id, choices));
                }
            }
            for (id, choices) in &known {
                for cut in 0..5 {
                    let mut expected: Vec<Choice> = choices.iter().filter(|choice| choice[0].1 >= cut).cloned().collect();
                    expected.sort_unstable();
                    assert_eq!(listed(&sets, *id, cut), expected, "seed {seed}");
                    assert_eq!(sets.count(*id, cut, u64::MAX), expected.len() as u64, "seed {seed}");
                }
                let lefts = std::iter::successors(Some(*id), |id| if let Made::Union { left, .. } = sets.at(*id).made { Some(left) } else { None });
                assert!(lefts.count() <= 4, "seed {seed}: the first choice is more than three steps away");
            }
        }
    }
}
