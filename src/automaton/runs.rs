//! The runs of one pattern and key: the partial matches that are alive, stepped by events and by time.

use smallvec::SmallVec;

use crate::automaton::aside::{Aside, Own};
use crate::automaton::chain::Chain;
use crate::automaton::class::Class;
use crate::automaton::deadline::Due;
use crate::automaton::moves::{Hand, Passed, Yield};
use crate::automaton::skip::{Floor, Instant, deliver};
use crate::automaton::watch::Watch;
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, PlainStart, StandId};
use crate::automaton::{Decided, DecidedBy};
use crate::event::{EventTime, SharedEvent};
use crate::pattern::{ConditionId, Moment, Pattern};

/// What bounds the state of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Runs that one key of one pattern may hold, unless the pattern says so itself. Above it those that start first are dropped and counted. Where they are kept
    /// together, that is so only where there are also more than 64 sets for each: see `shared/compact`.
    pub runs_max: u64,
    /// Matches of one key and pattern that one event or deadline may hand out. Where there are more none is, and nothing is removed for them; this counts as one that was
    /// dropped.
    pub matches_max: u64,
    /// Runs that a key may hold one by one; where there are more, and the pattern allows it, they are kept together from then on.
    pub runs_alone_max: usize,
}

impl Limits {
    /// Runs that one key of the pattern may hold.
    pub fn runs_of(&self, pattern: &Pattern) -> usize {
        usize::try_from(pattern.runs_max.unwrap_or(self.runs_max)).unwrap_or(usize::MAX)
    }
}

/// Patterns that are kept together: some of them, a bit each.
pub type Members = u16;

/// The first so many of them, at least one.
pub fn members(patterns: u8) -> Members {
    Members::MAX >> (Members::BITS - u32::from(patterns))
}

/// One partial match. It stands where the node has put it that took its last event, or there with some ways less; only where it has come to differ from that does it say so itself.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) chain: Chain,
    /// The least deadline of its ways; the end of time if they have none.
    pub(super) deadline: EventTime,
    /// Its own side of the comparison that it waits for ([`Run::waits_for`]), and what differs from `stand`.
    pub(super) aside: Aside,
    pub(super) stand: StandId,
    /// No event of the key has come since the last one chosen. Noted only where the pattern asks for it.
    pub(super) fresh: bool,
    /// Came out as a match: never again, nor as a timeout.
    pub(super) matched: bool,
    /// Came out as a timeout, or would have if the pattern asked for it: never again, nor as a match. (One way to the choice may run out of time
    /// while another still waits for an absence.)
    pub(super) timed_out: bool,
    /// Of how many patterns it is a run that are kept together ([`Run::is_of`]): at least 1.
    pub(super) patterns: u8,
}

/// How a run stands with the `without`s, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks {
    /// Those whose first end has been chosen.
    pub inside: u64,
    /// Those that forbid their second end from now on.
    pub broken: u64,
}

impl Run {
    /// When time next decides or removes something of it; the end of time: only events do.
    pub fn deadline(&self) -> EventTime {
        self.deadline
    }

    /// As a run of so many patterns that are kept together, as many as [`Members`] has bits at most.
    #[must_use]
    pub fn of_first(self, patterns: u8) -> Self {
        Self { patterns, ..self }
    }

    /// Whether it is a run of that one of them, counted from 0.
    pub fn is_of(&self, pattern: usize) -> bool {
        pattern < usize::from(self.patterns)
    }

    /// A bit for each of them.
    pub fn patterns(&self) -> Members {
        members(self.patterns)
    }

    pub fn first_event(&self) -> &SharedEvent {
        self.chain.first()
    }

    /// Whether both stand at the same place after the same events.
    pub fn chose_the_same(&self, other: &Self) -> bool {
        let places = |run: &Self| run.chain.chosen(0).into_iter().map(|(step, event)| (step, event.place())).collect::<Vec<_>>();
        self.stand == other.stand && places(self) == places(other)
    }

    /// Whether the first field of its last event is null.
    pub fn first_is_null(&self) -> bool {
        self.chain.event().first_is_null()
    }

    pub(super) fn ways<'a>(&'a self, automaton: &'a Automaton) -> &'a WaySet {
        self.aside.own().map_or(&automaton.stand(self.stand).ways, |own| &own.ways)
    }

    /// An event whose class does not meet this changes nothing.
    pub(super) fn awaited(&self, automaton: &Automaton) -> Class {
        self.waits_for(automaton).0
    }

    /// The same, and the condition that it has a register for.
    #[inline]
    pub(super) fn waits_for(&self, automaton: &Automaton) -> (Class, Option<ConditionId>) {
        match self.aside.own() {
            Some(own) => (own.awaited, own.compares),
            None => {
                let stand = automaton.stand(self.stand);
                (stand.awaited, stand.register)
            }
        }
    }

    pub(super) fn marks(&self) -> Marks {
        self.aside.own().map_or_else(Marks::default, |own| own.marks)
    }

    pub(super) fn mark(&mut self, automaton: &Automaton, marks: Marks) {
        if marks != self.marks() {
            self.own(automaton).marks = marks;
        }
    }

    /// It has only these of its ways from now on.
    pub(super) fn set_ways(&mut self, automaton: &Automaton, ways: WaySet) {
        let before = automaton.stand(self.stand);
        match automaton.stand_with(before.node, &ways).filter(|_| self.aside.own().is_none()) {
            None => self.own(automaton).ways = ways,
            Some(stand) => {
                let register = automaton.stand(stand).register;
                // (Those that are found by their registers never come here: they have one way, and lose it last.)
                if register != before.register {
                    self.aside = register.map_or(Aside::Nothing, |_| Aside::Later);
                }
                self.stand = stand;
            }
        }
    }

    fn own(&mut self, automaton: &Automaton) -> &mut Own {
        if self.aside.own().is_none() {
            let stand = automaton.stand(self.stand);
            let register = std::mem::replace(&mut self.aside, Aside::Nothing);
            self.aside = Aside::Own(Box::new(Own { register, ..Own::of_stand(stand) }));
        }
        let Aside::Own(own) = &mut self.aside else { unreachable!("it has just been made") };
        own
    }
}

impl Automaton {
    /// Of a run that begins to wait for what fits the condition.
    #[inline]
    pub(super) fn first_register(&self, condition: Option<ConditionId>, chain: &Chain, moment: Moment<'_>) -> Aside {
        match condition.and_then(|condition| self.fit(condition).compared()) {
            None => Aside::Nothing,
            Some(compared) if compared.calculates() && self.asks_registers_late => Aside::Later,
            Some(compared) => compared.register(&self.recall(chain), moment),
        }
    }

    /// As a run is that stands there. `own`: what differs from that; marks are the caller's.
    pub(super) fn run_at(&self, id: StandId, chain: Chain, own: Option<Box<Own>>, moment: Moment<'_>) -> Run {
        let stand = self.stand(id);
        let (ways, compares) = own.as_ref().map_or((&stand.ways, stand.register), |own| (&own.ways, own.compares));
        let deadline = self.deadline(ways, chain.start_time(), chain.event().time);
        let register = self.first_register(compares, &chain, moment);
        let aside = match own {
            None => register,
            Some(mut own) => {
                own.register = register;
                Aside::Own(own)
            }
        };
        Run { chain, deadline, aside, stand: id, fresh: self.asks_fresh, matched: false, timed_out: false, patterns: 1 }
    }
}

impl PlainStart {
    /// The run that the event begins. The automaton, whose start it is, is only looked at where the run has a register.
    #[inline]
    pub fn begin(self, automaton: &Automaton, event: &SharedEvent, moment: Moment<'_>) -> Run {
        let chain = Chain::First(self.step, event.clone());
        let aside = automaton.first_register(self.register, &chain, moment);
        self.run(chain, self.deadline(event.time), aside)
    }

    /// Of the run that an event of this time begins; the end of time: it has none.
    #[inline]
    pub fn deadline(self, begun: EventTime) -> EventTime {
        self.lasts.map_or(EventTime::END, |lasts| begun.plus(lasts))
    }

    /// The run that the event has begun, which nothing has come to since. Of a start that is [told by its event](PlainStart::is_told_by_its_event).
    pub fn begun(self, event: SharedEvent) -> Run {
        let deadline = self.deadline(event.time);
        self.run(Chain::First(self.step, event), deadline, Aside::Nothing)
    }

    fn run(self, chain: Chain, deadline: EventTime, aside: Aside) -> Run {
        Run { chain, deadline, aside, stand: StandId(self.node.0), fresh: self.fresh, matched: false, timed_out: false, patterns: 1 }
    }
}

/// All runs of one pattern and key. Where there is none, nothing needs to be kept.
#[derive(Clone, Debug)]
pub struct Runs {
    /// In an order that the events alone decide. Most keys have one.
    pub(super) alive: SmallVec<[Run; 1]>,
    /// The least deadline of all.
    pub(super) next: EventTime,
    /// What some of them waits for.
    pub(super) awaited: Class,
    pub(super) dropped: u64,
}

/// An event that comes in a line.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub event: &'a SharedEvent,
    /// For the automaton at hand: see [`Automaton::class_of`].
    pub class: Class,
    pub moment: Moment<'a>,
}

/// What stepping brings out, and memory that it uses again.
#[derive(Debug, Default)]
pub struct Stepped {
    /// In the order of delivery; for the caller to take out.
    pub decided: Vec<Decided>,
    /// Empty between two steps.
    pub(super) events: Yield,
    pub(super) due: Due,
}

/// Runs of one pattern and key, wherever they lie.
pub trait RunList {
    /// The least deadline of all; the end of time: there is none.
    fn next_deadline(&self) -> EventTime;
    /// Asks in their order, and lets go of those for which the answer is no.
    fn retain(&mut self, keep: impl FnMut(&mut Run) -> bool);
    /// Behind the others.
    fn add(&mut self, born: impl ExactSizeIterator<Item = Run>);
}

impl RunList for SmallVec<[Run; 1]> {
    fn next_deadline(&self) -> EventTime {
        self.iter().fold(EventTime::END, |least, run| least.min(run.deadline))
    }

    fn retain(&mut self, keep: impl FnMut(&mut Run) -> bool) {
        SmallVec::retain(self, keep);
    }

    fn add(&mut self, born: impl ExactSizeIterator<Item = Run>) {
        self.extend(born);
    }
}

impl Stepped {
    /// What the event at hand does to runs, if it `comes_by` them, and what it begins beside them. Whatever it completes is added to what was decided, in the order of delivery. True if there
    /// was something. The limit on runs is the caller's affair.
    pub(super) fn advance<W: Watch + ?Sized>(
        &mut self,
        limits: &Limits,
        hand: &Hand<'_, W>,
        comes_by: bool,
        runs: &mut impl RunList,
        dropped: &mut u64,
    ) -> bool {
        let out = &mut self.events;
        if comes_by {
            runs.retain(|run| {
                let born_before = out.born.len();
                let passed = hand.come_by(run, out);
                // A run that moves on keeps its place, so that the order by start lasts where each run has one successor.
                if passed == Passed::Over && out.born.len() > born_before {
                    *run = out.born.swap_remove(born_before);
                    return true;
                }
                passed != Passed::Over
            });
        }
        hand.begin(out);
        if !out.born.is_empty() {
            runs.add(out.born.drain(..));
        }
        let came_out = !out.complete.is_empty();
        if came_out && let Some(floor) = self.deliver(hand.automaton(), limits, hand.time(), dropped) {
            runs.retain(|run| floor.spares_run(run));
        }
        came_out
    }

    /// Delivers what the event of that time has completed, of a key that has dropped so much before. Returns the floor that this has raised.
    pub(super) fn deliver(&mut self, automaton: &Automaton, limits: &Limits, at: EventTime, dropped: &mut u64) -> Option<Floor> {
        let Self { decided, events: Yield { complete, .. }, .. } = self;
        let instant = Instant { at, by: DecidedBy::Event, runs_dropped: *dropped, matches_max: limits.matches_max };
        let delivered = deliver(automaton, &instant, complete, decided);
        *dropped += u64::from(delivered.is_err());
        complete.clear();
        delivered.unwrap_or(None)
    }
}

impl Default for Runs {
    fn default() -> Self {
        Self { alive: SmallVec::new(), next: EventTime::END, awaited: Class::EMPTY, dropped: 0 }
    }
}

impl Runs {
    /// The event comes in the key's line. Whatever it completes is added to what was decided, in the order of delivery.
    ///
    /// Deadlines at or before its time have been expired before. Cost: one look at each run.
    pub fn advance(&mut self, automaton: &Automaton, limits: &Limits, arrival: Arrival<'_>, stepped: &mut Stepped) {
        self.advance_watched(automaton, limits, arrival, stepped, &());
    }

    /// The same, watched.
    pub fn advance_watched<W: Watch + ?Sized>(&mut self, automaton: &Automaton, limits: &Limits, arrival: Arrival<'_>, stepped: &mut Stepped, watch: &W) {
        let Arrival { event, class, moment } = arrival;
        assert!(event.time < self.next || self.next == EventTime::END, "deadlines at an instant come before its events");
        let comes_by = class.meets(self.awaited) || watch.watches();
        let before = self.alive.len();
        let hand = Hand::new(automaton, event, class, moment, watch);
        let came_out = stepped.advance(limits, &hand, comes_by, &mut self.alive, &mut self.dropped);
        self.hold_to(automaton, limits.runs_of(&automaton.pattern));
        if comes_by || came_out || self.alive.is_empty() {
            self.look_over(automaton);
        } else {
            for run in self.alive.get(before..).unwrap_or_default() {
                self.next = self.next.min(run.deadline);
                self.awaited = self.awaited.with(run.awaited(automaton));
            }
        }
    }

    /// When time next decides or removes something; `None` if only events can.
    pub fn next_deadline(&self) -> Option<EventTime> {
        (self.next < EventTime::END).then_some(self.next)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.alive.clear();
        self.next = EventTime::END;
        self.awaited = Class::EMPTY;
        self.dropped = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// How many were dropped for the limit, and at how many instants more came out than may be handed out. Forgotten with the key, once it holds no run.
    pub fn runs_dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds runs that lay elsewhere, before those that are there.
    pub(super) fn put_before(&mut self, automaton: &Automaton, runs: impl IntoIterator<Item = Run>) {
        if self.alive.is_empty() {
            self.alive.extend(runs);
        } else {
            self.alive.insert_many(0, runs);
        }
        self.look_over(automaton);
    }

    /// Finds the least deadline and what is awaited again.
    pub(super) fn look_over(&mut self, automaton: &Automaton) {
        let all = self.alive.iter();
        (self.next, self.awaited) =
            all.fold((EventTime::END, Class::EMPTY), |(next, awaited), run| (next.min(run.deadline), awaited.with(run.awaited(automaton))));
    }

    /// Drops what starts first until no more than `most` are left; of those that start together, what is older in the list.
    pub(super) fn hold_to(&mut self, automaton: &Automaton, most: usize) {
        let Some(surplus) = self.alive.len().checked_sub(most).filter(|surplus| *surplus > 0) else { return };
        let mut starts: Vec<_> = self.alive.iter().zip(0_usize..).map(|(run, index)| (run.chain.start(), index)).collect();
        let (_, last, _) = starts.select_nth_unstable(surplus - 1);
        let last = *last;
        let mut index = 0;
        self.alive.retain(|run| {
            let dropped = (run.chain.start(), index) <= last;
            index += 1;
            !dropped
        });
        self.dropped += surplus as u64;
        self.look_over(automaton);
    }
}
