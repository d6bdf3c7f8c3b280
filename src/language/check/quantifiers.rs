//! How often: from signs, numbers and words to least and most.

use crate::language::ast::{self, Count, Expression as Ast, Inside, Name};
use crate::language::check::findings::Findings;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::spelling::{code, spelled};
use crate::pattern::{ContinuityInside, Quantifier};

/// What is repeated.
#[derive(Clone, Copy)]
pub(super) enum On<'a> {
    Step { name: &'a Name, until: Option<&'a Ast> },
    Group,
    All,
}

/// Without `until`, which is a condition.
pub(super) fn lower(quantifier: Option<&ast::Quantifier>, on: On<'_>, findings: &mut Findings) -> Quantifier {
    if let On::Step { name, until: Some(until) } = on
        && quantifier.is_none_or(|quantifier| quantifier.count == Count::Unsaid)
    {
        let diagnostic = Diagnostic::new(Code::MisplacedLoopWord, until.span, "`until` closes a loop", "closes nothing");
        findings.add(
            diagnostic
                .also(name.span, "takes one event")
                .help(format!("say how often, as in {}, or write it into `where`", code(&format!("{}+", spelled(&name.node))))),
        );
    }
    let Some(quantifier) = quantifier else { return Quantifier::ONCE };
    let (least, most, _) = times(quantifier.count);
    check(quantifier, most, least, on, findings);
    Quantifier {
        least,
        most,
        optional: may_be_none(Some(quantifier)),
        greedy: quantifier.greedy.is_some(),
        inside: match quantifier.inside.map(|inside| inside.node) {
            None => ContinuityInside::Then,
            Some(Inside::Consecutive) => ContinuityInside::Consecutive,
            Some(Inside::Combinations) => ContinuityInside::Combinations,
        },
        each_within: quantifier.each_within.map(|each_within| each_within.node),
        until: None,
    }
}

/// Whether none will do.
pub(super) fn may_be_none(quantifier: Option<&ast::Quantifier>) -> bool {
    quantifier.is_some_and(|quantifier| quantifier.optional || times(quantifier.count).2)
}

/// Least, most, and whether none will do.
fn times(count: Count) -> (u32, Option<u32>, bool) {
    match count {
        Count::Unsaid => (1, Some(1), false),
        Count::Optional => (1, Some(1), true),
        Count::Plus => (1, None, false),
        Count::Star => (1, None, true),
        Count::Exactly(times) => (times.max(1), Some(times.max(1)), times == 0),
        Count::Between(least, most) => (least.max(1), Some(most.max(1)), least == 0),
        Count::AtLeast(least) => (least.max(1), None, least == 0),
    }
}

fn check(quantifier: &ast::Quantifier, most: Option<u32>, least: u32, on: On<'_>, findings: &mut Findings) {
    let words = [
        quantifier.greedy.map(|span| ("greedy", span)),
        quantifier.inside.map(|inside| (if inside.node == Inside::Consecutive { "consecutive" } else { "combinations" }, inside.span)),
        quantifier.each_within.map(|each_within| ("each within", each_within.span)),
    ];
    let words = words.into_iter().flatten();
    if matches!(on, On::All) {
        let diagnostic = Diagnostic::new(Code::BadAll, quantifier.span, "`all` takes no number and no words", "not after `all`");
        findings.add(diagnostic.help("put it in a group, which does: `( all ( a: S, b: S ) ){2}`"));
        return;
    }
    if quantifier.count == Count::Unsaid {
        for (word, span) in words {
            let diagnostic = Diagnostic::new(Code::MisplacedLoopWord, span, format!("`{word}` is about loops, and here one event is taken"), "no loop");
            let words = if word == "each within" { "each within 5m" } else { word };
            let example = if let On::Step { name, .. } = on { format!("{}+ {words}", spelled(&name.node)) } else { format!("( … )+ {words}") };
            findings.add(diagnostic.help(format!("say how often, as in {}", code(&example))));
        }
        return;
    }
    for (word, span) in words {
        let fixed = most == Some(least) && !may_be_none(Some(quantifier));
        if word == "greedy" && matches!(on, On::Group) {
            let diagnostic = Diagnostic::new(Code::MisplacedLoopWord, span, "`greedy` is for single steps only", "on a group");
            findings.add(diagnostic.help("leave it out, or write it at a step of the group"));
        } else if word == "greedy" && fixed || word != "greedy" && most == Some(1) {
            let reason = if word == "greedy" { "the number is fixed" } else { "there is at most one" };
            findings.add(Diagnostic::new(Code::SaysNothing, span, format!("`{word}` says nothing here"), reason).help("leave it out"));
        }
    }
}
