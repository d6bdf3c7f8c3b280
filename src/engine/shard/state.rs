//! What a pattern or a log holds of a key, as the store has it.

use crate::automaton::{Outline, Pending, Stepping};
use crate::engine::compiled::CompiledPattern;
use crate::engine::logs::Log;
use crate::engine::slot::{Cell, Held};
use crate::engine::window_log::WindowLog;
use crate::event::binary::Malformed;

/// The partial matches of a key. `None` where there is nothing.
pub(super) fn encode_state(compiled: &CompiledPattern, held: Held<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    match held {
        Held::Nothing => return None,
        Held::Runs(lying, of) => {
            lying.show(compiled.automaton.plain_start(), |runs| compiled.automaton.encode_runs(runs.iter().filter(|run| run.is_of(of)), &mut value));
        }
        Held::Cell(cell) => cell.pending.encode(&compiled.automaton, &mut value),
        Held::Log(_) => unreachable!("a log is no pattern's"),
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

/// The same of an entry of a log as [`outline_state`] tells of runs.
pub(super) fn outline_log(log: &Log, value: &[u8]) -> Result<Option<Outline>, Malformed> {
    let end = WindowLog::end_of_part(&log.plan, value)?;
    Ok(end.map(|next| Outline { runs: 0, next }))
}
