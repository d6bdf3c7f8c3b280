//! What a pattern holds of a key, as the store has it.

use crate::automaton::{Outline, Pending, Stepping};
use crate::engine::compiled::CompiledPattern;
use crate::engine::slot::{Cell, Held};
use crate::engine::windowed::WindowedEvents;
use crate::event::binary::{Malformed, Reader, write_bytes};

/// The state of a key: its partial matches, and before them the events that windows count, where the pattern asks for windows. `None` where there is nothing.
pub(super) fn encode_state(compiled: &CompiledPattern, held: Held<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    match held {
        Held::Nothing => return None,
        Held::Runs(runs, of) => compiled.automaton.encode_runs(runs.iter().filter(|run| run.is_of(of)), &mut value),
        Held::Cell(cell) => {
            let windows = &compiled.pattern.windows;
            if !windows.is_empty() {
                let mut bytes = Vec::new();
                cell.windowed.as_deref().unwrap_or(&WindowedEvents::new(windows)).encode(windows, &mut bytes);
                write_bytes(&bytes, &mut value);
            }
            cell.pending.encode(&compiled.automaton, &mut value);
        }
    }
    Some(value)
}

/// As of no slot.
pub(super) fn decode_state(compiled: &CompiledPattern, mut stepping: Stepping<'_>, value: &[u8]) -> Result<Cell, Malformed> {
    let windows = &compiled.pattern.windows;
    if windows.is_empty() {
        return Ok(Cell { pending: Pending::decode(&mut stepping, value)?, ..Cell::default() });
    }
    let mut reader = Reader::new(value);
    let mut of_windows = Reader::new(reader.bytes("events of windows")?);
    let windowed = WindowedEvents::decode(windows, &mut of_windows)?;
    if !of_windows.is_at_end() {
        return Err(of_windows.malformed("end"));
    }
    let pending = Pending::decode(&mut stepping, reader.rest())?;
    let windowed = (!windowed.is_empty()).then(|| Box::new(windowed));
    Ok(Cell { pending, windowed, ..Cell::default() })
}

/// What has to be known of a state that is not needed yet; `None`: it holds nothing. Refuses what [`decode_state`] refuses.
pub(super) fn outline_state(compiled: &CompiledPattern, mut stepping: Stepping<'_>, value: &[u8]) -> Result<Option<Outline>, Malformed> {
    if compiled.pattern.windows.is_empty() {
        return Ok(Some(Pending::outline(&mut stepping, value)?).filter(|outline| outline.runs > 0));
    }
    let held = decode_state(compiled, stepping, value)?;
    Ok((!held.is_empty()).then(|| Outline { runs: held.pending.len(), next: held.next_deadline() }))
}
