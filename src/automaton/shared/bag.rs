//! The choices of one situation.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::automaton::shared::list::List;
use crate::automaton::shared::plan::Plan;
use crate::automaton::shared::sets::{Nth, SetId, Sets};
use crate::automaton::shared::situation::Situation;

/// Choices that are moved together.
#[derive(Clone, Debug)]
pub(super) struct Bag {
    pub situation: Arc<Situation>,
    /// By first event, then last, as far as choices are kept apart by them. Never empty.
    pub groups: VecDeque<Group>,
}

/// Choices of one situation that time treats alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    /// Their first event where choices are kept apart by it, else 0.
    pub start: Nth,
    /// Their last one where the situation awaits something by it, else 0.
    pub last: Nth,
    /// The first start that was in the window when the last event was taken; where the situation outlives the window, else 0.
    pub from: Nth,
    pub list: List,
}

/// The first start that counts: one that a match has not removed, and inside the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Cut {
    /// What delivered matches have removed starts before it.
    pub floor: Nth,
    /// As of the event at hand.
    pub window: Nth,
}

impl Cut {
    pub(super) fn now(self) -> Nth {
        self.floor.max(self.window)
    }

    pub(super) fn of(self, situation: &Situation, group: &Group) -> Nth {
        if situation.outlives { self.floor.max(group.from) } else { self.now() }
    }
}

impl Group {
    fn key(&self) -> (Nth, Nth) {
        (self.start, self.last)
    }

    pub(super) fn normal(mut self, situation: &Situation, plan: &Plan) -> Self {
        let kept = |number, is_kept| if is_kept { number } else { 0 };
        self.start = kept(self.start, plan.is_apart);
        self.last = kept(self.last, situation.by_last);
        self.from = kept(self.from, situation.outlives);
        self
    }
}

impl Bag {
    /// Takes a group's choices.
    fn add(&mut self, group: Group, sets: &mut Sets, cut: Cut) {
        let key = group.key();
        if self.groups.back().is_none_or(|last| last.key() < key) {
            return self.groups.push_back(group);
        }
        match self.groups.binary_search_by_key(&key, Group::key) {
            Ok(place) => {
                let known = &mut self.groups[place];
                let cut = cut.of(&self.situation, known);
                known.list.add(group.list, sets, cut);
            }
            Err(place) => self.groups.insert(place, group),
        }
    }

    /// Takes the choices of groups of the same form: the fewer are put among the more, as where one has begun and thousands are passed over.
    fn add_all(&mut self, mut groups: VecDeque<Group>, sets: &mut Sets, cut: Cut) {
        if groups.len() > self.groups.len() {
            std::mem::swap(&mut groups, &mut self.groups);
        }
        groups.into_iter().for_each(|group| self.add(group, sets, cut));
    }

    /// All choices as one set, of those that start at or after the cut; `None`: there are none.
    pub(super) fn merged(&self, sets: &mut Sets, cut: Nth) -> Option<SetId> {
        let mut alive = self.groups.iter().filter(|group| group.list.latest(sets) >= cut).map(|group| &group.list).collect::<Vec<_>>().into_iter();
        let first = alive.next()?;
        let Some(second) = alive.next() else { return Some(first.merged(sets, cut)) };
        let mut all = first.clone();
        for list in std::iter::once(second).chain(alive) {
            all.add(list.clone(), sets, cut);
        }
        Some(all.merged(sets, cut))
    }

    /// Lets go of what starts too early; false if nothing is left.
    pub(super) fn prune(&mut self, sets: &Sets, cut: Cut, plan: &Plan) -> bool {
        let Self { situation, groups } = self;
        if plan.is_apart {
            while groups.front().is_some_and(|group| group.start < cut.floor) {
                groups.pop_front();
            }
        } else {
            groups.retain(|group| group.list.latest(sets) >= cut.of(situation, group));
        }
        !groups.is_empty()
    }
}

/// Bags as they are put together, in an order that the events alone decide; one for each situation. It is found by the number of the situation: an unrolled `x{n}` has n of them, each of which an event moves.
#[derive(Debug, Default)]
pub(super) struct Bags {
    list: Vec<Bag>,
    /// By number of the situation: where its bag stands, if it is there. What is left from other lists is told by the bag that stands there.
    places: Vec<u32>,
}

impl Bags {
    /// Goes on with those of a key, which are swapped back out when all is put.
    pub(super) fn swap_in(&mut self, bags: &mut Vec<Bag>) {
        std::mem::swap(&mut self.list, bags);
        (0..self.list.len()).for_each(|place| self.note(place));
    }

    /// Hands out what was put; the memory of an empty list is used again.
    pub(super) fn swap_out(&mut self, bags: &mut Vec<Bag>) {
        std::mem::swap(&mut self.list, bags);
    }

    /// Adds choices to those of their situation.
    pub(super) fn put(&mut self, situation: &Arc<Situation>, group: Group, sets: &mut Sets, cut: Cut, plan: &Plan) {
        let group = group.normal(situation, plan);
        if group.list.latest(sets) < cut.of(situation, &group) {
            // Only an absence was still waited for, and it is decided.
            return;
        }
        match self.find(situation) {
            Some(bag) => bag.add(group, sets, cut),
            None => self.push(Bag { situation: situation.clone(), groups: VecDeque::from([group]) }),
        }
    }

    /// Adds all choices of another situation.
    pub(super) fn put_all(&mut self, situation: &Arc<Situation>, from: Bag, sets: &mut Sets, cut: Cut, plan: &Plan) {
        let keeps_form = situation.by_last == from.situation.by_last && situation.outlives == from.situation.outlives;
        if !keeps_form {
            return from.groups.into_iter().for_each(|group| self.put(situation, group, sets, cut, plan));
        }
        match self.find(situation) {
            Some(bag) => bag.add_all(from.groups, sets, cut),
            // Passed over, and alone there: nothing is made or looked at.
            None => self.push(Bag { situation: situation.clone(), groups: from.groups }),
        }
    }

    fn find(&mut self, situation: &Situation) -> Option<&mut Bag> {
        let place = *self.places.get(situation.number)?;
        self.list.get_mut(place as usize).filter(|bag| bag.situation.number == situation.number)
    }

    fn push(&mut self, bag: Bag) {
        self.list.push(bag);
        self.note(self.list.len() - 1);
    }

    fn note(&mut self, place: usize) {
        let number = self.list[place].situation.number;
        if self.places.len() <= number {
            self.places.resize(number + 1, 0);
        }
        self.places[number] = place as u32;
    }
}
