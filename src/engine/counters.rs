//! What has happened in a task so far, in numbers.

/// Counts since the start of the process, but for those that say how much is held now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that arrived, whatever became of them.
    pub events: u64,
    /// Events that were read again after a restart.
    pub events_read_again: u64,
    /// Events that the watermark let out into their lines: those that matter to some pattern.
    pub released: u64,
    pub late: u64,
    pub too_far_ahead: u64,
    /// Events that the bound on held events kept out.
    pub held_full: u64,
    /// Events that mattered to some pattern and do not stand in one of its lines because that key holds a null.
    pub null_keys: u64,
    pub matches: u64,
    pub timeouts: u64,
    /// Matches that `suppress` kept back; not among `matches`.
    pub suppressed: u64,
    /// Partial matches that a key's limit dropped, and instants at which more matches of a pattern and key came out than may be handed out, so that none was.
    pub runs_dropped: u64,
    /// Calculations without a result: overflow, division by zero, a place out of range. What conditions of many patterns compare counts once for all of them. One of a window counts once for each instant as of which it is asked for, as long as its key stays ready;
    /// it may be asked before conditions that would have made that needless. What a partial match compares events with counts once, and once more after its key was packed.
    pub faults: u64,
    /// Times that a key of a pattern got state, or of a log of events that windows count.
    pub keys_made: u64,
    /// Keys with state now, counted once for each pattern and each log.
    pub live_keys: u64,
    /// Partial matches alive now; where those of a key are kept together, only their groups are counted.
    pub live_runs: u64,
    /// Keys that are not in memory now, because more were packed than may be; counted once for all patterns with the same keys.
    pub cold_keys: u64,
    /// Times that a key has left memory for that.
    pub keys_spilled: u64,
    /// Events that wait for the watermark now.
    pub held_events: u64,
}

impl Counters {
    /// A pattern has come to hold something of a key.
    pub(super) fn key_made(&mut self) {
        self.keys_made += 1;
        self.live_keys += 1;
    }

    /// Adds those of another part of the same whole.
    pub fn add(&mut self, other: &Self) {
        let Self {
            events,
            events_read_again,
            released,
            late,
            too_far_ahead,
            held_full,
            null_keys,
            matches,
            timeouts,
            suppressed,
            runs_dropped,
            faults,
            keys_made,
            live_keys,
            live_runs,
            cold_keys,
            keys_spilled,
            held_events,
        } = other;
        self.events += events;
        self.events_read_again += events_read_again;
        self.released += released;
        self.late += late;
        self.too_far_ahead += too_far_ahead;
        self.held_full += held_full;
        self.null_keys += null_keys;
        self.matches += matches;
        self.timeouts += timeouts;
        self.suppressed += suppressed;
        self.runs_dropped += runs_dropped;
        self.faults += faults;
        self.keys_made += keys_made;
        self.live_keys += live_keys;
        self.live_runs += live_runs;
        self.cold_keys += cold_keys;
        self.keys_spilled += keys_spilled;
        self.held_events += held_events;
    }
}
