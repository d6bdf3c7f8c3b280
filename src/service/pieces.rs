//! How far time goes at once, where it goes far: so that what it brings out comes piece by piece, and nothing else waits for all of it.
//!
//! A producer that was away for an hour is back, a partition that held the others back goes on, a night is over: then the watermark jumps, and with it come the absences and time-outs of a million keys, or
//! all events that were held. Nobody knows beforehand how many. So a piece goes as far as a *stride* beyond the first that is known to be due, and the stride follows what comes of it: shorter after a piece
//! that brought much, longer after one that brought little. Time that goes on by less than a stride, as it mostly does, is one piece.
//!
//! Where the pieces end shows nowhere in what comes out: everything up to there is decided, and nothing after it.

use crate::event::{EventTime, TimeSpan};

/// Events and matches of a piece, about: some 10 ms.
const PIECE: u64 = if cfg!(test) { 10 } else { 8_192 };

const FIRST_STRIDE: TimeSpan = if cfg!(test) { TimeSpan::from_millis(20) } else { TimeSpan::from_secs(1) };

#[derive(Debug)]
pub(super) struct Pieces {
    stride: TimeSpan,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { stride: FIRST_STRIDE }
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

    /// So many events and matches came of a long way's piece.
    pub(super) fn note(&mut self, came: u64) {
        let micros = self.stride.micros();
        self.stride = TimeSpan::from_micros(match came {
            _ if came > PIECE => (micros / 2).max(1),
            _ if came < PIECE / 4 => micros.saturating_mul(2),
            _ => micros,
        });
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
                pieces.note(came);
                (at, count, most) = (next, count + 1, most.max(came));
            }
            let of_first = FIRST_STRIDE.micros().cast_unsigned() * per_ms / 1_000;
            assert!(most <= 2 * PIECE.max(of_first), "{most} at once");
            assert!(count < 20_000, "{count} pieces");
        }
    }
}
