//! What is left of a pattern after some of it has been taken, and what can be taken next.
//!
//! A rest is a pile of things still to be finished, the innermost on top. It is asked for its [`Choice`]s: every step that can be taken next, with what lies on
//! the way to it, and what is left after that. No graph is built; a rest is a value that is compared and copied.

use std::collections::BTreeSet;

use motif::event::TimeSpan;
use motif::pattern::{Absence, Body, ConditionId, Connective, ContinuityInside, Element, Part, Pattern, Sequence, StepId};

/// Something begun and not finished. Sequences and elements are named by their addresses in the pattern, which stays where it is.
#[derive(Clone, Copy)]
enum Unfinished<'a> {
    /// The parts from the front on.
    Parts(&'a [Part]),
    /// A round under way, after so many whole ones (no more than matter).
    Round(&'a Element, u32),
    /// `all`: those of its steps that are taken, a bit each.
    All(&'a Element, &'a [(StepId, ConditionId)], u32),
}

#[derive(Clone)]
pub struct Rest<'a>(Vec<Unfinished<'a>>);

/// A step that can come next, or the end.
#[derive(Clone)]
pub struct Choice<'a> {
    /// `None`: the pattern can end here.
    pub take: Option<Take>,
    pub after: Rest<'a>,
    pub path: Path,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Take {
    pub step: StepId,
    pub condition: ConditionId,
    pub until: Option<ConditionId>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PassOver {
    Nothing,
    NotFitting,
    Anything,
}

/// What was met on the way from one chosen event to the next.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path {
    pub pass_over: Option<PassOver>,
    pub within: Option<TimeSpan>,
    pub absent: BTreeSet<(ConditionId, Option<TimeSpan>)>,
    pub not_next: BTreeSet<ConditionId>,
    /// Greedy loops left below their most: condition, `until`, only the very next event, for how long.
    pub greedy: BTreeSet<(ConditionId, Option<ConditionId>, bool, Option<TimeSpan>)>,
    pub until: BTreeSet<ConditionId>,
}

impl Unfinished<'_> {
    fn key(&self) -> (u8, usize, usize, u32) {
        match self {
            Self::Parts(parts) => (0, parts.as_ptr().addr(), parts.len(), 0),
            Self::Round(element, done) => (1, std::ptr::from_ref(*element).addr(), 0, *done),
            Self::All(element, _, taken) => (2, std::ptr::from_ref(*element).addr(), 0, *taken),
        }
    }
}

pub type RestKey = Vec<(u8, usize, usize, u32)>;

impl<'a> Rest<'a> {
    pub fn whole(pattern: &'a Pattern) -> Self {
        Self(vec![Unfinished::Parts(&pattern.body.0)])
    }

    pub fn key(&self) -> RestKey {
        self.0.iter().map(Unfinished::key).collect()
    }

    /// All that can come next, each way to it once.
    pub fn choices(&self) -> Vec<Choice<'a>> {
        let mut walk = Walk { seen: BTreeSet::new(), found: Vec::new() };
        walk.go_on(self.0.clone(), Path::default());
        walk.found
    }

    /// Whether the pattern can be finished from here without this step.
    pub fn can_end_without(&self, step: StepId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.clone()];
        while let Some(rest) = open.pop() {
            if !seen.insert(rest.key()) {
                continue;
            }
            for choice in rest.choices() {
                match choice.take {
                    None => return true,
                    Some(take) if take.step != step => open.push(choice.after),
                    Some(_) => {}
                }
            }
        }
        false
    }
}

struct Walk<'a> {
    seen: BTreeSet<(RestKey, Path)>,
    found: Vec<Choice<'a>>,
}

impl<'a> Walk<'a> {
    fn go_on(&mut self, mut pile: Vec<Unfinished<'a>>, path: Path) {
        if !self.seen.insert((Rest(pile.clone()).key(), path.clone())) {
            return;
        }
        match pile.pop() {
            None => self.found.push(Choice { take: None, after: Rest(pile), path }),
            Some(Unfinished::Parts([])) => self.go_on(pile, path),
            Some(Unfinished::Parts([part, others @ ..])) => {
                pile.push(Unfinished::Parts(others));
                self.part(part, pile, path);
            }
            Some(Unfinished::Round(element, done)) => self.after_round(element, done + 1, pile, path),
            Some(Unfinished::All(element, steps, taken)) => self.all(element, steps, taken, pile, path),
        }
    }

    fn part(&mut self, part: &'a Part, pile: Vec<Unfinished<'a>>, mut path: Path) {
        match part {
            Part::Absence(Absence::Not { condition, hold }) => {
                path.absent.insert((*condition, *hold));
                self.go_on(pile, path);
            }
            Part::Absence(Absence::NextNot { condition }) => {
                path.not_next.insert(*condition);
                self.go_on(pile, path);
            }
            Part::Element(element) => {
                if element.quantifier.optional {
                    let mut left_out = path.clone();
                    hunger(element, element.connective == Connective::ThenNext, element.within, &mut left_out);
                    self.go_on(pile.clone(), left_out);
                }
                path.pass_over = pass_over(element.connective).or(path.pass_over);
                path.within = least(path.within, element.within);
                self.round(element, 0, pile, path);
            }
        }
    }

    fn round(&mut self, element: &'a Element, done: u32, mut pile: Vec<Unfinished<'a>>, path: Path) {
        pile.push(Unfinished::Round(element, done));
        let begin = |sequence: &'a Sequence| Unfinished::Parts(&sequence.0);
        match &element.body {
            Body::Step { step, condition } => {
                let take = Take { step: *step, condition: *condition, until: element.quantifier.until };
                self.found.push(Choice { take: Some(take), after: Rest(pile), path });
            }
            Body::Group(sequence) => {
                pile.push(begin(sequence));
                self.go_on(pile, path);
            }
            Body::Choice(branches) => {
                for branch in branches {
                    let mut pile = pile.clone();
                    pile.push(begin(branch));
                    self.go_on(pile, path.clone());
                }
            }
            Body::All(steps) => {
                pile.push(Unfinished::All(element, steps, 0));
                self.go_on(pile, path);
            }
        }
    }

    fn after_round(&mut self, element: &'a Element, done: u32, pile: Vec<Unfinished<'a>>, path: Path) {
        let quantifier = &element.quantifier;
        let may_go_on = quantifier.most.is_none_or(|most| done < most);
        if done >= quantifier.least {
            let mut left = path.clone();
            if may_go_on {
                let next_only = quantifier.inside == ContinuityInside::Consecutive;
                hunger(element, next_only, quantifier.each_within, &mut left);
            }
            self.go_on(pile.clone(), left);
        }
        if may_go_on {
            let mut again = path;
            again.pass_over = Some(match quantifier.inside {
                ContinuityInside::Then => PassOver::NotFitting,
                ContinuityInside::Consecutive => PassOver::Nothing,
                ContinuityInside::Combinations => PassOver::Anything,
            });
            again.within = least(again.within, quantifier.each_within);
            again.until.extend(quantifier.until);
            // Of an open loop only whether it has had its least still matters.
            let counted = if quantifier.most.is_none() { done.min(quantifier.least) } else { done };
            self.round(element, counted, pile, again);
        }
    }

    fn all(&mut self, element: &'a Element, steps: &'a [(StepId, ConditionId)], taken: u32, pile: Vec<Unfinished<'a>>, path: Path) {
        let wanted: Vec<usize> = (0..steps.len()).filter(|place| taken >> place & 1 == 0).collect();
        if wanted.is_empty() {
            return self.go_on(pile, path);
        }
        for place in &wanted {
            let mut path = path.clone();
            if taken != 0 {
                path.pass_over = Some(PassOver::NotFitting);
            }
            if taken != 0 || element.connective == Connective::Then {
                path.absent.extend(wanted.iter().filter(|other| *other != place).map(|other| (steps[*other].1, None)));
            }
            let mut pile = pile.clone();
            pile.push(Unfinished::All(element, steps, taken | 1 << place));
            let (step, condition) = steps[*place];
            self.found.push(Choice { take: Some(Take { step, condition, until: None }), after: Rest(pile), path });
        }
    }
}

fn hunger(element: &Element, next_only: bool, gap: Option<TimeSpan>, path: &mut Path) {
    if let (true, Body::Step { condition, .. }) = (element.quantifier.greedy, &element.body) {
        path.greedy.insert((*condition, element.quantifier.until, next_only, gap));
    }
}

fn pass_over(connective: Connective) -> Option<PassOver> {
    match connective {
        Connective::Begin => None,
        Connective::Then => Some(PassOver::NotFitting),
        Connective::ThenNext => Some(PassOver::Nothing),
        Connective::ThenAny => Some(PassOver::Anything),
    }
}

fn least(one: Option<TimeSpan>, other: Option<TimeSpan>) -> Option<TimeSpan> {
    [one, other].into_iter().flatten().min()
}
