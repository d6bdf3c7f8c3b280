//! What an event may still be asked for once its class is known: by the keys of its lines, by conditions that look back, and by what comes out. No other field needs to be kept of it.
//!
//! What a condition asks of the event alone is told by the class from then on. So a kind or a status, of which rules ask most, takes no memory in a partial match.
//!
//! Invariant: it depends on the pattern alone. So what is stored of a partial match says all that is asked of it, whatever patterns there are beside this one then or later.
//! Whatever else is to be asked of a chosen event one day is null in what was stored before: a stored format of its own has to tell that apart.

use std::collections::BTreeMap;

use crate::automaton::ways::Automaton;
use crate::event::{Kept, StreamId};
use crate::pattern::{Comparison, Expression};

impl Automaton {
    /// Of the events of a stream that the pattern reads.
    pub fn asked_later(&self, stream: StreamId) -> Kept {
        self.asked_later.get(&stream).copied().unwrap_or(Kept::NONE)
    }

    /// The same of all streams.
    pub fn all_asked_later(&self) -> &BTreeMap<StreamId, Kept> {
        &self.asked_later
    }

    pub(super) fn find_asked_later(&self) -> BTreeMap<StreamId, Kept> {
        let pattern = &self.pattern;
        let mut found: BTreeMap<StreamId, Kept> = BTreeMap::new();
        let mut note = |stream: StreamId, field: Option<u16>| {
            let kept = found.entry(stream).or_insert(Kept::NONE);
            *kept = field.map_or(Kept::ALL, |field| kept.with(usize::from(field)));
        };
        pattern.tell_measured_and_shown(&mut note);
        for source in &pattern.sources {
            source.key.iter().for_each(|part| pattern.tell_looked_at(part, Some(source.stream), &mut note));
            // As which of several sources of its stream an event stands in a line, their filters tell.
            if pattern.sources.iter().filter(|other| other.stream == source.stream).count() > 1 {
                source.filter.iter().for_each(|filter| pattern.tell_looked_at(filter, Some(source.stream), &mut note));
            }
        }
        for fit in &self.fits {
            fit.asked().into_iter().for_each(|asked| pattern.tell_looked_at(asked, Some(fit.stream()), &mut note));
        }
        // By how much a first event is asked for, patterns that are stepped as one are told apart.
        if let Some(first) = self.chain_of_steps().map(|first| &pattern.conditions[usize::from(first.0)]) {
            let (conjuncts, _) = first.conjuncts();
            conjuncts.into_iter().filter(|asked| asks_for_more_or_less(asked)).for_each(|asked| pattern.tell_looked_at(asked, Some(first.stream), &mut note));
        }
        found
    }
}

fn asks_for_more_or_less(conjunct: &Expression) -> bool {
    conjunct.compares_with_constant().is_some_and(|(comparison, ..)| !matches!(comparison, Comparison::Equal | Comparison::NotEqual))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Source, compile};

    const STREAMS: &str = "stream e { k: string  kind: string  status: string  amt: int  other: int  at: timestamp  time at }
        stream f { k: string  kind: string  amt: int  who: string }
        define good = e where status == \"good\"
        define bad = e where status == \"bad\"\n";

    #[test]
    fn what_is_asked_of_the_event_alone_is_not_kept() {
        let table = [
            ("from e by k match a: e where kind == \"a\" then b: e where amt > a.amt within 1m emit k", "k amt"),
            ("from e by k match a: e where kind == \"a\" and amt > other then b: e where kind == \"b\" within 1m emit k", "k"),
            ("from e by k match a: e where kind == \"a\" then b: e within 1m emit a.status, b.other", "k status other"),
            ("from e by k match a: e where kind == \"a\" then b: e within 1m", "k kind status amt other at"),
            // How much is asked for tells members of a family apart.
            ("from e by k match a: e where kind == \"a\" and amt >= 5 then b: e where kind == \"b\" within 1m emit k", "k amt"),
            ("from e by k match a+: e where kind == \"a\" then b: e where kind == \"b\" and amt > sum(a.other) within 1m emit k", "k amt other"),
            ("from e by k match a: e where kind == \"a\" then b: e where sum(e.amt over 1m) > 5 within 1m emit k", "k amt"),
            ("from e by k match a: e where kind == \"a\" then not b: e where status == a.status for 1m emit k", "k status"),
            ("from e by lower(status) match a: e where kind == \"a\" then b: e within 1m emit a.k", "k status"),
            ("from good by k match a: good where kind == \"a\" then b: good where kind == \"b\" within 1m emit k", "k"),
            ("from good, bad by k match a: good where kind == \"a\" then b: bad where kind == \"b\" within 1m emit k", "k status"),
            ("from e, f by k match a: f where kind == \"a\" then b: e where amt > a.amt and kind == a.who within 1m emit k", "k kind amt"),
            ("from e by k match a: e where kind == \"a\" within 1m suppress 1m by a.status emit k", "k status"),
        ];
        for (body, expected) in table {
            let text = format!("{STREAMS} pattern p {{ {body} }}");
            let compiled = compile(&[Source { path: "p.motif".to_owned(), text }]);
            assert!(!compiled.has_errors(), "{body}: {:?}", compiled.diagnostics);
            let schema = &compiled.program.schema;
            let stream = schema.find("e").expect("declared");
            let kept = Automaton::compile(compiled.program.patterns[0].clone()).asked_later(stream);
            let fields = schema.stream(stream).fields.iter().enumerate().filter(|(place, _)| kept.has(*place));
            let found: Vec<&str> = fields.map(|(_, field)| field.name.as_str()).collect();
            assert_eq!(found.join(" "), expected, "{body}");
        }
    }
}
