//! What time does to runs: ways expire, absences are decided, partial matches time out.
//!
//! A way's deadline is, to acceptance with absences, the latest of theirs (the event before + `for`, or the first event + `within`); else the
//! earlier of first event + `within` and the event before + the way's gap. Instants are decided one by one, matches before timeouts.

use crate::automaton::runs::{Limits, Run, RunList, Runs, Stepped};
use crate::automaton::skip::{Complete, Floor, Instant, deliver, deliver_timeouts};
use crate::automaton::watch::{Deadline, Watch};
use crate::automaton::way_set::WaySet;
use crate::automaton::ways::{Automaton, Way};
use crate::automaton::{DecidedBy, DecidedKind};
use crate::event::{EventTime, TimeSpan};
use crate::pattern::OnTimeout;

/// What comes out because time is up.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// When, and as what: timeouts only where the pattern asks for them.
    waiting: Vec<(EventTime, DecidedKind, Complete)>,
    /// Of one instant; empty between two steps.
    complete: Vec<Complete>,
    timed_out: Vec<Complete>,
}

impl Automaton {
    /// The least deadline of the ways, given the times of the first and the last event chosen; the end of time if they have none.
    pub(super) fn deadline(&self, ways: &WaySet, first: EventTime, last: EventTime) -> EventTime {
        if self.timing.only_within {
            return after(first, self.pattern.within);
        }
        let mut least = EventTime::END;
        ways.for_each(|way| least = least.min(self.way_deadline(self.way(way), first, last)));
        least
    }

    /// Which deadline the way has missed, or waited for.
    fn tell<W: Watch + ?Sized>(&self, way: &Way, first: EventTime, last: EventTime, watch: &W) {
        let demand = self.demand(way.demand);
        match (way.from, way.to) {
            (Some(from), Some(to)) => match demand.gap.filter(|gap| last.plus(*gap) <= after(first, self.pattern.within)) {
                Some(span) => watch.ran_out(Deadline::Gap { from: self.node(from).step, to: self.node(to).step, span }),
                None => watch.ran_out(Deadline::Within),
            },
            (_, None) => demand.no.iter().for_each(|none_of| watch.ran_out(Deadline::Absence(none_of.condition))),
            (None, Some(_)) => {}
        }
    }

    fn way_deadline(&self, way: &Way, first: EventTime, last: EventTime) -> EventTime {
        let demand = self.demand(way.demand);
        let window = after(first, self.pattern.within);
        let absences = demand.no.iter().map(|none_of| if none_of.hold.is_some() { after(last, none_of.hold) } else { window });
        match absences.max().filter(|_| way.to.is_none()) {
            Some(latest) => latest,
            None => window.min(after(last, demand.gap)),
        }
    }
}

/// The end of time if nothing is said.
fn after(time: EventTime, span: Option<TimeSpan>) -> EventTime {
    span.map_or(EventTime::END, |span| time.plus(span))
}

impl Runs {
    /// Decides all deadlines at or before `instant`, in their order; what comes out is added to what was decided. At the end of time nothing is left.
    pub fn expire(&mut self, automaton: &Automaton, limits: &Limits, instant: EventTime, stepped: &mut Stepped) {
        self.expire_watched(automaton, limits, instant, stepped, &());
    }

    /// The same, watched.
    pub fn expire_watched<W: Watch + ?Sized>(&mut self, automaton: &Automaton, limits: &Limits, instant: EventTime, stepped: &mut Stepped, watch: &W) {
        if self.next <= instant {
            stepped.expire(automaton, limits, instant, &mut self.alive, &mut self.dropped, watch);
            self.look_over(automaton);
        }
    }
}

impl Stepped {
    /// The same for runs wherever they lie, of a key that has dropped so much before.
    pub(super) fn expire<W: Watch + ?Sized>(
        &mut self,
        automaton: &Automaton,
        limits: &Limits,
        instant: EventTime,
        runs: &mut impl RunList,
        dropped: &mut u64,
        watch: &W,
    ) {
        loop {
            let next = runs.next_deadline();
            if next > instant || next == EventTime::END {
                break;
            }
            // All instants in one go; whoever watches sees one after the other.
            let until = if automaton.timing.decides && watch.watches() { next } else { instant };
            runs.retain(|run| {
                while run.deadline <= until && run.deadline < EventTime::END {
                    let at = if automaton.timing.decides { run.deadline } else { until };
                    if !expire_run(automaton, run, at, &mut self.due, watch) {
                        return false;
                    }
                }
                true
            });
            if let Some(floor) = self.deliver_due(automaton, limits, dropped) {
                runs.retain(|run| floor.spares_run(run));
            }
        }
        if instant == EventTime::END {
            runs.retain(|_| false);
        }
    }

    /// Delivers what comes out because time is up, one instant after the other, of a key that has dropped so much before. Returns the floor that this has raised: what starts below it would not have
    /// been there any more at the instants after, and is left out of them.
    pub(super) fn deliver_due(&mut self, automaton: &Automaton, limits: &Limits, dropped: &mut u64) -> Option<Floor> {
        let Self { decided, due: Due { waiting, complete, timed_out }, .. } = self;
        waiting.sort_by_key(|(at, ..)| *at);
        let mut floor: Option<Floor> = None;
        let mut waiting = waiting.drain(..).peekable();
        while let Some(at) = waiting.peek().map(|(at, ..)| *at) {
            while let Some((_, kind, found)) = waiting.next_if(|(other, ..)| *other == at) {
                match kind {
                    _ if floor.is_some_and(|floor| !floor.spares(found.start)) => {}
                    DecidedKind::Match => complete.push(found),
                    DecidedKind::Timeout => timed_out.push(found),
                }
            }
            let instant = Instant { at, by: DecidedBy::Deadline, runs_dropped: *dropped, matches_max: limits.matches_max };
            let delivered = deliver(automaton, &instant, complete, decided);
            complete.clear();
            let raised = delivered.unwrap_or(None);
            let timeouts = deliver_timeouts(automaton, &instant, raised, timed_out, decided);
            timed_out.clear();
            *dropped += u64::from(delivered.is_err()) + u64::from(timeouts.is_err());
            floor = floor.max(raised);
        }
        floor
    }
}

/// Takes from the run the ways whose time is up; false if none is left.
pub(super) fn expire_run<W: Watch + ?Sized>(automaton: &Automaton, run: &mut Run, at: EventTime, due: &mut Due, watch: &W) -> bool {
    let (first, last) = (run.chain.start_time(), run.chain.event().time);
    let before = run.ways(automaton).clone();
    let mut ways = before.clone();
    let mut absent = false;
    ways.retain(|id| {
        let way = automaton.way(id);
        let stays = automaton.way_deadline(way, first, last) > at;
        if !stays {
            automaton.tell(way, first, last, watch);
            absent |= way.to.is_none();
        }
        stays
    });
    if absent {
        ways.retain(|way| automaton.way(way).to.is_some());
    }
    let complete = || Complete::of(run.chain.clone());
    let came_out = run.matched || run.timed_out;
    if absent && !came_out {
        due.waiting.push((at, DecidedKind::Match, complete()));
    }
    // A node that time has left without a way: what was chosen by way of it has run out of time, even where other nodes go on.
    let from = |way| automaton.way(way).from;
    let node_is_out = || before.any(|gone| !ways.any(|way| way == gone || from(way) == from(gone)));
    if !absent && !came_out && node_is_out() {
        if !matches!(automaton.pattern.on_timeout, OnTimeout::Silent) {
            due.waiting.push((at, DecidedKind::Timeout, complete()));
        }
        run.timed_out = true;
    }
    run.matched |= absent;
    if ways.is_empty() {
        return false;
    }
    run.deadline = automaton.deadline(&ways, first, last);
    run.set_ways(automaton, ways);
    true
}
