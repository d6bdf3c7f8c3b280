//! Stretches of neighbouring runs, and what those of each ask for at least.
//!
//! A bound is the register of a stretch that lets most events by. It may be one of a run that has gone since: then a look finds nobody, and puts the bound right.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::automaton::aside::Aside;
use crate::automaton::compared::Compared;
use crate::automaton::moves::Hand;
use crate::automaton::runs::Run;

/// Numbers that share all but so many low bits are of one stretch.
const STRETCH_BITS: u32 = 5;

/// Of the runs that stand at one place.
#[derive(Clone, Default, Debug)]
pub(super) struct Bounds {
    /// How many.
    count: usize,
    /// The stretch of the first bound.
    first: u64,
    /// Nothing: no run, or none that waits for anything that there is.
    bounds: VecDeque<Aside>,
}

impl Bounds {
    /// The run of that number has come here. `compared`: what its register is for; `None`: it has none.
    pub(super) fn note(&mut self, number: u64, compared: Option<&Compared>, register: &Aside) {
        self.count += 1;
        let stretch = number >> STRETCH_BITS;
        if self.bounds.is_empty() {
            self.first = stretch;
        }
        while stretch < self.first {
            self.bounds.push_front(Aside::Nothing);
            self.first -= 1;
        }
        let place = usize::try_from(stretch - self.first).expect("fewer stretches than runs");
        if place >= self.bounds.len() {
            self.bounds.resize(place + 1, Aside::Nothing);
        }
        widen(&mut self.bounds[place], compared, register.known());
    }

    /// One of them has gone from here.
    pub(super) fn leave(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            self.bounds.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the numbers of all runs that the event may concern, and perhaps of some others that stand here. `decides`: nothing but what registers are for does. `runs`: all there are, and the number of
    /// the first place.
    pub(super) fn find(
        &mut self,
        hand: &Hand<'_, ()>,
        (compared, decides): (Option<&Compared>, bool),
        (runs, first): (&VecDeque<Option<Run>>, u64),
        stands_here: impl Fn(&Run) -> bool,
        concerned: &mut Vec<u64>,
    ) {
        self.trim(first);
        for (stretch, bound) in (self.first..).zip(&mut self.bounds) {
            let is_bare = compared.is_none() && matches!(bound, Aside::Nothing);
            if is_bare || decides && compared.is_some_and(|compared| !hand.may_meet(compared, bound)) {
                continue;
            }
            *bound = Aside::Nothing;
            for number in (stretch << STRETCH_BITS).max(first)..(stretch + 1) << STRETCH_BITS {
                let run = usize::try_from(number - first).ok().and_then(|place| runs.get(place)).and_then(Option::as_ref);
                if let Some(run) = run.filter(|run| stands_here(run)) {
                    widen(bound, compared, run.aside.known());
                    concerned.push(number);
                }
            }
        }
    }

    /// There is no run of a number before this any more. Without it bounds of those that are gone stay, and are looked at.
    pub(super) fn trim(&mut self, first: u64) {
        while self.first < first >> STRETCH_BITS && self.bounds.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// What fits that register is let by as well.
fn widen(bound: &mut Aside, compared: Option<&Compared>, register: &Aside) {
    match compared.and_then(|compared| compared.lets_by(register, bound)) {
        None => *bound = Aside::Anything,
        Some(Ordering::Greater) => *bound = register.clone(),
        Some(Ordering::Less | Ordering::Equal) => {}
    }
}
