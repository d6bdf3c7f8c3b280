//! Many runs of one pattern and key, found by the value that they wait for.
//!
//! Where a step must equal something of an earlier one (`b.user == a.user`), or be more or less than it (`b.amount > 10 * a.amount`), an event concerns few of the runs that wait for it. Those that
//! hold its value are filed by where they stand and by value, and an event costs a look at these, however many wait for others. All others lie in *stretches* of neighbours, and of each it is known
//! what its runs ask for at least: where an event has less, it costs one look at the stretch ([`Bounds`]). What steps a run is the same as for any; only the finding differs.
//!
//! What must not come (`not paid where id == order.id for 10m`) is found by the same value; so is what closes the wait for a step where it asks for the same of the run.
//!
//! This is for patterns whose steps follow each other one by one: a run has one way then, and one successor, which takes its place; their order is that of their starts. So a limit, or a match that
//! others may not overlap, removes the first. Time removes those whose [turn](deadlines) it is.
//!
//! Invariants: a run is filed once, under what [`Filed::of`] says of it, or noted in the bounds of where it stands; the first place holds a run, if there is any; the next deadline is one of a
//! run; the bytes are those of [`Runs`] with the same runs.
//!
//! The idea is that of a symmetric hash join (A. Wilschut, P. Apers, 1991), one side of which is a partial match; that of the stretches is
//! that of small materialized aggregates (G. Moerkotte, VLDB 1998), the zone maps of column stores.

mod bounds;
mod deadlines;
mod numbers;

use std::collections::VecDeque;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::automaton::by_value::bounds::Bounds;
use crate::automaton::by_value::deadlines::Deadlines;
use crate::automaton::by_value::numbers::Numbers;
use crate::automaton::class::{Class, Fit};
use crate::automaton::deadline::expire_run;
use crate::automaton::moves::{Hand, Passed};
use crate::automaton::runs::{Arrival, Limits, Run, Runs, Stepped};
use crate::automaton::skip::Floor;
use crate::automaton::snapshot::encode;
use crate::automaton::ways::{Automaton, Stand, StandId};
use crate::event::{EventTime, Lookup, Value};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ByValue {
    /// In the order of their starts; `None`: gone.
    runs: VecDeque<Option<Run>>,
    /// The number of the first of them.
    first: u64,
    live: usize,
    /// Runs that wait for something to be equal.
    filed: Lookup<Filed, Numbers>,
    /// Of the others, by where they stand.
    bounds: Vec<Bounds>,
    /// How many, by where they stand.
    standing: Vec<usize>,
    deadlines: Deadlines,
    dropped: u64,
    /// The runs that the event or the instant at hand may concern: memory that is used again.
    concerned: Vec<u64>,
}

/// Under what a run is filed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Filed {
    stand: StandId,
    /// `None`: it waits for a value that cannot be filed.
    value: Option<u64>,
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

impl Filed {
    /// `None`: it does not wait for something to be equal.
    fn of(automaton: &Automaton, run: &Run) -> Option<Self> {
        automaton.compared_at(run.stand).filter(|compared| compared.is_equality())?;
        let value = match run.aside.ask(Hashed::of) {
            Hashed::At(hash) => Some(hash),
            Hashed::EqualToNothing => Some(NULL),
            Hashed::Unknown => None,
        };
        Some(Self { stand: run.stand, value })
    }
}

impl ByValue {
    /// The runs of a pattern with a value to be found by. `None` where they do not stand in the order of their starts.
    pub fn of_runs(runs: &Runs, automaton: &Automaton) -> Option<Self> {
        if !runs.alive.is_sorted_by_key(|run| run.chain.start()) {
            return None;
        }
        let mut by_value = Self {
            runs: VecDeque::with_capacity(2 * runs.alive.len()),
            first: 0,
            live: 0,
            filed: Lookup::default(),
            bounds: vec![Bounds::default(); automaton.stands.len()],
            standing: vec![0; automaton.stands.len()],
            deadlines: Deadlines::default(),
            dropped: runs.dropped,
            concerned: Vec::new(),
        };
        runs.alive.iter().for_each(|run| by_value.push(automaton, run.clone()));
        Some(by_value)
    }

    /// As [`Runs::advance`].
    pub fn advance(&mut self, automaton: &Automaton, limits: &Limits, arrival: Arrival<'_>, stepped: &mut Stepped) {
        let Arrival { event, class, moment } = arrival;
        let hand = Hand::new(automaton, event, class, moment, &());
        let out = &mut stepped.events;
        self.find_concerned(automaton, &hand);
        // In any order: what comes out is put in order by its starts, of which each run has its own.
        let concerned = std::mem::take(&mut self.concerned);
        for number in &concerned {
            let place = self.place(*number);
            let run = self.runs[place].as_mut().expect("what is filed is there");
            let (before, deadline) = ((run.stand, Filed::of(automaton, run)), run.deadline);
            let born_before = out.born.len();
            if hand.come_by(run, out) == Passed::On {
                continue;
            }
            let successor = (out.born.len() > born_before).then(|| out.born.swap_remove(born_before));
            self.unfile(*number, before);
            if let Some(run) = &successor {
                self.file(automaton, *number, run);
                if run.deadline != deadline {
                    self.deadlines.add(run.deadline, *number);
                }
            }
            self.runs[place] = successor;
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
        for number in &due {
            let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
            let Some((place, run)) = place.and_then(|place| Some((place, self.runs.get_mut(place)?.as_mut()?))) else { continue };
            if run.deadline <= instant && run.deadline < EventTime::END {
                let goes_on = expire_run(automaton, run, run.deadline, &mut stepped.due, &());
                assert!(!goes_on, "a run that has one way is over when the time of that is up");
                self.remove(automaton, place);
            }
        }
        self.concerned = due;
        if let Some(floor) = stepped.deliver_due(automaton, limits, &mut self.dropped) {
            self.remove_below(automaton, floor);
        }
        self.trim();
        if instant == EventTime::END {
            while self.live > 0 {
                self.remove_first(automaton);
            }
            self.trim();
        }
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        self.deadlines.next()
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

    fn find_concerned(&mut self, automaton: &Automaton, hand: &Hand<'_, ()>) {
        let Self { runs, first, filed, bounds, standing, concerned, .. } = self;
        concerned.clear();
        for (id, bounds) in (0..).map(StandId).zip(bounds) {
            let stand = automaton.stand(id);
            if standing[id.0 as usize] == 0 || !hand.class().meets(stand.awaited) {
                continue;
            }
            if stand.equal_to_register.is_empty() {
                let fit = stand.register.map(|condition| automaton.fit(condition));
                let decides = fit.is_some_and(|fit| hand.class().meets_only_in(stand.awaited, fit.bit));
                bounds.find(hand, (fit.and_then(Fit::compared), decides), (runs, *first), id, concerned);
                continue;
            }
            match values_met(automaton, hand, stand) {
                Some(values) => {
                    let met = values.into_iter().map(Some).chain([None]).filter_map(|value| filed.get(&Filed { stand: id, value }));
                    met.for_each(|numbers| numbers.add_to(concerned));
                }
                None => {
                    let all = (*first..).zip(runs.iter()).filter_map(|(number, run)| Some((number, run.as_ref()?)));
                    concerned.extend(all.filter(|(_, run)| run.stand == id).map(|(number, _)| number));
                }
            }
        }
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("as many runs as memory holds")
    }

    fn push(&mut self, automaton: &Automaton, run: Run) {
        let number = self.first + self.runs.len() as u64;
        self.file(automaton, number, &run);
        self.deadlines.add(run.deadline, number);
        self.runs.push_back(Some(run));
    }

    fn file(&mut self, automaton: &Automaton, number: u64, run: &Run) {
        self.live += 1;
        let stand = run.stand.0 as usize;
        self.standing[stand] += 1;
        let Some(filed) = Filed::of(automaton, run) else {
            return self.bounds[stand].note(number, automaton.compared_at(run.stand), &run.aside);
        };
        match self.filed.get_mut(&filed) {
            Some(numbers) => numbers.insert(number),
            None => drop(self.filed.insert(filed, Numbers::of(number))),
        }
    }

    fn unfile(&mut self, number: u64, (stand, filed): (StandId, Option<Filed>)) {
        self.live -= 1;
        self.standing[stand.0 as usize] -= 1;
        let Some(filed) = filed else { return };
        let numbers = self.filed.get_mut(&filed).expect("each run is filed");
        numbers.remove(number);
        if numbers.is_empty() {
            self.filed.remove(&filed);
        }
    }

    /// What is at that place, if it is a run.
    fn remove(&mut self, automaton: &Automaton, place: usize) {
        if let Some(run) = self.runs[place].take() {
            self.unfile(self.first + place as u64, (run.stand, Filed::of(automaton, &run)));
        }
    }

    fn remove_first(&mut self, automaton: &Automaton) {
        self.trim();
        self.remove(automaton, 0);
    }

    /// Those that start below the floor are the first.
    fn remove_below(&mut self, automaton: &Automaton, floor: Floor) {
        self.trim();
        while self.runs.front().and_then(Option::as_ref).is_some_and(|first| !floor.spares_run(first)) {
            self.remove_first(automaton);
            self.trim();
        }
    }

    /// The first place is that of a run, and the next deadline as well.
    fn trim(&mut self) {
        let before = self.first;
        while self.runs.front().is_some_and(Option::is_none) {
            self.runs.pop_front();
            self.first += 1;
        }
        if self.first > before {
            self.bounds.iter_mut().for_each(|bounds| bounds.trim(self.first));
        }
        let Self { deadlines, runs, first, .. } = self;
        let run_of = |number: u64| runs.get(usize::try_from(number.checked_sub(*first)?).ok()?)?.as_ref();
        deadlines.trim(|deadline, number| run_of(number).is_some_and(|run| run.deadline == deadline));
    }

    /// What is gone takes no more memory than what is there, and a little.
    fn make_dense(&mut self, automaton: &Automaton) {
        if self.runs.len().max(self.deadlines.len()) > 64 + 2 * self.live {
            let runs = std::mem::take(&mut self.runs);
            self.filed = Lookup::default();
            self.bounds.fill(Bounds::default());
            self.standing.fill(0);
            self.deadlines = Deadlines::default();
            (self.first, self.live) = (0, 0);
            runs.into_iter().flatten().for_each(|run| self.push(automaton, run));
        }
    }
}

/// Under which values those are filed that the event may concern, each once, of runs that stand there and wait for something to be equal; beside these it may concern all that cannot be filed. `None`:
/// it may concern any.
fn values_met(automaton: &Automaton, hand: &Hand<'_, ()>, stand: &Stand) -> Option<SmallVec<[u64; 2]>> {
    let met = || stand.equal_to_register.iter().map(|condition| automaton.fit(*condition)).filter(|fit| hand.class().meets(fit.bit));
    if !hand.class().meets_only_in(stand.awaited, met().map(|fit| fit.bit).fold(Class::EMPTY, Class::with)) {
        return None;
    }
    let mut values = SmallVec::new();
    for equality in met().filter_map(Fit::compared) {
        match hand.ask_compared(equality, Hashed::of) {
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
