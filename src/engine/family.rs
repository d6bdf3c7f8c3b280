//! Patterns that differ only in how much their first event must be of something are a *family*, stepped as one.
//!
//! `a: payment where amount >= 100 then …`, `a: payment where amount >= 200 then …`: whatever begins a run of one begins a run of all that ask for less. So the members stand in an order,
//! those that ask for least first, and a run says of how many it is one; it is kept and stepped once, by the automaton of the first, and what it brings out comes out for each. Ten
//! thousand such rules cost about as much as there are families of them.
//!
//! Only patterns of which nothing but their own runs decides what comes out are put together: those without skips and limits of their own, whose steps follow each other one by one and
//! end in silence; and only those that [keep the same](Automaton::all_asked_later) of the events that they choose. What they show of these may differ. Where a key's runs cannot be kept together (they are very many, or were read from the store, where each pattern has its own), the members are stepped apart: as any
//! pattern is.
//!
//! The idea is our own reading of what multi-query optimisation calls shared sub-patterns.

use std::collections::BTreeMap;

#[cfg(doc)]
use crate::automaton::Automaton;
use crate::automaton::Run;
use crate::engine::compiled::CompiledPattern;
use crate::engine::index::AskedFor;
use crate::event::{Fields, Value};
use crate::pattern::{Comparison, Expression, FieldPath, Pattern, Skip, at_path};

pub(super) use crate::automaton::{Members, members};

/// What a key holds of a family says of each whether it has changed, and is kept small.
const MEMBERS_MAX: usize = Members::BITS as usize;

#[derive(Debug)]
pub(super) struct Family {
    /// Places in [`Compiled::patterns`](super::Compiled); those that ask for least first.
    pub patterns: Vec<u32>,
    /// What each of them asks of its first event: that the field compares so with this.
    field: FieldPath,
    comparison: Comparison,
    asked: Asked,
}

/// Side by side: walking as many expressions took a twelfth of what an event does with ten thousand rules, and a sixth of the lines of memory.
#[derive(Debug)]
enum Asked {
    /// As mostly: a third of the memory.
    Whole(Box<[i64]>),
    Numbers(Box<[Value]>),
}

impl Asked {
    fn of(values: Vec<Value>) -> Self {
        let whole = |value: &Value| if let Value::Int(value) = value { Some(*value) } else { None };
        values.iter().map(whole).collect::<Option<_>>().map_or_else(|| Self::Numbers(values.into()), Self::Whole)
    }
}

impl Family {
    /// Of how many members the event can begin a run, if it can begin one of the first. Cost: a comparison for each doubling of the members.
    pub(super) fn begun_by(&self, fields: Fields<'_>) -> u8 {
        let value = at_path(fields, &self.field);
        let begun = match (&self.asked, value) {
            (Asked::Whole(asked), Value::Int(value)) => asked.partition_point(|asked| self.comparison.holds_of(*value, *asked)),
            (Asked::Whole(asked), value) => asked.partition_point(|asked| self.comparison.holds(value, &Value::Int(*asked))),
            (Asked::Numbers(asked), value) => asked.partition_point(|asked| self.comparison.holds(value, asked)),
        };
        u8::try_from(begun).expect("families are small")
    }

    /// The run, as one of as many members as its first event can begin one of.
    pub(super) fn count(&self, run: Run) -> Run {
        let begun = self.begun_by(run.first_event().fields());
        run.of_first(begun)
    }

    /// A bit for each.
    pub(super) fn all(&self) -> Members {
        Members::MAX >> (MEMBERS_MAX - self.patterns.len())
    }

    /// All that there are among the patterns, each of at least two.
    pub(super) fn find(patterns: &[CompiledPattern]) -> Vec<Self> {
        let mut alike: BTreeMap<String, Vec<(u32, Expression)>> = BTreeMap::new();
        for (place, compiled) in (0..).zip(patterns) {
            if let Some((rest, asks)) = first_asked(compiled) {
                alike.entry(rest).or_default().push((place, asks));
            }
        }
        let mut families = Vec::new();
        for mut members in alike.into_values() {
            members.sort_unstable_by(|one, other| asked(one).cmp(asked(other)).then(one.0.cmp(&other.0)));
            for members in members.chunks(MEMBERS_MAX).filter(|members| members.len() > 1) {
                // In these all of them ask alike.
                let AskedFor { path, comparison, .. } = asked(&members[0]);
                let values = members.iter().map(|member| asked(member).value.clone()).collect();
                let patterns = members.iter().map(|(place, _)| *place).collect();
                families.push(Self { patterns, field: path.clone(), comparison, asked: Asked::of(values) });
            }
        }
        families
    }
}

/// What the pattern asks of its first event by comparing a field with a number, and everything else about the pattern that must be equal in a family.
fn first_asked(compiled: &CompiledPattern) -> Option<(String, Expression)> {
    let pattern = &compiled.pattern;
    let first = compiled.automaton.chain_of_steps()?;
    if pattern.skip != Skip::None || pattern.runs_max.is_some() || !pattern.windows.is_empty() {
        return None;
    }
    let condition = &pattern.conditions[usize::from(first.0)];
    let (mut conjuncts, rest) = condition.conjuncts();
    let (place, asked) = conjuncts.iter().enumerate().find_map(|(place, conjunct)| Some((place, threshold(conjunct)?)))?;
    let what = format!("{:?} {:?}", asked.comparison, asked.path);
    if !rest.is_empty() {
        return None;
    }
    let asks = conjuncts.remove(place).clone();
    let mut others = Pattern { name: String::new(), version: 0, emit: None, suppress: None, meta: Vec::new(), ..(**pattern).clone() };
    others.conditions[usize::from(first.0)].expression = Some(Expression::And(conjuncts.into_iter().cloned().collect()));
    // An event that is kept by a run of several must have what each of them may still ask for, and is stored for each as if it were alone.
    let keeps = compiled.automaton.all_asked_later();
    Some((format!("{what} {keeps:?} {others:?}"), asks))
}

/// How much a member asks for.
fn asked((_, asks): &(u32, Expression)) -> AskedFor<'_> {
    threshold(asks).expect("it was chosen for that")
}

/// How much is asked for, of a number that is not rounded.
fn threshold(conjunct: &Expression) -> Option<AskedFor<'_>> {
    AskedFor::by(conjunct).filter(|asked| !asked.is_float())
}
