//! What a pattern or a log holds of a key, as the store has it.

use crate::automaton::{Outline, Pending, Stepping};
use crate::engine::compiled::CompiledPattern;
use crate::engine::logs::Log;
use crate::engine::slot::{Cell, Held};
use crate::engine::window_log::WindowLog;
use crate::event::binary::{Malformed, Reader};

/// The partial matches of a key, or the events of a log. `None` where there is nothing. (The pattern is asked for only where it is one.)
pub(super) fn encode_state<'a>(compiled: impl FnOnce() -> &'a CompiledPattern, held: Held<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    match held {
        Held::Nothing => return None,
        Held::Runs(runs, of) => compiled().automaton.encode_runs(runs.iter().filter(|run| run.is_of(of)), &mut value),
        Held::Cell(Cell { log: Some(log), .. }) => log.encode(&mut value),
        Held::Cell(cell) => cell.pending.encode(&compiled().automaton, &mut value),
    }
    Some(value)
}

/// As of no slot.
pub(super) fn decode_state(mut stepping: Stepping<'_>, value: &[u8]) -> Result<Cell, Malformed> {
    Ok(Cell { pending: Pending::decode(&mut stepping, value)?, ..Cell::default() })
}

/// What has to be known of a state that is not needed yet; `None`: it holds nothing. Refuses what [`decode_state`] refuses.
pub(super) fn outline_state(mut stepping: Stepping<'_>, value: &[u8]) -> Result<Option<Outline>, Malformed> {
    Ok(Some(Pending::outline(&mut stepping, value)?).filter(|outline| outline.runs > 0))
}

pub(super) fn decode_log(log: &Log, value: &[u8]) -> Result<WindowLog, Malformed> {
    let mut reader = Reader::new(value);
    let events = WindowLog::decode(&log.plan, &mut reader)?;
    if reader.is_at_end() { Ok(events) } else { Err(reader.malformed("end")) }
}

/// The same of a log as [`outline_state`] tells of runs.
pub(super) fn outline_log(log: &Log, value: &[u8]) -> Result<Option<Outline>, Malformed> {
    let events = decode_log(log, value)?;
    Ok((!events.is_empty()).then(|| Outline { runs: 0, next: events.end() }))
}
