//! `define name = stream where …`: each resolved once, after what it narrows.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::ast;
use crate::language::check::contradictions;
use crate::language::check::declarations::{Declarations, Events};
use crate::language::check::expression::{Lowering, conjuncts};
use crate::language::check::findings::Findings;
use crate::language::check::scope::{Around, AtHand, Scope};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;

/// Defines on define that are followed.
const DEFINES_MAX: usize = 64;

/// Adds the defines to the declared events, where the streams are already.
pub(super) fn resolve<'a>(defines: &BTreeMap<&'a str, &'a ast::Define>, declarations: &mut Declarations<'a>, findings: &mut Findings) {
    for define in defines.values() {
        let chain = chain(define, defines, declarations, findings);
        for define in chain.into_iter().rev() {
            let events = resolved(define, declarations, findings);
            declarations.events.insert(&define.name.node, events);
        }
    }
}

/// The define, and those that it is defined from, as far as they are not resolved.
fn chain<'a>(
    define: &'a ast::Define,
    defines: &BTreeMap<&'a str, &'a ast::Define>,
    declarations: &mut Declarations<'a>,
    findings: &mut Findings,
) -> Vec<&'a ast::Define> {
    let (mut chain, mut names) = (Vec::new(), BTreeSet::new());
    let mut at = Some(define);
    while let Some(define) = at.filter(|define| !declarations.events.contains_key(define.name.node.as_str())) {
        if !names.insert(define.name.node.as_str()) {
            let message = format!("`{}` is defined from itself", define.name.node);
            let diagnostic = Diagnostic::new(Code::DefineCycle, define.name.span, message, "leads back to here");
            findings.add(diagnostic.help("a define narrows a stream, or another define of one"));
            declarations.events.insert(&define.name.node, None);
            chain.retain(|link: &&ast::Define| link.name.node != define.name.node);
            break;
        }
        chain.push(define);
        at = defines.get(define.events.stream.node.as_str()).copied();
    }
    chain
}

fn resolved<'a>(define: &'a ast::Define, declarations: &Declarations<'a>, findings: &mut Findings) -> Option<Events<'a>> {
    let mut events = declarations.events(&define.events.stream, findings)?.clone();
    if events.lineage.len() > DEFINES_MAX {
        let message = format!("more than {DEFINES_MAX} defines on one another");
        findings.add(
            Diagnostic::new(Code::TooMany, define.name.span, message, "one too many")
                .help("join conditions with `and`, so that fewer defines stand on one another"),
        );
        return None;
    }
    events.lineage.insert(0, &define.name.node);
    if let Some(condition) = &define.events.condition {
        let scope = Scope { declarations, at_hand: AtHand::Event(events.stream), around: Around::Event, windows: None };
        let mut lowering = Lowering::new(&scope, findings);
        let parts = conjuncts(lowering.condition(condition));
        if lowering.is_sound() {
            contradictions::check_defined(&define.events.stream.node, &events.conditions, &parts, condition, findings);
        }
        events.conditions.extend(parts);
    }
    Some(events)
}
