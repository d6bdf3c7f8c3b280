//! The automaton as text: the one printed format, for `motif explain`, tests and comments.
//!
//! ```text
//! >0 start
//!     -> 1 begin
//!  1 login [logins where (status == "failed")]
//!     -> 2 next, within 30s, no [logins where (status == "ok")]
//!     -> accept, unless greedy [logins where (status == "failed")]
//! ```

use std::fmt::Write;
use std::ops::Range;

use crate::automaton::ways::{Automaton, Demand, Way, WayId};
use crate::event::Schema;
use crate::pattern::ConditionId;

impl Automaton {
    /// One line for each node and each way, in text order. `schema` gives streams and fields their names.
    pub fn dump(&self, schema: &Schema) -> String {
        let mut out = String::from(">0 start\n");
        let printer = Printer { automaton: self, schema };
        printer.ways(self.start.clone(), &mut out);
        for (number, node) in (1..).zip(&self.nodes) {
            let name = &self.pattern.step(node.step).name;
            write!(out, "{number:>2} {name} {}", printer.condition(node.condition)).expect("text takes all");
            if let Some(until) = node.until {
                write!(out, " not {}", printer.condition(until)).expect("text takes all");
            }
            out.push('\n');
            printer.ways(node.ways.clone(), &mut out);
        }
        printer.withouts(&mut out);
        out
    }
}

/// Writes parts of the automaton as text.
pub(super) struct Printer<'a> {
    pub automaton: &'a Automaton,
    pub schema: &'a Schema,
}

impl Printer<'_> {
    fn ways(&self, ways: Range<WayId>, out: &mut String) {
        for way in ways {
            let way = self.automaton.way(way);
            let demand = self.automaton.demand(way.demand);
            writeln!(out, "    -> {}", [vec![target(way, demand)], self.demands(demand)].concat().join(", ")).expect("text takes all");
        }
    }

    /// What a way demands besides how it is gone.
    pub(super) fn demands(&self, demand: &Demand) -> Vec<String> {
        let mut parts: Vec<String> = demand.gap.map(|gap| format!("within {gap}")).into_iter().collect();
        for none_of in &demand.no {
            let hold = none_of.hold.map(|hold| format!(" for {hold}")).unwrap_or_default();
            parts.push(format!("no {}{hold}", self.condition(none_of.condition)));
        }
        parts.extend(demand.no_next.iter().map(|condition| format!("next not {}", self.condition(*condition))));
        for hunger in &demand.greedy {
            let unless = hunger.unless.map(|unless| format!(" not {}", self.condition(unless))).unwrap_or_default();
            let next = if hunger.next_only { " next" } else { "" };
            let gap = hunger.gap.map(|gap| format!(" within {gap}")).unwrap_or_default();
            parts.push(format!("unless greedy{next} {}{unless}{gap}", self.condition(hunger.condition)));
        }
        parts.extend(demand.until.iter().map(|condition| format!("until {}", self.condition(*condition))));
        parts
    }

    fn withouts(&self, out: &mut String) {
        for (place, without) in self.automaton.pattern.without.iter().enumerate() {
            let name = |end| self.automaton.pattern.step(end).name.as_str();
            let (from, to) = (without.from.map_or("first", name), without.to.map_or("last", name));
            let enclosed = (1..).zip(&self.automaton.nodes).filter(|(_, node)| node.enclosed_by >> place & 1 == 1);
            let nodes: Vec<String> = enclosed.map(|(number, _): (usize, _)| number.to_string()).collect();
            let condition = self.condition(without.condition);
            writeln!(out, "without {condition} between {from} and {to}: ends the ways to {}", nodes.join(" ")).expect("text takes all");
        }
    }

    pub(super) fn condition(&self, id: ConditionId) -> String {
        format!("[{}]", self.automaton.pattern.condition(id).text(self.schema, &self.automaton.pattern))
    }
}

/// `2 then`, `accept`.
fn target(way: &Way, demand: &Demand) -> String {
    let how = demand.how.word().unwrap_or("begin");
    way.to.map_or_else(|| "accept".to_owned(), |node| format!("{} {how}", node.0 + 1))
}
