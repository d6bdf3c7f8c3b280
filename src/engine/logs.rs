//! Which logs of events a program needs: what windows count is kept once for each key, however many windows of however many patterns count it.
//!
//! A log is of a table of keys, and holds the events of one stream that stand in its lines as certain sources, and for which a condition holds; and of each the value of a field, if one is
//! measured. What windows ask of it are its *views*. In the store it has a version of its own, made of what it holds: patterns may come and go while it stays. A pattern that comes later begins with
//! nothing, as all patterns do: so it shares no log with those that were there before ([`WindowsSince`]).
//!
//! Logs are found and keyed as patterns are, and are numbered behind them ([`Compiled::log`](super::compiled::Compiled::log)).

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::engine::compiled::CompiledPattern;
use crate::engine::index::number;
use crate::engine::window_log::{LogPlan, View};
use crate::event::{Fields, Schema, StreamId};
use crate::pattern::{Condition, Expression, Measure, Scope, Source, log_version};

/// By version of a pattern: a number that those have in common that came at the same time, if it is not 0.
pub type WindowsSince = BTreeMap<u128, u64>;

/// A log, the same for all keys.
#[derive(Debug)]
pub(super) struct Log {
    pub version: u128,
    pub table: usize,
    pub stream: StreamId,
    /// As one of which an event stands in the line.
    pub sources: Vec<Source>,
    pub expression: Option<Expression>,
    pub plan: LogPlan,
    /// The name of a pattern that asks for it.
    pub asked_by: String,
}

/// Where a window of a pattern is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ViewOf {
    /// The number of the log.
    pub log: u32,
    pub view: usize,
}

impl Log {
    /// Whether it keeps an event of its stream with these fields, which stands in its line.
    pub(super) fn keeps(&self, fields: Fields<'_>, faults: &Cell<u64>) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.holds(&Scope::of_event(fields, faults)))
    }

    /// All that these patterns need, and for each pattern where its windows are answered.
    pub(super) fn of_all(patterns: &mut [CompiledPattern], schema: &Schema, since: &WindowsSince) -> Vec<Self> {
        let (mut logs, mut places): (Vec<Self>, BTreeMap<u128, usize>) = (Vec::new(), BTreeMap::new());
        let first = first_log(patterns.len());
        for compiled in patterns {
            let pattern = &compiled.pattern;
            let views = pattern.windows.iter().map(|window| {
                let (path, aggregate) = match &window.measure {
                    Measure::Count => (None, None),
                    Measure::Aggregate { aggregate, path } => (Some(path.clone()), Some(*aggregate)),
                };
                let sources = counted_as(&window.events, &pattern.sources);
                let since = since.get(&pattern.version).copied().unwrap_or(0);
                let version = log_version(pattern, schema, window, &sources, compiled.automaton.runs_end_silently(), since);
                let place = *places.entry(version).or_insert_with(|| {
                    logs.push(Self {
                        version,
                        table: compiled.table,
                        stream: window.events.stream,
                        sources: sources.into_iter().cloned().collect(),
                        expression: window.events.expression.clone(),
                        plan: LogPlan { path, views: Vec::new() },
                        asked_by: pattern.name.clone(),
                    });
                    logs.len() - 1
                });
                let (known, view) = (&mut logs[place].plan.views, View { span: window.span, aggregate });
                let at = known.iter().position(|other| *other == view).unwrap_or(known.len());
                if at == known.len() {
                    known.push(view);
                }
                ViewOf { log: first + number(place), view: at }
            });
            compiled.windows = views.collect();
        }
        logs
    }
}

/// The number of the first log, behind those of so many patterns and of [whoever waits](super::index::Waiting::number).
pub(super) fn first_log(patterns: usize) -> u32 {
    number(patterns) + 1
}

/// The sources as one of which the events stand in lines.
fn counted_as<'a>(events: &Condition, sources: &'a [Source]) -> Vec<&'a Source> {
    let may_be = |(place, source): &(u32, &Source)| {
        source.stream == events.stream && (events.stands_as == 0 || events.stands_as >> u32::min(*place, u64::BITS - 1) & 1 == 1)
    };
    (0..).zip(sources).filter(may_be).map(|(_, source)| source).collect()
}
