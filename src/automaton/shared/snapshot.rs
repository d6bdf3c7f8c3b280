//! The choices of a key as bytes.
//!
//! ```text
//! format, choices dropped, floor, window, when to clean up, sets reached, sets made
//! events: count, each                 sets: count, each (kind and step, then: event | set before, event | left, right)
//! bags:   count, each (ways: count, first, then differences - 1; flags, age, inside, broken,
//!                      groups: count, each (start, last, from, sets: count, each))
//! ```
//!
//! What no group reaches is left out; events and sets stand in the order in which they were made, bags in theirs. So the bytes depend on the choices alone: not on what
//! is remembered of moves, nor on how often they were written and read. Steps and ways keep their numbers, which follow from the pattern's text; streams
//! are numbered within the pattern. What follows from these is found again.

use std::collections::VecDeque;

use crate::automaton::shared::bag::{Bag, Cut, Group};
use crate::automaton::shared::choices::{Choices, Growth, Workspace};
use crate::automaton::shared::list::List;
use crate::automaton::shared::moves::Rules;
use crate::automaton::shared::sets::{Made, Nth, SetId, Sets};
use crate::automaton::shared::situation::{Outline, Situation};
use crate::automaton::ways::{Automaton, WayId};
use crate::event::binary::{Malformed, Reader, write_event, write_signed, write_unsigned};
use crate::event::{EventTime, SharedEvent};
use crate::pattern::StepId;

/// [`Runs`](crate::automaton::Runs) have formats of their own, below it.
const FORMAT: u64 = 64;

const FRESH: u64 = 1;
const TOLD: u64 = 2;

const FIRST: u64 = 0;
const TAKE: u64 = 1;
const UNION: u64 = 2;
const KINDS: u64 = 3;

impl Choices {
    /// Appends the choices as bytes that [`Choices::decode`] reads with an automaton of the same pattern version.
    pub fn encode(&self, automaton: &Automaton, out: &mut Vec<u8>) {
        let mut compacted = self.clone();
        compacted.compact();
        compacted.write(automaton, out);
    }

    fn write(&self, automaton: &Automaton, out: &mut Vec<u8>) {
        let Growth { reached, made } = self.growth;
        for number in [FORMAT, self.dropped, self.cut.floor.into(), self.cut.window.into()] {
            write_unsigned(number, out);
        }
        write_signed(self.clean_at.micros(), out);
        write_unsigned(reached, out);
        write_unsigned(made, out);
        write_unsigned(self.events.len() as u64, out);
        for event in &self.events {
            let stream = automaton.streams.binary_search(&event.stream).expect("a step takes only events of its stream");
            write_event(event, automaton.asked_later(event.stream), stream as u64, out);
        }
        write_unsigned(self.sets.len() as u64, out);
        (0..self.sets.len() as SetId).for_each(|id| write_set(self.sets.at(id).made, out));
        write_unsigned(self.bags.len() as u64, out);
        self.bags.iter().for_each(|bag| write_bag(bag, out));
    }

    /// Whether bytes that [`Choices::encode`] may have written are such, by how they begin.
    pub(in crate::automaton) fn wrote(bytes: &[u8]) -> bool {
        Reader::new(bytes).unsigned("format").is_ok_and(|format| format == FORMAT)
    }

    /// Reads what [`Choices::encode`] wrote, to the last byte. What is refused was not written by it, or with another pattern.
    ///
    /// # Errors
    ///
    /// The bytes are of something else, or damaged.
    pub fn decode(rules: Rules<'_>, workspace: &mut Workspace, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.unsigned("format")? != FORMAT {
            return Err(reader.malformed("known format of choices"));
        }
        let mut choices = Self { dropped: reader.unsigned("count of choices dropped")?, ..Self::default() };
        let (floor, window) = (reader.unsigned("floor")?, reader.unsigned("window")?);
        choices.clean_at = EventTime::from_micros(reader.signed("instant")?);
        choices.growth = Growth { reached: reader.unsigned("count of sets")?, made: reader.unsigned("count of sets")? };
        choices.events = read_events(rules.automaton, &mut reader)?;
        let events = choices.events.len() as u64;
        if floor.max(window) > events {
            return Err(reader.malformed("number of an event"));
        }
        choices.cut = Cut { floor: floor as Nth, window: window as Nth };
        choices.sets = read_sets(rules.automaton, &choices.events, &mut reader)?;
        for _ in 0..reader.count("bags")? {
            let bag = read_bag(rules, workspace, &choices, &mut reader)?;
            choices.bags.push(bag);
        }
        if !reader.is_at_end() {
            return Err(reader.malformed("end"));
        }
        choices.find_next(rules.plan);
        Ok(choices)
    }
}

fn write_set(made: Made, out: &mut Vec<u8>) {
    let (head, numbers) = match made {
        Made::First { event, step } => (FIRST + KINDS * u64::from(step.0), [Some(event), None]),
        Made::Take { before, event, step } => (TAKE + KINDS * u64::from(step.0), [Some(before), Some(event)]),
        Made::Union { left, right } => (UNION, [Some(left), Some(right)]),
    };
    write_unsigned(head, out);
    numbers.into_iter().flatten().for_each(|number| write_unsigned(number.into(), out));
}

fn write_bag(bag: &Bag, out: &mut Vec<u8>) {
    let Outline { ways, is_fresh, is_told, age, inside, broken } = &bag.situation.outline;
    write_unsigned(ways.len() as u64, out);
    let mut least = 0;
    for way in ways {
        write_unsigned(u64::from(way - least), out);
        least = way + 1;
    }
    let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
    for number in [flag(*is_fresh, FRESH) | flag(*is_told, TOLD), u64::from(*age), *inside, *broken, bag.groups.len() as u64] {
        write_unsigned(number, out);
    }
    for Group { start, last, from, list } in &bag.groups {
        [*start, *last, *from].into_iter().for_each(|number| write_unsigned(number.into(), out));
        write_unsigned(list.iter().count() as u64, out);
        list.iter().for_each(|set| write_unsigned(set.into(), out));
    }
}

fn read_events(automaton: &Automaton, reader: &mut Reader<'_>) -> Result<Vec<SharedEvent>, Malformed> {
    let stream_of = |number: u64| automaton.streams.get(usize::try_from(number).ok()?).copied();
    let mut events: Vec<SharedEvent> = Vec::new();
    for _ in 0..reader.count("events")? {
        let event = reader.event(stream_of)?;
        if events.last().is_some_and(|last| last.place() >= event.place()) {
            return Err(reader.malformed("event later in the line"));
        }
        events.push(event);
    }
    Ok(events)
}

fn read_sets(automaton: &Automaton, events: &[SharedEvent], reader: &mut Reader<'_>) -> Result<Sets, Malformed> {
    let mut sets = Sets::default();
    for _ in 0..reader.count("sets")? {
        let head = reader.unsigned("set")?;
        let known = sets.len();
        let set = |reader: &mut Reader<'_>| reader.index(known, "set before").map(|id| id as SetId);
        let taken = |reader: &mut Reader<'_>| {
            let step = usize::try_from(head / KINDS).ok().filter(|step| *step < automaton.pattern.steps.len()).ok_or_else(|| reader.malformed("step"))?;
            let event = reader.index(events.len(), "event of a set")?;
            if events[event].stream != automaton.pattern.steps[step].stream {
                return Err(reader.malformed("event of the step's stream"));
            }
            Ok((event as Nth, StepId(step as u16)))
        };
        let made = match head % KINDS {
            FIRST => taken(reader).map(|(event, step)| Made::First { event, step })?,
            TAKE => {
                let before = set(reader)?;
                taken(reader).map(|(event, step)| Made::Take { before, event, step })?
            }
            _ => Made::Union { left: set(reader)?, right: set(reader)? },
        };
        if matches!(made, Made::Union { left, right } if sets.latest(left) < sets.latest(right)) {
            return Err(reader.malformed("union in order"));
        }
        sets.push(made);
    }
    Ok(sets)
}

fn read_bag(rules: Rules<'_>, workspace: &mut Workspace, choices: &Choices, reader: &mut Reader<'_>) -> Result<Bag, Malformed> {
    let outline = read_outline(rules, reader)?.normal(rules.automaton, rules.plan);
    let situation = workspace.table.situation(outline, rules);
    if choices.bags.iter().any(|bag| bag.situation.number == situation.number) {
        return Err(reader.malformed("another situation"));
    }
    let mut groups: VecDeque<Group> = VecDeque::new();
    for _ in 0..reader.count("groups")? {
        let group = read_group(rules, &situation, choices, reader)?;
        if groups.back().is_some_and(|last| (last.start, last.last) >= (group.start, group.last)) {
            return Err(reader.malformed("group in order"));
        }
        groups.push_back(group);
    }
    if groups.is_empty() {
        return Err(reader.malformed("group"));
    }
    Ok(Bag { situation, groups })
}

fn read_outline(rules: Rules<'_>, reader: &mut Reader<'_>) -> Result<Outline, Malformed> {
    let mut ways: Vec<WayId> = Vec::new();
    for _ in 0..reader.count("ways")? {
        let least = ways.last().map_or(0, |last| *last as usize + 1);
        let way = least + reader.index(rules.automaton.ways.len() - least, "way")?;
        ways.push(way as WayId);
    }
    if ways.is_empty() {
        return Err(reader.malformed("way on"));
    }
    let flags = reader.unsigned("flags")?;
    let age = reader.index(rules.plan.spans.len() + 1, "age")? as u16;
    let (inside, broken) = (reader.unsigned("bits")?, reader.unsigned("bits")?);
    Ok(Outline { ways, is_fresh: flags & FRESH != 0, is_told: flags & TOLD != 0, age, inside, broken })
}

fn read_group(rules: Rules<'_>, situation: &Situation, choices: &Choices, reader: &mut Reader<'_>) -> Result<Group, Malformed> {
    let events = choices.events.len();
    let (start, last) = (reader.index(events, "first event")? as Nth, reader.index(events, "last event")? as Nth);
    let from = reader.index(events + 1, "first event")? as Nth;
    let mut list: Vec<SetId> = Vec::new();
    for _ in 0..reader.count("sets of a group")? {
        list.push(reader.index(choices.sets.len(), "set of a group")? as SetId);
    }
    let latest = |set: &SetId| choices.sets.latest(*set);
    let Some((head, rest)) = list.split_first() else { return Err(reader.malformed("set")) };
    let is_in_order = rest.first().is_none_or(|second| latest(head) >= latest(second)) && rest.windows(2).all(|two| latest(&two[0]) > latest(&two[1]));
    let group = Group { start, last, from, list: List { head: *head, rest: rest.to_vec() } };
    if !is_in_order || group.clone().normal(situation, rules.plan) != group {
        return Err(reader.malformed("group of this situation"));
    }
    Ok(group)
}
