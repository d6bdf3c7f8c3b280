//! The automaton as a diagram: for Graphviz (`dot -Tsvg`) and for Mermaid, which many pages show as it is.
//!
//! Nodes and ways are those of the [dump](Automaton::dump), under the same numbers: 0 is the start, and one more than there are nodes is acceptance.

use std::fmt::Write;

use crate::automaton::dump::Printer;
use crate::automaton::ways::{Automaton, WayId};
use crate::event::Schema;

/// What draws it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiagramFormat {
    Graphviz,
    Mermaid,
}

/// An arrow from node to node, and what the way demands.
struct Arrow {
    from: usize,
    to: usize,
    label: String,
}

impl Automaton {
    pub fn diagram(&self, schema: &Schema, format: DiagramFormat) -> String {
        let printer = Printer { automaton: self, schema };
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|node| {
                let until = node.until.map(|until| format!("\nnot {}", printer.condition(until))).unwrap_or_default();
                format!("{}\n{}{until}", self.pattern.step(node.step).name, printer.condition(node.condition))
            })
            .collect();
        let accept = nodes.len() + 1;
        let leaving = (0..).zip(std::iter::once(&self.start).chain(self.nodes.iter().map(|node| &node.ways)));
        let arrows = leaving.flat_map(|(from, ways): (usize, _)| ways.clone().map(move |way| (from, way)));
        let arrows: Vec<Arrow> = arrows.map(|(from, way)| self.arrow(&printer, from, way, accept)).collect();
        match format {
            DiagramFormat::Graphviz => graphviz(&self.pattern.name, &nodes, &arrows),
            DiagramFormat::Mermaid => mermaid(&nodes, &arrows),
        }
    }

    fn arrow(&self, printer: &Printer<'_>, from: usize, way: WayId, accept: usize) -> Arrow {
        let way = self.way(way);
        let demand = self.demand(way.demand);
        let how = way.to.and_then(|_| demand.how.word()).map(str::to_owned);
        let label = how.into_iter().chain(printer.demands(demand)).collect::<Vec<_>>().join("\n");
        Arrow { from, to: way.to.map_or(accept, |node| node.0 as usize + 1), label }
    }
}

fn graphviz(name: &str, nodes: &[String], arrows: &[Arrow]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut out = format!("digraph {} {{\n  rankdir=LR\n  node [shape=box, style=rounded]\n  0 [label=\"\", shape=point]\n", quoted(name));
    for (number, node) in (1..).zip(nodes) {
        writeln!(out, "  {number} [label={}]", quoted(node)).expect("text takes all");
    }
    writeln!(out, "  {} [label=\"accept\", shape=doublecircle]", nodes.len() + 1).expect("text takes all");
    for Arrow { from, to, label } in arrows {
        writeln!(out, "  {from} -> {to} [label={}]", quoted(label)).expect("text takes all");
    }
    out.push_str("}\n");
    out
}

fn mermaid(nodes: &[String], arrows: &[Arrow]) -> String {
    // Mermaid reads quotes and signs of its own inside labels; it knows HTML's names for them.
    let quoted = |text: &str| {
        let text = text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br/>");
        format!("\"{text}\"")
    };
    let mut out = "flowchart LR\n  n0(( ))\n".to_owned();
    for (number, node) in (1..).zip(nodes) {
        writeln!(out, "  n{number}({})", quoted(node)).expect("text takes all");
    }
    writeln!(out, "  n{}(((accept)))", nodes.len() + 1).expect("text takes all");
    for Arrow { from, to, label } in arrows {
        let label = if label.is_empty() { String::new() } else { format!("|{}|", quoted(label)) };
        writeln!(out, "  n{from} -->{label} n{to}").expect("text takes all");
    }
    out
}
