//! When keys are to be looked at again: what is noted is a number, given out once time has reached its instant.
//!
//! Numbers lie in *spans* of 17 s, and those of the span that time is in in *buckets* of 65 ms; only the bucket that time is in is put in order. So setting a timer
//! costs a push, mostly: deadlines come as events do, so those of one window are of the span that the one before was of. And no timer costs more however many there are.
//! Which of those due comes first does not matter: keys share nothing, and what their deadlines bring out is put in order later.
//!
//! A number is all that is kept: whoever has set a timer knows its instant, and is asked for it (`when`) as time comes near. A number whose instant is another by then is
//! *stale*, and passed over: the timer that was set for that instant is noted where it belongs. One that is given out may be stale too.
//!
//! The idea is that of a calendar queue (R. Brown, CACM 31(10), 1988), with the calendar in a tree.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;

use crate::event::EventTime;

/// Instants of a bucket share all but so many low bits.
const BUCKET_BITS: u32 = 16;

const LOW_BITS: i64 = (1 << BUCKET_BITS) - 1;

/// And those of a span.
const SPAN_BITS: u32 = 24;

const BUCKETS: usize = 1 << (SPAN_BITS - BUCKET_BITS);

/// So many may be noted without asking which of them are stale.
const STALE_MAX: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Timers {
    /// By span, later than `span`; some more than once.
    far: BTreeMap<i64, Vec<u32>>,
    /// More of them, by what is left of the span when divided: of those spans that numbers were noted for last.
    filling: [Filling; FILLING],
    /// How many all these are together.
    far_len: usize,
    /// The span that time is in.
    span: i64,
    /// Its buckets, those after `bucket`; made once time is in some span.
    near: Box<[Vec<u32>]>,
    /// Those of them in which something is, a bit each.
    filled: [u64; BUCKETS / 64],
    /// Numbers of that span that have not come into its buckets yet; none of those is opened before.
    opening: Vec<u32>,
    /// The bucket that time is in.
    bucket: i64,
    /// Of that bucket, the latest first.
    opened: Vec<Opened>,
    /// Set for that bucket since it was opened, or for one before it.
    soon: BinaryHeap<Reverse<(EventTime, u32)>>,
    /// All due: the rest of what time has passed.
    due: Vec<u32>,
    /// The last span that was [swept](Timers::sweep), and how many may be looked at to sweep on.
    swept: i64,
    credit: usize,
}

/// A number of the bucket that time is in, and how far into it: in one word, which is put in order in half the time that a pair takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Opened(u64);

impl Opened {
    fn of(instant: EventTime, number: u32) -> Self {
        Self((instant.micros() & LOW_BITS).cast_unsigned() << u32::BITS | u64::from(number))
    }

    fn number(self) -> u32 {
        self.0 as u32
    }

    fn instant(self, bucket: i64) -> EventTime {
        EventTime::from_micros(bucket << BUCKET_BITS | (self.0 >> u32::BITS).cast_signed())
    }
}

/// So many spans are filled at a time: windows of different lengths have different ones.
const FILLING: usize = 8;

/// Numbers of a span that have not been put with those that it has already.
#[derive(Debug, Default)]
struct Filling {
    span: i64,
    numbers: Vec<u32>,
}

impl Filling {
    fn empty_into(&mut self, far: &mut BTreeMap<i64, Vec<u32>>) {
        if !self.numbers.is_empty() {
            match far.entry(self.span) {
                Entry::Vacant(vacant) => drop(vacant.insert(std::mem::take(&mut self.numbers))),
                Entry::Occupied(mut known) => known.get_mut().append(&mut self.numbers),
            }
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            far: BTreeMap::new(),
            filling: std::array::from_fn(|_| Filling::default()),
            far_len: 0,
            span: i64::MIN,
            near: Box::default(),
            filled: [0; BUCKETS / 64],
            opening: Vec::new(),
            bucket: i64::MIN,
            opened: Vec::new(),
            soon: BinaryHeap::new(),
            due: Vec::new(),
            swept: i64::MIN,
            credit: 0,
        }
    }
}

impl Timers {
    pub(super) fn set(&mut self, instant: EventTime, number: u32) {
        let span = span_of(instant);
        if span > self.span {
            let filling = &mut self.filling[span as usize % FILLING];
            if filling.span != span {
                filling.empty_into(&mut self.far);
                filling.span = span;
            }
            filling.numbers.push(number);
            self.far_len += 1;
            self.credit += 2;
        } else if bucket_of(instant) > self.bucket {
            self.note_near(bucket_of(instant), number);
        } else {
            self.soon.push(Reverse((instant, number)));
        }
    }

    /// Takes out one that is due at the instant, or stale. What it looks at is taken off `looks`; where none are left there may be more that are due. (Those of the bucket that the
    /// instant is in are all looked at together.)
    pub(super) fn next_due(&mut self, instant: EventTime, looks: &mut usize, when: impl Fn(u32) -> EventTime) -> Option<u32> {
        while *looks > 0 {
            if !self.opening.is_empty() {
                self.fill_buckets(looks, &when);
                continue;
            }
            *looks -= 1;
            if let Some(due) = self.due.pop() {
                return Some(due);
            }
            if self.opened.last().is_some_and(|last| last.instant(self.bucket) <= instant) {
                return self.opened.pop().map(Opened::number);
            }
            if self.soon.peek().is_some_and(|Reverse((at, _))| *at <= instant) {
                return self.soon.pop().map(|Reverse((_, number))| number);
            }
            // A bucket is opened once the one before it is through, and a span likewise.
            if !self.opened.is_empty() || !self.soon.is_empty() || !(self.open_bucket(instant, looks, &when) || self.open_span(instant)) {
                return None;
            }
        }
        None
    }

    /// No timer is before it; the end of time: there is none. It may be as long before the first as a span lasts.
    pub(super) fn none_before(&self) -> EventTime {
        if !self.due.is_empty() {
            return EventTime::BEGINNING;
        }
        let start_of = |number: i64, bits: u32| EventTime::from_micros(number << bits);
        let opened = self.opened.last().map(|last| last.instant(self.bucket));
        let soon = self.soon.peek().map(|Reverse((at, _))| *at);
        let last_bucket = (self.span.saturating_add(1) << (SPAN_BITS - BUCKET_BITS)) - 1;
        let near = if self.near.is_empty() { None } else { self.first_filled(self.bucket + 1, last_bucket) };
        let filling = self.filling.iter().filter(|filling| !filling.numbers.is_empty()).map(|filling| filling.span);
        let far = self.far.first_key_value().map(|(span, _)| *span).into_iter().chain(filling).min();
        let near = near.map(|bucket| start_of(bucket, BUCKET_BITS));
        let opening = (!self.opening.is_empty()).then(|| start_of(self.span, SPAN_BITS));
        [opened, soon, opening, near, far.map(|span| start_of(span, SPAN_BITS))].into_iter().flatten().min().unwrap_or(EventTime::END)
    }

    /// Where more than twice as many are noted as there are `places`, lets go of some of those that are stale; what that costs, those that were set have paid for.
    pub(super) fn sweep(&mut self, places: usize, when: impl Fn(u32) -> EventTime) {
        let most = STALE_MAX.max(2 * places);
        if self.far_len > most {
            self.end_filling();
        }
        while self.far_len > most {
            let next = self.far.range_mut((Bound::Excluded(self.swept), Bound::Unbounded)).next();
            let Some((&span, numbers)) = next else {
                self.swept = i64::MIN;
                continue;
            };
            let before = numbers.len();
            if self.credit < before {
                return;
            }
            self.credit -= before;
            numbers.sort_unstable();
            numbers.dedup();
            numbers.retain(|number| span_of(when(*number)) == span);
            numbers.shrink_to_fit();
            self.far_len -= before - numbers.len();
            self.swept = span;
        }
        self.credit = 0;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let near: usize = self.near.iter().map(Vec::len).sum();
        let filling: usize = self.filling.iter().map(|filling| filling.numbers.len()).sum();
        self.far.values().map(Vec::len).sum::<usize>() + filling + near + self.opening.len() + self.opened.len() + self.soon.len() + self.due.len()
    }

    fn note_near(&mut self, bucket: i64, number: u32) {
        let place = place_in_span(bucket);
        self.near[place].push(number);
        self.filled[place / 64] |= 1 << (place % 64);
    }

    /// The first of these buckets of the span in which something is.
    fn first_filled(&self, from: i64, until: i64) -> Option<i64> {
        let mut bucket = from;
        while bucket <= until {
            let place = place_in_span(bucket);
            let rest = self.filled[place / 64] >> (place % 64);
            if rest != 0 {
                return Some(bucket + i64::from(rest.trailing_zeros())).filter(|found| *found <= until);
            }
            bucket += (64 - place % 64) as i64;
        }
        None
    }

    fn end_filling(&mut self) {
        let Self { far, filling, .. } = self;
        filling.iter_mut().for_each(|filling| filling.empty_into(far));
    }

    /// The next bucket of the span with something in it, up to that of the instant. False if there is none.
    fn open_bucket(&mut self, instant: EventTime, looks: &mut usize, when: impl Fn(u32) -> EventTime) -> bool {
        let last = ((self.span.saturating_add(1)) << (SPAN_BITS - BUCKET_BITS)) - 1;
        let until = bucket_of(instant).min(last);
        if self.near.is_empty() || self.bucket >= until {
            return false;
        }
        let Some(bucket) = self.first_filled(self.bucket + 1, until) else {
            self.bucket = until;
            return false;
        };
        self.bucket = bucket;
        let place = place_in_span(bucket);
        self.filled[place / 64] &= !(1 << (place % 64));
        let numbers = std::mem::take(&mut self.near[place]);
        if bucket < bucket_of(instant) {
            self.due = numbers;
        } else {
            *looks = looks.saturating_sub(numbers.len());
            let instants = numbers.into_iter().map(|number| (when(number), number)).filter(|(at, _)| bucket_of(*at) == bucket);
            self.opened.extend(instants.map(|(at, number)| Opened::of(at, number)));
            self.opened.sort_unstable_by_key(|opened| Reverse(*opened));
        }
        true
    }

    /// The next span with something in it, up to that of the instant; the span that the instant is in, also where it is empty. False if nothing came of it.
    fn open_span(&mut self, instant: EventTime) -> bool {
        let now = span_of(instant);
        if now <= self.span {
            return false;
        }
        self.end_filling();
        if let Some(first) = self.far.first_entry().filter(|first| *first.key() <= now) {
            let (span, numbers) = first.remove_entry();
            self.far_len -= numbers.len();
            if span < now {
                self.due = numbers;
                return true;
            }
            self.opening = numbers;
        }
        if self.near.is_empty() {
            self.near = vec![Vec::new(); BUCKETS].into();
        }
        self.span = now;
        self.bucket = (now << (SPAN_BITS - BUCKET_BITS)) - 1;
        true
    }

    /// Puts numbers of the span that time is in, or was when it was opened, into its buckets.
    fn fill_buckets(&mut self, looks: &mut usize, when: impl Fn(u32) -> EventTime) {
        while *looks > 0
            && let Some(number) = self.opening.pop()
        {
            *looks -= 1;
            let at = when(number);
            if span_of(at) == self.span {
                self.note_near(bucket_of(at), number);
            }
        }
        if self.opening.is_empty() {
            self.opening.shrink_to_fit();
        }
    }
}

/// Whether a timer, which may be the end of time where none is set, is due at the instant.
pub(super) fn is_due(timer: EventTime, instant: EventTime) -> bool {
    timer <= instant && timer < EventTime::END
}

fn bucket_of(instant: EventTime) -> i64 {
    instant.micros() >> BUCKET_BITS
}

fn span_of(instant: EventTime) -> i64 {
    instant.micros() >> SPAN_BITS
}

fn place_in_span(bucket: i64) -> usize {
    (bucket & (BUCKETS as i64 - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few at a time: how many does not matter.
    const LOOKS: usize = 7;

    /// As keys do: who is there, and the instant that is set for it.
    #[derive(Default)]
    struct Owner {
        instants: Vec<EventTime>,
        timers: Timers,
    }

    impl Owner {
        fn set(&mut self, number: u32, at: EventTime) {
            self.instants[number as usize] = at;
            self.timers.set(at, number);
        }

        fn due(&mut self, now: EventTime) -> Vec<u32> {
            let Self { instants, timers } = self;
            let mut came: Vec<u32> = Vec::new();
            let mut are_more = true;
            while are_more {
                let mut looks = LOOKS;
                while let Some(number) = timers.next_due(now, &mut looks, |number| instants[number as usize]) {
                    // One that is stale is due at another time, or was before.
                    if instants[number as usize] <= now {
                        instants[number as usize] = EventTime::END;
                        came.push(number);
                    }
                }
                are_more = looks == 0;
            }
            came.sort_unstable();
            came
        }
    }

    /// Instants near and far, set while time goes on and set again before they are due, come out once each, when they are due and not before.
    #[test]
    fn timers_come_out_when_they_are_due() {
        for step in [4_000, 400_000, 40_000_000] {
            let mut owner = Owner { instants: vec![EventTime::END; 5_000], ..Owner::default() };
            let mut now = -5_000_000_i64;
            for number in 0..5_000_u64 {
                let ahead = |number: u64| EventTime::from_micros(now + 1 + (number * 7_919 % 300_000).cast_signed() * (number % 3).pow(9).cast_signed());
                owner.set(number as u32, ahead(number));
                let other = (number * 13 % 5_000) as u32;
                if owner.instants[other as usize] > ahead(number + 1) && owner.instants[other as usize] < EventTime::END {
                    owner.set(other, ahead(number + 1));
                }
                now += (number * 31 % step).cast_signed();
                let at = EventTime::from_micros(now);
                let due: Vec<u32> = (0..5_000).filter(|number| owner.instants[*number as usize] <= at).collect();
                assert_eq!(owner.due(at), due, "at {now}");
            }
            let left: Vec<u32> = (0..5_000).filter(|number| owner.instants[*number as usize] < EventTime::END).collect();
            assert_eq!(owner.due(EventTime::from_micros(i64::MAX - 1)), left);
            assert!(owner.timers.is_empty());
        }
    }

    /// However often timers are set again, no more are noted than some times the places there are.
    #[test]
    fn stale_timers_do_not_pile_up() {
        const PLACES: u32 = 50_000;
        let mut owner = Owner { instants: vec![EventTime::END; PLACES as usize], ..Owner::default() };
        let day = EventTime::from_micros(86_400_000_000);
        for round in (1..=40).rev() {
            for number in 0..PLACES {
                owner.set(number, EventTime::from_micros(day.micros() * round + i64::from(number) * 100_000));
                let Owner { instants, timers } = &mut owner;
                timers.sweep(PLACES as usize, |number| instants[number as usize]);
            }
        }
        assert!(owner.timers.len() < 5 * PLACES as usize, "{} timers of {PLACES} places", owner.timers.len());
        assert_eq!(owner.due(EventTime::from_micros(2 * day.micros())).len(), PLACES as usize);
    }
}
