//! What is kept of the events of each stream while they are held, and by runs that choose them: what [some pattern may still ask for](Automaton::asked_later).

use crate::automaton::Automaton;
use crate::engine::compiled::{CompiledPattern, StreamRoutes};
use crate::event::{Kept, Schema};

/// Notes it for each stream; what is filed in their indexes is known.
pub(super) fn note_kept(streams: &mut [StreamRoutes], schema: &Schema, patterns: &[CompiledPattern]) {
    for (id, stream) in schema.ids().zip(streams) {
        let of_pattern = |compiled: &CompiledPattern| Automaton::asked_later(&compiled.automaton, id);
        let mut kept = patterns.iter().map(of_pattern).fold(Kept::NONE, Kept::and);
        // What is asked for where something waits is asked of the event that is held.
        for place in stream.index.waiting().into_iter().flat_map(|waiting| waiting.patterns()) {
            let pattern = &patterns[place as usize].pattern;
            let conditions = pattern.conditions.iter().filter(|condition| condition.stream == id);
            for asked in conditions.filter_map(|condition| condition.expression.as_ref()) {
                pattern.tell_looked_at(asked, Some(id), &mut |stream, field| {
                    if let Some(field) = field.filter(|_| stream == id) {
                        kept = kept.with(usize::from(field));
                    }
                });
            }
        }
        stream.kept = kept.of_fields(schema.stream(id).fields.len());
    }
}
