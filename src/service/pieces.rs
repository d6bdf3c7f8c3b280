//! How far time goes at once, where it goes far: so that what it brings out comes piece by piece, and nothing else waits for all of it.
//!
//! A producer that was away for an hour is back, a partition that held the others back goes on, a night is over: then the watermark jumps, and with it come the absences and time-outs of a million keys, or
//! all events that were held. Nobody knows beforehand how many. So a piece goes as far as a *stride* beyond the first that is known to be due. Deadlines lie as dense as the events lay that they come
//! from: in a stride there are no more events than a piece may bring, as far as has been seen, and no more has come of one; where little comes of several, it becomes longer. (Not of one: what is due next
//! is known to some seconds at first, and what is dense is often found after two or three pieces of which little comes.) Time that goes on by less than a stride, as it mostly does, is one piece.
//!
//! Where the pieces end shows nowhere in what comes out: everything up to there is decided, and nothing after it.

use crate::event::{EventTime, TimeSpan};

/// Events and matches of a piece, about: some 10 ms.
pub(super) const PIECE: u64 = if cfg!(test) { 10 } else { 8_192 };

const FIRST_STRIDE: TimeSpan = if cfg!(test) { TimeSpan::from_millis(20) } else { TimeSpan::from_secs(1) };

/// After so many pieces in a row of which little comes the stride becomes longer.
const LITTLE_MAX: u32 = 8;

#[derive(Debug)]
pub(super) struct Pieces {
    stride: TimeSpan,
    /// Of so many pieces in a row little has come, since the stride became longer.
    little: u32,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { stride: FIRST_STRIDE, little: 0 }
    }
}

impl Pieces {
    /// From one time to the other may take several pieces.
    pub(super) fn is_long(&self, from: EventTime, to: EventTime) -> bool {
        to.since(from) > self.stride
    }

    /// Where the next piece ends on the way to `to`, if nothing is due before `first`.
    pub(super) fn end_of_next(&self, first: EventTime, to: EventTime) -> EventTime {
        first.plus(self.stride).min(to)
    }

    /// So many events and matches came of so much time.
    pub(super) fn note_short(&mut self, came: u64, span: TimeSpan) {
        let most = i128::from(span.micros()) * i128::from(PIECE) / i128::from(came.max(1));
        if span > TimeSpan::ZERO && most < i128::from(self.stride.micros()) {
            self.stride = TimeSpan::from_micros(i64::try_from(most).expect("less than a span")).max(TimeSpan::TICK);
        }
    }

    /// The same of a stride.
    pub(super) fn note_stride(&mut self, came: u64) {
        self.note_short(came, self.stride);
        self.little = if came < PIECE / 4 { self.little + 1 } else { 0 };
        if self.little == LITTLE_MAX {
            self.stride = TimeSpan::from_micros(self.stride.micros().saturating_mul(2));
            self.little = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of as many as come in a second: wherever it is that they become many.
    #[test]
    fn pieces_become_as_large_as_they_may_be_and_hardly_larger() {
        for (quiet_s, per_ms) in [(0, 1), (3_600, 1), (3_600, PIECE / 2), (86_400, 3)] {
            let mut pieces = Pieces::default();
            let (mut at, begin) = (EventTime::from_micros(0), EventTime::from_micros(quiet_s * 1_000_000));
            let end = begin.plus(TimeSpan::from_micros(i64::try_from(PIECE * 1_000_000 / per_ms).expect("small")));
            let (mut count, mut most) = (0, 0);
            while at < end {
                let next = pieces.end_of_next(at.max(begin), end);
                let came = u64::try_from(next.since(at.max(begin)).micros()).expect("time goes on") * per_ms / 1_000;
                pieces.note_stride(came);
                (at, count, most) = (next, count + 1, most.max(came));
            }
            let of_first = FIRST_STRIDE.micros().cast_unsigned() * per_ms / 1_000;
            assert!(most <= 2 * PIECE.max(of_first), "{most} at once");
            assert!(count < 20_000, "{count} pieces");
        }
    }

    /// So the first piece is as small as the others where the events that it comes of were dense.
    #[test]
    fn a_stride_is_no_longer_than_events_were_dense() {
        let mut pieces = Pieces::default();
        let (begin, later) = (EventTime::from_micros(0), EventTime::from_micros(3_600_000_000));
        pieces.note_short(5, TimeSpan::ZERO);
        assert_eq!(pieces.end_of_next(begin, later).since(begin), FIRST_STRIDE);
        pieces.note_short(PIECE / 2, TimeSpan::from_millis(1));
        assert_eq!(pieces.end_of_next(begin, later).since(begin), TimeSpan::from_millis(2));
        pieces.note_short(PIECE, TimeSpan::from_millis(50));
        assert_eq!(pieces.end_of_next(begin, later).since(begin), TimeSpan::from_millis(2));
        (1..LITTLE_MAX).for_each(|_| pieces.note_stride(PIECE / 4 - 1));
        assert_eq!(pieces.end_of_next(begin, later).since(begin), TimeSpan::from_millis(2), "those may have ended before what is dense");
        (0..40 * LITTLE_MAX).for_each(|_| pieces.note_stride(0));
        assert_eq!(pieces.end_of_next(begin, later), later);
        pieces.note_short(u64::MAX, TimeSpan::TICK);
        assert!(pieces.end_of_next(begin, later) > begin, "time goes on");
    }
}
