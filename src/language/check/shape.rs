//! The shape of `match`: sequences, groups, loops and absences, with every step in the table of names and every condition put down to be lowered once all
//! steps are known.

use crate::event::{StreamId, TimeSpan};
use crate::language::ast::{self, EventSet, Expression as Ast, Name, StepKind};
use crate::language::check::declarations::{Declarations, twice};
use crate::language::check::findings::Findings;
use crate::language::check::quantifiers::{self, On};
use crate::language::check::sources::Sources;
use crate::language::check::steps::{StepEntry, StepRole, StepTable, Turn, TurnKind};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Spanned;
use crate::language::spelling::{code, named, spelled};
use crate::pattern::{Absence, Body, ConditionId, Connective, Element, Part, Quantifier, Sequence, Step, StepId};

/// Makes the shape; `waiting` and the ids of conditions in the shape go together.
pub(super) struct Shaper<'s, 'a> {
    pub declarations: &'s Declarations<'a>,
    pub sources: &'s Sources<'a>,
    pub findings: &'s mut Findings,
    /// The pattern has `within D`.
    pub has_within: bool,
    pub table: StepTable<'a>,
    pub steps: Vec<Step>,
    pub waiting: Vec<Waiting<'a>>,
    path: Vec<Turn>,
}

/// A condition that is lowered when all steps are known.
pub(super) struct Waiting<'a> {
    pub what: Demanded<'a>,
    pub stream: Option<StreamId>,
    pub path: Vec<Turn>,
    /// Its step, as a place in the table.
    pub own: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Demanded<'a> {
    Step(&'a EventSet),
    Absent(&'a EventSet),
    Until(&'a Ast),
}

/// Where a sequence stands.
#[derive(Clone, Copy)]
struct Level {
    /// It is the whole pattern.
    whole: bool,
    /// Something before it is certain to have been taken.
    firm: bool,
}

impl<'s, 'a> Shaper<'s, 'a> {
    pub(super) fn new(declarations: &'s Declarations<'a>, sources: &'s Sources<'a>, has_within: bool, findings: &'s mut Findings) -> Self {
        let table = StepTable::default();
        Self { declarations, sources, findings, has_within, table, steps: Vec::new(), waiting: Vec::new(), path: Vec::new() }
    }

    pub(super) fn whole(&mut self, body: &'a ast::Sequence) -> Sequence {
        self.sequence(body, Level { whole: true, firm: false }).0
    }

    /// The sequence, and whether it is certain to take something.
    fn sequence(&mut self, sequence: &'a ast::Sequence, level: Level) -> (Sequence, bool) {
        let last_taking = sequence.steps.iter().rposition(|step| !matches!(step.what, StepKind::Not { .. })).unwrap_or(0);
        let (mut parts, mut certain, mut required) = (Vec::new(), false, false);
        for (index, step) in sequence.steps.iter().enumerate() {
            let firm = level.firm || certain;
            if let StepKind::Not { name, events, hold } = &step.what {
                self.path.push(Turn { kind: TurnKind::Part, index, loops: false, optional: false });
                let absence = self.absence(name, events, *hold, step.connective.as_ref());
                self.path.pop();
                // A match of no events is none, so that at the end something has been taken, whatever a group before it leaves out.
                let trailing = index > last_taking;
                let firm = firm || (level.whole && trailing && required);
                self.check_absence(step, firm, level.whole, trailing);
                parts.push(Part::Absence(absence));
                continue;
            }
            let (element, takes) = self.element(step, index, firm);
            certain |= takes;
            required |= !element.quantifier.optional;
            parts.push(Part::Element(element));
        }
        (Sequence(parts), certain)
    }

    // What must not come.

    fn absence(&mut self, name: &'a Name, events: &'a EventSet, hold: Option<Spanned<TimeSpan>>, connective: Option<&ast::Connective>) -> Absence {
        let stream = self.stream_of(events);
        let own = self.name(name, StepRole::Absent, stream);
        let condition = self.wait(Demanded::Absent(events), stream, own);
        match connective.map(|connective| connective.how) {
            Some(ast::How::Next) => Absence::NextNot { condition },
            _ => Absence::Not { condition, hold: hold.map(|hold| hold.node) },
        }
    }

    fn check_absence(&mut self, step: &ast::Step, firm: bool, whole: bool, trailing: bool) {
        let StepKind::Not { name, hold, .. } = &step.what else { return };
        let is_next = step.connective.as_ref().is_some_and(|connective| connective.how == ast::How::Next);
        if !firm {
            let diagnostic = Diagnostic::new(Code::NotWithoutStep, name.span, "before `not` stands a step that cannot be left out", "absent since when?");
            self.findings
                .add(diagnostic.help(
                    "begin with a step that is always taken; what must not have come before the first event is a window: `where count(S over 30s) == 0`",
                ));
        }
        if !whole && trailing {
            let diagnostic = Diagnostic::new(Code::EndsInNot, name.span, "a group or branch does not end in `not`", "absent until when?");
            self.findings.add(diagnostic.help("write the `not` behind the group, or a step behind the `not`"));
            return;
        }
        match hold {
            Some(hold) if is_next => {
                let diagnostic = Diagnostic::new(Code::MisplacedFor, hold.span, "`next not` is about the very next event only", "not with `next`");
                self.findings.add(diagnostic.help("leave out `for`, or leave out `next`"));
            }
            Some(hold) if !(whole && trailing) => {
                let diagnostic = Diagnostic::new(Code::MisplacedFor, hold.span, "`for` stands at the end of a pattern only", "a step follows");
                let help = format!("for quiet, then an event, write `then next b: S where at - a.at >= {}`", hold.node);
                self.findings.add(diagnostic.help(help));
            }
            None if whole && trailing && !is_next && !self.has_within => {
                let message = format!("nothing says until when `{}` must not come", name.node);
                let diagnostic = Diagnostic::new(Code::NeverDecided, name.span, message, "never decided");
                self.findings.add(diagnostic.help("say how long, as in `then not n: S for 5m`, or bound the pattern with `within 5m`"));
            }
            _ => {}
        }
    }

    // What takes events.

    /// The element, and whether it is certain to take something.
    fn element(&mut self, step: &'a ast::Step, index: usize, firm: bool) -> (Element, bool) {
        let (connective, within) = connective(step.connective.as_ref());
        let (quantifier, on) = match &step.what {
            StepKind::Event { name, quantifier, until, .. } => (quantifier, On::Step { name, until: until.as_ref() }),
            StepKind::Group { quantifier, .. } => (quantifier, On::Group),
            StepKind::All { quantifier, .. } => (quantifier, On::All),
            StepKind::Not { .. } => unreachable!("absences are told apart before"),
        };
        let mut quantifier = quantifiers::lower(quantifier.as_ref(), on, self.findings);
        let (loops, optional) = (quantifier.most != Some(1), quantifier.optional);
        self.path.push(Turn { kind: TurnKind::Part, index, loops, optional });
        let (body, takes) = self.body(step, &mut quantifier, firm);
        self.path.pop();
        (Element { connective, within, body, quantifier }, takes && !optional)
    }

    fn body(&mut self, step: &'a ast::Step, quantifier: &mut Quantifier, firm: bool) -> (Body, bool) {
        match &step.what {
            StepKind::Event { name, events, until, .. } => {
                let (step, own, condition) = self.step(name, events);
                if let Some(until) = until {
                    let stream = self.table.entries[own].stream;
                    quantifier.until = Some(self.wait(Demanded::Until(until), stream, own));
                }
                (Body::Step { step, condition }, true)
            }
            StepKind::Group { branches, .. } => {
                let several = branches.len() > 1;
                let (mut sequences, mut certain) = (Vec::new(), true);
                for (index, branch) in branches.iter().enumerate() {
                    self.path.push(Turn { kind: TurnKind::Branch, index, loops: false, optional: several });
                    let (sequence, takes) = self.sequence(branch, Level { whole: false, firm });
                    self.path.pop();
                    certain &= takes;
                    sequences.push(sequence);
                }
                let body = if sequences.len() == 1 { Body::Group(sequences.remove(0)) } else { Body::Choice(sequences) };
                (body, certain)
            }
            StepKind::All { steps, .. } => (self.all(step, steps), true),
            StepKind::Not { .. } => unreachable!("absences are told apart before"),
        }
    }

    fn all(&mut self, all: &ast::Step, steps: &'a [ast::Step]) -> Body {
        let mut taken = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match &step.what {
                StepKind::Event { name, quantifier, events, until } => {
                    if let Some(span) = quantifier.as_ref().map(|quantifier| quantifier.span).or(until.as_ref().map(|until| until.span)) {
                        let diagnostic = Diagnostic::new(Code::BadAll, span, "in `all` every step takes one event", "says how often");
                        self.findings.add(diagnostic.help("leave it out, or take the step out of `all`"));
                    }
                    self.path.push(Turn { kind: TurnKind::All, index, loops: false, optional: false });
                    let (id, _, condition) = self.step(name, events);
                    self.path.pop();
                    taken.push((id, condition));
                }
                StepKind::Not { .. } | StepKind::Group { .. } | StepKind::All { .. } => {
                    let diagnostic = Diagnostic::new(Code::BadAll, step.span, "in `all` stand single steps", "not a single step");
                    self.findings.add(diagnostic.help("as in `all ( a: S, b: S )`"));
                }
            }
        }
        if steps.len() < 2 {
            let diagnostic = Diagnostic::new(Code::BadAll, all.span, "`all` takes two steps or more", "of one step there is one order");
            self.findings.add(diagnostic.help("write the step without `all`"));
        }
        Body::All(taken)
    }

    /// A step that takes events: its id, its place in the table, its condition.
    fn step(&mut self, name: &'a Name, events: &'a EventSet) -> (StepId, usize, ConditionId) {
        let id = StepId(u16::try_from(self.steps.len()).expect("the number of steps is bounded before"));
        let stream = self.stream_of(events);
        let repeats = self.path.iter().any(|turn| turn.loops);
        self.steps.push(Step { name: name.node.clone(), stream: stream.unwrap_or(StreamId(0)), repeats });
        let own = self.name(name, StepRole::Chooses(id), stream);
        (id, own, self.wait(Demanded::Step(events), stream, own))
    }

    // Names and conditions.

    /// The stream of a step's events; they must stand in the line.
    pub(super) fn stream_of(&mut self, events: &EventSet) -> Option<StreamId> {
        let known = self.declarations.events(&events.stream, self.findings)?;
        if !self.sources.admit(known) {
            let name = &events.stream.node;
            let diagnostic =
                Diagnostic::new(Code::OutsideFrom, events.stream.span, format!("`{name}` does not stand in `from`"), "its events are not in the line");
            let wider = self.sources.known.iter().find(|(_, source)| source.stream == known.stream).map(|(name, _)| name.node.as_str());
            self.findings.add(match wider {
                Some(source) => {
                    let from = |name| code(&format!("from {}", spelled(name)));
                    diagnostic.help(format!("{} has only some of them: write {} here, or {}", from(source), named(source), from(name)))
                }
                None => {
                    diagnostic.help_nearest(self.findings, name, self.sources.names(), || format!("add it: {}", code(&format!("from …, {}", spelled(name)))))
                }
            });
        }
        Some(known.stream)
    }

    /// Puts a name into the table.
    pub(super) fn name(&mut self, name: &'a Name, role: StepRole, stream: Option<StreamId>) -> usize {
        let place = self.table.entries.len();
        let known = self.table.add(StepEntry { name, role, stream, path: self.path.clone() }).map(|first| first.name.span);
        if let Some(first) = known {
            self.findings.add(twice(&name.node, name.span, first));
        }
        place
    }

    pub(super) fn wait(&mut self, what: Demanded<'a>, stream: Option<StreamId>, own: usize) -> ConditionId {
        let id = ConditionId(u16::try_from(self.waiting.len()).expect("the number of steps is bounded before"));
        self.waiting.push(Waiting { what, stream, path: self.path.clone(), own });
        id
    }
}

fn connective(connective: Option<&ast::Connective>) -> (Connective, Option<TimeSpan>) {
    let Some(connective) = connective else { return (Connective::Begin, None) };
    let how = match connective.how {
        ast::How::Then => Connective::Then,
        ast::How::Next => Connective::ThenNext,
        ast::How::Any => Connective::ThenAny,
    };
    (how, connective.within.map(|within| within.node))
}

/// Steps and absences, in groups too.
pub(super) fn count(sequence: &ast::Sequence) -> usize {
    let one = |step: &ast::Step| match &step.what {
        StepKind::Event { .. } | StepKind::Not { .. } => 1,
        StepKind::Group { branches, .. } => branches.iter().map(count).sum(),
        StepKind::All { steps, .. } => steps.len(),
    };
    sequence.steps.iter().map(one).sum()
}

/// Streams and defines that steps and absences name.
pub(super) fn stream_names(sequence: &ast::Sequence) -> Vec<&str> {
    let mut names = Vec::new();
    let mut open: Vec<&ast::Step> = sequence.steps.iter().collect();
    while let Some(step) = open.pop() {
        match &step.what {
            StepKind::Event { events, .. } | StepKind::Not { events, .. } => names.push(events.stream.node.as_str()),
            StepKind::Group { branches, .. } => open.extend(branches.iter().flat_map(|branch| &branch.steps)),
            StepKind::All { steps, .. } => open.extend(steps),
        }
    }
    names
}
