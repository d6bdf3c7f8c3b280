//! Many runs of one pattern and key, found by the value that they wait for.
//!
//! Where a step must equal something of an earlier one (`b.user == a.user`), or be more or less than it (`b.amount > 10 * a.amount`), an event concerns few of the runs that wait for it. Those that
//! wait for something to equal a value of theirs are filed by it, and an event costs a look at those of its value, however many wait for others: whatever they wait for, the next turn of a loop, one of
//! several steps, what must not come (`not paid where id == order.id for 10m`), what closes the wait for a step. One that waits for several things is found by each.
//!
//! What must be more or less than a value of theirs is known of *stretches* of neighbours together: what the runs of each ask for at least. Where an event has less, it costs one look at the stretch
//! ([`Stretches`]). What compares with nothing of a run concerns all that wait for it; these are known by stretches as well.
//!
//! What steps a run is the same as for any; only the finding differs.
//!
//! A limit, or a match that others may not overlap, removes what starts first; time removes what runs out: whose turn it is tell [turns].
//!
//! Invariants: a run is found as [`Found::of`] says of it; runs stand in the order of [`Runs`] with the same runs, and so do the bytes; the first place holds a run, if there is any; the next deadline
//! is one of a run.
//!
//! The idea is that of a symmetric hash join (A. Wilschut, P. Apers, 1991), one side of which is a partial match; that of the stretches is
//! that of small materialized aggregates (G. Moerkotte, VLDB 1998), the zone maps of column stores.

mod numbers;
mod stretches;
mod turns;

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::aside::{Aside, Own};
use crate::automaton::by_value::numbers::Numbers;
use crate::automaton::by_value::stretches::Stretches;
use crate::automaton::by_value::turns::Turns;
use crate::automaton::class::{Class, Finding, Fit};
use crate::automaton::compared::Compared;
use crate::automaton::deadline::expire_run;
use crate::automaton::moves::{Hand, Passed};
use crate::automaton::runs::{Arrival, Limits, Run, Runs, Stepped};
use crate::automaton::skip::Floor;
use crate::automaton::snapshot::encode;
use crate::automaton::ways::Automaton;
use crate::event::{EventTime, Lookup, Place, Value};
use crate::pattern::Moment;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ByValue {
    /// `None`: gone.
    runs: VecDeque<Option<Run>>,
    /// The number of the first of them.
    first: u64,
    live: usize,
    /// Runs that wait for something to be equal.
    filed: Lookup<Filed, Numbers>,
    /// By register, unless it is an equality: what those ask for at least that have it.
    bounded: Vec<Stretches<Aside>>,
    /// What else they wait for.
    others: Stretches<Class>,
    deadlines: Turns<EventTime>,
    /// `None`: they stand in the order of their starts, as those do of which each has but one successor.
    starts: Option<Turns<Place>>,
    /// No run that has come starts later.
    latest_start: Place,
    dropped: u64,
    /// The runs that the event or the instant at hand may concern: memory that is used again.
    concerned: Vec<u64>,
}

/// Under what a run is filed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Filed {
    /// The place of an equality among the automaton's registers.
    equality: usize,
    /// `None`: it waits for a value that cannot be filed.
    value: Option<u64>,
}

/// How a run is found.
struct Found {
    filed: SmallVec<[Filed; 1]>,
    bounded: SmallVec<[usize; 1]>,
    others: Class,
}

/// What a run is filed under that waits in vain.
const NULL: u64 = 0x6e75_6c6c;

/// Equal values are filed equally, whatever their types; values that are filed equally need not be equal.
enum Hashed {
    /// Null is equal to nothing.
    EqualToNothing,
    At(u64),
    /// Rounding decides what it is equal to.
    Unknown,
}

impl Hashed {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::EqualToNothing,
            Value::Bool(is_so) => Self::At((*is_so).into()),
            Value::Int(number) => Self::At(number.cast_unsigned()),
            Value::Decimal(number) => Self::At(of_decimal(*number)),
            Value::Text(text) => Self::At(xxh3_64(text.as_bytes())),
            Value::Timestamp(time) => Self::At(time.micros().cast_unsigned()),
            Value::Duration(span) => Self::At(span.micros().cast_unsigned()),
            Value::Float(_) | Value::List(_) | Value::Record(_) => Self::Unknown,
        }
    }
}

/// Of a whole number as of any other of that value; of the rest, by their digits without zeros at the end.
fn of_decimal(number: Decimal) -> u64 {
    let number = number.normalize();
    let whole = if number.scale() == 0 { number.to_i64() } else { None };
    whole.map_or_else(|| xxh3_64(&number.serialize()), i64::cast_unsigned)
}

impl Found {
    fn of(automaton: &Automaton, run: &Run) -> Self {
        let stand = automaton.stand(run.stand);
        match run.aside.own().filter(|own| own.ways != stand.ways) {
            None => Self::by(&stand.finding, automaton, run),
            Some(own) => Self::by(&automaton.finding(&own.ways), automaton, run),
        }
    }

    fn by(finding: &Finding, automaton: &Automaton, run: &Run) -> Self {
        let mut found = Self { filed: SmallVec::new(), bounded: SmallVec::new(), others: finding.others };
        for place in &finding.registers {
            if automaton.registers[*place].is_equality {
                found.filed.push(Filed { equality: *place, value: value_of(automaton, run, *place) });
            } else {
                found.bounded.push(*place);
            }
        }
        found
    }
}

/// What conditions of that register compare events with.
fn register_of<'a>(automaton: &Automaton, run: &'a Run, place: usize) -> Cow<'a, Aside> {
    let own = |own: &Own| own.compares.and_then(|condition| automaton.place_of_register(condition));
    let at_hand = run.aside.own().map_or_else(|| automaton.stand(run.stand).register_place, own);
    match run.aside.known() {
        known if at_hand == Some(place) && !matches!(known, Aside::Later) => Cow::Borrowed(known),
        // What cannot be calculated is counted where the condition is asked as it stands.
        _ => Cow::Owned(compared(automaton, place).register(&automaton.recall(&run.chain), Moment::plain(&Cell::new(0)))),
    }
}

/// A comparison with that register: they widen bounds alike.
fn compared(automaton: &Automaton, place: usize) -> &Compared {
    automaton.fit(automaton.registers[place].conditions[0]).compared().expect("registers are those of comparisons")
}

/// What a run is filed under that has that register.
fn value_of(automaton: &Automaton, run: &Run, place: usize) -> Option<u64> {
    let hashed = match &*register_of(automaton, run, place) {
        Aside::Anything => Hashed::Unknown,
        register => register.ask(Hashed::of),
    };
    match hashed {
        Hashed::At(hash) => Some(hash),
        Hashed::EqualToNothing => Some(NULL),
        Hashed::Unknown => None,
    }
}

/// What fits that register meets the bound as well from now on. The default is no bound: what no event meets, or one that waits for nothing that there is.
fn widen(bound: &mut Aside, compared: &Compared, register: &Aside) {
    match compared.lets_by(register, bound) {
        None => *bound = Aside::Anything,
        Some(Ordering::Greater) => *bound = register.clone(),
        Some(Ordering::Less | Ordering::Equal) => {}
    }
}

impl ByValue {
    pub fn of_runs(runs: &Runs, automaton: &Automaton) -> Self {
        let mut by_value = Self {
            runs: VecDeque::with_capacity(2 * runs.alive.len()),
            first: 0,
            live: 0,
            filed: Lookup::default(),
            bounded: vec![Stretches::default(); automaton.registers.len()],
            others: Stretches::default(),
            deadlines: Turns::default(),
            starts: None,
            latest_start: Place::FIRST,
            dropped: runs.dropped,
            concerned: Vec::new(),
        };
        runs.alive.iter().for_each(|run| by_value.push(automaton, run.clone()));
        by_value
    }

    /// As [`Runs::advance`].
    pub fn advance(&mut self, automaton: &Automaton, limits: &Limits, arrival: Arrival<'_>, stepped: &mut Stepped) {
        let Arrival { event, class, moment } = arrival;
        let hand = Hand::new(automaton, event, class, moment, &());
        let out = &mut stepped.events;
        self.find_concerned(automaton, &hand);
        let concerned = std::mem::take(&mut self.concerned);
        for number in &concerned {
            let place = self.place(*number);
            let run = self.runs[place].as_mut().expect("what is found is there");
            let (before, stand, deadline) = (Found::of(automaton, run), run.stand, run.deadline);
            let born_before = out.born.len();
            let passed = hand.come_by(run, out);
            if passed == Passed::On && run.stand == stand && run.aside.own().is_none() {
                continue;
            }
            // One that moves on keeps its place, as in a list of runs.
            let after = match passed {
                Passed::On | Passed::Further => self.runs[place].take(),
                Passed::Over => (out.born.len() > born_before).then(|| out.born.swap_remove(born_before)),
            };
            self.put_instead(automaton, *number, (&before, deadline), after);
        }
        self.concerned = concerned;
        hand.begin(out);
        out.born.drain(..).for_each(|run| self.push(automaton, run));
        if let Some(floor) = stepped.deliver(automaton, limits, event.time, &mut self.dropped) {
            self.remove_below(automaton, floor);
        }
        while self.live > limits.runs_of(&automaton.pattern) {
            self.remove_first(automaton);
            self.dropped += 1;
        }
        self.trim();
        self.make_dense(automaton);
    }

    /// As [`Runs::expire`].
    pub fn expire(&mut self, automaton: &Automaton, limits: &Limits, instant: EventTime, stepped: &mut Stepped) {
        let mut due = std::mem::take(&mut self.concerned);
        due.clear();
        self.deadlines.take_until(instant, &mut due);
        put_in_order(&mut due);
        for number in &due {
            if run_of(&self.runs, self.first, *number).is_none_or(|run| run.deadline > instant || run.deadline == EventTime::END) {
                continue;
            }
            let place = self.place(*number);
            let run = self.runs[place].as_mut().expect("it has just been seen there");
            let (before, deadline) = (Found::of(automaton, run), run.deadline);
            let mut goes_on = true;
            while goes_on && run.deadline <= instant && run.deadline < EventTime::END {
                let at = if automaton.timing.decides { run.deadline } else { instant };
                goes_on = expire_run(automaton, run, at, &mut stepped.due, &());
            }
            let after = self.runs[place].take().filter(|_| goes_on);
            self.put_instead(automaton, *number, (&before, deadline), after);
        }
        self.concerned = due;
        if let Some(floor) = stepped.deliver_due(automaton, limits, &mut self.dropped) {
            self.remove_below(automaton, floor);
        }
        if instant == EventTime::END {
            while self.live > 0 {
                self.remove_first(automaton);
            }
        }
        self.trim();
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    pub fn len(&self) -> usize {
        self.live
    }

    /// As [`Runs::runs_dropped`].
    pub fn runs_dropped(&self) -> u64 {
        self.dropped
    }

    /// As [`Runs::encode`], which reads it.
    pub fn encode(&self, automaton: &Automaton, out: &mut Vec<u8>) {
        encode(self.runs.iter().flatten(), self.dropped, automaton, out);
    }

    /// The numbers of all runs that the event may concern, ascending.
    fn find_concerned(&mut self, automaton: &Automaton, hand: &Hand<'_, ()>) {
        let Self { runs, first, filed, bounded, others, concerned, .. } = self;
        concerned.clear();
        for (place, register) in automaton.registers.iter().enumerate().filter(|(_, register)| hand.class().meets(register.bits)) {
            let asked = register.conditions.iter().map(|condition| automaton.fit(*condition)).filter(|fit| hand.class().meets(fit.bit));
            let asked: SmallVec<[&Compared; 2]> = asked.filter_map(Fit::compared).collect();
            if register.is_equality {
                let Some(values) = values_asked_for(hand, &asked) else {
                    concerned.clear();
                    return concerned.extend(runs_of(runs, *first, *first..*first + runs.len() as u64).map(|(number, _)| number));
                };
                let met = values.into_iter().map(Some).chain([None]).filter_map(|value| filed.get(&Filed { equality: place, value }));
                met.for_each(|numbers| numbers.add_to(concerned));
                continue;
            }
            let at_hand: SmallVec<[(&Compared, Option<&Value>); 2]> = asked.iter().map(|compared| (*compared, hand.at_hand(compared))).collect();
            let meets = |register: &Aside| at_hand.iter().any(|(compared, at_hand)| hand.may_meet(compared, *at_hand, register));
            bounded[place].visit_met(*first, meets, |numbers, bound| {
                let has_it = |run: &Run| run.aside.own().is_some() || automaton.stand(run.stand).finding.registers.contains(&place);
                for (number, run) in runs_of(runs, *first, numbers).filter(|(_, run)| has_it(run)) {
                    let register = register_of(automaton, run, place);
                    widen(bound, compared(automaton, place), &register);
                    // What a run has at hand it is asked anyway when the event comes by.
                    concerned.extend((matches!(register, Cow::Borrowed(_)) || meets(&register)).then_some(number));
                }
            });
        }
        let meets = |awaited: &Class| hand.class().meets(*awaited);
        others.visit_met(*first, meets, |numbers, bound| {
            for (number, run) in runs_of(runs, *first, numbers) {
                let awaited = run.aside.own().map_or_else(|| automaton.stand(run.stand).finding.others, |own| own.awaited);
                *bound = bound.with(awaited);
                concerned.extend(meets(&awaited).then_some(number));
            }
        });
        put_in_order(concerned);
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("as many runs as memory holds")
    }

    fn push(&mut self, automaton: &Automaton, run: Run) {
        let number = self.first + self.runs.len() as u64;
        self.find_by(automaton, number, &run);
        self.add_deadline(number, &run);
        self.add_start(number, run.chain.start());
        self.runs.push_back(Some(run));
    }

    fn add_start(&mut self, number: u64, start: Place) {
        if self.starts.is_none() && start < self.latest_start {
            let mut starts = Turns::default();
            runs_of(&self.runs, self.first, self.first..self.first + self.runs.len() as u64).for_each(|(number, run)| starts.add(run.chain.start(), number));
            self.starts = Some(starts);
        }
        self.latest_start = self.latest_start.max(start);
        if let Some(starts) = &mut self.starts {
            starts.add(start, number);
        }
    }

    /// Of the run at that place, how it was found before and what its deadline was, this has become.
    fn put_instead(&mut self, automaton: &Automaton, number: u64, (before, deadline): (&Found, EventTime), after: Option<Run>) {
        self.forget(number, before);
        if let Some(run) = &after {
            self.find_by(automaton, number, run);
            if run.deadline != deadline {
                self.add_deadline(number, run);
            }
        }
        let place = self.place(number);
        self.runs[place] = after;
    }

    /// The end of time is none.
    fn add_deadline(&mut self, number: u64, run: &Run) {
        if run.deadline < EventTime::END {
            self.deadlines.add(run.deadline, number);
        }
    }

    /// From now on the run is found.
    fn find_by(&mut self, automaton: &Automaton, number: u64, run: &Run) {
        self.live += 1;
        let Found { filed, bounded, others } = Found::of(automaton, run);
        for filed in filed {
            match self.filed.get_mut(&filed) {
                Some(numbers) => numbers.insert(number),
                None => drop(self.filed.insert(filed, Numbers::of(number))),
            }
        }
        for place in bounded {
            widen(self.bounded[place].note(number, self.first), compared(automaton, place), &register_of(automaton, run, place));
        }
        if others != Class::EMPTY {
            let bound = self.others.note(number, self.first);
            *bound = bound.with(others);
        }
    }

    /// It is not any more.
    fn forget(&mut self, number: u64, found: &Found) {
        self.live -= 1;
        for filed in &found.filed {
            let numbers = self.filed.get_mut(filed).expect("each run is filed");
            numbers.remove(number);
            if numbers.is_empty() {
                self.filed.remove(filed);
            }
        }
        found.bounded.iter().for_each(|place| self.bounded[*place].leave());
        if found.others != Class::EMPTY {
            self.others.leave();
        }
    }

    fn remove(&mut self, automaton: &Automaton, number: u64) {
        let place = self.place(number);
        let run = self.runs[place].take().expect("what is removed is there");
        self.forget(number, &Found::of(automaton, &run));
    }

    /// The run that starts first, and where; of those that start together it is the one that stands first.
    fn first_start(&mut self) -> Option<(Place, u64)> {
        self.trim_starts();
        let first = || self.runs.front()?.as_ref().map(|run| (run.chain.start(), self.first));
        self.starts.as_ref().map_or_else(first, Turns::first)
    }

    fn remove_first(&mut self, automaton: &Automaton) {
        if let Some((_, number)) = self.first_start() {
            self.remove(automaton, number);
        }
    }

    fn remove_below(&mut self, automaton: &Automaton, floor: Floor) {
        while let Some((_, number)) = self.first_start().filter(|(start, _)| !floor.spares(*start)) {
            self.remove(automaton, number);
        }
    }

    /// The first place is that of a run, and so is the next deadline.
    fn trim(&mut self) {
        self.trim_starts();
        let Self { deadlines, runs, first, .. } = self;
        deadlines.trim(|deadline, number| run_of(runs, *first, number).is_some_and(|run| run.deadline == deadline));
    }

    /// The first place is that of a run, and what starts first is there.
    fn trim_starts(&mut self) {
        let Self { runs, first, starts, .. } = self;
        while runs.front().is_some_and(Option::is_none) {
            runs.pop_front();
            *first += 1;
        }
        if let Some(starts) = starts {
            starts.trim(|_, number| run_of(runs, *first, number).is_some());
        }
    }

    /// What is gone takes no more memory than what is there, and a little.
    fn make_dense(&mut self, automaton: &Automaton) {
        let starts = self.starts.as_ref().map_or(0, Turns::len);
        if self.runs.len().max(self.deadlines.len()).max(starts) > 64 + 2 * self.live {
            let runs = std::mem::take(&mut self.runs);
            self.filed = Lookup::default();
            self.bounded.fill(Stretches::default());
            self.others = Stretches::default();
            (self.deadlines, self.starts, self.latest_start) = (Turns::default(), None, Place::FIRST);
            (self.first, self.live) = (0, 0);
            runs.into_iter().flatten().for_each(|run| self.push(automaton, run));
        }
    }
}

/// The run of that number, if it is there; `first`: the number of the first place.
fn run_of(runs: &VecDeque<Option<Run>>, first: u64, number: u64) -> Option<&Run> {
    runs.get(usize::try_from(number.checked_sub(first)?).ok()?)?.as_ref()
}

/// Each once.
fn put_in_order(numbers: &mut Vec<u64>) {
    if !numbers.is_sorted() {
        numbers.sort_unstable();
    }
    numbers.dedup();
}

/// Those of the numbers that are there; `first`: the number of the first place.
fn runs_of(runs: &VecDeque<Option<Run>>, first: u64, numbers: Range<u64>) -> impl Iterator<Item = (u64, &Run)> {
    let place = |number: u64| usize::try_from(number - first).map_or(runs.len(), |place| place.min(runs.len()));
    numbers.clone().zip(runs.range(place(numbers.start)..place(numbers.end))).filter_map(|(number, run)| Some((number, run.as_ref()?)))
}

/// The values that the event has for these equalities, each once: runs that it concerns are filed under these, or cannot be filed. `None`: it may concern any.
fn values_asked_for(hand: &Hand<'_, ()>, equalities: &[&Compared]) -> Option<SmallVec<[u64; 2]>> {
    let mut values = SmallVec::new();
    for compared in equalities {
        match hand.ask_compared(compared, Hashed::of) {
            Hashed::EqualToNothing => {}
            Hashed::At(hash) => values.push(hash),
            Hashed::Unknown => return None,
        }
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// And those that differ behind the point are mostly not: else all shares and rates below one would be looked at for each event.
    #[test]
    fn equal_numbers_are_filed_equally() {
        let filed = |text: &str| match Hashed::of(&Value::Decimal(text.parse().expect("a number"))) {
            Hashed::At(hash) => hash,
            Hashed::EqualToNothing | Hashed::Unknown => panic!("a decimal has a hash"),
        };
        let alike = [
            ["5", "5.0", "5.000"],
            ["-0.5", "-0.50", "-00.5"],
            ["0", "-0", "0.00"],
            ["99999999999999999999", "99999999999999999999.0", "99999999999999999999.00"],
        ];
        for same in alike {
            assert!(same.iter().all(|text| filed(text) == filed(same[0])), "{same:?}");
        }
        assert_eq!(filed("5.00"), 5);
        let different: std::collections::BTreeSet<u64> = (0..1_000).map(|number| filed(&format!("0.{number:03}1"))).collect();
        assert_eq!(different.len(), 1_000);
    }
}
